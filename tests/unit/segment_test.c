/* segment_test.c: bodies in segment files: damage is seen, torn ends are cut, what was synced stays. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/segment.h"

struct fix {
	char dir[64], file[80];
	struct seg *s;
};

static int
setup(void **state)
{
	struct fix *f = xcalloc(1, sizeof *f);

	snprintf(f->dir, sizeof f->dir, "/tmp/segment_test.XXXXXX");
	*state = f;
	if (mkdtemp(f->dir) == NULL)
		return -1;
	snprintf(f->file, sizeof f->file, "%s/seg-00000001", f->dir);
	return seg_open(f->dir, NULL, 0, &f->s);
}

static int
teardown(void **state)
{
	struct fix *f = *state;
	char cmd[128];

	seg_close(f->s);
	snprintf(cmd, sizeof cmd, "rm -r '%s'", f->dir);
	if (system(cmd) != 0)
		return -1;
	free(f);
	return 0;
}

static struct seg_loc
put(struct fix *f, const char *text)
{
	unsigned char sha[32];
	struct seg_loc l;

	sha256_of(slice_str(text), sha);
	assert_int_equal(
	    seg_write(f->s, sha, slice_str(text), -1, strlen(text), slice_str("sum"), &l), 0);
	return l;
}

static int
read_back(struct fix *f, const struct seg_loc *l, const char *want)
{
	struct buf b;
	int err;

	buf_init(&b, 10000);
	err = seg_read(f->s, l, 0, 1000, &b);
	if (err == 0)
		assert_string_equal(buf_cstr(&b), want);
	buf_reset(&b);
	if (err == 0 && (err = seg_read_summary(f->s, l, &b)) == 0)
		assert_string_equal(buf_cstr(&b), "sum");
	buf_done(&b);
	return err;
}

static void
flip(const char *file, off_t at)
{
	int fd = open(file, O_RDWR);
	char c;

	assert_int_equal(pread(fd, &c, 1, at), 1);
	c = (char)(c ^ 1);
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

static off_t
size_of(const char *file)
{
	struct stat st;

	assert_int_equal(stat(file, &st), 0);
	return st.st_size;
}

/* Where a record ends; behind it the file has zeros made ahead, until it is opened again. */
static off_t
end_of(const struct seg_loc *l)
{
	uint64_t n = 80 + 4 * (1 + (l->size + 65535) / 65536) + l->summary_len + l->size;

	return (off_t)(l->off + (n + 7) / 8 * 8);
}

static void
write_read(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "one"), b = put(f, ""), c = put(f, "three"), d;
	struct buf v;

	assert_true(a.body == 1 && b.body == 2 && c.body == 3);
	seg_sync(f->s);
	assert_int_equal(read_back(f, &a, "one"), 0);
	assert_int_equal(read_back(f, &b, ""), 0);
	assert_int_equal(read_back(f, &c, "three"), 0);
	buf_init(&v, 100);
	seg_loc_encode(&c, &v);
	assert_int_equal(seg_loc_decode(buf_slice(&v), 3, &d), 0);
	assert_true(d.off == c.off && d.size == 5 && d.segment == 1 && d.summary_len == 3);
	v.len--;
	assert_int_equal(seg_loc_decode(buf_slice(&v), 3, &d), ERR_CORRUPT);
	buf_done(&v);
	d.segment = 9;
	assert_int_equal(read_back(f, &d, ""), ERR_NOTFOUND);
}

static void
damage_is_seen(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "precious");

	flip(f->file, end_of(&a) - 8);
	assert_int_equal(read_back(f, &a, ""), ERR_CORRUPT);
}

/* Ends of the file at every octet of the last record: it is cut, what the database knows stays, numbers never repeat. */
static void
torn_tail(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "kept"), b;
	off_t end = end_of(&a), full;

	b = put(f, "lost");
	full = end_of(&b);
	for (off_t at = full; at > end; at -= 7) {
		seg_close(f->s);
		assert_int_equal(truncate(f->file, at), 0);
		assert_int_equal(seg_open(f->dir, &a, 0, &f->s), 0);
		assert_int_equal(size_of(f->file), at == full ? full : end);
		assert_int_equal(read_back(f, &a, "kept"), 0);
		b = put(f, "lost");
		assert_int_equal(b.body, at == full ? 3 : 2);
		if (at == full)
			full = end_of(&b);
		else
			assert_int_equal(read_back(f, &b, "lost"), 0);
	}
	/* What was synced and is gone is not passed over. */
	seg_close(f->s);
	f->s = NULL;
	assert_int_equal(truncate(f->file, (off_t)a.off + 20), 0);
	assert_int_equal(seg_open(f->dir, &a, 0, &f->s), ERR_CORRUPT);
}

