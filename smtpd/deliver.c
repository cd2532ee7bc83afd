/* deliver.c: what happens at the end of a message, in this order: milters judge it; the queue makes remote recipients durable; the store
 * takes local ones by LMTP; what it cannot take now goes to the queue; the ledger hears the outcome; the client its answer. Runs
 * in smtpd-session. Invariants: 250 means that every recipient's copy is committed in the store or in the queue; a
 * refusal means that nobody got it; the client's bytes go on unchanged behind our trace field, but for Sender and Bcc of what is
 * submitted (sender.c) and what milters change. DESIGN.md "The life of an official mail", step 5. RFC 5321 4.4, 6.1. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/addr.h"
#include "lib/date.h"
#include "lib/err.h"
#include "lib/hdr.h"
#include "lib/log.h"
#include "lib/role.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LEDGER_MS = 2000, BODY_MAX = 64 << 20 };

struct deliver {
	struct client *c;
	struct txn *t;
	struct msg msg;
	struct milter_changes ch;
	struct buf body;   /* from a milter that replaced it */
	struct buf header; /* trace, fields, empty line */
	struct slice content;
	const char *from; /* with the recipients: as the client named them, kept for sent */
	const struct rcpt *rcpts;
	size_t n_rcpts;
	struct lmtp_rcpt *local;
	size_t *local_at; /* index in t->rcpts */
	size_t n_local;
	struct lmtp_job *job;
	uint32_t ledger_call;
	bool ledger_asked;
	bool counted; /* in smtpd.delivering */
	bool waits;   /* to be judged anew (judge.c) */
	bool goes_out;
	bool urgent;   /* P32, by our milter's verdict (urgent.c) */
	bool too_many; /* it would be, but for urgent_per_hour */
	bool rated;    /* the queue counted it for urgent_per_hour */
	struct replies *replies;
	struct sent_copies *copies;
	struct sent_message sent; /* for them */
	bool
	    only_reports; /* nothing is left for the queue but to tell the sender (NOTIFY=SUCCESS) */
	unsigned code;
	const char *text; /* of the answer, with its enhanced code; in the arena or static */
};

void
deliver_free(struct deliver *d)
{
	if (d == NULL)
		return;
	lmtp_cancel(d->job);
	replies_free(d->replies);
	sent_copies_free(d->copies);
	if (d->ledger_asked)
		ledger_outcome_cancel(smtpd.ledger, d->ledger_call);
	smtpd.delivering -= d->counted;
	/* its client sends it again, or does not */
	if (d->rated && (d->code == 0 || d->code >= 300))
		queue_urgent_back(smtpd.queue, d->c->login->login);
	buf_done(&d->body);
	buf_done(&d->header);
	free(d);
}

/* ---- the answer ---- */

static void
log_message(struct deliver *d)
{
	struct client *c = d->c;
	struct txn *t = d->t;
	struct log_line l;

	log_begin(&l, LOG_LVL_INFO, "message");
	log_str(&l, "qid", t->qid);
	log_str(&l, "client", c->ip);
	log_str(&l, "login", c->login != NULL ? c->login->login : NULL);
	log_str(&l, "from", t->from);
	log_u64(&l, "nrcpt", t->n_rcpts);
	log_u64(&l, "size", spool_size(t->spool));
	log_u64(&l, "code", d->code);
	log_str(&l, "text", d->text);
	log_u64(&l, "ms", loop_now_ms(smtpd.loop) - t->began_ms);
	log_end(&l);
}

static void
answer(struct deliver *d)
{
	struct client *c = d->c;

	log_message(d);
	reply_text(c, d->code, d->text, "Ok");
	/* what is committed there is not given up by this: the queue knows its state */
	txn_reset(c);
	c->idle_commands = 0;
	if (c->io == NULL)
		client_release(c);
	else
		client_done(c);
}

static void
on_ledger(void *arg, int err, uint64_t seq)
{
	struct deliver *d = arg;

	(void)seq;
	d->ledger_asked = false;
	if (err != 0)
		log_msg(LOG_LVL_WARN, "outcome_not_recorded", "%s: %s", d->t->qid, err_name(err));
	answer(d);
}

