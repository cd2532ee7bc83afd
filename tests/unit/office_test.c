/* office_test.c: files of everyday office life pass; those that must not are stopped by the rule that names them. The files: what
 * LibreOffice wrote (tests/data/office), and what office_make.py makes in the layouts of other producers. Each goes through as an
 * attachment with its own name, declared as mail clients do: as its type, as octet-stream, and with a wrong type. */
#include "config.h"

#include "lib/err.h"
#include "lib/hdr.h"
#include "lib/mime.h"
#include "milter/rule.h"
#include "milter/scan_message.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char dir[] = "/tmp/cv-office-XXXXXX";
static const char *src;

static void
run(const char *const argv[])
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int
setup(void **state)
{
	char script[1000];

	(void)state;
	src = getenv("srcdir") != NULL ? getenv("srcdir") : ".";
	setlocale(LC_CTYPE, "C.UTF-8");
	assert_non_null(mkdtemp(dir));
	snprintf(script, sizeof script, "%s/tests/unit/office_make.py", src);
	run((const char *const[]){"/usr/bin/python3", script, dir, NULL});
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	run((const char *const[]){"rm", "-rf", dir, NULL});
	return 0;
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

/* The rule that stops a mail from outside with this one attachment; "ok". */
static const char *
judge(const char *name, struct slice data, const char *type, char detail[200])
{
	static const char *const banned[] = {"exe", "js", "scr", "bat", "jar"};
	struct scan_params p = {
	    .domain = slice_str("y.example"), .now = 1795000000, .banned = banned, .n_banned = 5};
	struct arena *a = arena_new(4 << 20);
	struct rule_facts facts;
	struct findings f;
	struct verdict v;
	const char *id;
	struct buf m;

	buf_init(&m, 8 << 20);
	buf_append_str(&m, "From: dan@y.example\r\nMIME-Version: 1.0\r\n");
	buf_appendf(&m, "Content-Type: %s\r\nContent-Disposition: attachment; filename=\"", type);
	hdr_encode(slice_str(name), &m);
	buf_append_str(&m, "\"\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	b64_encode(data, true, &m);
	assert_int_equal(m.err, 0);
	findings_init(&f, a);
	scan_message(buf_slice(&m), &p, &f);
	memset(&facts, 0, sizeof facts);
	facts.scan = &f;
	facts.from_fields = facts.n_authors = 1;
	facts.authors[0].address = slice_str("dan@y.example");
	facts.official_why = "";
	rule_judge(&facts, &v);
	id = v.decision != NULL ? v.decision->id : v.n_notes > 0 ? v.notes[0].rule->id : "ok";
	snprintf(detail, 200, "%s",
	    v.decision != NULL ? buf_cstr(&v.detail)
	    : v.n_notes > 0    ? buf_cstr(&v.notes[0].detail)
			       : "");
	/* decoded octets, not those of the transfer encoding */
	assert_int_equal(f.attach_size, data.len);
	verdict_done(&v);
	buf_done(&m);
	arena_free(a);
	return id;
}

static unsigned
folder(const char *path, const char *want)
{
	static const char *const types[] = {"application/octet-stream", "application/msword",
	    "text/plain", "application/vnd.ms-excel"};
	char full[600], detail[200];
	struct dirent *e;
	unsigned wrong = 0, n = 0;
	struct buf data;
	size_t i;
	DIR *d = opendir(path);

	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(full, sizeof full, "%s/%s", path, e->d_name);
		buf_init(&data, 4 << 20);
		slurp(full, &data);
		for (i = 0; i < sizeof types / sizeof *types; i++) {
			const char *got = judge(e->d_name, buf_slice(&data), types[i], detail);

			if (strcmp(got, want) != 0) {
				print_error("%s as %s: %s (%s), expected %s\n", e->d_name, types[i],
				    got, detail, want);
				wrong++;
			}
		}
		buf_done(&data);
		n++;
	}
	closedir(d);
	assert_true(n > 0);
	return wrong;
}

static void
stopped_by(const char *rule)
{
	char path[300];

	snprintf(path, sizeof path, "%s/%s", dir, rule);
	assert_int_equal(folder(path, rule), 0);
}

static void
ordinary_files_pass(void **state)
{
	(void)state;
	stopped_by("ok");
}

static void
what_libreoffice_writes_passes(void **state)
{
	char path[1000];

	(void)state;
	snprintf(path, sizeof path, "%s/tests/data/office", src);
	assert_int_equal(folder(path, "ok"), 0);
}

static void
p24_content_under_a_wrong_name(void **state)
{
	(void)state;
	stopped_by("P24");
}

static void
p22_programs_and_macros(void **state)
{
	(void)state;
	stopped_by("P22");
}

/* Each costs seconds where nobody counts: a scanner that dies of it would see the mail again and again. */
static void
m06_what_costs_too_much(void **state)
{
	struct timespec from, to;

	(void)state;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	stopped_by("M06");
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	assert_true(to.tv_sec - from.tv_sec < 20);
}

static void
p23_what_is_locked(void **state)
{
	(void)state;
	stopped_by("P23");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(ordinary_files_pass),
	    cmocka_unit_test(what_libreoffice_writes_passes),
	    cmocka_unit_test(p24_content_under_a_wrong_name),
	    cmocka_unit_test(p22_programs_and_macros), cmocka_unit_test(m06_what_costs_too_much),
	    cmocka_unit_test(p23_what_is_locked)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
