/* pdf_content.c: the text that a PDF content stream shows, and the tables by which its codes become characters. Pure; runs in milter-scan. ISO
 * 32000-1 9.4, 9.10; Adobe Technical Note 5411. A reasonable part: Tj, TJ, ' and ", text positions along the page's axes, ToUnicode of one and
 * two octets, WinAnsi with Differences. Pieces of a line are joined by how far they stand apart, so that a word set letter by letter is one. */
#include "config.h"

#include "milter/scan_pdf.h"

#include "lib/err.h"
#include "lib/uni.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STACK_MAX 64
#define OPS_MAX 2000000
#define STRING_MAX 65536

enum kind { T_END, T_NUMBER, T_NAME, T_STRING, T_OPEN, T_CLOSE, T_WORD, T_OTHER };
struct token {
	enum kind kind;
	double number;
	struct slice text; /* of a name, word; of a string: in lex.string */
};
struct lex {
	struct slice s;
	struct buf string;
};

static bool
is_space(unsigned char c)
{
	return c == 0 || c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == ' ';
}

static bool
is_delimiter(unsigned char c)
{
	return strchr("()<>[]{}/%", c) != NULL && c != 0;
}

static void
lex_literal(struct lex *l)
{
	unsigned depth = 1;
	size_t i;

	for (i = 0; i < l->s.len && depth > 0; i++) {
		unsigned char c = l->s.ptr[i];

		if (c == '\\' && i + 1 < l->s.len) {
			static const char from[] = "nrtbf", to[] = "\n\r\t\b\f";
			const char *at;
			unsigned v = 0, n = 0;

			c = l->s.ptr[++i];
			while (n < 3 && i < l->s.len && l->s.ptr[i] >= '0' && l->s.ptr[i] <= '7') {
				v = v * 8 + (l->s.ptr[i++] - '0');
				n++;
			}
			if (n > 0) {
				i--;
				c = (unsigned char)v;
			} else if (c == '\n' || c == '\r') {
				if (c == '\r' && i + 1 < l->s.len && l->s.ptr[i + 1] == '\n')
					i++;
				continue;
			} else if (c != 0 && (at = strchr(from, c)) != NULL) {
				c = (unsigned char)to[at - from];
			}
		} else if (c == '(') {
			depth++;
		} else if (c == ')' && --depth == 0) {
			continue;
		}
		buf_append_byte(&l->string, c);
	}
	l->s = slice_from(l->s, i);
}

static void
lex_hex(struct lex *l)
{
	int hi = -1;
	size_t i;

	for (i = 0; i < l->s.len && l->s.ptr[i] != '>'; i++) {
		int v = hex_value(l->s.ptr[i]);

		if (v < 0)
			continue;
		if (hi >= 0)
			buf_append_byte(&l->string, (unsigned char)(hi << 4 | v));
		hi = hi < 0 ? v : -1;
	}
	if (hi >= 0)
		buf_append_byte(&l->string, (unsigned char)(hi << 4));
	l->s = slice_from(l->s, i + 1);
}

static double
number_of(struct slice s)
{
	double v = 0, scale = 1;
	bool minus = false, point = false;
	size_t i;

	for (i = 0; i < s.len && i < 30; i++) {
		unsigned char c = s.ptr[i];

		if (c == '-')
			minus = true;
		else if (c == '.')
			point = true;
		else if (c >= '0' && c <= '9') {
			v = v * 10 + (c - '0');
			scale *= point ? 10 : 1;
		}
	}
	v /= scale;
	return minus ? -v : v;
}

