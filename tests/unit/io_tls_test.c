/* io_tls_test.c: TLS at both ends of a socket pair; STARTTLS, its injection, verification, bindings. The key
 * pair is made by the openssl command. */
#include "config.h"

#include "lib/err.h"
#include "lib/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

struct end {
	struct io *io;
	struct buf got;
	int tls_done, tls_err, closes, close_err, drains;
	struct tls_ctx *start; /* on the line STARTTLS: server side */
	bool free_on_tls;
};

static char dir[] = "/tmp/cv-tls-XXXXXX";
static char cert[200], key[200], other_cert[200];
static struct loop *l;
static struct tls_ctx *server, *client, *strict_client;

static void
on_read(struct io *io, void *arg)
{
	struct end *e = arg;
	struct slice in = io_in(io);

	if (e->start != NULL && slice_starts(in, "STARTTLS\r\n")) {
		io_consume(io, 10);
		io_write_str(io, "220 go\r\n");
		assert_int_equal(io_start_tls(io, e->start, true, NULL), 0);
		assert_int_equal(io_in(io).len, 0);
		/* said after: must not leave in plain text */
		io_write_str(io, "secret");
		e->start = NULL;
		return;
	}
	buf_append_slice(&e->got, in);
	io_consume(io, in.len);
}

static void
on_drain(struct io *io, void *arg)
{
	(void)io;
	((struct end *)arg)->drains++;
}

static void
on_close(struct io *io, int err, void *arg)
{
	struct end *e = arg;

	(void)io;
	e->closes++;
	e->close_err = err;
}

static void
on_tls(struct io *io, int err, void *arg)
{
	struct end *e = arg;

	e->tls_done++;
	e->tls_err = err;
	if (e->free_on_tls) {
		io_free(io);
		e->io = NULL;
	}
}

static const struct io_ops ops = {
    .on_read = on_read, .on_drain = on_drain, .on_close = on_close, .on_tls = on_tls};

static void
turns(int n)
{
	for (int i = 0; i < n; i++)
		loop_run_once(l, 2);
}

static void
ends(struct end *a, struct end *b, size_t cap)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	*a = *b = (struct end){.io = NULL};
	buf_init(&a->got, 64 << 20);
	buf_init(&b->got, 64 << 20);
	a->io = io_new(l, sv[0], cap, cap, &ops, a);
	b->io = io_new(l, sv[1], cap, cap, &ops, b);
}

static void
ends_done(struct end *a, struct end *b)
{
	io_free(a->io);
	io_free(b->io);
	buf_done(&a->got);
	buf_done(&b->got);
}

static void
test_both_ways(void **state)
{
	struct end s, c;
	size_t n = 3 << 20;
	char *big = malloc(n);
	unsigned char x1[32], x2[32];
	struct buf e1, e2;

	(void)state;
	for (size_t i = 0; i < n; i++)
		big[i] = (char)(i * 17 >> 4);
	ends(&s, &c, 4 << 20);
	assert_int_equal(io_start_tls(s.io, server, true, NULL), 0);
	assert_int_equal(io_start_tls(c.io, client, false, "localhost"), 0);
	assert_null(io_tls(s.io));
	io_write_str(s.io, "220 hello");
	turns(10);
	assert_int_equal(s.tls_done, 1);
	assert_int_equal(c.tls_done, 1);
	assert_int_equal(s.tls_err, 0);
	assert_string_equal(buf_cstr(&c.got), "220 hello");
	assert_string_equal(tls_version(io_tls(s.io)), "TLSv1.3");
	assert_non_null(tls_cipher(io_tls(s.io)));
	/* bindings are the same seen from both ends */
	assert_int_equal(tls_binding_exporter(io_tls(s.io), x1), 0);
	assert_int_equal(tls_binding_exporter(io_tls(c.io), x2), 0);
	assert_memory_equal(x1, x2, 32);
	buf_init(&e1, 100);
	buf_init(&e2, 100);
	assert_int_equal(tls_binding_endpoint(io_tls(s.io), &e1), 0);
	assert_int_equal(tls_binding_endpoint(io_tls(c.io), &e2), 0);
	assert_int_equal(e1.len, 32);
	assert_true(slice_eq(buf_slice(&e1), buf_slice(&e2)));
	buf_done(&e1);
	buf_done(&e2);
	buf_reset(&c.got);
	assert_int_equal(io_write(s.io, big, n), 0);
	assert_int_equal(io_write(c.io, big, n), 0);
	for (int i = 0; i < 3000 && (c.got.len < n || s.got.len < n); i++)
		turns(1);
	assert_int_equal(c.got.len, n);
	assert_memory_equal(c.got.data, big, n);
	assert_int_equal(s.got.len, n);
	assert_memory_equal(s.got.data, big, n);
	assert_true(s.drains > 0);
	io_close_after_flush(s.io);
	turns(6);
	assert_int_equal(c.close_err, ERR_EOF);
	ends_done(&s, &c);
	free(big);
}

