/* cmd_misc.c: the small verbs: RSET, NOOP, VRFY, EXPN, HELP, QUIT. Runs in smtpd-session. RFC 5321 4.1.1.5 to 4.1.1.10. */
#include "config.h"

#include "smtpd/session_priv.h"

void
cmd_rset(struct client *c, struct slice args)
{
	(void)args;
	txn_reset(c);
	reply(c, 250, "2.0.0", "Ok");
}

void
cmd_noop(struct client *c, struct slice args)
{
	(void)args;
	reply(c, 250, "2.0.0", "Ok");
}

void
cmd_vrfy(struct client *c, struct slice args)
{
	(void)args;
	/* RFC 5321 7.3: whether an address is there is told at RCPT only */
	reply(c, 252, "2.5.0", "Try RCPT");
}

void
cmd_expn(struct client *c, struct slice args)
{
	(void)args;
	reply(c, 502, "5.5.1", "Not done here");
}

void
cmd_help(struct client *c, struct slice args)
{
	(void)args;
	reply(c, 214, "2.0.0", "See RFC 5321");
}

void
cmd_quit(struct client *c, struct slice args)
{
	(void)args;
	reply(c, 221, "2.0.0", "%s Bye", smtpd.hostname);
	client_close(c);
}
