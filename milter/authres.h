/* authres.h: what trusted filters before ours said about where a mail comes from: Authentication-Results (RFC 8601), pure. Only fields
 * of a configured authserv-id count, and only where the MTA removes such fields from what comes in (our smtpd does for its own name). */
#ifndef CV_AUTHRES_H
#define CV_AUTHRES_H

#include "milter/rule.h"

#define AUTHRES_FIELDS_MAX 32
#define AUTHRES_RESULTS_MAX 64

/* Reads all fields of the trusted ids in a header block, for an author's domain (lower case, A-labels). dmarc=pass decides; else spf=pass
 * for the domain of MAIL FROM, or dkim=pass of a signing domain, that is the author's or stands above or below it. FAIL when spf, dkim or
 * dmarc were checked, or none of them was told at all, without such a pass. n_ids 0: ORIGIN_UNCHECKED. text: "spf=fail dkim=none". */
enum rule_origin authres_read(struct slice header, const char *const *ids, size_t n_ids,
    struct slice domain, struct buf *text);

/* The authserv-id, behind white space and comments: a token or a quoted string (RFC 8601 2.2), appended to out. How many octets it took. */
size_t authres_id(struct slice body, struct buf *out);

#endif
