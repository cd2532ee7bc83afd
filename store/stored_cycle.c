/* stored_cycle.c: changes of a mailbox, one batch in flight at a time; whatever waits joins the next. Runs in stored.
 *
 * A cycle: take what waits (at most one operation that reads rows first, any number that do not); let the reader read; build one
 * batch on a copy of the header; commit it, conditional on the header; then take the new header over, answer everybody, tell the
 * watchers, go on. Nothing else changes the mailbox, so what was read is still true when the batch is built. */
#include "store/stored_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum {
	CYCLE_OPS = 256,
	CYCLE_MEM = 256 << 20,
	CYCLE_MSGS = 4000, /* inserted by one batch, but for one large COPY */
	CHUNK_MEM = 256 << 20,
};

static void mbox_run(struct mbox *m);
static void cycle_build(struct mbox *m);

struct op *
op_new(enum op_kind kind, struct mbox *m, size_t mem, void (*done)(struct op *op), void *arg)
{
	struct op *op = xcalloc(1, sizeof *op);

	op->kind = kind;
	op->m = m;
	op->done = done;
	op->arg = arg;
	op->mem = arena_new(mem);
	if (op->mem == NULL)
		fatal("no memory");
	op->unchanged_since = UINT64_MAX;
	buf_init(&op->from, BACKEND_KEY_MAX);
	buf_init(&op->out_changed, (size_t)64 << 20);
	buf_init(&op->out_conflicts, 1 << 20);
	buf_init(&op->out_gone, 4 << 20);
	account_ref(m->acc);
	return op;
}

void
op_free(struct op *op)
{
	account_unref(op->m->acc);
	arena_free(op->mem);
	arena_free(op->chunk_mem);
	buf_done(&op->from);
	buf_done(&op->out_changed);
	buf_done(&op->out_conflicts);
	buf_done(&op->out_gone);
	free(op);
}

void
op_start(struct op *op)
{
	struct mbox *m = op->m;

	op->next = NULL;
	if (m->gone || m->damaged) {
		op->err = m->gone ? ERR_GONE : ERR_CORRUPT;
		op->done(op);
		return;
	}
	*m->end = op;
	m->end = &op->next;
	mbox_run(m);
}

static bool
is_reader(const struct op *op)
{
	return op->kind == OP_FLAGS || op->kind == OP_EXPUNGE || op->kind == OP_PRUNE ||
	       op->kind == OP_TRIM || op->kind == OP_HOLD || op->kind == OP_KEPT ||
	       op->kind == OP_REDO;
}

/* ---- what a batch is made of ---- */

static void *
grow(struct arena *mem, void *old, size_t n, size_t *alloc, size_t size)
{
	void *p;

	if (n < *alloc)
		return old;
	*alloc = *alloc == 0 ? 64 : 2 * *alloc;
	p = arena_calloc(mem, *alloc, size);
	if (p != NULL && n > 0)
		memcpy(p, old, n * size);
	return p;
}

int
cycle_put(struct cycle *c, struct slice key, struct slice value)
{
	struct kv_pair *p = grow(c->mem, c->puts, c->n_puts, &c->puts_alloc, sizeof *p);

	if (p == NULL)
		return ERR_LIMIT;
	c->puts = p;
	p = &c->puts[c->n_puts];
	p->key = arena_slice(c->mem, key);
	p->value = arena_slice(c->mem, value);
	if (p->key.ptr == NULL || (value.len > 0 && p->value.ptr == NULL))
		return ERR_LIMIT;
	c->n_puts++;
	return 0;
}

int
cycle_put_buf(struct cycle *c, struct slice key, struct buf *value)
{
	int err = value->err != 0 ? value->err : cycle_put(c, key, buf_slice(value));

	buf_done(value);
	return err;
}

