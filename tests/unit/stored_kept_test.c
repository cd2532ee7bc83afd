/* stored_kept_test.c: expunged mail and deleted mailboxes stay restorable, against a real congvu-stored-db. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/err.h"
#include "lib/log.h"
#include "tests/unit/kept_fix.h"

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
	return fix_new("undelete_days = 0\n");
}

static int
setup_small(void **state)
{
	(void)state;
	return fix_new("undelete_mb = 1\nquota_mb = 2\n");
}

static int
teardown(void **state)
{
	(void)state;
	fix_free();
	return 0;
}

static void
deliver(unsigned n, const char *mailbox)
{
	char id[16], text[32];

	for (unsigned i = 1; i <= n; i++) {
		snprintf(id, sizeof id, "%.4s %u", mailbox, i);
		snprintf(text, sizeof text, "text %u", i);
		fix_deliver(id, "p-1", mailbox, text);
		assert_int_equal(X->err, 0);
	}
}

/* What is retained of a mailbox that is there; X->rows has it. */
static size_t
kept_of(const char *name)
{
	const struct fix_kept *k = fix_kept("p-1", name);

	X->n_rows = 0;
	if (k != NULL)
		fix_kept_rows("p-1", k->id, false);
	return X->n_rows;
}

/* UID EXPUNGE, EXPUNGE and CLOSE: who and when is known; undelete gives a new UID, the date, the flags without \Deleted, and is heard of. */
static void
expunged(void **state)
{
	struct store_session *s, *other;
	uint32_t two[] = {2}, all[] = {1, 2, 3, 4};
	uint64_t mb;

	(void)state;
	deliver(5, "INBOX");
	s = fix_login("p-1", "an.nguyen");
	other = fix_login("p-1", "watcher");
	mb = fix_id(s, "INBOX");
	assert_int_equal(kept_of("INBOX"), 0);
	fix_flags(s, mb, two, 1, STORE_ADD, MSG_FLAGGED | MSG_SEEN | MSG_DELETED, "");
	fix_flags(s, mb, two, 1, STORE_ADD, 0, "Urgent");
	fix_expunge(s, mb, two, 1, true);
	assert_int_equal(X->n, 1);
	assert_int_equal(kept_of("INBOX"), 1);
	assert_int_equal(X->rows[0].row.uid, 2);
	assert_string_equal(X->rows[0].by, "an.nguyen");
	assert_true(llabs((long long)(X->rows[0].at - (int64_t)time(NULL))) < 10);
	/* without UIDs: what has \Deleted */
	fix_flags(s, mb, all, 4, STORE_ADD, MSG_DELETED, "");
	fix_expunge(s, mb, NULL, 0, true);
	assert_int_equal(X->n, 3);
	assert_int_equal(kept_of("INBOX"), 4);
	assert_int_equal(fix_box(s, "INBOX")->messages, 1);
	assert_true(fix_box(s, "INBOX")->size == 12);
	assert_true(fix_kept("p-1", "INBOX")->octets == 48);
	/* kept over a crash */
	fix_restart(SIGKILL, 0);
	assert_int_equal(kept_of("INBOX"), 4);
	fix_open(other, mb);
	fix_restore("p-1", mb, false, "", 0, 1, true);
	assert_int_equal(X->err, 0);
	assert_int_equal(X->n, 1);
	assert_int_equal(X->src[0], 2);
	assert_int_equal(X->dst[0], 6);
	assert_string_equal(X->to, "INBOX");
	fix_spin(50);
	assert_int_equal(X->events, 1);
	fix_rows(s, mb);
	assert_int_equal(X->n_rows, 2);
	assert_int_equal(X->rows[1].row.uid, 6);
	assert_int_equal(X->rows[1].row.flags, MSG_SEEN | MSG_FLAGGED);
	assert_string_equal(X->rows[1].keywords, "Urgent");
	assert_int_equal(X->rows[1].row.internal_date, 5000);
	assert_int_equal(X->rows[1].row.internal_zone, 420);
	assert_int_equal(kept_of("INBOX"), 3);
	/* once more: what was restored is not there any more */
	X->rows[0] = (struct fix_row){.modseq = 12, .row = {.uid = 2}};
	fix_restore("p-1", mb, false, "", 0, 1, true);
	assert_int_equal(X->err, 0);
	assert_int_equal(X->n, 0);
	/* and it can go and come again */
	fix_expunge(s, mb, (const uint32_t[]){6}, 1, false);
	assert_int_equal(kept_of("INBOX"), 4);
	fix_restore("p-1", mb, false, "", 0, 4, true);
	assert_int_equal(X->n, 4);
	assert_int_equal(kept_of("INBOX"), 0);
	assert_int_equal(fix_box(s, "INBOX")->messages, 5);
	assert_true(fix_box(s, "INBOX")->size == 60);
	assert_int_equal(fix_box(s, "INBOX")->deleted, 0);
}

