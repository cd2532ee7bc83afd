/* kv_page.c: see kv_page.h. Runs under kv_bdb.c in stored and smtpd-queue. One batch gathers while another is on its way to the disk;
 * readers find a page in either before they look into the file. A batch that could not be written stays, is read from, and is tried
 * again first. pages.dw: HEADER octets (magic, version, pages, uid of the database, for each page its offset and CRC-32C, at the end a CRC-32C
 * of it all), then the pages. A batch that is not whole there had nothing in place yet. */
#include "config.h"

#include "store/kv_page.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

enum {
	PAGE = KV_PAGE_SIZE,
	HEADER = 32768,
	VERSION = 1,
	AT_VERSION = 8,
	AT_COUNT = 12,
	AT_UID = 16,
	UID_LEN = 20,
	AT_ENTRIES = 64,
	ENTRY = 12, /* u64 offset, u32 CRC */
	META_UID =
	    52, /* where the first page of a Berkeley DB file has its uid; in its first sector, and never changed */
	SLOTS = 4096,
	FDS_MAX = 262144, /* the most a parent asks for (lib/parent.c) */
	ROOM_STEP = 1 << 20,
	SPARES = 4,
};
static const unsigned char magic[8] = {'c', 'v', 'p', 'a', 'g', 'e', 's', '1'};

struct batch {
	unsigned char *images; /* KV_PAGE_BATCH of them */
	uint64_t at[KV_PAGE_BATCH];
	uint16_t slot[SLOTS]; /* by page number: index + 1, 0: empty; open addressing */
	size_t n;
};
static struct {
	char *data_path;
	/* held all the time: a process that has no descriptor left must still be able to write what it took. data_fd: -1 while there is no file */
	int dir_fd, dw_fd, data_fd;
	int spare
	    [SPARES]; /* given up for a log file when there is no other descriptor left: Berkeley DB panics without */
	pthread_mutex_t mu;
	pthread_cond_t idle;
	struct batch *gathering, *leaving;
	bool busy; /* leaving is on its way */
	unsigned char uid[UID_LEN];
	uint64_t room_to; /* the file has blocks up to here */
	bool is_data[FDS_MAX];
	bool on;
} pg = {
    .dw_fd = -1, .data_fd = -1, .mu = PTHREAD_MUTEX_INITIALIZER, .idle = PTHREAD_COND_INITIALIZER};

/* ---- batches in memory; the lock is held ---- */

static size_t
slot_of(const struct batch *b, uint64_t at)
{
	size_t i = (size_t)(at / PAGE * 2654435761u) % SLOTS;

	while (b->slot[i] != 0 && b->at[b->slot[i] - 1] != at)
		i = (i + 1) % SLOTS;
	return i;
}

static unsigned char *
batch_find(const struct batch *b, uint64_t at)
{
	size_t i = slot_of(b, at);

	return b->slot[i] == 0 ? NULL : b->images + (size_t)(b->slot[i] - 1) * PAGE;
}

/* The caller sees to it that there is room. */
static void
batch_put(struct batch *b, uint64_t at, const void *page)
{
	size_t i = slot_of(b, at);

	if (b->slot[i] == 0) {
		b->at[b->n++] = at;
		b->slot[i] = (uint16_t)b->n;
	}
	memcpy(b->images + (size_t)(b->slot[i] - 1) * PAGE, page, PAGE);
}

static void
batch_clear(struct batch *b)
{
	memset(b->slot, 0, sizeof b->slot);
	b->n = 0;
}

static struct batch *
batch_new(void)
{
	struct batch *b = xcalloc(1, sizeof *b);

	b->images = xmalloc((size_t)KV_PAGE_BATCH * PAGE);
	return b;
}

static void
batch_free(struct batch *b)
{
	if (b != NULL)
		free(b->images);
	free(b);
}

/* ---- files ---- */

static void
put32(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)(v >> 24);
	p[1] = (unsigned char)(v >> 16);
	p[2] = (unsigned char)(v >> 8);
	p[3] = (unsigned char)v;
}

