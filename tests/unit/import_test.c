/* import_test.c: what is read of the folders of another mail server: mbox files (admin/mboxfile.c), names of a Maildir (admin/maildir.c), long listings in little
 * memory (admin/import_list.c). */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/import_list.h"
#include "admin/maildir.h"
#include "admin/mboxfile.h"
#include "lib/err.h"
#include "store/store_client.h"

/* ---- mbox ---- */

struct text {
	struct slice s;
	size_t most;
};

static int64_t
text_read(void *arg, uint64_t off, void *p, size_t n)
{
	const struct text *t = arg;

	if (off >= t->s.len)
		return 0;
	n = n < t->s.len - off ? n : (size_t)(t->s.len - off);
	n = n < t->most ? n : t->most;
	memcpy(p, t->s.ptr + off, n);
	return (int64_t)n;
}

static void
sink(void *arg, struct slice s)
{
	buf_append_slice(arg, s);
}

static void
check_messages(const char *file, enum mboxfile_quoting quoting, size_t most, size_t n, ...)
{
	struct text t = {slice_str(file), most};
	struct mboxfile_msg msg;
	struct mboxfile m;
	struct buf b;
	va_list ap;

	mboxfile_init(&m, text_read, &t, quoting);
	va_start(ap, n);
	for (size_t i = 0; i < n; i++) {
		buf_init(&b, 1 << 20);
		assert_int_equal(mboxfile_next(&m, &msg, sink, &b), 1);
		assert_string_equal(buf_cstr(&b), va_arg(ap, const char *));
		buf_done(&b);
		buf_done(&msg.keywords);
	}
	va_end(ap);
	assert_int_equal(mboxfile_next(&m, &msg, sink, NULL), 0);
	buf_done(&msg.keywords);
	mboxfile_done(&m);
}

#define F1 "From a@x Sat Nov 21 08:00:00 2020\n"

static void
test_messages(void **state)
{
	static const size_t reads[] = {1, 3, SIZE_MAX};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		check_messages("", MBOXFILE_AUTO, reads[i], 0);
		check_messages(F1 "A: 1\n\nx\n\n" F1 "A: 2\n\ny\n", MBOXFILE_AUTO, reads[i], 2,
		    "A: 1\n\nx\n", "A: 2\n\ny\n");
		/* CRLF files; no end of line at the end; empty lines of the body but the last one */
		check_messages("From a@x Sat Nov 21 08:00:00 2020\r\nA: 1\r\n\r\nx\r\n\r\n\r\n" F1
			       "A: 2\n\ny",
		    MBOXFILE_AUTO, reads[i], 2, "A: 1\r\n\r\nx\r\n\r\n", "A: 2\n\ny");
		/* "From " lines that begin nothing: no empty line before, no date */
		check_messages(F1 "A: 1\n\nx\n" F1 "\nFrom here on\n\n", MBOXFILE_AUTO, reads[i], 1,
		    "A: 1\n\nx\n" F1 "\nFrom here on\n");
		/* a header and no body; a header that is cut off */
		check_messages(F1 "A: 1\n" F1 "A: 2\n\n" F1 "A: 3", MBOXFILE_AUTO, reads[i], 3,
		    "A: 1\n", "A: 2\n\n", "A: 3");
	}
}

static void
test_quoting(void **state)
{
	static const char body[] = F1 "A: 1\n\n>From a\n>>From b\n> From c\nx >From d\n";

	(void)state;
	check_messages(
	    body, MBOXFILE_RD, SIZE_MAX, 1, "A: 1\n\nFrom a\n>From b\n> From c\nx >From d\n");
	check_messages(
	    body, MBOXFILE_O, SIZE_MAX, 1, "A: 1\n\nFrom a\n>>From b\n> From c\nx >From d\n");
	check_messages(
	    body, MBOXFILE_NONE, SIZE_MAX, 1, "A: 1\n\n>From a\n>>From b\n> From c\nx >From d\n");
	check_messages(
	    body, MBOXFILE_AUTO, SIZE_MAX, 1, "A: 1\n\nFrom a\n>From b\n> From c\nx >From d\n");
	/* a length that holds: the lines are as they were written */
	check_messages(F1 "Content-Length: 48\nA: 1\n\nx\n\n" F1 ">From q\ny\n\n\n" F1
			  "A: 2\n\nz\n",
	    MBOXFILE_AUTO, 5, 2, "A: 1\n\nx\n\n" F1 ">From q\ny\n\n", "A: 2\n\nz\n");
	/* one that does not is nothing */
	check_messages(F1 "Content-Length: 20\nA: 1\n\nx\n\n" F1 "B: 2\n\n>From q\n", MBOXFILE_AUTO,
	    SIZE_MAX, 2, "A: 1\n\nx\n", "B: 2\n\nFrom q\n");
	check_messages(F1 "Content-Length: 18446744073709551615\nA: 1\n\nx\n", MBOXFILE_AUTO,
	    SIZE_MAX, 1, "A: 1\n\nx\n");
	check_messages(F1 "Content-Length: 9223372036854775807\nA: 1\n\nx\n", MBOXFILE_AUTO,
	    SIZE_MAX, 1, "A: 1\n\nx\n");
}

