/* addr_test.c: address lists (RFC 5322 appendix A and what people write), envelope paths, comparison. */
#include "tests/unit/check.h"

#include "lib/addr.h"
#include "lib/err.h"

static struct arena *arena;
static bool strict;

/* The list as text: "display|route|local|domain;" for a mailbox, "name:" and "." for a group's ends. */
static void
lists(const char *in, const char *want, bool want_strict)
{
	struct addr *list = NULL;
	struct buf b;

	assert_int_equal(addr_list_parse(slice_str(in), 1000, arena, &list, &strict), 0);
	buf_init(&b, 10000);
	for (struct addr *e = list; e != NULL; e = e->next) {
		if (e->kind == ADDR_GROUP_END) {
			buf_append_str(&b, ".");
			continue;
		}
		buf_append_slice(&b, e->display);
		if (e->kind == ADDR_GROUP_START) {
			buf_append_str(&b, ":");
			continue;
		}
		buf_append_str(&b, "|");
		buf_append_slice(&b, e->route);
		buf_append_str(&b, "|");
		buf_append_slice(&b, e->local);
		buf_append_str(&b, "|");
		buf_append_slice(&b, e->domain);
		buf_append_str(&b, ";");
	}
	check_buf(&b, want);
	assert_int_equal(strict, want_strict);
	buf_done(&b);
}

static void
rfc5322_examples(void **state)
{
	(void)state;
	lists(" John Doe <jdoe@machine.example>", "John Doe||jdoe|machine.example;", true);
	lists("\"Joe Q. Public\" <john.q.public@example.com>",
	    "Joe Q. Public||john.q.public|example.com;", true);
	lists("Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
	    "Mary Smith||mary|x.test;||jdoe|example.org;Who?||one|y.test;", true);
	lists("<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
	    "||boss|nil.test;Giant; \"Big\" Box||sysservices|example.net;", true);
	lists("A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
	    "A Group:Ed Jones||c|a.test;||joe|where.test;John||jdoe|one.test;.", true);
	lists("Undisclosed recipients:;", "Undisclosed recipients:.", true);
	/* A.5 */
	lists("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
	    "Pete||pete|silly.test;", true);
	lists("A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n"
	      "         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of "
	      "the group)",
	    "A Group:Chris Jones||c|public.example;||joe|example.org;John||jdoe|one.test;.", true);
	lists("(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;",
	    "Hidden recipients:.", true);
}

static void
obsolete(void **state)
{
	(void)state;
	lists("Joe Q. Public <john.q.public@example.com>",
	    "Joe Q. Public||john.q.public|example.com;", false);
	lists("Mary Smith <@machine.tld,@b.test:mary@example.net>, , jdoe@test   . example",
	    "Mary Smith|@machine.tld,@b.test|mary|example.net;||jdoe|test.example;", false);
	lists("a@b.test,", "||a|b.test;", false);
	lists("jdoe@example.org (John Doe)", "John Doe||jdoe|example.org;", true);
	lists("<a@[192.0.2.1]>", "||a|[192.0.2.1];", true);
	lists("\"a b\"@c.test", "||a b|c.test;", true);
}

