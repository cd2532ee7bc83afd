/* milter_client.c: the milter protocol from the MTA's side. Runs in smtpd-session. Invariants: steps go out in protocol
 * order with their macros before them; a step is not sent before the one before was answered, unless the milter said it
 * does not answer; anything unexpected, too large or too late is a failure, which is the caller's default action; the
 * bytes sent are the bytes that will be delivered. MILTER.md section 3. */
#include "config.h"

#include "smtpd/milter_client_priv.h"

#include "lib/err.h"
#include "lib/io.h"
#include "lib/log.h"
#include "smtpd/milter_proto.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_HIGH = 262144, PROGRESS_MAX = 3 };

static void advance(struct milter *m);

/* ---- connections ---- */

static void
conn_free(struct mconn *c)
{
	if (c == NULL)
		return;
	io_free(c->io);
	free(c);
}

/* Ends the operation; fn is called from the loop. */
static void
finish(struct milter *m, enum milter_verdict_kind kind, const char *why)
{
	loop_timer_stop(m->timer);
	m->step = S_IDLE;
	m->waiting = false;
	m->verdict.kind = kind;
	m->verdict.why = why;
	m->verdict.text = buf_cstr(&m->text);
	loop_defer_set(m->defer);
}

static void
failed(struct milter *m, const char *why)
{
	struct log_line l;

	if (m->c != NULL)
		m->c->user = NULL;
	conn_free(m->c);
	m->c = NULL;
	m->introduced = m->in_mail = false;
	if (m->step == S_IDLE)
		return;
	log_begin(&l, LOG_LVL_WARN, "milter_failed");
	log_str(&l, "milter", m->conf->o.name);
	log_str(&l, "qid", m->env != NULL ? m->env->qid : NULL);
	log_u64(&l, "step", m->step);
	log_str(&l, "why", why);
	log_end(&l);
	m->failed_mail = true;
	finish(m, MILTER_FAILED, why);
}

static void on_packet(struct milter *m, char cmd, struct slice data);

static void
on_read(struct io *io, void *arg)
{
	struct mconn *c = arg;
	struct slice data;
	char cmd;
	size_t used;
	int r = ERR_PROTO;

	if (c->user == NULL) {
		/* after QUIT it has nothing to say */
		conn_free(c);
		return;
	}
	/* a packet may end the use of this connection */
	while (c->user != NULL && c->user->waiting &&
	       (r = milter_packet(io_in(io), &cmd, &data, &used)) == 0) {
		struct milter *m = c->user;
		on_packet(m, cmd, data);
		if (m->c != c)
			return;
		io_consume(io, used);
	}
	if (c->user != NULL && c->user->waiting && r == ERR_PROTO)
		failed(c->user, "a packet without length or too large");
}

static void
on_drain(struct io *io, void *arg)
{
	struct mconn *c = arg;

	(void)io;
	if (c->user != NULL && !c->user->waiting && c->user->step != S_IDLE)
		advance(c->user);
}

static void
on_close(struct io *io, int err, void *arg)
{
	struct mconn *c = arg;

	(void)io;
	if (c->user != NULL) {
		failed(c->user, err == ERR_EOF ? "it closed the connection" : err_name(err));
	} else {
		conn_free(c);
	}
}

static void
on_connect(struct io *io, void *arg)
{
	struct mconn *c = arg;

	(void)io;
	if (c->user != NULL && c->user->step == S_CONNECT) {
		c->user->step = S_OPTNEG;
		c->user->waiting = false;
		advance(c->user);
	}
}

static const struct io_ops ops = {
    .on_read = on_read, .on_drain = on_drain, .on_close = on_close, .on_connect = on_connect};

/* One connection for each client: a libmilter that gets SMFIC_QUIT_NC does not answer the next SMFIC_CONNECT (8.17). */
static void
connect_to(struct milter *m)
{
	struct milter_conf *mc = m->conf;
	struct mconn *c;

	c = xcalloc(1, sizeof(*c));
	c->conf = mc;
	c->user = m;
	m->c = c;
	m->waiting = true;
	size_t out = (size_t)OUT_HIGH + 4 * (size_t)MILTER_CHUNK_MAX;
	c->io = mc->path != NULL
		    ? io_connect_unix(mc->loop, mc->path, MILTER_REPLY_MAX + 8, out, &ops, c)
		    : io_connect_tcp(mc->loop, mc->hostport, MILTER_REPLY_MAX + 8, out, &ops, c);
	if (c->io == NULL) {
		failed(m, "no connection");
		return;
	}
	io_set_low_water(c->io, OUT_HIGH / 2);
}

