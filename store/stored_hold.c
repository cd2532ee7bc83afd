/* stored_hold.c: legal holds. Runs in stored. A hold is a row "l/h<number>" of the account, which cites a decision and stays as a record when
 * it is over. While one is in force nothing of the account's mail leaves the store: what is expunged, or moved to another account, becomes a
 * retained row whatever undelete_days says, deleted mailboxes keep their objects, nothing retained is trimmed. Users see no
 * difference. Who is held stands in the registry as well ("h/<account>"), so that all of them can be named. */
#include "store/stored_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { HOLDS_MAX = 1000 };

bool
account_is_held(const struct account *a)
{
	int64_t now = now_s();

	for (const struct hold *h = a->holds; h != NULL; h = h->next)
		if (hold_row_holds(&h->row, now))
			return true;
	return false;
}

/* The hold of that number with a new value, made when there is none. */
static int
hold_set(struct account *a, uint64_t number, struct slice value)
{
	struct hold **at = &a->holds, *h;
	struct hold_row row;

	if (hold_row_decode(value, &row) != 0)
		return ERR_CORRUPT;
	while (*at != NULL && (*at)->number < number)
		at = &(*at)->next;
	if (*at == NULL || (*at)->number != number) {
		h = xcalloc(1, sizeof *h);
		h->number = number;
		buf_init(&h->raw, BACKEND_VALUE_MAX);
		h->next = *at;
		*at = h;
	}
	h = *at;
	buf_reset(&h->raw);
	buf_append_slice(&h->raw, value);
	return hold_row_decode(buf_slice(&h->raw), &h->row);
}

int
hold_load(struct account *a, struct slice key, struct slice value)
{
	uint64_t number;
	int err = key_number(slice_from(key, 1), 16, &number);

	return err != 0 ? err : hold_set(a, number, value);
}

void
holds_free(struct account *a)
{
	struct hold *h;

	while ((h = a->holds) != NULL) {
		a->holds = h->next;
		buf_done(&h->raw);
		free(h);
	}
}

/* ---- congvu mailbox hold, release, holds ---- */

enum hold_what { HOLD_SET = 1, HOLD_RELEASE = 2, HOLD_LIST = 3, HOLD_LIST_ALL = 4 };
enum { HOLD_MEM = 1 << 20, ACCOUNTS_STEP = 100 };

struct hold_ask {
	struct account_op op;
	struct req r;
	struct stored *st;
	struct arena *mem;
	enum hold_what what;
	struct slice decision, by, reason, of;
	int64_t until;
	/* what is committed */
	struct kv_pair *puts;
	uint64_t *numbers;
	size_t n_puts;
	/* HOLD_LIST_ALL */
	struct slice *objects;
	size_t n_objects, at;
	bool more;
	struct buf list;
	uint32_t n_list;
};

static void
ask_end(struct hold_ask *k, int err, struct slice next)
{
	struct buf b;

	if (err != 0) {
		req_err(&k->r, err, "hold");
	} else {
		buf_init(&b, IPC_FRAME_MAX);
		ipc_put_slice(&b, next);
		ipc_put_u32(&b, k->n_list);
		buf_append_slice(&b, buf_slice(&k->list));
		if (k->list.err != 0)
			b.err = k->list.err;
		req_reply(&k->r, STORE_HOLDS_ARE, &b);
	}
	buf_done(&k->list);
	arena_free(k->mem);
	free(k);
}

static void
put_hold(struct hold_ask *k, struct slice account, uint64_t number, const struct hold_row *h)
{
	struct buf *b = &k->list;

	ipc_put_slice(b, account);
	ipc_put_u64(b, number);
	ipc_put_u8(b, hold_row_holds(h, now_s()));
	ipc_put_i64(b, h->at);
	ipc_put_i64(b, h->until);
	ipc_put_slice(b, h->decision);
	ipc_put_slice(b, h->by);
	ipc_put_slice(b, h->reason);
	ipc_put_i64(b, h->released_at);
	ipc_put_slice(b, h->release_decision);
	ipc_put_slice(b, h->released_by);
	k->n_list++;
}

