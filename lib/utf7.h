/* utf7.h: IMAP mailbox names: modified UTF-7 (RFC 3501 5.1.3) to and from UTF-8, and what a name may be. Pure. */
#ifndef CV_UTF7_H
#define CV_UTF7_H

#include "lib/buf.h"

/* 0, ERR_SYNTAX (not by RFC 3501, superfluous shifts included). */
int utf7_to_utf8(struct slice s, struct buf *out);
int utf7_from_utf8(struct slice s, struct buf *out);
/* UTF-8 → NFC; 0 or ERR_SYNTAX for invalid UTF-8. */
int utf8_nfc(struct slice s, struct buf *out);
bool utf8_valid(struct slice s);
/* Whether a UTF-8 name may be a mailbox: valid, no controls, no empty path element, no "%" or "*", elements at most 255
 * octets, whole at most 1000, depth at most 32. */
bool mailbox_name_ok(struct slice utf8);

#endif
