/* restore_check.c: whether what a backup gave is whole: the digest of every body, and a body for every message. Runs in congvu-stored-restore. */
#include "store/restore.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/backend_kv_priv.h"
#include "store/stored_priv.h"

enum { BAD_MAX = 100000, TOLD_MAX = 10000 };

struct check {
	struct restore *r;
	struct seg *seg;
	uint64_t *bad; /* numbers of bodies, ascending */
	size_t n_bad;
	char object[OBJECT_ID_MAX];
};

static void
put_text(struct buf *out, struct slice s)
{
	buf_append_byte(out, '"');
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			buf_append_byte(out, '?');
		else if (s.ptr[i] == '"' || s.ptr[i] == '\\')
			buf_appendf(out, "\\%c", s.ptr[i]);
		else
			buf_append_byte(out, s.ptr[i]);
	buf_append_byte(out, '"');
}

static void
tell(struct check *k, struct buf *line)
{
	if (++k->r->damaged <= TOLD_MAX && line->err == 0)
		k->r->tell(k->r, buf_slice(line));
	buf_done(line);
}

static bool is_bad(const struct check *k, uint64_t body);

/* ---- bodies ---- */

/* Whether the parts that a body is made of are there and good: they have lower numbers, so they were looked at before. */
static int
parts_check(struct check *k, struct slice value)
{
	uint64_t refs[SEG_REFS_MAX];
	char key[KEY_MAX];
	struct buf v;
	size_t n = 0;
	int err = seg_loc_refs(value, refs, &n);

	buf_init(&v, BACKEND_VALUE_MAX);
	for (size_t i = 0; i < n && err == 0; i++) {
		snprintf(key, sizeof key, "b/%016" PRIx64, refs[i]);
		buf_reset(&v);
		err = is_bad(k, refs[i]) ? ERR_CORRUPT : kv_get(k->r->kv, NULL, slice_str(key), &v);
	}
	buf_done(&v);
	return err;
}

static int
body_one(void *arg, struct slice key, struct slice value)
{
	struct check *k = arg;
	unsigned char num[8];
	uint64_t body = 0;
	struct seg_loc l;
	struct buf line;
	int err;

	if (hex_decode(slice_from(key, 2), num, sizeof num) != 0)
		return ERR_CORRUPT;
	for (size_t i = 0; i < sizeof num; i++)
		body = body << 8 | num[i];
	k->r->bodies++;
	err = seg_loc_decode(value, body, &l);
	if (err == 0)
		err = seg_check(k->seg, &l);
	if (err == 0)
		err = parts_check(k, value);
	if (err == 0)
		return 0;
	if (k->n_bad < BAD_MAX) {
		k->bad = xrealloc(k->bad, (k->n_bad + 1) * sizeof *k->bad);
		k->bad[k->n_bad++] = body;
	}
	buf_init(&line, 512);
	buf_appendf(&line,
	    "{\"body\":%" PRIu64 ",\"segment\":%u,\"offset\":%" PRIu64 ",\"why\":\"%s\"}", body,
	    l.segment, l.off, err_name(err));
	tell(k, &line);
	return 0;
}

