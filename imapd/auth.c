/* auth.c: a SASL exchange: challenges to the client, answers to lookup, and what follows its end. Runs in imapd-session.
 * Invariants: no secret outlives its step; a failure is answered late, the later the more often; a directory that is down is never a wrong
 * password. RFC 3501 6.2.2, RFC 4422, RFC 5530. */
#include "config.h"

#include "imapd/auth.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "imapd/session.h"
#include "lib/client_cert.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"

#define FAILURES_MAX 5
#define TOO_MANY "Too many failed logins, try again in some minutes"

struct auth {
	struct lookup_auth *exchange; /* NULL when over */
	struct loop_timer *delay;
	int err;
	const char *mech;
};

static void
auth_cleanup(struct cmd *m)
{
	struct auth *a = m->state;
	lookup_auth_abort(a->exchange);
	loop_timer_free(a->delay);
}

static void
log_failure(struct cmd *m, int err)
{
	struct auth *a = m->state;
	struct log_line l;
	log_begin(&l, LOG_LVL_INFO, "login_failed");
	log_str(&l, "peer", io_peer(m->c->io));
	log_str(&l, "mech", a->mech);
	log_err(&l, "why", err);
	log_u64(&l, "failures", m->c->auth_failures);
	log_end(&l);
}

static void
answer_failure(struct cmd *m, int err)
{
	switch (err) {
	case ERR_AUTH:
		cmd_no(m, "[AUTHENTICATIONFAILED] Wrong name or password");
		break;
	case ERR_DENIED:
		cmd_no(m, "[AUTHORIZATIONFAILED] This account may not sign in here");
		break;
	case ERR_EXPIRED:
		cmd_no(m, "[EXPIRED] Mat khau da het han, hay doi mat khau moi / The password has "
			  "expired: change it");
		break;
	case ERR_MUST_CHANGE:
		cmd_no(m, "[EXPIRED] Mat khau lan dau phai duoc doi truoc khi dung / A first "
			  "password must be changed before use");
		break;
	case ERR_LOCKED:
		cmd_no(m, "[CONTACTADMIN] Tai khoan bi khoa, hay lien he don vi quan tri / The "
			  "account is locked: see your administrator");
		break;
	case ERR_SYNTAX:
		cmd_bad(m, "The authentication exchange is malformed");
		break;
	case ERR_LIMIT: /* not looked at, so not called wrong: a client keeps its password */
		cmd_no(m, "[UNAVAILABLE] " TOO_MANY);
		break;
	case ERR_UNSUPPORTED:
		cmd_no(m, "[CANNOT] Mechanism not supported");
		break;
	default:
		cmd_no(m, "[UNAVAILABLE] The directory is not available now, try again later");
		break;
	}
}

static void
on_delay(void *arg)
{
	struct cmd *m = arg;
	struct auth *a = m->state;
	struct client *c = m->c;
	int err = a->err;
	if (c->auth_failures >= FAILURES_MAX) {
		client_printf(c, "%.*s NO %s\r\n", (int)m->tag.len, (const char *)m->tag.ptr,
		    err == ERR_LIMIT ? "[UNAVAILABLE] " TOO_MANY
				     : "[AUTHENTICATIONFAILED] Wrong name or password");
		client_bye(c, "Too many failed logins", "auth_failures");
		return;
	}
	answer_failure(m, err);
}

static void
auth_fail(struct cmd *m, int err)
{
	struct auth *a = m->state;
	struct client *c = m->c;
	a->err = err;
	m->on_line = NULL;
	bool wrong = err == ERR_AUTH || err == ERR_DENIED || err == ERR_EXPIRED ||
		     err == ERR_MUST_CHANGE || err == ERR_LOCKED || err == ERR_LIMIT;
	if (wrong)
		c->auth_failures++;
	log_failure(m, err);
	if (!wrong || c->d->auth_delay_ms == 0) {
		on_delay(m);
		return;
	}
	a->delay = loop_timer_new(c->d->loop, on_delay, m);
	loop_timer_set(a->delay, c->d->auth_delay_ms * c->auth_failures);
}

