/* secrecy.c: finds the marks of state secrets (DOMAIN.md P12). Pure; runs in milter-scan. Law 117/2025 has three degrees: Mật, Tối mật, Tuyệt
 * mật. A stamp is in capitals and alone: in its line, in brackets, before or behind a separator of the subject. Talk about secrecy ("Tập
 * huấn bảo vệ tài liệu tối mật") is none. */
#include "config.h"

#include "milter/secrecy.h"

#include "lib/fold.h"
#include "lib/octets.h"
#include "lib/uni.h"
#include "lib/utf7.h"

#include <string.h>

#define TEXT_MAX (1u << 20)
#define LINE_MAX_LEN 600

/* White space, and what decorates a stamp. */
static bool
is_decoration(uint32_t c)
{
	return c <= ' ' || c == 0xa0 || c == 0x200b || c == 0xfeff || c == 0x3000 || c == 0x2003 ||
	       (c < 0x80 && strchr("[](){}<>*_-.:;\"'|=#~+!/\\,", (int)c) != NULL) ||
	       (c >= 0x2010 && c <= 0x201f) || c == 0x2022 || c == 0x3010 || c == 0x3011;
}

static bool
is_blank(uint32_t c)
{
	return c <= ' ' || c == 0xa0 || c == 0x200b || c == 0xfeff || c == 0x3000 || c == 0x2003;
}

/* Without decoration at both ends. */
static struct slice
strip(struct slice s)
{
	struct slice rest = s, from = s;
	size_t n, end = 0;
	bool begun = false;
	uint32_t c;

	while (rest.len > 0) {
		const unsigned char *at = rest.ptr;

		n = uni_next(&rest, &c);
		if (n > 0 && is_decoration(c))
			continue;
		if (!begun)
			from = slice_from(s, (size_t)(at - s.ptr));
		begun = true;
		end = (size_t)(rest.ptr - from.ptr);
	}
	return begun ? slice_sub(from, 0, end) : slice_sub(s, 0, 0);
}

/* Nothing is seen of it. */
static bool
is_unseen(uint32_t c)
{
	return c == 0xad || c == 0x34f || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
	       (c >= 0xfe00 && c <= 0xfe0f);
}

/* Wide letters, and the Cyrillic and Greek ones of a stamp that look like ours. */
static uint32_t
as_seen(uint32_t c)
{
	static const struct {
		uint32_t is, seen;
	} alike[] = {{0x410, 'A'}, {0x391, 'A'}, {0x415, 'E'}, {0x395, 'E'}, {0x406, 'I'},
	    {0x399, 'I'}, {0x41c, 'M'}, {0x39c, 'M'}, {0x41e, 'O'}, {0x39f, 'O'}, {0x422, 'T'},
	    {0x3a4, 'T'}, {0x4ae, 'Y'}, {0x3a5, 'Y'}};
	size_t i;

	if (c >= 0xff21 && c <= 0xff3a)
		return c - 0xff21 + 'A';
	for (i = 0; i < sizeof alike / sizeof *alike; i++) {
		if (alike[i].is == c)
			return alike[i].seen;
	}
	return c;
}

static void nfc_of(struct slice s, struct buf *out);

/* All of it without blanks, as it is seen: "T U Y Ệ T  M Ậ T" is a stamp as well. */
static void
without_blanks(struct slice s, struct buf *out)
{
	const unsigned char *at;
	struct buf b;
	size_t n;
	uint32_t c;

	buf_init(&b, 256);
	while (s.len > 0) {
		at = s.ptr;
		n = uni_next(&s, &c);
		if (n == 0)
			buf_append(&b, at, 1);
		else if (!is_blank(c) && !is_unseen(c))
			uni_append(&b, as_seen(c));
	}
	nfc_of(buf_slice(&b), out);
	buf_done(&b);
}

static bool
is_one_of(struct slice s, const char *const *list)
{
	for (; *list != NULL; list++) {
		if (slice_eq_str(s, *list))
			return true;
	}
	return false;
}

/* A stamp in capitals and nothing else. Without marks the two longer ones only ("MAT" is other things too). Then TCVN3 and VNI where a mail calls
 * their octets Latin; TCVN3's capital fonts show small letters as capitals. */
