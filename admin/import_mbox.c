/* import_mbox.c: an mbox file as mail of an import. Runs in congvu. A message is known by its octets and how many like it stood before it in the file: so
 * what other messages come and go between two runs changes nothing, and copies that are alike all are kept. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/import_source.h"
#include "admin/maildir.h"
#include "lib/date.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/store_client.h"

enum { LOCK_TRIES = 100, LOCK_MS = 100, LIKES_MAX = 1 << 23 };

/* ---- how often octets were met: an open table by 64 bits of their digest, at most 256 MiB ---- */

struct like {
	uint64_t digest; /* 0: free */
	uint32_t n;
};
struct likes {
	struct like *v;
	size_t size, n; /* size: a power of 2 */
};

static struct like *
like_at(const struct likes *l, uint64_t digest)
{
	size_t i = digest & (l->size - 1);

	while (l->v[i].digest != 0 && l->v[i].digest != digest)
		i = (i + 1) & (l->size - 1);
	return &l->v[i];
}

/* How many there were before. Past the bound all count as the first. */
static uint32_t
likes_count(struct likes *l, const unsigned char sha256[32])
{
	struct like *k;
	uint64_t digest;

	memcpy(&digest, sha256, sizeof digest);
	digest |= digest == 0;
	if (l->size == 0 || 3 * l->n > 2 * l->size) {
		struct likes more = {.size = l->size == 0 ? 1024 : 2 * l->size, .n = l->n};

		if (more.size > 2 * (size_t)LIKES_MAX)
			return 0;
		more.v = xcalloc(more.size, sizeof *more.v);
		for (size_t i = 0; i < l->size; i++)
			if (l->v[i].digest != 0)
				*like_at(&more, l->v[i].digest) = l->v[i];
		free(l->v);
		*l = more;
	}
	k = like_at(l, digest);
	if (k->digest == 0) {
		k->digest = digest;
		l->n++;
	}
	return k->n++;
}

/* ---- the file ---- */

struct mbox_run {
	struct import_source *s;
	const char *path, *box;
	int fd;
	uint64_t size;
	struct mboxfile f;
	struct likes likes;
	uint64_t at_before; /* of the source */
};

static int64_t
file_read(void *arg, uint64_t off, void *p, size_t n)
{
	const struct mbox_run *k = arg;
	ssize_t got;

	if (off >= k->size)
		return 0;
	if (n > k->size - off)
		n = (size_t)(k->size - off);
	do
		got = pread(k->fd, p, n, (off_t)off);
	while (got < 0 && errno == EINTR);
	return got < 0 ? ERR_IO : got;
}

static void
take_piece(void *arg, struct slice s)
{
	import_msg_add(arg, s, true);
}

static void
keywords_clean(struct slice rest, struct buf *out)
{
	while (rest.len > 0) {
		size_t n = 0;

		while (n < rest.len && rest.ptr[n] > ' ' && rest.ptr[n] != ',')
			n++;
		if (n > 0 && maildir_keyword_ok(slice_sub(rest, 0, n))) {
			if (out->len > 0)
				buf_append_byte(out, ' ');
			buf_append_slice(out, slice_sub(rest, 0, n));
		}
		rest = slice_from(rest, n < rest.len ? n + 1 : n);
	}
}

static int
one(struct mbox_run *k, struct import_msg *m, const struct mboxfile_msg *msg)
{
	struct buf where, like;
	int err;

	buf_init(&where, 8192);
	buf_appendf(&where, "%s@%llu", k->path, (unsigned long long)msg->off);
	m->where = xstrdup(buf_cstr(&where));
	buf_done(&where);
	m->flags = msg->flags;
	keywords_clean(buf_slice(&msg->keywords), &m->keywords);
	m->date = msg->date == INT64_MIN ? (int64_t)time(NULL) : msg->date;
	m->zone = msg->date == INT64_MIN ? date_local_zone(m->date) : msg->zone;
	(void)import_msg_end(m);
	buf_init(&like, 32);
	buf_appendf(&like, "%u", (unsigned)likes_count(&k->likes, m->sha256));
	import_id_make(m, 'x', k->box, buf_slice(&like));
	buf_done(&like);
	err = import_msg_give(k->s, m);
	k->s->at = k->at_before + k->f.off;
	return err;
}

/* As its own programs lock it, so that none writes it meanwhile; a lock that cannot be had in ten seconds is told. */
static bool
file_lock(int fd)
{
	struct flock fl = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	struct timespec ts = {0, LOCK_MS * 1000000L};

	for (int i = 0; i < LOCK_TRIES; i++) {
		if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
			return true;
		if (errno != EAGAIN && errno != EACCES)
			return true; /* a file system without locks */
		nanosleep(&ts, NULL);
	}
	return false;
}

int
import_mbox_file(struct import_source *s, int fd, const char *path, const char *box)
{
	struct mbox_run k = {.s = s, .path = path, .box = box, .fd = fd, .at_before = s->at};
	struct mboxfile_msg msg;
	struct stat st;
	int r = 0, err = 0;

	if (!file_lock(fd)) {
		s->refused(s->arg, path, "locked", 0);
		return 0;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		s->refused(s->arg, path, "not_a_file", 0);
		return 0;
	}
	k.size = (uint64_t)st.st_size;
	mboxfile_init(&k.f, file_read, &k, s->quoting);
	while (err == 0) {
		struct import_msg *m = import_msg_new(s->size_max);

		r = mboxfile_next(&k.f, &msg, take_piece, m);
		if (r != 1 || msg.internal)
			import_msg_free(m);
		else
			err = one(&k, m, &msg);
		buf_done(&msg.keywords);
		if (r != 1)
			break;
	}
	if (r < 0)
		s->refused(s->arg, path, r == ERR_SYNTAX ? "not_an_mbox" : "unreadable",
		    r == ERR_IO ? errno : 0);
	mboxfile_done(&k.f);
	free(k.likes.v);
	s->at = k.at_before + k.size;
	return err;
}

bool
import_is_mbox(int fd)
{
	unsigned char text[1024];
	ssize_t n = pread(fd, text, sizeof text, 0);
	struct slice s = slice_of(text, n > 0 ? (size_t)n : 0);
	ptrdiff_t end;
	int64_t date;
	int zone;

	while (s.len > 0 && (s.ptr[0] == '\n' || s.ptr[0] == '\r'))
		s = slice_from(s, 1);
	end = slice_index(s, '\n');
	return end > 0 &&
	       mboxfile_from_line(slice_trim(slice_sub(s, 0, (size_t)end)), &date, &zone);
}
