/* sio_label.h: the header field SIO-Label (RFC 7444): what a mail's security label says, outside of its signature. Pure. */
#ifndef CV_SIO_LABEL_H
#define CV_SIO_LABEL_H

#include "lib/arena.h"

struct sio_label {
	bool there;
	const char *bad;      /* why it cannot be read; NULL: it can */
	int level;            /* classification of RFC 2634 3.2, 0 to 256; -1: not known */
	struct slice policy;  /* security-policy-identifier, dotted; empty: none */
	struct slice marking; /* as it is shown, UTF-8 */
};
/* Of a header block. More than one field, or one that cannot be read, is bad, and its level the highest that any of it says. Slices live in a. 0, ERR_NOMEM. */
int sio_label_read(struct slice header, struct arena *a, struct sio_label *out);

#endif
