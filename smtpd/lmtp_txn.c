/* lmtp_txn.c: one message over a conversation: MAIL, RCPT, DATA, the text, and whose answer is whose. Runs in smtpd-session
 * (cut-through) and relay. Invariants: a recipient is DELIVERED only by a 2xx that belongs to it; every pipelined answer is read
 * before the next message; the message's bytes go out unchanged but for dot transparency. RFC 2033, 2920, 3030, 3461, 5321, 6531. */
#include "config.h"

#include "smtpd/lmtp_talk_priv.h"

#include "lib/err.h"
#include "smtpd/smtp_parse.h"

#include <string.h>

enum {
	CHUNK = 131072,
	AT_ONCE = 131072, /* octets of a text that goes out before the recipients are answered */
};

static void
keep(struct lmtp_rcpt *x, enum lmtp_result r, unsigned code, struct slice text)
{
	x->result = r;
	x->code = code;
	if (text.len > sizeof(x->text) - 1)
		text.len = sizeof(x->text) - 1;
	if (text.len > 0)
		memcpy(x->text, text.ptr, text.len);
	x->text[text.len] = '\0';
}

void
lmtp_rest_result(const struct lmtp_message *m, enum lmtp_result r, unsigned code, const char *text)
{
	for (size_t i = 0; i < m->n_rcpts; i++)
		if (m->rcpts[i].result == 0)
			keep(&m->rcpts[i], r, code, slice_str(text));
}

static enum lmtp_result
result_of(unsigned code)
{
	return code < 300 ? LMTP_DELIVERED : code < 500 ? LMTP_RETRY : LMTP_REFUSED;
}

/* For all that have no result: a code below 400 where none was expected is no refusal. */
static void
rest(struct lmtp_talk *t, unsigned code, struct slice text)
{
	for (size_t i = 0; i < t->m.n_rcpts; i++)
		if (t->m.rcpts[i].result == 0)
			keep(&t->m.rcpts[i], code >= 500 ? LMTP_REFUSED : LMTP_RETRY, code, text);
}

/* The next recipient of this transaction at or after at_rcpt; NULL: there is none. */
static struct lmtp_rcpt *
rcpt_at(struct lmtp_talk *t)
{
	while (t->at_rcpt < t->m.n_rcpts && t->m.rcpts[t->at_rcpt].skip)
		t->at_rcpt++;
	return t->at_rcpt < t->m.n_rcpts ? &t->m.rcpts[t->at_rcpt] : NULL;
}

/* ---- the text ---- */

static struct slice
rest_of(const struct lmtp_talk *t)
{
	if (t->sent < t->m.header.len)
		return slice_from(t->m.header, t->sent);
	return slice_from(t->m.body, t->sent - t->m.header.len);
}

/* Appends a piece with dots doubled at the beginning of lines. */
static void
stuff(struct lmtp_talk *t, struct slice s, struct buf *out)
{
	while (s.len > 0) {
		if (t->bol && s.ptr[0] == '.')
			buf_append_byte(out, '.');
		ptrdiff_t lf = slice_index(s, '\n');
		size_t n = lf < 0 ? s.len : (size_t)lf + 1;
		buf_append(out, s.ptr, n);
		t->bol = lf >= 0;
		s = slice_from(s, n);
	}
}

/* Our own store, which says so by XCVID, takes the text as it is and without being asked first (RFC 3030): half the turns for a small message, and
 * no looking for dots. A text sent twice by this is told by its delivery id. */
static bool
by_bdat(const struct lmtp_talk *t)
{
	const unsigned need = SMTP_EXT_CHUNKING | SMTP_EXT_PIPELINING | SMTP_EXT_XCVID;

	return !t->p.smtp && !t->probe && t->m.id_hex != NULL && (t->ext.bits & need) == need;
}

static size_t
text_len(const struct lmtp_talk *t)
{
	return t->m.header.len + t->m.body.len;
}

/* Whether the text lacks its last CRLF (a milter's may). */
static bool
lacks_end(const struct lmtp_talk *t)
{
	struct slice s = t->m.body.len > 0 ? t->m.body : t->m.header;

	return s.len > 0 && s.ptr[s.len - 1] != '\n';
}

static void
put_bdat(const struct lmtp_talk *t)
{
	(void)io_printf(t->io, "BDAT %zu LAST\r\n", text_len(t) + (lacks_end(t) ? 2 : 0));
}

static void
text_over(struct lmtp_talk *t)
{
	t->text_sent = true;
	t->at_rcpt = 0;
}

