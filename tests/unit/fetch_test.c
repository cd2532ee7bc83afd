/* fetch_test.c: which URLs and addresses fetch goes to, what it remembers, what it reads of an LDAP answer. */
#include "config.h"

#include "directory/fetch_cache.h"
#include "directory/fetch_client.h"
#include "directory/fetch_ldif.h"
#include "directory/fetch_url.h"
#include "lib/err.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static int
url(const char *text, struct fetch_url *u)
{
	return fetch_url_parse(slice_str(text), u);
}

static void
test_url(void **state)
{
	static const char *const bad[] = {"", "http:", "http://", "http:///x", "ftp://a.example/",
	    "file:///etc/passwd", "gopher://a/", "http://user@a.example/", "http://u:p@a.example/",
	    "http://a.example\\@b.example/", "http://a.example/x y", "http://a.example/\r\nX: y",
	    "http://a.example/#part", "http://a.example:0/", "http://a.example:65536/",
	    "http://a.example:80x/", "http://a.example:/", "http://a..example/", "http://.example/",
	    "http://-a.example/", "http://a%2eexample/", "http://0x7f000001/", "http://2130706433/",
	    "http://127.1/", "http://127.0.0.1.5/", "http://0177.0.0.1/", "http://a.0x1/",
	    "http://[::1/", "http://[1.2.3.4]/", "http://[::1]x/", "http://[fe80::1%25eth0]/",
	    "http://\xc4\x91.example/", "ldap:///dc=x?a", "ldap://h/dc=x", "ldap://h/dc=x?",
	    "ldap://h/dc=x?a,b", "ldap://h/dc=x?a?sub", "ldap://h/dc=x?a?one?(x=y)",
	    "http://a.example/\"", " http://a.example/"};
	struct fetch_url u;
	char longer[FETCH_URL_MAX + 20];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (url(bad[i], &u) != ERR_SYNTAX)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(url("HTTP://CA.gov.vn/crl/a.crl?x=1", &u), 0);
	assert_int_equal(u.scheme, FETCH_HTTP);
	assert_true(slice_eq_str(u.host, "CA.gov.vn"));
	assert_int_equal(u.port, 80);
	assert_true(slice_eq_str(u.rest, "/crl/a.crl?x=1"));
	assert_int_equal(url("https://a.example:8443", &u), 0);
	assert_int_equal(u.port, 8443);
	assert_int_equal(url("http://192.0.2.1/", &u), 0);
	assert_int_equal(url("https://[2001:db8::1]:444/x", &u), 0);
	assert_true(u.host_is_ipv6 && slice_eq_str(u.host, "2001:db8::1") && u.port == 444);
	assert_int_equal(
	    url("ldap://h.example/cn=CA,o=x?certificateRevocationList;binary?base?(objectClass=*)",
		&u),
	    0);
	assert_true(slice_eq_str(u.attr, "certificateRevocationList;binary") && u.port == 389);
	memset(longer, 'a', sizeof(longer));
	memcpy(longer, "http://h/", 9);
	assert_int_equal(fetch_url_parse(slice_of(longer, FETCH_URL_MAX), &u), 0);
	assert_int_equal(fetch_url_parse(slice_of(longer, FETCH_URL_MAX + 1), &u), ERR_SYNTAX);
}

static struct fetch_policy *
policy(const char *conf_text, char **why_out)
{
	char path[] = "/tmp/fetch_test.XXXXXX", *why = NULL;
	struct fetch_policy *p = NULL;
	struct conf *c = NULL;
	int fd = mkstemp(path);

	assert_true(
	    fd >= 0 && write(fd, conf_text, strlen(conf_text)) == (ssize_t)strlen(conf_text));
	close(fd);
	assert_int_equal(conf_load(path, &c, &why), 0);
	unlink(path);
	(void)fetch_policy_new(c, &p, why_out);
	conf_free(c);
	return p;
}

static bool
address(const struct fetch_policy *p, const char *text)
{
	int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	unsigned char a[16];

	assert_int_equal(inet_pton(family, text, a), 1);
	return fetch_policy_address(p, family, a);
}

static int
allowed(const struct fetch_policy *p, const char *text)
{
	struct fetch_url u;
	int err = url(text, &u);

	return err != 0 ? err : fetch_policy_url(p, &u);
}

static void
test_addresses(void **state)
{
	static const char *const public[] = {"8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.0",
	    "100.128.0.1", "11.0.0.1", "223.255.255.255", "2600::1", "2a00:1450::1",
	    "64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8"};
	static const char *const special[] = {"0.0.0.0", "127.0.0.1", "127.255.255.255", "10.1.2.3",
	    "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
	    "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1",
	    "fc00::1", "fdff::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
	    "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::1",
	    "2002:a00:1::", "2001::1", "fec0::1"};
	struct fetch_policy *p = policy("", NULL);

	(void)state;
	assert_non_null(p);
	for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++)
		if (!address(p, public[i]))
			fail_msg("refused: %s", public[i]);
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		if (address(p, special[i]))
			fail_msg("let through: %s", special[i]);
	fetch_policy_free(p);
	p = policy("fetch_networks = {\"10.20.0.0/15\", \"127.0.0.1\", \"fd00:1::/32\"}", NULL);
	assert_true(address(p, "10.20.0.1") && address(p, "10.21.255.255") &&
		    address(p, "127.0.0.1") && address(p, "fd00:1::9"));
	assert_true(address(p, "::ffff:10.20.0.1"));
	assert_false(address(p, "10.22.0.1") || address(p, "10.19.255.255") ||
		     address(p, "127.0.0.2") || address(p, "fd00:2::9"));
	fetch_policy_free(p);
}

