/* policy_record_fuzz.c: any JSON as an audit record: refused, or facts within their bounds that a policy can be asked about; and any bytes as the signatures
 * over a policy: nobody signed. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "milter/judgement.h"
#include "milter/policy_sign.h"

static const char text[] =
    "policy \"x\" version 1 owner \"o\"; organization x.example; group \"g\" { \"a@x.example\" }\n"
    "mode P22 warn; limit attachments 1MB;\n"
    "rule A expires 2099-01-01 { when SubjectContainsWords \"a\" or finding \"f*\" or "
    "AttachmentHasMacro or RuleHit \"P17\" or FromMemberOf \"g\" or "
    "SentToScope NotInOrganization or AllAttachmentsOver 5 or SignatureStatusIs \"none\" then "
    "reject vi \"a\" en \"b\" }\n"
    "rule B expires 2099-01-01 { when not HeaderContainsWords (\"X\", \"y\") except when "
    "IssuedDocument reason \"r\" until 2099-01-01 then note "
    "vi \"a\" en \"b\" }\n";

static void
replay(const struct json *rec, const struct policy *p)
{
	struct arena *a = arena_new(32 << 20);
	struct policy_replay *r = arena_alloc(a, sizeof *r);
	struct judgement j = {.now = 0};
	struct verdict v;
	struct json *again;

	if (r != NULL && policy_facts_from(rec, a, r) == 0) {
		MUST(r->rules.n_authors <= RULE_FROM_MAX && r->scan.n_parts <= FINDINGS_PARTS_MAX);
		j.policy = p;
		j.now = 1764547200;
		judgement_replay(&j, r, a, &v);
		MUST(j.own.n_hits <= POLICY_HITS_MAX && j.own.decision < (ptrdiff_t)j.own.n_hits);
		MUST(v.n_notes <= RULE_NOTES_MAX);
		/* what is read can be written again */
		again = policy_facts_json(&r->rules, r->hits, slice_str("Subject: x\r\n"));
		MUST(json_len(json_get(again, "agencies")) == r->rules.n_authors);
		json_free(again);
		verdict_done(&v);
	}
	arena_free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct policy *p;
	struct policy_errors errors;
	struct policy_signers signers;
	struct json *rec;

	if (p == NULL)
		MUST(policy_compile(slice_str(text), "fuzz", &p, &errors) == 0);
	if (json_parse(slice_of(data, size), &rec) == 0) {
		replay(rec, p);
		json_free(rec);
	}
	policy_signers_init(&signers);
	MUST(policy_signers_check(
		 slice_str("text"), slice_of(data, size), slice_of(data, size), 0, &signers) != 0);
	MUST(signers.n == 0 && signers.why.len > 0);
	policy_signers_done(&signers);
	return 0;
}