static uint32_t
get32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int
write_all(int fd, const void *p, size_t n, off_t at)
{
	const unsigned char *c = p;

	while (n > 0) {
		ssize_t w = pwrite(fd, c, n, at);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0) {
			if (w == 0)
				errno = ENOSPC;
			return -1;
		}
		c += w;
		n -= (size_t)w;
		at += w;
	}
	return 0;
}

/* 0; ERR_EOF: the file is shorter, which its length must confirm; else ERR_IO with errno. */
static int
read_all(int fd, void *p, size_t n, off_t at)
{
	unsigned char *c = p;
	struct stat st;

	while (n > 0) {
		ssize_t r = pread(fd, c, n, at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r == 0 && fstat(fd, &st) == 0 && st.st_size < at + (off_t)n)
			return ERR_EOF;
		if (r <= 0) {
			if (r == 0)
				errno = EIO;
			return ERR_IO;
		}
		c += r;
		n -= (size_t)r;
		at += r;
	}
	return 0;
}

/* A sync that failed is never tried again: the kernel may have given up what it could not write and call it clean, and the next sync would
 * promise what is not there. Recovery in a new process sees to it. */
static void
must_sync(int ret, const char *what)
{
	if (ret != 0)
		fatal("kv: sync of %s: %s", what, strerror(errno));
}

static void
dir_sync(void)
{
	must_sync(fsync(pg.dir_fd), "the folder");
}

