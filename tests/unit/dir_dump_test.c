/* dir_dump_test.c: the directory as LDIF, JSON and CSV: out and in again octet by octet, into an empty directory too; and what is refused. */
#include "config.h"

#include "directory/dir_admin.h"
#include "directory/dir_dump.h"
#include "directory/dir_fake.h"
#include "lib/err.h"
#include "lib/log.h"

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

#define PERSON(id, rest)                                                           \
	"dn: vnStaffId=" id ",ou=people,o=x\ncn: A\nobjectClass: vnCivilServant\n" \
	"vnStaffId: " id "\n" rest "\n"

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

/* Nobody's address comes to a second one of the same file: whether each is written by itself or they are written together. */
static void
test_one_address_for_two_of_a_file(void **state)
{
	static const char *const files[] = {
	    PERSON("7", "mail: b@tinhmau.example\n") PERSON("8", "mail: b@tinhmau.example\n"),
	    PERSON("7", "mail: b@tinhmau.example\n") PERSON("8", "mail: B@TinhMau.example\n"),
	    PERSON("7", "mail: B@TinhMau.example\n")
		PERSON("8", "vnMailAlias: b@tinhmau.example\n"),
	    PERSON("7", "mail: c@tinhmau.example\nvnMailAlias: d@tinhmau.example\nvnMailAlias: "
			"b@tinhmau.example\n") PERSON("8", "mail: b@tinhmau.example\n"),
	    PERSON("7", "vnAddressHistory: b@tinhmau.example;20200101;\n")
		PERSON("8", "mail: b@tinhmau.example\n"),
	    /* who is there gets it first, and the second one is new; and the other way round */
	    PERSON("1", "mail: a@tinhmau.example\nvnMailAlias: b@tinhmau.example\n")
		PERSON("8", "mail: b@tinhmau.example\n"),
	    PERSON("7", "mail: b@tinhmau.example\n")
		PERSON("1", "mail: a@tinhmau.example\nvnMailAlias: b@tinhmau.example\n"),
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(files) / sizeof(files[0]); i++) {
		struct dir *d;
		struct dir_admin *a = admin(&d);
		struct dir_result *r;
		size_t counts[N_IMPORT_COUNTS];
		enum change c;
		char *why = NULL;

		dir_fake_transactions(d, i % 2 == 1);
		import(a, tree, counts);
		assert_int_equal(counts[CHANGE_ADDED], 3);
		r = parsed(files[i / 2], DUMP_LDIF);
		if (dir_admin_import(a, r, "1/QĐ", counts, &c, &why) != ERR_EXISTS)
			fail_msg("%zu: %zu added", i, counts[CHANGE_ADDED]);
		assert_non_null(strstr(why, "b@tinhmau.example is somebody else's"));
		assert_non_null(strstr(why, r->entries[1].dn));
		assert_int_equal(counts[CHANGE_ADDED] + counts[CHANGE_CHANGED], 1);
		assert_int_equal(json_len(dir_admin_changes(a)), 1);
		assert_false(has(d, "vnStaffId=8,ou=people,o=x", "cn", NULL));
		assert_true(has(d, r->entries[0].dn, "vnStaffId", NULL));
		free(why);
		dir_result_free(r);
		dir_admin_free(a);
		dir_close(d);
	}
}

/* What a file may do with addresses it may do within one write too: an earlier entry of it gives one up, and a later one names what an earlier one makes. */
static void
test_what_later_entries_of_a_file_rest_on(void **state)
{
	static const char file[] =
	    "dn: ou=agencies,o=x\nobjectClass: organizationalUnit\nou: agencies\n\n"
	    "dn: vnAgencyCode=H1,ou=agencies,o=x\nobjectClass: vnAgency\nvnAgencyCode: H1\n"
	    "ou: S\n\n"
	    "dn: vnPositionCode=H1-vt,vnAgencyCode=H1,ou=agencies,o=x\nobjectClass: vnPosition\n"
	    "vnPositionCode: H1-vt\nvnAgencyRef: H1\nmail: vt@tinhmau.example\n\n"
	    /* the alias is an address of its own too, told twice of one person */
	    PERSON("1", "mail: new@tinhmau.example\nvnMailAlias: new@tinhmau.example\n")
		PERSON("2", "mail: a@tinhmau.example\n") PERSON("3", "uid: a\n");

	(void)state;
	for (int together = 0; together < 2; together++) {
		struct dir *d;
		struct dir_admin *a = admin(&d);
		size_t counts[N_IMPORT_COUNTS];

		dir_fake_transactions(d, together == 1);
		import(a, tree, counts);
		import(a, file, counts);
		assert_int_equal(counts[CHANGE_ADDED], 5);
		assert_int_equal(counts[CHANGE_CHANGED], 1);
		assert_true(has(d, "vnStaffId=1,ou=people,o=x", "mail", "new@tinhmau.example"));
		assert_true(has(d, "vnStaffId=2,ou=people,o=x", "mail", "a@tinhmau.example"));
		assert_true(has(d, "vnPositionCode=H1-vt,vnAgencyCode=H1,ou=agencies,o=x", "mail",
		    "vt@tinhmau.example"));
		dir_admin_free(a);
		dir_close(d);
	}
}

