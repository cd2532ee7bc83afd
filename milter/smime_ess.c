/* smime_ess.c: the signed attributes of RFC 2634 and RFC 5035: security label, receipt request, mailing list history, and the certificate that
 * the signer says is his. Pure; runs in milter-scan. Facts only: whom a label keeps out is a rule's business. What is there must be well-formed:
 * a label that cannot be read is no label that allows. */
#include "config.h"

#include "milter/smime_priv.h"

#include <openssl/cms.h>
#include <openssl/x509.h>
#include <string.h>

/* One TLV off *p: its content. False at the end, or when it is malformed. */
static bool
take_tlv(const unsigned char **p, const unsigned char *end, int *tag_out, struct slice *out)
{
	const unsigned char *at = *p;
	long len;
	int tag, cls, how;

	if (at >= end)
		return false;
	how = ASN1_get_object(&at, &len, &tag, &cls, end - at);
	if ((how & 0x80) != 0 || (how & 1) != 0 || len < 0 || len > end - at)
		return false;
	*tag_out = cls == V_ASN1_UNIVERSAL ? tag : 0x100 + tag;
	*out = slice_of(at, (size_t)len);
	*p = at + len;
	return true;
}

/* ESSSecurityLabel ::= SET { policy OID, classification INTEGER (0..256) OPTIONAL, privacy mark, categories } */
static const char *
read_label(struct slice der, struct findings *f, struct find_sig *s)
{
	const unsigned char *p = der.ptr, *end = der.ptr + der.len;
	struct slice set, v;
	bool policy = false;
	int tag, level = 0;
	char text[80];

	if (!take_tlv(&p, end, &tag, &set) || tag != V_ASN1_SET || p != end)
		return "the security label is malformed";
	end = set.ptr + set.len;
	for (p = set.ptr; p < end;) {
		const unsigned char *from = p;
		ASN1_OBJECT *oid;

		if (!take_tlv(&p, end, &tag, &v))
			return "the security label is malformed";
		if (tag == V_ASN1_INTEGER) {
			if (v.len == 0 || v.len > 2 || (v.ptr[0] & 0x80) != 0)
				return "the security label's classification is out of range";
			level = v.len == 1 ? v.ptr[0] : v.ptr[0] << 8 | v.ptr[1];
		} else if (tag == V_ASN1_OBJECT) {
			oid = d2i_ASN1_OBJECT(NULL, &from, p - from);
			if (oid == NULL)
				return "the security label's policy is malformed";
			OBJ_obj2txt(text, sizeof text, oid, 1);
			ASN1_OBJECT_free(oid);
			s->label_policy = findings_str(f, text);
			policy = true;
		}
	}
	if (!policy || level > FIND_LABEL_MAX)
		return "the security label is malformed";
	s->label = level;
	return NULL;
}

/* SigningCertificate(V2): the first hash is that of the signer's certificate (RFC 5035 5.4, RFC 2634 5.4). */
static const char *
check_certificate(struct slice der, bool v2, struct x509_st *signer)
{
	const unsigned char *p = der.ptr, *end = der.ptr + der.len;
	unsigned char digest[EVP_MAX_MD_SIZE];
	const EVP_MD *md = v2 ? EVP_sha256() : EVP_sha1();
	struct slice v;
	unsigned n = 0;
	int tag, depth;

	for (depth = 0; depth < 3; depth++) {
		if (!take_tlv(&p, end, &tag, &v) || tag != V_ASN1_SEQUENCE)
			return "the signing certificate attribute is malformed";
		p = v.ptr;
		end = v.ptr + v.len;
	}
	if (!take_tlv(&p, end, &tag, &v))
		return "the signing certificate attribute is malformed";
	if (v2 && tag == V_ASN1_SEQUENCE) {
		const unsigned char *q = v.ptr, *from = v.ptr;
		ASN1_OBJECT *oid;
		struct slice id;

		if (!take_tlv(&q, v.ptr + v.len, &tag, &id) || tag != V_ASN1_OBJECT ||
		    (oid = d2i_ASN1_OBJECT(NULL, &from, q - from)) == NULL)
			return "the signing certificate attribute is malformed";
		md = EVP_get_digestbyobj(oid);
		ASN1_OBJECT_free(oid);
		if (md == NULL || !take_tlv(&p, end, &tag, &v))
			return "the signing certificate attribute is malformed";
	}
	if (tag != V_ASN1_OCTET_STRING || X509_digest(signer, md, digest, &n) != 1)
		return "the signing certificate attribute is malformed";
	return slice_eq(v, slice_of(digest, n)) ? NULL : "the signature names another certificate";
}

static const char *
read_attribute(X509_ATTRIBUTE *a, struct x509_st *signer, struct findings *f, struct find_sig *s)
{
	int nid = OBJ_obj2nid(X509_ATTRIBUTE_get0_object(a));
	const ASN1_TYPE *v = X509_ATTRIBUTE_get0_type(a, 0);
	struct slice der = {NULL, 0};

	if (nid != NID_id_smime_aa_securityLabel && nid != NID_id_smime_aa_receiptRequest &&
	    nid != NID_id_smime_aa_mlExpandHistory && nid != NID_id_smime_aa_signingCertificate &&
	    nid != NID_id_smime_aa_signingCertificateV2)
		return NULL;
	if (X509_ATTRIBUTE_count(a) != 1 || v == NULL)
		return "a signed attribute does not have exactly one value";
	if (v->type == V_ASN1_SET || v->type == V_ASN1_SEQUENCE)
		der = slice_of(ASN1_STRING_get0_data(v->value.asn1_string),
		    (size_t)ASN1_STRING_length(v->value.asn1_string));
	s->receipt_request |= nid == NID_id_smime_aa_receiptRequest;
	s->ml_expansion |= nid == NID_id_smime_aa_mlExpandHistory;
	if (nid == NID_id_smime_aa_securityLabel)
		return s->label >= 0 ? "more than one security label" : read_label(der, f, s);
	if (signer != NULL && (nid == NID_id_smime_aa_signingCertificate ||
				  nid == NID_id_smime_aa_signingCertificateV2))
		return check_certificate(der, nid == NID_id_smime_aa_signingCertificateV2, signer);
	return NULL;
}

const char *
smime_ess_read(
    struct CMS_SignerInfo_st *si, struct x509_st *signer, struct findings *f, struct find_sig *s)
{
	int n = CMS_signed_get_attr_count(si), i;
	const char *why = NULL;

	for (i = 0; i < n && i < 64 && why == NULL; i++)
		why = read_attribute(CMS_signed_get_attr(si, i), signer, f, s);
	return why;
}
