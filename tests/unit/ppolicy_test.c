/* ppolicy_test.c: what a password policy says of an account, in the order in which slapd's overlay says it. */
#include "config.h"

#include "directory/ppolicy.h"

#include "tests/unit/unit.h"

static const int64_t now = 1795000000;

static enum ppolicy_state
judge(struct ppolicy p, struct ppolicy_entry e)
{
	return ppolicy_judge(&p, &e, 300, now).state;
}
#define POLICY(...) ((struct ppolicy){.is_known = true, __VA_ARGS__})
#define ENTRY(...) ((struct ppolicy_entry){.changed = now - 1000, __VA_ARGS__})

static void
test_time(void **state)
{
	(void)state;
	assert_int_equal(ppolicy_time(slice_str("19700101000001Z")), 1);
	assert_int_equal(ppolicy_time(slice_str("20261118130640.123456Z")), 1795007200);
	assert_int_equal(ppolicy_time(slice_str("2026111813064")), 0);
	assert_int_equal(ppolicy_time(slice_str("2026x118130640Z")), 0);
	assert_int_equal(ppolicy_time(slice_str("")), 0);
}

static void
test_locks(void **state)
{
	struct slice lately = slice_str("20261118110600Z"); /* 40 s ago */

	(void)state;
	assert_int_equal(judge(POLICY(0), ENTRY(0)), PPOLICY_OK);
	assert_int_equal(
	    judge(POLICY(0), ENTRY(.locked = slice_str("000001010000Z"))), PPOLICY_FROZEN);
	assert_int_equal(judge(POLICY(.lockout_s = 60), ENTRY(.locked = lately)), PPOLICY_LOCKED);
	assert_int_equal(judge(POLICY(.lockout_s = 30), ENTRY(.locked = lately)), PPOLICY_OK);
	assert_int_equal(judge(POLICY(.lockout_s = 0), ENTRY(.locked = lately)), PPOLICY_LOCKED);
	/* no policy is known: the option's time; what is no time is a lock of long ago, and for ever where locks do not end */
	assert_int_equal(judge((struct ppolicy){0}, ENTRY(.locked = lately)), PPOLICY_LOCKED);
	assert_int_equal(
	    judge(POLICY(.lockout_s = 0), ENTRY(.locked = slice_str("x"))), PPOLICY_LOCKED);
	assert_int_equal(judge(POLICY(0), ENTRY(.start = now + 1)), PPOLICY_FROZEN);
	assert_int_equal(judge(POLICY(0), ENTRY(.start = now, .end = now + 1)), PPOLICY_OK);
	assert_int_equal(judge(POLICY(0), ENTRY(.end = now)), PPOLICY_FROZEN);
	assert_int_equal(judge(POLICY(.max_idle_s = 10), ENTRY(.last = now - 11)), PPOLICY_FROZEN);
	assert_int_equal(judge(POLICY(.max_idle_s = 10), ENTRY(.last = now - 10)), PPOLICY_OK);
}

static void
test_age(void **state)
{
	struct ppolicy_verdict v;

	(void)state;
	assert_int_equal(
	    judge(POLICY(.must_change = true), ENTRY(.is_reset = true)), PPOLICY_MUST_CHANGE);
	assert_int_equal(judge(POLICY(0), ENTRY(.is_reset = true)), PPOLICY_OK);
	assert_int_equal(judge((struct ppolicy){0}, ENTRY(.is_reset = true)), PPOLICY_MUST_CHANGE);
	/* a lock comes before it */
	assert_int_equal(judge(POLICY(.must_change = true),
			     ENTRY(.is_reset = true, .locked = slice_str("000001010000Z"))),
	    PPOLICY_FROZEN);
	assert_int_equal(judge(POLICY(.max_age_s = 1000), ENTRY(0)), PPOLICY_OK);
	assert_int_equal(judge(POLICY(.max_age_s = 999), ENTRY(0)), PPOLICY_EXPIRED);
	assert_int_equal(judge(POLICY(.max_age_s = 999), ((struct ppolicy_entry){0})), PPOLICY_OK);
	assert_int_equal(
	    judge(POLICY(.max_age_s = 999, .grace_count = 2), ENTRY(.n_grace = 1)), PPOLICY_GRACE);
	assert_int_equal(judge(POLICY(.max_age_s = 999, .grace_count = 2), ENTRY(.n_grace = 2)),
	    PPOLICY_EXPIRED);
	assert_int_equal(
	    judge(POLICY(.max_age_s = 900, .grace_count = 2, .grace_s = 100), ENTRY(0)),
	    PPOLICY_EXPIRED);
	assert_int_equal(
	    judge(POLICY(.max_age_s = 900, .grace_count = 2, .grace_s = 101), ENTRY(0)),
	    PPOLICY_GRACE);
	v = ppolicy_judge(&POLICY(.max_age_s = 1500, .warn_s = 600), &ENTRY(0), 0, now);
	assert_true(v.state == PPOLICY_OK && v.until == now + 500);
	v = ppolicy_judge(&POLICY(.max_age_s = 1700, .warn_s = 600), &ENTRY(0), 0, now);
	assert_true(v.state == PPOLICY_OK && v.until == 0);
	v = ppolicy_judge(
	    &POLICY(.max_age_s = 900, .grace_count = 5), &ENTRY(.n_grace = 1), 0, now);
	assert_true(v.state == PPOLICY_GRACE && v.grace_left == 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_time),
	    cmocka_unit_test(test_locks),
	    cmocka_unit_test(test_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
