/* search_sig_test.c: signatures and blocks of the index never rule out what a search would find: messages and texts made up at random, Vietnamese in all
 * spellings and encodings, whole and broken, each asked of the code that searches, of the signature, of a block. */
#include "config.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "imapd/search_key.h"
#include "imapd/search_scan.h"
#include "lib/err.h"
#include "lib/fold.h"
#include "store/index_block.h"
#include "store/sig_message.h"

static uint64_t seed = 1;

static uint32_t
rnd(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

static const char *const words[] = {"Kính gửi", "ỦY BAN", "nhân dân", "Đặng Thị Thu Hường",
    "Ðà Nẵng", "a\xcc\x86\xcc\x81", "e\xcc\x82\xcc\xa3", "nghị định số 99/2025/NĐ-CP", "QUYẾT ĐỊNH",
    "the agency report", "ﬁnance", "Straße", "Ｆｕｌｌ", "x", "\xf0\x9f\x98\x80", "日本語",
    "\xff\xfe", "=?utf-8?Q?=C4=91?=", "=20", "=", "<b>công&nbsp;văn</b>", "1.234.567 đồng"};
enum { N_WORDS = sizeof(words) / sizeof(words[0]) };

static void
put_text(struct buf *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		buf_append_str(b, words[rnd(N_WORDS)]);
		buf_append_str(b, rnd(8) == 0 ? "\r\n" : rnd(30) == 0 ? "" : " ");
		if (rnd(50) == 0)
			buf_append_byte(b, (unsigned char)rnd(256));
	}
}

static const char *const charsets[] = {"", "utf-8", "UTF-8", "us-ascii", "iso-8859-1",
    "windows-1258", "utf-16le", "UTF-16", "tcvn", "gb18030", "iso-2022-jp", "unknown-8bit"};
enum { N_CHARSETS = sizeof(charsets) / sizeof(charsets[0]) };

static void put_part(struct buf *b, unsigned depth, unsigned n);

static void
put_header(struct buf *b, bool odd)
{
	struct buf t;
	buf_init(&t, 1u << 20);
	if (odd && rnd(20) == 0)
		buf_append_str(b, " begins with a blank\r\n");
	for (unsigned i = 0, n = 1 + rnd(5); i < n; i++) {
		static const char *const names[] = {
		    "Subject", "From", "X-Doc", "List-Id", "Received"};
		buf_reset(&t);
		put_text(&t, 1 + rnd(6));
		for (size_t k = 0; k < t.len; k++)
			if (t.data[k] == '\r' || t.data[k] == '\n')
				t.data[k] = ' ';
		buf_appendf(b, "%s: ", names[rnd(5)]);
		if (rnd(3) > 0)
			hdr_encode(buf_slice(&t), b);
		else
			buf_append_slice(b, buf_slice(&t));
		buf_append_str(b, "\r\n");
	}
	buf_done(&t);
}

static void
put_leaf(struct buf *b, unsigned n)
{
	struct buf t;
	unsigned enc = rnd(4);
	buf_init(&t, 4u << 20);
	buf_appendf(b, "Content-Type: %s",
	    rnd(6) == 0 ? "application/pdf"
	    : rnd(3)    ? "text/plain"
			: "text/html");
	const char *cs = charsets[rnd(N_CHARSETS)];
	if (cs[0] != '\0')
		buf_appendf(b, "; charset=\"%s\"", cs);
	buf_appendf(b, "\r\nContent-Transfer-Encoding: %s\r\n\r\n",
	    enc == 0   ? "base64"
	    : enc == 1 ? "quoted-printable"
		       : "8bit");
	put_text(&t, n);
	if (enc == 0)
		b64_encode(buf_slice(&t), rnd(5) > 0, b);
	else if (enc == 1)
		qp_encode(buf_slice(&t), b);
	else
		buf_append_slice(b, buf_slice(&t));
	if (enc < 2 && rnd(4) == 0 && b->len > 40) /* broken on the way */
		b->data[b->len - 1 - rnd(30)] = (unsigned char)rnd(256);
	buf_append_str(b, "\r\n");
	buf_done(&t);
}

