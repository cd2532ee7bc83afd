/* stored_restore.c: undelete, for congvu on store.admin: which mail of an account is retained, and restoring it. Runs in stored. Within a
 * mailbox that is there a message comes back by one batch (it enters the view as the retained row goes); into another one by a move under an
 * operation id, which is finished after a crash. So each comes back once, however often it is asked for. */
#include "store/stored_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/utf7.h"

enum { RESTORE_MEM = 1 << 20, ROWS_OCTETS = 256 * 1024, ROWS_STEP = 200, BY_MAX = 1000 };

/* ---- what there is ---- */

struct ask {
	struct req r;
	uint64_t mailbox;
	bool messages;
	struct buf from;
};

static struct ask *
ask_new(struct conn *c, uint32_t id)
{
	struct ask *k = xcalloc(1, sizeof *k);

	req_init(&k->r, c->st, c->ipc, id, NULL);
	buf_init(&k->from, BACKEND_KEY_MAX);
	return k;
}

static void
ask_free(struct ask *k)
{
	buf_done(&k->from);
	free(k);
}

static void
ask_err(struct ask *k, int err)
{
	req_err(&k->r, err, "retained mail");
	ask_free(k);
}

static void
put_box(struct buf *b, const struct mbox *m)
{
	ipc_put_u64(b, m->id);
	ipc_put_str(b, m->name);
	ipc_put_i64(b, m->buried_at);
	ipc_put_str(b, m->buried_by == NULL ? "" : m->buried_by);
	ipc_put_u32(b, m->buried_at != 0 ? m->h.messages : 0);
	ipc_put_u32(b, m->h.kept);
	ipc_put_u64(b, m->h.kept_bytes + (m->buried_at != 0 ? m->h.bytes : 0));
}

static void
on_account_boxes(void *arg, int err, struct account *a)
{
	struct ask *k = arg;
	uint32_t n = 0;
	struct buf list, b;

	if (err != 0) {
		ask_err(k, err);
		return;
	}
	buf_init(&list, IPC_FRAME_MAX);
	for (const struct mbox *m = a->mboxes; m != NULL; m = m->next)
		if (m->h.kept > 0) {
			put_box(&list, m);
			n++;
		}
	for (const struct mbox *m = a->buried; m != NULL; m = m->next, n++)
		put_box(&list, m);
	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_u8(&b, account_is_held(a));
	ipc_put_i64(&b, a->st->undelete_s);
	ipc_put_u32(&b, n);
	buf_append_slice(&b, buf_slice(&list));
	if (list.err != 0)
		b.err = list.err;
	buf_done(&list);
	req_reply(&k->r, STORE_KEPT_BOXES_ARE, &b);
	ask_free(k);
}

int
on_kept_boxes(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct slice account = ipc_get_slice(r);

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	account_find(c->st, account, on_account_boxes, ask_new(c, id));
	return 0;
}

/* One row of the answer: u64 mod-sequence (0: a message of a deleted mailbox), i64 when, u8 why, str by, bytes row. */
static int
put_kept(struct buf *b, const struct ask *k, const struct kv_pair *row)
{
	uint64_t modseq;
	uint32_t uid;
	struct kept_row kept;
	int err;

	if (k->messages) {
		ipc_put_u64(b, 0);
		ipc_put_i64(b, k->r.m->buried_at);
		ipc_put_u8(b, KEPT_EXPUNGED);
		ipc_put_str(b, k->r.m->buried_by);
		return ipc_put_slice(b, row->value);
	}
	if ((err = kept_key_read(row->key, &modseq, &uid)) != 0 ||
	    (err = kept_row_decode(row->value, &kept)) != 0)
		return err;
	ipc_put_u64(b, modseq);
	ipc_put_i64(b, kept.at);
	ipc_put_u8(b, kept.why);
	ipc_put_slice(b, kept.by);
	return ipc_put_slice(b, kept.row);
}

static void
on_kept(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct ask *k = arg;
	struct buf list, b;
	size_t i = 0;

	buf_init(&list, IPC_FRAME_MAX);
	for (; i < n && err == 0 && list.len < ROWS_OCTETS; i++)
		err = put_kept(&list, k, &rows[i]);
	if (err != 0) {
		buf_done(&list);
		ask_err(k, err);
		return;
	}
	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_slice(&b, n > 0 && (more || i < n) ? rows[i - 1].key : slice_str(""));
	ipc_put_u32(&b, (uint32_t)i);
	buf_append_slice(&b, buf_slice(&list));
	buf_done(&list);
	req_reply(&k->r, STORE_KEPT_ROWS_ARE, &b);
	ask_free(k);
}

