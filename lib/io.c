/* io.c: a buffered, bounded, non-blocking stream over a socket. Runs in every role with peers. Invariants: at most
 * in_cap bytes are held unread and reading stops there; output is written once at the end of the turn it was queued
 * in, and by readiness after that; io_free is safe inside every callback (memory goes when the outermost call
 * returns); between io_start_tls and the end of the handshake nothing is read in plain text (RFC 3207 6). */
#include "config.h"

#include "lib/io_priv.h"

#include "lib/err.h"
#include "lib/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	SCRATCH = 65536,        /* read per system call beyond what the buffer holds */
	READ_TURN_MAX = 262144, /* read from one peer before the others have their turn */
	LINGER_MS = 2000,
	FILTER_PIECE = 16384, /* compressed bytes read at a time */
};

struct io {
	struct loop *loop;
	struct loop_fd *watch;
	struct loop_defer *defer;
	struct loop_timer *timer; /* made when a limit is set */
	const struct io_ops *ops;
	void *arg;
	const struct io_tls_ops *tls_ops;
	struct tls *tls;
	const struct io_filter_ops *filter_ops;
	struct io_filter *filter;
	struct buf zin; /* with a filter: what was read and did not pass it yet */
	struct buf in, out;
	size_t in_off, out_off; /* what was consumed of in, written of out */
	size_t in_cap, out_cap, low_water;
	size_t plain_left; /* of out: bytes from before io_start_tls, still to go in plain text */
	uint64_t read_ms, write_ms;     /* limits; 0: none */
	uint64_t last_read, last_write; /* loop_now_ms of the last byte */
	uint64_t linger_until;
	int fd;
	int rd_want, wr_want, hs_want; /* what TLS waits for */
	unsigned depth;                /* calls of ours under way: memory stays until 0 */
	bool dead;                     /* io_free was called */
	bool failed;                   /* on_close came with an error: nothing moves any more */
	bool eof;                      /* the peer sends no more */
	bool connecting, handshaking, tls_queued;
	bool paused, closing, lingering;
	bool rd_more;    /* TLS may hold more bytes although the socket shows none */
	bool wr_blocked; /* the kernel takes no more: wait for readiness */
	bool above_low;
	bool held;              /* io_hold */
	bool do_flush, do_kick; /* what the deferral is for */
	char peer[64];
};

static _Thread_local unsigned char scratch[SCRATCH], scratch_z[SCRATCH];

static void update(struct io *io);

static void
enter(struct io *io)
{
	io->depth++;
}

static void
leave(struct io *io)
{
	assert(io->depth > 0);
	if (--io->depth == 0 && io->dead)
		free(io);
}

size_t
io_out_len(const struct io *io)
{
	return io->out.len - io->out_off;
}

static size_t
in_len(const struct io *io)
{
	return io->in.len - io->in_off;
}

struct slice
io_in(const struct io *io)
{
	return slice_from(buf_slice(&io->in), io->in_off);
}

/* Tells the owner once; after ERR_EOF the output still works. */
static void
end_stream(struct io *io, int err)
{
	if (io->dead || io->failed || (err == ERR_EOF && io->eof))
		return;
	if (err == ERR_EOF)
		io->eof = true;
	else
		io->failed = true;
	update(io);
	enter(io);
	io->ops->on_close(io, err, io->arg);
	leave(io);
}

static bool
is_reading(const struct io *io)
{
	if (io->dead || io->failed || io->eof || io->connecting || io->handshaking ||
	    io->tls_queued)
		return false;
	if (io->lingering)
		return true;
	return !io->paused && !io->closing && in_len(io) < io->in_cap;
}

static void
arm_timer(struct io *io)
{
	uint64_t now = loop_now_ms(io->loop);
	uint64_t due = UINT64_MAX;

	if (io->lingering)
		due = io->linger_until;
	if (io->read_ms != 0 && io->last_read + io->read_ms < due)
		due = io->last_read + io->read_ms;
	if (io->write_ms != 0 && io_out_len(io) > 0 && io->last_write + io->write_ms < due)
		due = io->last_write + io->write_ms;
	if (due != UINT64_MAX)
		loop_timer_set(io->timer, due > now ? due - now : 0);
}

