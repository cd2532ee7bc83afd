/* sig_fuzz.c: signatures, summaries and blocks of the index (the first octet chooses). Hostile octets where ingest's signature or a row of a block is
 * expected: read without harm, and a block never rules out what the signatures in it do not. A hostile message: its signature never rules out a
 * text that stands in it. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "lib/err.h"
#include "lib/fold.h"
#include "store/index_block.h"
#include "store/sig_message.h"

static void
one_block(const struct sig *g, struct slice needle, unsigned logs)
{
	static struct index_row row;
	uint16_t trace[128];
	struct sig_needle n;
	struct buf block;
	size_t k = sig_hashes(needle, trace, 128);

	row = (struct index_row){.n = 9,
	    .log_header = (unsigned char)(6 + logs % 8),
	    .log_body = (unsigned char)(6 + logs / 8 % 9)};
	MUST(index_block_begin(&row, &block) == 0);
	index_block_add(&row, &block, 8, g, trace, k > 128 ? 128 : k);
	sig_needle_init(&n, needle);
	MUST(n.n <= SIG_NEEDLE_MAX);
	for (uint32_t i = 0; i < n.n; i++) {
		uint64_t h = index_slice_at(&row, false, n.hash[i]);
		uint64_t b = index_slice_at(&row, true, n.hash[i]);

		MUST(h + INDEX_SLICE <= block.len && b + INDEX_SLICE <= block.len);
		if (k <= 128 || sig_maybe(&g->header, &n))
			MUST((block.data[h + 1] & 1) != 0);
		if (sig_maybe(&g->body, &n))
			MUST((block.data[b + 1] & 1) != 0);
		MUST(block.data[h] == 0);
	}
	buf_done(&block);
}

static void
row(struct slice s)
{
	static struct index_row r, back;
	uint64_t body;
	struct buf b;

	if (index_row_decode(s, &r) != 0)
		return;
	buf_init(&b, 65536);
	MUST(index_row_encode(&r, &b) == 0);
	MUST(index_row_decode(buf_slice(&b), &back) == 0);
	MUST(back.n == r.n && memcmp(back.uids, r.uids, r.n * sizeof *r.uids) == 0);
	MUST(index_row_body(s, &body) == 0 && body == r.body);
	buf_done(&b);
}

struct cut {
	const struct sig_bits *bits;
	bool any;
};

/* Texts cut out of what the search sees. */
static bool
on_folded(void *arg, struct slice folded)
{
	const struct cut *c = arg;
	struct sig_needle n;

	for (size_t at = 0; at < folded.len; at += 1 + at / 7) {
		sig_needle_init(&n, slice_sub(folded, at, 3 + at % 30));
		MUST(sig_maybe(c->bits, &n));
	}
	return false;
}

static void
message(struct slice whole)
{
	static struct arena *a;
	struct mime_part *root = NULL;
	struct mime_stretch *st = NULL;
	struct mime_text t;
	struct buf sig, text, folded;
	struct slice header;
	struct sig g;
	struct cut c = {&g.body, false};

	if (a == NULL)
		a = arena_new(1 << 26);
	arena_reset(a);
	buf_init(&sig, SIG_SIZE_MAX);
	if (mime_parse(whole, &mime_limits_default, a, &root) != 0)
		return;
	MUST(sig_message(whole, root, a, &sig) == 0);
	g = sig_decode(buf_slice(&sig));
	MUST(sig.data[0] == SIG_VERSION && mime_stretches(root, a, &st) == 0);
	mime_text_init(&t, 40, on_folded, &c);
	for (; st != NULL; st = st->next) {
		mime_text_begin(&t, st->cte, st->charset, st->header);
		MUST(st->end <= whole.len);
		(void)mime_text_feed(
		    &t, slice_sub(whole, (size_t)st->off, (size_t)(st->end - st->off)), true);
	}
	mime_text_done(&t);
	c.bits = &g.header;
	header = slice_sub(whole, 0, (size_t)root->body_off);
	buf_init(&text, MIME_TEXT_HEADER_MAX);
	buf_init(&folded, 40u << 20);
	while (mime_header_text(&header, slice_of("", 0), &text)) {
		buf_reset(&folded);
		vn_fold(buf_slice(&text), &folded);
		(void)on_folded(&c, buf_slice(&folded));
	}
	buf_done(&text);
	buf_done(&folded);
	buf_done(&sig);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_from(slice_of(data, size), 1), sig;
	struct sig g;

	if (size == 0)
		return 0;
	switch (data[0] % 3) {
	case 0:
		sig = summary_sig(s);
		MUST(summary_tree(s).len + sig.len <= s.len);
		g = sig_decode(data[0] % 2 == 0 ? sig : s);
		one_block(&g, slice_sub(s, s.len / 2, 40), data[0] / 3);
		break;
	case 1:
		row(s);
		break;
	default:
		if (s.len < MIME_TEXT_PIECE)
			message(s);
		break;
	}
	return 0;
}
