/* dir_admin_queue_test.c: what a later write of a change sees of the earlier ones, which are kept until its end: what they add, change, delete and move. */
#include "config.h"

#include "directory/dir_admin_priv.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/dir_admin_world.h"

static const char *const all[] = {"*", NULL};

static struct world *
begun(void)
{
	struct world *w = world_new();
	char *why = NULL;

	dir_fake_transactions(w->dir, true);
	OK(admin_begin(w->a, "test", "o=x", QD, &why));
	assert_true(w->a->together);
	return w;
}

static void
ended(struct world *w)
{
	char *why = NULL;
	enum change c;

	OK(admin_end(w->a, 0, false, &c, &why));
	world_free(w);
}

/* The value as a later write sees it; "-": none, "gone": no entry. malloc'd. */
static char *
seen(struct world *w, const char *dn, const char *attr)
{
	struct dir_result *r = NULL;
	int err = admin_queue_read(w->a, dn, all, &r);
	struct slice v = err == 0 ? dir_entry_value(&r->entries[0], attr) : slice_of(NULL, 0);
	char *text = err != 0 ? xstrdup("gone") : v.len == 0 ? xstrdup("-") : slice_dup(v);

	assert_true(err == 0 || err == ERR_NOTFOUND);
	dir_result_free(r);
	return text;
}

static void
expect(struct world *w, const char *dn, const char *attr, const char *value)
{
	char *text = seen(w, dn, attr);

	assert_string_equal(text, value);
	free(text);
}

static int
add(struct world *w, const char *dn, const char *cn, char **why_out)
{
	struct mods m;
	int err;

	mods_init(&m);
	mods_str(&m, "cn", cn);
	err = admin_add(w->a, dn, &m, why_out);
	mods_done(&m);
	return err;
}

static int
change(struct world *w, const char *dn, const char *cn, char **why_out)
{
	struct mods m;
	int err;

	mods_init(&m);
	mods_replace(&m, "cn", cn);
	err = admin_modify(w->a, dn, &m, why_out);
	mods_done(&m);
	return err;
}

static int
gone(struct world *w, const char *dn, char **why_out)
{
	char name[200];

	snprintf(name, sizeof(name), "%s", dn);
	return admin_delete(w->a, &(struct dir_entry){.dn = name, .dn_norm = name}, why_out);
}

static void
test_what_is_deleted_is_gone(void **state)
{
	struct world *w = begun();
	char *why = NULL;

	(void)state;
	OK(change(w, THREE, "Ba", &why));
	expect(w, THREE, "cn", "Ba");
	OK(gone(w, THREE, &why));
	expect(w, THREE, "cn", "gone");
	FAILS(change(w, THREE, "Bốn", &why), ERR_NOTFOUND);
	/* and may be made again, once */
	OK(add(w, THREE, "Năm", &why));
	expect(w, THREE, "cn", "Năm");
	expect(w, THREE, "mail", "-");
	FAILS(add(w, THREE, "Sáu", &why), ERR_EXISTS);
	OK(change(w, THREE, "Bảy", &why));
	/* one that this change has made goes as well */
	OK(add(w, "cn=x,o=x", "X", &why));
	OK(gone(w, "cn=x,o=x", &why));
	expect(w, "cn=x,o=x", "cn", "gone");
	OK(admin_end(w->a, 0, false, NULL, &why));
	assert_true(world_has(w, THREE, "cn", "Bảy"));
	assert_false(world_has(w, THREE, "mail", NULL));
	assert_false(world_has(w, "cn=x,o=x", "cn", NULL));
	world_free(w);
}

static void
test_what_is_moved_is_found(void **state)
{
	/* the comma of the first is a part of its name */
	static const char *const rdns[] = {"cn=Sở\\, Ban", "cn=Sở"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct world *w = begun();
		char from[200], to[200], below[250], *why = NULL;

		snprintf(from, sizeof(from), "%s,ou=people,o=x", rdns[i]);
		snprintf(to, sizeof(to), "%s,ou=groups,o=x", rdns[i]);
		snprintf(below, sizeof(below), "cn=y,%s", to);
		ENTRY(w, from, "cn", "before");
		OK(admin_move(w->a, from, "ou=groups,o=x", &why));
		expect(w, to, "cn", "before");
		OK(change(w, to, "after", &why));
		expect(w, to, "cn", "after");
		OK(add(w, below, "Y", &why));
		expect(w, below, "cn", "Y");
		OK(admin_end(w->a, 0, false, NULL, &why));
		assert_true(world_has(w, to, "cn", "after"));
		assert_true(world_has(w, below, "cn", "Y"));
		assert_false(world_has(w, from, "cn", NULL));
		world_free(w);
	}
}

/* An address is whose it will be. */
static void
test_addresses_are_as_they_will_be(void **state)
{
	struct world *w = begun();
	char *why = NULL, *mail = NULL, *uid = NULL;
	struct mods m;

	(void)state;
	FAILS(admin_address_free(w->a, "hoalt@tinhmau.example", ONE, &mail, &why), ERR_EXISTS);
	OK(gone(w, TWO, &why));
	OK(admin_address_free(w->a, "hoalt@tinhmau.example", ONE, &mail, &why));
	free(mail);
	mail = NULL;
	mods_init(&m);
	mods_str(&m, "uid", "moi");
	mods_str(&m, "mail", "Moi@TinhMau.example");
	OK(admin_add(w->a, "vnStaffId=8,ou=people,o=x", &m, &why));
	mods_done(&m);
	FAILS(admin_address_free(w->a, "moi@tinhmau.example", ONE, &mail, &why), ERR_EXISTS);
	OK(admin_address_free(
	    w->a, "moi@tinhmau.example", "vnStaffId=8,ou=people,o=x", &mail, &why));
	assert_string_equal(mail, "moi@tinhmau.example");
	free(mail);
	FAILS(admin_address_given(w->a, "moi@tinhmau.example", &uid, &mail, &why), ERR_EXISTS);
	free(uid);
	free(mail);
	mail = NULL;
	/* who had it goes */
	OK(gone(w, "vnStaffId=8,ou=people,o=x", &why));
	OK(admin_address_free(w->a, "moi@tinhmau.example", ONE, &mail, &why));
	free(mail);
	ended(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_deleted_is_gone),
	    cmocka_unit_test(test_what_is_moved_is_found),
	    cmocka_unit_test(test_addresses_are_as_they_will_be)};
	int failed;

	json_init();
	world_conf = world_conf_load();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_free(world_conf);
	return failed;
}
