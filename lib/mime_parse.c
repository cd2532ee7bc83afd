/* mime_parse.c: the MIME structure of a message, pure. Runs in ingest, imapd-session and the milter.
 *
 * One pass over the lines (memchr for each), a stack of open parts, no recursion: time is linear whatever the content, memory
 * is bounded by the limits. A delimiter is a whole line, "--" boundary ["--"] and white space: so a boundary that begins
 * another one's is told apart (RFC 2046 5.1.1 lets a prefix count; no writer needs that, and it makes two readings of one
 * message). An outer delimiter ends inner parts. Nothing fails on content: flags tell. RFC 2045, 2046. */
#include "lib/mime.h"

#include <string.h>

#include "lib/err.h"
#include "lib/octets.h"

enum {
	BOUNDARY_MAX = 200, /* RFC 2046: 70 */
	FIELD_MAX = 2048,   /* octets kept of a field's text */
	STACK_MAX = 256,
	LOOK = 66, /* octets that skip_plain looks at together */
};

const struct mime_limits mime_limits_default = {
    .depth = 32, .parts = 2000, .header_max = 256 * 1024};

/* A part that has begun and not ended. */
struct open_part {
	struct mime_part *part;
	struct mime_part **tail; /* where its next child goes */
	struct slice boundary;   /* of a multipart in its body; else empty */
	uint64_t lf_at_body;     /* line feeds before its body */
	bool in_header, closed;  /* closed: behind the closing delimiter */
};

struct parser {
	struct slice whole;
	const struct mime_limits *lim;
	struct arena *a;
	struct mime_part *root;
	struct open_part stack[STACK_MAX];
	size_t n, max_n, n_parts;
	uint64_t lf; /* line feeds before the current line */
	bool has_nul;
};

static const struct slice empty = {(const unsigned char *)"", 0};

static bool
type_is(const struct mime_part *p, const char *type, const char *subtype)
{
	return slice_eq_str(p->type, type) &&
	       (subtype == NULL || slice_eq_str(p->subtype, subtype));
}

static bool
is_message(const struct mime_part *p)
{
	/* RFC 6532 3.7: message/global is its form with UTF-8 headers. */
	return type_is(p, "message", "rfc822") || type_is(p, "message", "global");
}

/* ---- the header of a part ---- */

/* A field's text, unfolded and clipped, in the arena. */
static int
keep_text(struct parser *ps, struct slice body, struct slice *out)
{
	struct buf b;
	int r;

	if (out->ptr != NULL)
		return 0; /* the first of several counts */
	buf_init(&b, 4 * FIELD_MAX);
	body.len = body.len < 2 * FIELD_MAX ? body.len : 2 * FIELD_MAX;
	r = hdr_unfold(body, &b);
	if (r == 0) {
		*out =
		    b.len == 0 ? empty : arena_slice(ps->a, slice_sub(buf_slice(&b), 0, FIELD_MAX));
		if (out->ptr == NULL)
			r = ERR_NOMEM;
	}
	buf_done(&b);
	return r;
}

static int
set_type(struct parser *ps, struct mime_part *p, struct slice body)
{
	struct hdr_ctype ct;
	int r = hdr_ctype_parse(body, false, ps->a, &ct);

	if (r == ERR_SYNTAX) {
		p->flags |= MIME_F_BAD_CTYPE;
		return 0;
	}
	if (r != 0)
		return r;
	p->type = ct.type;
	p->subtype = ct.subtype;
	p->params = ct.params;
	p->flags |= (ct.duplicate ? MIME_F_DUP_PARAM : 0) | (ct.malformed ? MIME_F_BAD_CTYPE : 0);
	return 0;
}

static int
set_disposition(struct parser *ps, struct mime_part *p, struct slice body)
{
	struct hdr_ctype ct;
	int r = hdr_ctype_parse(body, true, ps->a, &ct);

	if (r == ERR_SYNTAX) {
		p->flags |= MIME_F_BAD_CTYPE;
		return 0;
	}
	if (r != 0)
		return r;
	p->disposition = ct.type;
	p->disp_params = ct.params;
	p->flags |= (ct.duplicate ? MIME_F_DUP_PARAM : 0) | (ct.malformed ? MIME_F_BAD_CTYPE : 0);
	return 0;
}

