/* urgent_rate.c: urgent documents counted by login. Runs in smtpd-queue, of which there is one process. Invariant: of a login no more times are kept than
 * it may have in an hour. */
#include "config.h"

#include "smtpd/urgent_rate.h"

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

enum { HOUR_MS = 3600000, LOGINS_MAX = 4096 };

struct entry {
	char *login;
	int64_t *at; /* of the last ones, in a ring of per_hour */
	unsigned n, next;
	int64_t last;
};
struct urgent_rate {
	unsigned per_hour;
	struct entry *v;
	size_t n, alloc;
};

struct urgent_rate *
urgent_rate_new(unsigned per_hour)
{
	struct urgent_rate *r = xcalloc(1, sizeof(*r));

	r->per_hour = per_hour;
	return r;
}

static void
drop(struct urgent_rate *r, size_t i)
{
	free(r->v[i].login);
	free(r->v[i].at);
	r->v[i] = r->v[--r->n];
}

void
urgent_rate_free(struct urgent_rate *r)
{
	if (r == NULL)
		return;
	while (r->n > 0)
		drop(r, r->n - 1);
	free(r->v);
	free(r);
}

/* Those of whom nothing counts any more; when that is nobody, the one that was quiet longest. */
static void
make_room(struct urgent_rate *r, int64_t now)
{
	size_t oldest = 0;

	for (size_t i = r->n; i-- > 0;)
		if (r->v[i].last + HOUR_MS <= now)
			drop(r, i);
	for (size_t i = 1; i < r->n; i++)
		if (r->v[i].last < r->v[oldest].last)
			oldest = i;
	if (r->n == LOGINS_MAX)
		drop(r, oldest);
}

static struct entry *
find(const struct urgent_rate *r, const char *login)
{
	for (size_t i = 0; i < r->n; i++)
		if (slice_caseeq_str(slice_str(login), r->v[i].login))
			return &r->v[i];
	return NULL;
}

static struct entry *
entry_of(struct urgent_rate *r, const char *login, int64_t now)
{
	struct entry *e = find(r, login);

	if (e != NULL)
		return e;
	if (r->n == r->alloc || r->n == LOGINS_MAX)
		make_room(r, now);
	if (r->n == r->alloc) {
		r->alloc = r->alloc == 0 ? 16 : 2 * r->alloc;
		r->v = xrealloc(r->v, r->alloc * sizeof(*r->v));
	}
	r->v[r->n] =
	    (struct entry){.login = xstrdup(login), .at = xcalloc(r->per_hour, sizeof(int64_t))};
	return &r->v[r->n++];
}

int
urgent_rate_take(struct urgent_rate *r, const char *login, int64_t now)
{
	struct entry *e;

	if (r->per_hour == 0)
		return 0;
	e = entry_of(r, login, now);
	/* the ring is full: its oldest time stands where the next one goes */
	if (e->n == r->per_hour && e->at[e->next] + HOUR_MS > now)
		return ERR_LIMIT;
	e->at[e->next] = e->last = now;
	e->next = (e->next + 1) % r->per_hour;
	e->n += e->n < r->per_hour;
	return 0;
}

void
urgent_rate_back(struct urgent_rate *r, const char *login)
{
	struct entry *e = find(r, login);

	if (e == NULL || e->n == 0)
		return;
	e->next = (e->next + r->per_hour - 1) % r->per_hour;
	e->n--;
}
