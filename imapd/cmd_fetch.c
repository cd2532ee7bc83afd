/* cmd_fetch.c: FETCH and UID FETCH. Runs in imapd-session. RFC 3501 6.4.5, 6.4.8, 7.4.2; RFC 7162 3.1.4 (CHANGEDSINCE), 3.2.6 (VANISHED).
 * Rows come in batches; a listing reads nothing else. Sections are cut by the stored MIME tree and stream to the client (fetch_bytes.c).
 * Invariants: between "* n FETCH (" and its ")" nothing else is written; what waits for the store or for the client goes on in fetch_step. */
#include "config.h"

#include "imapd/commands.h"

#include <stdlib.h>
#include <string.h>

#include "imapd/fetch_priv.h"
#include "imapd/fetch_section.h"
#include "imapd/qresync.h"
#include "lib/date.h"
#include "lib/err.h"

#define BATCH_LIGHT 1000
#define BATCH_HEAVY 64 /* messages that become \Seen at once */
#define BATCH_ARENA ((size_t)2 << 20)
#define HEADER_MAX ((uint64_t)1 << 20) /* of a header that fields are picked from */
#define HEAD_PULL 16384                /* most headers end in it */

static void next_batch(struct cmd *m);

static void
fetch_cleanup(struct cmd *m)
{
	struct fetch *st = m->state;
	fetch_message_done(st);
	resync_done(&st->resync);
	buf_done(&st->bytes);
	buf_done(&st->head);
	arena_free(st->batch);
	buf_done(&st->out);
	ahead_done(&st->ahead, m->c->store != NULL);
	loop_timer_free(st->retry);
}

/* ---- items ---- */

static void
put_literal(struct fetch *st, struct slice s)
{
	if (s.len == 0) {
		buf_append_str(&st->out, "\"\"");
		return;
	}
	buf_appendf(&st->out, "{%zu}\r\n", s.len);
	buf_append_slice(&st->out, s);
}

/* Whether the ASCII form of the row lost something that a client with UTF-8 may see: in the local part of an address each octet that is not ASCII
 * became "?" (at least two of them); other texts are encoded words, domains A-labels. A false alarm costs a look at the header. */
static bool
envelope_is_lossy(struct slice env)
{
	return slice_find(env, slice_str("??")) >= 0;
}

/* The header of the message, for an ENVELOPE that was too large for its row, or that says more in UTF-8 than in ASCII. */
static bool
put_envelope(struct cmd *m)
{
	struct fetch *st = m->state;
	const struct msg_row *row = fetch_row(st);
	bool utf8 = client_utf8(m->c);
	if (row->envelope.len > 0 && !(utf8 && envelope_is_lossy(row->envelope))) {
		buf_append_str(&st->out, "ENVELOPE ");
		buf_append_slice(&st->out, row->envelope);
		return true;
	}
	if (st->phase == PHASE_START && !st->tree_known) {
		fetch_tree(m);
		return false;
	}
	if (st->phase != PHASE_BYTES && st->phase != PHASE_FAILED && st->tree != NULL) {
		uint64_t end = row->trace.len + st->tree->body_off;
		if (end > HEADER_MAX)
			end = HEADER_MAX;
		if (end > row->trace.len) {
			fetch_pull(m, 0, end);
			return false;
		}
	}
	buf_append_str(&st->out, "ENVELOPE ");
	struct slice header = st->phase == PHASE_BYTES ? buf_slice(&st->bytes) : slice_of("", 0);
	mime_envelope(header, utf8, &st->out);
	return true;
}

static void
put_flags(struct cmd *m)
{
	struct fetch *st = m->state;
	const struct msg_row *row = fetch_row(st);
	int64_t at = view_find(&m->c->sel->view, row->uid);
	bool recent =
	    at >= 0 && (m->c->sel->view.flags[at] & VIEW_RECENT) && client_shows_recent(m->c);
	buf_append_str(&st->out, "FLAGS ");
	flags_write(&st->out, row->flags, recent, row->keywords);
}

