/* stored_task_test.c: the frame of long work in stored: steps, findings in pieces, waiting for a reader or keeping the newest, stopping, limits. The
 * frame is compiled with kinds of its own; answers are caught where they would go to the socket. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/stored_task.h"

/* ---- what the frame asks of stored and of lib/ipc ---- */

static struct {
	int err; /* of IPC_ERR; 0 */
	uint16_t type;
	struct buf payload;
} told;

int64_t
now_s(void)
{
	return 1700000000;
}

int
ipc_reply(struct ipc_conn *c, uint32_t id, uint16_t type, const struct buf *payload, int fd)
{
	(void)c;
	(void)id;
	(void)fd;
	told.err = payload->err;
	told.type = type;
	buf_reset(&told.payload);
	return buf_append_slice(&told.payload, buf_slice(payload));
}

int
ipc_reply_err(struct ipc_conn *c, uint32_t id, int err, const char *why)
{
	(void)c;
	(void)id;
	(void)why;
	told.err = err;
	return 0;
}

int
ipc_reply_ok(struct ipc_conn *c, uint32_t id)
{
	(void)c;
	(void)id;
	told.err = 0;
	told.type = IPC_OK;
	return 0;
}

/* ---- kinds ---- */

static int n_freed;

struct own {
	int64_t n, upto, size;
};

static int
own_start(struct task *t, const struct json *args, const char **why)
{
	struct own *o;

	if (json_get(args, "bad") != NULL) {
		*why = "a bad argument";
		return ERR_SYNTAX;
	}
	o = t->own = xcalloc(1, sizeof *o);
	o->upto = json_int(json_get(args, "upto"), 0);
	o->size = json_int(json_get(args, "size"), 10);
	return 0;
}

/* One finding a step; for ever when upto is 0. */
static void
own_step(struct task *t)
{
	struct own *o = t->own;
	struct json *f;
	char *text;

	if (o->upto > 0 && o->n == o->upto) {
		task_end(t, 0, "");
		return;
	}
	f = json_obj_new();
	text = xcalloc(1, (size_t)o->size + 1);
	memset(text, 'x', (size_t)o->size);
	json_set_int(f, "n", o->n++);
	json_set_str(f, "text", text);
	free(text);
	task_finding_take(t, f);
	t->done = (uint64_t)o->n;
	task_next(t);
}

static struct json *
own_report(struct task *t)
{
	struct json *j = json_obj_new();

	json_set_int(j, "n", ((struct own *)t->own)->n);
	return j;
}

static void
own_free(struct task *t)
{
	free(t->own);
	n_freed++;
}

static void
fail_step(struct task *t)
{
	task_end(t, ERR_IO, "it broke");
}

#define KIND(id, s) \
	const struct task_kind task_kind_##id = {#id, own_start, s, own_report, own_free}
KIND(count, own_step);
KIND(flood, own_step);
KIND(third, own_step);
KIND(fourth, own_step);
KIND(fifth, fail_step);

/* ---- asking ---- */

static struct stored st;
static struct conn conn = {.st = &st};

static void
turn(unsigned ms)
{
	uint64_t end = loop_now_ms(st.loop) + ms;

	do
		loop_run_once(st.loop, 1);
	while (loop_now_ms(st.loop) < end);
}

static uint64_t
start(const char *kind, const char *args, int err)
{
	struct ipc_reader r;
	struct buf b;

	buf_init(&b, 4096);
	ipc_put_str(&b, kind);
	ipc_put_str(&b, args);
	ipc_reader_init(&r, buf_slice(&b));
	assert_int_equal(on_task_start(&conn, 7, &r), 0);
	buf_done(&b);
	assert_int_equal(told.err, err);
	if (err != 0)
		return 0;
	ipc_reader_init(&r, buf_slice(&told.payload));
	return ipc_get_u64(&r);
}

/* Gives the state's JSON; lines_out points into told. */
static struct json *
status(uint64_t id, uint64_t from, struct slice *lines_out, uint64_t *next_out)
{
	struct ipc_reader r;
	struct json *j = NULL;
	struct buf b;

	buf_init(&b, 64);
	ipc_put_u64(&b, id);
	ipc_put_u64(&b, from);
	ipc_reader_init(&r, buf_slice(&b));
	assert_int_equal(on_task_status(&conn, 7, &r), 0);
	buf_done(&b);
	if (told.err != 0)
		return NULL;
	assert_int_equal(told.type, STORE_TASK_STATUS_IS);
	ipc_reader_init(&r, buf_slice(&told.payload));
	assert_int_equal(json_parse(ipc_get_slice(&r), &j), 0);
	*next_out = ipc_get_u64(&r);
	*lines_out = ipc_get_slice(&r);
	assert_int_equal(ipc_reader_end(&r), 0);
	return j;
}

static void
stop(uint64_t id)
{
	struct ipc_reader r;
	struct buf b;

	buf_init(&b, 64);
	ipc_put_u64(&b, id);
	ipc_reader_init(&r, buf_slice(&b));
	assert_int_equal(on_task_stop(&conn, 7, &r), 0);
	buf_done(&b);
}

static int64_t
number(const struct json *j, const char *key)
{
	return json_int(json_get(j, key), -1);
}

/* ---- tests ---- */

