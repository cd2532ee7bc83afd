/* secrecy.h: marks of state secrets (P12): stamps and header phrases, not the bare word "mật" (mật khẩu, bảo mật, mật ong). Pure. */
#ifndef CV_SECRECY_H
#define CV_SECRECY_H

#include "lib/buf.h"

/* Each says whether the text carries a mark, and appends the mark as it stands there to found. Texts are UTF-8. */
bool secrecy_in_subject(struct slice s, struct buf *found);
bool secrecy_in_name(struct slice s, struct buf *found);
/* Line by line: a stamp stands alone in its line or column; "Độ mật: Tối mật". At most the first MiB is read. */
bool secrecy_in_text(struct slice s, struct buf *found);
/* HTML as text: tags dropped, a line for each paragraph and cell. */
void secrecy_html_text(struct slice html, struct buf *out);

#endif
