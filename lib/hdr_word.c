/* hdr_word.c: RFC 2047 encoded words, to UTF-8 and from it. Runs in ingest, imapd-session and the milter.
 *
 * Decoding is lenient about where a word stands (inside quotes and without white space around it, as many senders do) and
 * about characters split between two words of one charset (forbidden, and common with Vietnamese text): the bytes of
 * adjacent words are joined before they are converted. Output is always well-formed UTF-8. */
#include "lib/hdr.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/mime.h"
#include "lib/uni.h"

struct word {
	struct slice charset, text;
	char enc; /* 'b' or 'q' */
};

static bool
is_space(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* "=?charset*lang?enc?text?=" at the start of s: its length, 0 when there is none. */
static size_t
word_at(struct slice s, struct word *w)
{
	size_t q[3], n = 0, i;
	ptrdiff_t star;

	if (s.len < 8 || s.ptr[0] != '=' || s.ptr[1] != '?')
		return 0;
	for (i = 2; i < s.len && n < 3; i++) {
		if (s.ptr[i] == '?')
			q[n++] = i;
		else if (is_space(s.ptr[i]) || s.ptr[i] < 0x20)
			return 0;
	}
	if (n < 3 || i >= s.len || s.ptr[i] != '=' || q[1] != q[0] + 2 || q[0] == 2)
		return 0;
	w->enc = (char)(s.ptr[q[0] + 1] | 0x20);
	if (w->enc != 'b' && w->enc != 'q')
		return 0;
	w->charset = slice_sub(s, 2, q[0] - 2);
	star = slice_index(w->charset, '*'); /* RFC 2231 5: a language */
	if (star >= 0)
		w->charset.len = (size_t)star;
	w->text = slice_sub(s, q[1] + 1, q[2] - q[1] - 1);
	return i + 1;
}

static void
word_bytes(const struct word *w, struct buf *out)
{
	if (w->enc == 'b') {
		b64_decode(w->text, false, out);
		return;
	}
	for (size_t i = 0; i < w->text.len; i++) {
		unsigned char c = w->text.ptr[i];
		int hi = -1, lo = -1;

		if (c == '=' && i + 2 < w->text.len) {
			hi = hex_value(w->text.ptr[i + 1]);
			lo = hex_value(w->text.ptr[i + 2]);
		}
		if (hi >= 0 && lo >= 0) {
			buf_append_byte(out, (unsigned char)(hi << 4 | lo));
			i += 2;
		} else {
			buf_append_byte(out, c == '_' ? ' ' : c);
		}
	}
}

/* Converts what was gathered. Control characters cannot come in by an encoded word: they become spaces. */
static void
flush_words(struct slice charset, struct buf *bytes, struct buf *out)
{
	size_t at = out->len;

	charset_to_utf8(charset, buf_slice(bytes), out);
	buf_reset(bytes);
	for (; out->err == 0 && at < out->len; at++)
		if (out->data[at] < 0x20 || out->data[at] == 0x7f)
			out->data[at] = ' ';
}

static int
decode_text(struct slice s, struct buf *bytes, struct buf *out)
{
	struct slice charset = {0};
	size_t plain = 0, i = 0;
	bool in_word = false; /* bytes holds words; [plain, i) is white space since */

	while (i < s.len) {
		struct word w;
		size_t n = word_at(slice_from(s, i), &w);

		if (n == 0) {
			if (in_word && !is_space(s.ptr[i])) {
				flush_words(charset, bytes, out);
				in_word = false;
			}
			i++;
			continue;
		}
		if (in_word && !slice_caseeq(charset, w.charset))
			flush_words(charset, bytes, out);
		else if (!in_word) /* white space between two words is not shown: RFC 2047 6.2 */
			uni_scrub(slice_sub(s, plain, i - plain), "\xef\xbf\xbd", out, NULL);
		word_bytes(&w, bytes);
		charset = w.charset;
		in_word = true;
		i += n;
		plain = i;
	}
	if (in_word)
		flush_words(charset, bytes, out);
	return uni_scrub(slice_from(s, plain), "\xef\xbf\xbd", out, NULL);
}

int
hdr_decode(struct slice body, struct buf *out)
{
	struct buf flat, bytes;
	int r;

	buf_init(&flat, body.len + 1);
	buf_init(&bytes, body.len + 1);
	r = hdr_unfold(body, &flat);
	if (r == 0)
		r = decode_text(buf_slice(&flat), &bytes, out);
	if (r == 0)
		r = bytes.err;
	buf_done(&bytes);
	buf_done(&flat);
	return r;
}

/* ---- encoding ---- */

enum { LINE_MAX_OCTETS = 76, FIRST_LINE = 50, WORD_TEXT = 75 - 12 }; /* 12: "=?utf-8?B?" and "?=" */

static bool
needs_encoding(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] >= 0x7f || s.ptr[i] < 0x20)
			return true;
	return slice_find(s, slice_str("=?")) >= 0;
}

