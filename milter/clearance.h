/* clearance.h: which classification each recipient domain may be sent (RFC 2634 3.2, MILTER.md case 31), as policy_clearances says. Pure. */
#ifndef CV_CLEARANCE_H
#define CV_CLEARANCE_H

#include "lib/buf.h"

#define CLEARANCES_MAX 4096

struct clearances;
struct clearances *clearances_new(void);
void clearances_free(struct clearances *c); /* NULL is accepted */
/* "DOMAIN=LEVEL", ".DOMAIN=LEVEL" for all below it, "*=LEVEL" for all others. LEVEL: unmarked, unclassified, restricted, confidential, secret,
 * top-secret, or 0 to 256. 0, ERR_SYNTAX or ERR_LIMIT with *why (static). */
int clearances_add(struct clearances *c, const char *text, const char **why);
/* The level of a domain (any case): the longest row that fits; 256 (all) without any row at all, 0 when none fits. */
int clearances_of(const struct clearances *c, struct slice domain);
/* "secret"; a number where RFC 2634 has no name. */
void clearance_name(int level, struct buf *out);
/* What was added, line by line: for the hash of the policy. */
void clearances_text(const struct clearances *c, struct buf *out);

#endif
