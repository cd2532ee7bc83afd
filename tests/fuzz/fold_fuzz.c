/* fold_fuzz.c: folding gives well-formed text and changes nothing the second time; ASCII is ASCII. */
#include "tests/fuzz/fuzz.h"

#include "lib/fold.h"
#include "lib/uni.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_of(data, size), f, m, g;
	struct buf one, two;

	buf_init(&one, 100 * size + 100);
	buf_init(&two, 100 * size + 100);
	MUST(vn_fold(s, &one) == 0 && uni_valid(buf_slice(&one)));
	buf_reset(&one);
	MUST(vn_ascii(s, &one) == 0);
	for (size_t i = 0; i < one.len; i++)
		MUST(one.data[i] >= 0x20 && one.data[i] < 0x7f);
	buf_reset(&one);
	MUST(case_fold(s, &one) == 0 && uni_valid(buf_slice(&one)));
	vn_name_split(s, &f, &m, &g);
	MUST(f.len + m.len + g.len <= size);
	MUST(vn_name_id(s, &two) == 0);
	for (size_t i = 0; i < two.len; i++)
		MUST((two.data[i] >= 'a' && two.data[i] <= 'z') ||
		     (two.data[i] >= '0' && two.data[i] <= '9'));
	buf_done(&one);
	buf_done(&two);
	return 0;
}
