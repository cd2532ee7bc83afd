/* esearch.h: RETURN (…) of SEARCH and SORT, and the ESEARCH response. Pure. RFC 4731, RFC 5182 (SAVE), RFC 5267 (SORT), RFC 4466 2.6. */
#ifndef CV_ESEARCH_H
#define CV_ESEARCH_H

#include "imapd/imap_cur.h"

enum esearch_what {
	ESEARCH_MIN = 1,
	ESEARCH_MAX = 2,
	ESEARCH_ALL = 4,
	ESEARCH_COUNT = 8,
	ESEARCH_SAVE = 16,
};
/* " RETURN (…)" behind the command's name, with the space before it; *what_out is 0 when it is not there (nothing is taken then). RETURN () is
 * ALL. false for wrong syntax and unknown options. */
bool esearch_parse(struct imap_cur *c, unsigned *what_out);
/* Numbers in the order of the result, which is MIN's first and MAX's last. Nothing for SAVE alone. extra: "" or more return data, " MODSEQ 5". */
void esearch_write(struct slice tag, bool uid, unsigned what, const uint32_t *v, size_t n,
    const char *extra, struct buf *out);

#endif