static void
on_account_rows(void *arg, int err, struct account *a)
{
	struct ask *k = arg;
	struct mbox *m = NULL;

	if (err == 0) {
		m = bury_find(a, k->mailbox);
		if (m == NULL && !k->messages)
			m = mbox_find(a->st, k->mailbox);
		if (m == NULL || m->acc != a)
			err = ERR_NOTFOUND;
	}
	if (err != 0) {
		ask_err(k, err);
		return;
	}
	account_ref(a);
	k->r.acc = a;
	k->r.m = m;
	if (k->from.len == 0)
		buf_append_str(&k->from, k->messages ? "m/" : "k/");
	else
		buf_append_byte(&k->from, '!'); /* behind the key that was given */
	must(a->st->be->ops->scan(a->st->be, slice_str(m->object), buf_slice(&k->from),
	    slice_str(k->messages ? "m0" : "k0"), ROWS_STEP, on_kept, k));
}

int
on_kept_rows(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct slice account = ipc_get_slice(r), from;
	uint64_t mailbox = ipc_get_u64(r);
	bool messages = ipc_get_u8(r) != 0;
	struct ask *k;

	from = ipc_get_slice(r);
	if (ipc_reader_end(r) != 0 || from.len > KEPT_KEY_LEN ||
	    (from.len > 0 && !slice_starts(from, messages ? "m/" : "k/")))
		return ERR_PROTO;
	k = ask_new(c, id);
	k->mailbox = mailbox;
	k->messages = messages;
	buf_append_slice(&k->from, from);
	account_find(c->st, account, on_account_rows, k);
	return 0;
}

/* ---- restoring ---- */

struct restore {
	struct account_op op; /* while the destination is made */
	struct req r;
	struct arena *mem;
	struct slice to, by;
	uint64_t mailbox;
	bool messages;
	unsigned char id[16];
	uint64_t *mods;
	uint32_t *uids;
	size_t n;
	struct mbox *from, *dst;
};

static void
restore_end(struct restore *k, int err, uint32_t uidvalidity, const uint32_t *src,
    const struct new_msg *msgs, const uint32_t *dst, size_t n)
{
	struct log_line l;
	struct buf b;

	if (err != 0) {
		req_err(&k->r, err, "undelete");
		arena_free(k->mem);
		free(k);
		return;
	}
	log_begin(&l, LOG_LVL_INFO, "undelete");
	log_str(&l, "account", k->dst->acc->id);
	log_str(&l, "from", k->from->object);
	log_str(&l, "to", k->dst->object);
	log_u64(&l, "messages", n);
	log_slice(&l, "by", k->by);
	log_end(&l);
	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_str(&b, k->dst->name);
	ipc_put_u32(&b, uidvalidity);
	ipc_put_u32(&b, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		ipc_put_u32(&b, src[i]);
		ipc_put_u32(&b, msgs != NULL ? msgs[i].uid : dst[i]);
	}
	bury_emptied(k->from);
	req_reply(&k->r, STORE_KEPT_RESTORED, &b);
	arena_free(k->mem);
	free(k);
}

static void
on_moved(
    void *arg, int err, uint32_t uidvalidity, const uint32_t *src, const uint32_t *dst, size_t n)
{
	restore_end(arg, err, uidvalidity, src, NULL, dst, n);
}

static void
on_restored(struct op *op)
{
	restore_end(op->arg, op->err, op->m->h.uidvalidity, op->uids, op->msgs, NULL, op->n_msgs);
	op_free(op);
}

/* The retained rows go back into the mailbox they are in: one batch. */
static void
restore_here(struct restore *k)
{
	struct op *op = op_new(OP_KEPT, k->from, RESTORE_MEM, on_restored, k);

	op->kept_how = KEPT_RESTORE;
	op->kept = arena_calloc(op->mem, k->n + 1, sizeof *op->kept);
	op->uids = arena_calloc(op->mem, k->n + 1, sizeof *op->uids);
	if (op->kept == NULL || op->uids == NULL)
		fatal("no memory");
	op->n_kept = k->n;
	for (size_t i = 0; i < k->n; i++)
		op->kept[i] = (struct kept_at){.modseq = k->mods[i], .uid = k->uids[i]};
	op_start(op);
}

static void
restore_go(struct restore *k)
{
	if (k->from == k->dst && !k->messages)
		restore_here(k);
	else
		move_restore(k->from, k->dst, k->messages ? NULL : k->mods, k->uids, k->n, k->id,
		    on_moved, k);
}

/* ---- the destination ---- */

