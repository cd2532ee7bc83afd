/* cmd_expunge.c: EXPUNGE and UID EXPUNGE. Runs in imapd-session. RFC 3501 6.4.3, RFC 4315, RFC 7162 3.2.7. */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/qresync.h"
#include "imapd/session.h"
#include "lib/err.h"

/* The client knows all up to here: only after the look is it sure that nobody else's change stands before. */
static void
expunge_synced(struct client *c)
{
	cmd_ok(
	    c->cmd, "[HIGHESTMODSEQ %llu] Expunged", (unsigned long long)modseq_complete(c->sel));
}

static void
on_expunged(void *arg, int err, uint64_t highest, const uint32_t *uids, size_t n)
{
	struct cmd *m = arg;
	(void)highest;
	for (size_t i = 0; err == 0 && i < n; i++)
		view_expunge(&m->c->sel->view, uids[i]);
	if (err)
		cmd_err(m, err);
	else if (n > 0 && (m->c->enabled & ENABLED_QRESYNC))
		sync_run(m->c, true, true, expunge_synced);
	else
		cmd_ok(m, "Expunged");
}

void
cmd_expunge(struct cmd *m)
{
	struct selected *s = m->c->sel;
	struct seqset set = {0};
	uint32_t *uids = NULL;
	size_t n = 0;
	bool good = !m->uid || (imap_cur_sp(&m->args) && imap_cur_set(&m->args, m->a, &set));
	if (!good || !imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	if (s->read_only) {
		cmd_no(m, "[READ-ONLY] The mailbox is open for reading only");
		return;
	}
	int err = m->uid ? view_select(&s->view, &set, true, true, m->a, &uids, &n) : 0;
	if (err == 0 && m->uid && n == 0) {
		cmd_ok(m, "Nothing to expunge");
		return;
	}
	if (err == 0)
		err = store_expunge(m->c->store, s->mailbox, uids, n, true, on_expunged, m);
	if (err)
		cmd_err(m, err);
}
