/* composite_fuzz.c: hostile manifests and summaries: refused, or what they name lies within the message; a manifest that is read codes to the same octets.
 * The first octet chooses, eight give the size. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "lib/err.h"
#include "store/composite.h"

static void
manifest(struct slice s, uint64_t size)
{
	static struct piece p[COMPOSITE_PIECES_MAX];
	uint64_t literals, literal = 0, total = 0, need;
	struct slice m = slice_sub(s, 0, COMPOSITE_MANIFEST_MAX);
	struct buf b;
	size_t n;
	int r;

	/* the content that would be right, when the manifest is */
	r = manifest_decode(m, size, s.len, p, &n, &literals);
	MUST(r == 0 || r == ERR_CORRUPT);
	if (r != 0)
		return;
	buf_init(&b, COMPOSITE_MANIFEST_MAX);
	MUST(literals <= s.len);
	for (size_t i = 0; i < n; i++) {
		total += p[i].len;
		literal += p[i].kind == PIECE_LITERAL ? p[i].len : 0;
		if (p[i].kind == PIECE_BASE64) {
			b64_lines_need(&p[i].form, p[i].size, p[i].len - 1, 1, &need, &need);
			MUST(need <= p[i].size);
		}
	}
	MUST(total == size && literals + literal == s.len);
	MUST(manifest_encode(p, n, &b) == 0 && b.len == literals &&
	     memcmp(b.data, s.ptr, b.len) == 0);
	buf_done(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct candidate c[8];
	uint64_t len = 0, from = 0;
	size_t n;

	if (size < 9)
		return 0;
	for (int i = 1; i < 9; i++)
		len = len << 8 | data[i];
	if (data[0] % 2 == 0) {
		manifest(slice_of(data + 9, size - 9), len);
		return 0;
	}
	n = composite_candidates(slice_of(data + 9, size - 9), len, c, 8);
	for (size_t i = 0; i < n; i++) {
		MUST(c[i].off >= from && c[i].len >= COMPOSITE_PART_MIN && c[i].off <= len &&
		     c[i].len <= len - c[i].off);
		from = c[i].off + c[i].len;
	}
	return 0;
}
