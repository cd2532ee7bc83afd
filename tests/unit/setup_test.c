/* setup_test.c: the answers of congvu setup: the file, each kind's check, what follows from other answers, what is asked. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "admin/setup_answers.h"
#include "tests/unit/unit.h"

static int
parse(const char *text, struct setup_answers *a, const char *why_part)
{
	char *why = NULL;
	int rc = setup_answers_parse(slice_str(text), a, &why);

	if (why_part == NULL) {
		assert_null(why);
	} else {
		assert_non_null(why);
		if (strstr(why, why_part) == NULL)
			fail_msg("no \"%s\" in \"%s\"", why_part, why);
	}
	free(why);
	return rc;
}

static void
test_file(void **state)
{
	struct setup_answers a = {{NULL}}, again = {{NULL}};
	struct buf b;

	(void)state;
	assert_int_equal(
	    parse("# a comment\r\n\n domains = a.example, b.example\nagency_name = \"Sở Mẫu\"\n"
		  "agency_code=H99.02\nldap = existing\nldap_starttls = yes\n",
		&a, NULL),
	    0);
	assert_string_equal(setup_get(&a, SETUP_Q_domains), "a.example, b.example");
	assert_string_equal(setup_get(&a, SETUP_Q_agency_name), "Sở Mẫu");
	assert_string_equal(setup_get(&a, SETUP_Q_tls), "");
	assert_int_equal(parse("agency_code = H99.03", &a, NULL), 0); /* a later answer counts */
	assert_string_equal(setup_get(&a, SETUP_Q_agency_code), "H99.03");
	buf_init(&b, 65536);
	setup_answers_print(&a, &b);
	assert_int_equal(parse(buf_cstr(&b), &again, NULL), 0);
	for (unsigned q = 0; q < SETUP_QUESTIONS; q++)
		assert_string_equal(setup_get(&again, q), setup_get(&a, q));
	buf_done(&b);
	assert_true(parse("domains a.example", &a, "line 1: no \"key = value\"") != 0);
	assert_true(
	    parse("\nnonsense = 1", &a, "line 2: there is no such question: nonsense") != 0);
	assert_true(
	    parse("quota_mb = many", &a, "line 1: a number is needed: quota_mb = many") != 0);
	assert_true(parse("\nsmarthost = mail.a.example\n", &a, "line 2: it must be smtp:") != 0);
	setup_answers_done(&a);
	setup_answers_done(&again);
}

/* A file may be in any order, and leave out what has a default. */
static void
test_order(void **state)
{
	struct setup_answers a = {{NULL}}, b = {{NULL}};

	(void)state;
	assert_int_equal(parse("postmaster = vanthu@a.example\nldap_base = dc=a\nldap = existing\n"
			       "domains = x.example\ndomains = a.example",
			     &a, NULL),
	    0);
	assert_string_equal(setup_get(&a, SETUP_Q_domains), "a.example");
	assert_string_equal(setup_get(&a, SETUP_Q_postmaster), "vanthu@a.example");
	assert_true(parse("ldap_base = dc=a\ndomains = a.example", &b,
			"line 1: the base of a new directory begins with o=") != 0);
	setup_answers_done(&a);
	setup_answers_done(&b);
}

