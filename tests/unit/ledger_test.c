/* ledger_test.c: the ledger's file: batches, failed writes and syncs, recovery. */
#include "config.h"

#include "lib/err.h"
#include "milter/audit_files.h"
#include "milter/audit_verify.h"
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
	char command[100];

	snprintf(command, sizeof command, "rm -f %s/*", dir);
	assert_int_equal(system(command), 0);
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
	ledger_file_write(o->file, &b, &end, sync, n % 2 == 0);
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

static void
on_rotated(void *arg, int err)
{
	struct result *r = arg;

	r->done = true;
	r->err = err;
}

static int
rotate(struct open_log *o)
{
	memset(&o->r, 0, sizeof o->r);
	ledger_file_rotate(o->file, on_rotated);
	for (int i = 0; i < 100 && !o->r.done; i++)
		loop_run_once(o->loop, 100);
	assert_true(o->r.done);
	return o->r.err;
}

static struct audit_files files; /* findings name them */

/* All files; the number of them must be as expected. */
static struct audit_report
verify_all(size_t n_files)
{
	struct audit_verifier *v = audit_verifier_new();
	struct audit_report rep;
	int fd = open(state_path, O_RDONLY);

	assert_int_equal(audit_verifier_state(v, fd), 0);
	close(fd);
	audit_files_done(&files);
	assert_int_equal(audit_files_list(path, &files), 0);
	assert_int_equal(files.n, n_files);
	for (size_t i = 0; i < files.n; i++) {
		fd = open(files.list[i].path, O_RDONLY);
		assert_true(fd >= 0);
		assert_int_equal(audit_verifier_file(v, files.list[i].path, fd), 0);
		close(fd);
	}
	rep = *audit_verifier_end(v);
	audit_verifier_free(v);
	return rep;
}

static void
rotation_keeps_the_chain(void **state)
{
	struct open_log o;
	struct audit_report r;
	char name[100];

	(void)state;
	open_it(&o);
	assert_int_equal(write_batch(&o, 3, true), 0);
	assert_int_equal(ledger_file_first(o.file), 1);
	assert_int_equal(rotate(&o), 0);
	assert_int_equal(ledger_file_first(o.file), 4);
	assert_int_equal(ledger_file_size(o.file), 0);
	assert_int_equal(ledger_file_begun(o.file), 0);
	/* nothing was lost by that, whether something is written before the next start or not */
	close_it(&o);
	r = verify_all(2);
	assert_true(r.ok);
	open_it(&o);
	assert_null(o.rec.kind);
	assert_int_equal(ledger_file_last(o.file)->seq, 3);
	assert_int_equal(ledger_file_first(o.file), 4);
	assert_int_equal(write_batch(&o, 2, false), 0);
	assert_int_equal(rotate(&o), 0);
	assert_int_equal(write_batch(&o, 2, true), 0);
	close_it(&o);
	open_it(&o);
	assert_null(o.rec.kind);
	assert_int_equal(ledger_file_first(o.file), 6);
	assert_int_equal(write_batch(&o, 1, true), 0);
	close_it(&o);
	r = verify_all(3);
	assert_true(r.ok);
	assert_int_equal(r.records, 8);
	snprintf(name, sizeof name, "%s.000000000004", path);
	assert_int_equal(access(name, F_OK), 0);
	/* a file that is taken away is a hole, and named */
	assert_int_equal(unlink(name), 0);
	r = verify_all(2);
	assert_int_equal(r.n_findings, 1);
	assert_int_equal(r.findings[0].kind, AUDIT_DELETE);
	assert_int_equal(r.findings[0].seq, 4);
	assert_string_equal(r.findings[0].file, path);
	assert_string_equal(r.findings[0].text, "missing records: 4 to 5");
	audit_files_done(&files);
}

/* The log has two names for a moment: then its own is the one that counts. */
static void
a_rotation_cut_off_is_undone(void **state)
{
	struct open_log o;
	struct audit_report r;
	char name[100];

	(void)state;
	open_it(&o);
	assert_int_equal(write_batch(&o, 3, true), 0);
	close_it(&o);
	snprintf(name, sizeof name, "%s.000000000001", path);
	assert_int_equal(link(path, name), 0);
	open_it(&o);
	assert_null(o.rec.kind);
	assert_int_equal(access(name, F_OK), -1);
	assert_int_equal(ledger_file_last(o.file)->seq, 3);
	assert_int_equal(write_batch(&o, 1, true), 0);
	assert_int_equal(rotate(&o), 0);
	close_it(&o);
	/* cut off before the state file said so */
	unlink(state_path);
	open_it(&o);
	assert_int_equal(ledger_file_last(o.file)->seq, 4);
	assert_int_equal(write_batch(&o, 1, true), 0);
	close_it(&o);
	r = verify_all(2);
	assert_true(r.ok);
	assert_int_equal(r.last.seq, 5);
	audit_files_done(&files);
}

/* A new file instead of the log, with the closed one beside it: the ledger knows that there was more. */
static void
a_log_removed_after_a_rotation_is_found(void **state)
{
	struct open_log o;

	(void)state;
	open_it(&o);
	assert_int_equal(write_batch(&o, 3, true), 0);
	assert_int_equal(rotate(&o), 0);
	assert_int_equal(write_batch(&o, 3, true), 0);
	close_it(&o);
	assert_int_equal(unlink(path), 0);
	open_it(&o);
	assert_string_equal(o.rec.kind, "missing_records");
	assert_int_equal(o.rec.found_seq, 3);
	assert_int_equal(o.rec.expected_seq, 6);
	assert_int_equal(ledger_file_last(o.file)->seq, 6);
	close_it(&o);
}

static void
a_rotation_that_fails_leaves_the_log(void **state)
{
	struct open_log o;
	char name[100];

	(void)state;
	open_it(&o);
	assert_int_equal(write_batch(&o, 3, true), 0);
	/* the name is taken by something else */
	snprintf(name, sizeof name, "%s.000000000001", path);
	assert_int_equal(symlink("elsewhere", name), 0);
	assert_int_not_equal(rotate(&o), 0);
	assert_false(ledger_file_broken(o.file));
	assert_int_equal(write_batch(&o, 2, true), 0);
	close_it(&o);
	assert_int_equal(unlink(name), 0);
	assert_true(verify_all(1).ok);
	audit_files_done(&files);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(batches_go_on_after_reopening),
	    T(a_failed_write_leaves_the_log), T(a_failed_sync_ends_it),
	    T(unsynced_batches_do_not_move_the_state), T(a_torn_line_is_cut),
	    T(a_batch_without_its_middle_is_cut), T(what_a_start_believes_is_written_again),
	    T(manipulation_outlives_a_restart), T(only_one_writer), T(rotation_keeps_the_chain),
	    T(a_rotation_cut_off_is_undone), T(a_log_removed_after_a_rotation_is_found),
	    T(a_rotation_that_fails_leaves_the_log)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
