/* backend_kv.c: the embedded backend of the mail store: rows in Berkeley DB (kv_bdb.c), bodies in segments. Runs in stored.
 *
 * Calls make a job and hand it to a thread: reads and bodies to a pool, changes to the one writer (backend_kv_write.c). Finished
 * jobs come back over an eventfd, and their functions are called on the loop in the order in which they ended. A reader
 * sees committed rows only, and a row is committed only together with its sync: nobody is ever shown what a crash could take back. */
#include "store/backend_kv_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"

/* ---- jobs ---- */

void
queue_init(struct job_queue *q)
{
	q->first = NULL;
	q->end = &q->first;
}

void
queue_add(struct job_queue *q, struct job *j)
{
	j->next = NULL;
	*q->end = j;
	q->end = &j->next;
}

struct job *
queue_take(struct job_queue *q)
{
	struct job *j = q->first;

	if (j == NULL)
		return NULL;
	q->first = j->next;
	if (q->first == NULL)
		q->end = &q->first;
	return j;
}

static struct bkv *
bkv_of(struct backend *b)
{
	return (struct bkv *)b;
}

static struct job *
job_new(enum job_kind kind, struct slice object, void *arg)
{
	struct job *j = xcalloc(1, sizeof *j);

	j->kind = kind;
	j->fd = -1;
	j->arg = arg;
	buf_init(&j->object, BACKEND_OBJECT_MAX);
	buf_init(&j->key, BACKEND_VALUE_MAX);
	buf_init(&j->to, BACKEND_KEY_MAX);
	buf_init(&j->content, BACKEND_READ_MAX);
	buf_init(&j->summary, BACKEND_SUMMARY_MAX);
	buf_init(&j->value, BACKEND_READ_MAX);
	buf_append_slice(&j->object, object);
	return j;
}

static void
job_free(struct job *j)
{
	for (size_t i = 0; i < j->n; i++)
		free(j->batches[i]);
	free(j->batches);
	free(j->errs);
	buf_done(&j->object);
	buf_done(&j->key);
	buf_done(&j->to);
	buf_done(&j->content);
	buf_done(&j->summary);
	buf_done(&j->value);
	rows_out_done(&j->rows);
	if (j->fd >= 0)
		close(j->fd);
	free(j);
}

static int
submit(struct backend *be, struct job *j)
{
	struct bkv *b = bkv_of(be);
	bool read = j->kind >= JOB_GET;

	pthread_mutex_lock(&b->mu);
	queue_add(read ? &b->reads : &b->writes, j);
	pthread_mutex_unlock(&b->mu);
	/* outside, so that who wakes need not wait for the lock */
	pthread_cond_signal(read ? &b->read_wake : &b->write_wake);
	return 0;
}

struct job *
bkv_job_new(backend_done_fn fn, void *arg)
{
	struct job *j = job_new(JOB_SPACE, slice_str(""), arg);

	j->done_fn = fn;
	return j;
}

void
bkv_submit(struct bkv *b, struct job *j)
{
	(void)submit(&b->b, j);
}

void
bkv_finish(struct bkv *b, struct job *j)
{
	uint64_t one = 1;
	bool wake;

	pthread_mutex_lock(&b->mu);
	wake = b->done.first == NULL;
	queue_add(&b->done, j);
	pthread_mutex_unlock(&b->mu);
	if (wake && write(b->event_fd, &one, sizeof one) < 0 && errno != EAGAIN)
		fatal("backend: eventfd: %s", strerror(errno));
}

static void
job_tell(struct job *j)
{
	struct slice value = buf_slice(&j->value);

	if (j->group_fn != NULL)
		j->group_fn(j->arg, j->errs, j->n);
	else if (j->kind == JOB_BATCHES && j->done_fn != NULL)
		j->done_fn(j->arg, j->errs[0]);
	else if (j->done_fn != NULL)
		j->done_fn(j->arg, j->err);
	else if (j->value_fn != NULL)
		j->value_fn(j->arg, j->err, j->err == 0 ? value : (struct slice){NULL, 0});
	else if (j->rows_fn != NULL)
		j->rows_fn(
		    j->arg, j->err, j->rows.pairs, j->err == 0 ? j->rows.n : 0, j->rows.more);
	else if (j->body_fn != NULL)
		j->body_fn(j->arg, j->err, j->body);
	job_free(j);
}

