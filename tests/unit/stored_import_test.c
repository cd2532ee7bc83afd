/* stored_import_test.c: imports against a real congvu-stored-db: what was brought is not brought again, for import_memory_days and not for the seven days of
 * deliveries; what is gone comes again where that is asked for; the quota; keywords; mailboxes that are made, or gone; several at a time keep their order. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "store/store_proto.h"
#include "tests/unit/kept_fix.h"

enum { DAY = 86400, MANY = 60 };
static const char conf[] = "quota_messages = 100\nquota_mb = 1\nimport_memory_days = 60\n";

static struct result {
	int err;
	uint32_t uid;
	bool repeated;
} last, many[MANY];
static unsigned left;

static uint64_t
open_box(const char *account, const char *name, uint8_t make, int want)
{
	struct buf ask, reply;
	struct ipc_reader r;
	uint16_t type;
	uint64_t id = 0;

	buf_init(&ask, 4096);
	buf_init(&reply, 65536);
	ipc_put_str(&ask, account);
	ipc_put_str(&ask, name);
	ipc_put_u8(&ask, make);
	assert_int_equal(fix_ask(STORE_IMPORT_OPEN, &ask, &type, &reply), want);
	if (want == 0) {
		assert_int_equal(type, STORE_IMPORT_OPENED);
		ipc_reader_init(&r, buf_slice(&reply));
		id = ipc_get_u64(&r);
	}
	buf_done(&reply);
	return id;
}

static void
on_import(void *arg, int err, uint32_t uidvalidity, uint32_t uid, bool repeated)
{
	struct result *k = arg;

	(void)uidvalidity;
	*k = (struct result){err, uid, repeated};
	left--;
}

static void
message(struct deliver_message *m, const char *id, const char *text)
{
	memset(m, 0, sizeof *m);
	m->fd = -1;
	m->body = slice_str(text);
	m->size = m->body.len;
	memcpy(m->id, id, strlen(id) < 16 ? strlen(id) : 16);
	sha256_of(m->body, m->sha256);
	m->summary = slice_str("summary");
	m->envelope = slice_str("()");
	m->sent_date = INT64_MIN;
}

static void
send_one(const char *id, uint64_t box, uint8_t how, const char *keywords, const char *text,
    struct result *to)
{
	struct deliver_message m;
	struct deliver_import i = {.account = slice_str("p-1"),
	    .mailbox = box,
	    .trace = slice_str("T: r\r\n"),
	    .how = how,
	    .flags = MSG_SEEN,
	    .keywords = slice_str(keywords),
	    .internal_date = 1234,
	    .internal_zone = 420};

	message(&m, id, text);
	left++;
	assert_int_equal(deliver_import(X->ingest, &m, &i, 10000, on_import, to, NULL), 0);
}

static void
settle(void)
{
	while (left > 0)
		assert_int_equal(loop_run_once(X->l, 100), 0);
}

static void
import(const char *id, uint64_t box, uint8_t how, const char *keywords, const char *text)
{
	send_one(id, box, how, keywords, text, &last);
	settle();
}

static void
check(const char *id, uint64_t box, uint8_t how, uint64_t size)
{
	struct deliver_import i = {.account = slice_str("p-1"), .mailbox = box, .how = how};
	unsigned char raw[16] = {0};

	memcpy(raw, id, strlen(id));
	left++;
	assert_int_equal(
	    deliver_import_check(X->ingest, &i, raw, size, 10000, on_import, &last, NULL), 0);
	settle();
}

static int
setup(void **state)
{
	(void)state;
	return fix_new(conf);
}

static int
teardown(void **state)
{
	(void)state;
	fix_free();
	return 0;
}

static void
test_once(void **state)
{
	uint64_t box;
	struct store_session *s;

	(void)state;
	open_box("p-1", "Cũ/Thư", 1, ERR_NOTFOUND);
	open_box("p-1", "a//b", 2, ERR_SYNTAX);
	open_box("p-1", "%", 2, ERR_SYNTAX);
	open_box("no account", "x", 2, ERR_SYNTAX);
	box = open_box("p-1", "Cũ/Thư", 2, 0);
	assert_true(open_box("p-1", "Cũ/Thư", 0, 0) == box);
	assert_true(open_box("p-1", "inbox", 0, 0) != 0);
	check("a", box, 0, 10);
	assert_int_equal(last.err, 0);
	assert_false(last.repeated);
	import("a", box, 0, "kw $Forwarded", "one");
	assert_int_equal(last.err, 0);
	assert_false(last.repeated);
	assert_int_equal(last.uid, 1);
	import("a", box, 0, "", "one");
	assert_true(last.err == 0 && last.repeated && last.uid == 1);
	check("a", box, 0, 10);
	assert_true(last.err == 0 && last.repeated && last.uid == 1);
	s = fix_login("p-1", "an");
	fix_rows(s, box);
	assert_int_equal(X->n_rows, 1);
	assert_int_equal(X->rows[0].row.flags, MSG_SEEN);
	assert_string_equal(X->rows[0].keywords, "kw $Forwarded");
	assert_int_equal(X->rows[0].row.internal_date, 1234);
	assert_int_equal(X->rows[0].row.size, 3 + 6);
	/* what users removed stays so; and comes again, once, where that is asked for */
	fix_expunge(s, box, (uint32_t[]){1}, 1, false);
	import("a", box, 0, "", "one");
	assert_true(last.err == 0 && last.repeated);
	check("a", box, IMPORT_AGAIN, 10);
	assert_true(last.err == 0 && !last.repeated);
	import("a", box, IMPORT_AGAIN, "", "one");
	assert_true(last.err == 0 && !last.repeated && last.uid == 2);
	import("a", box, IMPORT_AGAIN, "", "one");
	assert_true(last.err == 0 && last.repeated && last.uid == 2);
	fix_expunge(s, box, (uint32_t[]){2}, 1, false);
	import("a", box, IMPORT_AGAIN, "", "one");
	assert_true(last.err == 0 && !last.repeated && last.uid == 3);
	/* the mailbox keeps its memory under another name, and takes it with it when it goes */
	fix_rename(s, box, "Khác");
	import("a", box, 0, "", "one");
	assert_true(last.err == 0 && last.repeated);
	fix_delete(s, box);
	import("a", box, 0, "", "one");
	assert_int_equal(last.err, ERR_NOTFOUND);
	check("a", box, 0, 10);
	assert_int_equal(last.err, ERR_NOTFOUND);
	store_session_free(s);
}

