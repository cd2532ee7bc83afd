/* relay_line_test.c: what waits for a destination: urgent jobs (P32) first, others not starved, both bounded. */
#include "config.h"

#include "smtpd/relay_priv.h"

#include "tests/unit/unit.h"

enum { MANY = 400 };

static struct relay_job jobs[MANY];

static struct relay_job *
job(unsigned n, bool urgent)
{
	assert_true(n < MANY);
	jobs[n] = (struct relay_job){.urgent = urgent};
	return &jobs[n];
}

static unsigned
take(struct relay_line *l)
{
	struct relay_job *j = relay_line_take(l);

	assert_non_null(j);
	return (unsigned)(j - jobs);
}

static void
test_urgent_first(void **state)
{
	struct relay_line l;

	(void)state;
	relay_line_init(&l);
	assert_null(relay_line_take(&l));
	relay_line_add(&l, job(1, false));
	relay_line_add(&l, job(2, false));
	relay_line_add(&l, job(101, true));
	relay_line_add(&l, job(102, true));
	assert_int_equal(l.n, 4);
	assert_int_equal(take(&l), 101);
	assert_int_equal(take(&l), 102);
	assert_int_equal(take(&l), 1);
	relay_line_add(&l, job(3, false));
	assert_int_equal(take(&l), 2);
	assert_int_equal(take(&l), 3);
	assert_null(relay_line_take(&l));
	relay_line_add(&l, job(4, false));
	assert_int_equal(take(&l), 4);
}

/* Two urgent ones come while one job goes: of five that go one is another one, in the order they came. */
static void
test_others_go_all_the_same(void **state)
{
	enum { OTHERS = 20, TURNS = 5 * OTHERS };
	unsigned come = OTHERS, others = 0, n;
	struct relay_line l;

	(void)state;
	relay_line_init(&l);
	for (n = 0; n < OTHERS; n++)
		relay_line_add(&l, job(n, false));
	for (unsigned turn = 1; turn <= TURNS; turn++) {
		relay_line_add(&l, job(come++, true));
		relay_line_add(&l, job(come++, true));
		if ((n = take(&l)) < OTHERS)
			assert_int_equal(n, others++);
		assert_true(others >= turn / (RELAY_URGENT_RUN + 1));
	}
	assert_int_equal(others, OTHERS);
}

/* Who comes when the line is full is handed back: urgent ones when it is twice as long. */
static void
test_both_are_bounded(void **state)
{
	enum { MOST = 8 };
	struct relay_line l;
	unsigned n = 0;

	(void)state;
	relay_line_init(&l);
	while (!relay_line_is_full(&l, MOST, false) && n < MANY)
		relay_line_add(&l, job(n++, false));
	assert_int_equal(l.n, MOST);
	assert_false(relay_line_is_full(&l, MOST, true));
	while (!relay_line_is_full(&l, MOST, true) && n < MANY)
		relay_line_add(&l, job(n++, true));
	assert_int_equal(l.n, 2 * MOST);
	assert_true(relay_line_is_full(&l, MOST, false));
	(void)take(&l);
	assert_false(relay_line_is_full(&l, MOST, true));
	assert_true(relay_line_is_full(&l, MOST, false));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_urgent_first),
	    cmocka_unit_test(test_others_go_all_the_same),
	    cmocka_unit_test(test_both_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