static void
put_date(struct fetch *st, const char *name, int64_t t, int zone)
{
	buf_append_str(&st->out, name);
	buf_append_str(&st->out, " \"");
	size_t at = st->out.len;
	date_imap_format(t, zone, &st->out);
	/* " 1-Feb-2026" is as good by RFC 3501, but not all clients read it */
	if (st->out.len > at && st->out.data[at] == ' ')
		st->out.data[at] = '0';
	buf_append_byte(&st->out, '"');
}

static void
put_modseq(struct cmd *m)
{
	struct fetch *st = m->state;
	struct buf b;
	buf_init(&b, 64);
	modseq_put(m->c->sel, fetch_row(st)->modseq, &b);
	buf_append_slice(&st->out, slice_from(buf_slice(&b), 1));
	buf_done(&b);
}

static void
put_email_id(struct fetch *st)
{
	char id[EMAIL_ID_TEXT];
	email_id_text(fetch_row(st)->email_id, id);
	buf_appendf(&st->out, "EMAILID (%s)", id);
}

/* A header, or the fields picked from it. */
static void
put_header(struct fetch *st, const struct fetch_item *it, struct slice header)
{
	struct buf b;
	buf_init(&b, HEADER_MAX + 65536);
	struct slice s = header;
	if (it->text == FETCH_FIELDS) {
		fetch_section_fields(it, header, &b);
		s = buf_slice(&b);
	}
	if (it->partial)
		s = slice_sub(s, it->off, it->len);
	put_literal(st, s);
	buf_done(&b);
}

static void
put_label(struct fetch *st, const struct fetch_item *it)
{
	buf_append_slice(&st->out, it->label);
	buf_append_byte(&st->out, ' ');
}

enum head { HEAD_WAITS, HEAD_DONE, HEAD_LONG };

/* The message's own header, without asking for the tree: what clients list mailboxes with. It is read once for all items that want it. */
static enum head
put_from_head(struct cmd *m, const struct fetch_item *it)
{
	struct fetch *st = m->state;
	const struct msg_row *row = fetch_row(st);
	if (st->head_long || st->tree_known || row->size == 0)
		return HEAD_LONG;
	if (st->phase == PHASE_START && st->head.len == 0) {
		fetch_pull(m, 0, row->size < HEAD_PULL ? row->size : HEAD_PULL);
		return HEAD_WAITS;
	}
	if (st->phase == PHASE_BYTES) {
		size_t n = hdr_body_offset(buf_slice(&st->bytes));
		if (n == st->bytes.len && n < row->size) {
			st->head_long = true;
			st->phase = PHASE_START;
			return HEAD_LONG;
		}
		buf_reset(&st->head);
		buf_append(&st->head, st->bytes.data, n);
	}
	put_label(st, it);
	if (st->phase == PHASE_FAILED)
		buf_append_str(&st->out, "NIL");
	else
		put_header(st, it, buf_slice(&st->head));
	return HEAD_DONE;
}

static bool
put_section(struct cmd *m, const struct fetch_item *it)
{
	struct fetch *st = m->state;
	uint64_t off, end;
	if (it->n_path == 0 && (it->text == FETCH_HEADER || it->text == FETCH_FIELDS)) {
		enum head head = put_from_head(m, it);
		if (head != HEAD_LONG)
			return head == HEAD_DONE;
	}
	switch (st->phase) {
	case PHASE_DONE:
		return true;
	case PHASE_BYTES:
		put_header(st, it, buf_slice(&st->bytes));
		return true;
	case PHASE_FAILED:
		buf_append_str(&st->out, "NIL");
		return true;
	default:
		break;
	}
	if (!st->tree_known && !fetch_section_is_whole(it)) {
		fetch_tree(m);
		return false;
	}
	put_label(st, it);
	if (!fetch_section_range(it, fetch_row(st), st->tree, &off, &end)) {
		buf_append_str(&st->out, "NIL");
		return true;
	}
	if (it->text == FETCH_FIELDS) {
		if (end - off > HEADER_MAX)
			end = off + HEADER_MAX;
		if (end > off) {
			fetch_pull(m, off, end);
			return false;
		}
		put_header(st, it, slice_of("", 0));
		return true;
	}
	if (it->partial) {
		off = end - off > it->off ? off + it->off : end;
		end = end - off > it->len ? off + it->len : end;
	}
	if (off == end) {
		buf_append_str(&st->out, "\"\"");
		return true;
	}
	fetch_stream(m, off, end);
	return false;
}

