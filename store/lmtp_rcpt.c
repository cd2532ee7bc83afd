/* lmtp_rcpt.c: recipients of an LMTP transaction: from address to mailboxes. Runs in ingest.
 *
 * lookup says which accounts an address means; stored says whether one that has just one has room. A directory or a store that is
 * down gives a temporary error, never "unknown". Replies go out in the order of the commands. A group leads to its members; who
 * is reached twice gets the message once. RFC 5321 4.1.1.3, RFC 3463. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/date.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/lmtp_priv.h"

enum {
	LOOKUP_TIMEOUT_MS = 15000,
	CHECK_TIMEOUT_MS = 10000,
	CHECK_ABOVE = 128 * 1024, /* octets that are not sent in vain to a full mailbox */
	SEEN_MAX = 1000,          /* mailboxes of a group that are asked whether it was read */
};

static const char busy[] = "451 4.3.0 cannot be found out now, try again later";

void
lmtp_rcpts_free(struct lmtp_session *s)
{
	for (size_t i = 0; i < s->n_rcpts; i++) {
		struct lmtp_rcpt *rc = s->rcpts[i];

		if (rc->check_call != 0)
			deliver_cancel(s->in->store, rc->check_call);
		if (rc->looking)
			rc->s = NULL; /* on_lookup frees it */
		else
			free(rc);
	}
	s->n_rcpts = s->n_replied = s->n_pending = s->n_accepted = 0;
}

void
lmtp_rcpt_flush(struct lmtp_session *s)
{
	while (s->n_replied < s->n_rcpts && s->rcpts[s->n_replied]->reply != NULL)
		lmtp_reply(s, s->rcpts[s->n_replied++]->reply);
}

/* The recipient's reply is known. */
static void
settle(struct lmtp_rcpt *rc, const char *reply)
{
	struct lmtp_session *s = rc->s;

	assert(rc->reply == NULL);
	rc->reply = reply;
	rc->accepted = reply[0] == '2';
	s->n_accepted += rc->accepted;
	s->n_pending--;
	lmtp_rcpt_flush(s);
	lmtp_process(s);
}

/* The index of its account among the targets, or that of the next one, with room made; -1 for none. */
static int64_t
add_target(struct lmtp_session *s, const struct lookup_target *t)
{
	struct slice account = slice_str(t->account);
	struct lmtp_target *grown;

	for (size_t i = 0; i < s->n_targets; i++)
		if (slice_eq(s->targets[i].account, account))
			return (int64_t)i;
	if (s->n_targets == LMTP_TARGETS_MAX)
		return -1;
	if (s->n_targets == s->cap_targets) {
		size_t cap = s->cap_targets == 0 ? 4 : s->cap_targets * 2;

		grown = arena_calloc(s->a, cap, sizeof(*grown));
		if (grown == NULL)
			return -1;
		if (s->n_targets > 0)
			memcpy(grown, s->targets, s->n_targets * sizeof(*grown));
		s->targets = grown;
		s->cap_targets = cap;
	}
	return (int64_t)s->n_targets;
}

/* Fills the target at index i, which add_target has just made. */
static bool
fill_target(struct lmtp_session *s, size_t i, const struct lookup_target *t, struct slice rcpt)
{
	struct lmtp_target *to = &s->targets[i];
	struct buf trace;
	int64_t now = (int64_t)time(NULL);
	bool ok;

	buf_init(&trace, DELIVER_TRACE_MAX);
	ok = lmtp_trace(s, rcpt, slice_str(t->address), now, date_local_zone(now), &trace) == 0;
	to->account = arena_slice(s->a, slice_str(t->account));
	to->trace = arena_slice(s->a, buf_slice(&trace));
	to->err = ERR_TEMP;
	ok = ok && to->account.ptr != NULL && to->trace.ptr != NULL;
	buf_done(&trace);
	return ok;
}

static bool
add_targets(struct lmtp_rcpt *rc, const struct lookup_rcpt *r)
{
	struct lmtp_session *s = rc->s;

	if (r->n_targets > LMTP_TARGETS_MAX)
		return false;
	rc->targets = arena_calloc(s->a, r->n_targets, sizeof(*rc->targets));
	if (rc->targets == NULL)
		return false;
	for (size_t i = 0; i < r->n_targets; i++) {
		int64_t at = add_target(s, &r->targets[i]);

		if (at < 0)
			return false;
		if ((size_t)at == s->n_targets) {
			if (!fill_target(s, (size_t)at, &r->targets[i], rc->address))
				return false;
			s->n_targets++;
		}
		rc->targets[rc->n_targets++] = (uint32_t)at;
	}
	return true;
}

static void
on_check(void *arg, int err)
{
	struct lmtp_rcpt *rc = (struct lmtp_rcpt *)arg;

	rc->check_call = 0;
	if (err == 0)
		settle(rc, "250 2.1.5 recipient ok");
	else if (err == ERR_FULL)
		settle(rc, "452 4.2.2 Hop thu da day / Mailbox full");
	else
		settle(rc, busy);
}

/* ---- XCVSEEN: was it read? ---- */

static void on_read_state(void *arg, int err);

