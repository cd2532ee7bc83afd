/* cmd_enable.c: ENABLE. Runs in imapd-session. RFC 5161. No extension that needs enabling is offered yet: the answer is an empty ENABLED. */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/session.h"

void
cmd_enable(struct cmd *m)
{
	struct slice word;
	bool good = true;
	do {
		good = imap_cur_sp(&m->args) && imap_cur_atom(&m->args, &word);
	} while (good && !imap_cur_end(&m->args));
	if (!good) {
		cmd_syntax(m);
		return;
	}
	/* RFC 5161 3.1: unknown names are ignored; the response is sent even when nothing was enabled. */
	client_printf(m->c, "* ENABLED\r\n");
	cmd_ok(m, "Done");
}
