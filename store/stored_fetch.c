/* stored_fetch.c: reading a mailbox: SELECT, UIDs, rows, changes, content, structure. Runs in stored. Nothing here changes a message; bytes go
 * out in pieces of at most 256 KiB, asked for one by one. */
#include "store/stored_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/sig.h"

enum {
	UIDS_REPLY_MAX = 20000,
	ROWS_REPLY_OCTETS = 256 * 1024,
	PIECE_MAX = 256 * 1024,
	ROWS_STEP = 200
};

struct fetch {
	struct req r;
	char rights[32];
	uint32_t from, to;
	uint64_t off;
	uint32_t len;
	bool summary;
	struct buf out;
};

/* The parts common to all: session, mailbox, right. NULL: answered, or *err_out is ERR_PROTO. */
static struct fetch *
fetch_new(struct conn *c, uint32_t id, struct ipc_reader *r, const char *need,
    struct session **s_out, int *err_out)
{
	const char *rights;
	struct mbox *m;
	struct session *s = session_mbox_of(c, id, r, need, &m, &rights, err_out);
	struct fetch *f;

	if (s == NULL)
		return NULL;
	f = xcalloc(1, sizeof *f);
	req_init(&f->r, c->st, c->ipc, id, m->acc);
	f->r.m = m;
	memcpy(f->rights, rights, strlen(rights) + 1);
	buf_init(&f->out, IPC_FRAME_MAX);
	if (s_out != NULL)
		*s_out = s;
	return f;
}

static void
fetch_reply(struct fetch *f, uint16_t type)
{
	req_reply(&f->r, type, &f->out);
	free(f);
}

static void
fetch_err(struct fetch *f, int err)
{
	buf_done(&f->out);
	req_err(&f->r, err, "fetch");
	free(f);
}

/* Gives up a request that turned out to be malformed. */
static int
fetch_proto(struct fetch *f)
{
	fetch_err(f, ERR_PROTO);
	return ERR_PROTO;
}

/* ---- open ---- */

static void
open_reply(struct fetch *f, uint32_t recent_from, uint32_t uidnext)
{
	const struct mbox_head *h = &f->r.m->h;

	ipc_put_u32(&f->out, h->uidvalidity);
	ipc_put_u32(&f->out, uidnext);
	ipc_put_u32(&f->out, h->messages);
	ipc_put_u32(&f->out, h->unseen);
	ipc_put_u64(&f->out, h->modseq);
	ipc_put_u32(&f->out, recent_from);
	ipc_put_slice(&f->out, h->keywords);
	ipc_put_str(&f->out, f->rights);
	fetch_reply(f, STORE_OPENED);
}

static void
on_claimed(struct op *op)
{
	struct fetch *f = op->arg;

	if (op->err == ERR_GONE)
		fetch_err(f, op->err);
	else /* \Recent alone is no reason to refuse a mailbox on a full disk */
		open_reply(f, op->err == 0 ? op->recent_from : 0,
		    op->err == 0 ? op->recent_to : op->m->h.uidnext);
	op_free(op);
}

int
on_open(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct session *s = NULL;
	int err;
	struct fetch *f = fetch_new(c, id, r, "r", &s, &err);
	bool claim, watch;
	const struct mbox_head *h;

	if (f == NULL)
		return err;
	claim = ipc_get_u8(r) != 0;
	watch = ipc_get_u8(r) != 0;
	if (ipc_reader_end(r) != 0)
		return fetch_proto(f);
	if (watch)
		watch_add(s, f->r.m);
	h = &f->r.m->h;
	if (claim && h->recent > 0)
		op_start(op_new(OP_CLAIM, f->r.m, 4096, on_claimed, f));
	else
		open_reply(f, h->recent > 0 ? h->recent_from : 0, h->uidnext);
	return 0;
}

int
on_unwatch(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	int err;
	struct session *s = session_of(c, id, r, &err);
	uint64_t mailbox = ipc_get_u64(r);
	struct mbox *m;

	if (s == NULL)
		return err;
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	m = mbox_find(c->st, mailbox);
	if (m != NULL)
		watch_remove(s, m);
	if (id != 0)
		ipc_reply_ok(c->ipc, id);
	return 0;
}

