/* office_fuzz.c: XML of any bytes as a member of an office document, the first octet says which: read without harm, its text bounded. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "milter/scan_priv.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"word/document.xml", "word/_rels/document.xml.rels",
	    "xl/externalLinks/externalLink1.xml", "xl/sharedStrings.xml", "content.xml",
	    "[Content_Types].xml", "META-INF/manifest.xml"};
	struct scan_params params = {.now = 1};
	struct arena *a = arena_new(1 << 20);
	struct zip_facts z;
	struct scan_ctx c;
	struct findings f;
	struct slice name;

	if (size == 0) {
		arena_free(a);
		return 0;
	}
	memset(&c, 0, sizeof c);
	memset(&z, 0, sizeof z);
	findings_init(&f, a);
	c.p = &params;
	c.f = &f;
	c.max = (struct scan_terms){.depth = SCAN_DEPTH_MAX,
	    .entries = SCAN_ENTRIES_MAX,
	    .bytes = SCAN_BYTES_MAX,
	    .ratio = SCAN_RATIO_MAX};
	buf_init(&z.text, DOC_TEXT_MAX);
	name = slice_str(names[data[0] % (sizeof names / sizeof *names)]);
	scan_zip_member(&z, name, slice_of(data + 1, size - 1));
	scan_office_member(&c, &z, name, slice_of(data + 1, size - 1), slice_str("1"));
	MUST(z.text.len <= DOC_TEXT_MAX && f.n_notes <= FINDINGS_NOTES_MAX);
	buf_done(&z.text);
	arena_free(a);
	return 0;
}
