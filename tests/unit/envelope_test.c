/* envelope_test.c: what mime_envelope writes is read back, part by part; hostile texts are refused. */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "lib/envelope.h"
#include "lib/err.h"
#include "lib/mime.h"

static const char *
part(struct slice text, enum envelope_part p)
{
	static char out[500];
	struct buf b;

	buf_init(&b, 400);
	assert_int_equal(envelope_part(text, p, &b), 0);
	snprintf(out, sizeof out, "%.*s", (int)b.len, (const char *)b.data);
	buf_done(&b);
	return out;
}

static void
reads_back(void **state)
{
	static const char header[] = "Date: Sun, 22 Nov 2026 08:00:00 +0700\r\n"
				     "From: \"Nguyễn \\\"An\\\"\" <an@stp.example>, b@x.example\r\n"
				     "To: a@x.example, (c) Group: g1@x.example, g2@x.example;\r\n"
				     "Subject: =?utf-8?Q?B=C3=A1o_c=C3=A1o?= \"quoted\" \\ back\r\n"
				     "In-Reply-To: <one@x>\r\n"
				     "Message-ID: <two@x>\r\n\r\n";
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(mime_envelope(slice_str(header), false, &b), 0);
	assert_string_equal(part(buf_slice(&b), ENVELOPE_MESSAGE_ID), "<two@x>");
	assert_string_equal(part(buf_slice(&b), ENVELOPE_IN_REPLY_TO), "<one@x>");
	assert_string_equal(part(buf_slice(&b), ENVELOPE_FROM), "an@stp.example");
	assert_string_equal(part(buf_slice(&b), ENVELOPE_TO), "a@x.example");
	assert_string_equal(part(buf_slice(&b), ENVELOPE_CC), "");
	assert_string_equal(part(buf_slice(&b), ENVELOPE_SUBJECT),
	    "=?utf-8?Q?B=C3=A1o_c=C3=A1o?= \"quoted\" \\ back");
	/* cut anywhere: refused or read, never past its end */
	for (size_t i = 0; i < b.len; i++) {
		struct buf out;

		buf_init(&out, 400);
		assert_int_equal(
		    envelope_part(slice_sub(buf_slice(&b), 0, i), ENVELOPE_MESSAGE_ID, &out),
		    i + 1 < b.len ? ERR_CORRUPT : 0);
		assert_true(i + 1 == b.len || out.len == 0);
		buf_done(&out);
	}
	buf_done(&b);
}

static void
hostile(void **state)
{
	static const char *const bad[] = {"", "(", "(NIL", "(\"a", "(\"a\\", "({5}\r\nab NIL",
	    "({9999999999}\r\n", "({x}\r\n", "NIL", "(NIL NIL ((NIL NIL \"a\" \"b\") NIL",
	    "(NIL NIL (NIL) NIL"};
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(
		    envelope_part(slice_str(bad[i]), ENVELOPE_MESSAGE_ID, &out), ERR_CORRUPT);
	assert_int_equal(envelope_part(slice_str("({3}\r\na\"b NIL"), ENVELOPE_DATE, &out), 0);
	assert_true(slice_eq_str(buf_slice(&out), "a\"b"));
	buf_done(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(reads_back), cmocka_unit_test(hostile)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
