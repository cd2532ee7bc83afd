/* stored_purge_test.c: a mail that must not exist goes from mailboxes, retained rows and the disk, by two officers, against a real
 * congvu-stored-db. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/store_proto.h"
#include "tests/unit/kept_fix.h"

#define SECRET "the secret that leaked: 7f3a90c1"
static const char conf[] = "security_officers = {\"an\", \"binh\"}\n";
static char sha[65];

static int
setup(void **state)
{
	unsigned char digest[32];

	(void)state;
	sha256_of(slice_str(SECRET), digest);
	hex_encode(digest, 32, sha);
	return fix_new(conf);
}

static int
setup_none(void **state)
{
	(void)state;
	return fix_new(NULL);
}

static int
teardown(void **state)
{
	(void)state;
	fix_free();
	return 0;
}

static const struct fix_task *
request(const char *by, const char *more)
{
	char args[1000];

	snprintf(args, sizeof args,
	    "{\"what\":\"request\",\"by\":\"%s\",\"kind\":\"sha256\",\"value\":\"%s\",\"reason\":"
	    "\"lộ\"%s}",
	    by, sha, more);
	return fix_task("purge", args);
}

static const struct fix_task *
second(const char *what, const char *by, unsigned n)
{
	char args[200];

	snprintf(args, sizeof args, "{\"what\":\"%s\",\"by\":\"%s\",\"request\":%u}", what, by, n);
	return fix_task("purge", args);
}

static size_t
count(const char *where, const char *what)
{
	size_t n = 0;

	for (const char *p = where; (p = strstr(p, what)) != NULL; p++)
		n++;
	return n;
}

/* Whether the octets stand in any file of bodies. */
static bool
on_disk(const char *what)
{
	char path[200];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof path, "%s/store/segments", X->run.dir);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		static char data[4 << 20];
		FILE *f;
		size_t n;

		snprintf(path, sizeof path, "%.90s/store/segments/%.60s", X->run.dir, e->d_name);
		f = fopen(path, "rb");
		if (f == NULL)
			continue;
		while ((n = fread(data, 1, sizeof data, f)) > 0)
			found = found || slice_find(slice_of(data, n), slice_str(what)) >= 0;
		fclose(f);
	}
	closedir(d);
	return found;
}

/* In an INBOX, a copy, retained, in a deleted mailbox, with another person; and other mail beside it. */
static struct store_session *
spread(void)
{
	struct store_session *s;
	uint32_t first[] = {1};
	uint64_t mb;

	fix_deliver("one", "p-1", "INBOX", SECRET);
	fix_deliver("two", "p-1", "INBOX", "innocent");
	fix_deliver("three", "p-2", "INBOX", SECRET);
	s = fix_login("p-1", "an");
	mb = fix_id(s, "INBOX");
	fix_copy(s, mb, first, 1, fix_id(s, "Archive"), false);
	fix_create(s, "Old");
	fix_copy(s, mb, first, 1, fix_id(s, "Old"), false);
	fix_delete(s, fix_id(s, "Old"));
	fix_copy(s, mb, first, 1, fix_id(s, "Trash"), false);
	fix_expunge(s, fix_id(s, "Trash"), NULL, 0, false);
	return s;
}

static void
two_officers(void **state)
{
	struct store_session *s = spread(), *t;
	const struct fix_task *k;

	(void)state;
	assert_true(on_disk("7f3a90c1"));
	k = request("chi", "");
	assert_int_equal(X->err, ERR_DENIED);
	assert_non_null(strstr(k->why, "security_officers"));
	k = request("an", "");
	assert_int_equal(X->err, 0);
	assert_non_null(strstr(k->status, "\"state\":\"done\""));
	assert_int_equal(count(k->findings, "\"account\":\"p-1\""), 4);
	assert_int_equal(count(k->findings, "\"account\":\"p-2\""), 1);
	assert_int_equal(count(k->findings, "\"retained\":true"), 1);
	assert_int_equal(count(k->findings, "\"mailbox_deleted\":true"), 1);
	assert_non_null(strstr(k->status, "\"requested_by\":\"an\""));
	assert_non_null(strstr(k->status, "\"accounts\":2,"));
	assert_non_null(strstr(k->status, "\"mailboxes\":5,"));
	/* it only looked */
	assert_int_equal(fix_box(s, "INBOX")->messages, 2);
	/* the same one is refused, as is who is no officer */
	k = second("confirm", "an", 1);
	assert_non_null(strstr(k->status, "another officer"));
	second("confirm", "root", 1);
	assert_int_equal(X->err, ERR_DENIED);
	assert_int_equal(fix_box(s, "INBOX")->messages, 2);
	fix_open(s, fix_id(s, "INBOX"));
	k = second("confirm", "binh", 1);
	assert_int_equal(X->err, 0);
	assert_non_null(strstr(k->status, "\"removed\":5"));
	assert_non_null(strstr(k->status, "\"left\":0"));
	assert_non_null(strstr(k->status, "\"bodies_dropped\":1"));
	assert_non_null(strstr(k->status, "\"bodies_left\":0"));
	assert_non_null(strstr(k->status, "\"confirmed_by\":\"binh\""));
	fix_spin(50);
	assert_true(X->events > 0); /* who watches hears of it */
	assert_int_equal(fix_box(s, "INBOX")->messages, 1);
	assert_int_equal(fix_box(s, "Archive")->messages, 0);
	assert_true(fix_box(s, "INBOX")->size == 14);
	t = fix_login("p-2", "chi");
	assert_int_equal(fix_box(t, "INBOX")->messages, 0);
	fix_kept_boxes("p-1");
	assert_int_equal(X->n_kept, 0);
	assert_false(on_disk("7f3a90c1"));
	assert_true(on_disk("innocent"));
	/* the record outlives stored; what is over is over */
	fix_restart(SIGKILL, 0);
	k = second("list", "", 0);
	assert_int_equal(count(k->findings, "\"state\":\"done\""), 1);
	assert_int_equal(count(k->findings, "\"reason\":\"l\\u1ED9\""), 1);
	k = second("confirm", "binh", 1);
	assert_non_null(strstr(k->status, "is over"));
	k = request("an", "");
	assert_non_null(strstr(k->status, "nothing in the store"));
	fix_rows(s, fix_id(s, "INBOX"));
	assert_int_equal(X->n_rows, 1);
}