static void
test_hosts(void **state)
{
	char *why = NULL;
	struct fetch_policy *p = policy("", NULL);
	struct fetch_url u;

	(void)state;
	assert_int_equal(allowed(p, "http://any.example/"), 0);
	assert_int_equal(allowed(p, "https://any.example/"), 0);
	assert_int_equal(allowed(p, "ldap://any.example/dc=x?a"), 0);
	assert_int_equal(
	    allowed(p, "ldaps://any.example/dc=x?a"), ERR_DENIED); /* not in fetch_schemes */
	assert_int_equal(allowed(p, "http://any.example:25/"), ERR_DENIED);
	assert_int_equal(allowed(p, "http://127.0.0.1/"), ERR_DENIED);
	assert_int_equal(allowed(p, "http://[::1]/"), ERR_DENIED);
	fetch_policy_free(p);
	p = policy("fetch_hosts = {\".gov.vn\", \"ca.example\", \"ca.example:8080\", "
		   "\"10.1.1.1\"}\nfetch_networks = {\"10.1.1.1\"}\n"
		   "fetch_proxy = \"http://proxy:3128\"\nfetch_no_proxy = {\".gov.vn\"}",
	    NULL);
	assert_int_equal(allowed(p, "http://crl.ca.gov.vn/"), 0);
	assert_int_equal(allowed(p, "http://CRL.GOV.VN./"), 0);
	assert_int_equal(allowed(p, "http://gov.vn/"), ERR_DENIED);
	assert_int_equal(allowed(p, "http://evilgov.vn/"), ERR_DENIED);
	assert_int_equal(allowed(p, "http://ca.example:8080/"), 0);
	assert_int_equal(allowed(p, "http://ca.example:8081/"), ERR_DENIED);
	assert_int_equal(allowed(p, "http://x.ca.example/"), ERR_DENIED);
	assert_int_equal(allowed(p, "http://10.1.1.1/"), 0);
	assert_int_equal(url("http://x.gov.vn/", &u), 0);
	assert_null(fetch_policy_proxy(p, &u));
	assert_int_equal(url("http://ca.example/", &u), 0);
	assert_string_equal(fetch_policy_proxy(p, &u), "http://proxy:3128");
	fetch_policy_free(p);
	p = policy("fetch_hosts = {}", NULL);
	assert_int_equal(allowed(p, "http://any.example/"), ERR_DENIED);
	fetch_policy_free(p);
	assert_null(policy("fetch_networks = {\"10.0.0.0/33\"}", &why));
	assert_non_null(strstr(why, "fetch_networks"));
	free(why);
	assert_null(policy("fetch_schemes = {\"gopher\"}", &why));
	free(why);
	assert_null(policy("fetch_hosts = {\"a:0\"}", &why));
	free(why);
	assert_null(policy("fetch_proxy = \"socks5://x\"", &why));
	free(why);
}

static struct fetch_answer *
answer(size_t len, int64_t fetched)
{
	struct fetch_answer *a = calloc(1, sizeof(*a));

	a->status = 200;
	a->fetched = fetched;
	a->content_type = strdup("x/y");
	a->body = slice_of(calloc(1, len), len);
	return a;
}

static void
key(unsigned n, unsigned char out[FETCH_KEY])
{
	char text[40];
	struct fetch_request r = {.url = text};

	snprintf(text, sizeof(text), "http://h/%u", n);
	fetch_key_of(&r, out);
}

