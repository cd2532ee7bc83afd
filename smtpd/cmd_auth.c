/* cmd_auth.c: AUTH on the submission ports, under TLS only. Runs in smtpd-session. The exchange itself is lookup's: this file
 * carries base64 lines to it and challenges back. Passwords are wiped. A wrong one costs a second. RFC 4954, RFC 4422. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/client_cert.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"

#include <stdlib.h>
#include <string.h>

enum { FAIL_DELAY_MS = 1000, RESPONSE_MAX = 9000 };

void
auth_reset(struct client *c)
{
	lookup_auth_abort(c->auth);
	c->auth = NULL;
	lookup_login_free(c->auth_login);
	c->auth_login = NULL;
	c->auth_line = c->auth_final = false;
}

static void
signed_in(struct client *c, struct lookup_login *login)
{
	struct log_line l;

	c->login = login;
	client_watch(c);
	c->auth_line = c->auth_final = false;
	log_begin(&l, LOG_LVL_INFO, "login");
	log_str(&l, "login", login->login);
	log_str(&l, "mech", c->mech);
	log_str(&l, "client", c->ip);
	log_end(&l);
	if (login->is_grace)
		reply(c, 235, "2.7.0",
		    "Mật khẩu đã hết hạn, hãy đổi ngay / Authentication successful, but the "
		    "password "
		    "has expired: change it now (%u logins are left)",
		    login->grace_left);
	else
		reply(c, 235, "2.7.0", "Authentication successful");
	client_done(c);
}

static void
on_delay(void *arg)
{
	struct client *c = arg;

	if (c->auth_failures >= AUTH_TRIES) {
		reply(c, 421, "4.7.0", "%s Too many failed logins", smtpd.hostname);
		client_close(c);
		return;
	}
	reply(c, 535, "5.7.8",
	    "Sai tên đăng nhập hoặc mật khẩu / Authentication credentials invalid");
	client_done(c);
}

static void
failed(struct client *c, int err)
{
	struct log_line l;

	c->auth = NULL;
	c->auth_line = false;
	log_begin(&l, LOG_LVL_INFO, "login_failed");
	log_str(&l, "mech", c->mech);
	log_str(&l, "client", c->ip);
	log_err(&l, "err", err);
	log_end(&l);
	switch (err) {
	case ERR_AUTH:
	case ERR_NOTFOUND:
		c->auth_failures++;
		if (c->delay == NULL)
			c->delay = loop_timer_new(smtpd.loop, on_delay, c);
		loop_timer_set(c->delay, FAIL_DELAY_MS);
		return; /* busy until then */
	case ERR_LIMIT: /* not looked at, so not called wrong: a client keeps its password */
		c->auth_failures++;
		reply(c, 454, "4.7.0",
		    "Quá nhiều lần đăng nhập sai, hãy thử lại sau vài phút / Too many failed "
		    "logins, try again in some minutes");
		if (c->auth_failures >= AUTH_TRIES) {
			client_close(c);
			return;
		}
		break;
	case ERR_EXPIRED:
		reply(c, 535, "5.7.8",
		    "Mật khẩu đã hết hạn, hãy đổi mật khẩu mới / The password has expired: change "
		    "it");
		break;
	case ERR_MUST_CHANGE:
		reply(c, 535, "5.7.8",
		    "Mật khẩu lần đầu phải được đổi trước khi dùng / A first password must be "
		    "changed before use");
		break;
	case ERR_LOCKED: /* RFC 5248, X.7.13 */
		reply(c, 535, "5.7.13",
		    "Tài khoản bị khóa, hãy liên hệ đơn vị quản trị / The account is locked: see "
		    "your administrator");
		break;
	case ERR_DENIED:
		reply(c, 535, "5.7.8",
		    "Tài khoản không được phép gửi thư / This account may not send mail");
		break;
	case ERR_SYNTAX:
		reply(c, 501, "5.5.2", "The response cannot be read");
		break;
	case ERR_UNSUPPORTED:
		reply(c, 504, "5.5.4", "Mechanism not supported");
		break;
	default:
		reply(c, 454, "4.7.0",
		    "Tạm thời chưa đăng nhập được / Temporary authentication failure");
		break;
	}
	client_done(c);
}

/* 334 and the challenge; the next line is the response. */
static void
ask(struct client *c, struct slice challenge)
{
	struct buf b;

	buf_init(&b, 32768);
	buf_append_str(&b, "334 ");
	b64_encode(challenge, false, &b);
	buf_append_str(&b, "\r\n");
	if (c->io != NULL)
		(void)io_write(c->io, b.data, b.len);
	buf_wipe(&b);
	c->auth_line = true;
	client_done(c);
}

static void
on_auth(void *arg, enum lookup_auth_result res, int err, struct slice challenge,
    struct lookup_login *login)
{
	struct client *c = arg;

