/* people_rules.c: groups by rule: people of some agencies, of agencies of some kind, with some title or role (vnMemberAgency, vnMemberKind,
 * vnMemberTitle, vnMemberRole). A person is a member who matches one value of each that the group has. Runs in lookup's workers. Values are
 * the directory's, and escaped all the same. */
#include "config.h"

#include "directory/people_priv.h"

#include "directory/assignment.h"
#include "directory/escape.h"
#include "lib/err.h"
#include "lib/fold.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { RULES_FILTER_MAX = 256 * 1024, AGENCIES_AT_ONCE = 1000 };

/* "(|" one of the templates for each value ")"; nothing without values. */
static int
any_of(const struct dir_attr *a, const char *tmpl, struct buf *f)
{
	int err = 0;

	if (a == NULL || a->n_values == 0)
		return 0;
	buf_append_str(f, "(|");
	for (size_t i = 0; err == 0 && i < a->n_values; i++)
		err = escape_template(tmpl, a->values[i], slice_of(NULL, 0), f);
	buf_append_str(f, ")");
	return err;
}

/* Who may be in an agency: of an assignment its days are looked at afterwards (is_member_today). */
static const char in_agency[] = "(vnAgencyRef=%s)(vnConcurrentAgency=%s)"
				"(vnAssignment=seconded;%s;*)(vnAssignment=concurrent;%s;*)",
		  at_or_beside[] = "(vnAgencyRef=%s)(vnConcurrentAgency=%s)",
		  at_home[] = "(vnAgencyRef=%s)";

/* Title and role are what the own agency's HR writes: they say nothing of who somebody is at another place. */
static bool
by_title(const struct dir_entry *group)
{
	return dir_entry_attr(group, "vnMemberTitle") != NULL ||
	       dir_entry_attr(group, "vnMemberRole") != NULL;
}

/* The agencies of some kinds. */
static int
of_kind(struct people *p, const struct dir_attr *kinds, struct dir_result **out)
{
	static const char *const attrs[] = {"vnAgencyCode", NULL};
	struct buf f;
	int err;

	buf_init(&f, RULES_FILTER_MAX);
	buf_append_str(&f, "(&(objectClass=vnAgency)(!(vnStatus=closed))");
	err = any_of(kinds, "(vnAgencyKind=%s)", &f);
	buf_append_str(&f, ")");
	if (err == 0)
		err = f.err != 0 ? ERR_LIMIT : dir_search(p->d, NULL, buf_cstr(&f), attrs, 0, out);
	buf_done(&f);
	return err;
}

/* A filter for the people of the agencies from "from" on, as many as a filter may name. */
static int
in_agencies(const struct dir_result *agencies, size_t from, const char *tmpl, struct buf *f)
{
	int err = 0;

	buf_append_str(f, "(|");
	/* whoever is somewhere for a time, once: where, is looked at afterwards */
	if (tmpl == in_agency)
		buf_append_str(f, "(vnAssignment=seconded;*)(vnAssignment=concurrent;*)");
	for (size_t i = from; err == 0 && i < agencies->n_entries && i < from + AGENCIES_AT_ONCE;
	     i++)
		err = escape_template(tmpl == in_agency ? at_or_beside : tmpl,
		    dir_entry_value(&agencies->entries[i], "vnAgencyCode"), slice_of(NULL, 0), f);
	buf_append_str(f, ")");
	return err;
}

/* Adds what r has; r is taken. Whoever is there already comes twice: the caller looks at each once. */
static void
result_join(struct dir_result **to, struct dir_result *r)
{
	if (*to == NULL) {
		*to = r;
		return;
	}
	if (r->n_entries == 0) { /* its entries may be NULL, which memcpy does not take */
		dir_result_free(r);
		return;
	}
	(*to)->entries =
	    xrealloc((*to)->entries, ((*to)->n_entries + r->n_entries + 1) * sizeof(*r->entries));
	memcpy((*to)->entries + (*to)->n_entries, r->entries, r->n_entries * sizeof(*r->entries));
	(*to)->n_entries += r->n_entries;
	free(r->entries);
	free(r);
}

