/* sync.c: brings a selected mailbox up to date with the store and tells its client: EXPUNGE, EXISTS, RECENT, FETCH FLAGS. Runs in
 * imapd-session. RFC 3501 7.3, 7.4.1, 5.2.
 * Invariants: message numbers change only with an EXPUNGE that was written; \Recent is claimed in the store before it is told, so exactly
 * one session tells it; a client's own changes are not told twice. */
#include "config.h"

#include "imapd/qresync.h"
#include "imapd/session.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

#define OWN_MAX 50000

static void ask_changes(struct client *c);
static void tell(struct client *c);

void
selected_free(struct selected *s)
{
	if (s == NULL)
		return;
	view_done(&s->view);
	buf_done(&s->keywords);
	buf_done(&s->rights);
	free(s->own);
	free(s->news);
	free(s);
}

void
sync_own(struct selected *s, uint32_t uid, uint64_t modseq)
{
	/* Beyond the bound the client is told what it knows already: harmless. */
	if (s->n_own >= OWN_MAX)
		return;
	if (s->n_own == s->own_alloc) {
		s->own_alloc = s->own_alloc ? s->own_alloc * 2 : 16;
		s->own = xrealloc(s->own, s->own_alloc * sizeof(*s->own));
	}
	s->own[s->n_own++] = (struct own_change){uid, modseq};
}

static int
by_uid_modseq(const void *a, const void *b)
{
	const struct own_change *x = a, *y = b;
	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	return x->modseq < y->modseq ? -1 : x->modseq > y->modseq;
}

static void
own_done(struct selected *s)
{
	free(s->own);
	s->own = NULL;
	s->n_own = s->own_alloc = 0;
}

void
sync_own_end(struct selected *s, uint64_t highest, const struct store_flagged *changed, size_t n)
{
	uint64_t was = s->view.modseq;
	size_t n_new = 0;
	for (size_t i = 0; i < n; i++)
		n_new += changed[i].modseq > was && view_find(&s->view, changed[i].uid) >= 0;
	/* no two changes of a mailbox have the same mod-sequence */
	if (highest <= was || highest - was != n_new)
		return;
	s->view.modseq = highest;
	own_done(s);
}

static void
finish(struct client *c)
{
	void (*done)(struct client *) = c->sync_done;
	c->syncing = false;
	c->sync_done = NULL;
	if (done != NULL)
		done(c);
}

/* ---- flags ---- */

void
flags_write(struct buf *out, uint32_t flags, bool recent, struct slice keywords)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {{MSG_ANSWERED, "\\Answered"}, {MSG_FLAGGED, "\\Flagged"},
	    {MSG_DELETED, "\\Deleted"}, {MSG_SEEN, "\\Seen"}, {MSG_DRAFT, "\\Draft"}};
	const char *sep = "(";
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (flags & names[i].bit) {
			buf_appendf(out, "%s%s", sep, names[i].name);
			sep = " ";
		}
	}
	if (recent) {
		buf_appendf(out, "%s\\Recent", sep);
		sep = " ";
	}
	if (keywords.len > 0) {
		buf_append_str(out, sep);
		buf_append_slice(out, keywords);
		sep = " ";
	}
	buf_append_str(out, sep[0] == '(' ? "()" : ")");
}

static bool
word_in(struct slice words, struct slice word)
{
	while (words.len > 0) {
		ptrdiff_t sp = slice_index(words, ' ');
		struct slice one = sp < 0 ? words : slice_sub(words, 0, (size_t)sp);
		if (slice_caseeq(one, word))
			return true;
		words = slice_from(words, one.len + 1);
	}
	return false;
}

void
sync_keywords(struct client *c, struct slice keywords)
{
	struct selected *s = c->sel;
	bool news = false;
	while (keywords.len > 0) {
		ptrdiff_t sp = slice_index(keywords, ' ');
		struct slice one = sp < 0 ? keywords : slice_sub(keywords, 0, (size_t)sp);
		if (!word_in(buf_slice(&s->keywords), one)) {
			if (s->keywords.len > 0)
				buf_append_byte(&s->keywords, ' ');
			buf_append_slice(&s->keywords, one);
			news = true;
		}
		keywords = slice_from(keywords, one.len + 1);
	}
	if (!news)
		return;
	struct buf b;
	buf_init(&b, 262144);
	flags_write(&b, 31, false, buf_slice(&s->keywords));
	client_printf(c, "* FLAGS %s\r\n", buf_cstr(&b));
	buf_done(&b);
}

