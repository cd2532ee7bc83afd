/* stored_text_test.c: the text of documents, against a real congvu-stored-db (and over the backend in memory), with the part of ingest that has them read in this process and a
 * reader of documents that does what the test wants: it finds the words behind "%PDF" of the mail. Killed at each step, everything is read in the end, once. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/fold.h"
#include "lib/log.h"
#include "milter/scan_proto.h"
#include "store/ingest.h"
#include "store/ingest_pull.h"
#include "store/sig_message.h"
#include "store/store_proto.h"
#include "store/text_row.h"
#include "tests/unit/kept_fix.h"

#define MARK "KHONGAITHAYDUOC7f3a90c1"
#define TEXT                                                                                      \
	"Quy\xe1\xba\xbft \xc4\x91\xe1\xbb\x8bnh v\xe1\xbb\x81 ngh\xe1\xbb\x89 ph\xc3\xa9p " MARK \
	"\n"

static struct ingest in;
static struct text_worker *worker;
static struct text_old_worker *old_worker;
static struct rebuild_worker *rebuild_worker;
static bool ended;

/* ---- the reader ---- */

static struct reader {
	struct ipc_server *server;
	int fd;
	char path[108];
	enum { READ, NOTHING, REFUSE, HANG, DIE } how;
	unsigned asked;
	struct ipc_conn *hung;
	uint32_t hung_id;
	size_t octets;
} R;

static int
on_msg(struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r, int fd, void *arg)
{
	struct stat st;
	struct buf b;
	void *p;

	(void)arg;
	assert_int_equal(type, SCAN_TEXT);
	(void)ipc_get_u32(r);
	assert_int_equal(ipc_reader_end(r), 0);
	assert_int_equal(fstat(fd, &st), 0);
	/* sealed: nobody changes it under the reader */
	assert_true(write(fd, "x", 1) < 0);
	assert_true(ftruncate(fd, 1) < 0);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(p != MAP_FAILED);
	R.octets = (size_t)st.st_size;
	R.asked++;
	close(fd);
	if (R.how == REFUSE)
		(void)ipc_reply_err(c, id, ERR_NOMEM, "no memory");
	if (R.how == DIE)
		ipc_close(c);
	if (R.how == HANG) {
		R.hung = c;
		R.hung_id = id;
		ipc_hold(c);
	}
	if (R.how == READ || R.how == NOTHING) {
		ptrdiff_t at = slice_find(slice_of(p, (size_t)st.st_size), slice_str("%PDF "));
		struct slice all = slice_of(p, (size_t)st.st_size);

		buf_init(&b, IPC_FRAME_MAX);
		ipc_put_slice(&b,
		    at < 0 || R.how == NOTHING ? slice_str("") : slice_from(all, (size_t)at + 5));
		ipc_put_u8(&b, 0);
		(void)ipc_reply(c, id, SCAN_TEXT_IS, &b, -1);
		buf_done(&b);
	}
	munmap(p, (size_t)st.st_size);
	return 0;
}

static void
reader_start(void)
{
	static const struct ipc_server_ops ops = {.on_msg = on_msg};
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	snprintf(R.path, sizeof R.path, "%s/text.sock", X->run.dir);
	snprintf(un.sun_path, sizeof un.sun_path, "%.100s", R.path);
	R.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(R.fd, (struct sockaddr *)&un, sizeof un), 0);
	assert_int_equal(listen(R.fd, 5), 0);
	R.server = ipc_server_new(X->l, R.fd, &scan_proto, IPC_INGEST, -1, 10, &ops, NULL);
}

static void
worker_start(void)
{
	worker = text_worker_new(&in, X->run.ingest_sock, R.path);
}

/* NULL from here on: a test may end by a failure before another one is there. */
static void
worker_stop(void)
{
	text_worker_free(worker);
	worker = NULL;
}

static void
let_go(void)
{
	if (R.hung != NULL)
		ipc_release(R.hung);
	R.hung = NULL;
}

