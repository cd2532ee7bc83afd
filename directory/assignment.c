/* assignment.c: assignment.h. Runs in lookup's workers and in congvu, which have to agree on who holds a post today. */
#include "config.h"

#include "directory/assignment.h"

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

/* n digits off the front of v. */
static bool
digits_take(struct slice *v, size_t n, int *out)
{
	int sum = 0;

	if (v->len < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (v->ptr[i] < '0' || v->ptr[i] > '9')
			return false;
		sum = sum * 10 + (v->ptr[i] - '0');
	}
	*v = slice_from(*v, n);
	*out = sum;
	return true;
}

/* The end of a GeneralizedTime, in seconds: a fraction, and "Z" or "+0700". */
static bool
zone_take(struct slice v, int *zone_out)
{
	int hours = 0, minutes = 0, sign = 1, ignored;

	if (v.len > 1 && (v.ptr[0] == '.' || v.ptr[0] == ',')) {
		v = slice_from(v, 1);
		if (!digits_take(&v, 1, &ignored))
			return false;
		while (digits_take(&v, 1, &ignored))
			;
	}
	if (slice_eq_str(v, "Z")) {
		*zone_out = 0;
		return true;
	}
	if (v.len == 0 || (v.ptr[0] != '+' && v.ptr[0] != '-'))
		return false;
	sign = v.ptr[0] == '-' ? -1 : 1;
	v = slice_from(v, 1);
	if (!digits_take(&v, 2, &hours) || (v.len > 0 && !digits_take(&v, 2, &minutes)) ||
	    v.len > 0 || hours > 23 || minutes > 59)
		return false;
	*zone_out = sign * (hours * 3600 + minutes * 60);
	return true;
}

/* RFC 4517 3.3.13, or a day alone. */
static bool
date_parse(struct slice v, int64_t *out)
{
	static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int year, month, day, hour = 0, minute = 0, second = 0, zone = 0;
	struct tm tm = {.tm_isdst = -1};
	bool leap;

	if (!digits_take(&v, 4, &year) || !digits_take(&v, 2, &month) || !digits_take(&v, 2, &day))
		return false;
	leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	if (month < 1 || month > 12 || day < 1 || day > days[month - 1] + (month == 2 && leap))
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	if (v.len == 0) {
		*out = mktime(&tm);
		return true;
	}
	if (!digits_take(&v, 2, &hour))
		return false;
	if (digits_take(&v, 2, &minute))
		(void)digits_take(&v, 2, &second);
	if (hour > 23 || minute > 59 || second > 60 || !zone_take(v, &zone))
		return false;
	tm.tm_isdst = 0;
	tm.tm_hour = hour;
	tm.tm_min = minute;
	tm.tm_sec = second;
	*out = timegm(&tm) - zone;
	return true;
}

int64_t
assignment_time(struct slice v)
{
	int64_t t;

	return date_parse(v, &t) ? t : 0;
}

bool
assignment_is_date(struct slice v)
{
	int64_t ignored;

	return date_parse(v, &ignored);
}

bool
assignment_bounds(struct slice from, struct slice to, int64_t *from_out, int64_t *until_out)
{
	int64_t begins = 0, ends = 0;
	bool known =
	    (from.len == 0 || date_parse(from, &begins)) && (to.len == 0 || date_parse(to, &ends));

	/* a time before 1970 is one all the same, and 0 is none */
	*from_out = known && begins > 0 ? begins : 0;
	*until_out = !known || (to.len > 0 && ends < 1) ? 1 : ends;
	return known;
}

enum assignment_when
assignment_when(struct slice from, struct slice to, int64_t now)
{
	int64_t begins, ends;

	(void)assignment_bounds(from, to, &begins, &ends);
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
	int64_t from, until;

	return assignment_bounds(a->from, a->to, &from, &until);
}

int64_t
address_given_up(const struct dir_attr *history, struct slice address, int64_t mistyped)
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
		to = slice_trim(second < 0 ? to : slice_sub(to, 0, (size_t)second));
		if (to.len == 0)
			at = INT64_MAX;
		else if (!date_parse(to, &at) || at < 0)
			at = mistyped;
		last = at > last ? at : last;
	}
	return last;
}
