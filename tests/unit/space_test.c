/* space_test.c: collection of bodies over both backends; and, over the embedded one, threads held at the bad moments: the functions that
 * they pass are wrapped when this program is linked (store/local.mk). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/backend_kv_priv.h"
#include "store/row.h"

struct fix {
	struct loop *l;
	struct backend *b;
	char dir[64];
	bool mem;
	unsigned grace;
};
struct got {
	int n, err;
	uint64_t body;
	struct buf value;
};

/* ---- a gate: a thread that comes to it is held until the test lets it go ---- */

static struct gate {
	pthread_mutex_t mu;
	pthread_cond_t cond;
	const char *at;     /* where the next one is held; NULL: nobody is */
	const char *object; /* how it begins */
	bool held;
} G = {.mu = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

static void
gate(const char *at, struct slice object)
{
	pthread_mutex_lock(&G.mu);
	if (G.at != NULL && strcmp(G.at, at) == 0 &&
	    (G.object == NULL || slice_starts(object, G.object))) {
		G.held = true;
		pthread_cond_broadcast(&G.cond);
		while (G.held)
			pthread_cond_wait(&G.cond, &G.mu);
	}
	pthread_mutex_unlock(&G.mu);
}

static void
gate_set(const char *at, const char *object)
{
	pthread_mutex_lock(&G.mu);
	G.at = at;
	G.object = object;
	G.held = false;
	pthread_mutex_unlock(&G.mu);
}

/* Until somebody stands there; from then on others pass. */
static void
gate_wait(void)
{
	pthread_mutex_lock(&G.mu);
	while (!G.held)
		pthread_cond_wait(&G.cond, &G.mu);
	G.at = NULL;
	pthread_mutex_unlock(&G.mu);
}

static void
gate_open(void)
{
	pthread_mutex_lock(&G.mu);
	G.held = false;
	pthread_cond_broadcast(&G.cond);
	pthread_mutex_unlock(&G.mu);
}

bool __real_bkv_space_hand(struct bkv *b, uint64_t body, bool committed);
bool __wrap_bkv_space_hand(struct bkv *b, uint64_t body, bool committed);
bool
__wrap_bkv_space_hand(struct bkv *b, uint64_t body, bool committed)
{
	gate("hand", slice_str(""));
	return __real_bkv_space_hand(b, body, committed);
}

int __real_kv_scan(struct kv *kv, struct kv_txn *t, struct slice from, struct slice to, size_t max,
    kv_row_fn fn, void *arg);
int __wrap_kv_scan(struct kv *kv, struct kv_txn *t, struct slice from, struct slice to, size_t max,
    kv_row_fn fn, void *arg);
int
__wrap_kv_scan(struct kv *kv, struct kv_txn *t, struct slice from, struct slice to, size_t max,
    kv_row_fn fn, void *arg)
{
	gate("scan", from);
	return __real_kv_scan(kv, t, from, to, max, fn, arg);
}

int __real_rows_apply(struct kv_txn *t, const struct backend_batch *b);
int __wrap_rows_apply(struct kv_txn *t, const struct backend_batch *b);
int
__wrap_rows_apply(struct kv_txn *t, const struct backend_batch *b)
{
	gate("apply", b->object);
	return __real_rows_apply(t, b);
}

int __real_bkv_drop(struct kv_txn *t, uint64_t body, uint64_t *octets_out);
int __wrap_bkv_drop(struct kv_txn *t, uint64_t body, uint64_t *octets_out);
int
__wrap_bkv_drop(struct kv_txn *t, uint64_t body, uint64_t *octets_out)
{
	gate("drop", slice_str(""));
	return __real_bkv_drop(t, body, octets_out);
}

int __real_seg_read(
    struct seg *s, const struct seg_loc *l, uint64_t off, uint32_t len, struct buf *out);
int __wrap_seg_read(
    struct seg *s, const struct seg_loc *l, uint64_t off, uint32_t len, struct buf *out);
int
__wrap_seg_read(struct seg *s, const struct seg_loc *l, uint64_t off, uint32_t len, struct buf *out)
{
	gate("read", slice_str(""));
	return __real_seg_read(s, l, off, len, out);
}

void __real_seg_sync_copies(struct seg *s);
void __wrap_seg_sync_copies(struct seg *s);
void
__wrap_seg_sync_copies(struct seg *s)
{
	gate("copied", slice_str(""));
	__real_seg_sync_copies(s);
}

/* ---- calls ---- */

static int
open_kv(struct fix *f)
{
	struct backend_kv_options o = {
	    .dir = f->dir, .threads = 3, .segment_max = 1 << 20, .grace_s = f->grace};

	return backend_kv_open(f->l, &o, &f->b);
}

static int
setup_kv(void **state)
{
	struct fix *f = xcalloc(1, sizeof *f);

	f->l = loop_new();
	snprintf(f->dir, sizeof f->dir, "/tmp/space_test.XXXXXX");
	*state = f;
	return mkdtemp(f->dir) == NULL ? -1 : open_kv(f);
}

static int
setup_grace(void **state)
{
	struct fix *f;

	if (setup_kv(state) != 0)
		return -1;
	f = *state;
	f->b->ops->close(f->b);
	f->grace = 3600;
	return open_kv(f);
}

static int
setup_mem(void **state)
{
	struct fix *f = xcalloc(1, sizeof *f);

	f->l = loop_new();
	f->mem = true;
	*state = f;
	return backend_mem_open(f->l, &f->b);
}

static int
teardown(void **state)
{
	struct fix *f = *state;
	char cmd[128];

	f->b->ops->close(f->b);
	loop_free(f->l);
	if (!f->mem) {
		snprintf(cmd, sizeof cmd, "rm -r '%s'", f->dir);
		if (system(cmd) != 0)
			return -1;
	}
	free(f);
	return 0;
}

static void
on_done(void *arg, int err)
{
	struct got *g = arg;

	g->n++;
	g->err = err;
}

static void
on_value(void *arg, int err, struct slice v)
{
	struct got *g = arg;

	g->n++;
	g->err = err;
	buf_reset(&g->value);
	buf_append_slice(&g->value, v);
}

static void
on_body(void *arg, int err, uint64_t body)
{
	struct got *g = arg;

	g->n++;
	g->err = err;
	g->body = body;
}

static int
wait_for(struct fix *f, struct got *g)
{
	for (int i = 0; i < 3000 && g->n < 1; i++)
		loop_run_once(f->l, 10);
	assert_int_equal(g->n, 1);
	g->n = 0;
	return g->err;
}

static void
create(struct fix *f, const char *object)
{
	struct got g = {0};

	f->b->ops->create(f->b, slice_str(object), slice_str("0"), on_done, &g);
	assert_int_equal(wait_for(f, &g), 0);
}

static void
put_start(struct fix *f, const char *text, struct got *g)
{
	unsigned char sha[32];

	memset(g, 0, sizeof *g);
	sha256_of(slice_str(text), sha);
	assert_int_equal(f->b->ops->body_put(f->b, sha, slice_str(text), -1, strlen(text),
			     slice_str("summary"), on_body, g),
	    0);
}

static uint64_t
put(struct fix *f, const char *text)
{
	struct got g;

	put_start(f, text, &g);
	assert_int_equal(wait_for(f, &g), 0);
	return g.body;
}

/* A message of this body into an object (body 0: its row goes away). The header stays as it is: batches on one object do not guard one another here. */
static void
row_start(struct fix *f, const char *object, uint32_t uid, uint64_t body, struct got *g)
{
	struct msg_row r = {.uid = uid, .body = body};
	struct kv_pair p;
	struct slice key;
	struct backend_batch batch = {.object = slice_str(object), .expect = slice_str("0")};
	struct buf b;
	char k[16];

	memset(g, 0, sizeof *g);
	snprintf(k, sizeof k, "m/%08x", (unsigned)uid);
	key = slice_str(k);
	buf_init(&b, 65536);
	assert_int_equal(msg_row_encode(&r, &b), 0);
	p = (struct kv_pair){key, buf_slice(&b)};
	batch.puts = &p;
	batch.n_puts = body != 0;
	batch.dels = &key;
	batch.n_dels = body == 0;
	assert_int_equal(f->b->ops->batch(f->b, &batch, on_done, g), 0);
	buf_done(&b);
}

static int
row(struct fix *f, const char *object, uint32_t uid, uint64_t body)
{
	struct got g;

	row_start(f, object, uid, body, &g);
	return wait_for(f, &g);
}

static void
space_start(struct fix *f, enum backend_space what, struct got *g)
{
	struct backend_space_job job = {.what = what, .min_live = 50};

	memset(g, 0, sizeof *g);
	assert_int_equal(f->b->ops->space(f->b, &job, on_done, g), 0);
	assert_int_equal(g->n, 0);
}

static struct backend_space_state
state_of(struct fix *f)
{
	struct backend_space_state st;

	f->b->ops->space_state(f->b, &st);
	return st;
}

static struct backend_space_state
collect(struct fix *f)
{
	struct got g;

	space_start(f, SPACE_COLLECT, &g);
	assert_int_equal(wait_for(f, &g), 0);
	return state_of(f);
}

/* What reading it gives: 0 and the text, or the error. */
static void
body_is(struct fix *f, uint64_t body, const char *text, int want)
{
	struct got g = {0};

	buf_init(&g.value, 1 << 20);
	f->b->ops->body_get(f->b, body, 0, 1 << 20, on_value, &g);
	assert_int_equal(wait_for(f, &g), want);
	if (want == 0)
		assert_true(slice_eq_str(buf_slice(&g.value), text));
	buf_done(&g.value);
}

/* ---- both backends ---- */

static void
unreferred_goes(void **state)
{
	struct fix *f = *state;
	struct backend_space_state st;
	struct backend_space_job dry = {.what = SPACE_COLLECT, .dry_run = true};
	struct got g = {0};
	uint64_t a, b, c, d;

	create(f, "m.1");
	create(f, "m.2");
	a = put(f, "in two mailboxes");
	b = put(f, "expunged");
	c = put(f, "never used");
	d = put(f, "the newest");
	assert_int_equal(row(f, "m.1", 1, a), 0);
	assert_int_equal(row(f, "m.2", 1, a), 0);
	assert_int_equal(row(f, "m.1", 2, b), 0);
	assert_int_equal(row(f, "m.1", 3, d), 0);
	assert_int_equal(row(f, "m.1", 2, 0), 0);
	f->b->ops->space(f->b, &dry, on_done, &g);
	assert_int_equal(wait_for(f, &g), 0);
	st = state_of(f);
	assert_true(st.bodies == 4 && st.dead == 2 && st.referred == 2 && st.references == 3);
	body_is(f, b, "expunged", 0);
	st = collect(f);
	assert_int_equal(st.dropped, 2);
	body_is(f, a, "in two mailboxes", 0);
	body_is(f, d, "the newest", 0);
	body_is(f, b, NULL, ERR_NOTFOUND);
	body_is(f, c, NULL, ERR_NOTFOUND);
	/* it may come again, under a number of its own; the old one is refused */
	assert_int_equal(row(f, "m.1", 4, b), ERR_TEMP);
	assert_true(put(f, "expunged") > d);
	assert_int_equal(put(f, "in two mailboxes"), a);
	st = collect(f);
	assert_true(st.dropped <= 1); /* the embedded one keeps what has the highest number */
	body_is(f, a, "in two mailboxes", 0);
}

static void
unknown_rows_stop_it(void **state)
{
	struct fix *f = *state;
	struct kv_pair p = {slice_str("?/1"), slice_str("names some body, perhaps")};
	struct backend_batch batch = {
	    .object = slice_str("m.1"), .expect = slice_str("0"), .puts = &p, .n_puts = 1};
	struct got g = {0};
	uint64_t a;

	create(f, "m.1");
	a = put(f, "one");
	put(f, "two");
	f->b->ops->batch(f->b, &batch, on_done, &g);
	assert_int_equal(wait_for(f, &g), 0);
	space_start(f, SPACE_COLLECT, &g);
	assert_int_equal(wait_for(f, &g), ERR_UNSUPPORTED);
	assert_int_equal(state_of(f).dropped, 0);
	assert_int_equal(state_of(f).err, ERR_UNSUPPORTED);
	if (!f->mem)
		assert_non_null(strstr(state_of(f).why, "r/m.1/?/1"));
	body_is(f, a, "one", 0);
}

static void
a_damaged_row_stops_it(void **state)
{
	struct fix *f = *state;
	struct kv_pair p = {slice_str("m/00000001"), slice_str("no message")};
	struct backend_batch batch = {
	    .object = slice_str("m.1"), .expect = slice_str("0"), .puts = &p, .n_puts = 1};
	struct got g = {0};
	uint64_t a;

	create(f, "m.1");
	a = put(f, "one");
	put(f, "two");
	f->b->ops->batch(f->b, &batch, on_done, &g);
	assert_int_equal(wait_for(f, &g), 0);
	space_start(f, SPACE_COLLECT, &g);
	assert_int_equal(wait_for(f, &g), ERR_CORRUPT);
	body_is(f, a, "one", 0);
}

static void
a_removed_mailbox(void **state)
{
	struct fix *f = *state;
	struct got g = {0};
	uint64_t a;

	create(f, "m.1");
	create(f, "m.2");
	a = put(f, "one");
	put(f, "two");
	assert_int_equal(row(f, "m.1", 1, a), 0);
	f->b->ops->remove(f->b, slice_str("m.1"), slice_str("0"), on_done, &g);
	assert_int_equal(wait_for(f, &g), 0);
	/* its rows are removed in steps; then the body goes */
	for (int i = 0; i < 100 && collect(f).bodies > 1; i++)
		usleep(10000);
	body_is(f, a, NULL, ERR_NOTFOUND);
}

static void
bounds(void **state)
{
	struct fix *f = *state;
	struct backend_space_job job = {.what = SPACE_COMPACT};
	struct got g = {0};

	assert_int_equal(f->b->ops->space(f->b, &job, on_done, &g), ERR_RANGE);
	job = (struct backend_space_job){.what = SPACE_COLLECT, .pace = 101};
	assert_int_equal(f->b->ops->space(f->b, &job, on_done, &g), ERR_RANGE);
	f->b->ops->space_stop(f->b); /* none runs */
	assert_int_equal(collect(f).dropped, 0);
}

/* ---- the embedded one ---- */

/* A delivery found a body by its digest, and the body is dropped before it is handed out. */
static void
found_then_dropped(void **state)
{
	struct fix *f = *state;
	struct got g, c;
	uint64_t a, again;

	create(f, "m.1");
	a = put(f, "comes again");
	put(f, "a newer one");
	create(f, "m.2"); /* both have rows now */
	gate_set("hand", NULL);
	put_start(f, "comes again", &g);
	gate_wait();
	/* The body_put that is under way is waited for; so it cannot be dropped while it stands there. */
	space_start(f, SPACE_COLLECT, &c);
	for (int i = 0; i < 20; i++)
		loop_run_once(f->l, 10);
	assert_int_equal(c.n, 0);
	assert_int_equal(state_of(f).done, 0);
	gate_open();
	assert_int_equal(wait_for(f, &g), 0);
	again = g.body;
	assert_int_equal(wait_for(f, &c), 0);
	assert_int_equal(again, a);
	assert_int_equal(row(f, "m.1", 1, again), 0);
	body_is(f, again, "comes again", 0);
	collect(f);
	body_is(f, again, "comes again", 0);
}

/* It is found while the transaction that drops it runs: it is written anew, and the digest's row is the new one's. */
static void
found_while_dropped(void **state)
{
	struct fix *f = *state;
	struct got g, c;
	uint64_t a;

	create(f, "m.1");
	a = put(f, "comes again");
	put(f, "a newer one");
	create(f, "m.2");
	gate_set("drop", NULL);
	space_start(f, SPACE_COLLECT, &c);
	gate_wait(); /* said to be dropped, its rows still there */
	put_start(f, "comes again", &g);
	assert_int_equal(wait_for(f, &g), 0);
	assert_true(g.body > a);
	gate_open();
	assert_int_equal(wait_for(f, &c), 0);
	assert_int_equal(state_of(f).dropped, 1);
	assert_int_equal(row(f, "m.1", 1, g.body), 0);
	body_is(f, g.body, "comes again", 0);
	assert_int_equal(put(f, "comes again"), g.body);
	body_is(f, a, NULL, ERR_NOTFOUND);
}

/* Handed out before the collection began, referred to after it: with a grace period it stays, without one the batch is refused. */
static void
handed_out(void **state)
{
	struct fix *f = *state;
	uint64_t a;

	create(f, "m.1");
	a = put(f, "in flight");
	put(f, "a newer one");
	create(f, "m.2");
	if (f->grace > 0) {
		assert_int_equal(collect(f).dropped, 0);
		assert_int_equal(state_of(f).young, 2);
		assert_int_equal(row(f, "m.1", 1, a), 0);
		body_is(f, a, "in flight", 0);
	} else {
		assert_int_equal(collect(f).dropped, 1);
		assert_int_equal(row(f, "m.1", 1, a), ERR_TEMP);
		a = put(f, "in flight");
		assert_int_equal(row(f, "m.1", 1, a), 0);
		body_is(f, a, "in flight", 0);
	}
}

/* More than the collection reads at a time. */
static void
many_rows(struct fix *f, const char *object)
{
	static struct kv_pair p[1500];
	static char keys[1500][40];
	struct backend_batch batch = {
	    .object = slice_str(object), .expect = slice_str("0"), .puts = p, .n_puts = 1500};
	struct got g = {0};

	for (int i = 0; i < 1500; i++) {
		snprintf(keys[i], sizeof keys[i], "d/%032d", i);
		p[i] = (struct kv_pair){slice_str(keys[i]), slice_str("seen")};
	}
	f->b->ops->batch(f->b, &batch, on_done, &g);
	assert_int_equal(wait_for(f, &g), 0);
}

/* The only message of a body goes from a mailbox that is yet to be marked to one that was marked already. */
static void
moved_behind_the_mark(void **state)
{
	struct fix *f = *state;
	struct got c;
	uint64_t a;

	create(f, "m.1");
	create(f, "m.2");
	create(f, "m.3");
	a = put(f, "on its way");
	put(f, "a newer one");
	assert_int_equal(row(f, "m.3", 1, a), 0);
	many_rows(f, "m.2");
	gate_set("scan", "r/m.2/d/");
	space_start(f, SPACE_COLLECT, &c);
	gate_wait();
	assert_int_equal(row(f, "m.1", 1, a), 0);
	assert_int_equal(row(f, "m.3", 1, 0), 0);
	gate_open();
	assert_int_equal(wait_for(f, &c), 0);
	body_is(f, a, "on its way", 0);
	collect(f);
	body_is(f, a, "on its way", 0);
}

/* A batch that was looked at before marking began commits after that: the collection waits for it. */
static void
committing_when_it_begins(void **state)
{
	struct fix *f = *state;
	struct got c, g;
	uint64_t a;

	create(f, "m.1");
	create(f, "m.2");
	a = put(f, "being committed");
	put(f, "a newer one");
	create(f, "m.3");
	gate_set("apply", "m.1");
	row_start(f, "m.1", 1, a, &g);
	gate_wait();
	space_start(f, SPACE_COLLECT, &c);
	for (int i = 0; i < 20; i++)
		loop_run_once(f->l, 10);
	assert_int_equal(state_of(f).done, 0);
	gate_open();
	assert_int_equal(wait_for(f, &c), 0);
	assert_int_equal(g.n, 1);
	assert_int_equal(g.err, 0);
	body_is(f, a, "being committed", 0);
}

static void
one_at_a_time(void **state)
{
	struct fix *f = *state;
	struct got c, other;

	create(f, "m.1");
	gate_set("scan", "r/");
	space_start(f, SPACE_COLLECT, &c);
	gate_wait();
	space_start(f, SPACE_COLLECT, &other);
	assert_int_equal(wait_for(f, &other), ERR_EXISTS);
	assert_true(state_of(f).running);
	assert_string_equal(state_of(f).phase, "mark");
	f->b->ops->space_stop(f->b);
	gate_open();
	assert_int_equal(wait_for(f, &c), ERR_CANCELED);
	assert_false(state_of(f).running);
	collect(f);
}

/* Numbers are never given again, though the newest bodies were dropped and the store was opened anew. */
static void
numbers(void **state)
{
	struct fix *f = *state;
	uint64_t a;
	char text[32];

	create(f, "m.1");
	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof text, "body %d", i);
		a = put(f, text);
	}
	create(f, "m.2");
	assert_int_equal(collect(f).dropped, 199);
	f->b->ops->close(f->b);
	assert_int_equal(open_kv(f), 0);
	assert_int_equal(put(f, "body 199"), a);
	assert_true(put(f, "body 0") > a);
	collect(f);
	body_is(f, a, NULL, ERR_NOTFOUND);
}

