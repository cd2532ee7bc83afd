/* smtp_parse_test.c: command lines, parameters, and where a message ends. */
#include "config.h"

#include "smtpd/smtp_parse.h"

#include "lib/err.h"

#include "tests/unit/unit.h"

static struct arena *a;

static void
test_line(void **state)
{
	struct slice line;
	size_t used = 0;

	(void)state;
	assert_int_equal(smtp_line(slice_str("NOOP\r\nX"), 100, &line, &used), 0);
	assert_true(slice_eq_str(line, "NOOP"));
	assert_int_equal(used, 6);
	assert_int_equal(smtp_line(slice_str("\r\n"), 100, &line, &used), 0);
	assert_int_equal(line.len, 0);
	assert_int_equal(smtp_line(slice_str("NOOP\r"), 100, &line, &used), ERR_AGAIN);
	assert_int_equal(smtp_line(slice_str("NOOP\n"), 100, &line, &used), ERR_SYNTAX);
	assert_int_equal(used, 5);
	assert_int_equal(smtp_line(slice_str("a\rb\r\n"), 100, &line, &used), ERR_SYNTAX);
	assert_int_equal(smtp_line(slice_of("a\0b\r\n", 5), 100, &line, &used), ERR_SYNTAX);
	assert_int_equal(smtp_line(slice_str("\n"), 100, &line, &used), ERR_SYNTAX);
	assert_int_equal(smtp_line(slice_str("123456789\r\n"), 11, &line, &used), 0);
	assert_int_equal(smtp_line(slice_str("1234567890\r\n"), 11, &line, &used), ERR_LIMIT);
	assert_int_equal(smtp_line(slice_str("12345678901"), 11, &line, &used), ERR_LIMIT);
}

static void
test_split(void **state)
{
	struct slice v, r;

	(void)state;
	smtp_split(slice_str("MAIL FROM:<a@b> SIZE=1  "), &v, &r);
	assert_true(slice_eq_str(v, "MAIL"));
	assert_true(slice_eq_str(r, "FROM:<a@b> SIZE=1"));
	smtp_split(slice_str("QUIT"), &v, &r);
	assert_true(slice_eq_str(v, "QUIT"));
	assert_int_equal(r.len, 0);
	smtp_split(slice_str(""), &v, &r);
	assert_int_equal(v.len, 0);
}

static int
mail(const char *args, bool lenient, struct smtp_mail *m)
{
	arena_reset(a);
	return smtp_mail_parse(slice_str(args), lenient, a, m);
}

static void
test_mail(void **state)
{
	struct smtp_mail m;

	(void)state;
	assert_int_equal(mail("FROM:<An@TinhMau.example>", false, &m), 0);
	assert_true(slice_eq_str(m.from, "An@tinhmau.example"));
	assert_int_equal(m.size, 0);
	assert_null(m.ret.ptr);
	assert_int_equal(mail("from:<>", false, &m), 0);
	assert_int_equal(m.from.len, 0);
	assert_int_equal(mail("FROM:<a@b.example> SIZE=1000 BODY=8BITMIME SMTPUTF8 RET=hdrs "
			      "ENVID=a+2Bb AUTH=<>",
			     false, &m),
	    0);
	assert_int_equal(m.size, 1000);
	assert_true(m.body_8bit && m.smtputf8);
	assert_true(slice_eq_str(m.ret, "HDRS"));
	assert_true(slice_eq_str(m.envid, "a+2Bb"));
	assert_null(m.judge_id.ptr);
	assert_int_equal(mail("FROM:<a@b.example> XCVID=000102030405060708090A0B0C0D0E0F "
			      "XCVLOGIN=616e XCVADDR=3139322e302e322e31",
			     false, &m),
	    0);
	assert_int_equal(m.judge_id.len, 16);
	assert_int_equal(m.judge_id.ptr[15], 15);
	assert_true(slice_eq_str(m.judge_login, "an") && slice_eq_str(m.judge_ip, "192.0.2.1"));
	assert_int_equal(mail("FROM:<a@b.example> BODY=7BIT", false, &m), 0);
	assert_false(m.body_8bit);
	/* Outlook's space, on submission only */
	assert_int_equal(mail("FROM: <a@b.example>", true, &m), 0);
	assert_int_equal(mail("FROM: <a@b.example>", false, &m), ERR_SYNTAX);
}

