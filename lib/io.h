/* io.h: a buffered, bounded, non-blocking byte stream over a socket, with TLS if asked. All socket reads
 * and writes of peers go through io.c. Runs in every role with peers. */
#ifndef CV_IO_H
#define CV_IO_H

#include "lib/buf.h"
#include "lib/loop.h"
#include "lib/tls.h"

struct io;

struct io_ops {
	/* New bytes are in io_in(), or room was made; consume what is whole with io_consume. Called again
	 * only when more bytes arrive (or io_kick). */
	void (*on_read)(struct io *io, void *arg);
	/* The output fell to low_water or below after having been above it. May be NULL. */
	void (*on_drain)(struct io *io, void *arg);
	/* The stream ended: ERR_EOF (peer closed; input left may still be read), ERR_TIMEOUT, ERR_IO,
	 * ERR_PROTO (TLS). The callee calls io_free (allowed inside). Called once; but after ERR_EOF the other direction may
	 * still be open: a callee may keep the stream to write and io_close_after_flush; the end of that comes as a second call,
	 * with ERR_CLOSED (flushed) or another error, never ERR_EOF again. */
	void (*on_close)(struct io *io, int err, void *arg);
	/* The TLS handshake that io_start_tls began is done (0), or failed (on_close follows). May be NULL. */
	void (*on_tls)(struct io *io, int err, void *arg);
	/* A connection begun with io_connect_* stands. May be NULL. */
	void (*on_connect)(struct io *io, void *arg);
};

/* Takes fd (closed by io_free; made non-blocking, TCP_NODELAY). in_cap: most input held unread; reading
 * stops while it is full. out_cap: io_write past it fails. Reading starts at once. fatal() for no memory. */
struct io *io_new(
    struct loop *l, int fd, size_t in_cap, size_t out_cap, const struct io_ops *ops, void *arg);
/* Closes at once without flushing. NULL accepted; safe inside callbacks. */
void io_free(struct io *io);
/* Connects to a UNIX socket (path relative to the working directory allowed) or to an IP literal
 * "127.0.0.1:2525" / "[::1]:2525"; result by on_close or by on_connect. Gives NULL with errno on immediate failure. */
struct io *io_connect_unix(struct loop *l, const char *path, size_t in_cap, size_t out_cap,
    const struct io_ops *ops, void *arg);
struct io *io_connect_tcp(struct loop *l, const char *hostport, size_t in_cap, size_t out_cap,
    const struct io_ops *ops, void *arg);

/* The unread input. Borrowed until the next consume or return to the loop. */
struct slice io_in(const struct io *io);
void io_consume(struct io *io, size_t n);
/* Discards all unread input: STARTTLS calls it, so that nothing sent before TLS survives (RFC 3207 6). */
void io_discard_input(struct io *io);
/* Calls on_read again, later in this turn, although nothing new arrived. */
void io_kick(struct io *io);

/* Queues bytes; they go out in this turn. 0, ERR_LIMIT (out_cap), ERR_CLOSED. */
int io_write(struct io *io, const void *p, size_t n);
int io_write_str(struct io *io, const char *s);
/* While it is held, what was queued stays (closing sends it all the same): for answers to commands of a pipeline, which go out together. */
void io_hold(struct io *io, bool hold);
int io_printf(struct io *io, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Bytes queued and not yet taken by the kernel. */
size_t io_out_len(const struct io *io);
void io_set_low_water(struct io *io, size_t n);
/* Flushes, then closes and calls on_close(ERR_CLOSED). Input is no longer given to on_read; what the peer still sends is
 * thrown away for at most two seconds, since closing over unread bytes would reset the connection and lose our last reply. */
void io_close_after_flush(struct io *io);

/* Starts TLS after what is queued was flushed; unread input is discarded; what is written from now on goes out inside TLS.
 * In io_tls.c (libcvtls.a): a program without TLS peers does not link libssl. 0, ERR_NOMEM, ERR_CLOSED. */
int io_start_tls(struct io *io, struct tls_ctx *ctx, bool is_server, const char *server_name);
/* Compresses from now on, both ways (RFC 4978), above TLS: what was queued before goes out as it is, unread input counts as compressed. In
 * io_deflate.c (libcvdeflate.a). A stream that is quiet holds next to no memory for it. 0 or ERR_CLOSED. */
int io_start_deflate(struct io *io);
/* The TLS session, NULL in plain text. Borrowed. */
struct tls *io_tls(struct io *io);

/* Stops and resumes reading from the peer: back-pressure. */
void io_pause(struct io *io);
void io_resume(struct io *io);
/* Milliseconds without any byte in (read_ms) or, with output queued, without any byte out (write_ms);
 * 0: none. A passed limit calls on_close(ERR_TIMEOUT). */
void io_set_timeouts(struct io *io, uint64_t read_ms, uint64_t write_ms);
/* "192.0.2.1:4711", "[2001:db8::1]:4711" or "unix". Borrowed. */
const char *io_peer(const struct io *io);
struct loop *io_loop(struct io *io);

/* A listening socket (inherited, not owned): accept_cb gets each accepted descriptor (to be owned).
 * At most max connections are open at a time as told by listener_closed(); accepting pauses there and on EMFILE. */
struct listener;
struct listener *listener_new(
    struct loop *l, int fd, unsigned max, void (*accept_cb)(void *arg, int fd), void *arg);
void listener_closed(struct listener *ls);
void listener_free(struct listener *ls);

#endif
