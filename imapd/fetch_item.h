/* fetch_item.h: what a FETCH asks for. Pure. RFC 3501 6.4.5 and section 9 (fetch-att, section). */
#ifndef CV_FETCH_ITEM_H
#define CV_FETCH_ITEM_H

#include "imapd/imap_cur.h"

enum fetch_kind {
	FETCH_FLAGS,
	FETCH_UID,
	FETCH_INTERNALDATE,
	FETCH_SIZE,
	FETCH_ENVELOPE,
	FETCH_BODY, /* BODY: the structure, not extensible */
	FETCH_BODYSTRUCTURE,
	FETCH_MODSEQ,      /* RFC 7162 */
	FETCH_EMAILID,     /* RFC 8474 */
	FETCH_THREADID,    /* RFC 8474 */
	FETCH_SAVEDATE,    /* RFC 8514 */
	FETCH_BINARY_SIZE, /* BINARY.SIZE[…]: RFC 3516 */
	FETCH_PREVIEW,     /* RFC 8970 */
	FETCH_SECTION,     /* BODY[…], BODY.PEEK[…], RFC822, RFC822.HEADER, RFC822.TEXT */
};
enum fetch_text {  /* the end of a section */
	FETCH_ALL, /* nothing: the whole message or part */
	FETCH_HEADER,
	FETCH_FIELDS, /* HEADER.FIELDS and HEADER.FIELDS.NOT */
	FETCH_MIME,
	FETCH_TEXT,
};
#define FETCH_ITEMS_MAX 64
#define FETCH_PATH_MAX 32
#define FETCH_FIELDS_MAX 128

struct fetch_item {
	enum fetch_kind kind;
	/* of a section: */
	enum fetch_text text;
	bool peek, fields_not, partial;
	bool lazy;   /* PREVIEW (LAZY) */
	bool binary; /* BINARY[…]: the transfer encoding undone */
	uint32_t path[FETCH_PATH_MAX];
	uint32_t n_path;
	struct slice *fields;
	uint32_t n_fields;
	uint32_t off, len;  /* partial */
	struct slice label; /* what the answer calls it: "BODY[1.MIME]<0>" or "RFC822" */
};
struct fetch_items {
	struct fetch_item *items; /* in the arena */
	size_t n;
};
/* One item, a list, or a macro. */
bool fetch_items_parse(struct imap_cur *c, struct arena *a, struct fetch_items *out);
/* Adds an item of the given kind unless it is there (UID FETCH adds UID). false for no room. */
bool fetch_items_want(struct fetch_items *f, enum fetch_kind kind, bool first);
bool fetch_items_has(const struct fetch_items *f, enum fetch_kind kind);

#endif
