/* mbox_name.h: mailbox names between the wire (modified UTF-7, or UTF-8), the client's name space and the store. Pure.
 * Own mailboxes stand at the root, those of a share below "Other Users/<share>", which is the share's own INBOX. RFC 2342, RFC 3501 5.1. */
#ifndef CV_MBOX_NAME_H
#define CV_MBOX_NAME_H

#include "lib/arena.h"
#include "store/store_client.h"

/* A wire name → UTF-8 NFC, INBOX in upper case, no "/" at the end. utf8: the name is UTF-8 and "&" stands for itself (UTF8=ACCEPT, IMAP4rev2); without
 * it octets above ASCII are refused: RFC 3501 5.1 wants no such names made, and a client that sends them without having enabled UTF-8 takes the
 * modified UTF-7 that LIST gives back for another mailbox. 0, ERR_SYNTAX, ERR_NOMEM. The name may be too long or odd for a mailbox: see mailbox_name_ok. */
int mbox_name_in(struct slice wire, bool utf8, struct arena *a, struct slice *out);
/* The same for a LIST pattern or reference: nothing but the coding is changed. */
int mbox_pattern_in(struct slice wire, bool utf8, struct arena *a, struct slice *out);
/* UTF-8 → wire, always quoted. */
int mbox_name_out(struct slice name, bool utf8, struct buf *out);
/* The whole name of a mailbox as this client sees it, in the arena; empty for no memory. */
struct slice mbox_name_full(
    const char *prefix, struct slice share, struct slice name, struct arena *a);
/* A whole name taken apart: own names give an empty share; "Other Users/x/y" share x, name y; "Other Users/x" name INBOX. "Other Users" itself: ERR_DENIED. */
int mbox_name_split(const char *prefix, struct slice full, struct slice *share, struct slice *name);

#endif
