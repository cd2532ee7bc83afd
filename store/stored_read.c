/* stored_read.c: message rows of given UIDs: a few from memory when they were committed lately (row_cache.h), else by ranges where they are dense and
 * one by one where they are not. Runs in stored. */
#include "store/stored_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { GETS = 64, FROM_MEMORY = 16 };

struct reading {
	struct mbox *m;
	const uint32_t *uids;
	size_t n, at, upto;
	struct arena *mem;
	struct msg_row *rows; /* by index of uids; uid 0: not there */
	size_t left;
	int err;
	bool damaged;
	rows_read_fn fn;
	void *arg;
	struct loop_defer *later;
};
struct one {
	struct reading *r;
	size_t i;
};

static void step(struct reading *r);

static int
keep(struct reading *r, size_t i, struct slice value)
{
	struct slice copy = arena_slice(r->mem, value);

	if (copy.ptr == NULL && value.len > 0)
		return ERR_LIMIT;
	/* It is told at the end, so that the others can be had. */
	if (msg_row_decode(copy, &r->rows[i]) != 0)
		r->damaged = true;
	return 0;
}

static void
finish(struct reading *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n && r->err == 0; i++)
		if (r->rows[i].uid != 0)
			r->rows[n++] = r->rows[i];
	if (r->err == 0 && r->damaged)
		log_msg(LOG_LVL_ERROR, "row_damaged", "%s: a message's row cannot be read",
		    r->m->object);
	r->fn(r->arg, r->err == 0 && r->damaged ? ERR_CORRUPT : r->err,
	    r->err == 0 ? r->rows : NULL, n);
	free(r);
}

static void
on_one(void *arg, int err, struct slice value)
{
	struct one *o = arg;
	struct reading *r = o->r;

	if (err == 0)
		err = keep(r, o->i, value);
	if (err == ERR_CORRUPT)
		r->damaged = true;
	else if (err != 0 && err != ERR_NOTFOUND)
		r->err = err;
	if (--r->left > 0)
		return;
	r->at = r->upto;
	step(r);
}

static void
on_range(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct reading *r = arg;
	size_t i = r->at;
	uint64_t uid = 0;

	for (size_t k = 0; k < n && err == 0; k++) {
		if ((err = key_number(rows[k].key, 8, &uid)) != 0)
			break;
		while (i < r->upto && r->uids[i] < uid)
			i++;
		if (i < r->upto && r->uids[i] == uid)
			err = keep(r, i, rows[k].value);
	}
	if (err != 0)
		r->err = err;
	if (more && n > 0) {
		while (i < r->upto && r->uids[i] <= uid)
			i++;
		r->at = i;
	} else {
		r->at = r->upto;
	}
	step(r);
}

static void
step(struct reading *r)
{
	struct backend *be = r->m->acc->st->be;
	struct slice object = slice_str(r->m->object);
	size_t end = r->n - r->at < CHUNK ? r->n : r->at + CHUNK;
	char from[KEY_MAX], to[KEY_MAX];

	if (r->err != 0 || r->at >= r->n) {
		finish(r);
		return;
	}
	if (r->uids[end - 1] - r->uids[r->at] < 2 * (end - r->at) + 32) {
		r->upto = end;
		must(be->ops->scan(be, object, key_u32(from, 'm', r->uids[r->at]),
		    r->uids[end - 1] == UINT32_MAX ? slice_str("m0")
						   : key_u32(to, 'm', r->uids[end - 1] + 1),
		    BACKEND_SCAN_MAX, on_range, r));
		return;
	}
	r->upto = r->n - r->at < GETS ? r->n : r->at + GETS;
	r->left = r->upto - r->at;
	for (size_t i = r->at; i < r->upto; i++) {
		struct one *o = arena_alloc(r->mem, sizeof *o);

		if (o == NULL)
			fatal("no memory");
		o->r = r;
		o->i = i;
		must(be->ops->get(be, object, key_u32(from, 'm', r->uids[i]), on_one, o));
	}
}

static void
on_later(void *arg)
{
	struct reading *r = arg;

	loop_defer_free(r->later);
	finish(r);
}

/* Whether all of them are in memory; they are told from the loop as everything else. */
static bool
from_memory(struct reading *r)
{
	const struct stored *st = r->m->acc->st;
	struct slice value;

	if (st->rows == NULL || r->n == 0 || r->n > FROM_MEMORY)
		return false;
	for (size_t i = 0; i < r->n; i++)
		if (!row_cache_get(st->rows, r->m->id, r->uids[i], &value))
			return false;
	for (size_t i = 0; i < r->n && r->err == 0; i++)
		if (row_cache_get(st->rows, r->m->id, r->uids[i], &value))
			r->err = keep(r, i, value);
	r->later = loop_defer_new(st->loop, on_later, r);
	loop_defer_set(r->later);
	return true;
}

void
rows_read(
    struct mbox *m, const uint32_t *uids, size_t n, struct arena *mem, rows_read_fn fn, void *arg)
{
	struct reading *r = xcalloc(1, sizeof *r);

	r->m = m;
	r->uids = uids;
	r->n = n;
	r->mem = mem;
	r->fn = fn;
	r->arg = arg;
	r->rows = arena_calloc(mem, n + 1, sizeof *r->rows);
	if (r->rows == NULL) {
		/* Told from the loop as everything else: an empty read of nothing. */
		r->err = ERR_LIMIT;
		r->n = 0;
	}
	if (!from_memory(r))
		step(r);
}
