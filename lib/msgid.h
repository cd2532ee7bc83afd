/* msgid.h: Message-IDs, and what a message says of its place in a conversation, pure. RFC 5322 3.6.4, RFC 5256 (THREAD=REFERENCES). */
#ifndef CV_MSGID_H
#define CV_MSGID_H

#include "lib/buf.h"

#define MSGID_MAX 998
#define MSGID_REFS_MAX 64 /* references that are kept of one message */
#define MSGID_REFS_SIZE (8 * (1 + MSGID_REFS_MAX))

/* The next valid msg-id in *rest (moved behind it), normalized and appended to out without its angles: white space, comments and needless quotes are
 * gone. false: there is none. */
bool msgid_next(struct slice *rest, struct buf *out);
/* What THREAD needs to know of a message, appended: numbers of 64 bits, big-endian, one for each normalized msg-id; equal ids have equal numbers,
 * 0 is "none". First the Message-ID, then the references in their order: those of References, or the first of In-Reply-To. Of more than
 * MSGID_REFS_MAX the first and the last ones are kept. At most MSGID_REFS_SIZE octets. 0 or ERR_NOMEM. */
int msgid_refs(struct slice header, struct buf *out);

#endif
