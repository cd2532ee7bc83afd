/* dir_journal.c: dir_journal.h. Runs in congvu. A line is synced before the directory is written; a line cut off by a crash was never followed by a
 * write, and is dropped before the next one. */
#include "config.h"

#include "admin/dir_journal.h"

#include "lib/err.h"
#include "lib/log.h"
#include "lib/rw.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <libintl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_S = 30, LINE_MAX_BYTES = AUDIT_LINE_MAX + 1 };

struct dir_journal {
	struct dir_admin_journal hooks;
	char *path, *state_path, host[128];
	int fd, state_fd;
	struct audit_chain chain;
	uint64_t size;
	struct audit_chain synced_chain; /* as of the last sync */
	uint64_t synced;
};

static int
fail(char **why_out, int err, const char *path, const char *what)
{
	if (asprintf(why_out, gettext("the journal %s: %s: nothing is changed without it"), path,
		what) < 0)
		*why_out = NULL;
	return err;
}

/* The folder of a path is made durable with what was made in it. */
static int
folder_sync(const char *path)
{
	char *copy = xstrdup(path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = fd < 0 || fsync(fd) != 0 ? ERR_IO : 0;

	if (fd >= 0)
		close(fd);
	free(copy);
	return err;
}

static int
open_file(const char *path, int *fd_out)
{
	char *copy = xstrdup(path), *folder = dirname(copy), *slash = strrchr(folder, '/');
	int fd, err = 0;

	/* At the first change of a new site neither it nor the folder of all data is there. There, or the open says why not. */
	if (slash != NULL && slash != folder) {
		*slash = '\0';
		(void)mkdir(folder, 0711);
		*slash = '/';
	}
	(void)mkdir(folder, 0700);
	free(copy);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || folder_sync(path) != 0)
		err = ERR_IO;
	if (err != 0 && fd >= 0)
		close(fd);
	if (err == 0)
		*fd_out = fd;
	return err;
}

static int
lock_file(int fd)
{
	struct timespec nap = {0, 50 * 1000000};

	for (int i = 0; i < WAIT_S * 20; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return ERR_IO;
		nanosleep(&nap, NULL);
	}
	return ERR_TEMP;
}

/* The last whole line: *from its first byte, *to behind its line end; equal when there is none. */
static int
last_line(int fd, uint64_t size, struct buf *line, uint64_t *to)
{
	uint64_t want = size < LINE_MAX_BYTES * 2 ? size : LINE_MAX_BYTES * 2;
	unsigned char *p = xcalloc(1, want + 1);
	ssize_t n = pread(fd, p, want, (off_t)(size - want));
	size_t end, begin;

	if (n != (ssize_t)want) {
		free(p);
		return ERR_IO;
	}
	for (end = want; end > 0 && p[end - 1] != '\n'; end--)
		;
	for (begin = end > 0 ? end - 1 : 0; begin > 0 && p[begin - 1] != '\n'; begin--)
		;
	*to = size - want + end;
	if (end > 0)
		buf_append(line, p + begin, end - 1 - begin);
	free(p);
	return line->err;
}

/* What the state file says; false: there is none. */
static bool
state_read(int fd, struct audit_state *s)
{
	char text[AUDIT_STATE_LEN];

	return pread(fd, text, sizeof(text), 0) == (ssize_t)sizeof(text) &&
	       audit_state_parse(slice_of(text, sizeof(text)), s) == 0;
}

static void
state_write(struct dir_journal *j)
{
	struct audit_state s = {j->chain, j->size};
	char text[AUDIT_STATE_LEN + 1];

	audit_state_format(&s, text);
	/* behind the journal at worst: it need not be durable */
	if (pwrite(j->state_fd, text, AUDIT_STATE_LEN, 0) != AUDIT_STATE_LEN)
		log_msg(LOG_LVL_WARN, "directory_journal", "the state file was not written");
}

