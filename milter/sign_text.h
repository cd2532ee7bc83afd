/* sign_text.h: the text that a checkpoint's signature is over, and milter-sign's memory of the last one. Pure. Made by milter-sign, read by congvu.
 *
 *   congvu-audit-checkpoint 2
 *   host=mail.agency.example
 *   seq=1000
 *   h=<64 hex digits, small letters>
 *   after_seq=900
 *   after_h=<the same two of the checkpoint that was signed before this one; 0 and zeros: there was none>
 *   time=2026-11-22T03:04:05.000000Z
 *   key=<64 hex digits: SHA-256 of the key's SubjectPublicKeyInfo>
 *
 * each line ended by LF. It says: at that time the log of that host had a record of that number with that hash, so all records up to it.
 * Without the lines "after" (version 1, read, no longer written) a log that was written anew from its beginning could be signed once more
 * when it had become longer: now the first checkpoint over it says that another record stood there. */
#ifndef CV_SIGN_TEXT_H
#define CV_SIGN_TEXT_H

#include "lib/buf.h"

#define SIGN_NO_HASH "0000000000000000000000000000000000000000000000000000000000000000"

struct sign_text {
	unsigned version; /* 0 is taken as 2 */
	uint64_t seq, after_seq;
	char h[65], after_h[65], key_id[65];
	struct slice host, time; /* borrowed */
};
int sign_text_format(const struct sign_text *t, struct buf *out);
/* The text must be exactly what sign_text_format makes of it: 0 or ERR_SYNTAX. */
int sign_text_parse(struct slice text, struct sign_text *out);

/* The last checkpoint that was signed, as milter-sign keeps it in a file: SIGN_STATE_LEN octets. */
#define SIGN_STATE_LEN 112
struct sign_state {
	uint64_t seq; /* 0: none yet */
	char h[65];
};
void sign_state_format(const struct sign_state *s, char out[SIGN_STATE_LEN + 1]);
int sign_state_parse(struct slice text, struct sign_state *out);
/* A row of milter-sign's own list of all that it signed: fixed length, so that a torn one at its end is seen. Whoever keeps a checkpoint back
 * takes it out of the audit log, and not out of this list: congvu audit verify compares both. */
#define SIGN_ROWS_FILE "signed.rows"
#define SIGN_ROW_LEN 107
struct sign_signed {
	uint64_t seq, after_seq; /* after: the row before it, 0: none */
	char h[65];
};
void sign_signed_format(const struct sign_signed *r, char out[SIGN_ROW_LEN + 1]);
int sign_signed_parse(struct slice text, struct sign_signed *out);
/* 64 hex digits in small letters. */
bool sign_is_hash(struct slice s);
/* Whether a checkpoint may follow: a higher number, or the same one with the same hash. */
bool sign_may_follow(const struct sign_state *last, uint64_t seq, const char *h);

#endif
