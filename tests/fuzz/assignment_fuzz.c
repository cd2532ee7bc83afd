/* assignment_fuzz.c: values of vnAssignment and of the attribute that says what may be signed, as anybody who writes the directory may have left them: what is
 * cut out of a value stands in it, and what counts is bounded. */
#include "tests/fuzz/fuzz.h"

#include "directory/assignment.h"
#include "directory/people.h"
#include "directory/people_priv.h"

#include <stdlib.h>
#include <string.h>

enum { VALUES = 64 };

static void
is_within(struct slice part, struct slice v)
{
	MUST(part.len == 0 || (part.ptr >= v.ptr && part.ptr + part.len <= v.ptr + v.len));
}

/* What is no date bounds nothing but "never". */
static void
days(struct slice from, struct slice to)
{
	int64_t begins, ends;
	bool known = assignment_bounds(from, to, &begins, &ends);

	MUST(known == ((from.len == 0 || assignment_is_date(from)) &&
			  (to.len == 0 || assignment_is_date(to))));
	MUST(known || (ends == 1 && assignment_when(from, to, 1795000000) == ASSIGNMENT_OVER));
	MUST((to.len == 0 || ends != 0) && begins >= 0);
}

static void
one(struct slice v)
{
	struct assignment a;
	struct authority may;

	assignment_split(v, &a);
	is_within(a.kind, v);
	is_within(a.agency, v);
	is_within(a.post, v);
	is_within(a.from, v);
	is_within(a.to, v);
	is_within(a.decision, v);
	MUST(slice_index(a.kind, ';') < 0 && slice_index(a.to, ';') < 0);
	days(a.from, a.to);
	days(v, a.to);
	authority_split(v, &may);
	is_within(may.named, v);
	is_within(may.from, v);
	is_within(may.to, v);
	(void)authority_has_dates(&may);
}

/* A value a line. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice values[VALUES], rest = slice_of(data, size);
	struct dir_attr attr = {.values = values};
	struct strings may = {0};
	size_t n = 0;

	while (n < VALUES && rest.len > 0) {
		ptrdiff_t lf = slice_index(rest, '\n');
		/* of its own, as the directory's are: an overrun is seen */
		char *copy = slice_dup(slice_sub(rest, 0, lf < 0 ? rest.len : (size_t)lf));

		MUST(copy != NULL);
		values[n++] = slice_of(copy, lf < 0 ? rest.len : (size_t)lf);
		rest = slice_from(rest, lf < 0 ? rest.len : (size_t)lf + 1);
		one(values[n - 1]);
	}
	attr.n_values = n;
	people_authorities_add(&attr, &may);
	MUST(may.n <= n && may.n <= PEOPLE_AUTHORITIES_MAX);
	for (size_t i = 0; i < may.n; i++)
		free(may.v[i]);
	free(may.v);
	(void)address_given_up(&attr, slice_str("a@b.example"), 7);
	while (n > 0) {
		union {
			const unsigned char *in;
			void *out;
		} p = {.in = values[--n].ptr};

		free(p.out);
	}
	return 0;
}
