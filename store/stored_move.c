/* stored_move.c: MOVE (RFC 6851). Runs in stored. Nothing is atomic over two mailboxes, so a move is a copy and a removal under an operation id:
 *
 *   1. "i/<id>" in the source: what is meant, and where to
 *   2. the messages and "o/<id>" (which became which) in the destination, one batch; "o/<id>" must not be there
 *   3. the messages and "i/<id>" leave the source, one batch
 *
 * A stored that ended after 1 finds the intent when it reads the account again: with "o/<id>" it does 3, without it forgets the intent. A
 * request that comes again under its id finds "o/<id>" and ends in 3 as well. Moves out of a mailbox run one after the other, so that two of
 * them never take the same message.
 *
 * Undelete into another mailbox is the same (move_restore): out of a deleted mailbox, or of retained rows, which the intent (version 2)
 * then names by their mod-sequences, since the keys of step 3 are theirs. */
#include "store/stored_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { MOVE_MEM = 64 << 20 };

struct move {
	struct move *next;
	struct req r; /* conn NULL: found at start, or an undelete */
	struct mbox *from, *to;
	struct account *from_acc, *to_acc; /* held */
	struct arena *mem;
	unsigned char id[16];
	uint32_t mask;
	uint32_t *uids, *dst; /* beside each other once inserted */
	size_t n;
	uint32_t uidvalidity;
	bool noted;    /* the intent is in the source */
	bool left;     /* found at start */
	bool restores; /* an undelete */
	uint64_t *
	    mods; /* of retained rows: their removals, beside from_uids; NULL: messages are moved */
	uint32_t *from_uids;
	size_t n_from;
	struct kept_at *kept;
	struct slice by;
	moved_fn fn; /* or NULL */
	void *arg;
	int err; /* told when the intent is gone */
	struct slice to_account;
	uint64_t to_id;
};

static void move_go(struct move *k);
static void on_kept_source(void *arg, int err);

/* ---- the end ---- */

static void
answer(struct move *k, int err)
{
	struct buf b;

	if (k->fn != NULL) {
		k->fn(k->arg, err, k->uidvalidity, k->uids, k->dst, err == 0 ? k->n : 0);
		return;
	}
	if (k->r.conn == NULL) {
		if (err != 0)
			log_msg(LOG_LVL_WARN, "move", "%s: %s", k->from->object, err_name(err));
		return;
	}
	if (err != 0) {
		req_err(&k->r, err, "move");
		return;
	}
	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_u32(&b, k->uidvalidity);
	ipc_put_u32(&b, (uint32_t)k->n);
	for (size_t i = 0; i < k->n; i++) {
		ipc_put_u32(&b, k->uids[i]);
		ipc_put_u32(&b, k->dst[i]);
	}
	req_reply(&k->r, STORE_MOVED, &b);
}

static void
move_free(struct move *k)
{
	if (k->to_acc != NULL)
		account_unref(k->to_acc);
	account_unref(k->from_acc);
	arena_free(k->mem);
	free(k);
}

/* Tells, and the next one goes. */
static void
move_end(struct move *k, int err)
{
	struct mbox *m = k->from;

	m->moves = k->next;
	answer(k, err);
	if (m->moves != NULL)
		move_go(m->moves);
	move_free(k);
}

/* ---- the rows ---- */

static int
put_intent(const struct move *k, struct buf *b)
{
	ipc_put_u8(b, k->mods == NULL ? 1 : 2);
	ipc_put_i64(b, now_s());
	ipc_put_str(b, k->to->acc->id);
	ipc_put_u64(b, k->to->id);
	if (k->mods == NULL)
		return b->err;
	ipc_put_u32(b, (uint32_t)k->n_from);
	for (size_t i = 0; i < k->n_from; i++) {
		ipc_put_u64(b, k->mods[i]);
		ipc_put_u32(b, k->from_uids[i]);
	}
	return b->err;
}

