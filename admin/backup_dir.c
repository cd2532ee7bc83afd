/* backup_dir.c: see backup_dir.h. Runs in congvu. */
#include "config.h"

#include "admin/backup_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/rw.h"

enum { PIECE = 1 << 20 };

void
backup_rows_name(uint32_t gen, char out[32])
{
	snprintf(out, 32, "rows-%08x", gen);
}

void
backup_journal_name(uint32_t gen, char out[32])
{
	snprintf(out, 32, "journal-%08x", gen);
}

void
backup_segment_name(uint32_t number, uint32_t copy, char out[32])
{
	if (copy == 0)
		snprintf(out, 32, "seg-%08x", number);
	else
		snprintf(out, 32, "seg-%08x.%u", number, copy);
}

/* To read a file, never anything else that stands there under its name: a FIFO would hold us up, a device do what it likes. */
static int
plain_open(int dir_fd, const char *name, int *fd_out)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT                    ? ERR_NOTFOUND
		       : errno == ELOOP || errno == ENXIO ? ERR_CORRUPT
							  : err_from_errno(errno);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return ERR_CORRUPT;
	}
	*fd_out = fd;
	return 0;
}

/* ---- the folder ---- */

static int
manifest_load(struct backup_dir *d)
{
	int fd = -1, err = plain_open(d->fd, "manifest", &fd);
	struct buf text;
	ssize_t n = 1;

	if (err != 0)
		return err;
	buf_init(&text, MANIFEST_MAX + 1);
	while (n > 0 && err == 0) {
		unsigned char *p = buf_reserve(&text, 65536);

		if (p == NULL) {
			err = ERR_CORRUPT;
			break;
		}
		n = read(fd, p, 65536);
		if (n < 0 && errno != EINTR)
			err = err_from_errno(errno);
		if (n < 0)
			n = 1;
		else
			buf_commit(&text, (size_t)n);
	}
	close(fd);
	if (err == 0)
		err = manifest_parse(buf_slice(&text), &d->m);
	buf_done(&text);
	return err;
}

static bool
is_ours(const char *name)
{
	static const char *const names[] = {
	    "manifest", "manifest.new", "lock", "segments", ".", ".."};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return strncmp(name, "rows-", 5) == 0 || strncmp(name, "journal-", 8) == 0;
}

/* A folder without a manifest is made one only when nothing else is in it: a wrong path harms nothing. */
static int
only_ours(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return ERR_IO;
	}
	while ((e = readdir(d)) != NULL)
		if (!is_ours(e->d_name) && strcmp(e->d_name, "lost+found") != 0)
			err = ERR_DENIED;
	closedir(d);
	return err;
}

