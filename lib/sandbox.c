/* sandbox.c: role name -> what the kernel lets it do. Runs once in each role, at the end of role_enter, after all
 * dlopen work. seccomp: a list of allowed system calls (libseccomp; this file is its only includer); others trap:
 * the handler notes the number and the process dies by SIGSYS, which the parent logs loudly. Asking for a
 * file where a role has none gives EACCES instead, since libraries ask out of habit. Landlock, where the kernel
 * has it: files below the working folder, or nothing; TCP only for roles that need it. */
#include "config.h"

#include "lib/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/log.h"

enum {
	SB_UNIX = 1 << 0,   /* connects to UNIX sockets */
	SB_INET = 1 << 1,   /* connects by TCP and UDP */
	SB_LISTEN = 1 << 2, /* binds sockets itself (libmilter) */
	SB_THREADS = 1 << 3,
	SB_READ = 1 << 4,   /* reads system files: resolver, certificates */
	SB_WRITE = 1 << 5,  /* reads and writes below its working folder */
	SB_DLOPEN = 1 << 6, /* libraries load modules late (NSS, SASL) */
	SB_SMALL = 1 << 7,  /* bounded memory and descriptors: parses hostile files */
	SB_HABITS = 1 << 8, /* a stranger's module asks for syslog: refused, no death of it */
};

/* Beside its own list every role has the base: memory, time, signals, epoll, I/O on what it holds, accept. */
struct sandbox_role {
	const char *name;
	unsigned may;
};
/* clang-format off */
static const struct sandbox_role roles[] = {
	{"smtpd-session", SB_UNIX},
	{"smtpd-session-inet", SB_UNIX | SB_INET}, /* milters or lmtp_route by inet: */
	{"imapd-session", SB_UNIX},
	{"ingest", SB_UNIX},
	{"lookup", SB_UNIX | SB_INET | SB_THREADS | SB_READ | SB_DLOPEN},
	{"smtpd-queue", SB_THREADS | SB_WRITE},
	{"fetch", SB_UNIX | SB_INET | SB_THREADS | SB_READ | SB_DLOPEN},
	{"relay", SB_UNIX | SB_INET | SB_THREADS | SB_READ | SB_DLOPEN},
	{"stored", SB_THREADS | SB_WRITE},
	{"stored-restore", SB_THREADS | SB_WRITE},
	{"milter", SB_UNIX | SB_LISTEN | SB_THREADS | SB_WRITE},
	{"milter-inet", SB_UNIX | SB_INET | SB_LISTEN | SB_THREADS | SB_WRITE}, /* milter_listen inet: */
	{"milter-scan", SB_SMALL},
	{"milter-judge", SB_SMALL},
	{"store-text", SB_SMALL},
	{"milter-ledger", SB_UNIX | SB_THREADS | SB_WRITE}, /* to milter-sign and syslog */
	{"milter-sign", SB_WRITE},
	{"milter-sign-token", SB_WRITE | SB_HABITS},		  /* pkcs11_module */
	{"milter-sign-socket", SB_WRITE | SB_HABITS | SB_UNIX}, /* pkcs11_socket: the module asks a daemon */
	{"test-role", SB_UNIX}, /* tests/unit/parent_test */
	{"test-core", SB_WRITE},
};
/* clang-format on */

static const char *const base_calls[] = {"accept", "accept4", "brk", "clock_getres",
    "clock_gettime", "clock_nanosleep", "close", "close_range", "dup", "dup2", "dup3",
    "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd2", "exit",
    "exit_group", "fcntl", "fstat", "ftruncate", "futex", "get_robust_list", "getegid", "geteuid",
    "getgid", "getpeername", "getpid", "getppid", "getrandom", "getrusage", "getsockname",
    "getsockopt", "gettid", "gettimeofday", "getuid", "lseek", "madvise", "membarrier",
    "memfd_create", "mlock", "mremap", "munlock", "munmap", "nanosleep", "pipe2", "poll", "ppoll",
    "pread64", "preadv", "pselect6", "pwrite64", "pwritev", "read", "readv", "recvfrom", "recvmsg",
    "restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "sched_getaffinity", "sched_yield", "select", "sendfile", "sendmsg", "sendto",
    "set_robust_list", "setsockopt", "shutdown", "sigaltstack", "sysinfo", "time", "timerfd_create",
    "timerfd_gettime", "timerfd_settime", "times", "uname", "write", "writev", NULL};
