/* stored_task.c: the frame of long work in stored: starting, stepping, keeping findings, telling how far. Runs in stored. See
 * stored_task.h for what a kind of task must do. */
#include "store/stored_task.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum {
	WAIT_MS = 50,
	ARGS_MAX = 16384,
	PIECE_LINES = 2000,
};

#ifndef TASK_READER_MS
#define TASK_READER_MS 10000 /* who has not asked for so long is not waited for */
#endif

struct task_line {
	struct task_line *next;
	size_t len; /* its line feed included */
	char text[];
};

static const struct task_kind *const kinds[] = {
#define TASK_KIND(name) &task_kind_##name,
#include STORED_TASKS_DEF
#undef TASK_KIND
};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

/* The newest first. */
static struct task *tasks;
static uint64_t last_id;

static bool
runs(const struct task *t)
{
	return t->state == TASK_RUNS || t->state == TASK_WAITS;
}

bool
task_runs(const struct stored *st, const char *kind)
{
	for (const struct task *t = tasks; t != NULL; t = t->next)
		if (t->st == st && runs(t) && strcmp(t->kind->name, kind) == 0)
			return true;
	return false;
}

/* ---- findings ---- */

static void
line_drop(struct task *t)
{
	struct task_line *l = t->first;

	t->first = l->next;
	if (t->first == NULL)
		t->end = &t->first;
	t->octets -= l->len;
	if (t->first_no >= t->read_to)
		t->lost++;
	t->first_no++;
	free(l);
}

void
task_finding_take(struct task *t, struct json *finding)
{
	struct task_line *l;
	struct buf b;

	buf_init(&b, TASK_FINDING_MAX);
	if (json_canonical(finding, &b) != 0 || buf_append_byte(&b, '\n') != 0) {
		log_msg(LOG_LVL_ERROR, "task", "%s: a finding does not fit", t->kind->name);
		t->lost++;
	} else {
		l = xmalloc(sizeof *l + b.len);
		l->next = NULL;
		l->len = b.len;
		memcpy(l->text, b.data, b.len);
		*t->end = l;
		t->end = &l->next;
		t->octets += l->len;
		t->n_found++;
		while (t->octets > TASK_FINDINGS_MAX)
			line_drop(t);
	}
	buf_done(&b);
	json_free(finding);
}

void
task_what(struct task *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->what, sizeof t->what, fmt, ap);
	va_end(ap);
}

/* ---- life ---- */

static void
task_free(struct task *t)
{
	while (t->first != NULL)
		line_drop(t);
	loop_timer_free(t->timer);
	json_free(t->result);
	free(t);
}

static void
forget_old(void)
{
	struct task **at = &tasks;
	unsigned kept = 0;

	while (*at != NULL) {
		struct task *t = *at;

		if (runs(t) || kept++ < TASKS_KEPT) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		task_free(t);
	}
}

void
task_end(struct task *t, int err, const char *why)
{
	assert(runs(t));
	t->in_step = false;
	t->err = err;
	t->state = err == 0 ? TASK_DONE : err == ERR_CANCELED ? TASK_STOPPED : TASK_FAILED;
	snprintf(t->why, sizeof t->why, "%s", why == NULL ? "" : why);
	t->ended = now_s();
	t->result = t->kind->report == NULL ? NULL : t->kind->report(t);
	t->kind->free(t);
	t->own = NULL;
	loop_timer_stop(t->timer);
	log_msg(err == 0 || err == ERR_CANCELED ? LOG_LVL_INFO : LOG_LVL_ERROR, "task",
	    "%s %llu: %s%s%s", t->kind->name, (unsigned long long)t->id,
	    err == 0 ? "done" : err_name(err), t->why[0] == '\0' ? "" : ": ", t->why);
}

void
task_next_in(struct task *t, unsigned ms)
{
	assert(runs(t));
	t->in_step = false;
	loop_timer_set(t->timer, ms);
}

