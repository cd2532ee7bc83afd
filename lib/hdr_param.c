/* hdr_param.c: Content-Type and Content-Disposition with their parameters, pure. Runs in ingest and the milter.
 *
 * Reads what senders write, not only what they should: values without quotes, words of RFC 2047 in values, missing
 * semicolons; all that is told by the flags malformed and duplicate, which policy looks at. Of two parameters of one name the
 * first counts; name*= (RFC 2231) counts before name=. A boundary stays as its bytes are, since it is compared with bytes. */
#include "lib/hdr.h"

#include <string.h>

#include "lib/err.h"
#include "lib/uni.h"

enum {
	PARAMS_MAX = 64,
	RAW_MAX = 128, /* with the sections of long values; the assembly is quadratic in it */
	SECTIONS_MAX = 127,
	NAME_MAX_OCTETS = 100,
	VALUE_MAX_OCTETS = 8192,
};

/* One "name*section*=value" as it stands. */
struct raw_param {
	struct slice name, value; /* name without stars; value unquoted */
	unsigned section;
	bool has_section, extended, quoted;
};

struct scan {
	struct slice rest;
	struct arena *a;
	struct hdr_ctype *out;
	struct raw_param *raw;
	size_t n_raw, cap_raw;
};

static bool
is_token_char(unsigned char c)
{
	return c > 32 && c < 127 && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

static void
skip_cfws(struct slice *s)
{
	size_t i = 0, depth = 0;

	for (; i < s->len; i++) {
		unsigned char c = s->ptr[i];

		if (c == '(') {
			depth++;
		} else if (depth > 0) {
			if (c == '\\' && i + 1 < s->len)
				i++;
			else if (c == ')')
				depth--;
		} else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
			break;
		}
	}
	*s = slice_from(*s, i);
}

static struct slice
take_token(struct slice *s)
{
	struct slice t = *s;
	size_t n = 0;

	while (n < s->len && is_token_char(s->ptr[n]))
		n++;
	t.len = n;
	*s = slice_from(*s, n);
	return t;
}

static int
lower_copy(struct arena *a, struct slice s, struct slice *out)
{
	unsigned char *p = arena_alloc(a, s.len + 1);

	if (p == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < s.len; i++)
		p[i] = s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? s.ptr[i] | 0x20 : s.ptr[i];
	*out = slice_of(p, s.len);
	return 0;
}

/* A quoted-string without its quotes and backslashes, unfolded. Missing end: malformed. */
static int
take_quoted(struct scan *sc, struct slice *value_out)
{
	struct slice s = slice_from(sc->rest, 1);
	unsigned char *p;
	size_t end = 0, n = 0;

	while (end < s.len && s.ptr[end] != '"')
		end += s.ptr[end] == '\\' && end + 1 < s.len ? 2 : 1;
	if (end >= s.len) {
		sc->out->malformed = true;
		end = s.len;
	}
	p = arena_alloc(sc->a, end + 1);
	if (p == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < end; i++) {
		unsigned char c = s.ptr[i];

		if (c == '\r' || c == '\n')
			continue;
		if (c == '\\' && i + 1 < end)
			c = s.ptr[++i];
		p[n++] = c;
	}
	sc->rest = slice_from(s, end + 1);
	*value_out = slice_of(p, n);
	return 0;
}

/* An unquoted value: a token, or (malformed) all up to the next semicolon. */
static struct slice
take_bare(struct scan *sc)
{
	struct slice s = sc->rest, value = take_token(&sc->rest);
	ptrdiff_t semi;

	skip_cfws(&sc->rest);
	if (value.len > 0 && (sc->rest.len == 0 || sc->rest.ptr[0] == ';'))
		return value;
	sc->out->malformed = true;
	semi = slice_index(s, ';');
	value = slice_sub(s, 0, semi < 0 ? s.len : (size_t)semi);
	sc->rest = slice_from(s, value.len);
	return slice_trim(value);
}

/* Splits "name*3*" into its parts. */
static bool
split_name(struct slice t, struct raw_param *p)
{
	ptrdiff_t star = slice_index(t, '*');
	struct slice sec;
	uint64_t v;

	p->name = t;
	if (star < 0)
		return t.len > 0;
	p->name = slice_sub(t, 0, (size_t)star);
	sec = slice_from(t, (size_t)star + 1);
	if (sec.len == 0) {
		p->extended = true;
		return p->name.len > 0;
	}
	if (sec.ptr[sec.len - 1] == '*') {
		p->extended = true;
		sec.len--;
	}
	if (slice_to_u64(sec, SECTIONS_MAX, &v) != 0 || (sec.len > 1 && sec.ptr[0] == '0'))
		return false;
	p->section = (unsigned)v;
	p->has_section = true;
	return p->name.len > 0;
}