static struct token
next(struct lex *l)
{
	struct token t = {T_END, 0, {NULL, 0}};
	size_t i = 0;
	unsigned char c;

	for (;;) {
		while (l->s.len > 0 && is_space(l->s.ptr[0]))
			l->s = slice_from(l->s, 1);
		if (l->s.len == 0 || l->s.ptr[0] != '%')
			break;
		while (l->s.len > 0 && l->s.ptr[0] != '\n' && l->s.ptr[0] != '\r')
			l->s = slice_from(l->s, 1);
	}
	if (l->s.len == 0)
		return t;
	c = l->s.ptr[0];
	t.text = l->s;
	if (c == '(' || (c == '<' && !(l->s.len > 1 && l->s.ptr[1] == '<'))) {
		buf_reset(&l->string);
		l->s = slice_from(l->s, 1);
		t.kind = T_STRING;
		if (c == '(')
			lex_literal(l);
		else
			lex_hex(l);
		return t;
	}
	if (c == '[' || c == ']' || c == '<' || c == '>' || c == '{' || c == '}' || c == ')') {
		i = (c == '<' || c == '>') && l->s.len > 1 && l->s.ptr[1] == c ? 2 : 1;
		t.kind = c == '[' ? T_OPEN : c == ']' ? T_CLOSE : T_OTHER;
		l->s = slice_from(l->s, i);
		return t;
	}
	i = c == '/' ? 1 : 0;
	while (i < l->s.len && !is_space(l->s.ptr[i]) && !is_delimiter(l->s.ptr[i]))
		i++;
	t.text = slice_sub(l->s, c == '/' ? 1 : 0, i - (c == '/' ? 1 : 0));
	l->s = slice_from(l->s, i > 0 ? i : 1);
	t.kind = c == '/'                                                     ? T_NAME
		 : (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' ? T_NUMBER
									      : T_WORD;
	if (t.kind == T_NUMBER)
		t.number = number_of(t.text);
	return t;
}

/* ---- what codes mean ---- */

static uint32_t
code_of(struct slice s)
{
	uint32_t v = 0;
	size_t i;

	for (i = 0; i < s.len && i < 4; i++)
		v = v << 8 | s.ptr[i];
	return v;
}

static void
add_row(struct pdf_font *f, size_t *alloc, uint32_t code, struct slice utf16, uint32_t plus)
{
	struct pdf_cmap_row *r;
	size_t i;

	if (f->n_map >= PDF_MAP_MAX || code > 0xffff)
		return;
	if (f->n_map == *alloc) {
		size_t more = *alloc * 2 + 256;
		struct pdf_cmap_row *at = realloc(f->map, more * sizeof *at);

		if (at == NULL)
			return;
		f->map = at;
		*alloc = more;
	}
	r = &f->map[f->n_map++];
	memset(r, 0, sizeof *r);
	r->code = code;
	for (i = 0; i < 4 && 2 * i + 1 < utf16.len; i++)
		r->to[i] = (uint16_t)(utf16.ptr[2 * i] << 8 | utf16.ptr[2 * i + 1]);
	if (i > 0)
		r->to[i - 1] = (uint16_t)(r->to[i - 1] + plus);
}

static int
by_code(const void *a, const void *b)
{
	const struct pdf_cmap_row *x = a, *y = b;

	return x->code < y->code ? -1 : x->code > y->code;
}

static void
copy(struct buf *to, const struct lex *l)
{
	buf_reset(to);
	buf_append_slice(to, slice_sub(buf_slice(&l->string), 0, 64));
}

/* One row of bfrange: <from> <to> <text>, or <from> <to> [<text> …]. */
static void
read_range(struct lex *l, struct pdf_font *f, size_t *alloc, uint32_t from)
{
	struct token t = next(l);
	uint32_t to, i;

	if (t.kind != T_STRING)
		return;
	to = code_of(buf_slice(&l->string));
	t = next(l);
	if (t.kind == T_STRING) {
		struct buf base;

		buf_init(&base, 64);
		copy(&base, l);
		for (i = 0; from <= to && i <= to - from && i < 65536; i++)
			add_row(f, alloc, from + i, buf_slice(&base), i);
		buf_done(&base);
	} else if (t.kind == T_OPEN) {
		for (i = 0; (t = next(l)).kind == T_STRING && i < 65536; i++)
			add_row(f, alloc, from + i, buf_slice(&l->string), 0);
	}
}

int
pdf_cmap_parse(struct slice s, struct pdf_font *f)
{
	struct lex l = {.s = slice_sub(s, 0, 4u << 20)};
	enum { NOWHERE, SPACE, CHARS, RANGES } where = NOWHERE;
	size_t alloc = f->n_map;
	unsigned rows = 0;
	struct token t;

	buf_init(&l.string, STRING_MAX);
	while ((t = next(&l)).kind != T_END && rows++ < 4 * PDF_MAP_MAX) {
		if (t.kind == T_WORD) {
			where = slice_eq_str(t.text, "begincodespacerange") ? SPACE
				: slice_eq_str(t.text, "beginbfchar")       ? CHARS
				: slice_eq_str(t.text, "beginbfrange")      ? RANGES
									    : NOWHERE;
			continue;
		}
		if (t.kind != T_STRING)
			continue;
		if (where == SPACE) {
			f->code_len = l.string.len == 1 ? 1 : 2;
			next(&l);
		} else if (where == CHARS) {
			uint32_t code = code_of(buf_slice(&l.string));

			if (next(&l).kind == T_STRING)
				add_row(f, &alloc, code, buf_slice(&l.string), 0);
		} else if (where == RANGES) {
			read_range(&l, f, &alloc, code_of(buf_slice(&l.string)));
		}
	}
	buf_done(&l.string);
	if (f->n_map > 1)
		qsort(f->map, f->n_map, sizeof *f->map, by_code);
	return 0;
}

void
pdf_font_winansi(struct pdf_font *f)
{
	static const uint16_t high[32] = {0x20ac, 0, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021,
	    0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0, 0x17d, 0, 0, 0x2018, 0x2019, 0x201c, 0x201d,
	    0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0, 0x17e, 0x178};
	unsigned i;

	for (i = 0; i < 256; i++)
		f->simple[i] = (uint16_t)(i < 32 ? 0 : i >= 0x80 && i < 0xa0 ? high[i - 0x80] : i);
}

void
pdf_font_glyph(struct pdf_font *f, unsigned code, const char *glyph)
{
	static const struct {
		const char *name;
		uint16_t to;
	} known[] = {{"space", ' '}, {"Dcroat", 0x110}, {"dcroat", 0x111}, {"Abreve", 0x102},
	    {"abreve", 0x103}, {"Acircumflex", 0xc2}, {"acircumflex", 0xe2}, {"Ecircumflex", 0xca},
	    {"ecircumflex", 0xea}, {"Ocircumflex", 0xd4}, {"ocircumflex", 0xf4}, {"Ohorn", 0x1a0},
	    {"ohorn", 0x1a1}, {"Uhorn", 0x1af}, {"uhorn", 0x1b0}, {"slash", '/'}, {"hyphen", '-'},
	    {"colon", ':'}, {"period", '.'}, {"comma", ','}, {"parenleft", '('},
	    {"parenright", ')'}, {"Acircumflexdotbelow", 0x1eac}, {"acircumflexdotbelow", 0x1ead},
	    {"Ocircumflexacute", 0x1ed0}, {"ocircumflexacute", 0x1ed1},
	    {"Ecircumflexdotbelow", 0x1ec6}, {"ecircumflexdotbelow", 0x1ec7}, {"zero", '0'},
	    {"one", '1'}, {"two", '2'}, {"three", '3'}, {"four", '4'}, {"five", '5'}, {"six", '6'},
	    {"seven", '7'}, {"eight", '8'}, {"nine", '9'}};
	size_t i, n = strlen(glyph);
	unsigned v = 0;

	if (code > 255)
		return;
	f->simple[code] = n == 1 ? (unsigned char)glyph[0] : 0xfffd;
	for (i = 0; i < sizeof known / sizeof *known; i++) {
		if (strcmp(glyph, known[i].name) == 0)
			f->simple[code] = known[i].to;
	}
	/* "uni1EAC", "u1EAC" (Adobe Glyph List, 2) */
	i = strncmp(glyph, "uni", 3) == 0 ? 3 : 1;
	if (glyph[0] != 'u' || n - i != 4)
		return;
	for (; i < n; i++) {
		if (hex_value((unsigned char)glyph[i]) < 0)
			return;
		v = v << 4 | (unsigned)hex_value((unsigned char)glyph[i]);
	}
	f->simple[code] = (uint16_t)v;
}

void
pdf_font_done(struct pdf_font *f)
{
	free(f->map);
	free(f->widths);
	f->map = NULL;
	f->widths = NULL;
}

/* ---- text on a page ---- */

struct state {
	struct pdf_show *show;
	const struct pdf_font *font;
	double size, leading, scale; /* of Tf and TL; of Tm */
	double x, y;                 /* where the line begins */
	double pen;                  /* where the next code is shown */
	double last_x, last_y;       /* where the last text ended */
	bool any;
};

static void
put_utf16(struct buf *out, const uint16_t *u, size_t n)
{
	size_t i;

	for (i = 0; i < n && u[i] != 0; i++) {
		uint32_t cp = u[i];

		if (cp >= 0xd800 && cp < 0xdc00 && i + 1 < n && u[i + 1] >= 0xdc00 &&
		    u[i + 1] < 0xe000)
			cp = 0x10000 + ((cp - 0xd800) << 10) + (u[++i] - 0xdc00u);
		/* controls are no text; a no-break space is a space */
		uni_append(out, cp < ' ' || cp == 0xa0 ? ' ' : cp);
	}
}

static void
put_code(const struct pdf_font *f, uint32_t code, struct buf *out)
{
	struct pdf_cmap_row key = {.code = code}, *r;

	r = f->n_map > 0 ? bsearch(&key, f->map, f->n_map, sizeof *f->map, by_code) : NULL;
	if (r != NULL)
		put_utf16(out, r->to, 4);
	else if (f->code_len == 1 && code < 256)
		put_utf16(out, &f->simple[code], 1);
}

static double
width_of(const struct pdf_font *f, uint32_t code)
{
	return code < f->n_widths ? f->widths[code] : f->width;
}

/* What stands between the last text and what comes now. */
static void
gap(struct state *s)
{
	struct buf *out = s->show->out;
	double unit = fabs(s->size * s->scale), dx = s->pen - s->last_x;

	if (!s->any)
		return;
	if (fabs(s->y - s->last_y) > 0.4 * unit || dx < -2 * unit)
		buf_append_byte(out, '\n');
	else if (dx > 2.5 * unit)
		buf_append_str(out, "   ");
	else if (dx > 0.15 * unit && out->len > 0 && out->data[out->len - 1] != ' ')
		buf_append_byte(out, ' ');
}

static void
show(struct state *s, struct slice bytes)
{
	double unit = s->size * s->scale / 1000;
	size_t i, n;

	if (s->font == NULL || bytes.len == 0)
		return;
	gap(s);
	n = s->font->code_len == 2 ? 2 : 1;
	for (i = 0; i + n <= bytes.len; i += n) {
		uint32_t code = code_of(slice_sub(bytes, i, n));

		put_code(s->font, code, s->show->out);
		s->pen += width_of(s->font, code) * unit;
	}
	s->any = true;
	s->last_x = s->pen;
	s->last_y = s->y;
}

static void
move_line(struct state *s, double tx, double ty)
{
	s->x += tx * s->scale;
	s->y += ty * s->scale;
	s->pen = s->x;
}

struct operands {
	double n[STACK_MAX];
	size_t count;
	struct slice name;
};

static double
arg(const struct operands *o, size_t from_end)
{
	return o->count >= from_end ? o->n[o->count - from_end] : 0;
}

static void
on_word(struct state *s, struct slice op, struct operands *o, const struct lex *l)
{
	if (slice_eq_str(op, "BT")) {
		s->x = s->y = s->pen = 0;
		s->scale = 1;
	} else if (slice_eq_str(op, "Tf")) {
		s->font = s->show->font_of(s->show->arg, o->name);
		s->size = arg(o, 1);
	} else if (slice_eq_str(op, "TL")) {
		s->leading = arg(o, 1);
	} else if (slice_eq_str(op, "Td")) {
		move_line(s, arg(o, 2), arg(o, 1));
	} else if (slice_eq_str(op, "TD")) {
		s->leading = -arg(o, 1);
		move_line(s, arg(o, 2), arg(o, 1));
	} else if (slice_eq_str(op, "T*")) {
		move_line(s, 0, -s->leading);
	} else if (slice_eq_str(op, "Tm") && o->count >= 6) {
		s->scale = fabs(arg(o, 6)) > 0 ? arg(o, 6) : fabs(arg(o, 5));
		s->x = s->pen = arg(o, 2);
		s->y = arg(o, 1);
	} else if (slice_eq_str(op, "Tj")) {
		show(s, buf_slice(&l->string));
	} else if (slice_eq_str(op, "'") || slice_eq_str(op, "\"")) {
		move_line(s, 0, -s->leading);
		show(s, buf_slice(&l->string));
	} else if (slice_eq_str(op, "Do") && s->show->on_form != NULL) {
		s->show->on_form(s->show->arg, o->name);
	}
}

/* An inline image: to its end, which is a word of its own. */
static void
skip_image(struct lex *l)
{
	ptrdiff_t at;

	while ((at = slice_find(l->s, slice_str("EI"))) >= 0) {
		bool before = at > 0 && is_space(l->s.ptr[at - 1]);

		l->s = slice_from(l->s, (size_t)at + 2);
		if (before && (l->s.len == 0 || is_space(l->s.ptr[0])))
			return;
	}
	l->s.len = 0;
}

void
pdf_content(struct slice bytes, struct pdf_show *how)
{
	struct state s = {.show = how, .scale = 1};
	struct lex l = {.s = bytes};
	struct operands o = {.count = 0};
	bool array = false;
	struct token t;

	buf_init(&l.string, STRING_MAX);
	while ((t = next(&l)).kind != T_END && how->ops++ < OPS_MAX && how->out->err == 0) {
		switch (t.kind) {
		case T_NUMBER:
			if (array)
				s.pen -= t.number * s.size * s.scale / 1000;
			else if (o.count < STACK_MAX)
				o.n[o.count++] = t.number;
			break;
		case T_NAME:
			o.name = t.text;
			break;
		case T_OPEN:
			array = true;
			break;
		case T_CLOSE:
			array = false;
			break;
		case T_STRING:
			/* in an array it is shown at once: only TJ takes arrays of strings */
			if (array)
				show(&s, buf_slice(&l.string));
			break;
		case T_WORD:
			if (slice_eq_str(t.text, "ID"))
				skip_image(&l);
			else
				on_word(&s, t.text, &o, &l);
			o.count = 0;
			break;
		default:
			break;
		}
	}
	if (s.any)
		buf_append_byte(how->out, '\n');
	buf_done(&l.string);
}
