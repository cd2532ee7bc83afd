/* queue_alert.c: what security officers are told by mail (alert_mail): that something was refused which must not be sent at all (P12). Runs in smtpd-queue.
 * Invariants: an alert is durable before it is answered, which is before the sender hears the refusal; one mail goes at once, what comes within
 * alert_gap_s of it waits in one more, which is written anew with each alert; nothing of the mail stands there but its queue id and who sent it. */
#include "config.h"

#include "smtpd/queue_priv.h"

#include "lib/conf.h"
#include "lib/date.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"

#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 65536, HEADER_MAX = 16384, LINES_MAX = 200, OFFICERS_MAX = 32, TEXT_MAX = 400 };

static struct {
	bool waiting; /* one waits to be sent, as far as this process knows */
	struct delivery_id id;
	int64_t arrived, last_due; /* ms since 1970; of the one before */
	struct buf lines;
	unsigned n;
} pending;

static void
put_line(const char *rule, const char *qid, const char *login, const char *ip)
{
	struct buf when;

	if (pending.n++ >= LINES_MAX)
		return;
	buf_init(&when, 64);
	(void)date_rfc5322_format(
	    queue_now_ms() / 1000, date_local_zone(queue_now_ms() / 1000), &when);
	buf_appendf(&pending.lines, "%s  %s  %s  %s  [%s]\r\n", rule, qid, buf_cstr(&when),
	    login[0] != '\0' ? login : "-", ip);
	buf_done(&when);
}

static void
make_header(const struct envelope *e, struct buf *b)
{
	int64_t now = pending.arrived / 1000;
	char qid[QID_LEN + 1];

	delivery_id_qid(&pending.id, qid);
	buf_appendf(b, "From: Congvu <MAILER-DAEMON@%s>\r\nTo: ", queue.hostname);
	for (uint32_t i = 0; i < e->n_rcpts; i++)
		buf_appendf(b, "%s<%s>", i > 0 ? ",\r\n\t" : "", e->rcpts[i].address);
	buf_append_str(b, "\r\nDate: ");
	date_rfc5322_format(now, date_local_zone(now), b);
	/* "Congvu: báo động bí mật nhà nước (P12)": RFC 2047 */
	buf_appendf(b,
	    "\r\nSubject: "
	    "=?utf-8?B?Q29uZ3Z1OiBiw6FvIMSR4buZbmcgYsOtIG3huq10IG5ow6Agbsaw4bubYw==?=\r\n"
	    " (P12)\r\nMessage-ID: <%s.alert@%s>\r\nAuto-Submitted: auto-generated\r\n"
	    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n",
	    qid, queue.hostname);
}

static void
make_body(struct buf *b)
{
	buf_appendf(b,
	    "%u thư đã bị từ chối vì có dấu hiệu bí mật nhà nước (P12). Nội dung không có ở "
	    "đây.\r\n"
	    "Mỗi dòng: quy tắc, mã (ticket), lúc, người đăng nhập, máy.\r\n"
	    "Xem: congvu trace MÃ\r\n\r\n"
	    "%u mails were refused because they bear a mark of state secrecy (P12). Nothing of "
	    "them "
	    "is here.\r\n"
	    "Each line: rule, ticket, time, who had signed in, client. See: congvu trace "
	    "TICKET\r\n\r\n",
	    pending.n, pending.n);
	buf_append_slice(b, buf_slice(&pending.lines));
	if (pending.n > LINES_MAX)
		buf_appendf(b, "+ %u (congvu trace --rule P12)\r\n", pending.n - LINES_MAX);
}

static int
fill_rcpts(struct envelope *e, struct envelope_rcpt *rcpts)
{
	size_t n = conf_list_len(queue.conf, "alert_mail");

	for (size_t i = 0; i < n && i < OFFICERS_MAX; i++) {
		const char *a = conf_list_item(queue.conf, "alert_mail", i);

		rcpts[e->n_rcpts++] = (struct envelope_rcpt){.address = a,
		    .state = conf_is_our_address(queue.conf, a) ? RCPT_LOCAL : RCPT_REMOTE,
		    .orcpt = "",
		    .why = ""};
		if (!slice_is_ascii(slice_str(a)))
			e->flags |= ENV_SMTPUTF8;
	}
	return e->n_rcpts == 0 ? ERR_UNSUPPORTED : 0;
}

static int
write_mail(int64_t due)
{
	struct envelope_rcpt rcpts[OFFICERS_MAX];
	struct qrow row = {.state = QUEUE_ST_QUEUED,
	    .arrived = pending.arrived,
	    .due = due,
	    .has_inline = true,
	    .env = {.from = "",
		.ret = "",
		.envid = "",
		.login = "",
		.client_ip = "",
		.quarantine = "",
		.flags = ENV_BOUNCE | ENV_8BIT,
		.rcpts = rcpts}};
	struct qdb_put put = {.id = pending.id, .row = &row};
	struct buf header, body;
	int err = fill_rcpts(&row.env, rcpts);

	buf_init(&header, HEADER_MAX);
	buf_init(&body, BODY_MAX + 4096);
	if (err == 0) {
		make_header(&row.env, &header);
		make_body(&body);
		err = header.err != 0 ? header.err : body.err;
	}
	row.size = body.len;
	put.header = buf_slice(&header);
	put.body = buf_slice(&body);
	if (err == 0)
		err = qdb_put(queue.db, &put, NULL);
	buf_done(&header);
	buf_done(&body);
	return err;
}

/* Whether the mail that waits can still take a line: nobody has it yet. */
static bool
is_open(void)
{
	const struct qent *e = pending.waiting ? qdb_find(queue.db, &pending.id) : NULL;

	return e != NULL && e->state == QUEUE_ST_QUEUED && e->lease == NULL &&
	       e->due > queue_now_ms();
}

static void
begin(void)
{
	buf_done(&pending.lines);
	buf_init(&pending.lines, BODY_MAX);
	pending.n = 0;
	pending.id = queue_new_id();
	pending.arrived = queue_now_ms();
	pending.waiting = true;
}

/* Into one line of a mail. */
static const char *
text_of(struct ipc_reader *r)
{
	char *p = queue_text(r, TEXT_MAX);

	for (char *q = p; *q != '\0'; q++)
		if ((unsigned char)*q < 0x20 || *q == 0x7f)
			*q = '?';
	return p;
}

int
queue_msg_alert(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	const char *rule = text_of(r), *qid = text_of(r), *login = text_of(r), *ip = text_of(r);
	int64_t now = queue_now_ms(), gap = conf_int(queue.conf, "alert_gap_s") * 1000, due;
	struct log_line l;
	int err;

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	if (is_open()) {
		due = qdb_find(queue.db, &pending.id)->due;
	} else {
		due = pending.last_due != 0 && pending.last_due + gap > now ? pending.last_due + gap
									    : now;
		begin();
	}
	put_line(rule, qid, login, ip);
	err = write_mail(due);
	if (err == 0)
		pending.last_due = due;
	else
		pending.waiting = false;
	log_begin(&l, LOG_LVL_ERROR, "alert");
	log_str(&l, "rule", rule);
	log_str(&l, "qid", qid);
	log_str(&l, "login", login);
	log_str(&l, "mail", err == 0 ? "queued" : err_name(err));
	log_end(&l);
	if (err != 0)
		return ipc_reply_err(c, id, err, "no alert");
	queue_reply_after_sync(c, id);
	queue_set_due_timer();
	return 0;
}
