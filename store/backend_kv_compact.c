/* backend_kv_compact.c: files of bodies: how full they are, rewriting those that hold little, taking octets out for good. Runs in stored, in the
 * thread of backend_kv_space.c.
 *
 * A file that is not written to any more never gets a body again. Its live records are copied to the file of copies, synced, and their rows
 * switched to the new place by the writer, each only while it points to the old one. When a new look at all rows finds none that points to the old
 * file, it is removed. Killed in between, either place is good, and files without rows go at the next run. Who reads by the old place while
 * the file goes away looks up the row again (backend_kv_body.c). */
#include "store/backend_kv_space.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/err.h"
#include "lib/log.h"

enum {
	ROUND_BODIES = 8192,     /* places held in memory at a time */
	STEP_OCTETS = 512 << 10, /* copied before their rows are switched */
	REMOVE_TRIES = 40,
	REMOVE_WAIT_MS = 50,
	ERASE_WAITS = 6000, /* five minutes: a backup lets go of the files between two steps */
	EXTENTS = 262144,
	ROLL_OCTETS = 4 << 20, /* less than this is not worth a new file */
};

int
space_files_read(struct bkv *b)
{
	struct space *s = b->space;
	struct backend_file *files = NULL;
	struct seg_file f = {0};
	size_t n = 0;
	uint64_t octets = 0;
	int err;

	while ((err = seg_file_next(b->seg, f.number, &f)) == 0) {
		if (n % 256 == 0)
			files = xrealloc(files, (n + 256) * sizeof *files);
		files[n++] = (struct backend_file){
		    .number = f.number, .octets = f.size, .writing = f.writing};
		octets += f.size;
	}
	if (err != ERR_NOTFOUND) {
		free(files);
		return space_why(s, err, "the folder of bodies cannot be read");
	}
	pthread_mutex_lock(&s->mu);
	free(s->files);
	s->files = files;
	s->n_files = n;
	s->st.files = n;
	s->st.file_octets = octets;
	pthread_mutex_unlock(&s->mu);
	return 0;
}

