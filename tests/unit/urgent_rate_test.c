/* urgent_rate_test.c: urgent documents of a login in an hour. */
#include "config.h"

#include "smtpd/urgent_rate.h"

#include "lib/err.h"

#include <stdio.h>

#include "tests/unit/unit.h"

enum { HOUR = 3600000, START = 1000000 };

static void
test_an_hour(void **state)
{
	struct urgent_rate *r = urgent_rate_new(3);

	(void)state;
	assert_int_equal(urgent_rate_take(r, "binh", START), 0);
	assert_int_equal(urgent_rate_take(r, "binh", START + 10), 0);
	assert_int_equal(urgent_rate_take(r, "Binh", START + HOUR / 2), 0);
	assert_int_equal(urgent_rate_take(r, "binh", START + HOUR / 2), ERR_LIMIT);
	assert_int_equal(urgent_rate_take(r, "an", START + HOUR / 2), 0);
	assert_int_equal(urgent_rate_take(r, "binh", START + HOUR - 1), ERR_LIMIT);
	/* each one's hour is its own, and what was over counted nothing */
	assert_int_equal(urgent_rate_take(r, "binh", START + HOUR), 0);
	assert_int_equal(urgent_rate_take(r, "binh", START + HOUR), ERR_LIMIT);
	assert_int_equal(urgent_rate_take(r, "binh", START + HOUR + 10), 0);
	assert_int_equal(urgent_rate_take(r, "binh", START + HOUR + 11), ERR_LIMIT);
	urgent_rate_free(r);
}

/* What was not accepted does not count, and what came before it does. */
static void
test_given_back(void **state)
{
	struct urgent_rate *r = urgent_rate_new(3);

	(void)state;
	urgent_rate_back(r, "binh");
	assert_int_equal(urgent_rate_take(r, "binh", START), 0);
	assert_int_equal(urgent_rate_take(r, "binh", START + 10), 0);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(urgent_rate_take(r, "binh", START + 20), 0);
		assert_int_equal(urgent_rate_take(r, "binh", START + 20), ERR_LIMIT);
		urgent_rate_back(r, "Binh");
		urgent_rate_back(r, "an");
	}
	assert_int_equal(urgent_rate_take(r, "binh", START + 30), 0);
	assert_int_equal(urgent_rate_take(r, "binh", START + HOUR - 1), ERR_LIMIT);
	/* in the place of the first one */
	assert_int_equal(urgent_rate_take(r, "binh", START + HOUR), 0);
	urgent_rate_back(r, "binh");
	assert_int_equal(urgent_rate_take(r, "binh", START + HOUR + 1), 0);
	assert_int_equal(urgent_rate_take(r, "binh", START + HOUR + 9), ERR_LIMIT);
	assert_int_equal(urgent_rate_take(r, "binh", START + HOUR + 10), 0);
	/* more than there are */
	for (int i = 0; i < 5; i++)
		urgent_rate_back(r, "binh");
	for (int i = 0; i < 3; i++)
		assert_int_equal(urgent_rate_take(r, "binh", START + HOUR + 11), 0);
	assert_int_equal(urgent_rate_take(r, "binh", START + HOUR + 11), ERR_LIMIT);
	urgent_rate_free(r);
}

static void
test_no_bound(void **state)
{
	struct urgent_rate *r = urgent_rate_new(0);

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(urgent_rate_take(r, "binh", START), 0);
	urgent_rate_back(r, "binh");
	urgent_rate_free(r);
	urgent_rate_free(NULL);
}

/* Many logins: who sent lately keeps the count while others come. */
static void
test_many(void **state)
{
	struct urgent_rate *r = urgent_rate_new(1);
	char name[32];

	(void)state;
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof name, "u%d", i);
		assert_int_equal(urgent_rate_take(r, name, START + i), 0);
		assert_int_equal(urgent_rate_take(r, name, START + i), ERR_LIMIT);
	}
	assert_int_equal(urgent_rate_take(r, "u9000", START + 10000), ERR_LIMIT);
	assert_int_equal(urgent_rate_take(r, "u9000", START + 9000 + HOUR), 0);
	urgent_rate_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_an_hour),
	    cmocka_unit_test(test_given_back),
	    cmocka_unit_test(test_no_bound),
	    cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
