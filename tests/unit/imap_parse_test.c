/* imap_parse_test.c: framing of IMAP commands and their tokens: RFC 3501 section 9, RFC 7888. */
#include "config.h"

#include "tests/unit/unit.h"

#include <stdlib.h>

#include "imapd/imap_cur.h"
#include "imapd/imap_parse.h"
#include "lib/err.h"
#include "store/row.h"

/* Feeds text in pieces of n octets; the events as letters, the texts of COMMAND and LINE in out separated by "|". */
static void
feed(struct imap_parse *p, const char *text, size_t len, size_t n, struct buf *events,
    struct buf *out)
{
	static const char letters[] = "mCLcSBF";
	for (size_t at = 0; at < len;) {
		size_t piece = len - at < n ? len - at : n, used;
		enum imap_event ev = imap_parse_feed(p, slice_of(text + at, piece), &used);
		at += used;
		if (ev != IMAP_EV_MORE)
			buf_append_byte(events, (unsigned char)letters[ev]);
		if (ev == IMAP_EV_FATAL)
			return;
		if (ev == IMAP_EV_COMMAND || ev == IMAP_EV_LINE || ev == IMAP_EV_STREAM ||
		    ev == IMAP_EV_BAD) {
			buf_append_slice(out, imap_parse_text(p));
			buf_append_byte(out, '|');
			imap_parse_next(p);
		}
	}
}

static void
expect(const char *text, const char *events, const char *out, bool signed_in)
{
	for (size_t n = 1; n < 40; n += 6) {
		struct imap_parse p;
		struct buf ev, o;
		imap_parse_init(&p);
		if (signed_in)
			imap_parse_signed_in(&p);
		buf_init(&ev, 1000);
		buf_init(&o, 100000);
		feed(&p, text, strlen(text), n, &ev, &o);
		assert_string_equal(buf_cstr(&ev), events);
		assert_string_equal(buf_cstr(&o), out);
		buf_done(&ev);
		buf_done(&o);
		imap_parse_done(&p);
	}
}

static void
test_lines(void **state)
{
	(void)state;
	expect("a NOOP\r\nb NOOP\r\n", "CC", "a NOOP|b NOOP|", false);
	expect("a NOOP\nb\r\n\r\n", "CCC", "a NOOP|b||", false);
}

static void
test_literals(void **state)
{
	(void)state;
	expect("a LOGIN {3}\r\nabc {2+}\r\nxy\r\n", "cC", "a LOGIN {3}\r\nabc {2+}\r\nxy|", false);
	expect("a LOGIN {0+}\r\n x\r\n", "C", "a LOGIN {0+}\r\n x|", false);
	/* a literal may hold line ends and what looks like a literal */
	expect("a X {5+}\r\n{1}\r\n y\r\n", "C", "a X {5+}\r\n{1}\r\n y|", false);
	/* inside quotes it is text; so is what has no digits */
	expect("a X \"b{3}\"\r\n", "C", "a X \"b{3}\"|", false);
	expect("a X \"b\\\"{3}\r\n", "C", "a X \"b\\\"{3}|", false);
	expect("a X {}\r\nb X {+}\r\n", "CC", "a X {}|b X {+}|", false);
}

static void
test_too_large(void **state)
{
	(void)state;
	/* refused and not sent, or sent without being asked for: no way to go on */
	expect("a LOGIN {4097}\r\nb NOOP\r\n", "BC", "a LOGIN {4097}|b NOOP|", false);
	expect("a LOGIN {4097+}\r\nb NOOP\r\n", "F", "", false);
	expect("a LOGIN {99999999999999999999}\r\n", "B", "a LOGIN {99999999999999999999}|", false);
	expect("a SEARCH {65537}\r\n", "B", "a SEARCH {65537}|", true);
	struct imap_parse p;
	size_t used;
	char *big = malloc(100000);
	memset(big, 'x', 100000);
	imap_parse_init(&p);
	assert_int_equal(imap_parse_feed(&p, slice_of(big, 8193), &used), IMAP_EV_MORE);
	assert_int_equal(imap_parse_feed(&p, slice_of(big, 10), &used), IMAP_EV_FATAL);
	imap_parse_done(&p);
	imap_parse_init(&p);
	imap_parse_signed_in(&p);
	assert_int_equal(imap_parse_feed(&p, slice_of(big, 60000), &used), IMAP_EV_MORE);
	assert_int_equal(imap_parse_feed(&p, slice_of(big, 60000), &used), IMAP_EV_FATAL);
	imap_parse_done(&p);
	free(big);
}

