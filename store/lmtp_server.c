/* lmtp_server.c: the LMTP server: connections, commands, the text of a message. Runs in ingest.
 *
 * A client of any kind may connect: everything is bounded, nothing blocks. Commands are answered in order; recipients that come
 * in a pipeline are looked up together, any other command waits for them. A message gets one reply for each accepted recipient,
 * and 250 only after stored has committed. RFC 2033, 2920 (PIPELINING), 1870 (SIZE), 3030 (CHUNKING), 6152 (8BITMIME), 6531 (SMTPUTF8), 2034. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/lmtp_priv.h"

enum { IN_CAP = 128 * 1024, OUT_CAP = 512 * 1024 };

struct lmtp_server {
	struct ingest *in;
	struct listener *listener;
	struct lmtp_session *sessions;
	const uid_t *peers; /* who may connect beside root; n_peers SIZE_MAX: anybody */
	size_t n_peers;
};

void
lmtp_reply(struct lmtp_session *s, const char *line)
{
	if (s->closing)
		return;
	if (io_printf(s->io, "%s\r\n", line) != 0) {
		/* It pipelines and never reads. */
		s->closing = true;
		io_close_after_flush(s->io);
	}
}

/* Forgets the transaction. */
void
lmtp_reset(struct lmtp_session *s)
{
	if (s->deliver_call != 0)
		deliver_cancel(s->in->store, s->deliver_call);
	s->deliver_call = 0;
	loop_timer_free(s->retry);
	s->retry = NULL;
	lmtp_rcpts_free(s);
	if (s->has_msg)
		ingest_message_done(&s->msg);
	s->has_msg = false;
	ingest_body_done(&s->body);
	s->targets = NULL;
	s->n_targets = s->cap_targets = 0;
	arena_reset(s->a);
	s->in_mail = s->in_bdat = false;
	s->phase = LMTP_COMMAND;
}

static void
session_free(struct lmtp_session *s)
{
	*s->at = s->next;
	if (s->next != NULL)
		s->next->at = s->at;
	lmtp_reset(s);
	free(s->rcpts);
	arena_free(s->a);
	buf_done(&s->client);
	io_free(s->io);
	if (s->srv->listener != NULL)
		listener_closed(s->srv->listener);
	s->in->n_clients--;
	free(s);
}

/* ---- commands ---- */

static void
cmd_lhlo(struct lmtp_session *s, struct slice args)
{
	if (args.len == 0 || args.len > 255) {
		lmtp_reply(s, "501 5.5.4 LHLO name");
		return;
	}
	lmtp_reset(s);
	buf_reset(&s->client);
	/* It goes into a header field: nothing but visible ASCII. */
	for (size_t i = 0; i < args.len; i++)
		buf_append_byte(
		    &s->client, args.ptr[i] > 32 && args.ptr[i] < 127 ? args.ptr[i] : '?');
	if (io_printf(s->io,
		"250-%s\r\n250-PIPELINING\r\n250-SIZE %llu\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
		"250-XCVID\r\n250-XCVSENT\r\n250-XCVSEEN\r\n250-CHUNKING\r\n250 "
		"ENHANCEDSTATUSCODES\r\n",
		s->in->hostname, (unsigned long long)s->in->size_max) != 0)
		io_close_after_flush(s->io);
}

static void
cmd_mail(struct lmtp_session *s, struct slice args)
{
	const char *bad;

	if (s->client.len == 0) {
		lmtp_reply(s, "503 5.5.1 LHLO first");
		return;
	}
	if (s->in_mail) {
		lmtp_reply(s, "503 5.5.1 a message is under way: RSET first");
		return;
	}
	bad = lmtp_mail_parse(args, s->a, &s->mail);
	if (bad == NULL && s->mail.size > s->in->size_max)
		bad = "552 5.3.4 message too large";
	if (bad != NULL) {
		arena_reset(s->a);
		lmtp_reply(s, bad);
		return;
	}
	s->in_mail = true;
	s->started_ms = loop_now_ms(s->in->loop);
	lmtp_reply(s, "250 2.1.0 sender ok");
}

static void
text_begin(struct lmtp_session *s)
{
	if (!s->mail.has_id) /* at least once: only our own queue asks for more */
		random_bytes(s->mail.id, sizeof(s->mail.id));
	lmtp_data_init(&s->data);
	ingest_body_init(&s->body, s->in);
	s->body_err = 0;
}

static void
cmd_data(struct lmtp_session *s, struct slice args)
{
	if (args.len > 0) {
		lmtp_reply(s, "501 5.5.4 DATA has no arguments");
	} else if (s->in_bdat) {
		lmtp_reply(s, "503 5.5.1 the message comes by BDAT");
	} else if (s->mail.asks_seen) {
		lmtp_reply(s, "503 5.5.1 nothing is delivered here: RSET");
	} else if (!s->in_mail) {
		lmtp_reply(s, "503 5.5.1 MAIL first");
	} else if (s->n_accepted == 0) {
		lmtp_reply(s, "503 5.5.1 no valid recipients"); /* RFC 2033 4.2 */
	} else {
		text_begin(s);
		s->phase = LMTP_TEXT;
		lmtp_reply(s, "354 go ahead, end with <CRLF>.<CRLF>");
	}
}