static void
on_timer(void *arg)
{
	struct io *io = arg;
	uint64_t now = loop_now_ms(io->loop);
	bool out_late =
	    io->write_ms != 0 && io_out_len(io) > 0 && now >= io->last_write + io->write_ms;
	bool waiting = is_reading(io) || io->connecting || io->handshaking;

	if (io->dead || io->failed)
		return;
	/* time in which we did not want to hear the peer is not the peer's */
	if (!waiting && now >= io->last_read + io->read_ms)
		io->last_read = now;
	enter(io);
	if (io->lingering && now >= io->linger_until)
		end_stream(io, ERR_CLOSED);
	else if (out_late || (io->read_ms != 0 && now >= io->last_read + io->read_ms))
		end_stream(io, ERR_TIMEOUT);
	else
		arm_timer(io);
	leave(io);
}

void
io_set_timeouts(struct io *io, uint64_t read_ms, uint64_t write_ms)
{
	if (io->timer == NULL)
		io->timer = loop_timer_new(io->loop, on_timer, io);
	io->read_ms = read_ms;
	io->write_ms = write_ms;
	io->last_read = io->last_write = loop_now_ms(io->loop);
	loop_timer_stop(io->timer);
	arm_timer(io);
}

/* Brings what the loop watches in line with the state. */
static void
update(struct io *io)
{
	int want = 0;

	if (io->dead)
		return;
	if (io->failed) {
		loop_fd_want(io->watch, 0);
		return;
	}
	if (io->connecting)
		want = LOOP_WRITE;
	else if (io->handshaking)
		want = io->hs_want;
	if (is_reading(io)) {
		want |= io->rd_want;
		if (io->rd_more)
			loop_defer_set(io->defer);
	}
	if (io->wr_blocked && !io->handshaking && !io->connecting)
		want |= io->wr_want;
	loop_fd_want(io->watch, want);
}

/* ---- reading ---- */

/* What lies before in_off goes, so that the buffer holds unread bytes only. */
static void
compact(struct io *io)
{
	if (io->in_off == 0)
		return;
	buf_consume(&io->in, io->in_off);
	io->in_off = 0;
}

/* > 0: bytes taken in; ERR_AGAIN, ERR_EOF, ERR_IO. */
static int
read_plain(struct io *io)
{
	size_t room = io->in_cap - in_len(io);
	size_t first = io->in.alloc > io->in.len ? io->in.alloc - io->in.len - 1 : 0;

	if (first > room)
		first = room;
	struct iovec iov[2] = {
	    {.iov_base = io->in.data == NULL ? NULL : io->in.data + io->in.len, .iov_len = first},
	    {.iov_base = scratch, .iov_len = room - first < SCRATCH ? room - first : SCRATCH},
	};
	ssize_t n = readv(io->fd, iov, 2);
	if (n == 0)
		return ERR_EOF;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? ERR_AGAIN : ERR_IO;
	size_t in_place = (size_t)n < first ? (size_t)n : first;
	if (in_place > 0)
		buf_commit(&io->in, in_place);
	if ((size_t)n > in_place && buf_append(&io->in, scratch, (size_t)n - in_place) != 0)
		fatal("no memory for input");
	return (int)n;
}

static int
read_tls(struct io *io)
{
	size_t room = io->in_cap - in_len(io);
	int want = LOOP_READ;
	int n = io->tls_ops->read(io->tls, scratch, room < SCRATCH ? room : SCRATCH, &want);

	if (n == ERR_AGAIN)
		io->rd_want = want;
	if (n > 0 && buf_append(&io->in, scratch, (size_t)n) != 0)
		fatal("no memory for input");
	return n;
}

