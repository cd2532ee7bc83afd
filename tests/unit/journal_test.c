/* journal_test.c: the journal of committed changes: whole, in order, exactly what was committed; whatever it cannot be sure of is dropped, not told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/backup_rec.h"
#include "store/journal.h"

struct fix {
	char dir[64], journal[80];
	struct kv *kv;
	struct journal *j;
	unsigned bodies;
};

static void
on_body(void *arg, struct slice key, struct slice value)
{
	struct fix *f = arg;

	assert_true(slice_starts(key, "b/"));
	assert_true(value.len > 0);
	f->bodies++;
}

static void
start(struct fix *f)
{
	struct kv_options ko = {.dir = f->dir};
	struct journal_options o = {
	    .dir = f->journal, .file_max = 4096, .keep_max = 1 << 20, .body = on_body, .arg = f};

	assert_int_equal(kv_bdb_open(&ko, &f->kv), 0);
	assert_int_equal(journal_open(f->kv, &o, &f->j), 0);
}

static void
stop(struct fix *f)
{
	journal_close(f->j);
	kv_close(f->kv);
	f->j = NULL;
	f->kv = NULL;
}

static int
setup(void **state)
{
	struct fix *f = xcalloc(1, sizeof *f);

	snprintf(f->dir, sizeof f->dir, "/tmp/journal_test.XXXXXX");
	*state = f;
	if (mkdtemp(f->dir) == NULL)
		return -1;
	snprintf(f->journal, sizeof f->journal, "%s/journal", f->dir);
	start(f);
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;
	char cmd[128];

	if (f->kv != NULL)
		stop(f);
	snprintf(cmd, sizeof cmd, "rm -r '%s'", f->dir);
	free(f);
	return system(cmd) == 0 ? 0 : -1;
}

static int
put(struct kv *kv, const char *key, const char *value)
{
	struct kv_txn *t;

	assert_int_equal(kv_begin(kv, &t), 0);
	assert_int_equal(kv_put(t, slice_str(key), slice_str(value)), 0);
	return kv_commit(t, true);
}

/* The stream from off on, applied: "key=value " in order of changes, "key! " for what was removed. Gives where it ends. */
static uint64_t
tell(struct fix *f, const unsigned char *epoch, uint64_t off, struct buf *text)
{
	struct buf b;
	struct slice s;

	buf_init(&b, 64 << 20);
	for (size_t had = 1; had > 0;) {
		size_t before = b.len;

		assert_int_equal(journal_read(f->j, epoch, off, 1000, &b), 0);
		had = b.len - before;
		off += had;
	}
	for (s = buf_slice(&b); s.len > 0;) {
		struct slice head = slice_sub(s, 0, BACKUP_REC_HEAD), ops;
		struct backup_head h;
		struct backup_op op;
		int r;

		assert_int_equal(backup_head_read(head, &h), 0);
		ops = slice_sub(s, BACKUP_REC_HEAD, h.len);
		assert_int_equal(backup_rec_check(head, ops), 0);
		while ((r = backup_op_next(&ops, &op)) == 1) {
			buf_append_slice(text, op.key);
			if (op.kind == BACKUP_PUT) {
				buf_append_str(text, "=");
				buf_append_slice(text, op.value);
			} else {
				buf_append_str(text, "!");
			}
			buf_append_str(text, " ");
		}
		assert_int_equal(r, 0);
		s = slice_from(s, BACKUP_REC_HEAD + h.len);
	}
	buf_done(&b);
	return off;
}