/* Version 2: which retained rows. */
static int
get_sources(struct move *k, struct ipc_reader *r)
{
	uint32_t n = ipc_get_count(r, CHUNK, 12), last = 0;

	k->mods = arena_calloc(k->mem, (size_t)n + 1, sizeof *k->mods);
	k->from_uids = arena_calloc(k->mem, (size_t)n + 1, sizeof *k->from_uids);
	if (k->mods == NULL || k->from_uids == NULL)
		return ERR_NOMEM;
	for (k->n_from = 0; k->n_from < n; k->n_from++) {
		k->mods[k->n_from] = ipc_get_u64(r);
		k->from_uids[k->n_from] = ipc_get_u32(r);
		if (k->from_uids[k->n_from] <= last)
			return ERR_CORRUPT;
		last = k->from_uids[k->n_from];
	}
	k->restores = true;
	return 0;
}

static int
get_intent(struct move *k, struct slice v)
{
	struct ipc_reader r;
	unsigned version;
	int err;

	ipc_reader_init(&r, v);
	version = ipc_get_u8(&r);
	if (version != 1 && version != 2)
		return ERR_CORRUPT;
	(void)ipc_get_i64(&r);
	k->to_account = arena_slice(k->mem, ipc_get_slice(&r));
	k->to_id = ipc_get_u64(&r);
	if (version == 2 && (err = get_sources(k, &r)) != 0)
		return err;
	return ipc_reader_end(&r) != 0 ? ERR_CORRUPT : 0;
}

int
moved_row_encode(int64_t at, uint64_t from, uint32_t uidvalidity, const uint32_t *src,
    const struct new_msg *dst, size_t n, struct buf *b)
{
	ipc_put_u8(b, 1);
	ipc_put_i64(b, at);
	ipc_put_u64(b, from);
	ipc_put_u32(b, uidvalidity);
	ipc_put_u32(b, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		ipc_put_u32(b, src[i]);
		ipc_put_u32(b, dst[i].uid);
	}
	return b->err;
}

/* Which became which. */
static int
get_moved(struct move *k, struct slice v)
{
	struct ipc_reader r;
	uint32_t n, last = 0;

	ipc_reader_init(&r, v);
	if (ipc_get_u8(&r) != 1)
		return ERR_CORRUPT;
	(void)ipc_get_i64(&r);
	if (ipc_get_u64(&r) != k->from->id)
		return ERR_EXISTS; /* the id of a move out of elsewhere */
	k->uidvalidity = ipc_get_u32(&r);
	n = ipc_get_count(&r, CHUNK, 8);
	k->uids = arena_calloc(k->mem, (size_t)n + 1, sizeof *k->uids);
	k->dst = arena_calloc(k->mem, (size_t)n + 1, sizeof *k->dst);
	if (k->uids == NULL || k->dst == NULL)
		return ERR_NOMEM;
	for (k->n = 0; k->n < n; k->n++) {
		k->uids[k->n] = ipc_get_u32(&r);
		k->dst[k->n] = ipc_get_u32(&r);
		if (k->uids[k->n] <= last)
			return ERR_CORRUPT;
		last = k->uids[k->n];
	}
	return ipc_reader_end(&r) != 0 ? ERR_CORRUPT : 0;
}

int
moved_row_at(struct slice v, int64_t *at_out)
{
	struct ipc_reader r;

	ipc_reader_init(&r, v);
	if (ipc_get_u8(&r) != 1)
		return ERR_CORRUPT;
	*at_out = ipc_get_i64(&r);
	return r.err != 0 ? ERR_CORRUPT : 0;
}

/* ---- step 3 ---- */

static void
on_removed(struct op *op)
{
	struct move *k = op->arg;
	int err = op->err;

	op_free(op);
	/* A source that was deleted meanwhile holds nothing any more. */
	move_end(k, err == ERR_GONE ? k->err : err != 0 ? err : k->err);
}

