/* codec.c: base64 and quoted-printable, pure. Runs in every role that sees mail. RFC 2045 6.7 and 6.8, RFC 4648 3. */
#include <endian.h>
#include <string.h>

#include "lib/err.h"
#include "lib/mime.h"

static const char b64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { B64_PAD = 64, B64_SPACE = 65, B64_JUNK = 66 };

/* Alphabet values, and what else a byte may be. */
static const unsigned char b64_class[256] = {
    [0 ... 8] = B64_JUNK,
    [9 ... 10] = B64_SPACE,
    [11 ... 12] = B64_JUNK,
    [13] = B64_SPACE,
    [14 ... 31] = B64_JUNK,
    [32] = B64_SPACE,
    [33 ... 42] = B64_JUNK,
    ['+'] = 62,
    [44 ... 46] = B64_JUNK,
    ['/'] = 63,
    ['0'] = 52,
    ['1'] = 53,
    ['2'] = 54,
    ['3'] = 55,
    ['4'] = 56,
    ['5'] = 57,
    ['6'] = 58,
    ['7'] = 59,
    ['8'] = 60,
    ['9'] = 61,
    [58 ... 60] = B64_JUNK,
    ['='] = B64_PAD,
    [62 ... 64] = B64_JUNK,
    ['A'] = 0,
    ['B'] = 1,
    ['C'] = 2,
    ['D'] = 3,
    ['E'] = 4,
    ['F'] = 5,
    ['G'] = 6,
    ['H'] = 7,
    ['I'] = 8,
    ['J'] = 9,
    ['K'] = 10,
    ['L'] = 11,
    ['M'] = 12,
    ['N'] = 13,
    ['O'] = 14,
    ['P'] = 15,
    ['Q'] = 16,
    ['R'] = 17,
    ['S'] = 18,
    ['T'] = 19,
    ['U'] = 20,
    ['V'] = 21,
    ['W'] = 22,
    ['X'] = 23,
    ['Y'] = 24,
    ['Z'] = 25,
    [91 ... 96] = B64_JUNK,
    ['a'] = 26,
    ['b'] = 27,
    ['c'] = 28,
    ['d'] = 29,
    ['e'] = 30,
    ['f'] = 31,
    ['g'] = 32,
    ['h'] = 33,
    ['i'] = 34,
    ['j'] = 35,
    ['k'] = 36,
    ['l'] = 37,
    ['m'] = 38,
    ['n'] = 39,
    ['o'] = 40,
    ['p'] = 41,
    ['q'] = 42,
    ['r'] = 43,
    ['s'] = 44,
    ['t'] = 45,
    ['u'] = 46,
    ['v'] = 47,
    ['w'] = 48,
    ['x'] = 49,
    ['y'] = 50,
    ['z'] = 51,
    [123 ... 255] = B64_JUNK,
};

int
b64_encode(struct slice s, bool wrap76, struct buf *out)
{
	size_t col = 0;

	while (s.len > 0) {
		size_t n = s.len < 3 ? s.len : 3;
		unsigned v = (unsigned)s.ptr[0] << 16;
		char q[4];

		if (n > 1)
			v |= (unsigned)s.ptr[1] << 8;
		if (n > 2)
			v |= s.ptr[2];
		q[0] = b64_alphabet[v >> 18];
		q[1] = b64_alphabet[v >> 12 & 63];
		q[2] = n > 1 ? b64_alphabet[v >> 6 & 63] : '=';
		q[3] = n > 2 ? b64_alphabet[v & 63] : '=';
		if (wrap76 && col == 76) {
			buf_append(out, "\r\n", 2);
			col = 0;
		}
		if (buf_append(out, q, 4) != 0)
			return out->err;
		col += 4;
		s = slice_from(s, n);
	}
	if (wrap76 && col > 0)
		buf_append(out, "\r\n", 2);
	return out->err;
}

/* The decoder's state: bits gathered, padding seen. clean turns false at the first thing a strict reader refuses. */
struct b64_state {
	unsigned acc, n, pads;
	bool clean;
};