static void
send_as_it_is(struct lmtp_talk *t)
{
	while (io_out_len(t->io) < LMTP_OUT_MAX / 2) {
		struct slice s = rest_of(t);
		if (s.len == 0)
			break;
		if (s.len > CHUNK)
			s.len = CHUNK;
		t->sent += s.len;
		(void)io_write(t->io, s.ptr, s.len);
	}
	if (rest_of(t).len > 0)
		return;
	if (lacks_end(t))
		(void)io_write_str(t->io, "\r\n");
	text_over(t);
}

void
lmtp_txn_send(struct lmtp_talk *t)
{
	struct buf b;

	if (by_bdat(t)) {
		send_as_it_is(t);
		if (t->text_sent)
			lmtp_talk_wait(t, ST_FINAL, t->p.ms.final);
		return;
	}
	buf_init(&b, 2 * (size_t)CHUNK + 16);
	while (io_out_len(t->io) < LMTP_OUT_MAX / 2) {
		struct slice s = rest_of(t);
		if (s.len == 0)
			break;
		if (s.len > CHUNK)
			s.len = CHUNK;
		buf_reset(&b);
		stuff(t, s, &b);
		t->sent += s.len;
		(void)io_write(t->io, b.data, b.len);
	}
	buf_done(&b);
	if (rest_of(t).len > 0)
		return;
	(void)io_write_str(t->io, t->bol ? ".\r\n" : "\r\n.\r\n");
	text_over(t);
	lmtp_talk_wait(t, ST_FINAL, t->p.ms.final);
}

static void
begin_text(struct lmtp_talk *t)
{
	/* a kilobyte a second at least, or the destination is as good as down */
	uint64_t most = t->p.ms.body + t->m.header.len + t->m.body.len;

	lmtp_talk_wait(t, ST_BODY, most > UINT32_MAX ? UINT32_MAX : (unsigned)most);
	io_set_timeouts(t->io, 0, t->p.ms.body);
	if (by_bdat(t))
		put_bdat(t);
	lmtp_txn_send(t);
}

/* ---- commands ---- */

static void
put_rcpt(const struct lmtp_talk *t, const struct lmtp_rcpt *x, struct buf *b)
{
	static const struct {
		unsigned bit;
		const char *word;
	} words[] = {{SMTP_NOTIFY_NEVER, "NEVER"}, {SMTP_NOTIFY_SUCCESS, "SUCCESS"},
	    {SMTP_NOTIFY_FAILURE, "FAILURE"}, {SMTP_NOTIFY_DELAY, "DELAY"}};
	const char *sep = " NOTIFY=";

	buf_appendf(b, "RCPT TO:<%s>", x->address);
	for (size_t i = 0; x->dsn_passed && i < sizeof(words) / sizeof(words[0]); i++)
		if (x->notify & words[i].bit) {
			buf_append_str(b, sep);
			buf_append_str(b, words[i].word);
			sep = ",";
		}
	if (x->dsn_passed && x->orcpt != NULL && x->orcpt[0] != '\0')
		buf_appendf(b, " ORCPT=%s", x->orcpt);
	(void)t;
	buf_append_str(b, "\r\n");
}

static void
put_hex(struct buf *b, const char *key, const char *value)
{
	buf_append_str(b, key);
	for (; *value != '\0'; value++)
		buf_appendf(b, "%02x", (unsigned char)*value);
}

static void
put_mail(const struct lmtp_talk *t, struct buf *b)
{
	const struct lmtp_message *m = &t->m;

	buf_appendf(b, "MAIL FROM:<%s>", m->from);
	if (t->ext.bits & SMTP_EXT_SIZE)
		buf_appendf(b, " SIZE=%llu",
		    (unsigned long long)(t->probe ? t->probe_size : m->header.len + m->body.len));
	if (m->eight_bit && (t->ext.bits & SMTP_EXT_8BITMIME))
		buf_append_str(b, " BODY=8BITMIME");
	if (m->smtputf8 && (t->ext.bits & SMTP_EXT_SMTPUTF8))
		buf_append_str(b, " SMTPUTF8");
	if ((t->ext.bits & (SMTP_EXT_XCVID | SMTP_EXT_XCVJUDGE)) && m->id_hex != NULL)
		buf_appendf(b, " XCVID=%s", m->id_hex);
	if (m->sent)
		buf_append_str(b, " XCVSENT");
	if (m->seen_id != NULL)
		buf_appendf(b, " XCVSEEN=%s", m->seen_id);
	if (m->judge_login != NULL) {
		if (m->judge_login[0] != '\0')
			put_hex(b, " XCVLOGIN=", m->judge_login);
		if (m->judge_release != NULL && m->judge_release[0] != '\0')
			put_hex(b, " XCVRELEASE=", m->judge_release);
		put_hex(b, " XCVADDR=", m->judge_ip);
	}
	if ((t->ext.bits & SMTP_EXT_DSN) && t->p.smtp && m->ret != NULL && m->ret[0] != '\0')
		buf_appendf(b, " RET=%s", m->ret);
	if ((t->ext.bits & SMTP_EXT_DSN) && t->p.smtp && m->envid != NULL && m->envid[0] != '\0')
		buf_appendf(b, " ENVID=%s", m->envid);
	buf_append_str(b, "\r\n");
}

