/* import_files.c: folders of files as mail of an import: a Maildir (Maildir++, or folders in folders), a tree of EML files, mbox files in folders; and which
 * of them a place is. Runs in congvu. */
#include "config.h"

#include "admin/import_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/import_list.h"
#include "admin/maildir.h"
#include "lib/crypto.h"
#include "lib/date.h"
#include "lib/err.h"
#include "lib/hdr.h"
#include "lib/log.h"
#include "store/store_client.h"

enum {
	DEPTH_MAX = 30,
	FOLDERS_MAX = 20000, /* of one folder, listed at a time */
	PIECE = 65536,
	HEADER_MAX = 65536,
	LOOKED_UP_MAX = 200, /* files of a folder that were renamed between listing and reading */
	GUESS_MAX = 2000,
};

/* ---- what all have in common ---- */

char *
import_path(const char *path, const char *name)
{
	struct buf b;
	char *out;

	buf_init(&b, 1 << 20);
	if (path[0] != '\0')
		buf_appendf(&b, "%s/", path);
	buf_append_str(&b, name);
	out = xstrdup(buf_cstr(&b));
	buf_done(&b);
	return out;
}

void
import_id_make(struct import_msg *m, char kind, const char *box, struct slice identity)
{
	struct sha256 *h = sha256_new();
	unsigned char digest[32];
	char begin[] = "congvu import 1 ?";

	begin[sizeof begin - 2] = kind;
	sha256_update(h, begin, sizeof begin);
	sha256_update(h, box, strlen(box) + 1);
	sha256_update(h, identity.ptr, identity.len);
	sha256_update(h, "", 1);
	sha256_update(h, m->sha256, sizeof m->sha256);
	sha256_final(h, digest);
	sha256_free(h);
	memcpy(m->id, digest, sizeof m->id);
}

int
import_msg_give(struct import_source *s, struct import_msg *m)
{
	const char *why = NULL;

	if (m->err == ERR_LIMIT)
		why = "too_large";
	else if (m->err == ERR_SYNTAX)
		why = "nul";
	else if (m->err != 0)
		why = "unreadable";
	else if (spool_size(m->spool) == 0)
		why = "empty";
	if (why == NULL)
		return s->msg_take(s->arg, m);
	s->refused(s->arg, m->where, why, 0);
	import_msg_free(m);
	return 0;
}

int
import_file_open(struct import_source *s, int dir, const char *name, const char *where)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	if (fd >= 0 || errno == ELOOP || errno == ENXIO)
		s->refused(s->arg, where, fd < 0 && errno == ELOOP ? "symlink" : "not_a_file", 0);
	else
		s->refused(s->arg, where, "unreadable", errno);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* A folder below dir; -1 when it is none, or a link or not to be read, which is told. s NULL: nothing is told. */
static int
folder_open(struct import_source *s, int dir, const char *name, const char *where)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), sys = errno;
	struct stat st;

	if (fd >= 0 || s == NULL || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return fd;
	if (S_ISLNK(st.st_mode))
		s->refused(s->arg, where, "symlink", 0);
	else if (S_ISDIR(st.st_mode))
		s->refused(s->arg, where, "unreadable", sys);
	return -1;
}

