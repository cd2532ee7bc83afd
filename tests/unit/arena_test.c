/* arena_test.c: memory that ends all at once, and its bound. */
#include "config.h"

#include "lib/arena.h"

#include "tests/unit/unit.h"

static void
test_alloc(void **state)
{
	struct arena *a = arena_new(1 << 20);

	(void)state;
	char *s = arena_strdup(a, "hello");
	struct slice t = arena_slice(a, slice_of("a\0b", 3));
	char *u = arena_printf(a, "%s-%d", s, 7);
	assert_string_equal(s, "hello");
	assert_int_equal(t.len, 3);
	assert_memory_equal(t.ptr, "a\0b\0", 4);
	assert_string_equal(u, "hello-7");
	for (int i = 0; i < 2000; i++) {
		unsigned char *p = arena_alloc(a, (size_t)(i % 90));
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (int k = 0; k < i % 90; k++)
			assert_int_equal(p[k], 0);
		memset(p, 0xAA, (size_t)(i % 90));
	}
	assert_string_equal(s, "hello");
	arena_reset(a);
	assert_int_equal(arena_used(a), 0);
	/* memory used before comes back zeroed */
	unsigned char *p = arena_alloc(a, 500);
	for (int k = 0; k < 500; k++)
		assert_int_equal(p[k], 0);
	arena_free(a);
	arena_free(NULL);
}

static void
test_bounds(void **state)
{
	struct arena *a = arena_new(100000);

	(void)state;
	assert_null(arena_alloc(a, 100001));
	assert_null(arena_alloc(a, SIZE_MAX));
	assert_null(arena_alloc(a, SIZE_MAX - 8));
	assert_null(arena_calloc(a, SIZE_MAX / 2, 4));
	assert_non_null(arena_alloc(a, 99000));
	assert_null(arena_alloc(a, 1001));
	assert_non_null(arena_alloc(a, 900));
	assert_true(arena_used(a) <= 100000);
	arena_reset(a);
	assert_non_null(arena_alloc(a, 99000));
	arena_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_alloc),
	    cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
