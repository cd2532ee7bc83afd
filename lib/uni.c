/* uni.c: Unicode for the pure parsers; the only includer of libunistring's headers. Runs in every role.
 *
 * Normalising and folding work through bounded pieces, cut before an ASCII character or, failing that, between two
 * characters: libunistring takes memory of some times its input, and a peer chooses how long a text is. An ASCII
 * character never combines with what stood before it, so the pieces normalise as the whole does. */
#include "lib/uni.h"

#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include "lib/err.h"
#include "lib/octets.h"

enum { PIECE = 16384 };

static bool
is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* The length of the well-formed sequence of more than one octet at p (RFC 3629 4); 0 for none. */
static size_t
sequence(const unsigned char *p, size_t left)
{
	unsigned char c = p[0];

	if (c >= 0xc2 && c <= 0xdf)
		return left >= 2 && is_tail(p[1]) ? 2 : 0;
	if (c >= 0xe0 && c <= 0xef) {
		if (left < 3 || !is_tail(p[1]) || !is_tail(p[2]) || (c == 0xe0 && p[1] < 0xa0) ||
		    (c == 0xed && p[1] > 0x9f))
			return 0;
		return 3;
	}
	if (c < 0xf0 || c > 0xf4 || left < 4 || !is_tail(p[1]) || !is_tail(p[2]) ||
	    !is_tail(p[3]) || (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
		return 0;
	return 4;
}

#ifdef CV_OCTETS_SSE2
/* Octets of sixteen at p that cannot stand where they do in UTF-8; the three before p are looked at too. Of letters of four octets, and of those
 * that begin with E0 or ED, some are told that can: then all are looked at again. One of four that begins before p is not seen at all. */
static inline octets16
misplaced(const unsigned char *p)
{
	octets16 c = octets16_at(p), c1 = octets16_at(p - 1), c2 = octets16_at(p - 2);
	octets16 is_tail_octet = (octets16)((c & 0xc0) == 0x80);
	octets16 wants_tail = (octets16)((c1 >= 0xc0) | (c2 >= 0xe0));
	octets16 never = (octets16)((c & 0xfe) == 0xc0);
	octets16 seldom = (octets16)((c1 == 0xe0) | (c1 == 0xed) | (c >= 0xf0));

	return (is_tail_octet ^ wants_tail) | never | seldom;
}

/* The same without exception. */
static inline octets16
misplaced_exactly(const unsigned char *p)
{
	octets16 c = octets16_at(p), c1 = octets16_at(p - 1), c2 = octets16_at(p - 2),
		 c3 = octets16_at(p - 3);
	octets16 is_tail_octet = (octets16)((c & 0xc0) == 0x80);
	octets16 wants_tail = (octets16)((c1 >= 0xc0) | (c2 >= 0xe0) | (c3 >= 0xf0));
	octets16 never = (octets16)(((c & 0xfe) == 0xc0) | (c >= 0xf5));
	/* longer than need be, surrogates, past U+10FFFF: told by the second octet */
	octets16 second = (octets16)(((c1 == 0xe0) & (c < 0xa0)) | ((c1 == 0xed) & (c > 0x9f)) |
				     ((c1 == 0xf0) & (c < 0x90)) | ((c1 == 0xf4) & (c > 0x8f)));

	return (is_tail_octet ^ wants_tail) | never | second;
}

/* Whether all of sixty-four octets stand where they can. */
static inline bool
is_placed(const unsigned char *p)
{
	octets16 bad;

	if (p[-1] < 0xf0 && p[-2] < 0xf0 && p[-3] < 0xf0) {
		bad = misplaced(p) | misplaced(p + 16) | misplaced(p + 32) | misplaced(p + 48);
		if (octets16_bits(bad) == 0)
			return true;
	}
	bad = misplaced_exactly(p) | misplaced_exactly(p + 16) | misplaced_exactly(p + 32) |
	      misplaced_exactly(p + 48);
	return octets16_bits(bad) == 0;
}

/* i, or where the sequence begins that goes on at i. */
static size_t
back_to_begin(struct slice s, size_t i)
{
	for (size_t back = 1; back <= 3 && back <= i; back++) {
		unsigned char c = s.ptr[i - back];

		if (c >= 0xc0)
			return c >= (back == 1 ? 0xc0 : back == 2 ? 0xe0 : 0xf0) ? i - back : i;
	}
	return i;
}
#endif

/* From i on, where a sequence begins, over what is UTF-8 without doubt: where the next sequence begins. */
static size_t
skip_valid(struct slice s, size_t i)
{
	for (; s.len - i >= 64; i += 64) {
		if (octets64_any_high(s.ptr + i))
			break;
	}
#ifdef CV_OCTETS_SSE2
	if (i < 3)
		return i;
	while (s.len - i >= 64) {
		if (!octets64_any_high(s.ptr + i) && s.ptr[i - 1] < 0x80) {
			i += 64;
			continue;
		}
		if (!is_placed(s.ptr + i))
			break;
		i += 64;
	}
	i = back_to_begin(s, i);
#endif
	return i;
}

/* How many octets from the beginning are UTF-8. libunistring's u8_check says the same, more slowly: bodies are searched with this. */
static size_t
valid_len(struct slice s)
{
	size_t i = 0, n, quick = 0;

	while (i < s.len) {
		/* again only behind what was not skipped: octets that are wrong cost no more than others */
		if (i >= quick) {
			i = skip_valid(s, i);
			quick = i + 64;
			if (i == s.len)
				break;
		}
		if (s.ptr[i] < 0x80)
			n = 1;
		else if ((n = sequence(s.ptr + i, s.len - i)) == 0)
			return i;
		i += n;
	}
	return i;
}

bool
uni_valid(struct slice s)
{
	return valid_len(s) == s.len;
}

size_t
uni_next(struct slice *s, uint32_t *cp_out)
{
	ucs4_t uc;
	int n;

	if (s->ptr[0] < 0x80) {
		*cp_out = s->ptr[0];
		*s = slice_from(*s, 1);
		return 1;
	}
	n = u8_mbtoucr(&uc, s->ptr, s->len);
	if (n <= 0) {
		*cp_out = s->ptr[0];
		*s = slice_from(*s, 1);
		return 0;
	}
	*cp_out = uc;
	*s = slice_from(*s, (size_t)n);
	return (size_t)n;
}

int
uni_append(struct buf *out, uint32_t cp)
{
	uint8_t b[6];
	int n = u8_uctomb(b, cp, sizeof(b));

	if (n <= 0)
		return buf_append(out, "\xef\xbf\xbd", 3);
	return buf_append(out, b, (size_t)n);
}

int
uni_scrub(struct slice s, const char *repl, struct buf *out, bool *clean_out)
{
	bool clean = true;

	while (s.len > 0) {
		size_t good = valid_len(s);
		bool bad = good < s.len;

		buf_append(out, s.ptr, good);
		s = slice_from(s, good);
		if (bad) {
			buf_append_str(out, repl);
			s = slice_from(s, 1);
			clean = false;
		}
	}
	if (clean_out != NULL)
		*clean_out = clean;
	return out->err;
}

static uninorm_t
form_of(enum uni_form form)
{
	switch (form) {
	case UNI_NFC:
		return UNINORM_NFC;
	case UNI_NFD:
		return UNINORM_NFD;
	case UNI_NFKD:
		break;
	}
	return UNINORM_NFKD;
}

/* The length of the next piece of s: all of it, or up to the last ASCII character within PIECE. */
static size_t
piece_len(struct slice s)
{
	size_t n = PIECE;

	if (s.len <= PIECE)
		return s.len;
	while (n > PIECE / 2 && s.ptr[n] >= 0x80)
		n--;
	if (s.ptr[n] < 0x80)
		return n;
	n = PIECE;
	while ((s.ptr[n] & 0xc0) == 0x80)
		n--;
	return n;
}

static int
by_pieces(bool fold, enum uni_form form, struct slice s, struct buf *out)
{
	uint8_t small[4096];

	if (!uni_valid(s))
		return ERR_SYNTAX;
	while (s.len > 0 && out->err == 0) {
		size_t n = piece_len(s), got = sizeof(small);
		uint8_t *r;

		if (fold)
			r = u8_casefold(s.ptr, n, NULL, form_of(form), small, &got);
		else
			r = u8_normalize(form_of(form), s.ptr, n, small, &got);
		if (r == NULL)
			return ERR_NOMEM;
		buf_append(out, r, got);
		if (r != small)
			free(r);
		s = slice_from(s, n);
	}
	return out->err;
}

int
uni_normalize(enum uni_form form, struct slice s, struct buf *out)
{
	return by_pieces(false, form, s, out);
}

int
uni_casefold(enum uni_form form, struct slice s, struct buf *out)
{
	return by_pieces(true, form, s, out);
}

/* RFC 5051 2: title case, then the decomposition, of whatever kind, whose characters go the same way; in the order in which they stand (no canonical
 * ordering). U+01C4 gives U+0044 U+005A U+030C. */
static int
put_casemap(uint32_t cp, unsigned depth, struct buf *out)
{
	ucs4_t parts[UC_DECOMPOSITION_MAX_LENGTH];
	int tag, n = -1;

	cp = uc_totitle(cp);
	if (cp >= 0xa0 && depth < 20)
		n = uc_decomposition(cp, &tag, parts);
	if (n <= 0)
		return uni_append(out, cp);
	for (int i = 0; i < n; i++)
		put_casemap(parts[i], depth + 1, out);
	return out->err;
}

int
uni_casemap(struct slice s, struct buf *out)
{
	while (s.len > 0 && out->err == 0) {
		uint32_t cp;

		if (uni_next(&s, &cp) == 0)
			cp = 0xfffd;
		if (cp < 0x80)
			buf_append_byte(out,
			    cp >= 'a' && cp <= 'z' ? (unsigned char)(cp - 32) : (unsigned char)cp);
		else
			put_casemap(cp, 0, out);
	}
	return out->err;
}

bool
uni_is_mark(uint32_t cp)
{
	return cp >= 0x300 && uc_is_general_category(cp, UC_CATEGORY_M);
}