/* A peer that reads slowly gets everything, and no more than the cap is held meanwhile. */
static void
test_small_input_cap(void **state)
{
	struct end s, c;
	char big[100000];

	(void)state;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 13 >> 2);
	int sv[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	s = c = (struct end){.io = NULL};
	buf_init(&s.got, 1 << 20);
	buf_init(&c.got, 1 << 20);
	s.io = io_new(l, sv[0], 200000, 200000, &ops, &s);
	c.io = io_new(l, sv[1], 100, 100, &ops, &c);
	io_start_tls(s.io, server, true, NULL);
	io_start_tls(c.io, client, false, NULL);
	io_write(s.io, big, sizeof(big));
	for (int i = 0; i < 5000 && c.got.len < sizeof(big); i++)
		turns(1);
	assert_int_equal(c.got.len, sizeof(big));
	assert_memory_equal(c.got.data, big, sizeof(big));
	ends_done(&s, &c);
}

static void
test_starttls(void **state)
{
	struct end s, c;

	(void)state;
	ends(&s, &c, 10000);
	s.start = server;
	io_write_str(c.io, "STARTTLS\r\n");
	turns(3);
	assert_string_equal(buf_cstr(&c.got), "220 go\r\n");
	buf_reset(&c.got);
	assert_int_equal(io_start_tls(c.io, client, false, NULL), 0);
	turns(10);
	assert_int_equal(c.tls_done, 1);
	assert_string_equal(buf_cstr(&c.got), "secret");
	io_write_str(c.io, "EHLO x\r\n");
	turns(3);
	assert_string_equal(buf_cstr(&s.got), "EHLO x\r\n");
	ends_done(&s, &c);
}

/* RFC 3207 6, CVE-2011-0411: what came with or after STARTTLS in plain text is never seen. */
static void
test_starttls_injection(void **state)
{
	struct end s, c;

	(void)state;
	ends(&s, &c, 10000);
	s.start = server;
	io_write_str(c.io, "STARTTLS\r\nMAIL FROM:<evil@example.org>\r\n");
	turns(4);
	assert_string_equal(buf_cstr(&c.got), "220 go\r\n");
	buf_reset(&c.got);
	assert_int_equal(io_start_tls(c.io, client, false, NULL), 0);
	turns(10);
	assert_int_equal(s.tls_done, 1);
	assert_int_equal(s.tls_err, 0);
	assert_int_equal(s.got.len, 0);
	ends_done(&s, &c);
	/* plain text after the 220 is no handshake */
	ends(&s, &c, 10000);
	s.start = server;
	io_write_str(c.io, "STARTTLS\r\n");
	turns(3);
	io_write_str(c.io, "RCPT TO:<evil@example.org>\r\n");
	turns(5);
	assert_int_equal(s.tls_done, 1);
	assert_int_equal(s.tls_err, ERR_PROTO);
	assert_int_equal(s.close_err, ERR_PROTO);
	assert_int_equal(s.closes, 1);
	assert_int_equal(s.got.len, 0);
	assert_null(strstr(buf_cstr(&c.got), "secret"));
	ends_done(&s, &c);
}

