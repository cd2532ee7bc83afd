/* lmtp_talk.c: one connection to an LMTP or SMTP server: greeting, STARTTLS, sign-in, and the time-outs. Runs in smtpd-session
 * (cut-through) and relay. Invariants: nothing the server said before TLS counts after it; a password goes out under TLS only;
 * each answer has its own deadline, however slowly its bytes drip. RFC 2033, 3207, 4954, 5321. */
#include "config.h"

#include "smtpd/lmtp_talk_priv.h"

#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAREWELL_MS = 5000 };

static void
free_now(struct lmtp_talk *t)
{
	io_free(t->io);
	loop_timer_free(t->timer);
	loop_defer_free(t->defer);
	free(t);
}

void
lmtp_talk_free(struct lmtp_talk *t)
{
	if (t != NULL)
		free_now(t);
}

void
lmtp_talk_end(struct lmtp_talk *t, enum lmtp_stage stage, unsigned code, const char *why)
{
	struct lmtp_end end = {.stage = stage,
	    .code = code,
	    .answered = t->answered,
	    .late = code == 0 && !loop_timer_is_set(t->timer) && t->state != ST_IDLE,
	    .why = why};

	if (t->state == ST_OVER)
		return;
	t->state = ST_OVER;
	loop_timer_stop(t->timer);
	io_free(t->io);
	t->io = NULL;
	for (size_t i = 0; t->has_message && t->text_sent && i < t->m.n_rcpts; i++)
		t->m.rcpts[i].sent |= t->m.rcpts[i].result == 0;
	t->has_message = false;
	t->free_pending = true;
	loop_defer_set(t->defer);
	t->ops->on_end(t->arg, &end);
}

static void
on_defer(void *arg)
{
	struct lmtp_talk *t = arg;

	if (t->free_pending) {
		free_now(t);
		return;
	}
	if (!t->done_pending)
		return;
	t->done_pending = false;
	t->ops->on_done(t->arg);
}

void
lmtp_talk_done(struct lmtp_talk *t)
{
	t->has_message = false;
	t->state = ST_IDLE;
	t->messages++;
	loop_timer_stop(t->timer);
	t->done_pending = true;
	loop_defer_set(t->defer);
}

/* Where it stands, for the report of its end. */
static enum lmtp_stage
stage_of(const struct lmtp_talk *t)
{
	switch (t->state) {
	case ST_CONNECT:
		return LMTP_AT_CONNECT;
	case ST_GREETING:
	case ST_HELLO:
		return LMTP_AT_GREETING;
	case ST_STARTTLS:
	case ST_TLS:
		return LMTP_AT_TLS;
	case ST_AUTH:
		return LMTP_AT_AUTH;
	case ST_IDLE:
		return LMTP_AT_IDLE;
	default:
		return t->text_sent ? LMTP_AT_FINAL : LMTP_AT_MESSAGE;
	}
}

void
lmtp_talk_wait(struct lmtp_talk *t, enum lmtp_state s, unsigned ms)
{
	t->state = s;
	loop_timer_set(t->timer, t->probe ? t->answer_ms : ms);
}

static void
on_timer(void *arg)
{
	struct lmtp_talk *t = arg;

	lmtp_talk_end(t, stage_of(t), 0,
	    t->state == ST_CONNECT ? "4.4.1 The next server cannot be reached in time"
				   : "4.4.2 The next server did not answer in time");
}

/* ---- hello ---- */

static void
send_hello(struct lmtp_talk *t)
{
	t->ext = (struct smtp_ext){.bits = 0};
	lmtp_talk_wait(t, ST_HELLO, t->p.ms.greeting);
	(void)io_printf(t->io, "%s %s\r\n", t->p.smtp ? "EHLO" : "LHLO", t->p.hostname);
}

static void
be_ready(struct lmtp_talk *t)
{
	t->ready = true;
	loop_timer_stop(t->timer);
	t->state = ST_IDLE;
	if (t->has_message)
		lmtp_txn_begin(t);
}

/* RFC 4616: NUL user NUL password. */
static void
send_auth(struct lmtp_talk *t)
{
	struct buf plain, line;

	if (io_tls(t->io) == NULL && t->p.path == NULL) {
		lmtp_talk_end(t, LMTP_AT_AUTH, 0, "4.7.0 No password goes out without TLS");
		return;
	}
	if (!(t->ext.bits & SMTP_EXT_AUTH_PLAIN)) {
		lmtp_talk_end(
		    t, LMTP_AT_AUTH, 0, "4.7.0 The next server does not offer AUTH PLAIN");
		return;
	}
	buf_init(&plain, 4096);
	buf_init(&line, 8192);
	buf_append_byte(&plain, 0);
	buf_append_slice(&plain, t->p.user);
	buf_append_byte(&plain, 0);
	buf_append_slice(&plain, t->p.password);
	buf_append_str(&line, "AUTH PLAIN ");
	b64_encode(buf_slice(&plain), false, &line);
	buf_append_str(&line, "\r\n");
	lmtp_talk_wait(t, ST_AUTH, t->p.ms.command);
	(void)io_write(t->io, line.data, line.len);
	buf_wipe(&plain);
	buf_wipe(&line);
}

