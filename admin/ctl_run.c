/* ctl_run.c: `congvu run`, `congvu stop` and `congvu reload`: the four parents under one process, for hosts without systemd. It starts them,
 * restarts with back-off what ends, and stops the doors (SMTP, IMAP) before what they need. The lock on run/congvu.pid
 * says that it runs and which process it is; the parents die with it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "admin/check.h"
#include "admin/ctl.h"
#include "admin/ctl_policy.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/proc.h"

#define N_PROGRAMS 4
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000
#define ALIVE_MS 10000
#define STOP_MS 7000 /* a parent itself kills its roles after 5 s */
#define UP_MS 20000
#define RELOAD_MS 30000
#define SHOWN_ERRORS 4

struct program {
	const char *name;
	pid_t pid; /* 0: not running */
	uint64_t started_ms, start_at_ms;
	unsigned backoff_ms;
};
struct supervisor {
	const struct ctl *c;
	char *folder; /* of the parents' binaries */
	struct program programs[N_PROGRAMS];
	int failed; /* exit code of a parent that will never start */
};

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
nap(unsigned ms)
{
	struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

/* ---- the lock ---- */

static char *
pid_file(const struct ctl *c)
{
	char *run = conf_path(c->conf, "run_dir"), *path = NULL;

	if (asprintf(&path, "%s/congvu.pid", run) < 0)
		fatal("out of memory");
	free(run);
	return path;
}

/* The process that holds the lock, 0 when nobody does. */
static pid_t
lock_holder(const struct ctl *c)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char *path = pid_file(c);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	free(path);
	if (fd < 0)
		return 0;
	if (fcntl(fd, F_GETLK, &lock) != 0)
		lock.l_type = F_UNLCK;
	close(fd);
	return lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}

/* Held until the process ends; the descriptor stays open. */
static int
take_lock(const struct ctl *c)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char *run = conf_path(c->conf, "run_dir"), *path = pid_file(c), *slash;
	int fd, code = 0;

	for (slash = strchr(run + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(run, 0711);
		*slash = '/';
	}
	mkdir(run, 0711);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		code = ctl_fail(c, EX_CANTCREAT, "%s: %s", path, strerror(errno));
	else if (fcntl(fd, F_SETLK, &lock) != 0)
		code = ctl_fail(c, EX_TEMPFAIL,
		    _("it runs already, as process %ld; congvu stop ends it"),
		    (long)lock_holder(c));
	else if (ftruncate(fd, 0) != 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0)
		code = ctl_fail(c, EX_IOERR, "%s: %s", path, strerror(errno));
	free(run);
	free(path);
	return code;
}

/* ---- where the parents are ---- */

char *
ctl_programs_folder(void)
{
	char self[PATH_MAX] = "", *dir = NULL, *probe = NULL;
	const char *const places[] = {"", "/../sbin"};

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) > 0)
		*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < 2 && dir == NULL; i++) {
		if (asprintf(&probe, "%s%s/%s", self, places[i], ctl_programs[0]) < 0)
			fatal("out of memory");
		if (access(probe, X_OK) == 0) {
			*strrchr(probe, '/') = '\0';
			dir = realpath(probe, NULL);
			if (i == 0)
				setenv("CONGVU_LIBEXEC", self, 0);
		}
		free(probe);
	}
	return dir != NULL ? dir : xstrdup(SBINDIR);
}

/* ---- supervision ---- */

static void
program_start(struct supervisor *s, struct program *p)
{
	char *binary = NULL, *name = xstrdup(p->name), *conf = xstrdup(conf_file(s->c->conf));
	char option[] = "-c";
	char *argv[] = {name, option, conf, NULL};

	if (asprintf(&binary, "%s/%s", s->folder, p->name) < 0)
		fatal("out of memory");
	p->start_at_ms = 0;
	p->started_ms = now_ms();
	p->pid = proc_spawn(binary, argv, NULL, 0);
	if (p->pid < 0) {
		log_msg(LOG_LVL_ERROR, "run", "%s cannot be started: %s", binary, err_name(p->pid));
		p->pid = 0;
		p->start_at_ms = now_ms() + BACKOFF_MAX_MS;
	}
	free(binary);
	free(name);
	free(conf);
}