/* The reader that hung answers after all. */
static void
answer_hung(const char *text)
{
	struct buf b;

	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_slice(&b, slice_str(text));
	ipc_put_u8(&b, 0);
	(void)ipc_reply(R.hung, R.hung_id, SCAN_TEXT_IS, &b, -1);
	buf_done(&b);
	let_go();
}

static bool
in_memory(void)
{
	return getenv("STORED_BIN") != NULL;
}

static int
setup_with(const char *conf)
{
	memset(&R, 0, sizeof R);
	if (fix_new(conf) != 0)
		return -1;
	in = (struct ingest){.loop = X->l, .size_max = 1 << 20, .texts = true};
	reader_start();
	worker_start();
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	return setup_with(
	    "undelete_days = 0\ncollect_grace_s = 0\nsecurity_officers = { \"an\", \"binh\" }\n");
}

static int
teardown(void **state)
{
	(void)state;
	let_go();
	worker_stop();
	text_old_worker_free(old_worker);
	old_worker = NULL;
	rebuild_worker_free(rebuild_worker);
	rebuild_worker = NULL;
	ipc_server_free(R.server);
	close(R.fd);
	unlink(R.path);
	fix_free();
	return 0;
}

static int
setup_mem(void **state)
{
	setenv("STORED_BIN", "tests/unit/stored_mem", 1);
	return setup(state);
}

static int
teardown_mem(void **state)
{
	unsetenv("STORED_BIN");
	return teardown(state);
}

/* ---- mail ---- */

