/* ctl_store_follow.c: tasks of stored as the operator sees them: starting one, following it with its progress, all of them, stopping one.
 * Who follows asks twice a second; an interruption ends the following, not the task. */
#include "config.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/ctl_store.h"
#include "lib/err.h"
#include "lib/log.h"

enum { ASK_MS = 30000, PAUSE_MS = 500, STATUS_MAX = 1 << 20 };

static volatile sig_atomic_t interrupted;

static void
on_interrupt(int signo)
{
	(void)signo;
	interrupted = 1;
}

static void
interrupt_catch(void)
{
	struct sigaction sa = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};

	sigemptyset(&sa.sa_mask);
	interrupted = 0;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

/* ---- one question ---- */

struct follow {
	struct ctl *c;
	struct ipc_sync *s;
	uint64_t id, from;
	const struct store_view *view;
	struct json *status;
	struct buf reply;
	bool first, shown; /* no finding printed yet (JSON); a line of progress stands there */
	int64_t started;   /* of the task: another one may have the number after a restart */
};

/* Asks for the state and the findings from f->from on, which point into f->reply. */
static int
ask(struct follow *f, uint64_t id, struct slice *lines_out, uint64_t *next_out)
{
	struct ipc_reader r;
	struct slice text;
	struct buf b;
	uint16_t type;
	int err;

	buf_init(&b, 16);
	ipc_put_u64(&b, id);
	ipc_put_u64(&b, f->from);
	err = ipc_sync_call(f->s, STORE_TASK_STATUS, &b, -1, ASK_MS, &type, &f->reply, NULL);
	buf_done(&b);
	if (err != 0)
		return err;
	ipc_reader_init(&r, buf_slice(&f->reply));
	text = ipc_get_slice(&r);
	*next_out = ipc_get_u64(&r);
	*lines_out = ipc_get_slice(&r);
	json_free(f->status);
	f->status = NULL;
	if (ipc_reader_end(&r) != 0 || json_parse(text, &f->status) != 0)
		return ERR_PROTO;
	return 0;
}

/* ---- what people see ---- */

static void
progress_clear(struct follow *f)
{
	if (f->shown)
		fprintf(stderr, "\r\033[K");
	f->shown = false;
}

