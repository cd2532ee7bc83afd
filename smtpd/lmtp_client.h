/* lmtp_client.h: gives one message to an LMTP server (RFC 2033) or, for relay, to an SMTP smarthost (RFC 5321). Idle connections
 * are kept for the next message. Answers come on the loop, never from within the call. */
#ifndef CV_LMTP_CLIENT_H
#define CV_LMTP_CLIENT_H

#include "lib/io.h"

struct lmtp_pool;
/* route: "unix:PATH" or "inet:IP:PORT"; NULL is given when it is neither. smtp: EHLO and one reply for all, STARTTLS when tls is not
 * NULL and the server offers it. timeout_ms: longest wait for one answer. */
struct lmtp_pool *lmtp_pool_new(struct loop *l, const char *route, const char *hostname, bool smtp,
    struct tls_ctx *tls, unsigned timeout_ms);
void lmtp_pool_free(struct lmtp_pool *p); /* jobs must be over; NULL accepted */

enum lmtp_result {
	LMTP_DELIVERED = 1,
	LMTP_RETRY =
	    2, /* 4xx, or no answer: unknown whether it was done (the delivery id tells them apart) */
	LMTP_REFUSED = 3, /* 5xx */
};
struct lmtp_rcpt {
	const char *address;
	enum lmtp_result result;
	unsigned code;  /* 0: no answer */
	bool sent;      /* the whole text went out: on RETRY it may have been done all the same */
	char text[512]; /* the answer's text, with its enhanced code */
};
struct lmtp_message {
	const char *from;
	const char *id_hex; /* the delivery id; sent when the server offers XCVID */
	bool eight_bit, smtputf8;
	struct slice header, body; /* borrowed until done; together they end in CRLF */
	struct lmtp_rcpt *rcpts;   /* results are written here; borrowed until done */
	size_t n_rcpts;
};
struct lmtp_job;
typedef void (*lmtp_done_fn)(void *arg);
/* Every recipient has its result when done is called, once. */
struct lmtp_job *lmtp_deliver(
    struct lmtp_pool *p, const struct lmtp_message *m, lmtp_done_fn done, void *arg);
/* Asks about one recipient (MAIL with the size, RCPT, RSET): over quota is told at RCPT already. x gets RESULT, code and text as for a
 * delivery, DELIVERED meaning "would be taken"; RETRY with code 0 when the server did not say within timeout_ms (then it is not asked
 * again for five seconds: the queue will see to it). x is borrowed until done. */
struct lmtp_job *lmtp_probe(struct lmtp_pool *p, const char *from, uint64_t size,
    struct lmtp_rcpt *x, unsigned timeout_ms, lmtp_done_fn done, void *arg);
/* Whether it did not answer in time a moment ago: then a caller with a queue spares its client the wait. */
bool lmtp_seems_down(const struct lmtp_pool *p);
/* done is not called any more; the server may or may not have taken it. NULL accepted. */
void lmtp_cancel(struct lmtp_job *j);

#endif
