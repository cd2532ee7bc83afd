/* dir_admin_test.c: what HR's commands do to the directory, on entries in memory: each change, given again, cut off after every write, tried dry, and
 * what hostile words do. */
#include "config.h"

#include "directory/assignment.h"
#include "lib/err.h"
#include "lib/log.h"

#include "tests/unit/dir_admin_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- each change: once, again, dry, and cut off at every write ---- */

static int
do_transfer(struct world *w, enum change *c, char **why)
{
	const struct staff_transfer p = {
	    "H9.2", "Chuyên viên", "clerk", "binh.moi@tinhmau.example", QD};

	return dir_admin_transfer(w->a, "1", &p, c, why);
}

static int
do_leave(struct world *w, enum change *c, char **why)
{
	return dir_admin_leave(w->a, "binhtv@tinhmau.example", NULL, QD, c, why);
}

static int
do_close(struct world *w, enum change *c, char **why)
{
	return dir_admin_agency_close(w->a, "H9.1", "H9.2", true, QD, c, why);
}

static int
do_rename(struct world *w, enum change *c, char **why)
{
	return dir_admin_agency_rename(w->a, "H9.1", "Sở Một mới", "MM", QD, c, why);
}

static int
do_move(struct world *w, enum change *c, char **why)
{
	return dir_admin_agency_move(w->a, "H9.1", "H9.2", QD, c, why);
}

static int
do_add(struct world *w, enum change *c, char **why)
{
	const struct agency_add p = {.code = "H9.3",
	    .name = "Sở Ba",
	    .abbrev = "BA",
	    .kind = "dept",
	    .mailbox = "vt.ba@tinhmau.example",
	    .decision = QD};

	return dir_admin_agency_add(w->a, &p, c, why);
}

static int
do_post(struct world *w, enum change *c, char **why)
{
	const struct post_create p = {"H9.1-gd", "H9.1", "Giám đốc", "gd@tinhmau.example", QD};

	return dir_admin_post_create(w->a, &p, c, why);
}

static int
do_assign(struct world *w, enum change *c, char **why)
{
	const struct post_assign p = {"H9.1-vanthu", "dangvh", "2020-02-01", "2100-01-01", QD};

	return dir_admin_post_assign(w->a, &p, c, why);
}

static int
do_group(struct world *w, enum change *c, char **why)
{
	static const char *const titles[] = {"Giám đốc"};
	const struct group_create p = {
	    .id = "hop", .name = "Họp", .decision = QD, .titles = {titles, 1}};

	return dir_admin_group_create(w->a, &p, c, why);
}

static int
do_group_delete(struct world *w, enum change *c, char **why)
{
	return dir_admin_group_delete(w->a, "ban", QD, c, why);
}

static int
do_members(struct world *w, enum change *c, char **why)
{
	static const char *const who[] = {"hoalt", "dangvh", "post:H9.2-vanthu"};

	return dir_admin_group_members(w->a, "ban", true, who, 3, QD, c, why);
}

static int
do_alias(struct world *w, enum change *c, char **why)
{
	return dir_admin_alias(w->a, "1", "Binh@TinhMau.example", true, QD, c, why);
}

static int
do_second(struct world *w, enum change *c, char **why)
{
	const struct staff_second p = {"H9.2", "2020-03-01", "2100-05-01", QD, false};

	return dir_admin_second(w->a, "1", &p, c, why);
}

static int
do_freeze(struct world *w, enum change *c, char **why)
{
	return dir_admin_freeze(w->a, "1", true, QD, c, why);
}

static const struct {
	const char *name;
	int (*fn)(struct world *w, enum change *c, char **why);
	enum change first;
	int writes;
} changes[] = {{"transfer", do_transfer, CHANGE_CHANGED, 3}, {"leave", do_leave, CHANGE_CHANGED, 2},
    {"close", do_close, CHANGE_CHANGED, 8}, {"rename", do_rename, CHANGE_CHANGED, 4},
    {"move", do_move, CHANGE_CHANGED, 2}, {"add", do_add, CHANGE_ADDED, 3},
    {"post", do_post, CHANGE_ADDED, 2}, {"assign", do_assign, CHANGE_CHANGED, 2},
    {"group", do_group, CHANGE_ADDED, 1}, {"group delete", do_group_delete, CHANGE_CHANGED, 1},
    {"members", do_members, CHANGE_CHANGED, 1}, {"alias", do_alias, CHANGE_CHANGED, 1},
    {"second", do_second, CHANGE_CHANGED, 1}, {"freeze", do_freeze, CHANGE_CHANGED, 1}};