/* ---- UIDs and changes ---- */

static void
put_uid(struct buf *b, const struct store_uid *u)
{
	ipc_put_u32(b, u->uid);
	ipc_put_u32(b, u->flags);
	ipc_put_u64(b, u->modseq);
}

static void
on_view(void *arg, int err, const struct store_uid *u, size_t n)
{
	struct fetch *f = arg;
	size_t lo = 0, hi = n;

	if (err != 0) {
		fetch_err(f, err);
		return;
	}
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (u[mid].uid < f->from)
			lo = mid + 1;
		else
			hi = mid;
	}
	hi = n - lo < UIDS_REPLY_MAX ? n : lo + UIDS_REPLY_MAX;
	ipc_put_u32(&f->out, hi < n ? u[hi].uid : 0);
	ipc_put_u32(&f->out, (uint32_t)(hi - lo));
	for (size_t i = lo; i < hi; i++)
		put_uid(&f->out, &u[i]);
	fetch_reply(f, STORE_UIDS_ARE);
}

int
on_uids(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	int err;
	struct fetch *f = fetch_new(c, id, r, "r", NULL, &err);

	if (f == NULL)
		return err;
	f->from = ipc_get_u32(r);
	if (ipc_reader_end(r) != 0)
		return fetch_proto(f);
	view_get(f->r.m, f->from <= 1, on_view, f);
	return 0;
}

static void
on_changes_read(void *arg, int err, uint64_t highest, bool more, uint64_t forgotten,
    const struct store_uid *changed, size_t n_changed, const uint32_t *expunged, size_t n_expunged)
{
	struct fetch *f = arg;

	if (err != 0) {
		fetch_err(f, err);
		return;
	}
	ipc_put_u64(&f->out, highest);
	ipc_put_u8(&f->out, more);
	ipc_put_u64(&f->out, forgotten);
	ipc_put_u32(&f->out, (uint32_t)n_changed);
	for (size_t i = 0; i < n_changed; i++)
		put_uid(&f->out, &changed[i]);
	ipc_put_u32(&f->out, (uint32_t)n_expunged);
	for (size_t i = 0; i < n_expunged; i++)
		ipc_put_u32(&f->out, expunged[i]);
	fetch_reply(f, STORE_CHANGES_ARE);
}

int
on_changes(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	int err;
	struct fetch *f = fetch_new(c, id, r, "r", NULL, &err);
	uint64_t since;

	if (f == NULL)
		return err;
	since = ipc_get_u64(r);
	if (ipc_reader_end(r) != 0)
		return fetch_proto(f);
	changes_read(f->r.m, since, on_changes_read, f);
	return 0;
}

/* ---- rows ---- */

/* One that cannot be read is its UID alone: it is there, and that is all that can be said. */
static void
put_row(struct fetch *f, const struct kv_pair *p)
{
	struct msg_row row;
	uint64_t uid = 0;

	if (msg_row_decode(p->value, &row) == 0) {
		ipc_put_slice(&f->out, p->value);
		return;
	}
	(void)key_number(p->key, 8, &uid);
	log_msg(LOG_LVL_ERROR, "row_damaged", "%s: the row of UID %llu cannot be read",
	    f->r.m->object, (unsigned long long)uid);
	ipc_put_u32(&f->out, 4);
	ipc_put_u32(&f->out, (uint32_t)uid);
}

static void
on_row_values(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct fetch *f = arg;
	struct buf all;
	uint64_t uid = 0;
	uint32_t next = 0;
	size_t i;

	if (err != 0) {
		fetch_err(f, err);
		return;
	}
	/* cppcheck-suppress nullPointer ; rows is there when n > 0 */
	for (i = 0; i < n && (i == 0 || f->out.len + rows[i].value.len < ROWS_REPLY_OCTETS); i++)
		put_row(f, &rows[i]);
	if (i < n && key_number(rows[i].key, 8, &uid) == 0)
		next = (uint32_t)uid;
	else if (more && n > 0 && key_number(rows[n - 1].key, 8, &uid) == 0)
		next = (uint32_t)uid + 1;
	buf_init(&all, IPC_FRAME_MAX);
	ipc_put_u32(&all, next <= f->to ? next : 0);
	ipc_put_u32(&all, (uint32_t)i);
	buf_append_slice(&all, buf_slice(&f->out));
	buf_done(&f->out);
	f->out = all;
	fetch_reply(f, STORE_ROWS_ARE);
}

