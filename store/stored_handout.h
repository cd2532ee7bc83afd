/* stored_handout.h: work that stored hands to an ingest that asks for it, one job at a time: who waits for some, who has the job, what of the store that one may read meanwhile:
 * nothing but the body it was handed. Runs in stored, on the loop; for stored_rebuild.c, stored_text.c and stored_text_old.c, which say what the job is. */
#ifndef CV_STORED_HANDOUT_H
#define CV_STORED_HANDOUT_H

#include "store/stored_priv.h"

struct handout {
	uint16_t
	    is; /* what who waits is answered: u64 job, u64 octets, and what handout_give is told */
	void (*bad)(int err); /* the body of the job cannot be read; NULL: nothing is read */
	struct waiter *waiters;
	uint64_t last;
	uint64_t job; /* of the worker; what a former one says of its own is not heard */
	const struct conn *worker; /* NULL: nobody has it */
};
/* One more that waits; an earlier question of the same connection ends with ERR_CANCELED. */
void handout_wait(struct handout *h, struct conn *c, uint32_t id);
/* The connection is gone. true: it had the job. Also when it asks again: it gave up. */
bool handout_gone(struct handout *h, const struct conn *c);
/* To the first that waits; rest may be NULL. false: nobody does. There must be no worker. */
bool handout_give(struct handout *h, uint64_t octets, const struct buf *rest);
/* Nobody has it any more. */
void handout_take_back(struct handout *h);
bool handout_has(const struct handout *h, const struct conn *c, uint64_t job);
/* The payload "u64 job, u64 off", answered with up to 256 KiB of body; true: the worker has asked. ERR_PROTO: of the payload. */
int handout_piece(struct handout *h, struct conn *c, uint32_t id, struct ipc_reader *r,
    uint64_t body, uint64_t octets, bool *by_worker_out);

#endif
