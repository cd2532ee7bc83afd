/* ctl_store_text.c: `congvu store text`: of which mails the text of documents could not be read, and having it tried again. The work is the store's own
 * (store/stored_task_text.c); how much waits and was read is told by `congvu store stats`. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "admin/ctl_store.h"

static void
finding(struct ctl *c, const struct json *f)
{
	(void)c;
	printf(_("body %lld, tried %lld times: "), (long long)json_int(json_get(f, "body"), 0),
	    (long long)json_int(json_get(f, "tries"), 0));
	store_print_clean(json_cstr(json_get(f, "why")));
	printf("\n");
}

static int
result(struct ctl *c, const struct json *status)
{
	const struct json *r = json_get(status, "result");
	long long n = (long long)json_int(json_get(r, "texts"), 0);

	if (c->json)
		return EX_OK;
	if (json_bool(json_get(r, "retry")))
		printf(_("%lld mails wait for it again.\n"), n);
	else
		printf(_("The text of documents could not be read in %lld mails.\n"), n);
	return EX_OK;
}

const struct store_view store_view_text = {finding, result};

int
store_text_cmd(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	bool detach = false;
	const struct ctl_option options[] = {{"detach", NULL, &detach}, {NULL, NULL, NULL}};
	struct json *args;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2 || (strcmp(argv[1], "retry") != 0 && strcmp(argv[1], "failed") != 0))
		return ctl_usage(c, _("store text takes failed or retry"));
	args = json_obj_new();
	json_set_bool(args, "retry", strcmp(argv[1], "retry") == 0);
	return store_task_run(c, s, "text", args, &store_view_text, detach);
}