static void
test_kinds(void **state)
{
	static const struct {
		unsigned q;
		const char *value;
		bool good;
	} rows[] = {
	    {SETUP_Q_domains, "a.example", true},
	    {SETUP_Q_domains, "", false},
	    {SETUP_Q_domains, "a.example,,b.example", false},
	    {SETUP_Q_domains, "localhost", false},
	    {SETUP_Q_domains, "a b.example", false},
	    {SETUP_Q_domains, "-a.example", false},
	    {SETUP_Q_domains, "[127.0.0.1]", false},
	    {SETUP_Q_hostname, "mail.a.example", true},
	    {SETUP_Q_hostname, "mail", false},
	    {SETUP_Q_domains, "a.example, b.example", true},
	    {SETUP_Q_postmaster, "vanthu@B.example", true},
	    {SETUP_Q_postmaster, "vanthu@c.example", false},
	    {SETUP_Q_postmaster, "vanthu", false},
	    {SETUP_Q_postmaster, "van thu@a.example", false},
	    {SETUP_Q_ldap, "local", true},
	    {SETUP_Q_ldap, "elsewhere", false},
	    {SETUP_Q_ldap, "local existing", false},
	    {SETUP_Q_ldap_base, "o=tinhmau,c=VN", true},
	    {SETUP_Q_ldap_base, "dc=tinhmau", false}, /* of a new directory */
	    {SETUP_Q_ldap, "existing", true},
	    {SETUP_Q_ldap_base, "dc=tinhmau", true},
	    {SETUP_Q_ldap_base, "tinhmau", false},
	    {SETUP_Q_ldap_uris, "ldap://a.example, ldaps://b.example:636", true},
	    {SETUP_Q_ldap_uris, "a.example", false},
	    {SETUP_Q_listen_mx, "0.0.0.0:25", true},
	    {SETUP_Q_listen_mx, "[::]:25", true},
	    {SETUP_Q_listen_mx, "none", true},
	    {SETUP_Q_listen_mx, "25", false},
	    {SETUP_Q_listen_mx, "0.0.0.0:70000", false},
	    {SETUP_Q_listen_mx, "0.0.0.0:0", false},
	    {SETUP_Q_smarthost, "", true},
	    {SETUP_Q_smarthost, "mx", true},
	    {SETUP_Q_smarthost, "smtp:relay.isp.example:25", true},
	    {SETUP_Q_smarthost, "inet:192.0.2.1:25", true},
	    {SETUP_Q_smarthost, "relay.isp.example", false},
	    {SETUP_Q_smarthost, "smtp:relay.isp.example", false},
	    {SETUP_Q_smarthost, "smtp:none", false},
	    {SETUP_Q_quota_mb, "0", false},
	    {SETUP_Q_quota_mb, "2048", true},
	    {SETUP_Q_tls_cert_file, "cert.pem", false},
	    {SETUP_Q_tls_cert_file, "/etc/cert.pem", true},
	    {SETUP_Q_tls_cert_file, "", false},
	    {SETUP_Q_trust_file, "", true},
	    {SETUP_Q_start, "maybe", false},
	    {SETUP_Q_agency_name, "x\"\nroot = 1", false}, /* it will stand in congvu.conf */
	    {SETUP_Q_agency_name, "x\\", false},
	};
	struct setup_answers a = {{NULL}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *why = setup_answer_set(&a, rows[i].q, rows[i].value);

		if ((why == NULL) != rows[i].good)
			fail_msg("%s = \"%s\": %s", setup_questions[rows[i].q].key, rows[i].value,
			    why != NULL ? why : "taken");
	}
	setup_answers_done(&a);
}

static void
expect_default(const struct setup_answers *a, unsigned q, const char *hostname, const char *want)
{
	char *def = setup_default(a, q, hostname);

	assert_string_equal(def, want);
	free(def);
}

static void
test_what_follows(void **state)
{
	struct setup_answers a = {{NULL}};

	(void)state;
	assert_int_equal(parse("domains = tinhmau.example, so.example\nldap = local", &a, NULL), 0);
	expect_default(&a, SETUP_Q_ldap_base, "", "o=tinhmau,c=VN");
	expect_default(&a, SETUP_Q_hostname, "mail.tinhmau.example", "mail.tinhmau.example");
	expect_default(&a, SETUP_Q_hostname, "mail", "");
	expect_default(&a, SETUP_Q_agency_mailbox, "", "vanthu@tinhmau.example");
	expect_default(&a, SETUP_Q_postmaster, "", "");
	assert_null(setup_answer_set(&a, SETUP_Q_agency_mailbox, "vt@so.example"));
	expect_default(&a, SETUP_Q_postmaster, "", "vt@so.example");
	expect_default(&a, SETUP_Q_quota_mb, "", "2048");
	assert_true(setup_is_asked(&a, SETUP_Q_ldap_listen));
	assert_false(setup_is_asked(&a, SETUP_Q_ldap_uris));
	assert_false(setup_is_asked(&a, SETUP_Q_agency_code)); /* no name, no agency */
	assert_null(setup_answer_set(&a, SETUP_Q_agency_name, "Sở"));
	assert_true(setup_is_asked(&a, SETUP_Q_agency_code));
	/* every default is an answer that is taken, but for those that nobody can guess */
	for (unsigned q = 0; q < SETUP_QUESTIONS; q++)
		if (setup_questions[q].def[0] != '@' && setup_questions[q].def[0] != '\0')
			assert_null(setup_answer_set(&a, q, setup_questions[q].def));
	setup_answers_done(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_file),
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_kinds),
	    cmocka_unit_test(test_what_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
