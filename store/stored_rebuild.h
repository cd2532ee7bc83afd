/* stored_rebuild.h: bodies handed to ingest, which alone parses mail, so that it makes their summaries anew. Runs in stored, on the loop.
 *
 * An ingest may read nothing of the store but the one body that it was handed, until it has answered for it or another one was asked. For
 * stored_rebuild.c and stored_task_rebuild.c. */
#ifndef CV_STORED_REBUILD_H
#define CV_STORED_REBUILD_H

#include "store/stored_priv.h"

enum { REBUILD_HEADER_OCTETS = 320 << 10 }; /* of a body whose header alone is wanted */

struct rebuilt {
	struct slice summary, envelope, refs; /* as deliver_message has them */
	int64_t sent_date;
};
/* err: 0; ERR_CORRUPT, ERR_NOTFOUND, … (of reading the body), ERR_LIMIT (ingest could not make it, or gave what cannot be), ERR_TIMEOUT (two did not
 * answer), ERR_TEMP (no ingest asks for work). r is borrowed for the call. */
typedef void (*rebuilt_fn)(void *arg, int err, const struct rebuilt *r);
/* One at a time; fn is called from the loop. header: what is made of the header is enough, the summary is of no use then. */
void rebuild_ask(
    struct stored *st, uint64_t body, uint64_t size, bool header, rebuilt_fn fn, void *arg);

#endif
