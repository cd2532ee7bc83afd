/* fetch_ldif.h: the text libcurl makes of an LDAP answer, read back. Pure. */
#ifndef CV_FETCH_LDIF_H
#define CV_FETCH_LDIF_H

#include "lib/buf.h"

/* The first value of attribute attr in text: lines "\tNAME: value" or "\tNAME:: base64", after a line "DN: …". Options are compared
 * too ("certificateRevocationList;binary"), but a server may leave ";binary" away or add it. Appended to out. 0; ERR_NOTFOUND;
 * ERR_SYNTAX: bad base64; ERR_LIMIT. */
int fetch_ldif_value(struct slice text, struct slice attr, struct buf *out);

#endif
