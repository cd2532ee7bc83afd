/* directory.c: what changes in the directory while somebody is signed in, as lookup tells it: who may not send any more is told 421, within a transaction too, and
 * what one may send as is what holds at the moment. A message whose end has come already is finished. Runs in smtpd-session. RFC 5321 3.8. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/addr.h"
#include "lib/log.h"

#include <time.h>

static void
on_ended(void *arg, enum lookup_ended why)
{
	struct client *c = arg;
	struct log_line l;

	c->ended =
	    why == LOOKUP_ENDED_PERSON
		? "Tài khoản không còn được phép đăng nhập / This account may not sign in any "
		  "more"
		: "Mọi phiên của tài khoản đã bị đóng / All sessions of this account were ended";
	log_begin(&l, LOG_LVL_INFO, "session_ended");
	log_str(&l, "login", c->login->login);
	log_str(&l, "client", c->ip);
	log_end(&l);
	if (!c->busy)
		client_bye(c, "4.7.0", c->ended);
}

static void
on_changed(void *arg, struct lookup_login *l)
{
	struct client *c = arg;
	struct lookup_login *now = c->login, old = *now;

	/* who it is stays, and what a transaction has of it */
	now->address = l->address;
	now->ticket = l->ticket;
	now->expires = l->expires;
	now->identities = l->identities;
	now->n_identities = l->n_identities;
	now->shares = l->shares;
	now->n_shares = l->n_shares;
	l->address = old.address;
	l->ticket = old.ticket;
	l->identities = old.identities;
	l->n_identities = old.n_identities;
	l->shares = old.shares;
	l->n_shares = old.n_shares;
	lookup_login_free(l);
}

void
client_watch(struct client *c)
{
	static const struct lookup_watch_ops ops = {on_ended, on_changed};

	c->watch = lookup_watch_new(smtpd.lookup, c->login->ticket, &ops, c);
}

bool
client_may_send_as(
    const struct client *c, struct slice address, const struct lookup_identity **id_out)
{
	int64_t now = (int64_t)time(NULL);

	for (size_t i = 0; i < c->login->n_identities; i++) {
		const struct lookup_identity *id = &c->login->identities[i];

		if (now >= id->from && (id->until == 0 || now < id->until) &&
		    addr_same(address, slice_str(id->address))) {
			if (id_out != NULL)
				*id_out = id;
			return true;
		}
	}
	return false;
}