#define N_CHANGES (sizeof(changes) / sizeof(changes[0]))

static size_t
journal_count(const struct world *w, const char *key, const char *value)
{
	size_t n = 0;

	for (size_t i = 0; i < json_len(w->journal); i++) {
		const struct json *v = json_get(json_at(w->journal, i), key);

		n += v != NULL && (value == NULL || strcmp(json_cstr(v), value) == 0);
	}
	return n;
}

static void
test_again_changes_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_CHANGES; i++) {
		struct world *w = world_new();
		enum change c = 99;
		char *why = NULL, *once, *twice;
		size_t writes;

		if (changes[i].fn(w, &c, &why) != 0)
			fail_msg("%s: %s", changes[i].name, why);
		assert_int_equal(c, changes[i].first);
		once = world_dump(w);
		writes = journal_count(w, "write", NULL);
		print_message("%s: %zu writes\n", changes[i].name, writes);
		assert_true((int)writes >= changes[i].writes);
		assert_int_equal(journal_count(w, "end", "done"), 1);
		assert_int_equal(journal_count(w, "decision", QD), writes + 1);
		assert_int_equal(journal_count(w, "by", "tester"), writes + 1);
		assert_int_equal(journal_count(w, "as", "cn=hr,o=x"), writes + 1);
		if (changes[i].fn(w, &c, &why) != 0)
			fail_msg("%s again: %s", changes[i].name, why);
		assert_int_equal(c, CHANGE_NONE);
		assert_int_equal(json_len(dir_admin_changes(w->a)), 0);
		twice = world_dump(w);
		assert_string_equal(once, twice);
		assert_int_equal(journal_count(w, "write", NULL), writes);
		free(once);
		free(twice);
		world_free(w);
	}
}

static void
test_dry_run_writes_nothing_and_tells_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_CHANGES; i++) {
		struct world *w = world_new();
		enum change c = 99;
		char *why = NULL, *before = world_dump(w), *after;
		size_t told, wrote;

		dir_admin_set_dry_run(w->a, true);
		if (changes[i].fn(w, &c, &why) != 0)
			fail_msg("%s: %s", changes[i].name, why);
		assert_int_equal(c, changes[i].first);
		told = json_len(dir_admin_changes(w->a));
		after = world_dump(w);
		assert_string_equal(before, after);
		assert_int_equal(json_len(w->journal), 0);
		world_admin(w);
		assert_int_equal(changes[i].fn(w, &c, &why), 0);
		wrote = json_len(dir_admin_changes(w->a));
		if (told != wrote)
			fail_msg("%s: told %zu, wrote %zu", changes[i].name, told, wrote);
		free(before);
		free(after);
		world_free(w);
	}
}

/* The server goes after each number of writes; the same command afterwards, by a congvu started anew, leaves what an undisturbed one leaves. */
static void
test_cut_off_and_given_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_CHANGES; i++) {
		struct world *w = world_new();
		char *why = NULL, *wanted, *got;
		enum change c;
		int cut = 0, err;

		assert_int_equal(changes[i].fn(w, &c, &why), 0);
		wanted = world_dump(w);
		world_free(w);
		do {
			w = world_new();
			dir_fake_writes(w->dir, cut);
			err = changes[i].fn(w, &c, &why);
			if (err != 0)
				assert_int_equal(err, ERR_TEMP);
			free(why);
			why = NULL;
			dir_fake_writes(w->dir, -1);
			world_admin(w);
			if (changes[i].fn(w, &c, &why) != 0)
				fail_msg("%s after %d writes: %s", changes[i].name, cut, why);
			got = world_dump(w);
			assert_string_equal(wanted, got);
			free(got);
			world_free(w);
			cut++;
		} while (err != 0 && cut < 100);
		assert_true(cut > changes[i].writes);
		free(wanted);
	}
}

