/* io_test.c: streams over socket pairs: order, bounds, time-outs, ends, and freeing inside callbacks. */
#include "config.h"

#include "lib/err.h"
#include "lib/io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/unit.h"

struct end {
	struct io *io;
	struct buf got;
	int reads, drains, closes, connects, close_err;
	bool hold;         /* leave input unread */
	bool free_on_read; /* free the stream inside on_read */
	bool reply_on_eof; /* answer after the peer's half-close */
	bool free_on_close;
};

static void
on_read(struct io *io, void *arg)
{
	struct end *e = arg;

	e->reads++;
	if (e->free_on_read) {
		io_free(io);
		e->io = NULL;
		return;
	}
	if (e->hold)
		return;
	buf_append_slice(&e->got, io_in(io));
	io_consume(io, io_in(io).len);
}

static void
on_drain(struct io *io, void *arg)
{
	struct end *e = arg;

	(void)io;
	e->drains++;
}

static void
on_close(struct io *io, int err, void *arg)
{
	struct end *e = arg;

	e->closes++;
	e->close_err = err;
	if (err == ERR_EOF && e->reply_on_eof) {
		assert_int_equal(io_write_str(io, "bye"), 0);
		io_close_after_flush(io);
		return;
	}
	if (e->free_on_close) {
		io_free(io);
		e->io = NULL;
	}
}

static void
on_connect(struct io *io, void *arg)
{
	struct end *e = arg;

	e->connects++;
	io_write_str(io, "hi");
}

static const struct io_ops ops = {
    .on_read = on_read, .on_drain = on_drain, .on_close = on_close, .on_connect = on_connect};

static struct loop *l;

static void
turns(int n)
{
	for (int i = 0; i < n; i++)
		loop_run_once(l, 2);
}

