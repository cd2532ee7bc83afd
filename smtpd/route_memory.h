/* route_memory.h: whose mailbox an address was a moment ago. In a burst many messages go to the same people, and the directory was asked about each of
 * them: what it said is good for ROUTE_MEMORY_MS more. Runs in smtpd-session. */
#ifndef CV_ROUTE_MEMORY_H
#define CV_ROUTE_MEMORY_H

#include "directory/lookup_client.h"

/* A change in the directory counts after this at the latest; a script that makes one and sends a mail at once may be quicker. */
#define ROUTE_MEMORY_MS 100

struct route_memory;
struct route_memory *route_memory_new(void);
void route_memory_free(struct route_memory *m); /* NULL accepted */
/* Keeps who is one mailbox of this site without more to it (no group, no forward, no automatic reply), which is the same whoever sends; all else is asked
 * about each time, and an address that has become such is forgotten. */
void route_memory_put(
    struct route_memory *m, struct slice address, const struct lookup_route *r, uint64_t now_ms);
/* What was kept less than ROUTE_MEMORY_MS ago; NULL when nothing was. Static. */
const struct lookup_route *route_memory_get(
    const struct route_memory *m, struct slice address, uint64_t now_ms);

#endif
