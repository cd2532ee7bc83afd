/* ledger_test.c: the ledger's file: batches, failed writes and syncs, recovery. */
#include "config.h"

#include "lib/err.h"
#include "milter/ledger_file.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[40], path[60], state_path[80];

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/cv-ledger-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/audit.jsonl", dir);
	snprintf(state_path, sizeof state_path, "%s" AUDIT_STATE_SUFFIX, path);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(path);
	unlink(state_path);
	rmdir(dir);
	ledger_file_fail(0, 0, 0);
	return 0;
}

struct result {
	bool written, done;
	int err;
	struct loop *loop;
};

static void
on_batch(void *arg, bool done, int err)
{
	struct result *r = arg;

	if (!done) {
		r->written = true;
		return;
	}
	r->done = true;
	r->err = err;
}

struct open_log {
	struct ledger_file *file;
	struct ledger_recovery rec;
	struct loop *loop;
	struct result r;
};

static void
open_it(struct open_log *o)
{
	memset(o, 0, sizeof *o);
	assert_int_equal(ledger_file_open(path, -1, &o->file, &o->rec), 0);
	o->loop = loop_new();
	assert_int_equal(ledger_file_start(o->file, o->loop, on_batch, &o->r), 0);
}

static void
close_it(struct open_log *o)
{
	ledger_file_close(o->file);
	loop_free(o->loop);
}

/* Writes n records as one batch; the error. */
static int
write_batch(struct open_log *o, int n, bool sync)
{
	struct audit_chain end = *ledger_file_last(o->file);
	struct json *rec;
	struct buf b;
	int i;

	buf_init(&b, 1 << 20);
	for (i = 0; i < n; i++) {
		rec = json_obj_new();
		json_set_str(rec, "event", "verdict");
		assert_int_equal(audit_seal(&end, rec, "2026-11-21T01:00:00.000000Z", "h", &b), 0);
		json_free(rec);
	}
	memset(&o->r, 0, sizeof o->r);
	ledger_file_write(o->file, &b, &end, sync);
	for (i = 0; i < 100 && !o->r.done; i++)
		loop_run_once(o->loop, 100);
	assert_true(o->r.done);
	buf_done(&b);
	return o->r.err;
}

static struct audit_report
verify(void)
{
	struct audit_report rep;
	int fd = open(path, O_RDONLY), sfd = open(state_path, O_RDONLY);

	assert_true(fd >= 0 && sfd >= 0);
	assert_int_equal(audit_verify(fd, sfd, &rep), 0);
	close(fd);
	close(sfd);
	return rep;
}

static void
batches_go_on_after_reopening(void **state)
{
	struct open_log o;
	struct audit_report r;

	(void)state;
	open_it(&o);
	assert_null(o.rec.kind);
	assert_int_equal(write_batch(&o, 3, true), 0);
	assert_true(o.r.written);
	assert_int_equal(write_batch(&o, 1, true), 0);
	close_it(&o);
	open_it(&o);
	assert_null(o.rec.kind);
	assert_int_equal(ledger_file_last(o.file)->seq, 4);
	assert_int_equal(write_batch(&o, 2, true), 0);
	close_it(&o);
	r = verify();
	assert_true(r.ok);
	assert_int_equal(r.records, 6);
}

static void
a_failed_write_leaves_the_log(void **state)
{
	struct open_log o;
	struct audit_report r;

	(void)state;
	open_it(&o);
	assert_int_equal(write_batch(&o, 2, true), 0);
	ledger_file_fail(1, 0, ENOSPC);
	assert_int_equal(write_batch(&o, 2, true), ERR_FULL);
	assert_false(o.r.written);
	assert_false(ledger_file_broken(o.file));
	assert_int_equal(ledger_file_last(o.file)->seq, 2);
	r = verify();
	assert_true(r.ok);
	assert_int_equal(r.records, 2);
	/* there is room again */
	assert_int_equal(write_batch(&o, 2, true), 0);
	close_it(&o);
	r = verify();
	assert_true(r.ok);
	assert_int_equal(r.records, 4);
}

static void
a_failed_sync_ends_it(void **state)
{
	struct open_log o;

	(void)state;
	open_it(&o);
	assert_int_equal(write_batch(&o, 1, true), 0);
	ledger_file_fail(0, 1, EIO);
	assert_int_equal(write_batch(&o, 1, true), ERR_IO);
	assert_true(ledger_file_broken(o.file));
	close_it(&o);
}

static void
unsynced_batches_do_not_move_the_state(void **state)
{
	struct audit_report r;
	struct open_log o;

	(void)state;
	open_it(&o);
	assert_int_equal(write_batch(&o, 1, true), 0);
	assert_int_equal(write_batch(&o, 1, false), 0);
	assert_true(o.r.written);
	close_it(&o);
	/* the second record may be lost in a power failure without being a manipulation */
	assert_int_equal(truncate(path, 0), 0);
	r = verify();
	assert_false(r.ok);
	assert_non_null(strstr(r.why, "up to 1"));
}

