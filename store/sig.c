/* sig.c: signatures of messages (sig.h). Pure. Runs in ingest and stored. */
#include "store/sig.h"

#include <string.h>

#include "lib/err.h"

enum { SUMMARY_TREE = 1, SUMMARY_SIG = 2, FULL_OF_1000 = 400, HOPELESS_OF_1000 = 800 };

static inline uint32_t
hash_of(uint32_t gram)
{
	return (gram * 0x9e3779b1u) >> 16;
}

static inline uint32_t
next_gram(uint32_t gram, unsigned char c)
{
	return (gram << 8 | c) & 0xffffff;
}

void
sig_set_init(struct sig_set *s)
{
	memset(s, 0, sizeof *s);
}

void
sig_set_add(struct sig_set *s, struct slice folded)
{
	uint32_t gram;

	if (folded.len < 3)
		return;
	s->n += folded.len - 2;
	gram = (uint32_t)folded.ptr[0] << 8 | folded.ptr[1];
	for (size_t i = 2; i < folded.len; i++) {
		uint32_t h;

		gram = next_gram(gram, folded.ptr[i]);
		h = hash_of(gram);
		s->bits[h >> 6] |= (uint64_t)1 << (h & 63);
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
		/* there cannot be more bits than trigrams: then nothing needs to be counted */
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
	uint32_t gram;
	size_t n = 0;

	if (folded.len < 3)
		return 0;
	gram = (uint32_t)folded.ptr[0] << 8 | folded.ptr[1];
	for (size_t i = 2; i < folded.len; i++) {
		gram = next_gram(gram, folded.ptr[i]);
		if (n == max)
			return max + 1;
		out[n++] = (uint16_t)hash_of(gram);
	}
	return n;
}

void
sig_needle_init(struct sig_needle *n, struct slice folded)
{
	size_t all = folded.len < 3 ? 0 : folded.len - 2;
	size_t used = all < SIG_NEEDLE_MAX ? all : SIG_NEEDLE_MAX;

	n->n = 0;
	for (size_t i = 0; i < used; i++) {
		uint16_t h = 0;
		bool known = false;

		(void)sig_hashes(slice_sub(folded, i * all / used, 3), &h, 1);
		for (uint32_t k = 0; k < n->n; k++)
			known = known || n->hash[k] == h;
		if (!known)
			n->hash[n->n++] = h;
	}
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
