/* ingest_test.c: ingest whole, over real sockets: LMTP and APPEND on one side, fake lookup and fake stored (by their protocol
 * tables) on the other. What a peer sees to the byte, what stored is asked for, and what happens when either is away. Built
 * twice: with ingest's parts on the test's own loop (ingest_test), and against the real congvu-ingest process in its sandbox
 * (ingest_role_test, INGEST_BINARY). Invented people. */
#include "tests/unit/check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/mime.h"
#include "store/ingest.h"
#include "store/ingest_client.h"
#include "store/ingest_proto.h"
#include "store/store_proto.h"

static struct loop *loop;
static struct ingest in;
#ifndef INGEST_BINARY
static struct lmtp_server *lmtp;
static struct append_server *append;
#endif
static struct ipc_server *fake_lookup, *fake_stored;
static char dir[] = "/tmp/ingest-test-XXXXXX";

/* ---- fakes ---- */

struct late {
	struct ipc_conn *c;
	uint32_t id;
};
static struct late late_lookup;

enum { EVERYBODY = 10000 };
static unsigned char times[EVERYBODY]; /* how often each of them got it */

static void
put_target(struct buf *b, const char *account, const char *address)
{
	ipc_put_str(b, account);
	ipc_put_str(b, address);
	ipc_put_str(b, "Tên");
}

static int
lookup_msg(struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r, int fd, void *arg)
{
	struct slice addr = ipc_get_slice(r);
	struct buf b;

	(void)arg;
	assert_int_equal(fd, -1);
	assert_int_equal(type, LOOKUP_RCPT);
	assert_int_equal(ipc_reader_end(r), 0);
	buf_init(&b, 100000);
	if (slice_starts(addr, "later@")) {
		ipc_hold(c);
		late_lookup = (struct late){c, id};
		return 0;
	}
	if (slice_starts(addr, "dirdown@"))
		return ipc_reply_err(c, id, ERR_TEMP, "no directory");
	if (slice_starts(addr, "none@")) {
		ipc_put_u8(&b, LOOKUP_RCPT_NONE);
		ipc_put_u32(&b, 0);
	} else if (!slice_casestarts(
		       slice_from(addr, (size_t)slice_index(addr, '@') + 1), "tinhmau")) {
		ipc_put_u8(&b, LOOKUP_RCPT_REMOTE);
		ipc_put_u32(&b, 0);
	} else if (slice_starts(addr, "everybody@")) {
		buf_done(&b);
		buf_init(&b, IPC_FRAME_MAX);
		ipc_put_u8(&b, LOOKUP_RCPT_LOCAL);
		ipc_put_u32(&b, EVERYBODY);
		for (unsigned i = 0; i < EVERYBODY; i++) {
			char account[20], mail[60];

			snprintf(account, sizeof(account), "p-%06u", i);
			snprintf(mail, sizeof(mail), "u%06u@tinhmau.example", i);
			put_target(&b, account, mail);
		}
	} else if (slice_starts(addr, "all@")) {
		ipc_put_u8(&b, LOOKUP_RCPT_LOCAL);
		ipc_put_u32(&b, 250);
		for (int i = 0; i < 250; i++) {
			char account[20], mail[60];

			snprintf(account, sizeof(account), "p-%03d", i);
			snprintf(mail, sizeof(mail), "u%03d@tinhmau.example", i);
			put_target(&b, account, mail);
		}
	} else {
		char account[60];

		ipc_put_u8(&b, LOOKUP_RCPT_LOCAL);
		ipc_put_u32(&b, 1);
		snprintf(account, sizeof(account), "p-%.*s", (int)slice_index(addr, '@'),
		    (const char *)addr.ptr);
		put_target(&b, account,
		    slice_starts(addr, "evil@") ? "a\r\nBcc: b" : "primary@tinhmau.example");
	}
	ipc_put_u8(&b, 0);
	ipc_reply(c, id, LOOKUP_RCPT_IS, &b, -1);
	buf_done(&b);
	return 0;
}

/* What the fake stored got last, and how it answers. */
static struct {
	int delivers, appends, checks, sent_copies, n_same;
	size_t targets;
	unsigned char id[16], last_id[16];
	struct buf body, summary, envelope, trace, account;
	bool by_fd, silent;
	int deliver_err, check_err, append_err;
	int refuse_first; /* that many requests get ERR_TEMP */
	int64_t date;
	struct late waiting;
} st;

static void
take_message(struct ipc_reader *r, int fd)
{
	struct slice id = ipc_get_slice(r), sha = ipc_get_slice(r), body;
	uint64_t size = ipc_get_u64(r);
	unsigned char digest[32];
	uint8_t how;

	assert_int_equal(id.len, 16);
	assert_int_equal(sha.len, 32);
	memcpy(st.last_id, st.id, 16);
	memcpy(st.id, id.ptr, 16);
	how = ipc_get_u8(r);
	st.by_fd = (how & DELIVER_BY_FD) != 0;
	body = ipc_get_slice(r);
	buf_reset(&st.body);
	if (st.by_fd) {
		unsigned char *to = buf_reserve(&st.body, size);

		assert_true(fd >= 0);
		assert_int_equal(pread(fd, to, size, 0), (ssize_t)size);
		buf_commit(&st.body, size);
	} else {
		buf_append_slice(&st.body, body);
	}
	assert_int_equal(st.body.len, size);
	sha256_of(buf_slice(&st.body), digest);
	assert_memory_equal(digest, sha.ptr, 32);
	buf_reset(&st.summary);
	buf_append_slice(&st.summary, ipc_get_slice(r));
	buf_reset(&st.envelope);
	buf_append_slice(&st.envelope, ipc_get_slice(r));
	st.date = ipc_get_i64(r);
	assert_int_equal(ipc_get_slice(r).len, 16);
	assert_int_equal(ipc_get_slice(r).len % 8, 0);
	if (how & DELIVER_SAME)
		assert_int_equal(ipc_get_slice(r).len, 16);
	st.n_same += (how & DELIVER_SAME) != 0;
}

