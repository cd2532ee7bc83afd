/* lmtp_deliver.c: from the end of a message's text to the replies. Runs in ingest.
 *
 * One stored body and one request for up to DELIVER_TARGETS_MAX mailboxes; more go in several requests under the same delivery
 * id. A recipient gets 250 only when every mailbox it leads to has the message on stable storage; else a temporary error: a
 * repetition under the same id adds no copy where it already is. RFC 2033 4.2, RFC 5321 4.4 (trace fields), RFC 3463. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/crypto.h"
#include "lib/date.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/lmtp_priv.h"

enum { DELIVER_TIMEOUT_MS = 60000, PAUSE_MIN_MS = 50, PAUSE_MAX_MS = 1000 };

/* Nothing that comes from outside (the directory included) can begin a line of its own. */
static void
put_clean(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		buf_append_byte(out, s.ptr[i] < 0x20 || s.ptr[i] == 0x7f ? '?' : s.ptr[i]);
}

int
lmtp_trace(const struct lmtp_session *s, struct slice rcpt, struct slice mailbox_address,
    int64_t now, int zone, struct buf *out)
{
	char id[33];

	hex_encode(s->mail.id, sizeof(s->mail.id), id);
	if (!s->mail.sent) { /* RFC 5321 4.4: those of a delivery */
		buf_append_str(out, "Return-Path: <");
		put_clean(out, s->mail.sender);
		buf_append_str(out, ">\r\nDelivered-To: ");
		put_clean(out, mailbox_address);
		buf_append_str(out, "\r\n");
	}
	buf_append_str(out, "Received: from ");
	put_clean(out, buf_slice(&s->client));
	buf_appendf(out, " by %s with %s\r\n\tid %s\r\n\tfor <", s->in->hostname,
	    s->mail.utf8 ? "UTF8LMTP" : "LMTP", id);
	put_clean(out, rcpt);
	buf_append_str(out, ">; ");
	date_rfc5322_format(now, zone, out);
	return buf_append_str(out, "\r\n");
}

static const char *
reply_for(int err)
{
	switch (err) {
	case 0:
		return "250 2.0.0 delivered";
	case ERR_FULL:
		return "452 4.2.2 Hop thu da day / Mailbox full";
	default:
		return "451 4.3.0 not delivered now, try again later";
	}
}

/* The worst that came of the mailboxes of a recipient. */
static int
outcome(const struct lmtp_session *s, const struct lmtp_rcpt *rc)
{
	int worst = 0;

	for (size_t i = 0; i < rc->n_targets; i++) {
		int err = s->targets[rc->targets[i]].err;

		if (err != 0 && (worst == 0 || worst == ERR_FULL))
			worst = err;
	}
	return worst;
}

static void
log_delivery(const struct lmtp_session *s, size_t ok, const char *refusal)
{
	struct log_line l;
	char id[33];

	hex_encode(s->mail.id, sizeof(s->mail.id), id);
	log_begin(&l, LOG_LVL_INFO, "delivery");
	log_str(&l, "id", id);
	log_slice(&l, "from", s->mail.sender);
	log_u64(&l, "size", s->has_msg ? s->msg.m.size : 0);
	log_u64(&l, "rcpts", s->n_accepted);
	if (s->mail.sent)
		log_str(&l, "as", "sent copy");
	log_u64(&l, "mailboxes", s->n_targets);
	log_u64(&l, "delivered", ok);
	if (refusal != NULL)
		log_str(&l, "refusal", refusal);
	log_u64(&l, "ms", loop_now_ms(s->in->loop) - s->started_ms);
	log_end(&l);
}

/* One reply for each accepted recipient: the same one, or each its own. */
static void
finish(struct lmtp_session *s, const char *all)
{
	size_t ok = 0;

	for (size_t i = 0; i < s->n_rcpts; i++) {
		const char *reply;

		if (!s->rcpts[i]->accepted)
			continue;
		reply = all != NULL ? all : reply_for(outcome(s, s->rcpts[i]));
		if (reply[0] == '2')
			ok++;
		else
			s->in->n_failed++;
		lmtp_reply(s, reply);
	}
	s->in->n_delivered += ok;
	log_delivery(s, ok, all);
	lmtp_reset(s);
}

static void on_delivered(void *arg, int err, const struct deliver_result *results, size_t n);
static void send_batch(struct lmtp_session *s);

