/* mime_priv.h: what mime_envelope.c and mime_structure.c share: strings of IMAP. */
#ifndef CV_MIME_PRIV_H
#define CV_MIME_PRIV_H

#include "lib/mime.h"

/* Appends s as an IMAP quoted string: 8-bit text is decoded (RFC 2047 words and UTF-8) and encoded anew as words unless
 * utf8; CR, LF and NUL become spaces. nstring: "NIL" when s.ptr is NULL. RFC 3501 9, RFC 9051 9. */
void mime_put_string(struct slice s, bool utf8, struct buf *out);
void mime_put_nstring(struct slice s, bool utf8, struct buf *out);
/* The same bytes in upper case: names of types, parameters and encodings. 8-bit bytes become "?". */
void mime_put_upper(struct slice s, struct buf *out);
/* Quoted without any encoding: 8-bit bytes become "?" unless utf8. */
void mime_put_plain(struct slice s, bool utf8, struct buf *out);

#endif
