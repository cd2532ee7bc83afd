/* composite.c: manifests of composite bodies, and which parts of a message are worth keeping apart. Pure. Runs in stored. */
#include "store/composite.h"

#include "lib/err.h"
#include "lib/mime.h"
#include "store/sig.h"

enum {
	VERSION = 1,
	HEAD = 4 + 1 + 2, /* octets of the manifest, version, number of pieces */
	LITERAL_LEN = 9,
	RAW_LEN = 25,
	BASE64_LEN = 30,
	TREE_MEM = 16 << 20,
};
#define LEN_MAX ((uint64_t)1 << 40)

int
manifest_encode(const struct piece *pieces, size_t n, struct buf *out)
{
	size_t len = HEAD;

	for (size_t i = 0; i < n; i++)
		len += pieces[i].kind == PIECE_LITERAL ? LITERAL_LEN
		       : pieces[i].kind == PIECE_RAW   ? RAW_LEN
						       : BASE64_LEN;
	buf_append_u32(out, (uint32_t)len);
	buf_append_byte(out, VERSION);
	buf_append_u16(out, (uint16_t)n);
	for (size_t i = 0; i < n; i++) {
		const struct piece *p = &pieces[i];

		buf_append_byte(out, (unsigned char)p->kind);
		buf_append_u64(out, p->len);
		if (p->kind == PIECE_LITERAL)
			continue;
		buf_append_u64(out, p->body);
		buf_append_u64(out, p->size);
		if (p->kind == PIECE_RAW)
			continue;
		buf_append_u32(out, p->form.line);
		buf_append_byte(out, p->form.eol);
	}
	return out->err;
}

static uint64_t
take(struct slice *s, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n && i < s->len; i++)
		v = v << 8 | s->ptr[i];
	*s = slice_from(*s, n);
	return v;
}

static int
piece_decode(struct slice *s, struct piece *p)
{
	unsigned kind = s->len == 0 ? 99 : s->ptr[0];
	size_t need = kind == PIECE_LITERAL  ? LITERAL_LEN
		      : kind == PIECE_RAW    ? RAW_LEN
		      : kind == PIECE_BASE64 ? BASE64_LEN
					     : SIZE_MAX;

	if (s->len < need)
		return ERR_CORRUPT;
	*p = (struct piece){.kind = (enum piece_kind)take(s, 1)};
	p->len = take(s, 8);
	if (p->len == 0 || p->len > LEN_MAX)
		return ERR_CORRUPT;
	if (p->kind == PIECE_LITERAL)
		return 0;
	p->body = take(s, 8);
	p->size = take(s, 8);
	if (p->body == 0 || p->size > LEN_MAX)
		return ERR_CORRUPT;
	if (p->kind == PIECE_RAW)
		return p->size == p->len ? 0 : ERR_CORRUPT;
	p->form.line = (uint32_t)take(s, 4);
	p->form.eol = (uint8_t)take(s, 1);
	return b64_form_ok(&p->form) && b64_lines_len(&p->form, p->size) == p->len ? 0
										   : ERR_CORRUPT;
}

int
manifest_decode(struct slice begin, uint64_t size, uint64_t content, struct piece *pieces,
    size_t *n_out, uint64_t *literals_out)
{
	struct slice s = begin;
	uint64_t len = take(&s, 4), total = 0, literal = 0, n;
	unsigned version = (unsigned)take(&s, 1);

	n = take(&s, 2);
	if (begin.len < HEAD || len < HEAD || len > begin.len || version != VERSION ||
	    n > COMPOSITE_PIECES_MAX)
		return ERR_CORRUPT;
	s = slice_sub(begin, HEAD, (size_t)len - HEAD);
	for (uint64_t i = 0; i < n; i++) {
		if (piece_decode(&s, &pieces[i]) != 0)
			return ERR_CORRUPT;
		total += pieces[i].len;
		if (pieces[i].kind == PIECE_LITERAL)
			literal += pieces[i].len;
	}
	if (s.len > 0 || total != size || len + literal != content)
		return ERR_CORRUPT;
	*n_out = (size_t)n;
	*literals_out = len;
	return 0;
}

struct finding {
	struct candidate *out;
	size_t n, max;
	uint64_t from, size; /* what is left of the message */
};

static void
look_at(struct finding *f, const struct mime_part *p)
{
	if (p->child == NULL && p->body_off >= f->from && p->end_off <= f->size &&
	    p->end_off >= p->body_off && p->end_off - p->body_off >= COMPOSITE_PART_MIN &&
	    f->n < f->max) {
		f->out[f->n++] =
		    (struct candidate){p->body_off, p->end_off - p->body_off, p->cte == CTE_BASE64};
		f->from = p->end_off;
	}
	for (const struct mime_part *c = p->child; c != NULL; c = c->next)
		look_at(f, c);
}

size_t
composite_candidates(struct slice summary, uint64_t size, struct candidate *out, size_t max)
{
	struct finding f = {.out = out, .max = max, .size = size};
	struct arena *a = arena_new(TREE_MEM);
	struct mime_part *root;

	if (a != NULL && mime_tree_decode(summary_tree(summary), a, &root) == 0)
		look_at(&f, root);
	arena_free(a);
	return f.n;
}
