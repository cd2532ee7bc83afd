/* hdr_test.c: walking fields, RFC 2047 words (the RFC's examples), parameters with RFC 2231 and what senders really write. */
#include "tests/unit/check.h"

#include <sys/resource.h>

#include "lib/charset.h"
#include "lib/err.h"
#include "lib/hdr.h"

static void
walk(void **state)
{
	struct slice rest = slice_str(
	    "Subject: one\r\n two\r\n\tthree\r\nBROKEN LINE\r\nTo : a@b\nX:\r\n\r\nbody: x\r\n");
	struct hdr_field f;

	(void)state;
	assert_int_equal(hdr_next(&rest, &f), 0);
	check_slice(f.name, "Subject");
	check_slice(f.body, " one\r\n two\r\n\tthree");
	check_slice(f.whole, "Subject: one\r\n two\r\n\tthree\r\n");
	assert_int_equal(hdr_next(&rest, &f), ERR_SYNTAX);
	assert_int_equal(hdr_next(&rest, &f), 0);
	check_slice(f.name, "To");
	check_slice(f.body, " a@b");
	assert_int_equal(hdr_next(&rest, &f), 0);
	check_slice(f.name, "X");
	assert_int_equal(f.body.len, 0);
	assert_int_equal(hdr_next(&rest, &f), ERR_EOF);
	check_slice(rest, "body: x\r\n");
}

static void
walk_to_the_end(void **state)
{
	struct slice rest = slice_str("A: 1\r\nB: 2"),
		     odd = LIT("\0: x\r\n: y\r\n z\r\nCR\r: q\r\nC: a\rb\0c\r\n");
	struct hdr_field f;

	(void)state;
	assert_int_equal(hdr_next(&rest, &f), 0);
	assert_int_equal(hdr_next(&rest, &f), 0);
	check_slice(f.whole, "B: 2");
	check_slice(f.body, " 2");
	assert_int_equal(hdr_next(&rest, &f), ERR_EOF);
	assert_int_equal(rest.len, 0);
	assert_int_equal(hdr_next(&odd, &f), ERR_SYNTAX);
	assert_int_equal(hdr_next(&odd, &f), ERR_SYNTAX); /* an empty name, with its continuation */
	assert_int_equal(hdr_next(&odd, &f), ERR_SYNTAX);
	assert_int_equal(hdr_next(&odd, &f), 0);
	assert_int_equal(f.body.len, 6); /* CR and NUL inside are the body's: " a\rb\0c" */
	assert_int_equal(hdr_next(&odd, &f), ERR_EOF);
}

static void
find_count_offset(void **state)
{
	struct slice h = slice_str("Received: 1\r\nFROM: a\r\nreceived: 2\r\n\r\nReceived: 3\r\n");
	struct hdr_field f;

	(void)state;
	assert_int_equal(hdr_count(h, "Received"), 2);
	assert_true(hdr_find(h, "received", 1, &f));
	check_slice(f.body, " 2");
	assert_false(hdr_find(h, "received", 2, &f));
	assert_true(hdr_find(h, "From", 0, &f));
	assert_int_equal(hdr_body_offset(h), 37);
	assert_int_equal(hdr_body_offset(slice_str("A: b\n\nx")), 6);
	assert_int_equal(hdr_body_offset(slice_str("\r\nx")), 2);
	assert_int_equal(hdr_body_offset(slice_str("A: b\r\n")), 6);
	assert_int_equal(hdr_body_offset(slice_str("")), 0);
}

static void
unfold(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(hdr_unfold(slice_str(" This\r\n is a test \r\n"), &b), 0);
	check_buf(&b, "This is a test");
	buf_reset(&b);
	assert_int_equal(hdr_unfold(slice_str("\r\n\ta\n b\r\nc"), &b), 0);
	check_buf(&b, "a b c");
	buf_reset(&b);
	assert_int_equal(hdr_unfold(slice_str("  \r\n "), &b), 0);
	check_buf(&b, "");
	buf_done(&b);
}