static int
file_add(struct import_source *s, struct import_msg *m, int fd, const struct stat *st)
{
	static unsigned char piece[PIECE];
	ssize_t n = 0;

	if ((uint64_t)st->st_size > s->size_max)
		m->err = ERR_LIMIT;
	while (m->err == 0 && (n = read(fd, piece, sizeof piece)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_IO;
		import_msg_add(m, slice_of(piece, (size_t)n), true);
	}
	return 0;
}

/* Reads a file that is open. NULL after it was refused. Takes where. */
static struct import_msg *
file_message(struct import_source *s, int fd, char *where, struct stat *st)
{
	struct import_msg *m = import_msg_new(s->size_max);

	m->where = where;
	if (fstat(fd, st) != 0 || file_add(s, m, fd, st) != 0) {
		s->refused(s->arg, where, "unreadable", errno);
		import_msg_free(m);
		return NULL;
	}
	(void)import_msg_end(m);
	return m;
}

static bool
take_folder(void *arg, const char *name, uint64_t *key, size_t *base)
{
	(void)arg;
	(void)key;
	(void)base;
	return name[0] != '.';
}

/* The name of a mailbox below another one: 0, or refused. */
static int
box_below(
    struct import_source *s, const char *box, const char *level, const char *where, struct buf *out)
{
	int err;

	buf_append_str(out, box);
	err = maildir_level_name(slice_str(level), out);
	if (err != 0)
		s->refused(s->arg, where, "folder_name", 0);
	return err;
}

/* ---- Maildir ---- */

struct maildir {
	struct import_source *s;
	const char *path, *box;
	int fd, in[2]; /* "new", "cur" */
	struct maildir_keywords keywords;
	unsigned looked_up;
};

static bool
take_message(void *arg, const char *name, uint64_t *key, size_t *base)
{
	struct maildir_name n;

	(void)arg;
	if (name[0] == '.')
		return false;
	n = maildir_name_parse(slice_str(name));
	*key = n.time;
	*base = n.base.len;
	return true;
}

struct renamed {
	const struct import_entry *e;
	char *name;
};

static bool
take_renamed(void *arg, const char *name, uint64_t *key, size_t *base)
{
	struct renamed *k = arg;

	if (take_message(NULL, name, key, base) && *base == k->e->base &&
	    memcmp(name, k->e->name, *base) == 0) {
		free(k->name);
		k->name = xstrdup(name);
	}
	return false;
}

/* The mail client was there first: a message has other flags now, or went from "new" to "cur". */
static int
renamed_open(struct maildir *d, struct import_entry *e)
{
	struct renamed k = {e, NULL};
	int fd = -1;

	if (d->looked_up++ >= LOOKED_UP_MAX)
		return -1;
	for (unsigned i = 2; i-- > 0 && fd < 0;) {
		(void)import_list_count(&d->in[i], 1, take_renamed, &k);
		if (k.name == NULL)
			continue;
		free(e->name);
		e->name = k.name;
		e->dir = i;
		k.name = NULL;
		fd = openat(
		    d->in[i], e->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	}
	return fd;
}

static void
put_keywords(const struct maildir *d, const struct maildir_name *n, struct buf *out)
{
	if (n->passed)
		buf_append_str(out, "$Forwarded");
	for (unsigned i = 0; i < MAILDIR_KEYWORDS; i++)
		if ((n->keywords & 1u << i) != 0 && d->keywords.name[i] != NULL &&
		    !(n->passed && strcasecmp(d->keywords.name[i], "$Forwarded") == 0)) {
			if (out->len > 0)
				buf_append_byte(out, ' ');
			buf_append_str(out, d->keywords.name[i]);
		}
}

static int
maildir_message(struct maildir *d, struct import_entry *e)
{
	struct import_source *s = d->s;
	char *dir = import_path(d->path, e->dir == 1 ? "cur" : "new");
	char *where = import_path(dir, e->name);
	struct maildir_name n;
	struct import_msg *m;
	struct stat st;
	int fd;

	free(dir);
	fd = faccessat(d->in[e->dir], e->name, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT
		 ? renamed_open(d, e)
		 : import_file_open(s, d->in[e->dir], e->name, where);
	if (fd < 0) {
		if (faccessat(d->in[e->dir], e->name, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
			s->refused(s->arg, where, "vanished", 0);
		free(where);
		return 0;
	}
	m = file_message(s, fd, where, &st);
	close(fd);
	if (m == NULL)
		return 0;
	n = maildir_name_parse(slice_str(e->name));
	m->flags = n.flags;
	put_keywords(d, &n, &m->keywords);
	m->date = st.st_mtime;
	m->zone = date_local_zone(m->date);
	import_id_make(m, 'm', d->box, n.base);
	return import_msg_give(s, m);
}

static void
keywords_read(struct maildir *d)
{
	static unsigned char text[MAILDIR_KEYWORDS_FILE_MAX];
	int fd = openat(
	    d->fd, "dovecot-keywords", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text);

	if (fd >= 0)
		close(fd);
	maildir_keywords_parse(slice_of(text, n > 0 ? (size_t)n : 0), &d->keywords);
}

/* The messages of one mailbox, if the folder is one. */
static int
maildir_box(struct import_source *s, int fd, const char *path, const char *box)
{
	struct maildir d = {.s = s, .path = path, .box = box, .fd = fd};
	struct import_list l;
	int err = 0;

	for (unsigned i = 0; i < 2; i++) {
		static const char *const names[] = {"new", "cur"};
		char *where = import_path(path, names[i]);

		d.in[i] = folder_open(s, fd, names[i], where);
		free(where);
	}
	if (d.in[0] < 0 && d.in[1] < 0)
		return 0;
	err = s->box(s->arg, box);
	if (err == 0) {
		keywords_read(&d);
		import_list_init(&l, IMPORT_LIST_MAX);
		do {
			if (import_list_next(&l, d.in, 2, take_message, &d) != 0)
				s->refused(s->arg, path, "unreadable", errno);
			for (size_t i = 0; i < l.n && err == 0; i++) {
				err = maildir_message(&d, &l.v[i]);
				s->at++;
			}
		} while (l.n > 0 && err == 0);
		import_list_done(&l);
		maildir_keywords_done(&d.keywords);
	}
	for (unsigned i = 0; i < 2; i++)
		if (d.in[i] >= 0)
			close(d.in[i]);
	return err < 0 ? err : 0;
}

static bool
take_maildir(void *arg, const char *name, uint64_t *key, size_t *base)
{
	(void)arg;
	(void)key;
	(void)base;
	return strcmp(name, "cur") != 0 && strcmp(name, "new") != 0 && strcmp(name, "tmp") != 0;
}

static int maildir_tree(
    struct import_source *s, int fd, const char *path, const char *box, unsigned depth);

/* ".Sent" below the root is a mailbox beside INBOX; "Sent" is a level (a layout of folders in folders). */
static int
maildir_child(struct import_source *s, int dir, const char *name, const char *path, const char *box,
    unsigned depth)
{
	char *where = import_path(path, name);
	int fd = folder_open(s, dir, name, where), err = 0;
	struct buf b;

	buf_init(&b, 8192);
	if (fd >= 0 && name[0] == '.' && depth == 0) {
		if (maildir_folder_name(slice_str(name), &b) != 0)
			s->refused(s->arg, where, "folder_name", 0);
		else
			err = maildir_box(s, fd, where, buf_cstr(&b));
	} else if (fd >= 0 && name[0] != '.') {
		if (depth >= DEPTH_MAX)
			s->refused(s->arg, where, "too_deep", 0);
		else if (box_below(s, box, name, where, &b) == 0)
			err = maildir_tree(s, fd, where, buf_cstr(&b), depth + 1);
	}
	if (fd >= 0)
		close(fd);
	buf_done(&b);
	free(where);
	return err;
}

static int
maildir_tree(struct import_source *s, int fd, const char *path, const char *box, unsigned depth)
{
	struct import_list l;
	int err = maildir_box(s, fd, path, depth == 0 ? "INBOX" : box);

	import_list_init(&l, FOLDERS_MAX);
	while (err == 0 && import_list_next(&l, &fd, 1, take_maildir, NULL) == 0 && l.n > 0)
		for (size_t i = 0; i < l.n && err == 0; i++)
			err = maildir_child(s, fd, l.v[i].name, path, box, depth);
	import_list_done(&l);
	return err;
}

/* ---- EML files ---- */

static bool
ends(const char *name, const char *with)
{
	size_t n = strlen(name), w = strlen(with);

	return n > w && strcasecmp(name + n - w, with) == 0;
}

/* ".eml"; ".msg" of MDaemon (Outlook's .msg files are none, and told as such); "123." of Cyrus. */
static bool
is_eml(const char *name)
{
	size_t n = strspn(name, "0123456789");

	return ends(name, ".eml") || ends(name, ".msg") ||
	       (n > 0 && name[n] == '.' && name[n + 1] == '\0');
}

/* The date of the newest Received field, else of Date, else of the file: the first one that may be. */
static void
eml_date(struct import_msg *m, struct slice header, const struct stat *st)
{
	int64_t now = (int64_t)time(NULL), t;
	struct hdr_field f;
	int zone;

	if (hdr_find(header, "Received", 0, &f)) {
		for (size_t i = f.body.len; i-- > 0;)
			if (f.body.ptr[i] == ';') {
				f.body = slice_from(f.body, i + 1);
				break;
			}
		if (date_rfc5322_parse(f.body, &t, &zone) == 0 && t > 0 && t < now + 86400) {
			m->date = t;
			m->zone = zone;
			return;
		}
	}
	if (hdr_find(header, "Date", 0, &f) && date_rfc5322_parse(f.body, &t, &zone) == 0 &&
	    t > 0 && t < now + 86400) {
		m->date = t;
		m->zone = zone;
		return;
	}
	m->date = st->st_mtime;
	m->zone = date_local_zone(m->date);
}

static int
eml_message(struct import_source *s, int fd, const char *path, const char *name, const char *box)
{
	static unsigned char text[HEADER_MAX];
	struct import_msg *m;
	struct hdr_field f;
	struct slice header, rest;
	struct stat st;
	int64_t n;

	m = file_message(s, fd, xstrdup(path), &st);
	if (m == NULL)
		return 0;
	n = m->err != 0 ? 0 : spool_read(m->spool, 0, sizeof text, text);
	header = slice_of(text, n > 0 ? (size_t)n : 0);
	rest = header = slice_sub(header, 0, hdr_body_offset(header));
	if (m->err == 0 && header.len > 0 && hdr_next(&rest, &f) != 0) {
		s->refused(s->arg, path, "not_a_message", 0);
		import_msg_free(m);
		return 0;
	}
	eml_date(m, header, &st);
	import_id_make(m, 'e', box, slice_str(name));
	return import_msg_give(s, m);
}

/* ---- trees of EML files and of mbox files ---- */

struct tree {
	struct import_source *s;
	int fd;
	const char *path, *box;
	unsigned depth;
};

static int tree_read(const struct tree *t, bool folders);

/* The name of the level without what programs add to it: "Sent.mbox", Thunderbird's "Archive.sbd" beside "Archive". */
static char *
level_of(const struct import_source *s, const char *name)
{
	size_t n = strlen(name);

	if (s->format == IMPORT_MBOX && (ends(name, ".mbox") || ends(name, ".mbx")))
		n -= ends(name, ".mbox") ? 5 : 4;
	else if (s->format == IMPORT_MBOX && ends(name, ".sbd"))
		n -= 4;
	return slice_dup(slice_of(name, n));
}

static int
tree_folder(const struct tree *t, int fd, const char *name, const char *where)
{
	struct tree below = {.s = t->s, .fd = fd, .path = where, .depth = t->depth + 1};
	char *level = level_of(t->s, name);
	struct buf b;
	int err = 0;

	buf_init(&b, 8192);
	if (t->depth == 0 && strcasecmp(level, "inbox") == 0)
		buf_append_str(&b, "INBOX");
	else
		err = box_below(t->s, t->box, level, where, &b);
	free(level);
	below.box = buf_cstr(&b);
	if (err == 0 && t->depth >= DEPTH_MAX)
		t->s->refused(t->s->arg, where, "too_deep", 0);
	else if (err == 0)
		err = t->s->format == IMPORT_EML ? t->s->box(t->s->arg, below.box) : 0;
	else
		err = 1;
	if (err == 0) {
		err = tree_read(&below, false);
		if (err == 0)
			err = tree_read(&below, true);
	}
	buf_done(&b);
	return err < 0 ? err : 0;
}

static int
tree_mbox(const struct tree *t, int fd, const char *name, const char *where)
{
	char *level = level_of(t->s, name);
	struct buf b;
	int err = 0;

	buf_init(&b, 8192);
	if (!import_is_mbox(fd))
		t->s->passed(t->s->arg);
	else if (t->depth == 0 && strcasecmp(level, "inbox") == 0)
		err = buf_append_str(&b, "INBOX");
	else
		err = box_below(t->s, t->box, level, where, &b) != 0 ? 1 : 0;
	free(level);
	if (err == 0 && b.len > 0)
		err = t->s->box(t->s->arg, buf_cstr(&b));
	if (err == 0 && b.len > 0)
		err = import_mbox_file(t->s, fd, where, buf_cstr(&b));
	buf_done(&b);
	return err < 0 ? err : 0;
}

/* folders: those below; else the files. */
static int
tree_one(const struct tree *t, const char *name, bool folders)
{
	struct import_source *s = t->s;
	char *where = import_path(t->path, name);
	struct stat st;
	int fd = -1, err = 0;

	if (fstatat(t->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		if (!folders)
			s->refused(
			    s->arg, where, errno == ENOENT ? "vanished" : "unreadable", errno);
	} else if (S_ISDIR(st.st_mode)) {
		fd = folders ? folder_open(s, t->fd, name, where) : -1;
		if (fd >= 0)
			err = tree_folder(t, fd, name, where);
	} else if (!folders && s->format == IMPORT_EML && !is_eml(name)) {
		s->passed(s->arg);
	} else if (!folders) {
		fd = import_file_open(s, t->fd, name, where);
		if (fd >= 0 && s->format == IMPORT_EML)
			err = eml_message(s, fd, where, name, t->box);
		else if (fd >= 0)
			err = tree_mbox(t, fd, name, where);
		s->at += s->format == IMPORT_EML;
	}
	if (fd >= 0)
		close(fd);
	free(where);
	return err;
}

static int
tree_read(const struct tree *t, bool folders)
{
	struct import_list l;
	int err = 0;

	import_list_init(&l, folders ? FOLDERS_MAX : IMPORT_LIST_MAX);
	do {
		if (import_list_next(&l, &t->fd, 1, take_folder, NULL) != 0 && !folders)
			t->s->refused(t->s->arg, t->path, "unreadable", errno);
		for (size_t i = 0; i < l.n && err == 0; i++)
			err = tree_one(t, l.v[i].name, folders);
	} while (l.n > 0 && err == 0);
	import_list_done(&l);
	return err;
}

/* ---- what it is, and how much ---- */

static bool
take_guess(void *arg, const char *name, uint64_t *key, size_t *base)
{
	(void)arg;
	(void)key;
	(void)base;
	return name[0] != '.';
}

static enum import_format
guess_tree(int fd, unsigned depth, unsigned *left)
{
	enum import_format f = IMPORT_GUESS;
	struct import_list l;
	struct stat st;

	import_list_init(&l, GUESS_MAX);
	(void)import_list_next(&l, &fd, 1, take_guess, NULL);
	for (size_t i = 0; i < l.n && f == IMPORT_GUESS && *left > 0; i++, --*left) {
		const char *name = l.v[i].name;
		int below;

		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (S_ISREG(st.st_mode) && is_eml(name))
			f = IMPORT_EML;
		below = openat(fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
		if (below < 0)
			continue;
		if (f == IMPORT_GUESS && S_ISREG(st.st_mode) && import_is_mbox(below))
			f = IMPORT_MBOX;
		else if (S_ISDIR(st.st_mode) && strcmp(name, "cur") == 0)
			f = IMPORT_MAILDIR;
		else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			f = guess_tree(below, depth + 1, left);
		close(below);
	}
	import_list_done(&l);
	return f;
}

enum import_format
import_source_guess(int fd)
{
	unsigned left = GUESS_MAX;
	struct stat st;

	if (fstat(fd, &st) != 0)
		return IMPORT_GUESS;
	if (S_ISREG(st.st_mode))
		return import_is_mbox(fd) ? IMPORT_MBOX : IMPORT_EML;
	if (faccessat(fd, "cur", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return IMPORT_MAILDIR;
	return S_ISDIR(st.st_mode) ? guess_tree(fd, 0, &left) : IMPORT_GUESS;
}

struct counting {
	struct import_source *s;
	int fd;
	unsigned depth;
	bool in_box; /* the files of "cur" and "new" */
};

static bool
take_count(void *arg, const char *name, uint64_t *key, size_t *base)
{
	const struct counting *k = arg;
	struct import_source *s = k->s;
	struct counting below = {.s = s, .depth = k->depth + 1};
	struct stat st;

	(void)key;
	(void)base;
	if (k->in_box) {
		s->total += name[0] != '.';
		return false;
	}
	if (s->format == IMPORT_EML && is_eml(name) && name[0] != '.') {
		s->total++; /* without a look at each */
		return false;
	}
	if ((name[0] == '.' && s->format != IMPORT_MAILDIR) || k->depth > DEPTH_MAX ||
	    fstatat(k->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	if (S_ISREG(st.st_mode) && s->format == IMPORT_MBOX)
		s->total += (uint64_t)st.st_size;
	if (!S_ISDIR(st.st_mode) || (below.fd = folder_open(NULL, k->fd, name, "")) < 0)
		return false;
	below.in_box =
	    s->format == IMPORT_MAILDIR && (strcmp(name, "cur") == 0 || strcmp(name, "new") == 0);
	(void)import_list_count(&below.fd, 1, take_count, &below);
	close(below.fd);
	return false;
}

void
import_source_count(struct import_source *s)
{
	struct counting k = {.s = s, .fd = s->fd};
	struct stat st;

	s->total = 0;
	s->in_octets = s->format == IMPORT_MBOX;
	if (fstat(s->fd, &st) != 0)
		return;
	if (S_ISREG(st.st_mode))
		s->total = s->in_octets ? (uint64_t)st.st_size : 1;
	else if (S_ISDIR(st.st_mode))
		(void)import_list_count(&s->fd, 1, take_count, &k);
}

int
import_source_read(struct import_source *s)
{
	struct tree t = {.s = s, .fd = s->fd, .path = "", .box = ""};
	struct stat st;
	int err;

	s->at = 0;
	if (fstat(s->fd, &st) != 0)
		return ERR_IO;
	if (S_ISREG(st.st_mode) && (s->format == IMPORT_MBOX || s->format == IMPORT_EML)) {
		err = s->box(s->arg, "");
		if (err == 0 && s->format == IMPORT_MBOX)
			err = import_mbox_file(s, s->fd, "", "");
		else if (err == 0)
			err = eml_message(s, s->fd, "", "", "");
		return err < 0 ? err : 0;
	}
	if (!S_ISDIR(st.st_mode) || s->format == IMPORT_GUESS)
		return ERR_UNSUPPORTED;
	if (s->format == IMPORT_MAILDIR)
		return maildir_tree(s, s->fd, "", "", 0);
	/* what lies in the place itself has no name of its own: INBOX, of EML files */
	err = s->format == IMPORT_EML ? s->box(s->arg, "INBOX") : 0;
	t.box = "";
	if (err == 0) {
		t.box = s->format == IMPORT_EML ? "INBOX" : "";
		err = tree_read(&t, false);
		t.box = "";
	}
	if (err >= 0)
		err = tree_read(&t, true);
	return err < 0 ? err : 0;
}
