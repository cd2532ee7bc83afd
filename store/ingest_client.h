/* ingest_client.h: APPEND from imapd (ingest.imapd.sock). The message streams through ingest, which parses it, to stored. */
#ifndef CV_INGEST_CLIENT_H
#define CV_INGEST_CLIENT_H

#include "lib/ipc.h"

struct ingest_client;
struct ingest_append;
struct ingest_client *ingest_client_new(struct loop *l, const char *socket);
void ingest_client_free(struct ingest_client *c);

/* done: 0 with where it went, or ERR_NOTFOUND, ERR_DENIED, ERR_FULL, ERR_LIMIT (too large), ERR_SYNTAX (NUL in the message), ERR_TEMP. Called
 * once, unless aborted. drained: more may be written after ingest_append_write said ERR_AGAIN. */
typedef void (*ingest_done_fn)(void *arg, int err, uint32_t uidvalidity, uint32_t uid);
struct ingest_append_params {
	struct slice ticket;
	uint64_t mailbox;
	uint32_t flags;        /* enum msg_flag */
	struct slice keywords; /* separated by spaces */
	int64_t internal_date;
	int16_t internal_zone;
	uint64_t size; /* exact octets to come */
};
struct ingest_append *ingest_append_start(struct ingest_client *c,
    const struct ingest_append_params *p, void (*drained)(void *arg), ingest_done_fn done,
    void *arg);
/* At most 64 KiB a call. 0, ERR_AGAIN (window full, nothing taken: wait for drained), ERR_CLOSED (done will tell). */
int ingest_append_write(struct ingest_append *a, const void *p, size_t n);
int ingest_append_end(struct ingest_append *a); /* all size octets were written */
/* The same for one message of several that go in together (MULTIAPPEND): group is chosen at random, index counts from 0. done has uid 0 but for the last,
 * where it is the first one's; the others follow it. */
int ingest_append_end_part(
    struct ingest_append *a, const unsigned char group[16], uint32_t index, bool last);
void ingest_append_abort(
    struct ingest_append *a); /* nothing is stored; done is not called; NULL accepted */

#endif
