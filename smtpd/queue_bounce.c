/* queue_bounce.c: reports to senders, as new messages of the queue. Runs in smtpd-queue. Invariants: a report goes to the sender alone,
 * never about a report, and is written in the transaction that settles what it is about; NOTIFY decides who is told of what.
 * RFC 3461 4.1, RFC 3464, RFC 5321 6.1. */
#include "config.h"

#include "smtpd/queue_priv.h"

#include "lib/date.h"
#include "lib/err.h"
#include "lib/role.h"
#include "smtpd/dsn.h"
#include "smtpd/queue_spool.h"
#include "smtpd/smtp_parse.h"

#include <string.h>
#include <unistd.h>

/* RET=FULL returns texts up to this many octets; of larger ones the header (RFC 3461 4.3 lets us). */
enum { FULL_MAX = 262144, REPORT_MAX = 960000 };

void
queue_bounce_done(struct queue_bounce *b)
{
	buf_done(&b->header);
	buf_done(&b->body);
}

/* RFC 3461 4.1: nothing was said: failures are told, delays when they were asked for. */
static bool
wants(unsigned notify, enum dsn_action a)
{
	if (a == DSN_DELAYED)
		return notify & SMTP_NOTIFY_DELAY;
	if (a == DSN_DELIVERED || a == DSN_RELAYED)
		return notify & SMTP_NOTIFY_SUCCESS;
	return notify == 0 || (notify & SMTP_NOTIFY_FAILURE);
}

/* The whole text, when it is to be returned and not too large; else nothing. */
static void
read_content(const struct delivery_id *id, const struct qrow *row, struct buf *out)
{
	uint64_t size = row->size - row->skip, at = 0;
	unsigned char tmp[16384];

	if (strcmp(row->env.ret, "FULL") != 0 || size > FULL_MAX)
		return;
	if (row->has_inline) {
		(void)qdb_inline(queue.db, id, out);
		return;
	}
	int fd = qspool_open(id);
	while (fd >= 0 && at < size) {
		size_t want = size - at < sizeof(tmp) ? (size_t)(size - at) : sizeof(tmp);
		ssize_t n = pread(fd, tmp, want, (off_t)(row->skip + at));
		if (n <= 0)
			break;
		buf_append(out, tmp, (size_t)n);
		at += (uint64_t)n;
	}
	if (fd >= 0)
		close(fd);
	if (at < size)
		buf_reset(out);
}

static bool
has_failure(const struct dsn_rcpt *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (r[i].action == DSN_FAILED || r[i].action == DSN_EXPIRED)
			return true;
	return false;
}

static int
build(struct queue_bounce *b, const struct delivery_id *id, const struct qrow *row,
    struct slice header, const struct dsn_rcpt *tell, size_t n, uint32_t *flags_out)
{
	char qid[QID_LEN + 1];
	int64_t now = queue_now_ms();
	struct buf content;

	delivery_id_qid(id, qid);
	buf_init(&content, FULL_MAX);
	if (has_failure(tell, n))
		read_content(id, row, &content);
	struct dsn d = {.hostname = queue.hostname,
	    .qid = qid,
	    .now = now / 1000,
	    .arrived = row->arrived / 1000,
	    .retry_until = (row->arrived + queue.lifetime_ms) / 1000,
	    .zone_min = date_local_zone(now / 1000),
	    .env = &row->env,
	    .rcpts = tell,
	    .n = n,
	    .header = header,
	    .content = buf_slice(&content)};
	int r = dsn_build(&d, &b->header, &b->body, flags_out);
	if (r == ERR_LIMIT && content.len > 0) {
		/* with so many recipients the text finds no room beside them */
		buf_reset(&b->header);
		buf_reset(&b->body);
		d.content = slice_of(NULL, 0);
		r = dsn_build(&d, &b->header, &b->body, flags_out);
	}
	buf_done(&content);
	return r;
}

int
queue_bounce_make(struct queue_bounce *b, const struct delivery_id *id, const struct qrow *row,
    struct slice header, const struct dsn_rcpt *rcpts, size_t n_rcpts)
{
	struct dsn_rcpt *tell = arena_calloc(queue.arena, n_rcpts + 1, sizeof(*tell));
	int64_t now = queue_now_ms();
	uint32_t flags = 0;
	size_t n = 0;

	*b = (struct queue_bounce){.wanted = false};
	buf_init(&b->header, 65536);
	buf_init(&b->body, REPORT_MAX);
	if (tell == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n_rcpts; i++)
		if (wants(row->env.rcpts[rcpts[i].index].notify, rcpts[i].action))
			tell[n++] = rcpts[i];
	/* a report about a report goes to nobody: RFC 5321 6.1 */
	if (n == 0 || row->env.from[0] == '\0')
		return 0;
	int r = build(b, id, row, header, tell, n, &flags);
	if (r != 0)
		return r;
	b->rcpt = (struct envelope_rcpt){.address = row->env.from,
	    .state = conf_is_our_address(role_conf(), row->env.from) ? RCPT_LOCAL : RCPT_REMOTE,
	    .notify = SMTP_NOTIFY_NEVER, /* RFC 3461 5.2.7 */
	    .orcpt = "",
	    .why = ""};
	b->row = (struct qrow){.state = QUEUE_ST_QUEUED,
	    .arrived = now,
	    .due = now,
	    .size = b->body.len,
	    .has_inline = true,
	    .env = {.from = "",
		.ret = "",
		.envid = "",
		.login = "",
		.client_ip = "",
		.quarantine = "",
		.flags = ENV_BOUNCE | flags,
		.rcpts = &b->rcpt,
		.n_rcpts = 1}};
	b->put = (struct qdb_put){.id = queue_new_id(),
	    .row = &b->row,
	    .header = buf_slice(&b->header),
	    .body = buf_slice(&b->body)};
	b->wanted = true;
	return 0;
}
