/* stored_view.c: what changed in a mailbox after a mod-sequence, and the compact view of all its messages (uid, flags, modseq). Runs in
 * stored. Both read the change rows, which are small: one for each message, by its last mod-sequence, and one for each batch of
 * removals. The view is kept with the mailbox and brought up to date by the changes since. */
#include "store/stored_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { CHANGED_MAX = 20000, EXPUNGED_MAX = 40000 };

struct changes {
	struct mbox *m;
	uint64_t since, upto;
	struct buf changed, expunged; /* struct store_uid; uint32_t */
	bool more;
	changes_fn fn;
	void *arg;
};

static void scan_changed(struct changes *k, struct slice from);
static void scan_expunged(struct changes *k, struct slice from);

static void
changes_end(struct changes *k, int err)
{
	struct account *a = k->m->acc;

	k->fn(k->arg, err, k->upto, k->more, k->m->h.forgotten,
	    (const struct store_uid *)(const void *)k->changed.data,
	    k->changed.len / sizeof(struct store_uid),
	    (const uint32_t *)(const void *)k->expunged.data, k->expunged.len / sizeof(uint32_t));
	buf_done(&k->changed);
	buf_done(&k->expunged);
	free(k);
	account_unref(a);
}

/* The first key behind one that was read. */
static void
next_key(struct buf *b, struct slice key)
{
	buf_init(b, BACKEND_KEY_MAX);
	buf_append_slice(b, key);
	buf_append_byte(b, '!');
}

/* Nothing after upto is told: the next call begins there. */
static void
cut_changed(struct changes *k)
{
	while (k->changed.len > 0) {
		struct store_uid u;

		memcpy(&u, k->changed.data + k->changed.len - sizeof u, sizeof u);
		if (u.modseq <= k->upto)
			break;
		buf_truncate(&k->changed, k->changed.len - sizeof u);
	}
}

static void
on_expunged(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct changes *k = arg;
	struct buf from;
	uint64_t modseq = 0;
	size_t i;

	for (i = 0; i < n && err == 0 && k->expunged.len / sizeof(uint32_t) < EXPUNGED_MAX; i++) {
		err = key_number(rows[i].key, 16, &modseq);
		if (err == 0)
			err = expunged_row_decode(rows[i].value, &k->expunged);
	}
	if (err == 0 && i < n) {
		k->upto = modseq;
		k->more = true;
		cut_changed(k);
	} else if (err == 0 && more) {
		next_key(&from, rows[n - 1].key);
		scan_expunged(k, buf_slice(&from));
		buf_done(&from);
		return;
	}
	changes_end(k, err);
}

static void
scan_expunged(struct changes *k, struct slice from)
{
	struct backend *be = k->m->acc->st->be;
	char to[KEY_MAX];

	must(be->ops->scan(be, slice_str(k->m->object), from, key_u64(to, 'x', k->upto + 1),
	    BACKEND_SCAN_MAX, on_expunged, k));
}

static void
on_changed(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct changes *k = arg;
	struct change_row c;
	struct buf from;
	char key[KEY_MAX];

	for (size_t i = 0; i < n && err == 0; i++) {
		struct store_uid u;

		err = change_row_decode(rows[i].key, rows[i].value, &c);
		u = (struct store_uid){.uid = c.uid, .flags = c.flags, .modseq = c.modseq};
		if (err == 0)
			err = buf_append(&k->changed, &u, sizeof u);
	}
	if (err != 0) {
		changes_end(k, err);
		return;
	}
	if (more && k->changed.len / sizeof(struct store_uid) < CHANGED_MAX) {
		next_key(&from, rows[n - 1].key);
		scan_changed(k, buf_slice(&from));
		buf_done(&from);
		return;
	}
	if (more) {
		k->more = true;
		k->upto = c.modseq;
	}
	if (k->since == 0) /* who knows nothing yet need not hear what is gone */
		changes_end(k, 0);
	else
		scan_expunged(k, key_u64(key, 'x', k->since + 1));
}

static void
scan_changed(struct changes *k, struct slice from)
{
	struct backend *be = k->m->acc->st->be;
	char to[KEY_MAX];

	must(be->ops->scan(be, slice_str(k->m->object), from, key_u64(to, 'c', k->upto + 1),
	    BACKEND_SCAN_MAX, on_changed, k));
}

/* Up to the header as committed now. A message that changes again while this reads is left out: its new row is behind upto. */
void
changes_read(struct mbox *m, uint64_t since, changes_fn fn, void *arg)
{
	struct changes *k;
	char key[KEY_MAX];

	if (since >= m->h.modseq) {
		fn(arg, 0, m->h.modseq, false, m->h.forgotten, NULL, 0, NULL, 0);
		return;
	}
	k = xcalloc(1, sizeof *k);
	account_ref(m->acc);
	k->m = m;
	k->since = since;
	k->upto = m->h.modseq;
	k->fn = fn;
	k->arg = arg;
	buf_init(&k->changed, (size_t)(CHANGED_MAX + BACKEND_SCAN_MAX) * sizeof(struct store_uid));
	buf_init(&k->expunged, (size_t)(EXPUNGED_MAX + 20000) * sizeof(uint32_t));
	scan_changed(k, key_u64(key, 'c', since + 1));
}

