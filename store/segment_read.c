/* segment_read.c: reading records: only the blocks that a range needs, each checked; copying records for compaction is in segment_write.c. Runs
 * in stored, in the threads of backend_kv.c.
 *
 * A small record is read in one go. Of a large one the header and the table up to the last block that is wanted, then the blocks. */
#include "store/segment_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

enum { AT_ONCE = 128 << 10 };

static bool
same(const struct seg_loc *a, const struct seg_loc *b)
{
	return a->body == b->body && a->size == b->size && a->content == b->content &&
	       a->stored == b->stored && a->summary_len == b->summary_len && a->flags == b->flags &&
	       memcmp(a->sha256, b->sha256, 32) == 0;
}

int
rec_open(struct seg *s, const struct seg_loc *l, uint64_t last, struct rec *r)
{
	struct seg_loc there;
	unsigned flags;
	int err;

	memset(r, 0, sizeof *r);
	r->s = s;
	r->l = l;
	r->have = l->stored <= AT_ONCE ? (size_t)l->stored
				       : REC_HEADER + (size_t)(last + 1) * rec_entry_len(l->flags);
	r->off = rec_table_end(l);
	if ((err = file_get(s, l->segment, &r->fd)) != 0)
		return err;
	r->w = work_get(s);
	r->head = xmalloc(r->have);
	err = read_at(r->fd, r->head, r->have, l->off);
	if (err == ERR_EOF ||
	    (err == 0 && (rec_head_decode(r->head, &there, &flags, r->nonce) != 0 ||
			     (flags & REC_DEAD) != 0 || !same(&there, l))))
		err = ERR_CORRUPT;
	if (err == 0 && (l->flags & SEG_SEALED) != 0)
		err = file_key(s, l->segment, r->key);
	if (err != 0)
		rec_close(r);
	return err;
}

void
rec_close(struct rec *r)
{
	file_put(r->s, r->l->segment, false);
	work_put(r->s, r->w);
	free(r->head);
	explicit_bzero(r->key, sizeof r->key);
}

static const unsigned char *
entry(const struct rec *r, uint64_t index)
{
	return r->head + REC_HEADER + index * rec_entry_len(r->l->flags);
}

int
rec_stored(struct rec *r, uint64_t index, uint32_t *word_out, const unsigned char **p_out)
{
	const unsigned char *e = entry(r, index), *p;
	uint32_t word = get32(e);
	int err;

	for (; r->at < index; r->at++)
		r->off += word_len(get32(entry(r, r->at)));
	if (!word_ok(word, rec_plain_len(r->l, index)) || r->off + word_len(word) > r->l->stored)
		return ERR_CORRUPT;
	if (r->off + word_len(word) <= r->have) {
		p = r->head + r->off;
	} else {
		unsigned char *room = work_stored(r->w, word_len(word));

		err = read_at(r->fd, room, word_len(word), r->l->off + r->off);
		if (err != 0)
			return err == ERR_EOF ? ERR_CORRUPT : err;
		p = room;
	}
	if (block_check(r->l->body, index, word, p) != get32(e + 4))
		return ERR_CORRUPT;
	if ((r->l->flags & SEG_SEALED) != 0) {
		unsigned char *clear = work_clear(r->w, word_len(word)), aad[BLOCK_AAD],
			      nonce[NONCE];

		block_nonce(r->nonce, index, nonce);
		if (gcm_open(r->key, nonce, block_aad(r->l, index, word, aad), p, word_len(word),
			clear, e + 8) != 0)
			return ERR_CORRUPT;
		p = clear;
	}
	*word_out = word;
	*p_out = p;
	return 0;
}

int
rec_block(struct rec *r, uint64_t index, unsigned char *to)
{
	size_t plain = rec_plain_len(r->l, index);
	const unsigned char *p;
	uint32_t word;
	int err = rec_stored(r, index, &word, &p);

	if (err != 0)
		return err;
	if (word_codec(word) == CODEC_ZSTD)
		return zst_decompress(r->w->zst, slice_of(p, word_len(word)), to, plain);
	if (plain > 0)
		memcpy(to, p, plain);
	return 0;
}

