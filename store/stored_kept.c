/* stored_kept.c: expunged mail stays restorable: "k/" rows in the mailbox it was in, each the whole message row with when and by whom. Runs
 * in stored. They are made by the batch that removes the message and go by the batch that restores it or, after undelete_days, by one that
 * trims; so at any moment a message is in the view or kept, never both, never neither. A legal hold keeps them. They do not count
 * for the quota; undelete_mb bounds them, oldest first, unless the account is held. */
#include "store/stored_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum {
	ROW_MAX = 65536,
	TRIM_WAIT_S =
	    60, /* between two trims of a mailbox: one that fails is not tried at once again */
};

bool
account_keeps(const struct account *a)
{
	return a->st->undelete_s > 0 || account_is_held(a);
}

uint64_t
account_kept(const struct account *a)
{
	uint64_t n = 0;

	for (const struct mbox *m = a->mboxes; m != NULL; m = m->next)
		n += m->h.kept_bytes;
	for (const struct mbox *m = a->buried; m != NULL; m = m->next)
		n += m->h.bytes + m->h.kept_bytes;
	return n;
}

int
kept_put(struct op *op, struct cycle *c, const struct msg_row *row, uint64_t modseq)
{
	struct kept_row k = {.at = age_from_s(), .why = op->why, .by = op->by};
	char key[KEPT_KEY_LEN + 1];
	struct buf b, v;
	int err;

	buf_init(&b, ROW_MAX);
	buf_init(&v, BACKEND_VALUE_MAX);
	err = msg_row_encode(row, &b);
	k.row = buf_slice(&b);
	if (err == 0)
		err = kept_row_encode(&k, &v);
	if (err == 0)
		err = cycle_put(c, kept_key(key, modseq, row->uid), buf_slice(&v));
	buf_done(&b);
	buf_done(&v);
	if (err != 0)
		return err;
	if (c->h.kept++ == 0)
		c->h.kept_from = k.at;
	c->h.kept_bytes += row->size;
	return 0;
}

static int
kept_del(struct cycle *c, const struct kept_at *k)
{
	char key[KEPT_KEY_LEN + 1];

	c->h.kept -= c->h.kept > 0;
	c->h.kept_bytes -= k->row.size < c->h.kept_bytes ? k->row.size : c->h.kept_bytes;
	return cycle_del(c, kept_key(key, k->modseq, k->uid));
}

/* ---- reading given rows ---- */

struct kept_reading {
	size_t left;
	int err;
	struct arena *mem;
	void (*fn)(void *arg, int err);
	void *arg;
};
struct kept_get {
	struct kept_reading *r;
	struct kept_at *k;
};

static void
kept_read_end(struct kept_reading *r)
{
	if (--r->left > 0)
		return;
	r->fn(r->arg, r->err);
	free(r);
}

static int
kept_take(struct kept_at *k, struct slice value, struct arena *mem)
{
	struct slice copy = arena_slice(mem, value);
	struct kept_row row;
	int err = copy.ptr == NULL ? ERR_LIMIT : kept_row_decode(copy, &row);

	if (err == 0)
		err = msg_row_decode(row.row, &k->row);
	k->there = err == 0;
	return err;
}

static void
on_kept_get(void *arg, int err, struct slice value)
{
	struct kept_get *g = arg;
	struct kept_reading *r = g->r;

	if (err == 0)
		err = kept_take(g->k, value, r->mem);
	if (err != 0 && err != ERR_NOTFOUND && err != ERR_GONE)
		r->err = err;
	free(g);
	kept_read_end(r);
}

void
kept_read(struct mbox *m, struct kept_at *list, size_t n, struct arena *mem,
    void (*fn)(void *arg, int err), void *arg)
{
	struct backend *be = m->acc->st->be;
	struct kept_reading *r = xcalloc(1, sizeof *r);
	char key[KEPT_KEY_LEN + 1];

	r->mem = mem;
	r->fn = fn;
	r->arg = arg;
	r->left = 1;
	for (size_t i = 0; i < n; i++) {
		struct kept_get *g = xcalloc(1, sizeof *g);

		g->r = r;
		g->k = &list[i];
		list[i].there = false;
		r->left++;
		must(be->ops->get(be, slice_str(m->object),
		    kept_key(key, list[i].modseq, list[i].uid), on_kept_get, g));
	}
	kept_read_end(r);
}

/* ---- OP_KEPT ---- */

static void
on_gathered(void *arg, int err)
{
	struct op *op = arg;

	cycle_gathered(op->m, err);
}

