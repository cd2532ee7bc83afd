/* imap_cur.c: the tokens of IMAP commands. Runs in imapd-session; pure. RFC 3501 section 9. */
#include "config.h"

#include "imapd/imap_cur.h"

#include <string.h>

#include "lib/date.h"
#include "lib/err.h"
#include "lib/utf7.h"
#include "store/row.h"

bool
imap_cur_end(const struct imap_cur *c)
{
	return c->rest.len == 0;
}

bool
imap_cur_peek(const struct imap_cur *c, char ch)
{
	return c->rest.len > 0 && c->rest.ptr[0] == (unsigned char)ch;
}

bool
imap_cur_char(struct imap_cur *c, char ch)
{
	if (!imap_cur_peek(c, ch))
		return false;
	c->rest = slice_from(c->rest, 1);
	return true;
}

bool
imap_cur_sp(struct imap_cur *c)
{
	return imap_cur_char(c, ' ');
}

/* ATOM-CHAR: any CHAR but atom-specials. "]" is left out of the specials: resp-specials are ASTRING-CHARs. */
static bool
is_atom_char(unsigned char ch)
{
	return ch > 0x20 && ch < 0x7f && memchr("(){%*\"\\]", ch, 8) == NULL;
}

static bool
is_astring_char(unsigned char ch)
{
	return is_atom_char(ch) || ch == ']';
}

static bool
is_tag_char(unsigned char ch)
{
	return is_astring_char(ch) && ch != '+';
}

static bool
is_list_char(unsigned char ch)
{
	return is_astring_char(ch) || ch == '%' || ch == '*';
}

static bool
take_while(struct imap_cur *c, bool (*is)(unsigned char), struct slice *out)
{
	size_t n = 0;
	while (n < c->rest.len && is(c->rest.ptr[n]))
		n++;
	if (n == 0)
		return false;
	*out = slice_sub(c->rest, 0, n);
	c->rest = slice_from(c->rest, n);
	return true;
}

bool
imap_cur_tag(struct imap_cur *c, struct slice *out)
{
	return take_while(c, is_tag_char, out) && out->len <= 256;
}

bool
imap_cur_atom(struct imap_cur *c, struct slice *out)
{
	return take_while(c, is_atom_char, out);
}

/* Behind "{n}CRLF" with n octets there. */
static bool
take_literal(struct imap_cur *c, struct slice *out)
{
	ptrdiff_t close = slice_index(c->rest, '}');
	if (!imap_cur_peek(c, '{') || close < 2)
		return false;
	struct slice num = slice_sub(c->rest, 1, (size_t)close - 1);
	if (num.len > 1 && num.ptr[num.len - 1] == '+')
		num.len--;
	uint64_t n;
	if (slice_to_u64(num, UINT32_MAX, &n) != 0)
		return false;
	struct slice rest = slice_from(c->rest, (size_t)close + 1);
	if (rest.len < 2 || rest.ptr[0] != '\r' || rest.ptr[1] != '\n' || rest.len - 2 < n)
		return false;
	*out = slice_sub(rest, 2, (size_t)n);
	c->rest = slice_from(rest, 2 + (size_t)n);
	return n == 0 || memchr(out->ptr, 0, out->len) == NULL;
}

/* The length of a quoted string with its quotes, 0 if there is none; *escapes_out counts backslashes. */
static size_t
quoted_len(struct slice s, size_t *escapes_out)
{
	size_t escapes = 0;
	if (s.len == 0 || s.ptr[0] != '"')
		return 0;
	for (size_t i = 1; i < s.len; i++) {
		unsigned char ch = s.ptr[i];
		if (ch == '"') {
			*escapes_out = escapes;
			return i + 1;
		}
		if (ch == 0 || ch == '\r' || ch == '\n')
			return 0;
		if (ch == '\\') {
			if (++i >= s.len || (s.ptr[i] != '"' && s.ptr[i] != '\\'))
				return 0;
			escapes++;
		}
	}
	return 0;
}

static bool
take_quoted(struct imap_cur *c, struct arena *a, struct slice *out)
{
	size_t escapes = 0;
	size_t n = quoted_len(c->rest, &escapes);
	if (n == 0)
		return false;
	struct slice in = slice_sub(c->rest, 1, n - 2);
	c->rest = slice_from(c->rest, n);
	/* RFC 6855 3: what is not UTF-8 is BAD; without UTF-8 enabled it is by RFC 3501 */
	if (!utf8_valid(in))
		return false;
	if (escapes == 0) {
		*out = in;
		return true;
	}
	if (a == NULL)
		return false;
	unsigned char *p = arena_alloc(a, in.len);
	if (p == NULL)
		return false;
	size_t len = 0;
	for (size_t i = 0; i < in.len; i++) {
		if (in.ptr[i] == '\\')
			i++;
		p[len++] = in.ptr[i];
	}
	*out = slice_of(p, len);
	return true;
}

bool
imap_cur_string(struct imap_cur *c, struct arena *a, struct slice *out)
{
	if (imap_cur_peek(c, '"'))
		return take_quoted(c, a, out);
	return take_literal(c, out);
}