/* ---- files ---- */

enum { NOISE = 20000, NOISES = 300, DYING = 80 };

static struct slice
noise(unsigned n, unsigned char out[NOISE])
{
	uint64_t x = 88172645463325252ull + n;

	for (int i = 0; i < NOISE; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		out[i] = (unsigned char)(x >> 32);
	}
	return slice_of(out, NOISE);
}

static uint64_t
put_noise(struct fix *f, unsigned n)
{
	unsigned char sha[32], bytes[NOISE];
	struct got g = {0};

	sha256_of(noise(n, bytes), sha);
	f->b->ops->body_put(f->b, sha, noise(n, bytes), -1, NOISE, slice_str("s"), on_body, &g);
	assert_int_equal(wait_for(f, &g), 0);
	return g.body;
}

static void
is_noise(struct fix *f, uint64_t body, unsigned n)
{
	unsigned char bytes[NOISE];
	struct got g = {0};

	buf_init(&g.value, NOISE + 1);
	f->b->ops->body_get(f->b, body, 0, NOISE + 1, on_value, &g);
	assert_int_equal(wait_for(f, &g), 0);
	assert_true(slice_eq(buf_slice(&g.value), noise(n, bytes)));
	buf_done(&g.value);
}

/* Octets of all segment files; whether one of them has the needle. */
static uint64_t
files_octets(struct fix *f, struct slice needle, bool *found_out)
{
	uint64_t octets = 0;
	char path[96];

	*found_out = false;
	for (unsigned i = 1; i < 100; i++) {
		FILE *file;
		struct buf b;
		unsigned char *p;
		size_t n;

		snprintf(path, sizeof path, "%s/segments/seg-%08x", f->dir, i);
		if ((file = fopen(path, "r")) == NULL)
			continue;
		buf_init(&b, 64 << 20);
		while (
		    (p = buf_reserve(&b, 1 << 20)) != NULL && (n = fread(p, 1, 1 << 20, file)) > 0)
			buf_commit(&b, n);
		fclose(file);
		octets += b.len;
		if (slice_find(buf_slice(&b), needle) >= 0)
			*found_out = true;
		buf_done(&b);
	}
	return octets;
}

