/* backend_mem.c: backend.h in memory, the twin of backend_kv.c for tests: what is asked is done at once in a kv_mem, and told later from
 * the loop. Shares the rules of rows with it (backend_rows.c), and no threads, files or grouping. */
#include "store/backend_priv.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/row_bodies.h"

struct body {
	unsigned char sha256[32];
	struct buf bytes, summary;
	bool dropped;
};
struct told {
	struct told *next;
	backend_done_fn done_fn;
	backend_value_fn value_fn;
	backend_rows_fn rows_fn;
	backend_body_fn body_fn;
	void (*group_fn)(void *arg, const int *errs, size_t n);
	void *arg;
	int err;
	struct buf value;
	struct rows_out rows;
	uint64_t body;
	int *errs;
	size_t n;
};
struct bmem {
	struct backend b;
	struct kv *kv;
	struct hints *hints;
	struct loop_defer *defer;
	struct told *first, **end;
	struct body *bodies; /* number - 1 */
	size_t n_bodies;
	struct backend_space_state space; /* of the last job */
	bool *marks;                      /* while one runs */
	struct row_counts counts;         /* of the last job: of texts alone they are told */
};

static struct bmem *
mem_of(struct backend *b)
{
	return (struct bmem *)b;
}

static void
told_free(struct told *t)
{
	buf_done(&t->value);
	rows_out_done(&t->rows);
	free(t->errs);
	free(t);
}

static void
tell(void *arg)
{
	struct bmem *m = (struct bmem *)arg;
	struct told *t, *list = m->first;

	m->first = NULL;
	m->end = &m->first;
	while ((t = list) != NULL) {
		list = t->next;
		if (t->group_fn != NULL)
			t->group_fn(t->arg, t->errs, t->n);
		else if (t->done_fn != NULL)
			t->done_fn(t->arg, t->err);
		else if (t->value_fn != NULL)
			t->value_fn(
			    t->arg, t->err, t->err == 0 ? buf_slice(&t->value) : slice_of(NULL, 0));
		else if (t->rows_fn != NULL)
			t->rows_fn(t->arg, t->err, t->rows.pairs, t->rows.n, t->rows.more);
		else if (t->body_fn != NULL)
			t->body_fn(t->arg, t->err, t->body);
		told_free(t);
	}
}

static struct told *
told_new(struct backend *b, int err, void *arg)
{
	struct bmem *m = mem_of(b);
	struct told *t = xcalloc(1, sizeof *t);

	t->err = err;
	t->arg = arg;
	buf_init(&t->value, BACKEND_READ_MAX);
	*m->end = t;
	m->end = &t->next;
	loop_defer_set(m->defer);
	return t;
}

struct named {
	struct bmem *m;
	bool dropped;
};

static void
named_body(void *arg, uint64_t body)
{
	struct named *n = arg;

	if (body > 0 && body <= n->m->n_bodies && n->m->bodies[body - 1].dropped)
		n->dropped = true;
}

static bool
names_dropped(struct bmem *m, const struct backend_batch *b)
{
	struct named n = {m, false};

	for (size_t i = 0; i < b->n_puts; i++)
		(void)row_bodies(b->object, b->puts[i].key, b->puts[i].value, named_body, &n);
	return n.dropped;
}

/* Runs one change in a transaction of its own. */
static int
change(struct backend *b, const struct backend_batch *batch, struct slice object,
    struct slice header, bool create)
{
	struct kv_txn *t;
	int err;

	if (batch != NULL && names_dropped(mem_of(b), batch))
		return ERR_TEMP;
	err = kv_begin(mem_of(b)->kv, &t);
	if (err != 0)
		return err;
	if (batch != NULL)
		err = rows_apply(t, batch);
	else
		err = create ? rows_create(t, object, header) : rows_remove(t, object, header);
	if (err == 0)
		return kv_commit(t, true);
	kv_abort(t);
	return err;
}

static int
mem_batch(struct backend *b, const struct backend_batch *batch, backend_done_fn fn, void *arg)
{
	if (!rows_batch_ok(batch))
		return ERR_RANGE;
	told_new(b, change(b, batch, batch->object, batch->expect, false), arg)->done_fn = fn;
	return 0;
}

static int
mem_batch_group(struct backend *b, const struct backend_batch *batches, size_t n,
    void (*fn)(void *arg, const int *errs, size_t n), void *arg)
{
	struct told *t;

	for (size_t i = 0; i < n; i++)
		if (!rows_batch_ok(&batches[i]))
			return ERR_RANGE;
	if (n == 0)
		return ERR_RANGE;
	t = told_new(b, 0, arg);
	t->group_fn = fn;
	t->n = n;
	t->errs = xcalloc(n, sizeof *t->errs);
	for (size_t i = 0; i < n; i++)
		t->errs[i] = change(b, &batches[i], batches[i].object, batches[i].expect, false);
	return 0;
}

