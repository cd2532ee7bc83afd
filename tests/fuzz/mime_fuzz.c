/* mime_fuzz.c: the tree of any bytes nests, codes and decodes to itself, and its IMAP texts are well-formed ASCII lists. */
#include "tests/fuzz/fuzz.h"

#include "lib/mime.h"

static void
check_part(const struct mime_part *p, uint64_t from, uint64_t to, unsigned depth)
{
	uint32_t n = 0;
	uint64_t at = p->body_off;

	MUST(depth < 40);
	MUST(from <= p->hdr_off && p->hdr_off <= p->body_off && p->body_off <= p->end_off &&
	     p->end_off <= to);
	for (const struct mime_part *c = p->child; c != NULL; c = c->next) {
		MUST(c->parent == p);
		check_part(c, at, p->end_off, depth + 1);
		at = c->end_off;
		n++;
	}
	MUST(n == p->n_children);
}

/* Balanced parentheses outside of quotes, nothing beyond printable ASCII. */
static void
check_list(const struct buf *b)
{
	bool quoted = false;
	int depth = 0;

	MUST(b->len > 2 && b->data[0] == '(');
	for (size_t i = 0; i < b->len; i++) {
		unsigned char c = b->data[i];

		MUST(c < 0x80 && c != '\r' && c != '\n' && c != '\0');
		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted)
			depth += (c == '(') - (c == ')');
		MUST(depth > 0 || i + 1 == b->len);
	}
	MUST(depth == 0 && !quoted);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mime_limits lim = {.depth = 32, .parts = 200, .header_max = 100000};
	static struct arena *a;
	struct slice s = slice_of(data, size);
	struct mime_part *root, *back;
	struct buf b, c;
	bool clean;

	if (a == NULL)
		a = arena_new(1 << 27);
	arena_reset(a);
	buf_init(&b, 1 << 26);
	buf_init(&c, 1 << 26);
	MUST(mime_parse(s, &lim, a, &root) == 0);
	check_part(root, 0, size, 0);
	MUST(root->end_off == size);
	MUST(mime_tree_encode(root, &b) == 0);
	MUST(mime_tree_decode(buf_slice(&b), a, &back) == 0);
	MUST(mime_tree_encode(back, &c) == 0 && slice_eq(buf_slice(&b), buf_slice(&c)));
	buf_reset(&b);
	MUST(mime_bodystructure(root, s, true, false, &b) == 0);
	check_list(&b);
	buf_reset(&b);
	MUST(mime_envelope(s, false, &b) == 0);
	check_list(&b);
	buf_reset(&b);
	MUST(mime_bodystructure(root, s, false, true, &b) == 0);
	buf_reset(&b);
	for (enum mime_cte cte = CTE_7BIT; cte <= CTE_OTHER; cte++)
		MUST(mime_decode_body(cte, s, &b, &clean) == 0);
	buf_done(&b);
	buf_done(&c);
	return 0;
}
