/* segment_backup.c: what a backup needs to know of segment files: which part of them is written for good, and their octets. Runs in stored's threads. */
#include "store/segment_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"

void
writing_begin(struct seg *s, const struct seg_loc *l)
{
	s->writing = xrealloc(s->writing, (s->n_writing + 1) * sizeof *s->writing);
	s->writing[s->n_writing++] = (struct writing){l->segment, l->off};
}

void
writing_end(struct seg *s, const struct seg_loc *l)
{
	size_t i = 0;

	pthread_mutex_lock(&s->mu);
	while (s->writing[i].file != l->segment || s->writing[i].off != l->off)
		i++;
	s->writing[i] = s->writing[--s->n_writing];
	pthread_mutex_unlock(&s->mu);
}

void
seg_pin(struct seg *s, int by)
{
	pthread_mutex_lock(&s->mu);
	s->pins += (unsigned)by;
	pthread_mutex_unlock(&s->mu);
}

bool
seg_settled(struct seg *s, uint32_t number, uint64_t upto)
{
	bool settled = true;

	pthread_mutex_lock(&s->mu);
	for (size_t i = 0; i < s->n_writing && settled; i++)
		settled = s->writing[i].file != number || s->writing[i].off >= upto;
	pthread_mutex_unlock(&s->mu);
	return settled;
}

int
seg_raw(struct seg *s, uint32_t number, uint64_t off, uint32_t len, struct buf *out)
{
	unsigned char *p = buf_reserve(out, len);
	int fd, err = p == NULL ? out->err : file_get(s, number, &fd);
	ssize_t n = -1;

	if (err != 0)
		return err;
	do
		n = pread(fd, p, len, (off_t)off);
	while (n < 0 && errno == EINTR);
	err = n < 0 ? err_from_errno(errno) : 0;
	file_put(s, number, false);
	buf_commit(out, n > 0 ? (size_t)n : 0);
	return err;
}
