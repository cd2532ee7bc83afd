/* audit_fuzz.c: a line that is taken is canonical and has its hash; the state file's text round-trips. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "milter/audit.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_of(data, size);
	char text[AUDIT_STATE_LEN + 1];
	struct audit_chain c, c2;
	struct audit_state st;
	struct json *rec = NULL;
	const char *why = NULL;
	struct buf b;

	audit_chain_init(&c);
	if (audit_line_parse(s, &c, &rec, &why) == 0) {
		buf_init(&b, AUDIT_LINE_MAX + 1);
		MUST(json_canonical(rec, &b) == 0 && slice_eq(buf_slice(&b), s));
		MUST(c.seq >= 1);
		buf_done(&b);
		json_free(rec);
	} else {
		MUST(why != NULL && why[0] != '\0');
	}
	audit_chain_init(&c2);
	audit_check_line(&c2, s, NULL, &why);
	if (audit_state_parse(s, &st) == 0) {
		audit_state_format(&st, text);
		MUST(slice_eq(s, slice_str(text)));
	}
	return 0;
}
