/* rcpt_cache.h: which account an address meant a moment ago. A message's recipient is looked up by smtpd's session first, always anew; ingest is
 * asked twice more for the same one, when the recipient is named and when the message comes. Runs in ingest. */
#ifndef CV_RCPT_CACHE_H
#define CV_RCPT_CACHE_H

#include "directory/lookup_client.h"

/* How long an answer is remembered: what changes in the directory counts from then on. */
#define RCPT_CACHE_MS 2000

struct rcpt_cache;
struct rcpt_cache *rcpt_cache_new(void);
void rcpt_cache_free(struct rcpt_cache *c); /* NULL accepted */
/* Keeps a local recipient with one account; anything else is not kept ("no such recipient" is asked anew each time, groups too). */
void rcpt_cache_put(
    struct rcpt_cache *c, struct slice address, const struct lookup_rcpt *r, uint64_t now_ms);
/* What was kept less than RCPT_CACHE_MS ago; NULL when nothing was. Borrowed until the next put. */
const struct lookup_rcpt *rcpt_cache_get(
    struct rcpt_cache *c, struct slice address, uint64_t now_ms);

#endif