static int
take_deliver(struct ipc_conn *c, uint32_t id, struct ipc_reader *r, bool sent)
{
	struct buf b;
	uint32_t n = ipc_get_count(r, 1000, 10);

	buf_init(&b, 100000);
	ipc_put_u32(&b, n);
	st.delivers++;
	st.targets += n;
	for (uint32_t i = 0; i < n; i++) {
		struct slice account = ipc_get_slice(r), mailbox = ipc_get_slice(r),
			     trace = ipc_get_slice(r);

		uint64_t number;

		check_slice(mailbox, sent ? "x@tinhmau.example" : "INBOX");
		if (account.len == 8 &&
		    slice_to_u64(slice_from(account, 2), EVERYBODY - 1, &number) == 0)
			times[number]++;
		buf_reset(&st.trace);
		buf_append_slice(&st.trace, trace);
		buf_append_slice(&st.account, account);
		buf_append_byte(&st.account, ' ');
		(void)ipc_get_i64(r);
		(void)ipc_get_u16(r);
		(void)ipc_get_u32(r);
		ipc_put_u32(&b,
		    (uint32_t)(slice_eq_str(account, "p-latefull")                     ? ERR_FULL
			       : slice_eq_str(account, "p-unknown") && st.delivers < 3 ? ERR_UNKNOWN
										       : 0));
		ipc_put_u32(&b, 7);
		ipc_put_u32(&b, i + 1);
		ipc_put_u8(&b, 0);
	}
	assert_int_equal(ipc_reader_end(r), 0);
	if (st.silent) {
		ipc_hold(c);
		st.waiting = (struct late){c, id};
	} else if (st.refuse_first-- > 0) {
		ipc_reply_err(c, id, ERR_TEMP, "starting");
	} else if (st.deliver_err != 0) {
		ipc_reply_err(c, id, st.deliver_err, "as told");
	} else {
		ipc_reply(c, id, STORE_DELIVERED, &b, -1);
	}
	buf_done(&b);
	return 0;
}

static int
take_append(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	struct buf b;

	st.appends++;
	check_slice(ipc_get_slice(r), "ticket");
	assert_int_equal(ipc_get_u64(r), 4711);
	assert_int_equal(ipc_get_u32(r), 5);
	check_slice(ipc_get_slice(r), "$Forwarded x");
	assert_int_equal(ipc_get_i64(r), 1795222800);
	assert_int_equal(ipc_get_u16(r), 420);
	assert_int_equal(ipc_reader_end(r), 0);
	if (st.append_err != 0)
		return ipc_reply_err(c, id, st.append_err, "as told");
	buf_init(&b, 100);
	ipc_put_u32(&b, 99);
	ipc_put_u32(&b, 12);
	ipc_reply(c, id, STORE_APPENDED, &b, -1);
	buf_done(&b);
	return 0;
}

/* Of the group of 250 each tenth did not read it, and one came later; of others the name says it. */
static int
take_read_state(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	struct slice account = ipc_get_slice(r), delivery = ipc_get_slice(r);
	int err = slice_eq_str(account, "p-unread")   ? ERR_AGAIN
		  : slice_eq_str(account, "p-gone")   ? ERR_NOTFOUND
		  : slice_eq_str(account, "p-broken") ? ERR_IO
						      : 0;

	assert_int_equal(ipc_reader_end(r), 0);
	assert_int_equal(delivery.len, 16);
	assert_int_equal(delivery.ptr[15], 15);
	if (account.len == 5 && account.ptr[4] == '0')
		err = ERR_AGAIN;
	if (slice_eq_str(account, "p-005"))
		err = ERR_NOTFOUND;
	st.checks++;
	return err == 0 ? ipc_reply_ok(c, id) : ipc_reply_err(c, id, err, "as told");
}

static int
stored_msg(struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r, int fd, void *arg)
{
	int ret = 0;

	(void)arg;
	if (type == STORE_REBUILD_WAIT || type == STORE_TEXT_WAIT) /* there is never any */
		return ipc_reader_end(r);
	if (type == STORE_CHECK) {
		struct slice ticket = ipc_get_slice(r), account = ipc_get_slice(r);
		int err = st.check_err;

		(void)ticket;
		st.checks++;
		(void)ipc_get_u64(r);
		(void)ipc_get_u64(r);
		assert_int_equal(ipc_reader_end(r), 0);
		if (slice_eq_str(account, "p-full"))
			err = ERR_FULL;
		return err == 0 ? ipc_reply_ok(c, id) : ipc_reply_err(c, id, err, "as told");
	}
	if (type == STORE_READ_STATE)
		return take_read_state(c, id, r);
	take_message(r, fd);
	ret = type == STORE_DELIVER || type == STORE_SENT_COPY
		  ? take_deliver(c, id, r, type == STORE_SENT_COPY)
		  : take_append(c, id, r);
	st.sent_copies += type == STORE_SENT_COPY;
	if (fd >= 0)
		close(fd);
	return ret;
}

/* ---- the other side ---- */

static int
bind_unix(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 50), 0);
	return fd;
}

static int client = -1;
static struct buf got;

static void
connect_lmtp(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	if (client >= 0)
		close(client);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "lmtp.sock");
	assert_int_equal(connect(client, (struct sockaddr *)&un, sizeof(un)), 0);
	buf_reset(&got);
}

static void
turn(void)
{
	char b[4096];
	ssize_t n;

	loop_run_once(loop, 5);
	if (client < 0)
		return;
	while ((n = recv(client, b, sizeof(b), MSG_DONTWAIT)) > 0)
		buf_append(&got, b, (size_t)n);
}

