/* stored_rebuild_test.c: summaries and rows as an older version left them are made anew from the bodies, against a real congvu-stored-db, with the part of
 * ingest that makes them in this process. What comes out is compared with what ingest makes of the same mail when it comes in. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/fold.h"
#include "lib/log.h"
#include "store/ingest.h"
#include "store/sig.h"
#include "store/store_proto.h"
#include "tests/unit/kept_fix.h"

enum { MSGS = 150, OLD = 600 };

static struct ingest in;
static struct rebuild_worker *worker;

static int
setup(void **state)
{
	(void)state;
	if (fix_new(NULL) != 0)
		return -1;
	in = (struct ingest){.loop = X->l, .size_max = 1 << 20};
	worker = rebuild_worker_new(&in, X->run.ingest_sock);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	rebuild_worker_free(worker);
	fix_free();
	return 0;
}

/* Of three kinds: plain, multipart, and one of 100 KB, which is kept in parts. Each has a word of its own, of the letters a to j. */
static void
word(unsigned i, char out[12])
{
	for (int k = 0; k < 10; k++)
		out[k] = (char)('a' + (i * 7919u >> k) % 10);
	snprintf(out + 10, 2, "%c", 'a' + i % 10);
}

static const char *
text(unsigned i)
{
	static char out[200000];
	char own[12];
	size_t n;

	word(i, own);
	n = (size_t)snprintf(out, sizeof out,
	    "From: An <an%u@a.example>\r\nTo: binh@b.example\r\nSubject: so %u\r\nDate: Mon, 2 Nov "
	    "2026 "
	    "08:%02u:00 +0700\r\nMessage-ID: <m%u@a.example>\r\nReferences: <r%u@a.example>\r\n",
	    i, i, i % 60, i, i);
	if (i % 3 == 0)
		n += (size_t)snprintf(out + n, sizeof out - n, "\r\nhello %s %u\r\n", own, i);
	else
		n += (size_t)snprintf(out + n, sizeof out - n,
		    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; "
		    "boundary=\"b\"\r\n\r\n--b\r\n\r\n"
		    "hello %s %u\r\n--b\r\nContent-Type: application/octet-stream; "
		    "name=\"f%u\"\r\n\r\n",
		    own, i, i);
	if (i % 50 == 1)
		for (unsigned k = 0; k < 1500; k++)
			n += (size_t)snprintf(out + n, sizeof out - n,
			    "%08x%08x%08x%08x%08x%08x%08x%08x\r\n", k * 2654435761u, i, k, k * k,
			    k * i, k + i, k ^ i, k * 40503u);
	if (i % 3 != 0)
		snprintf(out + n, sizeof out - n, "x\r\n--b--\r\n");
	return out;
}

/* ---- what is in the store ---- */

static struct seen {
	struct buf envelope, refs, tree;
	int64_t sent_date;
	uint32_t flags;
	uint64_t modseq;
	bool there, maybe;
} seen;
static bool ended;

static void
on_rows(void *arg, int err, const struct msg_row *rows, size_t n, uint32_t next)
{
	(void)arg;
	(void)next;
	assert_int_equal(err, 0);
	seen.there = n == 1;
	if (n == 1) {
		buf_append_slice(&seen.envelope, rows[0].envelope);
		buf_append_slice(&seen.refs, rows[0].refs);
		seen.sent_date = rows[0].sent_date;
		seen.flags = rows[0].flags;
		seen.modseq = rows[0].modseq;
	}
	ended = true;
}

static void
on_tree(void *arg, int err, struct slice bytes)
{
	(void)arg;
	assert_int_equal(err, 0);
	buf_append_slice(&seen.tree, bytes);
	ended = true;
}

static void
on_candidates(void *arg, int err, uint32_t from, uint32_t next, struct slice known,
    const struct slice *maybe, size_t n)
{
	(void)arg;
	(void)from;
	(void)next;
	assert_int_equal(err, 0);
	assert_int_equal(n, 1);
	assert_true(known.ptr[0] & 1);
	seen.maybe = (maybe[0].ptr[0] & 1) != 0;
	ended = true;
}

