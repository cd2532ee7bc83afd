/* dir_dump_test.c: the directory as LDIF, JSON and CSV: out and in again octet by octet, into an empty directory too; and what is refused. */
#include "config.h"

#include "directory/dir_admin.h"
#include "directory/dir_dump.h"
#include "directory/dir_fake.h"
#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static struct conf *conf;

static struct dir_result *
parsed(const char *text, enum dump_format f)
{
	struct dir_result *r = NULL;
	char *why = NULL;

	if (dump_parse(slice_str(text), f, &r, &why) != 0)
		fail_msg("%s", why);
	return r;
}

static const char odd[] =
    "version: 1\n\ndn: o=x\no: x\n\ndn:: Y249SMawxqFuZyxvPXg=\n"
    "cn: Hu\ncn:: SMawxqFuZw==\ndescription:: IGxlYWRpbmcgYW5kIHRyYWlsaW5nIA==\ndescription:: "
    "YQpi\n"
    "description: x,\"y\"\njpegPhoto;binary:: AP/+\nseeAlso:: OmNvbG9u\n\ndn: cn=z,o=x\ncn: z\n";

static void
test_round_trip_is_exact(void **state)
{
	(void)state;
	for (int f = 0; f < 3; f++) {
		struct dir_result *r = parsed(odd, DUMP_LDIF), *back = NULL;
		struct buf one, two, ldif;
		char *why = NULL;

		buf_init(&one, 1 << 20);
		buf_init(&two, 1 << 20);
		buf_init(&ldif, 1 << 20);
		assert_int_equal(dump_write(r, (enum dump_format)f, &one), 0);
		assert_int_equal(dump_parse(buf_slice(&one), (enum dump_format)f, &back, &why), 0);
		assert_int_equal(dump_write(back, (enum dump_format)f, &two), 0);
		assert_true(slice_eq(buf_slice(&one), buf_slice(&two)));
		assert_int_equal(back->n_entries, 3);
		assert_string_equal(back->entries[0].dn, "o=x");
		assert_string_equal(back->entries[1].dn, "cn=Hương,o=x");
		assert_true(slice_eq(dir_entry_value(&back->entries[1], "jpegPhoto;binary"),
		    slice_of("\0\xff\xfe", 3)));
		assert_true(
		    dir_entry_has_value(&back->entries[1], "description", slice_str("a\nb")));
		/* whatever the format, the same entries */
		assert_int_equal(dump_write(back, DUMP_LDIF, &ldif), 0);
		assert_string_equal(buf_cstr(&ldif), odd);
		dir_result_free(r);
		dir_result_free(back);
		buf_done(&one);
		buf_done(&two);
		buf_done(&ldif);
	}
}

static void
test_what_people_write(void **state)
{
	struct dir_result *r = parsed(
	    "# a comment\r\n with a fold\r\ndn: cn=a,\r\n o=x\r\ncn: a\r\n\r\n\r\n", DUMP_LDIF);

	(void)state;
	assert_string_equal(r->entries[0].dn, "cn=a,o=x");
	dir_result_free(r);
	r = parsed("\xef\xbb\xbf"
		   "dn,attribute,encoding,value\r\n\"cn=a,o=x\",cn,,\"a \"\"b\"\"\"",
	    DUMP_CSV);
	assert_true(dir_entry_has_value(&r->entries[0], "cn", slice_str("a \"b\"")));
	dir_result_free(r);
}

