/* stored_trim.c: forgetting old removals. Runs in stored. A mailbox remembers expunge_history batches of removals for clients that
 * synchronise again (RFC 7162 5.3: a server may forget); the oldest go, and the header tells up to where ("forgotten"): who knew less must
 * compare all UIDs. */
#include "store/stored_priv.h"

#include "lib/err.h"
#include "lib/log.h"

static void
on_old_rows(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct op *op = arg;

	(void)more;
	op->old_keys = arena_calloc(op->chunk_mem, n + 1, sizeof *op->old_keys);
	op->n_old_keys = 0;
	if (err == 0 && op->old_keys == NULL)
		err = ERR_NOMEM;
	for (size_t i = 0; i < n && err == 0; i++) {
		err = key_number(rows[i].key, 16, &op->old_modseq);
		op->old_keys[op->n_old_keys++] = arena_slice(op->chunk_mem, rows[i].key);
	}
	cycle_gathered(op->m, err);
}

void
trim_gather(struct op *op)
{
	struct backend *be = op->m->acc->st->be;
	uint32_t max = op->m->acc->st->history_max, n = op->m->h.history;
	uint32_t over = n > max ? n - max : 1;

	op->more = false;
	must(be->ops->scan(be, slice_str(op->m->object), slice_str("x/"), slice_str("x0"),
	    over < BACKEND_SCAN_MAX ? over : BACKEND_SCAN_MAX, on_old_rows, op));
}

int
trim_build(struct op *op, struct cycle *c)
{
	int err = 0;

	for (size_t i = 0; i < op->n_old_keys && err == 0; i++)
		err = cycle_del(c, op->old_keys[i]);
	/* An empty read: the count was wrong. */
	c->h.history -= op->n_old_keys < c->h.history && op->n_old_keys > 0
			    ? (uint32_t)op->n_old_keys
			    : c->h.history;
	if (op->n_old_keys > 0 && op->old_modseq > c->h.forgotten)
		c->h.forgotten = op->old_modseq;
	return err;
}

static void
trim_done(struct op *op)
{
	if (op->err != 0 && op->err != ERR_GONE)
		log_msg(LOG_LVL_WARN, "trim", "%s: %s", op->m->object, err_name(op->err));
	op_free(op);
}

void
trim_maybe(struct mbox *m)
{
	uint32_t max = m->acc->st->history_max;

	if (m->h.history <= max + max / 10)
		return;
	for (struct op *op = m->first; op != NULL; op = op->next)
		if (op->kind == OP_TRIM)
			return;
	op_start(op_new(OP_TRIM, m, 4096, trim_done, NULL));
}
