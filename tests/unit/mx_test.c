/* mx_test.c: in which order the hosts of a domain are tried, and which way a domain's mail goes. RFC 5321 5.1, RFC 7505. */
#include "config.h"

#include "tests/unit/unit.h"

#include "lib/err.h"
#include "smtpd/mx.h"
#include "smtpd/relay_route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint32_t seed;

static uint32_t
next_random(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

static void
test_order(void **state)
{
	unsigned first_b = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		struct mx_host h[] = {{20, "d"}, {10, "b"}, {5, "a"}, {10, "c"}, {30, "A"}};
		size_t n = 5;
		assert_int_equal(mx_order(h, &n, "mx.tinhmau.example", next_random), MX_OK);
		assert_int_equal(n, 4); /* the double is gone */
		assert_string_equal(h[0].name, "a");
		assert_string_equal(h[3].name, "d");
		first_b += strcmp(h[1].name, "b") == 0;
	}
	/* equals share the load */
	assert_in_range(first_b, 60, 140);
}

static void
test_self(void **state)
{
	struct mx_host h[] = {{20, "d"}, {10, "Mx.TinhMau.example"}, {5, "a"}, {10, "c"}};
	struct mx_host best[] = {{20, "d"}, {10, "mx.tinhmau.example"}, {10, "c"}};
	size_t n = 4;

	(void)state;
	assert_int_equal(mx_order(h, &n, "mx.tinhmau.example", next_random), MX_OK);
	assert_int_equal(n, 1);
	assert_string_equal(h[0].name, "a");
	n = 3;
	assert_int_equal(mx_order(best, &n, "mx.tinhmau.example", next_random), MX_SELF);
	assert_int_equal(n, 0);
}

static void
test_null(void **state)
{
	struct mx_host one[] = {{0, ""}}, two[] = {{0, ""}, {10, "a"}}, both[] = {{0, ""}, {5, ""}};
	size_t n = 1;

	(void)state;
	assert_int_equal(mx_order(one, &n, "me", next_random), MX_NULL);
	n = 2;
	assert_int_equal(mx_order(two, &n, "me", next_random), MX_OK);
	assert_int_equal(n, 1);
	assert_string_equal(two[0].name, "a");
	n = 2;
	assert_int_equal(mx_order(both, &n, "me", next_random), MX_NULL);
}

static void
test_route_parse(void **state)
{
	static const char *const bad[] = {"", "smtp:", "smtp:host", "smtp:host:0",
	    "smtp:host:99999", "smtp::25", "lmtp:unix:", "unix:", "http:host:80",
	    "smtp:2001:db8::1:25", "mx:x", "smtp:a b:25"};
	struct relay_route r;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(relay_route_parse(bad[i], RELAY_SMTP, &r), ERR_SYNTAX);
	assert_int_equal(relay_route_parse("smtps:[2001:db8::1]:465", RELAY_SMTP, &r), 0);
	assert_int_equal(r.way, RELAY_SMTPS);
	assert_string_equal(r.host, "2001:db8::1");
	assert_int_equal(r.port, 465);
	relay_route_done(&r);
	assert_int_equal(relay_route_parse("lmtp:unix:/run/dovecot/lmtp", RELAY_SMTP, &r), 0);
	assert_int_equal(r.way, RELAY_LMTP);
	assert_string_equal(r.path, "/run/dovecot/lmtp");
	relay_route_done(&r);
	assert_int_equal(relay_route_parse("inet:127.0.0.1:24", RELAY_LMTP, &r), 0);
	assert_int_equal(r.way, RELAY_LMTP);
	relay_route_done(&r);
}

static struct conf *
conf_of(const char *text)
{
	char name[] = "/tmp/mx_test.XXXXXX", *why = NULL;
	int fd = mkstemp(name);
	struct conf *c = NULL;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	assert_int_equal(conf_load(name, &c, &why), 0);
	unlink(name);
	return c;
}

static const char *
way(const struct relay_routes *r, const char *domain)
{
	const struct relay_route *x = relay_routes_find(r, slice_str(domain));

	return x == NULL ? "nowhere" : x->text;
}

static void
test_routes(void **state)
{
	struct conf *c =
	    conf_of("relay_routes = {\".vn=smtp:a:1\", \"b.vn=lmtp:unix:x\", \".b.vn=mx\"}\n"
		    "relay_tls = \"may\"\nrelay_tls_policy = {\".vn=encrypt\", \"b.vn=verify\", "
		    "\"x.vn=often\"}\n");
	struct conf *d = conf_of("smarthost = \"smtp:out:25\"\n"),
		    *e = conf_of("relay_direct = true\n");
	struct conf *bad = conf_of("relay_routes = {\"smtp:a:1\"}\n");
	const char *why, *what;
	struct relay_routes *r;

	(void)state;
	assert_int_equal(relay_routes_new(c, &r, &why, &what), 0);
	assert_string_equal(way(r, "x.VN"), "smtp:a:1");
	assert_string_equal(way(r, "b.vn"), "lmtp:unix:x");
	assert_string_equal(way(r, "c.b.vn"), "mx");
	assert_string_equal(way(r, "vn"), "nowhere");
	assert_string_equal(way(r, "xvn"), "nowhere");
	relay_routes_free(r);
	assert_int_equal(relay_routes_new(d, &r, &why, &what), 0);
	assert_string_equal(way(r, "any.example"), "smtp:out:25");
	assert_null(relay_routes_own(r, slice_str("any.example")));
	relay_routes_free(r);
	assert_int_equal(relay_routes_new(e, &r, &why, &what), 0);
	assert_string_equal(way(r, "any.example"), "mx");
	relay_routes_free(r);
	assert_int_equal(relay_routes_new(bad, &r, &why, &what), ERR_SYNTAX);
	assert_string_equal(what, "smtp:a:1");
	assert_int_equal(relay_tls_of(c, slice_str("a.example")), RELAY_TLS_MAY);
	assert_int_equal(relay_tls_of(c, slice_str("a.vn")), RELAY_TLS_ENCRYPT);
	assert_int_equal(relay_tls_of(c, slice_str("B.vn")), RELAY_TLS_VERIFY);
	assert_int_equal(relay_tls_of(c, slice_str("x.vn")), 0);
	conf_free(c);
	conf_free(d);
	conf_free(e);
	conf_free(bad);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_order),
	    cmocka_unit_test(test_self), cmocka_unit_test(test_null),
	    cmocka_unit_test(test_route_parse), cmocka_unit_test(test_routes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
