/* loop.c: the event loop of every role, on libevent's event_core (this file is its only includer). Invariants:
 * a turn of loop_run handles what is ready, then what was deferred; freeing a watch, timer or deferral from any
 * callback, its own included, is safe; nothing here blocks but the wait for events itself. */
#include "config.h"

#include "lib/loop.h"

#include "lib/err.h"
#include "lib/log.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <sys/queue.h>

#include <event2/event.h>

TAILQ_HEAD(defer_list, loop_defer);

struct loop_sig {
	struct loop_sig *next;
	struct event *ev;
	int signo;
	void (*cb)(void *arg, int signo);
	void *arg;
};

struct loop {
	struct event_base *base;
	struct defer_list deferred;
	struct loop_sig *signals;
	struct event *wake; /* makes a wait of no length while something is deferred */
	uint64_t now_ms;
	uint64_t turn;
	bool stopped;
};

struct loop_fd {
	struct loop *loop;
	struct event *ev;
	int fd;
	int want;
	void (*cb)(void *arg, int events);
	void *arg;
};

struct loop_timer {
	struct loop *loop;
	struct event *ev;
	bool set;
	void (*cb)(void *arg);
	void *arg;
};

struct loop_defer {
	TAILQ_ENTRY(loop_defer) link;
	struct loop *loop;
	uint64_t turn; /* the turn it was set in */
	bool queued;
	void (*cb)(void *arg);
	void *arg;
};

static uint64_t
clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
wake_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

struct loop *
loop_new(void)
{
	struct loop *l = xcalloc(1, sizeof(*l));
	struct event_config *cfg = event_config_new();

	if (cfg == NULL)
		fatal("no memory for an event loop");
	/* a peer that is gone is an error of write(2), OpenSSL's too, and no end of the process */
	signal(SIGPIPE, SIG_IGN);
	/* the environment of a server is no place to choose its event back end */
	event_config_set_flag(cfg, EVENT_BASE_FLAG_IGNORE_ENV | EVENT_BASE_FLAG_NOLOCK);
	l->base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	if (l->base == NULL)
		fatal("no event loop");
	TAILQ_INIT(&l->deferred);
	l->wake = event_new(l->base, -1, 0, wake_cb, NULL);
	if (l->wake == NULL)
		fatal("no memory for an event loop");
	l->now_ms = clock_ms();
	return l;
}

void
loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	while (l->signals != NULL) {
		struct loop_sig *s = l->signals;
		l->signals = s->next;
		event_free(s->ev);
		free(s);
	}
	event_free(l->wake);
	event_base_free(l->base);
	free(l);
}

/* Those deferred while this runs wait for the next turn: a callback that sets itself again starves nobody. */
static void
run_deferred(struct loop *l)
{
	uint64_t turn_now = ++l->turn;
	struct loop_defer *d;

	while ((d = TAILQ_FIRST(&l->deferred)) != NULL && d->turn < turn_now) {
		TAILQ_REMOVE(&l->deferred, d, link);
		d->queued = false;
		d->cb(d->arg);
	}
}

static int
turn(struct loop *l, int flags)
{
	/* an active event makes the wait end at once */
	if (!TAILQ_EMPTY(&l->deferred))
		flags |= EVLOOP_NONBLOCK;
	int r = event_base_loop(l->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY | flags);
	l->now_ms = clock_ms();
	run_deferred(l);
	return r < 0 ? ERR_IO : 0;
}

int
loop_run(struct loop *l)
{
	int r = 0;

	l->stopped = false;
	while (r == 0 && !l->stopped)
		r = turn(l, 0);
	return r;
}

int
loop_run_once(struct loop *l, unsigned max_ms)
{
	struct timeval tv = {.tv_sec = max_ms / 1000, .tv_usec = (max_ms % 1000) * 1000};

	if (max_ms == 0)
		return turn(l, EVLOOP_NONBLOCK);
	event_add(l->wake, &tv);
	int r = turn(l, 0);
	event_del(l->wake);
	return r;
}

void
loop_stop(struct loop *l)
{
	l->stopped = true;
	event_base_loopbreak(l->base);
}

uint64_t
loop_now_ms(struct loop *l)
{
	return l->now_ms;
}

