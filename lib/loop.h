/* loop.h: the event loop (libevent's event_core behind it; loop.c is its only includer). One loop per
 * process and thread. Callbacks never block. */
#ifndef CV_LOOP_H
#define CV_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_fd;
struct loop_timer;
struct loop_defer;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

struct loop *loop_new(void); /* fatal() for no memory */
void loop_free(struct loop *l);
/* Runs until loop_stop; returns 0 or ERR_IO. */
int loop_run(struct loop *l);
/* One turn: waits for events at most max_ms (0: none), runs what is due. */
int loop_run_once(struct loop *l, unsigned max_ms);
void loop_stop(struct loop *l);
/* Monotonic milliseconds, read once a turn. */
uint64_t loop_now_ms(struct loop *l);

/* Watches fd (not owned). cb gets the ready events (LOOP_*). Nothing is watched until loop_fd_want. */
struct loop_fd *loop_fd_new(struct loop *l, int fd, void (*cb)(void *arg, int events), void *arg);
void loop_fd_want(struct loop_fd *f, int events);
void loop_fd_free(struct loop_fd *f); /* NULL accepted; safe inside its own callback */

/* One-shot timer; set again re-arms. */
struct loop_timer *loop_timer_new(struct loop *l, void (*cb)(void *arg), void *arg);
void loop_timer_set(struct loop_timer *t, uint64_t ms);
void loop_timer_stop(struct loop_timer *t);
bool loop_timer_is_set(const struct loop_timer *t);
void loop_timer_free(struct loop_timer *t); /* NULL accepted; safe inside its own callback */

/* Runs cb once, later in this turn or the next, never from within the caller: for freeing oneself and
 * for breaking recursion. Freeing before it ran cancels it; it may be set again from its callback. */
struct loop_defer *loop_defer_new(struct loop *l, void (*cb)(void *arg), void *arg);
void loop_defer_set(struct loop_defer *d);
void loop_defer_free(struct loop_defer *d); /* NULL accepted; safe inside its own callback */

/* Calls cb for each arrival of signal signo. */
int loop_signal(struct loop *l, int signo, void (*cb)(void *arg, int signo), void *arg);

#endif
