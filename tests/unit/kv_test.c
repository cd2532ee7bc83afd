/* kv_test.c: the same tests over both implementations of store/kv.h; then what only Berkeley DB must do: survive kill -9. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/kv.h"

struct fix {
	struct kv *kv;
	char dir[64];
	bool mem;
};

static void
reopen(struct fix *f)
{
	struct kv_options o = {.dir = f->dir};

	kv_close(f->kv);
	f->kv = NULL;
	assert_int_equal(kv_bdb_open(&o, &f->kv), 0);
}

static int
setup_bdb(void **state)
{
	struct fix *f = xcalloc(1, sizeof *f);

	snprintf(f->dir, sizeof f->dir, "/tmp/kv_test.XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	reopen(f);
	*state = f;
	return 0;
}

static int
setup_mem(void **state)
{
	struct fix *f = xcalloc(1, sizeof *f);

	f->mem = true;
	*state = f;
	return kv_mem_open(&f->kv);
}

static int
teardown(void **state)
{
	struct fix *f = *state;
	char cmd[128];

	kv_close(f->kv);
	if (!f->mem) {
		snprintf(cmd, sizeof cmd, "rm -r '%s'", f->dir);
		if (system(cmd) != 0)
			return -1;
	}
	free(f);
	return 0;
}

static void
put1(struct kv *kv, const char *k, const char *v)
{
	struct kv_txn *t;

	assert_int_equal(kv_begin(kv, &t), 0);
	assert_int_equal(kv_put(t, slice_str(k), slice_str(v)), 0);
	assert_int_equal(kv_commit(t, false), 0);
}

static void
expect(struct kv *kv, const char *k, const char *v)
{
	struct buf b;

	buf_init(&b, KV_VALUE_MAX);
	assert_int_equal(kv_get(kv, NULL, slice_str(k), &b), v == NULL ? ERR_NOTFOUND : 0);
	if (v != NULL)
		assert_string_equal(buf_cstr(&b), v);
	buf_done(&b);
}

static void
put_get_del(void **state)
{
	struct fix *f = *state;
	struct kv_txn *t;
	struct buf b;

	expect(f->kv, "a", NULL);
	put1(f->kv, "a", "1");
	expect(f->kv, "a", "1");
	put1(f->kv, "a", "");
	expect(f->kv, "a", "");
	assert_int_equal(kv_begin(f->kv, &t), 0);
	assert_int_equal(kv_insert(t, slice_str("a"), slice_str("2")), ERR_EXISTS);
	assert_int_equal(kv_insert(t, slice_str("b"), slice_str("2")), 0);
	assert_int_equal(kv_del(t, slice_str("a")), 0);
	assert_int_equal(kv_del(t, slice_str("a")), ERR_NOTFOUND);
	assert_int_equal(kv_commit(t, true), 0);
	expect(f->kv, "a", NULL);
	expect(f->kv, "b", "2");
	buf_init(&b, 10);
	assert_int_equal(kv_get(f->kv, NULL, slice_str(""), &b), ERR_RANGE);
	put1(f->kv, "long", "0123456789x");
	assert_int_equal(kv_get(f->kv, NULL, slice_str("long"), &b), ERR_LIMIT);
	buf_done(&b);
}

static void
abort_leaves_nothing(void **state)
{
	struct fix *f = *state;
	struct kv_txn *t;

	put1(f->kv, "k1", "old");
	assert_int_equal(kv_begin(f->kv, &t), 0);
	assert_int_equal(kv_put(t, slice_str("k1"), slice_str("new")), 0);
	assert_int_equal(kv_put(t, slice_str("k2"), slice_str("new")), 0);
	assert_int_equal(kv_put(t, slice_str("k2"), slice_str("newer")), 0);
	kv_abort(t);
	expect(f->kv, "k1", "old");
	expect(f->kv, "k2", NULL);
	assert_int_equal(kv_begin(f->kv, &t), 0);
	assert_int_equal(kv_del(t, slice_str("k1")), 0);
	kv_abort(t);
	expect(f->kv, "k1", "old");
}

static int
collect(void *arg, struct slice key, struct slice value)
{
	struct buf *b = arg;

	buf_append_slice(b, key);
	buf_append_byte(b, '=');
	buf_append_slice(b, value);
	buf_append_byte(b, ' ');
	return slice_eq_str(value, "stop") ? 7 : 0;
}

static void
scan_is(struct fix *f, const char *from, const char *to, size_t max, int ret, const char *want)
{
	struct buf b;

	buf_init(&b, 10000);
	assert_int_equal(
	    kv_scan(f->kv, NULL, slice_str(from), slice_str(to), max, collect, &b), ret);
	assert_string_equal(buf_cstr(&b), want);
	buf_done(&b);
}

static void
scans(void **state)
{
	struct fix *f = *state;
	struct buf k, v;

	scan_is(f, "", "", 0, 0, "");
	put1(f->kv, "b", "2");
	put1(f->kv, "a", "1");
	put1(f->kv, "c", "3");
	put1(f->kv, "ab", "12");
	scan_is(f, "", "", 0, 0, "a=1 ab=12 b=2 c=3 ");
	scan_is(f, "a", "b", 0, 0, "a=1 ab=12 ");
	scan_is(f, "aa", "", 2, 0, "ab=12 b=2 ");
	scan_is(f, "d", "", 0, 0, "");
	put1(f->kv, "b", "stop");
	scan_is(f, "", "", 0, 7, "a=1 ab=12 b=stop ");
	buf_init(&k, 100);
	buf_init(&v, 100);
	assert_int_equal(kv_last(f->kv, NULL, slice_str(""), slice_str(""), &k, &v), 0);
	assert_string_equal(buf_cstr(&k), "c");
	assert_int_equal(kv_last(f->kv, NULL, slice_str("a"), slice_str("b"), &k, &v), 0);
	assert_string_equal(buf_cstr(&k), "ab");
	assert_string_equal(buf_cstr(&v), "12");
	assert_int_equal(kv_last(f->kv, NULL, slice_str("d"), slice_str(""), &k, &v), ERR_NOTFOUND);
	assert_int_equal(kv_last(f->kv, NULL, slice_str(""), slice_str("a"), &k, &v), ERR_NOTFOUND);
	assert_int_equal(
	    kv_last(f->kv, NULL, slice_str("bb"), slice_str("bz"), &k, NULL), ERR_NOTFOUND);
	buf_done(&k);
	buf_done(&v);
}

static int
count(void *arg, struct slice key, struct slice value)
{
	size_t *n = arg;
	char want[32];

	snprintf(want, sizeof want, "n%06zu", *n);
	assert_true(slice_eq_str(key, want));
	assert_int_equal(value.len, *n % 3 == 0 ? 9000 : 50);
	(*n)++;
	return 0;
}

/* More than one bulk read, overflow pages among them. */
static void
big_scan(void **state)
{
	struct fix *f = *state;
	struct kv_txn *t;
	static char v[9000];
	size_t n = 0;

	memset(v, 'x', sizeof v);
	assert_int_equal(kv_begin(f->kv, &t), 0);
	for (size_t i = 0; i < 300; i++) {
		char k[32];

		snprintf(k, sizeof k, "n%06zu", i);
		assert_int_equal(kv_put(t, slice_str(k), slice_of(v, i % 3 == 0 ? 9000 : 50)), 0);
	}
	assert_int_equal(kv_commit(t, true), 0);
	assert_int_equal(kv_scan(f->kv, NULL, slice_str(""), slice_str(""), 0, count, &n), 0);
	assert_int_equal(n, 300);
}

