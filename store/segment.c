/* segment.c: append-only files of bodies. Runs in stored, called by the threads of backend_kv.c.
 *
 * A writer reserves room (under the lock), then writes beside the others. The header goes last, so a record with a good header was
 * written whole as far as this process is concerned; after a crash only records that the database knows count, since those were
 * synced before their rows. A write that failed leaves a dead record, or a hole that nothing refers to. */
#include "store/segment.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

enum {
	FILE_VERSION = 1,
	FILE_HEADER = 64,
	REC_MAGIC = 0x43764264, /* "CvBd" */
	REC_VERSION = 1,
	REC_DEAD = 1, /* flag: space of a write that failed */
	REC_HEADER = 80,
	BLOCK = 65536,
	ALIGN = 8,
	OPEN_MAX_FILES = 200,
	RESERVE = 64 << 20, /* free space below which no body is written */
	AHEAD =
	    1
	    << 20, /* zeros written behind the end: a sync that makes no file longer is half the work */
	AHEAD_FOR = 160 << 10, /* records up to this size make them */
};
static const char file_magic[16] = "congvu-segment\n";

struct file {
	int fd; /* -1: not open now */
	unsigned users;
	bool dirty;
	uint64_t used_at;
};
struct seg {
	pthread_mutex_t mu;
	pthread_mutex_t sync_mu; /* one seg_sync at a time, so that it ends after all before it */
	int dir_fd;
	uint64_t file_max, reserve;
	struct file *files; /* by number */
	uint32_t n_files;
	uint32_t active;
	uint64_t end;    /* of the active file's records */
	uint64_t filled; /* of the zeros behind them; at least end */
	uint64_t next_body;
	uint64_t written, clock;
	unsigned n_open;
};

static void
put32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (24 - 8 * i));
}

static void
put64(unsigned char *p, uint64_t v)
{
	put32(p, (uint32_t)(v >> 32));
	put32(p + 4, (uint32_t)v);
}

