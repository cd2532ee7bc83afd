/* backup_dir_test.c: a backup folder that is cut off at any write, sync or rename, by a kill or by a loss of power (what was not synced is there, gone, or there by half): the
 * backup that the manifest tells of is whole, and the next one goes on. The calls of backup_dir.c are wrapped by the linker. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/backup_dir.h"
#include "lib/err.h"
#include "lib/log.h"

ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __real_ftruncate(int fd, off_t size);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_ftruncate(int fd, off_t size);

enum cut { CUT_KILL, CUT_LOST, CUT_HALF, CUTS };
enum { FDS = 64, STEPS = 6, OVER = 42, DONE = 43 };

static char dir[64];
static int left = -1; /* calls until it is cut; -1: never */
static enum cut how;
static struct unsynced {
	bool is;
	off_t from; /* the file had so many octets at its last sync */
} unsynced[FDS];
static struct buf manifest_before; /* of a rename that is not synced */
static bool renamed;
static int renamed_in;

/* The state that is left: of what was not synced since, nothing or half. */
static void
cut(void)
{
	if (how == CUT_KILL)
		_exit(OVER);
	for (int fd = 0; fd < FDS; fd++) {
		struct stat st;

		if (!unsynced[fd].is || fstat(fd, &st) != 0 || st.st_size <= unsynced[fd].from)
			continue;
		(void)!__real_ftruncate(
		    fd, how == CUT_LOST ? unsynced[fd].from
					: unsynced[fd].from + (st.st_size - unsynced[fd].from) / 2);
	}
	if (renamed && how == CUT_LOST) {
		int fd = openat(renamed_in, "manifest", O_WRONLY | O_TRUNC);

		if (manifest_before.len == 0)
			unlinkat(renamed_in, "manifest", 0);
		else
			(void)!__real_pwrite(fd, manifest_before.data, manifest_before.len, 0);
	}
	_exit(OVER);
}

static void
count(void)
{
	if (left >= 0 && left-- == 0)
		cut();
}

ssize_t
__wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	struct stat st;

	if (fd < FDS && !unsynced[fd].is && fstat(fd, &st) == 0)
		unsynced[fd] = (struct unsynced){true, st.st_size};
	if (left == 0) /* torn */
		(void)!__real_pwrite(fd, p, n / 2, at);
	count();
	return __real_pwrite(fd, p, n, at);
}

static void
synced(int fd)
{
	if (fd < FDS)
		unsynced[fd].is = false;
}

int
__wrap_fdatasync(int fd)
{
	count();
	synced(fd);
	return 0; /* the model is what counts */
}

int
__wrap_fsync(int fd)
{
	struct stat st;

	count();
	synced(fd);
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		renamed = false;
	return 0;
}

int
__wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	int fd = openat(to_fd, to, O_RDONLY), r;

	count();
	buf_reset(&manifest_before);
	if (fd >= 0) {
		unsigned char *p = buf_reserve(&manifest_before, 65536);
		ssize_t n = read(fd, p, 65536);

		buf_commit(&manifest_before, n > 0 ? (size_t)n : 0);
		close(fd);
	}
	r = __real_renameat(from_fd, from, to_fd, to);
	renamed = true;
	renamed_in = to_fd;
	return r;
}

int
__wrap_ftruncate(int fd, off_t size)
{
	count();
	synced(fd);
	return __real_ftruncate(fd, size);
}

/* ---- the work: backups 1 to STEPS, each with more in every file; the one that is there is told by its moment ---- */

static void
piece(unsigned step, char kind, struct buf *b)
{
	buf_reset(b);
	for (unsigned i = 0; i < 40 + 17 * step; i++)
		buf_appendf(b, "%c%u.%u ", kind, step, i);
}

static int
append_step(struct backup_file *f, unsigned step, char kind, struct buf *b)
{
	piece(step, kind, b);
	return backup_file_append(f, buf_slice(b));
}

