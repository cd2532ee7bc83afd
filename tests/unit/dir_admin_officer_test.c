/* dir_admin_officer_test.c: accounts of HR's officers: who gets one, its days, and what is refused to who signs in with one before anything is written. */
#include "config.h"

#include "lib/err.h"
#include "lib/log.h"

#include "tests/unit/dir_admin_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define OFFICER "cn=hr.mot,ou=officers,o=x"
#define POST "vnPositionCode=H9.1-vanthu,vnAgencyCode=H9.1,ou=agencies,o=x"

static int
officer(struct world *w, const char *who, const char *from, const char *until, enum change *c,
    char **why)
{
	const char *const codes[] = {"H9.1"};
	const struct officer_add p = {.name = "hr.mot",
	    .who = who,
	    .agencies = {codes, 1},
	    .from = from,
	    .until = until,
	    .decision = QD};
	struct buf password;
	int err;

	buf_init(&password, 64);
	err = dir_admin_officer_add(w->a, &p, &password, c, why);
	buf_wipe(&password);
	return err;
}

static struct world *
officers_world(void)
{
	struct world *w = world_new();

	ENTRY(w, "ou=officers,o=x", "ou", "officers");
	return w;
}

/* From now on it is the officer of H9.1, person 1, who writes. */
static void
sign_in(struct world *w)
{
	ENTRY(w, OFFICER, "objectClass", "vnHrOfficer", "cn", "hr.mot", "vnHrOf", "H9.1",
	    "roleOccupant", ONE, "vnValidFrom", "20200101000000Z");
	dir_admin_set_journal(w->a, NULL, "tester", "CN=hr.mot, ou=officers,o=x");
}

