/* search_run.c: judges the messages of the selected mailbox by a search program, for SEARCH, SORT and THREAD. Runs in imapd-session.
 * RFC 3501 6.4.4. Looks, each only at what the one before left open: the view (no store), the store's index of texts (what is surely not there), the
 * rows in batches, then message by message header and text parts, pulled in pieces. Every piece comes through the loop, so other clients are served between them. */
#include "config.h"

#include "imapd/search_run.h"

#include <stdlib.h>
#include <time.h>

#include "lib/err.h"

#define BATCH 1000
#define SCATTERED 500  /* messages asked for by number at once */
#define WORTH_ASKING 4 /* messages: for fewer the index is not asked */
#define BATCH_ARENA ((size_t)4 << 20)
#define HEADER_MAX ((uint64_t)MIME_TEXT_HEADER_MAX)
_Static_assert(SEARCH_PROBES_MAX == STORE_NEEDLES_MAX, "one request asks for all");
_Static_assert(
    IMAP_PIECE == MIME_TEXT_PIECE, "a text is searched in the pieces that it was signed in");

static void next_batch(struct cmd *m);
static void next_row(struct cmd *m);
static void look(struct cmd *m);

static void
failed(struct cmd *m, int err)
{
	struct search_run *st = m->state;
	if (st->failed != NULL)
		st->failed(m);
	cmd_err(m, err);
}

static void
message_done(struct search_run *st)
{
	arena_free(st->tree_arena);
	st->tree_arena = NULL;
	st->tree = NULL;
	buf_done(&st->header);
	st->has_header = st->has_text = st->has_documents = false;
	st->stretches = NULL;
}

void
search_run_done(struct search_run *st, bool answers_come)
{
	message_done(st);
	search_scan_done(&st->scan);
	search_scan_done(&st->document_scan);
	ahead_done(&st->ahead, answers_come);
	arena_free(st->batch);
	st->batch = NULL;
	if (st->over != NULL)
		*st->over = true;
	st->over = NULL;
}

static void
found(struct search_run *st, uint32_t index, bool yes, const struct msg_row *row)
{
	st->hit[index] = yes;
	if (yes && st->prog.modseq)
		st->modseq[index] = row->modseq;
}

static struct search_msg
message_of(struct cmd *m, uint32_t index, const struct msg_row *row)
{
	const struct view *v = &m->c->sel->view;
	const struct search_run *st = m->state;
	return (struct search_msg){.seq = index + 1,
	    .uid = v->uid[index],
	    .not_there = st->not_there != NULL ? st->not_there[index] : 0,
	    .documents_may = st->documents_may != NULL ? st->documents_may[index] : 0,
	    .flags = v->flags[index] & (31u | VIEW_RECENT),
	    .row = row};
}

/* ---- octets ---- */

static void
on_bytes(void *arg, int err, struct slice bytes)
{
	struct cmd *m = arg;
	struct search_run *st = m->state;
	if (err == 0 && (bytes.len == 0 || bytes.len > st->end - st->off))
		err = ERR_CORRUPT;
	if (err == ERR_NOTFOUND || err == ERR_GONE) { /* expunged meanwhile: no match */
		message_done(st);
		st->row++;
		next_row(m);
		return;
	}
	if (err) {
		failed(m, err);
		return;
	}
	st->off += bytes.len;
	st->got(m, bytes);
}

static void
ask(struct cmd *m)
{
	struct search_run *st = m->state;
	uint64_t n = st->end - st->off;
	const struct store_content *c = ahead_find(&st->ahead, st->rows[st->row].uid);
	if (c != NULL && st->end <= c->bytes.len) {
		on_bytes(m, 0, slice_sub(c->bytes, (size_t)st->off, (size_t)n));
		return;
	}
	if (n > IMAP_PIECE)
		n = IMAP_PIECE;
	int err = store_body(m->c->store, m->c->sel->mailbox, st->rows[st->row].uid, st->off,
	    (uint32_t)n, on_bytes, m);
	if (err)
		failed(m, err);
}

/* ---- header ---- */

static void
got_header(struct cmd *m, struct slice bytes)
{
	struct search_run *st = m->state;
	buf_append_slice(&st->header, bytes);
	if (st->off < st->end) {
		ask(m);
		return;
	}
	st->has_header = true;
	look(m);
}

