/* body_set_test.c: sets of body numbers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "store/body_set.h"

static void
members(void **state)
{
	static const uint64_t n[] = {1, 2, 63, 64, 65, 32767, 32768, 1000000, BODY_SET_MAX - 1};
	struct body_set *s = body_set_new();

	(void)state;
	assert_false(body_set_has(NULL, 1));
	for (size_t i = 0; i < sizeof n / sizeof n[0] - 1; i++) {
		assert_false(body_set_has(s, n[i]));
		assert_true(body_set_add(s, n[i]));
		assert_false(body_set_add(s, n[i]));
		assert_true(body_set_has(s, n[i]));
		assert_false(body_set_has(s, n[i] + 200));
		assert_int_equal(body_set_count(s), i + 1);
	}
	assert_true(body_set_remove(s, 64));
	assert_false(body_set_remove(s, 64));
	assert_true(body_set_has(s, 63) && !body_set_has(s, 64) && body_set_has(s, 65));
	assert_false(body_set_has(s, 3000000));
	assert_false(body_set_add(s, BODY_SET_MAX)); /* a damaged row names anything */
	assert_false(body_set_has(s, BODY_SET_MAX) || body_set_remove(s, UINT64_MAX));
	body_set_free(s);
	body_set_free(NULL);
}

static void
memory(void **state)
{
	struct body_set *s = body_set_new();

	(void)state;
	for (uint64_t i = 10000000; i < 11000000; i++)
		(void)body_set_add(s, i);
	assert_int_equal(body_set_count(s), 1000000);
	assert_true(body_set_memory(s) < 140000);
	body_set_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(members), cmocka_unit_test(memory)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
