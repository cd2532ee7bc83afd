/* space_model_test.c: random deliveries, copies, expunges, mailboxes that go, collections and compactions on the embedded backend, many at once,
 * killed (SIGKILL) again and again. After each kill: every row that was acknowledged is there, and every row's body is, octet for octet. In the end
 * what is not referred to takes no room. CONGVU_SPACE_KILLS, CONGVU_SPACE_SEED: how often, and which run. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/backend.h"
#include "store/row.h"

enum { BOXES = 5, TEXTS = 400, WORKERS = 12, UIDS = 200000, TEXT_MAX = 24000 };

/* What the child tells through the pipe. A removal is told before it is asked for, all else when it was acknowledged. */
struct word {
	char what; /* '+' row, '-' row goes, 'R' mailbox goes */
	uint8_t box;
	uint16_t text;
	uint32_t uid;
};
/* of a uid: which text, in which mailbox (they are given once) */
static struct {
	uint16_t text; /* + 1; 0: not there, or it is not known */
	uint8_t box;
} model[UIDS];

static uint32_t seed;
static uint32_t
rnd(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

static struct slice
text_of(unsigned n, unsigned char out[TEXT_MAX])
{
	uint64_t x = 88172645463325252ull + n * 977;
	size_t len = 500 + n * 7919 % (TEXT_MAX - 500);

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		out[i] = (unsigned char)(x >> 32);
	}
	return slice_of(out, len);
}

static struct slice
box_name(unsigned box, char out[16])
{
	snprintf(out, 16, "m.%u", box);
	return slice_str(out);
}

static struct backend *
open_at(struct loop *l, const char *dir)
{
	struct backend_kv_options o = {.dir = dir, .threads = 3, .segment_max = 1 << 20};
	struct backend *b;

	if (backend_kv_open(l, &o, &b) != 0)
		fatal("the store cannot be opened");
	return b;
}

/* ---- the child ---- */

struct worker {
	bool busy;
	struct word w;
	uint64_t body;
};
static struct {
	struct loop *l;
	struct backend *b;
	int pipe;
	uint32_t next_uid, first_uid;
	struct worker w[WORKERS];
	bool space, removing[BOXES], there[BOXES];
	unsigned n_there;
	uint32_t recent[256]; /* uids acknowledged, with where and what */
	struct word recents[256];
} C;

static void
say(const struct word *w)
{
	struct word copy = *w;

	if (write(C.pipe, &copy, sizeof copy) != sizeof copy)
		_exit(1);
}

static void
on_row(void *arg, int err)
{
	struct worker *w = arg;

	w->busy = false;
	if (err == 0 && w->w.what == '+') {
		say(&w->w);
		C.recents[w->w.uid % 256] = w->w;
	} else if (err != 0 && err != ERR_TEMP && err != ERR_GONE) {
		fatal("a batch: %s", err_name(err));
	}
}

static void
row(struct worker *w)
{
	struct msg_row r = {.uid = w->w.uid, .body = w->body, .size = w->w.text};
	struct kv_pair p;
	struct slice key;
	struct backend_batch batch = {.expect = slice_str("0")};
	char k[16], name[16];
	struct buf b;

	snprintf(k, sizeof k, "m/%08x", (unsigned)w->w.uid);
	key = slice_str(k);
	buf_init(&b, 65536);
	if (msg_row_encode(&r, &b) != 0)
		fatal("a row");
	p = (struct kv_pair){key, buf_slice(&b)};
	batch.object = box_name(w->w.box, name);
	batch.puts = &p;
	batch.n_puts = w->w.what == '+';
	batch.dels = &key;
	batch.n_dels = w->w.what != '+';
	if (C.b->ops->batch(C.b, &batch, on_row, w) != 0)
		fatal("a batch");
	buf_done(&b);
}

static void
on_body(void *arg, int err, uint64_t body)
{
	struct worker *w = arg;

	if (err != 0)
		fatal("a body: %s", err_name(err));
	w->body = body;
	row(w);
}

