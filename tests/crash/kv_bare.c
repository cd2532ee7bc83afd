/* kv_bare.c: the functions of kv_page.h without their protection, for crash_bare alone: a stored whose torn pages crash_check must find.
 * All of it goes straight through. Never installed. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "store/kv_page.h"

int
kv_page_start(const char *dir)
{
	(void)dir;
	return 0;
}

void
kv_page_end(void)
{
}

int
kv_page_open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;
	int fd, dir;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	fd = open(path, flags | O_CLOEXEC, mode);
	/* names are not what it is to get wrong */
	dir = open("db", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0) {
		fsync(dir);
		close(dir);
	}
	return fd;
}

ssize_t
kv_page_pread(int fd, void *p, size_t n, off_t at)
{
	return pread(fd, p, n, at);
}

ssize_t
kv_page_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return pwrite(fd, p, n, at);
}

ssize_t
kv_page_write(int fd, const void *p, size_t n)
{
	return write(fd, p, n);
}

static int
done(int ret)
{
	return ret == 0 ? 0 : errno;
}

int
kv_page_close(int fd)
{
	return done(close(fd));
}

int
kv_page_rename(const char *from, const char *to)
{
	return done(rename(from, to));
}

int
kv_page_unlink(const char *path)
{
	return done(unlink(path));
}

int
kv_page_fsync(int fd)
{
	return done(fdatasync(fd));
}

int
kv_page_ftruncate(int fd, off_t size)
{
	return done(ftruncate(fd, size));
}
