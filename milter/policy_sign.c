/* policy_sign.c: officers' signatures over a policy, with libcrypto's CMS. Pure but for OpenSSL's prompt for the password of a key. Runs in congvu, and in milter at
 * its start, over files of the administrator's. Who may sign is a list of certificates, not a CA: a certificate that is taken from the list may sign no
 * longer. Every signature must be good and of the list; certificates inside the CMS are not used. RSA from 2048 bits, EC from 256, SHA-2. */
#include "config.h"

#include "milter/policy_sign.h"

#include "lib/err.h"

#include <openssl/pem.h> /* before cms.h, which then has CMS in PEM */
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WHY_MAX 4096
#define SIGNERS_MAX 16

void
policy_signers_init(struct policy_signers *s)
{
	memset(s, 0, sizeof *s);
	buf_init(&s->who, 65536);
	buf_init(&s->why, WHY_MAX);
}

void
policy_signers_done(struct policy_signers *s)
{
	buf_done(&s->who);
	buf_done(&s->why);
}

static BIO *
bio_of(struct slice s)
{
	return BIO_new_mem_buf(s.len > 0 ? (const void *)s.ptr : "", (int)s.len);
}

static int
no_password(char *b, int n, int w, void *u)
{
	(void)b, (void)n, (void)w, (void)u;
	return -1;
}

static STACK_OF(X509) * read_officers(struct slice pem)
{
	STACK_OF(X509) *list = sk_X509_new_null();
	BIO *in = bio_of(pem);
	X509 *x;

	while (list != NULL && in != NULL && sk_X509_num(list) < POLICY_OFFICERS_MAX &&
	       (x = PEM_read_bio_X509(in, NULL, no_password, NULL)) != NULL)
		sk_X509_push(list, x);
	BIO_free(in);
	ERR_clear_error();
	return list;
}

static CMS_ContentInfo *
read_cms(struct slice s)
{
	CMS_ContentInfo *cms = NULL;
	BIO *in = s.len <= POLICY_CMS_MAX ? bio_of(s) : NULL;

	if (in == NULL)
		return NULL;
	cms = slice_starts(s, "-----BEGIN") ? PEM_read_bio_CMS(in, NULL, no_password, NULL)
					    : d2i_CMS_bio(in, NULL);
	BIO_free(in);
	ERR_clear_error();
	if (cms != NULL && OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed) {
		CMS_ContentInfo_free(cms);
		cms = NULL;
	}
	return cms;
}

