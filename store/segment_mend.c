/* segment_mend.c: records that a power cut took from their files, put in place again from the log of the database (backend_kv_body.c) before the segments
 * are opened. Runs in stored at its start. */
#include "store/segment_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"

struct seg_mender {
	int dir_fd, fd;      /* -1: not open */
	uint32_t file, lost; /* lost: the last one that is not there */
	bool dirty;
	unsigned n;
	int err; /* of a sync */
};

struct seg_mender *
seg_mender_new(const char *dir)
{
	struct seg_mender *m = xcalloc(1, sizeof *m);

	m->fd = -1;
	m->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->dir_fd < 0)
		m->err = err_from_errno(errno);
	return m;
}

static void
file_leave(struct seg_mender *m)
{
	if (m->fd < 0)
		return;
	if (m->dirty && fdatasync(m->fd) != 0)
		m->err = err_from_errno(errno);
	close(m->fd);
	m->fd = -1;
	m->dirty = false;
}

static int
file_enter(struct seg_mender *m, uint32_t file)
{
	char name[16];

	if (m->fd >= 0 && m->file == file)
		return 0;
	file_leave(m);
	if (m->err != 0)
		return m->err;
	file_name(file, name);
	m->fd = openat(m->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (m->fd < 0 && errno == ENOENT) {
		if (m->lost != file)
			log_msg(LOG_LVL_ERROR, "segment_lost",
			    "file %u is missing: congvu store check names the messages, a backup "
			    "has them",
			    file);
		m->lost = file;
		return ERR_NOTFOUND;
	}
	if (m->fd < 0)
		return err_from_errno(errno);
	m->file = file;
	return 0;
}

int
seg_mend(struct seg_mender *m, const struct seg_loc *l, struct slice record)
{
	unsigned char *there;
	int err = m->err;

	if (err == 0)
		err = file_enter(m, l->segment);
	if (err != 0)
		return err;
	there = xmalloc(record.len + 1);
	if (read_at(m->fd, there, record.len, l->off) != 0 ||
	    memcmp(there, record.ptr, record.len) != 0)
		m->n++;
	/* also when it seems to be there: after a failed sync that may be memory alone, which the kernel takes for clean */
	err = rw_write_at(m->fd, record.ptr, record.len, l->off);
	m->dirty = true;
	free(there);
	return err;
}

int
seg_mender_end(struct seg_mender *m, unsigned *n_out)
{
	int err;

	file_leave(m);
	if (m->dir_fd >= 0)
		close(m->dir_fd);
	err = m->err;
	*n_out = m->n;
	free(m);
	return err;
}
