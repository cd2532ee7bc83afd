/* queue_priv.h: what the files of the smtpd-queue role share. For queue*.c alone. */
#ifndef CV_QUEUE_PRIV_H
#define CV_QUEUE_PRIV_H

#include "smtpd/queue_db.h"
#include "smtpd/urgent_rate.h"

enum {
	QUEUE_WAITS_MAX = 32,
	QUEUE_CONNS_MAX = 256,
	QUEUE_DONE_MS = 600000, /* how long an id is known after its last recipient */
};

struct queue_waiting;
struct queue_leftover;

struct queue {
	struct loop *loop;
	struct qdb *db;
	struct loop_defer *sync;
	struct loop_timer *due, *stats, *canary;
	bool has_unreachable;
	struct queue_waiting *waiting;
	struct queue_leftover *leftovers;
	struct ipc_conn *relays[QUEUE_CONNS_MAX];
	size_t n_relays;
	struct ipc_server *servers[3];
	const char *hostname;
	uint64_t waits_ms[QUEUE_WAITS_MAX];
	size_t n_waits;
	int64_t lifetime_ms, warn_ms;
	int64_t unread_ms;          /* urgent_unread_s; 0: nobody is told */
	struct urgent_rate *urgent; /* urgent_per_hour */
	const struct conf *conf;    /* security_officers */
	uint64_t last_us;
	unsigned char instance;
	struct arena *arena; /* of the request under way */
};
extern struct queue queue;

/* ---- queue.c ---- */
int64_t queue_now_ms(void);
/* A text of a message, in queue.arena. Longer than max, or with a NUL in it: "", and r has ERR_PROTO. */
char *queue_text(struct ipc_reader *r, size_t max);
struct delivery_id queue_new_id(void);
/* Sets the timer to the message that is due first. */
void queue_set_due_timer(void);
/* Drops what is over, wakes relays when something is due. */
void queue_on_due(void *arg);
/* The body's file of id goes after the next sync: until then a crash may bring the row back, which then needs it. */
void queue_remove_after_sync(const struct delivery_id *id);
/* IPC_OK once all that was written so far is on stable storage. */
void queue_reply_after_sync(struct ipc_conn *c, uint32_t id);
/* Syncs what was written, answers who waits for that. */
void queue_sync_now(void);
void queue_log_entry(
    const char *event, const struct delivery_id *id, const struct qrow *row, int err);
/* Takes the failed recipients (ascending indexes) out of the envelope. */
void queue_envelope_without(struct envelope *e, const uint32_t *failed, size_t n_failed);

/* ---- queue_bounce.c ---- */
struct dsn_rcpt;
struct queue_bounce {
	struct qrow row;
	struct envelope_rcpt rcpt;
	struct qdb_put put;
	struct buf header, body;
	bool wanted; /* there is somebody to tell */
};
/* The report about what became of recipients, as far as they want to be told of. content: empty, or all of the text. queue_bounce_done
 * in any case. 0 or the error of the buffers. */
int queue_bounce_make(struct queue_bounce *b, const struct delivery_id *id, const struct qrow *row,
    struct slice header, const struct dsn_rcpt *rcpts, size_t n);
void queue_bounce_done(struct queue_bounce *b);

/* ---- queue_watch.c ---- */
struct queue_watch {
	struct qrow row;
	struct qdb_put put;
	struct buf header;
	bool wanted; /* it is an urgent document, and there is somebody to tell */
};
/* What is to watch whether the recipients with these indexes read the message id, which they have. header: the message's. queue_watch_done in any
 * case. 0 or the error of the buffers. */
int queue_watch_make(struct queue_watch *w, const struct delivery_id *id, const struct qrow *row,
    struct slice header, const uint32_t *in, size_t n);
void queue_watch_done(struct queue_watch *w);
/* How many of the recipients, the first ones, the store is yet to be asked about: of the others it said "unread" already. */
uint32_t queue_watch_to_ask(const struct qrow *row);
/* What the store said: QUEUE_DELIVERED: read, or not there any more; QUEUE_REFUSED: unread. One for each recipient of the row; those of whom it was said before
 * are filled in. Durable at the next sync. */
int queue_watch_result(const struct delivery_id *id, struct qrow *row, uint8_t *result);

int queue_msg_urgent(struct ipc_conn *c, uint32_t id, struct ipc_reader *r);
int queue_msg_urgent_back(struct ipc_reader *r);

