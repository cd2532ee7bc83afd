/* b64_lines.c: base64 in lines of one length, there and back. Pure. Runs in stored, for parts of messages that are kept decoded. RFC 2045 6.8.
 *
 * A unit is a group of four characters with the line end before it, where it is the first of a line: so every octet of a text belongs to one
 * unit, and a range of the text is made of the units that it touches. */
#include "lib/b64_lines.h"

#include <string.h>

#include "lib/err.h"

enum { PIECE = 48 * 1024 };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#define R4(c, v) [(c)] = (v) + 1, [(c) + 1] = (v) + 2, [(c) + 2] = (v) + 3, [(c) + 3] = (v) + 4
/* Value + 1; 0: not of the alphabet. */
static const unsigned char value1[256] = {R4('A', 0), R4('E', 4), R4('I', 8), R4('M', 12),
    R4('Q', 16), R4('U', 20), ['Y'] = 25, ['Z'] = 26, R4('a', 26), R4('e', 30), R4('i', 34),
    R4('m', 38), R4('q', 42), R4('u', 46), ['y'] = 51, ['z'] = 52, R4('0', 52),
    R4('4', 56), ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64};

bool
b64_form_ok(const struct b64_form *f)
{
	return f->line % 4 == 0 && f->line <= B64_LINE_MAX && f->eol <= 2 &&
	       (f->line == 0) == (f->eol == 0);
}

uint64_t
b64_lines_len(const struct b64_form *f, uint64_t n)
{
	uint64_t chars = (n + 2) / 3 * 4;

	return f->line == 0 || chars == 0 ? chars : chars + (chars - 1) / f->line * f->eol;
}

/* The unit that octet off of the text is in. */
static uint64_t
unit_of(const struct b64_form *f, uint64_t off)
{
	uint64_t row, col;

	if (f->line == 0)
		return off / 4;
	row = off / (f->line + f->eol);
	col = off % (f->line + f->eol);
	return row * (f->line / 4) + col / 4; /* of a line end: the first of the next line */
}

/* Where a unit begins. */
static uint64_t
unit_at(const struct b64_form *f, uint64_t unit)
{
	uint64_t row;

	if (f->line == 0 || unit == 0)
		return unit * 4;
	row = unit / (f->line / 4);
	return unit * 4 + row * f->eol - (unit % (f->line / 4) == 0 ? f->eol : 0);
}

void
b64_lines_need(const struct b64_form *f, uint64_t n, uint64_t off, uint64_t len, uint64_t *from_out,
    uint64_t *to_out)
{
	uint64_t to = 3 * (unit_of(f, off + len - 1) + 1);

	*from_out = 3 * unit_of(f, off);
	*to_out = to < n ? to : n;
}

static unsigned char *
put_group(const unsigned char *p, size_t n, unsigned char *to)
{
	unsigned v = (unsigned)p[0] << 16 | (n > 1 ? (unsigned)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);

	to[0] = (unsigned char)alphabet[v >> 18];
	to[1] = (unsigned char)alphabet[v >> 12 & 63];
	to[2] = n > 1 ? (unsigned char)alphabet[v >> 6 & 63] : '=';
	to[3] = n > 2 ? (unsigned char)alphabet[v & 63] : '=';
	return to + 4;
}

/* Appends what of p, which stands at octet at of the text, lies in [off, end). */
static int
put_range(
    const unsigned char *p, size_t n, uint64_t at, uint64_t off, uint64_t end, struct buf *out)
{
	size_t skip = off > at ? (size_t)(off - at) : 0;

	if (skip >= n || at >= end)
		return 0;
	if (end - at < n)
		n = (size_t)(end - at);
	return buf_append(out, p + skip, n - skip);
}

int
b64_lines_encode(
    const struct b64_form *f, struct slice part, uint64_t off, uint64_t len, struct buf *out)
{
	uint64_t unit = unit_of(f, off), at = unit_at(f, unit);
	uint64_t per_line = f->line == 0 ? UINT64_MAX : f->line / 4, col = unit % per_line;
	unsigned char piece[4096], *to = piece;
	size_t start = out->len;

	if (buf_reserve(out, (size_t)len) == NULL)
		return out->err;
	for (size_t i = 0; i < part.len; i += 3) {
		if (col == per_line)
			col = 0;
		if (col == 0 && (unit > 0 || i > 0)) {
			if (f->eol == 2)
				*to++ = '\r';
			if (f->eol > 0)
				*to++ = '\n';
		}
		to = put_group(part.ptr + i, part.len - i, to);
		col++;
		if (to - piece < (ptrdiff_t)sizeof piece - 8 && i + 3 < part.len)
			continue;
		put_range(piece, (size_t)(to - piece), at, off, off + len, out);
		at += (uint64_t)(to - piece);
		to = piece;
	}
	if (out->err == 0 && out->len - start != len)
		return ERR_RANGE;
	return out->err;
}

