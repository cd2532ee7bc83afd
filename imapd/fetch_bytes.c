/* fetch_bytes.c: pulls octets of a message from the store, for FETCH: into memory (headers) or straight to the client (sections). Runs in
 * imapd-session. Invariants: at most one piece of IMAP_PIECE is held; the next is asked for when the client has taken the last ones; a
 * literal that was begun is finished with its exact octets, or the connection ends. */
#include "config.h"

#include "imapd/fetch_priv.h"

#include <stdlib.h>

#include "lib/err.h"

#define RETRY_MS 250
#define RETRIES_MAX 80 /* 20 s: stored comes back in well under that */

static void ask(struct cmd *m);

void
fetch_go_on(struct cmd *m, enum fetch_phase phase)
{
	struct fetch *st = m->state;
	st->phase = phase;
	fetch_step(m);
}

void
fetch_failed(struct cmd *m, int err)
{
	struct fetch *st = m->state;
	if (st->literal_open) {
		client_close(m->c, "body_lost");
		return;
	}
	if (st->err == 0)
		st->err = err;
	fetch_go_on(m, PHASE_FAILED);
}

static void
on_retry(void *arg)
{
	ask(arg);
}

static void
on_stream_drain(struct cmd *m)
{
	m->on_drain = NULL;
	ask(m);
}

static void
streamed(struct cmd *m, struct slice bytes)
{
	struct fetch *st = m->state;
	struct client *c = m->c;
	if (!st->literal_open) {
		buf_appendf(&st->out, "{%llu}\r\n", (unsigned long long)(st->end - st->off));
		client_write(c, buf_slice(&st->out));
		buf_reset(&st->out);
		st->literal_open = true;
	}
	client_write(c, bytes);
	st->off += bytes.len;
	if (st->off == st->end) {
		st->literal_open = false;
		fetch_go_on(m, PHASE_DONE);
	} else if (client_is_full(c)) {
		m->on_drain = on_stream_drain;
	} else {
		ask(m);
	}
}

static void
on_bytes(void *arg, int err, struct slice bytes)
{
	struct cmd *m = arg;
	struct fetch *st = m->state;
	bool again = err == ERR_TEMP || err == ERR_CLOSED || err == ERR_TIMEOUT;
	if (again && st->retries++ < RETRIES_MAX) {
		if (st->retry == NULL)
			st->retry = loop_timer_new(m->c->d->loop, on_retry, m);
		loop_timer_set(st->retry, RETRY_MS);
		return;
	}
	if (err == 0 && (bytes.len == 0 || bytes.len > st->end - st->off))
		err = ERR_CORRUPT;
	if (err) {
		fetch_failed(m, err);
		return;
	}
	st->retries = 0;
	if (st->decoding) {
		st->off += bytes.len;
		fetch_decoded(m, bytes);
		return;
	}
	if (st->streaming) {
		streamed(m, bytes);
		return;
	}
	st->off += bytes.len;
	if (buf_append_slice(&st->bytes, bytes) != 0)
		fetch_failed(m, ERR_LIMIT);
	else if (st->off == st->end)
		fetch_go_on(m, PHASE_BYTES);
	else
		ask(m);
}

static void
ask(struct cmd *m)
{
	struct fetch *st = m->state;
	uint64_t n = st->end - st->off;
	if (n > IMAP_PIECE)
		n = IMAP_PIECE;
	int err = store_body(
	    m->c->store, m->c->sel->mailbox, fetch_row(st)->uid, st->off, (uint32_t)n, on_bytes, m);
	if (err)
		fetch_failed(m, err);
}

void
fetch_again(struct cmd *m, uint64_t off, uint64_t end)
{
	struct fetch *st = m->state;
	st->off = off;
	st->end = end;
	st->retries = 0;
	ask(m);
}

void
fetch_ask_when_drained(struct cmd *m)
{
	if (client_is_full(m->c))
		m->on_drain = on_stream_drain;
	else
		ask(m);
}

/* [off, end) of the message under way, when it was read ahead. */
static bool
is_ahead(struct fetch *st, uint64_t off, uint64_t end, struct slice *bytes_out)
{
	const struct store_content *c = ahead_find(&st->ahead, fetch_row(st)->uid);
	if (c == NULL || off >= end || end > c->bytes.len)
		return false;
	*bytes_out = slice_sub(c->bytes, (size_t)off, (size_t)(end - off));
	return true;
}

void
fetch_pull(struct cmd *m, uint64_t off, uint64_t end)
{
	struct fetch *st = m->state;
	struct slice bytes;
	if (is_ahead(st, off, end, &bytes)) {
		buf_reset(&st->bytes);
		bool good = buf_append_slice(&st->bytes, bytes) == 0;
		if (!good && st->err == 0)
			st->err = ERR_LIMIT;
		st->phase = good ? PHASE_BYTES : PHASE_FAILED;
		st->ready = true;
		return;
	}
	st->off = off;
	st->end = end;
	st->streaming = false;
	st->retries = 0;
	buf_reset(&st->bytes);
	ask(m);
}

void
fetch_stream(struct cmd *m, uint64_t off, uint64_t end)
{
	struct fetch *st = m->state;
	struct slice bytes;
	if (is_ahead(st, off, end, &bytes)) {
		buf_appendf(&st->out, "{%zu}\r\n", bytes.len);
		client_write(m->c, buf_slice(&st->out));
		buf_reset(&st->out);
		client_write(m->c, bytes);
		st->phase = PHASE_DONE;
		st->ready = true;
		return;
	}
	st->off = off;
	st->end = end;
	st->streaming = true;
	st->retries = 0;
	st->phase = PHASE_STREAM;
	ask(m);
}

static void
take_summary(struct fetch *st, int err, struct slice bytes)
{
	st->tree_known = true;
	if (err == 0) {
		st->tree_arena = arena_new((size_t)16 << 20);
		err = st->tree_arena == NULL ? ERR_NOMEM
					     : mime_tree_decode(bytes, st->tree_arena, &st->tree);
	}
	if (err) {
		st->tree = NULL;
		if (st->err == 0)
			st->err = err;
	}
}

static void
on_summary(void *arg, int err, struct slice bytes)
{
	struct cmd *m = arg;
	take_summary(m->state, err, bytes);
	fetch_go_on(m, PHASE_TREE);
}

void
fetch_tree(struct cmd *m)
{
	struct fetch *st = m->state;
	const struct store_content *c = ahead_find(&st->ahead, fetch_row(st)->uid);
	if (c != NULL && st->wants_tree) {
		take_summary(st, 0, c->summary);
		st->phase = PHASE_TREE;
		st->ready = true;
		return;
	}
	int err = store_summary(m->c->store, m->c->sel->mailbox, fetch_row(st)->uid, on_summary, m);
	if (err) {
		st->tree_known = true;
		if (st->err == 0)
			st->err = err;
		fetch_go_on(m, PHASE_TREE);
	}
}

void
fetch_message_done(struct fetch *st)
{
	arena_free(st->tree_arena);
	st->tree_arena = NULL;
	st->tree = NULL;
	st->tree_known = false;
	buf_reset(&st->bytes);
	buf_reset(&st->head);
	st->head_long = false;
	st->decoding = false;
	free(st->whole);
	st->whole = NULL;
	st->embedded = NULL;
	st->n_embedded = st->embedded_at = 0;
}
