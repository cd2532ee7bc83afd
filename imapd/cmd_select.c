/* cmd_select.c: SELECT and EXAMINE. Runs in imapd-session. RFC 3501 6.3.1, 6.3.2; RFC 7162 3.1.8 (CONDSTORE), 3.2.5 (QRESYNC); RFC 8474 4.1. */
#include "config.h"

#include "imapd/commands.h"

#include <stdlib.h>

#include "imapd/qresync.h"
#include "imapd/session.h"
#include "lib/err.h"
#include "lib/log.h"

struct select {
	bool examine, qresync, condstore;
	struct selected *s; /* until it is the client's */
	uint32_t recent_from, attrs;
	struct slice name;
	struct qresync_args args;
	struct resync resync;
};

static void
select_cleanup(struct cmd *m)
{
	struct select *st = m->state;
	selected_free(st->s);
	resync_done(&st->resync);
}

void
client_unselect(struct client *c)
{
	if (c->sel == NULL)
		return;
	if (c->store != NULL)
		store_unwatch(c->store, c->sel->mailbox);
	selected_free(c->sel);
	c->sel = NULL;
	c->state = CLIENT_AUTH;
}

static void
select_failed(struct cmd *m, int err)
{
	struct select *st = m->state;
	if (st->s != NULL && m->c->store != NULL)
		store_unwatch(m->c->store, st->s->mailbox);
	cmd_err(m, err);
}

/* RFC 3501 7.1 PERMANENTFLAGS: what this client may change. RFC 4314: s for \Seen, t for \Deleted, w for the others. */
static void
tell_permanent(struct client *c, const struct selected *s)
{
	struct buf b;
	bool w = slice_index(buf_slice(&s->rights), 'w') >= 0;
	bool t = slice_index(buf_slice(&s->rights), 't') >= 0;
	uint32_t may = (s->may_seen ? MSG_SEEN : 0) | (t ? MSG_DELETED : 0) |
		       (w ? MSG_ANSWERED | MSG_FLAGGED | MSG_DRAFT : 0);
	buf_init(&b, 262144);
	if (s->read_only) {
		buf_append_str(&b, "()");
	} else {
		flags_write(&b, may, false, w ? buf_slice(&s->keywords) : slice_of("", 0));
		if (w) {
			buf_truncate(&b, b.len - 1);
			buf_append_str(&b, " \\*)");
		}
	}
	client_printf(c, "* OK [PERMANENTFLAGS %s] May be changed\r\n", buf_cstr(&b));
	buf_done(&b);
}

static void
select_ok(struct client *c)
{
	cmd_ok(c->cmd, c->sel->read_only ? "[READ-ONLY] Selected" : "[READ-WRITE] Selected");
}

/* The client learns of changed flags as it does of others' changes. */
static void
on_resync(struct cmd *m, int err)
{
	struct select *st = m->state;
	struct view *v = &m->c->sel->view;
	if (err) {
		client_unselect(m->c);
		cmd_err(m, err);
		return;
	}
	for (size_t i = 0; i < st->resync.n; i++) {
		int64_t at = view_find(v, st->resync.uids[i]);
		if (at >= 0)
			view_touch(v, (uint32_t)at);
	}
	sync_run(m->c, false, true, select_ok);
}

static void
select_resync(struct cmd *m)
{
	struct select *st = m->state;
	st->resync = (struct resync){.m = m,
	    .since = st->args.modseq,
	    .known = st->args.has_known ? &st->args.known : NULL,
	    .above = qresync_match(&m->c->sel->view, &st->args),
	    .want_gone = true,
	    .done = on_resync};
	resync_run(&st->resync);
}

static void
select_done(struct cmd *m)
{
	struct select *st = m->state;
	struct client *c = m->c;
	struct selected *s = st->s;
	struct buf b;
	st->s = NULL;
	c->sel = s;
	c->state = CLIENT_SELECTED;
	view_announce(&s->view);
	if (s->view.n > 0 && s->view.uid[s->view.n - 1] >= s->uidnext)
		s->uidnext = s->view.uid[s->view.n - 1] + 1;
	buf_init(&b, 262144);
	flags_write(&b, 31, false, buf_slice(&s->keywords));
	client_printf(c, "* FLAGS %s\r\n* %u EXISTS\r\n", buf_cstr(&b), s->view.n);
	buf_done(&b);
	uint32_t unseen = view_first_unseen(&s->view);
	if (client_shows_recent(c))
		client_printf(c, "* %u RECENT\r\n", view_recent(&s->view));
	else
		mbox_tell_list(m, st->name, st->attrs, "", false);
	if (unseen > 0 && client_shows_recent(c))
		client_printf(c, "* OK [UNSEEN %u] First unseen message\r\n", unseen);
	tell_permanent(c, s);
	client_printf(c,
	    "* OK [UIDVALIDITY %u] UIDs are valid\r\n* OK [UIDNEXT %u] Next UID\r\n"
	    "* OK [HIGHESTMODSEQ %llu] Mod-sequences are kept\r\n"
	    "* OK [MAILBOXID (F%016llx)] Its identity\r\n",
	    s->uidvalidity, s->uidnext, (unsigned long long)s->view.modseq,
	    (unsigned long long)s->mailbox);
	if (st->qresync && st->args.uidvalidity == s->uidvalidity)
		select_resync(m);
	else
		select_ok(c);
}