/* The retained rows of the first n UIDs that were moved; both lists ascend. */
static struct kept_at *
sources_of(struct move *k, size_t n, size_t *n_out)
{
	struct kept_at *list = arena_calloc(k->mem, n + 1, sizeof *list);
	size_t found = 0;

	if (list == NULL)
		fatal("no memory");
	for (size_t i = 0, j = 0; i < n && j < k->n_from; j++)
		if (k->from_uids[j] == k->uids[i]) {
			list[found].uid = k->uids[i++];
			list[found++].modseq = k->mods[j];
		}
	*n_out = found;
	return list;
}

/* Removes the messages (none: only the intent). */
static void
remove_them(struct move *k, size_t n)
{
	struct op *op =
	    op_new(k->mods == NULL ? OP_EXPUNGE : OP_KEPT, k->from, 64 << 10, on_removed, k);
	char key[KEY_MAX];

	if (k->mods == NULL) {
		op->uids = k->uids;
		op->n_uids = n;
		op->why =
		    k->restores || (k->to_acc == k->from_acc && k->to_acc != NULL) ? 0 : KEPT_MOVED;
		op->by = k->by;
	} else {
		op->kept_how = KEPT_REMOVE;
		op->kept = sources_of(k, n, &op->n_kept);
	}
	if (k->noted)
		op->note_del = arena_slice(op->mem, key_id(key, 'i', k->id, sizeof k->id));
	op_start(op);
}

/* Nothing was moved: the intent goes, then err is told. */
static void
give_up(struct move *k, int err)
{
	k->err = err;
	if (k->noted)
		remove_them(k, 0);
	else
		move_end(k, err);
}

/* ---- step 2 ---- */

static void
on_inserted(struct op *op)
{
	struct move *k = op->arg;
	int err = op->err;

	if (err == 0) {
		k->uidvalidity = op->m->h.uidvalidity;
		k->dst = arena_calloc(k->mem, op->n_msgs + 1, sizeof *k->dst);
		if (k->dst == NULL)
			fatal("no memory");
		for (size_t i = 0; i < op->n_msgs; i++)
			k->dst[i] = op->msgs[i].uid;
	}
	op_free(op);
	if (err != 0)
		give_up(k, err);
	else
		remove_them(k, k->n);
}

static void
insert_them(struct move *k, const struct msg_row *rows)
{
	struct op *op = op_new(OP_INSERT, k->to, 16 << 20, on_inserted, k);
	char key[KEY_MAX];

	op->msgs = arena_calloc(op->mem, k->n, sizeof *op->msgs);
	if (op->msgs == NULL)
		fatal("no memory");
	op->n_msgs = k->n;
	for (size_t i = 0; i < k->n; i++) {
		op->msgs[i].row = rows[i]; /* its slices are in k->mem */
		op->msgs[i].row.flags &= k->mask;
		if ((k->mask & RIGHTS_KEYWORDS) == 0)
			op->msgs[i].row.keywords = slice_str("");
	}
	/* Restored mail takes room again. */
	op->within = k->to->acc == k->from->acc && !k->restores;
	op->moved_key = arena_slice(op->mem, key_id(key, 'o', k->id, sizeof k->id));
	op->uids = k->uids;
	op->moved_from = k->from->id;
	op_start(op);
}

/* ---- step 1 ---- */

struct noting {
	struct move *k;
	struct msg_row *rows;
};

static void
on_noted(struct op *op)
{
	struct noting *n = op->arg;
	struct move *k = n->k;
	int err = op->err;

	op_free(op);
	k->noted = err == 0;
	if (err != 0)
		move_end(k, err);
	else
		insert_them(k, n->rows);
}

static void
on_source(void *arg, int err, struct msg_row *rows, size_t n)
{
	struct move *k = arg;
	struct noting *note;
	struct op *op;
	char key[KEY_MAX];
	struct buf b;

	k->n = n;
	if (err != 0 || n == 0) {
		k->uidvalidity = k->to->h.uidvalidity;
		give_up(k, err);
		return;
	}
	for (size_t i = 0; i < n; i++)
		k->uids[i] = rows[i].uid;
	note = arena_alloc(k->mem, sizeof *note);
	if (note == NULL)
		fatal("no memory");
	*note = (struct noting){k, rows};
	op = op_new(OP_NOTE, k->from, 64 << 10, on_noted, note);
	buf_init(&b, 32768);
	put_intent(k, &b);
	op->note_key = arena_slice(op->mem, key_id(key, 'i', k->id, sizeof k->id));
	op->note_value = arena_slice(op->mem, buf_slice(&b));
	buf_done(&b);
	op_start(op);
}

