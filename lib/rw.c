/* rw.c: see rw.h. Pure system calls; runs wherever files are written. */
#include "lib/rw.h"

#include <errno.h>
#include <unistd.h>

#include "lib/err.h"

int
rw_write_at(int fd, const void *p, size_t n, uint64_t off)
{
	const unsigned char *at = p;

	while (n > 0) {
		ssize_t w = pwrite(fd, at, n, (off_t)off);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return w < 0 ? err_from_errno(errno) : ERR_FULL;
		at += w;
		n -= (size_t)w;
		off += (uint64_t)w;
	}
	return 0;
}