/* Words of ASCII, lines broken before a space. *col is the column reached. */
static void
put_plain(struct slice s, size_t *col, struct buf *out)
{
	while (s.len > 0) {
		size_t n = 1;

		while (n < s.len && s.ptr[n] != ' ')
			n++;
		if (s.ptr[0] == ' ' && *col + n > LINE_MAX_OCTETS && n > 1) {
			buf_append_str(out, "\r\n");
			*col = 0;
		}
		buf_append(out, s.ptr, n);
		*col += n;
		s = slice_from(s, n);
	}
}

static void
put_q_char(struct slice ch, struct buf *out)
{
	for (size_t i = 0; i < ch.len; i++) {
		unsigned char c = ch.ptr[i];

		if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
			buf_append_byte(out, c);
		else if (c == ' ')
			buf_append_byte(out, '_');
		else
			buf_appendf(out, "=%02X", c);
	}
}

/* Whole characters of *s that fit into room octets of encoded text are moved behind *s; gives them. */
static struct slice
take_fitting(struct slice *s, bool q, size_t room)
{
	struct slice rest = *s, took;
	size_t used = 0;

	while (rest.len > 0) {
		struct slice at = rest, ch;
		uint32_t cp;

		uni_next(&rest, &cp);
		ch = slice_sub(at, 0, at.len - rest.len);
		if (q) {
			size_t plain =
			    ch.len == 1 &&
			    (ch.ptr[0] == ' ' || (ch.ptr[0] >= '0' && ch.ptr[0] <= '9') ||
				((ch.ptr[0] | 0x20) >= 'a' && (ch.ptr[0] | 0x20) <= 'z'));
			used += plain ? 1 : 3 * ch.len;
		} else {
			used += ch.len;
		}
		if ((q ? used : (used + 2) / 3 * 4) > room) {
			rest = at;
			break;
		}
	}
	took = slice_sub(*s, 0, s->len - rest.len);
	*s = rest;
	return took;
}

/* start: where in out our own text begins. */
static void
put_words(struct slice s, size_t start, size_t *col, struct buf *out)
{
	size_t eight = 0;
	bool q;

	for (size_t i = 0; i < s.len; i++)
		eight += s.ptr[i] >= 0x7f;
	q = eight * 6 < s.len; /* quoted-printable is the shorter below about one byte in six */
	while (s.len > 0 && out->err == 0) {
		size_t left = *col + 12 < LINE_MAX_OCTETS ? LINE_MAX_OCTETS - *col - 12 : 0;
		struct slice t = take_fitting(&s, q, left < WORD_TEXT ? left : WORD_TEXT);

		if (t.len == 0) {
			/* The space before a word serves as the fold. */
			if (out->err == 0 && out->len > start && out->data[out->len - 1] == ' ')
				buf_truncate(out, out->len - 1);
			buf_append_str(out, "\r\n ");
			*col = 1;
			continue;
		}
		buf_append_str(out, q ? "=?utf-8?Q?" : "=?utf-8?B?");
		if (q)
			put_q_char(t, out);
		else
			b64_encode(t, false, out);
		buf_append_str(out, "?=");
		*col = LINE_MAX_OCTETS; /* the next word, if any, stands on the next line */
	}
}

/* The first and the last word (between spaces) that cannot stand as they are; all between goes with them. */
static bool
encoded_range(struct slice s, size_t *from_out, size_t *to_out)
{
	size_t i = 0, from = 0, to = 0;

	while (i < s.len) {
		size_t end = i;

		while (end < s.len && s.ptr[end] != ' ')
			end++;
		if (needs_encoding(slice_sub(s, i, end - i))) {
			if (to == 0)
				from = i;
			to = end;
		}
		i = end + 1;
	}
	*from_out = from;
	*to_out = to;
	return to > 0;
}

int
hdr_encode(struct slice utf8, struct buf *out)
{
	struct buf clean;
	struct slice s;
	size_t from, to, start = out->len,
			 col = LINE_MAX_OCTETS - FIRST_LINE; /* room for a field name */
	int r;

	buf_init(&clean, utf8.len * 3 + 1);
	r = uni_scrub(utf8, "\xef\xbf\xbd", &clean, NULL);
	if (r != 0)
		goto out;
	s = buf_slice(&clean);
	for (size_t i = 0; i < clean.len; i++) /* a header field that we make holds no controls */
		if (clean.data[i] < 0x20 || clean.data[i] == 0x7f)
			clean.data[i] = ' ';
	if (!encoded_range(s, &from, &to)) {
		put_plain(s, &col, out);
	} else {
		put_plain(slice_sub(s, 0, from), &col, out);
		put_words(slice_sub(s, from, to - from), start, &col, out);
		put_plain(slice_from(s, to), &col, out);
	}
	r = out->err;
out:
	buf_done(&clean);
	return r;
}