static void
to_ledger(void *arg)
{
	struct deliver *d = arg;
	struct client *c = d->c;
	struct txn *t = d->t;
	unsigned code = d->code;
	const char *text = d->text;
	struct ledger_rcpt *r = arena_calloc(t->arena, t->n_rcpts + t->n_copies + 1, sizeof(*r));
	struct slice rest = slice_str(text);
	ptrdiff_t sp = slice_index(rest, ' ');

	d->replies = NULL;
	if (r == NULL) {
		answer(d);
		return;
	}
	for (size_t i = 0; i < t->n_rcpts; i++) {
		const char *usual = code >= 500                          ? "refused"
				    : code >= 400                        ? "deferred"
				    : t->rcpts[i].kind == RCPT_FORWARDED ? "forwarded"
									 : "delivered";
		const char *by = t->rcpts[i].by, *detail = t->rcpts[i].detail;
		if (by != NULL)
			detail = arena_printf(t->arena, "forwarded by %s%s%s", by,
			    detail[0] != '\0' ? ": " : "", detail);
		r[i].address = t->rcpts[i].address;
		r[i].result = t->rcpts[i].outcome[0] != '\0' ? t->rcpts[i].outcome : usual;
		r[i].detail = detail == NULL ? "" : detail;
	}
	for (size_t i = 0; i < t->n_copies; i++)
		r[t->n_rcpts + i] = t->copies[i];
	struct ledger_outcome o = {.qid = t->qid,
	    .code = code,
	    .from = t->from,
	    .client_ip = c->ip,
	    .login = c->login != NULL ? c->login->login : "",
	    .rcpts = r,
	    .n_rcpts = t->n_rcpts + t->n_copies,
	    .enhanced = sp > 0 ? arena_slicedup(t->arena, slice_sub(rest, 0, (size_t)sp)) : "",
	    .text = text};
	if (o.enhanced == NULL)
		o.enhanced = "";
	d->ledger_asked = true;
	if (ledger_outcome(smtpd.ledger, &o, LEDGER_MS, on_ledger, d, &d->ledger_call) != 0) {
		d->ledger_asked = false;
		on_ledger(d, ERR_TEMP, 0);
	}
}

/* Neither store nor queue took a copy for Sent. Relay brings all of it again: the store and the queue know what they have. A client would make a second mail
 * of it, and is told instead. */
static void
note_lost_copies(struct deliver *d)
{
	const struct txn *t = d->t;
	size_t i = 0;

	while (i < t->n_copies && strcmp(t->copies[i].result, "lost") != 0)
		i++;
	if (i == t->n_copies)
		return;
	if (d->c->port == PORT_JUDGE) {
		d->code = 451;
		d->text = "4.3.1 Its copy in Sent could not be kept; try again";
		return;
	}
	const char *p = arena_printf(t->arena,
	    "2.0.0 Khong luu duoc ban sao trong Sent / Its copy in Sent could not be kept, %s",
	    strncmp(d->text, "2.0.0 ", 6) == 0 ? d->text + 6 : d->text);
	if (p != NULL)
		d->text = p;
}

static void
to_replies(void *arg)
{
	struct deliver *d = arg;

	d->copies = NULL;
	note_lost_copies(d);
	if (d->code >= 300) {
		to_ledger(d);
		return;
	}
	replies_start(d->c, &d->msg, &d->replies, to_ledger, d);
}

static struct queue_message queue_message(struct deliver *d);
static uint32_t env_flags(const struct deliver *d);

static void
finish(struct deliver *d, unsigned code, const char *text)
{
	d->code = code;
	d->text = text;
	if (code >= 300 || d->ch.quarantine != NULL || d->waits) {
		to_ledger(d);
		return;
	}
	forward_log(d->t);
	if (!d->goes_out) {
		to_replies(d);
		return;
	}
	d->sent = (struct sent_message){.msg = &d->msg,
	    .sent = d->content,
	    .from = d->from,
	    .rcpts = d->rcpts,
	    .n_rcpts = d->n_rcpts,
	    .body = d->ch.body_replaced ? buf_slice(&d->body) : msg_body(&d->msg),
	    .queue = queue_message(d),
	    .env_flags = env_flags(d)};
	sent_copies_start(d->c, &d->sent, &d->copies, to_replies, d);
}

static const char *
text_with_id(struct deliver *d, const char *what)
{
	const char *p = arena_printf(d->t->arena, "2.0.0 %s%s %s",
	    d->too_many ? "Không ưu tiên, quá urgent_per_hour / Not before others (P32, "
			  "urgent_per_hour), "
			: "",
	    what, d->t->qid);

	return p == NULL ? "2.0.0 Ok" : p;
}

