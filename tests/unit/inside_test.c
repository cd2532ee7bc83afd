/* inside_test.c: what stands inside other files, or acts, is found: by name, flag, finding and text. The files and what is expected of each: inside_make.py. */
#include "config.h"

#include "lib/hdr.h"
#include "lib/mime.h"
#include "milter/rule.h"
#include "milter/scan_priv.h"
#include "tests/unit/unit.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CASES_MAX 200

struct one {
	char file[16], name[100], rule[16], inner[100], note[40], text[60];
};
static struct one cases[CASES_MAX];
static struct CMUnitTest tests[CASES_MAX + 1];
static char dir[] = "/tmp/cv-inside-XXXXXX";

static void
run(const char *const argv[])
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "%s %s failed\n", argv[0], argv[1]);
		exit(1);
	}
}

static void
slurp(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "rb");
	int c;

	assert_non_null(f);
	while ((c = fgetc(f)) != EOF)
		buf_append_byte(out, (unsigned char)c);
	fclose(f);
}

static bool
ends_with(struct slice s, struct slice end)
{
	return s.len >= end.len && slice_eq(slice_from(s, s.len - end.len), end);
}

/* "name flag": a part whose path ends in that name has that flag. */
static void
look_for_part(const struct findings *f, const struct one *t)
{
	const char *space = strrchr(t->inner, ' ');
	struct slice name = slice_of(t->inner, (size_t)(space - t->inner));
	uint32_t flag = findings_flag_of(slice_str(space + 1));
	const struct find_part *p;

	assert_int_not_equal(flag, 0);
	for (p = f->parts; p != NULL; p = p->next) {
		if (ends_with(p->path, name) && (p->flags & flag) && (p->flags & PART_IN_ARCHIVE))
			return;
	}
	for (p = f->parts; p != NULL; p = p->next)
		print_error("  %.*s: %x\n", (int)p->path.len, (const char *)p->path.ptr, p->flags);
	fail_msg("%s: no part %s", t->name, t->inner);
}

/* What was read of the text shows in the facts of the document. */
static void
look_for_text(const struct findings *f, const struct one *t)
{
	const struct find_doc *d;

	for (d = f->docs; d != NULL; d = d->next) {
		if (slice_eq_str(d->symbol, t->text))
			return;
		print_error("  %.*s\n", (int)d->symbol.len, (const char *)d->symbol.ptr);
	}
	fail_msg("%s: %s was not read", t->name, t->text);
}

static void
one_case(void **state)
{
	static const char *const banned[] = {"exe", "js", "scr", "bat", "jar"};
	const struct one *t = *state;
	struct scan_params p = {
	    .domain = slice_str("y.example"), .now = 1795000000, .banned = banned, .n_banned = 5};
	struct arena *a = arena_new(4 << 20);
	struct rule_facts facts;
	struct findings f;
	struct verdict v;
	struct buf m, data;
	const char *got;
	char path[300];

	snprintf(path, sizeof path, "%s/%s", dir, t->file);
	buf_init(&data, 8 << 20);
	buf_init(&m, 16 << 20);
	slurp(path, &data);
	buf_append_str(&m, "From: dan@y.example\r\nMIME-Version: 1.0\r\n");
	buf_append_str(&m, "Content-Type: application/octet-stream\r\nContent-Disposition: "
			   "attachment; filename=\"");
	hdr_encode(slice_str(t->name), &m);
	buf_append_str(&m, "\"\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	b64_encode(buf_slice(&data), true, &m);
	assert_int_equal(m.err, 0);
	findings_init(&f, a);
	scan_message(buf_slice(&m), &p, &f);
	memset(&facts, 0, sizeof facts);
	facts.scan = &f;
	facts.from_fields = facts.n_authors = 1;
	facts.authors[0].address = slice_str("dan@y.example");
	facts.official_why = "";
	rule_judge(&facts, &v);
	got = v.decision != NULL ? v.decision->id : v.n_notes > 0 ? v.notes[0].rule->id : "ok";
	if (strcmp(got, t->rule) != 0)
		fail_msg("%s: %s (%s), expected %s", t->name, got, buf_cstr(&v.detail), t->rule);
	if (strcmp(t->inner, "-") != 0)
		look_for_part(&f, t);
	if (t->note[0] == '!')
		assert_false(findings_has_note(&f, t->note + 1));
	else if (strcmp(t->note, "-") != 0)
		assert_true(findings_has_note(&f, t->note));
	if (strcmp(t->text, "-") != 0)
		look_for_text(&f, t);
	verdict_done(&v);
	buf_done(&m);
	buf_done(&data);
	arena_free(a);
}

/* A document in front of the text costs all the time there is, or nothing is opened at all: the text's mark of secrecy decides all the same. */
static void
marks_behind_a_costly_document(void **state)
{
	struct buf m, data;
	char path[300];
	size_t i = 0;

	(void)state;
	while (strcmp(cases[i].name, "costly.docx") != 0)
		i++;
	snprintf(path, sizeof path, "%s/%s", dir, cases[i].file);
	buf_init(&data, 8 << 20);
	buf_init(&m, 16 << 20);
	slurp(path, &data);
	buf_append_str(&m, "From: dan@y.example\r\nMIME-Version: 1.0\r\n"
			   "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
			   "Content-Type: application/octet-stream; name=a.docx\r\n"
			   "Content-Transfer-Encoding: base64\r\n\r\n");
	b64_encode(buf_slice(&data), true, &m);
	buf_append_str(&m, "\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
			   "TUYỆT MẬT\r\n--b--\r\n");
	assert_int_equal(m.err, 0);
	for (i = 0; i < 2; i++) {
		struct scan_params p = {
		    .domain = slice_str("y.example"), .now = 1795000000, .shallow = i};
		struct arena *a = arena_new(4 << 20);
		struct rule_facts facts;
		struct findings f;
		struct verdict v;

		p.cpu_ms = i == 0;
		findings_init(&f, a);
		scan_message(buf_slice(&m), &p, &f);
		assert_int_equal(findings_has_note(&f, "scan_time"), i == 0);
		memset(&facts, 0, sizeof facts);
		facts.scan = &f;
		facts.from_fields = facts.n_authors = 1;
		facts.authors[0].address = slice_str("dan@y.example");
		facts.authors[0].is_ours = true;
		facts.official_why = "";
		rule_judge(&facts, &v);
		assert_non_null(v.decision);
		assert_string_equal(v.decision->id, "P12");
		verdict_done(&v);
		arena_free(a);
	}
	buf_done(&m);
	buf_done(&data);
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

		if (sscanf(line, "%15[^\t]\t%99[^\t]\t%15[^\t]\t%99[^\t]\t%39[^\t]\t%59[^\n]",
			t->file, t->name, t->rule, t->inner, t->note, t->text) != 6)
			break;
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
	char script[1000];
	size_t n;
	int rc;

	if (mkdtemp(dir) == NULL)
		return 1;
	setlocale(LC_CTYPE, "C.UTF-8");
	snprintf(script, sizeof script, "%s/tests/unit/inside_make.py", src);
	run((const char *const[]){"/usr/bin/python3", script, dir, NULL});
	scan_ole_init();
	if ((n = load()) < 60)
		return 1;
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(marks_behind_a_costly_document);
	rc = _cmocka_run_group_tests("inside", tests, n, NULL, NULL);
	run((const char *const[]){"rm", "-rf", dir, NULL});
	return rc;
}
