/* scan_ole_package.c: packaged files in OLE objects, and small things that scan_ole_*.c share. Pure; runs in milter-scan. */
#include "config.h"

#include "milter/scan_cursor.h"
#include "milter/scan_ole.h"

#include "lib/uni.h"

#include <string.h>

static struct slice
take_string(struct scan_cursor *c)
{
	ptrdiff_t end = slice_index(c->s, 0);
	struct slice s = slice_sub(c->s, 0, end < 0 ? 0 : (size_t)end);

	c->bad = c->bad || end < 0 || end > 1024;
	c->s = slice_from(c->s, end < 0 ? c->s.len : (size_t)end + 1);
	return s;
}

/* Type 2; label; where it came from; type 3; where it is put; length; content. */
bool
ole_package(struct slice s, struct slice *name_out, struct slice *data_out)
{
	struct scan_cursor c = {s, false};
	struct slice label, origin;
	uint32_t n;

	if (scan_cursor_le(&c, 2) != 2)
		return false;
	label = take_string(&c);
	origin = take_string(&c);
	scan_cursor_le(&c, 4);
	n = scan_cursor_le(&c, 4);
	if (c.bad || n > c.s.len)
		return false;
	c.s = slice_from(c.s, n);
	n = scan_cursor_le(&c, 4);
	if (c.bad)
		return false;
	*name_out = label.len > 0 ? label : origin;
	/* cut short: what there is counts */
	*data_out = slice_sub(c.s, 0, n);
	return true;
}

/* Lines end in CR, or in a vertical tab inside a paragraph; other controls are spaces. */
static void
put(struct buf *out, uint32_t cp)
{
	if (cp == '\r' || cp == '\n' || cp == 0x0b)
		buf_append_byte(out, '\n');
	else
		uni_append(out, cp < ' ' ? ' ' : cp);
}

void
ole_utf16(struct slice s, struct buf *out)
{
	size_t i;

	for (i = 0; i + 1 < s.len; i += 2) {
		uint32_t cp = s.ptr[i] | (uint32_t)s.ptr[i + 1] << 8;

		if (cp >= 0xd800 && cp < 0xdc00 && i + 3 < s.len && (s.ptr[i + 3] & 0xfc) == 0xdc) {
			cp = 0x10000 + ((cp - 0xd800) << 10) +
			     (((uint32_t)s.ptr[i + 3] << 8 | s.ptr[i + 2]) - 0xdc00);
			i += 2;
		} else if (cp >= 0xd800 && cp < 0xe000) {
			cp = '?';
		}
		put(out, cp);
	}
}

void
ole_latin(struct slice s, struct buf *out)
{
	/* windows-1252 where it is not Latin-1 (WHATWG Encoding, index windows-1252) */
	static const uint16_t high[32] = {0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020,
	    0x2021, 0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0x8d, 0x17d, 0x8f, 0x90, 0x2018, 0x2019,
	    0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0x9d,
	    0x17e, 0x178};
	size_t i;

	for (i = 0; i < s.len; i++) {
		unsigned char c = s.ptr[i];

		put(out, c >= 0x80 && c < 0xa0 ? high[c - 0x80] : c);
	}
}