static void
deliver(struct worker *w)
{
	unsigned char text[TEXT_MAX], sha[32];
	struct slice s;

	w->w = (struct word){'+', (uint8_t)rnd(BOXES), (uint16_t)rnd(TEXTS), C.next_uid++};
	s = text_of(w->w.text, text);
	sha256_of(s, sha);
	w->busy = true;
	if (C.b->ops->body_put(C.b, sha, s, -1, s.len, slice_str("s"), on_body, w) != 0)
		fatal("a body");
}

/* The row is read where it stands, and goes somewhere else. */
static void
on_source(void *arg, int err, struct slice value)
{
	struct worker *w = arg;
	struct msg_row r;

	if (err != 0 || msg_row_decode(value, &r) != 0) {
		w->busy = false;
		return;
	}
	w->body = r.body;
	w->w = (struct word){'+', (uint8_t)rnd(BOXES), (uint16_t)r.size, C.next_uid++};
	row(w);
}

static void
copy(struct worker *w, const struct word *from)
{
	char k[16], name[16];

	snprintf(k, sizeof k, "m/%08x", (unsigned)from->uid);
	w->busy = true;
	if (C.b->ops->get(C.b, box_name(from->box, name), slice_str(k), on_source, w) != 0)
		fatal("a row");
}

static void
expunge(struct worker *w, const struct word *from)
{
	w->w = *from;
	w->w.what = '-';
	say(&w->w);
	w->busy = true;
	row(w);
}

static void
on_space(void *arg, int err)
{
	(void)arg;
	C.space = false;
	if (err != 0 && err != ERR_CANCELED)
		fatal("space: %s", err_name(err));
}

static void
space(void)
{
	struct backend_space_job job = {.what = rnd(2) == 0 ? SPACE_COLLECT : SPACE_COMPACT,
	    .min_live = 60 + rnd(40),
	    .pace = rnd(2) == 0 ? 0 : 50};

	if (C.space) {
		if (rnd(20) == 0)
			C.b->ops->space_stop(C.b);
		return;
	}
	C.space = true;
	if (C.b->ops->space(C.b, &job, on_space, NULL) != 0)
		fatal("space");
}

static void
on_created(void *arg, int err)
{
	bool *there = arg;

	*there = true;
	C.n_there++;
	(void)err; /* it may be there, or its rows still be going */
}

static void
on_removed(void *arg, int err)
{
	uint8_t box = (uint8_t)((bool *)arg - C.removing);
	char name[16];

	(void)err;
	C.removing[box] = false;
	if (C.b->ops->create(C.b, box_name(box, name), slice_str("0"), on_created, &C.there[box]) !=
	    0)
		fatal("a mailbox");
}

static void
remove_box(void)
{
	struct word w = {'R', (uint8_t)rnd(BOXES), 0, 0};
	char name[16];

	if (C.removing[w.box])
		return;
	/* what is under way to it is not acknowledged before this is told */
	for (unsigned i = 0; i < WORKERS; i++)
		if (C.w[i].busy)
			return;
	say(&w);
	C.removing[w.box] = true;
	if (C.b->ops->remove(
		C.b, box_name(w.box, name), slice_str("0"), on_removed, &C.removing[w.box]) != 0)
		fatal("a mailbox");
}