/* DELETE: nobody finds the mailbox, its mail and what was expunged from it before can be restored, once. */
static void
deleted(void **state)
{
	struct store_session *s;
	uint32_t one[] = {1};
	uint64_t mb, old;
	uint32_t uidvalidity;
	struct fix_kept k;

	(void)state;
	s = fix_login("p-1", "an.nguyen");
	fix_create(s, "Dự án");
	deliver(3, "Dự án");
	mb = old = fix_id(s, "Dự án");
	uidvalidity = fix_box(s, "Dự án")->uidvalidity;
	fix_expunge(s, mb, one, 1, false);
	fix_delete(s, mb);
	assert_int_equal(X->err, 0);
	assert_null(fix_box(s, "Dự án"));
	fix_rows(s, mb);
	assert_int_equal(X->err, ERR_NOTFOUND);
	k = *fix_kept("p-1", "Dự án");
	assert_true(k.id == mb && k.deleted_at > 0);
	assert_int_equal(k.messages, 2);
	assert_int_equal(k.kept, 1);
	assert_string_equal(k.by, "an.nguyen");
	fix_restart(SIGKILL, 0);
	fix_kept_rows("p-1", mb, true);
	assert_int_equal(X->n_rows, 2);
	assert_string_equal(X->rows[0].by, "an.nguyen");
	fix_restore("p-1", mb, true, "", 0, 2, true);
	assert_int_equal(X->err, 0);
	assert_int_equal(X->n, 2);
	assert_string_equal(X->to, "Dự án");
	assert_int_equal(fix_box(s, "Dự án")->messages, 2);
	assert_true(fix_box(s, "Dự án")->uidvalidity > uidvalidity);
	assert_true(fix_box(s, "Dự án")->id != old);
	/* the rest into another one; then there is nothing left */
	fix_kept_rows("p-1", mb, false);
	assert_int_equal(X->n_rows, 1);
	fix_restore("p-1", mb, false, "Khôi phục/An", 0, 1, true);
	assert_int_equal(X->err, 0);
	assert_int_equal(X->n, 1);
	assert_int_equal(fix_box(s, "Khôi phục/An")->messages, 1);
	fix_spin(50);
	assert_null(fix_kept("p-1", "Dự án"));
	fix_restore("p-1", mb, true, "", 0, 1, true);
	assert_int_equal(X->err, ERR_NOTFOUND);
	/* an empty one leaves nothing behind */
	fix_create(s, "Empty");
	fix_delete(s, fix_id(s, "Empty"));
	fix_kept_gone("p-1");
	assert_int_equal(X->n_kept, 0);
	/* the name may be taken meanwhile */
	fix_delete(s, fix_id(s, "Khôi phục/An"));
	fix_create(s, "Khôi phục/An");
	mb = fix_kept("p-1", "Khôi phục/An")->id;
	fix_kept_rows("p-1", mb, true);
	fix_restore("p-1", mb, true, "", 0, 1, true);
	assert_int_equal(X->n, 1);
	assert_int_equal(fix_box(s, "Khôi phục/An")->messages, 1);
	fix_kept_boxes("p-2");
	assert_int_equal(X->err, ERR_NOTFOUND); /* asking makes no account */
}

/* A move within the account loses nothing, so nothing is retained; what is restored elsewhere leaves where it was. */
static void
moved(void **state)
{
	struct store_session *s;
	uint32_t uids[] = {1, 2};
	uint64_t mb;

	(void)state;
	deliver(2, "INBOX");
	s = fix_login("p-1", "an");
	mb = fix_id(s, "INBOX");
	fix_copy(s, mb, uids, 2, fix_id(s, "Archive"), true);
	assert_int_equal(X->n, 2);
	fix_kept_boxes("p-1");
	assert_int_equal(X->n_kept, 0);
	mb = fix_id(s, "Archive");
	fix_expunge(s, mb, uids, 2, false);
	assert_int_equal(kept_of("Archive"), 2);
	fix_restore("p-1", mb, false, "inbox", 0, 2, true);
	assert_int_equal(X->n, 2);
	assert_string_equal(X->to, "INBOX");
	assert_int_equal(kept_of("Archive"), 0);
	assert_int_equal(fix_box(s, "INBOX")->messages, 2);
	fix_restore("p-1", mb, false, "a//b", 0, 1, true);
	assert_int_equal(X->err, ERR_SYNTAX);
}

