/* lmtp_client.c: the client side of LMTP and SMTP for one message at a time on each connection. Runs in smtpd-session (cut-through)
 * and relay. Invariants: a recipient is DELIVERED only by a 2xx that belongs to it; whatever ends early is RETRY, and the delivery
 * id makes a repetition harmless; the message's bytes go out unchanged but for dot transparency. RFC 2033, 5321, 2920. */
#include "config.h"

#include "smtpd/lmtp_client.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

enum {
	IDLE_MAX = 8,
	LINE_MAX_IN = 65536,
	OUT_MAX = 1048576,
	CHUNK = 131072,
	IDLE_MS = 30000,
	NO_PROBE_MS = 5000,
	DOWN_MS = 5000,
};
enum ext {
	X_PIPELINING = 1,
	X_8BITMIME = 2,
	X_SMTPUTF8 = 4,
	X_SIZE = 8,
	X_XCVID = 16,
	X_STARTTLS = 32
};
enum state {
	ST_GREETING,
	ST_HELLO,
	ST_STARTTLS,
	ST_TLS,
	ST_IDLE,
	ST_MAIL,
	ST_RCPT,
	ST_DATA,
	ST_BODY,  /* sending */
	ST_FINAL, /* answers after the final dot */
	ST_RSET,  /* the end of a probe */
};

struct conn {
	struct lmtp_pool *pool;
	struct io *io;
	struct lmtp_job *job;
	enum state state;
	unsigned ext;
	bool used;     /* a message went over it before */
	bool answered; /* something came since this job has it */
	struct conn *next;
};

struct lmtp_pool {
	struct loop *loop;
	char *route, *hostname;
	const char *path, *hostport;
	bool smtp;
	struct tls_ctx *tls;
	unsigned timeout_ms;
	uint64_t no_probe_until, down_until;
	struct conn *idle;
	size_t n_idle;
};

struct lmtp_job {
	struct lmtp_pool *pool;
	struct conn *c;
	struct lmtp_message m;
	struct loop_defer *defer;
	lmtp_done_fn done;
	void *arg;
	size_t at_rcpt;  /* recipient the next answer belongs to */
	size_t accepted; /* recipients that got 2xx to RCPT */
	bool text_sent;  /* to the final dot */
	bool over;
	bool probe; /* one recipient, no message */
	uint64_t probe_size;
	unsigned timeout_ms;
	size_t sent; /* bytes of header and body that went out */
	bool bol;    /* at the beginning of a line */
};

static void on_line(struct conn *c, unsigned code, bool last, struct slice text);

static void
conn_free(struct conn *c)
{
	if (c == NULL)
		return;
	io_free(c->io);
	free(c);
}

static void
idle_remove(struct conn *c)
{
	for (struct conn **p = &c->pool->idle; *p != NULL; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			c->pool->n_idle--;
			return;
		}
}

static void
job_over(struct lmtp_job *j)
{
	if (j->over)
		return;
	j->over = true;
	loop_defer_set(j->defer);
}

/* Who has no result yet gets this one. */
static void
rest_result(struct lmtp_job *j, enum lmtp_result r, unsigned code, const char *text)
{
	for (size_t i = 0; i < j->m.n_rcpts; i++) {
		struct lmtp_rcpt *x = &j->m.rcpts[i];
		if (x->result != 0)
			continue;
		x->result = r;
		x->code = code;
		x->sent = j->text_sent;
		size_t n = strnlen(text, sizeof(x->text) - 1);
		memcpy(x->text, text, n);
		x->text[n] = '\0';
	}
}

static void start(struct lmtp_job *j);

/* The connection is of no use any more. */
static void
conn_failed(struct conn *c, const char *why)
{
	struct lmtp_job *j = c->job;

	if (j == NULL) {
		idle_remove(c);
		conn_free(c);
		return;
	}
	bool again = c->used && !c->answered;
	c->job = NULL;
	conn_free(c);
	j->c = NULL;
	if (again) {
		/* the server closed an idle connection: nothing was given to it */
		j->at_rcpt = j->accepted = j->sent = 0;
		start(j);
		return;
	}
	if (j->probe)
		j->pool->no_probe_until = loop_now_ms(j->pool->loop) + NO_PROBE_MS;
	rest_result(j, LMTP_RETRY, 0, why);
	job_over(j);
}

