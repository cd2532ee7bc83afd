/* lmtp_talk_priv.h: what the files of a conversation share. For lmtp_talk.c (connection, TLS, sign-in) and lmtp_txn.c (a message). */
#ifndef CV_LMTP_TALK_PRIV_H
#define CV_LMTP_TALK_PRIV_H

#include "smtpd/lmtp_talk.h"
#include "smtpd/smtp_reply.h"

enum {
	LMTP_IN_MAX = 65536,
	LMTP_OUT_MAX = 1048576,
};
enum lmtp_state {
	ST_CONNECT,
	ST_GREETING,
	ST_HELLO,
	ST_STARTTLS,
	ST_TLS,
	ST_AUTH,
	ST_IDLE,
	ST_RSET_FIRST, /* what the last message left behind */
	ST_MAIL,
	ST_RCPT,
	ST_DATA,
	ST_BODY,  /* sending */
	ST_FINAL, /* answers after the final dot */
	ST_RSET,  /* the end of a probe */
	ST_OVER,  /* said goodbye, or told the owner */
};
struct lmtp_talk {
	struct loop *loop;
	struct lmtp_talk_params p;
	const struct lmtp_talk_ops *ops;
	void *arg;
	struct io *io;
	struct loop_timer *timer; /* for the answer that is waited for */
	struct loop_defer *defer;
	enum lmtp_state state;
	struct smtp_ext ext;
	struct smtp_reply reply; /* being read */
	bool ready;              /* greeting, TLS and sign-in are behind it */
	bool needs_rset;
	bool done_pending; /* on_done comes by the deferral */
	bool quitting;     /* QUIT was said: the end of the stream frees it */
	bool free_pending; /* on_end was called: memory goes by the deferral */
	unsigned messages;
	/* the message */
	bool has_message;
	struct lmtp_message m;
	bool probe, answered, text_sent;
	uint64_t probe_size;
	unsigned answer_ms; /* of a probe */
	size_t at_rcpt;     /* recipient the next answer belongs to */
	size_t accepted;    /* recipients that got 2xx to RCPT */
	size_t sent;        /* bytes of header and body that went out */
	bool bol;           /* at the beginning of a line */
};

/* ---- lmtp_talk.c ---- */
/* It is over: tells the owner. t is not to be used by the caller any more but for returning. */
void lmtp_talk_end(struct lmtp_talk *t, enum lmtp_stage stage, unsigned code, const char *why);
/* Waits for an answer; ms: of the time-outs, a probe's own goes before. */
void lmtp_talk_wait(struct lmtp_talk *t, enum lmtp_state s, unsigned ms);
/* The message is over; on_done follows. */
void lmtp_talk_done(struct lmtp_talk *t);

/* ---- lmtp_txn.c ---- */
void lmtp_txn_begin(struct lmtp_talk *t);
/* An answer in a state of the transaction. */
void lmtp_txn_reply(struct lmtp_talk *t, unsigned code, struct slice text);
/* Sends more of the text. */
void lmtp_txn_send(struct lmtp_talk *t);

#endif