/* One backup more: rows in the first, a segment and changes in each; in the fourth the rows are taken anew, under another number. */
static int
one(struct backup_dir *d, unsigned step)
{
	struct backup_manifest *m = &d->m;
	struct backup_file rows = {.fd = -1}, journal = {.fd = -1}, segment = {.fd = -1};
	struct backup_set set = m->set;
	char name[32];
	struct buf b;
	int err = 0;

	buf_init(&b, 65536);
	if (step == 1 || step == 4)
		set = (struct backup_set){.there = true, .rows_done = true, .gen = m->set.gen + 1};
	if (m->n_segments == 0) {
		m->segments = xcalloc(1, sizeof *m->segments);
		m->segments[0].number = 1;
		m->n_segments = 1;
	}
	if (step == 1 || step == 4) {
		backup_rows_name(set.gen, name);
		err = backup_file_open(d->fd, name, &set.rows, &rows);
		if (err == 0)
			err = append_step(&rows, step, 'r', &b);
	}
	backup_journal_name(set.gen, name);
	if (err == 0)
		err = backup_file_open(d->fd, name, &set.journal, &journal);
	if (err == 0)
		err = append_step(&journal, step, 'j', &b);
	backup_segment_name(1, 0, name);
	if (err == 0)
		err = backup_file_open(d->segments_fd, name, &m->segments[0].part, &segment);
	if (err == 0)
		err = append_step(&segment, step, 's', &b);
	if (err == 0 && rows.fd >= 0)
		err = backup_file_sync(&rows);
	if (err == 0)
		err = backup_file_sync(&journal);
	if (err == 0)
		err = backup_file_sync(&segment);
	m->set = set;
	m->moment_us = (int64_t)step;
	if (err == 0)
		err = backup_dir_commit(d);
	if (err == 0)
		backup_dir_sweep(d);
	backup_file_close(&rows);
	backup_file_close(&journal);
	backup_file_close(&segment);
	buf_done(&b);
	return err;
}

static int
collect(void *arg, struct slice s)
{
	return buf_append_slice(arg, s);
}

/* What the manifest tells of is there, octet for octet. Gives the backup that it is; 0: none yet. */
static unsigned
check(struct backup_dir *d)
{
	const struct backup_manifest *m = &d->m;
	unsigned step = (unsigned)m->moment_us, first = step >= 4 ? 4 : 1;
	struct buf want, got, b;
	char name[32];

	if (!m->set.there)
		return 0;
	buf_init(&want, 1 << 20);
	buf_init(&got, 1 << 20);
	buf_init(&b, 65536);
	piece(first, 'r', &want);
	backup_rows_name(m->set.gen, name);
	assert_int_equal(backup_part_read(d->fd, name, &m->set.rows, collect, &got), 0);
	assert_true(slice_eq(buf_slice(&got), buf_slice(&want)));
	for (int i = 0; i < 2; i++) {
		buf_reset(&want);
		buf_reset(&got);
		for (unsigned s = i == 0 ? first : 1; s <= step; s++) {
			piece(s, i == 0 ? 'j' : 's', &b);
			buf_append_slice(&want, buf_slice(&b));
		}
		if (i == 0)
			backup_journal_name(m->set.gen, name);
		else
			backup_segment_name(1, 0, name);
		assert_int_equal(
		    backup_part_read(i == 0 ? d->fd : d->segments_fd, name,
			i == 0 ? &m->set.journal : &m->segments[0].part, collect, &got),
		    0);
		assert_true(slice_eq(buf_slice(&got), buf_slice(&want)));
	}
	buf_done(&want);
	buf_done(&got);
	buf_done(&b);
	return step;
}

static unsigned
there(void)
{
	struct backup_dir d;
	int err = backup_dir_open(AT_FDCWD, dir, true, &d);
	unsigned step;

	assert_int_equal(err, 0);
	step = check(&d);
	backup_dir_close(&d);
	return step;
}

/* In a process of its own: backups from where the folder is to the last, cut at the n-th call. Gives its exit code. */
static int
work(int n, enum cut kind)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct backup_dir d;

		buf_init(&manifest_before, 65536);
		left = n;
		how = kind;
		if (backup_dir_open(AT_FDCWD, dir, true, &d) != 0)
			_exit(1);
		for (unsigned s = (unsigned)d.m.moment_us + 1; s <= STEPS; s++)
			if (one(&d, s) != 0)
				_exit(2);
		_exit(DONE);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
fresh(void)
{
	char cmd[128];

	snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
	assert_int_equal(system(cmd), 0);
}

