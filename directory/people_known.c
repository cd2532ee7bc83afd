/* people_known.c: what may be kept of a person between two logins, while the directory is watched: for how long, and by which names a change of another entry
 * takes it away. Where that cannot be told nothing is kept. Runs in lookup's workers and in its thread that watches; login_memory.h has what the loop
 * makes of it. */
#include "config.h"

#include "directory/people_priv.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

bool
people_name_fold(struct slice name, char out[PEOPLE_NAME_MAX + 1])
{
	if (name.len == 0 || name.len > PEOPLE_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = name.ptr[i];

		if (c >= 'A' && c <= 'Z')
			c = (unsigned char)(c + 32);
		else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			     (c != 0 && strchr("@._-+", c) != NULL)))
			return false;
		out[i] = (char)c;
	}
	out[name.len] = '\0';
	return true;
}

/* ---- the attributes that names are looked for in ---- */

static bool
is_attr_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == ';';
}

/* Of each "(attr=%s)". A filter that uses the name in another way leaves it unknown which entry comes to match. */
void
people_known_init(struct people *p)
{
	const char *f = p->login_filter, *at;

	/* who is in which group is not told where members alone say so */
	p->may_keep = *f != '\0' && *p->a_member_of == '\0';
	for (at = strchr(f, '%'); at != NULL && p->may_keep; at = strchr(at + 2, '%')) {
		const char *begin = at - 1;

		p->may_keep = at - f >= 3 && at[1] == 's' && at[2] == ')' && at[-1] == '=';
		while (p->may_keep && begin > f && is_attr_char(begin[-1]))
			begin--;
		p->may_keep = p->may_keep && begin > f && begin[-1] == '(' && begin < at - 1 &&
			      p->n_name_attrs < PEOPLE_NAME_ATTRS;
		if (p->may_keep)
			p->name_attrs[p->n_name_attrs++] = strndup(begin, (size_t)(at - 1 - begin));
	}
	p->base_norm = dir_dn_norm(dir_base(p->d));
	p->may_keep = p->may_keep && p->base_norm != NULL;
}

void
people_known_done(struct people *p)
{
	for (size_t i = 0; i < p->n_name_attrs; i++)
		free(p->name_attrs[i]);
	free(p->base_norm);
}

static void
name_keys(const struct dir_entry *e, const char *attr,
    void (*fn)(void *arg, const char *key, bool is_subject), void *arg)
{
	const struct dir_attr *a = dir_entry_attr(e, attr);
	/* people_address.c */
	bool has_kind = strcasecmp(attr, "proxyAddresses") == 0;

	for (size_t i = 0; a != NULL && i < a->n_values; i++) {
		char key[PEOPLE_NAME_MAX + 2] = {PEOPLE_KEY_NAME};
		struct slice v = a->values[i];

		if (has_kind && slice_casestarts(v, "smtp:"))
			v = slice_from(v, 5);
		/* what a plain name may be equal to by a matching rule, and we cannot tell */
		fn(arg, people_name_fold(v, key + 1) ? key : PEOPLE_KEY_ALL, false);
	}
}

void
people_name_keys(const struct people *p, const struct dir_entry *e,
    void (*fn)(void *arg, const char *key, bool is_subject), void *arg)
{
	for (size_t i = 0; i < p->n_name_attrs; i++)
		name_keys(e, p->name_attrs[i], fn, arg);
	name_keys(e, p->a_mail, fn, arg);
	name_keys(e, p->a_alias, fn, arg);
	/* a password policy: whoever it holds for */
	if (dir_entry_attr(e, "pwdAttribute") != NULL)
		fn(arg, PEOPLE_KEY_ALL, false);
}

/* ---- for how long ---- */

bool
people_is_watched(const struct people *p, const char *dn)
{
	char *norm = dir_dn_norm(dn);
	size_t n = norm == NULL ? 0 : strlen(norm), m = strlen(p->base_norm);
	bool is = n > m && norm[n - m - 1] == ',' && strcmp(norm + n - m, p->base_norm) == 0;

	free(norm);
	return is;
}

static void
sooner(int64_t at, int64_t now, int64_t *until)
{
	if (at > now && at < *until)
		*until = at;
}

int64_t
people_keep_until(const struct people *p, const struct person *u, const struct person_mailboxes *m)
{
	int64_t now = time(NULL), until = now + PEOPLE_KEEP_S;

	if (!p->may_keep || u->policy.state != PPOLICY_OK || u->app_id != NULL || !u->is_steady ||
	    u->is_contested || m->is_contested || m->is_cut)
		return 0;
	/* what of a grant holds is told by what time it is */
	for (size_t i = 0; i < m->n; i++)
		for (size_t g = 0; g < m->v[i].n_grants; g++) {
			sooner(m->v[i].grants[g].from, now, &until);
			sooner(m->v[i].grants[g].until, now, &until);
		}
	return until;
}

uint64_t
people_elsewhere(const struct people *p)
{
	return dir_elsewhere(p->d);
}

static char **
copied(char *const *v, size_t n)
{
	char **to = xcalloc(n + 1, sizeof(*to));

	for (size_t i = 0; i < n; i++)
		to[i] = xstrdup(v[i]);
	return to;
}

struct person *
person_copy(const struct person *u)
{
	struct person *c = xcalloc(1, sizeof(*c));

	*c = *u;
	c->dn = xstrdup(u->dn);
	c->login = xstrdup(u->login);
	c->account = xstrdup(u->account);
	c->address = xstrdup(u->address);
	c->name = xstrdup(u->name);
	c->agency = xstrdup(u->agency);
	c->version = xstrdup(u->version);
	c->addresses = copied(u->addresses, u->n_addresses);
	/* all that rights follow from: where what is known is over in the middle of a login, they are read for this copy */
	c->assignments = copied(u->assignments, u->n_assignments);
	c->traits = copied(u->traits, u->n_traits);
	c->scram = copied(u->scram, u->n_scram);
	c->app_id = u->app_id == NULL ? NULL : xstrdup(u->app_id);
	c->app_version = u->app_version == NULL ? NULL : xstrdup(u->app_version);
	return c;
}
