/* msg.c: header fields of a message on its way through, pure. Runs in smtpd-session. Invariant: the bytes of a field nobody
 * asked to change are given back as they came. RFC 5322 2.2, 2.2.3. */
#include "config.h"

#include "smtpd/msg.h"

#include "lib/err.h"

#include <string.h>

static bool
name_ok(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] >= 0x7F || name.ptr[i] == ':')
			return false;
	return name.len > 0;
}

/* Room for one more at index at. */
static int
make_room(struct msg *m, size_t at)
{
	if (m->n >= MSG_FIELDS_MAX)
		return ERR_LIMIT;
	if (m->n == m->alloc) {
		size_t want = m->alloc == 0 ? 32 : m->alloc * 2;
		struct msg_field *f = arena_calloc(m->arena, want, sizeof(*f));
		if (f == NULL)
			return ERR_NOMEM;
		if (m->n > 0)
			memcpy(f, m->fields, m->n * sizeof(*f));
		m->fields = f;
		m->alloc = want;
	}
	memmove(&m->fields[at + 1], &m->fields[at], (m->n - at) * sizeof(*m->fields));
	m->n++;
	return 0;
}

/* The field at the start of s: up to the CRLF that no white space follows. */
static int
field_at(struct slice s, struct msg_field *f)
{
	size_t end = 0;

	do {
		ptrdiff_t lf = slice_index(slice_from(s, end), '\n');
		end = lf < 0 ? s.len : end + (size_t)lf + 1;
	} while (end < s.len && (s.ptr[end] == ' ' || s.ptr[end] == '\t'));
	f->whole = slice_sub(s, 0, end);
	ptrdiff_t colon = slice_index(f->whole, ':');
	if (colon <= 0 || end < 2 || s.ptr[end - 1] != '\n' || s.ptr[end - 2] != '\r')
		return ERR_SYNTAX;
	/* white space before the colon is obsolete but readable: RFC 5322 4.5.8 */
	f->name = slice_trim(slice_sub(f->whole, 0, (size_t)colon));
	f->value = slice_sub(f->whole, (size_t)colon + 1, f->whole.len - (size_t)colon - 3);
	return name_ok(f->name) && s.ptr[0] != ' ' && s.ptr[0] != '\t' ? 0 : ERR_SYNTAX;
}

int
msg_parse(struct msg *m, struct slice content, struct arena *a)
{
	struct msg_field f;
	size_t at = 0;

	*m = (struct msg){.arena = a, .content = content};
	while (at < content.len) {
		struct slice rest = slice_from(content, at);
		if (slice_starts(rest, "\r\n")) {
			m->has_blank = true;
			at += 2;
			break;
		}
		int r = field_at(rest, &f);
		if (r == 0)
			r = make_room(m, m->n);
		if (r != 0)
			return r;
		m->fields[m->n - 1] = f;
		at += f.whole.len;
	}
	m->skip = at;
	return 0;
}

size_t
msg_count(const struct msg *m, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += slice_caseeq_str(m->fields[i].name, name);
	return n;
}

const struct msg_field *
msg_find(const struct msg *m, const char *name, size_t n)
{
	for (size_t i = 0; i < m->n; i++)
		if (slice_caseeq_str(m->fields[i].name, name) && n-- == 0)
			return &m->fields[i];
	return NULL;
}

struct slice
msg_body(const struct msg *m)
{
	return slice_from(m->content, m->skip);
}

/* "Name: value CRLF" with CRLF folding; every continuation must begin with white space. */
static int
build(struct msg *m, struct slice name, struct slice value, bool leadspc, struct msg_field *f)
{
	struct buf b;
	int r = ERR_SYNTAX;

	if (!name_ok(name))
		return ERR_SYNTAX;
	buf_init(&b, 262144);
	buf_append_slice(&b, name);
	buf_append_str(&b, leadspc ? ":" : ": ");
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = value.ptr[i];
		if (c == '\0')
			goto out;
		if (c == '\r') {
			if (i + 1 >= value.len || value.ptr[i + 1] != '\n')
				goto out;
			continue;
		}
		if (c == '\n') {
			if (i + 1 >= value.len ||
			    (value.ptr[i + 1] != ' ' && value.ptr[i + 1] != '\t'))
				goto out;
			buf_append_byte(&b, '\r');
		}
		buf_append_byte(&b, c);
	}
	r = buf_append_str(&b, "\r\n");
	if (r != 0)
		goto out;
	struct slice whole = arena_slice(m->arena, buf_slice(&b));
	r = whole.ptr == NULL ? ERR_NOMEM : field_at(whole, f);
