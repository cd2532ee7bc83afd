/* cases_test.c: MILTER.md's cases about MIME, attachments and documents, each a test by name: whole messages as cases_make.py makes them, through
 * scanner, wire and rules, as the milter does. Each must be judged within five seconds (case 36). */
#include "config.h"

#include "lib/err.h"
#include "lib/hdr.h"
#include "milter/facts.h"
#include "milter/scan_message.h"
#include "milter/scan_priv.h"
#include "tests/unit/unit.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CASES_MAX 400

static char dir[] = "/tmp/cv-cases-XXXXXX";
static struct smime_trust *trust;
static struct one {
	char name[120], who[16], rule[8], notes[120];
} cases[CASES_MAX];
static struct CMUnitTest tests[CASES_MAX];

static void
run(const char *const argv[])
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status) != 0) {
		fprintf(stderr, "%s %s failed\n", argv[0], argv[1]);
		exit(1);
	}
}

static void
slurp(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "rb");
	size_t n;
	char b[65536];

	assert_non_null(f);
	while ((n = fread(b, 1, sizeof b, f)) > 0)
		buf_append(out, b, n);
	fclose(f);
}

/* A finding; or a rule ("P19") among the notes of the verdict; "-P19": which must not be there. */
static void
look_for(const struct findings *f, const struct verdict *v, const struct one *t)
{
	const char *id = t->notes[0] == '-' ? t->notes + 1 : t->notes;
	bool found = false;
	size_t i;

	if (id[0] == '\0')
		return;
	for (i = 0; i < v->n_notes; i++)
		found = found || strcmp(v->notes[i].rule->id, id) == 0;
	found = found || findings_has_note(f, id);
	if (found != (id == t->notes))
		fail_msg("%s: %s %s", t->name, id, found ? "is there" : "is not there");
}

/* Whose the signers' certificates are, as the directory would say. */
static void
set_owners(const struct findings *f, unsigned char owners[FINDINGS_SIGS_MAX])
{
	const struct find_sig *s;
	size_t i = 0;

	for (s = f->sigs; s != NULL; s = s->next, i++)
		owners[i] = s->addresses == NULL ? OWNER_NONE
			    : slice_eq_str(s->addresses->value, "vanthu@x.example")
				? OWNER_FUNCTIONAL
				: OWNER_PERSON;
}

/* The manager signs decisions by order (TL.) and in his own name, eve everything in the head's place (P11). */
static const struct rule_authority *
authorities_of(const struct findings *f, struct rule_authority out[FINDINGS_SIGS_MAX])
{
	static struct slice manager[2], eve[1];
	const struct find_sig *s;
	size_t i = 0;

	manager[0] = slice_str("TB;*");
	manager[1] = slice_str("qđ; TL");
	eve[0] = slice_str("*;KT");
	for (s = f->sigs; s != NULL; s = s->next, i++) {
		bool is_eve =
		    s->addresses != NULL && slice_eq_str(s->addresses->value, "eve@x.example");

		out[i] =
		    is_eve ? (struct rule_authority){eve, 1} : (struct rule_authority){manager, 2};
	}
	return out;
}

static const char *const free_mail[] = {"gmail.com"}, *const symbols[] = {"H99=UBND", "H99.02=SNV"};
static const char *const inside[] = {"x.example", "gov.vn"};
static const struct rule_settings settings = {free_mail, 1, symbols, 2, 100, inside, 2, NULL, 0};

