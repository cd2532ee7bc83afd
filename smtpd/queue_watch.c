/* queue_watch.c: urgent documents (P32): who has one and did not read it in urgent_unread_s, its sender and urgent_alert_mail are told. Runs in smtpd-queue.
 * Invariants: what watches a mail is written in the transaction that settles its delivery, so neither a crash nor a lost answer forgets it; it is a row of
 * the queue with a state of its own, which relay leases as it does messages and whose recipients it asks the store about; one notice at most comes of
 * it, in the transaction that ends it. A store that cannot tell ends it without a notice, and the log says so. */
#include "config.h"

#include "smtpd/queue_priv.h"

#include "lib/conf.h"
#include "lib/date.h"
#include "lib/err.h"
#include "lib/hdr.h"
#include "lib/log.h"
#include "lib/mime.h"
#include "lib/role.h"

#include <stdlib.h>
#include <string.h>

enum {
	FIELD_MAX = 4000,
	HEADER_MAX = 32768,
	BODY_MAX = 262144,
	TOLD_MAX = 500, /* recipients named in a notice */
	OFFICERS_MAX = 32,
	AGAIN_MS = 60000, /* the store could not be asked */
	TRIES = 10,
};

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

/* Somebody signed in submitted it under an address of ours: who read what is nobody else's business. */
static bool
is_from_us(const struct qrow *row)
{
	return row->env.login[0] != '\0' && row->env.from[0] != '\0' &&
	       conf_is_our_address(queue.conf, row->env.from);
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
	    (row->env.flags & ENV_BOUNCE) || !is_from_us(row))
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

/* ---- the notice ---- */

/* A decoded header field as one line of a text. */
static void
append_decoded(struct buf *out, struct slice header, const char *name)
{
	struct hdr_field f;
	struct buf text;

	buf_init(&text, 4 * FIELD_MAX);
	if (hdr_find(header, name, 0, &f) && hdr_decode(f.body, &text) == 0)
		for (size_t i = 0; i < text.len; i++)
			buf_append_byte(
			    out, text.data[i] < 0x20 || text.data[i] == 0x7f ? ' ' : text.data[i]);
	buf_done(&text);
}

static void
append_day(struct buf *b, int64_t ms)
{
	date_rfc5322_format(ms / 1000, date_local_zone(ms / 1000), b);
}

static void
make_header(const struct qrow *watch, const struct qrow *row, const char *qid, struct slice fields,
    struct buf *b)
{
	struct hdr_field f;

	buf_appendf(b, "From: Congvu <MAILER-DAEMON@%s>\r\nTo: ", queue.hostname);
	for (uint32_t i = 0; i < row->env.n_rcpts; i++)
		buf_appendf(b, "%s<%s>", i > 0 ? ",\r\n\t" : "", row->env.rcpts[i].address);
	buf_append_str(b, "\r\nDate: ");
	append_day(b, queue_now_ms());
	/* "Congvu: văn bản khẩn chưa được đọc": RFC 2047 */
	buf_appendf(b,
	    "\r\nSubject: "
	    "=?utf-8?B?Q29uZ3Z1OiB2xINuIGLhuqNuIGto4bqpbiBjaMawYSDEkcaw4bujYyDEkeG7jWM=?="
	    "\r\n (P32)\r\nMessage-ID: <%s.urgent@%s>\r\nAuto-Submitted: auto-generated\r\n",
	    qid, queue.hostname);
	if (hdr_find(fields, "Message-ID", 0, &f) && slice_is_ascii(f.body)) {
		buf_append_str(b, "References: ");
		buf_append_slice(b, slice_trim(f.body));
		buf_append_str(b, "\r\n");
	}
	buf_append_str(b, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
			  "Content-Transfer-Encoding: 8bit\r\n\r\n");
	(void)watch;
}

/* The recipients that did not read it, with what the store said of groups. */
static void
put_unread(const struct qrow *watch, const uint8_t *result, struct buf *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < watch->env.n_rcpts; i++) {
		const struct envelope_rcpt *x = &watch->env.rcpts[i];
		const char *of = strstr(x->why, " of ");

		if (result[i] != QUEUE_REFUSED || n++ >= TOLD_MAX)
			continue;
		buf_appendf(b, "    %s", x->address);
		while (of != NULL && of > x->why && of[-1] >= '0' && of[-1] <= '9')
			of--;
		if (of != NULL)
			buf_appendf(b, " (%.40s)", of);
		buf_append_str(b, "\r\n");
	}
	if (n > TOLD_MAX)
		buf_appendf(b, "    + %u\r\n", n - TOLD_MAX);
	buf_append_str(b, "\r\n");
}