/* Whether stored may still take it: it was away, or nobody knows what became of the request. */
static bool
is_open(const struct lmtp_target *t)
{
	return t->wanted && (t->err == ERR_TEMP || t->err == ERR_UNKNOWN);
}

static void
on_retry(void *arg)
{
	struct lmtp_session *s = (struct lmtp_session *)arg;

	s->next_target = 0;
	send_batch(s);
	lmtp_process(s);
}

/* All mailboxes were tried: again for those where it is open, under the same delivery id, or the end. So a stored that is
 * restarted costs a moment, and a client that knows no delivery ids does not send the message a second time. */
static void
pass_over(struct lmtp_session *s)
{
	bool again = false;

	for (size_t i = 0; i < s->n_targets; i++)
		again = again || is_open(&s->targets[i]);
	if (!again || loop_now_ms(s->in->loop) - s->deliver_ms >= s->in->retry_ms) {
		finish(s, NULL);
		return;
	}
	if (s->retry == NULL)
		s->retry = loop_timer_new(s->in->loop, on_retry, s);
	loop_timer_set(s->retry, s->pause_ms);
	s->pause_ms = s->pause_ms < PAUSE_MAX_MS / 2 ? s->pause_ms * 2 : PAUSE_MAX_MS;
}

/* The next request of this pass, if any. */
static void
send_batch(struct lmtp_session *s)
{
	struct deliver_target targets[DELIVER_TARGETS_MAX];
	int64_t now = (int64_t)time(NULL);

	s->n_batch = 0;
	for (; s->next_target < s->n_targets && s->n_batch < DELIVER_TARGETS_MAX;
	     s->next_target++) {
		const struct lmtp_target *t = &s->targets[s->next_target];

		if (!is_open(t))
			continue;
		targets[s->n_batch] = (struct deliver_target){
		    .account = t->account,
		    .mailbox = s->mail.sent ? s->mail.sender : slice_str("INBOX"),
		    .trace = t->trace,
		    .sent = s->mail.sent,
		    .internal_date = now,
		    .internal_zone = (int16_t)date_local_zone(now),
		};
		s->batch[s->n_batch++] = (uint32_t)s->next_target;
	}
	if (s->n_batch == 0 || deliver_send(s->in->store, &s->msg.m, targets, s->n_batch,
				   DELIVER_TIMEOUT_MS, on_delivered, s, &s->deliver_call) != 0) {
		s->deliver_call = 0;
		pass_over(s);
	}
}

static void
on_delivered(void *arg, int err, const struct deliver_result *results, size_t n)
{
	struct lmtp_session *s = (struct lmtp_session *)arg;

	s->deliver_call = 0;
	for (size_t i = 0; i < s->n_batch; i++)
		s->targets[s->batch[i]].err = i < n ? results[i].err : err;
	if (err != 0)
		pass_over(s); /* the rest would fare alike */
	else
		send_batch(s);
	lmtp_process(s);
}

/* Why no recipient can have this message; NULL when nothing is wrong. */
static const char *
refusal(const struct lmtp_session *s)
{
	if (s->data.bare)
		return "554 5.6.0 a CR or LF alone in the message";
	if (s->data.nul)
		return "554 5.6.0 NUL in the message";
	switch (s->body_err) {
	case 0:
		return NULL;
	case ERR_LIMIT:
		return "552 5.3.4 message too large";
	case ERR_FULL:
		return "452 4.3.1 no room for large messages now";
	default:
		return "451 4.3.0 not taken now, try again later";
	}
}

void
lmtp_deliver(struct lmtp_session *s)
{
	const char *no = refusal(s);

	s->phase = LMTP_DELIVER;
	if (no == NULL) {
		s->has_msg = true;
		if (ingest_message_init(&s->msg, &s->body, s->mail.id) != 0)
			no = "451 4.3.0 not taken now, try again later";
		else if (s->mail.sent)
			ingest_same(&s->msg, &s->body);
	}
	if (no != NULL) {
		finish(s, no);
		return;
	}
	for (size_t i = 0; i < s->n_rcpts; i++)
		for (size_t k = 0; s->rcpts[i]->accepted && k < s->rcpts[i]->n_targets; k++)
			s->targets[s->rcpts[i]->targets[k]].wanted = true;
	s->next_target = 0;
	s->deliver_ms = loop_now_ms(s->in->loop);
	s->pause_ms = PAUSE_MIN_MS;
	send_batch(s);
}
