/* ctl_directory_check_today.c: who is behind a name today: mailboxes whose mail nobody reads, groups in which nobody is, delegations whose two ends have
 * gone their ways. Runs in congvu. Posts are held as lookup has it (directory/people_func.c): by the days of the assignments that name them, and by
 * roleOccupant where none does. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "admin/ctl_directory_tree.h"
#include "directory/assignment.h"
#include "directory/people.h"
#include "lib/fold.h"
#include "lib/log.h"

enum { LEVELS_MAX = 4 }; /* of posts and groups between a person and a mailbox, as lookup goes */

struct today {
	const struct tree *t;
	bool *post_held; /* by the number of a post */
};

static size_t
number_of(const struct tree *t, enum tree_part part, const struct dir_entry *e)
{
	return (size_t)(e - t->part[part]->entries);
}

static bool
is_in_force(const struct tree *t, const struct dir_entry *e)
{
	return tree_is_active(e) && assignment_when(dir_entry_value(e, "vnValidFrom"),
					dir_entry_value(e, "vnValidTo"), t->now) == ASSIGNMENT_NOW;
}

/* ---- posts ---- */

/* Whether an assignment of the person names the post at all; then these say. */
static bool
is_named(const struct dir_entry *person, struct slice post)
{
	const struct dir_attr *a = dir_entry_attr(person, "vnAssignment");

	for (size_t i = 0; a != NULL && i < a->n_values; i++) {
		struct assignment f;

		assignment_split(a->values[i], &f);
		if (f.post.len > 0 && slice_caseeq(f.post, post))
			return true;
	}
	return false;
}

static void
assigned_mark(struct today *d, const struct dir_entry *person)
{
	const struct dir_attr *a = dir_entry_attr(person, "vnAssignment");

	for (size_t i = 0; tree_is_active(person) && a != NULL && i < a->n_values; i++) {
		const struct dir_entry *post;
		struct assignment f;

		assignment_split(a->values[i], &f);
		if (f.post.len == 0 || assignment_when(f.from, f.to, d->t->now) != ASSIGNMENT_NOW)
			continue;
		post = tree_post(d->t, f.post);
		if (post != NULL)
			d->post_held[number_of(d->t, TREE_POSTS, post)] = true;
	}
}

static void
occupants_mark(struct today *d, const struct dir_entry *post, bool *held)
{
	const struct dir_attr *a = dir_entry_attr(post, "roleOccupant");

	for (size_t i = 0; !*held && a != NULL && i < a->n_values; i++) {
		const struct tree_row *row = tree_by_dn(d->t, (const char *)a->values[i].ptr);

		*held = row != NULL && row->part == TREE_PEOPLE && tree_is_active(row->e) &&
			!is_named(row->e, dir_entry_value(post, "vnPositionCode"));
	}
}

static void
today_init(struct today *d, const struct tree *t)
{
	d->t = t;
	d->post_held = xcalloc(tree_count(t, TREE_POSTS) + 1, sizeof(*d->post_held));
	for (size_t i = 0; i < tree_count(t, TREE_PEOPLE); i++)
		assigned_mark(d, &t->part[TREE_PEOPLE]->entries[i]);
	for (size_t i = 0; i < tree_count(t, TREE_POSTS); i++) {
		const struct dir_entry *post = &t->part[TREE_POSTS]->entries[i];

		occupants_mark(d, post, &d->post_held[i]);
		d->post_held[i] = d->post_held[i] && is_in_force(t, post);
	}
}

/* ---- groups by rule ---- */

static bool
has_like(const struct dir_attr *rule, const struct dir_entry *e, const char *attr)
{
	const struct dir_attr *a = dir_entry_attr(e, attr);

	for (size_t i = 0; a != NULL && i < a->n_values; i++)
		for (size_t k = 0; k < rule->n_values; k++)
			if (case_same(a->values[i], rule->values[k]))
				return true;
	return false;
}

static bool
is_of_kind(const struct tree *t, const struct dir_attr *kinds, const struct dir_entry *e, bool home)
{
	static const char *const places[] = {"vnAgencyRef", "vnConcurrentAgency"};

	for (size_t p = 0; p < (home ? 1 : 2); p++) {
		const struct dir_attr *a = dir_entry_attr(e, places[p]);

		for (size_t i = 0; a != NULL && i < a->n_values; i++) {
			const struct dir_entry *agency = tree_agency(t, a->values[i]);

			if (agency != NULL && tree_is_active(agency) &&
			    has_like(kinds, agency, "vnAgencyKind"))
				return true;
		}
	}
	return false;
}

bool
tree_has_rule(const struct dir_entry *group)
{
	return dir_entry_attr(group, "vnMemberAgency") != NULL ||
	       dir_entry_attr(group, "vnMemberKind") != NULL ||
	       dir_entry_attr(group, "vnMemberTitle") != NULL ||
	       dir_entry_attr(group, "vnMemberRole") != NULL;
}

