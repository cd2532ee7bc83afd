/* dsn.h: a report of what became of a message, RFC 3464 (multipart/report, RFC 6522; RFC 6533 where addresses or header fields are
 * UTF-8); pure. */
#ifndef CV_DSN_H
#define CV_DSN_H

#include "smtpd/envelope.h"

enum dsn_action {
	DSN_FAILED = 1,
	DSN_EXPIRED,   /* failed, for want of time: queue_lifetime_s */
	DSN_DELAYED,   /* still being tried */
	DSN_DELIVERED, /* in the mailbox */
	DSN_RELAYED,   /* with a server that sends no reports */
};
struct dsn_rcpt {
	uint32_t index; /* of env->rcpts */
	enum dsn_action action;
};
struct dsn {
	const char *hostname; /* Reporting-MTA */
	const char *qid;      /* of the message that it is about */
	int64_t now, arrived; /* seconds since 1970 */
	int64_t retry_until;  /* the same; 0 when nothing is tried any more */
	int zone_min;
	const struct envelope *env; /* of that message */
	const struct dsn_rcpt *rcpts;
	size_t n;
	struct slice header; /* of that message; returned, at most 32 KiB of it */
	struct slice
	    content; /* its text, when all of it is to be returned (RET=FULL of a failure); else empty */
};
/* The header (with the empty line) and the body of the report. *flags_out: ENV_8BIT, ENV_SMTPUTF8 as it needs them. 0 or the error of the
 * buffers. */
int dsn_build(const struct dsn *d, struct buf *header, struct buf *body, uint32_t *flags_out);

/* What a rule of the policy says, and what to do about it, where why is a refusal as our filter words them (here or at another site): id, both languages,
 * ticket. NULL: it is none; an id that somebody else's answer happens to have is not our rule. Static. */
struct dsn_rule {
	const char *id, *vi, *en, *advice_vi, *advice_en;
};
const struct dsn_rule *dsn_rule_in(const char *why);

#endif
