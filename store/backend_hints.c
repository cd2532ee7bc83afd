/* backend_hints.c: watches and pokes within one process. A poke is told from the loop, once for many. Runs in stored. */
#include "store/backend_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

enum { BUCKETS = 4096 };

struct watch {
	struct watch *next;
	uint32_t id;
	void (*fn)(void *arg, struct slice object);
	void *arg;
	size_t len;
	unsigned char object[BACKEND_OBJECT_MAX];
};
struct poke {
	struct poke *next;
	size_t len;
	unsigned char object[BACKEND_OBJECT_MAX];
};
struct hints {
	struct loop_defer *defer;
	struct watch *buckets[BUCKETS];
	struct poke *pokes, **pokes_end;
	uint32_t next_id;
};

static unsigned
bucket_of(struct slice o)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < o.len; i++)
		h = (h ^ o.ptr[i]) * 16777619u;
	return h % BUCKETS;
}

static bool
is_for(const struct watch *w, struct slice object)
{
	return slice_eq(slice_of(w->object, w->len), object);
}

/* A watcher may watch and unwatch in its callback; so one at a time is looked for anew. */
static void
tell(void *arg)
{
	struct hints *h = (struct hints *)arg;
	struct poke *p, *list = h->pokes;

	h->pokes = NULL;
	h->pokes_end = &h->pokes;
	while ((p = list) != NULL) {
		struct slice object = slice_of(p->object, p->len);
		uint32_t done = 0, upto = h->next_id;

		list = p->next;
		for (;;) {
			struct watch *w, *least = NULL;

			for (w = h->buckets[bucket_of(object)]; w != NULL; w = w->next)
				if (w->id > done && w->id <= upto && is_for(w, object) &&
				    (least == NULL || w->id < least->id))
					least = w;
			if (least == NULL)
				break;
			done = least->id;
			least->fn(least->arg, object);
		}
		free(p);
	}
}

struct hints *
hints_new(struct loop *l)
{
	struct hints *h = xcalloc(1, sizeof *h);

	h->pokes_end = &h->pokes;
	h->defer = loop_defer_new(l, tell, h);
	return h;
}

void
hints_free(struct hints *h)
{
	struct poke *p;
	struct watch *w;

	if (h == NULL)
		return;
	for (unsigned i = 0; i < BUCKETS; i++)
		while ((w = h->buckets[i]) != NULL) {
			h->buckets[i] = w->next;
			free(w);
		}
	while ((p = h->pokes) != NULL) {
		h->pokes = p->next;
		free(p);
	}
	loop_defer_free(h->defer);
	free(h);
}

uint32_t
hints_watch(
    struct hints *h, struct slice object, void (*fn)(void *arg, struct slice object), void *arg)
{
	struct watch *w = xcalloc(1, sizeof *w);
	unsigned b = bucket_of(object);

	w->id = ++h->next_id;
	w->fn = fn;
	w->arg = arg;
	w->len = object.len < sizeof w->object ? object.len : sizeof w->object;
	memcpy(w->object, object.ptr, w->len);
	w->next = h->buckets[b];
	h->buckets[b] = w;
	return w->id;
}

void
hints_unwatch(struct hints *h, uint32_t id)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct watch **at = &h->buckets[i]; *at != NULL; at = &(*at)->next)
			if ((*at)->id == id) {
				struct watch *w = *at;

				*at = w->next;
				free(w);
				return;
			}
}

void
hints_poke(struct hints *h, struct slice object)
{
	struct poke *p;

	for (p = h->pokes; p != NULL; p = p->next)
		if (slice_eq(slice_of(p->object, p->len), object))
			return;
	p = xcalloc(1, sizeof *p);
	p->len = object.len < sizeof p->object ? object.len : sizeof p->object;
	memcpy(p->object, object.ptr, p->len);
	*h->pokes_end = p;
	h->pokes_end = &p->next;
	loop_defer_set(h->defer);
}
