/* codec_fuzz.c: base64 gives the bytes back; strict takes a subset of lenient and agrees with it. */
#include "tests/fuzz/fuzz.h"

#include "lib/mime.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_of(data, size);
	struct buf a, b;

	buf_init(&a, 10 * size + 100);
	buf_init(&b, 10 * size + 100);
	MUST(b64_encode(s, size % 2 == 0, &a) == 0);
	MUST(b64_decode(buf_slice(&a), true, &b) == 0 && slice_eq(buf_slice(&b), s));
	buf_reset(&a);
	buf_reset(&b);
	MUST(b64_decode(s, false, &a) == 0);
	if (b64_decode(s, true, &b) == 0)
		MUST(slice_eq(buf_slice(&a), buf_slice(&b)));
	else
		MUST(b.len == 0);
	buf_reset(&a);
	buf_reset(&b);
	MUST(qp_decode(s, false, &a) == 0 && a.len <= size);
	if (qp_decode(s, true, &b) == 0)
		MUST(slice_eq(buf_slice(&a), buf_slice(&b)));
	buf_reset(&a);
	buf_reset(&b);
	MUST(qp_encode(s, &a) == 0);
	MUST(qp_decode(buf_slice(&a), true, &b) == 0 && slice_eq(buf_slice(&b), s));
	buf_done(&a);
	buf_done(&b);
	return 0;
}