static uint64_t
octets_now(struct fix *f)
{
	bool found;

	return files_octets(f, slice_str("no such octets anywhere"), &found);
}

/* Bodies in several files, every tenth with a row. */
static void
fill(struct fix *f, uint64_t bodies[NOISES])
{
	create(f, "m.1");
	for (unsigned i = 0; i < NOISES; i++) {
		bodies[i] = put_noise(f, i);
		if (i % 10 == 0)
			assert_int_equal(row(f, "m.1", i + 1, bodies[i]), 0);
	}
	assert_int_equal(collect(f).dropped, NOISES * 9 / 10 - 1);
}

static struct backend_space_state
compact(struct fix *f)
{
	struct got g;

	space_start(f, SPACE_COMPACT, &g);
	assert_int_equal(wait_for(f, &g), 0);
	return state_of(f);
}

static void
all_there(struct fix *f, const uint64_t bodies[NOISES])
{
	for (unsigned i = 0; i < NOISES; i += 10)
		is_noise(f, bodies[i], i);
}

static void
compaction(void **state)
{
	struct fix *f = *state;
	struct backend_space_job dry = {.what = SPACE_COMPACT, .min_live = 50, .dry_run = true};
	struct backend_space_state st;
	struct backend_file files[32];
	uint64_t bodies[NOISES], octets;
	struct got g = {0};
	size_t n;

	fill(f, bodies);
	assert_true(octets_now(f) > 5900000);
	f->b->ops->space(f->b, &dry, on_done, &g);
	assert_int_equal(wait_for(f, &g), 0);
	st = state_of(f);
	assert_true(st.files_removed == 5 && st.freed_octets > 4 << 20);
	assert_true(octets_now(f) > 5900000);
	n = f->b->ops->space_files(f->b, 0, files, 32);
	assert_int_equal(n, st.files);
	assert_true(files[0].live > 0 && files[0].live < files[0].octets / 5);
	st = compact(f);
	assert_int_equal(st.files_removed, 5);
	assert_true(st.copied >= 25 && st.copied <= 30);
	octets = octets_now(f);
	assert_true(octets < 3 << 20); /* live ones, the file being written with zeros ahead */
	all_there(f, bodies);
	assert_int_equal(compact(f).files_removed, 0);
	f->b->ops->close(f->b);
	assert_int_equal(open_kv(f), 0);
	all_there(f, bodies);
	assert_true(put_noise(f, 1000) > bodies[NOISES - 1]);
	all_there(f, bodies);
	/* what was copied can be dropped and rewritten again */
	for (unsigned i = 0; i < NOISES; i += 20)
		assert_int_equal(row(f, "m.1", i + 1, 0), 0);
	assert_int_equal(collect(f).dropped, NOISES / 20 + 1);
	assert_true(compact(f).files_removed >= 1);
	for (unsigned i = 10; i < NOISES; i += 20)
		is_noise(f, bodies[i], i);
}