static void
wait_ended(void)
{
	for (int i = 0; i < 600 && !ended; i++)
		loop_run_once(X->l, 50);
	assert_true(ended);
	ended = false;
}

static bool
maybe(struct store_session *s, uint64_t m, uint32_t uid, const char *what)
{
	struct store_needle n = {.where = STORE_IN_BODY};
	struct buf folded;

	buf_init(&folded, 1000);
	assert_int_equal(vn_fold(slice_str(what), &folded), 0);
	n.text = buf_slice(&folded);
	assert_int_equal(store_candidates(s, m, uid, uid, &n, 1, on_candidates, NULL), 0);
	wait_ended();
	buf_done(&folded);
	return seen.maybe;
}

static void
look(struct store_session *s, uint64_t m, uint32_t uid)
{
	buf_done(&seen.envelope);
	buf_done(&seen.refs);
	buf_done(&seen.tree);
	memset(&seen, 0, sizeof seen);
	buf_init(&seen.envelope, 65536);
	buf_init(&seen.refs, 65536);
	buf_init(&seen.tree, 1 << 20);
	assert_int_equal(store_rows(s, m, uid, uid, on_rows, NULL), 0);
	wait_ended();
	if (!seen.there)
		return;
	assert_int_equal(store_summary(s, m, uid, on_tree, NULL), 0);
	wait_ended();
}

/* What ingest makes of it today. */
static void
compare(struct store_session *s, uint64_t m, uint32_t uid, unsigned i)
{
	struct ingest_body b;
	struct ingest_message im;
	const char *t = text(i);
	char own[12];

	look(s, m, uid);
	assert_true(seen.there);
	ingest_body_init(&b, &in);
	assert_int_equal(ingest_body_append(&b, t, strlen(t)), 0);
	assert_int_equal(
	    ingest_message_init(&im, &b, (const unsigned char *)"0123456789abcdef"), 0);
	assert_true(slice_eq(buf_slice(&seen.envelope), im.m.envelope));
	assert_true(slice_eq(buf_slice(&seen.refs), im.m.refs));
	assert_true(seen.sent_date == im.m.sent_date);
	assert_true(slice_eq(buf_slice(&seen.tree), summary_tree(im.m.summary)));
	ingest_message_done(&im);
	ingest_body_done(&b);
	word(i, own);
	if (!maybe(s, m, uid, own))
		print_message("uid %u: %s\n", uid, own);
	assert_true(maybe(s, m, uid, own));
	assert_false(maybe(s, m, uid, "khong co trong thu nay"));
}

static void
on_told(void *arg, int err, const struct deliver_result *r, size_t n)
{
	(void)arg;
	assert_int_equal(err, 0);
	assert_int_equal(n, 1);
	assert_int_equal(r[0].err, 0);
	ended = true;
}

/* As it was before there were signatures and references; in every tenth the summary cannot be read at all. The ENVELOPE is a wrong one. */
static void
deliver_old_to(const char *id, const char *account, unsigned i)
{
	struct deliver_target to = {.account = slice_str(account),
	    .mailbox = slice_str("INBOX"),
	    .trace = slice_str("A: b\r\n")};
	unsigned char name[16] = {0};
	struct ingest_message im;
	struct ingest_body b;
	const char *t = text(i);

	snprintf((char *)name, sizeof name, "%s", id);
	ingest_body_init(&b, &in);
	assert_int_equal(ingest_body_append(&b, t, strlen(t)), 0);
	assert_int_equal(ingest_message_init(&im, &b, name), 0);
	im.m.summary = i % 10 == 0 ? slice_str("?") : summary_tree(im.m.summary);
	im.m.envelope = slice_str("(E)");
	im.m.refs = slice_str("");
	im.m.sent_date = 7;
	assert_int_equal(deliver_send(X->ingest, &im.m, &to, 1, 10000, on_told, NULL, NULL), 0);
	wait_ended();
	ingest_message_done(&im);
	ingest_body_done(&b);
}

static void
deliver_old(unsigned from, unsigned to)
{
	char id[40];

	for (unsigned i = from; i < to; i++) {
		snprintf(id, sizeof id, "old-%u", i);
		deliver_old_to(id, "p-1", i);
	}
}