/* The oldest rows; kept_next is set by the first that is young enough to stay. */
static void
on_oldest(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct op *op = arg;
	const struct account *a = op->m->acc;
	uint64_t all = account_kept(a), max = a->st->undelete_bytes;
	int64_t limit = age_now_s() - a->st->undelete_s;

	op->n_kept = 0;
	op->kept_next = 0;
	op->kept = arena_calloc(op->chunk_mem, n + 1, sizeof *op->kept);
	if (err == 0 && op->kept == NULL)
		err = ERR_NOMEM;
	op->more = more;
	for (size_t i = 0; i < n && err == 0; i++) {
		struct kept_at *k = &op->kept[op->n_kept];
		struct kept_row row;

		if ((err = kept_key_read(rows[i].key, &k->modseq, &k->uid)) != 0 ||
		    (err = kept_row_decode(rows[i].value, &row)) != 0 ||
		    (err = kept_take(k, rows[i].value, op->chunk_mem)) != 0)
			break;
		if (row.at > limit && all <= max) {
			op->kept_next = row.at;
			op->more = false;
			break;
		}
		all -= k->row.size < all ? k->row.size : all;
		op->n_kept++;
	}
	cycle_gathered(op->m, err);
}

void
kept_gather(struct op *op)
{
	struct backend *be = op->m->acc->st->be;

	op->more = false;
	op->m->kept_wait = age_now_s() + TRIM_WAIT_S;
	if (op->kept_how != KEPT_TRIM)
		kept_read(op->m, op->kept, op->n_kept, op->chunk_mem, on_gathered, op);
	else if (account_is_held(op->m->acc)) /* since this one began to wait */
		cycle_gathered(op->m, ERR_DENIED);
	else
		must(be->ops->scan(be, slice_str(op->m->object), slice_str("k/"), slice_str("k0"),
		    BACKEND_SCAN_MAX, on_oldest, op));
}

static int
restore_build(struct op *op, struct cycle *c)
{
	uint64_t octets = 0, n = 0;
	int err = 0;

	for (size_t i = 0; i < op->n_kept; i++)
		if (op->kept[i].there) {
			octets += op->kept[i].row.size;
			n++;
		}
	if (!insert_fits(op->m, c, octets, n))
		return ERR_FULL;
	op->msgs = arena_calloc(op->chunk_mem, (size_t)n + 1, sizeof *op->msgs);
	if (op->msgs == NULL)
		return ERR_NOMEM;
	op->n_msgs = 0;
	for (size_t i = 0; i < op->n_kept && err == 0; i++) {
		struct new_msg *msg = &op->msgs[op->n_msgs];

		if (!op->kept[i].there)
			continue;
		op->uids[op->n_msgs++] = op->kept[i].uid;
		msg->row = op->kept[i].row;
		msg->row.flags &= ~(uint32_t)MSG_DELETED;
		err = kept_del(c, &op->kept[i]);
		if (err == 0)
			err = insert_put(msg, c);
	}
	return err;
}

int
kept_build(struct op *op, struct cycle *c)
{
	int err = 0;

	if (op->kept_how == KEPT_RESTORE)
		return restore_build(op, c);
	if (op->note_del.len > 0) {
		err = cycle_del(c, op->note_del);
		c->h.moves -= c->h.moves > 0;
	}
	for (size_t i = 0; i < op->n_kept && err == 0; i++)
		if (op->kept[i].there)
			err = kept_del(c, &op->kept[i]);
	if (op->kept_how == KEPT_TRIM && err == 0 && !op->more)
		c->h.kept_from = op->kept_next != 0 ? op->kept_next : age_from_s();
	return err;
}

/* ---- when their time is over ---- */

static void
trim_done(struct op *op)
{
	if (op->err != 0 && op->err != ERR_GONE && op->err != ERR_DENIED)
		log_msg(LOG_LVL_WARN, "kept_trim", "%s: %s", op->m->object, err_name(op->err));
	op_free(op);
}

static bool
trims(const struct op *op)
{
	return op->kind == OP_KEPT && op->kept_how == KEPT_TRIM;
}

void
kept_trim_maybe(struct mbox *m)
{
	const struct account *a = m->acc;
	const struct stored *st = a->st;
	struct op *op;

	if (m->h.kept == 0 || m->gone || account_is_held(a) || m->kept_wait > age_now_s() ||
	    (m->h.kept_from > age_now_s() - st->undelete_s &&
		account_kept(a) <= st->undelete_bytes))
		return;
	for (op = m->first; op != NULL; op = op->next)
		if (trims(op))
			return;
	if (m->cycle != NULL && m->cycle->reader != NULL && trims(m->cycle->reader))
		return;
	op = op_new(OP_KEPT, m, 4096, trim_done, NULL);
	op->kept_how = KEPT_TRIM;
	op_start(op);
}

void
kept_sweep_account(struct account *a)
{
	for (struct mbox *m = a->mboxes; m != NULL; m = m->next)
		kept_trim_maybe(m);
	bury_sweep(a);
}

void
kept_sweep(struct stored *st)
{
	for (size_t i = 0; i < HASH_SIZE; i++)
		for (struct account *a = st->accounts[i]; a != NULL; a = a->next_hash)
			if (a->ready)
				kept_sweep_account(a);
}
