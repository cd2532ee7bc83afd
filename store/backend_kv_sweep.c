/* backend_kv_sweep.c: the collection of bodies: marks what rows name, drops the rest. Runs in stored, in the thread of backend_kv_space.c,
 * which says why nothing is lost.
 *
 * A composite body names its parts in its own row: parts of what stays are marked too, and composites are dropped before any part, so that what
 * is left in between is whole.
 *
 * Order: marking is on; what began before is over (space_settle: so every batch is either visible to the scan, or marks by itself); all rows
 * are read; bodies without a mark are dropped. Rows of a removed mailbox count until they are purged. */
#include "store/backend_kv_space.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/row_bodies.h"

/* Keys of the database begin with one of these (ARCHITECTURE.md). Whoever adds rows that name bodies under another letter tells about them here. */
static const char *const prefixes[] = {"b/", "g/", "p/", "r/", "s/", "v/", "w/", "z/"};

static int
unknown_key(void *arg, struct slice key, struct slice value)
{
	(void)value;
	return space_why((struct space *)arg, ERR_UNSUPPORTED,
	    "the database has a key \"%.*s\" of a kind that this version does not know",
	    (int)(key.len < 40 ? key.len : 40), (const char *)key.ptr);
}

static int
check_prefixes(struct bkv *b)
{
	char after[4] = "";
	int err = 0;

	for (size_t i = 0; i <= sizeof prefixes / sizeof prefixes[0] && err == 0; i++) {
		const char *to = i < sizeof prefixes / sizeof prefixes[0] ? prefixes[i] : "";

		err =
		    kv_scan(b->kv, NULL, slice_str(after), slice_str(to), 1, unknown_key, b->space);
		snprintf(after, sizeof after, "%c0", to[0]); /* behind "x/" */
	}
	return err;
}

/* ---- marking ---- */

struct marking {
	struct space *s;
	struct row_counts counts;
	uint64_t named;
};

static void
mark(void *arg, uint64_t body)
{
	struct marking *m = (struct marking *)arg;

	if (body < m->s->limit)
		(void)body_set_add(m->s->marks, body);
	m->named++;
}

static void
ignore(void *arg, uint64_t body)
{
	(void)arg;
	(void)body;
}

/* "r/<object>/<key>" */
static int
mark_row(void *arg, struct slice key, struct slice value)
{
	struct marking *m = (struct marking *)arg;
	struct slice object = slice_from(key, 2), row;
	ptrdiff_t at = slice_index(object, '/');
	uint64_t of;
	int err;

	if (at < 0)
		return unknown_key(m->s, key, value);
	row = slice_from(object, (size_t)at + 1);
	object.len = (size_t)at;
	err = rows_open(key, value, &value);
	pthread_mutex_lock(&m->s->mu);
	if (err == 0 && row_is_weak(object, row, &of) && of < m->s->limit &&
	    !body_set_has(m->s->marks, of))
		err = row_bodies(
		    object, row, value, ignore, NULL); /* it is of a kind that is known */
	else if (err == 0)
		err = row_bodies(object, row, value, mark, m);
	pthread_mutex_unlock(&m->s->mu);
	if (err != 0)
		return space_why(m->s, err,
		    err == ERR_UNSUPPORTED ? "row %.*s is of a kind that this version does not know"
					   : "row %.*s cannot be read",
		    (int)(key.len < 100 ? key.len : 100), (const char *)key.ptr);
	row_count(object, row, value, &m->counts);
	return 0;
}

static bool
purged(const struct space *s, uint64_t body)
{
	size_t lo = 0, hi = s->job.n_bodies;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->purge[mid] < body)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->job.n_bodies && s->purge[lo] == body;
}

struct parts {
	struct bkv *b;
	struct buf gone; /* u64 each: parts of composites that are purged */
};

