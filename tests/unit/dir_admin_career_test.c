/* dir_admin_career_test.c: what becomes of somebody who is transferred, frozen, or leaves, and of all that they had: what ends, what stays, and that each of it is told. */
#include "config.h"

#include "directory/assignment.h"
#include "lib/err.h"
#include "lib/log.h"

#include "tests/unit/dir_admin_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define POST_ONE "vnPositionCode=H9.1-vanthu,vnAgencyCode=H9.1,ou=agencies,o=x"
#define POST_TWO "vnPositionCode=H9.2-vanthu,vnAgencyCode=H9.2,ou=agencies,o=x"
#define GROUP "cn=ban,ou=groups,o=x"

static void
test_transfer(void **state)
{
	const struct staff_transfer p = {
	    "H9.2", "Chuyên viên", "clerk", "binh.moi@tinhmau.example", QD};
	struct world *w = world_new();
	enum change c;
	char *why = NULL;

	(void)state;
	OK(dir_admin_transfer(w->a, "1", &p, &c, &why));
	assert_true(world_has(w, ONE, "vnAgencyRef", "H9.2"));
	assert_true(world_has(w, ONE, "displayName", "Trần Văn Bình (HAI)"));
	assert_true(world_has(w, ONE, "displayName;x-fold", "Tran Van Binh (HAI)"));
	assert_true(world_has(w, ONE, "mail", "binh.moi@tinhmau.example"));
	assert_true(world_has(w, ONE, "vnMailAlias", "binhtv@tinhmau.example"));
	assert_true(world_has(w, ONE, "vnAddressHistory", NULL));
	assert_false(world_has(w, ONE, "vnAssignment", "primary;H9.1;;20200101;;1/QĐ"));
	assert_true(world_has(w, "vnPositionCode=H9.2-vanthu,vnAgencyCode=H9.2,ou=agencies,o=x",
	    "roleOccupant", ONE));
	/* the group was the old agency's: nobody is left in it */
	assert_true(world_has(w, "cn=ban,ou=groups,o=x", "member", "cn=nobody"));
	assert_false(world_has(w, "cn=ban,ou=groups,o=x", "member", ONE));
	world_free(w);
}

static void
test_a_clerk_goes_elsewhere_in_a_role(void **state)
{
	const struct staff_transfer first = {NULL, NULL, "clerk", NULL, QD},
				    unsaid = {"H9.2", NULL, NULL, NULL, QD},
				    as_staff = {"H9.2", NULL, "staff", NULL, QD},
				    title = {NULL, "Văn thư", NULL, NULL, QD};
	static const char post[] = "vnPositionCode=H9.2-vanthu,vnAgencyCode=H9.2,ou=agencies,o=x";
	struct world *w = world_new();
	char *why = NULL, *before, *after;
	enum change c;

	(void)state;
	OK(dir_admin_transfer(w->a, "1", &first, &c, &why));
	OK(dir_admin_transfer(w->a, "1", &title, &c, &why)); /* the agency stays */
	before = world_dump(w);
	assert_int_equal(dir_admin_transfer(w->a, "1", &unsaid, &c, &why), ERR_SYNTAX);
	assert_non_null(strstr(why, "--role"));
	after = world_dump(w);
	assert_string_equal(before, after);
	free(why);
	why = NULL;
	OK(dir_admin_transfer(w->a, "1", &as_staff, &c, &why));
	assert_false(world_has(w, post, "roleOccupant", ONE));
	assert_true(world_has(w, ONE, "vnAgencyRef", "H9.2"));
	free(before);
	free(after);
	world_free(w);
}

static void
test_nothing_begins_that_is_over(void **state)
{
	const struct staff_second second = {"H9.2", NULL, "2021-05-01", QD, false};
	const struct post_assign assign = {"H9.1-vanthu", "3", "2020-02-01", "2021-01-01", QD};
	const struct delegate_grant grant = {"1", "2", "lrs", false, NULL, "2021-01-01", QD};
	struct world *w = world_new();
	char *why = NULL, *before = world_dump(w), *after;
	enum change c;

	(void)state;
	assert_int_equal(dir_admin_second(w->a, "1", &second, &c, &why), ERR_SYNTAX);
	assert_non_null(strstr(why, "2021-05-01 is past"));
	free(why);
	why = NULL;
	assert_int_equal(dir_admin_post_assign(w->a, &assign, &c, &why), ERR_SYNTAX);
	assert_non_null(strstr(why, "2021-01-01 is past"));
	free(why);
	why = NULL;
	assert_int_equal(dir_admin_delegate_grant(w->a, &grant, &c, &why), ERR_SYNTAX);
	assert_non_null(strstr(why, "2021-01-01 is past"));
	free(why);
	after = world_dump(w);
	assert_string_equal(before, after);
	free(before);
	free(after);
	world_free(w);
}