/* Retained rows that are still there, as messages. */
static void
on_kept_source(void *arg, int err)
{
	struct move *k = arg;
	struct msg_row *rows = arena_calloc(k->mem, k->n_from + 1, sizeof *rows);
	size_t n = 0;

	if (rows == NULL)
		fatal("no memory");
	for (size_t i = 0; i < k->n_from && err == 0; i++)
		if (k->kept[i].there)
			rows[n++] = k->kept[i].row;
	on_source(k, err, rows, n);
}

int
note_build(struct op *op, struct cycle *c)
{
	int err = cycle_absent(c, op->note_key);

	if (err == 0)
		err = cycle_put(c, op->note_key, op->note_value);
	c->h.moves++;
	return err;
}

/* ---- step 0: whether it was done before ---- */

static void
on_moved_row(void *arg, int err, struct slice v)
{
	struct move *k = arg;
	bool found = err == 0;

	if (found)
		err = get_moved(k, v);
	else if (err == ERR_NOTFOUND || err == ERR_GONE)
		err = 0;
	if (err != 0)
		move_end(k, err); /* an intent stays for another time */
	else if (found)
		remove_them(k, k->n);
	else if (k->left)
		give_up(k, 0); /* nothing of it came about */
	else if (k->mods != NULL)
		kept_read(k->from, k->kept, k->n_from, k->mem, on_kept_source, k);
	else
		rows_read(k->from, k->uids, k->n, k->mem, on_source, k);
}

static void
ask_destination(struct move *k)
{
	struct backend *be = k->to->acc->st->be;
	char key[KEY_MAX];

	must(be->ops->get(
	    be, slice_str(k->to->object), key_id(key, 'o', k->id, sizeof k->id), on_moved_row, k));
}

static void
on_to_account(void *arg, int err, struct account *a)
{
	struct move *k = arg;

	if (err != 0) {
		move_end(k, err);
		return;
	}
	k->to_acc = a;
	account_ref(a);
	k->to = mbox_find(a->st, k->to_id);
	if (k->to == NULL || k->to->acc != a)
		give_up(k, 0); /* deleted: what was not moved before stays */
	else
		ask_destination(k);
}

static void
move_go(struct move *k)
{
	if (k->to != NULL)
		ask_destination(k);
	else
		account_get(k->from->acc->st, k->to_account, on_to_account, k);
}

static void
enqueue(struct move *k)
{
	struct move **at = &k->from->moves;

	while (*at != NULL)
		at = &(*at)->next;
	*at = k;
	if (k->from->moves == k)
		move_go(k);
}

static struct move *
move_new(struct mbox *from)
{
	struct move *k = xcalloc(1, sizeof *k);

	k->mem = arena_new(MOVE_MEM);
	if (k->mem == NULL)
		fatal("no memory");
	k->from = from;
	k->from_acc = from->acc;
	account_ref(from->acc);
	return k;
}

/* ---- what was left ---- */

static void
on_intents(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct mbox *m = arg;
	struct account *a = m->acc;
	struct move *list = NULL, **end = &list, *k;

	for (size_t i = 0; i < n && err == 0; i++) {
		k = move_new(m);
		k->noted = k->left = true;
		if (rows[i].key.len != 2 + 2 * sizeof k->id ||
		    id_of_key(rows[i].key, k->id, sizeof k->id) != 0 ||
		    get_intent(k, rows[i].value) != 0) {
			log_msg(LOG_LVL_ERROR, "move", "%s: an intent cannot be read", m->object);
			move_free(k);
			continue;
		}
		*end = k;
		end = &k->next;
	}
	if (err != 0)
		log_msg(LOG_LVL_ERROR, "move", "%s: %s", m->object, err_name(err));
	(void)more; /* a mailbox has one at a time; more than a thousand wait for the next load */
	/* Before what came meanwhile. */
	k = m->moves;
	*end = k->next;
	m->moves = list;
	free(k);
	if (m->moves != NULL)
		move_go(m->moves);
	account_unref(a);
}

