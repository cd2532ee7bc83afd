/* segment_write.c: records being written and copied. Runs in stored, in the threads of backend_kv.c.
 *
 * A writer compresses first, so that it knows how long the record will be, reserves room (under the lock), then writes beside the others.
 * The header goes last or with everything else, so a record with a good header was written whole as far as this process is concerned; after
 * a crash only records that the database knows count, since those were synced before their rows. A write that failed leaves a dead
 * record, or a hole that nothing refers to. */
#include "store/segment_priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

enum {
	AHEAD =
	    1
	    << 20, /* zeros written behind the end: a sync that makes no file longer is half the work */
	AHEAD_FOR = 160 << 10, /* records up to this size make them */
	ONE_WRITE = 288 << 10, /* records up to this size go out in one write */
	MEM_MAX = 64 << 20,    /* bodies up to this size are compressed */
	TRY_FROM = 256,        /* below, nothing is gained */
	TRY_SUMMARY_FROM =
	    4096, /* most of a summary is a signature, which has no pattern; the search reads many */
	SAMPLE_FROM = 64 << 10,
	SAMPLE = 8 << 10,
	ROOM_EVERY_MS = 50,
};

/* ---- compressing ---- */

/* What gain is enough: an eighth. */
static size_t
room_for(size_t n)
{
	return n - n / 8;
}

/* Large blocks of what is compressed already (pictures, archives) are told by a piece from their middle. */
static bool
worth_it(struct work *w, struct slice in, unsigned char *scratch)
{
	return in.len < SAMPLE_FROM || zst_compress(w->zst, slice_sub(in, in.len / 2, SAMPLE),
					   scratch, room_for(SAMPLE)) > 0;
}

/* A body in blocks as they will be stored. */
struct plan {
	uint64_t n;
	uint32_t *words;
	const unsigned char **p; /* into the content, or the scratch */
	unsigned char *scratch;  /* of the work, or own */
	bool own;
	uint64_t len; /* of all */
};

static void
plan_make(struct plan *pl, struct work *w, const struct seg_loc *l, struct slice summary,
    struct slice content)
{
	size_t total = summary.len + content.len, used = 0;

	pl->n = rec_blocks(l);
	pl->words = xcalloc((size_t)pl->n, sizeof *pl->words);
	pl->p = xcalloc((size_t)pl->n, sizeof *pl->p);
	pl->own = total > SEG_SUMMARY_MAX;
	pl->scratch = pl->own ? xmalloc(total) : work_stored(w, total);
	pl->len = 0;
	for (uint64_t i = 0; i < pl->n; i++) {
		struct slice in =
		    i == 0 ? summary : slice_sub(content, (size_t)(i - 1) * BLOCK, BLOCK);
		size_t n = 0;

		if (in.len >= (i == 0 ? TRY_SUMMARY_FROM : TRY_FROM) &&
		    worth_it(w, in, pl->scratch + used))
			n = zst_compress(w->zst, in, pl->scratch + used, room_for(in.len));
		pl->p[i] = n > 0 ? pl->scratch + used : in.ptr;
		pl->words[i] =
		    n > 0 ? (uint32_t)n | (uint32_t)CODEC_ZSTD << CODEC_SHIFT : (uint32_t)in.len;
		used += n;
		pl->len += word_len(pl->words[i]);
	}
}

static void
plan_done(struct plan *pl)
{
	free(pl->words);
	free(pl->p);
	if (pl->own)
		free(pl->scratch);
}

/* ---- room ---- */

/* With the lock. The record that ends at st->end is the first to pass the zeros: more of them behind it. Without room for them it is as if there
 * were none. */
static void
fill_ahead(struct seg *s, struct stream *st, uint64_t len)
{
	static const unsigned char zeros[AHEAD];

	st->filled = st->end;
	if (len <= AHEAD_FOR && st->end + AHEAD <= s->file_max &&
	    rw_write_at(s->files[st->file].fd, zeros, AHEAD, st->end) == 0)
		st->filled += AHEAD;
}

/* Room for a record, and a number for a new one. The file is held (file_put). */
static int
reserve(struct seg *s, enum stream_kind kind, struct seg_loc *l, int *fd_out)
{
	struct stream *st = &s->streams[kind];
	int err = 0;

	pthread_mutex_lock(&s->mu);
	if (st->file == 0 || (st->end > FILE_HEADER && st->end + l->stored > s->file_max)) {
		if (st->file != 0 && st->filled > st->end)
			(void)!ftruncate(s->files[st->file].fd, (off_t)st->end);
		err = file_make(s, kind);
	}
	if (err == 0) {
		l->segment = st->file;
		l->off = st->end;
		if (l->body == 0)
			l->body = s->next_body++;
		st->end += l->stored;
		s->written += l->stored;
		if (st->end > st->filled && kind == STREAM_NEW)
			fill_ahead(s, st, l->stored);
		s->files[st->file].users++;
		writing_begin(s, l);
		*fd_out = s->files[st->file].fd;
	}
	pthread_mutex_unlock(&s->mu);
	return err;
}

