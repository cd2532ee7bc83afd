/* codec_test.c: base64 and quoted-printable: vectors of RFC 4648 10, strict against lenient, hostile bytes. */
#include "tests/unit/check.h"

#include "lib/err.h"
#include "lib/mime.h"

static void
b64_vectors(void **state)
{
	static const char *const v[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
	    {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		buf_reset(&b);
		assert_int_equal(b64_encode(slice_str(v[i][0]), false, &b), 0);
		check_buf(&b, v[i][1]);
		buf_reset(&b);
		assert_int_equal(b64_decode(slice_str(v[i][1]), true, &b), 0);
		check_buf(&b, v[i][0]);
	}
	buf_done(&b);
}

static void
lenient(const char *in, const char *want, bool strict_ok)
{
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(b64_decode(slice_str(in), false, &b), 0);
	check_buf(&b, want);
	assert_int_equal(b64_decode(slice_str(in), true, &b), strict_ok ? 0 : ERR_SYNTAX);
	if (!strict_ok)
		check_buf(&b, want); /* nothing of the refused stays */
	buf_done(&b);
}

static void
b64_odd(void **state)
{
	(void)state;
	lenient("Zm9v\r\nYmFy\r\n", "foobar", true);
	lenient("Zm9v YmFy", "foobar", false);
	lenient("Zm9v*YmFy", "foobar", false);
	lenient("Zm8", "fo", false);
	lenient("Zg", "f", false);
	lenient("Z", "", false);
	lenient("Zg=", "f", false);
	lenient("Zg===", "f", false);
	lenient("Zh==", "f", false); /* bits under the padding */
	lenient("Zm8=Zm8=", "fofo", false);
	lenient("=", "", false);
	lenient("====", "", false);
	lenient("Zm9v=", "foo", false);
}

static void
b64_wrapped(void **state)
{
	unsigned char bytes[1000];
	struct buf b, back;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7);
	buf_init(&b, 10000);
	buf_init(&back, 10000);
	for (size_t n = 0; n <= sizeof(bytes); n += 57) {
		size_t col = 0;

		buf_reset(&b);
		buf_reset(&back);
		assert_int_equal(b64_encode(slice_of(bytes, n), true, &b), 0);
		for (size_t i = 0; i < b.len; i++) {
			col = b.data[i] == '\n' ? 0 : col + 1;
			assert_true(col <= 77);
		}
		assert_int_equal(b64_decode(buf_slice(&b), true, &back), 0);
		assert_true(slice_eq(buf_slice(&back), slice_of(bytes, n)));
	}
	buf_done(&b);
	buf_done(&back);
}

static void
qp(const char *in, const char *want, bool strict_ok)
{
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(qp_decode(slice_str(in), false, &b), 0);
	check_buf(&b, want);
	buf_reset(&b);
	assert_int_equal(qp_decode(slice_str(in), true, &b), strict_ok ? 0 : ERR_SYNTAX);
	check_buf(&b, strict_ok ? want : "");
	buf_done(&b);
}

static void
qp_cases(void **state)
{
	(void)state;
	/* RFC 2045 6.7 (5) */
	qp("Now's the time =\r\nfor all folk to come=\r\n to the aid of their country.",
	    "Now's the time for all folk to come to the aid of their country.", true);
	qp("Ti=E1=BA=BFng Vi=e1=bb=87t\r\n", "Tiếng Việt\r\n", true);
	qp("a=3D1\nb", "a=1\nb", true);
	qp("trailing  \r\nx", "trailing\r\nx", false);
	qp("soft= \r\nbreak", "softbreak", false);
	qp("bad=XYz", "bad=XYz", false);
	qp("end=4", "end=4", false);
	qp("end=", "end", false);
	qp("=", "", false);
	qp("", "", true);
}

static void
bodies(void **state)
{
	struct buf b;
	bool clean;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(mime_decode_body(CTE_BASE64, slice_str("Zm9v!"), &b, &clean), 0);
	assert_false(clean);
	assert_int_equal(mime_decode_body(CTE_QP, slice_str("=20"), &b, &clean), 0);
	assert_true(clean);
	assert_int_equal(mime_decode_body(CTE_8BIT, LIT("a\0="), &b, NULL), 0);
	assert_true(slice_eq(buf_slice(&b), LIT("foo a\0=")));
	buf_done(&b);
	buf_init(&b, 2);
	assert_int_equal(mime_decode_body(CTE_BASE64, slice_str("Zm9v"), &b, &clean), ERR_LIMIT);
	assert_int_equal(mime_decode_body(CTE_QP, slice_str("abc"), &b, &clean), ERR_LIMIT);
	buf_done(&b);
}

/* Octet by octet, as RFC 2045 6.8 has it; false where a strict reader refuses. */
static bool
by_the_letter(struct slice s, struct buf *out)
{
	static const char set[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned acc = 0, n = 0;

	for (size_t i = 0; i < s.len; i++) {
		const char *at = s.ptr[i] != 0 ? strchr(set, s.ptr[i]) : NULL;

		if (at == NULL && (s.ptr[i] == '\r' || s.ptr[i] == '\n'))
			continue;
		if (at == NULL)
			return false;
		acc = acc << 6 | (unsigned)(at - set);
		if (++n % 4 == 0) {
			buf_append_byte(out, (unsigned char)(acc >> 16));
			buf_append_byte(out, (unsigned char)(acc >> 8));
			buf_append_byte(out, (unsigned char)acc);
		}
	}
	return n % 4 == 0;
}

/* Groups are taken at once where nothing stands between: line ends and junk at every place of them. */
static void
b64_groups_and_others(void **state)
{
	static const char some[] = "\r\n\r\n!ABz9+/";
	char text[200];
	uint32_t seed = 5;

	(void)state;
	for (unsigned round = 0; round < 40000; round++) {
		struct buf want, got;
		size_t n;
		bool good;

		buf_init(&want, 400);
		buf_init(&got, 400);
		for (n = 0; n < round % 200; n++) {
			seed = seed * 1664525 + 1013904223;
			text[n] = (seed >> 24) % 16 == 0
				      ? some[(seed >> 8) % (round % 4 == 0 ? 5 : 4)]
				      : "Qk0+/z9a"[(seed >> 8) % 8];
		}
		good = by_the_letter(slice_of(text, n), &want);
		assert_int_equal(b64_decode(slice_of(text, n), true, &got) == 0, good);
		if (good)
			assert_true(slice_eq(buf_slice(&want), buf_slice(&got)));
		buf_done(&want);
		buf_done(&got);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(b64_vectors),
	    cmocka_unit_test(b64_odd),
	    cmocka_unit_test(b64_wrapped),
	    cmocka_unit_test(b64_groups_and_others),
	    cmocka_unit_test(qp_cases),
	    cmocka_unit_test(bodies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
