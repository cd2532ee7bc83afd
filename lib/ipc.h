/* ipc.h: framed messages between our own processes over UNIX stream sockets. A frame is u32 length of what
 * follows, u16 type, u16 flags, u32 request id, payload (big-endian); at most one descriptor goes with a frame.
 * Every protocol is a table of messages (a *.def file) that says who may send each, in which states, how
 * large. A frame that breaks the table ends its sender's connection: the sender is the only casualty.
 *
 * Requests carry an id > 0 and get exactly one reply with that id (or ERR_CLOSED/ERR_TIMEOUT); id 0 is a
 * notification. Bulk data is pulled in pieces of at most 256 KiB by repeated requests, so a slow reader
 * never stalls others on the same connection: that is the flow control. Each connection has a bound on
 * outstanding requests; a client queues past it and a server stops reading. */
#ifndef CV_IPC_H
#define CV_IPC_H

#include "lib/buf.h"
#include "lib/loop.h"

#define IPC_FRAME_MAX (1u << 20) /* a frame's payload, whatever the table says */
#define IPC_OUTSTANDING_MAX 256  /* requests without reply, per connection */

/* Roles as bits: the peer role is fixed by the socket a connection came in on (each role has its own). */
enum ipc_role {
	IPC_SMTPD = 1 << 0, /* smtpd-session */
	IPC_IMAPD = 1 << 1, /* imapd-session */
	IPC_INGEST = 1 << 2,
	IPC_RELAY = 1 << 3,
	IPC_MILTER = 1 << 4,
	IPC_ADMIN = 1 << 5, /* congvu, as root or the operator's uid */
	IPC_LOOKUP = 1 << 6,
	IPC_STORED = 1 << 7,
	IPC_QUEUE = 1 << 8,
	IPC_LEDGER = 1 << 9,
	IPC_SCAN = 1 << 10,
	IPC_SIGN = 1 << 11,
	IPC_FETCH = 1 << 12,
};

/* One row of a protocol table. Made from a .def file:
 *   IPC_MSG(LOOKUP_RCPT, 3, IPC_SMTPD | IPC_INGEST, IPC_ST_READY, 1024, 0)
 * from: which roles may send it (the server's own role for replies and notifications);
 * states: bit mask of connection states in which a client may send it (see ipc_set_state), ~0u for any;
 * max_len: largest payload; fds: 0 none, 1 may carry a descriptor, 2 must. */
struct ipc_rule {
	uint16_t type;
	const char *name;
	uint32_t from;
	uint32_t states;
	uint32_t max_len;
	uint8_t fds;
};
struct ipc_proto {
	const char *name;
	uint32_t version; /* checked in the hello both ends send first */
	uint32_t server;  /* the server's enum ipc_role */
	const struct ipc_rule *rules;
	size_t n_rules;
};
enum { IPC_ST_READY = 1 }; /* the state every connection starts in */

/* Every protocol has these two replies beside its own; numbers 1 and 2 are theirs. */
enum { IPC_OK = 1, IPC_ERR = 2 }; /* IPC_ERR payload: i32 enum err, string for the log */

struct ipc_conn;

/* ---- payloads: typed put and get. Strings and byte strings are u32 length + bytes. ---- */
struct ipc_reader {
	struct slice rest;
	int err; /* latched ERR_PROTO; every getter then gives zero or empty */
};
int ipc_put_u8(struct buf *b, uint8_t v);
int ipc_put_u16(struct buf *b, uint16_t v);
int ipc_put_u32(struct buf *b, uint32_t v);
int ipc_put_u64(struct buf *b, uint64_t v);
int ipc_put_i64(struct buf *b, int64_t v);
int ipc_put_slice(struct buf *b, struct slice s);
int ipc_put_str(struct buf *b, const char *s);
void ipc_reader_init(struct ipc_reader *r, struct slice payload);
uint8_t ipc_get_u8(struct ipc_reader *r);
uint16_t ipc_get_u16(struct ipc_reader *r);
uint32_t ipc_get_u32(struct ipc_reader *r);
uint64_t ipc_get_u64(struct ipc_reader *r);
int64_t ipc_get_i64(struct ipc_reader *r);
struct slice ipc_get_slice(struct ipc_reader *r); /* borrowed from the payload */
char *ipc_get_strdup(struct ipc_reader *r);       /* malloc'd; ERR_PROTO on NUL inside */
/* A count of things of at least min_size bytes each: refuses counts that cannot fit in what is left. */
uint32_t ipc_get_count(struct ipc_reader *r, uint32_t max, size_t min_size);
/* 0 when all was read without error, else ERR_PROTO. */
int ipc_reader_end(struct ipc_reader *r);

/* ---- server ---- */
struct ipc_server_ops {
	/* A connection came; *user_out is kept with it (ipc_user). Non-zero refuses it. May be NULL. */
	int (*on_open)(struct ipc_conn *c, void *arg, void **user_out);
	/* A permitted message. id > 0 wants exactly one ipc_reply, now or later (while the connection is open);
	 * fd is -1 or the callee's to close. Return non-zero (ERR_PROTO) to end the connection. */
	int (*on_msg)(struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r, int fd,
	    void *arg);
	/* The connection ended; replies to it are dropped after this. May be NULL. */
	void (*on_close)(struct ipc_conn *c, void *arg);
};
struct ipc_server;
/* Serves listen_fd (inherited, not owned). peer: the role that connects here. peer_uid: the uid that
 * SO_PEERCRED must show, (uid_t)-1 for any; root is always let in for IPC_ADMIN. max_conns bounds them. */
