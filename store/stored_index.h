/* stored_index.h: the index for SEARCH within stored: stored_index.c (what a mailbox has), stored_seal.c (making blocks), stored_candidates.c
 * (asking). For stored_*.c alone. */
#ifndef CV_STORED_INDEX_H
#define CV_STORED_INDEX_H

#include "store/index_block.h"
#include "store/stored_priv.h"

struct index_block {
	bool lost; /* its body could not be read */
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
/* The first block that ends at uid or behind it and can be read; NULL: none. Good while the account is held. */
struct index_block *index_at(const struct mbox *m, uint32_t uid);
uint32_t index_end(const struct mbox *m);      /* the last UID in a block; 0: there is none */
uint64_t index_messages(const struct mbox *m); /* in blocks, those expunged since too */

/* The hashes of the trace's grams: how many; max + 1 when they cannot be told or are more: then it may hold anything. */
size_t index_trace(struct slice trace, uint16_t *out, size_t max);

#endif