static void
read_header(struct cmd *m)
{
	struct search_run *st = m->state;
	st->off = 0;
	st->end = st->rows[st->row].trace.len + st->tree->body_off;
	if (st->end > HEADER_MAX)
		st->end = HEADER_MAX;
	st->got = got_header;
	buf_init(&st->header, HEADER_MAX + IMAP_PIECE);
	if (st->end == 0) {
		st->has_header = true;
		look(m);
	} else {
		ask(m);
	}
}

/* ---- text ---- */

static void
next_stretch(struct cmd *m)
{
	struct search_run *st = m->state;
	while (st->stretches != NULL && !search_scan_is_full(&st->scan)) {
		const struct mime_stretch *s = st->stretches;
		uint64_t trace = st->rows[st->row].trace.len;
		st->stretches = s->next;
		search_scan_part(&st->scan, s->cte, s->charset, s->header);
		st->off = trace + s->off;
		st->end = trace + s->end;
		ask(m);
		return;
	}
	st->has_text = true;
	look(m);
}

static void
got_text(struct cmd *m, struct slice bytes)
{
	struct search_run *st = m->state;
	bool last = st->off == st->end;
	int err = search_scan_feed(&st->scan, bytes, last);
	if (err)
		failed(m, err);
	else if (last || search_scan_is_full(&st->scan))
		next_stretch(m);
	else
		ask(m);
}

static void
read_text(struct cmd *m)
{
	struct search_run *st = m->state;
	int err = mime_stretches(st->tree, st->tree_arena, &st->stretches);
	if (err) {
		failed(m, err);
		return;
	}
	search_scan_again(&st->scan);
	st->got = got_text;
	next_stretch(m);
}

/* ---- documents ---- */

static void ask_document(struct cmd *m);

static void
documents_done(struct cmd *m)
{
	struct search_run *st = m->state;
	st->documents_found = st->document_scan.found;
	st->has_documents = true;
	look(m);
}

static void
on_document(void *arg, int err, struct slice bytes)
{
	struct cmd *m = arg;
	struct search_run *st = m->state;
	bool last = bytes.len < IMAP_PIECE;
	if (err == ERR_NOTFOUND || err == ERR_GONE) { /* expunged, or its text went with it */
		documents_done(m);
		return;
	}
	if (err == 0)
		err = search_scan_feed(&st->document_scan, bytes, last);
	if (err) {
		failed(m, err);
		return;
	}
	st->off += bytes.len;
	if (last || search_scan_is_full(&st->document_scan))
		documents_done(m);
	else
		ask_document(m);
}

static void
ask_document(struct cmd *m)
{
	struct search_run *st = m->state;
	int err = store_text(m->c->store, m->c->sel->mailbox, st->rows[st->row].uid, st->off,
	    IMAP_PIECE, on_document, m);
	if (err)
		failed(m, err);
}

static void
read_documents(struct cmd *m)
{
	struct search_run *st = m->state;
	search_scan_again(&st->document_scan);
	search_scan_part(&st->document_scan, CTE_8BIT, slice_str("utf-8"), false);
	st->off = 0;
	ask_document(m);
}

/* ---- one message ---- */

static void
on_summary(void *arg, int err, struct slice bytes)
{
	struct cmd *m = arg;
	struct search_run *st = m->state;
	if (err == 0) {
		st->tree_arena = arena_new((size_t)16 << 20);
		err = st->tree_arena == NULL ? ERR_NOMEM
					     : mime_tree_decode(bytes, st->tree_arena, &st->tree);
	}
	if (err == ERR_NOTFOUND || err == ERR_GONE) {
		st->row++;
		next_row(m);
	} else if (err) {
		failed(m, err);
	} else {
		look(m);
	}
}

static void
on_ahead(void *arg)
{
	next_row(arg);
}