static void
child(const char *dir, int fd, uint32_t first_uid)
{
	char name[16];

	C.l = loop_new();
	C.b = open_at(C.l, dir);
	C.pipe = fd;
	C.next_uid = C.first_uid = first_uid;
	for (unsigned i = 0; i < BOXES; i++)
		if (C.b->ops->create(
			C.b, box_name(i, name), slice_str("0"), on_created, &C.there[i]) != 0)
			fatal("a mailbox");
	while (C.n_there < BOXES)
		loop_run_once(C.l, 10);
	for (unsigned turn = 0; C.next_uid < UIDS; turn++) {
		bool drain = turn % 400 > 380;

		for (unsigned i = 0; i < WORKERS; i++) {
			struct worker *w = &C.w[i];
			const struct word *from = &C.recents[rnd(256)];
			unsigned what = rnd(20);

			if (w->busy || drain)
				continue;
			if (what < 9)
				deliver(w);
			else if (what < 12 && from->what == '+')
				copy(w, from);
			else if (what < 19 && from->what == '+')
				expunge(w, from);
			else if (what == 19)
				space();
		}
		if (turn % 400 == 399)
			remove_box();
		loop_run_once(C.l, 2);
	}
	_exit(0);
}

/* ---- the parent ---- */

static void
heard(const struct word *w)
{
	if (w->what == 'R') {
		for (uint32_t i = 0; i < UIDS; i++)
			if (model[i].box == w->box)
				model[i].text = 0;
		return;
	}
	model[w->uid].text = w->what == '+' ? (uint16_t)(w->text + 1) : 0;
	model[w->uid].box = w->box;
}

struct check {
	struct loop *l;
	struct backend *b;
	struct buf rows, body;
	int err;
	bool over, more;
	size_t n, total, live;
	struct buf last;
	bool seen[UIDS];
};

static void
on_rows(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct check *k = arg;

	k->err = err;
	k->over = true;
	k->more = more;
	buf_reset(&k->rows);
	for (size_t i = 0; i < n; i++) {
		struct msg_row r;

		if (msg_row_decode(rows[i].value, &r) != 0) {
			k->err = ERR_CORRUPT;
			return;
		}
		buf_append(&k->rows, &r, sizeof r);
		buf_reset(&k->last);
		buf_append_slice(&k->last, rows[i].key);
		buf_append_byte(&k->last, '!');
	}
}

static void
on_bytes(void *arg, int err, struct slice value)
{
	struct check *k = arg;

	k->err = err;
	k->over = true;
	buf_reset(&k->body);
	buf_append_slice(&k->body, value);
}

static void
wait_over(struct check *k)
{
	for (int i = 0; i < 3000 && !k->over; i++)
		loop_run_once(k->l, 10);
	assert_true(k->over);
	k->over = false;
}

static void
check_row(struct check *k, unsigned box, const struct msg_row *r)
{
	unsigned char text[TEXT_MAX];
	struct slice want = text_of((unsigned)r->size, text);

	assert_true(r->uid < UIDS);
	if (k->b->ops->body_get(k->b, r->body, 0, TEXT_MAX, on_bytes, k) != 0)
		fail();
	wait_over(k);
	if (k->err != 0 || !slice_eq(buf_slice(&k->body), want))
		fail_msg("box %u, uid %u: body %llu: %s", box, (unsigned)r->uid,
		    (unsigned long long)r->body, err_name(k->err));
	k->seen[r->uid] = true;
	k->total++;
}

static void
check_box(struct check *k, unsigned box)
{
	char name[16];

	buf_reset(&k->last);
	buf_append_str(&k->last, "m/");
	do {
		struct buf from;

		buf_init(&from, BACKEND_KEY_MAX);
		buf_append_slice(&from, buf_slice(&k->last));
		if (k->b->ops->scan(k->b, box_name(box, name), buf_slice(&from), slice_str("m0"),
			500, on_rows, k) != 0)
			fail();
		buf_done(&from);
		wait_over(k);
		if (k->err == ERR_NOTFOUND || k->err == ERR_GONE)
			break;
		assert_int_equal(k->err, 0);
		for (size_t at = 0; at < k->rows.len; at += sizeof(struct msg_row)) {
			struct msg_row r;

			memcpy(&r, k->rows.data + at, sizeof r);
			check_row(k, box, &r);
		}
	} while (k->more);
}

