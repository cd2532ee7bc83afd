/* stored_expunge.c: removal of messages. Runs in stored. The rows of the message and of its last change go, a row with the UIDs
 * removed comes (RFC 7162 3.2.5.1 VANISHED needs them), and in the same batch what is lost to the user becomes a retained row
 * (stored_kept.c), for as long as undelete_days and legal holds say. With UIDs given a thousand a batch; "all" reads the change rows,
 * which carry flags and sizes. Bodies are collected later. */
#include "store/stored_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum {
	BATCH_MAX = 2000,
	KEEP_MAX =
	    500, /* of those that become retained rows: some milliseconds of the committing thread */
	UIDS_MAX = 250000,
};

static bool
wanted(const struct op *op, uint32_t flags)
{
	return !op->only_deleted || (flags & MSG_DELETED) != 0;
}

/* What leaves by a move lives on elsewhere; but out of an account that is held it is kept here as well, since the other one's owner may do with it
 * what he likes. */
static bool
keeps(const struct op *op)
{
	return op->why == KEPT_MOVED ? account_is_held(op->m->acc)
	       : op->why == 0        ? false
				     : account_keeps(op->m->acc);
}

static void
on_victim_rows(void *arg, int err, struct msg_row *rows, size_t n)
{
	struct op *op = arg;

	op->victims = arena_calloc(op->chunk_mem, n + 1, sizeof *op->victims);
	op->victim_rows = rows;
	op->n_victims = 0;
	if (err == ERR_CORRUPT && rows != NULL) /* what cannot be read stays */
		err = 0;
	if (op->victims == NULL && err == 0)
		err = ERR_LIMIT;
	for (size_t i = 0; i < n && err == 0; i++)
		if (wanted(op, rows[i].flags)) {
			rows[op->n_victims] = rows[i];
			op->victims[op->n_victims++] = (struct change_row){.uid = rows[i].uid,
			    .flags = rows[i].flags,
			    .modseq = rows[i].modseq,
			    .size = rows[i].size};
		}
	cycle_gathered(op->m, err);
}

/* The rows of those that the change rows named. */
static void
on_named_rows(void *arg, int err, struct msg_row *rows, size_t n)
{
	struct op *op = arg;
	size_t k = 0;

	op->victim_rows = arena_calloc(op->chunk_mem, op->n_victims + 1, sizeof *op->victim_rows);
	if (err == 0 && op->victim_rows == NULL)
		err = ERR_NOMEM;
	/* One without a row (a damaged mailbox) can still be removed; there is nothing to keep of it. */
	for (size_t i = 0; i < op->n_victims && err == 0; i++)
		if (k < n && rows[k].uid == op->victims[i].uid)
			op->victim_rows[i] = rows[k++];
	cycle_gathered(op->m, err);
}

static void
read_named(struct op *op)
{
	uint32_t *uids = arena_calloc(op->chunk_mem, op->n_victims + 1, sizeof *uids);

	if (uids == NULL)
		fatal("no memory");
	for (size_t i = 0; i < op->n_victims; i++)
		uids[i] = op->victims[i].uid;
	rows_read(op->m, uids, op->n_victims, op->chunk_mem, on_named_rows, op);
}

static int
by_uid(const void *a, const void *b)
{
	uint32_t x = ((const struct change_row *)a)->uid, y = ((const struct change_row *)b)->uid;

	return x < y ? -1 : x > y;
}

static void scan_changes(struct op *op);

static void
on_victim_changes(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct op *op = arg;
	struct change_row c;

	size_t i, max = op->keep ? KEEP_MAX : BATCH_MAX;

	for (i = 0; i < n && err == 0 && op->n_victims < max; i++) {
		err = change_row_decode(rows[i].key, rows[i].value, &c);
		if (err == 0 && wanted(op, c.flags))
			op->victims[op->n_victims++] = c;
	}
	if (err == 0 && i > 0) {
		buf_reset(&op->from);
		buf_append_slice(&op->from, rows[i - 1].key);
		buf_append_byte(&op->from, '!');
	}
	if (err == 0 && more && op->n_victims < max) {
		scan_changes(op);
		return;
	}
	op->more = op->n_victims == max;
	if (err == 0)
		qsort(op->victims, op->n_victims, sizeof *op->victims, by_uid);
	if (err == 0 && op->keep && op->n_victims > 0)
		read_named(op);
	else
		cycle_gathered(op->m, err);
}

static void
scan_changes(struct op *op)
{
	struct backend *be = op->m->acc->st->be;

	must(be->ops->scan(be, slice_str(op->m->object), buf_slice(&op->from), slice_str("c0"),
	    BACKEND_SCAN_MAX, on_victim_changes, op));
}