/* ---- the queue ---- */

static bool
has_utf8_address(const struct txn *t)
{
	for (size_t i = 0; i < t->n_rcpts; i++)
		if (!slice_is_ascii(slice_str(t->rcpts[i].address)))
			return true;
	return !slice_is_ascii(slice_str(t->from));
}

static uint32_t
env_flags(const struct deliver *d)
{
	uint32_t f = 0;

	/* what is in the message counts, not what was declared (INTEROP.md SMTP 3) */
	if (d->t->mail.body_8bit || d->t->data.eight_bit)
		f |= ENV_8BIT;
	if (d->t->mail.smtputf8 || d->t->data.header_eight_bit || has_utf8_address(d->t))
		f |= ENV_SMTPUTF8;
	if (d->ch.quarantine != NULL)
		f |= ENV_QUARANTINE;
	if (d->waits)
		f |= ENV_JUDGE;
	if (d->urgent)
		f |= ENV_URGENT;
	return f;
}

/* Fills the envelope with the recipients that want() has. */
static int
make_envelope(
    struct deliver *d, bool (*want)(const struct deliver *d, size_t i), struct envelope *e)
{
	struct txn *t = d->t;
	struct client *c = d->c;

	*e = (struct envelope){.from = t->from,
	    .client_ip = c->ip,
	    .flags = env_flags(d),
	    .login = c->login != NULL ? c->login->login : "",
	    .quarantine = d->ch.quarantine != NULL ? d->ch.quarantine : ""};
	e->ret = arena_slicedup(t->arena, t->mail.ret);
	e->envid = arena_slicedup(t->arena, t->mail.envid);
	e->rcpts = arena_calloc(t->arena, t->n_rcpts, sizeof(*e->rcpts));
	if (e->ret == NULL || e->envid == NULL || e->rcpts == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < t->n_rcpts; i++) {
		const struct rcpt *r = &t->rcpts[i];
		if (!want(d, i))
			continue;
		e->rcpts[e->n_rcpts++] = (struct envelope_rcpt){.address = r->address,
		    .state = r->kind,
		    .notify = r->notify,
		    .orcpt = r->orcpt,
		    .why = r->detail};
	}
	return 0;
}

/* What the queue keeps: our header in front of the client's body; a replaced body is inline. */
static struct queue_message
queue_message(struct deliver *d)
{
	if (d->ch.body_replaced)
		return (struct queue_message){.header = buf_slice(&d->header),
		    .skip = 0,
		    .content = buf_slice(&d->body),
		    .fd = -1};
	return (struct queue_message){.header = buf_slice(&d->header),
	    .skip = d->msg.skip,
	    .content = d->content,
	    .fd = spool_fd(d->t->spool)};
}

static bool
wants_queue(const struct deliver *d, size_t i)
{
	const struct rcpt *r = &d->t->rcpts[i];

	return r->kind != RCPT_FORWARDED &&
	       (strcmp(r->outcome, "delivered") != 0 || r->kind == RCPT_DELIVERED);
}

static bool
is_any(const struct deliver *d, size_t i)
{
	(void)d;
	(void)i;
	return true;
}

static bool
is_remote(const struct deliver *d, size_t i)
{
	return d->t->rcpts[i].kind == RCPT_REMOTE;
}

static void
on_commit(void *arg, int err)
{
	struct deliver *d = arg;
	struct txn *t = d->t;

	d->c->call = NULL;
	if (d->only_reports) {
		if (err != 0 && d->urgent)
			log_msg(
			    LOG_LVL_ERROR, "urgent_not_watched", "%s: %s", t->qid, err_name(err));
		finish(d, 250, text_with_id(d, "Delivered as"));
		return;
	}
	if (err != 0) {
		log_msg(LOG_LVL_ERROR, "queue_commit", "%s: %s", t->qid, err_name(err));
		/* it may have the message: who is told to try again must not find it doubled */
		/* (relay comes again with the same id: the COMMIT is then either new or a repeated one) */
		bool same = d->c->port == PORT_JUDGE;
		if (!same && (err == ERR_TIMEOUT || err == ERR_CLOSED || err == ERR_TEMP))
			queue_revoke(smtpd.queue, &t->id);
		finish(d, err == ERR_FULL ? 452 : 451,
		    err == ERR_FULL ? "4.3.1 No room for the message now"
				    : "4.3.0 The message could not be queued; try again");
		return;
	}
	/* nothing is left for an abort */
	finish(d, 250,
	    text_with_id(
		d, d->waits ? "Đã nhận, gửi đi khi kiểm tra được chữ ký số / Taken, goes out when "
			      "its signature can be checked, as"
		   : d->ch.quarantine != NULL ? "Held for review as"
					      : "Queued as"));
}

