/* imap_search_test.c: search programs, what they ask for, and text found in body parts that come in pieces. RFC 3501 6.4.4. */
#include "config.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "imapd/search_key.h"
#include "imapd/search_scan.h"
#include "imapd/view.h"
#include "lib/err.h"
#include "lib/mime.h"
#include "store/store_client.h"

static struct arena *arena;

static int
parse(const char *text, struct search_prog *p)
{
	struct imap_cur c = imap_cur_of(slice_str(text));
	arena_free(arena);
	arena = arena_new((size_t)4 << 20);
	int err = search_prog_parse(&c, arena, p);
	if (err == 0)
		search_prog_resolve(p, 9, 90, &(struct seqset){0});
	p->now = 760662000 + 100;
	return err;
}

static const char header[] =
    "Date: Mon, 7 Feb 1994 23:30:00 -0800\r\n"
    "From: =?utf-8?Q?Tr=E1=BA=A7n_V=C4=83n_B=C3=ACnh?= <binh@x.example>\r\n"
    "To: A Group:x@y.example;\r\n"
    "Subject: =?utf-8?Q?C=C3=B4ng_v=C4=83n?= 15\r\n"
    "X-Doc: abc\r\n def\r\n"
    "X-Empty:\r\n"
    "\r\n";

/* The answer with what is asked for given step by step; the needs met are added up in *needs. */
static enum search_answer
ask(const char *text, uint32_t *needs)
{
	struct search_prog p;
	struct buf env;
	assert_int_equal(parse(text, &p), 0);
	buf_init(&env, 16384);
	mime_envelope(slice_of(header, sizeof(header) - 1), false, &env);
	struct msg_row row = {.uid = 30,
	    .flags = MSG_SEEN | MSG_FLAGGED,
	    .keywords = slice_str("$Forwarded urgent"),
	    .internal_date = 760662000, /* 7 Feb 1994 23:00 UTC: the 8th at +0700 */
	    .internal_zone = 420,
	    .size = 1000,
	    .envelope = buf_slice(&env),
	    .sent_date = 1};
	struct search_msg m = {.seq = 3, .uid = 30, .flags = MSG_SEEN | MSG_FLAGGED | VIEW_RECENT};
	enum search_answer ans = SEARCH_UNKNOWN;
	*needs = 0;
	for (int i = 0; i < 5 && (ans = search_ask(&p, &m)) == SEARCH_UNKNOWN; i++) {
		*needs |= m.need;
		if (m.need & SEARCH_NEED_ROW) {
			m.row = &row;
		} else if (m.need & SEARCH_NEED_HEADER) {
			m.has_header = true;
			m.header = slice_of(header, sizeof(header) - 1);
		} else {
			struct search_scan scan;
			search_scan_init(&scan, &p);
			search_scan_part(&scan, CTE_8BIT, slice_str("utf-8"), false);
			search_scan_feed(&scan, slice_str("Kính gửi Ủy ban\r\nhai dòng\r\n"), true);
			m.text_found = scan.found;
			m.has_text = true;
			search_scan_done(&scan);
		}
	}
	buf_done(&env);
	return ans;
}

