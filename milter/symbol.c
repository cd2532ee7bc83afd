/* symbol.c: reads a document's number and symbol at the start of a subject. Pure; runs in milter. Decree 30/2020, Appendix III
 * (types). Made to say no to dates, fractions and English: "24/7", "09/10", "and/or", "TCP/IP". */
#include "config.h"

#include "milter/symbol.h"

#include "lib/err.h"

#include <string.h>

/* Types with their abbreviations (DOMAIN.md B1), copies, and what precedes the decree (NĐ, TT, QH, L, PL, CV, TTLT, NQLT). */
static const char *const types[] = {"NQ", "QĐ", "CT", "QC", "QyĐ", "TC", "TB", "HD", "CTr", "KH",
    "PA", "ĐA", "DA", "BC", "BB", "TTr", "HĐ", "CĐ", "BGN", "BTT", "GUQ", "GM", "GGT", "GNP", "PG",
    "PC", "PB", "SY", "TrS", "SL", "NĐ", "TT", "TTLT", "NQLT", "PL", "CV", "L", "QH"};

/* Words that may stand before a symbol, folded (no marks, lower case); abbreviated as people write them: "QĐ số 15/QĐ-UBND". */
static const char *const leads[] = {"so", "cong", "van", "quyet", "dinh", "nghi", "chi", "thi",
    "quy", "che", "thong", "cao", "bao", "huong", "dan", "chuong", "trinh", "ke", "hoach", "phuong",
    "an", "de", "du", "bien", "ban", "to", "hop", "dong", "dien", "ghi", "nho", "thoa", "thuan",
    "giay", "uy", "quyen", "moi", "gioi", "thieu", "phieu", "gui", "chuyen", "thu", "tu", "luat",
    "lenh", "phap", "v", "ve", "viec", "vv", "hoa", "toc", "khan", "thuong", "kinh", "phat", "hanh",
    "sao", "y", "luc", "trich", "lien", "tich", "qd", "cv", "gm", "tb", "kh", "bc", "ct", "nq",
    "ttr", "cd", "vb", "nd", "tt", "bb"};

struct cursor {
	struct slice s;
	size_t at;
};

/* The next character, 0 at the end; invalid bytes come out as U+FFFD one by one. */
static uint32_t
peek(const struct cursor *c, size_t *len_out)
{
	const unsigned char *p;
	size_t left = c->s.len - c->at, n, i;
	uint32_t v;

	*len_out = left > 0 ? 1 : 0;
	if (left == 0)
		return 0;
	p = c->s.ptr + c->at;
	if (p[0] < 0x80)
		return p[0] != 0 ? p[0] : 0xfffd;
	n = p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
	if (n == 0 || n > left || p[0] >= 0xf5)
		return 0xfffd;
	v = p[0] & (0xffu >> (n + 1));
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0xfffd;
		v = v << 6 | (p[i] & 0x3f);
	}
	*len_out = n;
	return v;
}

static bool
is_mark(uint32_t c)
{
	return c >= 0x300 && c <= 0x36f;
}

/* Letters of Vietnamese: 2 upper case, 1 lower case, 0 no letter. */
static int
letter_case(uint32_t c)
{
	if ((c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xdd && c != 0xd7))
		return 2;
	if ((c >= 'a' && c <= 'z') || (c >= 0xe0 && c <= 0xfd && c != 0xf7))
		return 1;
	switch (c) {
	case 0x102: /* Ă */
	case 0x110: /* Đ */
	case 0x128: /* Ĩ */
	case 0x168: /* Ũ */
	case 0x1a0: /* Ơ */
	case 0x1af: /* Ư */
		return 2;
	case 0x103:
	case 0x111:
	case 0x129:
	case 0x169:
	case 0x1a1:
	case 0x1b0:
		return 1;
	default:
		break;
	}
	if (c >= 0x1ea0 && c <= 0x1ef9)
		return c % 2 == 0 ? 2 : 1;
	return 0;
}

static bool
is_space(uint32_t c)
{
	return c == ' ' || c == '\t' || c == 0xa0 || c == 0x200b || c == 0xfeff;
}

static bool
skip_spaces(struct cursor *c)
{
	size_t n, from = c->at;

	while (is_space(peek(c, &n)))
		c->at += n;
	return c->at > from;
}

static bool
take(struct cursor *c, char ch)
{
	size_t n;

	if (peek(c, &n) != (uint32_t)ch)
		return false;
	c->at += n;
	return true;
}

