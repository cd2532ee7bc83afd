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

/* For the store's search (milter/store_text.c): what an office wrote comes out as text, whatever wrote it; nothing is judged, and no more comes than is asked for. */
static void
texts_come_out(void **state)
{
	static const char *const names[] = {
	    "vb.docx", "vb.docm", "vb.odt", "vb.pdf", "vb.rtf", "vb.doc"};
	static const char want[] = "Kính gửi các sở, ban, ngành";
	struct scan_params p = {.now = 1795000000};
	struct findings f;
	char path[1200];

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct arena *a = arena_new(4 << 20);
		struct buf data, mail, text, little;

		buf_init(&data, 8 << 20);
		buf_init(&mail, 16 << 20);
		buf_init(&text, 960 << 10);
		buf_init(&little, 30);
		snprintf(path, sizeof path, "%s/tests/data/office/%s", src, names[i]);
		slurp(path, &data);
		/* signed clear: its parts are looked into as others */
		buf_append_str(&mail,
		    "MIME-Version: 1.0\r\nContent-Type: multipart/signed; "
		    "protocol=\"application/pkcs7-signature\"; "
		    "boundary=b\r\n\r\n--b\r\nContent-Type: "
		    "application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n");
		b64_encode(buf_slice(&data), true, &mail);
		buf_append_str(&mail,
		    "\r\n--b\r\nContent-Type: application/pkcs7-signature\r\n\r\nx\r\n--b--\r\n");
		findings_init(&f, a);
		p.text = &text;
		scan_message(buf_slice(&mail), &p, &f);
		if (slice_find(buf_slice(&text), slice_str(want)) < 0)
			fail_msg("%s: %s", names[i], buf_cstr(&text));
		assert_int_equal(f.n_sigs, 0);
		assert_int_equal(f.n_docs, 0);
		p.text = &little;
		scan_message(buf_slice(&mail), &p, &f);
		assert_true(little.err == 0 && little.len > 20 && little.len <= 30);
		/* cut between characters */
		assert_true(little.data[little.len - 1] == '\n');
		for (size_t n = 0; n + 1 < little.len; n++)
			assert_true(little.data[n] == text.data[n]);
		assert_true((text.data[little.len - 1] & 0xc0) != 0x80);
		buf_done(&data);
		buf_done(&mail);
		buf_done(&text);
		buf_done(&little);
		arena_free(a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(texts_come_out),
	    cmocka_unit_test(ordinary_files_pass), cmocka_unit_test(what_libreoffice_writes_passes),
	    cmocka_unit_test(p24_content_under_a_wrong_name),
	    cmocka_unit_test(p22_programs_and_macros), cmocka_unit_test(m06_what_costs_too_much),
	    cmocka_unit_test(p23_what_is_locked)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