static int
folders_open(int at_fd, const char *path, bool make, struct backup_dir *d)
{
	if (make && mkdirat(at_fd, path, 0700) != 0 && errno != EEXIST)
		return err_from_errno(errno);
	d->fd = openat(at_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0)
		return errno == ENOENT ? ERR_NOTFOUND : err_from_errno(errno);
	if (make && faccessat(d->fd, "manifest", F_OK, 0) != 0 && only_ours(d->fd) != 0)
		return ERR_DENIED;
	d->lock_fd = openat(d->fd, "lock",
	    O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (make ? O_RDWR | O_CREAT : O_RDONLY), 0600);
	if (d->lock_fd < 0)
		return errno == ENOENT ? ERR_NOTFOUND : err_from_errno(errno);
	if (flock(d->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? ERR_EXISTS : err_from_errno(errno);
	if (make && mkdirat(d->fd, "segments", 0700) != 0 && errno != EEXIST)
		return err_from_errno(errno);
	d->segments_fd = openat(d->fd, "segments", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return d->segments_fd < 0 ? err_from_errno(errno) : 0;
}

int
backup_dir_open(int at_fd, const char *path, bool make, struct backup_dir *d)
{
	int err;

	memset(d, 0, sizeof *d);
	d->fd = d->segments_fd = d->lock_fd = -1;
	err = folders_open(at_fd, path, make, d);
	if (err == 0)
		err = manifest_load(d);
	if (err == ERR_NOTFOUND && make && d->segments_fd >= 0)
		err = 0;
	if (err != 0)
		backup_dir_close(d);
	return err;
}

void
backup_dir_close(struct backup_dir *d)
{
	manifest_done(&d->m);
	if (d->segments_fd >= 0)
		close(d->segments_fd);
	if (d->fd >= 0)
		close(d->fd);
	if (d->lock_fd >= 0)
		close(d->lock_fd);
	d->fd = d->segments_fd = d->lock_fd = -1;
}

int
backup_dir_commit(struct backup_dir *d)
{
	struct buf text;
	int fd = -1, err;

	buf_init(&text, MANIFEST_MAX);
	if ((err = manifest_format(&d->m, &text)) != 0)
		goto out;
	/* the names of files that are new, before the manifest speaks of them */
	if (fsync(d->segments_fd) != 0 || fsync(d->fd) != 0) {
		err = err_from_errno(errno);
		goto out;
	}
	fd = openat(
	    d->fd, "manifest.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		err = err_from_errno(errno);
		goto out;
	}
	if ((err = rw_write_at(fd, text.data, text.len, 0)) != 0)
		goto out;
	if (fsync(fd) != 0 || renameat(d->fd, "manifest.new", d->fd, "manifest") != 0 ||
	    fsync(d->fd) != 0)
		err = err_from_errno(errno);
out:
	if (fd >= 0)
		close(fd);
	buf_done(&text);
	return err;
}

/* ---- what is left over ---- */

static bool
set_has(const struct backup_set *s, const char *name)
{
	char rows[32], journal[32];

	backup_rows_name(s->gen, rows);
	backup_journal_name(s->gen, journal);
	return s->there && (strcmp(name, rows) == 0 || strcmp(name, journal) == 0);
}

static bool
is_wanted(const struct backup_dir *d, const char *name, bool segments)
{
	const struct backup_segment *s;
	unsigned char num[4];
	uint32_t number = 0;
	char want[32] = "";

	if (!segments)
		return (strncmp(name, "rows-", 5) != 0 && strncmp(name, "journal-", 8) != 0) ||
		       set_has(&d->m.set, name) || set_has(&d->m.next, name);
	if (strncmp(name, "seg-", 4) != 0 || strlen(name) < 12 ||
	    hex_decode(slice_of(name + 4, 8), num, sizeof num) != 0)
		return true; /* none of ours */
	for (size_t i = 0; i < sizeof num; i++)
		number = number << 8 | num[i];
	s = manifest_segment(&d->m, number);
	if (s != NULL)
		backup_segment_name(number, s->copy, want);
	return s != NULL && strcmp(name, want) == 0;
}

static void
sweep(struct backup_dir *d, int dir_fd, bool segments)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (dir == NULL && fd >= 0)
		close(fd);
	while (dir != NULL && (e = readdir(dir)) != NULL)
		if (!is_wanted(d, e->d_name, segments))
			unlinkat(dir_fd, e->d_name, 0);
	if (dir != NULL)
		closedir(dir);
}

void
backup_dir_sweep(struct backup_dir *d)
{
	sweep(d, d->fd, false);
	sweep(d, d->segments_fd, true);
}

/* ---- files ---- */

static int
read_through(int fd, uint64_t octets, struct sha256 *sum, int (*fn)(void *arg, struct slice piece),
    void *arg)
{
	unsigned char *p = xmalloc(PIECE);
	int err = 0;

	for (uint64_t at = 0; at < octets && err == 0;) {
		size_t want = octets - at < PIECE ? (size_t)(octets - at) : PIECE;
		ssize_t n = pread(fd, p, want, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err = n < 0 ? err_from_errno(errno) : ERR_CORRUPT;
			break;
		}
		sha256_update(sum, p, (size_t)n);
		if (fn != NULL)
			err = fn(arg, slice_of(p, (size_t)n));
		at += (uint64_t)n;
	}
	free(p);
	return err;
}

int
backup_part_read(int dir_fd, const char *name, const struct backup_part *part,
    int (*fn)(void *arg, struct slice piece), void *arg)
{
	int fd = -1, err = plain_open(dir_fd, name, &fd);
	struct sha256 *sum;
	unsigned char sha[32];

	if (err != 0)
		return err == ERR_NOTFOUND ? ERR_CORRUPT : err;
	sum = sha256_new();
	err = read_through(fd, part->octets, sum, fn, arg);
	sha256_final(sum, sha);
	sha256_free(sum);
	close(fd);
	if (err == 0 && memcmp(sha, part->sha256, sizeof sha) != 0)
		err = ERR_CORRUPT;
	return err;
}

int
backup_file_open(int dir_fd, const char *name, struct backup_part *part, struct backup_file *f)
{
	unsigned char sha[32];
	int err = 0;

	*f = (struct backup_file){.fd = -1, .part = part, .octets = part->octets};
	f->fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (f->fd < 0)
		return err_from_errno(errno);
	f->sum = sha256_new();
	if (part->octets > 0) {
		err = read_through(f->fd, part->octets, f->sum, NULL, NULL);
		sha256_peek(f->sum, sha);
		if (err == 0 && memcmp(sha, part->sha256, sizeof sha) != 0)
			err = ERR_CORRUPT;
	}
	if (err == 0 && ftruncate(f->fd, (off_t)part->octets) != 0)
		err = err_from_errno(errno);
	f->dirty = part->octets == 0;
	if (err != 0)
		backup_file_close(f);
	return err;
}

int
backup_file_append(struct backup_file *f, struct slice s)
{
	int err = rw_write_at(f->fd, s.ptr, s.len, f->octets);

	if (err != 0)
		return err;
	sha256_update(f->sum, s.ptr, s.len);
	f->octets += s.len;
	f->dirty = true;
	return 0;
}

int
backup_file_sync(struct backup_file *f)
{
	if (f->fd < 0 || !f->dirty)
		return 0;
	if (fdatasync(f->fd) != 0)
		return err_from_errno(errno);
	f->part->octets = f->octets;
	sha256_peek(f->sum, f->part->sha256);
	f->dirty = false;
	return 0;
}

void
backup_file_close(struct backup_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	sha256_free(f->sum);
	f->fd = -1;
	f->sum = NULL;
}
