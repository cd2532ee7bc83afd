/* audit.h: the audit log's lines and their hash chain. Pure but for the reader, which reads a descriptor it is given.
 *
 * One record a line: canonical JSON (lib/json.h) with v, seq, ts, host, event, … prev, h. prev is the h of the record before (64
 * zeros for the first); seq counts from 1 without a gap. With d = hex(SHA-256(canonical record without h)):
 *   v 2: h = hex(SHA-256(prev ‖ d)), over the 128 hex digits, so that who proves one record shows of the others their d alone, and
 *        sha256sum is enough to follow; "salt", 16 random octets, keeps the content of a record from being guessed from its d
 *   v 1 (read, no longer written): h = hex(SHA-256(32 bytes of prev ‖ canonical record without h)), no salt
 * A line is valid only if it is byte for byte the canonical form of what it says. Used by milter-ledger (writes) and congvu (verifies). */
#ifndef CV_AUDIT_H
#define CV_AUDIT_H

#include "lib/json.h"

#define AUDIT_VERSION 2
#define AUDIT_LINE_MAX (1u << 20)
#define AUDIT_STATE_LEN 164 /* octets of the state file, LF included */

/* d of a record whose canonical form without h is canon; h of a record (v 2) from prev and d. */
void audit_digest(struct slice canon, char out[65]);
void audit_link(const char prev[65], const char d[65], char out[65]);

/* The end of a chain: the last record's number and hash. */
struct audit_chain {
	uint64_t seq; /* 0: no record yet */
	char h[65];
};
void audit_chain_init(struct audit_chain *c);

/* Puts v, seq, ts, host, salt and prev into rec, appends the line, which has h too, with its LF to out and moves c on. ERR_EXISTS when rec has one of
 * these keys, ERR_SYNTAX when it is no object or holds a real number, ERR_LIMIT for a line over AUDIT_LINE_MAX or out's cap: c and
 * out are then as before. */
int audit_seal(
    struct audit_chain *c, struct json *rec, const char *ts, const char *host, struct buf *out);

/* Checks one line (without LF) as the successor of c and moves c on. 0, or ERR_CORRUPT with *why_out (static text). rec_out
 * (may be NULL) is the caller's. audit_line_parse does the same without asking what came before; it fills c. */
int audit_check_line(
    struct audit_chain *c, struct slice line, struct json **rec_out, const char **why_out);
int audit_line_parse(
    struct slice line, struct audit_chain *c, struct json **rec_out, const char **why_out);

/* The state file (the log's name with AUDIT_STATE_SUFFIX): what the ledger knows to be on stable storage; written after each
 * sync, so it is never ahead of the log. */
#define AUDIT_STATE_SUFFIX ".state"
struct audit_state {
	struct audit_chain last;
	uint64_t size; /* of the log, octets */
};
void audit_state_format(const struct audit_state *s, char out[AUDIT_STATE_LEN + 1]);
int audit_state_parse(struct slice text, struct audit_state *out); /* 0 or ERR_SYNTAX */

/* Lines of a log, from a descriptor that stays the caller's. next: 0 with the line (borrowed until the next call, without LF),
 * ERR_EOF at the end (audit_reader_torn: bytes behind the last LF), ERR_LIMIT for an over-long line, ERR_IO. */
struct audit_reader;
struct audit_reader *audit_reader_new(int fd);
void audit_reader_free(struct audit_reader *r);
int audit_reader_next(struct audit_reader *r, struct slice *line_out);
uint64_t audit_reader_line(
    const struct audit_reader *r); /* number of the last line given, from 1 */
size_t audit_reader_torn(const struct audit_reader *r);

#endif
