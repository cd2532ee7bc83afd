/* policy_record.h: facts of a message as the policy language asks for them: from the live message, into an audit record, and from it again. Pure. */
#ifndef CV_POLICY_RECORD_H
#define CV_POLICY_RECORD_H

#include "lib/json.h"
#include "milter/policy.h"

/* From a live message: subject decoded, recipients normalized, into the arena. rules: judged already; hits: its verdict's. rcpts: as in
 * the envelope. 0 or ERR_NOMEM. */
int policy_facts_live(const struct rule_facts *rules, struct slice header, const char *ip,
    uint64_t size, const unsigned char *hits, struct arena *a, struct policy_facts *out);

/* What a record must hold beside MILTER.md's fields so that another policy can be asked later: agencies and domains of the authors, hits of
 * the built-in rules in whatever mode, the subject (header: ptr NULL leaves it out; so does a mark of secrecy). No body text. */
struct json *policy_facts_json(
    const struct rule_facts *rules, const unsigned char *hits, struct slice header);

/* From a record of the audit log ("event":"verdict"). What it does not hold is unknown. 0, ERR_SYNTAX (no such record), ERR_NOMEM. */
struct policy_replay {
	struct rule_facts rules;
	struct findings scan;
	struct policy_facts facts;
	unsigned char hits[64];
	struct slice details[64]; /* of the hits, where the record tells */
	struct rule_member members[RULE_MEMBERS_MAX];
	struct policy_found found[32]; /* what rules of that policy's own found */
	size_t n_found;
	struct slice store; /* of trust anchors that the policy named; empty: the domain's */
	bool store_known;
	bool
	    other_store; /* by judgement_replay: the policy asked names another store, so what it would say of the signatures is not known */
	struct scan_terms terms; /* the limits it was scanned under */
	bool limits_known;
	bool
	    other_limits; /* by judgement_replay: the policy asked has the scanner go another way, so what it would find is not known */
	bool has_hits;    /* else hits is only what was found in modes above off */
	struct slice qid, action, rule, policy_id, policy_sha256;
	int64_t policy_version, at; /* at: seconds since 1970 */
};
int policy_facts_from(const struct json *rec, struct arena *a, struct policy_replay *out);

#endif