static uint32_t
get32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t
get64(const unsigned char *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

static int
write_at(int fd, const void *p, size_t n, uint64_t off)
{
	const unsigned char *at = (const unsigned char *)p;

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

/* Exactly n bytes: ERR_EOF when there are fewer. */
static int
read_at(int fd, void *p, size_t n, uint64_t off)
{
	unsigned char *at = (unsigned char *)p;

	while (n > 0) {
		ssize_t r = pread(fd, at, n, (off_t)off);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? err_from_errno(errno) : ERR_EOF;
		at += r;
		n -= (size_t)r;
		off += (uint64_t)r;
	}
	return 0;
}

/* ---- the shape of a record ---- */

static uint64_t
blocks_of(uint64_t size)
{
	return (size + BLOCK - 1) / BLOCK;
}

/* Checks of the summary and of each block follow the header. */
static uint64_t
table_len(uint64_t size)
{
	return 4 * (1 + blocks_of(size));
}

static uint64_t
record_len(uint64_t size, uint32_t summary_len)
{
	uint64_t n = REC_HEADER + table_len(size) + summary_len + size;

	return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static uint64_t
body_off(const struct seg_loc *l)
{
	return l->off + REC_HEADER + table_len(l->size) + l->summary_len;
}

static void
header_encode(const struct seg_loc *l, unsigned flags, unsigned char h[REC_HEADER])
{
	memset(h, 0, REC_HEADER);
	put32(h, REC_MAGIC);
	h[4] = REC_VERSION;
	h[5] = (unsigned char)flags;
	put64(h + 8, l->body);
	put64(h + 16, l->size);
	put32(h + 24, l->summary_len);
	memcpy(h + 32, l->sha256, 32);
	put32(h + 76, crc32c(0, h, 76));
}

static int
header_decode(const unsigned char h[REC_HEADER], struct seg_loc *l, unsigned *flags_out)
{
	if (get32(h) != REC_MAGIC || h[4] != REC_VERSION || get32(h + 76) != crc32c(0, h, 76))
		return ERR_CORRUPT;
	*flags_out = h[5];
	l->body = get64(h + 8);
	l->size = get64(h + 16);
	l->summary_len = get32(h + 24);
	memcpy(l->sha256, h + 32, 32);
	return l->body > 0 && l->summary_len <= SEG_SUMMARY_MAX ? 0 : ERR_CORRUPT;
}

int
seg_loc_encode(const struct seg_loc *l, struct buf *out)
{
	buf_append_byte(out, 1);
	buf_append_u32(out, l->segment);
	buf_append_u64(out, l->off);
	buf_append_u64(out, l->size);
	buf_append_u32(out, l->summary_len);
	return buf_append(out, l->sha256, 32);
}

int
seg_loc_decode(struct slice v, uint64_t body, struct seg_loc *l)
{
	if (v.len != 57 || v.ptr[0] != 1)
		return ERR_CORRUPT;
	l->body = body;
	l->segment = get32(v.ptr + 1);
	l->off = get64(v.ptr + 5);
	l->size = get64(v.ptr + 13);
	l->summary_len = get32(v.ptr + 21);
	memcpy(l->sha256, v.ptr + 25, 32);
	return 0;
}

/* ---- files ---- */

static void
file_name(uint32_t n, char out[16])
{
	snprintf(out, 16, "seg-%08x", n);
}

static void
file_grow(struct seg *s, uint32_t number)
{
	if (number < s->n_files)
		return;
	s->files = xrealloc(s->files, ((size_t)number + 1) * sizeof *s->files);
	for (uint32_t i = s->n_files; i <= number; i++)
		s->files[i] = (struct file){.fd = -1};
	s->n_files = number + 1;
}

/* With the lock. Closes the file unused for longest when many are open. */
static void
file_spare(struct seg *s)
{
	uint32_t old = UINT32_MAX;

	if (s->n_open < OPEN_MAX_FILES)
		return;
	for (uint32_t i = 0; i < s->n_files; i++) {
		const struct file *f = &s->files[i];

		if (f->fd >= 0 && f->users == 0 && !f->dirty && i != s->active &&
		    (old == UINT32_MAX || f->used_at < s->files[old].used_at))
			old = i;
	}
	if (old != UINT32_MAX) {
		close(s->files[old].fd);
		s->files[old].fd = -1;
		s->n_open--;
	}
}

/* The descriptor of a file, to be given back by file_put. */
static int
file_get(struct seg *s, uint32_t number, int *fd_out)
{
	char name[16];
	struct file *f;
	int err = 0;

	pthread_mutex_lock(&s->mu);
	if (number == 0 || number >= s->n_files) {
		err = ERR_NOTFOUND;
		goto out;
	}
	f = &s->files[number];
	if (f->fd < 0) {
		file_spare(s);
		file_name(number, name);
		f->fd = openat(s->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (f->fd < 0) {
			err = errno == ENOENT ? ERR_NOTFOUND : err_from_errno(errno);
			goto out;
		}
		s->n_open++;
	}
	f->users++;
	f->used_at = ++s->clock;
	*fd_out = f->fd;
out:
	pthread_mutex_unlock(&s->mu);
	return err;
}

static void
file_put(struct seg *s, uint32_t number, bool written)
{
	pthread_mutex_lock(&s->mu);
	s->files[number].users--;
	if (written)
		s->files[number].dirty = true;
	pthread_mutex_unlock(&s->mu);
}

/* With the lock: begins file number. */
static int
file_make(struct seg *s, uint32_t number)
{
	unsigned char h[FILE_HEADER] = {0};
	char name[16];
	int fd, err;

	file_name(number, name);
	fd = openat(s->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_from_errno(errno);
	memcpy(h, file_magic, sizeof file_magic);
	h[16] = FILE_VERSION;
	put32(h + 20, number);
	put32(h + FILE_HEADER - 4, crc32c(0, h, FILE_HEADER - 4));
	err = write_at(fd, h, sizeof h, 0);
	if (err == 0 && (fdatasync(fd) != 0 || fsync(s->dir_fd) != 0))
		err = err_from_errno(errno);
	if (err != 0) {
		close(fd);
		unlinkat(s->dir_fd, name, 0);
		return err;
	}
	file_grow(s, number);
	s->files[number].fd = fd;
	s->n_open++;
	s->active = number;
	s->end = s->filled = FILE_HEADER;
	return 0;
}

/* ---- opening ---- */

static int
file_check(struct seg *s, uint32_t number, uint64_t *size_out)
{
	unsigned char h[FILE_HEADER];
	struct stat st;
	int fd, err = file_get(s, number, &fd);

	if (err != 0)
		return err;
	err = read_at(fd, h, sizeof h, 0);
	if (err == 0 && (memcmp(h, file_magic, sizeof file_magic) != 0 || h[16] != FILE_VERSION ||
			    get32(h + 20) != number ||
			    get32(h + FILE_HEADER - 4) != crc32c(0, h, FILE_HEADER - 4)))
		err = ERR_CORRUPT;
	if (err == 0 && fstat(fd, &st) != 0)
		err = err_from_errno(errno);
	if (err == 0)
		*size_out = (uint64_t)st.st_size;
	file_put(s, number, false);
	return err;
}

/* Whether the record at loc is whole. */
static bool
record_ok(struct seg *s, const struct seg_loc *l)
{
	struct buf b;
	int err = 0;

	buf_init(&b, SEG_READ_MAX);
	err = seg_read_summary(s, l, &b);
	for (uint64_t off = 0; off < l->size && err == 0; off += BLOCK) {
		buf_reset(&b);
		err = seg_read(s, l, off, BLOCK, &b);
	}
	buf_done(&b);
	return err == 0;
}

/* Reads the records of the active file from off on; gives where the last whole one ends. */
static uint64_t
tail_scan(struct seg *s, int fd, uint64_t off, uint64_t size, unsigned *n_out)
{
	unsigned char h[REC_HEADER];
	struct seg_loc l = {.segment = s->active};
	unsigned flags;

	while (off + REC_HEADER <= size && read_at(fd, h, sizeof h, off) == 0 &&
	       header_decode(h, &l, &flags) == 0 && l.size <= size &&
	       record_len(l.size, l.summary_len) <= size - off) {
		l.off = off;
		if ((flags & REC_DEAD) == 0 && !record_ok(s, &l))
			break;
		if (l.body >= s->next_body)
			s->next_body = l.body + 1;
		off += record_len(l.size, l.summary_len);
		(*n_out)++;
	}
	return off;
}

static int
tail_recover(struct seg *s, const struct seg_loc *last)
{
	uint64_t size, from = FILE_HEADER, end;
	unsigned n = 0;
	int fd, err = file_check(s, s->active, &size);

	if (err != 0)
		return err;
	if (last != NULL && last->segment == s->active)
		from = last->off + record_len(last->size, last->summary_len);
	if (size < from) {
		/* The last record may lack its padding; anything else means that synced bytes are gone. */
		if (size + ALIGN <= from)
			return ERR_CORRUPT;
		size = from;
	}
	if ((err = file_get(s, s->active, &fd)) != 0)
		return err;
	end = tail_scan(s, fd, from, size, &n);
	if (end < size && ftruncate(fd, (off_t)end) != 0)
		err = err_from_errno(errno);
	file_put(s, s->active, true);
	if (n > 0 || end < size)
		log_msg(LOG_LVL_INFO, "segment_tail",
		    "file %u: %u records no row knows of, %llu octets behind them cut", s->active,
		    n, (unsigned long long)(size - end));
	s->end = s->filled = end;
	return err;
}

/* The highest file number in the folder, 0 for none. */
static int
newest_file(struct seg *s, uint32_t *n_out)
{
	int fd = openat(s->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	unsigned char num[4];

	*n_out = 0;
	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return err_from_errno(errno);
	}
	while ((e = readdir(d)) != NULL)
		if (strncmp(e->d_name, "seg-", 4) == 0 &&
		    hex_decode(slice_str(e->d_name + 4), num, sizeof num) == 0 &&
		    get32(num) > *n_out)
			*n_out = get32(num);
	closedir(d);
	return 0;
}

/* A newest file whose header did not get out whole holds nothing: it is made anew. */
static int
file_remake(struct seg *s, uint32_t number)
{
	struct stat st;
	char name[16];
	uint64_t size;

	file_name(number, name);
	if (fstatat(s->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return err_from_errno(errno);
	if (st.st_size > FILE_HEADER || file_check(s, number, &size) == 0)
		return 0;
	if (s->files[number].fd >= 0) {
		close(s->files[number].fd);
		s->files[number].fd = -1;
		s->n_open--;
	}
	if (unlinkat(s->dir_fd, name, 0) != 0)
		return err_from_errno(errno);
	return file_make(s, number);
}

int
seg_open(const char *dir, const struct seg_loc *last, uint64_t file_max, struct seg **seg_out)
{
	struct seg *s = xcalloc(1, sizeof *s);
	uint32_t newest = 0;
	int err;

	pthread_mutex_init(&s->mu, NULL);
	pthread_mutex_init(&s->sync_mu, NULL);
	s->reserve = RESERVE;
	s->file_max = file_max == 0 ? 256u << 20 : file_max;
	s->next_body = last == NULL ? 1 : last->body + 1;
	s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0) {
		err = err_from_errno(errno);
		goto out;
	}
	if ((err = newest_file(s, &newest)) != 0)
		goto out;
	if (last != NULL && newest < last->segment) {
		err = ERR_CORRUPT;
		goto out;
	}
	if (newest > 0) {
		file_grow(s, newest);
		s->active = newest;
		err = last == NULL || last->segment < newest ? file_remake(s, newest) : 0;
		if (err == 0)
			err = tail_recover(s, last);
	} else {
		err = file_make(s, 1);
	}
out:
	if (err == 0)
		*seg_out = s;
	else {
		log_msg(
		    LOG_LVL_ERROR, "segment", "open %s, file %u: %s", dir, newest, err_name(err));
		seg_close(s);
	}
	return err;
}

void
seg_close(struct seg *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->n_files; i++)
		if (s->files[i].fd >= 0)
			close(s->files[i].fd);
	free(s->files);
	if (s->dir_fd >= 0)
		close(s->dir_fd);
	pthread_mutex_destroy(&s->mu);
	pthread_mutex_destroy(&s->sync_mu);
	free(s);
}

/* ---- writing ---- */

/* With the lock. The record that ends at s->end is the first to pass the zeros: more of them behind it. Without room for them it is as if there
 * were none. */
static void
fill_ahead(struct seg *s, uint64_t len)
{
	static const unsigned char zeros[AHEAD];

	s->filled = s->end;
	if (len <= AHEAD_FOR && s->end + AHEAD <= s->file_max &&
	    write_at(s->files[s->active].fd, zeros, AHEAD, s->end) == 0)
		s->filled += AHEAD;
}

/* Room for a record and its number. The file is held (file_put). */
static int
reserve(struct seg *s, struct seg_loc *l, int *fd_out)
{
	uint64_t len = record_len(l->size, l->summary_len);
	int err = 0;

	pthread_mutex_lock(&s->mu);
	if (s->end > FILE_HEADER && s->end + len > s->file_max) {
		if (s->filled > s->end)
			(void)!ftruncate(s->files[s->active].fd, (off_t)s->end);
		err = file_make(s, s->active + 1);
	}
	if (err == 0) {
		l->segment = s->active;
		l->off = s->end;
		l->body = s->next_body++;
		s->end += len;
		s->written += len;
		if (s->end > s->filled)
			fill_ahead(s, len);
		s->files[s->active].users++;
		*fd_out = s->files[s->active].fd;
	}
	pthread_mutex_unlock(&s->mu);
	return err;
}

/* Bodies stop well before rows do, so that what frees space (and recovery) still finds some. */
void
seg_set_reserve(struct seg *s, uint64_t bytes)
{
	s->reserve = bytes;
}

static bool
has_room(const struct seg *s, uint64_t size)
{
	struct statvfs fs;

	return fstatvfs(s->dir_fd, &fs) != 0 ||
	       (uint64_t)fs.f_bavail * fs.f_frsize >= s->reserve + size;
}

/* Copies the body block by block from the caller's file; fills the checks; verifies the digest. */
static int
copy_body(int fd, int from, const struct seg_loc *l, unsigned char *table)
{
	unsigned char *block = xmalloc(BLOCK), digest[32];
	struct sha256 *h = sha256_new();
	int err = 0;

	for (uint64_t off = 0, i = 1; off < l->size && err == 0; off += BLOCK, i++) {
		size_t n = l->size - off < BLOCK ? (size_t)(l->size - off) : BLOCK;

		if ((err = read_at(from, block, n, off)) != 0)
			break;
		sha256_update(h, block, n);
		put32(table + 4 * i, crc32c(0, block, n));
		err = write_at(fd, block, n, body_off(l) + off);
	}
	sha256_final(h, digest);
	if (err == 0 && memcmp(digest, l->sha256, 32) != 0)
		err = ERR_CORRUPT;
	sha256_free(h);
	free(block);
	return err;
}

/* A small body goes out with everything before it in one write. */
static int
write_small(int fd, const struct seg_loc *l, struct slice bytes, struct slice summary)
{
	size_t tlen = (size_t)table_len(l->size), len = (size_t)record_len(l->size, l->summary_len);
	unsigned char *rec = xcalloc(1, len), *table = rec + REC_HEADER;
	int err;

	header_encode(l, 0, rec);
	put32(table, crc32c(0, summary.ptr, summary.len));
	for (size_t off = 0, i = 1; off < bytes.len; off += BLOCK, i++)
		put32(table + 4 * i,
		    crc32c(0, bytes.ptr + off, bytes.len - off < BLOCK ? bytes.len - off : BLOCK));
	if (summary.len > 0)
		memcpy(table + tlen, summary.ptr, summary.len);
	if (bytes.len > 0)
		memcpy(table + tlen + summary.len, bytes.ptr, bytes.len);
	err = write_at(fd, rec, len, l->off);
	free(rec);
	return err;
}

static int
write_large(int fd, const struct seg_loc *l, int from, struct slice summary)
{
	size_t tlen = (size_t)table_len(l->size);
	unsigned char *table = xcalloc(1, tlen), h[REC_HEADER];
	uint64_t end = l->off + record_len(l->size, l->summary_len);
	int err;

	put32(table, crc32c(0, summary.ptr, summary.len));
	if ((err = copy_body(fd, from, l, table)) != 0 ||
	    (err = write_at(fd, table, tlen, l->off + REC_HEADER)) != 0 ||
	    (err = write_at(fd, summary.ptr, summary.len, l->off + REC_HEADER + tlen)) != 0)
		goto out;
	/* The padding makes the file as long as the record, which recovery relies on. */
	if (end > body_off(l) + l->size &&
	    (err = write_at(fd, "\0\0\0\0\0\0\0", (size_t)(end - body_off(l) - l->size),
		 body_off(l) + l->size)) != 0)
		goto out;
	header_encode(l, 0, h);
	err = write_at(fd, h, sizeof h, l->off);
out:
	free(table);
	return err;
}

int
seg_write(struct seg *s, const unsigned char sha256[32], struct slice bytes, int fd, uint64_t size,
    struct slice summary, struct seg_loc *loc_out)
{
	struct seg_loc l = {.size = size, .summary_len = (uint32_t)summary.len};
	unsigned char digest[32], h[REC_HEADER];
	int out_fd, err;

	if (summary.len > SEG_SUMMARY_MAX || size > (uint64_t)1 << 40)
		return ERR_LIMIT;
	memcpy(l.sha256, sha256, 32);
	if (fd < 0) {
		if (bytes.len != size)
			return ERR_CORRUPT;
		sha256_of(bytes, digest);
		if (memcmp(digest, sha256, 32) != 0)
			return ERR_CORRUPT;
	}
	if (!has_room(s, record_len(size, l.summary_len)))
		return ERR_FULL;
	if ((err = reserve(s, &l, &out_fd)) != 0)
		return err;
	err =
	    fd < 0 ? write_small(out_fd, &l, bytes, summary) : write_large(out_fd, &l, fd, summary);
	if (err != 0) {
		header_encode(&l, REC_DEAD, h);
		(void)write_at(
		    out_fd, h, sizeof h, l.off); /* helps a full scan over it; nothing needs it */
	}
	file_put(s, l.segment, true);
	if (err == 0)
		*loc_out = l;
	return err;
}

void
seg_sync(struct seg *s)
{
	struct dirty {
		uint32_t number;
		int fd;
	} * dirty;
	size_t n = 0;

	pthread_mutex_lock(&s->sync_mu);
	pthread_mutex_lock(&s->mu);
	dirty = xmalloc(s->n_files * sizeof *dirty);
	for (uint32_t i = 1; i < s->n_files; i++)
		if (s->files[i].dirty) {
			s->files[i].dirty = false;
			s->files[i].users++;
			dirty[n++] = (struct dirty){i, s->files[i].fd};
		}
	pthread_mutex_unlock(&s->mu);
	for (size_t i = 0; i < n; i++) {
		/* A dirty file is open. */
		if (fdatasync(dirty[i].fd) != 0)
			fatal("segment: sync of file %u: %s", dirty[i].number, strerror(errno));
		file_put(s, dirty[i].number, false);
	}
	free(dirty);
	pthread_mutex_unlock(&s->sync_mu);
}

/* ---- reading ---- */

int
seg_read(struct seg *s, const struct seg_loc *l, uint64_t off, uint32_t len, struct buf *out)
{
	uint64_t first, n, start, end;
	unsigned char *table = NULL, *p = NULL;
	int fd, err;

	if (len > SEG_READ_MAX)
		return ERR_LIMIT;
	if (off >= l->size || len == 0)
		return 0;
	end = len < l->size - off ? off + len : l->size;
	first = off / BLOCK;
	n = (end + BLOCK - 1) / BLOCK - first;
	start = first * BLOCK;
	end = (first + n) * BLOCK < l->size ? (first + n) * BLOCK : l->size;
	if ((err = file_get(s, l->segment, &fd)) != 0)
		return err;
	table = xmalloc((size_t)(4 * n));
	p = xmalloc((size_t)(end - start));
	if ((err = read_at(fd, table, (size_t)(4 * n), l->off + REC_HEADER + 4 * (1 + first))) !=
		0 ||
	    (err = read_at(fd, p, (size_t)(end - start), body_off(l) + start)) != 0)
		goto out;
	for (uint64_t i = 0; i < n; i++) {
		size_t at = (size_t)(i * BLOCK), left = (size_t)(end - start) - at;

		if (crc32c(0, p + at, left < BLOCK ? left : BLOCK) != get32(table + 4 * i)) {
			err = ERR_CORRUPT;
			goto out;
		}
	}
	n = l->size - off < len ? l->size - off : len;
	err = buf_append(out, p + (off - start), (size_t)n);
out:
	file_put(s, l->segment, false);
	free(table);
	free(p);
	return err == ERR_EOF ? ERR_CORRUPT : err;
}

int
seg_read_summary(struct seg *s, const struct seg_loc *l, struct buf *out)
{
	unsigned char crc[4], *p;
	int fd, err = file_get(s, l->segment, &fd);

	if (err != 0)
		return err;
	if ((err = read_at(fd, crc, 4, l->off + REC_HEADER)) != 0)
		goto out;
	p = buf_reserve(out, l->summary_len + 1);
	if (p == NULL) {
		err = out->err;
		goto out;
	}
	err = read_at(fd, p, l->summary_len, l->off + REC_HEADER + table_len(l->size));
	if (err == 0 && crc32c(0, p, l->summary_len) != get32(crc))
		err = ERR_CORRUPT;
	if (err == 0)
		buf_commit(out, l->summary_len);
out:
	file_put(s, l->segment, false);
	return err == ERR_EOF ? ERR_CORRUPT : err;
}

int
seg_read_whole(struct seg *s, const struct seg_loc *l, bool want_summary, struct buf *out)
{
	/* checks of the summary and of the one block, summary, body stand one behind the other */
	size_t tlen = (size_t)table_len(l->size), len;
	unsigned char *p;
	int fd, err;

	if (l->size > BLOCK || l->summary_len > BLOCK)
		return ERR_LIMIT;
	len = tlen + l->summary_len + (size_t)l->size;
	if ((err = file_get(s, l->segment, &fd)) != 0)
		return err;
	p = xmalloc(len);
	err = read_at(fd, p, len, l->off + REC_HEADER);
	file_put(s, l->segment, false);
	if (err == 0 && ((want_summary && crc32c(0, p + tlen, l->summary_len) != get32(p)) ||
			    (l->size > 0 && crc32c(0, p + tlen + l->summary_len, (size_t)l->size) !=
						get32(p + 4))))
		err = ERR_CORRUPT;
	if (err == 0 && want_summary)
		err = buf_append(out, p + tlen, l->summary_len);
	if (err == 0)
		err = buf_append(out, p + tlen + l->summary_len, (size_t)l->size);
	free(p);
	return err == ERR_EOF ? ERR_CORRUPT : err;
}

void
seg_stat(struct seg *s, uint64_t *bytes_out, uint32_t *file_out)
{
	pthread_mutex_lock(&s->mu);
	*bytes_out = s->written;
	*file_out = s->active;
	pthread_mutex_unlock(&s->mu);
}
