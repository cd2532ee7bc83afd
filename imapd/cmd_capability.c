/* cmd_capability.c: CAPABILITY, NOOP, CHECK and LOGOUT. Runs in imapd-session. RFC 3501 6.1, 6.4.1. */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/session.h"

void
cmd_capability(struct cmd *m)
{
	struct buf b;
	if (!imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	buf_init(&b, 4096);
	client_capabilities(m->c, &b);
	client_printf(m->c, "* CAPABILITY %s\r\n", buf_cstr(&b));
	buf_done(&b);
	cmd_ok(m, "These are the capabilities");
}

void
cmd_noop(struct cmd *m)
{
	if (!imap_cur_end(&m->args))
		cmd_syntax(m);
	else
		cmd_ok(m, "Nothing done");
}

/* RFC 3501 6.4.1: everything is durable already; the news come as for NOOP. */
void
cmd_check(struct cmd *m)
{
	if (!imap_cur_end(&m->args))
		cmd_syntax(m);
	else
		cmd_ok(m, "Checked");
}

void
cmd_logout(struct cmd *m)
{
	struct client *c = m->c;
	if (!imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	client_printf(c, "* BYE Signing off\r\n%.*s OK Signed off\r\n", (int)m->tag.len,
	    (const char *)m->tag.ptr);
	client_close(c, "logout");
}