static struct check *
check_new(const char *dir)
{
	struct check *k = xcalloc(1, sizeof *k);

	k->l = loop_new();
	k->b = open_at(k->l, dir);
	buf_init(&k->rows, 1 << 20);
	buf_init(&k->body, TEXT_MAX + 1);
	buf_init(&k->last, BACKEND_KEY_MAX + 8);
	return k;
}

static void
check_free(struct check *k)
{
	k->b->ops->close(k->b);
	loop_free(k->l);
	buf_done(&k->rows);
	buf_done(&k->body);
	buf_done(&k->last);
	free(k);
}

static void
check_all(struct check *k)
{
	memset(k->seen, 0, sizeof k->seen);
	k->total = 0;
	for (unsigned box = 0; box < BOXES; box++)
		check_box(k, box);
	for (uint32_t uid = 0; uid < UIDS; uid++)
		if (model[uid].text != 0 && !k->seen[uid])
			fail_msg("uid %u was acknowledged and is not there", (unsigned)uid);
}

static uint32_t
round_of(const char *dir, uint32_t first_uid)
{
	struct word w;
	uint32_t last = first_uid;
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		child(dir, fds[1], first_uid);
	}
	close(fds[1]);
	/* killed after so many words: it works at the speed of the machine */
	for (uint32_t words = 50 + rnd(1500); words > 0; words--) {
		if (read(fds[0], &w, sizeof w) != sizeof w)
			break;
		heard(&w);
		last = w.uid > last ? w.uid : last;
	}
	kill(pid, SIGKILL);
	while (read(fds[0], &w, sizeof w) == sizeof w) {
		heard(&w);
		last = w.uid > last ? w.uid : last;
	}
	close(fds[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return last + 100;
}

static void
on_done(void *arg, int err)
{
	struct check *k = arg;

	k->err = err;
	k->over = true;
}

static struct backend_space_state
space_now(struct check *k, enum backend_space what)
{
	struct backend_space_job job = {.what = what, .min_live = 100};
	struct backend_space_state st;

	if (k->b->ops->space(k->b, &job, on_done, k) != 0)
		fail();
	wait_over(k);
	assert_int_equal(k->err, 0);
	k->b->ops->space_state(k->b, &st);
	return st;
}

static void
killed_again_and_again(void **state)
{
	const char *kills = getenv("CONGVU_SPACE_KILLS"), *s = getenv("CONGVU_SPACE_SEED");
	int n = kills == NULL ? 12 : (int)strtoul(kills, NULL, 10);
	uint32_t uid = 1;
	char dir[64] = "/tmp/space_model_test.XXXXXX", cmd[128];
	struct backend_space_state st;
	struct check *k;

	(void)state;
	seed = s == NULL ? 1 : (uint32_t)strtoul(s, NULL, 10);
	assert_non_null(mkdtemp(dir));
	for (int i = 0; i < n && uid < UIDS - 10000; i++) {
		uid = round_of(dir, uid);
		k = check_new(dir);
		check_all(k);
		if (i % 4 == 3) {
			space_now(k, SPACE_COLLECT);
			space_now(k, SPACE_COMPACT);
			check_all(k);
		}
		check_free(k);
	}
	k = check_new(dir);
	st = space_now(k, SPACE_COLLECT);
	st = space_now(k, SPACE_COMPACT);
	check_all(k);
	st = space_now(k, SPACE_SURVEY);
	printf("%zu messages, %llu bodies, %llu octets, files %llu octets\n", k->total,
	    (unsigned long long)st.bodies, (unsigned long long)st.stored_octets,
	    (unsigned long long)st.file_octets);
	assert_true(st.dead <= 1);
	/* the file for new bodies and the one for copies are there besides, with zeros ahead */
	assert_true(st.file_octets < st.stored_octets + (4 << 20));
	check_free(k);
	snprintf(cmd, sizeof cmd, "rm -r '%s'", dir);
	assert_int_equal(system(cmd), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(killed_again_and_again)};

	log_init("space_model_test", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
