/* people_test.c: who is who, on entries in memory: logins, posts and groups, recipients, senders, and a directory that is down. */
#include "config.h"

#include "directory/dir_fake.h"
#include "directory/people.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define PEOPLE ",ou=people,o=x"

static struct dir *dir;
static struct people *people;
static struct conf *conf;

static struct conf *
conf_of(const char *more)
{
	char path[] = "/tmp/people_testXXXXXX", *why = NULL;
	int fd = mkstemp(path);
	struct conf *c = NULL;
	FILE *f = fdopen(fd, "w");

	assert_non_null(f);
	fprintf(f, "domains = {\"tinhmau.example\", \"bình.example\"}\nldap_base = \"o=x\"\n%s\n",
	    more);
	fclose(f);
	if (conf_load(path, &c, &why) != 0)
		fail_msg("%s", why);
	unlink(path);
	return c;
}

#define ENTRY(dn, ...) dir_fake_add(dir, dn, (const char *const[]){__VA_ARGS__, NULL})

static int
setup(void **state)
{
	char *why = NULL;

	(void)state;
	dir = dir_fake_new("o=x");
	conf = conf_of("");
	ENTRY("vnStaffId=1" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "1", "uid",
	    "binhtv", "mail", "BinhTV@TinhMau.example", "vnMailAlias", "binh@tinhmau.example",
	    "vnStatus", "active", "displayName", "Bình", "userPassword", "secret", "vnEpoch", "3",
	    "vnAgencyRef", "H99", "vnAddressHistory", "old@tinhmau.example;2020;2021",
	    "vnSigningAuthority", "QĐ;KT", "vnSigningAuthority", "*;TL", "authPassword",
	    "SCRAM-SHA-256$1:a$b:c");
	ENTRY("vnStaffId=2" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "2", "uid",
	    "huong", "mail", "huong@tinhmau.example", "vnStatus", "active", "pwdAccountLockedTime",
	    "000001010000Z");
	ENTRY("vnStaffId=3" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "3", "uid",
	    "twin", "mail", "twin3@tinhmau.example", "vnStatus", "active");
	ENTRY("vnStaffId=4" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "4", "uid",
	    "twin", "mail", "twin@tinhmau.example", "vnStatus", "active");
	ENTRY("vnStaffId=5" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "5", "uid",
	    "five", "mail", "twin@tinhmau.example", "vnStatus", "active");
	ENTRY("vnStaffId=6" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "{6B29 FC40}",
	    "uid", "guid", "mail", "guid@tinhmau.example", "vnStatus", "active", "pwdChangedTime",
	    "20260101000200Z", "vnScramTime", "20260101000000Z");
	ENTRY("cn=post,o=x", "objectClass", "organizationalRole", "cn", "post", "roleOccupant",
	    "vnStaffId=1, ou=people, o=x");
	ENTRY("cn=g,o=x", "objectClass", "groupOfNames", "objectClass", "vnMailGroup", "cn", "g",
	    "mail", "g@tinhmau.example", "member", "cn=post,o=x", "member", "cn=h,o=x");
	ENTRY("cn=h,o=x", "objectClass", "groupOfNames", "objectClass", "vnMailGroup", "cn", "h",
	    "mail", "h@tinhmau.example", "member", "cn=g,o=x", "member", "vnStaffId=2" PEOPLE,
	    "member", "vnStaffId=1" PEOPLE);
	ENTRY("vnMailboxId=a,o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId", "A", "mail",
	    "vt@tinhmau.example", "vnHolder", "CN=post,o=x");
	ENTRY("vnMailboxId=b,o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId", "b", "mail",
	    "b@bình.example", "vnReader", "cn=g,o=x", "vnDelegate", "cn=h,o=x");
	ENTRY("vnMailboxId=c,o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId", "c", "mail",
	    "c@tinhmau.example", "vnReader", "vnStaffId=2" PEOPLE);
	/* who forwards: 10 to 11 to 12 and out, 13 and 14 to each other, 15 to nobody, 16 outside alone */
	ENTRY("vnStaffId=10" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "10", "mail",
	    "f10@tinhmau.example", "vnForward", "f11@tinhmau.example", "vnForwardKeep", "FALSE");
	ENTRY("vnStaffId=11" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "11", "mail",
	    "f11@tinhmau.example", "vnMailAlias", "eleven@tinhmau.example", "vnForward",
	    "F12@TINHMAU.example", "vnForward", "x@elsewhere.example");
	ENTRY("vnStaffId=12" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "12", "mail",
	    "f12@tinhmau.example", "vnAutoReplyText", "Vắng mặt", "vnAutoReplyFrom",
	    "20200101000000Z", "vnAutoReplyUntil", "20990101000000Z", "vnAutoReplyDays", "3");
	ENTRY("vnStaffId=13" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "13", "mail",
	    "f13@tinhmau.example", "vnForward", "f14@tinhmau.example", "vnForwardKeep", "FALSE",
	    "vnAutoReplyText", "x", "vnAutoReplyUntil", "20200101000000Z");
	ENTRY("vnStaffId=14" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "14", "mail",
	    "f14@tinhmau.example", "vnForward", "f13@tinhmau.example", "vnForwardKeep", "FALSE",
	    "vnAutoReplyText", "x", "vnAutoReplyFrom", "20990101000000Z");
	ENTRY("vnStaffId=15" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "15", "mail",
	    "f15@tinhmau.example", "vnForward", "nobody@tinhmau.example", "vnForward", "no address",
	    "vnForwardKeep", "FALSE", "vnAutoReplyText", "x", "vnAutoReplyDays", "31");
	ENTRY("vnStaffId=16" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "16", "mail",
	    "f16@tinhmau.example", "vnForward", "y@elsewhere.example", "vnForwardKeep", "FALSE");
	/* 17 to a group that is open to those inside */
	ENTRY("vnStaffId=17" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "17", "mail",
	    "f17@tinhmau.example", "vnForward", "ig@tinhmau.example", "vnForwardKeep", "FALSE");
	ENTRY("cn=fg,o=x", "objectClass", "groupOfNames", "objectClass", "vnMailGroup", "cn", "fg",
	    "mail", "fg@tinhmau.example", "member", "vnStaffId=10" PEOPLE, "member",
	    "vnStaffId=16" PEOPLE, "vnMaySend", "members", "vnMaySend", "Boss@elsewhere.example");
	ENTRY("cn=ig,o=x", "objectClass", "groupOfNames", "objectClass", "vnMailGroup", "cn", "ig",
	    "mail", "ig@tinhmau.example", "member", "vnStaffId=2" PEOPLE, "vnMaySend", "inside");
	ENTRY("vnStaffId=18" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "18", "mail",
	    "now18@tinhmau.example", "vnMailAlias", "was18@tinhmau.example", "vnMailAlias",
	    "other18@tinhmau.example", "vnAddressHistory", "Was18@tinhmau.example;2020;2026");
	ENTRY("vnAgencyCode=H99,o=x", "objectClass", "vnAgency", "vnAgencyCode", "H99",
	    "vnAgencyAbbrev", "UBND");
	ENTRY("vnAgencyCode=H99.02,o=x", "objectClass", "vnAgency", "vnAgencyCode", "H99.02",
	    "vnAgencyAbbrev", "SNV");
	ENTRY("vnAgencyCode=H99.03,o=x", "objectClass", "vnAgency", "vnAgencyCode", "H99.03");
	return people_new(conf, dir, &people, &why);
}

static int
teardown(void **state)
{
	(void)state;
	people_free(people);
	dir_close(dir);
	conf_free(conf);
	return 0;
}

static void
test_login(void **state)
{
	struct person *u = NULL;

	(void)state;
	assert_int_equal(people_login(people, slice_str("BINHTV"), &u), 0);
	assert_string_equal(u->account, "p-1");
	assert_string_equal(u->login, "binhtv");
	assert_string_equal(u->address, "binhtv@tinhmau.example");
	assert_int_equal(u->n_addresses, 2);
	assert_int_equal(u->epoch, 3);
	assert_int_equal(u->n_scram, 1);
	assert_int_equal(u->policy.state, PPOLICY_OK);
	assert_false(u->keys_are_old);
	assert_int_equal(people_verify(people, u, slice_str("secret"), NULL), 0);
	assert_int_equal(people_verify(people, u, slice_str("Secret"), NULL), ERR_AUTH);
	assert_int_equal(people_verify(people, u, slice_str(""), NULL), ERR_AUTH);
	person_free(u);
	assert_int_equal(people_login(people, slice_str("huong"), &u), 0);
	assert_int_equal(u->policy.state, PPOLICY_FROZEN);
	person_free(u);
	assert_int_equal(people_login(people, slice_str("guid"), &u), 0);
	assert_true(u->keys_are_old);
	assert_int_equal(strlen(u->account), 35); /* p-h and 32 digits */
	person_free(u);
	u = NULL;
	assert_int_equal(people_login(people, slice_str("twin"), &u), ERR_TEMP); /* two of them */
	assert_int_equal(people_login(people, slice_str("*"), &u), ERR_NOTFOUND);
	assert_int_equal(people_login(people, slice_str("binhtv)(uid=*"), &u), ERR_NOTFOUND);
	assert_int_equal(people_login(people, slice_of("binhtv\0", 7), &u), ERR_NOTFOUND);
	assert_int_equal(people_login(people, slice_str(""), &u), ERR_NOTFOUND);
	assert_null(u);
}

