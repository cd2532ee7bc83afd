/* base_subject.h: the base subject of RFC 5256 2.1. Pure. */
#ifndef CV_BASE_SUBJECT_H
#define CV_BASE_SUBJECT_H

#include "lib/buf.h"

/* subject: the field as it stands (encoded words and all). Its base subject, UTF-8 with case, is appended to out. *is_reply_out: something was removed
 * that tells a reply or a forward (RFC 5256 3, REFERENCES). 0 or ERR_NOMEM, ERR_LIMIT. */
int base_subject(struct slice subject, struct buf *out, bool *is_reply_out);

#endif
