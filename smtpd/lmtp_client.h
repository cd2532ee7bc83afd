/* lmtp_client.h: gives one message to the store's LMTP server (RFC 2033). Runs in smtpd-session (cut-through). Idle connections
 * are kept for the next message. Answers come on the loop, never from within the call. */
#ifndef CV_LMTP_CLIENT_H
#define CV_LMTP_CLIENT_H

#include "smtpd/lmtp_talk.h"

struct lmtp_pool;
/* route: "unix:PATH" or "inet:IP:PORT"; NULL is given when it is neither. timeout_ms: longest wait for one answer. */
struct lmtp_pool *lmtp_pool_new(
    struct loop *l, const char *route, const char *hostname, unsigned timeout_ms);
void lmtp_pool_free(struct lmtp_pool *p); /* jobs must be over; NULL accepted */

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
