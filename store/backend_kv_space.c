/* backend_kv_space.c: which bodies may be dropped, and the thread that gets space back (collection, compaction, purge). Runs in stored.
 *
 * A body is dropped by the writer, in the transaction of a JOB_SPACE, when under the lock of the sets (1) nothing marked it: no row seen since marking
 * began names it, and no batch committed since then did; (2) body_put did not hand it out within the grace period. It goes into the set of
 * dropped bodies before that transaction commits, and body_put hands out none of that set: who comes by its digest from then on writes it
 * anew. A batch that names one of them all the same (it had the number from a row that was expunged meanwhile, or was longer under way than the grace
 * period) is refused with ERR_TEMP. So no row ever refers to a body that was dropped, however threads run.
 *
 * Nothing of this outlives the process, nor need it: what was in flight died with it, and a collection begins anew. */
#include "store/backend_kv_space.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/row_bodies.h"

enum { PAUSE_MAX_MS = 1000 };

int64_t
space_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- bodies handed out ---- */

/* With the lock. A body handed out is in one of the two sets for one grace period at least, two at most. */
static void
handed_turn(struct space *s)
{
	int64_t now = space_ms(), period = (int64_t)s->grace_s * 1000;

	if (now - s->turned_ms < period)
		return;
	body_set_free(s->handed[1]);
	s->handed[1] = s->handed[0];
	s->handed[0] = body_set_new();
	if (now - s->turned_ms >= 2 * period) {
		body_set_free(s->handed[1]);
		s->handed[1] = body_set_new();
	}
	s->turned_ms = now;
}

bool
space_is_handed(struct space *s, uint64_t body)
{
	handed_turn(s);
	return body_set_has(s->handed[0], body) || body_set_has(s->handed[1], body);
}

/* The parts that a body's row names; t as in kv_get. */
static int
parts_of(struct bkv *b, struct kv_txn *t, uint64_t body, uint64_t refs[SEG_REFS_MAX], size_t *n_out)
{
	char key[24];
	struct buf v;
	int err;

	*n_out = 0;
	buf_init(&v, BODY_ROW_MAX);
	err = kv_get(b->kv, t, bkv_body_key(body, key), &v);
	if (err == 0)
		err = seg_loc_refs(buf_slice(&v), refs, n_out);
	buf_done(&v);
	return err == ERR_NOTFOUND ? 0 : err;
}

/* No call of the database under the lock: who scans it takes the lock with a page held. */
bool
bkv_space_hand(struct bkv *b, uint64_t body, bool committed)
{
	struct space *s = b->space;
	uint64_t refs[SEG_REFS_MAX + 1];
	size_t n = 0;
	bool ok = true;

	if (committed && parts_of(b, NULL, body, refs, &n) != 0)
		return false;
	refs[n++] = body;
	pthread_mutex_lock(&s->mu);
	for (size_t i = 0; i < n; i++)
		ok = ok && !body_set_has(s->dropped, refs[i]);
	if (ok)
		handed_turn(s);
	for (size_t i = 0; i < n && ok; i++) {
		(void)body_set_add(s->handed[0], refs[i]);
		if (s->marking)
			(void)body_set_add(s->marks, refs[i]);
	}
	pthread_mutex_unlock(&s->mu);
	return ok;
}

unsigned
bkv_space_put_begin(struct bkv *b)
{
	struct space *s = b->space;
	unsigned epoch;

	pthread_mutex_lock(&s->mu);
	epoch = s->epoch;
	s->puts[epoch]++;
	pthread_mutex_unlock(&s->mu);
	return epoch;
}

void
bkv_space_put_end(struct bkv *b, unsigned epoch)
{
	struct space *s = b->space;

	pthread_mutex_lock(&s->mu);
	if (--s->puts[epoch] == 0 && epoch != s->epoch)
		pthread_cond_broadcast(&s->wake);
	pthread_mutex_unlock(&s->mu);
}

/* ---- in the writer ---- */

struct named {
	struct space *s;
	bool dropped;
	struct buf marked; /* u64 each: those without a mark before */
};

static void
named_body(void *arg, uint64_t body)
{
	struct named *n = (struct named *)arg;

	if (body_set_has(n->s->dropped, body))
		n->dropped = true;
	else if (n->s->marking && body_set_add(n->s->marks, body))
		buf_append(&n->marked, &body, sizeof body);
}

/* A composite that nothing named has its parts marked with it. */
static int
mark_with_parts(struct bkv *b, struct kv_txn *t, struct named *n)
{
	int err = n->marked.err;

	for (size_t at = 0; at < n->marked.len && err == 0; at += sizeof(uint64_t)) {
		uint64_t body, refs[SEG_REFS_MAX];
		size_t n_refs;

		memcpy(&body, n->marked.data + at, sizeof body);
		err = parts_of(b, t, body, refs, &n_refs);
		if (err != 0 || n_refs == 0)
			continue;
		pthread_mutex_lock(&n->s->mu);
		for (size_t i = 0; i < n_refs; i++)
			(void)body_set_add(n->s->marks, refs[i]);
		pthread_mutex_unlock(&n->s->mu);
	}
	return err;
}

