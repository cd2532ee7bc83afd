/* ingest_rebuild.c: makes summaries of bodies anew, one at a time, as for mail that comes in, where stored asks for it (store/ingest_pull.h, store/stored_rebuild.c). Runs in
 * ingest. */
#include "config.h"

#include <stdlib.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/ingest.h"
#include "store/ingest_pull.h"
#include "store/store_proto.h"

enum { BODY_MEM = 128 * 1024 };

struct rebuild_worker {
	struct ingest *in;
	struct pull *pull;
	struct ingest_body body;
};

/* The message is NULL when it could not be read. */
static void
tell(struct rebuild_worker *w, const struct deliver_message *m)
{
	static const struct deliver_message none;
	struct buf b;

	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_u8(&b, m != NULL);
	m = m == NULL ? &none : m;
	ipc_put_slice(&b, m->summary);
	ipc_put_slice(&b, m->envelope);
	ipc_put_i64(&b, m->sent_date);
	ipc_put_slice(&b, m->refs);
	pull_tell(w->pull, &b);
	buf_done(&b);
}

static int
begin(void *arg, uint64_t size, struct ipc_reader *r)
{
	struct rebuild_worker *w = arg;

	(void)ipc_get_u8(r);
	/* It was taken once, whatever the largest message is today. */
	w->body = (struct ingest_body){.in = w->in, .spool = spool_new(BODY_MEM, size)};
	return 0;
}

static int
take(void *arg, struct slice piece)
{
	struct rebuild_worker *w = arg;

	return ingest_body_append(&w->body, piece.ptr, piece.len);
}

static void
whole(void *arg)
{
	static const unsigned char no_id[16];
	struct rebuild_worker *w = arg;
	struct ingest_message im;
	int err = ingest_message_init(&im, &w->body, no_id);

	tell(w, err == 0 ? &im.m : NULL);
	ingest_message_done(&im);
}

static void
unread(void *arg, int err)
{
	(void)err;
	tell(arg, NULL);
}

static void
drop(void *arg)
{
	struct rebuild_worker *w = arg;

	ingest_body_done(&w->body);
}

struct rebuild_worker *
rebuild_worker_new(struct ingest *in, const char *socket)
{
	static const struct pull_ops ops = {.wait = STORE_REBUILD_WAIT,
	    .is = STORE_REBUILD_IS,
	    .piece = STORE_REBUILD_PIECE,
	    .done = STORE_REBUILD_DONE,
	    .begin = begin,
	    .take = take,
	    .whole = whole,
	    .unread = unread,
	    .drop = drop};
	struct rebuild_worker *w = xcalloc(1, sizeof *w);

	w->in = in;
	w->body.in = in;
	w->pull = pull_new(in->loop, socket, &ops, w);
	return w;
}

void
rebuild_worker_free(struct rebuild_worker *w)
{
	if (w == NULL)
		return;
	pull_free(w->pull);
	free(w);
}
