/* stored_insert.c: new messages in a mailbox (delivery, APPEND, COPY), \Recent, and forgetting old delivery ids. Runs in stored. */
#include "store/stored_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { PRUNE_EVERY_S = 86400, ROW_VALUE_MAX = 65536 };

/* From when a delivery or a move is remembered. A machine may have come up with a clock that is behind: the mailbox may know a later time. */
static int64_t
seen_from(const struct mbox_head *h)
{
	int64_t from = age_from_s();

	return from > h->pruned_at ? from : h->pruned_at;
}

int
insert_put(struct new_msg *n, struct cycle *c)
{
	struct msg_row *row = &n->row;
	struct change_row change;
	char key[KEY_MAX];
	struct buf b;
	int err;

	if (c->h.uidnext == UINT32_MAX)
		return ERR_LIMIT;
	if ((err = kw_known(
		 row->keywords, c->h.keywords, c->mem, &row->keywords, &c->h.keywords)) != 0)
		return err;
	n->uid = row->uid = c->h.uidnext++;
	row->modseq = ++c->h.modseq;
	row->save_date = now_s();
	buf_init(&b, ROW_VALUE_MAX);
	msg_row_encode(row, &b);
	if ((err = cycle_put_buf(c, key_u32(key, 'm', row->uid), &b)) != 0)
		return err;
	change = (struct change_row){.uid = row->uid, .flags = row->flags, .size = row->size};
	buf_init(&b, 64);
	change_row_encode(&change, &b);
	if ((err = cycle_put_buf(c, key_u64(key, 'c', row->modseq), &b)) != 0)
		return err;
	if (n->has_id) {
		struct slice k = key_id(key, 'd', n->id, sizeof n->id);

		buf_init(&b, 64);
		seen_row_encode(seen_from(&c->h), row->uid,
		    n->memory_s == 0 ? 0 : seen_from(&c->h) + n->memory_s, &b);
		if ((err = cycle_absent(c, k)) != 0 || (err = cycle_put_buf(c, k, &b)) != 0)
			return err;
	}
	if (n->has_mark) {
		buf_init(&b, 64);
		seen_row_encode(seen_from(&c->h), row->uid, 0, &b);
		if ((err = cycle_put_buf(c, key_id(key, 'd', n->mark, sizeof n->mark), &b)) != 0)
			return err;
	}
	c->h.messages++;
	c->h.recent++;
	c->h.unseen += (row->flags & MSG_SEEN) == 0;
	if ((row->flags & MSG_DELETED) != 0)
		deleted_more(&c->h, row->size);
	c->h.bytes += row->size;
	return 0;
}

bool
insert_fits(const struct mbox *m, const struct cycle *c, uint64_t octets, uint64_t messages)
{
	const struct account *a = m->acc;

	return quota_fits(a->st, account_usage(a) - m->h.bytes + c->h.bytes + octets,
	    account_messages(a) - m->h.messages + c->h.messages + messages);
}

int
insert_build(struct op *op, struct cycle *c)
{
	uint64_t added = 0;
	int err = 0;

	/* The same delivery twice in one batch: a repeated attempt caught up with the first one. */
	if (op->msgs[0].has_id)
		for (struct op *o = c->ops; o != op; o = o->next)
			if (o->kind == OP_INSERT && !o->finished && o->same_as == NULL &&
			    o->msgs[0].has_id &&
			    memcmp(o->msgs[0].id, op->msgs[0].id, sizeof op->msgs[0].id) == 0) {
				op->same_as = o;
				return 0;
			}
	for (size_t i = 0; i < op->n_msgs; i++)
		added += op->msgs[i].row.size;
	if (!op->within && !insert_fits(op->m, c, added, op->n_msgs))
		return ERR_FULL;
	for (size_t i = 0; i < op->n_msgs && err == 0; i++)
		err = insert_put(&op->msgs[i], c);
	if (err == 0 && op->moved_key.len > 0) {
		struct buf b;

		buf_init(&b, ROW_VALUE_MAX);
		moved_row_encode(seen_from(&c->h), op->moved_from, c->h.uidvalidity, op->uids,
		    op->msgs, op->n_msgs, &b);
		err = cycle_absent(c, op->moved_key);
		if (err == 0)
			err = cycle_put_buf(c, op->moved_key, &b);
		else
			buf_done(&b);
	}
	return err;
}

