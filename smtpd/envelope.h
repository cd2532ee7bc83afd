/* envelope.h: who sends what to whom, as it travels between session, queue and relay and as the queue keeps it. Pure. */
#ifndef CV_ENVELOPE_H
#define CV_ENVELOPE_H

#include "lib/arena.h"
#include "lib/ipc.h"

enum { DELIVERY_ID_LEN = 16, QID_LEN = 16 };

/* The delivery id: 7 bytes time in microseconds, 1 byte of the queue's own, 8 random. */
struct delivery_id {
	unsigned char b[DELIVERY_ID_LEN];
};
/* 32 hex digits: XCVID of LMTP. */
void delivery_id_hex(const struct delivery_id *id, char out[2 * DELIVERY_ID_LEN + 1]);
/* The short form people and milters see: its first eight bytes in hex. Unique in one queue. */
void delivery_id_qid(const struct delivery_id *id, char out[QID_LEN + 1]);
/* As 16 bytes in an IPC message. Get: 0 or the error latched in r. */
int delivery_id_put(struct buf *b, const struct delivery_id *id);
int delivery_id_get(struct ipc_reader *r, struct delivery_id *id_out);

enum envelope_flag {
	ENV_8BIT = 1,
	ENV_SMTPUTF8 = 2,
	ENV_QUARANTINE = 4,
	ENV_BOUNCE = 8,
	ENV_WARNED = 16, /* the sender was told that it waits */
	ENV_JUDGE =
	    32, /* a milter could not judge it yet: it goes by judge.sock through smtpd-session again */
	ENV_RELEASED =
	    64, /* two officers released it from the quarantine (queue_release.c): the same way, exempt from what held it */
	ENV_SENT =
	    128, /* no mail: a copy of what was sent, for the Sent of its recipients (sent_copy.c) */
	ENV_URGENT =
	    256, /* our milter judged it an urgent document (P32): it goes first, and is watched until it is read */
	ENV_WATCH =
	    512, /* no message: asks whether one was read (queue_watch.c); envid is its delivery id in hex */
	ENV_MTAS =
	    1024, /* of the bytes alone, never in flags: each recipient has its mta; older envelopes have none */
};
enum rcpt_state {
	RCPT_LOCAL = 1,  /* to lmtp_route */
	RCPT_REMOTE = 2, /* by relay_routes, smarthost or MX */
	RCPT_FAILED =
	    3, /* refused for good after others had it: the queue reports it to the sender */
	RCPT_DELIVERED =
	    4, /* has it, and its sender wants to know (NOTIFY=SUCCESS): the queue reports it */
	RCPT_DONE = 5, /* the queue's own: settled while others are still under way */
};
struct envelope_rcpt {
	const char *address;
	enum rcpt_state state;
	uint32_t notify;   /* enum smtp_notify; 0: not given */
	const char *orcpt; /* "" when not given */
	const char *
	    why; /* the last answer, "" when none: "550 5.1.1 Text"; without the code where it is our own finding */
	const char *
	    mta; /* whose answer: "mx.example.vn", "[192.0.2.1]"; "" (to put, NULL too) when it is our own */
};
struct envelope {
	const char *from;        /* "" for <> */
	const char *ret, *envid; /* DSN; "" when not given */
	const char *login;       /* "" when not authenticated */
	const char *client_ip;
	uint32_t flags;         /* enum envelope_flag */
	const char *quarantine; /* why, "" when not */
	struct envelope_rcpt *rcpts;
	uint32_t n_rcpts;
};
enum { ENVELOPE_RCPTS_MAX = 100000 };

int envelope_put(struct buf *b, const struct envelope *e);
/* Strings and recipients live in the arena. 0 or ERR_PROTO (also latched in r), ERR_NOMEM. */
int envelope_get(struct ipc_reader *r, struct arena *a, struct envelope *out);

#endif
