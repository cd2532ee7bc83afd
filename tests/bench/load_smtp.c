/* load_smtp.c: load by SMTP or LMTP: sessions that send messages, timed from the first octet of each (with per-conn: from connecting) to
 * the answer to its end. Run by tests/bench/bench.py:
 *   load_smtp send --to HOST:PORT --from F --rcpt R [--sessions K] [--count N] [--size Z] [--accounts A --base B] [--rcpts M]
 *     [--per-conn C] [--pipeline] [--starttls] [--auth --user U --password P] [--lmtp] [--needle W --needle-every E] [--gap-ms G]
 * Message i goes to the accounts base + (i * rcpts + 0 .. rcpts - 1) modulo accounts. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/mime.h"
#include "tests/bench/load.h"

enum state { GREETING, HELLO, TLS, AUTH, MAIL, RCPT, DATA, DOT, QUIT };

struct session {
	struct io *io;
	enum state state;
	unsigned number;  /* of the message under way */
	unsigned sent;    /* messages on this connection */
	unsigned replies; /* to come in this state */
	unsigned refused; /* of them, negative ones */
	bool secure, has_message;
	uint64_t since;
	struct loop_timer *gap;
};

static struct {
	struct load load;
	struct load_opts o;
	unsigned next, open;
	uint32_t run;
	struct buf name, from, text;
} S;

static void connect_to(struct session *s);
static void begin_message(struct session *s);

static void
say(struct session *s, const char *what)
{
	io_write_str(s->io, what);
}

static void
expect(struct session *s, enum state state, unsigned replies)
{
	s->state = state;
	s->replies = replies;
	s->refused = 0;
}

static void
hello(struct session *s)
{
	io_printf(s->io, "%s %s\r\n", S.o.lmtp ? "LHLO" : "EHLO", S.o.host);
	expect(s, HELLO, 1);
}

static void
authenticate(struct session *s)
{
	struct buf plain, out;

	buf_init(&plain, 1024);
	buf_init(&out, 4096);
	load_pattern(&S.name, S.o.user, S.o.base + s->number % S.o.accounts);
	buf_append_byte(&plain, 0);
	buf_append_slice(&plain, buf_slice(&S.name));
	buf_append_byte(&plain, 0);
	load_pattern(&S.name, S.o.password, S.o.base + s->number % S.o.accounts);
	buf_append_slice(&plain, buf_slice(&S.name));
	buf_append_str(&out, "AUTH PLAIN ");
	b64_encode(buf_slice(&plain), false, &out);
	buf_append_str(&out, "\r\n");
	io_write(s->io, out.data, out.len);
	buf_done(&plain);
	buf_done(&out);
	expect(s, AUTH, 1);
}

static void
rcpt_commands(struct session *s)
{
	for (unsigned i = 0; i < S.o.rcpts; i++) {
		load_pattern(
		    &S.name, S.o.rcpt, S.o.base + (s->number * S.o.rcpts + i) % S.o.accounts);
		io_printf(s->io, "RCPT TO:<%s>\r\n", buf_cstr(&S.name));
	}
}

static void
mail(struct session *s)
{
	if (S.o.per_conn == 0)
		s->since = load_now_us();
	load_pattern(&S.name, S.o.from, S.o.base + s->number % S.o.accounts);
	io_printf(s->io, "MAIL FROM:<%s> BODY=8BITMIME\r\n", buf_cstr(&S.name));
	if (S.o.pipeline) {
		rcpt_commands(s);
		say(s, "DATA\r\n");
		expect(s, DATA, S.o.rcpts + 2);
	} else
		expect(s, MAIL, 1);
}

static void
content(struct session *s)
{
	const char *needle =
	    S.o.needle_every > 0 && s->number % S.o.needle_every == 0 ? S.o.needle : NULL;

	load_pattern(&S.name, S.o.rcpt, S.o.base + (s->number * S.o.rcpts) % S.o.accounts);
	load_pattern(&S.from, S.o.from, S.o.base + s->number % S.o.accounts);
	load_message(
	    &S.text, s->number, S.run, S.o.size, buf_cstr(&S.from), buf_cstr(&S.name), needle);
	S.load.bytes += S.text.len;
	buf_append_str(&S.text, ".\r\n");
	if (io_write(s->io, S.text.data, S.text.len) != 0)
		fatal("a message does not fit the output");
	expect(s, DOT, S.o.lmtp ? S.o.rcpts : 1);
}

static void
end_session(struct session *s)
{
	io_free(s->io);
	s->io = NULL;
	if (--S.open == 0)
		loop_stop(S.load.loop);
}

static void
quit(struct session *s)
{
	say(s, "QUIT\r\n");
	expect(s, QUIT, 1);
}

/* The next message of this session, on this connection or on another one, or the end. */
static void
next_message(struct session *s)
{
	if (S.o.gap_ms > 0)
		loop_timer_set(s->gap, S.o.gap_ms);
	else
		begin_message(s);
}

static void
on_gap(void *arg)
{
	begin_message(arg);
}

