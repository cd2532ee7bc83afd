/* cert_table.h: certificates of people who sign mail, waiting for an officer, and what officers decided of them: the lines of CERT_FILE, and their index in
 * memory. A line is eight hexadecimal digits (CRC-32C of what follows the space), a space, a canonical JSON object, LF. Its "k":
 *   "cert"   v, sha256, address, account ("": nobody of the directory), subject, issuer, serial, not_before, not_after, der (base64: FINDINGS's certs), first, qid
 *   "seen"   sha256, n, last
 *   "state"  sha256, state, at, by, decision, reason; published (lines of older versions lack it: then what the lines before it say)
 * milter-ledger writes them (ledger_certs.h), congvu reads them. Pure but for memory; nothing here parses a certificate. Times: seconds since 1970. */
#ifndef CV_CERT_TABLE_H
#define CV_CERT_TABLE_H

#include "lib/json.h"

#define CERT_FILE "certs.jsonl" /* in ledger_dir */

enum {
	CERT_DER_MAX = 16384,  /* FINDINGS_CERTS_MAX */
	CERT_LINE_MAX = 65536, /* of one line, LF included */
	CERT_ADDRESS_MAX = 320,
	CERT_TEXT_MAX = 512,
	CERTS_PER_ADDRESS = 8,    /* that wait */
	CERTS_PENDING_MAX = 4096, /* that wait, of people in the directory */
	CERTS_OUTSIDE_MAX = 1024, /* that wait, of others */
	CERTS_DECIDED_MAX = 65536,
};

/* As on the wire. */
enum cert_state {
	CERT_UNKNOWN = 0,
	CERT_PENDING = 1,
	CERT_PUBLISHED = 2,
	CERT_BANNED = 3,
	CERT_WITHDRAWN = 4
};
/* "pending", as in files and rows; static. s: one of the above. */
const char *cert_state_name(enum cert_state s);
/* CERT_UNKNOWN: no such name. */
enum cert_state cert_state_of(struct slice name);

struct cert_row {
	unsigned char sha256[32];
	enum cert_state state;
	bool inside;    /* of somebody in the directory */
	bool published; /* in the directory: approved and not withdrawn since, banned or not */
	char *address;  /* normalized */
	int64_t not_after, last;
	uint64_t count;      /* mails that were signed with it */
	uint64_t at;         /* of its line "cert" in the file */
	size_t len;          /* of that line, LF included */
	uint64_t decided_at; /* of its line "state"; decided_len 0: none */
	size_t decided_len;
	bool is_counted;                                /* count or last differ from the file */
	struct cert_row *next_in_bucket, *next, **prev; /* next: in the order of the file */
};

struct cert_table;
/* Empty; no memory ends the process. cert_table_free: with all its rows; NULL accepted. */
struct cert_table *cert_table_new(void);
void cert_table_free(struct cert_table *t);
/* The row of the certificate with this SHA-256 (of its DER), and the first in the order of the file, the others by its next; NULL: none. Rows are the table's, good
 * until they are removed or expire, or the same certificate's next line "cert" comes. count, last and is_counted may be written; the rest may not. */
struct cert_row *cert_table_find(struct cert_table *t, const unsigned char sha256[32]);
struct cert_row *cert_table_first(struct cert_table *t);
/* Rows of a state, kept count of; rows in all. */
size_t cert_table_count(const struct cert_table *t, enum cert_state s);
size_t cert_table_total(const struct cert_table *t);
/* Takes in one line of the file (without LF) that stands at an offset. 0; ERR_CORRUPT: it is none of ours, or speaks of a certificate that is not there.
 * *row_out (NULL accepted): whose line it is. No number of rows is too many here: which of them wait still, and whether a later line bans one, only the
 * lines behind tell; cert_table_has_room and CERTS_DECIDED_MAX bound what the ledger adds, and the size of its file the rest. */
int cert_table_line(
    struct cert_table *t, struct slice line, uint64_t at, struct cert_row **row_out);
/* Whether one more may wait for this address (normalized, NUL-terminated); inside: of somebody in the directory. It looks at every row. */
bool cert_table_has_room(const struct cert_table *t, const char *address, bool inside);
/* Takes a row of this table out and frees it. */
void cert_table_remove(struct cert_table *t, struct cert_row *r);
/* Drops what is out of its time (not_after, whatever was decided), and what waits and was not seen for more than so many seconds. How many. The file keeps their lines. */
size_t cert_table_expire(struct cert_table *t, int64_t now, int64_t unseen_s);

/* Whether a milter's entry is one that a line "cert" can be made of: all fields of their kinds and lengths, addresses and texts UTF-8, sha256 that of the first
 * element of der. Takes der's octets if der_out is not NULL (cap CERT_DER_MAX). 0 or ERR_SYNTAX. */
int cert_entry_check(const struct json *e, unsigned char sha256_out[32], struct buf *der_out);
/* Octets of the DER element that s begins with; ERR_SYNTAX: none whole, or none of a SEQUENCE of at most CERT_DER_MAX octets. */
int cert_der_first(struct slice s, size_t *len_out);
/* Appends j as a line with its LF. 0 or ERR_LIMIT. */
int cert_line_put(const struct json *j, struct buf *out);
/* The object of a line (without LF), of whatever kind; the caller's. 0 or ERR_CORRUPT. */
int cert_line_get(struct slice line, struct json **out);

/* All lines of a file, through cert_table_line. What is no line of ours is passed over and counted: a power cut may leave such a one anywhere behind the last sync. */
struct cert_read {
	uint64_t bad, size; /* size: of what was read, up to the last LF */
};
/* From the start of fd, which stays the caller's; its offset stays. 0, ERR_IO (also for no memory): t has part of them then. */
int cert_table_read(struct cert_table *t, int fd, struct cert_read *out);

#endif