/* Asks again with what is known by now; what is missing is read. */
static void
look(struct cmd *m)
{
	struct search_run *st = m->state;
	const struct msg_row *row = &st->rows[st->row];
	const struct ahead_want want = {.summaries = true, .all = false};
	int64_t index = view_find(&m->c->sel->view, row->uid);
	struct search_msg msg = message_of(m, (uint32_t)index, row);
	msg.header = buf_slice(&st->header);
	msg.has_header = st->has_header;
	msg.has_text = st->has_text;
	msg.text_found = st->scan.found;
	msg.has_documents = st->has_documents;
	msg.documents_found = st->documents_found;
	enum search_answer ans = search_ask(&st->prog, &msg);
	if (ans == SEARCH_UNKNOWN && st->tree == NULL) {
		const struct store_content *c = ahead_find(&st->ahead, row->uid);
		if (c != NULL) {
			on_summary(m, 0, c->summary);
			return;
		}
		if (ahead_read(&st->ahead, m->c->d->loop, m->c->store, m->c->sel->mailbox, row,
			st->n_rows - st->row, &want, on_ahead, m))
			return;
		int err = store_summary(m->c->store, m->c->sel->mailbox, row->uid, on_summary, m);
		if (err)
			failed(m, err);
		return;
	}
	if (ans == SEARCH_UNKNOWN && (msg.need & SEARCH_NEED_HEADER) && !st->has_header) {
		read_header(m);
		return;
	}
	if (ans == SEARCH_UNKNOWN && (msg.need & SEARCH_NEED_TEXT) && !st->has_text) {
		read_text(m);
		return;
	}
	if (ans == SEARCH_UNKNOWN && (msg.need & SEARCH_NEED_DOCUMENTS) && !st->has_documents) {
		read_documents(m);
		return;
	}
	found(st, (uint32_t)index, ans == SEARCH_YES, row);
	message_done(st);
	st->row++;
	next_row(m);
}

static void
next_row(struct cmd *m)
{
	struct search_run *st = m->state;
	bool over = false;
	st->again = true;
	/* what was read ahead is judged without a turn of the loop: then look() ends here again, which must not go deeper with each message */
	if (st->going)
		return;
	st->going = true;
	st->over = &over;
	while (!over && st->again && st->row < st->n_rows && !m->c->closing) {
		st->again = false;
		look(m);
	}
	if (over)
		return;
	st->going = false;
	st->over = NULL;
	if (st->again && !m->c->closing)
		next_batch(m);
}

/* ---- rows ---- */

static int
keep_row(struct search_run *st, const struct msg_row *row)
{
	struct msg_row *r = &st->rows[st->n_rows++];
	*r = *row;
	r->keywords = arena_slice(st->batch, row->keywords);
	r->envelope = arena_slice(st->batch, row->envelope);
	/* of the trace only the length is needed: the header is read as a whole */
	if ((row->keywords.len && r->keywords.ptr == NULL) ||
	    (row->envelope.len && r->envelope.ptr == NULL))
		return ERR_NOMEM;
	return 0;
}

static void
on_rows(void *arg, int err, const struct msg_row *rows, size_t n, uint32_t next_uid)
{
	struct cmd *m = arg;
	struct search_run *st = m->state;
	const struct view *v = &m->c->sel->view;
	size_t k = st->at;
	st->rows = arena_calloc(st->batch, n + 1, sizeof(*st->rows));
	if (err == 0 && st->rows == NULL)
		err = ERR_NOMEM;
	for (size_t i = 0; err == 0 && i < n; i++) {
		while (k < st->batch_end && v->uid[st->open[k]] < rows[i].uid)
			k++;
		if (k == st->batch_end || v->uid[st->open[k]] != rows[i].uid)
			continue;
		struct search_msg msg = message_of(m, st->open[k], &rows[i]);
		enum search_answer ans = search_ask(&st->prog, &msg);
		if (ans == SEARCH_UNKNOWN)
			err = keep_row(st, &rows[i]);
		else
			found(st, st->open[k], ans == SEARCH_YES, &rows[i]);
	}
	if (err) {
		failed(m, err);
		return;
	}
	st->at = st->batch_end;
	if (next_uid != 0)
		for (st->at = k; st->at < st->batch_end && v->uid[st->open[st->at]] < next_uid;)
			st->at++;
	next_row(m);
}