static void
test_memory(void **state)
{
	uint64_t box = open_box("p-1", "INBOX", 2, 0);
	struct store_session *s;

	(void)state;
	import("import", box, 0, "", "one");
	assert_int_equal(last.err, 0);
	fix_deliver("delivery", "p-1", "INBOX", "two");
	assert_int_equal(X->err, 0);
	/* in ten days deliveries are forgotten (delivery_memory_days), imports are not */
	fix_restart(SIGKILL, 10 * DAY);
	fix_deliver("other", "p-1", "INBOX", "three"); /* has the old ones removed behind it */
	fix_spin(300);
	fix_deliver("delivery", "p-1", "INBOX", "two");
	import("import", box, 0, "", "one");
	assert_true(last.err == 0 && last.repeated && last.uid == 1);
	s = fix_login("p-1", "an");
	fix_rows(s, box);
	assert_int_equal(X->n_rows, 4); /* "two" came twice */
	store_session_free(s);
	/* after import_memory_days they are */
	fix_restart(SIGTERM, 62 * DAY);
	fix_deliver("later", "p-1", "INBOX", "four");
	fix_spin(300);
	import("import", box, 0, "", "one");
	assert_true(last.err == 0 && !last.repeated);
}

static void
test_quota(void **state)
{
	uint64_t box = open_box("p-1", "Đầy", 2, 0);
	char id[16];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(id, sizeof id, "q%u", i);
		import(id, box, 0, "", "x");
		assert_int_equal(last.err, 0);
	}
	import("more", box, 0, "", "x");
	assert_int_equal(last.err, ERR_FULL);
	check("more", box, 0, 1);
	assert_int_equal(last.err, ERR_FULL);
	/* what is there is there, whatever the quota says */
	check("q7", box, 0, 1);
	assert_true(last.err == 0 && last.repeated && last.uid == 8);
	import("q7", box, 0, "", "x");
	assert_true(last.err == 0 && last.repeated && last.uid == 8);
	check("more", box, IMPORT_OVER_QUOTA, 1);
	assert_true(last.err == 0 && !last.repeated);
	import("more", box, IMPORT_OVER_QUOTA, "", "x");
	assert_true(last.err == 0 && !last.repeated && last.uid == 101);
	fix_deliver("mail", "p-1", "INBOX", "x");
	assert_int_equal(X->err, ERR_FULL);
}

/* Bodies of any size, many at a time: UIDs are in the order of asking; the same id twice at once is one message. */
static void
test_order(void **state)
{
	static char large[100000];
	uint64_t box = open_box("p-1", "Thứ tự", 2, 0);
	char id[16];

	(void)state;
	memset(large, 'l', sizeof large - 1);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(id, sizeof id, "o%u", i == MANY - 1 ? i - 1 : i);
		large[i * 10] = (char)('A' + i);
		send_one(id, box, 0, "", i % 7 == 0 ? large : "small", &many[i]);
	}
	settle();
	for (unsigned i = 0; i < MANY - 1; i++) {
		assert_int_equal(many[i].err, 0);
		assert_int_equal(many[i].uid, i + 1);
	}
	assert_true(many[MANY - 1].err == 0 && many[MANY - 1].repeated);
	assert_int_equal(many[MANY - 1].uid, MANY - 1);
}

static void
test_keywords(void **state)
{
	static char keywords[5000];
	uint64_t box = open_box("p-1", "Từ khóa", 2, 0);

	(void)state;
	for (unsigned i = 0; i < 65; i++)
		snprintf(keywords + strlen(keywords), sizeof keywords - strlen(keywords), "%sk%u",
		    i > 0 ? " " : "", i);
	import("k", box, 0, keywords, "x");
	assert_int_equal(last.err, ERR_LIMIT);
	import("k", box, 0, "a(b", "x");
	assert_int_equal(last.err, ERR_SYNTAX);
	import("k", box, 0, "", "x");
	assert_true(last.err == 0 && !last.repeated);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_quota, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_keywords, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
