/* maildir.h: what the names and small files of a Maildir say (Maildir++, Dovecot's keywords). Pure; hostile input. Used by congvu mailbox import. */
#ifndef CV_MAILDIR_H
#define CV_MAILDIR_H

#include "lib/buf.h"

/* ---- names of messages: "1700000000.M1P2.host,S=123:2,FSab" ---- */
struct maildir_name {
	struct slice base; /* before the information: what it is called for its whole life */
	uint64_t time;  /* microseconds since 1970, as far as it tells: for the order of coming */
	uint32_t flags; /* enum msg_flag */
	bool passed;    /* P: it was forwarded */
	uint32_t keywords; /* bit i: the letter 'a' + i */
};
/* sep: ':' as a rule; servers on other file systems take ';' or '!' : whichever comes with "2," at the end. Never fails. */
struct maildir_name maildir_name_parse(struct slice name);

/* dovecot-keywords: "0 $Label1" a line. Keyword number i, up to 25; of those that IMAP would not take nothing is left. */
enum { MAILDIR_KEYWORDS = 26, MAILDIR_KEYWORDS_FILE_MAX = 65536 };
struct maildir_keywords {
	char *name[MAILDIR_KEYWORDS]; /* NULL: none */
};
void maildir_keywords_parse(struct slice file, struct maildir_keywords *k_out);
void maildir_keywords_done(struct maildir_keywords *k);
/* Whether s may be a keyword (RFC 9051 9, flag-keyword: an atom). */
bool maildir_keyword_ok(struct slice s);

/* ---- names of mailboxes ---- */

/* ".Sent.2024" → "Sent/2024": levels by dots, modified UTF-7 or else UTF-8, "\2e" and its like (Dovecot's listescape) undone. What a mailbox may not
 * be called (RFC 9051 5.1, and "%", "*", control characters, octets that are no UTF-8) becomes "_". 0, ERR_SYNTAX (nothing is left of it), ERR_LIMIT. */
int maildir_folder_name(struct slice dir, struct buf *name_out);
/* One level of a path in a tree of folders, as above but that a dot is a dot. Appended to name_out behind a "/" where there is something before. */
int maildir_level_name(struct slice level, struct buf *name_out);

#endif