/* Asks the next mailbox. NULL while it is asked; else what there is to say of all of them. */
static const char *
ask_read_state(struct lmtp_rcpt *rc)
{
	struct lmtp_session *s = rc->s;
	const char *reply;

	if (rc->asked < rc->n_targets && rc->asked < SEEN_MAX) {
		const struct lmtp_target *t = &s->targets[rc->targets[rc->asked++]];

		return deliver_read_state(s->in->store, t->account, s->mail.id, CHECK_TIMEOUT_MS,
			   on_read_state, rc, &rc->check_call) != 0
			   ? busy
			   : NULL;
	}
	if (rc->unread == 0)
		return "250 2.1.5 read";
	reply = rc->had == 1
		    ? "550 5.0.0 unread"
		    : arena_printf(s->a, "550 5.0.0 unread by %zu of %zu", rc->unread, rc->had);
	return reply == NULL ? busy : reply;
}

static void
on_read_state(void *arg, int err)
{
	struct lmtp_rcpt *rc = (struct lmtp_rcpt *)arg;
	const char *reply = NULL;

	rc->check_call = 0;
	/* who is in a group since then did not get it */
	if (err != 0 && err != ERR_AGAIN && err != ERR_NOTFOUND)
		reply = busy;
	rc->had += err != ERR_NOTFOUND;
	rc->unread += err == ERR_AGAIN;
	if (reply == NULL)
		reply = ask_read_state(rc);
	if (reply != NULL)
		settle(rc, reply);
}

/* What the directory said of a recipient: the reply, or NULL while stored is asked for its room. */
static const char *
judge(struct lmtp_rcpt *rc, const struct lookup_rcpt *r)
{
	struct lmtp_session *s = rc->s;

	if (r->kind == LOOKUP_RCPT_REMOTE)
		return "550 5.1.2 not a domain of this site";
	if (r->kind != LOOKUP_RCPT_LOCAL || r->n_targets == 0)
		return "550 5.1.1 no such recipient";
	if (s->mail.sent && r->n_targets > 1) /* nobody sends as a group */
		return "550 5.1.1 no mailbox of its own";
	if (!add_targets(rc, r))
		return "452 4.5.3 too many mailboxes, send them apart";
	if (s->mail.asks_seen)
		return ask_read_state(rc);
	if (r->n_targets > 1)
		return "250 2.1.5 recipients ok"; /* one full member is told at the end */
	/* Our own smtpd has asked before, by a transaction without a message; and the answer at the end is the one that counts. */
	if (s->mail.has_id && s->mail.size <= CHECK_ABOVE)
		return "250 2.1.5 recipient ok";
	return deliver_check(s->in->store, s->targets[rc->targets[0]].account, slice_of(NULL, 0), 0,
		   s->mail.size, CHECK_TIMEOUT_MS, on_check, rc, &rc->check_call) != 0
		   ? busy
		   : NULL;
}

static void
on_lookup(void *arg, int err, const struct lookup_rcpt *r)
{
	struct lmtp_rcpt *rc = (struct lmtp_rcpt *)arg;
	struct lmtp_session *s = rc->s;
	const char *reply;

	rc->looking = false;
	if (s == NULL) {
		free(rc);
		return;
	}
	reply = err != 0 ? busy : judge(rc, r);
	if (err == 0)
		rcpt_cache_put(s->in->rcpts, rc->address, r, loop_now_ms(s->in->loop));
	if (reply != NULL)
		settle(rc, reply);
}

static struct lmtp_rcpt *
new_rcpt(struct lmtp_session *s)
{
	struct lmtp_rcpt *rc = xcalloc(1, sizeof(*rc));

	if (s->n_rcpts == s->cap_rcpts) {
		s->cap_rcpts = s->cap_rcpts == 0 ? 8 : s->cap_rcpts * 2;
		s->rcpts = xrealloc(s->rcpts, s->cap_rcpts * sizeof(struct lmtp_rcpt *));
	}
	s->rcpts[s->n_rcpts++] = rc;
	rc->s = s;
	return rc;
}

void
lmtp_rcpt(struct lmtp_session *s, struct slice args)
{
	struct slice address = {0};
	const struct lookup_rcpt *known;
	struct lmtp_rcpt *rc;
	const char *bad = NULL;

	if (!s->in_mail)
		bad = "503 5.5.1 MAIL first";
	else if (s->n_rcpts >= s->in->rcpt_max)
		bad = "452 4.5.3 too many recipients";
	else
		bad = lmtp_rcpt_parse(args, s->mail.utf8, s->a, &address);
	if (bad != NULL && s->n_pending == 0) {
		lmtp_reply(s, bad);
		return;
	}
	/* A refused one too stands in line behind those being looked up. */
	rc = new_rcpt(s);
	if (bad != NULL) {
		rc->reply = bad;
		return;
	}
	rc->address = address;
	s->n_pending++;
	known = rcpt_cache_get(s->in->rcpts, address, loop_now_ms(s->in->loop));
	if (known != NULL) {
		bad = judge(rc, known);
	} else {
		rc->looking = true;
		if (lookup_rcpt(s->in->lookup, address, LOOKUP_TIMEOUT_MS, on_lookup, rc, NULL) !=
		    0) {
			rc->looking = false;
			bad = busy;
		}
	}
	/* not by settle(): who called us goes on with the next command */
	if (bad != NULL) {
		rc->reply = bad;
		rc->accepted = bad[0] == '2';
		s->n_accepted += rc->accepted;
		s->n_pending--;
		lmtp_rcpt_flush(s);
	}
}
