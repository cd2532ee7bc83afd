/* store_client_calls.c: the calls of store_client.h: what goes into each request and how its answer is read. Runs in imapd-session. An
 * answer that cannot be read is ERR_TEMP to the caller; it is a bug of stored, and logged. */
#include "store/store_client_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { ITEMS_MAX = 200000, FLAG_UIDS_MAX = 5000 };

/* The end of reading an answer: err, or what the reader found. */
static int
finish(const struct store_call *k, int err, struct ipc_reader *r)
{
	if (err != 0)
		return err;
	if (ipc_reader_end(r) != 0) {
		log_msg(LOG_LVL_ERROR, "store_reply", "reply %u cannot be read", k->want);
		return ERR_TEMP;
	}
	return 0;
}

static bool
tell_done(struct store_call *k, int err, struct ipc_reader *r)
{
	k->fn.done(k->arg, finish(k, err, r));
	return false;
}

/* ---- lists in pages ---- */

/* Keeps the page; true when another one is to be asked for. */
static bool
page(struct store_call *k, int *err, struct ipc_reader *r)
{
	uint32_t next, n;

	if (*err != 0)
		return false;
	next = ipc_get_u32(r);
	n = ipc_get_count(r, ITEMS_MAX, 12);
	*err = r->err != 0 ? ERR_TEMP : buf_append_slice(&k->pages, r->rest);
	k->n_items += n;
	if (*err != 0 || next == 0)
		return false;
	buf_truncate(
	    &k->payload, 4); /* the session's number; it follows it through a new opening */
	ipc_put_u32(&k->payload, next);
	return true;
}

static bool
tell_list(struct store_call *k, int err, struct ipc_reader *r)
{
	struct mbox_info *boxes;
	struct ipc_reader p;

	if (page(k, &err, r))
		return true;
	boxes = xcalloc((size_t)k->n_items + 1, sizeof *boxes);
	ipc_reader_init(&p, buf_slice(&k->pages));
	for (uint32_t i = 0; i < k->n_items && err == 0; i++) {
		struct mbox_info *m = &boxes[i];

		m->id = ipc_get_u64(&p);
		m->account = ipc_get_slice(&p);
		m->share = ipc_get_slice(&p);
		m->name = ipc_get_slice(&p);
		m->attrs = ipc_get_u32(&p);
		m->rights = ipc_get_slice(&p);
		m->uidvalidity = ipc_get_u32(&p);
		m->uidnext = ipc_get_u32(&p);
		m->messages = ipc_get_u32(&p);
		m->unseen = ipc_get_u32(&p);
		m->recent = ipc_get_u32(&p);
		m->highest_modseq = ipc_get_u64(&p);
		m->size = ipc_get_u64(&p);
		m->deleted = ipc_get_u32(&p);
		m->deleted_size = ipc_get_u64(&p);
	}
	err = finish(k, err, &p);
	k->fn.list(k->arg, err, err == 0 ? boxes : NULL, err == 0 ? k->n_items : 0);
	free(boxes);
	return false;
}

static bool
tell_subs(struct store_call *k, int err, struct ipc_reader *r)
{
	struct store_sub *subs;
	struct ipc_reader p;

	if (page(k, &err, r))
		return true;
	subs = xcalloc((size_t)k->n_items + 1, sizeof *subs);
	ipc_reader_init(&p, buf_slice(&k->pages));
	for (uint32_t i = 0; i < k->n_items && err == 0; i++) {
		subs[i].account = ipc_get_slice(&p);
		subs[i].share = ipc_get_slice(&p);
		subs[i].name = ipc_get_slice(&p);
	}
	err = finish(k, err, &p);
	k->fn.subs(k->arg, err, err == 0 ? subs : NULL, err == 0 ? k->n_items : 0);
	free(subs);
	return false;
}

int
store_list(struct store_session *s, store_list_fn fn, void *arg)
{
	struct store_call *k = store_call_new(s, STORE_LIST, STORE_LIST_IS, arg, tell_list);

	k->fn.list = fn;
	k->repeat = true;
	ipc_put_u32(&k->payload, 0);
	return store_call_go(k);
}