/* What the server cannot take as it is; never converted: signatures. */
static bool
is_refused_here(struct lmtp_talk *t)
{
	uint64_t size = t->probe ? t->probe_size : t->m.header.len + t->m.body.len;

	if (t->m.judge_login != NULL && !(t->ext.bits & SMTP_EXT_XCVJUDGE))
		lmtp_rest_result(
		    &t->m, LMTP_RETRY, 0, "4.3.5 That is not the server that judges mail");
	else if (t->m.sent && (t->p.smtp || !(t->ext.bits & SMTP_EXT_XCVSENT)))
		lmtp_rest_result(&t->m, LMTP_REFUSED, 0, LMTP_NO_SENT);
	else if (t->m.seen_id != NULL && !(t->ext.bits & SMTP_EXT_XCVSEEN))
		lmtp_rest_result(&t->m, LMTP_DELIVERED, 0, "2.0.0 That server does not tell");
	else if (t->m.smtputf8 && t->p.smtp && !(t->ext.bits & SMTP_EXT_SMTPUTF8))
		lmtp_rest_result(
		    &t->m, LMTP_REFUSED, 553, "5.6.7 The next server does not take SMTPUTF8");
	else if (t->p.smtp && t->ext.size > 0 && size > t->ext.size)
		lmtp_rest_result(&t->m, LMTP_REFUSED, 552,
		    "5.3.4 The message is larger than the next server takes");
	else
		return false;
	return true;
}

static void
send_mail(struct lmtp_talk *t)
{
	struct buf b;

	if (is_refused_here(t)) {
		lmtp_talk_done(t);
		return;
	}
	buf_init(&b, LMTP_OUT_MAX);
	put_mail(t, &b);
	for (size_t i = 0; i < t->m.n_rcpts; i++) {
		struct lmtp_rcpt *x = &t->m.rcpts[i];
		if (x->skip)
			continue;
		x->dsn_passed = t->p.smtp && (t->ext.bits & SMTP_EXT_DSN);
		if (t->ext.bits & SMTP_EXT_PIPELINING)
			put_rcpt(t, x, &b);
	}
	if (!by_bdat(t) && (t->ext.bits & SMTP_EXT_PIPELINING))
		buf_append_str(&b, t->probe ? "RSET\r\n" : "DATA\r\n");
	t->at_rcpt = t->accepted = t->sent = 0;
	t->bol = true;
	lmtp_talk_wait(t, ST_MAIL, t->p.ms.command);
	if (b.err != 0 || io_write(t->io, b.data, b.len) != 0) {
		lmtp_talk_end(
		    t, LMTP_AT_MESSAGE, 0, "4.3.0 Too many recipients for one transaction");
	} else if (by_bdat(t) && text_len(t) <= AT_ONCE && io_out_len(t->io) <= AT_ONCE) {
		put_bdat(t);
		send_as_it_is(t);
	}
	buf_done(&b);
}

void
lmtp_txn_begin(struct lmtp_talk *t)
{
	if (t->needs_rset) {
		lmtp_talk_wait(t, ST_RSET_FIRST, t->p.ms.command);
		(void)io_write_str(t->io, "RSET\r\n");
	} else {
		send_mail(t);
	}
}

static void
over(struct lmtp_talk *t, bool needs_rset)
{
	t->needs_rset = needs_rset;
	io_set_timeouts(t->io, 0, 0);
	lmtp_talk_done(t);
}

/* Without PIPELINING: one at a time. */
static void
send_rcpt(struct lmtp_talk *t)
{
	const struct lmtp_rcpt *x = rcpt_at(t);
	struct buf b;

	lmtp_talk_wait(t, ST_RCPT, t->p.ms.command);
	if ((t->ext.bits & SMTP_EXT_PIPELINING) || x == NULL)
		return;
	buf_init(&b, 4096);
	put_rcpt(t, x, &b);
	(void)io_write(t->io, b.data, b.len);
	buf_done(&b);
}

