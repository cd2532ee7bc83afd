/* queue_notice.c: the mails about urgent documents that nobody opened (P32): one to the sender, one to urgent_alert_mail. Runs in smtpd-queue.
 * Invariants: to each of them one goes at once, and what comes within alert_gap_s of it waits in one more, which is written anew with each document, in
 * the transaction that ends the watch of that one; documents, recipients and those told are bounded, and what is left out is counted; no sender outside is told. */
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
	REF_MAX = 250,
	HEADER_MAX = 65536,
	BODY_MAX = 131072,
	ENTRY_MAX = 98304,
	DOCS_MAX = 114688,
	LISTED_MAX = 50, /* documents in one mail */
	TOLD_MAX = 200,  /* recipients named of one document */
	OFFICERS_MAX = 32,
	GATHERS_MAX = 200,
};

/* What waits for one sender, or for urgent_alert_mail (to: ""). */
struct queue_gather {
	char *to;
	bool busy;    /* in a transaction under way */
	bool waiting; /* a mail waits to be sent, as far as this process knows */
	struct delivery_id id;
	int64_t arrived, last_due; /* ms since 1970; of the mail before */
	struct buf docs, refs;
	unsigned n, listed;
};
static struct {
	struct queue_gather *v[GATHERS_MAX];
	size_t n;
} gathers;

/* ---- who gets one ---- */

bool
queue_is_from_us(const struct qrow *row)
{
	return row->env.login[0] != '\0' && row->env.from[0] != '\0' &&
	       conf_is_our_address(queue.conf, row->env.from);
}

static int64_t
gap_ms(void)
{
	return conf_int(queue.conf, "alert_gap_s") * 1000;
}

static void
gather_drop(size_t i)
{
	struct queue_gather *g = gathers.v[i];

	buf_done(&g->docs);
	buf_done(&g->refs);
	free(g->to);
	free(g);
	gathers.v[i] = gathers.v[--gathers.n];
}

/* Whether the mail that waits can still take a document: nobody has it yet. */
static bool
is_open(const struct queue_gather *g)
{
	const struct qent *e = g->waiting ? qdb_find(queue.db, &g->id) : NULL;

	return e != NULL && e->state == QUEUE_ST_QUEUED && e->lease == NULL &&
	       e->due > queue_now_ms();
}

/* Room for one more: what nothing hangs on any more goes; else the one whose mail went first, which then may get one early. */
static void
make_room(void)
{
	int64_t now = queue_now_ms(), first = INT64_MAX;
	size_t oldest = 0;

	for (size_t i = gathers.n; i-- > 0;) {
		const struct queue_gather *g = gathers.v[i];
		if (!g->busy && g->last_due + gap_ms() <= now && !is_open(g))
			gather_drop(i);
	}
	for (size_t i = 0; i < gathers.n; i++) {
		const struct queue_gather *g = gathers.v[i];
		if (!g->busy && g->to[0] != '\0' && g->last_due < first) {
			first = g->last_due;
			oldest = i;
		}
	}
	if (gathers.n == GATHERS_MAX)
		gather_drop(oldest);
}

static struct queue_gather *
gather_of(const char *to)
{
	struct queue_gather *g;

	for (size_t i = 0; i < gathers.n; i++)
		if (slice_caseeq_str(slice_str(to), gathers.v[i]->to))
			return gathers.v[i];
	make_room();
	g = xcalloc(1, sizeof(*g));
	g->to = xstrdup(to);
	buf_init(&g->docs, DOCS_MAX);
	buf_init(&g->refs, HEADER_MAX);
	gathers.v[gathers.n++] = g;
	return g;
}

/* ---- what it says ---- */

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

/* The document with those that did not open it, and its Message-ID; beyond the bounds it is counted alone. */
static void
add_document(struct queue_gather *g, const struct qrow *watch, const uint8_t *result,
    const char *qid, struct slice fields)
{
	struct hdr_field f;
	struct buf b;

	g->n++;
	buf_init(&b, ENTRY_MAX);
	buf_appendf(&b, "[%u] ", g->n);
	append_decoded(&b, fields, "Subject");
	buf_append_str(&b, "\r\n    ");
	date_rfc5322_format(watch->arrived / 1000, date_local_zone(watch->arrived / 1000), &b);
	buf_appendf(&b, "  %s\r\n", qid);
	put_unread(watch, result, &b);
	if (g->listed < LISTED_MAX && b.err == 0 && g->docs.len + b.len <= DOCS_MAX) {
		buf_append_slice(&g->docs, buf_slice(&b));
		g->listed++;
		if (hdr_find(fields, "Message-ID", 0, &f) && f.body.len <= REF_MAX &&
		    slice_is_ascii(f.body)) {
			buf_append_str(&g->refs, "\r\n ");
			buf_append_slice(&g->refs, slice_trim(f.body));
		}
	}
	buf_done(&b);
}

