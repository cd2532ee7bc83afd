/* sig_message.h: the signature of a whole message. For ingest. */
#ifndef CV_SIG_MESSAGE_H
#define CV_SIG_MESSAGE_H

#include "lib/mime_text.h"
#include "store/sig.h"

/* Of whole, whose tree is root (the one that goes into the summary); a: for the time being. Appends at most SIG_SIZE_MAX octets. Never fails on
 * content. 0 or the latched error of out. */
int sig_message(struct slice whole, const struct mime_part *root, struct arena *a, struct buf *out);
/* Of a text of documents (UTF-8, as store-text gives it), as of the body of a message. The same bounds. */
int sig_text(struct slice text, struct buf *out);

#endif
