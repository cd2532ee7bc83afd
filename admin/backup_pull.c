/* backup_pull.c: see backup_pull.h. Runs in congvu. A step: some rows (while a set is being made), then the changes so far; once all rows are there, a cut: segments
 * up to it, changes up to it, everything synced, then the manifest. A set is made anew when the store's journal is another one, or when
 * the changes have become more than the rows. */
#include "config.h"

#include "admin/backup_pull.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/store_proto.h"

enum {
	PIECE = 256 << 10,
	ASK_MS = 60000,
	ROWS_A_STEP = 64, /* pieces */
	CHANGES_MIN = 64 << 20,
	KEEP_EVERY_MS = 10000, /* of an unfinished one */
	OPEN_MAX = 8,
	IDLE_TURNS = 100,
	CUT_MAX = 4 << 20,
	HEAD = 1024, /* octets of a file's header, which the store may rewrite: under a new key */
	SAMPLE = 4096,
	LOOK_EVERY = 600, /* turns */
};
struct cut_file {
	uint32_t number;
	uint64_t octets;
	bool same; /* ours was seen to be a beginning of it */
};
struct pulled_segment {
	uint32_t number, copy;
	struct backup_part part;
	struct backup_file f;
	uint64_t turn; /* when it last grew */
};

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
backup_pull_init(struct backup_pull *p, struct ipc_sync *s, struct backup_dir *d,
    const char *folder, volatile sig_atomic_t *stop)
{
	memset(p, 0, sizeof *p);
	p->s = s;
	p->d = d;
	p->folder = folder;
	p->stop = stop;
	p->moment_us = d->m.moment_us;
	p->set_journal.fd = p->next_rows.fd = p->next_journal.fd = -1;
	p->kept_ms = now_ms();
	buf_init(&p->reply, IPC_FRAME_MAX);
	buf_init(&p->ask, 16384);
}

static void
files_close(struct backup_pull *p)
{
	backup_file_close(&p->set_journal);
	backup_file_close(&p->next_rows);
	backup_file_close(&p->next_journal);
	while (p->n_open > 0)
		backup_file_close(&p->open[--p->n_open].f);
}

void
backup_pull_done(struct backup_pull *p)
{
	files_close(p);
	free(p->open);
	free(p->cut);
	buf_done(&p->reply);
	buf_done(&p->ask);
}

static int
call(struct backup_pull *p, uint16_t type, struct ipc_reader *r)
{
	uint16_t got;
	int err = *p->stop != 0
		      ? ERR_CANCELED
		      : ipc_sync_call(p->s, type, &p->ask, -1, ASK_MS, &got, &p->reply, NULL);

	ipc_reader_init(r, buf_slice(&p->reply));
	return err;
}

/* An error of the folder: err_file names the file. */
static int
here(struct backup_pull *p, int err, const char *name)
{
	if (err != 0) {
		p->at_folder = true;
		snprintf(p->file, sizeof p->file, "%s", name);
	}
	return err;
}

/* ---- which set goes on ---- */

static uint64_t
set_end(const struct backup_set *s)
{
	return s->from + s->journal.octets;
}

static bool
goes_on(const struct backup_pull *p, const struct backup_set *s)
{
	return s->there && memcmp(s->epoch, p->epoch, EPOCH_LEN) == 0 && set_end(s) >= p->first &&
	       set_end(s) <= p->end;
}

static void
next_begin(struct backup_pull *p)
{
	struct backup_manifest *m = &p->d->m;
	struct backup_set *n = &m->next;
	uint32_t gen = m->set.gen > n->gen ? m->set.gen : n->gen;

	backup_file_close(&p->next_rows);
	backup_file_close(&p->next_journal);
	*n = (struct backup_set){.there = true, .gen = gen + 1, .from = p->end};
	memcpy(n->epoch, p->epoch, EPOCH_LEN);
}