/* Messages far from one another are asked for by number. */
static int
ask_scattered(struct cmd *m)
{
	struct search_run *st = m->state;
	const struct view *v = &m->c->sel->view;
	size_t n = st->n_open - st->at < SCATTERED ? st->n_open - st->at : SCATTERED;
	uint32_t *uids = arena_calloc(st->batch, n, sizeof(*uids));
	if (uids == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		uids[i] = v->uid[st->open[st->at + i]];
	st->batch_end = st->at + n;
	return store_rows_of(m->c->store, m->c->sel->mailbox, uids, n, on_rows, m);
}

static void
next_batch(struct cmd *m)
{
	struct search_run *st = m->state;
	const struct view *v = &m->c->sel->view;
	int err;
	if (st->at == st->n_open) {
		st->done(m);
		return;
	}
	arena_free(st->batch);
	st->batch = arena_new(BATCH_ARENA);
	st->n_rows = st->row = 0;
	st->batch_end = st->at + 1;
	while (st->batch_end < st->n_open && st->batch_end - st->at < BATCH &&
	       st->open[st->batch_end] - st->open[st->at] < 2 * (st->batch_end - st->at) + 64)
		st->batch_end++;
	if (st->batch == NULL)
		err = ERR_NOMEM;
	else if (st->batch_end < st->n_open && st->batch_end - st->at < SCATTERED)
		err = ask_scattered(m);
	else
		err = store_rows(m->c->store, m->c->sel->mailbox, v->uid[st->open[st->at]],
		    v->uid[st->open[st->batch_end - 1]], on_rows, m);
	if (err)
		failed(m, err);
}

/* ---- the index of the store ---- */

/* What was ruled out may answer as it is: what stays open is looked at. */
static void
narrow(struct cmd *m)
{
	struct search_run *st = m->state;
	size_t n = 0;
	for (size_t i = 0; i < st->n_open; i++) {
		uint32_t index = st->open[i];
		struct search_msg msg = message_of(m, index, NULL);
		enum search_answer ans = search_ask(&st->prog, &msg);
		st->hit[index] = ans == SEARCH_YES;
		if (ans == SEARCH_UNKNOWN || (ans == SEARCH_YES && st->prog.modseq))
			st->open[n++] = index;
	}
	st->n_open = n;
	st->at = 0;
	next_batch(m);
}

static void ask_index(struct cmd *m);

static void
on_candidates(void *arg, int err, uint32_t from, uint32_t next, struct slice known,
    const struct slice *maybe, size_t n)
{
	struct cmd *m = arg;
	struct search_run *st = m->state;
	const struct view *v = &m->c->sel->view;
	/* Without an answer all are looked at: slower, and as right. */
	for (; err == 0 && st->at < st->n_open; st->at++) {
		uint32_t index = st->open[st->at], i = v->uid[index] - from;
		if (v->uid[index] < from || (next != 0 && v->uid[index] >= next))
			break;
		if (i / 8 >= known.len || (known.ptr[i / 8] >> (i % 8) & 1) == 0)
			continue;
		for (size_t k = 0; k < n; k++)
			if ((maybe[k].ptr[i / 8] >> (i % 8) & 1) == 0)
				st->not_there[index] |= 1u << k;
	}
	if (err != 0 || next == 0 || next <= from || st->at == st->n_open)
		narrow(m);
	else
		ask_index(m);
}

static void
ask_index(struct cmd *m)
{
	struct search_run *st = m->state;
	const struct view *v = &m->c->sel->view;
	struct store_needle needles[SEARCH_PROBES_MAX];
	for (uint32_t i = 0; i < st->prog.n_probes; i++) {
		const struct search_key *k = st->prog.probes[i];
		needles[i].where = k->kind == SEARCH_BODY     ? STORE_IN_BODY
				   : k->kind == SEARCH_HEADER ? STORE_IN_HEADER
							      : STORE_IN_HEADER | STORE_IN_BODY;
		/* of a longer one the beginning has to be there, too */
		needles[i].text = slice_sub(k->needle, 0, STORE_NEEDLE_MAX);
	}
	int err = store_candidates(m->c->store, m->c->sel->mailbox, v->uid[st->open[st->at]],
	    v->uid[st->open[st->n_open - 1]], needles, st->prog.n_probes, on_candidates, m);
	if (err)
		failed(m, err);
}

/* Documents: which of the messages that are open may have the texts in theirs. */

static void ask_texts(struct cmd *m);

static void
go_on(struct cmd *m)
{
	struct search_run *st = m->state;
	st->at = 0;
	if (st->not_there != NULL)
		ask_index(m);
	else
		next_batch(m);
}

static void
on_texts(void *arg, int err, const struct store_text_bits *v, size_t n)
{
	struct cmd *m = arg;
	struct search_run *st = m->state;
	const struct view *view = &m->c->sel->view;
	if (err) {
		failed(m, err);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		int64_t index = view_find(view, v[i].uid);
		if (index >= 0 && (size_t)index < view->told)
			st->documents_may[index] = v[i].bits;
	}
	st->at = st->batch_end;
	if (st->at < st->n_open)
		ask_texts(m);
	else
		go_on(m);
}

static void
ask_texts(struct cmd *m)
{
	struct search_run *st = m->state;
	const struct view *v = &m->c->sel->view;
	struct slice needles[STORE_NEEDLES_MAX];
	uint32_t uids[STORE_TEXTS_MAX];
	size_t n = 0, n_needles = 0;
	for (; n_needles < st->prog.n_texts && n_needles < STORE_NEEDLES_MAX; n_needles++)
		needles[n_needles] =
		    slice_sub(st->prog.texts[n_needles]->needle, 0, STORE_NEEDLE_MAX);
	for (st->batch_end = st->at; st->batch_end < st->n_open && n < STORE_TEXTS_MAX;)
		uids[n++] = v->uid[st->open[st->batch_end++]];
	int err = store_texts_maybe(
	    m->c->store, m->c->sel->mailbox, uids, n, needles, n_needles, on_texts, m);
	if (err)
		failed(m, err);
}

/* The first look: what the view alone can answer. */
static int
look_at_view(struct cmd *m, struct search_run *st)
{
	const struct view *v = &m->c->sel->view;
	struct seqset saved;
	if (view_saved_set(v, m->a, &saved) != 0)
		return ERR_NOMEM;
	search_prog_resolve(&st->prog, v->told, v->told > 0 ? v->uid[v->told - 1] : 0, &saved);
	st->prog.now = time(NULL);
	search_scan_init(&st->scan, &st->prog);
	search_scan_init(&st->document_scan, &st->prog);
	st->hit = arena_calloc(m->a, (size_t)v->told + 1, sizeof(*st->hit));
	st->open = arena_calloc(m->a, (size_t)v->told + 1, sizeof(*st->open));
	if (st->prog.modseq)
		st->modseq = arena_calloc(m->a, (size_t)v->told + 1, sizeof(*st->modseq));
	if (st->hit == NULL || st->open == NULL || (st->prog.modseq && st->modseq == NULL))
		return ERR_NOMEM;
	for (uint32_t i = 0; i < v->told; i++) {
		if (v->flags[i] & VIEW_GONE)
			continue;
		struct search_msg msg = message_of(m, i, NULL);
		enum search_answer ans = search_ask(&st->prog, &msg);
		st->hit[i] = ans == SEARCH_YES;
		/* the mod-sequence of what is found stands in its row */
		if (ans == SEARCH_UNKNOWN || (ans == SEARCH_YES && st->prog.modseq))
			st->open[st->n_open++] = i;
	}
	return 0;
}

void
search_run_start(struct cmd *m, struct search_run *st, void (*done)(struct cmd *m),
    void (*on_failure)(struct cmd *m))
{
	st->done = done;
	st->failed = on_failure;
	search_prog_probes(&st->prog);
	int err = look_at_view(m, st);
	if (err == 0 && st->prog.n_probes > 0 && st->n_open >= WORTH_ASKING) {
		st->not_there =
		    arena_calloc(m->a, m->c->sel->view.told + 1, sizeof(*st->not_there));
		err = st->not_there == NULL ? ERR_NOMEM : 0;
	}
	if (err == 0 && m->c->d->search_documents && st->prog.n_texts > 0 && st->n_open > 0) {
		st->documents_may =
		    arena_calloc(m->a, m->c->sel->view.told + 1, sizeof(*st->documents_may));
		err = st->documents_may == NULL ? ERR_NOMEM : 0;
	}
	if (err)
		failed(m, err);
	else if (st->documents_may != NULL)
		ask_texts(m);
	else
		go_on(m);
}

void
search_run_charset(struct cmd *m, struct search_run *st, void (*done)(struct cmd *m),
    void (*on_failure)(struct cmd *m))
{
	int err = search_prog_parse_charset(&m->args, m->a, &st->prog);
	if (err == ERR_SYNTAX) {
		cmd_syntax(m);
		return;
	}
	if (err && on_failure != NULL)
		on_failure(m);
	if (err == ERR_UNSUPPORTED)
		cmd_no(m, "[BADCHARSET (US-ASCII UTF-8)] Charset not known");
	else if (err)
		cmd_err(m, err);
	else
		search_run_start(m, st, done, on_failure);
}
