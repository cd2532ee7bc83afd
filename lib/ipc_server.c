/* ipc_server.c: the server's end of a protocol on an inherited UNIX listening socket. Runs in every role that
 * answers requests. Invariants: a peer is known by the socket it came in on and by SO_PEERCRED; each frame is
 * checked against the table before the role sees it; at most IPC_OUTSTANDING_MAX requests are open on a
 * connection, past that (or with much output unread) its input is left in the kernel; on_close is called once,
 * from the loop, for every on_open that accepted. */
#include "config.h"

#include "lib/ipc_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/log.h"

#define HELLO_MS 10000
#define ACCEPT_SPREAD_MS 8 /* see accept_ready */

struct ipc_conn {
	LIST_ENTRY(ipc_conn) link;
	struct ipc_server *server; /* NULL once closed */
	struct ipc_chan ch;
	struct loop_fd *ev;
	struct loop_defer *work;
	struct loop_timer *hello_timer;
	void *user;
	uint32_t peer;
	uint32_t state;
	int64_t uid; /* SO_PEERCRED */
	unsigned refs;
	bool hello_seen, opened, closing, paused, in_read;
	unsigned n_open;
	uint32_t open_ids[IPC_OUTSTANDING_MAX];
};

struct ipc_server {
	struct loop *loop;
	int fd;
	struct loop_fd *ev;
	struct loop_timer *retry;
	const struct ipc_proto *proto;
	uint32_t peer;
	int64_t peer_uid;
	unsigned max_conns, n_conns;
	const struct ipc_server_ops *ops;
	void *arg;
	LIST_HEAD(, ipc_conn) conns;
};

static void conn_work(void *arg);

void
ipc_hold(struct ipc_conn *c)
{
	c->refs++;
}

void
ipc_release(struct ipc_conn *c)
{
	if (--c->refs == 0)
		free(c);
}

/* Takes the connection apart; its memory lives as long as it is held. */
static void
conn_end(struct ipc_conn *c)
{
	struct ipc_server *s = c->server;

	if (s == NULL)
		return;
	c->closing = true;
	if (c->opened && s->ops->on_close != NULL)
		s->ops->on_close(c, s->arg);
	c->server = NULL;
	LIST_REMOVE(c, link);
	s->n_conns--;
	loop_fd_free(c->ev);
	loop_timer_free(c->hello_timer);
	loop_defer_free(c->work);
	c->ev = NULL;
	c->hello_timer = NULL;
	c->work = NULL;
	ipc_chan_done(&c->ch);
	if (s->n_conns + 1 == s->max_conns)
		loop_fd_want(s->ev, LOOP_READ);
	ipc_release(c);
}

void
ipc_close(struct ipc_conn *c)
{
	if (c->server == NULL || c->closing)
		return;
	c->closing = true;
	loop_fd_want(c->ev, 0);
	loop_defer_set(c->work);
}

static void
reject(struct ipc_conn *c, const char *why, unsigned type)
{
	struct log_line l;

	log_begin(&l, LOG_LVL_ERROR, "ipc_reject");
	log_str(&l, "proto", c->server->proto->name);
	log_u64(&l, "peer_role", c->peer);
	log_str(&l, "why", why);
	log_u64(&l, "type", type);
	log_end(&l);
	ipc_close(c);
}

static void
conn_want(struct ipc_conn *c)
{
	bool out = !TAILQ_EMPTY(&c->ch.out);

	if (!c->closing)
		loop_fd_want(c->ev, (c->paused ? 0 : LOOP_READ) | (out ? LOOP_WRITE : 0));
}

static bool
must_pause(const struct ipc_conn *c)
{
	return c->n_open >= IPC_OUTSTANDING_MAX || c->ch.out_len > IPC_OUT_PAUSE;
}

static bool
open_id_add(struct ipc_conn *c, uint32_t id)
{
	for (unsigned i = 0; i < c->n_open; i++)
		if (c->open_ids[i] == id)
			return false;
	c->open_ids[c->n_open++] = id;
	return true;
}

static bool
open_id_take(struct ipc_conn *c, uint32_t id)
{
	for (unsigned i = 0; i < c->n_open; i++)
		if (c->open_ids[i] == id) {
			c->open_ids[i] = c->open_ids[--c->n_open];
			return true;
		}
	return false;
}

static void
on_hello(struct ipc_conn *c, const struct ipc_frame *f)
{
	struct ipc_server *s = c->server;

	if (!ipc_hello_is_good(s->proto, c->peer, f->payload)) {
		reject(c, "wrong protocol, version or role in the hello", f->type);
		return;
	}
	c->hello_seen = true;
	loop_timer_free(c->hello_timer);
	c->hello_timer = NULL;
	ipc_chan_put_hello(&c->ch, s->proto, s->proto->server);
	loop_defer_set(c->work);
	if (s->ops->on_open != NULL && s->ops->on_open(c, s->arg, &c->user) != 0) {
		ipc_close(c);
		return;
	}
	c->opened = true;
}