/* One item; false: it waits, and fetch_step will be called. */
static bool
put_item(struct cmd *m)
{
	struct fetch *st = m->state;
	const struct msg_row *row = fetch_row(st);
	const struct fetch_item *it = &st->items.items[st->item];
	switch (it->kind) {
	case FETCH_FLAGS:
		put_flags(m);
		return true;
	case FETCH_UID:
		buf_appendf(&st->out, "UID %u", row->uid);
		return true;
	case FETCH_INTERNALDATE:
		put_date(st, "INTERNALDATE", row->internal_date, row->internal_zone);
		return true;
	case FETCH_SAVEDATE:
		put_date(st, "SAVEDATE", row->save_date, date_local_zone(row->save_date));
		return true;
	case FETCH_MODSEQ:
		put_modseq(m);
		return true;
	case FETCH_EMAILID:
		put_email_id(st);
		return true;
	case FETCH_THREADID: /* threads are the client's to find: RFC 8474 5.2 */
		buf_append_str(&st->out, "THREADID NIL");
		return true;
	case FETCH_SIZE:
		buf_append_str(&st->out, "RFC822.SIZE ");
		buf_append_decimal(&st->out, row->size, 0);
		return true;
	case FETCH_ENVELOPE:
		return put_envelope(m);
	case FETCH_BODY:
		return fetch_structure(m, false);
	case FETCH_BODYSTRUCTURE:
		return fetch_structure(m, true);
	case FETCH_PREVIEW:
		return fetch_preview(m, it);
	case FETCH_BINARY_SIZE:
		return fetch_binary(m, it);
	case FETCH_SECTION:
		return it->binary ? fetch_binary(m, it) : put_section(m, it);
	}
	return true;
}

/* ---- messages ---- */

static void
open_message(struct cmd *m)
{
	struct fetch *st = m->state;
	const struct msg_row *row = fetch_row(st);
	int64_t at = view_find(&m->c->sel->view, row->uid);
	sync_keywords(m->c, row->keywords);
	buf_reset(&st->out);
	buf_append_str(&st->out, "* ");
	buf_append_decimal(&st->out, (uint64_t)(at + 1), 0);
	buf_append_str(&st->out, " FETCH (");
	st->open = true;
	st->item = 0;
	st->phase = PHASE_START;
	st->spaced = true;
}

static void
close_message(struct cmd *m)
{
	struct fetch *st = m->state;
	/* RFC 3501 6.4.5: the \Seen that was set is told */
	if (st->seen_now[st->row] && !fetch_items_has(&st->items, FETCH_FLAGS)) {
		buf_append_byte(&st->out, ' ');
		put_flags(m);
	}
	/* RFC 7162 3.2.4: what the command changed is told with UID and MODSEQ */
	if (st->seen_now[st->row] && (m->c->enabled & ENABLED_CONDSTORE)) {
		if (!fetch_items_has(&st->items, FETCH_UID))
			buf_appendf(&st->out, " UID %u", fetch_row(st)->uid);
		if (!fetch_items_has(&st->items, FETCH_MODSEQ))
			modseq_put(m->c->sel, fetch_row(st)->modseq, &st->out);
	}
	buf_append_str(&st->out, ")\r\n");
	if (st->out.err)
		client_close(m->c, "answer_too_large");
	client_write(m->c, buf_slice(&st->out));
	buf_reset(&st->out);
	fetch_message_done(st);
	st->open = false;
	st->row++;
}