static bool
matches(const struct tree *t, const struct dir_entry *group, const struct dir_entry *e)
{
	const struct dir_attr *agencies = dir_entry_attr(group, "vnMemberAgency"),
			      *kinds = dir_entry_attr(group, "vnMemberKind"),
			      *titles = dir_entry_attr(group, "vnMemberTitle"),
			      *roles = dir_entry_attr(group, "vnMemberRole");

	/* as people_rules.c has it: the own agency's HR writes title and role, and nothing of another place */
	bool home = titles != NULL || roles != NULL;

	return (agencies == NULL || has_like(agencies, e, "vnAgencyRef") ||
		   (!home && has_like(agencies, e, "vnConcurrentAgency"))) &&
	       (roles == NULL || has_like(roles, e, "vnRole")) &&
	       (titles == NULL || has_like(titles, e, "title")) &&
	       (kinds == NULL || is_of_kind(t, kinds, e, home));
}

size_t
tree_by_rule(const struct tree *t, const struct dir_entry *group, size_t max)
{
	size_t n = 0;

	if (!tree_has_rule(group))
		return 0;
	for (size_t i = 0; n < max && i < tree_count(t, TREE_PEOPLE); i++) {
		const struct dir_entry *e = &t->part[TREE_PEOPLE]->entries[i];

		n += tree_is_active(e) && matches(t, group, e);
	}
	return n;
}

/* ---- who reads a mailbox ---- */

static bool is_there(const struct today *d, const char *dn, int level);

static bool
any_is_there(const struct today *d, const struct dir_entry *e, const char *attr, int level)
{
	const struct dir_attr *a = dir_entry_attr(e, attr);

	for (size_t i = 0; a != NULL && i < a->n_values; i++)
		if (is_there(d, (const char *)a->values[i].ptr, level))
			return true;
	return false;
}

/* Whether a person stands behind the name today: itself, holding the post, in the group. */
static bool
is_there(const struct today *d, const char *dn, int level)
{
	const struct tree_row *row = level > LEVELS_MAX ? NULL : tree_by_dn(d->t, dn);

	if (row == NULL)
		return false;
	switch (row->part) {
	case TREE_PEOPLE:
		return tree_is_active(row->e);
	case TREE_POSTS:
		return d->post_held[number_of(d->t, TREE_POSTS, row->e)];
	case TREE_GROUPS:
		return is_in_force(d->t, row->e) && (any_is_there(d, row->e, "member", level + 1) ||
							tree_by_rule(d->t, row->e, 1) > 0);
	default:
		return false;
	}
}

/* By mailbox: whether a delegation in force lets somebody read it. */
static bool *
delegated_make(const struct today *d)
{
	bool *read = xcalloc(tree_count(d->t, TREE_MAILBOXES) + 1, sizeof(*read));

	for (size_t i = 0; i < tree_count(d->t, TREE_DELEGATIONS); i++) {
		const struct dir_entry *e = &d->t->part[TREE_DELEGATIONS]->entries[i];
		struct slice from = dir_entry_value(e, "vnDelegator"),
			     rights = dir_entry_value(e, "vnRights");
		const struct tree_row *row =
		    from.len == 0 ? NULL : tree_by_dn(d->t, (const char *)from.ptr);

		if (row != NULL && row->part == TREE_MAILBOXES && is_in_force(d->t, e) &&
		    slice_index(rights, 'r') >= 0 && any_is_there(d, e, "vnDelegateTo", 0))
			read[number_of(d->t, TREE_MAILBOXES, row->e)] = true;
	}
	return read;
}

/* The posts, people and groups that are to hold it, as they are called. */
static void
names_append(const struct tree *t, const struct dir_entry *e, const char *attr, struct buf *out)
{
	static const char *const ids[TREE_PARTS] = {
	    [TREE_PEOPLE] = "vnStaffId", [TREE_GROUPS] = "cn", [TREE_POSTS] = "vnPositionCode"};
	const struct dir_attr *a = dir_entry_attr(e, attr);

	for (size_t i = 0; a != NULL && i < a->n_values; i++) {
		const struct tree_row *row = tree_by_dn(t, (const char *)a->values[i].ptr);

		if (row == NULL || ids[row->part] == NULL)
			continue;
		if (out->len > 0)
			buf_append_str(out, ", ");
		buf_append_slice(out, dir_entry_value(row->e, ids[row->part]));
	}
}

