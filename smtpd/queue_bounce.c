/* queue_bounce.c: reports about what cannot be delivered, as new messages of the queue. Runs in smtpd-queue. Invariant: a report
 * goes to the sender alone, never about a report, and is written in the transaction that removes what it is about. RFC 3461 4.1,
 * RFC 3464, RFC 5321 6.1. */
#include "config.h"

#include "smtpd/queue_priv.h"

#include "lib/date.h"
#include "lib/err.h"
#include "lib/role.h"
#include "smtpd/dsn.h"
#include "smtpd/smtp_parse.h"

#include <string.h>

void
queue_bounce_done(struct queue_bounce *b)
{
	buf_done(&b->header);
	buf_done(&b->body);
}

/* The report about failed recipients, when there is somebody to tell. */
int
queue_bounce_make(struct queue_bounce *b, const struct delivery_id *id, const struct qrow *row,
    struct slice header, const uint32_t *failed, size_t n_failed, bool expired)
{
	uint32_t *tell = arena_calloc(queue.arena, n_failed + 1, sizeof(uint32_t));
	char qid[QID_LEN + 1];
	size_t n = 0;
	int64_t now = queue_now_ms();

	*b = (struct queue_bounce){.wanted = false};
	buf_init(&b->header, 65536);
	buf_init(&b->body, 900000);
	if (tell == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n_failed; i++) {
		unsigned notify = row->env.rcpts[failed[i]].notify;
		/* RFC 3461 4.1: nothing was said: failures are told */
		if (notify == 0 || (notify & SMTP_NOTIFY_FAILURE))
			tell[n++] = failed[i];
	}
	/* a report about a report goes to nobody: RFC 5321 6.1 */
	if (n == 0 || row->env.from[0] == '\0')
		return 0;
	delivery_id_qid(id, qid);
	struct dsn d = {.hostname = queue.hostname,
	    .qid = qid,
	    .now = now / 1000,
	    .arrived = row->arrived / 1000,
	    .zone_min = date_local_zone(now / 1000),
	    .env = &row->env,
	    .failed = tell,
	    .n_failed = n,
	    .header = header,
	    .expired = expired};
	int r = dsn_build(&d, &b->header, &b->body);
	if (r != 0)
		return r;
	b->rcpt = (struct envelope_rcpt){.address = row->env.from,
	    .state = conf_is_our_address(role_conf(), row->env.from) ? RCPT_LOCAL : RCPT_REMOTE,
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
		.flags = ENV_8BIT | ENV_BOUNCE | (row->env.flags & ENV_SMTPUTF8),
		.rcpts = &b->rcpt,
		.n_rcpts = 1}};
	b->put = (struct qdb_put){.id = queue_new_id(),
	    .row = &b->row,
	    .header = buf_slice(&b->header),
	    .body = buf_slice(&b->body)};
	b->wanted = true;
	return 0;
}