static void
on_ahead(void *arg)
{
	fetch_step(arg);
}

void
fetch_step(struct cmd *m)
{
	struct fetch *st = m->state;
	const struct ahead_want want = {.summaries = st->wants_tree, .all = true};
	m->on_drain = NULL;
	while (!m->c->closing) {
		if (st->row == st->n_rows) {
			next_batch(m);
			return;
		}
		if (!st->open && client_is_full(m->c)) {
			m->on_drain = fetch_step;
			return;
		}
		if (!st->open && st->wants_content &&
		    ahead_read(&st->ahead, m->c->d->loop, m->c->store, m->c->sel->mailbox,
			fetch_row(st), st->n_rows - st->row, &want, on_ahead, m))
			return;
		if (!st->open)
			open_message(m);
		if (st->item == st->items.n) {
			close_message(m);
			continue;
		}
		if (st->item > 0 && !st->spaced)
			buf_append_byte(&st->out, ' ');
		st->spaced = true;
		if (!put_item(m)) {
			if (!st->ready)
				return;
			st->ready = false;
			continue;
		}
		st->item++;
		st->phase = PHASE_START;
		st->spaced = false;
	}
}

/* ---- batches ---- */

static int
keep_row(struct fetch *st, const struct msg_row *row)
{
	struct msg_row *r = &st->rows[st->n_rows];
	*r = *row;
	r->keywords = arena_slice(st->batch, row->keywords);
	r->trace = arena_slice(st->batch, row->trace);
	r->envelope = arena_slice(st->batch, row->envelope);
	if ((row->keywords.len && r->keywords.ptr == NULL) ||
	    (row->trace.len && r->trace.ptr == NULL) ||
	    (row->envelope.len && r->envelope.ptr == NULL))
		return ERR_NOMEM;
	bool seen = false;
	for (size_t i = 0; i < st->n_changed && !seen; i++)
		seen = st->changed[i].uid == row->uid;
	st->seen_now[st->n_rows] = seen;
	st->n_rows++;
	return 0;
}

static void
on_rows(void *arg, int err, const struct msg_row *rows, size_t n, uint32_t next_uid)
{
	struct cmd *m = arg;
	struct fetch *st = m->state;
	size_t first = st->at, k = st->at;
	st->rows = arena_calloc(st->batch, n + 1, sizeof(*st->rows));
	st->seen_now = arena_calloc(st->batch, n + 1, sizeof(bool));
	if (st->rows == NULL || st->seen_now == NULL)
		err = err ? err : ERR_NOMEM;
	for (size_t i = 0; err == 0 && i < n; i++) {
		while (k < st->batch_end && st->uids[k] < rows[i].uid)
			k++;
		if (k == st->batch_end || st->uids[k] != rows[i].uid)
			continue;
		if (!rows[i].damaged)
			err = keep_row(st, &rows[i]);
		else if (st->err == 0) /* the others are fetched */
			st->err = ERR_CORRUPT;
	}
	if (err) {
		cmd_err(m, err);
		return;
	}
	st->at = st->batch_end;
	if (next_uid != 0)
		for (st->at = k; st->at < st->batch_end && st->uids[st->at] < next_uid;)
			st->at++;
	if (st->n_rows < st->at - first)
		st->some_gone = true;
	fetch_step(m);
}

static void
ask_rows(struct cmd *m)
{
	struct fetch *st = m->state;
	int err = store_rows(m->c->store, m->c->sel->mailbox, st->uids[st->at],
	    st->uids[st->batch_end - 1], on_rows, m);
	if (err)
		cmd_err(m, err);
}