static long long
number(const struct fix_task *k, const char *name)
{
	char key[60];
	const char *at;

	snprintf(key, sizeof key, "\"%s\":", name);
	at = strstr(k->status, key);
	assert_non_null(at);
	return strtoll(at + strlen(key), NULL, 10);
}

static void
anew(void **state)
{
	static uint64_t modseqs[MSGS + 1];
	struct store_session *s;
	const struct fix_task *k;
	uint32_t flagged[] = {4, 9}, gone[] = {150};
	struct fix_box before;
	uint64_t m;

	(void)state;
	deliver_old(1, MSGS + 1);
	deliver_old_to("again", "p-2", 5); /* one body, two rows */
	s = fix_login("p-1", "an");
	m = fix_id(s, "INBOX");
	fix_flags(s, m, flagged, 2, STORE_ADD, MSG_FLAGGED, "kw");
	fix_expunge(s, m, gone, 1, false);
	for (unsigned i = 1; i < MSGS; i++) {
		look(s, m, i);
		modseqs[i] = seen.modseq;
		assert_int_equal(seen.refs.len, 0);
	}
	assert_true(maybe(s, m, 3, "khong co trong thu nay"));
	fix_open(s, m);
	before = *fix_box(s, "INBOX");
	X->events = 0;

	k = fix_task("rebuild", "{\"dry_run\":true}");
	assert_int_equal(number(k, "summaries"), MSGS);
	assert_int_equal(number(k, "rows"), MSGS);
	look(s, m, 3);
	assert_int_equal(seen.refs.len, 0);

	k = fix_task("rebuild", "{\"account\":\"p-9\"}");
	assert_int_equal(number(k, "messages"), 0);
	k = fix_task("rebuild", "{\"account\":\"../x\"}");
	assert_int_equal(X->err, ERR_SYNTAX);
	k = fix_task("rebuild", "{}");
	assert_non_null(strstr(k->status, "\"state\":\"done\""));
	assert_int_equal(number(k, "summaries"), MSGS); /* the retained one's too */
	assert_int_equal(number(k, "rows"), MSGS);      /* without it, and with p-2's */
	assert_int_equal(number(k, "faults"), 0);
	for (unsigned i = 1; i < MSGS; i++) {
		compare(s, m, i, i);
		assert_true(seen.modseq == modseqs[i]);
		assert_int_equal(seen.flags, i == 4 || i == 9 ? MSG_FLAGGED : 0);
	}
	fix_spin(100);
	assert_int_equal(X->events, 0);
	assert_true(fix_box(s, "INBOX")->modseq == before.modseq);
	assert_true(fix_box(s, "INBOX")->size == before.size);
	k = fix_task("check", "{\"deep\":true}");
	assert_int_equal(number(k, "faults"), 0);

	k = fix_task("rebuild", "{}");
	assert_int_equal(number(k, "summaries"), 0);
	assert_int_equal(number(k, "rows"), 0);
	k = fix_task("rebuild", "{\"all\":true}");
	assert_int_equal(number(k, "summaries"), MSGS);
	assert_int_equal(number(k, "rows"), 0); /* as they were */
	compare(s, m, 5, 5);

	fix_restart(SIGKILL, 0);
	k = fix_task("compact", "{\"min_live\":100}");
	assert_non_null(strstr(k->status, "\"state\":\"done\""));
	k = fix_task("check", "{\"deep\":true}");
	assert_int_equal(number(k, "faults"), 0);
	for (unsigned i = 1; i < MSGS; i++)
		compare(s, m, i, i);
	store_session_free(s);
}

/* Until the task has read so many messages. */
static void
spin_until(unsigned messages)
{
	struct fix_task k = {.status = ""};
	struct buf ask, reply;
	struct ipc_reader r;
	struct slice status;
	uint16_t type;

	for (int i = 0; i < 5000; i++) {
		loop_run_once(X->l, 2);
		buf_init(&ask, 16);
		ipc_put_u64(&ask, 1);
		ipc_put_u64(&ask, 0);
		assert_int_equal(fix_ask(STORE_TASK_STATUS, &ask, &type, &reply), 0);
		ipc_reader_init(&r, buf_slice(&reply));
		status = ipc_get_slice(&r);
		snprintf(
		    k.status, sizeof k.status, "%.*s", (int)status.len, (const char *)status.ptr);
		buf_done(&reply);
		if (number(&k, "done") >= messages ||
		    strstr(k.status, "\"state\":\"done\"") != NULL)
			return;
	}
	fail();
}

