/* stored_index.c: which blocks of the index (index_block.h) a mailbox has, read when first needed and kept with it. Runs in stored. */
#include "store/stored_index.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

struct waiting {
	struct waiting *next;
	index_fn fn;
	void *arg;
};
struct index {
	struct index_block **v; /* by UID */
	size_t n, alloc;
	bool loaded;
	struct waiting *first; /* while it is being read */
	uint64_t n_msgs;       /* in all blocks */
	uint64_t
	    tried; /* messages that were in blocks and there, when no two blocks could be made one */
};

static void load_from(struct mbox *m, struct slice key);

/* Out of the list. */
static void
block_drop(struct index_block *b)
{
	b->lost = b->replaced = true;
	if (b->users == 0)
		free(b);
}

void
index_block_use(struct index_block *b)
{
	b->users++;
}

void
index_block_unuse(struct index_block *b)
{
	if (--b->users == 0 && b->replaced)
		free(b);
}

struct index_block *const *
index_blocks(const struct mbox *m, size_t *n_out)
{
	*n_out = m->index == NULL || !m->index->loaded ? 0 : m->index->n;
	return *n_out == 0 ? NULL : m->index->v;
}

bool
index_has_stale(const struct mbox *m)
{
	size_t n;
	struct index_block *const *v = index_blocks(m, &n);

	for (size_t i = 0; i < n; i++)
		if (v[i]->stale)
			return true;
	return false;
}

size_t
index_in_memory(const struct stored *st)
{
	size_t n = 0;

	for (size_t i = 0; i < HASH_SIZE; i++)
		for (const struct mbox *m = st->mboxes[i]; m != NULL; m = m->next_hash)
			n += m->index == NULL ? 0 : m->index->n;
	return n;
}

/* Messages in blocks that can be there still. */
static uint64_t
in_blocks(const struct mbox *m)
{
	return m->h.messages < m->index->n_msgs ? m->h.messages : m->index->n_msgs;
}

bool
index_merge_wanted(const struct mbox *m)
{
	const struct index *x = m->index;
	uint64_t there;

	if (x == NULL || !x->loaded || x->n == 0)
		return false;
	there = in_blocks(m);
	return 2 * there <= x->n_msgs && there < x->tried;
}

void
index_merge_tried(struct mbox *m)
{
	uint64_t there = in_blocks(m);

	m->index->tried = there - there / 4;
}

void
index_give_up(struct mbox *m)
{
	for (size_t i = 0; i < m->index->n; i++)
		m->index->v[i]->stale = false;
	index_merge_tried(m);
}

void
index_replace(struct mbox *m, size_t from, size_t n, const struct index_row *row)
{
	struct index *x = m->index;
	size_t put = row != NULL, after = x->n - from - n;

	for (size_t i = from; i < from + n; i++) {
		x->n_msgs -= x->v[i]->row.n;
		block_drop(x->v[i]);
	}
	memmove(x->v + from + put, x->v + from + n, after * sizeof(struct index_block *));
	x->n = from + put + after;
	if (row == NULL)
		return;
	x->v[from] = xcalloc(1, sizeof *x->v[from]);
	x->v[from]->row = *row;
	x->n_msgs += row->n;
}

void
index_free(struct mbox *m)
{
	if (m->index == NULL)
		return;
	for (size_t i = 0; i < m->index->n; i++)
		block_drop(m->index->v[i]);
	free(m->index->v);
	free(m->index);
	m->index = NULL;
}

void
index_add(struct mbox *m, const struct index_row *row)
{
	struct index *x = m->index;
	struct index_block *b;

	/* in order, and never two for a message */
	if (x->n > 0 && index_last(x->v[x->n - 1]) >= row->uids[0])
		return;
	if (x->n == x->alloc) {
		x->alloc = x->alloc == 0 ? 16 : 2 * x->alloc;
		x->v = xrealloc(x->v, x->alloc * sizeof(struct index_block *));
	}
	b = xcalloc(1, sizeof *b);
	b->row = *row;
	x->v[x->n++] = b;
	x->n_msgs += row->n;
}

struct index_block *
index_at(const struct mbox *m, uint32_t uid)
{
	const struct index *x = m->index;
	size_t lo = 0, hi = x->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (index_last(x->v[mid]) < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo < x->n && x->v[lo]->lost)
		lo++;
	return lo < x->n ? x->v[lo] : NULL;
}

uint32_t
index_end(const struct mbox *m)
{
	const struct index *x = m->index;

	return x->n == 0 ? 0 : index_last(x->v[x->n - 1]);
}

uint64_t
index_messages(const struct mbox *m)
{
	return m->index->n_msgs;
}

static void
loaded(struct mbox *m, int err)
{
	struct waiting *w, *list = m->index->first;

	m->index->first = NULL;
	m->index->loaded = err == 0;
	while ((w = list) != NULL) {
		list = w->next;
		w->fn(w->arg, err);
		free(w);
	}
	account_unref(m->acc);
}

static void
on_row_values(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct mbox *m = arg;
	struct index_row *row = xcalloc(1, sizeof *row);
	struct buf from;

	for (size_t i = 0; i < n && err == 0; i++) {
		int bad = index_row_decode(rows[i].value, row);

		/* What is not known to be in a block is looked for in signatures. */
		if (bad == 0)
			index_add(m, row);
		else
			log_msg(LOG_LVL_WARN, "index", "%s: %.*s: %s", m->object,
			    (int)rows[i].key.len, (const char *)rows[i].key.ptr, err_name(bad));
	}
	free(row);
	if (err != 0 || !more || n == 0) {
		loaded(m, err);
		return;
	}
	buf_init(&from, BACKEND_KEY_MAX);
	buf_append_slice(&from, rows[n - 1].key);
	buf_append_byte(&from, '!');
	load_from(m, buf_slice(&from));
	buf_done(&from);
}

static void
load_from(struct mbox *m, struct slice key)
{
	struct backend *be = m->acc->st->be;

	must(be->ops->scan(be, slice_str(m->object), key, slice_str("t0"), 200, on_row_values, m));
}

static struct index *
index_new(void)
{
	struct index *x = xcalloc(1, sizeof *x);

	x->tried = UINT64_MAX;
	return x;
}

void
index_get(struct mbox *m, index_fn fn, void *arg)
{
	struct waiting *w;
	bool reading;

	if (m->index != NULL && m->index->loaded) {
		fn(arg, 0);
		return;
	}
	if (m->index == NULL)
		m->index = index_new();
	reading = m->index->first != NULL;
	w = xcalloc(1, sizeof *w);
	w->fn = fn;
	w->arg = arg;
	w->next = m->index->first;
	m->index->first = w;
	if (reading)
		return;
	account_ref(m->acc);
	load_from(m, slice_str("t/"));
}
