/* backend_rows.c: rows of objects in an ordered key-value store: conditional batches, removal in steps. Runs in stored (backend_kv.c) and
 * in tests (backend_mem.c). The header row (key "h") guards every batch: it is read for update first. */
#include "store/backend_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

enum {
	PURGE_STEP = 1000,
	SCAN_BYTES_MAX = 4 << 20,
	FULL_KEY_MAX = KV_KEY_MAX,
};

static bool
key_ok(struct slice key)
{
	if (key.len == 0 || key.len > BACKEND_KEY_MAX)
		return false;
	for (size_t i = 0; i < key.len; i++)
		if (key.ptr[i] < 0x21 || key.ptr[i] > 0x7e)
			return false;
	return true;
}

bool
rows_object_ok(struct slice o)
{
	return key_ok(o) && o.len <= BACKEND_OBJECT_MAX && slice_index(o, '/') < 0;
}

bool
rows_batch_ok(const struct backend_batch *b)
{
	if (!rows_object_ok(b->object))
		return false;
	for (size_t i = 0; i < b->n_puts; i++)
		if (!key_ok(b->puts[i].key) || b->puts[i].value.len > BACKEND_VALUE_MAX)
			return false;
	for (size_t i = 0; i < b->n_dels; i++)
		if (!key_ok(b->dels[i]))
			return false;
	for (size_t i = 0; i < b->n_absent; i++)
		if (!key_ok(b->absent[i]))
			return false;
	return true;
}

void
rows_key(struct slice object, struct slice key, struct buf *out)
{
	buf_reset(out);
	buf_append_str(out, "r/");
	buf_append_slice(out, object);
	buf_append_byte(out, '/');
	buf_append_slice(out, key);
}

static uint32_t
u32_at(struct slice s, size_t at)
{
	return (uint32_t)s.ptr[at] << 24 | (uint32_t)s.ptr[at + 1] << 16 |
	       (uint32_t)s.ptr[at + 2] << 8 | s.ptr[at + 3];
}

/* ---- checks at rest ---- */

enum { CHECKED = 0xC1, CHECK_HEAD = 5, OLD_VERSIONS = 16 };

static uint32_t
row_crc(struct slice key, struct slice value)
{
	uint32_t crc = crc32c(0, key.ptr + 2, key.len - 2); /* behind "r/" */

	crc = crc32c(crc, "", 1);
	return crc32c(crc, value.ptr, value.len);
}

int
rows_seal(struct slice key, struct slice value, struct buf *out)
{
	buf_reset(out);
	buf_append_byte(out, CHECKED);
	buf_append_u32(out, row_crc(key, value));
	return buf_append_slice(out, value);
}

bool
rows_is_old(struct slice at_rest)
{
	return at_rest.len > 0 && at_rest.ptr[0] < OLD_VERSIONS;
}

int
rows_open(struct slice key, struct slice at_rest, struct slice *value_out)
{
	struct slice value;

	if (rows_is_old(at_rest)) {
		*value_out = at_rest;
		return 0;
	}
	if (at_rest.len < CHECK_HEAD || at_rest.ptr[0] != CHECKED)
		return ERR_CORRUPT;
	value = slice_from(at_rest, CHECK_HEAD);
	if (row_crc(key, value) != u32_at(at_rest, 1))
		return ERR_CORRUPT;
	*value_out = value;
	return 0;
}

/* What kv_get gave becomes the row's value. */
static int
open_in_place(struct slice key, struct buf *v)
{
	struct slice value;
	int err = rows_open(key, buf_slice(v), &value);

	if (err == 0 && value.len < v->len) {
		memmove(v->data, value.ptr, value.len);
		buf_truncate(v, value.len);
	}
	return err;
}

static int
put_row(struct kv_txn *t, struct slice key, struct slice value, struct buf *scratch)
{
	int err = rows_seal(key, value, scratch);

	return err == 0 ? kv_put(t, key, buf_slice(scratch)) : err;
}

bool
rows_is_verdict(int err)
{
	return err == ERR_GONE || err == ERR_CONFLICT || err == ERR_EXISTS;
}

/* The header row, locked for this transaction, must be expect. */
static int
guard(
    struct kv_txn *t, struct slice object, struct slice expect, struct buf *key, struct buf *value)
{
	int err;

	rows_key(object, slice_str("h"), key);
	err = kv_get_update(t, buf_slice(key), value);
	if (err == ERR_NOTFOUND)
		return ERR_GONE;
	if (err == 0)
		err = open_in_place(buf_slice(key), value);
	if (err != 0)
		return err;
	return slice_eq(buf_slice(value), expect) ? 0 : ERR_CONFLICT;
}

