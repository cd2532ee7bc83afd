/* ledger_file.c: the audit log's file and its writer thread. Runs in milter-ledger. Invariants: bytes are acknowledged only after
 * pwrite (stage 1) or fdatasync (stage 2) succeeded; a batch that fails leaves the log as it was; after a failed fdatasync
 * nothing is written any more, since the kernel may have dropped what it could not write; the state file is never ahead of the log; what
 * a start believes of what was not synced is written again first. */
#include "config.h"

#include "milter/ledger_file.h"

#include "milter/audit_files.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { STEP = 65536, STATE_TRIES = 5 };

struct ledger_file {
	int fd, state_fd;
	struct audit_chain last; /* of what was acknowledged */
	uint64_t size;
	bool broken;
	bool state_due; /* the state file is synced with its next write */
	/* rotation: the log's folder and name, what its file began with */
	int dir_fd;
	char *base;
	uint64_t first_seq;
	int64_t begun;             /* seconds since 1970; 0: nothing is in it */
	struct audit_chain before; /* the end of the newest closed file */
	/* the loop's side */
	struct loop *loop;
	struct loop_fd *ev;
	int event_fd;
	ledger_batch_fn fn;
	ledger_rotated_fn rotated_fn;
	void *arg;
	/* shared with the thread */
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop, busy, sync, early, rotate, thread_broken;
	struct buf *lines;
	struct audit_chain end;
	int stage, told; /* stages done by the thread, told to the loop */
	int err;
};

static int fail_write, fail_sync, fail_errno; /* tests only */

void
ledger_file_fail(int nth_write, int nth_sync, int en)
{
	fail_write = nth_write;
	fail_sync = nth_sync;
	fail_errno = en;
}

static bool
should_fail(int *counter)
{
	if (*counter == 0 || --*counter > 0)
		return false;
	errno = fail_errno;
	return true;
}

static int
write_at(int fd, const unsigned char *p, size_t n, uint64_t at)
{
	ssize_t k;

	while (n > 0) {
		k = should_fail(&fail_write) ? -1 : pwrite(fd, p, n, (off_t)at);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return err_from_errno(k == 0 ? EIO : errno);
		p += k;
		n -= (size_t)k;
		at += (uint64_t)k;
	}
	return 0;
}

