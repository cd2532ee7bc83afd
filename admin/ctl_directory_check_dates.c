/* ctl_directory_check_dates.c: what holds from when until when: validity that has passed, assignments and what they mean for the agencies of a
 * person, agencies and their successors, the scope of HR's officers. Runs in congvu. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "admin/ctl_directory_tree.h"
#include "directory/assignment.h"
#include "lib/log.h"

static void
check_agency_ref(struct tree_check *x, const struct dir_entry *e, const char *attr)
{
	const struct dir_attr *a = dir_entry_attr(e, attr);

	for (size_t i = 0; a != NULL && i < a->n_values; i++) {
		const struct dir_entry *agency = tree_agency(x->t, a->values[i]);
		const char *code = (const char *)a->values[i].ptr;

		if (agency == NULL)
			tree_tell(x, BAD, "no-agency", e,
			    _("%s is %s, and there is no such agency: congvu staff transfer, or "
			      "congvu agency add"),
			    attr, code);
		else if (tree_is_active(e) && !tree_is_active(agency))
			tree_tell(x, WARN, "agency-closed", e,
			    _("%s is %s, which is closed: move it to the successor"), attr, code);
	}
}

/* Told of each that is no date: what it bounds holds never. */
static bool
days_are_bad(struct tree_check *x, const struct dir_entry *e, const char *first, const char *last)
{
	const char *const names[] = {first, last};
	bool bad = false;

	for (size_t i = first == last ? 1 : 0; i < 2; i++) {
		struct slice v = dir_entry_value(e, names[i]);

		if (v.len == 0 || assignment_is_date(v))
			continue;
		bad = true;
		tree_tell(x, BAD, "bad-day", e,
		    _("%s is \"%s\", which is no day: until it is one (20261231170000Z), nothing "
		      "that it bounds holds"),
		    names[i], (const char *)v.ptr);
	}
	return bad;
}

static void
check_validity(struct tree_check *x, const struct dir_entry *e)
{
	struct slice to = dir_entry_value(e, "vnValidTo");

	if (days_are_bad(x, e, "vnValidFrom", "vnValidTo"))
		return;
	if (to.len > 0 && tree_is_active(e) && assignment_time(to) <= x->t->now)
		tree_tell(x, WARN, "expired", e,
		    _("was valid until %s and is not closed: close it (staff leave, post close, "
		      "agency close), or take the date away"),
		    (const char *)to.ptr);
}

/* ---- assignments ---- */

static bool
assignment_parse(struct slice v, struct assignment *a)
{
	assignment_split(v, a);
	return (slice_eq_str(a->kind, "primary") || slice_eq_str(a->kind, "concurrent") ||
		   slice_eq_str(a->kind, "seconded")) &&
	       a->agency.len > 0 && assignment_is_date(a->from) && a->to.ptr != NULL &&
	       (a->to.len == 0 || assignment_is_date(a->to)) && a->decision.len > 0;
}

static bool
is_current(const struct tree *t, const struct assignment *a)
{
	return assignment_when(a->from, a->to, t->now) == ASSIGNMENT_NOW;
}

/* Whether an assignment in force, of this kind or of any but primary, is in the agency. */
static bool
is_assigned(const struct tree *t, const struct dir_attr *all, struct slice agency, bool primary)
{
	for (size_t i = 0; i < all->n_values; i++) {
		struct assignment a;

		if (assignment_parse(all->values[i], &a) && is_current(t, &a) &&
		    slice_eq_str(a.kind, "primary") == primary && slice_caseeq(a.agency, agency))
			return true;
	}
	return false;
}