int
rows_apply(struct kv_txn *t, const struct backend_batch *b)
{
	struct buf key, value;
	int err;

	buf_init(&key, FULL_KEY_MAX);
	buf_init(&value, KV_VALUE_MAX);
	err = guard(t, b->object, b->expect, &key, &value);
	if (err == ERR_CORRUPT && b->mend)
		err = 0;
	for (size_t i = 0; i < b->n_absent && err == 0; i++) {
		rows_key(b->object, b->absent[i], &key);
		err = kv_get(t->kv, t, buf_slice(&key), &value);
		err = err == 0 ? ERR_EXISTS : err == ERR_NOTFOUND ? 0 : err;
	}
	for (size_t i = 0; i < b->n_dels && err == 0; i++) {
		rows_key(b->object, b->dels[i], &key);
		err = kv_del(t, buf_slice(&key));
		if (err == ERR_NOTFOUND)
			err = 0;
	}
	for (size_t i = 0; i < b->n_puts && err == 0; i++) {
		rows_key(b->object, b->puts[i].key, &key);
		err = put_row(t, buf_slice(&key), b->puts[i].value, &value);
	}
	buf_done(&key);
	buf_done(&value);
	return err;
}

static void
mark_key(struct slice object, struct buf *out)
{
	buf_reset(out);
	buf_append_str(out, "z/");
	buf_append_slice(out, object);
}

int
rows_create(struct kv_txn *t, struct slice object, struct slice header)
{
	struct buf key, value;
	int err;

	buf_init(&key, FULL_KEY_MAX);
	buf_init(&value, KV_VALUE_MAX);
	mark_key(object, &key);
	err = kv_get(t->kv, t, buf_slice(&key), &value);
	if (err == ERR_NOTFOUND) {
		rows_key(object, slice_str("h"), &key);
		err = kv_get_update(t, buf_slice(&key), &value);
	}
	if (err == 0)
		err = ERR_EXISTS;
	else if (err == ERR_NOTFOUND)
		err = put_row(t, buf_slice(&key), header, &value);
	buf_done(&key);
	buf_done(&value);
	return err;
}

int
rows_remove(struct kv_txn *t, struct slice object, struct slice expect)
{
	struct buf key, value;
	int err;

	buf_init(&key, FULL_KEY_MAX);
	buf_init(&value, KV_VALUE_MAX);
	err = guard(t, object, expect, &key, &value);
	if (err == 0)
		err = kv_del(t, buf_slice(&key));
	if (err == 0) {
		mark_key(object, &key);
		err = kv_put(t, buf_slice(&key), slice_str(""));
	}
	buf_done(&key);
	buf_done(&value);
	return err;
}

struct purge {
	struct buf keys; /* NUL-terminated */
	size_t n;
};

static int
purge_row(void *arg, struct slice key, struct slice value)
{
	struct purge *p = (struct purge *)arg;

	(void)value;
	p->n++;
	buf_append_slice(&p->keys, key);
	return buf_append_byte(&p->keys, 0);
}

int
rows_purge(struct kv *kv, struct kv_txn *t, struct slice object, bool *more_out)
{
	struct purge p = {.n = 0};
	struct buf from, to;
	int err;

	buf_init(&p.keys, PURGE_STEP * (FULL_KEY_MAX + 1));
	buf_init(&from, FULL_KEY_MAX);
	buf_init(&to, FULL_KEY_MAX);
	rows_key(object, slice_str(""), &from);
	rows_key(object, slice_str("\x7f"), &to);
	err = kv_scan(kv, t, buf_slice(&from), buf_slice(&to), PURGE_STEP, purge_row, &p);
	for (size_t i = 0; i < p.keys.len && err == 0;) {
		struct slice key = slice_str((const char *)p.keys.data + i);

		err = kv_del(t, key);
		i += key.len + 1;
	}
	*more_out = p.n == PURGE_STEP;
	if (err == 0 && !*more_out) {
		mark_key(object, &from);
		err = kv_del(t, buf_slice(&from));
		if (err == ERR_NOTFOUND)
			err = 0;
	}
	buf_done(&p.keys);
	buf_done(&from);
	buf_done(&to);
	return err;
}

