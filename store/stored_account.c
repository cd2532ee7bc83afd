/* stored_account.c: accounts in memory. Runs in stored. An account is read whole (its header, names, subscriptions, and the headers
 * of its mailboxes) when it is first asked for; one that does not exist is made with INBOX and the special folders. It is put
 * away when nothing refers to it and many others are in memory. */
#include "store/stored_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { IDLE_MAX = 5000 };

struct waiter {
	struct waiter *next;
	account_fn fn;
	void *arg;
};
struct loading {
	struct waiter *first, **end;
	size_t left; /* headers of mailboxes being read */
	int err;
	bool make; /* what does not exist */
	struct account_op op;
};
struct head_read {
	struct account *a;
	struct mbox *m;
};

static void load_head(struct account *a);
static void load_rows(struct account *a, struct slice from);

/* ---- the tables ---- */

static unsigned
hash_str(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h % HASH_SIZE;
}

struct mbox *
mbox_find(struct stored *st, uint64_t id)
{
	struct mbox *m = st->mboxes[id % HASH_SIZE];

	while (m != NULL && m->id != id)
		m = m->next_hash;
	return m != NULL && m->acc->ready ? m : NULL;
}

struct mbox *
mbox_new(struct account *a, uint64_t id, struct slice name, uint32_t use)
{
	struct mbox *m = xcalloc(1, sizeof *m);

	m->acc = a;
	m->id = id;
	m->use = use;
	snprintf(m->object, sizeof m->object, "m.%016" PRIx64, id);
	m->name = slice_dup(name);
	if (m->name == NULL)
		fatal("no memory");
	buf_init(&m->raw, BACKEND_VALUE_MAX);
	m->end = &m->first;
	return m;
}

void
mbox_link(struct mbox *m)
{
	struct mbox **at = &m->acc->mboxes;
	struct stored *st = m->acc->st;

	while (*at != NULL && strcmp((*at)->name, m->name) < 0)
		at = &(*at)->next;
	m->next = *at;
	*at = m;
	m->acc->n_mboxes++;
	m->next_hash = st->mboxes[m->id % HASH_SIZE];
	st->mboxes[m->id % HASH_SIZE] = m;
}

void
mbox_unlink(struct mbox *m)
{
	struct mbox **at = &m->acc->mboxes;

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	m->acc->n_mboxes--;
	at = &m->acc->st->mboxes[m->id % HASH_SIZE];
	while (*at != m)
		at = &(*at)->next_hash;
	*at = m->next_hash;
}

void
mbox_bury(struct mbox *m)
{
	mbox_unlink(m);
	m->gone = true;
	m->next = m->acc->graveyard;
	m->acc->graveyard = m;
}

int
mbox_head_load(struct mbox *m, struct slice raw)
{
	buf_reset(&m->raw);
	buf_append_slice(&m->raw, raw);
	return m->raw.err != 0 ? m->raw.err : mbox_head_decode(buf_slice(&m->raw), &m->h);
}

void
mbox_head_set(struct mbox *m, struct slice raw)
{
	if (mbox_head_load(m, raw) != 0)
		fatal("stored: a header of our own cannot be read");
}

static void
mbox_free(struct mbox *m)
{
	assert(m->first == NULL && m->cycle == NULL && m->watches == NULL && m->moves == NULL);
	view_free(m);
	index_free(m);
	buf_done(&m->raw);
	free(m->name);
	free(m->buried_by);
	free(m);
}

struct mbox *
account_mbox(struct account *a, struct slice name)
{
	for (struct mbox *m = a->mboxes; m != NULL; m = m->next)
		if (slice_eq_str(name, m->name))
			return m;
	return NULL;
}

uint64_t
account_usage(const struct account *a)
{
	uint64_t n = 0;

	for (const struct mbox *m = a->mboxes; m != NULL; m = m->next)
		n += m->h.bytes;
	return n;
}

/* ---- life ---- */

