/* live_test.c: what a login was given is given again only while nothing that it rests on has changed and changes are heard of: each kind of change, with a
 * directory in memory and a watch that the test plays. */
#include "config.h"

#include "directory/dir_fake.h"
#include "directory/dir_watch.h"
#include "directory/live.h"
#include "lib/conf.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/epoch_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define PEOPLE ",ou=people,o=x"

static struct dir *dir;
static struct people *people;
static struct conf *conf;
static struct loop *loop;
static struct live *live;
static const struct dir_watch_params *_Atomic watch;
static unsigned n_looks;
static struct job *jobs;

/* ---- what live.c needs of others ---- */

void live_test_watch(struct dir *d, const struct dir_watch_params *p) __attribute__((noreturn));

void
live_test_watch(struct dir *d, const struct dir_watch_params *p)
{
	(void)d;
	watch = p;
	for (;;)
		pause();
}

struct job *
job_new(enum job_kind kind)
{
	struct job *j = xcalloc(1, sizeof(*j));

	j->kind = kind;
	return j;
}

void
job_free(struct job *j)
{
	free(j->address);
	free(j->login);
	free(j);
}

int
work_put_take(struct work *w, struct job *j)
{
	(void)w;
	assert_int_equal(j->kind, JOB_LIVE);
	n_looks++;
	j->next = jobs;
	jobs = j;
	return 0;
}

/* The directory does not say: nothing changes by it. */
static void
jobs_answer(void)
{
	while (jobs != NULL) {
		struct job *j = jobs;

		jobs = j->next;
		j->err = ERR_TEMP;
		live_done(live, j);
		job_free(j);
	}
}

void
login_facts_done(struct login_facts *f)
{
	(void)f;
}

void
epoch_raise(struct epoch_client *c, const char *account, uint64_t epoch)
{
	(void)c;
	(void)account;
	(void)epoch;
}

/* ---- a directory ---- */

#define ENTRY(dn, ...) dir_fake_add(dir, dn, (const char *const[]){__VA_ARGS__, NULL})

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int
setup(void **state)
{
	char path[] = "/tmp/live_testXXXXXX", *why = NULL;
	static const unsigned char key[32];
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");

	(void)state;
	fprintf(f, "domains = {\"tinhmau.example\"}\nldap_base = \"o=x\"\n");
	fclose(f);
	assert_int_equal(conf_load(path, &conf, &why), 0);
	unlink(path);
	dir = dir_fake_new("o=x");
	ENTRY("vnStaffId=1" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "1", "uid",
	    "binhtv", "mail", "binhtv@tinhmau.example", "vnMailAlias", "binh@tinhmau.example",
	    "vnStatus", "active", "vnAgencyRef", "H99", "title", "Giám đốc");
	ENTRY("vnStaffId=2" PEOPLE, "objectClass", "vnCivilServant", "vnStaffId", "2", "uid",
	    "huong", "mail", "huong@tinhmau.example", "vnStatus", "active");
	ENTRY("cn=post,o=x", "objectClass", "organizationalRole", "roleOccupant",
	    "vnStaffId=1" PEOPLE);
	ENTRY("vnMailboxId=a,o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId", "a", "mail",
	    "vt@tinhmau.example", "vnHolder", "cn=post,o=x");
	ENTRY("cn=d,o=x", "objectClass", "vnDelegation", "vnDelegator", "vnStaffId=2" PEOPLE,
	    "vnDelegateTo", "vnStaffId=1" PEOPLE, "vnRights", "lrs send");
	assert_int_equal(people_new(conf, dir, &people, &why), 0);
	loop = loop_new();
	live = live_new(loop, NULL, dir, people, conf, key, NULL);
	while (watch == NULL)
		usleep(1000);
	*watch->heard_ms = now_ms();
	return 0;
}

static void
stop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

/* The loop takes what was told. */
static void
turn(void)
{
	struct loop_timer *t = loop_timer_new(loop, stop, NULL);

	loop_timer_set(t, 1);
	loop_run(loop);
	loop_timer_free(t);
	jobs_answer();
	*watch->heard_ms = now_ms();
}

/* What a worker reads for a login by that name, kept from then on. */
struct seen {
	struct login_facts f;
	struct login_known *k;
};

static struct seen
read_login(const char *name)
{
	struct person_mailboxes *m = NULL;
	struct person *u = NULL;
	struct seen s = {.k = NULL};
	int64_t until;

	assert_int_equal(people_login(people, slice_str(name), &u), 0);
	assert_int_equal(people_mailboxes(people, u, &m), 0);
	assert_int_equal(m->n, 2); /* by post, and delegated */
	snprintf(s.f.account, sizeof(s.f.account), "%s", u->account);
	snprintf(s.f.login, sizeof(s.f.login), "%s", u->login);
	s.f.deps = m->deps;
	s.f.n_deps = m->n_deps;
	s.f.n_subjects = m->n_subjects;
	until = people_keep_until(people, u, m);
	assert_true(until > time(NULL));
	m->deps = NULL;
	m->n_deps = 0;
	s.k = login_known_new(u, slice_str("reply"), &s.f, until);
	person_mailboxes_free(m);
	person_free(u);
	return s;
}

