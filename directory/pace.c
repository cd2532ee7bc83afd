/* pace.c: pace.h, in lookup's loop. A timer of the kernel's and not one of the loop's: those are rounded up to milliseconds whenever the loop wakes, and it
 * wakes when a worker is done, so that a millisecond would tell that one was asked. */
#include "config.h"

#include "directory/pace.h"

#include "lib/log.h"

#include <stdlib.h>
#include <sys/queue.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

struct late {
	struct ipc_conn *conn;
	uint32_t id;
	uint16_t type;
	int err;
	const char *why;
	struct buf payload;
	uint64_t due_us;
	TAILQ_ENTRY(late) link;
};
struct pace {
	int fd;
	unsigned n;
	TAILQ_HEAD(late_list, late) list; /* by time, the next first */
};

uint64_t
pace_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void
timer_set(struct pace *p)
{
	const struct late *first = TAILQ_FIRST(&p->list);
	struct itimerspec when = {.it_value = {0, 0}};

	if (first != NULL) {
		when.it_value.tv_sec = (time_t)(first->due_us / 1000000);
		when.it_value.tv_nsec = (long)(first->due_us % 1000000) * 1000;
	}
	if (timerfd_settime(p->fd, TFD_TIMER_ABSTIME, &when, NULL) != 0)
		fatal("timerfd");
}

static void
late_send(struct late *l)
{
	if (l->err != 0)
		ipc_reply_err(l->conn, l->id, l->err, l->why);
	else
		ipc_reply(l->conn, l->id, l->type, &l->payload, -1);
	ipc_release(l->conn);
	buf_wipe(&l->payload);
	free(l);
}

static void
on_time(void *arg, int events)
{
	struct pace *p = arg;
	uint64_t n, now = pace_now_us();
	struct late *l;

	(void)events;
	(void)!read(p->fd, &n, sizeof(n));
	while ((l = TAILQ_FIRST(&p->list)) != NULL && l->due_us <= now) {
		TAILQ_REMOVE(&p->list, l, link);
		p->n--;
		late_send(l);
	}
	timer_set(p);
}

struct pace *
pace_new(struct loop *loop)
{
	struct pace *p = xcalloc(1, sizeof(*p));

	TAILQ_INIT(&p->list);
	p->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (p->fd < 0)
		fatal("timerfd");
	loop_fd_want(loop_fd_new(loop, p->fd, on_time, p), LOOP_READ);
	return p;
}

static void
late_take(struct pace *p, struct late *l)
{
	struct late *before = TAILQ_LAST(&p->list, late_list);

	ipc_hold(l->conn);
	if (l->due_us <= pace_now_us()) {
		late_send(l);
		return;
	}
	/* nearly in order: those that wait all wait equally long */
	while (before != NULL && before->due_us > l->due_us)
		before = TAILQ_PREV(before, late_list, link);
	if (before != NULL)
		TAILQ_INSERT_AFTER(&p->list, before, l, link);
	else
		TAILQ_INSERT_HEAD(&p->list, l, link);
	p->n++;
	if (TAILQ_FIRST(&p->list) == l)
		timer_set(p);
}

void
pace_reply(struct pace *p, struct ipc_conn *c, uint32_t id, uint16_t type, struct slice payload,
    uint64_t due_us)
{
	struct late *l = xcalloc(1, sizeof(*l));

	l->conn = c;
	l->id = id;
	l->type = type;
	l->due_us = due_us;
	buf_init(&l->payload, IPC_FRAME_MAX);
	buf_append_slice(&l->payload, payload);
	late_take(p, l);
}

void
pace_reply_err(
    struct pace *p, struct ipc_conn *c, uint32_t id, int err, const char *why, uint64_t due_us)
{
	struct late *l = xcalloc(1, sizeof(*l));

	l->conn = c;
	l->id = id;
	l->err = err;
	l->why = why;
	l->due_us = due_us;
	buf_init(&l->payload, 1);
	late_take(p, l);
}

unsigned
pace_waiting(const struct pace *p)
{
	return p->n;
}