static void
test_mailboxes(void **state)
{
	struct person_mailboxes *m = NULL;
	struct person *u = NULL;

	(void)state;
	assert_int_equal(people_login(people, slice_str("binhtv"), &u), 0);
	assert_int_equal(people_mailboxes(people, u, &m), 0);
	assert_int_equal(m->n, 2);
	assert_string_equal(m->v[0].account, "f-a");
	assert_string_equal(m->v[0].ns_name, "vt");
	assert_string_equal(m->v[0].rights, "lrswipkxtea");
	assert_string_equal(m->v[1].account, "f-b");
	assert_string_equal(
	    m->v[1].rights, "lrswipte"); /* of the delegate's group and the reader's, together */
	assert_true(m->v[1].may_send);
	assert_true(people_may_send(u, m, slice_str("binh@tinhmau.example")));
	assert_true(people_may_send(u, m, slice_str("vt@tinhmau.example")));
	assert_false(people_may_send(u, m, slice_str("c@tinhmau.example")));
	assert_false(people_may_send(u, m, slice_str("old@tinhmau.example")));
	person_mailboxes_free(m);
	person_free(u);
	assert_int_equal(people_login(people, slice_str("huong"), &u), 0);
	assert_int_equal(people_mailboxes(people, u, &m), 0);
	assert_false(people_may_send(u, m, slice_str("c@tinhmau.example"))); /* a reader only */
	person_mailboxes_free(m);
	person_free(u);
}

static size_t
targets(const char *address, int want)
{
	struct people_rcpt *r = NULL;
	int err = people_rcpt(people, slice_str(address), &r);
	size_t n = r == NULL ? 0 : r->n;

	assert_int_equal(err, want);
	people_rcpt_free(r);
	return n;
}

static void
test_rcpt(void **state)
{
	struct people_rcpt *r = NULL;

	(void)state;
	assert_int_equal(people_rcpt(people, slice_str("vt@tinhmau.example"), &r), 0);
	assert_true(r->is_official);
	assert_string_equal(r->v[0].account, "f-a");
	people_rcpt_free(r);
	assert_int_equal(targets("binhtv@tinhmau.example", 0), 1);
	/* a group of a post and a group that closes the cycle */
	assert_int_equal(targets("g@tinhmau.example", 0), 2);
	assert_int_equal(targets("h@tinhmau.example", 0), 2);
	targets("nobody@tinhmau.example", ERR_NOTFOUND);
	targets("*@tinhmau.example", ERR_NOTFOUND);
	targets("twin@tinhmau.example", ERR_TEMP); /* two owners: neither gets the other's mail */
}

static void
owner_is(const char *address, const char *account)
{
	struct people_owner *o = NULL;

	assert_int_equal(people_owner(people, slice_str(address), &o), 0);
	assert_string_equal(o->account, account);
	people_owner_free(o);
}

/* An alias that is somebody's mail already takes nothing of it: no mail, no name to send as or to sign in by. */
static void
test_alias_of_another(void **state)
{
	struct person_mailboxes *m = NULL;
	struct people_rcpt *r = NULL;
	struct person *u = NULL;

	(void)state;
	ENTRY("vnStaffId=90" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "90", "uid",
	    "thief", "mail", "thief@tinhmau.example", "vnStatus", "active", "vnMailAlias",
	    "tungbt@tinhmau.example", "vnMailAlias", "tungbt", "vnMailAlias",
	    "\"vt91\"@TINHMAU.example", "vnMailAlias", "smtp:huong@tinhmau.example", "vnMailAlias",
	    "mine@tinhmau.example");
	ENTRY("vnStaffId=91" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "91", "uid",
	    "tungbt", "mail", "tungbt@tinhmau.example", "vnStatus", "active", "vnMailAlias",
	    "both@tinhmau.example");
	ENTRY("vnMailboxId=91,o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId", "91",
	    "mail", "vt91@tinhmau.example", "vnMailAlias", "both@tinhmau.example", "vnHolder",
	    "vnStaffId=90" PEOPLE);
	assert_int_equal(people_rcpt(people, slice_str("tungbt@tinhmau.example"), &r), 0);
	assert_string_equal(r->v[0].account, "p-91");
	people_rcpt_free(r);
	owner_is("tungbt@tinhmau.example", "p-91");
	assert_int_equal(people_login(people, slice_str("TungBT@tinhmau.example"), &u), 0);
	assert_string_equal(u->account, "p-91");
	assert_int_equal(u->n_addresses, 1); /* the alias is the mailbox's too */
	person_free(u);
	assert_int_equal(people_login(people, slice_str("tungbt"), &u), 0);
	assert_string_equal(u->account, "p-91");
	person_free(u);
	assert_int_equal(people_login(people, slice_str("mine@tinhmau.example"), &u), 0);
	assert_string_equal(u->account, "p-90");
	assert_int_equal(people_mailboxes(people, u, &m), 0);
	assert_true(people_may_send(u, m, slice_str("mine@tinhmau.example")));
	assert_true(people_may_send(u, m, slice_str("vt91@tinhmau.example"))); /* as its holder */
	assert_false(people_may_send(u, m, slice_str("both@tinhmau.example")));
	assert_false(people_may_send(u, m, slice_str("tungbt@tinhmau.example")));
	assert_false(people_may_send(u, m, slice_str("huong@tinhmau.example")));
	assert_int_equal(u->n_addresses, 3); /* "smtp:huong"@ is nobody else's */
	person_mailboxes_free(m);
	person_free(u);
	targets("both@tinhmau.example", ERR_TEMP);
}

/* An app password among the people is none. */
static void
test_app_branch(void **state)
{
	struct person *u = NULL;

	(void)state;
	ENTRY("vnAppId=aaaa,ou=apppasswords,o=x", "objectClass", "vnAppPassword", "vnAppId", "aaaa",
	    "vnAppOwner", "vnStaffId=1" PEOPLE, "authPassword", "keys");
	ENTRY("vnAppId=bbbb" PEOPLE, "objectClass", "vnAppPassword", "vnAppId", "bbbb",
	    "vnAppOwner", "vnStaffId=1" PEOPLE, "authPassword", "keys");
	assert_int_equal(people_login(people, slice_str("binhtv"), &u), 0);
	assert_int_equal(people_app(people, u, slice_str("bbbb"), "imap"), ERR_NOTFOUND);
	assert_null(u->app_id);
	assert_int_equal(people_app(people, u, slice_str("aaaa"), "imap"), 0);
	assert_string_equal(u->app_id, "aaaa");
	person_free(u);
}

