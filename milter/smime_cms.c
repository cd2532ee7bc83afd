/* smime_cms.c: one CMS SignedData, by the recipe of MILTER.md section 4. Runs in milter-scan. CMS_verify is only a part of the
 * job: it takes signatures without signed attributes, doubled attributes, SHA-1 and content beside a detached signature; all that
 * is refused here before it is asked. Detached content is hashed as the bytes are (CMS_BINARY). PKCS7_* is never used. RFC 5652. */
#include "config.h"

#include "milter/cms_split.h"
#include "milter/smime_priv.h"

#include "lib/err.h"
#include "lib/log.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void
smime_init(void)
{
	unsigned long v;

	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_ADD_ALL_CIPHERS |
				OPENSSL_INIT_ADD_ALL_DIGESTS | OPENSSL_INIT_NO_LOAD_CONFIG,
	    NULL);
	/* the first use of a digest and of the random generator loads the provider: now, not in the sandbox */
	EVP_MD_free(EVP_MD_fetch(NULL, "SHA256", NULL));
	v = OpenSSL_version_num();
	if (v < 0x30000160L)
		log_msg(LOG_LVL_WARN, "openssl_old",
		    "%s: older than 3.0.22, which mends memory errors in CMS; update the packages",
		    OpenSSL_version(OPENSSL_VERSION));
}

static struct find_sig *
add_bad(const struct smime_input *in, struct findings *f, const char *why)
{
	struct find_sig *s = findings_add_sig(f);

	if (s != NULL) {
		s->part = findings_text(f, in->part);
		s->opaque = !in->detached;
		s->coverage = in->coverage;
		s->status = SIG_BAD;
		s->why = findings_str(f, why);
	}
	return s;
}

static void
set_bad(struct find_sig *s, struct findings *f, enum sig_status status, const char *why)
{
	if (s->status != SIG_VALID)
		return;
	s->status = status;
	s->why = findings_str(f, why);
}

/* RFC 5652 5.3, 11: contentType and messageDigest exactly once with one value each, signingTime at most once. NULL when good. */
static const char *
attributes_fault(CMS_SignerInfo *si, int64_t *signing_time_out)
{
	int n = CMS_signed_get_attr_count(si), i, types = 0, digests = 0, times = 0;
	struct tm tm;

	if (n <= 0)
		return "no signed attributes";
	if (n > 64)
		return "too many signed attributes";
	for (i = 0; i < n; i++) {
		X509_ATTRIBUTE *a = CMS_signed_get_attr(si, i);
		int nid = OBJ_obj2nid(X509_ATTRIBUTE_get0_object(a));
		const ASN1_TYPE *v;

		if (nid != NID_pkcs9_contentType && nid != NID_pkcs9_messageDigest &&
		    nid != NID_pkcs9_signingTime)
			continue;
		if (X509_ATTRIBUTE_count(a) != 1)
			return "a signed attribute does not have exactly one value";
		v = X509_ATTRIBUTE_get0_type(a, 0);
		if (nid == NID_pkcs9_contentType) {
			types++;
			if (v == NULL || v->type != V_ASN1_OBJECT ||
			    OBJ_obj2nid(v->value.object) != NID_pkcs7_data)
				return "the contentType attribute is not id-data";
		} else if (nid == NID_pkcs9_messageDigest) {
			digests++;
		} else {
			times++;
			if (v != NULL &&
			    (v->type == V_ASN1_UTCTIME || v->type == V_ASN1_GENERALIZEDTIME) &&
			    ASN1_TIME_to_tm(v->value.asn1_string, &tm) == 1)
				*signing_time_out = (int64_t)timegm(&tm);
		}
	}
	if (types != 1)
		return "not exactly one contentType attribute";
	if (digests != 1)
		return "not exactly one messageDigest attribute";
	return times > 1 ? "more than one signingTime attribute" : NULL;
}

static struct slice
alg_name(const X509_ALGOR *alg, struct findings *f)
{
	const ASN1_OBJECT *oid;
	char text[80];

	X509_ALGOR_get0(&oid, NULL, NULL, alg);
	if (OBJ_obj2nid(oid) != NID_undef)
		return findings_str(f, OBJ_nid2sn(OBJ_obj2nid(oid)));
	OBJ_obj2txt(text, sizeof text, oid, 1);
	return findings_str(f, text);
}

