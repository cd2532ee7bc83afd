/* backend_kv_priv.h: for backend_kv*.c alone. Jobs go from the loop to a thread and come back as completions on the loop. */
#ifndef CV_BACKEND_KV_PRIV_H
#define CV_BACKEND_KV_PRIV_H

#include <pthread.h>

#include "store/backend_priv.h"
#include "store/journal.h"
#include "store/segment.h"

enum job_kind {
	JOB_BATCHES, /* one or more conditional batches */
	JOB_CREATE,
	JOB_REMOVE,
	JOB_PURGE,
	JOB_UPGRADE, /* key: from; max: dry run */
	JOB_DROP,
	JOB_SPACE, /* backend_kv_space.c: its changes, one bounded piece */
	JOB_GET,   /* from here on: the readers' */
	JOB_SCAN,
	JOB_OBJECTS,
	JOB_BODY_PUT,
	JOB_BODY_GET,
	JOB_SUMMARY,
	JOB_AFTER,  /* body: the number before; max */
	JOB_CHECK,  /* content: as JOB_BODIES; max: whole */
	JOB_REWRAP, /* body: the number of the file before; value: as backend_kv_rewrap */
	JOB_BODIES, /* content: the numbers, as u64 in memory */
	JOB_BACKUP, /* max: enum backend_backup; key, body (a number), off, len */
	JOB_SUMMARIES,
	JOB_BODY_FIND,
};
struct job {
	struct job *next;
	enum job_kind kind;
	int err;
	/* what to call */
	backend_done_fn done_fn;
	backend_value_fn value_fn;
	backend_rows_fn rows_fn;
	backend_body_fn body_fn;
	void (*group_fn)(void *arg, const int *errs, size_t n);
	void *arg;
	/* what is asked */
	struct backend_batch **batches;
	int *errs;
	size_t n, bytes;
	struct buf object, key,
	    to; /* key: also the expected or new header, the lower bound of a scan */
	unsigned max;
	unsigned char sha256[32];
	struct buf content, summary;
	int fd;
	uint64_t size, body, off;
	uint32_t len;
	/* what came out */
	struct buf value;
	struct rows_out rows;
	bool more;
	struct space_step *step; /* JOB_SPACE */
};
struct job_queue {
	struct job *first, **end;
};

/* A body written to a segment whose row is not committed yet, or that is being written. */
struct pending {
	struct pending *next, *ready_next;
	bool ready, part; /* part: of messages, under a digest of its own kind ("p/") */
	uint64_t *refs;   /* of a composite: its parts */
	size_t n_refs;
	unsigned char sha256[32];
	uint64_t size;
	struct seg_loc loc;
	struct buf record; /* of a small body, for the log; empty: the segment must be synced */
	struct job_queue waiters;
};
enum { PENDING_BUCKETS = 1024, THREADS_MAX = 64, BODY_ROW_MAX = 4096 };

struct space;
struct bkv {
	struct backend b;
	struct loop *loop;
	struct kv *kv;
	struct seg *seg;
	struct journal *journal;
	struct backup_ends *ends; /* of committed bodies in each file; backend_kv_backup.c */
	struct hints *hints;
	unsigned n_threads;
	pthread_t threads[THREADS_MAX], writer;
	bool writer_on, ending;
	pthread_mutex_t mu; /* the queues */
	pthread_cond_t read_wake, write_wake;
	struct job_queue reads, writes, done;
	int event_fd;
	struct loop_fd *event;
	/* bodies */
	pthread_mutex_t body_mu;
	pthread_cond_t part_wake; /* with body_mu: a part is there, or is not after all */
	pthread_mutex_t large_mu; /* one very large message in memory at a time */
	struct pending *pending[PENDING_BUCKETS];
	struct pending *ready;
	struct backend_stat stat; /* under mu */
	struct space *space;
};

void queue_init(struct job_queue *q);
void queue_add(struct job_queue *q, struct job *j);
struct job *queue_take(struct job_queue *q);
/* Hands a finished job to the loop; from any thread. */
void bkv_finish(struct bkv *b, struct job *j);

/* backend_kv_body.c: run by readers. */
void bkv_run_body_put(struct bkv *b, struct job *j);
void bkv_run_body_get(struct bkv *b, struct job *j);
void bkv_run_rewrap(struct bkv *b, struct job *j);
int bkv_body_loc(struct bkv *b, uint64_t body, struct seg_loc *loc);
/* Octets that messages share: written when they are not there. They stay as long as a composite's row that is committed later names them. */
int bkv_part_put(
    struct bkv *b, const unsigned char sha256[32], struct slice octets, uint64_t *body_out);
