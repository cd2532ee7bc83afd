/* row_bodies_test.c: which bodies a row names; a kind nobody told about is an error and not nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "lib/err.h"
#include "store/index_block.h"
#include "store/kept.h"
#include "store/row.h"
#include "store/row_bodies.h"

static uint64_t named[8];
static size_t n_named;

static void
on_body(void *arg, uint64_t body)
{
	assert_ptr_equal(arg, named);
	named[n_named++] = body;
}

static int
ask(const char *object, const char *key, struct slice value)
{
	n_named = 0;
	return row_bodies(slice_str(object), slice_str(key), value, on_body, named);
}

static void
messages(void **state)
{
	struct msg_row r = {.uid = 7, .body = 0x123456789, .size = 1000};
	struct row_counts c = {0};
	struct kept_row k;
	struct index_row ir;
	struct buf b, kb;

	(void)state;
	buf_init(&b, 65536);
	assert_int_equal(msg_row_encode(&r, &b), 0);
	assert_int_equal(ask("m.0000000000000001", "m/00000007", buf_slice(&b)), 0);
	assert_int_equal(n_named, 1);
	assert_true(named[0] == 0x123456789);
	row_count(slice_str("m.1"), slice_str("m/00000007"), buf_slice(&b), &c);
	row_count(slice_str("m.1"), slice_str("h"), slice_str("?"), &c);
	row_count(slice_str("a.x"), slice_str("h"), slice_str("?"), &c);
	assert_true(c.rows == 3 && c.messages == 1 && c.message_octets == 1000 &&
		    c.mailboxes == 1 && c.accounts == 1);
	k = (struct kept_row){.at = 1, .why = KEPT_EXPUNGED, .row = buf_slice(&b)};
	buf_init(&kb, 65536);
	assert_int_equal(kept_row_encode(&k, &kb), 0);
	assert_int_equal(ask("m.1", "k/000000000000000100000007", buf_slice(&kb)), 0);
	assert_true(n_named == 1 && named[0] == 0x123456789);
	kb.len--;
	assert_int_equal(ask("m.1", "k/000000000000000100000007", buf_slice(&kb)), ERR_CORRUPT);
	buf_done(&kb);
	ir = (struct index_row){.body = 77,
	    .log_header = INDEX_LOG_MIN,
	    .log_body = INDEX_LOG_MIN,
	    .n = 2,
	    .uids = {3, 9}};
	buf_init(&kb, 65536);
	assert_int_equal(index_row_encode(&ir, &kb), 0);
	assert_int_equal(ask("m.1", "t/00000003", buf_slice(&kb)), 0);
	assert_true(n_named == 1 && named[0] == 77);
	buf_done(&kb);
	b.len--;
	assert_int_equal(ask("m.0000000000000001", "m/00000007", buf_slice(&b)), ERR_CORRUPT);
	assert_int_equal(
	    ask("m.0000000000000001", "m/00000007", slice_str("\x09later")), ERR_CORRUPT);
	buf_done(&b);
}

static void
others(void **state)
{
	static const char *const m[] = {"h", "c/0", "x/0", "d/0", "i/0", "o/0"};
	static const char *const a[] = {"h", "b/0", "s/0", "l/b0", "l/h0"};

	(void)state;
	for (size_t i = 0; i < sizeof m / sizeof m[0]; i++)
		assert_int_equal(ask("m.1", m[i], slice_str("x")), 0);
	for (size_t i = 0; i < sizeof a / sizeof a[0]; i++)
		assert_int_equal(ask("a.1", a[i], slice_str("x")), 0);
	assert_int_equal(n_named, 0);
	assert_int_equal(ask("m.1", "?/0", slice_str("x")), ERR_UNSUPPORTED);
	assert_int_equal(ask("m.1", "hh", slice_str("x")), ERR_UNSUPPORTED);
	assert_int_equal(ask("m.1", "m", slice_str("x")), ERR_UNSUPPORTED);
	assert_int_equal(ask("a.1", "m/0", slice_str("x")), ERR_UNSUPPORTED);
	assert_int_equal(ask("a.1", "l/0", slice_str("x")), ERR_UNSUPPORTED);
	assert_int_equal(ask("z.1", "h", slice_str("x")), ERR_UNSUPPORTED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(messages), cmocka_unit_test(others)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