/* Who has looked up the place reads from it after the file is gone. */
static void
read_while_it_moves(void **state)
{
	struct fix *f = *state;
	uint64_t bodies[NOISES];
	unsigned char bytes[NOISE];
	struct got g = {0};

	fill(f, bodies);
	buf_init(&g.value, NOISE + 1);
	gate_set("read", NULL);
	f->b->ops->body_get(f->b, bodies[10], 0, NOISE + 1, on_value, &g);
	gate_wait();
	assert_int_equal(compact(f).files_removed, 5);
	gate_open();
	assert_int_equal(wait_for(f, &g), 0);
	assert_true(slice_eq(buf_slice(&g.value), noise(10, bytes)));
	buf_done(&g.value);
}

/* Dropped between its copy and the switch of its row: it does not come back. */
static void
dropped_while_it_moves(void **state)
{
	struct fix *f = *state;
	uint64_t bodies[NOISES];
	struct got g = {0}, c;

	fill(f, bodies);
	gate_set("copied", NULL);
	space_start(f, SPACE_COMPACT, &c);
	gate_wait();
	assert_int_equal(row(f, "m.1", 1, 0), 0);
	f->b->ops->body_drop(f->b, bodies[0], on_done, &g);
	assert_int_equal(wait_for(f, &g), 0);
	gate_open();
	assert_int_equal(wait_for(f, &c), 0);
	body_is(f, bodies[0], NULL, ERR_NOTFOUND);
	for (unsigned i = 10; i < NOISES; i += 10)
		is_noise(f, bodies[i], i);
}

