/* stored_index_stale.c: finds blocks of the index with messages that every text might be in, because nothing was known of them when the block was made:
 * their bits are set in all slices. When their summaries were made anew (stored_task_rebuild.c) such a block is made anew too. Runs in stored.
 *
 * A part of the slices tells; a message that is so full by itself is taken for one too, which costs the remaking and nothing else. */
#include "store/stored_index.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { SLICES = 256 };

struct refresh {
	struct mbox *m;
	uint32_t *full;
	size_t n_full;
	size_t at;
	struct index_block *block; /* under way */
	index_fn fn;
	void *arg;
};

static void next(struct refresh *k);

static void
over(struct refresh *k, int err)
{
	k->fn(k->arg, err);
	free(k->full);
	free(k);
}

static int
by_uid(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Which messages have every bit. */
static void
judge(struct refresh *k, struct slice v)
{
	const struct index_row *row = &k->block->row;
	unsigned char all[INDEX_SLICE];

	memset(all, 0xff, sizeof all);
	for (size_t at = 0; at + INDEX_SLICE <= v.len; at += INDEX_SLICE)
		for (size_t i = 0; i < INDEX_SLICE; i++)
			all[i] &= v.ptr[at + i];
	for (uint32_t i = 0; i < row->n && v.len > 0; i++)
		if ((all[i / 8] >> (i % 8) & 1) != 0 &&
		    bsearch(&row->uids[i], k->full, k->n_full, sizeof *k->full, by_uid) == NULL)
			k->block->stale = true;
}

static void
on_slices(void *arg, int err, struct slice v)
{
	struct refresh *k = arg;

	if (err == 0)
		judge(k, v);
	else
		k->block->stale = true; /* lost: as well */
	index_block_unuse(k->block);
	k->at++;
	next(k);
}

static void
next(struct refresh *k)
{
	struct backend *be = k->m->acc->st->be;
	struct index_block *const *v;
	uint32_t slices;
	size_t n;

	v = index_blocks(k->m, &n);
	if (k->m->gone || k->at >= n) {
		over(k, k->m->gone ? ERR_GONE : 0);
		return;
	}
	k->block = v[k->at];
	index_block_use(k->block);
	slices = 1u << k->block->row.log_body;
	must(be->ops->body_get(be, k->block->row.body, index_slice_at(&k->block->row, true, 0),
	    (slices < SLICES ? slices : SLICES) * INDEX_SLICE, on_slices, k));
}

static void
on_index(void *arg, int err)
{
	struct refresh *k = arg;

	if (err != 0)
		over(k, err);
	else
		next(k);
}

void
index_refresh(struct mbox *m, const uint32_t *full, size_t n_full, index_fn fn, void *arg)
{
	struct refresh *k = xcalloc(1, sizeof *k);

	k->m = m;
	k->full = xcalloc(n_full + 1, sizeof *k->full);
	if (n_full > 0)
		memcpy(k->full, full, n_full * sizeof *k->full);
	k->n_full = n_full;
	k->fn = fn;
	k->arg = arg;
	index_get(m, on_index, k);
}