/* On a server with transactions: the same comes of it, by the same writes; when the last step fails, or any write would be refused, nothing does. */
static void
test_together(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_CHANGES; i++) {
		struct world *w = world_new();
		char *why = NULL, *wanted, *got, *before;
		size_t wrote, made;
		enum change c;
		int err;

		/* what moves entries is made one after another: test_cut_off_and_given_again */
		if (changes[i].fn == do_close || changes[i].fn == do_move) {
			world_free(w);
			continue;
		}
		assert_int_equal(changes[i].fn(w, &c, &why), 0);
		wanted = world_dump(w);
		made = json_len(dir_admin_changes(w->a));
		world_free(w);
		w = world_new();
		dir_fake_transactions(w->dir, true);
		before = world_dump(w);
		/* the server goes before the end: it is told as failed, and nothing is made */
		dir_fake_writes(w->dir, 0);
		err = changes[i].fn(w, &c, &why);
		if (err != ERR_TEMP)
			fail_msg("%s: %s (%s)", changes[i].name, err_name(err), why);
		free(why);
		why = NULL;
		got = world_dump(w);
		assert_string_equal(before, got);
		free(got);
		wrote = journal_count(w, "write", NULL);
		assert_int_equal(wrote, made);
		assert_int_equal(journal_count(w, "end", "failed"), 1);
		assert_int_equal(journal_count(w, "all_or_none", NULL), 1);
		/* one step, whole */
		dir_fake_writes(w->dir, 1);
		if (changes[i].fn(w, &c, &why) != 0)
			fail_msg("%s: %s", changes[i].name, why);
		assert_int_equal(c, changes[i].first);
		assert_int_equal(json_len(dir_admin_changes(w->a)), made);
		assert_int_equal(journal_count(w, "end", "done"), 1);
		got = world_dump(w);
		assert_string_equal(wanted, got);
		free(got);
		dir_fake_writes(w->dir, -1);
		if (changes[i].fn(w, &c, &why) != 0)
			fail_msg("%s again: %s", changes[i].name, why);
		assert_int_equal(c, CHANGE_NONE);
		free(before);
		free(wanted);
		world_free(w);
	}
}

/* What a post may sign begins and ends by its own; what it may already it is not given twice. */
static void
test_what_a_post_may_sign(void **state)
{
	static const char post[] = "vnPositionCode=H9.1-vanthu,vnAgencyCode=H9.1,ou=agencies,o=x";
	const struct post_authority open = {"H9.1-vanthu", "QĐ", "KT", NULL, NULL, "9/QĐ; a"};
	struct post_authority p = open;
	struct dir_result *r = NULL;
	struct world *w = world_new();
	char *why = NULL;
	enum change c;
	size_t n_over = 0;

	(void)state;
	OK(dir_admin_post_authorize(w->a, &p, &c, &why));
	assert_int_equal(c, CHANGE_CHANGED);
	OK(dir_admin_post_authorize(w->a, &p, &c, &why));
	assert_int_equal(c, CHANGE_NONE);
	/* with a last day: these days count now */
	p.type = "QĐ";
	p.until = "2099-12-31";
	OK(dir_admin_post_authorize(w->a, &p, &c, &why));
	assert_int_equal(c, CHANGE_CHANGED);
	p.from = "2098-01-01";
	p.capacity = "TM";
	OK(dir_admin_post_authorize(w->a, &p, &c, &why));
	/* another one may not be ended; this one may, and what had not begun never was */
	p.capacity = "TL";
	FAILS(dir_admin_post_unauthorize(w->a, &p, &c, &why), ERR_NOTFOUND);
	p.capacity = "TM";
	OK(dir_admin_post_unauthorize(w->a, &p, &c, &why));
	OK(dir_admin_post_unauthorize(w->a, &open, &c, &why));
	OK(dir_admin_posts(w->a, "H9.1", &r, &why));
	for (size_t i = 0; i < r->n_entries; i++) {
		const struct dir_attr *at = dir_entry_attr(&r->entries[i], "vnSigningAuthority");

		for (size_t k = 0; at != NULL && k < at->n_values; k++) {
			struct authority a;

			authority_split(at->values[k], &a);
			assert_true(slice_eq_str(a.named, "QĐ;KT"));
			assert_true(authority_has_dates(&a));
			assert_int_equal(
			    assignment_when(a.from, a.to, time(NULL) + 1), ASSIGNMENT_OVER);
			assert_non_null(strstr((const char *)at->values[k].ptr, ";9/QĐ, a"));
			n_over++;
		}
	}
	assert_true(n_over >= 1);
	dir_result_free(r);
	assert_false(world_has(w, post, "vnStatus", "closed"));
	/* what is no type, no capacity, no post */
	p = open;
	p.type = "QĐ;*";
	FAILS(dir_admin_post_authorize(w->a, &p, &c, &why), ERR_SYNTAX);
	p.type = "";
	FAILS(dir_admin_post_authorize(w->a, &p, &c, &why), ERR_SYNTAX);
	p = open;
	p.capacity = "kt";
	FAILS(dir_admin_post_authorize(w->a, &p, &c, &why), ERR_SYNTAX);
	p = open;
	p.post = "H9.1-khong";
	FAILS(dir_admin_post_authorize(w->a, &p, &c, &why), ERR_NOTFOUND);
	p = open;
	p.decision = "";
	FAILS(dir_admin_post_authorize(w->a, &p, &c, &why), ERR_SYNTAX);
	world_free(w);
}

