/* shim.c: an LD_PRELOAD library for tests: records what a role does to the files below CONGVU_CRASH_DIR (crash.h) in the file
 * CONGVU_CRASH_LOG, lets calls fail (CONGVU_FAULT) and sets the clock (struct fault_page). A call and its record are one under a lock, so the record is a true order. Paths are followed here: the role's
 * sandbox shows no /proc (opendir is not followed: open and fdopendir are). After CONGVU_CRASH_END records, and then the first write to a file whose path begins with CONGVU_CRASH_AT
 * (ending in ":0": to the beginning of such a file; in ":+": behind that), the process ends as by kill -9, which could come between a call and its record. */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/crash.h"

/* Their header forms may be inline or checked ones; the plain symbols are what is replaced. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wmissing-declarations"

enum { FDS = 4096, PATH_LEN = 256 };

static struct {
	pthread_mutex_t mu;
	int log;
	uint64_t opened;
	unsigned long records, end;
	const char *at;
	size_t at_len;
	char at_where;  /* '0', '+', NUL: anywhere */
	uintptr_t base; /* of the program */
	size_t root_len;
	char root[PATH_LEN], cwd[PATH_LEN];
	struct fault_page *page;
	enum fault_op fault;
	unsigned long fault_first, fault_count;
	int fault_errno;
	bool on;
	struct {
		char path[PATH_LEN]; /* absolute */
		uint64_t number;     /* 0: not below root */
		bool dir;
	} fd[FDS];
} S = {.mu = PTHREAD_MUTEX_INITIALIZER, .log = -1};

/* The first one is the program itself. */
static int
see_program(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	S.base = info->dlpi_addr;
	return 1;
}

static void
faults_start(void)
{
	const char *path = getenv("CONGVU_FAULT_PAGE"), *what = getenv("CONGVU_FAULT");
	char name[16];
	int fd;

	if (path == NULL)
		return;
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	S.page = mmap(NULL, sizeof *S.page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || S.page == MAP_FAILED)
		abort();
	syscall(SYS_close, fd);
	if (what == NULL || what[0] == '\0')
		return;
	if (sscanf(what, "%15[a-z]:%lu:%lu:%d", name, &S.fault_first, &S.fault_count,
		&S.fault_errno) != 4)
		abort();
	while (S.fault < FAULT_OPS && strcmp(name, fault_ops[S.fault]) != 0)
		S.fault++;
}