/* Handles the whole frames that are in the buffer. */
static void
conn_frames(struct ipc_conn *c)
{
	struct ipc_server *s = c->server;

	while (!c->closing && !(c->paused = must_pause(c))) {
		struct ipc_view v = {s->proto, c->peer, c->state, false, c->hello_seen};
		struct ipc_reader r;
		struct ipc_frame f;
		int rc = ipc_chan_next(&c->ch, &v, &f);

		if (rc == ERR_AGAIN)
			return;
		if (rc != 0) {
			reject(c, c->ch.why, f.type);
			return;
		}
		if (f.type == IPC_HELLO) {
			on_hello(c, &f);
			continue;
		}
		if (f.id > 0 && !open_id_add(c, f.id)) {
			if (f.fd >= 0)
				close(f.fd);
			reject(c, "request id used twice", f.type);
			return;
		}
		ipc_reader_init(&r, f.payload);
		if (s->ops->on_msg(c, f.type, f.id, &r, f.fd, s->arg) != 0) {
			if (!c->closing)
				reject(c, "refused by the server", f.type);
			return;
		}
	}
}

static void
conn_read(struct ipc_conn *c)
{
	int rc = ipc_chan_fill(&c->ch);

	if (rc == 0) {
		conn_frames(c);
		return;
	}
	if (rc == ERR_AGAIN)
		return;
	if (rc == ERR_PROTO)
		reject(c, c->ch.why, 0);
	else
		ipc_close(c);
}

static void
conn_flush(struct ipc_conn *c)
{
	int rc = ipc_chan_flush(&c->ch);

	if (rc != 0 && rc != ERR_AGAIN) {
		ipc_close(c);
		return;
	}
	if (c->paused && !must_pause(c))
		conn_frames(c);
}

static void
conn_ready(void *arg, int events)
{
	struct ipc_conn *c = arg;

	ipc_hold(c);
	if ((events & LOOP_READ) != 0 && !c->closing && !c->paused)
		conn_read(c);
	/* what was answered at once goes out at once: no need to watch for room that is there */
	if (!c->closing && ((events & LOOP_WRITE) != 0 || !TAILQ_EMPTY(&c->ch.out)))
		conn_flush(c);
	if (!c->closing)
		conn_want(c);
	ipc_release(c);
}

/* Deferred: ends a connection that is closing, else writes what replies have queued. */
static void
conn_work(void *arg)
{
	struct ipc_conn *c = arg;

	ipc_hold(c);
	if (!c->closing)
		conn_flush(c);
	if (c->closing)
		conn_end(c);
	else
		conn_want(c);
	ipc_release(c);
}

static void
hello_late(void *arg)
{
	reject(arg, "no hello in time", 0);
}

static void
conn_new(struct ipc_server *s, int fd)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);
	struct ipc_conn *c;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) != 0 ||
	    (s->peer_uid >= 0 && (int64_t)cred.uid != s->peer_uid &&
		!(s->peer == IPC_ADMIN && cred.uid == 0))) {
		log_msg(LOG_LVL_ERROR, "ipc_reject",
		    "%s: a process of uid %ld may not connect here", s->proto->name,
		    (long)cred.uid);
		close(fd);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->server = s;
	c->peer = s->peer;
	c->state = IPC_ST_READY;
	c->uid = cred.uid;
	c->refs = 1;
	ipc_chan_init(&c->ch, fd);
	c->ev = loop_fd_new(s->loop, fd, conn_ready, c);
	c->work = loop_defer_new(s->loop, conn_work, c);
	c->hello_timer = loop_timer_new(s->loop, hello_late, c);
	loop_timer_set(c->hello_timer, HELLO_MS);
	LIST_INSERT_HEAD(&s->conns, c, link);
	if (++s->n_conns >= s->max_conns)
		loop_fd_want(s->ev, 0);
	conn_want(c);
}

static void
accept_some(struct ipc_server *s)
{
	unsigned pause = 0;

	while (s->n_conns < s->max_conns) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK) {
				log_msg(LOG_LVL_ERROR, "ipc_accept", "%s: %s", s->proto->name,
				    strerror(errno));
				pause = 100;
			}
			break;
		}
		conn_new(s, fd);
		pause = ACCEPT_SPREAD_MS;
		if (pause > 0)
			break;
	}
	if (pause > 0) {
		loop_fd_want(s->ev, 0);
		loop_timer_set(s->retry, pause);
	}
}

static void
accept_retry(void *arg)
{
	struct ipc_server *s = arg;

	if (s->n_conns < s->max_conns)
		loop_fd_want(s->ev, LOOP_READ);
}

/* Several processes of a role share the socket. Each takes one connection, then leaves the next to the others
 * for some milliseconds: so clients, which connect once and stay, spread over them. */
