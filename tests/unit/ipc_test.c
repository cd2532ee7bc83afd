/* ipc_test.c: both ends on one loop: the permit table, descriptors, cancel, time-outs, reconnects, flow control,
 * and frames written by hand that break the rules: the sender is the only casualty. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/ipc_priv.h"
#include "lib/log.h"
#include "tests/unit/unit.h"

enum {
	ECHO = 3,
	FOREIGN,
	FD_IN,
	LATE,
	IN_STATE_2,
	BIG,
	WANT_NOTE,
	WANT_FD,
	GO_STATE_2,
	ECHO_R = 20,
	FD_R,
	BIG_R,
	NOTE
};

static const struct ipc_rule rules[] = {
    {ECHO, "ECHO", IPC_SMTPD, ~0u, 1000, 0},
    {FOREIGN, "FOREIGN", IPC_IMAPD, ~0u, 1000, 0},
    {FD_IN, "FD_IN", IPC_SMTPD, ~0u, 16, 2},
    {LATE, "LATE", IPC_SMTPD, ~0u, 16, 0},
    {IN_STATE_2, "IN_STATE_2", IPC_SMTPD, 2, 16, 0},
    {BIG, "BIG", IPC_SMTPD, ~0u, 1 << 18, 0},
    {WANT_NOTE, "WANT_NOTE", IPC_SMTPD, ~0u, 0, 0},
    {WANT_FD, "WANT_FD", IPC_SMTPD, ~0u, 0, 0},
    {GO_STATE_2, "GO_STATE_2", IPC_SMTPD, IPC_ST_READY, 0, 0},
    {ECHO_R, "ECHO_R", IPC_STORED, ~0u, 1000, 0},
    {FD_R, "FD_R", IPC_STORED, ~0u, 16, 2},
    {BIG_R, "BIG_R", IPC_STORED, ~0u, 1 << 18, 0},
    {NOTE, "NOTE", IPC_STORED, ~0u, 100, 0},
};
static const struct ipc_proto proto = {
    "test", 7, IPC_STORED, rules, sizeof(rules) / sizeof(rules[0])};
/* As a taken-over client would have it: everything may be sent. */
static const struct ipc_rule lax_rules[] = {
    {ECHO, "ECHO", ~0u, ~0u, IPC_FRAME_MAX, 1},
    {FOREIGN, "FOREIGN", ~0u, ~0u, 1000, 0},
    {IN_STATE_2, "IN_STATE_2", ~0u, ~0u, 16, 0},
    {99, "UNKNOWN", ~0u, ~0u, 16, 0},
    {ECHO_R, "ECHO_R", ~0u, ~0u, 1000, 0},
};
static const struct ipc_proto lax = {
    "test", 7, IPC_STORED, lax_rules, sizeof(lax_rules) / sizeof(lax_rules[0])};

struct fixture {
	struct loop *l;
	char path[64];
	int listen_fd;
	struct ipc_server *s;
	struct ipc_client *c;
	unsigned opened, closed, msgs, up, down, notes;
	unsigned late_open;
	struct ipc_conn *late_conn;
	uint32_t late_id[600];
	/* the last reply */
	unsigned replies;
	int err;
	uint16_t type;
	char text[64];
	int fd;
	unsigned errs[32];
};

static int
on_open(struct ipc_conn *c, void *arg, void **user_out)
{
	struct fixture *f = arg;

	assert_int_equal(ipc_peer_role(c), IPC_SMTPD);
	f->opened++;
	*user_out = f;
	return 0;
}

static void
on_close(struct ipc_conn *c, void *arg)
{
	struct fixture *f = arg;

	assert_ptr_equal(ipc_user(c), f);
	f->closed++;
}

static int
reply_fd(struct ipc_conn *c, uint32_t id, const char *text)
{
	int p[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], text, strlen(text)), (ssize_t)strlen(text));
	close(p[1]);
	return ipc_reply(c, id, FD_R, NULL, p[0]);
}

static int
reply_filled(struct ipc_conn *c, uint32_t id, uint16_t type, size_t n)
{
	struct buf b;
	int rc;

	buf_init(&b, 1 << 19);
	memset(buf_reserve(&b, n), 'x', n);
	buf_commit(&b, n);
	rc = ipc_reply(c, id, type, &b, -1);
	buf_done(&b);
	return rc;
}

