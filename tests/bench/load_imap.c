/* load_imap.c: load by IMAP. Run by tests/bench/bench.py; modes:
 *   login   count logins and logouts over sessions connections at a time: connect, TLS, LOGIN, LOGOUT, end
 *   run     one session: LOGIN, SELECT, then each command after "--", timed; what came back is counted
 *   append  count messages of size octets over sessions, each to its own account
 *   store   count STOREs of one message's flag over sessions, each in its own account's mailbox
 *   idle    count connections that sign in, SELECT and IDLE; says "ready", and ends with standard input
 *   wait    one session for each of accounts; says "ready"; a line on standard input: until all together have got count messages more
 *   count   the messages of all accounts, and the size of their mailboxes
 * Session i uses account base + i modulo accounts. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/io.h"
#include "lib/log.h"
#include "tests/bench/load.h"

enum {
	IN_CAP = 1 << 20,
	WAIT_MS = 5,
	STEP_LOGIN = 0,
	STEP_SELECT = 1,
	STEP_WORK = 2,
	STEP_BYE = 3
};

struct session {
	struct io *io;
	unsigned index;
	int step;
	bool greeted, idling;
	uint64_t skip; /* octets of a literal to come */
	uint64_t since;
	unsigned exists, had, number;
	unsigned untagged, words; /* since the last command; numbers in SEARCH */
	uint64_t bytes;
	struct loop_timer *timer;
};

static struct {
	struct load load;
	struct load_opts o;
	enum { LOGIN, RUN, APPEND, STORE, IDLE, WAIT, COUNT } mode;
	unsigned next, open, ready, waiting;
	uint64_t total;
	uint32_t run;
	bool going;
	struct session *all;
	struct buf name, text, extra;
	struct loop_fd *in;
} S;

static void connect_to(struct session *s);

static unsigned
account(const struct session *s)
{
	return S.o.base + (S.mode == LOGIN ? s->number : s->index) % S.o.accounts;
}

static void
logout(struct session *s)
{
	s->step = STEP_BYE;
	io_write_str(s->io, "z LOGOUT\r\n");
}

static void
stop_when_over(void)
{
	if (S.open == 0)
		loop_stop(S.load.loop);
}

static void
login(struct session *s)
{
	load_pattern(&S.name, S.o.user, account(s));
	io_printf(s->io, "a LOGIN \"%s\" ", buf_cstr(&S.name));
	load_pattern(&S.name, S.o.password, account(s));
	io_printf(s->io, "\"%s\"\r\n", buf_cstr(&S.name));
	s->step = STEP_LOGIN;
}

static void
command(struct session *s)
{
	s->untagged = s->words = 0;
	s->bytes = 0;
	s->since = load_now_us();
	if (S.mode == RUN) {
		io_printf(s->io, "c %s\r\n", S.o.rest[s->number++]);
		return;
	}
	if (S.mode == APPEND) {
		load_message(&S.text, S.next, S.run, S.o.size, "self@client.example",
		    "self@client.example", NULL);
		io_printf(s->io, "c APPEND %s {%zu+}\r\n", S.o.mailbox, S.text.len);
		buf_append_str(&S.text, "\r\n");
		io_write(s->io, S.text.data, S.text.len);
		S.load.bytes += S.text.len;
	} else {
		unsigned n = s->number++;

		io_printf(s->io, "c STORE %u %sFLAGS.SILENT (\\Flagged)\r\n", n % s->exists + 1,
		    n / s->exists % 2 == 0 ? "+" : "-");
	}
	S.next++;
}

static void
status(struct session *s)
{
	io_printf(s->io, "s STATUS %s (MESSAGES)\r\n", S.o.mailbox);
}

/* In wait: account after account is asked until it has what it must have. */
static void
on_timer(void *arg)
{
	status(arg);
}

static void
wait_next(void)
{
	if (S.waiting == S.o.sessions) {
		load_print(&S.load, "");
		for (unsigned i = 0; i < S.o.sessions; i++)
			logout(&S.all[i]);
		return;
	}
	status(&S.all[S.waiting]);
}

static void
on_stdin(void *arg, int events)
{
	char line[64];
	ssize_t n = read(0, line, sizeof line);

	(void)arg;
	(void)events;
	if (n < 0 && errno == EINTR)
		return;
	loop_fd_want(S.in, 0);
	if (S.mode == WAIT && n > 0) {
		load_begin(&S.load);
		S.going = true;
		wait_next();
		return;
	}
	loop_stop(S.load.loop);
}

