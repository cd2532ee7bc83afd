/* throttle_test.c: who is held after wrong logins, who is not, when it ends; two processes over one file, one of them killed. */
#include "config.h"

#include "directory/throttle.h"
#include "lib/err.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define S slice_str

static struct throttle *
make(const char *file)
{
	static const char *const exempt[] = {"127.0.0.0/8", "::1", "10.9.0.0/16"};
	struct throttle_params p = {
	    .account_max = 8, .network_max = 40, .window_s = 240, .exempt = exempt, .n_exempt = 3};
	struct throttle *t = NULL;

	assert_int_equal(throttle_new(file, &p, &t), 0);
	return t;
}

/* Wrong logins until no more is let in; how many. */
static unsigned
hammer(struct throttle *t, const char *account, const char *ip, uint64_t now, unsigned most)
{
	unsigned n = 0;

	while (n < most && throttle_may(t, S(account), 0, ip, now)) {
		throttle_failed(t, S(account), 0, ip, now);
		n++;
	}
	return n;
}

static void
test_account(void **state)
{
	struct throttle *t = make(NULL);
	uint64_t now = 1000000;

	(void)state;
	assert_int_equal(hammer(t, "binh", "192.0.2.1", now, 100), 8);
	/* from everywhere, another account not */
	assert_false(throttle_may(t, S("binh"), 0, "198.51.100.7", now));
	assert_true(throttle_may(t, S("huong"), 0, "192.0.2.1", now));
	/* one more each 30 seconds */
	assert_false(throttle_may(t, S("binh"), 0, "192.0.2.1", now + 29000));
	assert_int_equal(hammer(t, "binh", "192.0.2.1", now + 30000, 100), 1);
	assert_int_equal(hammer(t, "binh", "192.0.2.1", now + 300000, 100), 8);
	throttle_free(t);
	throttle_free(NULL);
}

/* A new password begins anew, for its account alone; where its owner is known stays. */
static void
test_new_password(void **state)
{
	struct throttle *t = make(NULL);
	uint64_t now = 1000000;

	(void)state;
	throttle_succeeded(t, S("binh"), 1, "198.51.100.7", now);
	for (int i = 0; i < 8; i++)
		throttle_failed(t, S("binh"), 1, "192.0.2.1", now);
	assert_false(throttle_may(t, S("binh"), 1, "192.0.2.1", now));
	assert_true(throttle_may(t, S("binh"), 2, "192.0.2.1", now));
	/* it has a count of its own, and the old one is no way round it */
	for (int i = 0; i < 8; i++) {
		assert_true(throttle_may(t, S("binh"), 2, "203.0.113.1", now));
		throttle_failed(t, S("binh"), 2, "203.0.113.1", now);
	}
	assert_false(throttle_may(t, S("binh"), 2, "203.0.113.1", now));
	assert_true(throttle_may(t, S("binh"), 2, "198.51.100.7", now));
	/* a network that guesses is held whatever passwords are set meanwhile */
	for (int i = 0; i < 40; i++) {
		char name[20];

		snprintf(name, sizeof(name), "v%d", i);
		throttle_failed(t, S(name), i, "192.0.2.77", now);
	}
	assert_false(throttle_may(t, S("lan"), 5, "192.0.2.77", now));
	assert_false(throttle_may(t, S("lan"), 6, "192.0.2.77", now));
	throttle_free(t);
}

static void
test_known_network(void **state)
{
	struct throttle *t = make(NULL);
	uint64_t now = 1000000;

	(void)state;
	throttle_succeeded(t, S("binh"), 0, "192.0.2.1", now);
	/* somebody elsewhere guesses: the right user at a known address is not held, nor after a burst of reconnects */
	assert_int_equal(hammer(t, "binh", "198.51.100.7", now, 100), 8);
	for (int i = 0; i < 500; i++) {
		assert_true(throttle_may(t, S("binh"), 0, "192.0.2.1", now));
		throttle_succeeded(t, S("binh"), 0, "192.0.2.1", now);
	}
	/* all the others of that network are guessed at: still not */
	for (int i = 0; i < 100; i++) {
		char name[20];

		snprintf(name, sizeof(name), "u%d", i);
		hammer(t, name, "192.0.2.1", now, 5);
	}
	assert_false(throttle_may(t, S("new"), 0, "192.0.2.1", now));
	assert_true(throttle_may(t, S("binh"), 0, "192.0.2.1", now));
	/* its own wrong ones there hold it there, and nowhere else */
	now += 300000;
	assert_int_equal(hammer(t, "binh", "192.0.2.1", now, 100), 8);
	assert_true(throttle_may(t, S("binh"), 0, "203.0.113.5", now));
	throttle_succeeded(t, S("binh"), 0, "192.0.2.1", now);
	assert_true(throttle_may(t, S("binh"), 0, "192.0.2.1", now));
	/* not known for ever */
	now += 31ull * 86400 * 1000;
	assert_int_equal(hammer(t, "binh", "198.51.100.7", now, 100), 8);
	assert_false(throttle_may(t, S("binh"), 0, "192.0.2.1", now));
	throttle_free(t);
}