static bool
is_stamp(struct slice s)
{
	static const char *const stamps[] = {"MẬT", "TỐIMẬT", "TUYỆTMẬT", "TOIMAT", "TUYETMAT",
	    "MËT", "TèIMËT", "TUYÖTMËT", "mËt", "tèimËt", "tuyÖtmËt", "MAÄT", "TOÁIMAÄT",
	    "TUYEÄTMAÄT", NULL};
	struct buf b;
	bool yes;

	s = strip(s);
	if (s.len == 0 || s.len > 64)
		return false;
	buf_init(&b, 256);
	without_blanks(s, &b);
	yes = is_one_of(buf_slice(&b), stamps);
	buf_done(&b);
	return yes;
}

/* In brackets any case will do. */
static bool
is_bracketed_mark(struct slice s)
{
	static const char *const marks[] = {"mật", "tối mật", "tuyệt mật", NULL};
	struct buf b;
	bool yes;

	s = strip(s);
	if (s.len == 0 || s.len > 64)
		return false;
	if (is_stamp(s))
		return true;
	buf_init(&b, 256);
	yes = uni_casefold(UNI_NFC, s, &b) == 0 && is_one_of(buf_slice(&b), marks);
	buf_done(&b);
	return yes;
}

static struct slice
skip_blanks(struct slice s)
{
	while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
		s = slice_from(s, 1);
	return s;
}

/* "Độ mật: Tối mật", and nothing else behind it: a form that lists all degrees is not filled in. */
static bool
is_phrase(struct slice s)
{
	static const char *const heads[] = {"do mat", "muc do mat", "muc mat", "do mat (neu co)"};
	static const char *const values[] = {"tuyet mat", "toi mat", "mat"};
	struct slice rest, f;
	struct buf b;
	bool yes = false;
	size_t i, k;

	if (s.len > LINE_MAX_LEN)
		return false;
	buf_init(&b, 4 * LINE_MAX_LEN);
	vn_fold(strip(s), &b);
	f = buf_slice(&b);
	for (i = 0; i < sizeof heads / sizeof *heads && !yes; i++) {
		if (!slice_starts(f, heads[i]))
			continue;
		rest = skip_blanks(slice_from(f, strlen(heads[i])));
		if (rest.len == 0 || (rest.ptr[0] != ':' && rest.ptr[0] != '-'))
			continue;
		rest = strip(rest);
		for (k = 0; k < sizeof values / sizeof *values && !yes; k++) {
			if (!slice_starts(rest, values[k]))
				continue;
			/* a second column may follow, not more words */
			rest = slice_from(rest, strlen(values[k]));
			yes = rest.len == 0 || slice_starts(rest, "  ") || rest.ptr[0] == '\t' ||
			      rest.ptr[0] == '.' || rest.ptr[0] == ';' || rest.ptr[0] == '!';
			break;
		}
	}
	buf_done(&b);
	return yes;
}

/* The text in NFC; as it is when it cannot be. */
static void
nfc_of(struct slice s, struct buf *out)
{
	if (utf8_nfc(s, out) != 0) {
		buf_reset(out);
		buf_append_slice(out, s);
	}
}

static bool
found_it(struct slice s, struct buf *found)
{
	buf_append_slice(found, slice_sub(strip(s), 0, 60));
	return true;
}

static bool
in_brackets(struct slice s, struct buf *found)
{
	static const char pairs[][2] = {{'[', ']'}, {'(', ')'}, {'<', '>'}, {'{', '}'}};
	struct slice rest, inside;
	ptrdiff_t from, to;
	size_t i;

	for (i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		rest = s;
		while ((from = slice_index(rest, (unsigned char)pairs[i][0])) >= 0) {
			rest = slice_from(rest, (size_t)from + 1);
			to = slice_index(rest, (unsigned char)pairs[i][1]);
			if (to < 0)
				break;
			inside = slice_sub(rest, 0, (size_t)to);
			if (is_bracketed_mark(inside) || is_phrase(inside))
				return found_it(inside, found);
		}
	}
	return false;
}

/* Whether a separator of subjects stands at s: its length. */
static size_t
separator(struct slice s, bool names)
{
	uint32_t c;
	struct slice rest = s;
	size_t n;

	if (s.len == 0)
		return 0;
	n = uni_next(&rest, &c);
	if (n > 0 && (c == 0x2013 || c == 0x2014))
		return n;
	if (names && (c == '_' || c == '-' || c == ' ' || c == '.'))
		return 1;
	if (c == ':' || c == '|' || c == ';' || c == '/' || c == ']' || c == ')' || c == '[')
		return 1;
	return slice_starts(s, " - ") ? 3 : slice_starts(s, "- ") ? 2 : 0;
}