/* Whole groups of four characters and nothing between them, which is what a line is. Gives the characters taken; four octets at *to are written for three that count. */
static size_t
b64_groups(struct slice s, unsigned char **to)
{
	unsigned char *p = *to;
	size_t i = 0;

	for (; s.len - i >= 4; i += 4, p += 3) {
		unsigned a = b64_class[s.ptr[i]], b = b64_class[s.ptr[i + 1]],
			 c = b64_class[s.ptr[i + 2]], d = b64_class[s.ptr[i + 3]];
		uint32_t three = a << 18 | b << 12 | c << 6 | d;

		if ((a | b | c | d) >= 64)
			break;
		three = htobe32(three << 8);
		memcpy(p, &three, sizeof three);
	}
	*to = p;
	return i;
}

static size_t
b64_some(struct b64_state *st, struct slice s, unsigned char *to)
{
	unsigned char *p = to;

	for (size_t i = 0; i < s.len; i++) {
		unsigned v;

		if (st->n == 0 && st->pads == 0) {
			i += b64_groups(slice_from(s, i), &p);
			if (i == s.len)
				break;
		}
		v = b64_class[s.ptr[i]];

		if (v < 64) {
			if (st->pads > 0) {
				/* Data behind padding: concatenated encodings. Each begins anew. */
				st->clean = false;
				st->pads = st->n = 0;
			}
			st->acc = st->acc << 6 | v;
			if (++st->n == 4) {
				*p++ = (unsigned char)(st->acc >> 16);
				*p++ = (unsigned char)(st->acc >> 8);
				*p++ = (unsigned char)st->acc;
				st->n = 0;
			}
		} else if (v == B64_PAD) {
			if (st->pads == 0 && st->n >= 2) {
				*p++ = (unsigned char)(st->n == 2 ? st->acc >> 4 : st->acc >> 10);
				if (st->n == 3)
					*p++ = (unsigned char)(st->acc >> 2);
				if ((st->acc & (st->n == 2 ? 0xfu : 0x3u)) != 0)
					st->clean = false;
			} else if (st->pads == 0) {
				st->clean = false;
			}
			st->pads++;
			if (st->n + st->pads > 4)
				st->clean = false;
		} else if (v == B64_JUNK || s.ptr[i] == ' ' || s.ptr[i] == '\t') {
			st->clean = false;
		}
	}
	return (size_t)(p - to);
}

static int
b64_run(struct slice s, struct buf *out, bool *clean_out)
{
	struct b64_state st = {.clean = true};
	unsigned char tail[2];
	size_t n = 0;

	while (s.len > 0) {
		struct slice piece = slice_sub(s, 0, 65536);
		unsigned char *to = buf_reserve(out, piece.len + 3);

		if (to == NULL)
			return out->err;
		buf_commit(out, b64_some(&st, piece, to));
		s = slice_from(s, piece.len);
	}
	if (st.pads > 0) {
		st.clean = st.clean && st.n >= 2 && st.n + st.pads == 4;
	} else if (st.n > 0) { /* padding left out: the whole octets there are */
		st.clean = false;
		if (st.n == 2)
			tail[n++] = (unsigned char)(st.acc >> 4);
		if (st.n == 3) {
			tail[n++] = (unsigned char)(st.acc >> 10);
			tail[n++] = (unsigned char)(st.acc >> 2);
		}
		buf_append(out, tail, n);
	}
	*clean_out = st.clean;
	return out->err;
}

int
b64_decode(struct slice s, bool strict, struct buf *out)
{
	size_t start = out->len;
	bool clean = true;
	int r = b64_run(s, out, &clean);

	if (r == 0 && strict && !clean) {
		buf_truncate(out, start);
		return ERR_SYNTAX;
	}
	return r;
}

static bool
is_blank(unsigned char c)
{
	return c == ' ' || c == '\t';
}