static void
test_network(void **state)
{
	struct throttle *t = make(NULL);
	uint64_t now = 1000000;
	unsigned n = 0;

	(void)state;
	/* one account wrong for long: the first three count, the others of the network go on */
	for (int i = 0; i < 300; i++)
		throttle_failed(t, S("old-device"), 0, "192.0.2.1", now);
	assert_true(throttle_may(t, S("huong"), 0, "192.0.2.1", now));
	/* many accounts: 40 within four minutes, by /64 in IPv6 */
	for (unsigned i = 0; i < 100; i++) {
		char name[20], ip[60];

		snprintf(name, sizeof(name), "u%u", i);
		snprintf(ip, sizeof(ip), "2001:db8:1:2::%x", i);
		n += hammer(t, name, ip, now, 1);
	}
	assert_int_equal(n, 40);
	assert_false(throttle_may(t, S("huong"), 0, "[2001:db8:1:2:ffff::1]", now));
	assert_true(throttle_may(t, S("huong"), 0, "2001:db8:1:3::1", now));
	assert_true(throttle_may(t, S("huong"), 0, "2001:db8:1:2::1", now + 6000));
	/* IPv4 inside IPv6 is IPv4; what is exempt is not counted; what is no address is no network */
	for (unsigned i = 0; i < 200; i++) {
		char name[20];

		snprintf(name, sizeof(name), "v%u", i);
		hammer(t, name, "::ffff:192.0.2.77", now, 1);
		hammer(t, name, "127.0.0.1", now, 1);
		hammer(t, name, "10.9.8.7", now, 1);
		hammer(t, name, "", now, 1);
	}
	assert_false(throttle_may(t, S("huong"), 0, "192.0.2.77", now));
	assert_true(throttle_may(t, S("huong"), 0, "127.0.0.1", now) &&
		    throttle_may(t, S("huong"), 0, "10.9.8.7", now) &&
		    throttle_may(t, S("huong"), 0, "", now));
	throttle_free(t);
}

static void
test_full_table(void **state)
{
	struct throttle *t = make(NULL);
	uint64_t now = 1000000;

	(void)state;
	/* a flood of names and addresses displaces counts, and never holds who did nothing */
	for (unsigned i = 0; i < 300000; i++) {
		char name[20], ip[40];

		snprintf(name, sizeof(name), "n%u", i);
		snprintf(ip, sizeof(ip), "2001:db8:%x:%x::1", i >> 16, i & 0xffff);
		throttle_failed(t, S(name), 0, ip, now);
	}
	for (unsigned i = 0; i < 1000; i++) {
		char name[20];

		snprintf(name, sizeof(name), "good%u", i);
		assert_true(throttle_may(t, S(name), 0, "192.0.2.9", now));
	}
	/* a new count finds a place all the same */
	assert_int_equal(hammer(t, "binh", "192.0.2.1", now, 100), 8);
	throttle_free(t);
}

static void
test_off_and_bad(void **state)
{
	static const char *const bad[] = {"10.0.0.0/40"};
	struct throttle_params p = {.window_s = 240};
	struct throttle *t = NULL;

	(void)state;
	assert_int_equal(throttle_new(NULL, &p, &t), 0);
	assert_int_equal(hammer(t, "binh", "192.0.2.1", 1000, 1000), 1000);
	throttle_free(t);
	p.exempt = bad;
	p.n_exempt = 1;
	assert_int_equal(throttle_new(NULL, &p, &t), ERR_SYNTAX);
	p.n_exempt = 0;
	assert_int_equal(throttle_new("/nonexistent/file", &p, &t), ERR_IO);
}

static void
test_shared(void **state)
{
	char file[] = "/tmp/throttle_test.XXXXXX";
	int fd = mkstemp(file), status;
	struct throttle *t, *u;
	uint64_t now = 1000000;
	pid_t pid;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	t = make(file);
	u = make(file);
	assert_int_equal(hammer(t, "binh", "192.0.2.1", now, 5), 5);
	assert_int_equal(hammer(u, "binh", "192.0.2.1", now, 100), 3);
	/* a process that is killed in the midst of it leaves all usable */
	pid = fork();
	if (pid == 0) {
		for (unsigned i = 0;; i++) {
			char name[20];

			snprintf(name, sizeof(name), "k%u", i % 50);
			throttle_failed(t, S(name), 0, "192.0.2.1", now + i);
			throttle_succeeded(t, S(name), 0, "192.0.2.3", now + i);
		}
	}
	usleep(100000);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_false(throttle_may(u, S("binh"), 0, "192.0.2.1", now));
	assert_int_equal(hammer(u, "huong", "198.51.100.1", now, 100), 8);
	throttle_free(t);
	throttle_free(u);
	/* it outlives all of them; a file of something else is begun anew */
	t = make(file);
	assert_false(throttle_may(t, S("huong"), 0, "198.51.100.1", now));
	throttle_free(t);
	fd = open(file, O_WRONLY);
	assert_int_equal(write(fd, "something else", 14), 14);
	close(fd);
	t = make(file);
	assert_true(throttle_may(t, S("huong"), 0, "198.51.100.1", now));
	throttle_free(t);
	unlink(file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_account),
	    cmocka_unit_test(test_new_password), cmocka_unit_test(test_known_network),
	    cmocka_unit_test(test_network), cmocka_unit_test(test_full_table),
	    cmocka_unit_test(test_off_and_bad), cmocka_unit_test(test_shared)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
