/* dns_rdata_test.c: records of the DNS as bytes. RFC 1035. */
#include "config.h"

#include "tests/unit/unit.h"

#include "directory/dns_rdata.h"
#include "lib/err.h"

#define BYTES(s) slice_of(s, sizeof(s) - 1)

static void
test_mx(void **state)
{
	struct buf b;
	uint16_t pref = 0;

	(void)state;
	buf_init(&b, 256);
	assert_int_equal(dns_mx_parse(BYTES("\0\x0a\2Mx\7example\0"), &pref, &b), 0);
	assert_int_equal(pref, 10);
	assert_string_equal(buf_cstr(&b), "mx.example");
	buf_reset(&b);
	assert_int_equal(dns_mx_parse(BYTES("\1\0\0"), &pref, &b), 0); /* null MX */
	assert_int_equal(pref, 256);
	assert_string_equal(buf_cstr(&b), "");
	assert_int_equal(dns_mx_parse(BYTES("\0\x0a"), &pref, &b), ERR_SYNTAX);
	assert_int_equal(dns_mx_parse(BYTES("\0\x0a\2mx"), &pref, &b), ERR_SYNTAX); /* no end */
	assert_int_equal(
	    dns_mx_parse(BYTES("\0\x0a\1a\0x"), &pref, &b), ERR_SYNTAX); /* behind the end */
	assert_int_equal(
	    dns_mx_parse(BYTES("\0\x0a\xc0\x0c"), &pref, &b), ERR_SYNTAX); /* compressed */
	assert_int_equal(
	    dns_mx_parse(BYTES("\0\x0a\3a.b\0"), &pref, &b), ERR_SYNTAX); /* a dot within a label */
	assert_int_equal(
	    dns_mx_parse(BYTES("\0\x0a\3a\r\n\0"), &pref, &b), ERR_SYNTAX); /* nor anything else */
	buf_done(&b);
}

static void
test_long_name(void **state)
{
	unsigned char name[300] = {0};
	struct buf b;
	size_t used;

	(void)state;
	for (size_t i = 0; i < 256; i += 64) {
		name[i] = 63;
		for (size_t k = 1; k < 64; k++)
			name[i + k] = 'a';
	}
	buf_init(&b, 300);
	assert_int_equal(dns_name_text(slice_of(name, sizeof(name)), &used, &b), ERR_LIMIT);
	buf_reset(&b);
	name[192] = 0;
	assert_int_equal(dns_name_text(slice_of(name, sizeof(name)), &used, &b), 0);
	assert_int_equal(used, 193);
	assert_int_equal(b.len, 191);
	buf_done(&b);
}

static void
test_addresses(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 256);
	assert_int_equal(dns_addr_text(BYTES("\xc0\0\2\1"), &b), 0);
	assert_string_equal(buf_cstr(&b), "192.0.2.1");
	buf_reset(&b);
	assert_int_equal(dns_addr_text(BYTES("\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"), &b), 0);
	assert_string_equal(buf_cstr(&b), "2001:db8::1");
	assert_int_equal(dns_addr_text(BYTES("\1\2\3"), &b), ERR_SYNTAX);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_mx),
	    cmocka_unit_test(test_long_name), cmocka_unit_test(test_addresses)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