static void
program_ended(struct supervisor *s, struct program *p, int status, bool stopping)
{
	char text[48];

	p->pid = 0;
	if (stopping)
		return;
	log_msg(LOG_LVL_ERROR, "run", "%s ended: %s", p->name,
	    proc_status_text(status, text, sizeof(text)));
	if (WIFEXITED(status) && (WEXITSTATUS(status) == EX_CONFIG || WEXITSTATUS(status) == 127))
		s->failed = WEXITSTATUS(status);
	if (now_ms() - p->started_ms >= ALIVE_MS)
		p->backoff_ms = BACKOFF_MIN_MS;
	p->start_at_ms = now_ms() + p->backoff_ms;
	p->backoff_ms = p->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : p->backoff_ms * 2;
}

static void
reap(struct supervisor *s, bool stopping)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < N_PROGRAMS; i++)
			if (s->programs[i].pid == pid)
				program_ended(s, &s->programs[i], status, stopping);
}

/* Ends those from first to last and waits for them. */
static void
stop_some(struct supervisor *s, size_t first, size_t last)
{
	uint64_t end = now_ms() + STOP_MS;
	bool alive = true;

	for (size_t i = first; i <= last; i++)
		if (s->programs[i].pid > 0)
			kill(s->programs[i].pid, SIGTERM);
	while (alive) {
		alive = false;
		reap(s, true);
		for (size_t i = first; i <= last; i++) {
			alive = alive || s->programs[i].pid > 0;
			if (s->programs[i].pid > 0 && now_ms() >= end)
				kill(s->programs[i].pid, SIGKILL);
		}
		if (alive)
			nap(10);
	}
}

static int
supervise(struct supervisor *s)
{
	struct timespec wait = {0, 100 * 1000000};
	sigset_t set;
	int signo = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; i < N_PROGRAMS; i++) {
		s->programs[i] =
		    (struct program){.name = ctl_programs[i], .backoff_ms = BACKOFF_MIN_MS};
		program_start(s, &s->programs[i]);
	}
	while (signo != SIGTERM && signo != SIGINT && s->failed == 0) {
		reap(s, false);
		for (size_t i = 0; i < N_PROGRAMS; i++)
			if (s->programs[i].start_at_ms != 0 &&
			    s->programs[i].start_at_ms <= now_ms())
				program_start(s, &s->programs[i]);
		signo = sigtimedwait(&set, NULL, &wait);
		for (size_t i = 0; i < N_PROGRAMS && signo == SIGHUP; i++)
			if (s->programs[i].pid > 0)
				kill(s->programs[i].pid, SIGHUP);
	}
	stop_some(s, 2, 3); /* SMTP and IMAP */
	stop_some(s, 0, 1);
	return s->failed == 127 ? EX_OSFILE : s->failed;
}

static int
run_here(const struct ctl *c)
{
	struct supervisor s = {.c = c};
	char *path;
	int code = take_lock(c);

	if (code != 0)
		return code;
	log_set_level(LOG_LVL_INFO);
	s.folder = ctl_programs_folder();
	code = supervise(&s);
	free(s.folder);
	path = pid_file(c);
	unlink(path);
	free(path);
	return code;
}

/* ---- --daemon ---- */

