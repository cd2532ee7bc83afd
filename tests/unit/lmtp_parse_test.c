/* lmtp_parse_test.c: LMTP's verbs, arguments, and the end of DATA however the bytes are cut. */
#include "tests/unit/check.h"

#include "lib/err.h"
#include "store/lmtp_parse.h"

static struct arena *arena;

static void
verbs(void **state)
{
	struct slice args;

	(void)state;
	assert_int_equal(lmtp_verb_parse(slice_str("lhlo mx.test "), &args), LMTP_LHLO);
	check_slice(args, "mx.test");
	assert_int_equal(lmtp_verb_parse(slice_str("DATA"), &args), LMTP_DATA);
	assert_int_equal(args.len, 0);
	assert_int_equal(lmtp_verb_parse(slice_str("EHLO x"), &args), LMTP_HELO);
	assert_int_equal(lmtp_verb_parse(slice_str(""), &args), LMTP_UNKNOWN);
	assert_int_equal(lmtp_verb_parse(slice_str("DATAX"), &args), LMTP_UNKNOWN);
	assert_int_equal(lmtp_verb_parse(slice_str("MAIL\tFROM:<>"), &args), LMTP_UNKNOWN);
}

static void
mail(void **state)
{
	static const char *const bad[][2] = {{"FROM:a@b.test", "501"}, {"TO:<a@b.test>", "501"},
	    {"FROM:<a@b.test> SIZE=x", "501"}, {"FROM:<a@b.test> SIZE=99999999999999999999", "501"},
	    {"FROM:<a@b.test> RET=FULL", "555"}, {"FROM:<a@b.test>SIZE=1", "501"},
	    {"FROM:<a@b.test> BODY=BINARYMIME", "501"}, {"FROM:<đ@b.test>", "501"},
	    {"FROM:<a@b.test> XCVID=00", "501"}, {"FROM:<a@b.test> XCVSEEN=", "501"},
	    {"FROM:<a@b.test> XCVID=000102030405060708090a0b0c0d0e0g", "501"}, {"", "501"},
	    {"FROM:<a@b.test", "501"}};
	struct lmtp_mail m;

	(void)state;
	assert_null(lmtp_mail_parse(slice_str("FROM:<>"), arena, &m));
	assert_int_equal(m.sender.len, 0);
	assert_false(m.has_id || m.utf8);
	assert_null(lmtp_mail_parse(
	    slice_str(
		"from:<a@B.test> size=4711 BODY=8BITMIME  XCVID=000102030405060708090A0b0c0d0e0f"),
	    arena, &m));
	check_slice(m.sender, "a@b.test");
	assert_int_equal(m.size, 4711);
	assert_true(m.has_id);
	assert_int_equal(m.id[15], 15);
	assert_int_equal(m.id[10], 10);
	assert_false(m.asks_seen);
	assert_null(lmtp_mail_parse(
	    slice_str("FROM:<> XCVSEEN=000102030405060708090a0b0c0d0e0f"), arena, &m));
	assert_true(m.asks_seen && !m.has_id);
	assert_int_equal(m.id[15], 15);
	assert_null(lmtp_mail_parse(slice_str("FROM:<đ@tỉnh.test> SMTPUTF8"), arena, &m));
	check_slice(m.sender, "đ@tỉnh.test");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *reply = lmtp_mail_parse(slice_str(bad[i][0]), arena, &m);

		assert_non_null(reply);
		assert_memory_equal(reply, bad[i][1], 3);
	}
}

static void
rcpt(void **state)
{
	struct slice a;

	(void)state;
	assert_null(lmtp_rcpt_parse(slice_str("TO:<van.thu@tinhmau.example>"), false, arena, &a));
	check_slice(a, "van.thu@tinhmau.example");
	assert_null(lmtp_rcpt_parse(slice_str("to:<postmaster>"), false, arena, &a));
	assert_memory_equal(lmtp_rcpt_parse(slice_str("TO:<>"), false, arena, &a), "501", 3);
	assert_memory_equal(
	    lmtp_rcpt_parse(slice_str("TO:<a@b.test> NOTIFY=NEVER"), false, arena, &a), "555", 3);
	assert_memory_equal(
	    lmtp_rcpt_parse(slice_str("TO:<đ@b.test>"), false, arena, &a), "501", 3);
	assert_null(lmtp_rcpt_parse(slice_str("TO:<đ@b.test>"), true, arena, &a));
}