static void
send_bytes(struct slice s)
{
	while (s.len > 0) {
		ssize_t n = send(client, s.ptr, s.len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			s = slice_from(s, (size_t)n);
		else
			assert_int_equal(errno, EAGAIN);
		turn();
	}
}

static void
say(const char *s)
{
	send_bytes(slice_str(s));
}

/* Waits until all of want has come, and nothing else. */
static void
expect(const char *want)
{
	time_t end = time(NULL) + 20;

	while (got.len < strlen(want) && time(NULL) < end)
		turn();
	check_buf(&got, want);
	buf_reset(&got);
}

#define GREETING "220 mx.tinhmau.example LMTP Congvu\r\n"
#define CAPS                                                                                \
	"250-mx.tinhmau.example\r\n250-PIPELINING\r\n250-SIZE 10000000\r\n250-8BITMIME\r\n" \
	"250-SMTPUTF8\r\n250-XCVID\r\n250-XCVSENT\r\n250-XCVSEEN\r\n250-CHUNKING\r\n250 "   \
	"ENHANCEDSTATUSCODES\r\n"
#define ID "000102030405060708090a0b0c0d0e0f"
#define GO "354 go ahead, end with <CRLF>.<CRLF>\r\n"
#define MESSAGE "Date: Sat, 21 Nov 2026 08:00:00 +0700\r\nSubject: x\r\n\r\nhello\r\n"
#define OK_MAIL "250 2.1.0 sender ok\r\n"
#define OK_RCPT "250 2.1.5 recipient ok\r\n"
#define DELIVERED "250 2.0.0 delivered\r\n"
#define TEMP "451 4.3.0 cannot be found out now, try again later\r\n"
#define TEMP_END "451 4.3.0 not delivered now, try again later\r\n"

static int
setup(void **state)
{
	(void)state;
	buf_done(&st.body);
	buf_done(&st.summary);
	buf_done(&st.envelope);
	buf_done(&st.trace);
	buf_done(&st.account);
	memset(&st, 0, sizeof(st));
	buf_init(&st.body, 20000000);
	buf_init(&st.summary, 1000000);
	buf_init(&st.envelope, 100000);
	buf_init(&st.trace, 10000);
	buf_init(&st.account, 100000);
	connect_lmtp();
	expect(GREETING);
	say("LHLO client.test\r\n");
	expect(CAPS);
	return 0;
}

static void
one_message(void **state)
{
	(void)state;
	say("MAIL FROM:<clerk@Other.Example> XCVID=" ID "\r\n");
	expect(OK_MAIL);
	say("RCPT TO:<huong@tinhmau.example>\r\n");
	expect(OK_RCPT);
	say("DATA\r\n");
	expect(GO);
	say("Date: Sat, 21 Nov 2026 08:00:00 +0700\r\nSubject: x\r\n\r\n..dot\r\n.\r\n");
	expect(DELIVERED);
	assert_int_equal(st.delivers, 1);
	assert_int_equal(st.checks, 0); /* who knows delivery ids has asked before */
	check_buf(&st.body, "Date: Sat, 21 Nov 2026 08:00:00 +0700\r\nSubject: x\r\n\r\n.dot\r\n");
	check_buf(&st.account, "p-huong ");
	assert_int_equal(st.id[15], 15);
	assert_int_equal(st.date, 1795222800);
	assert_true(slice_starts(buf_slice(&st.trace),
	    "Return-Path: <clerk@other.example>\r\n"
	    "Delivered-To: primary@tinhmau.example\r\n"
	    "Received: from client.test by mx.tinhmau.example with LMTP\r\n"
	    "\tid " ID "\r\n\tfor <huong@tinhmau.example>; "));
	assert_true(slice_find(buf_slice(&st.envelope), slice_str("\"x\"")) > 0);
	say("QUIT\r\n");
	expect("221 2.0.0 bye\r\n");
}

/* What is for Sent is no delivery: its trace says so, a group has no Sent, and without an id it could come twice. */
static void
sent_copy(void **state)
{
	(void)state;
	say("MAIL FROM:<x@tinhmau.example> XCVSENT\r\n");
	expect("501 5.5.4 XCVSENT needs XCVID\r\n");
	say("MAIL FROM:<x@tinhmau.example> XCVID=" ID
	    " XCVSENT\r\nRCPT TO:<all@tinhmau.example>\r\n"
	    "RCPT TO:<none@tinhmau.example>\r\nRCPT TO:<vanthu@tinhmau.example>\r\nDATA\r\n");
	expect(OK_MAIL
	    "550 5.1.1 no mailbox of its own\r\n550 5.1.1 no such recipient\r\n" OK_RCPT GO);
	say(MESSAGE ".\r\n");
	expect(DELIVERED);
	check_buf(&st.account, "p-vanthu ");
	assert_int_equal(st.sent_copies, 1);
	assert_true(slice_starts(buf_slice(&st.trace),
	    "Received: from client.test by mx.tinhmau.example with LMTP\r\n"));
	/* the next one on this connection is mail again */
	say("MAIL FROM:<> XCVID=" ID "\r\nRCPT TO:<a@tinhmau.example>\r\nDATA\r\n");
	expect(OK_MAIL OK_RCPT GO);
	say(MESSAGE ".\r\n");
	expect(DELIVERED);
	assert_int_equal(st.sent_copies, 1);
}

static void
pipeline(void **state)
{
	(void)state;
	say("MAIL FROM:<>\r\nRCPT TO:<a@tinhmau.example>\r\nRCPT TO:<none@tinhmau.example>\r\n"
	    "RCPT TO:<x@elsewhere.example>\r\nRCPT TO:<dirdown@tinhmau.example>\r\nRCPT "
	    "TO:<broken\r\n"
	    "RCPT TO:<full@tinhmau.example>\r\nRCPT TO:<latefull@tinhmau.example>\r\n"
	    "RCPT TO:<a@tinhmau.example>\r\nDATA\r\n");
	expect(OK_MAIL OK_RCPT "550 5.1.1 no such recipient\r\n"
			       "550 5.1.2 not a domain of this site\r\n" TEMP
			       "501 5.1.3 bad recipient address\r\n"
			       "452 4.2.2 Hop thu da day / Mailbox full\r\n" OK_RCPT OK_RCPT GO);
	say(MESSAGE ".\r\nMAIL FROM:<>\r\nRSET\r\nNOOP\r\nVRFY x\r\n");
	/* one reply for each accepted recipient, in order; the mailbox that two lead to got it once */
	expect(DELIVERED "452 4.2.2 Hop thu da day / Mailbox full\r\n" DELIVERED OK_MAIL
			 "250 2.0.0 ok\r\n250 2.0.0 ok\r\n252 2.5.0 send some mail and see\r\n");
	check_buf(&st.account, "p-a p-latefull ");
	assert_int_equal(st.delivers, 1);
	assert_true(slice_starts(buf_slice(&st.trace), "Return-Path: <>\r\n"));
}

/* RFC 3030: the text by length, in one piece or several, in the same breath as the recipients. */
static void
chunks(void **state)
{
	(void)state;
	say("MAIL FROM:<> XCVID=" ID "\r\nRCPT TO:<a@tinhmau.example>\r\nBDAT 60 LAST\r\n" MESSAGE
	    "NOOP\r\n");
	assert_int_equal(strlen(MESSAGE), 60);
	expect(OK_MAIL OK_RCPT DELIVERED "250 2.0.0 ok\r\n");
	check_buf(&st.body, MESSAGE);
	/* the answer at the end is what counts: nobody is asked before */
	assert_int_equal(st.checks, 0);
	/* dots are nothing; a CRLF may be cut */
	say("MAIL FROM:<>\r\nRCPT TO:<a@tinhmau.example>\r\nRCPT TO:<none@tinhmau.example>\r\nBDAT "
	    "6\r\nX: y\r\r\nBDAT 0\r\nRCPT TO:<a@tinhmau.example>\r\n");
	expect(OK_MAIL OK_RCPT
	    "550 5.1.1 no such recipient\r\n250 2.0.0 chunk taken\r\n500 5.5.2 a line "
	    "ends in CRLF\r\n250 2.0.0 chunk taken\r\n503 5.5.1 the message has begun\r\n");
	say("RSET\r\n");
	expect("250 2.0.0 ok\r\n");
	say("MAIL FROM:<>\r\nRCPT TO:<a@tinhmau.example>\r\nBDAT 5\r\nX: y\rBDAT 8\r\n\n\r\n.\r\n."
	    "\rDATA\r\nBDAT 1 LAST\r\n\nQUIT\r\n");
	expect(OK_MAIL OK_RCPT "250 2.0.0 chunk taken\r\n250 2.0.0 chunk taken\r\n503 5.5.1 the "
			       "message comes by BDAT\r\n" DELIVERED "221 2.0.0 bye\r\n");
	check_buf(&st.body, "X: y\r\n\r\n.\r\n.\r\n");
	assert_int_equal(st.checks, 2);
}

static void
chunks_refused(void **state)
{
	static const char *const texts[][2] = {
	    {"5 LAST\r\na\rb\r\n", "554 5.6.0 a CR or LF alone in the message\r\n"},
	    {"4 LAST\r\na\nb\n", "554 5.6.0 a CR or LF alone in the message\r\n"},
	    {"4 LAST\r\nabcd", "554 5.6.0 a CR or LF alone in the message\r\n"},
	    {"5 LAST\r\nabc\r\r", "554 5.6.0 a CR or LF alone in the message\r\n"},
	    {"0 LAST\r\n", DELIVERED}};
	struct buf want;

	(void)state;
	buf_init(&want, 1000);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		say("MAIL FROM:<>\r\nRCPT TO:<a@tinhmau.example>\r\nBDAT ");
		say(texts[i][0]);
		buf_reset(&want);
		buf_appendf(&want, OK_MAIL OK_RCPT "%s", texts[i][1]);
		expect(buf_cstr(&want));
	}
	assert_int_equal(st.delivers, 1);
	/* what belongs to nobody is read over and is never a command */
	say("BDAT 6 LAST\r\nNOOP\r\nMAIL FROM:<>\r\nBDAT 6\r\nNOOP\r\nRCPT "
	    "TO:<none@tinhmau.example>\r\nBDAT 6 LAST\r\n"
	    "NOOP\r\nRCPT TO:<a@tinhmau.example>\r\n");
	expect(
	    "503 5.5.1 MAIL first\r\n" OK_MAIL "503 5.5.1 no valid recipients\r\n550 5.1.1 no such "
	    "recipient\r\n503 5.5.1 no valid recipients\r\n" OK_RCPT);
	buf_done(&want);
	assert_int_equal(st.delivers, 1);
	/* whose length cannot be read ends the conversation */
	say("BDAT x LAST\r\nNOOP\r\n");
	expect("501 5.5.4 BDAT size [LAST]\r\n");
}