/* Bodies stop well before rows do, so that what frees space (and recovery) still finds some. */
void
seg_set_reserve(struct seg *s, uint64_t bytes)
{
	s->reserve = bytes;
}

/* The disk is asked now and then. */
static bool
has_room(struct seg *s, uint64_t size)
{
	struct timespec ts;
	struct statvfs fs;
	int64_t now;
	bool room;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	pthread_mutex_lock(&s->mu);
	if (s->room_asked_ms == 0 || now - s->room_asked_ms >= ROOM_EVERY_MS) {
		s->room = fstatvfs(s->dir_fd, &fs) != 0 ? UINT64_MAX
							: (uint64_t)fs.f_bavail * fs.f_frsize;
		s->room_asked_ms = now;
	}
	room = s->room >= s->reserve + size;
	if (room && s->room != UINT64_MAX)
		s->room -= size;
	pthread_mutex_unlock(&s->mu);
	return room;
}

/* ---- a record being written ---- */

struct out {
	struct seg *s;
	struct seg_loc l;
	int fd;
	struct work *w;
	unsigned char nonce[NONCE], key[32];
	unsigned char *head; /* header and table; of a small record all of it */
	bool small;
	uint64_t off;       /* of the next block */
	struct buf *record; /* seg_body.record */
};

static int out_end(struct out *o, int err, struct seg_loc *loc_out);

/* l: all but the place, and the number of a new body. blocks_len: of all blocks as they will be stored. */
static int
out_begin(struct out *o, struct seg *s, enum stream_kind kind, const struct seg_loc *l,
    uint64_t blocks_len)
{
	int err;

	memset(o, 0, sizeof *o);
	o->s = s;
	o->l = *l;
	o->l.format = 2;
	o->l.flags = (uint8_t)(o->l.flags & ~SEG_SEALED);
	if (s->keys != NULL) {
		o->l.flags |= SEG_SEALED;
		random_bytes(o->nonce, sizeof o->nonce);
	}
	o->off = rec_table_end(&o->l);
	o->l.stored = rec_padded(o->off + blocks_len);
	if (!has_room(s, o->l.stored))
		return ERR_FULL;
	if ((err = reserve(s, kind, &o->l, &o->fd)) != 0)
		return err;
	o->w = work_get(s);
	o->small = o->l.stored <= ONE_WRITE;
	o->head = xcalloc(1, o->small ? (size_t)o->l.stored : (size_t)o->off);
	if (s->keys != NULL && (err = file_key(s, o->l.segment, o->key)) != 0)
		(void)out_end(o, err, NULL);
	return err;
}

static int
out_block(struct out *o, uint64_t index, uint32_t word, const unsigned char *p)
{
	unsigned char *entry = o->head + REC_HEADER + index * rec_entry_len(o->l.flags);
	uint64_t at = o->off;

	if ((o->l.flags & SEG_SEALED) != 0) {
		unsigned char *sealed = work_stored(o->w, word_len(word)), aad[BLOCK_AAD],
			      nonce[NONCE];

		block_nonce(o->nonce, index, nonce);
		gcm_seal(o->key, nonce, block_aad(&o->l, index, word, aad), p, word_len(word),
		    sealed, entry + 8);
		p = sealed;
	}
	put32(entry, word);
	put32(entry + 4, block_check(o->l.body, index, word, p));
	o->off += word_len(word);
	if (!o->small)
		return rw_write_at(o->fd, p, word_len(word), o->l.off + at);
	if (word_len(word) > 0)
		memcpy(o->head + at, p, word_len(word));
	return 0;
}

