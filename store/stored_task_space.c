/* stored_task_space.c: the tasks "collect", "compact" and "stats": a job of the backend's (backend.h, space) that somebody asked for. Runs in
 * stored. Arguments: "dry_run"; collect, compact: "pace" (percent of the time); compact: "min_live" (percent). "stats" gives a finding for each file of
 * bodies; the results are in the report. */
#include "store/stored_space.h"
#include "store/stored_task.h"
#include "store/stored_text.h"

#include <stdlib.h>

#include "lib/err.h"
#include "lib/log.h"

enum { LOOK_MS = 100, FILES = 256 };

/* Lives until the backend has told the end, though the task be gone before. */
struct work {
	struct backend_space_job job;
	struct backend *be;
	bool started, over, orphan;
	int err;
	struct backend_space_state st;
};

static int
percent(const struct json *args, const char *name, unsigned otherwise, unsigned *out)
{
	int64_t n = json_int(json_get(args, name), otherwise);

	*out = (unsigned)n;
	return n >= 1 && n <= 100 ? 0 : ERR_RANGE;
}

static int
start(struct task *t, const struct json *args, enum backend_space what, const char **why)
{
	struct work *w = xcalloc(1, sizeof *w);

	t->own = w;
	w->be = t->st->be;
	w->job.what = what;
	w->job.dry_run = json_bool(json_get(args, "dry_run"));
	if (percent(args, "pace", 100, &w->job.pace) == 0 &&
	    percent(args, "min_live", space_min_live(), &w->job.min_live) == 0)
		return 0;
	*why = "percentages are from 1 to 100";
	return ERR_RANGE;
}

static int
collect_start(struct task *t, const struct json *args, const char **why)
{
	return start(t, args, SPACE_COLLECT, why);
}

static int
compact_start(struct task *t, const struct json *args, const char **why)
{
	return start(t, args, SPACE_COMPACT, why);
}

static int
stats_start(struct task *t, const struct json *args, const char **why)
{
	return start(t, args, SPACE_SURVEY, why);
}

static void
on_over(void *arg, int err)
{
	struct work *w = arg;

	w->over = true;
	w->err = err;
	if (w->orphan)
		free(w);
}

static void
work_free(struct task *t)
{
	struct work *w = t->own;

	if (!w->started || w->over) {
		free(w);
		return;
	}
	w->orphan = true;
	w->be->ops->space_stop(w->be);
}

static void
tell_files(struct task *t)
{
	static struct backend_file files[FILES];
	uint32_t after = 0;
	size_t n;

	while ((n = t->st->be->ops->space_files(t->st->be, after, files, FILES)) > 0) {
		for (size_t i = 0; i < n; i++) {
			struct json *j = json_obj_new();

			json_set_int(j, "file", files[i].number);
			json_set_int(j, "octets", (int64_t)files[i].octets);
			json_set_int(j, "live", (int64_t)files[i].live);
			json_set_int(j, "bodies", (int64_t)files[i].bodies);
			json_set_bool(j, "writing", files[i].writing);
			task_finding_take(t, j);
		}
		after = files[n - 1].number;
	}
}

static void
step(struct task *t)
{
	struct work *w = t->own;

	if (w->over && w->err == ERR_EXISTS) { /* another one was under way */
		w->started = w->over = false;
		space_make_room(t->st);
		task_what(t, "waits for other work on the store's space");
		task_next_in(t, LOOK_MS);
		return;
	}
	if (!w->started) {
		w->started = true;
		must(w->be->ops->space(w->be, &w->job, on_over, w));
		task_next_in(t, 1);
		return;
	}
	w->be->ops->space_state(w->be, &w->st);
	if (!w->over) {
		t->done = w->st.done;
		task_what(t, "%s", w->st.phase);
		task_next_in(t, LOOK_MS);
		return;
	}
	if (w->err == 0 && w->job.what == SPACE_SURVEY)
		tell_files(t);
	if (w->err == 0 && w->job.what == SPACE_COLLECT && !w->job.dry_run)
		text_sweep(t->st);
	task_end(t, w->err, w->st.why);
}

static struct json *
report(struct task *t)
{
	const struct work *w = t->own;
	const struct backend_space_state *s = &w->st;
	const struct {
		const char *name;
		uint64_t n;
	} all[] = {{"rows", s->rows}, {"accounts", s->accounts}, {"mailboxes", s->mailboxes},
	    {"messages", s->messages}, {"message_octets", s->message_octets},
	    {"references", s->references}, {"bodies", s->bodies}, {"body_octets", s->body_octets},
	    {"referred", s->referred}, {"referred_octets", s->referred_octets},
	    {"stored_octets", s->stored_octets}, {"clear_octets", s->clear_octets},
	    {"retained", s->retained}, {"retained_octets", s->retained_octets}, {"holds", s->holds},
	    {"texts_wanted", s->texts_wanted}, {"texts_read", s->texts_read},
	    {"texts_none", s->texts_none}, {"texts_failed", s->texts_failed},
	    {"texts_since", (uint64_t)s->texts_since}, {"dead", s->dead},
	    {"dead_octets", s->dead_octets}, {"young", s->young}, {"dropped", s->dropped},
	    {"dropped_octets", s->dropped_octets}, {"files", s->files},
	    {"file_octets", s->file_octets}, {"copied", s->copied},
	    {"copied_octets", s->copied_octets}, {"files_removed", s->files_removed},
	    {"freed_octets", s->freed_octets}, {"database_octets", s->database_octets}};
	struct text_old_numbers old = text_old_numbers();
	struct json *j;

	if (w->err != 0 || !w->over)
		return NULL;
	j = json_obj_new();
	json_set_bool(j, "dry_run", w->job.dry_run);
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		json_set_int(j, all[i].name, (int64_t)all[i].n);
	/* of mail from before texts were wanted: numbers of bodies */
	json_set_bool(j, "texts_old_asked", old.asked);
	json_set_bool(j, "texts_old_through", old.through);
	json_set_int(j, "texts_old_upto", (int64_t)old.upto);
	json_set_int(j, "texts_old_last", (int64_t)old.last);
	return j;
}

const struct task_kind task_kind_collect = {
    .name = "collect", .start = collect_start, .step = step, .report = report, .free = work_free};
const struct task_kind task_kind_compact = {
    .name = "compact", .start = compact_start, .step = step, .report = report, .free = work_free};
const struct task_kind task_kind_stats = {
    .name = "stats", .start = stats_start, .step = step, .report = report, .free = work_free};
