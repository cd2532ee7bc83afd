/* ingest_pull.h: work that stored hands to an ingest that asks for it (store/stored_handout.h), one job at a time: the question, the octets in pieces, the answer. Runs in
 * ingest, for ingest_rebuild.c and ingest_text.c, which say what becomes of the octets. stored lets it read what it was handed and nothing else. */
#ifndef CV_INGEST_PULL_H
#define CV_INGEST_PULL_H

#include "lib/ipc.h"
#include "lib/loop.h"

struct pull_ops {
	uint16_t wait, is, piece, done; /* the messages of store_proto.def */
	/* There is a job of so many octets; r: what the answer says besides. An error: nothing of it is pulled, unread is called. */
	int (*begin)(void *arg, uint64_t size, struct ipc_reader *r);
	int (*take)(void *arg, struct slice piece); /* the octets, in order */
	void (*whole)(void *arg);                   /* all came: ends with pull_tell */
	void (*unread)(void *arg, int err); /* begin or take gave err: ends with pull_tell */
	void (*drop)(void *arg);            /* the job is over; called before each question */
};
struct pull;
struct pull *pull_new(
    struct loop *l, const char *socket, const struct pull_ops *ops, void *arg); /* asks at once */
/* NULL accepted. Nothing is called any more but drop. */
void pull_free(struct pull *p);
/* The answer: what stands behind the number of the job. b NULL or with an error: there is none, stored gives the job to another one in time. Then the next is asked for. */
void pull_tell(struct pull *p, const struct buf *b);

#endif
