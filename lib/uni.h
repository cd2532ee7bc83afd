/* uni.h: Unicode, pure: the only door to libunistring (uni.c includes its headers, nobody else does). Texts are UTF-8. */
#ifndef CV_UNI_H
#define CV_UNI_H

#include "lib/buf.h"

enum uni_form { UNI_NFC, UNI_NFD, UNI_NFKD };

/* Whether s is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool uni_valid(struct slice s);
/* Takes the first character off *s (which is not empty) into *cp_out: its length in octets, or 0 for a byte that begins
 * no well-formed character; that byte is then taken off. */
size_t uni_next(struct slice *s, uint32_t *cp_out);
/* Appends a character. Code points that are none become U+FFFD. */
int uni_append(struct buf *out, uint32_t cp);
/* s with every byte that is not UTF-8 replaced by the text repl. *clean_out (may be NULL): nothing had to be. */
int uni_scrub(struct slice s, const char *repl, struct buf *out, bool *clean_out);
/* s (well-formed) in a normal form, appended. 0, ERR_SYNTAX (not UTF-8), ERR_NOMEM, ERR_LIMIT. */
int uni_normalize(enum uni_form form, struct slice s, struct buf *out);
/* Full case folding, then the normal form. Errors as above. */
int uni_casefold(enum uni_form form, struct slice s, struct buf *out);
/* The collation i;unicode-casemap (RFC 5051): each character in simple title case, then decomposed, and its parts likewise; memcmp of the results is the order. Bytes that are
 * no UTF-8 stand for U+FFFD. Appended. 0, ERR_NOMEM, ERR_LIMIT. */
int uni_casemap(struct slice s, struct buf *out);
/* Combining marks (general category M). */
bool uni_is_mark(uint32_t cp);

#endif