__attribute__((constructor)) static void
start(void)
{
	const char *log = getenv("CONGVU_CRASH_LOG"), *root = getenv("CONGVU_CRASH_DIR");

	if (root == NULL || getcwd(S.cwd, sizeof S.cwd) == NULL)
		return;
	S.on = true;
	faults_start();
	S.root_len = (size_t)snprintf(S.root, sizeof S.root, "%s/", root);
	S.opened = (uint64_t)getpid() << 32;
	dl_iterate_phdr(see_program, NULL);
	if (getenv("CONGVU_CRASH_END") != NULL)
		S.end = strtoul(getenv("CONGVU_CRASH_END"), NULL, 10);
	S.at = getenv("CONGVU_CRASH_AT") == NULL ? "" : getenv("CONGVU_CRASH_AT");
	S.at_len = strcspn(S.at, ":");
	S.at_where = S.at[S.at_len] == '\0' ? '\0' : S.at[S.at_len + 1];
	if (log != NULL)
		S.log = (int)syscall(
		    SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

/* "." and empty parts are dropped; the store uses no "..". */
static void
tidy(char *path)
{
	char *to = path;

	for (const char *p = path; *p != '\0';) {
		size_t n = strcspn(p + 1, "/");

		if (n > 0 && !(n == 1 && p[1] == '.')) {
			memmove(to, p, n + 1);
			to += n + 1;
		}
		p += n + 1;
	}
	*to = '\0';
}

static void
absolute(int dir_fd, const char *path, char out[PATH_LEN])
{
	const char *base = dir_fd >= 0 && dir_fd < FDS ? S.fd[dir_fd].path : S.cwd;

	if (path[0] == '/')
		snprintf(out, PATH_LEN, "%s", path);
	else if (snprintf(out, PATH_LEN, "%s/%s", base, path) >= PATH_LEN)
		abort();
	tidy(out);
}

/* The path below root, or NULL. The folder itself is "". */
static const char *
below(const char *path)
{
	if (!S.on)
		return NULL;
	if (strncmp(path, S.root, S.root_len - 1) == 0 && path[S.root_len - 1] == '\0')
		return "";
	return strncmp(path, S.root, S.root_len) == 0 ? path + S.root_len : NULL;
}

static void
record(enum crash_op op, uint64_t a, uint64_t b, const void *p, size_t n)
{
	struct crash_rec r = {CRASH_MAGIC, 0, op, (uint32_t)n, a, b};
	struct iovec v[2] = {{&r, sizeof r}, {NULL, n}};

	if (S.log < 0)
		return;
	r.sum = crash_sum(&r, p);
	memcpy(&v[1].iov_base, &p, sizeof p);
	if (syscall(SYS_writev, S.log, v, 2) != (long)(sizeof r + n))
		abort();
	S.records++;
}

static void
record_write(int fd, uint64_t at, const void *p, size_t n)
{
	const char *path = below(S.fd[fd].path);

	record(CRASH_WRITE, S.fd[fd].number, at, p, n);
	if (S.at[0] != '\0' && *(const char *)p == 0 && memcmp(p, (const char *)p + 1, n - 1) == 0)
		return; /* zeros are no piece of it */
	if (S.end > 0 && S.records >= S.end && path != NULL && strncmp(path, S.at, S.at_len) == 0 &&
	    (S.at_where == '\0' || (at == 0) == (S.at_where == '0')))
		syscall(SYS_exit_group, 137);
}

static uint64_t
number_of(int fd)
{
	return fd >= 0 && fd < FDS ? S.fd[fd].number : 0;
}

static uint64_t
file_of(int fd)
{
	return number_of(fd) == 0 || S.fd[fd].dir ? 0 : S.fd[fd].number;
}

/* Whether this call is one that fails; errno is set then, but for short reads and writes. The lock is held, or the call is a read. */
static bool
fails(enum fault_op op)
{
	unsigned long n;

	if (S.page == NULL)
		return false;
	n = __atomic_add_fetch(&S.page->calls[op], 1, __ATOMIC_RELAXED);
	if (op != S.fault || n < S.fault_first || n - S.fault_first >= S.fault_count)
		return false;
	__atomic_add_fetch(&S.page->hits, 1, __ATOMIC_RELAXED);
	errno = S.fault_errno;
	return true;
}

/* ---- names ---- */

static int
do_open(int dir_fd, const char *path, int flags, mode_t mode)
{
	char full[PATH_LEN];
	const char *rel;
	struct stat st;
	int fd;

	pthread_mutex_lock(&S.mu);
	if (S.on) {
		absolute(dir_fd, path, full);
		if (below(full) != NULL && fails(FAULT_OPEN)) {
			pthread_mutex_unlock(&S.mu);
			return -1;
		}
	}
	fd = (int)syscall(SYS_openat, dir_fd, path, flags, mode);
	if (fd >= 0 && fd < FDS && S.on) {
		rel = below(full);
		memcpy(S.fd[fd].path, full, PATH_LEN);
		S.fd[fd].number = rel == NULL ? 0 : ++S.opened;
		S.fd[fd].dir = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
		if (rel != NULL)
			record(CRASH_OPEN, S.opened,
			    (uint64_t)(flags | (S.fd[fd].dir ? O_DIRECTORY : 0)), rel, strlen(rel));
	}
	pthread_mutex_unlock(&S.mu);
	return fd;
}

#define MODE_ARG(last, mode)                                                                \
	do {                                                                                \
		va_list ap_;                                                                \
		va_start(ap_, last);                                                        \
		(mode) = ((last) & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(ap_, mode_t) : 0; \
		va_end(ap_);                                                                \
	} while (0)

int
open(const char *path, int flags, ...)
{
	mode_t mode;

	MODE_ARG(flags, mode);
	return do_open(AT_FDCWD, path, flags, mode);
}

int
open64(const char *path, int flags, ...)
{
	mode_t mode;

	MODE_ARG(flags, mode);
	return do_open(AT_FDCWD, path, flags, mode);
}

int
openat(int dir_fd, const char *path, int flags, ...)
{
	mode_t mode;

	MODE_ARG(flags, mode);
	return do_open(dir_fd, path, flags, mode);
}

int
openat64(int dir_fd, const char *path, int flags, ...)
{
	mode_t mode;

	MODE_ARG(flags, mode);
	return do_open(dir_fd, path, flags, mode);
}

int
__open_2(const char *path, int flags)
{
	return do_open(AT_FDCWD, path, flags, 0);
}

int
__open64_2(const char *path, int flags)
{
	return do_open(AT_FDCWD, path, flags, 0);
}

int
__openat_2(int dir_fd, const char *path, int flags)
{
	return do_open(dir_fd, path, flags, 0);
}

int
__openat64_2(int dir_fd, const char *path, int flags)
{
	return do_open(dir_fd, path, flags, 0);
}

int
close(int fd)
{
	int ret;

	pthread_mutex_lock(&S.mu);
	if (fd >= 0 && fd < FDS)
		S.fd[fd].number = 0;
	ret = (int)syscall(SYS_close, fd);
	pthread_mutex_unlock(&S.mu);
	return ret;
}

int
chdir(const char *path)
{
	char full[PATH_LEN];
	int ret;

	pthread_mutex_lock(&S.mu);
	absolute(AT_FDCWD, path, full);
	ret = (int)syscall(SYS_chdir, path);
	if (ret == 0)
		memcpy(S.cwd, full, PATH_LEN);
	pthread_mutex_unlock(&S.mu);
	return ret;
}

/* flags: of linkat */
static int
two_names(enum crash_op op, int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	char a[PATH_LEN], b[PATH_LEN], both[2 * PATH_LEN];
	int ret;

	pthread_mutex_lock(&S.mu);
	absolute(from_fd, from, a);
	absolute(to_fd, to, b);
	ret = op == CRASH_LINK ? (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags)
			       : (int)syscall(SYS_renameat, from_fd, from, to_fd, to);
	if (ret == 0 && below(a) != NULL && below(b) != NULL) {
		int n = snprintf(both, sizeof both, "%s%c%s", below(a), '\0', below(b));

		record(op, 0, 0, both, (size_t)n);
	}
	pthread_mutex_unlock(&S.mu);
	return ret;
}

int
linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	return two_names(CRASH_LINK, from_fd, from, to_fd, to, flags);
}

int
link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int
renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	return two_names(CRASH_RENAME, from_fd, from, to_fd, to, 0);
}

int
rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int
unlinkat(int dir_fd, const char *path, int flags)
{
	char full[PATH_LEN];
	int ret;

	pthread_mutex_lock(&S.mu);
	absolute(dir_fd, path, full);
	ret = (int)syscall(SYS_unlinkat, dir_fd, path, flags);
	if (ret == 0 && below(full) != NULL)
		record(CRASH_UNLINK, 0, 0, below(full), strlen(below(full)));
	pthread_mutex_unlock(&S.mu);
	return ret;
}

int
unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int
mkdirat(int dir_fd, const char *path, mode_t mode)
{
	char full[PATH_LEN];
	int ret;

	pthread_mutex_lock(&S.mu);
	absolute(dir_fd, path, full);
	ret = (int)syscall(SYS_mkdirat, dir_fd, path, mode);
	if (ret == 0 && below(full) != NULL)
		record(CRASH_MKDIR, 0, 0, below(full), strlen(below(full)));
	pthread_mutex_unlock(&S.mu);
	return ret;
}

int
mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

/* ---- content ---- */

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	ssize_t w;

	pthread_mutex_lock(&S.mu);
	if (file_of(fd) != 0 && fails(FAULT_WRITE)) {
		if (S.fault_errno != 0) {
			pthread_mutex_unlock(&S.mu);
			return -1;
		}
		n = n / 2 + 1;
	}
	w = syscall(SYS_pwrite64, fd, p, n, at);
	if (w > 0 && file_of(fd) != 0)
		record_write(fd, (uint64_t)at, p, (size_t)w);
	pthread_mutex_unlock(&S.mu);
	return w;
}

