/* view.c: the selected mailbox of one client. Runs in imapd-session; pure.
 * Invariants: uid[] ascends strictly; told <= n; numbers 1 … told never change but by view_take_expunged. RFC 3501 7.4.1. */
#include "config.h"

#include "imapd/view.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

void
view_init(struct view *v)
{
	memset(v, 0, sizeof(*v));
}

void
view_done(struct view *v)
{
	free(v->uid);
	free(v->flags);
	free(v->saved);
	view_init(v);
}

static int
grow(struct view *v)
{
	/* A quarter at a time: most mailboxes gain few messages while they are watched. */
	uint64_t want = (uint64_t)v->alloc + v->alloc / 4 + 64;
	if (want > UINT32_MAX / 8)
		return ERR_NOMEM;
	uint32_t *uid = realloc(v->uid, want * sizeof(*uid));
	if (uid == NULL)
		return ERR_NOMEM;
	v->uid = uid;
	uint8_t *flags = realloc(v->flags, want);
	if (flags == NULL)
		return ERR_NOMEM;
	v->flags = flags;
	v->alloc = (uint32_t)want;
	return 0;
}

int
view_add(struct view *v, uint32_t uid, uint32_t flags)
{
	if (v->n > 0 && uid <= v->uid[v->n - 1])
		return 0;
	if (v->n == v->alloc) {
		int err = grow(v);
		if (err)
			return err;
	}
	v->uid[v->n] = uid;
	v->flags[v->n] = (uint8_t)(flags & 31);
	v->n++;
	return 0;
}

