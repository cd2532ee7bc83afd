/* index_block.c: blocks of the index for SEARCH and their rows (index_block.h). Pure. Runs in stored. */
#include "store/index_block.h"

#include <string.h>

#include "lib/err.h"

enum { ROW_VERSION = 1, ROW_HEAD = 1 + 1 + 8 + 1 + 1 + 4 + 4, BLOCK_VERSION = 1 };
static const char magic[8] = "CVINDEX";

int
index_row_encode(const struct index_row *r, struct buf *out)
{
	buf_append_byte(out, ROW_VERSION);
	buf_append_byte(out, SIG_VERSION);
	buf_append_u64(out, r->body);
	buf_append_byte(out, r->log_header);
	buf_append_byte(out, r->log_body);
	buf_append_u32(out, r->n);
	buf_append_u32(out, r->uids[0]);
	for (uint32_t i = 1; i < r->n; i++) {
		uint32_t d = r->uids[i] - r->uids[i - 1];

		for (; d >= 0x80; d >>= 7)
			buf_append_byte(out, (unsigned char)(d | 0x80));
		buf_append_byte(out, (unsigned char)d);
	}
	return out->err;
}

static uint64_t
number(const unsigned char *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

int
index_row_body(struct slice v, uint64_t *body_out)
{
	if (v.len < ROW_HEAD || v.ptr[0] != ROW_VERSION)
		return ERR_CORRUPT;
	*body_out = number(v.ptr + 2, 8);
	return 0;
}

/* How much further the next UID is; 0: it cannot be read. */
static uint64_t
step(struct slice *rest)
{
	uint64_t d = 0;

	for (unsigned shift = 0; shift < 35 && rest->len > 0; shift += 7) {
		unsigned char c = rest->ptr[0];

		*rest = slice_from(*rest, 1);
		d |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80)
			return d;
	}
	return 0;
}

int
index_row_decode(struct slice v, struct index_row *r_out)
{
	struct slice rest = slice_from(v, ROW_HEAD);
	uint64_t uid;

	if (index_row_body(v, &r_out->body) != 0 || v.ptr[1] != SIG_VERSION)
		return ERR_CORRUPT;
	r_out->log_header = v.ptr[10];
	r_out->log_body = v.ptr[11];
	r_out->n = (uint32_t)number(v.ptr + 12, 4);
	uid = number(v.ptr + 16, 4);
	if (r_out->log_header < INDEX_LOG_MIN || r_out->log_header > INDEX_LOG_HEADER_MAX ||
	    r_out->log_body < INDEX_LOG_MIN || r_out->log_body > INDEX_LOG_BODY_MAX ||
	    r_out->n == 0 || r_out->n > INDEX_MSGS || uid == 0)
		return ERR_CORRUPT;
	r_out->uids[0] = (uint32_t)uid;
	for (uint32_t i = 1; i < r_out->n; i++) {
		uint64_t d = step(&rest);

		uid += d;
		if (d == 0 || uid > UINT32_MAX)
			return ERR_CORRUPT;
		r_out->uids[i] = (uint32_t)uid;
	}
	return rest.len == 0 ? 0 : ERR_CORRUPT;
}

uint64_t
index_slice_at(const struct index_row *r, bool body, uint16_t hash)
{
	uint64_t before = body ? (uint64_t)1 << r->log_header : 0;
	unsigned log = body ? r->log_body : r->log_header;

	return INDEX_SLICE * (1 + before + (hash & ((1u << log) - 1)));
}

uint64_t
index_size(const struct index_row *r)
{
	return INDEX_SLICE * (1 + ((uint64_t)1 << r->log_header) + ((uint64_t)1 << r->log_body));
}

int
index_block_begin(const struct index_row *r, struct buf *out)
{
	size_t n = (size_t)index_size(r);
	unsigned char *p;

	buf_init(out, INDEX_SIZE_MAX);
	p = buf_reserve(out, n);
	if (p == NULL)
		return out->err;
	memset(p, 0, n);
	memcpy(p, magic, sizeof magic);
	p[sizeof magic] = BLOCK_VERSION;
	buf_commit(out, n);
	return 0;
}

static void
set(unsigned char *slices, uint32_t slice, uint32_t i)
{
	slices[(size_t)slice * INDEX_SLICE + i / 8] |= (unsigned char)(1u << (i % 8));
}

static void
add_set(unsigned char *slices, unsigned log, uint32_t i, const struct sig_bits *b)
{
	uint32_t slices_n = 1u << log, mask = slices_n - 1, n;

	if (b->log == SIG_ALL)
		for (uint32_t k = 0; k < slices_n; k++)
			set(slices, k, i);
	if (b->log == 0 || b->log == SIG_ALL)
		return;
	n = 1u << b->log;
	for (uint32_t o = 0; o < n / 8; o++)
		for (unsigned v = b->bits[o]; v != 0; v &= v - 1) {
			uint32_t bit = o * 8 + (uint32_t)__builtin_ctz(v);

			/* a larger set folds, a smaller one repeats */
			for (uint32_t k = bit & mask; k < slices_n; k += n)
				set(slices, k, i);
		}
}

void
index_block_add(const struct index_row *r, struct buf *block, uint32_t i, const struct sig *s,
    const uint16_t *trace, size_t n_trace)
{
	unsigned char *header = block->data + INDEX_SLICE;
	unsigned char *body = header + ((size_t)INDEX_SLICE << r->log_header);
	uint32_t mask = (1u << r->log_header) - 1;

	add_set(header, r->log_header, i, &s->header);
	add_set(body, r->log_body, i, &s->body);
	for (size_t k = 0; k < n_trace; k++)
		set(header, trace[k] & mask, i);
}
