/* dir_admin_test.c: what HR's commands do to the directory, on entries in memory: each change, given again, cut off after every write, tried dry, and
 * what hostile words do. */
#include "config.h"

#include "directory/dir_admin.h"
#include "directory/dir_fake.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define BASE "o=x"
#define QD "15/QĐ-UBND"

static struct conf *conf;

struct world {
	struct dir *dir;
	struct dir_admin *a;
	struct json *journal; /* records, in order */
	bool journal_fails;
};

static struct conf *
conf_of(void)
{
	char path[] = "/tmp/dir_admin_testXXXXXX", *why = NULL;
	int fd = mkstemp(path);
	struct conf *c = NULL;
	FILE *f = fdopen(fd, "w");

	assert_non_null(f);
	fprintf(f, "domains = {\"tinhmau.example\"}\nldap_base = \"o=x\"\n");
	fclose(f);
	if (conf_load(path, &c, &why) != 0)
		fail_msg("%s", why);
	unlink(path);
	return c;
}

static int
journal_begin(void *arg, char **why_out)
{
	struct world *w = arg;

	if (!w->journal_fails)
		return 0;
	*why_out = xstrdup("no journal");
	return ERR_IO;
}

static int
journal_write(void *arg, struct json *rec, char **why_out)
{
	struct world *w = arg;

	(void)why_out;
	json_push_take(w->journal, rec);
	return 0;
}

static void
journal_end(void *arg)
{
	(void)arg;
}

#define ENTRY(w, dn, ...) dir_fake_add((w)->dir, dn, (const char *const[]){__VA_ARGS__, NULL})

static struct dir_admin_journal hooks = {journal_begin, journal_write, journal_end, NULL};

static void
person(struct world *w, const char *id, const char *name, const char *uid, const char *agency)
{
	char dn[200], mail[200], display[200];

	snprintf(dn, sizeof(dn), "vnStaffId=%s,ou=people,o=x", id);
	snprintf(mail, sizeof(mail), "%s@tinhmau.example", uid);
	snprintf(
	    display, sizeof(display), "%s (%s)", name, strcmp(agency, "H9.1") == 0 ? "MOT" : "HAI");
	ENTRY(w, dn, "objectClass", "vnCivilServant", "vnStaffId", id, "cn", name, "uid", uid,
	    "mail", mail, "displayName", display, "vnAgencyRef", agency, "vnRole", "staff",
	    "vnStatus", "active", "vnEpoch", "1", "vnValidFrom", "20200101000000Z", "vnAssignment",
	    strcmp(agency, "H9.1") == 0 ? "primary;H9.1;;20200101;;1/QĐ"
					: "primary;H9.2;;20200101;;1/QĐ");
}

static void
agency(struct world *w, const char *code, const char *name, const char *abbrev)
{
	char dn[200], post[300], id[64], holder[400], mail[100];

	snprintf(dn, sizeof(dn), "vnAgencyCode=%s,ou=agencies,o=x", code);
	snprintf(id, sizeof(id), "%s-vanthu", code);
	snprintf(post, sizeof(post), "vnPositionCode=%s,%s", id, dn);
	snprintf(holder, sizeof(holder), "vnMailboxId=%s,ou=mailboxes,o=x", abbrev);
	snprintf(mail, sizeof(mail), "vt.%s@tinhmau.example", abbrev);
	ENTRY(w, dn, "objectClass", "vnAgency", "vnAgencyCode", code, "ou", name, "displayName",
	    name, "vnAgencyAbbrev", abbrev, "vnAgencyKind", "dept", "vnStatus", "active");
	ENTRY(w, post, "objectClass", "vnPosition", "vnPositionCode", id, "cn", "Văn thư",
	    "vnAgencyRef", code);
	ENTRY(w, holder, "objectClass", "vnFunctionalMailbox", "vnMailboxId", abbrev, "mail", mail,
	    "cn", name, "displayName", name, "vnAgencyRef", code, "vnHolder", post, "vnStatus",
	    "active");
}