int
store_subscriptions(struct store_session *s, store_subs_fn fn, void *arg)
{
	struct store_call *k = store_call_new(s, STORE_SUBS, STORE_SUBS_ARE, arg, tell_subs);

	k->fn.subs = fn;
	k->repeat = true;
	ipc_put_u32(&k->payload, 0);
	return store_call_go(k);
}

/* ---- mailboxes ---- */

static struct store_call *
done_call(struct store_session *s, uint16_t type, store_done_fn fn, void *arg)
{
	struct store_call *k = store_call_new(s, type, IPC_OK, arg, tell_done);

	k->fn.done = fn;
	return k;
}

int
store_create(struct store_session *s, struct slice account, struct slice name, uint32_t special_use,
    store_done_fn fn, void *arg)
{
	struct store_call *k = done_call(s, STORE_CREATE, fn, arg);

	ipc_put_slice(&k->payload, account);
	ipc_put_slice(&k->payload, name);
	ipc_put_u32(&k->payload, special_use);
	return store_call_go(k);
}

int
store_delete(struct store_session *s, uint64_t mailbox, store_done_fn fn, void *arg)
{
	struct store_call *k = done_call(s, STORE_DELETE, fn, arg);

	ipc_put_u64(&k->payload, mailbox);
	return store_call_go(k);
}

int
store_rename(
    struct store_session *s, uint64_t mailbox, struct slice new_name, store_done_fn fn, void *arg)
{
	struct store_call *k = done_call(s, STORE_RENAME, fn, arg);

	ipc_put_u64(&k->payload, mailbox);
	ipc_put_slice(&k->payload, new_name);
	return store_call_go(k);
}

int
store_subscribe(struct store_session *s, struct slice account, struct slice name, bool on,
    store_done_fn fn, void *arg)
{
	struct store_call *k = done_call(s, STORE_SUBSCRIBE, fn, arg);

	k->repeat = true;
	ipc_put_slice(&k->payload, account);
	ipc_put_slice(&k->payload, name);
	ipc_put_u8(&k->payload, on);
	return store_call_go(k);
}

static bool
tell_quota(struct store_call *k, int err, struct ipc_reader *r)
{
	struct store_quota q = {0};

	if (err == 0) {
		q.octets = ipc_get_u64(r);
		q.octets_max = ipc_get_u64(r);
		q.messages = ipc_get_u64(r);
		q.messages_max = ipc_get_u64(r);
	}
	err = finish(k, err, r);
	k->fn.quota(k->arg, err, err == 0 ? &q : NULL);
	return false;
}

int
store_quota(struct store_session *s, struct slice account, store_quota_fn fn, void *arg)
{
	struct store_call *k = store_call_new(s, STORE_QUOTA, STORE_QUOTA_IS, arg, tell_quota);

	k->fn.quota = fn;
	k->repeat = true;
	ipc_put_slice(&k->payload, account);
	return store_call_go(k);
}

/* ---- a selected mailbox ---- */

static struct store_call *
mbox_call(struct store_session *s, uint64_t mailbox, uint16_t type, uint16_t want, void *arg,
    bool (*tell)(struct store_call *k, int err, struct ipc_reader *r))
{
	struct store_call *k = store_call_new(s, type, want, arg, tell);

	k->repeat = true;
	ipc_put_u64(&k->payload, mailbox);
	return k;
}

static bool
tell_opened(struct store_call *k, int err, struct ipc_reader *r)
{
	struct store_opened o = {0};

	if (err == 0) {
		o.uidvalidity = ipc_get_u32(r);
		o.uidnext = ipc_get_u32(r);
		o.messages = ipc_get_u32(r);
		o.unseen = ipc_get_u32(r);
		o.highest_modseq = ipc_get_u64(r);
		o.recent_from = ipc_get_u32(r);
		o.keywords = ipc_get_slice(r);
		o.rights = ipc_get_slice(r);
	}
	err = finish(k, err, r);
	k->fn.opened(k->arg, err, err == 0 ? &o : NULL);
	return false;
}

