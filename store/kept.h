/* kept.h: rows of mail that left the view and is still restorable. Pure; used by stored, by collection and by tests. Every coded form
 * begins with a version byte; what cannot be read is ERR_CORRUPT. Slices are borrowed from the value.
 *
 * In a mailbox: "k/<16 hex modseq of the removal><8 hex uid>" is a message that was expunged. In an account: "l/b<16 hex mailbox>" is a mailbox
 * that was deleted (its object stays as it was), "l/h<16 hex number>" a legal hold, in force or over. */
#ifndef CV_KEPT_H
#define CV_KEPT_H

#include "lib/buf.h"

enum {
	KEPT_KEY_LEN = 26,
	KEPT_BY_MAX = 256,
	KEPT_TEXT_MAX = 1000, /* of a decision, a reason */
};
enum kept_why {
	KEPT_EXPUNGED = 1,
	KEPT_MOVED = 2, /* to another account, out of one that is held */
};
struct kept_row {
	int64_t at;       /* seconds since 1970 */
	uint8_t why;      /* enum kept_why */
	struct slice by;  /* login name of who did it; empty: not known */
	struct slice row; /* the message as its row was: msg_row_decode */
};
int kept_row_encode(const struct kept_row *k, struct buf *out);
int kept_row_decode(struct slice v, struct kept_row *k_out);
/* out has KEPT_KEY_LEN + 1 bytes. */
struct slice kept_key(char *out, uint64_t modseq, uint32_t uid);
int kept_key_read(struct slice key, uint64_t *modseq_out, uint32_t *uid_out);

struct buried_row {
	int64_t at;
	uint32_t use; /* enum mbox_attr */
	struct slice name, by;
};
int buried_row_encode(const struct buried_row *w, struct buf *out);
int buried_row_decode(struct slice v, struct buried_row *w_out);

struct hold_row {
	int64_t at, until; /* until 0: no end */
	struct slice decision, by, reason;
	int64_t released_at; /* 0: in force until its end */
	struct slice release_decision, released_by;
};
int hold_row_encode(const struct hold_row *h, struct buf *out);
int hold_row_decode(struct slice v, struct hold_row *h_out);
/* Whether it keeps mail now. */
static inline bool
hold_row_holds(const struct hold_row *h, int64_t now)
{
	return h->released_at == 0 && (h->until == 0 || h->until > now);
}

#endif
