/* cmd_namespace.c: NAMESPACE. Runs in imapd-session. RFC 2342. Own mailboxes at the root; functional mailboxes below "Other Users". */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/mbox_name.h"
#include "imapd/session.h"

void
cmd_namespace(struct cmd *m)
{
	struct buf name;
	if (!imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	buf_init(&name, 1024);
	buf_append_str(&name, m->c->d->other_prefix);
	buf_append_byte(&name, '/');
	struct buf wire;
	buf_init(&wire, 4096);
	mbox_name_out(buf_slice(&name), client_utf8(m->c), &wire);
	client_printf(m->c, "* NAMESPACE ((\"\" \"/\")) ((%s \"/\")) NIL\r\n", buf_cstr(&wire));
	buf_done(&name);
	buf_done(&wire);
	cmd_ok(m, "These are the namespaces");
}