bool
secrecy_in_subject(struct slice given, struct buf *found)
{
	struct slice s, piece;
	struct buf b;
	bool yes;
	size_t i, from = 0, n;

	buf_init(&b, 16384);
	nfc_of(slice_sub(given, 0, 4000), &b);
	s = buf_slice(&b);
	yes = in_brackets(s, found) || (is_phrase(s) && found_it(s, found));
	for (i = 0; !yes && i <= s.len; i++) {
		n = i < s.len ? separator(slice_from(s, i), false) : 1;
		if (n == 0)
			continue;
		piece = slice_sub(s, from, i - from);
		yes = is_stamp(piece) && found_it(piece, found);
		from = i + n;
		i += n - 1;
	}
	buf_done(&b);
	return yes;
}

/* Small letters: a name all in capitals stamps nothing by them. */
static bool
has_small(struct slice s)
{
	struct buf b;
	bool yes;

	buf_init(&b, 4096);
	vn_ascii(s, &b);
	yes = false;
	for (size_t i = 0; i < b.len; i++)
		yes = yes || (b.data[i] >= 'a' && b.data[i] <= 'z');
	buf_done(&b);
	return yes;
}

/* Words of a name from its start, or to its end, that make a stamp: "TOI MAT_BC 15", "ke-hoach-TUYET-MAT". */
static bool
name_stamped(struct slice s, struct buf *found)
{
	bool small = has_small(s);
	size_t i, words = 0;

	for (i = 0; i <= s.len && words < 4; i++) {
		if (i < s.len && separator(slice_from(s, i), true) == 0)
			continue;
		words++;
		/* "MẬT" alone may begin other words; written as one, the longer two may not */
		if ((words > 1 || i == s.len || i > strlen("MẬT")) && is_stamp(slice_sub(s, 0, i)))
			return found_it(slice_sub(s, 0, i), found);
	}
	words = 0;
	for (i = s.len; small && i > 0 && words < 4; i--) {
		if (separator(slice_from(s, i - 1), true) == 0)
			continue;
		words++;
		if (words > 1 && is_stamp(slice_from(s, i)))
			return found_it(slice_from(s, i), found);
	}
	return false;
}

/* "(toi mat)": names are often without marks; in brackets it is nothing else. */
static bool
folded_in_brackets(struct slice s, struct buf *found)
{
	static const char *const marks[] = {"toi mat", "tuyet mat", NULL};
	struct slice rest = s, inside;
	ptrdiff_t from, to;
	struct buf b;
	bool yes = false;

	buf_init(&b, 256);
	while (!yes && (from = slice_index(rest, '(')) >= 0) {
		rest = slice_from(rest, (size_t)from + 1);
		to = slice_index(rest, ')');
		if (to < 0 || to > 60)
			continue;
		inside = strip(slice_sub(rest, 0, (size_t)to));
		buf_reset(&b);
		yes = vn_fold(inside, &b) == 0 && is_one_of(buf_slice(&b), marks) &&
		      found_it(inside, found);
	}
	buf_done(&b);
	return yes;
}

bool
secrecy_in_name(struct slice given, struct buf *found)
{
	struct slice s;
	struct buf b, plain;
	bool yes;
	size_t i;

	buf_init(&b, 8192);
	buf_init(&plain, 8192);
	nfc_of(slice_sub(given, 0, 1000), &b);
	s = buf_slice(&b);
	/* without the ending */
	for (i = s.len; i > 0 && s.len - i < 6; i--) {
		if (s.ptr[i - 1] == '.') {
			s.len = i - 1;
			break;
		}
	}
	yes = in_brackets(s, found);
	for (i = 0; i < s.len; i++)
		buf_append_byte(&plain, s.ptr[i] == '_' || s.ptr[i] == '-' ? ' ' : s.ptr[i]);
	yes = yes || folded_in_brackets(buf_slice(&plain), found) ||
	      (is_stamp(buf_slice(&plain)) && found_it(s, found)) ||
	      name_stamped(buf_slice(&plain), found);
	buf_done(&b);
	buf_done(&plain);
	return yes;
}

