/* cmd_store.c: STORE and UID STORE. Runs in imapd-session. RFC 3501 6.4.6, RFC 7162 3.1.3 (UNCHANGEDSINCE). In slices of 5,000 messages; the answers come from the rows after
 * the change, so that they hold the keywords too. */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/qresync.h"
#include "imapd/session.h"
#include "lib/err.h"

#define SLICE 5000

struct store {
	enum store_op op;
	bool silent, some_gone, conditional;
	uint64_t unchanged_since;
	struct buf conflicts; /* uint32_t: numbers or UIDs, as the command has them */
	uint32_t flags;
	struct slice keywords;
	uint32_t *uids;
	size_t n, at, end; /* the slice under way: [at, end) */
	size_t told;       /* rows of the slice told so far */
};
static void next_slice(struct cmd *m);

static void
store_cleanup(struct cmd *m)
{
	struct store *st = m->state;
	buf_done(&st->conflicts);
}

/* RFC 7162 3.1.3: who failed UNCHANGEDSINCE. */
static void
finish_conflicts(struct cmd *m)
{
	struct store *st = m->state;
	struct buf b;
	buf_init(&b, 1000000);
	seqset_format((const uint32_t *)(const void *)st->conflicts.data,
	    st->conflicts.len / sizeof(uint32_t), &b);
	if (st->some_gone && !m->uid)
		cmd_no(m, "[MODIFIED %s] Changed by others; some of the messages are gone",
		    buf_cstr(&b));
	else
		cmd_ok(m, "[MODIFIED %s] Changed by others", buf_cstr(&b));
	buf_done(&b);
}

static void
finish_store(struct cmd *m)
{
	struct store *st = m->state;
	if (st->conflicts.len > 0) {
		finish_conflicts(m);
		return;
	}
	/* RFC 2180 4.2: messages gone by another's hand; their EXPUNGE comes later */
	if (st->some_gone && !m->uid)
		cmd_no(m, "[EXPUNGEISSUED] Some of the messages are gone");
	else
		cmd_ok(m, "Stored");
}

static void
on_rows(void *arg, int err, const struct msg_row *rows, size_t n, uint32_t next_uid)
{
	struct cmd *m = arg;
	struct store *st = m->state;
	struct selected *s = m->c->sel;
	if (err) {
		cmd_err(m, err);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		while (st->told < st->end && st->uids[st->told] < rows[i].uid)
			st->told++;
		int64_t at = view_find(&s->view, rows[i].uid);
		if (at < 0 || st->told == st->end || st->uids[st->told] != rows[i].uid ||
		    rows[i].damaged)
			continue;
		bool recent = (s->view.flags[at] & VIEW_RECENT) && client_shows_recent(m->c);
		struct buf b;
		buf_init(&b, 65536);
		sync_keywords(m->c, rows[i].keywords);
		flags_write(&b, rows[i].flags, recent, rows[i].keywords);
		bool condstore = m->c->enabled & ENABLED_CONDSTORE;
		if (m->uid || condstore)
			buf_appendf(&b, " UID %u", rows[i].uid);
		if (condstore)
			modseq_put(s, rows[i].modseq, &b);
		client_printf(m->c, "* %u FETCH (FLAGS %s)\r\n", (unsigned)at + 1, buf_cstr(&b));
		buf_done(&b);
	}
	uint32_t last = st->uids[st->end - 1];
	if (next_uid != 0 && next_uid <= last) {
		err = store_rows(m->c->store, s->mailbox, next_uid, last, on_rows, m);
		if (err)
			cmd_err(m, err);
		return;
	}
	st->at = st->end;
	next_slice(m);
}

/* What the client now believes the flags to be. */
static uint32_t
expected(const struct store *st, uint32_t was)
{
	was &= 31;
	switch (st->op) {
	case STORE_ADD:
		return was | st->flags;
	case STORE_REMOVE:
		return was & ~st->flags;
	case STORE_SET:
		break;
	}
	return st->flags;
}

/* Whether the client can tell by itself what the message has now. RFC 9051 6.4.6: even after .SILENT it is told when another one changed it: that may have been a
 * keyword, which no view has, so the row that was changed must be one that the view knows. Keywords it had no right to are not there. */
static bool
as_believed(struct cmd *m, uint32_t was, const struct store_flagged *u)
{
	const struct store *st = m->state;
	const struct selected *s = m->c->sel;
	bool may_keywords = slice_index(buf_slice(&s->rights), 'w') >= 0;
	return expected(st, was) == u->flags && u->before <= s->view.modseq &&
	       (may_keywords || st->keywords.len == 0);
}

/* RFC 7162 3.1.3: the new mod-sequence is told even for .SILENT. */
static void
tell_modseq(struct cmd *m, uint32_t seq, const struct store_flagged *u)
{
	struct buf b;
	buf_init(&b, 64);
	modseq_put(m->c->sel, u->modseq, &b);
	client_printf(m->c, "* %u FETCH (UID %u%s)\r\n", seq, u->uid, buf_cstr(&b));
	buf_done(&b);
}