/* Standard output and error of the suite go to log_file. */
static int
open_log(const struct ctl *c)
{
	char *path = conf_path(c->conf, "log_file"), *slash;
	int fd;

	slash = strrchr(path, '/');
	if (slash != NULL && slash != path) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	fd = open(
	    path[0] != '\0' ? path : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (fd < 0)
		ctl_fail(c, EX_CANTCREAT, "%s (log_file): %s", path, strerror(errno));
	free(path);
	return fd;
}

static bool
all_up(const struct ctl *c)
{
	bool up = true;

	for (const char *const *p = ctl_programs; *p != NULL && up; p++) {
		struct json *j = ctl_status_read(c, *p);

		up = j != NULL && strcmp(json_cstr(json_get(j, "state")), "up") == 0 &&
		     ctl_pid_alive(json_int(json_get(j, "pid"), 0));
		json_free(j);
	}
	return up;
}

/* What the log tells of errors from an offset on: the first few lines, so that nobody must look for them. */
static void
print_errors(const char *log, off_t from)
{
	FILE *f = fopen(log, "re");
	char *line = NULL;
	size_t room = 0;

	if (f != NULL && fseeko(f, from, SEEK_SET) == 0) {
		for (int shown = 0; shown < SHOWN_ERRORS && getline(&line, &room, f) > 0;) {
			if (strstr(line, " level=error ") == NULL)
				continue;
			fprintf(stderr, "  %s", line);
			shown++;
		}
	}
	if (f != NULL)
		fclose(f);
	free(line);
}

static int
wait_until_up(const struct ctl *c, pid_t pid, off_t log_from)
{
	uint64_t end = now_ms() + UP_MS;
	char *log = conf_path(c->conf, "log_file");
	int status, code = -1;

	while (code < 0) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			code = ctl_fail(c,
			    WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status)
									  : EX_SOFTWARE,
			    _("it did not start: %s tells why"), log);
		else if (all_up(c))
			code = EX_OK;
		else if (now_ms() >= end)
			code = ctl_fail(c, EX_UNAVAILABLE,
			    _("it was started, but not every role is up yet: see congvu status and "
			      "%s"),
			    log);
		else
			nap(20);
	}
	if (code != EX_OK)
		print_errors(log, log_from);
	free(log);
	return code;
}

static int
run_daemon(const struct ctl *c)
{
	pid_t holder = lock_holder(c), pid;
	off_t log_end;
	int fd;

	if (holder != 0)
		return ctl_fail(c, EX_TEMPFAIL,
		    _("it runs already, as process %ld; congvu stop ends it"), (long)holder);
	fd = open_log(c);
	if (fd < 0)
		return EX_CANTCREAT;
	log_end = lseek(fd, 0, SEEK_END);
	pid = fork();
	if (pid < 0)
		return ctl_fail(c, EX_OSERR, "fork: %s", strerror(errno));
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		setsid();
		dup2(null, STDIN_FILENO);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		if (chdir("/") != 0)
			_exit(EX_OSERR);
		_exit(run_here(c));
	}
	close(fd);
	return wait_until_up(c, pid, log_end > 0 ? log_end : 0);
}

int
ctl_run(struct ctl *c, int argc, char **argv)
{
	bool as_daemon = false;
	const struct ctl_option options[] = {{"daemon", NULL, &as_daemon}, {NULL, NULL, NULL}};

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc > 1)
		return ctl_usage(c, _("run takes no argument"));
	return as_daemon ? run_daemon(c) : run_here(c);
}

/* ---- stop ---- */

/* Parents that were started one by one, under systemd for instance. */
static bool
stop_parents(const struct ctl *c)
{
	bool any = false;

	for (const char *const *p = ctl_programs; *p != NULL; p++) {
		struct json *j = ctl_status_read(c, *p);
		int64_t pid = j != NULL ? json_int(json_get(j, "pid"), 0) : 0;

		if (ctl_pid_alive(pid)) {
			kill((pid_t)pid, SIGTERM);
			any = true;
			for (unsigned i = 0; i < STOP_MS / 10 && ctl_pid_alive(pid); i++)
				nap(10);
		}
		json_free(j);
	}
	return any;
}

int
ctl_stop(struct ctl *c, int argc, char **argv)
{
	static const struct ctl_option none[] = {{NULL, NULL, NULL}};
	uint64_t end = now_ms() + 4 * STOP_MS;
	pid_t pid;

	if (ctl_options(c, none, &argc, argv) != 0)
		return EX_USAGE;
	if (argc > 1)
		return ctl_usage(c, _("stop takes no argument"));
	pid = lock_holder(c);
	if (pid == 0) {
		if (!stop_parents(c))
			fprintf(stderr, "%s\n", _("congvu stop: nothing is running"));
		return EX_OK;
	}
	if (kill(pid, SIGTERM) != 0)
		return ctl_fail(c, EX_NOPERM, _("process %ld cannot be stopped: %s"), (long)pid,
		    strerror(errno));
	while (lock_holder(c) == pid) {
		if (now_ms() >= end)
			return ctl_fail(c, EX_TEMPFAIL, _("process %ld does not end"), (long)pid);
		nap(20);
	}
	return EX_OK;
}