static struct backend_space_state
purge(struct fix *f, const uint64_t *bodies, size_t n)
{
	struct backend_space_job job = {.what = SPACE_PURGE, .bodies = bodies, .n_bodies = n};
	struct got g = {0};

	assert_int_equal(f->b->ops->space(f->b, &job, on_done, &g), 0);
	assert_int_equal(wait_for(f, &g), 0);
	return state_of(f);
}

/* Whether a file of the database (its log among them) has these octets. */
static bool
database_has(struct fix *f, struct slice needle)
{
	char path[96];
	DIR *d;
	const struct dirent *e;
	bool found = false;

	snprintf(path, sizeof path, "%s/db", f->dir);
	assert_non_null(d = opendir(path));
	while ((e = readdir(d)) != NULL) {
		int fd = openat(dirfd(d), e->d_name, O_RDONLY);
		struct stat st;
		void *p;

		assert_true(fd >= 0 && fstat(fd, &st) == 0);
		if (S_ISREG(st.st_mode) && st.st_size > 0) {
			p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
			assert_true(p != MAP_FAILED);
			found = found || slice_find(slice_of(p, (size_t)st.st_size), needle) >= 0;
			munmap(p, (size_t)st.st_size);
		}
		close(fd);
	}
	closedir(d);
	return found;
}

