/* spool.c: an incoming message's bytes. Runs in smtpd-session, ingest and imapd-session. Invariant: size is what was
 * appended without error; file bytes [0, written) and tail together are the content. */
#include "config.h"

#include "lib/spool.h"

#include "lib/err.h"
#include "lib/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TAIL_MAX = 65536 };

struct spool {
	struct buf mem; /* all of it without a descriptor, else what is not written yet */
	size_t mem_max;
	uint64_t total_max;
	uint64_t written; /* bytes in the file */
	int fd;
	int err;
	void *map;
	size_t map_len;
};

struct spool *
spool_new(size_t mem_max, uint64_t total_max)
{
	struct spool *s = xcalloc(1, sizeof(*s));

	s->mem_max = mem_max;
	s->total_max = total_max;
	s->fd = -1;
	buf_init(&s->mem, mem_max + SPOOL_SLACK);
	return s;
}

static void
unmap(struct spool *s)
{
	if (s->map != NULL)
		munmap(s->map, s->map_len);
	s->map = NULL;
}

void
spool_free(struct spool *s)
{
	if (s == NULL)
		return;
	unmap(s);
	if (s->fd >= 0)
		close(s->fd);
	buf_done(&s->mem);
	free(s);
}

static int
write_out(struct spool *s)
{
	size_t at = 0;

	while (at < s->mem.len && s->err == 0) {
		ssize_t n =
		    pwrite(s->fd, s->mem.data + at, s->mem.len - at, (off_t)(s->written + at));
		if (n < 0 && errno != EINTR)
			s->err = err_from_errno(errno);
		else if (n > 0)
			at += (size_t)n;
		if (n < 0 && s->err == ERR_AGAIN)
			s->err = 0;
	}
	if (s->err == 0) {
		s->written += s->mem.len;
		buf_reset(&s->mem);
	}
	return s->err;
}

int
spool_append(struct spool *s, const void *p, size_t n)
{
	if (s->err != 0)
		return s->err;
	unmap(s);
	if (n > s->total_max - spool_size(s))
		return s->err = ERR_LIMIT;
	if (s->fd < 0) {
		if (buf_append(&s->mem, p, n) != 0)
			s->err = s->mem.err;
		return s->err;
	}
	for (size_t at = 0; at < n && s->err == 0;) {
		size_t step = TAIL_MAX - s->mem.len < n - at ? TAIL_MAX - s->mem.len : n - at;
		if (buf_append(&s->mem, (const char *)p + at, step) != 0)
			s->err = s->mem.err;
		at += step;
		if (s->mem.len >= TAIL_MAX)
			write_out(s);
	}
	return s->err;
}

bool
spool_need_fd(const struct spool *s)
{
	return s->fd < 0 && s->err == 0 && s->mem.len > s->mem_max;
}

int
spool_give_fd(struct spool *s, int fd)
{
	if (s->fd >= 0 || s->err != 0) {
		close(fd);
		return s->err;
	}
	unmap(s);
	s->fd = fd;
	if (write_out(s) == 0)
		buf_done(&s->mem); /* a tail does not need the large buffer */
	return s->err;
}

int
spool_err(const struct spool *s)
{
	return s->err;
}

uint64_t
spool_size(const struct spool *s)
{
	return s->written + s->mem.len;
}

int64_t
spool_read(struct spool *s, uint64_t off, size_t len, void *out)
{
	size_t got = 0;

	if (off >= spool_size(s))
		return 0;
	if (len > spool_size(s) - off)
		len = (size_t)(spool_size(s) - off);
	while (got < len && off + got < s->written) {
		size_t want = len - got;
		if (want > s->written - off - got)
			want = (size_t)(s->written - off - got);
		ssize_t n = pread(s->fd, (char *)out + got, want, (off_t)(off + got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_IO;
		if (n == 0)
			return ERR_CORRUPT;
		got += (size_t)n;
	}
	if (got < len)
		memcpy((char *)out + got, s->mem.data + (off + got - s->written), len - got);
	return (int64_t)len;
}

int
spool_map(struct spool *s, struct slice *whole_out)
{
	if (s->err != 0)
		return s->err;
	if (s->fd < 0) {
		*whole_out = buf_slice(&s->mem);
		return 0;
	}
	if (write_out(s) != 0)
		return s->err;
	if (s->map == NULL && s->written > 0) {
		s->map_len = (size_t)s->written;
		s->map = mmap(NULL, s->map_len, PROT_READ, MAP_SHARED, s->fd, 0);
		if (s->map == MAP_FAILED) {
			s->map = NULL;
			return err_from_errno(errno);
		}
	}
	*whole_out = slice_of(s->map, (size_t)s->written);
	return 0;
}

int
spool_fd(struct spool *s)
{
	if (s->fd < 0 || write_out(s) != 0)
		return -1;
	return s->fd;
}