static int
on_msg(struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r, int fd, void *arg)
{
	struct fixture *f = arg;
	char text[16] = "";
	struct buf b;

	f->msgs++;
	switch (type) {
	case ECHO:
		if (id == 0)
			return 0;
		buf_init(&b, 1000);
		buf_append_slice(&b, r->rest);
		ipc_reply(c, id, ECHO_R, &b, -1);
		buf_done(&b);
		return 0;
	case FD_IN:
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_true(read(fd, text, 5) == 5);
		close(fd);
		return strcmp(text, "hello") == 0 ? ipc_reply_ok(c, id)
						  : ipc_reply_err(c, id, ERR_IO, "no");
	case LATE:
		f->late_conn = c;
		f->late_id[f->late_open++] = id;
		return 0;
	case BIG:
		return reply_filled(c, id, BIG_R, 200000);
	case WANT_NOTE:
		ipc_notify(c, NOTE, NULL);
		return ipc_reply_ok(c, id);
	case WANT_FD:
		return reply_fd(c, id, "world");
	case GO_STATE_2:
		ipc_set_state(c, 2);
		return ipc_reply_ok(c, id);
	case IN_STATE_2:
		return reply_filled(
		    c, id, ECHO_R, 1001); /* breaks the table: the client gets ERR_LIMIT */
	default:
		fail();
		return ERR_PROTO;
	}
}

static const struct ipc_server_ops server_ops = {on_open, on_msg, on_close};

static void
on_note(void *arg, uint16_t type, struct ipc_reader *r)
{
	struct fixture *f = arg;

	assert_int_equal(type, NOTE);
	assert_int_equal(ipc_reader_end(r), 0);
	f->notes++;
}

static void
on_up(void *arg)
{
	((struct fixture *)arg)->up++;
}

static void
on_down(void *arg)
{
	((struct fixture *)arg)->down++;
}

static const struct ipc_client_ops client_ops = {on_note, on_up, on_down};

static void
on_reply(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct fixture *f = arg;
	struct slice s = {NULL, 0};

	f->replies++;
	f->err = err;
	f->type = type;
	f->fd = fd;
	f->errs[-err]++;
	assert_true((err == 0) == (r != NULL));
	if (r != NULL && type == ECHO_R)
		s = ipc_get_slice(r);
	snprintf(
	    f->text, sizeof(f->text), "%.*s", (int)s.len, s.ptr != NULL ? (const char *)s.ptr : "");
}

static int
bind_at(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncat(sa.sun_path, path, sizeof(sa.sun_path) - 1);
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 128), 0);
	return fd;
}

static void
serve(struct fixture *f)
{
	f->s = ipc_server_new(f->l, f->listen_fd, &proto, IPC_SMTPD, getuid(), 3, &server_ops, f);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char dir[] = "/tmp/cv-ipc-XXXXXX";

	log_init("ipc_test", open("/dev/null", O_WRONLY | O_CLOEXEC));
	assert_non_null(mkdtemp(dir));
	snprintf(f->path, sizeof(f->path), "%s/s", dir);
	f->l = loop_new();
	f->fd = -1;
	f->listen_fd = bind_at(f->path);
	serve(f);
	f->c = ipc_client_new(f->l, f->path, &proto, IPC_SMTPD, &client_ops, f);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	ipc_client_free(f->c);
	ipc_server_free(f->s);
	close(f->listen_fd);
	loop_free(f->l);
	unlink(f->path);
	*strrchr(f->path, '/') = '\0';
	rmdir(f->path);
	free(f);
	return 0;
}

/* Turns until *n reaches want, at most ten seconds. */
static void
turn_until(struct fixture *f, const unsigned *n, unsigned want)
{
	uint64_t end = loop_now_ms(f->l) + 10000;

	while (*n < want && loop_now_ms(f->l) < end)
		loop_run_once(f->l, 5);
	assert_int_equal(*n, want);
}

static int
call_echo(struct fixture *f, const char *text, unsigned timeout_ms, uint32_t *call_out)
{
	struct buf b;
	int rc;

	buf_init(&b, 1100);
	ipc_put_str(&b, text);
	rc = ipc_call(f->c, ECHO, &b, -1, timeout_ms, on_reply, f, call_out);
	buf_done(&b);
	return rc;
}

