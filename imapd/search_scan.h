/* search_scan.h: looks for texts in a body part that comes in pieces: transfer encoding and charset are undone, the text is folded, and
 * no more than a piece is held. Pure. */
#ifndef CV_SEARCH_SCAN_H
#define CV_SEARCH_SCAN_H

#include "imapd/search_key.h"
#include "lib/mime.h"

struct search_scan {
	const struct search_prog *prog;
	uint64_t found; /* bit per text key of prog */
	enum mime_cte cte;
	struct slice charset; /* borrowed until the part ends */
	struct buf raw;       /* encoded octets that wait for the rest of their line */
	struct buf text;      /* decoded octets that wait */
	struct buf
	    folded; /* the end of what was looked at, so that matches over a seam are found */
	size_t keep;
};
void search_scan_init(struct search_scan *s, const struct search_prog *prog);
void search_scan_done(struct search_scan *s);
/* A new part. charset empty: US-ASCII or UTF-8. */
void search_scan_part(struct search_scan *s, enum mime_cte cte, struct slice charset);
/* The next octets of the part; last: the part ends. 0 or ERR_NOMEM. */
int search_scan_feed(struct search_scan *s, struct slice piece, bool last);
/* Everything was found: no need to go on. */
bool search_scan_is_full(const struct search_scan *s);

#endif
