/* work.h: what lookup's worker threads do: one job in, one reply out. work.c knows people, SASL and tickets; lookup.c
 * knows connections and the loop. Jobs hold all they need: no thread shares anything with the loop but the queue. */
#ifndef CV_WORK_H
#define CV_WORK_H

#include "directory/auth.h"
#include "lib/ipc.h"

enum job_kind {
	JOB_RCPT,
	JOB_ROUTE,
	JOB_SENDER,
	JOB_MOVED,
	JOB_MEMBER,
	JOB_AUTH_START,
	JOB_AUTH_STEP,
	JOB_AUTH_WRONG, /* an exchange that failed on the loop, err says how: what is left to do */
	JOB_LIVE,
	JOB_ACL
};
struct exchange;
struct login_known;
/* What a login was given, for live.c. */
struct login_facts {
	char account[48], login[256];
	uint64_t epoch;
	int64_t expires; /* of its ticket */
	unsigned char
	    state[32]; /* a digest of all it has and may: another one after any change of that */
	char **deps;   /* what it rests on (people.h) */
	size_t n_deps, n_subjects;
};
void login_facts_done(struct login_facts *f);
struct job {
	enum job_kind kind;
	/* the caller's */
	struct ipc_conn *conn; /* held; LIVE: NULL */
	uint32_t id;
	struct exchange *exchange;
	/* in */
	char *address,
	    *login; /* RCPT, ROUTE, SENDER; login of a ROUTE: the envelope sender; LIVE: login name, and account in address */
	bool signed_in; /* ROUTE: as that sender */
	char **list;    /* MOVED, MEMBER: addresses; address of a MEMBER: the group */
	size_t n_list;
	struct auth *auth; /* START, STEP: only this job touches it */
	bool has_initial;
	struct login_known *
	    known; /* START, STEP: what a login by that name is given, or NULL. Held; the worker lets go of what is not good any more */
	uint64_t elsewhere; /* of dir_elsewhere, before anything was read for it */
	struct buf input;   /* initial or response */
	/* out */
	int err;             /* not 0: an IPC_ERR */
	bool is_as_known;    /* AUTH: reply is what known has; else facts have deps */
	bool is_newly_known; /* AUTH: known was made of what was read now */
	bool is_more;        /* AUTH: a challenge, put into reply without the exchange's number */
	struct buf reply;
	struct login_facts facts; /* after a login, and of LIVE */
	uint64_t queued_us;       /* work.c's */
	struct job *next;
};
struct job *job_new(enum job_kind kind);
void job_free(struct job *j);

/* The end of an AUTH_DONE: what the mechanism still says to the client, and what the password policy says of u. */
void work_put_end(struct buf *b, struct slice final, bool has_final, const struct person *u);

struct work_params {
	const struct conf *conf;
	struct people *people;
	unsigned char token_key[32];
	unsigned threads;
	unsigned queue_max;
};
struct work;
/* Starts the threads: after the sandbox. p is copied, its pointers borrowed. fatal() when there are no threads. */
struct work *work_new(const struct work_params *p);
/* Who says whether what is known is still to be given (live_is_good; by any thread): before the first job with known. */
void work_judge(struct work *w, bool (*is_good)(void *arg, const struct login_known *k), void *arg);
/* Readable when jobs are done. */
int work_fd(const struct work *w);
/* Takes the job unless the queue is full (ERR_LIMIT: the job stays the caller's). What is left to do of a wrong login has as much room again of its own: a full queue lets
 * nobody guess uncounted. */
int work_put_take(struct work *w, struct job *j);
/* For the caller's clock, some milliseconds after a job was put: a further thread is woken when the first job has waited for WORK_WAIT_MS, since those at work are
 * then waiting themselves. True: jobs wait, and there is a thread that could be
 * woken: look again in WORK_WAIT_MS. */
#define WORK_WAIT_MS 1
bool work_nudge(struct work *w);
/* All jobs done so far, a list by next; NULL when none. */
struct job *work_done(struct work *w);

#endif
