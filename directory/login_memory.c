/* login_memory.c: login_memory.h, in lookup's loop. One place for each person, found by the account and by up to NAMES of its names; bounded in bytes, the
 * longest unused gives way. SCRAM keys are in it, as they are in each exchange: they are wiped with it (person_free). */
#include "config.h"

#include "directory/login_memory.h"

#include "lib/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum { BUCKETS = 16384, NAMES = 4, OVERHEAD = 600 /* of a place, about */ };

struct place;
struct name {
	char *text;
	struct place *place;
	struct name *next, **at;
};
struct place {
	struct login_known *k;
	size_t bytes;
	struct name names[NAMES];
	unsigned n_names;
	struct place *next, **at; /* by account */
	TAILQ_ENTRY(place) link;  /* by use, the latest first */
};
struct login_memory {
	struct name *by_name[BUCKETS];
	struct place *by_account[BUCKETS];
	TAILQ_HEAD(used_places, place) used;
	size_t bytes, bytes_max;
};

/* ---- what is known ---- */

struct login_known *
login_known_new(
    const struct person *u, struct slice reply, const struct login_facts *f, int64_t until)
{
	struct login_known *k = xcalloc(1, sizeof(*k));

	k->refs = 1;
	k->person = person_copy(u);
	buf_init(&k->reply, IPC_FRAME_MAX);
	buf_append_slice(&k->reply, reply);
	k->facts = *f;
	k->facts.deps = NULL;
	k->facts.n_deps = k->facts.n_subjects = 0;
	k->until = until;
	return k;
}

struct login_known *
login_known_hold(struct login_known *k)
{
	k->refs++;
	return k;
}

void
login_known_release(struct login_known *k)
{
	if (k == NULL || --k->refs > 0)
		return;
	person_free(k->person);
	buf_wipe(&k->reply);
	free(k);
}

/* ---- places ---- */

static unsigned
hash_of(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h % BUCKETS;
}

static void
name_drop(struct name *n)
{
	if (n->next != NULL)
		n->next->at = n->at;
	*n->at = n->next;
	free(n->text);
}

static void
place_drop(struct login_memory *m, struct place *p)
{
	for (unsigned i = 0; i < p->n_names; i++)
		name_drop(&p->names[i]);
	if (p->next != NULL)
		p->next->at = p->at;
	*p->at = p->next;
	TAILQ_REMOVE(&m->used, p, link);
	m->bytes -= p->bytes;
	p->k->is_over = true;
	login_known_release(p->k);
	free(p);
}

static struct place *
place_find(const struct login_memory *m, const char *account)
{
	struct place *p = m->by_account[hash_of(account)];

	while (p != NULL && strcmp(p->k->facts.account, account) != 0)
		p = p->next;
	return p;
}

static struct name *
name_find(const struct login_memory *m, const char *text)
{
	struct name *n = m->by_name[hash_of(text)];

	while (n != NULL && strcmp(n->text, text) != 0)
		n = n->next;
	return n;
}

/* Of one more name, beyond its place in struct place. */
static size_t
name_bytes(const char *name)
{
	return strlen(name) + 1 + 16;
}

static size_t
text_bytes(const char *s)
{
	return s == NULL ? 0 : strlen(s);
}

static size_t
list_bytes(char *const *v, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += text_bytes(v[i]) + 32;
	return sum;
}

static size_t
bytes_of(const struct login_known *k)
{
	const struct person *u = k->person;

	return sizeof(*k) + sizeof(*u) + sizeof(struct place) + OVERHEAD + k->reply.len +
	       text_bytes(u->dn) + text_bytes(u->login) + text_bytes(u->account) +
	       text_bytes(u->address) + text_bytes(u->name) + text_bytes(u->agency) +
	       text_bytes(u->version) + list_bytes(u->addresses, u->n_addresses) +
	       list_bytes(u->assignments, u->n_assignments) + list_bytes(u->traits, u->n_traits) +
	       list_bytes(u->scram, u->n_scram);
}

static struct place *
place_make(struct login_memory *m, struct login_known *k)
{
	struct place *p = xcalloc(1, sizeof(*p));

	p->k = login_known_hold(k);
	p->bytes = bytes_of(k);
	p->at = &m->by_account[hash_of(k->facts.account)];
	p->next = *p->at;
	if (p->next != NULL)
		p->next->at = &p->next;
	*p->at = p;
	TAILQ_INSERT_HEAD(&m->used, p, link);
	m->bytes += p->bytes;
	return p;
}

/* ---- the memory ---- */

struct login_memory *
login_memory_new(size_t bytes_max)
{
	struct login_memory *m = xcalloc(1, sizeof(*m));

	m->bytes_max = bytes_max;
	TAILQ_INIT(&m->used);
	return m;
}

void
login_memory_clear(struct login_memory *m)
{
	struct place *p;

	while ((p = TAILQ_FIRST(&m->used)) != NULL)
		place_drop(m, p);
}

void
login_memory_free(struct login_memory *m)
{
	if (m == NULL)
		return;
	login_memory_clear(m);
	free(m);
}

struct login_known *
login_memory_find(struct login_memory *m, const char *name, int64_t now)
{
	struct name *n = name_find(m, name);
	struct place *p = n == NULL ? NULL : n->place;

	if (p == NULL)
		return NULL;
	if (now >= p->k->until) {
		place_drop(m, p);
		return NULL;
	}
	TAILQ_REMOVE(&m->used, p, link);
	TAILQ_INSERT_HEAD(&m->used, p, link);
	return p->k;
}

void
login_memory_put(struct login_memory *m, const char *name, struct login_known *k)
{
	struct place *p = place_find(m, k->facts.account), *old;
	struct name *n = name_find(m, name);

	/* a name of another person now, or of the same one as it was */
	if (n != NULL && (n->place != p || p->k != k)) {
		place_drop(m, n->place);
		n = NULL;
		p = place_find(m, k->facts.account);
	}
	if (p != NULL && p->k != k) {
		place_drop(m, p);
		p = NULL;
	}
	if (n != NULL || k->is_over || bytes_of(k) + NAMES * name_bytes(name) > m->bytes_max / 16)
		return;
	if (p == NULL)
		p = place_make(m, k);
	if (p->n_names < NAMES) {
		n = &p->names[p->n_names++];
		p->bytes += name_bytes(name);
		m->bytes += name_bytes(name);
		n->text = xstrdup(name);
		n->place = p;
		n->at = &m->by_name[hash_of(name)];
		n->next = *n->at;
		if (n->next != NULL)
			n->next->at = &n->next;
		*n->at = n;
	}
	while (m->bytes > m->bytes_max && (old = TAILQ_LAST(&m->used, used_places)) != p)
		place_drop(m, old);
}

bool
login_memory_has(struct login_memory *m, const char *account, int64_t now)
{
	struct place *p = place_find(m, account);

	if (p != NULL && now >= p->k->until) {
		place_drop(m, p);
		p = NULL;
	}
	return p != NULL;
}

void
login_memory_drop(struct login_memory *m, const char *account)
{
	struct place *p = place_find(m, account);

	if (p != NULL)
		place_drop(m, p);
}

void
login_memory_drop_name(struct login_memory *m, const char *name)
{
	struct name *n = name_find(m, name);

	if (n != NULL)
		place_drop(m, n->place);
}

size_t
login_memory_bytes(const struct login_memory *m)
{
	return m->bytes;
}
