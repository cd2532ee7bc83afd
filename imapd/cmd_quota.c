/* cmd_quota.c: GETQUOTA and GETQUOTAROOT. Runs in imapd-session. RFC 9208. Each account has one quota root, named as its INBOX is: "INBOX" for the own
 * account, "Other Users/x" for a share. Limits are the site's: there is no SETQUOTA (QUOTASET). */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/mbox_name.h"
#include "imapd/session.h"
#include "lib/err.h"

struct quota {
	struct slice name; /* as the client sees it */
	struct slice root;
	bool of_mailbox; /* GETQUOTAROOT */
};

static void
on_quota(void *arg, int err, const struct store_quota *q)
{
	struct cmd *m = arg;
	struct quota *st = m->state;
	bool utf8 = client_utf8(m->c);
	struct buf b;
	if (err) {
		cmd_err(m, err);
		return;
	}
	buf_init(&b, 65536);
	if (st->of_mailbox) {
		buf_append_str(&b, "* QUOTAROOT ");
		mbox_name_out(st->name, utf8, &b);
		buf_append_byte(&b, ' ');
		mbox_name_out(st->root, utf8, &b);
		buf_append_str(&b, "\r\n");
	}
	buf_append_str(&b, "* QUOTA ");
	mbox_name_out(st->root, utf8, &b);
	/* RFC 9208 5.1: STORAGE counts units of 1,024 octets */
	buf_appendf(&b, " (STORAGE %llu %llu", (unsigned long long)(q->octets + 1023) / 1024,
	    (unsigned long long)q->octets_max / 1024);
	if (q->messages_max > 0)
		buf_appendf(&b, " MESSAGE %llu %llu", (unsigned long long)q->messages,
		    (unsigned long long)q->messages_max);
	buf_append_str(&b, ")\r\n");
	client_write(m->c, buf_slice(&b));
	buf_done(&b);
	cmd_ok(m, "Done");
}

static void
quota_found(struct cmd *m, int err, const struct mbox *b)
{
	struct quota *st = m->state;
	if (err == 0 && !mbox_has_right(b, 'r'))
		err = ERR_DENIED;
	if (err == 0) {
		st->root =
		    mbox_name_full(m->c->d->other_prefix, b->share, slice_str("INBOX"), m->a);
		if (!st->of_mailbox && !slice_eq_str(b->name, "INBOX"))
			err = ERR_NOTFOUND; /* a mailbox, but no quota root */
	}
	if (err == 0)
		err = store_quota(m->c->store, b->account, on_quota, m);
	if (err)
		cmd_err(m, err);
}

static void
run_quota(struct cmd *m, bool of_mailbox)
{
	struct quota *st = arena_alloc(m->a, sizeof(*st));
	if (st == NULL || !cmd_mailbox_arg(m, &st->name) || !imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	st->of_mailbox = of_mailbox;
	m->state = st;
	mbox_find(m, st->name, quota_found);
}

void
cmd_getquota(struct cmd *m)
{
	run_quota(m, false);
}

void
cmd_getquotaroot(struct cmd *m)
{
	run_quota(m, true);
}