/* The part of block index that lies in [off, end), to to. */
static int
block_part(struct rec *r, uint64_t index, uint64_t off, uint64_t end, unsigned char *to)
{
	uint64_t start = (index - 1) * BLOCK;
	size_t plain = rec_plain_len(r->l, index);
	unsigned char *room;
	int err;

	if (off <= start && end >= start + plain)
		return rec_block(r, index, to);
	room = work_plain(r->w, plain);
	err = rec_block(r, index, room);
	if (err == 0 && off > start) {
		room += off - start;
		plain -= (size_t)(off - start);
		start = off;
	}
	if (err == 0)
		memcpy(to, room, end - start < plain ? (size_t)(end - start) : plain);
	return err;
}

int
seg_read(struct seg *s, const struct seg_loc *l, uint64_t off, uint32_t len, struct buf *out)
{
	uint64_t end, first, last;
	unsigned char *to;
	struct rec r;
	int err;

	if (len > SEG_READ_MAX)
		return ERR_LIMIT;
	if (off >= l->content || len == 0)
		return 0;
	if (l->format == 1)
		return v1_read(s, l, off, len, out);
	end = len < l->content - off ? off + len : l->content;
	if ((to = buf_reserve(out, (size_t)(end - off))) == NULL)
		return out->err;
	first = 1 + off / BLOCK;
	last = 1 + (end - 1) / BLOCK;
	if ((err = rec_open(s, l, last, &r)) != 0)
		return err;
	for (uint64_t i = first; i <= last && err == 0; i++) {
		uint64_t start = (i - 1) * BLOCK;

		err = block_part(&r, i, off, end, to + (start > off ? start - off : 0));
	}
	rec_close(&r);
	if (err == 0)
		buf_commit(out, (size_t)(end - off));
	return err;
}

int
seg_read_summary(struct seg *s, const struct seg_loc *l, struct buf *out)
{
	unsigned char *to;
	struct rec r;
	int err;

	if (l->format == 1)
		return v1_read_summary(s, l, out);
	if ((to = buf_reserve(out, l->summary_len + 1)) == NULL)
		return out->err;
	if ((err = rec_open(s, l, 0, &r)) != 0)
		return err;
	err = rec_block(&r, 0, to);
	rec_close(&r);
	if (err == 0)
		buf_commit(out, l->summary_len);
	return err;
}

int
seg_read_whole(struct seg *s, const struct seg_loc *l, bool want_summary, struct buf *out)
{
	size_t n = (want_summary ? l->summary_len : 0) + (size_t)l->content;
	unsigned char *to;
	struct rec r;
	int err;

	if (l->size > SEG_WHOLE_MAX || l->summary_len > SEG_WHOLE_MAX ||
	    (l->flags & SEG_COMPOSITE) != 0)
		return ERR_LIMIT;
	if (l->format == 1)
		return v1_read_whole(s, l, want_summary, out);
	if ((to = buf_reserve(out, n + 1)) == NULL)
		return out->err;
	if ((err = rec_open(s, l, rec_blocks(l) - 1, &r)) != 0)
		return err;
	if (want_summary && (err = rec_block(&r, 0, to)) == 0)
		to += l->summary_len;
	if (err == 0 && l->content > 0)
		err = rec_block(&r, 1, to);
	rec_close(&r);
	if (err == 0)
		buf_commit(out, n);
	return err;
}

int
seg_check(struct seg *s, const struct seg_loc *l)
{
	struct sha256 *h = sha256_new();
	unsigned char digest[32];
	struct buf b;
	int err;

	buf_init(&b, SEG_SUMMARY_MAX + 1);
	err = seg_read_summary(s, l, &b);
	for (uint64_t off = 0; off < l->content && err == 0; off += BLOCK) {
		buf_reset(&b);
		err = seg_read(s, l, off, BLOCK, &b);
		sha256_update(h, b.data, err == 0 ? b.len : 0);
	}
	sha256_final(h, digest);
	if (err == 0 && (l->flags & SEG_COMPOSITE) == 0 && memcmp(digest, l->sha256, 32) != 0)
		err = ERR_CORRUPT;
	sha256_free(h);
	buf_done(&b);
	return err;
}

int
seg_there(struct seg *s, const struct seg_loc *l)
{
	struct stat st;
	int fd, err = file_get(s, l->segment, &fd);

	if (err != 0)
		return err;
	if (fstat(fd, &st) != 0)
		err = err_from_errno(errno);
	else if ((uint64_t)st.st_size + 8 <=
		 l->off + l->stored) /* less its padding, of version 1 */
		err = ERR_CORRUPT;
	file_put(s, l->segment, false);
	return err;
}