static int
mem_create(
    struct backend *b, struct slice object, struct slice header, backend_done_fn fn, void *arg)
{
	if (!rows_object_ok(object) || header.len > BACKEND_VALUE_MAX)
		return ERR_RANGE;
	told_new(b, change(b, NULL, object, header, true), arg)->done_fn = fn;
	return 0;
}

static int
mem_remove(
    struct backend *b, struct slice object, struct slice expect, backend_done_fn fn, void *arg)
{
	struct kv_txn *t;
	bool more = true;
	int err;

	if (!rows_object_ok(object))
		return ERR_RANGE;
	err = change(b, NULL, object, expect, false);
	while (err == 0 && more && (err = kv_begin(mem_of(b)->kv, &t)) == 0) {
		err = rows_purge(t->kv, t, object, &more);
		if (err == 0)
			err = kv_commit(t, true);
		else
			kv_abort(t);
	}
	told_new(b, err, arg)->done_fn = fn;
	return 0;
}

static int
mem_get(struct backend *b, struct slice object, struct slice key, backend_value_fn fn, void *arg)
{
	struct told *t;

	if (!rows_object_ok(object) || key.len == 0 || key.len > BACKEND_KEY_MAX)
		return ERR_RANGE;
	t = told_new(b, 0, arg);
	t->value_fn = fn;
	t->err = rows_get(mem_of(b)->kv, object, key, &t->value);
	return 0;
}

static int
mem_scan(struct backend *b, struct slice object, struct slice from, struct slice to, unsigned max,
    backend_rows_fn fn, void *arg)
{
	struct told *t;

	if (!rows_object_ok(object) || max == 0 || max > BACKEND_SCAN_MAX ||
	    from.len > BACKEND_KEY_MAX || to.len > BACKEND_KEY_MAX)
		return ERR_RANGE;
	t = told_new(b, 0, arg);
	t->rows_fn = fn;
	t->err = rows_scan(mem_of(b)->kv, object, from, to, max, &t->rows);
	return 0;
}

static int
mem_objects(struct backend *b, struct slice prefix, struct slice after, unsigned max,
    backend_rows_fn fn, void *arg)
{
	struct told *t;

	if (max == 0 || max > BACKEND_SCAN_MAX || prefix.len > BACKEND_OBJECT_MAX ||
	    after.len > BACKEND_OBJECT_MAX)
		return ERR_RANGE;
	t = told_new(b, 0, arg);
	t->rows_fn = fn;
	t->err = rows_objects(mem_of(b)->kv, prefix, after, max, &t->rows);
	return 0;
}

/* Gives the new body's bytes, read from the file when there is one. */
static int
content(struct slice bytes, int fd, uint64_t size, struct buf *out)
{
	unsigned char *p;

	buf_init(out, (size_t)size + 1);
	if (fd < 0)
		return buf_append_slice(out, bytes);
	p = buf_reserve(out, (size_t)size);
	if (p == NULL)
		return out->err;
	if (pread(fd, p, (size_t)size, 0) != (ssize_t)size)
		return ERR_EOF;
	buf_commit(out, (size_t)size);
	return 0;
}

static int
body_add(struct bmem *m, const unsigned char sha256[32], struct slice bytes, int fd, uint64_t size,
    struct slice summary, uint64_t *body_out)
{
	unsigned char digest[32];
	struct body n = {.dropped = false};
	int err;

	*body_out = 0;
	err = content(bytes, fd, size, &n.bytes);
	if (err == 0) {
		sha256_of(buf_slice(&n.bytes), digest);
		if (memcmp(digest, sha256, 32) != 0)
			err = ERR_CORRUPT;
	}
	for (size_t i = 0; i < m->n_bodies && err == 0; i++)
		if (!m->bodies[i].dropped && memcmp(m->bodies[i].sha256, sha256, 32) == 0)
			*body_out = i + 1;
	if (err != 0 || *body_out != 0) {
		buf_done(&n.bytes);
		return err;
	}
	memcpy(n.sha256, sha256, 32);
	buf_init(&n.summary, BACKEND_SUMMARY_MAX);
	buf_append_slice(&n.summary, summary);
	m->bodies = xrealloc(m->bodies, (m->n_bodies + 1) * sizeof *m->bodies);
	m->bodies[m->n_bodies++] = n;
	*body_out = m->n_bodies;
	return 0;
}

