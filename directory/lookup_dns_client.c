/* lookup_dns_client.c: lookup_dns_client.h on the loop. Runs in relay. Lookup is another role, and is not believed: counts and texts are
 * bounded. */
#include "config.h"

#include "directory/lookup_dns_client.h"

#include "directory/lookup_client_priv.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>

enum { RECORDS_MAX = 200, TEXT_MAX = 253 };

struct dns_call {
	lookup_dns_fn fn;
	void *arg;
	uint16_t want;
};

static int
parse(struct ipc_reader *r, bool mx, struct lookup_dns *d)
{
	uint8_t kind = ipc_get_u8(r);

	d->secure = ipc_get_u8(r) != 0;
	uint32_t n = ipc_get_count(r, RECORDS_MAX, mx ? 6 : 4);
	if (kind < LOOKUP_DNS_FOUND || kind > LOOKUP_DNS_NODATA ||
	    (kind == LOOKUP_DNS_FOUND) != (n > 0))
		return ERR_PROTO;
	d->kind = kind;
	d->records = xcalloc((size_t)n + 1, sizeof(*d->records));
	for (uint32_t i = 0; i < n; i++) {
		struct lookup_dns_record *x = &d->records[d->n++];
		x->pref = mx ? ipc_get_u16(r) : 0;
		x->text = ipc_get_strdup(r);
		if (x->text == NULL || slice_str(x->text).len > TEXT_MAX)
			return ERR_PROTO;
	}
	return ipc_reader_end(r);
}

static void
on_reply(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct dns_call *k = arg;
	struct lookup_dns d = {.n = 0};

	(void)fd;
	if (err == 0)
		err = type == k->want ? parse(r, k->want == LOOKUP_MX_IS, &d) : ERR_PROTO;
	if (err != 0 && err != ERR_SYNTAX)
		err = ERR_TEMP;
	k->fn(k->arg, err, err == 0 ? &d : NULL);
	for (size_t i = 0; i < d.n; i++)
		free(d.records[i].text);
	free(d.records);
	free(k);
}

static int
ask(struct lookup_client *c, uint16_t type, uint16_t want, const char *name, unsigned timeout_ms,
    lookup_dns_fn fn, void *arg)
{
	struct dns_call *k = xcalloc(1, sizeof(*k));
	struct buf b;

	k->fn = fn;
	k->arg = arg;
	k->want = want;
	buf_init(&b, 1024);
	int r = ipc_put_str(&b, name);
	if (r == 0)
		r = ipc_call(lookup_client_ipc(c), type, &b, -1, timeout_ms, on_reply, k, NULL);
	buf_done(&b);
	if (r != 0)
		free(k);
	return r;
}

int
lookup_mx(
    struct lookup_client *c, const char *domain, unsigned timeout_ms, lookup_dns_fn fn, void *arg)
{
	return ask(c, LOOKUP_MX, LOOKUP_MX_IS, domain, timeout_ms, fn, arg);
}

int
lookup_host(
    struct lookup_client *c, const char *host, unsigned timeout_ms, lookup_dns_fn fn, void *arg)
{
	return ask(c, LOOKUP_HOST, LOOKUP_HOST_IS, host, timeout_ms, fn, arg);
}