/* Many small literals may not pass the bound of a command either. */
static void
test_total(void **state)
{
	(void)state;
	struct imap_parse p;
	struct buf lit;
	size_t used;
	enum imap_event ev = IMAP_EV_MORE;
	buf_init(&lit, 10000);
	buf_append_str(&lit, " {4000+}\r\n");
	for (int i = 0; i < 4000; i++)
		buf_append_byte(&lit, 'y');
	imap_parse_init(&p);
	imap_parse_feed(&p, slice_str("a X"), &used);
	for (int i = 0; i < 10 && ev == IMAP_EV_MORE; i++)
		for (size_t at = 0; at < lit.len && ev == IMAP_EV_MORE; at += used)
			ev = imap_parse_feed(&p, slice_from(buf_slice(&lit), at), &used);
	assert_int_equal(ev, IMAP_EV_FATAL);
	imap_parse_done(&p);
	buf_done(&lit);
}

static void
test_append_streams(void **state)
{
	(void)state;
	struct imap_parse p;
	size_t used;
	const char *text = "a APPEND \"x y\" (\\Seen) {300000000}\r\n";
	imap_parse_init(&p);
	imap_parse_signed_in(&p);
	assert_int_equal(imap_parse_feed(&p, slice_str(text), &used), IMAP_EV_STREAM);
	assert_int_equal(p.literal_size, 300000000);
	assert_true(p.literal_sync);
	assert_true(slice_eq_str(imap_parse_text(&p), "a APPEND \"x y\" (\\Seen) "));
	imap_parse_next(&p);
	/* the mailbox may be a literal: it is kept, and the next one streams */
	assert_int_equal(
	    imap_parse_feed(&p, slice_str("a append {1+}\r\nx {5+}\r\n"), &used), IMAP_EV_STREAM);
	assert_false(p.literal_sync);
	imap_parse_next(&p);
	imap_parse_done(&p);
	/* before login nothing streams */
	expect("a APPEND x {5000}\r\n", "B", "a APPEND x {5000}|", false);
}

static void
test_line_mode(void **state)
{
	(void)state;
	struct imap_parse p;
	struct buf ev, out;
	buf_init(&ev, 100);
	buf_init(&out, 1000);
	imap_parse_init(&p);
	imap_parse_want_line(&p, 10);
	feed(&p, "ab\"{3}\r\nx NOOP\r\n", 16, 5, &ev, &out);
	assert_string_equal(buf_cstr(&ev), "LC");
	assert_string_equal(buf_cstr(&out), "ab\"{3}|x NOOP|");
	buf_reset(&ev);
	imap_parse_want_line(&p, 10);
	feed(&p, "0123456789ab\r\n", 14, 5, &ev, &out);
	assert_string_equal(buf_cstr(&ev), "F");
	imap_parse_done(&p);
	buf_done(&ev);
	buf_done(&out);
}

/* ---- tokens ---- */

static void
test_strings(void **state)
{
	(void)state;
	struct arena *a = arena_new(10000);
	struct imap_cur c =
	    imap_cur_of(slice_str("atom] \"q\\\"\\\\x\" {3}\r\na\r\n NIL \"\" {0+}\r\n "));
	struct slice s;
	assert_true(imap_cur_astring(&c, a, &s) && slice_eq_str(s, "atom]") && imap_cur_sp(&c));
	assert_true(imap_cur_astring(&c, a, &s) && slice_eq_str(s, "q\"\\x") && imap_cur_sp(&c));
	assert_true(imap_cur_astring(&c, a, &s) && slice_eq_str(s, "a\r\n") && imap_cur_sp(&c));
	assert_true(imap_cur_nstring(&c, a, &s) && s.ptr == NULL && imap_cur_sp(&c));
	assert_true(imap_cur_nstring(&c, a, &s) && s.ptr != NULL && s.len == 0 && imap_cur_sp(&c));
	assert_true(
	    imap_cur_astring(&c, a, &s) && s.len == 0 && imap_cur_sp(&c) && imap_cur_end(&c));
	static const char *const bad[] = {"", "\"abc", "\"a\\b\"", "\"a\rb\"", "{3}\r\nab", "{3}ab",
	    "{", "{x}\r\n", "{-1}\r\n", "(", "a(b", "\"a\\"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c = imap_cur_of(slice_str(bad[i]));
		assert_false(imap_cur_astring(&c, a, &s) && imap_cur_end(&c));
	}
	c = imap_cur_of(slice_of("{3}\r\na\0b", 8));
	assert_false(imap_cur_astring(&c, a, &s));
	arena_free(a);
}

