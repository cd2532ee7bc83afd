/* smime_cert.c: what a certificate says: names, addresses, key; and the algorithm floor (no MD5 or SHA-1, RSA from 2048 bits, EC
 * from 256). Runs in milter-scan. Addresses come from subjectAltName alone (RFC 8550 4.4.3, RFC 9598): an emailAddress in the
 * subject is not taken, a malformed or doubled extension gives no address at all. */
#include "config.h"

#include "milter/smime_priv.h"

#include "lib/crypto.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

static struct slice
name_text(X509_NAME *name, struct findings *f)
{
	struct slice out = {NULL, 0};
	BIO *bio = BIO_new(BIO_s_mem());
	char *p;
	long n;

	if (bio == NULL)
		return out;
	/* RFC 2253 escapes controls; UTF-8 is kept readable */
	if (X509_NAME_print_ex(
		bio, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0) {
		n = BIO_get_mem_data(bio, &p);
		if (n > 0)
			out = findings_text(f, slice_of(p, (size_t)n));
	}
	BIO_free(bio);
	return out;
}

static void
describe_addresses(X509 *cert, struct findings *f, struct find_sig *s)
{
	int crit, i;
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, &crit, NULL);

	if (names == NULL) {
		if (crit != -1)
			findings_note(f, "cert_san_malformed", NOTE_WARN, s->part,
			    "subjectAltName cannot be read or stands twice");
		return;
	}
	for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *gn = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *str = NULL;
		bool utf8 = false;

		if (gn->type == GEN_EMAIL) {
			str = gn->d.rfc822Name;
		} else if (gn->type == GEN_OTHERNAME &&
			   OBJ_obj2nid(gn->d.otherName->type_id) == NID_id_on_SmtpUTF8Mailbox &&
			   gn->d.otherName->value->type == V_ASN1_UTF8STRING) {
			str = gn->d.otherName->value->value.utf8string;
			utf8 = true;
		}
		if (str != NULL)
			findings_add_address(f, s, utf8,
			    slice_of(ASN1_STRING_get0_data(str), (size_t)ASN1_STRING_length(str)));
	}
	GENERAL_NAMES_free(names);
}

void
smime_cert_describe(X509 *cert, struct findings *f, struct find_sig *s)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	unsigned char digest[32], *der;
	int n;
	char hex[2 * 32 + 1], text[64];
	BIGNUM *bn;
	char *serial;

	s->signer = name_text(X509_get_subject_name(cert), f);
	s->issuer = name_text(X509_get_issuer_name(cert), f);
	bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	serial = bn != NULL ? BN_bn2hex(bn) : NULL;
	s->serial = findings_str(f, serial != NULL ? serial : "");
	OPENSSL_free(serial);
	BN_free(bn);
	der = NULL;
	n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	if (n > 0) {
		sha256_of(slice_of(der, (size_t)n), digest);
		hex_encode(digest, 32, hex);
		s->spki_sha256 = findings_str(f, hex);
	}
	OPENSSL_free(der);
	der = NULL;
	n = i2d_X509(cert, &der);
	if (n > 0)
		sha256_of(slice_of(der, (size_t)n), s->cert_sha256);
	OPENSSL_free(der);
	s->not_before = smime_time(X509_get0_notBefore(cert));
	s->not_after = smime_time(X509_get0_notAfter(cert));
	if (key != NULL) {
		const char *name = OBJ_nid2sn(EVP_PKEY_get_base_id(key));

		switch (EVP_PKEY_get_base_id(key)) {
		case EVP_PKEY_RSA:
			name = "rsa";
			break;
		case EVP_PKEY_EC:
			name = "ec";
			break;
		default:
			break;
		}
		snprintf(
		    text, sizeof text, "%s%d", name != NULL ? name : "key", EVP_PKEY_get_bits(key));
		s->key = findings_str(f, text);
	}
	describe_addresses(cert, f, s);
}

/* NULL when the key is strong enough, else what is wrong with it. */
static const char *
key_weakness(X509 *cert)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);

	if (key == NULL)
		return "public key cannot be read";
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		return EVP_PKEY_get_bits(key) < 2048 ? "RSA key shorter than 2048 bits" : NULL;
	case EVP_PKEY_EC:
		return EVP_PKEY_get_bits(key) < 256 ? "elliptic curve below 256 bits" : NULL;
	case EVP_PKEY_ED25519:
	case EVP_PKEY_ED448:
		return NULL;
	default:
		return "key algorithm not allowed";
	}
}

/* RFC 8550 4.4.2: what others encrypt a content key with (RSA), or agree on one with (EC). */
bool
smime_cert_encrypts(X509 *cert)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	uint32_t usage = X509_get_key_usage(cert); /* all bits where there is no such extension */

	switch (key != NULL ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE) {
	case EVP_PKEY_RSA:
		return (usage & KU_KEY_ENCIPHERMENT) != 0;
	case EVP_PKEY_EC:
		return (usage & KU_KEY_AGREEMENT) != 0;
	default:
		return false;
	}
}

bool
smime_cert_only_encrypts(X509 *cert)
{
	return (X509_get_extension_flags(cert) & EXFLAG_KUSAGE) != 0 &&
	       (X509_get_key_usage(cert) & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION)) == 0 &&
	       smime_cert_encrypts(cert);
}

/* What is wrong with it for signatures as for encryption. */
static const char *
any_fault(X509 *cert, enum sig_status *status_out)
{
	const char *weak = key_weakness(cert);
	uint32_t flags = X509_get_extension_flags(cert);

	*status_out = SIG_WEAK;
	if (weak != NULL)
		return weak;
	*status_out = SIG_BAD;
	if (flags & EXFLAG_INVALID)
		return "the signer's certificate has malformed extensions";
	*status_out = SIG_PURPOSE;
	if (flags & EXFLAG_CA)
		return "the signer's certificate is a CA's";
	if ((flags & EXFLAG_XKUSAGE) && (X509_get_extended_key_usage(cert) & XKU_SMIME) == 0)
		return "the certificate's extended key usage does not allow e-mail";
	return NULL;
}

