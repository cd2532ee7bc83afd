/* buf_test.c: bounded buffers, slices and error names. */
#include "config.h"

#include "lib/buf.h"
#include "lib/err.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/unit/unit.h"

static void
test_append_and_cap(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 8);
	assert_string_equal(buf_cstr(&b), "");
	assert_int_equal(buf_append_str(&b, "1234567"), 0);
	assert_int_equal(buf_append_byte(&b, '8'), 0);
	assert_string_equal(buf_cstr(&b), "12345678");
	/* the cap is hard, and the error stays until a reset */
	assert_int_equal(buf_append_byte(&b, '9'), ERR_LIMIT);
	assert_int_equal(buf_append(&b, NULL, 0), ERR_LIMIT);
	assert_string_equal(buf_cstr(&b), "12345678");
	buf_reset(&b);
	assert_int_equal(buf_append(&b, "a\0b", 3), 0);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "a\0b", 4);
	buf_wipe(&b);
	assert_null(b.data);
	assert_int_equal(b.cap, 8);
}

static void
test_printf(void **state)
{
	struct buf b;
	char big[1000];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	buf_init(&b, 2000);
	assert_int_equal(buf_appendf(&b, "%d-%s", 42, "z"), 0);
	assert_int_equal(buf_appendf(&b, "<%s>", big), 0);
	assert_int_equal(b.len, 4 + 1001);
	assert_memory_equal(b.data, "42-z<xxx", 8);
	assert_int_equal(b.data[b.len - 1], '>');
	assert_int_equal(buf_appendf(&b, "%s", big), ERR_LIMIT);
	assert_int_equal(b.len, 1005);
	buf_done(&b);
	/* exactly to the cap */
	buf_init(&b, 999);
	assert_int_equal(buf_appendf(&b, "%s", big), 0);
	assert_int_equal(b.len, 999);
	buf_done(&b);
}

static void
test_numbers_consume_take(void **state)
{
	struct buf b;
	size_t n = 7;

	(void)state;
	buf_init(&b, 64);
	buf_append_u16(&b, 0x0102);
	buf_append_u32(&b, 0x03040506);
	buf_append_u64(&b, 0x0708090a0b0c0d0eULL);
	assert_memory_equal(b.data, "\1\2\3\4\5\6\7\10\11\12\13\14\15\16", 14);
	buf_consume(&b, 2);
	assert_int_equal(b.len, 12);
	assert_int_equal(b.data[0], 3);
	buf_truncate(&b, 4);
	assert_memory_equal(b.data, "\3\4\5\6\0", 5);
	unsigned char *p = buf_take(&b, &n);
	assert_int_equal(n, 4);
	assert_memory_equal(p, "\3\4\5\6", 4);
	free(p);
	assert_null(buf_take(&b, &n));
	assert_int_equal(n, 0);
	unsigned char *r = buf_reserve(&b, 10);
	assert_non_null(r);
	memcpy(r, "0123456789", 10);
	buf_commit(&b, 10);
	assert_string_equal(buf_cstr(&b), "0123456789");
	buf_done(&b);
}

static void
test_slices(void **state)
{
	struct slice s = slice_str(" \tMAIL from \t");
	struct slice t = slice_trim(s);

	(void)state;
	assert_true(slice_eq_str(t, "MAIL from"));
	assert_true(slice_caseeq_str(t, "mail FROM"));
	assert_false(slice_caseeq_str(t, "mail FRO"));
	assert_true(slice_starts(t, "MAIL"));
	assert_false(slice_starts(t, "mail"));
	assert_true(slice_casestarts(t, "mail"));
	assert_false(slice_casestarts(slice_str("ma"), "mail"));
	assert_true(slice_is_ascii(slice_str("")) && slice_is_ascii(slice_of("a\0\x7f", 3)));
	assert_false(slice_is_ascii(slice_of("a\0\x80", 3)));
	assert_int_equal(slice_index(t, ' '), 4);
	assert_int_equal(slice_index(t, 'Z'), -1);
	assert_int_equal(slice_index(slice_of(NULL, 0), 'Z'), -1);
	assert_int_equal(slice_find(t, slice_str("fr")), 5);
	assert_int_equal(slice_find(t, slice_str("")), 0);
	assert_int_equal(slice_find(t, slice_str("nope")), -1);
	assert_true(slice_eq_str(slice_from(t, 5), "from"));
	assert_int_equal(slice_from(t, 500).len, 0);
	assert_true(slice_eq_str(slice_sub(t, 0, 4), "MAIL"));
	assert_true(slice_eq_str(slice_sub(t, 5, 400), "from"));
	assert_true(slice_cmp(slice_str("a"), slice_str("ab")) < 0);
	assert_true(slice_cmp(slice_str("b"), slice_str("ab")) > 0);
	assert_int_equal(slice_cmp(slice_str(""), slice_of(NULL, 0)), 0);
	assert_true(slice_eq(slice_of(NULL, 0), slice_str("")));
	char *d = slice_dup(t);
	assert_string_equal(d, "MAIL from");
	free(d);
}

