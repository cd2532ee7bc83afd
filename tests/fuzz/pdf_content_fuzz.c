/* pdf_content_fuzz.c: a content stream and the table of its font, both of any bytes; the first octet parts them. What comes out is UTF-8, and not
 * much more than what went in. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "lib/uni.h"
#include "milter/scan_pdf.h"

static struct pdf_font font;

static const struct pdf_font *
font_of(void *arg, struct slice name)
{
	(void)arg;
	return name.len % 3 == 2 ? NULL : &font;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_of(data, size), table, content;
	struct pdf_show show = {.font_of = font_of};
	struct buf out;
	char glyph[16];
	size_t at = size > 0 ? (size_t)data[0] * size / 256 : 0;

	table = slice_sub(s, 1, at);
	content = slice_from(s, at);
	memset(&font, 0, sizeof font);
	font.code_len = 1 + (unsigned)(at & 1);
	font.width = 500;
	pdf_font_winansi(&font);
	memset(glyph, 0, sizeof glyph);
	if (table.len > 0)
		memcpy(glyph, table.ptr, table.len < 15 ? table.len : 15);
	pdf_font_glyph(&font, (unsigned)table.len % 300, glyph);
	pdf_cmap_parse(table, &font);
	MUST(font.n_map <= PDF_MAP_MAX);
	buf_init(&out, DOC_TEXT_MAX);
	show.out = &out;
	pdf_content(content, &show);
	MUST(uni_valid(buf_slice(&out)));
	buf_done(&out);
	pdf_font_done(&font);
	return 0;
}
