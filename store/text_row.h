/* text_row.h: what the store knows of the texts of documents in mails (PDF, OOXML, ODF, …), which SEARCH may look into: rows of the object "s.texts", and the
 * texts themselves, which are bodies of their own. Pure. Numbers are big-endian, texts u32 length and bytes.
 *
 * "w/<16 hex body>" wanted: not read yet. "e/<16 hex body>": read; names the body with its text. "f/<16 hex body>": given up, until
 * somebody asks for it again. A body has at most one of them; one without never was asked for. "p": how far old mail was looked through. The header "h" never changes. */
#ifndef CV_TEXT_ROW_H
#define CV_TEXT_ROW_H

#include "lib/buf.h"

#define TEXT_OBJECT "s.texts"
#define TEXT_HEADER "\x01"
enum {
	TEXT_TRIES = 2,
	TEXT_WHY_MAX = 200, /* octets of a reason */
	TEXT_KEY_LEN = 18,
	TEXT_HEAD = 24, /* octets before the text of a body that is one */
};
/* Of old mails, for an ingest to say which may have documents (stored_text_old.c): so many at a time, so many octets of trees. */
enum { TEXT_SHOWN_MAX = 200, TEXT_TREES_MAX = 900 << 10 };
enum text_kind { TEXT_WANTED = 'w', TEXT_READ = 'e', TEXT_FAILED = 'f' };
/* out has TEXT_KEY_LEN + 1 bytes. */
struct slice text_key(char *out, enum text_kind kind, uint64_t body);
int text_key_body(struct slice key, uint64_t *body_out); /* 0 or ERR_CORRUPT */

/* Wanted, failed. */
struct text_wanted {
	int64_t since;    /* seconds since 1970: wanted; failed */
	uint8_t tries;    /* begun */
	struct slice why; /* the last one came to nothing; empty: none did */
};
int text_wanted_encode(const struct text_wanted *t, struct buf *out);
int text_wanted_decode(struct slice v, struct text_wanted *t_out); /* borrows */

enum text_how {
	TEXT_PARTLY = 1,
	/* not all documents could be read to their end */ TEXT_CUT =
	    2 /* there was more than is kept */
};
struct text_read {
	uint64_t text; /* the body; 0: there is no text in it */
	int64_t at;    /* seconds since 1970 */
	uint8_t how;   /* enum text_how */
};
int text_read_encode(const struct text_read *t, struct buf *out);
int text_read_decode(struct slice v, struct text_read *t_out);

/* "p": how far old mail was looked through for documents. */
#define TEXT_OLD_KEY "p"
struct text_old {
	uint64_t upto; /* bodies up to this number were */
	int64_t at;    /* seconds since 1970 when nothing was left; 0: not yet */
};
int text_old_encode(const struct text_old *t, struct buf *out);
int text_old_decode(struct slice v, struct text_old *t_out);

/* What stands before the text, TEXT_HEAD octets: with the number of the body it is of, so that no two are the same body, and with octets that no mail has. */
int text_head_put(uint64_t body, struct buf *out);
bool text_head_ok(struct slice content, uint64_t body);

#endif
