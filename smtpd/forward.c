/* forward.c: recipients that forward their mail: lookup has followed the way (directory/people_route.c), here it becomes further recipients
 * of the same message. Runs in smtpd-session. Invariants: the message's bytes are not touched, our trace fields stand before
 * them; a message that has our mark of somebody is not forwarded for that person again, and stays in the mailbox; who keeps a copy causes no
 * report to the sender when the forward fails. RFC 5321 3.9, RFC 3461 5.2. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <string.h>
#include <strings.h>

#define MARK_FIELD "X-Congvu-Forward"
enum {
	SALT_OCTETS = 8,
	MAC_OCTETS = 12,
	MARK_LEN = 2 * (SALT_OCTETS + MAC_OCTETS),
	ENVELOPE_OCTETS_MAX =
	    256 * 1024 /* of all recipients: the header has its place in the same frame */
};

int
forward_note(struct txn *t, struct rcpt *r, const struct lookup_route *route)
{
	struct hop *hops = arena_calloc(t->arena, route->n_hops + 1, sizeof(*hops));
	const struct lookup_reply *x = route->reply;

	if (hops == NULL)
		return ERR_NOMEM;
	r->hops = hops;
	r->keep = route->keep;
	for (size_t i = 0; i < route->n_hops; i++) {
		const struct lookup_hop *h = &route->hops[i];
		if (h->remote && !relay_routes_has(smtpd.routes, h->to, false)) {
			r->keep = true;
			continue;
		}
		hops[r->n_hops] =
		    (struct hop){arena_strdup(t->arena, h->to), arena_strdup(t->arena, h->by),
			arena_slice(t->arena, slice_of(h->secret, sizeof(h->secret))), h->remote};
		if (hops[r->n_hops].to == NULL || hops[r->n_hops].by == NULL ||
		    hops[r->n_hops].secret.ptr == NULL)
			return ERR_NOMEM;
		r->n_hops++;
	}
	if (x == NULL)
		return 0;
	struct autoreply_rule *rule = arena_calloc(t->arena, 1, sizeof(*rule));
	const char **own = arena_calloc(t->arena, x->n_addresses + 1, sizeof(*own));
	if (rule == NULL || own == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < x->n_addresses; i++)
		if ((own[i] = arena_strdup(t->arena, x->addresses[i])) == NULL)
			return ERR_NOMEM;
	*rule = (struct autoreply_rule){.account = arena_strdup(t->arena, x->account),
	    .address = arena_strdup(t->arena, x->address),
	    .name = arena_strdup(t->arena, x->name),
	    .subject = arena_strdup(t->arena, x->subject),
	    .text = arena_strdup(t->arena, x->text),
	    .days = x->days,
	    .addresses = own,
	    .n_addresses = x->n_addresses};
	if (rule->account == NULL || rule->address == NULL || rule->name == NULL ||
	    rule->subject == NULL || rule->text == NULL)
		return ERR_NOMEM;
	r->reply = rule;
	return 0;
}

/* Names nobody, and nobody can try names against it, since it stands in the copies of all recipients (of those of Bcc too): random octets,
 * and their HMAC under the secret that lookup has for who forwards. */
static void
mark_of(struct slice secret, const unsigned char salt[SALT_OCTETS], char out[MARK_LEN + 1])
{
	unsigned char mac[32];

	hmac_sha256(secret, slice_of(salt, SALT_OCTETS), mac);
	hex_encode(salt, SALT_OCTETS, out);
	hex_encode(mac, MAC_OCTETS, out + 2 * SALT_OCTETS);
}

static bool
came_back(const struct msg *m, const struct hop *h)
{
	unsigned char salt[SALT_OCTETS];
	char mark[MARK_LEN + 1];
	const struct msg_field *f;

	for (size_t i = 0; (f = msg_find(m, MARK_FIELD, i)) != NULL; i++) {
		struct slice v = slice_trim(f->value);

		if (v.len != MARK_LEN ||
		    hex_decode(slice_sub(v, 0, 2 * (size_t)SALT_OCTETS), salt, sizeof(salt)) != 0)
			continue;
		mark_of(h->secret, salt, mark);
		if (slice_caseeq_str(v, mark))
			return true;
	}
	return false;
}