static void
accept_ready(void *arg, int events)
{
	(void)events;
	accept_some(arg);
}

struct ipc_server *
ipc_server_new(struct loop *l, int listen_fd, const struct ipc_proto *p, uint32_t peer,
    int64_t peer_uid, unsigned max_conns, const struct ipc_server_ops *ops, void *arg)
{
	struct ipc_server *s = xcalloc(1, sizeof(*s));
	int flags = fcntl(listen_fd, F_GETFL);

	if (flags >= 0)
		fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK);
	s->loop = l;
	s->fd = listen_fd;
	s->proto = p;
	s->peer = peer;
	s->peer_uid = peer_uid;
	s->max_conns = max_conns > 0 ? max_conns : 1;
	s->ops = ops;
	s->arg = arg;
	LIST_INIT(&s->conns);
	s->retry = loop_timer_new(l, accept_retry, s);
	s->ev = loop_fd_new(l, listen_fd, accept_ready, s);
	loop_fd_want(s->ev, LOOP_READ);
	return s;
}

void
ipc_server_free(struct ipc_server *s)
{
	struct ipc_conn *c;

	if (s == NULL)
		return;
	while ((c = LIST_FIRST(&s->conns)) != NULL)
		conn_end(c);
	loop_timer_free(s->retry);
	loop_fd_free(s->ev);
	free(s);
}

void
ipc_server_stop(struct ipc_server *s)
{
	loop_timer_free(s->retry);
	loop_fd_free(s->ev);
	s->retry = NULL;
	s->ev = NULL;
}

void *
ipc_user(struct ipc_conn *c)
{
	return c->user;
}

int64_t
ipc_peer_uid(const struct ipc_conn *c)
{
	return c->uid;
}

uint32_t
ipc_peer_role(const struct ipc_conn *c)
{
	return c->peer;
}

void
ipc_set_state(struct ipc_conn *c, uint32_t state_bit)
{
	c->state = state_bit;
}

int
ipc_reply(struct ipc_conn *c, uint32_t id, uint16_t type, const struct buf *payload, int fd)
{
	size_t n = payload != NULL ? payload->len : 0;
	int rc = ERR_CLOSED;

	if (c->server == NULL || c->closing)
		goto refuse;
	rc = payload != NULL && payload->err != 0
		 ? payload->err
		 : ipc_may_send(c->server->proto, c->server->proto->server, true, type, n, fd);
	if (rc != 0) {
		/* Our own bug or a size that data made: the client gets an answer, the log gets the reason. */
		log_msg(LOG_LVL_ERROR, "ipc_bug",
		    "%s: reply of type %u, %zu bytes, breaks the table (%s)",
		    c->server->proto->name, type, n, err_name(rc));
		rc = ipc_reply_err(c, id, ERR_LIMIT, "the reply was too large or not permitted");
		goto refuse;
	}
	if (!open_id_take(c, id)) {
		log_msg(LOG_LVL_ERROR, "ipc_bug", "%s: reply of type %u to no open request",
		    c->server->proto->name, type);
		rc = ERR_PROTO;
		goto refuse;
	}
	ipc_chan_put(&c->ch, type, id, payload, fd);
	loop_defer_set(c->work);
	return 0;
refuse:
	if (fd >= 0)
		close(fd);
	return rc;
}

int
ipc_reply_ok(struct ipc_conn *c, uint32_t id)
{
	return ipc_reply(c, id, IPC_OK, NULL, -1);
}

int
ipc_reply_err(struct ipc_conn *c, uint32_t id, int err, const char *why)
{
	struct slice text = slice_sub(slice_str(why), 0, IPC_ERR_MAX / 2);
	struct buf b;
	int rc;

	buf_init(&b, IPC_ERR_MAX);
	ipc_put_u32(&b, (uint32_t)err);
	ipc_put_slice(&b, text);
	rc = ipc_reply(c, id, IPC_ERR, &b, -1);
	buf_done(&b);
	return rc;
}

int
ipc_notify(struct ipc_conn *c, uint16_t type, const struct buf *payload)
{
	int rc;

	if (c->server == NULL || c->closing)
		return ERR_CLOSED;
	rc = ipc_may_send(c->server->proto, c->server->proto->server, true, type,
	    payload != NULL ? payload->len : 0, -1);
	if (rc != 0 || (payload != NULL && payload->err != 0)) {
		log_msg(LOG_LVL_ERROR, "ipc_bug", "%s: notification of type %u breaks the table",
		    c->server->proto->name, type);
		return rc != 0 ? rc : payload->err;
	}
	if (c->ch.out_len > IPC_OUT_MAX) {
		reject(c, "does not read its notifications", type);
		return ERR_LIMIT;
	}
	ipc_chan_put(&c->ch, type, 0, payload, -1);
	loop_defer_set(c->work);
	return 0;
}