static void
changes_in_order(void **state)
{
	struct fix *f = *state;
	struct journal_state st;
	struct kv_txn *t;
	struct buf text, none;

	buf_init(&text, 4096);
	buf_init(&none, 100);
	put(f->kv, "a", "before");
	assert_int_equal(journal_state_get(f->j, &st), ERR_NOTFOUND);
	assert_int_equal(journal_begin(f->j), 0);
	assert_int_equal(journal_state_get(f->j, &st), 0);
	put(f->kv, "a", "1");
	assert_int_equal(kv_begin(f->kv, &t), 0);
	assert_int_equal(kv_put(t, slice_str("never"), slice_str("x")), 0);
	kv_abort(t);
	assert_int_equal(kv_begin(f->kv, &t), 0);
	assert_int_equal(kv_put(t, slice_str("b/1"), slice_str("place")), 0);
	assert_int_equal(kv_del(t, slice_str("a")), 0);
	assert_int_equal(kv_del(t, slice_str("nothing")), ERR_NOTFOUND);
	assert_int_equal(kv_put(t, slice_str("w/own"), slice_str("not told")), 0);
	assert_int_equal(kv_insert(t, slice_str("c"), slice_str("")), 0);
	assert_int_equal(f->bodies, 0);
	assert_int_equal(kv_commit(t, true), 0);
	assert_int_equal(f->bodies, 1);
	tell(f, st.epoch, st.end, &text);
	assert_string_equal(buf_cstr(&text), "a=1 b/1=place a! c= ");
	/* what a power cut could still take back is not told before it is durable */
	assert_int_equal(journal_state_get(f->j, &st), 0);
	assert_int_equal(kv_begin(f->kv, &t), 0);
	assert_int_equal(kv_put(t, slice_str("lazy"), slice_str("1")), 0);
	assert_int_equal(kv_commit(t, false), 0);
	buf_reset(&text);
	assert_int_equal(tell(f, st.epoch, st.end, &text), st.end);
	put(f->kv, "d", "4");
	tell(f, st.epoch, st.end, &text);
	assert_string_equal(buf_cstr(&text), "lazy=1 d=4 ");
	/* asked again it goes on as it is */
	assert_int_equal(journal_begin(f->j), 0);
	assert_int_equal(journal_state_get(f->j, &st), 0);
	assert_true(st.end > 0);
	assert_int_equal(journal_read(f->j, st.epoch, st.end + 1, 10, &none), ERR_RANGE);
	st.epoch[3] ^= 1;
	assert_int_equal(journal_read(f->j, st.epoch, 0, 10, &none), ERR_GONE);
	buf_done(&text);
	buf_done(&none);
}

/* Both ways to end: in good order, and killed (the process that wrote is another one). */
static void
it_goes_on_after_a_start(void **state)
{
	struct fix *f = *state;
	struct journal_state st, then;
	struct buf text;
	uint64_t from;
	int status;
	pid_t pid;

	buf_init(&text, 1 << 20);
	assert_int_equal(journal_begin(f->j), 0);
	assert_int_equal(journal_state_get(f->j, &st), 0);
	from = st.end;
	put(f->kv, "k", "1");
	stop(f);
	start(f);
	put(f->kv, "k", "2");
	stop(f);
	pid = fork();
	if (pid == 0) {
		start(f);
		for (int i = 0; i < 300; i++) {
			char key[16];

			snprintf(key, sizeof key, "n%03d", i);
			put(f->kv, key, "a value of some length, so that files are begun");
		}
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
	start(f);
	assert_int_equal(journal_state_get(f->j, &then), 0);
	assert_memory_equal(then.epoch, st.epoch, JOURNAL_EPOCH);
	put(f->kv, "k", "3");
	tell(f, st.epoch, from, &text);
	/* rows and journal agree */
	assert_non_null(strstr(buf_cstr(&text), "k=1 k=2 "));
	assert_non_null(strstr(buf_cstr(&text), "k=3 "));
	for (int i = 0; i < 300; i++) {
		char key[16];
		struct buf v;

		buf_init(&v, 100);
		snprintf(key, sizeof key, "n%03d", i);
		assert_int_equal(kv_get(f->kv, NULL, slice_str(key), &v) == 0,
		    strstr(buf_cstr(&text), key) != NULL);
		buf_done(&v);
	}
	buf_done(&text);
}

static void
newest_file(struct fix *f, char *path, size_t n)
{
	DIR *d = opendir(f->journal);
	struct dirent *e;
	char best[64] = "";

	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] == 'j' && strcmp(e->d_name, best) > 0)
			snprintf(best, sizeof best, "%.60s", e->d_name);
	closedir(d);
	snprintf(path, n, "%s/%s", f->journal, best);
}

