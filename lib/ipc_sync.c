/* ipc_sync.c: the client's end of a protocol, blocking: for threads (milter) and for the admin command. One
 * thread at a time each. Invariants: a request is written at most once; after a time-out or an error the
 * connection is dropped, so that a late reply is never taken for another's. */
#include "config.h"

#include "lib/ipc_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"

struct ipc_sync {
	char *path;
	const struct ipc_proto *proto;
	uint32_t self;
	struct ipc_chan ch;
	bool connected, hello_seen;
	uint32_t next_id;
	unsigned connect_ms; /* 0: the time of the call */
};

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct ipc_sync *
ipc_sync_new(const char *path, const struct ipc_proto *p, uint32_t self)
{
	struct ipc_sync *s = xcalloc(1, sizeof(*s));

	s->path = xstrdup(path);
	s->proto = p;
	s->self = self;
	return s;
}

void
ipc_sync_connect_limit(struct ipc_sync *s, unsigned ms)
{
	s->connect_ms = ms;
}

static void
sync_down(struct ipc_sync *s)
{
	if (s->connected)
		ipc_chan_done(&s->ch);
	s->connected = false;
	s->hello_seen = false;
}

void
ipc_sync_free(struct ipc_sync *s)
{
	if (s == NULL)
		return;
	sync_down(s);
	free(s->path);
	free(s);
}

/* Waits for events until the deadline: 0, ERR_TIMEOUT, ERR_IO. */
static int
wait_for(struct ipc_sync *s, short events, uint64_t deadline)
{
	struct pollfd p = {.fd = s->ch.fd, .events = events};

	for (;;) {
		uint64_t now = now_ms();
		int n;

		if (now >= deadline)
			return ERR_TIMEOUT;
		n = poll(&p, 1, deadline - now > 60000 ? 60000 : (int)(deadline - now));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return ERR_IO;
	}
}

static int
sync_flush(struct ipc_sync *s, uint64_t deadline)
{
	int rc;

	while ((rc = ipc_chan_flush(&s->ch)) == ERR_AGAIN) {
		rc = wait_for(s, POLLOUT, deadline);
		if (rc != 0)
			return rc;
	}
	return rc;
}

/* The next frame: 0, ERR_TIMEOUT, ERR_CLOSED, ERR_PROTO. */
static int
sync_frame(struct ipc_sync *s, uint64_t deadline, struct ipc_frame *f)
{
	struct ipc_view v = {s->proto, s->proto->server, ~0u, true, s->hello_seen};
	int rc;

	while ((rc = ipc_chan_next(&s->ch, &v, f)) == ERR_AGAIN) {
		rc = wait_for(s, POLLIN, deadline);
		if (rc == 0)
			rc = ipc_chan_fill(&s->ch);
		if (rc == ERR_EOF || rc == ERR_IO)
			return ERR_CLOSED;
		if (rc != 0 && rc != ERR_AGAIN)
			break;
	}
	if (rc == ERR_PROTO)
		log_msg(LOG_LVL_ERROR, "ipc_reject", "%s: %s", s->path, s->ch.why);
	return rc;
}