static const char *const inet_calls[] = {"bind", "recvmmsg", "sendmmsg", NULL};
/* libmilter binds its socket and waits for signals in a thread of its own */
static const char *const listen_calls[] = {"bind", "listen", "rt_sigtimedwait", NULL};
/* a deadline for itself */
static const char *const small_calls[] = {"setitimer", NULL};
static const char *const read_calls[] = {"access", "faccessat", "faccessat2", "fadvise64",
    "fstatfs", "getcwd", "getdents64", "lstat", "newfstatat", "open", "openat", "readlink",
    "readlinkat", "stat", "statfs", "statx", NULL};
static const char *const write_calls[] = {"chmod", "copy_file_range", "creat", "fallocate",
    "fchmod", "fchmodat", "fdatasync", "flock", "fsync", "link", "linkat", "mkdir", "mkdirat",
    "msync", "rename", "renameat", "renameat2", "rmdir", "symlink", "sync_file_range", "syncfs",
    "umask", "unlink", "unlinkat", "utimensat", NULL};
#ifndef CV_ASAN
/* What roles without files get EACCES for, not death. */
static const char *const polite_calls[] = {"access", "creat", "faccessat", "faccessat2", "getcwd",
    "lstat", "open", "openat", "readlink", "readlinkat", "stat", "statx", NULL};
#else
/* The sanitizer's runtime looks at /proc/self, symbolises, and checks for leaks from a thread of its own. */
static const char *const asan_calls[] = {"access", "arch_prctl", "clone", "getdents", "getdents64",
    "kill", "lstat", "mmap", "mprotect", "newfstatat", "open", "openat", "prctl", "prlimit64",
    "process_vm_readv", "ptrace", "readlink", "readlinkat", "sched_getparam", "sched_setaffinity",
    "setrlimit", "getrlimit", "stat", "tgkill", "wait4", "waitid", NULL};
#endif

static const struct sandbox_role *
role_find(const char *name)
{
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (strcmp(roles[i].name, name) == 0)
			return &roles[i];
	fatal("sandbox: no row for role %s", name);
}

/* ---- the handler of a forbidden call ---- */

static int32_t *bad_syscall_at;
static char role_name[40];

void
sandbox_report_at(int32_t *where)
{
	bad_syscall_at = where;
}

static void
on_sigsys(int signo, siginfo_t *si, void *context)
{
	char line[120];
	int n;

	(void)context;
	if (bad_syscall_at != NULL)
		*bad_syscall_at = si->si_syscall;
	n = snprintf(line, sizeof(line), "level=error event=sandbox_violation role=%s syscall=%d\n",
	    role_name, si->si_syscall);
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		n = 0;
	signal(signo, SIG_DFL);
	raise(signo);
}

static void
handle_sigsys(const char *role)
{
	struct sigaction sa = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_NODEFER};

	snprintf(role_name, sizeof(role_name), "%s", role);
	sigemptyset(&sa.sa_mask);
	sigaction(SIGSYS, &sa, NULL);
}

/* ---- seccomp ---- */

static int
add(scmp_filter_ctx ctx, uint32_t action, const char *const *names)
{
	int rc = 0;

	for (; *names != NULL; names++) {
		int nr = seccomp_syscall_resolve_name(*names);

		if (nr >= 0) /* not every machine has every call */
			rc |= seccomp_rule_add(ctx, action, nr, 0);
	}
	return rc;
}

static int
add_arg(scmp_filter_ctx ctx, uint32_t action, const char *name, struct scmp_arg_cmp cmp)
{
	int nr = seccomp_syscall_resolve_name(name);

	return nr < 0 ? 0 : seccomp_rule_add_array(ctx, action, nr, 1, &cmp);
}

static int
add_sockets(scmp_filter_ctx ctx, unsigned may)
{
	static const char *const connect_call[] = {"connect", NULL};
	int rc = add_arg(ctx, SCMP_ACT_ALLOW, "socketpair", SCMP_A0_64(SCMP_CMP_EQ, AF_UNIX));

	if ((may & (SB_UNIX | SB_LISTEN)) != 0)
		rc |= add_arg(ctx, SCMP_ACT_ALLOW, "socket", SCMP_A0_64(SCMP_CMP_EQ, AF_UNIX));
	else if ((may & SB_HABITS) != 0)
		rc |= add_arg(
		    ctx, SCMP_ACT_ERRNO(EACCES), "socket", SCMP_A0_64(SCMP_CMP_EQ, AF_UNIX));
	if ((may & SB_HABITS) != 0)
		rc |= add_arg(
		    ctx, SCMP_ACT_ERRNO(EACCES), "socket", SCMP_A0_64(SCMP_CMP_NE, AF_UNIX));
	if ((may & SB_INET) != 0) {
		rc |= add_arg(ctx, SCMP_ACT_ALLOW, "socket", SCMP_A0_64(SCMP_CMP_EQ, AF_INET));
		rc |= add_arg(ctx, SCMP_ACT_ALLOW, "socket", SCMP_A0_64(SCMP_CMP_EQ, AF_INET6));
		rc |= add_arg(ctx, SCMP_ACT_ALLOW, "socket", SCMP_A0_64(SCMP_CMP_EQ, AF_NETLINK));
		rc |= add(ctx, SCMP_ACT_ALLOW, inet_calls);
	}
	if ((may & (SB_UNIX | SB_INET)) != 0)
		rc |= add(ctx, SCMP_ACT_ALLOW, connect_call);
	if ((may & SB_LISTEN) != 0)
		rc |= add(ctx, SCMP_ACT_ALLOW, listen_calls);
	return rc;
}

