/* sign_key.c: keys that sign checkpoints and verify them, through OpenSSL's EVP. Runs in milter-sign (private keys) and congvu (public ones). */
#include "config.h"

#include "milter/sign_key.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#define PEM_MAX 65536
#define SIGNATURE_MAX 4096

struct sign_key {
	EVP_PKEY *key;
	const char *algorithm;
	char id[65];
};

void
sign_key_init(void)
{
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_ADD_ALL_CIPHERS |
				OPENSSL_INIT_ADD_ALL_DIGESTS | OPENSSL_INIT_NO_LOAD_CONFIG,
	    NULL);
	EVP_MD_free(EVP_MD_fetch(NULL, "SHA256", NULL));
}

/* A key file is never asked a password for: nobody sits there. */
static int
no_password(char *p, int size, int writing, void *arg)
{
	(void)p, (void)size, (void)writing, (void)arg;
	return -1;
}

/* Sets id and algorithm; NULL, or what is wrong with the key. */
static const char *
describe(struct sign_key *k)
{
	unsigned char *der = NULL, digest[32];
	int bits = EVP_PKEY_get_bits(k->key), n;

	if (EVP_PKEY_is_a(k->key, "EC"))
		k->algorithm = "ecdsa-sha256";
	else if (EVP_PKEY_is_a(k->key, "RSA"))
		k->algorithm = "rsa-sha256";
	else if (EVP_PKEY_is_a(k->key, "ED25519"))
		k->algorithm = "ed25519";
	else
		return "the key is neither EC, RSA nor Ed25519";
	if (bits < (EVP_PKEY_is_a(k->key, "RSA") ? 2048 : EVP_PKEY_is_a(k->key, "EC") ? 256 : 0))
		return "the key is too short (RSA 2048 bits, EC 256 bits at least)";
	n = i2d_PUBKEY(k->key, &der);
	if (n <= 0)
		return "the public key cannot be written";
	sha256_of(slice_of(der, (size_t)n), digest);
	hex_encode(digest, sizeof digest, k->id);
	OPENSSL_free(der);
	return NULL;
}

static struct sign_key *
key_of(EVP_PKEY *pkey, const char *none, const char **why_out)
{
	struct sign_key *k;
	const char *why;

	ERR_clear_error();
	if (pkey == NULL) {
		*why_out = none;
		return NULL;
	}
	k = xcalloc(1, sizeof *k);
	k->key = pkey;
	why = describe(k);
	if (why != NULL) {
		*why_out = why;
		sign_key_free(k);
		return NULL;
	}
	return k;
}

struct sign_key *
sign_key_private(struct slice pem, const char **why_out)
{
	BIO *in = pem.len <= PEM_MAX ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
	EVP_PKEY *pkey = in != NULL ? PEM_read_bio_PrivateKey(in, NULL, no_password, NULL) : NULL;

	BIO_free(in);
	return key_of(pkey, "no private key in PEM without a password", why_out);
}

struct sign_key *
sign_key_public(struct slice pem, const char **why_out)
{
	BIO *in = pem.len <= PEM_MAX ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
	EVP_PKEY *pkey = in != NULL ? PEM_read_bio_PUBKEY(in, NULL, no_password, NULL) : NULL;
	X509 *cert = NULL;

	if (in != NULL && pkey == NULL && BIO_reset(in) == 1)
		cert = PEM_read_bio_X509(in, NULL, no_password, NULL);
	if (cert != NULL)
		pkey = X509_get_pubkey(cert);
	X509_free(cert);
	BIO_free(in);
	return key_of(pkey, "neither a public key nor a certificate in PEM", why_out);
}

void
sign_key_free(struct sign_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->key);
	free(k);
}

const char *
sign_key_id(const struct sign_key *k)
{
	return k->id;
}

const char *
sign_key_algorithm(const struct sign_key *k)
{
	return k->algorithm;
}

int
sign_key_public_pem(const struct sign_key *k, struct buf *out)
{
	BIO *mem = BIO_new(BIO_s_mem());
	char *p = NULL;
	long n;
	int err = ERR_NOMEM;

	if (mem != NULL && PEM_write_bio_PUBKEY(mem, k->key) == 1) {
		n = BIO_get_mem_data(mem, &p);
		err = buf_append(out, p, (size_t)n);
	}
	BIO_free(mem);
	return err;
}

static const EVP_MD *
digest_of(const struct sign_key *k)
{
	return strcmp(k->algorithm, "ed25519") == 0 ? NULL : EVP_sha256();
}

int
sign_key_sign(const struct sign_key *k, struct slice text, struct buf *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char sig[SIGNATURE_MAX];
	size_t n = sizeof sig;
	int err = ERR_IO;

	if (ctx != NULL && EVP_DigestSignInit(ctx, NULL, digest_of(k), NULL, k->key) == 1 &&
	    EVP_DigestSign(ctx, sig, &n, text.ptr, text.len) == 1)
		err = buf_append(out, sig, n);
	ERR_clear_error();
	EVP_MD_CTX_free(ctx);
	return err;
}

bool
sign_key_verify(const struct sign_key *k, struct slice text, struct slice signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good;

	good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, digest_of(k), NULL, k->key) == 1 &&
	       EVP_DigestVerify(ctx, signature.ptr, signature.len, text.ptr, text.len) == 1;
	ERR_clear_error();
	EVP_MD_CTX_free(ctx);
	return good;
}