static void
on_done(void *arg, int events)
{
	struct bkv *b = (struct bkv *)arg;
	struct job_queue q;
	struct job *j;
	uint64_t n;

	(void)events;
	if (read(b->event_fd, &n, sizeof n) < 0 && errno != EAGAIN)
		fatal("backend: eventfd: %s", strerror(errno));
	pthread_mutex_lock(&b->mu);
	q = b->done;
	if (q.first == NULL)
		q.end = &q.first;
	queue_init(&b->done);
	pthread_mutex_unlock(&b->mu);
	while ((j = queue_take(&q)) != NULL)
		job_tell(j);
}

static void *
reader_main(void *arg)
{
	struct bkv *b = (struct bkv *)arg;
	struct job *j;

	for (;;) {
		pthread_mutex_lock(&b->mu);
		while (b->reads.first == NULL && !b->ending)
			pthread_cond_wait(&b->read_wake, &b->mu);
		j = queue_take(&b->reads);
		pthread_mutex_unlock(&b->mu);
		if (j == NULL)
			return NULL;
		switch (j->kind) {
		case JOB_GET:
			j->err =
			    rows_get(b->kv, buf_slice(&j->object), buf_slice(&j->key), &j->value);
			bkv_finish(b, j);
			break;
		case JOB_SCAN:
			j->err = rows_scan(b->kv, buf_slice(&j->object), buf_slice(&j->key),
			    buf_slice(&j->to), j->max, &j->rows);
			bkv_finish(b, j);
			break;
		case JOB_OBJECTS:
			j->err = rows_objects(
			    b->kv, buf_slice(&j->key), buf_slice(&j->to), j->max, &j->rows);
			bkv_finish(b, j);
			break;
		case JOB_BODY_PUT:
			bkv_run_body_put(b, j);
			break;
		case JOB_BACKUP:
			bkv_run_backup(b, j);
			bkv_finish(b, j);
			break;
		case JOB_REWRAP:
			bkv_run_rewrap(b, j);
			break;
		default:
			bkv_run_body_get(b, j);
		}
	}
}

/* ---- the calls ---- */

static struct job *
batches_job(const struct backend_batch *batches, size_t n, void *arg)
{
	struct job *j;

	for (size_t i = 0; i < n; i++)
		if (!rows_batch_ok(&batches[i]))
			return NULL;
	j = job_new(JOB_BATCHES, slice_str(""), arg);
	j->batches = xcalloc(n, sizeof *j->batches);
	j->errs = xcalloc(n, sizeof *j->errs);
	j->n = n;
	for (size_t i = 0; i < n; i++) {
		size_t bytes;

		j->batches[i] = rows_batch_copy(&batches[i], &bytes);
		j->bytes += bytes;
	}
	return j;
}

static int
kvb_batch(struct backend *b, const struct backend_batch *batch, backend_done_fn fn, void *arg)
{
	struct job *j = batches_job(batch, 1, arg);

	if (j == NULL)
		return ERR_RANGE;
	j->done_fn = fn;
	return submit(b, j);
}

static int
kvb_batch_group(struct backend *b, const struct backend_batch *batches, size_t n,
    void (*fn)(void *arg, const int *errs, size_t n), void *arg)
{
	struct job *j = n == 0 ? NULL : batches_job(batches, n, arg);

	if (j == NULL)
		return ERR_RANGE;
	j->group_fn = fn;
	return submit(b, j);
}

static int
header_job(struct backend *b, enum job_kind kind, struct slice object, struct slice header,
    backend_done_fn fn, void *arg)
{
	struct job *j;

	if (!rows_object_ok(object) || header.len > BACKEND_VALUE_MAX)
		return ERR_RANGE;
	j = job_new(kind, object, arg);
	j->done_fn = fn;
	buf_append_slice(&j->key, header);
	return submit(b, j);
}

