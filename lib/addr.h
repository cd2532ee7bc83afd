/* addr.h: mail addresses and address lists, pure. RFC 5321 4.1.2 (paths), RFC 5322 3.4 (header lists),
 * RFC 6531/6532 (UTF-8). No I/O. */
#ifndef CV_ADDR_H
#define CV_ADDR_H

#include "lib/arena.h"

/* One mailbox of a header list, in an arena. Group starts/ends appear as entries (as IMAP's ENVELOPE wants). */
enum addr_kind { ADDR_MAILBOX, ADDR_GROUP_START, ADDR_GROUP_END };
struct addr {
	enum addr_kind kind;
	struct slice
	    display; /* decoded from quotes, not from RFC 2047; empty when none. Group: its name */
	struct slice route;  /* obsolete source route "@a,@b"; empty when none */
	struct slice local;  /* unquoted local part */
	struct slice domain; /* may be empty when missing (obsolete or broken) */
	struct addr *next;
};

/* The address list of a header field body (unfolded or folded). Lenient as RFC 5322's obsolete syntax is: what cannot be
 * read becomes an entry with empty domain. *strict_out (may be NULL) is false when anything was not by the grammar
 * of RFC 5322 section 3 (obsolete forms included are "not strict"). At most max entries: ERR_LIMIT. */
int addr_list_parse(
    struct slice field_body, size_t max, struct arena *a, struct addr **list_out, bool *strict_out);

/* The path of MAIL FROM / RCPT TO with its angle brackets: "<>" gives local and domain empty. Source routes are read and
 * dropped. utf8: allow UTF-8 (SMTPUTF8). rest_out: what follows the ">" (parameters). 0 or ERR_SYNTAX, ERR_LIMIT (local 64,
 * domain 255, path 256 octets: RFC 5321 4.5.3.1). *addr_out: "local@domain" with the local part unquoted only
 * when quoting was not needed, the domain lower-cased (ASCII); in the arena. "postmaster" without domain is allowed for RCPT. */
int addr_path_parse(
    struct slice s, bool utf8, struct arena *a, struct slice *addr_out, struct slice *rest_out);

/* Splits "local@domain" at the last "@" outside quotes. 0 or ERR_SYNTAX. */
int addr_split(struct slice addr, struct slice *local_out, struct slice *domain_out);
/* The form for look-ups and comparison: domain lower-cased (A-label, via IDNA 2008), local part lower-cased ASCII and
 * NFC. Appended to out. */
int addr_normalize(struct slice addr, struct buf *out);
/* Whether both name the same mailbox by addr_normalize. */
bool addr_same(struct slice a, struct slice b);
/* Whether a domain name or address literal follows RFC 5321 4.1.2 (UTF-8 labels allowed when utf8). */
bool addr_domain_ok(struct slice domain, bool utf8);

#endif
