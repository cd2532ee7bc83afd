/* fold.c: Vietnamese folding and order, pure. Runs in lookup, ingest, imapd-session, smtpd-session, the milter and congvu.
 *
 * đ does not decompose (its stroke is no mark), and half the world writes Ð (U+00D0, eth) for Đ: both go to d by name. Every text
 * is taken through a normal form first, so NFC and NFD of a name fold, sort and compare alike. DOMAIN.md B4, C2. */
#include "lib/fold.h"

#include <endian.h>
#include <string.h>

#include "lib/err.h"
#include "lib/uni.h"

static bool
is_stroke_d(uint32_t cp)
{
	return cp == 0x111 || cp == 0xf0;
}

static bool
is_stroke_D(uint32_t cp)
{
	return cp == 0x110 || cp == 0xd0;
}

/* The scrubbed text in NFKD, folded or not. */
static int
decompose(struct slice s, bool fold, const char *repl, struct buf *tmp)
{
	struct buf clean;
	int r;

	buf_init(&clean, s.len * 3 + 1);
	r = uni_scrub(s, repl, &clean, NULL);
	if (r == 0 && fold)
		r = uni_casefold(UNI_NFKD, buf_slice(&clean), tmp);
	else if (r == 0)
		r = uni_normalize(UNI_NFKD, buf_slice(&clean), tmp);
	buf_done(&clean);
	return r;
}

/* What decomposing can make of a text: Unicode's longest NFKD expansion is 18 characters of one. */
static size_t
room_for(struct slice s)
{
	return s.len * 36 + 64;
}

static int
fold_piece(struct slice s, const char *repl, struct buf *out)
{
	struct buf tmp;
	struct slice rest;
	int r;

	buf_init(&tmp, room_for(s));
	r = decompose(s, true, repl, &tmp);
	if (r != 0)
		goto out;
	rest = buf_slice(&tmp);
	while (rest.len > 0) {
		uint32_t cp;

		uni_next(&rest, &cp);
		if (is_stroke_d(cp))
			buf_append_byte(out, 'd');
		else if (!uni_is_mark(cp))
			uni_append(out, cp);
	}
	r = out->err;
out:
	buf_done(&tmp);
	return r;
}

/* The length of a piece of at most 64 KiB that ends before an ASCII character or, failing that, before any. */
static size_t
piece_len(struct slice s)
{
	const size_t most = 65536;
	size_t n = most;

	if (s.len <= most)
		return s.len;
	while (n > most / 2 && s.ptr[n] >= 0x80)
		n--;
	if (s.ptr[n] < 0x80)
		return n;
	n = most;
	while (n > most - 4 && (s.ptr[n] & 0xc0) == 0x80)
		n--;
	return n;
}

/* ---- character by character ----
 *
 * NFKD and case folding work on each character by itself, and what they put in order among characters are marks, which go. So a text folds to its
 * characters' folds, one after another; those of the scripts in daily use are remembered when they were first needed. A place holds the
 * length and one in its lowest octet and up to seven octets of text above it; 0: not known yet. Several threads may fill it with the same. */

enum { KNOWN_CPS = 0x2200, KNOWN_OCTETS = 7, TOO_LONG = 255 };
static uint64_t known[KNOWN_CPS];

static uint64_t
learn(uint32_t cp)
{
	struct buf one, folded;
	uint64_t v = TOO_LONG;

	buf_init(&one, 8);
	buf_init(&folded, 256);
	if (uni_append(&one, cp) == 0 && fold_piece(buf_slice(&one), "?", &folded) == 0 &&
	    folded.len <= KNOWN_OCTETS) {
		v = folded.len + 1;
		for (size_t i = 0; i < folded.len; i++)
			v |= (uint64_t)folded.data[i] << (8 * (i + 1));
	}
	if (one.err != ERR_NOMEM && folded.err != ERR_NOMEM)
		__atomic_store_n(&known[cp], v, __ATOMIC_RELAXED);
	buf_done(&one);
	buf_done(&folded);
	return v;
}

