/* row_test.c: coding of message rows; every truncation and many changes are refused or read safely. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "lib/err.h"
#include "store/row.h"

static struct msg_row
sample(void)
{
	struct msg_row r = {.uid = 7,
	    .modseq = 1ull << 40,
	    .flags = MSG_SEEN | MSG_DRAFT,
	    .keywords = slice_str("$Forwarded hạn"),
	    .internal_date = -5,
	    .internal_zone = -420,
	    .save_date = 1795000000,
	    .size = 123456789012,
	    .body = 99,
	    .trace = slice_str("Return-Path: <>\r\n"),
	    .envelope = slice_str("(NIL NIL)"),
	    .sent_date = INT64_MIN,
	    .refs = slice_str("12345678ABCDEFGH")};

	memcpy(r.email_id, "0123456789abcdef", 16);
	return r;
}

static void
round_trip(void **state)
{
	struct msg_row r = sample(), d;
	struct buf b;

	(void)state;
	buf_init(&b, 65536);
	assert_int_equal(msg_row_encode(&r, &b), 0);
	assert_int_equal(msg_row_decode(buf_slice(&b), &d), 0);
	assert_int_equal(d.uid, 7);
	assert_true(d.modseq == r.modseq && d.flags == r.flags && d.internal_date == -5);
	assert_int_equal(d.internal_zone, -420);
	assert_true(d.save_date == r.save_date && d.size == r.size && d.body == 99);
	assert_true(d.sent_date == INT64_MIN);
	assert_true(slice_eq(d.keywords, r.keywords) && slice_eq(d.trace, r.trace));
	assert_true(slice_eq(d.envelope, r.envelope) && slice_eq(d.refs, r.refs));
	assert_memory_equal(d.email_id, r.email_id, 16);
	/* a row of version 1: no refs behind the envelope */
	b.data[0] = 1;
	assert_int_equal(msg_row_decode(buf_slice(&b), &d), ERR_CORRUPT);
	buf_truncate(&b, b.len - 4 - r.refs.len);
	assert_int_equal(msg_row_decode(buf_slice(&b), &d), 0);
	assert_true(slice_eq(d.envelope, r.envelope) && d.refs.len == 0);
	buf_done(&b);
}

static void
hostile(void **state)
{
	struct msg_row r = sample(), d;
	struct buf b;

	(void)state;
	buf_init(&b, 65536);
	assert_int_equal(msg_row_encode(&r, &b), 0);
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(msg_row_decode(slice_of(b.data, n), &d), ERR_CORRUPT);
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= 0xff;
		(void)msg_row_decode(buf_slice(&b), &d);
		b.data[i] ^= 0xff;
	}
	buf_append_byte(&b, 0);
	assert_int_equal(msg_row_decode(buf_slice(&b), &d), ERR_CORRUPT);
	buf_done(&b);
}

static void
bounds(void **state)
{
	static char big[20000];
	struct msg_row r = sample();
	struct buf b;

	(void)state;
	buf_init(&b, 65536);
	r.trace = slice_of(big, 8193);
	assert_int_equal(msg_row_encode(&r, &b), ERR_LIMIT);
	r = sample();
	r.envelope = slice_of(big, 16385);
	assert_int_equal(msg_row_encode(&r, &b), ERR_LIMIT);
	r = sample();
	r.refs = slice_of(big, 521);
	assert_int_equal(msg_row_encode(&r, &b), ERR_LIMIT);
	r = sample();
	r.keywords = slice_of(big, 4097);
	assert_int_equal(msg_row_encode(&r, &b), ERR_LIMIT);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_trip),
	    cmocka_unit_test(hostile),
	    cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