static void
test_mail_refused(void **state)
{
	static const struct {
		const char *args;
		int err;
	} bad[] = {
	    {"", ERR_SYNTAX},
	    {"TO:<a@b.example>", ERR_SYNTAX},
	    {"FROM:a@b.example", ERR_SYNTAX},
	    {"FROM:<a@b.example>SIZE=1", ERR_SYNTAX},
	    {"FROM:<a b@c.example>", ERR_RANGE},
	    {"FROM:<a@>", ERR_RANGE},
	    {"FROM:<a@b.example", ERR_RANGE},
	    {"FROM:<a@b.example> SIZE=", ERR_SYNTAX},
	    {"FROM:<a@b.example> SIZE=x", ERR_SYNTAX},
	    {"FROM:<a@b.example> SIZE=-1", ERR_SYNTAX},
	    {"FROM:<a@b.example> SIZE=99999999999999999999999", ERR_SYNTAX},
	    {"FROM:<a@b.example> SIZE", ERR_SYNTAX},
	    {"FROM:<a@b.example> SIZE=1 SIZE=2", ERR_EXISTS},
	    {"FROM:<a@b.example> BODY=BINARYMIME", ERR_SYNTAX},
	    {"FROM:<a@b.example> SMTPUTF8=1", ERR_SYNTAX},
	    {"FROM:<a@b.example> RET=ALL", ERR_SYNTAX},
	    {"FROM:<a@b.example> ENVID=a+2", ERR_SYNTAX},
	    {"FROM:<a@b.example> ENVID=a+2b", ERR_SYNTAX},
	    {"FROM:<a@b.example> ENVID==", ERR_SYNTAX},
	    {"FROM:<a@b.example> XCVIDS=00", ERR_UNSUPPORTED},
	    {"FROM:<a@b.example> XCVID=00", ERR_SYNTAX},
	    {"FROM:<a@b.example> XCVID=0123456789abcdef0123456789abcdeg", ERR_SYNTAX},
	    {"FROM:<a@b.example> XCVLOGIN", ERR_SYNTAX},
	    {"FROM:<a@b.example> XCVLOGIN=", ERR_SYNTAX},
	    {"FROM:<a@b.example> XCVLOGIN=610062", ERR_SYNTAX},
	    {"FROM:<a@b.example> XCVADDR=3a3a31 XCVADDR=3a3a31", ERR_EXISTS},
	    {"FROM:<a@b.example> =1", ERR_SYNTAX},
	};
	struct smtp_mail m;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (mail(bad[i].args, false, &m) != bad[i].err)
			fail_msg("%s: %s", bad[i].args, err_name(mail(bad[i].args, false, &m)));
}

static int
rcpt(const char *args, struct smtp_rcpt *r)
{
	arena_reset(a);
	return smtp_rcpt_parse(slice_str(args), false, a, r);
}

static void
test_rcpt(void **state)
{
	struct smtp_rcpt r;

	(void)state;
	assert_int_equal(rcpt("TO:<a@b.example> NOTIFY=SUCCESS,delay ORCPT=rfc822;a@b", &r), 0);
	assert_true(slice_eq_str(r.to, "a@b.example"));
	assert_int_equal(r.notify, SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY);
	assert_true(slice_eq_str(r.orcpt, "rfc822;a@b"));
	assert_int_equal(rcpt("TO:<Postmaster>", &r), 0);
	assert_int_equal(slice_index(r.to, '@'), -1);
	assert_int_equal(rcpt("TO:<@relay.example:a@b.example>", &r), 0);
	assert_true(slice_eq_str(r.to, "a@b.example"));
	assert_int_equal(r.notify, 0);
	assert_int_equal(rcpt("TO:<>", &r), ERR_RANGE);
	assert_int_equal(rcpt("TO:<a@b.example> NOTIFY=NEVER", &r), 0);
	assert_int_equal(rcpt("TO:<a@b.example> NOTIFY=NEVER,SUCCESS", &r), ERR_SYNTAX);
	assert_int_equal(rcpt("TO:<a@b.example> NOTIFY=SUCCESS,SUCCESS", &r), ERR_SYNTAX);
	assert_int_equal(rcpt("TO:<a@b.example> NOTIFY=SUCCESS,", &r), ERR_SYNTAX);
	assert_int_equal(rcpt("TO:<a@b.example> NOTIFY", &r), ERR_SYNTAX);
	assert_int_equal(rcpt("TO:<a@b.example> ORCPT=a", &r), ERR_SYNTAX);
	assert_int_equal(rcpt("TO:<a@b.example> SIZE=1", &r), ERR_UNSUPPORTED);
}

static void
test_bdat(void **state)
{
	uint64_t n = 7;
	bool last = false;

	(void)state;
	assert_int_equal(smtp_bdat_parse(slice_str("100 LAST"), &n, &last), 0);
	assert_int_equal(n, 100);
	assert_true(last);
	assert_int_equal(smtp_bdat_parse(slice_str("0"), &n, &last), 0);
	assert_false(last);
	assert_int_equal(smtp_bdat_parse(slice_str(""), &n, &last), ERR_SYNTAX);
	assert_int_equal(smtp_bdat_parse(slice_str("x"), &n, &last), ERR_SYNTAX);
	assert_int_equal(smtp_bdat_parse(slice_str("1 LATER"), &n, &last), ERR_SYNTAX);
	assert_int_equal(smtp_bdat_parse(slice_str("1 LAST x"), &n, &last), ERR_SYNTAX);
	assert_int_equal(smtp_bdat_parse(slice_str("18446744073709551615"), &n, &last), ERR_SYNTAX);
}

/* Feeds in pieces of n; gives what was left over. */
static struct slice
feed(struct smtp_data *d, struct slice in, size_t n, struct buf *out)
{
	while (in.len > 0 && !d->at_end) {
		size_t used = smtp_data_read(d, slice_sub(in, 0, n), out);
		in = slice_from(in, used);
	}
	return in;
}

