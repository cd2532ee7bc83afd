/* cmd_starttls.c: STARTTLS. Runs in smtpd-session. Nothing the client said before survives: its buffered input is thrown away
 * by io_start_tls, its greeting and transaction here. RFC 3207 4.2, 6. */
#include "config.h"

#include "smtpd/session_priv.h"

#include <stdlib.h>

void
cmd_starttls(struct client *c, struct slice args)
{
	if (args.len > 0) {
		reply(c, 501, "5.5.4", "STARTTLS has no parameters");
		return;
	}
	if (c->tls_done) {
		reply(c, 503, "5.5.1", "TLS is in use already");
		return;
	}
	if (smtpd.tls == NULL) {
		reply(c, 454, "4.7.0", "TLS is not available now");
		return;
	}
	reply(c, 220, "2.0.0", "Ready to start TLS");
	auth_reset(c);
	txn_reset(c);
	milters_free(c->milters);
	c->milters = NULL;
	free(c->helo);
	c->helo = NULL;
	c->esmtp = false;
	if (io_start_tls(
		c->io, client_is_submission(c) ? smtpd.tls_submission : smtpd.tls, true, NULL) != 0)
		client_close(c);
	else
		pace_handshake(c->pace);
}