static int
data_open(void)
{
	if (pg.data_fd < 0)
		pg.data_fd = open(pg.data_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return pg.data_fd;
}

static void
data_close(void)
{
	if (pg.data_fd >= 0)
		close(pg.data_fd);
	pg.data_fd = -1;
	pg.room_to = 0;
}

static void
header_make(unsigned char *h, const struct batch *b)
{
	memset(h, 0, HEADER);
	memcpy(h, magic, sizeof magic);
	put32(h + AT_VERSION, VERSION);
	put32(h + AT_COUNT, (uint32_t)b->n);
	memcpy(h + AT_UID, pg.uid, UID_LEN);
	for (size_t i = 0; i < b->n; i++) {
		unsigned char *e = h + AT_ENTRIES + i * ENTRY;

		put32(e, (uint32_t)(b->at[i] >> 32));
		put32(e + 4, (uint32_t)b->at[i]);
		put32(e + 8, crc32c(0, b->images + i * PAGE, PAGE));
	}
	put32(h + HEADER - 4, crc32c(0, h, HEADER - 4));
}

/* Of a batch, which is written anew, all of it, once there is room again. 0 or -1 with errno. */
static int
sync_pages(int fd, const char *what)
{
	int ret = fdatasync(fd);

	if (ret != 0 && errno != ENOSPC && errno != EDQUOT)
		must_sync(ret, what);
	return ret;
}

/* The uid of the database that b is of: in the file, which has none yet when it is new, or in b. 0 or -1 with errno. */
static int
uid_learn(const struct batch *b)
{
	unsigned char meta[META_UID + UID_LEN];
	const unsigned char *first = batch_find(b, 0);

	if (first == NULL) {
		int err = read_all(pg.data_fd, meta, sizeof meta, 0);

		if (err != 0)
			return err == ERR_EOF ? 0 : -1;
		first = meta;
	}
	memcpy(pg.uid, first + META_UID, UID_LEN);
	return 0;
}

/* First to pages.dw, synced; then in place, synced. 0 or -1 with errno. */
static int
batch_write(struct batch *b)
{
	unsigned char *h = xmalloc(HEADER);
	int ret = -1, err;

	if (data_open() < 0 || uid_learn(b) != 0)
		goto out;
	header_make(h, b);
	if (write_all(pg.dw_fd, h, HEADER, 0) != 0 ||
	    write_all(pg.dw_fd, b->images, b->n * PAGE, HEADER) != 0)
		goto out;
	if (sync_pages(pg.dw_fd, "pages.dw") != 0)
		goto out;
	for (size_t i = 0; i < b->n; i++)
		if (write_all(pg.data_fd, b->images + i * PAGE, PAGE, (off_t)b->at[i]) != 0)
			goto out;
	ret = sync_pages(pg.data_fd, KV_PAGE_FILE);
out:
	err = errno;
	free(h);
	errno = err;
	return ret;
}

/* Everything that has gathered goes to its place. The lock is held, but not while it writes. */
static int
flush(void)
{
	while (pg.gathering->n > 0 || pg.leaving->n > 0 || pg.busy) {
		struct batch *b;
		int ret, err;

		if (pg.busy) {
			pthread_cond_wait(&pg.idle, &pg.mu);
			continue;
		}
		if (pg.leaving->n == 0) {
			b = pg.gathering;
			pg.gathering = pg.leaving;
			pg.leaving = b;
		}
		pg.busy = true;
		pthread_mutex_unlock(&pg.mu);
		ret = batch_write(pg.leaving);
		err = errno;
		pthread_mutex_lock(&pg.mu);
		pg.busy = false;
		if (ret == 0)
			batch_clear(pg.leaving);
		pthread_cond_broadcast(&pg.idle);
		if (ret != 0) {
			errno = err;
			return -1;
		}
	}
	return 0;
}

static int
flush_now(void)
{
	int ret = 0;

	pthread_mutex_lock(&pg.mu);
	if (pg.on)
		ret = flush();
	pthread_mutex_unlock(&pg.mu);
	return ret;
}

/* ---- spare descriptors ---- */

static void
spares_take(void)
{
	pthread_mutex_lock(&pg.mu);
	for (size_t i = 0; i < SPARES && pg.on; i++)
		if (pg.spare[i] < 0)
			pg.spare[i] = fcntl(pg.dir_fd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_unlock(&pg.mu);
}

static bool
spare_give(void)
{
	bool given = false;

	pthread_mutex_lock(&pg.mu);
	for (size_t i = 0; i < SPARES && !given; i++)
		if (pg.spare[i] >= 0) {
			close(pg.spare[i]);
			pg.spare[i] = -1;
			given = true;
		}
	pthread_mutex_unlock(&pg.mu);
	return given;
}

/* ---- start: what a power cut left ---- */

/* The batch in pages.dw. 0; ERR_EOF: it is not whole; or the file cannot be read. */
static int
batch_read(unsigned char *h, struct batch *b)
{
	uint32_t n;
	int err = read_all(pg.dw_fd, h, HEADER, 0);

	if (err != 0)
		return err;
	if (memcmp(h, magic, sizeof magic) != 0 || get32(h + AT_VERSION) != VERSION ||
	    get32(h + HEADER - 4) != crc32c(0, h, HEADER - 4))
		return ERR_EOF;
	n = get32(h + AT_COUNT);
	if (n > KV_PAGE_BATCH)
		return ERR_EOF;
	if ((err = read_all(pg.dw_fd, b->images, (size_t)n * PAGE, HEADER)) != 0)
		return err;
	for (uint32_t i = 0; i < n; i++) {
		const unsigned char *e = h + AT_ENTRIES + (size_t)i * ENTRY;

		b->at[i] = (uint64_t)get32(e) << 32 | get32(e + 4);
		if (b->at[i] % PAGE != 0 || b->at[i] > INT64_MAX - PAGE ||
		    get32(e + 8) != crc32c(0, b->images + (size_t)i * PAGE, PAGE))
			return ERR_EOF;
	}
	b->n = n;
	return 0;
}

/* 0, also when there is nothing to do. */
static int
repair(struct batch *b)
{
	unsigned char *h = xmalloc(HEADER), meta[META_UID + UID_LEN], page[PAGE];
	size_t torn = 0;
	int err = batch_read(h, b);

	if (err != 0 || b->n == 0)
		goto out; /* ERR_EOF: nothing was in place yet */
	if (data_open() < 0) {
		err = errno == ENOENT ? 0 : err_from_errno(errno);
		goto out;
	}
	if ((err = read_all(pg.data_fd, meta, sizeof meta, 0)) != 0)
		goto out; /* ERR_EOF: there is no database yet */
	if (memcmp(meta + META_UID, h + AT_UID, UID_LEN) != 0) {
		log_msg(LOG_LVL_ERROR, "kv_page", "pages.dw belongs to another %s: it was replaced",
		    KV_PAGE_FILE);
		err = ERR_CORRUPT;
		goto out;
	}
	/* What is read may be in memory alone, after a sync that failed: pages.dw and all of its pages are written again. */
	if (write_all(pg.dw_fd, h, HEADER, 0) != 0 ||
	    write_all(pg.dw_fd, b->images, b->n * PAGE, HEADER) != 0 ||
	    sync_pages(pg.dw_fd, "pages.dw") != 0)
		err = err_from_errno(errno);
	for (size_t i = 0; i < b->n && err == 0; i++) {
		torn += read_all(pg.data_fd, page, PAGE, (off_t)b->at[i]) != 0 ||
			memcmp(page, b->images + i * PAGE, PAGE) != 0;
		if (write_all(pg.data_fd, b->images + i * PAGE, PAGE, (off_t)b->at[i]) != 0)
			err = err_from_errno(errno);
	}
	if (err == 0 && sync_pages(pg.data_fd, KV_PAGE_FILE) != 0)
		err = err_from_errno(errno);
	if (torn > 0)
		log_msg(LOG_LVL_WARN, "kv_page",
		    "%zu of %zu pages of the last batch were put in place again: %s", torn, b->n,
		    err_name(err));
out:
	if (err == ERR_IO)
		log_msg(LOG_LVL_ERROR, "kv_page", "the last batch of pages: %s", strerror(errno));
	data_close();
	batch_clear(b);
	free(h);
	return err == ERR_EOF ? 0 : err;
}

static void
let_go(void)
{
	data_close();
	if (pg.dw_fd >= 0)
		close(pg.dw_fd);
	if (pg.dir_fd >= 0)
		close(pg.dir_fd);
	while (spare_give())
		continue;
	pg.dw_fd = pg.dir_fd = -1;
	batch_free(pg.gathering);
	batch_free(pg.leaving);
	pg.gathering = pg.leaving = NULL;
	free(pg.data_path);
	pg.data_path = NULL;
	pg.on = false;
}

int
kv_page_start(const char *dir)
{
	size_t n = strlen(dir) + sizeof "/pages.dw" KV_PAGE_FILE;
	char *path = xmalloc(n);
	int err;

	if (pg.on) {
		free(path);
		return ERR_EXISTS;
	}
	pg.data_path = path;
	pg.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, n, "%s/pages.dw", dir);
	pg.dw_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	snprintf(path, n, "%s/%s", dir, KV_PAGE_FILE);
	pg.gathering = batch_new();
	pg.leaving = batch_new();
	memset(pg.is_data, 0, sizeof pg.is_data);
	err = pg.dw_fd < 0 || pg.dir_fd < 0
		  ? errno
		  : posix_fallocate(pg.dw_fd, 0, HEADER + (off_t)KV_PAGE_BATCH * PAGE);
	if (err == EOPNOTSUPP || err == EINVAL)
		err = 0;
	if (err == 0)
		dir_sync();
	err = err == 0 ? repair(pg.leaving) : err_from_errno(err);
	memset(pg.spare, -1, sizeof pg.spare);
	if (err != 0) { /* pages.dw stays as it is: the next start needs it */
		let_go();
		return err;
	}
	pg.on = true;
	spares_take();
	return 0;
}

void
kv_page_end(void)
{
	static const unsigned char none[512];

	if (!pg.on)
		return;
	/* all is in place: a file that somebody puts there by hand must not meet old pages */
	if (flush_now() == 0)
		(void)write_all(pg.dw_fd, none, sizeof none, 0);
	let_go();
}

/* ---- what Berkeley DB calls ---- */

static int
open_somehow(const char *path, int flags, mode_t mode)
{
	for (;;) {
		int fd = open(path, flags, mode);

		if (fd >= 0 || errno != EMFILE || !spare_give())
			return fd;
	}
}

static void
data_open_now(void)
{
	pthread_mutex_lock(&pg.mu);
	(void)data_open(); /* when it fails now, the first batch says so */
	pthread_mutex_unlock(&pg.mu);
}

static bool
is_data(int fd)
{
	return fd >= 0 && fd < FDS_MAX && __atomic_load_n(&pg.is_data[fd], __ATOMIC_RELAXED);
}

static bool
is_data_path(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash == NULL ? path : slash + 1, KV_PAGE_FILE) == 0;
}