/* Readers and two writers that cross: nobody hangs, each count comes out. */
struct race {
	struct kv *kv;
	const char *first, *second;
	int done;
};

static int
bump(struct kv_txn *t, const char *key)
{
	struct buf b;
	uint64_t v = 0;
	int err;

	buf_init(&b, 64);
	err = kv_get_update(t, slice_str(key), &b);
	if (err == 0 || err == ERR_NOTFOUND) {
		if (err == 0)
			slice_to_u64(buf_slice(&b), UINT64_MAX, &v);
		buf_reset(&b);
		buf_appendf(&b, "%llu", (unsigned long long)v + 1);
		err = kv_put(t, slice_str(key), buf_slice(&b));
	}
	buf_done(&b);
	return err;
}

static void *
racer(void *arg)
{
	struct race *r = arg;

	while (r->done < 200) {
		struct kv_txn *t;
		int err;

		if (kv_begin(r->kv, &t) != 0)
			break;
		err = bump(t, r->first);
		if (err == 0)
			err = bump(t, r->second);
		if (err != 0) {
			kv_abort(t);
			if (err != ERR_AGAIN)
				break;
			continue;
		}
		if (kv_commit(t, false) != 0)
			break;
		r->done++;
	}
	return NULL;
}

static void
crossing_writers(void **state)
{
	struct fix *f = *state;
	struct race r[2] = {{f->kv, "x", "y", 0}, {f->kv, "y", "x", 0}};
	pthread_t th[2];
	struct buf b;

	put1(f->kv, "x", "0");
	put1(f->kv, "y", "0");
	for (int i = 0; i < 2; i++)
		pthread_create(&th[i], NULL, racer, &r[i]);
	buf_init(&b, 10000);
	for (int i = 0; i < 100; i++) {
		buf_reset(&b);
		assert_int_equal(
		    kv_scan(f->kv, NULL, slice_str(""), slice_str(""), 0, collect, &b), 0);
	}
	buf_done(&b);
	for (int i = 0; i < 2; i++)
		pthread_join(th[i], NULL);
	expect(f->kv, "x", "400");
	expect(f->kv, "y", "400");
}

