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

static size_t
prefix_by_definition(const unsigned char *p, size_t n)
{
	size_t i = 0, k;

	while (i < n) {
		for (k = 1; k <= 4 && k <= n - i; k++)
			if (is_one_character(p + i, k))
				break;
		if (k > 4 || k > n - i)
			return i;
		i += k;
	}
	return i;
}

static uint32_t seed = 20261122;

static uint32_t
next_random(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

/* Long texts are looked at many octets at a time: whatever stands wherever in them. */
static void
long_texts(void **state)
{
	static const char *const words[] = {"a", "bc", "đ", "ệ", "\xf0\x9f\x93\x9c", "\r\n",
	    "kế hoạch",
	    "plain letters for a while, longer than sixty-four of them together, and some more"};
	static const unsigned char some[] = {0x00, 0x41, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0,
	    0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff};
	/* the last that is right and the first that is wrong, and the other way */
	static const char *const borders[] = {"\xe0\xa0\x80", "\xe0\x9f\x80", "\xed\x9f\xbf",
	    "\xed\xa0\x80", "\xf0\x90\x80\x80", "\xf0\x8f\x80\x80", "\xf4\x8f\xbf\xbf",
	    "\xf4\x90\x80\x80", "\xf1\x80\x80", "\xe1\x80", "\xc2\x80", "\xc1\x80"};
	unsigned char text[600];
	struct buf out;

	(void)state;
	for (unsigned round = 0; round < 60000; round++) {
		size_t n = 0, want = next_random(500), good;
		const char *w;

		while (n < want) {
			w = round % 3 == 0 && next_random(20) == 0
				? borders[next_random(12)]
				: words[next_random(round % 2 ? 7 : 8)];
			memcpy(text + n, w, strlen(w));
			n += strlen(w);
		}
		n -= n > 2 ? next_random(3) : 0;
		for (uint32_t k = next_random(3); k > 0 && n > 0; k--)
			text[next_random((uint32_t)n)] = some[next_random(sizeof some)];
		good = prefix_by_definition(text, n);
		assert_int_equal(uni_valid(slice_of(text, n)), good == n);
		assert_int_equal(uni_valid(slice_of(text, good)), true);
		if (good == n)
			continue;
		buf_init(&out, 4096);
		uni_scrub(slice_of(text, n), "*", &out, NULL);
		assert_memory_equal(out.data, text, good);
		assert_int_equal(out.data[good], '*');
		buf_done(&out);
	}
}

/* The last that is right and the first that is wrong, at every place of a long text. */
static void
borders_at_every_place(void **state)
{
	static const char *const borders[] = {"\xe0\xa0\x80", "\xe0\x9f\x80", "\xed\x9f\xbf",
	    "\xed\xa0\x80", "\xf0\x90\x80\x80", "\xf0\x8f\x80\x80", "\xf4\x8f\xbf\xbf",
	    "\xf4\x90\x80\x80", "\xf1\x80\x80", "\xf1\x80", "\xf1", "\xe1\x80", "\xe1", "\xc2",
	    "\xc1\x80", "\x80", "\xc2\x80\x80", "\xe1\x80\x80\x80", "\xf1\x80\x80\x80\x80", "\xf5"};
	static const char *const fillers[] = {"x", "\xc3\xa9", "\xe1\xbb\x87"};
	unsigned char text[400];

	(void)state;
	for (size_t f = 0; f < 3; f++)
		for (size_t b = 0; b < sizeof borders / sizeof *borders; b++)
			for (size_t at = 0; at < 200; at++) {
				size_t n = 0, k = strlen(fillers[f]);

				for (; n + k <= at; n += k)
					memcpy(text + n, fillers[f], k);
				while (n < at)
					text[n++] = 'x';
				memcpy(text + n, borders[b], strlen(borders[b]));
				n += strlen(borders[b]);
				for (; n + k < sizeof text; n += k)
					memcpy(text + n, fillers[f], k);
				assert_int_equal(uni_valid(slice_of(text, n)),
				    prefix_by_definition(text, n) == n);
			}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_octet_at_every_place),
	    cmocka_unit_test(broken_octets_are_replaced_one_by_one),
	    cmocka_unit_test(long_texts),
	    cmocka_unit_test(borders_at_every_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
