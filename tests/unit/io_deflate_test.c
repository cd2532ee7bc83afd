/* io_deflate_test.c: compressed streams: whatever is written comes out, however it is cut and however often the streams rest; a stream at
 * rest holds little; input that grows a thousandfold is read piece by piece; what is no DEFLATE ends the stream. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/deflate.h"
#include "lib/err.h"
#include "lib/io.h"
#include "tests/unit/unit.h"

static unsigned seed = 1;

static size_t
rnd(size_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

/* Text of the kind that is sent: repetitive, with numbers in it. */
static void
fill(struct buf *b, size_t n)
{
	while (b->len < n)
		buf_appendf(b, "* %zu FETCH (UID %zu FLAGS (\\Seen) MODSEQ (%zu))\r\n", rnd(50000),
		    rnd(90000), rnd(1000000));
}

static void
round_trip(void **state)
{
	(void)state;
	for (unsigned turn = 0; turn < 20; turn++) {
		struct deflate *a = deflate_new(), *b = deflate_new();
		struct buf text, wire, got;
		size_t at = 0, off = 0;

		buf_init(&text, 1 << 20);
		buf_init(&wire, 1 << 20);
		buf_init(&got, 1 << 21);
		fill(&text, 200000);
		while (at < text.len) {
			size_t n = 1 + rnd(turn % 2 ? 300 : 30000);
			unsigned char out[700];

			n = n > text.len - at ? text.len - at : n;
			assert_int_equal(
			    deflate_write(a, slice_sub(buf_slice(&text), at, n), true, &wire), 0);
			at += n;
			assert_false(deflate_is_dirty(a));
			while (off < wire.len || deflate_has_more(b)) {
				size_t used, piece = 1 + rnd(200);
				int r = deflate_read(b, slice_sub(buf_slice(&wire), off, piece),
				    &used, out, 1 + rnd(sizeof out));

				assert_true(r >= 0);
				off += used;
				buf_append(&got, out, (size_t)r);
				if (rnd(3) ==
				    0) /* in the middle of a block as well: it must see for itself */
					deflate_rest(b);
			}
			/* all that was flushed has come */
			assert_int_equal(got.len, at);
			if (rnd(4) == 0) {
				deflate_rest(a);
				deflate_rest(b);
				assert_true(deflate_memory(a) < 1000);
				assert_true(deflate_memory(b) < 34000);
			}
		}
		assert_memory_equal(got.data, text.data, text.len);
		deflate_free(a);
		deflate_free(b);
		buf_done(&text);
		buf_done(&wire);
		buf_done(&got);
	}
}

static void
no_deflate(void **state)
{
	struct deflate *d = deflate_new();
	unsigned char out[100];
	size_t used;

	(void)state;
	assert_int_equal(
	    deflate_read(d, slice_str("a1 NOOP\r\na2 LOGOUT\r\n"), &used, out, sizeof out),
	    ERR_PROTO);
	deflate_free(d);
}

struct end {
	struct io *io;
	struct buf got;
	size_t total, most;
	bool hold;
	int closed;
};

static void
on_read(struct io *io, void *arg)
{
	struct end *e = arg;

	if (io_in(io).len > e->most)
		e->most = io_in(io).len;
	if (e->hold)
		return;
	e->total += io_in(io).len;
	buf_append_slice(&e->got, io_in(io));
	io_consume(io, io_in(io).len);
}

static void
on_close(struct io *io, int err, void *arg)
{
	struct end *e = arg;

	(void)io;
	e->closed = err;
}

static const struct io_ops ops = {.on_read = on_read, .on_close = on_close};

static void
two_streams(void **state)
{
	struct loop *l = loop_new();
	struct end a = {0}, b = {0};
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	buf_init(&a.got, 1 << 22);
	buf_init(&b.got, 1 << 22);
	a.io = io_new(l, fds[0], 65536, 1 << 20, &ops, &a);
	b.io = io_new(l, fds[1], 65536, 1 << 20, &ops, &b);
	io_write_str(a.io, "plain\r\n"); /* queued before: goes as it is */
	assert_int_equal(io_start_deflate(a.io), 0);
	assert_int_equal(io_start_deflate(a.io), ERR_CLOSED);
	io_write_str(a.io, "and more\r\n");
	for (int i = 0; i < 20 && b.got.len == 0; i++) {
		b.hold = true;
		loop_run_once(l, 5);
		if (io_in(b.io).len >= 7) {
			assert_memory_equal(io_in(b.io).ptr, "plain\r\n", 7);
			io_consume(b.io, 7);
			/* what is unread counts as compressed */
			assert_int_equal(io_start_deflate(b.io), 0);
			b.hold = false;
			break;
		}
	}
	for (int i = 0; i < 200 && b.got.len < 10; i++)
		loop_run_once(l, 5);
	assert_string_equal(buf_cstr(&b.got), "and more\r\n");
	io_write_str(b.io, "back\r\n");
	for (int i = 0; i < 200 && a.got.len < 6; i++)
		loop_run_once(l, 5);
	assert_string_equal(buf_cstr(&a.got), "back\r\n");
	/* a rest, and on */
	for (int i = 0; i < 8; i++)
		loop_run_once(l, 500);
	struct buf text;
	buf_init(&text, 1 << 22);
	fill(&text, 900000);
	buf_reset(&b.got);
	io_write(a.io, text.data, text.len);
	for (int i = 0; i < 2000 && b.got.len < text.len; i++)
		loop_run_once(l, 5);
	assert_int_equal(b.got.len, text.len);
	assert_memory_equal(b.got.data, text.data, text.len);
	io_free(a.io);
	io_free(b.io);
	buf_done(&text);
	buf_done(&a.got);
	buf_done(&b.got);
	loop_free(l);
}

/* 64 MiB of zeros are 64 KiB on the wire: no more than the cap is held, and a reader that does not read stops it. */
static void
bomb(void **state)
{
	struct loop *l = loop_new();
	struct end e = {0};
	struct deflate *d = deflate_new();
	static unsigned char zeros[1 << 20];
	struct buf wire;
	int fds[2];

	(void)state;
	buf_init(&wire, 1 << 20);
	for (int i = 0; i < 64; i++)
		deflate_write(d, slice_of(zeros, sizeof zeros), i == 63, &wire);
	assert_true(wire.len < 100000);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	buf_init(&e.got, 0);
	e.io = io_new(l, fds[0], 65536, 1 << 20, &ops, &e);
	io_start_deflate(e.io);
	e.hold = true;
	assert_int_equal(write(fds[1], wire.data, wire.len), (ssize_t)wire.len);
	for (int i = 0; i < 20; i++)
		loop_run_once(l, 5);
	assert_int_equal(io_in(e.io).len, 65536);
	e.hold = false;
	io_consume(e.io, 65536);
	e.total = 65536;
	for (int i = 0; i < 5000 && e.total < (64u << 20); i++)
		loop_run_once(l, 5);
	assert_int_equal(e.total, 64u << 20);
	assert_true(e.most <= 65536);
	/* and what is no DEFLATE ends it */
	assert_int_equal(write(fds[1], "\377\377\377\377junk", 8), 8);
	for (int i = 0; i < 20 && e.closed == 0; i++)
		loop_run_once(l, 5);
	assert_int_equal(e.closed, ERR_PROTO);
	io_free(e.io);
	close(fds[1]);
	deflate_free(d);
	buf_done(&wire);
	buf_done(&e.got);
	loop_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_trip),
	    cmocka_unit_test(no_deflate),
	    cmocka_unit_test(two_streams),
	    cmocka_unit_test(bomb),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
