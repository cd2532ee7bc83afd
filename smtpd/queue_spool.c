/* queue_spool.c: bodies too large for a row. Runs in smtpd-queue, in its working folder. Invariant: a file that has a name was
 * synced, and its folder too, before a row refers to it; files no row refers to are swept at the start. */
#include "config.h"

#include "smtpd/queue_spool.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { ROOM_EVERY_MS = 50 };

/* disk_reserve_mb. Rows stop at half of it: what was begun before the disk came so far still finds room for its COMMIT. Refused there, a message
 * that others had already got would come again. */
static uint64_t reserve_bytes;

static int dir_fd = -1;

struct name {
	char s[2 * DELIVERY_ID_LEN + 1];
};

static const char *
name_of(const struct delivery_id *id, struct name *n)
{
	delivery_id_hex(id, n->s);
	return n->s;
}

/* The names of "db" and "spool" outlive a power cut before anything in them does. */
static int
names_sync(void)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd < 0)
		return err_from_errno(errno);
	err = fsync(fd) != 0 ? err_from_errno(errno) : 0;
	close(fd);
	return err;
}

int
qspool_init(uint64_t reserve)
{
	reserve_bytes = reserve;
	if (mkdir("spool", 0700) != 0 && errno != EEXIST)
		return err_from_errno(errno);
	dir_fd = open("spool", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0 ? err_from_errno(errno) : names_sync();
}

int
qspool_tmpfile(void)
{
	int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd < 0 ? err_from_errno(errno) : fd;
}

static int
copy(int from, int to, uint64_t size)
{
	static unsigned char tmp[65536];
	uint64_t at = 0;

	while (at < size) {
		size_t want = size - at < sizeof(tmp) ? (size_t)(size - at) : sizeof(tmp);
		ssize_t n = pread(from, tmp, want, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? ERR_PROTO : err_from_errno(errno);
		if (pwrite(to, tmp, (size_t)n, (off_t)at) != n)
			return errno == 0 ? ERR_FULL : err_from_errno(errno);
		at += (uint64_t)n;
	}
	return 0;
}

/* A file of our own with the content, under a name that is no id, then renamed. */
static int
keep_copy(const char *name, int fd, uint64_t size)
{
	int to = openat(dir_fd, "copy.tmp", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	int r;

	if (to < 0)
		return err_from_errno(errno);
	r = copy(fd, to, size);
	if (r == 0 && fdatasync(to) != 0)
		r = err_from_errno(errno);
	if (r == 0 && renameat(dir_fd, "copy.tmp", dir_fd, name) != 0)
		r = err_from_errno(errno);
	if (r != 0)
		(void)unlinkat(dir_fd, "copy.tmp", 0);
	close(to);
	return r;
}

int
qspool_keep(const struct delivery_id *id, int fd, uint64_t size)
{
	struct name n;
	struct stat st;
	char proc[40];

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size < size)
		return ERR_PROTO;
	if (faccessat(dir_fd, name_of(id, &n), F_OK, 0) == 0)
		return 0;
	if (fdatasync(fd) != 0)
		return err_from_errno(errno);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	/* an unnamed file of this folder gets its name; anything else is copied */
	if (linkat(AT_FDCWD, proc, dir_fd, n.s, AT_SYMLINK_FOLLOW) != 0) {
		int r = keep_copy(n.s, fd, size);
		if (r != 0)
			return r;
	}
	if (fsync(dir_fd) == 0)
		return 0;
	int r = err_from_errno(errno);
	/* its name may be lost: nobody is to find it and take it for kept */
	(void)unlinkat(dir_fd, n.s, 0);
	return r;
}

int
qspool_open(const struct delivery_id *id)
{
	struct name n;
	int fd = openat(dir_fd, name_of(id, &n), O_RDONLY | O_CLOEXEC);

	return fd < 0 ? err_from_errno(errno) : fd;
}

void
qspool_remove(const struct delivery_id *id)
{
	struct name n;

	if (unlinkat(dir_fd, name_of(id, &n), 0) != 0 && errno != ENOENT)
		log_msg(LOG_LVL_WARN, "spool_remove", "%s: errno %d", n.s, errno);
}

/* The disk is asked now and then; in between, what was promised counts as taken. */
bool
qspool_has_room(uint64_t bytes)
{
	static int64_t asked_ms = INT64_MIN / 2;
	static uint64_t room;
	struct timespec ts;
	struct statvfs v;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	int64_t now = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	if (now - asked_ms >= ROOM_EVERY_MS) {
		if (fstatvfs(dir_fd, &v) != 0)
			return true; /* unknown is no reason to refuse mail */
		room = (uint64_t)v.f_bavail * v.f_frsize;
		asked_ms = now;
	}
	if (room <= reserve_bytes || room - reserve_bytes <= bytes)
		return false;
	room -= bytes;
	return true;
}

void
qspool_sweep(bool (*known)(void *arg, const struct delivery_id *id), void *arg)
{
	struct delivery_id id;
	struct dirent *d;
	int fd = dup(dir_fd);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, "copy.tmp") == 0 ||
		    (hex_decode(slice_str(d->d_name), id.b, DELIVERY_ID_LEN) == 0 &&
			!known(arg, &id)))
			(void)unlinkat(dir_fd, d->d_name, 0);
	}
	closedir(dir);
}
