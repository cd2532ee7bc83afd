/* cms_split_fuzz.c: a SignedData without its certificates. What is split OpenSSL takes to pieces in the same way: when it parses the pieces, it parses the whole, and
 * finds the same certificates in it. */
#include "tests/fuzz/fuzz.h"

#include "milter/cms_split.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/x509.h>

static CMS_ContentInfo *
parse(struct slice der)
{
	const unsigned char *p = der.ptr;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)der.len);

	if (cms == NULL || p == der.ptr + der.len)
		return cms;
	CMS_ContentInfo_free(cms);
	return NULL;
}

/* Whether it is one, all of it, and none other than the given (NULL: any). */
static bool
is_cert(struct slice der, X509 *same)
{
	const unsigned char *p = der.ptr;
	X509 *cert = d2i_X509(NULL, &p, (long)der.len);
	bool good =
	    cert != NULL && p == der.ptr + der.len && (same == NULL || X509_cmp(cert, same) == 0);

	X509_free(cert);
	return good;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice der = slice_of(data, size);
	CMS_ContentInfo *whole, *without;
	STACK_OF(X509) * certs;
	struct cms_split s;
	struct buf rest;
	bool good = true;

	buf_init(&rest, size + 64);
	if (cms_split(der, &s, &rest)) {
		MUST(s.n > 0 && s.n <= CMS_SPLIT_CERTS_MAX && rest.len < size);
		for (size_t i = 0; i < s.n; i++) {
			MUST(s.certs[i].ptr > data &&
			     s.certs[i].ptr + s.certs[i].len <= data + size);
			good = good && is_cert(s.certs[i], NULL);
		}
		without = good ? parse(buf_slice(&rest)) : NULL;
		if (without != NULL) {
			whole = parse(der);
			MUST(whole != NULL);
			certs = CMS_get1_certs(without);
			MUST(certs == NULL || sk_X509_num(certs) == 0);
			sk_X509_pop_free(certs, X509_free);
			certs = CMS_get1_certs(whole);
			MUST(certs != NULL && (size_t)sk_X509_num(certs) == s.n);
			for (size_t i = 0; i < s.n; i++)
				MUST(is_cert(s.certs[i], sk_X509_value(certs, (int)i)));
			sk_X509_pop_free(certs, X509_free);
			CMS_ContentInfo_free(whole);
		}
		CMS_ContentInfo_free(without);
	}
	buf_done(&rest);
	ERR_clear_error();
	return 0;
}
