/* sign_mail.c: signatures of functional mailboxes, by OpenSSL's CMS. Runs in milter-sign (congvu check reads the files). milter-sign gets the digest and never the
 * mail: it cannot leak what it never had. RFC 5652 5.3, RFC 8551 2.5. Ed25519 is left out: many mail clients cannot verify it. */
#include "config.h"

#include "milter/sign_mail.h"
#include "milter/sign_token.h"

#include "lib/err.h"
#include "lib/log.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PEM_MAX = 65536, CHAIN_MAX = 8 };

struct sign_mail_key {
	EVP_PKEY *key;
	X509 *cert;
	STACK_OF(X509) * others;
	int64_t end;
	bool in_token;
};

void
sign_mail_init(void)
{
	/* tables of objects and digests are made at their first use */
	EVP_MD_free(EVP_MD_fetch(NULL, "SHA256", NULL));
	CMS_ContentInfo_free(CMS_ContentInfo_new());
}

static int
no_password(char *p, int size, int writing, void *arg)
{
	(void)p, (void)size, (void)writing, (void)arg;
	return -1;
}

static const char *
read_certs(struct sign_mail_key *k, struct slice pem)
{
	BIO *in = pem.len <= PEM_MAX ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
	X509 *c;
	int n = 0;

	if (in == NULL)
		return "the file of certificates is too large";
	while ((c = PEM_read_bio_X509(in, NULL, no_password, NULL)) != NULL) {
		if (n == 0) {
			k->cert = c;
		} else if (n > CHAIN_MAX || sk_X509_push(k->others, c) <= 0) {
			X509_free(c);
			break;
		}
		n++;
	}
	BIO_free(in);
	ERR_clear_error();
	return k->cert == NULL ? "no certificate in PEM" : NULL;
}

/* Our own judge would refuse what this signs otherwise: better told at the start. */
static const char *
check(const struct sign_mail_key *k, struct slice address)
{
	int bits = EVP_PKEY_get_bits(k->key);

	if (EVP_PKEY_is_a(k->key, "RSA") ? bits < 2048 : !EVP_PKEY_is_a(k->key, "EC") || bits < 256)
		return "the key must be RSA of 2048 bits, or EC of 256 bits, or more";
	if (X509_check_private_key(k->cert, k->key) != 1)
		return "key and certificate do not belong together";
	if (X509_check_purpose(k->cert, X509_PURPOSE_SMIME_SIGN, 0) != 1)
		return "the certificate is not one that may sign mail";
	if (X509_check_email(k->cert, (const char *)address.ptr, address.len, 0) != 1)
		return "the certificate does not name the address";
	return NULL;
}

static int64_t
end_of(const X509 *cert)
{
	struct tm tm = {0};

	return ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static const char *
read_key(struct sign_mail_key *k, struct slice key)
{
	const char *why = "no private key in PEM without a password";
	BIO *in;

	k->in_token = sign_token_is_uri(key);
	if (k->in_token) {
		k->key = sign_token_key(key, &why);
	} else if (key.len <= PEM_MAX && (in = BIO_new_mem_buf(key.ptr, (int)key.len)) != NULL) {
		k->key = PEM_read_bio_PrivateKey(in, NULL, no_password, NULL);
		BIO_free(in);
	}
	return k->key == NULL ? why : NULL;
}

struct sign_mail_key *
sign_mail_key_new(struct slice address, struct slice key, struct slice certs, const char **why_out)
{
	struct sign_mail_key *k = xcalloc(1, sizeof *k);
	const char *why;

	k->others = sk_X509_new_null();
	if (k->others == NULL)
		fatal("milter-sign: no memory");
	why = read_key(k, key);
	if (why == NULL)
		why = read_certs(k, certs);
	if (why == NULL)
		why = check(k, address);
	ERR_clear_error();
	if (why != NULL) {
		*why_out = why;
		sign_mail_key_free(k);
		return NULL;
	}
	k->end = end_of(k->cert);
	return k;
}

void
sign_mail_key_free(struct sign_mail_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->key);
	X509_free(k->cert);
	sk_X509_pop_free(k->others, X509_free);
	free(k);
}

bool
sign_mail_key_is_token(const struct sign_mail_key *k)
{
	return k->in_token;
}

int64_t
sign_mail_key_end(const struct sign_mail_key *k)
{
	return k->end;
}

/* What CMS_final would do with the content itself. */
static bool
sign_digest(CMS_SignerInfo *si, const unsigned char digest[32])
{
	return CMS_signed_add1_attr_by_NID(si, NID_pkcs9_contentType, V_ASN1_OBJECT,
		   OBJ_nid2obj(NID_pkcs7_data), -1) == 1 &&
	       CMS_signed_add1_attr_by_NID(
		   si, NID_pkcs9_messageDigest, V_ASN1_OCTET_STRING, digest, 32) == 1 &&
	       CMS_SignerInfo_sign(si) == 1;
}

int
sign_mail_cms(const struct sign_mail_key *k, const unsigned char digest[32], struct buf *der_out)
{
	unsigned flags = CMS_PARTIAL | CMS_DETACHED | CMS_BINARY | CMS_NOSMIMECAP;
	CMS_ContentInfo *cms = CMS_sign(NULL, NULL, k->others, NULL, flags);
	CMS_SignerInfo *si =
	    cms != NULL ? CMS_add1_signer(cms, k->cert, k->key, EVP_sha256(), flags) : NULL;
	unsigned char *der = NULL;
	int n = -1, err = ERR_IO;

	if (si != NULL && sign_digest(si, digest))
		n = i2d_CMS_ContentInfo(cms, &der);
	if (n > 0)
		err = buf_append(der_out, der, (size_t)n);
	else
		log_msg(LOG_LVL_ERROR, "sign_mail", "%s",
		    ERR_reason_error_string(ERR_peek_error()) != NULL
			? ERR_reason_error_string(ERR_peek_error())
			: "no signature");
	ERR_clear_error();
	OPENSSL_free(der);
	CMS_ContentInfo_free(cms);
	return err;
}
