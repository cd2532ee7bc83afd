/* register.h: an issued document as an entry of the register (ledger_register.h). Pure. */
#ifndef CV_REGISTER_H
#define CV_REGISTER_H

#include "milter/rule.h"

/* The entry of the document that a mail issues, as canonical JSON: number and symbol as the mail gives them, the content of its first PDF, else of its
 * first attachment. False: there is none to enter (nothing issued, no number, no agency, no file). now: what year it is when nothing says so. */
bool register_entry(const struct rule_facts *f, const char *qid, int64_t now, struct buf *out);

#endif