static void
put(void *arg, const void *p, size_t n)
{
	buf_append((struct buf *)arg, p, n);
}

/* The text comes out the same however it is cut, with what follows left over. */
static void
text(struct slice in, const char *want, bool end, size_t used, bool bare, bool nul)
{
	for (size_t step = 1; step <= in.len; step++) {
		struct lmtp_data d;
		struct buf out;
		size_t at = 0;
		bool done = false;

		buf_init(&out, 10000);
		lmtp_data_init(&d);
		while (at < in.len && !done) {
			size_t n = 0;

			done = lmtp_data_feed(&d, slice_sub(in, at, step), &n, put, &out);
			at += n;
		}
		assert_int_equal(done, end);
		assert_int_equal(at, used);
		assert_int_equal(d.bare, bare);
		assert_int_equal(d.nul, nul);
		if (!bare && !nul)
			check_buf(&out, want);
		buf_done(&out);
	}
}

static void
data_text(void **state)
{
	(void)state;
	text(LIT(".\r\n"), "", true, 3, false, false);
	text(LIT("a\r\n.\r\nQUIT\r\n"), "a\r\n", true, 6, false, false);
	text(LIT("..\r\n...\r\n..a\r\n.b\r\n.\r\n"), ".\r\n..\r\n.a\r\nb\r\n", true, 21, false,
	    false);
	text(LIT("a\r\n\r\n.\r\n"), "a\r\n\r\n", true, 8, false, false);
	text(LIT("no end\r\n."), "no end\r\n", false, 9, false, false);
	text(LIT("a.b.\r\n.\r\n"), "a.b.\r\n", true, 9, false, false);
}

/* Nothing but CRLF.CRLF ends a message; each other form is noted. */
static void
data_smuggling(void **state)
{
	(void)state;
	text(LIT("a\n.\nMAIL\r\n.\r\n"), "", true, 13, true, false);
	text(LIT("a\r\n.\nx\r\n.\r\n"), "", true, 11, true, false);
	text(LIT("a\n.\r\nx\r\n.\r\n"), "", true, 11, true, false);
	text(LIT("a\r.\rx\r\n.\r\n"), "", true, 10, true, false);
	text(LIT("a\r\n.\rx\r\n.\r\n"), "", true, 11, true, false);
	text(LIT("a\r\r\n.\r\n"), "", true, 7, true, false);
	text(LIT("a\r\n.\r\r\nb\r\n.\r\n"), "", true, 13, true, false);
	text(LIT("\n\r\n.\r\n"), "", true, 6, true, false);
	text(LIT("a\0b\r\n.\r\n"), "", true, 8, false, true);
	text(LIT("\0\r\n.\r\n"), "", true, 6, false, true);
}

/* What is looked at many octets at a time is seen at every place. */
static void
chunks_are_looked_through(void **state)
{
	static const char *const odd[] = {"\n", "\r", "\r\r\n"};
	unsigned char text[200];

	(void)state;
	for (size_t at = 0; at < sizeof text - 4; at++) {
		struct lmtp_data d;

		for (size_t k = 0; k <= sizeof odd / sizeof *odd; k++) {
			memset(text, 'x', sizeof text);
			memcpy(text + sizeof text - 2, "\r\n", 2);
			lmtp_data_init(&d);
			if (k < sizeof odd / sizeof *odd)
				memcpy(text + at, odd[k], strlen(odd[k]));
			else
				text[at] = '\0';
			lmtp_chunk_look(&d, slice_of(text, sizeof text));
			assert_int_equal(d.bare, k < sizeof odd / sizeof *odd);
			assert_int_equal(d.nul, k == sizeof odd / sizeof *odd);
		}
		memset(text, 'x', sizeof text);
		memcpy(text + at, "\r\n", 2);
		lmtp_data_init(&d);
		lmtp_chunk_look(&d, slice_of(text, at + 1));
		lmtp_chunk_look(&d, slice_of(text + at + 1, sizeof text - at - 1));
		assert_false(d.bare || d.nul);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(verbs),
	    cmocka_unit_test(mail),
	    cmocka_unit_test(rcpt),
	    cmocka_unit_test(data_text),
	    cmocka_unit_test(data_smuggling),
	    cmocka_unit_test(chunks_are_looked_through),
	};
	int r;

	arena = arena_new(1 << 20);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(arena);
	return r;
}