#define REFUSED(w, call, wanted, words)                 \
	do {                                            \
		char *before_ = world_dump(w), *after_; \
		assert_int_equal(call, wanted);         \
		after_ = world_dump(w);                 \
		assert_string_equal(before_, after_);   \
		assert_non_null(why);                   \
		if (strstr(why, words) == NULL)         \
			fail_msg("%s: %s", #call, why); \
		free(before_);                          \
		free(after_);                           \
		free(why);                              \
		why = NULL;                             \
	} while (0)

static void
test_who_is_frozen_gets_no_account(void **state)
{
	struct world *w = officers_world();
	char *why = NULL;
	enum change c;

	(void)state;
	OK(dir_admin_freeze(w->a, "2", true, QD, &c, &why));
	REFUSED(w, officer(w, "2", NULL, NULL, &c, &why), ERR_CONFLICT, "frozen");
	OK(dir_admin_freeze(w->a, "2", false, QD, &c, &why));
	OK(officer(w, "2", NULL, NULL, &c, &why));
	assert_int_equal(c, CHANGE_ADDED);
	assert_false(world_has(w, OFFICER, "pwdAccountLockedTime", NULL));
	OK(dir_admin_freeze(w->a, "2", true, QD, &c, &why));
	REFUSED(w, officer(w, "2", NULL, "2100-01-01", &c, &why), ERR_CONFLICT, "frozen");
	world_free(w);
}

static void
test_an_account_that_is_not_there(void **state)
{
	struct world *w = officers_world();
	char *why = NULL;
	enum change c;

	(void)state;
	REFUSED(w, dir_admin_officer_remove(w->a, "hr.mto", QD, &c, &why), ERR_NOTFOUND,
	    "no account of this name");
	/* an officer sees no accounts but the own one, and removes none: there or not is the same */
	sign_in(w);
	REFUSED(
	    w, dir_admin_officer_remove(w->a, "hr.mto", QD, &c, &why), ERR_DENIED, "central HR");
	REFUSED(
	    w, dir_admin_officer_remove(w->a, "hr.mot", QD, &c, &why), ERR_DENIED, "central HR");
	REFUSED(w, officer(w, "1", NULL, NULL, &c, &why), ERR_DENIED, "central HR");
	dir_admin_set_dry_run(w->a, true);
	REFUSED(
	    w, dir_admin_officer_remove(w->a, "hr.mot", QD, &c, &why), ERR_DENIED, "central HR");
	REFUSED(w, officer(w, "1", NULL, NULL, &c, &why), ERR_DENIED, "central HR");
	world_free(w);
}

static void
test_an_officer_does_not_end_herself(void **state)
{
	const struct staff_transfer away = {"H9.2", NULL, NULL, NULL, QD},
				    title = {NULL, "Phó phòng", NULL, NULL, QD};
	struct world *w = officers_world();
	char *why = NULL;
	enum change c;

	(void)state;
	sign_in(w);
	for (int dry = 1; dry >= 0; dry--) {
		dir_admin_set_dry_run(w->a, dry);
		REFUSED(w, dir_admin_freeze(w->a, "1", true, QD, &c, &why), ERR_DENIED, "your own");
		REFUSED(w, dir_admin_leave(w->a, "1", NULL, QD, &c, &why), ERR_DENIED, "your own");
		REFUSED(w, dir_admin_transfer(w->a, "1", &away, &c, &why), ERR_DENIED, "your own");
		REFUSED(
		    w, dir_admin_return(w->a, "1", "H9.2", QD, &c, &why), ERR_DENIED, "your own");
	}
	/* nor is somebody else given to an agency that is not hers, with what they had there gone */
	REFUSED(w, dir_admin_transfer(w->a, "2", &away, &c, &why), ERR_DENIED, "H9.2");
	/* what does not reach the account goes on */
	OK(dir_admin_transfer(w->a, "1", &title, &c, &why));
	assert_int_equal(c, CHANGE_CHANGED);
	OK(dir_admin_freeze(w->a, "2", true, QD, &c, &why));
	assert_true(world_has(w, TWO, "vnStatus", "suspended"));
	world_free(w);
}

static void
test_a_dry_run_knows_whose_people_they_are(void **state)
{
	const struct post_assign assign = {"H9.2-vanthu", "2", NULL, NULL, QD};
	const struct group_create group = {
	    .id = "nhom", .name = "Nhóm", .agency = "H9.2", .decision = QD};
	struct world *w = officers_world();
	char *why = NULL;
	enum change c;

	(void)state;
	sign_in(w);
	dir_admin_set_dry_run(w->a, true);
	REFUSED(w, dir_admin_freeze(w->a, "3", true, QD, &c, &why), ERR_DENIED, "H9.2");
	REFUSED(w, dir_admin_leave(w->a, "3", NULL, QD, &c, &why), ERR_DENIED, "H9.2");
	REFUSED(w, dir_admin_post_assign(w->a, &assign, &c, &why), ERR_DENIED, "H9.2");
	REFUSED(w, dir_admin_group_create(w->a, &group, &c, &why), ERR_DENIED, "H9.2");
	OK(dir_admin_freeze(w->a, "2", true, QD, &c, &why));
	assert_int_equal(c, CHANGE_CHANGED);
	assert_false(world_has(w, TWO, "vnStatus", "suspended"));
	world_free(w);
}

static void
test_an_officers_days_are_as_given_now(void **state)
{
	struct world *w = officers_world();
	char *why = NULL;
	enum change c;

	(void)state;
	OK(officer(w, "1", "2099-01-01", "2100-01-01", &c, &why));
	assert_true(world_has(w, OFFICER, "pwdStartTime", NULL));
	assert_true(world_has(w, OFFICER, "pwdEndTime", NULL));
	OK(officer(w, "1", NULL, NULL, &c, &why));
	assert_int_equal(c, CHANGE_CHANGED);
	assert_false(world_has(w, OFFICER, "pwdStartTime", NULL));
	assert_false(world_has(w, OFFICER, "pwdEndTime", NULL));
	assert_false(world_has(w, OFFICER, "vnValidTo", NULL));
	{
		struct dir_result *r = NULL;
		char now[20];
		time_t t = time(NULL);
		struct tm tm;

		strftime(now, sizeof(now), "%Y%m%d%H%M%SZ", gmtime_r(&t, &tm));
		OK(dir_admin_officers(w->a, &r, &why));
		assert_int_equal(r->n_entries, 1);
		assert_true(strcmp((const char *)dir_entry_value(&r->entries[0], "vnValidFrom").ptr,
				now) <= 0);
		dir_result_free(r);
	}
	/* what has begun goes on as it is */
	OK(officer(w, "1", NULL, NULL, &c, &why));
	assert_int_equal(c, CHANGE_NONE);
	world_free(w);
}

static void
holder(struct world *w, struct post_holder **h)
{
	static const char *const attrs[] = {"vnPositionCode", "roleOccupant", NULL};
	struct dir_result *r = NULL;
	char *why = NULL;
	size_t n = 0;

	assert_int_equal(dir_read(w->dir, POST, attrs, &r), 0);
	OK(dir_admin_post_holders(w->a, &r->entries[0], h, &n, &why));
	assert_int_equal(n, 1);
	dir_result_free(r);
}

static void
test_a_posts_days_are_as_given_now(void **state)
{
	const struct post_assign later = {"H9.1-vanthu", "2", "2099-01-01", "2100-01-01", QD},
				 now = {"H9.1-vanthu", "2", NULL, NULL, QD};
	const struct staff_second soon = {"H9.2", "2099-01-01", "2100-01-01", QD, false},
				  today = {"H9.2", NULL, "2100-01-01", QD, false};
	struct world *w = officers_world();
	struct post_holder *h = NULL;
	char *why = NULL;
	enum change c;

	(void)state;
	OK(dir_admin_post_assign(w->a, &later, &c, &why));
	holder(w, &h);
	assert_string_equal(h->state, "later");
	post_holders_free(h, 1);
	OK(dir_admin_post_assign(w->a, &now, &c, &why));
	assert_int_equal(c, CHANGE_CHANGED);
	holder(w, &h);
	assert_string_equal(h->state, "now");
	assert_string_equal(h->until, "");
	post_holders_free(h, 1);
	OK(dir_admin_post_assign(w->a, &now, &c, &why));
	assert_int_equal(c, CHANGE_NONE);
	OK(dir_admin_second(w->a, "2", &soon, &c, &why));
	OK(dir_admin_second(w->a, "2", &today, &c, &why));
	assert_int_equal(c, CHANGE_CHANGED);
	OK(dir_admin_second(w->a, "2", &today, &c, &why));
	assert_int_equal(c, CHANGE_NONE);
	world_free(w);
}

static void
test_a_delegations_days_are_as_given_now(void **state)
{
	const struct delegate_grant later = {"1", "2", "lrs", false, "2099-01-01", NULL, QD},
				    now = {"1", "2", "lrs", false, NULL, NULL, QD};
	struct world *w = officers_world();
	struct dir_result *r = NULL;
	char *why = NULL;
	enum change c;

	(void)state;
	OK(dir_admin_delegate_grant(w->a, &later, &c, &why));
	OK(dir_admin_delegate_grant(w->a, &now, &c, &why));
	assert_int_equal(c, CHANGE_CHANGED);
	OK(dir_admin_delegations(w->a, NULL, true, &r, &why));
	assert_int_equal(r->n_entries, 1);
	assert_true(strncmp((const char *)dir_entry_value(&r->entries[0], "vnValidFrom").ptr, "209",
			3) < 0);
	dir_result_free(r);
	OK(dir_admin_delegate_grant(w->a, &now, &c, &why));
	assert_int_equal(c, CHANGE_NONE);
	world_free(w);
}

static void
test_a_posts_mailbox_is_found_without_marks(void **state)
{
	const struct post_create p = {"H9.1-giamdoc", "H9.1", "Giám đốc", "gd@tinhmau.example", QD};
	static const char box[] = "vnMailboxId=h9.1-giamdoc,ou=mailboxes,o=x";
	struct world *w = officers_world();
	char *why = NULL;
	enum change c;

	(void)state;
	OK(dir_admin_post_create(w->a, &p, &c, &why));
	assert_true(world_has(w, box, "displayName", "Giám đốc (MOT)"));
	assert_true(world_has(w, box, "displayName;x-fold", "Giam doc (MOT)"));
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_who_is_frozen_gets_no_account),
	    cmocka_unit_test(test_an_account_that_is_not_there),
	    cmocka_unit_test(test_an_officer_does_not_end_herself),
	    cmocka_unit_test(test_a_dry_run_knows_whose_people_they_are),
	    cmocka_unit_test(test_an_officers_days_are_as_given_now),
	    cmocka_unit_test(test_a_posts_days_are_as_given_now),
	    cmocka_unit_test(test_a_delegations_days_are_as_given_now),
	    cmocka_unit_test(test_a_posts_mailbox_is_found_without_marks)};
	int failed;

	json_init();
	world_conf = world_conf_load();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_free(world_conf);
	return failed;
}
