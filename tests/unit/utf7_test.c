/* utf7_test.c: names of mailboxes on the wire and what a name may be. RFC 3501 5.1.3. */
#include "tests/unit/check.h"

#include "lib/err.h"
#include "lib/utf7.h"

static void
both_ways(const char *utf7, const char *utf8)
{
	struct buf b;

	buf_init(&b, 4096);
	assert_int_equal(utf7_to_utf8(slice_str(utf7), &b), 0);
	check_buf(&b, utf8);
	buf_reset(&b);
	assert_int_equal(utf7_from_utf8(slice_str(utf8), &b), 0);
	check_buf(&b, utf7);
	buf_done(&b);
}

static void
names_both_ways(void **state)
{
	(void)state;
	both_ways("", "");
	both_ways("INBOX", "INBOX");
	both_ways(
	    "~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"); /* RFC 3501 5.1.3 */
	both_ways("&Jjo-!", "☺!");
	both_ways("&Jjo-&-", "☺&");
	both_ways("Tom &- Jerry", "Tom & Jerry");
	both_ways("H&Htk-p th&AbA- &AREevw-n", "Hộp thư đến");
	both_ways("Th&AbA- &AREA4w- g&Hu0-i", "Thư đã gửi");
	both_ways("&2D3eAA-", "😀"); /* a surrogate pair */
	both_ways("a&AAo-b", "a\nb");
}

static void
refused(void **state)
{
	static const char *const bad[] = {
	    "&Jjo!",              /* not ended by "-": RFC 3501 */
	    "&U,BTFw-&ZeVnLIqe-", /* superfluous shift */
	    "&AGE-",              /* "a" stands for itself */
	    "&Jjo",
	    "&",
	    "a&",
	    "&Jj-",  /* bits left over */
	    "&Jjp-", /* and not zero */
	    "&2D0-", /* half a surrogate pair */
	    "&3gDYPQ-",
	    "&2D0mOg-",
	    "&Jj/o-",
	    "\xc4\x91",
	    "tab\there",
	    "&A-",
	    "&AAAA-AA",
	};
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	buf_append_str(&b, "kept");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]) - 1; i++) {
		assert_int_equal(utf7_to_utf8(slice_str(bad[i]), &b), ERR_SYNTAX);
		check_buf(&b, "kept");
	}
	assert_int_equal(utf7_from_utf8(slice_str("\xff"), &b), ERR_SYNTAX);
	assert_int_equal(utf7_from_utf8(slice_str("\xed\xa0\x80"), &b), ERR_SYNTAX);
	buf_done(&b);
}

static void
normal_form(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 400);
	assert_int_equal(utf8_nfc(slice_str("Tie\xcc\x82\xcc\x81ng Vie\xcc\xa3\xcc\x82t"), &b), 0);
	check_buf(&b, "Tiếng Việt");
	assert_int_equal(utf8_nfc(slice_str("\x80"), &b), ERR_SYNTAX);
	assert_true(utf8_valid(slice_str("Đặng")));
	assert_false(utf8_valid(slice_str("\xc0\x80")));
	assert_true(utf8_valid(slice_of(NULL, 0)));
	buf_done(&b);
}

/* A long text goes through in pieces: the result is that of the whole. */
static void
long_text(void **state)
{
	struct buf in, out, want;

	(void)state;
	buf_init(&in, 1000000);
	buf_init(&out, 1000000);
	buf_init(&want, 1000000);
	for (int i = 0; i < 20000; i++) {
		buf_append_str(&in, i % 700 == 0 ? " e\xcc\xa3\xcc\x82" : "e\xcc\xa3\xcc\x82");
		buf_append_str(&want, i % 700 == 0 ? " ệ" : "ệ");
	}
	assert_int_equal(utf8_nfc(buf_slice(&in), &out), 0);
	assert_true(slice_eq(buf_slice(&out), buf_slice(&want)));
	buf_done(&in);
	buf_done(&out);
	buf_done(&want);
}

static void
name_rules(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_true(mailbox_name_ok(slice_str("INBOX")));
	assert_true(mailbox_name_ok(slice_str("Văn bản đi/2026/Quý IV")));
	assert_true(mailbox_name_ok(slice_str("\"quoted\" & (x)")));
	assert_false(mailbox_name_ok(slice_str("")));
	assert_false(mailbox_name_ok(slice_str("/a")));
	assert_false(mailbox_name_ok(slice_str("a/")));
	assert_false(mailbox_name_ok(slice_str("a//b")));
	assert_false(mailbox_name_ok(slice_str("a*")));
	assert_false(mailbox_name_ok(slice_str("100%")));
	assert_false(mailbox_name_ok(slice_str("a\r\nb")));
	assert_false(mailbox_name_ok(LIT("a\0b")));
	assert_false(mailbox_name_ok(slice_str("a\xc2\x85")));
	assert_false(mailbox_name_ok(slice_str("a\xff")));
	for (int i = 0; i < 255; i++)
		buf_append_byte(&b, 'x');
	assert_true(mailbox_name_ok(buf_slice(&b)));
	buf_append_byte(&b, 'x');
	assert_false(mailbox_name_ok(buf_slice(&b)));
	buf_reset(&b);
	for (int i = 0; i < 32; i++)
		buf_append_str(&b, i == 0 ? "a" : "/a");
	assert_true(mailbox_name_ok(buf_slice(&b)));
	buf_append_str(&b, "/a");
	assert_false(mailbox_name_ok(buf_slice(&b)));
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_both_ways),
	    cmocka_unit_test(refused),
	    cmocka_unit_test(normal_form),
	    cmocka_unit_test(long_text),
	    cmocka_unit_test(name_rules),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
