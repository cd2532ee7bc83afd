/* io_tls.c: puts TLS under an io stream. Runs in the roles with TLS peers; what links it links libssl. */
#include "config.h"

#include "lib/io_priv.h"

#include "lib/err.h"
#include "lib/tls.h"

static const struct io_tls_ops ops = {
    .handshake = tls_handshake,
    .read = tls_read,
    .write = tls_write,
    .shutdown = tls_shutdown,
    .free = tls_free,
};

int
io_start_tls(struct io *io, struct tls_ctx *ctx, bool is_server, const char *server_name)
{
	struct tls *t = tls_new(ctx, io_priv_fd(io), is_server, server_name);

	if (t == NULL)
		return ERR_NOMEM;
	return io_priv_tls(io, t, &ops);
}
