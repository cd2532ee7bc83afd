/* autoreply.h: whether a mail gets an automatic reply, and its text; pure. RFC 3834. */
#ifndef CV_AUTOREPLY_H
#define CV_AUTOREPLY_H

#include "smtpd/msg.h"

/* What the owner of a mailbox wants. Strings in somebody's arena. */
struct autoreply_rule {
	const char *account, *address, *name;
	const char *subject; /* "": "Auto: " and that of the mail */
	const char *text;
	unsigned days;
	const char *const *addresses; /* the mail must name one of these in To or Cc */
	size_t n_addresses;
};
/* NULL: it gets one. Else why not, for the log: RFC 3834 2. from: the envelope sender, "" for <>. */
const char *autoreply_refusal(
    const struct autoreply_rule *rule, const struct msg *m, const char *from, struct arena *a);
struct autoreply_env {
	const char *hostname, *qid, *to;
	int64_t now; /* seconds since 1970 */
	int zone_min;
};
/* Header (with its empty line) and body of the reply: text/plain in UTF-8, base64. 0 or the buffers' error. */
int autoreply_build(const struct autoreply_rule *rule, const struct msg *m,
    const struct autoreply_env *e, struct buf *header, struct buf *body);

#endif