static void
test_echo_and_notes(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(call_echo(f, "xin chào", 0, NULL), 0);
	assert_int_equal(f->replies, 0); /* never from within ipc_call */
	turn_until(f, &f->replies, 1);
	assert_int_equal(f->err, 0);
	assert_string_equal(f->text, "xin chào");
	assert_int_equal(f->up, 1);
	assert_int_equal(ipc_call(f->c, WANT_NOTE, NULL, -1, 0, on_reply, f, NULL), 0);
	turn_until(f, &f->replies, 2);
	assert_int_equal(f->type, IPC_OK);
	assert_int_equal(f->notes, 1);
	assert_int_equal(ipc_send(f->c, ECHO, NULL), 0);
	turn_until(f, &f->msgs, 3);
}

static void
test_table_on_our_end(void **state)
{
	struct fixture *f = *state;
	char big[1100];

	memset(big, 'a', sizeof(big) - 1);
	big[1050] = '\0';
	assert_int_equal(ipc_call(f->c, FOREIGN, NULL, -1, 0, on_reply, f, NULL), ERR_DENIED);
	assert_int_equal(ipc_call(f->c, 77, NULL, -1, 0, on_reply, f, NULL), ERR_DENIED);
	assert_int_equal(ipc_call(f->c, ECHO_R, NULL, -1, 0, on_reply, f, NULL), ERR_DENIED);
	assert_int_equal(ipc_call(f->c, FD_IN, NULL, -1, 0, on_reply, f, NULL), ERR_DENIED);
	assert_int_equal(ipc_call(f->c, ECHO, NULL, dup(1), 0, on_reply, f, NULL), ERR_DENIED);
	assert_int_equal(call_echo(f, big, 0, NULL), ERR_LIMIT);
	assert_int_equal(f->replies, 0);
}

static void
test_reply_breaking_the_table(void **state)
{
	struct fixture *f = *state;

	ipc_call(f->c, GO_STATE_2, NULL, -1, 0, on_reply, f, NULL);
	turn_until(f, &f->replies, 1);
	ipc_call(f->c, IN_STATE_2, NULL, -1, 0, on_reply, f, NULL);
	turn_until(f, &f->replies, 2);
	assert_int_equal(f->err, ERR_LIMIT);
	assert_int_equal(f->down, 0);
}

static void
test_descriptors(void **state)
{
	struct fixture *f = *state;
	char text[8] = "";
	int p[2];

	/* among other frames, so that assignment to the right frame shows */
	for (int i = 0; i < 20; i++) {
		assert_int_equal(pipe(p), 0);
		assert_int_equal(write(p[1], "hello", 5), 5);
		close(p[1]);
		call_echo(f, "a", 0, NULL);
		assert_int_equal(ipc_call(f->c, FD_IN, NULL, p[0], 0, on_reply, f, NULL), 0);
		call_echo(f, "b", 0, NULL);
	}
	turn_until(f, &f->replies, 60);
	assert_int_equal(f->errs[0], 60);
	ipc_call(f->c, WANT_FD, NULL, -1, 0, on_reply, f, NULL);
	turn_until(f, &f->replies, 61);
	assert_true(f->fd >= 0);
	assert_int_equal(read(f->fd, text, 7), 5);
	assert_string_equal(text, "world");
	close(f->fd);
}

static void
test_cancel_and_timeout(void **state)
{
	struct fixture *f = *state;
	uint32_t call;

	assert_int_equal(ipc_call(f->c, LATE, NULL, -1, 0, on_reply, f, &call), 0);
	turn_until(f, &f->late_open, 1);
	ipc_cancel(f->c, call);
	ipc_reply_ok(f->late_conn, f->late_id[0]);
	assert_int_equal(ipc_call(f->c, LATE, NULL, -1, 30, on_reply, f, NULL), 0);
	turn_until(f, &f->replies, 1);
	assert_int_equal(f->err, ERR_TIMEOUT);
	ipc_reply_ok(f->late_conn, f->late_id[1]); /* late: dropped */
	call_echo(f, "still up", 0, &call);
	turn_until(f, &f->replies, 2);
	assert_string_equal(f->text, "still up");
	assert_int_equal(f->down, 0);
	call_echo(f, "canceled before it is sent", 0, &call);
	ipc_cancel(f->c, call);
	loop_run_once(f->l, 20);
	assert_int_equal(f->replies, 2);
	/* a reply to no open request is refused on our own end */
	assert_int_equal(ipc_reply_ok(f->late_conn, 12345), ERR_PROTO);
}

