/* lookup_client_priv.h: shared by lookup_client*.c alone. */
#ifndef CV_LOOKUP_CLIENT_PRIV_H
#define CV_LOOKUP_CLIENT_PRIV_H

#include "directory/lookup_client.h"

struct ipc_client *lookup_client_ipc(struct lookup_client *c);

#endif