/* One search for the people: of the agencies from "from" on, or of whichever (agencies NULL). */
static int
rules_search(struct people *p, const struct dir_attr *const a[4], const struct dir_result *agencies,
    size_t from, struct dir_result **out)
{
	const char *place = a[2] != NULL || a[3] != NULL ? at_home : in_agency;
	struct dir_result *r = NULL;
	struct buf f;
	int err;

	buf_init(&f, RULES_FILTER_MAX);
	buf_appendf(&f, "(&(objectClass=%s)%s", p->class_person, p->member_filter);
	err = any_of(a[0], place, &f);
	if (err == 0 && agencies != NULL)
		err = in_agencies(agencies, from, place, &f);
	if (err == 0)
		err = any_of(a[2], "(title=%s)", &f);
	if (err == 0)
		err = any_of(a[3], "(vnRole=%s)", &f);
	buf_append_str(&f, ")");
	if (err == 0)
		err = f.err != 0 ? ERR_LIMIT
				 : dir_search(p->d, NULL, buf_cstr(&f), p->attrs_rule,
				       2 * PEOPLE_GROUP_MAX, &r);
	buf_done(&f);
	if (err == 0)
		result_join(out, r);
	return err != 0 ? err : (*out)->n_entries > 4 * PEOPLE_GROUP_MAX ? ERR_LIMIT : 0;
}

/* ---- the other way: the groups of a person ---- */

enum { TRAITS_MAX = 64, PLACES_MAX = 32, RULE_GROUPS_MAX = 2000 };

static const char member_agency[] = "vnMemberAgency=", member_title[] = "vnMemberTitle=",
		  member_role[] = "vnMemberRole=", member_kind[] = "vnMemberKind=";

static void
traits_add(struct strings *l, const char *rule, const struct dir_entry *e, const char *attr)
{
	const struct dir_attr *a = dir_entry_attr(e, attr);

	for (size_t i = 0; a != NULL && i < a->n_values; i++) {
		char *text = NULL;

		if (a->values[i].len > 0 && asprintf(&text, "%s%.*s", rule, (int)a->values[i].len,
						(const char *)a->values[i].ptr) > 0)
			strings_add_take(l, text, TRAITS_MAX);
	}
}

void
people_traits(const struct people *p, const struct dir_entry *e, struct person *u)
{
	struct strings l = {0};

	traits_add(&l, member_agency, e, p->a_agency);
	traits_add(&l, member_agency, e, "vnConcurrentAgency");
	traits_add(&l, member_title, e, "title");
	traits_add(&l, member_role, e, "vnRole");
	u->traits = l.v;
	u->n_traits = l.n;
}

/* Whether one of the values stands among the traits of that rule; no values: whoever it is. */
static bool
has_trait(const struct person *u, const char *rule, const struct dir_attr *values)
{
	for (size_t i = 0; values != NULL && i < u->n_traits; i++)
		for (size_t k = 0; k < values->n_values; k++)
			if (strncmp(u->traits[i], rule, strlen(rule)) == 0 &&
			    case_same(slice_str(u->traits[i] + strlen(rule)), values->values[k]))
				return true;
	return values == NULL;
}

/* Where somebody is, and when. */
struct place {
	struct slice agency;
	bool is_home; /* the own agency (vnAgencyRef), whose word title and role are */
	int64_t from, until;
	char kind[24]; /* looked up when a rule asks */
};
struct places {
	struct place v[PLACES_MAX];
	size_t n, more; /* more: those for which there was no room */
	bool kinds_known;
};

static void
place_add(struct places *l, struct place at)
{
	if (l->n < PLACES_MAX)
		l->v[l->n++] = at;
	else
		l->more++;
}

/* The primary place is vnAgencyRef's to say, and of another kind nobody knows what it means. */
static bool
is_second_place(struct slice kind)
{
	return slice_caseeq_str(kind, "seconded") || slice_caseeq_str(kind, "concurrent");
}

/* Those of today and of later: what is over takes no room. */
static void
places_of(const struct person *u, struct places *l)
{
	int64_t now = time(NULL);

	for (size_t i = 0; i < u->n_traits; i++)
		if (strncmp(u->traits[i], member_agency, sizeof(member_agency) - 1) == 0) {
			struct slice code = slice_str(u->traits[i] + sizeof(member_agency) - 1);

			place_add(l, (struct place){.agency = code,
					 .is_home = slice_caseeq_str(code, u->agency)});
		}
	for (size_t i = 0; i < u->n_assignments; i++) {
		struct assignment f;

		assignment_split(slice_str(u->assignments[i]), &f);
		if (f.agency.len > 0 && is_second_place(f.kind) &&
		    assignment_when(f.from, f.to, now) != ASSIGNMENT_OVER) {
			struct place at = {.agency = f.agency};

			(void)assignment_bounds(f.from, f.to, &at.from, &at.until);
			place_add(l, at);
		}
	}
}