static void
to_queue(struct deliver *d)
{
	struct txn *t = d->t;
	struct envelope e;
	struct queue_message m = queue_message(d);

	for (size_t i = 0; i < t->n_rcpts; i++)
		if (t->rcpts[i].outcome[0] == '\0' && t->rcpts[i].kind != RCPT_FORWARDED)
			t->rcpts[i].outcome = "queued";
	if (make_envelope(d, wants_queue, &e) == 0)
		d->c->call = queue_commit(smtpd.queue, &t->id, &e, &m, on_commit, d);
	if (d->c->call == NULL)
		on_commit(d, ERR_TEMP);
}

/* ---- the store ---- */

/* What LMTP said of each: true when something is left for the queue. */
static bool
note_results(struct deliver *d, size_t *delivered, size_t *refused)
{
	bool left = false;

	*delivered = *refused = 0;
	for (size_t i = 0; i < d->n_local; i++) {
		struct rcpt *r = &d->t->rcpts[d->local_at[i]];
		const char *text =
		    d->local[i].result != LMTP_REFUSED || d->local[i].code == 0
			? arena_strdup(d->t->arena, d->local[i].text)
			: arena_printf(d->t->arena, "%u %s", d->local[i].code, d->local[i].text);
		r->detail = text == NULL ? "" : text;
		switch (d->local[i].result) {
		case LMTP_DELIVERED:
			r->outcome = "delivered";
			/* the queue tells the sender of it, and watches whether an urgent document is read */
			if ((r->notify & SMTP_NOTIFY_SUCCESS) || d->urgent)
				r->kind = RCPT_DELIVERED;
			++*delivered;
			break;
		case LMTP_REFUSED:
			r->outcome = "refused";
			r->kind = RCPT_FAILED;
			++*refused;
			break;
		default:
			left = true;
			break;
		}
	}
	for (size_t i = 0; i < d->t->n_rcpts; i++)
		left |= d->t->rcpts[i].kind == RCPT_REMOTE;
	return left;
}

/* Nobody has it yet and somebody cannot have it: refuse the message and say whom for. */
static void
refuse_named(struct deliver *d)
{
	for (size_t i = 0; i < d->n_local; i++) {
		if (d->local[i].result != LMTP_REFUSED)
			continue;
		struct slice text = slice_str(d->local[i].text);
		ptrdiff_t sp = slice_index(text, ' ');
		bool has_code = sp > 0 && slice_starts(text, "5.");
		const char *p = arena_printf(d->t->arena, "%.*s <%s>: %s", has_code ? (int)sp : 5,
		    has_code ? d->local[i].text : "5.0.0", d->local[i].address,
		    has_code ? d->local[i].text + sp + 1 : d->local[i].text);
		finish(d, 550, p == NULL ? "5.0.0 Refused" : p);
		return;
	}
}

/* Whether somebody may have it although no answer says so. */
static bool
is_uncertain(const struct deliver *d)
{
	for (size_t i = 0; i < d->n_local; i++)
		if (d->local[i].result == LMTP_RETRY && d->local[i].sent)
			return true;
	return false;
}

/* RFC 3461 4.1: who asked is told of the delivery too. The mail itself is in the mailbox already. */
static bool
wants_reports(struct deliver *d)
{
	for (size_t i = 0; i < d->t->n_rcpts; i++)
		d->only_reports |= d->t->rcpts[i].kind == RCPT_DELIVERED;
	return d->only_reports;
}

static void
on_lmtp(void *arg)
{
	struct deliver *d = arg;
	size_t delivered, refused;

	d->job = NULL;
	bool left = note_results(d, &delivered, &refused);
	if (refused > 0 && delivered == 0 && !is_uncertain(d))
		refuse_named(d);
	else if (left || refused > 0)
		to_queue(d);
	else if (wants_reports(d))
		to_queue(d);
	else
		finish(d, 250, text_with_id(d, "Delivered as"));
}

