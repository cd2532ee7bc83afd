/* idna.h: internationalised domain names, pure: the only door to libidn2. RFC 5891 (IDNA 2008). */
#ifndef CV_IDNA_H
#define CV_IDNA_H

#include "lib/buf.h"

/* A domain in UTF-8 → A-labels in lower case, appended. ASCII names pass lower-cased. ERR_SYNTAX: no such name can be. */
int idna_to_ascii(struct slice domain, struct buf *out);

#endif
