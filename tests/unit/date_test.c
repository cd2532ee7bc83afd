/* date_test.c: dates of mail: the examples of RFC 5322 and RFC 3501, obsolete forms, borders of the calendar. */
#include "tests/unit/check.h"

#include "lib/date.h"
#include "lib/err.h"

static void
ok5322(const char *s, int64_t want, int want_zone)
{
	int64_t t = 0;
	int zone = 0;

	assert_int_equal(date_rfc5322_parse(slice_str(s), &t, &zone), 0);
	assert_int_equal(t, want);
	assert_int_equal(zone, want_zone);
}

static void
bad5322(const char *s)
{
	int64_t t = 4711;
	int zone = 42;

	assert_int_equal(date_rfc5322_parse(slice_str(s), &t, &zone), ERR_SYNTAX);
	assert_int_equal(t, 4711); /* outputs are touched on success only */
	assert_int_equal(zone, 42);
}

static void
rfc5322_examples(void **state)
{
	(void)state;
	ok5322("Fri, 21 Nov 1997 09:55:06 -0600", 880127706, -360); /* A.1.1 */
	ok5322(" Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n"
	       "               -0330 (Newfoundland Time)",
	    -27723480, -210);                                                       /* A.5 */
	ok5322("21 Nov 97 09:55:06 GMT", 880106106, 0);                             /* A.6.2 */
	ok5322("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880127706, -360); /* A.6.3 */
	ok5322("Sat, 21 Nov 2026 08:00:00 +0700", 1795222800, 420);
	ok5322("1 Jan 1970 00:00 +0000", 0, 0);
	ok5322("31 Dec 2016 23:59:60 UT", 1483228800, 0); /* a leap second is the next second */
}

static void
obsolete_zones_and_years(void **state)
{
	(void)state;
	ok5322("Fri, 21 Nov 1997 09:55:06 CST", 880127706, -360);
	ok5322("Fri, 21 Nov 1997 09:55:06 edt", 880127706 - 7200, -240);
	ok5322("Fri, 21 Nov 1997 09:55:06 Z", 880106106, 0);
	ok5322("Fri, 21 Nov 1997 09:55:06", 880106106, 0);
	ok5322("21 Nov 49 00:00:00 +0000", 2521065600, 0);
	ok5322("21 Nov 50 00:00:00 +0000", -603158400, 0);
	ok5322("21 Nov 126 00:00:00 +0000", 1795219200, 0);
	ok5322("29 Feb 2024 (a (nested) comment \\) ) 12:00:00 +0000", 1709208000, 0);
}

static void
rfc5322_refused(void **state)
{
	static const char *const bad[] = {"", "Fri", "31 Feb 2026 00:00:00 +0000",
	    "29 Feb 2023 00:00:00 +0000", "29 Feb 1900 00:00:00 +0000", "0 Nov 2026 00:00:00 +0000",
	    "21 Nov 2026 24:00:00 +0000", "21 Nov 2026 00:60:00 +0000",
	    "21 Nov 2026 00:00:61 +0000", "21 Foo 2026 00:00:00 +0000",
	    "21 Nov 2026 00:00:00 +0060", "21 Nov 2026 00:00:00 +07",
	    "21 Nov 2026 00:00:00 +0700 x", "2026-11-21 00:00:00", "21 Nov 2026", "(((((",
	    "21 Nov 99999 00:00:00 +0000"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		bad5322(bad[i]);
}

static void
deep_comment(void **state)
{
	struct buf b;
	int64_t t;
	int zone;

	(void)state;
	buf_init(&b, 3000000);
	for (int i = 0; i < 1000000; i++)
		buf_append_byte(&b, '(');
	assert_int_equal(date_rfc5322_parse(buf_slice(&b), &t, &zone), ERR_SYNTAX);
	for (int i = 0; i < 1000000; i++)
		buf_append_byte(&b, ')');
	buf_append_str(&b, "1 Jan 1970 00:00:01 +0000");
	assert_int_equal(date_rfc5322_parse(buf_slice(&b), &t, &zone), 0);
	assert_int_equal(t, 1);
	buf_done(&b);
}

static void
imap_dates(void **state)
{
	int64_t t, day;
	int zone;

	(void)state;
	assert_int_equal(date_imap_parse(slice_str("17-Jul-1996 02:44:25 -0700"), &t, &zone), 0);
	assert_int_equal(t, 837596665);
	assert_int_equal(zone, -420);
	assert_int_equal(date_imap_parse(slice_str(" 1-Feb-1994 21:52:25 +0700"), &t, &zone), 0);
	assert_int_equal(t, 760114345);
	assert_int_equal(
	    date_imap_parse(slice_str("1-Feb-1994 21:52:25 +0700"), &t, &zone), ERR_SYNTAX);
	assert_int_equal(date_imap_parse(slice_str("01-Feb-1994 21:52:25"), &t, &zone), ERR_SYNTAX);
	assert_int_equal(
	    date_imap_parse(slice_str("01-Feb-1994 21:52:25 +0700x"), &t, &zone), ERR_SYNTAX);
	assert_int_equal(date_imap_day_parse(slice_str("1-Feb-1994"), &day), 0);
	assert_int_equal(day, 8797);
	assert_int_equal(date_imap_day_parse(slice_str("21-nov-2026"), &day), 0);
	assert_int_equal(day, 20778);
	assert_int_equal(date_imap_day_parse(slice_str("31-Dec-1969"), &day), 0);
	assert_int_equal(day, -1);
	assert_int_equal(date_imap_day_parse(slice_str("31-Nov-2026"), &day), ERR_SYNTAX);
	assert_int_equal(date_imap_day_parse(slice_str("1-Feb-94"), &day), ERR_SYNTAX);
}

static void
formats(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 200);
	assert_int_equal(date_rfc5322_format(1795222800, 420, &b), 0);
	check_buf(&b, "Sat, 21 Nov 2026 08:00:00 +0700");
	buf_reset(&b);
	assert_int_equal(date_rfc5322_format(-27723480, -210, &b), 0);
	check_buf(&b, "Thu, 13 Feb 1969 23:32:00 -0330");
	buf_reset(&b);
	assert_int_equal(date_imap_format(760114345, 420, &b), 0);
	check_buf(&b, " 1-Feb-1994 21:52:25 +0700");
	buf_reset(&b);
	assert_int_equal(date_rfc3339_format(1795222800000001, &b), 0);
	check_buf(&b, "2026-11-21T01:00:00.000001Z");
	buf_reset(&b);
	assert_int_equal(date_rfc3339_format(-1, &b), 0);
	check_buf(&b, "1969-12-31T23:59:59.999999Z");
	buf_reset(&b);
	assert_int_equal(date_rfc5322_format(INT64_MAX, 0, &b), ERR_RANGE);
	assert_int_equal(date_imap_format(INT64_MIN, 0, &b), ERR_RANGE);
	check_buf(&b, "");
	buf_done(&b);
}

/* What is written reads back as the same instant, over 400 years of days. */
static void
round_trip(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	for (int64_t day = -146097; day < 146097; day += 13) {
		int64_t t, want = day * 86400 + 86399;
		int zone;

		buf_reset(&b);
		assert_int_equal(date_rfc5322_format(want, 420, &b), 0);
		assert_int_equal(date_rfc5322_parse(buf_slice(&b), &t, &zone), 0);
		assert_int_equal(t, want);
		buf_reset(&b);
		assert_int_equal(date_imap_format(want, -330, &b), 0);
		assert_int_equal(date_imap_parse(buf_slice(&b), &t, &zone), 0);
		assert_int_equal(t, want);
	}
	buf_done(&b);
}

static void
local_zone(void **state)
{
	(void)state;
	setenv("TZ", "Asia/Ho_Chi_Minh", 1);
	assert_true(date_local_zone(1795222800) == 420 || date_local_zone(1795222800) == 0);
	setenv("TZ", "ICT-7", 1);
	assert_int_equal(date_local_zone(1795222800), 420);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rfc5322_examples),
	    cmocka_unit_test(obsolete_zones_and_years),
	    cmocka_unit_test(rfc5322_refused),
	    cmocka_unit_test(deep_comment),
	    cmocka_unit_test(imap_dates),
	    cmocka_unit_test(formats),
	    cmocka_unit_test(round_trip),
	    cmocka_unit_test(local_zone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
