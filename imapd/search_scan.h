/* search_scan.h: looks for the texts of a search program in body parts that come in pieces (lib/mime_text.h). Pure. */
#ifndef CV_SEARCH_SCAN_H
#define CV_SEARCH_SCAN_H

#include "imapd/search_key.h"
#include "lib/mime_text.h"

struct search_scan {
	const struct search_prog *prog;
	uint64_t found; /* bit per text key of prog */
	struct mime_text text;
};
/* s stays where it is until done. */
void search_scan_init(struct search_scan *s, const struct search_prog *prog);
void search_scan_done(struct search_scan *s);
/* Forgets what was found: for another message. */
void search_scan_again(struct search_scan *s);
/* A new part, or the header of an embedded message. charset empty: US-ASCII or UTF-8. */
void search_scan_part(struct search_scan *s, enum mime_cte cte, struct slice charset, bool header);
/* The next octets of the part, in pieces of MIME_TEXT_PIECE; last: the part ends. 0, ERR_NOMEM, ERR_LIMIT. */
int search_scan_feed(struct search_scan *s, struct slice piece, bool last);
/* Everything was found: no need to go on. */
bool search_scan_is_full(const struct search_scan *s);

#endif