static void
subject_of(const X509 *x, struct buf *out)
{
	BIO *mem = BIO_new(BIO_s_mem());
	char *p;
	long n;

	if (mem != NULL &&
	    X509_NAME_print_ex(
		mem, X509_get_subject_name(x), 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0 &&
	    (n = BIO_get_mem_data(mem, &p)) > 0)
		buf_append(out, p, (size_t)(n < 300 ? n : 300));
	BIO_free(mem);
}

static bool
strong(const X509 *x)
{
	EVP_PKEY *k = X509_get0_pubkey(x);
	int bits = k != NULL ? EVP_PKEY_get_bits(k) : 0,
	    type = k != NULL ? EVP_PKEY_get_base_id(k) : 0;

	return (type == EVP_PKEY_RSA && bits >= 2048) || (type == EVP_PKEY_EC && bits >= 256);
}

/* One SignerInfo, whose signature is known to be good: the officer, and whether he may. */
static bool
signer_ok(CMS_SignerInfo *si, X509 *x, int64_t now, struct buf *why)
{
	X509_ALGOR *dig;
	time_t t = (time_t)now;
	int nid;
	const char *what = NULL;

	CMS_SignerInfo_get0_algs(si, NULL, NULL, &dig, NULL);
	nid = OBJ_obj2nid(dig->algorithm);
	if (CMS_signed_get_attr_count(si) <= 0)
		what = "has no signed attributes";
	else if (nid != NID_sha256 && nid != NID_sha384 && nid != NID_sha512)
		what = "uses a digest other than SHA-2";
	else if (!strong(x))
		what = "uses a key below RSA 2048 or EC 256";
	else if (now != 0 && (X509_cmp_time(X509_get0_notBefore(x), &t) >= 0 ||
				 X509_cmp_time(X509_get0_notAfter(x), &t) <= 0))
		what = "is by a certificate outside its validity";
	if (what != NULL) {
		buf_append_str(why, "the signature of ");
		subject_of(x, why);
		buf_appendf(why, " %s", what);
	}
	return what == NULL;
}

/* One certificate, one key, or one name: who has a new certificate beside the old one is still one officer. */
static bool
same_person(X509 *a, X509 *b)
{
	return X509_cmp(a, b) == 0 || EVP_PKEY_eq(X509_get0_pubkey(a), X509_get0_pubkey(b)) == 1 ||
	       X509_NAME_cmp(X509_get_subject_name(a), X509_get_subject_name(b)) == 0;
}

static int
count_signers(CMS_ContentInfo *cms, int64_t now, struct policy_signers *out)
{
	STACK_OF(CMS_SignerInfo) *infos = CMS_get0_SignerInfos(cms);
	X509 *seen[SIGNERS_MAX], *x = NULL;
	int i, n = infos != NULL ? sk_CMS_SignerInfo_num(infos) : 0;
	unsigned k;

	for (i = 0; i < n; i++) {
		CMS_SignerInfo *si = sk_CMS_SignerInfo_value(infos, i);

		CMS_SignerInfo_get0_algs(si, NULL, &x, NULL, NULL);
		if (x == NULL || !signer_ok(si, x, now, &out->why))
			return ERR_DENIED;
		for (k = 0; k < out->n && !same_person(seen[k], x); k++)
			;
		if (k < out->n)
			continue;
		if (out->n == SIGNERS_MAX)
			break;
		seen[out->n++] = x;
		subject_of(x, &out->who);
		buf_append_byte(&out->who, '\n');
	}
	return 0;
}

int
policy_signers_check(struct slice text, struct slice cms_bytes, struct slice officers_pem,
    int64_t now, struct policy_signers *out)
{
	STACK_OF(X509) *officers = read_officers(officers_pem);
	CMS_ContentInfo *cms = read_cms(cms_bytes);
	BIO *data = bio_of(text);
	ASN1_OCTET_STRING **content = cms != NULL ? CMS_get0_content(cms) : NULL;
	int err = ERR_SYNTAX;

	if (officers == NULL || sk_X509_num(officers) == 0) {
		buf_append_str(&out->why, "the list of officers has no certificate");
	} else if (cms == NULL) {
		buf_append_str(&out->why, "no CMS signature (PEM or DER)");
	} else if (content == NULL || *content != NULL) {
		buf_append_str(&out->why, "the signature is not detached");
	} else if (CMS_verify(cms, officers, NULL, data, NULL,
		       CMS_BINARY | CMS_NOINTERN | CMS_NO_SIGNER_CERT_VERIFY) != 1) {
		err = ERR_DENIED;
		buf_appendf(&out->why,
		    "a signature is not good, or not by an officer of the list (%s)",
		    ERR_reason_error_string(ERR_peek_last_error()) != NULL
			? ERR_reason_error_string(ERR_peek_last_error())
			: "?");
	} else {
		err = count_signers(cms, now, out);
	}
	if (err != 0)
		out->n = 0;
	ERR_clear_error();
	BIO_free(data);
	CMS_ContentInfo_free(cms);
	sk_X509_pop_free(officers, X509_free);
	return err;
}

/* ---- signing ---- */

/* The signatures there are must be over this very text: the next one takes over their digest. */
static int
others_good(CMS_ContentInfo *cms, struct slice text, X509 *cert)
{
	STACK_OF(CMS_SignerInfo) *infos = CMS_get0_SignerInfos(cms);
	BIO *data = bio_of(text);
	int i, ok = CMS_verify(cms, NULL, NULL, data, NULL, CMS_BINARY | CMS_NO_SIGNER_CERT_VERIFY);
	X509 *x = NULL;

	BIO_free(data);
	for (i = 0; ok == 1 && i < sk_CMS_SignerInfo_num(infos); i++) {
		CMS_SignerInfo_get0_algs(sk_CMS_SignerInfo_value(infos, i), NULL, &x, NULL, NULL);
		if (x != NULL && same_person(x, cert))
			return ERR_EXISTS;
	}
	return ok == 1 ? 0 : ERR_DENIED;
}

static int
write_pem(CMS_ContentInfo *cms, struct buf *out)
{
	BIO *mem = BIO_new(BIO_s_mem());
	char *p;
	long n;
	int err = ERR_NOMEM;

	if (mem != NULL && PEM_write_bio_CMS(mem, cms) == 1 && (n = BIO_get_mem_data(mem, &p)) > 0)
		err = buf_append(out, p, (size_t)n);
	BIO_free(mem);
	return err;
}

static int
add_signature(CMS_ContentInfo **cms, struct slice text, X509 *cert, EVP_PKEY *key, struct buf *why)
{
	BIO *data;
	int err;

	if (*cms == NULL) {
		data = bio_of(text);
		*cms = CMS_sign(NULL, NULL, NULL, data, CMS_BINARY | CMS_DETACHED | CMS_PARTIAL);
		if (*cms == NULL ||
		    CMS_add1_signer(*cms, cert, key, EVP_sha256(), CMS_BINARY) == NULL ||
		    CMS_final(*cms, data, NULL, CMS_BINARY | CMS_DETACHED) != 1) {
			BIO_free(data);
			buf_append_str(why, "OpenSSL cannot sign with this key");
			return ERR_DENIED;
		}
		BIO_free(data);
		return 0;
	}
	err = others_good(*cms, text, cert);
	if (err != 0) {
		buf_append_str(why, err == ERR_EXISTS
					? "this officer has signed already: another one must"
					: "the signatures there are were made over another text: "
					  "remove the .p7s file and begin anew");
		return err;
	}
	if (CMS_add1_signer(*cms, cert, key, EVP_sha256(), CMS_BINARY | CMS_REUSE_DIGEST) == NULL) {
		buf_append_str(why, "OpenSSL cannot sign with this key");
		return ERR_DENIED;
	}
	return 0;
}

int
policy_sign_text(struct slice text, struct slice old, struct slice key_pem, struct slice cert_pem,
    struct buf *out, struct buf *why)
{
	BIO *kb = bio_of(key_pem), *cb = bio_of(cert_pem);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(kb, NULL, NULL, NULL);
	X509 *cert = PEM_read_bio_X509(cb, NULL, no_password, NULL);
	CMS_ContentInfo *cms = old.len > 0 ? read_cms(old) : NULL;
	int err = ERR_SYNTAX;

	if (key == NULL)
		buf_append_str(why, "no private key (PEM), or the wrong password");
	else if (cert == NULL)
		buf_append_str(why, "no certificate (PEM)");
	else if (old.len > 0 && cms == NULL)
		buf_append_str(why, "the .p7s file holds no CMS signature");
	else if (X509_check_private_key(cert, key) != 1)
		buf_append_str(why, "the certificate is not of this key");
	else if (!strong(cert))
		buf_append_str(why, "the key is below RSA 2048 or EC 256");
	else if ((err = add_signature(&cms, text, cert, key, why)) == 0)
		err = write_pem(cms, out);
	ERR_clear_error();
	BIO_free(kb);
	BIO_free(cb);
	CMS_ContentInfo_free(cms);
	X509_free(cert);
	EVP_PKEY_free(key);
	return err;
}