static void
test_own_fields(void **state)
{
	static const char file[] =
	    F1 "Status: RO\nX-Status: AF\nX-Keywords: one two\n three\nX-UID: 5\n  6\nSubject: s\n"
	       "X-Mozilla-Status: 1008\nContent-Length: 2\n\nx\n";
	static const char inner[] =
	    F1 "X-IMAP: 1 2\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\nx\n\n" F1
	       "Status: O\nX-Status: TD\n\ny\n";
	struct text t = {slice_str(file), SIZE_MAX};
	struct mboxfile_msg msg;
	struct mboxfile m;
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	mboxfile_init(&m, text_read, &t, MBOXFILE_AUTO);
	assert_int_equal(mboxfile_next(&m, &msg, sink, &b), 1);
	assert_string_equal(buf_cstr(&b), "Subject: s\n\nx\n");
	assert_int_equal(msg.flags, MSG_SEEN | MSG_ANSWERED | MSG_FLAGGED | MSG_DELETED);
	assert_string_equal(buf_cstr(&msg.keywords), "one two $Forwarded");
	assert_false(msg.internal);
	buf_done(&msg.keywords);
	mboxfile_done(&m);
	t.s = slice_str(inner);
	mboxfile_init(&m, text_read, &t, MBOXFILE_AUTO);
	assert_int_equal(mboxfile_next(&m, &msg, sink, &b), 1);
	assert_true(msg.internal);
	assert_int_equal(mboxfile_next(&m, &msg, sink, &b), 1);
	assert_false(msg.internal);
	assert_int_equal(msg.flags, MSG_DRAFT | MSG_DELETED);
	mboxfile_done(&m);
	buf_done(&b);
}

static void
test_not_an_mbox(void **state)
{
	struct text t = {slice_str("Subject: x\n\nx\n"), SIZE_MAX};
	struct mboxfile_msg msg;
	struct mboxfile m;

	(void)state;
	mboxfile_init(&m, text_read, &t, MBOXFILE_AUTO);
	assert_int_equal(mboxfile_next(&m, &msg, sink, NULL), ERR_SYNTAX);
	mboxfile_done(&m);
}

/* A line of a gigabyte would be read in pieces of the window; here of some. */
static void
test_long_lines(void **state)
{
	struct text t;
	struct mboxfile_msg msg;
	struct mboxfile m;
	struct buf file, b;

	(void)state;
	buf_init(&file, 1 << 21);
	buf_init(&b, 1 << 21);
	buf_append_str(&file, F1 "A: ");
	for (int i = 0; i < 200000; i++)
		buf_append_byte(&file, 'h');
	buf_append_str(&file, "\nStatus: R");
	for (int i = 0; i < 200000; i++)
		buf_append_byte(&file, ' ');
	buf_append_str(&file, "\n\n>From ");
	for (int i = 0; i < 200000; i++)
		buf_append_byte(&file, 'b');
	buf_append_str(&file, "\n\n" F1 "A: 2\n\n");
	t = (struct text){buf_slice(&file), SIZE_MAX};
	mboxfile_init(&m, text_read, &t, MBOXFILE_AUTO);
	assert_int_equal(mboxfile_next(&m, &msg, sink, &b), 1);
	assert_int_equal(b.len, 3 + 200000 + 1 + 1 + 5 + 200000 + 1);
	assert_int_equal(msg.flags, MSG_SEEN);
	assert_int_equal(mboxfile_next(&m, &msg, sink, &b), 1);
	assert_int_equal(mboxfile_next(&m, &msg, sink, &b), 0);
	mboxfile_done(&m);
	buf_done(&file);
	buf_done(&b);
}

