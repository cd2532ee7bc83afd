/* milter_client.c: the milter protocol from the MTA's side. Runs in smtpd-session. Invariants: steps go out in protocol
 * order with their macros before them; a step is not sent before the one before was answered, unless the milter said it
 * does not answer; anything unexpected, too large or too late is a failure, which is the caller's default action; the
 * bytes sent are the bytes that will be delivered. MILTER.md section 3. */
#include "config.h"

#include "smtpd/milter_client.h"

#include "lib/err.h"
#include "lib/io.h"
#include "lib/log.h"
#include "smtpd/milter_proto.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_HIGH = 262144, PROGRESS_MAX = 3 };

/* A connection with what was agreed on it. */
struct mconn {
	struct io *io;
	struct milter_conf *conf;
	struct milter *user; /* NULL when it is only flushed and closed */
	uint32_t version, actions, steps;
};

struct milter_conf {
	struct loop *loop;
	char *name;
	const char *path, *hostport; /* one of them */
	unsigned command_ms, message_ms;
};

enum step {
	S_IDLE,
	S_CONNECT,
	S_OPTNEG,
	S_CONN,
	S_HELO,
	S_MAIL,
	S_RCPT,
	S_DATA,
	S_HDR,
	S_EOH,
	S_BODY,
	S_EOM
};

struct milter {
	struct milter_conf *conf;
	struct mconn *c;
	struct loop_timer *timer;
	struct loop_defer *defer;
	enum step step;
	bool waiting;     /* for the answer to step */
	bool introduced;  /* C and H were sent on this connection */
	bool in_mail;     /* M was sent */
	bool accept_conn; /* accepted for good */
	bool refuse_conn; /* refused for good: verdict and text stay */
	bool accept_mail;
	bool failed_mail; /* skip it for the rest of this message */
	const struct milter_env *env;
	const char *rcpt;
	struct milter_changes *ch;
	size_t at;         /* next header field, or body offset */
	int progress_left; /* how often it may ask for more time */
	milter_fn fn;
	void *arg;
	struct milter_verdict verdict;
	struct buf text;
};

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
	log_str(&l, "milter", m->conf->name);
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

static void
put_stage_macros(struct milter *m, char stage, struct buf *b)
{
	const struct milter_env *e = m->env;
	char addr[80] = "";
	struct milter_macro all[10];
	size_t n = 0;

#define MACRO(k, v)                      \
	all[n++] = (struct milter_macro) \
	{                                \
		k, v                     \
	}
	switch (stage) {
	case 'C':
		snprintf(addr, sizeof(addr), "[%s]", e->client_ip);
		MACRO("j", e->hostname);
		MACRO("_", addr);
		MACRO("{daemon_name}", e->daemon_name);
		MACRO("{client_addr}", e->client_ip);
		MACRO("v", PACKAGE_STRING);
		break;
	case 'H':
		MACRO("{tls_version}", e->tls_version);
		MACRO("{cipher}", e->tls_cipher);
		break;
	case 'M':
		MACRO("i", e->qid);
		MACRO("{auth_type}", e->auth_type);
		MACRO("{auth_authen}", e->auth_authen);
		MACRO("{mail_addr}", e->mail_from);
		MACRO("{client_addr}", e->client_ip);
		MACRO("{daemon_name}", e->daemon_name);
		MACRO("{tls_version}", e->tls_version);
		break;
	case 'R':
		MACRO("i", e->qid);
		MACRO("{rcpt_addr}", m->rcpt);
		break;
	default:
		MACRO("i", e->qid);
		break;
	}
#undef MACRO
	milter_put_macros(b, stage, all, n);
}

static void
put_connect(struct milter *m, struct buf *b)
{
	const struct milter_env *e = m->env;
	char host[80];
	bool v6 = strchr(e->client_ip, ':') != NULL;

	snprintf(host, sizeof(host), "[%s]", e->client_ip);
	if (e->client_ip[0] == '\0')
		milter_put_connect(b, "localhost", 'U', 0, "");
	else
		milter_put_connect(b, host, v6 ? '6' : '4', e->client_port, e->client_ip);
}

static void
put_mail(struct milter *m, struct buf *b)
{
	struct slice s[12];
	struct buf path;
	size_t n = 1;

	buf_init(&path, 1024);
	buf_appendf(&path, "<%s>", m->env->mail_from);
	s[0] = buf_slice(&path);
	for (size_t i = 0; i < m->env->n_mail_args && n < 12; i++)
		s[n++] = slice_str(m->env->mail_args[i]);
	milter_put_strings(b, 'M', s, n);
	buf_done(&path);
}

