/* shown.c: what senders wrote, made safe to look at. Pure but for shown_print; runs in congvu. The tables are of Unicode 15: Bidi_Control,
 * Default_Ignorable_Code_Point, spaces, and the signs that look like a dot or a slash (UTS 39 confusables of these two). */
#include "config.h"

#include "admin/shown.h"

#include "lib/uni.h"

#include <stdio.h>

enum { SHOWN_MAX = 1 << 20, MARKS_MAX = 3 };

struct range {
	uint32_t from, to;
};

static bool
in_ranges(const struct range *r, size_t n, uint32_t cp)
{
	for (size_t i = 0; i < n; i++)
		if (cp >= r[i].from && cp <= r[i].to)
			return true;
	return false;
}
#define IN(table, cp) in_ranges(table, sizeof(table) / sizeof((table)[0]), cp)

/* What is not seen, or moves what is. */
static bool
is_unseen(uint32_t cp)
{
	static const struct range unseen[] = {{0x00, 0x1f}, {0x7f, 0xa0}, {0xad, 0xad},
	    {0x34f, 0x34f}, {0x61c, 0x61c}, {0x115f, 0x1160}, {0x1680, 0x1680}, {0x17b4, 0x17b5},
	    {0x180b, 0x180f}, {0x2000, 0x200f}, {0x2028, 0x202f}, {0x205f, 0x206f},
	    {0x2800, 0x2800}, {0x3000, 0x3000}, {0x3164, 0x3164}, {0xd800, 0xf8ff},
	    {0xfdd0, 0xfdef}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xffa0, 0xffa0},
	    {0xfff0, 0xffff}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0x10ffff}};

	return IN(unseen, cp);
}

static bool
is_dot(uint32_t cp)
{
	static const struct range dots[] = {{0x660, 0x660}, {0x6d4, 0x6d4}, {0x6f0, 0x6f0},
	    {0x701, 0x702}, {0x2024, 0x2026}, {0x3002, 0x3002}, {0xa4f8, 0xa4f8}, {0xfe52, 0xfe52},
	    {0xff0e, 0xff0e}, {0xff61, 0xff61}, {0x10a50, 0x10a50}, {0x1d16d, 0x1d16d}};

	return IN(dots, cp);
}

/* Signs that pass for others: slashes, the letters of mathematics, wide and enclosed ones, our own brackets. */
static bool
is_imitation(uint32_t cp)
{
	static const struct range like[] = {{0x2039, 0x203a}, {0x2044, 0x2044}, {0x2100, 0x214f},
	    {0x2215, 0x2216}, {0x2460, 0x24ff}, {0x29f5, 0x29f9}, {0xfe30, 0xfe6b},
	    {0xff01, 0xff9f}, {0x1d400, 0x1d7ff}, {0x1f100, 0x1f1ff}};

	return is_dot(cp) || IN(like, cp);
}

static bool
is_latin(uint32_t cp)
{
	return (cp >= 'A' && cp <= 'Z') || (cp >= 'a' && cp <= 'z') ||
	       (cp >= 0xc0 && cp <= 0x24f && cp != 0xd7 && cp != 0xf7) ||
	       (cp >= 0x1e00 && cp <= 0x1eff);
}

/* Scripts with letters that are taken for Latin ones: IPA and modifiers, Greek, Cyrillic, Armenian, Cherokee, Lisu, Coptic, Deseret. */
static bool
is_like_latin(uint32_t cp)
{
	static const struct range scripts[] = {{0x250, 0x2ff}, {0x370, 0x58f}, {0x10a0, 0x10ff},
	    {0x13a0, 0x13ff}, {0x1c80, 0x1c8f}, {0x1d00, 0x1dbf}, {0x1f00, 0x1fff},
	    {0x2c60, 0x2dff}, {0xa4d0, 0xa4ff}, {0xa640, 0xa69f}, {0xa720, 0xabbf},
	    {0x10280, 0x1044f}};

	return IN(scripts, cp);
}