static void
test_outstanding_bound(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 400; i++)
		assert_int_equal(ipc_call(f->c, LATE, NULL, -1, 0, on_reply, f, NULL), 0);
	turn_until(f, &f->late_open, IPC_OUTSTANDING_MAX);
	loop_run_once(f->l, 20);
	assert_int_equal(f->late_open, IPC_OUTSTANDING_MAX);
	for (unsigned i = 0; i < 400; i++) {
		turn_until(f, &f->late_open, i < 144 ? IPC_OUTSTANDING_MAX + i : 400);
		assert_int_equal(ipc_reply_ok(f->late_conn, f->late_id[i]), 0);
		if (i < 144)
			turn_until(f, &f->late_open, IPC_OUTSTANDING_MAX + i + 1);
	}
	turn_until(f, &f->replies, 400);
	assert_int_equal(f->errs[0], 400);
}

static void
test_bulk(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 300; i++)
		ipc_call(f->c, BIG, NULL, -1, 0, on_reply, f, NULL);
	turn_until(f, &f->replies, 300);
	assert_int_equal(f->errs[0], 300);
}

static void
test_reconnect(void **state)
{
	struct fixture *f = *state;

	ipc_call(f->c, LATE, NULL, -1, 0, on_reply, f, NULL);
	turn_until(f, &f->late_open, 1);
	ipc_hold(f->late_conn);
	ipc_server_free(f->s); /* the server dies; its listening socket stays with the parent */
	f->s = NULL;
	turn_until(f, &f->replies, 1);
	assert_int_equal(f->err, ERR_CLOSED);
	assert_int_equal(f->down, 1);
	assert_int_equal(ipc_reply_ok(f->late_conn, f->late_id[0]), ERR_CLOSED);
	ipc_release(f->late_conn);
	call_echo(f, "waits", 0, NULL);
	for (int i = 0; i < 10; i++)
		loop_run_once(f->l, 5);
	assert_int_equal(f->replies, 1);
	serve(f);
	turn_until(f, &f->replies, 2);
	assert_string_equal(f->text, "waits");
	assert_int_equal(f->up, 2);
}

static void
test_nobody_there(void **state)
{
	struct fixture *f = *state;
	struct ipc_client *c =
	    ipc_client_new(f->l, "/tmp/cv-ipc-nobody", &proto, IPC_SMTPD, NULL, NULL);

	assert_int_equal(ipc_call(c, ECHO, NULL, -1, 50, on_reply, f, NULL), 0);
	turn_until(f, &f->replies, 1);
	assert_int_equal(f->err, ERR_TEMP);
	assert_int_equal(ipc_send(c, ECHO, NULL), ERR_CLOSED);
	ipc_call(c, ECHO, NULL, -1, 0, on_reply, f, NULL);
	ipc_client_free(c);
	assert_int_equal(f->replies, 2);
	assert_int_equal(f->err, ERR_CANCELED);
}

static void
free_in_reply(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct fixture *f = arg;

	(void)err;
	(void)type;
	(void)r;
	(void)fd;
	f->replies++;
	ipc_client_free(f->c);
	f->c = NULL;
}

static void
test_free_in_callback(void **state)
{
	struct fixture *f = *state;

	ipc_call(f->c, ECHO, NULL, -1, 0, free_in_reply, f, NULL);
	ipc_call(f->c, LATE, NULL, -1, 0, on_reply, f, NULL);
	ipc_call(f->c, ECHO, NULL, -1, 0, on_reply, f, NULL);
	turn_until(f, &f->replies, 3);
	assert_int_equal(f->errs[-ERR_CANCELED], 2);
}

/* ---- a taken-over client: a channel without scruples ---- */

static int
raw_connect(struct fixture *f, struct ipc_chan *ch)
{
	int fd = ipc_connect(f->path, true);

	assert_true(fd >= 0);
	ipc_chan_init(ch, fd);
	return fd;
}

/* The server must end this connection, and this one only. */
static void
expect_ended(struct fixture *f, struct ipc_chan *ch)
{
	int rc = 0;

	for (int i = 0; i < 400 && rc != ERR_EOF && rc != ERR_IO; i++) {
		if (ipc_chan_flush(ch) == ERR_CLOSED)
			break;
		loop_run_once(f->l, 5);
		rc = ipc_chan_fill(ch);
	}
	assert_true(rc == ERR_EOF || rc == ERR_IO);
	ipc_chan_done(ch);
	f->replies = 0;
	call_echo(f, "others live", 0, NULL);
	turn_until(f, &f->replies, 1);
	assert_string_equal(f->text, "others live");
	assert_int_equal(f->down, 0);
}