int
kv_page_open(const char *path, int flags, ...)
{
	bool data = is_data_path(path), made = false;
	struct stat st;
	va_list ap;
	int mode, fd;

	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	/* who opens it asks how large it is, and reads its beginning past us */
	if (data && flush_now() != 0)
		return -1;
	if ((flags & O_CREAT) != 0)
		made = stat(path, &st) != 0;
	fd = open_somehow(path, flags | O_CLOEXEC, (mode_t)mode);
	if (fd >= FDS_MAX) { /* far beyond what this process ever has open */
		close(fd);
		errno = EMFILE;
		return -1;
	}
	if (fd >= 0)
		__atomic_store_n(&pg.is_data[fd], data, __ATOMIC_RELAXED);
	if (fd >= 0 && data)
		data_open_now();
	if (fd >= 0 && made)
		dir_sync();
	return fd;
}

/* Those that follow give 0 or an errno: Berkeley DB takes what they return for one. */

static int
done(int ret)
{
	return ret == 0 ? 0 : errno != 0 ? errno : EIO;
}

int
kv_page_close(int fd)
{
	int ret = is_data(fd) ? done(flush_now()) : 0;

	if (fd >= 0 && fd < FDS_MAX)
		__atomic_store_n(&pg.is_data[fd], false, __ATOMIC_RELAXED);
	if (close(fd) != 0 && ret == 0)
		ret = done(-1);
	spares_take();
	return ret;
}

