/* lookup_client_route.c: asks lookup how mail for an address goes on: forwards, automatic reply, who may send to a group. Runs in
 * smtpd-session. */
#include "config.h"

#include "directory/lookup_client_priv.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

enum { HOPS_MAX = 1000, ADDRESSES_MAX = 1000 };

struct route_call {
	lookup_route_fn fn;
	void *arg;
};

static void
reply_free(struct lookup_reply *x)
{
	if (x == NULL)
		return;
	free(x->account);
	free(x->address);
	free(x->name);
	free(x->subject);
	free(x->text);
	for (size_t i = 0; i < x->n_addresses; i++)
		free(x->addresses[i]);
	free(x->addresses);
	free(x);
}

static void
route_done(struct lookup_route *o)
{
	for (size_t i = 0; i < o->n_hops; i++) {
		free(o->hops[i].to);
		free(o->hops[i].by);
	}
	free(o->hops);
	reply_free(o->reply);
}

static int
reply_get(struct ipc_reader *r, struct lookup_reply *x)
{
	x->account = ipc_get_strdup(r);
	x->address = ipc_get_strdup(r);
	x->name = ipc_get_strdup(r);
	x->subject = ipc_get_strdup(r);
	x->text = ipc_get_strdup(r);
	x->days = ipc_get_u32(r);
	uint32_t n = ipc_get_count(r, ADDRESSES_MAX, 4);
	if (x->account == NULL || x->address == NULL || x->name == NULL || x->subject == NULL ||
	    x->text == NULL)
		return ERR_PROTO;
	x->addresses = xcalloc((size_t)n + 1, sizeof(*x->addresses));
	for (uint32_t i = 0; i < n; i++) {
		char *a = ipc_get_strdup(r);
		if (a == NULL)
			return ERR_PROTO;
		x->addresses[x->n_addresses++] = a;
	}
	return 0;
}

static int
route_get(struct ipc_reader *r, struct lookup_route *o)
{
	uint8_t kind = ipc_get_u8(r);

	o->may_send = ipc_get_u8(r) != 0;
	o->group = ipc_get_u8(r) != 0;
	o->keep = ipc_get_u8(r) != 0;
	uint32_t n = ipc_get_count(r, HOPS_MAX, 13);
	if (kind < LOOKUP_RCPT_LOCAL || kind > LOOKUP_RCPT_NONE)
		return ERR_PROTO;
	o->kind = (enum lookup_rcpt_kind)kind;
	o->hops = xcalloc((size_t)n + 1, sizeof(*o->hops));
	for (uint32_t i = 0; i < n; i++) {
		struct lookup_hop *h = &o->hops[o->n_hops++];
		h->to = ipc_get_strdup(r);
		h->by = ipc_get_strdup(r);
		struct slice secret = ipc_get_slice(r);
		h->remote = ipc_get_u8(r) != 0;
		if (h->to == NULL || h->by == NULL || secret.len != sizeof(h->secret))
			return ERR_PROTO;
		memcpy(h->secret, secret.ptr, sizeof(h->secret));
	}
	if (ipc_get_u8(r) != 0) {
		o->reply = xcalloc(1, sizeof(*o->reply));
		int err = reply_get(r, o->reply);
		if (err != 0)
			return err;
	}
	return ipc_reader_end(r);
}

static void
on_reply(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct route_call *call = arg;
	struct lookup_route route = {.keep = true};

	(void)fd;
	if (err == 0)
		err = type == LOOKUP_ROUTE_IS ? route_get(r, &route) : ERR_PROTO;
	if (err != 0 && err != ERR_LIMIT)
		err = ERR_TEMP;
	call->fn(call->arg, err, err == 0 ? &route : NULL);
	route_done(&route);
	free(call);
}

int
lookup_route(struct lookup_client *c, struct slice address, const char *sender, bool signed_in,
    unsigned timeout_ms, lookup_route_fn fn, void *arg)
{
	struct route_call *call = xcalloc(1, sizeof(*call));
	struct buf b;

	call->fn = fn;
	call->arg = arg;
	buf_init(&b, 2048);
	ipc_put_slice(&b, address);
	ipc_put_str(&b, sender);
	int err = ipc_put_u8(&b, signed_in);
	if (err == 0)
		err = ipc_call(
		    lookup_client_ipc(c), LOOKUP_ROUTE, &b, -1, timeout_ms, on_reply, call, NULL);
	buf_done(&b);
	if (err != 0)
		free(call);
	return err;
}