/* err: why the record is given up. */
static int
out_end(struct out *o, int err, struct seg_loc *loc_out)
{
	size_t table_end = (size_t)rec_table_end(&o->l), pad = (size_t)(o->l.stored - o->off);
	unsigned char h[REC_HEADER];

	rec_head_encode(&o->l, o->l.flags, o->nonce, o->head);
	if (err == 0 && o->small) {
		err = rw_write_at(o->fd, o->head, (size_t)o->l.stored, o->l.off);
		if (err == 0 && o->record != NULL && o->l.stored <= o->record->cap)
			err = buf_append(o->record, o->head, (size_t)o->l.stored);
	} else if (err == 0) {
		/* The padding makes the file as long as the record, which recovery relies on. */
		err = rw_write_at(o->fd, "\0\0\0\0\0\0\0", pad, o->l.off + o->off);
		if (err == 0)
			err = rw_write_at(o->fd, o->head + REC_HEADER, table_end - REC_HEADER,
			    o->l.off + REC_HEADER);
		if (err == 0)
			err = rw_write_at(o->fd, o->head, REC_HEADER, o->l.off);
	}
	if (err != 0) {
		rec_head_encode(&o->l, o->l.flags | REC_DEAD, o->nonce, h);
		(void)rw_write_at(
		    o->fd, h, sizeof h, o->l.off); /* helps a full scan over it; nothing needs it */
	}
	writing_end(o->s, &o->l);
	file_put(o->s, o->l.segment, true);
	free(o->head);
	work_put(o->s, o->w);
	explicit_bzero(o->key, sizeof o->key);
	if (err == 0)
		*loc_out = o->l;
	return err;
}

/* A record from content in memory. */
static int
write_memory(struct seg *s, enum stream_kind kind, const struct seg_loc *l, struct slice summary,
    struct slice content, struct buf *record, struct seg_loc *loc_out)
{
	struct work *w = work_get(s);
	struct plan pl;
	struct out o;
	int err;

	plan_make(&pl, w, l, summary, content);
	err = out_begin(&o, s, kind, l, pl.len);
	if (err == 0) {
		o.record = record;
		for (uint64_t i = 0; i < pl.n && err == 0; i++)
			err = out_block(&o, i, pl.words[i], pl.p[i]);
		err = out_end(&o, err, loc_out);
	}
	plan_done(&pl);
	work_put(s, w);
	return err;
}

/* A large body goes out as it is, block by block. read: gives block at off. */
struct source {
	int (*read)(struct source *src, uint64_t off, size_t n, struct buf *out);
	struct seg *s;
	const struct seg_loc *l;
	int fd;
};

static int
write_stream(struct seg *s, enum stream_kind kind, const struct seg_loc *l, struct slice summary,
    struct source *src, struct seg_loc *loc_out)
{
	struct sha256 *h = sha256_new();
	unsigned char digest[32];
	struct buf b;
	struct out o;
	int err = out_begin(&o, s, kind, l, summary.len + l->content);

	buf_init(&b, BLOCK);
	if (err != 0)
		goto out;
	err = out_block(&o, 0, (uint32_t)summary.len, summary.ptr);
	for (uint64_t i = 1; i < rec_blocks(l) && err == 0; i++) {
		buf_reset(&b);
		err = src->read(src, (i - 1) * BLOCK, rec_plain_len(l, i), &b);
		sha256_update(h, b.data, err == 0 ? b.len : 0);
		if (err == 0)
			err = out_block(&o, i, (uint32_t)b.len, b.data);
	}
	sha256_final(h, digest);
	if (err == 0 && memcmp(digest, l->sha256, 32) != 0)
		err = ERR_CORRUPT;
	err = out_end(&o, err, loc_out);
out:
	buf_done(&b);
	sha256_free(h);
	return err;
}

static int
from_fd(struct source *src, uint64_t off, size_t n, struct buf *out)
{
	unsigned char *to = buf_reserve(out, n);
	int err = to == NULL ? out->err : read_at(src->fd, to, n, off);

	if (err == 0)
		buf_commit(out, n);
	return err;
}

int
seg_read_fd(int fd, size_t n, struct buf *out)
{
	struct source src = {.fd = fd};

	return from_fd(&src, 0, n, out);
}

static int
from_record(struct source *src, uint64_t off, size_t n, struct buf *out)
{
	return seg_read(src->s, src->l, off, (uint32_t)n, out);
}

/* ---- the calls ---- */

static int
digest_is(struct slice content, const unsigned char sha256[32])
{
	unsigned char digest[32];

	sha256_of(content, digest);
	return memcmp(digest, sha256, 32) == 0 ? 0 : ERR_CORRUPT;
}

int
seg_write(struct seg *s, const struct seg_body *b, struct seg_loc *loc_out)
{
	struct seg_loc l = {.size = b->size, .content = b->size, .format = 2, .flags = b->flags};
	struct source src = {.read = from_fd, .fd = b->fd};
	struct slice content = b->content;
	struct buf mem;
	int err = 0;

	if (b->summary.len > SEG_SUMMARY_MAX || b->size > (uint64_t)1 << 40)
		return ERR_LIMIT;
	memcpy(l.sha256, b->sha256, 32);
	l.summary_len = (uint32_t)b->summary.len;
	if (b->fd >= 0 && b->size > MEM_MAX)
		return write_stream(s, STREAM_NEW, &l, b->summary, &src, loc_out);
	buf_init(&mem, MEM_MAX);
	if (b->fd >= 0) {
		err = from_fd(&src, 0, (size_t)b->size, &mem);
		content = buf_slice(&mem);
	}
	if ((b->flags & SEG_COMPOSITE) != 0)
		l.content = content.len;
	else if (err == 0)
		err = content.len != b->size     ? ERR_CORRUPT
		      : b->digested && b->fd < 0 ? 0
						 : digest_is(content, b->sha256);
	if (err == 0)
		err = write_memory(s, STREAM_NEW, &l, b->summary, content, b->record, loc_out);
	buf_done(&mem);
	return err;
}

