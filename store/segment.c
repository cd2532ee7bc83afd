/* segment.c: the files of segments: opening, what a crash left, syncs, removal. Records are in segment_read.c and segment_write.c, their bytes in
 * segment_codec.c. Runs in stored, called by the threads of backend_kv.c.
 *
 * In a file of new bodies numbers rise with the place, and copies (of compaction) go elsewhere: so nothing behind the newest body that the
 * database knows is known to it, and a torn end can be cut off there. */
#include "store/segment_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

enum {
	OPEN_MAX_FILES = 200,
	RESERVE = 64 << 20, /* free space below which no body is written */
};

int
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

/* ---- work ---- */

struct work *
work_get(struct seg *s)
{
	struct work *w;

	pthread_mutex_lock(&s->mu);
	w = s->idle;
	if (w != NULL)
		s->idle = w->next;
	pthread_mutex_unlock(&s->mu);
	if (w == NULL) {
		w = xcalloc(1, sizeof *w);
		w->zst = zst_new();
	}
	return w;
}

void
work_put(struct seg *s, struct work *w)
{
	pthread_mutex_lock(&s->mu);
	w->next = s->idle;
	s->idle = w;
	pthread_mutex_unlock(&s->mu);
}

static unsigned char *
grow(unsigned char **p, size_t *room, size_t n)
{
	if (n + 1 > *room) {
		free(*p);
		*room = n < 65536 ? 65536 : n + 1;
		*p = xmalloc(*room);
	}
	return *p;
}

unsigned char *
work_stored(struct work *w, size_t n)
{
	return grow(&w->stored, &w->stored_room, n);
}

unsigned char *
work_clear(struct work *w, size_t n)
{
	return grow(&w->clear, &w->clear_room, n);
}

unsigned char *
work_plain(struct work *w, size_t n)
{
	return grow(&w->plain, &w->plain_room, n);
}

/* ---- files ---- */

void
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

static bool
is_written(const struct seg *s, uint32_t number)
{
	return number == s->streams[STREAM_NEW].file || number == s->streams[STREAM_COPY].file;
}

/* With the lock. */
static void
file_shut(struct seg *s, uint32_t number)
{
	if (s->files[number].fd < 0)
		return;
	close(s->files[number].fd);
	s->files[number].fd = -1;
	s->n_open--;
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

		if (f->fd >= 0 && f->users == 0 && !f->dirty && !is_written(s, i) &&
		    (old == UINT32_MAX || f->used_at < s->files[old].used_at))
			old = i;
	}
	if (old != UINT32_MAX)
		file_shut(s, old);
}

int
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

void
file_put(struct seg *s, uint32_t number, bool written)
{
	pthread_mutex_lock(&s->mu);
	s->files[number].users--;
	if (written)
		s->files[number].dirty = true;
	pthread_mutex_unlock(&s->mu);
}