static bool
is_bad(const struct check *k, uint64_t body)
{
	size_t lo = 0, hi = k->n_bad;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (k->bad[mid] == body)
			return true;
		if (k->bad[mid] < body)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

/* ---- messages ---- */

/* The account and the name of the mailbox, for whoever reads the finding. */
static void
put_mailbox(struct check *k, struct buf *line)
{
	struct buf v, object, name;
	struct mbox_head h;
	struct slice text;
	uint32_t use;
	char key[KEY_MAX];

	buf_init(&v, BACKEND_VALUE_MAX);
	buf_init(&name, BACKEND_VALUE_MAX);
	buf_init(&object, OBJECT_ID_MAX);
	if (rows_get(k->r->kv, slice_str(k->object), slice_str("h"), &v) == 0 &&
	    mbox_head_decode(buf_slice(&v), &h) == 0) {
		buf_append_str(line, "\"account\":");
		put_text(line, h.account);
		buf_append_str(&object, "a.");
		buf_append_slice(&object, h.account);
		snprintf(key, sizeof key, "b/%.16s", k->object + 2);
		if (rows_get(k->r->kv, buf_slice(&object), slice_str(key), &name) == 0 &&
		    name_row_decode(buf_slice(&name), &use, &text) == 0) {
			buf_append_str(line, ",\"mailbox\":");
			put_text(line, text);
		}
		buf_append_byte(line, ',');
	}
	buf_done(&v);
	buf_done(&name);
	buf_done(&object);
}

static void
message_tell(struct check *k, uint64_t uid, uint64_t body, const char *why)
{
	struct buf line;

	buf_init(&line, 8192);
	buf_append_byte(&line, '{');
	put_mailbox(k, &line);
	buf_appendf(
	    &line, "\"uid\":%" PRIu64 ",\"body\":%" PRIu64 ",\"why\":\"%s\"}", uid, body, why);
	tell(k, &line);
}

static void
message_one(struct check *k, struct slice key, struct slice value)
{
	struct msg_row m;
	struct buf v;
	uint64_t uid = 0;
	char name[32];

	k->r->messages++;
	(void)key_number(key, 8, &uid);
	if (msg_row_decode(value, &m) != 0) {
		message_tell(k, uid, 0, "row_corrupt");
		return;
	}
	snprintf(name, sizeof name, "b/%016" PRIx64, m.body);
	buf_init(&v, BACKEND_VALUE_MAX);
	if (is_bad(k, m.body))
		message_tell(k, uid, m.body, "body_corrupt");
	else if (kv_get(k->r->kv, NULL, slice_str(name), &v) == ERR_NOTFOUND)
		message_tell(k, uid, m.body, "body_missing");
	buf_done(&v);
}

static int
mailbox_one(struct check *k)
{
	struct buf from;
	bool more = true;
	int err = 0;

	buf_init(&from, BACKEND_KEY_MAX + 1);
	buf_append_str(&from, "m/");
	while (more && err == 0) {
		struct rows_out out;

		err = rows_scan(k->r->kv, slice_str(k->object), buf_slice(&from), slice_str("m0"),
		    BACKEND_SCAN_MAX, &out);
		for (size_t i = 0; i < out.n && err == 0; i++)
			message_one(k, out.pairs[i].key, out.pairs[i].value);
		more = err == 0 && out.more && out.n > 0;
		if (more) {
			buf_reset(&from);
			buf_append_slice(&from, out.pairs[out.n - 1].key);
			buf_append_byte(
			    &from, '!'); /* the next key there could be: keys are printable */
		}
		rows_out_done(&out);
	}
	buf_done(&from);
	return err;
}

static int
mailboxes(struct check *k)
{
	struct buf after;
	bool more = true;
	int err = 0;

	buf_init(&after, BACKEND_OBJECT_MAX + 1);
	while (more && err == 0) {
		struct rows_out out;

		err = rows_objects(
		    k->r->kv, slice_str("m."), buf_slice(&after), BACKEND_SCAN_MAX, &out);
		for (size_t i = 0; i < out.n && err == 0; i++) {
			snprintf(k->object, sizeof k->object, "%.*s", (int)out.pairs[i].key.len,
			    (const char *)out.pairs[i].key.ptr);
			err = mailbox_one(k);
		}
		more = out.n > 0;
		if (more) {
			buf_reset(&after);
			buf_append_slice(&after, out.pairs[out.n - 1].key);
		}
		rows_out_done(&out);
	}
	buf_done(&after);
	return err;
}

int
restore_check(struct restore *r, const char *segments)
{
	struct check k = {.r = r};
	struct seg_loc last;
	int err = bkv_last_body(r->kv, &last);

	if (err == ERR_NOTFOUND)
		err = seg_open_keys(segments, NULL, 0, r->keys, &k.seg);
	else if (err == 0)
		err = seg_open_keys(segments, &last, 0, r->keys, &k.seg);
	if (err == 0)
		err = kv_scan(r->kv, NULL, slice_str("b/"), slice_str("b0"), 0, body_one, &k);
	if (err == 0)
		err = mailboxes(&k);
	seg_close(k.seg);
	free(k.bad);
	return err;
}