#ifndef CV_ASAN
/* Calls whose arguments decide. ASan's runtime needs them whole. */
static int
add_by_argument(scmp_filter_ctx ctx, unsigned may)
{
	struct scmp_arg_cmp empty_path =
	    SCMP_A3_64(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH);
	struct scmp_arg_cmp other_path = SCMP_A3_64(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, 0);
	struct scmp_arg_cmp no_exec = SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	struct scmp_arg_cmp exec = SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC);
	uint32_t on_exec = (may & SB_DLOPEN) != 0 ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EACCES);
	int rc = 0;

	/* memory is never made executable after the start */
	rc |= add_arg(ctx, SCMP_ACT_ALLOW, "mmap", no_exec);
	rc |= add_arg(ctx, SCMP_ACT_ALLOW, "mprotect", no_exec);
	rc |= add_arg(ctx, on_exec, "mmap", exec);
	rc |= add_arg(ctx, on_exec, "mprotect", exec);
	/* abort() and raise() reach itself only */
	rc |= add_arg(ctx, SCMP_ACT_ALLOW, "tgkill", SCMP_A0_64(SCMP_CMP_EQ, (uint64_t)getpid()));
	rc |= add_arg(ctx, SCMP_ACT_ALLOW, "prctl", SCMP_A0_64(SCMP_CMP_EQ, PR_SET_NAME));
	rc |= add_arg(ctx, SCMP_ACT_ALLOW, "prctl", SCMP_A0_64(SCMP_CMP_EQ, PR_GET_NAME));
	/* limits may be read */
	rc |= add_arg(ctx, SCMP_ACT_ALLOW, "prlimit64", SCMP_A2_64(SCMP_CMP_EQ, 0));
	if ((may & (SB_READ | SB_WRITE)) == 0) {
		/* fstat of glibc is newfstatat of an empty path */
		rc |= add_arg(ctx, SCMP_ACT_ALLOW, "newfstatat", empty_path);
		rc |= add_arg(ctx, SCMP_ACT_ERRNO(EACCES), "newfstatat", other_path);
		rc |= add(ctx, SCMP_ACT_ERRNO(EACCES), polite_calls);
	}
	if ((may & SB_THREADS) != 0)
		rc |= add_arg(ctx, SCMP_ACT_ALLOW, "clone",
		    SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	return rc;
}
#endif

static int
enter_seccomp(unsigned may)
{
	static const char *const no_clone3[] = {"clone3", NULL};
	static const char *const no_tty[] = {"ioctl", NULL};
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);
	int rc;

	if (ctx == NULL)
		return -1;
	rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	rc |= add(ctx, SCMP_ACT_ALLOW, base_calls);
	rc |= add_sockets(ctx, may);
	if ((may & (SB_READ | SB_WRITE)) != 0)
		rc |= add(ctx, SCMP_ACT_ALLOW, read_calls);
	if ((may & SB_WRITE) != 0)
		rc |= add(ctx, SCMP_ACT_ALLOW, write_calls);
	if ((may & SB_SMALL) != 0)
		rc |= add(ctx, SCMP_ACT_ALLOW, small_calls);
	/* Its flags are in memory, where a filter cannot look: glibc then takes clone. */
	rc |= add(ctx, SCMP_ACT_ERRNO(ENOSYS), no_clone3);
	rc |= add(ctx, SCMP_ACT_ERRNO(ENOTTY), no_tty); /* isatty() */
#ifdef CV_ASAN
	rc |= add(ctx, SCMP_ACT_ALLOW, asan_calls);
#else
	rc |= add_by_argument(ctx, may);
#endif
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc;
}

/* ---- Landlock: raw system calls, numbers of newer kernels written out ---- */

#define LL_FS_ALL_1 ((1ull << 13) - 1)     /* ABI 1: execute .. make_sym */
#define LL_FS_REFER (1ull << 13)           /* ABI 2 */
#define LL_FS_TRUNCATE (1ull << 14)        /* ABI 3 */
#define LL_FS_READ (1ull << 2 | 1ull << 3) /* read_file, read_dir */
#define LL_NET_TCP 3ull                    /* ABI 4: bind, connect */

