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
#include "store/stored_handout.h"

#ifndef REBUILD_ANSWER_MS
#define REBUILD_ANSWER_MS 60000 /* from one sign of life of the ingest at work to the next */
#endif
#ifndef REBUILD_NOBODY_MS
#define REBUILD_NOBODY_MS 30000 /* until one asks for work */
#endif
/* A body is tried by so many that read of it; and handed to so many, of whom some may have ended before that. */
enum { TRIES = 2, GIVES = 20 };

static void on_bad(int err);

static struct {
	struct handout out;
	/* the job; fn NULL: there is none */
	uint64_t body, size;
	bool header;
	unsigned tries, gives;
	bool read; /* by who has it now */
	rebuilt_fn fn;
	void *arg;
	struct stored *st;
	struct loop_timer *timer;
} R = {.out = {.is = STORE_REBUILD_IS, .bad = on_bad}};

static void
job_over(int err, const struct rebuilt *r)
{
	rebuilt_fn fn = R.fn;

	loop_timer_stop(R.timer);
	R.fn = NULL;
	handout_take_back(&R.out);
	fn(R.arg, err, r);
}

static void
on_bad(int err)
{
	job_over(err, NULL);
}

static void
give(void)
{
	struct buf rest;
	bool given;

	buf_init(&rest, 8);
	ipc_put_u8(&rest, R.header);
	given = handout_give(&R.out, R.size, &rest);
	buf_done(&rest);
	loop_timer_set(R.timer, given ? REBUILD_ANSWER_MS : REBUILD_NOBODY_MS);
	R.gives += given;
	R.read = given && R.size == 0; /* nothing needs to be read */
}

/* The worker is lost to the job. */
static void
again(void)
{
	handout_take_back(&R.out);
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
	if (R.out.worker == NULL) {
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
	handout_take_back(&R.out);
	R.fn = fn;
	R.arg = arg;
	give();
}

void
rebuild_conn_closed(const struct conn *c)
{
	if (handout_gone(&R.out, c))
		again();
}

int
on_rebuild_wait(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	handout_wait(&R.out, c, id);
	if (R.out.worker == c) /* it gave up */
		again();
	else if (R.fn != NULL && R.out.worker == NULL)
		give();
	return 0;
}

int
on_rebuild_piece(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	bool by_worker;
	int err = handout_piece(&R.out, c, id, r, R.body, R.size, &by_worker);

	if (by_worker) {
		loop_timer_set(R.timer, REBUILD_ANSWER_MS);
		R.read = true;
	}
	return err;
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
	if (!handout_has(&R.out, c, job))
		return 0;
	if (made && believable(&x))
		job_over(0, &x);
	else
		job_over(ERR_LIMIT, NULL);
	return 0;
}
