/* queue_order_test.c: the order in which relay gets what is due: urgent documents first (P32), others not starved, each by its time. Over the store in memory. */
#include "tests/unit/unit.h"

#include "smtpd/queue_db.h"

#include "lib/err.h"

#include <string.h>

static struct qdb *
open_db(void)
{
	struct kv *kv = NULL;
	struct qdb *db = NULL;

	assert_int_equal(kv_mem_open(&kv), 0);
	assert_int_equal(qdb_open(kv, &db), 0);
	return db;
}

static struct delivery_id
id_of(unsigned n)
{
	struct delivery_id id;

	memset(&id, 0, sizeof id);
	id.b[0] = (unsigned char)(n >> 8);
	id.b[1] = (unsigned char)n;
	return id;
}

static void
put(struct qdb *db, unsigned n, uint32_t flags, uint8_t state, int64_t due)
{
	struct envelope_rcpt rcpt = {
	    .address = "a@x.example", .state = RCPT_LOCAL, .orcpt = "", .why = ""};
	struct qrow row = {.state = state,
	    .arrived = due,
	    .due = due,
	    .has_inline = true,
	    .env = {.from = "b@x.example",
		.ret = "",
		.envid = "",
		.login = "",
		.client_ip = "",
		.quarantine = "",
		.flags = flags,
		.rcpts = &rcpt,
		.n_rcpts = 1}};
	struct qdb_put p = {.id = id_of(n),
	    .row = &row,
	    .header = slice_str("A: b\r\n\r\n"),
	    .body = slice_str("")};

	assert_int_equal(qdb_put(db, &p, NULL), 0);
}

/* Takes the next one, for good. 0: none. */
static unsigned
take(struct qdb *db, int64_t now)
{
	struct qent *e = qdb_next(db, now);
	unsigned n;

	if (e == NULL)
		return 0;
	n = (unsigned)e->id.b[0] << 8 | e->id.b[1];
	qdb_took(db, e);
	qdb_lease(db, e, db);
	return n;
}

static void
check_order(struct qdb *db, int64_t now, const unsigned *want, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(take(db, now), want[i]);
	assert_int_equal(take(db, now), 0);
}

static void
test_urgent_first(void **state)
{
	static const unsigned want[] = {101, 102, 103, 104, 1, 105, 106, 107, 108, 2, 109, 3, 4};
	struct qdb *db = open_db();

	(void)state;
	for (unsigned n = 1; n <= 4; n++)
		put(db, n, 0, QUEUE_ST_QUEUED, 100 + n);
	for (unsigned n = 101; n <= 109; n++)
		put(db, n, ENV_URGENT, QUEUE_ST_QUEUED, 200 + n);
	check_order(db, 1000, want, sizeof want / sizeof *want);
	qdb_close(db);
}

/* Two urgent ones come while one goes: of five that go one is another one, in the order of their times. */
static void
test_others_go_all_the_same(void **state)
{
	enum { OTHERS = 20, FIRST = 1000, TURNS = 5 * OTHERS };
	struct qdb *db = open_db();
	unsigned come = FIRST, others = 0, n;

	(void)state;
	for (n = 1; n <= OTHERS; n++)
		put(db, n, 0, QUEUE_ST_QUEUED, 500 + n);
	for (unsigned turn = 1; turn <= TURNS; turn++) {
		put(db, come++, ENV_URGENT, QUEUE_ST_QUEUED, 100);
		put(db, come++, ENV_URGENT, QUEUE_ST_QUEUED, 100);
		if ((n = take(db, 1000)) < FIRST)
			assert_int_equal(n, ++others);
		assert_true(others >= turn / (QDB_URGENT_RUN + 1));
	}
	assert_int_equal(others, OTHERS);
	qdb_close(db);
}

/* What is over stands in front of the others and is nobody's to take: it is found, and goes, while urgent ones with an earlier time wait. */
static void
test_what_is_over_blocks_nobody(void **state)
{
	struct qdb *db = open_db();
	struct delivery_id nine = id_of(9);
	struct qent *e;

	(void)state;
	put(db, 101, ENV_URGENT, QUEUE_ST_QUEUED, 10);
	put(db, 9, 0, QUEUE_ST_DONE, 50);
	put(db, 1, 0, QUEUE_ST_QUEUED, 60);
	assert_null(qdb_over(db, 49));
	e = qdb_over(db, 100);
	assert_non_null(e);
	assert_memory_equal(e->id.b, nine.b, DELIVERY_ID_LEN);
	assert_int_equal(qdb_drop(db, &nine), 0);
	assert_null(qdb_over(db, 100));
	assert_int_equal(take(db, 100), 101);
	assert_int_equal(take(db, 100), 1);
	qdb_close(db);
}

/* What is not due yet is offered to nobody, however urgent; what is held is no business of relay. */
static void
test_by_time(void **state)
{
	static const unsigned at_300[] = {2, 1}, at_600[] = {103};
	struct qdb *db = open_db();

	(void)state;
	put(db, 1, 0, QUEUE_ST_QUEUED, 300);
	put(db, 2, 0, QUEUE_ST_WATCH, 200);
	put(db, 103, ENV_URGENT, QUEUE_ST_QUEUED, 500);
	put(db, 104, ENV_URGENT, QUEUE_ST_QUARANTINE, 100);
	assert_int_equal(qdb_first(db)->due, 200);
	check_order(db, 300, at_300, 2);
	check_order(db, 600, at_600, 1);
	qdb_close(db);
}

