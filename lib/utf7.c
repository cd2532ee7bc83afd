/* utf7.c: names of mailboxes: modified UTF-7 (RFC 3501 5.1.3) and the limits of a name. Runs in imapd-session and stored.
 *
 * Decoding is strict, so that a name has one wire form only: no shift that is superfluous, no printable ASCII inside a shift,
 * no left-over bits, no lone surrogate. On error nothing stays appended. */
#include "lib/utf7.h"

#include <string.h>

#include "lib/err.h"
#include "lib/uni.h"

static const char b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int
b64_value(unsigned char c)
{
	const char *p = c == '\0' ? NULL : strchr(b64, c);

	return p == NULL ? -1 : (int)(p - b64);
}

/* Printable ASCII, which stands for itself. */
static bool
is_direct(uint32_t cp)
{
	return cp >= 0x20 && cp <= 0x7e;
}

/* One UTF-16 unit of a shifted run; *high holds a high surrogate that waits for its other half. */
static bool
take_unit(uint32_t unit, uint32_t *high, struct buf *out)
{
	uint32_t cp = unit;

	if (*high != 0) {
		if (unit < 0xdc00 || unit > 0xdfff)
			return false;
		cp = 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00);
		*high = 0;
	} else if (unit >= 0xd800 && unit <= 0xdbff) {
		*high = unit;
		return true;
	} else if (unit >= 0xdc00 && unit <= 0xdfff) {
		return false;
	}
	if (is_direct(cp))
		return false;
	uni_append(out, cp);
	return true;
}

/* The run behind "&" up to and with its "-"; *s is moved behind it. */
static bool
take_shift(struct slice *s, struct buf *out)
{
	uint32_t acc = 0, high = 0;
	unsigned bits = 0;
	size_t i = 0;

	for (; i < s->len && s->ptr[i] != '-'; i++) {
		int v = b64_value(s->ptr[i]);

		if (v < 0)
			return false;
		acc = (acc << 6 | (unsigned)v) & 0xfffff;
		bits += 6;
		if (bits >= 16) {
			bits -= 16;
			if (!take_unit(acc >> bits & 0xffff, &high, out))
				return false;
		}
	}
	if (i == s->len || i == 0 || high != 0 || bits >= 6 || (acc & ((1u << bits) - 1)) != 0)
		return false;
	*s = slice_from(*s, i + 1);
	/* "&…-&…-" could have been one run: superfluous; "&…-&-" could not. */
	return !(s->len >= 2 && s->ptr[0] == '&' && s->ptr[1] != '-');
}

int
utf7_to_utf8(struct slice s, struct buf *out)
{
	size_t start = out->len;

	while (s.len > 0) {
		unsigned char c = s.ptr[0];

		if (!is_direct(c))
			goto bad;
		s = slice_from(s, 1);
		if (c != '&') {
			buf_append_byte(out, c);
		} else if (s.len > 0 && s.ptr[0] == '-') {
			buf_append_byte(out, '&');
			s = slice_from(s, 1);
		} else if (!take_shift(&s, out)) {
			goto bad;
		}
	}
	return out->err;
bad:
	if (out->err == 0)
		buf_truncate(out, start);
	return ERR_SYNTAX;
}

/* Bits on their way out as base64. */
struct shift {
	uint32_t acc;
	unsigned bits;
	bool on;
};

static void
put_unit(struct shift *sh, uint32_t unit, struct buf *out)
{
	if (!sh->on) {
		buf_append_byte(out, '&');
		*sh = (struct shift){.on = true};
	}
	sh->acc = sh->acc << 16 | unit;
	sh->bits += 16;
	while (sh->bits >= 6) {
		sh->bits -= 6;
		buf_append_byte(out, (unsigned char)b64[sh->acc >> sh->bits & 63]);
	}
}

static void
end_shift(struct shift *sh, struct buf *out)
{
	if (!sh->on)
		return;
	if (sh->bits > 0)
		buf_append_byte(out, (unsigned char)b64[sh->acc << (6 - sh->bits) & 63]);
	buf_append_byte(out, '-');
	sh->on = false;
}

int
utf7_from_utf8(struct slice s, struct buf *out)
{
	struct shift sh = {0};
	uint32_t cp;

	if (!uni_valid(s))
		return ERR_SYNTAX;
	while (s.len > 0) {
		uni_next(&s, &cp);
		if (is_direct(cp)) {
			end_shift(&sh, out);
			buf_append_byte(out, (unsigned char)cp);
			if (cp == '&')
				buf_append_byte(out, '-');
		} else if (cp >= 0x10000) {
			put_unit(&sh, 0xd800 + ((cp - 0x10000) >> 10), out);
			put_unit(&sh, 0xdc00 + ((cp - 0x10000) & 0x3ff), out);
		} else {
			put_unit(&sh, cp, out);
		}
	}
	end_shift(&sh, out);
	return out->err;
}

int
utf8_nfc(struct slice s, struct buf *out)
{
	return uni_normalize(UNI_NFC, s, out);
}

bool
utf8_valid(struct slice s)
{
	return uni_valid(s);
}

bool
mailbox_name_ok(struct slice utf8)
{
	size_t element = 0, depth = 1;

	if (utf8.len == 0 || utf8.len > 1000 || !uni_valid(utf8))
		return false;
	while (utf8.len > 0) {
		uint32_t cp;
		size_t n = uni_next(&utf8, &cp);

		/* Controls, C1 and the line separators among them; "%" and "*" are LIST's wildcards. */
		if (cp < 0x20 || (cp >= 0x7f && cp <= 0x9f) || cp == 0x2028 || cp == 0x2029)
			return false;
		if (cp == '%' || cp == '*')
			return false;
		if (cp == '/') {
			if (element == 0 || ++depth > 32)
				return false;
			element = 0;
		} else if ((element += n) > 255) {
			return false;
		}
	}
	return element > 0;
}
