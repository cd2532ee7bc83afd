/* stored_move_test.c: MOVE of a real congvu-stored-db: repeated, racing, and interrupted by kill -9 in each of its steps it ends in exactly one
 * message. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/backend.h"
#include "store/deliver_client.h"
#include "store/store_client.h"
#include "tests/unit/stored_run.h"

enum { MESSAGES = 60, KILLS = 60, AT_ONCE = 4 };

static struct {
	struct loop *l;
	struct stored_run run;
	struct store_client *imap;
	struct deliver_client *ingest;
	struct store_session *s;
	bool done;
	int err;
	uint64_t inbox, trash, archive;
	uint32_t src[1000], dst[1000], uids[1000];
	size_t n, n_uids;
	/* under kill -9 */
	unsigned left;
	size_t rows;
	unsigned after_intent, after_insert, moves;
	unsigned counts[MESSAGES];
} T;

static void
wait_done(void)
{
	time_t t0 = time(NULL);

	while (!T.done && time(NULL) - t0 < 20)
		loop_run_once(T.l, 50);
	assert_true(T.done);
	T.done = false;
}

static void
on_done(void *arg, int err)
{
	(void)arg;
	T.err = err;
	T.done = true;
}

static void
on_list(void *arg, int err, const struct mbox_info *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (slice_eq_str(b[i].name, "INBOX"))
			T.inbox = b[i].id;
		if (slice_eq_str(b[i].name, "Trash"))
			T.trash = b[i].id;
		if (slice_eq_str(b[i].name, "Archive"))
			T.archive = b[i].id;
	}
	on_done(arg, err);
}

static void
on_delivered(void *arg, int err, const struct deliver_result *r, size_t n)
{
	on_done(arg, err != 0 ? err : n == 1 ? r[0].err : ERR_PROTO);
}

static void
on_uids(void *arg, int err, const struct store_uid *u, size_t n, uint32_t next)
{
	assert_int_equal(next, 0);
	T.n_uids = n;
	for (size_t i = 0; i < n; i++)
		T.uids[i] = u[i].uid;
	on_done(arg, err);
}

static void
on_moved(
    void *arg, int err, uint32_t uidvalidity, const uint32_t *src, const uint32_t *dst, size_t n)
{
	(void)uidvalidity;
	T.n = n;
	for (size_t i = 0; i < n; i++) {
		T.src[i] = src[i];
		T.dst[i] = dst[i];
	}
	on_done(arg, err);
}

static void
uids(uint64_t mb)
{
	store_uids(T.s, mb, 1, on_uids, NULL);
	wait_done();
	assert_int_equal(T.err, 0);
}

static void
move(const char *id, uint64_t from, uint64_t to, const uint32_t *u, size_t n)
{
	unsigned char op[16] = {0};

	memcpy(op, id, strlen(id));
	assert_int_equal(store_move(T.s, from, u, n, to, op, on_moved, NULL), 0);
	wait_done();
}

static void
deliver(unsigned i)
{
	struct deliver_message m = {
	    .fd = -1, .summary = slice_str("SUM"), .envelope = slice_str("(E)")};
	struct deliver_target t = {
	    .account = slice_str("p-1"), .mailbox = slice_str("INBOX"), .trace = slice_str("")};
	char text[40];

	snprintf(text, sizeof text, "message %u", i);
	memcpy(m.id, &i, sizeof i);
	m.body = slice_str(text);
	m.size = strlen(text);
	sha256_of(m.body, m.sha256);
	memcpy(m.email_id, &i, sizeof i);
	assert_int_equal(deliver_send(T.ingest, &m, &t, 1, 0, on_delivered, NULL, NULL), 0);
	wait_done();
	assert_int_equal(T.err, 0);
}

static int
setup_conf(const char *conf)
{
	struct buf t;

	memset(&T, 0, sizeof T);
	T.l = loop_new();
	if (stored_run_new(&T.run, conf) != 0)
		return -1;
	T.imap = store_client_new(T.l, T.run.imapd_sock);
	T.ingest = deliver_client_new(T.l, T.run.ingest_sock);
	buf_init(&t, 65536);
	stored_run_ticket(&T.run, "p-1", 0, (int64_t)time(NULL) + 1000, NULL, 0, &t);
	T.s = store_session_new(T.imap, buf_slice(&t), on_done, NULL, NULL, NULL);
	buf_done(&t);
	wait_done();
	store_list(T.s, on_list, NULL);
	wait_done();
	return T.err;
}

static int
setup(void **state)
{
	(void)state;
	return setup_conf(NULL);
}

