/* load_sink.c: the other end for measuring the load generators themselves: answers as a mail server would, and keeps nothing. Listens on
 * the descriptor 3. Run by tests/bench/bench.py:
 *   load_sink smtp            plain SMTP
 *   load_sink imaps CERT KEY  IMAP inside TLS: LOGIN, APPEND, LOGOUT and whatever else is answered with OK */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/io.h"
#include "lib/log.h"
#include "tests/bench/load.h"

struct client {
	bool in_data;
	uint64_t skip;
};

static struct {
	struct loop *loop;
	struct tls_ctx *tls; /* NULL: SMTP */
	struct listener *listener;
} K;

static void
on_smtp_line(struct io *io, struct client *c, struct slice line)
{
	if (c->in_data) {
		if (slice_eq_str(line, ".")) {
			c->in_data = false;
			io_write_str(io, "250 2.0.0 thrown away\r\n");
		}
	} else if (slice_casestarts(line, "EHLO"))
		io_write_str(io, "250-sink.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n");
	else if (slice_casestarts(line, "DATA")) {
		c->in_data = true;
		io_write_str(io, "354 go on\r\n");
	} else if (slice_casestarts(line, "QUIT")) {
		io_write_str(io, "221 bye\r\n");
		io_close_after_flush(io);
	} else
		io_write_str(io, "250 ok\r\n");
}

static void
on_imap_line(struct io *io, struct client *c, struct slice line)
{
	ptrdiff_t open = slice_index(line, '{');

	if (line.len < 3 || line.ptr[1] != ' ')
		return;
	if (slice_casestarts(slice_from(line, 2), "APPEND") && open > 0)
		for (size_t i = (size_t)open + 1; line.ptr[i] >= '0' && line.ptr[i] <= '9'; i++)
			c->skip = c->skip * 10 + (uint64_t)(line.ptr[i] - '0');
	io_printf(io, "%c OK done\r\n", line.ptr[0]);
	if (slice_casestarts(slice_from(line, 2), "LOGOUT"))
		io_close_after_flush(io);
}

static void
on_read(struct io *io, void *arg)
{
	struct client *c = arg;
	struct slice line;
	size_t used;

	for (;;) {
		if (c->skip > 0) {
			struct slice in = io_in(io);
			size_t n = in.len < c->skip ? in.len : (size_t)c->skip;

			if (n == 0)
				return;
			c->skip -= n;
			io_consume(io, n);
			continue;
		}
		if (load_line(io_in(io), &line, &used) != 0)
			return;
		if (K.tls == NULL)
			on_smtp_line(io, c, line);
		else
			on_imap_line(io, c, line);
		io_consume(io, used);
	}
}

static void
on_close(struct io *io, int err, void *arg)
{
	(void)err;
	io_free(io);
	free(arg);
	listener_closed(K.listener);
}

static void
on_accept(void *arg, int fd)
{
	static const struct io_ops ops = {.on_read = on_read, .on_close = on_close};
	struct client *c = xcalloc(1, sizeof *c);
	struct io *io = io_new(K.loop, fd, 1 << 20, 65536, &ops, c);

	(void)arg;
	if (K.tls != NULL && io_start_tls(io, K.tls, true, NULL) != 0)
		fatal("no TLS");
	io_write_str(io, K.tls == NULL ? "220 sink.example ESMTP\r\n" : "* OK sink\r\n");
}

static void
on_signal(void *arg, int signo)
{
	(void)signo;
	loop_stop(arg);
}

int
main(int argc, char **argv)
{
	const char *why = "";

	log_init("load_sink", 2);
	if (argc != 2 && argc != 4)
		return 64;
	K.loop = loop_new();
	if (argc == 4 && tls_server_new(argv[2], argv[3], NULL, &K.tls, &why) != 0)
		fatal("TLS: %s", why);
	K.listener = listener_new(K.loop, 3, 2000, on_accept, NULL);
	loop_signal(K.loop, 15, on_signal, K.loop);
	loop_run(K.loop);
	listener_free(K.listener);
	tls_ctx_free(K.tls);
	loop_free(K.loop);
	return 0;
}