static void
test_leave_ends_everything(void **state)
{
	struct world *w = world_new();
	const struct delegate_grant g = {"dangvh", "binhtv", "lrs", true, NULL, "2100-01-01", QD};
	const struct post_assign p = {"H9.1-vanthu", "1", NULL, NULL, QD};
	struct dir_result *r = NULL;
	enum change c;
	char *why = NULL;

	(void)state;
	OK(dir_admin_delegate_grant(w->a, &g, &c, &why));
	OK(dir_admin_post_assign(w->a, &p, &c, &why));
	OK(dir_admin_alias(w->a, "1", "tvb@tinhmau.example", true, QD, &c, &why));
	OK(dir_admin_leave(w->a, "binhtv@tinhmau.example", NULL, QD, &c, &why));
	assert_true(world_has(w, ONE, "vnStatus", "closed"));
	assert_true(world_has(w, ONE, "vnEpoch", "2"));
	assert_false(world_has(w, ONE, "mail", NULL));
	assert_false(world_has(w, ONE, "vnMailAlias", NULL));
	assert_false(world_has(w, "vnPositionCode=H9.1-vanthu,vnAgencyCode=H9.1,ou=agencies,o=x",
	    "roleOccupant", NULL));
	assert_false(world_has(w, "cn=ban,ou=groups,o=x", "member", ONE));
	OK(dir_admin_delegations(w->a, NULL, false, &r, &why));
	assert_int_equal(r->n_entries, 0);
	dir_result_free(r);
	/* nobody else gets an address of theirs; the id is not hired again */
	FAILS(dir_admin_alias(w->a, "3", "binhtv@tinhmau.example", true, QD, &c, &why), ERR_EXISTS);
	FAILS(dir_admin_alias(w->a, "3", "tvb@tinhmau.example", true, QD, &c, &why), ERR_EXISTS);
	FAILS(dir_admin_freeze(w->a, "1", true, QD, &c, &why), ERR_GONE);
	world_free(w);
}

/* Given again the same hiring finds the same person, wherever they have gone since. */
static void
test_hired_once(void **state)
{
	const struct staff_transfer t = {"H9.2", "Trưởng phòng", "head", NULL, "16/QĐ-UBND"};
	struct staff_hire p = {.name = "Đỗ Thị Một Lần",
	    .agency = "H9.1",
	    .title = "Văn thư",
	    .role = "clerk",
	    .decision = "2; 3/QĐ-UBND"};
	struct world *w = world_new();
	struct staff_hired h = {0}, again = {0};
	enum change c;
	char *why = NULL, *id, *before, *after;

	(void)state;
	OK(dir_admin_hire(w->a, &p, &h, &why));
	assert_int_equal(h.change, CHANGE_ADDED);
	id = xstrdup(h.id);
	staff_hired_done(&h);
	OK(dir_admin_transfer(w->a, id, &t, &c, &why));
	before = world_dump(w);
	OK(dir_admin_hire(w->a, &p, &again, &why));
	assert_string_equal(again.id, id);
	assert_int_equal(again.change, CHANGE_NONE);
	staff_hired_done(&again);
	p.id = id; /* by the id too */
	OK(dir_admin_hire(w->a, &p, &again, &why));
	assert_int_equal(again.change, CHANGE_NONE);
	staff_hired_done(&again);
	p.id = NULL;
	after = world_dump(w);
	assert_string_equal(before, after);
	free(before);
	free(after);
	/* who has left is not hired by it once more, a namesake by another decision or with an id is */
	OK(dir_admin_leave(w->a, id, NULL, QD, &c, &why));
	assert_int_equal(dir_admin_hire(w->a, &p, &again, &why), ERR_EXISTS);
	assert_non_null(strstr(why, "has left since"));
	free(why);
	why = NULL;
	p.id = "77";
	OK(dir_admin_hire(w->a, &p, &again, &why));
	assert_int_equal(again.change, CHANGE_ADDED);
	staff_hired_done(&again);
	p.id = NULL;
	p.decision = QD;
	OK(dir_admin_hire(w->a, &p, &again, &why));
	assert_int_equal(again.change, CHANGE_ADDED);
	assert_string_not_equal(again.id, id);
	staff_hired_done(&again);
	free(id);
	world_free(w);
}