static struct world *
world_new(void)
{
	struct world *w = xcalloc(1, sizeof(*w));

	w->dir = dir_fake_new(BASE);
	w->a = dir_admin_new(conf, w->dir);
	w->journal = json_arr_new();
	hooks.arg = w;
	dir_admin_set_journal(w->a, &hooks, "tester");
	ENTRY(w, "ou=agencies,o=x", "ou", "agencies");
	ENTRY(w, "ou=people,o=x", "ou", "people", "vnNextId", "100");
	ENTRY(w, "ou=mailboxes,o=x", "ou", "mailboxes");
	ENTRY(w, "ou=groups,o=x", "ou", "groups");
	ENTRY(w, "ou=delegations,o=x", "ou", "delegations");
	agency(w, "H9.1", "Sở Một", "MOT");
	agency(w, "H9.2", "Sở Hai", "HAI");
	person(w, "1", "Trần Văn Bình", "binhtv", "H9.1");
	person(w, "2", "Lê Thị Hoa", "hoalt", "H9.1");
	person(w, "3", "Vũ Hải Đăng", "dangvh", "H9.2");
	ENTRY(w, "cn=ban,ou=groups,o=x", "objectClass", "vnMailGroup", "cn", "ban", "mail",
	    "ban@tinhmau.example", "displayName", "Ban", "vnStatus", "active", "vnAgencyRef",
	    "H9.1", "member", "vnStaffId=1,ou=people,o=x");
	return w;
}

static void
world_free(struct world *w)
{
	dir_admin_free(w->a);
	dir_close(w->dir);
	json_free(w->journal);
	free(w);
}

/* ---- looking ---- */

static int
by_text(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

/* Times of this run are not compared. */
static void
mask(char *s)
{
	for (char *p = s; (p = strstr(p, "20")) != NULL; p += 2)
		if (strspn(p, "0123456789") == 14 && strncmp(p, "2020", 4) != 0)
			memset(p, '0', 14);
}

/* All that is there, in order, as one text. */
static char *
dump(struct world *w)
{
	struct dir_result *r = NULL;
	char **lines = NULL, *text;
	size_t n = 0, len = 1;

	assert_int_equal(dir_search(w->dir, NULL, "(!(x=y))", NULL, 0, &r), 0);
	for (size_t i = 0; i < r->n_entries; i++) {
		for (size_t k = 0; k < r->entries[i].n_attrs; k++) {
			const struct dir_attr *at = &r->entries[i].attrs[k];

			for (size_t v = 0; v < at->n_values; v++) {
				lines = xrealloc(lines, (n + 1) * sizeof(*lines));
				assert_true(asprintf(&lines[n], "%s %s %s\n", r->entries[i].dn,
						at->name, (const char *)at->values[v].ptr) > 0);
				mask(lines[n]);
				len += strlen(lines[n++]);
			}
		}
	}
	dir_result_free(r);
	qsort(lines, n, sizeof(*lines), by_text);
	text = xcalloc(1, len);
	for (size_t i = 0; i < n; i++) {
		memcpy(text + strlen(text), lines[i], strlen(lines[i]) + 1);
		free(lines[i]);
	}
	free(lines);
	return text;
}

static bool
has(struct world *w, const char *dn, const char *attr, const char *value)
{
	const char *const attrs[] = {attr, NULL};
	struct dir_result *r = NULL;
	bool found = dir_read(w->dir, dn, attrs, &r) == 0 &&
		     (value == NULL ? dir_entry_attr(&r->entries[0], attr) != NULL
				    : dir_entry_has_value(&r->entries[0], attr, slice_str(value)));

	dir_result_free(r);
	return found;
}

#define ONE "vnStaffId=1,ou=people,o=x"
#define THREE "vnStaffId=3,ou=people,o=x"

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
	return dir_admin_leave(w->a, "binhtv@tinhmau.example", QD, c, why);
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
		once = dump(w);
		writes = journal_count(w, "write", NULL);
		print_message("%s: %zu writes\n", changes[i].name, writes);
		assert_true((int)writes >= changes[i].writes);
		assert_int_equal(journal_count(w, "end", "done"), 1);
		assert_int_equal(journal_count(w, "decision", QD), writes + 1);
		assert_int_equal(journal_count(w, "by", "tester"), writes + 1);
		if (changes[i].fn(w, &c, &why) != 0)
			fail_msg("%s again: %s", changes[i].name, why);
		assert_int_equal(c, CHANGE_NONE);
		assert_int_equal(json_len(dir_admin_changes(w->a)), 0);
		twice = dump(w);
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
		char *why = NULL, *before = dump(w), *after;
		size_t told, wrote;

		dir_admin_set_dry_run(w->a, true);
		if (changes[i].fn(w, &c, &why) != 0)
			fail_msg("%s: %s", changes[i].name, why);
		assert_int_equal(c, changes[i].first);
		told = json_len(dir_admin_changes(w->a));
		after = dump(w);
		assert_string_equal(before, after);
		assert_int_equal(json_len(w->journal), 0);
		dir_admin_free(w->a);
		w->a = dir_admin_new(conf, w->dir);
		dir_admin_set_journal(w->a, &hooks, "tester");
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
		wanted = dump(w);
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
			dir_admin_free(w->a);
			w->a = dir_admin_new(conf, w->dir);
			dir_admin_set_journal(w->a, &hooks, "tester");
			if (changes[i].fn(w, &c, &why) != 0)
				fail_msg("%s after %d writes: %s", changes[i].name, cut, why);
			got = dump(w);
			assert_string_equal(wanted, got);
			free(got);
			world_free(w);
			cut++;
		} while (err != 0 && cut < 100);
		assert_true(cut > changes[i].writes);
		free(wanted);
	}
}

