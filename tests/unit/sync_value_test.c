/* sync_value_test.c: the values of content synchronization as bytes. RFC 4533 2.2, 2.3, 2.5. */
#include "config.h"

#include "tests/unit/unit.h"

#include "directory/sync_value.h"
#include "lib/err.h"

#include <string.h>

#define BYTES(s) slice_of(s, sizeof(s) - 1)
#define UUID "0123456789abcdef"

static void
test_request(void **state)
{
	char long_cookie[300];
	struct buf b;

	(void)state;
	buf_init(&b, 8192);
	sync_request_append(slice_of(NULL, 0), &b);
	assert_true(slice_eq(buf_slice(&b), BYTES("\x30\x03\x0a\x01\x03")));
	buf_reset(&b);
	sync_request_append(slice_str("rid=000"), &b);
	assert_true(slice_eq(buf_slice(&b), BYTES("\x30\x0c\x0a\x01\x03\x04\x07rid=000")));
	buf_reset(&b);
	memset(long_cookie, 'x', sizeof(long_cookie));
	sync_request_append(slice_of(long_cookie, sizeof(long_cookie)), &b);
	assert_int_equal(b.len, 4 + 3 + 4 + 300);
	assert_memory_equal(b.data, "\x30\x82\x01\x33\x0a\x01\x03\x04\x82\x01\x2cxxx", 14);
	buf_done(&b);
}

static void
test_state(void **state)
{
	enum sync_state s = SYNC_PRESENT;
	struct slice cookie = slice_str("?");

	(void)state;
	assert_int_equal(
	    sync_state_parse(BYTES("\x30\x15\x0a\x01\x02\x04\x10" UUID), &s, &cookie), 0);
	assert_int_equal(s, SYNC_MODIFY);
	assert_null(cookie.ptr);
	assert_int_equal(sync_state_parse(BYTES("\x30\x19\x0a\x01\x03\x04\x10" UUID "\x04\x02"
						"ab"),
			     &s, &cookie),
	    0);
	assert_int_equal(s, SYNC_DELETE);
	assert_true(slice_eq_str(cookie, "ab"));
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {{"", 0}, {"\x30", 1}, {"\x30\x80\x0a\x01\x02", 5}, /* indefinite */
	    {"\x30\x15\x0a\x01\x04\x04\x10" UUID, 23},                /* no such state */
	    {"\x30\x14\x0a\x01\x02\x04\x0f" UUID, 22},                /* an id too short */
	    {"\x30\x85\x00\x00\x00\x00\x15", 7}, {"\x30\x16\x0a\x01\x02\x04\x10" UUID, 23},
	    {"\x30\x15\x0a\x01\x02\x04\x10" UUID "x", 24}, {"\x30\x03\x0a\x01\x02", 5}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    sync_state_parse(slice_of(bad[i].bytes, bad[i].n), &s, &cookie), ERR_SYNTAX);
}

static void
test_info(void **state)
{
	struct sync_info i;

	(void)state;
	assert_int_equal(sync_info_parse(BYTES("\x80\x02"
					       "ab"),
			     &i),
	    0);
	assert_int_equal(i.kind, SYNC_NEW_COOKIE);
	assert_true(slice_eq_str(i.cookie, "ab"));
	assert_int_equal(sync_info_parse(BYTES("\xa1\x04\x04\x02"
					       "ab"),
			     &i),
	    0);
	assert_int_equal(i.kind, SYNC_REFRESH_DELETE);
	assert_true(i.is_done); /* DEFAULT TRUE */
	assert_int_equal(sync_info_parse(BYTES("\xa2\x03\x01\x01\x00"), &i), 0);
	assert_int_equal(i.kind, SYNC_REFRESH_PRESENT);
	assert_true(!i.is_done && i.cookie.ptr == NULL);
	assert_int_equal(
	    sync_info_parse(BYTES("\xa3\x17\x01\x01\xff\x31\x12\x04\x10" UUID), &i), 0);
	assert_int_equal(i.kind, SYNC_ID_SET);
	assert_true(i.deletes && !i.is_done);
	assert_int_equal(sync_info_parse(BYTES("\xa3\x02\x31\x00"), &i), 0);
	assert_false(i.deletes);
	assert_int_equal(sync_info_parse(BYTES("\xa4\x00"), &i), ERR_SYNTAX);
	assert_int_equal(sync_info_parse(BYTES("\xa1\x04\x04\x03"
					       "ab"),
			     &i),
	    ERR_SYNTAX);
	assert_int_equal(sync_info_parse(BYTES("\xa3\x05\x31\x03\x04\x01x"), &i), ERR_SYNTAX);
	assert_int_equal(sync_info_parse(BYTES("\xa1\x00x"), &i), ERR_SYNTAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_request),
	    cmocka_unit_test(test_state),
	    cmocka_unit_test(test_info),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