static void
append(const char *text)
{
	FILE *f = fopen(path, "ab");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
a_torn_line_is_cut(void **state)
{
	struct audit_report r;
	struct open_log o;

	(void)state;
	open_it(&o);
	assert_int_equal(write_batch(&o, 2, true), 0);
	close_it(&o);
	append("{\"event\":\"ver");
	open_it(&o);
	assert_string_equal(o.rec.kind, "torn_line");
	assert_int_equal(o.rec.cut, 13);
	assert_int_equal(write_batch(&o, 1, true), 0);
	close_it(&o);
	r = verify();
	assert_true(r.ok);
	assert_int_equal(r.records, 3);
}

static off_t
log_size(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void
overwrite(off_t at, const char *text, size_t n)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, n, at), n);
	close(fd);
}

/* A power cut keeps what it likes of what was not synced: also the end of a batch, and not its middle. */
static void
a_batch_without_its_middle_is_cut(void **state)
{
	static const char zeros[40];
	struct audit_report r;
	struct open_log o;
	off_t synced, second;

	(void)state;
	open_it(&o);
	assert_int_equal(write_batch(&o, 2, true), 0);
	synced = log_size();
	assert_int_equal(write_batch(&o, 1, false), 0);
	second = log_size();
	assert_int_equal(write_batch(&o, 3, false), 0);
	close_it(&o);
	overwrite(second + (log_size() - second) / 2, zeros, sizeof zeros);
	open_it(&o);
	assert_string_equal(o.rec.kind, "torn_batch");
	assert_int_equal(o.rec.found_seq, 4);
	assert_int_equal(ledger_file_last(o.file)->seq, 4);
	assert_true(log_size() > second);
	assert_int_equal(write_batch(&o, 1, true), 0);
	close_it(&o);
	r = verify();
	assert_true(r.ok);
	assert_int_equal(r.records, 5);
	/* what was synced is not cut, whatever became of it: that is no power cut */
	overwrite(synced - 60, zeros, sizeof zeros);
	open_it(&o);
	assert_null(o.rec.kind);
	close_it(&o);
	r = verify();
	assert_false(r.ok);
	assert_int_equal(r.line, 2);
}

/* After a sync that failed the kernel may hold in memory alone what the next start reads, and call it clean: it is written and synced
 * again before the chain goes on. */
static void
what_a_start_believes_is_written_again(void **state)
{
	struct ledger_recovery rec;
	struct ledger_file *f;
	struct open_log o;

	(void)state;
	open_it(&o);
	assert_int_equal(write_batch(&o, 1, true), 0);
	ledger_file_fail(0, 1, EIO);
	assert_int_equal(write_batch(&o, 1, true), ERR_IO);
	close_it(&o);
	ledger_file_fail(1, 0, EIO);
	assert_int_equal(ledger_file_open(path, -1, &f, &rec), ERR_IO);
	ledger_file_fail(0, 1, EIO);
	assert_int_equal(ledger_file_open(path, -1, &f, &rec), ERR_IO);
	/* nor is it believed without the state file */
	assert_int_equal(unlink(state_path), 0);
	ledger_file_fail(1, 0, EIO);
	assert_int_equal(ledger_file_open(path, -1, &f, &rec), ERR_IO);
	open_it(&o);
	assert_null(o.rec.kind);
	assert_int_equal(ledger_file_last(o.file)->seq, 2);
	assert_int_equal(write_batch(&o, 1, true), 0);
	close_it(&o);
	/* all of it was synced: nothing is written but the state */
	ledger_file_fail(1, 0, EIO);
	open_it(&o);
	assert_int_equal(ledger_file_last(o.file)->seq, 3);
	close_it(&o);
}

/* Whatever was done to the end of the log while the ledger was down, going on does not hide it. */
static void
manipulation_outlives_a_restart(void **state)
{
	struct audit_report r;
	struct open_log o;
	struct stat st;

	(void)state;
	open_it(&o);
	assert_int_equal(write_batch(&o, 1, true), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(write_batch(&o, 2, true), 0);
	close_it(&o);
	assert_int_equal(truncate(path, st.st_size), 0);
	open_it(&o);
	assert_string_equal(o.rec.kind, "missing_records");
	assert_int_equal(o.rec.found_seq, 1);
	assert_int_equal(o.rec.expected_seq, 3);
	assert_int_equal(write_batch(&o, 2, true), 0);
	close_it(&o);
	r = verify();
	assert_false(r.ok);
	assert_int_equal(r.line, 2);
	assert_non_null(strstr(r.why, "missing"));
}

static void
only_one_writer(void **state)
{
	struct ledger_recovery rec;
	struct ledger_file *second;
	struct open_log o;

	(void)state;
	open_it(&o);
	assert_int_equal(ledger_file_open(path, -1, &second, &rec), ERR_EXISTS);
	close_it(&o);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(batches_go_on_after_reopening),
	    T(a_failed_write_leaves_the_log), T(a_failed_sync_ends_it),
	    T(unsynced_batches_do_not_move_the_state), T(a_torn_line_is_cut),
	    T(a_batch_without_its_middle_is_cut), T(what_a_start_believes_is_written_again),
	    T(manipulation_outlives_a_restart), T(only_one_writer)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