/* ---- what they do ---- */

#define OK(call)                                        \
	do {                                            \
		if ((call) != 0)                        \
			fail_msg("%s: %s", #call, why); \
	} while (0)

static void
test_transfer(void **state)
{
	struct world *w = world_new();
	enum change c;
	char *why = NULL;

	(void)state;
	OK(do_transfer(w, &c, &why));
	assert_true(has(w, ONE, "vnAgencyRef", "H9.2"));
	assert_true(has(w, ONE, "displayName", "Trần Văn Bình (HAI)"));
	assert_true(has(w, ONE, "displayName;x-fold", "Tran Van Binh (HAI)"));
	assert_true(has(w, ONE, "mail", "binh.moi@tinhmau.example"));
	assert_true(has(w, ONE, "vnMailAlias", "binhtv@tinhmau.example"));
	assert_true(has(w, ONE, "vnAddressHistory", NULL));
	assert_false(has(w, ONE, "vnAssignment", "primary;H9.1;;20200101;;1/QĐ"));
	assert_true(has(w, "vnPositionCode=H9.2-vanthu,vnAgencyCode=H9.2,ou=agencies,o=x",
	    "roleOccupant", ONE));
	/* the group was the old agency's: nobody is left in it */
	assert_true(has(w, "cn=ban,ou=groups,o=x", "member", "cn=nobody"));
	assert_false(has(w, "cn=ban,ou=groups,o=x", "member", ONE));
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
	before = dump(w);
	assert_int_equal(dir_admin_transfer(w->a, "1", &unsaid, &c, &why), ERR_SYNTAX);
	assert_non_null(strstr(why, "--role"));
	after = dump(w);
	assert_string_equal(before, after);
	free(why);
	why = NULL;
	OK(dir_admin_transfer(w->a, "1", &as_staff, &c, &why));
	assert_false(has(w, post, "roleOccupant", ONE));
	assert_true(has(w, ONE, "vnAgencyRef", "H9.2"));
	free(before);
	free(after);
	world_free(w);
}

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
	assert_true(has(w, dn, "vnDecisionRef", "1/QĐ"));
	assert_true(has(w, dn, "vnDecisionRef", "2/QĐ"));
	assert_true(has(w, dn, "vnDecisionRef", "3/QĐ"));
	world_free(w);
}