static struct account *
account_new(struct stored *st, struct slice id)
{
	struct account *a = xcalloc(1, sizeof *a);
	unsigned h;

	a->st = st;
	memcpy(a->id, id.ptr, id.len);
	snprintf(a->object, sizeof a->object, "a.%s", a->id);
	buf_init(&a->raw, 256);
	a->ops_end = &a->ops;
	h = hash_str(a->id);
	a->next_hash = st->accounts[h];
	st->accounts[h] = a;
	st->n_accounts++;
	return a;
}

static void
account_free(struct account *a)
{
	struct account **at = &a->st->accounts[hash_str(a->id)];
	struct mbox *m;
	struct sub *s;

	assert(a->refs == 0 && a->ops == NULL);
	while (*at != a)
		at = &(*at)->next_hash;
	*at = a->next_hash;
	a->st->n_accounts--;
	while (a->mboxes != NULL)
		mbox_bury(a->mboxes);
	bury_free(a);
	holds_free(a);
	while ((m = a->graveyard) != NULL) {
		a->graveyard = m->next;
		mbox_free(m);
	}
	while ((s = a->subs) != NULL) {
		a->subs = s->next;
		free(s->name);
		free(s);
	}
	buf_done(&a->raw);
	free(a);
}

static void
idle_remove(struct account *a)
{
	struct stored *st = a->st;

	if (!a->is_idle)
		return;
	*(a->idle_prev != NULL ? &a->idle_prev->idle_next : &st->idle_first) = a->idle_next;
	*(a->idle_next != NULL ? &a->idle_next->idle_prev : &st->idle_last) = a->idle_prev;
	a->is_idle = false;
	st->n_idle--;
}

void
account_ref(struct account *a)
{
	a->refs++;
	idle_remove(a);
}

void
account_unref(struct account *a)
{
	struct stored *st = a->st;

	assert(a->refs > 0);
	if (--a->refs > 0)
		return;
	if (!a->ready) {
		account_free(a);
		return;
	}
	for (struct mbox *m = a->mboxes; m != NULL; m = m->next) {
		view_free(m);
		index_free(m);
	}
	a->idle_next = NULL;
	a->idle_prev = st->idle_last;
	*(st->idle_last != NULL ? &st->idle_last->idle_next : &st->idle_first) = a;
	st->idle_last = a;
	a->is_idle = true;
	st->n_idle++;
	while (st->n_idle > IDLE_MAX) {
		struct account *old = st->idle_first;

		idle_remove(old);
		account_free(old);
	}
}

/* ---- loading ---- */

static void
load_end(struct account *a, int err)
{
	struct loading *l = a->loading;
	struct waiter *w;

	a->loading = NULL;
	a->ready = err == 0;
	if (err != 0 && err != ERR_NOTFOUND) {
		/* Out of the table at once: the next one tries anew. The struct goes with the last reference. */
		log_msg(LOG_LVL_ERROR, "account_load", "%s: %s", a->id, err_name(err));
	}
	for (struct mbox *m = a->mboxes; m != NULL && err == 0; m = m->next) {
		moves_recover(m);
		kept_trim_maybe(m);
	}
	for (struct mbox *m = a->buried; m != NULL && err == 0; m = m->next)
		moves_recover(m);
	if (err == 0)
		bury_sweep(a);
	while ((w = l->first) != NULL) {
		l->first = w->next;
		w->fn(w->arg, err, err == 0 ? a : NULL);
		free(w);
	}
	free(l);
	account_unref(a);
}

static void
defaults_done(void *arg, int err)
{
	struct account *a = arg;

	account_op_end(&a->loading->op);
	load_end(a, err);
}

static uint32_t
special_use(struct slice name)
{
	static const struct {
		const char *name;
		uint32_t use;
	} uses[] = {{"Drafts", MBOX_DRAFTS}, {"Sent", MBOX_SENT}, {"Junk", MBOX_JUNK},
	    {"Trash", MBOX_TRASH}, {"Archive", MBOX_ARCHIVE}};

	for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++)
		if (slice_eq_str(name, uses[i].name))
			return uses[i].use;
	return 0;
}