static void
fd_cb(evutil_socket_t fd, short what, void *arg)
{
	struct loop_fd *f = arg;
	int events = 0;

	(void)fd;
	f->loop->now_ms = clock_ms();
	if (what & EV_READ)
		events |= LOOP_READ;
	if (what & EV_WRITE)
		events |= LOOP_WRITE;
	f->cb(f->arg, events); /* f may be gone now */
}

struct loop_fd *
loop_fd_new(struct loop *l, int fd, void (*cb)(void *arg, int events), void *arg)
{
	struct loop_fd *f = xcalloc(1, sizeof(*f));

	*f = (struct loop_fd){.loop = l, .fd = fd, .cb = cb, .arg = arg};
	f->ev = event_new(l->base, fd, EV_PERSIST, fd_cb, f);
	if (f->ev == NULL)
		fatal("no memory for an event");
	return f;
}

void
loop_fd_want(struct loop_fd *f, int events)
{
	short what = EV_PERSIST;

	if (events == f->want)
		return;
	if (f->want != 0)
		event_del(f->ev);
	f->want = events;
	if (events == 0)
		return;
	if (events & LOOP_READ)
		what |= EV_READ;
	if (events & LOOP_WRITE)
		what |= EV_WRITE;
	if (event_assign(f->ev, f->loop->base, f->fd, what, fd_cb, f) != 0 ||
	    event_add(f->ev, NULL) != 0)
		fatal("cannot watch descriptor %d", f->fd);
}

void
loop_fd_free(struct loop_fd *f)
{
	if (f == NULL)
		return;
	event_free(f->ev);
	free(f);
}

static void
timer_cb(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *t = arg;

	(void)fd;
	(void)what;
	t->set = false;
	t->loop->now_ms = clock_ms();
	t->cb(t->arg); /* t may be gone now */
}

struct loop_timer *
loop_timer_new(struct loop *l, void (*cb)(void *arg), void *arg)
{
	struct loop_timer *t = xcalloc(1, sizeof(*t));

	t->loop = l;
	t->cb = cb;
	t->arg = arg;
	t->ev = event_new(l->base, -1, 0, timer_cb, t);
	if (t->ev == NULL)
		fatal("no memory for a timer");
	return t;
}

void
loop_timer_set(struct loop_timer *t, uint64_t ms)
{
	struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (ms % 1000) * 1000};

	if (event_add(t->ev, &tv) != 0)
		fatal("cannot set a timer");
	t->set = true;
}

void
loop_timer_stop(struct loop_timer *t)
{
	if (t->set)
		event_del(t->ev);
	t->set = false;
}

bool
loop_timer_is_set(const struct loop_timer *t)
{
	return t->set;
}

void
loop_timer_free(struct loop_timer *t)
{
	if (t == NULL)
		return;
	event_free(t->ev);
	free(t);
}

struct loop_defer *
loop_defer_new(struct loop *l, void (*cb)(void *arg), void *arg)
{
	struct loop_defer *d = xcalloc(1, sizeof(*d));

	d->loop = l;
	d->cb = cb;
	d->arg = arg;
	return d;
}

void
loop_defer_set(struct loop_defer *d)
{
	if (d->queued)
		return;
	d->queued = true;
	d->turn = d->loop->turn;
	TAILQ_INSERT_TAIL(&d->loop->deferred, d, link);
}

void
loop_defer_free(struct loop_defer *d)
{
	if (d == NULL)
		return;
	if (d->queued)
		TAILQ_REMOVE(&d->loop->deferred, d, link);
	free(d);
}

static void
signal_cb(evutil_socket_t signo, short what, void *arg)
{
	struct loop_sig *s = arg;

	(void)what;
	s->cb(s->arg, (int)signo);
}

int
loop_signal(struct loop *l, int signo, void (*cb)(void *arg, int signo), void *arg)
{
	struct loop_sig *s = xcalloc(1, sizeof(*s));

	*s = (struct loop_sig){.next = l->signals, .signo = signo, .cb = cb, .arg = arg};
	s->ev = event_new(l->base, signo, EV_SIGNAL | EV_PERSIST, signal_cb, s);
	if (s->ev == NULL)
		fatal("no memory for a signal");
	if (event_add(s->ev, NULL) != 0) {
		event_free(s->ev);
		free(s);
		return ERR_IO;
	}
	l->signals = s;
	return 0;
}
