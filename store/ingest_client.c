/* ingest_client.c: imapd's side of APPEND: a message streams to ingest in pieces, a few at a time. Runs in imapd-session.
 *
 * Whatever fails, done is called once, from the loop, with the first error; then the append is gone. A connection that is lost
 * fails its appends (ERR_TEMP): the message may have been stored when it was lost behind the end, as with any lost reply. */
#include "store/ingest_client.h"

#include <stdlib.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/ingest_proto.h"

enum { WINDOW = 4, BEGIN_MS = 30000, DATA_MS = 60000, END_MS = 90000 };

/* A call without answer. Outlives its append when that is given up. */
struct op {
	struct op *next;
	struct ingest_append *a; /* NULL: nobody waits */
	uint16_t type;
};
struct ingest_append {
	struct ingest_client *c;
	uint32_t id;
	struct op *ops;
	unsigned n_data;
	bool blocked; /* the writer was told ERR_AGAIN */
	int err;      /* found where done must not be called */
	struct loop_defer *defer;
	void (*drained)(void *arg);
	ingest_done_fn done;
	void *arg;
};
struct ingest_client {
	struct loop *loop;
	struct ipc_client *ipc;
	uint32_t next_id;
};

struct ingest_client *
ingest_client_new(struct loop *l, const char *socket)
{
	static const struct ipc_client_ops ops;
	struct ingest_client *c = xcalloc(1, sizeof(*c));

	c->loop = l;
	c->ipc = ipc_client_new(l, socket, &ingest_proto, IPC_IMAPD, &ops, c);
	return c;
}

void
ingest_client_free(struct ingest_client *c)
{
	if (c == NULL)
		return;
	ipc_client_free(c->ipc);
	free(c);
}

static void
append_free(struct ingest_append *a)
{
	while (a->ops != NULL) {
		struct op *o = a->ops;

		a->ops = o->next;
		o->a = NULL;
	}
	loop_defer_free(a->defer);
	free(a);
}

/* Tells ingest to forget it. */
static void
send_abort(struct ingest_append *a)
{
	struct buf b;

	buf_init(&b, 16);
	ipc_put_u32(&b, a->id);
	(void)ipc_send(
	    a->c->ipc, INGEST_ABORT, &b); /* without a connection there is nothing to forget */
	buf_done(&b);
}

static void
finish(struct ingest_append *a, int err, uint32_t uidvalidity, uint32_t uid)
{
	ingest_done_fn done = a->done;
	void *arg = a->arg;

	if (err != 0)
		send_abort(a);
	append_free(a);
	done(arg, err, uidvalidity, uid);
}

static void
on_defer(void *arg)
{
	struct ingest_append *a = (struct ingest_append *)arg;

	finish(a, a->err, 0, 0);
}

static int
told(int err)
{
	return err == ERR_CLOSED || err == ERR_TIMEOUT || err == ERR_CANCELED ? ERR_TEMP : err;
}

static void
on_reply(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct op *o = (struct op *)arg;
	struct ingest_append *a = o->a;
	uint16_t sent = o->type;
	uint32_t uidvalidity = 0, uid = 0;

	(void)fd; /* the table allows none */
	if (a != NULL)
		for (struct op **at = &a->ops; *at != NULL; at = &(*at)->next)
			if (*at == o) {
				*at = o->next;
				break;
			}
	free(o);
	if (a == NULL)
		return;
	bool ends = sent == INGEST_END || sent == INGEST_PART_END;
	if (err == 0 && ends) {
		if (type == INGEST_DONE) {
			uidvalidity = ipc_get_u32(r);
			uid = ipc_get_u32(r);
		}
		if (type != INGEST_DONE || ipc_reader_end(r) != 0)
			err = ERR_PROTO;
	}
	if (err != 0 || ends) {
		finish(a, told(err), uidvalidity, uid);
		return;
	}
	if (sent == INGEST_DATA)
		a->n_data--;
	if (sent == INGEST_DATA && a->blocked && a->err == 0) {
		a->blocked = false;
		a->drained(a->arg);
	}
}

/* 0, or the error: done is called with it, later. */
static int
send_op(struct ingest_append *a, uint16_t type, const struct buf *b, unsigned timeout_ms)
{
	struct op *o = xcalloc(1, sizeof(*o));
	int r;

	o->a = a;
	o->type = type;
	r = b->err != 0 ? b->err : ipc_call(a->c->ipc, type, b, -1, timeout_ms, on_reply, o, NULL);
	if (r != 0) {
		free(o);
		a->err = ERR_TEMP;
		loop_defer_set(a->defer);
		return r;
	}
	o->next = a->ops;
	a->ops = o;
	return 0;
}

struct ingest_append *
ingest_append_start(struct ingest_client *c, const struct ingest_append_params *p,
    void (*drained)(void *arg), ingest_done_fn done, void *arg)
{
	struct ingest_append *a = xcalloc(1, sizeof(*a));
	struct buf b;

	a->c = c;
	a->id = ++c->next_id;
	a->drained = drained;
	a->done = done;
	a->arg = arg;
	a->defer = loop_defer_new(c->loop, on_defer, a);
	buf_init(&b, 65536);
	ipc_put_u32(&b, a->id);
	ipc_put_slice(&b, p->ticket);
	ipc_put_u64(&b, p->mailbox);
	ipc_put_u32(&b, p->flags);
	ipc_put_slice(&b, p->keywords);
	ipc_put_i64(&b, p->internal_date);
	ipc_put_u16(&b, (uint16_t)p->internal_zone);
	ipc_put_u64(&b, p->size);
	(void)send_op(a, INGEST_BEGIN, &b, BEGIN_MS); /* done will tell */
	buf_wipe(&b);
	return a;
}

int
ingest_append_write(struct ingest_append *a, const void *p, size_t n)
{
	struct buf b;
	int r;

	if (a->err != 0)
		return ERR_CLOSED;
	if (a->n_data >= WINDOW) {
		a->blocked = true;
		return ERR_AGAIN;
	}
	buf_init(&b, INGEST_PIECE_MAX + 16);
	ipc_put_u32(&b, a->id);
	ipc_put_slice(&b, slice_of(p, n));
	r = send_op(a, INGEST_DATA, &b, DATA_MS);
	buf_done(&b);
	if (r != 0)
		return ERR_CLOSED;
	a->n_data++;
	return 0;
}

int
ingest_append_end(struct ingest_append *a)
{
	struct buf b;
	int r;

	if (a->err != 0)
		return ERR_CLOSED;
	buf_init(&b, 16);
	ipc_put_u32(&b, a->id);
	r = send_op(a, INGEST_END, &b, END_MS);
	buf_done(&b);
	return r == 0 ? 0 : ERR_CLOSED;
}

int
ingest_append_end_part(
    struct ingest_append *a, const unsigned char group[16], uint32_t index, bool last)
{
	struct buf b;
	int r;

	if (a->err != 0)
		return ERR_CLOSED;
	buf_init(&b, 64);
	ipc_put_u32(&b, a->id);
	ipc_put_slice(&b, slice_of(group, 16));
	ipc_put_u32(&b, index);
	ipc_put_u8(&b, last);
	r = send_op(a, INGEST_PART_END, &b, END_MS);
	buf_done(&b);
	return r == 0 ? 0 : ERR_CLOSED;
}

void
ingest_append_abort(struct ingest_append *a)
{
	if (a == NULL)
		return;
	send_abort(a);
	append_free(a);
}