static void
list_holds(struct hold_ask *k, const struct account *a)
{
	for (const struct hold *h = a->holds; h != NULL; h = h->next)
		put_hold(k, slice_str(a->id), h->number, &h->row);
}

static void
log_hold(const struct hold_ask *k, const struct account *a, const struct hold *h)
{
	struct log_line l;

	log_begin(&l, LOG_LVL_INFO, k->what == HOLD_SET ? "legal_hold" : "legal_hold_released");
	log_str(&l, "account", a->id);
	log_u64(&l, "hold", h->number);
	log_slice(&l, "decision", k->decision);
	log_slice(&l, "by", k->by);
	log_i64(&l, "until", h->row.until);
	log_end(&l);
}

static void
on_holds_committed(void *arg, int err)
{
	struct hold_ask *k = arg;
	struct account *a = k->op.acc;

	for (size_t i = 0; i < k->n_puts && err == 0; i++)
		err = hold_set(a, k->numbers[i], k->puts[i].value);
	for (const struct hold *h = a->holds; h != NULL && err == 0; h = h->next)
		for (size_t i = 0; i < k->n_puts; i++)
			if (k->numbers[i] == h->number)
				log_hold(k, a, h);
	if (err == 0) {
		list_holds(k, a);
		for (struct mbox *m = a->mboxes; m != NULL; m = m->next)
			kept_trim_maybe(m);
		bury_sweep(a);
	}
	account_op_end(&k->op);
	ask_end(k, err, slice_str(""));
}

static void
put_row(struct hold_ask *k, uint64_t number, const struct hold_row *row)
{
	char key[KEY_MAX];
	struct buf b;
	int n = snprintf(key, sizeof key, "l/h%016" PRIx64, number);

	buf_init(&b, BACKEND_VALUE_MAX);
	hold_row_encode(row, &b);
	k->numbers[k->n_puts] = number;
	k->puts[k->n_puts].key = arena_slice(k->mem, slice_of(key, (size_t)n));
	k->puts[k->n_puts++].value = arena_slice(k->mem, buf_slice(&b));
	buf_done(&b);
}

static void
change_run(struct account_op *op)
{
	struct hold_ask *k = (struct hold_ask *)op;
	struct account *a = op->acc;
	int64_t now = now_s();
	uint64_t last = 0;
	size_t n = 0;

	for (const struct hold *h = a->holds; h != NULL; h = h->next, n++)
		last = h->number;
	k->puts = arena_calloc(k->mem, n + 1, sizeof *k->puts);
	k->numbers = arena_calloc(k->mem, n + 1, sizeof *k->numbers);
	if (k->puts == NULL || k->numbers == NULL)
		fatal("no memory");
	if (k->what == HOLD_SET && n < HOLDS_MAX) {
		struct hold_row row = {.at = now,
		    .until = k->until,
		    .decision = k->decision,
		    .by = k->by,
		    .reason = k->reason};

		put_row(k, last + 1, &row);
	}
	for (const struct hold *h = a->holds; h != NULL && k->what == HOLD_RELEASE; h = h->next) {
		struct hold_row row = h->row;

		if (!hold_row_holds(&row, now) || (k->of.len > 0 && !slice_eq(k->of, row.decision)))
			continue;
		row.released_at = now;
		row.release_decision = k->decision;
		row.released_by = k->by;
		put_row(k, h->number, &row);
	}
	if (k->n_puts == 0) {
		account_op_end(op);
		ask_end(k, k->what == HOLD_SET ? ERR_LIMIT : ERR_NOTFOUND, slice_str(""));
		return;
	}
	account_commit(op, &a->h, k->puts, k->n_puts, NULL, 0, on_holds_committed, k);
}

static void
on_hold_account(void *arg, int err, struct account *a)
{
	struct hold_ask *k = arg;

	if (err != 0 || k->what == HOLD_LIST) {
		if (err == 0)
			list_holds(k, a);
		ask_end(k, err, slice_str(""));
		return;
	}
	account_ref(a);
	k->r.acc = a;
	k->op.run = change_run;
	account_op_start(a, &k->op);
}

