/* stored_deliver_priv.h: for stored_deliver*.c: a message that ingest brings, on its way into the store. stored_deliver.c: deliveries, and what all have in common;
 * stored_deliver_append.c: APPEND; stored_deliver_group.c: MULTIAPPEND. Runs in stored. */
#ifndef CV_STORED_DELIVER_PRIV_H
#define CV_STORED_DELIVER_PRIV_H

#include "store/deliver_client.h"
#include "store/stored_priv.h"

enum { DELIVER_OP_MEM = 128 * 1024 }; /* of the operation that puts the row in */

struct target;
struct deliver {
	struct req r;
	struct arena *mem;
	unsigned char id[16];
	bool documents;     /* the text of what is in the body is wanted */
	struct msg_row row; /* common fields */
	struct target *targets;
	size_t n, left;
	bool sent; /* copies for Sent */
	/* APPEND */
	struct slice keywords;
	bool once;   /* by content */
	bool shared; /* to somebody else's Sent, where the server's copy may be */
	/* MULTIAPPEND */
	struct conn *c; /* held; NULL: a message by itself */
	struct deliver *next;
	unsigned char group[16];
	uint32_t index;
	bool last;
	uint64_t mailbox;
	struct session *s;
	unsigned char content[16]; /* of the SHA-256 of the body */
	struct sent_same same;
};

struct deliver *deliver_new(struct conn *c, uint32_t id);
void deliver_free(struct deliver *d);
/* So many octets as "bytes". 0 or ERR_PROTO. */
int deliver_get_fixed(struct ipc_reader *r, unsigned char *out, size_t n);
/* What every request begins with: id, content and row, into d and c. 0 or ERR_PROTO. */
int deliver_get_message(struct ipc_reader *r, struct deliver *d, struct content *c, int fd);
/* The request is malformed: d and fd (-1: none) go. Gives ERR_PROTO. */
int deliver_bad(struct deliver *d, int fd);
/* Writes the body; fn gets d. fd is taken. Gives 0. */
int deliver_write(struct deliver *d, const struct content *c, int fd, backend_body_fn fn);

/* ---- stored_deliver_append.c ---- */

/* The row of the delivery id was looked for: what this request brought before is there, else otherwise is told. d goes. */
void append_seen(struct deliver *d, int err, struct slice value, int otherwise);
/* uid 0: of a part that is not the last. d stays. */
void append_tell(struct deliver *d, uint32_t uidvalidity, uint32_t uid);

/* ---- stored_deliver_group.c ---- */

/* d is one of several, its body written. */
void append_part(struct deliver *d, struct mbox *m, const char *rights);

#endif