/* What is found to be wrong after a write was thought of leaves no trace, neither there nor in the journal. */
static void
test_together_nothing_of_what_is_refused(void **state)
{
	static const char *const who[] = {"hoalt"};
	struct world *w = world_new();
	char *why = NULL, *before, *after;
	enum change c = 99;

	(void)state;
	dir_fake_transactions(w->dir, true);
	dir_admin_set_dry_run(w->a, false);
	before = world_dump(w);
	ENTRY(w, "vnPositionCode=H9.1-x,vnAgencyCode=H9.1,ou=agencies,o=x", "objectClass",
	    "vnPosition", "vnPositionCode", "H9.1-x");
	free(before);
	before = world_dump(w);
	FAILS(dir_admin_post_create(w->a,
		  &(struct post_create){"H9.1-y", "H9.1", "Y", "binhtv@tinhmau.example", QD}, &c,
		  &why),
	    ERR_EXISTS);
	after = world_dump(w);
	assert_string_equal(before, after);
	assert_int_equal(json_len(w->journal), 0);
	assert_int_equal(json_len(dir_admin_changes(w->a)), 0);
	/* and the next one is a change of its own */
	OK(dir_admin_group_members(w->a, "ban", true, who, 1, QD, &c, &why));
	assert_int_equal(c, CHANGE_CHANGED);
	assert_int_equal(journal_count(w, "write", NULL), 1);
	free(before);
	free(after);
	world_free(w);
}

/* ---- what they do ---- */

static void
test_an_agency_moves_by_another_decision_each_time(void **state)
{
	static const char dn[] = "vnAgencyCode=H9.1,vnAgencyCode=H9.2,ou=agencies,o=x";
	struct world *w = world_new();
	char *why = NULL;
	enum change c;

	(void)state;
	OK(dir_admin_agency_move(w->a, "H9.1", "H9.2", "1/QĐ", &c, &why));
	OK(dir_admin_agency_move(w->a, "H9.1", NULL, "2/QĐ", &c, &why));
	OK(dir_admin_agency_move(w->a, "H9.1", "H9.2", "3/QĐ", &c, &why));
	assert_true(world_has(w, dn, "vnDecisionRef", "1/QĐ"));
	assert_true(world_has(w, dn, "vnDecisionRef", "2/QĐ"));
	assert_true(world_has(w, dn, "vnDecisionRef", "3/QĐ"));
	world_free(w);
}

