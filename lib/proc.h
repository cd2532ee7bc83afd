/* proc.h: processes: users, dropping privileges, spawning with descriptors at fixed numbers, what ended them. Used
 * by the parents and by roles at their start. */
#ifndef CV_PROC_H
#define CV_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What a role tells its parent: one page of shared memory (a sealed memfd, inherited as "status"). The parent
 * reads it as plain numbers for `congvu status`, and believes nothing else of it. */
#define PROC_STATS 16
#define PROC_PAGE_MAGIC 0x43565031u
struct proc_page {
	uint32_t magic;
	uint32_t sandbox;    /* enum sandbox_state; 0: not entered yet */
	int32_t bad_syscall; /* that the sandbox stopped, -1 none */
	uint32_t uid;        /* after dropping */
	uint32_t
	    replaces; /* set by the parent: started to take the place of a process that works */
	uint64_t stats[PROC_STATS]; /* role_stat_set */
};
/* A new page: its descriptor (close-on-exec), mapped at *page_out; -1 with errno. */
int proc_page_new(struct proc_page **page_out);
/* Maps an inherited page; NULL when fd is none. */
struct proc_page *proc_page_map(int fd);
void proc_page_free(struct proc_page *page);

/* A user by name, or by number (then its group is the same number). 0 or ERR_NOTFOUND. */
int proc_user(const char *name, uid_t *uid_out, gid_t *gid_out);
/* Leaves root for good: groups, gid, uid; checks that there is no way back. 0 or ERR_DENIED. */
int proc_drop(uid_t uid, gid_t gid);
/* No core file, not dumpable, no new privileges, dies with its parent (checked against parent_pid). Again after
 * every change of uid, which clears some of it. 0 or ERR_IO. */
int proc_harden(pid_t parent_pid);

/* Starts binary with argv; fds[i] appears there as descriptor 3 + i, nothing else but 0 (/dev/null), 1 and 2 is open.
 * The child gets SIGKILL when the caller dies, ignores SIGINT (a terminal's ^C is for the parent) and has no
 * signal blocked. Of the environment it sees PATH, LANG, LC_*, TZ, CONGVU_* and what sanitizers read. Returns the pid or a negative enum err; an exec that fails is exit status 127. */
#define PROC_FDS_MAX 64
pid_t proc_spawn(const char *binary, char *const argv[], const int *fds, size_t n_fds);

/* "exit 78" or "signal 9 (Killed)" of a wait status; into text. Returns text. */
const char *proc_status_text(int status, char *text, size_t size);

#endif
