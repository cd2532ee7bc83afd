/* clients_fuzz.c: the other direction of our borders: what a taken-over lookup, stored, ingest, queue, ledger or scanner may answer to those who ask.
 * ipc_client.h's calls are faked: an input is u8 what to ask, then replies: u8 which of the server's messages (0: IPC_ERR, 1: IPC_OK), u8 length / 4,
 * payload. Whatever comes, the completion is called once and what it is given can be read. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <unistd.h>

#include "directory/lookup_client.h"
#include "lib/err.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "milter/ledger_client.h"
#include "milter/scan_client.h"
#include "smtpd/queue_client.h"
#include "store/deliver_client.h"
#include "store/ingest_client.h"
#include "store/ingest_proto.h"
#include "store/store_client.h"
#include "store/store_proto.h"

/* ---- the replies to come ---- */
static struct slice input;
static unsigned told;

static const struct ipc_rule *
nth_of_server(const struct ipc_proto *p, unsigned nth)
{
	unsigned n = 0;

	for (size_t i = 0; i < p->n_rules; i++)
		n += (p->rules[i].from & p->server) != 0;
	if (n == 0)
		return NULL;
	nth %= n;
	for (size_t i = 0;; i++)
		if ((p->rules[i].from & p->server) != 0 && nth-- == 0)
			return &p->rules[i];
}

/* The next reply: type, payload; err when it is one. */
static int
next_reply(const struct ipc_proto *p, uint16_t *type, struct slice *payload)
{
	const struct ipc_rule *r;
	uint8_t which;

	*type = 0;
	*payload = (struct slice){NULL, 0};
	if (input.len < 2)
		return ERR_CLOSED;
	which = input.ptr[0];
	*payload = slice_sub(slice_from(input, 2), 0, (size_t)input.ptr[1] * 4);
	input = slice_from(slice_from(input, 2), payload->len);
	if (which == 0)
		return payload->len > 0 && payload->ptr[0] % 2 != 0 ? ERR_TEMP : ERR_NOTFOUND;
	*type = IPC_OK;
	if (which > 1 && (r = nth_of_server(p, which)) != NULL && payload->len <= r->max_len)
		*type = r->type;
	return 0;
}

/* ---- ipc_client.c, ipc_sync.c ---- */
enum { CALLS_MAX = 64 };
struct ipc_client {
	const struct ipc_proto *p;
	const struct ipc_client_ops *ops;
	void *arg;
	uint32_t last;
	struct {
		uint32_t id;
		ipc_reply_fn fn;
		void *arg;
	} calls[CALLS_MAX];
	unsigned n;
};
static struct ipc_client *last_made; /* the clients keep theirs to themselves */
static struct loop *loop;

struct ipc_client *
ipc_client_new(struct loop *l, const char *path, const struct ipc_proto *p, uint32_t self,
    const struct ipc_client_ops *ops, void *arg)
{
	struct ipc_client *c = xcalloc(1, sizeof *c);

	(void)l;
	(void)path;
	(void)self;
	c->p = p;
	c->ops = ops;
	c->arg = arg;
	last_made = c;
	return c;
}
void
ipc_client_free(struct ipc_client *c)
{
	free(c);
}
int
ipc_call(struct ipc_client *c, uint16_t type, const struct buf *payload, int fd,
    unsigned timeout_ms, ipc_reply_fn fn, void *arg, uint32_t *call_out)
{
	(void)type;
	(void)timeout_ms;
	MUST(payload == NULL || payload->err == 0);
	if (fd >= 0)
		close(fd);
	if (c->n == CALLS_MAX)
		return ERR_LIMIT;
	c->calls[c->n].id = ++c->last;
	c->calls[c->n].fn = fn;
	c->calls[c->n++].arg = arg;
	if (call_out != NULL)
		*call_out = c->last;
	return 0;
}
void
ipc_cancel(struct ipc_client *c, uint32_t call)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->calls[i].id == call) {
			memmove(
			    &c->calls[i], &c->calls[i + 1], (c->n - i - 1) * sizeof c->calls[0]);
			c->n--;
			return;
		}
}
int
ipc_send(struct ipc_client *c, uint16_t type, const struct buf *payload)
{
	(void)c;
	(void)type;
	(void)payload;
	return 0;
}
/* On the heap and of the very size, for the sanitizer. */
static void
reply_to(struct ipc_client *c)
{
	ipc_reply_fn fn = c->calls[0].fn;
	void *arg = c->calls[0].arg;
	struct ipc_reader r;
	struct slice s;
	unsigned char *copy;
	uint16_t type;
	int err = next_reply(c->p, &type, &s);

	ipc_cancel(c, c->calls[0].id);
	copy = malloc(s.len + 1);
	if (copy == NULL)
		abort();
	if (s.len > 0)
		memcpy(copy, s.ptr, s.len);
	ipc_reader_init(&r, slice_of(copy, s.len));
	fn(arg, err, type, err == 0 ? &r : NULL, -1);
	free(copy);
}
/* Until nothing waits; also a notification. */
static void
answer_all(struct ipc_client *c)
{
	for (int n = 0; n < 40000 && c->n > 0; n++) { /* a reply takes two octets or more */
		if (c->ops != NULL && c->ops->on_notify != NULL && input.len > 8 &&
		    input.ptr[0] == 255) {
			struct ipc_reader r;
			uint16_t type;
			struct slice s;

			(void)next_reply(c->p, &type, &s);
			ipc_reader_init(&r, s);
			c->ops->on_notify(c->arg, type, &r);
		}
		reply_to(c);
	}
	MUST(c->n == 0);
}
struct ipc_sync {
	const struct ipc_proto *p;
};
int
ipc_sync_call(struct ipc_sync *s, uint16_t type, const struct buf *payload, int fd,
    unsigned timeout_ms, uint16_t *type_out, struct buf *reply, int *fd_out)
{
	struct slice got;
	int err = next_reply(s->p, type_out, &got);

	(void)type;
	(void)payload;
	(void)timeout_ms;
	if (fd >= 0)
		close(fd);
	if (fd_out != NULL)
		*fd_out = -1;
	buf_reset(reply);
	buf_append(reply, got.ptr, got.len);
	return err;
}

