/* assignment.c: assignment.h. Runs in lookup's workers and in congvu, which have to agree on who holds a post today. */
#include "config.h"

#include "directory/assignment.h"

#include "directory/ppolicy.h"

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

enum assignment_when
assignment_when(struct slice from, struct slice to, int64_t now)
{
	int64_t begins = assignment_time(from), ends = assignment_time(to);

	if (ends != 0 && (ends <= now || ends <= begins))
		return ASSIGNMENT_OVER;
	return begins > now ? ASSIGNMENT_LATER : ASSIGNMENT_NOW;
}
