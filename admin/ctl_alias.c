/* ctl_alias.c: `congvu alias add|remove|list`: further addresses of people, mailboxes and groups, and those they had. Runs in congvu. */
#include "config.h"

#include "admin/ctl.h"
#include "admin/ctl_change.h"
#include "admin/ctl_table.h"

#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
alias_change(struct ctl *c, struct ctl_dir *d, const struct change_args *a, bool add,
    const char *owner, const char *address)
{
	enum change change = CHANGE_NONE;
	struct json *j = json_obj_new();
	char *why = NULL;
	int err = dir_admin_alias(d->admin, owner, address, add, a->decision, &change, &why);

	json_set_str(j, "address", address);
	return ctl_change_told(c, a, d, owner, err, change, why, j);
}

/* address;from;to as an object, and as a row. */
static void
former_take(
    const char *who, const char *name, struct slice value, struct ctl_table *t, struct json *list)
{
	char *text = slice_dup(value), *rest = text, *address = strsep(&rest, ";"),
	     *from = strsep(&rest, ";"), *to = strsep(&rest, ";");
	struct json *j = json_obj_new();

	ctl_table_cell(t, address);
	ctl_table_cell(t, _("former"));
	ctl_table_cell(t, to == NULL ? "" : ctl_when(to));
	ctl_table_cell(t, who);
	ctl_table_cell(t, name);
	json_set_str(j, "address", address);
	json_set_str(j, "from", from);
	json_set_str(j, "to", to);
	json_push_take(list, j);
	free(text);
}

static struct json *
owner_take(const struct dir_entry *e, struct ctl_table *t)
{
	static const char *const ids[] = {"vnStaffId", "vnMailboxId", "cn"};
	const struct dir_attr *aliases = dir_entry_attr(e, "vnMailAlias"),
			      *history = dir_entry_attr(e, "vnAddressHistory");
	struct json *j = json_obj_new(), *former = json_arr_new();
	const char *id = "", *name = ctl_value(e, "displayName");

	for (size_t i = 0; i < 3 && *id == '\0'; i++)
		id = ctl_value(e, ids[i]);
	for (size_t i = 0; aliases != NULL && i < aliases->n_values; i++) {
		ctl_table_cell(t, (const char *)aliases->values[i].ptr);
		ctl_table_cell(t, _("alias"));
		ctl_table_cell(t, "");
		ctl_table_cell(t, id);
		ctl_table_cell(t, name);
	}
	for (size_t i = 0; history != NULL && i < history->n_values; i++)
		former_take(id, name, history->values[i], t, former);
	json_set_str(j, "owner", id);
	json_set_str(j, "name", name);
	json_set_str(j, "mail", ctl_value(e, "mail"));
	json_set_take(j, "aliases", ctl_values_json(e, "vnMailAlias"));
	json_set_take(j, "former", former);
	return j;
}

static int
alias_list(struct ctl *c, struct ctl_dir *d, const char *owner)
{
	struct ctl_table *t = ctl_table_new(5);
	struct json *list = json_arr_new();
	struct dir_result *r = NULL;
	char *why = NULL;
	int err = dir_admin_aliases(d->admin, owner, &r, &why);

	for (size_t i = 0; err == 0 && i < r->n_entries; i++)
		json_push_take(list, owner_take(&r->entries[i], t));
	dir_result_free(r);
	return ctl_listed(c, list, t, owner == NULL ? "list" : owner, err, why);
}

int
ctl_alias(struct ctl *c, int argc, char **argv)
{
	struct change_args a = {.decision = ""};
	struct ctl_dir d = {0};
	const struct ctl_option options[] = {CTL_CHANGE_OPTIONS(a), {NULL, NULL, NULL}};
	bool list, add;
	int rc = ctl_options(c, options, &argc, argv);

	if (rc != 0)
		return rc;
	list = (argc == 2 || argc == 3) && strcmp(argv[1], "list") == 0;
	add = argc == 4 && strcmp(argv[1], "add") == 0;
	if (!list && !add && !(argc == 4 && strcmp(argv[1], "remove") == 0))
		return ctl_usage(c, "%s", _("add, remove or list: whose address?"));
	rc = ctl_change_open(c, &a, &d);
	if (rc == 0)
		rc = list ? alias_list(c, &d, argc == 3 ? argv[2] : NULL)
			  : alias_change(c, &d, &a, add, argv[2], argv[3]);
	ctl_dir_close(&d);
	return rc;
}