/* ---- those who ask ---- */
static size_t sum; /* everything given is read, so that the sanitizer looks at it */

static void
eat(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		sum += s.ptr[i];
}
static void
eat_str(const char *s)
{
	MUST(s != NULL);
	sum += strlen(s);
}

static void
on_rcpt(void *arg, int err, const struct lookup_rcpt *r)
{
	(void)arg;
	told++;
	MUST((err == 0) == (r != NULL));
	for (size_t i = 0; r != NULL && i < r->n_targets; i++) {
		eat_str(r->targets[i].account);
		eat_str(r->targets[i].address);
		eat_str(r->targets[i].name);
	}
}
static void
on_auth(void *arg, enum lookup_auth_result res, int err, struct slice challenge,
    struct lookup_login *login)
{
	struct lookup_auth **a = arg;

	told++;
	MUST((res == LOOKUP_AUTH_FAILED) == (err != 0));
	MUST((res == LOOKUP_AUTH_OK) == (login != NULL));
	eat(challenge);
	if (res != LOOKUP_AUTH_MORE)
		*a = NULL;
	if (login == NULL)
		return;
	eat_str(login->account);
	eat(login->ticket);
	for (size_t i = 0; i < login->n_identities; i++)
		eat_str(login->identities[i].address);
	for (size_t i = 0; i < login->n_shares; i++)
		eat_str(login->shares[i].rights);
	lookup_login_free(login);
}

static void
ask_lookup(unsigned what)
{
	struct lookup_client *c = lookup_client_new(loop, "x", IPC_SMTPD);
	struct lookup_auth_params p = {
	    .mech = "PLAIN", .service = "imap", .client_ip = "::1", .tls = true};
	struct lookup_auth *a = NULL;

	if (what == 0) {
		MUST(lookup_rcpt(c, slice_str("an@tinhmau.example"), 1000, on_rcpt, NULL, NULL) ==
		     0);
	} else {
		a = lookup_auth_start(c, &p, on_auth, &a);
		MUST(a != NULL);
	}
	answer_all(last_made);
	MUST(told == 1);
	lookup_auth_abort(a);
	lookup_client_free(c);
}

static void
ask_sender(void)
{
	struct ipc_sync s = {&lookup_proto};
	struct lookup_sender *out = NULL;
	int err = lookup_sender_sync(&s, slice_str("an@tinhmau.example"), "", 1000, &out);

	MUST((err == 0) == (out != NULL));
	if (out == NULL)
		return;
	eat_str(out->account);
	for (size_t i = 0; i < out->n_addresses; i++)
		eat_str(out->addresses[i]);
	for (size_t i = 0; i < out->n_certs; i++)
		eat(out->certs[i]);
	lookup_sender_free(out);
}

static void
ask_ledger(void)
{
	struct ipc_sync s = {&ledger_proto};
	uint64_t seq;

	(void)ledger_record_sync(&s, slice_str("{}"), 1000, &seq);
}

static void
done(void *arg, int err)
{
	(void)arg;
	(void)err;
	told++;
}
static void
on_open(void *arg, int err, const struct delivery_id *id)
{
	(void)arg;
	told++;
	MUST(err != 0 || id != NULL);
}
static void
on_next(void *arg, int err, const struct queue_entry *e)
{
	(void)arg;
	told++;
	MUST(err != 0 || e != NULL);
	for (uint32_t i = 0; err == 0 && i < e->env.n_rcpts; i++) {
		eat_str(e->env.rcpts[i].address);
		eat_str(e->env.rcpts[i].why);
	}
}
static void
on_body(void *arg, int err, const struct queue_body *b)
{
	(void)arg;
	told++;
	MUST(err != 0 || b != NULL);
	if (err == 0) {
		eat(b->header);
		eat(b->inline_content);
	}
}
static void
ask_queue(unsigned what)
{
	struct queue_client *c =
	    queue_client_new(loop, "x", what == 0 ? IPC_SMTPD : IPC_RELAY, NULL, NULL);
	struct arena *a = arena_new(1 << 20);
	struct delivery_id id = {{0}};
	struct queue_rcpt_result res = {0, QUEUE_RETRY, "x", "mx.x.example"};

	if (what == 0)
		(void)queue_open(c, 10, on_open, NULL);
	else if (what == 1)
		(void)queue_next(c, a, on_next, NULL);
	else if (what == 2)
		(void)queue_body(c, &id, on_body, NULL);
	else
		(void)queue_result(c, &id, &res, 1, done, NULL);
	answer_all(last_made);
	MUST(told == 1);
	queue_client_free(c);
	arena_free(a);
}