int
bkv_space_refs(struct bkv *b, struct kv_txn *t, const struct backend_batch *batch)
{
	struct space *s = b->space;
	struct named n = {.s = s};
	int err;

	if (__atomic_load_n(&s->watching, __ATOMIC_ACQUIRE) == 0)
		return 0;
	buf_init(&n.marked, 64 << 20);
	pthread_mutex_lock(&s->mu);
	/* A row that cannot be read here stops the collection when it comes to it. */
	for (size_t i = 0; i < batch->n_puts; i++)
		(void)row_bodies(
		    batch->object, batch->puts[i].key, batch->puts[i].value, named_body, &n);
	pthread_mutex_unlock(&s->mu);
	err = n.dropped ? ERR_TEMP : mark_with_parts(b, t, &n);
	buf_done(&n.marked);
	return err;
}

/* With the lock. */
static void
watch(struct space *s)
{
	__atomic_store_n(
	    &s->watching, s->marking || body_set_count(s->dropped) > 0, __ATOMIC_RELEASE);
}

void
bkv_space_dropped(struct bkv *b, uint64_t body)
{
	struct space *s = b->space;

	pthread_mutex_lock(&s->mu);
	(void)body_set_add(s->dropped, body);
	watch(s);
	pthread_mutex_unlock(&s->mu);
}

/* Whether it may go, from the moment on that it is said; *said: undone with the transaction. */
static bool
drop_begin(struct space *s, uint64_t body, bool any_age, bool *said)
{
	pthread_mutex_lock(&s->mu);
	if (body_set_has(s->marks, body) || body >= s->limit ||
	    (!any_age && space_is_handed(s, body)))
		*said = false;
	else
		*said = body_set_add(s->dropped, body);
	watch(s);
	pthread_mutex_unlock(&s->mu);
	return *said;
}

static void
drops_undo(struct space *s, struct space_step *st)
{
	pthread_mutex_lock(&s->mu);
	for (size_t i = 0; i < st->n; i++)
		if (st->taken[i]) {
			(void)body_set_remove(s->dropped, st->bodies[i]);
			st->taken[i] = false;
		}
	watch(s);
	pthread_mutex_unlock(&s->mu);
}

static int
run_drops(struct bkv *b, struct kv_txn *t, struct space_step *st)
{
	int err = 0;

	drops_undo(b->space, st); /* of an attempt that lost a deadlock */
	for (size_t i = 0; i < st->n && err == 0; i++) {
		uint64_t octets = 0;

		if (!drop_begin(b->space, st->bodies[i], st->any_age, &st->taken[i]))
			continue;
		err = bkv_drop(t, st->bodies[i], &octets);
		if (err == ERR_NOTFOUND) {
			err = 0;
			continue;
		}
		st->changed++;
		st->octets += octets;
	}
	if (err == 0 && st->any_age)
		err = bkv_next_put(t, seg_next(b->seg));
	return err;
}

int
bkv_space_run(struct bkv *b, struct kv_txn *t, struct job *j)
{
	struct space_step *st = j->step;

	st->changed = st->octets = 0;
	switch (st->what) {
	case STEP_DROP:
		return run_drops(b, t, st);
	case STEP_SWITCH:
		for (size_t i = 0; i < st->n; i++) {
			int err = bkv_switch(t, &st->from[i], &st->to[i]);

			if (err != 0 && err != ERR_NOTFOUND && err != ERR_CONFLICT)
				return err;
			if (err == 0) {
				st->changed++;
				st->octets += st->to[i].stored;
			}
		}
		return 0;
	case STEP_FENCE:
		break;
	}
	return 0;
}

void
bkv_space_ran(struct bkv *b, struct job *j)
{
	struct space *s = b->space;
	struct space_step *st = j->step;

	if (j->err != 0 && st->what == STEP_DROP)
		drops_undo(s, st);
	pthread_mutex_lock(&s->mu);
	st->err = j->err;
	st->over = true; /* the job and the step are the waiter's stack */
	pthread_cond_broadcast(&s->wake);
	pthread_mutex_unlock(&s->mu);
}

/* ---- steps ---- */

int
space_step(struct bkv *b, struct space_step *st)
{
	struct space *s = b->space;
	struct job j = {.kind = JOB_SPACE, .fd = -1, .step = st};

	st->over = false;
	bkv_submit(b, &j);
	pthread_mutex_lock(&s->mu);
	while (!st->over)
		pthread_cond_wait(&s->wake, &s->mu);
	pthread_mutex_unlock(&s->mu);
	return st->err;
}