/* The mechanism without comments: RFC 2045 6.1. */
static void
set_cte(struct mime_part *p)
{
	static const char *const names[] = {[CTE_7BIT] = "7bit",
	    [CTE_8BIT] = "8bit",
	    [CTE_BINARY] = "binary",
	    [CTE_QP] = "quoted-printable",
	    [CTE_BASE64] = "base64"};
	struct slice s = p->cte_raw;
	size_t n = 0;

	while (n < s.len && s.ptr[n] > ' ' && s.ptr[n] != '(' && s.ptr[n] != ';')
		n++;
	s.len = n;
	p->cte = CTE_OTHER;
	for (int i = CTE_7BIT; i <= CTE_BASE64; i++)
		if (slice_caseeq_str(s, names[i]))
			p->cte = (enum mime_cte)i;
	if (p->cte == CTE_OTHER)
		p->flags |= MIME_F_BAD_CTE;
}

static int
set_field(struct parser *ps, struct mime_part *p, const struct hdr_field *f)
{
	struct slice name = slice_from(f->name, 8);

	if (slice_caseeq_str(name, "type")) {
		if (p->type.ptr == NULL && (p->flags & MIME_F_BAD_CTYPE) == 0)
			return set_type(ps, p, f->body);
		p->flags |= MIME_F_DUP_HEADER;
	} else if (slice_caseeq_str(name, "disposition")) {
		if (p->disposition.ptr == NULL)
			return set_disposition(ps, p, f->body);
		p->flags |= MIME_F_DUP_HEADER;
	} else if (slice_caseeq_str(name, "transfer-encoding")) {
		if (p->cte_raw.ptr != NULL)
			p->flags |= MIME_F_DUP_HEADER;
		return keep_text(ps, f->body, &p->cte_raw);
	} else if (slice_caseeq_str(name, "id")) {
		return keep_text(ps, f->body, &p->id);
	} else if (slice_caseeq_str(name, "description")) {
		return keep_text(ps, f->body, &p->description);
	} else if (slice_caseeq_str(name, "md5")) {
		return keep_text(ps, f->body, &p->md5);
	} else if (slice_caseeq_str(name, "language")) {
		return keep_text(ps, f->body, &p->language);
	} else if (slice_caseeq_str(name, "location")) {
		return keep_text(ps, f->body, &p->location);
	}
	return 0;
}

/* RFC 2045 5.2, RFC 2046 5.1.5 (digest). */
static int
default_type(struct parser *ps, struct mime_part *p)
{
	if ((p->flags & MIME_F_BAD_CTYPE) == 0)
		p->flags |= MIME_F_NO_CTYPE;
	if (p->parent != NULL && type_is(p->parent, "multipart", "digest") &&
	    (p->flags & MIME_F_BAD_CTYPE) == 0) {
		p->type = slice_str("message");
		p->subtype = slice_str("rfc822");
		return 0;
	}
	p->type = slice_str("text");
	p->subtype = slice_str("plain");
	p->params = arena_alloc(ps->a, sizeof(*p->params));
	if (p->params == NULL)
		return ERR_NOMEM;
	p->params->name = slice_str("charset");
	p->params->value = slice_str("us-ascii");
	return 0;
}

/* Reads the header [hdr_off, body_off). */
static int
read_header(struct parser *ps, struct mime_part *p)
{
	struct slice h = slice_sub(ps->whole, p->hdr_off, p->body_off - p->hdr_off);
	struct hdr_field f;
	int r;

	if (h.len > ps->lim->header_max) {
		h.len = ps->lim->header_max;
		p->flags |= MIME_F_TOO_DEEP;
	}
	for (size_t i = 0; i < h.len; i++)
		if (h.ptr[i] >= 0x80) {
			p->flags |= MIME_F_8BIT_HEADER;
			break;
		}
	while ((r = hdr_next(&h, &f)) != ERR_EOF) {
		if (r != 0 || !slice_casestarts(f.name, "content-"))
			continue;
		r = set_field(ps, p, &f);
		if (r != 0)
			return r;
	}
	if (p->cte_raw.ptr != NULL)
		set_cte(p);
	return p->type.ptr == NULL ? default_type(ps, p) : 0;
}