/* A plain tree of inetOrgPerson with another alias attribute, where only the members know their groups (memberOf). */
static void
test_plain_tree(void **state)
{
	static const char plain[] =
	    "dir_login_filter = \"(&(objectClass=inetOrgPerson)(|(uid=%s)(mail=%s)))\"\n"
	    "dir_rcpt_filter = "
	    "\"(|(&(objectClass=inetOrgPerson)(|(mail=%s)(otherMail=%s)))"
	    "(&(objectClass=plainGroup)(description=%s)))\"\n"
	    "dir_sender_filter = \"(&(objectClass=inetOrgPerson)(|(mail=%s)(otherMail=%s)))\"\n"
	    "dir_func_filter = \"(&(objectClass=plainMailbox)(seeAlso=%d))\"\n"
	    "dir_func_roster = {\"seeAlso:lr\"}\ndir_delegation_filter = \"\"\n"
	    "dir_group_filter = \"\"\ndir_member_filter = \"(!(title=left))\"\n"
	    "dir_class_person = \"inetOrgPerson\"\ndir_class_func = \"plainMailbox\"\n"
	    "dir_class_group = \"plainGroup\"\ndir_attr_account = \"uid\"\n"
	    "dir_attr_func_account = \"uid\"\ndir_attr_alias = \"otherMail\"\n"
	    "dir_attr_member_of = \"memberOf\"\n";
	struct conf *c = conf_of(plain);
	struct people *p = NULL, *before = people;
	struct people_owner *o = NULL;
	struct person_mailboxes *m = NULL;
	struct person *u = NULL;
	char *why = NULL;

	(void)state;
	assert_int_equal(people_new(c, dir, &p, &why), 0);
	people = p;
	ENTRY("cn=all,ou=plain,o=x", "objectClass", "plainGroup", "description",
	    "all@tinhmau.example", "memberOf", "cn=in,ou=plain,o=x");
	/* in all, and all in it: the circle ends */
	ENTRY("cn=in,ou=plain,o=x", "objectClass", "plainGroup", "description",
	    "in@tinhmau.example", "memberOf", "CN=all, ou=plain, o=x", "member",
	    "uid=c,ou=plain,o=x");
	ENTRY("cn=void,ou=plain,o=x", "objectClass", "plainGroup", "description",
	    "void@tinhmau.example");
	ENTRY("uid=a,ou=plain,o=x", "objectClass", "inetOrgPerson", "uid", "a", "mail",
	    "a@tinhmau.example", "otherMail", "Alias.A@tinhmau.example", "memberOf",
	    "cn=all,ou=plain,o=x");
	ENTRY("uid=b,ou=plain,o=x", "objectClass", "inetOrgPerson", "uid", "b", "mail",
	    "b@tinhmau.example", "memberOf", "cn=in,ou=plain,o=x", "memberOf", "no DN");
	ENTRY("uid=c,ou=plain,o=x", "objectClass", "inetOrgPerson", "uid", "c", "mail",
	    "c@tinhmau.example", "memberOf", "cn=gone,ou=plain,o=x");
	ENTRY("uid=d,ou=plain,o=x", "objectClass", "inetOrgPerson", "uid", "d", "mail",
	    "d@tinhmau.example", "memberOf", "cn=all,ou=plain,o=x", "title", "left");
	ENTRY("uid=box,ou=plain,o=x", "objectClass", "plainMailbox", "uid", "box", "mail",
	    "box@tinhmau.example", "seeAlso", "cn=all,ou=plain,o=x");
	assert_int_equal(targets("all@tinhmau.example", 0), 3);
	assert_int_equal(targets("in@tinhmau.example", 0), 3);
	targets("void@tinhmau.example", ERR_NOTFOUND);
	/* the alias: as recipient, and as sender */
	assert_int_equal(targets("alias.a@tinhmau.example", 0), 1);
	assert_int_equal(people_owner(people, slice_str("alias.a@tinhmau.example"), &o), 0);
	assert_string_equal(o->account, "p-a");
	assert_int_equal(o->n_current, 2);
	assert_string_equal(o->addresses[0], "a@tinhmau.example");
	people_owner_free(o);
	/* b holds the mailbox as a member of a member; c, whose groups are gone, does not */
	assert_int_equal(people_login(people, slice_str("b"), &u), 0);
	assert_int_equal(people_mailboxes(people, u, &m), 0);
	assert_int_equal(m->n, 1);
	assert_string_equal(m->v[0].account, "f-box");
	person_mailboxes_free(m);
	person_free(u);
	assert_int_equal(people_login(people, slice_str("c"), &u), 0);
	assert_int_equal(people_mailboxes(people, u, &m), 0);
	assert_int_equal(m->n, 0);
	person_mailboxes_free(m);
	person_free(u);
	people_free(p);
	people = before;
	conf_free(c);
}

/* "20250701093000Z", so many seconds from now */
static const char *
stamp(int64_t after)
{
	static char text[8][20];
	static unsigned n;
	time_t t = time(NULL) + after;
	struct tm tm;

	n = (n + 1) % 8;
	gmtime_r(&t, &tm);
	strftime(text[n], sizeof(text[n]), "%Y%m%d%H%M%SZ", &tm);
	return text[n];
}

static const struct person_mailbox *
box_of(const struct person_mailboxes *m, const char *account)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->v[i].account, account) == 0)
			return &m->v[i];
	return NULL;
}

static bool
has_dep(const struct person_mailboxes *m, const char *key, bool subject)
{
	for (size_t i = 0; i < (subject ? m->n_subjects : m->n_deps); i++)
		if (strcmp(m->deps[i], key) == 0)
			return true;
	return false;
}

static void
keys_count(void *arg, const char *key, bool is_subject)
{
	unsigned *n = arg;

	n[is_subject]++;
	assert_true(strlen(key) > 2);
}

static bool
may_sign(const char *address, const char *what, size_t n)
{
	struct people_owner *o = NULL;
	bool found = false;

	assert_int_equal(people_owner(people, slice_str(address), &o), 0);
	assert_int_equal(people_authorities(people, o), 0);
	assert_int_equal(o->n_authorities, n);
	for (size_t i = 0; i < o->n_authorities; i++)
		found |= strcmp(o->authorities[i], what) == 0;
	people_owner_free(o);
	return found;
}

/* P11: what a post lets sign, its holder may for as long as it is held, and for the days of the value; nothing of a post that is over or not begun. */
static void
test_authority_of_posts(void **state)
{
	char now[80], past[80], later[80], ended[80], begins[80];

	(void)state;
	snprintf(now, sizeof(now), "concurrent;H99;A-now;20200101;%s;1/QD", stamp(1000));
	snprintf(past, sizeof(past), "primary;H99;A-past;20200101;%s;1/QD", stamp(-5));
	snprintf(later, sizeof(later), "seconded;H99;A-later;%s;;1/QD", stamp(500));
	snprintf(ended, sizeof(ended), "TB;TL;20200101;%s;1/QD", stamp(-5));
	snprintf(begins, sizeof(begins), "GM;TL;%s;;1/QD", stamp(500));
	ENTRY("vnStaffId=80" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "80", "uid",
	    "ky", "mail", "ky@tinhmau.example", "vnStatus", "active", "vnAssignment", now,
	    "vnAssignment", past, "vnAssignment", later, "vnSigningAuthority", "-;-;20200101",
	    "vnSigningAuthority", ended, "vnSigningAuthority", begins, "vnSigningAuthority",
	    "HD;TL;20200101;20261331", "vnSigningAuthority", "HD;TL;20201331;");
	ENTRY("vnPositionCode=A-now,o=x", "vnPositionCode", "A-now", "vnSigningAuthority",
	    "QĐ; KT ;20200101;;1/QD", "vnSigningAuthority", ended);
	ENTRY("vnPositionCode=A-past,o=x", "vnPositionCode", "A-past", "roleOccupant",
	    "vnStaffId=80" PEOPLE, "vnSigningAuthority", "NQ;TM");
	ENTRY("vnPositionCode=A-later,o=x", "vnPositionCode", "A-later", "vnSigningAuthority",
	    "CT;TM");
	ENTRY("vnPositionCode=A-plain,o=x", "vnPositionCode", "A-plain", "roleOccupant",
	    "vnStaffId=80" PEOPLE, "vnSigningAuthority", "KH;*");
	ENTRY("vnPositionCode=A-closed,o=x", "vnPositionCode", "A-closed", "roleOccupant",
	    "vnStaffId=80" PEOPLE, "vnValidTo", stamp(-5), "vnSigningAuthority", "BC;*");
	assert_true(may_sign("ky@tinhmau.example", "QĐ; KT", 3));
	assert_true(may_sign("ky@tinhmau.example", "KH;*", 3));
	assert_true(may_sign("ky@tinhmau.example", "-;-", 3));
	/* a functional mailbox signs nothing by posts, and nobody by being unknown */
	assert_false(may_sign("nobody@tinhmau.example", "QĐ; KT", 0));
}

static size_t n_raised;

static void
on_raised(void *arg, const char *account, uint64_t epoch)
{
	const struct buf *l = arg;

	assert_true((const unsigned char *)account + strlen(account) < l->data + l->len);
	assert_string_equal(account, "p-000001");
	assert_int_equal(epoch, n_raised + 7);
	n_raised++;
}

/* What a full list has no room for is left out whole. */
static void
test_epochs_at_the_cap(void **state)
{
	(void)state;
	for (size_t cap = 0; cap <= 60; cap++) {
		struct buf l;
		size_t n = 0;
		int err;

		buf_init(&l, cap);
		while ((err = people_epochs_put(&l, "p-000001", n + 7)) == 0)
			n++;
		assert_int_equal(err, ERR_LIMIT);
		assert_int_equal(n, cap / 17);
		assert_int_equal(people_epochs_put(&l, "", 1), ERR_LIMIT);
		n_raised = 0;
		people_epochs_each(buf_slice(&l), on_raised, &l);
		assert_int_equal(n_raised, n);
		assert_int_equal(l.err, ERR_LIMIT);
		buf_done(&l);
	}
}

