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
	JOB_DROP,
	JOB_GET, /* from here on: the readers' */
	JOB_SCAN,
	JOB_OBJECTS,
	JOB_BODY_PUT,
	JOB_BODY_GET,
	JOB_SUMMARY,
	JOB_BODIES, /* content: the numbers, as u64 in memory */
	JOB_BACKUP, /* max: enum backend_backup; key, body (a number), off, len */
	JOB_SUMMARIES,
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
};
struct job_queue {
	struct job *first, **end;
};

/* A body written to a segment whose row is not committed yet, or that is being written. */
struct pending {
	struct pending *next, *ready_next;
	bool ready;
	unsigned char sha256[32];
	uint64_t size;
	struct seg_loc loc;
	struct job_queue waiters;
};
enum { PENDING_BUCKETS = 1024, THREADS_MAX = 64 };

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
	struct pending *pending[PENDING_BUCKETS];
	struct pending *ready;
	struct backend_stat stat; /* under mu */
};

void queue_init(struct job_queue *q);
void queue_add(struct job_queue *q, struct job *j);
struct job *queue_take(struct job_queue *q);
/* Hands a finished job to the loop; from any thread. */
void bkv_finish(struct bkv *b, struct job *j);

/* backend_kv_body.c: run by readers. */
void bkv_run_body_put(struct bkv *b, struct job *j);
void bkv_run_body_get(struct bkv *b, struct job *j);
/* backend_kv_body.c: run by the writer. */
struct pending *bkv_ready_take(struct bkv *b);
int bkv_ready_put_rows(struct kv_txn *t, const struct pending *list);
void bkv_ready_committed(struct bkv *b, struct pending *list);
void bkv_ready_back(struct bkv *b, struct pending *list);
int bkv_drop(struct kv_txn *t, uint64_t body);
int bkv_last_body(struct kv *kv, struct seg_loc *loc_out); /* ERR_NOTFOUND: none */
void bkv_bodies_free(struct bkv *b);
/* backend_kv_backup.c */
int bkv_backup_open(struct bkv *b, const char *dir);
void bkv_backup_close(struct bkv *b);
void bkv_run_backup(struct bkv *b, struct job *j); /* run by readers */
/* backend_kv_write.c */
void *bkv_writer_main(void *arg);

#endif