/* The connection ends. */
static void
conn_release(struct milter *m)
{
	struct mconn *c = m->c;
	struct buf b;

	m->c = NULL;
	if (c == NULL)
		return;
	c->user = NULL;
	if (m->step != S_IDLE) {
		conn_free(c);
		return;
	}
	buf_init(&b, 16);
	milter_put(&b, 'Q', slice_of(NULL, 0));
	(void)io_write(c->io, b.data, b.len);
	buf_done(&b);
	/* the owner is gone: on_close frees it */
	io_close_after_flush(c->io);
}

/* ---- sending ---- */

static void
arm(struct milter *m, unsigned ms)
{
	loop_timer_set(m->timer, ms);
}

static void
on_timer(void *arg)
{
	failed(arg, "no answer in time");
}

/* The step is through: the next one of this operation, or its end. */
static void
next_step(struct milter *m)
{
	switch (m->step) {
	case S_CONN:
		m->step = S_HELO;
		break;
	case S_HELO:
		m->introduced = true;
		m->step = S_MAIL;
		break;
	case S_HDR:
		if (m->at < m->ch->msg->n && !(m->c->steps & MILTER_P_NOHDRS))
			break;
		m->step = S_EOH;
		break;
	case S_EOH:
		m->at = 0;
		m->step = S_BODY;
		break;
	case S_BODY:
		if (m->at < milter_body(m).len && !(m->c->steps & MILTER_P_NOBODY))
			break;
		m->step = S_EOM;
		break;
	default:
		finish(m, MILTER_CONTINUE, NULL);
		break;
	}
}

static void
advance(struct milter *m)
{
	struct buf b;

	if (m->step == S_CONNECT) {
		arm(m, m->conf->o.connect_ms);
		connect_to(m);
		return;
	}
	buf_init(&b, (size_t)2 * MILTER_REPLY_MAX);
	while (m->step != S_IDLE && !m->waiting) {
		bool sent = true;
		uint32_t nr = 0;
		/* a slow milter holds the message, not our memory */
		if (io_out_len(m->c->io) > OUT_HIGH)
			break;
		buf_reset(&b);
		if (m->step == S_OPTNEG) {
			milter_put_optneg(&b, MILTER_ACTIONS, MILTER_STEPS);
		} else {
			if (m->step == S_MAIL)
				m->in_mail = true;
			sent = milter_put_step(m, &b);
			nr = m->c->steps & milter_steps[m->step].no_reply;
		}
		if (b.err != 0 || io_write(m->c->io, b.data, b.len) != 0) {
			failed(m, "a step that is too large, or no connection");
			break;
		}
		if (sent && nr == 0) {
			m->waiting = true;
			arm(m, m->step == S_EOM ? m->conf->o.message_ms : m->conf->o.command_ms);
		} else {
			next_step(m);
		}
	}
	buf_done(&b);
}

/* ---- answers ---- */

static void
on_optneg(struct milter *m, char cmd, struct slice data)
{
	struct mconn *c = m->c;

	if (cmd != 'O' || milter_get_optneg(data, &c->version, &c->actions, &c->steps) != 0) {
		failed(m, "it does not agree on the protocol");
		return;
	}
	m->waiting = false;
	m->step = S_CONN;
	advance(m);
}

/* Accept, reject, ... end the operation at any step. */
static bool
final_answer(struct milter *m, char cmd, struct slice data)
{
	bool early = m->step <= S_HELO;

	buf_reset(&m->text);
	m->verdict.code = 0;
	switch (cmd) {
	case 'a':
		m->accept_conn |= early;
		m->accept_mail = true;
		finish(m, MILTER_CONTINUE, NULL);
		return true;
	case 'd':
		finish(m, MILTER_DISCARD, NULL);
		return true;
	case 'r':
		finish(m, MILTER_REJECT, NULL);
		return true;
	case 't':
		finish(m, MILTER_TEMPFAIL, NULL);
		return true;
	case 'y':
		if (milter_get_reply(data, &m->verdict.code, &m->text) != 0)
			return false;
		finish(m, m->verdict.code >= 500 ? MILTER_REJECT : MILTER_TEMPFAIL, NULL);
		return true;
	default:
		return false;
	}
}

static void
on_packet(struct milter *m, char cmd, struct slice data)
{
	if (m->step == S_OPTNEG) {
		on_optneg(m, cmd, data);
		return;
	}
	if (cmd == 'p' && m->progress_left-- > 0) {
		arm(m, m->conf->o.message_ms);
		return;
	}
	if (cmd == 'c' || (cmd == 's' && m->step == S_BODY)) {
		m->waiting = false;
		if (m->step == S_EOM)
			m->in_mail = false;
		if (cmd == 's')
			m->at = SIZE_MAX;
		next_step(m);
		if (m->step != S_IDLE)
			advance(m);
		return;
	}
	enum step step = m->step;
	if (final_answer(m, cmd, data)) {
		m->refuse_conn = step <= S_HELO && m->verdict.kind != MILTER_CONTINUE;
		/* what it said of one recipient does not end the message */
		if (step == S_EOM)
			m->in_mail = false;
		if (step <= S_HELO)
			m->introduced = true;
		return;
	}
	if (step != S_EOM || milter_modify(m, cmd, data) != 0)
		failed(m, "an answer that does not belong here");
}