int
space_settle(struct bkv *b)
{
	struct space *s = b->space;
	struct space_step fence = {.what = STEP_FENCE};
	unsigned old;

	pthread_mutex_lock(&s->mu);
	old = s->epoch;
	s->epoch = 1 - old;
	while (s->puts[old] > 0)
		pthread_cond_wait(&s->wake, &s->mu);
	pthread_mutex_unlock(&s->mu);
	return space_step(b, &fence);
}

int
space_pause(struct bkv *b, int64_t t0)
{
	struct space *s = b->space;
	int64_t worked = space_ms() - t0, ms = 0, until;
	struct timespec ts;
	int err;

	if (s->job.pace > 0 && s->job.pace < 100) {
		ms = (worked < 1 ? 1 : worked) * (100 - s->job.pace) / s->job.pace;
		ms = ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : ms;
	}
	until = space_ms() + ms;
	ts.tv_sec = until / 1000;
	ts.tv_nsec = until % 1000 * 1000000;
	pthread_mutex_lock(&s->mu);
	while (ms > 0 && !s->stop && !s->ending &&
	       pthread_cond_timedwait(&s->wake, &s->mu, &ts) != ETIMEDOUT)
		;
	err = s->stop || s->ending ? ERR_CANCELED : 0;
	pthread_mutex_unlock(&s->mu);
	return err;
}

struct walk {
	struct bkv *b;
	kv_row_fn fn;
	void *arg;
	struct buf last;
	uint64_t n;
};

static int
walk_row(void *arg, struct slice key, struct slice value)
{
	struct walk *w = (struct walk *)arg;

	w->n++;
	buf_reset(&w->last);
	buf_append_slice(&w->last, key);
	return w->fn(w->arg, key, value);
}

int
space_walk(struct bkv *b, const char *from, const char *to, kv_row_fn fn, void *arg)
{
	struct walk w = {.b = b, .fn = fn, .arg = arg};
	struct buf at;
	int err;

	buf_init(&w.last, KV_KEY_MAX + 1);
	buf_init(&at, KV_KEY_MAX + 1);
	buf_append_str(&at, from);
	do {
		int64_t t0 = space_ms();

		w.n = 0;
		err = kv_scan(b->kv, NULL, buf_slice(&at), slice_str(to), STEP_ROWS, walk_row, &w);
		buf_reset(&at);
		buf_append_slice(&at, buf_slice(&w.last));
		if (at.len < KV_KEY_MAX)
			buf_append_byte(&at, 0); /* behind it */
		pthread_mutex_lock(&b->space->mu);
		b->space->st.done += w.n;
		pthread_mutex_unlock(&b->space->mu);
		if (err == 0)
			err = space_pause(b, t0);
	} while (err == 0 && w.n == STEP_ROWS);
	buf_done(&w.last);
	buf_done(&at);
	return err;
}

void
space_phase(struct space *s, const char *phase)
{
	pthread_mutex_lock(&s->mu);
	s->st.phase = phase;
	s->st.done = 0;
	pthread_mutex_unlock(&s->mu);
}

int
space_why(struct space *s, int err, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&s->mu);
	va_start(ap, fmt);
	vsnprintf(s->st.why, sizeof s->st.why, fmt, ap);
	va_end(ap);
	pthread_mutex_unlock(&s->mu);
	return err;
}

/* ---- the thread ---- */

static int
run(struct bkv *b)
{
	enum backend_space what = b->space->job.what;
	int err;

	if (what == SPACE_COMPACT)
		return space_compact(b);
	if (what == SPACE_SUMMARIES)
		return space_summaries(b);
	err = space_mark(b);
	if (err == 0 && what != SPACE_PURGE)
		err = space_tally(b);
	if (err == 0 && (what == SPACE_COLLECT || what == SPACE_PURGE))
		err = space_sweep(b);
	space_unmark(b);
	if (err == 0 && what == SPACE_PURGE && !b->space->job.dry_run)
		err = space_erase(b);
	return err;
}

static void
job_over(struct bkv *b, int err)
{
	struct space *s = b->space;
	struct job *asked;

	if (err != 0 && err != ERR_CANCELED)
		log_msg(LOG_LVL_ERROR, "store_space", "%s%s%s", err_name(err),
		    s->st.why[0] == '\0' ? "" : ": ", s->st.why);
	pthread_mutex_lock(&s->mu);
	s->st.running = false;
	s->st.err = err;
	s->st.phase = "";
	asked = s->asked;
	s->asked = NULL;
	free(s->purge);
	s->purge = NULL;
	space_summaries_forget(s);
	s->stop = false;
	pthread_mutex_unlock(&s->mu);
	asked->err = err;
	bkv_finish(b, asked);
}

