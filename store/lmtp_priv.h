/* lmtp_priv.h: one LMTP connection, for lmtp_*.c alone. */
#ifndef CV_LMTP_PRIV_H
#define CV_LMTP_PRIV_H

#include "lib/io.h"
#include "store/ingest.h"
#include "store/lmtp_parse.h"

enum {
	LMTP_LINE_MAX = 4096,     /* a command line with its parameters */
	LMTP_PENDING_MAX = 32,    /* recipients looked up at one time */
	LMTP_TARGETS_MAX = 10000, /* mailboxes of one transaction, members of groups included */
	LMTP_ARENA_MAX = 16 * 1024 * 1024,
};

/* A mailbox that gets the message: once, however many recipients lead to it. */
struct lmtp_target {
	struct slice account, trace;
	int err;
	bool wanted; /* by an accepted recipient */
};

struct lmtp_session;

/* One RCPT. Outlives its session while a look-up is under way (s is NULL then). */
struct lmtp_rcpt {
	struct lmtp_session *s;
	struct slice address; /* in the transaction's arena */
	const char *reply;    /* static; NULL while it is being found out */
	bool accepted, looking;
	uint32_t check_call; /* of deliver_check or deliver_read_state, 0 when none is under way */
	size_t asked, had, unread; /* of targets whose state of reading was asked for (XCVSEEN) */
	uint32_t *targets;         /* indices, in the arena */
	size_t n_targets;
};

enum lmtp_phase { LMTP_COMMAND, LMTP_TEXT, LMTP_CHUNK, LMTP_DELIVER };

struct lmtp_session {
	struct lmtp_session *next, **at; /* of the server's list */
	struct lmtp_server *srv;
	struct ingest *in;
	struct io *io;
	enum lmtp_phase phase;
	bool closing, skip_line;
	struct buf client; /* LHLO's name; empty before */
	/* the transaction */
	struct arena *a;
	bool in_mail;
	struct lmtp_mail mail;
	struct lmtp_rcpt **rcpts;
	size_t n_rcpts, cap_rcpts, n_replied, n_pending, n_accepted;
	struct lmtp_target *targets;
	size_t n_targets, cap_targets;
	struct lmtp_data data;
	bool in_bdat;                /* the text comes in chunks */
	uint64_t chunk_left;         /* octets of the chunk under way */
	bool chunk_last, chunk_lost; /* lost: there is no transaction for it */
	struct ingest_body body;
	int body_err;
	/* the delivery */
	struct ingest_message msg;
	bool has_msg;
	size_t next_target;                  /* where the next request begins to look */
	uint32_t batch[DELIVER_TARGETS_MAX]; /* targets of the request under way */
	size_t n_batch;
	uint32_t deliver_call;
	uint64_t deliver_ms;      /* when the first request went out */
	struct loop_timer *retry; /* waits before the next pass */
	uint64_t pause_ms;
	uint64_t started_ms;
};

/* lmtp_server.c */
void lmtp_reply(struct lmtp_session *s, const char *line);
void lmtp_process(struct lmtp_session *s);
void lmtp_reset(struct lmtp_session *s);

/* lmtp_rcpt.c: takes the recipient of the arguments, or replies why not. */
void lmtp_rcpt(struct lmtp_session *s, struct slice args);
/* Replies in the order of the commands, as far as they are known. */
void lmtp_rcpt_flush(struct lmtp_session *s);
void lmtp_rcpts_free(struct lmtp_session *s);

/* lmtp_deliver.c: the text ended: judges it, gives it to stored, replies for each accepted recipient. */
void lmtp_deliver(struct lmtp_session *s);
/* The fields put before the message in one mailbox. */
int lmtp_trace(const struct lmtp_session *s, struct slice rcpt, struct slice mailbox_address,
    int64_t now, int zone, struct buf *out);

#endif