int
cycle_del(struct cycle *c, struct slice key)
{
	struct slice *p = grow(c->mem, c->dels, c->n_dels, &c->dels_alloc, sizeof *p);

	if (p == NULL)
		return ERR_LIMIT;
	c->dels = p;
	c->dels[c->n_dels] = arena_slice(c->mem, key);
	return c->dels[c->n_dels++].ptr == NULL ? ERR_LIMIT : 0;
}

int
cycle_absent(struct cycle *c, struct slice key)
{
	struct slice *p = grow(c->mem, c->absent, c->n_absent, &c->absent_alloc, sizeof *p);

	if (p == NULL)
		return ERR_LIMIT;
	c->absent = p;
	c->absent[c->n_absent] = arena_slice(c->mem, key);
	return c->absent[c->n_absent++].ptr == NULL ? ERR_LIMIT : 0;
}

/* ---- the end of a cycle ---- */

static void
op_done(struct op *op, int err)
{
	op->err = err;
	op->next = NULL;
	op->done(op);
}

/* The operation reads on and changes the next rows: it goes first in the queue again. */
static void
op_again(struct op *op)
{
	struct mbox *m = op->m;

	op->next = m->first;
	if (m->first == NULL)
		m->end = &op->next;
	m->first = op;
}

static void
copy_same(struct op *op)
{
	op->repeated = true;
	for (size_t i = 0; i < op->n_msgs && i < op->same_as->n_msgs; i++)
		op->msgs[i].uid = op->same_as->msgs[i].uid;
	op->err = op->same_as->err;
}

static void
cycle_end(struct mbox *m, int err)
{
	struct cycle *c = m->cycle;
	struct op *op, *ops = c->ops, *list = NULL, **end = &list;

	for (op = ops; op != NULL; op = op->next) {
		if (op->same_as != NULL)
			copy_same(op);
		else if (!op->finished)
			op->err = err;
		if (op->err != 0) /* what this batch was to remove is there */
			buf_truncate(&op->out_gone, op->chunk_gone);
	}
	account_ref(m->acc); /* the operations let go of it */
	arena_free(c->mem);
	free(c);
	m->cycle = NULL;
	while ((op = ops) != NULL) {
		ops = op->next;
		if (op->err == 0 && !op->finished && !m->gone &&
		    ((op->kind == OP_FLAGS && flags_again(op)) ||
			(op->kind != OP_FLAGS && is_reader(op) && expunge_again(op)))) {
			op_again(op);
			continue;
		}
		*end = op;
		op->next = NULL;
		end = &op->next;
	}
	/* The next batch is under way before those of this one are answered. */
	if (m->gone) {
		mbox_fail_waiting(m, ERR_GONE);
	} else {
		trim_maybe(m);
		kept_trim_maybe(m);
		index_maybe(m);
		mbox_run(m);
	}
	while ((op = list) != NULL) {
		list = op->next;
		op_done(op, op->err);
	}
	account_unref(m->acc);
}

void
mbox_fail_waiting(struct mbox *m, int err)
{
	struct op *op, *list = m->first;

	m->first = NULL;
	m->end = &m->first;
	if (m->gone && m->cycle == NULL) /* the last batch is over */
		bury_over(m);
	while ((op = list) != NULL) {
		list = op->next;
		op_done(op, err);
	}
}

/* ---- committing ---- */

struct check {
	struct mbox *m;
	struct op *op;
};

/* After ERR_EXISTS: which deliveries are there already. The others are tried again. */
static void
on_seen(void *arg, int err, struct slice value)
{
	struct check *k = arg;
	struct mbox *m = k->m;
	struct op *op = k->op;
	int64_t at;

	if (err == 0 && (op->moved_key.len > 0 || op->kind == OP_NOTE)) {
		op->err = ERR_EXISTS; /* its own requests wait for one another: another one's id */
		op->finished = true;
	} else if (err == 0) {
		op->err = seen_row_decode(value, &at, &op->msgs[0].uid, NULL);
		op->repeated = op->finished = true;
	} else if (err != ERR_NOTFOUND) {
		op->err = err;
		op->finished = true;
	}
	free(k);
	if (--m->cycle->checks == 0)
		cycle_build(m);
}

