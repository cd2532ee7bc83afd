/* record.h: the audit record of a verdict (MILTER.md section 6). Pure. */
#ifndef CV_RECORD_H
#define CV_RECORD_H

#include "milter/milter_priv.h"
#include "milter/rule.h"

struct record_input {
	const struct session *session;
	const struct msg *msg;
	const char *qid;
	const struct rule_facts *facts;   /* NULL when it did not come that far */
	const struct verdict *verdict;    /* NULL likewise */
	const struct gateway *gateway;    /* NULL: the mail's mailbox has no key here */
	const char *action, *code, *rule; /* "accept", "250", "" */
	struct slice detail;
	struct json *harvest; /* certificates for the ledger (harvest.h); NULL: none */
	uint32_t us_total;
};
/* Canonical JSON of at most LEDGER_RECORD's size: lists are cut, and said to be, rather than failing. */
int record_verdict(const struct record_input *in, struct buf *out);

#endif