static int
find_end(struct dir_journal *j, char **why_out)
{
	struct audit_state s;
	const char *why = "";
	struct stat st;
	struct buf line;
	uint64_t to = 0;
	int err = fstat(j->fd, &st) != 0 ? ERR_IO : 0;

	buf_init(&line, LINE_MAX_BYTES);
	audit_chain_init(&j->chain);
	if (err == 0)
		err = last_line(j->fd, (uint64_t)st.st_size, &line, &to);
	if (err != 0) {
		err = fail(why_out, err, j->path, strerror(errno));
	} else if (line.len > 0 && audit_line_parse(buf_slice(&line), &j->chain, NULL, &why) != 0) {
		err = fail(why_out, ERR_CORRUPT, j->path, why);
	} else if (state_read(j->state_fd, &s) &&
		   (s.size > to || (s.size == to && strcmp(s.last.h, j->chain.h) != 0))) {
		err = fail(why_out, ERR_CORRUPT, j->path,
		    gettext("it was cut or replaced (congvu directory journal verify)"));
	} else if (to < (uint64_t)st.st_size && ftruncate(j->fd, (off_t)to) != 0) {
		err = fail(why_out, ERR_IO, j->path, strerror(errno));
	}
	j->size = j->synced = to;
	j->synced_chain = j->chain;
	buf_done(&line);
	return err;
}

static void
journal_close(void *arg)
{
	struct dir_journal *j = arg;

	if (j->fd >= 0)
		close(j->fd); /* and with it the lock */
	if (j->state_fd >= 0)
		close(j->state_fd);
	j->fd = j->state_fd = -1;
}

static int
journal_begin(void *arg, char **why_out)
{
	struct dir_journal *j = arg;
	int err = open_file(j->path, &j->fd);

	if (err == 0)
		err = open_file(j->state_path, &j->state_fd);
	if (err != 0)
		err = fail(why_out, err, j->path, strerror(errno));
	else if ((err = lock_file(j->fd)) != 0)
		err = fail(why_out, err, j->path,
		    err == ERR_TEMP ? gettext("another change goes on") : strerror(errno));
	if (err == 0)
		err = find_end(j, why_out);
	if (err != 0)
		journal_close(j);
	return err;
}

/* What was not acknowledged may not stand there, and not half. */
static void
drop_unsynced(struct dir_journal *j)
{
	j->chain = j->synced_chain;
	j->size = j->synced;
	if (ftruncate(j->fd, (off_t)j->size) != 0)
		log_msg(LOG_LVL_WARN, "directory_journal", "half a line was left");
}

static int
journal_sync(void *arg, char **why_out)
{
	struct dir_journal *j = arg;
	int saved;

	if (fdatasync(j->fd) == 0) {
		j->synced = j->size;
		j->synced_chain = j->chain;
		state_write(j);
		return 0;
	}
	saved = errno;
	drop_unsynced(j);
	return fail(why_out, ERR_IO, j->path, strerror(saved));
}

