/* people_agency.c: what an agency's own entry says of its abbreviation, as document symbols have it. Runs in lookup's workers, which share what is
 * remembered: for PEOPLE_AGENCY_S, so that mail after mail of one agency costs no search. An agency that is not there is remembered too. */
#include "config.h"

#include "directory/people_priv.h"

#include "lib/err.h"
#include "lib/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SLOTS = 1024, LEVELS_MAX = 8, CODE_MAX = 64 };

struct people_agencies {
	pthread_mutex_t lock;
	struct {
		char code[CODE_MAX + 1];
		char *abbrev; /* NULL: the agency has none */
		int64_t until;
	} v[SLOTS];
};

struct people_agencies *
people_agencies_new(void)
{
	struct people_agencies *a = xcalloc(1, sizeof(*a));

	pthread_mutex_init(&a->lock, NULL);
	return a;
}

void
people_agencies_free(struct people_agencies *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		free(a->v[i].abbrev);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static int64_t
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static size_t
slot_of(struct slice code)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < code.len; i++)
		h = (h ^ code.ptr[i]) * 16777619u;
	return h % SLOTS;
}

static bool
recall(struct people_agencies *a, struct slice code, char **out)
{
	size_t i = slot_of(code);
	bool known;

	pthread_mutex_lock(&a->lock);
	known = slice_eq_str(code, a->v[i].code) && now_s() < a->v[i].until;
	if (known)
		*out = a->v[i].abbrev == NULL ? NULL : xstrdup(a->v[i].abbrev);
	pthread_mutex_unlock(&a->lock);
	return known;
}

static void
remember(struct people_agencies *a, struct slice code, const char *abbrev)
{
	size_t i = slot_of(code);

	pthread_mutex_lock(&a->lock);
	memcpy(a->v[i].code, code.ptr, code.len);
	a->v[i].code[code.len] = '\0';
	free(a->v[i].abbrev);
	a->v[i].abbrev = abbrev == NULL ? NULL : xstrdup(abbrev);
	a->v[i].until = now_s() + PEOPLE_AGENCY_S;
	pthread_mutex_unlock(&a->lock);
}

/* *out NULL: none. */
static int
abbrev_of(struct people *p, struct slice code, char **out)
{
	const char *const attrs[] = {p->a_abbrev, NULL};
	struct dir_result *r = NULL;
	struct slice v = {NULL, 0};
	int err;

	*out = NULL;
	if (recall(p->agencies, code, out))
		return 0;
	err = people_search(p, p->agency_filter, code, attrs, 2, &r);
	if (err == ERR_NOTFOUND || err == ERR_LIMIT)
		err = 0;
	/* two agencies with one code: neither is believed */
	else if (err == 0 && r->n_entries == 1)
		v = dir_entry_value(&r->entries[0], p->a_abbrev);
	if (err == 0) {
		*out = v.len > 0 && v.len <= CODE_MAX ? slice_dup(v) : NULL;
		remember(p->agencies, code, *out);
	}
	dir_result_free(r);
	return err == 0 ? 0 : ERR_TEMP;
}

int
people_agency_symbols(struct people *p, struct slice code, char ***out, size_t *n_out)
{
	struct strings l = {0};
	int err = 0, levels = 0;

	if (*p->agency_filter == '\0' || *p->a_abbrev == '\0')
		code.len = 0;
	while (err == 0 && code.len > 0 && code.len <= CODE_MAX && levels++ < LEVELS_MAX &&
	       memchr(code.ptr, 0, code.len) == NULL) {
		char *abbrev = NULL;

		err = abbrev_of(p, code, &abbrev);
		/* an agency whose own is not recorded is not measured by that of the one above it */
		if (err == 0 && abbrev == NULL && levels == 1)
			break;
		strings_add_take(&l, abbrev, LEVELS_MAX);
		while (code.len > 0 && code.ptr[code.len - 1] != '.')
			code.len--;
		code.len -= code.len > 0;
	}
	if (err != 0) {
		strings_free(l.v, l.n);
		return err;
	}
	*out = l.v;
	*n_out = l.n;
	return 0;
}
