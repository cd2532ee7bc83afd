/* backup_rec.c: see backup_rec.h. Pure. */
#include "store/backup_rec.h"

#include "lib/crypto.h"
#include "lib/err.h"

enum {
	MARK = 0x43765300 /* "CvS", the section */,
	MAGIC = 0x43764a31 /* "CvJ1" */,
	KEY_MAX_LEN = 256,
	VALUE_MAX_LEN = 1 << 20,
	AT_CRC = 20
};

static uint64_t
number(struct slice s, size_t at, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | s.ptr[at + i];
	return v;
}

void
backup_rec_begin(struct buf *b)
{
	static const unsigned char none[BACKUP_REC_HEAD];

	buf_reset(b);
	buf_append(b, none, sizeof none);
}

void
backup_rec_put(struct buf *b, struct slice key, struct slice value)
{
	buf_append_byte(b, BACKUP_PUT);
	buf_append_u16(b, (uint16_t)key.len);
	buf_append_u32(b, (uint32_t)value.len);
	buf_append_slice(b, key);
	buf_append_slice(b, value);
}

void
backup_rec_del(struct buf *b, struct slice key)
{
	buf_append_byte(b, BACKUP_DEL);
	buf_append_u16(b, (uint16_t)key.len);
	buf_append_slice(b, key);
}

static void
fill(unsigned char *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(v >> (8 * (n - 1 - i)));
}

static uint32_t
crc_of(struct slice head, struct slice payload)
{
	return crc32c(crc32c(0, head.ptr, AT_CRC), payload.ptr, payload.len);
}

uint32_t
backup_rec_end(struct buf *b, int64_t at_us, uint32_t before)
{
	uint32_t crc;

	if (b->err != 0 || b->len < BACKUP_REC_HEAD)
		return 0;
	fill(b->data, MAGIC, 4);
	fill(b->data + 4, b->len - BACKUP_REC_HEAD, 4);
	fill(b->data + 8, (uint64_t)at_us, 8);
	fill(b->data + 16, before, 4);
	crc = crc_of(buf_slice(b), slice_from(buf_slice(b), BACKUP_REC_HEAD));
	fill(b->data + AT_CRC, crc, 4);
	return crc;
}

int
backup_head_read(struct slice s, struct backup_head *h)
{
	if (s.len < BACKUP_REC_HEAD || number(s, 0, 4) != MAGIC || number(s, 4, 4) > BACKUP_REC_MAX)
		return ERR_CORRUPT;
	h->len = (uint32_t)number(s, 4, 4);
	h->at_us = (int64_t)number(s, 8, 8);
	h->before = (uint32_t)number(s, 16, 4);
	h->crc = (uint32_t)number(s, AT_CRC, 4);
	return 0;
}

int
backup_rec_check(struct slice head, struct slice payload)
{
	struct backup_head h;

	if (backup_head_read(head, &h) != 0 || h.len != payload.len)
		return ERR_CORRUPT;
	return crc_of(head, payload) == h.crc ? 0 : ERR_CORRUPT;
}

int
backup_op_next(struct slice *rest, struct backup_op *op)
{
	size_t key_len, value_len = 0, head = 3;

	if (rest->len == 0)
		return 0;
	op->kind = rest->ptr[0];
	if (op->kind == BACKUP_PUT)
		head = 7;
	else if (op->kind != BACKUP_DEL)
		return ERR_CORRUPT;
	if (rest->len < head)
		return ERR_CORRUPT;
	key_len = (size_t)number(*rest, 1, 2);
	if (op->kind == BACKUP_PUT)
		value_len = (size_t)number(*rest, 3, 4);
	if (key_len == 0 || key_len > KEY_MAX_LEN || value_len > VALUE_MAX_LEN ||
	    rest->len - head < key_len + value_len)
		return ERR_CORRUPT;
	op->key = slice_sub(*rest, head, key_len);
	op->value = slice_sub(*rest, head + key_len, value_len);
	*rest = slice_from(*rest, head + key_len + value_len);
	return 1;
}

/* ---- streams ---- */

void
backup_stream_init(
    struct backup_stream *s, int (*op)(void *arg, const struct backup_op *op), void *arg)
{
	*s = (struct backup_stream){.section = BACKUP_NONE, .op = op, .arg = arg};
	buf_init(&s->in, (size_t)2 * BACKUP_REC_MAX);
}

void
backup_stream_done(struct backup_stream *s)
{
	buf_done(&s->in);
}

/* A section begins where one may: rows, journal, end. */
static int
section_begin(struct backup_stream *s, unsigned section)
{
	bool good = (section == BACKUP_ROWS && s->section == BACKUP_NONE) ||
		    (section == BACKUP_JOURNAL && s->section == BACKUP_ROWS) ||
		    (section == BACKUP_END && s->section == BACKUP_JOURNAL);

	if (!good)
		return ERR_CORRUPT;
	s->section = section;
	s->chained = false;
	return 0;
}

static int
record(
    struct backup_stream *s, struct slice head, struct slice payload, const struct backup_head *h)
{
	struct backup_op op;
	int r;

	if (s->section != BACKUP_ROWS && s->section != BACKUP_JOURNAL)
		return ERR_CORRUPT;
	if (backup_rec_check(head, payload) != 0 ||
	    (s->section == BACKUP_JOURNAL && s->chained && h->before != s->before))
		return ERR_CORRUPT;
	s->before = h->crc;
	s->chained = true;
	s->records++;
	while ((r = backup_op_next(&payload, &op)) == 1) {
		s->changes++;
		if ((r = s->op(s->arg, &op)) != 0)
			return r;
	}
	return r;
}

int
backup_stream_feed(struct backup_stream *s, struct slice bytes)
{
	size_t at = 0;
	int err = buf_append_slice(&s->in, bytes);

	while (err == 0 && s->in.len - at >= BACKUP_REC_HEAD) {
		struct slice rest = slice_from(buf_slice(&s->in), at);
		struct backup_head h;

		if ((number(rest, 0, 4) & ~(uint64_t)0xff) == MARK) {
			err = section_begin(s, (unsigned)number(rest, 3, 1));
			at += BACKUP_REC_HEAD;
			continue;
		}
		if ((err = backup_head_read(rest, &h)) != 0)
			break;
		if (rest.len - BACKUP_REC_HEAD < h.len)
			break;
		err = record(s, slice_sub(rest, 0, BACKUP_REC_HEAD),
		    slice_sub(rest, BACKUP_REC_HEAD, h.len), &h);
		at += BACKUP_REC_HEAD + h.len;
	}
	if (err == 0)
		buf_consume(&s->in, at);
	return err;
}