/* All findings, in order, in pieces; then the result; and a second reader finds them too. */
static void
whole(void **state)
{
	uint64_t id = start("count", "{\"upto\": 20000, \"size\": 20}", 0), next = 0;
	int64_t n = 0;
	struct slice lines;
	struct json *j;

	(void)state;
	for (bool over = false; !over;) {
		turn(1);
		j = status(id, next, &lines, &next);
		assert_true(lines.len <= TASK_PIECE_MAX);
		while (lines.len > 0) {
			ssize_t end = slice_index(lines, '\n');
			struct json *f;

			assert_true(end > 0);
			assert_int_equal(json_parse(slice_sub(lines, 0, (size_t)end), &f), 0);
			assert_int_equal(number(f, "n"), n++);
			json_free(f);
			lines = slice_from(lines, (size_t)end + 1);
		}
		over = json_get(j, "result") != NULL;
		if (over) {
			assert_string_equal(json_cstr(json_get(j, "state")), "done");
			assert_int_equal(number(json_get(j, "result"), "n"), 20000);
			assert_int_equal(number(j, "lost"), 0);
			assert_int_equal(number(j, "done"), 20000);
		}
		json_free(j);
	}
	assert_int_equal(n, 20000);
}

/* While somebody reads now and then, it waits for him: nothing is lost and memory is bounded. */
static void
waits(void **state)
{
	uint64_t id = start("flood", "{\"size\": 1000}", 0), next = 0, before;
	struct slice lines;
	struct json *j = NULL;
	int64_t found;

	(void)state;
	for (int i = 0; i < 100; i++) {
		json_free(j);
		turn(20);
		j = status(id, 0, &lines, &next);
		if (strcmp(json_cstr(json_get(j, "state")), "waiting") == 0)
			break;
	}
	assert_string_equal(json_cstr(json_get(j, "state")), "waiting");
	found = number(j, "findings");
	assert_true(found > 100 && found < 2 * TASK_FINDINGS_MAX / 1000);
	json_free(j);
	j = status(id, next, &lines, &next);
	assert_int_equal(number(j, "lost"), 0);
	json_free(j);
	for (int i = 0; i < 20; i++) { /* read, it goes on */
		before = next;
		j = status(id, next, &lines, &next);
		assert_int_equal(number(j, "lost"), 0);
		json_free(j);
		turn(20);
	}
	assert_true(next > (uint64_t)found && next >= before);
	stop(id);
	turn(5);
	j = status(id, next, &lines, &next);
	assert_string_equal(json_cstr(json_get(j, "state")), "stopped");
	json_free(j);
}

/* Without a reader it goes on, keeps the newest, and counts the others. */
static void
nobody_reads(void **state)
{
	uint64_t id = start("flood", "{\"upto\": 3000, \"size\": 1000}", 0), next;
	struct slice lines;
	struct json *j;
	bool over = false;

	(void)state;
	/* it waits TASK_READER_MS before it is sure of that */
	for (int i = 0; i < 1500 && !over; i++) {
		turn(10);
		over = !task_runs(&st, "flood");
	}
	assert_true(over);
	j = status(id, 0, &lines, &next);
	assert_string_equal(json_cstr(json_get(j, "state")), "done");
	assert_int_equal(number(j, "findings"), 3000);
	assert_true(number(j, "lost") > 1900 && number(j, "lost") < 2100);
	assert_true(next > (uint64_t)number(j, "lost") && lines.len <= TASK_PIECE_MAX);
	assert_null(json_get(j, "result")); /* comes with the last ones */
	json_free(j);
	while (next < 3000) {
		j = status(id, next, &lines, &next);
		json_free(j);
	}
	j = status(id, next, &lines, &next);
	assert_int_equal(number(json_get(j, "result"), "n"), 3000);
	json_free(j);
}

static void
limits(void **state)
{
	uint64_t a, b, c, d, next;
	struct slice lines;
	struct json *j;
	int freed = n_freed;

	(void)state;
	start("nonsense", "{}", ERR_UNSUPPORTED);
	start("count", "[]", ERR_SYNTAX);
	start("count", "{", ERR_SYNTAX);
	start("count", "{\"bad\": 1}", ERR_SYNTAX);
	a = start("count", "{}", 0);
	start("count", "{}", ERR_EXISTS);
	b = start("flood", "{}", 0);
	c = start("third", "{}", 0);
	d = start("fourth", "{}", 0);
	start("fifth", "{}", ERR_LIMIT);
	assert_true(task_runs(&st, "third"));
	stop(c);
	turn(5);
	assert_false(task_runs(&st, "third"));
	assert_int_equal(n_freed, freed + 1);
	a = (stop(a), stop(b), stop(d), a);
	turn(5);
	c = start("fifth", "{}", 0);
	turn(5);
	j = status(c, 0, &lines, &next);
	assert_string_equal(json_cstr(json_get(j, "state")), "failed");
	assert_string_equal(json_cstr(json_get(j, "why")), "it broke");
	assert_string_equal(json_cstr(json_get(j, "error")), "io");
	json_free(j);
	/* the oldest are forgotten */
	for (int i = 0; i < TASKS_KEPT + 2; i++) {
		start("fifth", "{}", 0);
		turn(2);
	}
	assert_null(status(a, 0, &lines, &next));
	assert_int_equal(told.err, ERR_NOTFOUND);
	stop(a);
	assert_int_equal(told.err, ERR_NOTFOUND);
	j = status(0, 0, &lines, &next);
	assert_true(json_len(json_get(j, "tasks")) <= TASKS_KEPT + 1);
	assert_int_equal(json_len(json_get(j, "kinds")), 5);
	json_free(j);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(whole), cmocka_unit_test(waits),
	    cmocka_unit_test(nobody_reads), cmocka_unit_test(limits)};
	int failed;

	log_init("stored_task_test", 2);
	log_set_level(LOG_LVL_ERROR);
	json_init();
	st.loop = loop_new();
	buf_init(&told.payload, IPC_FRAME_MAX);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	buf_done(&told.payload);
	return failed;
}