int
store_open(struct store_session *s, uint64_t mailbox, bool claim_recent, bool watch,
    store_opened_fn fn, void *arg)
{
	struct store_call *k = mbox_call(s, mailbox, STORE_OPEN, STORE_OPENED, arg, tell_opened);

	k->fn.opened = fn;
	ipc_put_u8(&k->payload, claim_recent);
	ipc_put_u8(&k->payload, watch);
	if (watch)
		store_session_watch(s, mailbox, true);
	return store_call_go(k);
}

static bool
tell_nobody(struct store_call *k, int err, struct ipc_reader *r)
{
	(void)k;
	(void)err;
	(void)r;
	return false;
}

int
store_unwatch(struct store_session *s, uint64_t mailbox)
{
	store_session_watch(s, mailbox, false);
	return store_call_go(mbox_call(s, mailbox, STORE_UNWATCH, IPC_OK, NULL, tell_nobody));
}

/* A counted list of what store_uid holds, malloc'd; NULL when there is an error. */
static struct store_uid *
get_uids(struct ipc_reader *r, uint32_t *n_out)
{
	uint32_t n = ipc_get_count(r, ITEMS_MAX, 16);
	struct store_uid *u = xcalloc((size_t)n + 1, sizeof *u);

	for (uint32_t i = 0; i < n; i++) {
		u[i].uid = ipc_get_u32(r);
		u[i].flags = ipc_get_u32(r);
		u[i].modseq = ipc_get_u64(r);
	}
	*n_out = n;
	return u;
}

static uint32_t *
get_numbers(struct ipc_reader *r, uint32_t *n_out)
{
	uint32_t n = ipc_get_count(r, IPC_FRAME_MAX / 4, 4);
	uint32_t *u = xcalloc((size_t)n + 1, sizeof *u);

	for (uint32_t i = 0; i < n; i++)
		u[i] = ipc_get_u32(r);
	*n_out = n;
	return u;
}

static bool
tell_uids(struct store_call *k, int err, struct ipc_reader *r)
{
	struct store_uid *u = NULL;
	uint32_t next = 0, n = 0;

	if (err == 0) {
		next = ipc_get_u32(r);
		u = get_uids(r, &n);
	}
	err = finish(k, err, r);
	k->fn.uids(k->arg, err, u, err == 0 ? n : 0, err == 0 ? next : 0);
	free(u);
	return false;
}

int
store_uids(struct store_session *s, uint64_t mailbox, uint32_t from, store_uids_fn fn, void *arg)
{
	struct store_call *k = mbox_call(s, mailbox, STORE_UIDS, STORE_UIDS_ARE, arg, tell_uids);

	k->fn.uids = fn;
	ipc_put_u32(&k->payload, from);
	return store_call_go(k);
}

static bool
tell_rows(struct store_call *k, int err, struct ipc_reader *r)
{
	struct msg_row *rows = NULL;
	uint32_t next = 0, n = 0;

	if (err == 0) {
		next = ipc_get_u32(r);
		n = ipc_get_count(r, 1000, 4);
		rows = xcalloc((size_t)n + 1, sizeof *rows);
	}
	for (uint32_t i = 0; i < n && err == 0; i++) {
		struct slice row = ipc_get_slice(r);
		struct ipc_reader uid;

		if (row.len == 4) {
			ipc_reader_init(&uid, row);
			rows[i].uid = ipc_get_u32(&uid);
			rows[i].damaged = true;
		} else if (msg_row_decode(row, &rows[i]) != 0) {
			err = ERR_CORRUPT;
		}
	}
	err = finish(k, err, r);
	k->fn.rows(k->arg, err, rows, err == 0 ? n : 0, err == 0 ? next : 0);
	free(rows);
	return false;
}

int
store_rows(struct store_session *s, uint64_t mailbox, uint32_t from, uint32_t to, store_rows_fn fn,
    void *arg)
{
	struct store_call *k = mbox_call(s, mailbox, STORE_ROWS, STORE_ROWS_ARE, arg, tell_rows);

	k->fn.rows = fn;
	ipc_put_u32(&k->payload, from);
	ipc_put_u32(&k->payload, to);
	return store_call_go(k);
}

