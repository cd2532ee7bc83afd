/* login_cache.c: a table of HMACs under a key that only this process knows, four places for each hash; the oldest gives way. Runs in lookup's
 * workers. Only successes are kept: a wrong password always goes to the directory, which counts it. */
#include "config.h"

#include "directory/login_cache.h"

#include "lib/crypto.h"
#include "lib/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SETS = 2048, WAYS = 4 };

struct place {
	unsigned char tag[32];
	uint64_t until; /* 0: free */
};
struct login_cache {
	pthread_mutex_t lock;
	unsigned char key[32];
	uint64_t keep_ms;
	struct place v[SETS][WAYS];
};

struct login_cache *
login_cache_new(unsigned seconds)
{
	struct login_cache *c = xcalloc(1, sizeof(*c));

	pthread_mutex_init(&c->lock, NULL);
	random_bytes(c->key, sizeof(c->key));
	c->keep_ms = (uint64_t)seconds * 1000;
	return c;
}

void
login_cache_free(struct login_cache *c)
{
	if (c == NULL)
		return;
	pthread_mutex_destroy(&c->lock);
	explicit_bzero(c, sizeof(*c));
	free(c);
}

/* False when it cannot be kept. Lengths are written, so that no two triples give the same bytes. */
static bool
tag_of(const struct login_cache *c, const char *dn, const char *version, struct slice password,
    unsigned char tag[32])
{
	struct buf b;
	bool good;

	if (c->keep_ms == 0 || *version == '\0')
		return false;
	buf_init(&b, 65536);
	buf_append_u32(&b, (uint32_t)strlen(dn));
	buf_append_str(&b, dn);
	buf_append_u32(&b, (uint32_t)strlen(version));
	buf_append_str(&b, version);
	buf_append_slice(&b, password);
	good = b.err == 0;
	if (good)
		hmac_sha256(slice_of(c->key, sizeof(c->key)), buf_slice(&b), tag);
	buf_wipe(&b);
	return good;
}

static struct place *
set_of(struct login_cache *c, const unsigned char tag[32])
{
	return c->v[(tag[0] << 8 | tag[1]) % SETS];
}

bool
login_cache_has(struct login_cache *c, const char *dn, const char *version, struct slice password,
    uint64_t now_ms)
{
	unsigned char tag[32];
	struct place *set;
	bool found = false;

	if (!tag_of(c, dn, version, password, tag))
		return false;
	set = set_of(c, tag);
	pthread_mutex_lock(&c->lock);
	for (int i = 0; i < WAYS; i++)
		found = found || (set[i].until > now_ms && secret_eq(set[i].tag, tag, 32));
	pthread_mutex_unlock(&c->lock);
	return found;
}

void
login_cache_put(struct login_cache *c, const char *dn, const char *version, struct slice password,
    uint64_t now_ms)
{
	unsigned char tag[32];
	struct place *set, *at;

	if (!tag_of(c, dn, version, password, tag))
		return;
	set = at = set_of(c, tag);
	pthread_mutex_lock(&c->lock);
	for (int i = 0; i < WAYS; i++) {
		if (set[i].until < at->until)
			at = &set[i];
	}
	memcpy(at->tag, tag, 32);
	at->until = now_ms + c->keep_ms;
	pthread_mutex_unlock(&c->lock);
}