/* ---- telling ---- */

static void
tell_expunge(void *arg, uint32_t seq, uint32_t uid)
{
	(void)uid;
	client_printf(arg, "* %u EXPUNGE\r\n", seq);
}

static void
tell_vanished(void *arg, uint32_t seq, uint32_t uid)
{
	(void)seq;
	vanished_add(arg, uid, uid);
}

static void
tell_gone(struct client *c)
{
	struct vanished v;
	if (!(c->enabled & ENABLED_QRESYNC)) {
		view_take_expunged(&c->sel->view, tell_expunge, c);
		return;
	}
	vanished_begin(&v, c, false); /* RFC 7162 3.2.10 */
	view_take_expunged(&c->sel->view, tell_vanished, &v);
	vanished_end(&v);
}

/* All that may be told now is told. RFC 7162 3.2 and 6: a MODSEQ above what the client knows completely (an EXPUNGE is held back, rows were newer
 * than the last look) must not be taken for the mailbox's. */
static void
told(struct client *c)
{
	struct selected *s = c->sel;
	uint64_t complete = modseq_complete(s);
	if ((c->enabled & ENABLED_CONDSTORE) && s->told_modseq > complete) {
		client_printf(c, "* OK [HIGHESTMODSEQ %llu] Known completely\r\n",
		    (unsigned long long)complete);
		s->told_modseq = complete;
	}
	finish(c);
}

static void
on_dirty_rows(void *arg, int err, const struct msg_row *rows, size_t n, uint32_t next_uid)
{
	struct client *c = arg;
	struct selected *s = c->sel;
	(void)next_uid;
	if (err) {
		/* They stay dirty: told at the next chance. */
		told(c);
		return;
	}
	uint32_t from = s->view.uid[c->sync_at], last = from;
	for (size_t i = 0; i < n; i++) {
		int64_t at = view_find(&s->view, rows[i].uid);
		last = rows[i].uid;
		if (at < 0 || !(s->view.flags[at] & VIEW_DIRTY) || rows[i].damaged)
			continue;
		struct buf b;
		buf_init(&b, 65536);
		sync_keywords(c, rows[i].keywords);
		uint8_t recent = s->view.flags[at] & VIEW_RECENT;
		s->view.flags[at] = (uint8_t)((rows[i].flags & 31) | recent);
		s->view.dirty--;
		flags_write(
		    &b, rows[i].flags, recent != 0 && client_shows_recent(c), rows[i].keywords);
		/* RFC 3501 6.4.8: a UID command's FETCH answers name the UID; RFC 9051 appendix E 21: all that were not asked for */
		bool condstore = c->enabled & ENABLED_CONDSTORE;
		if (condstore || (c->enabled & ENABLED_REV2) || (c->cmd != NULL && c->cmd->uid))
			buf_appendf(&b, " UID %u", rows[i].uid);
		if (condstore) /* RFC 7162 3.1, 3.2.4 */
			modseq_put(s, rows[i].modseq, &b);
		client_printf(c, "* %u FETCH (FLAGS %s)\r\n", (unsigned)at + 1, buf_cstr(&b));
		buf_done(&b);
	}
	/* Dirty messages that gave no row are gone: the next changes will say so. */
	for (uint32_t i = c->sync_at; i < s->view.n && s->view.uid[i] <= last; i++) {
		if (s->view.flags[i] & VIEW_DIRTY) {
			s->view.flags[i] &= (uint8_t)~VIEW_DIRTY;
			s->view.dirty--;
		}
	}
	tell(c);
}

/* Asks for the rows of a run of dirty messages; false when there is none. */
static bool
tell_dirty(struct client *c)
{
	struct selected *s = c->sel;
	uint32_t i = 0, j;
	if (s->view.dirty == 0)
		return false;
	while (i < s->view.told && !(s->view.flags[i] & VIEW_DIRTY))
		i++;
	if (i == s->view.told)
		return false;
	/* Rows between dirty ones are cheaper than another round trip. */
	uint32_t end = i;
	for (j = i; j < s->view.told && j - end < 50 && j - i < 500; j++)
		if (s->view.flags[j] & VIEW_DIRTY)
			end = j;
	c->sync_at = i;
	return store_rows(
		   c->store, s->mailbox, s->view.uid[i], s->view.uid[end], on_dirty_rows, c) == 0;
}