static void
test_from_lines(void **state)
{
	static const struct {
		const char *line;
		int64_t date;
		int zone;
	} good[] = {
	    {"From a@x Sat Nov 21 08:00:00 2020 +0700", 1605920400, 420},
	    {"From a@x Sat Nov 21 08:00:00 +0700 2020", 1605920400, 420},
	    {"From a@x Sat Nov 21 01:00:00 GMT 2020", 1605920400, 0},
	    {"From a@x  Sat Nov  1 01:00 2020 -0030", 1604194200, -30},
	    {"From \"a b\" c Mon x Sat Nov 21 01:00:00 2020 UTC remote from y", 1605920400, 0},
	    {"From  Sat Nov 21 01:00:00 2020 GMT", 1605920400, 0},
	};
	static const char *const bad[] = {"From a@x", "from a@x Sat Nov 21 08:00:00 2020",
	    ">From a@x Sat Nov 21 08:00:00 2020", "From a@x Sat Nov 32 08:00:00 2020",
	    "From a@x Sat Nov 21 24:00:00 2020", "From a@x Sat Nov 21 08:00:00 20200",
	    "From a@x Sat Nov 21 08:00:00 1969", "From a@x Xxx Nov 21 08:00:00 2020",
	    "From a@x Sat Nov 21 08:00:00 2020x", "From a@x Sat Nov 21 08:00:00 ", "From "};
	int64_t date;
	int zone;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_true(mboxfile_from_line(slice_str(good[i].line), &date, &zone));
		assert_int_equal(date, good[i].date);
		assert_int_equal(zone, good[i].zone);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(mboxfile_from_line(slice_str(bad[i]), &date, &zone));
	/* without a zone: local time */
	setenv("TZ", "Asia/Ho_Chi_Minh", 1);
	tzset();
	assert_true(
	    mboxfile_from_line(slice_str("From a@x Sat Nov 21 08:00:00 2020"), &date, &zone));
	assert_int_equal(date, 1605920400);
	assert_int_equal(zone, 420);
}

/* ---- Maildir ---- */

static void
test_message_names(void **state)
{
	struct maildir_name n = maildir_name_parse(slice_str("1600000000.M42P7.h,S=5:2,DFPRSTab"));

	(void)state;
	assert_true(slice_eq_str(n.base, "1600000000.M42P7.h,S=5"));
	assert_true(n.time == 1600000000000042);
	assert_int_equal(n.flags, MSG_DRAFT | MSG_FLAGGED | MSG_ANSWERED | MSG_SEEN | MSG_DELETED);
	assert_true(n.passed);
	assert_int_equal(n.keywords, 3);
	n = maildir_name_parse(slice_str("1600000000.M42P7.h"));
	assert_int_equal(n.flags, 0);
	assert_true(slice_eq_str(n.base, "1600000000.M42P7.h"));
	n = maildir_name_parse(slice_str("a:1,S"));
	assert_int_equal(n.flags, 0);
	n = maildir_name_parse(slice_str("a;2,S"));
	assert_int_equal(n.flags, MSG_SEEN);
	n = maildir_name_parse(slice_str("a:2,S:2,F"));
	assert_int_equal(n.flags, MSG_FLAGGED);
	assert_true(slice_eq_str(n.base, "a:2,S"));
	n = maildir_name_parse(slice_str("99999999999999999999999:2,S,F"));
	assert_int_equal(n.flags, MSG_SEEN);
	n = maildir_name_parse(slice_str(""));
	assert_int_equal(n.base.len, 0);
}

static void
test_keywords(void **state)
{
	struct maildir_keywords k;

	(void)state;
	maildir_keywords_parse(
	    slice_str("0 one\n1 t(w\n25 last\n26 more\nx y\n3  spaced \n-1 no\n0 again"), &k);
	assert_string_equal(k.name[0], "again");
	assert_null(k.name[1]);
	assert_string_equal(k.name[25], "last");
	assert_string_equal(k.name[3], "spaced");
	maildir_keywords_done(&k);
	assert_false(maildir_keyword_ok(slice_str("")));
	assert_false(maildir_keyword_ok(slice_str("\\Seen")));
	assert_false(maildir_keyword_ok(slice_str("x\x80")));
	assert_true(maildir_keyword_ok(slice_str("$Label1")));
}