static void
test_reading_after_leave(void **state)
{
	struct world *w = world_new();
	struct dir_result *r = NULL;
	enum change c;
	char *why = NULL, *before, *after;

	(void)state;
	before = world_dump(w);
	FAILS(dir_admin_leave(w->a, "1", "2020-01-01", QD, &c, &why), ERR_SYNTAX);
	FAILS(dir_admin_leave(w->a, "1", "mai", QD, &c, &why), ERR_SYNTAX);
	after = world_dump(w);
	assert_string_equal(before, after);
	free(before);
	free(after);
	OK(dir_admin_leave(w->a, "1", "2099-06-30", QD, &c, &why));
	assert_int_equal(c, CHANGE_CHANGED);
	assert_true(world_has(w, ONE, "vnStatus", "closed"));
	assert_true(world_has(w, ONE, "vnEpoch", "2"));
	assert_false(world_has(w, ONE, "mail", NULL));
	/* the last day is one of reading: the first moment behind it, in UTC */
	OK(dir_admin_staff_show(w->a, "1", &r, &why));
	assert_int_equal(assignment_time(dir_entry_value(&r->entries[0], "vnReadUntil")),
	    assignment_time(slice_str("20990701")));
	dir_result_free(r);
	/* said again without a day nothing changes; a later day opens no session, a nearer one ends them */
	OK(dir_admin_leave(w->a, "1", NULL, QD, &c, &why));
	assert_int_equal(c, CHANGE_NONE);
	OK(dir_admin_leave(w->a, "1", "2099-12-31", QD, &c, &why));
	assert_int_equal(c, CHANGE_CHANGED);
	assert_true(world_has(w, ONE, "vnEpoch", "2"));
	OK(dir_admin_leave(w->a, "1", "2098-12-31", QD, &c, &why));
	assert_true(world_has(w, ONE, "vnEpoch", "3"));
	OK(dir_admin_leave(w->a, "1", "", QD, &c, &why));
	assert_false(world_has(w, ONE, "vnReadUntil", NULL));
	assert_true(world_has(w, ONE, "vnEpoch", "4"));
	OK(dir_admin_leave(w->a, "1", "", QD, &c, &why));
	assert_int_equal(c, CHANGE_NONE);
	/* without a word, leave_read_days: none */
	OK(dir_admin_leave(w->a, "2", NULL, QD, &c, &why));
	assert_false(world_has(w, TWO, "vnReadUntil", NULL));
	world_free(w);
}

/* leave_read_days is for who could read: what a freeze has shut opens by word alone. */
static void
test_who_is_frozen_leaves(void **state)
{
	char path[] = "/tmp/dir_admin_careerXXXXXX", *why = NULL;
	struct conf *days = NULL;
	struct world *w = world_new();
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");
	const struct json *j;
	enum change c;

	(void)state;
	assert_non_null(f);
	fprintf(f, "domains = {\"tinhmau.example\"}\nldap_base = \"o=x\"\nleave_read_days = 30\n");
	fclose(f);
	if (conf_load(path, &days, &why) != 0)
		fail_msg("%s", why);
	unlink(path);
	dir_admin_free(w->a);
	w->a = dir_admin_new(days, w->dir);
	OK(dir_admin_freeze(w->a, "1", true, QD, &c, &why));
	OK(dir_admin_leave(w->a, "1", NULL, QD, &c, &why));
	assert_true(world_has(w, ONE, "vnStatus", "closed"));
	assert_false(world_has(w, ONE, "vnReadUntil", NULL));
	assert_int_equal(json_len(dir_admin_effects(w->a)), 1); /* the group alone */
	OK(dir_admin_leave(w->a, "2", NULL, QD, &c, &why));
	assert_true(world_has(w, TWO, "vnReadUntil", NULL));
	assert_int_equal(json_len(dir_admin_effects(w->a)), 1);
	j = json_at(dir_admin_effects(w->a), 0);
	assert_string_equal(json_cstr(json_get(j, "what")), "reading");
	assert_true(world_has(w, TWO, "vnReadUntil", json_cstr(json_get(j, "until"))));
	OK(dir_admin_freeze(w->a, "3", true, QD, &c, &why));
	OK(dir_admin_leave(w->a, "3", "2099-06-30", QD, &c, &why));
	assert_true(world_has(w, THREE, "vnReadUntil", NULL));
	world_free(w);
	conf_free(days);
}

/* ---- groups, agencies, posts: what is there, and what is given again ---- */

static const char *const of_one[] = {"H9.1"}, *const of_two[] = {"H9.2"},
			 *const clerks[] = {"clerk"}, *const bosses[] = {"boss"},
			 *const inside[] = {"inside"}, *const nowhere[] = {"H9.9"},
			 *const nobody[] = {"nguoi-trong-nha"};