/* A summary as it will be stored: its word, and *p_out its octets, which are good while scratch is. */
static uint32_t
pack_summary(struct work *w, struct slice in, struct buf *scratch, const unsigned char **p_out)
{
	unsigned char *to = in.len >= TRY_SUMMARY_FROM ? buf_reserve(scratch, in.len) : NULL;
	size_t n = to == NULL ? 0 : zst_compress(w->zst, in, to, room_for(in.len));

	*p_out = n > 0 ? to : in.ptr;
	return n > 0 ? (uint32_t)n | (uint32_t)CODEC_ZSTD << CODEC_SHIFT : (uint32_t)in.len;
}

/* As it stands there: no block is compressed anew, but for the summary when there is another one (NULL: as it was). */
static int
copy_blocks(
    struct seg *s, const struct seg_loc *from, const struct slice *summary, struct seg_loc *to_out)
{
	uint64_t n = rec_blocks(from), len = 0, old = 0;
	struct seg_loc to = *from;
	const unsigned char *p, *packed = NULL;
	uint32_t word, first = 0;
	struct buf scratch;
	struct rec r;
	struct out o;
	int err = rec_open(s, from, n - 1, &r);

	if (err != 0)
		return err;
	buf_init(&scratch, SEG_SUMMARY_MAX);
	for (uint64_t i = 0; i < n; i++)
		old += word_len(get32(r.head + REC_HEADER + i * rec_entry_len(from->flags)));
	len = old;
	if (summary != NULL) {
		to.summary_len = (uint32_t)summary->len;
		first = pack_summary(r.w, *summary, &scratch, &packed);
		len = len - word_len(get32(r.head + REC_HEADER)) + word_len(first);
	}
	if (rec_table_end(from) + old > from->stored)
		err = ERR_CORRUPT;
	else if ((err = out_begin(&o, s, STREAM_COPY, &to, len)) == 0) {
		if (summary != NULL)
			err = out_block(&o, 0, first, packed);
		for (uint64_t i = summary != NULL; i < n && err == 0; i++) {
			err = rec_stored(&r, i, &word, &p);
			if (err == 0)
				err = out_block(&o, i, word, p);
		}
		err = out_end(&o, err, to_out);
	}
	rec_close(&r);
	buf_done(&scratch);
	return err;
}

/* A record of version 1 is compressed on the way. */
static int
copy_old(struct seg *s, const struct seg_loc *from, struct slice summary, struct seg_loc *to_out)
{
	struct source src = {.read = from_record, .s = s, .l = from};
	struct seg_loc to = *from;
	struct buf mem;
	int err = 0;

	to.summary_len = (uint32_t)summary.len;
	if (from->content > MEM_MAX)
		return write_stream(s, STREAM_COPY, &to, summary, &src, to_out);
	buf_init(&mem, MEM_MAX);
	for (uint64_t off = 0; off < from->content && err == 0; off += BLOCK)
		err = seg_read(s, from, off, BLOCK, &mem);
	if (err == 0)
		err = digest_is(buf_slice(&mem), from->sha256);
	if (err == 0)
		err = write_memory(s, STREAM_COPY, &to, summary, buf_slice(&mem), NULL, to_out);
	buf_done(&mem);
	return err;
}

int
seg_copy(struct seg *s, const struct seg_loc *from, struct seg_loc *to_out)
{
	struct buf summary;
	int err;

	if (from->format == 2)
		return copy_blocks(s, from, NULL, to_out);
	buf_init(&summary, SEG_SUMMARY_MAX + 1);
	err = seg_read_summary(s, from, &summary);
	if (err == 0)
		err = copy_old(s, from, buf_slice(&summary), to_out);
	buf_done(&summary);
	return err;
}

int
seg_resummarize(
    struct seg *s, const struct seg_loc *from, struct slice summary, struct seg_loc *to_out)
{
	if (summary.len > SEG_SUMMARY_MAX)
		return ERR_LIMIT;
	return from->format == 2 ? copy_blocks(s, from, &summary, to_out)
				 : copy_old(s, from, summary, to_out);
}