void
moves_recover(struct mbox *m)
{
	struct backend *be = m->acc->st->be;

	if (m->h.moves == 0 || m->moves != NULL)
		return;
	account_ref(m->acc);
	m->moves = xcalloc(1, sizeof *m->moves); /* keeps others waiting */
	must(be->ops->scan(be, slice_str(m->object), slice_str("i/"), slice_str("i0"),
	    BACKEND_SCAN_MAX, on_intents, m));
}

/* ---- undelete ---- */

void
move_restore(struct mbox *from, struct mbox *to, const uint64_t *mods, const uint32_t *uids,
    size_t n, const unsigned char id[16], moved_fn fn, void *arg)
{
	struct move *k = move_new(from);

	k->restores = true;
	k->fn = fn;
	k->arg = arg;
	k->mask = ~(uint32_t)MSG_DELETED;
	memcpy(k->id, id, sizeof k->id);
	k->to = to;
	k->to_acc = to->acc;
	account_ref(to->acc);
	k->uids = arena_calloc(k->mem, n + 1, sizeof *k->uids);
	if (k->uids == NULL)
		fatal("no memory");
	memcpy(k->uids, uids, n * sizeof *uids);
	k->n = k->n_from = n;
	if (mods != NULL) {
		k->mods = arena_calloc(k->mem, n + 1, sizeof *k->mods);
		k->from_uids = arena_calloc(k->mem, n + 1, sizeof *k->from_uids);
		k->kept = arena_calloc(k->mem, n + 1, sizeof *k->kept);
		if (k->mods == NULL || k->from_uids == NULL || k->kept == NULL)
			fatal("no memory");
		memcpy(k->mods, mods, n * sizeof *mods);
		memcpy(k->from_uids, uids, n * sizeof *uids);
		for (size_t i = 0; i < n; i++)
			k->kept[i] = (struct kept_at){.modseq = mods[i], .uid = uids[i]};
	}
	moves_recover(from);
	enqueue(k);
}

/* ---- the request ---- */

int
on_move(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	int err;
	struct session *s = session_of(c, id, r, &err);
	uint64_t mailbox = ipc_get_u64(r), to = ipc_get_u64(r);
	struct slice op_id = ipc_get_slice(r);
	uint32_t n = ipc_get_count(r, IPC_FRAME_MAX / 4, 4);
	const char *rights, *to_rights;
	struct mbox *m, *dst;
	struct move *k;

	if (s == NULL)
		return err;
	if (r->err != 0 || op_id.len != sizeof k->id)
		return ERR_PROTO;
	if ((err = session_mbox(s, mailbox, "rte", &m, &rights)) != 0 ||
	    (err = session_mbox(s, to, "i", &dst, &to_rights)) != 0 ||
	    (err = n > CHUNK ? ERR_LIMIT : 0) != 0) {
		(void)ipc_reply_err(c->ipc, id, err, "move");
		return 0;
	}
	k = move_new(m);
	k->uids = arena_calloc(k->mem, (size_t)n + 1, sizeof *k->uids);
	if (k->uids == NULL)
		fatal("no memory");
	if (uids_read(r, n, k->uids) == 0)
		k->n = n;
	if (ipc_reader_end(r) != 0) {
		move_free(k);
		return ERR_PROTO;
	}
	memcpy(k->id, op_id.ptr, sizeof k->id);
	k->to = dst;
	k->to_acc = dst->acc;
	account_ref(dst->acc);
	k->mask = rights_flags(to_rights);
	k->by = arena_slice(k->mem, slice_sub(slice_str(s->login), 0, KEPT_BY_MAX));
	req_init(&k->r, c->st, c->ipc, id, m->acc);
	moves_recover(m); /* a removal that failed before */
	enqueue(k);
	return 0;
}
