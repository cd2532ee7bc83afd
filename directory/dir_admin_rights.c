/* dir_admin_rights.c: what somebody has by name: posts, places in mailboxes and groups, delegations given and taken; what of it ends with a change of
 * theirs, and what stays. Runs in congvu. Nobody is to keep a right by being forgotten, or lose one unsaid: each is told. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/assignment.h"
#include "lib/err.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

const struct json *
dir_admin_effects(const struct dir_admin *a)
{
	static struct json *none;

	if (a->effects != NULL)
		return a->effects;
	if (none == NULL)
		none = json_arr_new();
	return none;
}

static const char stays[] = "stays", ends_now[] = "ends";

struct json *
admin_effect_add(struct dir_admin *a, const char *what, const char *dn, const char *fate)
{
	struct json *j = json_obj_new();
	char *name = dir_admin_name_of(a, dn);

	json_set_str(j, "what", what);
	json_set_str(j, "name", name);
	json_set_str(j, "fate", fate);
	free(name);
	json_push_take(a->effects, j);
	return j;
}

/* ---- posts, mailboxes, groups ---- */

bool
admin_is_dn(const char *value, const char *dn)
{
	char *x = dir_dn_norm(value), *y = dir_dn_norm(dn);
	bool same = x != NULL && y != NULL && strcmp(x, y) == 0;

	free(x);
	free(y);
	return same;
}

/* Takes dn out of one post, mailbox or group. */
static int
name_remove(struct dir_admin *a, const struct dir_entry *e, const char *dn, char **why_out)
{
	static const char *const attrs[] = {"roleOccupant", "vnHolder", "vnDelegate", "vnReader"};
	struct mods m;
	int err;

	if (dir_entry_attr(e, "member") != NULL) {
		err = admin_member_remove(a, e, dn, why_out);
		if (err != 0)
			return err;
	}
	mods_init(&m);
	for (size_t i = 0; i < sizeof(attrs) / sizeof(attrs[0]); i++)
		mods_delete(&m, attrs[i], slice_str(dn));
	err = admin_modify(a, e->dn, &m, why_out);
	mods_done(&m);
	return err;
}

/* A post, and the mailboxes that go with it. */
int
admin_post_tell(struct dir_admin *a, const struct dir_entry *post, const char *fate, char **why_out)
{
	static const char *const attrs[] = {"vnMailboxId", NULL};
	static const char filter[] = "(&(objectClass=vnFunctionalMailbox)(!(vnStatus=closed))"
				     "(|(vnHolder=%d)(vnDelegate=%d)(vnReader=%d)))";
	const struct dir_attr *holders = dir_entry_attr(post, "roleOccupant");
	struct json *j = admin_effect_add(a, "post", post->dn, fate);
	struct dir_result *r = NULL;
	int err;

	json_set_bool(j, "alone", holders == NULL || holders->n_values < 2);
	err = admin_find(a, filter, post->dn, attrs, 0, &r, why_out);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		j = admin_effect_add(a, "mailbox", r->entries[i].dn, fate);
		json_set_str(j, "through", admin_value(post, "vnPositionCode"));
	}
	dir_result_free(r);
	return err;
}

static int
name_tell(struct dir_admin *a, const struct dir_entry *e, const char *fate, char **why_out)
{
	if (dir_entry_has_value(e, "objectClass", slice_str("vnPosition")))
		return admin_post_tell(a, e, fate, why_out);
	admin_effect_add(a,
	    dir_entry_has_value(e, "objectClass", slice_str("vnFunctionalMailbox")) ? "mailbox"
										    : "group",
	    e->dn, fate);
	return 0;
}