/* A session stands ready; the first commands go out when all do. */
static void
on_ready(struct session *s)
{
	s->step = STEP_WORK;
	if (S.mode == IDLE) {
		io_write_str(s->io, "i IDLE\r\n");
		return;
	}
	if (S.mode == COUNT || S.mode == WAIT) {
		status(s);
		return;
	}
	if (S.mode == STORE && s->exists == 0)
		fatal("no messages to change");
	if (++S.ready < S.o.sessions)
		return;
	load_begin(&S.load);
	for (unsigned i = 0; i < S.o.sessions && (S.mode == RUN || S.next < S.o.count); i++)
		command(&S.all[i]);
}

static void
ready_line(struct session *s)
{
	(void)s;
	if (++S.ready == S.o.sessions) {
		printf("ready\n");
		fflush(stdout);
		loop_fd_want(S.in, LOOP_READ);
	} else if (S.mode == IDLE && S.next < S.o.count)
		connect_to(&S.all[S.next++]);
}

static void
on_status(struct session *s)
{
	if (S.mode == COUNT) {
		S.total += s->exists;
		logout(s);
	} else if (!S.going) {
		s->had = s->exists;
		ready_line(s);
	} else {
		/* message i went to account i modulo accounts */
		unsigned want = S.o.count / S.o.accounts + (s->index < S.o.count % S.o.accounts);

		if (s->exists < s->had + want) {
			loop_timer_set(s->timer, WAIT_MS);
			return;
		}
		if (s->exists > s->had + want)
			load_fail(&S.load, "more messages than were sent", slice_str(""));
		S.load.ended_us = load_now_us();
		S.waiting++;
		wait_next();
	}
}

static void
on_done(struct session *s)
{
	load_sample(&S.load, s->since);
	if (S.mode == RUN) {
		buf_appendf(&S.extra, "%s{\"ms\":%.3f,\"untagged\":%u,\"words\":%u,\"bytes\":%llu}",
		    S.extra.len == 0 ? "" : ",", (double)(load_now_us() - s->since) / 1e3,
		    s->untagged, s->words, (unsigned long long)s->bytes);
		if (s->number < (unsigned)S.o.n_rest)
			command(s);
		else
			logout(s);
	} else if (S.next < S.o.count)
		command(s);
	else
		logout(s);
}

static void
on_tagged(struct session *s, struct slice line)
{
	if (line.ptr[0] != 'z' && !slice_casestarts(slice_from(line, 2), "OK")) {
		load_fail(&S.load, "refused", line);
		logout(s);
		return;
	}
	switch (line.ptr[0]) {
	case 'a':
		if (S.mode == LOGIN) {
			logout(s);
			break;
		}
		s->step = STEP_SELECT;
		if (S.mode == APPEND || S.mode == WAIT || S.mode == COUNT)
			on_ready(s);
		else
			io_printf(s->io, "b SELECT %s\r\n", S.o.mailbox);
		break;
	case 'b':
		on_ready(s);
		break;
	case 's':
		on_status(s);
		break;
	case 'c':
		on_done(s);
		break;
	default:
		break;
	}
}

static unsigned
number_at(struct slice s)
{
	unsigned v = 0;

	for (size_t i = 0; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++)
		v = v * 10 + (unsigned)(s.ptr[i] - '0');
	return v;
}

static void
on_untagged(struct session *s, struct slice line)
{
	struct slice rest = slice_from(line, 2);
	ptrdiff_t at;

	if (!s->greeted) {
		s->greeted = true;
		login(s);
		return;
	}
	s->untagged++;
	if (slice_casestarts(rest, "SEARCH"))
		for (size_t i = 0; i < rest.len; i++)
			s->words += rest.ptr[i] == ' ';
	else if (slice_casestarts(rest, "STATUS") &&
		 (at = slice_find(rest, slice_str("MESSAGES "))) >= 0)
		s->exists = number_at(slice_from(rest, (size_t)at + 9));
	else if (s->step == STEP_SELECT && slice_find(rest, slice_str(" EXISTS")) > 0)
		s->exists = number_at(rest);
}

static void
on_line(struct session *s, struct slice line)
{
	ptrdiff_t open;

	/* a literal follows: its octets are skipped, and the rest of the line after them is no new response */
	if (line.len > 2 && line.ptr[line.len - 1] == '}')
		for (open = (ptrdiff_t)line.len - 2; open >= 0; open--)
			if (line.ptr[open] == '{') {
				s->skip = number_at(slice_from(line, (size_t)open + 1));
				break;
			}
	if (line.len < 2)
		return;
	if (line.ptr[0] == '*' && line.ptr[1] == ' ')
		on_untagged(s, line);
	else if (line.ptr[0] == '+') {
		if (!s->idling && S.mode == IDLE) {
			s->idling = true;
			ready_line(s);
		}
	} else if (line.ptr[1] == ' ' && line.ptr[0] >= 'a' && line.ptr[0] <= 'z')
		on_tagged(s, line);
}

