/* session.c: the smtpd-session role: SMTP clients of the MX and submission ports, many to a process. Invariants: commands are
 * answered one after the other, in order; no file is opened after role_enter; what a client may do next is decided by the table of
 * commands, and what it may send as by lookup's answer to its login alone. RFC 5321, 6409, 8314, 2920. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/err.h"
#include "lib/fold.h"
#include "lib/log.h"
#include "lib/role.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	IN_CAP = 65536,
	OUT_CAP = 262144,
	WRITE_MS = 120000,
	IDLE_MORE_MS = 5000,
	IDLE_COMMANDS = 100
};

/* ---- commands ---- */

enum { NEED_HELO = 1, NEED_TLS = 2, NEED_AUTH = 4, NEED_MAIL = 8 };

/* need: what must have come before; TLS and AUTH are asked for on submission only. */
static const struct command {
	const char *verb;
	void (*run)(struct client *c, struct slice args);
	unsigned need;
} commands[] = {
    {"MAIL", cmd_mail, NEED_HELO | NEED_TLS | NEED_AUTH},
    {"RCPT", cmd_rcpt, NEED_HELO | NEED_MAIL},
    {"DATA", cmd_data, NEED_HELO | NEED_MAIL},
    {"BDAT", cmd_bdat, 0}, /* looks itself: its octets must be read in any case */
    {"EHLO", cmd_ehlo, 0},
    {"HELO", cmd_helo, 0},
    {"STARTTLS", cmd_starttls, NEED_HELO},
    {"AUTH", cmd_auth, NEED_HELO | NEED_TLS},
    {"RSET", cmd_rset, 0},
    {"NOOP", cmd_noop, 0},
    {"VRFY", cmd_vrfy, NEED_HELO | NEED_TLS | NEED_AUTH},
    {"EXPN", cmd_expn, NEED_HELO | NEED_TLS | NEED_AUTH},
    {"HELP", cmd_help, 0},
    {"QUIT", cmd_quit, 0},
};

bool
client_is_submission(const struct client *c)
{
	return c->port != PORT_MX && !c->judge_mx;
}

/* relay brings the name of who did. */
static bool
signs_in(const struct client *c)
{
	return client_is_submission(c) && c->port != PORT_JUDGE;
}

static void count_error(struct client *c, unsigned code);

static void
dispatch(struct client *c, struct slice line)
{
	struct slice verb, args;
	const struct command *cmd = NULL;

	smtp_split(line, &verb, &args);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]) && cmd == NULL; i++)
		if (slice_caseeq_str(verb, commands[i].verb))
			cmd = &commands[i];
	/* NOOP, RSET, EHLO, ... for ever are no way to hold a connection */
	if (cmd != NULL && (cmd->need & (NEED_MAIL | NEED_AUTH)) == 0 && cmd->run != cmd_bdat &&
	    c->port != PORT_JUDGE && ++c->idle_commands > IDLE_COMMANDS)
		count_error(c, 500);
	if (c->closing)
		return;
	if (cmd == NULL)
		reply(c, 500, "5.5.2", "Command not recognized");
	else if ((cmd->need & NEED_HELO) && c->helo == NULL)
		reply(c, 503, "5.5.1", "Say HELO or EHLO first");
	else if ((cmd->need & NEED_TLS) && signs_in(c) && !c->tls_done)
		reply(c, 530, "5.7.0", "Must issue a STARTTLS command first");
	else if ((cmd->need & NEED_AUTH) && signs_in(c) && c->login == NULL)
		reply(c, 530, "5.7.0", "Authentication required");
	else if ((cmd->need & NEED_MAIL) && c->t == NULL)
		reply(c, 503, "5.5.1", "MAIL first");
	else
		cmd->run(c, args);
}

/* ---- replies ---- */

static void
count_error(struct client *c, unsigned code)
{
	if (code < 500)
		return;
	smtpd.refused++;
	role_stat_set(2, smtpd.refused);
	if (c->port == PORT_JUDGE || ++c->errors < smtpd.errors_max || c->closing)
		return;
	client_bye(c, "4.7.0", "Too many errors");
}