/* The groups of which one rule at least asks for something that the person is. */
static int
candidates(
    struct people *p, const struct person *u, const struct places *l, struct dir_result **out)
{
	static const char *const attrs[] = {"vnMemberAgency", "vnMemberKind", "vnMemberTitle",
	    "vnMemberRole", "vnValidFrom", "vnValidTo", NULL};
	/* dir_admin_agency_add knows no other kinds; which of them it is, is looked up when there is such a group */
	static const char kinds[] = "(vnMemberKind=office)(vnMemberKind=dept)(vnMemberKind=board)"
				    "(vnMemberKind=sector)(vnMemberKind=commune)";
	struct buf f;
	int err = 0;

	buf_init(&f, RULES_FILTER_MAX);
	buf_appendf(&f, "(&(objectClass=%s)(!(vnStatus=closed))(|%s", p->class_group, kinds);
	for (size_t i = 0; err == 0 && i < l->n; i++)
		err = escape_template("(vnMemberAgency=%s)", l->v[i].agency, slice_of(NULL, 0), &f);
	for (size_t i = 0; err == 0 && i < u->n_traits; i++) {
		const char *t = u->traits[i];

		if (strncmp(t, member_title, sizeof(member_title) - 1) == 0)
			err = escape_template("(vnMemberTitle=%s)",
			    slice_str(t + sizeof(member_title) - 1), slice_of(NULL, 0), &f);
		else if (strncmp(t, member_role, sizeof(member_role) - 1) == 0)
			err = escape_template("(vnMemberRole=%s)",
			    slice_str(t + sizeof(member_role) - 1), slice_of(NULL, 0), &f);
	}
	buf_append_str(&f, "))");
	if (err == 0)
		err = f.err != 0
			  ? ERR_LIMIT
			  : dir_search(p->d, NULL, buf_cstr(&f), attrs, RULE_GROUPS_MAX, out);
	buf_done(&f);
	return err;
}

static int
kinds_look(struct people *p, struct places *l, void (*dep)(void *arg, const char *key), void *arg)
{
	static const char *const attrs[] = {"vnAgencyCode", "vnAgencyKind", NULL};
	struct dir_result *r = NULL;
	struct buf f;
	int err = 0;

	if (l->kinds_known || l->n == 0)
		return 0;
	buf_init(&f, RULES_FILTER_MAX);
	buf_append_str(&f, "(&(objectClass=vnAgency)(!(vnStatus=closed))(|");
	for (size_t i = 0; err == 0 && i < l->n; i++)
		err = escape_template("(vnAgencyCode=%s)", l->v[i].agency, slice_of(NULL, 0), &f);
	buf_append_str(&f, "))");
	if (err == 0)
		err = f.err != 0 ? ERR_LIMIT
				 : dir_search(p->d, NULL, buf_cstr(&f), attrs, PLACES_MAX, &r);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		struct slice code = dir_entry_value(&r->entries[i], "vnAgencyCode"),
			     kind = dir_entry_value(&r->entries[i], "vnAgencyKind");

		dep(arg, r->entries[i].dn_norm);
		for (size_t k = 0; k < l->n; k++)
			if (slice_caseeq(l->v[k].agency, code) && kind.len < sizeof(l->v[k].kind))
				snprintf(l->v[k].kind, sizeof(l->v[k].kind), "%.*s", (int)kind.len,
				    (const char *)kind.ptr);
	}
	l->kinds_known = err == 0;
	dir_result_free(r);
	buf_done(&f);
	return err;
}

/* Codes of agencies, in order and borrowed. */
struct codes {
	struct slice *v;
	size_t n;
};

static int
code_cmp(const void *x, const void *y)
{
	const struct slice *a = x, *b = y;
	size_t n = a->len < b->len ? a->len : b->len;
	int c = strncasecmp((const char *)a->ptr, (const char *)b->ptr, n);

	return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
}

static bool
has_like(const struct dir_attr *values, struct slice v)
{
	for (size_t i = 0; values != NULL && v.len > 0 && i < values->n_values; i++)
		if (case_same(values->values[i], v))
			return true;
	return values == NULL;
}

/* Whether a place's agency is of a kind that the group asks for; of_kinds as kinds_look, or the codes of all agencies of them, in order. */
static bool
is_of_kind(const struct place *at, const struct dir_attr *kinds, const struct codes *of_kinds)
{
	if (of_kinds == NULL || kinds == NULL)
		return has_like(kinds, slice_str(at->kind));
	return of_kinds->n > 0 && bsearch(&at->agency, of_kinds->v, of_kinds->n,
				      sizeof(*of_kinds->v), code_cmp) != NULL;
}