static void
test_verification(void **state)
{
	struct end s, c;

	(void)state;
	/* trusted, right name */
	ends(&s, &c, 10000);
	io_start_tls(s.io, server, true, NULL);
	io_start_tls(c.io, strict_client, false, "localhost");
	turns(10);
	assert_int_equal(c.tls_err, 0);
	assert_int_equal(c.tls_done, 1);
	ends_done(&s, &c);
	/* wrong name */
	ends(&s, &c, 10000);
	io_start_tls(s.io, server, true, NULL);
	io_start_tls(c.io, strict_client, false, "other.example");
	turns(10);
	assert_int_equal(c.tls_err, ERR_PROTO);
	assert_int_equal(c.close_err, ERR_PROTO);
	ends_done(&s, &c);
}

static void
test_free_and_loss_in_handshake(void **state)
{
	struct end s, c;

	(void)state;
	ends(&s, &c, 10000);
	s.free_on_tls = true;
	io_start_tls(s.io, server, true, NULL);
	io_start_tls(c.io, client, false, NULL);
	turns(10);
	assert_null(s.io);
	assert_int_equal(c.closes, 1);
	ends_done(&s, &c);
	ends(&s, &c, 10000);
	io_start_tls(s.io, server, true, NULL);
	turns(2);
	io_free(c.io);
	c.io = NULL;
	turns(3);
	assert_int_equal(s.tls_done, 1);
	assert_true(s.tls_err < 0);
	assert_int_equal(s.closes, 1);
	ends_done(&s, &c);
	/* a silent peer */
	ends(&s, &c, 10000);
	io_set_timeouts(s.io, 30, 30);
	io_start_tls(s.io, server, true, NULL);
	for (int i = 0; i < 100 && s.closes == 0; i++)
		turns(1);
	assert_int_equal(s.close_err, ERR_TIMEOUT);
	ends_done(&s, &c);
}

static void
test_bad_files(void **state)
{
	struct tls_ctx *x = NULL;
	const char *why = NULL;

	(void)state;
	assert_int_equal(tls_server_new("/nonexistent", key, NULL, &x, &why), ERR_IO);
	assert_string_equal(why, "the certificate chain cannot be read");
	assert_int_equal(tls_server_new(other_cert, key, NULL, &x, &why), ERR_IO);
	assert_non_null(strstr(why, "does not belong"));
	assert_int_equal(tls_server_new(cert, key, "/nonexistent", &x, &why), ERR_IO);
	assert_int_equal(tls_client_new("/nonexistent", &x, &why), ERR_IO);
	assert_null(x);
	tls_ctx_free(NULL);
	tls_free(NULL);
}

static int
make_key(char *crt, char *k)
{
	char *argv[] = {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
	    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
	    "-addext", "subjectAltName=DNS:localhost", "-keyout", k, "-out", crt, NULL};
	pid_t pid = fork();
	int status = 1;

	if (pid == 0) {
		if (freopen("/dev/null", "w", stderr) != NULL)
			execvp(argv[0], argv);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_both_ways),
	    cmocka_unit_test(test_small_input_cap),
	    cmocka_unit_test(test_starttls),
	    cmocka_unit_test(test_starttls_injection),
	    cmocka_unit_test(test_verification),
	    cmocka_unit_test(test_free_and_loss_in_handshake),
	    cmocka_unit_test(test_bad_files),
	};
	const char *why = "-";
	char other_key[200];

	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	snprintf(key, sizeof(key), "%s/key.pem", dir);
	snprintf(other_cert, sizeof(other_cert), "%s/other.pem", dir);
	snprintf(other_key, sizeof(other_key), "%s/other_key.pem", dir);
	if (make_key(cert, key) != 0 || make_key(other_cert, other_key) != 0 ||
	    tls_server_new(cert, key, NULL, &server, &why) != 0 ||
	    tls_client_new(NULL, &client, &why) != 0 ||
	    tls_client_new(cert, &strict_client, &why) != 0) {
		fprintf(stderr, "set-up failed: %s\n", why);
		return 1;
	}
	l = loop_new();
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	loop_free(l);
	tls_ctx_free(server);
	tls_ctx_free(client);
	tls_ctx_free(strict_client);
	unlink(cert);
	unlink(key);
	unlink(other_cert);
	unlink(other_key);
	rmdir(dir);
	return r;
}
