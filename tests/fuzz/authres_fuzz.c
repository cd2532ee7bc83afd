/* authres_fuzz.c: any header block as Authentication-Results: bounded, and without a trusted id nothing is ever believed. */
#include "tests/fuzz/fuzz.h"

#include "milter/authres.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const ids[] = {"mx.x.example"};
	struct slice s = slice_of(data, size);
	enum rule_origin o;
	struct buf b;

	buf_init(&b, 256);
	o = authres_read(s, ids, 1, slice_str("x.example"), &b);
	MUST(o != ORIGIN_UNCHECKED && b.len > 0);
	MUST(o != ORIGIN_PASS || slice_find(s, slice_str("=")) >= 0);
	buf_reset(&b);
	MUST(authres_read(s, ids, 0, slice_str("x.example"), &b) == ORIGIN_UNCHECKED);
	buf_done(&b);
	return 0;
}