/* Who may not write the agency is refused at the first write. */
static void
test_an_agency_is_renamed_before_what_is_called_after_it(void **state)
{
	static const char box[] = "vnMailboxId=MOT,ou=mailboxes,o=x",
			  post[] = "vnMailboxId=gd,ou=mailboxes,o=x";
	struct world *w = world_new();
	char *why = NULL;
	enum change c;

	(void)state;
	ENTRY(w, post, "objectClass", "vnFunctionalMailbox", "vnMailboxId", "gd", "mail",
	    "gd@tinhmau.example", "cn", "Giám đốc", "displayName", "Giám đốc (MOT)", "vnAgencyRef",
	    "H9.1", "vnHolder", "vnPositionCode=H9.1-gd,vnAgencyCode=H9.1,ou=agencies,o=x",
	    "vnMailboxKind", "post", "vnStatus", "active");
	OK(dir_admin_agency_rename(w->a, "H9.1", "Sở Khác", NULL, QD, &c, &why));
	assert_string_equal(json_cstr(json_get(json_at(dir_admin_changes(w->a), 0), "dn")),
	    "vnAgencyCode=H9.1,ou=agencies,o=x");
	assert_true(world_has(w, box, "displayName", "Sở Khác"));
	/* written past congvu: the next name takes it along */
	assert_int_equal(dir_modify(w->dir, box,
			     &(struct dir_mod){DIR_MOD_REPLACE, "displayName",
				 &(struct slice){(const unsigned char *)"Tay", 3}, 1},
			     1, &why),
	    0);
	OK(dir_admin_agency_rename(w->a, "H9.1", "Sở Khác Nữa", NULL, QD, &c, &why));
	assert_true(world_has(w, box, "displayName", "Sở Khác Nữa"));
	assert_true(world_has(w, post, "displayName", "Giám đốc (MOT)"));
	assert_true(world_has(w, ONE, "ou", "Sở Khác Nữa"));
	world_free(w);
}

static void
test_an_address_is_free_after_ten_years(void **state)
{
	struct world *w = world_new();
	enum change c;
	char *why = NULL;

	(void)state;
	ENTRY(w, "vnStaffId=8,ou=people,o=x", "objectClass", "vnCivilServant", "vnStaffId", "8",
	    "cn", "A", "vnStatus", "closed", "vnAddressHistory",
	    "xua@tinhmau.example;19990101;20010101", "vnAddressHistory",
	    "hoi@tinhmau.example;20200101;20251231", "vnAddressHistory",
	    "mo@tinhmau.example;20200101;");
	OK(dir_admin_alias(w->a, "3", "xua@tinhmau.example", true, QD, &c, &why));
	assert_int_equal(
	    dir_admin_alias(w->a, "3", "hoi@tinhmau.example", true, QD, &c, &why), ERR_EXISTS);
	assert_non_null(strstr(why, "10 years"));
	free(why);
	why = NULL;
	FAILS(dir_admin_alias(w->a, "3", "mo@tinhmau.example", true, QD, &c, &why), ERR_EXISTS);
	world_free(w);
}

