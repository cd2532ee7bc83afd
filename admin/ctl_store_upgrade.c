/* ctl_store_upgrade.c: `congvu store upgrade`: brings what an older version wrote to the present form, inside the running store
 * (store/stored_task_upgrade.c). */
#include "config.h"

#include <stdio.h>

#include "admin/ctl_store.h"

static int
result(struct ctl *c, const struct json *status)
{
	const struct json *r = json_get(status, "result");
	long long n = json_int(json_get(r, "changed"), 0);

	if (c->json)
		return EX_OK;
	printf(_("Format %lld; this version writes %lld.\n"),
	    (long long)json_int(json_get(r, "format"), 0),
	    (long long)json_int(json_get(r, "format_of_program"), 0));
	printf(json_bool(json_get(r, "dry_run")) ? _("%lld of %lld rows would be written anew.\n")
						 : _("%lld of %lld rows were written anew.\n"),
	    n, (long long)json_int(json_get(r, "rows"), 0));
	return EX_OK;
}

const struct store_view store_view_upgrade = {NULL, result};

int
store_upgrade(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	bool dry_run = false, detach = false;
	const struct ctl_option options[] = {
	    {"dry-run", NULL, &dry_run}, {"detach", NULL, &detach}, {NULL, NULL, NULL}};
	struct json *args;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 1)
		return ctl_usage(c, _("store upgrade takes no arguments"));
	args = json_obj_new();
	json_set_bool(args, "dry_run", dry_run);
	return store_task_run(c, s, "upgrade", args, &store_view_upgrade, detach);
}