/* In an old file, in the one that is written to, and twice because a commit of it was lost: gone from all of them. */
static void
purges(void **state)
{
	struct fix *f = *state;
	uint64_t bodies[NOISES], secret[2];
	unsigned char a[NOISE], b[NOISE];
	struct backend_space_state st;
	bool found;

	create(f, "m.1");
	secret[0] = put_noise(f, 5000);
	for (unsigned i = 0; i < NOISES; i++) {
		bodies[i] = put_noise(f, i);
		assert_int_equal(row(f, "m.1", i + 1, bodies[i]), 0);
	}
	secret[1] = put_noise(f, 5001);
	assert_int_equal(row(f, "m.1", 1000, secret[0]), 0);
	assert_int_equal(row(f, "m.1", 1001, secret[1]), 0);
	files_octets(f, noise(5000, a), &found);
	assert_true(found);
	/* small bodies stand in the log as well */
	assert_true(database_has(f, slice_sub(noise(5000, a), 4096, 64)));
	/* while a row refers to one, it stays */
	assert_int_equal(row(f, "m.1", 1000, 0), 0);
	st = purge(f, secret, 2);
	assert_true(st.dropped == 1 && st.purge_left == 1);
	is_noise(f, secret[1], 5001);
	assert_int_equal(row(f, "m.1", 1001, 0), 0);
	st = purge(f, &secret[1], 1);
	assert_true(st.dropped == 1 && st.purge_left == 0);
	for (unsigned at = 0; at + 64 <= NOISE; at += 4096) {
		files_octets(f, slice_sub(noise(5000, a), at, 64), &found);
		assert_false(found);
		files_octets(f, slice_sub(noise(5001, b), at, 64), &found);
		assert_false(found);
		assert_false(database_has(f, slice_sub(noise(5000, a), at, 64)));
		assert_false(database_has(f, slice_sub(noise(5001, b), at, 64)));
	}
	for (unsigned i = 0; i < NOISES; i++)
		is_noise(f, bodies[i], i);
	f->b->ops->close(f->b);
	assert_int_equal(open_kv(f), 0);
	for (unsigned i = 0; i < NOISES; i += 7)
		is_noise(f, bodies[i], i);
	/* numbers go on behind the one that was purged, though it was the highest */
	assert_true(put_noise(f, 6000) > secret[1]);
}