/* ---- operations ---- */

static void
on_defer(void *arg)
{
	struct milter *m = arg;
	milter_fn fn = m->fn;

	m->fn = NULL;
	if (fn != NULL)
		fn(m->arg, &m->verdict); /* m may be gone now */
}

struct milter *
milter_new(struct milter_conf *mc)
{
	struct milter *m = xcalloc(1, sizeof(*m));

	m->conf = mc;
	m->timer = loop_timer_new(mc->loop, on_timer, m);
	m->defer = loop_defer_new(mc->loop, on_defer, m);
	buf_init(&m->text, 32768);
	return m;
}

void
milter_free(struct milter *m)
{
	if (m == NULL)
		return;
	m->fn = NULL;
	if (m->in_mail)
		milter_abort(m);
	conn_release(m);
	loop_timer_free(m->timer);
	loop_defer_free(m->defer);
	buf_done(&m->text);
	free(m);
}

static bool
start(struct milter *m, enum step step, const struct milter_env *env, milter_fn fn, void *arg)
{
	assert(m->step == S_IDLE && m->fn == NULL);
	if (m->accept_conn || m->accept_mail || m->failed_mail)
		return true;
	buf_reset(&m->text);
	m->verdict = (struct milter_verdict){.kind = MILTER_CONTINUE};
	m->env = env;
	m->fn = fn;
	m->arg = arg;
	m->step = step;
	m->waiting = false;
	advance(m);
	return false;
}

bool
milter_mail(struct milter *m, const struct milter_env *env, milter_fn fn, void *arg)
{
	m->accept_mail = m->failed_mail = false;
	if (m->refuse_conn) {
		m->fn = fn;
		m->arg = arg;
		loop_defer_set(m->defer);
		return false;
	}
	return start(m, m->c == NULL ? S_CONNECT : m->introduced ? S_MAIL : S_CONN, env, fn, arg);
}

bool
milter_rcpt(
    struct milter *m, const struct milter_env *env, const char *rcpt, milter_fn fn, void *arg)
{
	m->rcpt = rcpt;
	return m->c == NULL ? true : start(m, S_RCPT, env, fn, arg);
}

bool
milter_data(struct milter *m, const struct milter_env *env, milter_fn fn, void *arg)
{
	return m->c == NULL ? true : start(m, S_DATA, env, fn, arg);
}

bool
milter_message(struct milter *m, const struct milter_env *env, struct milter_changes *ch,
    milter_fn fn, void *arg)
{
	m->ch = ch;
	m->at = 0;
	m->progress_left = PROGRESS_MAX;
	return m->c == NULL ? true : start(m, S_HDR, env, fn, arg);
}

void
milter_abort(struct milter *m)
{
	struct buf b;

	m->fn = NULL;
	m->env = NULL;
	loop_timer_stop(m->timer);
	if (m->step != S_IDLE) {
		/* in the middle of a step: its late answer would be taken for another one's */
		m->step = S_IDLE;
		m->waiting = false;
		if (m->c != NULL)
			m->c->user = NULL;
		conn_free(m->c);
		m->c = NULL;
		m->introduced = false;
	} else if (m->c != NULL && m->in_mail) {
		buf_init(&b, 16);
		milter_put(&b, 'A', slice_of(NULL, 0));
		(void)io_write(m->c->io, b.data, b.len);
		buf_done(&b);
	}
	m->in_mail = false;
}

struct milter_conf *
milter_conf_new(struct loop *l, const struct milter_options *o)
{
	struct milter_conf *mc = xcalloc(1, sizeof(*mc));

	mc->loop = l;
	mc->o = *o;
	if (slice_starts(slice_str(o->address), "unix:"))
		mc->path = mc->o.address + 5;
	else
		mc->hostport = mc->o.address + 5;
	return mc;
}

const char *
milter_conf_name(const struct milter_conf *mc)
{
	return mc->o.name;
}

enum milter_failure
milter_conf_failure(const struct milter_conf *mc)
{
	return mc->o.failure;
}

bool
milter_conf_serves(const struct milter_conf *mc, enum milter_ports port)
{
	return mc->o.ports & port;
}
