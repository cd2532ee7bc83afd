/* relay_result.c: what became of a leased message's recipients, for the queue, the log and the audit log. Runs in relay. Invariant: log and audit log hear of each
 * end once, with what the queue is told. RFC 3464. */
#include "config.h"

#include "smtpd/relay_priv.h"

#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"
#include "milter/ledger_client.h"

#include <stdio.h>
#include <string.h>

enum { LEDGER_MS = 5000 };

static void
log_rcpt(const struct relay_work *w, const struct lmtp_rcpt *x)
{
	struct log_line l;
	char qid[QID_LEN + 1];

	delivery_id_qid(&w->entry.id, qid);
	log_begin(&l, x->result == LMTP_DELIVERED ? LOG_LVL_INFO : LOG_LVL_WARN, "relay");
	log_str(&l, "qid", qid);
	log_str(&l, "to", x->address);
	log_u64(&l, "code", x->code);
	log_str(&l, "host", x->mta);
	log_str(&l, "text", x->text);
	log_u64(&l, "attempt", w->entry.attempt + 1);
	log_end(&l);
}

static enum queue_result
result_of(const struct relay_work *w, const struct lmtp_rcpt *x, uint32_t i)
{
	bool smtp = w->dests[i] == NULL || w->dests[i]->route->way != RELAY_LMTP;

	switch (x->result) {
	case LMTP_DELIVERED:
		return !smtp || relay_work_is_watch(w) ? QUEUE_DELIVERED
		       : x->dsn_passed                 ? QUEUE_RELAYED
						       : QUEUE_PASSED;
	case LMTP_REFUSED:
		return QUEUE_REFUSED;
	default:
		return QUEUE_RETRY;
	}
}

/* "550 5.1.1 Text", as the server said it; what it did not say has no code. */
static const char *
why_of(const struct relay_work *w, const struct lmtp_rcpt *x)
{
	const char *why =
	    x->code == 0 ? x->text : arena_printf(w->arena, "%u %s", x->code, x->text);

	return why == NULL ? x->text : why;
}

static void
on_recorded(void *arg, int err, uint64_t seq)
{
	(void)arg, (void)seq;
	/* this log has each result with its queue id all the same; a site without our milter has no audit log */
	if (err != 0)
		log_msg(LOG_LVL_DEBUG, "delivery_not_recorded", "%s", err_name(err));
}

/* The next server is another's store, which keeps no copies of what was sent: the mail itself went out, so nobody is told of that. */
static bool
keeps_no_copy(const struct relay_work *w, const struct lmtp_rcpt *x)
{
	return (w->entry.env.flags & ENV_SENT) && x->code == 0 &&
	       strcmp(x->text, LMTP_NO_SENT) == 0;
}

/* What an end is called in the audit log. */
static const char *
end_name(const struct relay_work *w, const struct lmtp_rcpt *x)
{
	if (relay_work_is_watch(w))
		return x->result == LMTP_REFUSED ? "unread" : x->code == 0 ? "unknown" : "read";
	return keeps_no_copy(w, x)                ? "none"
	       : x->result != LMTP_DELIVERED      ? "refused"
	       : (w->entry.env.flags & ENV_JUDGE) ? "judged"
	       : (w->entry.env.flags & ENV_SENT)  ? "filed"
						  : "delivered";
}

/* The audit log hears what became of recipients for good: congvu trace. */
static void
record(const struct relay_work *w, const struct ledger_rcpt *rcpts, size_t n)
{
	char qid[QID_LEN + 1];

	delivery_id_qid(&w->entry.id, qid);
	/* what watches a mail speaks of that one */
	if (relay_work_is_watch(w))
		snprintf(qid, sizeof(qid), "%.*s", QID_LEN, w->entry.env.envid);
	struct ledger_outcome o = {.qid = qid,
	    .enhanced = "",
	    .text = "",
	    .from = w->entry.env.from,
	    .login = w->entry.env.login,
	    .client_ip = w->entry.env.client_ip,
	    .later = true,
	    .rcpts = rcpts,
	    .n_rcpts = n};
	int err = n == 0 ? 0 : ledger_outcome(relay.ledger, &o, LEDGER_MS, on_recorded, NULL, NULL);
	if (err != 0)
		on_recorded(NULL, err, 0);
}

/* P32: security and syslog hear of an urgent document that nobody opened in time, beside the mail to its sender (queue_watch.c). */
static void
alert_unread(const struct relay_work *w, const struct ledger_rcpt *rcpts, size_t n)
{
	char qid[QID_LEN + 1];

	snprintf(qid, sizeof(qid), "%.*s", QID_LEN, w->entry.env.envid);
	for (size_t i = 0; relay_work_is_watch(w) && i < n; i++) {
		struct ledger_alert a = {.rule = "P32",
		    .qid = qid,
		    .login = w->entry.env.login,
		    .client_ip = w->entry.env.client_ip,
		    .address = rcpts[i].address};

		if (strcmp(rcpts[i].result, "unread") == 0 &&
		    ledger_alert(relay.ledger, &a, LEDGER_MS, on_recorded, NULL, NULL) != 0)
			on_recorded(NULL, ERR_TEMP, 0);
	}
}

uint32_t
relay_result_collect(struct relay_work *w, struct queue_rcpt_result *res, bool last)
{
	struct ledger_rcpt *ends = arena_calloc(w->arena, w->n + 1, sizeof(*ends));
	uint32_t n = 0, n_ends = 0;

	for (uint32_t i = 0; i < w->n; i++) {
		struct lmtp_rcpt *x = &w->rcpts[i];
		if (x->result == LMTP_REFUSED && keeps_no_copy(w, x))
			x->result = LMTP_DELIVERED;
		bool is_end = x->result == LMTP_DELIVERED || x->result == LMTP_REFUSED;
		if (x->result == 0 || (!last && (w->told[i] || !is_end)) ||
		    w->at[i] == RELAY_SETTLED)
			continue;
		if (!w->told[i]) {
			log_rcpt(w, x);
			relay.deliveries += x->result == LMTP_DELIVERED;
			relay.failures += x->result != LMTP_DELIVERED;
			if (is_end && ends != NULL)
				ends[n_ends++] =
				    (struct ledger_rcpt){x->address, end_name(w, x), why_of(w, x)};
		}
		w->told[i] = true;
		res[n++] = (struct queue_rcpt_result){.index = w->at[i],
		    .result = result_of(w, x, i),
		    .why = why_of(w, x),
		    .mta = x->mta};
	}
	record(w, ends, n_ends);
	alert_unread(w, ends, n_ends);
	role_stat_set(0, relay.deliveries);
	role_stat_set(1, relay.failures);
	return n;
}

bool
relay_result_is_new(const struct relay_work *w)
{
	for (uint32_t i = 0; i < w->n; i++)
		if (!w->told[i] &&
		    (w->rcpts[i].result == LMTP_DELIVERED || w->rcpts[i].result == LMTP_REFUSED))
			return true;
	return false;
}