/* Of the certificate of a former address: published for who had it last, while it is nobody else's. */
static void
test_a_former_address_binds_its_last_owner(void **state)
{
	static const struct {
		const char *address;
		int want;
	} cases[] = {{"given@tinhmau.example", ERR_DENIED}, {"mail@tinhmau.example", ERR_DENIED},
	    {"later@tinhmau.example", ERR_DENIED}, {"group@tinhmau.example", ERR_DENIED},
	    {"nobody@tinhmau.example", ERR_DENIED}, {"Last@tinhmau.example", 0},
	    {"own@tinhmau.example", 0}};
	struct world *w = world_new();
	struct cert_holder h;
	char *why = NULL;

	(void)state;
	ENTRY(w, "vnStaffId=8,ou=people,o=x", "objectClass", "vnCivilServant", "vnStaffId", "8",
	    "cn", "A", "mail", "a8@tinhmau.example", "vnStatus", "active", "vnAddressHistory",
	    "given@tinhmau.example;20050101;20100101", "vnAddressHistory",
	    "mail@tinhmau.example;20050101;20100101", "vnAddressHistory",
	    "later@tinhmau.example;20050101;20100101", "vnAddressHistory",
	    "group@tinhmau.example;20050101;20100101", "vnAddressHistory",
	    "last@tinhmau.example;20120101;20150101", "vnAddressHistory",
	    "own@tinhmau.example;20050101;20100101");
	ENTRY(w, "vnStaffId=9,ou=people,o=x", "objectClass", "vnCivilServant", "vnStaffId", "9",
	    "cn", "B", "mail", "Mail@tinhmau.example", "vnStatus", "closed", "vnMailAlias",
	    "given@tinhmau.example", "vnAddressHistory", "later@tinhmau.example;20110101;20200101",
	    "vnAddressHistory", "last@tinhmau.example;20050101;20100101");
	ENTRY(w, "cn=g9,ou=groups,o=x", "objectClass", "vnMailGroup", "cn", "g9", "mail",
	    "group@tinhmau.example");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int err = dir_admin_cert_holder(w->a, "a8@tinhmau.example", "p-8",
		    &cases[i].address, 1, slice_str("der"), &h, &why);

		if (err != cases[i].want)
			fail_msg("%s: %d %s", cases[i].address, err, why);
		if (err == 0) {
			assert_true(h.by_former);
			cert_holder_done(&h);
		}
		free(why);
		why = NULL;
	}
	world_free(w);
}

static void
test_close_refuses_and_moves(void **state)
{
	struct world *w = world_new();
	const struct post_assign p = {"H9.1-vanthu", "1", NULL, NULL, QD};
	enum change c;
	char *why = NULL;

	(void)state;
	OK(dir_admin_post_assign(w->a, &p, &c, &why));
	assert_int_equal(
	    dir_admin_agency_close(w->a, "H9.1", NULL, false, QD, &c, &why), ERR_CONFLICT);
	assert_non_null(
	    strstr(why, "2 people, 1 held posts, 1 mailboxes that somebody opens, 1 groups"));
	free(why);
	why = NULL;
	assert_true(world_has(w, "vnAgencyCode=H9.1,ou=agencies,o=x", "vnStatus", "active"));
	OK(do_close(w, &c, &why));
	assert_true(world_has(w, "vnAgencyCode=H9.1,ou=agencies,o=x", "vnStatus", "closed"));
	assert_true(world_has(w, "vnAgencyCode=H9.1,ou=agencies,o=x", "vnSuccessor", "H9.2"));
	assert_true(world_has(w, "vnAgencyCode=H9.2,ou=agencies,o=x", "vnPredecessor", "H9.1"));
	assert_true(world_has(w, ONE, "vnAgencyRef", "H9.2"));
	/* the post went along, is still held, and still holds its mailbox */
	assert_true(world_has(w, "vnPositionCode=H9.1-vanthu,vnAgencyCode=H9.2,ou=agencies,o=x",
	    "roleOccupant", ONE));
	assert_true(world_has(w, "vnMailboxId=MOT,ou=mailboxes,o=x", "vnHolder",
	    "vnPositionCode=H9.1-vanthu,vnAgencyCode=H9.2,ou=agencies,o=x"));
	FAILS(do_move(w, &c, &why), ERR_GONE);
	world_free(w);
}

static void
test_groups_have_no_circles(void **state)
{
	struct world *w = world_new();
	const char *ban[] = {"ban"}, *hop[] = {"hop"}, *one[] = {"binhtv"};
	enum change c;
	char *why = NULL;

	(void)state;
	OK(do_group(w, &c, &why));
	OK(dir_admin_group_members(w->a, "ban", true, hop, 1, QD, &c, &why));
	FAILS(dir_admin_group_members(w->a, "hop", true, ban, 1, QD, &c, &why), ERR_CONFLICT);
	FAILS(dir_admin_group_members(w->a, "hop", true, hop, 1, QD, &c, &why), ERR_CONFLICT);
	/* all or none: a name that nobody has */
	ban[0] = "khongai";
	FAILS(dir_admin_group_members(w->a, "hop", true, ban, 1, QD, &c, &why), ERR_NOTFOUND);
	OK(dir_admin_group_members(w->a, "ban", false, hop, 1, QD, &c, &why));
	OK(dir_admin_group_members(w->a, "ban", false, one, 1, QD, &c, &why));
	assert_true(world_has(w, "cn=ban,ou=groups,o=x", "member", "cn=nobody"));
	OK(dir_admin_group_members(w->a, "ban", true, one, 1, QD, &c, &why));
	assert_false(world_has(w, "cn=ban,ou=groups,o=x", "member", "cn=nobody"));
	world_free(w);
}