static void
check_folder(const char *dir, int err, const char *name)
{
	struct buf b;

	buf_init(&b, 8192);
	assert_int_equal(maildir_folder_name(slice_str(dir), &b), err);
	if (err == 0)
		assert_string_equal(buf_cstr(&b), name);
	buf_done(&b);
}

static void
test_folder_names(void **state)
{
	(void)state;
	check_folder(".Sent", 0, "Sent");
	check_folder(".Sent.2024", 0, "Sent/2024");
	check_folder(".D&HvE- &AOE-n", 0, "Dự án");
	check_folder(".a &- b", 0, "a & b");
	check_folder(".Dự án", 0, "Dự án"); /* a server that writes UTF-8 */
	check_folder(".u\xcc\x9b", 0, "ư"); /* and one that takes letters apart */
	check_folder(".&bad", 0, "&bad");
	check_folder(".x\xffy", 0, "x_y");
	check_folder(".%*\x07/", 0, "____");
	check_folder(".A..B.", 0, "A/B");
	check_folder(".a\\2eb\\2F", 0, "a.b_");
	check_folder(".\xe2\x80\xa8", 0, "_");
	check_folder(".", ERR_SYNTAX, NULL);
	check_folder("..", ERR_SYNTAX, NULL);
	check_folder("Sent", ERR_SYNTAX, NULL);
	check_folder(
	    ".1.2.3.4.5.6.7.8.9.0.1.2.3.4.5.6.7.8.9.0.1.2.3.4.5.6.7.8.9.0.1.2.3", ERR_SYNTAX, NULL);
}

/* ---- listings ---- */

static bool
take_all(void *arg, const char *name, uint64_t *key, size_t *base)
{
	struct maildir_name n = maildir_name_parse(slice_str(name));

	(void)arg;
	*key = n.time;
	*base = n.base.len;
	return true;
}

static void
test_listing(void **state)
{
	char dir[] = "import-test-XXXXXX", path[64];
	struct import_list l;
	int fds[2], fd;
	unsigned n = 0, lists = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	fds[0] = -1;
	fds[1] = open(dir, O_RDONLY | O_DIRECTORY);
	assert_true(fds[1] >= 0);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(path, sizeof path, "%u.M%uP.h:2,%s", 100 + i * 7919 % 1000, i,
		    i % 2 ? "S" : "");
		fd = openat(fds[1], path, O_WRONLY | O_CREAT, 0600);
		assert_true(fd >= 0);
		close(fd);
	}
	/* the same message twice: renamed while the folder was read */
	snprintf(path, sizeof path, "%u.M%uP.h:2,F", 100, 0);
	close(openat(fds[1], path, O_WRONLY | O_CREAT, 0600));
	assert_int_equal(import_list_count(fds, 2, take_all, NULL), 1001);
	import_list_init(&l, 64);
	for (;;) {
		assert_int_equal(import_list_next(&l, fds, 2, take_all, NULL), 0);
		if (l.n == 0)
			break;
		assert_true(l.n <= 64);
		lists++;
		for (size_t i = 0; i < l.n; i++, n++)
			assert_int_equal(strtoul(l.v[i].name, NULL, 10), 100 + n);
	}
	assert_int_equal(n, 1000);
	assert_true(lists >= 1000 / 64);
	import_list_done(&l);
	import_list_init(&l, 10000);
	assert_int_equal(import_list_next(&l, fds, 2, take_all, NULL), 0);
	assert_int_equal(l.n, 1000);
	for (size_t i = 0; i < l.n; i++) {
		unlinkat(fds[1], l.v[i].name, 0);
	}
	unlinkat(fds[1], "100.M0P.h:2,", 0);
	unlinkat(fds[1], path, 0);
	assert_int_equal(import_list_next(&l, fds, 2, take_all, NULL), 0);
	assert_int_equal(l.n, 0);
	import_list_done(&l);
	close(fds[1]);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_messages),
	    cmocka_unit_test(test_quoting),
	    cmocka_unit_test(test_own_fields),
	    cmocka_unit_test(test_not_an_mbox),
	    cmocka_unit_test(test_long_lines),
	    cmocka_unit_test(test_from_lines),
	    cmocka_unit_test(test_message_names),
	    cmocka_unit_test(test_keywords),
	    cmocka_unit_test(test_folder_names),
	    cmocka_unit_test(test_listing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
