/* hdr.c: walking the header fields of a message, pure. Runs in every role that sees mail.
 *
 * A field is a name of visible ASCII, a colon, and a body that goes on over lines that begin with white space. Nothing is
 * changed or copied; what is no field is told and stepped over, so that a caller sees every line. RFC 5322 2.2, 3.6, 4.5. */
#include "lib/hdr.h"

#include <string.h>

#include "lib/err.h"

/* Length of the line at s with its LF; all of s when there is none. */
static size_t
line_len(struct slice s)
{
	const unsigned char *lf = s.len == 0 ? NULL : memchr(s.ptr, '\n', s.len);

	return lf == NULL ? s.len : (size_t)(lf - s.ptr) + 1;
}

static size_t
eol_len(struct slice line)
{
	if (line.len >= 2 && line.ptr[line.len - 1] == '\n' && line.ptr[line.len - 2] == '\r')
		return 2;
	return line.len >= 1 && line.ptr[line.len - 1] == '\n';
}

static bool
is_wsp(unsigned char c)
{
	return c == ' ' || c == '\t';
}

/* The line at s and its continuations. */
static size_t
folded_len(struct slice s)
{
	size_t n = line_len(s);

	while (n < s.len && is_wsp(s.ptr[n]))
		n += line_len(slice_from(s, n));
	return n;
}

int
hdr_next(struct slice *rest, struct hdr_field *field_out)
{
	struct slice line = slice_sub(*rest, 0, line_len(*rest)), whole;
	size_t colon = 0, name;

	if (line.len == 0 || line.len == eol_len(line)) {
		*rest = slice_from(*rest, line.len);
		return ERR_EOF;
	}
	whole = slice_sub(*rest, 0, folded_len(*rest));
	*rest = slice_from(*rest, whole.len);
	/* RFC 5322 2.2: a name is 33 to 126 but ":"; 4.5.8: white space may stand before the colon. */
	while (colon < line.len && line.ptr[colon] > 32 && line.ptr[colon] < 127 &&
	       line.ptr[colon] != ':')
		colon++;
	name = colon;
	while (colon < line.len && is_wsp(line.ptr[colon]))
		colon++;
	if (name == 0 || colon == line.len || line.ptr[colon] != ':')
		return ERR_SYNTAX;
	field_out->whole = whole;
	field_out->name = slice_sub(whole, 0, name);
	field_out->body = slice_sub(whole, colon + 1, whole.len - colon - 1 - eol_len(whole));
	return 0;
}

bool
hdr_find(struct slice header, const char *name, size_t n, struct hdr_field *field_out)
{
	struct hdr_field f;
	int r;

	while ((r = hdr_next(&header, &f)) != ERR_EOF)
		if (r == 0 && slice_caseeq_str(f.name, name) && n-- == 0) {
			*field_out = f;
			return true;
		}
	return false;
}

size_t
hdr_count(struct slice header, const char *name)
{
	struct hdr_field f;
	size_t n = 0;
	int r;

	while ((r = hdr_next(&header, &f)) != ERR_EOF)
		n += r == 0 && slice_caseeq_str(f.name, name);
	return n;
}

size_t
hdr_body_offset(struct slice message)
{
	size_t at = 0;

	while (at < message.len) {
		struct slice line = slice_from(message, at);

		line.len = line_len(line);
		at += line.len;
		if (line.len == eol_len(line))
			return at;
	}
	return message.len;
}

int
hdr_unfold(struct slice body, struct buf *out)
{
	body = slice_trim(body);
	while (body.len > 0 && (body.ptr[0] == '\r' || body.ptr[0] == '\n' || is_wsp(body.ptr[0])))
		body = slice_from(body, 1);
	while (body.len > 0 && (body.ptr[body.len - 1] == '\r' || body.ptr[body.len - 1] == '\n' ||
				   is_wsp(body.ptr[body.len - 1])))
		body.len--;
	while (body.len > 0) {
		size_t n = line_len(body), eol = eol_len(slice_sub(body, 0, n));

		buf_append(out, body.ptr, n - eol);
		body = slice_from(body, n);
		/* A line end that no white space follows is none of RFC 5322: a space keeps words apart. */
		if (eol > 0 && body.len > 0 && !is_wsp(body.ptr[0]))
			buf_append_byte(out, ' ');
	}
	return out->err;
}