out:
	buf_done(&b);
	return r;
}

int
msg_insert(struct msg *m, size_t index, struct slice name, struct slice value, bool leadspc)
{
	struct msg_field f;
	int r = build(m, name, value, leadspc, &f);

	if (r != 0)
		return r;
	if (index > m->n)
		index = m->n;
	if ((r = make_room(m, index)) != 0)
		return r;
	m->fields[index] = f;
	m->changed = true;
	return 0;
}

int
msg_add(struct msg *m, struct slice name, struct slice value, bool leadspc)
{
	return msg_insert(m, m->n, name, value, leadspc);
}

int
msg_change(struct msg *m, size_t index, struct slice name, struct slice value, bool leadspc)
{
	size_t at = 0;
	struct msg_field f;

	while (at < m->n && !(slice_caseeq(m->fields[at].name, name) && --index == 0))
		at++;
	if (at == m->n)
		return value.len == 0 ? 0 : msg_add(m, name, value, leadspc);
	m->changed = true;
	if (value.len == 0) {
		memmove(&m->fields[at], &m->fields[at + 1], (m->n - at - 1) * sizeof(*m->fields));
		m->n--;
		return 0;
	}
	int r = build(m, name, value, leadspc, &f);
	if (r == 0)
		m->fields[at] = f;
	return r;
}

size_t
msg_remove(struct msg *m, const char *name)
{
	size_t kept = 0, n = m->n;

	for (size_t i = 0; i < n; i++)
		if (!slice_caseeq_str(m->fields[i].name, name))
			m->fields[kept++] = m->fields[i];
	m->n = kept;
	m->changed |= kept != n;
	return n - kept;
}

/* Past comments, folding and white space; ptr NULL when a comment has no end. RFC 5322 3.2.2. */
static struct slice
skip_cfws(struct slice s)
{
	unsigned depth = 0;

	while (s.len > 0) {
		unsigned char c = s.ptr[0];

		if (depth > 0 && c == '\\' && s.len > 1)
			s = slice_from(s, 1);
		else if (c == '(')
			depth++;
		else if (depth > 0 && c == ')')
			depth--;
		else if (depth == 0 && strchr(" \t\r\n", c) == NULL)
			return s;
		s = slice_from(s, 1);
	}
	return depth == 0 ? s : slice_of(NULL, 0);
}

/* authserv-id is a MIME token or a quoted string, in any case of ASCII: RFC 8601 2.2, 2.5. */
static bool
names_authserv(struct slice value, const char *id)
{
	struct slice s = skip_cfws(value);
	size_t want = strlen(id), n = 0;
	bool quoted = s.len > 0 && s.ptr[0] == '"', same = true;

	if (s.len == 0)
		return true;
	for (size_t i = quoted; i < s.len; i++) {
		unsigned char c = s.ptr[i];

		if (quoted ? c == '"' : strchr(" \t\r\n;(", c) != NULL)
			break;
		if (quoted && c == '\\' && i + 1 < s.len)
			c = s.ptr[++i];
		same = same && n < want && slice_caseeq(slice_of(&c, 1), slice_of(id + n, 1));
		n++;
	}
	return n == 0 || (same && n == want);
}

size_t
msg_remove_results(struct msg *m, const char *authserv_id)
{
	size_t kept = 0, n = m->n;

	for (size_t i = 0; i < n; i++) {
		const struct msg_field *f = &m->fields[i];

		if (!slice_caseeq_str(f->name, "Authentication-Results") ||
		    !names_authserv(f->value, authserv_id))
			m->fields[kept++] = *f;
	}
	m->n = kept;
	m->changed |= kept != n;
	return n - kept;
}

int
msg_render(const struct msg *m, struct slice trace, struct buf *out)
{
	buf_append_slice(out, trace);
	for (size_t i = 0; i < m->n; i++)
		buf_append_slice(out, m->fields[i].whole);
	if (m->has_blank)
		buf_append_str(out, "\r\n");
	return out->err;
}

int
msg_milter_value(struct slice value, bool leadspc, struct buf *out)
{
	if (!leadspc && value.len > 0 && value.ptr[0] == ' ')
		value = slice_from(value, 1);
	for (size_t i = 0; i < value.len; i++)
		if (value.ptr[i] != '\r' || i + 1 >= value.len || value.ptr[i + 1] != '\n')
			buf_append_byte(out, value.ptr[i]);
	return out->err;
}
