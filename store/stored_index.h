/* stored_index.h: the index for SEARCH within stored: stored_index.c (what a mailbox has), stored_seal.c (making blocks), stored_candidates.c
 * (asking). For stored_*.c alone. */
#ifndef CV_STORED_INDEX_H
#define CV_STORED_INDEX_H

#include "store/index_block.h"
#include "store/stored_priv.h"

struct index_block {
	bool lost;      /* its body could not be read, or it was replaced */
	bool stale;     /* to be made anew: signatures are there that were not when it was made */
	bool replaced;  /* out of the list: freed with its last user */
	unsigned users; /* searches that read it now */
	struct index_row row;
};
static inline uint32_t
index_last(const struct index_block *b)
{
	return b->row.uids[b->row.n - 1];
}
typedef void (*index_fn)(void *arg, int err);
/* fn is called, perhaps at once, when m->index is there. The caller holds the account. */
void index_get(struct mbox *m, index_fn fn, void *arg);
/* A new block behind the others, durable by now. */
void index_add(struct mbox *m, const struct index_row *row);
/* Blocks [from, from + n) are replaced by one (row NULL: by none), durable by now. */
void index_replace(struct mbox *m, size_t from, size_t n, const struct index_row *row);
/* Its list, by UID; n_out: how many. Good until it changes. */
struct index_block *const *index_blocks(const struct mbox *m, size_t *n_out);
/* Looks whether blocks have messages of which nothing was known when they were made, and something is now: these are called stale, and made anew in the
 * background. full: UIDs (ascending) of which nothing is known now. fn is called, perhaps at once. The caller holds the account. */
void index_refresh(struct mbox *m, const uint32_t *full, size_t n_full, index_fn fn, void *arg);
void index_block_use(struct index_block *b);
void index_block_unuse(struct index_block *b);
/* Whether so much of what is in blocks was expunged that it may be worth to look: then index_merge_tried, when nothing came of it. */
bool index_merge_wanted(const struct mbox *m);
void index_merge_tried(struct mbox *m);
void index_give_up(struct mbox
	*m); /* a remaking failed: not again until the index is read anew, or more was expunged */
bool index_has_stale(const struct mbox *m);
/* The first block that ends at uid or behind it and can be read; NULL: none. Good while the account is held. */
struct index_block *index_at(const struct mbox *m, uint32_t uid);
uint32_t index_end(const struct mbox *m);      /* the last UID in a block; 0: there is none */
uint64_t index_messages(const struct mbox *m); /* in blocks, those expunged since too */

/* The hashes of the trace's grams: how many; max + 1 when they cannot be told or are more: then it may hold anything. */
size_t index_trace(struct slice trace, uint16_t *out, size_t max);

#endif
