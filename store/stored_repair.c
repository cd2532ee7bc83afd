/* stored_repair.c: the task "repair": what a check found is mended where nothing is lost by it. Runs in stored; the walk and the reading are those
 * of the task "check" (stored_task_check.c, stored_check_*.c).
 *
 * Mended: a header's counts, made anew from the rows; a header that cannot be read, made anew from the rows with a new UIDVALIDITY, so that no
 * client's cache is taken for right; change rows, made anew from the messages'; rows of deliveries and removals that cannot be read, dropped (the
 * mailbox then says that removals up to there are forgotten); names and subscriptions that cannot be read (a mailbox gets a name of its number).
 * Not mended: a message whose own row or body is bad. It stays where it is, with its UID and flags; its text is refused with a clear NO until it
 * is restored from a backup or its owner deletes it. A repair never removes a message.
 *
 * The mailbox is held: no batch of its own begins until all is written, in batches of some hundred rows, each conditional on the header that the
 * reading saw. A crash in between leaves a mailbox that the next repair finds and mends. */
#include "store/stored_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { BATCH = 400, MEND_MEM = 4 << 20 };

struct mend {
	struct check *k;
	struct account *acc;
	struct mbox *m;
	struct op *hold;  /* NULL: the header is bad, and nothing happens to the mailbox anyway */
	size_t i, j, bad; /* how far: messages, changes, bad keys */
	struct arena *mem;
	struct kv_pair *puts;
	struct slice *dels;
	size_t n_puts, n_dels;
	uint64_t put, dropped;
	struct slice raw; /* the header as it will be */
	bool last;
};

static void mend_step(struct mend *r);

static void
mend_end(struct mend *r, int err, const char *code)
{
	struct check *k = r->k;
	struct json *f = check_finding_new(k, err == 0 ? CHECK_NOTE : CHECK_WARNING, code);

	if (err == 0) {
		json_set_int(f, "rows", (int64_t)r->put);
		json_set_int(f, "dropped", (int64_t)r->dropped);
		k->sums.mended++;
	} else {
		json_set_str(f, "why", err_name(err));
	}
	check_emit_take(k, f);
	if (r->hold != NULL) {
		r->hold->arg = NULL;
		hold_release(r->hold, false);
	}
	if (r->acc != NULL)
		account_unref(r->acc);
	arena_free(r->mem);
	free(r);
	check_mbox_over(k);
}

static void
mend_put(struct mend *r, struct slice key, struct slice value)
{
	r->puts[r->n_puts].key = arena_slice(r->mem, key);
	r->puts[r->n_puts].value = arena_slice(r->mem, value);
	r->n_puts++;
}

static void
mend_del(struct mend *r, struct slice key)
{
	r->dels[r->n_dels++] = arena_slice(r->mem, key);
}

static void
put_change(struct mend *r, const struct check_msg *msg)
{
	struct change_row c = {.uid = msg->uid, .flags = msg->flags, .size = msg->size};
	char key[KEY_MAX];
	struct buf b;

	buf_init(&b, 64);
	change_row_encode(&c, &b);
	mend_put(r, key_u64(key, 'c', msg->modseq), buf_slice(&b));
	buf_done(&b);
}

/* The next changes of a batch: change rows against messages, then rows that cannot be read. */
static void
gather(struct mend *r)
{
	struct check_mbox_run *m = r->k->run;
	char key[KEY_MAX];

	while ((r->i < m->n_msgs || r->j < m->n_changes) && r->n_puts + r->n_dels < BATCH) {
		const struct check_msg *a = r->i < m->n_msgs ? &m->msgs[r->i] : NULL;
		const struct check_msg *b = r->j < m->n_changes ? &m->changes[r->j] : NULL;

		if (b == NULL || (a != NULL && a->modseq < b->modseq)) {
			put_change(r, a);
			r->i++;
		} else if (a == NULL || b->modseq < a->modseq) {
			if (!check_is_unread(m, b->uid))
				mend_del(r, key_u64(key, 'c', b->modseq));
			r->j++;
		} else {
			if (a->uid != b->uid || a->flags != b->flags || a->size != b->size)
				put_change(r, a);
			r->i++;
			r->j++;
		}
	}
	while (r->bad < m->bad_keys.len && r->n_puts + r->n_dels < BATCH) {
		struct slice bad = slice_str((const char *)m->bad_keys.data + r->bad);
		uint64_t modseq = 0;
		bool again = false;

		/* one that was just made anew from its message is not dropped */
		if (bad.ptr[0] == 'c' && key_number(bad, 16, &modseq) == 0)
			for (size_t i = 0; i < m->n_msgs && !again; i++)
				again = m->msgs[i].modseq == modseq;
		if (!again)
			mend_del(r, bad);
		r->bad += bad.len + 1;
	}
	r->last = r->i == m->n_msgs && r->j == m->n_changes && r->bad == m->bad_keys.len;
}