void
client_bye(struct client *c, const char *enhanced, const char *why)
{
	if (c->io == NULL || c->closing)
		return;
	if (c->handshake) { /* there is no way to say it */
		client_free(c);
		return;
	}
	(void)io_printf(c->io, "421 %s %s %s\r\n", enhanced, smtpd.hostname, why);
	client_close(c);
}

void
clients_bye(void)
{
	struct client *next;

	for (struct client *c = smtpd.list; c != NULL; c = next) {
		next = c->next;
		/* who waits for an answer gets it first */
		if (!c->busy)
			client_bye(c, "4.3.2", "Going down, come again");
	}
}

/* Printable text: ASCII by folding unless the peer speaks SMTPUTF8 (INTEROP.md SMTP 7); no line ends. */
static void
append_text(struct client *c, struct buf *b, struct slice s)
{
	struct buf clean;

	buf_init(&clean, 8192);
	for (size_t i = 0; i < s.len && i < 2000; i++)
		buf_append_byte(&clean, s.ptr[i] < ' ' || s.ptr[i] == 0x7F ? ' ' : s.ptr[i]);
	if (c->t != NULL && c->t->mail.smtputf8)
		buf_append_slice(b, buf_slice(&clean));
	else
		vn_ascii(buf_slice(&clean), b);
	buf_done(&clean);
}

void
reply(struct client *c, unsigned code, const char *enhanced, const char *fmt, ...)
{
	struct buf text, out;
	va_list ap;

	if (c->io == NULL)
		return;
	buf_init(&text, 4096);
	buf_init(&out, 16384);
	va_start(ap, fmt);
	buf_vappendf(&text, fmt, ap);
	va_end(ap);
	buf_appendf(&out, "%u ", code);
	if (enhanced != NULL)
		buf_appendf(&out, "%s ", enhanced);
	append_text(c, &out, buf_slice(&text));
	buf_append_str(&out, "\r\n");
	(void)io_write(c->io, out.data, out.len);
	buf_done(&text);
	buf_done(&out);
	count_error(c, code);
}

/* The enhanced code that text begins with; an empty slice when there is none (RFC 3463 2). */
static struct slice
enhanced_of(struct slice text, unsigned code)
{
	size_t n = 0;
	unsigned dots = 0;

	while (n < text.len && n < 10 &&
	       ((text.ptr[n] >= '0' && text.ptr[n] <= '9') || text.ptr[n] == '.'))
		dots += text.ptr[n++] == '.';
	bool ok = dots == 2 && n >= 5 && n < text.len && text.ptr[n] == ' ' && text.ptr[1] == '.' &&
		  text.ptr[0] == '0' + code / 100;
	return slice_sub(text, 0, ok ? n : 0);
}

void
reply_text(struct client *c, unsigned code, const char *text, const char *default_text)
{
	struct slice rest = slice_str(text == NULL || text[0] == '\0' ? default_text : text);
	struct slice enh = enhanced_of(rest, code);
	struct slice usual = slice_str(code < 300 ? "2.0.0" : code < 500 ? "4.7.1" : "5.7.1");
	struct buf out;

	if (c->io == NULL)
		return;
	buf_init(&out, 65536);
	do {
		ptrdiff_t lf = slice_index(rest, '\n');
		struct slice line = lf < 0 ? rest : slice_sub(rest, 0, (size_t)lf);
		struct slice own = enhanced_of(line, code);
		rest = lf < 0 ? slice_of(NULL, 0) : slice_from(rest, (size_t)lf + 1);
		buf_appendf(&out, "%u%c", code, rest.len > 0 ? '-' : ' ');
		buf_append_slice(&out, enh.len > 0 ? enh : usual);
		buf_append_byte(&out, ' ');
		append_text(c, &out, slice_trim(slice_from(line, own.len)));
		buf_append_str(&out, "\r\n");
	} while (rest.len > 0);
	(void)io_write(c->io, out.data, out.len);
	buf_done(&out);
	count_error(c, code);
}

bool
refuse_utf8(struct client *c, struct slice address)
{
	bool high = false;

	for (size_t i = 0; i < address.len; i++)
		high |= address.ptr[i] >= 0x80;
	if (!high || c->t->mail.smtputf8 || client_is_submission(c))
		return false;
	reply(c, 553, "5.6.7", "An address with UTF-8 needs SMTPUTF8");
	return true;
}

