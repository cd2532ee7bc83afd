/* msg_file.c: bytes of messages under way. Runs in milter's threads. Small loads never touch the disk; with 64 sessions of 25 MB each memory stays
 * at milter_memory_mb and what scanners are at work on. Files have no name once they are open: nobody else reaches them, and a crash leaves none. */
#include "config.h"

#include "milter/msg_file.h"

#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"
#include "lib/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#define SPILL_MIN 65536 /* smaller ones stay in memory */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

static struct {
	int dir;
	uint64_t budget;
	_Atomic uint64_t in_memory;
	_Atomic unsigned next;
} mf = {.dir = -1};

void
msg_file_init(void)
{
	char *path = conf_path(role_conf(), "milter_spool_dir");

	mf.budget = (uint64_t)conf_int(role_conf(), "milter_memory_mb") << 20;
	mf.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mf.dir < 0)
		log_msg(LOG_LVL_ERROR, "milter_spool", "%s: %s: messages are kept in memory alone",
		    path, strerror(errno));
	else
		sandbox_may_write(mf.dir);
	free(path);
}

int
msg_file_new(struct msg_file *f)
{
	f->fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	f->size = 0;
	f->on_disk = false;
	return f->fd >= 0 ? 0 : ERR_NOMEM;
}

static int
write_all(int fd, const unsigned char *p, size_t n)
{
	ssize_t k;

	for (; n > 0; p += k, n -= (size_t)k) {
		k = write(fd, p, n);
		if (k < 0 && errno == EINTR)
			k = 0;
		else if (k <= 0)
			return err_from_errno(k == 0 ? EIO : errno);
	}
	return 0;
}

static int
copy(int from, int to, uint64_t size)
{
	off_t at = 0;
	ssize_t k;

	while ((uint64_t)at < size) {
		k = sendfile(to, from, &at, size - (uint64_t)at);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return err_from_errno(k == 0 ? EIO : errno);
	}
	return 0;
}

/* To the disk. What does not work leaves it in memory, and the mail is deferred. */
static int
spill(struct msg_file *f)
{
	char name[48];
	int fd, err;

	snprintf(name, sizeof name, "m%u-%u", (unsigned)getpid(), atomic_fetch_add(&mf.next, 1));
	unlinkat(
	    mf.dir, name, 0); /* of a process that had this number before, and was killed here */
	fd = openat(mf.dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_from_errno(errno);
	unlinkat(mf.dir, name, 0);
	err = copy(f->fd, fd, f->size);
	if (err != 0) {
		close(fd);
		return err;
	}
	close(f->fd);
	f->fd = fd;
	f->on_disk = true;
	atomic_fetch_sub(&mf.in_memory, f->size);
	return 0;
}

int
msg_file_put(struct msg_file *f, const void *p, size_t n)
{
	int err = 0;

	if (!f->on_disk && mf.dir >= 0 && f->size + n > SPILL_MIN &&
	    atomic_load(&mf.in_memory) + n > mf.budget)
		err = spill(f);
	if (err == 0)
		err = write_all(f->fd, p, n);
	if (err != 0)
		return err;
	f->size += n;
	if (!f->on_disk)
		atomic_fetch_add(&mf.in_memory, n);
	return 0;
}

void
msg_file_done(struct msg_file *f)
{
	if (f->fd < 0)
		return;
	close(f->fd);
	if (!f->on_disk)
		atomic_fetch_sub(&mf.in_memory, f->size);
	f->fd = -1;
	f->size = 0;
}

void
msg_file_replace(struct msg_file *f, int fd, uint64_t size)
{
	msg_file_done(f);
	*f = (struct msg_file){.fd = fd, .size = size};
	atomic_fetch_add(&mf.in_memory, size);
}

int
msg_file_sealed(struct msg_file *f)
{
	int fd;

	fd = f->on_disk ? memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING)
			: fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if ((f->on_disk && copy(f->fd, fd, f->size) != 0) ||
	    ((fcntl(fd, F_GET_SEALS) & SEALS) != SEALS && fcntl(fd, F_ADD_SEALS, SEALS) != 0)) {
		close(fd);
		return -1;
	}
	return fd;
}
