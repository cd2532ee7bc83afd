/* scan_cursor.c: scan_cursor.h. Pure; runs in milter-scan. */
#include "config.h"

#include "milter/scan_cursor.h"

uint32_t
scan_cursor_le(struct scan_cursor *c, unsigned n)
{
	uint32_t v = 0;
	unsigned i;

	if (c->s.len < n) {
		c->bad = true;
		c->s.len = 0;
		return 0;
	}
	for (i = n; i > 0; i--)
		v = v << 8 | c->s.ptr[i - 1];
	c->s = slice_from(c->s, n);
	return v;
}

struct slice
scan_cursor_bytes(struct scan_cursor *c, size_t n)
{
	struct slice s = slice_sub(c->s, 0, n);

	if (c->s.len < n)
		c->bad = true;
	c->s = slice_from(c->s, n);
	return s;
}

struct slice
scan_cursor_line(struct slice *rest)
{
	ptrdiff_t lf = slice_index(*rest, '\n');
	struct slice line = lf < 0 ? *rest : slice_sub(*rest, 0, (size_t)lf);

	*rest = slice_from(*rest, lf < 0 ? rest->len : (size_t)lf + 1);
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}
