/* ctl_delegate.c: `congvu delegate grant|revoke|list`: who may act in whose mailbox, from when until when. Runs in congvu. */
#include "config.h"

#include "admin/ctl.h"
#include "admin/ctl_change.h"
#include "admin/ctl_table.h"

#include "directory/assignment.h"
#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct args {
	const char *rights, *from, *until, *who, *to;
	bool send, all;
	struct change_args change;
};

static int
delegate_change(struct ctl *c, struct ctl_dir *d, bool grant, const struct args *a)
{
	const struct delegate_grant p = {
	    a->who, a->to, a->rights, a->send, a->from, a->until, a->change.decision};
	enum change change = CHANGE_NONE;
	struct json *j = json_obj_new();
	char *why = NULL;
	int err = grant ? dir_admin_delegate_grant(d->admin, &p, &change, &why)
			: dir_admin_delegate_revoke(
			      d->admin, a->who, a->to, a->change.decision, &change, &why);

	json_set_str(j, "to", a->to);
	return ctl_change_told(c, &a->change, d, a->who, err, change, why, j);
}

/* "now", "later", "over", or "closed": one that has not begun gives nothing yet. */
static const char *
state_of(const struct dir_entry *e)
{
	static const char *const names[] = {
	    [ASSIGNMENT_OVER] = "over", [ASSIGNMENT_NOW] = "now", [ASSIGNMENT_LATER] = "later"};

	if (strcmp(ctl_value(e, "vnStatus"), "active") != 0)
		return "closed";
	return names[assignment_when(
	    dir_entry_value(e, "vnValidFrom"), dir_entry_value(e, "vnValidTo"), time(NULL))];
}

static struct json *
delegation_take(struct ctl_dir *d, const struct dir_entry *e, struct ctl_table *t)
{
	char *from = dir_admin_name_of(d->admin, ctl_value(e, "vnDelegator")),
	     *to = dir_admin_name_of(d->admin, ctl_value(e, "vnDelegateTo"));
	const char *state = state_of(e);
	struct json *j = json_obj_new();

	ctl_table_cell(t, from);
	ctl_table_cell(t, to);
	ctl_table_cell(t, ctl_value(e, "vnRights"));
	ctl_table_cell(t, ctl_when(ctl_value(e, "vnValidFrom")));
	ctl_table_cell(t, ctl_until(ctl_value(e, "vnValidTo")));
	ctl_table_cell(t, strcmp(state, "later") == 0 || strcmp(state, "over") == 0
			      ? ctl_post_state(state)
			      : ctl_status_word(e));
	ctl_table_cell(t, ctl_value(e, "vnDecisionRef"));
	json_set_str(j, "id", ctl_value(e, "vnDelegationId"));
	json_set_str(j, "who", from);
	json_set_str(j, "to", to);
	json_set_str(j, "rights", ctl_value(e, "vnRights"));
	json_set_str(j, "from", ctl_value(e, "vnValidFrom"));
	json_set_str(j, "until", ctl_value(e, "vnValidTo"));
	json_set_str(j, "status", ctl_value(e, "vnStatus"));
	json_set_str(j, "state", state);
	json_set_take(j, "decisions", ctl_values_json(e, "vnDecisionRef"));
	free(from);
	free(to);
	return j;
}

static int
delegate_list(struct ctl *c, struct ctl_dir *d, const struct args *a)
{
	struct ctl_table *t = ctl_table_new(7);
	struct json *list = json_arr_new();
	struct dir_result *r = NULL;
	char *why = NULL;
	int err = dir_admin_delegations(d->admin, a->who, a->all, &r, &why);

	for (size_t i = 0; err == 0 && i < r->n_entries; i++)
		json_push_take(list, delegation_take(d, &r->entries[i], t));
	dir_result_free(r);
	return ctl_listed(c, list, t, a->who == NULL ? "list" : a->who, err, why);
}

int
ctl_delegate(struct ctl *c, int argc, char **argv)
{
	struct args a = {.change = {.decision = ""}};
	struct ctl_dir d = {0};
	const struct ctl_option options[] = {
	    {"rights", &a.rights, NULL},
	    {"send", NULL, &a.send},
	    {"from", &a.from, NULL},
	    {"until", &a.until, NULL},
	    {"all", NULL, &a.all},
	    CTL_CHANGE_OPTIONS(a.change),
	    {NULL, NULL, NULL},
	};
	bool list, grant;
	int rc = ctl_options(c, options, &argc, argv);

	if (rc != 0)
		return rc;
	list = (argc == 2 || argc == 3) && strcmp(argv[1], "list") == 0;
	grant = argc == 4 && strcmp(argv[1], "grant") == 0;
	if (!list && !grant && !(argc == 4 && strcmp(argv[1], "revoke") == 0))
		return ctl_usage(c, "%s", _("grant, revoke or list: from whom to whom?"));
	a.who = argc > 2 ? argv[2] : NULL;
	a.to = argc > 3 ? argv[3] : NULL;
	rc = ctl_change_open(c, &a.change, &d);
	if (rc == 0)
		rc = list ? delegate_list(c, &d, &a) : delegate_change(c, &d, grant, &a);
	ctl_dir_close(&d);
	return rc;
}