static void
to_store(struct deliver *d)
{
	struct txn *t = d->t;
	char hex[2 * DELIVERY_ID_LEN + 1];

	d->local = arena_calloc(t->arena, t->n_rcpts, sizeof(*d->local));
	d->local_at = arena_calloc(t->arena, t->n_rcpts, sizeof(*d->local_at));
	if (d->local == NULL || d->local_at == NULL) {
		finish(d, 451, "4.3.0 No memory");
		return;
	}
	for (size_t i = 0; i < t->n_rcpts; i++) {
		if (t->rcpts[i].kind != RCPT_LOCAL)
			continue;
		d->local[d->n_local].address = t->rcpts[i].address;
		d->local_at[d->n_local++] = i;
	}
	if (d->n_local == 0 || lmtp_seems_down(smtpd.lmtp)) {
		to_queue(d);
		return;
	}
	delivery_id_hex(&t->id, hex);
	uint32_t flags = env_flags(d);
	struct lmtp_message m = {.from = t->from,
	    .id_hex = arena_strdup(t->arena, hex),
	    .eight_bit = flags & ENV_8BIT,
	    .smtputf8 = flags & ENV_SMTPUTF8,
	    .header = buf_slice(&d->header),
	    .body = d->ch.body_replaced ? buf_slice(&d->body) : msg_body(&d->msg),
	    .rcpts = d->local,
	    .n_rcpts = d->n_local};
	d->counted = true;
	smtpd.delivering++;
	d->job = lmtp_deliver(smtpd.lmtp, &m, on_lmtp, d);
}

static void
on_hold(void *arg, int err)
{
	struct deliver *d = arg;

	d->c->call = NULL;
	if (err != 0)
		finish(d, err == ERR_FULL ? 452 : 451,
		    "4.3.1 The message could not be queued; try again");
	else
		to_store(d);
}

/* Remote recipients are durable before the first local one gets it: a full disk later on can then not part them. */
static void
hold_remote(struct deliver *d)
{
	struct envelope e;
	struct queue_message m = queue_message(d);
	size_t local = 0, remote = 0;

	d->goes_out = true;
	for (size_t i = 0; i < d->t->n_rcpts; i++) {
		local += d->t->rcpts[i].kind == RCPT_LOCAL;
		remote += d->t->rcpts[i].kind == RCPT_REMOTE;
	}
	if (d->ch.quarantine != NULL || local == 0) {
		to_queue(d);
		return;
	}
	if (remote == 0) {
		to_store(d);
		return;
	}
	d->t->held = true;
	if (make_envelope(d, is_remote, &e) == 0)
		d->c->call = queue_hold(smtpd.queue, &d->t->id, &e, &m, on_hold, d);
	if (d->c->call == NULL)
		on_hold(d, ERR_TEMP);
}

/* ---- the header ---- */

/* RFC 5321 4.4. */
static void
append_received(const struct deliver *d, struct buf *b)
{
	const struct client *c = d->c;
	struct tls *tls = c->io != NULL ? io_tls(c->io) : NULL;
	int64_t now = (int64_t)time(NULL);

	buf_append_str(b, "Received: from ");
	append_clean(b, c->helo);
	buf_appendf(b, " ([%s%s])\r\n\tby %s with %s%s%s%s",
	    strchr(c->ip, ':') != NULL ? "IPv6:" : "", c->ip, smtpd.hostname,
	    d->t->mail.smtputf8 ? "UTF8" : "", c->esmtp ? "ESMTP" : "SMTP", c->tls_done ? "S" : "",
	    c->login != NULL ? "A" : "");
	if (tls != NULL)
		buf_appendf(b, " (%s)", tls_version(tls));
	buf_appendf(b, "\r\n\tid %s; ", d->t->qid);
	date_rfc5322_format(now, date_local_zone(now), b);
	buf_append_str(b, "\r\n");
}

static int
render(struct deliver *d)
{
	struct buf trace;

	buf_init(&trace, 65536);
	if (d->c->port != PORT_JUDGE) /* there it has its field from when it came */
		append_received(d, &trace);
	forward_trace(d->t, &trace);
	buf_reset(&d->header);
	int r = msg_render(&d->msg, buf_slice(&trace), &d->header);
	buf_done(&trace);
	return r;
}

/* ---- not yet ---- */

