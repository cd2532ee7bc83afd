/* scan_terms.h: what is asked of one scan: bounds below the built-in ones, and which source of revocation is asked first (the policy's limits and trust). */
#ifndef CV_SCAN_TERMS_H
#define CV_SCAN_TERMS_H

#include "lib/ipc.h"

#define SCAN_DEPTH_MAX 8            /* messages in messages, archives in archives */
#define SCAN_ENTRIES_MAX 2000       /* archive members of one message */
#define SCAN_BYTES_MAX (200u << 20) /* unpacked octets of one message */
#define SCAN_RATIO_MAX 200          /* unpacked to packed, from 16 MiB on */
#define SCAN_TIME_MAX 60            /* seconds; milter_scan_timeout_ms is nearer as a rule */

enum scan_prefer { PREFER_NONE, PREFER_CRL, PREFER_OCSP };
struct scan_terms {
	uint32_t depth, entries, bytes, ratio, time_s; /* 0: the built-in bound */
	enum scan_prefer prefer;
};

/* Whether anything is asked. */
static inline bool
scan_terms_any(const struct scan_terms *t)
{
	return t->depth != 0 || t->entries != 0 || t->bytes != 0 || t->ratio != 0 ||
	       t->time_s != 0 || t->prefer != PREFER_NONE;
}
/* On the wire; what is read is never above the built-in bounds. */
void scan_terms_put(const struct scan_terms *t, struct buf *out);
void scan_terms_get(struct ipc_reader *r, struct scan_terms *out);

#endif
