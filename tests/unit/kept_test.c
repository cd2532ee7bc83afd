/* kept_test.c: what milter-scan keeps of certificates and paths changes no finding: whatever was looked at before, the answer is that of a process that knows nothing yet. Each date at which
 * OpenSSL could answer otherwise, each anchor and each CRL ends what was kept. RFC 5280, RFC 5652 5.1. */
#include "config.h"

#include "milter/cms_split.h"
#include "milter/smime_rev.h"
#include "tests/unit/unit.h"

#include "lib/log.h"

#include <openssl/cms.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char dir[] = "/tmp/cv-kept-XXXXXX";
static unsigned verified; /* paths that OpenSSL walked */

int __real_X509_verify_cert(X509_STORE_CTX *ctx);
int __wrap_X509_verify_cert(X509_STORE_CTX *ctx);

int
__wrap_X509_verify_cert(X509_STORE_CTX *ctx)
{
	verified++;
	return __real_X509_verify_cert(ctx);
}

static void
slurp(const char *name, struct buf *out)
{
	char path[300];
	unsigned char *room;
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "rb");
	if (f == NULL)
		fail_msg("no file %s", path);
	buf_init(out, 1 << 20);
	room = buf_reserve(out, 1 << 19);
	assert_non_null(room);
	buf_commit(out, fread(room, 1, 1 << 19, f));
	fclose(f);
}

