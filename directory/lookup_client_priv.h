/* lookup_client_priv.h: shared by lookup_client*.c alone. */
#ifndef CV_LOOKUP_CLIENT_PRIV_H
#define CV_LOOKUP_CLIENT_PRIV_H

#include "directory/lookup_client.h"

struct ipc_client *lookup_client_ipc(struct lookup_client *c);

/* ---- lookup_client_watch.c ---- */
struct lookup_watches;
struct lookup_watches *lookup_watches_new(struct lookup_client *c, struct loop *l);
void lookup_watches_free(struct lookup_watches *v);
void lookup_watches_up(struct lookup_watches *v);
void lookup_watches_down(struct lookup_watches *v);
void lookup_watches_notify(struct lookup_watches *v, uint16_t type, struct ipc_reader *r);
struct lookup_watches *lookup_client_watches(struct lookup_client *c);
/* What LOOKUP_AUTH_DONE and LOOKUP_CHANGED have in common, up to the shares. 0, ERR_PROTO, ERR_NOMEM; l is to be freed in any case. */
int lookup_login_get(struct ipc_reader *r, struct lookup_login *l);

#endif