static void
test_a_group_given_again(void **state)
{
	static const char dn[] = "cn=lop,ou=groups,o=x";
	const struct group_create p = {.id = "lop",
	    .name = "Lớp",
	    .agency = "H9.1",
	    .decision = QD,
	    .may_send = {inside, 1},
	    .agencies = {of_one, 1},
	    .roles = {clerks, 1}};
	struct group_create q = p;
	struct world *w = world_new();
	char *why = NULL, *before, *after;
	enum change c;

	(void)state;
	OK(dir_admin_group_create(w->a, &p, &c, &why));
	OK(dir_admin_group_create(w->a, &p, &c, &why));
	assert_int_equal(c, CHANGE_NONE);
	/* another one is not that one */
	before = world_dump(w);
	q.agencies.v = of_two;
	FAILS(dir_admin_group_create(w->a, &q, &c, &why), ERR_EXISTS);
	q = p;
	q.roles.n = 0;
	FAILS(dir_admin_group_create(w->a, &q, &c, &why), ERR_EXISTS);
	q = p;
	q.may_send.n = 0;
	FAILS(dir_admin_group_create(w->a, &q, &c, &why), ERR_EXISTS);
	q = p;
	q.agency = "H9.2";
	FAILS(dir_admin_group_create(w->a, &q, &c, &why), ERR_EXISTS);
	/* nor is what no rule ever finds */
	q = p;
	q.id = "khac";
	q.agencies.v = nowhere;
	FAILS(dir_admin_group_create(w->a, &q, &c, &why), ERR_NOTFOUND);
	q.agencies = p.agencies;
	q.roles.v = bosses;
	FAILS(dir_admin_group_create(w->a, &q, &c, &why), ERR_SYNTAX);
	q.roles = p.roles;
	q.kinds = (struct str_list){bosses, 1};
	FAILS(dir_admin_group_create(w->a, &q, &c, &why), ERR_SYNTAX);
	q.kinds.n = 0;
	q.may_send.v = nobody;
	FAILS(dir_admin_group_create(w->a, &q, &c, &why), ERR_SYNTAX);
	after = world_dump(w);
	assert_string_equal(before, after);
	free(before);
	free(after);
	/* deleted, it comes again as it is given, and nothing is left of what it was */
	OK(dir_admin_group_delete(w->a, "lop", QD, &c, &why));
	q = (struct group_create){
	    .id = "lop", .name = "Lớp mới", .decision = QD, .agencies = {of_two, 1}};
	OK(dir_admin_group_create(w->a, &q, &c, &why));
	assert_true(world_has(w, dn, "vnStatus", "active"));
	assert_false(world_has(w, dn, "vnValidTo", NULL));
	assert_true(world_has(w, dn, "displayName", "Lớp mới"));
	assert_true(world_has(w, dn, "vnMemberAgency", "H9.2"));
	assert_false(world_has(w, dn, "vnMemberAgency", "H9.1"));
	assert_false(world_has(w, dn, "vnMemberRole", NULL));
	assert_false(world_has(w, dn, "vnMaySend", NULL));
	assert_false(world_has(w, dn, "vnAgencyRef", NULL));
	OK(dir_admin_group_create(w->a, &q, &c, &why));
	assert_int_equal(c, CHANGE_NONE);
	world_free(w);
}

static void
test_an_abbreviation_is_one_agencys(void **state)
{
	struct agency_add p = {
	    .code = "H9.3", .name = "Sở Ba", .abbrev = "HAI", .kind = "dept", .decision = QD};
	struct world *w = world_new();
	char *why = NULL;
	enum change c;

	(void)state;
	FAILS(dir_admin_agency_add(w->a, &p, &c, &why), ERR_EXISTS);
	p.abbrev = "S BA";
	FAILS(dir_admin_agency_add(w->a, &p, &c, &why), ERR_SYNTAX);
	p.abbrev = "SBA";
	OK(dir_admin_agency_add(w->a, &p, &c, &why));
	FAILS(dir_admin_agency_rename(w->a, "H9.3", NULL, "MOT", QD, &c, &why), ERR_EXISTS);
	OK(dir_admin_agency_rename(w->a, "H9.3", "Sở Thứ Ba", "SBA", QD, &c, &why));
	/* a closed one has none any more */
	OK(dir_admin_agency_close(w->a, "H9.3", NULL, false, QD, &c, &why));
	OK(dir_admin_agency_rename(w->a, "H9.2", NULL, "SBA", QD, &c, &why));
	world_free(w);
}