static void
pair(int sv[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
}

static void
end_init(struct end *e, int fd, size_t in_cap, size_t out_cap)
{
	*e = (struct end){.io = NULL};
	buf_init(&e->got, 64 << 20);
	if (fd >= 0)
		e->io = io_new(l, fd, in_cap, out_cap, &ops, e);
}

static void
end_done(struct end *e)
{
	io_free(e->io);
	buf_done(&e->got);
}

static void
test_echo(void **state)
{
	int sv[2];
	struct end e;
	char tmp[100];

	(void)state;
	pair(sv);
	end_init(&e, sv[0], 1000, 1000);
	assert_string_equal(io_peer(e.io), "unix");
	assert_ptr_equal(io_loop(e.io), l);
	assert_null(io_tls(e.io));
	assert_int_equal(write(sv[1], "a\0b", 3), 3);
	turns(2);
	assert_int_equal(e.got.len, 3);
	assert_memory_equal(e.got.data, "a\0b", 3);
	assert_int_equal(io_write_str(e.io, "one "), 0);
	assert_int_equal(io_printf(e.io, "%s %d", "two", 3), 0);
	assert_int_equal(io_out_len(e.io), 9);
	turns(1);
	assert_int_equal(read(sv[1], tmp, sizeof(tmp)), 9); /* several writes, one packet */
	assert_memory_equal(tmp, "one two 3", 9);
	assert_int_equal(io_out_len(e.io), 0);
	close(sv[1]);
	turns(2);
	assert_int_equal(e.closes, 1);
	assert_int_equal(e.close_err, ERR_EOF);
	turns(2);
	assert_int_equal(e.closes, 1);
	end_done(&e);
}

static void
test_input_cap_and_pause(void **state)
{
	int sv[2];
	struct end e;
	char big[4000];

	(void)state;
	memset(big, 'x', sizeof(big));
	pair(sv);
	end_init(&e, sv[0], 1000, 1000);
	e.hold = true;
	assert_int_equal(write(sv[1], big, sizeof(big)), sizeof(big));
	turns(3);
	assert_int_equal(io_in(e.io).len, 1000); /* not a byte more is held */
	int reads = e.reads;
	turns(3);
	assert_int_equal(e.reads, reads);
	e.hold = false;
	io_kick(e.io);
	turns(6);
	assert_int_equal(e.got.len, 4000);
	io_pause(e.io);
	assert_int_equal(write(sv[1], "late", 4), 4);
	turns(3);
	assert_int_equal(e.got.len, 4000);
	io_resume(e.io);
	turns(2);
	assert_int_equal(e.got.len, 4004);
	/* discarded input is gone */
	e.hold = true;
	assert_int_equal(write(sv[1], "gone", 4), 4);
	turns(2);
	assert_int_equal(io_in(e.io).len, 4);
	io_discard_input(e.io);
	assert_int_equal(io_in(e.io).len, 0);
	close(sv[1]);
	end_done(&e);
}

static void
test_output_backpressure(void **state)
{
	int sv[2];
	struct end e;
	size_t cap = 4 << 20, got = 0;
	char *big = malloc(cap);
	char tmp[65536];

	(void)state;
	for (size_t i = 0; i < cap; i++)
		big[i] = (char)(i * 31 >> 3);
	pair(sv);
	end_init(&e, sv[0], 1000, cap);
	io_set_low_water(e.io, 1 << 20);
	assert_int_equal(io_write(e.io, big, cap), 0);
	assert_int_equal(io_write(e.io, "x", 1), ERR_LIMIT);
	turns(2);
	assert_true(io_out_len(e.io) > 0);
	assert_int_equal(e.drains, 0);
	for (int i = 0; i < 10000 && got < cap; i++) {
		ssize_t n = read(sv[1], tmp, sizeof(tmp));
		if (n > 0) {
			assert_memory_equal(tmp, big + got, (size_t)n);
			got += (size_t)n;
		}
		if (e.drains == 0)
			assert_true(io_out_len(e.io) > 1 << 20);
		loop_run_once(l, 0);
	}
	assert_int_equal(got, cap);
	assert_int_equal(e.drains, 1);
	close(sv[1]);
	end_done(&e);
	free(big);
}

static void
test_timeouts(void **state)
{
	int sv[2];
	struct end e;
	char *big = calloc(1, 4 << 20);

	(void)state;
	pair(sv);
	end_init(&e, sv[0], 1000, 1000);
	io_set_timeouts(e.io, 60, 0);
	for (int i = 0; i < 6; i++) { /* a byte in time keeps it open */
		usleep(20000);
		assert_int_equal(write(sv[1], "x", 1), 1);
		turns(2);
	}
	assert_int_equal(e.closes, 0);
	io_pause(e.io); /* we do not read: the peer is not late */
	for (int i = 0; i < 10; i++) {
		usleep(10000);
		turns(1);
	}
	assert_int_equal(e.closes, 0);
	io_resume(e.io);
	for (int i = 0; i < 100 && e.closes == 0; i++)
		turns(1);
	assert_int_equal(e.close_err, ERR_TIMEOUT);
	assert_int_equal(io_write_str(e.io, "x"), ERR_CLOSED);
	end_done(&e);
	close(sv[1]);
	/* a peer that does not read */
	pair(sv);
	end_init(&e, sv[0], 1000, 4 << 20);
	io_set_timeouts(e.io, 0, 50);
	turns(40); /* nothing queued: no limit */
	assert_int_equal(e.closes, 0);
	io_write(e.io, big, 4 << 20);
	for (int i = 0; i < 100 && e.closes == 0; i++)
		turns(1);
	assert_int_equal(e.close_err, ERR_TIMEOUT);
	end_done(&e);
	close(sv[1]);
	free(big);
}

static void
test_free_in_callbacks(void **state)
{
	int sv[2];
	struct end e;

	(void)state;
	pair(sv);
	end_init(&e, sv[0], 1000, 1000);
	e.free_on_read = true;
	io_write_str(e.io, "never sent");
	io_kick(e.io);
	assert_int_equal(write(sv[1], "x", 1), 1);
	turns(2);
	assert_null(e.io);
	assert_int_equal(e.closes, 0);
	end_done(&e);
	close(sv[1]);
	pair(sv);
	end_init(&e, sv[0], 1000, 1000);
	e.free_on_close = true;
	assert_int_equal(write(sv[1], "last words", 10), 10);
	close(sv[1]);
	turns(3);
	assert_null(e.io);
	assert_int_equal(e.closes, 1);
	assert_string_equal(buf_cstr(&e.got), "last words");
	end_done(&e);
	io_free(NULL);
}

static void
test_close_after_flush(void **state)
{
	int sv[2];
	struct end e;
	char tmp[100];

	(void)state;
	/* unread input must not turn the last reply into a reset */
	pair(sv);
	end_init(&e, sv[0], 1000, 1000);
	e.hold = true;
	assert_int_equal(write(sv[1], "unread", 6), 6);
	io_write_str(e.io, "221 bye");
	io_close_after_flush(e.io);
	assert_int_equal(io_write_str(e.io, "more"), ERR_CLOSED);
	turns(2);
	assert_int_equal(write(sv[1], "still talking", 13), 13);
	assert_int_equal(read(sv[1], tmp, sizeof(tmp)), 7);
	assert_int_equal(read(sv[1], tmp, sizeof(tmp)), 0);
	assert_int_equal(e.closes, 0);
	close(sv[1]);
	turns(3);
	assert_int_equal(e.closes, 1);
	assert_int_equal(e.close_err, ERR_CLOSED);
	assert_int_equal(e.reads, 0);
	end_done(&e);
	/* a half-closed peer still gets its answer */
	pair(sv);
	end_init(&e, sv[0], 1000, 1000);
	e.reply_on_eof = true;
	assert_int_equal(write(sv[1], "QUIT", 4), 4);
	shutdown(sv[1], SHUT_WR);
	turns(4);
	assert_int_equal(read(sv[1], tmp, sizeof(tmp)), 3);
	assert_int_equal(read(sv[1], tmp, sizeof(tmp)), 0);
	assert_int_equal(e.closes, 2);
	assert_int_equal(e.close_err, ERR_CLOSED);
	end_done(&e);
	close(sv[1]);
}

static void
test_peer_gone(void **state)
{
	int sv[2];
	struct end e;

	(void)state;
	/* what the peer said before it closed is read although our write fails */
	pair(sv);
	end_init(&e, sv[0], 1000, 1000);
	assert_int_equal(write(sv[1], "421 no", 6), 6);
	close(sv[1]);
	io_write_str(e.io, "EHLO");
	turns(3);
	assert_string_equal(buf_cstr(&e.got), "421 no");
	/* the end of input, then, as the stream was kept, the failure of the output */
	assert_int_equal(e.closes, 2);
	assert_int_equal(e.close_err, ERR_IO);
	end_done(&e);
}

static int accepted[100];
static int n_accepted;

static void
on_accept(void *arg, int fd)
{
	(void)arg;
	accepted[n_accepted++] = fd;
}

static void
test_connect_and_listen(void **state)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t len = sizeof(sa);
	struct end a, b, c;
	char hp[40];

	(void)state;
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int lfd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(lfd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(getsockname(lfd, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(listen(lfd, 10), 0);
	snprintf(hp, sizeof(hp), "127.0.0.1:%u", ntohs(sa.sin_port));
	struct listener *ls = listener_new(l, lfd, 1, on_accept, NULL);
	n_accepted = 0;
	end_init(&a, -1, 0, 0);
	end_init(&b, -1, 0, 0);
	end_init(&c, -1, 0, 0);
	a.io = io_connect_tcp(l, hp, 1000, 1000, &ops, &a);
	b.io = io_connect_tcp(l, hp, 1000, 1000, &ops, &b);
	assert_non_null(a.io);
	turns(4);
	assert_int_equal(a.connects, 1);
	assert_int_equal(b.connects, 1);
	assert_int_equal(n_accepted, 1); /* max */
	char tmp[10];
	assert_int_equal(read(accepted[0], tmp, sizeof(tmp)), 2);
	assert_int_not_equal(fcntl(accepted[0], F_GETFD) & FD_CLOEXEC, 0);
	close(accepted[0]);
	listener_closed(ls);
	turns(3);
	assert_int_equal(n_accepted, 2);
	listener_closed(ls);
	listener_free(ls);
	close(lfd);
	/* nobody listens */
	c.io = io_connect_tcp(l, hp, 1000, 1000, &ops, &c);
	turns(4);
	assert_int_equal(c.closes, 1);
	assert_int_equal(c.connects, 0);
	assert_int_equal(c.close_err, ERR_IO);
	assert_null(io_connect_tcp(l, "localhost:25", 10, 10, &ops, &c));
	assert_null(io_connect_tcp(l, "127.0.0.1:0", 10, 10, &ops, &c));
	assert_null(io_connect_tcp(l, "127.0.0.1:65536", 10, 10, &ops, &c));
	assert_null(io_connect_tcp(l, "::1:25", 10, 10, &ops, &c));
	end_done(&a);
	end_done(&b);
	end_done(&c);
	close(accepted[1]);
}

static void
test_connect_unix_relative(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/cv-io-XXXXXX";
	char old[4096];
	struct end a;

	(void)state;
	assert_non_null(getcwd(old, sizeof(old)));
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "s.sock");
	int lfd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(lfd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(lfd, 10), 0);
	end_init(&a, -1, 0, 0);
	a.io = io_connect_unix(l, "s.sock", 1000, 1000, &ops, &a);
	assert_non_null(a.io);
	turns(2);
	int fd = accept(lfd, NULL, NULL);
	char tmp[10];
	assert_int_equal(read(fd, tmp, sizeof(tmp)), 2);
	assert_int_equal(a.connects, 1);
	end_done(&a);
	assert_null(io_connect_unix(l, "no.sock", 1000, 1000, &ops, &a));
	assert_int_equal(errno, ENOENT);
	close(fd);
	close(lfd);
	unlink("s.sock");
	assert_int_equal(chdir(old), 0);
	rmdir(dir);
}

static void
test_no_descriptors(void **state)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t len = sizeof(sa);
	struct rlimit rl, small;

	(void)state;
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int lfd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(lfd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(getsockname(lfd, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(listen(lfd, 10), 0);
	struct listener *ls = listener_new(l, lfd, 10, on_accept, NULL);
	int cfd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(cfd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	n_accepted = 0;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	small = rl;
	small.rlim_cur = (rlim_t)cfd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
	turns(3);
	assert_int_equal(n_accepted, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
	turns(2);
	assert_int_equal(n_accepted, 0); /* it pauses instead of spinning */
	/* another one, since valgrind loses the first connection where the kernel keeps it */
	int cfd2 = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(cfd2, (struct sockaddr *)&sa, sizeof(sa)), 0);
	for (int i = 0; i < 200 && n_accepted < 2; i++)
		loop_run_once(l, 5);
	assert_true(n_accepted >= 1);
	for (int i = 0; i < n_accepted; i++)
		close(accepted[i]);
	close(cfd);
	close(cfd2);
	listener_free(ls);
	close(lfd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_echo),
	    cmocka_unit_test(test_input_cap_and_pause),
	    cmocka_unit_test(test_output_backpressure),
	    cmocka_unit_test(test_timeouts),
	    cmocka_unit_test(test_free_in_callbacks),
	    cmocka_unit_test(test_close_after_flush),
	    cmocka_unit_test(test_peer_gone),
	    cmocka_unit_test(test_connect_and_listen),
	    cmocka_unit_test(test_connect_unix_relative),
	    cmocka_unit_test(test_no_descriptors),
	};
	l = loop_new();
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	loop_free(l);
	return r;
}