/* ---- parts begin and end ---- */

static int
push(struct parser *ps, uint64_t hdr_off)
{
	struct open_part *parent = ps->n > 0 ? &ps->stack[ps->n - 1] : NULL, *o;
	struct mime_part *p = arena_alloc(ps->a, sizeof(*p));

	if (p == NULL)
		return ERR_NOMEM;
	p->hdr_off = p->body_off = p->end_off = hdr_off;
	if (parent != NULL) {
		p->parent = parent->part;
		*parent->tail = p;
		parent->tail = &p->next;
		parent->part->n_children++;
	} else {
		ps->root = p;
	}
	ps->n_parts++;
	o = &ps->stack[ps->n++];
	*o = (struct open_part){.part = p, .tail = &p->child, .in_header = true};
	return 0;
}

/* What has a structure that the limits forbid to look at. */
static void
make_opaque(struct mime_part *p, uint32_t flag)
{
	p->type = slice_str("application");
	p->subtype = slice_str("octet-stream");
	p->params = NULL;
	p->flags |= flag;
}

static struct slice
usable_boundary(const struct mime_part *p)
{
	struct slice b = {0};

	for (const struct hdr_param *h = p->params; h != NULL; h = h->next)
		if (slice_eq_str(h->name, "boundary")) {
			b = h->value;
			break;
		}
	while (b.len > 0 && (b.ptr[b.len - 1] == ' ' || b.ptr[b.len - 1] == '\t'))
		b.len--;
	for (size_t i = 0; i < b.len; i++)
		if (b.ptr[i] < 0x20 || b.ptr[i] == 0x7f)
			return (struct slice){0};
	return b.len <= BOUNDARY_MAX ? b : (struct slice){0};
}

/* The header of the top part ends at off: what follows is its body. */
static int
begin_body(struct parser *ps, uint64_t off, uint64_t lf_at_body)
{
	struct open_part *o = &ps->stack[ps->n - 1];
	struct mime_part *p = o->part;
	bool multipart, encoded;
	int r;

	p->body_off = off;
	o->in_header = false;
	o->lf_at_body = lf_at_body;
	r = read_header(ps, p);
	if (r != 0)
		return r;
	multipart = type_is(p, "multipart", NULL);
	encoded = p->cte == CTE_QP || p->cte == CTE_BASE64 || p->cte == CTE_OTHER;
	if (!multipart && !is_message(p))
		return 0;
	if (encoded)
		p->flags |= MIME_F_BAD_CTE; /* RFC 2045 6.4 */
	if (ps->n >= ps->max_n) {
		make_opaque(p, MIME_F_TOO_DEEP);
	} else if (multipart) {
		o->boundary = usable_boundary(p);
		if (o->boundary.len == 0)
			p->flags |= MIME_F_NO_BOUNDARY;
	} else if (ps->n_parts >= ps->lim->parts) {
		ps->root->flags |= MIME_F_TOO_MANY;
		make_opaque(p, MIME_F_TOO_MANY);
	} else if (!encoded) {
		return push(ps, off);
	}
	return 0;
}

/* Octets of the line end before off, not reaching back before from. */
static size_t
eol_before(const struct parser *ps, uint64_t off, uint64_t from)
{
	const unsigned char *s = ps->whole.ptr;

	if (off < from + 1 || s[off - 1] != '\n')
		return 0;
	return off >= from + 2 && s[off - 2] == '\r' ? 2 : 1;
}

/* Ends the parts above stack index keep at off, where a line begins. is_delimiter: the line end before off is not theirs, if
 * the innermost has one to give: they all end at the same place, so that they nest. */
