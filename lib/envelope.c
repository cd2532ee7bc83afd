/* envelope.c: see envelope.h. Pure; used by congvu and stored. */
#include "lib/envelope.h"

#include "lib/err.h"

enum { ADDRESSES_MAX = 100000 };

static bool
take(struct slice *s, const char *what)
{
	if (!slice_starts(*s, what))
		return false;
	*s = slice_from(*s, slice_str(what).len);
	return true;
}

/* {n} CRLF and n octets. */
static bool
literal(struct slice *s, struct buf *out)
{
	uint64_t n = 0;
	size_t i = 1, digits = 0;

	for (; i < s->len && s->ptr[i] >= '0' && s->ptr[i] <= '9' && digits < 9; i++, digits++)
		n = n * 10 + (unsigned)(s->ptr[i] - '0');
	*s = slice_from(*s, i);
	if (digits == 0 || !take(s, "}\r\n") || n > s->len)
		return false;
	if (out != NULL)
		buf_append_slice(out, slice_sub(*s, 0, (size_t)n));
	*s = slice_from(*s, (size_t)n);
	return true;
}

/* NIL, a quoted string or a literal; out may be NULL. */
static bool
nstring(struct slice *s, struct buf *out)
{
	size_t i = 1;

	if (take(s, "NIL"))
		return true;
	if (s->len > 0 && s->ptr[0] == '{')
		return literal(s, out);
	if (s->len == 0 || s->ptr[0] != '"')
		return false;
	for (; i < s->len && s->ptr[i] != '"'; i++) {
		if (s->ptr[i] == '\\' && ++i == s->len)
			return false;
		if (out != NULL)
			buf_append_byte(out, s->ptr[i]);
	}
	if (i == s->len)
		return false;
	*s = slice_from(*s, i + 1);
	return true;
}

/* NIL or a list of addresses, of which out gets the first. */
static bool
addresses(struct slice *s, struct buf *out)
{
	if (take(s, "NIL"))
		return true;
	if (!take(s, "("))
		return false;
	for (unsigned n = 0; n < ADDRESSES_MAX && take(s, "("); n++) {
		struct buf *to = n == 0 ? out : NULL;

		if (!nstring(s, NULL) || !take(s, " ") || !nstring(s, NULL) || !take(s, " ") ||
		    !nstring(s, to) || !take(s, " "))
			return false;
		if (to != NULL)
			buf_append_byte(to, '@');
		if (!nstring(s, to) || !take(s, ")"))
			return false;
	}
	return take(s, ")");
}

int
envelope_part(struct slice text, enum envelope_part part, struct buf *out)
{
	size_t before = out->len;
	bool ok = take(&text, "(");

	for (int i = 0; ok && i <= (int)part; i++) {
		struct buf *to = i == (int)part ? out : NULL;

		if (i > 0)
			ok = take(&text, " ");
		if (ok)
			ok = i >= ENVELOPE_FROM && i <= ENVELOPE_BCC ? addresses(&text, to)
								     : nstring(&text, to);
	}
	if (!ok)
		buf_truncate(out, before);
	return !ok ? ERR_CORRUPT : out->err;
}
