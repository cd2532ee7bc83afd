/* parent.c: the supervisor that congvu-smtpd, congvu-imapd, congvu-stored and congvu-milter are made of. Runs as
 * root, maybe, and reads no byte from any peer: it binds, spawns, reaps, and writes its status file. Invariants:
 * the listening sockets stay open from start to end, whatever happens to the roles; an expendable role is restarted
 * alone, the end of another one ends and restarts all (recovery first); no role outlives its parent. */
#include "config.h"

#include "lib/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/notify.h"
#include "lib/parent_priv.h"

#define BACKOFF_MIN_MS 10
#define BACKOFF_MAX_MS 2000
#define ALIVE_MS 10000 /* a role that lived this long starts its back-off anew */
#define STOP_MS 5000
#define RECYCLE_MS 500 /* of the other roles when all restart: their clients wait for us */
#define STATUS_MS 500
#define STARTING_MS \
	20 /* while a role is on its way into its sandbox: who waits for "up" hears it soon */
#define NOFILE_WANTED 262144

uint64_t
parent_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- starting a role ---- */

struct spawn_args {
	char *argv[16 + 2 * PROC_FDS_MAX];
	size_t argc;
	int fds[PROC_FDS_MAX];
	size_t n_fds;
	bool opened[PROC_FDS_MAX]; /* ours to close after the spawn */
};

static void
arg(struct spawn_args *a, const char *option, const char *value)
{
	a->argv[a->argc++] = xstrdup(option);
	if (value != NULL)
		a->argv[a->argc++] = xstrdup(value);
}

static void
arg_fd(struct spawn_args *a, const char *name, int fd, bool opened)
{
	char text[80];

	if (a->n_fds >= PROC_FDS_MAX)
		fatal("too many descriptors for a role");
	snprintf(text, sizeof(text), "%s=%zu", name, 3 + a->n_fds);
	arg(a, "--fd", text);
	a->opened[a->n_fds] = opened;
	a->fds[a->n_fds++] = fd;
}

static int
add_sockets(const struct parent *p, const struct parent_role *role, struct spawn_args *a)
{
	for (const char *const *name = role->sockets; name != NULL && *name != NULL; name++) {
		size_t i = 0;

		while (i < p->spec->n_sockets && strcmp(p->spec->sockets[i].name, *name) != 0)
			i++;
		if (i == p->spec->n_sockets)
			fatal("%s: role %s wants socket %s, which is not in the table",
			    p->spec->program, role->name, *name);
		if (p->sockets[i] >= 0)
			arg_fd(a, *name, p->sockets[i], false);
	}
	return 0;
}

/* Opened anew for each process: an inherited descriptor shares its offset. */
static int
add_secrets(const struct parent *p, const struct parent_role *role, struct spawn_args *a)
{
	for (const char *const *option = role->secrets; option != NULL && *option != NULL;
	     option++) {
		char *path = conf_path(p->fresh != NULL ? p->fresh : p->conf, *option);
		int fd;

		if (path[0] == '\0') {
			free(path);
			continue;
		}
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			log_msg(
			    LOG_LVL_ERROR, "secret", "%s (%s): %s", path, *option, strerror(errno));
		free(path);
		if (fd < 0)
			return ERR_IO;
		arg_fd(a, *option, fd, true);
	}
	return 0;
}

static void
args_done(struct spawn_args *a)
{
	for (size_t i = 0; i < a->argc; i++)
		free(a->argv[i]);
	for (size_t i = 0; i < a->n_fds; i++)
		if (a->opened[i])
			close(a->fds[i]);
}

static pid_t
role_spawn(const struct parent *p, struct child *c)
{
	const struct parent_role *role = c->role;
	struct spawn_args a = {.argc = 0};
	char index[16], *binary = NULL, *dir = NULL;
	size_t len;
	struct buf b;
	pid_t pid;
	int rc;

	buf_init(&b, 8192);
	buf_appendf(&b, "%s/%s", p->libexec, role->binary);
	binary = (char *)buf_take(&b, &len);
	dir = role->dir_option != NULL ? conf_path(p->conf, role->dir_option) : xstrdup(p->run_dir);
	snprintf(index, sizeof(index), "%u", c->index);
	arg(&a, role->binary, NULL);
	arg(&a, "--conf", conf_file(p->conf));
	arg(&a, "--name", role->name);
	arg(&a, "--index", index);
	arg(&a, "--user",
	    p->root && role->user_option != NULL ? conf_str(p->conf, role->user_option) : "-");
	arg(&a, "--dir", dir);
	arg_fd(&a, "status", c->page_fd, false);
	rc = add_sockets(p, role, &a);
	if (rc == 0)
		rc = add_secrets(p, role, &a);
	pid = rc == 0 ? proc_spawn(binary, a.argv, a.fds, a.n_fds) : rc;
	args_done(&a);
	buf_done(&b);
	free(binary);
	free(dir);
	return pid;
}