static void
check_assignment(struct tree_check *x, const struct dir_entry *e, struct slice value)
{
	const char *text = (const char *)value.ptr;
	struct assignment a;

	if (!assignment_parse(value, &a)) {
		tree_tell(x, BAD, "assignment", e,
		    _("\"%s\" must be kind;agency;post;from;to;decision, a day like 20261231; "
		      "it gives no right"),
		    text);
		return;
	}
	if (tree_agency(x->t, a.agency) == NULL)
		tree_tell(x, BAD, "no-agency", e,
		    _("the assignment \"%s\" is to an agency that is not there"), text);
	if (a.post.len > 0 && tree_post(x->t, a.post) == NULL)
		tree_tell(x, WARN, "no-post", e,
		    _("the assignment \"%s\" is to a post that is not there: congvu post create"),
		    text);
	/* begun and ended in one second is what congvu writes */
	if (a.to.len > 0 && assignment_time(a.to) < assignment_time(a.from))
		tree_tell(x, WARN, "assignment", e,
		    _("the assignment \"%s\" ends before it begins"), text);
}

/* Of a person or a post. */
static void
check_authority(struct tree_check *x, const struct dir_entry *e)
{
	const struct dir_attr *all = dir_entry_attr(e, "vnSigningAuthority");

	for (size_t i = 0; all != NULL && i < all->n_values; i++) {
		struct authority a;

		authority_split(all->values[i], &a);
		if (!authority_has_dates(&a))
			tree_tell(x, BAD, "authority", e,
			    _("\"%s\" has a day that is none, and lets nobody sign: it must be "
			      "type;capacity;from;to;decision, a day like 20261231"),
			    (const char *)all->values[i].ptr);
	}
}

static void
check_person(struct tree_check *x, const struct dir_entry *e)
{
	const struct dir_attr *all = dir_entry_attr(e, "vnAssignment"),
			      *others = dir_entry_attr(e, "vnConcurrentAgency");
	struct slice agency = dir_entry_value(e, "vnAgencyRef");

	if (agency.len == 0 && tree_is_active(e))
		tree_tell(x, WARN, "no-agency", e,
		    _("belongs to no agency (vnAgencyRef): no officer may change it, no rule of an "
		      "agency holds"));
	(void)days_are_bad(x, e, "vnAutoReplyFrom", "vnAutoReplyUntil");
	if (!days_are_bad(x, e, "vnReadUntil", "vnReadUntil") && tree_is_active(e) &&
	    dir_entry_value(e, "vnReadUntil").len > 0)
		tree_tell(x, BAD, "read-until", e,
		    _("has vnReadUntil, which is for who has left: nothing but reading is let, "
		      "though in service; take it away"));
	check_agency_ref(x, e, "vnAgencyRef");
	check_agency_ref(x, e, "vnConcurrentAgency");
	for (size_t i = 0; all != NULL && i < all->n_values; i++)
		check_assignment(x, e, all->values[i]);
	if (all == NULL || !tree_is_active(e))
		return;
	if (agency.len > 0 && !is_assigned(x->t, all, agency, true))
		tree_tell(x, WARN, "not-assigned", e,
		    _("vnAgencyRef is %s, and no primary assignment of today says so: congvu staff "
		      "transfer"),
		    (const char *)agency.ptr);
	for (size_t i = 0; others != NULL && i < others->n_values; i++)
		if (!is_assigned(x->t, all, others->values[i], false))
			tree_tell(x, WARN, "not-assigned", e,
			    _("vnConcurrentAgency is %s, and no assignment of today says so: "
			      "congvu "
			      "staff return"),
			    (const char *)others->values[i].ptr);
}

/* ---- agencies, officers, delegations ---- */

static void
check_agency(struct tree_check *x, const struct dir_entry *e)
{
	static const char *const heirs[] = {"vnPredecessor", "vnSuccessor"};
	const struct tree_row *above = tree_above(x->t, e);

	for (size_t h = 0; h < 2; h++) {
		const struct dir_attr *a = dir_entry_attr(e, heirs[h]);

		for (size_t i = 0; a != NULL && i < a->n_values; i++)
			if (tree_agency(x->t, a->values[i]) == NULL)
				tree_tell(x, WARN, "no-agency", e,
				    _("%s is %s, and there is no such agency"), heirs[h],
				    (const char *)a->values[i].ptr);
	}
	if (above != NULL && tree_is_active(e) && !tree_is_active(above->e))
		tree_tell(x, WARN, "agency-closed", e,
		    _("stands below an agency that is closed: congvu agency move"));
}

