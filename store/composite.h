/* composite.h: a message whose large parts are bodies of their own, so that messages share them. Pure. Used by backend_kv_parts.c.
 *
 * Its content is a manifest (what the message is made of, in order) and then, one behind the other, the octets that stand in no part. A part is
 * kept as it is or, where that gives back the same octets, as what its base64 decodes to. */
#ifndef CV_COMPOSITE_H
#define CV_COMPOSITE_H

#include "lib/b64_lines.h"
#include "store/segment.h"

#define COMPOSITE_PART_MIN \
	32768u /* octets of a part in the message, from which it is kept by itself */
#define COMPOSITE_PIECES_MAX (2 * SEG_REFS_MAX + 1)
#define COMPOSITE_MANIFEST_MAX 32768u /* octets of a manifest, at most */

struct piece {
	enum piece_kind { PIECE_LITERAL, PIECE_RAW, PIECE_BASE64 } kind;
	uint64_t len;  /* octets of the message */
	uint64_t body; /* of a part: its number, and its octets */
	uint64_t size;
	struct b64_form form;
};
/* 0 or the latched error. n <= COMPOSITE_PIECES_MAX. */
int manifest_encode(const struct piece *pieces, size_t n, struct buf *out);
/* Of the begin of the content, COMPOSITE_MANIFEST_MAX octets if it has so many. size, content: of the body's place. pieces: room for
 * COMPOSITE_PIECES_MAX. *literals_out: where in the content the literals begin. 0 or ERR_CORRUPT; then nothing in it can lead beyond size. */
int manifest_decode(struct slice begin, uint64_t size, uint64_t content, struct piece *pieces,
    size_t *n_out, uint64_t *literals_out);

/* A part that may be worth keeping by itself. */
struct candidate {
	uint64_t off, len;
	bool base64;
};
/* Of the tree in a summary: leaves in order, of COMPOSITE_PART_MIN and more, within size, none over another; at most max. 0 when there are none or it
 * cannot be read: whoever wrote it is not believed, what it names is looked at. */
size_t composite_candidates(struct slice summary, uint64_t size, struct candidate *out, size_t max);

#endif
