/* mime_tree_fuzz.c: hostile bytes where a stored summary is expected: refused, or a tree that codes again and can be shown. */
#include "tests/fuzz/fuzz.h"

#include "lib/err.h"
#include "lib/mime.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	struct slice s = slice_of(data, size);
	struct mime_part *root;
	struct buf b;
	int r;

	if (a == NULL)
		a = arena_new(1 << 24);
	arena_reset(a);
	r = mime_tree_decode(s, a, &root);
	MUST(r == 0 || r == ERR_CORRUPT || r == ERR_NOMEM);
	if (r != 0)
		return 0;
	buf_init(&b, 1 << 24);
	MUST(mime_tree_encode(root, &b) == 0);
	buf_reset(&b);
	(void)mime_bodystructure(
	    root, s, true, false, &b); /* offsets point past whole: must not be followed */
	(void)mime_find(root, (const uint32_t[]){1, 1, 2}, 3);
	buf_done(&b);
	return 0;
}
