/* role.c: how a role process starts: arguments of its parent, configuration, then the way down: folder, user,
 * sandbox. Runs in every role before its loop. Invariant: after role_enter the process cannot open what its row
 * in sandbox.c does not give it, and cannot become another user; a role that cannot get there exits. */
#include "config.h"

#include "lib/role.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/proc.h"
#include "lib/sandbox.h"

static struct {
	const char *name, *user, *dir;
	unsigned index;
	struct conf *conf;
	struct proc_page *page;
	pid_t parent;
	bool was_root;
	void (*before_sandbox)(void);
	struct {
		char name[40];
		int fd;
		dev_t dev;
		ino_t ino;
	} fds[PROC_FDS_MAX];
	size_t n_fds;
} self;

static void __attribute__((noreturn, format(printf, 2, 3))) give_up(int code, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_msg(LOG_LVL_ERROR, "role_start", "%s", text);
	exit(code);
}

/* "name=7": the descriptor must be there; it does not go to processes of ours. */
static void
take_fd(const char *arg)
{
	const char *eq = strchr(arg, '=');
	struct stat st;
	uint64_t fd;

	if (eq == NULL || eq == arg || (size_t)(eq - arg) >= sizeof(self.fds[0].name) ||
	    self.n_fds >= PROC_FDS_MAX || slice_to_u64(slice_str(eq + 1), 65535, &fd) != 0)
		give_up(EX_USAGE, "bad --fd %s", arg);
	if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0 || fstat((int)fd, &st) != 0)
		give_up(EX_USAGE, "--fd %s: %s", arg, strerror(errno));
	snprintf(self.fds[self.n_fds].name, sizeof(self.fds[0].name), "%.*s", (int)(eq - arg), arg);
	self.fds[self.n_fds].dev = st.st_dev;
	self.fds[self.n_fds].ino = st.st_ino;
	self.fds[self.n_fds++].fd = (int)fd;
}

static void
load_conf(const char *file)
{
	char *why = NULL;
	const char *level;

	if (conf_load(file, &self.conf, &why) != 0)
		give_up(EX_CONFIG, "%s", why);
	level = conf_str(self.conf, "log_level");
	log_set_level(strcmp(level, "error") == 0  ? LOG_LVL_ERROR
		      : strcmp(level, "warn") == 0 ? LOG_LVL_WARN
		      : strcmp(level, "info") == 0 ? LOG_LVL_INFO
						   : LOG_LVL_DEBUG);
}

void
role_init(int argc, char **argv, const char *role)
{
	static const struct option opts[] = {{"conf", 1, NULL, 'c'}, {"name", 1, NULL, 'n'},
	    {"index", 1, NULL, 'i'}, {"user", 1, NULL, 'u'}, {"dir", 1, NULL, 'd'},
	    {"fd", 1, NULL, 'f'}, {NULL, 0, NULL, 0}};
	const char *file = NULL;
	uint64_t n;
	int o;

	log_init(role, STDERR_FILENO);
	signal(SIGPIPE, SIG_IGN);
	umask(077);
	self.parent = getppid();
	self.was_root = geteuid() == 0;
	while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		if (o == 'c')
			file = optarg;
		else if (o == 'n')
			self.name = optarg;
		else if (o == 'u')
			self.user = optarg;
		else if (o == 'd')
			self.dir = optarg;
		else if (o == 'f')
			take_fd(optarg);
		else if (o == 'i' && slice_to_u64(slice_str(optarg), 9999, &n) == 0)
			self.index = (unsigned)n;
		else
			give_up(EX_USAGE,
			    "bad argument; roles are started by their parent, see congvu(8)");
	}
	if (file == NULL || self.name == NULL || self.user == NULL || self.dir == NULL ||
	    optind != argc)
		give_up(EX_USAGE, "roles are started by their parent, see congvu(8)");
	if (strcmp(self.name, role) != 0)
		give_up(EX_USAGE, "this is %s, not %s", role, self.name);
	load_conf(file);
	if (role_fd("status") >= 0)
		self.page = proc_page_map(role_fd("status"));
	/* localtime() then needs no file (glibc looks at /etc/localtime again and again unless TZ is set) */
	setenv("TZ", ":/etc/localtime", 0);
	tzset();
}

const struct conf *
role_conf(void)
{
	return self.conf;
}

