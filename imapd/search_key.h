/* search_key.h: the search program of SEARCH: parsed once, then asked for each message with as much of it as is known. Pure.
 * RFC 3501 6.4.4. Texts match as substrings without case and, for people who type without marks, without marks (lib/fold.h vn_fold on both sides). */
#ifndef CV_SEARCH_KEY_H
#define CV_SEARCH_KEY_H

#include "imapd/imap_cur.h"
#include "store/row.h"

#define SEARCH_DEPTH_MAX 32
#define SEARCH_KEYS_MAX 1000
#define SEARCH_TEXTS_MAX 64 /* BODY and TEXT keys in one program */
#define SEARCH_PROBES_MAX 16

enum search_kind {
	SEARCH_AND, /* child list; empty: ALL */
	SEARCH_OR,  /* two children */
	SEARCH_NOT, /* one child */
	SEARCH_SEQ,
	SEARCH_UID,
	SEARCH_FLAG,     /* flag (enum msg_flag or VIEW_RECENT) is set */
	SEARCH_KEYWORD,  /* word */
	SEARCH_INTERNAL, /* day, op */
	SEARCH_WITHIN,   /* size seconds, op: before = OLDER, since = YOUNGER (RFC 5032) */
	SEARCH_SENT,
	SEARCH_SIZE,    /* size, op: before = smaller, since = larger */
	SEARCH_MODSEQ,  /* size: RFC 7162 3.1.5 */
	SEARCH_EMAILID, /* word: RFC 8474 */
	SEARCH_SAVED,   /* day, op: RFC 8514 */
	SEARCH_HEADER,  /* field, needle */
	SEARCH_BODY,    /* needle, text */
	SEARCH_TEXT,
};
enum search_op { SEARCH_BEFORE, SEARCH_ON, SEARCH_SINCE };
struct search_key {
	enum search_kind kind;
	enum search_op op;
	struct search_key *child, *next;
	struct seqset set;
	uint32_t flag;
	int64_t day;
	uint64_t size;
	struct slice word;   /* keyword or field name, as given */
	struct slice needle; /* folded */
	uint32_t text;       /* BODY, TEXT: its number from 0 */
	uint32_t probe; /* its number from 1 among those that the index is asked for; 0: none */
};
struct search_prog {
	struct search_key *root;
	uint32_t n_keys, n_texts;
	bool
	    modseq; /* a MODSEQ key: the answer names the highest mod-sequence of the messages found */
	struct search_key *texts[SEARCH_TEXTS_MAX];
	uint32_t n_probes;
	struct search_key *probes[SEARCH_PROBES_MAX]; /* see search_prog_probes */
	bool has_charset;                             /* CHARSET was given */
	int64_t now; /* seconds since 1970: what WITHIN counts from; the caller's to set */
};
/* "[CHARSET x] key …" to the end. 0; ERR_SYNTAX; ERR_LIMIT; ERR_NOMEM; ERR_UNSUPPORTED: the charset (BADCHARSET). */
int search_prog_parse(struct imap_cur *c, struct arena *a, struct search_prog *out);
/* As SORT and THREAD have it (RFC 5256): "charset key …". */
int search_prog_parse_charset(struct imap_cur *c, struct arena *a, struct search_prog *out);
/* Resolves "*" in all sets; "$" becomes saved (resolved UIDs, borrowed; RFC 5182). */
void search_prog_resolve(
    struct search_prog *p, uint32_t max_seq, uint32_t max_uid, const struct seqset *saved);

/* Finds the keys that the index of the store can help with: texts of at least three octets in BODY, TEXT, and HEADER where the row does not tell. */
void search_prog_probes(struct search_prog *p);

enum search_need {
	SEARCH_NEED_ROW = 1,
	SEARCH_NEED_HEADER = 2,
	SEARCH_NEED_TEXT = 4,
	SEARCH_NEED_DOCUMENTS = 8, /* the text of the documents in it */
};
enum search_answer { SEARCH_NO, SEARCH_YES, SEARCH_UNKNOWN };
struct search_msg {
	uint32_t seq, uid;
	uint32_t flags;            /* of the view, VIEW_RECENT included */
	const struct msg_row *row; /* NULL: not read yet */
	struct slice header;       /* trace and header; used when has_header */
	bool has_header, has_text;
	uint64_t text_found; /* bit per text key: found in the body (has_text) */
	uint32_t not_there;  /* bit per probe: the index knows that it is not there */
	/* where documents are looked into (search_attachment_text): bits as store_texts_maybe tells of the first 16 text keys; what was found in the documents (has_documents) */
	uint32_t documents_may;
	bool has_documents;
	uint64_t documents_found;
	uint32_t need; /* enum search_need: set when the answer is SEARCH_UNKNOWN */
};
/* The answer as far as it can be known; m->need says what would help. */
enum search_answer search_ask(const struct search_prog *p, struct search_msg *m);

#endif