/* What became urgent, or is so no more, stands where it belongs; removal from either order leaves it whole. */
static void
test_changes(void **state)
{
	static const unsigned want[] = {3, 1, 2};
	struct qdb *db = open_db();
	struct delivery_id two;

	(void)state;
	put(db, 1, ENV_URGENT, QUEUE_ST_QUEUED, 10);
	put(db, 2, 0, QUEUE_ST_QUEUED, 20);
	put(db, 3, 0, QUEUE_ST_QUEUED, 30);
	put(db, 4, ENV_URGENT, QUEUE_ST_QUEUED, 5);
	put(db, 1, 0, QUEUE_ST_QUEUED, 10);
	put(db, 3, ENV_URGENT, QUEUE_ST_QUEUED, 30);
	two = id_of(4);
	assert_int_equal(qdb_finish(db, &two, 99999, NULL), 0);
	assert_int_equal(qdb_drop(db, &two), 0);
	check_order(db, 1000, want, 3);
	qdb_close(db);
}

static void
park(struct qdb *db, unsigned n, uint64_t name)
{
	struct delivery_id id = id_of(n);

	qdb_park(db, qdb_find(db, &id), name, 2000, 9000);
}

/* What waits for a destination is due when that is wanted, as many as are wanted, urgent ones first, and before what came later. */
static void
test_parked(void **state)
{
	static const unsigned all[] = {105, 1, 2, 3, 4, 6}, first[] = {105, 1, 2},
			      rest[] = {3, 4, 7}, other[] = {6};
	struct qdb *db = open_db();
	struct delivery_id two = id_of(2);

	(void)state;
	for (unsigned n = 1; n <= 4; n++)
		put(db, n, 0, QUEUE_ST_QUEUED, 1000 + n);
	put(db, 105, ENV_URGENT, QUEUE_ST_QUEUED, 1005);
	put(db, 6, 0, QUEUE_ST_QUEUED, 1006);
	check_order(db, 2000, all, 6);
	for (unsigned n = 1; n <= 4; n++)
		park(db, n, 7);
	park(db, 105, 7);
	park(db, 6, 7 + 4096); /* of the same bucket */
	assert_int_equal(take(db, 8999), 0);
	qdb_want(db, 8, 10, 3000);
	assert_int_equal(take(db, 3000), 0);
	put(db, 7, 0, QUEUE_ST_QUEUED, 1500);
	qdb_want(db, 7, 3, 3000);
	check_order(db, 1499, first, 3);
	qdb_want(db, 7, UINT32_MAX, 3000);
	check_order(db, 3000, rest, 3);
	qdb_want(db, 7, 1, 3000);
	assert_int_equal(take(db, 3000), 0);
	/* nothing comes of a name that nobody waits for any more */
	assert_non_null(qdb_find(db, &two));
	assert_int_equal(qdb_drop(db, &two), 0);
	park(db, 1, 7);
	qdb_want_all(db, 3000);
	assert_int_equal(take(db, 3000), 1);
	check_order(db, 3000, other, 1);
	qdb_close(db);
}

/* Whatever befalls a message that waits ends its waiting, and the time since when it waits lasts until its row is written. */
static void
test_parked_and_changed(void **state)
{
	struct qdb *db = open_db();
	struct delivery_id one = id_of(1), two = id_of(2), three = id_of(3);

	(void)state;
	for (unsigned n = 1; n <= 3; n++) {
		put(db, n, 0, QUEUE_ST_QUEUED, 1000);
		(void)take(db, 1000);
		park(db, n, 7);
	}
	qdb_hasten(db, qdb_find(db, &one), 1500);
	assert_int_equal(take(db, 1500), 1);
	assert_int_equal(qdb_find(db, &one)->parked_since, 2000);
	qdb_park(db, qdb_find(db, &one), 7, 2500, 9000);
	assert_int_equal(qdb_find(db, &one)->parked_since, 2000);
	put(db, 1, ENV_URGENT, QUEUE_ST_QUEUED, 5000);
	assert_int_equal(qdb_find(db, &one)->parked_since, 0);
	put(db, 2, 0, QUEUE_ST_ONHOLD, 1000);
	assert_int_equal(qdb_drop(db, &three), 0);
	assert_int_equal(qdb_drop(db, &two), 0);
	qdb_want(db, 7, 10, 3000);
	assert_int_equal(take(db, 3000), 0);
	assert_int_equal(take(db, 5000), 1);
	/* nobody wanted it for too long */
	park(db, 1, 7);
	assert_int_equal(take(db, 9000), 1);
	park(db, 1, 9);
	qdb_close(db);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_urgent_first),
	    cmocka_unit_test(test_others_go_all_the_same),
	    cmocka_unit_test(test_what_is_over_blocks_nobody),
	    cmocka_unit_test(test_by_time),
	    cmocka_unit_test(test_changes),
	    cmocka_unit_test(test_parked),
	    cmocka_unit_test(test_parked_and_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