static void
held(void **state)
{
	struct store_session *s = spread();
	struct fix_hold h[2];
	const struct fix_task *k;

	(void)state;
	fix_hold(1, "p-1", 0, "1/QĐ", "", h, 2);
	k = request("an", "");
	assert_int_equal(count(k->findings, "\"held\":true"), 4);
	assert_non_null(strstr(k->status, "\"held\":4"));
	k = second("confirm", "binh", 1);
	assert_non_null(strstr(k->status, "\"removed\":1"));
	assert_non_null(strstr(k->status, "\"left\":4"));
	assert_non_null(strstr(k->status, "\"state\":\"partly\""));
	assert_int_equal(fix_box(s, "INBOX")->messages, 2);
	assert_int_equal(fix_kept("p-1", "Trash")->kept, 1);
	assert_true(on_disk("7f3a90c1"));
	/* overridden by a decision alone */
	request("an", ",\"override_hold\":true");
	assert_int_equal(X->err, ERR_SYNTAX);
	k = request("binh", ",\"override_hold\":true,\"decision\":\"9/QĐ\"");
	assert_non_null(strstr(k->status, "\"decision\":\"9/Q"));
	k = second("confirm", "an", 2);
	assert_non_null(strstr(k->status, "\"removed\":4"));
	assert_non_null(strstr(k->status, "\"bodies_left\":0"));
	assert_int_equal(fix_box(s, "INBOX")->messages, 1);
	assert_false(on_disk("7f3a90c1"));
}

static const struct fix_task *
request_id(const char *by, const char *id)
{
	char args[300];

	snprintf(args, sizeof args,
	    "{\"what\":\"request\",\"by\":\"%s\",\"kind\":\"message_id\",\"value\":\"%s\","
	    "\"reason\":\"x\"}",
	    by, id);
	return fix_task("purge", args);
}

/* What is confirmed is what was shown: copies of it too, and no other mail that bears its Message-ID since. */
static void
what_was_shown(void **state)
{
	struct store_session *s;
	const struct fix_task *k;
	uint32_t first[] = {1};
	uint64_t mb;

	(void)state;
	fix_deliver("one", "p-1", "INBOX", "Message-ID: <leak@x>\r\n\r\n" SECRET);
	k = request_id("an", "<leak@x>");
	assert_non_null(strstr(k->status, "\"messages\":1,"));
	assert_non_null(strstr(k->status, "\"unshown\":0"));
	fix_deliver("two", "p-1", "INBOX", "Message-ID: <leak@x>\r\n\r\nanother mail");
	fix_deliver("three", "p-2", "INBOX", "Message-ID: <leak@x>\r\n\r\nanother mail");
	s = fix_login("p-1", "an");
	mb = fix_id(s, "INBOX");
	fix_copy(s, mb, first, 1, fix_id(s, "Archive"), false);
	k = second("confirm", "binh", 1);
	assert_int_equal(X->err, 0);
	assert_int_equal(count(k->findings, "\"unshown\":true"), 2);
	assert_non_null(strstr(k->status, "\"removed\":2"));
	assert_non_null(strstr(k->status, "\"unshown\":2"));
	assert_non_null(strstr(k->status, "\"bodies_left\":0"));
	assert_non_null(strstr(k->status, "\"state\":\"done\""));
	assert_false(on_disk("7f3a90c1"));
	assert_true(on_disk("another mail"));
	assert_int_equal(fix_box(s, "INBOX")->messages, 1);
	assert_int_equal(fix_box(s, "Archive")->messages, 0);
	/* the others by a request of their own */
	k = request_id("an", "leak@x");
	assert_non_null(strstr(k->status, "\"messages\":2,"));
	k = second("confirm", "binh", 2);
	assert_non_null(strstr(k->status, "\"removed\":2"));
	assert_false(on_disk("another mail"));
	store_session_free(s);
}