static void
on_tell_drain(struct cmd *m)
{
	m->on_drain = NULL;
	tell(m->c);
}

static void
tell(struct client *c)
{
	struct selected *s = c->sel;
	if (s->gone) {
		client_bye(c,
		    "[UNAVAILABLE] The mailbox was deleted, or your right to read it ended",
		    "mailbox_deleted");
		finish(c);
		return;
	}
	if (c->sync_expunge)
		tell_gone(c);
	if (view_has_news(&s->view)) {
		view_announce(&s->view);
		client_printf(c, "* %u EXISTS\r\n", s->view.n);
		if (client_shows_recent(c))
			client_printf(c, "* %u RECENT\r\n", view_recent(&s->view));
	}
	if (c->cmd != NULL && s->view.dirty > 0 && client_is_full(c))
		c->cmd->on_drain = on_tell_drain;
	else if (!tell_dirty(c))
		told(c);
}

/* ---- asking ---- */

static void
on_claimed(void *arg, int err, const struct store_opened *o)
{
	struct client *c = arg;
	if (err == 0) {
		view_set_recent(&c->sel->view, o->recent_from, o->uidnext);
		c->sel->uidnext = o->uidnext;
		c->sel->recent_from = o->recent_from;
		c->sel->recent_to = o->uidnext;
	}
	tell(c);
}

static int
by_uid(const void *a, const void *b)
{
	const struct store_uid *x = a, *y = b;
	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	return x->modseq < y->modseq ? -1 : x->modseq > y->modseq;
}

static bool
is_own(const struct selected *s, const struct store_uid *u)
{
	struct own_change key = {u->uid, u->modseq};
	return s->n_own > 0 && bsearch(&key, s->own, s->n_own, sizeof(key), by_uid_modseq) != NULL;
}

/* Changes of known messages; new ones are kept back: a page has them in the order of their changes, and one that was changed again since
 * it came is on a later page than those that came after it. */
static int
apply(struct client *c, const struct store_uid *changed, size_t n_changed, const uint32_t *expunged,
    size_t n_expunged)
{
	struct selected *s = c->sel;
	int err = 0;
	if (s->n_own > 1)
		qsort(s->own, s->n_own, sizeof(*s->own), by_uid_modseq);
	for (size_t i = 0; i < n_changed && err == 0; i++) {
		if (view_find(&s->view, changed[i].uid) >= 0) {
			err = view_change(
			    &s->view, changed[i].uid, changed[i].flags, is_own(s, &changed[i]));
			continue;
		}
		if (s->n_news == s->news_alloc) {
			s->news_alloc = s->news_alloc * 2 + n_changed;
			s->news = xrealloc(s->news, s->news_alloc * sizeof(*s->news));
		}
		s->news[s->n_news++] = changed[i];
	}
	for (size_t i = 0; i < n_expunged; i++) {
		view_expunge(&s->view, expunged[i]);
		for (size_t k = 0; k < s->n_news; k++)
			if (s->news[k].uid == expunged[i])
				s->news[k--] = s->news[--s->n_news];
	}
	return err;
}

static void
news_done(struct selected *s)
{
	free(s->news);
	s->news = NULL;
	s->n_news = s->news_alloc = 0;
}

/* All pages were read: the new messages, in the order of UIDs. */
static int
add_news(struct selected *s)
{
	int err = 0;
	if (s->n_news > 1)
		qsort(s->news, s->n_news, sizeof(*s->news), by_uid);
	for (size_t i = 0; i < s->n_news && err == 0; i++)
		/* one that two pages had stands twice: the latter is taken as a change */
		err = view_change(&s->view, s->news[i].uid, s->news[i].flags, true);
	news_done(s);
	/* what came between the last look and its claim was claimed with it, by nobody else */
	view_set_recent(&s->view, s->recent_from, s->recent_to);
	return err;
}

