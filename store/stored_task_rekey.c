/* stored_task_rekey.c: the task "rekey": the data keys of all segment files go under the newest key of store_key_file; their records stay as they
 * are. Runs in stored, beside all else. When it is done, the older keys open nothing any more and may go. */
#include "store/stored_task.h"

#include <stdlib.h>

#include "lib/err.h"
#include "lib/log.h"

enum { PAUSE_MS = 5 }; /* two syncs a file: others sync too */

struct rekey {
	uint32_t at; /* the last file looked at */
	uint64_t files, rewrapped;
};

static void
on_rewrapped(void *arg, int err, struct slice v)
{
	struct task *t = arg;
	struct rekey *k = t->own;

	if (err == ERR_NOTFOUND) {
		task_end(t, 0, "");
		return;
	}
	if (err != 0) {
		task_end(t, err,
		    err == ERR_UNSUPPORTED
			? "store_key_file is not set: nothing is encrypted"
			: "a segment file could not be given the new key: see the log");
		return;
	}
	k->at = (uint32_t)v.ptr[0] << 24 | (uint32_t)v.ptr[1] << 16 | (uint32_t)v.ptr[2] << 8 |
		v.ptr[3];
	k->files++;
	k->rewrapped += v.ptr[4];
	t->done = k->files;
	task_what(t, "file %u", k->at);
	if (v.ptr[4] != 0)
		task_next_in(t, PAUSE_MS);
	else
		task_next(t);
}

static void
rekey_step(struct task *t)
{
	struct rekey *k = t->own;

	must(backend_kv_rewrap(t->st->be, k->at, on_rewrapped, t));
}

static int
rekey_start(struct task *t, const struct json *args, const char **why)
{
	(void)args;
	(void)why;
	t->own = xcalloc(1, sizeof(struct rekey));
	return 0;
}

static struct json *
rekey_report(struct task *t)
{
	const struct rekey *k = t->own;
	struct json *j = json_obj_new();

	json_set_int(j, "files", (int64_t)k->files);
	json_set_int(j, "rewrapped", (int64_t)k->rewrapped);
	return j;
}

static void
rekey_free(struct task *t)
{
	free(t->own);
}

const struct task_kind task_kind_rekey = {
    .name = "rekey",
    .start = rekey_start,
    .step = rekey_step,
    .report = rekey_report,
    .free = rekey_free,
};