/* Before the file itself is another one. */
static int
leave_data(void)
{
	int ret;

	pthread_mutex_lock(&pg.mu);
	ret = pg.on ? flush() : 0;
	if (ret == 0)
		data_close();
	pthread_mutex_unlock(&pg.mu);
	return ret;
}

int
kv_page_rename(const char *from, const char *to)
{
	if ((is_data_path(from) || is_data_path(to)) && leave_data() != 0)
		return done(-1);
	if (rename(from, to) != 0)
		return done(-1);
	dir_sync();
	return 0;
}

int
kv_page_unlink(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (is_data_path(path) && leave_data() != 0)
		return done(-1);
	/* Berkeley DB names log files that it does not need any more by a path from the root, which this process may be unable to walk */
	if (unlinkat(pg.on ? pg.dir_fd : AT_FDCWD, pg.on && slash != NULL ? slash + 1 : path, 0) !=
	    0)
		return done(-1);
	/* log files go in order: a later one never before an earlier */
	dir_sync();
	return 0;
}

int
kv_page_fsync(int fd)
{
	if (is_data(fd) && flush_now() != 0)
		return done(-1);
	must_sync(fdatasync(fd), is_data(fd) ? KV_PAGE_FILE : "the log");
	return 0;
}

int
kv_page_ftruncate(int fd, off_t size)
{
	if (is_data(fd) && leave_data() != 0)
		return done(-1);
	return done(ftruncate(fd, size));
}

/* Blocks for a page that is new, so that a full disk is told now and not when the batch goes. */
static int
take_room(int fd, uint64_t end)
{
	if (end <= pg.room_to)
		return 0;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)(end - PAGE), PAGE) != 0 &&
	    errno != EOPNOTSUPP && errno != ENOSYS)
		return -1;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)end, ROOM_STEP) == 0)
		end += ROOM_STEP;
	pg.room_to = end;
	return 0;
}