static void
job_done_with_conn(struct lmtp_job *j)
{
	struct conn *c = j->c;
	struct lmtp_pool *p = j->pool;

	j->c = NULL;
	c->job = NULL;
	c->used = true;
	if (!j->probe)
		p->down_until = 0;
	if (p->n_idle >= IDLE_MAX || io_in(c->io).len > 0) {
		(void)io_write_str(c->io, "QUIT\r\n");
		io_close_after_flush(c->io); /* on_close frees it */
	} else {
		c->state = ST_IDLE;
		c->next = p->idle;
		p->idle = c;
		p->n_idle++;
		io_set_timeouts(c->io, IDLE_MS, IDLE_MS);
	}
	job_over(j);
}

/* Over there the transaction is still open, or pipelined answers are on their way: a fresh connection is simpler than ending it. */
static void
job_done_midway(struct lmtp_job *j)
{
	struct conn *c = j->c;

	c->job = NULL;
	conn_free(c);
	j->c = NULL;
	job_over(j);
}

/* ---- the message ---- */

static struct slice
rest_of(const struct lmtp_job *j)
{
	if (j->sent < j->m.header.len)
		return slice_from(j->m.header, j->sent);
	return slice_from(j->m.body, j->sent - j->m.header.len);
}

/* Appends a piece with dots doubled at the beginning of lines. */
static void
stuff(struct lmtp_job *j, struct slice s, struct buf *out)
{
	while (s.len > 0) {
		if (j->bol && s.ptr[0] == '.')
			buf_append_byte(out, '.');
		ptrdiff_t lf = slice_index(s, '\n');
		size_t n = lf < 0 ? s.len : (size_t)lf + 1;
		buf_append(out, s.ptr, n);
		j->bol = lf >= 0;
		s = slice_from(s, n);
	}
}

static void
send_body(struct conn *c)
{
	struct lmtp_job *j = c->job;
	struct buf b;

	buf_init(&b, 2 * (size_t)CHUNK + 16);
	while (io_out_len(c->io) < OUT_MAX / 2) {
		struct slice s = rest_of(j);
		if (s.len == 0)
			break;
		if (s.len > CHUNK)
			s.len = CHUNK;
		buf_reset(&b);
		stuff(j, s, &b);
		j->sent += s.len;
		(void)io_write(c->io, b.data, b.len);
	}
	buf_done(&b);
	if (rest_of(j).len > 0)
		return;
	(void)io_write_str(c->io, j->bol ? ".\r\n" : "\r\n.\r\n");
	c->state = ST_FINAL;
	j->text_sent = true;
	j->at_rcpt = 0;
}

static void
send_mail(struct conn *c)
{
	struct lmtp_job *j = c->job;
	struct lmtp_message *m = &j->m;
	struct buf b;

	if (m->smtputf8 && c->pool->smtp && !(c->ext & X_SMTPUTF8)) {
		rest_result(j, LMTP_REFUSED, 553, "5.6.7 The next server does not take SMTPUTF8");
		job_done_with_conn(j);
		return;
	}
	buf_init(&b, OUT_MAX);
	buf_appendf(&b, "MAIL FROM:<%s>", m->from);
	if (c->ext & X_SIZE)
		buf_appendf(&b, " SIZE=%llu",
		    (unsigned long long)(j->probe ? j->probe_size : m->header.len + m->body.len));
	if (m->eight_bit && (c->ext & X_8BITMIME))
		buf_append_str(&b, " BODY=8BITMIME");
	if (m->smtputf8 && (c->ext & X_SMTPUTF8))
		buf_append_str(&b, " SMTPUTF8");
	if ((c->ext & X_XCVID) && m->id_hex != NULL)
		buf_appendf(&b, " XCVID=%s", m->id_hex);
	buf_append_str(&b, "\r\n");
	if (c->ext & X_PIPELINING) {
		for (size_t i = 0; i < m->n_rcpts; i++)
			buf_appendf(&b, "RCPT TO:<%s>\r\n", m->rcpts[i].address);
		buf_append_str(&b, j->probe ? "RSET\r\n" : "DATA\r\n");
	}
	j->at_rcpt = j->accepted = j->sent = 0;
	j->bol = true;
	c->state = ST_MAIL;
	if (b.err != 0 || io_write(c->io, b.data, b.len) != 0)
		conn_failed(c, "4.3.0 Too many recipients for one transaction");
	buf_done(&b);
}

/* ---- answers ---- */