static void
group_of_many(void **state)
{
	(void)state;
	say("MAIL FROM:<a@b.test> XCVID=" ID "\r\nRCPT TO:<all@tinhmau.example>\r\nDATA\r\n");
	expect(OK_MAIL "250 2.1.5 recipients ok\r\n" GO);
	say(MESSAGE ".\r\n");
	expect(DELIVERED);
	assert_int_equal(st.delivers, 3); /* 100 + 100 + 50 under one delivery id */
	assert_int_equal(st.targets, 250);
	assert_memory_equal(st.id, st.last_id, 16);
}

/* XCVSEEN: whether it was read, of one mailbox and of a group; no message can follow. */
static void
was_it_read(void **state)
{
	(void)state;
	say("MAIL FROM:<> XCVSEEN=" ID "\r\nRCPT TO:<unread@tinhmau.example>\r\nRSET\r\n");
	expect(OK_MAIL "550 5.0.0 unread\r\n250 2.0.0 ok\r\n");
	say("MAIL FROM:<> XCVSEEN=" ID "\r\nRCPT TO:<read@tinhmau.example>\r\nRCPT "
	    "TO:<gone@tinhmau.example>\r\nRCPT TO:<broken@tinhmau.example>\r\nRCPT "
	    "TO:<none@tinhmau.example>\r\n");
	expect(
	    OK_MAIL "250 2.1.5 read\r\n250 2.1.5 read\r\n" TEMP "550 5.1.1 no such recipient\r\n");
	say("DATA\r\nBDAT 5 LAST\r\n12345RSET\r\n");
	expect("503 5.5.1 nothing is delivered here: RSET\r\n503 5.5.1 no valid recipients\r\n250 "
	       "2.0.0 ok\r\n");
	st.checks = 0;
	say("MAIL FROM:<> XCVSEEN=" ID "\r\nRCPT TO:<all@tinhmau.example>\r\nRSET\r\n");
	expect(OK_MAIL "550 5.0.0 unread by 25 of 249\r\n250 2.0.0 ok\r\n");
	assert_int_equal(st.checks, 250);
	assert_int_equal(st.delivers, 0);
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The largest group, named twice and one of its members beside it: each once, in requests of a hundred, in bounded time. */
static void
group_of_ten_thousand(void **state)
{
	uint64_t began = now_ms();

	(void)state;
	memset(times, 0, sizeof(times));
	say("MAIL FROM:<a@b.test> XCVID=" ID "\r\nRCPT TO:<everybody@tinhmau.example>\r\n"
	    "RCPT TO:<everybody@tinhmau.example>\r\nRCPT TO:<000007@tinhmau.example>\r\nDATA\r\n");
	expect(OK_MAIL "250 2.1.5 recipients ok\r\n250 2.1.5 recipients ok\r\n" OK_RCPT GO);
	say(MESSAGE ".\r\n");
	expect(DELIVERED DELIVERED DELIVERED);
	assert_int_equal(st.delivers, EVERYBODY / 100);
	assert_int_equal(st.targets, EVERYBODY);
	for (size_t i = 0; i < EVERYBODY; i++)
		assert_int_equal(times[i], 1);
	assert_memory_equal(st.id, st.last_id, 16);
	assert_true(now_ms() - began < 15000);
	/* and one person more than that: told, nobody got it */
	say("MAIL FROM:<a@b.test>\r\nRCPT TO:<everybody@tinhmau.example>\r\nRCPT "
	    "TO:<x@tinhmau.example>\r\n");
	expect(
	    OK_MAIL "250 2.1.5 recipients ok\r\n452 4.5.3 too many mailboxes, send them apart\r\n");
	say("RSET\r\n");
	expect("250 2.0.0 ok\r\n");
}

/* Replies stand in the order of the commands, though a later look-up was answered first. */
static void
order_of_replies(void **state)
{
	(void)state;
	say("MAIL FROM:<>\r\nRCPT TO:<later@tinhmau.example>\r\nRCPT "
	    "TO:<a@tinhmau.example>\r\nNOOP\r\n");
	/* answers to commands that are here go out together (RFC 2920 3.2) */
	for (int i = 0; i < 20; i++)
		turn();
	assert_int_equal(got.len, 0);
	ipc_reply_err(late_lookup.c, late_lookup.id, ERR_TEMP, "late");
	ipc_release(late_lookup.c);
	expect(OK_MAIL TEMP OK_RCPT "250 2.0.0 ok\r\n");
	/* the client goes while a look-up is under way */
	say("RSET\r\nMAIL FROM:<>\r\nRCPT TO:<later@tinhmau.example>\r\n");
	expect("250 2.0.0 ok\r\n" OK_MAIL);
	for (int i = 0; i < 20; i++)
		turn();
	close(client);
	client = -1;
	for (int i = 0; i < 20; i++)
		turn();
	ipc_reply_err(late_lookup.c, late_lookup.id, ERR_TEMP, "late");
	ipc_release(late_lookup.c);
	for (int i = 0; i < 20; i++)
		turn();
}

static void
refused_text(void **state)
{
	static const struct {
		struct slice text;
		const char *reply;
	} rows[] = {
	    {{(const unsigned char *)"a\nb\r\n.\r\n", 8},
		"554 5.6.0 a CR or LF alone in the message\r\n"},
	    {{(const unsigned char *)"a\r\n.\nQUIT\r\n.\r\n", 14},
		"554 5.6.0 a CR or LF alone in the message\r\n"},
	    {{(const unsigned char *)"a\rb\r\n.\r\n", 8},
		"554 5.6.0 a CR or LF alone in the message\r\n"},
	    {{(const unsigned char *)"a\0b\r\n.\r\n", 8}, "554 5.6.0 NUL in the message\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		say("MAIL FROM:<>\r\nRCPT TO:<a@tinhmau.example>\r\nRCPT "
		    "TO:<b@tinhmau.example>\r\nDATA\r\n");
		expect(OK_MAIL OK_RCPT OK_RCPT GO);
		send_bytes(rows[i].text);
		buf_reset(&st.body);
		buf_append_str(&st.body, rows[i].reply);
		buf_append_str(&st.body, rows[i].reply);
		expect(buf_cstr(&st.body));
	}
	assert_int_equal(st.delivers, 0);
}

#ifndef INGEST_BINARY
static void
stored_down(void **state)
{
	(void)state;
	st.deliver_err = ERR_TEMP;
	say("MAIL FROM:<>\r\nRCPT TO:<a@tinhmau.example>\r\nDATA\r\n");
	expect(OK_MAIL OK_RCPT GO);
	say(MESSAGE ".\r\n");
	expect(TEMP_END);
	st.check_err = ERR_TEMP;
	say("MAIL FROM:<>\r\nRCPT TO:<a@tinhmau.example>\r\nDATA\r\n");
	expect(OK_MAIL TEMP "503 5.5.1 no valid recipients\r\n");
}
#endif

/* stored is restarted under a delivery: it goes there again under the same id. */
static void
stored_restarted(void **state)
{
	(void)state;
	st.refuse_first = 2;
	say("MAIL FROM:<>\r\nRCPT TO:<a@tinhmau.example>\r\nRCPT "
	    "TO:<latefull@tinhmau.example>\r\nDATA\r\n");
	expect(OK_MAIL OK_RCPT OK_RCPT GO);
	say(MESSAGE ".\r\n");
	expect(DELIVERED "452 4.2.2 Hop thu da day / Mailbox full\r\n");
	assert_memory_equal(st.id, st.last_id, 16);
	check_buf(&st.account, "p-a p-latefull p-a p-latefull p-a p-latefull ");
}

/* … and only where it is open. */
static void
unknown_outcome(void **state)
{
	(void)state;
	say("MAIL FROM:<>\r\nRCPT TO:<a@tinhmau.example>\r\nRCPT "
	    "TO:<unknown@tinhmau.example>\r\nDATA\r\n");
	expect(OK_MAIL OK_RCPT OK_RCPT GO);
	say(MESSAGE ".\r\n");
	expect(DELIVERED DELIVERED);
	assert_memory_equal(st.id, st.last_id, 16);
	check_buf(&st.account, "p-a p-unknown p-unknown p-unknown ");
}

/* The client goes while stored works: the answer that comes then is nobody's. */
static void
gone_while_storing(void **state)
{
	(void)state;
	st.silent = true;
	say("MAIL FROM:<>\r\nRCPT TO:<a@tinhmau.example>\r\nDATA\r\n");
	expect(OK_MAIL OK_RCPT GO);
	say(MESSAGE ".\r\n");
	while (st.delivers == 0)
		turn();
	close(client);
	client = -1;
	for (int i = 0; i < 20; i++)
		turn();
	ipc_reply_err(st.waiting.c, st.waiting.id, ERR_TEMP, "late");
	ipc_release(st.waiting.c);
	for (int i = 0; i < 20; i++)
		turn();
	assert_int_equal(in.large_used, 0);
}

static void
order_of_commands(void **state)
{
	(void)state;
	connect_lmtp();
	expect(GREETING);
	say("MAIL FROM:<>\r\nEHLO x\r\nHELO x\r\nLHLO\r\nLHLO c\r\nRCPT "
	    "TO:<a@tinhmau.example>\r\nDATA\r\nDATA x\r\nFOO\r\n\r\n");
	expect("503 5.5.1 LHLO first\r\n500 5.5.1 this is LMTP: LHLO\r\n500 5.5.1 this is LMTP: "
	       "LHLO\r\n"
	       "501 5.5.4 LHLO name\r\n" CAPS "503 5.5.1 MAIL first\r\n503 5.5.1 MAIL first\r\n"
	       "501 5.5.4 DATA has no arguments\r\n500 5.5.1 unknown command\r\n500 5.5.1 unknown "
	       "command\r\n");
	say("MAIL FROM:<>\r\nMAIL FROM:<>\r\nRSET\r\nMAIL FROM:<> SIZE=10000001\r\nNOOP\nNOOP\r\n");
	expect(OK_MAIL "503 5.5.1 a message is under way: RSET first\r\n250 2.0.0 ok\r\n552 5.3.4 "
		       "message too large\r\n"
		       "500 5.5.2 a line ends in CRLF\r\n250 2.0.0 ok\r\n");
}

static void
long_lines(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000000);
	for (int i = 0; i < 300000; i++)
		buf_append_byte(&b, 'x');
	buf_append_str(&b, "\r\nNOOP\r\n");
	send_bytes(buf_slice(&b));
	expect("500 5.5.2 line too long\r\n250 2.0.0 ok\r\n");
	buf_reset(&b);
	for (int i = 0; i < 40000; i++)
		buf_append_str(&b, "NOOP\r\n"); /* pipelined far beyond any buffer */
	send_bytes(buf_slice(&b));
	while (got.len < 40000 * strlen("250 2.0.0 ok\r\n"))
		turn();
	buf_reset(&got);
	buf_done(&b);
}

