/* dir_admin_import.c: the directory as a whole, out and in again (dir_dump.h has the files). Runs in congvu. Passwords, service accounts, the password
 * policy, app passwords and officers are no part of it. What comes in is made to be as the file says, entry by entry, parents first; what the file does not name stays. Each
 * entry is made whole or not at all, some hundred at a time where the directory can (RFC 5805): cut off, the same file given again does the rest. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/dir_dump.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	COUNTER_MAX =
	    INT32_MAX /
	    2, /* a larger one in a file is none of ours: it would leave no room to rise */
	TOGETHER = 500,
	TOGETHER_BYTES = 16 << 20, /* of their values; one is taken alone however large it is */
	REFUSED_MAX = 3,           /* then the directory is asked for each by itself */
};

/* Whether dn (normalized) is that of branch, or below. */
static bool
is_in(const char *dn, const char *branch)
{
	size_t n = strlen(dn), m = strlen(branch);

	return n >= m && strcmp(dn + n - m, branch) == 0 && (n == m || dn[n - m - 1] == ',');
}

/* Whether dn is that of branch (of the base) or, with below, below it. */
static bool
is_in_branch(struct dir_admin *a, const char *dn_norm, const char *branch, bool below)
{
	char *dn = NULL, *norm;
	bool in;

	if (asprintf(&dn, "%s%s", branch, dir_base(a->d)) < 0)
		fatal("out of memory");
	norm = dir_dn_norm(dn);
	in = norm != NULL && is_in(dn_norm, norm) && !(below && strcmp(dn_norm, norm) == 0);
	free(dn);
	free(norm);
	return in;
}

/* Ours to give and take: below the base, and neither services nor policies. */
static bool
is_ours(struct dir_admin *a, const char *dn_norm)
{
	return is_in_branch(a, dn_norm, "", false) &&
	       !is_in_branch(a, dn_norm, "ou=services,", false) &&
	       !is_in_branch(a, dn_norm, "ou=policies,", false);
}

