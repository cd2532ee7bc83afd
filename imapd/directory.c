/* directory.c: what changes in the directory while somebody is signed in, as lookup tells it: rights that come and go reach the store with a new ticket, and who may
 * not sign in any more is told BYE, in IDLE as anywhere. Runs in imapd-session. RFC 3501 7.1.5, RFC 5530. */
#include "config.h"

#include "imapd/session.h"

#include "lib/log.h"

static void
on_ended(void *arg, enum lookup_ended why)
{
	struct client *c = arg;
	if (why == LOOKUP_ENDED_PERSON)
		client_bye(c,
		    "[CONTACTADMIN] This account may not sign in any more: ask your administrator",
		    "account_ended");
	else
		client_bye(c, "[EXPIRED] All sessions of this account were ended, sign in again",
		    why == LOOKUP_ENDED_EPOCH ? "epoch_raised" : "ticket_refused");
}

static void
on_changed(void *arg, struct lookup_login *l)
{
	struct client *c = arg;
	if (!c->closing) {
		buf_reset(&c->ticket);
		buf_append_slice(&c->ticket, l->ticket);
		if (c->store != NULL && c->ticket.err == 0)
			store_session_renew(c->store, buf_slice(&c->ticket));
		/* what is selected is opened anew, with the rights of now; in IDLE at once */
		if (c->sel != NULL && c->store != NULL) {
			c->sel->lost = c->sel->stale = true;
			if (c->cmd != NULL && c->cmd->on_event != NULL)
				c->cmd->on_event(c->cmd);
		}
	}
	lookup_login_free(l);
}

void
client_watch(struct client *c)
{
	static const struct lookup_watch_ops ops = {on_ended, on_changed};
	if (c->d->lookup != NULL)
		c->watch = lookup_watch_new(c->d->lookup, buf_slice(&c->ticket), &ops, c);
}