/* As it came, without what milters already changed: they all see it again. */
static void
wait_for_judgement(struct deliver *d, const char *why)
{
	struct txn *t = d->t;
	struct envelope e;

	for (size_t i = 0; i < t->n_rcpts; i++) {
		t->rcpts[i].outcome = "held";
		t->rcpts[i].detail = why;
	}
	d->waits = true;
	d->ch.body_replaced = false;
	if (msg_parse(&d->msg, d->content, t->arena) == 0 &&
	    submitted_header(d->c, &d->msg, t->arena) == 0 && render(d) == 0 &&
	    make_envelope(d, is_any, &e) == 0) {
		struct queue_message m = queue_message(d);
		d->c->call = queue_commit(smtpd.queue, &t->id, &e, &m, on_commit, d);
	}
	if (d->c->call == NULL)
		on_commit(d, ERR_TEMP);
}

/* ---- the milters ---- */

/* Recipients that milters added and removed, and their sender. */
static int
apply_envelope_changes(struct deliver *d)
{
	struct txn *t = d->t;
	struct milter_changes *ch = &d->ch;
	struct rcpt *list = arena_calloc(t->arena, t->n_rcpts + ch->n_add, sizeof(*list));
	size_t n = 0;

	if (list == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < t->n_rcpts; i++) {
		size_t k = 0;
		while (k < ch->n_del &&
		       !slice_caseeq_str(slice_str(ch->del_rcpt[k]), t->rcpts[i].address))
			k++;
		if (k == ch->n_del)
			list[n++] = t->rcpts[i];
	}
	for (size_t i = 0; i < ch->n_add; i++)
		list[n++] = (struct rcpt){.address = ch->add_rcpt[i],
		    .keep = true,
		    .orcpt = "",
		    .outcome = "",
		    .detail = "",
		    .kind = conf_is_our_address(role_conf(), ch->add_rcpt[i]) ? RCPT_LOCAL
									      : RCPT_REMOTE};
	t->rcpts = list;
	t->n_rcpts = n;
	if (ch->from != NULL)
		t->from = ch->from;
	return 0;
}

/* P28 and the rest of what a submitted message must be, whatever the milters say. False: it was refused. */
static bool
may_be_submitted(struct deliver *d)
{
	const char *foreign;

	if (client_is_submission(d->c) && msg_count(&d->msg, "From") == 0) {
		const char *text = arena_printf(d->t->arena,
		    "5.6.0 Thư phải có trường From / A submitted message has a From field [ticket "
		    "%s]",
		    d->t->qid);
		finish(d, 554, text == NULL ? "5.6.0" : text);
		return false;
	}
	if (client_is_submission(d->c) &&
	    (foreign = foreign_sender(d->c, &d->msg, d->t->arena)) != NULL) {
		const char *text = arena_printf(d->t->arena,
		    "5.7.1 P28: Không có quyền gửi thay địa chỉ này. / No right to send as this "
		    "address: From <%.250s> [ticket %s]",
		    foreign, d->t->qid);
		finish(d, 550, text == NULL ? "5.7.1 P28" : text);
		return false;
	}
	return true;
}

/* The refusal that security officers hear of at once: "5.7.1 P12 ...". */
static bool
is_alarm(const char *text)
{
	const char *sp = strchr(text, ' ');

	return conf_list_len(role_conf(), "alert_mail") > 0 && sp != NULL &&
	       strncmp(sp + 1, "P12 ", 4) == 0;
}

static void
on_alert(void *arg, int err)
{
	struct deliver *d = arg;

	d->c->call = NULL;
	if (err !=
	    0) /* the audit log has the verdict; who reads this log sees that nobody was told */
		log_msg(LOG_LVL_ERROR, "alert_not_sent", "%s: %s", d->t->qid, err_name(err));
	finish(d, d->code, d->text);
}

/* The officers' mail is durable before the sender hears the refusal. */
static void
alarm_officers(struct deliver *d, unsigned code, const char *text)
{
	const struct client *c = d->c;

	d->code = code;
	d->text = text;
	d->c->call = queue_alert(smtpd.queue, "P12", d->t->qid,
	    c->login != NULL ? c->login->login : "", c->ip, on_alert, d);
	if (d->c->call == NULL)
		on_alert(d, ERR_TEMP);
}

static void
on_urgent(void *arg, int err)
{
	struct deliver *d = arg;

	d->c->call = NULL;
	d->too_many = err == ERR_LIMIT;
	d->urgent = !d->too_many;
	d->rated = err == 0;
	if (d->too_many)
		log_msg(LOG_LVL_WARN, "urgent_too_many", "%s: %s", d->t->qid,
		    d->c->login != NULL ? d->c->login->login : "");
	else
		urgent_receipts(d->t);
	hold_remote(d);
}

