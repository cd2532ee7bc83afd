/* list_match.h: mailbox names against LIST patterns. Pure. RFC 3501 6.3.8: "*" any, "%" any but the separator "/". */
#ifndef CV_LIST_MATCH_H
#define CV_LIST_MATCH_H

#include "lib/buf.h"

/* Whole name against pattern, octet by octet; a first element that spells INBOX matches in any case. Bounded time: name × pattern. */
bool list_match(struct slice pattern, struct slice name);

#endif
