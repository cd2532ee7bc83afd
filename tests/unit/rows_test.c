/* rows_test.c: rows at rest (backend_rows.c): each carries a check over its key and value; one that fails it is an error of that row alone; rows of
 * older stores without a check are read, and written with one when they change. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/backend_priv.h"

static struct kv *kv;

static int
setup(void **state)
{
	struct kv_txn *t;

	(void)state;
	assert_int_equal(kv_mem_open(&kv), 0);
	assert_int_equal(kv_begin(kv, &t), 0);
	assert_int_equal(rows_create(t, slice_str("m.1"), slice_str("head")), 0);
	return kv_commit(t, true);
}

static int
teardown(void **state)
{
	(void)state;
	kv_close(kv);
	return 0;
}

static int
apply(const char *expect, const char *header, const char *key, const char *value, bool mend)
{
	struct kv_pair puts[2] = {
	    {slice_str("h"), slice_str(header)}, {slice_str(key), slice_str(value)}};
	struct backend_batch b = {.object = slice_str("m.1"),
	    .expect = slice_str(expect),
	    .puts = puts,
	    .n_puts = 2,
	    .mend = mend};
	struct kv_txn *t;
	int err;

	assert_int_equal(kv_begin(kv, &t), 0);
	err = rows_apply(t, &b);
	if (err != 0)
		kv_abort(t);
	else
		assert_int_equal(kv_commit(t, true), 0);
	return err;
}

/* The row as it rests. */
static void
raw_get(const char *key, struct buf *out)
{
	buf_init(out, 70000);
	assert_int_equal(kv_get(kv, NULL, slice_str(key), out), 0);
}

static void
raw_put(const char *key, struct slice value)
{
	struct kv_txn *t;

	assert_int_equal(kv_begin(kv, &t), 0);
	assert_int_equal(kv_put(t, slice_str(key), value), 0);
	assert_int_equal(kv_commit(t, true), 0);
}

static int
get(const char *key, struct buf *out)
{
	buf_init(out, 70000);
	return rows_get(kv, slice_str("m.1"), slice_str(key), out);
}

/* Every octet of a row at rest, each bit of it: found, or what was written. */
static void
flipped(void **state)
{
	struct buf raw, got;
	size_t bad = 0;

	(void)state;
	assert_int_equal(apply("head", "head2", "m/00000001", "\x02some row", false), 0);
	raw_get("r/m.1/m/00000001", &raw);
	assert_int_equal(raw.len, 9 + 5);
	for (size_t bit = 0; bit < 8 * raw.len; bit++) {
		raw.data[bit / 8] ^= (unsigned char)(1u << (bit % 8));
		raw_put("r/m.1/m/00000001", buf_slice(&raw));
		if (get("m/00000001", &got) == ERR_CORRUPT)
			bad++;
		buf_done(&got);
		raw.data[bit / 8] ^= (unsigned char)(1u << (bit % 8));
	}
	assert_int_equal(bad, 8 * raw.len);
	raw_put("r/m.1/m/00000001", buf_slice(&raw));
	assert_int_equal(get("m/00000001", &got), 0);
	assert_string_equal(buf_cstr(&got), "\x02some row");
	buf_done(&got);
	for (size_t n = 0; n < raw.len; n++) { /* cut short */
		raw_put("r/m.1/m/00000001", slice_of(raw.data, n));
		assert_int_equal(get("m/00000001", &got), ERR_CORRUPT);
		buf_done(&got);
	}
	buf_done(&raw);
}

/* A whole row under another key, or in another object, is not that row. */
static void
misplaced(void **state)
{
	struct kv_txn *t;
	struct buf raw, got;

	(void)state;
	assert_int_equal(apply("head", "head2", "m/00000001", "row", false), 0);
	raw_get("r/m.1/m/00000001", &raw);
	raw_put("r/m.1/m/00000002", buf_slice(&raw));
	assert_int_equal(get("m/00000002", &got), ERR_CORRUPT);
	buf_done(&got);
	assert_int_equal(kv_begin(kv, &t), 0);
	assert_int_equal(rows_create(t, slice_str("m.2"), slice_str("head")), 0);
	assert_int_equal(kv_commit(t, true), 0);
	raw_put("r/m.2/m/00000001", buf_slice(&raw));
	buf_init(&got, 1000);
	assert_int_equal(
	    rows_get(kv, slice_str("m.2"), slice_str("m/00000001"), &got), ERR_CORRUPT);
	buf_done(&got);
	buf_done(&raw);
}