static int
teardown(void **state)
{
	(void)state;
	store_client_free(T.imap);
	deliver_client_free(T.ingest);
	stored_run_done(&T.run);
	loop_free(T.l);
	return 0;
}

static void
moves_once(void **state)
{
	uint32_t some[] = {2, 3, 9}, one[] = {1}, all[] = {1, 2, 3, 4, 5};

	(void)state;
	for (unsigned i = 1; i <= 5; i++)
		deliver(i);
	move("a", T.inbox, T.trash, some, 3);
	assert_int_equal(T.err, 0);
	assert_int_equal(T.n, 2);
	assert_true(T.src[0] == 2 && T.src[1] == 3 && T.dst[0] == 1 && T.dst[1] == 2);
	uids(T.inbox);
	assert_true(T.n_uids == 3 && T.uids[0] == 1 && T.uids[1] == 4 && T.uids[2] == 5);
	/* the same request again: the same answer, no second copy; also behind a restart */
	for (unsigned i = 0; i < 2; i++) {
		move("a", T.inbox, T.trash, some, 3);
		assert_int_equal(T.err, 0);
		assert_int_equal(T.n, 2);
		assert_true(T.src[1] == 3 && T.dst[1] == 2);
		uids(T.trash);
		assert_int_equal(T.n_uids, 2);
		stored_run_end(&T.run, SIGKILL);
		stored_run_start(&T.run);
	}
	/* client habit 10: a new request for what is gone is no error and moves nothing */
	move("b", T.inbox, T.trash, some, 3);
	assert_true(T.err == 0 && T.n == 0);
	/* within one mailbox: a new UID */
	move("c", T.inbox, T.inbox, one, 1);
	assert_true(T.err == 0 && T.n == 1 && T.dst[0] == 6);
	uids(T.inbox);
	assert_true(T.n_uids == 3 && T.uids[2] == 6);
	/* an id that another mailbox's move has used moves nothing */
	move("a", T.archive, T.trash, all, 5);
	assert_int_equal(T.err, ERR_EXISTS);
	uids(T.trash);
	assert_int_equal(T.n_uids, 2);
	move("d", T.inbox, 12345, all, 5);
	assert_int_equal(T.err, ERR_NOTFOUND);
}

static void
on_raced(
    void *arg, int err, uint32_t uidvalidity, const uint32_t *src, const uint32_t *dst, size_t n)
{
	size_t *sum = arg;

	(void)uidvalidity;
	(void)src;
	(void)dst;
	assert_int_equal(err, 0);
	*sum += n;
	if (--T.left == 0) /* both answers may come in one turn of the loop */
		T.done = true;
}

/* Two moves of the same message at once: one of them has it. */
static void
moves_race(void **state)
{
	unsigned char x[16] = "x", y[16] = "y";
	uint32_t one[] = {1};
	size_t n = 0;

	(void)state;
	deliver(1);
	T.left = 2;
	store_move(T.s, T.inbox, one, 1, T.trash, x, on_raced, &n);
	store_move(T.s, T.inbox, one, 1, T.archive, y, on_raced, &n);
	wait_done();
	assert_int_equal(n, 1);
	uids(T.trash);
	n = T.n_uids;
	uids(T.archive);
	n += T.n_uids;
	uids(T.inbox);
	assert_int_equal(n + T.n_uids, 1);
	assert_int_equal(T.n_uids, 0);
}

/* Moving away is possible when the account is full. */
static void
moves_when_full(void **state)
{
	uint32_t one[] = {1};
	struct deliver_message m = {
	    .fd = -1, .summary = slice_str("SUM"), .envelope = slice_str("(E)")};
	struct deliver_target t = {
	    .account = slice_str("p-1"), .mailbox = slice_str("INBOX"), .trace = slice_str("")};
	static char big[700000];

	(void)state;
	memset(big, 'x', sizeof big - 1);
	m.id[0] = 1;
	m.body = slice_of(big, 100000);
	m.size = 100000;
	for (unsigned i = 0; i < 12; i++) { /* 1.2 of 1 MiB */
		big[0] = (char)('a' + i);
		m.id[0] = (unsigned char)i;
		sha256_of(m.body, m.sha256);
		deliver_send(T.ingest, &m, &t, 1, 0, on_delivered, NULL, NULL);
		wait_done();
	}
	assert_int_equal(T.err, ERR_FULL);
	move("f", T.inbox, T.trash, one, 1);
	assert_true(T.err == 0 && T.n == 1);
}

static int
setup_small(void **state)
{
	(void)state;
	return setup_conf("quota_mb = 1\n");
}

