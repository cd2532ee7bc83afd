/* dir_watch.h: hears of every change of the directory, as it happens where the server has content synchronization (RFC 4533, refreshAndPersist), else
 * by asking for what was modified. Blocks for ever: a thread of its own. */
#ifndef CV_DIR_WATCH_H
#define CV_DIR_WATCH_H

#include "directory/dir.h"

enum dir_watch_kind {
	DIR_WATCH_UP,      /* from here on nothing is missed; entry NULL */
	DIR_WATCH_UP_POLL, /* the same of changes; of removals nothing is heard */
	DIR_WATCH_CHANGE,  /* an entry was added, changed, renamed: as it is now, with attrs */
	DIR_WATCH_GONE,    /* was removed: its name alone */
	DIR_WATCH_ANY,     /* what changed cannot be told: look at everything; entry NULL */
	DIR_WATCH_DOWN,    /* no server answers: nothing is heard until UP; entry NULL */
};
typedef void (*dir_watch_fn)(void *arg, enum dir_watch_kind kind, const struct dir_entry *e);
struct dir_watch_params {
	const char *const *attrs;  /* NULL-terminated */
	const char *attr_modified; /* by which to ask, a GeneralizedTime: "modifyTimestamp" */
	bool poll_only;
	/* When the server was last heard of (CLOCK_MONOTONIC, ms) that tells each change as it happens; 0: there is none now, or what changed before is not
	 * all told yet. NULL accepted. */
	_Atomic uint64_t *heard_ms;
	dir_watch_fn fn; /* from the calling thread; e is borrowed */
	void *arg;
};
/* Watches the base of d. Does not return. */
void dir_watch(struct dir *d, const struct dir_watch_params *p) __attribute__((noreturn));

#endif
