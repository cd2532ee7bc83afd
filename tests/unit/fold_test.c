/* fold_test.c: Vietnamese folding, order and names (DOMAIN.md B4, C2). Invented people. */
#include "tests/unit/check.h"

#include "lib/err.h"
#include "lib/fold.h"

static void
run(int (*fn)(struct slice, struct buf *), const char *in, const char *want)
{
	struct buf b;

	buf_init(&b, 10000);
	assert_int_equal(fn(slice_str(in), &b), 0);
	check_buf(&b, want);
	buf_done(&b);
}

static void
folding(void **state)
{
	(void)state;
	run(vn_fold, "Đặng Thị Thu Hường", "dang thi thu huong");
	run(vn_fold, "\xc4\x90\x61\xcc\xa3\xcc\x86ng Hu\xcc\x9bo\xcc\x9b\xcc\x80ng",
	    "dang huong");                            /* NFD */
	run(vn_fold, "Ðà Nẵng ðÐđĐ", "da nang dddd"); /* U+00D0 for Đ */
	run(vn_fold, "TRÍCH YẾU NỘI DUNG", "trich yeu noi dung");
	run(vn_fold, "Straße ﬁn ①", "strasse fin 1");
	run(vn_fold, "a\xff b", "a? b");
	run(vn_fold, "", "");
	run(vn_fold, "ABC xyz 123", "abc xyz 123");
	run(vn_ascii, "Công văn phải được ký số.", "Cong van phai duoc ky so.");
	run(vn_ascii, "Đ Ð đ “x” – … 北", "D D d \"x\" - ... ?");
	run(vn_ascii, "a\r\nb\x7f\xff", "a  b ?");
	run(case_fold, "ĐẶNG Straße", "đặng strasse");
	run(case_fold, "A\xcc\xa3\xcc\x86", "ặ"); /* NFC, marks kept */
}

/* Every piece boundary of a long text folds as the rest. */
static void
long_text(void **state)
{
	struct buf in, out;

	(void)state;
	buf_init(&in, 1 << 20);
	buf_init(&out, 1 << 20);
	while (in.len < 300000)
		buf_append_str(&in, "Ệ");
	assert_int_equal(vn_fold(buf_slice(&in), &out), 0);
	assert_int_equal(out.len, in.len / 3);
	for (size_t i = 0; i < out.len; i++)
		assert_int_equal(out.data[i], 'e');
	buf_done(&in);
	buf_done(&out);
	buf_init(&out, 3);
	assert_int_equal(vn_fold(slice_str("abcd"), &out), ERR_LIMIT);
	buf_done(&out);
}

/* Each stands before the next. */
static void
order(void **state)
{
	static const char *const words[] = {"an", "ăn", "ân", "ba", "bà", "bả", "bã", "bá", "bạ",
	    "bà an", "bá an", "băm", "cá", "da", "đa", "e", "ê", "hoa", "hòa", "hoa lan", "hoà lan",
	    "o", "ô", "ơ", "Phạm Văn An", "Phạm Văn Bình", "u", "ư", "x"};
	size_t n = sizeof(words) / sizeof(words[0]);

	(void)state;
	for (size_t i = 0; i + 1 < n; i++) {
		struct slice a = slice_str(words[i]), b = slice_str(words[i + 1]);

		if (strcmp(words[i], "bạ") == 0 || strcmp(words[i], "hòa") == 0)
			continue; /* another first syllable: see below */
		assert_true(vn_collate(a, b) < 0);
		assert_true(vn_collate(b, a) > 0);
	}
	assert_true(vn_collate(slice_str("bà an"), slice_str("bạ")) < 0);
	assert_true(
	    vn_collate(slice_str("bà ba"), slice_str("bá an")) < 0); /* syllable by syllable */
	assert_int_equal(vn_collate(slice_str("Hòa"), slice_str("ho\xcc\x80"
								"a")),
	    0);
	assert_int_equal(
	    vn_collate(slice_str("hòa"), slice_str("hoà")), 0); /* both ways to place the tone */
	assert_int_equal(vn_collate(slice_str("ĐẶNG"), slice_str("đặng")), 0);
	assert_true(vn_collate(slice_str(""), slice_str("a")) < 0);
	assert_int_equal(vn_collate(slice_str(""), slice_str("")), 0);
}

static void
split(const char *name, const char *f, const char *m, const char *g)
{
	struct slice family, middle, given;

	vn_name_split(slice_str(name), &family, &middle, &given);
	check_slice(family, f);
	check_slice(middle, m);
	check_slice(given, g);
}

static void
names(void **state)
{
	(void)state;
	split("Đặng Thị Thu Hường", "Đặng", "Thị Thu", "Hường");
	split("  Trần  Bình ", "Trần", "", "Bình");
	split("Trần Văn\xc2\xa0"
	      "Bình",
	    "Trần", "Văn", "Bình");
	split("Bình", "", "", "Bình");
	split("", "", "", "");
	run(vn_name_id, "Đặng Thị Thu Hường", "huongdtt");
	run(vn_name_id,
	    "\xc4\x90\x61\xcc\xa3\xcc\x86ng Thi\xcc\xa3 Thu Hu\xcc\x9bo\xcc\x9b\xcc\x80ng",
	    "huongdtt");
	run(vn_name_id, "Trần Văn Bình", "binhtv");
	run(vn_name_id, "Ðỗ Đức", "ducd");
	run(vn_name_id, "H'Hen Niê", "nieh");
	run(vn_name_id, "Bình", "binh");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(folding),
	    cmocka_unit_test(long_text),
	    cmocka_unit_test(order),
	    cmocka_unit_test(names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