static int
mem_body_put(struct backend *b, const unsigned char sha256[32], struct slice bytes, int fd,
    uint64_t size, struct slice summary, backend_body_fn fn, void *arg)
{
	struct told *t;

	if (summary.len > BACKEND_SUMMARY_MAX ||
	    (fd < 0 && (bytes.len != size || size > BACKEND_READ_MAX)))
		return ERR_RANGE;
	t = told_new(b, 0, arg);
	t->body_fn = fn;
	t->err = body_add(mem_of(b), sha256, bytes, fd, size, summary, &t->body);
	return 0;
}

static int
mem_body_find(struct backend *b, const unsigned char sha256[32], backend_body_fn fn, void *arg)
{
	struct bmem *m = mem_of(b);
	struct told *t = told_new(b, ERR_NOTFOUND, arg);

	t->body_fn = fn;
	for (size_t i = 0; i < m->n_bodies && t->err != 0; i++)
		if (!m->bodies[i].dropped && memcmp(m->bodies[i].sha256, sha256, 32) == 0) {
			t->err = 0;
			t->body = i + 1;
		}
	return 0;
}

static struct body *
body_find(struct backend *b, uint64_t body)
{
	struct bmem *m = mem_of(b);

	return body == 0 || body > m->n_bodies || m->bodies[body - 1].dropped
		   ? NULL
		   : &m->bodies[body - 1];
}

static int
mem_body_get(
    struct backend *b, uint64_t body, uint64_t off, uint32_t len, backend_value_fn fn, void *arg)
{
	const struct body *bo = body_find(b, body);
	struct told *t;

	if (len > BACKEND_READ_MAX)
		return ERR_RANGE;
	t = told_new(b, bo == NULL ? ERR_NOTFOUND : 0, arg);
	t->value_fn = fn;
	if (bo != NULL)
		buf_append_slice(&t->value, slice_sub(buf_slice(&bo->bytes), (size_t)off, len));
	return 0;
}

static int
mem_summary_get(struct backend *b, uint64_t body, backend_value_fn fn, void *arg)
{
	const struct body *bo = body_find(b, body);
	struct told *t = told_new(b, bo == NULL ? ERR_NOTFOUND : 0, arg);

	t->value_fn = fn;
	if (bo != NULL)
		buf_append_slice(&t->value, buf_slice(&bo->summary));
	return 0;
}

static int
read_whole(void *arg, uint64_t body, bool summary, struct buf *out, uint32_t *summary_len_out)
{
	const struct body *bo = body_find(arg, body);

	if (bo == NULL)
		return ERR_NOTFOUND;
	if (bo->bytes.len > BACKEND_WHOLE_MAX || bo->summary.len > BACKEND_WHOLE_MAX)
		return ERR_LIMIT;
	*summary_len_out = summary ? (uint32_t)bo->summary.len : 0;
	if (summary)
		buf_append_slice(out, buf_slice(&bo->summary));
	return buf_append_slice(out, buf_slice(&bo->bytes));
}

static int
mem_bodies_get(struct backend *b, const uint64_t *bodies, size_t n, bool summaries,
    backend_value_fn fn, void *arg)
{
	struct told *t;

	if (n == 0 || n > BACKEND_BODIES_MAX)
		return ERR_RANGE;
	t = told_new(b, 0, arg);
	t->value_fn = fn;
	for (size_t i = 0; i < n; i++)
		bodies_put(&t->value, read_whole, b, bodies[i], summaries);
	return 0;
}

static void
body_forget(struct body *bo)
{
	bo->dropped = true;
	buf_done(&bo->bytes);
	buf_done(&bo->summary);
}

static int
read_summary(void *arg, uint64_t body, bool summary, struct buf *out, uint32_t *summary_len_out)
{
	const struct body *bo = body_find(arg, body);

	(void)summary;
	if (bo == NULL)
		return ERR_NOTFOUND;
	if (bo->summary.len > BACKEND_WHOLE_MAX)
		return ERR_LIMIT;
	*summary_len_out = (uint32_t)bo->summary.len;
	return buf_append_slice(out, buf_slice(&bo->summary));
}

static int
mem_summaries_get(
    struct backend *b, const uint64_t *bodies, size_t n, backend_value_fn fn, void *arg)
{
	struct told *t;

	if (n == 0 || n > BACKEND_BODIES_MAX)
		return ERR_RANGE;
	t = told_new(b, 0, arg);
	t->value_fn = fn;
	for (size_t i = 0; i < n; i++)
		bodies_put(&t->value, read_summary, b, bodies[i], true);
	return 0;
}

