/* journal.c: see journal.h. Runs in stored. "w/j": version, epoch, u64 end of the stream, u32 CRC of the last record.
 *
 * Writers are kept in order by the row itself: it is locked from before the record is written until the commit is over. A record stands behind the one
 * before it and names its CRC, so a file that a power cut left with an older record in the middle is seen. */
#include "store/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/rw.h"
#include "store/backup_rec.h"

enum {
	ROW_VERSION = 1,
	ROW_LEN = 1 + JOURNAL_EPOCH + 8 + 4,
	FILE_MAX = 16 << 20,
	KEEP_MAX = 512 << 20,
	FILES_MAX = 4096,
	BEGIN_WAIT_S = 30,
	SPARE_MAX = 1 << 20,
};

struct file {
	uint64_t start, size; /* the last one's size is not kept here */
	int fd;
};
struct journal {
	struct kv *kv;
	struct kv_tap tap;
	struct journal_options o;
	int dir_fd;
	pthread_mutex_t mu;
	pthread_cond_t wake;
	bool on, settling; /* settling: a record is written and its commit is not over */
	struct journal_state st;
	uint64_t
	    tail; /* behind the last committed record; st.end: that a power cut cannot take back any more */
	uint32_t crc; /* of the last committed record */
	struct file *files;
	size_t n_files;
	unsigned untapped; /* transactions under way that began while it was off */
	int64_t asked;     /* when a backup last asked, s */
	struct buf spare;  /* memory of a record, for the next one */
};
/* A transaction. */
struct tapped {
	bool recorded, forced; /* forced: a record even when it changes nothing */
	bool prepared, drops, synced;
	uint64_t len;
	uint32_t crc;
	int64_t at_us;
	struct buf rec;
	struct buf bodies; /* u32 length of key, u32 of value, key, value */
};

static const char row_key[] = "w/j";

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ---- files; the lock is held ---- */

static void
file_name(uint64_t start, char out[24])
{
	snprintf(out, 24, "j-%016" PRIx64, start);
}

static void
files_forget(struct journal *j)
{
	for (size_t i = 0; i < j->n_files; i++)
		if (j->files[i].fd >= 0)
			close(j->files[i].fd);
	j->n_files = 0;
}