static void
plan_start(struct child *c)
{
	c->start_at_ms = parent_now_ms() + c->backoff_ms;
	c->backoff_ms = c->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : c->backoff_ms * 2;
}

void
parent_child_done(struct child *c)
{
	if (c->page_fd < 0)
		return;
	proc_page_free(c->page);
	close(c->page_fd);
	c->page_fd = -1;
}

void
parent_child_start(struct parent *p, struct child *c, bool replaces)
{
	c->start_at_ms = 0;
	c->planned = false;
	parent_child_done(c);
	c->page_fd = proc_page_new(&c->page);
	if (c->page_fd < 0)
		fatal("no memory for a status page: %s", strerror(errno));
	c->page->replaces = replaces;
	c->pid = role_spawn(p, c);
	c->started_ms = parent_now_ms();
	c->started = time(NULL);
	if (c->pid < 0) {
		log_msg(LOG_LVL_ERROR, "role_start", "%s/%u cannot be started: %s", c->role->name,
		    c->index, err_name(c->pid));
		c->pid = 0;
		plan_start(c);
	}
}

/* ---- the end of a role ---- */

static void
log_end_of(const struct parent *p, const struct child *c, pid_t pid, int status)
{
	struct log_line l;

	log_begin(&l, p->stopping || p->recycling || c->planned ? LOG_LVL_INFO : LOG_LVL_ERROR,
	    "role_exit");
	log_str(&l, "role", c->role->name);
	log_u64(&l, "index", c->index);
	log_i64(&l, "pid", pid);
	log_str(&l, "how", c->last_exit);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		log_str(&l, "hint", "its binary cannot be run: see CONGVU_LIBEXEC and libexec_dir");
	log_end(&l);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		log_msg(LOG_LVL_ERROR, "SANDBOX_VIOLATION",
		    "role %s asked for the forbidden system call %d and was killed: it was taken "
		    "over, or its list in "
		    "lib/sandbox.c is too short",
		    c->role->name, c->last_bad_syscall);
}

static void
signal_all(struct parent *p, int signo)
{
	for (size_t i = 0; i < p->n_children; i++)
		if (p->children[i].pid > 0)
			kill(p->children[i].pid, signo);
	parent_reload_signal(p, signo);
}

static void
end_all(struct parent *p)
{
	signal_all(p, SIGTERM);
	p->kill_at_ms = parent_now_ms() + (p->stopping ? STOP_MS : RECYCLE_MS);
	for (size_t i = 0; i < p->n_children; i++)
		p->children[i].start_at_ms = 0;
}

static void
child_ended(struct parent *p, struct child *c, int status)
{
	pid_t pid = c->pid;

	c->pid = 0;
	c->last_bad_syscall = c->page->bad_syscall;
	proc_status_text(status, c->last_exit, sizeof(c->last_exit));
	log_end_of(p, c, pid, status);
	if (parent_now_ms() - c->started_ms >= ALIVE_MS)
		c->backoff_ms = BACKOFF_MIN_MS;
	if (p->stopping || p->recycling)
		return;
	if (c->planned) {
		c->start_at_ms = parent_now_ms();
		return;
	}
	c->restarts++;
	if (c->role->expendable) {
		plan_start(c);
		return;
	}
	log_msg(LOG_LVL_ERROR, "restart", "%s: all roles restart, since %s ended", p->spec->program,
	    c->role->name);
	p->recycling = true;
	p->restarts++;
	end_all(p);
}

static void
reap(struct parent *p)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (parent_reload_ended(p, pid, status))
			continue;
		for (size_t i = 0; i < p->n_children; i++)
			if (p->children[i].pid == pid) {
				child_ended(p, &p->children[i], status);
				break;
			}
	}
}

static bool
any_alive(const struct parent *p)
{
	for (size_t i = 0; i < p->n_children; i++)
		if (p->children[i].pid > 0)
			return true;
	return parent_reload_any(p);
}

