/* assignment_test.c: who is where for which days, out of the text that stands in the directory. */
#include "config.h"

#include "directory/assignment.h"

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <time.h>

static void
assert_field(struct slice got, const char *want)
{
	char *text = slice_dup(got);

	assert_non_null(text);
	assert_string_equal(text, want);
	free(text);
}

static void
test_fields(void **state)
{
	struct assignment a;

	(void)state;
	assignment_split(
	    slice_str("concurrent; H9.1 ;H9.1-gd;20200101;20990101000000Z;1/QĐ; 2/QĐ"), &a);
	assert_field(a.kind, "concurrent");
	assert_field(a.agency, "H9.1");
	assert_field(a.post, "H9.1-gd");
	assert_field(a.from, "20200101");
	assert_field(a.to, "20990101000000Z");
	assert_field(a.decision, "1/QĐ; 2/QĐ");
	/* an empty field is there, a missing one is not */
	assignment_split(slice_str("primary;H9.1;;20200101"), &a);
	assert_non_null(a.post.ptr);
	assert_int_equal(a.post.len, 0);
	assert_field(a.from, "20200101");
	assert_null(a.to.ptr);
	assert_null(a.decision.ptr);
	assignment_split(slice_str(""), &a);
	assert_non_null(a.kind.ptr);
	assert_int_equal(a.kind.len, 0);
	assert_null(a.agency.ptr);
	assignment_split(slice_of(NULL, 0), &a);
	assert_null(a.kind.ptr);
	assignment_split(slice_str(";;;;;;;;"), &a);
	assert_int_equal(a.to.len, 0);
	assert_field(a.decision, ";;;");
}

static enum assignment_when
when(const char *from, const char *to, int64_t now)
{
	return assignment_when(slice_str(from), slice_str(to), now);
}

static void
test_days(void **state)
{
	const int64_t now = 1767225600; /* 2026-01-01T00:00:00Z */

	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	assert_int_equal(assignment_time(slice_str("20260101")), now);
	assert_int_equal(assignment_time(slice_str("20260101000000Z")), now);
	assert_int_equal(assignment_time(slice_str("2026010")), 0);
	assert_int_equal(assignment_time(slice_str("20261301")), 0);
	assert_int_equal(assignment_time(slice_str("2026010x")), 0);
	assert_int_equal(assignment_time(slice_str("hôm qua")), 0);
	assert_int_equal(when("", "", now), ASSIGNMENT_NOW);
	assert_int_equal(when("20260101", "", now), ASSIGNMENT_NOW);
	assert_int_equal(when("20260102", "", now), ASSIGNMENT_LATER);
	assert_int_equal(when("20250101", "20260102", now), ASSIGNMENT_NOW);
	/* the end is the first moment of the day at which it holds no more */
	assert_int_equal(when("20250101", "20260101", now), ASSIGNMENT_OVER);
	assert_int_equal(when("20260301", "20260201", now), ASSIGNMENT_OVER);
	/* a day is a day here */
	setenv("TZ", "Asia/Ho_Chi_Minh", 1);
	tzset();
	assert_int_equal(assignment_time(slice_str("20260101")), now - 7 * 3600);
}

static void
bounded(const char *from, const char *to, bool known, int64_t begins, int64_t ends)
{
	int64_t f = -1, t = -1;

	assert_int_equal(assignment_bounds(slice_str(from), slice_str(to), &f, &t), known);
	assert_int_equal(f, begins);
	assert_int_equal(t, ends);
}

/* A day that is none is no open end: what has it is over. */
static void
test_mistyped(void **state)
{
	static const char *const bad[] = {"20261331", "20260230", "2026123", "202612311",
	    "31/12/2026", "hôm qua", " 20261231", "20261231 ", "20261231000000", "2026-12-31",
	    "20261231240000Z", "20261231T00Z", "20261231000000+25", "20261231000000.Z",
	    "20261231000000Zx", "99999999999999999999Z", "-0261231", "20261231000000+0", "0", "Z"};
	const int64_t now = 1767225600; /* 2026-01-01T00:00:00Z */

	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(when("", bad[i], now), ASSIGNMENT_OVER);
		assert_int_equal(when(bad[i], "", now), ASSIGNMENT_OVER);
		assert_int_equal(when("20200101", bad[i], now), ASSIGNMENT_OVER);
		bounded("", bad[i], false, 0, 1);
		bounded(bad[i], "20270101", false, 0, 1);
	}
	assert_int_equal(
	    assignment_when(slice_str(""), slice_of("20270101\0", 9), now), ASSIGNMENT_OVER);
	/* what other servers write (RFC 4517 3.3.13), and days long past, are dates */
	bounded("", "", true, 0, 0);
	bounded("20260101", "20260102", true, now, now + 86400);
	bounded("20260101000000.0Z", "20260101000030,123Z", true, now, now + 30);
	bounded("20260101070000+0700", "202601010000Z", true, now, now);
	bounded("2026010100Z", "20251231200000-0430", true, now, now + 1800);
	bounded("19500101", "19700101", true, 0, 1);
	assert_int_equal(when("19500101", "", now), ASSIGNMENT_NOW);
	assert_int_equal(when("", "19500101", now), ASSIGNMENT_OVER);
}

static bool
is_date(const char *v)
{
	return assignment_is_date(slice_str(v));
}

static bool
has_dates(const char *v, const char *named)
{
	struct authority a;

	authority_split(slice_str(v), &a);
	assert_field(a.named, named);
	return authority_has_dates(&a);
}

static void
test_authority(void **state)
{
	(void)state;
	assert_true(is_date("20261231") && is_date("20240229") && is_date("20000229"));
	assert_true(is_date("20261231235959Z"));
	assert_false(is_date("20261331") || is_date("20260001") || is_date("20260100"));
	assert_false(is_date("20260229") || is_date("21000229") || is_date("20260431"));
	assert_false(is_date("") || is_date("2026123") || is_date("31/12/26") || is_date("2026"));
	assert_false(is_date("20261231240000Z") || is_date("20261331000000Z"));
	assert_false(is_date("20261231235959") || is_date("20261231235959z"));
	assert_true(has_dates("QĐ", "QĐ"));
	assert_true(has_dates("QĐ; KT ;20260101; 20261231 ;1/QĐ", "QĐ; KT"));
	assert_true(has_dates("QĐ;KT;;;", "QĐ;KT"));
	assert_true(has_dates("", ""));
	assert_false(has_dates("QĐ;KT;20260101;20261331;1/QĐ", "QĐ;KT"));
	assert_false(has_dates("QĐ;KT;hôm qua;", "QĐ;KT"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fields),
	    cmocka_unit_test(test_days),
	    cmocka_unit_test(test_mistyped),
	    cmocka_unit_test(test_authority),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