static const char *also_readable;
static int also_writable = -1;

void
sandbox_may_read(const char *path)
{
	also_readable = path;
}

void
sandbox_may_write(int dir_fd)
{
	also_writable = dir_fd;
}

struct ll_ruleset {
	uint64_t handled_fs;
	uint64_t handled_net;
};

static int
ll_allow(int ruleset, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr a = {.allowed_access = access};
	struct stat st;
	int rc;

	a.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (a.parent_fd < 0)
		return 0; /* it is not there: nothing to allow */
	if (fstat(a.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		a.allowed_access &= 1ull << 0 | 1ull << 1 | 1ull << 2 | LL_FS_TRUNCATE;
	rc = (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &a, 0);
	close(a.parent_fd);
	return rc;
}

static int
enter_landlock(unsigned may)
{
	static const char *const readable[] = {"/etc", "/usr", "/lib", "/lib64",
	    "/run/systemd/resolve", "/run/resolvconf", "/dev/urandom", "/dev/null", NULL};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ll_ruleset rs = {LL_FS_ALL_1, 0};
	int fd, rc = 0;

	if (abi < 1)
		return -1;
	if (abi >= 2)
		rs.handled_fs |= LL_FS_REFER;
	if (abi >= 3)
		rs.handled_fs |= LL_FS_TRUNCATE;
	if (abi >= 4 && (may & SB_INET) == 0)
		rs.handled_net =
		    LL_NET_TCP; /* a connected socket cannot be turned to another peer */
	fd = (int)syscall(
	    SYS_landlock_create_ruleset, &rs, abi >= 4 ? sizeof(rs) : sizeof(uint64_t), 0);
	if (fd < 0)
		return -1;
	if ((may & SB_WRITE) != 0)
		rc |= ll_allow(fd, ".", rs.handled_fs & ~1ull); /* no execute */
	for (size_t i = 0; (may & SB_READ) != 0 && readable[i] != NULL; i++)
		rc |= ll_allow(fd, readable[i], LL_FS_READ);
	if (also_writable >= 0) {
		struct landlock_path_beneath_attr below = {rs.handled_fs & ~1ull, also_writable};

		rc |=
		    (int)syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &below, 0);
	}
	if (also_readable != NULL)
		rc |= ll_allow(fd, also_readable, LL_FS_READ);
#ifdef CV_ASAN
	rc |= ll_allow(fd, "/", LL_FS_READ);
#endif
	if (rc == 0)
		rc = (int)syscall(SYS_landlock_restrict_self, fd, 0);
	close(fd);
	return rc;
}

/* ---- limits ---- */

static int
enter_limits(unsigned may)
{
	static const struct rlimit none = {0, 0};
	int rc = setrlimit(RLIMIT_CORE, &none);
#ifndef CV_ASAN
	static const struct rlimit memory = {1ul << 30, 1ul << 30}, files = {128, 128};

	if ((may & SB_SMALL) != 0)
		rc |= setrlimit(RLIMIT_AS, &memory) | setrlimit(RLIMIT_NOFILE, &files);
#else
	(void)may;
#endif
	return rc;
}

enum sandbox_state
sandbox_enter(const char *role)
{
	const struct sandbox_role *r = role_find(role);
	bool seccomp_ok, landlock_ok, limits_ok;
	const char *off = secure_getenv("CONGVU_SANDBOX");

	if (off != NULL && strcmp(off, "none") == 0) {
		log_msg(LOG_LVL_ERROR, "sandbox",
		    "role %s runs WITHOUT a sandbox: CONGVU_SANDBOX=none", role);
		return SANDBOX_NONE;
	}
	handle_sigsys(role);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		log_msg(LOG_LVL_ERROR, "sandbox", "no_new_privs: %s", strerror(errno));
	limits_ok = enter_limits(r->may) == 0;
	landlock_ok = enter_landlock(r->may) == 0;
	seccomp_ok = enter_seccomp(r->may) == 0;
	if (seccomp_ok && landlock_ok && limits_ok)
		return SANDBOX_WHOLE;
	log_msg(LOG_LVL_ERROR, "sandbox",
	    "role %s is NOT WHOLLY sandboxed: seccomp %s, Landlock %s, limits %s", role,
	    seccomp_ok ? "yes" : "NO", landlock_ok ? "yes" : "NO", limits_ok ? "yes" : "NO");
	return seccomp_ok || landlock_ok ? SANDBOX_PARTIAL : SANDBOX_NONE;
}
