/* uni_test.c: what is UTF-8 and what is not, against every octet at every place (RFC 3629 4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/uni.h"

/* By the definition: decodes to one character, in its shortest form, no surrogate, none above U+10FFFF. */
static bool
is_one_character(const unsigned char *p, size_t n)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t cp = n == 2 ? p[0] & 0x1f : n == 3 ? p[0] & 0x0f : p[0] & 0x07;

	if (n == 1)
		return p[0] < 0x80;
	if ((n == 2 && p[0] >> 5 != 6) || (n == 3 && p[0] >> 4 != 14) ||
	    (n == 4 && p[0] >> 3 != 30))
		return false;
	for (size_t i = 1; i < n; i++) {
		if (p[i] >> 6 != 2)
			return false;
		cp = cp << 6 | (p[i] & 0x3f);
	}
	return cp >= least[n] && cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff);
}

static bool
is_text(const unsigned char *p, size_t n)
{
	for (size_t k = 1; k <= 4 && k <= n; k++)
		if (is_one_character(p, k))
			return n == k || is_text(p + k, n - k);
	return n == 0;
}

static void
every_octet_at_every_place(void **state)
{
	static const unsigned char some[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
	    0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4,
	    0xf5, 0xff};
	const size_t n = sizeof(some);
	unsigned char b[16];

	(void)state;
	for (size_t a = 0; a < n; a++)
		for (size_t c = 0; c < n; c++)
			for (size_t d = 0; d < n; d++)
				for (size_t e = 0; e < n; e++) {
					/* at an end, and with text on both sides */
					unsigned char four[] = {some[a], some[c], some[d], some[e]};

					assert_int_equal(
					    uni_valid(slice_of(four, 4)), is_text(four, 4));
					assert_int_equal(
					    uni_valid(slice_of(four, 3)), is_text(four, 3));
					memset(b, 'x', sizeof(b));
					memcpy(b + 6, four, 4);
					assert_int_equal(uni_valid(slice_of(b, sizeof(b))),
					    is_text(b, sizeof(b)));
				}
}

static void
broken_octets_are_replaced_one_by_one(void **state)
{
	struct buf out;
	bool clean = true;

	(void)state;
	buf_init(&out, 1000);
	assert_int_equal(uni_scrub(slice_str("a\xc3\xa1"
					     "12345678\xff\xe1\xba"
					     "z"),
			     "?", &out, &clean),
	    0);
	assert_string_equal(buf_cstr(&out), "a\xc3\xa1"
					    "12345678???z");
	assert_false(clean);
	buf_done(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_octet_at_every_place),
	    cmocka_unit_test(broken_octets_are_replaced_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