int
rows_get(struct kv *kv, struct slice object, struct slice key, struct buf *out)
{
	struct buf full;
	int err;

	buf_init(&full, FULL_KEY_MAX);
	rows_key(object, key, &full);
	err = kv_get(kv, NULL, buf_slice(&full), out);
	if (err == 0)
		err = open_in_place(buf_slice(&full), out);
	buf_done(&full);
	return err;
}

/* The length of a value that fails its check, until the scan is over. */
#define BAD_ROW SIZE_MAX

struct scan {
	struct rows_out *out;
	size_t prefix;
	unsigned max;
};

/* While rows come in, a pair holds offsets: the buffer moves. */
static int
scan_row(void *arg, struct slice key, struct slice value)
{
	struct scan *s = (struct scan *)arg;
	struct rows_out *o = s->out;
	struct kv_pair *p = &o->pairs[o->n];

	if (o->n == s->max || o->bytes.len >= SCAN_BYTES_MAX) {
		o->more = true;
		return 1;
	}
	if (rows_open(key, value, &value) != 0)
		value = slice_of(NULL, BAD_ROW);
	key = slice_from(key, s->prefix);
	p->key.len = key.len;
	p->value.len = value.len;
	buf_append_slice(&o->bytes, key);
	o->n++;
	if (value.len == BAD_ROW)
		return o->bytes.err;
	buf_append_slice(&o->bytes, value);
	return o->bytes.err;
}

int
rows_scan(struct kv *kv, struct slice object, struct slice from, struct slice to, unsigned max,
    struct rows_out *out)
{
	struct scan s = {out, 0, max};
	struct buf lo, hi;
	size_t at = 0;
	int err;

	memset(out, 0, sizeof *out);
	buf_init(&out->bytes, SCAN_BYTES_MAX + BACKEND_VALUE_MAX + FULL_KEY_MAX);
	out->pairs = xcalloc((size_t)max + 1, sizeof *out->pairs);
	buf_init(&lo, FULL_KEY_MAX);
	buf_init(&hi, FULL_KEY_MAX);
	rows_key(object, slice_str(""), &lo);
	s.prefix = lo.len;
	buf_append_slice(&lo, from);
	rows_key(object, to.len > 0 ? to : slice_str("\x7f"), &hi);
	err = kv_scan(kv, NULL, buf_slice(&lo), buf_slice(&hi), (size_t)max + 1, scan_row, &s);
	if (err == 1)
		err = 0;
	for (size_t i = 0; i < out->n; i++) {
		out->pairs[i].key.ptr = out->bytes.data + at;
		at += out->pairs[i].key.len;
		if (out->pairs[i].value.len == BAD_ROW) {
			out->pairs[i].value = slice_of(NULL, 0);
			continue;
		}
		out->pairs[i].value.ptr = out->bytes.data + at;
		at += out->pairs[i].value.len;
	}
	buf_done(&lo);
	buf_done(&hi);
	return err;
}

static int
first_key(void *arg, struct slice key, struct slice value)
{
	(void)value;
	buf_append_slice((struct buf *)arg, key);
	return 1;
}

/* One descent for each object: what it holds is not read. */
int
rows_objects(
    struct kv *kv, struct slice prefix, struct slice after, unsigned max, struct rows_out *out)
{
	struct buf lo, hi, key, mark;
	int err = 1;

	memset(out, 0, sizeof *out);
	buf_init(&out->bytes, (size_t)BACKEND_SCAN_MAX * BACKEND_OBJECT_MAX);
	out->pairs = xcalloc((size_t)max + 1, sizeof *out->pairs);
	(void)buf_reserve(&out->bytes, (size_t)max * BACKEND_OBJECT_MAX); /* never moves */
	buf_init(&lo, FULL_KEY_MAX);
	buf_init(&key, FULL_KEY_MAX);
	buf_init(&mark, FULL_KEY_MAX);
	buf_append_str(&lo, "r/");
	buf_append_slice(&lo, after.len > 0 ? after : prefix);
	if (after.len > 0)
		buf_append_byte(&lo, '0'); /* behind '/' */
	buf_init(&hi, FULL_KEY_MAX);
	buf_append_str(&hi, "r/");
	buf_append_slice(&hi, prefix);
	buf_append_byte(&hi, 0x7f);
	for (;;) {
		struct slice id, at;

		buf_reset(&key);
		err = kv_scan(kv, NULL, buf_slice(&lo), buf_slice(&hi), 1, first_key, &key);
		if (err != 1)
			break;
		id = slice_from(buf_slice(&key), 2);
		id.len = (size_t)slice_index(id, '/');
		if (out->n == max) {
			out->more = true;
			err = 0;
			break;
		}
		mark_key(id, &mark);
		buf_reset(&lo);
		err = kv_get(kv, NULL, buf_slice(&mark), &lo);
		if (err == ERR_NOTFOUND) {
			at = slice_of(out->bytes.data + out->bytes.len, id.len);
			buf_append_slice(&out->bytes, id);
			out->pairs[out->n++].key = at;
		} else if (err != 0) {
			break;
		}
		buf_reset(&lo);
		buf_append_str(&lo, "r/");
		buf_append_slice(&lo, id);
		buf_append_byte(&lo, '0');
	}
	buf_done(&lo);
	buf_done(&hi);
	buf_done(&key);
	buf_done(&mark);
	return err;
}