static int
read_at(int fd, unsigned char *p, size_t n, uint64_t at)
{
	while (n > 0) {
		ssize_t k = pread(fd, p, n, (off_t)at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return ERR_IO;
		p += k;
		n -= (size_t)k;
		at += (uint64_t)k;
	}
	return 0;
}

static int
sync_data(int fd)
{
	if (should_fail(&fail_sync))
		return -1;
	return fdatasync(fd);
}

/* In one write, so that it is one state or the other; when it was not, it is synced, before the log goes on. A state that cannot be written is the
 * older one, or none: that weakens the check for truncation, no record, and is a log line. A sync that fails is as the log's: ERR_IO. */
static int
write_state(struct ledger_file *f, const struct audit_chain *last, uint64_t size)
{
	struct audit_state st = {.last = *last, .size = size};
	char text[AUDIT_STATE_LEN + 1];
	ssize_t k = 0;

	audit_state_format(&st, text);
	for (int tries = 0; tries < STATE_TRIES && k >= 0 && k < AUDIT_STATE_LEN; tries++) {
		k = should_fail(&fail_write) ? -1 : pwrite(f->state_fd, text, AUDIT_STATE_LEN, 0);
		if (k < 0 && errno == EINTR)
			k = 0;
		else if (k < AUDIT_STATE_LEN)
			f->state_due = true;
	}
	if (k < AUDIT_STATE_LEN) {
		log_msg(LOG_LVL_ERROR, "ledger_state", "cannot write the state file: %s",
		    k < 0 ? strerror(errno) : "half of it");
		return 0;
	}
	if (f->state_due && sync_data(f->state_fd) != 0)
		return ERR_IO;
	f->state_due = false;
	return 0;
}

/* ---- opening ---- */

/* The last whole line before end, and what stands behind it. line_out is in tail. */
static int
read_tail(int fd, uint64_t end, struct buf *tail, struct slice *line_out, size_t *torn_out)
{
	size_t want = end < AUDIT_LINE_MAX * 2 ? (size_t)end : AUDIT_LINE_MAX * 2;
	unsigned char *room = want > 0 ? buf_reserve(tail, want) : NULL;
	struct slice s;
	size_t from;
	int err;

	*line_out = (struct slice){NULL, 0};
	*torn_out = 0;
	if (want == 0)
		return 0;
	if (room == NULL)
		return ERR_NOMEM;
	if ((err = read_at(fd, room, want, end - want)) != 0)
		return err;
	buf_commit(tail, want);
	s = buf_slice(tail);
	while (s.len > 0 && s.ptr[s.len - 1] != '\n') {
		s.len--;
		++*torn_out;
	}
	if (s.len == 0)
		return 0;
	for (from = s.len - 1; from > 0 && s.ptr[from - 1] != '\n'; from--)
		;
	*line_out = slice_sub(s, from, s.len - 1 - from);
	return 0;
}

/* What stands behind at is no record. */
static int
cut(struct ledger_file *f, uint64_t at, const char *kind, struct ledger_recovery *rec)
{
	unsigned char digest[32], *p = xmalloc(STEP);
	struct sha256 *h = sha256_new();
	int err = 0;

	for (uint64_t i = at; i < f->size && err == 0; i += STEP) {
		size_t n = f->size - i < STEP ? (size_t)(f->size - i) : STEP;

		if ((err = read_at(f->fd, p, n, i)) == 0)
			sha256_update(h, p, n);
	}
	sha256_final(h, digest);
	sha256_free(h);
	free(p);
	if (err != 0)
		return err;
	hex_encode(digest, 32, rec->cut_sha256);
	rec->kind = kind;
	rec->cut = (size_t)(f->size - at);
	f->size = at;
	return ftruncate(f->fd, (off_t)at) == 0 ? 0 : ERR_IO;
}

/* What is read may be in memory alone: after a sync that failed the kernel calls clean what it could not write. Written once more,
 * and synced by who calls, it is on the disk before anything is put on top of it. */
static int
rewrite(struct ledger_file *f)
{
	unsigned char *p = xmalloc(STEP);
	int err = 0;

	for (uint64_t at = 0; at < f->size && err == 0; at += STEP) {
		size_t n = f->size - at < STEP ? (size_t)(f->size - at) : STEP;

		if ((err = read_at(f->fd, p, n, at)) == 0)
			err = write_at(f->fd, p, n, at);
	}
	free(p);
	return err;
}

/* Whether the log has, where the state file says, the record it says: all up to there was synced. */
static int
is_anchored(struct ledger_file *f, const struct audit_state *st, bool *is_out)
{
	struct audit_chain c;
	struct slice line;
	struct buf tail;
	const char *why;
	size_t torn;
	int err;

	*is_out = false;
	if (st->size > f->size)
		return 0;
	if (st->size == 0 && st->last.seq > 0) { /* the file was begun after that record */
		*is_out = f->before.seq == st->last.seq && strcmp(f->before.h, st->last.h) == 0;
		return 0;
	}
	c = f->before;
	buf_init(&tail, 2 * AUDIT_LINE_MAX + 1);
	err = read_tail(f->fd, st->size, &tail, &line, &torn);
	if (err == 0 && torn == 0 &&
	    (line.ptr == NULL || audit_line_parse(line, &c, NULL, &why) == 0))
		*is_out = c.seq == st->last.seq && strcmp(c.h, st->last.h) == 0;
	buf_done(&tail);
	return err;
}

/* Behind what was synced: records that follow one another count, and are written again (see rewrite). A power cut may have left the
 * end of a batch without its middle: from the first line that does not follow nothing counts, and none of it was acknowledged as
 * being on stable storage. */
static int
follow(struct ledger_file *f, const struct audit_state *st, struct ledger_recovery *rec)
{
	struct audit_reader *r = audit_reader_new(f->fd);
	uint64_t at = st->size;
	bool whole = false; /* a whole line that does not follow */
	struct slice line;
	const char *why;
	int err = lseek(f->fd, (off_t)at, SEEK_SET) < 0 ? ERR_IO : 0;

	f->last = st->last;
	while (err == 0 && (err = audit_reader_next(r, &line)) == 0) {
		whole = audit_check_line(&f->last, line, NULL, &why) != 0;
		if (whole)
			break;
		err = write_at(f->fd, line.ptr, line.len + 1, at); /* its LF is behind it */
		at += line.len + 1;
	}
	audit_reader_free(r);
	whole |= err == ERR_LIMIT;
	if (err == ERR_EOF || err == ERR_LIMIT)
		err = 0;
	if (err == 0 && at < f->size)
		err = cut(f, at, whole ? "torn_batch" : "torn_line", rec);
	rec->found_seq = rec->expected_seq = f->last.seq;
	return err;
}

/* There is no state file to go by, or it does not fit: the last line is believed when it is a record. When the state file knows more than the
 * log, or something else, the chain continues from the state's hash: then no restart of ours can make a manipulated log verify. */
static int
guess_end(struct ledger_file *f, const struct audit_state *st, struct ledger_recovery *rec)
{
	struct slice line;
	struct buf tail;
	const char *why = "";
	size_t torn;
	int err;

	buf_init(&tail, 2 * AUDIT_LINE_MAX + 1);
	err = read_tail(f->fd, f->size, &tail, &line, &torn);
	if (err == 0 && line.ptr != NULL && audit_line_parse(line, &f->last, NULL, &why) != 0)
		rec->kind = "bad_last_line";
	if (err == 0 && torn > 0)
		err = cut(f, f->size - torn, "torn_line", rec);
	if (err == 0)
		err = rewrite(f);
	rec->found_seq = rec->expected_seq = f->last.seq;
	if (err == 0 && st != NULL && st->last.seq >= f->last.seq) {
		if (st->last.seq > f->last.seq)
			rec->kind = "missing_records";
		else if (strcmp(st->last.h, f->last.h) != 0)
			rec->kind = "replaced";
		rec->expected_seq = st->last.seq;
		f->last = st->last;
	}
	buf_done(&tail);
	return err;
}

/* Where the chain goes on; what is left behind it is on stable storage. */
static int
find_end(struct ledger_file *f, struct ledger_recovery *rec)
{
	struct audit_state st = {0};
	char text[AUDIT_STATE_LEN];
	bool has_state, anchored = false;
	ssize_t n;
	int err = 0;

	f->last = f->before;
	n = pread(f->state_fd, text, sizeof text, 0);
	if (n < 0)
		return ERR_IO;
	has_state = n > 0 && audit_state_parse(slice_of(text, (size_t)n), &st) == 0;
	if (has_state)
		err = is_anchored(f, &st, &anchored);
	if (err == 0)
		err = anchored ? follow(f, &st, rec) : guess_end(f, has_state ? &st : NULL, rec);
	if (err == 0 && sync_data(f->fd) != 0)
		err = ERR_IO;
	if (err != 0)
		return err;
	/* what comes behind this can be told from it at the next start, also when no later state gets to the disk */
	f->state_due = true;
	return write_state(f, &f->last, f->size);
}

static int
open_one(const char *path, int64_t owner)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);

	if (fd >= 0 && owner >= 0 && geteuid() == 0 && fchown(fd, (uid_t)owner, (gid_t)-1) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The newest closed file: the end of its chain goes on in ours. When it is ours under both names, a rotation was cut off: it is undone. */
static int
read_before(struct ledger_file *f, const char *path)
{
	struct audit_files files;
	struct stat ours, theirs;
	struct slice line;
	struct buf tail;
	const char *why, *newest;
	size_t torn;
	int fd, err;

	audit_chain_init(&f->before);
	err = audit_files_list(path, &files);
	if (err != 0 || files.n < 2)
		goto out;
	newest = files.list[files.n - 2].path;
	fd = open(newest, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &theirs) != 0 || fstat(f->fd, &ours) != 0) {
		err = ERR_IO;
	} else if (theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino) {
		err = unlink(newest) == 0 ? 0 : ERR_IO;
		audit_files_done(&files);
		close(fd);
		return err != 0 ? err : read_before(f, path);
	} else {
		buf_init(&tail, 2 * AUDIT_LINE_MAX + 1);
		err = read_tail(fd, (uint64_t)theirs.st_size, &tail, &line, &torn);
		if (err == 0 && line.ptr != NULL)
			(void)audit_line_parse(line, &f->before, NULL, &why);
		buf_done(&tail);
	}
	if (fd >= 0)
		close(fd);
out:
	audit_files_done(&files);
	return err;
}

