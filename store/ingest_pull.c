/* ingest_pull.c: see ingest_pull.h. Runs in ingest. */
#include "config.h"

#include "store/ingest_pull.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/store_proto.h"

enum { WAIT_MS = 3600000, PIECE_MS = 60000, AGAIN_MS = 1000 };

struct pull {
	const struct pull_ops *ops;
	void *arg;
	struct ipc_client *ipc;
	struct loop_timer *timer;
	uint64_t job, size, off;
	bool ending;
};

/* err: how it came that there is nothing to do now. */
static void
ask_later(struct pull *p, int err)
{
	p->ops->drop(p->arg);
	loop_timer_set(p->timer, err == 0 || err == ERR_TIMEOUT ? 0 : AGAIN_MS);
}

static void
on_done_told(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct pull *p = arg;

	(void)type;
	(void)r;
	if (fd >= 0)
		close(fd);
	if (!p->ending)
		ask_later(p, err);
}

void
pull_tell(struct pull *p, const struct buf *told)
{
	int err = told == NULL ? ERR_TEMP : told->err;
	struct buf b;

	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_u64(&b, p->job);
	if (err == 0)
		err = buf_append_slice(&b, buf_slice(told));
	if (err == 0)
		err = ipc_call(p->ipc, p->ops->done, &b, -1, PIECE_MS, on_done_told, p, NULL);
	buf_done(&b);
	if (err != 0)
		ask_later(p, err);
}

static void next_piece(struct pull *p);

static void
on_piece(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct pull *p = arg;
	struct slice s = {NULL, 0};

	if (fd >= 0)
		close(fd);
	if (p->ending)
		return;
	if (err == 0 && type == STORE_BYTES) {
		s = ipc_get_slice(r);
		err = ipc_reader_end(r);
	} else if (err == 0) {
		err = ERR_PROTO;
	}
	if (err != 0) { /* stored knows: the body is bad, or it was given to another one */
		ask_later(p, err == ERR_CLOSED ? err : 0);
		return;
	}
	if (s.len == 0 || s.len > p->size - p->off)
		err = ERR_EOF;
	else
		err = p->ops->take(p->arg, s);
	p->off += s.len;
	if (err != 0)
		p->ops->unread(p->arg, err);
	else
		next_piece(p);
}

static void
next_piece(struct pull *p)
{
	struct buf b;
	int err;

	if (p->off == p->size) {
		p->ops->whole(p->arg);
		return;
	}
	buf_init(&b, 32);
	ipc_put_u64(&b, p->job);
	ipc_put_u64(&b, p->off);
	err = ipc_call(p->ipc, p->ops->piece, &b, -1, PIECE_MS, on_piece, p, NULL);
	buf_done(&b);
	if (err != 0)
		ask_later(p, err);
}

static void
on_work(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct pull *p = arg;

	if (fd >= 0)
		close(fd);
	if (p->ending)
		return;
	if (err == 0 && type != p->ops->is)
		err = ERR_PROTO;
	if (err != 0) {
		ask_later(p, err);
		return;
	}
	p->job = ipc_get_u64(r);
	p->size = ipc_get_u64(r);
	p->off = 0;
	err = p->ops->begin(p->arg, p->size, r);
	if (err == 0)
		err = ipc_reader_end(r);
	if (err == ERR_PROTO)
		ask_later(p, err);
	else if (err != 0)
		p->ops->unread(p->arg, err);
	else
		next_piece(p);
}

static void
on_time(void *arg)
{
	struct pull *p = arg;
	int err = ipc_call(p->ipc, p->ops->wait, NULL, -1, WAIT_MS, on_work, p, NULL);

	if (err != 0)
		loop_timer_set(p->timer, AGAIN_MS);
}

struct pull *
pull_new(struct loop *l, const char *socket, const struct pull_ops *ops, void *arg)
{
	static const struct ipc_client_ops client_ops;
	struct pull *p = xcalloc(1, sizeof *p);

	p->ops = ops;
	p->arg = arg;
	p->ipc = ipc_client_new(l, socket, &store_proto, IPC_INGEST, &client_ops, p);
	p->timer = loop_timer_new(l, on_time, p);
	loop_timer_set(p->timer, 0);
	return p;
}

void
pull_free(struct pull *p)
{
	if (p == NULL)
		return;
	p->ending = true; /* calls under way are told */
	ipc_client_free(p->ipc);
	loop_timer_free(p->timer);
	p->ops->drop(p->arg);
	free(p);
}
