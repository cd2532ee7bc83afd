/* preview.h: the text of a PREVIEW: the beginning of what a message says, in one line. Pure. RFC 8970 3.3. */
#ifndef CV_PREVIEW_H
#define CV_PREVIEW_H

#include "lib/buf.h"

#define PREVIEW_CHARS 200 /* RFC 8970 3.3: SHOULD; at most 256 */

/* text: UTF-8 of a text part or its beginning, is_html as it says. Appended: at most PREVIEW_CHARS characters, no controls, white space run together; of
 * plain text quoted lines and what stands behind "-- " are left out, of HTML tags, comments, style and script. 0 or ERR_NOMEM, ERR_LIMIT. */
int preview_make(struct slice text, bool is_html, struct buf *out);

#endif