static void
on_answer(struct cmd *m, struct slice line)
{
	struct auth *a = m->state;
	struct buf raw;
	m->on_line = NULL;
	if (slice_eq_str(line, "*")) {
		lookup_auth_abort(a->exchange);
		a->exchange = NULL;
		cmd_bad(m, "Given up as asked");
		return;
	}
	buf_init(&raw, AUTH_LINE_MAX);
	int err = b64_decode(line, true, &raw);
	if (err) {
		lookup_auth_abort(a->exchange);
		a->exchange = NULL;
		cmd_bad(m, "That is not base64");
	} else {
		err = lookup_auth_step(a->exchange, buf_slice(&raw));
		if (err) {
			lookup_auth_abort(a->exchange);
			a->exchange = NULL;
			auth_fail(m, ERR_TEMP);
		}
	}
	buf_wipe(&raw);
}

static void
challenge(struct cmd *m, struct slice text)
{
	struct buf b;
	buf_init(&b, 65536);
	b64_encode(text, false, &b);
	client_printf(m->c, "+ %s\r\n", buf_cstr(&b));
	buf_done(&b);
	imap_parse_want_line(&m->c->parse, AUTH_LINE_MAX);
}

/* The server's last word was sent as a challenge; the client answers with nothing, then OK follows (RFC 4422 3.6). */
static void
on_last_answer(struct cmd *m, struct slice line)
{
	struct lookup_login *l = m->state;
	m->on_line = NULL;
	m->cleanup = NULL;
	if (line.len != 0) {
		lookup_login_free(l);
		cmd_bad(m, "An empty answer was expected");
		return;
	}
	client_signed_in(m, l);
}

static void
cleanup_login(struct cmd *m)
{
	lookup_login_free(m->state);
}

static void
on_auth(
    void *arg, enum lookup_auth_result res, int err, struct slice text, struct lookup_login *login)
{
	struct cmd *m = arg;
	struct auth *a = m->state;
	if (res == LOOKUP_AUTH_MORE) {
		m->on_line = on_answer;
		challenge(m, text);
		client_pump(m->c);
		return;
	}
	a->exchange = NULL;
	if (res == LOOKUP_AUTH_FAILED) {
		auth_fail(m, err);
		return;
	}
	if (text.ptr != NULL) {
		m->state = login;
		m->cleanup = cleanup_login;
		m->on_line = on_last_answer;
		challenge(m, text);
		client_pump(m->c);
		return;
	}
	client_signed_in(m, login);
}

bool
auth_has_cert(const struct client *c)
{
	struct buf der;
	buf_init(&der, CLIENT_CERT_MAX);
	bool has = c->tls && io_tls(c->io) != NULL && tls_peer_cert(io_tls(c->io), &der) == 0;
	buf_done(&der);
	return has;
}

void
auth_start(struct cmd *m, const char *mech, bool has_initial, struct slice initial)
{
	struct client *c = m->c;
	struct auth *a = arena_alloc(m->a, sizeof(*a));
	struct tls *tls = io_tls(c->io);
	unsigned char exporter[32];
	struct buf endpoint, ip, cert;
	buf_init(&endpoint, 256);
	buf_init(&cert, CLIENT_CERT_MAX);
	buf_init(&ip, 128);
	struct lookup_auth_params p = {
	    .mech = mech,
	    .service = "imap",
	    .tls = c->tls,
	    .has_initial = has_initial,
	    .initial = initial,
	};
	if (tls != NULL && tls_binding_exporter(tls, exporter) == 0)
		p.binding_exporter = slice_of(exporter, sizeof(exporter));
	if (tls != NULL && tls_binding_endpoint(tls, &endpoint) == 0)
		p.binding_endpoint = buf_slice(&endpoint);
	if (tls != NULL && strcmp(mech, "EXTERNAL") == 0 && tls_peer_cert(tls, &cert) == 0)
		p.peer_cert = buf_slice(&cert);
	/* "192.0.2.1:4711" without its port */
	const char *peer = io_peer(c->io), *colon = strrchr(peer, ':');
	buf_append(&ip, peer, colon != NULL ? (size_t)(colon - peer) : strlen(peer));
	p.client_ip = buf_cstr(&ip);
	a->mech = mech;
	m->state = a;
	m->cleanup = auth_cleanup;
	a->exchange = lookup_auth_start(c->d->lookup, &p, on_auth, m);
	if (a->exchange == NULL)
		auth_fail(m, ERR_TEMP);
	buf_done(&endpoint);
	buf_done(&ip);
	buf_done(&cert);
}

