/* cmd_mail.c: MAIL: a transaction begins. Runs in smtpd-session. On submission the sender must be one of the addresses that lookup
 * gave with the login (rule P28). The queue's delivery id comes first, so that the milters can name the message. RFC 5321 4.1.1.2. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>

enum { TXN_ARENA = 16 << 20 };

static bool
may_send_as(const struct client *c, struct slice from)
{
	/* <> is for receipts and replies by machines */
	if (!client_is_submission(c) || c->port == PORT_JUDGE || from.len == 0)
		return true;
	return client_may_send_as(c, from, NULL);
}

static void
refuse_parse(struct client *c, int r)
{
	switch (r) {
	case ERR_RANGE:
		reply(c, 501, "5.1.7", "The sender's address cannot be read");
		break;
	case ERR_UNSUPPORTED:
		reply(c, 555, "5.5.4", "A parameter is not known");
		break;
	case ERR_NOMEM:
		reply(c, 451, "4.3.0", "No memory");
		break;
	default:
		reply(c, 501, "5.5.4", "Syntax: MAIL FROM:<address> parameters");
		break;
	}
}

static void
fill_env(struct client *c, struct txn *t)
{
	struct tls *tls = io_tls(c->io);
	const char **args = arena_calloc(t->arena, 4, sizeof(*args));
	size_t n = 0;

	t->env = (struct milter_env){.hostname = smtpd.hostname,
	    .daemon_name = client_is_submission(c) ? "submission" : "mx",
	    .client_ip = c->ip,
	    .client_port = c->peer_port,
	    .helo = c->helo,
	    .tls_version = tls != NULL ? tls_version(tls) : NULL,
	    .tls_cipher = tls != NULL ? tls_cipher(tls) : NULL,
	    .tls_bits = tls != NULL ? tls_cipher_bits(tls) : 0,
	    .auth_type = c->login != NULL ? c->mech : NULL,
	    .auth_authen = c->login != NULL ? c->login->login : NULL,
	    .release = t->release,
	    .qid = t->qid,
	    .mail_from = t->from};
	if (args == NULL)
		return;
	if (t->mail.size > 0)
		args[n++] = arena_printf(t->arena, "SIZE=%llu", (unsigned long long)t->mail.size);
	if (t->mail.body_8bit)
		args[n++] = "BODY=8BITMIME";
	if (t->mail.smtputf8)
		args[n++] = "SMTPUTF8";
	t->env.mail_args = args;
	t->env.n_mail_args = n;
}

static void
on_milters(void *arg, const struct milter_verdict *v)
{
	struct client *c = arg;

	if (v->kind == MILTER_REJECT || v->kind == MILTER_TEMPFAIL) {
		unsigned code = v->code != 0 ? v->code : v->kind == MILTER_REJECT ? 550 : 451;
		reply_text(c, code, v->text,
		    code >= 500 ? "5.7.1 Refused by policy" : "4.7.1 Try again later");
		txn_reset(c);
	} else {
		c->t->at_milters = true;
		reply(c, 250, "2.1.0", "Ok");
	}
	client_done(c);
}

static void
on_open(void *arg, int err, const struct delivery_id *id)
{
	struct client *c = arg;

	c->call = NULL;
	if (err != 0) {
		if (err == ERR_FULL)
			reply(c, 452, "4.3.1", "No room for the message now");
		else
			reply(c, 451, "4.3.0", "The queue cannot be asked now");
		log_msg(LOG_LVL_WARN, "queue_open", "%s", err_name(err));
		txn_reset(c);
		client_done(c);
		return;
	}
	c->t->id = *id;
	delivery_id_qid(id, c->t->qid);
	fill_env(c, c->t);
	if (c->milters == NULL)
		c->milters = milters_new(smtpd.milters, smtpd.n_milters,
		    client_is_submission(c) ? MILTER_PORT_SUBMISSION : MILTER_PORT_MX);
	/* from here on they must be told when it is given up */
	c->t->at_milters = true;
	milters_run(c->milters, MILTERS_MAIL, &c->t->env, NULL, NULL, on_milters, c);
}

void
cmd_mail(struct client *c, struct slice args)
{
	struct smtp_mail mail;
	struct txn *t;

	if (c->t != NULL) {
		reply(c, 503, "5.5.1", "A transaction is open already");
		return;
	}
	t = xcalloc(1, sizeof(*t));
	t->arena = arena_new(TXN_ARENA);
	t->began_ms = loop_now_ms(smtpd.loop);
	buf_init(&t->chunk, 131072);
	c->t = t;
	int r = t->arena == NULL ? ERR_NOMEM
				 : smtp_mail_parse(args, client_is_submission(c), t->arena, &mail);
	if (r == 0)
		r = judge_mail(c, &mail);
	if (r == 0 && (t->from = arena_slicedup(t->arena, mail.from)) == NULL)
		r = ERR_NOMEM;
	if (r != 0) {
		txn_reset(c);
		refuse_parse(c, r);
		return;
	}
	t->mail = mail;
	if (refuse_utf8(c, mail.from)) {
		txn_reset(c);
		return;
	}
	if (mail.size > smtpd.size_max) {
		reply(c, 552, "5.3.4", "The message is larger than %llu octets",
		    (unsigned long long)smtpd.size_max);
		txn_reset(c);
		return;
	}
	if (!may_send_as(c, mail.from)) {
		refuse_sender(c);
		return;
	}
	c->busy = true;
	if (c->port == PORT_JUDGE) {
		struct delivery_id id;
		judge_id(t, &id);
		on_open(c, 0, &id);
		return;
	}
	c->call = queue_open(smtpd.queue, mail.size, on_open, c);
	if (c->call == NULL)
		on_open(c, ERR_TEMP, NULL);
}
