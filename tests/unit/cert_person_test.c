/* cert_person_test.c: which client certificates are believed, and whose they are, with people in memory. The certificates are made by
 * openssl's command line; tests/system/test_external.py has those that the directory holds itself, and revocation. */
#include "config.h"

#include "directory/cert_person.h"
#include "directory/dir_fake.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static char folder[] = "/tmp/cert_person_testXXXXXX";
static struct client_cas *cas;
static struct people *people;
static struct dir *dir;
static struct conf *conf;

static void
shell(const char *command)
{
	pid_t pid = fork();
	int status = 1;

	if (pid == 0) {
		if (chdir(folder) == 0 && freopen("openssl.log", "a", stderr) != NULL)
			execl("/bin/sh", "sh", "-ec", command, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("%s", command);
}

/* A certificate of ca ("ca" or "strange") with these alternative names and this use. */
static struct slice
issue(const char *ca, const char *names, const char *use, struct buf *der)
{
	char command[2000], path[200];
	unsigned char part[4096];
	FILE *f;
	size_t n;

	snprintf(command, sizeof(command),
	    "openssl req -x509 -new -key ca.key -CA %s.pem -CAkey ca.key -subj /CN=x -days 2 "
	    "-addext basicConstraints=critical,CA:FALSE "
	    "-addext subjectAltName=%s -addext extendedKeyUsage=%s -outform DER -out x.der",
	    ca, names, use);
	shell(command);
	snprintf(path, sizeof(path), "%s/x.der", folder);
	f = fopen(path, "rb");
	assert_non_null(f);
	buf_reset(der);
	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		buf_append(der, part, n);
	fclose(f);
	return buf_slice(der);
}

#define ENTRY(dn, ...) dir_fake_add(dir, dn, (const char *const[]){__VA_ARGS__, NULL})

static int
setup(void **state)
{
	char path[200], *why = NULL;
	const char *text = "";
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(folder));
	shell("openssl ecparam -name prime256v1 -genkey -noout -out ca.key");
	for (int i = 0; i < 2; i++)
		shell(i == 0 ? "openssl req -x509 -new -key ca.key -subj /CN=ca -days 2 -out ca.pem"
			     : "openssl req -x509 -new -key ca.key -subj /CN=strange -days 2 -out "
			       "strange.pem");
	snprintf(path, sizeof(path), "%s/ca.pem", folder);
	assert_int_equal(client_cas_new(path, &cas, &text), 0);
	snprintf(path, sizeof(path), "%s/conf", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("domains = {\"tinhmau.example\"}\nldap_base = \"o=x\"\n", f);
	fclose(f);
	assert_int_equal(conf_load(path, &conf, &why), 0);
	dir = dir_fake_new("o=x");
	ENTRY("vnStaffId=1,o=x", "objectClass", "vnCivilServant", "vnStaffId", "1", "uid", "binhtv",
	    "mail", "BinhTV@TinhMau.example", "vnMailAlias", "binh@tinhmau.example", "vnStatus",
	    "active", "vnAddressHistory", "old@tinhmau.example;2020;2021", "userCertificate;binary",
	    "another certificate");
	ENTRY("vnStaffId=2,o=x", "objectClass", "vnCivilServant", "vnStaffId", "2", "uid", "huong",
	    "mail", "huong@tinhmau.example", "vnStatus", "active", "pwdAccountLockedTime",
	    "000001010000Z");
	ENTRY("vnStaffId=3,o=x", "objectClass", "vnCivilServant", "vnStaffId", "3", "uid", "frozen",
	    "mail", "frozen@tinhmau.example", "vnStatus", "suspended");
	/* a login name that looks like somebody's address */
	ENTRY("vnStaffId=4,o=x", "objectClass", "vnCivilServant", "vnStaffId", "4", "uid",
	    "chief@tinhmau.example", "mail", "four@tinhmau.example", "vnStatus", "active");
	ENTRY("vnMailboxId=a,o=x", "objectClass", "vnFunctionalMailbox", "vnMailboxId", "a", "mail",
	    "vt@tinhmau.example");
	return people_new(conf, dir, &people, &why);
}

static int
teardown(void **state)
{
	char command[100];

	(void)state;
	people_free(people);
	dir_close(dir);
	conf_free(conf);
	client_cas_free(cas);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	shell(command);
	return 0;
}

/* The login it is good for; "" and *err_out otherwise. */
static const char *
who(struct slice der, enum cert_map map, int *err_out)
{
	static char login[100];
	struct person *u = NULL;
	char *name = NULL;

	*err_out = cert_person(people, cas, map, der, &u, &name);
	snprintf(login, sizeof(login), "%s", *err_out == 0 ? u->login : "");
	if (*err_out == 0) {
		assert_non_null(name);
		person_free(u);
	}
	free(name);
	return login;
}

static void
test_whose(void **state)
{
	static const struct {
		const char *names, *login;
		int err;
	} rows[] = {
	    {"email:binhtv@tinhmau.example", "binhtv", 0},
	    {"email:BINHTV@TINHMAU.EXAMPLE", "binhtv", 0},
	    {"email:binh@tinhmau.example", "binhtv", 0},
	    {"email:someone@else.example,email:binh@tinhmau.example,email:binhtv@tinhmau.example",
		"binhtv", 0},
	    {"email:huong@tinhmau.example", "huong", 0}, /* that she is locked is said elsewhere */
	    {"email:binhtv@tinhmau.example,email:huong@tinhmau.example", "", ERR_AUTH},
	    {"email:old@tinhmau.example", "", ERR_NOTFOUND},
	    {"email:frozen@tinhmau.example", "", ERR_NOTFOUND},
	    {"email:vt@tinhmau.example", "", ERR_NOTFOUND},
	    {"email:chief@tinhmau.example", "", ERR_NOTFOUND},
	    {"email:someone@else.example", "", ERR_NOTFOUND},
	    {"email:binhtv", "", ERR_NOTFOUND},
	    {"email:*", "", ERR_NOTFOUND},
	    {"DNS:binhtv.tinhmau.example,URI:mailto:binhtv@tinhmau.example", "", ERR_NOTFOUND},
	};
	struct buf der;
	int err;

	(void)state;
	buf_init(&der, 65536);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct slice s = issue("ca", rows[i].names, "clientAuth", &der);

		assert_string_equal(who(s, CERT_MAP_ADDRESS, &err), rows[i].login);
		assert_int_equal(err, rows[i].err);
		/* the directory has another one, or none */
		assert_string_equal(who(s, CERT_MAP_CERTIFICATE, &err), "");
		assert_int_equal(err, rows[i].err == 0 ? ERR_AUTH : rows[i].err);
	}
	dir_fake_fail(dir, ERR_TEMP);
	(void)who(issue("ca", rows[0].names, "clientAuth", &der), CERT_MAP_ADDRESS, &err);
	assert_int_equal(err, ERR_TEMP);
	dir_fake_fail(dir, 0);
	buf_done(&der);
}

static void
test_believed(void **state)
{
	static const char name[] = "email:binhtv@tinhmau.example";
	struct client_cas *none = NULL;
	struct client_cert c = {.n = 0};
	const char *why = "";
	struct buf der;
	int err;

	(void)state;
	buf_init(&der, 65536);
	/* signed by the same key even, but by a name that is no anchor */
	(void)who(issue("strange", name, "clientAuth", &der), CERT_MAP_ADDRESS, &err);
	assert_int_equal(err, ERR_AUTH);
	(void)who(issue("ca", name, "serverAuth", &der), CERT_MAP_ADDRESS, &err);
	assert_int_equal(err, ERR_AUTH);
	assert_string_equal(
	    who(issue("ca", name, "emailProtection,clientAuth", &der), CERT_MAP_ADDRESS, &err),
	    "binhtv");
	/* not one certificate, byte by byte */
	assert_int_equal(client_cert_check(cas, buf_slice(&der), &c, &why), 0);
	assert_int_equal(c.n, 1);
	assert_string_equal(c.addresses[0], "binhtv@tinhmau.example");
	client_cert_done(&c);
	assert_int_equal(client_cert_check(cas, buf_slice(&der), NULL, &why), 0);
	for (size_t n = 0; n < der.len; n += 7)
		assert_int_equal(
		    client_cert_check(cas, slice_of(der.data, n), &c, &why), ERR_SYNTAX);
	for (size_t at = 0; at < der.len; at += 11) {
		der.data[at] ^= 1;
		assert_true(client_cert_check(cas, buf_slice(&der), NULL, &why) < 0);
		der.data[at] ^= 1;
	}
	buf_append_byte(&der, 0);
	assert_int_equal(client_cert_check(cas, buf_slice(&der), &c, &why), ERR_SYNTAX);
	/* more names than are read: nobody's, rather than somebody's by luck */
	assert_int_equal(client_cert_check(cas,
			     issue("ca",
				 "email:1@x,email:2@x,email:3@x,email:4@x,email:5@x,email:6@x,"
				 "email:7@x,email:8@x",
				 "clientAuth", &der),
			     &c, &why),
	    0);
	assert_int_equal(c.n, 8);
	client_cert_done(&c);
	assert_int_equal(client_cert_check(cas,
			     issue("ca",
				 "email:1@x,email:2@x,email:3@x,email:4@x,email:5@x,email:6@x,"
				 "email:7@x,email:8@x,email:9@x",
				 "clientAuth", &der),
			     &c, &why),
	    ERR_DENIED);
	assert_int_equal(client_cas_new("/nonexistent", &none, &why), ERR_IO);
	assert_int_equal(client_cas_new("/dev/null", &none, &why), ERR_IO);
	assert_null(none);
	buf_done(&der);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whose),
	    cmocka_unit_test(test_believed),
	};

	log_init("cert_person_test", 2);
	log_set_level(LOG_LVL_ERROR);
	return cmocka_run_group_tests(tests, setup, teardown);
}
