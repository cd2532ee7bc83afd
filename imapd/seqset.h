/* seqset.h: sets of message numbers or UIDs (RFC 3501 sequence-set). Pure. */
#ifndef CV_SEQSET_H
#define CV_SEQSET_H

#include "lib/arena.h"

#define SEQSET_STAR 0 /* "*" before seqset_resolve; no real number is 0 */
#define SEQSET_RANGES_MAX 20000

struct seqrange {
	uint32_t lo, hi;
};
struct seqset {
	struct seqrange *r; /* in the arena */
	size_t n;
	bool saved; /* "$" of RFC 5182 stood there; r and n say nothing until it was resolved */
};
/* As written. 0, ERR_SYNTAX, ERR_LIMIT, ERR_NOMEM. */
int seqset_parse(struct slice s, struct arena *a, struct seqset *out);
/* "*" becomes max (the highest number in use; 0 when the mailbox is empty: the set then holds no "*"), ranges are put in order, sorted
 * and merged. "n:*" always holds max, whatever n is (RFC 3501 6.4.8). */
void seqset_resolve(struct seqset *s, uint32_t max);
/* A copy, in the arena. 0 or ERR_NOMEM. */
int seqset_copy(const struct seqset *s, struct arena *a, struct seqset *out);
/* Of a resolved set. */
bool seqset_has(const struct seqset *s, uint32_t v);
/* "1:3,5" of n numbers in the order given (runs of consecutive rising numbers are joined): UIDPLUS. */
int seqset_format(const uint32_t *v, size_t n, struct buf *out);

#endif
