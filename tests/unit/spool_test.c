/* spool_test.c: a message's bytes in memory and in a file read the same. */
#include "config.h"

#include "lib/err.h"
#include "lib/spool.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static unsigned char data[700000];

static int
tmp(void)
{
	return open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static void
check(struct spool *s, size_t n)
{
	struct slice whole;
	unsigned char part[5000];

	assert_int_equal(spool_size(s), n);
	for (size_t at = 0; at < n; at += 99991) {
		int64_t got = spool_read(s, at, sizeof(part), part);
		assert_int_equal(got, n - at < sizeof(part) ? n - at : sizeof(part));
		assert_memory_equal(part, data + at, (size_t)got);
	}
	assert_int_equal(spool_read(s, n, 10, part), 0);
	assert_int_equal(spool_map(s, &whole), 0);
	assert_int_equal(whole.len, n);
	if (n > 0)
		assert_memory_equal(whole.ptr, data, n);
}

static void
test_memory(void **state)
{
	struct spool *s = spool_new(1000, 2000);

	(void)state;
	check(s, 0);
	assert_int_equal(spool_append(s, data, 1000), 0);
	assert_false(spool_need_fd(s));
	assert_int_equal(spool_append(s, data + 1000, 1), 0);
	assert_true(spool_need_fd(s));
	assert_int_equal(spool_fd(s), -1);
	check(s, 1001);
	assert_int_equal(spool_append(s, data, 1000), ERR_LIMIT);
	assert_int_equal(spool_append(s, data, 1), ERR_LIMIT);
	assert_int_equal(spool_err(s), ERR_LIMIT);
	spool_free(s);
	spool_free(NULL);
}

static void
test_file(void **state)
{
	struct spool *s = spool_new(1000, 1 << 20);
	size_t at = 0;

	(void)state;
	while (at < sizeof(data)) {
		size_t n = at % 9000 + 7 < sizeof(data) - at ? at % 9000 + 7 : sizeof(data) - at;
		assert_int_equal(spool_append(s, data + at, n), 0);
		at += n;
		if (spool_need_fd(s))
			assert_int_equal(spool_give_fd(s, tmp()), 0);
		if (at % 5 == 0)
			check(s, at);
	}
	check(s, sizeof(data));
	/* the file holds it all */
	int fd = spool_fd(s);
	assert_true(fd >= 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), sizeof(data));
	spool_free(s);
	/* one append larger than any buffer */
	s = spool_new(10, 1 << 20);
	assert_int_equal(spool_append(s, data, 11), 0);
	assert_int_equal(spool_give_fd(s, tmp()), 0);
	assert_int_equal(spool_append(s, data + 11, sizeof(data) - 11), 0);
	check(s, sizeof(data));
	spool_free(s);
}

static void
test_errors(void **state)
{
	struct spool *s = spool_new(10, 64 << 20);
	unsigned char *big = calloc(1, 2 << 20);

	(void)state;
	/* without a descriptor memory stays bounded */
	assert_int_equal(spool_append(s, big, 2 << 20), ERR_LIMIT);
	spool_free(s);
	/* a full disk */
	s = spool_new(10, 64 << 20);
	assert_int_equal(spool_append(s, big, 1000), 0);
	assert_int_equal(spool_give_fd(s, open("/dev/full", O_RDWR)), ERR_FULL);
	assert_int_equal(spool_append(s, big, 1), ERR_FULL);
	assert_int_equal(spool_fd(s), -1);
	spool_free(s);
	/* a file cut behind our back is noticed */
	s = spool_new(10, 64 << 20);
	spool_append(s, big, 1000);
	assert_int_equal(spool_give_fd(s, tmp()), 0);
	assert_int_equal(ftruncate(spool_fd(s), 500), 0);
	assert_int_equal(spool_read(s, 0, 1000, big), ERR_CORRUPT);
	spool_free(s);
	free(big);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_memory),
	    cmocka_unit_test(test_file),
	    cmocka_unit_test(test_errors),
	};
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 2654435761u >> 13);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
