/* segment_space.c: what getting space back asks of files of bodies: numbers that stay, copies synced apart, octets taken out. Runs in stored, in the
 * thread of backend_kv_space.c. */
#include "config.h"

#include "store/segment_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"

enum { ZEROS = 256 << 10, SYNC_FILES = 64 };

uint64_t
seg_next(struct seg *s)
{
	uint64_t next;

	pthread_mutex_lock(&s->mu);
	next = s->next_body;
	pthread_mutex_unlock(&s->mu);
	return next;
}

void
seg_next_at_least(struct seg *s, uint64_t next)
{
	pthread_mutex_lock(&s->mu);
	if (s->next_body < next)
		s->next_body = next;
	pthread_mutex_unlock(&s->mu);
}

static void
sync_now(uint32_t number, int fd)
{
	if (fdatasync(fd) != 0)
		fatal("segment: sync of file %u: %s", number, strerror(errno));
}

void
seg_sync_copies(struct seg *s)
{
	struct {
		uint32_t number;
		int fd;
	} dirty[SYNC_FILES];
	size_t n = 0;

	pthread_mutex_lock(&s->mu);
	for (uint32_t i = 1; i < s->n_files && n < SYNC_FILES; i++)
		if (s->files[i].dirty && s->files[i].copies) {
			s->files[i].dirty = false;
			s->files[i].users++;
			dirty[n].number = i;
			dirty[n++].fd = s->files[i].fd;
		}
	pthread_mutex_unlock(&s->mu);
	for (size_t i = 0; i < n; i++) {
		sync_now(dirty[i].number, dirty[i].fd);
		file_put(s, dirty[i].number, false);
	}
}

int
seg_roll(struct seg *s, uint32_t number)
{
	struct stream *n = &s->streams[STREAM_NEW];
	int err = 0;

	pthread_mutex_lock(&s->mu);
	if (number > 0 && n->file == number) {
		if (n->filled > n->end && s->files[n->file].fd >= 0)
			(void)!ftruncate(s->files[n->file].fd, (off_t)n->end);
		err = file_make(s, STREAM_NEW);
	} else if (number > 0 && s->streams[STREAM_COPY].file == number) {
		s->streams[STREAM_COPY].file = 0;
	}
	pthread_mutex_unlock(&s->mu);
	return err;
}

static int
write_zeros(int fd, uint64_t from, uint64_t to)
{
	unsigned char *zeros = xcalloc(1, ZEROS);
	int err = 0;

	while (from < to && err == 0) {
		size_t n = to - from < ZEROS ? (size_t)(to - from) : ZEROS;

		err = rw_write_at(fd, zeros, n, from);
		from += n;
	}
	free(zeros);
	return err;
}

int
seg_erase(struct seg *s, uint32_t number, uint64_t from, uint64_t to)
{
	int fd, err;

	if (from < SEG_HEADER1 || from >= to)
		return from < to ? ERR_RANGE : 0;
	pthread_mutex_lock(&s->mu);
	err = s->pins > 0 ? ERR_AGAIN : 0;
	pthread_mutex_unlock(&s->mu);
	if (err != 0 || (err = file_get(s, number, &fd)) != 0)
		return err;
	/* A hole reads as zeros, also within the blocks at its ends. */
	while (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
		   (off_t)(to - from)) != 0) {
		if (errno == EINTR)
			continue;
		err = errno == EOPNOTSUPP || errno == ENOSYS ? write_zeros(fd, from, to)
							     : err_from_errno(errno);
		break;
	}
	file_put(s, number, false);
	return err;
}

uint64_t
seg_first_record(struct seg *s, uint32_t number)
{
	unsigned char h[FILE_HEADER];
	struct seg_head head;
	int fd, err = file_get(s, number, &fd);
	size_t n = SEG_HEADER1;

	if (err != 0)
		return 0;
	err = read_at(fd, h, n, 0);
	if (err == 0 && (err = seg_head_decode(h, n, &head)) != 0) {
		n = FILE_HEADER;
		err = read_at(fd, h, n, 0);
		if (err == 0)
			err = seg_head_decode(h, n, &head);
	}
	file_put(s, number, false);
	if (err != 0)
		return 0;
	return head.version == 1 ? SEG_HEADER1 : FILE_HEADER;
}

int
seg_file_sync(struct seg *s, uint32_t number)
{
	int fd, err = file_get(s, number, &fd);

	if (err != 0)
		return err;
	sync_now(number, fd);
	file_put(s, number, false);
	return 0;
}

int
seg_names_sync(struct seg *s)
{
	return fsync(s->dir_fd) != 0 ? err_from_errno(errno) : 0;
}
