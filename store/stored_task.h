/* stored_task.h: long work inside stored, asked for on store.admin: a check, a collection, a backup. Runs in stored, on the loop's thread.
 *
 * A task is a row of stored_tasks.def and one file, store/stored_task_NAME.c, that defines
 *
 *	const struct task_kind task_kind_NAME = {.name = "NAME", .start = …, .step = …, .report = …, .free = …};
 *
 * The frame (stored_task.c) starts it, calls step again and again, keeps what it finds until somebody reads it, answers how far it is, and
 * ends it. What a kind holds to:
 *
 * - start reads the arguments, makes the state (t->own) and gives 0; or an error with a sentence for people in *why. No work yet.
 * - step does one bounded piece: some milliseconds on the loop at most, or calls of the backend (submit + completion, at most some hundred
 *   rows each). When the piece is over, from step itself or from the last completion, it calls exactly one of
 *   task_next(t)         there is more: step is called again from the loop, at once,
 *   task_next_in(t, ms)  the same after a pause, for work that must leave others their share,
 *   task_end(t, err, why) it is over.
 *   A task is stopped, waits, and is ended only between two steps: so no completion ever comes for a task that is gone.
 * - task_finding_take gives one finding: a JSON object, at most 16 KiB as text. It is a line to the reader. The frame keeps TASK_FINDINGS_MAX octets
 *   of them. While somebody follows the task, step waits for the reader when half of that is full; when nobody has asked for ten seconds, the
 *   newest are kept and the others counted ("lost"): sums and whatever must not be lost belong in the report.
 * - report gives the result as a JSON object when the task is over, done or stopped; free lets go of the state. Both are called once.
 *
 * At most TASKS_RUNNING run at a time, one of a kind; those that are over are kept until TASKS_KEPT later ones are. A task is memory alone: when
 * stored restarts it is gone, and what it must not forget it has put in rows. A person starts it anew. */
#ifndef CV_STORED_TASK_H
#define CV_STORED_TASK_H

#include "lib/json.h"
#include "lib/loop.h"
#include "store/stored_priv.h"

enum {
	TASKS_RUNNING = 4,
	TASKS_KEPT = 16,
	TASK_FINDINGS_MAX = 1 << 20, /* octets kept of a task's findings */
	TASK_PIECE_MAX = 256 << 10,  /* octets of findings in one answer */
	TASK_FINDING_MAX = 16 << 10, /* octets of one */
};

struct task;
struct task_kind {
	const char *name; /* "check" */
	int (*start)(struct task *t, const struct json *args, const char **why);
	void (*step)(struct task *t);
	struct json *(*report)(struct task *t); /* the caller's; may be NULL: no result */
	void (*free)(struct task *t); /* t->own; also when start failed after it was set */
};
struct task {
	struct stored *st;
	void *own; /* the kind's state */
	/* How far: what is at work now ("an.binh: INBOX"), done of total of some unit; total 0: not known. Set at any time. */
	uint64_t done, total;
	char what[128];
	bool stop; /* it is to end; a step of many turns may look at it and call task_next early */

	/* the frame's own */
	const struct task_kind *kind;
	uint64_t id;
	struct task *next;
	struct loop_timer *timer;
	enum { TASK_RUNS, TASK_WAITS, TASK_DONE, TASK_FAILED, TASK_STOPPED } state;
	bool in_step;
	int err;
	char why[256];
	int64_t started, ended; /* seconds since 1970 */
	uint64_t asked_ms;      /* loop's clock: when somebody last read findings */
	struct json *result;
	struct task_line *first, **end;
	size_t octets;
	uint64_t n_found, first_no, lost; /* lost: dropped before anybody read them */
	uint64_t read_to;                 /* the furthest reader */
};
void task_next(struct task *t);
void task_next_in(struct task *t, unsigned ms);
/* err 0: done. why: a sentence for people (copied), "" or NULL for none. */
void task_end(struct task *t, int err, const char *why);
void task_finding_take(struct task *t, struct json *finding);
void task_what(struct task *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Whether a task of this kind runs: for work that must not go on beside it. */
bool task_runs(const struct stored *st, const char *kind);

/* Messages, store.admin only. */
int on_task_start(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_task_status(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_task_stop(struct conn *c, uint32_t id, struct ipc_reader *r);

#ifndef STORED_TASKS_DEF /* a test has kinds of its own */
#define STORED_TASKS_DEF "store/stored_tasks.def"
#endif
#define TASK_KIND(name) extern const struct task_kind task_kind_##name;
#include STORED_TASKS_DEF
#undef TASK_KIND

#endif
