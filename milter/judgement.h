/* judgement.h: from facts to the verdict, in the one order of calls there is: what the header says, the modes of the authors, the built-in rules, the
 * policy's own. Used by the filter (cb_eom.c), by `congvu policy test` (judge.c) and for records of the audit log (policy_record.c). Pure. */
#ifndef CV_JUDGEMENT_H
#define CV_JUDGEMENT_H

#include "milter/modes.h"
#include "milter/policy_record.h"

struct judgement {
	const struct policy *policy; /* NULL: the built-in rules alone */
	const struct modes
	    *modes; /* policy_modes, policy_attachment_mb; NULL: the defaults, no limit */
	int64_t now;
	unsigned char in_force[RULE_COUNT]; /* filled in: what f->modes points to */
	struct policy_result own;           /* filled in: what the policy's rules found */
};

/* What the message's own header says of it, once its authors are known. names: policy_official_headers. 0, ERR_NOMEM. */
int judgement_read(struct slice header, const char *const *names, size_t n_names, struct arena *a,
    struct rule_facts *f);
/* What the policy's trust demands of the authors' signatures, into f->trust, and what the scanner is to be asked with, into f->terms: once the directory has said whose they are, before the scanner is asked. */
void judgement_trust(const struct judgement *j, struct rule_facts *f);
/* What the scanner is asked with: the first author's domain, or "DOMAIN=STORE" (smime.h); one with a '=', which no host has, is none ("": as a domain without a
 * store of its own). In the arena, or the author's. */
struct slice judgement_store(const struct rule_facts *f, struct arena *a);
/* Modes and limits in force for the authors (of several, the stricter) into j->in_force and f. f->modes points into j afterwards. */
void judgement_modes(struct judgement *j, struct rule_facts *f);
/* All rules over a live message whose facts are complete. v: verdict_done, in any case but ERR_NOMEM. 0; ERR_NOMEM; ERR_LIMIT: the policy's rules
 * cost too much for this message, and no decision can be trusted. */
int judgement_live(struct judgement *j, struct rule_facts *f, struct slice header, const char *ip,
    uint64_t size, struct arena *a, struct verdict *v);
/* The same over what a record of the audit log holds. */
void judgement_replay(
    struct judgement *j, struct policy_replay *r, struct arena *a, struct verdict *v);

#endif