void
expunge_gather(struct op *op)
{
	size_t max;

	op->chunk_gone = op->out_gone.len;
	op->n_victims = 0;
	op->more = false;
	op->keep = keeps(op);
	if (!op->all) {
		max = op->keep && op->note_del.len == 0 ? KEEP_MAX : CHUNK;
		op->upto = op->n_uids - op->at < max ? op->n_uids : op->at + max;
		rows_read(
		    op->m, op->uids + op->at, op->upto - op->at, op->chunk_mem, on_victim_rows, op);
		return;
	}
	op->victims = arena_calloc(op->chunk_mem, BATCH_MAX, sizeof *op->victims);
	if (op->victims == NULL)
		fatal("no memory");
	if (op->only_deleted && op->m->h.deleted == 0) {
		cycle_gathered(op->m, 0);
		return;
	}
	/* The next batch goes on where this one ended: a row that changes meanwhile moves forward. */
	if (op->from.len == 0)
		buf_append_str(&op->from, "c/");
	scan_changes(op);
}

bool
expunge_again(struct op *op)
{
	if (op->kind != OP_EXPUNGE || op->all)
		return op->more;
	op->at = op->upto;
	return op->at < op->n_uids;
}

int
expunge_build(struct op *op, struct cycle *c)
{
	uint32_t *uids = arena_calloc(c->mem, op->n_victims + 1, sizeof *uids);
	uint64_t modseq = c->h.modseq + 1; /* of the removal */
	char key[KEY_MAX];
	struct buf b;
	int err = uids == NULL ? ERR_LIMIT : 0;

	buf_truncate(&op->out_gone, op->chunk_gone);
	if (op->note_del.len > 0) { /* of a move: one batch */
		if (err == 0)
			err = cycle_del(c, op->note_del);
		c->h.moves -= c->h.moves > 0;
	}
	if (op->n_victims == 0)
		return err;
	for (size_t i = 0; i < op->n_victims && err == 0; i++) {
		const struct change_row *v = &op->victims[i];

		if ((err = cycle_del(c, key_u32(key, 'm', v->uid))) != 0 ||
		    (err = cycle_del(c, key_u64(key, 'c', v->modseq))) != 0)
			break;
		if (op->keep && op->victim_rows[i].uid == v->uid &&
		    (err = kept_put(op, c, &op->victim_rows[i], modseq)) != 0)
			break;
		c->h.messages--;
		c->h.bytes -= v->size;
		c->h.unseen -= (v->flags & MSG_SEEN) == 0;
		if ((v->flags & MSG_DELETED) != 0)
			deleted_less(&c->h, v->size);
		c->h.recent -= v->uid >= c->h.recent_from && c->h.recent > 0;
		uids[i] = v->uid;
		err = buf_append(&op->out_gone, &v->uid, sizeof v->uid);
	}
	if (err != 0)
		return err;
	buf_init(&b, 65536);
	expunged_row_encode(uids, op->n_victims, &b);
	c->h.history++;
	return cycle_put_buf(c, key_u64(key, 'x', ++c->h.modseq), &b);
}

/* ---- the request ---- */

static void
on_expunge_done(struct op *op)
{
	struct req *r = op->arg;
	size_t n = op->out_gone.len / sizeof(uint32_t);
	struct buf b;

	if (op->err != 0 && n == 0) {
		req_err(r, op->err, "expunge");
	} else { /* what was removed before something failed is told */
		buf_init(&b, IPC_FRAME_MAX);
		ipc_put_u64(&b, op->m->h.modseq);
		ipc_put_u32(&b, (uint32_t)n);
		for (size_t i = 0; i < n; i++) {
			uint32_t uid;

			memcpy(&uid, op->out_gone.data + i * sizeof uid, sizeof uid);
			ipc_put_u32(&b, uid);
		}
		req_reply(r, STORE_EXPUNGED, &b);
	}
	op_free(op);
}

int
on_expunge(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	bool only_deleted, all;
	const char *rights;
	struct session *s;
	struct mbox *m;
	struct op *op;
	struct req *q;
	uint32_t n;
	int err;

	if ((s = session_mbox_of(c, id, r, "e", &m, &rights, &err)) == NULL)
		return err;
	only_deleted = ipc_get_u8(r) != 0;
	all = ipc_get_u8(r) != 0;
	n = ipc_get_count(r, UIDS_MAX, 4);
	if (r->err != 0)
		return ERR_PROTO;
	op = op_new(OP_EXPUNGE, m, 4 << 20, on_expunge_done, NULL);
	op->only_deleted = only_deleted;
	op->all = all;
	op->why = KEPT_EXPUNGED;
	op->by = arena_slice(op->mem, slice_sub(slice_str(s->login), 0, KEPT_BY_MAX));
	op->uids = arena_calloc(op->mem, (size_t)n + 1, sizeof *op->uids);
	if (op->uids != NULL && uids_read(r, n, op->uids) == 0)
		op->n_uids = n;
	if (ipc_reader_end(r) != 0 || op->uids == NULL) {
		op_free(op);
		return ERR_PROTO;
	}
	q = arena_alloc(op->mem, sizeof *q);
	req_init(q, c->st, c->ipc, id, m->acc);
	op->arg = q;
	op_start(op);
	return 0;
}