static void
send_out(struct deliver *d)
{
	if (!d->urgent) {
		hold_remote(d);
		return;
	}
	d->c->call = queue_urgent(smtpd.queue, d->c->login->login, on_urgent, d);
	if (d->c->call == NULL)
		on_urgent(d, ERR_TEMP);
}

static void
on_milters(void *arg, const struct milter_verdict *v)
{
	struct deliver *d = arg;
	struct txn *t = d->t;

	if (judge_waits(d->c, v)) {
		const char *why = arena_strdup(t->arena, v->text);
		if (may_be_submitted(d))
			wait_for_judgement(d, why == NULL ? "" : why);
		return;
	}
	if (v->kind == MILTER_REJECT || v->kind == MILTER_TEMPFAIL) {
		unsigned code = v->code != 0 ? v->code : v->kind == MILTER_REJECT ? 550 : 451;
		const char *usual =
		    code >= 500 ? "5.7.1 Refused by policy" : "4.7.1 Try again later";
		const char *text =
		    v->text != NULL && v->text[0] != '\0' ? arena_strdup(t->arena, v->text) : usual;
		if (text != NULL && v->kind == MILTER_REJECT && is_alarm(text))
			alarm_officers(d, code, text);
		else
			finish(d, code, text == NULL ? usual : text);
		return;
	}
	if (v->kind == MILTER_DISCARD) {
		log_msg(LOG_LVL_WARN, "milter_discard", "%s", t->qid);
		for (size_t i = 0; i < t->n_rcpts; i++)
			t->rcpts[i].outcome = "discarded";
		finish(d, 250, text_with_id(d, "Taken as"));
		return;
	}
	if (!may_be_submitted(d))
		return;
	if (d->ch.quarantine != NULL && judge_is_released(t, d->ch.quarantine)) {
		log_msg(LOG_LVL_INFO, "released", "%s: %s", t->qid, d->ch.quarantine);
		d->ch.quarantine = NULL;
	}
	int err = apply_envelope_changes(d);
	d->urgent = err == 0 && d->ch.quarantine == NULL && urgent_judged(d->c, &d->msg);
	if (err != 0 || forward_expand(t, &d->msg) != 0 || render(d) != 0)
		finish(d, 451, "4.3.0 The message could not be prepared");
	else if (t->n_rcpts == 0)
		finish(d, 250, text_with_id(d, "Taken as"));
	else
		send_out(d);
}

void
deliver_start(struct client *c)
{
	struct txn *t = c->t;
	struct deliver *d = xcalloc(1, sizeof(*d));

	d->c = c;
	d->t = t;
	t->deliver = d;
	d->from = t->from;
	d->rcpts = t->rcpts;
	d->n_rcpts = t->n_rcpts;
	if (c->port == PORT_JUDGE)
		judge_id_end(t);
	buf_init(&d->body, BODY_MAX);
	buf_init(&d->header, 700000);
	if (spool_map(t->spool, &d->content) != 0) {
		finish(d, 451, "4.3.0 The message could not be read back");
		return;
	}
	int r = msg_parse(&d->msg, d->content, t->arena);
	if (r != 0) {
		finish(d, r == ERR_NOMEM ? 451 : 554,
		    r == ERR_NOMEM   ? "4.3.0 No memory"
		    : r == ERR_LIMIT ? "5.6.0 Too many header fields"
				     : "5.6.0 A header line is no field");
		return;
	}
	if (msg_count(&d->msg, "Received") > HOPS_MAX) {
		finish(d, 554, "5.4.6 Too many hops: the message goes round in circles");
		return;
	}
	if (submitted_header(c, &d->msg, t->arena) != 0) {
		finish(d, 451, "4.3.0 No memory");
		return;
	}
	size_t forged = msg_remove_results(&d->msg, smtpd.authserv_id);
	if (forged > 0)
		log_msg(LOG_LVL_INFO, "authentication_results_removed", "%s %zu", t->qid, forged);
	d->ch = (struct milter_changes){.arena = t->arena, .msg = &d->msg, .body = &d->body};
	milters_run(c->milters, MILTERS_MESSAGE, &t->env, NULL, &d->ch, on_milters, d);
}
