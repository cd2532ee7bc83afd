/* proc.c: processes: users, dropping privileges, spawning, what ended them. Runs in the parents (as root, maybe)
 * and at the start of each role. Invariants: between fork and exec only async-signal-safe calls; a drop of
 * privileges that cannot be proved final is an error. */
#include "config.h"

#include "lib/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/log.h"

int
proc_page_new(struct proc_page **page_out)
{
	int fd = memfd_create("congvu-status", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct proc_page *page;

	if (fd < 0)
		return -1;
	/* sealed: a role that shortened it would kill the parent with SIGBUS */
	if (ftruncate(fd, sizeof(*page)) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0 ||
	    (page = proc_page_map(fd)) == NULL) {
		close(fd);
		return -1;
	}
	page->magic = PROC_PAGE_MAGIC;
	page->bad_syscall = -1;
	*page_out = page;
	return fd;
}

struct proc_page *
proc_page_map(int fd)
{
	void *p = mmap(NULL, sizeof(struct proc_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

void
proc_page_free(struct proc_page *page)
{
	if (page != NULL)
		munmap(page, sizeof(*page));
}

int
proc_user(const char *name, uid_t *uid_out, gid_t *gid_out)
{
	struct passwd *pw = getpwnam(name);
	uint64_t n;

	if (pw != NULL) {
		*uid_out = pw->pw_uid;
		*gid_out = pw->pw_gid;
		return 0;
	}
	if (slice_to_u64(slice_str(name), UINT32_MAX - 1, &n) != 0)
		return ERR_NOTFOUND;
	*uid_out = (uid_t)n;
	*gid_out = (gid_t)n;
	return 0;
}

int
proc_drop(uid_t uid, gid_t gid)
{
	uid_t r, e, s;

	if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 ||
	    setresuid(uid, uid, uid) != 0)
		return ERR_DENIED;
	if (getresuid(&r, &e, &s) != 0 || r != uid || e != uid || s != uid)
		return ERR_DENIED;
	if (uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))
		return ERR_DENIED;
	return 0;
}

int
proc_harden(pid_t parent_pid)
{
	static const struct rlimit none = {0, 0};

#ifdef CV_ASAN
	/* Its leak check reads the process by ptrace, and a change of user has just forbidden that: it would hang at the end. */
	const unsigned long dumpable = 1;
#else
	const unsigned long dumpable = 0;
#endif
	if (prctl(PR_SET_DUMPABLE, dumpable) != 0)
		return ERR_IO;
	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		return ERR_IO;
	if (getppid() != parent_pid)
		_exit(0); /* it died before PDEATHSIG was set */
	return 0;
}

/* What a child inherits of the environment: what our programs and the tools that look into them read. The rest is the business of
 * whoever started us, passwords maybe, and none of a role that is taken over; nor may it turn a library's switches. */
enum { ENV_MAX = 64 };

static bool
env_passes(const char *entry)
{
	static const char *const starts[] = {"PATH=", "LANG=", "LC_", "TZ=", "CONGVU_",
	    "ASAN_OPTIONS=", "LSAN_OPTIONS=", "TSAN_OPTIONS=", "UBSAN_OPTIONS=",
	    "LLVM_PROFILE_FILE=", "GCOV_PREFIX"};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (strncmp(entry, starts[i], strlen(starts[i])) == 0)
			return true;
	return false;
}

static void
env_for_child(char *out[ENV_MAX + 1])
{
	size_t n = 0;

	for (char **e = environ; e != NULL && *e != NULL && n < ENV_MAX; e++)
		if (env_passes(*e))
			out[n++] = *e;
	out[n] = NULL;
}

/* In the child, between fork and exec. */
static void __attribute__((noreturn)) child_exec(const char *binary, char *const argv[],
    char *const env[], int *fds, size_t n_fds, pid_t parent_pid)
{
	struct sigaction sa = {.sa_handler = SIG_DFL};
	sigset_t none;
	int null;

	for (int s = 1; s < NSIG; s++)
		sigaction(s, &sa, NULL);
	signal(SIGINT, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent_pid)
		_exit(0);
	/* out of the way first, then down to their places */
	for (size_t i = 0; i < n_fds; i++)
		if ((fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3 + PROC_FDS_MAX)) < 0)
			_exit(126);
	for (size_t i = 0; i < n_fds; i++)
		if (dup2(fds[i], 3 + (int)i) < 0)
			_exit(126);
	if (close_range(3 + (unsigned)n_fds, ~0u, 0) != 0)
		_exit(126);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	execve(binary, argv, env);
	_exit(127);
}

pid_t
proc_spawn(const char *binary, char *const argv[], const int *fds, size_t n_fds)
{
	pid_t self = getpid(), pid;
	char *env[ENV_MAX + 1];
	int copy[PROC_FDS_MAX];

	if (n_fds > PROC_FDS_MAX)
		return ERR_LIMIT;
	env_for_child(env);
	for (size_t i = 0; i < n_fds; i++)
		copy[i] = fds[i];
	pid = fork();
	if (pid == 0)
		child_exec(binary, argv, env, copy, n_fds, self);
	return pid > 0 ? pid : err_from_errno(errno);
}

const char *
proc_status_text(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(
		    text, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(text, size, "exit %d", WEXITSTATUS(status));
	return text;
}
