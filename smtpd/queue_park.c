/* queue_park.c: messages that wait for a destination of relay's, which names it by a number. Runs in smtpd-queue; in memory alone. Invariant: a message waits
 * for one name at most; what waits for a name goes in the order in which it came, urgent ones (P32) first. */
#include "config.h"

#include "smtpd/queue_db.h"

#include "lib/log.h"

#include <stdlib.h>

enum { BUCKETS = 4096 };

/* A line of those that wait. */
struct line {
	struct qent *first, *last;
};
struct qpark {
	uint64_t name;
	struct line lines[2]; /* [1]: the urgent ones */
	struct qpark *next;
	struct qpark *older, *newer; /* all of them */
};
struct qparks {
	struct qpark *buckets[BUCKETS];
	struct qpark *oldest, *newest;
};

struct qparks *
qparks_new(void)
{
	return xcalloc(1, sizeof(struct qparks));
}

void
qparks_free(struct qparks *p)
{
	struct qpark *k;

	while (p != NULL && (k = p->oldest) != NULL) {
		p->oldest = k->newer;
		free(k);
	}
	free(p);
}

static struct qpark **
find(struct qparks *p, uint64_t name)
{
	struct qpark **at = &p->buckets[name % BUCKETS];

	while (*at != NULL && (*at)->name != name)
		at = &(*at)->next;
	return at;
}

static struct qpark *
park_new(struct qparks *p, struct qpark **at, uint64_t name)
{
	struct qpark *k = xcalloc(1, sizeof(*k));

	k->name = name;
	*at = k;
	k->older = p->newest;
	*(p->newest != NULL ? &p->newest->newer : &p->oldest) = k;
	p->newest = k;
	return k;
}

static void
park_drop(struct qparks *p, struct qpark *k)
{
	*find(p, k->name) = k->next;
	*(k->older != NULL ? &k->older->newer : &p->oldest) = k->newer;
	*(k->newer != NULL ? &k->newer->older : &p->newest) = k->older;
	free(k);
}

void
qparks_add(struct qparks *p, struct qent *e, uint64_t name)
{
	struct qpark **at = find(p, name);
	struct qpark *k = *at != NULL ? *at : park_new(p, at, name);
	struct line *l = &k->lines[e->urgent];

	e->park = k;
	e->park_next = NULL;
	e->park_before = l->last;
	*(l->last != NULL ? &l->last->park_next : &l->first) = e;
	l->last = e;
}

void
qparks_leave(struct qparks *p, struct qent *e)
{
	struct qpark *k = e->park;

	if (k == NULL)
		return;
	struct line *l = &k->lines[e->urgent];
	*(e->park_before != NULL ? &e->park_before->park_next : &l->first) = e->park_next;
	*(e->park_next != NULL ? &e->park_next->park_before : &l->last) = e->park_before;
	e->park = NULL;
	e->park_next = e->park_before = NULL;
	if (k->lines[0].first == NULL && k->lines[1].first == NULL)
		park_drop(p, k);
}

static struct qent *
first_of(const struct qpark *k)
{
	return k->lines[1].first != NULL ? k->lines[1].first : k->lines[0].first;
}

struct qent *
qparks_first(struct qparks *p, uint64_t name)
{
	const struct qpark *k = *find(p, name);

	return k == NULL ? NULL : first_of(k);
}

struct qent *
qparks_any(const struct qparks *p)
{
	return p->oldest == NULL ? NULL : first_of(p->oldest);
}