static void
raw_frame(struct ipc_chan *ch, uint32_t length, uint16_t type, uint16_t flags, uint32_t id,
    const char *body)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_append_u32(&b, length);
	buf_append_u16(&b, type);
	buf_append_u16(&b, flags);
	buf_append_u32(&b, id);
	buf_append_str(&b, body);
	assert_int_equal(write(ch->fd, b.data, b.len), (ssize_t)b.len);
	buf_done(&b);
}

static void
test_broken_frames(void **state)
{
	static const struct {
		uint32_t length;
		uint16_t type, flags;
		uint32_t id;
	} bad[] = {
	    {7, ECHO, 0, 1},                                      /* shorter than its header */
	    {0, ECHO, 0, 1}, {0xffffffff, ECHO, 0, 1},            /* too long */
	    {8 + 1001, ECHO, 0, 1}, {8, FOREIGN, 0, 1},           /* another role's */
	    {8, ECHO_R, 0, 1},                                    /* the server's */
	    {8, IPC_OK, 0, 1}, {8, IPC_ERR, 0, 1}, {8, 99, 0, 1}, /* nobody's */
	    {8, IN_STATE_2, 0, 1},                                /* not in this state */
	    {8, ECHO, 2, 1},                                      /* unknown flag */
	    {8, ECHO, IPC_FLAG_FD, 1},  /* a descriptor where none may be */
	    {8, FD_IN, 0, 1},           /* none where one must be */
	    {8, FD_IN, IPC_FLAG_FD, 1}, /* announced, not sent */
	    {8, IPC_HELLO, 0, 0},       /* second hello */
	};
	struct fixture *f = *state;
	struct ipc_chan ch;
	unsigned before;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		raw_connect(f, &ch);
		ipc_chan_put_hello(&ch, &proto, IPC_SMTPD);
		ipc_chan_flush(&ch);
		before = f->msgs;
		raw_frame(&ch, bad[i].length, bad[i].type, bad[i].flags, bad[i].id, "");
		expect_ended(f, &ch);
		assert_int_equal(f->msgs, before + 1); /* the echo of expect_ended alone */
	}
}

static void
test_broken_hello(void **state)
{
	static const struct ipc_proto other = {"tset", 7, IPC_STORED, lax_rules, 1};
	static const struct ipc_proto newer = {"test", 8, IPC_STORED, lax_rules, 1};
	struct fixture *f = *state;
	struct ipc_chan ch;

	raw_connect(f, &ch);
	ipc_chan_put_hello(&ch, &other, IPC_SMTPD);
	expect_ended(f, &ch);
	raw_connect(f, &ch);
	ipc_chan_put_hello(&ch, &newer, IPC_SMTPD);
	expect_ended(f, &ch);
	raw_connect(f, &ch);
	ipc_chan_put_hello(&ch, &proto, IPC_ADMIN);
	expect_ended(f, &ch);
	raw_connect(f, &ch);
	raw_frame(&ch, 8, ECHO, 0, 1, ""); /* before any hello */
	expect_ended(f, &ch);
	assert_int_equal(f->opened, 1);
	assert_int_equal(f->closed, 0);
}