static void
check_deliveries(struct mbox *m)
{
	struct backend *be = m->acc->st->be;
	struct cycle *c = m->cycle;
	char key[KEY_MAX];

	c->checks = 1;
	for (struct op *op = c->ops; op != NULL; op = op->next) {
		struct check *k;

		struct slice at = op->moved_key;

		if (op->finished || op->same_as != NULL)
			continue;
		if (op->kind == OP_NOTE)
			at = op->note_key;
		else if (op->kind == OP_INSERT && op->msgs[0].has_id)
			at = key_id(key, 'd', op->msgs[0].id, sizeof op->msgs[0].id);
		if (at.len == 0)
			continue;
		k = xcalloc(1, sizeof *k);
		k->m = m;
		k->op = op;
		c->checks++;
		must(be->ops->get(be, slice_str(m->object), at, on_seen, k));
	}
	if (--c->checks == 0)
		cycle_build(m);
}

/* What was just committed of messages is what a change that comes soon need not read. */
static void
rows_keep(struct mbox *m, const struct cycle *c)
{
	struct row_cache *rows = m->acc->st->rows;
	uint64_t uid;

	if (rows == NULL)
		return;
	for (size_t i = 0; i < c->n_dels; i++)
		if (slice_starts(c->dels[i], "m/") && key_number(c->dels[i], 8, &uid) == 0)
			row_cache_drop(rows, m->id, (uint32_t)uid);
	for (size_t i = 0; i < c->n_puts; i++)
		if (slice_starts(c->puts[i].key, "m/") && key_number(c->puts[i].key, 8, &uid) == 0)
			row_cache_put(rows, m->id, (uint32_t)uid, c->puts[i].value);
}

static void
on_cycle(void *arg, int err)
{
	struct mbox *m = arg;
	struct cycle *c = m->cycle;

	if (err == ERR_CONFLICT || err == ERR_UNKNOWN || err == ERR_GONE)
		fatal("stored: mailbox %s is not as it was left (%s): reading everything anew",
		    m->object, err_name(err));
	if (err == ERR_EXISTS) {
		check_deliveries(m);
		return;
	}
	if (err == 0) {
		bool changed = c->h.modseq != m->h.modseq;

		mbox_head_set(m, c->raw);
		rows_keep(m, c);
		if (changed)
			mbox_changed(m);
		for (struct op *op = c->ops; op != NULL; op = op->next)
			if (op->kind == OP_INSERT && !op->finished && op->same_as == NULL)
				m->acc->st->n_inserts += op->n_msgs;
	}
	cycle_end(m, err);
}

static int
op_build(struct op *op, struct cycle *c)
{
	switch (op->kind) {
	case OP_INSERT:
		return insert_build(op, c);
	case OP_CLAIM:
		return claim_build(op, c);
	case OP_PRUNE:
		return prune_build(op, c);
	case OP_NOTE:
		return note_build(op, c);
	case OP_HOLD:
		return 0;
	case OP_TRIM:
		return trim_build(op, c);
	case OP_INDEX:
		return index_build(op, c);
	case OP_REDO:
		return redo_build(op, c);
	case OP_FLAGS:
		return flags_build(op, c);
	case OP_EXPUNGE:
		return expunge_build(op, c);
	case OP_KEPT:
		return kept_build(op, c);
	}
	return ERR_UNSUPPORTED;
}

