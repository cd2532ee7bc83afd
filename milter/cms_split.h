/* cms_split.h: a CMS SignedData taken apart into its certificates and the rest, so that certificates seen before need not be parsed again. RFC 5652 5.1. */
#ifndef CV_CMS_SPLIT_H
#define CV_CMS_SPLIT_H

#include "lib/buf.h"

#define CMS_SPLIT_CERTS_MAX 20

struct cms_split {
	struct slice
	    certs[CMS_SPLIT_CERTS_MAX]; /* each one whole; they point into what was split */
	size_t n;
};
/* der: a ContentInfo. True when it is a SignedData in plain DER (each length definite and as short as can be, down to the list of certificates, and nothing behind
 * it) with 1 to CMS_SPLIT_CERTS_MAX certificates that are X.509's and nothing else among them; rest then has the same object without them. False for
 * everything else, whether or not it is a good object: who asks parses it whole. rest may hold anything then. */
bool cms_split(struct slice der, struct cms_split *out, struct buf *rest);

#endif