static void
keep(struct lmtp_rcpt *x, unsigned code, struct slice text)
{
	x->code = code;
	if (text.len > sizeof(x->text) - 1)
		text.len = sizeof(x->text) - 1;
	if (text.len > 0)
		memcpy(x->text, text.ptr, text.len);
	x->text[text.len] = '\0';
}

static enum lmtp_result
result_of(unsigned code)
{
	return code < 300 ? LMTP_DELIVERED : code < 500 ? LMTP_RETRY : LMTP_REFUSED;
}

/* "550 text" for all that have no result. */
static void
all_result(struct lmtp_job *j, unsigned code, struct slice text)
{
	char tmp[512];
	size_t n = text.len < sizeof(tmp) - 1 ? text.len : sizeof(tmp) - 1;

	if (n > 0)
		memcpy(tmp, text.ptr, n);
	tmp[n] = '\0';
	rest_result(j, code >= 500 ? LMTP_REFUSED : LMTP_RETRY, code, tmp);
}

static void
send_hello(struct conn *c)
{
	c->state = ST_HELLO;
	c->ext = 0;
	(void)io_printf(c->io, "%s %s\r\n", c->pool->smtp ? "EHLO" : "LHLO", c->pool->hostname);
}

static void
note_ext(struct conn *c, struct slice text)
{
	static const struct {
		const char *word;
		unsigned bit;
	} words[] = {{"PIPELINING", X_PIPELINING}, {"8BITMIME", X_8BITMIME},
	    {"SMTPUTF8", X_SMTPUTF8}, {"SIZE", X_SIZE}, {"XCVID", X_XCVID},
	    {"STARTTLS", X_STARTTLS}};
	ptrdiff_t sp = slice_index(text, ' ');
	struct slice word = sp < 0 ? text : slice_sub(text, 0, (size_t)sp);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (slice_caseeq_str(word, words[i].word))
			c->ext |= words[i].bit;
}

static void
after_hello(struct conn *c)
{
	if (c->pool->smtp && c->pool->tls != NULL && (c->ext & X_STARTTLS) &&
	    io_tls(c->io) == NULL) {
		c->state = ST_STARTTLS;
		(void)io_write_str(c->io, "STARTTLS\r\n");
	} else {
		send_mail(c);
	}
}

static void
send_data(struct conn *c)
{
	c->state = ST_DATA;
	(void)io_write_str(c->io, "DATA\r\n");
}

/* Without PIPELINING: one at a time. */
static void
send_rcpt(struct conn *c)
{
	if (c->ext & X_PIPELINING)
		return;
	(void)io_printf(c->io, "RCPT TO:<%s>\r\n", c->job->m.rcpts[c->job->at_rcpt].address);
}

static void
on_mail(struct conn *c, unsigned code, struct slice text)
{
	struct lmtp_job *j = c->job;

	c->state = ST_RCPT;
	if (code >= 300) {
		all_result(j, code, text);
		job_done_midway(j);
		return;
	}
	send_rcpt(c);
}

static void
on_rcpt(struct conn *c, unsigned code, struct slice text)
{
	struct lmtp_job *j = c->job;
	struct lmtp_rcpt *x = &j->m.rcpts[j->at_rcpt++];

	keep(x, code, text);
	if (code >= 300 || j->probe)
		x->result = result_of(code);
	else
		j->accepted++;
	if (j->probe) {
		c->state = ST_RSET;
		if (!(c->ext & X_PIPELINING))
			(void)io_write_str(c->io, "RSET\r\n");
		return;
	}
	if (j->at_rcpt < j->m.n_rcpts) {
		send_rcpt(c);
		return;
	}
	c->state = ST_DATA;
	if (c->ext & X_PIPELINING)
		return;
	if (j->accepted > 0)
		send_data(c);
	else
		job_done_midway(j);
}

static void
on_data(struct conn *c, unsigned code, struct slice text)
{
	struct lmtp_job *j = c->job;

	if (code == 354 && j->accepted > 0) {
		c->state = ST_BODY;
		send_body(c);
		return;
	}
	/* 354 for nobody (RFC 2033 4.2, 2920 3.1): no text goes out, so nothing is delivered */
	if (code != 354)
		all_result(j, code, text);
	job_done_midway(j);
}

