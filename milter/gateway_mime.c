/* gateway_mime.c: the entity that is signed: what an MTA on the way may change is encoded before (RFC 8551 3.1.2, 3.1.3; RFC 3156 5 has the
 * reasons). Pure; runs in milter's threads. Invariants: the entity is ASCII in lines of at most 998 octets ended by CRLF; each part decodes to
 * what it decoded to before (text: with CRLF line ends); what cannot be kept so is refused, never changed. */
#include "config.h"

#include "milter/gateway_mime.h"

#include "lib/err.h"
#include "lib/uni.h"

#include <string.h>

enum { LINE_MAX_OCTETS = 998, PIECE = 57 * 1000 };

struct maker {
	struct slice whole;
	gateway_put_fn put;
	void *arg;
	const char *why;
};

bool
gateway_is_content_field(struct slice name)
{
	return slice_casestarts(name, "Content-") && !slice_caseeq_str(name, "Content-Length");
}

static bool
is_type(const struct mime_part *p, const char *type, const char *sub)
{
	return slice_eq_str(p->type, type) && (sub == NULL || slice_eq_str(p->subtype, sub));
}

static struct slice
param(const struct hdr_param *p, const char *name)
{
	for (; p != NULL; p = p->next) {
		if (slice_eq_str(p->name, name))
			return p->value;
	}
	return (struct slice){NULL, 0};
}

static bool
ends_in(struct slice name, const char *with)
{
	size_t n = strlen(with);

	return name.len > n && slice_caseeq_str(slice_from(name, name.len - n), with);
}

const char *
gateway_refuses(struct slice header, const struct mime_part *root)
{
	struct slice name = param(root->params, "name"),
		     file = param(root->disp_params, "filename");

	if (is_type(root, "multipart", "signed") || is_type(root, "application", "pkcs7-mime") ||
	    is_type(root, "application", "x-pkcs7-mime") || ends_in(name, ".p7m") ||
	    ends_in(file, ".p7m"))
		return "it is signed or encrypted already";
	if (is_type(root, "multipart", "encrypted") ||
	    is_type(root, "application", "pgp-encrypted"))
		return "it is encrypted already";
	if ((root->flags & (MIME_F_DUP_HEADER | MIME_F_DUP_PARAM | MIME_F_BAD_CTYPE)) != 0 ||
	    hdr_count(header, "MIME-Version") > 1)
		return "its structure can be read in two ways";
	return NULL;
}

static int
refuse(struct maker *m, const char *why)
{
	m->why = why;
	return ERR_UNSUPPORTED;
}

static void
put(struct maker *m, struct slice s)
{
	if (s.len > 0)
		m->put(m->arg, s);
}

static void
put_str(struct maker *m, const char *s)
{
	put(m, slice_str(s));
}

static struct slice
region(const struct maker *m, uint64_t from, uint64_t to)
{
	return slice_sub(m->whole, (size_t)from, (size_t)(to - from));
}

/* What stands in the way of octets as they are. */
enum { BODY_8BIT = 1, BODY_LONG = 2, BODY_BARE = 4, BODY_FRAGILE = 8 };

/* Fragile: what mail software on the way is known to change: "From " and white space at the end of a line, a lone dot is SMTP's own affair. */
static unsigned
look(struct slice s)
{
	unsigned found = 0;
	size_t i, line = 0;

	for (i = 0; i < s.len; i++) {
		unsigned char c = s.ptr[i];
		bool crlf = c == '\r' && i + 1 < s.len && s.ptr[i + 1] == '\n';

		if (c >= 0x80 || c == 0)
			found |= BODY_8BIT;
		if (crlf || i + 1 == s.len) {
			size_t end = crlf ? i : i + 1;

			if (end - line > LINE_MAX_OCTETS)
				found |= BODY_LONG;
			if (end > line && (s.ptr[end - 1] == ' ' || s.ptr[end - 1] == '\t'))
				found |= BODY_FRAGILE;
			if (end - line >= 5 && memcmp(s.ptr + line, "From ", 5) == 0)
				found |= BODY_FRAGILE;
		}
		if (crlf) {
			line = i + 2;
			i++;
		} else if (c == '\r' || c == '\n') {
			found |= BODY_BARE;
		}
	}
	return found;
}

/* A piece of text that ends with a line, or is to go on in the same one. */
static int
put_quoted_piece(struct maker *m, struct buf *text, bool goes_on)
{
	struct buf out;
	int err = text->err;

	buf_init(&out, 4 * PIECE);
	if (err == 0)
		err = qp_encode(buf_slice(text), &out);
	if (err == 0 && goes_on)
		err = buf_append_str(&out, "=\r\n");
	if (err == 0)
		put(m, buf_slice(&out));
	buf_reset(text);
	buf_done(&out);
	return err;
}

/* Text has lines: whatever ends one becomes CRLF. */
static int
put_quoted(struct maker *m, struct slice s)
{
	struct buf text;
	size_t i;
	int err = 0;

	buf_init(&text, PIECE + 16);
	for (i = 0; i < s.len && err == 0; i++) {
		bool ends = s.ptr[i] == '\r' || s.ptr[i] == '\n';

		if (s.ptr[i] == '\r' && i + 1 < s.len && s.ptr[i + 1] == '\n')
			i++;
		if (ends)
			buf_append_str(&text, "\r\n");
		else
			buf_append_byte(&text, s.ptr[i]);
		if ((ends && text.len >= PIECE / 2) || text.len >= PIECE)
			err = put_quoted_piece(m, &text, !ends);
	}
	if (err == 0)
		err = put_quoted_piece(m, &text, false);
	buf_done(&text);
	return err;
}