static void
put_part(struct buf *b, unsigned depth, unsigned n)
{
	unsigned kind = depth > 3 ? 0 : rnd(6);
	if (kind < 3) {
		put_leaf(b, n);
	} else if (kind == 3) {
		buf_append_str(b, "Content-Type: message/rfc822\r\n\r\n");
		put_header(b, false);
		put_part(b, depth + 1, n);
	} else {
		buf_appendf(b, "Content-Type: multipart/%s; boundary=b%u\r\n\r\n",
		    rnd(2) ? "mixed" : "alternative", depth);
		for (unsigned i = 0, parts = 1 + rnd(3); i < parts; i++) {
			buf_appendf(b, "--b%u\r\n", depth);
			put_part(b, depth + 1, n / 2 + 1);
		}
		if (rnd(5) > 0)
			buf_appendf(b, "--b%u--\r\n", depth);
	}
}

/* All folded texts of a message, one after another with a mark between. */
struct texts {
	struct buf all;
	size_t given; /* of the stretch */
};

static bool
gather(void *arg, struct slice folded)
{
	struct texts *t = arg;
	buf_append_slice(&t->all, folded);
	buf_append_byte(&t->all, 0);
	return false;
}

static void
feed(struct mime_text *t, const struct mime_stretch *s, struct slice whole)
{
	struct slice rest = slice_sub(whole, (size_t)s->off, (size_t)(s->end - s->off));
	mime_text_begin(t, s->cte, s->charset, s->header);
	while (rest.len > 0) {
		struct slice piece = slice_sub(rest, 0, MIME_TEXT_PIECE);
		rest = slice_from(rest, piece.len);
		assert_int_equal(mime_text_feed(t, piece, rest.len == 0), 0);
	}
}

/* Whether BODY would find the needle: by the code of SEARCH. */
static bool
body_has(struct slice whole, const struct mime_stretch *s, struct slice needle)
{
	struct search_key key = {.kind = SEARCH_BODY, .needle = needle};
	struct search_prog p = {.n_texts = 1, .texts = {&key}};
	struct search_scan scan;
	search_scan_init(&scan, &p);
	for (; s != NULL; s = s->next) {
		struct slice rest = slice_sub(whole, (size_t)s->off, (size_t)(s->end - s->off));
		search_scan_part(&scan, s->cte, s->charset, s->header);
		while (rest.len > 0) {
			struct slice piece = slice_sub(rest, 0, MIME_TEXT_PIECE);
			rest = slice_from(rest, piece.len);
			assert_int_equal(search_scan_feed(&scan, piece, rest.len == 0), 0);
		}
	}
	bool yes = scan.found & 1;
	search_scan_done(&scan);
	return yes;
}

static bool
header_has(struct slice header, struct slice needle)
{
	struct buf text, folded;
	bool yes = false;
	buf_init(&text, MIME_TEXT_HEADER_MAX);
	buf_init(&folded, 64u << 20);
	while (!yes && mime_header_text(&header, slice_of("", 0), &text)) {
		buf_reset(&folded);
		vn_fold(buf_slice(&text), &folded);
		yes = slice_find(buf_slice(&folded), needle) >= 0;
	}
	buf_done(&text);
	buf_done(&folded);
	return yes;
}

/* Any piece of the texts, or something else. */
static struct slice
pick(const struct buf *texts, struct buf *own)
{
	size_t len = 1 + rnd(rnd(4) == 0 ? 60 : 12);
	if (texts->len > 0 && rnd(4) > 0) {
		struct slice s = slice_sub(buf_slice(texts), rnd((uint32_t)texts->len), len);
		ptrdiff_t end = slice_index(s, 0);
		return end > 0 ? slice_sub(s, 0, (size_t)end) : s;
	}
	buf_reset(own);
	for (size_t i = 0; i < len; i++)
		buf_append_byte(own, (unsigned char)('a' + rnd(26)));
	return buf_slice(own);
}

enum { MSGS = 60, NEEDLES = 60 };
static struct msg {
	struct buf whole, texts, sig;
	struct arena *a;
	struct mime_part *root;
	struct mime_stretch *stretches;
} msgs[MSGS];

