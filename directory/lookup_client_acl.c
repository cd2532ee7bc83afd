/* lookup_client_acl.c: asks lookup who has which rights in an account. Runs in imapd-session. */
#include "config.h"

#include "directory/lookup_client_priv.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>

enum { ACES_MAX = 1000, ACL_MS = 15000 };

struct lookup_acl_call {
	lookup_acl_fn fn; /* NULL: nobody waits any more */
	void *arg;
};

static int
acl_get(struct ipc_reader *r, struct lookup_ace *v, size_t *n_out)
{
	uint32_t n = ipc_get_count(r, ACES_MAX, 8);

	for (*n_out = 0; *n_out < n;) {
		struct lookup_ace *a = &v[(*n_out)++];

		a->identifier = ipc_get_strdup(r);
		a->rights = ipc_get_strdup(r);
		if (a->identifier == NULL || a->rights == NULL)
			return ERR_PROTO;
	}
	return ipc_reader_end(r);
}

static void
on_reply(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct lookup_ace *v = xcalloc(ACES_MAX, sizeof(*v));
	struct lookup_acl_call *k = arg;
	size_t n = 0;

	(void)fd;
	if (err == 0)
		err = type == LOOKUP_ACL_IS ? acl_get(r, v, &n) : ERR_PROTO;
	if (err != 0 && err != ERR_DENIED && err != ERR_NOTFOUND)
		err = ERR_TEMP;
	if (k->fn != NULL)
		k->fn(k->arg, err, v, err == 0 ? n : 0);
	for (size_t i = 0; i < n; i++) {
		free(v[i].identifier);
		free(v[i].rights);
	}
	free(v);
	free(k);
}

struct lookup_acl_call *
lookup_acl(
    struct lookup_client *c, struct slice ticket, struct slice account, lookup_acl_fn fn, void *arg)
{
	struct lookup_acl_call *k = xcalloc(1, sizeof(*k));
	struct buf b;
	int err;

	k->fn = fn;
	k->arg = arg;
	buf_init(&b, 65536);
	ipc_put_slice(&b, ticket);
	err = ipc_put_slice(&b, account);
	if (err == 0)
		err = ipc_call(lookup_client_ipc(c), LOOKUP_ACL, &b, -1, ACL_MS, on_reply, k, NULL);
	buf_wipe(&b);
	if (err == 0)
		return k;
	free(k);
	return NULL;
}

void
lookup_acl_cancel(struct lookup_acl_call *k)
{
	if (k != NULL)
		k->fn = NULL; /* its answer frees it */
}
