/* stored_hold_test.c: a legal hold keeps the mail of an account whatever users and terms do, against a real congvu-stored-db. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/err.h"
#include "lib/log.h"
#include "tests/unit/kept_fix.h"

enum { SET = 1, RELEASE = 2, LIST = 3, ALL = 4 };
static struct fix_hold holds[20];

static int
setup(void **state)
{
	(void)state;
	return fix_new(NULL);
}

static int
setup_none(void **state)
{
	(void)state;
	return fix_new("undelete_days = 0\nundelete_mb = 1\n");
}

static int
teardown(void **state)
{
	(void)state;
	fix_free();
	return 0;
}

static void
deliver(unsigned n, const char *account, const char *mailbox)
{
	char id[32], text[32];

	for (unsigned i = 1; i <= n; i++) {
		snprintf(id, sizeof id, "%.4s%.4s %u", account, mailbox, i);
		snprintf(text, sizeof text, "text %u", i);
		fix_deliver(id, account, mailbox, text);
		assert_int_equal(X->err, 0);
	}
}

static size_t
kept_of(const char *account, const char *name)
{
	const struct fix_kept *k = fix_kept(account, name);

	return k == NULL ? 0 : k->kept + k->messages;
}

/* Expunge, delete of a mailbox, the end of undelete_days, the bound of undelete_mb: with a hold nothing goes; the user sees no difference. */
static void
kept(void **state)
{
	static char text[100001];
	struct store_session *s;
	uint32_t one[] = {1};
	char id[16];

	(void)state;
	deliver(3, "p-1", "INBOX");
	s = fix_login("p-1", "an");
	fix_create(s, "Old");
	deliver(2, "p-1", "Old");
	fix_expunge(s, fix_id(s, "INBOX"), one, 1, false);
	fix_kept_boxes("p-1");
	assert_int_equal(X->n_kept, 0); /* undelete_days = 0 */
	assert_false(X->held);
	assert_int_equal(fix_hold(SET, "p-1", 0, "12/QĐ-STP", "", holds, 20), 1);
	assert_int_equal(X->err, 0);
	assert_true(holds[0].in_force);
	one[0] = 2;
	fix_expunge(s, fix_id(s, "INBOX"), one, 1, false);
	assert_int_equal(X->n, 1);
	assert_int_equal(fix_box(s, "INBOX")->messages, 1);
	fix_delete(s, fix_id(s, "Old"));
	assert_int_equal(X->err, 0);
	assert_null(fix_box(s, "Old"));
	for (int i = 0; i < 12; i++) { /* more than undelete_mb */
		memset(text, 'a' + i, sizeof text - 1);
		snprintf(id, sizeof id, "big %d", i);
		fix_deliver(id, "p-1", "Trash", text);
		assert_int_equal(X->err, 0);
	}
	fix_expunge(s, fix_id(s, "Trash"), NULL, 0, false);
	assert_int_equal(X->n, 12);
	assert_true(fix_box(s, "Trash")->size == 0);
	assert_int_equal(kept_of("p-1", "INBOX"), 1);
	assert_true(X->held);
	fix_restart(SIGKILL, 400 * 86400);
	fix_kept_boxes("p-1");
	fix_spin(200);
	assert_int_equal(kept_of("p-1", "INBOX"), 1);
	assert_int_equal(kept_of("p-1", "Old"), 2);
	assert_int_equal(kept_of("p-1", "Trash"), 12);
	fix_restart(SIGTERM, 0);
	assert_int_equal(kept_of("p-1", "Trash"), 12);
	/* the end: what nothing else keeps goes; the record stays */
	assert_int_equal(fix_hold(RELEASE, "p-1", 0, "15/QĐ-STP", "", holds, 20), 1);
	assert_int_equal(X->err, 0);
	assert_false(holds[0].in_force);
	fix_kept_gone("p-1");
	assert_int_equal(X->n_kept, 0);
	fix_restart(SIGKILL, 0);
	assert_int_equal(fix_hold(LIST, "p-1", 0, "", "", holds, 20), 1);
	assert_string_equal(holds[0].decision, "12/QĐ-STP");
	assert_string_equal(holds[0].release_decision, "15/QĐ-STP");
	assert_string_equal(holds[0].released_by, "officer");
	assert_true(holds[0].released_at >= holds[0].at);
	assert_int_equal(fix_box(s, "INBOX")->messages, 1);
}

