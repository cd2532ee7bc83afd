/* attach_fuzz.c: the scanner's pure judges over any bytes: types, families by ending, OLE2, marks of secrecy, modes; then the rules over what
 * the wire may bring. First byte: how long the ending or name at the front is. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "milter/clamd.h"
#include "milter/facts.h"
#include "milter/modes.h"
#include "milter/scan_priv.h"
#include "milter/secrecy.h"

static void
judge(struct slice bytes)
{
	struct arena *a = arena_new(8 << 20);
	struct rule_facts facts;
	struct findings f;
	struct verdict v;
	struct buf out;

	memset(&facts, 0, sizeof facts);
	facts.authenticated = true;
	facts.official_why = "";
	if (facts_read(bytes, a, &facts) == 0 && findings_decode(bytes, a, &f) == 0) {
		facts.scan = &f;
		facts.official = facts.issued = true;
		facts.attach_max = 1;
		for (size_t i = 0; i < facts.n_authors; i++) {
			facts.authors[i].is_ours = true;
			facts.authors[i].owner = OWNER_FUNCTIONAL;
		}
		rule_judge(&facts, &v);
		buf_init(&out, 1000);
		if (v.decision != NULL) {
			rule_reply(v.decision, buf_slice(&v.detail), slice_str("Q"), &out);
			MUST(out.err == 0 && out.len <= 490);
		}
		MUST(v.n_notes <= RULE_NOTES_MAX);
		buf_done(&out);
		verdict_done(&v);
	}
	arena_free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_of(data, size), name, bytes;
	struct modes *m = modes_new();
	const char *why = NULL;
	static const char *const banned[] = {"exe", "js"};
	struct scan_params params = {.banned = banned, .n_banned = 2};
	struct ole_facts ole;
	struct scan_type t;
	struct buf b, text;
	char item[64];

	name = size > 0 ? slice_sub(s, 1, data[0] % 64) : s;
	bytes = slice_from(s, size > 0 ? 1 + name.len : 0);
	t = scan_type(bytes);
	MUST(t.name != NULL);
	scan_ole(bytes, &ole);
	MUST(ole.type != NULL);
	buf_init(&b, 256);
	if (clamd_read(bytes, &b) == CLAMD_CLEAN)
		MUST(slice_eq_str(bytes, "stream: OK"));
	MUST(slice_is_ascii(buf_slice(&b)) && slice_index(buf_slice(&b), '\n') < 0);
	buf_done(&b);
	scan_family_fits(name, t.name, bytes);
	scan_family_fits(scan_name_ext(name), ole.type, bytes);
	scan_uu(&params, bytes, NULL, NULL);
	buf_init(&b, 256);
	buf_init(&text, 1 << 22);
	secrecy_in_subject(bytes, &b);
	secrecy_in_name(bytes, &b);
	if (!secrecy_in_text(bytes, &b))
		buf_reset(&b);
	secrecy_html_text(bytes, &text);
	secrecy_in_text(buf_slice(&text), &b);
	buf_done(&b);
	buf_done(&text);
	memset(item, 0, sizeof item);
	if (name.len > 0)
		memcpy(item, name.ptr, name.len);
	MUST(modes_add(m, item, &why) == 0 || why != NULL);
	modes_add_limit(m, item, &why);
	modes_free(m);
	judge(bytes);
	return 0;
}