struct ipc_server *ipc_server_new(struct loop *l, int listen_fd, const struct ipc_proto *p,
    uint32_t peer, int64_t peer_uid, unsigned max_conns, const struct ipc_server_ops *ops,
    void *arg);
/* Takes no more connections; those that are there are served on. */
void ipc_server_stop(struct ipc_server *s);
void ipc_server_free(struct ipc_server *s);
void *ipc_user(struct ipc_conn *c);
uint32_t ipc_peer_role(const struct ipc_conn *c);
/* The uid that the kernel gives for it, as of its connecting. */
int64_t ipc_peer_uid(const struct ipc_conn *c);
void ipc_set_state(struct ipc_conn *c, uint32_t state_bit);
/* Replies. payload NULL: empty. fd: -1 or taken (closed after it was sent). 0 or ERR_CLOSED. A reply that breaks the
 * table (or whose buf has an error) is logged and goes out as IPC_ERR ERR_LIMIT. */
int ipc_reply(struct ipc_conn *c, uint32_t id, uint16_t type, const struct buf *payload, int fd);
int ipc_reply_ok(struct ipc_conn *c, uint32_t id);
int ipc_reply_err(struct ipc_conn *c, uint32_t id, int err, const char *why);
int ipc_notify(struct ipc_conn *c, uint16_t type, const struct buf *payload);
/* Ends a connection (on_close is called from the loop). */
void ipc_close(struct ipc_conn *c);
/* Holds the connection's memory so that a late reply is safe: between hold and release ipc_reply to a closed
 * connection is a no-op that returns ERR_CLOSED. */
void ipc_hold(struct ipc_conn *c);
void ipc_release(struct ipc_conn *c);

/* ---- client, on the loop ---- */
struct ipc_client;
struct ipc_client_ops {
	void (*on_notify)(void *arg, uint16_t type, struct ipc_reader *r); /* may be NULL */
	void (*on_up)(void *arg); /* connected (again): register watches anew; may be NULL */
	void (*on_down)(
	    void *arg); /* connection lost; calls in flight get ERR_CLOSED; may be NULL */
};
/* err 0: type and r are the reply's (IPC_ERR arrives as its enum err with r NULL). Else ERR_CLOSED, ERR_TIMEOUT,
 * ERR_TEMP (could not connect). fd: -1 or the callee's to close. Never called from within ipc_call. */
typedef void (*ipc_reply_fn)(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd);
/* path: UNIX socket, relative to the working directory. Connects at the first call, again after a loss
 * (10 ms, doubling to 1 s). Calls made while down wait for the connection until their time-out. */
struct ipc_client *ipc_client_new(struct loop *l, const char *path, const struct ipc_proto *p,
    uint32_t self, const struct ipc_client_ops *ops, void *arg);
void ipc_client_free(struct ipc_client *c); /* pending calls get ERR_CANCELED */
/* Sends a request. payload is copied. fd: -1 or taken. timeout_ms 0: 30 s. *call_out (may be NULL) is for
 * ipc_cancel. 0, ERR_LIMIT (too much queued), ERR_NOMEM. */
int ipc_call(struct ipc_client *c, uint16_t type, const struct buf *payload, int fd,
    unsigned timeout_ms, ipc_reply_fn fn, void *arg, uint32_t *call_out);
/* The reply, if it still comes, is dropped and fn never called. */
void ipc_cancel(struct ipc_client *c, uint32_t call);
/* A one-way message; dropped when not connected (ERR_CLOSED). */
int ipc_send(struct ipc_client *c, uint16_t type, const struct buf *payload);

/* ---- client, blocking: for milter's threads and for the admin command. One thread at a time each. ---- */
struct ipc_sync;
struct ipc_sync *ipc_sync_new(const char *path, const struct ipc_proto *p, uint32_t self);
void ipc_sync_free(struct ipc_sync *s);
/* How long a socket where nobody listens is tried, whatever a call's time: for people who wait. 0 (as it begins): as long as the call may take. */
void ipc_sync_connect_limit(struct ipc_sync *s, unsigned ms);
/* Connects and greets, where it is not connected: a call then finds it done. 0 or what ipc_sync_call would say. */
int ipc_sync_open(struct ipc_sync *s, unsigned timeout_ms);
/* One request and its reply, connecting (again) as needed, all within timeout_ms. 0 with *type_out and the payload
 * in reply (reset first); the enum err of an IPC_ERR (its text in reply); ERR_TEMP, ERR_TIMEOUT, ERR_CLOSED. A
 * request is sent at most once. fd_out may be NULL. */
int ipc_sync_call(struct ipc_sync *s, uint16_t type, const struct buf *payload, int fd,
    unsigned timeout_ms, uint16_t *type_out, struct buf *reply, int *fd_out);

/* A connected (or connecting) UNIX socket, or -1 with errno. */
int ipc_connect(const char *path, bool nonblock);

#endif