static void
test_answers(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum search_answer ans;
		uint32_t needs;
	} cases[] = {
	    {"ALL", SEARCH_YES, 0},
	    {"SEEN FLAGGED UNDELETED", SEARCH_YES, 0},
	    {"UNSEEN", SEARCH_NO, 0},
	    {"RECENT", SEARCH_YES, 0},
	    {"NEW", SEARCH_NO, 0},
	    {"OLD", SEARCH_NO, 0},
	    {"1:3", SEARCH_YES, 0},
	    {"*", SEARCH_NO, 0},
	    {"UID 30:40", SEARCH_YES, 0},
	    {"NOT 1:3", SEARCH_NO, 0},
	    {"OR UNSEEN FLAGGED", SEARCH_YES, 0},
	    {"OR (SEEN DELETED) (FLAGGED NOT SEEN)", SEARCH_NO, 0},
	    {"KEYWORD $forwarded", SEARCH_YES, SEARCH_NEED_ROW},
	    {"KEYWORD $forward", SEARCH_NO, SEARCH_NEED_ROW},
	    {"UNKEYWORD urgent", SEARCH_NO, SEARCH_NEED_ROW},
	    {"LARGER 999 SMALLER 1001", SEARCH_YES, SEARCH_NEED_ROW},
	    {"LARGER 1000", SEARCH_NO, SEARCH_NEED_ROW},
	    /* the day as it was in the message's own zone */
	    {"ON 8-Feb-1994", SEARCH_YES, SEARCH_NEED_ROW},
	    {"SINCE 9-Feb-1994", SEARCH_NO, SEARCH_NEED_ROW},
	    {"YOUNGER 100", SEARCH_YES, SEARCH_NEED_ROW},
	    {"YOUNGER 99", SEARCH_NO, SEARCH_NEED_ROW},
	    {"OLDER 100", SEARCH_YES, SEARCH_NEED_ROW},
	    {"OLDER 101", SEARCH_NO, SEARCH_NEED_ROW},
	    {"BEFORE \"9-Feb-1994\"", SEARCH_YES, SEARCH_NEED_ROW},
	    {"SENTON 7-Feb-1994", SEARCH_YES, SEARCH_NEED_ROW},
	    {"SENTSINCE 8-Feb-1994", SEARCH_NO, SEARCH_NEED_ROW},
	    /* the ENVELOPE answers; marks and case do not matter */
	    {"FROM \"trần văn\"", SEARCH_YES, SEARCH_NEED_ROW},
	    {"FROM BINH@X.example", SEARCH_YES, SEARCH_NEED_ROW},
	    {"FROM tran", SEARCH_YES, SEARCH_NEED_ROW},
	    {"SUBJECT \"cong van 15\"", SEARCH_YES, SEARCH_NEED_ROW},
	    {"SUBJECT 16", SEARCH_NO, SEARCH_NEED_ROW},
	    {"CC x", SEARCH_NO, SEARCH_NEED_ROW},
	    {"CC \"\"", SEARCH_NO, SEARCH_NEED_ROW},
	    {"TO y.example", SEARCH_YES, SEARCH_NEED_ROW},
	    {"HEADER X-Doc \"abc def\"", SEARCH_YES, SEARCH_NEED_ROW | SEARCH_NEED_HEADER},
	    {"HEADER X-Empty \"\"", SEARCH_YES, SEARCH_NEED_ROW | SEARCH_NEED_HEADER},
	    {"HEADER X-None \"\"", SEARCH_NO, SEARCH_NEED_ROW | SEARCH_NEED_HEADER},
	    {"CHARSET UTF-8 BODY \"uy ban\"", SEARCH_YES, SEARCH_NEED_TEXT},
	    {"BODY x-doc", SEARCH_NO, SEARCH_NEED_TEXT},
	    {"TEXT x-doc", SEARCH_YES, SEARCH_NEED_HEADER},
	    {"TEXT \"gửi Ủy\"", SEARCH_YES, SEARCH_NEED_HEADER | SEARCH_NEED_TEXT},
	    {"NOT TEXT nowhere", SEARCH_YES, SEARCH_NEED_HEADER | SEARCH_NEED_TEXT},
	    /* what is known already decides: nothing is read */
	    {"UNSEEN TEXT nowhere", SEARCH_NO, 0},
	    {"OR SEEN BODY nowhere", SEARCH_YES, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t needs;
		enum search_answer ans = ask(cases[i].text, &needs);
		if (ans != cases[i].ans || needs != cases[i].needs)
			fail_msg("%s: %d, needs %u", cases[i].text, ans, needs);
	}
}

static void
test_syntax(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "NONSENSE", "OR SEEN", "NOT", "(SEEN", "SEEN)", "()",
	    "FROM", "LARGER x", "ON 31-Foo-1994", "SEEN  UNSEEN", "UID", "CHARSET UTF-8",
	    "KEYWORD \"x\"", "TEXT \"\xff\""};
	struct search_prog p;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse(bad[i], &p) != ERR_SYNTAX)
			fail_msg("%s was taken", bad[i]);
	assert_int_equal(parse("CHARSET KOI8-R ALL", &p), ERR_UNSUPPORTED);
}

static void
test_bounds(void **state)
{
	(void)state;
	struct buf b;
	struct search_prog p;
	buf_init(&b, 1000000);
	for (int i = 0; i < 100; i++)
		buf_append_str(&b, "NOT ");
	buf_append_str(&b, "SEEN");
	assert_int_equal(parse(buf_cstr(&b), &p), ERR_LIMIT);
	buf_reset(&b);
	for (int i = 0; i < 100; i++)
		buf_append_byte(&b, '(');
	assert_int_equal(parse(buf_cstr(&b), &p), ERR_LIMIT);
	buf_reset(&b);
	for (int i = 0; i < 1100; i++)
		buf_append_str(&b, "SEEN ");
	buf_append_str(&b, "SEEN");
	assert_int_equal(parse(buf_cstr(&b), &p), ERR_LIMIT);
	buf_reset(&b);
	for (int i = 0; i < 70; i++)
		buf_append_str(&b, "BODY a ");
	buf_append_str(&b, "SEEN");
	assert_int_equal(parse(buf_cstr(&b), &p), ERR_LIMIT);
	buf_done(&b);
}

