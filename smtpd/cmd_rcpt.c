/* cmd_rcpt.c: RCPT: lookup says whose the address is, the milters whether it may be. Runs in smtpd-session. A directory that is down
 * is a temporary error, never "no such user", never an open door. RFC 5321 4.1.1.3, RFC 3461 4. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

enum {
	LOOKUP_MS = 10000,
	PROBE_MS = 2000,
	PROBES_MAX = 50, /* recipients of a message that the store is asked about beforehand */
};

static void
refuse_parse(struct client *c, int r)
{
	switch (r) {
	case ERR_RANGE:
		reply(c, 501, "5.1.3", "The recipient's address cannot be read");
		break;
	case ERR_UNSUPPORTED:
		reply(c, 555, "5.5.4", "A parameter is not known");
		break;
	case ERR_NOMEM:
		reply(c, 452, "4.3.0", "No memory");
		break;
	default:
		reply(c, 501, "5.5.4", "Syntax: RCPT TO:<address> parameters");
		break;
	}
}

static void
on_milters(void *arg, const struct milter_verdict *v)
{
	struct client *c = arg;

	if (v->kind == MILTER_REJECT || v->kind == MILTER_TEMPFAIL) {
		unsigned code = v->code != 0 ? v->code : v->kind == MILTER_REJECT ? 550 : 451;
		c->t->n_rcpts--;
		c->t->refused_rcpt = true;
		reply_text(c, code, v->text,
		    code >= 500 ? "5.7.1 Refused by policy" : "4.7.1 Try again later");
	} else {
		reply(c, 250, "2.1.5", "Ok");
	}
	client_done(c);
}

static void
refuse(struct client *c, unsigned code, const char *enhanced, const char *text)
{
	const char *address = c->t->rcpts[--c->t->n_rcpts].address;

	c->t->refused_rcpt = true;
	reply(c, code, enhanced, "<%s>: %s", address, text);
	client_done(c);
}

static void
ask_milters(struct client *c)
{
	const struct rcpt *r = &c->t->rcpts[c->t->n_rcpts - 1];

	milters_run(c->milters, MILTERS_RCPT, &c->t->env, r->address, NULL, on_milters, c);
}

/* The store refuses, or says that the mailbox is full: told now. What it cannot say now the queue will see to. */
static void
on_probe(void *arg)
{
	struct client *c = arg;
	const struct lmtp_rcpt *x = &c->probe_rcpt;
	bool full = x->code == 452 && slice_starts(slice_str(x->text), "4.2.2");

	c->probe = NULL;
	if (x->result == LMTP_REFUSED || full) {
		c->t->n_rcpts--;
		c->t->refused_rcpt = true;
		reply_text(c, full ? 452 : 550, x->text, "Refused");
		client_done(c);
		return;
	}
	ask_milters(c);
}

static void
take_route(struct client *c, const struct lookup_route *found)
{
	struct rcpt *r = &c->t->rcpts[c->t->n_rcpts - 1];

	if (!found->may_send) {
		refuse(c, 550, "5.7.1",
		    "Bạn không được gửi tới nhóm này / You may not send to this group");
		return;
	}
	if (forward_note(c->t, r, found) != 0) {
		refuse(c, 452, "4.3.0", "No memory");
		return;
	}
	switch (found->kind) {
	case LOOKUP_RCPT_LOCAL:
		/* the directory knows the recipient, but the mailbox is with another store */
		r->kind =
		    relay_routes_has(smtpd.routes, r->address, true) ? RCPT_REMOTE : RCPT_LOCAL;
		break;
	case LOOKUP_RCPT_REMOTE:
		r->kind = RCPT_REMOTE;
		/* what comes by judge.sock was taken for this recipient before */
		if (!client_is_submission(c) && c->port != PORT_JUDGE) {
			refuse(c, 550, "5.7.1",
			    "Cổng này chỉ nhận thư đến; cán bộ gửi qua cổng 587 hoặc 465 / Relay "
			    "denied: "
			    "staff sign in at 587 or 465");
			return;
		}
		if (!relay_routes_has(smtpd.routes, r->address, false)) {
			refuse(c, 550, "5.7.1",
			    "Không gửi ra ngoài / No mail to other domains from here");
			return;
		}
		break;
	default:
		refuse(c, 550, "5.1.1", "Không có người nhận này / No such recipient");
		return;
	}
	/* whose mailbox gets none needs no room in it; of a long list the store speaks once, when the message comes */
	if (r->kind == RCPT_REMOTE || !r->keep || c->t->n_rcpts > PROBES_MAX) {
		ask_milters(c);
		return;
	}
	c->probe_rcpt = (struct lmtp_rcpt){.address = r->address};
	c->probe = lmtp_probe(
	    smtpd.lmtp, c->t->from, c->t->mail.size, &c->probe_rcpt, PROBE_MS, on_probe, c);
}