static void
answer(struct seen *s, uint64_t mark, const char *name)
{
	live_login(live, &s->f, mark, name, s->k);
	login_known_release(s->k);
	for (size_t i = 0; i < s->f.n_deps; i++)
		free(s->f.deps[i]);
	free(s->f.deps);
}

static void
sign_in(void)
{
	uint64_t mark;
	struct seen s;

	jobs_answer();
	mark = live_mark(live);
	s = read_login("binhtv");
	answer(&s, mark, "binhtv");
	assert_non_null(live_known(live, "binhtv"));
}

/* An entry of up to three attributes, as the watch tells it. */
static void
tell(enum dir_watch_kind kind, const char *dn, const char *const *v)
{
	struct dir_attr attrs[3];
	struct slice values[3];
	struct dir_entry e = {
	    .dn = xstrdup(dn == NULL ? "" : dn), .dn_norm = dir_dn_norm(dn == NULL ? "" : dn)};

	e.attrs = attrs;
	for (; v != NULL && v[2 * e.n_attrs] != NULL; e.n_attrs++) {
		values[e.n_attrs] = slice_str(v[2 * e.n_attrs + 1]);
		attrs[e.n_attrs] = (struct dir_attr){.name = (char *)(uintptr_t)v[2 * e.n_attrs],
		    .values = &values[e.n_attrs],
		    .n_values = 1};
	}
	watch->fn(watch->arg, kind, dn == NULL ? NULL : &e);
	free(e.dn);
	free(e.dn_norm);
}

static const struct change {
	const char *what;
	enum dir_watch_kind kind;
	const char *dn, *v[7];
	bool stays;
} changes[] = {
    {"the person", DIR_WATCH_CHANGE, "vnStaffId=1" PEOPLE, {"vnStaffId", "1"}, false},
    {"the person, under another name", DIR_WATCH_CHANGE, "vnStaffId=1,ou=left,o=x",
	{"vnStaffId", "1"}, false},
    {"the person is gone", DIR_WATCH_GONE, "VNSTAFFID=1, ou=people, o=x", {NULL}, false},
    {"the post that is held", DIR_WATCH_CHANGE, "cn=post,o=x", {"roleOccupant", "cn=x"}, false},
    {"another post", DIR_WATCH_CHANGE, "cn=new,o=x", {"roleOccupant", "vnStaffId=1" PEOPLE}, false},
    {"a group", DIR_WATCH_CHANGE, "cn=g,o=x", {"member", "cn=post,o=x"}, false},
    {"the mailbox", DIR_WATCH_CHANGE, "vnMailboxId=a,o=x", {"vnMailboxId", "a"}, false},
    {"the mailbox is gone", DIR_WATCH_GONE, "vnMailboxId=a,o=x", {NULL}, false},
    {"a new mailbox", DIR_WATCH_CHANGE, "vnMailboxId=n,o=x", {"vnReader", "vnStaffId=1" PEOPLE},
	false},
    {"the delegation", DIR_WATCH_CHANGE, "cn=d,o=x", {"cn", "d"}, false},
    {"a new delegation", DIR_WATCH_CHANGE, "cn=e,o=x", {"vnDelegateTo", "vnStaffId=1" PEOPLE},
	false},
    {"who delegated", DIR_WATCH_CHANGE, "vnStaffId=2" PEOPLE, {"vnStaffId", "2"}, false},
    {"a group of an agency", DIR_WATCH_CHANGE, "cn=r,o=x", {"vnMemberAgency", "h99"}, false},
    {"a group of a title", DIR_WATCH_CHANGE, "cn=r,o=x", {"vnMemberTitle", "GIÁM ĐỐC"}, false},
    {"a group of kinds", DIR_WATCH_CHANGE, "cn=r,o=x", {"vnMemberKind", "dept"}, false},
    {"the login name of another", DIR_WATCH_CHANGE, "vnStaffId=3" PEOPLE, {"uid", "BinhTV"}, false},
    {"an alias of another", DIR_WATCH_CHANGE, "vnStaffId=3" PEOPLE,
	{"vnMailAlias", "Binh@TinhMau.example"}, false},
    {"an address of another that is the mailbox's", DIR_WATCH_CHANGE, "vnStaffId=3" PEOPLE,
	{"mail", "vt@tinhmau.example"}, false},
    {"a name of which it is not known what it equals", DIR_WATCH_CHANGE, "vnStaffId=3" PEOPLE,
	{"uid", "ｂinhtv"}, false},
    {"a password policy", DIR_WATCH_CHANGE, "cn=default,ou=policies,o=x",
	{"pwdAttribute", "userPassword"}, false},
    {"nobody knows what", DIR_WATCH_ANY, NULL, {NULL}, false},
    {"somebody else", DIR_WATCH_CHANGE, "vnStaffId=3" PEOPLE,
	{"vnStaffId", "3", "uid", "tuan", "mail", "tuan@tinhmau.example"}, true},
    {"a group of somebody else", DIR_WATCH_CHANGE, "cn=o,o=x", {"member", "vnStaffId=3" PEOPLE},
	true},
    {"a group of another agency", DIR_WATCH_CHANGE, "cn=r,o=x", {"vnMemberAgency", "H98"}, true},
    {"somebody else is gone", DIR_WATCH_GONE, "vnStaffId=3" PEOPLE, {NULL}, true},
};