/* The pages are read: \Recent of what is new, then the client is told. */
static void
changes_read(struct client *c)
{
	struct selected *s = c->sel;
	if (view_has_news(&s->view) &&
	    store_open(c->store, s->mailbox, !s->read_only, true, on_claimed, c) == 0)
		return;
	tell(c);
}

/* The store has forgotten removals since the last look (a session that slept for long): what stands between two UIDs of the list, or
 * behind its end, is gone. What is new in the list comes with the next changes. */
static void
on_all_uids(void *arg, int err, const struct store_uid *u, size_t n, uint32_t next_uid)
{
	struct client *c = arg;
	struct selected *s = c->sel;
	struct view *v = &s->view;
	for (size_t i = 0; err == 0 && i < n; i++) {
		while (s->compare_at < v->n && v->uid[s->compare_at] < u[i].uid)
			view_expunge(v, v->uid[s->compare_at++]);
		if (s->compare_at < v->n && v->uid[s->compare_at] == u[i].uid)
			s->compare_at++;
	}
	if (err == 0 && next_uid != 0)
		err = store_uids(c->store, s->mailbox, next_uid, on_all_uids, c);
	else if (err == 0) {
		while (s->compare_at < v->n)
			view_expunge(v, v->uid[s->compare_at++]);
		s->compare = false;
		changes_read(c);
		return;
	}
	if (err) {
		s->stale = true;
		tell(c);
	}
}

static void
on_changes(void *arg, int err, uint64_t highest, bool more, uint64_t forgotten,
    const struct store_uid *changed, size_t n_changed, const uint32_t *expunged, size_t n_expunged)
{
	struct client *c = arg;
	struct selected *s = c->sel;
	if (err == ERR_GONE || err == ERR_NOTFOUND || err == ERR_DENIED) {
		s->gone = true;
		tell(c);
		return;
	}
	if (err == ERR_EXPIRED)
		client_bye(c, "Session expired, sign in again", "ticket_expired");
	if (err == 0)
		err = apply(c, changed, n_changed, expunged, n_expunged);
	if (err == ERR_NOMEM)
		client_bye(c, "Out of memory", "view_memory");
	if (err) {
		s->stale = s->unread = true; /* try again next time */
		tell(c);
		return;
	}
	s->unread = false;
	if (forgotten > s->view.modseq)
		s->compare = true;
	bool progress = highest > s->view.modseq;
	if (progress)
		s->view.modseq = highest;
	if (more && progress) {
		ask_changes(c);
		return;
	}
	if (add_news(s) != 0)
		client_bye(c, "Out of memory", "view_memory");
	if (!s->stale)
		own_done(s);
	s->compare_at = 0;
	if (s->compare && store_uids(c->store, s->mailbox, 1, on_all_uids, c) == 0)
		return;
	changes_read(c);
}

static void
ask_changes(struct client *c)
{
	struct selected *s = c->sel;
	int err = store_changes(c->store, s->mailbox, s->view.modseq, on_changes, c);
	if (err)
		on_changes(c, err, 0, false, 0, NULL, 0, NULL, 0);
}

/* stored was restarted: the mailbox must still be the same one. */
static void
on_reopened(void *arg, int err, const struct store_opened *o)
{
	struct client *c = arg;
	struct selected *s = c->sel;
	if (err == 0 && o->uidvalidity == s->uidvalidity) {
		s->lost = false;
		selected_rights(s, o->rights);
		ask_changes(c);
		return;
	}
	if (err == 0 || err == ERR_NOTFOUND || err == ERR_GONE || err == ERR_DENIED)
		s->gone = true;
	else
		s->stale = s->unread = true;
	tell(c);
}

void
sync_run(struct client *c, bool ask, bool expunge, void (*done)(struct client *c))
{
	struct selected *s = c->sel;
	if (s == NULL) {
		done(c);
		return;
	}
	if (c->syncing) {
		/* DONE came while IDLE was telling: that look serves. */
		c->sync_done = done;
		return;
	}
	c->syncing = true;
	c->sync_expunge = expunge;
	c->sync_done = done;
	if (s->lost) {
		s->stale = false;
		if (store_open(c->store, s->mailbox, false, true, on_reopened, c) == 0)
			return;
		s->stale = s->unread = true;
	} else if (ask || s->stale) {
		s->stale = false;
		ask_changes(c);
		return;
	}
	tell(c);
}