static bool
peek_string(const struct imap_cur *c)
{
	return imap_cur_peek(c, '"') || imap_cur_peek(c, '{');
}

bool
imap_cur_astring(struct imap_cur *c, struct arena *a, struct slice *out)
{
	return peek_string(c) ? imap_cur_string(c, a, out) : take_while(c, is_astring_char, out);
}

bool
imap_cur_nstring(struct imap_cur *c, struct arena *a, struct slice *out)
{
	if (peek_string(c))
		return imap_cur_string(c, a, out);
	struct slice s;
	if (!imap_cur_atom(c, &s) || !slice_caseeq_str(s, "NIL"))
		return false;
	*out = (struct slice){NULL, 0};
	return true;
}

bool
imap_cur_pattern(struct imap_cur *c, struct arena *a, struct slice *out)
{
	return peek_string(c) ? imap_cur_string(c, a, out) : take_while(c, is_list_char, out);
}

bool
imap_cur_skip_astring(struct imap_cur *c)
{
	struct slice s;
	size_t escapes;
	if (imap_cur_peek(c, '"')) {
		size_t n = quoted_len(c->rest, &escapes);
		c->rest = slice_from(c->rest, n);
		return n > 0;
	}
	return imap_cur_peek(c, '{') ? take_literal(c, &s) : take_while(c, is_astring_char, &s);
}

static bool
is_digit(unsigned char ch)
{
	return ch >= '0' && ch <= '9';
}

bool
imap_cur_number(struct imap_cur *c, uint64_t max, uint64_t *out)
{
	struct slice s;
	return take_while(c, is_digit, &s) && slice_to_u64(s, max, out) == 0;
}

static bool
is_set_char(unsigned char ch)
{
	return is_digit(ch) || ch == '*' || ch == ':' || ch == ',';
}

bool
imap_cur_set(struct imap_cur *c, struct arena *a, struct seqset *out)
{
	struct slice s;
	if (imap_cur_char(c, '$')) {
		*out = (struct seqset){.saved = true};
		return true;
	}
	return take_while(c, is_set_char, &s) && seqset_parse(s, a, out) == 0;
}

/* ---- flags ---- */

static const struct {
	const char *name;
	uint32_t bit;
} system_flags[] = {{"Seen", MSG_SEEN}, {"Answered", MSG_ANSWERED}, {"Flagged", MSG_FLAGGED},
    {"Deleted", MSG_DELETED}, {"Draft", MSG_DRAFT}, {"Recent", 0}};

bool
imap_cur_flag(struct imap_cur *c, uint32_t *bit_out, struct slice *keyword_out)
{
	struct slice s;
	bool system = imap_cur_char(c, '\\');
	if (!imap_cur_atom(c, &s))
		return false;
	*bit_out = 0;
	*keyword_out = slice_of("", 0);
	if (!system) {
		*keyword_out = s;
		return s.len <= 255;
	}
	for (size_t i = 0; i < sizeof(system_flags) / sizeof(system_flags[0]); i++) {
		if (slice_caseeq_str(s, system_flags[i].name)) {
			*bit_out = system_flags[i].bit;
			return true;
		}
	}
	return false; /* a system flag that we do not have */
}

bool
imap_cur_flags(
    struct imap_cur *c, struct arena *a, bool bare, uint32_t *bits_out, struct slice *keywords_out)
{
	bool list = imap_cur_char(c, '(');
	if (!list && !bare)
		return false;
	uint32_t bits = 0;
	size_t n = 0;
	struct buf kw;
	buf_init(&kw, IMAP_KEYWORDS_SIZE);
	bool good = true;
	bool empty = list && imap_cur_peek(c, ')');
	while (good && !empty) {
		uint32_t bit;
		struct slice keyword;
		good = imap_cur_flag(c, &bit, &keyword);
		if (!good)
			break;
		bits |= bit;
		if (keyword.len > 0) {
			good = ++n <= IMAP_KEYWORDS_MAX;
			if (kw.len > 0)
				buf_append_byte(&kw, ' ');
			buf_append_slice(&kw, keyword);
		}
		if (!imap_cur_peek(c, ' '))
			break;
		imap_cur_sp(c);
	}
	good = good && kw.err == 0 && (!list || imap_cur_char(c, ')'));
	if (good) {
		*bits_out = bits;
		*keywords_out = kw.len > 0 ? arena_slice(a, buf_slice(&kw)) : slice_of("", 0);
		good = kw.len == 0 || keywords_out->ptr != NULL;
	}
	buf_done(&kw);
	return good;
}

bool
imap_cur_date_time(struct imap_cur *c, int64_t *t_out, int *zone_out)
{
	struct slice s;
	return imap_cur_peek(c, '"') && take_quoted(c, NULL, &s) &&
	       date_imap_parse(s, t_out, zone_out) == 0;
}

bool
imap_cur_date(struct imap_cur *c, int64_t *day_out)
{
	struct slice s;
	bool got = imap_cur_peek(c, '"') ? take_quoted(c, NULL, &s) : imap_cur_atom(c, &s);
	return got && date_imap_day_parse(s, day_out) == 0;
}