static void
test_unwanted_descriptors(void **state)
{
	struct fixture *f = *state;
	struct ipc_chan ch;
	struct stat st;
	int p[2];

	/* sent with a frame that may not carry one: it must not stay open in the server */
	raw_connect(f, &ch);
	ipc_chan_put_hello(&ch, &proto, IPC_SMTPD);
	assert_int_equal(pipe(p), 0);
	ipc_chan_put(&ch, ECHO, 1, NULL, p[1]);
	expect_ended(f, &ch);
	assert_int_equal(fcntl(p[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(read(p[0], &st, 1), 0); /* EOF: no writer is left */
	close(p[0]);
}

static void
test_same_id_twice(void **state)
{
	struct fixture *f = *state;
	struct ipc_chan ch;

	raw_connect(f, &ch);
	ipc_chan_put_hello(&ch, &proto, IPC_SMTPD);
	ipc_chan_put(&ch, LATE, 5, NULL, -1);
	ipc_chan_put(&ch, LATE, 5, NULL, -1);
	expect_ended(f, &ch);
}

static void
test_lying_server(void **state)
{
	struct fixture *f = *state;
	struct ipc_client *c;
	struct ipc_chan ch;
	struct fixture g = {.l = f->l};
	int fd;

	ipc_server_free(f->s); /* we play the server */
	f->s = NULL;
	c = ipc_client_new(f->l, f->path, &proto, IPC_SMTPD, &client_ops, &g);
	ipc_call(c, ECHO, NULL, -1, 0, on_reply, &g, NULL);
	loop_run_once(f->l, 20);
	fd = accept4(f->listen_fd, NULL, NULL, SOCK_NONBLOCK);
	assert_true(fd >= 0);
	ipc_chan_init(&ch, fd);
	ipc_chan_put_hello(&ch, &lax, IPC_STORED);
	ipc_chan_put(&ch, ECHO_R, 4711, NULL, -1); /* a reply nobody waits for */
	ipc_chan_flush(&ch);
	turn_until(&g, &g.down, 1);
	assert_int_equal(
	    g.replies, 0); /* the request was not sent yet: it waits for a better server */
	ipc_client_free(c);
	assert_int_equal(g.err, ERR_CANCELED);
	ipc_chan_done(&ch);
}

static void
test_wrong_uid_and_max_conns(void **state)
{
	struct fixture *f = *state;
	struct ipc_chan ch[5];
	unsigned before;

	for (int i = 0; i < 5; i++) {
		raw_connect(f, &ch[i]);
		ipc_chan_put_hello(&ch[i], &proto, IPC_SMTPD);
		ipc_chan_flush(&ch[i]);
	}
	turn_until(f, &f->opened, 3);
	for (int i = 0; i < 10; i++)
		loop_run_once(f->l, 10);
	assert_int_equal(f->opened, 3);
	ipc_chan_done(&ch[0]);
	turn_until(f, &f->opened, 4);
	for (int i = 1; i < 5; i++)
		ipc_chan_done(&ch[i]);
	turn_until(f, &f->closed, 5);
	before = f->opened;
	ipc_server_free(f->s);
	f->s =
	    ipc_server_new(f->l, f->listen_fd, &proto, IPC_SMTPD, getuid() + 1, 3, &server_ops, f);
	raw_connect(f, &ch[0]);
	ipc_chan_put_hello(&ch[0], &proto, IPC_SMTPD);
	for (int i = 0; i < 10; i++)
		loop_run_once(f->l, 10);
	assert_int_equal(ipc_chan_fill(&ch[0]), ERR_EOF);
	assert_int_equal(f->opened, before);
	ipc_chan_done(&ch[0]);
}

/* ---- the blocking client ---- */

static void *
sync_thread(void *arg)
{
	struct fixture *f = arg;
	struct ipc_sync *s = ipc_sync_new(f->path, &proto, IPC_SMTPD);
	struct buf b, reply;
	uint16_t type;
	int p[2], fd = -1;
	char text[8] = "";

	buf_init(&b, 100);
	buf_init(&reply, 1 << 20);
	ipc_put_str(&b, "sync");
	assert_int_equal(ipc_sync_call(s, ECHO, &b, -1, 2000, &type, &reply, NULL), 0);
	assert_int_equal(type, ECHO_R);
	assert_int_equal(reply.len, 8);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "hello", 5), 5);
	close(p[1]);
	assert_int_equal(ipc_sync_call(s, FD_IN, NULL, p[0], 2000, &type, NULL, NULL), 0);
	assert_int_equal(ipc_sync_call(s, WANT_FD, NULL, -1, 2000, &type, &reply, &fd), 0);
	assert_int_equal(read(fd, text, 5), 5);
	close(fd);
	assert_int_equal(ipc_sync_call(s, WANT_NOTE, NULL, -1, 2000, &type, &reply, NULL), 0);
	assert_int_equal(ipc_sync_call(s, BIG, NULL, -1, 2000, &type, &reply, NULL), 0);
	assert_int_equal(reply.len, 200000);
	assert_int_equal(ipc_sync_call(s, LATE, NULL, -1, 50, &type, &reply, NULL), ERR_TIMEOUT);
	assert_int_equal(ipc_sync_call(s, ECHO, &b, -1, 2000, &type, &reply, NULL), 0);
	assert_int_equal(
	    ipc_sync_call(s, FOREIGN, NULL, -1, 2000, &type, &reply, NULL), ERR_DENIED);
	assert_int_equal(ipc_sync_call(s, GO_STATE_2, NULL, -1, 2000, &type, &reply, NULL), 0);
	assert_int_equal(
	    ipc_sync_call(s, IN_STATE_2, NULL, -1, 2000, &type, &reply, NULL), ERR_LIMIT);
	assert_true(slice_find(buf_slice(&reply), slice_str("too large")) >= 0);
	__atomic_store_n(&f->up, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&f->up, __ATOMIC_SEQ_CST) == 1)
		usleep(1000);
	/* the server was restarted meanwhile */
	assert_int_equal(ipc_sync_call(s, ECHO, &b, -1, 2000, &type, &reply, NULL), 0);
	ipc_sync_free(s);
	s = ipc_sync_new("/tmp/cv-ipc-nobody", &proto, IPC_SMTPD);
	assert_int_equal(ipc_sync_call(s, ECHO, &b, -1, 60, &type, &reply, NULL), ERR_TEMP);
	ipc_sync_free(s);
	buf_done(&b);
	buf_done(&reply);
	__atomic_store_n(&f->up, 3, __ATOMIC_SEQ_CST);
	return NULL;
}

