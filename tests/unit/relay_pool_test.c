/* relay_pool_test.c: the connections of relay to all destinations together: what hangs leaves its place, who never answered has a part of them. */
#include "config.h"

#include "smtpd/relay_priv.h"

#include "tests/unit/unit.h"

enum { MOST = 16, SLOW = 1000 }; /* 8 quick ones, 4 of them for the unsure; 8 slow ones */

static struct relay_job jobs[64];

static struct relay_job *
add(struct relay_pool *p, unsigned n, bool sure, uint64_t now)
{
	jobs[n] = (struct relay_job){.urgent = false};
	relay_pool_add(p, &jobs[n], sure, now);
	return &jobs[n];
}

static bool
spares_none(const struct relay_job *j)
{
	(void)j;
	return false;
}

static bool
spares_the_first(const struct relay_job *j)
{
	return j == &jobs[0] || j == &jobs[1];
}

static bool
spares_all(const struct relay_job *j)
{
	(void)j;
	return true;
}

static void
test_room(void **state)
{
	struct relay_pool p;

	(void)state;
	relay_pool_init(&p, MOST, SLOW);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(relay_pool_has_room(&p, false, 0, 0));
		add(&p, i, false, 0);
	}
	assert_false(relay_pool_has_room(&p, false, 0, 0));
	/* those who answer have the rest, but for what was promised */
	for (unsigned i = 4; i < 8; i++) {
		assert_true(relay_pool_has_room(&p, true, 0, 7 - i));
		assert_false(relay_pool_has_room(&p, true, 1, 7 - i));
		add(&p, i, true, 0);
	}
	assert_false(relay_pool_has_room(&p, true, 0, 0));
	relay_pool_remove(&p, &jobs[5]);
	assert_true(relay_pool_has_room(&p, true, 0, 0));
	assert_false(relay_pool_has_room(&p, false, 0, 0));
	relay_pool_remove(&p, &jobs[0]);
	assert_true(relay_pool_has_room(&p, false, 0, 0));
	assert_false(relay_pool_has_room(&p, false, 1, 0));
	assert_true(relay_pool_has_room(&p, false, 0, 1));
}

static void
test_slow_ones_leave(void **state)
{
	struct relay_pool p;

	(void)state;
	relay_pool_init(&p, MOST, SLOW);
	for (unsigned i = 0; i < 4; i++)
		add(&p, i, false, i);
	assert_null(relay_pool_age(&p, SLOW - 1));
	assert_ptr_equal(relay_pool_age(&p, SLOW), &jobs[0]);
	assert_null(relay_pool_age(&p, SLOW));
	assert_true(relay_pool_has_room(&p, false, 0, 0));
	/* one that ends among them */
	relay_pool_remove(&p, &jobs[2]);
	assert_ptr_equal(relay_pool_age(&p, SLOW + 3), &jobs[1]);
	assert_ptr_equal(relay_pool_age(&p, SLOW + 3), &jobs[3]);
	assert_null(relay_pool_age(&p, SLOW + 3));
	assert_int_equal(p.n_unsure, 0);
	assert_int_equal(p.quick.n, 0);
	assert_int_equal(p.slow.n, 3);
	relay_pool_remove(&p, &jobs[1]);
	add(&p, 10, true, SLOW);
	assert_int_equal(p.quick.n, 1);
	assert_int_equal(p.slow.n, 2);
}

static void
test_too_many_slow(void **state)
{
	struct relay_pool p;

	(void)state;
	relay_pool_init(&p, MOST, SLOW);
	for (unsigned i = 0; i < 8; i++) {
		add(&p, i, true, i);
		assert_ptr_equal(relay_pool_age(&p, SLOW + i), &jobs[i]);
		assert_null(relay_pool_victim(&p, spares_none));
	}
	add(&p, 8, true, 8);
	assert_ptr_equal(relay_pool_age(&p, SLOW + 8), &jobs[8]);
	assert_ptr_equal(relay_pool_victim(&p, spares_none), &jobs[0]);
	assert_ptr_equal(relay_pool_victim(&p, spares_the_first), &jobs[2]);
	assert_ptr_equal(relay_pool_victim(&p, spares_all), &jobs[0]);
	relay_pool_remove(&p, &jobs[2]);
	assert_null(relay_pool_victim(&p, spares_none));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_room),
	    cmocka_unit_test(test_slow_ones_leave),
	    cmocka_unit_test(test_too_many_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
