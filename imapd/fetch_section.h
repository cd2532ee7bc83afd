/* fetch_section.h: which octets of a message a section is, and header fields picked out. Pure. RFC 3501 6.4.5. */
#ifndef CV_FETCH_SECTION_H
#define CV_FETCH_SECTION_H

#include "imapd/fetch_item.h"
#include "lib/mime.h"
#include "store/row.h"

/* [*off, *end) of the message as fetched (trace, then body). tree may be NULL for the whole message. false: there is no such section. Partial is not
 * applied. */
bool fetch_section_range(const struct fetch_item *it, const struct msg_row *row,
    const struct mime_part *tree, uint64_t *off, uint64_t *end);
/* HEADER.FIELDS (.NOT) of a header block, with the empty line at the end. */
int fetch_section_fields(const struct fetch_item *it, struct slice header, struct buf *out);
/* Whether the range can be known without the tree. */
bool fetch_section_is_whole(const struct fetch_item *it);

#endif
