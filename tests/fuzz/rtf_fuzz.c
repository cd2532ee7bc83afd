/* rtf_fuzz.c: RTF of any bytes; then the same as a text with files encoded in it: read without harm, what is told and decoded bounded. */
#include "tests/fuzz/fuzz.h"

#include "milter/scan_priv.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const banned[] = {"exe", "js"};
	static const struct scan_params params = {.now = 1, .banned = banned, .n_banned = 2};
	static bool ready;
	struct arena *a = arena_new(2 << 20);
	struct scan_ctx *c = calloc(1, sizeof *c);
	struct buf b;
	struct findings f;

	if (!ready)
		scan_ole_init();
	ready = true;
	findings_init(&f, a);
	c->p = &params;
	c->f = &f;
	scan_rtf(c, slice_of(data, size), slice_str("1"));
	scan_encoded(c, slice_of(data, size), slice_str("1"));
	MUST(c->depth == 0 && f.n_notes <= FINDINGS_NOTES_MAX);
	buf_init(&b, 65536);
	encoded_uu(slice_of(data, size), &b);
	buf_reset(&b);
	encoded_uu64(slice_of(data, size), &b);
	buf_reset(&b);
	encoded_yenc(slice_of(data, size), &b);
	buf_reset(&b);
	encoded_binhex(slice_of(data, size), &b);
	MUST(b.len <= 65536);
	buf_done(&b);
	free(c);
	arena_free(a);
	return 0;
}
