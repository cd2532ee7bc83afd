/* dsn.c: delivery status notifications, pure. Runs in smtpd-queue. What came from peers (addresses, answers, header) stands in them
 * as printable text only, and can neither add a field nor end a part. RFC 3461 6, 3464, 6522, 6533. */
#include "config.h"

#include "smtpd/dsn.h"

#include "lib/date.h"
#include "lib/fold.h"
#include "lib/hdr.h"
#include "lib/mime.h"
#include "lib/uni.h"

#include <string.h>

enum { HEADER_RETURNED_MAX = 32768, SUBJECT_MAX = 4000 };

/* One line of text without controls; UTF-8 that is none becomes ASCII. utf8: what is not ASCII may stand. */
static void
put_text(struct buf *b, const char *s, bool utf8)
{
	struct buf clean;

	if (slice_is_ascii(slice_str(s)) || (utf8 && uni_valid(slice_str(s)))) {
		for (; *s != '\0'; s++)
			buf_append_byte(
			    b, (unsigned char)*s < ' ' || *s == 0x7F ? ' ' : (unsigned char)*s);
		return;
	}
	buf_init(&clean, 8192);
	(void)vn_ascii(slice_str(s), &clean);
	for (size_t i = 0; i < clean.len; i++)
		buf_append_byte(
		    b, clean.data[i] < ' ' || clean.data[i] == 0x7F ? ' ' : clean.data[i]);
	buf_done(&clean);
}

/* RFC 3461 4 backwards: "+2B" is "+". What is no xtext stays as it is. */
static void
put_xtext(struct buf *b, const char *s, bool utf8)
{
	struct buf plain;

	buf_init(&plain, 2048);
	for (; *s != '\0'; s++) {
		int hi = *s == '+' ? hex_value((unsigned char)s[1]) : -1;
		int lo = hi >= 0 ? hex_value((unsigned char)s[2]) : -1;
		if (lo < 0 || (hi | lo) == 0) {
			buf_append_byte(&plain, (unsigned char)*s);
			continue;
		}
		buf_append_byte(&plain, (unsigned char)(hi << 4 | lo));
		s += 2;
	}
	put_text(b, buf_cstr(&plain), utf8);
	buf_done(&plain);
}

static bool
is_failure(enum dsn_action a)
{
	return a == DSN_FAILED || a == DSN_EXPIRED;
}

static bool
has(const struct dsn *d, enum dsn_action a)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->rcpts[i].action == a)
			return true;
	return false;
}

static bool
has_failure(const struct dsn *d)
{
	return has(d, DSN_FAILED) || has(d, DSN_EXPIRED);
}

/* ---- for people ---- */

static const struct section {
	enum dsn_action action;
	const char *vi, *en;
} sections[] = {
    {DSN_FAILED, "Thư của bạn không đến được những địa chỉ dưới đây.",
	"Your message could not be delivered to the addresses below."},
    {DSN_EXPIRED,
	"Đã thử gửi nhiều lần đến những địa chỉ dưới đây mà không được; hệ thống thôi không gửi "
	"nữa.",
	"Delivery to the addresses below was tried for a long time; it is not tried any more."},
    {DSN_DELAYED,
	"Thư của bạn chưa đến được những địa chỉ dưới đây; hệ thống vẫn tiếp tục gửi, bạn không "
	"cần gửi lại.",
	"Your message has not reached the addresses below yet; it is still being tried, you need "
	"not send it again."},
    {DSN_DELIVERED, "Thư của bạn đã vào hộp thư của những địa chỉ dưới đây.",
	"Your message was delivered to the mailboxes of the addresses below."},
    {DSN_RELAYED,
	"Thư của bạn đã được chuyển tới máy chủ của những địa chỉ dưới đây; máy chủ đó không báo "
	"kết quả.",
	"Your message was handed to the server of the addresses below, which sends no reports."},
};

static void
put_rule(struct buf *b, const char *why)
{
	const struct dsn_rule *r = dsn_rule_in(why);

	if (r == NULL)
		return;
	buf_appendf(b, "    Quy định %s: %s\r\n    Cần làm: %s\r\n", r->id, r->vi, r->advice_vi);
	buf_appendf(b, "    Rule %s: %s\r\n    What to do: %s\r\n", r->id, r->en, r->advice_en);
}

static void
put_section(const struct dsn *d, const struct section *s, struct buf *b)
{
	if (d->env->flags & ENV_SENT) /* what is said below is of that copy alone */
		buf_append_str(b,
		    "Thư đã được gửi đi. Báo cáo này chỉ nói về bản lưu của thư trong mục Thư đã "
		    "gửi (Sent) của hộp thư đã đứng tên gửi.\r\n"
		    "The message itself went out. This report is only about the copy of it for "
		    "the Sent folder of the mailbox that it was sent as.\r\n\r\n");
	buf_appendf(b, "%s\r\n%s\r\n\r\n", s->vi, s->en);
	for (size_t i = 0; i < d->n; i++) {
		const struct envelope_rcpt *r = &d->env->rcpts[d->rcpts[i].index];
		if (d->rcpts[i].action != s->action)
			continue;
		buf_append_str(b, "  <");
		put_text(b, r->address, true);
		buf_append_str(b, ">\r\n");
		if (r->why[0] != '\0' && s->action != DSN_DELIVERED) {
			buf_append_str(b, "    ");
			put_text(b, r->why, true);
			buf_append_str(b, "\r\n");
			put_rule(b, r->why);
		}
	}
	buf_append_str(b, "\r\n");
}

