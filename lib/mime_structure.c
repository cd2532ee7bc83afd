/* mime_structure.c: IMAP's BODY and BODYSTRUCTURE of a MIME tree, pure. Runs in imapd-session.
 *
 * The grammar asks for things that broken mail lacks (a part in every multipart, a message in every message/rfc822): an
 * empty text stands in, so that what clients get always parses. Parameter values beyond ASCII go out by RFC 2231 unless the client
 * enabled UTF-8. RFC 3501 7.4.2, RFC 9051 7.5.2. */
#include <string.h>

#include "lib/mime_priv.h"
#include "lib/uni.h"

static const char empty_text[] =
    "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 0 0)";

struct writer {
	struct slice whole;
	bool extensible, utf8;
	struct buf *out;
};

static void put_body(struct writer *w, const struct mime_part *p);

/* NAME* UTF-8''%C4%91 */
static void
put_rfc2231(const struct hdr_param *p, struct buf *out)
{
	mime_put_upper(p->name, out);
	if (out->err == 0)
		buf_truncate(out, out->len - 1);
	buf_append_str(out, "*\" \"UTF-8''");
	for (size_t i = 0; i < p->value.len; i++) {
		unsigned char c = p->value.ptr[i];

		if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
		    (c != '\0' && strchr("-._~", c) != NULL))
			buf_append_byte(out, c);
		else
			buf_appendf(out, "%%%02X", c);
	}
	buf_append_byte(out, '"');
}

static void
put_params(struct writer *w, const struct hdr_param *p)
{
	if (p == NULL) {
		buf_append_str(w->out, "NIL");
		return;
	}
	buf_append_byte(w->out, '(');
	for (; p != NULL; p = p->next) {
		if (!w->utf8 && !slice_is_ascii(p->value) && uni_valid(p->value)) {
			put_rfc2231(p, w->out);
		} else {
			mime_put_upper(p->name, w->out);
			buf_append_byte(w->out, ' ');
			mime_put_plain(p->value, w->utf8, w->out);
		}
		if (p->next != NULL)
			buf_append_byte(w->out, ' ');
	}
	buf_append_byte(w->out, ')');
}

static void
put_encoding(struct writer *w, const struct mime_part *p)
{
	static const char *const names[] = {[CTE_7BIT] = "\"7BIT\"",
	    [CTE_8BIT] = "\"8BIT\"",
	    [CTE_BINARY] = "\"BINARY\"",
	    [CTE_QP] = "\"QUOTED-PRINTABLE\"",
	    [CTE_BASE64] = "\"BASE64\""};

	if (p->cte == CTE_OTHER)
		mime_put_upper(p->cte_raw, w->out);
	else
		buf_append_str(w->out, names[p->cte]);
}

static void
put_disposition(struct writer *w, const struct mime_part *p)
{
	if (p->disposition.ptr == NULL) {
		buf_append_str(w->out, "NIL");
		return;
	}
	buf_append_byte(w->out, '(');
	mime_put_upper(p->disposition, w->out);
	buf_append_byte(w->out, ' ');
	put_params(w, p->disp_params);
	buf_append_byte(w->out, ')');
}

/* One language tag or a list of them: RFC 3282. */
static void
put_language(struct writer *w, const struct mime_part *p)
{
	struct slice rest = p->language;
	size_t n = 0;

	if (rest.ptr == NULL || slice_trim(rest).len == 0) {
		buf_append_str(w->out, "NIL");
		return;
	}
	if (slice_index(rest, ',') < 0) {
		mime_put_plain(slice_trim(rest), false, w->out);
		return;
	}
	buf_append_byte(w->out, '(');
	while (rest.len > 0) {
		ptrdiff_t comma = slice_index(rest, ',');
		struct slice tag =
		    slice_trim(slice_sub(rest, 0, comma < 0 ? rest.len : (size_t)comma));

		rest = comma < 0 ? slice_from(rest, rest.len) : slice_from(rest, (size_t)comma + 1);
		if (tag.len == 0)
			continue;
		if (n++ > 0)
			buf_append_byte(w->out, ' ');
		mime_put_plain(tag, false, w->out);
	}
	if (n == 0)
		buf_append_str(w->out, "\"\"");
	buf_append_byte(w->out, ')');
}

/* body-fld-dsp SP body-fld-lang SP body-fld-loc */
static void
put_extension(struct writer *w, const struct mime_part *p)
{
	buf_append_byte(w->out, ' ');
	put_disposition(w, p);
	buf_append_byte(w->out, ' ');
	put_language(w, p);
	buf_append_byte(w->out, ' ');
	mime_put_nstring(p->location, w->utf8, w->out);
}

static void
put_multipart(struct writer *w, const struct mime_part *p)
{
	if (p->child == NULL)
		buf_append_str(w->out, empty_text);
	for (const struct mime_part *c = p->child; c != NULL; c = c->next)
		put_body(w, c);
	buf_append_byte(w->out, ' ');
	mime_put_upper(p->subtype, w->out);
	if (!w->extensible)
		return;
	buf_append_byte(w->out, ' ');
	put_params(w, p->params);
	put_extension(w, p);
}

/* envelope SP body SP lines */
static void
put_embedded(struct writer *w, const struct mime_part *p)
{
	const struct mime_part *m = p->child;
	struct slice header = {0};

	if (m != NULL && m->body_off <= w->whole.len)
		header = slice_sub(w->whole, m->hdr_off, m->body_off - m->hdr_off);
	buf_append_byte(w->out, ' ');
	mime_envelope(header, w->utf8, w->out);
	buf_append_byte(w->out, ' ');
	if (m != NULL)
		put_body(w, m);
	else
		buf_append_str(w->out, empty_text);
	buf_appendf(w->out, " %u", p->body_lines);
}

static void
put_single(struct writer *w, const struct mime_part *p)
{
	mime_put_upper(p->type, w->out);
	buf_append_byte(w->out, ' ');
	mime_put_upper(p->subtype, w->out);
	buf_append_byte(w->out, ' ');
	put_params(w, p->params);
	buf_append_byte(w->out, ' ');
	mime_put_nstring(p->id, w->utf8, w->out);
	buf_append_byte(w->out, ' ');
	mime_put_nstring(p->description, w->utf8, w->out);
	buf_append_byte(w->out, ' ');
	put_encoding(w, p);
	buf_appendf(w->out, " %llu", (unsigned long long)(p->end_off - p->body_off));
	if (slice_eq_str(p->type, "message") &&
	    (slice_eq_str(p->subtype, "rfc822") || slice_eq_str(p->subtype, "global")))
		put_embedded(w, p);
	else if (slice_eq_str(p->type, "text"))
		buf_appendf(w->out, " %u", p->body_lines);
	if (!w->extensible)
		return;
	buf_append_byte(w->out, ' ');
	mime_put_nstring(p->md5, w->utf8, w->out);
	put_extension(w, p);
}

/* As deep as the tree, whose depth its maker bounded. */
static void
put_body(struct writer *w, const struct mime_part *p)
{
	if (w->out->err != 0)
		return;
	buf_append_byte(w->out, '(');
	if (slice_eq_str(p->type, "multipart"))
		put_multipart(w, p);
	else
		put_single(w, p);
	buf_append_byte(w->out, ')');
}

int
mime_bodystructure(
    const struct mime_part *root, struct slice whole, bool extensible, bool utf8, struct buf *out)
{
	struct writer w = {.whole = whole, .extensible = extensible, .utf8 = utf8, .out = out};

	put_body(&w, root);
	return out->err;
}