/* ---- reload ---- */

/* How many reloads a parent has ended, -1 when it does not run; *failed of the last. */
static int64_t
reloads_of(const struct ctl *c, const char *program, pid_t *pid, bool *failed)
{
	struct json *j = ctl_status_read(c, program);
	int64_t n = -1;

	*pid = j != NULL ? (pid_t)json_int(json_get(j, "pid"), 0) : 0;
	if (ctl_pid_alive(*pid))
		n = json_int(json_get(j, "reloads"), 0);
	*failed = json_bool(json_get(j, "reload_failed"));
	json_free(j);
	return n;
}

/* What was changed and no reload takes over. */
static void
tell_needs_restart(const struct ctl *c, const char *program)
{
	struct json *j = ctl_status_read(c, program), *names = json_get(j, "needs_restart");

	for (size_t i = 0; i < json_len(names); i++)
		printf(_("%s: %s was changed, and takes a restart (congvu stop, then as it was "
			 "started)\n"),
		    program, json_cstr(json_at(names, i)));
	json_free(j);
}

static int
reload_one(const struct ctl *c, const char *program)
{
	uint64_t end = now_ms() + RELOAD_MS;
	bool failed = false;
	pid_t pid, same;
	int64_t before = reloads_of(c, program, &pid, &failed);

	if (before < 0) {
		fprintf(stderr, _("congvu reload: %s does not run\n"), program);
		return EX_UNAVAILABLE;
	}
	if (kill(pid, SIGHUP) != 0)
		return ctl_fail(c, EX_NOPERM, "%s (%ld): %s", program, (long)pid, strerror(errno));
	while (reloads_of(c, program, &same, &failed) == before && same == pid) {
		if (now_ms() >= end)
			return ctl_fail(
			    c, EX_TEMPFAIL, _("%s is not done yet; its log tells more"), program);
		nap(20);
	}
	if (failed || same != pid)
		return ctl_fail(c, EX_CONFIG,
		    _("%s did not take over everything; what worked before goes on. Its log tells "
		      "why; congvu check may too"),
		    program);
	printf(_("%s: reloaded\n"), program);
	tell_needs_restart(c, program);
	return EX_OK;
}

/* A policy that the milter did not take: the one before is in force, which whoever changed it would not see. */
static int
policy_refused(struct ctl *c)
{
	struct json *j = conf_str(c->conf, "policy_file")[0] != '\0' ? policy_state(c) : NULL;
	const struct json *refused = json_get(j, "refused");
	int code = EX_OK;

	if (json_kind(refused) == JSON_T_OBJ)
		code = ctl_fail(c, EX_CONFIG,
		    _("policy_file cannot be used; version %lld stays in force (congvu policy "
		      "status): %s"),
		    (long long)json_int(json_get(j, "version"), 0),
		    json_cstr(json_get(refused, "why")));
	json_free(j);
	return code;
}

int
ctl_reload(struct ctl *c, int argc, char **argv)
{
	static const struct ctl_option none[] = {{NULL, NULL, NULL}};
	int code = EX_OK, rc;

	if (ctl_options(c, none, &argc, argv) != 0)
		return EX_USAGE;
	if (argc > 1)
		return ctl_usage(c, _("reload takes no argument"));
	for (const char *const *p = ctl_programs; *p != NULL; p++) {
		rc = reload_one(c, *p);
		code = rc != EX_OK ? rc : code;
	}
	rc = policy_refused(c);
	code = rc != EX_OK ? rc : code;
	return code != EX_OK ? code : check_certificate_taken(c);
}
