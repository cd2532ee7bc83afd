/* cmd_login.c: LOGIN: SASL PLAIN in other words. Runs in imapd-session. RFC 3501 6.2.3. */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/auth.h"
#include "imapd/session.h"

void
cmd_login(struct cmd *m)
{
	struct slice user, pass;
	if (!imap_cur_sp(&m->args) || !imap_cur_astring(&m->args, m->a, &user) ||
	    !imap_cur_sp(&m->args) || !imap_cur_astring(&m->args, m->a, &pass) ||
	    !imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	if (!m->c->secure) {
		cmd_no(m, "[PRIVACYREQUIRED] Start TLS first");
		return;
	}
	struct buf plain; /* RFC 4616: no authorization identity */
	buf_init(&plain, 16384);
	buf_append_byte(&plain, 0);
	buf_append_slice(&plain, user);
	buf_append_byte(&plain, 0);
	buf_append_slice(&plain, pass);
	auth_start(m, "PLAIN", true, buf_slice(&plain));
	buf_wipe(&plain);
}