static void
test_what_nobody_opens_is_closed(void **state)
{
	static const char post[] = "vnPositionCode=H9.1-gd,vnAgencyCode=H9.1,ou=agencies,o=x",
			  box[] = "vnMailboxId=h9.1-gd,ou=mailboxes,o=x",
			  clerks_box[] = "vnMailboxId=HAI,ou=mailboxes,o=x";
	const struct post_create made = {"H9.1-gd", "H9.1", "Giám đốc", "gd@tinhmau.example", QD};
	const struct staff_transfer away = {"H9.1", NULL, NULL, NULL, QD};
	const struct delegate_grant grant_it = {"gd@tinhmau.example", "1", "lrs", false, NULL, NULL,
					QD},
				    clerk = {"vt.HAI@tinhmau.example", "1", "lrs", false, NULL,
					NULL, QD};
	struct world *w = world_new();
	char *why = NULL;
	enum change c;

	(void)state;
	/* a mailbox that somebody opens by a delegation goes on; then it is closed by the same command */
	OK(dir_admin_post_create(w->a, &made, &c, &why));
	OK(dir_admin_delegate_grant(w->a, &grant_it, &c, &why));
	OK(dir_admin_post_close(w->a, "H9.1-gd", QD, &c, &why));
	assert_true(world_has(w, post, "vnStatus", "closed"));
	assert_true(world_has(w, box, "vnStatus", "active"));
	OK(dir_admin_delegate_revoke(w->a, "gd@tinhmau.example", "1", QD, &c, &why));
	OK(dir_admin_post_close(w->a, "H9.1-gd", QD, &c, &why));
	assert_true(world_has(w, box, "vnStatus", "closed"));
	assert_true(world_has(w, box, "mail", "gd@tinhmau.example")); /* nobody else's */
	OK(dir_admin_post_close(w->a, "H9.1-gd", QD, &c, &why));
	assert_int_equal(c, CHANGE_NONE);
	/* an agency with its mailbox and its clerks' post */
	OK(dir_admin_transfer(w->a, "3", &away, &c, &why));
	OK(dir_admin_delegate_grant(w->a, &clerk, &c, &why));
	FAILS(dir_admin_agency_close(w->a, "H9.2", NULL, false, QD, &c, &why), ERR_CONFLICT);
	OK(dir_admin_delegate_revoke(w->a, "vt.HAI@tinhmau.example", "1", QD, &c, &why));
	OK(dir_admin_agency_close(w->a, "H9.2", NULL, false, QD, &c, &why));
	assert_true(world_has(w, clerks_box, "vnStatus", "closed"));
	assert_true(world_has(w, "vnPositionCode=H9.2-vanthu,vnAgencyCode=H9.2,ou=agencies,o=x",
	    "vnStatus", "closed"));
	assert_true(world_has(w, "vnAgencyCode=H9.2,ou=agencies,o=x", "vnStatus", "closed"));
	world_free(w);
}

static void
test_a_second_place_is_one(void **state)
{
	const struct staff_second open = {"H9.2", "2020-01-06", NULL, QD, true},
				  dated = {"H9.2", "2020-01-06", "2099-06-30", QD, false};
	struct world *w = world_new();
	struct dir_result *r = NULL;
	char *why = NULL;
	enum change c;

	(void)state;
	OK(dir_admin_second(w->a, "1", &open, &c, &why));
	OK(dir_admin_second(w->a, "1", &dated, &c, &why));
	assert_int_equal(c, CHANGE_CHANGED);
	OK(dir_admin_staff_show(w->a, "1", &r, &why));
	assert_int_equal(dir_entry_attr(&r->entries[0], "vnAssignment")->n_values, 2);
	assert_non_null(
	    strstr(dir_value_text(dir_entry_attr(&r->entries[0], "vnAssignment")->values[1]),
		"seconded;H9.2;"));
	dir_result_free(r);
	OK(dir_admin_second(w->a, "1", &dated, &c, &why));
	assert_int_equal(c, CHANGE_NONE);
	world_free(w);
}

/* ---- what ends and what stays ---- */

static const struct json *
effect(struct world *w, const char *what, const char *name)
{
	const struct json *list = dir_admin_effects(w->a);

	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *e = json_at(list, i);

		if (strcmp(json_cstr(json_get(e, "what")), what) == 0 &&
		    strstr(json_cstr(json_get(e, "name")), name) != NULL)
			return e;
	}
	return NULL;
}

static const char *
fate(struct world *w, const char *what, const char *name)
{
	const struct json *e = effect(w, what, name);

	return e == NULL ? "not told" : json_cstr(json_get(e, "fate"));
}

static void
grant(struct world *w, const char *from, const char *to, const char *since, const char *until)
{
	const struct delegate_grant g = {from, to, "lrs", true, since, until, QD};
	char *why = NULL;
	enum change c;

	OK(dir_admin_delegate_grant(w->a, &g, &c, &why));
}

/* Person 1 of H9.1: holds the clerks' post there and has delegations to and from people of both agencies. */
static struct world *
world_of_one(void)
{
	const struct post_assign own = {"H9.1-vanthu", "1", NULL, "2100-01-01", QD},
				 there = {"H9.2-gd", "1", NULL, NULL, QD};
	const struct post_create made = {"H9.2-gd", "H9.2", "Giám đốc", "gd@tinhmau.example", QD};
	struct world *w = world_new();
	char *why = NULL;
	enum change c;

	ENTRY(w, "cn=tinh,ou=groups,o=x", "objectClass", "vnMailGroup", "cn", "tinh", "mail",
	    "tinh@tinhmau.example", "displayName", "Tỉnh", "vnStatus", "active", "member", ONE);
	OK(dir_admin_post_create(w->a, &made, &c, &why));
	OK(dir_admin_post_assign(w->a, &own, &c, &why));
	OK(dir_admin_post_assign(w->a, &there, &c, &why));
	grant(w, "1", "2", NULL, "2100-01-01");         /* to a colleague */
	grant(w, "1", "3", NULL, NULL);                 /* to somebody of the other agency */
	grant(w, "2", "1", NULL, NULL);                 /* from a colleague */
	grant(w, "3", "1", "2090-01-01", "2100-01-01"); /* of the other agency, to come */
	return w;
}