static void
persists(void **state)
{
	struct fix *f = *state;
	struct kv_options o = {.dir = f->dir};
	struct kv *other;

	put1(f->kv, "a", "1");
	assert_int_equal(kv_bdb_open(&o, &other), ERR_EXISTS); /* one owner */
	reopen(f);
	expect(f->kv, "a", "1");
}

/* As on a full disk: nothing is put, what frees space works, nothing is lost. */
static void
no_room(void **state)
{
	struct fix *f = *state;
	struct kv_options o = {.dir = f->dir, .reserve_bytes = UINT64_MAX};
	struct kv_txn *t;

	put1(f->kv, "a", "1");
	put1(f->kv, "b", "2");
	kv_close(f->kv);
	assert_int_equal(kv_bdb_open(&o, &f->kv), 0);
	assert_int_equal(kv_begin(f->kv, &t), 0);
	assert_int_equal(kv_put(t, slice_str("c"), slice_str("3")), ERR_FULL);
	kv_abort(t);
	assert_int_equal(kv_begin(f->kv, &t), 0);
	assert_int_equal(kv_del(t, slice_str("a")), 0);
	assert_int_equal(kv_commit(t, true), 0);
	reopen(f);
	expect(f->kv, "a", NULL);
	expect(f->kv, "b", "2");
	put1(f->kv, "c", "3");
}

/* A child commits numbered rows with sync and says each on a pipe; it is killed in mid-run. What it said must be there. */
static void
kill9(void **state)
{
	struct fix *f = *state;
	struct kv_options o = {.dir = f->dir};

	for (int round = 0; round < 5; round++) {
		int fds[2], said = 0, n;
		pid_t pid;
		char k[32];

		kv_close(f->kv);
		f->kv = NULL;
		assert_int_equal(pipe(fds), 0);
		pid = fork();
		if (pid == 0) {
			struct kv_txn *t;

			if (kv_bdb_open(&o, &f->kv) != 0)
				_exit(1);
			for (int i = 0;; i++) {
				snprintf(k, sizeof k, "r%d.%06d", round, i);
				if (kv_begin(f->kv, &t) != 0 ||
				    kv_put(t, slice_str(k), slice_str("value")) != 0 ||
				    kv_put(t, slice_str("last"), slice_str(k)) != 0 ||
				    kv_commit(t, true) != 0 ||
				    write(fds[1], &i, sizeof i) != sizeof i)
					_exit(1);
			}
		}
		close(fds[1]);
		while (said < 20 + 13 * round && read(fds[0], &n, sizeof n) == sizeof n)
			said = n + 1;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		while (read(fds[0], &n, sizeof n) == sizeof n)
			said = n + 1;
		close(fds[0]);
		assert_true(said >= 20);
		assert_int_equal(kv_bdb_open(&o, &f->kv), 0);
		for (int i = 0; i < said; i++) {
			snprintf(k, sizeof k, "r%d.%06d", round, i);
			expect(f->kv, k, "value");
		}
	}
}

#define BOTH(fn)                                                  \
	cmocka_unit_test_setup_teardown(fn, setup_bdb, teardown), \
	{                                                         \
		"mem_" #fn, fn, setup_mem, teardown, NULL         \
	}

/* ---- notes ---- */

static int
note_take(void *arg, struct slice note)
{
	struct buf *b = arg;

	buf_append_slice(b, note);
	return buf_append_byte(b, ' ');
}

static void
settle_count(void *arg)
{
	++*(unsigned *)arg;
}