static void
decodes(const char *in, const char *want)
{
	struct buf b;

	buf_init(&b, 10000);
	assert_int_equal(hdr_decode(slice_str(in), &b), 0);
	check_buf(&b, want);
	buf_done(&b);
}

/* RFC 2047 8. */
static void
rfc2047_examples(void **state)
{
	(void)state;
	decodes(" =?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>");
	decodes("=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?= <keld@dkuug.dk>",
	    "Keld Jørn Simonsen <keld@dkuug.dk>");
	decodes("=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n"
		" =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
	    "If you can read this you understand the example.");
	decodes("(=?ISO-8859-1?Q?a?=)", "(a)");
	decodes("(=?ISO-8859-1?Q?a?= b)", "(a b)");
	decodes("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)");
	decodes("(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)");
	decodes("(=?ISO-8859-1?Q?a?=\r\n   =?ISO-8859-1?Q?b?=)", "(ab)");
	decodes("(=?ISO-8859-1?Q?a_b?=)", "(a b)");
	decodes("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)");
}

static void
words_of_the_world(void **state)
{
	(void)state;
	decodes("=?UTF-8?B?VGnhur9uZyBWaeG7h3Q=?=", "Tiếng Việt");
	/* one character split over two words: forbidden, and common */
	decodes("=?utf-8?B?VGnhug==?= =?UTF-8?B?v25n?=", "Tiếng");
	decodes(
	    "=?utf-8?Q?C=C3=B4ng_v=C4=83n?= 15/Q=?utf-8?q?=C4=90?=-UBND", "Công văn 15/QĐ-UBND");
	decodes("=?windows-1258?Q?Ti=EA=ECng?=", "Tiếng"); /* base letter and tone mark composed */
	decodes("=?utf-8*vi?Q?=C4=91?=", "đ");             /* RFC 2231 5 */
	decodes("=?koi8-r?B?8NLJ18XU?=", "Привет");
	decodes("Đặng Thị Thu Hường", "Đặng Thị Thu Hường");
	decodes("a\xff\xfe b", "a\xef\xbf\xbd\xef\xbf\xbd b");
	decodes("=?x-unknown?Q?a=80b?=", "a\xef\xbf\xbd"
					 "b");
	decodes("=?utf-8?Q?evil=0D=0ABcc:_x?=", "evil  Bcc: x"); /* no line end comes in this way */
	decodes("=?utf-8?Q?unended", "=?utf-8?Q?unended");
	decodes("=?utf-8?X?abc?=", "=?utf-8?X?abc?=");
	decodes("=?utf-8?Q?a b?=", "=?utf-8?Q?a b?=");
	decodes("=??Q?a?=", "=??Q?a?=");
	decodes("=?utf-8?B?\?=x", "x");
	decodes("=?utf-7?Q?+ADw-?=", "+ADw-"); /* not converted: a trap, and nobody sends it */
}

static void
encodes(const char *text)
{
	struct buf b, back;
	size_t col = 0;

	buf_init(&b, 100000);
	buf_init(&back, 100000);
	buf_append_str(&b, "Subject: ");
	assert_int_equal(hdr_encode(slice_str(text), &b), 0);
	assert_int_equal(hdr_decode(slice_from(buf_slice(&b), 8), &back), 0);
	check_buf(&back, text);
	for (size_t i = 0; i < b.len; i++) {
		assert_true(b.data[i] < 0x7f);
		col = b.data[i] == '\n' ? 0 : col + 1;
		assert_true(col <= 77); /* CR counts here */
	}
	buf_done(&b);
	buf_done(&back);
}