/* After all have ended: all start, the ones whose death it was with their back-off, so not in a tight loop. */
static void
recycle(struct parent *p)
{
	unsigned wait = 0;

	p->recycling = false;
	p->kill_at_ms = 0;
	for (size_t i = 0; i < p->n_children; i++) {
		struct child *c = &p->children[i];

		if (!c->role->expendable) {
			plan_start(c);
			wait = c->start_at_ms > wait + parent_now_ms()
				   ? (unsigned)(c->start_at_ms - parent_now_ms())
				   : wait;
		}
	}
	for (size_t i = 0; i < p->n_children; i++)
		p->children[i].start_at_ms = parent_now_ms() + wait;
}

/* ---- the supervision ---- */

static void
take_signals(struct parent *p, int sfd)
{
	struct signalfd_siginfo si;

	while (read(sfd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGCHLD) {
			reap(p);
		} else if (si.ssi_signo == SIGHUP) {
			parent_reload_begin(p);
		} else if (!p->stopping) {
			log_msg(LOG_LVL_INFO, "stop", "%s: stopping", p->spec->program);
			(void)notify_send("STOPPING=1\nSTATUS=stopping");
			p->stopping = true;
			end_all(p);
		}
	}
}

static void
start_due(struct parent *p)
{
	uint64_t now = parent_now_ms();

	for (size_t i = 0; i < p->n_children; i++) {
		struct child *c = &p->children[i];

		if (c->pid == 0 && c->start_at_ms != 0 && c->start_at_ms <= now)
			parent_child_start(p, c, false);
	}
}

static int
next_wait(const struct parent *p)
{
	uint64_t now = parent_now_ms(), at = now + STATUS_MS;

	for (size_t i = 0; i < p->n_children; i++) {
		const struct child *c = &p->children[i];

		if (c->start_at_ms != 0 && c->start_at_ms < at)
			at = c->start_at_ms;
		if (c->pid > 0 && c->page->sandbox == 0 && now + STARTING_MS < at &&
		    now - c->started_ms < ALIVE_MS)
			at = now + STARTING_MS;
	}
	if (p->kill_at_ms != 0 && p->kill_at_ms < at)
		at = p->kill_at_ms;
	if (p->reloading && now + STARTING_MS < at)
		at = now + STARTING_MS;
	return at > now ? (int)(at - now) : 0;
}

static void
supervise(struct parent *p, int sfd)
{
	struct pollfd pfd = {.fd = sfd, .events = POLLIN};

	for (size_t i = 0; i < p->n_children; i++)
		parent_child_start(p, &p->children[i], false);
	for (;;) {
		parent_status_write(p);
		poll(&pfd, 1, next_wait(p));
		take_signals(p, sfd);
		if (p->kill_at_ms != 0 && parent_now_ms() >= p->kill_at_ms) {
			log_msg(LOG_LVL_WARN, "stop", "%s: roles that did not end are killed",
			    p->spec->program);
			signal_all(p, SIGKILL);
			p->kill_at_ms = parent_now_ms() + STOP_MS;
		}
		if (p->stopping && !any_alive(p))
			return;
		if (p->recycling && !any_alive(p))
			recycle(p);
		if (!p->stopping && !p->recycling) {
			start_due(p);
			parent_reload_step(p);
		}
	}
}

/* ---- before and after ---- */