static void
make(struct msg *m, unsigned n)
{
	struct texts t = {0};
	struct mime_text text;
	buf_init(&m->whole, 32u << 20);
	buf_init(&m->sig, SIG_SIZE_MAX);
	buf_init(&t.all, 256u << 20);
	put_header(&m->whole, true);
	put_part(&m->whole, 0, n);
	m->a = arena_new((size_t)64 << 20);
	assert_int_equal(mime_parse(buf_slice(&m->whole), &mime_limits_default, m->a, &m->root), 0);
	assert_int_equal(mime_stretches(m->root, m->a, &m->stretches), 0);
	assert_int_equal(sig_message(buf_slice(&m->whole), m->root, m->a, &m->sig), 0);
	mime_text_init(&text, 16, gather, &t);
	for (const struct mime_stretch *s = m->stretches; s != NULL; s = s->next)
		feed(&text, s, buf_slice(&m->whole));
	mime_text_done(&text);
	m->texts = t.all;
	/* and of the header */
	struct slice rest = slice_sub(buf_slice(&m->whole), 0, (size_t)m->root->body_off);
	struct buf one;
	buf_init(&one, MIME_TEXT_HEADER_MAX);
	while (mime_header_text(&rest, slice_of("", 0), &one)) {
		vn_fold(buf_slice(&one), &m->texts);
		buf_append_byte(&m->texts, 0);
	}
	buf_done(&one);
}

static void
drop(struct msg *m)
{
	buf_done(&m->whole);
	buf_done(&m->texts);
	buf_done(&m->sig);
	arena_free(m->a);
}

static bool
block_maybe(const struct index_row *r, const struct buf *block, uint32_t i, bool body,
    const struct sig_needle *n)
{
	for (uint32_t k = 0; k < n->n; k++) {
		uint64_t at = index_slice_at(r, body, n->hash[k]);
		assert_true(at + INDEX_SLICE <= block->len);
		if ((block->data[at + i / 8] >> (i % 8) & 1) == 0)
			return false;
	}
	return true;
}

static struct {
	unsigned asked, found, maybe;
} count;

static void
ask_all(const struct index_row *r, const struct buf *block)
{
	struct buf own;
	buf_init(&own, 4096);
	for (unsigned q = 0; q < NEEDLES; q++) {
		struct slice needle = pick(&msgs[rnd(MSGS)].texts, &own);
		struct sig_needle n;
		sig_needle_init(&n, needle);
		for (uint32_t i = 0; i < MSGS; i++) {
			const struct msg *m = &msgs[i];
			struct sig g = sig_decode(buf_slice(&m->sig));
			bool in_body = body_has(buf_slice(&m->whole), m->stretches, needle);
			bool in_header = header_has(
			    slice_sub(buf_slice(&m->whole), 0, (size_t)m->root->body_off), needle);
			bool may_body = sig_maybe(&g.body, &n),
			     may_header = sig_maybe(&g.header, &n);
			if ((in_body && !may_body) || (in_header && !may_header))
				fail_msg("message %u does have \"%.*s\"", i, (int)needle.len,
				    (const char *)needle.ptr);
			if ((may_body && !block_maybe(r, block, i, true, &n)) ||
			    (may_header && !block_maybe(r, block, i, false, &n)))
				fail_msg("the block rules out what the signature does not");
			if (needle.len >= 8) {
				count.asked++;
				count.found += in_body;
				count.maybe += block_maybe(r, block, i, true, &n);
			}
		}
	}
	buf_done(&own);
}

static void
round_of(unsigned n)
{
	static struct index_row row;
	struct buf block;
	row = (struct index_row){.body = 7,
	    .n = MSGS,
	    .log_header = (unsigned char)(8 + rnd(5)),
	    .log_body = (unsigned char)(8 + rnd(6))};
	for (uint32_t i = 0; i < MSGS; i++) {
		row.uids[i] = i + 1;
		make(&msgs[i], rnd(n) + 1);
	}
	assert_int_equal(index_block_begin(&row, &block), 0);
	assert_int_equal(block.len, index_size(&row));
	for (uint32_t i = 0; i < MSGS; i++) {
		struct sig g = sig_decode(buf_slice(&msgs[i].sig));
		index_block_add(&row, &block, i, &g, NULL, 0);
	}
	ask_all(&row, &block);
	for (uint32_t i = 0; i < MSGS; i++)
		drop(&msgs[i]);
	buf_done(&block);
}

