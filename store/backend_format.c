/* backend_format.c: which format a store as a whole has, and bringing an older one to the present. Runs in stored's threads.
 *
 * "v/format": u8 1, u32 format, u32 the oldest format whose program may read it. 1 (today's stores without this row): rows without checks among
 * them. 2: every row has its check (backend_rows.c). Each kind of row, and each file, has a version of its own as well; this one says what a
 * program must know to touch the store at all. */
#include "store/backend_priv.h"

#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { ROW_VERSION = 1, FIRST_CHECKED = 2, STEP_ROWS = 300 };
#define FORMAT_KEY "v/format"

static int
one_row(void *arg, struct slice key, struct slice value)
{
	(void)arg;
	(void)key;
	(void)value;
	return 1;
}

static uint32_t
u32_of(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

int
store_format_put(struct kv_txn *t)
{
	struct buf v;
	int err;

	buf_init(&v, 16);
	buf_append_byte(&v, ROW_VERSION);
	buf_append_u32(&v, STORE_FORMAT);
	buf_append_u32(&v, FIRST_CHECKED);
	err = kv_put(t, slice_str(FORMAT_KEY), buf_slice(&v));
	buf_done(&v);
	return err;
}

static int
begin(struct kv *kv)
{
	struct kv_txn *t;
	int err = kv_begin(kv, &t);

	if (err != 0)
		return err;
	if ((err = store_format_put(t)) == 0)
		return kv_commit(t, true);
	kv_abort(t);
	return err;
}

int
store_format_get(struct kv *kv, uint32_t *format_out)
{
	struct buf v;
	int err;

	buf_init(&v, 256);
	err = kv_get(kv, NULL, slice_str(FORMAT_KEY), &v);
	if (err == ERR_NOTFOUND)
		*format_out = 1;
	else if (err == 0 && (v.len < 9 || v.data[0] != ROW_VERSION))
		*format_out = UINT32_MAX;
	else if (err == 0)
		*format_out = u32_of(v.data + 1);
	if (err == 0 && *format_out > STORE_FORMAT && v.len >= 9 && v.data[0] == ROW_VERSION &&
	    u32_of(v.data + 5) <= STORE_FORMAT)
		*format_out = STORE_FORMAT; /* newer, and made so that this program may read it */
	buf_done(&v);
	return err == ERR_NOTFOUND ? 0 : err;
}

int
store_format_open(struct kv *kv)
{
	uint32_t format;
	int err = store_format_get(kv, &format);

	if (err != 0)
		return err;
	if (format > STORE_FORMAT) {
		log_msg(LOG_LVL_ERROR, "store_format",
		    "this store was written by a newer version of Congvu (format %u, this one "
		    "knows "
		    "%u): install that version again; nothing was changed",
		    format, STORE_FORMAT);
		return ERR_UNSUPPORTED;
	}
	if (format == STORE_FORMAT)
		return 0;
	err = kv_scan(kv, NULL, slice_str("r/"), slice_str("r0"), 1, one_row, NULL);
	if (err == 0) /* nothing is in it: a new store */
		return begin(kv);
	if (err == 1)
		log_msg(LOG_LVL_INFO, "store_format",
		    "the store has format %u: congvu store upgrade brings it to %u", format,
		    STORE_FORMAT);
	return err == 1 ? 0 : err;
}

/* ---- upgrade ---- */

struct step {
	struct kv_txn *t;
	struct buf *rows; /* u32 length of key, key, u32 length of value, value: to be sealed */
	struct buf last;
	uint64_t seen, changed;
};

static int
look(void *arg, struct slice key, struct slice value)
{
	struct step *s = arg;

	s->seen++;
	buf_reset(&s->last);
	buf_append_slice(&s->last, key);
	if (!rows_is_old(value))
		return s->last.err;
	s->changed++;
	buf_append_u32(s->rows, (uint32_t)key.len);
	buf_append_slice(s->rows, key);
	buf_append_u32(s->rows, (uint32_t)value.len);
	return buf_append_slice(s->rows, value);
}

int
store_upgrade_step(
    struct kv *kv, struct kv_txn *t, struct slice from, bool dry_run, struct buf *out)
{
	struct backend_upgraded u = {.to = STORE_FORMAT};
	struct step s = {.t = t};
	struct buf rows, sealed;
	int err;

	buf_init(&rows, (size_t)STEP_ROWS * (BACKEND_VALUE_MAX + KV_KEY_MAX + 8));
	buf_init(&sealed, KV_VALUE_MAX);
	buf_init(&s.last, KV_KEY_MAX + 1);
	s.rows = &rows;
	err = store_format_get(kv, &u.from);
	if (err == 0)
		err = kv_scan(kv, t, from.len > 0 ? from : slice_str("r/"), slice_str("r0"),
		    STEP_ROWS, look, &s);
	for (size_t at = 0; at < rows.len && err == 0 && !dry_run;) {
		struct slice key, value;

		key = slice_of(rows.data + at + 4, u32_of(rows.data + at));
		at += 4 + key.len;
		value = slice_of(rows.data + at + 4, u32_of(rows.data + at));
		at += 4 + value.len;
		err = rows_seal(key, value, &sealed);
		if (err == 0)
			err = kv_put(t, key, buf_slice(&sealed));
	}
	u.rows = s.seen;
	u.changed = s.changed;
	u.more = s.seen == STEP_ROWS;
	if (err == 0 && !u.more && !dry_run)
		err = store_format_put(t);
	buf_reset(out);
	buf_append(out, &u, sizeof u);
	if (u.more) {
		buf_append_slice(out, buf_slice(&s.last));
		buf_append_byte(out, '!');
	}
	buf_done(&rows);
	buf_done(&sealed);
	buf_done(&s.last);
	return err != 0 ? err : out->err;
}