/* ---- a journal that takes records up to a size, and keeps what was synced ---- */

struct disk {
	struct json *put, *synced;
	size_t max;
	int sync_err;
	struct dir *goes; /* it does not answer any more once something was undone */
};

static int
disk_begin(void *arg, char **why_out)
{
	(void)arg;
	(void)why_out;
	return 0;
}

static void
disk_end(void *arg)
{
	(void)arg;
}

static int
disk_put(void *arg, struct json *rec, char **why_out)
{
	struct disk *k = arg;
	struct buf b;

	buf_init(&b, 8 << 20);
	assert_int_equal(json_canonical(rec, &b), 0);
	if (b.len > k->max) {
		json_cut(k->put, 0);
		json_free(rec);
		buf_done(&b);
		*why_out = strdup("the change is too large");
		return ERR_LIMIT;
	}
	buf_done(&b);
	if (k->goes != NULL && strcmp(json_cstr(json_get(rec, "write")), "undone") == 0)
		dir_fake_fail(k->goes, ERR_TEMP);
	json_push_take(k->put, rec);
	return 0;
}

static int
disk_sync(void *arg, char **why_out)
{
	struct disk *k = arg;

	for (size_t i = 0; k->sync_err == 0 && i < json_len(k->put); i++)
		json_push_take(k->synced, json_share(json_at(k->put, i)));
	json_cut(k->put, 0);
	if (k->sync_err != 0)
		*why_out = strdup("no disk");
	return k->sync_err;
}

static int
disk_write(void *arg, struct json *rec, char **why_out)
{
	int err = disk_put(arg, rec, why_out);

	return err != 0 ? err : disk_sync(arg, why_out);
}

/* What the journal has on the disk: "add vnStaffId=7,… end failed ". */
static char *
disk_text(const struct disk *k)
{
	struct buf b;
	char *text;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < json_len(k->synced); i++) {
		const struct json *rec = json_at(k->synced, i);
		const char *dn = json_cstr(json_get(rec, "dn")),
			   *end = json_cstr(json_get(rec, "end"));

		if (*end != '\0')
			buf_appendf(&b, "end %s ", end);
		else
			buf_appendf(&b, "%s %.*s ", json_cstr(json_get(rec, "write")),
			    (int)strcspn(dn, ","), dn);
	}
	text = xstrdup(buf_cstr(&b));
	buf_done(&b);
	return text;
}

struct site {
	struct dir *d;
	struct dir_admin *a;
	struct disk disk;
	struct dir_admin_journal hooks;
};

static void
site_new(struct site *s)
{
	s->a = admin(&s->d);
	dir_fake_transactions(s->d, true);
	s->disk = (struct disk){json_arr_new(), json_arr_new(), 2000, 0, NULL};
	s->hooks = (struct dir_admin_journal){
	    disk_begin, disk_write, disk_end, disk_put, disk_sync, &s->disk};
	dir_admin_set_journal(s->a, &s->hooks, "root", NULL);
}

static void
site_free(struct site *s)
{
	json_free(s->disk.put);
	json_free(s->disk.synced);
	dir_admin_free(s->a);
	dir_close(s->d);
}

static void
expect_journal(const struct site *s, const char *wanted)
{
	char *text = disk_text(&s->disk);

	assert_string_equal(text, wanted);
	free(text);
}

