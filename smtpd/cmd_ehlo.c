/* cmd_ehlo.c: HELO and EHLO: who the client says it is, and what this port can do now. Runs in smtpd-session. RFC 5321 4.1.1.1,
 * RFC 1870, 2034, 2920, 3030, 3207, 3461, 4954, 6152, 6531, 9422. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/log.h"

#include <stdlib.h>

/* A new greeting starts anew: transaction, and the milters' idea of the client. */
static bool
greet(struct client *c, struct slice args, bool esmtp)
{
	if (args.len == 0 || args.len > 255) {
		reply(c, 501, "5.5.4", "A host name or address is needed");
		return false;
	}
	txn_reset(c);
	milters_free(c->milters);
	c->milters = NULL;
	free(c->helo);
	c->helo = slice_dup(args);
	if (c->helo == NULL)
		fatal("no memory");
	c->esmtp = esmtp;
	return true;
}

void
cmd_helo(struct client *c, struct slice args)
{
	if (greet(c, args, false))
		reply(c, 250, NULL, "%s", smtpd.hostname);
}

void
cmd_ehlo(struct client *c, struct slice args)
{
	struct buf b;

	if (!greet(c, args, true))
		return;
	buf_init(&b, 4096);
	buf_appendf(&b, "250-%s\r\n250-PIPELINING\r\n250-SIZE %llu\r\n250-8BITMIME\r\n",
	    smtpd.hostname, (unsigned long long)smtpd.size_max);
	buf_append_str(&b, "250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n");
	if (c->port == PORT_JUDGE)
		buf_append_str(&b, "250-XCVJUDGE\r\n");
	else if (!c->tls_done && smtpd.tls != NULL)
		buf_append_str(&b, "250-STARTTLS\r\n");
	if (client_is_submission(c) && c->tls_done && c->login == NULL)
		buf_appendf(
		    &b, "250-AUTH %s%s\r\n", auth_has_cert(c) ? "EXTERNAL " : "", smtpd.mechs);
	/* RFC 9422 4: what a client may count on without trying */
	buf_appendf(&b, "250-CHUNKING\r\n250-LIMITS RCPTMAX=%zu\r\n250 DSN\r\n", smtpd.rcpts_max);
	(void)io_write(c->io, b.data, b.len);
	buf_done(&b);
}