/* Compressed bytes: no more than one piece is read ahead of what the owner takes, whatever comes out of it. */
static int
read_filtered(struct io *io)
{
	int n = 0;

	while (n == 0) {
		size_t room = io->in_cap - in_len(io), used = 0;

		if (io->zin.len == 0 && !io->filter_ops->has_more(io->filter)) {
			int want = LOOP_READ;
			ssize_t r;

			if (io->tls != NULL)
				r = io->tls_ops->read(io->tls, scratch, FILTER_PIECE, &want);
			else
				r = recv(io->fd, scratch, FILTER_PIECE, 0);
			if (io->tls == NULL && r == 0)
				r = ERR_EOF;
			else if (io->tls == NULL && r < 0)
				r = errno == EAGAIN || errno == EINTR ? ERR_AGAIN : ERR_IO;
			if (r == ERR_AGAIN)
				io->rd_want = want;
			if (r <= 0)
				return (int)r;
			if (buf_append(&io->zin, scratch, (size_t)r) != 0)
				fatal("no memory for input");
		}
		n = io->filter_ops->read(io->filter, buf_slice(&io->zin), &used, scratch_z,
		    room < SCRATCH ? room : SCRATCH);
		if (used == io->zin.len)
			buf_done(&io->zin);
		else
			buf_consume(&io->zin, used);
		if (n > 0 && buf_append(&io->in, scratch_z, (size_t)n) != 0)
			fatal("no memory for input");
	}
	return n;
}

static void
drop_input(struct io *io)
{
	buf_done(&io->in);
	io->in_off = 0;
}

static void
give_input(struct io *io)
{
	if (io->lingering) {
		drop_input(io);
		return;
	}
	enter(io);
	io->ops->on_read(io, io->arg);
	/* an idle peer holds no buffer */
	if (!io->dead && in_len(io) == 0)
		drop_input(io);
	leave(io);
}

static void
do_read(struct io *io)
{
	size_t got = 0;
	int n = ERR_AGAIN;

	if (!is_reading(io))
		return;
	io->rd_more = false;
	compact(io);
	do {
		n = io->filter != NULL ? read_filtered(io)
		    : io->tls != NULL  ? read_tls(io)
				       : read_plain(io);
		if (n > 0)
			got += (size_t)n;
		/* a plain socket tells us by readiness whether there is more */
	} while (n > 0 && (io->tls != NULL || io->filter != NULL) && in_len(io) < io->in_cap &&
		 got < READ_TURN_MAX);
	if (n > 0 && (io->tls != NULL || io->filter != NULL))
		io->rd_more = true;
	enter(io);
	if (got > 0) {
		io->last_read = loop_now_ms(io->loop);
		give_input(io);
	}
	if (n < 0 && n != ERR_AGAIN && !io->dead) {
		if (io->lingering)
			end_stream(io, ERR_CLOSED);
		else
			end_stream(io, n);
	}
	update(io);
	leave(io);
}

void
io_consume(struct io *io, size_t n)
{
	assert(n <= in_len(io));
	bool was_full = in_len(io) >= io->in_cap;
	io->in_off += n;
	if (n > 0 && was_full) {
		io->last_read = loop_now_ms(io->loop);
		update(io);
	}
}

void
io_discard_input(struct io *io)
{
	io_consume(io, in_len(io));
}

void
io_kick(struct io *io)
{
	if (io->dead || io->failed)
		return;
	io->do_kick = true;
	loop_defer_set(io->defer);
}

void
io_pause(struct io *io)
{
	io->paused = true;
	update(io);
}

void
io_resume(struct io *io)
{
	if (!io->paused)
		return;
	io->paused = false;
	io->last_read = loop_now_ms(io->loop);
	update(io);
}

/* ---- writing ---- */

/* What was queued before io_start_tls goes in plain text, what came after it waits for the handshake. */
static size_t
may_write(const struct io *io)
{
	return io->tls_queued ? io->plain_left : io_out_len(io);
}

