/* queue_client.c: requests to smtpd-queue. Runs in smtpd-session and relay. Invariants: every call gets exactly one answer unless
 * cancelled; a COMMIT without an answer (connection lost, disk slow) is sent again with the same id, which the queue knows to be the
 * same: who is told "try again" while the queue has the message would double it. */
#include "config.h"

#include "smtpd/queue_client.h"

#include "lib/err.h"
#include "lib/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct ipc_rule rules[] = {
#define IPC_MSG(name, number, from, states, max_len, fds) \
	{number, #name, from, states, max_len, fds},
#include "smtpd/queue_proto.def"
#undef IPC_MSG
};
const struct ipc_proto queue_proto = {
    .name = "queue",
    .version = 1,
    .server = IPC_QUEUE,
    .rules = rules,
    .n_rules = sizeof(rules) / sizeof(rules[0]),
};

/* A NEXT has no time of its own: an answer that came too late would leave a lease that nobody knows of. */
enum {
	CALL_MS = 10000,
	NEXT_MS = 86400000,
	RESULT_MS = 120000,
	COMMIT_TRIES = 10,
	REVOKE_TRIES = 3600,
	AGAIN_MS = 1000
};

struct queue_client {
	struct loop *loop;
	struct ipc_client *ipc;
	void (*on_wake)(void *arg);
	void *arg;
	unsigned commit_ms, commit_tries; /* of each try */
};

struct queue_call {
	struct queue_client *c;
	uint32_t call;
	uint16_t want; /* the reply's type */
	union {
		queue_open_fn open;
		queue_fd_fn fd;
		queue_done_fn done;
		queue_next_fn next;
		queue_body_fn body;
	} fn;
	void *arg;
	struct arena *arena;
	/* a COMMIT or REVOKE keeps what it sent, to send it again */
	uint16_t again_type;
	unsigned again_ms;
	struct loop_timer *pause; /* of a REVOKE, between two */
	struct buf again;
	int again_fd;
	unsigned tries;
};

static void
on_notify(void *arg, uint16_t type, struct ipc_reader *r)
{
	struct queue_client *c = arg;

	(void)r;
	if (type == QUEUE_WAKE && c->on_wake != NULL)
		c->on_wake(c->arg);
}

static void
on_up(void *arg)
{
	struct queue_client *c = arg;

	/* what became due while we were apart */
	if (c->on_wake != NULL)
		c->on_wake(c->arg);
}

static const struct ipc_client_ops client_ops = {.on_notify = on_notify, .on_up = on_up};

struct queue_client *
queue_client_new(
    struct loop *l, const char *socket, uint32_t self, void (*on_wake)(void *arg), void *arg)
{
	struct queue_client *c = xcalloc(1, sizeof(*c));

	c->loop = l;
	c->on_wake = on_wake;
	c->commit_ms = CALL_MS;
	c->commit_tries = COMMIT_TRIES;
	c->arg = arg;
	c->ipc = ipc_client_new(l, socket, &queue_proto, self, &client_ops, c);
	return c;
}

void
queue_client_free(struct queue_client *c)
{
	if (c == NULL)
		return;
	ipc_client_free(c->ipc);
	free(c);
}

void
queue_client_set_wait(struct queue_client *c, unsigned seconds)
{
	c->commit_ms = seconds * 1000 < CALL_MS ? seconds * 1000 : CALL_MS;
	c->commit_tries = seconds * 1000 / c->commit_ms - 1;
}

static void
call_free(struct queue_call *k)
{
	loop_timer_free(k->pause);
	buf_done(&k->again);
	if (k->again_fd >= 0)
		close(k->again_fd);
	free(k);
}

void
queue_call_cancel(struct queue_call *k)
{
	if (k == NULL)
		return;
	ipc_cancel(k->c->ipc, k->call);
	call_free(k);
}

static void on_reply(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd);

static struct queue_call *
call_new(struct queue_client *c, uint16_t want, void *arg)
{
	struct queue_call *k = xcalloc(1, sizeof(*k));

	k->c = c;
	k->want = want;
	k->arg = arg;
	k->again_fd = -1;
	buf_init(&k->again, IPC_FRAME_MAX);
	return k;
}

