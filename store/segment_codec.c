/* segment_codec.c: records as bytes: headers, entries of tables, the row of a body. Pure; what is decoded may be
 * anything. Runs in stored. */
#include "store/segment_priv.h"

#include <string.h>

#include "lib/crypto.h"
#include "lib/err.h"

enum {
	REC_MAGIC = 0x43764264, /* "CvBd" */
	REC_VERSION = 2,
	ROW_V1_LEN = 57,
	ROW_V2_LEN = 76, /* and 8 for each part */
};
#define SIZE_LIMIT ((uint64_t)1 << 40)
#define FLAGS_KNOWN (SEG_PART | SEG_COMPOSITE | SEG_SEALED)

void
put32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (24 - 8 * i));
}

void
put64(unsigned char *p, uint64_t v)
{
	put32(p, (uint32_t)(v >> 32));
	put32(p + 4, (uint32_t)v);
}

uint32_t
get32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint64_t
get64(const unsigned char *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

/* ---- records ---- */

uint64_t
rec_blocks(const struct seg_loc *l)
{
	return 1 + (l->content + BLOCK - 1) / BLOCK;
}

size_t
rec_plain_len(const struct seg_loc *l, uint64_t index)
{
	uint64_t at = (index - 1) * BLOCK;

	if (index == 0)
		return l->summary_len;
	return l->content - at < BLOCK ? (size_t)(l->content - at) : BLOCK;
}

size_t
rec_entry_len(unsigned flags)
{
	return (flags & SEG_SEALED) != 0 ? 8 + TAG : 8;
}

uint64_t
rec_table_end(const struct seg_loc *l)
{
	return REC_HEADER + rec_blocks(l) * rec_entry_len(l->flags);
}

uint64_t
rec_padded(uint64_t len)
{
	return (len + ALIGN - 1) / ALIGN * ALIGN;
}

bool
word_ok(uint32_t word, size_t plain)
{
	return word_codec(word) == CODEC_RAW
		   ? word_len(word) == plain
		   : word_codec(word) == CODEC_ZSTD && word_len(word) < plain;
}

uint32_t
block_check(uint64_t body, uint64_t index, uint32_t word, const void *p)
{
	unsigned char ctx[20];

	put64(ctx, body);
	put64(ctx + 8, index);
	put32(ctx + 16, word);
	return crc32c(crc32c(0, ctx, sizeof ctx), p, word_len(word));
}

void
rec_head_encode(const struct seg_loc *l, unsigned flags, const unsigned char nonce[NONCE],
    unsigned char h[REC_HEADER])
{
	memset(h, 0, REC_HEADER);
	put32(h, REC_MAGIC);
	h[4] = REC_VERSION;
	h[5] = (unsigned char)flags;
	put64(h + 8, l->body);
	put64(h + 16, l->size);
	put32(h + 24, l->summary_len);
	memcpy(h + 28, l->sha256, 32);
	put64(h + 60, l->content);
	put64(h + 68, l->stored);
	memcpy(h + 76, nonce, NONCE);
	put32(h + 92, crc32c(0, h, 92));
}

/* Whether a record of such a body can take so many octets. */
static bool
lengths_ok(const struct seg_loc *l)
{
	return l->size <= SIZE_LIMIT && l->content <= SIZE_LIMIT &&
	       l->summary_len <= SEG_SUMMARY_MAX &&
	       ((l->flags & SEG_COMPOSITE) != 0 || l->content == l->size) &&
	       l->stored % ALIGN == 0 && l->stored >= rec_table_end(l) &&
	       l->stored <= rec_padded(rec_table_end(l) + l->summary_len + l->content);
}

int
rec_head_decode(const unsigned char h[REC_HEADER], struct seg_loc *l, unsigned *flags_out,
    unsigned char nonce_out[NONCE])
{
	if (get32(h) != REC_MAGIC || h[4] != REC_VERSION || get32(h + 92) != crc32c(0, h, 92))
		return ERR_CORRUPT;
	l->format = 2;
	l->flags = h[5] & FLAGS_KNOWN;
	l->body = get64(h + 8);
	l->size = get64(h + 16);
	l->summary_len = get32(h + 24);
	memcpy(l->sha256, h + 28, 32);
	l->content = get64(h + 60);
	l->stored = get64(h + 68);
	memcpy(nonce_out, h + 76, NONCE);
	*flags_out = h[5];
	return l->body > 0 && (h[5] & ~(FLAGS_KNOWN | REC_DEAD)) == 0 && lengths_ok(l)
		   ? 0
		   : ERR_CORRUPT;
}

struct slice
block_aad(const struct seg_loc *l, uint64_t index, uint32_t word, unsigned char aad[BLOCK_AAD])
{
	put32(aad, l->segment);
	put64(aad + 4, l->body);
	put64(aad + 12, l->size);
	put64(aad + 20, l->content);
	put64(aad + 28, l->stored);
	put32(aad + 36, l->summary_len);
	put32(aad + 40, l->flags);
	memcpy(aad + 44, l->sha256, 32);
	put64(aad + 76, index);
	put32(aad + 84, word);
	return slice_of(aad, BLOCK_AAD);
}

void
block_nonce(const unsigned char base[NONCE], uint64_t index, unsigned char out[NONCE])
{
	memcpy(out, base, NONCE);
	put32(out + 8, get32(out + 8) ^ (uint32_t)index);
}

/* ---- the row of a body ---- */

int
seg_loc_encode(const struct seg_loc *l, const uint64_t *refs, size_t n_refs, struct buf *out)
{
	buf_append_byte(out, l->format);
	if (l->format != 1)
		buf_append_byte(out, l->flags);
	buf_append_u32(out, l->segment);
	buf_append_u64(out, l->off);
	buf_append_u64(out, l->size);
	buf_append_u32(out, l->summary_len);
	buf_append(out, l->sha256, 32);
	if (l->format != 1) {
		buf_append_u64(out, l->content);
		buf_append_u64(out, l->stored);
		buf_append_u16(out, (uint16_t)n_refs);
		for (size_t i = 0; i < n_refs; i++)
			buf_append_u64(out, refs[i]);
	}
	return out->err;
}

static size_t
refs_of(struct slice v)
{
	return (size_t)v.ptr[74] << 8 | v.ptr[75];
}

int
seg_loc_decode(struct slice v, uint64_t body, struct seg_loc *l)
{
	const unsigned char *p = v.ptr;
	bool v1 = v.len == ROW_V1_LEN && p[0] == 1;

	if (!v1 && (v.len < ROW_V2_LEN || p[0] != 2))
		return ERR_CORRUPT;
	l->body = body;
	l->format = p[0];
	l->flags = v1 ? 0 : p[1];
	p += v1 ? 1 : 2;
	l->segment = get32(p);
	l->off = get64(p + 4);
	l->size = get64(p + 12);
	l->summary_len = get32(p + 20);
	memcpy(l->sha256, p + 24, 32);
	if (v1) {
		l->content = l->size;
		l->stored = 0;
		if (l->size > SIZE_LIMIT || l->summary_len > SEG_SUMMARY_MAX)
			return ERR_CORRUPT;
		l->stored = v1_record_len(l->size, l->summary_len);
		return 0;
	}
	l->content = get64(p + 56);
	l->stored = get64(p + 64);
	return (l->flags & ~FLAGS_KNOWN) == 0 && lengths_ok(l) && refs_of(v) <= SEG_REFS_MAX &&
		       v.len == ROW_V2_LEN + 8 * refs_of(v) &&
		       (refs_of(v) == 0 || (l->flags & SEG_COMPOSITE) != 0)
		   ? 0
		   : ERR_CORRUPT;
}

int
seg_loc_refs(struct slice v, uint64_t *refs_out, size_t *n_out)
{
	struct seg_loc l;
	int err = seg_loc_decode(v, 1, &l);

	if (err != 0)
		return err;
	*n_out = l.format == 1 ? 0 : refs_of(v);
	for (size_t i = 0; i < *n_out; i++)
		refs_out[i] = get64(v.ptr + ROW_V2_LEN + 8 * i);
	return 0;
}