/* Everything about one SignerInfo that can be said before the signature is computed. */
static void
check_signer(CMS_SignerInfo *si, struct findings *f, struct find_sig *s)
{
	X509_ALGOR *dig = NULL, *alg = NULL;
	enum sig_status status;
	X509 *signer = NULL;
	const char *why;

	CMS_SignerInfo_get0_algs(si, NULL, &signer, &dig, &alg);
	s->digest = alg_name(dig, f);
	s->sigalg = alg_name(alg, f);
	why = attributes_fault(si, &s->signing_time);
	if (why != NULL)
		set_bad(s, f, SIG_BAD, why);
	if ((why = smime_ess_read(si, signer, f, s)) != NULL)
		set_bad(s, f, SIG_BAD, why);
	if (signer == NULL) {
		set_bad(s, f, SIG_BAD, "the signer's certificate is not in the message");
		return;
	}
	smime_cert_describe(signer, f, s);
	if ((why = smime_digest_weakness(dig)) != NULL ||
	    (why = smime_sigalg_weakness(alg)) != NULL)
		set_bad(s, f, SIG_WEAK, why);
	if ((why = smime_cert_fault(signer, &status)) != NULL)
		set_bad(s, f, status, why);
}

static const char *
crypto_why(void)
{
	bool content = false;
	unsigned long e;

	while ((e = ERR_get_error()) != 0)
		content |= ERR_GET_LIB(e) == ERR_LIB_CMS &&
			   ERR_GET_REASON(e) == CMS_R_CONTENT_VERIFY_ERROR;
	return content ? "the content was changed after signing" : "the signature does not verify";
}

/* Digest and signature of all SignerInfos at once. */
static void
verify_crypto(CMS_ContentInfo *cms, const struct smime_input *in, struct findings *f,
    struct find_sig **sigs, int n)
{
	BIO *content = NULL;
	const char *why;
	int i;

	ERR_clear_error();
	if (in->detached && in->content.len > INT32_MAX)
		why = "the signed part is too large";
	else if (in->detached && (content = BIO_new_mem_buf(
				      in->content.len > 0 ? in->content.ptr : (const void *)"",
				      (int)in->content.len)) == NULL)
		why = "no memory";
	else if (CMS_verify(
		     cms, NULL, NULL, content, NULL, CMS_BINARY | CMS_NO_SIGNER_CERT_VERIFY) == 1)
		why = NULL;
	else
		why = crypto_why();
	for (i = 0; why != NULL && i < n; i++) {
		/* whatever else is wrong with it, what was altered is altered: but a weak algorithm may be why it was not computed */
		if (sigs[i]->status != SIG_WEAK)
			set_bad(sigs[i], f, SIG_BAD, why);
	}
	BIO_free(content);
	ERR_clear_error();
}

/* NULL when the SignedData may be verified at all. */
static const char *
structure_fault(CMS_ContentInfo *cms, const struct smime_input *in, STACK_OF(X509) * certs,
    STACK_OF(X509_CRL) * crls)
{
	ASN1_OCTET_STRING **content = CMS_get0_content(cms);
	int n = sk_CMS_SignerInfo_num(CMS_get0_SignerInfos(cms));

	if (OBJ_obj2nid(CMS_get0_eContentType(cms)) != NID_pkcs7_data)
		return "the signed content is not of type id-data";
	if (in->detached && content != NULL && *content != NULL)
		return "content inside a detached signature";
	if (!in->detached && (content == NULL || *content == NULL))
		return "no content inside an opaque signature";
	if (n <= 0)
		return "no signer";
	if (n > SMIME_SIGNERS_MAX)
		return "too many signers";
	if (certs != NULL && sk_X509_num(certs) > SMIME_CERTS_MAX)
		return "too many certificates";
	if (crls != NULL && sk_X509_CRL_num(crls) > SMIME_CRLS_MAX)
		return "too many CRLs";
	return NULL;
}

static bool
der_is(const unsigned char *der, int len, const unsigned char **at, const unsigned char *end)
{
	if (len <= 0 || end - *at < len || memcmp(*at, der, (size_t)len) != 0)
		return false;
	*at += len;
	return true;
}

