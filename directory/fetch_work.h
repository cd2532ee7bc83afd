/* fetch_work.h: fetch's worker threads: transfers block, so the loop hands them over and gets them back through an eventfd. No host
 * holds more than half of the threads. */
#ifndef CV_FETCH_WORK_H
#define CV_FETCH_WORK_H

#include "directory/fetch_client.h"

struct fetch_job {
	struct fetch_request request; /* its strings and bytes are the job's own */
	char *url, *content_type, *host;
	struct buf body;
	unsigned char key[32];
	uint64_t deadline_ms; /* monotonic: what waited past it is not begun */
	/* out */
	int err;
	const char *why; /* static */
	struct fetch_answer *answer;
	bool no_store;
	/* the loop's */
	struct fetch_waiter *waiters;
	unsigned n_waiters;
	struct fetch_job *next_flying;
	/* the queue's */
	struct fetch_job *next;
};
struct fetch_job *fetch_job_new(void);
void fetch_job_free(struct fetch_job *j);

struct fetch_work;
/* Starts the threads: after the sandbox. fatal() when there are none. */
struct fetch_work *fetch_work_new(unsigned threads, unsigned queue_max);
int fetch_work_fd(const struct fetch_work *w); /* readable when jobs are done */
/* ERR_LIMIT: the queue is full, j stays the caller's. */
int fetch_work_put_take(struct fetch_work *w, struct fetch_job *j);
struct fetch_job *fetch_work_done(struct fetch_work *w); /* a list by next */

#endif