/* With whatever code, and says why. */
#define REFUSED(call)                            \
	do {                                     \
		assert_int_not_equal((call), 0); \
		assert_non_null(why);            \
		free(why);                       \
		why = NULL;                      \
	} while (0)

static void
test_hostile_words(void **state)
{
	static const char *const hostile[] = {"*", ")(uid=*", "a\\2a", "x,ou=people", "\x01",
	    "Lê\u202e", "Lê\xc2\x85", "\xff\xfe", ""};
	struct world *w = world_new();
	char *why = NULL, *before = world_dump(w), *after, *large = xcalloc(1, 100001);
	enum change c;

	(void)state;
	memset(large, 'a', 100000);
	for (size_t i = 0; i <= sizeof(hostile) / sizeof(hostile[0]); i++) {
		const char *word = i == sizeof(hostile) / sizeof(hostile[0]) ? large : hostile[i];
		const struct post_assign p = {word, "1", NULL, NULL, QD};
		const struct group_create g = {.id = word, .name = "Tên", .decision = QD};
		const struct agency_add add = {
		    .code = word, .name = "Tên", .abbrev = "T", .kind = "dept", .decision = QD};

		REFUSED(dir_admin_leave(w->a, word, NULL, QD, &c, &why));
		REFUSED(dir_admin_post_assign(w->a, &p, &c, &why));
		REFUSED(dir_admin_group_create(w->a, &g, &c, &why));
		REFUSED(dir_admin_agency_add(w->a, &add, &c, &why));
		REFUSED(dir_admin_alias(w->a, "1", word, true, QD, &c, &why));
		if (i >= 4) /* a name that shows as another, or none */
			REFUSED(dir_admin_agency_rename(w->a, "H9.1", word, NULL, QD, &c, &why));
		if (i >= 4) /* as a decision */
			REFUSED(dir_admin_freeze(w->a, "1", true, word, &c, &why));
	}
	REFUSED(dir_admin_freeze(w->a, "1", true, NULL, &c, &why));
	after = world_dump(w);
	assert_string_equal(before, after);
	free(before);
	free(after);
	free(large);
	world_free(w);
}

static void
test_no_change_without_a_journal(void **state)
{
	struct world *w = world_new();
	char *why = NULL, *before = world_dump(w), *after;
	enum change c;

	(void)state;
	w->journal_fails = true;
	for (size_t i = 0; i < N_CHANGES; i++)
		FAILS(changes[i].fn(w, &c, &why), ERR_IO);
	after = world_dump(w);
	assert_string_equal(before, after);
	free(before);
	free(after);
	world_free(w);
}

static void
test_a_hire_is_in_the_journal_without_its_password(void **state)
{
	const struct staff_hire p = {.name = "Đặng Thị Thu Hường",
	    .agency = "H9.1",
	    .role = "clerk",
	    .decision = QD,
	    .password = {(const unsigned char *)"Rất bí mật 1", 16}};
	struct world *w = world_new();
	struct staff_hired h;
	struct buf b;
	char *why = NULL;

	(void)state;
	OK(dir_admin_hire(w->a, &p, &h, &why));
	assert_string_equal(h.mail, "huongdtt@tinhmau.example");
	assert_string_equal(h.id, "000100");
	buf_init(&b, 1 << 20);
	assert_int_equal(json_canonical(w->journal, &b), 0);
	assert_non_null(strstr(buf_cstr(&b), "huongdtt"));
	assert_null(strstr(buf_cstr(&b), "SSHA512"));
	assert_null(strstr(buf_cstr(&b), "SCRAM-SHA"));
	assert_null(strstr(buf_cstr(&b), "m\\u1eadt 1"));
	buf_done(&b);
	staff_hired_done(&h);
	world_free(w);
}