static void
make_body(const struct qrow *watch, const uint8_t *result, const char *qid, struct slice fields,
    struct buf *b)
{
	long long s = (long long)queue.unread_ms / 1000, n = s < 120 ? s : s / 60;

	buf_append_str(b, "Văn bản khẩn chưa được đọc:\r\n    ");
	append_decoded(b, fields, "Subject");
	buf_append_str(b, "\r\n    ");
	append_day(b, watch->arrived);
	buf_appendf(b, "\r\nSau %lld %s, các hộp thư sau đây chưa mở thư:\r\n", n,
	    s < 120 ? "giây" : "phút");
	put_unread(watch, result, b);
	buf_appendf(b,
	    "Hãy báo người nhận bằng cách khác, ví dụ điện thoại. Mã: %s (congvu trace)\r\n\r\n",
	    qid);
	buf_append_str(b, "Urgent document unread:\r\n    ");
	append_decoded(b, fields, "Subject");
	buf_append_str(b, "\r\n    ");
	append_day(b, watch->arrived);
	buf_appendf(b, "\r\nAfter %lld %s it was not opened in these mailboxes:\r\n", n,
	    s < 120 ? "seconds" : "minutes");
	put_unread(watch, result, b);
	buf_appendf(b,
	    "Tell the recipients by other means, the telephone for instance. Ticket: %s (congvu "
	    "trace)\r\n",
	    qid);
}

static void
add_told(struct qrow *row, struct envelope_rcpt *rcpts, const char *address)
{
	rcpts[row->env.n_rcpts++] = (struct envelope_rcpt){.address = address,
	    .state = conf_is_our_address(queue.conf, address) ? RCPT_LOCAL : RCPT_REMOTE,
	    .notify = 1 /* NEVER: RFC 3461 5.2.7 */,
	    .orcpt = "",
	    .why = ""};
	if (!slice_is_ascii(slice_str(address)))
		row->env.flags |= ENV_SMTPUTF8;
}

static int
notice(const struct qrow *watch, const uint8_t *result, const char *qid, struct slice fields,
    struct qrow *row, struct qdb_put *put, struct buf *header, struct buf *body)
{
	struct envelope_rcpt *rcpts =
	    arena_calloc(queue.arena, OFFICERS_MAX + 1, sizeof(struct envelope_rcpt));
	size_t n = conf_list_len(queue.conf, "urgent_alert_mail");
	int64_t now = queue_now_ms();

	if (rcpts == NULL)
		return ERR_NOMEM;
	*row = (struct qrow){.state = QUEUE_ST_QUEUED,
	    .arrived = now,
	    .due = now,
	    .has_inline = true,
	    .env = {.from = "",
		.ret = "",
		.envid = "",
		.login = "",
		.client_ip = "",
		.quarantine = "",
		.flags = ENV_BOUNCE | ENV_8BIT | ENV_URGENT,
		.rcpts = rcpts}};
	if (is_from_us(watch))
		add_told(row, rcpts, watch->env.from);
	for (size_t i = 0; i < n && i < OFFICERS_MAX; i++)
		add_told(row, rcpts, conf_list_item(queue.conf, "urgent_alert_mail", i));
	if (row->env.n_rcpts == 0)
		return ERR_NOTFOUND;
	make_header(watch, row, qid, fields, header);
	make_body(watch, result, qid, fields, body);
	row->size = body->len;
	*put = (struct qdb_put){
	    .id = queue_new_id(), .row = row, .header = buf_slice(header), .body = buf_slice(body)};
	return header->err != 0 ? header->err : body->err;
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

int
queue_watch_result(const struct delivery_id *id, struct qrow *row, uint8_t *result)
{
	uint32_t unread = 0, unknown = 0;
	struct buf fields, header, body;
	char qid[QID_LEN + 1] = "";
	struct qrow told;
	struct qdb_put put;
	int r = 0;

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
	buf_init(&fields, HEADER_MAX);
	buf_init(&header, HEADER_MAX);
	buf_init(&body, BODY_MAX);
	if (unread > 0) {
		(void)qdb_header(queue.db, id, &fields);
		r = notice(row, result, qid, buf_slice(&fields), &told, &put, &header, &body);
		/* a configuration that names nobody any more */
		unread = r == ERR_NOTFOUND ? 0 : unread;
		r = r == ERR_NOTFOUND ? 0 : r;
	}
	if (r == 0)
		r = qdb_finish(
		    queue.db, id, queue_now_ms() + QUEUE_DONE_MS, unread > 0 ? &put : NULL);
	if (r == 0)
		log_end_of(qid, unread, unknown);
	buf_done(&fields);
	buf_done(&header);
	buf_done(&body);
	return r;
}