static void
defaults_run(struct account_op *op)
{
	struct account *a = op->acc;
	struct stored *st = a->st;
	struct slice *names = xcalloc(st->n_special + 1, sizeof *names);
	uint32_t *uses = xcalloc(st->n_special + 1, sizeof *uses);
	struct naming n = {.make = names, .uses = uses, .subscribe = true};

	names[n.n_make++] = slice_str("INBOX");
	/* An account that lost only its INBOX (a crash in mid-change) keeps what its owner made of the rest. */
	for (size_t i = 0; i < st->n_special && a->n_mboxes == 0; i++) {
		uses[n.n_make] = special_use(st->special[i]);
		names[n.n_make++] = st->special[i];
	}
	names_change(op, &n, defaults_done, a);
	free(names);
	free(uses);
}

static void
load_heads_done(struct account *a)
{
	struct loading *l = a->loading;

	if (l->err != 0) {
		load_end(a, l->err);
	} else if (account_mbox(a, slice_str("INBOX")) == NULL) {
		l->op.run = defaults_run;
		account_op_start(a, &l->op);
	} else {
		load_end(a, 0);
	}
}

static void
on_mbox_head(void *arg, int err, struct slice value)
{
	struct head_read *hr = arg;
	struct account *a = hr->a;
	struct loading *l = a->loading;

	if (err == 0)
		err = mbox_head_load(hr->m, value);
	if (err == ERR_NOTFOUND && hr->m->buried_at != 0) {
		bury_lost(hr->m); /* a crash between its removal and that of its row */
	} else if (err == ERR_NOTFOUND) {
		log_msg(LOG_LVL_ERROR, "mailbox_lost", "%s: %s has a name and no rows", a->id,
		    hr->m->object);
		mbox_bury(hr->m);
	} else if (err == ERR_CORRUPT) { /* the others are there */
		log_msg(LOG_LVL_ERROR, "mailbox_damaged", "%s: the header of %s cannot be read",
		    a->id, hr->m->object);
		hr->m->damaged = true;
	} else if (err != 0) {
		l->err = err;
	}
	free(hr);
	if (--l->left == 0)
		load_heads_done(a);
}

static void
load_mbox_head(struct account *a, struct mbox *m)
{
	struct head_read *hr = xcalloc(1, sizeof *hr);

	hr->a = a;
	hr->m = m;
	a->loading->left++;
	must(
	    a->st->be->ops->get(a->st->be, slice_str(m->object), slice_str("h"), on_mbox_head, hr));
}

static void
load_heads(struct account *a)
{
	struct loading *l = a->loading;

	l->left = 1;
	for (struct mbox *m = a->mboxes; m != NULL; m = m->next)
		load_mbox_head(a, m);
	for (struct mbox *m = a->buried; m != NULL; m = m->next)
		load_mbox_head(a, m);
	if (--l->left == 0)
		load_heads_done(a);
}

/* A row that cannot be read is no reason to keep somebody from all mail: the mailbox has a name made of its number until it is repaired. */
static int
load_damaged(struct account *a, struct slice key)
{
	char name[40];
	uint64_t id;

	log_msg(LOG_LVL_ERROR, "name_damaged", "%s: row %.*s cannot be read", a->id, (int)key.len,
	    (const char *)key.ptr);
	if (slice_starts(key, "b/") && key_number(key, 16, &id) == 0) {
		snprintf(name, sizeof name, "Recovered-%016" PRIx64, id);
		mbox_link(mbox_new(a, id, slice_str(name), 0));
	}
	return 0;
}

