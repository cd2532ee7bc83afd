/* stored_mailbox.c: CREATE, DELETE, RENAME, SUBSCRIBE (RFC 3501 6.3.3 to 6.3.7). Runs in stored. Each is one change of the account's rows;
 * names are judged again when its turn comes. Rights: RFC 4314 4 ("k" to create, "x" to delete and rename). */
#include "store/stored_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/utf7.h"

enum { WHAT_MEM = 4 << 20, DEPTH_MAX = NAME_DEPTH_MAX };

struct change {
	struct account_op op;
	struct req r;
	struct arena *mem;
	struct slice name;
	uint32_t use;
	uint64_t mailbox;
	bool on;
	struct op *hold; /* RENAME of INBOX */
	/* DELETE: who, and when it was kept; 0: not */
	struct slice by;
	int64_t kept_at;
};

static struct change *
change_new(struct conn *c, uint32_t id, struct account *a, void (*run)(struct account_op *op))
{
	struct change *k = xcalloc(1, sizeof *k);

	k->op.run = run;
	k->mem = arena_new(WHAT_MEM);
	if (k->mem == NULL)
		fatal("no memory");
	req_init(&k->r, c->st, c->ipc, id, a);
	return k;
}

/* The operation is over; the answer goes out. */
static void
change_end(struct change *k, int err)
{
	account_op_end(&k->op);
	if (err == 0)
		req_ok(&k->r);
	else
		req_err(&k->r, err, "mailbox");
	arena_free(k->mem);
	free(k);
}

static void
on_changed(void *arg, int err)
{
	change_end(arg, err);
}

/* Refused before there is an operation. */
static int
refuse(struct conn *c, uint32_t id, int err)
{
	if (err == ERR_PROTO)
		return ERR_PROTO;
	(void)ipc_reply_err(c->ipc, id, err, "mailbox");
	return 0;
}

/* "INBOX" in any case is INBOX (RFC 3501 5.1). */
static struct slice
canonical(struct slice name, struct arena *mem)
{
	return slice_caseeq_str(name, "INBOX") ? slice_str("INBOX") : arena_slice(mem, name);
}

size_t
names_missing(struct account *a, struct slice name, struct slice names[NAME_DEPTH_MAX])
{
	size_t n = 0;

	for (size_t i = 1; i <= name.len && n < DEPTH_MAX; i++) {
		struct slice part = slice_sub(name, 0, i);

		if ((i == name.len || name.ptr[i] == '/') && account_mbox(a, part) == NULL)
			names[n++] = part;
	}
	return n;
}

/* ---- create ---- */

static void
create_run(struct account_op *op)
{
	struct change *k = (struct change *)op;
	struct slice names[DEPTH_MAX];
	uint32_t uses[DEPTH_MAX] = {0};
	struct naming n = {.make = names, .uses = uses};

	if (account_mbox(op->acc, k->name) != NULL) {
		change_end(k, ERR_EXISTS);
		return;
	}
	/* One mailbox for a use: clients would take either (RFC 6154 3). */
	for (const struct mbox *m = op->acc->mboxes; m != NULL; m = m->next)
		if ((m->use & k->use) != 0) {
			change_end(k, ERR_CONFLICT);
			return;
		}
	n.n_make = names_missing(op->acc, k->name, names);
	if (op->acc->n_mboxes + n.n_make > MBOXES_MAX) {
		change_end(k, ERR_LIMIT);
		return;
	}
	uses[n.n_make - 1] = k->use;
	names_change(op, &n, on_changed, k);
}

int
on_create(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	int err;
	struct session *s = session_of(c, id, r, &err);
	struct slice account = ipc_get_slice(r), name = ipc_get_slice(r);
	uint32_t use = ipc_get_u32(r);
	struct session_account *sa;
	struct change *k;

	if (s == NULL)
		return err;
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	if ((err = session_account(s, account, "k", &sa)) != 0 ||
	    (err = mailbox_name_ok(name) ? 0 : ERR_SYNTAX) != 0)
		return refuse(c, id, err);
	k = change_new(c, id, sa->acc, create_run);
	k->name = canonical(name, k->mem);
	k->use = use & 0xff;
	account_op_start(sa->acc, &k->op);
	return 0;
}