/* One line without its line end. Gives whether the line end belongs to the text (no soft break). */
static bool
qp_line(struct slice line, struct buf *out, bool *clean)
{
	size_t i = 0;

	if (line.len > 0 && is_blank(line.ptr[line.len - 1]))
		*clean = false; /* RFC 2045 6.7 (3): added on the way, deleted when decoding */
	while (line.len > 0 && is_blank(line.ptr[line.len - 1]))
		line.len--;
	while (i < line.len) {
		const unsigned char *eq = memchr(line.ptr + i, '=', line.len - i);
		size_t plain = eq == NULL ? line.len - i : (size_t)(eq - line.ptr) - i;
		int hi = -1, lo = -1;

		buf_append(out, line.ptr + i, plain);
		i += plain;
		if (eq == NULL)
			break;
		if (i + 1 == line.len)
			return false;
		if (i + 2 < line.len) {
			hi = hex_value(line.ptr[i + 1]);
			lo = hex_value(line.ptr[i + 2]);
		}
		if (hi >= 0 && lo >= 0) {
			buf_append_byte(out, (unsigned char)(hi << 4 | lo));
			i += 3;
		} else { /* RFC 2045 6.7: shown as it stands */
			*clean = false;
			buf_append_byte(out, '=');
			i++;
		}
	}
	return true;
}

static int
qp_run(struct slice s, struct buf *out, bool *clean_out)
{
	bool clean = true;

	while (s.len > 0 && out->err == 0) {
		const unsigned char *lf = memchr(s.ptr, '\n', s.len);
		size_t n = lf == NULL ? s.len : (size_t)(lf - s.ptr), eol = lf == NULL ? 0 : 1;

		if (eol == 1 && n > 0 && s.ptr[n - 1] == '\r') {
			n--;
			eol = 2;
		}
		if (qp_line(slice_sub(s, 0, n), out, &clean))
			buf_append(out, s.ptr + n, eol);
		else if (eol == 0)
			clean = false;
		s = slice_from(s, n + eol);
	}
	*clean_out = clean;
	return out->err;
}

int
qp_decode(struct slice s, bool strict, struct buf *out)
{
	size_t start = out->len;
	bool clean = true;
	int r = qp_run(s, out, &clean);

	if (r == 0 && strict && !clean) {
		buf_truncate(out, start);
		return ERR_SYNTAX;
	}
	return r;
}

/* What a line does not begin with: a dot and "From " are nothing to rely on with old transports, and two hyphens could be a boundary. */
static bool
is_taken_at_bol(struct slice s)
{
	return s.ptr[0] == '.' || slice_starts(s, "From ") || slice_starts(s, "--");
}

int
qp_encode(struct slice s, struct buf *out)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t column = 0;

	for (size_t i = 0; i < s.len && out->err == 0; i++) {
		unsigned char c = s.ptr[i];
		bool at_eol =
		    i + 1 < s.len && s.ptr[i + 1] == '\r' && i + 2 < s.len && s.ptr[i + 2] == '\n';
		bool last = i + 1 == s.len || at_eol;
		if (c == '\r' && i + 1 < s.len && s.ptr[i + 1] == '\n') {
			buf_append(out, "\r\n", 2);
			i++;
			column = 0;
			continue;
		}
		bool plain = (c > ' ' && c < 0x7F && c != '=') || (is_blank(c) && !last);
		if (column + (plain ? 1 : 3) > 75) {
			buf_append(out, "=\r\n", 3);
			column = 0;
		}
		if (column == 0 && is_taken_at_bol(slice_from(s, i)))
			plain = false;
		if (plain) {
			buf_append_byte(out, c);
		} else {
			buf_append_byte(out, '=');
			buf_append_byte(out, (unsigned char)digits[c >> 4]);
			buf_append_byte(out, (unsigned char)digits[c & 15]);
		}
		column += plain ? 1 : 3;
	}
	return out->err;
}

int
mime_decode_body(enum mime_cte cte, struct slice body, struct buf *out, bool *clean_out)
{
	bool clean = true;
	int r;

	switch (cte) {
	case CTE_QP:
		r = qp_run(body, out, &clean);
		break;
	case CTE_BASE64:
		r = b64_run(body, out, &clean);
		break;
	default:
		r = buf_append_slice(out, body);
		break;
	}
	if (clean_out != NULL)
		*clean_out = clean;
	return r;
}