int
file_make(struct seg *s, enum stream_kind kind)
{
	uint32_t number = s->n_files > 0 ? s->n_files : 1;
	struct seg_head head = {.number = number, .kind = (uint8_t)kind};
	unsigned char h[FILE_HEADER], key[32];
	char name[16];
	int fd, err;

	random_bytes(key, sizeof key);
	if (s->keys != NULL && (err = seg_head_wrap(&head, s->keys, key)) != 0)
		return err;
	file_name(number, name);
	fd = openat(s->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_from_errno(errno);
	seg_head_encode(&head, h);
	memcpy(h + SEG_SECTOR, h, SEG_SECTOR);
	err = rw_write_at(fd, h, sizeof h, 0);
	if (err == 0 && (fdatasync(fd) != 0 || fsync(s->dir_fd) != 0))
		err = err_from_errno(errno);
	if (err != 0) {
		close(fd);
		unlinkat(s->dir_fd, name, 0);
		return err;
	}
	file_grow(s, number);
	s->files[number].fd = fd;
	s->files[number].copies = kind == STREAM_COPY;
	memcpy(s->files[number].key, key, sizeof key);
	s->files[number].key_known = head.sealed;
	explicit_bzero(key, sizeof key);
	s->n_open++;
	s->streams[kind] =
	    (struct stream){.file = number, .end = FILE_HEADER, .filled = FILE_HEADER};
	return 0;
}

/* ---- opening ---- */

/* The header of a file and its size. ERR_CORRUPT: it has none that is good. */
static int
file_check(struct seg *s, uint32_t number, struct seg_head *h_out, uint64_t *size_out)
{
	unsigned char h[FILE_HEADER];
	struct stat st;
	int fd, err = file_get(s, number, &fd);

	if (err != 0)
		return err;
	if (fstat(fd, &st) != 0) {
		err = err_from_errno(errno);
	} else {
		size_t n = (uint64_t)st.st_size < sizeof h ? (size_t)st.st_size : sizeof h;

		*size_out = (uint64_t)st.st_size;
		err = read_at(fd, h, n, 0);
		if (err == 0)
			err = seg_head_decode(h, n, h_out);
		if (err == 0 && h_out->number != number)
			err = ERR_CORRUPT;
	}
	file_put(s, number, false);
	return err;
}

int
file_key(struct seg *s, uint32_t number, unsigned char key_out[32])
{
	struct seg_head h;
	uint64_t size;
	bool known;
	int err;

	pthread_mutex_lock(&s->mu);
	known = s->files[number].key_known;
	if (known)
		memcpy(key_out, s->files[number].key, 32);
	pthread_mutex_unlock(&s->mu);
	if (known)
		return 0;
	if ((err = file_check(s, number, &h, &size)) != 0)
		return err;
	err = h.sealed ? seg_head_unwrap(&h, s->keys, key_out) : ERR_CORRUPT;
	if (err == 0) {
		pthread_mutex_lock(&s->mu);
		memcpy(s->files[number].key, key_out, 32);
		s->files[number].key_known = true;
		pthread_mutex_unlock(&s->mu);
	}
	return err;
}

/* Every sealed file must open: without its key the store is not there, and that is told before anything is served. */
static int
keys_check(struct seg *s)
{
	unsigned char key[32];
	struct seg_head h;
	uint64_t size;
	int bad = 0;

	for (uint32_t n = 1; n < s->n_files; n++) {
		int err = file_check(s, n, &h, &size);

		if (err == ERR_NOTFOUND || err == ERR_CORRUPT || (err == 0 && !h.sealed))
			continue;
		if (err == 0)
			err = seg_head_unwrap(&h, s->keys, key);
		if (err == ERR_NOTFOUND)
			log_msg(LOG_LVL_ERROR, "segment_key",
			    "file %u is encrypted under the key \"%s\", which store_key_file "
			    "does not have",
			    n, h.key_id);
		else if (err == ERR_DENIED)
			log_msg(LOG_LVL_ERROR, "segment_key",
			    "file %u does not open with the key \"%s\" of store_key_file: it is "
			    "another key",
			    n, h.key_id);
		if (err != 0)
			bad = err == ERR_NOTFOUND ? ERR_DENIED : err;
	}
	explicit_bzero(key, sizeof key);
	return bad;
}

/* Reads the records of the file from off on; gives where the last whole one ends. ours: none of them is known to a row; else damaged ones count too. */
static uint64_t
tail_scan(
    struct seg *s, uint32_t file, int fd, uint64_t off, uint64_t size, bool ours, unsigned *n_out)
{
	unsigned char h[REC_HEADER], nonce[NONCE];
	struct seg_loc l;
	unsigned flags;

	while (off + REC_HEADER <= size && read_at(fd, h, sizeof h, off) == 0 &&
	       rec_head_decode(h, &l, &flags, nonce) == 0 && l.stored <= size - off) {
		l.segment = file;
		l.off = off;
		if (ours && (flags & REC_DEAD) == 0 && seg_check(s, &l) != 0)
			break;
		if (l.body >= s->next_body)
			s->next_body = l.body + 1;
		off += l.stored;
		(*n_out)++;
	}
	return off;
}

static bool
is_zeros(int fd, uint64_t off, uint64_t end)
{
	unsigned char *p = xmalloc(BLOCK);
	bool zeros = true;

	for (size_t n = 0; off < end && zeros; off += n) {
		n = end - off < BLOCK ? (size_t)(end - off) : BLOCK;
		zeros = read_at(fd, p, n, off) == 0;
		for (size_t i = 0; i < n && zeros; i++)
			zeros = p[i] == 0;
	}
	free(p);
	return zeros;
}

/* New bodies go on behind the records of this file. ours: tail_is_ours; else ERR_CORRUPT when there is more behind what can be read, which may be
 * somebody's mail: then it stays as it is. */
static int
tail_recover(struct seg *s, uint32_t file, uint64_t size, const struct seg_loc *last, bool ours)
{
	uint64_t from = FILE_HEADER, end;
	unsigned n = 0;
	int fd, err;

	if (last != NULL && last->segment == file)
		from = last->off + last->stored;
	if (size < from)
		return ERR_CORRUPT; /* synced bytes are gone */
	if ((err = file_get(s, file, &fd)) != 0)
		return err;
	end = tail_scan(s, file, fd, from, size, ours, &n);
	if (!ours && end < size && !is_zeros(fd, end, size)) {
		file_put(s, file, false);
		log_msg(LOG_LVL_ERROR, "segment",
		    "file %u: what stands behind octet %llu cannot be read: left as it is", file,
		    (unsigned long long)end);
		return ERR_CORRUPT;
	}
	if (end < size && ftruncate(fd, (off_t)end) != 0)
		err = err_from_errno(errno);
	file_put(s, file, true);
	if (n > 0 || end < size)
		log_msg(LOG_LVL_INFO, "segment_tail",
		    "file %u: %u records no row knows of, %llu octets behind them cut", file, n,
		    (unsigned long long)(size - end));
	s->streams[STREAM_NEW] = (struct stream){.file = file, .end = end, .filled = end};
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

/* Whether what is added to this file is encrypted as what is written now is to be. */
static bool
sealed_as_now(const struct seg *s, const struct seg_head *h)
{
	return h->sealed == (s->keys != NULL) &&
	       (!h->sealed || strcmp(h->key_id, s->keys->k[s->keys->n - 1].id) == 0);
}

/* Whether all that rows know of in file n ends at last, or is not there at all: then what is torn behind may be cut. Numbers rise with the
 * place in files of new bodies; but the newest body may lie in a file of copies, or in a file that is lost: then nobody knows what
 * stands in file n, and a damaged record there must not cost those behind it. */
static bool
tail_is_ours(struct seg *s, uint32_t n, const struct seg_loc *last)
{
	struct seg_head h = {0};
	uint64_t size;

	if (last == NULL || last->segment == n)
		return true;
	return last->segment < n && file_check(s, last->segment, &h, &size) == 0 &&
	       h.kind == STREAM_NEW;
}

/* A process that was killed while it made the file may have left its header in memory alone. Written again where no row can tell of a record
 * in it yet; its name was synced when the folder was opened. */
static int
header_settle(struct seg *s, uint32_t n, bool rewrite)
{
	unsigned char h[FILE_HEADER];
	int fd, err = file_get(s, n, &fd);

	if (err != 0)
		return err;
	if (rewrite && (err = read_at(fd, h, sizeof h, 0)) == 0)
		err = rw_write_at(fd, h, sizeof h, 0);
	if (err == 0 && fdatasync(fd) != 0)
		err = err_from_errno(errno);
	file_put(s, n, false);
	return err;
}

/* Finds the file that new bodies go on in: the newest of its kind, when it is of the present version and key and its header is good; else a new
 * one. */
static int
stream_open(struct seg *s, uint32_t newest, const struct seg_loc *last)
{
	for (uint32_t n = newest; n > 0; n--) {
		struct seg_head h = {0};
		uint64_t size = 0;
		int err = file_check(s, n, &h, &size);

		if (err == ERR_NOTFOUND || (err == 0 && h.kind != STREAM_NEW))
			continue;
		if (err == ERR_CORRUPT && size <= FILE_HEADER &&
		    (last == NULL || last->segment < n)) {
			/* Its header did not get out whole, so nothing is in it. */
			char name[16];

			file_shut(s, n);
			file_name(n, name);
			if (unlinkat(s->dir_fd, name, 0) != 0)
				return err_from_errno(errno);
			continue;
		}
		if (err != 0 && err != ERR_CORRUPT)
			return err;
		if (last != NULL && last->segment == n &&
		    size + ALIGN <= last->off + last->stored) {
			log_msg(LOG_LVL_ERROR, "segment_lost",
			    "the end of file %u is missing: congvu store check names the messages, "
			    "a "
			    "backup has them",
			    n);
			break;
		}
		if (err == 0 && h.version != 1 && sealed_as_now(s, &h)) {
			err = header_settle(
			    s, n, (last == NULL || last->segment < n) && size >= FILE_HEADER);
			if (err != 0)
				return err;
			err = tail_recover(s, n, size, last, tail_is_ours(s, n, last));
			if (err != ERR_CORRUPT)
				return err;
			break;
		}
		if (err == ERR_CORRUPT)
			log_msg(LOG_LVL_ERROR, "segment", "file %u: its header is damaged", n);
		break;
	}
	return file_make(s, STREAM_NEW);
}

int
seg_open(const char *dir, const struct seg_loc *last, uint64_t file_max, struct seg **seg_out)
{
	return seg_open_keys(dir, last, file_max, NULL, seg_out);
}

int
seg_open_keys(const char *dir, const struct seg_loc *last, uint64_t file_max,
    const struct seg_keys *keys, struct seg **seg_out)
{
	struct seg *s = xcalloc(1, sizeof *s);
	uint32_t newest = 0;
	int err;

	pthread_mutex_init(&s->mu, NULL);
	pthread_mutex_init(&s->sync_mu, NULL);
	s->reserve = RESERVE;
	s->file_max = file_max == 0 ? 256u << 20 : file_max;
	s->next_body = last == NULL ? 1 : last->body + 1;
	if (keys != NULL) {
		s->keys = xmalloc(sizeof *s->keys);
		*s->keys = *keys;
	}
	s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0) {
		err = err_from_errno(errno);
		goto out;
	}
	/* A file whose maker was killed is there for us, and not after a power cut: rows would tell of records in it. */
	if (fsync(s->dir_fd) != 0) {
		err = err_from_errno(errno);
		goto out;
	}
	if ((err = newest_file(s, &newest)) != 0)
		goto out;
	if (last != NULL && newest < last->segment) {
		if (newest == 0) { /* not one file: rather another disk than so many losses */
			log_msg(LOG_LVL_ERROR, "segment_lost",
			    "%s holds no files, and rows tell of %u: is its disk mounted? Else "
			    "restore "
			    "a backup",
			    dir, last->segment);
			err = ERR_CORRUPT;
			goto out;
		}
		/* The rest is served all the same; its number is not given again. */
		log_msg(LOG_LVL_ERROR, "segment_lost",
		    "file %u is missing: congvu store check names the messages, a backup has them",
		    last->segment);
		file_grow(s, last->segment);
	}
	file_grow(s, newest);
	if ((err = keys_check(s)) == 0)
		err = stream_open(s, newest, last);
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

int
seg_open_to_read(
    const char *dir, uint32_t highest, const struct seg_keys *keys, struct seg **seg_out)
{
	struct seg *s = xcalloc(1, sizeof *s);

	pthread_mutex_init(&s->mu, NULL);
	pthread_mutex_init(&s->sync_mu, NULL);
	if (keys != NULL) {
		s->keys = xmalloc(sizeof *s->keys);
		*s->keys = *keys;
	}
	s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0) {
		int err = err_from_errno(errno);

		seg_close(s);
		return err;
	}
	file_grow(s, highest);
	*seg_out = s;
	return 0;
}

void
seg_close(struct seg *s)
{
	struct work *w;

	if (s == NULL)
		return;
	while ((w = s->idle) != NULL) {
		s->idle = w->next;
		zst_free(w->zst);
		free(w->stored);
		free(w->plain);
		free(w->clear);
		free(w);
	}
	for (uint32_t i = 0; i < s->n_files; i++)
		if (s->files[i].fd >= 0)
			close(s->files[i].fd);
	if (s->files != NULL)
		explicit_bzero(s->files, s->n_files * sizeof *s->files);
	free(s->files);
	free(s->writing);
	if (s->keys != NULL)
		seg_keys_wipe(s->keys);
	free(s->keys);
	if (s->dir_fd >= 0)
		close(s->dir_fd);
	pthread_mutex_destroy(&s->mu);
	pthread_mutex_destroy(&s->sync_mu);
	free(s);
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
		if (s->files[i].dirty && !s->files[i].copies) {
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

/* ---- files one by one ---- */

int
seg_file_next(struct seg *s, uint32_t after, struct seg_file *out)
{
	int err = ERR_NOTFOUND;

	pthread_mutex_lock(&s->mu);
	for (uint32_t n = after + 1; n < s->n_files && err == ERR_NOTFOUND; n++) {
		struct stat st;
		char name[16];

		file_name(n, name);
		if (fstatat(s->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
			if (errno != ENOENT)
				err = err_from_errno(errno);
			continue;
		}
		*out = (struct seg_file){
		    .number = n, .size = (uint64_t)st.st_size, .writing = is_written(s, n)};
		err = 0;
	}
	pthread_mutex_unlock(&s->mu);
	return err;
}

int
seg_file_remove(struct seg *s, uint32_t number)
{
	char name[16];
	int err = 0;

	pthread_mutex_lock(&s->mu);
	if (number == 0 || number >= s->n_files) {
		err = ERR_NOTFOUND;
	} else if (s->files[number].users > 0 || s->pins > 0 || is_written(s, number)) {
		err = ERR_AGAIN;
	} else {
		file_shut(s, number);
		s->files[number].dirty = false;
		file_name(number, name);
		if (unlinkat(s->dir_fd, name, 0) != 0)
			err = errno == ENOENT ? ERR_NOTFOUND : err_from_errno(errno);
	}
	pthread_mutex_unlock(&s->mu);
	return err;
}

int
seg_file_rewrap(struct seg *s, uint32_t number, bool *done_out)
{
	unsigned char sector[SEG_SECTOR], key[32];
	struct seg_head h;
	uint64_t size;
	int fd, err;

	*done_out = false;
	if (s->keys == NULL)
		return ERR_UNSUPPORTED;
	if ((err = file_check(s, number, &h, &size)) != 0)
		return err;
	if (!h.sealed || sealed_as_now(s, &h))
		return 0;
	if ((err = seg_head_unwrap(&h, s->keys, key)) != 0 ||
	    (err = seg_head_wrap(&h, s->keys, key)) != 0 || (err = file_get(s, number, &fd)) != 0)
		goto out;
	seg_head_encode(&h, sector);
	/* one after the other: whatever a crash tears, one of them is whole */
	for (uint64_t at = SEG_HEADER_MAX; at > 0 && err == 0;) {
		at -= SEG_SECTOR;
		err = rw_write_at(fd, sector, sizeof sector, at);
		if (err == 0 && fdatasync(fd) != 0)
			err = err_from_errno(errno);
	}
	file_put(s, number, false);
	*done_out = err == 0;
out:
	explicit_bzero(key, sizeof key);
	return err;
}

void
seg_stat(struct seg *s, uint64_t *bytes_out, uint32_t *file_out)
{
	pthread_mutex_lock(&s->mu);
	*bytes_out = s->written;
	*file_out = s->streams[STREAM_NEW].file;
	pthread_mutex_unlock(&s->mu);
}