static bool
may_write(const struct dir_entry *officer, const struct dir_entry *agency)
{
	return dir_entry_has_value(officer, "vnHrOf", dir_entry_value(agency, "vnAgencyCode"));
}

static void
check_officer(struct tree_check *x, const struct dir_entry *e)
{
	const struct dir_attr *a = dir_entry_attr(e, "vnHrOf");

	(void)days_are_bad(x, e, "vnValidFrom", "vnValidTo");

	for (size_t i = 0; a != NULL && i < a->n_values; i++)
		if (tree_agency(x->t, a->values[i]) == NULL)
			tree_tell(x, WARN, "no-agency", e,
			    _("vnHrOf is %s, and there is no such agency"),
			    (const char *)a->values[i].ptr);
	for (size_t i = 0; i < tree_count(x->t, TREE_AGENCIES); i++) {
		const struct dir_entry *agency = &x->t->part[TREE_AGENCIES]->entries[i];
		const struct tree_row *above = tree_above(x->t, agency);

		if (above != NULL && above->part == TREE_AGENCIES && may_write(e, above->e) &&
		    !may_write(e, agency) && tree_is_active(agency))
			tree_tell(x, WARN, "officer", e,
			    _("writes for %s and not for %s below it: add the code to vnHrOf, if "
			      "that is meant"),
			    (const char *)dir_entry_value(above->e, "vnAgencyCode").ptr,
			    (const char *)dir_entry_value(agency, "vnAgencyCode").ptr);
	}
}

static void
check_delegation(struct tree_check *x, const struct dir_entry *e)
{
	struct slice from = dir_entry_value(e, "vnValidFrom"), to = dir_entry_value(e, "vnValidTo");

	if (days_are_bad(x, e, "vnValidFrom", "vnValidTo"))
		return;
	if (dir_entry_value(e, "vnDecisionRef").len == 0)
		tree_tell(x, WARN, "no-decision", e,
		    _("a delegation without decision (vnDecisionRef): nobody can say by whom it "
		      "was "
		      "given"));
	if (from.len == 0)
		tree_tell(x, WARN, "no-date", e, _("a delegation without beginning (vnValidFrom)"));
	else if (to.len > 0 && assignment_time(to) <= assignment_time(from) &&
		 tree_is_active(e)) /* a closed one was revoked before its first day */
		tree_tell(x, WARN, "no-date", e, _("a delegation that ends before it begins"));
}

void
tree_check_dates(struct tree_check *x)
{
	static const enum tree_part dated[] = {
	    TREE_PEOPLE, TREE_MAILBOXES, TREE_GROUPS, TREE_AGENCIES, TREE_POSTS};
	static const struct {
		enum tree_part part;
		void (*check)(struct tree_check *x, const struct dir_entry *e);
	} each[] = {{TREE_PEOPLE, check_person}, {TREE_PEOPLE, check_authority},
	    {TREE_POSTS, check_authority}, {TREE_AGENCIES, check_agency},
	    {TREE_OFFICERS, check_officer}, {TREE_DELEGATIONS, check_delegation}};
	static const enum tree_part belonging[] = {TREE_MAILBOXES, TREE_GROUPS, TREE_POSTS};

	for (size_t p = 0; p < sizeof(dated) / sizeof(dated[0]); p++)
		for (size_t i = 0; i < tree_count(x->t, dated[p]); i++)
			check_validity(x, &x->t->part[dated[p]]->entries[i]);
	for (size_t p = 0; p < sizeof(each) / sizeof(each[0]); p++)
		for (size_t i = 0; i < tree_count(x->t, each[p].part); i++)
			each[p].check(x, &x->t->part[each[p].part]->entries[i]);
	for (size_t p = 0; p < sizeof(belonging) / sizeof(belonging[0]); p++)
		for (size_t i = 0; i < tree_count(x->t, belonging[p]); i++)
			check_agency_ref(x, &x->t->part[belonging[p]]->entries[i], "vnAgencyRef");
	for (size_t i = 0; i < tree_count(x->t, TREE_GROUPS); i++)
		check_agency_ref(x, &x->t->part[TREE_GROUPS]->entries[i], "vnMemberAgency");
}
