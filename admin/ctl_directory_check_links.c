/* ctl_directory_check_links.c: references between entries: DNs that lead nowhere or to what is closed, groups that contain themselves, more
 * than lookup expands, or nobody; groups by title that give mailboxes. Runs in congvu. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "admin/ctl_directory_tree.h"
#include "directory/people.h"
#include "lib/log.h"

enum { WALK_MAX = 200000 };

static const struct {
	enum tree_part part;
	const char *attr;
} links[] = {
    {TREE_GROUPS, "member"},
    {TREE_POSTS, "roleOccupant"},
    {TREE_MAILBOXES, "vnHolder"},
    {TREE_MAILBOXES, "vnDelegate"},
    {TREE_MAILBOXES, "vnReader"},
    {TREE_DELEGATIONS, "vnDelegator"},
    {TREE_DELEGATIONS, "vnDelegateTo"},
    {TREE_OFFICERS, "roleOccupant"},
};

/* What a groupOfNames without members has to name, and refint leaves behind. */
static bool
is_nobody(const char *dn)
{
	return strcasecmp(dn, "cn=nobody") == 0;
}

static void
check_link(struct tree_check *x, const struct dir_entry *e, const char *attr, const char *dn)
{
	const struct tree_row *to = tree_by_dn(x->t, dn);

	if (to == NULL)
		tree_tell(x, WARN, "dangling", e,
		    _("%s names %s, which is not there: take the value away (congvu group remove, "
		      "post release, delegate revoke)"),
		    attr, dn);
	else if (to->part == TREE_PEOPLE && !tree_is_active(to->e) &&
		 strcmp(attr, "vnDelegator") != 0)
		tree_tell(x, WARN, "closed", e,
		    _("%s names %s, who has left or is suspended: take the value away, or it comes "
		      "back with the person"),
		    attr, dn);
}

static void
check_links(struct tree_check *x)
{
	for (size_t l = 0; l < sizeof(links) / sizeof(links[0]); l++)
		for (size_t i = 0; i < tree_count(x->t, links[l].part); i++) {
			const struct dir_entry *e = &x->t->part[links[l].part]->entries[i];
			const struct dir_attr *a = dir_entry_attr(e, links[l].attr);

			for (size_t v = 0; tree_is_active(e) && a != NULL && v < a->n_values; v++) {
				const char *dn = (const char *)a->values[v].ptr;

				if (links[l].part != TREE_GROUPS || !is_nobody(dn))
					check_link(x, e, links[l].attr, dn);
			}
		}
}

/* ---- groups ---- */

struct walk {
	const struct dir_entry *path[PEOPLE_GROUP_DEPTH + 1];
	size_t visits, members;
	bool cycle, deep;
	size_t *by_rule; /* of each group: 1 more than it has by rule; 0: not counted yet */
};

/* How many people a group has by its rules, counted once. */
static size_t
rule_count(const struct tree *t, const struct dir_entry *group, struct walk *w)
{
	size_t *n = &w->by_rule[group - t->part[TREE_GROUPS]->entries];

	if (*n == 0)
		*n = 1 + tree_by_rule(t, group, PEOPLE_GROUP_MAX + 1);
	return *n - 1;
}

static void
group_walk(const struct tree *t, const struct dir_entry *group, size_t depth, struct walk *w)
{
	const struct dir_attr *a = dir_entry_attr(group, "member");

	for (size_t i = 0; i < depth; i++)
		if (w->path[i] == group) {
			w->cycle = true;
			return;
		}
	if (depth > PEOPLE_GROUP_DEPTH) {
		w->deep = true;
		return;
	}
	w->path[depth] = group;
	w->members += rule_count(t, group, w);
	for (size_t i = 0; a != NULL && i < a->n_values && w->visits < WALK_MAX; i++) {
		const struct tree_row *row = tree_by_dn(t, (const char *)a->values[i].ptr);

		w->visits++;
		w->members += row != NULL && row->part != TREE_GROUPS;
		if (row != NULL && row->part == TREE_GROUPS)
			group_walk(t, row->e, depth + 1, w);
	}
}

