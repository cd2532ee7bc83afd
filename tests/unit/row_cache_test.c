/* row_cache_test.c: what is kept of rows, and that nothing else comes out. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "store/row_cache.h"

static void
gives_what_was_put_last(void **state)
{
	struct row_cache *c = row_cache_new();
	unsigned char large[ROW_CACHE_VALUE_MAX + 1];
	struct slice v;

	(void)state;
	assert_false(row_cache_get(c, 7, 1, &v));
	assert_false(row_cache_get(c, 0, 0, &v));
	row_cache_put(c, 7, 1, slice_str("one"));
	assert_true(row_cache_get(c, 7, 1, &v));
	assert_true(slice_eq_str(v, "one"));
	assert_false(row_cache_get(c, 7, 2, &v));
	assert_false(row_cache_get(c, 9, 1, &v));
	row_cache_put(c, 7, 1, slice_str("one, longer than it was before"));
	assert_true(row_cache_get(c, 7, 1, &v));
	assert_true(slice_eq_str(v, "one, longer than it was before"));
	row_cache_drop(c, 7, 2);
	assert_true(row_cache_get(c, 7, 1, &v));
	row_cache_drop(c, 7, 1);
	assert_false(row_cache_get(c, 7, 1, &v));
	/* one that is too long ends what was there */
	memset(large, 'x', sizeof large);
	row_cache_put(c, 7, 1, slice_of(large, sizeof large - 1));
	assert_true(row_cache_get(c, 7, 1, &v));
	assert_int_equal(v.len, ROW_CACHE_VALUE_MAX);
	row_cache_put(c, 7, 1, slice_of(large, sizeof large));
	assert_false(row_cache_get(c, 7, 1, &v));
	row_cache_free(c);
	row_cache_free(NULL);
}

static void
mixes_nothing_up(void **state)
{
	struct row_cache *c = row_cache_new();
	unsigned kept = 0;
	char text[40];
	struct slice v;

	(void)state;
	for (uint64_t m = 1; m < 400; m += 2)
		for (uint32_t uid = 1; uid <= 50; uid++) {
			snprintf(text, sizeof text, "%llu/%u", (unsigned long long)m, uid);
			row_cache_put(c, m, uid, slice_str(text));
		}
	for (uint64_t m = 1; m < 400; m += 2)
		for (uint32_t uid = 1; uid <= 50; uid++) {
			snprintf(text, sizeof text, "%llu/%u", (unsigned long long)m, uid);
			if (!row_cache_get(c, m, uid, &v))
				continue;
			assert_true(slice_eq_str(v, text));
			kept++;
		}
	assert_in_range(kept, 2000, 4096);
	row_cache_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(gives_what_was_put_last),
	    cmocka_unit_test(mixes_nothing_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