/* Each time at which one place satisfies the rule of agencies and one that of kinds; with a rule of titles or roles the own agency alone. */
static void
group_times(const struct dir_entry *e, const struct places *l, const struct codes *of_kinds,
    void (*fn)(void *arg, const struct dir_entry *group, int64_t from, int64_t until), void *arg)
{
	const struct dir_attr *agencies = dir_entry_attr(e, "vnMemberAgency"),
			      *kinds = dir_entry_attr(e, "vnMemberKind");
	bool home = by_title(e);

	if (agencies == NULL && kinds == NULL) {
		fn(arg, e, 0, 0);
		return;
	}
	for (size_t i = 0; i < l->n; i++) {
		const struct place *a = &l->v[i];

		if (home && !a->is_home)
			continue;
		for (size_t k = 0; has_like(agencies, a->agency) && k < l->n; k++) {
			const struct place *b = &l->v[k];
			int64_t from = a->from > b->from ? a->from : b->from, until = a->until;

			/* one rule alone asks for one place */
			if (((agencies == NULL || kinds == NULL) && k != i) ||
			    (home && !b->is_home))
				continue;
			if (b->until != 0 && (until == 0 || b->until < until))
				until = b->until;
			if (is_of_kind(b, kinds, of_kinds))
				fn(arg, e, from, until);
		}
	}
}

int
people_rule_groups(struct people *p, const struct person *u,
    void (*fn)(void *arg, const struct dir_entry *group, int64_t from, int64_t until),
    void (*dep)(void *arg, const char *key), void *arg)
{
	struct places l = {.n = 0};
	struct dir_result *r = NULL;
	int err;

	/* other trees have no such rules */
	if (u->n_traits + u->n_assignments == 0 || strcasecmp(p->class_group, "vnMailGroup") != 0)
		return 0;
	places_of(u, &l);
	if (l.more > 0)
		log_msg(LOG_LVL_WARN, "too_many_places",
		    "%s is in more than %d agencies: %zu of them give no mailbox by rule",
		    u->account, PLACES_MAX, l.more);
	err = candidates(p, u, &l, &r);
	if (err == ERR_LIMIT) { /* nobody is kept out of the own mailbox by that */
		log_msg(LOG_LVL_WARN, "too_many_groups",
		    "more than %d groups by rule: none of them holds a mailbox for %s",
		    RULE_GROUPS_MAX, u->account);
		return 0;
	}
	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];

		if (!has_trait(u, member_title, dir_entry_attr(e, "vnMemberTitle")) ||
		    !has_trait(u, member_role, dir_entry_attr(e, "vnMemberRole")))
			continue;
		if (dir_entry_attr(e, "vnMemberKind") != NULL)
			err = kinds_look(p, &l, dep, arg);
		if (err == 0)
			group_times(e, &l, NULL, fn, arg);
	}
	dir_result_free(r);
	return err == 0 ? 0 : ERR_TEMP;
}

/* ---- the members of a group ---- */

static void
codes_of(const struct dir_result *agencies, struct codes *out)
{
	out->v = xcalloc(agencies->n_entries + 1, sizeof(*out->v));
	for (size_t i = 0; i < agencies->n_entries; i++) {
		struct slice code = dir_entry_value(&agencies->entries[i], "vnAgencyCode");

		if (code.len > 0)
			out->v[out->n++] = code;
	}
	qsort(out->v, out->n, sizeof(*out->v), code_cmp);
}

static void
is_now(void *arg, const struct dir_entry *group, int64_t from, int64_t until)
{
	int64_t now = time(NULL);
	bool *found = arg;

	(void)group;
	*found = *found || (from <= now && (until == 0 || now < until));
}

/* Whether the person is in the group today, by the same rule as the mailboxes that the group holds. */
static bool
is_member_today(const struct people *p, const struct dir_entry *group, const struct dir_entry *e,
    const struct codes *of_kinds)
{
	struct person u = {.account = e->dn};
	struct places l = {.n = 0};
	bool found = false;

	people_assignments(dir_entry_attr(e, "vnAssignment"), &u);
	u.agency = people_text(e, p->a_agency, "");
	people_traits(p, e, &u);
	places_of(&u, &l);
	if (has_trait(&u, member_title, dir_entry_attr(group, "vnMemberTitle")) &&
	    has_trait(&u, member_role, dir_entry_attr(group, "vnMemberRole")))
		group_times(group, &l, of_kinds, is_now, &found);
	strings_free(u.assignments, u.n_assignments);
	strings_free(u.traits, u.n_traits);
	free(u.agency);
	return found;
}

