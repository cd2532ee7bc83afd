/* limits.c: connections counted by address and network. Runs in smtpd-session. Invariant: an entry is in memory while its count is not 0,
 * so there are at most two for each connection. The seed keeps peers from choosing addresses that share a bucket. */
#include "config.h"

#include "smtpd/limits.h"

#include "lib/err.h"
#include "lib/log.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { BUCKETS = 4096 };

/* The first len octets of an address; 4 and 3 of IPv4, 8 and 6 of IPv6: no two kinds are of one length. */
struct prefix {
	unsigned char len, b[8];
};
struct entry {
	struct entry *next;
	struct prefix p;
	unsigned n;
};
struct limits {
	unsigned max[2]; /* of an address, of a network */
	uint64_t seed;
	size_t used;
	struct entry *buckets[BUCKETS];
};

struct limits *
limits_new(unsigned per_address, unsigned per_network)
{
	struct limits *l = xcalloc(1, sizeof(*l));

	l->max[0] = per_address;
	l->max[1] = per_network;
	if (getrandom(&l->seed, sizeof(l->seed), 0) != sizeof(l->seed))
		fatal("getrandom");
	return l;
}

void
limits_free(struct limits *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while (l->buckets[i] != NULL) {
			struct entry *e = l->buckets[i];
			l->buckets[i] = e->next;
			free(e);
		}
	free(l);
}

/* Address and network; false when it is no IP literal. ::ffff:192.0.2.1 is IPv4. */
static bool
prefixes(const char *ip, struct prefix out[2])
{
	static const unsigned char mapped[12] = {[10] = 0xFF, [11] = 0xFF};
	unsigned char b[16];
	bool v4 = inet_pton(AF_INET, ip, b) == 1;

	if (!v4 && inet_pton(AF_INET6, ip, b) != 1)
		return false;
	if (!v4 && memcmp(b, mapped, sizeof(mapped)) == 0) {
		memmove(b, b + 12, 4);
		v4 = true;
	}
	memset(out, 0, 2 * sizeof(*out));
	out[0].len = v4 ? 4 : 8;
	out[1].len = v4 ? 3 : 6;
	for (int i = 0; i < 2; i++)
		memcpy(out[i].b, b, out[i].len);
	return true;
}

static struct entry **
find(struct limits *l, const struct prefix *p)
{
	uint64_t h = l->seed ^ p->len;
	struct entry **at;

	for (size_t i = 0; i < sizeof(p->b); i++)
		h = (h ^ p->b[i]) * 0x9E3779B97F4A7C15u, h ^= h >> 29;
	at = &l->buckets[h % BUCKETS];
	while (*at != NULL && memcmp(&(*at)->p, p, sizeof(*p)) != 0)
		at = &(*at)->next;
	return at;
}

int
limits_enter(struct limits *l, const char *ip)
{
	struct prefix p[2];
	struct entry **at[2];

	if (!prefixes(ip, p))
		return 0;
	for (int i = 0; i < 2; i++) {
		at[i] = find(l, &p[i]);
		if (*at[i] != NULL && l->max[i] != 0 && (*at[i])->n >= l->max[i])
			return ERR_LIMIT;
	}
	for (int i = 0; i < 2; i++) {
		at[i] = find(l, &p[i]); /* the first may have gone where the second was to go */
		if (*at[i] == NULL) {
			*at[i] = xcalloc(1, sizeof(**at[i]));
			(*at[i])->p = p[i];
			l->used++;
		}
		(*at[i])->n++;
	}
	return 0;
}

void
limits_leave(struct limits *l, const char *ip)
{
	struct prefix p[2];

	if (!prefixes(ip, p))
		return;
	for (int i = 0; i < 2; i++) {
		struct entry **at = find(l, &p[i]), *e = *at;
		if (e == NULL || --e->n > 0)
			continue;
		*at = e->next;
		free(e);
		l->used--;
	}
}

size_t
limits_used(const struct limits *l)
{
	return l->used;
}
