/* tls.c: TLS 1.2 and 1.3 over OpenSSL (the only includer of <openssl/ssl.h>). Runs in the session roles and relay.
 * No renegotiation, no compression; buffers are given back while a session is idle. Session tickets are stateless,
 * so no session cache grows with the number of clients. RFC 8446, RFC 5246, RFC 5929, RFC 9266. */
#include "config.h"

#include "lib/tls.h"

#include "lib/client_cert.h"
#include "lib/err.h"
#include "lib/loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct tls_ctx {
	SSL_CTX *ssl;
	bool verify;
	struct client_cas *client_cas; /* of a server that asks for certificates */
};

struct tls {
	SSL *ssl;
	bool broken; /* after a fatal error nothing more may be asked of the session */
	char why[160];
};

static int
no_password(char *p, int size, int rwflag, void *arg)
{
	(void)rwflag;
	(void)arg;
	if (size > 0)
		p[0] = '\0';
	return -1;
}

static struct tls_ctx *
ctx_new(const SSL_METHOD *method)
{
	struct tls_ctx *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->ssl = SSL_CTX_new(method);
	if (c->ssl == NULL) {
		free(c);
		return NULL;
	}
	SSL_CTX_set_min_proto_version(c->ssl, TLS1_2_VERSION);
	/* a peer that closes without close_notify ended the stream; SMTP and IMAP know where a command ends */
	SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
					SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				     SSL_MODE_ENABLE_PARTIAL_WRITE);
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_default_passwd_cb(c->ssl, no_password);
	/* one read(2) for header and record */
	SSL_CTX_set_read_ahead(c->ssl, 1);
	return c;
}

void
tls_ctx_free(struct tls_ctx *ctx)
{
	if (ctx == NULL)
		return;
	SSL_CTX_free(ctx->ssl);
	client_cas_free(ctx->client_cas);
	free(ctx);
}

/* The DER of a certificate, at most CLIENT_CERT_MAX. Appended. */
static int
der_of(X509 *cert, struct buf *out)
{
	unsigned char *der = NULL;
	int n = cert == NULL ? -1 : i2d_X509(cert, &der), err;

	if (n < 0)
		return ERR_NOTFOUND;
	err = n > CLIENT_CERT_MAX ? ERR_LIMIT : buf_append(out, der, (size_t)n);
	OPENSSL_free(der);
	return err;
}

/* In the place of OpenSSL's verification of a client's certificate. The handshake goes on whatever it is worth: a mail client shows what it
 * happens to have, and its user has a password. What was found is kept with the session, and so with its ticket (tls_peer_cert). */
static int
verify_client(X509_STORE_CTX *x, void *arg)
{
	struct tls_ctx *c = arg;
	const char *why;
	struct buf der;
	bool good;

	buf_init(&der, CLIENT_CERT_MAX);
	good = der_of(X509_STORE_CTX_get0_cert(x), &der) == 0 &&
	       client_cert_check(c->client_cas, buf_slice(&der), NULL, &why) == 0;
	buf_done(&der);
	X509_STORE_CTX_set_error(x, good ? X509_V_OK : X509_V_ERR_APPLICATION_VERIFICATION);
	return 1;
}

int
tls_server_new(const char *cert_file, const char *key_file, const char *client_ca,
    struct tls_ctx **ctx_out, const char **why_out)
{
	struct tls_ctx *c = ctx_new(TLS_server_method());
	const char *why = NULL;

	if (c == NULL) {
		*why_out = "no memory for TLS";
		return ERR_NOMEM;
	}
	SSL_CTX_set_num_tickets(c->ssl, 1);
	SSL_CTX_set_session_id_context(c->ssl, (const unsigned char *)"congvu", 6);
	if (SSL_CTX_use_certificate_chain_file(c->ssl, cert_file) != 1)
		why = "the certificate chain cannot be read";
	else if (SSL_CTX_use_PrivateKey_file(c->ssl, key_file, SSL_FILETYPE_PEM) != 1)
		why = "the private key cannot be read or does not belong to the certificate";
	else if (SSL_CTX_check_private_key(c->ssl) != 1)
		why = "the private key does not belong to the certificate";
	if (why == NULL && client_ca != NULL) {
		STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(client_ca);
		if (names == NULL || client_cas_new(client_ca, &c->client_cas, &why) != 0) {
			sk_X509_NAME_pop_free(names, X509_NAME_free);
			why = "the CAs of client certificates cannot be read";
		} else {
			why = NULL;
			SSL_CTX_set_client_CA_list(c->ssl, names);
			SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
			SSL_CTX_set_cert_verify_callback(c->ssl, verify_client, c);
		}
	}
	ERR_clear_error();
	if (why != NULL) {
		tls_ctx_free(c);
		*why_out = why;
		return ERR_IO;
	}
	*ctx_out = c;
	return 0;
}

int
tls_ctx_cert_check(
    const struct tls_ctx *ctx, const char *host, int64_t *seconds_left_out, bool *names_host_out)
{
	X509 *cert = SSL_CTX_get0_certificate(ctx->ssl);
	int days = 0, seconds = 0;

	*names_host_out = cert != NULL && X509_check_host(cert, host, 0, 0, NULL) == 1;
	*seconds_left_out = 0;
	if (cert == NULL || X509_cmp_current_time(X509_get0_notBefore(cert)) >= 0)
		return ERR_EXPIRED;
	if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)) == 1)
		*seconds_left_out = (int64_t)days * 86400 + seconds;
	return *seconds_left_out > 0 ? 0 : ERR_EXPIRED;
}

