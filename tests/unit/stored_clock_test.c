/* stored_clock_test.c: a clock that is set ends no term early: deliveries remembered, retained mail, deleted mailboxes. Against a real
 * congvu-stored-db whose clock is set while it runs, and before it starts. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "tests/unit/kept_fix.h"

#define DAY INT64_C(86400)
#define YEARS (10 * 365 * DAY)

static int64_t *clock_page;

/* From now on, in the stored that runs and in each that is started. */
static void
set_clock(int64_t ahead)
{
	__atomic_store_n(clock_page, ahead, __ATOMIC_RELAXED);
}

static void
restart(int64_t ahead)
{
	stored_run_end(&X->run, SIGTERM);
	set_clock(ahead);
	setenv("STORED_PRELOAD", "tests/unit/clock.so", 1);
	assert_int_equal(stored_run_start(&X->run), 0);
	fix_login("p-2", "binh"); /* it is up: it has seen this clock */
}

static int
setup(void **state)
{
	(void)state;
	if (fix_new("delivery_memory_days = 30\nundelete_days = 14\n") != 0)
		return -1;
	restart(0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fix_free();
	return 0;
}

/* A message is delivered: its UID. When it came before, that of its first copy. */
static unsigned
delivered(const char *id)
{
	fix_deliver(id, "p-1", "INBOX", id);
	assert_int_equal(X->err, 0);
	return X->uid;
}

/* After a delivery old ones are forgotten; who comes next waits for that. */
static void
delivered_two(const char *id, const char *next, unsigned uid)
{
	assert_int_equal(delivered(id), uid);
	assert_int_equal(delivered(next), uid + 1);
}

static unsigned
messages(void)
{
	return fix_box(fix_login("p-1", "an"), "INBOX")->messages;
}

static unsigned
kept(const char *name)
{
	const struct fix_kept *k;

	fix_kept_boxes("p-1"); /* too old ones go */
	fix_spin(200);
	fix_kept_boxes("p-1");
	assert_int_equal(X->err, 0);
	k = fix_kept("p-1", name);
	return k == NULL ? 0 : k->kept + k->messages;
}

/* Set back by years and put right again: what came meanwhile is remembered for its whole term, and no longer. */
static void
back(void **state)
{
	(void)state;
	set_clock(-YEARS);
	assert_int_equal(delivered("meanwhile"), 1);
	set_clock(0);
	delivered_two("right again", "and on", 2);
	assert_int_equal(delivered("meanwhile"), 1);
	restart(29 * DAY);
	delivered_two("4 weeks later", "and on it goes", 4);
	assert_int_equal(delivered("meanwhile"), 1);
	assert_int_equal(messages(), 5);
	restart(31 * DAY);
	delivered_two("a month later", "and further on", 6);
	assert_int_equal(delivered("meanwhile"), 8);
}

/* Set ahead and put right again. */
static void
ahead(void **state)
{
	(void)state;
	assert_int_equal(delivered("before"), 1);
	set_clock(YEARS);
	delivered_two("meanwhile", "meanwhile too", 2);
	assert_int_equal(delivered("before"), 1);
	set_clock(0);
	restart(29 * DAY);
	delivered_two("4 weeks later", "and on", 4);
	assert_int_equal(delivered("meanwhile"), 2);
	assert_int_equal(delivered("before"), 1);
	assert_int_equal(messages(), 5);
}

/* A machine comes up with a clock that is years behind; it is put right before the next start. The mailbox knows a later time. */
static void
started_behind(void **state)
{
	(void)state;
	delivered_two("before", "before, too", 1);
	restart(-YEARS);
	delivered_two("behind", "behind, too", 3);
	assert_int_equal(delivered("before"), 1);
	restart(2 * DAY);
	delivered_two("two days later", "and on", 5);
	assert_int_equal(delivered("behind"), 3);
	assert_int_equal(delivered("before"), 1);
	assert_int_equal(messages(), 6);
}

/* What is removed while the clock is back stays restorable for its whole term, and no longer. */
static void
removed(void **state)
{
	struct store_session *s;
	const uint32_t one[] = {1}, two[] = {2};

	(void)state;
	for (unsigned i = 1; i <= 3; i++) {
		char id[16];

		snprintf(id, sizeof id, "message %u", i);
		assert_int_equal(delivered(id), i);
	}
	s = fix_login("p-1", "an");
	fix_create(s, "Old");
	fix_deliver("old", "p-1", "Old", "x");
	set_clock(-YEARS);
	fix_expunge(s, fix_id(s, "INBOX"), one, 1, false);
	fix_delete(s, fix_id(s, "Old"));
	set_clock(0);
	fix_expunge(s, fix_id(s, "INBOX"), two, 1, false);
	assert_int_equal(kept("INBOX"), 2);
	assert_int_equal(kept("Old"), 1);
	restart(13 * DAY);
	assert_int_equal(kept("INBOX"), 2);
	assert_int_equal(kept("Old"), 1);
	restart(15 * DAY);
	assert_int_equal(kept("INBOX"), 0);
	assert_int_equal(kept("Old"), 0);
	assert_int_equal(messages(), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(back, setup, teardown),
	    cmocka_unit_test_setup_teardown(ahead, setup, teardown),
	    cmocka_unit_test_setup_teardown(started_behind, setup, teardown),
	    cmocka_unit_test_setup_teardown(removed, setup, teardown),
	};
	char name[] = "/tmp/stored-clock.XXXXXX";
	int fd = mkstemp(name), failed;
	void *page;

	log_init("stored_clock_test", 2);
	if (fd < 0 || ftruncate(fd, sizeof *clock_page) != 0 || setenv("CLOCK_FILE", name, 1) != 0)
		return 99;
	page = mmap(NULL, sizeof *clock_page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (page == MAP_FAILED)
		return 99;
	clock_page = page;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(name);
	return failed;
}
