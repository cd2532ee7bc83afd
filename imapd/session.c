/* session.c: a client's connection: greeting, framing, one command after the other, the end. Runs in imapd-session.
 * Invariants: answers leave in the order of commands; a client is freed from the loop only (client_close marks); a command has
 * one tagged answer. RFC 3501 3, 5.4, 5.5, 7.1. */
#include "config.h"

#include "imapd/session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

#define BAD_COMMANDS_MAX 10
#define WRITE_TIMEOUT_MS 120000

static void on_closing(void *arg);

/* ---- output ---- */

void
client_write(struct client *c, struct slice s)
{
	if (!c->closing && io_write(c->io, s.ptr, s.len) != 0)
		client_close(c, "output_limit");
}

void
client_printf(struct client *c, const char *fmt, ...)
{
	struct buf b;
	va_list ap;
	buf_init(&b, 1u << 20);
	va_start(ap, fmt);
	buf_vappendf(&b, fmt, ap);
	va_end(ap);
	client_write(c, buf_slice(&b));
	buf_done(&b);
}

bool
client_is_full(const struct client *c)
{
	return io_out_len(c->io) > IMAP_OUT_HIGH;
}

void
client_close(struct client *c, const char *reason)
{
	if (c->closing)
		return;
	c->closing = true;
	c->end_reason = reason;
	loop_defer_set(c->defer);
}

void
client_bye(struct client *c, const char *text, const char *reason)
{
	if (c->closing)
		return;
	client_printf(c, "* BYE %s\r\n", text);
	client_close(c, reason);
}

/* ---- commands ---- */

static void
cmd_free(struct cmd *m)
{
	struct client *c = m->c;
	if (m->cleanup != NULL)
		m->cleanup(m);
	buf_done(&m->answer);
	arena_free(m->a);
	free(m);
	c->cmd = NULL;
	imap_parse_next(&c->parse);
	if (c->state != CLIENT_NOTAUTH && !c->closing)
		loop_timer_set(c->timer, c->d->idle_s * 1000);
}

/* The untagged news are out: the tagged answer, and on to the next command. */
static void
cmd_answer(struct client *c)
{
	struct cmd *m = c->cmd;
	buf_append_str(&m->answer, "\r\n");
	client_write(c, buf_slice(&m->answer));
	cmd_free(m);
	client_pump(c);
}

static void
cmd_vend(struct cmd *m, const char *status, const char *fmt, va_list ap)
{
	struct client *c = m->c;
	assert(!m->ended);
	m->ended = true;
	m->on_drain = NULL;
	m->on_line = NULL;
	m->on_input = NULL;
	m->on_event = NULL;
	m->on_timer = NULL;
	buf_append_slice(&m->answer, m->tag);
	buf_appendf(&m->answer, " %s ", status);
	buf_vappendf(&m->answer, fmt, ap);
	if (c->sel == NULL || (m->def->flags & COMMAND_NO_SYNC) || c->closing) {
		cmd_answer(c);
		return;
	}
	bool expunge = !(m->def->flags & COMMAND_NO_EXPUNGE) || m->uid;
	/* RFC 7162 3.2: what came before a MODSEQ that was told is told as well */
	bool ask = (m->def->flags & COMMAND_ASK) ||
		   ((c->enabled & ENABLED_CONDSTORE) && c->sel->told_modseq > c->sel->view.modseq);
	sync_run(c, ask, expunge, cmd_answer);
}

void
cmd_ok(struct cmd *m, const char *fmt, ...)
{
	va_list ap;
	m->c->bad_commands = 0;
	va_start(ap, fmt);
	cmd_vend(m, "OK", fmt, ap);
	va_end(ap);
}

void
cmd_no(struct cmd *m, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	cmd_vend(m, "NO", fmt, ap);
	va_end(ap);
}

void
cmd_bad(struct cmd *m, const char *fmt, ...)
{
	va_list ap;
	m->c->bad_commands++;
	va_start(ap, fmt);
	cmd_vend(m, "BAD", fmt, ap);
	va_end(ap);
}

void
cmd_drop(struct cmd *m)
{
	struct client *c = m->c;
	cmd_free(m);
	client_pump(c);
}

