/* seqset.c: sequence sets. Runs in imapd-session; pure. RFC 3501 section 9 (sequence-set), RFC 4315 (uid-set). */
#include "config.h"

#include "imapd/seqset.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

static bool
take_number(struct slice *s, uint32_t *out)
{
	if (s->len > 0 && s->ptr[0] == '*') {
		*s = slice_from(*s, 1);
		*out = SEQSET_STAR;
		return true;
	}
	size_t n = 0;
	while (n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9')
		n++;
	uint64_t v;
	if (n == 0 || s->ptr[0] == '0' || slice_to_u64(slice_sub(*s, 0, n), UINT32_MAX, &v) != 0)
		return false;
	*s = slice_from(*s, n);
	*out = (uint32_t)v;
	return true;
}

int
seqset_parse(struct slice s, struct arena *a, struct seqset *out)
{
	size_t n = 1;
	for (size_t i = 0; i < s.len; i++)
		n += s.ptr[i] == ',';
	if (n > SEQSET_RANGES_MAX)
		return ERR_LIMIT;
	struct seqrange *r = arena_calloc(a, n, sizeof(*r));
	if (r == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!take_number(&s, &r[i].lo))
			return ERR_SYNTAX;
		r[i].hi = r[i].lo;
		if (s.len > 0 && s.ptr[0] == ':') {
			s = slice_from(s, 1);
			if (!take_number(&s, &r[i].hi))
				return ERR_SYNTAX;
		}
		if (i + 1 < n) {
			if (s.len == 0 || s.ptr[0] != ',')
				return ERR_SYNTAX;
			s = slice_from(s, 1);
		}
	}
	if (s.len > 0)
		return ERR_SYNTAX;
	out->r = r;
	out->n = n;
	out->saved = false;
	return 0;
}

static int
by_lo(const void *a, const void *b)
{
	const struct seqrange *x = a, *y = b;
	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

void
seqset_resolve(struct seqset *s, uint32_t max)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++) {
		struct seqrange r = s->r[i];
		bool star = r.lo == SEQSET_STAR || r.hi == SEQSET_STAR;
		if (star && max == 0)
			continue;
		if (r.lo == SEQSET_STAR)
			r.lo = max;
		if (r.hi == SEQSET_STAR)
			r.hi = max;
		if (r.lo > r.hi)
			r = (struct seqrange){r.hi, r.lo};
		/* "9:*" where 5 is the last: the last one, and nothing that is not there */
		if (star && r.hi > max)
			r.hi = max;
		s->r[n++] = r;
	}
	s->n = n;
	if (n == 0)
		return;
	qsort(s->r, n, sizeof(*s->r), by_lo);
	size_t last = 0;
	for (size_t i = 1; i < n; i++) {
		if (s->r[i].lo <= s->r[last].hi || s->r[i].lo - 1 == s->r[last].hi) {
			if (s->r[i].hi > s->r[last].hi)
				s->r[last].hi = s->r[i].hi;
		} else {
			s->r[++last] = s->r[i];
		}
	}
	s->n = last + 1;
}

int
seqset_copy(const struct seqset *s, struct arena *a, struct seqset *out)
{
	struct seqrange *r = arena_calloc(a, s->n + 1, sizeof(*r));
	if (r == NULL)
		return ERR_NOMEM;
	if (s->n > 0)
		memcpy(r, s->r, s->n * sizeof(*r));
	*out = (struct seqset){.r = r, .n = s->n};
	return 0;
}

bool
seqset_has(const struct seqset *s, uint32_t v)
{
	size_t lo = 0, hi = s->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (v < s->r[mid].lo)
			hi = mid;
		else if (v > s->r[mid].hi)
			lo = mid + 1;
		else
			return true;
	}
	return false;
}

int
seqset_format(const uint32_t *v, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n;) {
		size_t j = i;
		while (j + 1 < n && v[j] != UINT32_MAX && v[j + 1] == v[j] + 1)
			j++;
		if (i > 0)
			buf_append_byte(out, ',');
		if (j > i)
			buf_appendf(out, "%u:%u", v[i], v[j]);
		else
			buf_appendf(out, "%u", v[i]);
		i = j + 1;
	}
	return out->err;
}