/* Whatever the size of the pieces, base64 and quoted-printable, the text is found. */
static void
test_scan_seams(void **state)
{
	(void)state;
	static const struct {
		enum mime_cte cte;
		const char *charset, *text;
	} parts[] = {
	    {CTE_8BIT, "utf-8", "một hai ba\r\nbốn năm Ủy ban nhân dân sáu\r\nbảy\r\n"},
	    {CTE_QP, "utf-8", "m=E1=BB=99t =E1=BB=A6y b=\r\nan nh=C3=A2n d=C3=A2n x\r\n"},
	    {CTE_BASE64, "", "bmjhu5NpIOG7pnkg\r\nYmFuIG5ow6JuIGTDom4geA0KeQ==\r\n"},
	    {CTE_BASE64, "utf-16be", "HuYAeQAgAGIAYQBuACAAbgBoAOIAbgAgAGQA4gBu\r\n"},
	};
	struct search_prog p;
	assert_int_equal(parse("BODY \"uy ban nhan dan\" BODY absent", &p), 0);
	for (size_t k = 0; k < 4; k++) {
		size_t len = strlen(parts[k].text);
		for (size_t n = 1; n <= len; n++) {
			struct search_scan s;
			search_scan_init(&s, &p);
			search_scan_part(&s, parts[k].cte, slice_str(parts[k].charset), false);
			for (size_t at = 0; at < len; at += n)
				assert_int_equal(
				    search_scan_feed(&s, slice_sub(slice_str(parts[k].text), at, n),
					at + n >= len),
				    0);
			if (s.found != 1)
				fail_msg(
				    "part %zu in pieces of %zu: found %x", k, n, (unsigned)s.found);
			search_scan_done(&s);
		}
	}
}

/* A part without a line end, larger than a piece: bounded memory, and a match over the seam of pieces. */
static void
test_scan_long_line(void **state)
{
	(void)state;
	struct search_prog p;
	struct search_scan s;
	size_t len = (size_t)3 << 20, piece = 262144;
	char *text = malloc(len);
	memset(text, 'a', len);
	memcpy(text + (1 << 20) - 3, "needle", 6);
	assert_int_equal(parse("BODY needle", &p), 0);
	search_scan_init(&s, &p);
	search_scan_part(&s, CTE_7BIT, slice_str("us-ascii"), false);
	for (size_t at = 0; at < len; at += piece) {
		assert_int_equal(
		    search_scan_feed(&s, slice_of(text + at, piece), at + piece >= len), 0);
		assert_true(s.text.text.len + s.text.raw.len <= 2u << 20);
	}
	assert_true(search_scan_is_full(&s));
	search_scan_done(&s);
	free(text);
}

/* search_attachment_text: what is not in the message may be in its documents, which are asked for last, and only when the store says that it may be there. */
static void
test_documents(void **state)
{
	static const struct {
		const char *text;
		uint32_t may;
		const char *documents;
		bool asked;
		enum search_answer ans;
	} cases[] = {
	    {"BODY kinh", STORE_TEXT_THERE | 1, "Kính trình", true, SEARCH_YES},
	    {"BODY kinh", STORE_TEXT_THERE, "Kính trình", false, SEARCH_NO},
	    {"BODY kinh", 0, "Kính trình", false, SEARCH_NO},
	    {"BODY kinh", STORE_TEXT_THERE | 1, "khác", true, SEARCH_NO},
	    {"TEXT cong", STORE_TEXT_THERE | 1, "", false, SEARCH_YES}, /* the subject has it */
	    {"NOT BODY kinh", STORE_TEXT_THERE | 1, "Kính trình", true, SEARCH_NO},
	    {"NOT BODY kinh", 0, "", false, SEARCH_YES},
	    {"OR BODY khac BODY kinh", STORE_TEXT_THERE | 2, "Kính trình", true, SEARCH_YES},
	    {"SUBJECT kinh", STORE_TEXT_THERE | 1, "Kính trình", false, SEARCH_NO},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct search_prog p;
		struct search_msg m = {.seq = 3, .uid = 30, .documents_may = cases[i].may};
		struct msg_row row = {.uid = 30};
		enum search_answer ans = SEARCH_UNKNOWN;
		bool asked = false;

		assert_int_equal(parse(cases[i].text, &p), 0);
		for (int k = 0; k < 6 && (ans = search_ask(&p, &m)) == SEARCH_UNKNOWN; k++) {
			struct search_scan scan;

			if (m.need & SEARCH_NEED_ROW) {
				m.row = &row;
			} else if (m.need & SEARCH_NEED_HEADER) {
				m.has_header = true;
				m.header = slice_of(header, sizeof(header) - 1);
			} else if (m.need & SEARCH_NEED_TEXT) {
				m.has_text = true;
			} else {
				assert_int_equal(m.need, SEARCH_NEED_DOCUMENTS);
				asked = true;
				search_scan_init(&scan, &p);
				search_scan_part(&scan, CTE_8BIT, slice_str("utf-8"), false);
				search_scan_feed(&scan, slice_str(cases[i].documents), true);
				m.documents_found = scan.found;
				m.has_documents = true;
				search_scan_done(&scan);
			}
		}
		if (ans != cases[i].ans || asked != cases[i].asked)
			fail_msg("case %zu: answer %d, asked %d", i, ans, asked);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_documents),
	    cmocka_unit_test(test_syntax),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_scan_seams),
	    cmocka_unit_test(test_scan_long_line),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(arena);
	return failed;
}
