/* people_app.c: app passwords: one of each device of a person, for mail alone, with an entry of its own that ends it when it goes. Runs in
 * lookup's workers. Its first signs are its id, in the clear, so that one entry and one hash are looked at, however many devices there are. */
#include "config.h"

#include "directory/people_priv.h"

#include "directory/assignment.h"
#include "directory/escape.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static bool
is_group(struct slice s)
{
	bool good = s.len == PEOPLE_APP_ID_LEN;

	for (size_t i = 0; good && i < s.len; i++)
		good = strchr(PEOPLE_APP_SIGNS, s.ptr[i]) != NULL && s.ptr[i] != '\0';
	return good;
}

bool
people_app_id(struct slice password, struct slice *id_out)
{
	const size_t step = PEOPLE_APP_ID_LEN + 1;
	bool good = password.len == PEOPLE_APP_GROUPS * step - 1;

	for (size_t i = 0; good && i < PEOPLE_APP_GROUPS; i++)
		good = is_group(slice_sub(password, i * step, PEOPLE_APP_ID_LEN)) &&
		       (i == 0 || password.ptr[i * step - 1] == '-');
	if (good)
		*id_out = slice_sub(password, 0, PEOPLE_APP_ID_LEN);
	return good;
}

bool
people_app_name(struct slice name, struct slice *person_out, struct slice *id_out)
{
	size_t at = name.len < PEOPLE_APP_ID_LEN + 2 ? 0 : name.len - PEOPLE_APP_ID_LEN - 1;

	if (at == 0 || name.ptr[at] != '/' || !is_group(slice_from(name, at + 1)))
		return false;
	*person_out = slice_sub(name, 0, at);
	*id_out = slice_from(name, at + 1);
	return true;
}

/* One with no service named is good for both. */
static bool
is_for(const struct dir_entry *e, const char *service)
{
	const struct dir_attr *a = dir_entry_attr(e, "vnAppService");
	bool found = a == NULL || a->n_values == 0;

	for (size_t i = 0; a != NULL && i < a->n_values; i++)
		found = found || slice_caseeq_str(a->values[i], service);
	return found;
}

/* Only below ou=apppasswords: the rules of that branch say who makes one, those of no other branch do. */
static bool
is_in_branch(const struct people *p, const struct dir_entry *e)
{
	char *branch = NULL, *norm;
	size_t n, m = strlen(e->dn_norm);
	bool is;

	if (asprintf(&branch, "ou=apppasswords,%s", dir_base(p->d)) < 0)
		fatal("out of memory");
	norm = dir_dn_norm(branch);
	n = norm == NULL ? 0 : strlen(norm);
	is =
	    n > 0 && m > n && e->dn_norm[m - n - 1] == ',' && strcmp(e->dn_norm + m - n, norm) == 0;
	free(norm);
	free(branch);
	return is;
}

int
people_app(struct people *p, struct person *u, struct slice id, const char *service)
{
	const char *const attrs[] = {
	    "authPassword", "vnAppService", "vnValidTo", p->a_version, NULL};
	struct dir_result *r = NULL;
	const struct dir_entry *e;
	struct buf f;
	int err;

	if (*p->app_filter == '\0')
		return ERR_NOTFOUND;
	buf_init(&f, 8192);
	err = escape_template(p->app_filter, id, slice_str(u->dn), &f);
	if (err == 0)
		err = dir_search(p->d, NULL, buf_cstr(&f), attrs, 2, &r);
	buf_done(&f);
	if (err != 0)
		return ERR_TEMP;
	e = &r->entries[0];
	if (r->n_entries != 1 || !is_in_branch(p, e) || !is_for(e, service) ||
	    assignment_when(slice_of(NULL, 0), dir_entry_value(e, "vnValidTo"), time(NULL)) !=
		ASSIGNMENT_NOW ||
	    dir_entry_value(e, "authPassword").len == 0) {
		dir_result_free(r);
		return ERR_NOTFOUND;
	}
	person_keys_free(u);
	u->scram = xcalloc(1, sizeof(*u->scram));
	u->scram[0] = slice_dup(dir_entry_value(e, "authPassword"));
	u->n_scram = 1;
	u->keys_are_old = false;
	u->app_id = slice_dup(id);
	u->app_version = people_text(e, p->a_version, "");
	dir_result_free(r);
	return 0;
}