static void
test_changes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const struct change *c = &changes[i];
		struct login_known *k;

		sign_in();
		k = login_known_hold(live_known(live, "binhtv"));
		tell(c->kind, c->dn, c->v);
		/* not before the loop has looked at what it is */
		if (live_known(live, "binhtv") != NULL)
			fail_msg("%s: known though a change waits", c->what);
		turn();
		if ((live_known(live, "binhtv") != NULL) != c->stays || k->is_over == c->stays)
			fail_msg(
			    "%s: %s", c->what, c->stays ? "not known any more" : "known still");
		login_known_release(k);
	}
}

/* The directory was asked before a change and the login is answered after it. */
static void
test_meanwhile(void **state)
{
	static const char *const other[] = {"uid", "tuan", NULL}, *const same[] = {
								      "uid", "binhtv", NULL};
	struct seen s;
	uint64_t mark;

	(void)state;
	sign_in();
	tell(DIR_WATCH_CHANGE, "vnStaffId=1" PEOPLE, NULL);
	turn();
	for (int i = 0; i < 4; i++) {
		static const char *const dns[] = {
		    "cn=post,o=x", "vnStaffId=9" PEOPLE, "vnStaffId=9" PEOPLE, NULL};
		unsigned looks;

		mark = live_mark(live);
		s = read_login("binhtv");
		tell(dns[i] == NULL ? DIR_WATCH_ANY : DIR_WATCH_CHANGE, dns[i],
		    i == 1 ? same : other);
		turn();
		looks = n_looks;
		answer(&s, mark, "binhtv");
		/* i == 2 is a change of somebody else's */
		assert_true((live_known(live, "binhtv") != NULL) == (i == 2));
		assert_true((n_looks > looks) == (i != 2));
		tell(DIR_WATCH_CHANGE, "vnStaffId=1" PEOPLE, NULL);
		turn();
		assert_null(live_known(live, "binhtv"));
	}
	/* more changes than are remembered */
	mark = live_mark(live);
	s = read_login("binhtv");
	for (int i = 0; i < 300; i++)
		tell(DIR_WATCH_CHANGE, "cn=elsewhere,o=x", NULL);
	turn();
	answer(&s, mark, "binhtv");
	assert_null(live_known(live, "binhtv"));
	/* still told when it is answered: found out when the loop comes to it */
	mark = live_mark(live);
	s = read_login("binhtv");
	tell(DIR_WATCH_CHANGE, "cn=post,o=x", NULL);
	answer(&s, mark, "binhtv");
	assert_null(live_known(live, "binhtv"));
	turn();
	assert_null(live_known(live, "binhtv"));
}

static void
test_watch(void **state)
{
	struct login_known *k;
	struct seen s;

	(void)state;
	sign_in();
	k = login_known_hold(live_known(live, "binhtv"));
	assert_true(live_is_good(live, k));
	k->until = 0;
	assert_false(live_is_good(live, k));
	k->until = INT64_MAX;
	*watch->heard_ms = 0;
	assert_false(live_is_good(live, k));
	*watch->heard_ms = now_ms();
	assert_true(live_is_good(live, k));
	k->is_over = true;
	assert_false(live_is_good(live, k));
	k->is_over = false;
	login_known_release(k);
	/* the connection is lost; the server says nothing; it is there again, and nothing has changed */
	*watch->heard_ms = 0;
	assert_null(live_known(live, "binhtv"));
	*watch->heard_ms = now_ms() - 3001;
	assert_null(live_known(live, "binhtv"));
	*watch->heard_ms = now_ms();
	assert_non_null(live_known(live, "binhtv"));
	/* what changed meanwhile comes before it is heard of again */
	*watch->heard_ms = 0;
	tell(DIR_WATCH_CHANGE, "vnStaffId=1" PEOPLE, NULL);
	*watch->heard_ms = now_ms();
	assert_null(live_known(live, "binhtv"));
	turn();
	assert_null(live_known(live, "binhtv"));
	/* nothing is kept that was read while nobody hears */
	*watch->heard_ms = 0;
	s = read_login("binhtv");
	answer(&s, live_mark(live), "binhtv");
	*watch->heard_ms = now_ms();
	assert_null(live_known(live, "binhtv"));
	sign_in();
	/* it begins anew without knowing what was missed */
	tell(DIR_WATCH_DOWN, NULL, NULL);
	tell(DIR_WATCH_UP, NULL, NULL);
	tell(DIR_WATCH_ANY, NULL, NULL);
	turn();
	assert_null(live_known(live, "binhtv"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_changes),
	    cmocka_unit_test(test_meanwhile),
	    cmocka_unit_test(test_watch),
	};

	log_init("live_test", 2);
	log_set_level(LOG_LVL_ERROR);
	return cmocka_run_group_tests(tests, setup, NULL);
}