/* ---- the view ---- */

struct asking {
	struct asking *next;
	view_fn fn;
	void *arg;
};
struct view {
	struct mbox *m;
	struct store_uid *u; /* by uid */
	size_t n, alloc;
	uint64_t modseq;
	uint64_t base; /* the mailbox's when the view was begun: removals before it do not matter */
	bool reading, joined; /* joined: somebody came while it was being read */
	struct asking *first;
};

static int
by_uid(const void *a, const void *b)
{
	uint32_t x = ((const struct store_uid *)a)->uid, y = ((const struct store_uid *)b)->uid;

	return x < y ? -1 : x > y;
}

static struct store_uid *
find(struct view *v, size_t n, uint32_t uid)
{
	struct store_uid key = {.uid = uid};

	return n == 0 ? NULL : bsearch(&key, v->u, n, sizeof key, by_uid);
}

static void
merge(struct view *v, const struct store_uid *changed, size_t n_changed, const uint32_t *expunged,
    size_t n_expunged)
{
	size_t sorted = v->n, k = 0;

	if (v->n + n_changed > v->alloc) {
		v->alloc = v->n + n_changed + v->n / 4;
		v->u = xrealloc(v->u, (v->alloc + 1) * sizeof *v->u);
	}
	for (size_t i = 0; i < n_changed; i++) {
		struct store_uid *u = find(v, sorted, changed[i].uid);

		if (u != NULL)
			*u = changed[i];
		else
			v->u[v->n++] = changed[i];
	}
	if (v->n > sorted)
		qsort(v->u, v->n, sizeof *v->u, by_uid);
	for (size_t i = 0; i < n_expunged; i++) {
		struct store_uid *u = find(v, v->n, expunged[i]);

		if (u != NULL)
			u->modseq = 0; /* marked: UIDs never come again */
	}
	for (size_t i = 0; i < v->n && n_expunged > 0; i++)
		if (v->u[i].modseq != 0)
			v->u[k++] = v->u[i];
	if (n_expunged > 0)
		v->n = k;
}

static void on_view_changes(void *arg, int err, uint64_t highest, bool more, uint64_t forgotten,
    const struct store_uid *changed, size_t n_changed, const uint32_t *expunged, size_t n_expunged);

static void
view_end(struct view *v, int err)
{
	struct mbox *m = v->m;
	struct asking *list = v->first, *a;

	if (err == 0 && v->joined && v->modseq < m->h.modseq) {
		v->joined = false;
		changes_read(m, v->modseq, on_view_changes, v);
		return;
	}
	v->joined = false;
	v->first = NULL;
	v->reading = false;
	account_ref(m->acc);
	while ((a = list) != NULL) {
		list = a->next;
		a->fn(a->arg, err, v->u, err == 0 ? v->n : 0);
		free(a);
	}
	if (err != 0)
		view_free(m);
	account_unref(m->acc);
}

static void
on_view_changes(void *arg, int err, uint64_t highest, bool more, uint64_t forgotten,
    const struct store_uid *changed, size_t n_changed, const uint32_t *expunged, size_t n_expunged)
{
	struct view *v = arg;

	if (err == 0 && forgotten > v->modseq && forgotten > v->base) {
		/* Removals since then are not remembered: everything anew. */
		v->n = 0;
		v->modseq = 0;
		v->base = v->m->h.modseq;
		changes_read(v->m, 0, on_view_changes, v);
		return;
	}
	if (err == 0) {
		merge(v, changed, n_changed, expunged, n_expunged);
		v->modseq = highest;
	}
	if (err == 0 && more)
		changes_read(v->m, highest, on_view_changes, v);
	else
		view_end(v, err);
}

void
view_get(struct mbox *m, bool fresh, view_fn fn, void *arg)
{
	struct view *v = m->view;
	struct asking *a;

	if (v == NULL) {
		v = m->view = xcalloc(1, sizeof *v);
		v->m = m;
		v->base = m->h.modseq;
		fresh = true;
	}
	if (!v->reading && (!fresh || v->modseq == m->h.modseq)) {
		fn(arg, 0, v->u, v->n);
		return;
	}
	a = xcalloc(1, sizeof *a);
	a->fn = fn;
	a->arg = arg;
	a->next = v->first;
	v->first = a;
	v->joined = v->reading;
	if (!v->reading) {
		v->reading = true;
		changes_read(m, v->modseq, on_view_changes, v);
	}
}

void
view_free(struct mbox *m)
{
	if (m->view == NULL || m->view->reading)
		return;
	free(m->view->u);
	free(m->view);
	m->view = NULL;
}
