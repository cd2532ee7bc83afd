/* cmd_authenticate.c: AUTHENTICATE. Runs in imapd-session. RFC 3501 6.2.2, RFC 4959 (SASL-IR). */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/auth.h"
#include "imapd/session.h"
#include "lib/mime.h"

void
cmd_authenticate(struct cmd *m)
{
	struct slice mech, initial = {NULL, 0};
	const char *offered = NULL;
	bool has_initial = false;
	if (!imap_cur_sp(&m->args) || !imap_cur_atom(&m->args, &mech)) {
		cmd_syntax(m);
		return;
	}
	if (!imap_cur_end(&m->args)) {
		has_initial = imap_cur_sp(&m->args) && !imap_cur_end(&m->args);
		initial = m->args.rest;
		if (!has_initial) {
			cmd_syntax(m);
			return;
		}
	}
	for (size_t i = 0; m->c->d->mechs[i] != NULL; i++)
		if (slice_caseeq_str(mech, m->c->d->mechs[i]))
			offered = m->c->d->mechs[i];
	bool is_external = slice_caseeq_str(mech, "EXTERNAL");
	if (is_external && auth_has_cert(m->c))
		offered = "EXTERNAL";
	if (!m->c->secure) {
		cmd_no(m, "[PRIVACYREQUIRED] Start TLS first");
		return;
	}
	if (offered == NULL && is_external && m->c->d->asks_cert) {
		cmd_no(m, "[AUTHENTICATIONFAILED] No certificate to sign in with");
		return;
	}
	if (offered == NULL) {
		cmd_no(m, "[CANNOT] Mechanism not offered");
		return;
	}
	struct buf raw;
	buf_init(&raw, AUTH_LINE_MAX);
	/* RFC 4959: "=" is an initial response of no octets */
	bool good =
	    !has_initial || slice_eq_str(initial, "=") || b64_decode(initial, true, &raw) == 0;
	if (good)
		auth_start(m, offered, has_initial, buf_slice(&raw));
	else
		cmd_bad(m, "The initial response is not base64");
	buf_wipe(&raw);
}
