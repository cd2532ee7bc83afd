/* io_priv.h: between io.c and io_tls.c only. TLS comes in through this table, so that libcvloop.a does not need libssl. */
#ifndef CV_IO_PRIV_H
#define CV_IO_PRIV_H

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

#endif