static int
begin(struct backup_pull *p)
{
	struct backup_manifest *m = &p->d->m;
	static const unsigned char none[STORE_ID_LEN];
	struct ipc_reader r;
	struct slice id, epoch;
	int err;

	buf_reset(&p->ask);
	if ((err = call(p, STORE_BACKUP_BEGIN, &r)) != 0)
		return err;
	id = ipc_get_slice(&r);
	epoch = ipc_get_slice(&r);
	p->first = ipc_get_u64(&r);
	p->end = ipc_get_u64(&r);
	(void)ipc_get_i64(&r);
	if (ipc_reader_end(&r) != 0 || epoch.len != EPOCH_LEN || id.len != STORE_ID_LEN)
		return ERR_PROTO;
	if (memcmp(m->store, none, sizeof none) != 0 && memcmp(m->store, id.ptr, id.len) != 0)
		return here(p, ERR_CONFLICT, "manifest");
	memcpy(m->store, id.ptr, id.len);
	memcpy(p->epoch, epoch.ptr, EPOCH_LEN);
	/* another process may serve now: what was seen of its files is seen anew */
	for (size_t i = 0; i < p->n_cut; i++)
		p->cut[i].same = false;
	if (!goes_on(p, &m->next)) {
		backup_file_close(&p->next_rows);
		backup_file_close(&p->next_journal);
		m->next = (struct backup_set){.gen = m->next.gen};
	}
	if (!goes_on(p, &m->set)) {
		backup_file_close(&p->set_journal);
		if (!m->next.there)
			next_begin(p);
	}
	p->begun = true;
	return 0;
}

/* ---- rows and changes ---- */

static int
file_at(
    struct backup_pull *p, struct backup_file *f, struct backup_part *part, uint32_t gen, bool rows)
{
	char name[32];

	if (rows)
		backup_rows_name(gen, name);
	else
		backup_journal_name(gen, name);
	return f->fd >= 0 ? 0 : here(p, backup_file_open(p->d->fd, name, part, f), name);
}

static int
append(struct backup_pull *p, struct backup_file *f, struct slice s, const char *name)
{
	return here(p, backup_file_append(f, s), name);
}

static int
pull_rows(struct backup_pull *p)
{
	struct backup_set *n = &p->d->m.next;
	struct slice last, record;
	struct ipc_reader r;
	uint8_t more;
	int err = file_at(p, &p->next_rows, &n->rows, n->gen, true);

	if (err != 0)
		return err;
	buf_reset(&p->ask);
	ipc_put_slice(&p->ask, slice_of(n->last_key, n->last_key_len));
	if ((err = call(p, STORE_BACKUP_ROWS, &r)) != 0)
		return err;
	more = ipc_get_u8(&r);
	last = ipc_get_slice(&r);
	record = ipc_get_slice(&r);
	if (ipc_reader_end(&r) != 0 || last.len > sizeof n->last_key || (more && last.len == 0))
		return ERR_PROTO;
	if ((err = append(p, &p->next_rows, record, "rows")) != 0)
		return err;
	if (last.len > 0) {
		memcpy(n->last_key, last.ptr, last.len);
		n->last_key_len = last.len;
	}
	n->rows_done = !more;
	p->rows += record.len;
	return 0;
}

/* The changes up to the place upto. */
static int
pull_journal(struct backup_pull *p, struct backup_set *s, struct backup_file *f, uint64_t upto)
{
	int err = file_at(p, f, &s->journal, s->gen, false);

	while (err == 0 && s->from + f->octets < upto) {
		uint64_t left = upto - s->from - f->octets;
		struct ipc_reader r;
		struct slice piece;

		buf_reset(&p->ask);
		ipc_put_slice(&p->ask, slice_of(p->epoch, EPOCH_LEN));
		ipc_put_u64(&p->ask, s->from + f->octets);
		ipc_put_u32(&p->ask, left < PIECE ? (uint32_t)left : PIECE);
		if ((err = call(p, STORE_BACKUP_JOURNAL, &r)) != 0)
			break;
		piece = ipc_get_slice(&r);
		if (ipc_reader_end(&r) != 0 || piece.len == 0 || piece.len > left)
			return ERR_PROTO;
		err = append(p, f, piece, "journal");
		p->changes += piece.len;
	}
	return err;
}

/* ---- segments ---- */

static struct pulled_segment *
open_find(struct backup_pull *p, uint32_t number)
{
	for (size_t i = 0; i < p->n_open; i++)
		if (p->open[i].number == number)
			return &p->open[i];
	return NULL;
}

/* Puts what a file has on stable storage now into the manifest. */
static void
segment_tell(struct backup_manifest *m, const struct pulled_segment *o)
{
	struct backup_segment *s = manifest_segment(m, o->number);
	size_t i = m->n_segments;

	if (s == NULL) {
		m->segments = xrealloc(m->segments, (i + 1) * sizeof *m->segments);
		for (; i > 0 && m->segments[i - 1].number > o->number; i--)
			m->segments[i] = m->segments[i - 1];
		m->n_segments++;
		s = &m->segments[i];
		s->number = o->number;
	}
	s->part = o->part;
	s->copy = o->copy;
}