static void
killed(void **state)
{
	struct store_session *s;
	const struct fix_task *k;
	long long left;
	bool middle = false;
	uint64_t m;

	(void)state;
	deliver_old(1, OLD + 1);
	s = fix_login("p-1", "an");
	m = fix_id(s, "INBOX");
	for (int round = 0; round < 4; round++) {
		struct buf ask, reply;
		uint16_t type;

		buf_init(&ask, 100);
		ipc_put_str(&ask, "rebuild");
		ipc_put_str(&ask, "{}");
		assert_int_equal(fix_ask(STORE_TASK_START, &ask, &type, &reply), 0);
		buf_done(&reply);
		spin_until(100 + 150 * (unsigned)round);
		fix_restart(SIGKILL, 0);
		k = fix_task("rebuild", "{\"dry_run\":true}");
		left = number(k, "summaries");
		middle = middle || (left > 0 && left < OLD);
		k = fix_task("check", "{\"deep\":true}"); /* of those not made yet the tenth ones */
		for (const char *at = k->findings; (at = strstr(at, "\"code\":")) != NULL; at++)
			assert_memory_equal(at, "\"code\":\"summary_corrupt\"", 24);
	}
	assert_true(middle);
	k = fix_task("rebuild", "{}");
	assert_int_equal(number(k, "faults"), 0);
	for (unsigned i = 1; i <= OLD; i++)
		compare(s, m, i, i);
	store_session_free(s);
}

/* Flags and mail that come while it works stay. */
static void
under_load(void **state)
{
	struct store_session *s;
	const struct fix_task *k;
	struct buf ask, reply;
	uint16_t type;
	uint64_t m;

	(void)state;
	deliver_old(1, 100);
	s = fix_login("p-1", "an");
	m = fix_id(s, "INBOX");
	buf_init(&ask, 100);
	ipc_put_str(&ask, "rebuild");
	ipc_put_str(&ask, "{}");
	assert_int_equal(fix_ask(STORE_TASK_START, &ask, &type, &reply), 0);
	buf_done(&reply);
	for (uint32_t i = 1; i < 100; i++) {
		fix_flags(s, m, &i, 1, STORE_ADD, MSG_SEEN, "");
		assert_int_equal(X->err, 0);
		if (i % 10 == 0)
			deliver_old(100 + i, 101 + i);
	}
	fix_task("check", "{}");
	k = fix_task("rebuild", "{}");
	for (int i = 0; X->err == ERR_EXISTS && i < 100; i++) { /* the first one is at it */
		fix_spin(50);
		k = fix_task("rebuild", "{}");
	}
	assert_int_equal(number(k, "faults"), 0);
	for (uint32_t i = 1; i < 100; i++) {
		compare(s, m, i, i);
		assert_int_equal(seen.flags, MSG_SEEN);
	}
	k = fix_task("check", "{\"deep\":true}");
	assert_int_equal(number(k, "faults"), 0);
	store_session_free(s);
}

/* ---- blocks of the index ---- */

static struct {
	unsigned char known[1024], maybe[1024];
	uint32_t from, next;
} all;

static void
on_all(void *arg, int err, uint32_t from, uint32_t next, struct slice known,
    const struct slice *maybes, size_t n)
{
	(void)arg;
	assert_int_equal(err, 0);
	assert_int_equal(n, 1);
	assert_true(known.len <= sizeof all.known && from == 1 && next == 0);
	memset(&all, 0, sizeof all);
	memcpy(all.known, known.ptr, known.len);
	memcpy(all.maybe, maybes[0].ptr, known.len);
	ended = true;
}