/* A scan goes on behind a bad row, which it names. */
static void
scanned(void **state)
{
	struct rows_out o;
	struct buf raw;

	(void)state;
	assert_int_equal(apply("head", "a", "m/00000001", "one", false), 0);
	assert_int_equal(apply("a", "b", "m/00000002", "two", false), 0);
	assert_int_equal(apply("b", "c", "m/00000003", "", false), 0);
	raw_get("r/m.1/m/00000002", &raw);
	raw.data[raw.len - 1] ^= 4;
	raw_put("r/m.1/m/00000002", buf_slice(&raw));
	buf_done(&raw);
	assert_int_equal(
	    rows_scan(kv, slice_str("m.1"), slice_str("m/"), slice_str("m0"), 10, &o), 0);
	assert_int_equal(o.n, 3);
	assert_true(slice_eq_str(o.pairs[0].value, "one"));
	assert_true(slice_eq_str(o.pairs[1].key, "m/00000002"));
	assert_null(o.pairs[1].value.ptr);
	assert_int_equal(o.pairs[1].value.len, 0);
	assert_true(slice_eq_str(o.pairs[2].key, "m/00000003"));
	assert_non_null(o.pairs[2].value.ptr);
	assert_int_equal(o.pairs[2].value.len, 0);
	rows_out_done(&o);
}

/* Rows of an older store. */
static void
older(void **state)
{
	struct buf got, raw;

	(void)state;
	raw_put("r/m.1/h", slice_str("\x02old head"));
	raw_put("r/m.1/m/00000001", slice_str("\x01old row"));
	assert_int_equal(get("m/00000001", &got), 0);
	assert_string_equal(buf_cstr(&got), "\x01old row");
	buf_done(&got);
	assert_int_equal(apply("\x02old heap", "x", "m/00000001", "y", false), ERR_CONFLICT);
	assert_int_equal(
	    apply("\x02old head", "\x02new head", "m/00000001", "\x02new row", false), 0);
	raw_get("r/m.1/m/00000001", &raw);
	assert_int_equal(raw.data[0], 0xC1);
	buf_done(&raw);
	raw_get("r/m.1/h", &raw);
	assert_int_equal(raw.data[0], 0xC1);
	buf_done(&raw);
	assert_int_equal(get("h", &got), 0);
	assert_string_equal(buf_cstr(&got), "\x02new head");
	buf_done(&got);
}

/* A batch over a bad header is refused, unless it is there to mend it; a sound header still guards. */
static void
bad_header(void **state)
{
	struct buf raw, got;

	(void)state;
	assert_int_equal(apply("other", "x", "k", "v", true), ERR_CONFLICT);
	raw_get("r/m.1/h", &raw);
	raw.data[6] ^= 1;
	raw_put("r/m.1/h", buf_slice(&raw));
	buf_done(&raw);
	assert_int_equal(apply("head", "head2", "k", "v", false), ERR_CORRUPT);
	assert_int_equal(get("k", &got), ERR_NOTFOUND);
	buf_done(&got);
	assert_int_equal(apply("head", "head3", "k", "v", true), 0);
	assert_int_equal(get("h", &got), 0);
	assert_string_equal(buf_cstr(&got), "head3");
	buf_done(&got);
}

static uint32_t
format(void)
{
	uint32_t n = 0;

	assert_int_equal(store_format_get(kv, &n), 0);
	return n;
}