static void
progress_show(struct follow *f)
{
	int64_t done = json_int(json_get(f->status, "done"), 0),
		total = json_int(json_get(f->status, "total"), 0);

	if (f->c->json || !isatty(STDERR_FILENO))
		return;
	progress_clear(f);
	fprintf(stderr, "%" PRId64, done);
	if (total > 0)
		fprintf(stderr, "/%" PRId64 " (%d %%)", total,
		    (int)(100 * (double)(done < total ? done : total) / (double)total));
	fprintf(stderr, "  ");
	for (const char *p = json_cstr(json_get(f->status, "what")); *p != '\0'; p++)
		fputc((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p, stderr);
	fflush(stderr);
	f->shown = true;
}

static void
findings_show(struct follow *f, struct slice lines)
{
	if (lines.len > 0)
		progress_clear(f);
	while (lines.len > 0) {
		ssize_t n = slice_index(lines, '\n');
		struct slice line = slice_sub(lines, 0, n < 0 ? lines.len : (size_t)n);
		struct json *j = NULL;

		lines = slice_from(lines, line.len + (n < 0 ? 0 : 1));
		if (f->c->json) {
			printf("%s\n  %.*s", f->first ? "" : ",", (int)line.len,
			    (const char *)line.ptr);
			f->first = false;
		} else if (json_parse(line, &j) == 0 && f->view->finding != NULL) {
			f->view->finding(f->c, j);
		}
		json_free(j);
	}
}

/* What stored says of it, in the reader's language where it is known. */
static int
failed(const struct follow *f)
{
	static const struct {
		const char *error;
		int code;
	} codes[] = {{"denied", EX_NOPERM}, {"not_found", EX_NOUSER}, {"conflict", EX_DATAERR},
	    {"expired", EX_DATAERR}, {"unsupported", EX_CONFIG}};
	const char *why = json_cstr(json_get(f->status, "why")),
		   *error = json_cstr(json_get(f->status, "error"));
	int code = EX_TEMPFAIL;

	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (strcmp(codes[i].error, error) == 0)
			code = codes[i].code;
	return ctl_fail(
	    f->c, code, _("the work failed: %s (%s)"), *why == '\0' ? "" : ctl_text(why), error);
}

static int
over(struct follow *f)
{
	const char *state = json_cstr(json_get(f->status, "state"));
	int64_t lost = json_int(json_get(f->status, "lost"), 0);
	int code = EX_OK;

	progress_clear(f);
	if (lost > 0 && !f->c->json)
		fprintf(stderr, _("%lld findings before these were not kept\n"), (long long)lost);
	if (strcmp(state, "failed") == 0)
		code = failed(f);
	else if (strcmp(state, "stopped") == 0)
		code = ctl_fail(f->c, EX_TEMPFAIL, _("the work was stopped before its end"));
	else if (f->view->result != NULL && json_get(f->status, "result") != NULL)
		code = f->view->result(f->c, f->status);
	return code;
}

static int
interruption(struct follow *f)
{
	progress_clear(f);
	fprintf(stderr,
	    _("The work goes on in the store: congvu store follow %llu shows it again, congvu "
	      "store "
	      "stop %llu ends it.\n"),
	    (unsigned long long)f->id, (unsigned long long)f->id);
	return EX_TEMPFAIL;
}

static bool
is_over(const struct follow *f, uint64_t next)
{
	const char *state = json_cstr(json_get(f->status, "state"));

	return strcmp(state, "running") != 0 && strcmp(state, "waiting") != 0 &&
	       next >= (uint64_t)json_int(json_get(f->status, "findings"), 0);
}

/* Until the task is over: the exit code. */
static int
follow(struct follow *f)
{
	struct timespec pause = {0, PAUSE_MS * 1000000l};
	struct slice lines;
	uint64_t next;
	int err;

	interrupt_catch();
	for (;;) {
		err = ask(f, f->id, &lines, &next);
		if (err == 0 && f->started != 0 &&
		    f->started != json_int(json_get(f->status, "started"), 0))
			err = ERR_NOTFOUND;
		if (err == ERR_NOTFOUND && f->started == 0)
			return ctl_fail(
			    f->c, EX_NOUSER, _("there is no task %llu"), (unsigned long long)f->id);
		if (err == ERR_NOTFOUND || err == ERR_CLOSED) {
			progress_clear(f);
			return ctl_fail(f->c, EX_TEMPFAIL,
			    _("the store does not know of task %llu (it restarted, or that was "
			      "long "
			      "ago): start the work anew"),
			    (unsigned long long)f->id);
		}
		if (err != 0)
			return store_fail(f->c, err, buf_cstr(&f->reply));
		f->started = json_int(json_get(f->status, "started"), 0);
		if (f->view == NULL)
			f->view = store_view_of(json_cstr(json_get(f->status, "kind")));
		findings_show(f, lines);
		f->from = next;
		if (is_over(f, next))
			return over(f);
		if (lines.len > 0)
			continue;
		progress_show(f);
		if (interrupted)
			return interruption(f);
		nanosleep(&pause, NULL);
	}
}

int
store_task_follow(struct ctl *c, struct ipc_sync *s, uint64_t id, const struct store_view *view)
{
	struct follow f = {.c = c, .s = s, .id = id, .view = view, .first = true};
	struct buf text;
	int code;

	buf_init(&f.reply, STATUS_MAX);
	if (c->json)
		printf("{\"findings\": [");
	code = follow(&f);
	if (c->json) {
		buf_init(&text, STATUS_MAX);
		if (f.status == NULL || json_canonical(f.status, &text) != 0) {
			buf_reset(&text);
			buf_append_str(&text, "null");
		}
		printf("],\n\"task\": %s}\n", buf_cstr(&text));
		buf_done(&text);
	}
	json_free(f.status);
	buf_done(&f.reply);
	return code;
}

int
store_task_run(struct ctl *c, struct ipc_sync *s, const char *kind, struct json *args,
    const struct store_view *view, bool detach)
{
	struct ipc_reader r;
	struct buf text, b, reply;
	uint64_t id = 0;
	uint16_t type;
	int err, code;

	buf_init(&text, 16384);
	buf_init(&b, 32768);
	buf_init(&reply, 65536);
	err = json_canonical(args, &text);
	json_free(args);
	ipc_put_str(&b, kind);
	ipc_put_slice(&b, buf_slice(&text));
	if (err == 0)
		err = ipc_sync_call(s, STORE_TASK_START, &b, -1, ASK_MS, &type, &reply, NULL);
	if (err == 0) {
		ipc_reader_init(&r, buf_slice(&reply));
		id = ipc_get_u64(&r);
		err = ipc_reader_end(&r);
	}
	if (err != 0) {
		code = store_fail(c, err, buf_cstr(&reply));
	} else if (!detach) {
		code = store_task_follow(c, s, id, view);
	} else {
		code = EX_OK;
		printf(c->json ? "{\"task\": {\"id\": %llu}}\n" : "%llu\n", (unsigned long long)id);
	}
	buf_done(&text);
	buf_done(&b);
	buf_done(&reply);
	return code;
}

/* ---- subcommands ---- */

static bool
task_number(const char *text, uint64_t *id_out)
{
	char *end;

	*id_out = strtoull(text, &end, 10);
	return text[0] >= '1' && text[0] <= '9' && *end == '\0';
}

int
store_follow(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	const struct ctl_option options[] = {{NULL, NULL, NULL}};
	uint64_t id;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2 || !task_number(argv[1], &id))
		return ctl_usage(c, _("the number of a task is needed (congvu store tasks)"));
	return store_task_follow(c, s, id, NULL);
}