static int
names_end(struct dir_admin *a, const char *dn, enum rights_scope scope, const char *agency,
    const char *but, char **why_out)
{
	static const char *const attrs[] = {"objectClass", "vnAgencyRef", "vnPositionCode",
	    "vnStatus", "member", "roleOccupant", NULL};
	static const char named[] = "(&(!(objectClass=vnHrOfficer))(|(roleOccupant=%d)(member=%d)"
				    "(vnHolder=%d)(vnDelegate=%d)(vnReader=%d)))";
	struct dir_result *r = NULL;
	int err = admin_find(a, named, dn, attrs, 0, &r, why_out);

	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];
		bool ends = scope == RIGHTS_ALL ||
			    (scope == RIGHTS_AT_AGENCY &&
				strcasecmp(admin_value(e, "vnAgencyRef"), agency) == 0);

		if (but != NULL && admin_is_dn(e->dn, but))
			continue;
		if (!admin_is_over(e))
			err = name_tell(a, e, ends ? ends_now : stays, why_out);
		if (err == 0 && ends)
			err = name_remove(a, e, dn, why_out);
	}
	dir_result_free(r);
	return err;
}

/* ---- delegations ---- */

int
admin_delegation_end(struct dir_admin *a, const struct dir_entry *e, char **why_out)
{
	struct mods m;
	char now[20];
	int err;

	admin_now(now);
	mods_init(&m);
	mods_replace(&m, "vnStatus", "closed");
	mods_replace(&m, "vnValidTo", now);
	err = admin_modify(a, e->dn, &m, why_out);
	mods_done(&m);
	return err;
}

/* Whether the entry belongs to an agency; what is not there belongs to none. */
static int
is_of_agency(struct dir_admin *a, const char *dn, const char *agency, bool *is_out, char **why_out)
{
	static const char *const attrs[] = {"vnAgencyRef", NULL};
	struct dir_result *r = NULL;
	int err = *dn == '\0' ? ERR_NOTFOUND : dir_read(a->d, dn, attrs, &r);

	*is_out = err == 0 && strcasecmp(admin_value(&r->entries[0], "vnAgencyRef"), agency) == 0;
	dir_result_free(r);
	return err == 0 || err == ERR_NOTFOUND
		   ? 0
		   : admin_fail(why_out, err, "the directory does not answer");
}

static int
delegation_judge(struct dir_admin *a, const struct dir_entry *e, const char *dn,
    enum rights_scope scope, const char *agency, char **why_out)
{
	const char *from = admin_value(e, "vnDelegator"), *to = admin_value(e, "vnDelegateTo");
	bool given = admin_is_dn(from, dn), ends = scope == RIGHTS_ALL;
	int err = 0;

	if (scope == RIGHTS_AT_AGENCY)
		err = is_of_agency(a, given ? to : from, agency, &ends, why_out);
	if (err == 0 && assignment_when(dir_entry_value(e, "vnValidFrom"),
			    dir_entry_value(e, "vnValidTo"), time(NULL)) != ASSIGNMENT_OVER) {
		struct json *j =
		    admin_effect_add(a, given ? "delegation-given" : "delegation-taken",
			given ? to : from, ends ? ends_now : stays);

		json_set_str(j, "rights", admin_value(e, "vnRights"));
		json_set_str(j, "from", admin_value(e, "vnValidFrom"));
		json_set_str(j, "until", admin_value(e, "vnValidTo"));
	}
	if (err == 0 && ends)
		err = admin_delegation_end(a, e, why_out);
	return err;
}

static int
delegations_end(struct dir_admin *a, const char *dn, enum rights_scope scope, const char *agency,
    char **why_out)
{
	static const char *const attrs[] = {
	    "vnDelegator", "vnDelegateTo", "vnRights", "vnValidFrom", "vnValidTo", NULL};
	static const char delegated[] = "(&(objectClass=vnDelegation)(!(vnStatus=closed))"
					"(|(vnDelegator=%d)(vnDelegateTo=%d)))";
	struct dir_result *r = NULL;
	int err = admin_find(a, delegated, dn, attrs, 0, &r, why_out);

	for (size_t i = 0; err == 0 && i < r->n_entries; i++)
		err = delegation_judge(a, &r->entries[i], dn, scope, agency, why_out);
	dir_result_free(r);
	return err;
}

int
admin_rights_end(struct dir_admin *a, const char *dn, enum rights_scope scope, const char *agency,
    const char *but, char **why_out)
{
	int err = names_end(a, dn, scope, agency, but, why_out);

	if (err == 0)
		err = delegations_end(a, dn, scope, agency, why_out);
	return err != 0 ? err : admin_officers_end(a, dn, scope, agency, why_out);
}
