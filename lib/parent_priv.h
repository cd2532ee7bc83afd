/* parent_priv.h: what the parent*.c files share. */
#ifndef CV_PARENT_PRIV_H
#define CV_PARENT_PRIV_H

#include <sys/types.h>

#include "lib/parent.h"
#include "lib/proc.h"

/* One process of a role. */
struct child {
	const struct parent_role *role;
	unsigned index;
	pid_t pid; /* 0: not running */
	uint64_t started_ms;
	time_t started;
	uint64_t start_at_ms; /* when it is to be started (again); 0: no plan */
	unsigned backoff_ms;
	unsigned restarts;
	char last_exit[48]; /* "" before the first end */
	int last_bad_syscall;
	int page_fd;
	struct proc_page *page;
	struct child *coming; /* a reload's: takes this one's place when it is up */
	bool planned;         /* its end is a reload's */
};

struct parent {
	const struct parent_spec *spec;
	struct conf *conf;
	char *run_dir;
	char *libexec;
	bool root;
	int run_fd;   /* O_DIRECTORY of run_dir */
	int *sockets; /* by spec->sockets; -1: not bound */
	struct child *children;
	size_t n_children;
	unsigned restarts; /* of the whole program */
	time_t started;
	bool stopping;  /* of the program for good */
	bool recycling; /* all roles end, then all start again */
	uint64_t kill_at_ms;
	char *last_status; /* what the status file says */
	/* parent_reload.c */
	struct conf *fresh;   /* read by a reload: where secrets are; NULL before */
	struct child **going; /* replaced, serving their last clients */
	size_t n_going;
	bool reloading, told_ready;
	unsigned reloads;   /* ended, well or not */
	bool reload_failed; /* the last of them, in any part */
	size_t reload_at;   /* of children: whose turn it is */
	bool role_begun;    /* its successors were started */
	uint64_t restart_kill_ms;
};

/* parent_reload.c: the next option, from *at_io (0 at first), that was changed since the start and that no reload takes over; NULL: no more. */
const char *parent_needs_restart(const struct parent *p, size_t *at_io);
/* parent.c */
uint64_t parent_now_ms(void);
/* Starts the process of c; one that cannot be started is planned anew. replaces: proc_page's. */
void parent_child_start(struct parent *p, struct child *c, bool replaces);
void parent_child_done(struct child *c);

/* parent_reload.c: what SIGHUP does; parent.h says it. */
void parent_reload_begin(struct parent *p);
/* Goes on with a reload; called each turn. */
void parent_reload_step(struct parent *p);
/* A process ended: true when it was one of a reload's own, coming or going. */
bool parent_reload_ended(struct parent *p, pid_t pid, int status);
/* Signals those that come and go; whether there are any. */
void parent_reload_signal(struct parent *p, int signo);
bool parent_reload_any(const struct parent *p);
void parent_reload_done(struct parent *p);

/* parent_setup.c: all done before the first role starts. Each logs what is wrong and gives a negative enum err. */
int parent_make_dirs(struct parent *p);
int parent_bind(struct parent *p);
/* The uid and gid of a user option; our own when not root. */
int parent_user(const struct parent *p, const char *option, uid_t *uid_out, gid_t *gid_out);

/* parent_status.c: writes run/<program>.status when it changed; removes it at the end. */
void parent_status_write(struct parent *p);
void parent_status_remove(struct parent *p);

#endif
