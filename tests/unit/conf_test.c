/* conf_test.c: congvu.conf: defaults, values, ranges of every option, errors with their line, paths. */
#include "config.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/conf.h"
#include "lib/err.h"
#include "lib/log.h"
#include "tests/unit/unit.h"

static char dir[PATH_MAX], path[PATH_MAX + 32];

static int
setup(void **state)
{
	char made[] = "/tmp/cv-conf-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(made));
	assert_non_null(realpath(made, dir));
	snprintf(path, sizeof(path), "%s/congvu.conf", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(path);
	rmdir(dir);
	return 0;
}

static int
load(const char *text, struct conf **c, char **why)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	*c = NULL;
	*why = NULL;
	return conf_load(path, c, why);
}

static void
expect_error(const char *text, const char *part)
{
	struct conf *c;
	char *why;

	assert_int_equal(load(text, &c, &why), ERR_SYNTAX);
	assert_non_null(why);
	if (strstr(why, part) == NULL)
		fail_msg("\"%s\" has no \"%s\"", why, part);
	assert_non_null(strstr(why, path));
	free(why);
}

static void
test_defaults(void **state)
{
	struct conf *c;
	char *why, *p, want[PATH_MAX + 32];
	size_t n;
	const struct conf_option *o = conf_options(&n);

	(void)state;
	assert_int_equal(load("", &c, &why), 0);
	for (size_t i = 0; i < n; i++) {
		assert_true(strlen(o[i].help) > 0);
		if (o[i].type == CONF_INT) {
			assert_int_equal(conf_int(c, o[i].name), strtol(o[i].def, NULL, 10));
			assert_true(conf_int(c, o[i].name) >= o[i].min &&
				    conf_int(c, o[i].name) <= o[i].max);
		} else if (o[i].type == CONF_BOOL) {
			assert_int_equal(conf_bool(c, o[i].name), strcmp(o[i].def, "true") == 0);
		} else if (o[i].type != CONF_LIST) {
			assert_string_equal(conf_str(c, o[i].name), o[i].def);
		}
	}
	assert_int_equal(conf_list_len(c, "domains"), 0);
	assert_int_equal(conf_list_len(c, "sasl_mechs"), 4);
	assert_string_equal(conf_list_item(c, "sasl_mechs", 0), "SCRAM-SHA-256-PLUS");
	assert_string_equal(conf_list_item(c, "milters", 0), "unix:milter/milter.sock");
	assert_string_equal(conf_list_item(c, "milters", 1), "");
	p = conf_path(c, "token_key_file");
	snprintf(want, sizeof(want), "%s/token.key", dir);
	assert_string_equal(p, want);
	free(p);
	p = conf_path(c, "run_dir"); /* ../run of /tmp/x is /tmp/run */
	snprintf(want, sizeof(want), "%.*s/run", (int)(strrchr(dir, '/') - dir), dir);
	assert_string_equal(p, want);
	free(p);
	p = conf_path(c, "libexec_dir");
	assert_string_equal(p, "");
	free(p);
	assert_string_equal(conf_file(c), path);
	conf_free(c);
	conf_free(NULL);
}

static void
test_values(void **state)
{
	struct conf *c;
	char *why, *p;

	(void)state;
	assert_int_equal(
	    load("# a comment\nhostname = mx.tinhmau.example\n"
		 "domains = {tinhmau.example, \"xa.tinhmau.example\"}\n"
		 "ldap_starttls = true\nquota_mb = 512\nrun_dir = \"/r/un\"\nmilters = {}\n"
		 "other_users_prefix = \"Người khác\"\nqueue_dir = \"../../../../../../q\"\n",
		&c, &why),
	    0);
	assert_string_equal(conf_str(c, "hostname"), "mx.tinhmau.example");
	assert_int_equal(conf_list_len(c, "domains"), 2);
	assert_string_equal(conf_list_item(c, "domains", 1), "xa.tinhmau.example");
	assert_true(conf_bool(c, "ldap_starttls"));
	assert_int_equal(conf_int(c, "quota_mb"), 512);
	assert_int_equal(conf_list_len(c, "milters"), 0);
	assert_string_equal(conf_str(c, "other_users_prefix"), "Người khác");
	p = conf_path(c, "run_dir");
	assert_string_equal(p, "/r/un");
	free(p);
	p = conf_path(c, "queue_dir"); /* above the root is the root */
	assert_string_equal(p, "/q");
	free(p);
	conf_free(c);
}

static void
test_list_of_one(void **state)
{
	struct conf *c;
	char *why;

	(void)state;
	assert_int_equal(
	    load("domains = tinhmau.example\nmilters = {\"inet:127.0.0.1:8891\"}\n", &c, &why), 0);
	assert_int_equal(conf_list_len(c, "domains"), 1);
	assert_int_equal(conf_list_len(c, "milters"), 1);
	assert_string_equal(conf_list_item(c, "milters", 0), "inet:127.0.0.1:8891");
	conf_free(c);
}

static void
test_ranges(void **state)
{
	struct conf *c;
	char *why, text[200];
	size_t n;
	const struct conf_option *o = conf_options(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		if (o[i].type != CONF_INT)
			continue;
		snprintf(text, sizeof(text), "\n\n%s = %lld\n", o[i].name, (long long)o[i].min);
		assert_int_equal(load(text, &c, &why), 0);
		assert_int_equal(conf_int(c, o[i].name), o[i].min);
		conf_free(c);
		snprintf(text, sizeof(text), "\n\n%s = %lld\n", o[i].name, (long long)o[i].max);
		assert_int_equal(load(text, &c, &why), 0);
		conf_free(c);
		snprintf(text, sizeof(text), "\n\n%s = %lld\n", o[i].name, (long long)o[i].max + 1);
		expect_error(text, ":3: ");
		expect_error(text, o[i].name);
		snprintf(text, sizeof(text), "\n%s = %lld\n", o[i].name, (long long)o[i].min - 1);
		expect_error(text, ":2: ");
		snprintf(text, sizeof(text), "%s = \"many\"\n", o[i].name);
		expect_error(text, ":1: ");
	}
}

static void
test_errors(void **state)
{
	struct conf *c;
	char *why = NULL;

	(void)state;
	expect_error("hostname = a\nhostnam = b\n", ":2: ");
	expect_error("hostname = a\nhostnam = b\n", "hostnam");
	expect_error("ldap_starttls = perhaps\n", ":1: ");
	expect_error("\n\nlog_level = loud\n", ":3: ");
	expect_error("log_level = loud\n", "loud");
	expect_error("milter_default_action = \"reject\"\n", "reject");
	expect_error("domains = {\"a\", \n", path);
	expect_error("quota_mb = 99999999999999999999\n", "quota_mb");
	expect_error("quota_mb\n", path);
	assert_int_equal(conf_load("/nonexistent/congvu.conf", &c, &why), ERR_IO);
	assert_non_null(strstr(why, "/nonexistent/congvu.conf"));
	free(why);
	assert_int_equal(conf_load("/tmp", &c, &why), ERR_IO); /* a folder */
	free(why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	    T(test_defaults),
	    T(test_values),
	    T(test_list_of_one),
	    T(test_ranges),
	    T(test_errors),
	};

	log_init("conf_test", STDERR_FILENO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
