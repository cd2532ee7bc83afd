/* cmd_data.c: DATA and BDAT: the message begins. Runs in smtpd-session. The octets of a BDAT are read in any case, so that they are never
 * taken for commands. RFC 5321 4.1.1.4, RFC 3030 2. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/err.h"
#include "lib/log.h"

static bool
has_recipients(struct client *c)
{
	if (c->t->n_rcpts > 0)
		return true;
	if (c->t->refused_rcpt)
		reply(c, 554, "5.5.1", "No valid recipients");
	else
		reply(c, 503, "5.5.1", "RCPT first");
	return false;
}

static void
on_milters_data(void *arg, const struct milter_verdict *v)
{
	struct client *c = arg;

	if (v->kind == MILTER_REJECT || v->kind == MILTER_TEMPFAIL) {
		unsigned code = v->code != 0 ? v->code : v->kind == MILTER_REJECT ? 550 : 451;
		reply_text(c, code, v->text,
		    code >= 500 ? "5.7.1 Refused by policy" : "4.7.1 Try again later");
		txn_reset(c);
	} else {
		data_begin(c, true);
		c->t->in_data = true;
		reply(c, 354, NULL, "End data with <CR><LF>.<CR><LF>");
	}
	client_done(c);
}

void
cmd_data(struct client *c, struct slice args)
{
	if (args.len > 0) {
		reply(c, 501, "5.5.4", "DATA has no parameters");
		return;
	}
	if (c->t->bdat_begun) {
		reply(c, 503, "5.5.1", "The message has begun with BDAT");
		return;
	}
	if (!has_recipients(c))
		return;
	c->busy = true;
	milters_run(c->milters, MILTERS_DATA, &c->t->env, NULL, NULL, on_milters_data, c);
}

static void
on_milters_bdat(void *arg, const struct milter_verdict *v)
{
	struct client *c = arg;
	struct txn *t = c->t;

	data_begin(c, false);
	t->bdat_begun = t->in_bdat = true;
	if (v->kind == MILTER_REJECT || v->kind == MILTER_TEMPFAIL) {
		t->refuse_code = v->code != 0 ? v->code : v->kind == MILTER_REJECT ? 550 : 451;
		t->refuse_text = xstrdup(v->text == NULL ? "" : v->text);
	}
	client_done(c);
}

void
cmd_bdat(struct client *c, struct slice args)
{
	uint64_t size = 0;
	bool last = false;

	if (smtp_bdat_parse(args, &size, &last) != 0) {
		/* where the next command begins is unknown */
		reply(c, 501, "5.5.4", "Syntax: BDAT size LAST");
		client_close(c);
		return;
	}
	if (c->t == NULL || c->t->n_rcpts == 0) {
		c->skip_left = size;
		if (c->t == NULL)
			reply(c, 503, "5.5.1", "MAIL first");
		else
			(void)has_recipients(c);
		return;
	}
	c->t->bdat_left = size;
	c->t->bdat_last = last;
	if (c->t->bdat_begun) {
		c->t->in_bdat = true;
		return;
	}
	c->busy = true;
	milters_run(c->milters, MILTERS_DATA, &c->t->env, NULL, NULL, on_milters_bdat, c);
}
