/* queue_watch.c: urgent documents (P32): who has one and did not read it in urgent_unread_s, its sender and urgent_alert_mail are told. Runs in smtpd-queue.
 * Invariants: what watches a mail is written in the transaction that settles its delivery, so neither a crash nor a lost answer forgets it; it is a row of
 * the queue with a state of its own, which relay leases as it does messages and whose recipients it asks the store about; what comes of it stands once in
 * a notice (queue_notice.c), by the transaction that ends it. A store that cannot tell ends it without a notice, and the log says so. */
#include "config.h"

#include "smtpd/queue_priv.h"

#include "lib/conf.h"
#include "lib/err.h"
#include "lib/hdr.h"
#include "lib/log.h"
#include "lib/role.h"

#include <stdlib.h>
#include <string.h>

enum {
	FIELD_MAX = 4000,
	HEADER_MAX = 32768,
	AGAIN_MS = 60000, /* the store could not be asked */
	TRIES = 10,
};

enum { LOGIN_MAX = 400 };

int
queue_msg_urgent(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	const char *login = queue_text(r, LOGIN_MAX);
	int err;

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	err = urgent_rate_take(queue.urgent, login, queue_now_ms());
	if (err != 0)
		return ipc_reply_err(c, id, err, "too many urgent documents");
	ipc_reply_ok(c, id);
	return 0;
}

int
queue_msg_urgent_back(struct ipc_reader *r)
{
	const char *login = queue_text(r, LOGIN_MAX);

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	urgent_rate_back(queue.urgent, login);
	return 0;
}

/* ---- it begins ---- */

/* What the notice is to say of the mail: its subject, and how programs find it. */
static void
keep_fields(struct slice header, struct buf *out)
{
	static const char *const names[] = {"Subject", "Message-ID", "Date"};
	struct hdr_field f;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (hdr_find(header, names[i], 0, &f) && f.body.len <= FIELD_MAX) {
			buf_appendf(out, "%s: ", names[i]);
			buf_append_slice(out, slice_trim(f.body));
			buf_append_str(out, "\r\n");
		}
	buf_append_str(out, "\r\n");
}

int
queue_watch_make(struct queue_watch *w, const struct delivery_id *id, const struct qrow *row,
    struct slice header, const uint32_t *in, size_t n)
{
	char hex[2 * DELIVERY_ID_LEN + 1];
	struct envelope_rcpt *rcpts;