static void
as_written(void **state)
{
	(void)state;
	lists("Đặng Thị Thu Hường <huongdtt@tinhmau.example>",
	    "Đặng Thị Thu Hường||huongdtt|tinhmau.example;", true);
	lists("=?utf-8?B?xJDhurduZw==?= =?utf-8?Q?H?= <h@a.test>",
	    "=?utf-8?B?xJDhurduZw==?= =?utf-8?Q?H?=||h|a.test;", true);
	lists("a@b.test <c@d.test>", "a@b.test||c|d.test;", false);
	lists("Nguyen, Van A <a@b.test>", "||Nguyen|;Van A||a|b.test;", false);
	lists("postmaster", "||postmaster|;", false);
	lists("a b@c.test", "||a b|c.test;", false);
	lists("a@b.test c@d.test", "||a|b.test;||c|d.test;", false);
	lists("<a@b.test", "||a|b.test;", false);
	lists("\"open <a@b.test>", "||open <a@b.test>|;", false);
	lists("(open", "", false);
	lists("<>", "|||;", false);
	lists("", "", false);
	lists("@@@", "|||;|||;|||;", false);
	lists("x:y:a@b.test;", "x:||y a|b.test;.", false);
	lists("a@b.test;", "||a|b.test;", false);
	lists("a@b..test", "||a|b..test;", true);
	lists("a..b@c.test", "||a..b|c.test;", false);
	lists(".a@c.test", "||.a|c.test;", false);
	lists("Victim <v@a.test> <evil@b.test>", "Victim||v|a.test;||evil|b.test;", false);
}

static void
bounded(void **state)
{
	struct addr *list = NULL;
	struct buf b;

	(void)state;
	assert_int_equal(
	    addr_list_parse(slice_str("a@b,c@d,e@f"), 2, arena, &list, NULL), ERR_LIMIT);
	assert_null(list);
	buf_init(&b, 4000000);
	for (int i = 0; i < 1000000; i++)
		buf_append_str(&b, i % 2 ? "(" : "\"(<");
	assert_int_equal(addr_list_parse(buf_slice(&b), 1000, arena, &list, &strict), 0);
	assert_false(strict);
	buf_done(&b);
}

static void
path(const char *in, bool utf8, const char *want, const char *rest)
{
	struct slice a, r;

	assert_int_equal(addr_path_parse(slice_str(in), utf8, arena, &a, &r), 0);
	check_slice(a, want);
	check_slice(r, rest);
}

static void
paths(void **state)
{
	static const char *const bad[] = {"", "a@b.test", "<a@b.test", "<a>", "<a@>", "<@b.test>",
	    "< a@b.test>", "<a@b.test >", "<a b@c.test>", "<a@b_c.test>", "<a@-b.test>",
	    "<a@b-.test>", "<a@b..test>", "<a@.b>", "<.a@b>", "<a.@b>", "<a..b@c>",
	    "<a@[300.1.1.1]>", "<a@[IPv6:zz]>", "<a@[192.0.2.1>", "<\"a@b.test>", "<\"a\nb\"@c>",
	    "<a@b@c>", "<đ@b.test>", "<a@đ.test>", "<@a,@b:c@d", "<@a:>", "<a@b.test.>"};
	struct slice a, r;
	struct buf b;

	(void)state;
	path("<jdoe@Example.ORG> SIZE=100", false, "jdoe@example.org", " SIZE=100");
	path("<>", false, "", "");
	path("<Postmaster>", false, "Postmaster", "");
	path("<@one.test,@two.test:joe@three.test>", false, "joe@three.test", "");
	path("<\"Joe Q\"@a.test>", false, "\"Joe Q\"@a.test", "");
	path("<\"joe\"@a.test>", false, "joe@a.test", "");
	path("<\"a\\\"b>c\"@a.test>x", false, "\"a\\\"b>c\"@a.test", "x");
	path("<a@[192.0.2.1]>", false, "a@[192.0.2.1]", "");
	path("<a@[IPv6:2001:db8::1]>", false, "a@[ipv6:2001:db8::1]", "");
	path("<đức@tỉnhmẫu.example>", true, "đức@tỉnhmẫu.example", "");
	path("<user+tag/x=y@a.test>", false, "user+tag/x=y@a.test", "");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    addr_path_parse(slice_str(bad[i]), false, arena, &a, &r), ERR_SYNTAX);
	assert_int_equal(addr_path_parse(LIT("<a\0b@c.test>"), true, arena, &a, &r), ERR_SYNTAX);
	assert_int_equal(
	    addr_path_parse(slice_str("<\xff@c.test>"), true, arena, &a, &r), ERR_SYNTAX);
	buf_init(&b, 1000);
	buf_append_byte(&b, '<');
	for (int i = 0; i < 64; i++)
		buf_append_byte(&b, 'a');
	buf_append_str(&b, "@b.test>");
	assert_int_equal(addr_path_parse(buf_slice(&b), false, arena, &a, &r), 0);
	b.data[0] = 'a';
	buf_reset(&b);
	buf_append_byte(&b, '<');
	for (int i = 0; i < 65; i++)
		buf_append_byte(&b, 'a');
	buf_append_str(&b, "@b.test>");
	assert_int_equal(addr_path_parse(buf_slice(&b), false, arena, &a, &r), ERR_LIMIT);
	buf_done(&b);
}