void
cmd_syntax(struct cmd *m)
{
	cmd_bad(m, "Wrong arguments for %s%s%s", m->def->name, m->why != NULL ? ": " : "",
	    m->why != NULL ? m->why : "");
}

/* RFC 5530 codes. */
const char *
err_text(int err)
{
	switch (err) {
	case ERR_TEMP:
	case ERR_CLOSED:
	case ERR_TIMEOUT:
	case ERR_UNKNOWN:
		return "[UNAVAILABLE] The mail store is not available now, try again later";
	case ERR_DENIED:
		return "[NOPERM] Permission denied";
	case ERR_NOTFOUND:
	case ERR_GONE:
		return "[NONEXISTENT] No such mailbox";
	case ERR_EXISTS:
		return "[ALREADYEXISTS] There is a mailbox of that name";
	case ERR_FULL:
		return "[OVERQUOTA] The mailbox is full";
	case ERR_LIMIT:
	case ERR_NOMEM:
		return "[LIMIT] Too much asked for at once";
	case ERR_EXPIRED:
		return "[EXPIRED] The session has expired, sign in again";
	case ERR_SYNTAX:
		return "[CANNOT] The message holds NUL octets";
	case ERR_CORRUPT:
		return "[SERVERBUG] Stored mail is damaged here: tell the server's operator "
		       "(congvu store check)";
	case ERR_CONFLICT:
		return "[INUSE] Changed by others at the same time, try again";
	default:
		return "[SERVERBUG] Internal error";
	}
}

void
cmd_err(struct cmd *m, int err)
{
	if (err == ERR_EXPIRED)
		client_bye(m->c, "Session expired, sign in again", "ticket_expired");
	cmd_no(m, "%s", err_text(err));
}

/* What may follow UID: RFC 3501 6.4.8, RFC 4315. */
static const struct command *
command_of(struct imap_cur *cur, bool *uid_out)
{
	struct slice name;
	*uid_out = false;
	if (!imap_cur_atom(cur, &name))
		return NULL;
	if (slice_caseeq_str(name, "UID")) {
		if (!imap_cur_sp(cur) || !imap_cur_atom(cur, &name))
			return NULL;
		*uid_out = true;
	}
	const struct command *def = command_find(name);
	if (def != NULL && *uid_out && !(def->flags & COMMAND_UID))
		return NULL;
	return def;
}

static const char *
state_text(const struct client *c)
{
	if (c->state == CLIENT_NOTAUTH)
		return "Sign in first";
	return c->state == CLIENT_AUTH ? "No mailbox is selected" : "Not in this state";
}

static void
cmd_run(struct client *c)
{
	c->cmd->def->run(c->cmd);
}

/* A UID that the view does not have is nobody's, and what is asked of it is done (RFC 9051 6.4.9). So the view must be as of now: a flag
 * for a message that came while stored was away would be answered OK and be nowhere. */
static void
cmd_run_fresh(struct client *c)
{
	if (c->sel != NULL && c->sel->unread && !c->sel->gone)
		cmd_err(c->cmd, ERR_TEMP);
	else
		cmd_run(c);
}

/* Starts the command that the parser holds. */
static void
cmd_start(struct client *c, enum imap_event ev)
{
	static const struct command none = {"?", 0, COMMAND_NO_SYNC, NULL};
	struct imap_cur cur = imap_cur_of(imap_parse_text(&c->parse));
	struct slice tag;
	bool uid = false, refused = ev == IMAP_EV_BAD;
	if (cur.rest.len == 0 && !refused) {
		imap_parse_next(&c->parse); /* an empty line is nobody's command */
		return;
	}
	c->d->n_commands++;
	if (!imap_cur_tag(&cur, &tag) || !imap_cur_sp(&cur)) {
		c->bad_commands++;
		client_printf(c, "* BAD No command there\r\n");
		imap_parse_next(&c->parse);
		return;
	}
	struct cmd *m = xcalloc(1, sizeof(*m));
	m->c = c;
	m->a = arena_new(IMAP_ARENA_CAP);
	if (m->a == NULL)
		fatal("no memory for a command");
	m->def = command_of(&cur, &uid);
	m->tag = arena_slice(m->a, tag);
	m->args = cur;
	m->uid = uid;
	m->streams = ev == IMAP_EV_STREAM;
	m->literal_sync = c->parse.literal_sync;
	m->literal8 = c->parse.literal8;
	m->literal_size = c->parse.literal_size;
	buf_init(&m->answer, 1u << 20);
	c->cmd = m;
	if (m->def == NULL) {
		m->def = &none;
		cmd_bad(m, "Unknown command");
	} else if (refused) {
		cmd_bad(m, "[TOOBIG] %s", c->parse.why);
	} else if (!(m->def->states & c->state)) {
		m->def = &none;
		cmd_bad(m, "%s", state_text(c));
	} else if (c->sel != NULL && c->sel->stale && (m->def->flags & COMMAND_FRESH)) {
		/* EXPUNGE would move the numbers that the command names */
		sync_run(c, false, m->uid, cmd_run_fresh);
	} else {
		cmd_run(c);
	}
}