/* Leaves those of all who are in the group today. */
static void
keep_members(const struct people *p, const struct dir_entry *group, const struct codes *of_kinds,
    struct dir_result *all)
{
	size_t n = 0;

	for (size_t i = 0; i < all->n_entries; i++) {
		struct dir_entry e = all->entries[i];

		if (!is_member_today(p, group, &e, of_kinds))
			continue;
		all->entries[i] = all->entries[n]; /* that one goes with the others of the list */
		all->entries[n++] = e;
	}
	dir_entries_drop(all, n);
}

int
people_by_rules(struct people *p, const struct dir_entry *group, struct dir_result **out)
{
	static const char *const rules[] = {
	    "vnMemberAgency", "vnMemberKind", "vnMemberTitle", "vnMemberRole"};
	const struct dir_attr *a[4];
	struct dir_result *agencies = NULL, *all = NULL;
	struct codes of_kinds = {NULL, 0};
	bool has_any = false;
	size_t from = 0;
	int err = 0;

	*out = NULL;
	for (size_t i = 0; i < 4; i++) {
		a[i] = dir_entry_attr(group, rules[i]);
		has_any = has_any || a[i] != NULL;
	}
	if (!has_any)
		return 0;
	if (a[1] != NULL)
		err = of_kind(p, a[1], &agencies);
	/* a kind that no agency is of: nobody */
	while (err == 0 && (agencies == NULL ? from == 0 : from < agencies->n_entries)) {
		err = rules_search(p, a, agencies, from, &all);
		from += AGENCIES_AT_ONCE;
	}
	if (err == 0 && all != NULL) {
		if (agencies != NULL)
			codes_of(agencies, &of_kinds);
		keep_members(p, group, &of_kinds, all);
		err = all->n_entries > PEOPLE_GROUP_MAX ? ERR_LIMIT : 0;
	}
	free(of_kinds.v);
	dir_result_free(agencies);
	if (err == 0)
		*out = all;
	else
		dir_result_free(all);
	return err;
}

/* "vnMemberTitle=giám đốc": without case, as both sides make it. */
static void
key_make(const char *rule, struct slice value, struct buf *out)
{
	buf_reset(out);
	buf_append_str(out, rule);
	if (case_fold(value, out) != 0)
		buf_append_slice(out, value);
}

void
people_rule_keys(const struct dir_entry *group,
    void (*fn)(void *arg, const char *key, bool is_subject), void *arg)
{
	static const struct {
		const char *attr, *rule;
	} rules[] = {{"vnMemberAgency", member_agency}, {"vnMemberTitle", member_title},
	    {"vnMemberRole", member_role}};
	struct buf key;

	buf_init(&key, 65536);
	for (size_t r = 0; r < sizeof(rules) / sizeof(rules[0]); r++) {
		const struct dir_attr *a = dir_entry_attr(group, rules[r].attr);

		for (size_t i = 0; a != NULL && i < a->n_values && i < TRAITS_MAX; i++) {
			key_make(rules[r].rule, a->values[i], &key);
			fn(arg, buf_cstr(&key), true);
		}
	}
	/* of which kind a person's agencies are, nobody knows beforehand */
	if (dir_entry_attr(group, "vnMemberKind") != NULL)
		fn(arg, member_kind, true);
	buf_done(&key);
}

void
people_trait_keys(const struct person *u, void (*dep)(void *arg, const char *key), void *arg)
{
	struct places l = {.n = 0};
	struct buf key;

	if (u->n_traits + u->n_assignments == 0)
		return;
	buf_init(&key, 65536);
	places_of(u, &l);
	for (size_t i = 0; i < l.n; i++) {
		key_make(member_agency, l.v[i].agency, &key);
		dep(arg, buf_cstr(&key));
	}
	for (size_t i = 0; i < u->n_traits; i++) {
		const char *eq = strchr(u->traits[i], '=') + 1;
		bool title = strncmp(u->traits[i], member_title, sizeof(member_title) - 1) == 0;

		if (strncmp(u->traits[i], member_agency, sizeof(member_agency) - 1) == 0)
			continue;
		key_make(title ? member_title : member_role, slice_str(eq), &key);
		dep(arg, buf_cstr(&key));
	}
	dep(arg, member_kind);
	buf_done(&key);
}
