/* sig.c: signatures of messages (sig.h). Pure. Runs in ingest and stored. */
#include "store/sig.h"

#include <string.h>

#include "lib/err.h"
#include "lib/mime.h"

enum { SUMMARY_TREE = 1, SUMMARY_SIG = 2, FULL_OF_1000 = 600, HOPELESS_OF_1000 = 850 };

/* Of the last three octets of window, and of the last five. */
static inline uint32_t
hash3(uint64_t window)
{
	return ((uint32_t)(window & 0xffffff) * 0x9e3779b1u) >> 16;
}

static inline uint32_t
hash5(uint64_t window)
{
	return (uint32_t)(((window & 0xffffffffffu) * 0x9e3779b97f4a7c15u) >> 48);
}

void
sig_set_init(struct sig_set *s)
{
	memset(s, 0, sizeof *s);
}

static inline void
set(struct sig_set *s, uint32_t h)
{
	s->bits[h >> 6] |= (uint64_t)1 << (h & 63);
}

void
sig_set_add(struct sig_set *s, struct slice folded)
{
	uint64_t w = 0;
	size_t i;

	if (folded.len < 3)
		return;
	s->n += 2 * folded.len;
	for (i = 0; i < 4 && i < folded.len; i++) {
		w = w << 8 | folded.ptr[i];
		if (i >= 2)
			set(s, hash3(w));
	}
	for (; i < folded.len; i++) {
		w = w << 8 | folded.ptr[i];
		set(s, hash3(w));
		set(s, hash5(w));
	}
}

static uint32_t
count(const uint64_t *w, size_t n)
{
	uint64_t bits = 0;

	/* without the instruction: Debian's amd64 does not have it */
	for (size_t i = 0; i < n; i++) {
		uint64_t v = w[i];

		v -= v >> 1 & 0x5555555555555555u;
		v = (v & 0x3333333333333333u) + (v >> 2 & 0x3333333333333333u);
		v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fu;
		bits += (v * 0x0101010101010101u) >> 56;
	}
	return (uint32_t)bits;
}

static bool
fuller_than(const uint64_t *w, unsigned log, unsigned of_1000)
{
	return (uint64_t)count(w, (size_t)1 << (log - 6)) * 1000 > ((uint64_t)of_1000 << log);
}

/* The logarithm of the size; bits are folded in place. */
static unsigned
shrink(struct sig_set *s)
{
	uint64_t *w = s->bits;
	unsigned log = SIG_LOG_MAX;

	if (s->n > 10000 && fuller_than(w, log, HOPELESS_OF_1000))
		return SIG_ALL;
	while (log > SIG_LOG_MIN) {
		size_t half = (size_t)1 << (log - 7);
		uint64_t tmp[1 << (SIG_LOG_MAX - 7)];

		for (size_t i = 0; i < half; i++)
			tmp[i] = w[i] | w[half + i];
		/* there cannot be more bits than grams: then nothing needs to be counted */
		if (s->n * 1000 > ((size_t)FULL_OF_1000 << (log - 1)) &&
		    fuller_than(tmp, log - 1, FULL_OF_1000))
			break;
		memcpy(w, tmp, half * sizeof *w);
		log--;
	}
	return log;
}

static void
put_bits(const uint64_t *w, unsigned log, struct buf *out)
{
	unsigned char *p;
	size_t n;

	if (log < SIG_LOG_MIN || log > SIG_LOG_MAX)
		return;
	n = (size_t)1 << (log - 3);
	p = buf_reserve(out, n);
	if (p == NULL)
		return;
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(w[i / 8] >> (8 * (i % 8)));
	buf_commit(out, n);
}

int
sig_encode(struct sig_set *header, struct sig_set *body, struct buf *out)
{
	unsigned log_h = header->all ? SIG_ALL : header->n > 0 ? shrink(header) : 0;
	unsigned log_b = body->all ? SIG_ALL : body->n > 0 ? shrink(body) : 0;

	buf_append_byte(out, SIG_VERSION);
	buf_append_byte(out, (unsigned char)log_h);
	buf_append_byte(out, (unsigned char)log_b);
	put_bits(header->bits, log_h, out);
	put_bits(body->bits, log_b, out);
	return out->err;
}

static bool
log_ok(unsigned log)
{
	return log == 0 || log == SIG_ALL || (log >= SIG_LOG_MIN && log <= SIG_LOG_MAX);
}

static size_t
octets(unsigned log)
{
	return log == 0 || log == SIG_ALL ? 0 : (size_t)1 << (log - 3);
}