static int
keep_raw(struct scan *sc, const struct raw_param *p)
{
	if (sc->n_raw == sc->cap_raw) {
		size_t cap = sc->cap_raw == 0 ? 8 : sc->cap_raw * 2;
		struct raw_param *grown;

		if (sc->n_raw >= RAW_MAX) {
			sc->out->malformed = true;
			sc->rest.len = 0;
			return 0;
		}
		grown = arena_calloc(sc->a, cap, sizeof(*grown));
		if (grown == NULL)
			return ERR_NOMEM;
		if (sc->n_raw > 0)
			memcpy(grown, sc->raw, sc->n_raw * sizeof(*grown));
		sc->raw = grown;
		sc->cap_raw = cap;
	}
	sc->raw[sc->n_raw++] = *p;
	return 0;
}

/* One parameter behind a semicolon. */
static int
take_param(struct scan *sc)
{
	struct raw_param p = {0};
	struct slice name;
	int r;

	skip_cfws(&sc->rest);
	if (sc->rest.len == 0 || sc->rest.ptr[0] == ';')
		return 0; /* "; ;" and a semicolon at the end: common and harmless */
	name = take_token(&sc->rest);
	skip_cfws(&sc->rest);
	if (name.len == 0 || name.len > NAME_MAX_OCTETS || sc->rest.len == 0 ||
	    sc->rest.ptr[0] != '=' || !split_name(name, &p)) {
		ptrdiff_t semi = slice_index(sc->rest, ';');

		sc->out->malformed = true;
		sc->rest = slice_from(sc->rest, semi < 0 ? sc->rest.len : (size_t)semi);
		return 0;
	}
	sc->rest = slice_from(sc->rest, 1);
	skip_cfws(&sc->rest);
	if (sc->rest.len > 0 && sc->rest.ptr[0] == '"') {
		p.quoted = true;
		r = take_quoted(sc, &p.value);
		if (r != 0)
			return r;
	} else {
		p.value = take_bare(sc);
	}
	r = lower_copy(sc->a, p.name, &p.name);
	if (r == 0 && p.value.len > VALUE_MAX_OCTETS) {
		sc->out->malformed = true;
		p.value.len = VALUE_MAX_OCTETS;
	}
	return r != 0 ? r : keep_raw(sc, &p);
}

/* ---- from raw parameters to values ---- */

static void
percent_decode(struct slice s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		int hi = -1, lo = -1;

		if (s.ptr[i] == '%' && i + 2 < s.len) {
			hi = hex_value(s.ptr[i + 1]);
			lo = hex_value(s.ptr[i + 2]);
		}
		if (hi >= 0 && lo >= 0) {
			buf_append_byte(out, (unsigned char)(hi << 4 | lo));
			i += 2;
		} else {
			buf_append_byte(out, s.ptr[i]);
		}
	}
}

/* charset'language'text: gives the charset, moves *s to the text. */
static struct slice
take_charset(struct slice *s)
{
	ptrdiff_t a = slice_index(*s, '\''), b;
	struct slice charset = {0};

	if (a < 0)
		return charset;
	b = slice_index(slice_from(*s, (size_t)a + 1), '\'');
	if (b < 0)
		return charset;
	charset = slice_sub(*s, 0, (size_t)a);
	*s = slice_from(*s, (size_t)(a + b) + 2);
	return charset;
}

static const struct raw_param *
find_section(const struct scan *sc, struct slice name, unsigned section)
{
	for (size_t i = 0; i < sc->n_raw; i++) {
		const struct raw_param *p = &sc->raw[i];

		if (p->has_section && p->section == section && slice_eq(p->name, name))
			return p;
	}
	return NULL;
}

/* All sections of name from 0 on, joined as bytes; *charset_out from section 0. */
static void
join_sections(const struct scan *sc, struct slice name, struct slice *charset_out, struct buf *out)
{
	const struct raw_param *p;

	for (unsigned n = 0; (p = find_section(sc, name, n)) != NULL; n++) {
		struct slice v = p->value;

		if (n == 0 && p->extended)
			*charset_out = take_charset(&v);
		if (p->extended)
			percent_decode(v, out);
		else
			buf_append_slice(out, v);
		if (out->len > VALUE_MAX_OCTETS)
			break;
	}
}

/* A file name or charset has no line ends and no NUL, however it was spelled. */
static void
no_controls(struct buf *text)
{
	for (size_t i = 0; i < text->len; i++)
		if (text->data[i] < 0x20 || text->data[i] == 0x7f)
			text->data[i] = ' ';
}

