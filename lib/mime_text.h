/* mime_text.h: what a search looks into: the texts of a message with transfer encoding and charset undone, folded (vn_fold). Pure.
 * ingest makes the signature of a message from it (store/sig_message.c), imapd-session verifies what it finds by it (imapd/search_scan.c): both
 * see the same octets, since both cut a text into pieces at the same places (MIME_TEXT_PIECE). RFC 3501 6.4.4, DOMAIN.md B4. */
#ifndef CV_MIME_TEXT_H
#define CV_MIME_TEXT_H

#include "lib/mime.h"

#define MIME_TEXT_PIECE \
	262144u /* a stretch is fed in pieces of this many octets, counted from its beginning; the last is the rest */
#define MIME_TEXT_HEADER_MAX \
	(1u << 20) /* octets of a header that are looked at, and of the text of a field */

/* A stretch of a message's body that is text. */
struct mime_stretch {
	uint64_t off, end; /* as in the tree */
	enum mime_cte cte;
	struct slice charset; /* of the tree's arena; empty: US-ASCII or UTF-8 */
	bool header; /* the header of an embedded message: its fields are decoded besides */
	struct mime_stretch *next;
};
/* Text parts and the headers of embedded messages, in order, from the arena. 0 or ERR_NOMEM. */
int mime_stretches(const struct mime_part *root, struct arena *a, struct mime_stretch **first_out);

/* The next field of *rest with that name (empty: any): its text, decoded to UTF-8 ("Name: text" when field is empty), in *text, which is reset
 * first. false at the end. */
bool mime_header_text(struct slice *rest, struct slice field, struct buf *text);

/* Undoes one stretch after another. */
struct mime_text {
	/* Folded text. The last keep octets of the same stretch come again before what is new, so that nothing is missed over a seam. true: enough of
	 * this stretch. */
	bool (*fn)(void *arg, struct slice folded);
	void *arg;
	size_t keep;
	/* inside */
	enum mime_cte cte;
	struct slice charset;
	bool header, enough;
	struct buf raw, text, folded, head;
};
void mime_text_init(
    struct mime_text *t, size_t keep, bool (*fn)(void *arg, struct slice folded), void *arg);
void mime_text_done(struct mime_text *t);
/* A new stretch; charset is borrowed until it ends. */
void mime_text_begin(struct mime_text *t, enum mime_cte cte, struct slice charset, bool header);
/* Its next octets; last: it ends. 0, ERR_NOMEM, ERR_LIMIT. */
int mime_text_feed(struct mime_text *t, struct slice piece, bool last);

#endif
