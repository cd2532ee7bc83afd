/* ahead.h: small messages read from the store many at a time, before they are looked at one by one: for FETCH of sections and for SEARCH in
 * texts. While those of one answer are looked at, the store reads the next ones. What is not found here is asked for as before. */
#ifndef CV_AHEAD_H
#define CV_AHEAD_H

#include "store/store_client.h"

enum { AHEAD_MAX = 64 }; /* messages in one request */

/* One answer of the store. */
struct ahead_part {
	struct buf data; /* at most about 256 KiB of messages */
	struct store_content v[AHEAD_MAX];
	size_t n, at;
	size_t used, counted; /* how many were looked at; those before counted are in it */
	uint32_t uids[AHEAD_MAX];
	size_t n_uids;
	uint32_t first, last;    /* UIDs from first to last were looked at; 0: nothing */
	struct ahead_call *call; /* under way */
};
struct ahead {
	struct ahead_part part[2];
	unsigned now; /* of part: the one that is looked at; the other comes next */
	bool waits;   /* fn is to be called */
	struct loop_defer *defer;
	void (*fn)(void *arg);
	void *arg;
	/* of the last ahead_read */
	struct store_session *s;
	uint64_t mailbox;
	const struct msg_row *rows;
	size_t n_rows;
	bool summaries, all;
};

/* a is all zero before. Frees what it holds; it may be used again. answers_come: the store session is there still, and calls back. */
void ahead_done(struct ahead *a, bool answers_come);
/* The message with its content, and its summary where that was wanted (else empty); NULL: it was not read ahead. Borrowed until the next ahead_read. */
const struct store_content *ahead_find(struct ahead *a, uint32_t uid);
struct ahead_want {
	bool summaries;
	bool
	    all; /* of the rows: else what comes next is read ahead only while most of what was read is looked at */
};
/* Whether the messages rows[0..n) (ascending, rows[0] among those that are asked) are worth reading ahead and not yet looked at; then they are asked
 * for, and fn is called from the loop when they are there, or cannot be had so: true. The rows stay until the next call or ahead_done. */
bool ahead_read(struct ahead *a, struct loop *l, struct store_session *s, uint64_t mailbox,
    const struct msg_row *rows, size_t n, const struct ahead_want *want, void (*fn)(void *arg),
    void *arg);

#endif