static void
on_line(struct client *c)
{
	struct cmd *m = c->cmd;
	struct buf line;
	/* The handler may ask for the next line, which wipes the parser. */
	buf_init(&line, 1u << 20);
	buf_append_slice(&line, imap_parse_text(&c->parse));
	imap_parse_next(&c->parse);
	if (m != NULL && m->on_line != NULL)
		m->on_line(m, buf_slice(&line));
	buf_wipe(&line);
}

static void
on_parsed(struct client *c, enum imap_event ev)
{
	switch (ev) {
	case IMAP_EV_MORE:
		break;
	case IMAP_EV_COMMAND:
	case IMAP_EV_STREAM:
	case IMAP_EV_BAD:
		cmd_start(c, ev);
		break;
	case IMAP_EV_CONTINUE:
		client_printf(c, "+ OK\r\n");
		break;
	case IMAP_EV_LINE:
		on_line(c);
		break;
	case IMAP_EV_FATAL:
		client_bye(c, c->parse.why, "parse");
		break;
	}
	if (c->bad_commands >= BAD_COMMANDS_MAX)
		client_bye(c, "Too many wrong commands", "bad_commands");
}

void
client_pump(struct client *c)
{
	if (c->pumping)
		return;
	c->pumping = true;
	while (!c->closing) {
		struct cmd *m = c->cmd;
		if (m != NULL && m->on_input != NULL) {
			if (!m->on_input(m))
				break;
			continue;
		}
		if (m != NULL && m->on_line == NULL)
			break;
		struct slice in = io_in(c->io);
		if (in.len == 0 || (m == NULL && client_is_full(c)))
			break;
		size_t used;
		enum imap_event ev = imap_parse_feed(&c->parse, in, &used);
		io_consume(c->io, used);
		on_parsed(c, ev);
	}
	c->pumping = false;
	/* The peer sends no more: what it had sent is answered first. */
	if (c->eof && !c->closing) {
		struct cmd *m = c->cmd;
		bool waits = m == NULL || m->on_line != NULL || m->on_input != NULL;
		if (waits && (m != NULL || !client_is_full(c)))
			client_close(c, "eof");
	}
}

/* ---- the stream ---- */

static void
on_read(struct io *io, void *arg)
{
	(void)io;
	client_pump(arg);
}

static void
on_drain(struct io *io, void *arg)
{
	struct client *c = arg;
	(void)io;
	if (c->closing)
		return;
	if (c->cmd != NULL && c->cmd->on_drain != NULL)
		c->cmd->on_drain(c->cmd);
	else
		client_pump(c);
}

static void
client_free(struct client *c)
{
	struct imapd *d = c->d;
	/* Completions of the store are never called after this. */
	store_session_free(c->store);
	c->store = NULL;
	lookup_watch_free(c->watch);
	c->watch = NULL;
	if (c->cmd != NULL)
		cmd_free(c->cmd);
	selected_free(c->sel);
	struct log_line l;
	log_begin(&l, LOG_LVL_INFO, "disconnect");
	log_str(&l, "peer", io_peer(c->io));
	log_str(&l, "user", c->login);
	log_str(&l, "reason", c->end_reason);
	log_end(&l);
	io_free(c->io);
	imap_parse_done(&c->parse);
	buf_wipe(&c->ticket);
	free(c->append_name);
	free(c->login);
	free(c->account);
	loop_timer_free(c->timer);
	loop_defer_free(c->defer);
	if (c->next != NULL)
		c->next->prev = c->prev;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		d->clients = c->next;
	d->n_clients--;
	if (c->listener != NULL)
		listener_closed(c->listener);
	free(c);
	if (d->stopping && d->n_clients == 0)
		loop_stop(d->loop);
}