struct sig
sig_decode(struct slice s)
{
	struct sig all = {{SIG_ALL, NULL}, {SIG_ALL, NULL}}, g;

	if (s.len < 3 || s.ptr[0] != SIG_VERSION || !log_ok(s.ptr[1]) || !log_ok(s.ptr[2]) ||
	    s.len != 3 + octets(s.ptr[1]) + octets(s.ptr[2]))
		return all;
	g.header = (struct sig_bits){s.ptr[1], s.ptr + 3};
	g.body = (struct sig_bits){s.ptr[2], s.ptr + 3 + octets(s.ptr[1])};
	return g;
}

size_t
sig_hashes(struct slice folded, uint16_t *out, size_t max)
{
	uint64_t w = 0;
	size_t n = 0;

	for (size_t i = 0; i < folded.len; i++) {
		w = w << 8 | folded.ptr[i];
		if (i >= 2 && n + 2 > max)
			return max + 1;
		if (i >= 2)
			out[n++] = (uint16_t)hash3(w);
		if (i >= 4)
			out[n++] = (uint16_t)hash5(w);
	}
	return n;
}

static void
need(struct sig_needle *n, uint32_t h)
{
	for (uint32_t k = 0; k < n->n; k++)
		if (n->hash[k] == h)
			return;
	if (n->n < SIG_NEEDLE_MAX)
		n->hash[n->n++] = (uint16_t)h;
}

/* The octets [at, at + n) of s as a number. */
static uint64_t
window(struct slice s, size_t at, size_t n)
{
	uint64_t w = 0;

	for (size_t i = 0; i < n; i++)
		w = w << 8 | s.ptr[at + i];
	return w;
}

void
sig_needle_init(struct sig_needle *n, struct slice folded)
{
	size_t fives = folded.len < 5 ? 0 : folded.len - 4;
	size_t threes = folded.len < 3 ? 0 : folded.len - 2;
	size_t used = fives < SIG_NEEDLE_MAX ? fives : SIG_NEEDLE_MAX;

	n->n = 0;
	for (size_t i = 0; i < used; i++) /* of many, from all over the text */
		need(n, hash5(window(folded, i * fives / used, 5)));
	for (size_t i = 0; i < threes && n->n < SIG_NEEDLE_MAX; i++)
		need(n, hash3(window(folded, i, 3)));
}

bool
sig_maybe(const struct sig_bits *b, const struct sig_needle *n)
{
	if (b->log == SIG_ALL || n->n == 0)
		return true;
	if (b->log == 0)
		return false;
	for (uint32_t i = 0; i < n->n; i++) {
		uint32_t h = n->hash[i] & ((1u << b->log) - 1);

		if ((b->bits[h >> 3] >> (h & 7) & 1) == 0)
			return false;
	}
	return true;
}

/* ---- summaries ---- */

int
summary_encode(struct slice tree, struct slice sig, struct buf *out)
{
	buf_append_byte(out, SUMMARY_SIG);
	buf_append_u32(out, (uint32_t)tree.len);
	buf_append_slice(out, tree);
	return buf_append_slice(out, sig);
}

/* Where the tree ends; 0: it is all there is. */
static size_t
tree_end(struct slice s)
{
	size_t n;

	if (s.len < 5 || s.ptr[0] != SUMMARY_SIG)
		return 0;
	n = (size_t)s.ptr[1] << 24 | (size_t)s.ptr[2] << 16 | (size_t)s.ptr[3] << 8 | s.ptr[4];
	return n <= s.len - 5 ? 5 + n : 0;
}

struct slice
summary_tree(struct slice summary)
{
	size_t end = tree_end(summary);

	return end == 0 ? summary : slice_sub(summary, 5, end - 5);
}

struct slice
summary_sig(struct slice summary)
{
	size_t end = tree_end(summary);

	return end == 0 ? slice_of("", 0) : slice_from(summary, end);
}

bool
summary_is_current(struct slice summary)
{
	struct slice tree = summary_tree(summary), sig = summary_sig(summary);

	return tree_end(summary) > 0 && tree.len > 0 && tree.ptr[0] == MIME_TREE_VERSION &&
	       sig.len >= 3 && sig.ptr[0] == SIG_VERSION && log_ok(sig.ptr[1]) &&
	       log_ok(sig.ptr[2]) && sig.len == 3 + octets(sig.ptr[1]) + octets(sig.ptr[2]);
}
