/* work_test.c: threads that wait for the directory do not keep those who ask behind them waiting, and no more are woken than are needed. */
#include "config.h"

#include "directory/login_memory.h"
#include "directory/token.h"
#include "directory/work.h"
#include "lib/err.h"
#include "lib/log.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/unit.h"

enum { THREADS = 4, QUEUE = 100 };

static const unsigned char key[32];
static struct conf *conf;
static struct work *work;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static unsigned n_inside, n_may_leave, n_counted, n_asked[2 * QUEUE];

/* The directory: who asks stays until the test lets one out. */
int people_acl(struct people *p, struct slice account, struct people_acl **out);

int
people_acl(struct people *p, struct slice account, struct people_acl **out)
{
	uint64_t number;

	(void)p;
	(void)out;
	assert_int_equal(slice_to_u64(slice_from(account, 2), 2 * QUEUE - 1, &number), 0);
	pthread_mutex_lock(&lock);
	n_asked[number]++;
	n_inside++;
	pthread_cond_broadcast(&change);
	while (n_may_leave == 0)
		pthread_cond_wait(&change, &lock);
	n_may_leave--;
	n_inside--;
	pthread_cond_broadcast(&change);
	pthread_mutex_unlock(&lock);
	return ERR_TEMP;
}

void
auth_count_wrong(struct auth *a)
{
	assert_null(a);
	pthread_mutex_lock(&lock);
	n_counted++;
	pthread_mutex_unlock(&lock);
}

static int
put_numbered(unsigned number)
{
	struct job *j = job_new(JOB_ACL);
	struct token t = {.login = "u", .expires = INT64_MAX};
	int err;

	snprintf(t.account, sizeof(t.account), "p-%u", number);
	buf_done(&j->input);
	buf_init(&j->input, TOKEN_MAX);
	assert_int_equal(token_seal(key, &t, &j->input), 0);
	j->address = xstrdup(t.account);
	err = work_put_take(work, j);
	if (err != 0)
		job_free(j);
	return err;
}

static void
put(void)
{
	assert_int_equal(put_numbered(0), 0);
}

static int
put_wrong(void)
{
	struct job *j = job_new(JOB_AUTH_WRONG);
	int err;

	j->err = ERR_TEMP;
	err = work_put_take(work, j);
	if (err != 0)
		job_free(j);
	return err;
}

/* The loop's clock goes on until so many are inside. */
static void
wait_inside(unsigned n)
{
	for (;;) {
		unsigned now;

		(void)work_nudge(work);
		pthread_mutex_lock(&lock);
		now = n_inside;
		pthread_mutex_unlock(&lock);
		if (now == n)
			return;
		assert_true(now < n);
		usleep(1000);
	}
}

static unsigned
take_done(unsigned n)
{
	unsigned got = 0;

	while (got < n) {
		struct pollfd p = {.fd = work_fd(work), .events = POLLIN};
		struct job *next;

		assert_true(poll(&p, 1, 60000) == 1);
		for (struct job *j = work_done(work); j != NULL; j = next) {
			next = j->next;
			assert_int_equal(j->err, ERR_TEMP);
			job_free(j);
			got++;
		}
	}
	return got;
}

static void
test_blocked(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		/* one after the other, each behind threads that wait: all threads there are come in */
		for (unsigned i = 0; i < THREADS; i++) {
			put();
			wait_inside(i + 1);
		}
		/* more than there are threads wait until one is free: nobody is left to be woken */
		put();
		put();
		assert_false(work_nudge(work));
		pthread_mutex_lock(&lock);
		assert_int_equal(n_inside, THREADS);
		n_may_leave = THREADS + 2;
		pthread_cond_broadcast(&change);
		pthread_mutex_unlock(&lock);
		assert_int_equal(take_done(THREADS + 2), THREADS + 2);
		assert_false(work_nudge(work));
	}
}

/* Nobody nudges: all of them are done, each once. */
static void
test_alone(void **state)
{
	(void)state;
	pthread_mutex_lock(&lock);
	n_may_leave = 100;
	pthread_mutex_unlock(&lock);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(put_numbered(QUEUE + i), 0);
	assert_int_equal(take_done(100), 100);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(n_asked[QUEUE + i], 1);
	pthread_mutex_lock(&lock);
	assert_true(n_inside == 0 && n_may_leave == 0);
	pthread_mutex_unlock(&lock);
}

/* With no room for questions there is some for counting wrong logins; that ends as well. */
static void
test_full(void **state)
{
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		put();
		wait_inside(i + 1);
	}
	while (put_numbered(0) == 0)
		n++;
	assert_int_equal(n, QUEUE);
	assert_int_equal(put_numbered(0), ERR_LIMIT);
	for (n = 0; put_wrong() == 0; n++)
		assert_true(n < QUEUE);
	assert_int_equal(n, QUEUE);
	assert_int_equal(put_wrong(), ERR_LIMIT);
	assert_int_equal(n_counted, 0);
	pthread_mutex_lock(&lock);
	n_may_leave = THREADS + QUEUE;
	pthread_cond_broadcast(&change);
	pthread_mutex_unlock(&lock);
	assert_int_equal(take_done(THREADS + 2 * QUEUE), THREADS + 2 * QUEUE);
	assert_int_equal(n_counted, QUEUE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_blocked),
	    cmocka_unit_test(test_alone),
	    cmocka_unit_test(test_full),
	};
	struct work_params p = {.threads = THREADS, .queue_max = QUEUE};
	char path[] = "/tmp/work_testXXXXXX", *why = NULL;
	int fd = mkstemp(path);

	log_init("work_test", 2);
	log_set_level(LOG_LVL_ERROR);
	if (fd < 0 || conf_load(path, &conf, &why) != 0)
		return 1;
	close(fd);
	unlink(path);
	p.conf = conf;
	work = work_new(&p);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
