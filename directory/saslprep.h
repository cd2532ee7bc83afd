/* saslprep.h: RFC 4013, so that a password typed on a Mac (decomposed) and on Windows (composed) is one password. */
#ifndef CV_SASLPREP_H
#define CV_SASLPREP_H

#include "lib/buf.h"

#define SASLPREP_MAX 1024

/* Prepared form appended to out (which should be wiped when it is a password). is_query: for comparing (unassigned code points
 * pass), else for storing. 0; ERR_SYNTAX (no UTF-8, a NUL, or a prohibited character), ERR_LIMIT, ERR_NOMEM. */
int saslprep(struct slice utf8, bool is_query, struct buf *out);

#endif
