/* stored_names.c: changes of an account's own rows: names of mailboxes, subscriptions, epoch. Runs in stored. One change of an account
 * at a time. A new mailbox's own object is made first, then its name; so a crash between leaves an object that nothing names. */
#include "store/stored_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

/* ---- one change at a time ---- */

void
account_op_start(struct account *a, struct account_op *op)
{
	bool first = a->ops == NULL;

	account_ref(a);
	op->acc = a;
	op->next = NULL;
	*a->ops_end = op;
	a->ops_end = &op->next;
	if (first)
		op->run(op);
}

void
account_op_end(struct account_op *op)
{
	struct account *a = op->acc;

	assert(a->ops == op);
	a->ops = op->next;
	if (a->ops == NULL)
		a->ops_end = &a->ops;
	else
		a->ops->run(a->ops);
	account_unref(a);
}

struct commit {
	struct account *a;
	struct account_head h;
	struct buf raw;
	backend_done_fn fn;
	void *arg;
};

static void
on_committed(void *arg, int err)
{
	struct commit *c = arg;
	struct account *a = c->a;

	if (err == ERR_CONFLICT || err == ERR_UNKNOWN || err == ERR_GONE)
		fatal("stored: account %s is not as it was left (%s): reading everything anew",
		    a->id, err_name(err));
	if (err == 0) {
		a->h = c->h;
		buf_reset(&a->raw);
		buf_append_slice(&a->raw, buf_slice(&c->raw));
	}
	c->fn(c->arg, err);
	buf_done(&c->raw);
	free(c);
}

void
account_commit(struct account_op *op, const struct account_head *h, const struct kv_pair *puts,
    size_t n_puts, const struct slice *dels, size_t n_dels, backend_done_fn fn, void *arg)
{
	struct account *a = op->acc;
	struct commit *c = xcalloc(1, sizeof *c);
	struct kv_pair *all = xcalloc(n_puts + 1, sizeof *all);
	struct backend_batch b = {.object = slice_str(a->object),
	    .expect = buf_slice(&a->raw),
	    .puts = all,
	    .n_puts = n_puts + 1,
	    .dels = dels,
	    .n_dels = n_dels};

	c->a = a;
	c->fn = fn;
	c->arg = arg;
	c->h = *h;
	c->h.seq = a->h.seq + 1;
	buf_init(&c->raw, 256);
	account_head_encode(&c->h, &c->raw);
	all[0] = (struct kv_pair){slice_str("h"), buf_slice(&c->raw)};
	if (n_puts > 0)
		memcpy(all + 1, puts, n_puts * sizeof *puts);
	must(a->st->be->ops->batch(a->st->be, &b, on_committed, c));
	free(all);
}

/* ---- subscriptions in memory ---- */

struct slice
sub_key(char *out, struct slice name)
{
	unsigned char sha[32];

	sha256_of(name, sha);
	return key_id(out, 's', sha, 16);
}

void
sub_set(struct account *a, struct slice name, bool on)
{
	struct sub **at = &a->subs, *s;

	while (*at != NULL && slice_cmp(slice_str((*at)->name), name) < 0)
		at = &(*at)->next;
	if (*at != NULL && slice_eq_str(name, (*at)->name)) {
		if (on)
			return;
		s = *at;
		*at = s->next;
		free(s->name);
		free(s);
		a->n_subs--;
	} else if (on) {
		s = xcalloc(1, sizeof *s);
		s->name = slice_dup(name);
		if (s->name == NULL)
			fatal("no memory");
		s->next = *at;
		*at = s;
		a->n_subs++;
	}
}

/* ---- names ---- */

struct made {
	struct names *n;
	struct mbox *m;
	struct buf raw;
	unsigned tries;
};
struct names {
	struct account_op *op;
	struct account_head h;
	struct arena *mem;
	struct made *made;
	size_t n_made;
	struct mbox **rename;
	struct slice *rename_to;
	size_t n_rename;
	bool subscribe;
	struct mbox *seen_from;
	struct buf seen_at; /* where the next page of its deliveries begins */
	size_t left;
	int err;
	backend_done_fn fn;
	void *arg;
};

static void
names_end(struct names *n, int err)
{
	backend_done_fn fn = n->fn;
	void *arg = n->arg;

	for (size_t i = 0; i < n->n_made; i++) {
		struct made *d = &n->made[i];

		if (err == 0) {
			mbox_head_set(d->m, buf_slice(&d->raw));
			mbox_link(d->m);
			if (n->subscribe)
				sub_set(d->m->acc, slice_str(d->m->name), true);
		} else {
			buf_done(&d->m->raw);
			free(d->m->name);
			free(d->m);
		}
		buf_done(&d->raw);
	}
	for (size_t i = 0; i < n->n_rename && err == 0; i++) {
		struct mbox *m = n->rename[i];

		mbox_unlink(m);
		free(m->name);
		m->name = slice_dup(n->rename_to[i]);
		if (m->name == NULL)
			fatal("no memory");
		mbox_link(m);
	}
	if (err == 0 && n->n_made + n->n_rename > 0)
		names_changed(n->op->acc->st);
	buf_done(&n->seen_at);
	arena_free(n->mem);
	free(n);
	fn(arg, err);
}

static void
on_names_committed(void *arg, int err)
{
	names_end(arg, err);
}

static struct kv_pair
name_put(struct names *n, struct slice key, uint32_t use, struct slice name)
{
	struct buf b;
	struct kv_pair p;

	buf_init(&b, 2048);
	name_row_encode(use, name, &b);
	p.key = arena_slice(n->mem, key);
	p.value = arena_slice(n->mem, buf_slice(&b));
	buf_done(&b);
	return p;
}