#define BOTH(fn)                                          \
	{"kv_" #fn, fn, setup_kv, teardown, NULL},        \
	{                                                 \
		"mem_" #fn, fn, setup_mem, teardown, NULL \
	}

/* In another process, which is killed: what the log has of these bodies is not settled. Two files at least. */
static void
fill_and_die(struct fix *f)
{
	f->l = loop_new();
	if (open_kv(f) != 0)
		_exit(1);
	create(f, "m.1");
	for (unsigned i = 0; i < DYING; i++)
		if (row(f, "m.1", i + 1, put_noise(f, i)) != 0)
			_exit(1);
	raise(SIGKILL);
	_exit(1);
}

/* A file of bodies that is lost while the log has some of it still (fsck put it elsewhere after a power cut): it costs its own messages alone. */
static void
lost_with_its_log(void **state)
{
	struct fix *f = *state;
	char path[96], last[96] = "";
	struct got g = {0};
	unsigned files = 0;
	pid_t pid;
	int status;

	f->b->ops->close(f->b);
	fflush(NULL);
	if ((pid = fork()) == 0)
		fill_and_die(f);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	for (unsigned i = 1; i < 100; i++) {
		snprintf(path, sizeof path, "%s/segments/seg-%08x", f->dir, i);
		if (access(path, F_OK) != 0)
			continue;
		files++;
		memcpy(last, path, sizeof last);
	}
	assert_true(files >= 2);
	assert_int_equal(unlink(last), 0);
	assert_int_equal(open_kv(f), 0);
	is_noise(f, 1, 0);
	buf_init(&g.value, 64);
	f->b->ops->body_get(f->b, DYING, 0, 10, on_value, &g);
	assert_int_equal(wait_for(f, &g), ERR_NOTFOUND);
	buf_done(&g.value);
	assert_int_equal(put_noise(f, DYING), DYING + 1);
	assert_int_equal(row(f, "m.1", DYING + 1, DYING + 1), 0);
	is_noise(f, DYING + 1, DYING);
	f->b->ops->close(f->b);
	assert_int_equal(open_kv(f), 0);
	is_noise(f, 1, 0);
	is_noise(f, DYING + 1, DYING);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    BOTH(unreferred_goes),
	    BOTH(unknown_rows_stop_it),
	    BOTH(a_damaged_row_stops_it),
	    BOTH(a_removed_mailbox),
	    BOTH(bounds),
	    cmocka_unit_test_setup_teardown(found_then_dropped, setup_kv, teardown),
	    cmocka_unit_test_setup_teardown(found_while_dropped, setup_kv, teardown),
	    cmocka_unit_test_setup_teardown(handed_out, setup_kv, teardown),
	    {"handed_out_with_grace", handed_out, setup_grace, teardown, NULL},
	    cmocka_unit_test_setup_teardown(moved_behind_the_mark, setup_kv, teardown),
	    cmocka_unit_test_setup_teardown(committing_when_it_begins, setup_kv, teardown),
	    cmocka_unit_test_setup_teardown(one_at_a_time, setup_kv, teardown),
	    cmocka_unit_test_setup_teardown(numbers, setup_kv, teardown),
	    cmocka_unit_test_setup_teardown(compaction, setup_kv, teardown),
	    cmocka_unit_test_setup_teardown(read_while_it_moves, setup_kv, teardown),
	    cmocka_unit_test_setup_teardown(dropped_while_it_moves, setup_kv, teardown),
	    cmocka_unit_test_setup_teardown(purges, setup_kv, teardown),
	    cmocka_unit_test_setup_teardown(lost_with_its_log, setup_kv, teardown),
	};

	log_init("space_test", 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