static bool
is_rcpt(const struct rcpt *list, size_t n, const struct hop *h)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].kind != RCPT_FORWARDED &&
		    (h->remote ? strcmp(list[i].address, h->to) == 0
			       : strcasecmp(list[i].address, h->to) == 0))
			return true;
	return false;
}

/* The forwards of list[i], behind its *n recipients. */
static void
expand_one(const struct txn *t, const struct msg *m, struct rcpt *list, size_t i, size_t *n)
{
	struct rcpt *r = &list[i];
	size_t reached = 0;
	bool keep = r->keep;

	for (size_t k = 0; k < r->n_hops; k++) {
		const struct hop *h = &r->hops[k];
		if (came_back(m, h)) {
			log_msg(LOG_LVL_WARN, "forward_loop", "%s %s", t->qid, h->by);
			keep = true;
			continue;
		}
		reached++;
		if (is_rcpt(list, *n, h))
			continue;
		list[(*n)++] = (struct rcpt){.address = h->to,
		    .kind = h->remote || relay_routes_has(smtpd.routes, h->to, true) ? RCPT_REMOTE
										     : RCPT_LOCAL,
		    .notify = keep ? SMTP_NOTIFY_NEVER : r->notify,
		    .orcpt = r->orcpt,
		    .outcome = "",
		    .detail = "",
		    .keep = true,
		    .by = h->by,
		    .by_secret = h->secret};
	}
	if (!keep && reached > 0)
		r->kind = RCPT_FORWARDED;
}

/* In an envelope (envelope_put), with an answer of usual length. */
static size_t
rcpt_octets(const char *address, const struct rcpt *r)
{
	return strlen(address) + strlen(r->orcpt) + 64;
}

int
forward_expand(struct txn *t, const struct msg *m)
{
	size_t named = t->n_rcpts, hops = 0, n = named, octets = 0;
	struct rcpt *list;

	for (size_t i = 0; i < named; i++) {
		const struct rcpt *r = &t->rcpts[i];

		hops += r->n_hops;
		octets += rcpt_octets(r->address, r);
		for (size_t k = 0; k < r->n_hops; k++)
			octets += rcpt_octets(r->hops[k].to, r);
	}
	if (hops == 0)
		return 0;
	/* more would not fit the messages to queue and ledger: the mail stays where it was sent to */
	if (named + hops > RCPTS_MAX || octets > ENVELOPE_OCTETS_MAX) {
		log_msg(LOG_LVL_WARN, "forward_left_out", "%s %zu forwards", t->qid, hops);
		return 0;
	}
	list = arena_calloc(t->arena, named + hops, sizeof(*list));
	if (list == NULL)
		return ERR_NOMEM;
	memcpy(list, t->rcpts, named * sizeof(*list));
	/* who is named and forwards without a copy may also be who somebody forwards to: those first */
	for (size_t i = 0; i < named; i++)
		expand_one(t, m, list, i, &n);
	t->rcpts = list;
	t->n_rcpts = n;
	return 0;
}

void
forward_trace(const struct txn *t, struct buf *out)
{
	unsigned char salt[SALT_OCTETS];
	char mark[MARK_LEN + 1];

	for (size_t i = 0; i < t->n_rcpts; i++) {
		size_t k = 0;

		if (t->rcpts[i].by == NULL)
			continue;
		while (t->rcpts[k].by == NULL || strcmp(t->rcpts[k].by, t->rcpts[i].by) != 0)
			k++;
		if (k < i)
			continue; /* once for each that forwards */
		random_bytes(salt, sizeof(salt));
		mark_of(t->rcpts[i].by_secret, salt, mark);
		buf_appendf(out, MARK_FIELD ": %s\r\n", mark);
	}
}

void
forward_log(const struct txn *t)
{
	struct log_line l;

	for (size_t i = 0; i < t->n_rcpts; i++) {
		const struct rcpt *r = &t->rcpts[i];
		if (r->by == NULL || r->kind != RCPT_REMOTE)
			continue;
		log_begin(&l, LOG_LVL_INFO, "forwarded_outside");
		log_str(&l, "qid", t->qid);
		log_str(&l, "by", r->by);
		log_str(&l, "to", r->address);
		log_end(&l);
	}
}
