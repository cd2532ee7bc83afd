/* thread_tree.h: the threads of THREAD. Pure. RFC 5256 (ORDEREDSUBJECT, REFERENCES). */
#ifndef CV_THREAD_TREE_H
#define CV_THREAD_TREE_H

#include "lib/arena.h"

#define THREAD_STEPS_MAX \
	50000000u /* looks at ancestors in one run; links that would need more are not made. Looks at full places of a table: ERR_LIMIT beyond */

struct thread_msg {
	uint32_t number;      /* what the answer calls it */
	int64_t sent;         /* RFC 5256 2.2 */
	struct slice subject; /* base subject in the form that is compared; empty: none */
	struct slice refs;    /* msgid_refs (lib/msgid.h) */
	bool is_reply;        /* by its subject */
};
/* msgs in the order of the mailbox. "(2)(3 6 (4 23)(44 7 96))" is appended to out. 0, ERR_NOMEM, ERR_LIMIT (out is full). */
int thread_ordered_subject(
    const struct thread_msg *msgs, size_t n, struct arena *a, struct buf *out);
int thread_references(const struct thread_msg *msgs, size_t n, struct arena *a, struct buf *out);

#endif
