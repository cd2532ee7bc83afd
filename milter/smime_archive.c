/* smime_archive.c: whether encrypted mail can be read by the agency's archive: one of the domain's archive certificates (trust_dir/DOMAIN/archive) is a
 * recipient of the CMS object. Runs in milter-scan. It tells who is named, not whether the key in it is the content's: that only the archive's
 * own key can tell. RFC 5652 6.2. */
#include "config.h"

#include "milter/smime_priv.h"

#include "lib/err.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define RECIPIENTS_MAX 2000

int
smime_archive_add(struct smime_domain *d, struct slice text)
{
	const unsigned char *p = text.ptr;
	X509 *cert = NULL;
	BIO *bio = NULL;
	int n = 0;

	if (d->archive == NULL)
		d->archive = sk_X509_new_null();
	if (d->archive == NULL || text.len == 0 || text.len > INT32_MAX)
		return ERR_SYNTAX;
	if (slice_find(text, slice_str("-----BEGIN ")) >= 0)
		bio = BIO_new_mem_buf(text.ptr, (int)text.len);
	else
		cert = d2i_X509(NULL, &p, (long)text.len);
	if (bio != NULL)
		cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	while (cert != NULL) {
		if (sk_X509_push(d->archive, cert) <= 0)
			X509_free(cert);
		n++;
		cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	}
	BIO_free(bio);
	ERR_clear_error();
	return n > 0 ? 0 : ERR_SYNTAX;
}

void
smime_archive_free(struct smime_domain *d)
{
	sk_X509_pop_free(d->archive, X509_free);
}

/* Whether a RecipientInfo names the certificate: by key transport, or by one of a key agreement's keys. */
static bool
names(CMS_RecipientInfo *ri, X509 *cert)
{
	STACK_OF(CMS_RecipientEncryptedKey) * keys;
	int i;

	switch (CMS_RecipientInfo_type(ri)) {
	case CMS_RECIPINFO_TRANS:
		return CMS_RecipientInfo_ktri_cert_cmp(ri, cert) == 0;
	case CMS_RECIPINFO_AGREE:
		keys = CMS_RecipientInfo_kari_get0_reks(ri);
		for (i = 0; i < sk_CMS_RecipientEncryptedKey_num(keys) && i < RECIPIENTS_MAX; i++) {
			if (CMS_RecipientEncryptedKey_cert_cmp(
				sk_CMS_RecipientEncryptedKey_value(keys, i), cert) == 0)
				return true;
		}
		return false;
	default:
		return false;
	}
}

void
smime_archive_check(
    const struct smime_domain *d, CMS_ContentInfo *cms, struct slice part, struct findings *f)
{
	STACK_OF(CMS_RecipientInfo) * infos;
	int i, k, n;

	if (d == NULL || d->archive == NULL || sk_X509_num(d->archive) == 0)
		return;
	/* EncryptedData has no recipients at all */
	infos = CMS_get0_RecipientInfos(cms);
	n = infos != NULL ? sk_CMS_RecipientInfo_num(infos) : 0;
	for (i = 0; i < n && i < RECIPIENTS_MAX; i++) {
		for (k = 0; k < sk_X509_num(d->archive); k++) {
			if (names(
				sk_CMS_RecipientInfo_value(infos, i), sk_X509_value(d->archive, k)))
				return;
		}
	}
	ERR_clear_error();
	findings_note(f, "smime_no_archive", NOTE_WARN, part,
	    "none of %d recipients is the agency's archive", n);
}