static void
on_seen(void *arg, int err, uint64_t highest, const struct store_flagged *changed, size_t n_changed,
    const uint32_t *conflicts, size_t n_conflicts)
{
	struct cmd *m = arg;
	struct fetch *st = m->state;
	struct selected *s = m->c->sel;
	(void)conflicts;
	(void)n_conflicts;
	if (err == 0) {
		st->changed = arena_calloc(st->batch, n_changed + 1, sizeof(*changed));
		for (size_t i = 0; st->changed != NULL && i < n_changed; i++) {
			st->changed[st->n_changed++] = changed[i];
			view_change(&s->view, changed[i].uid, changed[i].flags, true);
			sync_own(s, changed[i].uid, changed[i].modseq);
		}
		if (st->n_changed == n_changed)
			sync_own_end(s, highest, changed, n_changed);
	}
	/* Reading goes on when the flag cannot be set (over quota, or no right any more). */
	ask_rows(m);
}

/* Sets \Seen on the messages of the batch that lack it; false when there is nothing to set. */
static bool
set_seen(struct cmd *m)
{
	struct fetch *st = m->state;
	struct selected *s = m->c->sel;
	uint32_t *unseen = arena_calloc(st->batch, st->batch_end - st->at, sizeof(*unseen));
	size_t n = 0;
	for (size_t i = st->at; unseen != NULL && i < st->batch_end; i++) {
		int64_t at = view_find(&s->view, st->uids[i]);
		if (at >= 0 && !(s->view.flags[at] & (MSG_SEEN | VIEW_GONE)))
			unseen[n++] = st->uids[i];
	}
	return n > 0 && store_flags(m->c->store, s->mailbox, unseen, n, STORE_ADD, MSG_SEEN,
			    slice_of("", 0), UINT64_MAX, on_seen, m) == 0;
}

static void
next_batch(struct cmd *m)
{
	struct fetch *st = m->state;
	const struct view *v = &m->c->sel->view;
	if (st->at == st->n) {
		bool lost = st->err == ERR_NOTFOUND || st->err == ERR_GONE;
		st->some_gone = st->some_gone || lost;
		if (st->unknown_cte) /* RFC 3516 4.3 */
			cmd_no(m, "[UNKNOWN-CTE] A part is encoded in an unknown way");
		else if (st->err && !lost)
			cmd_err(m, st->err);
		else if (st->some_gone && !m->uid) /* RFC 2180 4.1.3, RFC 5530 */
			cmd_no(m, "[EXPUNGEISSUED] Some of the messages are gone");
		else
			cmd_ok(m, "Fetched");
		return;
	}
	size_t max = st->sets_seen ? BATCH_HEAVY : BATCH_LIGHT;
	int64_t from = view_find(v, st->uids[st->at]);
	st->batch_end = st->at + 1;
	/* Not too many rows that nobody asked for. */
	while (st->batch_end < st->n && st->batch_end - st->at < max &&
	       view_find(v, st->uids[st->batch_end]) - from <
		   2 * (int64_t)(st->batch_end - st->at) + 64)
		st->batch_end++;
	arena_free(st->batch);
	st->batch = arena_new(BATCH_ARENA);
	st->n_rows = st->row = 0;
	st->n_changed = 0;
	st->changed = NULL;
	if (st->batch == NULL)
		cmd_err(m, ERR_NOMEM);
	else if (!st->sets_seen || !set_seen(m))
		ask_rows(m);
}

/* Of the messages asked for, those that changed. */
static void
on_resync(struct cmd *m, int err)
{
	struct fetch *st = m->state;
	size_t n = 0, k = 0;
	if (err) {
		cmd_err(m, err);
		return;
	}
	for (size_t i = 0; i < st->n; i++) {
		while (k < st->resync.n && st->resync.uids[k] < st->uids[i])
			k++;
		if (k < st->resync.n && st->resync.uids[k] == st->uids[i])
			st->uids[n++] = st->uids[i];
	}
	st->n = n;
	next_batch(m);
}

