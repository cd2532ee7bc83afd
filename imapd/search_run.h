/* search_run.h: a search program put to the selected mailbox. The state of the command that searches begins with a struct search_run. */
#ifndef CV_SEARCH_RUN_H
#define CV_SEARCH_RUN_H

#include "imapd/ahead.h"
#include "imapd/search_key.h"
#include "imapd/search_scan.h"
#include "imapd/session.h"

struct search_run {
	struct search_prog prog;
	bool *hit;        /* by index in the view, told of them; in the command's arena */
	uint64_t *modseq; /* beside hit, of those found: there when prog has a MODSEQ key */
	/* inside */
	void (*done)(struct cmd *m);
	void (*failed)(struct cmd *m);
	uint32_t *open; /* indices that the view could not answer */
	size_t n_open, at, batch_end;
	uint32_t *
	    not_there; /* by index in the view: what the index of the store ruled out; NULL: nothing is known */
	uint32_t *
	    documents_may; /* by index in the view, as store_texts_maybe tells; NULL: nobody asks for them */
	struct arena *batch;
	struct msg_row *rows; /* of the batch, those that need header or text */
	size_t n_rows, row;
	struct ahead ahead;
	bool going, again; /* in next_row */
	bool *over;        /* while it is: set when the search is */
	/* the message under way */
	struct arena *tree_arena;
	struct mime_part *tree;
	struct buf header;
	bool has_header, has_text, has_documents;
	uint64_t documents_found;
	struct search_scan scan, document_scan;
	struct mime_stretch *stretches;
	uint64_t off, end;
	void (*got)(struct cmd *m, struct slice bytes);
};
/* m->state is st, zeroed but for prog. done is called when st->hit is whole; on an error the command is answered, behind on_failure (may be NULL),
 * and done never called. */
void search_run_start(struct cmd *m, struct search_run *st, void (*done)(struct cmd *m),
    void (*on_failure)(struct cmd *m));
/* For SORT and THREAD: reads "charset key …" to the end of the arguments (a wrong one is answered, behind on_failure unless it is BAD), then as above. */
void search_run_charset(struct cmd *m, struct search_run *st, void (*done)(struct cmd *m),
    void (*on_failure)(struct cmd *m));
/* Frees what is not in the arena: for the command's cleanup, and earlier when the hits are all that is needed. */
void search_run_done(struct search_run *st, bool answers_come);

#endif
