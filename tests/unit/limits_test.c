/* limits_test.c: connections counted by address and network. */
#include "config.h"

#include "smtpd/limits.h"

#include "lib/err.h"

#include <stdio.h>

#include "tests/unit/unit.h"

static void
test_address(void **state)
{
	struct limits *l = limits_new(2, 0);

	(void)state;
	assert_int_equal(limits_enter(l, "192.0.2.1"), 0);
	assert_int_equal(limits_enter(l, "::ffff:192.0.2.1"), 0);
	assert_int_equal(limits_enter(l, "192.0.2.1"), ERR_LIMIT);
	assert_int_equal(limits_enter(l, "192.0.2.2"), 0);
	limits_leave(l, "192.0.2.1");
	assert_int_equal(limits_enter(l, "192.0.2.1"), 0);
	assert_int_equal(limits_enter(l, "192.0.2.1"), ERR_LIMIT);
	assert_int_equal(limits_enter(l, "unix"), 0);
	assert_int_equal(limits_used(l), 3);
	limits_leave(l, "unix");
	limits_leave(l, "192.0.2.1");
	limits_leave(l, "192.0.2.1");
	limits_leave(l, "192.0.2.2");
	limits_leave(l, "192.0.2.9"); /* never came */
	assert_int_equal(limits_used(l), 0);
	limits_free(l);
}

static void
test_network(void **state)
{
	struct limits *l = limits_new(0, 3);

	(void)state;
	assert_int_equal(limits_enter(l, "192.0.2.1"), 0);
	assert_int_equal(limits_enter(l, "192.0.2.1"), 0);
	assert_int_equal(limits_enter(l, "192.0.2.200"), 0);
	assert_int_equal(limits_enter(l, "192.0.2.7"), ERR_LIMIT);
	assert_int_equal(limits_used(l), 3); /* a refused one leaves nothing */
	assert_int_equal(limits_enter(l, "192.0.3.7"), 0);
	assert_int_equal(limits_enter(l, "2001:db8:1:2::1"), 0);
	assert_int_equal(limits_enter(l, "2001:db8:1:3::1"), 0);
	assert_int_equal(limits_enter(l, "2001:db8:1:4::1"), 0);
	assert_int_equal(limits_enter(l, "2001:db8:1:5::1"), ERR_LIMIT);
	assert_int_equal(limits_enter(l, "2001:db8:2:5::1"), 0);
	limits_free(l);
	limits_free(NULL);
}

/* All addresses of a /64 are one host. */
static void
test_ipv6(void **state)
{
	struct limits *l = limits_new(1, 0);

	(void)state;
	assert_int_equal(limits_enter(l, "2001:db8::1"), 0);
	assert_int_equal(limits_enter(l, "2001:db8::2"), ERR_LIMIT);
	assert_int_equal(limits_enter(l, "2001:db8:0:1::2"), 0);
	limits_free(l);
}

static void
test_many(void **state)
{
	struct limits *l = limits_new(1, 0);
	char ip[32];

	(void)state;
	for (int pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < 20000; i++) {
			snprintf(ip, sizeof(ip), "10.%u.%u.%u", i >> 16, (i >> 8) & 255, i & 255);
			assert_int_equal(limits_enter(l, ip), 0);
		}
		assert_int_equal(limits_used(l), 20000 + 79);
		for (unsigned i = 0; i < 20000; i++) {
			snprintf(ip, sizeof(ip), "10.%u.%u.%u", i >> 16, (i >> 8) & 255, i & 255);
			limits_leave(l, ip);
		}
		assert_int_equal(limits_used(l), 0);
	}
	limits_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_address),
	    cmocka_unit_test(test_network),
	    cmocka_unit_test(test_ipv6),
	    cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