static void
test_what_is_refused(void **state)
{
	static const struct {
		enum dump_format f;
		const char *text, *why;
	} bad[] = {{DUMP_LDIF, "cn: a\n", "line 1: a record begins with its dn"},
	    {DUMP_LDIF, "dn: o=x\nchangetype: delete\n", "line 2: this is a file of changes"},
	    {DUMP_LDIF, "dn: o=x\njpegPhoto:< file:///etc/shadow\n", "line 2: values from URLs"},
	    {DUMP_LDIF, "dn: o=x\no:: *\n", "line 2: this is no base64"},
	    {DUMP_LDIF, "dn: o=x\nuserPassword\n", "line 2: no \"name: value\""},
	    {DUMP_LDIF, "dn: o=x\nna me: a\n", "line 2: this is no name"},
	    {DUMP_LDIF, "dn:: /w==\n", "line 1: a record begins"},
	    {DUMP_LDIF, "dn: o=x\no: x\n\ndn: ou=a,o=x\nou: a\n\ndn: O=X\no: y\n",
		"entry 3: it stands there twice"},
	    {DUMP_CSV, "dn,attribute,encoding,value\no=x,o,,x\no=y,o,,y\no=x,o,,y\n", "twice"},
	    {DUMP_JSON, "{}", "no JSON array"}, {DUMP_JSON, "[1]", "entry 1: wanted"},
	    {DUMP_JSON, "[{\"dn\":\"o=x\",\"attributes\":{\"o\":[1]}}]", "entry 1: wanted"},
	    {DUMP_JSON, "[{\"dn\":\"o=x\",\"attributes\":{\"DN\":[\"o=y\"]}}]", "entry 1: wanted"},
	    {DUMP_CSV, "dn,attribute,encoding,value\no=x,changetype,,delete\n",
		"no name of an attribute"},
	    {DUMP_CSV, "a,b\n", "row 1: four columns"},
	    {DUMP_CSV, "dn,attribute,encoding,value\no=x,o,rot13,x\n", "row 2: the encoding"},
	    {DUMP_CSV, "dn,attribute,encoding,value\n,o,,x\n", "row 2: the dn is missing"},
	    {DUMP_CSV, "dn,attribute,encoding,value\no=x,o,,\"x\n", "row 2: four columns"}};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct dir_result *r = NULL;
		char *why = NULL;

		assert_int_equal(
		    dump_parse(slice_str(bad[i].text), bad[i].f, &r, &why), ERR_SYNTAX);
		if (strstr(why, bad[i].why) == NULL)
			fail_msg("%zu: %s", i, why);
		free(why);
	}
}

/* ---- into a directory ---- */

static struct dir_admin *
admin(struct dir **d)
{
	*d = dir_fake_new("o=x");
	return dir_admin_new(conf, *d);
}

static const char tree[] = "version: 1\n\ndn: o=x\no: x\nobjectClass: organization\n\n"
			   "dn: ou=people,o=x\nobjectClass: organizationalUnit\nou: people\n\n"
			   "dn: vnStaffId=1,ou=people,o=x\ncn: A\nmail: a@tinhmau.example\n"
			   "objectClass: vnCivilServant\nvnStaffId: 1\n";

static void
test_into_an_empty_directory_and_again(void **state)
{
	struct dir *d;
	struct dir_admin *a = admin(&d);
	struct dir_result *r = parsed(tree, DUMP_LDIF), *out = NULL;
	size_t counts[N_IMPORT_COUNTS];
	enum change c;
	char *why = NULL;
	size_t left_out = 99;
	struct buf text;

	(void)state;
	dir_admin_set_dry_run(a, true);
	assert_int_equal(dir_admin_import(a, r, "1/QĐ", counts, &c, &why), 0);
	assert_int_equal(counts[CHANGE_ADDED], 3);
	dir_admin_set_dry_run(a, false);
	if (dir_admin_import(a, r, "1/QĐ", counts, &c, &why) != 0)
		fail_msg("%s", why);
	assert_int_equal(counts[CHANGE_ADDED], 3);
	assert_int_equal(dir_admin_export(a, &out, &left_out, &why), 0);
	buf_init(&text, 1 << 20);
	assert_int_equal(dump_write(out, DUMP_LDIF, &text), 0);
	assert_string_equal(buf_cstr(&text), tree);
	buf_done(&text);
	assert_int_equal(dir_admin_import(a, r, "1/QĐ", counts, &c, &why), 0);
	assert_int_equal(c, CHANGE_NONE);
	assert_int_equal(counts[CHANGE_NONE], 3);
	dir_result_free(out);
	dir_result_free(r);
	dir_admin_free(a);
	dir_close(d);
}

