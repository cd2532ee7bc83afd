/* check.h: what the tests of parsers share: comparing bytes with a readable message. */
#ifndef CV_TESTS_CHECK_H
#define CV_TESTS_CHECK_H

#include <stdlib.h>

#include "lib/buf.h"
#include "tests/unit/unit.h"

/* The content of b is the string want (no NUL in it). */
#define check_buf(b, want)                                \
	do {                                              \
		assert_int_equal((b)->err, 0);            \
		assert_string_equal(buf_cstr(b), want);   \
		assert_int_equal((b)->len, strlen(want)); \
	} while (0)

/* The slice has the text want. */
#define check_slice(s, want)                                      \
	do {                                                      \
		struct slice check_slice_ = (s);                  \
		char *check_got_ = slice_dup(check_slice_);       \
		assert_non_null(check_got_);                      \
		assert_string_equal(check_got_, want);            \
		assert_int_equal(check_slice_.len, strlen(want)); \
		free(check_got_);                                 \
	} while (0)

/* A slice of a string literal with its NULs inside, without the last one. */
#define LIT(s) slice_of("" s, sizeof(s) - 1)

#endif
