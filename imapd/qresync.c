/* qresync.c: what a client missed since a mod-sequence. Runs in imapd-session. RFC 7162 3.2.5, 3.2.6, 3.2.10.
 * Invariants: a UID that is in the view is never told as vanished (its EXPUNGE comes when it may); when the store has forgotten removals,
 * every UID of the set that is not there is told. */
#include "config.h"

#include "imapd/qresync.h"

#include <stdlib.h>

#include "lib/err.h"
#include "lib/log.h"

#define LINE_MAX_OCTETS 8000
#define GONE_MAX 500000 /* more removals than that: the view is compared instead */

bool
qresync_modseq(struct imap_cur *c, uint64_t *out)
{
	return imap_cur_number(c, INT64_MAX, out);
}

static uint64_t
count(const struct seqset *s)
{
	uint64_t n = 0;
	for (size_t i = 0; i < s->n; i++)
		n += (uint64_t)s->r[i].hi - s->r[i].lo + 1;
	return n;
}

/* A set without "*", in order. */
static bool
plain_set(struct imap_cur *c, struct arena *a, struct seqset *out)
{
	if (!imap_cur_set(c, a, out) || out->saved)
		return false;
	for (size_t i = 0; i < out->n; i++)
		if (out->r[i].lo == SEQSET_STAR || out->r[i].hi == SEQSET_STAR)
			return false;
	seqset_resolve(out, 0);
	return true;
}

bool
qresync_parse(struct imap_cur *c, struct arena *a, struct qresync_args *out)
{
	uint64_t uidvalidity;
	*out = (struct qresync_args){0};
	if (!imap_cur_sp(c) || !imap_cur_char(c, '(') ||
	    !imap_cur_number(c, UINT32_MAX, &uidvalidity) || uidvalidity == 0 || !imap_cur_sp(c) ||
	    !qresync_modseq(c, &out->modseq))
		return false;
	out->uidvalidity = (uint32_t)uidvalidity;
	if (imap_cur_char(c, ')'))
		return true;
	if (!imap_cur_sp(c))
		return false;
	if (!imap_cur_peek(c, '(')) {
		if (!plain_set(c, a, &out->known))
			return false;
		out->has_known = true;
		if (imap_cur_char(c, ')'))
			return true;
		if (!imap_cur_sp(c))
			return false;
	}
	if (!imap_cur_char(c, '(') || !plain_set(c, a, &out->match_seq) || !imap_cur_sp(c) ||
	    !plain_set(c, a, &out->match_uid) || !imap_cur_char(c, ')') || !imap_cur_char(c, ')'))
		return false;
	out->has_match = true;
	return count(&out->match_seq) == count(&out->match_uid);
}

uint32_t
qresync_match(const struct view *v, const struct qresync_args *q)
{
	uint32_t above = 0;
	size_t i = 0, k = 0;
	uint64_t seq, uid;
	if (!q->has_match || q->match_seq.n == 0)
		return 0;
	seq = q->match_seq.r[0].lo;
	uid = q->match_uid.r[0].lo;
	while (seq <= v->told && v->uid[seq - 1] == uid) {
		above = (uint32_t)uid;
		if (seq++ == q->match_seq.r[i].hi) {
			if (++i == q->match_seq.n)
				break;
			seq = q->match_seq.r[i].lo;
		}
		if (uid++ == q->match_uid.r[k].hi)
			uid = q->match_uid.r[++k].lo; /* as many as numbers */
	}
	return above;
}

/* ---- VANISHED ---- */

void
vanished_begin(struct vanished *v, struct client *c, bool earlier)
{
	*v = (struct vanished){.c = c, .earlier = earlier};
	buf_init(&v->line, LINE_MAX_OCTETS + 64);
}

static void
send_line(struct vanished *v)
{
	if (v->line.len > 0)
		client_printf(v->c, "* VANISHED %s%s\r\n", v->earlier ? "(EARLIER) " : "",
		    buf_cstr(&v->line));
	buf_reset(&v->line);
}

static void
put_range(struct vanished *v)
{
	if (v->lo == 0)
		return;
	if (v->line.len > 0)
		buf_append_byte(&v->line, ',');
	if (v->lo == v->hi)
		buf_appendf(&v->line, "%u", (unsigned)v->lo);
	else
		buf_appendf(&v->line, "%u:%u", (unsigned)v->lo, (unsigned)v->hi);
	v->lo = 0;
	if (v->line.len > LINE_MAX_OCTETS - 32)
		send_line(v);
}

void
vanished_add(struct vanished *v, uint64_t lo, uint64_t hi)
{
	if (lo > hi)
		return;
	if (v->lo != 0 && lo == v->hi + 1) {
		v->hi = hi;
		return;
	}
	put_range(v);
	v->lo = lo;
	v->hi = hi;
}

void
vanished_end(struct vanished *v)
{
	put_range(v);
	send_line(v);
	buf_done(&v->line);
}

/* ---- a look back ---- */