/* [SP "(" modifiers ")"]: RFC 4466 2.4. */
static bool
read_modifiers(struct cmd *m, struct fetch *st)
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
		if (slice_caseeq_str(word, "CHANGEDSINCE") && !st->changed_since) {
			if (!imap_cur_sp(cur) || !qresync_modseq(cur, &st->resync.since))
				return false;
			st->changed_since = true;
		} else if (slice_caseeq_str(word, "VANISHED") && m->uid &&
			   (m->c->enabled & ENABLED_QRESYNC)) {
			st->resync.want_gone = true;
		} else {
			return false;
		}
	} while (imap_cur_sp(cur));
	return imap_cur_char(cur, ')') && imap_cur_end(cur) &&
	       (st->changed_since || !st->resync.want_gone);
}

/* RFC 7162 3.1.4.1: MODSEQ comes with CHANGEDSINCE, unasked. */
static void
fetch_condstore(struct cmd *m, struct fetch *st)
{
	if (st->changed_since)
		fetch_items_want(&st->items, FETCH_MODSEQ, false);
	if (fetch_items_has(&st->items, FETCH_MODSEQ))
		condstore_on(m->c);
	st->resync.m = m;
	st->resync.done = on_resync;
}

/* Whether the MIME tree is not needed for it, as a rule: where it is it will be asked for. */
static bool
is_treeless(const struct fetch_item *it)
{
	switch (it->kind) {
	case FETCH_BODY:
	case FETCH_BODYSTRUCTURE:
	case FETCH_PREVIEW:
	case FETCH_BINARY_SIZE:
		return false;
	case FETCH_SECTION:
		return !it->binary && (fetch_section_is_whole(it) ||
					  (it->n_path == 0 && (it->text == FETCH_HEADER ||
								  it->text == FETCH_FIELDS)));
	default:
		return true;
	}
}

void
cmd_fetch(struct cmd *m)
{
	struct selected *s = m->c->sel;
	struct fetch *st = arena_alloc(m->a, sizeof(*st));
	struct seqset set;
	if (st == NULL || !imap_cur_sp(&m->args) || !imap_cur_set(&m->args, m->a, &set) ||
	    !imap_cur_sp(&m->args) || !fetch_items_parse(&m->args, m->a, &st->items) ||
	    !read_modifiers(m, st)) {
		cmd_syntax(m);
		return;
	}
	if (m->uid)
		fetch_items_want(&st->items, FETCH_UID, true);
	buf_init(&st->out, IMAP_OUT_CAP / 2);
	buf_init(&st->bytes, HEADER_MAX + 65536);
	buf_init(&st->head, HEAD_PULL);
	m->state = st;
	m->cleanup = fetch_cleanup;
	for (size_t i = 0; i < st->items.n; i++)
		st->wants_content |=
		    (st->items.items[i].kind == FETCH_SECTION && !st->items.items[i].partial) ||
		    (st->items.items[i].kind == FETCH_PREVIEW && !st->items.items[i].lazy);
	for (size_t i = 0; i < st->items.n; i++)
		st->wants_tree |= !is_treeless(&st->items.items[i]);
	for (size_t i = 0; i < st->items.n; i++)
		if (st->items.items[i].kind == FETCH_SECTION && !st->items.items[i].peek)
			st->sets_seen = s->may_seen && !s->read_only;
	fetch_condstore(m, st);
	/* before view_select, which takes "*" for what is there: 5:* may name UIDs that vanished */
	int err = st->resync.want_gone ? seqset_copy(&set, m->a, &st->known) : 0;
	if (err == 0)
		err = view_select(&s->view, &set, m->uid, false, m->a, &st->uids, &st->n);
	if (err == ERR_RANGE) {
		cmd_bad(m, "No message of such a number");
	} else if (err) {
		cmd_err(m, err);
	} else if (st->changed_since) {
		if (st->resync.want_gone) {
			seqset_resolve(&st->known, s->uidnext - 1);
			st->resync.known = &st->known;
		}
		resync_run(&st->resync);
	} else {
		next_batch(m);
	}
}