/* Nobody signs in with what HR has seen: it is a first password, unless one was given. */
static void
test_a_hire_makes_a_first_password(void **state)
{
	struct staff_hire p = {
	    .name = "Mạc Văn Mới", .agency = "H9.1", .role = "staff", .decision = QD};
	struct world *w = world_new();
	struct staff_hired h;
	char *why = NULL;

	(void)state;
	dir_admin_set_dry_run(w->a, true);
	OK(dir_admin_hire(w->a, &p, &h, &why));
	assert_true(h.must_change);
	assert_null(h.password);
	staff_hired_done(&h);
	dir_admin_set_dry_run(w->a, false);
	OK(dir_admin_hire(w->a, &p, &h, &why));
	assert_true(h.must_change);
	assert_int_equal(strlen(h.password), 14);
	assert_true(world_has(w, h.dn, "pwdReset", "TRUE"));
	staff_hired_done(&h);
	/* again: nobody new, no password */
	OK(dir_admin_hire(w->a, &p, &h, &why));
	assert_int_equal(h.change, CHANGE_NONE);
	assert_false(h.must_change);
	assert_null(h.password);
	staff_hired_done(&h);
	p.name = "Mạc Văn Cũ";
	p.password = slice_str("mật khẩu mang theo");
	OK(dir_admin_hire(w->a, &p, &h, &why));
	assert_false(h.must_change);
	assert_false(world_has(w, h.dn, "pwdReset", NULL));
	staff_hired_done(&h);
	world_free(w);
}

static void
test_revoked_though_sessions_go_on(void **state)
{
	struct world *w = world_new();
	struct staff_account s;
	struct dir_result *r = NULL;
	char *why = NULL;
	int sessions_err = 0;

	(void)state;
	ENTRY(w, "ou=apppasswords,o=x", "ou", "apppasswords");
	ENTRY(w, "vnAppId=abcd,ou=apppasswords,o=x", "objectClass", "vnAppPassword", "vnAppId",
	    "abcd", "vnAppOwner", "vnStaffId=1,ou=people,o=x", "description", "Điện thoại");
	OK(dir_admin_account(w->a, "binhtv", &s, &why));
	dir_fake_writes(w->dir, 1);
	OK(dir_admin_app_revoke(w->a, &s, "abcd", &sessions_err, &why));
	assert_int_equal(sessions_err, ERR_TEMP);
	dir_fake_writes(w->dir, -1);
	OK(dir_admin_apps(w->a, &s, &r, &why));
	assert_int_equal(r->n_entries, 0);
	dir_result_free(r);
	/* there is nothing left to revoke */
	FAILS(dir_admin_app_revoke(w->a, &s, "abcd", &sessions_err, &why), ERR_NOTFOUND);
	assert_int_equal(sessions_err, 0);
	free(why);
	staff_account_done(&s);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_again_changes_nothing),
	    cmocka_unit_test(test_dry_run_writes_nothing_and_tells_all),
	    cmocka_unit_test(test_cut_off_and_given_again), cmocka_unit_test(test_together),
	    cmocka_unit_test(test_together_nothing_of_what_is_refused),
	    cmocka_unit_test(test_what_a_post_may_sign),
	    cmocka_unit_test(test_an_agency_moves_by_another_decision_each_time),
	    cmocka_unit_test(test_an_agency_is_renamed_before_what_is_called_after_it),
	    cmocka_unit_test(test_an_address_is_free_after_ten_years),
	    cmocka_unit_test(test_a_former_address_binds_its_last_owner),
	    cmocka_unit_test(test_close_refuses_and_moves),
	    cmocka_unit_test(test_groups_have_no_circles), cmocka_unit_test(test_hostile_words),
	    cmocka_unit_test(test_no_change_without_a_journal),
	    cmocka_unit_test(test_a_hire_is_in_the_journal_without_its_password),
	    cmocka_unit_test(test_a_hire_makes_a_first_password),
	    cmocka_unit_test(test_revoked_though_sessions_go_on)};
	int failed;

	json_init();
	world_conf = world_conf_load();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_free(world_conf);
	return failed;
}
