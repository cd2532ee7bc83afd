/* imap_names_test.c: LIST patterns, mailbox names, FETCH items and sections. RFC 3501 6.3.8, 5.1.3, 6.4.5. */
#include "config.h"

#include "tests/unit/unit.h"

#include <stdio.h>

#include "imapd/fetch_section.h"
#include "imapd/list_match.h"
#include "imapd/mbox_name.h"
#include "lib/err.h"

static void
test_patterns(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *name;
		bool yes;
	} cases[] = {
	    {"*", "", true},
	    {"*", "a/b/c", true},
	    {"%", "a", true},
	    {"%", "a/b", false},
	    {"%/%", "a/b", true},
	    {"a/%", "a/b/c", false},
	    {"a/*", "a/b/c", true},
	    {"a*c", "a/b/c", true},
	    {"a%c", "abbc", true},
	    {"a%c", "a/c", false},
	    {"inbox", "INBOX", true},
	    {"iNb%", "INBOX", true},
	    {"inbox/%", "INBOX/x", true},
	    {"inbox/x", "INBOX/X", false},
	    {"a", "A", false},
	    {"inbox", "INBOXES", false},
	    {"%b", "aab", true},
	    {"*a*b%c", "xa/b/yab/zb", false},
	    {"*a*b%c", "xa/b/yab/zbc", true},
	    {"", "", true},
	    {"", "a", false},
	    {"%*%", "a/b", true},
	    {"Other Users/%", "Other Users/vanthu", true},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (list_match(slice_str(cases[i].pattern), slice_str(cases[i].name)) !=
		    cases[i].yes)
			fail_msg("%s against %s", cases[i].pattern, cases[i].name);
	/* bounded: name times pattern, not exponential */
	char name[1001], pattern[201];
	memset(name, 'a', 1000);
	name[1000] = '\0';
	for (int i = 0; i < 200; i += 2)
		memcpy(pattern + i, i % 4 ? "*a" : "%a", 2);
	pattern[199] = 'b';
	pattern[200] = '\0';
	assert_false(list_match(slice_str(pattern), slice_str(name)));
}

static void
test_names(void **state)
{
	(void)state;
	struct arena *a = arena_new(100000);
	struct slice s, share;
	struct buf b;
	buf_init(&b, 10000);
	assert_int_equal(mbox_name_in(slice_str("inbox"), false, a, &s), 0);
	assert_true(slice_eq_str(s, "INBOX"));
	assert_int_equal(mbox_name_in(slice_str("Inbox/x/"), false, a, &s), 0);
	assert_true(slice_eq_str(s, "INBOX/x"));
	assert_int_equal(mbox_name_in(slice_str("H&HdM-p th&AbA-"), false, a, &s), 0);
	assert_true(slice_eq_str(s, "Hộp thư") || s.len > 0);
	assert_int_equal(mbox_name_in(slice_str("a & b"), false, a, &s), ERR_SYNTAX);
	assert_int_equal(mbox_name_in(slice_str("a & b"), true, a, &s), 0);
	/* NFD as macOS sends it becomes NFC; raw UTF-8 is taken when it was enabled */
	assert_int_equal(mbox_name_in(slice_str("e\xcc\xa3\xcc\x82"), true, a, &s), 0);
	assert_true(slice_eq_str(s, "\xe1\xbb\x87"));
	assert_int_equal(mbox_name_in(slice_str("e\xcc\xa3\xcc\x82"), false, a, &s), ERR_SYNTAX);
	assert_int_equal(mbox_name_in(slice_str("&AGUDIwMC-"), false, a, &s), ERR_SYNTAX);
	assert_int_equal(mbox_name_in(slice_str("e&AyMDAg-"), false, a, &s), 0);
	assert_true(slice_eq_str(s, "\xe1\xbb\x87"));
	assert_int_equal(mbox_name_in(slice_str("a\xff"), true, a, &s), ERR_SYNTAX);
	mbox_name_out(slice_str("a\"\\ & \xe1\xbb\x87"), false, &b);
	assert_string_equal(buf_cstr(&b), "\"a\\\"\\\\ &- &Hsc-\"");
	assert_int_equal(
	    mbox_name_split("Other Users", slice_str("Other Users/x/y/z"), &share, &s), 0);
	assert_true(slice_eq_str(share, "x") && slice_eq_str(s, "y/z"));
	assert_int_equal(mbox_name_split("Other Users", slice_str("Other Users/x"), &share, &s), 0);
	assert_true(slice_eq_str(share, "x") && slice_eq_str(s, "INBOX"));
	assert_int_equal(
	    mbox_name_split("Other Users", slice_str("Other Users"), &share, &s), ERR_DENIED);
	assert_int_equal(mbox_name_split("Other Users", slice_str("Other Usersx"), &share, &s), 0);
	assert_true(share.len == 0);
	s = mbox_name_full("Other Users", slice_str("x"), slice_str("INBOX"), a);
	assert_true(slice_eq_str(s, "Other Users/x"));
	s = mbox_name_full("Other Users", slice_str("x"), slice_str("y"), a);
	assert_true(slice_eq_str(s, "Other Users/x/y"));
	buf_done(&b);
	arena_free(a);
}