static void
large_message(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 20000000);
	say("MAIL FROM:<>\r\nRCPT TO:<a@tinhmau.example>\r\nDATA\r\n");
	expect(OK_MAIL OK_RCPT GO);
	while (b.len < 3000000)
		buf_append_str(&b, "0123456789 0123456789 0123456789 0123456789 0123456789\r\n");
	send_bytes(buf_slice(&b));
	say(".\r\n");
	expect(DELIVERED);
	assert_true(st.by_fd);
	assert_true(slice_eq(buf_slice(&st.body), buf_slice(&b)));
	assert_int_equal(in.large_used, 0);
	say("MAIL FROM:<>\r\nRCPT TO:<a@tinhmau.example>\r\nDATA\r\n");
	expect(OK_MAIL OK_RCPT GO);
	for (int i = 0; i < 4; i++)
		send_bytes(buf_slice(&b));
	say(".\r\n");
	expect("552 5.3.4 message too large\r\n");
	assert_int_equal(in.large_used, 0);
	buf_done(&b);
}

/* Nothing that comes from a peer or the directory begins a line among the trace fields. */
static void
trace_is_ours(void **state)
{
	(void)state;
	say("LHLO a<b>\x01\tc\xff\r\n");
	expect(CAPS);
	say("MAIL FROM:<\"a b\"@c.test>\r\nRCPT TO:<evil@tinhmau.example>\r\nDATA\r\n");
	expect(OK_MAIL OK_RCPT GO);
	say(MESSAGE ".\r\n");
	expect(DELIVERED);
	assert_true(
	    slice_starts(buf_slice(&st.trace), "Return-Path: <\"a b\"@c.test>\r\nDelivered-To: "
					       "a??Bcc: b\r\nReceived: from a<b>??c? by "));
}

