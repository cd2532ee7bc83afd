/* lmtp_talk.h: a conversation with one LMTP (RFC 2033) or SMTP (RFC 5321) server over one connection: greeting, TLS, sign-in,
 * then one message after the other. Which server, and what happens when it fails, is the owner's (lmtp_client.c, relay_*.c).
 * Callbacks come on the loop, never from within a call. */
#ifndef CV_LMTP_TALK_H
#define CV_LMTP_TALK_H

#include "lib/io.h"

enum lmtp_result {
	LMTP_DELIVERED = 1,
	LMTP_RETRY =
	    2, /* 4xx, or no answer: unknown whether it was done (the delivery id tells them apart) */
	LMTP_REFUSED = 3, /* 5xx */
};
struct lmtp_rcpt {
	const char *address;
	const char *orcpt; /* as the client sent it; NULL or "": none */
	unsigned notify;   /* enum smtp_notify; 0: not given */
	enum lmtp_result result;
	unsigned code;   /* 0: no answer */
	bool sent;       /* the whole text went out: on RETRY it may have been done all the same */
	bool dsn_passed; /* the server does DSN (RFC 3461): reports are its business from now on */
	bool skip;       /* the talk's own: it had its result before this transaction */
	char text[512];  /* the answer's text, with its enhanced code */
	const char *mta; /* the owner's: whose answer; NULL: nobody's */
};
#define LMTP_NO_SENT "5.3.3 The next server keeps no copies of what was sent"
struct lmtp_message {
	const char *from;
	const char *id_hex;      /* the delivery id; sent when the server offers XCVID */
	const char *ret, *envid; /* DSN; NULL or "": none */
	/* To be judged anew by our own smtpd-session: who submitted it ("": nobody signed in), and from where; only to who offers XCVJUDGE. NULL: not that. */
	const char *judge_login, *judge_ip;
	const char
	    *judge_release; /* officers released it: as QUEUE_ENTRY says; NULL or "": not that */
	bool
	    sent; /* a copy of what was sent, for its recipients' Sent: to a server that offers XCVSENT; by another all get LMTP_REFUSED, LMTP_NO_SENT */
	const char *
	    seen_id; /* no message: whether the one recipient read what came under this delivery id (hex), given to lmtp_talk_probe; a server without XCVSEEN
		      * cannot tell: DELIVERED without a code. NULL: not that */
	bool eight_bit;
	bool
	    smtputf8; /* it cannot go without SMTPUTF8 (RFC 6531): 5.6.7 where an SMTP server lacks it */
	struct slice header, body; /* borrowed until done; together they end in CRLF */
	struct lmtp_rcpt *
	    rcpts; /* results are written here; borrowed until done; those with a result are left out */
	size_t n_rcpts;
};

/* RFC 5321 4.5.3.2: longest wait for one answer, milliseconds. body: longest time in which no byte of the text went out. */
struct lmtp_timeouts {
	unsigned connect, greeting, command, data, body, final;
};
enum lmtp_tls { LMTP_TLS_MAY, LMTP_TLS_MUST, LMTP_TLS_AT_ONCE };
struct lmtp_talk_params {
	const char *path;     /* UNIX socket, or */
	const char *hostport; /* "192.0.2.1:25" */
	bool smtp;            /* EHLO and one reply for all; else LHLO and one for each recipient */
	const char *hostname; /* ours */
	struct tls_ctx *tls;  /* NULL: never */
	enum lmtp_tls policy;
	const char *server_name;     /* SNI, and what a verifying tls asks for; NULL: none */
	struct slice user, password; /* AUTH PLAIN, under TLS only; user empty: none */
	struct lmtp_timeouts ms;
	const char
	    *not_greeting; /* a greeting with this name is our own: a loop. NULL: any will do */
};
/* How it ended. */
enum lmtp_stage {
	LMTP_AT_CONNECT = 1,
	LMTP_AT_GREETING, /* and EHLO */
	LMTP_AT_TLS,
	LMTP_AT_AUTH,
	LMTP_AT_LOOP,    /* it is ourselves */
	LMTP_AT_MESSAGE, /* in a transaction, before the end of its text */
	LMTP_AT_FINAL,   /* the text went out and no answer came: nobody knows */
	LMTP_AT_IDLE,    /* between messages: if one was given, all its results are there */
};
struct lmtp_end {
	enum lmtp_stage stage;
	unsigned code;   /* of the reply that ended it; 0: none */
	bool answered;   /* the server said something since the message was given */
	bool late;       /* a time ran out */
	const char *why; /* with an enhanced code */
};
struct lmtp_talk;
struct lmtp_talk_ops {
	/* Every recipient has its result, and the connection waits for the next message (or lmtp_talk_quit). */
	void (*on_done)(void *arg);
	/* The connection is gone; the talk is freed after this. Recipients that had no answer have no result; sent is set when the text
	 * was out. */
	void (*on_end)(void *arg, const struct lmtp_end *end);
};
/* Begins to connect. params: strings and slices borrowed as long as it lives. NULL when not even that could be begun. */
struct lmtp_talk *lmtp_talk_new(
    struct loop *l, const struct lmtp_talk_params *p, const struct lmtp_talk_ops *ops, void *arg);
/* Gives it a message: at once after lmtp_talk_new, or when idle. At least one recipient without a result. */
void lmtp_talk_send(struct lmtp_talk *t, const struct lmtp_message *m);
/* MAIL with SIZE=size, RCPT for the one recipient, RSET. answer_ms instead of the time-outs. */
void lmtp_talk_probe(
    struct lmtp_talk *t, const struct lmtp_message *m, uint64_t size, unsigned answer_ms);
/* Says QUIT and is gone, without a callback: for idle ones. */
void lmtp_talk_quit(struct lmtp_talk *t);
/* Closes at once, without a callback. NULL accepted. */
void lmtp_talk_free(struct lmtp_talk *t);
/* Whether the whole text of a message went out and its answer did not come yet. */
bool lmtp_talk_text_is_out(const struct lmtp_talk *t);
/* Messages it took so far. */
unsigned lmtp_talk_messages(const struct lmtp_talk *t);

/* Who has no result yet gets this one. */
void lmtp_rest_result(
    const struct lmtp_message *m, enum lmtp_result r, unsigned code, const char *text);

#endif