static size_t
open_delegations(struct world *w, const char *filter)
{
	struct dir_result *r = NULL;
	size_t n;

	assert_int_equal(dir_search(w->dir, NULL, filter, NULL, 0, &r), 0);
	n = r->n_entries;
	dir_result_free(r);
	return n;
}

static void
assert_transfer_told(struct world *w)
{
	assert_string_equal(fate(w, "post", "H9.1-vanthu"), "ends");
	assert_true(json_bool(json_get(effect(w, "post", "H9.1-vanthu"), "alone")));
	assert_string_equal(fate(w, "mailbox", "MOT"), "ends");
	assert_string_equal(
	    json_cstr(json_get(effect(w, "mailbox", "MOT"), "through")), "H9.1-vanthu");
	assert_string_equal(fate(w, "post", "H9.2-gd"), "stays");
	assert_string_equal(fate(w, "mailbox", "h9.2-gd"), "stays");
	assert_string_equal(fate(w, "group", "ban"), "ends");
	assert_string_equal(fate(w, "group", "tinh"), "stays");
	assert_string_equal(fate(w, "delegation-given", "Lê Thị Hoa"), "ends");
	assert_string_equal(
	    json_cstr(json_get(effect(w, "delegation-given", "Lê Thị Hoa"), "rights")), "lrs send");
	assert_string_equal(fate(w, "delegation-given", "Vũ Hải Đăng"), "stays");
	assert_string_equal(fate(w, "delegation-taken", "Lê Thị Hoa"), "ends");
	assert_string_equal(fate(w, "delegation-taken", "Vũ Hải Đăng"), "stays");
	assert_int_equal(json_len(dir_admin_effects(w->a)), 10);
}

static void
test_a_transfer_ends_what_stood_on_the_old_place(void **state)
{
	const struct staff_transfer p = {"H9.2", NULL, NULL, NULL, QD};
	struct world *w = world_of_one();
	char *why = NULL, *before = world_dump(w), *after;
	enum change c;

	(void)state;
	dir_admin_set_dry_run(w->a, true);
	OK(dir_admin_transfer(w->a, "1", &p, &c, &why));
	assert_transfer_told(w);
	after = world_dump(w);
	assert_string_equal(before, after);
	dir_admin_set_dry_run(w->a, false);
	OK(dir_admin_transfer(w->a, "1", &p, &c, &why));
	assert_transfer_told(w);
	assert_int_equal(open_delegations(w, "(&(objectClass=vnDelegation)(vnStatus=active))"), 2);
	assert_int_equal(open_delegations(w, "(&(vnStatus=closed)(vnDelegateTo=" TWO "))"), 1);
	assert_int_equal(open_delegations(w, "(&(vnStatus=closed)(vnDelegator=" TWO "))"), 1);
	assert_false(world_has(w, POST_ONE, "roleOccupant", NULL));
	free(before);
	free(after);
	world_free(w);
}

static bool
holds(struct world *w, const char *mail)
{
	struct dir_result *r = NULL, *held = NULL;
	bool found = false;
	char *why = NULL;

	OK(dir_admin_staff_show(w->a, "1", &r, &why));
	OK(dir_admin_held(w->a, &r->entries[0], false, &held, &why));
	for (size_t i = 0; i < held->n_entries; i++)
		found = found || dir_entry_has_value(&held->entries[i], "mail", slice_str(mail));
	dir_result_free(held);
	dir_result_free(r);
	return found;
}

/* A post that was held beside the own place, at the agency that becomes it, is not lost on the way there; the clerks' post goes by the role. */
static void
test_a_post_at_the_new_agency_goes_on(void **state)
{
	const struct staff_transfer there = {"H9.2", NULL, NULL, NULL, QD},
				    clerk = {NULL, NULL, "clerk", NULL, QD},
				    staff = {NULL, NULL, "staff", NULL, QD};
	struct world *w = world_of_one();
	char *why = NULL;
	enum change c;

	(void)state;
	assert_true(holds(w, "vt.MOT@tinhmau.example"));
	OK(dir_admin_transfer(w->a, "1", &there, &c, &why));
	assert_true(holds(w, "gd@tinhmau.example"));
	assert_false(holds(w, "vt.MOT@tinhmau.example"));
	assert_false(holds(w, "vt.HAI@tinhmau.example"));
	OK(dir_admin_transfer(w->a, "1", &clerk, &c, &why));
	assert_string_equal(fate(w, "post", "H9.2-vanthu"), "begins");
	assert_string_equal(fate(w, "mailbox", "Sở Hai"), "begins");
	assert_string_equal(fate(w, "post", "H9.2-gd"), "stays");
	assert_true(holds(w, "vt.HAI@tinhmau.example"));
	OK(dir_admin_transfer(w->a, "1", &staff, &c, &why));
	assert_string_equal(fate(w, "post", "H9.2-vanthu"), "ends");
	assert_false(holds(w, "vt.HAI@tinhmau.example"));
	assert_true(holds(w, "gd@tinhmau.example"));
	world_free(w);
}

