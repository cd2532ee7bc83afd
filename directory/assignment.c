/* assignment.c: assignment.h. Runs in lookup's workers and in congvu, which have to agree on who holds a post today. */
#include "config.h"

#include "directory/assignment.h"

#include "directory/ppolicy.h"
#include "lib/addr.h"

#include <time.h>

void
assignment_split(struct slice v, struct assignment *out)
{
	struct slice *const fields[] = {
	    &out->kind, &out->agency, &out->post, &out->from, &out->to, &out->decision};
	enum { N = sizeof(fields) / sizeof(fields[0]) };

	for (int i = 0; i < N; i++) {
		ptrdiff_t end = v.ptr == NULL || i == N - 1 ? -1 : slice_index(v, ';');

		if (v.ptr == NULL)
			*fields[i] = slice_of(NULL, 0);
		else
			*fields[i] = slice_trim(end < 0 ? v : slice_sub(v, 0, (size_t)end));
		v = end < 0 ? slice_of(NULL, 0) : slice_from(v, (size_t)end + 1);
	}
}

int64_t
assignment_time(struct slice v)
{
	struct tm tm = {.tm_isdst = -1};
	int field[3] = {0};

	if (v.len != 8)
		return ppolicy_time(v);
	for (size_t i = 0; i < 8; i++) {
		int *f = &field[i < 4 ? 0 : i < 6 ? 1 : 2];

		if (v.ptr[i] < '0' || v.ptr[i] > '9')
			return 0;
		*f = *f * 10 + (v.ptr[i] - '0');
	}
	if (field[1] < 1 || field[1] > 12 || field[2] < 1 || field[2] > 31)
		return 0;
	tm.tm_year = field[0] - 1900;
	tm.tm_mon = field[1] - 1;
	tm.tm_mday = field[2];
	return mktime(&tm);
}

bool
assignment_is_date(struct slice v)
{
	static const int width[6] = {4, 2, 2, 2, 2, 2};
	static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int f[6] = {0};
	size_t at = 0;

	if (v.len != 8 && !(v.len == 15 && v.ptr[14] == 'Z'))
		return false;
	for (int i = 0; i < (v.len == 8 ? 3 : 6); i++)
		for (int k = 0; k < width[i]; k++, at++) {
			if (v.ptr[at] < '0' || v.ptr[at] > '9')
				return false;
			f[i] = f[i] * 10 + (v.ptr[at] - '0');
		}
	if (f[1] < 1 || f[1] > 12 || f[2] < 1 || f[3] > 23 || f[4] > 59 || f[5] > 60)
		return false;
	if (f[1] == 2 && f[2] == 29)
		return f[0] % 4 == 0 && (f[0] % 100 != 0 || f[0] % 400 == 0);
	return f[2] <= days[f[1] - 1];
}

enum assignment_when
assignment_when(struct slice from, struct slice to, int64_t now)
{
	int64_t begins = assignment_time(from), ends = assignment_time(to);

	if (ends != 0 && (ends <= now || ends <= begins))
		return ASSIGNMENT_OVER;
	return begins > now ? ASSIGNMENT_LATER : ASSIGNMENT_NOW;
}

void
authority_split(struct slice v, struct authority *out)
{
	struct slice f[4] = {{NULL, 0}}, rest = v;
	size_t n = 0;

	for (; n < 4 && rest.ptr != NULL; n++) {
		ptrdiff_t at = slice_index(rest, ';');

		f[n] = slice_trim(at < 0 ? rest : slice_sub(rest, 0, (size_t)at));
		rest = at < 0 ? slice_of(NULL, 0) : slice_from(rest, (size_t)at + 1);
	}
	out->named = n < 2 ? v : slice_sub(v, 0, (size_t)(f[1].ptr + f[1].len - v.ptr));
	out->from = f[2];
	out->to = f[3];
}

bool
authority_has_dates(const struct authority *a)
{
	return (a->from.len == 0 || assignment_is_date(a->from)) &&
	       (a->to.len == 0 || assignment_is_date(a->to));
}

int64_t
address_given_up(const struct dir_attr *history, struct slice address)
{
	int64_t last = -1;

	for (size_t i = 0; history != NULL && i < history->n_values; i++) {
		struct slice v = history->values[i], to = {NULL, 0};
		ptrdiff_t first = slice_index(v, ';'), second = -1;
		int64_t at;

		if (first >= 0) {
			to = slice_from(v, (size_t)first + 1);
			v.len = (size_t)first;
			second = slice_index(to, ';');
		}
		if (!addr_same(slice_trim(v), address))
			continue;
		to = second < 0 ? slice_of(NULL, 0) : slice_from(to, (size_t)second + 1);
		/* a remark may follow */
		second = slice_index(to, ';');
		at =
		    assignment_time(slice_trim(second < 0 ? to : slice_sub(to, 0, (size_t)second)));
		if (at <= 0)
			at = INT64_MAX;
		last = at > last ? at : last;
	}
	return last;
}