void
rows_out_done(struct rows_out *o)
{
	buf_done(&o->bytes);
	free(o->pairs);
	o->pairs = NULL;
}

static struct slice
take(unsigned char **at, struct slice s)
{
	unsigned char *p = *at;

	if (s.len > 0)
		memcpy(p, s.ptr, s.len);
	*at += s.len;
	return slice_of(p, s.len);
}

struct backend_batch *
rows_batch_copy(const struct backend_batch *b, size_t *bytes_out)
{
	size_t n = b->object.len + b->expect.len, head;
	struct backend_batch *c;
	struct kv_pair *puts;
	struct slice *dels, *absent;
	unsigned char *at;

	for (size_t i = 0; i < b->n_puts; i++)
		n += b->puts[i].key.len + b->puts[i].value.len;
	for (size_t i = 0; i < b->n_dels; i++)
		n += b->dels[i].len;
	for (size_t i = 0; i < b->n_absent; i++)
		n += b->absent[i].len;
	head = sizeof *c + b->n_puts * sizeof *puts + (b->n_dels + b->n_absent) * sizeof *dels;
	c = xmalloc(head + n);
	*c = *b;
	puts = (struct kv_pair *)(c + 1);
	dels = (struct slice *)(puts + b->n_puts);
	absent = dels + b->n_dels;
	at = (unsigned char *)c + head;
	c->object = take(&at, b->object);
	c->expect = take(&at, b->expect);
	for (size_t i = 0; i < b->n_puts; i++) {
		puts[i].key = take(&at, b->puts[i].key);
		puts[i].value = take(&at, b->puts[i].value);
	}
	for (size_t i = 0; i < b->n_dels; i++)
		dels[i] = take(&at, b->dels[i]);
	for (size_t i = 0; i < b->n_absent; i++)
		absent[i] = take(&at, b->absent[i]);
	c->puts = puts;
	c->dels = dels;
	c->absent = absent;
	*bytes_out = head + n;
	return c;
}

/* ---- results of bodies_get: u32 error (negative), u32 length of the summary, u32 of the rest, octets ---- */

enum { WHOLE_HEAD = 12, WHOLES_OCTETS = 1 << 20 };

void
bodies_put(struct buf *out,
    int (*read)(void *arg, uint64_t body, bool summary, struct buf *out, uint32_t *summary_len_out),
    void *arg, uint64_t body, bool summary)
{
	size_t head = out->len;
	uint32_t summary_len = 0, n[3];
	int err = head > WHOLES_OCTETS ? ERR_FULL : 0;

	for (int i = 0; i < 3; i++)
		buf_append_u32(out, 0);
	if (err == 0)
		err = read(arg, body, summary, out, &summary_len);
	if (err != 0) {
		buf_truncate(out, head + WHOLE_HEAD);
		summary_len = 0;
	}
	n[0] = (uint32_t)-err;
	n[1] = summary_len;
	n[2] = (uint32_t)(out->len - head - WHOLE_HEAD) - summary_len;
	for (int i = 0; i < WHOLE_HEAD; i++)
		out->data[head + (size_t)i] = (unsigned char)(n[i / 4] >> (24 - 8 * (i % 4)));
}

bool
backend_bodies_next(struct slice *rest, struct backend_whole *out)
{
	uint32_t summary;

	if (rest->len < WHOLE_HEAD)
		return false;
	summary = u32_at(*rest, 4);
	out->err = -(int)u32_at(*rest, 0);
	out->summary = slice_sub(*rest, WHOLE_HEAD, summary);
	out->bytes = slice_sub(*rest, WHOLE_HEAD + (size_t)summary, u32_at(*rest, 8));
	*rest = slice_from(*rest, WHOLE_HEAD + (size_t)summary + u32_at(*rest, 8));
	return true;
}
