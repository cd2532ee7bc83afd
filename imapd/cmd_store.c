/* cmd_store.c: STORE and UID STORE. Runs in imapd-session. RFC 3501 6.4.6. In slices of 5,000 messages; the answers come from the rows after
 * the change, so that they hold the keywords too. */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/session.h"
#include "lib/err.h"

#define SLICE 5000

struct store {
	enum store_op op;
	bool silent, some_gone;
	uint32_t flags;
	struct slice keywords;
	uint32_t *uids;
	size_t n, at, end; /* the slice under way: [at, end) */
	size_t told;       /* rows of the slice told so far */
};
static void next_slice(struct cmd *m);

static void
finish_store(struct cmd *m)
{
	struct store *st = m->state;
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
		if (at < 0 || st->told == st->end || st->uids[st->told] != rows[i].uid)
			continue;
		bool recent = s->view.flags[at] & VIEW_RECENT;
		struct buf b;
		buf_init(&b, 65536);
		sync_keywords(m->c, rows[i].keywords);
		flags_write(&b, rows[i].flags, recent, rows[i].keywords);
		if (m->uid)
			buf_appendf(&b, " UID %u", rows[i].uid);
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

static void
on_flags(void *arg, int err, uint64_t highest, const struct store_uid *changed, size_t n_changed,
    const uint32_t *conflicts, size_t n_conflicts)
{
	struct cmd *m = arg;
	struct store *st = m->state;
	struct selected *s = m->c->sel;
	(void)highest;
	(void)conflicts;
	(void)n_conflicts;
	if (err) {
		cmd_err(m, err);
		return;
	}
	for (size_t i = 0; i < n_changed; i++) {
		int64_t at = view_find(&s->view, changed[i].uid);
		if (at < 0)
			continue;
		bool known = !st->silent || expected(st, s->view.flags[at]) == changed[i].flags;
		view_change(&s->view, changed[i].uid, changed[i].flags, known);
		if (known)
			sync_own(s, changed[i].uid, changed[i].modseq);
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
	    st->op, st->flags, st->keywords, UINT64_MAX, on_flags, m);
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

void
cmd_store(struct cmd *m)
{
	struct selected *s = m->c->sel;
	struct store *st = arena_alloc(m->a, sizeof(*st));
	struct seqset set;
	struct slice op;
	if (st == NULL || !imap_cur_sp(&m->args) || !imap_cur_set(&m->args, m->a, &set) ||
	    !imap_cur_sp(&m->args) || !imap_cur_atom(&m->args, &op) || !read_op(op, st) ||
	    !imap_cur_sp(&m->args) ||
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
