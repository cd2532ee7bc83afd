/* io_listener.c: accepts connections on an inherited listening socket. Runs in every role that serves peers.
 * Invariants: at most max connections are open; without descriptors accepting pauses instead of spinning. */
#include "config.h"

#include "lib/io.h"

#include "lib/err.h"
#include "lib/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPT_TURN = 32, PAUSE_MS = 200 };

struct listener {
	struct loop_fd *watch;
	struct loop_timer *pause;
	int fd;
	unsigned max, open;
	bool paused, in_cb, dead;
	void (*accept_cb)(void *arg, int fd);
	void *arg;
};

static void
update(struct listener *ls)
{
	loop_fd_want(ls->watch, !ls->paused && ls->open < ls->max ? LOOP_READ : 0);
}

static void
on_pause_over(void *arg)
{
	struct listener *ls = arg;

	ls->paused = false;
	update(ls);
}

static void
on_ready(void *arg, int events)
{
	struct listener *ls = arg;

	(void)events;
	ls->in_cb = true;
	for (int i = 0; i < ACCEPT_TURN && !ls->dead && ls->open < ls->max; i++) {
		int fd = accept4(ls->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			ls->open++;
			ls->accept_cb(ls->arg, fd);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO)
			continue;
		if (errno == EAGAIN)
			break;
		/* no descriptors or no memory: the connection stays in the backlog, and we do not spin */
		log_msg(LOG_LVL_WARN, "accept_paused", "errno %d, %u open", errno, ls->open);
		ls->paused = true;
		loop_timer_set(ls->pause, PAUSE_MS);
		break;
	}
	ls->in_cb = false;
	if (ls->dead)
		free(ls);
	else
		update(ls);
}

struct listener *
listener_new(struct loop *l, int fd, unsigned max, void (*accept_cb)(void *arg, int fd), void *arg)
{
	struct listener *ls = xcalloc(1, sizeof(*ls));
	int flags = fcntl(fd, F_GETFL);

	/* several processes share the socket: only one gets each connection, the others must not block */
	if (flags >= 0 && !(flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	*ls = (struct listener){.fd = fd, .max = max, .accept_cb = accept_cb, .arg = arg};
	ls->watch = loop_fd_new(l, fd, on_ready, ls);
	ls->pause = loop_timer_new(l, on_pause_over, ls);
	update(ls);
	return ls;
}

void
listener_closed(struct listener *ls)
{
	assert(ls->open > 0);
	ls->open--;
	if (!ls->dead)
		update(ls);
}

void
listener_free(struct listener *ls)
{
	if (ls == NULL || ls->dead)
		return;
	loop_fd_free(ls->watch);
	loop_timer_free(ls->pause);
	ls->dead = true;
	if (!ls->in_cb)
		free(ls);
}
