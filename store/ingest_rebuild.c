/* ingest_rebuild.c: asks stored for bodies whose summaries are to be made anew, one at a time, and makes them as for mail that comes in. Runs in
 * ingest. stored lets it read the body it was handed and no other (store/stored_rebuild.c). */
#include "config.h"

#include <stdlib.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/ingest.h"
#include "store/store_proto.h"

enum { WAIT_MS = 3600000, PIECE_MS = 60000, AGAIN_MS = 1000, BODY_MEM = 128 * 1024 };

struct rebuild_worker {
	struct ingest *in;
	struct ipc_client *ipc;
	struct loop_timer *timer;
	uint64_t job, size, off;
	struct ingest_body body;
};

/* err: how it came that there is nothing to do now. */
static void
ask_later(struct rebuild_worker *w, int err)
{
	ingest_body_done(&w->body);
	loop_timer_set(w->timer, err == 0 || err == ERR_TIMEOUT ? 0 : AGAIN_MS);
}

static void
on_done_told(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	(void)type;
	(void)r;
	(void)fd;
	ask_later(arg, err);
}

/* The message is NULL when it could not be read. */
static void
tell(struct rebuild_worker *w, const struct deliver_message *m)
{
	static const struct deliver_message none;
	struct buf b;
	int err;

	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_u64(&b, w->job);
	ipc_put_u8(&b, m != NULL);
	m = m == NULL ? &none : m;
	ipc_put_slice(&b, m->summary);
	ipc_put_slice(&b, m->envelope);
	ipc_put_i64(&b, m->sent_date);
	ipc_put_slice(&b, m->refs);
	err = ipc_call(w->ipc, STORE_REBUILD_DONE, &b, -1, PIECE_MS, on_done_told, w, NULL);
	buf_done(&b);
	if (err != 0)
		ask_later(w, err);
}

static void
make(struct rebuild_worker *w)
{
	static const unsigned char no_id[16];
	struct ingest_message im;
	int err = ingest_message_init(&im, &w->body, no_id);

	tell(w, err == 0 ? &im.m : NULL);
	ingest_message_done(&im);
}

static void pull(struct rebuild_worker *w);

static void
on_piece(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct rebuild_worker *w = arg;
	struct slice s = {NULL, 0};

	(void)fd;
	if (err == 0 && type == STORE_BYTES) {
		s = ipc_get_slice(r);
		err = ipc_reader_end(r);
	} else if (err == 0) {
		err = ERR_PROTO;
	}
	if (err != 0) { /* stored knows: the body is bad, or it was given to another one */
		ask_later(w, err == ERR_CLOSED ? err : 0);
		return;
	}
	err = s.len == 0 ? ERR_EOF : ingest_body_append(&w->body, s.ptr, s.len);
	w->off += s.len;
	if (err != 0)
		tell(w, NULL);
	else if (w->off < w->size)
		pull(w);
	else
		make(w);
}

static void
pull(struct rebuild_worker *w)
{
	struct buf b;
	int err;

	buf_init(&b, 32);
	ipc_put_u64(&b, w->job);
	ipc_put_u64(&b, w->off);
	err = ipc_call(w->ipc, STORE_REBUILD_PIECE, &b, -1, PIECE_MS, on_piece, w, NULL);
	buf_done(&b);
	if (err != 0)
		ask_later(w, err);
}

static void
on_work(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct rebuild_worker *w = arg;

	(void)fd;
	if (err == 0 && type != STORE_REBUILD_IS)
		err = ERR_PROTO;
	if (err == 0) {
		w->job = ipc_get_u64(r);
		w->size = ipc_get_u64(r);
		(void)ipc_get_u8(r);
		err = ipc_reader_end(r);
	}
	if (err != 0) {
		ask_later(w, err);
		return;
	}
	w->off = 0;
	/* It was taken once, whatever the largest message is today. */
	w->body = (struct ingest_body){.in = w->in, .spool = spool_new(BODY_MEM, w->size)};
	if (w->size == 0)
		make(w);
	else
		pull(w);
}

static void
on_time(void *arg)
{
	struct rebuild_worker *w = arg;
	int err = ipc_call(w->ipc, STORE_REBUILD_WAIT, NULL, -1, WAIT_MS, on_work, w, NULL);

	if (err != 0)
		loop_timer_set(w->timer, AGAIN_MS);
}

struct rebuild_worker *
rebuild_worker_new(struct ingest *in, const char *socket)
{
	static const struct ipc_client_ops ops;
	struct rebuild_worker *w = xcalloc(1, sizeof *w);

	w->in = in;
	w->body.in = in;
	w->ipc = ipc_client_new(in->loop, socket, &store_proto, IPC_INGEST, &ops, w);
	w->timer = loop_timer_new(in->loop, on_time, w);
	loop_timer_set(w->timer, 0);
	return w;
}

void
rebuild_worker_free(struct rebuild_worker *w)
{
	if (w == NULL)
		return;
	ipc_client_free(w->ipc);
	loop_timer_free(w->timer);
	ingest_body_done(&w->body);
	free(w);
}