static void
put_rcpt(struct milter *m, struct buf *b)
{
	struct buf path;

	buf_init(&path, 1024);
	buf_appendf(&path, "<%s>", m->rcpt);
	struct slice s = buf_slice(&path);
	milter_put_strings(b, 'R', &s, 1);
	buf_done(&path);
}

static void
put_field(struct milter *m, struct buf *b)
{
	const struct msg_field *f = &m->ch->msg->fields[m->at++];
	struct buf value;

	buf_init(&value, MILTER_CHUNK_MAX);
	msg_milter_value(f->value, m->c->steps & MILTER_P_HDR_LEADSPC, &value);
	struct slice s[2] = {f->name, buf_slice(&value)};
	milter_put_strings(b, 'L', s, 2);
	buf_done(&value);
}

static struct slice
body_of(const struct milter *m)
{
	return m->ch->body_replaced ? buf_slice(m->ch->body) : msg_body(m->ch->msg);
}

/* What a step needs: the milter's wish not to see it, not to answer it; the macros' letter. */
static const struct {
	char cmd;
	uint32_t skip, no_reply;
} step_table[] = {
    [S_CONN] = {'C', MILTER_P_NOCONNECT, MILTER_P_NR_CONN},
    [S_HELO] = {'H', MILTER_P_NOHELO, MILTER_P_NR_HELO},
    [S_MAIL] = {'M', MILTER_P_NOMAIL, MILTER_P_NR_MAIL},
    [S_RCPT] = {'R', MILTER_P_NORCPT, MILTER_P_NR_RCPT},
    [S_DATA] = {'T', MILTER_P_NODATA, MILTER_P_NR_DATA},
    [S_HDR] = {'L', MILTER_P_NOHDRS, MILTER_P_NR_HDR},
    [S_EOH] = {'N', MILTER_P_NOEOH, MILTER_P_NR_EOH},
    [S_BODY] = {'B', MILTER_P_NOBODY, MILTER_P_NR_BODY},
    [S_EOM] = {'E', 0, 0},
};

/* The packet of the step; false when there is nothing (more) to send for it. */
static bool
put_step(struct milter *m, struct buf *b)
{
	char cmd = step_table[m->step].cmd;
	struct slice s, body;

	if (m->c->steps & step_table[m->step].skip)
		return false;
	/* DATA came with version 4 */
	if (m->step == S_DATA && m->c->version < 4)
		return false;
	if ((m->step == S_HDR && m->at >= m->ch->msg->n) ||
	    (m->step == S_BODY && m->at >= body_of(m).len))
		return false;
	if ((m->step != S_HDR && m->step != S_BODY) || m->at == 0)
		put_stage_macros(m, cmd, b);
	switch (m->step) {
	case S_CONN:
		put_connect(m, b);
		break;
	case S_HELO:
		s = slice_str(m->env->helo);
		milter_put_strings(b, 'H', &s, 1);
		break;
	case S_MAIL:
		put_mail(m, b);
		break;
	case S_RCPT:
		put_rcpt(m, b);
		break;
	case S_HDR:
		put_field(m, b);
		break;
	case S_BODY:
		body = slice_sub(body_of(m), m->at, MILTER_CHUNK_MAX);
		m->at += body.len;
		milter_put(b, 'B', body);
		break;
	default:
		milter_put(b, cmd, slice_of(NULL, 0));
		break;
	}
	return true;
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
		if (m->at < body_of(m).len && !(m->c->steps & MILTER_P_NOBODY))
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
		arm(m, m->conf->command_ms);
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
			sent = put_step(m, &b);
			nr = m->c->steps & step_table[m->step].no_reply;
		}
		if (b.err != 0 || io_write(m->c->io, b.data, b.len) != 0) {
			failed(m, "a step that is too large, or no connection");
			break;
		}
		if (sent && nr == 0) {
			m->waiting = true;
			arm(m, m->step == S_EOM ? m->conf->message_ms : m->conf->command_ms);
		} else {
			next_step(m);
		}
	}
	buf_done(&b);
}

/* ---- answers ---- */

