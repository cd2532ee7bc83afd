/* scan_ole_slides.c: a PowerPoint document's records: texts, and the storages of objects and of VBA, which stand packed among them. [MS-PPT] 2.3.1 (record
 * headers), 2.10.34 (ExOleObjStg), 2.9.41 (texts). Containers are walked into by going on behind their header. Pure; runs in milter-scan. */
#include "config.h"

#include "milter/scan_ole.h"

#include <string.h>

#define RECORDS_MAX 1000000
#define OBJECTS_MAX 256

enum {
	R_TEXT_CHARS = 0x0fa0,
	R_TEXT_BYTES = 0x0fa8,
	R_OBJECT = 0x1011,
	R_CRYPT = 0x2f14,
};

static uint32_t
le(const unsigned char *p, unsigned n)
{
	uint32_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

/* False: not all of it was looked at, or no more may be. */
static bool
object(bool packed, struct slice data, ole_object_fn *on, void *arg)
{
	struct buf b;
	bool more;

	if (!packed)
		return on(arg, data);
	buf_init(&b, SCAN_MEMBER_MAX + 65536);
	if (data.len > 6)
		scan_inflate(slice_from(data, 4), SCAN_MEMBER_MAX, &b);
	more = on(arg, buf_slice(&b)) && b.len < SCAN_MEMBER_MAX;
	buf_done(&b);
	return more;
}

void
ole_slides(struct slice s, struct ole_doc *d, ole_object_fn *on, void *arg)
{
	unsigned n, objects = 0;

	for (n = 0; n < RECORDS_MAX && s.len >= 8; n++) {
		unsigned head = le(s.ptr, 2), type = le(s.ptr + 2, 2);
		struct slice data = slice_sub(s, 8, le(s.ptr + 4, 4));

		s = slice_from(s, 8);
		if ((head & 0xf) == 0xf) {
			d->locked |= type == R_CRYPT;
			continue;
		}
		s = slice_from(s, data.len);
		if (type == R_TEXT_CHARS) {
			ole_utf16(data, d->text);
			buf_append_byte(d->text, '\n');
		} else if (type == R_TEXT_BYTES) {
			ole_latin(data, d->text);
			buf_append_byte(d->text, '\n');
		} else if (type == R_OBJECT && !d->too_much) {
			d->too_much =
			    objects++ == OBJECTS_MAX || !object(head >> 4 == 1, data, on, arg);
		}
	}
	d->too_much |= s.len >= 8;
	d->text->err = 0;
}
