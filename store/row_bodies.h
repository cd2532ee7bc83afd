/* row_bodies.h: which bodies a row refers to. The one place that says so: the collection of bodies (backend_kv_space.c) drops what no row
 * names, so a kind of row that is not in the table of row_bodies.c stops every collection, rather than have mail lost. Pure; runs in stored. */
#ifndef CV_ROW_BODIES_H
#define CV_ROW_BODIES_H

#include "lib/buf.h"

typedef void (*row_body_fn)(void *arg, uint64_t body);
/* Calls fn for each body that the row (object "m.…" or "a.…", its key and value) names; possibly the same one more than once. 0;
 * ERR_UNSUPPORTED: a kind of row or a version nobody told about here; ERR_CORRUPT. fn may have been called before an error. */
int row_bodies(
    struct slice object, struct slice key, struct slice value, row_body_fn fn, void *arg);

/* Whether the row names its bodies only for as long as another row names the body *of_out: what was read of a mail goes with the mail. Such rows stand behind all
 * others in the order of keys (object "s.texts"). */
bool row_is_weak(struct slice object, struct slice key, uint64_t *of_out);

/* What rows amount to, for `congvu store stats`: added to. */
struct row_counts {
	uint64_t rows, accounts, mailboxes, messages;
	uint64_t message_octets;            /* as users see them: RFC822.SIZE */
	uint64_t retained, retained_octets; /* expunged and kept: "k/" rows */
	uint64_t holds;                     /* legal holds in force at now_s */
	/* rows of text_row.h: not read yet, with text, without, given up; since when the oldest waits (seconds since 1970; 0: none does) */
	uint64_t texts_wanted, texts_read, texts_none, texts_failed;
	int64_t texts_since;
	int64_t now_s;
};
void row_count(struct slice object, struct slice key, struct slice value, struct row_counts *c);

#endif
