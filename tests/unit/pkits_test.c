/* pkits_test.c: NIST PKITS, sections 4.1 to 4.7, as signed mails through the scanner. The corpus is not ours to copy: it is read from
 * $CONGVU_SHARED or ../shared beside the source, and the test is skipped with a word when it is not there. Accept means: valid path
 * and signature, and not revoked by fresh CRLs. Four rows differ by policy of ours. RFC 5280. */
#include "config.h"

#include "lib/err.h"
#include "milter/scan_message.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char base[1000];
#define PKITS_TIME 1700000000 /* within the corpus's years */

static bool
find_corpus(void)
{
	const char *shared = getenv("CONGVU_SHARED"), *src = getenv("srcdir");
	const char *const tries[] = {shared, "../shared", "../../shared", "../../../shared"};
	size_t i;

	for (i = 0; i < sizeof tries / sizeof *tries; i++) {
		if (tries[i] == NULL)
			continue;
		if (i == 0)
			snprintf(base, sizeof base, "%s/corpora/pkits", tries[i]);
		else
			snprintf(base, sizeof base, "%s/%s/corpora/pkits", src != NULL ? src : ".",
			    tries[i]);
		if (access(base, R_OK) == 0)
			return true;
	}
	return false;
}

/* Line ends of the corpus are mixed: CRLF. */
static void
read_mail(const char *name, struct buf *out)
{
	char path[1200];
	int c, last = 0;
	FILE *f;

	snprintf(path, sizeof path, "%s/smime/%s", base, name);
	f = fopen(path, "rb");
	if (f == NULL)
		fail_msg("no %s", path);
	while ((c = fgetc(f)) != EOF) {
		if (c == '\n' && last != '\r')
			buf_append_byte(out, '\r');
		buf_append_byte(out, (unsigned char)c);
		last = c;
	}
	fclose(f);
}

static void
add_file(struct smime_trust *t, const char *folder, const char *name, bool crl)
{
	char path[1200];

	snprintf(path, sizeof path, "%s/%s/%s", base, folder, name);
	if (smime_trust_add_file(t, "testcertificates.gov", path, crl) != 0)
		fail_msg("cannot load %s", path);
}

static void
add_list(struct smime_trust *t, char *list)
{
	char *name, *save = NULL;

	for (name = strtok_r(list, ",", &save); name != NULL; name = strtok_r(NULL, ",", &save)) {
		if (strcmp(name, "-") != 0)
			add_file(t, "crls", name, true);
	}
}

static bool
accepts(const char *mail, char *crls, char why[200])
{
	struct scan_params p = {.domain = slice_str("testcertificates.gov"), .now = PKITS_TIME};
	struct smime_trust *t = smime_trust_new();
	struct arena *a = arena_new(4 << 20);
	struct findings f;
	struct buf m;
	bool yes;

	add_file(t, "certs", "TrustAnchorRootCertificate.crt", false);
	add_file(t, "crls", "TrustAnchorRootCRL.crl", true);
	add_list(t, crls);
	buf_init(&m, 1 << 20);
	read_mail(mail, &m);
	p.trust = t;
	findings_init(&f, a);
	scan_message(buf_slice(&m), &p, &f);
	yes = f.n_sigs == 1 && f.sigs->status == SIG_VALID && f.sigs->rev == REV_GOOD &&
	      f.sigs->coverage == SIG_WHOLE;
	snprintf(why, 200, "%s, %.*s, revocation %s",
	    f.n_sigs > 0 ? sig_status_name(f.sigs->status) : "no signature",
	    f.n_sigs > 0 ? (int)f.sigs->chain.len : 0,
	    f.n_sigs > 0 ? (const char *)f.sigs->chain.ptr : "",
	    f.n_sigs > 0 ? rev_state_name(f.sigs->rev) : "-");
	buf_done(&m);
	arena_free(a);
	smime_trust_free(t);
	return yes;
}

static void
verdicts_are_right(void **state)
{
	char path[1200], line[2000], why[200];
	/* valid paths that our policy refuses: DSA is below the floor; a CA must not sign mail (MILTER.md cases 20, 26) */
	static const char *const ours[] = {"4.1.4", "4.1.5", "4.6.8", "4.6.14"};
	unsigned rows = 0, wrong = 0;
	size_t i;
	FILE *f;

	(void)state;
	if (!find_corpus()) {
		print_message(
		    "the PKITS corpus is not there (CONGVU_SHARED, ../shared): skipped\n");
		skip();
	}
	smime_init();
	snprintf(path, sizeof path, "%s/expected.tsv", base);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof line, f));
	while (fgets(line, sizeof line, f) != NULL) {
		char *cell[8], *save = NULL, *p = line;
		size_t n = 0;
		bool want, got;

		for (; n < 8 && (cell[n] = strtok_r(p, "\t\n", &save)) != NULL; p = NULL)
			n++;
		assert_int_equal(n, 8);
		want = strcmp(cell[6], "accept") == 0;
		for (i = 0; i < sizeof ours / sizeof *ours; i++)
			want &= strcmp(cell[1], ours[i]) != 0;
		got = accepts(cell[2], cell[5], why);
		rows++;
		if (got != want) {
			print_error("%s %s: %s (%s)\n", cell[1], cell[7],
			    got ? "accepted" : "refused", why);
			wrong++;
		}
	}
	fclose(f);
	assert_true(rows > 70);
	assert_int_equal(wrong, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(verdicts_are_right)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
