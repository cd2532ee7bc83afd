/* gateway_fuzz.c: any message: what a gateway would sign is ASCII in lines of at most 998 octets ended by CRLF, has a structure of its own that is not ambiguous
 * in a new way, and its parts decode to what they were (text: by its lines). */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "milter/gateway_mime.h"

static void
put(void *arg, struct slice piece)
{
	buf_append_slice(arg, piece);
}

static const struct mime_part *
first_leaf(const struct mime_part *p)
{
	while (p->child != NULL)
		p = p->child;
	return p;
}

static const struct mime_part *
next_leaf(const struct mime_part *p)
{
	while (p != NULL && p->next == NULL)
		p = p->parent;
	return p == NULL ? NULL : first_leaf(p->next);
}

/* The content of a leaf with every line end as LF. */
static void
content(struct slice whole, const struct mime_part *p, struct buf *out)
{
	struct buf raw;

	buf_init(&raw, whole.len + 16);
	mime_decode_body(p->cte,
	    slice_sub(whole, (size_t)p->body_off, (size_t)(p->end_off - p->body_off)), &raw, NULL);
	for (size_t i = 0; i < raw.len; i++) {
		if (raw.data[i] == '\r' && i + 1 < raw.len && raw.data[i + 1] == '\n')
			continue;
		buf_append_byte(out, raw.data[i] == '\r' ? '\n' : raw.data[i]);
	}
	buf_done(&raw);
}

static void
same_leaves(struct slice a_whole, const struct mime_part *a, struct slice b_whole,
    const struct mime_part *b)
{
	struct buf x, y;

	for (a = first_leaf(a), b = first_leaf(b); a != NULL && b != NULL;
	     a = next_leaf(a), b = next_leaf(b)) {
		buf_init(&x, a_whole.len + 16);
		buf_init(&y, b_whole.len + 16);
		content(a_whole, a, &x);
		content(b_whole, b, &y);
		MUST(slice_eq(buf_slice(&x), buf_slice(&y)));
		buf_done(&x);
		buf_done(&y);
	}
	MUST(a == NULL && b == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice whole = slice_of(data, size), entity;
	struct arena *a = arena_new(32u << 20);
	struct mime_part *root, *again;
	const char *why = NULL;
	struct buf out;
	size_t i, line = 0;

	buf_init(&out, 8 * size + (1u << 20));
	if (mime_parse(whole, NULL, a, &root) != 0 ||
	    gateway_refuses(slice_sub(whole, 0, (size_t)root->body_off), root) != NULL)
		goto out;
	if (gateway_entity(whole, root, put, &out, &why) != 0) {
		MUST(why != NULL);
		goto out;
	}
	entity = buf_slice(&out);
	for (i = 0; i < entity.len; i++) {
		bool crlf =
		    entity.ptr[i] == '\r' && i + 1 < entity.len && entity.ptr[i + 1] == '\n';

		MUST(entity.ptr[i] < 0x80 && entity.ptr[i] != 0);
		MUST(crlf || entity.ptr[i] != '\r');
		MUST(entity.ptr[i] != '\n' || (i > 0 && entity.ptr[i - 1] == '\r'));
		line = crlf ? 0 : line + 1;
		MUST(line <= 1000);
	}
	if (mime_parse(entity, NULL, a, &again) == 0)
		same_leaves(whole, root, entity, again);
out:
	buf_done(&out);
	arena_free(a);
	return 0;
}