static int
write_some(struct io *io)
{
	const unsigned char *p = io->out.data + io->out_off;
	size_t n = may_write(io);

	if (io->tls != NULL && !io->tls_queued) {
		int want = LOOP_WRITE;
		int r = io->tls_ops->write(io->tls, p, n > INT32_MAX ? INT32_MAX : n, &want);
		if (r == ERR_AGAIN)
			io->wr_want = want;
		return r;
	}
	io->wr_want = LOOP_WRITE;
	ssize_t r = send(io->fd, p, n > INT32_MAX ? INT32_MAX : n, MSG_NOSIGNAL);
	if (r < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? ERR_AGAIN : ERR_IO;
	return (int)r;
}

static void
do_handshake(struct io *io)
{
	int want = LOOP_READ;
	int r = io->tls_ops->handshake(io->tls, &want);

	io->last_read = loop_now_ms(io->loop);
	if (r == ERR_AGAIN) {
		io->hs_want = want;
		update(io);
		return;
	}
	io->handshaking = false;
	enter(io);
	if (io->ops->on_tls != NULL)
		io->ops->on_tls(io, r < 0 ? r : 0, io->arg);
	if (r < 0) {
		end_stream(io, r);
	} else if (!io->dead) {
		/* application data may have come with the last flight */
		io->rd_more = true;
		io->do_flush = true;
		loop_defer_set(io->defer);
	}
	update(io);
	leave(io);
}

/* What could go out is out: what waited for that happens now. */
static void
when_empty(struct io *io)
{
	if (io->tls_queued) {
		io->tls_queued = false;
		io->handshaking = true;
		io->hs_want = LOOP_READ | LOOP_WRITE;
		io_discard_input(io);
		do_handshake(io);
	} else if (io->closing && !io->lingering && io_out_len(io) == 0) {
		if (io->tls != NULL)
			io->tls_ops->shutdown(io->tls);
		shutdown(io->fd, SHUT_WR);
		if (io->eof) {
			end_stream(io, ERR_CLOSED);
			return;
		}
		io->lingering = true;
		io->linger_until = loop_now_ms(io->loop) + LINGER_MS;
		drop_input(io);
		if (io->timer == NULL)
			io->timer = loop_timer_new(io->loop, on_timer, io);
		arm_timer(io);
		update(io);
	}
}

static void
do_flush(struct io *io)
{
	int n = 0;

	io->do_flush = false;
	if (io->dead || io->failed || io->connecting || io->handshaking)
		return;
	enter(io);
	io->wr_blocked = false;
	if (io->filter != NULL && io->filter_ops->is_dirty(io->filter) &&
	    io->filter_ops->write(io->filter, slice_of(NULL, 0), true, &io->out) != 0)
		fatal("no memory for output");
	while (may_write(io) > 0 && (n = write_some(io)) > 0) {
		io->out_off += (size_t)n;
		if (io->tls_queued)
			io->plain_left -= (size_t)n;
		io->last_write = loop_now_ms(io->loop);
	}
	if (io_out_len(io) == 0) {
		buf_done(&io->out);
		io->out_off = 0;
	} else if (n == ERR_AGAIN) {
		io->wr_blocked = true;
		if (io->write_ms != 0 && !loop_timer_is_set(io->timer))
			arm_timer(io);
	} else if (n < 0) {
		/* the peer may have said why before it closed */
		do_read(io);
		end_stream(io, ERR_IO);
	}
	if (!io->dead && !io->failed && io->above_low && io_out_len(io) <= io->low_water) {
		io->above_low = false;
		if (io->ops->on_drain != NULL && !io->closing)
			io->ops->on_drain(io, io->arg);
	}
	if (!io->dead && !io->failed && may_write(io) == 0)
		when_empty(io);
	update(io);
	leave(io);
}

int
io_write(struct io *io, const void *p, size_t n)
{
	if (io->dead || io->failed || io->closing)
		return ERR_CLOSED;
	if (n > io->out_cap - io_out_len(io))
		return ERR_LIMIT;
	if (n == 0)
		return 0;
	if (io_out_len(io) == 0)
		io->last_write = loop_now_ms(io->loop);
	if (io->out_off > 0 && io->out_off >= io->out.len / 2) {
		buf_consume(&io->out, io->out_off);
		io->out_off = 0;
	}
	if (io->filter != NULL ? io->filter_ops->write(io->filter, slice_of(p, n), false, &io->out)
			       : buf_append(&io->out, p, n))
		fatal("no memory for output");
	if (io_out_len(io) > io->low_water)
		io->above_low = true;
	if (!io->wr_blocked && !io->do_flush && !io->held) {
		io->do_flush = true;
		loop_defer_set(io->defer);
	}
	return 0;
}

void
io_hold(struct io *io, bool hold)
{
	if (io->dead || io->held == hold)
		return;
	io->held = hold;
	if (hold) {
		io->do_flush = false;
	} else if ((io_out_len(io) > 0 || io->filter != NULL) && !io->wr_blocked) {
		io->do_flush = true;
		loop_defer_set(io->defer);
	}
}

int
io_write_str(struct io *io, const char *s)
{
	return io_write(io, s, strlen(s));
}

int
io_printf(struct io *io, const char *fmt, ...)
{
	struct buf b;
	va_list ap;

	buf_init(&b, io->out_cap);
	va_start(ap, fmt);
	int r = buf_vappendf(&b, fmt, ap);
	va_end(ap);
	if (r == 0)
		r = io_write(io, b.data, b.len);
	buf_done(&b);
	return r;
}

void
io_set_low_water(struct io *io, size_t n)
{
	io->low_water = n;
}

void
io_close_after_flush(struct io *io)
{
	if (io->dead || io->failed || io->closing)
		return;
	io->closing = true;
	update(io);
	if (!io->wr_blocked) {
		io->do_flush = true;
		loop_defer_set(io->defer);
	}
}

/* ---- events ---- */

static void
on_defer(void *arg)
{
	struct io *io = arg;

	enter(io);
	if (io->do_kick && !io->failed) {
		io->do_kick = false;
		give_input(io);
	}
	if (io->rd_more && !io->dead)
		do_read(io);
	if (io->do_flush && !io->dead)
		do_flush(io);
	update(io);
	leave(io);
}

static void
on_connected(struct io *io)
{
	int en = 0;
	socklen_t len = sizeof(en);

	io->connecting = false;
	if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &en, &len) != 0)
		en = errno;
	if (en != 0) {
		errno = en;
		end_stream(io, ERR_IO);
		return;
	}
	io->last_read = loop_now_ms(io->loop);
	if (io->ops->on_connect != NULL)
		io->ops->on_connect(io, io->arg);
	if (!io->dead)
		do_flush(io);
}

