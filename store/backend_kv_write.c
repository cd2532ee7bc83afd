/* backend_kv_write.c: the one thread of stored that commits. Group commit: everything that was submitted while a commit was running
 * forms the next one: one sync of the segments when a body is too large for the log, then one transaction with one sync of the log. Batches of a group are conditional
 * each by itself: one whose condition does not hold changes nothing and does not disturb the others. */
#include "store/backend_kv_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum {
	GROUP_JOBS = 1024,
	GROUP_BYTES = 32 << 20,
	DEADLOCK_RETRIES = 1000,
};

struct group {
	struct job *jobs[GROUP_JOBS];
	size_t n;
	struct pending *bodies;
};

static void
group_fill(struct bkv *b, struct group *g)
{
	size_t bytes = 0;

	g->n = 0;
	pthread_mutex_lock(&b->mu);
	while (b->writes.first == NULL && !b->ending)
		pthread_cond_wait(&b->write_wake, &b->mu);
	while (g->n < GROUP_JOBS && b->writes.first != NULL &&
	       (g->n == 0 || bytes + b->writes.first->bytes <= GROUP_BYTES)) {
		bytes += b->writes.first->bytes;
		g->jobs[g->n++] = queue_take(&b->writes);
	}
	pthread_mutex_unlock(&b->mu);
}

static int
run_job(struct bkv *b, struct kv_txn *t, struct job *j)
{
	int err = 0;

	switch (j->kind) {
	case JOB_BATCHES:
		for (size_t i = 0; i < j->n && (err == 0 || rows_is_verdict(err)); i++) {
			int refs = bkv_space_refs(b, t, j->batches[i]);

			j->errs[i] = refs;
			if (refs == 0)
				err = j->errs[i] = rows_apply(t, j->batches[i]);
			else if (refs != ERR_TEMP)
				err = refs;
		}
		break;
	case JOB_CREATE:
		err = j->err = rows_create(t, buf_slice(&j->object), buf_slice(&j->key));
		break;
	case JOB_REMOVE:
		err = j->err = rows_remove(t, buf_slice(&j->object), buf_slice(&j->key));
		break;
	case JOB_PURGE:
		err = j->err = rows_purge(b->kv, t, buf_slice(&j->object), &j->more);
		break;
	case JOB_UPGRADE:
		err = j->err =
		    store_upgrade_step(b->kv, t, buf_slice(&j->key), j->max != 0, &j->value);
		break;
	case JOB_DROP:
		err = j->err = bkv_drop(t, j->body, NULL);
		if (err == 0)
			bkv_space_dropped(b, j->body);
		if (err == ERR_NOTFOUND)
			err = 0;
		break;
	case JOB_SPACE:
		err = j->err = bkv_space_run(b, t, j);
		break;
	default:
		assert(!"not a writer's job");
	}
	return rows_is_verdict(err) ? 0 : err;
}

static void
job_failed(struct job *j, int err)
{
	j->err = err;
	for (size_t i = 0; i < j->n; i++)
		j->errs[i] = err;
}

/* Jobs [from, to) in one transaction. 0, or an error: nothing of them was done. */
static int
commit_jobs(struct bkv *b, struct group *g, size_t from, size_t to)
{
	struct kv_txn *t;
	int err;

	for (unsigned tries = 0;; tries++) {
		if ((err = kv_begin(b->kv, &t)) != 0)
			return err;
		err = bkv_ready_put_rows(t, g->bodies);
		for (size_t i = from; i < to && err == 0; i++)
			err = run_job(b, t, g->jobs[i]);
		if (err == 0)
			err = kv_commit(t, true);
		else
			kv_abort(t);
		if (err != ERR_AGAIN || tries >= DEADLOCK_RETRIES)
			break;
	}
	if (err == 0) {
		bkv_ready_committed(b, g->bodies);
		g->bodies = NULL;
	}
	return err == ERR_AGAIN ? ERR_TEMP : err;
}

static void
group_commit(struct bkv *b, struct group *g)
{
	int err;

	g->bodies = bkv_ready_take(b);
	if (bkv_ready_needs_sync(g->bodies))
		seg_sync(b->seg);
	err = commit_jobs(b, g, 0, g->n);
	if (err != 0 && g->n > 1) {
		/* One of them may be what does not fit: each by itself. */
		for (size_t i = 0; i < g->n; i++)
			if ((err = commit_jobs(b, g, i, i + 1)) != 0)
				job_failed(g->jobs[i], err);
	} else if (err != 0) {
		job_failed(g->jobs[0], err);
	}
	if (err != 0)
		log_msg(LOG_LVL_ERROR, "store_commit", "%s", err_name(err));
	if (g->bodies != NULL)
		bkv_ready_back(b, g->bodies);
}

/* A removed object is purged in steps, each in a group of its own, so that nobody waits for it. */
static struct job *
purge_job(struct slice object)
{
	struct job *j = xcalloc(1, sizeof *j);

	j->kind = JOB_PURGE;
	j->fd = -1;
	buf_init(&j->object, BACKEND_OBJECT_MAX);
	buf_append_slice(&j->object, object);
	return j;
}

static int
purge_found(void *arg, struct slice key, struct slice value)
{
	struct bkv *b = (struct bkv *)arg;

	(void)value;
	queue_add(&b->writes, purge_job(slice_from(key, 2)));
	return 0;
}

static void
job_end(struct bkv *b, struct job *j)
{
	struct job *purge = NULL;

	if (j->kind == JOB_SPACE) {
		bkv_space_ran(b, j);
		return;
	}
	if (j->kind == JOB_PURGE && j->err == 0 && j->more)
		purge = j;
	else if (j->kind == JOB_REMOVE && j->err == 0)
		purge = purge_job(buf_slice(&j->object));
	if (purge != NULL) {
		pthread_mutex_lock(&b->mu);
		queue_add(&b->writes, purge);
		pthread_mutex_unlock(&b->mu);
	}
	if (purge != j)
		bkv_finish(b, j);
}

void *
bkv_writer_main(void *arg)
{
	struct bkv *b = (struct bkv *)arg;
	struct group *g = xcalloc(1, sizeof *g);

	pthread_mutex_lock(&b->mu);
	(void)kv_scan(b->kv, NULL, slice_str("z/"), slice_str("z0"), 0, purge_found, b);
	pthread_mutex_unlock(&b->mu);
	for (;;) {
		group_fill(b, g);
		if (g->n == 0)
			break;
		group_commit(b, g);
		pthread_mutex_lock(&b->mu);
		b->stat.groups++;
		b->stat.batches += g->n;
		pthread_mutex_unlock(&b->mu);
		for (size_t i = 0; i < g->n; i++)
			job_end(b, g->jobs[i]);
	}
	free(g);
	return NULL;
}
