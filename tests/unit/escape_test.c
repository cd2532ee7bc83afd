/* escape_test.c: whatever a name holds, it stands for itself in a filter and in a DN. */
#include "config.h"

#include "directory/escape.h"
#include "lib/err.h"

#include "tests/unit/unit.h"

static const char *
filtered(const void *p, size_t n)
{
	static struct buf b;

	buf_done(&b);
	buf_init(&b, 4096);
	assert_int_equal(escape_filter(slice_of(p, n), &b), 0);
	return buf_cstr(&b);
}

static void
test_filter(void **state)
{
	(void)state;
	assert_string_equal(filtered("binhtv@tinhmau.example", 22), "binhtv@tinhmau.example");
	/* RFC 4515 4 */
	assert_string_equal(
	    filtered("Parens R Us (for all)", 21), "Parens\\20R\\20Us\\20\\28for\\20all\\29");
	assert_string_equal(filtered("*", 1), "\\2a");
	assert_string_equal(filtered("C:\\MyFile", 9), "C:\\5cMyFile");
	assert_string_equal(filtered("\0\0\0\4", 4), "\\00\\00\\00\\04");
	assert_string_equal(filtered("Lu\xc4\x8di\xc4\x87", 7), "Lu\\c4\\8di\\c4\\87");
	assert_string_equal(filtered(")(uid=*", 7), "\\29\\28uid\\3d\\2a");
	assert_string_equal(filtered("", 0), "");
}

static const char *
as_rdn(const char *s)
{
	static struct buf b;

	buf_done(&b);
	buf_init(&b, 4096);
	assert_int_equal(escape_rdn(slice_str(s), &b), 0);
	return buf_cstr(&b);
}

static void
test_rdn(void **state)
{
	(void)state;
	assert_string_equal(as_rdn("H99.02"), "H99.02");
	assert_string_equal(as_rdn("James \"Jim\" Smith, III"), "James \\22Jim\\22 Smith\\2C III");
	assert_string_equal(as_rdn(" a "), "\\20a\\20");
	assert_string_equal(as_rdn("#a#"), "\\23a\\23");
	assert_string_equal(as_rdn("a+b=c;<d>\\"), "a\\2Bb\\3Dc\\3B\\3Cd\\3E\\5C");
	assert_string_equal(as_rdn("Sở"), "Sở");
}

static void
test_template(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 64);
	assert_int_equal(
	    escape_template("(|(uid=%s)(member=%d)(x=%%))", slice_str("a*"), slice_str("cn=b"), &b),
	    0);
	assert_string_equal(buf_cstr(&b), "(|(uid=a\\2a)(member=cn\\3db)(x=%))");
	buf_reset(&b);
	assert_int_equal(
	    escape_template("(uid=%x)", slice_str("a"), slice_str("b"), &b), ERR_SYNTAX);
	buf_reset(&b);
	assert_int_equal(escape_template("(uid=%", slice_str("a"), slice_str("b"), &b), ERR_SYNTAX);
	buf_reset(&b);
	assert_int_equal(
	    escape_template("(uid=%s)", slice_str("((((((((((((((((((((((((("), slice_str(""), &b),
	    ERR_LIMIT);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_filter),
	    cmocka_unit_test(test_rdn),
	    cmocka_unit_test(test_template),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