/* Asks about all messages at once. */
static void
ask_all(struct store_session *s, uint64_t m, const char *what)
{
	struct store_needle n = {.where = STORE_IN_BODY, .text = slice_str(what)};

	assert_int_equal(store_candidates(s, m, 1, UINT32_MAX, &n, 1, on_all, NULL), 0);
	wait_ended();
}

static bool
bit(const unsigned char *bits, uint32_t uid)
{
	return (bits[(uid - 1) / 8] >> ((uid - 1) % 8) & 1) != 0;
}

static long long
stat_of(const char *name)
{
	struct fix_task k = {.status = ""};
	struct buf ask, reply;
	struct ipc_reader r;
	struct slice json;
	uint16_t type;

	buf_init(&ask, 16);
	assert_int_equal(fix_ask(STORE_STAT, &ask, &type, &reply), 0);
	ipc_reader_init(&r, buf_slice(&reply));
	json = ipc_get_slice(&r);
	snprintf(k.status, sizeof k.status, "%.*s", (int)json.len, (const char *)json.ptr);
	buf_done(&reply);
	return number(&k, name);
}

static void
wait_for(const char *name, long long at_least)
{
	for (int i = 0; i < 5000 && stat_of(name) < at_least; i++)
		fix_spin(10);
	assert_true(stat_of(name) >= at_least);
}

/* A short message with a word of its own; half_known: as from before there were signatures. */
static void
deliver_small(unsigned i, bool unknown)
{
	struct deliver_target to = {.account = slice_str("p-1"),
	    .mailbox = slice_str("INBOX"),
	    .trace = slice_str("A: b\r\n")};
	unsigned char name[16] = {0};
	struct ingest_message im;
	struct ingest_body b;
	char t[200], own[12];

	word(i, own);
	snprintf(t, sizeof t, "Subject: s\r\nMessage-ID: <s%u@a>\r\n\r\n%s%u\r\n", i, own, i);
	snprintf((char *)name, sizeof name, "small-%u", i);
	ingest_body_init(&b, &in);
	assert_int_equal(ingest_body_append(&b, t, strlen(t)), 0);
	assert_int_equal(ingest_message_init(&im, &b, name), 0);
	if (unknown)
		im.m.summary = summary_tree(im.m.summary);
	assert_int_equal(deliver_send(X->ingest, &im.m, &to, 1, 10000, on_told, NULL, NULL), 0);
	wait_ended();
	ingest_message_done(&im);
	ingest_body_done(&b);
}

enum { SMALL = 3400 };
static bool
stays(uint32_t uid)
{
	return uid % 10 == 3 || uid > 3100;
}

/* Of all that stay something is known; each is perhaps where it is, and hardly any where it is not. */
static void
small_are_found(struct store_session *s, uint64_t m, uint32_t last, bool (*there)(uint32_t uid))
{
	unsigned wrong = 0, n = 0;

	ask_all(s, m, "khong co trong thu nay");
	for (uint32_t uid = 1; uid <= last; uid++) {
		if (!there(uid))
			continue;
		assert_true(bit(all.known, uid));
		wrong += bit(all.maybe, uid);
		n++;
	}
	assert_true(wrong * 50 <= n);
	for (uint32_t uid = 1; uid <= last; uid += 37) {
		char what[40], own[12];

		word(uid, own);
		snprintf(what, sizeof what, "%s%u", own, uid);
		ask_all(s, m, what);
		assert_true(!there(uid) || bit(all.maybe, uid));
	}
}