static int
mem_upgrade(struct backend *b, struct slice from, bool dry_run, backend_value_fn fn, void *arg)
{
	struct bmem *m = mem_of(b);
	struct kv_txn *t;
	struct told *told;

	if (from.len > KV_KEY_MAX)
		return ERR_RANGE;
	told = told_new(b, 0, arg);
	told->value_fn = fn;
	told->err = kv_begin(m->kv, &t);
	if (told->err != 0)
		return 0;
	told->err = store_upgrade_step(m->kv, t, from, dry_run, &told->value);
	if (told->err == 0)
		told->err = kv_commit(t, true);
	else
		kv_abort(t);
	return 0;
}

static int
mem_bodies_check(
    struct backend *b, const uint64_t *bodies, size_t n, bool whole, backend_value_fn fn, void *arg)
{
	struct told *t;

	(void)whole;
	if (n == 0 || n > BACKEND_BODIES_MAX)
		return ERR_RANGE;
	t = told_new(b, 0, arg);
	t->value_fn = fn;
	for (size_t i = 0; i < n; i++) {
		const struct body *bo = body_find(b, bodies[i]);
		struct backend_checked c = {
		    .err = bo == NULL ? ERR_NOTFOUND : 0, .size = bo == NULL ? 0 : bo->bytes.len};

		buf_append(&t->value, &c, sizeof c);
	}
	return 0;
}

static int
mem_bodies_after(struct backend *b, uint64_t after, unsigned max, backend_value_fn fn, void *arg)
{
	uint64_t last = mem_of(b)->n_bodies, n = 0;
	struct told *t;

	if (max == 0 || max > BACKEND_BODIES_MAX)
		return ERR_RANGE;
	t = told_new(b, 0, arg);
	t->value_fn = fn;
	while (last > 0 && body_find(b, last) == NULL)
		last--;
	buf_append(&t->value, &last, sizeof last);
	for (uint64_t i = after + 1; i <= last && n < max; i++)
		if (body_find(b, i) != NULL) {
			buf_append(&t->value, &i, sizeof i);
			n++;
		}
	return 0;
}

static int
mem_body_drop(struct backend *b, uint64_t body, backend_done_fn fn, void *arg)
{
	struct body *bo = body_find(b, body);

	told_new(b, bo == NULL ? ERR_NOTFOUND : 0, arg)->done_fn = fn;
	if (bo != NULL)
		body_forget(bo);
	return 0;
}

/* ---- space: there are no files, and no grace period ---- */

static void
mark_body(void *arg, uint64_t body)
{
	struct bmem *m = arg;

	m->space.references++;
	if (body > 0 && body <= m->n_bodies && !m->marks[body - 1]) {
		m->marks[body - 1] = true;
		m->space.referred++;
	}
}

static int
mark_row(void *arg, struct slice key, struct slice value)
{
	struct slice object = slice_from(key, 2);
	ptrdiff_t at = slice_index(object, '/');
	struct bmem *m = arg;
	int err = rows_open(key, value, &value);
	struct slice row = slice_from(object, (size_t)at + 1);
	uint64_t of;

	if (err != 0)
		return err;
	object.len = (size_t)at;
	row_count(object, row, value, &m->counts);
	if (row_is_weak(object, row, &of) && (of == 0 || of > m->n_bodies || !m->marks[of - 1]))
		return 0;
	return row_bodies(object, row, value, mark_body, arg);
}

static bool
is_asked(const struct backend_space_job *job, uint64_t body)
{
	for (size_t i = 0; i < job->n_bodies; i++)
		if (job->bodies[i] == body)
			return true;
	return job->what == SPACE_COLLECT;
}

static void
mem_summaries(struct bmem *m, const struct backend_space_job *job)
{
	for (size_t i = 0; i < job->n_bodies; i++) {
		struct body *bo;

		if (job->bodies[i] == 0 || job->bodies[i] > m->n_bodies)
			continue;
		bo = &m->bodies[job->bodies[i] - 1];
		if (bo->dropped)
			continue;
		buf_done(&bo->summary);
		buf_init(&bo->summary, BACKEND_SUMMARY_MAX);
		buf_append_slice(&bo->summary, job->summaries[i]);
		m->space.copied++;
	}
}

