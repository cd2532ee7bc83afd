/* escape.h: names from outside inside LDAP filters (RFC 4515 3) and distinguished names (RFC 4514 2.4). Pure. */
#ifndef CV_ESCAPE_H
#define CV_ESCAPE_H

#include "lib/buf.h"

/* Appends value so that it stands for itself in a filter: NUL ( ) * \ and every byte outside printable ASCII as \xx. 0 or
 * the latched error of out. */
int escape_filter(struct slice value, struct buf *out);
/* Appends value so that it stands for itself as an attribute value of an RDN. */
int escape_rdn(struct slice value, struct buf *out);
/* Expands a filter of the configuration: %s is name, %d is dn, each escaped; %% is a percent sign. 0; ERR_SYNTAX for
 * another letter after a percent sign; the latched error of out. */
int escape_template(const char *tmpl, struct slice name, struct slice dn, struct buf *out);

#endif
