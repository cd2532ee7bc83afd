/* scan_cursor.h: numbers, octets and lines taken off the front of what a format's reader looks at, never past its end. */
#ifndef CV_SCAN_CURSOR_H
#define CV_SCAN_CURSOR_H

#include "lib/buf.h"

struct scan_cursor {
	struct slice s; /* what is left */
	bool bad;       /* more was taken than there was */
};
/* A number of n octets (at most 4), the low one first; 0 when there are fewer, and nothing is left then. */
uint32_t scan_cursor_le(struct scan_cursor *c, unsigned n);
/* n octets, or what there is. */
struct slice scan_cursor_bytes(struct scan_cursor *c, size_t n);
/* The line at the start of *rest, which moves behind it; without its end (LF, or CR LF). */
struct slice scan_cursor_line(struct slice *rest);

#endif