static void
on_uids(void *arg, int err, const struct store_uid *u, size_t n, uint32_t next_uid)
{
	struct cmd *m = arg;
	struct select *st = m->state;
	for (size_t i = 0; err == 0 && i < n; i++)
		err = view_add(&st->s->view, u[i].uid, u[i].flags);
	if (err == 0 && next_uid != 0)
		err = store_uids(m->c->store, st->s->mailbox, next_uid, on_uids, m);
	else if (err == 0) {
		view_set_recent(&st->s->view, st->recent_from, st->s->uidnext);
		select_done(m);
		return;
	}
	if (err)
		select_failed(m, err);
}

void
selected_rights(struct selected *s, struct slice rights)
{
	buf_reset(&s->rights);
	buf_append_slice(&s->rights, rights);
	struct slice r = buf_slice(&s->rights);
	s->may_seen = !s->examine && slice_index(r, 's') >= 0;
	/* RFC 4314 5.2: read-only when nothing may be changed. */
	bool any = false;
	for (const char *p = "istwex"; *p != '\0'; p++)
		any = any || slice_index(r, (unsigned char)*p) >= 0;
	s->read_only = s->examine || !any;
}

static void
on_opened(void *arg, int err, const struct store_opened *o)
{
	struct cmd *m = arg;
	struct select *st = m->state;
	struct selected *s = st->s;
	if (err) {
		select_failed(m, err);
		return;
	}
	s->uidvalidity = o->uidvalidity;
	s->uidnext = o->uidnext;
	s->view.modseq = o->highest_modseq;
	buf_append_slice(&s->keywords, o->keywords);
	s->examine = st->examine;
	selected_rights(s, o->rights);
	st->recent_from = o->recent_from;
	err = store_uids(m->c->store, s->mailbox, 1, on_uids, m);
	if (err)
		select_failed(m, err);
}

static void
on_found(struct cmd *m, int err, const struct mbox *b)
{
	struct select *st = m->state;
	if (err == 0 && !mbox_has_right(b, 'r'))
		err = ERR_DENIED;
	if (err) {
		cmd_err(m, err);
		return;
	}
	/* An agency's mailbox is shown without its use, as LIST has it. */
	st->attrs = b->share.len == 0 ? b->attrs : 0;
	st->s = xcalloc(1, sizeof(*st->s));
	view_init(&st->s->view);
	buf_init(&st->s->keywords, 131072);
	buf_init(&st->s->rights, 64);
	st->s->mailbox = b->id;
	err = store_open(m->c->store, b->id, !st->examine, true, on_opened, m);
	if (err)
		select_failed(m, err);
}

/* [SP "(" parameters ")"]: RFC 4466 2.1. */
static bool
read_params(struct cmd *m, struct select *st)
{
	struct imap_cur *cur = &m->args;
	struct slice word;
	if (imap_cur_end(cur))
		return true;
	if (!imap_cur_sp(cur) || !imap_cur_char(cur, '('))
		return false;
	do {
		if (!imap_cur_atom(cur, &word))
			return false;
		if (slice_caseeq_str(word, "CONDSTORE")) {
			st->condstore = true;
		} else if (slice_caseeq_str(word, "QRESYNC") && !st->qresync) {
			/* RFC 7162 3.2.5: ENABLE QRESYNC comes first */
			if (!(m->c->enabled & ENABLED_QRESYNC) ||
			    !qresync_parse(cur, m->a, &st->args))
				return false;
			st->qresync = true;
		} else {
			return false;
		}
	} while (imap_cur_sp(cur));
	return imap_cur_char(cur, ')') && imap_cur_end(cur);
}

static void
run_select(struct cmd *m, bool examine)
{
	struct select *st = arena_alloc(m->a, sizeof(*st));
	if (st == NULL || !cmd_mailbox_arg(m, &st->name) || !read_params(m, st)) {
		cmd_syntax(m);
		return;
	}
	st->examine = examine;
	m->state = st;
	m->cleanup = select_cleanup;
	/* RFC 3501 6.3.1: the old mailbox is left before the new one is tried. */
	if (m->c->sel != NULL && (m->c->enabled & (ENABLED_QRESYNC | ENABLED_REV2)))
		client_printf(m->c, "* OK [CLOSED] The mailbox that was selected is closed\r\n");
	client_unselect(m->c);
	if (st->condstore)
		condstore_on(m->c);
	mbox_find(m, st->name, on_found);
}

void
cmd_select(struct cmd *m)
{
	run_select(m, false);
}

void
cmd_examine(struct cmd *m)
{
	run_select(m, true);
}