/* Posts by dated assignments, also through a group, and delegations to a post: the grants say from when until when. */
static void
test_by_date(void **state)
{
	const struct person_mailbox *b;
	struct person_mailboxes *m = NULL;
	struct person *u = NULL, *copy;
	struct dir_result *r = NULL;
	char now[80], past[80], later[80];
	unsigned keys[2] = {0, 0};
	int64_t t = time(NULL);

	(void)state;
	snprintf(now, sizeof(now), "concurrent;H99;P-now;20200101;%s;1/QD", stamp(1000));
	snprintf(past, sizeof(past), "primary;H99;P-past;20200101;%s;1/QD", stamp(-5));
	snprintf(later, sizeof(later), "seconded;H99; P-later ;%s;;1/QD", stamp(500));
	ENTRY("vnStaffId=70" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "70", "uid",
	    "dated", "mail", "dated@tinhmau.example", "vnStatus", "active", "vnAssignment", now,
	    "vnAssignment", past, "vnAssignment", later, "vnAssignment", "primary;H99;;20200101;;x",
	    "vnAssignment", "nonsense");
	/* of past and later the occupant is named as well: the assignment counts */
	ENTRY("vnPositionCode=P-now,o=x", "vnPositionCode", "P-now");
	ENTRY("vnPositionCode=P-past,o=x", "vnPositionCode", "P-past", "roleOccupant",
	    "vnStaffId=70" PEOPLE);
	ENTRY("vnPositionCode=P-later,o=x", "vnPositionCode", "P-later", "roleOccupant",
	    "vnStaffId=70" PEOPLE, "vnValidTo", stamp(900));
	ENTRY("vnPositionCode=P-plain,o=x", "vnPositionCode", "P-plain", "roleOccupant",
	    "vnStaffId=70" PEOPLE, "vnValidFrom", "20200101000000Z");
	ENTRY("cn=dated,o=x", "objectClass", "vnMailGroup", "member", "vnPositionCode=P-now,o=x");
	ENTRY("vnMailboxId=d1,o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId", "d1",
	    "mail", "d1@tinhmau.example", "vnHolder", "vnPositionCode=P-now,o=x", "vnReader",
	    "vnPositionCode=P-plain,o=x");
	ENTRY("vnMailboxId=d2,o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId", "d2",
	    "mail", "d2@tinhmau.example", "vnHolder", "vnPositionCode=P-past,o=x");
	ENTRY("vnMailboxId=d3,o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId", "d3",
	    "mail", "d3@tinhmau.example", "vnHolder", "vnPositionCode=P-later,o=x");
	ENTRY("vnMailboxId=d4,o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId", "d4",
	    "mail", "d4@tinhmau.example", "vnDelegate", "cn=dated,o=x", "vnValidTo", stamp(300));
	ENTRY("vnDelegationId=d5,o=x", "objectClass", "vnDelegation", "vnDelegator",
	    "vnStaffId=1" PEOPLE, "vnDelegateTo", "vnPositionCode=P-later,o=x", "vnRights",
	    "lr send", "vnValidFrom", stamp(600));
	assert_int_equal(people_login(people, slice_str("dated"), &u), 0);
	assert_int_equal(u->n_assignments, 5);
	assert_int_equal(people_mailboxes(people, u, &m), 0);
	assert_int_equal(m->n, 4);
	assert_non_null(b = box_of(m, "f-d1"));
	assert_int_equal(b->n_grants, 2);
	assert_string_equal(b->rights, "lrswipkxtea");
	for (size_t i = 0; i < 2; i++) {
		const struct person_grant *g = &b->grants[i];

		if (g->may_send) {
			assert_string_equal(g->rights, "lrswipkxtea");
			assert_true(
			    g->from > 1577000000 && g->until >= t + 1000 && g->until <= t + 1002);
		} else {
			assert_string_equal(g->rights, "lrs");
			assert_int_equal(g->until, 0);
		}
	}
	assert_null(box_of(m, "f-d2"));
	assert_non_null(b = box_of(m, "f-d3"));
	assert_string_equal(b->rights, "");
	assert_int_equal(b->n_grants, 1);
	assert_true(b->grants[0].from >= t + 500 && b->grants[0].until >= t + 900 &&
		    b->grants[0].until <= t + 902);
	assert_false(people_may_send(u, m, slice_str("d3@tinhmau.example")));
	assert_non_null(b = box_of(m, "f-d4")); /* through the group: the shorter of both */
	assert_true(b->may_send && b->grants[0].until >= t + 300 && b->grants[0].until <= t + 302);
	assert_non_null(b = box_of(m, "p-1"));
	assert_true(!b->may_send && b->grants[0].from >= t + 600);
	/* what it rests on */
	assert_true(has_dep(m, "p-70", true) && has_dep(m, "vnpositioncode=p-now,o=x", true));
	assert_true(has_dep(m, "vnpositioncode=p-past,o=x", false) &&
		    !has_dep(m, "vnpositioncode=p-past,o=x", true));
	assert_true(has_dep(m, "vnmailboxid=d2,o=x", false) == false);
	assert_true(
	    has_dep(m, "vndelegationid=d5,o=x", false) && has_dep(m, "vnstaffid=1" PEOPLE, false));
	/* and what a change of one of these tells */
	assert_int_equal(dir_read(dir, "cn=dated,o=x", people_watch_attrs(people), &r), 0);
	people_change_keys(people, &r->entries[0], keys_count, keys);
	assert_int_equal(keys[0], 1);
	assert_int_equal(keys[1], 1);
	dir_result_free(r);
	person_mailboxes_free(m);
	/* who is kept in memory has the same rights: without the assignments posts would count with no days */
	copy = person_copy(u);
	person_free(u);
	assert_int_equal(people_mailboxes(people, copy, &m), 0);
	assert_int_equal(m->n, 4);
	assert_null(box_of(m, "f-d2"));
	assert_string_equal(box_of(m, "f-d3")->rights, "");
	assert_int_equal(copy->n_assignments, 5);
	person_mailboxes_free(m);
	person_free(copy);
}

/* How many seconds from now what a login is given may be kept; -1: not at all. */
static int64_t
kept(struct people *p, const char *name)
{
	struct person_mailboxes *m = NULL, *of_copy = NULL;
	struct person *u = NULL, *copy;
	int64_t now = time(NULL), until;

	if (people_login(p, slice_str(name), &u) != 0)
		fail_msg("nobody is %s", name);
	assert_int_equal(people_mailboxes(p, u, &m), 0);
	copy = person_copy(u);
	assert_int_equal(people_mailboxes(p, copy, &of_copy), 0);
	assert_int_equal(of_copy->n, m->n);
	assert_int_equal(copy->n_traits, u->n_traits);
	person_mailboxes_free(of_copy);
	person_free(copy);
	until = people_keep_until(p, u, m);
	person_mailboxes_free(m);
	person_free(u);
	return until == 0 ? -1 : until - now;
}

static int64_t
kept_with(const char *option)
{
	struct people *p = NULL;
	struct conf *c = conf_of(option);
	char *why = NULL;
	int64_t n;

	assert_int_equal(people_new(c, dir, &p, &why), 0);
	n = kept(p, "binhtv");
	people_free(p);
	conf_free(c);
	return n;
}

/* What is known between two logins: until a date comes, and not at all where a change would not be heard of. */
static void
test_kept(void **state)
{
	char soon[80], folded[PEOPLE_NAME_MAX + 1];

	(void)state;
	assert_in_range(kept(people, "binhtv"), PEOPLE_KEEP_S, PEOPLE_KEEP_S + 2);
	snprintf(soon, sizeof(soon), "primary;H99;P-soon;20200101;%s;1/QD", stamp(100));
	ENTRY("vnStaffId=180" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "180", "uid",
	    "soon", "mail", "soon@tinhmau.example", "vnStatus", "active", "vnAssignment", soon);
	ENTRY("vnPositionCode=P-soon,o=x", "vnPositionCode", "P-soon");
	ENTRY("vnMailboxId=s1,o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId", "s1",
	    "mail", "s1@tinhmau.example", "vnHolder", "vnPositionCode=P-soon,o=x");
	assert_in_range(kept(people, "soon"), 95, 101);
	ENTRY("vnMailboxId=s2,o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId", "s2",
	    "mail", "s2@tinhmau.example", "vnReader", "vnStaffId=180" PEOPLE, "vnValidFrom",
	    stamp(50));
	assert_in_range(kept(people, "soon"), 45, 51); /* what begins as well */
	/* locked; a policy under which the password ends while it would be kept; one that is not watched */
	assert_int_equal(kept(people, "huong"), -1);
	ENTRY("cn=short,ou=policies,o=x", "objectClass", "pwdPolicy", "pwdMaxAge", "1000");
	ENTRY("vnStaffId=181" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "181", "uid",
	    "ends", "mail", "ends@tinhmau.example", "vnStatus", "active", "pwdPolicySubentry",
	    "cn=short,ou=policies,o=x", "pwdChangedTime", stamp(-900));
	assert_int_equal(kept(people, "ends"), -1);
	ENTRY("vnStaffId=182" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "182", "uid",
	    "lasts", "mail", "lasts@tinhmau.example", "vnStatus", "active", "pwdPolicySubentry",
	    "cn=short,ou=policies,o=x", "pwdChangedTime", stamp(-500));
	assert_true(kept(people, "lasts") > 0);
	ENTRY("vnStaffId=183" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "183", "uid",
	    "away", "mail", "away@tinhmau.example", "vnStatus", "active", "pwdPolicySubentry",
	    "cn=policy,o=y");
	assert_int_equal(kept(people, "away"), -1);
	/* an alias that is another's too; a name that finds two */
	ENTRY("vnStaffId=184" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "184", "uid",
	    "shared", "mail", "shared@tinhmau.example", "vnMailAlias", "lasts@tinhmau.example",
	    "vnStatus", "active");
	assert_int_equal(kept(people, "shared"), -1);
	assert_int_equal(kept(people, "lasts@tinhmau.example"), -1);
	/* filters of which it cannot be told who comes to match them; groups that do not name their members */
	assert_true(kept_with("dir_login_filter = \"(|(uid=%s)(mail=%s))\"") > 0);
	assert_int_equal(kept_with("dir_login_filter = \"(|(uid=%s)(mail=%s@*))\""), -1);
	assert_int_equal(kept_with("dir_login_filter = \"(|(uid=%s)(uid=u%s))\""), -1);
	assert_int_equal(kept_with("dir_attr_member_of = \"memberOf\""), -1);
	/* names of which everybody knows what they equal */
	assert_true(people_name_fold(slice_str("Binh.TV-1_a+b@TinhMau.example"), folded));
	assert_string_equal(folded, "binh.tv-1_a+b@tinhmau.example");
	assert_false(people_name_fold(slice_str("bình"), folded));
	assert_false(people_name_fold(slice_str("a b"), folded));
	assert_false(people_name_fold(slice_str("a*"), folded));
	assert_false(people_name_fold(slice_of("a\0", 2), folded));
	assert_false(people_name_fold(slice_str(""), folded));
}

