/* cmd_close.c: CLOSE and UNSELECT. Runs in imapd-session. RFC 3501 6.4.2, RFC 3691. */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/session.h"

static void
on_expunged(void *arg, int err, uint64_t highest, const uint32_t *uids, size_t n)
{
	struct cmd *m = arg;
	(void)highest;
	(void)uids;
	(void)n;
	client_unselect(m->c);
	if (err)
		cmd_err(m, err);
	else
		cmd_ok(m, "Closed");
}

void
cmd_close(struct cmd *m)
{
	struct selected *s = m->c->sel;
	if (!imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	bool may = !s->read_only && slice_index(buf_slice(&s->rights), 'e') >= 0;
	if (may && store_expunge(m->c->store, s->mailbox, NULL, 0, true, on_expunged, m) == 0)
		return;
	client_unselect(m->c);
	cmd_ok(m, "Closed");
}

void
cmd_unselect(struct cmd *m)
{
	if (!imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	client_unselect(m->c);
	cmd_ok(m, "Unselected");
}
