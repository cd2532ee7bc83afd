/* queue_db.c: rows of the queue and the order in which they are due. Runs in smtpd-queue, one thread. Rows: "m" id: the message with its
 * envelope; "h" id: header; "b" id: small body (a large one is a file, queue_spool.c). Invariant: memory shows what the
 * store holds, changed after the store's transaction was committed and never before. */
#include "config.h"

#include "smtpd/queue_db.h"

#include "lib/err.h"
#include "lib/log.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_VERSION = 1, ROW_VERSION_RELEASE = 2 };

struct heap {
	struct qent **v;
	size_t n, alloc;
};
struct qdb {
	struct kv *kv;
	void *tree;           /* tsearch, by id */
	struct heap heaps[2]; /* by time; [1]: the urgent ones */
	unsigned urgent_run;  /* urgent ones leased in a row while others were due */
	struct qparks *parks;
	size_t count;
	bool dirty;
};

struct key {
	unsigned char b[1 + DELIVERY_ID_LEN];
};

static struct slice
key_of(struct key *k, char kind, const struct delivery_id *id)
{
	k->b[0] = (unsigned char)kind;
	memcpy(k->b + 1, id->b, DELIVERY_ID_LEN);
	return slice_of(k->b, sizeof(k->b));
}

/* ---- the heaps ---- */

static struct heap *
heap_of(struct qdb *db, const struct qent *e)
{
	return &db->heaps[e->urgent];
}

static void
heap_set(struct heap *h, size_t i, struct qent *e)
{
	h->v[i] = e;
	e->heap_at = i;
}