/* A line, and its columns: what wide gaps part. */
static bool
line_marked(struct slice line, struct buf *found)
{
	struct slice piece;
	size_t i, from = 0;

	while (line.len > 0 && (line.ptr[0] == '>' || line.ptr[0] == ' '))
		line = slice_from(line, 1);
	if (is_phrase(line))
		return found_it(line, found);
	for (i = 0; i <= line.len; i++) {
		bool gap = i == line.len || line.ptr[i] == '\t' || line.ptr[i] == '|' ||
			   slice_starts(slice_from(line, i), "   ");

		if (!gap)
			continue;
		piece = slice_sub(line, from, i - from);
		if (is_stamp(piece) || is_phrase(piece))
			return found_it(piece, found);
		from = i;
	}
	return false;
}

/* ---- a cheap look before the dear one: most lines are told by two letters, as they stand there ---- */

/* The ASCII ones of is_decoration. */
static const bool ascii_decoration[256] = {[0 ... ' '] = true,
    ['['] = true,
    [']'] = true,
    ['('] = true,
    [')'] = true,
    ['{'] = true,
    ['}'] = true,
    ['<'] = true,
    ['>'] = true,
    ['*'] = true,
    ['_'] = true,
    ['-'] = true,
    ['.'] = true,
    [':'] = true,
    [';'] = true,
    ['"'] = true,
    ['\''] = true,
    ['|'] = true,
    ['='] = true,
    ['#'] = true,
    ['~'] = true,
    ['+'] = true,
    ['!'] = true,
    ['/'] = true,
    ['\\'] = true,
    [','] = true};

/* Whether a piece may be a stamp or a phrase, by its first two octets behind decoration: those begin with M, T or "do", "mu". What is not ASCII is for
 * the dear look. No normal form makes another letter of an ASCII one. */
static bool
may_begin(struct slice s)
{
	unsigned char one, two;
	size_t i = 0;

	while (i < s.len && ascii_decoration[s.ptr[i]])
		i++;
	if (i == s.len || s.ptr[i] >= 0x80)
		return i < s.len;
	one = s.ptr[i++] | 0x20;
	while (i < s.len && s.ptr[i] <= ' ')
		i++;
	if (i == s.len || (one != 'm' && one != 't' && one != 'd'))
		return false;
	two = s.ptr[i] >= 0x80 ? 0x80 : s.ptr[i] | 0x20;
	return two == 0x80 || (one == 'm' && (two == 'a' || two == 'u')) ||
	       (one == 't' && (two == 'o' || two == 'u')) || (one == 'd' && two == 'o');
}

/* Three blanks in a row: one of them stands at every third place. */
static const unsigned char *
wide_gap(const unsigned char *p, size_t n)
{
	for (size_t i = 2; i < n; i += 3) {
		size_t from = i, to = i;

		if (p[i] != ' ')
			continue;
		while (from > 0 && p[from - 1] == ' ')
			from--;
		while (to + 1 < n && p[to + 1] == ' ')
			to++;
		if (to - from >= 2)
			return p + from;
	}
	return NULL;
}

/* Where the next column of a line begins, as line_marked parts them; NULL: nowhere. */
static const unsigned char *
next_column(const unsigned char *p, size_t n)
{
	const unsigned char *tab = memchr(p, '\t', n), *bar, *gap;

	if (tab != NULL)
		n = (size_t)(tab - p);
	bar = memchr(p, '|', n);
	if (bar != NULL)
		n = (size_t)(bar - p);
	gap = wide_gap(p, n);
	return gap != NULL ? gap : bar != NULL ? bar : tab;
}

/* has_columns: what parts columns stands somewhere in the line. */
static bool
may_be_marked(struct slice line, bool has_columns)
{
	const unsigned char *at;

	if (line.len < 3 || line.len > LINE_MAX_LEN)
		return false;
	for (;;) {
		if (may_begin(line))
			return true;
		/* behind one column the next begins, and decoration is passed over */
		at = has_columns ? next_column(line.ptr + 1, line.len - 1) : NULL;
		if (at == NULL)
			return false;
		line = slice_from(line, (size_t)(at - line.ptr));
	}
}

/* What is looked at of sixty-four octets of a text, bit by bit. */
struct marks {
	uint64_t lf, column; /* ends of lines; tabs, bars, the last of three blanks */
	uint64_t blanks;
};

/* before: the marks of the octets before these. */
static struct marks
marks_of(const unsigned char *p, const struct marks *before)
{
	uint64_t blanks = octets64_eq(p, ' ');
	struct marks m = {.lf = octets64_eq(p, '\n'), .blanks = blanks};

	m.column =
	    (blanks & (blanks << 1 | before->blanks >> 63) & (blanks << 2 | before->blanks >> 62)) |
	    octets64_eq(p, '\t') | octets64_eq(p, '|');
	return m;
}