static void
test_what_a_file_may_not_bring(void **state)
{
	static const char *const bad[] = {"dn: cn=hr,ou=services,o=x\ncn: hr\n",
	    "dn: cn=default,ou=policies,o=x\ncn: default\n", "dn: o=elsewhere\no: elsewhere\n",
	    "dn: vnStaffId=2,ou=people,o=x\nuserPassword: x\n",
	    "dn: vnStaffId=2,ou=people,o=x\nvnStaffId: 2\nmail: a@tinhmau.example\n"};
	struct dir *d;
	struct dir_admin *a = admin(&d);
	struct dir_result *r = parsed(tree, DUMP_LDIF);
	size_t counts[N_IMPORT_COUNTS];
	enum change c;
	char *why = NULL;

	(void)state;
	assert_int_equal(dir_admin_import(a, r, "1/QĐ", counts, &c, &why), 0);
	dir_result_free(r);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		r = parsed(bad[i], DUMP_LDIF);
		assert_int_equal(dir_admin_import(a, r, "1/QĐ", counts, &c, &why),
		    i == 4 ? ERR_EXISTS : ERR_DENIED);
		assert_non_null(why);
		free(why);
		why = NULL;
		dir_result_free(r);
	}
	dir_admin_free(a);
	dir_close(d);
}

static bool
has(struct dir *d, const char *dn, const char *attr, const char *value)
{
	const char *const attrs[] = {attr, NULL};
	struct dir_result *r = NULL;
	bool found = dir_read(d, dn, attrs, &r) == 0 &&
		     (value == NULL ? dir_entry_attr(&r->entries[0], attr) != NULL
				    : dir_entry_has_value(&r->entries[0], attr, slice_str(value)));

	dir_result_free(r);
	return found;
}

static void
import(struct dir_admin *a, const char *text, size_t counts[N_IMPORT_COUNTS])
{
	struct dir_result *r = parsed(text, DUMP_LDIF);
	enum change c;
	char *why = NULL;

	if (dir_admin_import(a, r, "1/QĐ", counts, &c, &why) != 0)
		fail_msg("%s", why);
	dir_result_free(r);
}

/* What sessions, passwords and ids go by does not go back to what an older file says. */
static void
test_an_older_file_locks_nobody_out(void **state)
{
	static const char people[] = "ou=people,o=x", one[] = "vnStaffId=1,ou=people,o=x",
			  two[] = "vnStaffId=2,ou=people,o=x";
	static const char older[] =
	    "dn: ou=people,o=x\nobjectClass: organizationalUnit\nou: people\nvnNextId: 100\n\n"
	    "dn: vnStaffId=1,ou=people,o=x\nobjectClass: vnCivilServant\nvnStaffId: 1\n"
	    "vnStatus: active\nvnEpoch: 1\nvnScramTime: 20200101000000Z\ntitle: A\n"
	    "vnGraceTime: 20200101000000Z\n\n"
	    "dn: vnStaffId=2,ou=people,o=x\nobjectClass: vnCivilServant\nvnStaffId: 2\n"
	    "vnStatus: suspended\n";
	size_t counts[N_IMPORT_COUNTS];
	struct dir *d;
	struct dir_admin *a = admin(&d);

	(void)state;
	dir_fake_add(d, people,
	    (const char *const[]){
		"objectClass", "organizationalUnit", "ou", "people", "vnNextId", "200", NULL});
	dir_fake_add(d, one,
	    (const char *const[]){"objectClass", "vnCivilServant", "vnStaffId", "1", "vnStatus",
		"active", "vnEpoch", "7", "vnScramTime", "20250101000000Z", "title", "B", NULL});
	dir_fake_add(d, two,
	    (const char *const[]){"objectClass", "vnCivilServant", "vnStaffId", "2", "vnStatus",
		"active", "vnEpoch", "4", "vnScramTime", "20250101000000Z", "vnGraceTime",
		"20250202000000Z", NULL});
	import(a, older, counts);
	assert_int_equal(counts[CHANGE_CHANGED], 2);
	assert_int_equal(counts[CHANGE_NONE], 1);
	assert_true(has(d, people, "vnNextId", "200"));
	assert_true(has(d, one, "title", "A"));
	assert_true(has(d, one, "vnEpoch", "7"));
	assert_true(has(d, one, "vnScramTime", "20250101000000Z"));
	assert_false(has(d, one, "vnGraceTime", NULL));
	assert_true(has(d, two, "vnStatus", "suspended")); /* and the sessions end */
	assert_true(has(d, two, "vnEpoch", "5"));
	assert_true(has(d, two, "vnScramTime", "20250101000000Z"));
	assert_true(has(d, two, "vnGraceTime", "20250202000000Z"));
	import(a, older, counts);
	assert_int_equal(counts[CHANGE_NONE], 3);
	assert_true(has(d, two, "vnEpoch", "5"));
	/* upwards they follow: a directory put back from before the file was written */
	import(a,
	    "dn: ou=people,o=x\nobjectClass: organizationalUnit\nou: people\nvnNextId: 300\n\n"
	    "dn: vnStaffId=2,ou=people,o=x\nobjectClass: vnCivilServant\nvnStaffId: 2\n"
	    "vnStatus: closed\nvnEpoch: 9\n",
	    counts);
	assert_true(has(d, people, "vnNextId", "300"));
	assert_true(has(d, two, "vnEpoch", "10"));
	dir_admin_free(a);
	dir_close(d);
}

