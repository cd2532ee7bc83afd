/* dir_admin_import.c: the directory as a whole, out and in again (dir_dump.h has the files). Runs in congvu. Passwords, service accounts and the password
 * policy are no part of it. What comes in is made to be as the file says, entry by entry, parents first; what the file does not name stays. Each
 * entry is one write: cut off, the same file given again does the rest. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/dir_dump.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Whether dn (normalized) is that of branch, or below. */
static bool
is_in(const char *dn, const char *branch)
{
	size_t n = strlen(dn), m = strlen(branch);

	return n >= m && strcmp(dn + n - m, branch) == 0 && (n == m || dn[n - m - 1] == ',');
}

/* Ours to give and take: below the base, and neither services nor policies. */
static bool
is_ours(struct dir_admin *a, const char *dn_norm)
{
	static const char *const not_ours[] = {"", "ou=services,", "ou=policies,"};
	bool ours = false;

	for (size_t i = 0; i < 3; i++) {
		char *branch = NULL, *norm;

		if (asprintf(&branch, "%s%s", not_ours[i], dir_base(a->d)) < 0)
			fatal("out of memory");
		norm = dir_dn_norm(branch);
		if (norm != NULL && is_in(dn_norm, norm))
			ours = i == 0;
		free(branch);
		free(norm);
	}
	return ours;
}

static void
entry_done(struct dir_entry *e)
{
	struct dir_entry *one = xcalloc(1, sizeof(*one));
	struct dir_result *r = xcalloc(1, sizeof(*r));

	*one = *e;
	r->entries = one;
	r->n_entries = 1;
	dir_result_free(r);
	memset(e, 0, sizeof(*e));
}

static void
secrets_drop(struct dir_entry *e)
{
	struct dir_entry gone = {0};
	size_t n = 0;

	gone.attrs = xcalloc(e->n_attrs + 1, sizeof(*gone.attrs));
	for (size_t i = 0; i < e->n_attrs; i++) {
		if (admin_is_secret(e->attrs[i].name))
			gone.attrs[gone.n_attrs++] = e->attrs[i];
		else
			e->attrs[n++] = e->attrs[i];
	}
	e->n_attrs = n;
	entry_done(&gone);
}

int
dir_admin_export(struct dir_admin *a, struct dir_result **out, char **why_out)
{
	static const char *const all[] = {"*", NULL};
	struct dir_result *r = NULL;
	size_t n = 0;
	int err = dir_search(a->d, NULL, "(objectClass=*)", all, 0, &r);

	if (err != 0)
		return admin_fail(
		    why_out, err, "the directory does not answer (%s)", err_name(err));
	for (size_t i = 0; i < r->n_entries; i++) {
		if (is_ours(a, r->entries[i].dn_norm)) {
			struct dir_entry keep = r->entries[i];

			secrets_drop(&keep);
			r->entries[n++] = keep;
		} else {
			entry_done(&r->entries[i]);
		}
	}
	r->n_entries = n;
	dump_sort(r);
	*out = r;
	return 0;
}

/* ---- import ---- */

/* Nobody's address of now or of late comes to another by a file either. */
static int
addresses_check(
    struct dir_admin *a, const struct dir_entry *e, const struct dir_entry *now, char **why_out)
{
	static const char *const attrs[] = {"mail", "vnMailAlias"};
	int err = 0;

	for (size_t k = 0; k < 2; k++) {
		const struct dir_attr *at = dir_entry_attr(e, attrs[k]);

		for (size_t i = 0; err == 0 && at != NULL && i < at->n_values; i++) {
			char *mail = NULL;

			if (now != NULL && dir_entry_has_value(now, attrs[k], at->values[i]))
				continue;
			err = admin_address_free(
			    a, (const char *)at->values[i].ptr, e->dn, &mail, why_out);
			free(mail);
		}
	}
	return err;
}

static void
mods_take(struct mods *m, enum dir_mod_op op, const struct dir_attr *at, size_t n_values)
{
	if (m->n == MODS_MAX)
		m->err = ERR_LIMIT;
	else
		m->m[m->n++] = (struct dir_mod){op, at->name, at->values, n_values};
}

static int
entry_import(struct dir_admin *a, const struct dir_entry *e, size_t counts[3], char **why_out)
{
	static const char *const all[] = {"*", NULL};
	size_t before = json_len(a->changes);
	const struct dir_entry *now = NULL;
	struct dir_result *r = NULL;
	struct mods m;
	int err = dir_read(a->d, e->dn, all, &r);

	if (err == 0)
		now = &r->entries[0];
	else if (err != ERR_NOTFOUND)
		return admin_fail(why_out, err, "the directory does not answer");
	mods_init(&m);
	err = addresses_check(a, e, now, why_out);
	for (size_t i = 0; i < e->n_attrs; i++)
		mods_take(&m, now == NULL ? DIR_MOD_ADD : DIR_MOD_REPLACE, &e->attrs[i],
		    e->attrs[i].n_values);
	for (size_t i = 0; now != NULL && i < now->n_attrs; i++)
		if (dir_entry_attr(e, now->attrs[i].name) == NULL &&
		    !admin_is_secret(now->attrs[i].name))
			mods_take(&m, DIR_MOD_REPLACE, &now->attrs[i], 0);
	if (err == 0)
		err = now == NULL ? admin_add(a, e->dn, &m, why_out)
				  : admin_modify(a, e->dn, &m, why_out);
	if (err == 0)
		counts[json_len(a->changes) == before ? CHANGE_NONE
		       : now == NULL                  ? CHANGE_ADDED
						      : CHANGE_CHANGED]++;
	mods_done(&m);
	dir_result_free(r);
	return err;
}

static int
entry_check(struct dir_admin *a, const struct dir_entry *e, char **why_out)
{
	if (!is_ours(a, e->dn_norm))
		return admin_fail(why_out, ERR_DENIED,
		    "%s is not below %s, or a service account or policy: it is not imported", e->dn,
		    dir_base(a->d));
	for (size_t i = 0; i < e->n_attrs; i++)
		if (admin_is_secret(e->attrs[i].name))
			return admin_fail(why_out, ERR_DENIED,
			    "%s: %s is not imported: passwords are set by congvu", e->dn,
			    e->attrs[i].name);
	return 0;
}

int
dir_admin_import(struct dir_admin *a, const struct dir_result *r, const char *decision,
    size_t counts_out[3], enum change *change_out, char **why_out)
{
	size_t counts[3] = {0};
	int err = 0;

	for (size_t i = 0; err == 0 && i < r->n_entries; i++) /* before anything is written */
		err = entry_check(a, &r->entries[i], why_out);
	if (err == 0)
		err = admin_begin(a, "directory import", dir_base(a->d), decision, why_out);
	if (err != 0)
		return err;
	a->uncited = true; /* the journal cites it: the entries are to be the file's */
	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		char *why = NULL;

		err = entry_import(a, &r->entries[i], counts, &why);
		if (err != 0) {
			admin_fail(
			    why_out, err, "%s: %s", r->entries[i].dn, why == NULL ? "" : why);
			free(why);
		}
	}
	a->uncited = false;
	admin_agency_forget(a);
	memcpy(counts_out, counts, sizeof(counts));
	return admin_end(a, err, false, change_out, why_out);
}