/* Many are one bounded batch each: all come back, into two mailboxes. */
static void
many(void **state)
{
	struct store_session *s;
	uint64_t mb;

	(void)state;
	s = fix_login("p-1", "an");
	deliver(1, "INBOX");
	mb = fix_id(s, "INBOX");
	for (int i = 0; i < 11; i++) { /* 2,048 */
		fix_rows(s, mb);
		for (size_t k = 0; k < X->n_rows; k++)
			X->src[k] = X->rows[k].row.uid;
		fix_copy(s, mb, X->src, X->n_rows, mb, false);
		assert_int_equal(X->err, 0);
	}
	fix_expunge(s, mb, NULL, 0, false);
	assert_int_equal(X->n, 2048);
	assert_int_equal(fix_box(s, "INBOX")->messages, 0);
	assert_int_equal(kept_of("INBOX"), 2048);
	fix_restore("p-1", mb, false, "", 0, 1000, true);
	assert_int_equal(X->n, 1000);
	assert_int_equal(kept_of("INBOX"), 1048);
	fix_restore("p-1", mb, false, "Archive", 0, 1000, true);
	assert_int_equal(X->n, 1000);
	assert_int_equal(kept_of("INBOX"), 48);
	assert_int_equal(fix_box(s, "Archive")->messages, 1000);
	assert_int_equal(fix_box(s, "INBOX")->messages, 1000);
}

/* stored is killed while it restores to another mailbox: each message is there once in the end, restored or retained. */
static void
killed(void **state)
{
	struct store_session *s;
	uint64_t mb;
	size_t rounds = 0;

	(void)state;
	deliver(30, "INBOX");
	s = fix_login("p-1", "an");
	mb = fix_id(s, "INBOX");
	fix_expunge(s, mb, NULL, 0, false);
	while (kept_of("INBOX") > 0 && rounds++ < 40) {
		fix_restore("p-1", mb, false, rounds % 2 ? "Archive" : "", 0,
		    X->n_rows < 3 ? X->n_rows : 3, false);
		fix_restart(SIGKILL, 0);
		assert_int_equal(fix_box(s, "Archive")->messages + fix_box(s, "INBOX")->messages +
				     kept_of("INBOX"),
		    30);
	}
	fix_restore("p-1", mb, false, "Archive", 0, X->n_rows, true);
	assert_int_equal(X->err, 0);
	assert_int_equal(fix_box(s, "Archive")->messages + fix_box(s, "INBOX")->messages, 30);
	assert_int_equal(kept_of("INBOX"), 0);
}

static void
on_ignored(void *arg, int err, uint64_t highest, const uint32_t *x, size_t n)
{
	(void)arg;
	(void)err;
	(void)highest;
	(void)x;
	(void)n;
}

/* stored is killed while it expunges: what left the view is retained, what is retained is not in the view. */
static void
killed_expunging(void **state)
{
	struct store_session *s;
	uint64_t mb;

	(void)state;
	deliver(1, "INBOX");
	s = fix_login("p-1", "an");
	mb = fix_id(s, "INBOX");
	for (int i = 0; i < 11; i++) { /* 2,048: several batches */
		fix_rows(s, mb);
		for (size_t k = 0; k < X->n_rows; k++)
			X->src[k] = X->rows[k].row.uid;
		fix_copy(s, mb, X->src, X->n_rows, mb, false);
	}
	for (int round = 0; round < 25; round++) {
		static uint8_t seen[FIX_ROWS];
		size_t there;

		store_expunge(s, mb, NULL, 0, false, on_ignored, NULL);
		for (int i = 0; i <= round; i++)
			loop_run_once(X->l, 1);
		fix_restart(SIGKILL, 0);
		memset(seen, 0, sizeof seen);
		fix_rows(s, mb);
		assert_int_equal(X->err, 0);
		there = X->n_rows;
		for (size_t k = 0; k < X->n_rows; k++)
			seen[X->rows[k].row.uid]++;
		assert_int_equal(there + kept_of("INBOX"), 2048);
		for (size_t k = 0; k < X->n_rows; k++)
			seen[X->rows[k].row.uid]++;
		for (uint32_t uid = 1; uid <= 2048; uid++)
			assert_int_equal(seen[uid], 1);
		if (there == 0)
			break;
	}
	assert_true(kept_of("INBOX") > 0);
}

