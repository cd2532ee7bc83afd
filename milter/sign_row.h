/* sign_row.h: a row of the option gateway_sign: ADDRESS=KEY:CERTIFICATES, a functional mailbox and the files of its key. Pure. */
#ifndef CV_SIGN_ROW_H
#define CV_SIGN_ROW_H

#include "lib/buf.h"

/* Appends the normalized address; key (a file, or a URI of RFC 7512) and certs are borrowed from row. 0, or ERR_SYNTAX with *why_out (static). */
int sign_row_parse(const char *row, struct buf *address, struct slice *key_out,
    struct slice *certs_out, const char **why_out);

#endif