/* SELECT takes the \Recent flags for its session (RFC 3501 2.3.2). */
int
claim_build(struct op *op, struct cycle *c)
{
	op->recent_from = c->h.recent > 0 ? c->h.recent_from : 0;
	op->recent_to = c->h.uidnext;
	if (c->h.recent > 0) {
		c->h.recent = 0;
		c->h.recent_from = c->h.uidnext;
	}
	return 0;
}

/* ---- delivery ids older than delivery_memory_days ---- */

static void
on_prune_rows(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct op *op = arg;
	int64_t limit = age_now_s() - op->m->acc->st->memory_s, at, until;
	uint32_t uid;

	op->old_keys = arena_calloc(op->chunk_mem, n + 1, sizeof *op->old_keys);
	op->n_old_keys = 0;
	if (err == 0 && op->old_keys == NULL)
		err = ERR_NOMEM;
	for (size_t i = 0; i < n && err == 0; i++) {
		until = 0;
		err = slice_starts(rows[i].key, "o/")
			  ? moved_row_at(rows[i].value, &at)
			  : seen_row_decode(rows[i].value, &at, &uid, &until);
		if (err == 0 && (until != 0 ? until < age_now_s() : at < limit))
			op->old_keys[op->n_old_keys++] = arena_slice(op->chunk_mem, rows[i].key);
	}
	op->more = more;
	if (err == 0 && !more && !op->moves_too) { /* then the moves seen */
		op->moves_too = op->more = true;
		buf_reset(&op->from);
		buf_append_str(&op->from, "o/");
	} else if (err == 0 && n > 0) {
		buf_reset(&op->from);
		buf_append_slice(&op->from, rows[n - 1].key);
		buf_append_byte(&op->from, '!');
	}
	cycle_gathered(op->m, err);
}

void
prune_gather(struct op *op)
{
	struct backend *be = op->m->acc->st->be;

	if (op->from.len == 0)
		buf_append_str(&op->from, "d/");
	must(be->ops->scan(be, slice_str(op->m->object), buf_slice(&op->from),
	    slice_str(op->moves_too ? "o0" : "d0"), BACKEND_SCAN_MAX, on_prune_rows, op));
}

int
prune_build(struct op *op, struct cycle *c)
{
	int err = 0;

	for (size_t i = 0; i < op->n_old_keys && err == 0; i++)
		err = cycle_del(c, op->old_keys[i]);
	if (!op->more) /* so that what is only looked at is no commit */
		c->h.pruned_at = age_now_s();
	return err;
}

static void
prune_done(struct op *op)
{
	if (op->err != 0 && op->err != ERR_GONE)
		log_msg(LOG_LVL_WARN, "prune", "%s: %s", op->m->object, err_name(op->err));
	op_free(op);
}

/* Called when a delivery went into the queue of m. */
void
prune_maybe(struct mbox *m)
{
	int64_t now = age_now_s();

	/* Once more than a day's ids are there. The first delivery of a mailbox sets the clock. */
	if (m->h.pruned_at + PRUNE_EVERY_S > now)
		return;
	for (struct op *op = m->first; op != NULL; op = op->next)
		if (op->kind == OP_PRUNE)
			return;
	if (m->cycle != NULL && m->cycle->reader != NULL && m->cycle->reader->kind == OP_PRUNE)
		return;
	op_start(op_new(OP_PRUNE, m, 1 << 20, prune_done, NULL));
}