static void
on_flags(void *arg, int err, uint64_t highest, const struct store_flagged *changed,
    size_t n_changed, const uint32_t *conflicts, size_t n_conflicts)
{
	struct cmd *m = arg;
	struct store *st = m->state;
	struct selected *s = m->c->sel;
	if (err) {
		cmd_err(m, err);
		return;
	}
	for (size_t i = 0; i < n_changed; i++) {
		int64_t at = view_find(&s->view, changed[i].uid);
		if (at < 0)
			continue;
		bool known = !st->silent || as_believed(m, s->view.flags[at], &changed[i]);
		view_change(&s->view, changed[i].uid, changed[i].flags, known);
		if (known)
			sync_own(s, changed[i].uid, changed[i].modseq);
		if (st->silent && (m->c->enabled & ENABLED_CONDSTORE))
			tell_modseq(m, (uint32_t)at + 1, &changed[i]);
	}
	sync_own_end(s, highest, changed, n_changed);
	for (size_t i = 0; i < n_conflicts; i++) {
		int64_t at = view_find(&s->view, conflicts[i]);
		uint32_t v = m->uid ? conflicts[i] : (uint32_t)at + 1;
		if (at >= 0)
			buf_append(&st->conflicts, &v, sizeof(v));
	}
	if (st->silent) {
		st->at = st->end;
		next_slice(m);
		return;
	}
	st->told = st->at;
	err = store_rows(
	    m->c->store, s->mailbox, st->uids[st->at], st->uids[st->end - 1], on_rows, m);
	if (err)
		cmd_err(m, err);
}

static void
on_store_drain(struct cmd *m)
{
	m->on_drain = NULL;
	next_slice(m);
}

static void
next_slice(struct cmd *m)
{
	struct store *st = m->state;
	if (st->at == st->n) {
		finish_store(m);
		return;
	}
	if (client_is_full(m->c)) {
		m->on_drain = on_store_drain;
		return;
	}
	st->end = st->n - st->at > SLICE ? st->at + SLICE : st->n;
	int err = store_flags(m->c->store, m->c->sel->mailbox, st->uids + st->at, st->end - st->at,
	    st->op, st->flags, st->keywords, st->conditional ? st->unchanged_since : UINT64_MAX,
	    on_flags, m);
	if (err)
		cmd_err(m, err);
}

/* "FLAGS", "+FLAGS.SILENT", … */
static bool
read_op(struct slice s, struct store *st)
{
	st->op = STORE_SET;
	if (slice_starts(s, "+"))
		st->op = STORE_ADD;
	else if (slice_starts(s, "-"))
		st->op = STORE_REMOVE;
	if (st->op != STORE_SET)
		s = slice_from(s, 1);
	st->silent = slice_caseeq_str(s, "FLAGS.SILENT");
	return st->silent || slice_caseeq_str(s, "FLAGS");
}

/* ["(" modifiers ")" SP]: RFC 4466 2.5. */
static bool
read_modifiers(struct cmd *m, struct store *st)
{
	struct imap_cur *cur = &m->args;
	struct slice word;
	if (!imap_cur_char(cur, '('))
		return true;
	if (!imap_cur_atom(cur, &word) || !slice_caseeq_str(word, "UNCHANGEDSINCE") ||
	    !imap_cur_sp(cur) || !qresync_modseq(cur, &st->unchanged_since) ||
	    !imap_cur_char(cur, ')') || !imap_cur_sp(cur))
		return false;
	st->conditional = true;
	return true;
}

void
cmd_store(struct cmd *m)
{
	struct selected *s = m->c->sel;
	struct store *st = arena_alloc(m->a, sizeof(*st));
	struct seqset set;
	struct slice op;
	if (st == NULL || !imap_cur_sp(&m->args) || !imap_cur_set(&m->args, m->a, &set) ||
	    !imap_cur_sp(&m->args) || !read_modifiers(m, st) || !imap_cur_atom(&m->args, &op) ||
	    !read_op(op, st) || !imap_cur_sp(&m->args) ||
	    !imap_cur_flags(&m->args, m->a, true, &st->flags, &st->keywords) ||
	    !imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	if (s->read_only) {
		cmd_no(m, "[READ-ONLY] The mailbox is open for reading only");
		return;
	}
	m->state = st;
	m->cleanup = store_cleanup;
	buf_init(&st->conflicts, (size_t)64 << 20);
	if (st->conditional)
		condstore_on(m->c);
	uint32_t *all;
	size_t n_all;
	struct seqset again = set;
	int err = view_select(&s->view, &set, m->uid, false, m->a, &all, &n_all);
	if (err == 0) {
		again = set; /* resolved by now */
		err = view_select(&s->view, &again, m->uid, true, m->a, &st->uids, &st->n);
	}
	if (err == ERR_RANGE) {
		cmd_bad(m, "No message of such a number");
		return;
	}
	if (err) {
		cmd_err(m, err);
		return;
	}
	st->some_gone = st->n < n_all;
	next_slice(m);
}