static void
on_event(void *arg, int events)
{
	struct io *io = arg;

	enter(io);
	if (io->connecting) {
		on_connected(io);
	} else if (io->handshaking) {
		do_handshake(io);
	} else {
		if (io->wr_blocked && (events & io->wr_want))
			do_flush(io);
		if (!io->dead && (events & io->rd_want))
			do_read(io);
	}
	update(io);
	leave(io);
}

/* ---- life ---- */

static struct io *
make(struct loop *l, int fd, size_t in_cap, size_t out_cap, const struct io_ops *ops, void *arg)
{
	struct io *io = xcalloc(1, sizeof(*io));

	io->loop = l;
	io->fd = fd;
	io->ops = ops;
	io->arg = arg;
	io->in_cap = in_cap;
	io->out_cap = out_cap;
	io->rd_want = LOOP_READ;
	io->wr_want = LOOP_WRITE;
	/* the limits are ours to keep: a buf holds consumed bytes too */
	buf_init(&io->in, in_cap + SCRATCH);
	buf_init(&io->out, SIZE_MAX / 2);
	buf_init(&io->zin, 2 * (size_t)SCRATCH + in_cap);
	io->last_read = io->last_write = loop_now_ms(l);
	io->watch = loop_fd_new(l, fd, on_event, io);
	io->defer = loop_defer_new(l, on_defer, io);
	return io;
}

