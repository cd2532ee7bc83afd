/* ipc_client.c: the client's end of a protocol, on the loop. Runs in every role that asks another. Invariants:
 * a call's function runs exactly once unless it was cancelled, never from within ipc_call; calls that were sent
 * when the connection is lost get ERR_CLOSED (they may or may not have been done), calls not yet sent wait for
 * the next connection; a reply that no call waits for ends the connection, except that of a call given up. */
#include "config.h"

#include "lib/ipc_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"

#define RETRY_MIN_MS 10
#define RETRY_MAX_MS 1000
#define CALL_MS 30000

struct call {
	TAILQ_ENTRY(call) link;
	uint32_t handle; /* for ipc_cancel */
	uint32_t id;     /* on the wire; 0 while it waits */
	uint16_t type;
	struct buf payload; /* while it waits */
	int fd;
	uint64_t deadline;
	ipc_reply_fn fn; /* NULL: given up */
	void *arg;
};

TAILQ_HEAD(call_list, call);

enum conn_state { DOWN, GREETING, UP };

struct ipc_client {
	struct loop *loop;
	char *path;
	const struct ipc_proto *proto;
	uint32_t self;
	const struct ipc_client_ops *ops;
	void *arg;
	enum conn_state state;
	struct ipc_chan ch;
	struct loop_fd *ev;
	struct loop_defer *work;
	struct loop_timer *retry;  /* of the connection */
	struct loop_timer *expiry; /* of the calls */
	uint64_t expiry_at;
	unsigned retry_ms;
	uint32_t next_handle, generation;
	struct call *slots[IPC_OUTSTANDING_MAX];
	unsigned n_sent;
	struct call_list waiting;
	unsigned n_waiting;
	unsigned busy; /* callbacks under way: memory stays */
	bool dead;
	bool told; /* a failing connection was logged */
};

static void client_down(struct ipc_client *c, const char *why);

static void
call_free(struct call *k)
{
	buf_wipe(&k->payload);
	if (k->fd >= 0)
		close(k->fd);
	free(k);
}