static void
test_nothing_begins_that_is_over(void **state)
{
	const struct staff_second second = {"H9.2", NULL, "2021-05-01", QD, false};
	const struct post_assign assign = {"H9.1-vanthu", "3", "2020-02-01", "2021-01-01", QD};
	const struct delegate_grant grant = {"1", "2", "lrs", false, NULL, "2021-01-01", QD};
	struct world *w = world_new();
	char *why = NULL, *before = dump(w), *after;
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
	after = dump(w);
	assert_string_equal(before, after);
	free(before);
	free(after);
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
	assert_true(has(w, box, "displayName", "Sở Khác"));
	/* written past congvu: the next name takes it along */
	assert_int_equal(dir_modify(w->dir, box,
			     &(struct dir_mod){DIR_MOD_REPLACE, "displayName",
				 &(struct slice){(const unsigned char *)"Tay", 3}, 1},
			     1, &why),
	    0);
	OK(dir_admin_agency_rename(w->a, "H9.1", "Sở Khác Nữa", NULL, QD, &c, &why));
	assert_true(has(w, box, "displayName", "Sở Khác Nữa"));
	assert_true(has(w, post, "displayName", "Giám đốc (MOT)"));
	assert_true(has(w, ONE, "ou", "Sở Khác Nữa"));
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
	OK(do_leave(w, &c, &why));
	assert_true(has(w, ONE, "vnStatus", "closed"));
	assert_true(has(w, ONE, "vnEpoch", "2"));
	assert_false(has(w, ONE, "mail", NULL));
	assert_false(has(w, ONE, "vnMailAlias", NULL));
	assert_false(has(w, "vnPositionCode=H9.1-vanthu,vnAgencyCode=H9.1,ou=agencies,o=x",
	    "roleOccupant", NULL));
	assert_false(has(w, "cn=ban,ou=groups,o=x", "member", ONE));
	OK(dir_admin_delegations(w->a, NULL, false, &r, &why));
	assert_int_equal(r->n_entries, 0);
	dir_result_free(r);
	/* nobody else gets an address of theirs; the id is not hired again */
	assert_int_equal(
	    dir_admin_alias(w->a, "3", "binhtv@tinhmau.example", true, QD, &c, &why), ERR_EXISTS);
	assert_int_equal(
	    dir_admin_alias(w->a, "3", "tvb@tinhmau.example", true, QD, &c, &why), ERR_EXISTS);
	assert_int_equal(dir_admin_freeze(w->a, "1", true, QD, &c, &why), ERR_GONE);
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
	assert_int_equal(
	    dir_admin_alias(w->a, "3", "mo@tinhmau.example", true, QD, &c, &why), ERR_EXISTS);
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
	assert_non_null(strstr(why, "2 people, 1 held posts, 1 mailboxes, 1 groups"));
	assert_true(has(w, "vnAgencyCode=H9.1,ou=agencies,o=x", "vnStatus", "active"));
	OK(do_close(w, &c, &why));
	assert_true(has(w, "vnAgencyCode=H9.1,ou=agencies,o=x", "vnStatus", "closed"));
	assert_true(has(w, "vnAgencyCode=H9.1,ou=agencies,o=x", "vnSuccessor", "H9.2"));
	assert_true(has(w, "vnAgencyCode=H9.2,ou=agencies,o=x", "vnPredecessor", "H9.1"));
	assert_true(has(w, ONE, "vnAgencyRef", "H9.2"));
	/* the post went along, is still held, and still holds its mailbox */
	assert_true(has(w, "vnPositionCode=H9.1-vanthu,vnAgencyCode=H9.2,ou=agencies,o=x",
	    "roleOccupant", ONE));
	assert_true(has(w, "vnMailboxId=MOT,ou=mailboxes,o=x", "vnHolder",
	    "vnPositionCode=H9.1-vanthu,vnAgencyCode=H9.2,ou=agencies,o=x"));
	assert_int_equal(do_move(w, &c, &why), ERR_GONE);
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
	assert_int_equal(
	    dir_admin_group_members(w->a, "hop", true, ban, 1, QD, &c, &why), ERR_CONFLICT);
	assert_int_equal(
	    dir_admin_group_members(w->a, "hop", true, hop, 1, QD, &c, &why), ERR_CONFLICT);
	/* all or none: a name that nobody has */
	ban[0] = "khongai";
	assert_int_equal(
	    dir_admin_group_members(w->a, "hop", true, ban, 1, QD, &c, &why), ERR_NOTFOUND);
	OK(dir_admin_group_members(w->a, "ban", false, hop, 1, QD, &c, &why));
	OK(dir_admin_group_members(w->a, "ban", false, one, 1, QD, &c, &why));
	assert_true(has(w, "cn=ban,ou=groups,o=x", "member", "cn=nobody"));
	OK(dir_admin_group_members(w->a, "ban", true, one, 1, QD, &c, &why));
	assert_false(has(w, "cn=ban,ou=groups,o=x", "member", "cn=nobody"));
	world_free(w);
}