/* ---- delete ---- */

static void
on_name_gone(void *arg, int err)
{
	struct change *k = arg;
	struct mbox *m = k->r.m;

	if (err == 0 && !m->gone) {
		m->buried_at = k->kept_at;
		m->buried_by = slice_dup(k->by);
		mbox_bury(m);
		names_changed(m->acc->st);
		watch_tell_gone(m);
		if (m->cycle == NULL) /* else the end of the batch in flight does it */
			mbox_fail_waiting(m, ERR_GONE);
	}
	change_end(k, err);
}

static void
delete_run(struct account_op *op)
{
	struct change *k = (struct change *)op;
	struct account *a = op->acc;
	char key[KEY_MAX], kept_key[KEY_MAX];
	struct kv_pair kept = {.key = {NULL, 0}};
	struct slice del;
	struct buf b;
	int err = 0;

	k->r.m = mbox_find(a->st, k->mailbox);
	if (k->r.m == NULL) {
		change_end(k, ERR_NOTFOUND);
		return;
	}
	buf_init(&b, 4096);
	if (account_keeps(a)) {
		k->kept_at = age_from_s();
		err = bury_row(a, k->r.m, k->by, k->kept_at, kept_key, &kept.key, &b);
		kept.value = buf_slice(&b);
	}
	del = key_u64(key, 'b', k->mailbox);
	if (err != 0)
		change_end(k, err);
	else
		account_commit(op, &a->h, &kept, kept.key.len > 0, &del, 1, on_name_gone, k);
	buf_done(&b);
}

int
on_delete(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	int err;
	struct session *s = session_of(c, id, r, &err);
	uint64_t mailbox = ipc_get_u64(r);
	const char *rights;
	struct change *k;
	struct mbox *m;

	if (s == NULL)
		return err;
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	if ((err = session_mbox(s, mailbox, "x", &m, &rights)) != 0 ||
	    (err = strcmp(m->name, "INBOX") == 0 ? ERR_DENIED : 0) != 0)
		return refuse(c, id, err);
	k = change_new(c, id, m->acc, delete_run);
	k->mailbox = mailbox;
	k->by = arena_slice(k->mem, slice_str(s->login));
	account_op_start(m->acc, &k->op);
	return 0;
}

/* ---- rename ---- */

static bool
is_below(const char *name, const char *parent)
{
	size_t n = strlen(parent);

	return strncmp(name, parent, n) == 0 && name[n] == '/';
}

/* m and all below it move. INBOX moves alone and comes into being again, empty. */
static int
rename_plan(struct change *k, struct mbox *m, struct mbox **list, struct slice *to, size_t *n_out)
{
	size_t n = 0, old = strlen(m->name);
	bool inbox = strcmp(m->name, "INBOX") == 0;

	for (struct mbox *o = m->acc->mboxes; o != NULL; o = o->next) {
		struct buf b;

		if (o != m && (inbox || !is_below(o->name, m->name)))
			continue;
		buf_init(&b, NAME_MAX_LEN);
		buf_append_slice(&b, k->name);
		buf_append_str(&b, o->name + old);
		list[n] = o;
		to[n] = arena_slice(k->mem, buf_slice(&b));
		if (b.err != 0 || to[n].ptr == NULL) {
			buf_done(&b);
			return ERR_LIMIT;
		}
		buf_done(&b);
		if (account_mbox(m->acc, to[n]) != NULL)
			return ERR_EXISTS;
		n++;
	}
	*n_out = n;
	return 0;
}

static void
on_renamed(void *arg, int err)
{
	struct change *k = arg;
	struct op *hold = k->hold;

	change_end(k, err);
	if (hold != NULL)
		hold_release(hold, err == 0);
}