static int
pop_to(struct parser *ps, size_t keep, uint64_t off, bool is_delimiter)
{
	const struct open_part *top = &ps->stack[ps->n - 1];
	size_t eol = 0;

	if (ps->n > keep && is_delimiter)
		eol =
		    eol_before(ps, off, top->in_header ? top->part->hdr_off : top->part->body_off);
	while (ps->n > keep) {
		struct open_part *o = &ps->stack[ps->n - 1];
		struct mime_part *p = o->part;

		p->end_off = off - eol;
		if (o->in_header) {
			int r;

			o->in_header = false;
			p->body_off = p->end_off;
			r = read_header(ps, p);
			if (r != 0)
				return r;
		} else {
			p->body_lines = (uint32_t)(ps->lf - o->lf_at_body - (eol > 0));
		}
		if (o->boundary.len > 0 && !o->closed)
			p->flags |= MIME_F_UNTERMINATED;
		ps->n--;
	}
	return 0;
}

/* ---- lines ---- */

static bool
is_blank(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Whether line is a delimiter of an open multipart: its stack index, or -1. */
static ptrdiff_t
find_delimiter(const struct parser *ps, struct slice line, bool *close_out)
{
	line = slice_from(line, 2);
	while (line.len > 0 && is_blank(line.ptr[line.len - 1]))
		line.len--;
	for (size_t i = ps->n; i-- > 0;) {
		const struct open_part *o = &ps->stack[i];
		struct slice b = o->boundary;

		if (b.len == 0 || o->closed || line.len < b.len || line.len > b.len + 2 ||
		    memcmp(line.ptr, b.ptr, b.len) != 0)
			continue;
		*close_out = line.len == b.len + 2;
		if (line.len == b.len ||
		    (*close_out && line.ptr[b.len] == '-' && line.ptr[b.len + 1] == '-'))
			return (ptrdiff_t)i;
	}
	return -1;
}

/* Whether the line is the delimiter of stack entry k and was taken as such. */
static int
delimiter(struct parser *ps, size_t k, bool close, uint64_t off, uint64_t next, bool *taken_out)
{
	struct open_part *o = &ps->stack[k];
	int r;

	*taken_out = false;
	if (!close && ps->n_parts >= ps->lim->parts) {
		o->part->flags |= MIME_F_TOO_MANY;
		ps->root->flags |= MIME_F_TOO_MANY;
		return 0; /* the last part goes on */
	}
	*taken_out = true;
	r = pop_to(ps, k + 1, off, true);
	if (r != 0)
		return r;
	if (close) {
		o->closed = true;
		return 0;
	}
	return push(ps, next);
}

static void
note_line(struct parser *ps, struct slice line)
{
	struct open_part *o = &ps->stack[ps->n - 1];
	const unsigned char *cr = memchr(line.ptr, '\r', line.len);
	bool lf = line.ptr[line.len - 1] == '\n';

	if (cr == NULL ? lf : !lf || cr + 2 != line.ptr + line.len)
		o->part->flags |= MIME_F_BARE_LF;
	if (ps->has_nul && memchr(line.ptr, '\0', line.len) != NULL)
		o->part->flags |= MIME_F_NUL;
	if (o->boundary.len == 0 || o->in_header || (o->part->flags & MIME_F_PREAMBLE) != 0)
		return;
	for (size_t i = 0; i < line.len; i++)
		if (!is_blank(line.ptr[i])) {
			o->part->flags |= MIME_F_PREAMBLE;
			break;
		}
}

static int
take_line(struct parser *ps, uint64_t off, struct slice line)
{
	struct open_part *o = &ps->stack[ps->n - 1];
	bool lf = line.ptr[line.len - 1] == '\n';

	if (line.len >= 3 && line.ptr[0] == '-' && line.ptr[1] == '-') {
		bool close = false, taken;
		ptrdiff_t k = find_delimiter(ps, line, &close);

		if (k >= 0) {
			int r = delimiter(ps, (size_t)k, close, off, off + line.len, &taken);

			if (r != 0 || taken)
				return r;
		}
	}
	note_line(ps, line);
	if (o->in_header && lf && (line.len == 1 || (line.len == 2 && line.ptr[0] == '\r')))
		return begin_body(ps, off + line.len, ps->lf + 1);
	return 0;
}

/* Octets of lines that are nothing but the top part's body, from off on, where a line begins: none of them can be a delimiter or end a header. What they are
 * noted for is what note_line notes. Gives where the first line begins that is not among them. */
static uint64_t
skip_plain(struct parser *ps, uint64_t off)
{
	struct open_part *o = &ps->stack[ps->n - 1];
	const unsigned char *p = ps->whole.ptr;
	uint64_t at = off, cr_before = 0, line = off;

	if (o->in_header || ps->has_nul ||
	    (o->boundary.len > 0 && (o->part->flags & MIME_F_PREAMBLE) == 0))
		return off;
	if (ps->whole.len - off < LOOK || (p[off] == '-' && p[off + 1] == '-'))
		return off;
	/* two octets behind the sixty-four are looked at */
	for (; ps->whole.len - at >= LOOK; at += 64) {
		uint64_t lf = octets64_eq(p + at, '\n'), cr = octets64_eq(p + at, '\r'), left = lf;
		uint64_t lone = (cr << 1 | cr_before) ^ lf;

		for (; left != 0; left &= left - 1) {
			uint64_t i = (uint64_t)__builtin_ctzll(left);

			line = at + i + 1;
			ps->lf++;
			if (p[line] == '-' && p[line + 1] == '-') {
				uint64_t upto = left ^ (left - 1);

				if ((lone & upto) != 0)
					o->part->flags |= MIME_F_BARE_LF;
				return line;
			}
		}
		if (lone != 0)
			o->part->flags |= MIME_F_BARE_LF;
		cr_before = cr >> 63;
	}
	return line;
}

static int
run(struct parser *ps)
{
	uint64_t off = 0;
	int r = push(ps, 0);

	while (r == 0 && off < ps->whole.len) {
		struct slice line;
		const unsigned char *lf;

		off = skip_plain(ps, off);
		line = slice_from(ps->whole, off);
		lf = memchr(line.ptr, '\n', line.len);
		if (lf != NULL)
			line.len = (size_t)(lf - line.ptr) + 1;
		r = take_line(ps, off, line);
		off += line.len;
		ps->lf += lf != NULL;
	}
	return r != 0 ? r : pop_to(ps, 0, ps->whole.len, false);
}

int
mime_parse(
    struct slice whole, const struct mime_limits *lim, struct arena *a, struct mime_part **root_out)
{
	struct parser *ps = arena_alloc(a, sizeof(*ps));
	int r;

	if (ps == NULL)
		return ERR_NOMEM;
	ps->whole = whole;
	ps->lim = lim != NULL ? lim : &mime_limits_default;
	ps->a = a;
	ps->max_n = ps->lim->depth < STACK_MAX ? ps->lim->depth : STACK_MAX - 1;
	ps->has_nul = whole.len > 0 && memchr(whole.ptr, '\0', whole.len) != NULL;
	r = run(ps);
	if (r == 0)
		*root_out = ps->root;
	return r;
}

/* The part that number n means inside what root is the body of. */
static const struct mime_part *
nth(const struct mime_part *root, uint32_t n)
{
	const struct mime_part *p;

	if (!type_is(root, "multipart", NULL))
		return n == 1 ? root : NULL;
	for (p = root->child; p != NULL && n > 1; p = p->next)
		n--;
	return n == 1 ? p : NULL;
}

const struct mime_part *
mime_find(const struct mime_part *root, const uint32_t *path, size_t n)
{
	const struct mime_part *p = root, *body = root;

	for (size_t i = 0; i < n; i++) {
		p = body == NULL ? NULL : nth(body, path[i]);
		if (p == NULL)
			return NULL;
		/* RFC 3501 6.4.5: a message's number goes on with the parts of its body. */
		body = is_message(p) ? p->child : type_is(p, "multipart", NULL) ? p : NULL;
	}
	return p;
}