/* The chunk is read. */
static void
chunk_end(struct lmtp_session *s)
{
	s->phase = LMTP_COMMAND;
	if (s->chunk_lost) {
		lmtp_reply(
		    s, s->in_mail ? "503 5.5.1 no valid recipients" : "503 5.5.1 MAIL first");
	} else if (s->chunk_last) {
		/* a text that does not end in CRLF would run into what is put behind it */
		if (s->data.state != LMTP_D_BOL)
			s->data.bare = true;
		lmtp_deliver(s);
	} else {
		lmtp_reply(s, "250 2.0.0 chunk taken");
	}
}

/* RFC 3030 2: the octets follow whatever the answer will be. */
static void
cmd_bdat(struct lmtp_session *s, struct slice args)
{
	if (lmtp_bdat_parse(args, &s->chunk_left, &s->chunk_last) != 0) {
		/* how many octets are no commands nobody knows */
		lmtp_reply(s, "501 5.5.4 BDAT size [LAST]");
		s->closing = true;
		io_close_after_flush(s->io);
		return;
	}
	s->chunk_lost = !s->in_mail || s->n_accepted == 0 || s->mail.asks_seen;
	if (!s->chunk_lost && !s->in_bdat) {
		s->in_bdat = true;
		text_begin(s);
	}
	s->phase = LMTP_CHUNK;
	if (s->chunk_left == 0)
		chunk_end(s);
}

static void
command(struct lmtp_session *s, enum lmtp_verb verb, struct slice args)
{
	switch (verb) {
	case LMTP_LHLO:
		cmd_lhlo(s, args);
		break;
	case LMTP_MAIL:
		cmd_mail(s, args);
		break;
	case LMTP_RCPT:
		if (s->in_bdat)
			lmtp_reply(s, "503 5.5.1 the message has begun");
		else
			lmtp_rcpt(s, args);
		break;
	case LMTP_DATA:
		cmd_data(s, args);
		break;
	case LMTP_BDAT:
		cmd_bdat(s, args);
		break;
	case LMTP_RSET:
		lmtp_reset(s);
		lmtp_reply(s, "250 2.0.0 ok");
		break;
	case LMTP_NOOP:
		lmtp_reply(s, "250 2.0.0 ok");
		break;
	case LMTP_VRFY:
		lmtp_reply(s, "252 2.5.0 send some mail and see");
		break;
	case LMTP_QUIT:
		lmtp_reply(s, "221 2.0.0 bye");
		s->closing = true;
		io_close_after_flush(s->io);
		break;
	case LMTP_HELO:
		lmtp_reply(s, "500 5.5.1 this is LMTP: LHLO");
		break;
	case LMTP_UNKNOWN:
		lmtp_reply(s, "500 5.5.1 unknown command");
		break;
	}
}

/* ---- input ---- */

static void
put_text(void *arg, const void *p, size_t n)
{
	struct lmtp_session *s = (struct lmtp_session *)arg;

	if (s->body_err == 0 && !s->data.bare)
		s->body_err = ingest_body_append(&s->body, p, n);
}

/* Whether the text came to its end. */
static bool
take_text(struct lmtp_session *s, struct slice in)
{
	size_t used;
	bool end = lmtp_data_feed(&s->data, in, &used, put_text, s);

	io_consume(s->io, used);
	if (end)
		lmtp_deliver(s);
	return end;
}

/* Octets of a chunk; whether it came to its end. */
static bool
take_chunk(struct lmtp_session *s, struct slice in)
{
	if (in.len > s->chunk_left)
		in.len = (size_t)s->chunk_left;
	if (!s->chunk_lost) {
		lmtp_chunk_look(&s->data, in);
		put_text(s, in.ptr, in.len);
	}
	s->chunk_left -= in.len;
	io_consume(s->io, in.len);
	if (s->chunk_left == 0)
		chunk_end(s);
	return s->chunk_left == 0;
}

/* A line that never ends: it is refused once and read over. */
static bool
line_too_long(struct lmtp_session *s, struct slice in)
{
	if (in.len < LMTP_LINE_MAX)
		return false;
	if (!s->skip_line)
		lmtp_reply(s, "500 5.5.2 line too long");
	s->skip_line = true;
	io_consume(s->io, in.len);
	return true;
}

