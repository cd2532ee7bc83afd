/* cms_bench.c: what verifying costs when libcrypto is called and nothing else: CMS_verify of one signed entity again and again, with chain and CRL,
 * as `openssl cms -verify -binary -crl_check` does it, and in text_cpu_ms as it does without -binary, which is its default. Tool of the bench.
 *   cms_bench ENTITY SIGNATURE.der ROOT.pem CRL.pem SECONDS */
#include "config.h"

#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/buf.h"
#include "lib/log.h"

static double
clock_s(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
read_file(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	buf_init(out, 1 << 28);
	while (f != NULL && (n = fread(buf_reserve(out, 1 << 16), 1, 1 << 16, f)) > 0)
		buf_commit(out, n);
	if (f == NULL || out->len == 0 || fclose(f) != 0)
		fatal("cms_bench: %s", path);
}

static X509_STORE *
store_of(const char *root, const char *crl)
{
	X509_STORE *s = X509_STORE_new();
	X509_LOOKUP *l = X509_STORE_add_lookup(s, X509_LOOKUP_file());

	if (X509_load_cert_file(l, root, X509_FILETYPE_PEM) != 1 ||
	    X509_load_crl_file(l, crl, X509_FILETYPE_PEM) != 1)
		fatal("cms_bench: %s, %s", root, crl);
	X509_STORE_set_flags(s, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	X509_STORE_set_purpose(s, X509_PURPOSE_SMIME_SIGN);
	return s;
}

static void
verify(struct buf *entity, struct buf *der, X509_STORE *store, unsigned flags)
{
	const unsigned char *p = der->data;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)der->len);
	BIO *in = BIO_new_mem_buf(entity->data, (int)entity->len);

	if (cms == NULL || CMS_verify(cms, NULL, store, in, NULL, flags) != 1)
		fatal(
		    "cms_bench: it does not verify: %s", ERR_reason_error_string(ERR_peek_error()));
	BIO_free(in);
	CMS_ContentInfo_free(cms);
}

/* Milliseconds of CPU of one. */
static double
cost(struct buf *entity, struct buf *der, X509_STORE *store, unsigned flags, double seconds,
    unsigned *n_out)
{
	double end, cpu;

	verify(entity, der, store, flags);
	*n_out = 0;
	cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID);
	end = clock_s(CLOCK_MONOTONIC) + seconds;
	do {
		verify(entity, der, store, flags);
		++*n_out;
	} while (clock_s(CLOCK_MONOTONIC) < end);
	return (clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e3 / *n_out;
}

int
main(int argc, char **argv)
{
	struct buf entity, der;
	X509_STORE *store;
	double seconds, binary, text;
	unsigned n, n_text;

	if (argc != 6)
		return 64;
	log_init("cms_bench", 2);
	read_file(argv[1], &entity);
	read_file(argv[2], &der);
	store = store_of(argv[3], argv[4]);
	seconds = strtod(argv[5], NULL) / 2;
	binary = cost(&entity, &der, store, CMS_BINARY, seconds, &n);
	text = cost(&entity, &der, store, 0, seconds, &n_text);
	printf("{\"n\":%u,\"cpu_ms\":%.5f,\"n_text\":%u,\"text_cpu_ms\":%.5f}\n", n, binary, n_text,
	    text);
	X509_STORE_free(store);
	buf_done(&entity);
	buf_done(&der);
	return 0;
}