struct io *
io_new(struct loop *l, int fd, size_t in_cap, size_t out_cap, const struct io_ops *ops, void *arg)
{
	struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(sa);
	int on = 1;
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && !(flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	struct io *io = make(l, fd, in_cap, out_cap, ops, arg);
	/* a peer that is gone already shows at the first read */
	(void)getpeername(fd, (struct sockaddr *)&sa, &len);
	io_priv_peer(&sa, io->peer, sizeof(io->peer));
	if (sa.ss_family == AF_INET || sa.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	update(io);
	return io;
}

static struct io *
connect_to(struct loop *l, const struct sockaddr_storage *sa, socklen_t len, size_t in_cap,
    size_t out_cap, const struct io_ops *ops, void *arg)
{
	int on = 1;
	int fd = socket(sa->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return NULL;
	if (sa->ss_family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)sa, len) != 0 && errno != EINPROGRESS) {
		int en = errno;
		close(fd);
		errno = en;
		return NULL;
	}
	struct io *io = make(l, fd, in_cap, out_cap, ops, arg);
	io_priv_peer(sa, io->peer, sizeof(io->peer));
	/* one way for both outcomes: an established socket is writable */
	io->connecting = true;
	update(io);
	return io;
}

struct io *
io_connect_unix(struct loop *l, const char *path, size_t in_cap, size_t out_cap,
    const struct io_ops *ops, void *arg)
{
	struct sockaddr_storage sa = {.ss_family = AF_UNIX};
	struct sockaddr_un *un = (void *)&sa;
	size_t n = strlen(path);

	if (n == 0 || n >= sizeof(un->sun_path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	memcpy(un->sun_path, path, n + 1);
	return connect_to(l, &sa, sizeof(*un), in_cap, out_cap, ops, arg);
}

struct io *
io_connect_tcp(struct loop *l, const char *hostport, size_t in_cap, size_t out_cap,
    const struct io_ops *ops, void *arg)
{
	struct sockaddr_storage sa;
	socklen_t len = 0;

	if (io_priv_hostport(hostport, &sa, &len) != 0) {
		errno = EINVAL;
		return NULL;
	}
	return connect_to(l, &sa, len, in_cap, out_cap, ops, arg);
}

void
io_free(struct io *io)
{
	if (io == NULL || io->dead)
		return;
	loop_fd_free(io->watch);
	loop_defer_free(io->defer);
	loop_timer_free(io->timer);
	if (io->tls != NULL)
		io->tls_ops->free(io->tls);
	if (io->filter != NULL)
		io->filter_ops->free(io->filter);
	close(io->fd);
	/* they may hold passwords or official mail */
	buf_wipe(&io->in);
	buf_wipe(&io->out);
	buf_wipe(&io->zin);
	io->in_off = io->out_off = 0;
	io->dead = true;
	enter(io);
	leave(io);
}

/* ---- TLS, from io_tls.c ---- */

int
io_priv_tls(struct io *io, struct tls *t, const struct io_tls_ops *ops)
{
	if (io->dead || io->failed || io->closing || io->tls != NULL) {
		ops->free(t);
		return ERR_CLOSED;
	}
	/* the one place: nothing that came in plain text is seen after this (RFC 3207 6) */
	io_discard_input(io);
	io->do_kick = false;
	io->tls_ops = ops;
	io->tls = t;
	io->tls_queued = true;
	io->plain_left = io_out_len(io);
	update(io);
	if (!io->wr_blocked) {
		io->do_flush = true;
		loop_defer_set(io->defer);
	}
	return 0;
}

/* ---- compression, from io_deflate.c ---- */

int
io_priv_filter(struct io *io, struct io_filter *f, const struct io_filter_ops *ops)
{
	if (io->dead || io->failed || io->closing || io->filter != NULL) {
		ops->free(f);
		return ERR_CLOSED;
	}
	if (buf_append_slice(&io->zin, io_in(io)) != 0)
		fatal("no memory for input");
	io_discard_input(io);
	io->filter_ops = ops;
	io->filter = f;
	io->rd_more = io->rd_more || io->zin.len > 0;
	update(io);
	return 0;
}

int
io_priv_fd(const struct io *io)
{
	return io->fd;
}

struct tls *
io_tls(struct io *io)
{
	return io->tls_queued || io->handshaking ? NULL : io->tls;
}

const char *
io_peer(const struct io *io)
{
	return io->peer;
}

struct loop *
io_loop(struct io *io)
{
	return io->loop;
}
