/* stored_keywords.c: lists of keywords (RFC 3501 2.3.2): atoms separated by one space, without case, as first spelled. Pure; runs in
 * stored. */
#include "store/stored_priv.h"

#include <string.h>

#include "lib/err.h"

enum { ATOM_MAX = 100, MSG_KEYWORDS_MAX = 64, MSG_OCTETS_MAX = 4096, KNOWN_MAX = 500 };

bool
kw_next(struct slice *rest, struct slice *atom_out)
{
	ptrdiff_t sp;

	while (rest->len > 0 && rest->ptr[0] == ' ')
		*rest = slice_from(*rest, 1);
	if (rest->len == 0)
		return false;
	sp = slice_index(*rest, ' ');
	*atom_out = sp < 0 ? *rest : slice_sub(*rest, 0, (size_t)sp);
	*rest = slice_from(*rest, atom_out->len);
	return true;
}

bool
kw_has(struct slice list, struct slice atom)
{
	struct slice a;

	while (kw_next(&list, &a))
		if (slice_caseeq(a, atom))
			return true;
	return false;
}

static bool
atom_ok(struct slice a)
{
	if (a.len > ATOM_MAX)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (a.ptr[i] <= ' ' || a.ptr[i] == 0x7f ||
		    memchr("(){%*\"\\]", a.ptr[i], 8) != NULL)
			return false;
	return true;
}

static void
add(struct buf *b, struct slice atom)
{
	if (b->len > 0)
		buf_append_byte(b, ' ');
	buf_append_slice(b, atom);
}

static int
finish(struct buf *b, struct arena *a, struct slice *out)
{
	int err = b->err;

	if (err == 0) {
		*out = arena_slice(a, buf_slice(b));
		if (b->len > 0 && out->ptr == NULL)
			err = ERR_NOMEM;
	}
	buf_done(b);
	return err;
}

int
kw_union(struct slice list, struct slice more, size_t max, size_t max_n, struct arena *a,
    struct slice *out)
{
	struct slice atom, rest = list;
	struct buf b;
	size_t n = 0;

	buf_init(&b, max);
	while (kw_next(&rest, &atom)) {
		add(&b, atom);
		n++;
	}
	while (kw_next(&more, &atom))
		if (!kw_has(buf_slice(&b), atom)) {
			add(&b, atom);
			n++;
		}
	if (n > max_n) {
		buf_done(&b);
		return ERR_LIMIT;
	}
	return finish(&b, a, out);
}

int
kw_minus(struct slice list, struct slice without, struct arena *a, struct slice *out)
{
	struct slice atom;
	struct buf b;

	buf_init(&b, KEYWORDS_IN_USE_MAX);
	while (kw_next(&list, &atom))
		if (!kw_has(without, atom))
			add(&b, atom);
	return finish(&b, a, out);
}

int
kw_known(struct slice list, struct slice known, struct arena *a, struct slice *list_out,
    struct slice *known_out)
{
	struct slice atom, rest = list, k, spelled;
	struct buf b;
	int err;

	while (kw_next(&rest, &atom))
		if (!atom_ok(atom))
			return ERR_SYNTAX;
	if ((err = kw_union(known, list, KEYWORDS_IN_USE_MAX, KNOWN_MAX, a, &k)) != 0)
		return err;
	buf_init(&b, MSG_OCTETS_MAX);
	for (rest = k; kw_next(&rest, &spelled);)
		if (kw_has(list, spelled))
			add(&b, spelled);
	if ((err = finish(&b, a, &spelled)) != 0)
		return err;
	if ((err = kw_union(
		 slice_str(""), spelled, MSG_OCTETS_MAX, MSG_KEYWORDS_MAX, a, list_out)) != 0)
		return err;
	*known_out = k;
	return 0;
}