static void
test_number_of_slice(void **state)
{
	uint64_t v = 5;

	(void)state;
	assert_int_equal(slice_to_u64(slice_str("18446744073709551615"), UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(
	    slice_to_u64(slice_str("18446744073709551616"), UINT64_MAX, &v), ERR_RANGE);
	assert_int_equal(
	    slice_to_u64(slice_str("99999999999999999999x"), UINT64_MAX, &v), ERR_SYNTAX);
	assert_int_equal(slice_to_u64(slice_str("11"), 10, &v), ERR_RANGE);
	assert_int_equal(slice_to_u64(slice_str(""), 10, &v), ERR_SYNTAX);
	assert_int_equal(slice_to_u64(slice_str("+1"), 10, &v), ERR_SYNTAX);
	assert_int_equal(slice_to_u64(slice_str(" 1"), 10, &v), ERR_SYNTAX);
	assert_true(v == UINT64_MAX);
	assert_int_equal(slice_to_u64(slice_str("007"), 10, &v), 0);
	assert_int_equal(v, 7);
}

static void
test_err(void **state)
{
	(void)state;
	assert_string_equal(err_name(0), "ok");
	assert_string_equal(err_name(ERR_NOTFOUND), "not_found");
	assert_string_equal(err_name(ERR_AUTH), "auth");
	assert_string_equal(err_name(ERR_LAST), "unknown_error");
	assert_string_equal(err_name(1), "unknown_error");
	assert_string_equal(err_name(-1000), "unknown_error");
	assert_int_equal(err_from_errno(ENOSPC), ERR_FULL);
	assert_int_equal(err_from_errno(EDQUOT), ERR_FULL);
	assert_int_equal(err_from_errno(ENOMEM), ERR_NOMEM);
	assert_int_equal(err_from_errno(EIO), ERR_IO);
	assert_int_equal(err_from_errno(0), 0);
}

static void
test_decimal(void **state)
{
	static const struct {
		uint64_t v;
		unsigned digits;
		const char *text;
	} rows[] = {{0, 0, "0"}, {0, 2, "00"}, {7, 0, "7"}, {7, 2, "07"}, {107, 2, "107"},
	    {2026, 4, "2026"}, {UINT64_MAX, 0, "18446744073709551615"},
	    {1, 20, "00000000000000000001"}, {1, 99, "00000000000000000001"}};
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_reset(&b);
		assert_int_equal(buf_append_decimal(&b, rows[i].v, rows[i].digits), 0);
		assert_true(slice_eq_str(buf_slice(&b), rows[i].text));
	}
	buf_done(&b);
}

/* Long texts are looked through many octets at a time: whatever is looked for, wherever it stands. */
static void
test_find(void **state)
{
	static const char *const needles[] = {"ab", "\nbegin", "aab", "aba", "abababab", "b",
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"};
	unsigned char text[300];
	uint32_t seed = 3;

	(void)state;
	for (unsigned round = 0; round < 40000; round++) {
		const char *needle = needles[round % 8];
		size_t k = strlen(needle), n, i;

		for (n = 0; n < round % 300; n++) {
			seed = seed * 1664525 + 1013904223;
			text[n] = (seed >> 8) % (round % 3 == 0 ? 40 : 3) == 0 ? 'b' : 'a';
		}
		seed = seed * 1664525 + 1013904223;
		if (round % 2 == 0 && n >= k)
			memcpy(text + (seed >> 8) % (n - k + 1), needle, k);
		for (i = 0; i + k <= n && memcmp(text + i, needle, k) != 0; i++)
			;
		assert_int_equal(slice_find(slice_of(text, n), slice_str(needle)),
		    i + k <= n ? (ptrdiff_t)i : -1);
	}
	for (size_t n = 0; n < sizeof text; n++) {
		memset(text, 'a', sizeof text);
		assert_true(slice_is_ascii(slice_of(text, sizeof text)));
		text[n] = 0x80;
		assert_false(slice_is_ascii(slice_of(text, sizeof text)));
		assert_true(slice_is_ascii(slice_of(text, n)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_append_and_cap),
	    cmocka_unit_test(test_printf),
	    cmocka_unit_test(test_numbers_consume_take),
	    cmocka_unit_test(test_slices),
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_decimal),
	    cmocka_unit_test(test_number_of_slice),
	    cmocka_unit_test(test_err),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