/* Number and time of the first record. */
static void
read_begin(struct ledger_file *f)
{
	struct audit_reader *r = audit_reader_new(f->fd);
	struct json *rec = NULL;
	struct audit_chain c;
	struct slice line;
	struct tm tm = {0};
	const char *why;

	f->first_seq = f->last.seq + 1;
	f->begun = 0;
	if (f->size > 0 && lseek(f->fd, 0, SEEK_SET) == 0 && audit_reader_next(r, &line) == 0) {
		f->begun = (int64_t)time(NULL);
		if (audit_line_parse(line, &c, &rec, &why) == 0) {
			f->first_seq = c.seq;
			if (strptime(json_cstr(json_get(rec, "ts")), "%Y-%m-%dT%H:%M:%S", &tm) !=
			    NULL)
				f->begun = (int64_t)timegm(&tm);
		}
		json_free(rec);
	}
	audit_reader_free(r);
}

static int
open_folder(struct ledger_file *f, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL   ? xstrdup(".")
		    : slash == path ? xstrdup("/")
				    : slice_dup(slice_of(path, (size_t)(slash - path)));

	f->base = xstrdup(slash == NULL ? path : slash + 1);
	f->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	return f->dir_fd >= 0 ? 0 : ERR_IO;
}

int
ledger_file_open(
    const char *path, int64_t owner, struct ledger_file **out, struct ledger_recovery *rec)
{
	struct ledger_file *f = xcalloc(1, sizeof *f);
	char *state_path = xmalloc(strlen(path) + sizeof AUDIT_STATE_SUFFIX);
	int err = ERR_IO;
	off_t end;

	memset(rec, 0, sizeof *rec);
	memcpy(state_path, path, strlen(path));
	memcpy(state_path + strlen(path), AUDIT_STATE_SUFFIX, sizeof AUDIT_STATE_SUFFIX);
	f->event_fd = f->dir_fd = -1;
	f->fd = open_one(path, owner);
	f->state_fd = f->fd >= 0 ? open_one(state_path, owner) : -1;
	if (f->state_fd < 0 || open_folder(f, path) != 0)
		goto out;
	if (flock(f->fd, LOCK_EX | LOCK_NB) != 0) {
		err = errno == EWOULDBLOCK ? ERR_EXISTS : ERR_IO;
		goto out;
	}
	end = lseek(f->fd, 0, SEEK_END);
	if (end < 0)
		goto out;
	f->size = (uint64_t)end;
	err = read_before(f, path);
	if (err == 0)
		err = find_end(f, rec);
	if (err == 0 &&
	    fsync(f->dir_fd) != 0) /* a new name is on stable storage only when its folder is */
		err = ERR_IO;
	if (err == 0)
		read_begin(f);
out:
	free(state_path);
	if (err != 0) {
		ledger_file_close(f);
		return err;
	}
	*out = f;
	return 0;
}