static int
segments_sync(struct backup_pull *p)
{
	char name[32];
	int err = 0;

	for (size_t i = 0; i < p->n_open && err == 0; i++) {
		struct pulled_segment *o = &p->open[i];

		backup_segment_name(o->number, o->copy, name);
		o->f.part = &o->part;
		if ((err = here(p, backup_file_sync(&o->f), name)) == 0)
			segment_tell(&p->d->m, o);
	}
	return err;
}

/* Files that grow stay open: their digest goes on. */
static void
open_trim(struct backup_pull *p)
{
	for (size_t i = 0; i < p->n_open;)
		if (!p->open[i].f.dirty &&
		    (p->n_open > OPEN_MAX || p->turn - p->open[i].turn > IDLE_TURNS)) {
			backup_file_close(&p->open[i].f);
			p->open[i] = p->open[--p->n_open];
		} else {
			i++;
		}
}

static int
segment_open(struct backup_pull *p, uint32_t number, bool anew, struct pulled_segment **o_out)
{
	const struct backup_segment *known;
	struct pulled_segment *o = open_find(p, number);
	char name[32];
	int err;

	if (o != NULL && anew) {
		backup_file_close(&o->f);
		*o = p->open[--p->n_open];
		o = NULL;
	}
	if (o == NULL) {
		if (p->n_open >= OPEN_MAX) {
			if ((err = segments_sync(p)) != 0)
				return err;
			while (p->n_open > OPEN_MAX / 2)
				backup_file_close(&p->open[--p->n_open].f);
		}
		p->open = xrealloc(p->open, (p->n_open + 1) * sizeof *p->open);
		o = &p->open[p->n_open];
		*o = (struct pulled_segment){.number = number};
		known = manifest_segment(&p->d->m, number);
		if (known != NULL && !anew)
			o->part = known->part;
		o->copy = known == NULL ? 0 : anew ? known->copy + 1 : known->copy;
		backup_segment_name(number, o->copy, name);
		err = here(p, backup_file_open(p->d->segments_fd, name, &o->part, &o->f), name);
		if (err != 0)
			return err;
		p->n_open++;
	}
	o->turn = p->turn;
	*o_out = o;
	return 0;
}

static int
segment_ask(struct backup_pull *p, uint32_t number, uint64_t at, uint32_t len, struct slice *piece)
{
	struct ipc_reader r;
	int err;

	buf_reset(&p->ask);
	ipc_put_u32(&p->ask, number);
	ipc_put_u64(&p->ask, at);
	ipc_put_u32(&p->ask, len);
	if ((err = call(p, STORE_BACKUP_SEGMENT, &r)) != 0)
		return err == ERR_NOTFOUND ? ERR_GONE : err;
	*piece = ipc_get_slice(&r);
	return ipc_reader_end(&r) != 0 || piece->len == 0 || piece->len > len ? ERR_PROTO : 0;
}

/* Whether what stands at [at, at + n) in our copy is what the store has there; octets that it took out since (zeros) are no difference. */
static int
same_at(
    struct backup_pull *p, int fd, uint32_t number, uint64_t at, uint32_t n, bool zeros, bool *same)
{
	unsigned char ours[SAMPLE];
	struct slice theirs;
	int err;

	if (n == 0)
		return 0;
	if (pread(fd, ours, n, (off_t)at) != (ssize_t)n)
		return ERR_CORRUPT;
	if ((err = segment_ask(p, number, at, n, &theirs)) != 0)
		return err;
	if (theirs.len != n)
		return ERR_PROTO;
	for (uint32_t i = 0; i < n; i++)
		if (theirs.ptr[i] != ours[i] && !(zeros && theirs.ptr[i] == 0))
			*same = false;
	return 0;
}

/* Whether ours is a beginning of the store's file still: its header may have been written anew, under another key, and a number can come again
 * when the newest file was removed. */
static int
segment_same(
    struct backup_pull *p, const struct cut_file *c, const struct backup_segment *known, bool *same)
{
	uint64_t have = known->part.octets, tail = have > HEAD + SAMPLE ? have - SAMPLE : HEAD;
	char name[32];
	int fd, err;