static void
test_cache(void **state)
{
	struct fetch_cache *c = fetch_cache_new(1000, 5);
	unsigned char k[FETCH_KEY], post[FETCH_KEY];
	struct fetch_request r = {
	    .url = "http://h/1", .is_post = true, .content_type = "a/b", .body = slice_str("q")};

	(void)state;
	key(1, k);
	fetch_key_of(&r, post);
	assert_memory_not_equal(k, post, FETCH_KEY);
	assert_null(fetch_cache_get(c, k));
	fetch_cache_put_take(c, k, answer(400, 7));
	assert_int_equal(fetch_cache_get(c, k)->fetched, 7);
	fetch_cache_put_take(c, k, answer(300, 8));
	assert_int_equal(fetch_cache_bytes(c), 300);
	/* a failure leaves the answer, and is over with the next answer or after its time */
	fetch_cache_failed(c, k, 100, ERR_TEMP);
	assert_int_equal(fetch_cache_failure(c, k, 109, 10), ERR_TEMP);
	assert_int_equal(fetch_cache_failure(c, k, 110, 10), 0);
	assert_int_equal(fetch_cache_get(c, k)->fetched, 8);
	fetch_cache_put_take(c, k, answer(300, 9));
	assert_int_equal(fetch_cache_failure(c, k, 101, 10), 0);
	/* too large for it */
	key(2, k);
	fetch_cache_put_take(c, k, answer(501, 1));
	assert_null(fetch_cache_get(c, k));
	/* the longest unused goes, by bytes and by number */
	for (unsigned i = 10; i < 14; i++) {
		key(i, k);
		fetch_cache_put_take(c, k, answer(300, 1));
		assert_true(fetch_cache_bytes(c) <= 1000);
		assert_non_null(fetch_cache_get(c, k));
	}
	key(10, k);
	assert_null(fetch_cache_get(c, k));
	for (unsigned i = 20; i < 30; i++) {
		key(i, k);
		fetch_cache_failed(c, k, 1, ERR_TIMEOUT);
	}
	assert_int_equal(fetch_cache_bytes(c), 0);
	key(24, k);
	assert_int_equal(fetch_cache_failure(c, k, 2, 10), 0);
	key(25, k);
	assert_int_equal(fetch_cache_failure(c, k, 2, 10), ERR_TIMEOUT);
	fetch_cache_free(c);
	fetch_cache_free(NULL);
}

static int
value(const char *text, const char *attr, struct buf *b)
{
	buf_reset(b);
	return fetch_ldif_value(slice_str(text), slice_str(attr), b);
}

static void
test_ldif(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(value("DN: cn=x\n\tcn: x\n\tcrl;binary:: AAEC\n\tcrl;binary:: /w==\n\n",
			     "crl;binary", &b),
	    0);
	assert_true(slice_eq(buf_slice(&b), slice_of("\0\1\2", 3)));
	assert_int_equal(value("DN: cn=x\n\tCRL:: AAEC\n", "crl;binary", &b), 0);
	assert_int_equal(value("DN: cn=x\n\tcn: some text\n", "cn", &b), 0);
	assert_string_equal(buf_cstr(&b), "some text");
	assert_int_equal(value("DN: cn=x\ncn: y\n", "cn", &b), ERR_NOTFOUND);
	assert_int_equal(value("", "cn", &b), ERR_NOTFOUND);
	assert_int_equal(value("\tcn:: !!\n", "cn", &b), ERR_SYNTAX);
	buf_done(&b);
}

static void
test_messages(void **state)
{
	struct fetch_request in = {.url = "http://h/",
				 .is_post = true,
				 .content_type = "a/b",
				 .body = slice_str("q\0r"),
				 .max_bytes = 5,
				 .deadline_ms = 6,
				 .max_age_s = 7,
				 .max_redirects = 3},
			     out;
	struct fetch_answer said = {.status = 404,
				.from = FETCH_FROM_STALE,
				.fetched = -1,
				.expires = 9,
				.content_type = NULL,
				.body = slice_of("xyz", 3)},
			    *heard = NULL;
	char *text = NULL, *type = NULL;
	struct ipc_reader r;
	struct buf b;
	uint32_t len = 0;

	(void)state;
	buf_init(&b, 81920);
	assert_int_equal(fetch_request_put(&b, &in), 0);
	ipc_reader_init(&r, buf_slice(&b));
	assert_int_equal(fetch_request_get(&r, &out, &text, &type), 0);
	assert_string_equal(text, in.url);
	assert_string_equal(type, "a/b");
	assert_true(slice_eq(out.body, in.body) && out.max_bytes == 5 && out.deadline_ms == 6 &&
		    out.max_age_s == 7 && out.max_redirects == 3 && out.is_post);
	free(text);
	free(type);
	/* a header may not be broken open, a redirect more is no redirect */
	for (int i = 0; i < 3; i++) {
		struct fetch_request bad = in;

		if (i == 0)
			bad.content_type = "a/b\r\nX: y";
		else if (i == 1)
			bad.content_type = "";
		else
			bad.max_redirects = FETCH_REDIRECTS_MAX + 1;
		buf_reset(&b);
		fetch_request_put(&b, &bad);
		ipc_reader_init(&r, buf_slice(&b));
		assert_int_equal(fetch_request_get(&r, &out, &text, &type), ERR_PROTO);
	}
	buf_reset(&b);
	assert_int_equal(fetch_answer_put(&b, &said), 0);
	ipc_reader_init(&r, buf_slice(&b));
	assert_int_equal(fetch_answer_get(&r, &heard, &len), 0);
	assert_true(heard->status == 404 && heard->from == FETCH_FROM_STALE &&
		    heard->fetched == -1 && heard->expires == 9 && len == 3);
	fetch_answer_free(heard);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_url),
	    cmocka_unit_test(test_addresses), cmocka_unit_test(test_hosts),
	    cmocka_unit_test(test_cache), cmocka_unit_test(test_ldif),
	    cmocka_unit_test(test_messages)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