/* What a power cut can do to files that are not synced: the end is missing, or an octet is an older one. */
static void
what_does_not_fit_is_dropped(void **state)
{
	struct fix *f = *state;
	struct journal_state st, then;

	for (int how = 0; how < 3; how++) {
		char path[256], c;
		int fd;

		assert_int_equal(journal_begin(f->j), 0);
		for (int i = 0; i < 60; i++)
			put(f->kv, "key", "sixty times the same value, two files and a bit of it");
		assert_int_equal(journal_state_get(f->j, &st), 0);
		stop(f);
		newest_file(f, path, sizeof path);
		fd = open(path, O_RDWR);
		assert_true(fd >= 0);
		if (how == 0) {
			assert_int_equal(ftruncate(fd, lseek(fd, 0, SEEK_END) - 1), 0);
		} else if (how == 1) {
			assert_int_equal(pread(fd, &c, 1, 40), 1);
			c ^= 4;
			assert_int_equal(pwrite(fd, &c, 1, 40), 1);
		} else {
			unlink(path);
		}
		close(fd);
		start(f);
		assert_int_equal(journal_state_get(f->j, &then), ERR_NOTFOUND);
		newest_file(f, path, sizeof path);
		assert_true(path[strlen(path) - 1] == '/');
		assert_int_equal(journal_begin(f->j), 0);
		assert_int_equal(journal_state_get(f->j, &then), 0);
		assert_memory_not_equal(then.epoch, st.epoch, JOURNAL_EPOCH);
	}
}

static void
old_files_go(void **state)
{
	struct fix *f = *state;
	struct journal_state st;
	struct buf b;
	char value[8001];

	memset(value, 'x', 8000);
	value[8000] = '\0';
	buf_init(&b, 1000);
	assert_int_equal(journal_begin(f->j), 0);
	for (int i = 0; i < 300; i++)
		put(f->kv, "key", value);
	assert_int_equal(journal_state_get(f->j, &st), 0);
	assert_true(
	    st.first > 0 && st.end - st.first > 900 << 10 && st.end - st.first < 1200 << 10);
	assert_int_equal(journal_read(f->j, st.epoch, st.first - 1, 10, &b), ERR_GONE);
	assert_int_equal(journal_read(f->j, st.epoch, st.first, 10, &b), 0);
	assert_int_equal(b.len, 10);
	buf_done(&b);
}

/* Nothing is lost between "off" and "on": who reads rows after journal_begin and then applies the journal has everything. */
struct load {
	struct fix *f;
	int n;
	bool ending;
};