/* App passwords and officers cannot be made without their passwords: they stop nothing behind them. */
static void
test_app_passwords_and_officers_are_left_out(void **state)
{
	static const char file[] =
	    "dn: ou=apppasswords,o=x\nobjectClass: organizationalUnit\nou: apppasswords\n\n"
	    "dn: vnAppId=ab,ou=apppasswords,o=x\nobjectClass: vnAppPassword\nvnAppId: ab\n\n"
	    "dn: ou=officers,o=x\nobjectClass: organizationalUnit\nou: officers\n\n"
	    "dn: cn=hr1,ou=officers,o=x\nobjectClass: vnHrOfficer\ncn: hr1\nvnHrOf: H9\n"
	    "vnHrOf: H1\n\n"
	    "dn: ou=zz,o=x\nobjectClass: organizationalUnit\nou: zz\n";
	static const char officer[] = "cn=hr1,ou=officers,o=x";
	size_t counts[N_IMPORT_COUNTS], left_out = 0;
	struct dir_result *out = NULL;
	struct dir *d;
	struct dir_admin *a = admin(&d);
	char *why = NULL;

	(void)state;
	dir_fake_add(d, officer,
	    (const char *const[]){"objectClass", "vnHrOfficer", "cn", "hr1", "vnHrOf", "H9", NULL});
	import(a, file, counts);
	assert_int_equal(counts[CHANGE_ADDED], 3);
	assert_int_equal(counts[IMPORT_SKIPPED], 2);
	assert_true(has(d, "ou=zz,o=x", "ou", "zz"));
	assert_false(has(d, "vnAppId=ab,ou=apppasswords,o=x", "vnAppId", NULL));
	assert_false(has(d, officer, "vnHrOf", "H1"));
	assert_int_equal(dir_admin_export(a, &out, &left_out, &why), 0);
	assert_int_equal(left_out, 1);
	for (size_t i = 0; i < out->n_entries; i++)
		assert_null(strstr(out->entries[i].dn, "hr1"));
	dir_result_free(out);
	dir_admin_free(a);
	dir_close(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip_is_exact),
	    cmocka_unit_test(test_what_people_write), cmocka_unit_test(test_what_is_refused),
	    cmocka_unit_test(test_into_an_empty_directory_and_again),
	    cmocka_unit_test(test_what_a_file_may_not_bring),
	    cmocka_unit_test(test_an_older_file_locks_nobody_out),
	    cmocka_unit_test(test_app_passwords_and_officers_are_left_out)};
	char path[] = "/tmp/dir_dump_testXXXXXX", *why = NULL;
	FILE *f = fdopen(mkstemp(path), "w");
	int failed;

	fprintf(f, "domains = {\"tinhmau.example\"}\nldap_base = \"o=x\"\n");
	fclose(f);
	json_init();
	if (conf_load(path, &conf, &why) != 0)
		return 1;
	unlink(path);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_free(conf);
	return failed;
}