static void
on_told(void *arg, int err, const struct deliver_result *r, size_t n)
{
	(void)arg;
	assert_int_equal(err, 0);
	assert_int_equal(n, 1);
	assert_int_equal(r[0].err, 0);
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

static void
deliver(const char *id, const char *account, const char *type, const char *text)
{
	struct deliver_target to = {.account = slice_str(account),
	    .mailbox = slice_str("INBOX"),
	    .trace = slice_str("A: b\r\n")};
	unsigned char name[16] = {0};
	struct ingest_message im;
	struct ingest_body b;
	char whole[4000];

	snprintf(whole, sizeof whole,
	    "From: a@a.example\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: "
	    "multipart/mixed; "
	    "boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\nContent-Type: %s\r\n\r\n%%PDF "
	    "%s\r\n--b--\r\n",
	    type, text);
	snprintf((char *)name, sizeof name, "%s", id);
	ingest_body_init(&b, &in);
	assert_int_equal(ingest_body_append(&b, whole, strlen(whole)), 0);
	assert_int_equal(ingest_message_init(&im, &b, name), 0);
	assert_int_equal(deliver_send(X->ingest, &im.m, &to, 1, 10000, on_told, NULL, NULL), 0);
	wait_ended();
	ingest_message_done(&im);
	ingest_body_done(&b);
}

/* ---- what SEARCH sees ---- */

static struct {
	int err;
	uint32_t uids[10], bits[10];
	size_t n;
	struct buf text;
} seen;

static void
on_texts(void *arg, int err, const struct store_text_bits *v, size_t n)
{
	(void)arg;
	seen.err = err;
	seen.n = n;
	for (size_t i = 0; i < n && i < 10; i++) {
		seen.uids[i] = v[i].uid;
		seen.bits[i] = v[i].bits;
	}
	ended = true;
}

static void
on_bytes(void *arg, int err, struct slice bytes)
{
	(void)arg;
	seen.err = err;
	buf_append_slice(&seen.text, bytes);
	ended = true;
}

/* The bits of uid 1 for two words: one that is in TEXT and one that is not. */
static uint32_t
maybe(struct store_session *s, uint64_t m)
{
	static const uint32_t uids[] = {1, 2, 3};
	struct slice needles[2] = {slice_str("nghi phep"), slice_str("khong co trong do dau")};

	assert_int_equal(store_texts_maybe(s, m, uids, 3, needles, 2, on_texts, NULL), 0);
	wait_ended();
	assert_int_equal(seen.err, 0);
	return seen.n > 0 && seen.uids[0] == 1 ? seen.bits[0] : 0;
}

static bool
text_is(struct store_session *s, uint64_t m, uint32_t uid, const char *text)
{
	bool same;

	buf_done(&seen.text);
	buf_init(&seen.text, 1 << 20);
	assert_int_equal(store_text(s, m, uid, 0, 100000, on_bytes, NULL), 0);
	wait_ended();
	same = seen.err == 0 && slice_starts(buf_slice(&seen.text), text);
	buf_done(&seen.text);
	return same;
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
stats_are(long long wanted, long long read, long long none, long long failed)
{
	const struct fix_task *k = NULL;

	for (int i = 0; i < 100; i++) {
		k = fix_task("stats", "{}");
		if (number(k, "texts_wanted") == wanted && number(k, "texts_read") == read &&
		    number(k, "texts_none") == none && number(k, "texts_failed") == failed)
			return;
		fix_spin(100);
	}
	print_message("%s\n", k->status);
	fail();
}

static bool
on_disk(const char *what)
{
	static char data[4 << 20];
	char path[200];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof path, "%s/store/segments", X->run.dir);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
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

/* Mail that does not get smaller: the file that is written to is large enough for a compaction. */
static void
fill(void)
{
	static char text[60001];
	char id[20];

	for (int k = 0; k < 100; k++) {
		random_bytes(text, sizeof text - 1);
		for (size_t i = 0; i < sizeof text - 1; i++)
			text[i] = (char)(' ' + (unsigned char)text[i] % 95);
		snprintf(id, sizeof id, "fill %d", k);
		fix_deliver(id, "p-9", "INBOX", text);
		assert_int_equal(X->err, 0);
	}
}

/* ---- tests ---- */

static void
is_read_once(void **state)
{
	struct store_session *s, *t;
	uint64_t m, copy;
	uint32_t one = 1, bits;
	unsigned asked;

	(void)state;
	deliver("1", "p-1", "text/plain", TEXT); /* no document */
	stats_are(0, 0, 0, 0);
	assert_int_equal(R.asked, 0);
	deliver("2", "p-2", "application/pdf", TEXT);
	stats_are(0, 1, 0, 0);
	assert_int_equal(R.asked, 1);
	assert_true(R.octets > strlen(TEXT));
	s = fix_login("p-2", "binh");
	m = fix_id(s, "INBOX");
	bits = maybe(s, m);
	assert_true((bits & STORE_TEXT_THERE) != 0);
	assert_int_equal(bits & 3, 1);
	assert_true(text_is(s, m, 1, TEXT));
	/* a copy, and the same mail to another person, have it too: it is not read again */
	copy = fix_id(s, "Archive");
	fix_copy(s, m, &one, 1, copy, false);
	assert_true(text_is(s, copy, 1, TEXT));
	deliver("3", "p-3", "application/pdf", TEXT);
	t = fix_login("p-3", "chi");
	assert_true(text_is(t, fix_id(t, "INBOX"), 1, TEXT));
	assert_int_equal(R.asked, 1);
	/* nobody reads that of another */
	assert_int_equal(store_text(t, m, 1, 0, 100, on_bytes, NULL), 0);
	wait_ended();
	assert_int_equal(seen.err, ERR_NOTFOUND);
	/* by name too; a document without text is done as well */
	R.how = NOTHING;
	deliver("4", "p-3", "text/plain; name=\"x.DOCX\"", "y");
	stats_are(0, 1, 1, 0);
	asked = R.asked;
	assert_int_equal(asked, 2);
	assert_false(text_is(t, fix_id(t, "INBOX"), 2, ""));
	assert_int_equal(seen.err, ERR_NOTFOUND);
	store_session_free(s);
	store_session_free(t);
	assert_int_equal(number(fix_task("check", "{\"deep\":true}"), "faults"), 0);
}

static void
fails_after_two(void **state)
{
	const struct fix_task *k;

	(void)state;
	R.how = DIE;
	deliver("1", "p-1", "application/pdf", TEXT);
	stats_are(0, 0, 0, 1);
	assert_int_equal(R.asked, 2);
	k = fix_task("text", "{}");
	assert_non_null(strstr(k->findings, "the reader of documents ended over it"));
	assert_int_equal(number(k, "texts"), 1);
	R.how = REFUSE;
	k = fix_task("text", "{\"retry\":true}");
	assert_int_equal(number(k, "texts"), 1);
	stats_are(0, 0, 0, 1);
	assert_int_equal(R.asked, 4);
	k = fix_task("text", "{}");
	assert_non_null(strstr(k->findings, "had not enough memory"));
	R.how = READ;
	(void)fix_task("text", "{\"retry\":true}");
	stats_are(0, 1, 0, 0);
	assert_int_equal(R.asked, 5);
}

/* One that fails holds up nothing: what comes behind it is read. */
static void
goes_on(void **state)
{
	(void)state;
	R.how = DIE;
	deliver("1", "p-1", "application/pdf", "bad");
	for (int i = 0; i < 100 && R.asked == 0; i++)
		fix_spin(20);
	deliver("2", "p-1", "application/pdf", TEXT);
	for (int i = 0; i < 300 && R.asked < 2; i++)
		fix_spin(20);
	R.how = READ;
	stats_are(0, 1, 0, 1);
}

/* What is to be read gives way to mail that comes in, and is read though that never ends. */
static void
is_read_under_a_flow(void **state)
{
	char id[20];

	(void)state;
	deliver("1", "p-1", "application/pdf", TEXT);
	for (int i = 0; i < 3000 && R.asked == 0; i++) {
		snprintf(id, sizeof id, "flow %d", i);
		fix_deliver(id, "p-9", "INBOX", id);
	}
	assert_int_equal(R.asked, 1);
	stats_are(0, 1, 0, 0);
}

/* stored, and who reads, end at each step. */
static void
killed(void **state)
{
	struct store_session *s;

	(void)state;
	/* before anybody asked */
	worker_stop();
	deliver("1", "p-1", "application/pdf", TEXT);
	stats_are(1, 0, 0, 0);
	fix_restart(SIGKILL, 0);
	stats_are(1, 0, 0, 0);
	/* handed out, and stored ends */
	R.how = HANG;
	worker_start();
	for (int i = 0; i < 300 && R.asked == 0; i++)
		fix_spin(20);
	assert_int_equal(R.asked, 1);
	fix_restart(SIGKILL, 0);
	stats_are(1, 0, 0, 0);
	/* the reader answers what nobody waits for any more; ingest ends; another one takes it up */
	worker_stop();
	let_go();
	R.how = READ;
	worker_start();
	stats_are(0, 1, 0, 0);
	s = fix_login("p-1", "an");
	assert_true(text_is(s, fix_id(s, "INBOX"), 1, TEXT));
	fix_restart(SIGKILL, 0);
	stats_are(0, 1, 0, 0);
	assert_true(text_is(s, fix_id(s, "INBOX"), 1, TEXT));
	/* an ingest that ends twice over it: given up */
	R.how = HANG;
	deliver("2", "p-1", "application/pdf", "other");
	for (unsigned i = 0; i < 2; i++) {
		unsigned asked = R.asked;

		for (int n = 0; n < 300 && R.asked == asked; n++)
			fix_spin(20);
		assert_int_equal(R.asked, asked + 1);
		worker_stop();
		let_go();
		worker_start();
	}
	stats_are(0, 1, 0, 1);
	assert_non_null(strstr(fix_task("text", "{}")->findings, "ended in the middle"));
	store_session_free(s);
	assert_int_equal(number(fix_task("check", "{\"deep\":true}"), "faults"), 0);
}

static void
goes_with_the_mail(void **state)
{
	struct store_session *s;
	uint32_t one = 1;
	uint64_t m;

	(void)state;
	deliver("1", "p-1", "application/pdf", TEXT);
	deliver("2", "p-1", "application/pdf", "stays");
	stats_are(0, 2, 0, 0);
	s = fix_login("p-1", "an");
	m = fix_id(s, "INBOX");
	assert_int_equal(number(fix_task("collect", "{}"), "dropped"), 0);
	assert_true(text_is(s, m, 1, TEXT));
	fix_expunge(s, m, &one, 1, false);
	/* mail and text in one go; the row then */
	assert_int_equal(number(fix_task("collect", "{}"), "dropped"), 2);
	stats_are(0, 1, 0, 0);
	assert_true(text_is(s, m, 2, "stays"));
	assert_true(on_disk(MARK));
	assert_int_equal(number(fix_task("check", "{\"deep\":true}"), "faults"), 0);
	fill();
	(void)fix_task("compact", "{\"min_live\":100}");
	assert_false(on_disk(MARK)); /* of mail and text */
	assert_true(on_disk("stays"));
	assert_true(text_is(s, m, 2, "stays"));
	fix_restart(SIGKILL, 0);
	assert_true(text_is(s, m, 2, "stays"));
	store_session_free(s);
}

/* Two officers take a mail off the disk: with it what was read of its documents. */
static void
is_purged(void **state)
{
	const struct fix_task *k;
	struct store_session *s;

	(void)state;
	R.how = HANG;
	deliver("1", "p-1", "application/pdf; x=1", "innocent");
	deliver("2", "p-1", "application/pdf", TEXT);
	deliver("3", "p-2", "application/pdf", TEXT);
	for (int i = 0; i < 300 && R.asked == 0; i++)
		fix_spin(20);
	stats_are(2, 0, 0, 0);
	let_go();
	worker_stop(); /* over the first one */
	R.how = READ;
	worker_start();
	stats_are(0, 2, 0, 0);
	assert_true(on_disk(MARK));
	s = fix_login("p-1", "an");
	fix_rows(s, fix_id(s, "INBOX"));
	assert_true(text_is(s, fix_id(s, "INBOX"), 2, TEXT));
	{
		char args[300];

		snprintf(args, sizeof args,
		    "{\"what\":\"request\",\"by\":\"an\",\"kind\":\"body\",\"value\":\"%llu\","
		    "\"reason\":\"secret\",\"decision\":\"\"}",
		    (unsigned long long)X->rows[1].row.body);
		k = fix_task("purge", args);
	}
	assert_int_equal(X->err, 0);
	k = fix_task("purge", "{\"what\":\"confirm\",\"by\":\"binh\",\"request\":1}");
	assert_int_equal(X->err, 0);
	assert_non_null(strstr(k->status, "\"state\":\"done\""));
	assert_int_equal(number(k, "bodies_dropped"), 2);
	assert_int_equal(number(k, "bodies_left"), 0);
	assert_false(on_disk(MARK));
	assert_false(text_is(s, fix_id(s, "INBOX"), 2, TEXT));
	assert_true(text_is(s, fix_id(s, "INBOX"), 1, "innocent"));
	(void)fix_task("collect", "{}");
	stats_are(0, 1, 0, 0);
	store_session_free(s);
}

/* What is done to the store as a whole leaves rows and texts as they are; the records made anew are others, the mail's number is not. */
static void
outlives_work_on_the_store(void **state)
{
	static const char *const work[][2] = {{"upgrade", "{}"}, {"rebuild", "{\"all\":true}"},
	    {"repair", "{}"}, {"collect", "{}"}, {"compact", "{\"min_live\":100}"}};
	struct store_session *s;
	uint64_t m;

	(void)state;
	deliver("1", "p-1", "application/pdf", TEXT);
	stats_are(0, 1, 0, 0);
	R.how = DIE;
	deliver("2", "p-1", "application/pdf", "given up");
	stats_are(0, 1, 0, 1);
	rebuild_worker = rebuild_worker_new(&in, X->run.ingest_sock);
	s = fix_login("p-1", "an");
	m = fix_id(s, "INBOX");
	for (size_t i = 0; i < sizeof work / sizeof work[0]; i++) {
		const struct fix_task *k = fix_task(work[i][0], work[i][1]);

		print_message("%s\n", work[i][0]);
		assert_non_null(strstr(k->status, "\"state\":\"done\""));
		assert_true(text_is(s, m, 1, TEXT));
		assert_int_equal(maybe(s, m) & 3, 1);
		stats_are(0, 1, 0, 1);
	}
	assert_int_equal(R.asked, 3);
	assert_int_equal(number(fix_task("check", "{\"deep\":true}"), "faults"), 0);
	store_session_free(s);
}

/* The mail goes while its documents are read: what comes of it goes with the next collection. */
static void
goes_while_it_is_read(void **state)
{
	struct store_session *s;
	uint32_t one = 1;
	uint64_t m;

	(void)state;
	R.how = HANG;
	deliver("1", "p-1", "application/pdf", TEXT);
	for (int i = 0; i < 300 && R.hung == NULL; i++)
		fix_spin(20);
	assert_non_null(R.hung);
	deliver("2", "p-1", "text/plain", "the newest body is never collected");
	s = fix_login("p-1", "an");
	m = fix_id(s, "INBOX");
	fix_expunge(s, m, &one, 1, false);
	assert_int_equal(number(fix_task("collect", "{}"), "dropped"), 1);
	answer_hung(MARK);
	stats_are(0, 1, 0, 0);
	deliver("3", "p-1", "text/plain", "newer than the text");
	assert_int_equal(number(fix_task("collect", "{}"), "dropped"), 1);
	stats_are(0, 0, 0, 0);
	assert_int_equal(number(fix_task("check", "{\"deep\":true}"), "faults"), 0);
	fill();
	(void)fix_task("compact", "{\"min_live\":100}");
	assert_false(on_disk(MARK));
	store_session_free(s);
}

/* ---- mail from before anybody wanted texts ---- */

enum { OLD = 12 };

static void
deliver_old(void)
{
	char id[20], text[200];

	in.texts = false;
	for (int i = 0; i < OLD; i++) {
		snprintf(id, sizeof id, "old %d", i);
		snprintf(text, sizeof text, "%d " TEXT, i);
		deliver(id, "p-1", "application/pdf", text);
	}
	deliver("plain", "p-1", "text/plain", "no document");
	deliver("again", "p-2", "application/pdf", "0 " TEXT);
	in.texts = true;
	stats_are(0, 0, 0, 0);
	assert_int_equal(R.asked, 0);
}

static void
wait_through(void)
{
	for (int i = 0; i < 300; i++) {
		const struct fix_task *k = fix_task("stats", "{}");

		if (strstr(k->status, "\"texts_old_through\":true") != NULL &&
		    number(k, "texts_old_upto") == number(k, "texts_old_last"))
			return;
		fix_spin(50);
	}
	fail_msg("%s", "old mail is not looked through");
}

static void
old_mail(void **state)
{
	struct store_session *s;
	long long upto;
	unsigned asked;
	char begins[20];

	(void)state;
	deliver_old();
	R.how = HANG;
	old_worker = text_old_worker_new(&in, X->run.ingest_sock);
	stats_are(8, 0, 0, 0); /* no more stand before mail that comes now */
	assert_non_null(strstr(fix_task("stats", "{}")->status, "\"texts_old_through\":false"));
	fix_spin(500);
	stats_are(8, 0, 0, 0);
	deliver("new", "p-3", "application/pdf", "new");
	stats_are(9, 0, 0, 0);
	if (!in_memory())
		fix_restart(SIGKILL, 0);
	worker_stop();
	let_go();
	R.how = READ;
	worker_start();
	stats_are(0, OLD + 1, 0, 0);
	wait_through();
	assert_true(R.asked <= OLD + 3); /* those that hung */
	s = fix_login("p-1", "an");
	for (uint32_t i = 0; i < OLD; i++) {
		snprintf(begins, sizeof begins, "%u Quy", (unsigned)i);
		assert_true(text_is(s, fix_id(s, "INBOX"), i + 1, begins));
	}
	assert_false(text_is(s, fix_id(s, "INBOX"), OLD + 1, ""));
	store_session_free(s);
	if (in_memory())
		return;
	/* it goes on where it ended, and nothing is read twice */
	upto = number(fix_task("stats", "{}"), "texts_old_upto");
	asked = R.asked;
	fix_restart(SIGKILL, 0);
	assert_true(number(fix_task("stats", "{}"), "texts_old_upto") >= upto);
	wait_through();
	deliver("newer", "p-3", "application/pdf", "newer");
	stats_are(0, OLD + 2, 0, 0);
	assert_int_equal(R.asked, asked + 1);
	assert_int_equal(number(fix_task("check", "{\"deep\":true}"), "faults"), 0);
}

/* Who is asked which mails have documents never gives an answer that fits: they are read unseen. */

static struct pull *dull;

static int
dull_begin(void *arg, uint64_t size, struct ipc_reader *r)
{
	uint32_t n = ipc_get_count(r, TEXT_SHOWN_MAX, 4);

	(void)arg;
	(void)size;
	for (uint32_t i = 0; i < n; i++)
		(void)ipc_get_slice(r);
	return 0;
}

static void
dull_whole(void *arg)
{
	struct buf b;

	(void)arg;
	buf_init(&b, 16);
	ipc_put_slice(&b, slice_str(""));
	pull_tell(dull, &b);
	buf_done(&b);
}

static void
dull_drop(void *arg)
{
	(void)arg;
}

static void
old_mail_that_nobody_judges(void **state)
{
	static const struct pull_ops ops = {.wait = STORE_TEXT_OLD_WAIT,
	    .is = STORE_TEXT_TREES,
	    .done = STORE_TEXT_OLD_DONE,
	    .begin = dull_begin,
	    .whole = dull_whole,
	    .drop = dull_drop};

	(void)state;
	in.texts = false;
	deliver("1", "p-1", "application/pdf", "one");
	deliver("2", "p-1", "text/plain", "two");
	dull = pull_new(X->l, X->run.ingest_sock, &ops, NULL);
	stats_are(0, 2, 0, 0);
	wait_through();
	pull_free(dull);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(is_read_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(is_read_once, setup_mem, teardown_mem),
	    cmocka_unit_test_setup_teardown(fails_after_two, setup, teardown),
	    cmocka_unit_test_setup_teardown(fails_after_two, setup_mem, teardown_mem),
	    cmocka_unit_test_setup_teardown(goes_on, setup, teardown),
	    cmocka_unit_test_setup_teardown(is_read_under_a_flow, setup, teardown),
	    cmocka_unit_test_setup_teardown(killed, setup, teardown),
	    cmocka_unit_test_setup_teardown(goes_with_the_mail, setup, teardown),
	    cmocka_unit_test_setup_teardown(outlives_work_on_the_store, setup, teardown),
	    cmocka_unit_test_setup_teardown(goes_while_it_is_read, setup, teardown),
	    cmocka_unit_test_setup_teardown(is_purged, setup, teardown),
	    cmocka_unit_test_setup_teardown(old_mail, setup, teardown),
	    cmocka_unit_test_setup_teardown(old_mail, setup_mem, teardown_mem),
	    cmocka_unit_test_setup_teardown(old_mail_that_nobody_judges, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