/* When most of the mail in blocks is expunged they become few; killed at any time, nothing is missed. */
static void
blocks_merge(void **state)
{
	struct store_session *s;
	uint32_t gone[SMALL];
	size_t n = 0;
	uint64_t m;

	(void)state;
	for (unsigned i = 1; i <= SMALL; i++)
		deliver_small(i, false);
	wait_for("index_blocks", 3);
	s = fix_login("p-1", "an");
	m = fix_id(s, "INBOX");
	for (uint32_t uid = 1; uid <= SMALL; uid++)
		if (!stays(uid))
			gone[n++] = uid;
	/* in pieces, with searches and kills between them */
	for (size_t at = 0; at < n; at += 400) {
		fix_expunge(s, m, gone + at, n - at < 400 ? n - at : 400, false);
		assert_int_equal(X->err, 0);
		ask_all(s, m, "hello");
		if (at % 800 == 0)
			fix_restart(SIGKILL, 0);
	}
	ask_all(s, m, "hello"); /* reads the index, and finds that there is little in it */
	for (int i = 0; i < 3000 && stat_of("index_in_memory") != 1; i++)
		fix_spin(10);
	assert_int_equal(stat_of("index_in_memory"), 1);
	small_are_found(s, m, SMALL, stays);
	fix_restart(SIGKILL, 0);
	small_are_found(s, m, SMALL, stays);
	assert_int_equal(stat_of("index_in_memory"), 1); /* the rows are those of the new block */
	assert_int_equal(stat_of("index_remade"), 0);
	assert_int_equal(number(fix_task("check", "{\"deep\":true}"), "faults"), 0);
	store_session_free(s);
}

static bool
every(uint32_t uid)
{
	return uid > 0;
}

/* Blocks of mail of which nothing was known are made anew when it was rebuilt. */
static void
blocks_refresh(void **state)
{
	struct store_session *s;
	uint64_t m;
	unsigned n = 0;

	(void)state;
	for (unsigned i = 1; i <= 1400; i++)
		deliver_small(i, i % 2 == 0);
	wait_for("index_blocks", 1);
	s = fix_login("p-1", "an");
	m = fix_id(s, "INBOX");
	ask_all(s, m, "khong co trong thu nay");
	for (uint32_t uid = 1; uid <= 1400; uid++)
		n += bit(all.maybe, uid);
	assert_true(n >= 700);
	assert_int_equal(number(fix_task("rebuild", "{}"), "summaries"), 700);
	small_are_found(s, m, 1400, every);
	assert_true(stat_of("index_remade") >= 1);
	fix_restart(SIGKILL, 0);
	small_are_found(s, m, 1400, every);
	/* nothing to do the second time */
	assert_int_equal(number(fix_task("rebuild", "{}"), "summaries"), 0);
	assert_int_equal(stat_of("index_remade"), 0);
	store_session_free(s);
}

/* One octet of the message's text is changed on the disk. */
static void
spoil(const char *what)
{
	char path[200];
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof path, "%s/store/segments", X->run.dir);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		static char data[4 << 20];
		ptrdiff_t at;
		ssize_t len;
		int fd;

		snprintf(path, sizeof path, "%.90s/store/segments/%.60s", X->run.dir, e->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		len = pread(fd, data, sizeof data, 0);
		at = slice_find(slice_of(data, len > 0 ? (size_t)len : 0), slice_str(what));
		if (at >= 0)
			n += pwrite(fd, "?", 1, at) == 1;
		close(fd);
	}
	closedir(d);
	assert_int_equal(n, 1);
}

static void
bad_body(void **state)
{
	struct store_session *s;
	const struct fix_task *k;
	uint64_t m;

	(void)state;
	deliver_old(1, 12);
	fix_deliver("bad", "p-1", "INBOX", "Subject: hỏng\r\n\r\nthe text that goes bad\r\n");
	deliver_old(12, 15);
	fix_restart(SIGTERM, 0);
	spoil("the text that goes bad");
	fix_restart(SIGKILL, 0);
	k = fix_task("rebuild", "{}");
	assert_non_null(strstr(k->status, "\"state\":\"done\""));
	assert_int_equal(number(k, "faults"), 1);
	assert_int_equal(number(k, "summaries"), 14);
	assert_non_null(strstr(k->findings, "\"code\":\"body_corrupt\""));
	assert_non_null(strstr(k->findings, "\"uid\":12"));
	assert_non_null(strstr(k->findings, "\"mailbox\":\"INBOX\""));
	s = fix_login("p-1", "an");
	m = fix_id(s, "INBOX");
	for (unsigned i = 1; i < 12; i++)
		compare(s, m, i, i);
	for (unsigned i = 12; i < 15; i++)
		compare(s, m, i + 1, i);
	assert_int_equal(fix_box(s, "INBOX")->messages, 15);
	store_session_free(s);
}

