/* kv_page_test.c: pages torn by a power cut are whole again. A process that ends at once stands for the cut; the tear is made by hand. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/err.h"
#include "store/kv_page.h"

enum { P = KV_PAGE_SIZE };
static char dir[64], path[96], dw[96];

/* A read of the first octets of a file fails: with errno, or (0) as if the file ended there. -1: none. */
static int failing = -1, failed;

ssize_t __real_pread(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at);

ssize_t
__wrap_pread(int fd, void *p, size_t n, off_t at)
{
	if (failing < 0 || at != 0)
		return __real_pread(fd, p, n, at);
	errno = failing;
	failing = -1;
	failed++;
	return errno == 0 ? 0 : -1;
}

static void
fill(unsigned char *page, unsigned n, unsigned char version)
{
	memset(page, version, P);
	memcpy(page, &n, sizeof n);
	memset(page + 52, 'u', 20); /* the uid of a database is in its first page */
}

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/kv_page_test.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof path, "%s/" KV_PAGE_FILE, dir);
	snprintf(dw, sizeof dw, "%s/pages.dw", dir);
	return 0;
}

static int
teardown(void **state)
{
	char cmd[128];

	(void)state;
	kv_page_end();
	snprintf(cmd, sizeof cmd, "rm -r '%s'", dir);
	return system(cmd);
}

static void
write_pages(int fd, unsigned from, unsigned to, unsigned char version)
{
	unsigned char page[P];

	for (unsigned n = from; n < to; n++) {
		fill(page, n, version);
		assert_int_equal(kv_page_pwrite(fd, page, P, (off_t)n * P), P);
	}
}

static void
expect(int fd, unsigned from, unsigned to, unsigned char version)
{
	unsigned char page[P], want[P];

	for (unsigned n = from; n < to; n++) {
		fill(want, n, version);
		assert_int_equal(kv_page_pread(fd, page, P, (off_t)n * P), P);
		assert_memory_equal(page, want, P);
	}
}

/* What is in the file itself. */
static unsigned char
on_disk(unsigned n)
{
	unsigned char c;
	int fd = open(path, O_RDONLY);

	assert_int_equal(pread(fd, &c, 1, (off_t)n * P + 1000), 1);
	close(fd);
	return c;
}

/* Version a of all pages in place; then, in a process that ends at once, version b of some, synced or not. */
static void
make_and_die(bool synced)
{
	int fd, status;
	pid_t pid;

	assert_int_equal(kv_page_start(dir), 0);
	fd = kv_page_open(path, O_RDWR | O_CREAT, 0600);
	write_pages(fd, 0, 20, 'a');
	assert_int_equal(kv_page_fsync(fd), 0);
	kv_page_close(fd);
	kv_page_end();
	pid = fork();
	if (pid == 0) {
		if (kv_page_start(dir) != 0)
			_exit(1);
		fd = kv_page_open(path, O_RDWR, 0600);
		write_pages(fd, 5, 15, 'b');
		_exit(synced && kv_page_fsync(fd) != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The later half of a page as it was before. */
static void
tear(unsigned n, unsigned at, unsigned len)
{
	unsigned char page[P];
	int fd = open(path, O_RDWR);

	fill(page, n, 'a');
	assert_int_equal(pwrite(fd, page + at, len, (off_t)n * P + at), len);
	close(fd);
}

/* Berkeley DB writes so after a pwrite that failed: it must not go past the batch. */
static void
seek_and_write_gathers_too(void **state)
{
	unsigned char page[P];
	int fd;

	(void)state;
	assert_int_equal(kv_page_start(dir), 0);
	fd = kv_page_open(path, O_RDWR | O_CREAT, 0600);
	write_pages(fd, 0, 4, 'a');
	assert_int_equal(kv_page_fsync(fd), 0);
	fill(page, 2, 'b');
	assert_int_equal(lseek(fd, 2 * P, SEEK_SET), 2 * P);
	assert_int_equal(kv_page_write(fd, page, P), P);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 3 * P);
	assert_int_equal(on_disk(2), 'a');
	expect(fd, 0, 2, 'a');
	expect(fd, 2, 3, 'b');
	expect(fd, 3, 4, 'a');
	assert_int_equal(kv_page_fsync(fd), 0);
	assert_int_equal(on_disk(2), 'b');
	assert_int_equal(kv_page_close(fd), 0);
}

static void
gathered_pages_are_read_and_not_on_disk(void **state)
{
	unsigned char some[3 * P];
	int fd;

	(void)state;
	assert_int_equal(kv_page_start(dir), 0);
	fd = kv_page_open(path, O_RDWR | O_CREAT, 0600);
	write_pages(fd, 0, 8, 'a');
	assert_int_equal(kv_page_fsync(fd), 0);
	write_pages(fd, 2, 4, 'b');
	write_pages(fd, 9, 10, 'b'); /* behind the end, with a hole */
	expect(fd, 0, 2, 'a');
	expect(fd, 2, 4, 'b');
	expect(fd, 9, 10, 'b');
	assert_int_equal(on_disk(2), 'a');
	/* across pages, and beyond what the file has */
	assert_int_equal(kv_page_pread(fd, some, sizeof some, 3 * P - 100), sizeof some);
	assert_int_equal(some[50], 'b');
	assert_int_equal(some[100 + 2000], 'b');
	assert_int_equal(some[100 + P + 2000], 'a');
	assert_int_equal(kv_page_pread(fd, some, sizeof some, 9 * P), P);
	/* written twice before it goes: the later one */
	write_pages(fd, 3, 4, 'c');
	expect(fd, 3, 4, 'c');
	assert_int_equal(kv_page_fsync(fd), 0);
	assert_int_equal(on_disk(2), 'b');
	assert_int_equal(on_disk(3), 'c');
	assert_int_equal(on_disk(9), 'b');
	/* other files pass through */
	char other[96];
	snprintf(other, sizeof other, "%s/log.0000000001", dir);
	int log = kv_page_open(other, O_RDWR | O_CREAT, 0600);
	assert_int_equal(kv_page_pwrite(log, "abc", 3, 7), 3);
	assert_int_equal(kv_page_pread(log, some, 10, 0), 10);
	assert_memory_equal(some + 7, "abc", 3);
	kv_page_close(log);
	kv_page_close(fd);
}

static void
more_than_a_batch(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(kv_page_start(dir), 0);
	fd = kv_page_open(path, O_RDWR | O_CREAT, 0600);
	write_pages(fd, 0, 3 * KV_PAGE_BATCH + 17, 'a');
	expect(fd, 0, 3 * KV_PAGE_BATCH + 17, 'a');
	kv_page_close(fd);
	assert_int_equal(on_disk(3 * KV_PAGE_BATCH + 16), 'a');
}

static void
torn_pages_are_whole_again(void **state)
{
	int fd;

	(void)state;
	make_and_die(true);
	for (unsigned n = 5; n < 15; n++)
		tear(n, n * 512 % P, n % 3 == 0 ? 512 : (unsigned)(P - n * 512 % P));
	assert_int_equal(kv_page_start(dir), 0);
	fd = kv_page_open(path, O_RDWR, 0600);
	expect(fd, 0, 5, 'a');
	expect(fd, 5, 15, 'b');
	expect(fd, 15, 20, 'a');
	kv_page_close(fd);
}

static void
nothing_in_place_before_the_copy_is_whole(void **state)
{
	int fd;

	(void)state;
	make_and_die(false);
	for (unsigned n = 0; n < 20; n++)
		assert_int_equal(on_disk(n), 'a');
	/* and a copy that is not whole is not put anywhere */
	make_and_die(true);
	fd = open(dw, O_RDWR);
	assert_int_equal(pwrite(fd, "x", 1, 32768 + 3 * P + 5), 1);
	close(fd);
	tear(14, 0, P);
	assert_int_equal(kv_page_start(dir), 0);
	assert_int_equal(on_disk(14), 'a');
	assert_int_equal(on_disk(13), 'b');
}

static void
pages_of_another_file_are_refused(void **state)
{
	int fd;

	(void)state;
	make_and_die(true);
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, "another database  ..", 20, 52), 20);
	close(fd);
	/* however often it is tried: a start that failed leaves pages.dw as it was */
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(kv_page_start(dir), ERR_CORRUPT);
	assert_int_equal(on_disk(5), 'b');
	/* after an orderly end there is nothing left to put anywhere */
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, "uuuuuuuuuuuuuuuuuuuu", 20, 52), 20);
	close(fd);
	assert_int_equal(kv_page_start(dir), 0);
	kv_page_end();
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, "another database  ..", 20, 52), 20);
	close(fd);
	assert_int_equal(kv_page_start(dir), 0);
}

