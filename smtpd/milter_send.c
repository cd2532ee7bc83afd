/* milter_send.c: what goes to a milter at each step: macros and packet. Runs in smtpd-session. Invariant: the bytes sent are the
 * bytes that will be delivered. MILTER.md section 3. */
#include "config.h"

#include "smtpd/milter_client_priv.h"

#include <stdio.h>
#include <string.h>

static const char *
domain_of(const char *address)
{
	const char *at = strrchr(address, '@');

	return at == NULL ? "" : at + 1;
}

static void
put_stage_macros(struct milter *m, char stage, struct buf *b)
{
	const struct milter_env *e = m->env;
	char addr[80] = "", port[8], bits[12] = "";
	struct milter_macro all[12];
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
		/* nobody asks the DNS for a name: as Postfix says it then */
		MACRO("{client_name}", "unknown");
		MACRO("{client_ptr}", "unknown");
		snprintf(port, sizeof(port), "%u", e->client_port);
		MACRO("{client_port}", port);
		MACRO("v", PACKAGE_STRING);
		break;
	case 'H':
		MACRO("{tls_version}", e->tls_version);
		MACRO("{cipher}", e->tls_cipher);
		if (e->tls_bits > 0)
			snprintf(bits, sizeof(bits), "%u", e->tls_bits);
		MACRO("{cipher_bits}", bits);
		break;
	case 'M':
		MACRO("i", e->qid);
		MACRO("{cv_release}", e->release);
		MACRO("{auth_type}", e->auth_type);
		MACRO("{auth_authen}", e->auth_authen);
		MACRO("{mail_addr}", e->mail_from);
		MACRO("{mail_host}", domain_of(e->mail_from));
		MACRO("{client_addr}", e->client_ip);
		MACRO("{daemon_name}", e->daemon_name);
		MACRO("{tls_version}", e->tls_version);
		break;
	case 'R':
		MACRO("i", e->qid);
		MACRO("{rcpt_addr}", m->rcpt);
		MACRO("{rcpt_host}", domain_of(m->rcpt));
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

struct slice
milter_body(const struct milter *m)
{
	return m->ch->body_replaced ? buf_slice(m->ch->body) : msg_body(m->ch->msg);
}

/* What a step needs: the milter's wish not to see it, not to answer it; the macros' letter. */
const struct milter_step_rule milter_steps[] = {
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
bool
milter_put_step(struct milter *m, struct buf *b)
{
	char cmd = milter_steps[m->step].cmd;
	struct slice s, body;

	if (m->c->steps & milter_steps[m->step].skip)
		return false;
	/* DATA came with version 4 */
	if (m->step == S_DATA && m->c->version < 4)
		return false;
	if ((m->step == S_HDR && m->at >= m->ch->msg->n) ||
	    (m->step == S_BODY && m->at >= milter_body(m).len))
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
		body = slice_sub(milter_body(m), m->at, MILTER_CHUNK_MAX);
		m->at += body.len;
		milter_put(b, 'B', body);
		break;
	default:
		milter_put(b, cmd, slice_of(NULL, 0));
		break;
	}
	return true;
}
