/* authres.c: reads Authentication-Results. Pure; runs in milter. RFC 8601 2.2; P35. Read by the letter: a field that is not well-formed
 * says nothing, and "nothing" is no pass. */
#include "config.h"

#include "milter/authres.h"

#include "lib/err.h"
#include "lib/hdr.h"

#include <string.h>

/* White space and comments; false when a comment does not end. */
static bool
skip_cfws(struct slice *s)
{
	int depth = 0;
	size_t i;

	for (i = 0; i < s->len; i++) {
		unsigned char c = s->ptr[i];

		if (c == '\\' && depth > 0)
			i++;
		else if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n')
			break;
	}
	*s = slice_from(*s, i);
	return depth == 0;
}

size_t
authres_id(struct slice body, struct buf *out)
{
	struct slice s = body;
	bool quoted;
	size_t i;

	skip_cfws(&s);
	quoted = s.len > 0 && s.ptr[0] == '"';
	for (i = quoted; i < s.len; i++) {
		unsigned char c = s.ptr[i];

		if (quoted ? c == '"' : c == '\0' || strchr(" \t\r\n;(", c) != NULL)
			break;
		if (c == '\\' && quoted && i + 1 < s.len)
			c = s.ptr[++i];
		buf_append_byte(out, c);
	}
	i += quoted && i < s.len;
	return body.len - s.len + i;
}

/* A token, quoted string or mailbox up to white space, ";", "(" or one of stop; unquoted to out. */
static bool
take_word(struct slice *s, const char *stop, struct buf *out)
{
	bool quoted = false;
	size_t i;

	buf_reset(out);
	for (i = 0; i < s->len; i++) {
		unsigned char c = s->ptr[i];

		if (c == '"') {
			quoted = !quoted;
			continue;
		}
		if (!quoted &&
		    (c == '\0' || strchr(" \t\r\n;(", c) != NULL || strchr(stop, c) != NULL))
			break;
		if (c == '\\' && quoted && i + 1 < s->len)
			c = s->ptr[++i];
		buf_append_byte(out, c);
	}
	*s = slice_from(*s, i);
	return !quoted && out->err == 0;
}

static bool
take_char(struct slice *s, unsigned char c)
{
	if (s->len == 0 || s->ptr[0] != c)
		return false;
	*s = slice_from(*s, 1);
	return true;
}

/* The same domain, or one below the other: relaxed alignment (RFC 7489 3.1) without a list of public suffixes, so that ours need none:
 * the author's domain is one of our own. A single label is nobody's. */
static bool
aligned(struct slice domain, struct slice other)
{
	struct slice longer, shorter;

	if (other.len > 0 && other.ptr[other.len - 1] == '.')
		other.len--;
	longer = domain.len >= other.len ? domain : other;
	shorter = domain.len >= other.len ? other : domain;
	if (slice_index(shorter, '.') < 0 ||
	    !slice_caseeq(slice_from(longer, longer.len - shorter.len), shorter))
		return false;
	return longer.len == shorter.len || longer.ptr[longer.len - shorter.len - 1] == '.';
}

static struct slice
domain_of(struct slice address)
{
	size_t i;

	for (i = address.len; i > 0; i--) {
		if (address.ptr[i - 1] == '@')
			return slice_from(address, i);
	}
	return address;
}

struct reading {
	struct slice domain;
	struct buf *text;
	unsigned results;
	bool pass, dmarc_fail, temperror;
};

/* One "method=result ..." with its properties; false when it is not well-formed. */
static bool
read_result(struct slice *s, struct reading *r)
{
	struct buf method, result, name, value;
	bool ok, spf, dkim, dmarc, fits = false;

	buf_init(&method, 64);
	buf_init(&result, 64);
	buf_init(&name, 64);
	buf_init(&value, 1024);
	ok = take_word(s, "=/", &method);
	if (ok && take_char(s, '/')) /* method version */
		ok = take_word(s, "=", &name);
	ok = ok && skip_cfws(s) && take_char(s, '=') && skip_cfws(s) && take_word(s, "", &result) &&
	     method.len > 0 && result.len > 0;
	spf = slice_caseeq_str(buf_slice(&method), "spf");
	dkim = slice_caseeq_str(buf_slice(&method), "dkim");
	dmarc = slice_caseeq_str(buf_slice(&method), "dmarc");
	while (ok && (ok = skip_cfws(s)) && s->len > 0 && s->ptr[0] != ';') {
		struct slice v;

		ok = take_word(s, "=", &name) && name.len > 0 && skip_cfws(s) &&
		     take_char(s, '=') && skip_cfws(s) && take_word(s, "", &value);
		v = domain_of(buf_slice(&value));
		if (!ok)
			break;
		if ((spf && slice_caseeq_str(buf_slice(&name), "smtp.mailfrom")) ||
		    (dkim && (slice_caseeq_str(buf_slice(&name), "header.d") ||
				 slice_caseeq_str(buf_slice(&name), "header.i"))))
			fits = aligned(r->domain, v);
		if (dmarc && slice_caseeq_str(buf_slice(&name), "header.from"))
			fits = aligned(r->domain, v);
	}
	if (ok && (spf || dkim || dmarc)) {
		struct slice res = buf_slice(&result);
		bool pass = slice_caseeq_str(res, "pass");

		r->results++;
		r->pass |= pass && fits;
		r->dmarc_fail |= dmarc && slice_caseeq_str(res, "fail");
		/* of a domain that the sender chose he can make one himself */
		r->temperror |= (fits || dmarc) && slice_caseeq_str(res, "temperror");
		if (r->text->len < 120)
			buf_appendf(r->text, "%s%s=%s%s", r->text->len > 0 ? " " : "",
			    buf_cstr(&method), buf_cstr(&result),
			    pass && !fits ? " (other domain)" : "");
	}
	buf_done(&method);
	buf_done(&result);
	buf_done(&name);
	buf_done(&value);
	return ok;
}

static void
read_field(struct slice body, const char *const *ids, size_t n_ids, struct reading *r)
{
	struct slice s = body;
	bool ours = false, ok;
	struct buf id;
	size_t i;

	buf_init(&id, body.len + 1);
	s = slice_from(s, authres_id(body, &id));
	for (i = 0; i < n_ids; i++)
		ours |= id.len > 0 && slice_caseeq_str(buf_slice(&id), ids[i]);
	buf_done(&id);
	if (!ours)
		return;
	/* an optional version */
	ok = skip_cfws(&s);
	while (ok && s.len > 0 && s.ptr[0] >= '0' && s.ptr[0] <= '9')
		s = slice_from(s, 1);
	while (ok && r->results < AUTHRES_RESULTS_MAX && skip_cfws(&s) && take_char(&s, ';') &&
	       skip_cfws(&s) && s.len > 0)
		ok = read_result(&s, r);
}

enum rule_origin
authres_read(struct slice header, const char *const *ids, size_t n_ids, struct slice domain,
    struct buf *text)
{
	struct reading r = {.domain = domain, .text = text};
	struct hdr_field field;
	size_t n;

	if (n_ids == 0)
		return ORIGIN_UNCHECKED;
	for (n = 0; n < AUTHRES_FIELDS_MAX && hdr_find(header, "Authentication-Results", n, &field);
	     n++)
		read_field(field.body, ids, n_ids, &r);
	/* a DMARC verdict weighs more than its parts */
	if (r.pass && !r.dmarc_fail)
		return ORIGIN_PASS;
	if (r.results == 0)
		buf_append_str(text, "spf=none dkim=none dmarc=none");
	return r.temperror ? ORIGIN_TEMPERROR : ORIGIN_FAIL;
}
