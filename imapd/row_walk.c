/* row_walk.c: reads rows in batches, headers where rows do not suffice. Runs in imapd-session.
 * Invariants: one request is under way; memory is that of a batch. */
#include "config.h"

#include "imapd/row_walk.h"

#include "lib/err.h"
#include "lib/hdr.h"
#include "lib/mime.h"
#include "lib/msgid.h"

#define BATCH 1000
#define BATCH_ARENA ((size_t)2 << 20)
#define HEADER_MAX IMAP_PIECE /* as ingest reads of it: lib/mime.h mime_limits_default */

static void next_batch(struct row_walk *w);
static void next_slow(struct row_walk *w);

void
row_walk_done(struct row_walk *w)
{
	arena_free(w->batch);
	w->batch = NULL;
}

/* ---- headers ---- */

static void
on_header(void *arg, int err, struct slice bytes)
{
	struct row_walk *w = arg;
	struct msg_row *row = &w->slow[w->slow_next];
	bool gone = err == ERR_NOTFOUND || err == ERR_GONE;
	if (!gone && err == 0) {
		struct buf envelope, refs;
		struct slice header = slice_sub(bytes, 0, hdr_body_offset(bytes));
		buf_init(&envelope, 4 * (size_t)HEADER_MAX);
		buf_init(&refs, MSGID_REFS_SIZE);
		mime_envelope(header, false, &envelope);
		msgid_refs(header, &refs);
		row->envelope = buf_slice(&envelope);
		row->refs = buf_slice(&refs);
		err = w->row(w->m, w->slow_at[w->slow_next], row);
		buf_done(&envelope);
		buf_done(&refs);
	}
	if (err && !gone) {
		cmd_err(w->m, err);
		return;
	}
	w->slow_next++;
	next_slow(w);
}

static void
next_slow(struct row_walk *w)
{
	struct client *c = w->m->c;
	if (c->closing)
		return;
	if (w->slow_next == w->n_slow) {
		next_batch(w);
		return;
	}
	const struct msg_row *row = &w->slow[w->slow_next];
	uint64_t len = row->size < HEADER_MAX ? row->size : HEADER_MAX;
	int err = len == 0 ? ERR_CORRUPT
			   : store_body(c->store, c->sel->mailbox, row->uid, 0, (uint32_t)len,
				 on_header, w);
	if (err)
		cmd_err(w->m, err);
}

/* ---- rows ---- */

static int
take_row(struct row_walk *w, size_t i, const struct msg_row *row)
{
	if (row->envelope.len > 0 && (!w->refs || row->refs.len > 0))
		return w->row(w->m, i, row);
	struct msg_row *s = &w->slow[w->n_slow];
	*s = *row;
	s->keywords = s->trace = s->envelope = s->refs = slice_of("", 0);
	w->slow_at[w->n_slow++] = i;
	return 0;
}

static void
on_rows(void *arg, int err, const struct msg_row *rows, size_t n, uint32_t next_uid)
{
	struct row_walk *w = arg;
	size_t k = w->at;
	w->slow = arena_calloc(w->batch, n + 1, sizeof(*w->slow));
	w->slow_at = arena_calloc(w->batch, n + 1, sizeof(*w->slow_at));
	if (err == 0 && (w->slow == NULL || w->slow_at == NULL))
		err = ERR_NOMEM;
	for (size_t i = 0; err == 0 && i < n; i++) {
		while (k < w->batch_end && w->uids[k] < rows[i].uid)
			k++;
		if (k < w->batch_end && w->uids[k] == rows[i].uid)
			err = take_row(w, k, &rows[i]);
	}
	if (err) {
		cmd_err(w->m, err);
		return;
	}
	w->at = w->batch_end;
	if (next_uid != 0)
		for (w->at = k; w->at < w->batch_end && w->uids[w->at] < next_uid;)
			w->at++;
	next_slow(w);
}

static void
next_batch(struct row_walk *w)
{
	struct client *c = w->m->c;
	arena_free(w->batch);
	w->batch = NULL;
	w->n_slow = w->slow_next = 0;
	if (w->at == w->n) {
		w->done(w->m);
		return;
	}
	/* Not too many rows that nobody asked for. */
	const struct view *v = &c->sel->view;
	int64_t from = view_find(v, w->uids[w->at]);
	w->batch_end = w->at + 1;
	while (
	    w->batch_end < w->n && w->batch_end - w->at < BATCH &&
	    view_find(v, w->uids[w->batch_end]) - from < 2 * (int64_t)(w->batch_end - w->at) + 64)
		w->batch_end++;
	w->batch = arena_new(BATCH_ARENA);
	int err = w->batch == NULL ? ERR_NOMEM
				   : store_rows(c->store, c->sel->mailbox, w->uids[w->at],
					 w->uids[w->batch_end - 1], on_rows, w);
	if (err)
		cmd_err(w->m, err);
}

void
row_walk_start(struct cmd *m, struct row_walk *w)
{
	w->m = m;
	next_batch(w);
}
