/* mime_tree.c: the MIME tree as bytes, for the summary that ingest writes and imapd reads. Pure.
 *
 * Version byte, then the parts in preorder: numbers as LEB128, strings as length + 1 (0: none) and bytes. Decoding trusts
 * nothing: offsets must nest, counts must fit in what is left, depth is bounded. */
#include "lib/mime.h"

#include <string.h>

#include "lib/err.h"

enum { DEPTH_MAX = 256, CHILDREN_MAX = 100000, PARAMS_MAX = 64 };

static void
put_num(uint64_t v, struct buf *out)
{
	while (v >= 0x80) {
		buf_append_byte(out, (unsigned char)(v | 0x80));
		v >>= 7;
	}
	buf_append_byte(out, (unsigned char)v);
}

static void
put_str(struct slice s, struct buf *out)
{
	put_num(s.ptr == NULL ? 0 : (uint64_t)s.len + 1, out);
	if (s.ptr != NULL)
		buf_append_slice(out, s);
}

static void
put_params(const struct hdr_param *p, struct buf *out)
{
	uint64_t n = 0;

	for (const struct hdr_param *q = p; q != NULL; q = q->next)
		n++;
	put_num(n, out);
	for (; p != NULL; p = p->next) {
		put_str(p->name, out);
		put_str(p->value, out);
	}
}

static int
put_part(const struct mime_part *p, struct buf *out)
{
	put_num(p->hdr_off, out);
	put_num(p->body_off - p->hdr_off, out);
	put_num(p->end_off - p->body_off, out);
	put_num(p->body_lines, out);
	put_num(p->flags, out);
	put_num((uint64_t)p->cte, out);
	put_str(p->type, out);
	put_str(p->subtype, out);
	put_params(p->params, out);
	put_str(p->disposition, out);
	put_params(p->disp_params, out);
	put_str(p->id, out);
	put_str(p->description, out);
	put_str(p->md5, out);
	put_str(p->language, out);
	put_str(p->location, out);
	put_str(p->cte_raw, out);
	put_num(p->n_children, out);
	for (const struct mime_part *c = p->child; c != NULL && out->err == 0; c = c->next)
		put_part(c, out);
	return out->err;
}

int
mime_tree_encode(const struct mime_part *root, struct buf *out)
{
	buf_append_byte(out, MIME_TREE_VERSION);
	return put_part(root, out);
}

struct tree_reader {
	struct slice rest;
	struct arena *a;
	int err; /* latched */
};

static uint64_t
get_num(struct tree_reader *r, uint64_t max)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 63 && r->rest.len > 0; shift += 7) {
		unsigned char c = r->rest.ptr[0];

		r->rest = slice_from(r->rest, 1);
		v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80 && v <= max)
			return v;
		if (c < 0x80)
			break;
	}
	if (r->err == 0)
		r->err = ERR_CORRUPT;
	return 0;
}

static struct slice
get_str(struct tree_reader *r)
{
	uint64_t n = get_num(r, (uint64_t)r->rest.len + 1);
	struct slice s = {0};

	if (r->err != 0 || n == 0)
		return s;
	if (n - 1 > r->rest.len) {
		r->err = ERR_CORRUPT;
		return s;
	}
	s = arena_slice(r->a, slice_sub(r->rest, 0, (size_t)n - 1));
	if (s.ptr == NULL)
		r->err = ERR_NOMEM;
	r->rest = slice_from(r->rest, (size_t)n - 1);
	return s;
}

static struct slice
get_needed_str(struct tree_reader *r)
{
	struct slice s = get_str(r);

	if (s.ptr == NULL && r->err == 0)
		r->err = ERR_CORRUPT;
	return s;
}

static struct hdr_param *
get_params(struct tree_reader *r)
{
	uint64_t n = get_num(r, PARAMS_MAX);
	struct hdr_param *head = NULL, **tail = &head;

	for (; n > 0 && r->err == 0; n--) {
		struct hdr_param *p = arena_alloc(r->a, sizeof(*p));

		if (p == NULL) {
			r->err = ERR_NOMEM;
			break;
		}
		p->name = get_needed_str(r);
		p->value = get_needed_str(r);
		*tail = p;
		tail = &p->next;
	}
	return head;
}

/* from and to: where the part must lie. */
static struct mime_part *
get_part(
    struct tree_reader *r, struct mime_part *parent, uint64_t from, uint64_t to, unsigned depth)
{
	struct mime_part *p = arena_alloc(r->a, sizeof(*p)), **tail;

	if (p == NULL || depth > DEPTH_MAX) {
		r->err = p == NULL ? ERR_NOMEM : ERR_CORRUPT;
		return NULL;
	}
	p->parent = parent;
	p->hdr_off = get_num(r, to);
	p->body_off = p->hdr_off + get_num(r, to - p->hdr_off);
	p->end_off = p->body_off + get_num(r, to - p->body_off);
	p->body_lines = (uint32_t)get_num(r, UINT32_MAX);
	p->flags = (uint32_t)get_num(r, UINT32_MAX);
	p->cte = (enum mime_cte)get_num(r, CTE_OTHER);
	p->type = get_needed_str(r);
	p->subtype = get_needed_str(r);
	p->params = get_params(r);
	p->disposition = get_str(r);
	p->disp_params = get_params(r);
	p->id = get_str(r);
	p->description = get_str(r);
	p->md5 = get_str(r);
	p->language = get_str(r);
	p->location = get_str(r);
	p->cte_raw = get_str(r);
	p->n_children = (uint32_t)get_num(r, CHILDREN_MAX);
	if (r->err == 0 && p->hdr_off < from)
		r->err = ERR_CORRUPT;
	from = p->body_off;
	tail = &p->child;
	for (uint32_t i = 0; i < p->n_children && r->err == 0; i++) {
		*tail = get_part(r, p, from, p->end_off, depth + 1);
		if (*tail == NULL)
			break;
		from = (*tail)->end_off;
		tail = &(*tail)->next;
	}
	return p;
}

int
mime_tree_decode(struct slice s, struct arena *a, struct mime_part **root_out)
{
	struct tree_reader r = {.rest = slice_from(s, 1), .a = a};
	struct mime_part *root;

	if (s.len == 0 || s.ptr[0] != MIME_TREE_VERSION)
		return ERR_CORRUPT;
	root = get_part(&r, NULL, 0, INT64_MAX, 0);
	if (r.err == 0 && r.rest.len > 0)
		r.err = ERR_CORRUPT;
	if (r.err == 0)
		*root_out = root;
	return r.err;
}