static void
on_read(struct io *io, void *arg)
{
	struct session *s = arg;
	struct slice line;
	size_t used;

	while (s->io == io) {
		if (s->skip > 0) {
			struct slice in = io_in(io);
			size_t n = in.len < s->skip ? in.len : (size_t)s->skip;

			if (n == 0)
				return;
			s->skip -= n;
			s->bytes += n;
			io_consume(io, n);
			continue;
		}
		if (load_line(io_in(io), &line, &used) != 0)
			return;
		s->bytes += used;
		/* on_line may write, never read: the line stays where it is */
		on_line(s, line);
		if (s->io == io)
			io_consume(io, used);
	}
}

static void
on_close(struct io *io, int err, void *arg)
{
	struct session *s = arg;

	io_free(io);
	s->io = NULL;
	if (s->step != STEP_BYE) {
		load_fail(&S.load, "the connection ended", slice_str(err_name(err)));
		if (S.mode == IDLE || S.mode == WAIT)
			exit(1);
	} else if (S.mode == LOGIN)
		load_sample(&S.load, s->since);
	if (S.mode == LOGIN && S.next < S.o.count) {
		s->number = S.next++;
		connect_to(s);
		return;
	}
	S.open--;
	stop_when_over();
}

static void
on_connect(struct io *io, void *arg)
{
	(void)arg;
	if (S.o.tls && io_start_tls(io, S.load.tls, false, NULL) != 0)
		fatal("no TLS");
}

static void
connect_to(struct session *s)
{
	static const struct io_ops ops = {
	    .on_read = on_read, .on_close = on_close, .on_connect = on_connect};

	s->since = load_now_us();
	s->greeted = s->idling = false;
	s->step = STEP_LOGIN;
	s->io = io_connect_tcp(
	    S.load.loop, S.o.to, S.mode == IDLE ? 16384 : IN_CAP, S.o.size * 2 + 65536, &ops, s);
	if (s->io == NULL)
		fatal("no connection to %s", S.o.to);
	if (S.mode != IDLE && S.mode != WAIT)
		io_set_timeouts(s->io, 120000, 60000);
}

static void
begin(void)
{
	static const char *const modes[] = {
	    "login", "run", "append", "store", "idle", "wait", "count"};
	unsigned first, i;

	for (i = 0; i < 7 && strcmp(modes[i], S.o.mode) != 0; i++)
		;
	if (i == 7 || S.o.to == NULL || S.o.user == NULL || S.o.password == NULL)
		exit(64);
	S.mode = i;
	if (S.mode == RUN)
		S.o.sessions = 1;
	else if (S.mode == IDLE)
		S.o.sessions = S.o.count;
	else if (S.mode == WAIT || S.mode == COUNT)
		S.o.sessions = S.o.accounts;
	load_init(&S.load, S.mode == RUN ? 1000 : S.o.count);
	random_bytes(&S.run, sizeof S.run);
	buf_init(&S.name, 1024);
	buf_init(&S.text, LOAD_MESSAGE_MAX);
	buf_init(&S.extra, 1 << 20);
	S.in = loop_fd_new(S.load.loop, 0, on_stdin, NULL);
	S.all = xcalloc(S.o.sessions, sizeof *S.all);
	S.open = S.o.sessions;
	load_begin(&S.load);
	/* connections that only stand by are made twenty at a time */
	first = S.mode == IDLE && S.o.sessions > 20 ? 20 : S.o.sessions;
	for (i = 0; i < S.o.sessions; i++) {
		S.all[i].index = i;
		S.all[i].number = S.mode == LOGIN ? i : 0;
		S.all[i].timer = loop_timer_new(S.load.loop, on_timer, &S.all[i]);
	}
	if (S.mode == LOGIN || S.mode == IDLE)
		S.next = first;
	for (i = 0; i < first; i++)
		connect_to(&S.all[i]);
}

int
main(int argc, char **argv)
{
	load_options(argc, argv, &S.o);
	begin();
	loop_run(S.load.loop);
	if (S.mode == RUN) {
		struct buf b;

		buf_init(&b, 2 << 20);
		buf_appendf(&b, ",\"commands\":[%s]", buf_cstr(&S.extra));
		load_print(&S.load, buf_cstr(&b));
		buf_done(&b);
	} else if (S.mode == COUNT) {
		printf("{\"messages\":%llu,\"failed\":%u}\n", (unsigned long long)S.total,
		    S.load.failed);
	} else if (S.mode != WAIT)
		load_print(&S.load, "");
	for (unsigned i = 0; i < S.o.sessions; i++) {
		io_free(S.all[i].io);
		loop_timer_free(S.all[i].timer);
	}
	free(S.all);
	loop_fd_free(S.in);
	buf_done(&S.name);
	buf_done(&S.text);
	buf_done(&S.extra);
	load_done(&S.load);
	return S.load.failed > 0;
}