/* One group; *n_out: octets. Padding stands at the very end alone, and leaves no bit set. */
static bool
get_group(const unsigned char *p, bool last, unsigned char *to, size_t *n_out)
{
	unsigned a = value1[p[0]], b = value1[p[1]], c = value1[p[2]], d = value1[p[3]], v;

	*n_out = 3;
	if (last && p[3] == '=') {
		*n_out = p[2] == '=' ? 1 : 2;
		c = p[2] == '=' ? 1 : c;
		d = 1;
	}
	if (a == 0 || b == 0 || c == 0 || d == 0)
		return false;
	v = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
	to[0] = (unsigned char)(v >> 16);
	to[1] = (unsigned char)(v >> 8);
	to[2] = (unsigned char)v;
	return true;
}

static bool
line_decode(struct slice line, bool last, unsigned char **at)
{
	for (size_t i = 0; i < line.len; i += 4) {
		size_t n;

		if (!get_group(line.ptr + i, last && i + 4 == line.len, *at, &n))
			return false;
		*at += n;
	}
	return true;
}

static bool
form_find(struct slice core, struct b64_form *f)
{
	const unsigned char *lf = memchr(core.ptr, '\n', core.len);
	size_t n = lf == NULL ? core.len : (size_t)(lf - core.ptr);

	*f = (struct b64_form){0};
	if (lf == NULL)
		return core.len % 4 == 0;
	f->eol = 1;
	if (n > 0 && core.ptr[n - 1] == '\r') {
		f->eol = 2;
		n--;
	}
	f->line = n <= B64_LINE_MAX ? (uint32_t)n : 0;
	return f->line > 0 && b64_form_ok(f);
}

/* Whether it encodes to the same octets, tried in pieces. */
static bool
same_again(const struct b64_form *f, struct slice core, struct slice decoded)
{
	uint64_t from, to, len;
	bool same = b64_lines_len(f, decoded.len) == core.len;
	struct buf b;

	buf_init(&b, 2 * PIECE);
	for (uint64_t off = 0; off < core.len && same; off += len) {
		len = core.len - off < PIECE ? core.len - off : PIECE;
		b64_lines_need(f, decoded.len, off, len, &from, &to);
		buf_reset(&b);
		same = b64_lines_encode(f, slice_sub(decoded, (size_t)from, (size_t)(to - from)),
			   off, len, &b) == 0 &&
		       memcmp(b.data, core.ptr + off, (size_t)len) == 0;
	}
	buf_done(&b);
	return same;
}

int
b64_lines_decode(struct slice text, struct b64_form *form_out, uint64_t *len_out, struct buf *out)
{
	unsigned char *to, *at;
	struct b64_form f;
	size_t width;

	while (text.len > 0 && strchr(" \t\r\n", text.ptr[text.len - 1]) != NULL &&
	       text.ptr[text.len - 1] != '\0')
		text.len--;
	if (text.len == 0 || !form_find(text, &f))
		return ERR_SYNTAX;
	if ((to = at = buf_reserve(out, text.len / 4 * 3 + 4)) == NULL)
		return out->err;
	width = f.line == 0 ? text.len : f.line;
	for (size_t i = 0; i < text.len;) {
		struct slice line = slice_sub(text, i, width);
		bool last = i + line.len == text.len;

		i += line.len;
		if (line.len % 4 != 0 || !line_decode(line, last, &at))
			return ERR_SYNTAX;
		if (last)
			break;
		if (text.len - i <= f.eol || memcmp(text.ptr + i, &"\r\n"[2 - f.eol], f.eol) != 0)
			return ERR_SYNTAX;
		i += f.eol;
	}
	if (!same_again(&f, text, slice_of(to, (size_t)(at - to))))
		return ERR_SYNTAX;
	buf_commit(out, (size_t)(at - to));
	*form_out = f;
	*len_out = text.len;
	return 0;
}
