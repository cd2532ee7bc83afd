/* json_test.c: canonical JSON is what the audit chain hashes: it must not depend on order or spacing. */
#include "config.h"

#include "lib/err.h"
#include "lib/json.h"
#include "tests/unit/unit.h"

static void
canonical_is_sorted_ascii(void **state)
{
	struct json *o = json_obj_new(), *a = json_arr_new(), *back = NULL;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	json_set_str(o, "z", "Vă");
	json_set_int(o, "a", -5);
	json_push_take(a, json_bool_new(true));
	json_push_take(a, NULL);
	json_push_take(a, json_str_new(slice_of("x\0\xff y", 5)));
	json_set_take(o, "m", a);
	assert_int_equal(json_canonical(o, &b), 0);
	assert_string_equal(
	    buf_cstr(&b), "{\"a\":-5,\"m\":[true,null,\"x\\uFFFD\\uFFFD y\"],\"z\":\"V\\u0103\"}");
	assert_int_equal(json_parse(buf_slice(&b), &back), 0);
	assert_int_equal(json_int(json_get(back, "a"), 0), -5);
	assert_string_equal(json_cstr(json_get(back, "z")), "Vă");
	assert_int_equal(json_len(json_get(back, "m")), 3);
	assert_false(json_has_real(back));
	json_free(back);
	json_free(o);
	buf_done(&b);
}

static void
bad_input_is_refused(void **state)
{
	static const char *const bad[] = {
	    "", "{", "{}x", "{\"a\":1,\"a\":2}", "\"\\u0000\"", "\"\xff\"", "[1,]"};
	struct json *j = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(json_parse(slice_str(bad[i]), &j), ERR_SYNTAX);
	assert_int_equal(json_parse(slice_str("[{\"a\":[1.5]}]"), &j), 0);
	assert_true(json_has_real(j));
	json_free(j);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(canonical_is_sorted_ascii), cmocka_unit_test(bad_input_is_refused)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