/* base, and people, whose n-th (from 1) has a description of so many octets. */
static struct dir_result *
people(unsigned n_people, unsigned n, size_t octets)
{
	struct dir_result *r;
	struct buf b;

	buf_init(&b, 16 << 20);
	buf_append_str(&b, "dn: o=x\no: x\nobjectClass: organization\n\ndn: ou=people,o=x\n"
			   "objectClass: organizationalUnit\nou: people\n");
	for (unsigned i = 1; i <= n_people; i++) {
		buf_appendf(&b,
		    "\ndn: vnStaffId=%u,ou=people,o=x\ncn: A\nmail: p%u@tinhmau.example\n"
		    "objectClass: vnCivilServant\nvnStaffId: %u\n",
		    i, i, i);
		if (i == n) {
			buf_append_str(&b, "description: ");
			for (size_t k = 0; k < octets; k++)
				buf_append_byte(&b, 'x');
			buf_append_str(&b, "\n");
		}
	}
	assert_int_equal(b.err, 0);
	r = parsed(buf_cstr(&b), DUMP_LDIF);
	buf_done(&b);
	return r;
}

/* One entry is larger than the journal takes: what stands before it is made, and the journal has that and nothing else. */
static void
test_one_that_the_journal_does_not_take(void **state)
{
	/* the second is too large for what is kept until the end, too */
	static const size_t octets[] = {3000, 5 << 20};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct dir_result *r = people(4, 3, octets[i]);
		size_t counts[N_IMPORT_COUNTS];
		enum change c;
		char *why = NULL;
		struct site s;

		site_new(&s);
		assert_int_equal(dir_admin_import(s.a, r, "1/QĐ", counts, &c, &why), ERR_LIMIT);
		assert_non_null(strstr(why, "vnStaffId=3,ou=people,o=x"));
		free(why);
		assert_int_equal(counts[CHANGE_ADDED], 4);
		assert_int_equal(json_len(dir_admin_changes(s.a)), 4);
		assert_true(has(s.d, "vnStaffId=2,ou=people,o=x", "cn", "A"));
		assert_false(has(s.d, "vnStaffId=3,ou=people,o=x", "cn", NULL));
		assert_false(has(s.d, "vnStaffId=4,ou=people,o=x", "cn", NULL));
		expect_journal(
		    &s, "add o=x add ou=people add vnStaffId=1 add vnStaffId=2 end failed ");
		dir_result_free(r);
		site_free(&s);
	}
}

/* No write of a journal that cannot be written: nothing is counted. */
static void
test_a_journal_without_a_disk(void **state)
{
	struct dir_result *r = people(4, 0, 0);
	size_t counts[N_IMPORT_COUNTS];
	enum change c;
	char *why = NULL;
	struct site s;

	(void)state;
	site_new(&s);
	s.disk.sync_err = ERR_IO;
	assert_int_equal(dir_admin_import(s.a, r, "1/QĐ", counts, &c, &why), ERR_IO);
	assert_string_equal(why, "no disk");
	free(why);
	assert_int_equal(counts[CHANGE_ADDED], 0);
	assert_int_equal(json_len(dir_admin_changes(s.a)), 0);
	assert_false(has(s.d, "ou=people,o=x", "ou", NULL));
	expect_journal(&s, "");
	dir_result_free(r);
	site_free(&s);
}

/* The directory takes none together, and then is not there for the first by itself: the journal says so, and has an end. */
static void
test_what_is_undone_has_an_end(void **state)
{
	struct dir_result *r = people(1, 0, 0);
	size_t counts[N_IMPORT_COUNTS];
	enum change c;
	char *why = NULL;
	struct site s;

	(void)state;
	site_new(&s);
	dir_fake_writes(s.d, 0);
	s.disk.goes = s.d;
	assert_int_equal(dir_admin_import(s.a, r, "1/QĐ", counts, &c, &why), ERR_TEMP);
	free(why);
	assert_int_equal(counts[CHANGE_ADDED], 0);
	expect_journal(&s, "add o=x add ou=people add vnStaffId=1 undone o=x end failed ");
	dir_result_free(r);
	site_free(&s);
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
	    cmocka_unit_test(test_one_address_for_two_of_a_file),
	    cmocka_unit_test(test_what_later_entries_of_a_file_rest_on),
	    cmocka_unit_test(test_one_that_the_journal_does_not_take),
	    cmocka_unit_test(test_a_journal_without_a_disk),
	    cmocka_unit_test(test_what_is_undone_has_an_end),
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
