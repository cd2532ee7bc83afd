/* imap_cur.h: reads the arguments of a whole command, left to right, by the formal syntax of RFC 3501 section 9. Pure.
 * Each reader gives true and moves on, or gives false and leaves the place undefined (the command is then BAD). Strings are
 * borrowed from the command where they can be; a quoted string with escapes is copied into the arena. */
#ifndef CV_IMAP_CUR_H
#define CV_IMAP_CUR_H

#include "imapd/seqset.h"
#include "lib/arena.h"

struct imap_cur {
	struct slice rest;
};

static inline struct imap_cur
imap_cur_of(struct slice s)
{
	return (struct imap_cur){s};
}

bool imap_cur_sp(struct imap_cur *c);        /* exactly one space */
bool imap_cur_end(const struct imap_cur *c); /* nothing is left */
bool imap_cur_char(struct imap_cur *c, char ch);
bool imap_cur_peek(const struct imap_cur *c, char ch);
/* tag: ASTRING-CHARs but "+"; at most 256 octets. */
bool imap_cur_tag(struct imap_cur *c, struct slice *out);
bool imap_cur_atom(struct imap_cur *c, struct slice *out);
/* quoted or literal; NUL is refused. */
bool imap_cur_string(struct imap_cur *c, struct arena *a, struct slice *out);
bool imap_cur_astring(struct imap_cur *c, struct arena *a, struct slice *out);
/* string or NIL (ptr NULL then). */
bool imap_cur_nstring(struct imap_cur *c, struct arena *a, struct slice *out);
/* list-mailbox: list-chars (with "%" and "*") or string. */
bool imap_cur_pattern(struct imap_cur *c, struct arena *a, struct slice *out);
/* Behind one astring, its content unread. */
bool imap_cur_skip_astring(struct imap_cur *c);
bool imap_cur_number(struct imap_cur *c, uint64_t max, uint64_t *out);
/* sequence-set as written, "*" unresolved; "$" alone gives out->saved (RFC 5182; where the grammar has no seq-last-command, refuse it). */
bool imap_cur_set(struct imap_cur *c, struct arena *a, struct seqset *out);

#define IMAP_KEYWORDS_MAX 64    /* keywords in one command */
#define IMAP_KEYWORDS_SIZE 4096 /* octets of them */
/* One flag: a bit of enum msg_flag (0 for \Recent, which cannot be set and is ignored), or a keyword (bit 0, keyword not empty). */
bool imap_cur_flag(struct imap_cur *c, uint32_t *bit_out, struct slice *keyword_out);
/* "(" flags ")": bits and keywords separated by spaces (in the arena). bare: flags without parentheses are good too (STORE). */
bool imap_cur_flags(
    struct imap_cur *c, struct arena *a, bool bare, uint32_t *bits_out, struct slice *keywords_out);
/* A date-time in quotes (RFC 3501 date-time). */
bool imap_cur_date_time(struct imap_cur *c, int64_t *t_out, int *zone_out);
/* date, quoted or not: days since 1970. */
bool imap_cur_date(struct imap_cur *c, int64_t *day_out);

#endif