static bool
tell_changes(struct store_call *k, int err, struct ipc_reader *r)
{
	struct store_uid *u = NULL;
	uint32_t *x = NULL, n = 0, nx = 0;
	uint64_t highest = 0, forgotten = 0;
	bool more = false;

	if (err == 0) {
		highest = ipc_get_u64(r);
		more = ipc_get_u8(r) != 0;
		forgotten = ipc_get_u64(r);
		u = get_uids(r, &n);
		x = get_numbers(r, &nx);
	}
	err = finish(k, err, r);
	k->fn.changes(
	    k->arg, err, highest, more, forgotten, u, err == 0 ? n : 0, x, err == 0 ? nx : 0);
	free(u);
	free(x);
	return false;
}

int
store_changes(
    struct store_session *s, uint64_t mailbox, uint64_t modseq, store_changes_fn fn, void *arg)
{
	struct store_call *k =
	    mbox_call(s, mailbox, STORE_CHANGES, STORE_CHANGES_ARE, arg, tell_changes);

	k->fn.changes = fn;
	ipc_put_u64(&k->payload, modseq);
	return store_call_go(k);
}

static void
put_uids(struct buf *b, const uint32_t *uids, size_t n)
{
	ipc_put_u32(b, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		ipc_put_u32(b, uids[i]);
}

static bool
tell_flags(struct store_call *k, int err, struct ipc_reader *r)
{
	struct store_flagged *u = NULL;
	uint32_t *x = NULL, n = 0, nx = 0;
	uint64_t highest = 0;

	if (err == 0) {
		highest = ipc_get_u64(r);
		n = ipc_get_count(r, FLAG_UIDS_MAX, 24);
		u = xcalloc((size_t)n + 1, sizeof *u);
		for (uint32_t i = 0; i < n; i++) {
			u[i].uid = ipc_get_u32(r);
			u[i].flags = ipc_get_u32(r);
			u[i].modseq = ipc_get_u64(r);
			u[i].before = ipc_get_u64(r);
		}
		x = get_numbers(r, &nx);
	}
	err = finish(k, err, r);
	k->fn.flags(k->arg, err, highest, u, err == 0 ? n : 0, x, err == 0 ? nx : 0);
	free(u);
	free(x);
	return false;
}

int
store_flags(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    enum store_op op, uint32_t flags, struct slice keywords, uint64_t unchanged_since,
    store_flags_fn fn, void *arg)
{
	struct store_call *k;

	if (n > FLAG_UIDS_MAX)
		return ERR_LIMIT;
	k = mbox_call(s, mailbox, STORE_FLAGS, STORE_FLAGS_ARE, arg, tell_flags);
	k->fn.flags = fn;
	k->repeat = unchanged_since == UINT64_MAX;
	ipc_put_u8(&k->payload, op);
	ipc_put_u32(&k->payload, flags);
	ipc_put_slice(&k->payload, keywords);
	ipc_put_u64(&k->payload, unchanged_since);
	put_uids(&k->payload, uids, n);
	return store_call_go(k);
}

static bool
tell_expunged(struct store_call *k, int err, struct ipc_reader *r)
{
	uint32_t *u = NULL, n = 0;
	uint64_t highest = 0;

	if (err == 0) {
		highest = ipc_get_u64(r);
		u = get_numbers(r, &n);
	}
	err = finish(k, err, r);
	k->fn.expunge(k->arg, err, highest, u, err == 0 ? n : 0);
	free(u);
	return false;
}

int
store_expunge(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    bool only_deleted, store_expunge_fn fn, void *arg)
{
	struct store_call *k =
	    mbox_call(s, mailbox, STORE_EXPUNGE, STORE_EXPUNGED, arg, tell_expunged);

	k->fn.expunge = fn;
	k->repeat = false; /* its answer would lack what the first attempt removed */
	ipc_put_u8(&k->payload, only_deleted);
	ipc_put_u8(&k->payload, n == 0);
	put_uids(&k->payload, uids, n);
	return store_call_go(k);
}

static bool
tell_copied(struct store_call *k, int err, struct ipc_reader *r)
{
	uint32_t *u = NULL, n = 0, uidvalidity = 0;

	if (err == 0) {
		uidvalidity = ipc_get_u32(r);
		n = ipc_get_count(r, IPC_FRAME_MAX / 8, 8);
		u = xcalloc(2 * (size_t)n + 1, sizeof *u);
	}
	for (uint32_t i = 0; i < n; i++) {
		u[i] = ipc_get_u32(r);
		u[n + i] = ipc_get_u32(r);
	}
	err = finish(k, err, r);
	k->fn.copy(k->arg, err, uidvalidity, u, u == NULL ? NULL : u + n, err == 0 ? n : 0);
	free(u);
	return false;
}

int
store_copy(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    uint64_t to_mailbox, store_copy_fn fn, void *arg)
{
	struct store_call *k = mbox_call(s, mailbox, STORE_COPY, STORE_COPIED, arg, tell_copied);

	k->fn.copy = fn;
	k->repeat = false; /* COPY always adds one */
	ipc_put_u64(&k->payload, to_mailbox);
	put_uids(&k->payload, uids, n);
	return store_call_go(k);
}

int
store_move(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    uint64_t to_mailbox, const unsigned char id[16], store_copy_fn fn, void *arg)
{
	struct store_call *k = mbox_call(s, mailbox, STORE_MOVE, STORE_MOVED, arg, tell_copied);

	k->fn.copy = fn; /* repeated under its id */
	ipc_put_u64(&k->payload, to_mailbox);
	ipc_put_slice(&k->payload, slice_of(id, 16));
	put_uids(&k->payload, uids, n);
	return store_call_go(k);
}

static bool
tell_bytes(struct store_call *k, int err, struct ipc_reader *r)
{
	struct slice bytes = {NULL, 0};

	if (err == 0)
		bytes = ipc_get_slice(r);
	err = finish(k, err, r);
	k->fn.bytes(k->arg, err, err == 0 ? bytes : slice_str(""));
	return false;
}

int
store_body(struct store_session *s, uint64_t mailbox, uint32_t uid, uint64_t off, uint32_t len,
    store_bytes_fn fn, void *arg)
{
	struct store_call *k = mbox_call(s, mailbox, STORE_BODY, STORE_BYTES, arg, tell_bytes);

	k->fn.bytes = fn;
	ipc_put_u32(&k->payload, uid);
	ipc_put_u64(&k->payload, off);
	ipc_put_u32(&k->payload, len);
	return store_call_go(k);
}

int
store_summary(struct store_session *s, uint64_t mailbox, uint32_t uid, store_bytes_fn fn, void *arg)
{
	struct store_call *k = mbox_call(s, mailbox, STORE_SUMMARY, STORE_BYTES, arg, tell_bytes);

	k->fn.bytes = fn;
	ipc_put_u32(&k->payload, uid);
	return store_call_go(k);
}

static bool
tell_contents(struct store_call *k, int err, struct ipc_reader *r)
{
	struct store_content *v = NULL;
	uint32_t n = 0, n_done = 0;

	if (err == 0) {
		n_done = ipc_get_u32(r);
		n = ipc_get_count(r, STORE_CONTENTS_MAX, 12);
		v = xcalloc((size_t)n + 1, sizeof *v);
	}
	for (uint32_t i = 0; i < n; i++) {
		v[i].uid = ipc_get_u32(r);
		v[i].summary = ipc_get_slice(r);
		v[i].bytes = ipc_get_slice(r);
	}
	err = finish(k, err, r);
	k->fn.contents(k->arg, err, v, err == 0 ? n : 0, err == 0 ? n_done : 0);
	free(v);
	return false;
}

int
store_contents(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    bool summaries, store_contents_fn fn, void *arg)
{
	struct store_call *k;

	if (n == 0 || n > STORE_CONTENTS_MAX)
		return ERR_RANGE;
	k = mbox_call(s, mailbox, STORE_CONTENTS, STORE_CONTENTS_ARE, arg, tell_contents);
	k->fn.contents = fn;
	ipc_put_u8(&k->payload, summaries);
	put_uids(&k->payload, uids, n);
	return store_call_go(k);
}

static bool
tell_candidates(struct store_call *k, int err, struct ipc_reader *r)
{
	struct slice known = {NULL, 0}, maybe[STORE_NEEDLES_MAX];
	uint32_t from = 0, next = 0, n = 0;

	if (err == 0) {
		from = ipc_get_u32(r);
		next = ipc_get_u32(r);
		known = ipc_get_slice(r);
		n = ipc_get_count(r, STORE_NEEDLES_MAX, 4);
	}
	for (uint32_t i = 0; i < n; i++) {
		maybe[i] = ipc_get_slice(r);
		if (r->err == 0 && (maybe[i].len != known.len || n != k->n_items))
			r->err = ERR_PROTO;
	}
	err = finish(k, err, r);
	k->fn.candidates(k->arg, err, from, next, known, maybe, n);
	return false;
}

int
store_candidates(struct store_session *s, uint64_t mailbox, uint32_t from, uint32_t to,
    const struct store_needle *needles, size_t n, store_candidates_fn fn, void *arg)
{
	struct store_call *k;

	if (n == 0 || n > STORE_NEEDLES_MAX || from == 0)
		return ERR_RANGE;
	k = mbox_call(s, mailbox, STORE_CANDIDATES, STORE_CANDIDATES_ARE, arg, tell_candidates);
	k->fn.candidates = fn;
	k->n_items = (uint32_t)n;
	ipc_put_u32(&k->payload, from);
	ipc_put_u32(&k->payload, to);
	ipc_put_u32(&k->payload, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		ipc_put_u8(&k->payload, (uint8_t)needles[i].where);
		ipc_put_slice(&k->payload, needles[i].text);
	}
	return store_call_go(k);
}

int
store_rows_of(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    store_rows_fn fn, void *arg)
{
	struct store_call *k;

	if (n == 0 || n > STORE_ROWS_OF_MAX)
		return ERR_RANGE;
	k = mbox_call(s, mailbox, STORE_ROWS_OF, STORE_ROWS_ARE, arg, tell_rows);
	k->fn.rows = fn;
	put_uids(&k->payload, uids, n);
	return store_call_go(k);
}

static bool
tell_texts(struct store_call *k, int err, struct ipc_reader *r)
{
	struct store_text_bits v[STORE_TEXTS_MAX];
	uint32_t n = 0;

	if (err == 0)
		n = ipc_get_count(r, STORE_TEXTS_MAX, 8);
	for (uint32_t i = 0; i < n; i++) {
		v[i].uid = ipc_get_u32(r);
		v[i].bits = ipc_get_u32(r);
	}
	err = finish(k, err, r);
	k->fn.texts(k->arg, err, v, err == 0 ? n : 0);
	return false;
}

int
store_texts_maybe(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n_uids,
    const struct slice *needles, size_t n, store_texts_fn fn, void *arg)
{
	struct store_call *k;

	if (n > STORE_NEEDLES_MAX || n_uids == 0 || n_uids > STORE_TEXTS_MAX)
		return ERR_RANGE;
	k = mbox_call(s, mailbox, STORE_TEXTS_MAYBE, STORE_TEXTS_MAY, arg, tell_texts);
	k->fn.texts = fn;
	ipc_put_u32(&k->payload, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		ipc_put_slice(&k->payload, needles[i]);
	put_uids(&k->payload, uids, n_uids);
	return store_call_go(k);
}

int
store_text(struct store_session *s, uint64_t mailbox, uint32_t uid, uint64_t off, uint32_t len,
    store_bytes_fn fn, void *arg)
{
	struct store_call *k = mbox_call(s, mailbox, STORE_TEXT, STORE_BYTES, arg, tell_bytes);

	k->fn.bytes = fn;
	ipc_put_u32(&k->payload, uid);
	ipc_put_u64(&k->payload, off);
	ipc_put_u32(&k->payload, len);
	return store_call_go(k);
}