static void
keys_find(void *arg, const char *key, bool is_subject)
{
	const struct person_mailboxes **m = arg;

	if (*m != NULL && is_subject && has_dep(*m, key, true))
		*m = NULL;
}

/* Whether a change of the group has a look taken at whom these mailboxes are of. */
static bool
is_woken_by(const struct person_mailboxes *m, const char *group)
{
	struct dir_result *r = NULL;

	assert_int_equal(dir_read(dir, group, people_watch_attrs(people), &r), 0);
	people_change_keys(people, &r->entries[0], keys_find, &m);
	dir_result_free(r);
	return m == NULL;
}

#define RULED(id, ...)                                                                           \
	ENTRY("cn=" id ",o=x", "objectClass", "vnMailGroup", "vnStatus", "active", __VA_ARGS__); \
	ENTRY("vnMailboxId=" id ",o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId", id, \
	    "mail", id "@tinhmau.example", "vnHolder", "cn=" id ",o=x")

/* Groups by rule hold mailboxes for whoever is in them today, and for the days of a secondment. */
static void
test_by_rule(void **state)
{
	const struct person_mailbox *b;
	struct person_mailboxes *m = NULL;
	struct person *u = NULL;
	char seconded[80], past[80];
	int64_t t = time(NULL);

	(void)state;
	snprintf(seconded, sizeof(seconded), "seconded;R.2;;20200101;%s;1/QD", stamp(700));
	snprintf(past, sizeof(past), "concurrent;R.3;;20200101;%s;1/QD", stamp(-5));
	ENTRY("vnAgencyCode=R.1,o=x", "objectClass", "vnAgency", "vnAgencyCode", "R.1",
	    "vnAgencyKind", "dept");
	ENTRY("vnAgencyCode=R.2,o=x", "objectClass", "vnAgency", "vnAgencyCode", "R.2",
	    "vnAgencyKind", "board");
	ENTRY("vnStaffId=80" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "80", "uid",
	    "ruled", "mail", "ruled@tinhmau.example", "vnStatus", "active", "vnAgencyRef", "R.1",
	    "vnConcurrentAgency", "R.4", "title", "giám đốc", "vnRole", "head", "vnAssignment",
	    seconded, "vnAssignment", past);
	RULED("r-title", "vnMemberTitle", "Phó giám đốc", "vnMemberTitle", "Giám đốc");
	RULED("r-agency", "vnMemberAgency", "r.1");
	RULED("r-both", "vnMemberAgency", "R.1", "vnMemberTitle", "Chuyên viên");
	RULED("r-second", "vnMemberAgency", "R.2");
	/* title and role are of the own agency: none of its people sits at another one by them */
	RULED("r-role", "vnMemberAgency", "R.2", "vnMemberRole", "head");
	RULED("r-there", "vnMemberAgency", "R.2", "vnMemberTitle", "Giám đốc");
	RULED("r-beside", "vnMemberAgency", "R.4", "vnMemberTitle", "Giám đốc", "mail",
	    "r-beside@tinhmau.example");
	RULED("r-board", "vnMemberKind", "board", "vnMemberRole", "head");
	RULED("r-two", "vnMemberAgency", "R.1", "vnMemberKind", "board", "vnMemberRole", "head");
	RULED("r-home", "vnMemberAgency", "R.1", "vnMemberKind", "dept", "vnMemberRole", "head");
	RULED("r-past", "vnMemberAgency", "R.3");
	RULED("r-kind", "vnMemberKind", "board", "vnMemberKind", "commune");
	RULED("r-kind-not", "vnMemberKind", "commune");
	RULED("r-until", "vnMemberRole", "head", "vnValidTo", stamp(300));
	ENTRY("cn=r-closed,o=x", "objectClass", "vnMailGroup", "vnStatus", "closed", "vnMemberRole",
	    "head");
	ENTRY("vnMailboxId=r-closed,o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId",
	    "r-closed", "mail", "r-closed@tinhmau.example", "vnHolder", "cn=r-closed,o=x");
	/* a group that has one of these as its member */
	ENTRY("cn=r-outer,o=x", "objectClass", "vnMailGroup", "member", "cn=r-second,o=x");
	ENTRY("vnMailboxId=r-outer,o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId",
	    "r-outer", "mail", "r-outer@tinhmau.example", "vnReader", "cn=r-outer,o=x");
	assert_int_equal(people_login(people, slice_str("ruled"), &u), 0);
	assert_int_equal(people_mailboxes(people, u, &m), 0);
	assert_int_equal(m->n, 7);
	assert_null(box_of(m, "f-r-role"));
	assert_null(box_of(m, "f-r-there"));
	assert_null(box_of(m, "f-r-beside"));
	assert_null(box_of(m, "f-r-board"));
	assert_null(box_of(m, "f-r-two"));
	assert_non_null(b = box_of(m, "f-r-home"));
	assert_true(b->n_grants == 1 && b->grants[0].until == 0);
	assert_non_null(b = box_of(m, "f-r-title"));
	assert_string_equal(b->rights, "lrswipkxtea");
	assert_true(b->n_grants == 1 && b->grants[0].until == 0 && b->may_send);
	assert_true(people_may_send(u, m, slice_str("r-title@tinhmau.example")));
	assert_non_null(box_of(m, "f-r-agency"));
	assert_non_null(b = box_of(m, "f-r-second"));
	assert_true(b->may_send && b->n_grants == 1);
	assert_true(b->grants[0].until >= t + 700 && b->grants[0].until <= t + 702);
	assert_non_null(b = box_of(m, "f-r-kind"));
	assert_true(b->grants[0].until >= t + 700 && b->grants[0].until <= t + 702);
	assert_non_null(b = box_of(m, "f-r-until"));
	assert_true(b->grants[0].until >= t + 300 && b->grants[0].until <= t + 302);
	assert_non_null(b = box_of(m, "f-r-outer"));
	assert_string_equal(b->rights, "lrs");
	assert_true(b->grants[0].until >= t + 700 && b->grants[0].until <= t + 702);
	/* a change of any rule that this person meets, also with another one that is not met now, is looked at */
	assert_true(is_woken_by(m, "cn=r-title,o=x"));
	assert_true(is_woken_by(m, "cn=r-both,o=x"));
	assert_true(is_woken_by(m, "cn=r-kind-not,o=x"));
	assert_true(has_dep(m, "vnagencycode=r.2,o=x", false));
	assert_true(has_dep(m, "cn=r-until,o=x", true));
	person_mailboxes_free(m);
	person_free(u);
	/* nor does mail to such a group come to them; without a title it does */
	ENTRY("cn=m-beside,o=x", "objectClass", "vnMailGroup", "mail", "m-beside@tinhmau.example",
	    "vnMemberAgency", "R.4", "vnMemberTitle", "Giám đốc");
	targets("m-beside@tinhmau.example", ERR_NOTFOUND);
	ENTRY("cn=m-all,o=x", "objectClass", "vnMailGroup", "mail", "m-all@tinhmau.example",
	    "vnMemberAgency", "R.4");
	assert_int_equal(targets("m-all@tinhmau.example", 0), 1);
}

