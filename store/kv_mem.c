/* kv_mem.c: kv.h in memory, the twin of kv_bdb.c for tests: a sorted array under one lock. A transaction holds the lock from its first
 * call to its end, and undoes what it did on abort; so transactions are serial and never deadlock with one another. */
#include "store/kv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

struct row {
	unsigned char *key, *value;
	size_t klen, vlen;
};
struct mem {
	struct kv kv;
	pthread_mutex_t mu;
	struct row *rows;
	size_t n, alloc;
};
/* What to do to undo one change: put value back, or delete when it is NULL. */
struct undo {
	struct undo *next;
	unsigned char *key, *value;
	size_t klen, vlen;
};
struct mem_txn {
	struct kv_txn t;
	bool locked;
	struct undo *undo;
};

static unsigned char *
copy(struct slice s)
{
	unsigned char *p = xmalloc(s.len + 1);

	if (s.len > 0)
		memcpy(p, s.ptr, s.len);
	return p;
}

static void
enter(struct mem *m, struct kv_txn *t)
{
	struct mem_txn *mt = (struct mem_txn *)t;

	if (mt == NULL || !mt->locked)
		pthread_mutex_lock(&m->mu);
	if (mt != NULL)
		mt->locked = true;
}

static void
leave(struct mem *m, struct kv_txn *t)
{
	if (t == NULL)
		pthread_mutex_unlock(&m->mu);
}