void
append_clean(struct buf *b, const char *s)
{
	for (size_t i = 0; s[i] != '\0' && i < 255; i++) {
		unsigned char ch = (unsigned char)s[i];
		bool ok = ch > ' ' && ch < 0x7F && strchr("()<>\\\";,", ch) == NULL;
		buf_append_byte(b, ok ? ch : '?');
	}
}

/* ---- the life of a client ---- */

void
txn_reset(struct client *c)
{
	struct txn *t = c->t;

	queue_call_cancel(c->call);
	c->call = NULL;
	if (c->ask != NULL)
		c->ask->c = NULL;
	c->ask = NULL;
	lmtp_cancel(c->probe);
	c->probe = NULL;
	if (t == NULL)
		return;
	c->t = NULL;
	deliver_free(t->deliver);
	if (t->at_milters)
		milters_abort(c->milters);
	if (t->held)
		queue_abort(smtpd.queue, &t->id);
	spool_free(t->spool);
	buf_done(&t->chunk);
	free(t->refuse_text);
	arena_free(t->arena);
	free(t);
}

void
client_free(struct client *c)
{
	auth_reset(c);
	txn_reset(c);
	milters_free(c->milters);
	lookup_watch_free(c->watch);
	lookup_login_free(c->login);
	loop_timer_free(c->delay);
	pace_free(c->pace);
	io_free(c->io);
	free(c->helo);
	free(c->mech);
	if (!smtpd.leaving) /* they are gone then */
		listener_closed(c->listener);
	if (c->counted)
		limits_leave(smtpd.limits, c->ip);
	if (c->next != NULL)
		c->next->at = c->at;
	*c->at = c->next;
	role_stat_set(0, --smtpd.clients);
	free(c);
}

void
client_release(struct client *c)
{
	if (c->io == NULL)
		client_free(c);
}

void
client_close(struct client *c)
{
	if (c->closing || c->io == NULL)
		return;
	c->closing = true;
	io_close_after_flush(c->io);
}

void
client_kick(struct client *c)
{
	if (c->io != NULL && !c->closing)
		io_kick(c->io);
}

void
client_done(struct client *c)
{
	c->busy = false;
	pace_step(c->pace);
	if (c->ended != NULL)
		client_bye(c, "4.7.0", c->ended);
	if (smtpd.ending)
		client_bye(c, "4.3.2", "Going down, come again");
	client_kick(c);
}

/* One line of input: a command or a response of AUTH. False when there is none yet. */
static bool
line_input(struct client *c)
{
	struct slice in = io_in(c->io), line;
	size_t used = 0;
	int r = smtp_line(in, c->auth_line ? SMTP_AUTH_MAX : SMTP_CMD_MAX, &line, &used);

	if (r == ERR_AGAIN)
		return false;
	if (r == ERR_LIMIT) {
		reply(c, 500, "5.5.2", "Line too long");
		client_close(c);
		return false;
	}
	if (r == ERR_SYNTAX) {
		/* where this line ends is open to dispute: nothing behind it is believed (RFC 5321 2.3.8) */
		reply(c, 500, "5.5.2", "A line must end in CRLF and have no bare CR, LF or NUL");
		client_close(c);
		return false;
	}
	pace_step(c->pace);
	if (c->auth_line)
		cmd_auth_line(c, line);
	else
		dispatch(c, line);
	/* STARTTLS has thrown the input away already */
	if (io_in(c->io).len >= used)
		io_consume(c->io, used);
	return true;
}

static bool
skip_input(struct client *c)
{
	size_t n = io_in(c->io).len;

	if (n > c->skip_left)
		n = (size_t)c->skip_left;
	io_consume(c->io, n);
	c->skip_left -= n;
	pace_data(c->pace, n);
	return n > 0;
}