uint32_t
view_lower(const struct view *v, uint32_t uid)
{
	uint32_t lo = 0, hi = v->n;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (v->uid[mid] < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int64_t
view_find(const struct view *v, uint32_t uid)
{
	/* where nothing was removed, a UID tells its place */
	uint32_t i = v->n > 0 && uid >= v->uid[0] ? uid - v->uid[0] : v->n;
	if (i < v->n && v->uid[i] == uid)
		return (int64_t)i;
	i = view_lower(v, uid);
	return i < v->n && v->uid[i] == uid ? (int64_t)i : -1;
}

/* Something that the client does not know comes up. */
static void
hold(struct view *v)
{
	if (v->gone == 0 && v->dirty == 0)
		v->held = v->modseq;
}

int
view_change(struct view *v, uint32_t uid, uint32_t flags, bool own)
{
	int64_t i = view_find(v, uid);
	if (i < 0)
		return view_add(v, uid, flags);
	if (v->flags[i] & VIEW_GONE)
		return 0;
	uint8_t keep = v->flags[i] & (VIEW_RECENT | VIEW_DIRTY);
	/* A message that was not announced yet is announced with its latest flags: the client asks for them. */
	if (!own && !(keep & VIEW_DIRTY) && (uint32_t)i < v->told) {
		hold(v);
		keep |= VIEW_DIRTY;
		v->dirty++;
	}
	v->flags[i] = (uint8_t)((flags & 31) | keep);
	return 0;
}

void
view_touch(struct view *v, uint32_t index)
{
	if (v->flags[index] & (VIEW_GONE | VIEW_DIRTY))
		return;
	hold(v);
	v->flags[index] |= VIEW_DIRTY;
	v->dirty++;
}

void
view_expunge(struct view *v, uint32_t uid)
{
	int64_t i = view_find(v, uid);
	if (i < 0 || (v->flags[i] & VIEW_GONE))
		return;
	hold(v);
	if (v->flags[i] & VIEW_DIRTY) {
		v->flags[i] &= (uint8_t)~VIEW_DIRTY;
		v->dirty--;
	}
	v->flags[i] |= VIEW_GONE;
	v->gone++;
}

void
view_set_recent(struct view *v, uint32_t from, uint32_t to)
{
	if (from == 0)
		return;
	for (uint32_t i = view_lower(v, from); i < v->n && v->uid[i] < to; i++) {
		if (!(v->flags[i] & VIEW_RECENT)) {
			v->flags[i] |= VIEW_RECENT;
			v->recent++;
		}
	}
}

void
view_take_expunged(struct view *v, void (*fn)(void *arg, uint32_t seq, uint32_t uid), void *arg)
{
	if (v->gone == 0)
		return;
	uint32_t told = v->told, w = 0;
	/* Lowest first, each number counted with those before it already removed. */
	for (uint32_t i = 0; i < v->n; i++) {
		if (v->flags[i] & VIEW_GONE) {
			if (v->flags[i] & VIEW_RECENT)
				v->recent--;
			if (i < told) {
				v->told--;
				fn(arg, w + 1, v->uid[i]);
			}
			continue;
		}
		v->uid[w] = v->uid[i];
		v->flags[w] = v->flags[i];
		w++;
	}
	v->n = w;
	v->gone = 0;
	assert(v->told <= v->n);
}

bool
view_has_news(const struct view *v)
{
	return v->n > v->told;
}

void
view_announce(struct view *v)
{
	v->told = v->n;
}

uint32_t
view_recent(const struct view *v)
{
	return v->recent;
}

uint32_t
view_first_unseen(const struct view *v)
{
	for (uint32_t i = 0; i < v->told; i++)
		if (!(v->flags[i] & (MSG_SEEN | VIEW_GONE)))
			return i + 1;
	return 0;
}

int
view_save(struct view *v, const uint32_t *uids, size_t n)
{
	uint32_t *saved = NULL;
	if (n > VIEW_SAVED_MAX)
		return ERR_LIMIT;
	if (n > 0) {
		saved = malloc(n * sizeof(*saved));
		if (saved == NULL)
			return ERR_NOMEM;
		memcpy(saved, uids, n * sizeof(*saved));
	}
	free(v->saved);
	v->saved = saved;
	v->n_saved = (uint32_t)n;
	return 0;
}

int
view_saved_set(const struct view *v, struct arena *a, struct seqset *out)
{
	struct seqrange *r = arena_calloc(a, (size_t)v->n_saved + 1, sizeof(*r));
	size_t n = 0;
	int64_t last = -2; /* index of the message that the last range ends with */
	if (r == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < v->n_saved; i++) {
		int64_t at = view_find(v, v->saved[i]);
		if (at < 0 || at >= v->told || (v->flags[at] & VIEW_GONE))
			continue;
		/* a range holds UIDs of neighbours only: what comes to lie between them later is not in it */
		if (at == last + 1 && n > 0)
			r[n - 1].hi = v->saved[i];
		else
			r[n++] = (struct seqrange){v->saved[i], v->saved[i]};
		last = at;
	}
	*out = (struct seqset){.r = r, .n = n};
	return 0;
}

/* [*from, *to) of indices that the range names. */
static int
range_of(const struct view *v, struct seqrange r, bool is_uid, uint32_t *from, uint32_t *to)
{
	if (!is_uid) {
		if (r.hi > v->told)
			return ERR_RANGE;
		*from = r.lo - 1;
		*to = r.hi;
		return 0;
	}
	*from = view_lower(v, r.lo);
	*to = r.hi == UINT32_MAX ? v->n : view_lower(v, r.hi + 1);
	if (*to > v->told)
		*to = v->told;
	return 0;
}

int
view_select(const struct view *v, struct seqset *set, bool is_uid, bool skip_gone, struct arena *a,
    uint32_t **uids_out, size_t *n_out)
{
	uint32_t top = v->told;
	struct seqset saved;
	if (set->saved) {
		/* RFC 5182 2.1: the same messages, whatever kind of number the command takes */
		int err = view_saved_set(v, a, &saved);
		if (err)
			return err;
		set = &saved;
		is_uid = true;
	}
	seqset_resolve(set, is_uid ? (top > 0 ? v->uid[top - 1] : 0) : top);
	uint64_t max = 0;
	for (size_t k = 0; k < set->n; k++) {
		uint32_t from, to;
		int err = range_of(v, set->r[k], is_uid, &from, &to);
		if (err)
			return err;
		max += to > from ? to - from : 0;
	}
	uint32_t *uids = arena_calloc(a, max ? max : 1, sizeof(*uids));
	if (uids == NULL)
		return ERR_NOMEM;
	size_t n = 0;
	for (size_t k = 0; k < set->n; k++) {
		uint32_t from, to;
		range_of(v, set->r[k], is_uid, &from, &to);
		for (uint32_t i = from; i < to; i++)
			if (!skip_gone || !(v->flags[i] & VIEW_GONE))
				uids[n++] = v->uid[i];
	}
	*uids_out = uids;
	*n_out = n;
	return 0;
}