/* backend_kv_parts.c. n_refs 0: the body is to be kept as it is. out->content is the caller's to free in any case. */
struct bkv_composite {
	struct buf content;
	uint64_t refs[SEG_REFS_MAX];
	size_t n_refs;
};
int bkv_compose(struct bkv *b, struct job *j, struct bkv_composite *out);
/* Whether the job has the octets that its digest is of: a body that is there already is given only to who shows them. ERR_CORRUPT, ERR_EOF, ERR_IO. */
int bkv_content_is(const struct job *j);
/* [off, off + len) of the body, whatever it is made of: as seg_read. */
int bkv_read(struct bkv *b, const struct seg_loc *loc, uint64_t off, uint32_t len, struct buf *out);
/* All of its octets, those of its parts too, and the digest: as seg_check. */
int bkv_check(struct bkv *b, const struct seg_loc *loc);
/* backend_kv_body.c: run by the writer. */
struct pending *bkv_ready_take(struct bkv *b);
int bkv_ready_put_rows(struct kv_txn *t, const struct pending *list);
void bkv_ready_committed(struct bkv *b, struct pending *list);
void bkv_ready_back(struct bkv *b, struct pending *list);
/* Its rows; octets_out (may be NULL): what it took in its file. ERR_NOTFOUND. */
int bkv_drop(struct kv_txn *t, uint64_t body, uint64_t *octets_out);
int bkv_last_body(struct kv *kv, struct seg_loc *loc_out); /* ERR_NOTFOUND: none */
/* Whether the segments must be synced before the rows of these are committed: one of them is too large for the log. */
bool bkv_ready_needs_sync(const struct pending *list);
/* At the start: what the log has of bodies goes to its place in the segments again. */
int bkv_mend(struct kv *kv, const char *segments);
void bkv_bodies_free(struct bkv *b);
/* backend_kv_backup.c */
int bkv_backup_open(struct bkv *b, const char *dir);
void bkv_backup_close(struct bkv *b);
void bkv_run_backup(struct bkv *b, struct job *j); /* run by readers */
struct slice bkv_body_key(uint64_t body, char key[24]);
int bkv_body_of_key(struct slice key, uint64_t *body_out);
/* Whether a body that is not committed yet lies in a file. */
bool bkv_pending_in(struct bkv *b, uint32_t segment);
/* A body's row in its new place, when it is in the old one still: 0, ERR_NOTFOUND, ERR_CONFLICT. */
int bkv_switch(struct kv_txn *t, const struct seg_loc *from, const struct seg_loc *to);
/* The number that the next body gets at least, though those with the highest ones be dropped ("g/next"). 0 when nothing was kept. */
int bkv_next_put(struct kv_txn *t, uint64_t next);
int bkv_next_get(struct kv *kv, uint64_t *next_out);
void bkv_submit(struct bkv *b, struct job *j);
struct job *bkv_job_new(backend_done_fn fn, void *arg);
/* backend_kv_write.c */
void *bkv_writer_main(void *arg);

/* ---- backend_kv_space.c: what may be dropped, and the thread that does it ---- */

void bkv_space_init(struct bkv *b, const struct backend_kv_options *o);
int bkv_space_open(struct bkv *b); /* begins its thread */
void bkv_space_end(struct bkv *b); /* ends it; before the writer ends */
void bkv_space_free(struct bkv *b);
int bkv_space_start(
    struct bkv *b, const struct backend_space_job *job, backend_done_fn fn, void *arg);
void bkv_space_stop(struct bkv *b);
void bkv_space_state(struct bkv *b, struct backend_space_state *out);
size_t bkv_space_files(struct bkv *b, uint32_t after, struct backend_file *out, size_t max);
/* Around each body_put: a job of space waits for those that began before it. */
unsigned bkv_space_put_begin(struct bkv *b);
void bkv_space_put_end(struct bkv *b, unsigned epoch);
/* A body is about to be handed out: false when it was dropped. From then on it stays for the grace period, and its parts with it. committed: its
 * row may be there. Whoever makes a composite hands out its parts so, before its own row is committed. */
bool bkv_space_hand(struct bkv *b, uint64_t body, bool committed);
/* The writer, before it applies a batch: 0, or ERR_TEMP when it names a body that was dropped; others end the transaction. */
int bkv_space_refs(struct bkv *b, struct kv_txn *t, const struct backend_batch *batch);
/* The writer: a body was dropped by JOB_DROP. */
void bkv_space_dropped(struct bkv *b, uint64_t body);
/* The writer: one JOB_SPACE in its transaction (perhaps again); and once its fate is known. */
int bkv_space_run(struct bkv *b, struct kv_txn *t, struct job *j);
void bkv_space_ran(struct bkv *b, struct job *j);

#endif
