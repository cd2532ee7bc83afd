/* utf7_fuzz.c: a name has one wire form: what decodes encodes back to it, and the other way round. */
#include "tests/fuzz/fuzz.h"

#include "lib/fold.h"
#include "lib/utf7.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_of(data, size), a, b;
	struct buf one, two;

	buf_init(&one, 10 * size + 100);
	buf_init(&two, 10 * size + 100);
	if (utf7_to_utf8(s, &one) == 0) {
		MUST(utf8_valid(buf_slice(&one)));
		MUST(utf7_from_utf8(buf_slice(&one), &two) == 0);
		MUST(slice_eq(buf_slice(&two), s));
	} else {
		MUST(one.len == 0);
	}
	buf_reset(&one);
	buf_reset(&two);
	if (utf7_from_utf8(s, &one) == 0) {
		MUST(utf7_to_utf8(buf_slice(&one), &two) == 0);
		MUST(slice_eq(buf_slice(&two), s));
	}
	(void)mailbox_name_ok(s);
	buf_reset(&one);
	buf_reset(&two);
	if (utf8_nfc(s, &one) == 0) {
		MUST(utf8_nfc(buf_slice(&one), &two) == 0);
		MUST(slice_eq(buf_slice(&one), buf_slice(&two)));
	}
	/* an order: antisymmetric */
	a = slice_sub(s, 0, size / 2);
	b = slice_from(s, size / 2);
	MUST((vn_collate(a, b) < 0) == (vn_collate(b, a) > 0));
	buf_done(&one);
	buf_done(&two);
	return 0;
}
