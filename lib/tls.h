/* tls.h: TLS contexts; tls.c is the only includer of <openssl/ssl.h>. TLS 1.2 and 1.3, SSL_MODE_RELEASE_BUFFERS.
 * Records are moved by io.h. RFC 8446, RFC 5929, RFC 9266. */
#ifndef CV_TLS_H
#define CV_TLS_H

#include "lib/buf.h"

struct tls_ctx;
struct tls;

/* A server context from PEM files (key readable now; call before privileges are dropped).
 * client_ca: PEM of CAs whose client certificates are asked for (lib/client_cert.h), NULL for none: no client needs one, and one that does not
 * verify is as if there were none. *why_out: static text. */
int tls_server_new(const char *cert_file, const char *key_file, const char *client_ca,
    struct tls_ctx **ctx_out, const char **why_out);
/* A client context. ca_file: trust anchors; NULL: opportunistic, the peer is not verified. */
int tls_client_new(const char *ca_file, struct tls_ctx **ctx_out, const char **why_out);
void tls_ctx_free(struct tls_ctx *ctx); /* NULL accepted */
/* Of a server context's certificate: seconds until it ends (negative: it has ended; 0 with ERR_EXPIRED: it is not valid
 * yet) and whether it names host (RFC 9525). For `congvu check`. 0, ERR_EXPIRED (outside its time). */
int tls_ctx_cert_check(
    const struct tls_ctx *ctx, const char *host, int64_t *seconds_left_out, bool *names_host_out);

/* A session over fd (not owned, non-blocking). server_name: for clients, SNI and (with a ca_file) the
 * name that must match; NULL for servers. NULL for no memory. */
struct tls *tls_new(struct tls_ctx *ctx, int fd, bool is_server, const char *server_name);
void tls_free(struct tls *t); /* NULL accepted */
/* Each returns >= 0 (bytes; 0 for a finished handshake), ERR_AGAIN with *want_out = LOOP_READ or
 * LOOP_WRITE, ERR_EOF (close_notify or end), ERR_PROTO. */
int tls_handshake(struct tls *t, int *want_out);
int tls_read(struct tls *t, void *p, size_t n, int *want_out);
int tls_write(struct tls *t, const void *p, size_t n, int *want_out);
void tls_shutdown(struct tls *t);             /* sends close_notify, does not wait */
const char *tls_version(const struct tls *t); /* "TLSv1.3" */
const char *tls_cipher(const struct tls *t);
unsigned tls_cipher_bits(const struct tls *t); /* of the symmetric key */
/* Channel bindings, for SCRAM-PLUS: tls-exporter (TLS 1.3), tls-server-end-point. 0 or ERR_UNSUPPORTED. */
int tls_binding_exporter(struct tls *t, unsigned char out[32]);
int tls_binding_endpoint(struct tls *t, struct buf *out);
/* Of a server's session: the certificate the client showed and proved to hold, DER, when it verified at the handshake (of a resumed session:
 * at the first one, so judge it anew before it lets anybody in). Appended. 0, ERR_NOTFOUND: none, or not verified; ERR_LIMIT. */
int tls_peer_cert(struct tls *t, struct buf *out);
/* Text of the last failure of this session, for the log. */
const char *tls_why(const struct tls *t);

#endif
