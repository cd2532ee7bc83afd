/* msgid.c: reads Message-IDs. Runs in ingest (for the row) and imapd-session. RFC 5322 3.6.4 with the obsolete forms, RFC 5256 (normal form).
 *
 * The numbers of msgid_refs are FNV-1a, 64 bits. Who makes two ids meet on purpose gains what he has by writing the other's id down. */
#include "lib/msgid.h"

#include "lib/err.h"
#include "lib/hdr.h"

enum { COMMENT_DEPTH = 50 };

/* Behind white space and comments. */
static struct slice
skip_cfws(struct slice s)
{
	unsigned depth = 0;
	size_t i = 0;

	for (; i < s.len; i++) {
		unsigned char c = s.ptr[i];

		if (depth > 0 && c == '\\') {
			i++;
		} else if (c == '(' && depth < COMMENT_DEPTH) {
			depth++;
		} else if (c == ')' && depth > 0) {
			depth--;
		} else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n') {
			break;
		}
	}
	return slice_from(s, i < s.len ? i : s.len);
}

/* The content of a quoted string at *s; false when it does not end. */
static bool
take_quoted(struct slice *s, struct buf *out)
{
	for (size_t i = 1; i < s->len; i++) {
		unsigned char c = s->ptr[i];

		if (c == '"') {
			*s = slice_from(*s, i + 1);
			return true;
		}
		if (c == '\\' && i + 1 < s->len)
			c = s->ptr[++i];
		if (c != '\r' && c != '\n')
			buf_append_byte(out, c);
	}
	return false;
}

/* Words up to end ('@' or '>'), white space and comments between them left out. A word is what has no special character. */
static bool
take_words(struct slice *s, unsigned char end, struct buf *out)
{
	size_t before = out->len;

	for (;;) {
		*s = skip_cfws(*s);
		if (s->len == 0)
			return false;
		unsigned char c = s->ptr[0];
		if (c == end) {
			*s = slice_from(*s, 1);
			return out->len > before;
		}
		if (c == '"' && end == '@') {
			if (!take_quoted(s, out))
				return false;
			continue;
		}
		if (c <= 0x20 || c == 0x7f || c == '<' || c == '>' || c == '"' || c == ')' ||
		    c == '@' || c == ',')
			return false;
		buf_append_byte(out, c);
		*s = slice_from(*s, 1);
	}
}

bool
msgid_next(struct slice *rest, struct buf *out)
{
	ptrdiff_t at;

	while ((at = slice_index(*rest, '<')) >= 0) {
		struct slice s = slice_from(*rest, (size_t)at + 1);
		size_t before = out->len;

		*rest = s;
		/* a stretch without end would be read again from each "<" */
		ptrdiff_t close = slice_index(s, '>');
		if (close < 0)
			return false;
		if (close > MSGID_MAX)
			continue;
		struct slice one = slice_sub(s, 0, (size_t)close + 1);
		bool good = take_words(&one, '@', out) && buf_append_byte(out, '@') == 0 &&
			    take_words(&one, '>', out);
		if (good) {
			*rest = slice_from(s, (size_t)close + 1);
			return true;
		}
		if (out->err == 0)
			buf_truncate(out, before);
	}
	return false;
}

static uint64_t
number_of(struct slice id)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < id.len; i++)
		h = (h ^ id.ptr[i]) * 1099511628211u;
	return h != 0 ? h : 1;
}

/* Numbers of the ids in the field, at most max; those over it push out the second, third, … */
static size_t
read_field(struct slice header, const char *name, size_t max, uint64_t *v)
{
	struct hdr_field f;
	size_t n = 0;

	if (!hdr_find(header, name, 0, &f))
		return 0;
	struct buf id;
	buf_init(&id, MSGID_MAX * 2);
	for (struct slice rest = f.body; msgid_next(&rest, &id); buf_reset(&id)) {
		/* a ring behind the first */
		size_t at = n < max ? n : 1 + (n - 1) % (max > 1 ? max - 1 : 1);
		if (n < max || max > 1)
			v[at] = number_of(buf_slice(&id));
		n++;
	}
	buf_done(&id);
	return n;
}

int
msgid_refs(struct slice header, struct buf *out)
{
	uint64_t v[MSGID_REFS_MAX], own = 0;
	size_t n;

	read_field(header, "Message-ID", 1, &own);
	n = read_field(header, "References", MSGID_REFS_MAX, v);
	if (n == 0)
		n = read_field(header, "In-Reply-To", 1, v) > 0 ? 1 : 0;
	buf_append_u64(out, own);
	if (n <= MSGID_REFS_MAX) {
		for (size_t i = 0; i < n; i++)
			buf_append_u64(out, v[i]);
		return out->err;
	}
	buf_append_u64(out, v[0]);
	for (size_t i = 0; i < MSGID_REFS_MAX - 1; i++)
		buf_append_u64(out, v[1 + (n - 1 + i) % (MSGID_REFS_MAX - 1)]);
	return out->err;
}