	*w = (struct queue_watch){.wanted = false};
	buf_init(&w->header, HEADER_MAX);
	if (!(row->env.flags & ENV_URGENT) || queue.unread_ms == 0 || n == 0 ||
	    (row->env.flags & ENV_BOUNCE) || !queue_is_from_us(row))
		return 0;
	delivery_id_hex(id, hex);
	rcpts = arena_calloc(queue.arena, n, sizeof(*rcpts));
	w->row = (struct qrow){.state = QUEUE_ST_WATCH,
	    .arrived = row->arrived,
	    .due = queue_now_ms() + queue.unread_ms,
	    .has_inline = true,
	    .env = row->env};
	w->row.env.flags = ENV_WATCH | (row->env.flags & ENV_SMTPUTF8);
	w->row.env.ret = w->row.env.quarantine = "";
	w->row.env.envid = arena_strdup(queue.arena, hex);
	w->row.env.rcpts = rcpts;
	w->row.env.n_rcpts = (uint32_t)n;
	if (rcpts == NULL || w->row.env.envid == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		rcpts[i] = (struct envelope_rcpt){.address = row->env.rcpts[in[i]].address,
		    .state = RCPT_LOCAL,
		    .orcpt = "",
		    .why = ""};
	keep_fields(header, &w->header);
	w->put = (struct qdb_put){.id = queue_new_id(),
	    .row = &w->row,
	    .header = buf_slice(&w->header),
	    .body = slice_str("")};
	w->wanted = true;
	return w->header.err;
}

void
queue_watch_done(struct queue_watch *w)
{
	buf_done(&w->header);
}

/* ---- it ends ---- */

static void
log_end_of(const char *qid, uint32_t unread, uint32_t unknown)
{
	struct log_line l;

	log_begin(&l, unread > 0 ? LOG_LVL_WARN : LOG_LVL_INFO,
	    unread > 0 ? "urgent_unread" : "urgent_read");
	log_str(&l, "qid", qid);
	log_u64(&l, "unread", unread);
	log_u64(&l, "unknown", unknown);
	log_end(&l);
}

/* Of whom it is known that they read it the row knows no more. Those that did not stand at its end as RCPT_FAILED: relay gets only the others (queue_watch_to_ask),
 * and asks for them again, some times. */
static int
again(const struct delivery_id *id, struct qrow *row, const uint8_t *result)
{
	struct qdb_put put = {.id = *id, .row = row};
	struct envelope *e = &row->env;
	struct envelope_rcpt *rcpts = arena_calloc(queue.arena, e->n_rcpts, sizeof(*rcpts));
	uint32_t n = 0;

	if (rcpts == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < e->n_rcpts; i++)
		if (result[i] != QUEUE_DELIVERED && result[i] != QUEUE_REFUSED)
			rcpts[n++] = e->rcpts[i];
	for (uint32_t i = 0; i < e->n_rcpts; i++)
		if (result[i] == QUEUE_REFUSED) {
			rcpts[n] = e->rcpts[i];
			rcpts[n++].state = RCPT_FAILED;
		}
	e->rcpts = rcpts;
	e->n_rcpts = n;
	row->attempts++;
	row->due = queue_now_ms() + AGAIN_MS;
	return qdb_put(queue.db, &put, NULL);
}

uint32_t
queue_watch_to_ask(const struct qrow *row)
{
	uint32_t n = row->env.n_rcpts;

	while (n > 0 && row->env.rcpts[n - 1].state == RCPT_FAILED)
		n--;
	return n;
}

/* It ends; those who did not read it are told of. */
static int
end(const struct delivery_id *id, const struct qrow *row, const uint8_t *result, const char *qid,
    bool unread)
{
	struct queue_notice sender = {.g = NULL}, officers = {.g = NULL};
	const struct qdb_put *extra = NULL;
	struct buf fields;
	int r = 0;

	buf_init(&fields, HEADER_MAX);
	if (unread)
		(void)qdb_header(queue.db, id, &fields);
	if (unread && queue_is_from_us(row)) {
		r = queue_notice_make(&sender, row->env.from, row, result, qid, buf_slice(&fields));
		extra = &sender.put;
	}
	if (r == 0 && unread && conf_list_len(queue.conf, "urgent_alert_mail") > 0) {
		r = queue_notice_make(&officers, "", row, result, qid, buf_slice(&fields));
		officers.put.also = extra;
		extra = &officers.put;
	}
	if (r == 0)
		r = qdb_finish(queue.db, id, queue_now_ms() + QUEUE_DONE_MS, extra);
	queue_notice_done(&sender, r == 0);
	queue_notice_done(&officers, r == 0);
	buf_done(&fields);
	return r;
}

int
queue_watch_result(const struct delivery_id *id, struct qrow *row, uint8_t *result)
{
	uint32_t unread = 0, unknown = 0;
	char qid[QID_LEN + 1] = "";

	for (uint32_t i = 0; i < row->env.n_rcpts; i++) {
		if (row->env.rcpts[i].state == RCPT_FAILED)
			result[i] = QUEUE_REFUSED;
		unread += result[i] == QUEUE_REFUSED;
		unknown += result[i] != QUEUE_REFUSED && result[i] != QUEUE_DELIVERED;
	}
	if (unknown > 0 && row->attempts < TRIES)
		return again(id, row, result);
	/* the delivery id of the mail, of which people know the first half */
	for (size_t i = 0; i < QID_LEN && row->env.envid[i] != '\0'; i++)
		qid[i] = row->env.envid[i], qid[i + 1] = '\0';
	int r = end(id, row, result, qid, unread > 0);
	if (r == 0)
		log_end_of(qid, unread, unknown);
	return r;
}