static unsigned char
ascii_fold(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

/* The character at p, of two or three octets and below KNOWN_CPS, and its length; 0 for all others. */
static inline uint32_t
near_cp(const unsigned char *p, size_t left, size_t *len_out)
{
	uint32_t cp;

	if (left >= 2 && p[0] >= 0xc2 && p[0] < 0xe0 && (p[1] & 0xc0) == 0x80) {
		*len_out = 2;
		return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
	}
	if (left >= 3 && (p[0] == 0xe0 || p[0] == 0xe1 || p[0] == 0xe2) && (p[1] & 0xc0) == 0x80 &&
	    (p[2] & 0xc0) == 0x80) {
		cp = (uint32_t)(p[0] & 0xf) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
		*len_out = 3;
		return cp >= 0x800 && cp < KNOWN_CPS ? cp : 0;
	}
	return 0;
}

/* Folds the ASCII that p's eight octets begin with, without a branch for each; how many octets. All eight of to may be written. */
static inline size_t
fold_ascii8(const unsigned char *p, unsigned char *to)
{
	const uint64_t ones = 0x0101010101010101u, high = ones << 7;
	uint64_t w, low, upper;

	memcpy(&w, p, sizeof w);
	w = le64toh(w);
	low = w & ~high;
	/* the high bit of an octet from 'A' on, and not of one behind 'Z' */
	upper = (low + ones * (0x80 - 'A')) & ~(low + ones * (0x80 - 'Z' - 1)) & high;
	low |= upper >> 2; /* 0x20 */
	low = htole64(low);
	memcpy(to, &low, sizeof low);
	w &= high;
	return w == 0 ? 8 : (size_t)__builtin_ctzll(w) / 8;
}

/* Folds s from its beginning while characters are ASCII or remembered ones; gives how many octets that were. Bodies are searched and signed with
 * this: no call, no copy for a character. */
static size_t
fold_near(struct slice s, struct buf *out)
{
	enum { ROOM = 1024 };
	unsigned char to[ROOM + 16];
	size_t i = 0;

	while (i < s.len) {
		unsigned char *at = to;
		bool done = false;

		while (i < s.len && at < to + ROOM) {
			size_t len;
			uint32_t cp;
			uint64_t v;

			if (s.len - i >= 8 && (len = fold_ascii8(s.ptr + i, at)) > 0) {
				at += len;
				i += len;
				if (len == 8)
					continue;
			} else if (s.ptr[i] < 0x80) {
				*at++ = ascii_fold(s.ptr[i++]);
				continue;
			}
			cp = near_cp(s.ptr + i, s.len - i, &len);
			done = cp == 0;
			if (done)
				break;
			v = __atomic_load_n(&known[cp], __ATOMIC_RELAXED);
			if (v == 0)
				v = learn(cp);
			done = (v & 0xff) == TOO_LONG;
			if (done)
				break;
			i += len;
			len = (v & 0xff) - 1;
			v = htole64(v >> 8);
			memcpy(at, &v, sizeof v); /* what is too much is overwritten */
			at += len;
		}
		buf_append(out, to, (size_t)(at - to));
		if (done)
			break;
	}
	return i;
}

/* How many octets from the beginning of s fold_near leaves alone: characters it does not know, and octets that are none. */
static size_t
far_len(struct slice s)
{
	size_t i = 0, len;

	while (i < s.len && s.ptr[i] >= 0x80) {
		uint32_t cp = near_cp(s.ptr + i, s.len - i, &len);

		if (cp != 0 && (__atomic_load_n(&known[cp], __ATOMIC_RELAXED) & 0xff) != TOO_LONG)
			break;
		i += cp != 0 ? len : 1;
		while (cp == 0 && i < s.len && (s.ptr[i] & 0xc0) == 0x80)
			i++;
	}
	return i;
}

static int
fold(struct slice utf8, const char *repl, struct buf *out)
{
	while (utf8.len > 0) {
		struct slice piece = slice_sub(utf8, 0, piece_len(utf8));
		size_t n = fold_near(piece, out);
		struct slice far = slice_from(piece, n);

		if (out->err != 0)
			return out->err;
		utf8 = slice_from(utf8, n);
		far.len = far_len(far);
		if (far.len > 0) {
			int r = fold_piece(far, repl, out);

			if (r != 0)
				return r;
			utf8 = slice_from(utf8, far.len);
		}
	}
	return out->err;
}

int
vn_fold(struct slice utf8, struct buf *out)
{
	return fold(utf8, "?", out);
}

int
vn_fold_text(struct slice text, struct buf *out)
{
	return fold(text, "\xef\xbf\xbd", out);
}

/* ASCII for punctuation that Vietnamese office software writes. */
static char
ascii_punct(uint32_t cp)
{
	switch (cp) {
	case 0x2018:
	case 0x2019:
	case 0x2032:
		return '\'';
	case 0x201c:
	case 0x201d:
	case 0xab:
	case 0xbb:
		return '"';
	case 0x2010:
	case 0x2011:
	case 0x2012:
	case 0x2013:
	case 0x2014:
	case 0x2212:
		return '-';
	case 0x2022:
		return '*';
	default:
		return '?';
	}
}

int
vn_ascii(struct slice utf8, struct buf *out)
{
	struct buf tmp;
	struct slice rest;
	int r;

	buf_init(&tmp, room_for(utf8));
	r = decompose(utf8, false, "?", &tmp);
	if (r != 0)
		goto out;
	rest = buf_slice(&tmp);
	while (rest.len > 0) {
		uint32_t cp;

		uni_next(&rest, &cp);
		if (uni_is_mark(cp))
			continue;
		if (cp < 0x20 || cp == 0x7f)
			buf_append_byte(out, ' '); /* a reply line must not break */
		else if (cp < 0x7f)
			buf_append_byte(out, (unsigned char)cp);
		else if (is_stroke_d(cp) || is_stroke_D(cp))
			buf_append_byte(out, is_stroke_d(cp) ? 'd' : 'D');
		else
			buf_append_byte(out, (unsigned char)ascii_punct(cp));
	}
	r = out->err;
out:
	buf_done(&tmp);
	return r;
}

int
case_fold(struct slice utf8, struct buf *out)
{
	struct buf clean;
	int r;

	buf_init(&clean, utf8.len * 3 + 1);
	r = uni_scrub(utf8, "\xef\xbf\xbd", &clean, NULL);
	if (r == 0)
		r = uni_casefold(UNI_NFC, buf_slice(&clean), out);
	buf_done(&clean);
	return r;
}

bool
case_same(struct slice a, struct slice b)
{
	struct buf x, y;
	bool same = slice_caseeq(a, b);

	if (same || a.len == 0 || b.len == 0)
		return same;
	buf_init(&x, 8192);
	buf_init(&y, 8192);
	same = case_fold(a, &x) == 0 && case_fold(b, &y) == 0 &&
	       slice_eq(buf_slice(&x), buf_slice(&y));
	buf_done(&x);
	buf_done(&y);
	return same;
}

/* ---- order ---- */

enum { SYLLABLE_MAX = 64, NAME_MAX_OCTETS = 4096 };

/* A syllable: its letters in order of the alphabet, its tone. */
struct syllable {
	uint32_t letters[SYLLABLE_MAX];
	size_t n;
	unsigned tone;
};

/* ngang, huyền, hỏi, ngã, sắc, nặng */
static unsigned
tone_of(uint32_t mark)
{
	switch (mark) {
	case 0x300:
		return 1;
	case 0x309:
		return 2;
	case 0x303:
		return 3;
	case 0x301:
		return 4;
	case 0x323:
		return 5;
	default:
		return 0;
	}
}

/* a ă â, d đ, e ê, o ô ơ, u ư: four places for each base letter. */
static unsigned
shape_of(uint32_t mark)
{
	switch (mark) {
	case 0x306:
		return 1; /* ă */
	case 0x302:
		return 2; /* â ê ô */
	case 0x31b:
		return 3; /* ơ ư */
	default:
		return 0;
	}
}

static bool
is_separator(uint32_t cp)
{
	return cp == ' ' || cp == '\t' || cp == 0xa0 || cp == '-' || cp == '.';
}

/* The next syllable of decomposed, case-folded text; false at the end. */
static bool
next_syllable(struct slice *s, struct syllable *out)
{
	bool any = false;

	out->n = 0;
	out->tone = 0;
	while (s->len > 0) {
		struct slice at = *s;
		uint32_t cp;

		uni_next(s, &cp);
		if (is_separator(cp)) {
			if (any)
				return true;
			continue;
		}
		any = true;
		if (tone_of(cp) != 0) {
			out->tone = tone_of(cp);
		} else if (uni_is_mark(cp)) {
			if (out->n > 0)
				out->letters[out->n - 1] += shape_of(cp);
		} else if (out->n == SYLLABLE_MAX) {
			*s = at; /* no syllable is that long: go on as with another one */
			return true;
		} else {
			out->letters[out->n++] = is_stroke_d(cp) ? 'd' * 4 + 1 : cp * 4;
		}
	}
	return any;
}

static int
syllable_cmp(const struct syllable *a, const struct syllable *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (a->letters[i] != b->letters[i])
			return a->letters[i] < b->letters[i] ? -1 : 1;
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	return (int)a->tone - (int)b->tone;
}

int
vn_collate(struct slice a, struct slice b)
{
	struct buf da, db;
	struct slice ra, rb;
	int r = 0;

	a = slice_sub(a, 0, NAME_MAX_OCTETS);
	b = slice_sub(b, 0, NAME_MAX_OCTETS);
	buf_init(&da, room_for(a));
	buf_init(&db, room_for(b));
	if (decompose(a, true, "?", &da) != 0 || decompose(b, true, "?", &db) != 0) {
		r = slice_cmp(a, b);
		goto out;
	}
	ra = buf_slice(&da);
	rb = buf_slice(&db);
	while (r == 0) {
		struct syllable sa, sb;
		bool more_a = next_syllable(&ra, &sa), more_b = next_syllable(&rb, &sb);

		if (!more_a || !more_b) {
			r = (int)more_a - (int)more_b;
			break;
		}
		r = syllable_cmp(&sa, &sb);
	}
out:
	buf_done(&da);
	buf_done(&db);
	return r;
}

/* ---- names ---- */

static bool
is_blank_at(struct slice s, size_t *len_out)
{
	if (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
		*len_out = 1;
		return true;
	}
	if (s.len > 1 && s.ptr[0] == 0xc2 &&
	    s.ptr[1] == 0xa0) { /* no-break space, from spreadsheets */
		*len_out = 2;
		return true;
	}
	return false;
}

static struct slice
next_word(struct slice *s)
{
	struct slice w;
	size_t n = 0;

	while (is_blank_at(*s, &n))
		*s = slice_from(*s, n);
	w = *s;
	while (s->len > 0 && !is_blank_at(*s, &n))
		*s = slice_from(*s, 1);
	w.len -= s->len;
	return w;
}

void
vn_name_split(struct slice name, struct slice *family, struct slice *middle, struct slice *given)
{
	struct slice first = next_word(&name), last = {0}, prev = {0}, word;
	const unsigned char *mid = NULL;

	while ((word = next_word(&name)).len > 0) {
		if (mid == NULL)
			mid = word.ptr;
		prev = last;
		last = word;
	}
	*middle = (struct slice){0};
	if (last.len == 0) { /* one word: what people are called by */
		*family = (struct slice){0};
		*given = first;
		return;
	}
	*family = first;
	*given = last;
	if (prev.len > 0)
		*middle = slice_of(mid, (size_t)(prev.ptr + prev.len - mid));
}

/* Letters and digits of the folded text, at most max of them. */
static void
append_id(struct slice s, size_t max, struct buf *out)
{
	struct buf folded;

	buf_init(&folded, room_for(s));
	if (vn_fold(s, &folded) != 0)
		out->err = folded.err;
	for (size_t i = 0; i < folded.len && max > 0; i++) {
		unsigned char c = folded.data[i];

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
			buf_append_byte(out, c);
			max--;
		}
	}
	buf_done(&folded);
}

int
vn_name_id(struct slice name, struct buf *out)
{
	struct slice family, middle, given, word;

	vn_name_split(name, &family, &middle, &given);
	append_id(given, SIZE_MAX, out);
	append_id(family, 1, out);
	while ((word = next_word(&middle)).len > 0)
		append_id(word, 1, out);
	return out->err;
}