/* ---- APPEND ---- */

static struct ingest_client *imapd;
static int append_fd;
static struct {
	int calls, drained, err;
	uint32_t uidvalidity, uid;
} res;

static void
on_done(void *arg, int err, uint32_t uidvalidity, uint32_t uid)
{
	assert_ptr_equal(arg, &res);
	res.calls++;
	res.err = err;
	res.uidvalidity = uidvalidity;
	res.uid = uid;
}

static void
on_drained(void *arg)
{
	assert_ptr_equal(arg, &res);
	res.drained++;
}

static struct ingest_append *
start(uint64_t size)
{
	struct ingest_append_params p = {.ticket = slice_str("ticket"),
	    .mailbox = 4711,
	    .flags = 5,
	    .keywords = slice_str("$Forwarded x"),
	    .internal_date = 1795222800,
	    .internal_zone = 420,
	    .size = size};

	memset(&res, 0, sizeof(res));
	return ingest_append_start(imapd, &p, on_drained, on_done, &res);
}

static void
wait_done(int err)
{
	time_t end = time(NULL) + 20;

	while (res.calls == 0 && time(NULL) < end)
		turn();
	assert_int_equal(res.calls, 1);
	assert_int_equal(res.err, err);
	for (int i = 0; i < 10; i++)
		turn();
	assert_int_equal(res.calls, 1);
}