/* In a process that is killed behind it: what it finds must be want, then it writes notes; checkpoint: and settles them before the last one. */
static void
notes_run(const char *dir, const char *want, const char *first, const char *second, bool checkpoint)
{
	struct kv_options o = {.dir = dir, .notes = true};
	unsigned settled = 0;
	struct kv_txn *t;
	struct buf found;
	struct kv *kv;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		buf_init(&found, 100000);
		if (kv_bdb_open(&o, &kv) != 0 || kv_notes(kv, note_take, &found) != 0)
			_exit(1);
		if (!slice_eq_str(buf_slice(&found), want)) {
			fprintf(stderr, "notes are: %s\n", buf_cstr(&found));
			_exit(2);
		}
		kv_settle_by(kv, settle_count, &settled);
		if (kv_begin(kv, &t) != 0 || kv_note(t, slice_str(first)) != 0 ||
		    kv_put(t, slice_str("k"), slice_str("v")) != 0 || kv_commit(t, true) != 0)
			_exit(3);
		if (checkpoint && (kv_checkpoint(kv) != 0 || settled != 1))
			_exit(4);
		if (kv_begin(kv, &t) != 0 || kv_note(t, slice_str(second)) != 0)
			_exit(5);
		kv_abort(t);
		if (kv_sync(kv) != 0)
			_exit(6);
		_exit(0); /* no kv_close */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* They come back in their order, those of an aborted transaction too, until they are settled; and no log goes before. */
static void
notes_outlive_the_process(void **state)
{
	char dir[] = "/tmp/kv_notes.XXXXXX", cmd[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	notes_run(dir, "", "one", "two", false);
	notes_run(dir, "one two ", "three", "four", false);
	notes_run(dir, "one two three four ", "five", "six", true);
	notes_run(dir, "six ", "seven", "eight", false);
	notes_run(dir, "six seven eight ", "", "nine", true);
	notes_run(dir, "nine ", "ten", "eleven", false);
	snprintf(cmd, sizeof cmd, "rm -r '%s'", dir);
	assert_int_equal(system(cmd), 0);
}

/* What must be gone for good is in no log file either. */
static void
log_is_forgotten(void **state)
{
	struct fix *f = *state;
	unsigned settled = 0;
	struct kv_txn *t;
	char cmd[200];

	kv_settle_by(f->kv, settle_count, &settled);
	assert_int_equal(kv_begin(f->kv, &t), 0);
	assert_int_equal(kv_note(t, slice_str("a-secret-note")), 0);
	assert_int_equal(kv_put(t, slice_str("k"), slice_str("a-secret-row")), 0);
	assert_int_equal(kv_commit(t, true), 0);
	snprintf(cmd, sizeof cmd, "cat '%s'/log.* | grep -aq a-secret-note", f->dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(kv_begin(f->kv, &t), 0);
	assert_int_equal(kv_del(t, slice_str("k")), 0);
	assert_int_equal(kv_commit(t, true), 0);
	/* a transaction that began before keeps the log: that is not called done */
	assert_int_equal(kv_begin(f->kv, &t), 0);
	assert_int_equal(kv_put(t, slice_str("other"), slice_str("1")), 0);
	assert_int_equal(kv_forget_log(f->kv), ERR_TEMP);
	kv_abort(t);
	settled = 0;
	assert_int_equal(kv_forget_log(f->kv), 0);
	assert_int_equal(settled, 1);
	snprintf(cmd, sizeof cmd, "cat '%s'/log.* | grep -aq a-secret", f->dir);
	assert_int_not_equal(system(cmd), 0);
	reopen(f);
}

static void
notes_are_bounded(void **state)
{
	struct fix *f = *state;
	static unsigned char text[KV_NOTE_MAX + 1];
	struct kv_txn *t;

	assert_int_equal(kv_begin(f->kv, &t), 0);
	assert_int_equal(kv_note(t, slice_of(text, sizeof text)), ERR_LIMIT);
	assert_int_equal(kv_note(t, slice_of(text, sizeof text - 1)), 0);
	assert_int_equal(kv_commit(t, true), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    BOTH(put_get_del),
	    BOTH(abort_leaves_nothing),
	    BOTH(scans),
	    BOTH(big_scan),
	    BOTH(crossing_writers),
	    cmocka_unit_test_setup_teardown(persists, setup_bdb, teardown),
	    cmocka_unit_test_setup_teardown(no_room, setup_bdb, teardown),
	    cmocka_unit_test_setup_teardown(kill9, setup_bdb, teardown),
	    BOTH(notes_are_bounded),
	    cmocka_unit_test_setup_teardown(log_is_forgotten, setup_bdb, teardown),
	    cmocka_unit_test(notes_outlive_the_process),
	};

	log_init("kv_test", 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