static void
make_header(const struct queue_gather *g, const struct qrow *row, struct buf *b)
{
	char qid[QID_LEN + 1];

	delivery_id_qid(&g->id, qid);
	buf_appendf(b, "From: Congvu <MAILER-DAEMON@%s>\r\nTo: ", queue.hostname);
	for (uint32_t i = 0; i < row->env.n_rcpts; i++)
		buf_appendf(b, "%s<%s>", i > 0 ? ",\r\n\t" : "", row->env.rcpts[i].address);
	buf_append_str(b, "\r\nDate: ");
	date_rfc5322_format(g->arrived / 1000, date_local_zone(g->arrived / 1000), b);
	/* "Congvu: văn bản khẩn chưa được đọc": RFC 2047 */
	buf_appendf(b,
	    "\r\nSubject: "
	    "=?utf-8?B?Q29uZ3Z1OiB2xINuIGLhuqNuIGto4bqpbiBjaMawYSDEkcaw4bujYyDEkeG7jWM=?="
	    "\r\n (P32)\r\nMessage-ID: <%s.urgent@%s>\r\nAuto-Submitted: auto-generated\r\n",
	    qid, queue.hostname);
	if (g->refs.len > 0) {
		buf_append_str(b, "References:");
		buf_append_slice(b, buf_slice(&g->refs));
		buf_append_str(b, "\r\n");
	}
	buf_append_str(b, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
			  "Content-Transfer-Encoding: 8bit\r\n\r\n");
}

static void
make_body(const struct queue_gather *g, struct buf *b)
{
	long long s = (long long)queue.unread_ms / 1000, n = s < 120 ? s : s / 60;

	buf_appendf(b,
	    "Văn bản khẩn chưa được đọc: %u. Sau %lld %s, các hộp thư ghi dưới mỗi văn bản chưa mở "
	    "thư.\r\n"
	    "Hãy báo người nhận bằng cách khác, ví dụ điện thoại. Xem: congvu trace MÃ\r\n\r\n",
	    g->n, n, s < 120 ? "giây" : "phút");
	buf_appendf(b,
	    "Urgent document unread: %u. After %lld %s the mailboxes below each one have not "
	    "opened it.\r\n"
	    "Tell the recipients by other means, the telephone for instance. See: congvu trace "
	    "TICKET\r\n\r\n",
	    g->n, n, s < 120 ? "seconds" : "minutes");
	buf_append_slice(b, buf_slice(&g->docs));
	if (g->n > g->listed)
		buf_appendf(b, "Và %u văn bản nữa / and %u more: congvu trace --rule P32\r\n",
		    g->n - g->listed, g->n - g->listed);
}

/* ---- the mail ---- */

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
make_row(struct queue_notice *x)
{
	struct qrow *row = &x->row;
	size_t n = conf_list_len(queue.conf, "urgent_alert_mail");

	*row = (struct qrow){.state = QUEUE_ST_QUEUED,
	    .arrived = x->g->arrived,
	    .due = x->due,
	    .has_inline = true,
	    .env = {.from = "",
		.ret = "",
		.envid = "",
		.login = "",
		.client_ip = "",
		.quarantine = "",
		.flags = ENV_BOUNCE | ENV_8BIT | ENV_URGENT,
		.rcpts = arena_calloc(queue.arena, OFFICERS_MAX, sizeof(struct envelope_rcpt))}};
	if (row->env.rcpts == NULL)
		return ERR_NOMEM;
	if (x->g->to[0] != '\0')
		add_told(row, row->env.rcpts, x->g->to);
	for (size_t i = 0; x->g->to[0] == '\0' && i < n && i < OFFICERS_MAX; i++)
		add_told(row, row->env.rcpts, conf_list_item(queue.conf, "urgent_alert_mail", i));
	return 0;
}

/* The mail that waits takes one more, or a new one begins: at once, or when the gap behind the one before is over. */
static void
open_one(struct queue_notice *x)
{
	struct queue_gather *g = x->g;
	int64_t now = queue_now_ms();

	x->last_due = g->last_due;
	x->began = !is_open(g);
	if (x->began) {
		buf_reset(&g->docs);
		buf_reset(&g->refs);
		g->n = g->listed = 0;
		g->id = queue_new_id();
		g->arrived = now;
		x->due =
		    g->last_due != 0 && g->last_due + gap_ms() > now ? g->last_due + gap_ms() : now;
	} else {
		x->due = qdb_find(queue.db, &g->id)->due;
	}
	x->n = g->n;
	x->listed = g->listed;
	x->docs_len = g->docs.len;
	x->refs_len = g->refs.len;
}

int
queue_notice_make(struct queue_notice *x, const char *to, const struct qrow *watch,
    const uint8_t *result, const char *qid, struct slice fields)
{
	int err;

	*x = (struct queue_notice){.g = gather_of(to)};
	x->g->busy = true;
	open_one(x);
	add_document(x->g, watch, result, qid, fields);
	buf_init(&x->header, HEADER_MAX + 16384);
	buf_init(&x->body, BODY_MAX);
	err = make_row(x);
	if (err == 0) {
		make_header(x->g, &x->row, &x->header);
		make_body(x->g, &x->body);
		err = x->header.err != 0 ? x->header.err : x->body.err;
	}
	x->row.size = x->body.len;
	x->put = (struct qdb_put){.id = x->g->id,
	    .row = &x->row,
	    .header = buf_slice(&x->header),
	    .body = buf_slice(&x->body)};
	return err;
}

void
queue_notice_done(struct queue_notice *x, bool written)
{
	struct queue_gather *g = x->g;

	if (g == NULL)
		return;
	g->busy = false;
	if (written) {
		g->waiting = true;
		g->last_due = x->due;
	} else {
		/* as before: the document is told of when its watch ends */
		g->waiting &= !x->began;
		g->last_due = x->last_due;
		g->n = x->n;
		g->listed = x->listed;
		buf_truncate(&g->docs, x->docs_len);
		buf_truncate(&g->refs, x->refs_len);
	}
	buf_done(&x->header);
	buf_done(&x->body);
}
