/* deliver_client.h: ingest's door to stored (store.ingest.sock). It may put mail into any account and read nothing. Completions come
 * on the loop, never from within the call, exactly once unless cancelled.
 *
 * Everything is repeatable: the same delivery id again answers with the same places and adds no copy (per mailbox, for delivery_memory_days).
 * So after ERR_TEMP, ERR_CLOSED, ERR_TIMEOUT or ERR_UNKNOWN a delivery may be sent again. */
#ifndef CV_DELIVER_CLIENT_H
#define CV_DELIVER_CLIENT_H

#include "lib/ipc.h"

#define DELIVER_INLINE_MAX \
	(256u * 1024) /* a body up to here goes as bytes, a larger one must come as fd */
#define DELIVER_SUMMARY_MAX (384u * 1024)
#define DELIVER_TARGETS_MAX 100 /* more recipients: several calls with the same delivery id */
#define DELIVER_TRACE_MAX 8192
#define DELIVER_ENVELOPE_MAX 16384
#define DELIVER_REFS_MAX 520 /* MSGID_REFS_SIZE */

struct deliver_client;
/* socket: "store.ingest.sock". fatal() for no memory. */
struct deliver_client *deliver_client_new(struct loop *l, const char *socket);
void deliver_client_free(struct deliver_client *c); /* pending completions are not called */

/* How a message goes to stored (the octet "how" of store_proto.def). */
enum deliver_how { DELIVER_BY_FD = 1, DELIVER_DOCUMENTS = 2, DELIVER_SAME = 4 };

/* What is common to all recipients. Everything is borrowed for the call. */
struct deliver_message {
	unsigned char id[16];     /* delivery id; for APPEND: random */
	unsigned char sha256[32]; /* of the body; checked by stored (ERR_CORRUPT) */
	uint64_t size;
	struct slice body; /* when fd is -1 */
	int fd; /* -1, or a file that is read from 0 to size (duplicated: the caller keeps and closes its own) */
	struct slice summary; /* mime_tree_encode */
	struct slice
	    envelope; /* mime_envelope(header, false); empty when longer than DELIVER_ENVELOPE_MAX */
	int64_t sent_date; /* INT64_MIN when unreadable */
	unsigned char email_id[16];
	struct slice refs; /* msgid_refs (lib/msgid.h) */
	bool has_same;
	unsigned char same[16]; /* ingest_same: of a copy for Sent, and of an APPEND */
	bool documents; /* there may be documents in it, whose text is wanted (store/text_row.h) */
};
struct deliver_target {
	struct slice account; /* "p-000123"; comes into being when it is new */
	struct slice
	    mailbox; /* "INBOX"; another one that does not exist: INBOX takes it. Of a copy for Sent: the address of who sent it */
	struct slice
	    trace; /* Return-Path, Delivered-To, Received …: CRLF-terminated lines, put before the body on fetch */
	int64_t internal_date;
	int16_t internal_zone;
	uint32_t flags; /* enum msg_flag, 0 as a rule */
	bool sent;      /* of all targets or of none: a copy for Sent, flags do not count */
};
struct deliver_result {
	int err; /* 0 once it is on stable storage; ERR_FULL (quota or disk), ERR_TEMP, ERR_UNKNOWN, ERR_SYNTAX (no account id) */
	uint32_t uidvalidity, uid; /* 0 when the repeated message is not there any more */
	bool repeated;             /* this mailbox had this delivery already */
};
/* err other than 0: nothing is known of any target (ERR_TEMP, ERR_CORRUPT, ERR_LIMIT, …), results NULL. Else one result a target, in order. */
typedef void (*deliver_fn)(void *arg, int err, const struct deliver_result *results, size_t n);
/* 0, ERR_LIMIT (a bound above, or more than 1 MiB in all: split the targets), ERR_IO. timeout_ms 0: 30 s. */
int deliver_send(struct deliver_client *c, const struct deliver_message *m,
    const struct deliver_target *targets, size_t n, unsigned timeout_ms, deliver_fn fn, void *arg,
    uint32_t *call_out);

/* APPEND under the ticket of a signed-in person. */
struct deliver_append {
	struct slice ticket;
	uint64_t mailbox;
	uint32_t flags;        /* enum msg_flag */
	struct slice keywords; /* separated by spaces */
	int64_t internal_date;
	int16_t internal_zone;
	const unsigned char *group; /* MULTIAPPEND: 16 octets; NULL: a message by itself */
	uint32_t index;             /* in the group, from 0 */
	bool last; /* the group goes in, or nothing of it; the answer has the first one's UID */
};
/* err: 0, ERR_DENIED, ERR_EXPIRED (ticket), ERR_NOTFOUND (mailbox), ERR_FULL, ERR_LIMIT (keywords), ERR_TEMP, ERR_UNKNOWN. */
typedef void (*deliver_append_fn)(void *arg, int err, uint32_t uidvalidity, uint32_t uid);
int deliver_append(struct deliver_client *c, const struct deliver_message *m,
    const struct deliver_append *a, unsigned timeout_ms, deliver_append_fn fn, void *arg,
    uint32_t *call_out);

/* A message of an import, under the id in m; congvu names account and mailbox. Repeatable as a delivery, for import_memory_days. */
enum import_how {
	IMPORT_OVER_QUOTA = 1, /* the quota does not hold */
	IMPORT_AGAIN = 2, /* what was brought before and is there no more is brought once more */
};
struct deliver_import {
	struct slice account;
	uint64_t mailbox;
	struct slice trace; /* as of a deliver_target */
	uint8_t how;        /* enum import_how */
	uint32_t flags;
	struct slice keywords;
	int64_t internal_date;
	int16_t internal_zone;
};
/* err: 0, ERR_NOTFOUND (account, mailbox), ERR_FULL, ERR_LIMIT or ERR_SYNTAX (keywords), ERR_TEMP, ERR_UNKNOWN. repeated: it was there already. */
typedef void (*deliver_import_fn)(
    void *arg, int err, uint32_t uidvalidity, uint32_t uid, bool repeated);
int deliver_import(struct deliver_client *c, const struct deliver_message *m,
    const struct deliver_import *i, unsigned timeout_ms, deliver_import_fn fn, void *arg,
    uint32_t *call_out);
/* Before its octets are there: 0 and repeated, with its place; 0 alone: it would be taken now; else as above. Of i only account, mailbox and how. */
int deliver_import_check(struct deliver_client *c, const struct deliver_import *i,
    const unsigned char id[16], uint64_t size, unsigned timeout_ms, deliver_import_fn fn, void *arg,
    uint32_t *call_out);

/* Whether a message of size octets would be taken now, before it streams in. For a recipient: account, ticket empty, mailbox 0. For APPEND:
 * ticket and mailbox. 0 or as above (ERR_FULL, ERR_DENIED, …). An account that does not exist yet is fine. */
typedef void (*deliver_check_fn)(void *arg, int err);
int deliver_check(struct deliver_client *c, struct slice account, struct slice ticket,
    uint64_t mailbox, uint64_t size, unsigned timeout_ms, deliver_check_fn fn, void *arg,
    uint32_t *call_out);

/* Whether what was delivered to an account under id was read. err: 0 (or it is in INBOX no more), ERR_AGAIN (unread), ERR_NOTFOUND (nothing is known of
 * it), ERR_TEMP, … */
int deliver_read_state(struct deliver_client *c, struct slice account, const unsigned char id[16],
    unsigned timeout_ms, deliver_check_fn fn, void *arg, uint32_t *call_out);

/* The completion of that call is never called. */
void deliver_cancel(struct deliver_client *c, uint32_t call);

#endif