/* All of it is held: nothing is done to the disk, and it is not over. */
static void
held_only(void **state)
{
	struct fix_hold h[2];
	const struct fix_task *k;

	(void)state;
	fix_deliver("one", "p-1", "INBOX", SECRET);
	fix_hold(1, "p-1", 0, "1/QĐ", "", h, 2);
	k = request("an", "");
	assert_non_null(strstr(k->status, "\"held\":1"));
	k = second("confirm", "binh", 1);
	assert_non_null(strstr(k->status, "\"removed\":0"));
	assert_non_null(strstr(k->status, "\"left\":1"));
	assert_non_null(strstr(k->status, "\"bodies_left\":1"));
	assert_non_null(strstr(k->status, "\"state\":\"partly\""));
	assert_null(strstr(k->status, "erased_octets"));
	assert_true(on_disk("7f3a90c1"));
}

/* A backup reads what is dead by now: the disk is cleaned when it let go. */
static void
beside_a_backup(void **state)
{
	struct buf ask, reply;
	struct ipc_reader r;
	unsigned char epoch[16];
	struct slice id, e;
	uint16_t type;

	(void)state;
	fix_deliver("one", "p-1", "INBOX", SECRET);
	fix_deliver("two", "p-1", "INBOX", "innocent");
	request("an", "");
	buf_init(&ask, 16);
	assert_int_equal(fix_ask(STORE_BACKUP_BEGIN, &ask, &type, &reply), 0);
	ipc_reader_init(&r, buf_slice(&reply));
	id = ipc_get_slice(&r);
	e = ipc_get_slice(&r);
	assert_true(id.len == 16 && e.len == 16);
	memcpy(epoch, e.ptr, 16);
	buf_done(&reply);
	buf_init(&ask, 64);
	ipc_put_slice(&ask, slice_of(epoch, 16));
	ipc_put_u32(&ask, 0);
	assert_int_equal(fix_ask(STORE_BACKUP_CUT, &ask, &type, &reply), 0);
	buf_done(&reply);
	buf_init(&ask, 300);
	ipc_put_str(&ask, "purge");
	ipc_put_str(&ask, "{\"what\":\"confirm\",\"by\":\"binh\",\"request\":1}");
	assert_int_equal(fix_ask(STORE_TASK_START, &ask, &type, &reply), 0);
	buf_done(&reply);
	for (int i = 0; i < 100; i++)
		fix_spin(10);
	assert_true(on_disk("7f3a90c1"));
	buf_init(&ask, 64);
	ipc_put_str(&ask, "/nowhere");
	ipc_put_i64(&ask, 1000000);
	assert_int_equal(fix_ask(STORE_BACKUP_DONE, &ask, &type, &reply), 0);
	buf_done(&reply);
	for (int i = 0; i < 1000 && on_disk("7f3a90c1"); i++)
		fix_spin(20);
	assert_false(on_disk("7f3a90c1"));
	assert_true(on_disk("innocent"));
	/* and it says which backups there are */
	fix_deliver("three", "p-1", "INBOX", "Message-ID: <m@x>\r\n\r\nx");
	for (int i = 0; i < 500; i++) { /* the first one may have its record still to write */
		(void)request_id("an", "<m@x>");
		if (X->err != ERR_EXISTS)
			break;
		fix_spin(20);
	}
	assert_int_equal(X->err, 0);
	assert_non_null(strstr(request_id("an", "<m@x>")->status, "\"folder\":\"/nowhere\""));
}

static void
terms(void **state)
{
	const struct fix_task *k;

	(void)state;
	spread();
	request("an", "");
	request("an", "");
	k = second("cancel", "an", 1);
	assert_non_null(strstr(k->status, "\"state\":\"canceled\""));
	k = second("confirm", "binh", 1);
	assert_non_null(strstr(k->status, "is over"));
	k = second("confirm", "binh", 7);
	assert_non_null(strstr(k->status, "no such request"));
	fix_restart(SIGTERM, 4 * 86400);
	k = second("confirm", "binh", 2);
	assert_non_null(strstr(k->status, "expired"));
	fix_restart(SIGTERM, 0);
	fix_task("purge", "{\"what\":\"request\",\"by\":\"an\",\"kind\":\"sha256\",\"value\":"
			  "\"12\",\"reason\":\"x\"}");
	assert_int_equal(X->err, ERR_SYNTAX);
	fix_task("purge", "{\"what\":\"request\",\"by\":\"an\",\"kind\":\"body\",\"value\":\"1\"}");
	assert_int_equal(X->err, ERR_SYNTAX);
}

static void
no_officers(void **state)
{
	(void)state;
	request("root", "");
	assert_int_equal(X->err, ERR_DENIED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(two_officers, setup, teardown),
	    cmocka_unit_test_setup_teardown(held, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_was_shown, setup, teardown),
	    cmocka_unit_test_setup_teardown(held_only, setup, teardown),
	    cmocka_unit_test_setup_teardown(beside_a_backup, setup, teardown),
	    cmocka_unit_test_setup_teardown(terms, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_officers, setup_none, teardown),
	};

	log_init("stored_purge_test", 2);
	log_set_level(LOG_LVL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
