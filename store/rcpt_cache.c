/* rcpt_cache.c: which account an address meant a moment ago (rcpt_cache.h). Runs in ingest. A table of fixed size: a newer address takes
 * the place of the one before it in its slot. */
#include "store/rcpt_cache.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

enum { SLOTS = 1024 };

struct slot {
	char *address; /* NULL: empty */
	size_t address_len;
	uint64_t at_ms;
	struct lookup_rcpt r;
	struct lookup_target target;
};
struct rcpt_cache {
	struct slot slots[SLOTS];
};

static void
slot_clear(struct slot *s)
{
	free(s->address);
	free(s->target.account);
	free(s->target.address);
	free(s->target.name);
	memset(s, 0, sizeof(*s));
}

static struct slot *
slot_of(struct rcpt_cache *c, struct slice address)
{
	uint32_t h = 2166136261u; /* FNV-1a: who chooses addresses can only make ingest ask again */

	for (size_t i = 0; i < address.len; i++)
		h = (h ^ address.ptr[i]) * 16777619u;
	return &c->slots[h % SLOTS];
}

struct rcpt_cache *
rcpt_cache_new(void)
{
	return xcalloc(1, sizeof(struct rcpt_cache));
}

void
rcpt_cache_free(struct rcpt_cache *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		slot_clear(&c->slots[i]);
	free(c);
}

void
rcpt_cache_put(
    struct rcpt_cache *c, struct slice address, const struct lookup_rcpt *r, uint64_t now_ms)
{
	struct slot *s = slot_of(c, address);

	slot_clear(s);
	if (r->kind != LOOKUP_RCPT_LOCAL || r->n_targets != 1)
		return;
	s->address = slice_dup(address);
	if (s->address == NULL)
		return;
	s->address_len = address.len;
	s->at_ms = now_ms;
	s->target.account = xstrdup(r->targets[0].account);
	s->target.address = xstrdup(r->targets[0].address);
	s->target.name = xstrdup(r->targets[0].name == NULL ? "" : r->targets[0].name);
	s->r = *r;
	s->r.targets = &s->target;
}

const struct lookup_rcpt *
rcpt_cache_get(struct rcpt_cache *c, struct slice address, uint64_t now_ms)
{
	struct slot *s = slot_of(c, address);

	if (s->address == NULL || !slice_eq(slice_of(s->address, s->address_len), address) ||
	    now_ms - s->at_ms >= RCPT_CACHE_MS)
		return NULL;
	return &s->r;
}