static int
setup(void **state)
{
	const char *src = getenv("srcdir");
	char script[1000];
	int status = -1;
	pid_t pid;

	(void)state;
	snprintf(script, sizeof script, "%s/tests/unit/smime_certs.sh", src != NULL ? src : ".");
	assert_non_null(mkdtemp(dir));
	pid = fork();
	if (pid == 0) {
		execlp("sh", "sh", script, dir, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
	log_set_level(LOG_LVL_ERROR);
	smime_init();
	return 0;
}

static int
teardown(void **state)
{
	pid_t pid = fork();
	int status = -1;

	(void)state;
	if (pid == 0) {
		execlp("rm", "rm", "-rf", dir, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

static struct smime_trust *
load(void)
{
	struct smime_trust *t;
	char path[300];

	snprintf(path, sizeof path, "%s/trust", dir);
	assert_int_equal(smime_trust_load(path, &t), 0);
	smime_trust_need(t, SMIME_REV_AUTO);
	return t;
}

static void
fetch(struct smime_trust *t, const char *file)
{
	int64_t from, to;
	struct buf b;

	slurp(file, &b);
	assert_int_equal(smime_rev_put(t, WANT_CRL, slice_str("k"), buf_slice(&b),
			     (int64_t)time(NULL), &from, &to),
	    0);
	buf_done(&b);
}

/* All that is found, as it goes over the wire. */
static void
look(struct smime_trust *t, const char *file, const char *domain, int64_t now, struct buf *out)
{
	struct arena *a = arena_new(1 << 20);
	struct smime_input in = {
	    .detached = true, .domain = slice_str(domain), .now = now, .coverage = SIG_WHOLE};
	struct findings f;
	struct buf der, content;

	slurp(file, &der);
	slurp("content.bin", &content);
	in.cms = buf_slice(&der);
	in.content = buf_slice(&content);
	findings_init(&f, a);
	smime_verify(t, &in, &f, NULL);
	buf_init(out, 1 << 20);
	assert_int_equal(findings_encode(&f, out), 0);
	buf_done(&der);
	buf_done(&content);
	arena_free(a);
}

static enum sig_status
status_of(struct smime_trust *t, const char *domain, int64_t now, enum rev_state *rev_out)
{
	struct arena *a = arena_new(1 << 20);
	enum sig_status status;
	struct findings f;
	struct buf b;

	look(t, "revoked.der", domain, now, &b);
	assert_int_equal(findings_decode(buf_slice(&b), a, &f), 0);
	assert_non_null(f.sigs);
	status = f.sigs->status;
	*rev_out = f.sigs->rev;
	buf_done(&b);
	arena_free(a);
	return status;
}

static X509 *
cert_of(const char *name)
{
	char path[300];
	X509 *cert;
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	cert = PEM_read_X509(f, NULL, NULL, NULL);
	assert_non_null(cert);
	fclose(f);
	return cert;
}

static int64_t
seconds(const ASN1_TIME *t)
{
	struct tm tm;

	assert_int_equal(ASN1_TIME_to_tm(t, &tm), 1);
	return (int64_t)timegm(&tm);
}

#define DATES 8
#define TIMES (DATES * 3)

/* Each date that stands in certificates and CRLs, and the seconds beside it. */
static void
find_times(int64_t times[TIMES])
{
	X509 *leaf = cert_of("manager.pem"), *root = cert_of("root.pem");
	int64_t date[DATES];
	char path[300];
	X509_CRL *crl;
	size_t i;
	FILE *f;

	snprintf(path, sizeof path, "%s/trust/crl.example/root.crl", dir);
	f = fopen(path, "rb");
	assert_non_null(f);
	crl = PEM_read_X509_CRL(f, NULL, NULL, NULL);
	fclose(f);
	assert_non_null(crl);
	date[0] = seconds(X509_get0_notBefore(leaf));
	date[1] = seconds(X509_get0_notAfter(leaf));
	date[2] = seconds(X509_get0_notBefore(root));
	date[3] = seconds(X509_get0_notAfter(root));
	date[4] = seconds(X509_CRL_get0_lastUpdate(crl));
	date[5] = seconds(X509_CRL_get0_nextUpdate(crl));
	date[6] = date[4] + 86400;
	date[7] = date[4] + 30 * 86400;
	for (i = 0; i < DATES; i++) {
		times[3 * i] = date[i] - 1;
		times[3 * i + 1] = date[i];
		times[3 * i + 2] = date[i] + 1;
	}
	X509_free(leaf);
	X509_free(root);
	X509_CRL_free(crl);
}

static const char *const files[] = {"manager.der", "revoked.der", "ec.der", "two.der",
    "twostranger.der", "opaque.der", "keyid.der", "cades.der", "streamed.der", "encrypt.der",
    "weak.der", "trailing.der", "certsonly.der", "encrypted.der"};
static const char *const domains[] = {"x.example", "crl.example", "old.example", "y.example"};
enum { FILES = sizeof files / sizeof *files, DOMAINS = 4, CELLS = FILES * DOMAINS * TIMES * 2 };

static void
same_as_anew(void **state)
{
	static struct buf anew[CELLS];
	int64_t times[TIMES];
	struct smime_trust *kept = load();
	bool fetched = false;
	unsigned walked = 0, looks = 0;
	struct buf b;

	(void)state;
	find_times(times);
	srandom(5);
	for (unsigned n = 0; n < 6000; n++) {
		size_t file = (size_t)random() % FILES, domain = (size_t)random() % DOMAINS,
		       at = (size_t)random() % TIMES, cell;

		if (random() % 100 == 0) {
			fetched = !fetched;
			if (fetched)
				fetch(kept, "trust/crl.example/root.crl");
			else
				smime_rev_drop(kept, slice_str("k"));
		}
		cell = ((file * DOMAINS + domain) * TIMES + at) * 2 + fetched;
		if (anew[cell].data == NULL) {
			struct smime_trust *fresh = load();

			if (fetched)
				fetch(fresh, "trust/crl.example/root.crl");
			look(fresh, files[file], domains[domain], times[at], &anew[cell]);
			smime_trust_free(fresh);
		}
		verified = 0;
		look(kept, files[file], domains[domain], times[at], &b);
		if (!slice_eq(buf_slice(&b), buf_slice(&anew[cell])))
			fail_msg("look %u: %s for %s at %lld, %s: another answer than anew", n,
			    files[file], domains[domain], (long long)times[at],
			    fetched ? "with a CRL" : "without");
		walked += verified;
		looks++;
		buf_done(&b);
	}
	/* or nothing was kept, and the test shows nothing */
	assert_true(walked < looks);
	for (size_t i = 0; i < CELLS; i++)
		buf_done(&anew[i]);
	smime_trust_free(kept);
}

/* One by one: the same question walks no path; each other question does. */
static void
each_change_ends_it(void **state)
{
	struct smime_trust *t = load();
	int64_t now = (int64_t)time(NULL) + 5, times[TIMES];
	enum rev_state rev;
	struct buf pem;

	(void)state;
	find_times(times);
	verified = 0;
	assert_int_equal(status_of(t, "x.example", now, &rev), SIG_VALID);
	assert_int_equal(rev, REV_UNCHECKED);
	assert_true(verified > 0);
	verified = 0;
	assert_int_equal(status_of(t, "x.example", now + 3600, &rev), SIG_VALID);
	assert_int_equal(verified, 0);
	/* another domain has other anchors */
	assert_int_equal(status_of(t, "y.example", now, &rev), SIG_UNTRUSTED);
	/* a CRL comes, and goes */
	fetch(t, "trust/crl.example/root.crl");
	assert_int_equal(status_of(t, "x.example", now, &rev), SIG_VALID);
	assert_int_equal(rev, REV_REVOKED);
	verified = 0;
	status_of(t, "x.example", now, &rev);
	assert_int_equal(rev, REV_REVOKED);
	assert_int_equal(verified, 0);
	/* the CRL runs out: known to be revoked it stays, but it is looked at anew */
	status_of(t, "x.example", times[3 * 5] + 1, &rev);
	assert_true(verified > 0);
	smime_rev_drop(t, slice_str("k"));
	assert_int_equal(status_of(t, "x.example", now, &rev), SIG_VALID);
	assert_int_equal(rev, REV_UNCHECKED);
	/* the certificate runs out */
	assert_int_equal(status_of(t, "x.example", times[3 * 1] - 3600, &rev), SIG_VALID);
	assert_int_equal(status_of(t, "x.example", times[3 * 1] + 3600, &rev), SIG_EXPIRED);
	/* one that was refused is looked at again: an anchor comes */
	slurp("root.pem", &pem);
	assert_int_equal(smime_trust_add(t, "y.example", buf_slice(&pem), false), 0);
	assert_int_equal(status_of(t, "y.example", now, &rev), SIG_VALID);
	buf_done(&pem);
	/* a CRL of the trust folder */
	assert_int_equal(rev, REV_UNCHECKED);
	slurp("trust/crl.example/root.crl", &pem);
	assert_int_equal(smime_trust_add(t, "y.example", buf_slice(&pem), true), 0);
	assert_int_equal(status_of(t, "y.example", now, &rev), SIG_VALID);
	assert_int_equal(rev, REV_REVOKED);
	buf_done(&pem);
	smime_trust_free(t);
}

/* A signature is computed each time: a changed content under a certificate that is well known. */
static void
content_is_always_hashed(void **state)
{
	struct smime_trust *t = load();
	struct arena *a = arena_new(1 << 20);
	struct smime_input in = {.detached = true,
	    .domain = slice_str("x.example"),
	    .now = (int64_t)time(NULL) + 5,
	    .coverage = SIG_WHOLE};
	struct findings f;
	struct buf der, content;

	(void)state;
	slurp("manager.der", &der);
	slurp("content.bin", &content);
	in.cms = buf_slice(&der);
	in.content = buf_slice(&content);
	for (int i = 0; i < 3; i++) {
		findings_init(&f, a);
		assert_int_equal(smime_verify(t, &in, &f, NULL), SMIME_SIGNED);
		assert_int_equal(f.sigs->status, i == 1 ? SIG_BAD : SIG_VALID);
		content.data[content.len - 3] ^= 1;
	}
	buf_done(&der);
	buf_done(&content);
	arena_free(a);
	smime_trust_free(t);
}

/* ---- cms_split ---- */

/* OpenSSL's word on the certificates of an object, each as DER; -1: it cannot be parsed. */
static int
certs_of(struct slice der, struct buf *out)
{
	const unsigned char *p = der.ptr;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)der.len);
	STACK_OF(X509) *certs = cms != NULL ? CMS_get1_certs(cms) : NULL;
	int n = cms == NULL || p != der.ptr + der.len ? -1 : certs == NULL ? 0 : sk_X509_num(certs);

	for (int i = 0; i < n; i++) {
		unsigned char *one = NULL;
		int len = i2d_X509(sk_X509_value(certs, i), &one);

		assert_true(len > 0);
		buf_append(out, one, (size_t)len);
		OPENSSL_free(one);
	}
	sk_X509_pop_free(certs, X509_free);
	CMS_ContentInfo_free(cms);
	return n;
}

static void
split_has_what_openssl_has(void **state)
{
	static const struct {
		const char *file;
		bool is_split;
	} of[] = {{"manager.der", true}, {"two.der", true}, {"twostranger.der", true},
	    {"opaque.der", true}, {"keyid.der", true}, {"certsonly.der", true}, {"ec.der", true},
	    {"streamed.der", false}, {"encrypted.der", false}, {"trailing.der", false},
	    {"root.pem", false}, {"content.bin", false}};
	struct buf der, rest, want, got;
	struct cms_split s;

	(void)state;
	for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
		slurp(of[i].file, &der);
		buf_init(&rest, 1 << 20);
		buf_init(&want, 1 << 20);
		buf_init(&got, 1 << 20);
		if (cms_split(buf_slice(&der), &s, &rest) != of[i].is_split)
			fail_msg("%s", of[i].file);
		if (of[i].is_split) {
			assert_int_equal(certs_of(buf_slice(&der), &want), s.n);
			for (size_t k = 0; k < s.n; k++)
				buf_append_slice(&got, s.certs[k]);
			assert_true(slice_eq(buf_slice(&want), buf_slice(&got)));
			assert_int_equal(certs_of(buf_slice(&rest), &want), 0);
			assert_int_equal(rest.len + got.len + 20 > der.len, true);
		}
		/* cut off anywhere, or with something behind it, it is none */
		for (size_t n = 0; of[i].is_split && n < der.len; n++) {
			buf_reset(&rest);
			assert_false(cms_split(slice_sub(buf_slice(&der), 0, n), &s, &rest));
		}
		buf_done(&der);
		buf_done(&rest);
		buf_done(&want);
		buf_done(&got);
	}
}

/* A length that is longer than need be, indefinite, or larger than what is there; a kind of certificate that is none of X.509's. */
static void
split_takes_der_alone(void **state)
{
	static const char oid[] = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
	static const struct {
		const char *data;
		size_t len;
		bool good;
	} of[] = {
	    /* version, digests, content, [0] with one empty SEQUENCE, signers */
	    {"\xa0\x0d\x30\x0b\x02\x01\x01\x31\x00\x30\x00\xa0\x02\x30\x00", 15, true},
	    {"\xa0\x0f\x30\x0d\x02\x01\x01\x31\x00\x30\x00\xa0\x02\x30\x00\x31\x00", 17, true},
	    {"\xa0\x0e\x30\x81\x0b\x02\x01\x01\x31\x00\x30\x00\xa0\x02\x30\x00", 16, false},
	    {"\xa0\x0f\x30\x80\x02\x01\x01\x31\x00\x30\x00\xa0\x02\x30\x00\x00\x00", 17, false},
	    {"\xa0\x0d\x30\x0b\x02\x01\x01\x31\x00\x30\x00\xa0\x02\x30\x01", 15, false},
	    {"\xa0\x0d\x30\x0b\x02\x01\x01\x31\x00\x30\x00\xa0\x02\xa1\x00", 15, false},
	    {"\xa0\x0b\x30\x09\x02\x01\x01\x31\x00\x30\x00\xa0\x00", 13, false},
	    {"\xa0\x09\x30\x07\x02\x01\x01\x31\x00\x30\x00", 11, false},
	    {"\xa0\x0b\x30\x09\x02\x01\x01\x31\x00\x30\x00\xa1\x00", 13, false},
	    {"\xa1\x0d\x30\x0b\x02\x01\x01\x31\x00\x30\x00\xa0\x02\x30\x00", 15, false},
	    {"\xa0\x0d\x30\x0b\x02\x01\x01\x31\x00\x30\x00\xa0\x02\x3f\x00", 15, false},
	};
	struct cms_split s;
	struct buf der, rest;

	(void)state;
	for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
		buf_init(&der, 1000);
		buf_init(&rest, 1000);
		buf_append_byte(&der, 0x30);
		buf_append_byte(&der, (unsigned char)(sizeof oid - 1 + of[i].len));
		buf_append(&der, oid, sizeof oid - 1);
		buf_append(&der, of[i].data, of[i].len);
		if (cms_split(buf_slice(&der), &s, &rest) != of[i].good)
			fail_msg("row %zu", i);
		if (of[i].good) {
			assert_int_equal(s.n, 1);
			assert_int_equal(s.certs[0].len, 2);
			/* what is left is plain DER, with nothing to split */
			assert_int_equal(rest.len, der.len - 4);
			buf_reset(&der);
			assert_false(cms_split(buf_slice(&rest), &s, &der));
		}
		buf_done(&der);
		buf_done(&rest);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(same_as_anew),
	    cmocka_unit_test(each_change_ends_it), cmocka_unit_test(content_is_always_hashed),
	    cmocka_unit_test(split_has_what_openssl_has), cmocka_unit_test(split_takes_der_alone)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