static void
begin_message(struct session *s)
{
	if (s->io != NULL &&
	    (S.next == S.o.count || (S.o.per_conn > 0 && s->sent == S.o.per_conn))) {
		quit(s);
		return;
	}
	if (S.next == S.o.count) {
		if (--S.open == 0)
			loop_stop(S.load.loop);
		return;
	}
	s->number = S.next++;
	s->has_message = true;
	if (s->io == NULL)
		connect_to(s);
	else
		mail(s);
}

static void
message_over(struct session *s, struct slice reply)
{
	s->has_message = false;
	s->sent++;
	if (s->refused > 0)
		load_fail(&S.load, "refused", reply);
	else
		load_sample(&S.load, s->since);
	next_message(s);
}

static void
after_hello(struct session *s)
{
	if (S.o.starttls && !s->secure) {
		say(s, "STARTTLS\r\n");
		expect(s, TLS, 1);
	} else if (S.o.auth)
		authenticate(s);
	else
		mail(s);
}

/* All replies of a state are here; the last one is given. */
static void
step(struct session *s, struct slice reply)
{
	if (s->refused > 0 && s->state != DOT && s->state != QUIT) {
		/* whatever it was, this connection is of no use any more */
		load_fail(&S.load, "refused", reply);
		s->has_message = false;
		quit(s);
		return;
	}
	switch (s->state) {
	case GREETING:
		hello(s);
		break;
	case HELLO:
		after_hello(s);
		break;
	case TLS:
		if (io_start_tls(s->io, S.load.tls, false, NULL) != 0)
			fatal("no TLS");
		break;
	case AUTH:
		mail(s);
		break;
	case MAIL:
		rcpt_commands(s);
		expect(s, RCPT, S.o.rcpts);
		break;
	case RCPT:
		say(s, "DATA\r\n");
		expect(s, DATA, 1);
		break;
	case DATA:
		content(s);
		break;
	case DOT:
		message_over(s, reply);
		break;
	case QUIT:
		io_free(s->io);
		s->io = NULL;
		s->sent = 0;
		begin_message(s);
		break;
	}
}

static void
on_read(struct io *io, void *arg)
{
	struct session *s = arg;
	struct slice line;
	char kept[256];
	size_t used;

	while (s->io == io && load_line(io_in(io), &line, &used) == 0) {
		bool last = line.len < 4 || line.ptr[3] != '-';
		size_t n = line.len < sizeof kept ? line.len : sizeof kept;

		memcpy(kept, line.ptr, n);
		io_consume(io, used);
		if (!last)
			continue;
		s->refused += n == 0 || (kept[0] != '2' && kept[0] != '3');
		if (--s->replies == 0)
			step(s, slice_of(kept, n));
	}
}

static void
on_close(struct io *io, int err, void *arg)
{
	struct session *s = arg;

	(void)io;
	if (s->has_message || s->state != QUIT)
		load_fail(&S.load, "the connection ended", slice_str(err_name(err)));
	end_session(s);
}

static void
on_tls(struct io *io, int err, void *arg)
{
	struct session *s = arg;

	(void)io;
	if (err != 0)
		return;
	s->secure = true;
	hello(s);
}

static void
connect_to(struct session *s)
{
	static const struct io_ops ops = {
	    .on_read = on_read, .on_close = on_close, .on_tls = on_tls};
	size_t room = S.o.size * 2 + 65536 + S.o.rcpts * 128;

	s->since = load_now_us();
	s->secure = false;
	s->sent = 0;
	expect(s, GREETING, 1);
	s->io = S.o.to[0] == '/' ? io_connect_unix(S.load.loop, S.o.to, 65536, room, &ops, s)
				 : io_connect_tcp(S.load.loop, S.o.to, 65536, room, &ops, s);
	if (s->io == NULL)
		fatal("no connection to %s", S.o.to);
	io_set_timeouts(s->io, 60000, 60000);
}

int
main(int argc, char **argv)
{
	struct session *all;

	load_options(argc, argv, &S.o);
	if (strcmp(S.o.mode, "send") != 0 || S.o.to == NULL || S.o.from == NULL ||
	    S.o.rcpt == NULL || (S.o.auth && (S.o.user == NULL || S.o.password == NULL)))
		return 64;
	load_init(&S.load, S.o.count);
	random_bytes(&S.run, sizeof S.run);
	buf_init(&S.name, 1024);
	buf_init(&S.from, 1024);
	buf_init(&S.text, LOAD_MESSAGE_MAX);
	all = xcalloc(S.o.sessions, sizeof *all);
	S.open = S.o.sessions;
	load_begin(&S.load);
	for (unsigned i = 0; i < S.o.sessions; i++) {
		all[i].gap = loop_timer_new(S.load.loop, on_gap, &all[i]);
		begin_message(&all[i]);
	}
	loop_run(S.load.loop);
	load_print(&S.load, "");
	for (unsigned i = 0; i < S.o.sessions; i++)
		loop_timer_free(all[i].gap);
	free(all);
	buf_done(&S.name);
	buf_done(&S.from);
	buf_done(&S.text);
	load_done(&S.load);
	return S.load.failed > 0;
}