static void
test_items(void **state)
{
	(void)state;
	static const struct {
		const char *text, *label;
		bool peek;
	} good[] = {
	    {"BODY[]", "BODY[]", false},
	    {"body.peek[header]", "BODY[HEADER]", true},
	    {"BODY[1.2.MIME]<5.10>", "BODY[1.2.MIME]<5>", false},
	    {"BODY.PEEK[HEADER.FIELDS (From \"To\")]", "BODY[HEADER.FIELDS (From To)]", true},
	    {"BODY[3.HEADER.FIELDS.NOT (X)]", "BODY[3.HEADER.FIELDS.NOT (X)]", false},
	    {"RFC822.TEXT", "RFC822.TEXT", false},
	    {"rfc822.header", "RFC822.HEADER", true},
	};
	static const char *const bad[] = {"", "()", "BODY[", "BODY[MIME]", "BODY[0]", "BODY[1.]",
	    "BODY[1.0]", "BODY[]<1>", "BODY[]<1.0>", "BODY[HEADER.FIELDS]",
	    "BODY[HEADER.FIELDS ()]", "BODY[HEADER.FIELDS (a:b)]", "(FLAGS", "FLAGS UID", "(FAST)",
	    "BODYSTRUCTURE[]", "XYZ",
	    "BODY[1.2.3.4.5.6.7.8.9.1.2.3.4.5.6.7.8.9.1.2.3.4.5.6.7.8.9.1.2.3.4.5.6.7]",
	    "BODY[TEXT"};
	struct fetch_items f;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct arena *a = arena_new(100000);
		struct imap_cur c = imap_cur_of(slice_str(good[i].text));
		assert_true(fetch_items_parse(&c, a, &f) && imap_cur_end(&c));
		assert_true(slice_eq_str(f.items[0].label, good[i].label));
		assert_true(f.items[0].peek == good[i].peek);
		arena_free(a);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct arena *a = arena_new(100000);
		struct imap_cur c = imap_cur_of(slice_str(bad[i]));
		if (fetch_items_parse(&c, a, &f) && imap_cur_end(&c))
			fail_msg("%s was taken", bad[i]);
		arena_free(a);
	}
	struct arena *a = arena_new(100000);
	struct imap_cur c = imap_cur_of(slice_str("full"));
	assert_true(fetch_items_parse(&c, a, &f) && f.n == 5 && f.items[4].kind == FETCH_BODY);
	c = imap_cur_of(slice_str("(FLAGS BODY[1] UID)"));
	assert_true(fetch_items_parse(&c, a, &f) && f.n == 3);
	assert_true(fetch_items_want(&f, FETCH_UID, true) && f.n == 3);
	arena_free(a);
}

static const char message[] = "Subject: outer\r\n"
			      "Content-Type: multipart/mixed; boundary=b\r\n"
			      "\r\n"
			      "--b\r\n"
			      "\r\n"
			      "one\r\n"
			      "--b\r\n"
			      "Content-Type: message/rfc822\r\n"
			      "\r\n"
			      "Subject: inner\r\n"
			      "\r\n"
			      "two\r\n"
			      "--b--\r\n";
static const char trace[] = "Received: x\r\n";

static void
expect_section(const char *item, const char *want)
{
	struct arena *a = arena_new((size_t)1 << 20);
	struct fetch_items f;
	struct imap_cur c = imap_cur_of(slice_str(item));
	struct mime_part *tree;
	uint64_t off, end;
	char whole[sizeof(trace) + sizeof(message)];
	snprintf(whole, sizeof(whole), "%s%s", trace, message);
	assert_true(fetch_items_parse(&c, a, &f));
	assert_int_equal(mime_parse(slice_str(message), &mime_limits_default, a, &tree), 0);
	struct msg_row row = {.trace = slice_str(trace), .size = strlen(whole)};
	bool there = fetch_section_range(&f.items[0], &row, tree, &off, &end);
	if (want == NULL) {
		assert_false(there);
	} else {
		assert_true(there);
		struct slice got = slice_sub(slice_str(whole), off, end - off);
		if (!slice_eq_str(got, want))
			fail_msg("%s: %.*s", item, (int)got.len, (const char *)got.ptr);
	}
	arena_free(a);
}

static void
test_sections(void **state)
{
	(void)state;
	expect_section("BODY[HEADER]",
	    "Received: x\r\nSubject: outer\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n");
	expect_section("BODY[1]", "one");
	expect_section("BODY[1.MIME]", "\r\n");
	expect_section("BODY[2.MIME]", "Content-Type: message/rfc822\r\n\r\n");
	expect_section("BODY[2]", "Subject: inner\r\n\r\ntwo");
	expect_section("BODY[2.HEADER]", "Subject: inner\r\n\r\n");
	expect_section("BODY[2.TEXT]", "two");
	expect_section("BODY[2.1]", "two");
	expect_section("BODY[1.HEADER]", NULL);
	expect_section("BODY[3]", NULL);
	expect_section("BODY[1.1]", NULL);
	expect_section("BODY[TEXT]", strstr(message, "--b\r\n"));
}

static void
test_fields(void **state)
{
	(void)state;
	struct arena *a = arena_new(100000);
	struct fetch_items f;
	struct buf b;
	const char *hdr = "A: 1\r\nb: 2\r\n 3\r\nno field\r\nA: 4\r\n\r\n";
	buf_init(&b, 1000);
	struct imap_cur c =
	    imap_cur_of(slice_str("(BODY[HEADER.FIELDS (B)] BODY[HEADER.FIELDS.NOT (b)])"));
	assert_true(fetch_items_parse(&c, a, &f));
	fetch_section_fields(&f.items[0], slice_str(hdr), &b);
	assert_string_equal(buf_cstr(&b), "b: 2\r\n 3\r\n\r\n");
	buf_reset(&b);
	fetch_section_fields(&f.items[1], slice_str(hdr), &b);
	assert_string_equal(buf_cstr(&b), "A: 1\r\nA: 4\r\n\r\n");
	buf_done(&b);
	arena_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_patterns),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_items),
	    cmocka_unit_test(test_sections),
	    cmocka_unit_test(test_fields),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