static void
check_groups(struct tree_check *x)
{
	size_t *by_rule = xcalloc(tree_count(x->t, TREE_GROUPS) + 1, sizeof(*by_rule));

	for (size_t i = 0; i < tree_count(x->t, TREE_GROUPS); i++) {
		const struct dir_entry *e = &x->t->part[TREE_GROUPS]->entries[i];
		struct walk w = {.by_rule = by_rule};

		if (!tree_is_active(e))
			continue;
		group_walk(x->t, e, 0, &w);
		if (w.cycle)
			tree_tell(x, WARN, "cycle", e,
			    _("it contains itself, through its members: mail is delivered once, "
			      "but "
			      "nobody can tell who is in it; take one of the values of member "
			      "away"));
		if (w.deep)
			tree_tell(x, BAD, "group-depth", e,
			    _("its groups are nested deeper than %d: mail to it is refused; nest "
			      "them less"),
			    PEOPLE_GROUP_DEPTH);
		if (w.members > PEOPLE_GROUP_MAX)
			tree_tell(x, BAD, "group-size", e,
			    _("it has %zu members or more, and mail to more than %d is refused: "
			      "divide it"),
			    w.members, PEOPLE_GROUP_MAX);
		if (w.members == 0 && !w.deep)
			tree_tell(x, WARN, "group-empty", e,
			    tree_has_rule(e)
				? _("nobody is of its rules, and it has no member: nobody gets its "
				    "mail")
				: _("it has no member: nobody gets its mail"));
	}
	free(by_rule);
}

/* ---- groups by title that give mailboxes ---- */

static void
gives_mark(const struct tree *t, const char *dn, bool *gives, size_t depth)
{
	const struct tree_row *row = depth > PEOPLE_GROUP_DEPTH ? NULL : tree_by_dn(t, dn);
	const struct dir_attr *a;
	bool *mark;

	if (row == NULL || row->part != TREE_GROUPS || !tree_is_active(row->e))
		return;
	mark = &gives[row->e - t->part[TREE_GROUPS]->entries];
	if (*mark)
		return;
	*mark = true;
	a = dir_entry_attr(row->e, "member");
	for (size_t i = 0; a != NULL && i < a->n_values; i++)
		gives_mark(t, (const char *)a->values[i].ptr, gives, depth + 1);
}

/* Titles and roles are written by each agency's HR for its own people: whoever writes them there says who reads such a mailbox. */
static void
check_titles(struct tree_check *x)
{
	const struct tree *t = x->t;
	bool *gives = xcalloc(tree_count(t, TREE_GROUPS) + 1, sizeof(*gives));

	for (size_t l = 0; l < sizeof(links) / sizeof(links[0]); l++)
		for (size_t i = 0; i < tree_count(t, links[l].part); i++) {
			const struct dir_entry *e = &t->part[links[l].part]->entries[i];
			const struct dir_attr *a = dir_entry_attr(e, links[l].attr);

			if ((links[l].part != TREE_MAILBOXES &&
				strcmp(links[l].attr, "vnDelegateTo") != 0) ||
			    !tree_is_active(e))
				continue;
			for (size_t v = 0; a != NULL && v < a->n_values; v++)
				gives_mark(t, (const char *)a->values[v].ptr, gives, 0);
		}
	for (size_t i = 0; i < tree_count(t, TREE_GROUPS); i++) {
		const struct dir_entry *e = &t->part[TREE_GROUPS]->entries[i];

		if (gives[i] && dir_entry_attr(e, "vnMemberAgency") == NULL &&
		    (dir_entry_attr(e, "vnMemberTitle") != NULL ||
			dir_entry_attr(e, "vnMemberRole") != NULL))
			tree_tell(x, WARN, "group-title", e,
			    _("it gives a mailbox to whoever has a title or role, of whichever "
			      "agency: each agency's HR writes these. Name the agency "
			      "(vnMemberAgency), or let a post hold the mailbox"));
	}
	free(gives);
}

void
tree_check_links(struct tree_check *x)
{
	check_links(x);
	check_groups(x);
	check_titles(x);
}
