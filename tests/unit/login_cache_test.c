/* login_cache_test.c: only who, version and password together are found, and only for the time. */
#include "config.h"

#include "directory/login_cache.h"

#include <stdio.h>

#include "tests/unit/unit.h"

static void
test_cache(void **state)
{
	struct login_cache *c = login_cache_new(60);
	struct slice pw = slice_str("secret");

	(void)state;
	assert_false(login_cache_has(c, "cn=a", "1", pw, 1000));
	login_cache_put(c, "cn=a", "1", pw, 1000);
	assert_true(login_cache_has(c, "cn=a", "1", pw, 1000));
	assert_true(login_cache_has(c, "cn=a", "1", pw, 60999));
	assert_false(login_cache_has(c, "cn=a", "1", pw, 61000));
	assert_false(login_cache_has(c, "cn=a", "2", pw, 1000));
	assert_false(login_cache_has(c, "cn=b", "1", pw, 1000));
	assert_false(login_cache_has(c, "cn=a", "1", slice_str("secret2"), 1000));
	assert_false(login_cache_has(c, "cn=a", "1s", slice_str("ecret"), 1000));
	/* an entry without a version is never kept */
	login_cache_put(c, "cn=a", "", pw, 1000);
	assert_false(login_cache_has(c, "cn=a", "", pw, 1000));
	/* more than it holds: the newest is there */
	for (int i = 0; i < 50000; i++) {
		char dn[32];

		snprintf(dn, sizeof(dn), "cn=%d", i);
		login_cache_put(c, dn, "1", pw, 2000 + (uint64_t)i);
	}
	assert_true(login_cache_has(c, "cn=49999", "1", pw, 52000));
	login_cache_free(c);
	c = login_cache_new(0);
	login_cache_put(c, "cn=a", "1", pw, 1000);
	assert_false(login_cache_has(c, "cn=a", "1", pw, 1000));
	login_cache_free(c);
	login_cache_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cache)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