static void
names_commit(struct names *n)
{
	size_t max = 2 * n->n_made + n->n_rename, np = 0;
	struct kv_pair *puts = xcalloc(max + 1, sizeof *puts);
	char key[KEY_MAX];

	for (size_t i = 0; i < n->n_made; i++) {
		struct mbox *m = n->made[i].m;
		struct slice name = slice_str(m->name);

		puts[np++] = name_put(n, key_u64(key, 'b', m->id), m->use, name);
		if (n->subscribe)
			puts[np++] = name_put(n, sub_key(key, name), 0, name);
	}
	for (size_t i = 0; i < n->n_rename; i++)
		puts[np++] = name_put(
		    n, key_u64(key, 'b', n->rename[i]->id), n->rename[i]->use, n->rename_to[i]);
	account_commit(n->op, &n->h, puts, np, NULL, 0, on_names_committed, n);
	free(puts);
}

static void make_object(struct made *d);
static void copy_seen(struct names *n);

static void
on_object(void *arg, int err)
{
	struct made *d = arg;
	struct names *n = d->n;

	if (err == ERR_EXISTS && d->tries++ < 10) { /* the number was taken */
		make_object(d);
		return;
	}
	if (err != 0)
		n->err = err;
	if (--n->left > 0)
		return;
	if (n->err != 0)
		names_end(n, n->err);
	else if (n->seen_from != NULL)
		copy_seen(n);
	else
		names_commit(n);
}

static void
on_seen_copied(void *arg, int err)
{
	struct names *n = arg;

	if (err != 0)
		names_end(n, err == ERR_CONFLICT || err == ERR_UNKNOWN ? ERR_TEMP : err);
	else if (n->seen_at.len > 0)
		copy_seen(n);
	else
		names_commit(n);
}

static void
on_seen_rows(void *arg, int err, const struct kv_pair *rows, size_t n_rows, bool more)
{
	struct names *n = arg;
	struct backend *be = n->op->acc->st->be;
	struct made *d = &n->made[n->n_made - 1];
	struct backend_batch b = {.object = slice_str(d->m->object),
	    .expect = buf_slice(&d->raw),
	    .puts = rows,
	    .n_puts = n_rows};

	buf_reset(&n->seen_at);
	if (err != 0 || n_rows == 0) {
		on_seen_copied(n, err);
		return;
	}
	if (more) {
		buf_append_slice(&n->seen_at, rows[n_rows - 1].key);
		buf_append_byte(&n->seen_at, '!');
	}
	must(be->ops->batch(be, &b, on_seen_copied, n));
}

/* RENAME of INBOX: a delivery that comes again must find its first copy, though the messages bear another name now. */
static void
copy_seen(struct names *n)
{
	struct backend *be = n->op->acc->st->be;

	must(be->ops->scan(be, slice_str(n->seen_from->object),
	    n->seen_at.len > 0 ? buf_slice(&n->seen_at) : slice_str("d/"), slice_str("d0"),
	    BACKEND_SCAN_MAX, on_seen_rows, n));
}

static void
make_object(struct made *d)
{
	struct account *a = d->n->op->acc;
	struct mbox *m = d->m;

	if (d->tries > 0) {
		struct mbox *again;
		uint64_t id;

		random_bytes(&id, sizeof id);
		again = mbox_new(a, id | 1, slice_str(m->name), m->use);
		buf_done(&m->raw);
		free(m->name);
		free(m);
		d->m = m = again;
	}
	must(a->st->be->ops->create(
	    a->st->be, slice_str(m->object), buf_slice(&d->raw), on_object, d));
}

void
names_change(struct account_op *op, const struct naming *what, backend_done_fn fn, void *arg)
{
	struct account *a = op->acc;
	struct names *n = xcalloc(1, sizeof *n);
	uint32_t now = (uint32_t)now_s();

	n->op = op;
	n->h = a->h;
	n->fn = fn;
	n->arg = arg;
	n->subscribe = what->subscribe;
	n->seen_from = what->seen_from;
	buf_init(&n->seen_at, BACKEND_KEY_MAX);
	n->n_made = what->n_make;
	n->n_rename = what->n_rename;
	n->mem = arena_new((size_t)64 << 20);
	n->made = arena_calloc(n->mem, what->n_make + 1, sizeof *n->made);
	n->rename = arena_calloc(n->mem, what->n_rename + 1, sizeof(struct mbox *));
	n->rename_to = arena_calloc(n->mem, what->n_rename + 1, sizeof *n->rename_to);
	if (n->made == NULL || n->rename == NULL || n->rename_to == NULL)
		fatal("no memory");
	for (size_t i = 0; i < what->n_rename; i++) {
		n->rename[i] = what->rename[i];
		n->rename_to[i] = arena_slice(n->mem, what->rename_to[i]);
	}
	n->left = 1;
	for (size_t i = 0; i < what->n_make; i++) {
		struct made *d = &n->made[i];
		struct mbox_head h = {.uidnext = 1, .modseq = 1, .recent_from = 1};
		uint64_t id;

		random_bytes(&id, sizeof id);
		d->n = n;
		d->m = mbox_new(a, id | 1, what->make[i], what->uses[i]);
		/* RFC 3501 2.3.1.1: a name that comes again gets a greater value than any before. */
		n->h.uidvalidity = n->h.uidvalidity >= now ? n->h.uidvalidity + 1 : now;
		h.uidvalidity = n->h.uidvalidity;
		h.account = slice_str(a->id);
		buf_init(&d->raw, BACKEND_VALUE_MAX);
		mbox_head_encode(&h, &d->raw);
		n->left++;
		make_object(d);
	}
	if (--n->left == 0)
		names_commit(n);
}
