/* findings_fuzz.c: whatever a scanner that was taken over answers, the milter reads it within bounds, and what it took encodes to the
 * same bytes and makes a record. */
#include "tests/fuzz/fuzz.h"

#include "milter/findings.h"
#include "milter/rule.h"

#include <string.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(4 << 20), *a2 = arena_new(4 << 20);
	struct findings f, back;
	struct rule_facts facts;
	struct verdict v;
	struct buf b, again;

	if (findings_decode(slice_of(data, size), a, &f) == 0) {
		MUST(f.n_sigs <= FINDINGS_SIGS_MAX && f.n_parts <= FINDINGS_PARTS_MAX &&
		     f.n_notes <= FINDINGS_NOTES_MAX);
		buf_init(&b, 1 << 22);
		buf_init(&again, 1 << 22);
		MUST(findings_encode(&f, &b) == 0);
		MUST(findings_decode(buf_slice(&b), a2, &back) == 0 &&
		     findings_encode(&back, &again) == 0);
		MUST(slice_eq(buf_slice(&b), buf_slice(&again)));
		json_free(findings_sig_json(&f, 1));
		json_free(findings_parts_json(&f));
		json_free(findings_notes_json(&f));
		memset(&facts, 0, sizeof facts);
		facts.scan = &f;
		facts.authenticated = facts.official = true;
		facts.n_authors = facts.from_fields = 1;
		facts.authors[0].local = slice_str("a");
		facts.authors[0].domain = slice_str("x.example");
		facts.authors[0].address = slice_str("a@x.example");
		facts.authors[0].is_ours = true;
		rule_judge(&facts, &v);
		verdict_done(&v);
		buf_done(&b);
		buf_done(&again);
	}
	arena_free(a);
	arena_free(a2);
	return 0;
}