static int
grow(struct milter *m, const char ***list, size_t *n, struct slice address)
{
	const char **p = arena_calloc(m->ch->arena, *n + 1, sizeof(*p));

	/* "<a@b>" as well as "a@b" */
	if (address.len >= 2 && address.ptr[0] == '<' && address.ptr[address.len - 1] == '>')
		address = slice_sub(address, 1, address.len - 2);
	if (p == NULL || *n >= 1000 || address.len == 0)
		return ERR_LIMIT;
	if (*n > 0)
		memcpy(p, *list, *n * sizeof(*p));
	p[*n] = arena_slicedup(m->ch->arena, address);
	if (p[*n] == NULL)
		return ERR_NOMEM;
	*list = p;
	(*n)++;
	return 0;
}

static int
change_from(struct milter *m, struct slice a)
{
	if (a.len >= 2 && a.ptr[0] == '<' && a.ptr[a.len - 1] == '>')
		a = slice_sub(a, 1, a.len - 2);
	m->ch->from = arena_slicedup(m->ch->arena, a);
	return m->ch->from == NULL ? ERR_NOMEM : 0;
}

static int
replace_body(struct milter *m, struct slice data)
{
	if (!m->ch->body_replaced)
		buf_reset(m->ch->body);
	m->ch->body_replaced = true;
	return buf_append_slice(m->ch->body, data);
}

/* A modification, permitted by what was agreed. */
static int
modify(struct milter *m, char cmd, struct slice data)
{
	static const struct {
		char cmd;
		uint32_t needs;
	} needs[] = {{'h', MILTER_F_ADDHDRS}, {'i', MILTER_F_ADDHDRS}, {'m', MILTER_F_CHGHDRS},
	    {'b', MILTER_F_CHGBODY}, {'+', MILTER_F_ADDRCPT}, {'2', MILTER_F_ADDRCPT_PAR},
	    {'-', MILTER_F_DELRCPT}, {'e', MILTER_F_CHGFROM}, {'q', MILTER_F_QUARANTINE}};
	bool leadspc = m->c->steps & MILTER_P_HDR_LEADSPC;
	struct slice a = {NULL, 0}, v = {NULL, 0};
	uint32_t index = 0;
	size_t i = 0;

	while (i < sizeof(needs) / sizeof(needs[0]) && needs[i].cmd != cmd)
		i++;
	if (i == sizeof(needs) / sizeof(needs[0]) || !(m->c->actions & needs[i].needs))
		return ERR_PROTO;
	if (cmd == 'b')
		return replace_body(m, data);
	if (milter_get_mod(data, cmd == 'i' || cmd == 'm', &index, &a, &v) != 0)
		return ERR_PROTO;
	switch (cmd) {
	case 'h':
		return msg_add(m->ch->msg, a, v, leadspc);
	case 'i':
		return msg_insert(m->ch->msg, index, a, v, leadspc);
	case 'm':
		return msg_change(m->ch->msg, index == 0 ? 1 : index, a, v, leadspc);
	case '+':
	case '2':
		return grow(m, &m->ch->add_rcpt, &m->ch->n_add, a);
	case '-':
		return grow(m, &m->ch->del_rcpt, &m->ch->n_del, a);
	case 'e':
		return change_from(m, a);
	default:
		m->ch->quarantine = arena_slicedup(m->ch->arena, a);
		return m->ch->quarantine == NULL ? ERR_NOMEM : 0;
	}
}

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
		arm(m, m->conf->message_ms);
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
	if (step != S_EOM || modify(m, cmd, data) != 0)
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
milter_conf_new(struct loop *l, const char *address, unsigned command_ms, unsigned message_ms)
{
	struct milter_conf *mc = xcalloc(1, sizeof(*mc));

	mc->loop = l;
	mc->name = xstrdup(address);
	mc->command_ms = command_ms;
	mc->message_ms = message_ms;
	if (slice_starts(slice_str(address), "unix:"))
		mc->path = mc->name + 5;
	else if (slice_starts(slice_str(address), "inet:"))
		mc->hostport = mc->name + 5;
	if (mc->path == NULL && mc->hostport == NULL) {
		milter_conf_free(mc);
		return NULL;
	}
	return mc;
}

void
milter_conf_free(struct milter_conf *mc)
{
	if (mc == NULL)
		return;
	free(mc->name);
	free(mc);
}

const char *
milter_conf_name(const struct milter_conf *mc)
{
	return mc->name;
}
