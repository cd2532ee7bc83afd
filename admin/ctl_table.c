/* ctl_table.c: ctl_table.h. Runs in congvu. Independent of the locale: a wcwidth(3) that knows nothing beyond ASCII, as in the locale C, would leave
 * the columns ragged. */
#include "config.h"

#include "admin/ctl_table.h"

#include "lib/log.h"
#include "lib/uni.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ctl_table {
	unsigned columns;
	char **cells;
	unsigned *widths; /* of each column */
	size_t n, room;
};

struct ctl_table *
ctl_table_new(unsigned columns)
{
	struct ctl_table *t = xcalloc(1, sizeof(*t));

	t->columns = columns;
	t->widths = xcalloc(columns, sizeof(*t->widths));
	return t;
}

/* What is no sign: C0, C1, line and paragraph separators, what turns the direction (UAX #9), and what is not seen. */
static bool
is_control(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x200b && cp <= 0x200f) ||
	       (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2060 && cp <= 0x206f) || cp == 0xfeff;
}

/* UAX #11 W and F, by blocks. */
static bool
is_wide(uint32_t cp)
{
	static const struct {
		uint32_t from, to;
	} wide[] = {{0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0xa4cf}, {0xac00, 0xd7a3},
	    {0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6},
	    {0x1f300, 0x1f64f}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};

	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
		if (cp >= wide[i].from && cp <= wide[i].to)
			return true;
	return false;
}

static unsigned
width_of(uint32_t cp)
{
	if (is_control(cp))
		return 1; /* shown as "?" */
	if (uni_is_mark(cp))
		return 0;
	return is_wide(cp) ? 2 : 1;
}

unsigned
ctl_width(struct slice text)
{
	unsigned width = 0;
	uint32_t cp;

	while (text.len > 0)
		width += uni_next(&text, &cp) == 0 ? 1 : width_of(cp);
	return width;
}

void
ctl_shown(struct slice text, struct buf *out)
{
	uint32_t cp;

	while (text.len > 0) {
		if (uni_next(&text, &cp) == 0 || is_control(cp))
			buf_append_byte(out, '?');
		else
			uni_append(out, cp);
	}
}

void
ctl_table_cell(struct ctl_table *t, const char *text)
{
	struct slice s = slice_str(text == NULL ? "" : text);
	unsigned width = ctl_width(s), column = (unsigned)(t->n % t->columns);
	struct buf b;

	if (t->n == t->room) {
		t->room = t->room == 0 ? 256 : t->room * 2;
		t->cells = xrealloc(t->cells, t->room * sizeof(*t->cells));
	}
	buf_init(&b, 1 << 20);
	ctl_shown(s, &b);
	t->cells[t->n++] = xstrdup(buf_cstr(&b));
	buf_done(&b);
	if (width > t->widths[column])
		t->widths[column] = width;
}

bool
ctl_table_is_empty(const struct ctl_table *t)
{
	return t->n == 0;
}

void
ctl_table_print_take(struct ctl_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		unsigned column = (unsigned)(i % t->columns);

		fputs(t->cells[i], stdout);
		if (column == t->columns - 1)
			putchar('\n');
		else
			printf("%*s",
			    (int)(t->widths[column] - ctl_width(slice_str(t->cells[i])) + 2), "");
	}
	ctl_table_free(t);
}

void
ctl_table_free(struct ctl_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t->widths);
	free(t);
}
