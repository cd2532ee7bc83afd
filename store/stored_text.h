/* stored_text.h: the texts of documents in mails (text_row.h): who reads them, one body at a time, and what other work inside stored has to know of that. Runs in
 * stored, on the loop.
 *
 * stored parses no document, and no mail: an ingest that asks for work is handed one body, may read that one and no other until it answered, has store-text
 * look into it, and gives back text and signature. No delivery waits for any of it. */
#ifndef CV_STORED_TEXT_H
#define CV_STORED_TEXT_H

#include "store/stored_priv.h"
#include "store/text_row.h"

#ifndef TEXT_ANSWER_MS
#define TEXT_ANSWER_MS \
	180000 /* from one sign of life of the ingest at work to the next: more than its own deadline for store-text */
#endif
#ifndef TEXT_PAUSE_MS
#define TEXT_PAUSE_MS 2000 /* before the next one, when one came to nothing */
#endif
enum { TEXT_BODY_MAX = 128 << 20 }; /* octets of a mail; larger ones are not read */

/* At the start: what was wanted before is taken up. gap_ms: without mail that comes in, before a body is handed out. */
void text_begin(struct stored *st, unsigned gap_ms);
/* A purge takes care that nothing of its bodies is in anybody's hands: no new work is begun until as many calls with false came; true when none is under way. */
bool text_pause(bool on);
bool text_is_idle(void);
/* After a collection: rows of mails that are gone go, what was read of a mail that is there and is lost itself is wanted anew. */
void text_sweep(struct stored *st);
/* Rows of what was given up were put back by a task, or some are wanted for another reason: look. */
void text_look(void);
/* So many of what was given up are wanted again. */
void text_retried(uint64_t n);

/* The object of the rows is there, or on its way: before a batch for it. */
void text_object(struct stored *st);
/* Nothing waits, nothing is read, no purge goes on. */
bool text_is_quiet(void);

/* ---- stored_text_old.c: mail that came before anybody wanted texts ---- */

void text_old_begin(struct stored *st);
/* There may be time for it. */
void text_old_go(void);
void text_old_conn_closed(const struct conn *c);
struct text_old_numbers {
	bool asked;   /* an ingest asked for it since the start */
	bool through; /* there was none left when it was last looked for */
	uint64_t upto,
	    last; /* the numbers of the body that was looked at last, and of the newest */
};
struct text_old_numbers text_old_numbers(void);

/* For status: bodies that wait, since when the oldest does (seconds since 1970; 0: none), given up as far as this process knows. */
struct text_numbers {
	uint64_t waiting, done, failed;
	int64_t oldest;
};
struct text_numbers text_numbers(void);

#endif
