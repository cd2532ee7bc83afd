/* stored_handout.c: see stored_handout.h. Runs in stored. */
#include "store/stored_handout.h"

#include <stdlib.h>

#include "lib/err.h"
#include "lib/log.h"

enum { PIECE = 256 << 10 };

/* An ingest without work. */
struct waiter {
	struct waiter *next;
	struct conn *c;
	uint32_t id;
};

static void
drop(struct handout *h, const struct conn *c)
{
	for (struct waiter **at = &h->waiters; *at != NULL;) {
		struct waiter *w = *at;

		if (w->c != c) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		(void)ipc_reply_err(w->c->ipc, w->id, ERR_CANCELED, "asked again");
		free(w);
	}
}

void
handout_wait(struct handout *h, struct conn *c, uint32_t id)
{
	struct waiter *w, **end = &h->waiters;

	drop(h, c);
	w = xcalloc(1, sizeof *w);
	w->c = c;
	w->id = id;
	while (*end != NULL)
		end = &(*end)->next;
	*end = w;
}

bool
handout_gone(struct handout *h, const struct conn *c)
{
	drop(h, c);
	return h->worker == c;
}

bool
handout_give(struct handout *h, uint64_t octets, const struct buf *rest)
{
	struct waiter *w = h->waiters;
	struct buf b;

	if (w == NULL)
		return false;
	h->waiters = w->next;
	h->worker = w->c;
	h->job = ++h->last;
	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_u64(&b, h->job);
	ipc_put_u64(&b, octets);
	if (rest != NULL)
		buf_append_slice(&b, buf_slice(rest));
	(void)ipc_reply(w->c->ipc, w->id, h->is, &b, -1);
	buf_done(&b);
	free(w);
	return true;
}

void
handout_take_back(struct handout *h)
{
	h->worker = NULL;
	h->job = 0;
}

bool
handout_has(const struct handout *h, const struct conn *c, uint64_t job)
{
	return h->worker == c && job == h->job && job != 0;
}

struct piece {
	struct req r;
	struct handout *h;
	uint64_t job;
};

static void
on_piece(void *arg, int err, struct slice value)
{
	struct piece *p = arg;
	struct buf b;

	if (err != 0) {
		req_err(&p->r, err, "body");
		if (p->h->job == p->job)
			p->h->bad(err);
	} else {
		buf_init(&b, IPC_FRAME_MAX);
		ipc_put_slice(&b, value);
		req_reply(&p->r, STORE_BYTES, &b);
	}
	free(p);
}

int
handout_piece(struct handout *h, struct conn *c, uint32_t id, struct ipc_reader *r, uint64_t body,
    uint64_t octets, bool *by_worker_out)
{
	uint64_t job = ipc_get_u64(r), off = ipc_get_u64(r), len;
	struct piece *p;

	*by_worker_out = false;
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	if (!handout_has(h, c, job) || off > octets) {
		(void)ipc_reply_err(c->ipc, id, ERR_NOTFOUND, "job");
		return 0;
	}
	*by_worker_out = true;
	len = octets - off < PIECE ? octets - off : PIECE;
	p = xcalloc(1, sizeof *p);
	p->h = h;
	p->job = job;
	req_init(&p->r, c->st, c->ipc, id, NULL);
	must(c->st->be->ops->body_get(c->st->be, body, off, (uint32_t)len, on_piece, p));
	return 0;
}