static void
append_small(void **state)
{
	struct ingest_append *a = start(11);

	(void)state;
	assert_int_equal(ingest_append_write(a, "S: x\n\nab", 8), 0);
	assert_int_equal(ingest_append_write(a, "c\r\n", 3), 0);
	assert_int_equal(ingest_append_end(a), 0);
	wait_done(0);
	assert_int_equal(res.uidvalidity, 99);
	assert_int_equal(res.uid, 12);
	check_buf(&st.body, "S: x\n\nabc\r\n"); /* LF alone is kept as it came */
	a = start(0);
	assert_int_equal(ingest_append_end(a), 0);
	wait_done(0);
	assert_int_equal(st.body.len, 0);
	assert_int_equal(st.checks, 0); /* stored is asked once, with the message */
	assert_int_equal(st.appends, 2);
}

/* What comes in many small pieces is acknowledged as it comes, whether they come at once or not. */
static void
append_in_pieces(void **state)
{
	struct ingest_append *a = start(26);

	(void)state;
	for (int i = 0; i < 26;) {
		int r = ingest_append_write(a, &"abcdefghijklmnopqrstuvwxyz"[i], 1);

		if (r == 0) {
			i++;
			if (i > 20)
				turn();
			continue;
		}
		assert_int_equal(r, ERR_AGAIN);
		res.drained = 0;
		while (res.drained == 0)
			turn();
	}
	for (int i = 0; i < 10; i++)
		turn();
	assert_int_equal(ingest_append_end(a), 0);
	wait_done(0);
	check_buf(&st.body, "abcdefghijklmnopqrstuvwxyz");
}

static void
append_large(void **state)
{
	static unsigned char piece[65536];
	struct ingest_append *a = start(40 * sizeof(piece));
	int blocked = 0;

	(void)state;
	memset(piece, 'x', sizeof(piece));
	for (int i = 0; i < 40;) {
		int r = ingest_append_write(a, piece, sizeof(piece));

		if (r == 0) {
			i++;
			continue;
		}
		assert_int_equal(r, ERR_AGAIN);
		res.drained = 0;
		while (res.drained == 0)
			turn();
		blocked++;
	}
	assert_true(blocked > 0);
	assert_int_equal(ingest_append_end(a), 0);
	wait_done(0);
	assert_true(st.by_fd);
	assert_int_equal(st.body.len, 40 * sizeof(piece));
	assert_int_equal(in.large_used, 0);
}

static void
append_refused(void **state)
{
	struct ingest_append *a;

	(void)state;
	st.check_err = ERR_DENIED;
	a = start(1000000); /* before it is there */
	ingest_append_write(a, "a", 1);
	wait_done(ERR_DENIED);
	st.check_err = 0;
	a = start(20000000);
	wait_done(ERR_LIMIT);
	a = start(5);
	ingest_append_write(a, "a\0b", 3);
	wait_done(ERR_SYNTAX);
	a = start(5);
	ingest_append_write(a, "abcdef", 6);
	wait_done(ERR_LIMIT);
	a = start(5);
	ingest_append_write(a, "abc", 3);
	ingest_append_end(a);
	wait_done(ERR_SYNTAX);
	st.append_err = ERR_FULL;
	a = start(3);
	ingest_append_write(a, "abc", 3);
	ingest_append_end(a);
	wait_done(ERR_FULL);
	assert_int_equal(st.appends, 1);
}

static void
append_aborted(void **state)
{
	struct ingest_append *a = start(5);

	(void)state;
	ingest_append_write(a, "abc", 3);
	ingest_append_abort(a);
	ingest_append_abort(NULL);
	for (int i = 0; i < 20; i++)
		turn();
	assert_int_equal(res.calls, 0);
	a = start(5);
	ingest_append_write(a, "abc", 3);
	for (int i = 0; i < 20; i++)
		turn();
	ingest_append_abort(a);
	for (int i = 0; i < 20; i++)
		turn();
	assert_int_equal(st.appends, 0);
}

#ifndef INGEST_BINARY
/* ingest is killed in the middle. */
static void
append_lost(void **state)
{
	struct ingest_append *a = start(5);

	(void)state;
	ingest_append_write(a, "abc", 3);
	for (int i = 0; i < 10; i++)
		turn();
	append_server_free(append);
	close(append_fd);
	for (int i = 0; i < 10; i++)
		turn();
	if (res.calls == 0)
		ingest_append_end(a);
	append_fd = bind_unix("ingest.imapd.sock");
	append = append_server_new(&in, append_fd, IPC_IMAPD, -1);
	wait_done(res.calls == 0 ? ERR_NOTFOUND : ERR_TEMP);
	a = start(1);
	ingest_append_write(a, "a", 1);
	ingest_append_end(a);
	wait_done(0);
}
#endif

/* ---- the role's own process ---- */

#ifdef INGEST_BINARY
static pid_t role;
static char binary[PATH_MAX];
static int lmtp_fd;

static void
start_ingest(void)
{
	FILE *f = fopen("congvu.conf", "w");
	char lmtp_arg[40], append_arg[40], here[4096];

	assert_non_null(f);
	fprintf(f, "hostname = mx.tinhmau.example\nmessage_size_max = 10000000\nlog_level = error\n"
		   "user_imapd = root\nrun_dir = .\n");
	fclose(f);
	assert_non_null(getcwd(here, sizeof(here)));
	snprintf(lmtp_arg, sizeof(lmtp_arg), "lmtp=%d", lmtp_fd);
	snprintf(append_arg, sizeof(append_arg), "ingest.imapd=%d", append_fd);
	role = fork();
	assert_true(role >= 0);
	if (role == 0) {
		fcntl(lmtp_fd, F_SETFD, 0);
		fcntl(append_fd, F_SETFD, 0);
		execl(binary, binary, "--conf", "congvu.conf", "--name", "ingest", "--index", "0",
		    "--user", "-", "--dir", here, "--fd", lmtp_arg, "--fd", append_arg,
		    (char *)NULL);
		_exit(127);
	}
}

