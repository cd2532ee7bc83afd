/* stored_refused_test.c: a change that could not be committed is refused: nobody is told that it was done. Against a real congvu-stored-db that gets an
 * error from the disk when the test says so (tests/crash/shim.c). */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "tests/crash/crash.h"
#include "tests/unit/kept_fix.h"

enum { FIRST = 1000000000 }; /* the write that fails, as shim.c counts them */

static struct fault_page *page;

/* The writes of stored have no room, after so many that have. */
static void
no_room_after(unsigned writes)
{
	__atomic_store_n(&page->calls[FAULT_WRITE], FIRST - 1 - writes, __ATOMIC_RELAXED);
}

static void
no_room(bool on)
{
	if (on)
		no_room_after(0);
	else
		__atomic_store_n(&page->calls[FAULT_WRITE], 0, __ATOMIC_RELAXED);
}

static void
start_again(int signo)
{
	stored_run_end(&X->run, signo);
	setenv("STORED_PRELOAD", "tests/crash/shim.so", 1);
	assert_int_equal(stored_run_start(&X->run), 0);
}

static int
setup(void **state)
{
	(void)state;
	if (fix_new(NULL) != 0)
		return -1;
	no_room(false);
	start_again(SIGTERM);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	no_room(false);
	fix_free();
	return 0;
}

static struct store_session *
three_messages(uint64_t *inbox_out)
{
	struct store_session *s;

	for (int i = 1; i <= 3; i++) {
		char id[16];

		snprintf(id, sizeof id, "message %d", i);
		fix_deliver(id, "p-1", "INBOX", id);
		assert_int_equal(X->err, 0);
	}
	s = fix_login("p-1", "an");
	*inbox_out = fix_id(s, "INBOX");
	return s;
}

/* What is there, as a session sees it now and after a new start. */
static void
there(struct store_session *s, uint64_t inbox, const uint32_t *uids, size_t n)
{
	for (int again = 0; again < 2; again++) {
		assert_int_equal(fix_box(s, "INBOX")->messages, n);
		fix_rows(s, inbox);
		assert_int_equal(X->n_rows, n);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(X->rows[i].row.uid, uids[i]);
		if (again == 0) {
			no_room(false);
			start_again(SIGKILL);
		}
	}
}

static void
expunge(void **state)
{
	const uint32_t all[] = {1, 2, 3}, two[] = {2, 3}, one[] = {1};
	uint64_t inbox;
	struct store_session *s = three_messages(&inbox);

	(void)state;
	no_room(true);
	fix_expunge(s, inbox, two, 2, false);
	assert_true(page->hits > 0);
	assert_int_not_equal(X->err, 0);
	no_room(false);
	there(s, inbox, all, 3);
	fix_expunge(s, inbox, two, 2, false);
	assert_int_equal(X->err, 0);
	assert_int_equal(X->n, 2);
	there(s, inbox, one, 1);
}

/* Of many some batches were committed: what those removed is told, and no more. */
static void
expunge_in_part(void **state)
{
	static uint32_t uids[1200];
	struct store_session *s;
	uint64_t inbox;
	size_t n = 0;

	(void)state;
	s = three_messages(&inbox);
	for (unsigned i = 0; i < 1200; i++) {
		if (i >= 3)
			fix_append("p-1", inbox, 0, "x");
		uids[i] = i + 1;
	}
	for (unsigned writes = 1; n == 0 && writes < 100; writes++) {
		no_room_after(writes);
		fix_expunge(s, inbox, uids, 1200, false);
		no_room(false);
		assert_true(X->err != 0 || X->n > 0);
		if (X->err == 0)
			n = X->n;
	}
	assert_true(n > 0 && n < 1200);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(X->src[i], i + 1);
	there(s, inbox, uids + n, 1200 - n);
}

static void
flags(void **state)
{
	const uint32_t all[] = {1, 2, 3}, two[] = {2, 3};
	uint64_t inbox;
	struct store_session *s = three_messages(&inbox);

	(void)state;
	no_room(true);
	fix_flags(s, inbox, two, 2, STORE_ADD, MSG_FLAGGED, "");
	assert_int_not_equal(X->err, 0);
	no_room(false);
	there(s, inbox, all, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(X->rows[i].row.flags & MSG_FLAGGED, 0);
}

static void
moves(void **state)
{
	const uint32_t all[] = {1, 2, 3}, two[] = {2, 3};
	uint64_t inbox, old;
	struct store_session *s = three_messages(&inbox);

	(void)state;
	fix_create(s, "Old");
	old = fix_id(s, "Old");
	for (int move = 0; move < 2; move++) {
		no_room(true);
		fix_copy(s, inbox, two, 2, old, move);
		assert_int_not_equal(X->err, 0);
		there(s, inbox, all, 3);
		assert_int_equal(fix_box(s, "Old")->messages, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(expunge, setup, teardown),
	    cmocka_unit_test_setup_teardown(expunge_in_part, setup, teardown),
	    cmocka_unit_test_setup_teardown(flags, setup, teardown),
	    cmocka_unit_test_setup_teardown(moves, setup, teardown),
	};
	char name[] = "/tmp/stored-refused.XXXXXX";
	int fd = mkstemp(name), failed;
	void *map;

#ifdef __SANITIZE_ADDRESS__
	puts("skipped: AddressSanitizer replaces the same calls as the shim");
	unlink(name);
	return 77;
#endif
	log_init("stored_refused_test", 2);
	if (fd < 0 || ftruncate(fd, 4096) != 0 || setenv("CONGVU_FAULT_PAGE", name, 1) != 0 ||
	    setenv("CONGVU_FAULT", "write:1000000000:1000000:28", 1) != 0)
		return 99;
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return 99;
	page = map;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(name);
	return failed;
}