static void
cut_at_every_call(void **state)
{
	unsigned states = 0;

	(void)state;
	for (int kind = 0; kind < CUTS; kind++)
		for (int n = 0, code = OVER; code != DONE; n++) {
			unsigned step;

			fresh();
			code = work(n, (enum cut)kind);
			assert_true(code == OVER || code == DONE);
			step = there();
			/* it goes on, and is cut once more in the middle */
			if (code == OVER)
				(void)work(n % 7, (enum cut)kind);
			assert_true(there() >= step);
			assert_int_equal(work(-1, CUT_KILL), DONE);
			assert_int_equal(there(), STEPS);
			states++;
		}
	printf("%u states\n", states);
	assert_true(states > 100);
}

static void
damage_is_found(void **state)
{
	static const char *const names[] = {
	    "rows-00000002", "journal-00000002", "segments/seg-00000001"};
	struct backup_dir d;
	struct backup_part part;
	char path[128];

	(void)state;
	fresh();
	assert_int_equal(work(-1, CUT_KILL), DONE);
	assert_int_equal(backup_dir_open(AT_FDCWD, dir, false, &d), 0);
	assert_int_equal(d.m.set.gen, 2); /* the files of the first set are gone */
	assert_int_equal(faccessat(d.fd, "rows-00000001", F_OK, 0), -1);
	for (int i = 0; i < 3; i++) {
		char c;
		int fd;

		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		part = i == 0 ? d.m.set.rows : i == 1 ? d.m.set.journal : d.m.segments[0].part;
		for (off_t at = 0; at < (off_t)part.octets; at += 37) {
			fd = open(path, O_RDWR);
			assert_int_equal(pread(fd, &c, 1, at), 1);
			c ^= 1;
			assert_int_equal(__real_pwrite(fd, &c, 1, at), 1);
			assert_int_equal(
			    backup_part_read(d.fd, names[i], &part, NULL, NULL), ERR_CORRUPT);
			c ^= 1;
			assert_int_equal(__real_pwrite(fd, &c, 1, at), 1);
			close(fd);
		}
		assert_int_equal(backup_part_read(d.fd, names[i], &part, NULL, NULL), 0);
	}
	backup_dir_close(&d);
	/* of the manifest every octet counts */
	snprintf(path, sizeof path, "%s/manifest", dir);
	for (off_t at = 0;; at++) {
		int fd = open(path, O_RDWR), err;
		char c;

		if (pread(fd, &c, 1, at) != 1) {
			close(fd);
			break;
		}
		c ^= 2;
		assert_int_equal(__real_pwrite(fd, &c, 1, at), 1);
		err = backup_dir_open(AT_FDCWD, dir, false, &d);
		assert_int_equal(err, ERR_CORRUPT);
		c ^= 2;
		assert_int_equal(__real_pwrite(fd, &c, 1, at), 1);
		close(fd);
	}
	assert_int_equal(there(), STEPS);
}

/* A folder that somebody else filled: what stands there instead of a file neither holds the reader up nor is read. */
static void
no_files(void **state)
{
	static const char *const names[] = {"rows-00000002", "manifest"};
	struct backup_part part = {.octets = 1};
	struct backup_dir d;
	char path[128];

	(void)state;
	alarm(20);
	for (int kind = 0; kind < 3; kind++)
		for (int i = 0; i < 2; i++) {
			fresh();
			assert_int_equal(work(-1, CUT_KILL), DONE);
			snprintf(path, sizeof path, "%s/%s", dir, names[i]);
			assert_int_equal(unlink(path), 0);
			assert_int_equal(kind == 0   ? mkfifo(path, 0600)
					 : kind == 1 ? symlink("/dev/zero", path)
						     : mkdir(path, 0700),
			    0);
			if (i == 1) {
				assert_int_equal(
				    backup_dir_open(AT_FDCWD, dir, false, &d), ERR_CORRUPT);
				continue;
			}
			assert_int_equal(backup_dir_open(AT_FDCWD, dir, false, &d), 0);
			assert_int_equal(
			    backup_part_read(d.fd, names[i], &part, NULL, NULL), ERR_CORRUPT);
			backup_dir_close(&d);
		}
	alarm(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(cut_at_every_call),
	    cmocka_unit_test(damage_is_found), cmocka_unit_test(no_files)};
	int r;

	snprintf(dir, sizeof dir, "/tmp/backup_dir_test.%ld", (long)getpid());
	r = cmocka_run_group_tests(tests, NULL, NULL);
	fresh();
	return r;
}
