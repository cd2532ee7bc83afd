/* backend_kv_space.h: for backend_kv_space.c, backend_kv_sweep.c and backend_kv_compact.c alone: a job of space under way.
 *
 * One thread of its own does it, one step after the other; what it changes goes through the writer in pieces (JOB_SPACE), so that each is one
 * transaction among the batches, and its conditions are looked at where nothing else commits. */
#ifndef CV_BACKEND_KV_SPACE_H
#define CV_BACKEND_KV_SPACE_H

#include "store/backend_kv_priv.h"
#include "store/body_set.h"

enum {
	STEP_BODIES = 64, /* changed by one JOB_SPACE: a millisecond or two of the writer's time */
	STEP_ROWS = 1000,
};
struct space_step {
	enum { STEP_FENCE, STEP_DROP, STEP_SWITCH } what;
	size_t n;
	uint64_t bodies[STEP_BODIES];
	bool taken[STEP_BODIES]; /* in the set of dropped ones by this step */
	bool any_age;            /* STEP_DROP: the grace period is not asked */
	struct seg_loc from[STEP_BODIES], to[STEP_BODIES]; /* STEP_SWITCH */
	/* out */
	uint64_t changed, octets;
	int err;
	bool over;
};
struct space {
	pthread_t thread;
	bool thread_on;
	pthread_mutex_t mu;  /* of everything below */
	pthread_cond_t wake; /* work, stop, a step that is over, a body_put that is over */
	bool ending, stop;
	struct job *asked; /* tells when the job is over */
	struct backend_space_job job;
	uint64_t *purge;         /* job.bodies; sorted, but for SUMMARIES */
	struct slice *summaries; /* job.summaries, each one's octets its own */
	size_t n_summaries;
	uint64_t *parts; /* of the composites among them; the thread's own, as is composites */
	size_t n_parts;
	uint64_t composites; /* how many there are */
	struct backend_space_state st;
	/* which bodies stay */
	int watching; /* atomic: whether bkv_space_refs has anything to look at */
	bool marking;
	uint64_t limit; /* bodies from here on came while it was marking */
	uint64_t
	    newest; /* the highest number there was; it stays, so that it is not given again; 0: none */
	struct body_set
	    *marks; /* named by rows: those seen, and those of every batch since marking began */
	struct body_set *handed[2]; /* by body_put: now, and in the period before */
	int64_t turned_ms;
	unsigned grace_s;
	char *db_dir;
	struct body_set *dropped; /* since this process began */
	/* body_puts under way */
	unsigned epoch, puts[2];
	struct backend_file *files; /* as the last survey found them */
	size_t n_files;
};

int64_t space_ms(void);
/* Does one step through the writer and waits for it. 0, or why nothing of it was done. */
int space_step(struct bkv *b, struct space_step *s);
/* Everything that began before it is over: body_puts, and the batches submitted. */
int space_settle(struct bkv *b);
/* fn for all rows of the database in [from, to), in steps with pauses. ERR_CANCELED when it is to stop. */
int space_walk(struct bkv *b, const char *from, const char *to, kv_row_fn fn, void *arg);
/* Pauses as the pace says after work that began at t0; ERR_CANCELED. */
int space_pause(struct bkv *b, int64_t t0);
void space_phase(struct space *s, const char *phase);
/* Says what stopped it; gives err. */
int space_why(struct space *s, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* With the lock. */
bool space_is_handed(struct space *s, uint64_t body);

/* backend_kv_sweep.c */
int space_mark(struct bkv *b);  /* begins marking, and marks what rows name */
int space_tally(struct bkv *b); /* counts bodies and files */
int space_sweep(struct bkv *b); /* drops what is not marked */
void space_unmark(struct bkv *b);
/* backend_kv_compact.c */
int space_files_read(struct bkv *b);
/* With the lock. */
struct backend_file *space_file(struct space *s, uint32_t number); /* NULL: none */
int space_compact(struct bkv *b);
int space_erase(struct bkv *b);
/* Rows to the new places, once these are durable; st is empty then. */
int space_switch(struct bkv *b, struct space_step *st);
/* backend_kv_summary.c */
int space_summaries(struct bkv *b);
void space_summaries_keep(struct space *s, const struct backend_space_job *job); /* with the lock */
void space_summaries_forget(struct space *s);

#endif
