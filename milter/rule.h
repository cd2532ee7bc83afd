/* rule.h: from facts to a verdict, pure. Facts come from the headers, the directory and the scanner; each rule of rules.def is a
 * predicate over them. */
#ifndef CV_RULE_H
#define CV_RULE_H

#include "milter/findings.h"

#define RULE_FROM_MAX 8

enum rule_action { RULE_REJECT = 1, RULE_DEFER = 2, RULE_NOTE = 3 };
enum rule_owner { OWNER_NONE, OWNER_PERSON, OWNER_FUNCTIONAL, OWNER_GROUP };

/* One mailbox of the From field with what the directory knows of it. */
struct rule_author {
	struct slice local;   /* as written, unquoted */
	struct slice domain;  /* lower case, A-labels */
	struct slice address; /* normalized local@domain */
	struct slice display; /* decoded, UTF-8 */
	bool is_ours;
	enum rule_owner owner;
	bool may_send_as;          /* the authenticated person may */
	const struct slice *known; /* the owner's addresses now and before, normalized */
	size_t n_known;
};
struct rule_facts {
	bool authenticated;
	bool null_sender;   /* MAIL FROM:<> */
	size_t from_fields; /* From fields in the header */
	struct rule_author authors[RULE_FROM_MAX];
	size_t n_authors;  /* usable ones */
	bool more_authors; /* From held more, or unusable ones */
	bool official;
	const char *official_why; /* "functional_mailbox", "header", "symbol"; "" */
	int64_t date;             /* Date field, 0: none */
	const struct findings *scan;
};

struct rule {
	const char *id;
	bool (*hit)(const struct rule_facts *f, struct buf *detail);
	enum rule_action action;
	const char *vi, *en;
};
extern const struct rule rule_table[];
extern const size_t rule_table_len;

struct verdict {
	const struct rule *decision; /* NULL: accept */
	struct buf detail;           /* of the decision, UTF-8 */
	struct {
		const struct rule *rule;
		struct buf detail;
	} notes[16];
	size_t n_notes;
};
void rule_judge(const struct rule_facts *f, struct verdict *v); /* v: verdict_done */
void verdict_done(struct verdict *v);
/* "P01 Cong van phai duoc ky so. / Official mail must be digitally signed. (detail) [ticket QID]": printable ASCII, at most 450 octets. */
void rule_reply(const struct rule *r, struct slice detail, struct slice qid, struct buf *out);
/* SHA-256 over ids, actions and texts of the table: the policy's version in each record. */
void rule_table_hash(char hex_out[65]);

/* Helpers of rule_*.c. */
bool rule_enforced(const struct rule_facts *f); /* authenticated, or From one of our domains */
bool rule_whole_signature(const struct rule_facts *f);
/* How a signer's addresses fit an author. */
enum rule_bind { BIND_NONE, BIND_FORMER, BIND_EXACT };
enum rule_bind rule_bind(const struct find_sig *s, const struct rule_author *a);
bool rule_signature_good(
    const struct rule_facts *f); /* whole, all valid and not revoked, and bound to each author */

#define RULE(id, fn, action, vi, en) bool fn(const struct rule_facts *f, struct buf *detail);
#include "milter/rules.def"
#undef RULE

#endif