static int
mem_space(struct backend *b, const struct backend_space_job *job, backend_done_fn fn, void *arg)
{
	struct bmem *m = mem_of(b);
	struct backend_space_state *st = &m->space;
	int err;

	if (job->pace > 100 || job->n_bodies > BACKEND_PURGE_MAX || !space_summaries_ok(job) ||
	    (job->what == SPACE_COMPACT && (job->min_live == 0 || job->min_live > 100)))
		return ERR_RANGE;
	*st = (struct backend_space_state){.what = job->what, .phase = ""};
	if (job->what == SPACE_SUMMARIES) {
		mem_summaries(m, job);
		told_new(b, 0, arg)->done_fn = fn;
		return 0;
	}
	m->marks = xcalloc(m->n_bodies + 1, sizeof *m->marks);
	m->counts = (struct row_counts){.rows = 0};
	err = kv_scan(m->kv, NULL, slice_str("r/"), slice_str("r0"), 0, mark_row, m);
	for (uint64_t body = 1; body <= m->n_bodies && err == 0; body++) {
		struct body *bo = &m->bodies[body - 1];
		bool asked = is_asked(job, body) && !bo->dropped;

		st->bodies += !bo->dropped;
		st->dead += !bo->dropped && !m->marks[body - 1];
		st->purge_left += asked && m->marks[body - 1] && job->what == SPACE_PURGE;
		if (!asked || m->marks[body - 1] || job->dry_run)
			continue;
		st->dropped++;
		body_forget(bo);
	}
	free(m->marks);
	m->marks = NULL;
	st->texts_wanted = m->counts.texts_wanted;
	st->texts_read = m->counts.texts_read;
	st->texts_none = m->counts.texts_none;
	st->texts_failed = m->counts.texts_failed;
	st->texts_since = m->counts.texts_since;
	st->err = err;
	told_new(b, err, arg)->done_fn = fn;
	return 0;
}

static void
mem_space_stop(struct backend *b)
{
	(void)b; /* it is over before anybody can ask */
}

static void
mem_space_state(struct backend *b, struct backend_space_state *out)
{
	*out = mem_of(b)->space;
}

static size_t
mem_space_files(struct backend *b, uint32_t after, struct backend_file *out, size_t max)
{
	(void)b;
	(void)after;
	(void)out;
	(void)max;
	return 0;
}

static int
mem_watch(struct backend *b, struct slice object, void (*fn)(void *arg, struct slice object),
    void *arg, uint32_t *id_out)
{
	if (!rows_object_ok(object))
		return ERR_RANGE;
	*id_out = hints_watch(mem_of(b)->hints, object, fn, arg);
	return 0;
}

static void
mem_unwatch(struct backend *b, uint32_t id)
{
	hints_unwatch(mem_of(b)->hints, id);
}

static int
mem_poke(struct backend *b, struct slice object)
{
	if (!rows_object_ok(object))
		return ERR_RANGE;
	hints_poke(mem_of(b)->hints, object);
	return 0;
}

static void
mem_close(struct backend *b)
{
	struct bmem *m = mem_of(b);
	struct told *t;

	while ((t = m->first) != NULL) {
		m->first = t->next;
		told_free(t);
	}
	for (size_t i = 0; i < m->n_bodies; i++) {
		buf_done(&m->bodies[i].bytes);
		buf_done(&m->bodies[i].summary);
	}
	free(m->bodies);
	loop_defer_free(m->defer);
	hints_free(m->hints);
	kv_close(m->kv);
	free(m);
}

static const struct backend_ops mem_backend_ops = {
    .batch = mem_batch,
    .batch_group = mem_batch_group,
    .create = mem_create,
    .remove = mem_remove,
    .get = mem_get,
    .scan = mem_scan,
    .objects = mem_objects,
    .body_put = mem_body_put,
    .body_find = mem_body_find,
    .body_get = mem_body_get,
    .summary_get = mem_summary_get,
    .bodies_get = mem_bodies_get,
    .summaries_get = mem_summaries_get,
    .bodies_check = mem_bodies_check,
    .bodies_after = mem_bodies_after,
    .upgrade = mem_upgrade,
    .body_drop = mem_body_drop,
    .space = mem_space,
    .space_stop = mem_space_stop,
    .space_state = mem_space_state,
    .space_files = mem_space_files,
    .watch = mem_watch,
    .unwatch = mem_unwatch,
    .poke = mem_poke,
    .close = mem_close,
};

int
backend_mem_open(struct loop *l, struct backend **b_out)
{
	struct bmem *m = xcalloc(1, sizeof *m);

	m->b.ops = &mem_backend_ops;
	kv_mem_open(&m->kv);
	m->hints = hints_new(l);
	m->defer = loop_defer_new(l, tell, m);
	m->end = &m->first;
	*b_out = &m->b;
	return 0;
}