static void
rename_go(struct change *k, struct mbox *m)
{
	struct account *a = m->acc;
	struct slice names[DEPTH_MAX + 1];
	uint32_t uses[DEPTH_MAX + 1] = {0};
	struct mbox **list = arena_calloc(k->mem, a->n_mboxes + 1, sizeof(struct mbox *));
	struct slice *to = arena_calloc(k->mem, a->n_mboxes + 1, sizeof *to);
	struct naming n = {.make = names, .uses = uses, .rename = list, .rename_to = to};
	int err = list == NULL || to == NULL ? ERR_LIMIT : 0;

	if (err == 0)
		err = rename_plan(k, m, list, to, &n.n_rename);
	if (err != 0) {
		on_renamed(k, err);
		return;
	}
	n.n_make = names_missing(a, k->name, names);
	n.n_make--; /* the name itself is the renamed one */
	if (strcmp(m->name, "INBOX") == 0) {
		names[n.n_make++] = slice_str("INBOX");
		n.seen_from = m;
	}
	names_change(&k->op, &n, on_renamed, k);
}

static void
on_held(struct op *op)
{
	struct change *k = op->arg;

	k->hold = op;
	rename_go(k, op->m);
}

static void
on_hold_over(struct op *op)
{
	struct change *k = op->arg;

	if (op->err == ERR_GONE) /* before it began */
		change_end(k, op->err);
	op_free(op);
}

static void
rename_run(struct account_op *op)
{
	struct change *k = (struct change *)op;
	struct mbox *m = mbox_find(op->acc->st, k->mailbox);
	struct op *hold;

	if (m == NULL) {
		change_end(k, ERR_NOTFOUND);
	} else if (strcmp(m->name, "INBOX") != 0) {
		rename_go(k, m);
	} else {
		/* no delivery between the copy of those seen and the new name */
		hold = op_new(OP_HOLD, m, 4096, on_hold_over, k);
		hold->held = on_held;
		op_start(hold);
	}
}

int
on_rename(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	int err;
	struct session *s = session_of(c, id, r, &err);
	uint64_t mailbox = ipc_get_u64(r);
	struct slice name = ipc_get_slice(r);
	const char *rights;
	struct change *k;
	struct mbox *m;
	size_t old;

	if (s == NULL)
		return err;
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	if ((err = session_mbox(s, mailbox, "xk", &m, &rights)) != 0 ||
	    (err = mailbox_name_ok(name) ? 0 : ERR_SYNTAX) != 0)
		return refuse(c, id, err);
	/* Not into itself, where INBOX does not take its children along. */
	old = strlen(m->name);
	if (strcmp(m->name, "INBOX") != 0 && name.len > old &&
	    memcmp(name.ptr, m->name, old) == 0 && name.ptr[old] == '/')
		return refuse(c, id, ERR_SYNTAX);
	k = change_new(c, id, m->acc, rename_run);
	k->mailbox = mailbox;
	k->name = canonical(name, k->mem);
	account_op_start(m->acc, &k->op);
	return 0;
}

/* ---- subscriptions ---- */

static void
on_subscribed(void *arg, int err)
{
	struct change *k = arg;

	if (err == 0)
		sub_set(k->op.acc, k->name, k->on);
	change_end(k, err);
}

static void
subscribe_run(struct account_op *op)
{
	struct change *k = (struct change *)op;
	char key[KEY_MAX];
	struct kv_pair put;
	struct slice at = sub_key(key, k->name);
	struct buf b;

	if (k->on && op->acc->n_subs >= SUBS_MAX) {
		change_end(k, ERR_LIMIT);
		return;
	}
	buf_init(&b, 2048);
	name_row_encode(0, k->name, &b);
	put = (struct kv_pair){at, buf_slice(&b)};
	account_commit(op, &op->acc->h, &put, k->on, &at, !k->on, on_subscribed, k);
	buf_done(&b);
}

int
on_subscribe(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	int err;
	struct session *s = session_of(c, id, r, &err);
	struct slice account = ipc_get_slice(r), name = ipc_get_slice(r);
	bool on = ipc_get_u8(r) != 0;
	struct session_account *sa;
	struct change *k;

	if (s == NULL)
		return err;
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	if ((err = session_account(s, account, "l", &sa)) != 0 ||
	    (err = mailbox_name_ok(name) ? 0 : ERR_SYNTAX) != 0)
		return refuse(c, id, err);
	k = change_new(c, id, sa->acc, subscribe_run);
	k->name = canonical(name, k->mem);
	k->on = on;
	account_op_start(sa->acc, &k->op);
	return 0;
}