static void
test_a_transfer_that_was_cut_off(void **state)
{
	const struct staff_transfer p = {"H9.2", NULL, NULL, NULL, QD};
	int cut = 0, err;

	(void)state;
	do {
		struct world *w = world_of_one();
		char *why = NULL;
		enum change c;

		dir_fake_writes(w->dir, cut++);
		err = dir_admin_transfer(w->a, "1", &p, &c, &why);
		free(why);
		why = NULL;
		dir_fake_writes(w->dir, -1);
		world_admin(w);
		OK(dir_admin_transfer(w->a, "1", &p, &c, &why));
		assert_int_equal(
		    open_delegations(w, "(&(objectClass=vnDelegation)(vnStatus=active))"), 2);
		assert_false(world_has(w, POST_ONE, "roleOccupant", NULL));
		assert_true(world_has(w, ONE, "vnAgencyRef", "H9.2"));
		world_free(w);
	} while (err != 0 && cut < 50);
	assert_true(cut > 5);
}

static void
test_a_freeze_ends_nothing_and_says_what_goes_on(void **state)
{
	struct world *w = world_of_one();
	char *why = NULL;
	enum change c;

	(void)state;
	OK(dir_admin_freeze(w->a, "1", true, QD, &c, &why));
	assert_string_equal(fate(w, "post", "H9.1-vanthu"), "stays");
	assert_string_equal(fate(w, "mailbox", "MOT"), "stays");
	assert_string_equal(fate(w, "delegation-given", "Lê Thị Hoa"), "stays");
	assert_string_equal(fate(w, "delegation-taken", "Vũ Hải Đăng"), "stays");
	assert_int_equal(open_delegations(w, "(&(objectClass=vnDelegation)(vnStatus=active))"), 4);
	OK(dir_admin_leave(w->a, "1", NULL, QD, &c, &why));
	assert_string_equal(fate(w, "delegation-given", "Vũ Hải Đăng"), "ends");
	assert_string_equal(fate(w, "delegation-taken", "Vũ Hải Đăng"), "ends");
	assert_string_equal(fate(w, "group", "tinh"), "ends");
	assert_int_equal(open_delegations(w, "(&(objectClass=vnDelegation)(vnStatus=active))"), 0);
	/* of who has left there is nothing more to tell */
	OK(dir_admin_leave(w->a, "1", NULL, QD, &c, &why));
	assert_int_equal(json_len(dir_admin_effects(w->a)), 0);
	world_free(w);
}

/* ---- HR's officers ---- */

static int
officer(struct world *w, const char *name, const char *who, const char *agency, bool below,
    enum change *c, struct buf *password, char **why)
{
	const char *const codes[] = {agency};
	const struct officer_add p = {.name = name,
	    .who = who,
	    .agencies = {codes, 1},
	    .below = below,
	    .until = "2100-01-01",
	    .decision = QD};

	buf_reset(password);
	return dir_admin_officer_add(w->a, &p, password, c, why);
}

#define OFFICER "cn=hr.mot,ou=officers,o=x"

static void
test_officers(void **state)
{
	static const char *const hostile[] = {"", "HR", "a,b", "cn=x", "*", "a b", "ngườita"};
	const struct staff_transfer away = {"H9.2", NULL, NULL, NULL, QD};
	struct world *w = world_new();
	struct buf password;
	char *why = NULL;
	enum change c;

	(void)state;
	buf_init(&password, 64);
	ENTRY(w, "ou=officers,o=x", "ou", "officers");
	OK(dir_admin_agency_move(w->a, "H9.2", "H9.1", QD, &c, &why));
	OK(officer(w, "hr.mot", "1", "H9.1", true, &c, &password, &why));
	assert_int_equal(c, CHANGE_ADDED);
	assert_int_equal(password.len, 14);
	assert_true(world_has(w, OFFICER, "vnHrOf", "H9.1"));
	assert_true(world_has(w, OFFICER, "vnHrOf", "H9.2"));
	assert_true(world_has(w, OFFICER, "roleOccupant", ONE));
	assert_true(world_has(w, OFFICER, "pwdEndTime", NULL));
	assert_false(world_has(w, OFFICER, "authPassword", NULL));
	/* given again: nothing, and no other password; with fewer agencies these */
	OK(officer(w, "hr.mot", "1", "H9.1", true, &c, &password, &why));
	assert_int_equal(c, CHANGE_NONE);
	assert_int_equal(password.len, 0);
	OK(officer(w, "hr.mot", "binhtv", "H9.1", false, &c, &password, &why));
	assert_int_equal(c, CHANGE_CHANGED);
	assert_false(world_has(w, OFFICER, "vnHrOf", "H9.2"));
	assert_int_equal(officer(w, "hr.mot", "2", "H9.1", false, &c, &password, &why), ERR_EXISTS);
	free(why);
	assert_int_equal(
	    officer(w, "hr.ba", "2", "H9.9", false, &c, &password, &why), ERR_NOTFOUND);
	free(why);
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		assert_int_equal(
		    officer(w, hostile[i], "2", "H9.1", false, &c, &password, &why), ERR_SYNTAX);
		free(why);
	}
	why = NULL;
	/* who goes from the agency is its officer no more; a cut does not leave the account behind */
	OK(dir_admin_freeze(w->a, "1", true, QD, &c, &why));
	assert_true(world_has(w, OFFICER, "pwdAccountLockedTime", "000001010000Z"));
	OK(dir_admin_freeze(w->a, "1", false, QD, &c, &why));
	assert_false(world_has(w, OFFICER, "pwdAccountLockedTime", NULL));
	OK(dir_admin_transfer(w->a, "1", &away, &c, &why));
	assert_string_equal(fate(w, "officer", "hr.mot"), "ends");
	assert_false(world_has(w, OFFICER, "cn", NULL));
	assert_int_equal(dir_admin_officer_remove(w->a, "hr.mot", QD, &c, &why), ERR_NOTFOUND);
	free(why);
	buf_done(&password);
	world_free(w);
}