static void
stop_ingest(int signo)
{
	int status;

	kill(role, signo);
	assert_int_equal(waitpid(role, &status, 0), role);
	assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == signo : signo == SIGTERM);
}

/* Killed in the middle of a message: nothing of it reached stored; the next process goes on. */
static void
killed(void **state)
{
	(void)state;
	say("MAIL FROM:<>\r\nRCPT TO:<a@tinhmau.example>\r\nDATA\r\n");
	expect(OK_MAIL OK_RCPT GO);
	say("Subject: x\r\n");
	stop_ingest(SIGKILL);
	start_ingest();
	setup(NULL);
	say("MAIL FROM:<>\r\nRCPT TO:<a@tinhmau.example>\r\nDATA\r\n");
	expect(OK_MAIL OK_RCPT GO);
	say(MESSAGE ".\r\n");
	expect(DELIVERED);
	assert_int_equal(st.delivers, 1);
}

/* A charset that libc converts by a loaded module, although the sandbox has no files. */
static void
charset_in_the_sandbox(void **state)
{
	(void)state;
	say("MAIL FROM:<>\r\nRCPT TO:<a@tinhmau.example>\r\nDATA\r\n");
	expect(OK_MAIL OK_RCPT GO);
	say("Content-Type: text/plain; name*=windows-1258''Ti%EA%ECng\r\n\r\nx\r\n.\r\n");
	expect(DELIVERED);
	assert_true(slice_find(buf_slice(&st.summary), slice_str("Tiếng")) > 0);
}
#endif

/* What serves the two sockets. */
static void
bring_up(void)
{
#ifdef INGEST_BINARY
	lmtp_fd = bind_unix("lmtp.sock");
	append_fd = bind_unix("ingest.imapd.sock");
	start_ingest();
#else
	in.rcpts = rcpt_cache_new();
	in.lookup = lookup_client_new(loop, "lookup.ingest.sock", IPC_INGEST);
	in.store = deliver_client_new(loop, "store.ingest.sock");
	static uid_t self;
	self = getuid();
	lmtp = lmtp_server_new(&in, bind_unix("lmtp.sock"), 10, &self, 1);
	append_fd = bind_unix("ingest.imapd.sock");
	append = append_server_new(&in, append_fd, IPC_IMAPD, -1);
#endif
}

static void
tear_down(void)
{
#ifdef INGEST_BINARY
	stop_ingest(SIGTERM);
	unlink("congvu.conf");
#else
	lmtp_server_free(lmtp);
	append_server_free(append);
	deliver_client_free(in.store);
	lookup_client_free(in.lookup);
	rcpt_cache_free(in.rcpts);
#endif
}

int
main(void)
{
	static const struct ipc_server_ops lookup_ops = {.on_msg = lookup_msg};
	static const struct ipc_server_ops stored_ops = {.on_msg = stored_msg};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(one_message, setup),
	    cmocka_unit_test_setup(sent_copy, setup),
	    cmocka_unit_test_setup(pipeline, setup),
	    cmocka_unit_test_setup(chunks, setup),
	    cmocka_unit_test_setup(chunks_refused, setup),
	    cmocka_unit_test_setup(group_of_many, setup),
	    cmocka_unit_test_setup(was_it_read, setup),
	    cmocka_unit_test_setup(group_of_ten_thousand, setup),
	    cmocka_unit_test_setup(order_of_replies, setup),
	    cmocka_unit_test_setup(refused_text, setup),
#ifndef INGEST_BINARY /* the real one tries for seconds */
	    cmocka_unit_test_setup(stored_down, setup),
#endif
	    cmocka_unit_test_setup(stored_restarted, setup),
	    cmocka_unit_test_setup(unknown_outcome, setup),
	    cmocka_unit_test_setup(gone_while_storing, setup),
	    cmocka_unit_test_setup(order_of_commands, setup),
	    cmocka_unit_test_setup(long_lines, setup),
	    cmocka_unit_test_setup(large_message, setup),
	    cmocka_unit_test_setup(trace_is_ours, setup),
	    cmocka_unit_test_setup(append_small, setup),
	    cmocka_unit_test_setup(append_in_pieces, setup),
	    cmocka_unit_test_setup(append_large, setup),
	    cmocka_unit_test_setup(append_refused, setup),
	    cmocka_unit_test_setup(append_aborted, setup),
#ifdef INGEST_BINARY
	    cmocka_unit_test_setup(killed, setup),
	    cmocka_unit_test_setup(charset_in_the_sandbox, setup),
#else
	    cmocka_unit_test_setup(append_lost, setup),
#endif
	};
	int r;

#ifdef INGEST_BINARY
	assert_non_null(realpath(INGEST_BINARY, binary));
#endif
	if (mkdtemp(dir) == NULL || chdir(dir) != 0)
		return 1;
	log_set_level(LOG_LVL_ERROR);
	loop = loop_new();
	in = (struct ingest){.loop = loop,
	    .hostname = "mx.tinhmau.example",
	    .size_max = 10000000,
	    .rcpt_max = 1000,
	    .timeout_ms = 60000,
	    .retry_ms = 2000};
	buf_init(&got, 10000000);
	fake_lookup = ipc_server_new(loop, bind_unix("lookup.ingest.sock"), &lookup_proto,
	    IPC_INGEST, -1, 10, &lookup_ops, NULL);
	fake_stored = ipc_server_new(loop, bind_unix("store.ingest.sock"), &store_proto, IPC_INGEST,
	    -1, 10, &stored_ops, NULL);
	bring_up();
	imapd = ingest_client_new(loop, "ingest.imapd.sock");
	r = cmocka_run_group_tests(tests, NULL, NULL);
	if (client >= 0)
		close(client);
	ingest_client_free(imapd);
	tear_down();
	ipc_server_free(fake_lookup);
	ipc_server_free(fake_stored);
	loop_free(loop);
	buf_done(&got);
	unlink("lmtp.sock");
	unlink("ingest.imapd.sock");
	unlink("lookup.ingest.sock");
	unlink("store.ingest.sock");
	if (chdir("/") == 0)
		rmdir(dir);
	return r;
}
