/* log_test.c: a line per event, which no peer can forge. */
#include "config.h"

#include "lib/err.h"
#include "lib/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static int pipe_fds[2];
static char got[8192];

static const char *
line(void)
{
	ssize_t n = read(pipe_fds[0], got, sizeof(got) - 1);

	got[n < 0 ? 0 : n] = '\0';
	return got;
}

static void
test_line(void **state)
{
	struct log_line l;

	(void)state;
	log_begin(&l, LOG_LVL_INFO, "login");
	log_str(&l, "user", "huongdtt@tinhmau.example");
	log_str(&l, "none", NULL);
	log_u64(&l, "ms", 12);
	log_i64(&l, "d", -3);
	log_err(&l, "err", ERR_FULL);
	log_errno(&l, ENOSPC);
	log_end(&l);
	const char *s = strstr(line(), " test/x ");
	assert_non_null(s);
	assert_string_equal(s,
	    " test/x level=info event=login user=huongdtt@tinhmau.example none=- ms=12 d=-3 "
	    "err=full errno=\"No space left on device\"\n");
	assert_int_equal(s - got, 24);
	assert_int_equal(got[10], 'T');
}

static void
test_escapes(void **state)
{
	struct log_line l;

	(void)state;
	log_begin(&l, LOG_LVL_WARN, "x");
	log_slice(&l, "a", slice_of("b\r\nlevel=error \"\\\0z", 19));
	log_str(&l, "vi", "Đặng Thị");
	log_str(&l, "bad", "\xff\xc3");
	log_str(&l, "bidi",
	    "a\xe2\x80\xae"
	    "b");
	log_str(&l, "empty", "");
	log_end(&l);
	assert_non_null(
	    strstr(line(), " event=x a=\"b\\x0d\\x0alevel=error \\\"\\\\\\x00z\" vi=\"Đặng Thị\" "
			   "bad=\"\\xff\\xc3\" bidi=\"a\\xe2\\x80\\xaeb\" empty=\"\"\n"));
}

static void
test_long_and_level(void **state)
{
	struct log_line l;
	char big[5000];

	(void)state;
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_begin(&l, LOG_LVL_INFO, "x");
	log_str(&l, "big", big);
	log_str(&l, "late", "1");
	log_end(&l);
	size_t n = strlen(line());
	assert_true(n <= 2048);
	assert_string_equal(got + n - 5, "...\"\n");
	log_begin(&l, LOG_LVL_DEBUG, "hidden");
	log_str(&l, "a", "b");
	log_end(&l);
	log_msg(LOG_LVL_DEBUG, "hidden", "%d", 1);
	log_msg(LOG_LVL_ERROR, "shown", "n %d", 1);
	assert_non_null(strstr(line(), "level=error event=shown msg=\"n 1\"\n"));
	assert_null(strstr(got, "hidden"));
}

static void
test_fatal(void **state)
{
	int status = 0;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		fatal("broken %s", "invariant");
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 70);
	assert_non_null(strstr(line(), "event=fatal msg=\"broken invariant\"\n"));
	char *p = xstrdup("abc");
	p = xrealloc(p, 100);
	assert_string_equal(p, "abc");
	free(p);
	free(xmalloc(0));
	free(xcalloc(0, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_line),
	    cmocka_unit_test(test_escapes),
	    cmocka_unit_test(test_long_and_level),
	    cmocka_unit_test(test_fatal),
	};
	if (pipe(pipe_fds) != 0)
		return 1;
	log_init("test/x", pipe_fds[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
