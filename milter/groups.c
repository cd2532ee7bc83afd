/* groups.c: what the policy wants to know of groups of the directory, before it is judged: whether an author or a recipient is a member. Runs in milter's
 * threads. Answers are remembered for five seconds, by group and address; what is not known is asked of lookup, many addresses at a time. */
#include "config.h"

#include "milter/groups.h"

#include "milter/policy.h"

#include "directory/lookup_client.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

enum { SLOTS = 4096, KEEP_S = 5 };

static struct {
	pthread_mutex_t lock;
	struct {
		unsigned char key[32]; /* of group and address */
		time_t until;
		bool is;
	} v[SLOTS];
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

static time_t
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static size_t
key_of(struct slice group, const char *address, unsigned char key[32])
{
	struct sha256 *sha = sha256_new();

	sha256_update(sha, group.ptr, group.len);
	sha256_update(sha, "\n", 1);
	sha256_update(sha, address, strlen(address));
	sha256_final(sha, key);
	sha256_free(sha);
	return ((size_t)key[0] << 8 | key[1]) % SLOTS;
}

static bool
recall(struct slice group, const char *address, bool *is)
{
	unsigned char key[32];
	size_t at = key_of(group, address, key);
	bool known;

	pthread_mutex_lock(&cache.lock);
	known = memcmp(cache.v[at].key, key, 32) == 0 && now_s() < cache.v[at].until;
	*is = known && cache.v[at].is;
	pthread_mutex_unlock(&cache.lock);
	return known;
}

static void
remember(struct slice group, const char *address, bool is)
{
	unsigned char key[32];
	size_t at = key_of(group, address, key);

	pthread_mutex_lock(&cache.lock);
	memcpy(cache.v[at].key, key, 32);
	cache.v[at].until = now_s() + KEEP_S;
	cache.v[at].is = is;
	pthread_mutex_unlock(&cache.lock);
}

/* One question of up to LOOKUP_ASKED_MAX addresses. */
static int
ask(struct ipc_sync *lookup, struct slice group, const char *const *v, size_t n,
    unsigned timeout_ms, bool *any)
{
	char name[400];
	bool is[LOOKUP_ASKED_MAX] = {false};
	int err;

	if (group.len >= sizeof name)
		return ERR_NOTFOUND;
	memcpy(name, group.ptr, group.len);
	name[group.len] = '\0';
	err = lookup_member_sync(lookup, name, v, n, timeout_ms, is);
	if (err == ERR_NOTFOUND) {
		log_msg(LOG_LVL_WARN, "policy_group", "the directory has no group %s", name);
		err = 0;
	}
	for (size_t i = 0; err == 0 && i < n; i++) {
		remember(group, v[i], is[i]);
		*any |= is[i];
	}
	return err;
}

static int
any_member(struct ipc_sync *lookup, struct slice group, const char *const *v, size_t n,
    unsigned timeout_ms, bool *any)
{
	const char *todo[LOOKUP_ASKED_MAX];
	size_t i, n_todo = 0;
	bool is;
	int err = 0;

	*any = false;
	for (i = 0; err == 0 && !*any && i < n; i++) {
		if (strlen(v[i]) > 320)
			continue;
		if (recall(group, v[i], &is))
			*any |= is;
		else
			todo[n_todo++] = v[i];
		if (n_todo == LOOKUP_ASKED_MAX) {
			err = ask(lookup, group, todo, n_todo, timeout_ms, any);
			n_todo = 0;
		}
	}
	if (err == 0 && !*any && n_todo > 0)
		err = ask(lookup, group, todo, n_todo, timeout_ms, any);
	return err;
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Of the time that is left the part of one question: what a huge group takes, it does not take from those behind it. */
static unsigned
part_of(uint64_t end_ms, size_t left)
{
	uint64_t now = now_ms();

	return now >= end_ms ? 1 : (unsigned)((end_ms - now) / (left == 0 ? 1 : left)) + 1;
}

static size_t
questions(const struct policy *p)
{
	size_t n = 0;

	for (const struct policy_group *g = p != NULL ? p->groups : NULL; g != NULL; g = g->next)
		if (g->directory.len > 0)
			n += (size_t)g->asked_from + g->asked_to;
	return n;
}

int
groups_ask(const struct policy *p, struct ipc_sync *lookup, const char *const *from, size_t n_from,
    const char *const *rcpts, size_t n_rcpts, unsigned timeout_ms, struct rule_member *out,
    size_t *n_out)
{
	uint64_t end = now_ms() + timeout_ms;
	size_t left = questions(p);
	const struct policy_group *g;
	int err = 0;

	*n_out = 0;
	for (g = p != NULL ? p->groups : NULL; g != NULL && err == 0; g = g->next) {
		if (g->directory.len == 0)
			continue;
		if (g->asked_from && *n_out < RULE_MEMBERS_MAX) {
			out[*n_out] = (struct rule_member){g->directory, false, false};
			err = any_member(lookup, g->directory, from, n_from, part_of(end, left--),
			    &out[(*n_out)++].is);
		}
		if (err == 0 && g->asked_to && *n_out < RULE_MEMBERS_MAX) {
			out[*n_out] = (struct rule_member){g->directory, true, false};
			err = any_member(lookup, g->directory, rcpts, n_rcpts, part_of(end, left--),
			    &out[(*n_out)++].is);
		}
	}
	return err;
}