/* Sends; on failure the call is freed and NULL given. */
static struct queue_call *
call_send_for(struct queue_call *k, uint16_t type, struct buf *payload, int fd, unsigned ms)
{
	int r = payload->err != 0
		    ? payload->err
		    : ipc_call(k->c->ipc, type, payload, fd, ms, on_reply, k, &k->call);

	buf_done(payload);
	if (r == 0)
		return k;
	call_free(k);
	return NULL;
}

static struct queue_call *
call_send(struct queue_call *k, uint16_t type, struct buf *payload, int fd)
{
	return call_send_for(k, type, payload, fd, CALL_MS);
}

static int
dup_of(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* True when a lost COMMIT was sent once more, or a REVOKE is going to be. */
static bool
sent_again(struct queue_call *k, int err)
{
	if (k->want != IPC_OK || k->tries == 0 ||
	    (err != ERR_CLOSED && err != ERR_TEMP && err != ERR_TIMEOUT))
		return false;
	k->tries--;
	if (k->pause != NULL) {
		loop_timer_set(k->pause, AGAIN_MS);
		return true;
	}
	return ipc_call(k->c->ipc, k->again_type, &k->again, dup_of(k->again_fd), k->again_ms,
		   on_reply, k, &k->call) == 0;
}

static void
give_opened(struct queue_call *k, int err, struct ipc_reader *r)
{
	struct delivery_id id = {{0}};

	if (err == 0)
		err = delivery_id_get(r, &id);
	k->fn.open(k->arg, err, &id);
}

static void
give_entry(struct queue_call *k, int err, struct ipc_reader *r)
{
	struct queue_entry e = {.attempt = 0};

	if (err == 0)
		err = delivery_id_get(r, &e.id);
	if (err == 0) {
		e.attempt = ipc_get_u32(r);
		e.hurry = ipc_get_u8(r) != 0;
		err = envelope_get(r, k->arena, &e.env);
		e.release = arena_slicedup(k->arena, ipc_get_slice(r));
		if (err == 0 && (e.release == NULL || ipc_reader_end(r) != 0))
			err = ERR_PROTO;
	}
	k->fn.next(k->arg, err, &e);
}

static void
give_body(struct queue_call *k, int err, struct ipc_reader *r, int fd)
{
	struct queue_body b = {.fd = -1};

	if (err == 0) {
		b.header = ipc_get_slice(r);
		b.skip = ipc_get_u64(r);
		b.size = ipc_get_u64(r);
		b.has_inline = ipc_get_u8(r) != 0;
		b.inline_content = ipc_get_slice(r);
		err = ipc_reader_end(r);
		if (err == 0 && (b.skip > b.size || (!b.has_inline && fd < 0) ||
				    (b.has_inline && b.inline_content.len != b.size - b.skip)))
			err = ERR_PROTO;
	}
	if (err == 0 && !b.has_inline)
		b.fd = fd;
	else if (fd >= 0)
		close(fd);
	k->fn.body(k->arg, err, &b);
}

static void
on_reply(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct queue_call *k = arg;

	if (err != 0 && sent_again(k, err))
		return;
	if (err == 0 && type != k->want)
		err = ERR_PROTO;
	if (k->want != QUEUE_TMPFILE_IS && k->want != QUEUE_BODY_IS && fd >= 0) {
		close(fd);
		fd = -1;
	}
	switch (k->want) {
	case QUEUE_OPENED:
		give_opened(k, err, r);
		break;
	case QUEUE_TMPFILE_IS:
		k->fn.fd(k->arg, err == 0 && fd < 0 ? ERR_PROTO : err, fd);
		break;
	case QUEUE_ENTRY:
		give_entry(k, err, r);
		break;
	case QUEUE_BODY_IS:
		give_body(k, err, r, fd);
		break;
	default:
		k->fn.done(k->arg, err);
		break;
	}
	call_free(k);
}

struct queue_call *
queue_open(struct queue_client *c, uint64_t size, queue_open_fn fn, void *arg)
{
	struct queue_call *k = call_new(c, QUEUE_OPENED, arg);
	struct buf b;

	k->fn.open = fn;
	buf_init(&b, 64);
	ipc_put_u64(&b, size);
	return call_send(k, QUEUE_OPEN, &b, -1);
}

struct queue_call *
queue_tmpfile(struct queue_client *c, queue_fd_fn fn, void *arg)
{
	struct queue_call *k = call_new(c, QUEUE_TMPFILE_IS, arg);
	struct buf b;

	k->fn.fd = fn;
	buf_init(&b, 64);
	return call_send(k, QUEUE_TMPFILE, &b, -1);
}

/* The payload of HOLD and COMMIT; *fd_out is a descriptor to send along or -1. */
static void
put_message(struct buf *b, const struct delivery_id *id, const struct envelope *e,
    const struct queue_message *m, int *fd_out)
{
	struct slice rest = slice_from(m->content, m->skip);
	bool in_frame = m->fd < 0 || rest.len <= QUEUE_INLINE_MAX;

	delivery_id_put(b, id);
	envelope_put(b, e);
	ipc_put_slice(b, m->header);
	ipc_put_u64(b, m->skip);
	ipc_put_u64(b, m->content.len);
	ipc_put_u8(b, in_frame);
	ipc_put_slice(b, in_frame ? rest : slice_of(NULL, 0));
	*fd_out = in_frame ? -1 : m->fd;
}

struct queue_call *
queue_hold(struct queue_client *c, const struct delivery_id *id, const struct envelope *e,
    const struct queue_message *m, queue_done_fn fn, void *arg)
{
	struct queue_call *k = call_new(c, IPC_OK, arg);
	struct buf b;
	int fd = -1;

	k->fn.done = fn;
	buf_init(&b, IPC_FRAME_MAX);
	put_message(&b, id, e, m, &fd);
	return call_send(k, QUEUE_HOLD, &b, dup_of(fd));
}

struct queue_call *
queue_commit(struct queue_client *c, const struct delivery_id *id, const struct envelope *e,
    const struct queue_message *m, queue_done_fn fn, void *arg)
{
	struct queue_call *k = call_new(c, IPC_OK, arg);
	struct buf b;
	int fd = -1;

	k->fn.done = fn;
	k->tries = c->commit_tries;
	k->again_type = QUEUE_COMMIT;
	k->again_ms = c->commit_ms;
	buf_init(&b, IPC_FRAME_MAX);
	put_message(&b, id, e, m, &fd);
	k->again_fd = dup_of(fd);
	buf_append_slice(&k->again, buf_slice(&b));
	return call_send_for(k, QUEUE_COMMIT, &b, dup_of(fd), c->commit_ms);
}

struct queue_call *
queue_auto_reply(struct queue_client *c, const char *account, const char *to, unsigned days,
    struct slice header, struct slice body, queue_done_fn fn, void *arg)
{
	struct queue_call *k = call_new(c, IPC_OK, arg);
	struct buf b;

	k->fn.done = fn;
	buf_init(&b, 131072);
	ipc_put_str(&b, account);
	ipc_put_str(&b, to);
	ipc_put_u32(&b, days);
	ipc_put_slice(&b, header);
	ipc_put_slice(&b, body);
	return call_send(k, QUEUE_REPLY, &b, -1);
}

struct queue_call *
queue_alert(struct queue_client *c, const char *rule, const char *qid, const char *login,
    const char *client_ip, queue_done_fn fn, void *arg)
{
	struct queue_call *k = call_new(c, IPC_OK, arg);
	struct buf b;

	k->fn.done = fn;
	buf_init(&b, 2048);
	ipc_put_str(&b, rule);
	ipc_put_str(&b, qid);
	ipc_put_str(&b, login);
	ipc_put_str(&b, client_ip);
	return call_send(k, QUEUE_ALERT, &b, -1);
}

struct queue_call *
queue_urgent(struct queue_client *c, const char *login, queue_done_fn fn, void *arg)
{
	struct queue_call *k = call_new(c, IPC_OK, arg);
	struct buf b;

	k->fn.done = fn;
	buf_init(&b, 1024);
	ipc_put_str(&b, login);
	return call_send(k, QUEUE_URGENT, &b, -1);
}

void
queue_urgent_back(struct queue_client *c, const char *login)
{
	struct buf b;

	buf_init(&b, 1024);
	ipc_put_str(&b, login);
	/* not connected: the queue was restarted, and counts anew */
	(void)ipc_send(c->ipc, QUEUE_URGENT_BACK, &b);
	buf_done(&b);
}

static void
on_revoked(void *arg, int err)
{
	(void)arg;
	if (err != 0)
		log_msg(LOG_LVL_WARN, "not_revoked", "%s", err_name(err));
}

static void
on_revoke_again(void *arg)
{
	struct queue_call *k = arg;

	if (ipc_call(k->c->ipc, QUEUE_REVOKE, &k->again, -1, CALL_MS, on_reply, k, &k->call) != 0 &&
	    !sent_again(k, ERR_TEMP)) {
		on_revoked(NULL, ERR_TEMP);
		call_free(k);
	}
}

void
queue_revoke(struct queue_client *c, const struct delivery_id *id)
{
	struct queue_call *k = call_new(c, IPC_OK, NULL);

	k->fn.done = on_revoked;
	k->tries = REVOKE_TRIES;
	k->pause = loop_timer_new(c->loop, on_revoke_again, k);
	delivery_id_put(&k->again, id);
	on_revoke_again(k);
}

void
queue_abort(struct queue_client *c, const struct delivery_id *id)
{
	struct buf b;

	buf_init(&b, 64);
	delivery_id_put(&b, id);
	/* not connected: the queue has forgotten it already */
	(void)ipc_send(c->ipc, QUEUE_ABORT, &b);
	buf_done(&b);
}

struct queue_call *
queue_next(struct queue_client *c, struct arena *a, queue_next_fn fn, void *arg)
{
	struct queue_call *k = call_new(c, QUEUE_ENTRY, arg);
	struct buf b;

	k->fn.next = fn;
	k->arena = a;
	buf_init(&b, 64);
	return call_send_for(k, QUEUE_NEXT, &b, -1, NEXT_MS);
}

struct queue_call *
queue_body(struct queue_client *c, const struct delivery_id *id, queue_body_fn fn, void *arg)
{
	struct queue_call *k = call_new(c, QUEUE_BODY_IS, arg);
	struct buf b;

	k->fn.body = fn;
	buf_init(&b, 64);
	delivery_id_put(&b, id);
	return call_send(k, QUEUE_BODY, &b, -1);
}

static struct queue_call *
send_results(struct queue_client *c, uint16_t type, const struct delivery_id *id,
    const struct queue_rcpt_result *r, uint32_t n, queue_done_fn fn, void *arg)
{
	struct queue_call *k = call_new(c, IPC_OK, arg);
	struct buf b;

	k->fn.done = fn;
	buf_init(&b, IPC_FRAME_MAX);
	delivery_id_put(&b, id);
	ipc_put_u32(&b, n);
	for (uint32_t i = 0; i < n; i++) {
		ipc_put_u32(&b, r[i].index);
		ipc_put_u8(&b, (uint8_t)r[i].result);
		ipc_put_str(&b, r[i].why);
		ipc_put_str(&b, r[i].mta != NULL ? r[i].mta : "");
	}
	return call_send_for(k, type, &b, -1, RESULT_MS);
}

struct queue_call *
queue_result(struct queue_client *c, const struct delivery_id *id,
    const struct queue_rcpt_result *r, uint32_t n, queue_done_fn fn, void *arg)
{
	return send_results(c, QUEUE_RESULT, id, r, n, fn, arg);
}

struct queue_call *
queue_partial(struct queue_client *c, const struct delivery_id *id,
    const struct queue_rcpt_result *r, uint32_t n, queue_done_fn fn, void *arg)
{
	return send_results(c, QUEUE_PARTIAL, id, r, n, fn, arg);
}

void
queue_back(struct queue_client *c, const struct delivery_id *id, uint32_t wait_ms)
{
	struct buf b;

	buf_init(&b, 64);
	delivery_id_put(&b, id);
	ipc_put_u32(&b, wait_ms);
	/* not connected: the lease ended with the connection */
	(void)ipc_send(c->ipc, QUEUE_BACK, &b);
	buf_done(&b);
}

void
queue_park(struct queue_client *c, const struct delivery_id *id, uint64_t destination)
{
	struct buf b;

	buf_init(&b, 64);
	delivery_id_put(&b, id);
	ipc_put_u64(&b, destination);
	/* not connected: the lease ended with the connection */
	(void)ipc_send(c->ipc, QUEUE_PARK, &b);
	buf_done(&b);
}

void
queue_want(struct queue_client *c, uint64_t destination, uint32_t most)
{
	struct buf b;

	buf_init(&b, 64);
	ipc_put_u64(&b, destination);
	ipc_put_u32(&b, most);
	/* not connected: all that waited is due with the connection's end */
	(void)ipc_send(c->ipc, QUEUE_WANT, &b);
	buf_done(&b);
}
