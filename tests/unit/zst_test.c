/* zst_test.c: blocks compressed and back; bytes that are no frame, or one of another length, are refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/zst.h"

enum { N = 262144 };

static void
there_and_back(void **state)
{
	struct zst *z = zst_new();
	unsigned char *p = xmalloc(N), *c = xmalloc(N), *q = xmalloc(N + 1);
	size_t n;

	(void)state;
	for (size_t len = 1; len <= N; len = len * 3 + 1) {
		for (size_t i = 0; i < len; i++)
			p[i] = (unsigned char)('a' + i * i / 7 % 5);
		n = zst_compress(z, slice_of(p, len), c, N);
		assert_true(n > 0 && (len < 100 || n < len));
		q[len] = 77;
		assert_int_equal(zst_decompress(z, slice_of(c, n), q, len), 0);
		assert_memory_equal(p, q, len);
		assert_int_equal(q[len], 77);
		/* another length than was put in */
		assert_int_equal(zst_decompress(z, slice_of(c, n), q, len - 1), ERR_CORRUPT);
		assert_int_equal(zst_decompress(z, slice_of(c, n), q, len + 1), ERR_CORRUPT);
		assert_int_equal(zst_decompress(z, slice_of(c, n - 1), q, len), ERR_CORRUPT);
	}
	free(p);
	free(c);
	free(q);
	zst_free(z);
}

/* What gains too little is told by 0, and the contexts work on. */
static void
no_gain(void **state)
{
	struct zst *z = zst_new();
	unsigned char *p = xmalloc(N), *c = xmalloc(N);
	uint32_t r = 1;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		r = r * 1103515245 + 12345;
		p[i] = (unsigned char)(r >> 23);
	}
	assert_int_equal(zst_compress(z, slice_of(p, N), c, N - N / 8), 0);
	memset(p, 'x', N);
	assert_true(zst_compress(z, slice_of(p, N), c, N - N / 8) > 0);
	assert_int_equal(zst_decompress(z, slice_str("no frame at all"), c, 100), ERR_CORRUPT);
	assert_int_equal(zst_decompress(z, slice_str(""), c, 1), ERR_CORRUPT);
	free(p);
	free(c);
	zst_free(z);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(there_and_back),
	    cmocka_unit_test(no_gain),
	};

	log_init("zst_test", 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