/* The uid for pages.dw could not be read: nothing is written that the next start would take for another database's. */
static void
reads_that_fail(void **state)
{
	static const int how[] = {EIO, 0};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		int fd, status;
		pid_t pid;

		assert_int_equal(kv_page_start(dir), 0);
		fd = kv_page_open(path, O_RDWR | O_CREAT, 0600);
		write_pages(fd, 0, 20, 'a');
		assert_int_equal(kv_page_fsync(fd), 0);
		kv_page_close(fd);
		kv_page_end();
		pid = fork();
		if (pid == 0) {
			if (kv_page_start(dir) != 0)
				_exit(1);
			fd = kv_page_open(path, O_RDWR, 0600);
			write_pages(fd, 5, 15, 'b');
			failing = how[i];
			if (kv_page_fsync(fd) != EIO || failed != 1 || on_disk(7) != 'a')
				_exit(2);
			if (kv_page_fsync(fd) != 0) /* once more */
				_exit(3);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		/* and what is whole there is not passed over */
		for (unsigned nth = 0; nth < 2; nth++) {
			failing = how[nth];
			assert_int_equal(kv_page_start(dir), ERR_IO);
			assert_int_equal(failing, -1);
		}
		assert_int_equal(kv_page_start(dir), 0);
		fd = kv_page_open(path, O_RDWR, 0600);
		expect(fd, 0, 5, 'a');
		expect(fd, 5, 15, 'b');
		kv_page_close(fd);
		kv_page_end();
		failed = 0;
	}
}

/* As Berkeley DB names a log file that may go: from the root, whether or not the process may walk there. */
static void
unlink_from_the_root(void **state)
{
	char name[160];

	(void)state;
	assert_int_equal(kv_page_start(dir), 0);
	snprintf(name, sizeof name, "%s/log.0000000001", dir);
	assert_int_equal(close(open(name, O_CREAT | O_WRONLY, 0600)), 0);
	assert_int_equal(kv_page_unlink("/nobody/may/walk/here/log.0000000001"), 0);
	assert_int_equal(access(name, F_OK), -1);
	assert_int_equal(kv_page_unlink("/nobody/may/walk/here/log.0000000001"), ENOENT);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(gathered_pages_are_read_and_not_on_disk),
	    T(seek_and_write_gathers_too),
	    T(more_than_a_batch),
	    T(torn_pages_are_whole_again),
	    T(nothing_in_place_before_the_copy_is_whole),
	    T(pages_of_another_file_are_refused),
	    T(reads_that_fail),
	    T(unlink_from_the_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