static void
after_hello(struct lmtp_talk *t)
{
	bool secure = io_tls(t->io) != NULL;

	if (!secure && t->p.tls != NULL && (t->ext.bits & SMTP_EXT_STARTTLS)) {
		lmtp_talk_wait(t, ST_STARTTLS, t->p.ms.command);
		(void)io_write_str(t->io, "STARTTLS\r\n");
	} else if (!secure && t->p.policy != LMTP_TLS_MAY) {
		lmtp_talk_end(t, LMTP_AT_TLS, 0, "4.7.4 TLS is required and not offered");
	} else if (t->p.user.len > 0) {
		send_auth(t);
	} else {
		be_ready(t);
	}
}

static void
begin_tls(struct lmtp_talk *t)
{
	lmtp_talk_wait(t, ST_TLS, t->p.ms.greeting);
	if (io_start_tls(t->io, t->p.tls, false, t->p.server_name) != 0)
		lmtp_talk_end(t, LMTP_AT_TLS, 0, "4.7.5 TLS cannot be begun");
}

/* The name a server greets with: "220 mail.example.vn ESMTP". */
static bool
is_ourselves(const struct lmtp_talk *t, struct slice text)
{
	ptrdiff_t sp = slice_index(text, ' ');
	struct slice name = sp < 0 ? text : slice_sub(text, 0, (size_t)sp);

	return t->p.not_greeting != NULL && slice_caseeq_str(name, t->p.not_greeting);
}

static void
on_greeting(struct lmtp_talk *t, unsigned code, struct slice text)
{
	if (code != 220)
		lmtp_talk_end(t, LMTP_AT_GREETING, code, t->reply.text);
	else if (is_ourselves(t, text))
		lmtp_talk_end(t, LMTP_AT_LOOP, 0, "5.4.6 The mail would come back to us");
	else
		send_hello(t);
}

static void
on_starttls(struct lmtp_talk *t, unsigned code)
{
	if (code == 220)
		begin_tls(t);
	else if (t->p.policy != LMTP_TLS_MAY)
		lmtp_talk_end(t, LMTP_AT_TLS, code, "4.7.4 TLS is required and was refused");
	else
		be_ready(t);
}

static void
on_reply(struct lmtp_talk *t, unsigned code, struct slice text)
{
	switch (t->state) {
	case ST_GREETING:
		on_greeting(t, code, text);
		break;
	case ST_HELLO:
		if (code == 250)
			after_hello(t);
		else
			lmtp_talk_end(t, LMTP_AT_GREETING, code, t->reply.text);
		break;
	case ST_STARTTLS:
		on_starttls(t, code);
		break;
	case ST_AUTH:
		if (code == 235)
			be_ready(t);
		else
			lmtp_talk_end(t, LMTP_AT_AUTH, code, t->reply.text);
		break;
	case ST_RSET_FIRST:
	case ST_MAIL:
	case ST_RCPT:
	case ST_DATA:
	case ST_BODY:
	case ST_FINAL:
	case ST_RSET:
		lmtp_txn_reply(t, code, text);
		break;
	default:
		lmtp_talk_end(t, stage_of(t), 0, "4.5.0 An answer nobody asked for");
		break;
	}
}

/* ---- the stream ---- */

static void
on_read(struct io *io, void *arg)
{
	struct lmtp_talk *t = arg;

	while (t->state != ST_OVER && t->state != ST_TLS) {
		struct slice in = io_in(io), text;
		size_t used;
		if (in.len == 0)
			return;
		if (t->state == ST_IDLE) {
			lmtp_talk_end(t, LMTP_AT_IDLE, 0, "4.5.0 An answer nobody asked for");
			return;
		}
		int r = smtp_reply_read(&t->reply, in, &used, &text);
		if (used == 0 && r == ERR_AGAIN)
			return;
		if (r != 0 && r != ERR_AGAIN) {
			lmtp_talk_end(t, stage_of(t), 0, "4.5.0 An answer that is none");
			return;
		}
		t->answered = true;
		if (t->state == ST_HELLO && t->reply.code == 250)
			smtp_ext_note(&t->ext, text);
		char first[SMTP_REPLY_TEXT_MAX + 1];
		size_t n = text.len < sizeof(first) ? text.len : sizeof(first);
		if (n > 0)
			memcpy(first, text.ptr, n);
		io_consume(io, used);
		if (r == 0) {
			struct smtp_reply done = t->reply;
			/* the greeting's name stands in its first line; other replies are taken whole */
			bool one = done.lines == 1 && t->state == ST_GREETING;
			on_reply(
			    t, done.code, one ? slice_of(first, n) : slice_of(done.text, done.len));
			if (t->state == ST_OVER)
				return;
			smtp_reply_init(&t->reply);
		}
	}
}