/* ---- answers ---- */

static void
on_mail(struct lmtp_talk *t, unsigned code, struct slice text)
{
	if (code >= 300)
		rest(t, code, text);
	if (code >= 300 && !(t->ext.bits & SMTP_EXT_PIPELINING))
		over(t, false);
	else
		send_rcpt(t);
}

static void
on_rcpt(struct lmtp_talk *t, unsigned code, struct slice text)
{
	struct lmtp_rcpt *x = rcpt_at(t);

	t->at_rcpt++;
	if (x->result == 0 && (code >= 300 || t->probe)) {
		keep(x, result_of(code), code, text);
	} else if (x->result == 0) {
		keep(x, 0, code, text);
		t->accepted++;
	}
	if (t->probe) {
		lmtp_talk_wait(t, ST_RSET, t->p.ms.command);
		if (!(t->ext.bits & SMTP_EXT_PIPELINING))
			(void)io_write_str(t->io, "RSET\r\n");
		return;
	}
	if (rcpt_at(t) != NULL) {
		send_rcpt(t);
		return;
	}
	if (t->accepted == 0 &&
	    (!(t->ext.bits & SMTP_EXT_PIPELINING) || (by_bdat(t) && !t->text_sent))) {
		over(t, true);
		return;
	}
	if (by_bdat(t) && !t->text_sent) {
		begin_text(t);
		return;
	}
	if (by_bdat(t) && t->accepted > 0) {
		t->at_rcpt = 0;
		lmtp_talk_wait(t, ST_FINAL, t->p.ms.final);
		return;
	}
	lmtp_talk_wait(t, ST_DATA, t->p.ms.data);
	if (!(t->ext.bits & SMTP_EXT_PIPELINING))
		(void)io_write_str(t->io, "DATA\r\n");
}

static void
on_data(struct lmtp_talk *t, unsigned code, struct slice text)
{
	if (code == 354 && t->accepted > 0) {
		begin_text(t);
	} else if (code == 354 && t->p.smtp) {
		/* RFC 2920 3.1: 354 for nobody is answered with an empty text; its answer is for nobody too */
		lmtp_talk_wait(t, ST_FINAL, t->p.ms.final);
		(void)io_write_str(t->io, ".\r\n");
	} else if (code == 354) {
		/* RFC 2033 4.2: LMTP must not say this; how many answers come is not known */
		lmtp_talk_end(t, LMTP_AT_MESSAGE, 0, "4.5.0 DATA for nobody");
	} else {
		rest(t, code, text);
		over(t, true);
	}
}

static void
on_final(struct lmtp_talk *t, unsigned code, struct slice text)
{
	/* LMTP answers for each accepted recipient in order; SMTP once for all */
	for (; t->at_rcpt < t->m.n_rcpts; t->at_rcpt++) {
		struct lmtp_rcpt *x = &t->m.rcpts[t->at_rcpt];
		if (x->result != 0)
			continue;
		keep(x, result_of(code), code, text);
		x->sent = true;
		t->accepted--;
		if (!t->p.smtp) {
			t->at_rcpt++;
			break;
		}
	}
	if (t->accepted == 0)
		over(t, false);
}

void
lmtp_txn_reply(struct lmtp_talk *t, unsigned code, struct slice text)
{
	/* RFC 5321 3.8: the server is about to close: another one may take it */
	if (code == 421 && t->state < ST_BODY) {
		lmtp_talk_end(t, LMTP_AT_MESSAGE, code, t->reply.text);
		return;
	}
	switch (t->state) {
	case ST_RSET_FIRST:
		t->answered = false; /* nothing was said of this message yet */
		if (code == 250)
			send_mail(t);
		else
			lmtp_talk_end(t, LMTP_AT_MESSAGE, 0, "4.5.0 RSET failed");
		break;
	case ST_MAIL:
		on_mail(t, code, text);
		break;
	case ST_RCPT:
		on_rcpt(t, code, text);
		break;
	case ST_DATA:
		on_data(t, code, text);
		break;
	case ST_BODY:
		/* it had enough before the end: the text never becomes whole, so nobody has it */
		if (code >= 400)
			rest(t, code, text);
		lmtp_talk_end(t, LMTP_AT_MESSAGE, 0, "4.5.0 An answer amid the text");
		break;
	case ST_FINAL:
		on_final(t, code, text);
		break;
	default: /* ST_RSET */
		if (code == 250)
			over(t, false);
		else
			lmtp_talk_end(t, LMTP_AT_MESSAGE, 0, "4.4.2 RSET failed");
		break;
	}
}