static void
on_dst_made(void *arg, int err)
{
	struct restore *k = arg;
	struct account *a = k->op.acc;

	account_op_end(&k->op);
	if (err == 0) {
		k->dst = account_mbox(a, k->to);
		err = k->dst == NULL ? ERR_TEMP : 0;
	}
	if (err != 0)
		restore_end(k, err, 0, NULL, NULL, NULL, 0);
	else
		restore_go(k);
}

/* A deleted mailbox gets its special use back where no other one has it. */
static uint32_t
use_of(const struct restore *k, const struct account *a)
{
	uint32_t use =
	    k->from->buried_at != 0 && slice_eq_str(k->to, k->from->name) ? k->from->use & 0xff : 0;

	for (const struct mbox *m = a->mboxes; m != NULL; m = m->next)
		if ((m->use & use) != 0)
			return 0;
	return use;
}

static void
make_run(struct account_op *op)
{
	struct restore *k = (struct restore *)op;
	struct slice names[NAME_DEPTH_MAX];
	uint32_t uses[NAME_DEPTH_MAX] = {0};
	struct naming n = {.make = names, .uses = uses, .subscribe = true};

	if (account_mbox(op->acc, k->to) != NULL) {
		on_dst_made(k, 0);
		return;
	}
	n.n_make = names_missing(op->acc, k->to, names);
	if (op->acc->n_mboxes + n.n_make > MBOXES_MAX) {
		on_dst_made(k, ERR_LIMIT);
		return;
	}
	uses[n.n_make - 1] = use_of(k, op->acc);
	names_change(op, &n, on_dst_made, k);
}

static void
on_account(void *arg, int err, struct account *a)
{
	struct restore *k = arg;

	if (err == 0) {
		k->from = bury_find(a, k->mailbox);
		if (k->from == NULL && !k->messages)
			k->from = mbox_find(a->st, k->mailbox);
		if (k->from == NULL || k->from->acc != a)
			err = ERR_NOTFOUND;
	}
	if (err != 0) {
		restore_end(k, err, 0, NULL, NULL, NULL, 0);
		return;
	}
	account_ref(a);
	k->r.acc = a;
	if (k->to.len == 0)
		k->to = arena_slice(k->mem, slice_str(k->from->name));
	k->dst = account_mbox(a, k->to);
	if (k->dst != NULL) {
		restore_go(k);
		return;
	}
	k->op.run = make_run;
	account_op_start(a, &k->op);
}

/* The list of the request: ascending UIDs, each with its mod-sequence. */
static int
get_list(struct restore *k, struct ipc_reader *r)
{
	uint32_t n = ipc_get_count(r, CHUNK, 12), last = 0;

	k->mods = arena_calloc(k->mem, (size_t)n + 1, sizeof *k->mods);
	k->uids = arena_calloc(k->mem, (size_t)n + 1, sizeof *k->uids);
	if (k->mods == NULL || k->uids == NULL)
		fatal("no memory");
	for (k->n = 0; k->n < n; k->n++) {
		k->mods[k->n] = ipc_get_u64(r);
		k->uids[k->n] = ipc_get_u32(r);
		if (k->uids[k->n] <= last)
			r->err = ERR_PROTO;
		last = k->uids[k->n];
	}
	return ipc_reader_end(r);
}

int
on_kept_restore(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct slice account = ipc_get_slice(r), to, by, op_id;
	uint64_t mailbox = ipc_get_u64(r);
	bool messages = ipc_get_u8(r) != 0;
	struct restore *k = xcalloc(1, sizeof *k);

	k->mem = arena_new(RESTORE_MEM);
	if (k->mem == NULL)
		fatal("no memory");
	to = ipc_get_slice(r);
	by = ipc_get_slice(r);
	op_id = ipc_get_slice(r);
	if (get_list(k, r) != 0 || op_id.len != sizeof k->id || by.len > BY_MAX) {
		arena_free(k->mem);
		free(k);
		return ERR_PROTO;
	}
	memcpy(k->id, op_id.ptr, sizeof k->id);
	k->mailbox = mailbox;
	k->messages = messages;
	k->to = arena_slice(k->mem, slice_caseeq_str(to, "INBOX") ? slice_str("INBOX") : to);
	k->by = arena_slice(k->mem, by);
	req_init(&k->r, c->st, c->ipc, id, NULL);
	if (to.len > 0 && !mailbox_name_ok(to))
		restore_end(k, ERR_SYNTAX, 0, NULL, NULL, NULL, 0);
	else
		account_find(c->st, account, on_account, k);
	return 0;
}