static void
on_final(struct conn *c, unsigned code, struct slice text)
{
	struct lmtp_job *j = c->job;

	/* LMTP answers for each accepted recipient in order; SMTP once for all */
	for (; j->at_rcpt < j->m.n_rcpts; j->at_rcpt++) {
		struct lmtp_rcpt *x = &j->m.rcpts[j->at_rcpt];
		if (x->result != 0)
			continue;
		keep(x, code, text);
		x->result = result_of(code);
		x->sent = true;
		j->accepted--;
		if (!c->pool->smtp) {
			j->at_rcpt++;
			break;
		}
	}
	if (j->accepted == 0)
		job_done_with_conn(j);
}

static void
on_line(struct conn *c, unsigned code, bool last, struct slice text)
{
	if (c->state == ST_HELLO && code == 250)
		note_ext(c, text);
	if (!last)
		return;
	switch (c->state) {
	case ST_GREETING:
		if (code == 220)
			send_hello(c);
		else
			conn_failed(c, "4.4.2 The next server does not greet");
		break;
	case ST_HELLO:
		if (code == 250)
			after_hello(c);
		else
			conn_failed(c, "4.4.2 The next server refuses the greeting");
		break;
	case ST_STARTTLS:
		c->state = ST_TLS;
		if (code != 220 || io_start_tls(c->io, c->pool->tls, false, NULL) != 0)
			conn_failed(c, "4.7.5 STARTTLS failed");
		break;
	case ST_MAIL:
		on_mail(c, code, text);
		break;
	case ST_RCPT:
		on_rcpt(c, code, text);
		break;
	case ST_DATA:
		on_data(c, code, text);
		break;
	case ST_FINAL:
		on_final(c, code, text);
		break;
	case ST_RSET:
		if (code == 250)
			job_done_with_conn(c->job);
		else
			conn_failed(c, "4.4.2 RSET failed");
		break;
	default:
		conn_failed(c, "4.5.0 An answer nobody asked for");
		break;
	}
}

static void
on_read(struct io *io, void *arg)
{
	struct conn *c = arg;

	for (;;) {
		struct slice in = io_in(io);
		ptrdiff_t lf = slice_index(in, '\n');
		uint64_t code = 0;
		if (c->job == NULL) {
			if (in.len > 0)
				conn_failed(c, "");
			return;
		}
		if (lf < 0) {
			if (in.len >= LINE_MAX_IN)
				conn_failed(c, "4.5.0 An answer without end");
			return;
		}
		struct slice line = slice_sub(in, 0, (size_t)lf);
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (line.len < 3 || slice_to_u64(slice_sub(line, 0, 3), 599, &code) != 0 ||
		    code < 200 || (line.len > 3 && line.ptr[3] != ' ' && line.ptr[3] != '-')) {
			conn_failed(c, "4.5.0 An answer that is none");
			return;
		}
		bool last = line.len == 3 || line.ptr[3] == ' ';
		struct lmtp_job *j = c->job;
		c->answered = true;
		char text[512];
		struct slice t = slice_from(line, 4);
		if (t.len > sizeof(text))
			t.len = sizeof(text);
		if (t.len > 0)
			memcpy(text, t.ptr, t.len);
		size_t used = (size_t)lf + 1;
		io_consume(io, used);
		on_line(c, (unsigned)code, last, slice_of(text, t.len));
		/* c is gone, or idle, when it is not this job's any more */
		if (j->c != c)
			return;
	}
}

static void
on_drain(struct io *io, void *arg)
{
	struct conn *c = arg;

	(void)io;
	if (c->job != NULL && c->state == ST_BODY)
		send_body(c);
}

static void
on_close(struct io *io, int err, void *arg)
{
	struct conn *c = arg;

	(void)io;
	if (err == ERR_TIMEOUT && c->job != NULL)
		c->pool->down_until = loop_now_ms(c->pool->loop) + DOWN_MS;
	if (err == ERR_TIMEOUT)
		conn_failed(c, "4.4.2 The next server did not answer in time");
	else
		conn_failed(c, "4.4.2 The connection to the next server was lost");
}

static void
on_tls(struct io *io, int err, void *arg)
{
	struct conn *c = arg;

	(void)io;
	if (err == 0 && c->job != NULL)
		send_hello(c);
}

static const struct io_ops ops = {
    .on_read = on_read, .on_drain = on_drain, .on_close = on_close, .on_tls = on_tls};

/* ---- jobs ---- */

