/* ahead.h: small messages read from the store many at a time, before they are looked at one by one: for FETCH of sections and for SEARCH in
 * texts. What is not found here is asked for as before. */
#ifndef CV_AHEAD_H
#define CV_AHEAD_H

#include "store/store_client.h"

enum { AHEAD_MAX = 64 }; /* messages in one request */

struct ahead {
	struct buf data; /* at most about 256 KiB of messages */
	struct store_content v[AHEAD_MAX];
	size_t n, at;
	uint32_t uids[AHEAD_MAX];
	size_t n_uids;
	uint32_t first, last; /* UIDs from first to last were looked at */
	void (*fn)(void *arg);
	void *arg;
};

/* a is all zero before. Frees what it holds; it may be used again. */
void ahead_done(struct ahead *a);
/* The message with summary and content; NULL: it was not read ahead. Borrowed until the next ahead_read. */
const struct store_content *ahead_find(struct ahead *a, uint32_t uid);
/* Whether the messages rows[0..n) (ascending, rows[0] among those that are asked) are worth reading ahead and not yet looked at; then they are asked
 * for, and fn is called when they are there, or cannot be had so: true. */
bool ahead_read(struct ahead *a, struct store_session *s, uint64_t mailbox,
    const struct msg_row *rows, size_t n, void (*fn)(void *arg), void *arg);

#endif
