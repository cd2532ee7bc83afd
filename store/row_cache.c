/* row_cache.c: see row_cache.h. Runs in stored. */
#include "store/row_cache.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

enum { SLOTS = 4096 };

struct slot {
	uint64_t mailbox;
	uint32_t uid; /* 0: empty */
	uint32_t len, alloc;
	unsigned char *value;
};
struct row_cache {
	struct slot slots[SLOTS];
};

struct row_cache *
row_cache_new(void)
{
	return xcalloc(1, sizeof(struct row_cache));
}

void
row_cache_free(struct row_cache *c)
{
	for (size_t i = 0; c != NULL && i < SLOTS; i++)
		free(c->slots[i].value);
	free(c);
}

/* Numbers of mailboxes are random, UIDs are not: neighbours stand side by side. */
static size_t
slot_of(uint64_t mailbox, uint32_t uid)
{
	return (size_t)((mailbox * 0x9e3779b97f4a7c15u >> 32) + uid) % SLOTS;
}

void
row_cache_put(struct row_cache *c, uint64_t mailbox, uint32_t uid, struct slice value)
{
	struct slot *s = &c->slots[slot_of(mailbox, uid)];

	if (value.len > ROW_CACHE_VALUE_MAX) {
		row_cache_drop(c, mailbox, uid);
		return;
	}
	if (value.len > s->alloc || s->alloc > 2 * value.len + 256) {
		free(s->value);
		s->alloc = (uint32_t)value.len + 64;
		s->value = xmalloc(s->alloc);
	}
	if (value.len > 0)
		memcpy(s->value, value.ptr, value.len);
	s->len = (uint32_t)value.len;
	s->mailbox = mailbox;
	s->uid = uid;
}

void
row_cache_drop(struct row_cache *c, uint64_t mailbox, uint32_t uid)
{
	struct slot *s = &c->slots[slot_of(mailbox, uid)];

	if (s->uid == uid && s->mailbox == mailbox)
		s->uid = 0;
}

bool
row_cache_get(const struct row_cache *c, uint64_t mailbox, uint32_t uid, struct slice *value_out)
{
	const struct slot *s = &c->slots[slot_of(mailbox, uid)];

	if (uid == 0 || s->uid != uid || s->mailbox != mailbox)
		return false;
	*value_out = slice_of(s->value, s->len);
	return true;
}
