/* pdf_fuzz.c: a PDF of any bytes, as the scanner takes it: structure, signatures, text. Findings stay within their bounds. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "lib/uni.h"
#include "milter/scan_priv.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const banned[] = {"exe", "js"};
	struct scan_params params = {.now = 1795000000, .banned = banned, .n_banned = 2};
	struct arena *a = arena_new(4 << 20);
	struct scan_ctx c;
	struct buf text;
	struct findings f;

	memset(&c, 0, sizeof c);
	findings_init(&f, a);
	c.p = &params;
	c.f = &f;
	c.max = (struct scan_terms){.depth = SCAN_DEPTH_MAX,
	    .entries = SCAN_ENTRIES_MAX,
	    .bytes = SCAN_BYTES_MAX,
	    .ratio = SCAN_RATIO_MAX};
	scan_pdf(&c, slice_of(data, size), slice_str("1"));
	MUST(f.n_notes <= FINDINGS_NOTES_MAX && f.n_sigs <= FINDINGS_SIGS_MAX);
	for (const struct find_sig *s = f.sigs; s != NULL; s = s->next)
		MUST(s->status != SIG_VALID); /* there are no anchors */
	/* its text for the store's search: bounded, and UTF-8 */
	buf_init(&text, 200);
	params.text = &text;
	scan_pdf(&c, slice_of(data, size), slice_str("1"));
	MUST(text.err == 0 && text.len <= 200 && uni_valid(buf_slice(&text)));
	buf_done(&text);
	arena_free(a);
	return 0;
}