/* The header that fits the rows. */
static int
make_head(struct mend *r)
{
	const struct check_mbox_run *m = r->k->run;
	struct mbox_head h = m->h;
	uint32_t now = (uint32_t)now_s();
	struct buf b;
	int err;

	h.messages = m->seen.messages;
	h.unseen = m->seen.unseen;
	h.deleted = m->seen.deleted;
	h.bytes = m->seen.bytes;
	h.deleted_bytes = m->seen.deleted_bytes;
	h.moves = m->seen.moves;
	h.history = m->seen.history - m->bad_expunged;
	h.kept = m->seen.kept;
	h.kept_bytes = m->seen.kept_bytes;
	h.recent = h.recent < h.messages ? h.recent : h.messages;
	h.uidnext = h.uidnext > m->max_uid ? h.uidnext : m->max_uid + 1;
	h.modseq = h.modseq > m->max_modseq ? h.modseq : m->max_modseq;
	h.forgotten = h.forgotten > m->bad_modseq ? h.forgotten : m->bad_modseq;
	if (m->head_bad) {
		h.uidnext = m->max_given + 1 > h.uidnext ? m->max_given + 1 : h.uidnext;
		h.recent_from = h.uidnext;
		h.account = slice_str(r->acc->id);
		h.keywords = buf_slice(&m->keywords);
		h.uidvalidity = now > r->acc->h.uidvalidity ? now : r->acc->h.uidvalidity + 1;
		h.modseq++; /* whatever the lost one was, clients read everything anew */
	}
	buf_init(&b, BACKEND_VALUE_MAX);
	err = mbox_head_encode(&h, &b);
	r->raw = arena_slice(r->mem, buf_slice(&b));
	buf_done(&b);
	return err != 0 ? err : r->raw.ptr == NULL ? ERR_LIMIT : 0;
}

static void
on_mended(void *arg, int err)
{
	struct mend *r = arg;

	if (err != 0) {
		mend_end(r, err, "mend_failed");
		return;
	}
	r->put += r->n_puts;
	r->dropped += r->n_dels;
	if (!r->last) {
		mend_step(r);
		return;
	}
	mbox_head_set(r->m, r->raw);
	r->m->damaged = false;
	view_free(r->m);
	mend_end(r, 0, "mended");
}

static void
mend_step(struct mend *r)
{
	struct backend *be = r->k->t->st->be;
	const struct check_mbox_run *m = r->k->run;
	struct backend_batch b = {
	    .object = slice_str(m->object), .expect = buf_slice(&m->raw), .mend = m->head_bad};
	int err;

	arena_reset(r->mem);
	r->puts = arena_calloc(r->mem, BATCH + 2, sizeof *r->puts);
	r->dels = arena_calloc(r->mem, BATCH + 2, sizeof *r->dels);
	if (r->puts == NULL || r->dels == NULL)
		fatal("no memory");
	r->n_puts = r->n_dels = 0;
	gather(r);
	if (r->last) {
		if ((err = make_head(r)) != 0) {
			mend_end(r, err, "mend_failed");
			return;
		}
		mend_put(r, slice_str("h"), r->raw);
	}
	b.puts = r->puts;
	b.n_puts = r->n_puts;
	b.dels = r->dels;
	b.n_dels = r->n_dels;
	must(be->ops->batch(be, &b, on_mended, r));
}

static void
on_held(struct op *op)
{
	struct mend *r = op->arg;

	r->hold = op;
	if (!slice_eq(buf_slice(&r->m->raw), buf_slice(&r->k->run->raw)))
		mend_end(r, ERR_CONFLICT, "mend_failed"); /* it changed since: the next repair */
	else
		mend_step(r);
}

static void
on_hold_over(struct op *op)
{
	struct mend *r = op->arg;

	int err = op->err;

	op_free(op);
	if (r != NULL) /* it never began */
		mend_end(r, err != 0 ? err : ERR_GONE, "mend_failed");
}

static void
on_account(void *arg, int err, struct account *a)
{
	struct mend *r = arg;
	struct check *k = r->k;
	struct op *hold;

	if (err == 0) {
		account_ref(a);
		r->acc = a;
		r->m = mbox_find(k->t->st, k->boxes[k->at_box].id);
	}
	if (err == 0 && (r->m == NULL || r->m->gone || r->m->acc != a))
		err = ERR_GONE;
	if (err == 0 && k->run->head_bad != r->m->damaged)
		err = ERR_CONFLICT;
	if (err != 0) {
		mend_end(r, err, "mend_failed");
		return;
	}
	if (k->run->head_bad) {
		mend_step(r);
		return;
	}
	hold = op_new(OP_HOLD, r->m, 4096, on_hold_over, r);
	hold->held = on_held;
	op_start(hold);
}