/* Builds and commits; anew without those that turned out to be repeated. An operation that cannot be done leaves no trace in the batch. */
static void
cycle_build(struct mbox *m)
{
	struct cycle *c = m->cycle;
	struct backend *be = m->acc->st->be;
	struct backend_batch b;
	struct buf raw;

	c->h = m->h;
	c->n_puts = c->n_dels = c->n_absent = 0;
	for (struct op *op = c->ops; op != NULL; op = op->next) {
		size_t puts = c->n_puts, dels = c->n_dels, absent = c->n_absent;
		struct mbox_head h = c->h;
		int err;

		op->same_as = NULL;
		if (op->finished)
			continue;
		err = op_build(op, c);
		if (err != 0) {
			op->err = err;
			op->finished = true;
			op->same_as = NULL;
			c->h = h;
			c->n_puts = puts;
			c->n_dels = dels;
			c->n_absent = absent;
		}
	}
	if (c->n_puts == 0 && c->n_dels == 0 && c->h.recent == m->h.recent &&
	    c->h.pruned_at == m->h.pruned_at && c->h.kept_from == m->h.kept_from) {
		cycle_end(m, 0);
		return;
	}
	buf_init(&raw, BACKEND_VALUE_MAX);
	mbox_head_encode(&c->h, &raw);
	c->raw = arena_slice(c->mem, buf_slice(&raw));
	buf_done(&raw);
	if (c->raw.ptr == NULL || cycle_put(c, slice_str("h"), c->raw) != 0) {
		cycle_end(m, ERR_LIMIT);
		return;
	}
	b = (struct backend_batch){.object = slice_str(m->object),
	    .expect = buf_slice(&m->raw),
	    .puts = c->puts,
	    .n_puts = c->n_puts,
	    .dels = c->dels,
	    .n_dels = c->n_dels,
	    .absent = c->absent,
	    .n_absent = c->n_absent};
	must(be->ops->batch(be, &b, on_cycle, m));
}

void
cycle_gathered(struct mbox *m, int err)
{
	if (err != 0) {
		m->cycle->reader->err = err;
		m->cycle->reader->finished = true;
	}
	cycle_build(m);
}

static void
fail_deliveries(struct op *list)
{
	for (struct op *op = list; op != NULL; op = op->next)
		if (op->kind == OP_INSERT && op->msgs[0].has_id) {
			op->err = ERR_TEMP;
			op->finished = true;
		}
}

void
hold_release(struct op *op, bool renamed)
{
	struct mbox *m = op->m;

	if (renamed) {
		fail_deliveries(m->cycle->ops);
		fail_deliveries(m->first);
	}
	cycle_gathered(m, 0);
}

static void
mbox_run(struct mbox *m)
{
	struct cycle *c;
	struct op **end;
	size_t n = 0, msgs = 0;

	if (m->cycle != NULL || m->first == NULL)
		return;
	c = xcalloc(1, sizeof *c);
	c->mem = arena_new(CYCLE_MEM);
	if (c->mem == NULL)
		fatal("no memory");
	m->cycle = c;
	end = &c->ops;
	while (m->first != NULL && n < CYCLE_OPS) {
		struct op *op = m->first;

		if ((is_reader(op) && c->reader != NULL) ||
		    (n > 0 && msgs + op->n_msgs > CYCLE_MSGS))
			break;
		m->first = op->next;
		if (m->first == NULL)
			m->end = &m->first;
		if (is_reader(op))
			c->reader = op;
		op->next = NULL;
		*end = op;
		end = &op->next;
		msgs += op->n_msgs;
		n++;
	}
	if (c->reader == NULL) {
		cycle_build(m);
		return;
	}
	if (c->reader->chunk_mem == NULL)
		c->reader->chunk_mem = arena_new(CHUNK_MEM);
	if (c->reader->chunk_mem == NULL)
		fatal("no memory");
	arena_reset(c->reader->chunk_mem);
	if (c->reader->kind == OP_HOLD)
		c->reader->held(c->reader);
	else if (c->reader->kind == OP_FLAGS)
		flags_gather(c->reader);
	else if (c->reader->kind == OP_EXPUNGE)
		expunge_gather(c->reader);
	else if (c->reader->kind == OP_TRIM)
		trim_gather(c->reader);
	else if (c->reader->kind == OP_KEPT)
		kept_gather(c->reader);
	else if (c->reader->kind == OP_REDO)
		redo_gather(c->reader);
	else
		prune_gather(c->reader);
}