static int
load_row(struct account *a, struct slice key, struct slice value)
{
	struct slice name;
	uint32_t use;
	uint64_t id;

	if (slice_starts(key, "l/b"))
		return bury_load(a, key, value);
	if (slice_starts(key, "l/h"))
		return hold_load(a, key, value);
	if (!slice_starts(key, "b/") && !slice_starts(key, "s/"))
		return 0;
	if (name_row_decode(value, &use, &name) != 0)
		return load_damaged(a, key);
	if (slice_starts(key, "s/")) {
		sub_set(a, name, true);
		return 0;
	}
	if (key_number(key, 16, &id) != 0)
		return ERR_CORRUPT;
	mbox_link(mbox_new(a, id, name, use));
	return 0;
}

static void
on_rows_loaded(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct account *a = arg;
	struct buf next;

	for (size_t i = 0; i < n && err == 0; i++)
		err = load_row(a, rows[i].key, rows[i].value);
	if (err != 0) {
		load_end(a, err);
	} else if (more) {
		buf_init(&next, BACKEND_KEY_MAX);
		buf_append_slice(&next, rows[n - 1].key);
		buf_append_byte(&next, '!'); /* the smallest printable: the next key */
		load_rows(a, buf_slice(&next));
		buf_done(&next);
	} else {
		load_heads(a);
	}
}

static void
load_rows(struct account *a, struct slice from)
{
	must(a->st->be->ops->scan(a->st->be, slice_str(a->object), from, slice_str(""),
	    BACKEND_SCAN_MAX, on_rows_loaded, a));
}

static void
on_created(void *arg, int err)
{
	struct account *a = arg;

	if (err == 0 || err == ERR_EXISTS)
		load_head(a);
	else
		load_end(a, err);
}

static void
on_head(void *arg, int err, struct slice value)
{
	struct account *a = arg;
	struct account_head h = {.seq = 1};
	struct buf b;

	if (err == ERR_NOTFOUND && a->loading->make) {
		buf_init(&b, 256);
		account_head_encode(&h, &b);
		must(a->st->be->ops->create(
		    a->st->be, slice_str(a->object), buf_slice(&b), on_created, a));
		buf_done(&b);
		return;
	}
	if (err == 0)
		err = account_head_decode(value, &a->h);
	if (err != 0) {
		load_end(a, err);
		return;
	}
	buf_reset(&a->raw);
	buf_append_slice(&a->raw, value);
	load_rows(a, slice_str("b/"));
}

static void
load_head(struct account *a)
{
	must(a->st->be->ops->get(a->st->be, slice_str(a->object), slice_str("h"), on_head, a));
}

static void
get(struct stored *st, struct slice id, bool make, account_fn fn, void *arg)
{
	struct account *a;
	struct waiter *w;

	if (!account_id_ok(id)) {
		fn(arg, ERR_SYNTAX, NULL);
		return;
	}
	{
		char name[ACCOUNT_ID_MAX + 1] = {0};

		memcpy(name, id.ptr, id.len);
		a = st->accounts[hash_str(name)];
		while (a != NULL && strcmp(a->id, name) != 0)
			a = a->next_hash;
	}
	if (a != NULL && a->ready) {
		account_ref(a);
		fn(arg, 0, a);
		account_unref(a);
		return;
	}
	if (a != NULL && a->loading == NULL) { /* its load failed a moment ago and is being told */
		fn(arg, ERR_TEMP, NULL);
		return;
	}
	w = xcalloc(1, sizeof *w);
	w->fn = fn;
	w->arg = arg;
	if (a == NULL) {
		a = account_new(st, id);
		account_ref(a);
		a->loading = xcalloc(1, sizeof *a->loading);
		a->loading->end = &a->loading->first;
		load_head(a);
	}
	*a->loading->end = w;
	a->loading->end = &w->next;
	if (make) /* also for those who only look for it and came before */
		a->loading->make = true;
}

void
account_get(struct stored *st, struct slice id, account_fn fn, void *arg)
{
	get(st, id, true, fn, arg);
}

void
account_find(struct stored *st, struct slice id, account_fn fn, void *arg)
{
	get(st, id, false, fn, arg);
}