/* Whether SMIMEEncryptionKeyPreference (RFC 8551 2.5.2: issuer and serial [0], key id with more [1], key id [2]) names the certificate. DER is compared, not parsed. */
static bool
is_preferred(const ASN1_TYPE *pref, X509 *cert)
{
	const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(cert);
	const unsigned char *p, *end, *value;
	unsigned char *issuer = NULL, *serial = NULL;
	int tag, class, n_issuer, n_serial;
	bool is = false;
	long len;

	if (pref == NULL || pref->type != V_ASN1_OTHER)
		return false;
	value = p = ASN1_STRING_get0_data(pref->value.asn1_string);
	end = p + ASN1_STRING_length(pref->value.asn1_string);
	if ((ASN1_get_object(&p, &len, &tag, &class, end - value) & 0x80) != 0 ||
	    class != V_ASN1_CONTEXT_SPECIFIC || p + len != end)
		return false;
	if (tag == 0) {
		n_issuer = i2d_X509_NAME(X509_get_issuer_name(cert), &issuer);
		n_serial = i2d_ASN1_INTEGER(X509_get0_serialNumber(cert), &serial);
		is = der_is(issuer, n_issuer, &p, end) && der_is(serial, n_serial, &p, end) &&
		     p == end;
		OPENSSL_free(issuer);
		OPENSSL_free(serial);
		return is;
	}
	if (tag == 1 && (end - p < 2 || *p != V_ASN1_OCTET_STRING || p[1] > end - p - 2))
		return false;
	if (tag == 1) {
		len = p[1];
		p += 2;
	}
	return (tag == 1 || tag == 2) && id != NULL && ASN1_STRING_length(id) == len &&
	       memcmp(ASN1_STRING_get0_data(id), p, (size_t)len) == 0;
}

/* Certificates for encryption alone that came along, of whoever's: who may be offered them is told by their addresses (harvest.c). Where the signer says which one to
 * use it is that one. */
static void
note_others(CMS_SignerInfo *si, const struct smime_trust *t, const struct smime_input *in,
    STACK_OF(X509) * certs, struct findings *f)
{
	int at = CMS_signed_get_attr_by_NID(si, NID_id_smime_aa_encrypKeyPref, -1), i;
	X509_ATTRIBUTE *pref = at >= 0 ? CMS_signed_get_attr(si, at) : NULL;
	enum sig_status status;
	struct find_sig *s;
	const char *why;

	for (i = 0; i < sk_X509_num(certs); i++) {
		X509 *cert = sk_X509_value(certs, i);

		if (!smime_cert_only_encrypts(cert) ||
		    (pref != NULL && !is_preferred(X509_ATTRIBUTE_get0_type(pref, 0), cert)) ||
		    (s = findings_add_other(f)) == NULL)
			continue;
		s->part = findings_text(f, in->part);
		s->coverage = SIG_WHOLE;
		s->status = SIG_VALID;
		smime_cert_describe(cert, f, s);
		if ((why = smime_cert_fault_apart(cert, &status)) != NULL)
			set_bad(s, f, status, why);
		smime_chain_check(t, smime_trust_find(t, in->domain), cert, certs, NULL, in->prefer,
		    in->now, f, s);
	}
}

static bool
all_good(struct find_sig *const *sigs, int n)
{
	int i;

	for (i = 0; i < n && sigs[i]->status == SIG_VALID && sigs[i]->coverage == SIG_WHOLE; i++)
		;
	return n > 0 && i == n;
}

static void
verify_signers(CMS_ContentInfo *cms, const struct smime_trust *t, const struct smime_input *in,
    STACK_OF(X509) * certs, STACK_OF(X509_CRL) * crls, struct findings *f)
{
	STACK_OF(CMS_SignerInfo) *infos = CMS_get0_SignerInfos(cms);
	struct find_sig *sigs[SMIME_SIGNERS_MAX];
	X509 *signer;
	int i, n = sk_CMS_SignerInfo_num(infos), got = 0;

	CMS_set1_signers_certs(cms, certs, 0);
	for (i = 0; i < n; i++) {
		sigs[got] = add_bad(in, f, "");
		if (sigs[got] == NULL)
			return; /* the findings are marked truncated, which no rule takes for valid */
		sigs[got]->status = SIG_VALID;
		check_signer(sk_CMS_SignerInfo_value(infos, i), f, sigs[got]);
		got++;
	}
	verify_crypto(cms, in, f, sigs, got);
	for (i = 0; i < got; i++) {
		signer = NULL;
		CMS_SignerInfo_get0_algs(
		    sk_CMS_SignerInfo_value(infos, i), NULL, &signer, NULL, NULL);
		if (signer != NULL)
			smime_chain_check(t, smime_trust_find(t, in->domain), signer, certs, crls,
			    in->prefer, in->now, f, sigs[i]);
	}
	if (all_good(sigs, got))
		note_others(sk_CMS_SignerInfo_value(infos, 0), t, in, certs, f);
}

