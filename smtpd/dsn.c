/* dsn.c: delivery status notifications, pure. Runs in smtpd-queue. What came from peers (addresses, answers) stands
 * in them as printable text only. RFC 3461 6, RFC 3464, RFC 6522. */
#include "config.h"

#include "smtpd/dsn.h"

#include "lib/date.h"

#include <string.h>

enum { HEADER_RETURNED_MAX = 32768 };

/* Text without controls; lines stay lines of ours. */
static void
put_text(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++)
		buf_append_byte(b, (unsigned char)*s < ' ' || *s == 0x7F ? ' ' : (unsigned char)*s);
}

/* "5.1.1" at the start of an answer, or a general code. */
static void
put_status(struct buf *b, const char *why, bool expired)
{
	size_t n = strspn(why, "0123456789.");

	if (!expired && n >= 5 && n <= 9 && (why[0] == '5') && why[1] == '.')
		buf_append(b, why, n);
	else
		buf_append_str(b, expired ? "4.4.7" : "5.0.0");
}

static void
put_human(const struct dsn *d, struct buf *b)
{
	buf_append_str(b, "Thư của bạn không đến được những địa chỉ dưới đây.\r\n"
			  "Your message could not be delivered to the addresses below.\r\n\r\n");
	for (size_t i = 0; i < d->n_failed; i++) {
		const struct envelope_rcpt *r = &d->env->rcpts[d->failed[i]];
		buf_append_str(b, "  ");
		put_text(b, r->address);
		buf_append_str(b, "\r\n    ");
		put_text(b, r->why[0] != '\0' ? r->why : "-");
		buf_append_str(b, "\r\n");
	}
	if (d->expired)
		buf_append_str(b,
		    "\r\nĐã thử nhiều lần mà không được; hệ thống thôi không gửi nữa.\r\n"
		    "It was tried for a long time; it is not tried any more.\r\n");
}

static void
put_status_part(const struct dsn *d, struct buf *b)
{
	buf_appendf(b, "Reporting-MTA: dns; %s\r\n", d->hostname);
	if (d->env->envid[0] != '\0') {
		buf_append_str(b, "Original-Envelope-Id: ");
		put_text(b, d->env->envid);
		buf_append_str(b, "\r\n");
	}
	buf_append_str(b, "Arrival-Date: ");
	date_rfc5322_format(d->arrived, d->zone_min, b);
	buf_append_str(b, "\r\n");
	for (size_t i = 0; i < d->n_failed; i++) {
		const struct envelope_rcpt *r = &d->env->rcpts[d->failed[i]];
		buf_append_str(b, "\r\n");
		if (r->orcpt[0] != '\0') {
			buf_append_str(b, "Original-Recipient: ");
			put_text(b, r->orcpt);
			buf_append_str(b, "\r\n");
		}
		buf_append_str(b, "Final-Recipient: rfc822; ");
		put_text(b, r->address);
		buf_append_str(b, "\r\nAction: failed\r\nStatus: ");
		put_status(b, r->why, d->expired);
		if (r->why[0] != '\0') {
			buf_append_str(b, "\r\nDiagnostic-Code: smtp; ");
			put_text(b, r->why);
		}
		buf_append_str(b, "\r\n");
	}
}

/* Whole lines of the header that fit. */
static void
put_returned(const struct dsn *d, struct buf *b)
{
	struct slice h = d->header;

	if (h.len > HEADER_RETURNED_MAX) {
		h.len = HEADER_RETURNED_MAX;
		while (h.len > 0 && h.ptr[h.len - 1] != '\n')
			h.len--;
	}
	buf_append_slice(b, h);
}

int
dsn_build(const struct dsn *d, struct buf *header, struct buf *body)
{
	char boundary[64] = "=_congvu_";

	memcpy(boundary + 9, d->qid, strlen(d->qid) < 40 ? strlen(d->qid) + 1 : 0);
	buf_append_str(header, "From: <MAILER-DAEMON@");
	buf_append_str(header, d->hostname);
	buf_append_str(header, ">\r\nTo: <");
	put_text(header, d->env->from);
	buf_append_str(header,
	    ">\r\nSubject: =?utf-8?Q?Th=C6=B0_kh=C3=B4ng_=C4=91=E1=BA=BFn_=C4=91=C6=B0=E1=BB=A3c?= "
	    "/"
	    " Undelivered mail\r\nDate: ");
	date_rfc5322_format(d->now, d->zone_min, header);
	buf_appendf(header, "\r\nMessage-ID: <%s.dsn@%s>\r\n", d->qid, d->hostname);
	buf_append_str(header, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
	buf_appendf(header,
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n "
	    "boundary=\"%s\"\r\n\r\n",
	    boundary);
	buf_appendf(body,
	    "--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
	    "8bit\r\n\r\n",
	    boundary);
	put_human(d, body);
	buf_appendf(body, "\r\n--%s\r\nContent-Type: message/delivery-status\r\n\r\n", boundary);
	put_status_part(d, body);
	buf_appendf(body, "\r\n--%s\r\nContent-Type: text/rfc822-headers\r\n\r\n", boundary);
	put_returned(d, body);
	buf_appendf(body, "\r\n--%s--\r\n", boundary);
	return header->err != 0 ? header->err : body->err;
}