static int
put_page(int fd, const void *page, uint64_t at)
{
	int ret = 0;

	pthread_mutex_lock(&pg.mu);
	while (ret == 0 && pg.gathering->n >= KV_PAGE_BATCH && batch_find(pg.gathering, at) == NULL)
		ret = flush();
	if (ret == 0)
		ret = take_room(fd, at + PAGE);
	if (ret == 0)
		batch_put(pg.gathering, at, page);
	pthread_mutex_unlock(&pg.mu);
	return ret;
}

ssize_t
kv_page_pwrite(int fd, const void *p, size_t n, off_t at)
{
	const unsigned char *c = p;

	if (!is_data(fd))
		return pwrite(fd, p, n, at);
	if (n % PAGE != 0 ||
	    at % PAGE !=
		0) { /* Berkeley DB writes whole pages; should it not, then at least in order */
		log_msg(LOG_LVL_WARN, "kv_page", "a write of %zu octets at %lld is not protected",
		    n, (long long)at);
		return flush_now() != 0 ? -1 : pwrite(fd, p, n, at);
	}
	for (size_t i = 0; i < n; i += PAGE)
		if (put_page(fd, c + i, (uint64_t)at + i) != 0)
			return i > 0 ? (ssize_t)i : -1;
	return (ssize_t)n;
}

/* Lays what has gathered over what the file gave. */
static ssize_t
overlay(unsigned char *p, size_t n, uint64_t at, ssize_t got)
{
	size_t have = got < 0 ? 0 : (size_t)got;

	for (uint64_t page = at / PAGE * PAGE; page < at + n; page += PAGE) {
		const unsigned char *image = batch_find(pg.gathering, page);
		uint64_t from = page > at ? page : at,
			 to = page + PAGE < at + n ? page + PAGE : at + n;

		if (image == NULL)
			image = batch_find(pg.leaving, page);
		if (image == NULL)
			continue;
		if (from - at > have) /* a hole that the file does not have yet */
			memset(p + have, 0, (size_t)(from - at) - have);
		memcpy(p + (from - at), image + (from - page), (size_t)(to - from));
		if (to - at > have)
			have = (size_t)(to - at);
	}
	return have > 0 || got >= 0 ? (ssize_t)have : got;
}

ssize_t
kv_page_pread(int fd, void *p, size_t n, off_t at)
{
	const unsigned char *image = NULL;
	ssize_t got;

	if (!is_data(fd))
		return pread(fd, p, n, at);
	pthread_mutex_lock(&pg.mu);
	if (n == PAGE && at % PAGE == 0) {
		image = batch_find(pg.gathering, (uint64_t)at);
		if (image == NULL)
			image = batch_find(pg.leaving, (uint64_t)at);
		if (image != NULL)
			memcpy(p, image, PAGE);
		pthread_mutex_unlock(&pg.mu);
		/* nobody writes a page while somebody reads it: Berkeley DB latches it */
		return image != NULL ? PAGE : pread(fd, p, n, at);
	}
	got = overlay(p, n, (uint64_t)at, pread(fd, p, n, at));
	pthread_mutex_unlock(&pg.mu);
	return got;
}

/* Where kv_page_pwrite gave less than all, Berkeley DB tries once more by seeking and this. All of it or -1. (It reads so too, past the end
 * alone; a function of ours for that would have to fail there.) */
ssize_t
kv_page_write(int fd, const void *p, size_t n)
{
	const unsigned char *c = p;
	off_t at = lseek(fd, 0, SEEK_CUR);

	if (at < 0)
		return -1;
	for (size_t left = n; left > 0;) {
		ssize_t w = is_data(fd) ? kv_page_pwrite(fd, c, left, at) : pwrite(fd, c, left, at);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0) {
			if (w == 0)
				errno = ENOSPC;
			return -1;
		}
		c += w;
		at += w;
		left -= (size_t)w;
	}
	return lseek(fd, at, SEEK_SET) < 0 ? -1 : (ssize_t)n;
}