/* A SignedData whose certificates are taken from those that were seen before. NULL: it is to be parsed whole, be it good or not. */
static CMS_ContentInfo *
parse_split(struct smime_kept *k, struct slice der, STACK_OF(X509) * *certs_out)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	CMS_ContentInfo *cms = NULL;
	const unsigned char *p;
	struct cms_split split;
	struct buf rest;
	X509 *cert;
	bool good;
	size_t i;

	buf_init(&rest, der.len + 64);
	good = certs != NULL && cms_split(der, &split, &rest);
	for (i = 0; good && i < split.n; i++) {
		cert = smime_kept_cert(k, split.certs[i]);
		good = cert != NULL && sk_X509_push(certs, cert) > 0;
		if (!good)
			X509_free(cert);
	}
	p = rest.data;
	if (good)
		cms = d2i_CMS_ContentInfo(NULL, &p, (long)rest.len);
	if (cms != NULL && p != rest.data + rest.len) {
		CMS_ContentInfo_free(cms);
		cms = NULL;
	}
	buf_done(&rest);
	ERR_clear_error();
	if (cms == NULL)
		sk_X509_pop_free(certs, X509_free);
	else
		*certs_out = certs;
	return cms;
}

/* The object, and its certificates; *end_out: where it ends. */
static CMS_ContentInfo *
parse(const struct smime_trust *t, struct slice der, STACK_OF(X509) * *certs_out,
    const unsigned char **end_out)
{
	CMS_ContentInfo *cms = NULL;

	*end_out = der.ptr;
	if (der.len == 0 || der.len > INT32_MAX)
		return NULL;
	if (t != NULL && der.len <= SMIME_CMS_MAX)
		cms = parse_split(smime_trust_kept(t), der, certs_out);
	if (cms != NULL) {
		*end_out = der.ptr + der.len;
		return cms;
	}
	cms = d2i_CMS_ContentInfo(NULL, end_out, (long)der.len);
	if (cms != NULL && OBJ_obj2nid(CMS_get0_type(cms)) == NID_pkcs7_signed)
		*certs_out = CMS_get1_certs(cms);
	return cms;
}

enum smime_kind
smime_verify(const struct smime_trust *t, const struct smime_input *in, struct findings *f,
    struct buf *content_out)
{
	const unsigned char *end;
	CMS_ContentInfo *cms;
	STACK_OF(X509) *certs = NULL;
	STACK_OF(X509_CRL) *crls = NULL;
	enum smime_kind kind = SMIME_MALFORMED;
	ASN1_OCTET_STRING **content;
	const char *why;

	cms = parse(t, in->cms, &certs, &end);
	if (cms == NULL) {
		add_bad(in, f, "no CMS object");
		goto out;
	}
	switch (OBJ_obj2nid(CMS_get0_type(cms))) {
	case NID_pkcs7_signed:
		break;
	case NID_pkcs7_enveloped:
	case NID_pkcs7_encrypted:
	case NID_id_smime_ct_authEnvelopedData:
		kind = SMIME_ENCRYPTED;
		smime_archive_check(smime_archive_find(t, in->domain), cms, in->part, f);
		goto out;
	default:
		kind = SMIME_OTHER;
		goto out;
	}
	if (end != in->cms.ptr + in->cms.len) {
		add_bad(in, f, "bytes behind the CMS object");
		goto out;
	}
	kind = SMIME_SIGNED;
	crls = CMS_get1_crls(cms);
	why = structure_fault(cms, in, certs, crls);
	if (why != NULL)
		add_bad(in, f, why);
	else
		verify_signers(cms, t, in, certs, crls, f);
	content = CMS_get0_content(cms);
	if (content_out != NULL && content != NULL && *content != NULL)
		buf_append(content_out, ASN1_STRING_get0_data(*content),
		    (size_t)ASN1_STRING_length(*content));
out:
	sk_X509_pop_free(certs, X509_free);
	sk_X509_CRL_pop_free(crls, X509_CRL_free);
	CMS_ContentInfo_free(cms);
	ERR_clear_error();
	return kind;
}