/* The value of p (and of the sections that go with it) in UTF-8, in the arena. */
static int
param_value(const struct scan *sc, const struct raw_param *p, struct slice *value_out)
{
	struct buf bytes, text;
	struct slice v = p->value, charset = {0};
	int r;

	buf_init(&bytes, 4 * VALUE_MAX_OCTETS);
	buf_init(&text, 16 * VALUE_MAX_OCTETS);
	if (p->has_section) {
		join_sections(sc, p->name, &charset, &bytes);
	} else if (p->extended) {
		charset = take_charset(&v);
		percent_decode(v, &bytes);
	} else {
		buf_append_slice(&bytes, v);
	}
	if (slice_eq_str(p->name, "boundary"))
		buf_append_slice(&text, buf_slice(&bytes));
	else if (!p->extended && !p->has_section && slice_find(v, slice_str("=?")) >= 0)
		hdr_decode(buf_slice(&bytes), &text); /* not by RFC 2047 5, but everywhere */
	else
		charset_to_utf8(charset, buf_slice(&bytes), &text);
	if (!slice_eq_str(p->name, "boundary"))
		no_controls(&text);
	r = bytes.err != 0 ? bytes.err : text.err;
	if (r == 0) {
		*value_out = arena_slice(sc->a, buf_slice(&text));
		if (value_out->ptr == NULL && text.len > 0)
			r = ERR_NOMEM;
		else if (value_out->ptr == NULL)
			*value_out = slice_str("");
	}
	buf_done(&text);
	buf_done(&bytes);
	return r;
}

/* Forms of one parameter, the best last. */
static int
rank(const struct raw_param *p)
{
	return p->has_section ? 2 : p->extended ? 3 : 1;
}

/* Whether raw[i] is the one that stands for its name; notes what makes the name ambiguous. */
static bool
is_chosen(struct scan *sc, size_t i)
{
	const struct raw_param *p = &sc->raw[i];
	bool chosen = true;

	for (size_t j = 0; j < sc->n_raw; j++) {
		const struct raw_param *o = &sc->raw[j];

		if (j == i || !slice_eq(o->name, p->name))
			continue;
		if (rank(o) != rank(p) || !p->has_section || o->section == p->section)
			sc->out->duplicate = true;
		if (rank(o) > rank(p) || (rank(o) == rank(p) && !p->has_section && j < i))
			chosen = false;
	}
	if (p->has_section && p->section == 0)
		return chosen && find_section(sc, p->name, 0) == p;
	if (p->has_section && find_section(sc, p->name, 0) == NULL)
		sc->out->malformed = true; /* pieces without a first one */
	return chosen && !p->has_section;
}

static int
assemble(struct scan *sc)
{
	struct hdr_param **tail = &sc->out->params;
	size_t n = 0;

	for (size_t i = 0; i < sc->n_raw; i++) {
		struct hdr_param *h;
		int r;

		if (!is_chosen(sc, i))
			continue;
		if (n++ == PARAMS_MAX) {
			sc->out->malformed = true;
			break;
		}
		h = arena_alloc(sc->a, sizeof(*h));
		if (h == NULL)
			return ERR_NOMEM;
		h->name = sc->raw[i].name;
		r = param_value(sc, &sc->raw[i], &h->value);
		if (r != 0)
			return r;
		*tail = h;
		tail = &h->next;
	}
	return 0;
}

int
hdr_ctype_parse(struct slice body, bool is_disposition, struct arena *a, struct hdr_ctype *out)
{
	struct scan sc = {.rest = body, .a = a, .out = out};
	struct slice type, subtype = {0};
	int r;

	memset(out, 0, sizeof(*out));
	skip_cfws(&sc.rest);
	type = take_token(&sc.rest);
	skip_cfws(&sc.rest);
	if (!is_disposition) {
		if (sc.rest.len == 0 || sc.rest.ptr[0] != '/')
			return ERR_SYNTAX;
		sc.rest = slice_from(sc.rest, 1);
		skip_cfws(&sc.rest);
		subtype = take_token(&sc.rest);
		skip_cfws(&sc.rest);
	}
	if (type.len == 0 || (!is_disposition && subtype.len == 0))
		return ERR_SYNTAX;
	if (type.len > NAME_MAX_OCTETS || subtype.len > NAME_MAX_OCTETS)
		return ERR_SYNTAX;
	r = lower_copy(a, type, &out->type);
	if (r == 0)
		r = lower_copy(a, subtype, &out->subtype);
	while (r == 0 && sc.rest.len > 0) {
		if (sc.rest.ptr[0] == ';') {
			sc.rest = slice_from(sc.rest, 1);
		} else {
			ptrdiff_t semi = slice_index(sc.rest, ';');

			out->malformed = true; /* "text/plain charset=x" and the like */
			if (semi < 0)
				break;
			sc.rest = slice_from(sc.rest, (size_t)semi + 1);
		}
		r = take_param(&sc);
		skip_cfws(&sc.rest);
	}
	return r != 0 ? r : assemble(&sc);
}

struct slice
hdr_ctype_param(const struct hdr_ctype *c, const char *name)
{
	for (const struct hdr_param *p = c->params; p != NULL; p = p->next)
		if (slice_eq_str(p->name, name))
			return p->value;
	return (struct slice){0};
}