static bool
is_letter(uint32_t cp)
{
	return is_latin(cp) || is_like_latin(cp) || uni_is_mark(cp);
}

static void
put_number(uint32_t cp, struct buf *out)
{
	buf_appendf(out, "\xe2\x80\xb9U+%04X\xe2\x80\xba", (unsigned)cp);
}

/* Whether the word at the beginning of s has Latin letters in it; *len_out: its octets. */
static bool
word(struct slice s, size_t *len_out)
{
	struct slice rest = s;
	bool latin = false;
	uint32_t cp;

	while (rest.len > 0) {
		struct slice at = rest;

		if (uni_next(&rest, &cp) == 0 || !is_letter(cp)) {
			rest = at;
			break;
		}
		latin |= is_latin(cp);
	}
	*len_out = s.len - rest.len;
	return latin;
}

static bool
is_shown(uint32_t cp, enum shown_as as, bool latin_word, unsigned marks)
{
	if (is_unseen(cp) || is_imitation(cp) || marks > MARKS_MAX)
		return false;
	if (as == SHOWN_ASCII)
		return cp < 0x80;
	if (cp < 0x80 || is_latin(cp) || uni_is_mark(cp))
		return true;
	return as == SHOWN_TEXT && !(latin_word && is_like_latin(cp));
}

void
shown_append(struct slice s, enum shown_as as, struct buf *out)
{
	size_t left = 0; /* of the word */
	bool latin = false;
	unsigned marks = 0;

	while (s.len > 0) {
		struct slice at = s;
		uint32_t cp;
		size_t n;

		if (left == 0)
			latin = word(s, &left);
		n = uni_next(&s, &cp);
		left -= left < n ? left : n;
		if (n == 0) {
			buf_appendf(out,
			    "\xe2\x80\xb9"
			    "0x%02X\xe2\x80\xba",
			    at.ptr[0]);
			continue;
		}
		marks = uni_is_mark(cp) ? marks + 1 : 0;
		if (is_shown(cp, as, latin, marks))
			buf_append(out, at.ptr, n);
		else
			put_number(cp, out);
	}
}

void
shown_extension(struct slice name, struct buf *out)
{
	size_t begin = 0, end = 0, at = 0;
	bool found = false;
	struct slice rest = name;

	while (rest.len > 0) {
		uint32_t cp;
		size_t n = uni_next(&rest, &cp);
		bool dot = n > 0 && (cp == '.' || is_dot(cp));

		if (n > 0 && (cp == '/' || cp == '\\'))
			found = false; /* of a folder */
		at = name.len - rest.len;
		if (dot && rest.len > 0) {
			/* "a.exe." and "a.exe. ." are a.exe to programs: a dot counts when something follows */
			struct slice more = rest;
			bool any = false;

			while (more.len > 0 && !any) {
				size_t k = uni_next(&more, &cp);
				any = k == 0 ||
				      !(cp == '.' || cp == ' ' || is_dot(cp) || is_unseen(cp));
			}
			if (any) {
				begin = at;
				found = true;
			}
		} else if (!dot && !(n > 0 && (cp == ' ' || is_unseen(cp)))) {
			end = at;
		}
	}
	if (!found || end <= begin)
		return;
	buf_append_byte(out, '.');
	size_t from = out->len;
	shown_append(slice_sub(name, begin, end - begin), SHOWN_ASCII, out);
	for (size_t i = from; i < out->len; i++)
		if (out->data[i] == 0xe2) /* an escape stays as it is */
			while (
			    i + 2 < out->len && !(out->data[i] == 0x80 && out->data[i + 1] == 0xba))
				i++;
		else if (out->data[i] >= 'A' && out->data[i] <= 'Z')
			out->data[i] += 32;
}

void
shown_print(struct slice s, enum shown_as as)
{
	struct buf b;

	buf_init(&b, SHOWN_MAX);
	shown_append(s, as, &b);
	fwrite(b.data, 1, b.len, stdout);
	if (b.err != 0)
		printf("...");
	buf_done(&b);
}