static void
start(struct lmtp_job *j)
{
	struct lmtp_pool *p = j->pool;
	struct conn *c = p->idle;

	if (c != NULL) {
		p->idle = c->next;
		p->n_idle--;
		c->job = j;
		c->answered = false;
		j->c = c;
		io_set_timeouts(c->io, j->timeout_ms, j->timeout_ms);
		send_mail(c);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->pool = p;
	c->job = j;
	c->state = ST_GREETING;
	c->io =
	    p->path != NULL
		? io_connect_unix(p->loop, p->path, LINE_MAX_IN, 2 * (size_t)OUT_MAX, &ops, c)
		: io_connect_tcp(p->loop, p->hostport, LINE_MAX_IN, 2 * (size_t)OUT_MAX, &ops, c);
	if (c->io == NULL) {
		free(c);
		if (j->probe)
			p->no_probe_until = loop_now_ms(p->loop) + NO_PROBE_MS;
		rest_result(j, LMTP_RETRY, 0, "4.4.1 The next server cannot be reached");
		job_over(j);
		return;
	}
	j->c = c;
	io_set_low_water(c->io, OUT_MAX / 4);
	io_set_timeouts(c->io, j->timeout_ms, j->timeout_ms);
}

static void
on_defer(void *arg)
{
	struct lmtp_job *j = arg;
	lmtp_done_fn done = j->done;
	void *done_arg = j->arg;

	loop_defer_free(j->defer);
	free(j);
	done(done_arg);
}

static struct lmtp_job *
job_new(struct lmtp_pool *p, const struct lmtp_message *m, unsigned timeout_ms, lmtp_done_fn done,
    void *arg)
{
	struct lmtp_job *j = xcalloc(1, sizeof(*j));

	j->pool = p;
	j->m = *m;
	j->timeout_ms = timeout_ms;
	j->done = done;
	j->arg = arg;
	j->defer = loop_defer_new(p->loop, on_defer, j);
	for (size_t i = 0; i < m->n_rcpts; i++)
		m->rcpts[i] = (struct lmtp_rcpt){.address = m->rcpts[i].address};
	return j;
}

struct lmtp_job *
lmtp_deliver(struct lmtp_pool *p, const struct lmtp_message *m, lmtp_done_fn done, void *arg)
{
	struct lmtp_job *j = job_new(p, m, p->timeout_ms, done, arg);

	if (m->n_rcpts == 0)
		job_over(j);
	else
		start(j);
	return j;
}

struct lmtp_job *
lmtp_probe(struct lmtp_pool *p, const char *from, uint64_t size, struct lmtp_rcpt *x,
    unsigned timeout_ms, lmtp_done_fn done, void *arg)
{
	struct lmtp_message m = {.from = from, .rcpts = x, .n_rcpts = 1};
	struct lmtp_job *j = job_new(p, &m, timeout_ms, done, arg);

	j->probe = true;
	j->probe_size = size;
	if (loop_now_ms(p->loop) < p->no_probe_until) {
		rest_result(j, LMTP_RETRY, 0, "");
		job_over(j);
	} else {
		start(j);
	}
	return j;
}

bool
lmtp_seems_down(const struct lmtp_pool *p)
{
	return loop_now_ms(p->loop) < p->down_until;
}

void
lmtp_cancel(struct lmtp_job *j)
{
	if (j == NULL)
		return;
	if (j->c != NULL) {
		j->c->job = NULL;
		conn_free(j->c);
	}
	loop_defer_free(j->defer);
	free(j);
}

struct lmtp_pool *
lmtp_pool_new(struct loop *l, const char *route, const char *hostname, bool smtp,
    struct tls_ctx *tls, unsigned timeout_ms)
{
	struct lmtp_pool *p = xcalloc(1, sizeof(*p));

	p->loop = l;
	p->route = xstrdup(route);
	p->hostname = xstrdup(hostname);
	p->smtp = smtp;
	p->tls = tls;
	p->timeout_ms = timeout_ms;
	if (slice_starts(slice_str(route), "unix:"))
		p->path = p->route + 5;
	else if (slice_starts(slice_str(route), "inet:"))
		p->hostport = p->route + 5;
	if (p->path == NULL && p->hostport == NULL) {
		lmtp_pool_free(p);
		return NULL;
	}
	return p;
}

void
lmtp_pool_free(struct lmtp_pool *p)
{
	if (p == NULL)
		return;
	while (p->idle != NULL) {
		struct conn *c = p->idle;
		p->idle = c->next;
		conn_free(c);
	}
	free(p->route);
	free(p->hostname);
	free(p);
}
