/* route_memory.c: see route_memory.h. Runs in smtpd-session. A table of fixed size: a newer address takes the place of the one before it in its slot. */
#include "config.h"

#include "smtpd/route_memory.h"

#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 1024, ADDRESS_MAX = 118 };

struct slot {
	uint64_t at_ms;
	unsigned char len; /* 0: empty */
	unsigned char address[ADDRESS_MAX];
};
struct route_memory {
	struct slot slots[SLOTS];
};

struct route_memory *
route_memory_new(void)
{
	return xcalloc(1, sizeof(struct route_memory));
}

void
route_memory_free(struct route_memory *m)
{
	free(m);
}

static size_t
slot_of(struct slice address)
{
	uint32_t h = 2166136261u; /* FNV-1a: who chooses addresses can only make us ask */

	for (size_t i = 0; i < address.len; i++)
		h = (h ^ address.ptr[i]) * 16777619u;
	return h % SLOTS;
}

static bool
is_of(const struct slot *s, struct slice address)
{
	return s->len > 0 && slice_eq(slice_of(s->address, s->len), address);
}

void
route_memory_put(
    struct route_memory *m, struct slice address, const struct lookup_route *r, uint64_t now_ms)
{
	struct slot *s = &m->slots[slot_of(address)];
	bool is_plain = r->kind == LOOKUP_RCPT_LOCAL && r->may_send && r->keep && !r->group &&
			r->n_hops == 0 && r->reply == NULL;

	if (!is_plain || address.len == 0 || address.len > ADDRESS_MAX) {
		if (is_of(s, address))
			s->len = 0;
		return;
	}
	memcpy(s->address, address.ptr, address.len);
	s->len = (unsigned char)address.len;
	s->at_ms = now_ms;
}

const struct lookup_route *
route_memory_get(const struct route_memory *m, struct slice address, uint64_t now_ms)
{
	static const struct lookup_route plain = {
	    .kind = LOOKUP_RCPT_LOCAL, .may_send = true, .keep = true};
	const struct slot *s = &m->slots[slot_of(address)];

	return is_of(s, address) && now_ms - s->at_ms < ROUTE_MEMORY_MS ? &plain : NULL;
}