/* Whether the server closed the idle connection (it was restarted). Notifications are read and dropped. */
static bool
is_stale(struct ipc_sync *s)
{
	struct ipc_frame f;
	char first;
	int rc;

	/* as nearly always: nothing came. Room for what may come is made when it does */
	if (s->ch.in.len == s->ch.in_off && s->ch.n_fds == 0 &&
	    recv(s->ch.fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	    (errno == EAGAIN || errno == EWOULDBLOCK))
		return false;

	for (;;) {
		struct ipc_view v = {s->proto, s->proto->server, ~0u, true, true};

		rc = ipc_chan_next(&s->ch, &v, &f);
		if (rc == ERR_AGAIN) {
			rc = ipc_chan_fill(&s->ch);
			if (rc != 0)
				return rc != ERR_AGAIN;
			continue;
		}
		if (rc != 0)
			return true;
		if (f.fd >= 0)
			close(f.fd);
		if (f.id != 0)
			return true;
	}
}

/* Connects and greets. The listening socket is there even while the server restarts: then the hello is late,
 * not the connect; a refused connect is tried again until the deadline. */
static int
sync_up(struct ipc_sync *s, uint64_t deadline)
{
	unsigned wait_ms = 10;
	uint64_t until = s->connect_ms > 0 ? now_ms() + s->connect_ms : deadline;
	struct ipc_frame f;
	int rc, fd;

	until = until < deadline ? until : deadline;

	if (s->connected && !is_stale(s))
		return 0;
	sync_down(s);
	while ((fd = ipc_connect(s->path, true)) < 0) {
		struct timespec ts = {0, (long)wait_ms * 1000000};

		if (now_ms() + wait_ms >= until || errno == EACCES || errno == ENAMETOOLONG)
			return ERR_TEMP;
		nanosleep(&ts, NULL);
		wait_ms = wait_ms * 2 > 500 ? 500 : wait_ms * 2;
	}
	ipc_chan_init(&s->ch, fd);
	s->connected = true;
	ipc_chan_put_hello(&s->ch, s->proto, s->self);
	rc = sync_flush(s, deadline);
	if (rc == 0)
		rc = sync_frame(s, deadline, &f);
	if (rc == 0 && !ipc_hello_is_good(s->proto, s->proto->server, f.payload))
		rc = ERR_PROTO;
	if (rc != 0) {
		sync_down(s);
		return rc == ERR_PROTO ? rc : ERR_TEMP;
	}
	s->hello_seen = true;
	return 0;
}

int
ipc_sync_open(struct ipc_sync *s, unsigned timeout_ms)
{
	return sync_up(s, now_ms() + timeout_ms);
}

/* Splits an IPC_ERR into its code and, in reply, its text. */
static int
take_error(const struct ipc_frame *f, struct buf *reply)
{
	struct ipc_reader r;
	struct slice text;
	int err;

	ipc_reader_init(&r, f->payload);
	err = (int)ipc_get_u32(&r);
	text = ipc_get_slice(&r);
	if (reply != NULL)
		buf_append_slice(reply, text);
	return r.err != 0 || err >= 0 || err <= ERR_LAST ? ERR_TEMP : err;
}

/* What was read was copied. An idle connection keeps room for a usual answer, none for a large one. */
static void
let_go(struct ipc_sync *s)
{
	if (s->ch.in_off == s->ch.in.len && s->ch.in.alloc > 2 * IPC_READ_CHUNK) {
		buf_done(&s->ch.in);
		s->ch.in_off = 0;
	}
}

int
ipc_sync_call(struct ipc_sync *s, uint16_t type, const struct buf *payload, int fd,
    unsigned timeout_ms, uint16_t *type_out, struct buf *reply, int *fd_out)
{
	uint64_t deadline = now_ms() + (timeout_ms > 0 ? timeout_ms : 30000);
	struct ipc_frame f;
	uint32_t id;
	int rc;

	rc = payload != NULL && payload->err != 0 ? payload->err
						  : ipc_may_send(s->proto, s->self, false, type,
							payload != NULL ? payload->len : 0, fd);
	if (rc == 0)
		rc = sync_up(s, deadline);
	if (rc != 0) {
		if (fd >= 0)
			close(fd);
		return rc;
	}
	if (reply != NULL)
		buf_reset(reply);
	id = ++s->next_id != 0 ? s->next_id : ++s->next_id;
	ipc_chan_put(&s->ch, type, id, payload, fd);
	rc = sync_flush(s, deadline);
	do {
		if (rc == 0)
			rc = sync_frame(s, deadline, &f);
		if (rc == 0 && f.id != id && f.fd >= 0)
			close(f.fd);
		if (rc == 0 && f.id != 0 && f.id != id)
			rc = ERR_PROTO;
	} while (rc == 0 && f.id == 0);
	if (rc != 0) {
		sync_down(s);
		return rc;
	}
	if (fd_out != NULL)
		*fd_out = f.fd;
	else if (f.fd >= 0)
		close(f.fd);
	if (f.type == IPC_ERR)
		rc = take_error(&f, reply);
	else if (reply != NULL && buf_append_slice(reply, f.payload) != 0)
		rc = reply->err;
	else if (type_out != NULL)
		*type_out = f.type;
	let_go(s);
	return rc;
}