/* Every file of the folder that is named as ours. */
static void
files_remove(struct journal *j)
{
	int fd = openat(j->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	files_forget(j);
	if (d == NULL && fd >= 0)
		close(fd);
	while (d != NULL && (e = readdir(d)) != NULL)
		if (strncmp(e->d_name, "j-", 2) == 0)
			unlinkat(j->dir_fd, e->d_name, 0);
	if (d != NULL)
		closedir(d);
}

static int
file_add(struct journal *j, uint64_t start, uint64_t size, int fd)
{
	if (j->n_files >= FILES_MAX)
		return ERR_LIMIT;
	j->files = xrealloc(j->files, (j->n_files + 1) * sizeof *j->files);
	j->files[j->n_files++] = (struct file){start, size, fd};
	return 0;
}

static int
file_open(struct journal *j, uint64_t start, int flags, int *fd_out)
{
	char name[24];
	int fd;

	file_name(start, name);
	fd = openat(j->dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno == ENOENT ? ERR_NOTFOUND : err_from_errno(errno);
	*fd_out = fd;
	return 0;
}

/* The oldest files go when all together are too many octets. */
static void
files_trim(struct journal *j)
{
	uint64_t keep = j->o.keep_max == 0 ? KEEP_MAX : j->o.keep_max;
	char name[24];

	while (j->n_files > 1 && j->tail - j->files[0].start > keep) {
		file_name(j->files[0].start, name);
		if (j->files[0].fd >= 0)
			close(j->files[0].fd);
		unlinkat(j->dir_fd, name, 0);
		memmove(j->files, j->files + 1, --j->n_files * sizeof *j->files);
	}
	j->st.first = j->n_files == 0 ? j->tail : j->files[0].start;
}

/* The file that the next record goes to. */
static int
file_for(struct journal *j, uint64_t len, struct file **f_out)
{
	uint64_t max = j->o.file_max == 0 ? FILE_MAX : j->o.file_max;
	struct file *f = j->n_files == 0 ? NULL : &j->files[j->n_files - 1];
	int fd = -1, err;

	if (f != NULL && (j->tail == f->start || j->tail - f->start + len <= max)) {
		*f_out = f;
		return 0;
	}
	/* what stands in it counts without being read again, so it must outlive a power cut */
	if (f != NULL) {
		f->size = j->tail - f->start;
		if (ftruncate(f->fd, (off_t)f->size) != 0)
			return err_from_errno(errno);
		/* not tried again: the next one would promise what the kernel may have dropped */
		if (fdatasync(f->fd) != 0)
			fatal("journal: sync: %s", strerror(errno));
	}
	if ((err = file_open(j, j->tail, O_RDWR | O_CREAT | O_TRUNC, &fd)) != 0)
		return err;
	if (fsync(j->dir_fd) != 0 || (err = file_add(j, j->tail, 0, fd)) != 0) {
		err = err != 0 ? err : err_from_errno(errno);
		close(fd);
		return err;
	}
	files_trim(j);
	*f_out = &j->files[j->n_files - 1];
	return 0;
}

/* With the lock, from the tap or at the start: what there is goes, and what is committed from now on is not in it. */
static void
drop(struct journal *j)
{
	j->on = false;
	files_remove(j);
	memset(&j->st, 0, sizeof j->st);
	j->tail = 0;
	j->crc = 0;
}

/* ---- the row ---- */

static void
row_encode(const unsigned char *epoch, uint64_t end, uint32_t crc, struct buf *out)
{
	buf_append_byte(out, ROW_VERSION);
	buf_append(out, epoch, JOURNAL_EPOCH);
	buf_append_u64(out, end);
	buf_append_u32(out, crc);
}

static int
row_decode(struct slice v, struct journal_state *st, uint32_t *crc_out)
{
	uint64_t end = 0;
	uint32_t crc = 0;

	if (v.len != ROW_LEN || v.ptr[0] != ROW_VERSION)
		return ERR_CORRUPT;
	memcpy(st->epoch, v.ptr + 1, JOURNAL_EPOCH);
	for (size_t i = 0; i < 8; i++)
		end = end << 8 | v.ptr[1 + JOURNAL_EPOCH + i];
	for (size_t i = 0; i < 4; i++)
		crc = crc << 8 | v.ptr[9 + JOURNAL_EPOCH + i];
	st->end = end;
	*crc_out = crc;
	return 0;
}

/* ---- the tap ---- */

static void
tap_begin(void *arg, struct kv_txn *t)
{
	struct journal *j = arg;
	struct tapped *p = xcalloc(1, sizeof *p);

	buf_init(&p->rec, BACKUP_REC_HEAD + BACKUP_REC_MAX);
	buf_init(&p->bodies, BACKUP_REC_MAX);
	pthread_mutex_lock(&j->mu);
	p->recorded = j->on;
	if (!p->recorded) {
		j->untapped++;
	} else if (j->spare.alloc > 0) {
		p->rec = j->spare;
		buf_init(&j->spare, p->rec.cap);
	}
	pthread_mutex_unlock(&j->mu);
	if (p->recorded)
		backup_rec_begin(&p->rec);
	t->tapped = p;
}

static void
tap_change(void *arg, struct kv_txn *t, struct slice key, const struct slice *value)
{
	const struct journal *j = arg;
	struct tapped *p = t->tapped;

	if (slice_starts(key, "w/"))
		return;
	if (p->recorded && value != NULL)
		backup_rec_put(&p->rec, key, *value);
	else if (p->recorded)
		backup_rec_del(&p->rec, key);
	if (value != NULL && j->o.body != NULL && slice_starts(key, "b/")) {
		buf_append_u32(&p->bodies, (uint32_t)key.len);
		buf_append_u32(&p->bodies, (uint32_t)value->len);
		buf_append_slice(&p->bodies, key);
		buf_append_slice(&p->bodies, *value);
	}
}

/* With the row locked and the lock held. */
static int
record_write(struct journal *j, struct tapped *p)
{
	struct file *f = NULL;
	int err;

	p->at_us = now_us();
	p->crc = backup_rec_end(&p->rec, p->at_us, j->crc);
	p->len = p->rec.len;
	if ((err = p->rec.err) != 0 || (err = file_for(j, p->len, &f)) != 0)
		return err;
	return rw_write_at(f->fd, p->rec.data, p->rec.len, j->tail - f->start);
}

/* The record, and the row that tells of it. What cannot be recorded takes the journal with it: the row goes in the same transaction. */
static int
tap_commit(void *arg, struct kv_txn *t)
{
	struct journal *j = arg;
	struct tapped *p = t->tapped;
	struct buf row;
	int err;

	if (!p->recorded || (p->rec.err == 0 && p->rec.len == BACKUP_REC_HEAD && !p->forced))
		return 0;
	buf_init(&row, ROW_LEN);
	err = kv_get_update(t, slice_str(row_key), &row); /* here the writers stand in line */
	if (err != 0 && err != ERR_NOTFOUND)
		goto out;
	pthread_mutex_lock(&j->mu);
	while (j->settling) /* the last one has its row free and has not told us yet */
		pthread_cond_wait(&j->wake, &j->mu);
	err = 0;
	if (j->on && now_us() / 1000000 - j->asked > JOURNAL_IDLE_S)
		err = ERR_EXPIRED;
	if (j->on && err == 0)
		err = record_write(j, p);
	j->settling = p->prepared = j->on;
	buf_reset(&row);
	if (j->on)
		row_encode(j->st.epoch, j->tail + p->len, p->crc, &row);
	pthread_mutex_unlock(&j->mu);
	if (!p->prepared)
		goto out;
	if (err == 0)
		err = kv_put_untapped(t, slice_str(row_key), buf_slice(&row));
	if (err == 0 || err == ERR_AGAIN)
		goto out;
	log_msg(
	    LOG_LVL_WARN, "journal", "dropped, the next backup takes all rows: %s", err_name(err));
	p->drops = true;
	err = kv_del_untapped(t, slice_str(row_key));
	if (err == ERR_NOTFOUND)
		err = 0;
out:
	buf_done(&row);
	return err;
}

static void
bodies_tell(struct journal *j, struct slice s)
{
	while (s.len >= 8) {
		uint32_t n[2] = {0, 0};

		for (size_t i = 0; i < 8; i++)
			n[i / 4] = n[i / 4] << 8 | s.ptr[i];
		j->o.body(j->o.arg, slice_sub(s, 8, n[0]), slice_sub(s, 8 + (size_t)n[0], n[1]));
		s = slice_from(s, 8 + (size_t)n[0] + n[1]);
	}
}

static void
tap_end(void *arg, void *tapped, int err, bool synced)
{
	struct journal *j = arg;
	struct tapped *p = tapped;

	if (err == 0)
		bodies_tell(j, buf_slice(&p->bodies));
	pthread_mutex_lock(&j->mu);
	if (!p->recorded)
		j->untapped--;
	if (p->prepared) {
		j->settling = false;
		if (err == 0 && p->drops) {
			drop(j);
		} else if (err == 0) {
			j->tail += p->len;
			j->crc = p->crc;
			p->synced = synced;
		}
		/* a record whose commit failed is written over by the next one */
	}
	if (p->synced) { /* and with it whatever was committed before */
		j->st.end = j->tail;
		j->st.at_us = p->at_us;
	}
	pthread_cond_broadcast(&j->wake);
	if (p->recorded && j->spare.alloc == 0 && p->rec.alloc <= SPARE_MAX) {
		j->spare = p->rec;
		buf_init(&p->rec, 0);
	}
	pthread_mutex_unlock(&j->mu);
	buf_done(&p->rec);
	buf_done(&p->bodies);
	free(p);
}

/* ---- opening ---- */

static int
by_start(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static int
files_list(struct journal *j)
{
	int fd = openat(j->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return err_from_errno(errno);
	}
	while (err == 0 && (e = readdir(d)) != NULL) {
		unsigned char num[8];
		uint64_t start = 0;
		struct stat st;
		int f = -1;

		if (strncmp(e->d_name, "j-", 2) != 0 ||
		    hex_decode(slice_str(e->d_name + 2), num, sizeof num) != 0)
			continue;
		for (size_t i = 0; i < sizeof num; i++)
			start = start << 8 | num[i];
		if ((err = file_open(j, start, O_RDWR, &f)) != 0)
			break;
		if (fstat(f, &st) != 0 ||
		    (err = file_add(j, start, (uint64_t)st.st_size, f)) != 0) {
			close(f);
			err = err != 0 ? err : ERR_IO;
		}
	}
	closedir(d);
	if (j->n_files > 1)
		qsort(j->files, j->n_files, sizeof *j->files, by_start);
	return err;
}

/* Whether the records of the file end exactly at end, the last with this CRC. */
static int
file_check(const struct file *f, uint64_t end, uint32_t crc, int64_t *at_out)
{
	unsigned char head[BACKUP_REC_HEAD];
	struct backup_head h = {.crc = 0};
	uint64_t at = f->start;
	struct buf b;
	int err = 0;

	buf_init(&b, BACKUP_REC_MAX);
	for (bool first = true; at < end && err == 0; first = false) {
		uint32_t before = h.crc;
		unsigned char *p;

		err = pread(f->fd, head, sizeof head, (off_t)(at - f->start)) == sizeof head
			  ? backup_head_read(slice_of(head, sizeof head), &h)
			  : ERR_CORRUPT;
		if (err == 0 && ((!first && h.before != before) || h.len > end - at))
			err = ERR_CORRUPT;
		buf_reset(&b);
		p = err == 0 ? buf_reserve(&b, (size_t)h.len + 1) : NULL;
		if (p == NULL ||
		    pread(f->fd, p, h.len, (off_t)(at - f->start + sizeof head)) !=
			(ssize_t)h.len ||
		    backup_rec_check(slice_of(head, sizeof head), slice_of(p, h.len)) != 0)
			err = ERR_CORRUPT;
		at += sizeof head + h.len;
	}
	buf_done(&b);
	*at_out = h.at_us;
	return err == 0 && at == end && h.crc == crc ? 0 : ERR_CORRUPT;
}

/* Whether the files hold exactly what the row says. Older files were synced before newer ones were begun: their lengths say enough. */
static int
files_fit(struct journal *j)
{
	struct file *last;

	/* begun for a record that was never committed */
	while (j->n_files > 0 && j->files[j->n_files - 1].start >= j->st.end) {
		char name[24];

		last = &j->files[--j->n_files];
		file_name(last->start, name);
		close(last->fd);
		unlinkat(j->dir_fd, name, 0);
	}
	if (j->n_files == 0)
		return ERR_CORRUPT;
	for (size_t i = 0; i + 1 < j->n_files; i++)
		if (j->files[i].start + j->files[i].size != j->files[i + 1].start)
			return ERR_CORRUPT;
	last = &j->files[j->n_files - 1];
	if (last->start + last->size < j->st.end)
		return ERR_CORRUPT;
	if (ftruncate(last->fd, (off_t)(j->st.end - last->start)) != 0)
		return err_from_errno(errno);
	j->st.first = j->files[0].start;
	return file_check(last, j->st.end, j->crc, &j->st.at_us);
}

static int
row_remove(struct journal *j)
{
	struct kv_txn *t;
	int err = kv_begin(j->kv, &t);

	if (err != 0)
		return err;
	err = kv_del(t, slice_str(row_key));
	if (err == 0)
		return kv_commit(t, true);
	kv_abort(t);
	return err == ERR_NOTFOUND ? 0 : err;
}

static int
resume(struct journal *j)
{
	struct buf row;
	int err;

	buf_init(&row, ROW_LEN);
	err = kv_get(j->kv, NULL, slice_str(row_key), &row);
	if (err == 0 || err == ERR_LIMIT) {
		err = err != 0 ? err : row_decode(buf_slice(&row), &j->st, &j->crc);
		j->tail = j->st.end;
		if (err == 0 && (err = files_list(j)) == 0)
			err = files_fit(j);
		if (err != 0)
			log_msg(LOG_LVL_INFO, "journal",
			    "not whole after a power cut: the next backup takes all rows");
		j->on = err == 0;
	}
	if (!j->on) {
		drop(j);
		err = row_remove(j);
	}
	buf_done(&row);
	return err;
}

int
journal_open(struct kv *kv, const struct journal_options *o, struct journal **j_out)
{
	struct journal *j = xcalloc(1, sizeof *j);
	int err = 0;

	j->kv = kv;
	j->o = *o;
	j->tap = (struct kv_tap){j, tap_begin, tap_change, tap_commit, tap_end};
	j->asked = now_us() / 1000000;
	pthread_mutex_init(&j->mu, NULL);
	pthread_cond_init(&j->wake, NULL);
	buf_init(&j->spare, BACKUP_REC_HEAD + BACKUP_REC_MAX);
	if (mkdir(o->dir, 0700) != 0 && errno != EEXIST)
		err = err_from_errno(errno);
	j->dir_fd = open(o->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (err == 0 && j->dir_fd < 0)
		err = err_from_errno(errno);
	if (err == 0)
		err = resume(j);
	if (err != 0) {
		journal_close(j);
		return err;
	}
	kv_set_tap(kv, &j->tap);
	*j_out = j;
	return 0;
}

void
journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	kv_set_tap(j->kv, NULL);
	/* one that ends in good order, and the power after it, costs no backup its place */
	if (j->on && j->n_files > 0)
		(void)fdatasync(j->files[j->n_files - 1].fd);
	files_forget(j);
	free(j->files);
	if (j->dir_fd >= 0)
		close(j->dir_fd);
	buf_done(&j->spare);
	pthread_cond_destroy(&j->wake);
	pthread_mutex_destroy(&j->mu);
	free(j);
}

/* ---- for backups ---- */

int
journal_begin(struct journal *j)
{
	struct timespec until;
	struct kv_txn *t;
	bool was_on;
	int err = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += BEGIN_WAIT_S;
	pthread_mutex_lock(&j->mu);
	j->asked = now_us() / 1000000;
	was_on = j->on;
	if (!was_on) {
		files_remove(j);
		memset(&j->st, 0, sizeof j->st);
		random_bytes(j->st.epoch, sizeof j->st.epoch);
		j->tail = 0;
		j->crc = 0;
		j->on = true;
	}
	/* also those of somebody who has begun it just now */
	while (j->untapped > 0 && err == 0)
		if (pthread_cond_timedwait(&j->wake, &j->mu, &until) != 0)
			err = ERR_TEMP;
	pthread_mutex_unlock(&j->mu);
	if (err != 0 || was_on)
		return err;
	if ((err = kv_begin(j->kv, &t)) != 0)
		return err;
	((struct tapped *)t->tapped)->forced = true;
	return kv_commit(t, true);
}

int
journal_state_get(struct journal *j, struct journal_state *s_out)
{
	int err = ERR_NOTFOUND;

	pthread_mutex_lock(&j->mu);
	if (j->on) {
		*s_out = j->st;
		j->asked = now_us() / 1000000;
		err = 0;
	}
	pthread_mutex_unlock(&j->mu);
	return err;
}

int
journal_read(struct journal *j, const unsigned char epoch[JOURNAL_EPOCH], uint64_t off,
    uint32_t max, struct buf *out)
{
	const struct file *f = NULL;
	unsigned char *p;
	ssize_t n = 0;
	int err = 0;

	pthread_mutex_lock(&j->mu);
	j->asked = now_us() / 1000000;
	if (!j->on || memcmp(epoch, j->st.epoch, JOURNAL_EPOCH) != 0 || off < j->st.first) {
		err = ERR_GONE;
		goto out;
	}
	if (off >= j->st.end) {
		err = off == j->st.end ? 0 : ERR_RANGE;
		goto out;
	}
	for (size_t i = 0; i < j->n_files && j->files[i].start <= off; i++)
		f = &j->files[i];
	if (f == NULL) {
		err = ERR_GONE;
		goto out;
	}
	if (max > j->st.end - off)
		max = (uint32_t)(j->st.end - off);
	if (f != &j->files[j->n_files - 1] && max > f->start + f->size - off)
		max = (uint32_t)(f->start + f->size - off);
	if ((p = buf_reserve(out, max)) == NULL) {
		err = out->err;
		goto out;
	}
	n = pread(f->fd, p, max, (off_t)(off - f->start));
	err = n < 0 ? err_from_errno(errno) : n == 0 ? ERR_CORRUPT : 0;
	if (n > 0)
		buf_commit(out, (size_t)n);
out:
	pthread_mutex_unlock(&j->mu);
	return err;
}