int
tls_client_new(const char *ca_file, struct tls_ctx **ctx_out, const char **why_out)
{
	struct tls_ctx *c = ctx_new(TLS_client_method());

	if (c == NULL) {
		*why_out = "no memory for TLS";
		return ERR_NOMEM;
	}
	if (ca_file != NULL) {
		if (SSL_CTX_load_verify_file(c->ssl, ca_file) != 1) {
			ERR_clear_error();
			tls_ctx_free(c);
			*why_out = "the trust anchors cannot be read";
			return ERR_IO;
		}
		SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
		c->verify = true;
	}
	*ctx_out = c;
	return 0;
}

struct tls *
tls_new(struct tls_ctx *ctx, int fd, bool is_server, const char *server_name)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->ssl = SSL_new(ctx->ssl);
	if (t->ssl == NULL || SSL_set_fd(t->ssl, fd) != 1)
		goto fail;
	if (is_server) {
		SSL_set_accept_state(t->ssl);
		return t;
	}
	SSL_set_connect_state(t->ssl);
	if (server_name != NULL && (SSL_set_tlsext_host_name(t->ssl, server_name) != 1 ||
				       (ctx->verify && SSL_set1_host(t->ssl, server_name) != 1)))
		goto fail;
	return t;
fail:
	tls_free(t);
	ERR_clear_error();
	return NULL;
}

void
tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	free(t);
}

static int
result(struct tls *t, int r, int *want_out)
{
	int en = errno;

	if (r > 0)
		return r;
	switch (SSL_get_error(t->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		*want_out = LOOP_READ;
		return ERR_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		*want_out = LOOP_WRITE;
		return ERR_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return ERR_EOF;
	case SSL_ERROR_SYSCALL:
		t->broken = true;
		snprintf(t->why, sizeof(t->why), "%s", en == 0 ? "end of file" : strerror(en));
		return en == 0 ? ERR_EOF : ERR_IO;
	default:
		t->broken = true;
		long v = SSL_get_verify_result(t->ssl);
		if (v != X509_V_OK && !SSL_is_server(t->ssl))
			snprintf(t->why, sizeof(t->why), "%s", X509_verify_cert_error_string(v));
		else
			ERR_error_string_n(ERR_peek_last_error(), t->why, sizeof(t->why));
		return ERR_PROTO;
	}
}

int
tls_handshake(struct tls *t, int *want_out)
{
	if (t->broken)
		return ERR_PROTO;
	ERR_clear_error();
	errno = 0;
	int r = result(t, SSL_do_handshake(t->ssl), want_out);
	return r > 0 ? 0 : r;
}

int
tls_read(struct tls *t, void *p, size_t n, int *want_out)
{
	if (t->broken)
		return ERR_PROTO;
	ERR_clear_error();
	errno = 0;
	return result(t, SSL_read(t->ssl, p, n > INT32_MAX ? INT32_MAX : (int)n), want_out);
}

int
tls_write(struct tls *t, const void *p, size_t n, int *want_out)
{
	if (t->broken)
		return ERR_PROTO;
	ERR_clear_error();
	errno = 0;
	return result(t, SSL_write(t->ssl, p, n > INT32_MAX ? INT32_MAX : (int)n), want_out);
}

void
tls_shutdown(struct tls *t)
{
	if (t->broken || !SSL_is_init_finished(t->ssl))
		return;
	ERR_clear_error();
	if (SSL_shutdown(t->ssl) < 0)
		ERR_clear_error();
}

const char *
tls_version(const struct tls *t)
{
	return SSL_get_version(t->ssl);
}

const char *
tls_cipher(const struct tls *t)
{
	return SSL_get_cipher_name(t->ssl);
}

unsigned
tls_cipher_bits(const struct tls *t)
{
	int bits = SSL_get_cipher_bits(t->ssl, NULL);

	return bits > 0 ? (unsigned)bits : 0;
}

int
tls_binding_exporter(struct tls *t, unsigned char out[32])
{
	static const char label[] = "EXPORTER-Channel-Binding"; /* RFC 9266 2 */

	/* below TLS 1.3 it needs the extended master secret, which is not certain: not offered */
	if (SSL_version(t->ssl) < TLS1_3_VERSION ||
	    SSL_export_keying_material(
		t->ssl, out, 32, label, sizeof(label) - 1, (const unsigned char *)"", 0, 1) != 1)
		return ERR_UNSUPPORTED;
	return 0;
}

/* RFC 5929 4.1: the certificate hashed by its signature's digest; MD5 and SHA-1 become SHA-256. */
int
tls_binding_endpoint(struct tls *t, struct buf *out)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	int nid = NID_undef;
	X509 *cert =
	    SSL_is_server(t->ssl) ? SSL_get_certificate(t->ssl) : SSL_get0_peer_certificate(t->ssl);

	if (cert == NULL || X509_get_signature_info(cert, &nid, NULL, NULL, NULL) != 1)
		return ERR_UNSUPPORTED;
	if (nid == NID_md5 || nid == NID_sha1)
		nid = NID_sha256;
	const EVP_MD *digest = EVP_get_digestbynid(nid);
	if (digest == NULL || X509_digest(cert, digest, md, &n) != 1)
		return ERR_UNSUPPORTED;
	return buf_append(out, md, n);
}

int
tls_peer_cert(struct tls *t, struct buf *out)
{
	/* of a resumed session both come from its ticket, which nobody but this context could make (RFC 8446 4.6.1) */
	if (!SSL_is_server(t->ssl) || !SSL_is_init_finished(t->ssl) ||
	    SSL_get_verify_mode(t->ssl) == SSL_VERIFY_NONE ||
	    SSL_get_verify_result(t->ssl) != X509_V_OK)
		return ERR_NOTFOUND;
	return der_of(SSL_get0_peer_certificate(t->ssl), out);
}

const char *
tls_why(const struct tls *t)
{
	return t->why[0] == '\0' ? "-" : t->why;
}