static int
kvb_create(
    struct backend *b, struct slice object, struct slice header, backend_done_fn fn, void *arg)
{
	return header_job(b, JOB_CREATE, object, header, fn, arg);
}

static int
kvb_remove(
    struct backend *b, struct slice object, struct slice expect, backend_done_fn fn, void *arg)
{
	return header_job(b, JOB_REMOVE, object, expect, fn, arg);
}

static int
kvb_get(struct backend *b, struct slice object, struct slice key, backend_value_fn fn, void *arg)
{
	struct job *j;

	if (!rows_object_ok(object) || key.len == 0 || key.len > BACKEND_KEY_MAX)
		return ERR_RANGE;
	j = job_new(JOB_GET, object, arg);
	j->value_fn = fn;
	buf_append_slice(&j->key, key);
	return submit(b, j);
}

static int
kvb_scan(struct backend *b, struct slice object, struct slice from, struct slice to, unsigned max,
    backend_rows_fn fn, void *arg)
{
	struct job *j;

	if (!rows_object_ok(object) || max == 0 || max > BACKEND_SCAN_MAX ||
	    from.len > BACKEND_KEY_MAX || to.len > BACKEND_KEY_MAX)
		return ERR_RANGE;
	j = job_new(JOB_SCAN, object, arg);
	j->rows_fn = fn;
	j->max = max;
	buf_append_slice(&j->key, from);
	buf_append_slice(&j->to, to);
	return submit(b, j);
}

static int
kvb_objects(struct backend *b, struct slice prefix, struct slice after, unsigned max,
    backend_rows_fn fn, void *arg)
{
	struct job *j;

	if (max == 0 || max > BACKEND_SCAN_MAX || prefix.len > BACKEND_OBJECT_MAX ||
	    after.len > BACKEND_OBJECT_MAX)
		return ERR_RANGE;
	j = job_new(JOB_OBJECTS, slice_str(""), arg);
	j->rows_fn = fn;
	j->max = max;
	buf_append_slice(&j->key, prefix);
	buf_append_slice(&j->to, after);
	return submit(b, j);
}