int
store_stop(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	const struct ctl_option options[] = {{NULL, NULL, NULL}};
	struct buf b, reply;
	uint16_t type;
	uint64_t id;
	int err;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2 || !task_number(argv[1], &id))
		return ctl_usage(c, _("the number of a task is needed (congvu store tasks)"));
	buf_init(&b, 16);
	buf_init(&reply, 65536);
	ipc_put_u64(&b, id);
	err = ipc_sync_call(s, STORE_TASK_STOP, &b, -1, ASK_MS, &type, &reply, NULL);
	buf_done(&b);
	buf_done(&reply);
	if (err == ERR_NOTFOUND)
		return ctl_fail(c, EX_NOUSER, _("there is no task %s"), argv[1]);
	return err == 0 ? EX_OK : store_fail(c, err, "");
}

static void
task_print(const struct json *t)
{
	static const struct {
		const char *state, *label;
	} states[] = {{"running", "running"}, {"waiting", "waits for its reader"}, {"done", "done"},
	    {"failed", "failed"}, {"stopped", "stopped"}};
	const char *state = json_cstr(json_get(t, "state"));

	for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
		if (strcmp(state, states[i].state) == 0)
			state = _(states[i].label);
	printf("%6lld  ", (long long)json_int(json_get(t, "id"), 0));
	ctl_label(json_cstr(json_get(t, "kind")), 12);
	ctl_label(state, 24);
	printf("%lld/%lld  ", (long long)json_int(json_get(t, "done"), 0),
	    (long long)json_int(json_get(t, "total"), 0));
	store_print_clean(json_cstr(json_get(t, "what")));
	printf("\n");
}

int
store_tasks(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	const struct ctl_option options[] = {{NULL, NULL, NULL}};
	struct follow f = {.c = c, .s = s};
	const struct json *list;
	struct slice lines;
	uint64_t next;
	int err, code = EX_OK;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 1)
		return ctl_usage(c, _("store tasks takes no arguments"));
	buf_init(&f.reply, STATUS_MAX);
	err = ask(&f, 0, &lines, &next);
	list = json_get(f.status, "tasks");
	if (err != 0)
		code = store_fail(c, err, "");
	else if (c->json)
		code = ctl_json_take(json_share(f.status), EX_OK);
	else if (json_len(list) == 0)
		printf("%s\n", _("No task runs, and none is remembered."));
	for (size_t i = 0; err == 0 && !c->json && i < json_len(list); i++)
		task_print(json_at(list, i));
	json_free(f.status);
	buf_done(&f.reply);
	return code;
}