void
task_next(struct task *t)
{
	task_next_in(t, 0);
}

/* Between two steps. */
static void
on_turn(void *arg)
{
	struct task *t = arg;
	bool read = loop_now_ms(t->st->loop) - t->asked_ms < TASK_READER_MS;

	if (t->stop) {
		task_end(t, ERR_CANCELED, "");
		return;
	}
	if (read && t->octets > TASK_FINDINGS_MAX / 2 && t->read_to < t->n_found) {
		t->state = TASK_WAITS;
		loop_timer_set(t->timer, WAIT_MS);
		return;
	}
	t->state = TASK_RUNS;
	t->in_step = true;
	t->kind->step(t);
}

static int
task_start(struct stored *st, const struct task_kind *kind, const struct json *args,
    uint64_t *id_out, const char **why)
{
	struct task *t = xcalloc(1, sizeof *t);
	int err;

	t->st = st;
	t->kind = kind;
	t->end = &t->first;
	t->started = now_s();
	t->asked_ms = loop_now_ms(st->loop);
	err = kind->start(t, args, why);
	if (err != 0) {
		if (t->own != NULL)
			kind->free(t);
		task_free(t);
		return err;
	}
	t->id = ++last_id;
	t->timer = loop_timer_new(st->loop, on_turn, t);
	loop_timer_set(t->timer, 0);
	t->next = tasks;
	tasks = t;
	forget_old();
	log_msg(LOG_LVL_INFO, "task", "%s %llu: started", kind->name, (unsigned long long)t->id);
	*id_out = t->id;
	return 0;
}

/* ---- what it is told as ---- */

static const char *
state_text(const struct task *t)
{
	static const char *const texts[] = {"running", "waiting", "done", "failed", "stopped"};

	return texts[t->state];
}

static struct json *
task_json(const struct task *t)
{
	struct json *j = json_obj_new();

	json_set_int(j, "id", (int64_t)t->id);
	json_set_str(j, "kind", t->kind->name);
	json_set_str(j, "state", state_text(t));
	json_set_int(j, "started", t->started);
	if (!runs(t))
		json_set_int(j, "ended", t->ended);
	json_set_int(j, "done", (int64_t)t->done);
	json_set_int(j, "total", (int64_t)t->total);
	json_set_slice(j, "what", slice_str(t->what));
	json_set_int(j, "findings", (int64_t)t->n_found);
	json_set_int(j, "lost", (int64_t)t->lost);
	if (t->err != 0 && t->err != ERR_CANCELED) {
		json_set_str(j, "error", err_name(t->err));
		json_set_slice(j, "why", slice_str(t->why));
	}
	return j;
}

static struct task *
task_find(uint64_t id)
{
	struct task *t = tasks;

	while (t != NULL && t->id != id)
		t = t->next;
	return t;
}

/* Lines from number `from` on into out; gives the number after the last one. */
static uint64_t
lines_put(struct task *t, uint64_t from, struct buf *out)
{
	const struct task_line *l = t->first;
	uint64_t no = t->first_no;
	unsigned n = 0;

	for (; l != NULL && no < from; l = l->next)
		no++;
	for (; l != NULL && n < PIECE_LINES && out->len + l->len <= TASK_PIECE_MAX; l = l->next) {
		buf_append(out, l->text, l->len);
		no++;
		n++;
	}
	return no;
}

/* Findings that were read make room. Another reader may come later and find the newest of them. */
static void
lines_read(struct task *t, uint64_t upto)
{
	if (upto > t->n_found)
		upto = t->n_found;
	if (upto > t->read_to)
		t->read_to = upto;
	while (t->first != NULL && t->first_no < t->read_to && t->octets > TASK_FINDINGS_MAX / 4)
		line_drop(t);
}

/* ---- messages ---- */