static void
on_drain(struct io *io, void *arg)
{
	struct lmtp_talk *t = arg;

	(void)io;
	if (t->state == ST_BODY)
		lmtp_txn_send(t);
}

static void
on_close(struct io *io, int err, void *arg)
{
	struct lmtp_talk *t = arg;
	if (t->quitting) {
		if (err != ERR_EOF)
			free_now(t);
		return;
	}
	enum lmtp_stage at = stage_of(t);
	char why[256] = "4.4.2 The connection to the next server was lost";
	struct tls *tls = io_tls(io);

	if (at == LMTP_AT_CONNECT)
		snprintf(why, sizeof(why), "4.4.1 The next server cannot be reached");
	else if (t->state == ST_TLS && tls != NULL)
		snprintf(why, sizeof(why), "4.7.5 TLS failed: %s", tls_why(tls));
	if (err == ERR_TIMEOUT) {
		snprintf(why, sizeof(why), "4.4.2 The next server did not take the text in time");
		loop_timer_stop(t->timer);
	}
	lmtp_talk_end(t, at, 0, why);
}

static void
on_connect(struct io *io, void *arg)
{
	struct lmtp_talk *t = arg;

	(void)io;
	if (t->p.policy == LMTP_TLS_AT_ONCE)
		begin_tls(t);
	else
		lmtp_talk_wait(t, ST_GREETING, t->p.ms.greeting);
}

static void
on_tls(struct io *io, int err, void *arg)
{
	struct lmtp_talk *t = arg;

	(void)io;
	if (err != 0 || t->state != ST_TLS)
		return; /* on_close follows */
	if (t->p.policy == LMTP_TLS_AT_ONCE)
		lmtp_talk_wait(t, ST_GREETING, t->p.ms.greeting);
	else
		send_hello(t);
}

static const struct io_ops ops = {.on_read = on_read,
    .on_drain = on_drain,
    .on_close = on_close,
    .on_tls = on_tls,
    .on_connect = on_connect};

/* ---- for the owner ---- */

struct lmtp_talk *
lmtp_talk_new(struct loop *l, const struct lmtp_talk_params *p,
    const struct lmtp_talk_ops *owner_ops, void *arg)
{
	struct lmtp_talk *t = xcalloc(1, sizeof(*t));

	t->loop = l;
	t->p = *p;
	t->ops = owner_ops;
	t->arg = arg;
	smtp_reply_init(&t->reply);
	t->io =
	    p->path != NULL
		? io_connect_unix(l, p->path, LMTP_IN_MAX, 2 * (size_t)LMTP_OUT_MAX, &ops, t)
		: io_connect_tcp(l, p->hostport, LMTP_IN_MAX, 2 * (size_t)LMTP_OUT_MAX, &ops, t);
	if (t->io == NULL) {
		free(t);
		return NULL;
	}
	t->timer = loop_timer_new(l, on_timer, t);
	t->defer = loop_defer_new(l, on_defer, t);
	io_set_low_water(t->io, LMTP_OUT_MAX / 4);
	lmtp_talk_wait(t, ST_CONNECT, p->ms.connect);
	return t;
}

static void
give(struct lmtp_talk *t, const struct lmtp_message *m)
{
	t->m = *m;
	t->has_message = true;
	t->answered = t->text_sent = false;
	for (size_t i = 0; i < m->n_rcpts; i++)
		m->rcpts[i].skip = m->rcpts[i].result != 0;
	if (t->ready)
		lmtp_txn_begin(t);
}

void
lmtp_talk_send(struct lmtp_talk *t, const struct lmtp_message *m)
{
	t->probe = false;
	give(t, m);
}

void
lmtp_talk_probe(
    struct lmtp_talk *t, const struct lmtp_message *m, uint64_t size, unsigned answer_ms)
{
	t->probe = true;
	t->probe_size = size;
	t->answer_ms = answer_ms;
	if (!t->ready)
		loop_timer_set(t->timer, answer_ms);
	give(t, m);
}

void
lmtp_talk_quit(struct lmtp_talk *t)
{
	t->state = ST_OVER;
	t->quitting = true;
	loop_timer_stop(t->timer);
	(void)io_write_str(t->io, "QUIT\r\n");
	io_set_timeouts(t->io, FAREWELL_MS, FAREWELL_MS);
	io_close_after_flush(t->io); /* on_close frees it */
}

bool
lmtp_talk_text_is_out(const struct lmtp_talk *t)
{
	return t->has_message && t->text_sent;
}

unsigned
lmtp_talk_messages(const struct lmtp_talk *t)
{
	return t->messages;
}
