/* people_rules.c: groups by rule: people of some agencies, of agencies of some kind, with some title or role (vnMemberAgency, vnMemberKind,
 * vnMemberTitle, vnMemberRole). A person is a member who matches one value of each that the group has. Runs in lookup's workers. Values are
 * the directory's, and escaped all the same. */
#include "config.h"

#include "directory/people_priv.h"

#include "directory/escape.h"
#include "lib/err.h"

#include <string.h>

enum { RULES_FILTER_MAX = 256 * 1024 };

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

static const char in_agency[] = "(vnAgencyRef=%s)(vnConcurrentAgency=%s)";

/* The agencies of some kinds as a filter for their people. */
static int
of_kind(struct people *p, const struct dir_attr *kinds, struct buf *f)
{
	static const char *const attrs[] = {"vnAgencyCode", NULL};
	struct dir_result *r = NULL;
	struct buf which;
	int err;

	if (kinds == NULL || kinds->n_values == 0)
		return 0;
	buf_init(&which, RULES_FILTER_MAX);
	buf_append_str(&which, "(&(objectClass=vnAgency)(!(vnStatus=closed))");
	err = any_of(kinds, "(vnAgencyKind=%s)", &which);
	buf_append_str(&which, ")");
	if (err == 0)
		err = which.err != 0 ? ERR_LIMIT
				     : dir_search(p->d, NULL, buf_cstr(&which), attrs, 0, &r);
	buf_append_str(f, "(|");
	for (size_t i = 0; err == 0 && i < r->n_entries; i++)
		err = escape_template(
		    in_agency, dir_entry_value(&r->entries[i], attrs[0]), slice_of(NULL, 0), f);
	buf_append_str(f, ")"); /* no agency of the kind: an OR of nothing is false: nobody */
	dir_result_free(r);
	buf_done(&which);
	return err;
}

int
people_by_rules(struct people *p, const struct dir_entry *group, struct dir_result **out)
{
	static const char *const rules[] = {
	    "vnMemberAgency", "vnMemberKind", "vnMemberTitle", "vnMemberRole"};
	const struct dir_attr *a[4];
	bool has_any = false;
	struct buf f;
	int err;

	*out = NULL;
	for (size_t i = 0; i < 4; i++) {
		a[i] = dir_entry_attr(group, rules[i]);
		has_any = has_any || a[i] != NULL;
	}
	if (!has_any)
		return 0;
	buf_init(&f, RULES_FILTER_MAX);
	buf_appendf(&f, "(&(objectClass=%s)%s", p->class_person, p->member_filter);
	err = any_of(a[0], in_agency, &f);
	if (err == 0)
		err = of_kind(p, a[1], &f);
	if (err == 0)
		err = any_of(a[2], "(title=%s)", &f);
	if (err == 0)
		err = any_of(a[3], "(vnRole=%s)", &f);
	buf_append_str(&f, ")");
	if (err == 0)
		err = f.err != 0 ? ERR_LIMIT
				 : dir_search(p->d, NULL, buf_cstr(&f), p->attrs_rcpt,
				       PEOPLE_GROUP_MAX, out);
	buf_done(&f);
	return err;
}
