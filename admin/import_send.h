/* import_send.h: the messages of an import, on their way to the store: ingest.admin.sock, many at a time, so that a commit takes many. Each is brought
 * once under its id, whatever dies meanwhile: what had no answer is sent again. Used by congvu mailbox import and store restore --mailbox. */
#ifndef CV_IMPORT_SEND_H
#define CV_IMPORT_SEND_H

#include "lib/ipc.h"
#include "lib/spool.h"

struct sha256;
struct import_msg {
	struct import_msg *next; /* of the sender's */
	char *where;             /* what it is called in reports */
	char *box;               /* the mailbox, for reports; NULL */
	uint64_t mailbox;
	unsigned char id[16];
	uint32_t flags;
	struct buf keywords, trace;
	int64_t date;
	int zone;
	/* what it is made of */
	struct spool *spool;
	struct sha256 *hash;
	unsigned char sha256[32]; /* from import_msg_end on */
	bool cr;
	int err; /* ERR_LIMIT: larger than size_max; ERR_SYNTAX: a NUL; ERR_FULL, ERR_NOMEM */
};
struct import_msg *import_msg_new(uint64_t size_max);
void import_msg_free(struct import_msg *m);
/* Octets as they come. as_lines: a LF alone becomes CRLF. Errors are latched in err. */
void import_msg_add(struct import_msg *m, struct slice s, bool as_lines);
/* All is there. Gives err. */
int import_msg_end(struct import_msg *m);

struct import_send_opts {
	const char *socket; /* relative to the working folder */
	const char *account;
	uint8_t how;      /* enum import_how */
	bool dry;         /* it is only asked whether they would be taken */
	unsigned wait_ms; /* how long the store may be away */
	/* Of each message given, in no order. err 0: it is in; repeated: it was there before. ERR_FULL (quota, disk), ERR_NOTFOUND (its mailbox was deleted), ERR_LIMIT
	 * (larger than is taken), ERR_TEMP (the store was away for too long; so will it be for all that follow). no_keywords: the mailbox has no
	 * room for its keywords: it is in without them. */
	void (*done)(
	    void *arg, const struct import_msg *m, int err, bool repeated, bool no_keywords);
	void (*idle)(void *arg); /* called now and then while it waits; may be NULL */
	void *arg;
};
struct import_send;
struct import_send *import_send_new(const struct import_send_opts *o);
/* Takes m; waits while too many are on their way. 0, or ERR_TEMP once the store was given up. */
int import_send_take(struct import_send *s, struct import_msg *m);
/* Waits for all. */
int import_send_wait(struct import_send *s);
void import_send_free(struct import_send *s);

#endif
