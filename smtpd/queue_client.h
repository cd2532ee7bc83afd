/* queue_client.h: what smtpd-session, relay and congvu ask smtpd-queue. Answers come on the loop, never from within the call. */
#ifndef CV_QUEUE_CLIENT_H
#define CV_QUEUE_CLIENT_H

#include "lib/ipc.h"
#include "smtpd/envelope.h"

extern const struct ipc_proto queue_proto;
enum queue_msg {
#define IPC_MSG(name, number, from, states, max_len, fds) name = number,
#include "smtpd/queue_proto.def"
#undef IPC_MSG
};
enum queue_result {
	QUEUE_DELIVERED = 1, /* in the mailbox */
	QUEUE_RETRY = 2,
	QUEUE_REFUSED = 3,
	QUEUE_RELAYED = 4, /* the next server has it, and reports are its business (DSN) */
	QUEUE_PASSED = 5,  /* the next server has it, and sends no reports */
};
enum queue_state {
	QUEUE_ST_HELD = 1,       /* not yet taken over from its client */
	QUEUE_ST_QUEUED = 2,     /* to be delivered */
	QUEUE_ST_QUARANTINE = 3, /* a milter holds it: a person releases it */
	QUEUE_ST_ONHOLD = 5,     /* a person holds it */
	QUEUE_ST_WATCH = 6, /* an urgent document was delivered: was it read? (queue_watch.c) */
};
enum queue_action {
	QUEUE_DO_HOLD = 1,
	QUEUE_DO_RELEASE = 2,
	QUEUE_DO_RETRY = 3,
	QUEUE_DO_DELETE = 4,
	QUEUE_DO_BOUNCE = 5
};
enum queue_release { /* of QUEUE_RELEASE */
	QUEUE_RELEASE_REQUEST = 1,
	QUEUE_RELEASE_CONFIRM = 2,
	QUEUE_RELEASE_WITHDRAW = 3,
	QUEUE_RELEASE_DELETE = 4,
	QUEUE_RELEASE_BOUNCE = 5, /* and its sender gets a report */
	QUEUE_RELEASE_SHOW = 6,   /* by is not asked for */
};

/* Content up to this many octets travels and is kept inline; above by a descriptor. */
enum { QUEUE_INLINE_MAX = 131072 };

struct queue_client;
struct queue_call;
/* socket: "queue.smtpd.sock" and IPC_SMTPD, or "queue.relay.sock" and IPC_RELAY. on_wake may be NULL. fatal() for no memory. */
struct queue_client *queue_client_new(
    struct loop *l, const char *socket, uint32_t self, void (*on_wake)(void *arg), void *arg);
void queue_client_free(struct queue_client *c);
/* fn is not called any more. NULL accepted. */
void queue_call_cancel(struct queue_call *k);

typedef void (*queue_done_fn)(void *arg, int err);

/* ---- smtpd-session ---- */
/* Each gives a call to cancel (valid until fn was called), NULL for no memory or too much queued. */
typedef void (*queue_open_fn)(void *arg, int err, const struct delivery_id *id);
struct queue_call *queue_open(struct queue_client *c, uint64_t size, queue_open_fn fn, void *arg);
typedef void (*queue_fd_fn)(void *arg, int err, int fd); /* fd is the callee's */
struct queue_call *queue_tmpfile(struct queue_client *c, queue_fd_fn fn, void *arg);
/* The message of a HOLD or COMMIT. content: all of what the client sent (for the inline form), fd: -1 or the spool's
 * descriptor with the same bytes (duplicated here). header replaces the first skip bytes of it. */
struct queue_message {
	struct slice header;
	uint64_t skip;
	struct slice content;
	int fd;
};
struct queue_call *queue_hold(struct queue_client *c, const struct delivery_id *id,
    const struct envelope *e, const struct queue_message *m, queue_done_fn fn, void *arg);
/* Sent again after a lost connection, up to 5 s. */
struct queue_call *queue_commit(struct queue_client *c, const struct delivery_id *id,
    const struct envelope *e, const struct queue_message *m, queue_done_fn fn, void *arg);
/* An automatic reply from account to an address: header (with its empty line) and body. */
struct queue_call *queue_auto_reply(struct queue_client *c, const char *account, const char *to,
    unsigned days, struct slice header, struct slice body, queue_done_fn fn, void *arg);
/* Security officers are to hear of a refusal: QUEUE_ALERT. */
struct queue_call *queue_alert(struct queue_client *c, const char *rule, const char *qid,
    const char *login, const char *client_ip, queue_done_fn fn, void *arg);
/* An urgent document of that login is about to go: QUEUE_URGENT. */
struct queue_call *queue_urgent(
    struct queue_client *c, const char *login, queue_done_fn fn, void *arg);
/* One that was counted was not accepted: QUEUE_URGENT_BACK. */
void queue_urgent_back(struct queue_client *c, const char *login);
/* Takes a message back whose COMMIT got no answer: asked again and again for an hour, nobody waits for it. */
void queue_revoke(struct queue_client *c, const struct delivery_id *id);
/* How long a COMMIT is repeated before it fails with ERR_TIMEOUT, ERR_CLOSED or ERR_TEMP, which say nothing of the message; at least a second. */
void queue_client_set_wait(struct queue_client *c, unsigned seconds);
void queue_abort(struct queue_client *c, const struct delivery_id *id);

/* ---- relay ---- */
struct queue_entry {
	struct delivery_id id;
	uint32_t attempt;
	bool hurry;          /* a person asked for it: no waiting for destinations that were down */
	struct envelope env; /* in the arena of the call to queue_next */
	const char *release; /* "", or as QUEUE_ENTRY has it; likewise */
};
typedef void (*queue_next_fn)(void *arg, int err, const struct queue_entry *e);
struct queue_call *queue_next(struct queue_client *c, struct arena *a, queue_next_fn fn, void *arg);
/* header and content borrowed for the call; fd (-1 or the callee's) has the content when has_inline is false. */
struct queue_body {
	struct slice header;
	uint64_t skip, size;
	bool has_inline;
	struct slice inline_content; /* from skip */
	int fd;
};
typedef void (*queue_body_fn)(void *arg, int err, const struct queue_body *b);
struct queue_call *queue_body(
    struct queue_client *c, const struct delivery_id *id, queue_body_fn fn, void *arg);
struct queue_rcpt_result {
	uint32_t index;
	enum queue_result result;
	const char *why;
	const char *mta; /* of who said so; NULL: it is our own finding */
};
struct queue_call *queue_result(struct queue_client *c, const struct delivery_id *id,
    const struct queue_rcpt_result *r, uint32_t n, queue_done_fn fn, void *arg);
/* Some of the results; the message stays leased. Results may be given again by queue_result. */
struct queue_call *queue_partial(struct queue_client *c, const struct delivery_id *id,
    const struct queue_rcpt_result *r, uint32_t n, queue_done_fn fn, void *arg);
/* Gives a leased message back as it is, to be offered again after wait_ms. */
void queue_back(struct queue_client *c, const struct delivery_id *id, uint32_t wait_ms);
/* Likewise, to be offered again when the destination of that name is wanted: QUEUE_PARK. */
void queue_park(struct queue_client *c, const struct delivery_id *id, uint64_t destination);
/* most of those parked for it are wanted now: QUEUE_WANT. */
void queue_want(struct queue_client *c, uint64_t destination, uint32_t most);

#endif