const char *
smime_cert_fault(X509 *cert, enum sig_status *status_out)
{
	const char *fault = any_fault(cert, status_out);

	if (fault == NULL && (X509_get_extension_flags(cert) & EXFLAG_KUSAGE) &&
	    (X509_get_key_usage(cert) & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION)) == 0)
		fault = "the certificate's key usage does not allow signing";
	return fault;
}

const char *
smime_cert_fault_apart(X509 *cert, enum sig_status *status_out)
{
	return smime_cert_only_encrypts(cert) ? any_fault(cert, status_out)
					      : smime_cert_fault(cert, status_out);
}

/* What a directory needs to publish it and to judge it anew without the mail. */
void
smime_cert_keep(STACK_OF(X509) * chain, struct findings *f, struct find_sig *s)
{
	struct buf all;
	int i;

	buf_init(&all, FINDINGS_CERTS_MAX);
	for (i = 0; i == 0 || i + 1 < sk_X509_num(chain); i++) {
		unsigned char *der = NULL;
		int n = i2d_X509(sk_X509_value(chain, i), &der);

		if (n > 0)
			buf_append(&all, der, (size_t)n);
		OPENSSL_free(der);
		if (n <= 0)
			break;
	}
	if (all.err != 0)
		findings_note(f, "cert_too_large", NOTE_INFO, s->part,
		    "the signer's certificates have more than %d octets: not kept",
		    FINDINGS_CERTS_MAX);
	else
		findings_set_certs(f, s, buf_slice(&all));
	buf_done(&all);
}

static bool
digest_ok(int nid)
{
	switch (nid) {
	case NID_sha256:
	case NID_sha384:
	case NID_sha512:
	case NID_sha3_256:
	case NID_sha3_384:
	case NID_sha3_512:
		return true;
	default:
		return false;
	}
}

const char *
smime_digest_weakness(const X509_ALGOR *alg)
{
	const ASN1_OBJECT *oid;

	X509_ALGOR_get0(&oid, NULL, NULL, alg);
	return digest_ok(OBJ_obj2nid(oid)) ? NULL
					   : "digest algorithm not allowed (SHA-256 or better)";
}

/* MGF1 with a hash that may be used; absent, it is SHA-1. */
static bool
mask_ok(const X509_ALGOR *mask)
{
	const ASN1_OBJECT *oid;
	const void *val;
	X509_ALGOR *hash;
	int type;
	bool ok = false;

	if (mask == NULL)
		return false;
	X509_ALGOR_get0(&oid, &type, &val, mask);
	if (OBJ_obj2nid(oid) != NID_mgf1 || type != V_ASN1_SEQUENCE)
		return false;
	hash = ASN1_item_unpack(val, ASN1_ITEM_rptr(X509_ALGOR));
	if (hash != NULL) {
		X509_ALGOR_get0(&oid, NULL, NULL, hash);
		ok = digest_ok(OBJ_obj2nid(oid));
	}
	X509_ALGOR_free(hash);
	return ok;
}

/* RFC 4055: absent hash parameters mean SHA-1. */
static const char *
pss_weakness(const X509_ALGOR *alg)
{
	static const char weak[] = "RSASSA-PSS parameters not allowed (SHA-256 or better)";
	const void *val;
	const unsigned char *p;
	const ASN1_OBJECT *oid;
	const ASN1_STRING *seq;
	RSA_PSS_PARAMS *pss;
	int type;
	bool ok;

	X509_ALGOR_get0(NULL, &type, &val, alg);
	if (type != V_ASN1_SEQUENCE)
		return weak;
	seq = val;
	p = ASN1_STRING_get0_data(seq);
	pss = d2i_RSA_PSS_PARAMS(NULL, &p, ASN1_STRING_length(seq));
	if (pss == NULL)
		return weak;
	ok = false;
	if (pss->hashAlgorithm != NULL) {
		X509_ALGOR_get0(&oid, NULL, NULL, pss->hashAlgorithm);
		ok = digest_ok(OBJ_obj2nid(oid)) && mask_ok(pss->maskGenAlgorithm);
	}
	RSA_PSS_PARAMS_free(pss);
	return ok ? NULL : weak;
}

const char *
smime_sigalg_weakness(const X509_ALGOR *alg)
{
	const ASN1_OBJECT *oid;

	X509_ALGOR_get0(&oid, NULL, NULL, alg);
	switch (OBJ_obj2nid(oid)) {
	case NID_rsaEncryption: /* the digest algorithm stands in its own field */
	case NID_sha256WithRSAEncryption:
	case NID_sha384WithRSAEncryption:
	case NID_sha512WithRSAEncryption:
	case NID_ecdsa_with_SHA256:
	case NID_ecdsa_with_SHA384:
	case NID_ecdsa_with_SHA512:
	case NID_RSA_SHA3_256:
	case NID_RSA_SHA3_384:
	case NID_RSA_SHA3_512:
	case NID_ecdsa_with_SHA3_256:
	case NID_ecdsa_with_SHA3_384:
	case NID_ecdsa_with_SHA3_512:
	case NID_X9_62_id_ecPublicKey:
	case NID_ED25519:
	case NID_ED448:
		return NULL;
	case NID_rsassaPss:
		return pss_weakness(alg);
	default:
		return "signature algorithm not allowed";
	}
}