static void
judge(struct slice m, const struct one *t)
{
	static const char *const banned[] = {"exe", "js", "scr", "bat", "jar"};
	static const char *const names[] = {"X-VN-Doc"};
	bool ours = strcmp(t->who, "citizen") != 0;
	struct scan_params p = {.trust = trust,
	    .domain = slice_str(ours ? "x.example" : "y.example"),
	    .now = (int64_t)time(NULL),
	    .banned = banned,
	    .n_banned = 5};
	struct arena *a = arena_new(8 << 20), *a2 = arena_new(8 << 20);
	struct slice header = slice_sub(m, 0, hdr_body_offset(m)), rcpt;
	struct findings f, wire;
	struct rule_facts facts;
	struct verdict v;
	unsigned char owners[FINDINGS_SIGS_MAX];
	struct rule_authority authorities[FINDINGS_SIGS_MAX];
	struct buf enc, reply;
	const char *got;

	findings_init(&f, a);
	scan_message(m, &p, &f);
	buf_init(&enc, 1 << 22);
	assert_int_equal(findings_encode(&f, &enc), 0);
	assert_int_equal(findings_decode(buf_slice(&enc), a2, &wire), 0);
	buf_done(&enc);
	memset(&facts, 0, sizeof facts);
	facts.scan = &wire;
	facts.authenticated = ours;
	assert_int_equal(facts_read(header, a2, &facts), 0);
	for (size_t i = 0; i < facts.n_authors; i++) {
		facts.authors[i].is_ours = facts.authors[i].may_send_as = ours;
		facts.authors[i].agency = slice_str(ours ? "H99.02" : "");
		facts.authors[i].owner =
		    strcmp(t->who, "office") == 0 ? OWNER_FUNCTIONAL : OWNER_PERSON;
	}
	facts_official(header, names, 1, &facts);
	assert_int_equal(facts_document(header, names, 1, a2, &facts), 0);
	assert_int_equal(facts_auto_forward(header, a2, &facts), 0);
	facts.settings = &settings;
	rcpt = slice_str(strstr(t->name, "free_mail") != NULL ? "dan@Gmail.com" : "an@x.example");
	facts.rcpts = &rcpt;
	facts.n_rcpts = 1;
	set_owners(&wire, owners);
	facts.sig_owners = owners;
	facts.sig_authority = authorities_of(&wire, authorities);
	rule_judge(&facts, &v);
	got = v.decision != NULL ? v.decision->id : "ok";
	if (strcmp(got, t->rule) != 0) {
		for (const struct find_note *n = wire.notes; n != NULL; n = n->next)
			print_error("  %.*s: %.*s\n", (int)n->id.len, (const char *)n->id.ptr,
			    (int)n->detail.len, (const char *)n->detail.ptr);
		fail_msg("%s: %s (%s), expected %s", t->name, got, buf_cstr(&v.detail), t->rule);
	}
	look_for(&wire, &v, t);
	/* what is refused says why, within one line of SMTP */
	buf_init(&reply, 1000);
	if (v.decision != NULL) {
		rule_reply(v.decision, buf_slice(&v.detail), slice_str("Q"), &reply);
		assert_true(reply.err == 0 && reply.len <= 490);
		assert_true(slice_starts(buf_slice(&reply), t->rule));
		assert_true(slice_find(buf_slice(&reply), slice_str(" / ")) > 0);
	}
	buf_done(&reply);
	verdict_done(&v);
	arena_free(a);
	arena_free(a2);
}

static void
one_case(void **state)
{
	const struct one *t = *state;
	struct timespec from, to;
	struct rusage use;
	char path[400];
	struct buf m;

	snprintf(path, sizeof path, "%s/%s.eml", dir, t->name);
	buf_init(&m, 64 << 20);
	slurp(path, &m);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	judge(buf_slice(&m), t);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	assert_true(to.tv_sec - from.tv_sec < 5);
	getrusage(RUSAGE_SELF, &use);
#ifndef CV_ASAN
	assert_true(use.ru_maxrss < 256 * 1024);
#endif
	buf_done(&m);
}

static size_t
load(void)
{
	char path[400], line[600];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof path, "%s/cases.tsv", dir);
	f = fopen(path, "r");
	while (f != NULL && n < CASES_MAX && fgets(line, sizeof line, f) != NULL) {
		struct one *t = &cases[n];
		char *at = line, *cell[4] = {NULL};

		line[strcspn(line, "\n")] = '\0';
		for (size_t i = 0; i < 4 && at != NULL; i++)
			cell[i] = strsep(&at, "\t");
		if (cell[3] == NULL)
			break;
		snprintf(t->name, sizeof t->name, "%s", cell[0]);
		snprintf(t->who, sizeof t->who, "%s", cell[1]);
		snprintf(t->rule, sizeof t->rule, "%s", cell[2]);
		snprintf(t->notes, sizeof t->notes, "%s", cell[3]);
		tests[n].name = t->name;
		tests[n].test_func = one_case;
		tests[n++].initial_state = t;
	}
	if (f != NULL)
		fclose(f);
	return n;
}

int
main(void)
{
	const char *src = getenv("srcdir") != NULL ? getenv("srcdir") : ".";
	char script[1000], certs[300];
	size_t n;
	int rc;

	if (mkdtemp(dir) == NULL)
		return 1;
	setlocale(LC_CTYPE, "C.UTF-8");
	snprintf(certs, sizeof certs, "%s/certs", dir);
	run((const char *const[]){"mkdir", certs, NULL});
	snprintf(script, sizeof script, "%s/tests/unit/smime_certs.sh", src);
	run((const char *const[]){"sh", script, certs, NULL});
	snprintf(script, sizeof script, "%s/tests/unit/cases_make.py", src);
	run((const char *const[]){"/usr/bin/python3", script, dir, certs, NULL});
	smime_init();
	scan_xml_init();
	scan_ole_init();
	snprintf(script, sizeof script, "%s/trust", certs);
	if (smime_trust_load(script, &trust) != 0 || (n = load()) < 40)
		return 1;
	rc = _cmocka_run_group_tests("cases", tests, n, NULL, NULL);
	smime_trust_free(trust);
	run((const char *const[]){"rm", "-rf", dir, NULL});
	return rc;
}