static void
on_close(struct io *io, int err, void *arg)
{
	struct client *c = arg;
	(void)io;
	if (err == ERR_EOF && !c->closing) {
		c->eof = true;
		client_pump(c);
		return;
	}
	if (err == ERR_EOF)
		return; /* what we wrote is still going out */
	if (c->end_reason == NULL)
		c->end_reason = err_name(err);
	client_free(c);
}

/* From the loop, after client_close: the command goes at once, the stream when it is flushed. */
static void
on_closing(void *arg)
{
	struct client *c = arg;
	store_session_free(c->store);
	c->store = NULL;
	lookup_watch_free(c->watch);
	c->watch = NULL;
	if (c->cmd != NULL)
		cmd_free(c->cmd);
	loop_timer_stop(c->timer);
	io_set_timeouts(c->io, 0, 10000);
	io_close_after_flush(c->io);
}

static void
greet(struct client *c)
{
	struct buf b;
	buf_init(&b, 4096);
	client_capabilities(c, &b);
	client_printf(c, "* OK [CAPABILITY %s] %s Congvu ready\r\n", buf_cstr(&b), c->d->hostname);
	buf_done(&b);
}

static void
on_tls(struct io *io, int err, void *arg)
{
	struct client *c = arg;
	(void)io;
	if (err) {
		struct log_line l;
		log_begin(&l, LOG_LVL_INFO, "tls_failed");
		log_str(&l, "peer", io_peer(c->io));
		log_str(&l, "why", tls_why(io_tls(c->io)));
		log_end(&l);
		return; /* on_close follows */
	}
	c->tls = c->secure = true;
	if (c->greet_later) {
		c->greet_later = false;
		greet(c);
	}
}

static void
on_timer(void *arg)
{
	struct client *c = arg;
	if (c->state == CLIENT_NOTAUTH)
		client_bye(c, "No login in time", "login_timeout");
	else if (c->cmd == NULL)
		client_bye(c, "Idle for too long", "autologout"); /* RFC 3501 5.4 */
	else if (c->cmd->on_timer != NULL)
		c->cmd->on_timer(c->cmd);
	else
		loop_timer_set(c->timer, c->d->idle_s * 1000);
}

static const struct io_ops ops = {
    .on_read = on_read, .on_drain = on_drain, .on_close = on_close, .on_tls = on_tls};

void
client_new(struct imapd *d, struct listener *ls, int fd, bool tls_now)
{
	struct client *c = xcalloc(1, sizeof(*c));
	c->d = d;
	c->listener = ls;
	c->state = CLIENT_NOTAUTH;
	c->secure = d->plain_login;
	imap_parse_init(&c->parse);
	buf_init(&c->ticket, 65536);
	c->io = io_new(d->loop, fd, IMAP_IN_CAP, IMAP_OUT_CAP, &ops, c);
	io_set_low_water(c->io, IMAP_OUT_LOW);
	io_set_timeouts(c->io, 0, WRITE_TIMEOUT_MS);
	c->defer = loop_defer_new(d->loop, on_closing, c);
	c->timer = loop_timer_new(d->loop, on_timer, c);
	loop_timer_set(c->timer, d->login_s * 1000);
	c->next = d->clients;
	if (c->next != NULL)
		c->next->prev = c;
	d->clients = c;
	d->n_clients++;
	if (tls_now && io_start_tls(c->io, d->tls, true, NULL) != 0) {
		client_close(c, "no_tls");
		return;
	}
	/* What is written behind io_start_tls goes out inside TLS. */
	if (tls_now)
		c->tls = c->secure = true;
	/* what it may sign in with is known when the handshake has ended */
	c->greet_later = tls_now && d->asks_cert;
	if (!c->greet_later)
		greet(c);
}

void
imapd_stop(struct imapd *d)
{
	d->stopping = true;
	for (struct client *c = d->clients; c != NULL; c = c->next)
		client_bye(c, "Server is shutting down", "shutdown");
	if (d->n_clients == 0)
		loop_stop(d->loop);
}
