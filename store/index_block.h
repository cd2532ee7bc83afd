/* index_block.h: blocks of the index for SEARCH: the signatures (sig.h) of up to 1,024 messages of a mailbox, transposed: for each bit of a signature
 * a slice, a bitmap over the messages, so that asking for a text reads a few slices and nothing else. Pure. Used in stored.
 *
 * A block is a body: a head of one slice's length (magic, version), the slices of the header's sets, those of the body's. It never changes: a UID
 * means one message for ever, so a block holds more than there is when messages were expunged, and never less. Its row, "t/<first UID>" of the mailbox,
 * names it and says which UIDs the bits stand for. A block that is lost costs time: the signatures are asked one by one. */
#ifndef CV_INDEX_BLOCK_H
#define CV_INDEX_BLOCK_H

#include "store/sig.h"

enum {
	INDEX_MSGS = 1024,
	INDEX_SLICE = INDEX_MSGS / 8, /* octets */
	INDEX_LOG_MIN = SIG_LOG_MIN,
	INDEX_LOG_HEADER_MAX = 13,
	INDEX_LOG_BODY_MAX = 14,
	INDEX_SIZE_MAX =
	    INDEX_SLICE * (1 + (1 << INDEX_LOG_HEADER_MAX) + (1 << INDEX_LOG_BODY_MAX)),
};

struct index_row {
	uint64_t body;
	unsigned char log_header, log_body; /* of the number of slices */
	uint32_t n;
	uint32_t uids[INDEX_MSGS]; /* ascending */
};
int index_row_encode(const struct index_row *r, struct buf *out);
int index_row_decode(struct slice v, struct index_row *r_out); /* 0 or ERR_CORRUPT */
/* The body that a row "t/…" names: for whoever collects bodies. 0 or ERR_CORRUPT. */
int index_row_body(struct slice v, uint64_t *body_out);

/* Where the slice of a hash lies in the block. */
uint64_t index_slice_at(const struct index_row *r, bool body, uint16_t hash);
uint64_t index_size(const struct index_row *r);

/* Makes out a block without messages, of r's sizes. 0 or ERR_NOMEM. */
int index_block_begin(const struct index_row *r, struct buf *out);
/* Sets the bits of message i. trace: hashes that its header has besides. */
void index_block_add(const struct index_row *r, struct buf *block, uint32_t i, const struct sig *s,
    const uint16_t *trace, size_t n_trace);

#endif