static void *
space_main(void *arg)
{
	struct bkv *b = (struct bkv *)arg;
	struct space *s = b->space;

	pthread_mutex_lock(&s->mu);
	while (!s->ending) {
		if (s->asked == NULL) {
			pthread_cond_wait(&s->wake, &s->mu);
			continue;
		}
		pthread_mutex_unlock(&s->mu);
		job_over(b, run(b));
		pthread_mutex_lock(&s->mu);
	}
	pthread_mutex_unlock(&s->mu);
	return NULL;
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int
bkv_space_start(struct bkv *b, const struct backend_space_job *job, backend_done_fn fn, void *arg)
{
	struct space *s = b->space;
	struct job *j;
	bool busy;

	if (job->pace > 100 || job->n_bodies > BACKEND_PURGE_MAX || !space_summaries_ok(job) ||
	    (job->what == SPACE_COMPACT && (job->min_live == 0 || job->min_live > 100)))
		return ERR_RANGE;
	j = bkv_job_new(fn, arg);
	pthread_mutex_lock(&s->mu);
	busy = s->asked != NULL;
	if (!busy) {
		s->asked = j;
		s->job = *job;
		s->purge = xcalloc(job->n_bodies + 1, sizeof *s->purge);
		if (job->n_bodies > 0)
			memcpy(s->purge, job->bodies, job->n_bodies * sizeof *s->purge);
		if (job->what == SPACE_SUMMARIES)
			space_summaries_keep(s, job);
		else
			qsort(s->purge, job->n_bodies, sizeof *s->purge, by_number);
		s->job.bodies = s->purge;
		s->st =
		    (struct backend_space_state){.running = true, .what = job->what, .phase = ""};
		pthread_cond_broadcast(&s->wake);
	}
	pthread_mutex_unlock(&s->mu);
	if (busy) {
		j->err = ERR_EXISTS;
		bkv_finish(b, j);
	}
	return 0;
}

void
bkv_space_stop(struct bkv *b)
{
	struct space *s = b->space;

	pthread_mutex_lock(&s->mu);
	s->stop = s->asked != NULL;
	pthread_cond_broadcast(&s->wake);
	pthread_mutex_unlock(&s->mu);
}

void
bkv_space_state(struct bkv *b, struct backend_space_state *out)
{
	pthread_mutex_lock(&b->space->mu);
	*out = b->space->st;
	pthread_mutex_unlock(&b->space->mu);
}

size_t
bkv_space_files(struct bkv *b, uint32_t after, struct backend_file *out, size_t max)
{
	struct space *s = b->space;
	size_t n = 0;

	pthread_mutex_lock(&s->mu);
	for (size_t i = 0; i < s->n_files && n < max; i++)
		if (s->files[i].number > after)
			out[n++] = s->files[i];
	pthread_mutex_unlock(&s->mu);
	return n;
}

int
bkv_space_open(struct bkv *b)
{
	struct space *s = b->space;
	sigset_t all, old;
	int err = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&s->thread, NULL, space_main, b) != 0)
		err = ERR_NOMEM;
	s->thread_on = err == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

void
bkv_space_init(struct bkv *b, const struct backend_kv_options *o)
{
	struct space *s = b->space = xcalloc(1, sizeof *s);
	pthread_condattr_t a;
	struct buf dir;

	pthread_mutex_init(&s->mu, NULL);
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &a);
	pthread_condattr_destroy(&a);
	s->grace_s = o->grace_s;
	buf_init(&dir, 4096);
	buf_appendf(&dir, "%s/db", o->dir);
	s->db_dir = xstrdup(buf_cstr(&dir));
	buf_done(&dir);
	s->turned_ms = space_ms();
	s->handed[0] = body_set_new();
	s->handed[1] = body_set_new();
	s->dropped = body_set_new();
	s->st.phase = "";
}

void
bkv_space_end(struct bkv *b)
{
	struct space *s = b->space;

	if (!s->thread_on)
		return;
	pthread_mutex_lock(&s->mu);
	s->ending = true;
	pthread_cond_broadcast(&s->wake);
	pthread_mutex_unlock(&s->mu);
	pthread_join(s->thread, NULL);
	s->thread_on = false;
	if (s->asked != NULL) { /* never begun */
		bkv_finish(b, s->asked);
		s->asked = NULL;
	}
}

void
bkv_space_free(struct bkv *b)
{
	struct space *s = b->space;

	body_set_free(s->marks);
	body_set_free(s->handed[0]);
	body_set_free(s->handed[1]);
	body_set_free(s->dropped);
	free(s->purge);
	space_summaries_forget(s);
	free(s->parts);
	free(s->files);
	free(s->db_dir);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->mu);
	free(s);
}
