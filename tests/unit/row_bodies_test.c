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
#include "store/text_row.h"

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

/* What was read of documents: named for as long as the mail is. */
static void
texts(void **state)
{
	struct text_wanted w = {.since = 77, .tries = 2, .why = slice_str("no memory")}, was;
	struct text_read t = {.text = 0x42, .at = 5, .how = TEXT_CUT}, read;
	struct text_old old = {.upto = 0x123456789, .at = 88}, old_was;
	struct row_counts c = {0};
	char key[TEXT_KEY_LEN + 1];
	uint64_t of = 0;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(text_read_encode(&t, &b), 0);
	assert_true(slice_eq_str(text_key(key, TEXT_READ, 0x1f), "e/000000000000001f"));
	assert_int_equal(ask(TEXT_OBJECT, key, buf_slice(&b)), 0);
	assert_true(n_named == 1 && named[0] == 0x42);
	assert_true(row_is_weak(slice_str(TEXT_OBJECT), slice_str(key), &of));
	assert_int_equal(of, 0x1f);
	assert_false(row_is_weak(slice_str("m.1"), slice_str("m/00000001"), &of));
	assert_false(row_is_weak(slice_str(TEXT_OBJECT), slice_str("w/000000000000001f"), &of));
	assert_int_equal(text_read_decode(buf_slice(&b), &read), 0);
	assert_true(read.text == 0x42 && read.at == 5 && read.how == TEXT_CUT);
	row_count(slice_str(TEXT_OBJECT), slice_str(key), buf_slice(&b), &c);
	b.len--;
	assert_int_equal(ask(TEXT_OBJECT, key, buf_slice(&b)), ERR_CORRUPT);
	/* one without text names nothing */
	buf_reset(&b);
	t.text = 0;
	assert_int_equal(text_read_encode(&t, &b), 0);
	assert_int_equal(ask(TEXT_OBJECT, key, buf_slice(&b)), 0);
	assert_int_equal(n_named, 0);
	row_count(slice_str(TEXT_OBJECT), slice_str(key), buf_slice(&b), &c);
	/* how far old mail was looked through */
	buf_reset(&b);
	assert_int_equal(text_old_encode(&old, &b), 0);
	assert_int_equal(ask(TEXT_OBJECT, TEXT_OLD_KEY, buf_slice(&b)), 0);
	assert_int_equal(n_named, 0);
	assert_int_equal(text_old_decode(buf_slice(&b), &old_was), 0);
	assert_true(old_was.upto == 0x123456789 && old_was.at == 88);
	b.len--;
	assert_int_equal(text_old_decode(buf_slice(&b), &old_was), ERR_CORRUPT);
	/* wanted, given up */
	buf_reset(&b);
	assert_int_equal(text_wanted_encode(&w, &b), 0);
	assert_int_equal(text_wanted_decode(buf_slice(&b), &was), 0);
	assert_true(was.since == 77 && was.tries == 2 && slice_eq_str(was.why, "no memory"));
	assert_int_equal(
	    ask(TEXT_OBJECT, text_key(key, TEXT_WANTED, 3).len ? key : "", buf_slice(&b)), 0);
	assert_int_equal(n_named, 0);
	row_count(slice_str(TEXT_OBJECT), slice_str(key), buf_slice(&b), &c);
	row_count(slice_str(TEXT_OBJECT), text_key(key, TEXT_FAILED, 3), buf_slice(&b), &c);
	assert_int_equal(ask(TEXT_OBJECT, key, buf_slice(&b)), 0);
	assert_true(c.texts_read == 1 && c.texts_none == 1 && c.texts_wanted == 1 &&
		    c.texts_failed == 1 && c.texts_since == 77);
	assert_int_equal(text_key_body(slice_str("w/000000000000001F"), &of), ERR_CORRUPT);
	assert_int_equal(text_key_body(slice_str("w/1f"), &of), ERR_CORRUPT);
	assert_int_equal(ask(TEXT_OBJECT, "?/000000000000001f", slice_str("x")), ERR_UNSUPPORTED);
	/* what stands before a text is of that mail and of no other */
	buf_reset(&b);
	assert_int_equal(text_head_put(9, &b), 0);
	assert_int_equal(b.len, TEXT_HEAD);
	assert_true(text_head_ok(buf_slice(&b), 9));
	assert_false(text_head_ok(buf_slice(&b), 8));
	assert_false(text_head_ok(slice_sub(buf_slice(&b), 0, TEXT_HEAD - 1), 9));
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(messages), cmocka_unit_test(others), cmocka_unit_test(texts)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