	switch (res) {
	case LOOKUP_AUTH_MORE:
		ask(c, challenge);
		break;
	case LOOKUP_AUTH_OK:
		c->auth = NULL;
		if (challenge.ptr == NULL) {
			signed_in(c, login);
			break;
		}
		/* RFC 4954 4: final data goes as a challenge, and the client answers with nothing */
		c->auth_login = login;
		c->auth_final = true;
		ask(c, challenge);
		break;
	default:
		failed(c, err);
		break;
	}
}

static bool
is_offered(const char *mechs, struct slice mech)
{
	while (*mechs != '\0') {
		const char *sp = mechs;
		while (*sp != '\0' && *sp != ' ')
			sp++;
		if (slice_caseeq(slice_of(mechs, (size_t)(sp - mechs)), mech))
			return true;
		mechs = *sp == '\0' ? sp : sp + 1;
	}
	return false;
}

bool
auth_has_cert(struct client *c)
{
	struct buf der;
	bool has;

	buf_init(&der, CLIENT_CERT_MAX);
	has = c->tls_done && tls_peer_cert(io_tls(c->io), &der) == 0;
	buf_done(&der);
	return has;
}

static void
start(struct client *c, bool has_initial, struct slice initial)
{
	unsigned char exporter[32];
	struct buf endpoint, cert;
	struct lookup_auth_params p = {.mech = c->mech,
	    .service = "smtp",
	    .client_ip = c->ip,
	    .tls = true,
	    .has_initial = has_initial,
	    .initial = initial};

	buf_init(&endpoint, 64);
	if (tls_binding_exporter(io_tls(c->io), exporter) == 0)
		p.binding_exporter = slice_of(exporter, sizeof(exporter));
	if (tls_binding_endpoint(io_tls(c->io), &endpoint) == 0)
		p.binding_endpoint = buf_slice(&endpoint);
	buf_init(&cert, CLIENT_CERT_MAX);
	if (strcmp(c->mech, "EXTERNAL") == 0 && tls_peer_cert(io_tls(c->io), &cert) == 0)
		p.peer_cert = buf_slice(&cert);
	c->busy = true;
	c->auth = lookup_auth_start(smtpd.lookup, &p, on_auth, c);
	buf_done(&endpoint);
	buf_done(&cert);
	if (c->auth == NULL)
		failed(c, ERR_TEMP);
}

void
cmd_auth(struct client *c, struct slice args)
{
	struct slice mech, initial;
	struct buf plain;

	if (!client_is_submission(c)) {
		reply(c, 503, "5.5.1", "No AUTH on this port");
		return;
	}
	if (c->login != NULL || c->t != NULL || !c->esmtp) {
		reply(c, 503, "5.5.1", c->login != NULL ? "Signed in already" : "Not now");
		return;
	}
	smtp_split(args, &mech, &initial);
	if (mech.len == 0) {
		reply(c, 501, "5.5.4", "A mechanism is needed");
		return;
	}
	if (slice_caseeq_str(mech, "EXTERNAL") && smtpd.tls_submission != smtpd.tls &&
	    !auth_has_cert(c)) {
		reply(c, 535, "5.7.8",
		    "Không có chứng thư nào được chấp nhận / No certificate to sign in with");
		return;
	}
	if (mech.len > 40 || (!is_offered(smtpd.mechs, mech) &&
				 !(slice_caseeq_str(mech, "EXTERNAL") && auth_has_cert(c)))) {
		reply(c, 504, "5.5.4", "Mechanism not supported");
		return;
	}
	free(c->mech);
	c->mech = slice_dup(mech);
	if (c->mech == NULL)
		fatal("no memory");
	for (char *p = c->mech; *p != '\0'; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 32);
	buf_init(&plain, RESPONSE_MAX);
	/* RFC 4954 4: "=" is an empty initial response */
	if (initial.len > 0 && !slice_eq_str(initial, "=") &&
	    b64_decode(initial, true, &plain) != 0)
		reply(c, 501, "5.5.2", "Not base64");
	else
		start(c, initial.len > 0, buf_slice(&plain));
	buf_wipe(&plain);
}

void
cmd_auth_line(struct client *c, struct slice line)
{
	struct buf plain;

	c->auth_line = false;
	if (slice_eq_str(line, "*")) {
		auth_reset(c);
		reply(c, 501, "5.7.0", "Authentication cancelled");
		return;
	}
	if (c->auth_final) {
		struct lookup_login *login = c->auth_login;
		c->auth_login = NULL;
		c->auth_final = false;
		if (line.len == 0) {
			signed_in(c, login);
			return;
		}
		lookup_login_free(login);
		reply(c, 501, "5.5.2", "An empty response is needed");
		return;
	}
	buf_init(&plain, RESPONSE_MAX);
	if (b64_decode(line, true, &plain) != 0) {
		auth_reset(c);
		reply(c, 501, "5.5.2", "Not base64");
	} else {
		c->busy = true;
		if (lookup_auth_step(c->auth, buf_slice(&plain)) != 0) {
			auth_reset(c);
			failed(c, ERR_TEMP);
		}
	}
	buf_wipe(&plain);
}