static int
kvb_body_put(struct backend *b, const unsigned char sha256[32], struct slice bytes, int fd,
    uint64_t size, struct slice summary, backend_body_fn fn, void *arg)
{
	struct job *j;

	if (summary.len > BACKEND_SUMMARY_MAX ||
	    (fd < 0 && (bytes.len != size || size > BACKEND_READ_MAX)))
		return ERR_RANGE;
	j = job_new(JOB_BODY_PUT, slice_str(""), arg);
	if (fd >= 0 && (j->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0) {
		job_free(j);
		return err_from_errno(errno);
	}
	j->body_fn = fn;
	memcpy(j->sha256, sha256, 32);
	j->size = size;
	if (fd < 0)
		buf_append_slice(&j->content, bytes);
	buf_append_slice(&j->summary, summary);
	return submit(b, j);
}

static int
kvb_body_find(struct backend *b, const unsigned char sha256[32], backend_body_fn fn, void *arg)
{
	struct job *j = job_new(JOB_BODY_FIND, slice_str(""), arg);

	j->body_fn = fn;
	memcpy(j->sha256, sha256, 32);
	return submit(b, j);
}

static int
kvb_body_get(
    struct backend *b, uint64_t body, uint64_t off, uint32_t len, backend_value_fn fn, void *arg)
{
	struct job *j;

	if (len > BACKEND_READ_MAX)
		return ERR_RANGE;
	j = job_new(JOB_BODY_GET, slice_str(""), arg);
	j->value_fn = fn;
	j->body = body;
	j->off = off;
	j->len = len;
	return submit(b, j);
}

static int
kvb_summary_get(struct backend *b, uint64_t body, backend_value_fn fn, void *arg)
{
	struct job *j = job_new(JOB_SUMMARY, slice_str(""), arg);

	j->value_fn = fn;
	j->body = body;
	return submit(b, j);
}

static int
kvb_bodies_get(struct backend *b, const uint64_t *bodies, size_t n, bool summaries,
    backend_value_fn fn, void *arg)
{
	struct job *j;

	if (n == 0 || n > BACKEND_BODIES_MAX)
		return ERR_RANGE;
	j = job_new(JOB_BODIES, slice_str(""), arg);
	j->value_fn = fn;
	j->max = summaries;
	buf_append(&j->content, bodies, n * sizeof *bodies);
	return submit(b, j);
}

int
backend_kv_backup(struct backend *b, enum backend_backup what, struct slice key, uint64_t n,
    uint64_t at, uint32_t len, backend_value_fn fn, void *arg)
{
	struct job *j;

	if (key.len > KV_KEY_MAX || len > BACKEND_READ_MAX)
		return ERR_RANGE;
	j = job_new(JOB_BACKUP, slice_str(""), arg);
	j->value_fn = fn;
	j->max = what;
	j->body = n;
	j->off = at;
	j->len = len;
	buf_append_slice(&j->key, key);
	return submit(b, j);
}

void
backend_kv_pin(struct backend *b, int by)
{
	seg_pin(bkv_of(b)->seg, by);
}

static int
kvb_summaries_get(
    struct backend *b, const uint64_t *bodies, size_t n, backend_value_fn fn, void *arg)
{
	struct job *j;

	if (n == 0 || n > BACKEND_BODIES_MAX)
		return ERR_RANGE;
	j = job_new(JOB_SUMMARIES, slice_str(""), arg);
	j->value_fn = fn;
	buf_append(&j->content, bodies, n * sizeof *bodies);
	return submit(b, j);
}

static int
kvb_upgrade(struct backend *b, struct slice from, bool dry_run, backend_value_fn fn, void *arg)
{
	struct job *j;

	if (from.len > KV_KEY_MAX)
		return ERR_RANGE;
	j = job_new(JOB_UPGRADE, slice_str(""), arg);
	j->value_fn = fn;
	j->max = dry_run;
	buf_append_slice(&j->key, from);
	return submit(b, j);
}

static int
kvb_bodies_check(
    struct backend *b, const uint64_t *bodies, size_t n, bool whole, backend_value_fn fn, void *arg)
{
	struct job *j;

	if (n == 0 || n > BACKEND_BODIES_MAX)
		return ERR_RANGE;
	j = job_new(JOB_CHECK, slice_str(""), arg);
	j->value_fn = fn;
	j->max = whole;
	buf_append(&j->content, bodies, n * sizeof *bodies);
	return submit(b, j);
}

static int
kvb_bodies_after(struct backend *b, uint64_t after, unsigned max, backend_value_fn fn, void *arg)
{
	struct job *j;

	if (max == 0 || max > BACKEND_BODIES_MAX)
		return ERR_RANGE;
	j = job_new(JOB_AFTER, slice_str(""), arg);
	j->value_fn = fn;
	j->body = after;
	j->max = max;
	return submit(b, j);
}

static int
kvb_body_drop(struct backend *b, uint64_t body, backend_done_fn fn, void *arg)
{
	struct job *j = job_new(JOB_DROP, slice_str(""), arg);

	j->done_fn = fn;
	j->body = body;
	return submit(b, j);
}

static int
kvb_space(struct backend *b, const struct backend_space_job *job, backend_done_fn fn, void *arg)
{
	return bkv_space_start(bkv_of(b), job, fn, arg);
}

static void
kvb_space_stop(struct backend *b)
{
	bkv_space_stop(bkv_of(b));
}

static void
kvb_space_state(struct backend *b, struct backend_space_state *out)
{
	bkv_space_state(bkv_of(b), out);
}

static size_t
kvb_space_files(struct backend *b, uint32_t after, struct backend_file *out, size_t max)
{
	return bkv_space_files(bkv_of(b), after, out, max);
}

static int
kvb_watch(struct backend *b, struct slice object, void (*fn)(void *arg, struct slice object),
    void *arg, uint32_t *id_out)
{
	if (!rows_object_ok(object))
		return ERR_RANGE;
	*id_out = hints_watch(bkv_of(b)->hints, object, fn, arg);
	return 0;
}

static void
kvb_unwatch(struct backend *b, uint32_t id)
{
	hints_unwatch(bkv_of(b)->hints, id);
}

static int
kvb_poke(struct backend *b, struct slice object)
{
	if (!rows_object_ok(object))
		return ERR_RANGE;
	hints_poke(bkv_of(b)->hints, object);
	return 0;
}

static void
queue_free(struct job_queue *q)
{
	struct job *j;

	while ((j = queue_take(q)) != NULL)
		job_free(j);
}

/* What was submitted is still done, but nobody is told. */
static void
kvb_close(struct backend *be)
{
	struct bkv *b = bkv_of(be);

	bkv_space_end(b);
	pthread_mutex_lock(&b->mu);
	b->ending = true;
	pthread_cond_broadcast(&b->read_wake);
	pthread_cond_broadcast(&b->write_wake);
	pthread_mutex_unlock(&b->mu);
	for (unsigned i = 0; i < b->n_threads; i++)
		pthread_join(b->threads[i], NULL);
	if (b->writer_on)
		pthread_join(b->writer, NULL);
	loop_fd_free(b->event);
	if (b->event_fd >= 0)
		close(b->event_fd);
	queue_free(&b->reads);
	queue_free(&b->writes);
	queue_free(&b->done);
	bkv_bodies_free(b);
	bkv_space_free(b);
	hints_free(b->hints);
	bkv_backup_close(b);
	kv_close(b->kv); /* syncs the segments for the last time */
	seg_close(b->seg);
	pthread_cond_destroy(&b->read_wake);
	pthread_cond_destroy(&b->write_wake);
	pthread_mutex_destroy(&b->mu);
	pthread_mutex_destroy(&b->body_mu);
	pthread_mutex_destroy(&b->large_mu);
	pthread_cond_destroy(&b->part_wake);
	free(b);
}

static const struct backend_ops kv_backend_ops = {
    .batch = kvb_batch,
    .batch_group = kvb_batch_group,
    .create = kvb_create,
    .remove = kvb_remove,
    .get = kvb_get,
    .scan = kvb_scan,
    .objects = kvb_objects,
    .body_put = kvb_body_put,
    .body_find = kvb_body_find,
    .body_get = kvb_body_get,
    .summary_get = kvb_summary_get,
    .bodies_get = kvb_bodies_get,
    .summaries_get = kvb_summaries_get,
    .bodies_check = kvb_bodies_check,
    .bodies_after = kvb_bodies_after,
    .upgrade = kvb_upgrade,
    .body_drop = kvb_body_drop,
    .space = kvb_space,
    .space_stop = kvb_space_stop,
    .space_state = kvb_space_state,
    .space_files = kvb_space_files,
    .watch = kvb_watch,
    .unwatch = kvb_unwatch,
    .poke = kvb_poke,
    .close = kvb_close,
};

/* ---- opening ---- */

static int
make_dir(const char *dir, const char *sub, char **path_out)
{
	struct buf b;
	int err = 0;

	buf_init(&b, 4096);
	buf_appendf(&b, "%s/%s", dir, sub);
	if (b.err != 0 || (mkdir(buf_cstr(&b), 0700) != 0 && errno != EEXIST))
		err = b.err != 0 ? b.err : err_from_errno(errno);
	if (err == 0)
		*path_out = xstrdup(buf_cstr(&b));
	buf_done(&b);
	return err;
}

/* The names of the two folders outlive a power cut before anything in them does. */
static int
sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd < 0)
		return err_from_errno(errno);
	err = fsync(fd) != 0 ? err_from_errno(errno) : 0;
	close(fd);
	return err;
}