/* ---- of all accounts: their rows are read where they are, so nothing can be forgotten in a list of its own ---- */

static void list_next(struct hold_ask *k);

static void
on_hold_rows(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct hold_ask *k = arg;
	struct hold_row row;
	uint64_t number;

	(void)more; /* HOLDS_MAX of them */
	for (size_t i = 0; i < n && err == 0; i++) {
		err = key_number(slice_from(rows[i].key, 1), 16, &number);
		if (err == 0)
			err = hold_row_decode(rows[i].value, &row);
		if (err == 0)
			put_hold(k, slice_from(k->objects[k->at], 2), number, &row);
	}
	if (err != 0) {
		ask_end(k, err, slice_str(""));
		return;
	}
	k->at++;
	list_next(k);
}

static void
list_next(struct hold_ask *k)
{
	struct backend *be = k->st->be;

	if (k->at < k->n_objects)
		must(be->ops->scan(be, k->objects[k->at], slice_str("l/h"), slice_str("l/i"),
		    BACKEND_SCAN_MAX, on_hold_rows, k));
	else
		ask_end(k, 0,
		    k->more && k->n_objects > 0 ? slice_from(k->objects[k->n_objects - 1], 2)
						: slice_str(""));
}

static void
on_objects(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct hold_ask *k = arg;

	if (err != 0) {
		ask_end(k, err, slice_str(""));
		return;
	}
	k->objects = arena_calloc(k->mem, n + 1, sizeof *k->objects);
	if (k->objects == NULL)
		fatal("no memory");
	for (size_t i = 0; i < n; i++)
		k->objects[k->n_objects++] = arena_slice(k->mem, rows[i].key);
	k->more = more;
	list_next(k);
}

static void
list_all(struct hold_ask *k, struct slice after)
{
	struct backend *be = k->st->be;
	struct buf b;

	buf_init(&b, BACKEND_OBJECT_MAX);
	if (after.len > 0) {
		buf_append_str(&b, "a.");
		buf_append_slice(&b, after);
	}
	must(be->ops->objects(be, slice_str("a."), buf_slice(&b), ACCOUNTS_STEP, on_objects, k));
	buf_done(&b);
}

int
on_hold(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct hold_ask *k = xcalloc(1, sizeof *k);
	struct slice account;
	int err = 0;

	k->mem = arena_new(HOLD_MEM);
	if (k->mem == NULL)
		fatal("no memory");
	k->st = c->st;
	k->what = (enum hold_what)ipc_get_u8(r);
	account = ipc_get_slice(r);
	k->until = ipc_get_i64(r);
	k->decision = arena_slice(k->mem, ipc_get_slice(r));
	k->by = arena_slice(k->mem, ipc_get_slice(r));
	k->reason = arena_slice(k->mem, ipc_get_slice(r));
	k->of = arena_slice(k->mem, ipc_get_slice(r));
	if (ipc_reader_end(r) != 0 || k->what < HOLD_SET || k->what > HOLD_LIST_ALL ||
	    (account.len > 0 && !account_id_ok(account))) {
		arena_free(k->mem);
		free(k);
		return ERR_PROTO;
	}
	req_init(&k->r, c->st, c->ipc, id, NULL);
	buf_init(&k->list, IPC_FRAME_MAX);
	if (k->what <= HOLD_RELEASE && (k->decision.len == 0 || k->by.len == 0))
		err = ERR_SYNTAX;
	else if (k->decision.len > KEPT_TEXT_MAX || k->reason.len > KEPT_TEXT_MAX ||
		 k->by.len > KEPT_BY_MAX)
		err = ERR_LIMIT;
	if (err != 0)
		ask_end(k, err, slice_str(""));
	else if (k->what == HOLD_LIST_ALL)
		list_all(k, account);
	else if (k->what == HOLD_SET) /* also of who never had mail */
		account_get(c->st, account, on_hold_account, k);
	else
		account_find(c->st, account, on_hold_account, k);
	return 0;
}