/* The parts of every composite that stays are marked. A purge asks no grace period, so there all stay but those it was given. */
static int
parts_row(void *arg, struct slice key, struct slice value)
{
	struct parts *p = (struct parts *)arg;
	struct space *s = p->b->space;
	uint64_t body, refs[SEG_REFS_MAX];
	bool stays;
	size_t n;
	int err = bkv_body_of_key(key, &body);

	if (err == 0)
		err = seg_loc_refs(value, refs, &n);
	if (err != 0)
		return space_why(
		    s, err, "row %.*s cannot be read", (int)key.len, (const char *)key.ptr);
	if (n == 0)
		return 0;
	pthread_mutex_lock(&s->mu);
	s->composites++;
	stays = body >= s->limit || body_set_has(s->marks, body);
	if (s->job.what == SPACE_PURGE)
		stays = stays || !purged(s, body);
	else
		stays = stays || body == s->newest || space_is_handed(s, body);
	for (size_t i = 0; i < n; i++) {
		if (stays && refs[i] < s->limit)
			(void)body_set_add(s->marks, refs[i]);
		else if (!stays && s->job.what == SPACE_PURGE)
			buf_append(&p->gone, &refs[i], sizeof refs[i]);
	}
	pthread_mutex_unlock(&s->mu);
	return p->gone.err;
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Each once: two messages may have the same one, or one of them twice. */
static void
parts_unique(struct space *s)
{
	size_t n = 0;

	qsort(s->parts, s->n_parts, sizeof *s->parts, by_number);
	for (size_t i = 0; i < s->n_parts; i++)
		if (n == 0 || s->parts[n - 1] != s->parts[i])
			s->parts[n++] = s->parts[i];
	s->n_parts = n;
}

static int
mark_parts(struct bkv *b)
{
	struct space *s = b->space;
	struct parts p = {.b = b};
	int err;

	buf_init(&p.gone, 64 << 20);
	s->composites = 0;
	err = space_walk(b, "b/", "b0", parts_row, &p);
	if (err == 0 && p.gone.len > 0) {
		free(s->parts);
		s->n_parts = p.gone.len / sizeof *s->parts;
		s->parts = xcalloc(s->n_parts, sizeof *s->parts);
		memcpy(s->parts, p.gone.data, p.gone.len);
		parts_unique(s);
	}
	buf_done(&p.gone);
	return err;
}

int
space_mark(struct bkv *b)
{
	struct space *s = b->space;
	struct marking m = {.s = s, .counts = {.now_s = (int64_t)time(NULL)}};
	struct seg_loc newest;
	int err;

	space_phase(s, "mark");
	pthread_mutex_lock(&s->mu);
	s->marks = body_set_new();
	s->limit = 0;
	s->marking = true;
	__atomic_store_n(&s->watching, 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&s->mu);
	if ((err = space_settle(b)) != 0 || (err = check_prefixes(b)) != 0)
		return err;
	if ((err = bkv_last_body(b->kv, &newest)) != 0 && err != ERR_NOTFOUND)
		return space_why(s, err, "the row of the newest body cannot be read");
	pthread_mutex_lock(&s->mu);
	s->newest = err == 0 ? newest.body : 0;
	s->limit = seg_next(b->seg);
	pthread_mutex_unlock(&s->mu);
	err = space_walk(b, "r/", "r0", mark_row, &m);
	if (err == 0)
		err = mark_parts(b);
	pthread_mutex_lock(&s->mu);
	s->st.rows = m.counts.rows;
	s->st.accounts = m.counts.accounts;
	s->st.mailboxes = m.counts.mailboxes;
	s->st.messages = m.counts.messages;
	s->st.message_octets = m.counts.message_octets;
	s->st.retained = m.counts.retained;
	s->st.retained_octets = m.counts.retained_octets;
	s->st.holds = m.counts.holds;
	s->st.texts_wanted = m.counts.texts_wanted;
	s->st.texts_read = m.counts.texts_read;
	s->st.texts_none = m.counts.texts_none;
	s->st.texts_failed = m.counts.texts_failed;
	s->st.texts_since = m.counts.texts_since;
	s->st.references = m.named;
	pthread_mutex_unlock(&s->mu);
	return err;
}

void
space_unmark(struct bkv *b)
{
	struct space *s = b->space;

	pthread_mutex_lock(&s->mu);
	s->marking = false;
	body_set_free(s->marks);
	s->marks = NULL;
	s->limit = 0;
	free(s->parts);
	s->parts = NULL;
	s->n_parts = 0;
	__atomic_store_n(&s->watching, body_set_count(s->dropped) > 0, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&s->mu);
}

/* ---- counting ---- */

struct tally {
	struct bkv *b;
	struct backend_space_state n; /* what is counted here */
};

static int
tally_row(void *arg, struct slice key, struct slice value)
{
	struct tally *t = (struct tally *)arg;
	struct space *s = t->b->space;
	struct backend_file *f;
	struct seg_loc l;
	uint64_t body;
	int err = bkv_body_of_key(key, &body);

	if (err == 0)
		err = seg_loc_decode(value, body, &l);
	if (err != 0)
		return space_why(
		    s, err, "row %.*s cannot be read", (int)key.len, (const char *)key.ptr);
	t->n.bodies++;
	t->n.body_octets += l.size;
	t->n.stored_octets += l.stored;
	t->n.clear_octets += (l.flags & SEG_SEALED) != 0 ? 0 : l.stored;
	pthread_mutex_lock(&s->mu);
	if (s->marking && body_set_has(s->marks, body)) {
		t->n.referred++;
		t->n.referred_octets += l.size;
	} else if (s->marking && body < s->limit) {
		t->n.dead++;
		t->n.dead_octets += l.stored;
		t->n.young += space_is_handed(s, body);
	}
	f = space_file(s, l.segment);
	if (f != NULL) {
		f->live += l.stored;
		f->bodies++;
	}
	pthread_mutex_unlock(&s->mu);
	return 0;
}

/* Of its files: rows, log, pages under way. */
static uint64_t
database_octets(const char *dir)
{
	DIR *d = opendir(dir);
	uint64_t octets = 0;
	struct dirent *e;
	struct stat st;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			octets += (uint64_t)st.st_size;
	if (d != NULL)
		closedir(d);
	return octets;
}

int
space_tally(struct bkv *b)
{
	struct space *s = b->space;
	struct tally t = {.b = b};
	int err;

	space_phase(s, "count");
	if ((err = space_files_read(b)) != 0)
		return err;
	err = space_walk(b, "b/", "b0", tally_row, &t);
	t.n.database_octets = database_octets(s->db_dir);
	pthread_mutex_lock(&s->mu);
	s->st.database_octets = t.n.database_octets;
	s->st.bodies = t.n.bodies;
	s->st.body_octets = t.n.body_octets;
	s->st.stored_octets = t.n.stored_octets;
	s->st.clear_octets = t.n.clear_octets;
	s->st.referred = t.n.referred;
	s->st.referred_octets = t.n.referred_octets;
	s->st.dead = t.n.dead;
	s->st.dead_octets = t.n.dead_octets;
	s->st.young = t.n.young;
	pthread_mutex_unlock(&s->mu);
	return err;
}

/* ---- dropping ---- */

struct sweep {
	struct bkv *b;
	struct buf bodies; /* u64 each, of one stretch of rows */
	bool composites;   /* these, or all others */
};
enum { SWEEP_BODIES = 65536 };

static int
sweep_row(void *arg, struct slice key, struct slice value)
{
	struct sweep *w = (struct sweep *)arg;
	struct space *s = w->b->space;
	struct seg_loc l;
	uint64_t body;
	bool go;
	int err = bkv_body_of_key(key, &body);

	if (err == 0)
		err = seg_loc_decode(value, body, &l);
	if (err != 0)
		return err;
	if (((l.flags & SEG_COMPOSITE) != 0) != w->composites)
		return 0;
	pthread_mutex_lock(&s->mu);
	go = body != s->newest && body < s->limit && !body_set_has(s->marks, body) &&
	     !space_is_handed(s, body);
	pthread_mutex_unlock(&s->mu);
	if (go)
		buf_append(&w->bodies, &body, sizeof body);
	return w->bodies.len >= SWEEP_BODIES * sizeof body ? 1 : 0;
}

/* left (may be NULL): a figure of s->st that counts what of these stayed. */
static int
drop(struct bkv *b, const uint64_t *bodies, size_t n, uint64_t *left)
{
	struct space *s = b->space;
	struct space_step *st = xcalloc(1, sizeof *st);
	int err = 0;

	st->what = STEP_DROP;
	st->any_age = s->job.what == SPACE_PURGE;
	for (size_t at = 0; at < n && err == 0; at += st->n) {
		int64_t t0 = space_ms();

		st->n = n - at < STEP_BODIES ? n - at : STEP_BODIES;
		memcpy(st->bodies, bodies + at, st->n * sizeof *bodies);
		memset(st->taken, 0, sizeof st->taken);
		if (s->job.dry_run)
			st->changed = st->octets = 0;
		else
			err = space_step(b, st);
		pthread_mutex_lock(&s->mu);
		s->st.done += st->n;
		if (err == 0) {
			s->st.dropped += st->changed;
			s->st.dropped_octets += st->octets;
			for (size_t i = 0; i < st->n && left != NULL; i++)
				*left += !st->taken[i];
		}
		pthread_mutex_unlock(&s->mu);
		if (err == 0)
			err = space_pause(b, t0);
	}
	free(st);
	return err;
}

/* One stretch of rows after the other, so that memory is bounded. */
static int
sweep(struct bkv *b, bool composites)
{
	struct sweep w = {.b = b, .composites = composites};
	char from[24] = "b/";
	bool more = true;
	int err = 0;

	buf_init(&w.bodies, (SWEEP_BODIES + 1) * sizeof(uint64_t));
	while (more && err == 0) {
		const uint64_t *bodies;
		size_t n;

		buf_reset(&w.bodies);
		err = space_walk(b, from, "b0", sweep_row, &w);
		more = err == 1;
		if (err == 1)
			err = w.bodies.err;
		bodies = (const uint64_t *)(const void *)w.bodies.data;
		n = w.bodies.len / sizeof *bodies;
		if (n > 0)
			bkv_body_key(bodies[n - 1] + 1, from);
		if (err == 0)
			err = drop(b, bodies, n, NULL);
	}
	buf_done(&w.bodies);
	return err;
}

int
space_sweep(struct bkv *b)
{
	struct space *s = b->space;
	int err;

	space_phase(s, "drop");
	if (s->job.what == SPACE_PURGE) {
		err = drop(b, s->purge, s->job.n_bodies, &s->st.purge_left);
		return err == 0 ? drop(b, s->parts, s->n_parts, &s->st.purge_parts_left) : err;
	}
	err = s->composites > 0 ? sweep(b, true) : 0;
	return err == 0 ? sweep(b, false) : err;
}