/* Ends a call that is in no list any more. */
static void
call_finish(
    struct ipc_client *c, struct call *k, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	ipc_reply_fn fn = k->fn;
	void *arg = k->arg;

	call_free(k);
	if (fn == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	c->busy++;
	fn(arg, err, type, r, fd);
	c->busy--;
}

static void
client_destroy(struct ipc_client *c)
{
	loop_defer_free(c->work);
	loop_timer_free(c->retry);
	loop_timer_free(c->expiry);
	free(c->path);
	free(c);
}

/* Ends a stretch in which callbacks may have freed the client. */
static void
client_leave(struct ipc_client *c)
{
	if (--c->busy == 0 && c->dead)
		client_destroy(c);
}

static void
client_want(struct ipc_client *c)
{
	if (c->state != DOWN)
		loop_fd_want(c->ev, LOOP_READ | (TAILQ_EMPTY(&c->ch.out) ? 0 : LOOP_WRITE));
}

static void
arm_expiry(struct ipc_client *c, uint64_t at)
{
	uint64_t now = loop_now_ms(c->loop);

	if (c->expiry_at != 0 && c->expiry_at <= at)
		return;
	c->expiry_at = at;
	loop_timer_set(c->expiry, at > now ? at - now : 1);
}

/* Moves waiting calls to the wire while there are slots. */
static void
send_waiting(struct ipc_client *c)
{
	struct call *k;
	unsigned slot = 0;

	while (c->state == UP && c->n_sent < IPC_OUTSTANDING_MAX &&
	       (k = TAILQ_FIRST(&c->waiting)) != NULL) {
		while (c->slots[slot] != NULL)
			slot++;
		TAILQ_REMOVE(&c->waiting, k, link);
		c->n_waiting--;
		c->generation = c->generation % 0xffffff + 1;
		k->id = c->generation << 8 | slot;
		c->slots[slot] = k;
		c->n_sent++;
		ipc_chan_put(&c->ch, k->type, k->id, &k->payload, k->fd);
		k->fd = -1;
		buf_wipe(&k->payload);
	}
}

static void
client_flush(struct ipc_client *c)
{
	int rc;

	if (c->state == DOWN)
		return;
	send_waiting(c);
	rc = ipc_chan_flush(&c->ch);
	if (rc != 0 && rc != ERR_AGAIN)
		client_down(c, "closed");
	else
		client_want(c);
}

static int
on_hello(struct ipc_client *c, const struct ipc_frame *f)
{
	if (!ipc_hello_is_good(c->proto, c->proto->server, f->payload)) {
		c->ch.why = "wrong protocol, version or role in the hello";
		return ERR_PROTO;
	}
	c->state = UP;
	c->retry_ms = RETRY_MIN_MS;
	if (c->told)
		log_msg(LOG_LVL_INFO, "ipc_up", "%s: connected again", c->path);
	c->told = false;
	if (c->ops != NULL && c->ops->on_up != NULL)
		c->ops->on_up(c->arg);
	return 0;
}

static int
on_reply(struct ipc_client *c, struct ipc_frame *f)
{
	unsigned slot = f->id & (IPC_OUTSTANDING_MAX - 1);
	struct call *k = c->slots[slot];
	struct ipc_reader r;

	if (k == NULL || k->id != f->id) {
		c->ch.why = "a reply nobody waits for";
		if (f->fd >= 0)
			close(f->fd);
		return ERR_PROTO;
	}
	c->slots[slot] = NULL;
	c->n_sent--;
	ipc_reader_init(&r, f->payload);
	if (f->type == IPC_ERR) {
		int err = (int)ipc_get_u32(&r);

		if (err >= 0 || err <= ERR_LAST)
			err = ERR_TEMP;
		if (log_enabled(LOG_LVL_DEBUG)) {
			struct log_line l;

			log_begin(&l, LOG_LVL_DEBUG, "ipc_err");
			log_str(&l, "proto", c->proto->name);
			log_u64(&l, "type", k->type);
			log_err(&l, "err", err);
			log_slice(&l, "why", ipc_get_slice(&r));
			log_end(&l);
		}
		call_finish(c, k, err, IPC_ERR, NULL, -1);
	} else {
		call_finish(c, k, 0, f->type, &r, f->fd);
	}
	return 0;
}

static int
on_frame(struct ipc_client *c, struct ipc_frame *f)
{
	struct ipc_reader r;

	if (f->type == IPC_HELLO)
		return on_hello(c, f);
	if (f->id > 0)
		return on_reply(c, f);
	ipc_reader_init(&r, f->payload);
	if (f->fd >= 0)
		close(f->fd); /* notifications carry none that anybody takes */
	if (c->ops != NULL && c->ops->on_notify != NULL)
		c->ops->on_notify(c->arg, f->type, &r);
	return 0;
}

static void
client_read(struct ipc_client *c)
{
	int rc = ipc_chan_fill(&c->ch);

	while (rc == 0 && !c->dead && c->state != DOWN) {
		struct ipc_view v = {c->proto, c->proto->server, ~0u, true, c->state == UP};
		struct ipc_frame f;

		rc = ipc_chan_next(&c->ch, &v, &f);
		if (rc == 0)
			rc = on_frame(c, &f);
	}
	if (c->dead || c->state == DOWN || rc == ERR_AGAIN)
		return;
	if (rc == ERR_PROTO) {
		log_msg(LOG_LVL_ERROR, "ipc_reject", "%s: %s", c->path, c->ch.why);
		c->told = true;
	}
	client_down(c, rc == ERR_PROTO ? c->ch.why : "closed by the server");
}

static void
client_ready(void *arg, int events)
{
	struct ipc_client *c = arg;

	c->busy++;
	if ((events & LOOP_READ) != 0)
		client_read(c);
	if (!c->dead)
		client_flush(c);
	client_leave(c);
}

static void
client_connect(struct ipc_client *c)
{
	int fd = ipc_connect(c->path, true);

	if (fd < 0) {
		if (!c->told)
			log_msg(LOG_LVL_WARN, "ipc_connect", "%s: %s; trying again", c->path,
			    strerror(errno));
		c->told = true;
		loop_timer_set(c->retry, c->retry_ms);
		c->retry_ms = c->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : c->retry_ms * 2;
		return;
	}
	ipc_chan_init(&c->ch, fd);
	c->state = GREETING;
	c->ev = loop_fd_new(c->loop, fd, client_ready, c);
	ipc_chan_put_hello(&c->ch, c->proto, c->self);
	client_flush(c);
}

/* The connection is lost: calls on the wire end, the others wait. */
static void
client_down(struct ipc_client *c, const char *why)
{
	bool was_up = c->state == UP;

	if (c->state == DOWN)
		return;
	c->state = DOWN;
	loop_fd_free(c->ev);
	c->ev = NULL;
	ipc_chan_done(&c->ch);
	if (!c->told)
		log_msg(LOG_LVL_WARN, "ipc_down", "%s: %s", c->path, why);
	c->told = true;
	c->busy++;
	loop_timer_set(c->retry, c->retry_ms);
	c->retry_ms = c->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : c->retry_ms * 2;
	for (unsigned i = 0; i < IPC_OUTSTANDING_MAX; i++) {
		struct call *k = c->slots[i];

		if (k == NULL)
			continue;
		c->slots[i] = NULL;
		c->n_sent--;
		call_finish(c, k, c->dead ? ERR_CANCELED : ERR_CLOSED, 0, NULL, -1);
	}
	if (was_up && !c->dead && c->ops != NULL && c->ops->on_down != NULL)
		c->ops->on_down(c->arg);
	client_leave(c);
}

static void
retry_cb(void *arg)
{
	struct ipc_client *c = arg;

	c->busy++;
	if (c->state == DOWN)
		client_connect(c);
	client_leave(c);
}

static void
work_cb(void *arg)
{
	struct ipc_client *c = arg;

	c->busy++;
	if (c->state == DOWN) {
		if (!loop_timer_is_set(c->retry))
			client_connect(c);
	} else {
		client_flush(c);
	}
	client_leave(c);
}

/* Ends the calls whose time is over. One that was sent keeps its slot until the reply comes; when every slot
 * is so taken, the server is of no use on this connection. */
static void
expiry_cb(void *arg)
{
	struct ipc_client *c = arg;
	uint64_t now = loop_now_ms(c->loop), next = 0;
	struct call_list late = TAILQ_HEAD_INITIALIZER(late);
	unsigned given_up = 0;
	struct call *k, *after;

	c->busy++;
	c->expiry_at = 0;
	for (k = TAILQ_FIRST(&c->waiting); k != NULL; k = after) {
		after = TAILQ_NEXT(k, link);
		if (k->deadline <= now) {
			TAILQ_REMOVE(&c->waiting, k, link);
			c->n_waiting--;
			TAILQ_INSERT_TAIL(&late, k, link);
		} else if (next == 0 || k->deadline < next) {
			next = k->deadline;
		}
	}
	for (unsigned i = 0; i < IPC_OUTSTANDING_MAX && !c->dead; i++) {
		k = c->slots[i];
		if (k == NULL)
			continue;
		if (k->fn != NULL && k->deadline <= now) {
			ipc_reply_fn fn = k->fn;

			k->fn = NULL;
			fn(k->arg, ERR_TIMEOUT, 0, NULL, -1);
		} else if (k->fn != NULL && (next == 0 || k->deadline < next)) {
			next = k->deadline;
		}
		given_up += c->slots[i] != NULL && c->slots[i]->fn == NULL;
	}
	while ((k = TAILQ_FIRST(&late)) != NULL) {
		TAILQ_REMOVE(&late, k, link);
		call_finish(c, k,
		    c->dead          ? ERR_CANCELED
		    : c->state == UP ? ERR_TIMEOUT
				     : ERR_TEMP,
		    0, NULL, -1);
	}
	if (!c->dead && next != 0)
		arm_expiry(c, next);
	if (!c->dead && given_up == IPC_OUTSTANDING_MAX)
		client_down(c, "no answers");
	client_leave(c);
}

struct ipc_client *
ipc_client_new(struct loop *l, const char *path, const struct ipc_proto *p, uint32_t self,
    const struct ipc_client_ops *ops, void *arg)
{
	struct ipc_client *c = xcalloc(1, sizeof(*c));

	c->loop = l;
	c->path = xstrdup(path);
	c->proto = p;
	c->self = self;
	c->ops = ops;
	c->arg = arg;
	c->retry_ms = RETRY_MIN_MS;
	TAILQ_INIT(&c->waiting);
	c->work = loop_defer_new(l, work_cb, c);
	c->retry = loop_timer_new(l, retry_cb, c);
	c->expiry = loop_timer_new(l, expiry_cb, c);
	return c;
}

void
ipc_client_free(struct ipc_client *c)
{
	struct call *k;

	if (c == NULL || c->dead)
		return;
	c->dead = true;
	c->busy++;
	c->told = true;
	client_down(c, "freed");
	loop_timer_stop(c->retry);
	loop_timer_stop(c->expiry);
	while ((k = TAILQ_FIRST(&c->waiting)) != NULL) {
		TAILQ_REMOVE(&c->waiting, k, link);
		call_finish(c, k, ERR_CANCELED, 0, NULL, -1);
	}
	client_leave(c);
}

int
ipc_call(struct ipc_client *c, uint16_t type, const struct buf *payload, int fd,
    unsigned timeout_ms, ipc_reply_fn fn, void *arg, uint32_t *call_out)
{
	size_t n = payload != NULL ? payload->len : 0;
	struct call *k;
	int rc;

	rc = payload != NULL && payload->err != 0
		 ? payload->err
		 : ipc_may_send(c->proto, c->self, false, type, n, fd);
	if (rc == 0 && (c->n_waiting >= IPC_QUEUE_MAX || c->dead))
		rc = ERR_LIMIT;
	if (rc != 0) {
		log_msg(LOG_LVL_ERROR, "ipc_call", "%s: request of type %u, %zu bytes: %s", c->path,
		    type, n, err_name(rc));
		if (fd >= 0)
			close(fd);
		return rc;
	}
	k = xcalloc(1, sizeof(*k));
	k->handle = ++c->next_handle != 0 ? c->next_handle : ++c->next_handle;
	k->type = type;
	k->fd = fd;
	k->fn = fn;
	k->arg = arg;
	k->deadline = loop_now_ms(c->loop) + (timeout_ms > 0 ? timeout_ms : CALL_MS);
	buf_init(&k->payload, IPC_FRAME_MAX);
	if (n > 0)
		rc = buf_append(&k->payload, payload->data, n);
	if (rc != 0) {
		call_free(k);
		return rc;
	}
	TAILQ_INSERT_TAIL(&c->waiting, k, link);
	c->n_waiting++;
	arm_expiry(c, k->deadline);
	loop_defer_set(c->work);
	if (call_out != NULL)
		*call_out = k->handle;
	return 0;
}

void
ipc_cancel(struct ipc_client *c, uint32_t call)
{
	struct call *k;

	TAILQ_FOREACH (k, &c->waiting, link)
		if (k->handle == call) {
			TAILQ_REMOVE(&c->waiting, k, link);
			c->n_waiting--;
			call_free(k);
			return;
		}
	for (unsigned i = 0; i < IPC_OUTSTANDING_MAX; i++)
		if (c->slots[i] != NULL && c->slots[i]->handle == call) {
			c->slots[i]->fn = NULL;
			return;
		}
}

int
ipc_send(struct ipc_client *c, uint16_t type, const struct buf *payload)
{
	int rc =
	    ipc_may_send(c->proto, c->self, false, type, payload != NULL ? payload->len : 0, -1);

	if (rc != 0) {
		log_msg(LOG_LVL_ERROR, "ipc_call", "%s: message of type %u: %s", c->path, type,
		    err_name(rc));
		return rc;
	}
	if (c->state != UP) {
		loop_defer_set(c->work); /* connect for the next one */
		return ERR_CLOSED;
	}
	ipc_chan_put(&c->ch, type, 0, payload, -1);
	loop_defer_set(c->work);
	return 0;
}