const struct audit_chain *
ledger_file_last(const struct ledger_file *f)
{
	return &f->last;
}

uint64_t
ledger_file_size(const struct ledger_file *f)
{
	return f->size;
}

uint64_t
ledger_file_first(const struct ledger_file *f)
{
	return f->first_seq;
}

int64_t
ledger_file_begun(const struct ledger_file *f)
{
	return f->begun;
}

bool
ledger_file_broken(const struct ledger_file *f)
{
	return f->broken;
}

/* ---- the thread ---- */

static void
tell(struct ledger_file *f, int stage, int err)
{
	uint64_t one = 1;

	pthread_mutex_lock(&f->lock);
	f->stage = stage;
	f->err = err;
	pthread_mutex_unlock(&f->lock);
	while (write(f->event_fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

/* What a sync gave. After one that failed it is not known what is on the disk. */
static int
synced(struct ledger_file *f, int ret)
{
	if (ret == 0)
		return 0;
	if (!f->thread_broken)
		log_msg(LOG_LVL_ERROR, "ledger_sync",
		    "a sync of the audit log failed (%s): milter-ledger ends, and begins anew",
		    strerror(errno));
	f->thread_broken = true;
	return ERR_IO;
}

static void
run_batch(struct ledger_file *f, bool sync, bool early)
{
	int err = write_at(f->fd, f->lines->data, f->lines->len, f->size);

	if (err != 0) {
		log_msg(LOG_LVL_ERROR, "ledger_write", "cannot write the audit log: %s",
		    strerror(errno));
		if (ftruncate(f->fd, (off_t)f->size) != 0)
			f->thread_broken = true;
		tell(f, sync ? 2 : 1, err);
		return;
	}
	/* each word wakes the loop: none that nobody waits for */
	if (early || !sync)
		tell(f, 1, 0);
	if (!sync)
		return;
	err = synced(f, sync_data(f->fd));
	if (err == 0)
		err = synced(f, write_state(f, &f->end, f->size + f->lines->len));
	tell(f, 2, err);
}

/* On stable storage, or not at all. */
static int
name_twice(struct ledger_file *f, const char *closed)
{
	if (linkat(f->dir_fd, f->base, f->dir_fd, closed, 0) != 0)
		return ERR_IO;
	if (synced(f, fsync(f->dir_fd)) == 0)
		return 0;
	unlinkat(f->dir_fd, closed, 0);
	return ERR_IO;
}

/* Closes the file under its number and begins an empty one. Cut off anywhere, the log is there under its own name: first the old file gets its
 * second name, and only when that is on stable storage the first one goes to the new file. */
static void
run_rotation(struct ledger_file *f)
{
	struct buf closed, fresh;
	int fd = -1, err = ERR_IO;

	buf_init(&closed, 4096);
	buf_init(&fresh, 4096);
	audit_files_name(f->base, f->first_seq, &closed);
	buf_appendf(&fresh, "%s.new", f->base);
	if (synced(f, sync_data(f->fd)) != 0 || synced(f, write_state(f, &f->last, f->size)) != 0)
		goto out;
	if ((unlinkat(f->dir_fd, buf_cstr(&fresh), 0) != 0 && errno != ENOENT) ||
	    (fd = openat(f->dir_fd, buf_cstr(&fresh),
		 O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640)) < 0 ||
	    flock(fd, LOCK_EX | LOCK_NB) != 0 || synced(f, fsync(fd)) != 0 ||
	    name_twice(f, buf_cstr(&closed)) != 0)
		goto out;
	if (renameat(f->dir_fd, buf_cstr(&fresh), f->dir_fd, f->base) != 0) {
		unlinkat(f->dir_fd, buf_cstr(&closed), 0);
		goto out;
	}
	/* from here the new file is the log */
	close(f->fd);
	f->fd = fd;
	fd = -1;
	f->state_due = true; /* as at a start */
	err = synced(f, fsync(f->dir_fd));
	if (err == 0)
		err = synced(f, write_state(f, &f->last, 0));
out:
	if (err != 0)
		log_msg(LOG_LVL_ERROR, "ledger_rotate",
		    "cannot close the audit log's file as %s: %s", buf_cstr(&closed),
		    strerror(errno));
	if (fd >= 0)
		close(fd);
	buf_done(&closed);
	buf_done(&fresh);
	tell(f, 2, err);
}

static void *
thread_main(void *arg)
{
	struct ledger_file *f = arg;
	bool sync, early, rotate;

	for (;;) {
		pthread_mutex_lock(&f->lock);
		while (!f->stop && !f->busy)
			pthread_cond_wait(&f->wake, &f->lock);
		if (f->stop) {
			pthread_mutex_unlock(&f->lock);
			return NULL;
		}
		f->busy = false;
		sync = f->sync;
		early = f->early;
		rotate = f->rotate;
		pthread_mutex_unlock(&f->lock);
		if (rotate)
			run_rotation(f);
		else
			run_batch(f, sync, early);
	}
}

static void
on_event(void *arg, int events)
{
	struct ledger_file *f = arg;
	int stage, err, last;
	uint64_t n;

	(void)events;
	if (read(f->event_fd, &n, sizeof n) < 0)
		return;
	pthread_mutex_lock(&f->lock);
	stage = f->stage;
	err = f->err;
	last = f->sync ? 2 : 1;
	f->broken |= f->thread_broken;
	pthread_mutex_unlock(&f->lock);
	if (f->rotate && stage == 2) {
		f->rotate = false;
		if (err == 0) {
			f->size = 0;
			f->first_seq = f->last.seq + 1;
			f->begun = 0;
		}
		f->rotated_fn(f->arg, err);
		return;
	}
	if (f->lines == NULL || stage <= f->told)
		return;
	if (err == 0 && f->told < 1)
		f->fn(f->arg, false, 0);
	f->told = stage;
	if (stage < last)
		return;
	if (err == 0) {
		if (f->begun == 0 && f->lines->len > 0)
			f->begun = (int64_t)time(NULL);
		f->size += f->lines->len;
		f->last = f->end;
	}
	buf_reset(f->lines);
	f->lines = NULL;
	f->fn(f->arg, true, err);
}

int
ledger_file_start(struct ledger_file *f, struct loop *l, ledger_batch_fn fn, void *arg)
{
	f->loop = l;
	f->fn = fn;
	f->arg = arg;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->wake, NULL);
	f->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->event_fd < 0 || pthread_create(&f->thread, NULL, thread_main, f) != 0)
		return ERR_IO;
	f->has_thread = true;
	f->ev = loop_fd_new(l, f->event_fd, on_event, f);
	loop_fd_want(f->ev, LOOP_READ);
	return 0;
}

void
ledger_file_write(
    struct ledger_file *f, struct buf *lines, const struct audit_chain *end, bool sync, bool early)
{
	f->told = 0;
	pthread_mutex_lock(&f->lock);
	f->stage = 0;
	f->err = 0;
	f->lines = lines;
	f->end = *end;
	f->sync = sync;
	f->early = early;
	f->busy = true;
	pthread_cond_signal(&f->wake);
	pthread_mutex_unlock(&f->lock);
}

void
ledger_file_rotate(struct ledger_file *f, ledger_rotated_fn fn)
{
	f->rotated_fn = fn;
	pthread_mutex_lock(&f->lock);
	f->stage = 0;
	f->err = 0;
	f->rotate = f->busy = true;
	pthread_cond_signal(&f->wake);
	pthread_mutex_unlock(&f->lock);
}

void
ledger_file_close(struct ledger_file *f)
{
	if (f == NULL)
		return;
	if (f->has_thread) {
		pthread_mutex_lock(&f->lock);
		f->stop = true;
		pthread_cond_signal(&f->wake);
		pthread_mutex_unlock(&f->lock);
		pthread_join(f->thread, NULL);
	}
	loop_fd_free(f->ev);
	if (f->event_fd >= 0)
		close(f->event_fd);
	if (f->dir_fd >= 0)
		close(f->dir_fd);
	if (f->state_fd >= 0)
		close(f->state_fd);
	if (f->fd >= 0)
		close(f->fd);
	free(f->base);
	free(f);
}