int
on_task_start(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct slice name = ipc_get_slice(r), text = ipc_get_slice(r);
	const struct task_kind *kind = NULL;
	struct json *args = NULL;
	const char *why = "";
	unsigned n = 0;
	uint64_t task = 0;
	struct buf b;
	int err = 0;

	if (ipc_reader_end(r) != 0 || text.len > ARGS_MAX)
		return ERR_PROTO;
	for (size_t i = 0; i < N_KINDS; i++)
		if (slice_eq_str(name, kinds[i]->name))
			kind = kinds[i];
	for (const struct task *t = tasks; t != NULL; t = t->next)
		n += runs(t);
	if (kind == NULL) {
		err = ERR_UNSUPPORTED;
		why = "there is no such task";
	} else if (task_runs(c->st, kind->name)) {
		err = ERR_EXISTS;
		why = "one of this kind runs already";
	} else if (n >= TASKS_RUNNING) {
		err = ERR_LIMIT;
		why = "too many tasks run already";
	} else if (json_parse(text, &args) != 0 || json_kind(args) != JSON_T_OBJ) {
		err = ERR_SYNTAX;
		why = "the arguments are no JSON object";
	} else {
		err = task_start(c->st, kind, args, &task, &why);
	}
	json_free(args);
	if (err != 0) {
		(void)ipc_reply_err(c->ipc, id, err, why);
		return 0;
	}
	buf_init(&b, 16);
	ipc_put_u64(&b, task);
	(void)ipc_reply(c->ipc, id, STORE_TASK_STARTED, &b, -1);
	buf_done(&b);
	return 0;
}

static struct json *
all_json(void)
{
	struct json *j = json_obj_new(), *list = json_arr_new(), *names = json_arr_new();

	for (const struct task *t = tasks; t != NULL; t = t->next)
		json_push_take(list, task_json(t));
	for (size_t i = 0; i < N_KINDS; i++)
		json_push_take(names, json_str_new(slice_str(kinds[i]->name)));
	json_set_take(j, "tasks", list);
	json_set_take(j, "kinds", names);
	return j;
}

int
on_task_status(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	uint64_t number = ipc_get_u64(r), from = ipc_get_u64(r), next = 0;
	struct task *t = number == 0 ? NULL : task_find(number);
	struct buf lines, text, b;
	struct json *j;

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	if (number != 0 && t == NULL) {
		(void)ipc_reply_err(c->ipc, id, ERR_NOTFOUND, "no such task");
		return 0;
	}
	buf_init(&lines, TASK_PIECE_MAX);
	buf_init(&text, TASK_PIECE_MAX);
	buf_init(&b, IPC_FRAME_MAX);
	if (t != NULL) {
		t->asked_ms = loop_now_ms(c->st->loop);
		lines_read(t, from);
		next = lines_put(t, from, &lines);
	}
	j = t == NULL ? all_json() : task_json(t);
	/* The result goes out with the last findings. */
	if (t != NULL && !runs(t) && next == t->n_found && t->result != NULL)
		json_set_take(j, "result", json_share(t->result));
	(void)json_canonical(j, &text);
	json_free(j);
	ipc_put_slice(&b, buf_slice(&text));
	ipc_put_u64(&b, next);
	ipc_put_slice(&b, buf_slice(&lines));
	(void)ipc_reply(c->ipc, id, STORE_TASK_STATUS_IS, &b, -1);
	buf_done(&text);
	buf_done(&lines);
	buf_done(&b);
	return 0;
}

int
on_task_stop(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	uint64_t number = ipc_get_u64(r);
	struct task *t = task_find(number);

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	if (t == NULL) {
		(void)ipc_reply_err(c->ipc, id, ERR_NOTFOUND, "no such task");
		return 0;
	}
	t->stop = true;
	if (runs(t) && !t->in_step)
		loop_timer_set(t->timer, 0);
	(void)ipc_reply_ok(c->ipc, id);
	return 0;
}
