/* stored_task_upgrade.c: the task "upgrade": rows that an older version wrote get the present form, some hundred a commit, while mail goes on. Runs
 * in stored; the forms are the backend's (backend_format.c). Arguments: "dry_run". Interrupted it begins anew: what was written is not
 * written again. */
#include "store/stored_task.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

struct upgrade {
	bool dry_run;
	struct buf from;
	uint64_t rows, changed;
	uint32_t was, is;
};

static void
on_step(void *arg, int err, struct slice value)
{
	struct task *t = arg;
	struct upgrade *k = t->own;
	struct backend_upgraded u;

	if (err != 0) {
		task_end(t, err, "the rows cannot be written anew");
		return;
	}
	memcpy(&u, value.ptr, sizeof u);
	if (k->was == 0)
		k->was = u.from;
	k->is = u.to;
	k->rows += u.rows;
	k->changed += u.changed;
	t->done = k->rows;
	buf_reset(&k->from);
	buf_append_slice(&k->from, slice_from(value, sizeof u));
	if (u.more)
		task_next(t);
	else
		task_end(t, 0, "");
}

static void
upgrade_step(struct task *t)
{
	struct upgrade *k = t->own;
	struct backend *be = t->st->be;

	must(be->ops->upgrade(be, buf_slice(&k->from), k->dry_run, on_step, t));
}

static int
upgrade_start(struct task *t, const struct json *args, const char **why)
{
	struct upgrade *k = t->own = xcalloc(1, sizeof *k);

	(void)why;
	k->dry_run = json_bool(json_get(args, "dry_run"));
	buf_init(&k->from, 512);
	return 0;
}

static struct json *
upgrade_report(struct task *t)
{
	const struct upgrade *k = t->own;
	struct json *j = json_obj_new();

	json_set_bool(j, "dry_run", k->dry_run);
	json_set_int(j, "format_before", k->was);
	json_set_int(j, "format", k->dry_run ? k->was : k->is);
	json_set_int(j, "format_of_program", k->is);
	json_set_int(j, "rows", (int64_t)k->rows);
	json_set_int(j, "changed", (int64_t)k->changed);
	return j;
}

static void
upgrade_free(struct task *t)
{
	struct upgrade *k = t->own;

	buf_done(&k->from);
	free(k);
}

const struct task_kind task_kind_upgrade = {
    .name = "upgrade",
    .start = upgrade_start,
    .step = upgrade_step,
    .report = upgrade_report,
    .free = upgrade_free,
};
