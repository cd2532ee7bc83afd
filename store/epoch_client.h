/* epoch_client.h: lookup's door to stored (store.lookup.sock): a person's epoch was raised in the directory, so tickets of an older one are good no more, also
 * one that a session which was taken over keeps and never renews. On the loop. */
#ifndef CV_EPOCH_CLIENT_H
#define CV_EPOCH_CLIENT_H

#include "lib/ipc.h"

#define EPOCH_WAITING_MAX \
	65536 /* told later when stored is away; the oldest are forgotten past that */

struct epoch_client;
/* socket: "store.lookup.sock". fatal() for no memory. */
struct epoch_client *epoch_client_new(struct loop *l, const char *socket);
void epoch_client_free(struct epoch_client *c); /* NULL accepted */
/* stored is told until it has answered. The same epoch of the same account again, as of late, is not told. */
void epoch_raise(struct epoch_client *c, const char *account, uint64_t epoch);

#endif