/* ---- kill -9 ---- */

static void
on_some_moved(
    void *arg, int err, uint32_t uidvalidity, const uint32_t *src, const uint32_t *dst, size_t n)
{
	(void)arg;
	(void)uidvalidity;
	(void)src;
	(void)dst;
	assert_true(err == 0 || err == ERR_TEMP);
	T.moves += err == 0 && n > 0;
	T.left--;
}

static void
on_found(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	(void)rows;
	(void)more;
	T.rows = n;
	on_done(arg, err);
}

static size_t
rows_of(struct backend *b, uint64_t mb, const char *from, const char *to)
{
	char object[32];

	snprintf(object, sizeof object, "m.%016llx", (unsigned long long)mb);
	b->ops->scan(b, slice_str(object), slice_str(from), slice_str(to), 1000, on_found, NULL);
	wait_done();
	assert_int_equal(T.err, 0);
	return T.rows;
}

/* In which step the last move was when the program was killed, by its rows. */
static void
look_inside(void)
{
	static size_t moved;
	char dir[96];
	struct backend_kv_options o = {.dir = dir, .threads = 1, .cache_bytes = 8 << 20};
	struct backend *b;
	size_t intents, seen;

	snprintf(dir, sizeof dir, "%s/store", T.run.dir);
	assert_int_equal(backend_kv_open(T.l, &o, &b), 0);
	intents = rows_of(b, T.inbox, "i/", "i0") + rows_of(b, T.trash, "i/", "i0");
	seen = rows_of(b, T.inbox, "o/", "o0") + rows_of(b, T.trash, "o/", "o0");
	if (intents > 0 && seen == moved)
		T.after_intent++;
	if (intents > 0 && seen > moved)
		T.after_insert++;
	moved = seen;
	b->ops->close(b);
}

static void
on_rows(void *arg, int err, const struct msg_row *rows, size_t n, uint32_t next)
{
	assert_int_equal(next, 0);
	for (size_t i = 0; i < n; i++) {
		unsigned k;

		memcpy(&k, rows[i].email_id, sizeof k);
		assert_true(k < MESSAGES);
		T.counts[k]++;
	}
	on_done(arg, err);
}

static void
count_all(void)
{
	memset(T.counts, 0, sizeof T.counts);
	store_rows(T.s, T.inbox, 1, UINT32_MAX, on_rows, NULL);
	wait_done();
	assert_int_equal(T.err, 0);
	store_rows(T.s, T.trash, 1, UINT32_MAX, on_rows, NULL);
	wait_done();
	assert_int_equal(T.err, 0);
	for (unsigned i = 0; i < MESSAGES; i++)
		assert_int_equal(T.counts[i], 1);
}

static void
kill9(void **state)
{
	unsigned seed = 5;

	(void)state;
	for (unsigned i = 0; i < MESSAGES; i++)
		deliver(i);
	for (unsigned k = 0; k < KILLS; k++) {
		uint64_t from = k % 2 == 0 ? T.inbox : T.trash, to = k % 2 == 0 ? T.trash : T.inbox;
		struct timespec t = {0, (long)(rand_r(&seed) % 8000) * 1000};

		uids(from);
		T.left = 0;
		for (unsigned i = 0; i < AT_ONCE && i < T.n_uids; i++) {
			unsigned char id[16];

			random_bytes(id, sizeof id);
			T.left++;
			store_move(T.s, from, T.uids, T.n_uids < 5 ? T.n_uids : 5 + i, to, id,
			    on_some_moved, NULL);
		}
		loop_run_once(T.l, 5);
		nanosleep(&t, NULL);
		stored_run_end(&T.run, SIGKILL);
		look_inside();
		stored_run_start(&T.run);
		/* repeated under their ids by the client: all end */
		for (time_t t0 = time(NULL); T.left > 0 && time(NULL) - t0 < 20;)
			loop_run_once(T.l, 20);
		assert_int_equal(T.left, 0);
		count_all();
	}
	print_message("%u moves done; killed %u times with the intent alone, %u times between copy "
		      "and removal\n",
	    T.moves, T.after_intent, T.after_insert);
	assert_true(T.moves > 0 && T.after_intent + T.after_insert > 0);
}

#define MOVE_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    MOVE_TEST(moves_once),
	    MOVE_TEST(moves_race),
	    cmocka_unit_test_setup_teardown(moves_when_full, setup_small, teardown),
	    MOVE_TEST(kill9),
	};

	log_init("stored_move_test", 2);
	log_set_level(LOG_LVL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