/* Out of a held account a move leaves a retained copy: the other account's owner could expunge it for good. */
static void
moved_out(void **state)
{
	struct store_session *s;
	uint32_t uids[] = {1, 2};
	uint64_t there = 0, mb;

	(void)state;
	deliver(2, "p-1", "INBOX");
	deliver(1, "f-1", "INBOX");
	s = fix_login_share("p-1", "an", "f-1");
	mb = fix_id(s, "INBOX");
	for (size_t i = 0; i < X->n_boxes; i++)
		if (strcmp(X->boxes[i].name, "INBOX") == 0 && X->boxes[i].id != mb)
			there = X->boxes[i].id;
	assert_true(there != 0);
	fix_hold(SET, "p-1", 0, "1/QĐ", "", holds, 20);
	fix_copy(s, mb, uids, 1, there, true);
	assert_int_equal(X->n, 1);
	assert_int_equal(kept_of("p-1", "INBOX"), 1);
	fix_copy(s, mb, uids + 1, 1, fix_id(s, "Archive"), true); /* within: it lives on here */
	assert_int_equal(X->n, 1);
	assert_int_equal(kept_of("p-1", "INBOX"), 1);
	/* the functional mailbox itself is not held */
	assert_null(fix_kept("f-1", "INBOX"));
	assert_false(X->held);
}

/* Terms, several holds at once, what is refused. */
static void
terms(void **state)
{
	int64_t now = (int64_t)time(NULL);

	(void)state;
	deliver(1, "p-1", "INBOX");
	fix_hold(SET, "p-1", 0, "", "", holds, 20);
	assert_int_equal(X->err, ERR_SYNTAX);
	fix_hold(RELEASE, "p-1", 0, "3/QĐ", "", holds, 20);
	assert_int_equal(X->err, ERR_NOTFOUND);
	fix_hold(RELEASE, "p-9", 0, "3/QĐ", "", holds, 20);
	assert_int_equal(X->err, ERR_NOTFOUND);
	fix_hold(SET, "p-1", now + 86400, "1/QĐ", "", holds, 20);
	assert_int_equal(fix_hold(SET, "p-1", 0, "2/QĐ", "", holds, 20), 2);
	assert_true(holds[0].in_force && holds[1].in_force && holds[1].number == 2);
	/* one ends: the other holds on */
	assert_int_equal(fix_hold(RELEASE, "p-1", 0, "4/QĐ", "2/QĐ", holds, 20), 2);
	assert_true(holds[0].in_force && !holds[1].in_force);
	fix_kept_boxes("p-1");
	assert_true(X->held);
	fix_restart(SIGTERM, 2 * 86400);
	fix_kept_boxes("p-1");
	assert_false(X->held);
	fix_restart(SIGTERM, 0);
	/* who never had mail can be held; all are named */
	fix_hold(SET, "p-77", 0, "5/QĐ", "", holds, 20);
	assert_int_equal(X->err, 0);
	assert_int_equal(fix_hold(ALL, "", 0, "", "", holds, 20), 3);
	assert_string_equal(holds[0].account, "p-1");
	assert_string_equal(holds[2].account, "p-77");
	assert_string_equal(holds[2].reason, "why");
	assert_string_equal(X->to, "");
	assert_int_equal(fix_hold(ALL, "p-1", 0, "", "", holds, 20), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(kept, setup_none, teardown),
	    cmocka_unit_test_setup_teardown(moved_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(terms, setup, teardown),
	};

	log_init("stored_hold_test", 2);
	log_set_level(LOG_LVL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