static void
on_lookup(void *arg, int err, const struct lookup_route *found)
{
	struct ask *k = arg;
	struct client *c = k->c;

	free(k);
	if (c == NULL)
		return;
	c->ask = NULL;
	if (err != 0) {
		refuse(c, 451, "4.4.3",
		    "Danh bạ tạm thời không trả lời / The directory does not answer now");
		return;
	}
	route_memory_put(smtpd.routes_seen, slice_str(c->t->rcpts[c->t->n_rcpts - 1].address),
	    found, loop_now_ms(smtpd.loop));
	take_route(c, found);
}

static struct rcpt *
rcpt_add(struct txn *t)
{
	if (t->n_rcpts == t->rcpts_alloc) {
		size_t want = t->rcpts_alloc == 0 ? 4 : t->rcpts_alloc * 2;
		struct rcpt *p = arena_calloc(t->arena, want, sizeof(*p));
		if (p == NULL)
			return NULL;
		if (t->n_rcpts > 0)
			memcpy(p, t->rcpts, t->n_rcpts * sizeof(*p));
		t->rcpts = p;
		t->rcpts_alloc = want;
	}
	t->rcpts[t->n_rcpts] =
	    (struct rcpt){.orcpt = "", .outcome = "", .detail = "", .keep = true};
	return &t->rcpts[t->n_rcpts];
}

/* Our own local parts have no case; those of others may (RFC 5321 2.4), and both must get the mail. */
static bool
is_there(const struct txn *t, struct slice address)
{
	for (size_t i = 0; i < t->n_rcpts; i++) {
		const struct rcpt *r = &t->rcpts[i];
		if (slice_eq_str(address, r->address) ||
		    (r->kind == RCPT_LOCAL && slice_caseeq_str(address, r->address)))
			return true;
	}
	return false;
}

void
cmd_rcpt(struct client *c, struct slice args)
{
	struct txn *t = c->t;
	const struct lookup_route *known;
	struct smtp_rcpt p;

	if (t->bdat_begun) {
		reply(c, 503, "5.5.1", "The message has begun");
		return;
	}
	if (t->n_rcpts >= smtpd.rcpts_max) {
		reply(c, 452, "4.5.3", "Too many recipients");
		return;
	}
	int r = smtp_rcpt_parse(args, client_is_submission(c), t->arena, &p);
	if (r != 0) {
		t->refused_rcpt = true;
		refuse_parse(c, r);
		return;
	}
	if (refuse_utf8(c, p.to)) {
		t->refused_rcpt = true;
		return;
	}
	if (is_there(t, p.to)) {
		reply(c, 250, "2.1.5", "Ok, named before");
		return;
	}
	struct rcpt *x = rcpt_add(t);
	if (x != NULL) {
		bool bare = slice_index(p.to, '@') < 0;
		/* RFC 5321 4.5.1: "postmaster" alone */
		x->address = bare ? arena_printf(t->arena, "postmaster@%s", smtpd.first_domain)
				  : arena_slicedup(t->arena, p.to);
		x->notify = p.notify;
		x->orcpt = arena_slicedup(t->arena, p.orcpt);
	}
	if (x == NULL || x->address == NULL || x->orcpt == NULL) {
		refuse_parse(c, ERR_NOMEM);
		return;
	}
	t->n_rcpts++;
	c->busy = true;
	known = route_memory_get(smtpd.routes_seen, slice_str(x->address), loop_now_ms(smtpd.loop));
	if (known != NULL) {
		take_route(c, known);
		return;
	}
	c->ask = xcalloc(1, sizeof(*c->ask));
	c->ask->c = c;
	if (lookup_route(smtpd.lookup, slice_str(x->address), t->from, c->login != NULL, LOOKUP_MS,
		on_lookup, c->ask) != 0)
		on_lookup(c->ask, ERR_TEMP, NULL);
}
