/* envelope.h: reads back the ENVELOPE texts (RFC 3501 7.4.2) that mime_envelope makes and the store's rows carry. Pure. */
#ifndef CV_ENVELOPE_H
#define CV_ENVELOPE_H

#include "lib/buf.h"

enum envelope_part { /* in their order */
	ENVELOPE_DATE,
	ENVELOPE_SUBJECT,
	ENVELOPE_FROM,
	ENVELOPE_SENDER,
	ENVELOPE_REPLY_TO,
	ENVELOPE_TO,
	ENVELOPE_CC,
	ENVELOPE_BCC,
	ENVELOPE_IN_REPLY_TO,
	ENVELOPE_MESSAGE_ID,
};
/* Appends one part to out: the text as it stands in the header (RFC 2047 words not decoded), NIL as nothing; of a list of addresses the first one as
 * local@domain. 0, ERR_CORRUPT (text is no ENVELOPE as far as that part), or out's error. */
int envelope_part(struct slice text, enum envelope_part part, struct buf *out);

#endif