static void
encode(void **state)
{
	struct buf b;

	(void)state;
	encodes("plain");
	encodes("Báo cáo");
	encodes("V/v triển khai chữ ký số chuyên dùng công vụ tại các cơ quan, đơn vị trên địa bàn "
		"tỉnh năm 2026");
	encodes("a long line of plain words that has to be folded somewhere because it is over "
		"seventy-six");
	encodes("mostly plain English words with one đ somewhere in the middle and then more plain "
		"English words");
	encodes("=?utf-8?Q?not_a_word?=");
	encodes("😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀");
	buf_init(&b, 1000);
	assert_int_equal(hdr_encode(slice_str("x\r\nBcc: y"), &b), 0);
	check_buf(&b, "x  Bcc: y"); /* a line end never goes out */
	buf_done(&b);
}

/* ---- parameters ---- */

static struct arena *arena;
static struct hdr_ctype ct;

static void
parse(const char *s)
{
	assert_int_equal(hdr_ctype_parse(slice_str(s), false, arena, &ct), 0);
}

static void
param(const char *name, const char *want)
{
	struct slice v = hdr_ctype_param(&ct, name);

	if (want == NULL) {
		assert_null(v.ptr);
		return;
	}
	assert_non_null(v.ptr);
	check_slice(v, want);
}

static void
rfc2231_examples(void **state)
{
	(void)state;
	parse(" message/external-body; access-type=URL;\r\n URL*0=\"ftp://\";\r\n"
	      " URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\"");
	param("url", "ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar");
	param("access-type", "URL");
	assert_false(ct.duplicate || ct.malformed);
	parse("application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A");
	param("title", "This is ***fun***");
	parse("application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20;\r\n"
	      " title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"");
	param("title", "This is even more ***fun*** isn't it!");
	assert_false(ct.duplicate || ct.malformed);
}

static void
ctype_well_formed(void **state)
{
	(void)state;
	parse(" Text/Plain; Charset=us-ascii (Plain text)"); /* RFC 2045 5.1 */
	check_slice(ct.type, "text");
	check_slice(ct.subtype, "plain");
	param("charset", "us-ascii");
	assert_false(ct.malformed);
	parse("multipart/mixed; boundary=\"gc0pJq0M:08jU534c0p\";");
	param("boundary", "gc0pJq0M:08jU534c0p");
	assert_false(ct.malformed);
	parse("text/plain; name=\"a\\\"b\\\\c;d\"; x=\"\"");
	param("name", "a\"b\\c;d");
	param("x", "");
	param("y", NULL);
	assert_false(ct.malformed);
	parse("application/pdf; name*=UTF-8''V%C4%83n%20b%E1%BA%A3n.pdf");
	param("name", "Văn bản.pdf");
	assert_int_equal(
	    hdr_ctype_parse(slice_str("ATTACHMENT; filename=a.pdf"), true, arena, &ct), 0);
	check_slice(ct.type, "attachment");
	param("filename", "a.pdf");
}

static void
ctype_as_sent(void **state)
{
	(void)state;
	parse("application/pdf; name=\"=?utf-8?B?VsSDbg==?= a.pdf\"");
	param("name", "Văn a.pdf");
	assert_false(ct.duplicate);
	parse("application/pdf; name=my file.pdf; x=y");
	param("name", "my file.pdf");
	param("x", "y");
	assert_true(ct.malformed);
	parse("text/plain charset=utf-8; format=flowed");
	param("charset", NULL);
	param("format", "flowed");
	assert_true(ct.malformed);
	parse("text/plain; charset; format=flowed");
	param("format", "flowed");
	assert_true(ct.malformed);
	parse("text/plain; name=\"unended; charset=utf-8");
	param("name", "unended; charset=utf-8");
	assert_true(ct.malformed);
	parse("text/plain; name=\"Giấy mời.doc\"");
	param("name", "Giấy mời.doc");
	parse("text/plain; name*=utf-8''a%00%0d%0Ab.exe");
	param("name", "a   b.exe");
	parse("text/plain; a*1=y; a*0=x; b*2=lost");
	param("a", "xy");
	param("b", NULL);
	assert_true(ct.malformed);
}

static void
ctype_ambiguous(void **state)
{
	(void)state;
	parse("multipart/mixed; boundary=a; boundary=b");
	param("boundary", "a");
	assert_true(ct.duplicate);
	parse("application/pdf; name=a.pdf; name*=utf-8''b.exe");
	param("name", "b.exe");
	assert_true(ct.duplicate);
	parse("application/pdf; name*0=a; name*0=b; name*1=c");
	param("name", "ac");
	assert_true(ct.duplicate);
	parse("application/pdf; NAME=a; x=1; name=b");
	assert_true(ct.duplicate);
	parse("application/pdf; name=a; filename=a");
	assert_false(ct.duplicate);
}

static void
ctype_refused(void **state)
{
	static const char *const bad[] = {
	    "", " ", "text", "text/", "/plain", "text plain", "(c)", ";", "\"text\"/plain"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(hdr_ctype_parse(slice_str(bad[i]), false, arena, &ct), ERR_SYNTAX);
}

static void
ctype_many(void **state)
{
	struct buf b;
	size_t n = 0;

	(void)state;
	buf_init(&b, 1000000);
	buf_append_str(&b, "text/plain");
	for (int i = 0; i < 1000; i++)
		buf_appendf(&b, "; p%d=v", i);
	assert_int_equal(hdr_ctype_parse(buf_slice(&b), false, arena, &ct), 0);
	for (struct hdr_param *p = ct.params; p != NULL; p = p->next)
		n++;
	assert_int_equal(n, 64);
	assert_true(ct.malformed);
	buf_done(&b);
}

/* A role's sandbox has no files: what was loaded before keeps working without any. */
static void
charsets_without_files(void **state)
{
	struct rlimit keep, none;
	struct buf b;

	(void)state;
	charset_preload();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &keep), 0);
	none = keep;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	buf_init(&b, 100);
	assert_true(charset_to_utf8(slice_str("VISCII"), slice_str("Vi\xaet"), &b));
	assert_true(charset_to_utf8(slice_str("Shift_JIS"), slice_str("\x93\xfa"), &b));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &keep), 0);
	check_buf(&b, "Việt日");
	buf_done(&b);
}