static void
test_hostile_words(void **state)
{
	static const char *const hostile[] = {"*", ")(uid=*", "a\\2a", "x,ou=people", "\x01",
	    "Lê\u202e", "Lê\xc2\x85", "\xff\xfe", ""};
	struct world *w = world_new();
	char *why = NULL, *before = dump(w), *after, *large = xcalloc(1, 100001);
	enum change c;

	(void)state;
	memset(large, 'a', 100000);
	for (size_t i = 0; i <= sizeof(hostile) / sizeof(hostile[0]); i++) {
		const char *word = i == sizeof(hostile) / sizeof(hostile[0]) ? large : hostile[i];
		const struct post_assign p = {word, "1", NULL, NULL, QD};
		const struct group_create g = {.id = word, .name = "Tên", .decision = QD};
		const struct agency_add add = {
		    .code = word, .name = "Tên", .abbrev = "T", .kind = "dept", .decision = QD};

		assert_int_not_equal(dir_admin_leave(w->a, word, QD, &c, &why), 0);
		assert_non_null(why);
		assert_int_not_equal(dir_admin_post_assign(w->a, &p, &c, &why), 0);
		assert_int_not_equal(dir_admin_group_create(w->a, &g, &c, &why), 0);
		assert_int_not_equal(dir_admin_agency_add(w->a, &add, &c, &why), 0);
		assert_int_not_equal(dir_admin_alias(w->a, "1", word, true, QD, &c, &why), 0);
		if (i >= 4) /* a name that shows as another, or none */
			assert_int_not_equal(
			    dir_admin_agency_rename(w->a, "H9.1", word, NULL, QD, &c, &why), 0);
		if (i >= 4) /* as a decision */
			assert_int_not_equal(dir_admin_freeze(w->a, "1", true, word, &c, &why), 0);
	}
	assert_int_not_equal(dir_admin_freeze(w->a, "1", true, NULL, &c, &why), 0);
	after = dump(w);
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
	char *why = NULL, *before = dump(w), *after;
	enum change c;

	(void)state;
	w->journal_fails = true;
	for (size_t i = 0; i < N_CHANGES; i++)
		assert_int_equal(changes[i].fn(w, &c, &why), ERR_IO);
	after = dump(w);
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
	assert_int_equal(dir_admin_app_revoke(w->a, &s, "abcd", &sessions_err, &why), ERR_NOTFOUND);
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
	    cmocka_unit_test(test_cut_off_and_given_again), cmocka_unit_test(test_transfer),
	    cmocka_unit_test(test_a_clerk_goes_elsewhere_in_a_role),
	    cmocka_unit_test(test_an_agency_moves_by_another_decision_each_time),
	    cmocka_unit_test(test_nothing_begins_that_is_over),
	    cmocka_unit_test(test_an_agency_is_renamed_before_what_is_called_after_it),
	    cmocka_unit_test(test_leave_ends_everything),
	    cmocka_unit_test(test_an_address_is_free_after_ten_years),
	    cmocka_unit_test(test_close_refuses_and_moves),
	    cmocka_unit_test(test_groups_have_no_circles), cmocka_unit_test(test_hostile_words),
	    cmocka_unit_test(test_no_change_without_a_journal),
	    cmocka_unit_test(test_a_hire_is_in_the_journal_without_its_password),
	    cmocka_unit_test(test_revoked_though_sessions_go_on)};
	int failed;

	json_init();
	conf = conf_of();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_free(conf);
	return failed;
}
