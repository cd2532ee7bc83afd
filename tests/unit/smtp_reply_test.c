/* smtp_reply_test.c: replies of servers, whatever they send; what EHLO offers. RFC 5321 4.2, RFC 2034. */
#include "config.h"

#include "tests/unit/unit.h"

#include "lib/err.h"
#include "smtpd/smtp_reply.h"

/* Reads all of text as one reply. */
static int
read_all(const char *text, struct smtp_reply *r)
{
	struct slice in = slice_str(text), line;
	size_t used;
	int err;

	smtp_reply_init(r);
	while ((err = smtp_reply_read(r, in, &used, &line)) == ERR_AGAIN && used > 0)
		in = slice_from(in, used);
	return err;
}

static void
test_lines(void **state)
{
	struct smtp_reply r;

	(void)state;
	assert_int_equal(read_all("250 2.0.0 Ok\r\n", &r), 0);
	assert_int_equal(r.code, 250);
	assert_string_equal(r.text, "2.0.0 Ok");
	/* several lines are one text, the enhanced code said once (RFC 2034 4) */
	assert_int_equal(read_all("550-5.7.1 P01 mot\r\n550-5.7.1 hai\r\n550 5.7.1 ba\r\n", &r), 0);
	assert_string_equal(r.text, "5.7.1 P01 mot hai ba");
	assert_int_equal(read_all("550-5.7.1 mot\r\n550 5.7.0 hai\r\n", &r), 0);
	assert_string_equal(r.text, "5.7.1 mot 5.7.0 hai");
	assert_int_equal(read_all("250\r\n", &r), 0);
	assert_string_equal(r.text, "");
	assert_int_equal(read_all("250 a\tb\x01\x7f"
				  "c\n",
			     &r),
	    0);
	assert_string_equal(r.text, "a b  c");
	assert_int_equal(read_all("250 wai", &r), ERR_AGAIN);
	assert_int_equal(read_all("250-wait\r\n", &r), ERR_AGAIN);
}

static void
test_not_replies(void **state)
{
	static const char *const bad[] = {"\r\n", "25\r\n", "2x0 a\r\n", "250_a\r\n", "199 a\r\n",
	    "600 a\r\n", "-50 a\r\n", "hello there\r\n"};
	struct smtp_reply r;
	struct buf b;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(read_all(bad[i], &r), ERR_PROTO);
	buf_init(&b, 4000000);
	for (int i = 0; i < 300; i++)
		buf_append_str(&b, "250-and more\r\n");
	assert_int_equal(read_all(buf_cstr(&b), &r), ERR_LIMIT);
	buf_reset(&b);
	for (int i = 0; i < 10000; i++)
		buf_append_byte(&b, '2');
	assert_int_equal(read_all(buf_cstr(&b), &r), ERR_LIMIT);
	buf_done(&b);
}

/* What is cut off is whole UTF-8 still. */
static void
test_long_text(void **state)
{
	struct smtp_reply r;
	struct buf b;

	(void)state;
	for (size_t lead = 0; lead < 4; lead++) {
		buf_init(&b, 8000);
		buf_append_str(&b, "550 ");
		buf_append(&b, "aaaa", lead);
		for (int i = 0; i < 400; i++)
			buf_append_str(&b, "ế");
		buf_append_str(&b, "\r\n");
		assert_int_equal(read_all(buf_cstr(&b), &r), 0);
		assert_in_range(r.len, SMTP_REPLY_TEXT_MAX - 3, SMTP_REPLY_TEXT_MAX);
		assert_int_equal((r.len - lead) % 3, 0);
		buf_done(&b);
	}
}

static void
test_ext(void **state)
{
	static const char *const lines[] = {"mx.example greets", "PIPELINING", "size 1000",
	    "8bitmime", "DSN", "SMTPUTF8", "AUTH LOGIN PLAIN", "STARTTLS", "XCVID"};
	struct smtp_ext e = {.bits = 0}, f = {.bits = 0};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		smtp_ext_note(&e, slice_str(lines[i]));
	assert_int_equal(e.bits, 255);
	smtp_ext_note(&e, slice_str("XCVSENT"));
	assert_int_equal(e.bits, 255 | SMTP_EXT_XCVSENT);
	assert_int_equal(e.size, 1000);
	smtp_ext_note(&f, slice_str("SIZE"));
	smtp_ext_note(&f, slice_str("AUTH=PLAIN"));
	smtp_ext_note(&f, slice_str("AUTH GSSAPI PLAINS"));
	smtp_ext_note(&f, slice_str("SIZE 99999999999999999999999"));
	smtp_ext_note(&f, slice_str(""));
	assert_int_equal(f.bits, SMTP_EXT_SIZE | SMTP_EXT_AUTH_PLAIN);
	assert_int_equal(f.size, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_not_replies), cmocka_unit_test(test_long_text),
	    cmocka_unit_test(test_ext)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
