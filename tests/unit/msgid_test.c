/* msgid_test.c: Message-IDs in their odd forms, what a row keeps of References, and the order i;unicode-casemap. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "lib/err.h"
#include "lib/msgid.h"
#include "lib/uni.h"

static void
ids(void **state)
{
	static const struct {
		const char *text, *want; /* ids, each followed by a space */
	} t[] = {
	    {"<a@b>", "a@b "},
	    {" <a@b>\r\n\t<c.d@e>", "a@b c.d@e "},
	    /* RFC 5256 3: the same id */
	    {"<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>", "01KF8JCEOCBS0045PS@xxx.yyy.com "},
	    {"<\"a b\\\"c\"@x>", "a b\"c@x "},
	    {"< a . b @ (comment \\) (nested)) x >", "a.b@x "},
	    {"<a@[1.2.3.4]><b@c>", "a@[1.2.3.4] b@c "},
	    {"Your message of \"Mon\" <a@b> from me@here <x@y> x", "a@b x@y "},
	    {"<no-at> <@x> <a@> <> <a@b@c> <a b", ""},
	    {"<<a@b>", "a@b "},
	    {"<\"open@x> <a@b>", "a@b "},
	    {"<(open a@x> <a@b>", "a@b "},
	    {"", ""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct slice rest = slice_str(t[i].text);
		struct buf id, all;
		buf_init(&id, 2000);
		buf_init(&all, 2000);
		for (; msgid_next(&rest, &id); buf_reset(&id)) {
			buf_append_slice(&all, buf_slice(&id));
			buf_append_byte(&all, ' ');
		}
		assert_string_equal(buf_cstr(&all), t[i].want);
		buf_done(&id);
		buf_done(&all);
	}
}

static size_t
refs(const char *header, uint64_t *v)
{
	struct buf b;
	buf_init(&b, MSGID_REFS_SIZE);
	assert_int_equal(msgid_refs(slice_str(header), &b), 0);
	assert_int_equal(b.len % 8, 0);
	for (size_t i = 0; i < b.len / 8; i++) {
		v[i] = 0;
		for (size_t k = 0; k < 8; k++)
			v[i] = v[i] << 8 | b.data[i * 8 + k];
	}
	size_t n = b.len / 8;
	buf_done(&b);
	return n;
}

static void
refs_of_rows(void **state)
{
	uint64_t a[1 + MSGID_REFS_MAX], b[1 + MSGID_REFS_MAX];
	(void)state;
	assert_int_equal(refs("Subject: x\r\n", a), 1);
	assert_true(a[0] == 0);
	assert_int_equal(
	    refs("Message-ID: <m@x>\r\nReferences: <a@x>\r\n <b@x>\r\nIn-Reply-To: <c@x>\r\n", a),
	    3);
	assert_int_equal(
	    refs("Message-id: <b@x>\r\nReferences: nothing\r\nIn-reply-to: at noon <a@x> <b@x>\r\n",
		b),
	    2);
	assert_true(a[1] == b[1] && a[2] == b[0] && a[0] != a[1] && a[1] != a[2]);
	/* too many: the first and the last ones, in their order */
	struct buf h, one;
	buf_init(&h, 100000);
	buf_init(&one, 1000);
	buf_append_str(&h, "References:");
	for (int i = 0; i < 200; i++)
		buf_appendf(&h, " <%d@x>", i);
	assert_int_equal(refs(buf_cstr(&h), a), 1 + MSGID_REFS_MAX);
	for (size_t i = 0; i < MSGID_REFS_MAX; i++) {
		buf_reset(&one);
		buf_appendf(&one, "Message-ID: <%zu@x>", i == 0 ? 0 : 200 - MSGID_REFS_MAX + i);
		refs(buf_cstr(&one), b);
		assert_true(b[0] == a[1 + i]);
	}
	buf_done(&h);
	buf_done(&one);
}

static void
casemap(void **state)
{
	static const struct {
		const char *text, *want;
	} t[] = {
	    {"aBc [1]", "ABC [1]"},
	    /* title case first, then the parts: e, circumflex, dot below as they stand in the decomposition */
	    {"\xe1\xbb\x87", "E\xcc\xa3\xcc\x82"},
	    {"\xc4\x91\xc4\x90", "\xc4\x90\xc4\x90"}, /* d with stroke has none */
	    {"\xc7\x86", "DZ\xcc\x8c"},               /* dz with caron: RFC 5051's own example */
	    {"\xef\xac\x81", "FI"}, /* the ligature has no case of its own, its parts have */
	    {"\xff", "\xef\xbf\xbd"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct buf b;
		buf_init(&b, 100);
		assert_int_equal(uni_casemap(slice_str(t[i].text), &b), 0);
		assert_string_equal(buf_cstr(&b), t[i].want);
		buf_done(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ids),
	    cmocka_unit_test(refs_of_rows),
	    cmocka_unit_test(casemap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
