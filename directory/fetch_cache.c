/* fetch_cache.c: fetch_cache.h: a table by hash, and a list in the order of use. In fetch. */
#include "config.h"

#include "directory/fetch_cache.h"

#include "lib/crypto.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum { BUCKETS = 1024 };

struct entry {
	LIST_ENTRY(entry) link;
	TAILQ_ENTRY(entry) use; /* last: used last */
	unsigned char key[FETCH_KEY];
	struct fetch_answer *answer; /* may be NULL: only the failure is known */
	int64_t failed_at;
	int failed; /* enum err; 0: did not */
};
struct fetch_cache {
	LIST_HEAD(, entry) buckets[BUCKETS];
	TAILQ_HEAD(uses, entry) uses;
	size_t bytes, bytes_max;
	unsigned n, n_max;
};

void
fetch_key_of(const struct fetch_request *r, unsigned char key[FETCH_KEY])
{
	struct sha256 *h = sha256_new();
	unsigned char post = r->is_post;

	sha256_update(h, &post, 1);
	sha256_update(h, r->url, strlen(r->url) + 1);
	if (r->is_post) {
		sha256_update(h, r->content_type, strlen(r->content_type) + 1);
		sha256_update(h, r->body.ptr, r->body.len);
	}
	sha256_final(h, key);
	sha256_free(h);
}

struct fetch_cache *
fetch_cache_new(size_t bytes, unsigned entries)
{
	struct fetch_cache *c = xcalloc(1, sizeof(*c));

	for (size_t i = 0; i < BUCKETS; i++)
		LIST_INIT(&c->buckets[i]);
	TAILQ_INIT(&c->uses);
	c->bytes_max = bytes;
	c->n_max = entries;
	return c;
}

static void
answer_drop(struct fetch_cache *c, struct entry *e)
{
	if (e->answer != NULL)
		c->bytes -= e->answer->body.len;
	fetch_answer_free(e->answer);
	e->answer = NULL;
}

static void
entry_drop(struct fetch_cache *c, struct entry *e)
{
	answer_drop(c, e);
	LIST_REMOVE(e, link);
	TAILQ_REMOVE(&c->uses, e, use);
	c->n--;
	free(e);
}

void
fetch_cache_free(struct fetch_cache *c)
{
	if (c == NULL)
		return;
	while (!TAILQ_EMPTY(&c->uses))
		entry_drop(c, TAILQ_FIRST(&c->uses));
	free(c);
}

static size_t
bucket_of(const unsigned char *key)
{
	return ((size_t)key[0] << 8 | key[1]) % BUCKETS;
}

static struct entry *
find(struct fetch_cache *c, const unsigned char *key)
{
	struct entry *e;

	LIST_FOREACH (e, &c->buckets[bucket_of(key)], link) {
		if (memcmp(e->key, key, FETCH_KEY) != 0)
			continue;
		TAILQ_REMOVE(&c->uses, e, use);
		TAILQ_INSERT_TAIL(&c->uses, e, use);
		return e;
	}
	return NULL;
}

static struct entry *
find_or_add(struct fetch_cache *c, const unsigned char *key)
{
	struct entry *e = find(c, key);

	if (e != NULL)
		return e;
	e = xcalloc(1, sizeof(*e));
	memcpy(e->key, key, FETCH_KEY);
	LIST_INSERT_HEAD(&c->buckets[bucket_of(key)], e, link);
	TAILQ_INSERT_TAIL(&c->uses, e, use);
	c->n++;
	return e;
}

/* keep, used last, stays. */
static void
make_room(struct fetch_cache *c, const struct entry *keep)
{
	while ((c->n > c->n_max || c->bytes > c->bytes_max) && TAILQ_FIRST(&c->uses) != keep)
		entry_drop(c, TAILQ_FIRST(&c->uses));
}

const struct fetch_answer *
fetch_cache_get(struct fetch_cache *c, const unsigned char key[FETCH_KEY])
{
	const struct entry *e = find(c, key);

	return e == NULL ? NULL : e->answer;
}

void
fetch_cache_put_take(
    struct fetch_cache *c, const unsigned char key[FETCH_KEY], struct fetch_answer *a)
{
	struct entry *e = find_or_add(c, key);

	answer_drop(c, e);
	e->failed = 0;
	if (a->body.len > c->bytes_max / 2) {
		fetch_answer_free(a);
	} else {
		e->answer = a;
		c->bytes += a->body.len;
	}
	make_room(c, e);
}

void
fetch_cache_failed(struct fetch_cache *c, const unsigned char key[FETCH_KEY], int64_t now, int err)
{
	struct entry *e = find_or_add(c, key);

	e->failed = err;
	e->failed_at = now;
	make_room(c, e);
}

int
fetch_cache_failure(
    struct fetch_cache *c, const unsigned char key[FETCH_KEY], int64_t now, unsigned for_s)
{
	const struct entry *e = find(c, key);

	if (e == NULL || e->failed == 0 || now < e->failed_at ||
	    now - e->failed_at >= (int64_t)for_s)
		return 0;
	return e->failed;
}

size_t
fetch_cache_bytes(const struct fetch_cache *c)
{
	return c->bytes;
}