void
check_mend(struct check *k)
{
	struct mend *r;

	if (k->dry_run) {
		check_emit_take(k, check_finding_new(k, CHECK_NOTE, "would_mend"));
		k->sums.mended++;
		check_mbox_over(k);
		return;
	}
	r = xcalloc(1, sizeof *r);
	r->k = k;
	r->mem = arena_new(MEND_MEM);
	if (r->mem == NULL)
		fatal("no memory");
	account_get(k->t->st, slice_str(k->account), on_account, r);
}

/* ---- rows of an account ---- */

struct amend {
	struct account_op op;
	struct check *k;
	struct account *acc;
	struct arena *mem;
};

static void
amend_end(struct amend *r, int err)
{
	struct check *k = r->k;
	struct json *f = check_finding_new(
	    k, err == 0 ? CHECK_NOTE : CHECK_WARNING, err == 0 ? "mended" : "mend_failed");

	if (err != 0)
		json_set_str(f, "why", err_name(err));
	k->sums.mended += err == 0;
	check_emit_take(k, f);
	if (r->acc != NULL)
		account_unref(r->acc);
	arena_free(r->mem);
	free(r);
	k->at_box = 0;
	task_next(k->t);
}

static void
on_amended(void *arg, int err)
{
	struct amend *r = arg;

	account_op_end(&r->op);
	amend_end(r, err);
}

/* A mailbox has the name it is called by in memory; a subscription cannot be known any more. */
static void
amend_run(struct account_op *op)
{
	struct amend *r = (struct amend *)((char *)op - offsetof(struct amend, op));
	const struct buf *bad = &r->k->bad_keys;
	size_t max = bad->len / 3 + 1, n_puts = 0, n_dels = 0;
	struct kv_pair *puts = arena_calloc(r->mem, max, sizeof *puts);
	struct slice *dels = arena_calloc(r->mem, max, sizeof *dels);
	struct account_head h = op->acc->h;

	if (puts == NULL || dels == NULL)
		fatal("no memory");
	for (size_t at = 0; at < bad->len && n_puts + n_dels < BATCH;) {
		struct slice key = slice_str((const char *)bad->data + at);
		const struct mbox *m = NULL;
		uint64_t id;
		struct buf b;

		at += key.len + 1;
		if (key.ptr[0] == 's')
			dels[n_dels++] = key;
		else if (key_number(key, 16, &id) == 0)
			m = mbox_find(op->acc->st, id);
		if (m == NULL || m->acc != op->acc)
			continue;
		buf_init(&b, BACKEND_VALUE_MAX);
		name_row_encode(m->use, slice_str(m->name), &b);
		puts[n_puts].key = key;
		puts[n_puts++].value = arena_slice(r->mem, buf_slice(&b));
		buf_done(&b);
	}
	account_commit(op, &h, puts, n_puts, dels, n_dels, on_amended, r);
}

static void
on_account_rows_bad(void *arg, int err, struct account *a)
{
	struct amend *r = arg;

	if (err != 0) {
		amend_end(r, err);
		return;
	}
	account_ref(a);
	r->acc = a;
	r->op.run = amend_run;
	account_op_start(a, &r->op);
}

void
check_mend_account(struct check *k)
{
	struct amend *r;

	if (k->dry_run) {
		check_emit_take(k, check_finding_new(k, CHECK_NOTE, "would_mend"));
		k->sums.mended++;
		k->at_box = 0;
		task_next(k->t);
		return;
	}
	r = xcalloc(1, sizeof *r);
	r->k = k;
	r->mem = arena_new(MEND_MEM);
	if (r->mem == NULL)
		fatal("no memory");
	account_get(k->t->st, slice_str(k->account), on_account_rows_bad, r);
}

/* Without it the account cannot be used at all. Its epoch is learned again from the next ticket (stored_session.c). */
void
check_mend_account_head(struct check *k, backend_done_fn fn)
{
	struct account_head h = {.uidvalidity = (uint32_t)now_s(), .seq = (uint64_t)now_s()};
	struct kv_pair put = {slice_str("h"), {NULL, 0}};
	struct backend *be = k->t->st->be;
	struct buf object, b;

	buf_init(&object, BACKEND_OBJECT_MAX);
	buf_init(&b, 256);
	buf_appendf(&object, "a.%s", k->account);
	account_head_encode(&h, &b);
	put.value = buf_slice(&b);
	must(be->ops->batch(be,
	    &(struct backend_batch){.object = buf_slice(&object),
		.expect = slice_str(""),
		.puts = &put,
		.n_puts = 1,
		.mend = true},
	    fn, k));
	buf_done(&object);
	buf_done(&b);
}