static int
put_base64(struct maker *m, struct slice s)
{
	struct buf out;
	size_t at;
	int err = 0;

	buf_init(&out, 2 * PIECE + 4096);
	for (at = 0; at < s.len && err == 0; at += PIECE) {
		buf_reset(&out);
		err = b64_encode(slice_sub(s, at, PIECE), true, &out);
		if (out.len > 0 && out.data[out.len - 1] != '\n')
			buf_append_str(&out, "\r\n");
		if (err == 0)
			err = out.err;
		if (err == 0)
			put(m, buf_slice(&out));
	}
	buf_done(&out);
	return err;
}

/* The fields of a part, but for the encoding, which encoding names anew (NULL: stays as it is; "": none is named). root: of the
 * message only the content fields are the entity's. */
static int
put_header(struct maker *m, const struct mime_part *p, bool root, const char *encoding)
{
	struct slice rest = region(m, p->hdr_off, p->body_off);
	struct hdr_field f;
	bool has_type = false;
	unsigned found;
	int err;

	while ((err = hdr_next(&rest, &f)) != ERR_EOF) {
		if (err != 0)
			return refuse(m, "a line in a header is no field");
		if (root && !gateway_is_content_field(f.name))
			continue;
		if (encoding != NULL && slice_caseeq_str(f.name, "Content-Transfer-Encoding"))
			continue;
		found = look(f.whole);
		if ((found & (BODY_8BIT | BODY_LONG | BODY_BARE)) != 0)
			return refuse(m, "a header field is not plain ASCII in lines");
		has_type |= slice_caseeq_str(f.name, "Content-Type");
		put(m, f.whole);
	}
	if (!has_type && root)
		put_str(m, encoding != NULL && *encoding != '\0'
			       ? "Content-Type: text/plain; charset=utf-8\r\n"
			       : "Content-Type: text/plain\r\n");
	if (encoding != NULL && *encoding != '\0') {
		put_str(m, "Content-Transfer-Encoding: ");
		put_str(m, encoding);
		put_str(m, "\r\n");
	}
	put_str(m, "\r\n");
	return 0;
}

static int
put_leaf(struct maker *m, const struct mime_part *p, bool root)
{
	struct slice body = region(m, p->body_off, p->end_off);
	bool text = is_type(p, "text", NULL), plain = p->cte <= CTE_BINARY, declared;
	unsigned found = look(body);
	int err;

	if (!plain || found == 0 || (!text && found == BODY_FRAGILE)) {
		if ((found & (BODY_8BIT | BODY_LONG | BODY_BARE)) != 0)
			return refuse(m, "an encoded part is not plain ASCII in lines");
		/* an 8bit or binary that is none, or a label that says nothing new */
		err = put_header(m, p, root, plain ? "" : NULL);
		if (err == 0)
			put(m, body);
		return err;
	}
	if (is_type(p, "message", NULL) || is_type(p, "multipart", NULL))
		return refuse(m, "a part that cannot be encoded is not plain ASCII in lines");
	declared = (p->flags & MIME_F_NO_CTYPE) == 0;
	if (!declared && (found & BODY_8BIT) != 0 && (!root || !uni_valid(body)))
		return refuse(m, "text without a charset is not ASCII");
	/* octets of UTF-16 that look like line ends are none */
	text = text && memchr(body.ptr, 0, body.len) == NULL;
	err = put_header(m, p, root, text ? "quoted-printable" : "base64");
	if (err != 0)
		return err;
	return text ? put_quoted(m, body) : put_base64(m, body);
}

static int put_part(struct maker *m, const struct mime_part *p, bool root);

/* What stands around the parts stays as it is; so does all of a signed part. */
static int
put_between(struct maker *m, uint64_t from, uint64_t to)
{
	struct slice s = region(m, from, to);

	if ((look(s) & (BODY_8BIT | BODY_LONG | BODY_BARE)) != 0)
		return refuse(
		    m, "text outside the parts, or in a signed part, is not plain ASCII in lines");
	put(m, s);
	return 0;
}

static int
put_parts(struct maker *m, const struct mime_part *p, bool root)
{
	const struct mime_part *c;
	uint64_t at = p->body_off;
	int err;

	if ((p->flags & (MIME_F_NO_BOUNDARY | MIME_F_TOO_DEEP | MIME_F_TOO_MANY |
			    MIME_F_UNTERMINATED)) != 0)
		return refuse(m, "its parts cannot be told from each other");
	if (p->cte == CTE_QP || p->cte == CTE_BASE64 || p->cte == CTE_OTHER)
		return refuse(m, "a multipart is encoded");
	err = put_header(m, p, root, "");
	if (is_type(p, "multipart", "signed"))
		return err != 0 ? err : put_between(m, p->body_off, p->end_off);
	for (c = p->child; c != NULL && err == 0; c = c->next) {
		err = put_between(m, at, c->hdr_off);
		if (err == 0)
			err = put_part(m, c, false);
		at = c->end_off;
	}
	return err != 0 ? err : put_between(m, at, p->end_off);
}

static int
put_part(struct maker *m, const struct mime_part *p, bool root)
{
	if ((p->flags & (MIME_F_DUP_HEADER | MIME_F_DUP_PARAM | MIME_F_BAD_CTE)) != 0)
		return refuse(m, "a part can be read in two ways");
	return p->child != NULL || is_type(p, "multipart", NULL) ? put_parts(m, p, root)
								 : put_leaf(m, p, root);
}

int
gateway_entity(struct slice whole, const struct mime_part *root, gateway_put_fn put_fn, void *arg,
    const char **why_out)
{
	struct maker m = {.whole = whole, .put = put_fn, .arg = arg};
	int err = put_part(&m, root, true);

	if (err == ERR_UNSUPPORTED)
		*why_out = m.why;
	return err;
}
