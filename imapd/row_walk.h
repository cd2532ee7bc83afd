/* row_walk.h: reads the rows of messages, for SORT and THREAD: batches of rows, and no octet of a message but where a row lacks what is asked for
 * (an ENVELOPE too long for it, a row written before there were references): then its header. */
#ifndef CV_ROW_WALK_H
#define CV_ROW_WALK_H

#include "imapd/session.h"

struct row_walk {
	const uint32_t *uids; /* ascending; until the walk is over */
	size_t n;
	bool refs; /* row.refs is wanted */
	/* Each message that is still there: its place in uids; 0 or an error that ends the command. Not in the order of uids. Borrowed for the call. */
	int (*row)(struct cmd *m, size_t i, const struct msg_row *row);
	void (*done)(struct cmd *m);
	/* inside */
	struct cmd *m;
	size_t at, batch_end;
	struct msg_row *slow; /* of the batch: those whose header must be read */
	size_t *slow_at;
	size_t n_slow, slow_next;
	struct arena *batch;
};
/* w: filled in as above, zeroed else. Answers the command on an error; done is not called then. */
void row_walk_start(struct cmd *m, struct row_walk *w);
/* Frees what is not in an arena; may be called at any time, twice too. */
void row_walk_done(struct row_walk *w);

#endif