/* Mail to a group goes to whom its mailboxes are open today: one rule for both. */
static void
test_mail_follows_the_days(void **state)
{
	char now[80], later[80], past[80], bad[80], held[80], over[80];

	(void)state;
	snprintf(now, sizeof(now), "seconded;M.2;;20200101;%s;1/QD", stamp(700));
	snprintf(later, sizeof(later), "concurrent;M.2;;%s;;1/QD", stamp(700));
	snprintf(past, sizeof(past), "concurrent;M.2;;20200101;%s;1/QD", stamp(-5));
	snprintf(bad, sizeof(bad), "seconded;M.2;;20200101;20991331;1/QD");
	snprintf(held, sizeof(held), "primary;M.1;M-post;20200101;;1/QD");
	snprintf(over, sizeof(over), "primary;M.1;M-post;20200101;%s;1/QD", stamp(-5));
	ENTRY("vnAgencyCode=M.2,o=x", "objectClass", "vnAgency", "vnAgencyCode", "M.2",
	    "vnAgencyKind", "office");
#define MEMBER(id, ...)                                                                            \
	ENTRY("vnStaffId=" id PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", id, "uid",     \
	    "m" id, "mail", "m" id "@tinhmau.example", "vnStatus", "active", "vnAgencyRef", "M.1", \
	    "title", "Chuyên viên", __VA_ARGS__)
	MEMBER("201", "vnAssignment", now, "vnAssignment", held);
	MEMBER("202", "vnAssignment", later, "vnAssignment", over);
	MEMBER("203", "vnAssignment", past);
	MEMBER("204", "vnAssignment", bad);
	MEMBER("205", "vnAssignment", "primary;M.2;;20200101;;1/QD");
	MEMBER("206", "vnAssignment", "guest;M.2;;20200101;;1/QD");
	MEMBER("207", "vnRole", "staff");
	ENTRY("cn=m-agency,o=x", "objectClass", "vnMailGroup", "mail", "m-agency@tinhmau.example",
	    "vnMemberAgency", "M.2");
	assert_int_equal(targets("m-agency@tinhmau.example", 0), 1);
	ENTRY("cn=m-kind,o=x", "objectClass", "vnMailGroup", "mail", "m-kind@tinhmau.example",
	    "vnMemberKind", "office");
	assert_int_equal(targets("m-kind@tinhmau.example", 0), 1);
	/* a title is of the own agency */
	ENTRY("cn=m-title,o=x", "objectClass", "vnMailGroup", "mail", "m-title@tinhmau.example",
	    "vnMemberAgency", "M.2", "vnMemberTitle", "Chuyên viên");
	targets("m-title@tinhmau.example", ERR_NOTFOUND);
	ENTRY("cn=m-home,o=x", "objectClass", "vnMailGroup", "mail", "m-home@tinhmau.example",
	    "vnMemberAgency", "M.1", "vnMemberTitle", "chuyên viên");
	assert_int_equal(targets("m-home@tinhmau.example", 0), 7);
	/* a group whose days are over has no members */
	ENTRY("cn=m-over,o=x", "objectClass", "vnMailGroup", "mail", "m-over@tinhmau.example",
	    "vnMemberAgency", "M.1", "member", "vnStaffId=207" PEOPLE, "vnValidTo", stamp(-5));
	targets("m-over@tinhmau.example", ERR_NOTFOUND);
	/* through a post: who holds it today; 207 is named and has no days; by name it is whoever is named */
	ENTRY("vnPositionCode=M-post,o=x", "objectClass", "vnPosition", "vnPositionCode", "M-post",
	    "roleOccupant", "vnStaffId=201" PEOPLE, "roleOccupant", "vnStaffId=202" PEOPLE,
	    "roleOccupant", "vnStaffId=207" PEOPLE);
	ENTRY("cn=m-post,o=x", "objectClass", "vnMailGroup", "mail", "m-post@tinhmau.example",
	    "member", "vnPositionCode=M-post,o=x");
	assert_int_equal(targets("m-post@tinhmau.example", 0), 2);
	ENTRY("cn=m-deep,o=x", "objectClass", "vnMailGroup", "cn", "m-deep", "member",
	    "vnStaffId=202" PEOPLE);
	ENTRY("cn=m-both,o=x", "objectClass", "vnMailGroup", "mail", "m-both@tinhmau.example",
	    "member", "vnPositionCode=M-post,o=x", "member", "cn=m-deep,o=x");
	assert_int_equal(targets("m-both@tinhmau.example", 0), 3);
}

/* An end that was mistyped is no open end: of an assignment, a group, a mailbox, a delegation, an app password and a reply. */
static void
test_mistyped_days_give_nothing(void **state)
{
	struct person_mailboxes *m = NULL;
	struct people_rcpt *r = NULL;
	struct people_acl *acl = NULL;
	struct person *u = NULL;

	(void)state;
	ENTRY("vnStaffId=86" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "86", "uid",
	    "sai", "mail", "sai@tinhmau.example", "vnStatus", "active", "vnAgencyRef", "S.1",
	    "vnAssignment", "concurrent;S.2;;20200101;20261331;1/QD", "vnAssignment",
	    "seconded;S.3;S-post;20209901;;1/QD", "vnAutoReplyText", "x", "vnAutoReplyUntil",
	    "mai");
	ENTRY("vnPositionCode=S-post,o=x", "vnPositionCode", "S-post", "roleOccupant",
	    "vnStaffId=86" PEOPLE);
	ENTRY("vnMailboxId=s-post,o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId",
	    "s-post", "mail", "s-post@tinhmau.example", "vnHolder", "vnPositionCode=S-post,o=x");
	RULED("s-two", "vnMemberAgency", "S.2");
	RULED("s-three", "vnMemberAgency", "S.3");
	RULED("s-one", "vnMemberAgency", "S.1");
	RULED("s-ends", "vnMemberAgency", "S.1", "vnValidTo", "20261331000000Z");
	ENTRY("vnMailboxId=s-box,o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId", "s-box",
	    "mail", "s-box@tinhmau.example", "vnHolder", "vnStaffId=86" PEOPLE, "vnValidTo",
	    "31.12.2099");
	ENTRY("vnDelegationId=s,o=x", "objectClass", "vnDelegation", "vnDelegator",
	    "vnStaffId=1" PEOPLE, "vnDelegateTo", "vnStaffId=86" PEOPLE, "vnRights", "lr send",
	    "vnValidFrom", "20200101000000Z", "vnValidTo", "20991331000000Z");
	assert_int_equal(people_login(people, slice_str("sai"), &u), 0);
	assert_int_equal(people_mailboxes(people, u, &m), 0);
	assert_int_equal(m->n, 1);
	assert_non_null(box_of(m, "f-s-one"));
	person_mailboxes_free(m);
	person_free(u);
	assert_int_equal(people_rcpt(people, slice_str("sai@tinhmau.example"), &r), 0);
	assert_null(r->reply);
	people_rcpt_free(r);
	assert_int_equal(people_acl(people, slice_str("f-s-box"), &acl), 0);
	assert_int_equal(acl->n, 0);
	people_acl_free(acl);
}

/* Who has left reads until a day, and has nothing else, by whatever name or rule. */
static void
test_reading_after_leaving(void **state)
{
	struct person_mailboxes *m = NULL;
	struct people_acl *acl = NULL;
	struct person *u = NULL;
	int64_t t = time(NULL);

	(void)state;
#define GONE(id, until)                                                                           \
	ENTRY("vnStaffId=" id PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", id, "uid",    \
	    "nghi" id, "mail", "nghi" id "@tinhmau.example", "vnStatus", "closed", "vnAgencyRef", \
	    "N.1", "title", "Nghỉ", "vnReadUntil", until)
	GONE("190", stamp(500));
	GONE("191", stamp(-5));
	GONE("192", "20991331000000Z");
	RULED("n-rule", "vnMemberAgency", "N.1");
	ENTRY("vnMailboxId=n-box,o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId", "n-box",
	    "mail", "n-box@tinhmau.example", "vnHolder", "vnStaffId=190" PEOPLE);
	assert_int_equal(people_login(people, slice_str("nghi190"), &u), 0);
	assert_true(u->read_until >= t + 500 && u->read_until <= t + 502);
	assert_int_equal(u->n_addresses, 0);
	assert_string_equal(u->account, "p-190");
	assert_int_equal(people_mailboxes(people, u, &m), 0);
	assert_int_equal(m->n, 0);
	assert_false(people_may_send(u, m, slice_str("nghi190@tinhmau.example")));
	person_mailboxes_free(m);
	person_free(u);
	assert_int_equal(people_login(people, slice_str("nghi191"), &u), ERR_NOTFOUND);
	assert_int_equal(people_login(people, slice_str("nghi192"), &u), ERR_NOTFOUND);
	assert_int_equal(people_login_or_frozen(people, slice_str("nghi192"), &u), ERR_NOTFOUND);
	assert_int_equal(people_acl(people, slice_str("p-190"), &acl), 0);
	assert_int_equal(acl->n, 1);
	assert_string_equal(acl->v[0].rights, "lr");
	people_acl_free(acl);
	assert_int_equal(people_acl(people, slice_str("p-191"), &acl), 0);
	assert_int_equal(acl->n, 0);
	people_acl_free(acl);
	/* nobody in service becomes a reader by a frozen state */
	ENTRY("vnStaffId=193" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "193", "uid",
	    "nghi193", "vnStatus", "suspended", "vnReadUntil", stamp(500));
	assert_int_equal(people_login(people, slice_str("nghi193"), &u), ERR_NOTFOUND);
}

/* However many assignments are over, those of today count. */
static void
past_places(size_t n_past)
{
	char uid[40], dn[80], past[250][80];
	const char *list[520] = {"objectClass", "vnCivilServant", "vnStaffId", uid, "uid", uid,
	    "vnStatus", "active", "vnAgencyRef", "Q.1"};
	struct person_mailboxes *m = NULL;
	struct person *u = NULL;
	size_t n = 10;

	snprintf(uid, sizeof(uid), "long%zu", n_past);
	snprintf(dn, sizeof(dn), "vnStaffId=%s" PEOPLE, uid);
	for (size_t i = 0; i < n_past; i++) {
		snprintf(
		    past[i], sizeof(past[i]), "concurrent;Q.OLD%zu;;20000101;20010101;1/QD", i);
		list[n++] = "vnAssignment";
		list[n++] = past[i];
	}
	list[n++] = "vnAssignment";
	list[n++] = "concurrent;Q.NOW;;20200101;;9/QD";
	dir_fake_add(dir, dn, list);
	assert_int_equal(people_login(people, slice_str(uid), &u), 0);
	assert_int_equal(people_mailboxes(people, u, &m), 0);
	assert_non_null(box_of(m, "f-q-now"));
	assert_null(box_of(m, "f-q-old"));
	person_mailboxes_free(m);
	person_free(u);
}

static void
test_past_places(void **state)
{
	(void)state;
	RULED("q-now", "vnMemberAgency", "Q.NOW");
	RULED("q-old", "vnMemberAgency", "Q.OLD0");
	past_places(0);
	past_places(30);
	past_places(31);
	past_places(199);
	past_places(250);
}

/* As many agencies of one kind as no filter has room for: those of the first and of the last one are found, and somebody who is of two of them once. */
static void
test_a_kind_of_thousands(void **state)
{
	struct people_rcpt *rc = NULL;
	char code[40], dn[80];

	(void)state;
	for (int i = 0; i < 5200; i++) {
		snprintf(code, sizeof(code), "K99.Z-mot-don-vi-co-ma-dai.%05d", i);
		snprintf(dn, sizeof(dn), "vnAgencyCode=%s,o=x", code);
		ENTRY(
		    dn, "objectClass", "vnAgency", "vnAgencyCode", code, "vnAgencyKind", "sector");
	}
	ENTRY("vnStaffId=85" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "85", "mail",
	    "k.dau@tinhmau.example", "vnAgencyRef", "K99.Z-mot-don-vi-co-ma-dai.00000",
	    "vnConcurrentAgency", "K99.Z-mot-don-vi-co-ma-dai.03000");
	ENTRY("vnStaffId=86" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "86", "mail",
	    "k.cuoi@tinhmau.example", "vnAgencyRef", "K99.Z-mot-don-vi-co-ma-dai.05199");
	ENTRY("cn=nganh,o=x", "objectClass", "groupOfNames", "objectClass", "vnMailGroup", "cn",
	    "nganh", "mail", "nganh@tinhmau.example", "vnMemberKind", "sector", "member",
	    "cn=nobody");
	assert_int_equal(people_rcpt(people, slice_str("nganh@tinhmau.example"), &rc), 0);
	assert_int_equal(rc->n, 2);
	people_rcpt_free(rc);
}

static void
symbols(const char *code, const char *want)
{
	char **v = NULL, got[200] = "";
	size_t n = 0;

	assert_int_equal(people_agency_symbols(people, slice_str(code), &v, &n), 0);
	for (size_t i = 0; i < n; i++) {
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s ", v[i]);
		free(v[i]);
	}
	free(v);
	assert_string_equal(got, want);
}

/* By the agency's own entry and those above it; an agency without one of its own is not measured by others'. */
static void
test_agency_symbols(void **state)
{
	(void)state;
	symbols("H99.02", "SNV UBND ");
	symbols("H99.02", "SNV UBND "); /* remembered */
	symbols("H99", "UBND ");
	symbols("H99.03", "");
	symbols("H99.02.01", "");
	symbols("H98", "");
	symbols("", "");
	symbols("*", "");
}

static void
member(const char *group, const char *address, int err, bool want)
{
	char *one = strdup(address);
	bool is = !want;

	assert_int_equal(people_members(people, slice_str(group), &one, 1, &is), err);
	free(one);
	if (err == 0)
		assert_int_equal(is, want);
}

static void
test_member(void **state)
{
	(void)state;
	/* through a post, a nested group that closes a circle, an alias, a former address */
	member("g@tinhmau.example", "binhtv@tinhmau.example", 0, true);
	member("g@tinhmau.example", "huong@tinhmau.example", 0, true);
	member("g@tinhmau.example", "binh@tinhmau.example", 0, true);
	member("g@tinhmau.example", "old@tinhmau.example", 0, true);
	member("g@tinhmau.example", "twin3@tinhmau.example", 0, false);
	member("g@tinhmau.example", "nobody@tinhmau.example", 0, false);
	member("g@tinhmau.example", "x@elsewhere.example", 0, false);
	member("huong@tinhmau.example", "huong@tinhmau.example", ERR_NOTFOUND, false);
	member("none@tinhmau.example", "huong@tinhmau.example", ERR_NOTFOUND, false);
}

/* Who writes to an address of before is told the one of now (P33); not who writes to an alias. */
static void
test_moved_notice(void **state)
{
	struct people_rcpt *r = NULL;

	(void)state;
	assert_int_equal(people_rcpt(people, slice_str("was18@tinhmau.example"), &r), 0);
	assert_non_null(r->reply);
	assert_non_null(strstr(
	    r->reply->text, "Địa chỉ was18@tinhmau.example đã đổi thành now18@tinhmau.example."));
	assert_non_null(strstr(r->reply->text, "is now now18@tinhmau.example."));
	assert_int_equal(r->reply->days, 30);
	people_rcpt_free(r);
	assert_int_equal(people_rcpt(people, slice_str("other18@tinhmau.example"), &r), 0);
	assert_null(r->reply);
	people_rcpt_free(r);
	assert_int_equal(people_rcpt(people, slice_str("now18@tinhmau.example"), &r), 0);
	assert_null(r->reply);
	people_rcpt_free(r);
}

static void
test_owner(void **state)
{
	struct people_owner *o = NULL;

	(void)state;
	assert_int_equal(people_owner(people, slice_str("old@tinhmau.example"), &o), 0);
	assert_int_equal(o->kind, PEOPLE_PERSON);
	assert_string_equal(o->account, "p-1");
	assert_int_equal(o->n_addresses, 3);
	assert_string_equal(o->addresses[2], "old@tinhmau.example");
	assert_int_equal(o->n_former, 1);
	assert_string_equal(o->former[0], "old@tinhmau.example");
	assert_int_equal(o->n_authorities, 2);
	assert_string_equal(o->authorities[0], "QĐ;KT");
	people_owner_free(o);
	assert_int_equal(people_owner(people, slice_str("nobody@tinhmau.example"), &o), 0);
	assert_int_equal(o->kind, PEOPLE_NONE);
	people_owner_free(o);
	assert_true(people_is_ours(people, slice_str("x@tinhmau.example")));
	assert_true(people_is_ours(people, slice_str("x@xn--bnh-nma.example")));
	assert_false(people_is_ours(people, slice_str("x@a.tinhmau.example")));
	assert_false(people_is_ours(people, slice_str("tinhmau.example")));
}

/* A former address is its last owner's alone: whoever has it now, or had it as long or longer, signs for himself with it. */
static void
test_former_of_another(void **state)
{
	static const char *const gone[] = {"given@tinhmau.example", "Mail@tinhmau.example",
	    "later@tinhmau.example", "both@tinhmau.example", "open@tinhmau.example",
	    "group@tinhmau.example"};
	struct people_owner *o = NULL;

	(void)state;
	ENTRY("vnStaffId=95" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "95", "mail",
	    "a95@tinhmau.example", "vnMailAlias", "kept@tinhmau.example", "vnAddressHistory",
	    "given@tinhmau.example;20050101;20100101", "vnAddressHistory",
	    "Mail@tinhmau.example;20050101;20100101", "vnAddressHistory",
	    "later@tinhmau.example;20050101;20100101", "vnAddressHistory",
	    "both@tinhmau.example;20050101;20100101", "vnAddressHistory",
	    "open@tinhmau.example;20050101;20100101", "vnAddressHistory",
	    "group@tinhmau.example;20050101;20100101", "vnAddressHistory",
	    "last@tinhmau.example;20120101;20150101;4/QD", "vnAddressHistory",
	    "kept@tinhmau.example;20050101;20100101", "vnAddressHistory",
	    "own@tinhmau.example;20050101;20100101");
	ENTRY("vnStaffId=96" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "96", "mail",
	    "mail@tinhmau.example", "vnStatus", "closed", "vnMailAlias", "given@TINHMAU.example",
	    "vnAddressHistory", "Later@tinhmau.example;20110101;20200101", "vnAddressHistory",
	    "both@tinhmau.example;20050101;20100101", "vnAddressHistory",
	    "open@tinhmau.example;20050101;", "vnAddressHistory",
	    "last@tinhmau.example;20050101;20100101");
	ENTRY("cn=g95,o=x", "objectClass", "vnMailGroup", "mail", "group@tinhmau.example");
	assert_int_equal(people_owner(people, slice_str("a95@tinhmau.example"), &o), 0);
	assert_string_equal(o->account, "p-95");
	assert_int_equal(o->n_current, 2);
	assert_int_equal(o->n_addresses, 4);
	assert_string_equal(o->addresses[2], "last@tinhmau.example");
	assert_string_equal(o->addresses[3], "own@tinhmau.example");
	assert_int_equal(o->n_former, 3); /* the one that is an alias still too */
	people_owner_free(o);
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		struct people_owner *other = NULL;

		assert_int_equal(people_owner(people, slice_str("a95@tinhmau.example"), &other), 0);
		for (size_t k = 0; k < other->n_addresses; k++)
			assert_int_not_equal(strcasecmp(other->addresses[k], gone[i]), 0);
		people_owner_free(other);
	}
	owner_is("given@tinhmau.example", "p-96");
	owner_is("last@tinhmau.example", "p-95");
}

static void
test_down(void **state)
{
	struct person_mailboxes *m = NULL;
	struct people_owner *o = NULL;
	struct person *u = NULL, *v = NULL;

	(void)state;
	assert_int_equal(people_login(people, slice_str("binhtv"), &u), 0);
	dir_fake_fail(dir, ERR_TEMP);
	assert_int_equal(people_login(people, slice_str("binhtv"), &v), ERR_TEMP);
	assert_int_equal(people_verify(people, u, slice_str("secret"), NULL), ERR_TEMP);
	assert_int_equal(people_mailboxes(people, u, &m), ERR_TEMP);
	assert_int_equal(people_owner(people, slice_str("x@tinhmau.example"), &o), ERR_TEMP);
	targets("binhtv@tinhmau.example", ERR_TEMP);
	dir_fake_fail(dir, 0);
	person_free(u);
	targets("binhtv@tinhmau.example", 0);
}

static void
test_configuration(void **state)
{
	static const char *const bad[] = {"dir_login_filter = \"(uid=%x)\"",
	    "dir_rcpt_filter = \"uid=%s\"", "dir_func_roster = {\"vnHolder\"}",
	    "dir_func_roster = {\"vnHolder:lrq\"}", "dir_func_roster = {\"vnHolder:lr:sent\"}",
	    "dir_func_roster = {\":lr\"}"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct conf *c = conf_of(bad[i]);
		struct people *p = NULL;
		char *why = NULL;

		assert_int_equal(people_new(c, dir, &p, &why), ERR_SYNTAX);
		assert_non_null(why);
		free(why);
		conf_free(c);
	}
}

/* "keep to(by)* to(by)": where mail for an address goes; * behind what is outside. */
static void
check_route_from(const char *address, enum people_forward_to policy, const char *sender,
    bool signed_in, const char *want)
{
	struct people_rcpt *r = NULL;
	struct people_route *o = NULL;
	struct buf b;

	assert_int_equal(people_rcpt(people, slice_str(address), &r), 0);
	assert_int_equal(people_route(people, r, policy, slice_str(sender), signed_in, &o), 0);
	buf_init(&b, 10000);
	buf_append_str(&b, o->keep ? "keep" : "-");
	for (size_t i = 0; i < o->n; i++)
		buf_appendf(&b, " %.3s(%.3s)%s", o->hops[i].to, o->hops[i].by,
		    o->hops[i].is_remote ? "*" : "");
	assert_string_equal(buf_cstr(&b), want);
	buf_done(&b);
	people_route_free(o);
	people_rcpt_free(r);
}

static void
check_route(const char *address, enum people_forward_to policy, const char *want)
{
	check_route_from(address, policy, "", false, want);
}

static void
test_route(void **state)
{
	(void)state;
	check_route("binh@tinhmau.example", PEOPLE_FORWARD_ANY, "keep");
	check_route("f10@tinhmau.example", PEOPLE_FORWARD_ANY, "- f12(f11) x@e(f11)* f11(f10)");
	check_route("f10@tinhmau.example", PEOPLE_FORWARD_OWN, "- f12(f11) f11(f10)");
	check_route("f10@tinhmau.example", PEOPLE_FORWARD_OFF, "keep");
	check_route("eleven@tinhmau.example", PEOPLE_FORWARD_OWN, "keep f12(f11)");
	/* a circle ends in the mailbox before it closes */
	check_route("f13@tinhmau.example", PEOPLE_FORWARD_ANY, "- f14(f13)");
	check_route("f14@tinhmau.example", PEOPLE_FORWARD_ANY, "- f13(f14)");
	check_route("f15@tinhmau.example", PEOPLE_FORWARD_ANY, "keep");
	check_route("f16@tinhmau.example", PEOPLE_FORWARD_OWN, "keep");
	check_route("f16@tinhmau.example", PEOPLE_FORWARD_ANY, "- y@e(f16)*");
	/* what comes by a group is kept as well */
	check_route(
	    "fg@tinhmau.example", PEOPLE_FORWARD_ANY, "keep f12(f11) x@e(f11)* f11(f10) y@e(f16)*");
	/* a forward opens no closed group to those who may not send to it */
	check_route_from("f17@tinhmau.example", PEOPLE_FORWARD_ANY, "x@e.example", false, "keep");
	check_route_from(
	    "f17@tinhmau.example", PEOPLE_FORWARD_ANY, "binh@tinhmau.example", false, "keep");
	check_route_from(
	    "f17@tinhmau.example", PEOPLE_FORWARD_ANY, "binh@tinhmau.example", true, "- ig@(f17)");
	/* a directory that is down in the middle of the way */
	struct people_rcpt *r = NULL;
	struct people_route *o = NULL;
	assert_int_equal(people_rcpt(people, slice_str("f10@tinhmau.example"), &r), 0);
	dir_fake_fail(dir, ERR_TEMP);
	assert_int_equal(
	    people_route(people, r, PEOPLE_FORWARD_OWN, slice_str(""), false, &o), ERR_TEMP);
	dir_fake_fail(dir, 0);
	assert_null(o);
	people_rcpt_free(r);
}

static void
check_may_send(const char *group, const char *sender, bool signed_in, bool want)
{
	struct people_rcpt *r = NULL;
	bool may = !want;

	assert_int_equal(people_rcpt(people, slice_str(group), &r), 0);
	assert_int_equal(people_rcpt_may_send(people, r, slice_str(sender), signed_in, &may), 0);
	assert_int_equal(may, want);
	people_rcpt_free(r);
}

static void
test_may_send(void **state)
{
	(void)state;
	check_may_send("g@tinhmau.example", "", false, true);
	check_may_send("fg@tinhmau.example", "f16@tinhmau.example", true, true);
	check_may_send(
	    "fg@tinhmau.example", "f16@tinhmau.example", false, false); /* only a claim */
	check_may_send("fg@tinhmau.example", "huong@tinhmau.example", true, false);
	check_may_send("fg@tinhmau.example", "boss@elsewhere.example", false, true);
	check_may_send("fg@tinhmau.example", "boss2@elsewhere.example", false, false);
	check_may_send("fg@tinhmau.example", "", false, false);
	check_may_send("ig@tinhmau.example", "huong@tinhmau.example", true, true);
	check_may_send("ig@tinhmau.example", "huong@tinhmau.example", false, false);
	check_may_send("ig@tinhmau.example", "boss@elsewhere.example", false, false);
}

static void
test_reply_rule(void **state)
{
	static const struct {
		const char *address;
		unsigned days; /* 0: none is due */
	} table[] = {{"f12@tinhmau.example", 3}, {"f13@tinhmau.example", 0},
	    {"f14@tinhmau.example", 0}, {"f15@tinhmau.example", 7}, {"binh@tinhmau.example", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct people_rcpt *r = NULL;

		assert_int_equal(people_rcpt(people, slice_str(table[i].address), &r), 0);
		assert_int_equal(r->reply == NULL ? 0 : r->reply->days, table[i].days);
		if (i == 0) {
			assert_string_equal(r->reply->text, "Vắng mặt");
			assert_string_equal(r->reply->addresses[0], "f12@tinhmau.example");
		}
		people_rcpt_free(r);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_login),
	    cmocka_unit_test(test_mailboxes),
	    cmocka_unit_test(test_rcpt),
	    cmocka_unit_test(test_alias_of_another),
	    cmocka_unit_test(test_app_branch),
	    cmocka_unit_test(test_route),
	    cmocka_unit_test(test_may_send),
	    cmocka_unit_test(test_reply_rule),
	    cmocka_unit_test(test_plain_tree),
	    cmocka_unit_test(test_by_date),
	    cmocka_unit_test(test_kept),
	    cmocka_unit_test(test_by_rule),
	    cmocka_unit_test(test_mail_follows_the_days),
	    cmocka_unit_test(test_mistyped_days_give_nothing),
	    cmocka_unit_test(test_reading_after_leaving),
	    cmocka_unit_test(test_past_places),
	    cmocka_unit_test(test_epochs_at_the_cap),
	    cmocka_unit_test(test_a_kind_of_thousands),
	    cmocka_unit_test(test_owner),
	    cmocka_unit_test(test_former_of_another),
	    cmocka_unit_test(test_agency_symbols),
	    cmocka_unit_test(test_member),
	    cmocka_unit_test(test_moved_notice),
	    cmocka_unit_test(test_authority_of_posts),
	    cmocka_unit_test(test_down),
	    cmocka_unit_test(test_configuration),
	};

	log_init("people_test", 2);
	log_set_level(LOG_LVL_ERROR);
	return cmocka_run_group_tests(tests, setup, teardown);
}