/* App passwords and officers: their entries have to have a password, which no file has. */
static bool
is_skipped(struct dir_admin *a, const char *dn_norm)
{
	return is_in_branch(a, dn_norm, "ou=apppasswords,", true) ||
	       is_in_branch(a, dn_norm, "ou=officers,", true);
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

/* The access rules let central HR alone see the branch of the officers' accounts (and each officer the own account): who sees it sees all. A tree of before
 * there were officers has none. */
int
dir_admin_sees_all(struct dir_admin *a, bool *out, char **why_out)
{
	static const char *const none[] = {"1.1", NULL};
	struct dir_result *r = NULL;
	char *dn = NULL;
	int err;

	if (asprintf(&dn, "ou=officers,%s", dir_base(a->d)) < 0)
		fatal("out of memory");
	err = dir_read(a->d, dn, none, &r);
	*out = err == 0;
	dir_result_free(r);
	free(dn);
	return err == 0 || err == ERR_NOTFOUND || err == ERR_DENIED
		   ? 0
		   : admin_fail(why_out, err, "the directory does not answer");
}

int
dir_admin_export(struct dir_admin *a, struct dir_result **out, size_t *skipped_out, char **why_out)
{
	static const char *const all[] = {"*", NULL};
	struct dir_result *r = NULL;
	size_t n = 0;
	int err = dir_search(a->d, NULL, "(objectClass=*)", all, 0, &r);

	if (err != 0)
		return admin_fail(
		    why_out, err, "the directory does not answer (%s)", err_name(err));
	*skipped_out = 0;
	for (size_t i = 0; i < r->n_entries; i++) {
		if (is_skipped(a, r->entries[i].dn_norm)) {
			++*skipped_out;
			entry_done(&r->entries[i]);
		} else if (is_ours(a, r->entries[i].dn_norm)) {
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

/* What sessions, tickets, passwords and ids go by: an older file does not set it back. */
static bool
is_kept(const char *attr)
{
	static const char *const kept[] = {"vnEpoch", "vnNextId", "vnScramTime", "vnGraceTime"};

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (strcasecmp(attr, kept[i]) == 0)
			return true;
	return false;
}

/* A counter follows the file upwards only; step is added to what comes of it. */
static void
counter_raise(struct mods *m, const struct dir_entry *e, const struct dir_entry *now,
    const char *attr, uint64_t step)
{
	uint64_t there = 0, given = 0;
	char text[24];

	(void)slice_to_u64(dir_entry_value(now, attr), UINT64_MAX - 1, &there);
	(void)slice_to_u64(dir_entry_value(e, attr), COUNTER_MAX, &given);
	if (given <= there && step == 0)
		return;
	snprintf(text, sizeof(text), "%llu",
	    (unsigned long long)((given > there ? given : there) + step));
	mods_replace(m, attr, text);
}

/* Whether the file ends or freezes a person who is not so yet. */
static bool
ends_sessions(const struct dir_entry *e, const struct dir_entry *now)
{
	static const char *const over[] = {"suspended", "closed", "retired"};
	const char *status = admin_value(e, "vnStatus");

	for (size_t i = 0; i < sizeof(over) / sizeof(over[0]); i++)
		if (strcasecmp(status, over[i]) == 0)
			return strcasecmp(admin_value(now, "vnStatus"), status) != 0 &&
			       dir_entry_has_value(now, "objectClass", slice_str("vnCivilServant"));
	return false;
}

/* What makes of the entry that is there that of the file. */
static void
entry_mods(struct mods *m, const struct dir_entry *e, const struct dir_entry *now)
{
	for (size_t i = 0; i < e->n_attrs; i++)
		if (!is_kept(e->attrs[i].name))
			mods_take(m, DIR_MOD_REPLACE, &e->attrs[i], e->attrs[i].n_values);
	for (size_t i = 0; i < now->n_attrs; i++)
		if (dir_entry_attr(e, now->attrs[i].name) == NULL &&
		    !admin_is_secret(now->attrs[i].name) && !is_kept(now->attrs[i].name))
			mods_take(m, DIR_MOD_REPLACE, &now->attrs[i], 0);
	counter_raise(m, e, now, "vnEpoch", ends_sessions(e, now) ? 1 : 0);
	counter_raise(m, e, now, "vnNextId", 0);
}

static int
entry_import(struct dir_admin *a, const struct dir_entry *e, size_t *counts, char **why_out)
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
	if (now != NULL)
		entry_mods(&m, e, now);
	for (size_t i = 0; now == NULL && i < e->n_attrs; i++)
		mods_take(&m, DIR_MOD_ADD, &e->attrs[i], e->attrs[i].n_values);
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
	if (is_skipped(a, e->dn_norm))
		return 0;
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

/* The entries from "from" to before "to". */
static int
range_import(struct dir_admin *a, const struct dir_result *r, size_t from, size_t to,
    size_t *counts, char **why_out)
{
	int err = 0;

	for (size_t i = from; err == 0 && i < to; i++) {
		char *why = NULL;

		if (is_skipped(a, r->entries[i].dn_norm)) {
			counts[IMPORT_SKIPPED]++;
			continue;
		}
		err = entry_import(a, &r->entries[i], counts, &why);
		if (err != 0) {
			admin_fail(
			    why_out, err, "%s: %s", r->entries[i].dn, why == NULL ? "" : why);
			free(why);
		}
	}
	return err;
}

/* The end of those from "from" on that are one write. */
static size_t
range_end(const struct dir_result *r, size_t from)
{
	size_t to = from, n_bytes = 0;

	for (; to < r->n_entries && to < from + TOGETHER; to++) {
		const struct dir_entry *e = &r->entries[to];

		for (size_t i = 0; i < e->n_attrs; i++)
			for (size_t k = 0; k < e->attrs[i].n_values; k++)
				n_bytes += e->attrs[i].values[k].len;
		if (n_bytes > TOGETHER_BYTES && to > from)
			break;
	}
	return to;
}

/* Some hundred entries at a time are one write: each by itself waits for two disks, the journal's and the directory's. When the directory does not take them
 * together they are made one by one, so that it is told which is wrong, and what stands before that is there. */
static int
all_import(struct dir_admin *a, const struct dir_result *r, size_t *counts, char **why_out)
{
	bool together = a->together;
	unsigned n_refused = 0;
	size_t to;
	int err = 0;

	for (size_t from = 0; err == 0 && from < r->n_entries; from = to) {
		size_t before[N_IMPORT_COUNTS], n_changes = json_len(a->changes);
		bool refused = false;
		char *why = NULL, *end_why = NULL;
		int end_err = 0;

		to = range_end(r, from);
		memcpy(before, counts, sizeof(before));
		a->together = together && n_refused < REFUSED_MAX;
		err = range_import(a, r, from, to, counts, &why);
		if (a->together)
			end_err = admin_flush(a, n_changes, &refused, &end_why);
		if (end_err !=
		    0) { /* that is worse than what an entry had, and nothing of it is known to be made */
			counts[CHANGE_ADDED] = before[CHANGE_ADDED];
			counts[CHANGE_CHANGED] = before[CHANGE_CHANGED];
			free(why);
			err = end_err;
			why = end_why;
		}
		a->together = false;
		if (refused) {
			free(why);
			why = NULL;
			n_refused++;
			memcpy(counts, before, sizeof(before));
			err = range_import(a, r, from, to, counts, &why);
		}
		if (err != 0)
			*why_out = why;
		else
			free(why);
	}
	a->together = false;
	return err;
}

int
dir_admin_import(struct dir_admin *a, const struct dir_result *r, const char *decision,
    size_t counts_out[N_IMPORT_COUNTS], enum change *change_out, char **why_out)
{
	size_t counts[N_IMPORT_COUNTS] = {0};
	int err = 0;

	for (size_t i = 0; err == 0 && i < r->n_entries; i++) /* before anything is written */
		err = entry_check(a, &r->entries[i], why_out);
	if (err == 0)
		err = admin_begin(a, "directory import", dir_base(a->d), decision, why_out);
	if (err != 0)
		return err;
	a->uncited = true; /* the journal cites it: the entries are to be the file's */
	err = all_import(a, r, counts, why_out);
	a->uncited = false;
	admin_agency_forget(a);
	memcpy(counts_out, counts, sizeof(counts));
	return admin_end(a, err, false, change_out, why_out);
}