static void
torn_data_under_good_header(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "kept"), b;
	off_t end = end_of(&a);

	b = put(f, "torn record");
	flip(f->file, end_of(&b) - 6);
	seg_close(f->s);
	assert_int_equal(seg_open(f->dir, &a, 0, &f->s), 0);
	assert_int_equal(size_of(f->file), end);
	b = put(f, "again");
	assert_int_equal(read_back(f, &b, "again"), 0);
}

/* Zeros are made ahead of small records, so that most syncs change no length; opening cuts them, and records go on where the last one ended. */
static void
zeros_ahead(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "one"), b;
	off_t size = size_of(f->file);

	assert_true(size > end_of(&a));
	b = put(f, "two");
	assert_int_equal(size_of(f->file), size);
	assert_int_equal(b.off, end_of(&a));
	seg_sync(f->s);
	seg_close(f->s);
	assert_int_equal(seg_open(f->dir, &a, 0, &f->s), 0);
	assert_int_equal(size_of(f->file), end_of(&b));
	assert_int_equal(read_back(f, &b, "two"), 0);
	a = put(f, "three");
	assert_int_equal(a.off, end_of(&b));
	assert_int_equal(read_back(f, &a, "three"), 0);
}

static void
new_file_torn(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "kept"), b;
	char file2[80];
	int fd;

	seg_close(f->s);
	snprintf(file2, sizeof file2, "%s/seg-00000002", f->dir);
	fd = open(file2, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "congvu", 6), 6);
	close(fd);
	assert_int_equal(seg_open(f->dir, &a, 0, &f->s), 0);
	b = put(f, "next");
	assert_int_equal(b.segment, 2);
	assert_int_equal(read_back(f, &a, "kept"), 0);
	assert_int_equal(read_back(f, &b, "next"), 0);
}

static void
from_file(void **state)
{
	struct fix *f = *state;
	FILE *tmp = tmpfile();
	static unsigned char big[200000];
	unsigned char sha[32];
	struct seg_loc l, l2;
	struct buf b;

	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (unsigned char)(i * 31);
	fwrite(big, 1, sizeof big, tmp);
	fflush(tmp);
	sha256_of(slice_of(big, sizeof big), sha);
	assert_int_equal(
	    seg_write(f->s, sha, slice_str(""), fileno(tmp), sizeof big, slice_str("sum"), &l), 0);
	assert_int_equal(
	    seg_write(f->s, sha, slice_str(""), fileno(tmp), sizeof big + 1, slice_str("sum"), &l2),
	    ERR_EOF);
	sha[0] ^= 1;
	assert_int_equal(
	    seg_write(f->s, sha, slice_str(""), fileno(tmp), sizeof big, slice_str("sum"), &l2),
	    ERR_CORRUPT);
	l2 = put(f, "behind the dead ones");
	seg_sync(f->s);
	seg_close(f->s);
	assert_int_equal(seg_open(f->dir, &l, 0, &f->s), 0); /* the tail scan passes over them */
	assert_int_equal(read_back(f, &l2, "behind the dead ones"), 0);
	buf_init(&b, sizeof big + 1);
	assert_int_equal(seg_read(f->s, &l, 0, sizeof big, &b), 0);
	assert_memory_equal(b.data, big, sizeof big);
	buf_done(&b);
	fclose(tmp);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(write_read, setup, teardown),
	    cmocka_unit_test_setup_teardown(damage_is_seen, setup, teardown),
	    cmocka_unit_test_setup_teardown(torn_tail, setup, teardown),
	    cmocka_unit_test_setup_teardown(torn_data_under_good_header, setup, teardown),
	    cmocka_unit_test_setup_teardown(zeros_ahead, setup, teardown),
	    cmocka_unit_test_setup_teardown(new_file_torn, setup, teardown),
	    cmocka_unit_test_setup_teardown(from_file, setup, teardown),
	};

	log_init("segment_test", 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