/* The log is about to forget bodies that it holds. */
static void
on_settle(void *arg)
{
	seg_sync((struct seg *)arg);
}

static int
files_open(struct bkv *b, const struct backend_kv_options *o)
{
	struct kv_options ko = {.cache_bytes = o->cache_bytes,
	    .max_writes = o->max_writes == 0 ? 60000 : o->max_writes};
	struct seg_loc last;
	uint64_t next;
	char *db = NULL, *segments = NULL;
	int err;

	if ((err = make_dir(o->dir, "db", &db)) != 0 ||
	    (err = make_dir(o->dir, "segments", &segments)) != 0 || (err = sync_dir(o->dir)) != 0)
		goto out;
	ko.dir = db;
	ko.reserve_bytes = o->reserve / 2;
	ko.notes = true;
	if ((err = kv_bdb_open(&ko, &b->kv)) != 0 || (err = store_format_open(b->kv)) != 0 ||
	    (err = bkv_mend(b->kv, segments)) != 0)
		goto out;
	err = bkv_last_body(b->kv, &last);
	if (err == 0 || err == ERR_NOTFOUND)
		err = seg_open_keys(
		    segments, err == 0 ? &last : NULL, o->segment_max, o->keys, &b->seg);
	if (err == 0 && (err = bkv_next_get(b->kv, &next)) == 0)
		seg_next_at_least(b->seg, next);
	if (err == 0)
		err = bkv_backup_open(b, o->dir);
	if (err == 0 && o->reserve != 0)
		seg_set_reserve(b->seg, o->reserve);
	if (err == 0)
		kv_settle_by(b->kv, on_settle, b->seg);
out:
	free(db);
	free(segments);
	return err;
}