/* All steps; gives how many rows were (or would be) written anew. */
static uint64_t
upgrade(bool dry_run, uint64_t *rows_out)
{
	struct backend_upgraded u = {.more = true};
	struct buf from, out;
	uint64_t changed = 0;
	struct kv_txn *t;

	buf_init(&from, 512);
	buf_init(&out, 1024);
	*rows_out = 0;
	while (u.more) {
		assert_int_equal(kv_begin(kv, &t), 0);
		assert_int_equal(store_upgrade_step(kv, t, buf_slice(&from), dry_run, &out), 0);
		assert_int_equal(kv_commit(t, true), 0);
		memcpy(&u, out.data, sizeof u);
		changed += u.changed;
		*rows_out += u.rows;
		buf_reset(&from);
		buf_append_slice(&from, slice_from(buf_slice(&out), sizeof u));
	}
	buf_done(&from);
	buf_done(&out);
	return changed;
}

/* A store of an older version is read, and brought to the present form; the dry run changes nothing. */
static void
upgraded(void **state)
{
	char key[64];
	struct buf got;
	uint64_t rows;

	(void)state;
	raw_put("r/m.1/h", slice_str("\x02old head"));
	for (unsigned i = 1; i <= 700; i++) {
		snprintf(key, sizeof key, "r/m.1/m/%08x", i);
		raw_put(key, i % 2 == 0 ? slice_str("\x02old") : slice_str("\x01older"));
	}
	raw_put("b/0000000000000001", slice_str("\x01 not a row of an object"));
	assert_int_equal(store_format_open(kv), 0);
	assert_int_equal(format(), 1);
	assert_int_equal(upgrade(true, &rows), 701);
	assert_int_equal(rows, 701);
	assert_int_equal(format(), 1);
	assert_int_equal(upgrade(false, &rows), 701);
	assert_int_equal(format(), STORE_FORMAT);
	assert_int_equal(upgrade(false, &rows), 0);
	for (unsigned i = 1; i <= 700; i++) {
		snprintf(key, sizeof key, "m/%08x", i);
		assert_int_equal(get(key, &got), 0);
		assert_string_equal(buf_cstr(&got), i % 2 == 0 ? "\x02old" : "\x01older");
		buf_done(&got);
		snprintf(key, sizeof key, "r/m.1/m/%08x", i);
		raw_get(key, &got);
		assert_int_equal(got.data[0], 0xC1);
		buf_done(&got);
	}
	raw_get("b/0000000000000001", &got);
	assert_int_equal(got.data[0], 1);
	buf_done(&got);
}

/* A new store has the present format; one of a newer version is refused unless that version says that this one may read it. */
static void
formats(void **state)
{
	struct kv *empty = kv;

	(void)state;
	assert_int_equal(kv_mem_open(&kv), 0);
	assert_int_equal(store_format_open(kv), 0);
	assert_int_equal(format(), STORE_FORMAT);
	assert_int_equal(store_format_open(kv), 0);
	raw_put("v/format", slice_of("\1\0\0\0\3\0\0\0\3", 9));
	assert_int_equal(store_format_open(kv), ERR_UNSUPPORTED);
	raw_put("v/format", slice_of("\1\0\0\0\3\0\0\0\2 and more", 18));
	assert_int_equal(store_format_open(kv), 0);
	raw_put("v/format", slice_of("\2\0\0\0\2\0\0\0\2", 9));
	assert_int_equal(store_format_open(kv), ERR_UNSUPPORTED);
	raw_put("v/format", slice_of("\1", 1));
	assert_int_equal(store_format_open(kv), ERR_UNSUPPORTED);
	kv_close(kv);
	kv = empty;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(flipped, setup, teardown),
	    cmocka_unit_test_setup_teardown(misplaced, setup, teardown),
	    cmocka_unit_test_setup_teardown(scanned, setup, teardown),
	    cmocka_unit_test_setup_teardown(older, setup, teardown),
	    cmocka_unit_test_setup_teardown(bad_header, setup, teardown),
	    cmocka_unit_test_setup_teardown(upgraded, setup, teardown),
	    cmocka_unit_test_setup_teardown(formats, setup, teardown),
	};

	log_init("rows_test", 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
