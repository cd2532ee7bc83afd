/* doc_facts.h: what a document says of itself: number and symbol, type, agency, place and date, summary, urgency; read from its text (DOMAIN.md C3,
 * Decree 30/2020 Appendix I) or from a subject. Pure. */
#ifndef CV_DOC_FACTS_H
#define CV_DOC_FACTS_H

#include "milter/symbol.h"

struct doc_facts {
	struct buf symbol;  /* "15/QĐ-UBND" as written; empty: none */
	struct buf type;    /* "QĐ" of the symbol, else of the heading; empty for a công văn */
	struct buf agency;  /* the line above the number */
	struct buf place;   /* "Tỉnh Mẫu" */
	struct buf date;    /* "2026-03-12" */
	struct buf summary; /* trích yếu */
	struct buf urgency; /* "khan", "thuong khan", "hoa toc" */
	struct buf
	    capacity; /* of who signs: "TM", "Q", "KT", "TL", "TUQ"; empty: no mark is to be seen */
};
void doc_facts_init(struct doc_facts *d);
void doc_facts_done(struct doc_facts *d);
/* The text of a document, UTF-8, a line for each line; columns are parted by three blanks. Whether anything was found. */
bool doc_facts_text(struct slice text, struct doc_facts *d);
/* A decoded subject: its symbol, what follows it as the summary, marks of urgency. */
bool doc_facts_subject(struct slice subject, struct doc_facts *d);

#endif