/* ---- after the login ---- */

static void
on_store_event(void *arg, uint64_t mailbox, uint64_t modseq, bool gone)
{
	struct client *c = arg;
	(void)gone;
	if (c->closing || c->sel == NULL || c->sel->mailbox != mailbox ||
	    (!gone && modseq <= c->sel->view.modseq))
		return;
	c->sel->stale = true;
	if (c->cmd != NULL && c->cmd->on_event != NULL)
		c->cmd->on_event(c->cmd);
}

static void
on_store_lost(void *arg)
{
	struct client *c = arg;
	if (c->closing || c->sel == NULL)
		return;
	c->sel->lost = c->sel->stale = true;
	if (c->cmd != NULL && c->cmd->on_event != NULL)
		c->cmd->on_event(c->cmd);
}

static void
on_store_ready(void *arg, int err)
{
	struct client *c = arg;
	struct cmd *m = c->cmd;
	if (m == NULL || m->ended)
		return;
	if (err) {
		store_session_free(c->store);
		c->store = NULL;
		buf_wipe(&c->ticket);
		cmd_err(m, err);
		return;
	}
	c->state = CLIENT_AUTH;
	client_watch(c);
	c->d->n_logins++;
	imap_parse_signed_in(&c->parse);
	struct log_line l;
	log_begin(&l, LOG_LVL_INFO, "login");
	log_str(&l, "peer", io_peer(c->io));
	log_str(&l, "user", c->login);
	log_str(&l, "account", c->account);
	log_str(&l, "tls", c->tls && io_tls(c->io) != NULL ? tls_version(io_tls(c->io)) : NULL);
	log_end(&l);
	struct buf b;
	buf_init(&b, 4096);
	client_capabilities(c, &b);
	cmd_ok(m, "[CAPABILITY %s] Signed in", buf_cstr(&b));
	buf_done(&b);
}

/* What the person ought to see while the mail client works still. */
static void
warn_of_password(struct client *c, const struct lookup_login *l)
{
	int64_t days = (l->password_until - (int64_t)time(NULL)) / 86400;

	if (l->is_grace)
		client_printf(c,
		    "* OK [ALERT] Mat khau da het han, con dang nhap duoc %u lan: hay doi ngay / "
		    "The "
		    "password has expired, %u logins are left: change it now\r\n",
		    l->grace_left, l->grace_left);
	else if (l->password_until != 0)
		client_printf(c,
		    "* OK [ALERT] Mat khau het han sau %lld ngay / The password expires in %lld "
		    "days\r\n",
		    (long long)(days < 0 ? 0 : days), (long long)(days < 0 ? 0 : days));
}

void
client_signed_in(struct cmd *m, struct lookup_login *l)
{
	struct client *c = m->c;
	warn_of_password(c, l);
	free(c->login);
	free(c->account);
	c->login = xstrdup(l->login);
	c->account = xstrdup(l->account);
	buf_reset(&c->ticket);
	buf_append_slice(&c->ticket, l->ticket);
	lookup_login_free(l);
	c->store = c->ticket.err ? NULL
				 : store_session_new(c->d->store, buf_slice(&c->ticket),
				       on_store_ready, on_store_event, on_store_lost, c);
	if (c->store == NULL)
		cmd_err(m, ERR_TEMP);
}