static void
test_never_ruled_out(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++)
		round_of(i % 3 == 0 ? 600 : 60);
	/* and yet something is */
	print_message("of %u, %u have it, %u may\n", count.asked, count.found, count.maybe);
	assert_true(count.maybe - count.found < (count.asked - count.found) / 4);
}

/* Longer than a piece: what stands over a seam is there. */
static void
test_long(void **state)
{
	(void)state;
	struct msg m;
	memset(&m, 0, sizeof(m));
	seed = 3;
	for (unsigned i = 0; i < 3; i++) {
		make(&m, 60000);
		struct sig g = sig_decode(buf_slice(&m.sig));
		size_t lost = 0;
		for (size_t at = 0; at + 8 < m.texts.len; at += 997) {
			struct slice needle = slice_sub(buf_slice(&m.texts), at, 8);
			struct sig_needle n;
			sig_needle_init(&n, needle);
			/* what was kept of one stretch and the next one's beginning are no text */
			if (slice_index(needle, 0) < 0 && !sig_maybe(&g.body, &n) &&
			    !sig_maybe(&g.header, &n))
				lost++;
		}
		assert_int_equal(lost, 0);
		drop(&m);
	}
}

static void
test_hostile(void **state)
{
	(void)state;
	struct sig_needle n;
	sig_needle_init(&n, slice_str("needle"));
	assert_int_equal(n.n, 6); /* two of five, four of three */
	static const struct {
		const char *s;
		size_t len;
	} bad[] = {{"", 0}, {"\1", 1}, {"\2\6\6", 3}, {"\1\0\0", 3}, {"\2\5\0", 3}, {"\2\21\0", 3},
	    {"\2\0\0x", 4}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sig g = sig_decode(slice_of(bad[i].s, bad[i].len));
		assert_true(sig_maybe(&g.header, &n) && sig_maybe(&g.body, &n));
	}
	struct sig none = sig_decode(slice_of("\2\0\0", 3)),
		   all = sig_decode(slice_of("\2\377\0", 3));
	assert_false(sig_maybe(&none.body, &n));
	assert_true(sig_maybe(&all.header, &n) && !sig_maybe(&all.body, &n));
	sig_needle_init(&n, slice_str("ab"));
	assert_true(sig_maybe(&none.body, &n));
	/* summaries of old, and torn ones */
	assert_true(slice_eq_str(summary_tree(slice_str("\1tree")), "\1tree"));
	assert_int_equal(summary_sig(slice_str("\1tree")).len, 0);
	struct buf b;
	buf_init(&b, 100);
	summary_encode(slice_str("tree"), slice_str("sig"), &b);
	assert_true(slice_eq_str(summary_tree(buf_slice(&b)), "tree"));
	assert_true(slice_eq_str(summary_sig(buf_slice(&b)), "sig"));
	b.data[4] = 200;
	assert_int_equal(summary_sig(buf_slice(&b)).len, 0);
	buf_done(&b);
}

static void
test_rows(void **state)
{
	(void)state;
	static struct index_row r, back;
	struct buf b;
	uint64_t body;
	buf_init(&b, 65536);
	r = (struct index_row){
	    .body = 0x123456789abcdef0u, .log_header = 9, .log_body = 14, .n = INDEX_MSGS};
	for (uint32_t i = 0, uid = 5; i < INDEX_MSGS; i++, uid += 1 + (i % 7 == 0 ? 1000000 : 0))
		r.uids[i] = uid;
	assert_int_equal(index_row_encode(&r, &b), 0);
	assert_int_equal(index_row_decode(buf_slice(&b), &back), 0);
	assert_int_equal(back.n, INDEX_MSGS);
	assert_memory_equal(back.uids, r.uids, sizeof(r.uids));
	assert_true(back.body == r.body && back.log_header == 9 && back.log_body == 14);
	assert_true(index_row_body(buf_slice(&b), &body) == 0 && body == r.body);
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(
		    index_row_decode(slice_sub(buf_slice(&b), 0, n), &back), ERR_CORRUPT);
	buf_append_byte(&b, 1);
	assert_int_equal(index_row_decode(buf_slice(&b), &back), ERR_CORRUPT);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_never_ruled_out),
	    cmocka_unit_test(test_long),
	    cmocka_unit_test(test_hostile),
	    cmocka_unit_test(test_rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
