/* loop_test.c: descriptors, timers, deferrals and signals, and freeing each inside its own callback. */
#include "config.h"

#include "lib/log.h"
#include "lib/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/unit.h"

struct seen {
	struct loop *l;
	struct loop_fd *f;
	struct loop_timer *t;
	struct loop_defer *d;
	int fd;
	int count;
	int events;
	uint64_t due;
};

static void
on_fd(void *arg, int events)
{
	struct seen *s = arg;
	char c;

	s->events |= events;
	if (events & LOOP_READ) {
		assert_int_equal(read(s->fd, &c, 1), 1);
		s->count++;
	}
	if (events & LOOP_WRITE)
		loop_fd_want(s->f, LOOP_READ);
	if (s->count == 2) {
		loop_fd_free(s->f);
		s->f = NULL;
	}
}

static void
test_fd(void **state)
{
	int p[2];
	struct seen s = {.l = loop_new()};

	(void)state;
	assert_int_equal(pipe(p), 0);
	s.fd = p[0];
	s.f = loop_fd_new(s.l, p[0], on_fd, &s);
	assert_int_equal(write(p[1], "abc", 3), 3);
	assert_int_equal(loop_run_once(s.l, 5), 0);
	assert_int_equal(s.count, 0); /* nothing is watched before loop_fd_want */
	loop_fd_want(s.f, LOOP_READ);
	loop_run_once(s.l, 100);
	assert_int_equal(s.count, 1);
	loop_fd_want(s.f, 0);
	loop_run_once(s.l, 5);
	assert_int_equal(s.count, 1);
	loop_fd_want(s.f, LOOP_READ | LOOP_WRITE);
	loop_run_once(s.l, 100);
	assert_int_equal(s.count, 2);
	assert_null(s.f);
	loop_run_once(s.l, 5);
	assert_int_equal(s.count, 2);
	close(p[0]);
	close(p[1]);
	loop_free(s.l);
}

static void
on_timer(void *arg)
{
	struct seen *s = arg;

	s->count++;
	assert_false(loop_timer_is_set(s->t));
	/* the time that passed while waiting is seen inside the callback */
	assert_true(loop_now_ms(s->l) >= s->due);
	if (s->count < 3) {
		loop_timer_set(s->t, 1);
		return;
	}
	loop_timer_free(s->t);
	s->t = NULL;
	loop_stop(s->l);
}

static void
test_timer(void **state)
{
	struct seen s = {.l = loop_new()};

	(void)state;
	uint64_t t0 = loop_now_ms(s.l);
	s.t = loop_timer_new(s.l, on_timer, &s);
	loop_timer_set(s.t, 1);
	loop_timer_stop(s.t);
	loop_run_once(s.l, 10);
	assert_int_equal(s.count, 0);
	loop_timer_set(s.t, 5000);
	loop_timer_set(s.t, 20); /* set again re-arms */
	s.due = loop_now_ms(s.l) + 19;
	assert_true(loop_timer_is_set(s.t));
	assert_int_equal(loop_run(s.l), 0);
	assert_int_equal(s.count, 3);
	assert_null(s.t);
	uint64_t took = loop_now_ms(s.l) - t0;
	assert_true(took >= 30 && took < 3000);
	loop_free(s.l);
}

static void
on_defer(void *arg)
{
	struct seen *s = arg;

	s->count++;
	if (s->count < 5) {
		loop_defer_set(s->d);
		return;
	}
	loop_defer_free(s->d);
	s->d = NULL;
}

static void
on_never(void *arg)
{
	(void)arg;
	fail_msg("a freed deferral ran");
}

static void
test_defer(void **state)
{
	struct seen s = {.l = loop_new()};
	struct loop_defer *never = loop_defer_new(s.l, on_never, NULL);

	(void)state;
	s.d = loop_defer_new(s.l, on_defer, &s);
	loop_defer_set(s.d);
	loop_defer_set(s.d);
	loop_defer_set(never);
	assert_int_equal(s.count, 0);
	loop_defer_free(never);
	loop_run_once(s.l, 1000);
	assert_int_equal(s.count, 1); /* setting itself again waits for the next turn */
	for (int i = 0; i < 10; i++)
		loop_run_once(s.l, 0);
	assert_int_equal(s.count, 5);
	assert_null(s.d);
	loop_defer_free(NULL);
	loop_timer_free(NULL);
	loop_fd_free(NULL);
	loop_free(s.l);
}

static void
on_signal(void *arg, int signo)
{
	struct seen *s = arg;

	assert_int_equal(signo, SIGUSR1);
	s->count++;
}

static void
test_signal(void **state)
{
	struct seen s = {.l = loop_new()};

	(void)state;
	assert_int_equal(loop_signal(s.l, SIGUSR1, on_signal, &s), 0);
	raise(SIGUSR1);
	loop_run_once(s.l, 1000);
	assert_int_equal(s.count, 1);
	loop_free(s.l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fd),
	    cmocka_unit_test(test_timer),
	    cmocka_unit_test(test_defer),
	    cmocka_unit_test(test_signal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