/* Which mail it is about, as its sender named it: the header that is returned has it too. */
static void
put_subject(const struct dsn *d, struct buf *b)
{
	struct hdr_field f;
	struct buf text;

	buf_init(&text, 4 * SUBJECT_MAX);
	if (hdr_find(d->header, "Subject", 0, &f) && f.body.len <= SUBJECT_MAX &&
	    hdr_decode(f.body, &text) == 0 && text.len > 0) {
		buf_append_str(b, "Trích yếu / Subject: ");
		put_text(b, buf_cstr(&text), true);
		buf_append_str(b, "\r\n");
	}
	buf_done(&text);
}

static void
put_human(const struct dsn *d, struct buf *b)
{
	struct buf text;

	buf_init(&text, 700000);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		if (has(d, sections[i].action))
			put_section(d, &sections[i], &text);
	put_subject(d, &text);
	buf_append_str(&text, "Mã thư / Queue id: ");
	put_text(&text, d->qid, false);
	buf_append_str(&text, "\r\n");
	b->err = b->err != 0 ? b->err : text.err;
	(void)qp_encode(buf_slice(&text), b);
	buf_done(&text);
}

/* ---- for programs ---- */

/* "5.1.1" at the start of an answer, or a general code of the class that the action asks for. RFC 3464 2.3.4. */
static void
put_status(struct buf *b, const char *why, enum dsn_action a)
{
	char class = is_failure(a) ? '5' : a == DSN_DELAYED ? '4' : '2';
	if (strspn(why, "0123456789") == 3 && why[3] == ' ')
		why += 4; /* the reply code */
	size_t n = strspn(why, "0123456789.");
	size_t dots = 0;

	for (size_t i = 0; i < n; i++)
		dots += why[i] == '.';
	if (a == DSN_EXPIRED)
		buf_append_str(b, "4.4.7");
	else if (n >= 5 && n <= 9 && dots == 2 && why[0] == class && why[1] == '.' &&
		 why[n - 1] != '.')
		buf_append(b, why, n);
	else
		buf_appendf(b, "%c.0.0", class);
}

/* Whether a server said so: its code stands in front. */
static bool
is_reply(const char *why)
{
	return strspn(why, "0123456789") == 3 && why[0] >= '2' && why[0] <= '5' && why[3] == ' ';
}

static void
put_address(struct buf *b, const char *field, const char *address)
{
	bool utf8 = !slice_is_ascii(slice_str(address)) && uni_valid(slice_str(address));

	buf_appendf(b, "%s: %s; ", field, utf8 ? "utf-8" : "rfc822");
	put_text(b, address, utf8);
	buf_append_str(b, "\r\n");
}

static void
put_status_rcpt(const struct dsn *d, const struct dsn_rcpt *x, bool utf8, struct buf *b)
{
	static const char *const words[] = {[DSN_FAILED] = "failed",
	    [DSN_EXPIRED] = "failed",
	    [DSN_DELAYED] = "delayed",
	    [DSN_DELIVERED] = "delivered",
	    [DSN_RELAYED] = "relayed"};
	const struct envelope_rcpt *r = &d->env->rcpts[x->index];

	buf_append_str(b, "\r\n");
	if (r->orcpt[0] != '\0') {
		buf_append_str(b, "Original-Recipient: ");
		put_xtext(b, r->orcpt, utf8);
		buf_append_str(b, "\r\n");
	}
	put_address(b, "Final-Recipient", r->address);
	buf_appendf(b, "Action: %s\r\nStatus: ", words[x->action]);
	put_status(b, r->why, x->action);
	buf_append_str(b, "\r\n");
	/* RFC 3464 2.3.5: of the server that said so, by its name or as an address literal */
	if (r->mta != NULL && r->mta[0] != '\0' && is_reply(r->why) && x->action != DSN_DELIVERED) {
		buf_append_str(b, "Remote-MTA: dns; ");
		put_text(b, r->mta, false);
		buf_append_str(b, "\r\n");
	}
	if (r->why[0] != '\0' && x->action != DSN_DELIVERED) {
		/* RFC 3464 2.3.6: "smtp" is what a server answered, with its code; what is our own finding is of another type */
		buf_appendf(b, "Diagnostic-Code: %s; ", is_reply(r->why) ? "smtp" : "X-Congvu");
		put_text(b, r->why, utf8);
		buf_append_str(b, "\r\n");
	}
	if (x->action == DSN_DELAYED && d->retry_until != 0) {
		buf_append_str(b, "Will-Retry-Until: ");
		date_rfc5322_format(d->retry_until, d->zone_min, b);
		buf_append_str(b, "\r\n");
	}
}