ssize_t
pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	return pwrite(fd, p, n, at);
}

ssize_t
write(int fd, const void *p, size_t n)
{
	ssize_t w;

	if (file_of(fd) == 0)
		return syscall(SYS_write, fd, p, n);
	pthread_mutex_lock(&S.mu);
	if (fails(FAULT_WRITE)) {
		if (S.fault_errno != 0) {
			pthread_mutex_unlock(&S.mu);
			return -1;
		}
		n = n / 2 + 1;
	}
	w = syscall(SYS_write, fd, p, n);
	if (w > 0)
		record_write(fd, (uint64_t)(syscall(SYS_lseek, fd, 0, SEEK_CUR) - w), p, (size_t)w);
	pthread_mutex_unlock(&S.mu);
	return w;
}

static ssize_t
read_by(int fd, void *p, size_t n, off_t at, bool has_at)
{
	if (file_of(fd) != 0 && fails(FAULT_READ)) {
		if (S.fault_errno > 0)
			return -1;
		if (S.fault_errno < 0)
			return 0;
		n = n / 2;
	}
	return has_at ? syscall(SYS_pread64, fd, p, n, at) : syscall(SYS_read, fd, p, n);
}

ssize_t
pread(int fd, void *p, size_t n, off_t at)
{
	return read_by(fd, p, n, at, true);
}

ssize_t
pread64(int fd, void *p, size_t n, off64_t at)
{
	return read_by(fd, p, n, at, true);
}