/* Signals are the loop's. */
static int
threads_start(struct bkv *b, unsigned n)
{
	sigset_t all, old;
	int err = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned i = 0; i < n && i < THREADS_MAX && err == 0; i++) {
		if (pthread_create(&b->threads[i], NULL, reader_main, b) != 0)
			err = ERR_NOMEM;
		else
			b->n_threads++;
	}
	if (err == 0 && pthread_create(&b->writer, NULL, bkv_writer_main, b) != 0)
		err = ERR_NOMEM;
	b->writer_on = err == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

int
backend_kv_open(struct loop *l, const struct backend_kv_options *o, struct backend **b_out)
{
	struct bkv *b = xcalloc(1, sizeof *b);
	int err;

	b->b.ops = &kv_backend_ops;
	b->loop = l;
	pthread_mutex_init(&b->mu, NULL);
	pthread_mutex_init(&b->body_mu, NULL);
	pthread_mutex_init(&b->large_mu, NULL);
	pthread_cond_init(&b->part_wake, NULL);
	pthread_cond_init(&b->read_wake, NULL);
	pthread_cond_init(&b->write_wake, NULL);
	queue_init(&b->reads);
	queue_init(&b->writes);
	queue_init(&b->done);
	b->hints = hints_new(l);
	bkv_space_init(b, o);
	b->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->event_fd < 0) {
		err = err_from_errno(errno);
		goto out;
	}
	b->event = loop_fd_new(l, b->event_fd, on_done, b);
	loop_fd_want(b->event, LOOP_READ);
	if ((err = files_open(b, o)) != 0 || (err = threads_start(b, o->threads)) != 0 ||
	    (err = bkv_space_open(b)) != 0)
		goto out;
	*b_out = &b->b;
	return 0;
out:
	kvb_close(&b->b);
	return err;
}

int
backend_kv_rewrap(struct backend *be, uint32_t after, backend_value_fn fn, void *arg)
{
	struct job *j = job_new(JOB_REWRAP, slice_str(""), arg);

	j->value_fn = fn;
	j->body = after;
	return submit(be, j);
}

void
backend_kv_stat(struct backend *be, struct backend_stat *st_out)
{
	struct bkv *b = bkv_of(be);
	uint32_t file;

	pthread_mutex_lock(&b->mu);
	*st_out = b->stat;
	pthread_mutex_unlock(&b->mu);
	seg_stat(b->seg, &st_out->segment_bytes, &file);
}