static void
charsets(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_true(charset_to_utf8(slice_str("us-ascii"), slice_str("đ"), &b));
	assert_false(charset_to_utf8(slice_str("utf-8"), slice_str("\xc3"), &b));
	assert_false(charset_to_utf8(slice_str("no-such"), slice_str("a\xe9"), &b));
	assert_false(charset_to_utf8(slice_str("utf-16//IGNORE"), slice_str("\xe9"), &b));
	assert_true(charset_to_utf8(slice_str("UTF-16LE"), LIT("\x11\x01"), &b));
	assert_false(charset_to_utf8(slice_str("gbk"), slice_str("\xb9\xfa\xff"), &b));
	check_buf(&b, "đ\xef\xbf\xbd"
		      "a\xef\xbf\xbd\xef\xbf\xbdđ国\xef\xbf\xbd");
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(walk),
	    cmocka_unit_test(walk_to_the_end),
	    cmocka_unit_test(find_count_offset),
	    cmocka_unit_test(unfold),
	    cmocka_unit_test(rfc2047_examples),
	    cmocka_unit_test(words_of_the_world),
	    cmocka_unit_test(encode),
	    cmocka_unit_test(rfc2231_examples),
	    cmocka_unit_test(ctype_well_formed),
	    cmocka_unit_test(ctype_as_sent),
	    cmocka_unit_test(ctype_ambiguous),
	    cmocka_unit_test(ctype_refused),
	    cmocka_unit_test(ctype_many),
	    cmocka_unit_test(charsets_without_files),
	    cmocka_unit_test(charsets),
	};
	int r;

	arena = arena_new(1 << 22);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(arena);
	return r;
}