static void *
load_main(void *arg)
{
	struct load *l = arg;

	while (!__atomic_load_n(&l->ending, __ATOMIC_SEQ_CST)) {
		char key[24];
		int err;

		snprintf(key, sizeof key, "r%06d", l->n);
		do
			err = put(l->f->kv, key, "v");
		while (err == ERR_AGAIN);
		assert_int_equal(err, 0);
		__atomic_add_fetch(&l->n, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static int
mark(void *arg, struct slice key, struct slice value)
{
	uint64_t n;

	(void)value;
	if (key.ptr[0] == 'r' && slice_to_u64(slice_from(key, 1), 999999, &n) == 0)
		((char *)arg)[n] = 1;
	return 0;
}

/* Until n more were put since the call. */
static void
load_goes_on(const struct load *l, int n)
{
	int from = __atomic_load_n(&l->n, __ATOMIC_SEQ_CST);

	for (int i = 0; i < 60000 && __atomic_load_n(&l->n, __ATOMIC_SEQ_CST) < from + n; i++)
		usleep(1000);
	assert_true(__atomic_load_n(&l->n, __ATOMIC_SEQ_CST) >= from + n);
}

static void
nothing_falls_between(void **state)
{
	struct fix *f = *state;
	char *seen = xcalloc(1, 1000000);

	for (int round = 0; round < 5; round++) {
		struct load l = {f, 0, false};
		struct journal_state st;
		struct buf text;
		pthread_t th;
		int upto;

		buf_init(&text, 64 << 20);
		memset(seen, 0, 1000000);
		pthread_create(&th, NULL, load_main, &l);
		load_goes_on(&l, 5);
		assert_int_equal(journal_begin(f->j), 0);
		assert_int_equal(journal_state_get(f->j, &st), 0);
		assert_int_equal(
		    kv_scan(f->kv, NULL, slice_str(""), slice_str(""), 0, mark, seen), 0);
		load_goes_on(&l, 5);
		upto = __atomic_load_n(&l.n, __ATOMIC_SEQ_CST);
		tell(f, st.epoch, st.first, &text);
		__atomic_store_n(&l.ending, true, __ATOMIC_SEQ_CST);
		pthread_join(th, NULL);
		for (struct slice s = buf_slice(&text); s.len > 0;) {
			ptrdiff_t end = slice_index(s, ' ');

			mark(seen, slice_sub(s, 0, (size_t)slice_index(s, '=')), s);
			s = slice_from(s, (size_t)end + 1);
		}
		for (int i = 0; i < upto; i++)
			assert_true(seen[i] == 1);
		buf_done(&text);
		stop(f); /* another round begins with the journal off */
		{
			char cmd[128];

			snprintf(cmd, sizeof cmd, "rm -r '%s'", f->journal);
			assert_int_equal(system(cmd), 0);
		}
		start(f);
		assert_int_equal(journal_state_get(f->j, &st), ERR_NOTFOUND);
	}
	free(seen);
}

static void
hostile_records(void **state)
{
	struct buf b;
	struct slice rest;
	struct backup_op op;
	struct backup_head h;

	(void)state;
	buf_init(&b, 1000);
	backup_rec_begin(&b);
	backup_rec_put(&b, slice_str("key"), slice_str("value"));
	backup_rec_del(&b, slice_str("other"));
	assert_true(backup_rec_end(&b, 12345, 77) != 0);
	assert_int_equal(backup_head_read(buf_slice(&b), &h), 0);
	assert_int_equal(h.at_us, 12345);
	assert_int_equal(h.before, 77);
	for (size_t i = 0; i < b.len; i++) { /* every flipped bit is seen */
		b.data[i] ^= 0x10;
		assert_int_equal(backup_rec_check(slice_sub(buf_slice(&b), 0, BACKUP_REC_HEAD),
				     slice_from(buf_slice(&b), BACKUP_REC_HEAD)),
		    ERR_CORRUPT);
		b.data[i] ^= 0x10;
	}
	for (size_t n = BACKUP_REC_HEAD; n < b.len;
	     n++) { /* cut anywhere: the end of a change, or refused */
		int r;

		rest = slice_sub(buf_slice(&b), BACKUP_REC_HEAD, n - BACKUP_REC_HEAD);
		while ((r = backup_op_next(&rest, &op)) == 1)
			assert_true(op.key.len > 0);
		assert_true(r == ERR_CORRUPT || (r == 0 && rest.len == 0));
	}
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(changes_in_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(it_goes_on_after_a_start, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_does_not_fit_is_dropped, setup, teardown),
	    cmocka_unit_test_setup_teardown(old_files_go, setup, teardown),
	    cmocka_unit_test_setup_teardown(nothing_falls_between, setup, teardown),
	    cmocka_unit_test(hostile_records),
	};

	log_init("journal_test", 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
