/* register_test.c: the register's file: one entry for a number, agency and year; what is read again at a start; a torn end; what is no entry. */
#include "config.h"

#include "lib/err.h"
#include "milter/ledger_register.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/cv-register-XXXXXX";

static struct json *
entry(const char *agency, int year, const char *symbol, char sha)
{
	struct json *o = json_obj_new();
	char hex[65];

	memset(hex, sha, 64);
	hex[64] = '\0';
	json_set_str(o, "agency", agency);
	json_set_int(o, "year", year);
	json_set_str(o, "symbol", symbol);
	json_set_str(o, "sha256", hex);
	json_set_str(o, "qid", "Q1");
	return o;
}

static int
ask(const char *agency, int year, const char *symbol, char sha)
{
	struct json *o = entry(agency, year, symbol, sha);
	struct ledger_entry is;
	int err = register_ask(o, &is);

	json_free(o);
	if (err == 0 && is.state != REGISTERED_NEW) {
		assert_string_equal(is.qid, "Q1");
		assert_string_equal(is.ts, "2026-11-22T10:00:00Z");
	}
	return err != 0 ? err : (int)is.state;
}

static void
add(const char *agency, int year, const char *symbol, char sha)
{
	struct json *o = entry(agency, year, symbol, sha);

	assert_int_equal(register_add(o, "2026-11-22T10:00:00Z"), 0);
	json_free(o);
}

static void
one_entry_a_number(void **state)
{
	char name[409] = "";

	(void)state;
	assert_int_equal(register_open(dir, getuid()), 0);
	assert_int_equal(ask("H99", 2026, "15/QĐ-UBND", 'a'), REGISTERED_NEW);
	add("H99", 2026, "15/QĐ-UBND", 'a');
	assert_int_equal(ask("H99", 2026, "15/QĐ-UBND", 'a'), REGISTERED_SAME);
	assert_int_equal(ask("H99", 2026, "15/QĐ-UBND", 'b'), REGISTERED_OTHER);
	/* the same number, written otherwise */
	assert_int_equal(ask("H99", 2026, "015/ Qđ-UBND", 'b'), REGISTERED_OTHER);
	assert_int_equal(ask("H99", 2026, "15/Q\xc3\x90-UBND", 'b'), REGISTERED_OTHER);
	/* another one */
	assert_int_equal(ask("H99", 2027, "15/QĐ-UBND", 'b'), REGISTERED_NEW);
	assert_int_equal(ask("H98", 2026, "15/QĐ-UBND", 'b'), REGISTERED_NEW);
	assert_int_equal(ask("H99", 2026, "16/QĐ-UBND", 'b'), REGISTERED_NEW);
	assert_int_equal(ask("H99", 2026, "15/NQ-UBND", 'b'), REGISTERED_NEW);
	/* an agency's name as long as register_entry lets it be, with what is cut off in a letter */
	memset(name, 'a', sizeof name - 1);
	assert_int_equal(ask(name, 2026, "15/QĐ-UBND", 'b'), REGISTERED_NEW);
	/* no entry */
	assert_int_equal(ask("", 2026, "15/QĐ-UBND", 'b'), ERR_SYNTAX);
	assert_int_equal(ask("H99", 0, "15/QĐ-UBND", 'b'), ERR_SYNTAX);
	assert_int_equal(ask("H99", 2026, "", 'b'), ERR_SYNTAX);
}

/* In a process of its own, as a start is: the exit code of what it finds. */
static int
start_again(const char *tail)
{
	char path[300];
	int status, fd;
	pid_t pid;

	snprintf(path, sizeof path, "%s/%s", dir, LEDGER_REGISTER_FILE);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(fd >= 0 && write(fd, tail, strlen(tail)) == (ssize_t)strlen(tail));
	close(fd);
	pid = fork();
	if (pid == 0) {
		if (register_open(dir, getuid()) != 0)
			_exit(100);
		_exit(ask("H97", 2026, "15/QĐ-UBND", 'a'));
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
a_start_reads_it(void **state)
{
	struct stat before, after;
	char path[300];

	(void)state;
	/* not known here: it comes from the file alone */
	assert_int_equal(start_again("{\"agency\":\"H97\",\"qid\":\"Q1\",\"sha256\":"
				     "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
				     "aaaaaaaaaaaaaaaaaaaaaa\",\"symbol\":\"15/"
				     "QD-UBND\",\"ts\":\"2026-11-22T10:00:00Z\",\"year\":2026}\n"),
	    REGISTERED_SAME);
	snprintf(path, sizeof path, "%s/%s", dir, LEDGER_REGISTER_FILE);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(start_again("{\"agency\":\"H9"), REGISTERED_SAME);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	/* in the middle it is damage, and nothing is guessed */
	assert_int_equal(start_again("{\"agency\":\"H9\n"), 100);
}

static int
setup(void **state)
{
	(void)state;
	json_init();
	return mkdtemp(dir) == NULL;
}

static int
teardown(void **state)
{
	char path[300];

	(void)state;
	snprintf(path, sizeof path, "%s/%s", dir, LEDGER_REGISTER_FILE);
	unlink(path);
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_entry_a_number), cmocka_unit_test(a_start_reads_it)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
