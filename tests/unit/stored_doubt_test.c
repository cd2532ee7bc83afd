/* stored_doubt_test.c: the backend may not know whether a batch was committed (ERR_UNKNOWN: store/backend.h). Whichever it was, and whichever batch: what
 * is asked for again is done once, and nothing that was answered is lost. Against a real congvu-stored-db (stored_doubt.c) that a "parent" starts anew. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "lib/err.h"
#include "lib/log.h"
#include "tests/unit/kept_fix.h"

enum { TRIES = 5 };

static struct loop_timer *parent;
static unsigned ends;

static void
start_if_ended(void *arg)
{
	int status;

	(void)arg;
	if (waitpid(X->run.pid, &status, WNOHANG) == X->run.pid) {
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
		ends++;
		unsetenv("STORED_DOUBT");
		assert_int_equal(stored_run_start(&X->run), 0);
	}
	loop_timer_set(parent, 10);
}

static void
again_in_doubt(unsigned nth, bool lost)
{
	char text[32];

	snprintf(text, sizeof text, "%u %s", nth, lost ? "lost" : "done");
	setenv("STORED_DOUBT", text, 1);
	fix_restart(SIGTERM, 0);
	ends = 0;
}

static int
setup(void **state)
{
	(void)state;
	setenv("STORED_BIN", "tests/unit/stored_doubt", 1);
	unsetenv("STORED_DOUBT");
	if (fix_new(NULL) != 0)
		return -1;
	parent = loop_timer_new(X->l, start_if_ended, NULL);
	loop_timer_set(parent, 10);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	loop_timer_free(parent);
	fix_free();
	return 0;
}

static void
deliver(unsigned i)
{
	char id[32];

	snprintf(id, sizeof id, "message %u", i);
	for (int n = 0; n < TRIES; n++) {
		fix_deliver(id, "p-1", "INBOX", id);
		if (X->err == 0)
			return;
	}
	fail_msg("message %u was never taken: %s", i, err_name(X->err));
}

static void
flagged(struct store_session *s, uint64_t inbox, uint32_t uid)
{
	for (int n = 0; n < TRIES; n++) {
		fix_flags(s, inbox, &uid, 1, STORE_ADD, MSG_FLAGGED, "");
		if (X->err == 0)
			return;
	}
	fail_msg("flags: %s", err_name(X->err));
}

static void
expunged(struct store_session *s, uint64_t inbox, uint32_t uid)
{
	for (int n = 0; n < TRIES; n++) {
		fix_expunge(s, inbox, &uid, 1, false);
		if (X->err == 0)
			return;
	}
	fail_msg("expunge: %s", err_name(X->err));
}

/* Deliveries, a flag, an expunge; each batch of it in doubt in turn. */
static void
each_batch(void **state)
{
	struct store_session *s;
	unsigned met = 0, rounds = 0, first = 1;
	uint64_t inbox;

	(void)state;
	deliver(0);
	s = fix_login("p-1", "an");
	inbox = fix_id(s, "INBOX");
	for (unsigned nth = 1; nth <= 6; nth++) {
		for (int lost = 0; lost < 2; lost++, rounds++) {
			const struct fix_box *box;
			uint32_t next = fix_box(s, "INBOX")->uidnext;
			unsigned before = fix_box(s, "INBOX")->messages;

			again_in_doubt(nth, lost);
			for (unsigned i = 0; i < 3; i++)
				deliver(first++);
			flagged(s, inbox, next);
			expunged(s, inbox, next + 1);
			met += ends;
			box = fix_box(s, "INBOX");
			assert_int_equal(box->messages, before + 2);
			assert_int_equal(box->uidnext, next + 3);
			fix_rows(s, inbox);
			assert_int_equal(X->n_rows, before + 2);
			assert_int_equal(X->rows[before].row.uid, next);
			assert_int_equal(X->rows[before].row.flags & MSG_FLAGGED, MSG_FLAGGED);
			assert_int_equal(X->rows[before + 1].row.uid, next + 2);
		}
	}
	assert_true(met >= rounds - 2); /* five batches or so a round: the others had theirs */
}

/* Names: an account's own batches. */
static void
names(void **state)
{
	struct store_session *s;
	unsigned met = 0;
	char name[32];

	(void)state;
	deliver(0);
	s = fix_login("p-1", "an");
	for (unsigned i = 0; i < 4; i++) {
		snprintf(name, sizeof name, "Box %u", i);
		again_in_doubt(1 + i / 2, i % 2 != 0);
		for (int n = 0; n < TRIES; n++) {
			fix_create(s, name);
			if (X->err == 0 || X->err == ERR_EXISTS)
				break;
		}
		assert_true(X->err == 0 || X->err == ERR_EXISTS);
		assert_non_null(fix_box(s, name));
		met += ends;
	}
	assert_true(met >= 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(each_batch, setup, teardown),
	    cmocka_unit_test_setup_teardown(names, setup, teardown),
	};

	log_init("stored_doubt_test", 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
