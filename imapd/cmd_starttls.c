/* cmd_starttls.c: STARTTLS. Runs in imapd-session. RFC 3501 6.2.1, RFC 2595. What was sent before TLS is thrown away, in io_start_tls and here. */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/session.h"

void
cmd_starttls(struct cmd *m)
{
	struct client *c = m->c;
	if (!imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	if (c->tls || c->d->tls == NULL) {
		cmd_bad(m, c->tls ? "TLS is active already" : "TLS is not available");
		return;
	}
	/* The answer leaves in plain text: it is queued before io_start_tls. */
	client_printf(c, "%.*s OK Begin TLS now\r\n", (int)m->tag.len, (const char *)m->tag.ptr);
	io_discard_input(c->io);
	if (io_start_tls(c->io, c->d->tls, true, NULL) != 0) {
		client_close(c, "no_tls");
		return;
	}
	c->tls = c->secure = true;
	cmd_drop(m);
}