static int
by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static void
add(uint32_t **list, size_t *n, size_t *alloc, uint32_t v)
{
	if (*n == *alloc) {
		*alloc = *alloc ? *alloc * 2 : 64;
		*list = xrealloc(*list, *alloc * sizeof(**list));
	}
	(*list)[(*n)++] = v;
}

static size_t
sort_unique(uint32_t *v, size_t n)
{
	size_t k = 0;
	if (n > 1)
		qsort(v, n, sizeof(*v), by_number);
	for (size_t i = 0; i < n; i++)
		if (k == 0 || v[i] != v[k - 1])
			v[k++] = v[i];
	return k;
}

/* UIDs in [lo, hi] that the view does not hold. */
static void
tell_gaps(struct vanished *out, const struct view *v, uint64_t lo, uint64_t hi)
{
	for (uint32_t i = view_lower(v, (uint32_t)lo); lo <= hi && i < v->n && v->uid[i] <= hi;
	     i++) {
		if (v->uid[i] > lo)
			vanished_add(out, lo, (uint64_t)v->uid[i] - 1);
		lo = (uint64_t)v->uid[i] + 1;
	}
	vanished_add(out, lo, hi);
}

static void
tell_gone(struct resync *r)
{
	const struct selected *s = r->m->c->sel;
	struct seqrange all = {1, UINT32_MAX};
	struct seqset every = {.r = &all, .n = 1};
	const struct seqset *known = r->known != NULL ? r->known : &every;
	struct vanished out;
	vanished_begin(&out, r->m->c, true);
	if (!r->compare) {
		r->n_gone = sort_unique(r->gone, r->n_gone);
		for (size_t i = 0; i < r->n_gone; i++)
			if (r->gone[i] > r->above && seqset_has(known, r->gone[i]) &&
			    view_find(&s->view, r->gone[i]) < 0)
				vanished_add(&out, r->gone[i], r->gone[i]);
	}
	for (size_t i = 0; r->compare && i < known->n; i++) {
		uint64_t lo = known->r[i].lo, hi = known->r[i].hi;
		if (lo <= r->above)
			lo = (uint64_t)r->above + 1;
		if (hi >= s->uidnext)
			hi = (uint64_t)s->uidnext - 1;
		if (lo <= hi)
			tell_gaps(&out, &s->view, lo, hi);
	}
	vanished_end(&out);
}

static void
on_changes(void *arg, int err, uint64_t highest, bool more, uint64_t forgotten,
    const struct store_uid *changed, size_t n_changed, const uint32_t *expunged, size_t n_expunged)
{
	struct resync *r = arg;
	struct selected *s = r->m->c->sel;
	if (err) {
		r->done(r->m, err);
		return;
	}
	for (size_t i = 0; i < n_changed; i++)
		if ((r->known == NULL || seqset_has(r->known, changed[i].uid)) &&
		    view_find(&s->view, changed[i].uid) >= 0)
			add(&r->uids, &r->n, &r->alloc, changed[i].uid);
	/* since 0: whoever knows nothing has nothing to forget, but may ask (3.2.6) */
	if (forgotten > r->since || r->since == 0 || r->n_gone > GONE_MAX)
		r->compare = true;
	for (size_t i = 0; r->want_gone && !r->compare && i < n_expunged; i++)
		add(&r->gone, &r->n_gone, &r->gone_alloc, expunged[i]);
	if (more && highest > r->at) {
		r->at = highest;
		err = store_changes(r->m->c->store, s->mailbox, highest, on_changes, r);
		if (err)
			r->done(r->m, err);
		return;
	}
	r->n = sort_unique(r->uids, r->n);
	if (r->want_gone)
		tell_gone(r);
	r->done(r->m, 0);
}

void
resync_run(struct resync *r)
{
	r->at = r->since;
	int err = store_changes(r->m->c->store, r->m->c->sel->mailbox, r->since, on_changes, r);
	if (err)
		r->done(r->m, err);
}

void
resync_done(struct resync *r)
{
	free(r->uids);
	free(r->gone);
	r->uids = r->gone = NULL;
}

/* ---- mod-sequences told ---- */

uint64_t
modseq_complete(const struct selected *s)
{
	const struct view *v = &s->view;
	return (v->gone > 0 || v->dirty > 0) && v->held < v->modseq ? v->held : v->modseq;
}

void
condstore_on(struct client *c)
{
	if (c->enabled & ENABLED_CONDSTORE)
		return;
	c->enabled |= ENABLED_CONDSTORE;
	if (c->sel != NULL)
		client_printf(c, "* OK [HIGHESTMODSEQ %llu] Mod-sequences are told now\r\n",
		    (unsigned long long)modseq_complete(c->sel));
}

void
modseq_put(struct selected *s, uint64_t modseq, struct buf *out)
{
	if (modseq > s->told_modseq)
		s->told_modseq = modseq;
	buf_appendf(out, " MODSEQ (%llu)", (unsigned long long)modseq);
}