/* After undelete_days it is gone, from mailboxes and with deleted mailboxes; not a day before. */
static void
over(void **state)
{
	struct store_session *s;
	uint32_t one[] = {1};

	(void)state;
	deliver(2, "INBOX");
	s = fix_login("p-1", "an");
	fix_create(s, "Old");
	deliver(2, "Old");
	fix_expunge(s, fix_id(s, "INBOX"), one, 1, false);
	fix_delete(s, fix_id(s, "Old"));
	fix_restart(SIGTERM, 13 * 86400);
	assert_int_equal(kept_of("INBOX"), 1);
	assert_int_equal(fix_kept("p-1", "Old")->messages, 2);
	fix_restart(SIGTERM, 15 * 86400);
	fix_kept_gone("p-1");
	assert_int_equal(X->err, 0);
	assert_int_equal(X->n_kept, 0);
	fix_restart(SIGTERM, 0);
	fix_kept_boxes("p-1");
	assert_int_equal(X->n_kept, 0);
	assert_int_equal(fix_box(s, "INBOX")->messages, 1);
}

static long long
stats(const char *what)
{
	const struct fix_task *k = fix_task("stats", "{}");
	const char *at = strstr(k->status, what);

	assert_non_null(at);
	return strtoll(at + strlen(what), NULL, 10);
}

/* Of an account that nobody opens any more too. */
static void
over_unseen(void **state)
{
	struct store_session *s;
	uint32_t some[] = {1, 2, 3};

	(void)state;
	deliver(4, "INBOX");
	s = fix_login("p-1", "an");
	fix_expunge(s, fix_id(s, "INBOX"), some, 3, false);
	store_session_free(s);
	assert_int_equal(stats("\"retained\":"), 3);
	assert_int_equal(stats("\"retained_octets\":"), 36);
	fix_restart(SIGTERM, 15 * 86400);
	for (int i = 0; i < 1500 && stats("\"retained\":") > 0; i++)
		fix_spin(10);
	assert_int_equal(stats("\"retained\":"), 0);
	assert_int_equal(stats("\"messages\":"), 1);
}

static void
none(void **state)
{
	struct store_session *s;
	uint32_t one[] = {1};

	(void)state;
	deliver(2, "INBOX");
	s = fix_login("p-1", "an");
	fix_create(s, "Old");
	deliver(1, "Old");
	fix_expunge(s, fix_id(s, "INBOX"), one, 1, false);
	fix_delete(s, fix_id(s, "Old"));
	fix_kept_boxes("p-1");
	assert_int_equal(X->err, 0);
	assert_int_equal(X->n_kept, 0);
}

/* undelete_mb: nobody fills the disk by expunging; the oldest goes. The quota holds for what comes back. */
static void
bounded(void **state)
{
	static char text[100001];
	struct store_session *s;
	uint64_t mb;
	char id[16];

	(void)state;
	s = fix_login("p-1", "an");
	mb = fix_id(s, "INBOX");
	for (int i = 0; i < 14; i++) {
		memset(text, 'a' + i, sizeof text - 1);
		snprintf(id, sizeof id, "big %d", i);
		fix_deliver(id, "p-1", "INBOX", text);
		assert_int_equal(X->err, 0);
		if (i < 13)
			fix_expunge(s, mb, NULL, 0, false);
	}
	fix_restart(SIGTERM, 0); /* no trim within a minute of the last one, but for a new start */
	fix_kept_boxes("p-1");
	fix_spin(200);
	assert_int_equal(kept_of("INBOX"), 10);
	assert_int_equal(X->rows[0].row.uid, 4);
	for (int i = 14; i < 26; i++) {
		memset(text, 'a' + i, sizeof text - 1);
		snprintf(id, sizeof id, "big %d", i);
		fix_deliver(id, "p-1", "INBOX", text);
	}
	fix_restore("p-1", mb, false, "", 0, 10, true);
	assert_int_equal(X->err, ERR_FULL);
	assert_int_equal(kept_of("INBOX"), 10);
	fix_restore("p-1", mb, false, "Archive", 0, 10, true);
	assert_int_equal(X->err, ERR_FULL);
	assert_int_equal(kept_of("INBOX"), 10);
	fix_restore("p-1", mb, false, "Archive", 0, 1, true);
	assert_int_equal(X->n, 1);
	assert_int_equal(fix_box(s, "Archive")->messages, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(expunged, setup, teardown),
	    cmocka_unit_test_setup_teardown(deleted, setup, teardown),
	    cmocka_unit_test_setup_teardown(moved, setup, teardown),
	    cmocka_unit_test_setup_teardown(many, setup, teardown),
	    cmocka_unit_test_setup_teardown(killed, setup, teardown),
	    cmocka_unit_test_setup_teardown(killed_expunging, setup, teardown),
	    cmocka_unit_test_setup_teardown(over_unseen, setup, teardown),
	    cmocka_unit_test_setup_teardown(over, setup, teardown),
	    cmocka_unit_test_setup_teardown(none, setup_none, teardown),
	    cmocka_unit_test_setup_teardown(bounded, setup_small, teardown),
	};

	log_init("stored_kept_test", 2);
	log_set_level(LOG_LVL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