/* ---- queue_notice.c ---- */
/* Whether somebody who signed in submitted it under an address of ours: who read what is nobody else's business. */
bool queue_is_from_us(const struct qrow *row);
struct queue_gather;
struct queue_notice {
	struct queue_gather *g;
	struct qrow row;
	struct qdb_put put; /* to be written with the end of the watch */
	struct buf header, body;
	int64_t due;
	/* to take it back */
	int64_t last_due;
	bool began;
	unsigned n, listed;
	size_t docs_len, refs_len;
};
/* The mail to a sender (an address of ours), or to urgent_alert_mail (to ""), with the document that watch is about added to what waits for them. qid: its
 * ticket; fields: what is kept of its header. In one transaction only one of each to. queue_notice_done in any case, before the next one for the same to. */
int queue_notice_make(struct queue_notice *x, const char *to, const struct qrow *watch,
    const uint8_t *result, const char *qid, struct slice fields);
/* written: the transaction was committed. Zeroed ones accepted. */
void queue_notice_done(struct queue_notice *x, bool written);

/* ---- queue_reply.c ---- */
int queue_msg_reply(struct ipc_conn *c, uint32_t id, struct ipc_reader *r);
/* Forgets what is over, counts the rest. After the store is open. */
void queue_replies_init(void);

/* ---- queue_relay.c: requests of relay ---- */
/* The wait before the next attempt, in ms, a fifth more or less: what failed together is not tried together for ever. */
uint64_t queue_wait_after(uint32_t attempts, uint32_t env_flags);
int queue_msg_next(struct ipc_conn *c, uint32_t id);
int queue_msg_body(struct ipc_conn *c, uint32_t id, struct ipc_reader *r);
int queue_msg_result(struct ipc_conn *c, uint32_t id, struct ipc_reader *r, bool last);
int queue_msg_back(struct ipc_conn *c, struct ipc_reader *r);
int queue_msg_park(struct ipc_conn *c, struct ipc_reader *r);
int queue_msg_want(struct ipc_reader *r);
int queue_relay_open(struct ipc_conn *c, void *arg, void **user_out);
void queue_relay_close(struct ipc_conn *c, void *arg);
/* Tries one of the messages that wait for an unreachable store; sets itself again while there are any. */
void queue_on_canary(void *arg);

enum queue_settle {
	QUEUE_SETTLE_ATTEMPT = 1, /* an attempt is over */
	QUEUE_SETTLE_PART,        /* others of it are still under way */
	QUEUE_SETTLE_BY_HAND,     /* it was none: a person decided */
};
/* Writes what became of the recipients of row, with the report about it. result: enum queue_result of each, 0: nothing. 0 or the error
 * of the store. */
int queue_settle(
    const struct delivery_id *id, struct qrow *row, const uint8_t *result, enum queue_settle kind);

/* ---- queue_admin.c: congvu ---- */
int queue_msg_change(struct ipc_conn *c, uint32_t id, struct ipc_reader *r);
int queue_msg_show(struct ipc_conn *c, uint32_t id, struct ipc_reader *r);
/* Does what a person asked for while the message was under way. */
void queue_lease_ended(const struct delivery_id *id);

/* ---- queue_release.c: congvu, and what the policy says of a release ---- */
int queue_msg_release(struct ipc_conn *c, uint32_t id, struct ipc_reader *r);
/* The field release of QUEUE_ENTRY. */
int queue_release_put(struct buf *b, const struct delivery_id *id, const struct qrow *row);
/* Whether a released message was refused for all that it is for: it is then no report's business but goes back to the quarantine, durably at
 * the next sync. */
bool queue_release_refused(const struct qrow *row, const uint8_t *result);
int queue_release_back(const struct delivery_id *id, struct qrow *row, const uint8_t *result);
/* Recipients go, or with none named (n 0) the message; report: its sender is told. */
int queue_delete(const struct delivery_id *id, struct qrow *row, bool report);

/* ---- queue_alert.c ---- */
int queue_msg_alert(struct ipc_conn *c, uint32_t id, struct ipc_reader *r);

/* ---- queue_list.c: congvu ---- */
int queue_msg_list(struct ipc_conn *c, uint32_t id, struct ipc_reader *r);
/* What LIST says of a message. row is changed by it. */
int queue_list_put(struct buf *b, const struct qent *e, struct qrow *row);
void queue_on_stats(void *arg);

#endif
