/* dsn.h: a report that a message could not be delivered, RFC 3464 (multipart/report, RFC 6522); pure. */
#ifndef CV_DSN_H
#define CV_DSN_H

#include "smtpd/envelope.h"

struct dsn {
	const char *hostname; /* Reporting-MTA */
	const char *qid;      /* of the message that failed */
	int64_t now, arrived; /* seconds since 1970 */
	int zone_min;
	const struct envelope *env; /* of that message */
	const uint32_t *failed;     /* indexes of env->rcpts */
	size_t n_failed;
	struct slice header; /* of that message; returned, at most 32 KiB of it */
	bool expired;        /* given up after queue_lifetime_s */
};
/* The header (with the empty line) and the body of the report. 0 or the error of the buffers. */
int dsn_build(const struct dsn *d, struct buf *header, struct buf *body);

#endif