static void
check_data(const char *in, const char *want, enum smtp_data_fault fault, const char *left)
{
	for (size_t n = 1; n <= strlen(in); n++) {
		struct smtp_data d;
		struct buf out;
		buf_init(&out, 1 << 20);
		smtp_data_init(&d, true);
		struct slice rest = feed(&d, slice_str(in), n, &out);
		assert_int_equal(d.fault, fault);
		assert_true(slice_eq_str(rest, left));
		assert_true(d.at_end);
		if (fault == SMTP_DATA_OK)
			assert_string_equal(buf_cstr(&out), want);
		buf_done(&out);
	}
}

static void
test_data(void **state)
{
	(void)state;
	check_data("a: b\r\n\r\ntext\r\n.\r\nQUIT\r\n", "a: b\r\n\r\ntext\r\n", 0, "QUIT\r\n");
	check_data(".\r\n", "", 0, "");
	check_data("..\r\n...x\r\n.y\r\na.b\r\n.\r\n", ".\r\n..x\r\ny\r\na.b\r\n", 0, "");
	check_data("\r\n\r\n.\r\n.\r\n", "\r\n\r\n", 0, ".\r\n");
	/* nothing but CRLF.CRLF ends it: what looks like it is refused, and read on */
	check_data("a\n.\nb\r\n.\r\nX", "", SMTP_DATA_BARE_LF, "X");
	check_data("a\r\n.\nb\r\n.\r\nX", "", SMTP_DATA_BARE_LF, "X");
	check_data("a\n.\r\nb\r\n.\r\nX", "", SMTP_DATA_BARE_LF, "X");
	check_data("a\r.\r\nb\r\n.\r\nX", "", SMTP_DATA_BARE_CR, "X");
	check_data("a\r\n.\rb\r\n.\r\nX", "", SMTP_DATA_BARE_CR, "X");
	check_data("a\r\r\n.\r\nX", "", SMTP_DATA_BARE_CR, "X");
	check_data("a\r\n.\r\r\n.\r\nX", "", SMTP_DATA_BARE_CR, "X");
}

static void
test_data_bounds(void **state)
{
	struct smtp_data d;
	struct buf in, out;

	(void)state;
	buf_init(&in, 1 << 22);
	buf_init(&out, 1 << 22);
	/* a NUL */
	smtp_data_init(&d, true);
	feed(&d, slice_of("a\0b\r\n.\r\n", 8), 100, &out);
	assert_int_equal(d.fault, SMTP_DATA_NUL);
	assert_true(d.at_end);
	/* a line of exactly the most, in the body */
	for (int more = 0; more < 2; more++) {
		buf_reset(&in);
		buf_append_str(&in, "a: b\r\n\r\n");
		for (int i = 0; i < SMTP_LINE_MAX + more; i++)
			buf_append_byte(&in, 'x');
		buf_append_str(&in, "\r\n.\r\n");
		buf_reset(&out);
		smtp_data_init(&d, true);
		feed(&d, buf_slice(&in), 5000, &out);
		assert_int_equal(d.fault, more ? SMTP_DATA_LONG_LINE : SMTP_DATA_OK);
		assert_true(d.at_end);
		assert_false(d.eight_bit);
	}
	/* a field of many short lines is as long as one line */
	buf_reset(&in);
	buf_append_str(&in, "a:\r\n");
	for (int i = 0; i < 1000; i++)
		buf_append_str(
		    &in, " 123456789012345678901234567890123456789012345678901234567890\r\n");
	buf_append_str(&in, "\r\n.\r\n");
	buf_reset(&out);
	smtp_data_init(&d, true);
	feed(&d, buf_slice(&in), 777, &out);
	assert_int_equal(d.fault, SMTP_DATA_LONG_FIELD);
	buf_done(&in);
	buf_done(&out);
}

static void
test_data_chunks(void **state)
{
	struct smtp_data d;
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	smtp_data_init(&d, false);
	assert_true(smtp_data_ends_clean(&d));
	feed(&d, slice_str("a: \xc4\x91\r\n\r"), 100, &out);
	assert_false(smtp_data_ends_clean(&d));
	feed(&d, slice_str("\n.\r\n..\r\n.\r\n"), 100, &out);
	assert_true(smtp_data_ends_clean(&d));
	assert_false(d.at_end);
	assert_true(d.eight_bit && d.header_eight_bit && !d.in_header);
	assert_string_equal(buf_cstr(&out), "a: \xc4\x91\r\n\r\n.\r\n..\r\n.\r\n");
	feed(&d, slice_str("end"), 100, &out);
	assert_false(smtp_data_ends_clean(&d));
	buf_done(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_line),
	    cmocka_unit_test(test_split),
	    cmocka_unit_test(test_mail),
	    cmocka_unit_test(test_mail_refused),
	    cmocka_unit_test(test_rcpt),
	    cmocka_unit_test(test_bdat),
	    cmocka_unit_test(test_data),
	    cmocka_unit_test(test_data_bounds),
	    cmocka_unit_test(test_data_chunks),
	};
	a = arena_new(1 << 20);
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(a);
	return r;
}