/* ---- who is given a body and ends before it read any of it ---- */

enum { ENDED = 3 };
static struct {
	struct ipc_client *c[ENDED];
	bool given[ENDED];
	struct loop_timer *timer;
} dead;

static void
on_given(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	(void)type;
	(void)r;
	(void)fd;
	if (err == 0)
		*(bool *)arg = true;
}

static void
bury(void *arg)
{
	unsigned n = 0;

	(void)arg;
	for (unsigned i = 0; i < ENDED; i++) {
		if (dead.given[i] && dead.c[i] != NULL) {
			ipc_client_free(dead.c[i]);
			dead.c[i] = NULL;
		}
		n += dead.c[i] == NULL;
	}
	if (n == ENDED && worker == NULL)
		worker = rebuild_worker_new(&in, X->run.ingest_sock);
	loop_timer_set(dead.timer, 10);
}

/* When all of ingest is killed at once the body that was about to be read is not to blame. */
static void
ended_before_reading(void **state)
{
	static const struct ipc_client_ops ops;
	const struct fix_task *k;
	struct store_session *s;
	uint64_t m;

	(void)state;
	deliver_old(1, 4);
	s = fix_login("p-1", "an");
	m = fix_id(s, "INBOX");
	rebuild_worker_free(worker);
	worker = NULL;
	for (unsigned i = 0; i < ENDED; i++) {
		dead.given[i] = false;
		dead.c[i] =
		    ipc_client_new(X->l, X->run.ingest_sock, &store_proto, IPC_INGEST, &ops, NULL);
		assert_int_equal(ipc_call(dead.c[i], STORE_REBUILD_WAIT, NULL, -1, 60000, on_given,
				     &dead.given[i], NULL),
		    0);
	}
	fix_spin(200);
	dead.timer = loop_timer_new(X->l, bury, NULL);
	loop_timer_set(dead.timer, 10);
	k = fix_task("rebuild", "{}");
	loop_timer_free(dead.timer);
	for (unsigned i = 0; i < ENDED; i++)
		assert_true(dead.given[i] && dead.c[i] == NULL);
	assert_string_equal(k->findings, "");
	assert_int_equal(number(k, "faults"), 0);
	assert_int_equal(number(k, "summaries"), 3);
	for (unsigned i = 1; i < 4; i++)
		compare(s, m, i, i);
	store_session_free(s);
}

/* An ingest reads nothing that it was not handed, and what it says is bounded. */
static void
no_job(void **state)
{
	struct ipc_sync *c = ipc_sync_new(X->run.ingest_sock, &store_proto, IPC_INGEST);
	struct buf b, reply;
	uint16_t type;

	(void)state;
	deliver_old(1, 3);
	buf_init(&reply, IPC_FRAME_MAX);
	for (uint64_t job = 0; job < 5; job++) {
		buf_init(&b, 64);
		ipc_put_u64(&b, job);
		ipc_put_u64(&b, 0);
		assert_int_equal(
		    ipc_sync_call(c, STORE_REBUILD_PIECE, &b, -1, 5000, &type, &reply, NULL),
		    ERR_NOTFOUND);
		buf_done(&b);
	}
	buf_init(&b, 64);
	ipc_put_u64(&b, 1);
	ipc_put_u8(&b, 1);
	assert_int_equal(
	    ipc_sync_call(c, STORE_REBUILD_DONE, &b, -1, 5000, &type, &reply, NULL), ERR_CLOSED);
	buf_done(&b);
	buf_done(&reply);
	ipc_sync_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(anew, setup, teardown),
	    cmocka_unit_test_setup_teardown(killed, setup, teardown),
	    cmocka_unit_test_setup_teardown(ended_before_reading, setup, teardown),
	    cmocka_unit_test_setup_teardown(under_load, setup, teardown),
	    cmocka_unit_test_setup_teardown(blocks_merge, setup, teardown),
	    cmocka_unit_test_setup_teardown(blocks_refresh, setup, teardown),
	    cmocka_unit_test_setup_teardown(bad_body, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_job, setup, teardown),
	};

	log_init("stored_rebuild_test", 2);
	log_set_level(LOG_LVL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