ssize_t
read(int fd, void *p, size_t n)
{
	return read_by(fd, p, n, 0, false);
}

ssize_t
__pread_chk(int fd, void *p, size_t n, off_t at, size_t room)
{
	return n > room ? -1 : read_by(fd, p, n, at, true);
}

ssize_t
__pread64_chk(int fd, void *p, size_t n, off64_t at, size_t room)
{
	return n > room ? -1 : read_by(fd, p, n, at, true);
}

ssize_t
__read_chk(int fd, void *p, size_t n, size_t room)
{
	return n > room ? -1 : read_by(fd, p, n, 0, false);
}

/* The store does not use it on files; should it begin to, this must learn it. */
ssize_t
writev(int fd, const struct iovec *v, int n)
{
	if (file_of(fd) != 0)
		abort();
	return syscall(SYS_writev, fd, v, n);
}

ssize_t
pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	(void)v;
	(void)n;
	(void)at;
	if (file_of(fd) != 0)
		abort();
	errno = ENOSYS;
	return -1;
}

int
ftruncate(int fd, off_t size)
{
	int ret;

	pthread_mutex_lock(&S.mu);
	if (file_of(fd) != 0 && fails(FAULT_GROW)) {
		pthread_mutex_unlock(&S.mu);
		return -1;
	}
	ret = (int)syscall(SYS_ftruncate, fd, size);
	if (ret == 0 && file_of(fd) != 0)
		record(CRASH_SIZE, file_of(fd), (uint64_t)size, NULL, 0);
	pthread_mutex_unlock(&S.mu);
	return ret;
}

int
ftruncate64(int fd, off64_t size)
{
	return ftruncate(fd, size);
}

static void
record_zeros(int fd, uint64_t at, uint64_t n)
{
	static const char zeros[65536];

	for (uint64_t end = at + n; at < end; at += sizeof zeros)
		record(CRASH_WRITE, S.fd[fd].number, at, zeros,
		    end - at < sizeof zeros ? (size_t)(end - at) : sizeof zeros);
}

int
fallocate(int fd, int mode, off_t at, off_t n)
{
	int ret;

	pthread_mutex_lock(&S.mu);
	if (file_of(fd) != 0 && (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) != 0)
		abort();
	if (file_of(fd) != 0 && fails(FAULT_GROW)) {
		pthread_mutex_unlock(&S.mu);
		return -1;
	}
	ret = (int)syscall(SYS_fallocate, fd, mode, at, n);
	if (ret == 0 && file_of(fd) != 0 && (mode & FALLOC_FL_PUNCH_HOLE) != 0)
		record_zeros(fd, (uint64_t)at, (uint64_t)n);
	if (ret == 0 && file_of(fd) != 0 && mode == 0)
		record(CRASH_GROW, file_of(fd), (uint64_t)(at + n), NULL, 0);
	pthread_mutex_unlock(&S.mu);
	return ret;
}

int
fallocate64(int fd, int mode, off64_t at, off64_t n)
{
	return fallocate(fd, mode, at, n);
}

int
posix_fallocate(int fd, off_t at, off_t n)
{
	return fallocate(fd, 0, at, n) == 0 ? 0 : errno;
}

int
posix_fallocate64(int fd, off64_t at, off64_t n)
{
	return posix_fallocate(fd, at, n);
}

static int
sync_by(long how, int fd, const void *from)
{
	int ret;

	pthread_mutex_lock(&S.mu);
	if (number_of(fd) != 0 && fails(FAULT_SYNC)) {
		if (file_of(fd) != 0)
			record(CRASH_DROP, number_of(fd), 0, NULL, 0);
		pthread_mutex_unlock(&S.mu);
		return -1;
	}
	ret = (int)syscall(how, fd);
	if (ret == 0 && number_of(fd) != 0)
		record(CRASH_SYNC, number_of(fd), (uintptr_t)from - S.base, NULL, 0);
	pthread_mutex_unlock(&S.mu);
	return ret;
}

int
fsync(int fd)
{
	return sync_by(SYS_fsync, fd, __builtin_return_address(0));
}

int
fdatasync(int fd)
{
	return sync_by(SYS_fdatasync, fd, __builtin_return_address(0));
}

/* ---- the clock ---- */

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int ret = (int)syscall(SYS_clock_gettime, id, ts);

	if (ret == 0 && id == CLOCK_REALTIME && S.page != NULL)
		ts->tv_sec += __atomic_load_n(&S.page->clock_s, __ATOMIC_RELAXED);
	return ret;
}

time_t
time(time_t *out)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (out != NULL)
		*out = ts.tv_sec;
	return ts.tv_sec;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}
