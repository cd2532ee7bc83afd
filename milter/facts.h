/* facts.h: what a message's own header says, for the rules: authors, date, whether it is official. Pure. */
#ifndef CV_FACTS_H
#define CV_FACTS_H

#include "milter/rule.h"

/* Reads From and Date of a header block into f (zeroed by the caller); slices live in the arena. The owner's fields of the authors
 * stay as they are: the directory's answers come later. 0 or ERR_NOMEM. */
int facts_read(struct slice header, struct arena *a, struct rule_facts *f);

/* Decides f->official (DOMAIN.md C3) once authors and authentication are known. header_names: policy_official_headers. Sets
 * official_why to "functional_mailbox", "header", "symbol", or why it is not: "not_ours", "reply", "report", "auto_reply", "". */
void facts_official(
    struct slice header, const char *const *header_names, size_t n_names, struct rule_facts *f);

/* Reads f->doc from the subject and the named header fields. 0 or ERR_NOMEM. */
int facts_document(struct slice header, const char *const *header_names, size_t n_names,
    struct arena *a, struct rule_facts *f);

/* Sets f->auto_forward when a header field says that a mail program forwarded the mail by itself. 0 or ERR_NOMEM. */
int facts_auto_forward(struct slice header, struct arena *a, struct rule_facts *f);

#endif
