/* cmd_id.c: ID. Runs in imapd-session. RFC 2971. What the client says is logged, and nothing depends on it. */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/session.h"
#include "lib/log.h"

#define PAIRS_MAX 30 /* RFC 2971 3.3 */

/* "NIL" or "(" field value … ")". */
static bool
read_params(struct cmd *m, struct log_line *l)
{
	struct imap_cur *cur = &m->args;
	struct slice key, value;
	if (!imap_cur_sp(cur))
		return false;
	if (!imap_cur_char(cur, '('))
		return imap_cur_nstring(cur, m->a, &key) && key.ptr == NULL;
	if (imap_cur_char(cur, ')'))
		return true;
	for (unsigned n = 0; n < PAIRS_MAX; n++) {
		if (!imap_cur_string(cur, m->a, &key) || !imap_cur_sp(cur) ||
		    !imap_cur_nstring(cur, m->a, &value) || key.len > 30 || value.len > 1024)
			return false;
		if (slice_caseeq_str(key, "name"))
			log_slice(l, "name", value);
		if (slice_caseeq_str(key, "version"))
			log_slice(l, "version", value);
		if (imap_cur_char(cur, ')'))
			return true;
		if (!imap_cur_sp(cur))
			return false;
	}
	return false;
}

void
cmd_id(struct cmd *m)
{
	struct log_line l;
	log_begin(&l, LOG_LVL_INFO, "client_id");
	log_str(&l, "peer", io_peer(m->c->io));
	log_str(&l, "user", m->c->login);
	if (!read_params(m, &l) || !imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	log_end(&l);
	client_printf(m->c, "* ID (\"name\" \"Congvu\")\r\n");
	cmd_ok(m, "Pleased to meet you");
}
