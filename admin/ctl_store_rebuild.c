/* ctl_store_rebuild.c: `congvu store rebuild`: what is made of messages when they come in, for listings and searches, is made anew where an older version made
 * it, inside the running store (store/stored_task_rebuild.c). Exit 0, or 65 (data) when there are messages that it could not be made of. */
#include "config.h"

#include <stdio.h>

#include "admin/ctl_store.h"

static void
finding(struct ctl *c, const struct json *f)
{
	store_view_check.finding(c, f);
}

static int
result(struct ctl *c, const struct json *status)
{
	const struct json *r = json_get(status, "result");
	long long faults = json_int(json_get(r, "faults"), 0);

	if (c->json)
		return faults > 0 ? EX_DATAERR : EX_OK;
	printf(
	    json_bool(json_get(r, "dry_run"))
		? _("%lld messages in %lld mailboxes: %lld summaries and %lld rows would be made "
		    "anew.\n")
		: _("%lld messages in %lld mailboxes: %lld summaries and %lld rows were made "
		    "anew.\n"),
	    (long long)json_int(json_get(r, "messages"), 0),
	    (long long)json_int(json_get(r, "mailboxes"), 0),
	    (long long)json_int(json_get(r, "summaries"), 0),
	    (long long)json_int(json_get(r, "rows"), 0));
	if (faults > 0)
		printf(_("%lld messages stay as they are: they stand above.\n"), faults);
	return faults > 0 ? EX_DATAERR : EX_OK;
}

const struct store_view store_view_rebuild = {finding, result};

int
store_rebuild(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	bool dry_run = false, all = false, detach = false;
	const struct ctl_option options[] = {{"dry-run", NULL, &dry_run}, {"all", NULL, &all},
	    {"detach", NULL, &detach}, {NULL, NULL, NULL}};
	struct json *args;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc > 2)
		return ctl_usage(c, _("one account at most"));
	args = json_obj_new();
	if (argc == 2)
		json_set_slice(args, "account", slice_str(argv[1]));
	json_set_bool(args, "dry_run", dry_run);
	json_set_bool(args, "all", all);
	return store_task_run(c, s, "rebuild", args, &store_view_rebuild, detach);
}