static int
journal_put(void *arg, struct json *rec, char **why_out)
{
	struct dir_journal *j = arg;
	struct audit_chain chain = j->chain;
	time_t now = time(NULL);
	struct buf line;
	struct tm tm;
	char ts[40];
	int err;

	gmtime_r(&now, &tm);
	strftime(ts, sizeof(ts), "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_init(&line, LINE_MAX_BYTES);
	err = audit_seal(&chain, rec, ts, j->host, &line);
	json_free(rec);
	if (err == 0)
		err = rw_write_at(j->fd, line.data, line.len, j->size);
	if (err == 0) {
		j->chain = chain;
		j->size += line.len;
	} else {
		int saved = errno;

		drop_unsynced(j);
		err = fail(why_out, err, j->path,
		    err == ERR_LIMIT ? gettext("the change is too large") : strerror(saved));
	}
	buf_done(&line);
	return err;
}

static int
journal_write(void *arg, struct json *rec, char **why_out)
{
	int err = journal_put(arg, rec, why_out);

	return err != 0 ? err : journal_sync(arg, why_out);
}

struct dir_journal *
dir_journal_new(const char *path)
{
	struct dir_journal *j = xcalloc(1, sizeof(*j));

	j->hooks = (struct dir_admin_journal){
	    journal_begin, journal_write, journal_close, journal_put, journal_sync, j};
	j->path = xstrdup(path);
	if (asprintf(&j->state_path, "%s" AUDIT_STATE_SUFFIX, path) < 0)
		fatal("out of memory");
	if (gethostname(j->host, sizeof(j->host) - 1) != 0)
		snprintf(j->host, sizeof(j->host), "localhost");
	j->fd = j->state_fd = -1;
	return j;
}

void
dir_journal_free(struct dir_journal *j)
{
	if (j == NULL)
		return;
	journal_close(j);
	free(j->path);
	free(j->state_path);
	free(j);
}

const struct dir_admin_journal *
dir_journal_hooks(struct dir_journal *j)
{
	return &j->hooks;
}

/* ---- reading ---- */

struct open_batches {
	void *root;
	uint64_t n;
};

static int
cmp(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* A write opens its change, the end closes it. */
static void
batch_note(struct open_batches *o, const struct json *rec)
{
	const char *batch = json_cstr(json_get(rec, "batch"));
	char **found = tfind(batch, &o->root, cmp);

	if (json_get(rec, "end") == NULL && found == NULL) {
		if (tsearch(xstrdup(batch), &o->root, cmp) == NULL)
			fatal("out of memory");
		o->n++;
	} else if (json_get(rec, "end") != NULL && found != NULL) {
		char *key = *found;

		tdelete(key, &o->root, cmp);
		free(key);
		o->n--;
	}
}

static void
lines_read(struct audit_reader *r, void (*fn)(void *arg, const struct json *rec), void *arg,
    struct open_batches *open, struct dir_journal_check *out)
{
	struct slice line;
	int err;

	while ((err = audit_reader_next(r, &line)) == 0) {
		struct json *rec = NULL;

		if (audit_check_line(&out->head, line, &rec, &out->why) != 0) {
			out->bad_line = audit_reader_line(r);
			return;
		}
		out->records++;
		batch_note(open, rec);
		if (fn != NULL)
			fn(arg, rec);
		json_free(rec);
	}
	if (err != ERR_EOF) {
		out->bad_line = audit_reader_line(r) + 1;
		out->why = "a line too long, or unreadable";
	}
	out->torn = audit_reader_torn(r);
}

int
dir_journal_read(const char *path, void (*fn)(void *arg, const struct json *rec), void *arg,
    struct dir_journal_check *out)
{
	struct dir_journal_check c = {0};
	struct open_batches open_ones = {0};
	struct audit_state s;
	struct audit_reader *r;
	char *state_path = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC), state_fd;
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? ERR_NOTFOUND : ERR_IO;
	if (asprintf(&state_path, "%s" AUDIT_STATE_SUFFIX, path) < 0)
		fatal("out of memory");
	state_fd = open(state_path, O_RDONLY | O_CLOEXEC);
	audit_chain_init(&c.head);
	r = audit_reader_new(fd);
	lines_read(r, fn, arg, &open_ones, &c);
	audit_reader_free(r);
	c.unfinished = open_ones.n;
	tdestroy(open_ones.root, free);
	if (state_fd >= 0 && state_read(state_fd, &s) && fstat(fd, &st) == 0 && c.bad_line == 0)
		c.is_cut = s.size > (uint64_t)st.st_size - c.torn || s.last.seq > c.head.seq ||
			   (s.last.seq == c.head.seq && strcmp(s.last.h, c.head.h) != 0);
	if (state_fd >= 0)
		close(state_fd);
	close(fd);
	free(state_path);
	*out = c;
	return 0;
}