static void
put_status_part(const struct dsn *d, bool utf8, struct buf *b)
{
	buf_appendf(b, "Reporting-MTA: dns; %s\r\n", d->hostname);
	if (d->env->envid[0] != '\0') {
		buf_append_str(b, "Original-Envelope-Id: ");
		put_xtext(b, d->env->envid, utf8);
		buf_append_str(b, "\r\n");
	}
	buf_append_str(b, "Arrival-Date: ");
	date_rfc5322_format(d->arrived, d->zone_min, b);
	buf_append_str(b, "\r\n");
	for (size_t i = 0; i < d->n; i++)
		put_status_rcpt(d, &d->rcpts[i], utf8, b);
}

/* ---- what is returned ---- */

/* Whole lines of the header that fit. */
static struct slice
header_returned(const struct dsn *d)
{
	struct slice h = d->header;

	if (h.len <= HEADER_RETURNED_MAX)
		return h;
	h.len = HEADER_RETURNED_MAX;
	while (h.len > 0 && h.ptr[h.len - 1] != '\n')
		h.len--;
	return h;
}

static void
put_returned(const struct dsn *d, const char *boundary, struct buf *b)
{
	bool full = d->content.len > 0 && has_failure(d);
	struct slice h = full ? d->header : header_returned(d);
	bool global = !slice_is_ascii(h);
	const char *type = full ? (global ? "message/global" : "message/rfc822")
				: (global ? "message/global-headers" : "text/rfc822-headers");

	buf_appendf(b, "\r\n--%s\r\nContent-Type: %s\r\n", boundary, type);
	if (global || (full && !slice_is_ascii(d->content)))
		buf_append_str(b, "Content-Transfer-Encoding: 8bit\r\n");
	buf_append_str(b, "\r\n");
	buf_append_slice(b, h);
	if (full)
		buf_append_slice(b, d->content);
}

static const char *
subject_of(const struct dsn *d)
{
	return has_failure(d)        ? "Thư không đến được / Undelivered mail"
	       : has(d, DSN_DELAYED) ? "Thư bị chậm / Delayed mail"
				     : "Thư đã chuyển đến hộp thư / Mail delivered";
}

static void
put_header(const struct dsn *d, const char *boundary, struct buf *b)
{
	buf_append_str(b, "From: ");
	(void)hdr_encode(slice_str("Hệ thống thư / Mail system"), b);
	buf_appendf(b, " <MAILER-DAEMON@%s>\r\nTo: <", d->hostname);
	put_text(b, d->env->from, true);
	buf_append_str(b, ">\r\nSubject: ");
	(void)hdr_encode(slice_str(subject_of(d)), b);
	buf_append_str(b, "\r\nDate: ");
	date_rfc5322_format(d->now, d->zone_min, b);
	buf_appendf(
	    b, "\r\nMessage-ID: <%s.dsn.%lld@%s>\r\n", d->qid, (long long)d->now, d->hostname);
	buf_append_str(b, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
	buf_appendf(b,
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n "
	    "boundary=\"%s\"\r\n\r\n",
	    boundary);
}

/* A line of the returned text that is the boundary would end the part: the boundary gives way. */
static void
choose_boundary(const struct dsn *d, char out[80])
{
	size_t n = strlen(d->qid) < 40 ? strlen(d->qid) : 40;

	memcpy(out, "=_congvu_", 9);
	memcpy(out + 9, d->qid, n);
	out[9 + n] = '\0';
	for (char c = 'a'; c <= 'z' && (slice_find(d->header, slice_str(out)) >= 0 ||
					   slice_find(d->content, slice_str(out)) >= 0);
	     c++) {
		out[9 + n] = c;
		out[9 + ++n] = '\0';
	}
}

int
dsn_build(const struct dsn *d, struct buf *header, struct buf *body, uint32_t *flags_out)
{
	char boundary[80];
	bool utf8 = !slice_is_ascii(slice_str(d->env->from));

	choose_boundary(d, boundary);
	for (size_t i = 0; i < d->n; i++)
		utf8 |= !slice_is_ascii(slice_str(d->env->rcpts[d->rcpts[i].index].address));
	put_header(d, boundary, header);
	buf_appendf(body,
	    "--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
	    "quoted-printable\r\n\r\n",
	    boundary);
	put_human(d, body);
	buf_appendf(body, "\r\n--%s\r\nContent-Type: message/%sdelivery-status\r\n%s\r\n", boundary,
	    utf8 ? "global-" : "", utf8 ? "Content-Transfer-Encoding: 8bit\r\n" : "");
	put_status_part(d, utf8, body);
	put_returned(d, boundary, body);
	buf_appendf(body, "\r\n--%s--\r\n", boundary);
	*flags_out = (slice_is_ascii(buf_slice(body)) ? 0 : ENV_8BIT) |
		     (slice_is_ascii(buf_slice(header)) ? 0 : ENV_SMTPUTF8);
	return header->err != 0 ? header->err : body->err;
}