static void
normal(const char *in, const char *want)
{
	struct buf b;

	buf_init(&b, 2000);
	buf_append_str(&b, "+");
	if (want == NULL) {
		assert_int_equal(addr_normalize(slice_str(in), &b), ERR_SYNTAX);
		check_buf(&b, "+");
	} else {
		assert_int_equal(addr_normalize(slice_str(in), &b), 0);
		check_slice(slice_from(buf_slice(&b), 1), want);
	}
	buf_done(&b);
}

static void
compare(void **state)
{
	struct slice l, d;

	(void)state;
	normal("Huong.DTT@TinhMau.Example", "huong.dtt@tinhmau.example");
	normal("a@tỉnhmẫu.example", "a@xn--tnhmu-c31boi.example");
	normal("a@TỈNHMẪU.example", "a@xn--tnhmu-c31boi.example");
	normal("\"joe\"@a.test", "joe@a.test");
	normal("\"Joe Q\"@a.test", "\"joe q\"@a.test");
	normal("d\xcc\xa3u\xcc\x9b@a.test", "ḍư@a.test");
	normal("Postmaster", "postmaster");
	normal("a", NULL);
	normal("@b", NULL);
	normal("a@", NULL);
	normal("", NULL);
	normal("a@b c\xff", NULL);
	assert_true(addr_same(slice_str("A@B.test"), slice_str("a@b.TEST")));
	assert_true(
	    addr_same(slice_str("a@tỉnhmẫu.example"), slice_str("a@xn--tnhmu-c31boi.example")));
	assert_false(addr_same(slice_str("a@b.test"), slice_str("b@b.test")));
	assert_false(addr_same(slice_str(""), slice_str("")));
	assert_int_equal(addr_split(slice_str("\"a@b\"@c.test"), &l, &d), 0);
	check_slice(l, "\"a@b\"");
	check_slice(d, "c.test");
	assert_int_equal(addr_split(slice_str("\"a@b"), &l, &d), ERR_SYNTAX);
}

static void
domains(void **state)
{
	(void)state;
	assert_true(addr_domain_ok(slice_str("localhost"), false));
	assert_true(addr_domain_ok(slice_str("a-1.b2.test"), false));
	assert_true(addr_domain_ok(slice_str("[IPv6:::1]"), false));
	assert_true(addr_domain_ok(slice_str("tỉnh.test"), true));
	assert_false(addr_domain_ok(slice_str("tỉnh.test"), false));
	assert_false(addr_domain_ok(slice_str(""), false));
	assert_false(addr_domain_ok(slice_str("[]"), false));
	assert_false(addr_domain_ok(slice_str("["), false));
	assert_false(addr_domain_ok(slice_str("a..b"), true));
	assert_false(addr_domain_ok(LIT("a\0.b"), true));
	assert_false(addr_domain_ok(
	    slice_str("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test"),
	    false));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rfc5322_examples),
	    cmocka_unit_test(obsolete),
	    cmocka_unit_test(as_written),
	    cmocka_unit_test(bounded),
	    cmocka_unit_test(paths),
	    cmocka_unit_test(compare),
	    cmocka_unit_test(domains),
	};
	int r;

	arena = arena_new(1 << 24);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(arena);
	return r;
}