static void
on_delivered(void *arg, int err, const struct deliver_result *r, size_t n)
{
	(void)arg;
	told++;
	MUST((err == 0) == (r != NULL));
	for (size_t i = 0; r != NULL && i < n; i++)
		sum += r[i].uid;
}
static void
ask_deliver(unsigned what)
{
	struct deliver_client *c = deliver_client_new(loop, "x");
	struct deliver_message m = {.size = 3, .body = slice_str("a\r\n"), .fd = -1};
	struct deliver_target t = {.account = slice_str("p-1"), .mailbox = slice_str("INBOX")};

	if (what == 0)
		MUST(deliver_send(c, &m, &t, 1, 1000, on_delivered, NULL, NULL) == 0);
	else
		MUST(deliver_check(
			 c, slice_str("p-1"), slice_str(""), 0, 10, 1000, done, NULL, NULL) == 0);
	answer_all(last_made);
	MUST(told == 1);
	deliver_client_free(c);
}

static void
on_event(void *arg, uint64_t mailbox, uint64_t modseq, bool gone)
{
	(void)arg;
	sum += mailbox + modseq + gone;
}
static void
on_list(void *arg, int err, const struct mbox_info *boxes, size_t n)
{
	(void)arg;
	told++;
	for (size_t i = 0; err == 0 && i < n; i++) {
		eat(boxes[i].name);
		eat(boxes[i].rights);
	}
}
static void
on_opened(void *arg, int err, const struct store_opened *o)
{
	(void)arg;
	told++;
	if (err == 0)
		eat(o->keywords);
}
static void
on_uids(void *arg, int err, const struct store_uid *u, size_t n, uint32_t next)
{
	(void)arg;
	told++;
	for (size_t i = 0; err == 0 && i < n; i++)
		sum += u[i].uid + next;
}
static void
on_rows(void *arg, int err, const struct msg_row *rows, size_t n, uint32_t next)
{
	(void)arg;
	told++;
	for (size_t i = 0; err == 0 && i < n; i++) {
		eat(rows[i].keywords);
		eat(rows[i].envelope);
		sum += next;
	}
}
static void
on_changes(void *arg, int err, uint64_t highest, bool more, uint64_t forgotten,
    const struct store_uid *changed, size_t n, const uint32_t *expunged, size_t m)
{
	(void)arg, (void)forgotten;
	told++;
	for (size_t i = 0; err == 0 && i < n; i++)
		sum += changed[i].uid + highest + more;
	for (size_t i = 0; err == 0 && i < m; i++)
		sum += expunged[i];
}
static void
on_bytes(void *arg, int err, struct slice bytes)
{
	(void)arg;
	told++;
	if (err == 0)
		eat(bytes);
}
static void
ask_store(unsigned what)
{
	struct store_client *c = store_client_new(loop, "x");
	struct store_session *s =
	    store_session_new(c, slice_str("ticket"), done, on_event, NULL, NULL);
	uint32_t uids[2] = {1, 2};

	MUST(s != NULL);
	if (what == 0)
		(void)store_list(s, on_list, NULL);
	else if (what == 1)
		(void)store_open(s, 1, true, true, on_opened, NULL);
	else if (what == 2)
		(void)store_uids(s, 1, 1, on_uids, NULL);
	else if (what == 3)
		(void)store_rows(s, 1, 1, 10, on_rows, NULL);
	else if (what == 4)
		(void)store_changes(s, 1, 1, on_changes, NULL);
	else if (what == 5)
		(void)store_body(s, 1, 1, 0, 100, on_bytes, NULL);
	else
		(void)store_expunge(s, 1, uids, 2, true, NULL, NULL);
	answer_all(last_made);
	store_session_free(s);
	store_client_free(c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	if (loop == NULL)
		loop = loop_new();
	input = slice_of(data + 1, size - 1);
	told = 0;
	switch (data[0] % 16) {
	case 0:
	case 1:
		ask_lookup(data[0] % 16);
		break;
	case 2:
		ask_sender();
		break;
	case 3:
		ask_ledger();
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		ask_queue(data[0] % 4);
		break;
	case 8:
	case 9:
		ask_deliver(data[0] % 2);
		break;
	default:
		ask_store(data[0] % 16 - 10);
	}
	return 0;
}