/* ---- who holds a post today ---- */

static void
test_holders_have_their_days(void **state)
{
	static const struct {
		const char *id, *status, *assignment, *state, *until;
	} rows[] = {{"11", "active", "primary;H9.1;gd;20200101;20210101;1/QĐ", "over", "20210101"},
	    {"12", "active", "primary;H9.1;gd;29990101;;1/QĐ", "later", ""},
	    {"13", "active", "primary;H9.1;gd;20200101;29990101;1/QĐ", "now", "29990101"},
	    {"14", "suspended", "primary;H9.1;gd;20200101;;1/QĐ", "suspended", ""},
	    {"15", "closed", "primary;H9.1;gd;20200101;;1/QĐ", "closed", ""},
	    {"16", "active", "primary;H9.1;;20200101;;1/QĐ", "now", ""}};
	enum { N = sizeof(rows) / sizeof(rows[0]) };
	struct dir_entry post = {.dn = xstrdup("x"), .dn_norm = xstrdup("x")};
	struct dir_attr attrs[2];
	struct slice code = slice_str("gd"), occupants[N + 1];
	struct world *w = world_new();
	struct post_holder *h = NULL;
	char *why = NULL, dn[N][64];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		snprintf(dn[i], sizeof(dn[i]), "vnStaffId=%s,ou=people,o=x", rows[i].id);
		ENTRY(w, dn[i], "objectClass", "vnCivilServant", "vnStaffId", rows[i].id, "cn", "A",
		    "vnStatus", rows[i].status, "vnAssignment", rows[i].assignment);
		occupants[i] = slice_str(dn[i]);
	}
	occupants[N] = slice_str("vnStaffId=99,ou=people,o=x"); /* nobody */
	attrs[0] = (struct dir_attr){
	    .name = (char *)(uintptr_t) "vnPositionCode", .values = &code, .n_values = 1};
	attrs[1] = (struct dir_attr){
	    .name = (char *)(uintptr_t) "roleOccupant", .values = occupants, .n_values = N + 1};
	post.attrs = attrs;
	post.n_attrs = 2;
	OK(dir_admin_post_holders(w->a, &post, &h, &n, &why));
	assert_int_equal(n, N);
	for (size_t i = 0; i < N; i++) {
		assert_string_equal(h[i].id, rows[i].id);
		assert_string_equal(h[i].state, rows[i].state);
		assert_string_equal(h[i].until, rows[i].until);
	}
	post_holders_free(h, n);
	free(post.dn);
	free(post.dn_norm);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_transfer),
	    cmocka_unit_test(test_a_clerk_goes_elsewhere_in_a_role),
	    cmocka_unit_test(test_nothing_begins_that_is_over),
	    cmocka_unit_test(test_leave_ends_everything), cmocka_unit_test(test_hired_once),
	    cmocka_unit_test(test_reading_after_leave), cmocka_unit_test(test_who_is_frozen_leaves),
	    cmocka_unit_test(test_a_group_given_again),
	    cmocka_unit_test(test_an_abbreviation_is_one_agencys),
	    cmocka_unit_test(test_what_nobody_opens_is_closed),
	    cmocka_unit_test(test_a_second_place_is_one),
	    cmocka_unit_test(test_a_transfer_ends_what_stood_on_the_old_place),
	    cmocka_unit_test(test_a_post_at_the_new_agency_goes_on),
	    cmocka_unit_test(test_a_transfer_that_was_cut_off),
	    cmocka_unit_test(test_a_freeze_ends_nothing_and_says_what_goes_on),
	    cmocka_unit_test(test_officers), cmocka_unit_test(test_holders_have_their_days)};
	int failed;

	json_init();
	world_conf = world_conf_load();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_free(world_conf);
	return failed;
}