static bool
look_at_line(struct slice line, bool has_columns, struct buf *nfc, struct buf *found)
{
	if (!may_be_marked(line, has_columns))
		return false;
	buf_reset(nfc);
	nfc_of(line, nfc);
	return line_marked(buf_slice(nfc), found);
}

bool
secrecy_in_text(struct slice s, struct buf *found)
{
	struct marks m = {0, 0, 0};
	bool yes = false, has_columns = false;
	unsigned char last[64];
	size_t at, from = 0;
	struct buf nfc;

	s = slice_sub(s, 0, TEXT_MAX);
	buf_init(&nfc, 4 * LINE_MAX_LEN);
	for (at = 0; !yes && at < s.len; at += 64) {
		const unsigned char *p = s.ptr + at;

		if (s.len - at < sizeof last) {
			memset(last, 0, sizeof last);
			memcpy(last, p, s.len - at);
			p = last;
		}
		m = marks_of(p, &m);
		for (; m.lf != 0 && !yes; m.lf &= m.lf - 1) {
			uint64_t in_line = m.lf ^ (m.lf - 1);
			size_t end = at + (size_t)__builtin_ctzll(m.lf);

			has_columns |= (m.column & in_line) != 0;
			m.column &= ~in_line;
			yes =
			    look_at_line(slice_sub(s, from, end - from), has_columns, &nfc, found);
			from = end + 1;
			has_columns = false;
		}
		has_columns |= m.column != 0;
	}
	if (!yes && from < s.len)
		yes = look_at_line(slice_from(s, from), has_columns, &nfc, found);
	buf_done(&nfc);
	return yes;
}

/* Tags that end a line of what is seen. */
static bool
breaks_line(struct slice tag)
{
	static const char *const names[] = {"br", "p", "/p", "div", "/div", "td", "/td", "th",
	    "/th", "tr", "/tr", "li", "/li", "h1", "/h1", "h2", "/h2", "h3", "/h3", "table",
	    "/table", "w:p", "/w:p", "w:br/", "text:p", "/text:p"};
	size_t n = 0, i;

	while (n < tag.len && tag.ptr[n] != ' ' && tag.ptr[n] != '\t' && tag.ptr[n] != '\r' &&
	       tag.ptr[n] != '\n' && (tag.ptr[n] != '/' || n == 0))
		n++;
	tag.len = n;
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		if (slice_caseeq_str(tag, names[i]))
			return true;
	}
	return false;
}

/* "&#7852;", "&nbsp;": its length; 0 when it is none. */
static size_t
entity(struct slice s, uint32_t *cp_out)
{
	ptrdiff_t end = slice_index(slice_sub(s, 0, 12), ';');
	struct slice name;
	uint64_t v = 0;
	size_t i;

	if (end < 2)
		return 0;
	name = slice_sub(s, 1, (size_t)end - 1);
	*cp_out = ' ';
	if (name.ptr[0] != '#')
		return slice_caseeq_str(name, "nbsp") ? (size_t)end + 1 : 0;
	if (name.len > 2 && (name.ptr[1] | 0x20) == 'x') {
		for (i = 2; i < name.len; i++) {
			if (hex_value(name.ptr[i]) < 0)
				return 0;
			v = v << 4 | (unsigned)hex_value(name.ptr[i]);
		}
	} else if (slice_to_u64(slice_from(name, 1), 0x10ffff, &v) != 0) {
		return 0;
	}
	*cp_out = (uint32_t)v;
	return (size_t)end + 1;
}

void
secrecy_html_text(struct slice s, struct buf *out)
{
	ptrdiff_t end;
	uint32_t cp;
	size_t n, i;

	s = slice_sub(s, 0, 4 * TEXT_MAX);
	for (i = 0; i < s.len && out->err == 0; i++) {
		unsigned char c = s.ptr[i];

		if (c == '<') {
			end = slice_index(slice_from(s, i), '>');
			if (end < 0)
				break;
			if (breaks_line(slice_sub(s, i + 1, (size_t)end - 1)))
				buf_append_byte(out, '\n');
			i += (size_t)end;
		} else if (c == '&' && (n = entity(slice_from(s, i), &cp)) > 0) {
			uni_append(out, cp);
			i += n - 1;
		} else {
			/* line ends of the source are white space */
			buf_append_byte(out, c == '\r' || c == '\n' ? ' ' : c);
		}
	}
}
