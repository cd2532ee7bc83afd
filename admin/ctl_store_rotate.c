/* ctl_store_rotate.c: `congvu store rotate-key`: all segment files under the newest key of store_key_file. The work is a task of stored
 * (store/stored_task_rekey.c). */
#include "config.h"

#include <stdio.h>

#include "admin/ctl_store.h"

static int
result(struct ctl *c, const struct json *status)
{
	const struct json *r = json_get(status, "result");

	if (!c->json)
		printf(_("%lld files looked at, %lld given the newest key: older keys open nothing "
			 "any more\n"),
		    (long long)json_int(json_get(r, "files"), 0),
		    (long long)json_int(json_get(r, "rewrapped"), 0));
	return EX_OK;
}

const struct store_view store_view_rekey = {NULL, result};

int
store_rotate_key(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	bool detach = false;
	const struct ctl_option options[] = {{"detach", NULL, &detach}, {NULL, NULL, NULL}};

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 1)
		return ctl_usage(c, _("there is no %s"), argv[1]);
	return store_task_run(c, s, "rekey", json_obj_new(), &store_view_rekey, detach);
}