/* Index of the first row with a key >= key. */
static size_t
lower(const struct mem *m, struct slice key)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (slice_cmp(slice_of(m->rows[mid].key, m->rows[mid].klen), key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool
is_at(const struct mem *m, size_t i, struct slice key)
{
	return i < m->n && slice_eq(slice_of(m->rows[i].key, m->rows[i].klen), key);
}

static void
remove_at(struct mem *m, size_t i)
{
	free(m->rows[i].key);
	free(m->rows[i].value);
	memmove(&m->rows[i], &m->rows[i + 1], (m->n - i - 1) * sizeof *m->rows);
	m->n--;
}

static void
set(struct mem *m, struct slice key, struct slice value)
{
	size_t i = lower(m, key);

	if (!is_at(m, i, key)) {
		if (m->n == m->alloc) {
			m->alloc = m->alloc == 0 ? 64 : 2 * m->alloc;
			m->rows = xrealloc(m->rows, m->alloc * sizeof *m->rows);
		}
		memmove(&m->rows[i + 1], &m->rows[i], (m->n - i) * sizeof *m->rows);
		m->n++;
		m->rows[i] = (struct row){.key = copy(key), .klen = key.len};
	} else {
		free(m->rows[i].value);
	}
	m->rows[i].value = copy(value);
	m->rows[i].vlen = value.len;
}

static void
remember(struct kv_txn *t, struct mem *m, struct slice key)
{
	struct mem_txn *mt = (struct mem_txn *)t;
	struct undo *u = xcalloc(1, sizeof *u);
	size_t i = lower(m, key);

	u->key = copy(key);
	u->klen = key.len;
	if (is_at(m, i, key)) {
		u->value = copy(slice_of(m->rows[i].value, m->rows[i].vlen));
		u->vlen = m->rows[i].vlen;
	}
	u->next = mt->undo;
	mt->undo = u;
}

static int
mem_begin(struct kv *kv, struct kv_txn **txn_out)
{
	struct mem_txn *t = xcalloc(1, sizeof *t);

	t->t.kv = kv;
	*txn_out = &t->t;
	return 0;
}

static void
finish(struct kv_txn *t, bool undo)
{
	struct mem_txn *mt = (struct mem_txn *)t;
	struct mem *m = (struct mem *)t->kv;
	struct undo *u;

	while ((u = mt->undo) != NULL) {
		struct slice key = slice_of(u->key, u->klen);

		mt->undo = u->next;
		if (undo && u->value != NULL)
			set(m, key, slice_of(u->value, u->vlen));
		else if (undo && is_at(m, lower(m, key), key))
			remove_at(m, lower(m, key));
		free(u->key);
		free(u->value);
		free(u);
	}
	if (mt->locked)
		pthread_mutex_unlock(&m->mu);
	free(mt);
}

static int
mem_commit(struct kv_txn *t, bool sync)
{
	(void)sync;
	finish(t, false);
	return 0;
}

static void
mem_abort(struct kv_txn *t)
{
	finish(t, true);
}

static int
mem_sync(struct kv *kv)
{
	(void)kv;
	return 0;
}

static int
mem_get(struct kv *kv, struct kv_txn *t, struct slice key, bool update, struct buf *value_out)
{
	struct mem *m = (struct mem *)kv;
	size_t i;
	int err = ERR_NOTFOUND;

	(void)update;
	enter(m, t);
	i = lower(m, key);
	if (is_at(m, i, key))
		err = buf_append(value_out, m->rows[i].value, m->rows[i].vlen);
	leave(m, t);
	return err;
}

static int
mem_put(struct kv_txn *t, struct slice key, struct slice value, bool insert)
{
	struct mem *m = (struct mem *)t->kv;

	enter(m, t);
	if (insert && is_at(m, lower(m, key), key))
		return ERR_EXISTS;
	remember(t, m, key);
	set(m, key, value);
	return 0;
}

static int
mem_del(struct kv_txn *t, struct slice key)
{
	struct mem *m = (struct mem *)t->kv;

	enter(m, t);
	if (!is_at(m, lower(m, key), key))
		return ERR_NOTFOUND;
	remember(t, m, key);
	remove_at(m, lower(m, key));
	return 0;
}

static int
mem_scan(struct kv *kv, struct kv_txn *t, struct slice from, struct slice to, size_t max,
    kv_row_fn fn, void *arg)
{
	struct mem *m = (struct mem *)kv;
	size_t given = 0;
	int err = 0;

	enter(m, t);
	for (size_t i = lower(m, from); i < m->n && err == 0; i++) {
		struct slice key = slice_of(m->rows[i].key, m->rows[i].klen);

		if ((max > 0 && given >= max) || (to.len > 0 && slice_cmp(key, to) >= 0))
			break;
		given++;
		err = fn(arg, key, slice_of(m->rows[i].value, m->rows[i].vlen));
	}
	leave(m, t);
	return err;
}

static int
mem_last(struct kv *kv, struct kv_txn *t, struct slice from, struct slice to, struct buf *key_out,
    struct buf *value_out)
{
	struct mem *m = (struct mem *)kv;
	const struct row *r;
	size_t i;
	int err = ERR_NOTFOUND;

	enter(m, t);
	i = to.len == 0 ? m->n : lower(m, to);
	if (i > 0 && slice_cmp(slice_of(m->rows[i - 1].key, m->rows[i - 1].klen), from) >= 0) {
		r = &m->rows[i - 1];
		err = key_out == NULL ? 0 : buf_append(key_out, r->key, r->klen);
		if (err == 0 && value_out != NULL)
			err = buf_append(value_out, r->value, r->vlen);
	}
	leave(m, t);
	return err;
}

static void
mem_close(struct kv *kv)
{
	struct mem *m = (struct mem *)kv;

	while (m->n > 0)
		remove_at(m, m->n - 1);
	free(m->rows);
	pthread_mutex_destroy(&m->mu);
	free(m);
}

static const struct kv_ops mem_ops = {
    .close = mem_close,
    .begin = mem_begin,
    .commit = mem_commit,
    .abort = mem_abort,
    .sync = mem_sync,
    .checkpoint = mem_sync,
    .get = mem_get,
    .put = mem_put,
    .del = mem_del,
    .scan = mem_scan,
    .last = mem_last,
};

int
kv_mem_open(struct kv **kv_out)
{
	struct mem *m = xcalloc(1, sizeof *m);

	m->kv.ops = &mem_ops;
	pthread_mutex_init(&m->mu, NULL);
	*kv_out = &m->kv;
	return 0;
}
