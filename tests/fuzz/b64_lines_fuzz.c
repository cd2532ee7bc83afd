/* b64_lines_fuzz.c: any text: refused, or kept decoded so that all of it, and any part, comes back octet for octet. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "lib/b64_lines.h"
#include "lib/err.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct b64_form f;
	struct buf dec, b;
	uint64_t len, from, to;
	int r;

	buf_init(&dec, 1 << 22);
	buf_init(&b, 1 << 22);
	r = b64_lines_decode(slice_of(data, size), &f, &len, &dec);
	MUST(r == 0 || r == ERR_SYNTAX || r == ERR_LIMIT);
	if (r == 0) {
		MUST(b64_form_ok(&f) && len <= size && b64_lines_len(&f, dec.len) == len);
		for (uint64_t off = 0; off < len; off += 1 + off / 3) {
			uint64_t n = 1 + (off * 7 + size) % (len - off);

			buf_reset(&b);
			b64_lines_need(&f, dec.len, off, n, &from, &to);
			MUST(from < to && to <= dec.len);
			MUST(b64_lines_encode(&f, slice_of(dec.data + from, (size_t)(to - from)),
				 off, n, &b) == 0);
			MUST(b.len == n && memcmp(b.data, data + off, (size_t)n) == 0);
		}
	}
	buf_done(&dec);
	buf_done(&b);
	return 0;
}