static void
heap_up(struct heap *h, size_t i)
{
	struct qent *e = h->v[i];

	while (i > 0 && h->v[(i - 1) / 2]->due > e->due) {
		heap_set(h, i, h->v[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_set(h, i, e);
}

static void
heap_down(struct heap *h, size_t i)
{
	struct qent *e = h->v[i];

	for (;;) {
		size_t k = 2 * i + 1;
		if (k + 1 < h->n && h->v[k + 1]->due < h->v[k]->due)
			k++;
		if (k >= h->n || h->v[k]->due >= e->due)
			break;
		heap_set(h, i, h->v[k]);
		i = k;
	}
	heap_set(h, i, e);
}

static void
heap_add(struct qdb *db, struct qent *e)
{
	struct heap *h = heap_of(db, e);

	if (h->n == h->alloc) {
		h->alloc = h->alloc == 0 ? 64 : h->alloc * 2;
		h->v = xrealloc(h->v, h->alloc * sizeof(struct qent *));
	}
	heap_set(h, h->n++, e);
	heap_up(h, e->heap_at);
}

static void
heap_remove(struct qdb *db, struct qent *e)
{
	struct heap *h = heap_of(db, e);
	size_t i = e->heap_at;

	qparks_leave(db->parks, e);
	if (i == SIZE_MAX)
		return;
	e->heap_at = SIZE_MAX;
	struct qent *last = h->v[--h->n];
	if (last == e)
		return;
	heap_set(h, i, last);
	heap_up(h, i);
	heap_down(h, last->heap_at);
}

/* ---- entries ---- */

static int
by_id(const void *a, const void *b)
{
	const struct qent *x = a, *y = b;

	return memcmp(x->id.b, y->id.b, DELIVERY_ID_LEN);
}

struct qent *
qdb_find(struct qdb *db, const struct delivery_id *id)
{
	struct qent probe = {.id = *id};
	void *node = tfind(&probe, &db->tree, by_id);

	return node == NULL ? NULL : *(struct qent **)node;
}

static bool
waits_for_store(const struct envelope *e)
{
	for (uint32_t i = 0; i < e->n_rcpts; i++)
		if (e->rcpts[i].state != RCPT_LOCAL || strncmp(e->rcpts[i].why, "4.4.", 4) != 0)
			return false;
	return e->n_rcpts > 0;
}

/* Makes the entry as the row says. */
static void
entry_set(struct qdb *db, const struct delivery_id *id, const struct qrow *row)
{
	struct qent *e = qdb_find(db, id);

	if (e == NULL) {
		e = xcalloc(1, sizeof(*e));
		e->id = *id;
		e->heap_at = SIZE_MAX;
		if (tsearch(e, &db->tree, by_id) == NULL)
			fatal("no memory for the queue");
		db->count++;
	}
	heap_remove(db, e);
	e->state = row->state;
	e->due = row->due;
	e->size = row->size;
	e->arrived = row->arrived;
	e->n_rcpts = row->env.n_rcpts;
	e->urgent = row->env.flags & ENV_URGENT;
	e->unreachable = row->attempts > 0 && waits_for_store(&row->env);
	e->parked_since = 0;
	/* what was leased and is changed goes back into the order; what is quarantined waits for a person */
	e->lease = NULL;
	if (e->state != QUEUE_ST_QUARANTINE && e->state != QUEUE_ST_ONHOLD)
		heap_add(db, e);
}

static void
entry_drop(struct qdb *db, struct qent *e)
{
	heap_remove(db, e);
	tdelete(e, &db->tree, by_id);
	db->count--;
	free(e);
}

struct qent *
qdb_first(struct qdb *db)
{
	const struct heap *h = db->heaps;

	if (h[0].n == 0 || (h[1].n > 0 && h[1].v[0]->due < h[0].v[0]->due))
		return h[1].n == 0 ? NULL : h[1].v[0];
	return h[0].v[0];
}

static bool
is_for_relay(const struct qent *e)
{
	return e->state == QUEUE_ST_QUEUED || e->state == QUEUE_ST_WATCH;
}

/* The first of a heap, when it is due and relay's business. */
static struct qent *
offered(const struct heap *h, int64_t now)
{
	struct qent *e = h->n == 0 ? NULL : h->v[0];

	return e != NULL && e->due <= now && is_for_relay(e) ? e : NULL;
}

struct qent *
qdb_over(struct qdb *db, int64_t now)
{
	for (size_t i = 0; i < sizeof(db->heaps) / sizeof(db->heaps[0]); i++) {
		const struct heap *h = &db->heaps[i];
		if (h->n > 0 && h->v[0]->due <= now && !is_for_relay(h->v[0]))
			return h->v[0];
	}
	return NULL;
}

struct qent *
qdb_next(struct qdb *db, int64_t now)
{
	struct qent *usual = offered(&db->heaps[0], now), *urgent = offered(&db->heaps[1], now);

	if (usual != NULL && urgent != NULL)
		return db->urgent_run >= QDB_URGENT_RUN ? usual : urgent;
	return urgent != NULL ? urgent : usual;
}

void
qdb_took(struct qdb *db, const struct qent *e)
{
	db->urgent_run = e->urgent ? db->urgent_run + 1 : 0;
}

void
qdb_lease(struct qdb *db, struct qent *e, void *who)
{
	heap_remove(db, e);
	e->lease = who;
}

void
qdb_unlease(struct qdb *db, struct qent *e)
{
	e->lease = NULL;
	if (e->heap_at == SIZE_MAX)
		heap_add(db, e);
}

void
qdb_postpone(struct qdb *db, struct qent *e, int64_t due)
{
	heap_remove(db, e);
	e->lease = NULL;
	e->due = due;
	heap_add(db, e);
}

void
qdb_park(struct qdb *db, struct qent *e, uint64_t name, int64_t now, int64_t due)
{
	qdb_postpone(db, e, due);
	qparks_add(db->parks, e, name);
	if (e->parked_since == 0)
		e->parked_since = now;
}

void
qdb_want(struct qdb *db, uint64_t name, uint32_t most, int64_t now)
{
	struct qent *e;

	/* before what came after it and was not looked at yet */
	for (; most > 0 && (e = qparks_first(db->parks, name)) != NULL; most--)
		qdb_postpone(db, e, e->arrived < now ? e->arrived : now);
}

void
qdb_want_all(struct qdb *db, int64_t now)
{
	struct qent *e;

	while ((e = qparks_any(db->parks)) != NULL)
		qdb_postpone(db, e, e->arrived < now ? e->arrived : now);
}

void
qdb_hasten(struct qdb *db, struct qent *e, int64_t now)
{
	qparks_leave(db->parks, e);
	if (e->heap_at == SIZE_MAX || e->due <= now)
		return;
	e->due = now;
	heap_up(heap_of(db, e), e->heap_at);
}

struct walk {
	const struct delivery_id *after;
	qdb_fn fn;
	void *arg;
	bool stop;
};

static void
visit(const void *node, VISIT which, void *closure)
{
	struct walk *w = closure;
	struct qent *const *e = node;

	if (w->stop || (which != postorder && which != leaf))
		return;
	if (w->after != NULL && memcmp((*e)->id.b, w->after->b, DELIVERY_ID_LEN) <= 0)
		return;
	w->stop = !w->fn(w->arg, *e);
}

void
qdb_each(struct qdb *db, const struct delivery_id *after, qdb_fn fn, void *arg)
{
	struct walk w = {after, fn, arg, false};

	twalk_r(db->tree, visit, &w);
}

size_t
qdb_count(const struct qdb *db)
{
	return db->count;
}

/* ---- rows ---- */

static int
row_put(const struct qrow *row, struct buf *b)
{
	bool release = row->release.by != NULL && row->release.by[0] != '\0';

	ipc_put_u8(b, release ? ROW_VERSION_RELEASE : ROW_VERSION);
	ipc_put_u8(b, row->state);
	ipc_put_i64(b, row->arrived);
	ipc_put_i64(b, row->due);
	ipc_put_u32(b, row->attempts);
	ipc_put_u64(b, row->skip);
	ipc_put_u64(b, row->size);
	ipc_put_u8(b, row->has_inline);
	envelope_put(b, &row->env);
	if (release) {
		ipc_put_str(b, row->release.by);
		ipc_put_str(b, row->release.reason);
		ipc_put_str(b, row->release.decision);
		ipc_put_str(b, row->release.rules);
		ipc_put_i64(b, row->release.at);
		ipc_put_str(b, row->release.confirmed_by);
		ipc_put_str(b, row->release.refused);
	}
	return b->err;
}

static const char *
get_text(struct ipc_reader *r, struct arena *a)
{
	struct slice s = ipc_get_slice(r);
	const char *p = r->err == 0 && slice_index(s, '\0') < 0 ? arena_slicedup(a, s) : NULL;

	if (p == NULL && r->err == 0)
		r->err = ERR_PROTO;
	return p == NULL ? "" : p;
}

static int
row_get(struct slice value, struct arena *a, struct qrow *row)
{
	struct ipc_reader r;

	ipc_reader_init(&r, value);
	uint8_t version = ipc_get_u8(&r);
	if (version != ROW_VERSION && version != ROW_VERSION_RELEASE)
		return ERR_CORRUPT;
	row->state = ipc_get_u8(&r);
	row->arrived = ipc_get_i64(&r);
	row->due = ipc_get_i64(&r);
	row->attempts = ipc_get_u32(&r);
	row->skip = ipc_get_u64(&r);
	row->size = ipc_get_u64(&r);
	row->has_inline = ipc_get_u8(&r) != 0;
	int err = envelope_get(&r, a, &row->env);
	if (err == ERR_NOMEM)
		return err;
	row->release = (struct qrelease){"", "", "", "", 0, "", ""};
	if (version == ROW_VERSION_RELEASE) {
		row->release.by = get_text(&r, a);
		row->release.reason = get_text(&r, a);
		row->release.decision = get_text(&r, a);
		row->release.rules = get_text(&r, a);
		row->release.at = ipc_get_i64(&r);
		row->release.confirmed_by = get_text(&r, a);
		row->release.refused = get_text(&r, a);
	}
	return err != 0 || ipc_reader_end(&r) != 0 ? ERR_CORRUPT : 0;
}

struct load {
	struct qdb *db;
	struct arena *arena;
};

static int
load_row(void *arg, struct slice key, struct slice value)
{
	struct load *ld = arg;
	struct delivery_id id;
	struct qrow row;

	if (key.len != 1 + DELIVERY_ID_LEN)
		return ERR_CORRUPT;
	memcpy(id.b, key.ptr + 1, DELIVERY_ID_LEN);
	arena_reset(ld->arena);
	int r = row_get(value, ld->arena, &row);
	if (r == 0)
		entry_set(ld->db, &id, &row);
	return r;
}

int
qdb_open(struct kv *kv, struct qdb **db_out)
{
	struct qdb *db = xcalloc(1, sizeof(*db));
	struct load ld = {db, arena_new(64 << 20)};

	db->kv = kv;
	db->parks = qparks_new();
	int r = kv_scan(kv, NULL, slice_str("m"), slice_str("n"), 0, load_row, &ld);
	arena_free(ld.arena);
	if (r != 0) {
		qdb_close(db);
		return r;
	}
	*db_out = db;
	return 0;
}

void
qdb_close(struct qdb *db)
{
	if (db == NULL)
		return;
	qparks_free(db->parks);
	tdestroy(db->tree, free);
	free(db->heaps[0].v);
	free(db->heaps[1].v);
	kv_close(db->kv);
	free(db);
}

static int
get(struct qdb *db, char kind, const struct delivery_id *id, struct buf *out)
{
	struct key k;

	return kv_get(db->kv, NULL, key_of(&k, kind, id), out);
}

int
qdb_get(struct qdb *db, const struct delivery_id *id, struct arena *a, struct qrow *row_out)
{
	struct buf b;

	buf_init(&b, KV_VALUE_MAX);
	int r = get(db, 'm', id, &b);
	if (r == 0)
		r = row_get(buf_slice(&b), a, row_out);
	buf_done(&b);
	return r;
}

int
qdb_header(struct qdb *db, const struct delivery_id *id, struct buf *out)
{
	return get(db, 'h', id, out);
}

int
qdb_inline(struct qdb *db, const struct delivery_id *id, struct buf *out)
{
	return get(db, 'b', id, out);
}

static int
put_one(struct kv_txn *t, const struct qdb_put *p)
{
	struct buf b;
	struct key k;

	buf_init(&b, KV_VALUE_MAX);
	int r = row_put(p->row, &b);
	if (r == 0)
		r = kv_put(t, key_of(&k, 'm', &p->id), buf_slice(&b));
	buf_done(&b);
	if (r == 0 && p->header.ptr != NULL)
		r = kv_put(t, key_of(&k, 'h', &p->id), p->header);
	if (r == 0 && p->header.ptr != NULL && p->row->has_inline)
		r = kv_put(t, key_of(&k, 'b', &p->id), p->body);
	if (r == 0 && p->mark_key.ptr != NULL)
		r = kv_put(t, p->mark_key, p->mark_value);
	return r;
}

static int
del_if(struct kv_txn *t, char kind, const struct delivery_id *id)
{
	struct key k;
	int r = kv_del(t, key_of(&k, kind, id));

	return r == ERR_NOTFOUND ? 0 : r;
}

/* p and what stands behind it. */
static int
put_all(struct kv_txn *t, const struct qdb_put *p)
{
	int r = 0;

	for (; r == 0 && p != NULL; p = p->also)
		r = put_one(t, p);
	return r;
}

static void
entries_set(struct qdb *db, const struct qdb_put *p)
{
	for (; p != NULL; p = p->also)
		entry_set(db, &p->id, p->row);
}

/* One thread writes: a deadlock cannot be, but a checkpoint may get in between. */
enum { TRIES = 5 };

int
qdb_put(struct qdb *db, const struct qdb_put *p, const struct qdb_put *extra)
{
	int r = ERR_AGAIN;

	for (int i = 0; i < TRIES && r == ERR_AGAIN; i++) {
		struct kv_txn *t;
		if ((r = kv_begin(db->kv, &t)) != 0)
			continue;
		db->dirty = true;
		r = put_one(t, p);
		if (r == 0)
			r = put_all(t, extra);
		if (r != 0)
			kv_abort(t);
		else
			r = kv_commit(t, false);
	}
	if (r != 0)
		return r;
	entry_set(db, &p->id, p->row);
	entries_set(db, extra);
	return 0;
}

int
qdb_finish(struct qdb *db, const struct delivery_id *id, int64_t due, const struct qdb_put *extra)
{
	struct qrow row = {.state = QUEUE_ST_DONE, .due = due};
	struct qdb_put mark = {.id = *id, .row = &row};
	int r = ERR_AGAIN;

	row.env.from = row.env.ret = row.env.envid = row.env.login = row.env.client_ip = "";
	row.env.quarantine = "";
	for (int i = 0; i < TRIES && r == ERR_AGAIN; i++) {
		struct kv_txn *t;
		if ((r = kv_begin(db->kv, &t)) != 0)
			continue;
		db->dirty = true;
		r = put_one(t, &mark);
		if (r == 0)
			r = del_if(t, 'h', id);
		if (r == 0)
			r = del_if(t, 'b', id);
		if (r == 0)
			r = put_all(t, extra);
		if (r != 0)
			kv_abort(t);
		else
			r = kv_commit(t, false);
	}
	if (r != 0)
		return r;
	entry_set(db, id, &row);
	entries_set(db, extra);
	return 0;
}

int
qdb_drop(struct qdb *db, const struct delivery_id *id)
{
	struct qent *e = qdb_find(db, id);
	int r = ERR_AGAIN;

	for (int i = 0; i < TRIES && r == ERR_AGAIN; i++) {
		struct kv_txn *t;
		if ((r = kv_begin(db->kv, &t)) != 0)
			continue;
		db->dirty = true;
		r = del_if(t, 'm', id);
		if (r == 0)
			r = del_if(t, 'h', id);
		if (r == 0)
			r = del_if(t, 'b', id);
		if (r != 0)
			kv_abort(t);
		else
			r = kv_commit(t, false);
	}
	if (r == 0 && e != NULL)
		entry_drop(db, e);
	return r;
}

int
qdb_sync(struct qdb *db)
{
	db->dirty = false;
	return kv_sync(db->kv);
}

int
qdb_mark(struct qdb *db, struct slice key, struct buf *out)
{
	return kv_get(db->kv, NULL, key, out);
}

struct marks {
	bool (*over)(void *arg, struct slice value);
	void *arg;
	struct buf keys; /* of 17 octets each, to drop */
	size_t left;
};
enum { MARK_KEY_LEN = 17, MARKS_AT_ONCE = 1000 };

static int
see_mark(void *arg, struct slice key, struct slice value)
{
	struct marks *m = arg;

	if (key.len == MARK_KEY_LEN && m->over(m->arg, value) &&
	    m->keys.len < (size_t)MARKS_AT_ONCE * MARK_KEY_LEN)
		return buf_append_slice(&m->keys, key);
	m->left++;
	return 0;
}

int
qdb_marks_drop(
    struct qdb *db, bool (*over)(void *arg, struct slice value), void *arg, size_t *left_out)
{
	struct marks m = {.over = over, .arg = arg};
	struct kv_txn *t;

	buf_init(&m.keys, (size_t)MARKS_AT_ONCE * MARK_KEY_LEN);
	int r = kv_scan(db->kv, NULL, slice_str("v"), slice_str("w"), 0, see_mark, &m);
	if (r == 0 && m.keys.len > 0 && (r = kv_begin(db->kv, &t)) == 0) {
		for (size_t at = 0; r == 0 && at < m.keys.len; at += MARK_KEY_LEN)
			r = kv_del(t, slice_of(m.keys.data + at, MARK_KEY_LEN));
		if (r != 0)
			kv_abort(t);
		else
			r = kv_commit(t, false);
	}
	buf_done(&m.keys);
	if (r == 0)
		*left_out += m.left;
	return r;
}

bool
qdb_is_dirty(const struct qdb *db)
{
	return db->dirty;
}