static void
process(struct client *c)
{
	bool more = true;

	while (more && !c->busy && !c->closing) {
		if (c->skip_left > 0)
			more = skip_input(c);
		else if (c->t != NULL && (c->t->in_data || c->t->in_bdat))
			more = data_input(c);
		else
			more = line_input(c);
	}
	/* RFC 2920 3.2: answers wait for those to commands that are here already */
	if (!c->closing)
		io_hold(c->io, c->busy && c->t != NULL && c->t->deliver == NULL &&
				   slice_index(io_in(c->io), '\n') >= 0);
	/* a peer that closed its half has had its answers */
	if (c->eof && !c->busy)
		client_close(c);
}

static void
on_read(struct io *io, void *arg)
{
	(void)io;
	process(arg);
}

static void
on_close(struct io *io, int err, void *arg)
{
	struct client *c = arg;

	if (err == ERR_EOF && !c->closing) {
		c->eof = true;
		if (!c->busy)
			process(c);
		return;
	}
	if (err == ERR_TIMEOUT || err == ERR_PROTO)
		log_msg(LOG_LVL_INFO, "client_lost", "%s %s %s", c->ip, err_name(err),
		    io_tls(io) != NULL ? tls_why(io_tls(io)) : "-");
	/* a delivery under way is finished, so that what is in the store is also in the audit log */
	if (c->t != NULL && c->t->deliver != NULL) {
		io_free(c->io);
		c->io = NULL;
		return;
	}
	client_free(c);
}

static void
on_tls(struct io *io, int err, void *arg)
{
	struct client *c = arg;
	struct log_line l;

	log_begin(&l, LOG_LVL_DEBUG, "tls");
	log_str(&l, "client", c->ip);
	log_err(&l, "err", err);
	log_str(&l, "version", err == 0 ? tls_version(io_tls(io)) : "-");
	log_end(&l);
	c->tls_done = err == 0;
	c->handshake = false;
	pace_step(c->pace);
}

static const struct io_ops client_ops = {
    .on_read = on_read, .on_close = on_close, .on_tls = on_tls};

/* "192.0.2.1:4711" or "[2001:db8::1]:4711" */
static void
split_peer(struct client *c)
{
	const char *peer = io_peer(c->io);
	const char *colon = strrchr(peer, ':');
	uint64_t port;

	if (colon == NULL || slice_to_u64(slice_str(colon + 1), 65535, &port) != 0) {
		snprintf(c->ip, sizeof(c->ip), "127.0.0.1");
		return;
	}
	c->peer_port = (uint16_t)port;
	struct slice host = slice_of(peer, (size_t)(colon - peer));
	if (host.len > 2 && host.ptr[0] == '[')
		host = slice_sub(host, 1, host.len - 2);
	snprintf(c->ip, sizeof(c->ip), "%.*s", (int)host.len, (const char *)host.ptr);
}

void
client_new(int fd, enum port port)
{
	struct client *c = xcalloc(1, sizeof(*c));

	c->port = port;
	c->listener = smtpd.listeners[port];
	c->io = io_new(smtpd.loop, fd, IN_CAP, OUT_CAP, &client_ops, c);
	c->next = smtpd.list;
	c->at = &smtpd.list;
	if (c->next != NULL)
		c->next->at = &c->next;
	smtpd.list = c;
	split_peer(c);
	/* pace.c comes first, with a word */
	io_set_timeouts(c->io, smtpd.timeout_ms + IDLE_MORE_MS, WRITE_MS);
	role_stat_set(0, ++smtpd.clients);
	role_stat_set(1, ++smtpd.accepted);
	c->pace = pace_new(c);
	c->counted = port != PORT_JUDGE && limits_enter(smtpd.limits, c->ip) == 0;
	if (!c->counted && port != PORT_JUDGE) {
		log_msg(LOG_LVL_WARN, "too_many_connections", "%s", c->ip);
		c->handshake = port == PORT_SUBMISSIONS;
		client_bye(c, "4.7.0", "Too many connections from your address");
		return;
	}
	if (port == PORT_SUBMISSIONS) {
		if (io_start_tls(c->io, smtpd.tls_submission, true, NULL) != 0) {
			client_free(c);
			return;
		}
		pace_handshake(c->pace);
	}
	(void)io_printf(c->io, "220 %s ESMTP Congvu\r\n", smtpd.hostname);
}