static void
test_sync(void **state)
{
	struct fixture *f = *state;
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, sync_thread, f), 0);
	for (int i = 0; i < 1000 && __atomic_load_n(&f->up, __ATOMIC_SEQ_CST) != 1; i++)
		loop_run_once(f->l, 5);
	ipc_server_free(f->s);
	serve(f);
	__atomic_store_n(&f->up, 2, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 1000 && __atomic_load_n(&f->up, __ATOMIC_SEQ_CST) != 3; i++)
		loop_run_once(f->l, 5);
	pthread_join(t, NULL);
	assert_int_equal(f->up, 3);
}

static void
test_payload(void **state)
{
	struct ipc_reader r;
	struct buf b;
	char *s;

	(void)state;
	buf_init(&b, 1000);
	ipc_put_u8(&b, 200);
	ipc_put_u16(&b, 65000);
	ipc_put_u32(&b, 4000000000u);
	ipc_put_u64(&b, 1ull << 63);
	ipc_put_i64(&b, -5);
	ipc_put_str(&b, "chữ");
	ipc_put_slice(&b, slice_of("a\0b", 3));
	ipc_put_u32(&b, 3);
	ipc_put_u8(&b, 1);
	ipc_reader_init(&r, buf_slice(&b));
	assert_int_equal(ipc_get_u8(&r), 200);
	assert_int_equal(ipc_get_u16(&r), 65000);
	assert_int_equal(ipc_get_u32(&r), 4000000000u);
	assert_true(ipc_get_u64(&r) == 1ull << 63);
	assert_int_equal(ipc_get_i64(&r), -5);
	s = ipc_get_strdup(&r);
	assert_string_equal(s, "chữ");
	free(s);
	assert_true(
	    ipc_reader_end(&(struct ipc_reader){r.rest, 0}) == ERR_PROTO); /* something is left */
	assert_null(ipc_get_strdup(&r));                                   /* NUL inside */
	assert_int_equal(r.err, ERR_PROTO);
	assert_int_equal(ipc_get_u8(&r), 0); /* latched */
	ipc_reader_init(&r, slice_from(buf_slice(&b), b.len - 5));
	assert_int_equal(ipc_get_count(&r, 10, 1), 0); /* three things do not fit in one byte */
	assert_int_equal(r.err, ERR_PROTO);
	ipc_reader_init(&r, slice_of("\xff\xff\xff\xff", 4));
	assert_int_equal(ipc_get_slice(&r).len, 0);
	assert_int_equal(ipc_reader_end(&r), ERR_PROTO);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_payload),
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	    T(test_echo_and_notes),
	    T(test_table_on_our_end),
	    T(test_reply_breaking_the_table),
	    T(test_descriptors),
	    T(test_cancel_and_timeout),
	    T(test_outstanding_bound),
	    T(test_bulk),
	    T(test_reconnect),
	    T(test_nobody_there),
	    T(test_free_in_callback),
	    T(test_broken_frames),
	    T(test_broken_hello),
	    T(test_unwanted_descriptors),
	    T(test_same_id_twice),
	    T(test_lying_server),
	    T(test_wrong_uid_and_max_conns),
	    T(test_sync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
