/* dir_entry.c: what dir_ldap.c and dir_fake.c have in common: results and their attributes. Pure. */
#include "config.h"

#include "directory/dir.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void
entry_done(struct dir_entry *e)
{
	for (size_t j = 0; j < e->n_attrs; j++) {
		free(e->attrs[j].name);
		for (size_t k = 0; k < e->attrs[j].n_values; k++)
			free((void *)(uintptr_t)e->attrs[j].values[k].ptr);
		free(e->attrs[j].values);
	}
	free(e->attrs);
	free(e->dn);
	free(e->dn_norm);
}

void
dir_entries_drop(struct dir_result *r, size_t n)
{
	while (r->n_entries > n)
		entry_done(&r->entries[--r->n_entries]);
}

void
dir_result_free(struct dir_result *r)
{
	if (r == NULL)
		return;
	dir_entries_drop(r, 0);
	free(r->entries);
	free(r);
}

const struct dir_attr *
dir_entry_attr(const struct dir_entry *e, const char *name)
{
	for (size_t i = 0; i < e->n_attrs; i++) {
		if (strcasecmp(e->attrs[i].name, name) == 0)
			return &e->attrs[i];
	}
	return NULL;
}

struct slice
dir_entry_value(const struct dir_entry *e, const char *name)
{
	const struct dir_attr *a = dir_entry_attr(e, name);

	return a == NULL || a->n_values == 0 ? slice_of(NULL, 0) : a->values[0];
}

const char *
dir_value_text(struct slice v)
{
	return v.len == 0 || memchr(v.ptr, 0, v.len) != NULL ? NULL : (const char *)v.ptr;
}

bool
dir_entry_has_value(const struct dir_entry *e, const char *name, struct slice value)
{
	const struct dir_attr *a = dir_entry_attr(e, name);

	for (size_t i = 0; a != NULL && i < a->n_values; i++) {
		if (slice_caseeq(a->values[i], value))
			return true;
	}
	return false;
}
