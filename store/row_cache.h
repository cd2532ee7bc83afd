/* row_cache.h: rows of messages as they were committed last, for changes that come soon after (a flag of mail that was just delivered or changed).
 * Bounded: a newer row takes the place of the one before it in its slot. Runs in stored, on the loop's thread. Who commits keeps it true: every row of
 * a message that is put goes in, every one that is removed goes out. */
#ifndef CV_ROW_CACHE_H
#define CV_ROW_CACHE_H

#include "lib/buf.h"

#define ROW_CACHE_VALUE_MAX 4096 /* longer rows are not kept */

struct row_cache;
struct row_cache *row_cache_new(void);
void row_cache_free(struct row_cache *c); /* NULL accepted */
void row_cache_put(struct row_cache *c, uint64_t mailbox, uint32_t uid, struct slice value);
void row_cache_drop(struct row_cache *c, uint64_t mailbox, uint32_t uid);
/* Borrowed until the next put or drop. */
bool row_cache_get(
    const struct row_cache *c, uint64_t mailbox, uint32_t uid, struct slice *value_out);

#endif