	*same = have <= c->octets;
	if (!*same || have == 0)
		return 0;
	backup_segment_name(c->number, known->copy, name);
	fd = openat(p->d->segments_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return here(p, ERR_CORRUPT, name);
	err = same_at(p, fd, c->number, 0, have < HEAD ? (uint32_t)have : HEAD, false, same);
	if (err == 0 && have > HEAD)
		err = same_at(p, fd, c->number, HEAD,
		    have - HEAD < SAMPLE ? (uint32_t)(have - HEAD) : SAMPLE, true, same);
	if (err == 0 && have > HEAD)
		err = same_at(p, fd, c->number, tail, (uint32_t)(have - tail), true, same);
	close(fd);
	return err == ERR_CORRUPT ? here(p, err, name) : err;
}

/* Where nobody waits for the moment, an unfinished backup is kept now and then, to go on from there. */
static int
keep(struct backup_pull *p)
{
	int err;

	if (p->d->m.set.there || now_ms() - p->kept_ms < KEEP_EVERY_MS)
		return 0;
	if ((err = here(p, backup_file_sync(&p->next_rows), "rows")) != 0 ||
	    (err = here(p, backup_file_sync(&p->next_journal), "journal")) != 0 ||
	    (err = segments_sync(p)) != 0 ||
	    (err = here(p, backup_dir_commit(p->d), "manifest")) != 0)
		return err;
	p->kept_ms = now_ms();
	return 0;
}

static int
pull_segment(struct backup_pull *p, struct cut_file *c)
{
	const struct backup_segment *known = manifest_segment(&p->d->m, c->number);
	struct pulled_segment *o = open_find(p, c->number);
	bool same = true;
	int err = 0;

	if (known != NULL && !c->same && (o == NULL || o->copy == known->copy)) {
		if ((err = segment_same(p, c, known, &same)) != 0)
			return err;
		c->same = same;
	}
	if (same && (o != NULL ? o->f.octets : known != NULL ? known->part.octets : 0) >= c->octets)
		return 0;
	err = segment_open(p, c->number, !same, &o);
	while (err == 0 && o->f.octets < c->octets) {
		uint64_t left = c->octets - o->f.octets;
		struct slice piece;

		err = segment_ask(
		    p, c->number, o->f.octets, left < PIECE ? (uint32_t)left : PIECE, &piece);
		if (err == 0)
			err = append(p, &o->f, piece, "segments");
		if (err == 0) {
			p->segments += piece.len;
			err = keep(p);
		}
	}
	return err;
}

/* ---- the cut ---- */

static int
cut_page(struct backup_pull *p, struct buf *old, uint32_t *next, uint64_t *end, int64_t *now)
{
	struct ipc_reader r;
	uint32_t from = *next, n;
	uint64_t at;
	int64_t when;
	int err;

	buf_reset(&p->ask);
	ipc_put_slice(&p->ask, slice_of(p->epoch, EPOCH_LEN));
	ipc_put_u32(&p->ask, from);
	if ((err = call(p, STORE_BACKUP_CUT, &r)) != 0)
		return err;
	at = ipc_get_u64(&r);
	(void)ipc_get_i64(&r);
	when = ipc_get_i64(&r);
	*next = ipc_get_u32(&r);
	n = ipc_get_count(&r, CUT_MAX, 12);
	if (from == 0) { /* the first page says which moment it is */
		*end = at;
		*now = when;
	}
	if (r.err != 0 || p->n_cut + n > CUT_MAX || (*next != 0 && *next <= from))
		return ERR_PROTO;
	p->cut = xrealloc(p->cut, (p->n_cut + n + 1) * sizeof *p->cut);
	for (uint32_t i = 0; i < n; i++) {
		struct cut_file *c = &p->cut[p->n_cut];
		const struct cut_file *was = (const struct cut_file *)(const void *)old->data;
		size_t n_was = old->len / sizeof *was;

		*c = (struct cut_file){.number = ipc_get_u32(&r), .octets = ipc_get_u64(&r)};
		if (r.err != 0 || c->number == 0 || c->octets > INT64_MAX ||
		    (p->n_cut > 0 && c->number <= c[-1].number))
			return ERR_PROTO;
		for (size_t k = 0; k < n_was && p->turn % LOOK_EVERY != 0; k++)
			if (was[k].number == c->number)
				c->same = was[k].same;
		p->n_cut++;
	}
	return ipc_reader_end(&r);
}

static int
cut(struct backup_pull *p, uint64_t *end, int64_t *now)
{
	struct buf old;
	uint32_t next = 0;
	int err = 0;

	buf_init(&old, SIZE_MAX / 2);
	buf_append(&old, p->cut, p->n_cut * sizeof *p->cut);
	p->n_cut = 0;
	do
		err = cut_page(p, &old, &next, end, now);
	while (err == 0 && next != 0);
	buf_done(&old);
	return err;
}

/* at: 0 only lets the files of the cut go. */
static int
tell(struct backup_pull *p, int64_t at)
{
	struct ipc_reader r;

	buf_reset(&p->ask);
	ipc_put_str(&p->ask, p->folder);
	ipc_put_i64(&p->ask, at);
	return call(p, STORE_BACKUP_DONE, &r);
}

/* The manifest names the segments of the cut alone. */
static void
segments_drop(struct backup_pull *p)
{
	struct backup_manifest *m = &p->d->m;
	size_t n = 0, k = 0;

	for (size_t i = 0; i < m->n_segments; i++) {
		while (k < p->n_cut && p->cut[k].number < m->segments[i].number)
			k++;
		if (k < p->n_cut && p->cut[k].number == m->segments[i].number)
			m->segments[n++] = m->segments[i];
	}
	m->n_segments = n;
	for (size_t i = 0; i < p->n_open;)
		if (manifest_segment(m, p->open[i].number) == NULL) {
			backup_file_close(&p->open[i].f);
			p->open[i] = p->open[--p->n_open];
		} else {
			i++;
		}
}

/* Everything up to the cut is here: on stable storage, then told. */
static int
commit(struct backup_pull *p, int64_t now)
{
	struct backup_manifest *m = &p->d->m;
	bool replaced = m->next.there && m->next.rows_done;
	size_t n_before = m->n_segments;
	int err;

	if ((err = here(p, backup_file_sync(&p->set_journal), "journal")) != 0 ||
	    (err = here(p, backup_file_sync(&p->next_rows), "rows")) != 0 ||
	    (err = here(p, backup_file_sync(&p->next_journal), "journal")) != 0 ||
	    (err = segments_sync(p)) != 0)
		return err;
	if (replaced) {
		backup_file_close(&p->next_rows);
		backup_file_close(&p->set_journal);
		p->set_journal = p->next_journal;
		p->next_journal.fd = -1;
		p->next_journal.sum = NULL;
		m->set = m->next;
		m->next = (struct backup_set){.there = false};
		p->set_journal.part = &m->set.journal;
	}
	segments_drop(p);
	m->moment_us = now;
	if ((err = here(p, backup_dir_commit(p->d), "manifest")) != 0)
		return err;
	p->moment_us = now;
	p->n_commits++;
	if (replaced || m->n_segments < n_before || p->n_commits == 1)
		backup_dir_sweep(p->d);
	open_trim(p);
	return tell(p, now);
}

/* The changes have become many: rows anew, so that the folder and a restore stay small. */
static bool
is_long(const struct backup_set *s)
{
	return s->journal.octets > CHANGES_MIN && s->journal.octets > s->rows.octets;
}

static int
step(struct backup_pull *p, bool *whole_out)
{
	struct backup_manifest *m = &p->d->m;
	uint64_t end = 0;
	int64_t now = 0;
	int err = 0;

	if (!p->begun && (err = begin(p)) != 0)
		return err;
	p->turn++;
	if (goes_on(p, &m->set) && is_long(&m->set) && !m->next.there)
		next_begin(p);
	for (int i = 0; i < ROWS_A_STEP && err == 0 && m->next.there && !m->next.rows_done; i++)
		err = pull_rows(p);
	if (err != 0)
		return err;
	if ((err = cut(p, &end, &now)) != 0)
		return err;
	p->end = end;
	if (m->next.there && (err = pull_journal(p, &m->next, &p->next_journal, end)) != 0)
		return err;
	*whole_out = goes_on(p, &m->set) || (m->next.there && m->next.rows_done);
	if (goes_on(p, &m->set) && (err = pull_journal(p, &m->set, &p->set_journal, end)) != 0)
		return err;
	if (*whole_out || p->turn % 16 == 1)
		for (size_t i = 0; i < p->n_cut && err == 0; i++)
			err = pull_segment(p, &p->cut[i]);
	if (err != 0)
		return err;
	if (*whole_out)
		return commit(p, now);
	err = keep(p);
	return err != 0 ? err : tell(p, 0);
}

int
backup_pull_step(struct backup_pull *p, bool *whole_out)
{
	bool whole = false;
	int err;

	p->at_folder = false;
	err = step(p, &whole);
	if (err != 0) {
		p->begun = false;
		/* what was written and not told is cut off when the files are opened again */
		if (p->at_folder)
			files_close(p);
		return err;
	}
	*whole_out = whole;
	return 0;
}
