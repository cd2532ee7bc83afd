/* shown.h: text that a sender chose, as an officer may see it on a terminal: nothing that steers it, turns its order round, is not seen or looks
 * like something else comes through; each such character stands there as ‹U+202E›, a byte that is no UTF-8 as ‹0xFF›. Pure. */
#ifndef CV_SHOWN_H
#define CV_SHOWN_H

#include "lib/buf.h"

enum shown_as {
	SHOWN_TEXT, /* any script; in a word with Latin letters, letters of others that look like them are shown by their numbers */
	SHOWN_LATIN, /* addresses, names of rules: letters of other scripts by their numbers */
	SHOWN_ASCII, /* extensions: all but ASCII by its number */
};
/* Appends s. ‹ and › themselves are shown by their numbers, so that nobody writes an escape. */
void shown_append(struct slice s, enum shown_as as, struct buf *out);
/* The extension that programs go by: what stands behind the last dot, or what looks like one, in the order of the octets, without the dots, spaces and
 * unseen characters at the end; with its dot, in lower case, SHOWN_ASCII. Appends nothing when there is none. */
void shown_extension(struct slice name, struct buf *out);
/* shown_append to standard output. */
void shown_print(struct slice s, enum shown_as as);

#endif
