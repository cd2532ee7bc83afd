/* envelope_read.h: takes an ENVELOPE text (as lib/mime.h mime_envelope writes it) apart again, for SORT and THREAD. Pure. RFC 3501 7.4.2. */
#ifndef CV_ENVELOPE_READ_H
#define CV_ENVELOPE_READ_H

#include "lib/arena.h"

struct envelope_addr { /* the first address of a field; ptr NULL: NIL, or no address */
	struct slice name, mailbox, host;
};
struct envelope {
	struct slice date, subject; /* ptr NULL: NIL */
	struct envelope_addr from, to, cc;
};
/* Borrows from text or lives in the arena. 0 or ERR_CORRUPT. */
int envelope_read(struct slice text, struct arena *a, struct envelope *out);

#endif
