/* io_priv.h: between io.c, io_tls.c and io_deflate.c only. TLS and compression come in through these tables, so that libcvloop.a needs neither libssl
 * nor zlib. */
#ifndef CV_IO_PRIV_H
#define CV_IO_PRIV_H

#include <sys/socket.h>

#include "lib/io.h"

struct io_tls_ops {
	int (*handshake)(struct tls *t, int *want_out);
	int (*read)(struct tls *t, void *p, size_t n, int *want_out);
	int (*write)(struct tls *t, const void *p, size_t n, int *want_out);
	void (*shutdown)(struct tls *t);
	void (*free)(struct tls *t);
};
/* Takes t; the handshake begins when the output queued so far is out. 0 or ERR_CLOSED (t is freed). */
int io_priv_tls(struct io *io, struct tls *t, const struct io_tls_ops *ops);
int io_priv_fd(const struct io *io);
/* io_addr.c: the text of io_peer; and back, of what io_connect_tcp is given (0 or ERR_SYNTAX). */
void io_priv_peer(const struct sockaddr_storage *sa, char *out, size_t size);
int io_priv_hostport(const char *hostport, struct sockaddr_storage *sa, socklen_t *len_out);

/* What stands between the stream's bytes and its owner: compression. As lib/deflate.h. */
struct io_filter;
struct io_filter_ops {
	int (*write)(struct io_filter *f, struct slice in, bool flush, struct buf *out);
	int (*read)(struct io_filter *f, struct slice in, size_t *used_out, unsigned char *out,
	    size_t room);
	bool (*is_dirty)(const struct io_filter *f);
	bool (*has_more)(const struct io_filter *f);
	void (*free)(struct io_filter *f);
};
/* Takes f: what is written from now on, and what was not consumed yet, goes through it. 0 or ERR_CLOSED (f is freed). */
int io_priv_filter(struct io *io, struct io_filter *f, const struct io_filter_ops *ops);

#endif