/* Whether the mailbox is held by posts alone, and these are closed. */
static bool
all_are_closed(const struct tree *t, const struct dir_entry *e)
{
	const struct dir_attr *a = dir_entry_attr(e, "vnHolder");

	for (size_t i = 0; a != NULL && i < a->n_values; i++) {
		const struct tree_row *row = tree_by_dn(t, (const char *)a->values[i].ptr);

		if (row == NULL || row->part != TREE_POSTS || tree_is_active(row->e))
			return false;
	}
	return a != NULL && dir_entry_attr(e, "vnDelegate") == NULL &&
	       dir_entry_attr(e, "vnReader") == NULL;
}

static void
check_mailbox(struct tree_check *x, const struct today *d, const struct dir_entry *e, bool is_read)
{
	static const char *const roster[] = {"vnHolder", "vnDelegate", "vnReader"};
	bool named = false, ended;
	struct buf names;

	for (size_t i = 0; i < 3; i++) {
		named = named || dir_entry_attr(e, roster[i]) != NULL;
		is_read = is_read || any_is_there(d, e, roster[i], 0);
	}
	if (is_read || !tree_is_active(e))
		return;
	if (!named) {
		tree_tell(x, WARN, "unheld", e,
		    _("nobody holds or reads this mailbox: congvu delegate grant, or set vnHolder "
		      "to "
		      "a post or a person"));
		return;
	}
	buf_init(&names, 4096);
	for (size_t i = 0; i < 3; i++)
		names_append(d->t, e, roster[i], &names);
	ended = all_are_closed(d->t, e);
	if (ended)
		tree_tell(x, WARN, "unheld-today", e,
		    _("its mail is taken, and nobody reads it: %s is closed: congvu post close, "
		      "given again, closes the mailbox too"),
		    names.len == 0 ? "-" : buf_cstr(&names));
	else
		tree_tell(x, WARN, "unheld-today", e,
		    _("its mail is taken, and today nobody reads it: nobody is behind %s: congvu "
		      "post "
		      "assign"),
		    names.len == 0 ? "-" : buf_cstr(&names));
	buf_done(&names);
}

/* ---- delegations whose ends have gone ---- */

/* When the person ended to be at the agency, later than since; false: never, or it is there now. */
static bool
has_gone(const struct tree *t, const struct dir_entry *person, struct slice agency, int64_t since)
{
	const struct dir_attr *a = dir_entry_attr(person, "vnAssignment");
	bool gone = false;

	if (slice_caseeq(dir_entry_value(person, "vnAgencyRef"), agency))
		return false;
	for (size_t i = 0; a != NULL && i < a->n_values; i++) {
		struct assignment f;

		assignment_split(a->values[i], &f);
		if (!slice_caseeq(f.agency, agency))
			continue;
		if (assignment_when(f.from, f.to, t->now) == ASSIGNMENT_NOW)
			return false;
		gone = gone || assignment_time(f.to) > since;
	}
	return gone;
}

static void
check_delegation(struct tree_check *x, const struct dir_entry *e)
{
	static const char *const ends[] = {"vnDelegator", "vnDelegateTo"};
	struct slice agency = dir_entry_value(e, "vnAgencyRef");
	int64_t since = assignment_time(dir_entry_value(e, "vnValidFrom"));

	if (!is_in_force(x->t, e))
		return;
	for (size_t i = 0; i < 2; i++) {
		struct slice dn = dir_entry_value(e, ends[i]);
		const struct tree_row *row =
		    dn.len == 0 ? NULL : tree_by_dn(x->t, (const char *)dn.ptr);

		if (row == NULL || row->part != TREE_PEOPLE)
			continue;
		if (i == 0 && !tree_is_active(row->e))
			tree_tell(x, WARN, "delegation-left", e,
			    _("%s, whose mailbox it is about, has left or is suspended: congvu "
			      "delegate revoke, unless it is meant"),
			    (const char *)dir_entry_value(row->e, "vnStaffId").ptr);
		else if (tree_is_active(row->e) && agency.len > 0 &&
			 has_gone(x->t, row->e, agency, since))
			tree_tell(x, WARN, "delegation-moved", e,
			    _("%s has gone from %s since it was given: congvu delegate revoke, "
			      "unless it is meant"),
			    (const char *)dir_entry_value(row->e, "vnStaffId").ptr,
			    (const char *)agency.ptr);
	}
}

void
tree_check_today(struct tree_check *x)
{
	struct today d;
	bool *read;

	today_init(&d, x->t);
	read = delegated_make(&d);
	for (size_t i = 0; i < tree_count(x->t, TREE_MAILBOXES); i++)
		check_mailbox(x, &d, &x->t->part[TREE_MAILBOXES]->entries[i], read[i]);
	for (size_t i = 0; i < tree_count(x->t, TREE_DELEGATIONS); i++)
		check_delegation(x, &x->t->part[TREE_DELEGATIONS]->entries[i]);
	free(read);
	free(d.post_held);
}