/* Digits as a number; how many there were. */
static unsigned
take_digits(struct cursor *c, unsigned max, uint32_t *v_out)
{
	unsigned n = 0;
	uint32_t v = 0;

	while (c->at < c->s.len && c->s.ptr[c->at] >= '0' && c->s.ptr[c->at] <= '9') {
		if (++n > max)
			return 0;
		v = v * 10 + (c->s.ptr[c->at++] - '0');
	}
	*v_out = v;
	return n;
}

static bool
is_type(struct slice s)
{
	size_t i;

	for (i = 0; i < sizeof types / sizeof *types; i++) {
		if (slice_eq_str(s, types[i]))
			return true;
	}
	/* Đ as U+00D0, which keyboards of the nineties made */
	return slice_eq_str(s, "Q\xc3\x90") || slice_eq_str(s, "N\xc3\x90") ||
	       slice_eq_str(s, "H\xc3\x90");
}

/* One group: begins with a capital; capitals, digits, dots and ampersands, and at most one small letter (TTg, CTr). */
static bool
take_group(struct cursor *c, struct slice *out, unsigned *upper_out)
{
	size_t from = c->at, n;
	unsigned upper = 0, lower = 0;
	uint32_t ch;

	for (;;) {
		ch = peek(c, &n);
		if (letter_case(ch) == 2)
			upper++;
		else if (letter_case(ch) == 1 && upper > 0)
			lower++;
		else if (!(upper > 0 &&
			     ((ch >= '0' && ch <= '9') || ch == '.' || ch == '&' || is_mark(ch))))
			break;
		c->at += n;
	}
	while (c->at > from && c->s.ptr[c->at - 1] == '.')
		c->at--;
	*out = slice_sub(c->s, from, c->at - from);
	*upper_out = upper;
	return upper > 0 && lower <= 1 && upper <= 24;
}

/* What may follow a symbol: not a letter, not a digit, not another slash. */
static bool
at_end_of_symbol(const struct cursor *c)
{
	size_t n;
	uint32_t ch = peek(c, &n);

	return letter_case(ch) == 0 && !(ch >= '0' && ch <= '9') && ch != '/' && ch != '@' &&
	       ch != '_';
}

/* group { "-" group } with its type: the first group that is one. */
static bool
take_groups(struct cursor *c, struct symbol *out)
{
	struct slice group;
	unsigned upper, groups = 0, total = 0;
	struct cursor next;

	do {
		if (!take_group(c, &group, &upper))
			return false;
		groups++;
		total += upper;
		if (out->type.len == 0 && is_type(group))
			out->type = group;
		next = *c;
		if (skip_spaces(&next) && peek(&next, &(size_t){0}) == '-') {
			struct cursor after = next;

			after.at++;
			skip_spaces(&after);
			/* "QĐ - UBND" is a stray space; "QĐ - về việc" is a dash */
			if (letter_case(peek(&after, &(size_t){0})) == 2 &&
			    take_group(&after, &group, &upper) && at_end_of_symbol(&after)) {
				out->flags |= SYMBOL_F_SPACE;
				*c = next;
			}
		}
		if (groups > 6)
			return false;
		if (!take(c, '-'))
			break;
		if (skip_spaces(c))
			out->flags |= SYMBOL_F_SPACE;
	} while (true);
	/* a lone short group ("1/A", "50/USD") is no symbol; "08/HĐCNTT" is */
	return groups > 1 || out->type.len > 0 || total >= 4 || out->year != 0;
}

static bool
read_symbol(struct cursor c, struct symbol *out)
{
	size_t from = c.at, n;
	unsigned digits;
	struct cursor save;
	uint32_t year, ch;

	memset(out, 0, sizeof *out);
	digits = take_digits(&c, 6, &out->number);
	if (digits == 0 || out->number == 0)
		return false;
	if (digits == 1)
		out->flags |= SYMBOL_F_NO_PAD;
	ch = peek(&c, &n);
	if (ch >= 'a' && ch <= 'z') {
		out->letter = (char)ch;
		c.at += n;
	}
	if (take(&c, '-')) {
		struct slice group;
		unsigned upper;

		if (!take_group(&c, &group, &upper) || !is_type(group) || !take(&c, '/'))
			return false;
		out->type = group;
		out->flags |= SYMBOL_F_PARTY;
	} else {
		if (skip_spaces(&c))
			out->flags |= SYMBOL_F_SPACE;
		if (!take(&c, '/'))
			return false;
		if (skip_spaces(&c))
			out->flags |= SYMBOL_F_SPACE;
		save = c;
		if (take_digits(&c, 4, &year) == 4 && year >= 1945 && year <= 2199 &&
		    (skip_spaces(&c), take(&c, '/'))) {
			out->year = year;
			if (skip_spaces(&c))
				out->flags |= SYMBOL_F_SPACE;
		} else {
			c = save;
		}
	}
	if (!take_groups(&c, out) || !at_end_of_symbol(&c))
		return false;
	if (out->type.len == 0)
		out->flags |= SYMBOL_F_NO_TYPE;
	out->text = slice_sub(c.s, from, c.at - from);
	return true;
}