static void
test_flags(void **state)
{
	(void)state;
	struct arena *a = arena_new(100000);
	uint32_t bits;
	struct slice kw;
	struct imap_cur c = imap_cur_of(slice_str("(\\Seen $Forwarded \\deleted NonJunk)"));
	assert_true(imap_cur_flags(&c, a, false, &bits, &kw) && imap_cur_end(&c));
	assert_int_equal(bits, MSG_SEEN | MSG_DELETED);
	assert_true(slice_eq_str(kw, "$Forwarded NonJunk"));
	c = imap_cur_of(slice_str("()"));
	assert_true(imap_cur_flags(&c, a, false, &bits, &kw) && bits == 0 && kw.len == 0);
	c = imap_cur_of(slice_str("\\Flagged x"));
	assert_true(imap_cur_flags(&c, a, true, &bits, &kw) && bits == MSG_FLAGGED &&
		    slice_eq_str(kw, "x"));
	static const char *const bad[] = {
	    "(", "(\\Seen", "(\\Nonsense)", "( )", "(a  b)", "(a \"b\")", "(\\)"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c = imap_cur_of(slice_str(bad[i]));
		assert_false(imap_cur_flags(&c, a, false, &bits, &kw));
	}
	struct buf many;
	buf_init(&many, 100000);
	buf_append_str(&many, "(k");
	for (int i = 0; i < 64; i++)
		buf_appendf(&many, " k%d", i);
	buf_append_str(&many, ")");
	c = imap_cur_of(buf_slice(&many));
	assert_false(imap_cur_flags(&c, a, false, &bits, &kw));
	buf_done(&many);
	arena_free(a);
}

static void
test_sets(void **state)
{
	(void)state;
	struct arena *a = arena_new(1000000);
	struct seqset s;
	assert_int_equal(seqset_parse(slice_str("5,1:3,2:4,*"), a, &s), 0);
	seqset_resolve(&s, 9);
	assert_int_equal(s.n, 2);
	assert_true(seqset_has(&s, 1) && seqset_has(&s, 5) && seqset_has(&s, 9));
	assert_false(seqset_has(&s, 6) || seqset_has(&s, 10) || seqset_has(&s, 0));
	/* n:* holds the last one whatever n is; and nothing beyond it */
	assert_int_equal(seqset_parse(slice_str("100:*"), a, &s), 0);
	seqset_resolve(&s, 7);
	assert_true(s.n == 1 && s.r[0].lo == 7 && s.r[0].hi == 7);
	assert_int_equal(seqset_parse(slice_str("*:2"), a, &s), 0);
	seqset_resolve(&s, 7);
	assert_true(s.n == 1 && s.r[0].lo == 2 && s.r[0].hi == 7);
	assert_int_equal(seqset_parse(slice_str("1:*,4"), a, &s), 0);
	seqset_resolve(&s, 0);
	assert_true(s.n == 1 && s.r[0].lo == 4);
	assert_int_equal(seqset_parse(slice_str("4294967295:1"), a, &s), 0);
	seqset_resolve(&s, 3);
	assert_true(seqset_has(&s, UINT32_MAX));
	static const char *const bad[] = {
	    "", "0", "1,", ",1", "1:", ":1", "1:2:3", "a", "1 ", "4294967296", "01", "-1", "1,,2"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(seqset_parse(slice_str(bad[i]), a, &s), ERR_SYNTAX);
	const uint32_t v[] = {4, 5, 6, 9, 3, 4, UINT32_MAX};
	struct buf b;
	buf_init(&b, 1000);
	seqset_format(v, 7, &b);
	assert_string_equal(buf_cstr(&b), "4:6,9,3:4,4294967295");
	buf_done(&b);
	arena_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_literals),
	    cmocka_unit_test(test_too_large),
	    cmocka_unit_test(test_total),
	    cmocka_unit_test(test_append_streams),
	    cmocka_unit_test(test_line_mode),
	    cmocka_unit_test(test_strings),
	    cmocka_unit_test(test_flags),
	    cmocka_unit_test(test_sets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