int
on_rows(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	static const struct kv_pair none;
	int err;
	struct fetch *f = fetch_new(c, id, r, "r", NULL, &err);
	struct backend *be;
	char from[KEY_MAX], to[KEY_MAX];
	uint64_t span;

	if (f == NULL)
		return err;
	f->from = ipc_get_u32(r);
	f->to = ipc_get_u32(r);
	if (ipc_reader_end(r) != 0)
		return fetch_proto(f);
	if (f->from > f->to) {
		on_row_values(f, 0, &none, 0, false);
		return 0;
	}
	be = f->r.st->be;
	span = (uint64_t)f->to - f->from + 1;
	must(be->ops->scan(be, slice_str(f->r.m->object), key_u32(from, 'm', f->from),
	    f->to == UINT32_MAX ? slice_str("m0") : key_u32(to, 'm', f->to + 1),
	    span < ROWS_STEP ? (unsigned)span : ROWS_STEP, on_row_values, f));
	return 0;
}

/* ---- content ---- */

static void
on_bytes(void *arg, int err, struct slice v)
{
	struct fetch *f = arg;
	struct buf b;

	if (err != 0) {
		if (err == ERR_NOTFOUND) /* a row without its body */
			err = ERR_CORRUPT;
		log_msg(LOG_LVL_ERROR, "body_read", "%s: %s", f->r.m->object, err_name(err));
		fetch_err(f, err);
		return;
	}
	buf_append_slice(&f->out, f->summary ? summary_tree(v) : v);
	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_slice(&b, buf_slice(&f->out));
	buf_done(&f->out);
	f->out = b;
	fetch_reply(f, STORE_BYTES);
}

static void
on_body_row(void *arg, int err, struct slice v)
{
	struct fetch *f = arg;
	struct backend *be = f->r.st->be;
	struct msg_row row;
	uint64_t at;

	if (err == 0)
		err = msg_row_decode(v, &row);
	if (err != 0) {
		fetch_err(f, err);
		return;
	}
	if (f->summary) {
		must(be->ops->summary_get(be, row.body, on_bytes, f));
		return;
	}
	if (f->off < row.trace.len)
		buf_append_slice(&f->out, slice_sub(row.trace, (size_t)f->off, f->len));
	at = f->off < row.trace.len ? 0 : f->off - row.trace.len;
	if (f->out.len == f->len)
		on_bytes(f, 0, slice_str(""));
	else
		must(be->ops->body_get(
		    be, row.body, at, f->len - (uint32_t)f->out.len, on_bytes, f));
}

static int
content(struct fetch *f, uint32_t uid)
{
	struct backend *be = f->r.st->be;
	char key[KEY_MAX];

	must(be->ops->get(be, slice_str(f->r.m->object), key_u32(key, 'm', uid), on_body_row, f));
	return 0;
}

int
on_body(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	int err;
	struct fetch *f = fetch_new(c, id, r, "r", NULL, &err);
	uint32_t uid;

	if (f == NULL)
		return err;
	uid = ipc_get_u32(r);
	f->off = ipc_get_u64(r);
	f->len = ipc_get_u32(r);
	if (ipc_reader_end(r) != 0 || f->len > PIECE_MAX)
		return fetch_proto(f);
	return content(f, uid);
}

int
on_summary(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	int err;
	struct fetch *f = fetch_new(c, id, r, "r", NULL, &err);
	uint32_t uid;

	if (f == NULL)
		return err;
	uid = ipc_get_u32(r);
	if (ipc_reader_end(r) != 0)
		return fetch_proto(f);
	f->summary = true;
	return content(f, uid);
}