int
role_fd(const char *name)
{
	for (size_t i = 0; i < self.n_fds; i++)
		if (strcmp(self.fds[i].name, name) == 0)
			return self.fds[i].fd;
	return -1;
}

unsigned
role_index(void)
{
	return self.index;
}

bool
role_replaces(void)
{
	return self.page != NULL && self.page->replaces != 0;
}

/* Some roles need TCP, or a daemon's socket, only in some configurations. */
static const char *
sandbox_name(void)
{
	size_t n = conf_list_len(self.conf, "milters");
	bool inet = strncmp(conf_str(self.conf, "lmtp_route"), "inet:", 5) == 0;

	if (strcmp(self.name, "milter") == 0)
		return strncmp(conf_str(self.conf, "milter_listen"), "inet", 4) == 0 ? "milter-inet"
										     : "milter";
	if (strcmp(self.name, "milter-sign") == 0)
		return conf_str(self.conf, "pkcs11_module")[0] == '\0' ? "milter-sign"
		       : conf_bool(self.conf, "pkcs11_socket")         ? "milter-sign-socket"
								       : "milter-sign-token";
	if (strcmp(self.name, "smtpd-session") != 0)
		return self.name;
	for (size_t i = 0; i < n; i++)
		inet |= strncmp(conf_list_item(self.conf, "milters", i), "inet", 4) == 0;
	return inet ? "smtpd-session-inet" : "smtpd-session";
}

/* Whether an inherited descriptor is still what it was: the role may have closed it, and its number be another's. */
static bool
is_as_inherited(size_t i)
{
	struct stat st;

	return fstat(self.fds[i].fd, &st) == 0 && st.st_dev == self.fds[i].dev &&
	       st.st_ino == self.fds[i].ino;
}

/* Files the parent opened for us (they bear the names of options) were read by now: a role that is taken over later
 * finds no descriptor of a key. */
static void
close_secrets(void)
{
	size_t n;
	const struct conf_option *o = conf_options(&n);

	for (size_t i = 0; i < self.n_fds; i++)
		for (size_t k = 0; k < n; k++)
			if (o[k].type == CONF_PATH && strcmp(o[k].name, self.fds[i].name) == 0) {
				if (is_as_inherited(i))
					close(self.fds[i].fd);
				self.fds[i].name[0] = '\0';
				break;
			}
}

void
role_before_sandbox(void (*fn)(void))
{
	self.before_sandbox = fn;
}

void
role_enter(void)
{
	enum sandbox_state state;
	uid_t uid = geteuid();
	gid_t gid = getegid();

	close_secrets();
	if (chdir(self.dir) != 0)
		give_up(EX_OSERR, "%s: %s", self.dir, strerror(errno));
	if (strcmp(self.user, "-") != 0) {
		if (proc_user(self.user, &uid, &gid) != 0)
			give_up(EX_NOUSER, "there is no user %s", self.user);
		if (proc_drop(uid, gid) != 0)
			give_up(EX_NOPERM, "cannot become user %s: %s", self.user, strerror(errno));
	}
	if (proc_harden(self.parent) != 0)
		give_up(EX_OSERR, "cannot give up privileges: %s", strerror(errno));
	if (self.page != NULL) {
		self.page->uid = (uint32_t)uid;
		sandbox_report_at(&self.page->bad_syscall);
	}
	if (self.before_sandbox != NULL)
		self.before_sandbox();
	state = sandbox_enter(sandbox_name());
	if (self.page != NULL)
		self.page->sandbox = (uint32_t)state;
	log_msg(LOG_LVL_INFO, "role_up", "%s/%u uid %ld, sandbox %s", self.name, self.index,
	    (long)uid,
	    state == SANDBOX_WHOLE     ? "whole"
	    : state == SANDBOX_PARTIAL ? "PARTIAL"
				       : "NONE");
}

int64_t
role_uid_of(const char *user_option)
{
	const char *name = conf_str(self.conf, user_option);
	uid_t uid;
	gid_t gid;

	if (!self.was_root)
		return -1;
	if (proc_user(name, &uid, &gid) != 0)
		give_up(EX_NOUSER, "there is no user %s (%s in %s)", name, user_option,
		    conf_file(self.conf));
	return (int64_t)uid;
}

void
role_stat_set(unsigned slot, uint64_t value)
{
	if (self.page != NULL && slot < PROC_STATS)
		self.page->stats[slot] = value;
}