struct backend_file *
space_file(struct space *s, uint32_t number)
{
	size_t lo = 0, hi = s->n_files;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->files[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->n_files && s->files[lo].number == number ? &s->files[lo] : NULL;
}

/* Files as they are now, with what is live in them; none of those not written to can get more. */
static int
look(struct bkv *b)
{
	int err = space_files_read(b);

	if (err == 0)
		err = space_settle(b);
	return err == 0 ? space_tally(b) : err;
}

/* The file that is written to as well, when it is worth it. */
static bool
is_victim(const struct space *s, const struct backend_file *f)
{
	return f->live * 100 < f->octets * s->job.min_live &&
	       (!f->writing || f->octets >= ROLL_OCTETS);
}

/* Those that are to be rewritten, or all, are written to no more. *rolled_out: how many were. */
static int
roll(struct bkv *b, bool all, size_t *rolled_out)
{
	struct space *s = b->space;
	int err = 0;

	*rolled_out = 0;
	for (size_t i = 0; i < s->n_files && err == 0; i++) {
		if (!s->files[i].writing || (!all && !is_victim(s, &s->files[i])))
			continue;
		err = seg_roll(b->seg, s->files[i].number);
		(*rolled_out)++;
	}
	return err == 0 ? 0 : space_why(s, err, "no new file of bodies can be begun");
}

/* ---- copying ---- */

struct round {
	struct bkv *b;
	bool *victim; /* by index of s->files */
	struct seg_loc *locs;
	size_t n;
	uint64_t last;
};

static int
round_row(void *arg, struct slice key, struct slice value)
{
	struct round *r = (struct round *)arg;
	struct space *s = r->b->space;
	const struct backend_file *f;
	struct seg_loc *l = &r->locs[r->n];
	int err = bkv_body_of_key(key, &r->last);

	if (err == 0)
		err = seg_loc_decode(value, r->last, l);
	if (err != 0)
		return err;
	/* only this thread changes the list */
	f = space_file(s, l->segment);
	if (f != NULL && r->victim[f - s->files])
		r->n++;
	return r->n == ROUND_BODIES ? 1 : 0;
}

int
space_switch(struct bkv *b, struct space_step *st)
{
	struct space *s = b->space;
	int err;

	if (st->n == 0)
		return 0;
	seg_sync_copies(b->seg);
	err = space_step(b, st);
	pthread_mutex_lock(&s->mu);
	s->st.done += st->n;
	if (err == 0) {
		s->st.copied += st->changed;
		s->st.copied_octets += st->octets;
	}
	pthread_mutex_unlock(&s->mu);
	st->n = 0;
	return err;
}

static int
copy_round(struct bkv *b, const struct round *r)
{
	struct space_step *st = xcalloc(1, sizeof *st);
	uint64_t octets = 0;
	int64_t t0 = space_ms();
	int err = 0;

	st->what = STEP_SWITCH;
	for (size_t i = 0; i < r->n && err == 0; i++) {
		const struct seg_loc *l = &r->locs[i];
		int copied = seg_copy(b->seg, l, &st->to[st->n]);

		if (copied == ERR_CORRUPT || copied == ERR_IO) {
			/* It stays where it is, and its file with it: `congvu store check` names it. */
			log_msg(LOG_LVL_ERROR, "store_compact", "body %llu in file %u: %s",
			    (unsigned long long)l->body, l->segment, err_name(copied));
			continue;
		}
		if (copied != 0) {
			err = space_why(b->space, copied, "body %llu cannot be copied",
			    (unsigned long long)l->body);
			break;
		}
		st->from[st->n++] = *l;
		octets += l->stored;
		if (st->n < STEP_BODIES && octets < STEP_OCTETS)
			continue;
		err = space_switch(b, st);
		octets = 0;
		if (err == 0)
			err = space_pause(b, t0);
		t0 = space_ms();
	}
	if (err == 0)
		err = space_switch(b, st);
	free(st);
	return err;
}

static int
copy_victims(struct bkv *b, bool *victim)
{
	struct round r = {.b = b, .victim = victim};
	char from[24] = "b/";
	bool more = true;
	int err = 0;

	r.locs = xcalloc(ROUND_BODIES + 1, sizeof *r.locs);
	while (more && err == 0) {
		r.n = 0;
		err = space_walk(b, from, "b0", round_row, &r);
		more = err == 1;
		if (err == 1)
			err = 0;
		bkv_body_key(r.last + 1, from);
		if (err == 0)
			err = copy_round(b, &r);
	}
	free(r.locs);
	return err;
}

/* ---- removing ---- */

static void
sleep_ms(unsigned ms)
{
	struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

/* Without rows, and closed: who still reads in it is waited for a little. */
static int
remove_file(struct bkv *b, const struct backend_file *f)
{
	struct space *s = b->space;
	int err = ERR_AGAIN;

	for (int i = 0; i < REMOVE_TRIES && err == ERR_AGAIN; i++) {
		if (i > 0)
			sleep_ms(REMOVE_WAIT_MS);
		err = seg_file_remove(b->seg, f->number);
	}
	if (err == ERR_AGAIN || err == ERR_NOTFOUND)
		return 0; /* at the next run */
	if (err != 0)
		return space_why(s, err, "file %u cannot be removed", f->number);
	pthread_mutex_lock(&s->mu);
	s->st.files_removed++;
	s->st.freed_octets += f->octets;
	pthread_mutex_unlock(&s->mu);
	return 0;
}

static int
victims_find(struct bkv *b, bool **victim_out, size_t *n_out)
{
	struct space *s = b->space;
	size_t n = 0;

	*victim_out = xcalloc(s->n_files + 1, sizeof **victim_out);
	for (size_t i = 0; i < s->n_files; i++) {
		const struct backend_file *f = &s->files[i];

		if (!is_victim(s, f) || bkv_pending_in(b, f->number) ||
		    (f->writing && !s->job.dry_run))
			continue;
		(*victim_out)[i] = true;
		n++;
		if (s->job.dry_run) {
			pthread_mutex_lock(&s->mu);
			s->st.files_removed++;
			s->st.copied += f->bodies;
			s->st.copied_octets += f->live;
			s->st.freed_octets += f->octets;
			pthread_mutex_unlock(&s->mu);
		}
	}
	*n_out = n;
	return 0;
}

int
space_compact(struct bkv *b)
{
	struct space *s = b->space;
	struct backend_file *was = NULL;
	bool *victim = NULL;
	size_t n = 0, n_was;
	int err = look(b);

	if (err == 0 && !s->job.dry_run) {
		err = roll(b, false, &n);
		if (err == 0 && n > 0)
			err = look(b);
	}
	if (err == 0)
		err = victims_find(b, &victim, &n);
	if (err != 0 || n == 0 || s->job.dry_run)
		goto out;
	space_phase(s, "copy");
	if ((err = copy_victims(b, victim)) != 0)
		goto out;
	/* what was to be emptied, against what is live now */
	n_was = s->n_files;
	was = xcalloc(n_was + 1, sizeof *was);
	memcpy(was, s->files, n_was * sizeof *was);
	if ((err = look(b)) != 0)
		goto out;
	space_phase(s, "remove");
	for (size_t i = 0; i < n_was && err == 0; i++) {
		const struct backend_file *f = space_file(s, was[i].number);

		if (victim[i] && f != NULL && f->bodies == 0 && !f->writing)
			err = remove_file(b, f);
	}
	if (err == 0)
		err = seg_names_sync(b->seg);
	if (err == 0)
		err = space_files_read(b);
	if (err == 0)
		err = space_tally(b);
out:
	free(victim);
	free(was);
	return err;
}

/* ---- taking octets out ---- */

struct extent {
	uint32_t file;
	uint64_t from, to;
};
struct extents {
	struct bkv *b;
	uint32_t first, last; /* of files */
	struct extent *v;
	size_t n, alloc;
};

static int
extent_row(void *arg, struct slice key, struct slice value)
{
	struct extents *x = (struct extents *)arg;
	struct seg_loc l;
	uint64_t body;
	int err = bkv_body_of_key(key, &body);

	if (err == 0)
		err = seg_loc_decode(value, body, &l);
	if (err != 0 || l.segment < x->first || l.segment > x->last)
		return err;
	if (x->n == x->alloc) {
		x->alloc = x->alloc == 0 ? 4096 : 2 * x->alloc;
		x->v = xrealloc(x->v, x->alloc * sizeof *x->v);
	}
	x->v[x->n++] = (struct extent){l.segment, l.off, l.off + l.stored};
	return 0;
}

static int
by_place(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return x->from < y->from ? -1 : x->from > y->from;
}

static int
erase(struct bkv *b, uint32_t file, uint64_t from, uint64_t to)
{
	int err = seg_erase(b->seg, file, from, to);

	for (int i = 0; i < ERASE_WAITS && err == ERR_AGAIN; i++) {
		sleep_ms(REMOVE_WAIT_MS);
		err = space_pause(b, space_ms());
		if (err == 0)
			err = seg_erase(b->seg, file, from, to);
	}
	if (err == ERR_AGAIN)
		return space_why(b->space, err, "a backup is being taken");
	if (err != 0)
		return space_why(b->space, err, "file %u cannot be cleared", file);
	pthread_mutex_lock(&b->space->mu);
	b->space->st.erased_octets += to > from ? to - from : 0;
	pthread_mutex_unlock(&b->space->mu);
	return 0;
}

/* What lies between the live records of one file, sorted. */
static int
erase_file(struct bkv *b, const struct backend_file *f, const struct extent *v, size_t n)
{
	uint64_t at = seg_first_record(b->seg, f->number);
	int64_t t0 = space_ms();
	int err = at == 0 ? ERR_CORRUPT : 0;

	if (err != 0)
		return space_why(b->space, err, "the header of file %u is damaged", f->number);
	for (size_t i = 0; i < n && err == 0; i++) {
		if (v[i].from > at)
			err = erase(b, f->number, at, v[i].from);
		at = v[i].to > at ? v[i].to : at;
	}
	if (err == 0 && f->octets > at)
		err = erase(b, f->number, at, f->octets);
	if (err == 0)
		err = seg_file_sync(b->seg, f->number);
	return err == 0 ? space_pause(b, t0) : err;
}

/* Files [i, end) of the list, whose live places fit in memory. */
static int
erase_files(struct bkv *b, size_t i, size_t end)
{
	struct space *s = b->space;
	struct extents x = {.b = b, .first = s->files[i].number, .last = s->files[end - 1].number};
	size_t at = 0;
	int err = space_walk(b, "b/", "b0", extent_row, &x);

	if (x.n > 0)
		qsort(x.v, x.n, sizeof *x.v, by_place);
	for (; i < end && err == 0; i++) {
		size_t from;

		while (at < x.n && x.v[at].file < s->files[i].number)
			at++;
		from = at;
		while (at < x.n && x.v[at].file == s->files[i].number)
			at++;
		if (s->files[i].writing) /* begun since: it holds nothing that was purged */
			continue;
		err =
		    bkv_pending_in(b, s->files[i].number)
			? space_why(s, ERR_TEMP, "file %u has bodies under way", s->files[i].number)
			: erase_file(b, &s->files[i], x.v + from, at - from);
	}
	free(x.v);
	return err;
}

int
space_erase(struct bkv *b)
{
	struct space *s = b->space;
	size_t rolled;
	int err = space_files_read(b);

	if (err == 0)
		err = roll(b, true, &rolled);
	if (err == 0)
		err = look(b);
	if (err != 0)
		return err;
	space_phase(s, "erase");
	for (size_t i = 0, end; i < s->n_files && err == 0; i = end) {
		uint64_t bodies = s->files[i].bodies;

		for (end = i + 1; end < s->n_files && bodies + s->files[end].bodies < EXTENTS;
		     end++)
			bodies += s->files[end].bodies;
		err = erase_files(b, i, end);
	}
	if (err == 0)
		err = kv_forget_log(b->kv); /* it holds small bodies, and what rows were */
	return err;
}