/* A word folded to ASCII into out (12 bytes); its length, 0 when it holds anything that is no Vietnamese letter. */
static size_t
fold_word(struct slice w, char out[12])
{
	static const struct {
		uint32_t first, last;
		char to;
	} map[] = {{0xc0, 0xc3, 'a'}, {0xc8, 0xca, 'e'}, {0xcc, 0xcd, 'i'}, {0xd0, 0xd0, 'd'},
	    {0xd2, 0xd5, 'o'}, {0xd9, 0xda, 'u'}, {0xdd, 0xdd, 'y'}, {0xe0, 0xe3, 'a'},
	    {0xe8, 0xea, 'e'}, {0xec, 0xed, 'i'}, {0xf2, 0xf5, 'o'}, {0xf9, 0xfa, 'u'},
	    {0xfd, 0xfd, 'y'}, {0x102, 0x103, 'a'}, {0x110, 0x111, 'd'}, {0x128, 0x129, 'i'},
	    {0x168, 0x169, 'u'}, {0x1a0, 0x1a1, 'o'}, {0x1af, 0x1b0, 'u'}, {0x1ea0, 0x1eb7, 'a'},
	    {0x1eb8, 0x1ec7, 'e'}, {0x1ec8, 0x1ecb, 'i'}, {0x1ecc, 0x1ee3, 'o'},
	    {0x1ee4, 0x1ef1, 'u'}, {0x1ef2, 0x1ef9, 'y'}};
	struct cursor c = {w, 0};
	size_t n, len = 0, i;
	uint32_t ch;

	while (c.at < c.s.len) {
		ch = peek(&c, &n);
		c.at += n;
		if (is_mark(ch))
			continue;
		if (len == 11)
			return 0;
		if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')) {
			out[len++] = (char)(ch | 0x20);
			continue;
		}
		for (i = 0;
		     i < sizeof map / sizeof *map && !(ch >= map[i].first && ch <= map[i].last);
		     i++)
			;
		if (i == sizeof map / sizeof *map)
			return 0;
		out[len++] = map[i].to;
	}
	out[len] = '\0';
	return len;
}

/* Passes over one introducing word or a "[tag]"; false when there is none here. */
static bool
skip_lead(struct cursor *c)
{
	size_t from = c->at, n, i;
	ptrdiff_t end;
	char word[12];

	if (peek(c, &n) == '[') {
		end = slice_index(slice_from(c->s, from), ']');
		if (end < 0 || end > 64)
			return false;
		c->at = from + (size_t)end + 1;
		return true;
	}
	while (letter_case(peek(c, &n)) != 0 || is_mark(peek(c, &n)))
		c->at += n;
	if (c->at == from || fold_word(slice_sub(c->s, from, c->at - from), word) == 0)
		return false;
	for (i = 0; i < sizeof leads / sizeof *leads; i++) {
		if (strcmp(word, leads[i]) == 0)
			return true;
	}
	return false;
}

bool
symbol_parse(struct slice subject, struct symbol *out)
{
	struct cursor c = {subject, 0};
	unsigned words = 0;
	size_t n;
	uint32_t ch;

	for (;;) {
		ch = peek(&c, &n);
		while (is_space(ch) || ch == ':' || ch == '.' || ch == ',' || ch == '-' ||
		       ch == '/' || ch == '"' || ch == '(' || ch == 0x2013 || ch == 0x201c ||
		       ch == 0xba || ch == 0xb0) {
			c.at += n;
			ch = peek(&c, &n);
		}
		if (ch >= '0' && ch <= '9')
			return read_symbol(c, out);
		if (++words > 12 || !skip_lead(&c))
			return false;
	}
}