/* Whether a command was taken; false: wait for more input or for a look-up. */
static bool
take_command(struct lmtp_session *s, struct slice in)
{
	ptrdiff_t lf = slice_index(in, '\n');
	struct slice line, args;
	enum lmtp_verb verb;

	if (lf < 0)
		return line_too_long(s, in);
	line = slice_sub(in, 0, (size_t)lf);
	if (s->skip_line) {
		s->skip_line = false;
		io_consume(s->io, (size_t)lf + 1);
		return true;
	}
	if (line.len == 0 || line.ptr[line.len - 1] != '\r' || slice_index(line, '\0') >= 0 ||
	    slice_index(line, '\r') != (ptrdiff_t)line.len - 1) {
		if (s->n_pending > 0)
			return false;
		lmtp_reply(s, "500 5.5.2 a line ends in CRLF");
		io_consume(s->io, (size_t)lf + 1);
		return true;
	}
	line.len--;
	verb = lmtp_verb_parse(line, &args);
	if (s->n_pending >= (verb == LMTP_RCPT ? LMTP_PENDING_MAX : 1))
		return false;
	if (line.len > LMTP_LINE_MAX)
		lmtp_reply(s, "500 5.5.2 line too long");
	else
		command(s, verb, args);
	io_consume(s->io, (size_t)lf + 1);
	return true;
}

void
lmtp_process(struct lmtp_session *s)
{
	bool more = true;

	while (more && !s->closing) {
		struct slice in = io_in(s->io);

		if (in.len == 0 || s->phase == LMTP_DELIVER)
			break;
		more = s->phase == LMTP_TEXT    ? take_text(s, in)
		       : s->phase == LMTP_CHUNK ? take_chunk(s, in)
						: take_command(s, in);
	}
	/* RFC 2920 3.2: answers wait for those to commands that are here already, and for that to a text that came with them */
	if (!s->closing)
		io_hold(s->io, s->phase == LMTP_DELIVER ||
				   (s->n_pending > 0 && slice_index(io_in(s->io), '\n') >= 0));
	/* While we work the client has nothing to say. */
	io_set_timeouts(s->io, s->phase == LMTP_DELIVER || s->n_pending > 0 ? 0 : s->in->timeout_ms,
	    s->in->timeout_ms);
}

static void
on_read(struct io *io, void *arg)
{
	(void)io;
	lmtp_process((struct lmtp_session *)arg);
}

static void
on_close(struct io *io, int err, void *arg)
{
	(void)io;
	(void)err;
	session_free((struct lmtp_session *)arg);
}

/* Mail that comes in here was judged by nobody yet: the policy stands before it, in smtpd or another mail server, so not every user
 * of this host may. */
static bool
peer_may_deliver(const struct lmtp_server *srv, int fd)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	if (srv->n_peers == SIZE_MAX)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) != 0)
		return false;
	for (size_t i = 0; i < srv->n_peers; i++)
		if (srv->peers[i] == cred.uid)
			return true;
	if (cred.uid == 0)
		return true;
	log_msg(LOG_LVL_ERROR, "lmtp_reject", "uid %ld may not deliver here (lmtp_users)",
	    (long)cred.uid);
	return false;
}

static void
on_accept(void *arg, int fd)
{
	static const struct io_ops ops = {.on_read = on_read, .on_close = on_close};
	struct lmtp_server *srv = (struct lmtp_server *)arg;
	struct lmtp_session *s;

	if (!peer_may_deliver(srv, fd)) {
		close(fd);
		listener_closed(srv->listener);
		return;
	}
	s = xcalloc(1, sizeof(*s));
	s->srv = srv;
	s->in = srv->in;
	s->body.in = srv->in;
	s->a = arena_new(LMTP_ARENA_MAX);
	if (s->a == NULL)
		fatal("no memory");
	buf_init(&s->client, 256);
	s->next = srv->sessions;
	s->at = &srv->sessions;
	if (s->next != NULL)
		s->next->at = &s->next;
	srv->sessions = s;
	s->in->n_clients++;
	s->io = io_new(srv->in->loop, fd, IN_CAP, OUT_CAP, &ops, s);
	io_set_timeouts(s->io, srv->in->timeout_ms, srv->in->timeout_ms);
	io_printf(s->io, "220 %s LMTP Congvu\r\n", srv->in->hostname);
}

struct lmtp_server *
lmtp_server_new(
    struct ingest *in, int listen_fd, unsigned max_clients, const uid_t *peers, size_t n_peers)
{
	struct lmtp_server *srv = xcalloc(1, sizeof(*srv));

	srv->in = in;
	srv->peers = peers;
	srv->n_peers = n_peers;
	srv->listener = listener_new(in->loop, listen_fd, max_clients, on_accept, srv);
	return srv;
}

void
lmtp_server_free(struct lmtp_server *srv)
{
	if (srv == NULL)
		return;
	while (srv->sessions != NULL)
		session_free(srv->sessions);
	listener_free(srv->listener);
	free(srv);
}
