/* ctl_rows_test.c: lists of people as JSON Lines and as spreadsheets write CSV. */
#include "config.h"

#include "admin/ctl_directory.h"
#include "lib/err.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

static struct ctl_rows
rows(const char *text, size_t n)
{
	struct ctl_rows r = {0};
	char *why = NULL;

	assert_int_equal(ctl_rows_parse(slice_str(text), &r, &why), 0);
	assert_null(why);
	assert_int_equal(r.n, n);
	return r;
}

static void
refused(const char *text, const char *where)
{
	struct ctl_rows r = {0};
	char *why = NULL;

	assert_int_equal(ctl_rows_parse(slice_str(text), &r, &why), ERR_SYNTAX);
	assert_non_null(why);
	assert_true(slice_starts(slice_str(why), where));
	free(why);
}

static void
test_csv(void **state)
{
	struct ctl_rows r;

	(void)state;
	r = rows("\xef\xbb\xbfSTT;Họ và tên;Mã đơn vị;Chức vụ\r\n1;\"A; "
		 "\"\"B\"\"\r\nC\";H99;\r\n;;;\r\n3; D ;H98;x",
	    2);
	assert_string_equal(r.v[0].name, "A; \"B\"\r\nC");
	assert_string_equal(r.v[0].agency, "H99");
	assert_null(r.v[0].title);
	assert_int_equal(r.v[0].line, 2);
	assert_string_equal(r.v[1].name, "D");
	assert_string_equal(r.v[1].title, "x");
	assert_int_equal(r.v[1].line, 5);
	ctl_rows_done(&r);
	r = rows("name\tagency\nA\tH1\n", 1);
	ctl_rows_done(&r);
	r = rows("name,agency\n", 0);
	ctl_rows_done(&r);
	refused("", "line 1");
	refused("[{\"name\": \"A\"}]\n", "line 1");
	refused("agency\nH99\n", "line 1");
	refused("name,agency\n\"open", "line 2");
	refused("name,agency\nA,H1\nA,B,C\n", "line 3");
}

static void
test_json(void **state)
{
	struct ctl_rows r;

	(void)state;
	r = rows(
	    "\n{\"name\": \"A\", \"id\": \"7\"}\r\n\n{\"name\":\"B\",\"employee_number\":\"1\"}",
	    2);
	assert_string_equal(r.v[0].name, "A");
	assert_string_equal(r.v[0].id, "7");
	assert_string_equal(r.v[1].employee_number, "1");
	ctl_rows_done(&r);
	refused("{\"name\": \"A\"}\n{\"nam\": \"B\"}\n", "line 2");
	refused("{\"id\": 7}", "line 1");
	refused("{\"name\": \"A\"", "line 1");
	refused("{}\n[]", "line 2");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_csv), cmocka_unit_test(test_json)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