static void
raise_nofile(void)
{
	struct rlimit r = {NOFILE_WANTED, NOFILE_WANTED};

	if (setrlimit(RLIMIT_NOFILE, &r) == 0)
		return;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

/* Held by the parent alone until its end, so that two of a program never share sockets or databases. */
static int
take_lock(const struct parent *p)
{
	char name[80];
	int fd;

	snprintf(name, sizeof(name), "%s.lock", p->spec->program);
	fd = openat(p->run_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
		log_msg(LOG_LVL_ERROR, "lock", "%s/%s: %s", p->run_dir, name,
		    fd >= 0 && errno == EWOULDBLOCK ? "this program runs already"
						    : strerror(errno));
		return ERR_EXISTS;
	}
	return 0; /* the descriptor stays open */
}

static int
take_signalfd(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void
make_children(struct parent *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->spec->n_roles; i++) {
		const char *option = p->spec->roles[i].count_option;

		n += option != NULL ? (size_t)conf_int(p->conf, option) : 1;
	}
	p->children = xcalloc(n, sizeof(*p->children));
	for (size_t i = 0; i < p->spec->n_roles; i++) {
		const struct parent_role *role = &p->spec->roles[i];
		int64_t count =
		    role->count_option != NULL ? conf_int(p->conf, role->count_option) : 1;

		for (int64_t k = 0; k < count; k++)
			p->children[p->n_children++] = (struct child){.role = role,
			    .index = (unsigned)k,
			    .backoff_ms = BACKOFF_MIN_MS,
			    .page_fd = -1,
			    .last_bad_syscall = -1};
	}
}

static char *
find_libexec(const struct conf *conf)
{
	const char *env = secure_getenv("CONGVU_LIBEXEC"); /* NULL when set-uid */
	char *dir;

	if (env != NULL && env[0] == '/')
		return xstrdup(env);
	dir = conf_path(conf, "libexec_dir");
	if (dir[0] != '\0')
		return dir;
	free(dir);
	return xstrdup(PKGLIBEXECDIR);
}

static void
set_log_level(const char *level)
{
	log_set_level(strcmp(level, "error") == 0  ? LOG_LVL_ERROR
		      : strcmp(level, "warn") == 0 ? LOG_LVL_WARN
		      : strcmp(level, "info") == 0 ? LOG_LVL_INFO
						   : LOG_LVL_DEBUG);
}

static void
parent_done(struct parent *p)
{
	parent_reload_done(p);
	for (size_t i = 0; i < p->n_children; i++)
		parent_child_done(&p->children[i]);
	for (size_t i = 0; p->sockets != NULL && i < p->spec->n_sockets; i++)
		if (p->sockets[i] >= 0)
			close(p->sockets[i]);
	free(p->sockets);
	free(p->children);
	free(p->run_dir);
	free(p->libexec);
	conf_free(p->conf);
}

static int
usage(const struct parent_spec *spec, int code)
{
	fprintf(code == 0 ? stdout : stderr,
	    "usage: %s [-c FILE] [-n]\n"
	    "  -c FILE  configuration (%s/congvu/congvu.conf)\n"
	    "  -n       check the configuration and end\n"
	    "Runs in the foreground; SIGTERM stops it, SIGHUP has it read its configuration again. "
	    "See %s(8).\n",
	    spec->program, SYSCONFDIR, spec->program);
	return code;
}

static int
parent_run(struct parent *p)
{
	int sfd;

	raise_nofile();
	umask(022);
	if (parent_make_dirs(p) != 0)
		return EX_CONFIG;
	if (take_lock(p) != 0)
		return EX_TEMPFAIL;
	if (parent_bind(p) != 0)
		return EX_CONFIG;
	sfd = take_signalfd();
	if (sfd < 0)
		return EX_OSERR;
	make_children(p);
	p->started = time(NULL);
	log_msg(LOG_LVL_INFO, "start", "%s %s: %zu role processes, run folder %s", p->spec->program,
	    p->root ? "as root" : "unprivileged", p->n_children, p->run_dir);
	supervise(p, sfd);
	parent_status_remove(p);
	log_msg(LOG_LVL_INFO, "stop", "%s: stopped", p->spec->program);
	close(sfd);
	return 0;
}

int
parent_main(const struct parent_spec *spec, int argc, char **argv)
{
	struct parent p = {.spec = spec, .run_fd = -1, .root = geteuid() == 0};
	const char *file = SYSCONFDIR "/congvu/congvu.conf";
	bool check_only = false;
	char *why = NULL;
	int o, code = 0;

	log_init(spec->program, STDERR_FILENO);
	while ((o = getopt(argc, argv, "c:nh")) != -1) {
		if (o == 'c')
			file = optarg;
		else if (o == 'n')
			check_only = true;
		else
			return usage(spec, o == 'h' ? 0 : EX_USAGE);
	}
	if (optind != argc)
		return usage(spec, EX_USAGE);
	if (conf_load(file, &p.conf, &why) != 0) {
		log_msg(LOG_LVL_ERROR, "conf", "%s", why);
		free(why);
		return EX_CONFIG;
	}
	set_log_level(conf_str(p.conf, "log_level"));
	p.run_dir = conf_path(p.conf, "run_dir");
	p.libexec = find_libexec(p.conf);
	if (!check_only)
		code = parent_run(&p);
	parent_done(&p);
	return code;
}
