/* stored_rebuild.c: one body at a time goes to an ingest that asks for work, and its summary comes back (stored_rebuild.h). Runs in stored.
 *
 * An ingest that dies over a body, or does not answer, is tried once more with another one; then the body is given up and named. */
#include "store/stored_rebuild.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/msgid.h"
#include "store/deliver_client.h"

#ifndef REBUILD_ANSWER_MS
#define REBUILD_ANSWER_MS 60000 /* from one sign of life of the ingest at work to the next */
#endif
#ifndef REBUILD_NOBODY_MS
#define REBUILD_NOBODY_MS 30000 /* until one asks for work */
#endif
/* A body is tried by so many that read of it; and handed to so many, of whom some may have ended before that. */
enum { PIECE = 256 << 10, TRIES = 2, GIVES = 20 };

/* An ingest without work. */
struct waiter {
	struct waiter *next;
	struct conn *c;
	uint32_t id;
};
static struct {
	struct waiter *waiters;
	uint64_t last; /* number of a job */
	/* the job; fn NULL: there is none */
	uint64_t job, body, size;
	bool header;
	unsigned tries, gives;
	bool read;                 /* by who has it now */
	const struct conn *worker; /* NULL: nobody has it */
	rebuilt_fn fn;
	void *arg;
	struct stored *st;
	struct loop_timer *timer;
} R;

static void
job_over(int err, const struct rebuilt *r)
{
	rebuilt_fn fn = R.fn;

	loop_timer_stop(R.timer);
	R.fn = NULL;
	R.worker = NULL;
	fn(R.arg, err, r);
}

static void
give(void)
{
	struct waiter *w = R.waiters;
	struct buf b;

	loop_timer_set(R.timer, w == NULL ? REBUILD_NOBODY_MS : REBUILD_ANSWER_MS);
	if (w == NULL)
		return;
	R.waiters = w->next;
	R.worker = w->c;
	R.job = ++R.last; /* what a former worker says of it is not heard */
	R.gives++;
	R.read = R.size == 0; /* nothing needs to be read */
	buf_init(&b, 32);
	ipc_put_u64(&b, R.job);
	ipc_put_u64(&b, R.size);
	ipc_put_u8(&b, R.header);
	(void)ipc_reply(w->c->ipc, w->id, STORE_REBUILD_IS, &b, -1);
	buf_done(&b);
	free(w);
}

/* The worker is lost to the job. */
static void
again(void)
{
	R.worker = NULL;
	R.tries += R.read;
	if (R.tries >= TRIES || R.gives >= GIVES)
		job_over(ERR_TIMEOUT, NULL);
	else
		give();
}

static void
on_late(void *arg)
{
	(void)arg;
	if (R.fn == NULL)
		return;
	if (R.worker == NULL) {
		job_over(ERR_TEMP, NULL);
	} else {
		R.read = true; /* it had its time */
		again();
	}
}

void
rebuild_ask(struct stored *st, uint64_t body, uint64_t size, bool header, rebuilt_fn fn, void *arg)
{
	if (R.timer == NULL)
		R.timer = loop_timer_new(st->loop, on_late, NULL);
	R.st = st;
	R.body = body;
	R.header = header;
	R.size = header && size > REBUILD_HEADER_OCTETS ? REBUILD_HEADER_OCTETS : size;
	R.tries = R.gives = 0;
	R.worker = NULL;
	R.fn = fn;
	R.arg = arg;
	give();
}

static void
waiter_drop(const struct conn *c)
{
	for (struct waiter **at = &R.waiters; *at != NULL;) {
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
rebuild_conn_closed(const struct conn *c)
{
	waiter_drop(c);
	if (R.fn != NULL && R.worker == c)
		again();
}

int
on_rebuild_wait(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct waiter *w, **end = &R.waiters;

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	waiter_drop(c);
	w = xcalloc(1, sizeof *w);
	w->c = c;
	w->id = id;
	while (*end != NULL)
		end = &(*end)->next;
	*end = w;
	if (R.fn != NULL && R.worker == c) /* it gave up */
		again();
	else if (R.fn != NULL && R.worker == NULL)
		give();
	return 0;
}

struct piece {
	struct req r;
	uint64_t job;
};

static void
on_piece(void *arg, int err, struct slice value)
{
	struct piece *p = arg;
	struct buf b;

	if (err != 0) {
		req_err(&p->r, err, "body");
		if (R.fn != NULL && R.job == p->job)
			job_over(err, NULL);
	} else {
		buf_init(&b, IPC_FRAME_MAX);
		ipc_put_slice(&b, value);
		req_reply(&p->r, STORE_BYTES, &b);
	}
	free(p);
}

int
on_rebuild_piece(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	uint64_t job = ipc_get_u64(r), off = ipc_get_u64(r);
	struct piece *p;
	uint64_t len;

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	if (R.fn == NULL || R.worker != c || job != R.job || off > R.size) {
		(void)ipc_reply_err(c->ipc, id, ERR_NOTFOUND, "job");
		return 0;
	}
	loop_timer_set(R.timer, REBUILD_ANSWER_MS);
	R.read = true;
	len = R.size - off < PIECE ? R.size - off : PIECE;
	p = xcalloc(1, sizeof *p);
	p->job = job;
	req_init(&p->r, c->st, c->ipc, id, NULL);
	must(c->st->be->ops->body_get(c->st->be, R.body, off, (uint32_t)len, on_piece, p));
	return 0;
}

/* What a process that read hostile mail says of it: bounded here, and decoded with care by whoever reads it later. */
static bool
believable(const struct rebuilt *x)
{
	return (R.header || (x->summary.len > 0 && x->summary.len <= DELIVER_SUMMARY_MAX)) &&
	       x->envelope.len <= DELIVER_ENVELOPE_MAX && x->refs.len <= DELIVER_REFS_MAX &&
	       x->refs.len % 8 == 0;
}

int
on_rebuild_done(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	uint64_t job = ipc_get_u64(r);
	bool made = ipc_get_u8(r) != 0;
	struct rebuilt x;

	x.summary = ipc_get_slice(r);
	x.envelope = ipc_get_slice(r);
	x.sent_date = ipc_get_i64(r);
	x.refs = ipc_get_slice(r);
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	(void)ipc_reply_ok(c->ipc, id);
	if (R.fn == NULL || R.worker != c || job != R.job)
		return 0;
	if (made && believable(&x))
		job_over(0, &x);
	else
		job_over(ERR_LIMIT, NULL);
	return 0;
}
