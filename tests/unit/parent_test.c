/* parent_test.c: a parent with two kinds of role: descriptors, users, restarts alone and of all, the status file,
 * a forbidden system call, an orderly stop, the parent's own death. The roles are tests/unit/test_role.c. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/parent.h"
#include "lib/proc.h"
#include "tests/unit/unit.h"

static const struct parent_socket sockets[] = {
    {"t", NULL, "t.sock", "user_smtpd"},
    {"core", NULL, "core.sock", ""},
    {"open", NULL, "open.sock", NULL},
    {"listen", "listen_imap", NULL, NULL},
    {"absent", "listen_imaps", NULL, NULL},
};
static const struct parent_role roles[] = {
    {.name = "test-core",
	.binary = "test_role",
	.user_option = "user_queue",
	.dir_option = "queue_dir",
	.sockets = (const char *const[]){"core", NULL},
	.expendable = false},
    {.name = "test-role",
	.binary = "test_role",
	.user_option = "user_smtpd",
	.count_option = "smtpd_processes",
	.sockets = (const char *const[]){"t", "listen", "absent", NULL},
	.secrets = (const char *const[]){"token_key_file", "ldap_password_file", NULL},
	.expendable = true,
	.replaceable = true},
};
static const struct parent_dir dirs[] = {{"milter_socket_dir", "user_milter"}};
static const struct parent_spec spec = {.program = "congvu-test",
    .sockets = sockets,
    .n_sockets = 5,
    .roles = roles,
    .n_roles = 2,
    .dirs = dirs,
    .n_dirs = 1};

static char dir[64], conf_name[96], run_dir[96], log_file[96];
static pid_t parent;
static unsigned port;

#define N_CHILDREN 3

static void
write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static unsigned
free_port(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t n = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	close(fd);
	return ntohs(sa.sin_port);
}

static void
start(void)
{
	char *argv[] = {(char[]){"congvu-test"}, (char[]){"-c"}, conf_name, NULL};

	parent = fork();
	assert_true(parent >= 0);
	if (parent == 0) {
		int fd = open(log_file, O_WRONLY | O_CREAT | O_APPEND, 0644);

		prctl(PR_SET_PDEATHSIG, SIGTERM);
		dup2(fd, STDERR_FILENO);
		dup2(fd, STDOUT_FILENO);
		close(fd);
		optind = 1;
		exit(parent_main(&spec, 3, argv));
	}
}

/* The status file as text; "" when it is not there. */
static char *
status_text(void)
{
	static char text[16384];
	char path[128];
	FILE *f;
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/congvu-test.status", run_dir);
	f = fopen(path, "r");
	if (f != NULL) {
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	return text;
}

static void
wait_for_status(const char *part)
{
	for (int i = 0; i < 1000; i++) {
		if (strstr(status_text(), part) != NULL)
			return;
		usleep(10000);
	}
	fail_msg("no %s in %s", part, status_text());
}

static void
wait_for_log(const char *part)
{
	static char text[65536];

	for (int i = 0; i < 500; i++) {
		FILE *f = fopen(log_file, "r");
		size_t n = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;

		if (f != NULL)
			fclose(f);
		text[n] = '\0';
		if (strstr(text, part) != NULL)
			return;
		usleep(10000);
	}
	fail_msg("no %s in the log: %s", part, text);
}

/* Asks a role; its answer in text; then one command. False when it ended before it answered. */
static bool
ask_once(const char *name, char command, char *text, size_t size)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ssize_t n;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%.80s/%s", run_dir, name);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	n = read(fd, text, size - 1);
	if (n > 0) {
		text[n] = '\0';
		assert_int_equal(write(fd, &command, 1), 1);
		(void)!read(fd, &command, 1); /* until it closed or died */
	}
	close(fd);
	return n > 0;
}

static void
ask(const char *name, char command, char *text, size_t size)
{
	assert_true(ask_once(name, command, text, size));
}

static long
number_after(const char *text, const char *key)
{
	const char *p = strstr(text, key);

	assert_non_null(p);
	return strtol(p + strlen(key), NULL, 10);
}

static int
stop(void)
{
	int status;

	kill(parent, SIGTERM);
	assert_int_equal(waitpid(parent, &status, 0), parent);
	parent = 0;
	return status;
}

static int
setup(void **state)
{
	char text[1024], path[128];

	(void)state;
	if (parent > 0)
		stop(); /* of a test that failed in its setup */
	snprintf(dir, sizeof(dir), "/tmp/cv-parent-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0755), 0);
	snprintf(conf_name, sizeof(conf_name), "%s/congvu.conf", dir);
	snprintf(run_dir, sizeof(run_dir), "%s/i/run", dir);
	snprintf(log_file, sizeof(log_file), "%s/log", dir);
	port = free_port();
	snprintf(text, sizeof(text),
	    "run_dir = \"i/run\"\nqueue_dir = \"i/var/queue\"\nmilter_socket_dir = "
	    "\"i/run/milter\"\n"
	    "listen_imap = \"127.0.0.1:%u\"\nlisten_imaps = \"\"\nuser_smtpd = "
	    "\"54001\"\nuser_queue = \"54002\"\n"
	    "user_milter = \"54003\"\nsmtpd_processes = 2\n",
	    port);
	write_text(conf_name, text);
	snprintf(path, sizeof(path), "%s/token.key", dir);
	write_text(path, "geheim");
	chmod(path, 0600);
	start();
	wait_for_status("\"state\": \"up\"");
	return 0;
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	if (parent > 0)
		stop();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void
test_what_roles_get(void **state)
{
	char text[512], path[160];
	struct stat st;
	bool root = geteuid() == 0;

	(void)state;
	ask("t.sock", '.', text, sizeof(text));
	assert_non_null(strstr(text, "test-role"));
	assert_int_equal(number_after(text, "uid="), root ? 54001 : (long)getuid());
	assert_int_equal(number_after(text, "gid="), root ? 54001 : (long)getgid());
	/* 0, 1, 2, status, t, listen, the connection; nothing else leaked in, the secret is closed */
	assert_int_equal(number_after(text, "fds="), 7);
	assert_int_equal(number_after(text, "listen="), 1);
	assert_int_equal(number_after(text, "absent="), -1);
	assert_int_equal(number_after(text, "peer="), root ? 54001 : -1);
	assert_non_null(strstr(text, "secret=geheim"));
	ask("core.sock", '.', text, sizeof(text));
	assert_int_equal(number_after(text, "uid="), root ? 54002 : (long)getuid());
	assert_non_null(strstr(text, "secret=-"));
	snprintf(path, sizeof(path), "%s/i/var/queue", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(st.st_uid, root ? 54002 : getuid());
	snprintf(path, sizeof(path), "%s/milter", run_dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, root ? 54003 : getuid());
	snprintf(path, sizeof(path), "%s/t.sock", run_dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_uid, root ? 54001 : getuid());
	snprintf(path, sizeof(path), "%s/open.sock", run_dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	assert_non_null(strstr(status_text(), "\"sandbox\": \""));
	assert_null(strstr(status_text(), "\"sandbox\": \"none\""));
	ask("core.sock", '.', text, sizeof(text));
}

static void
test_expendable_restarts_alone(void **state)
{
	char text[512];
	long pid, core;

	(void)state;
	ask("core.sock", '.', text, sizeof(text));
	core = number_after(text, "pid=");
	ask("t.sock", 'c', text, sizeof(text));
	wait_for_status("\"last_exit\": \"signal 6");
	ask("t.sock", 'x', text, sizeof(text));
	wait_for_status("\"last_exit\": \"exit 3\"");
	wait_for_status("\"state\": \"up\"");
	ask("t.sock", '.', text, sizeof(text));
	pid = number_after(text, "pid=");
	assert_true(pid != core);
	ask("core.sock", '.', text, sizeof(text));
	assert_int_equal(number_after(text, "pid="), core);           /* untouched */
	assert_non_null(strstr(status_text(), "\"restarts\": 0,\n")); /* of the program */
}

static void
test_other_role_restarts_all(void **state)
{
	char text[512], role_text[512];
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	long core, role;
	int fd;

	(void)state;
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ask("t.sock", '.', role_text, sizeof(role_text));
	role = number_after(role_text, "pid=");
	ask("core.sock", '.', text, sizeof(text));
	core = number_after(text, "pid=");
	kill((pid_t)core, SIGKILL);
	/* the listening sockets stay: a client that comes right now waits, it is not refused */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd);
	/* on a busy machine the killed one may still have taken this connection with it */
	if (!ask_once("core.sock", '.', text, sizeof(text)))
		ask("core.sock", '.', text, sizeof(text));
	assert_true(number_after(text, "pid=") != core);
	wait_for_status("\"restarts\": 1,\n");
	wait_for_status("\"state\": \"up\"");
	for (int i = 0; i < 4; i++) {
		ask("t.sock", '.', role_text, sizeof(role_text));
		assert_true(number_after(role_text, "pid=") != role);
	}
}

static void
test_forbidden_call(void **state)
{
	char text[512];

	(void)state;
	ask("t.sock", 's', text, sizeof(text));
	wait_for_log("SANDBOX_VIOLATION");
	wait_for_log("role test-role asked for the forbidden system call 169");
	wait_for_status("\"last_forbidden_syscall\": 169");
	wait_for_status("\"state\": \"up\"");
}

static void
test_stats(void **state)
{
	char text[512];

	(void)state;
	ask("t.sock", 'n', text, sizeof(text));
	wait_for_status("\"stats\": {\"starts\": 1}");
}

static void
test_second_parent_is_refused(void **state)
{
	pid_t first = parent;
	int status;

	(void)state;
	start();
	assert_int_equal(waitpid(parent, &status, 0), parent);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 75);
	parent = first;
	wait_for_status("\"state\": \"up\"");
}

static bool
is_gone(pid_t pid)
{
	for (int i = 0; i < 300; i++) {
		if (kill(pid, 0) != 0 && errno == ESRCH)
			return true;
		usleep(10000);
	}
	return false;
}

static void
test_stop(void **state)
{
	char text[512];
	pid_t pid;
	int status;

	(void)state;
	ask("t.sock", '.', text, sizeof(text));
	pid = (pid_t)number_after(text, "pid=");
	status = stop();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_true(is_gone(pid));
	assert_string_equal(status_text(), "");
}

static void
test_parent_is_killed(void **state)
{
	char text[512];
	pid_t role, core;
	int status;

	(void)state;
	ask("t.sock", '.', text, sizeof(text));
	role = (pid_t)number_after(text, "pid=");
	ask("core.sock", '.', text, sizeof(text));
	core = (pid_t)number_after(text, "pid=");
	kill(parent, SIGKILL);
	waitpid(parent, &status, 0);
	assert_true(is_gone(role));
	assert_true(is_gone(core));
	start(); /* over stale sockets and a stale status file */
	for (int i = 0; i < 500 && number_after(status_text(), "\"pid\": ") != parent; i++)
		usleep(10000);
	wait_for_status("\"state\": \"up\"");
	ask("t.sock", '.', text, sizeof(text));
}

/* The pids of the roles, core first, as the status file has them. */
static void
role_pids(long pids[N_CHILDREN])
{
	const char *p = strstr(status_text(), "\"roles\"");

	for (size_t i = 0; i < N_CHILDREN; i++) {
		pids[i] = number_after(p, "\"pid\": ");
		p = strstr(p, "\"pid\": ") + 1;
	}
}

static void
reload_until(const char *log_line)
{
	assert_int_equal(truncate(log_file, 0), 0);
	kill(parent, SIGHUP);
	wait_for_log(log_line);
}

static void
test_reload(void **state)
{
	long before[N_CHILDREN], after[N_CHILDREN];
	char path[128], text[512];

	(void)state;
	role_pids(before);
	reload_until("congvu-test: reloaded");
	wait_for_log("test-role/1: the process before the reload");
	wait_for_log("test-role/0: the process before the reload");
	for (int i = 0; i < 100 && strstr(status_text(), "leaving") != NULL; i++)
		usleep(10000);
	role_pids(after);
	assert_int_equal(after[0], before[0]); /* the core stays */
	assert_int_not_equal(after[1], before[1]);
	assert_int_not_equal(after[2], before[2]);
	assert_null(strstr(status_text(), "\"restarts\": 1"));
	ask("t.sock", '.', text, sizeof(text));
	assert_non_null(strstr(text, "secret=geheim"));

	/* what is wrong now leaves those that work */
	snprintf(path, sizeof(path), "%s/token.key", dir);
	unlink(path);
	reload_until("test-role/1 stays as it was");
	wait_for_log("token.key (token_key_file): No such file");
	role_pids(before);
	assert_int_equal(after[1], before[1]);
	ask("t.sock", '.', text, sizeof(text));
	assert_non_null(strstr(text, "secret=geheim"));
	write_text(path, "neu");
	chmod(path, 0600);
	reload_until("congvu-test: reloaded");
	wait_for_log("test-role/0: the process before the reload");
	wait_for_log("test-role/1: the process before the reload");
	ask("t.sock", '.', text, sizeof(text));
	assert_non_null(strstr(text, "secret=neu"));
}

static void
test_reload_of_the_configuration(void **state)
{
	long before[N_CHILDREN], after[N_CHILDREN];
	FILE *f;

	(void)state;
	f = fopen(conf_name, "a");
	fputs("listen_submission = \"127.0.0.1:9\"\nsmtpd_processes = 5\nlisten_imap = "
	      "\"127.0.0.1:2\"\n",
	    f);
	fclose(f);
	reload_until("smtpd_processes was changed: that takes a restart");
	wait_for_log("listen_imap was changed");
	wait_for_log("congvu-test: reloaded");
	wait_for_log("test-role/0: the process before the reload");
	wait_for_log("test-role/1: the process before the reload");
	role_pids(before);
	f = fopen(conf_name, "a");
	fputs("no such option\n", f);
	fclose(f);
	reload_until("nothing is changed: ");
	role_pids(after);
	assert_memory_equal(before, after, sizeof(before));
}

static int notify_fd = -1;

static const char *
notified(void)
{
	static char text[256];
	struct timeval wait = {10, 0};
	ssize_t n;

	setsockopt(notify_fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	n = recv(notify_fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
test_service_manager(void **state)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	(void)state;
	stop();
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%.80s/notify", dir);
	assert_int_equal(bind(notify_fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	setenv("NOTIFY_SOCKET", sa.sun_path, 1);
	start();
	assert_string_equal(notified(), "READY=1\nSTATUS=up");
	kill(parent, SIGHUP);
	assert_memory_equal(notified(), "RELOADING=1\nMONOTONIC_USEC=", 27);
	assert_string_equal(notified(), "READY=1\nSTATUS=up, reloaded");
	stop();
	assert_string_equal(notified(), "STOPPING=1\nSTATUS=stopping");
	unsetenv("NOTIFY_SOCKET");
	close(notify_fd);
}

static void
test_missing_secret(void **state)
{
	char path[128], text[1024];
	int status;
	FILE *f;

	(void)state;
	stop();
	snprintf(path, sizeof(path), "%s/token.key", dir);
	unlink(path);
	start();
	wait_for_log("token.key (token_key_file): No such file or directory");
	stop();
	f = fopen(conf_name, "a");
	fputs("listen_submission = \"nowhere\"\nlisten_imap = \"nonsense\"\n", f);
	fclose(f);
	start();
	waitpid(parent, &status, 0);
	parent = 0;
	assert_int_equal(WEXITSTATUS(status), 78);
	wait_for_log("must be ADDRESS:PORT");
	(void)text;
}

static void
test_drop(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0) {
		if (proc_drop(54001, 54001) != 0)
			_exit(1);
		if (getuid() != 54001 || getegid() != 54001 || getgroups(0, NULL) != 0)
			_exit(2);
		if (setuid(0) == 0 || setgid(0) == 0)
			_exit(3);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

static void
test_users(void **state)
{
	uid_t uid;
	gid_t gid;

	(void)state;
	assert_int_equal(proc_user("root", &uid, &gid), 0);
	assert_int_equal(uid, 0);
	assert_int_equal(proc_user("54001", &uid, &gid), 0);
	assert_int_equal(uid, 54001);
	assert_int_equal(gid, 54001);
	assert_true(proc_user("no-such-user", &uid, &gid) != 0);
	assert_true(proc_user("", &uid, &gid) != 0);
	assert_true(proc_user("-1", &uid, &gid) != 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_users),
	    cmocka_unit_test(test_drop),
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	    T(test_what_roles_get),
	    T(test_expendable_restarts_alone),
	    T(test_other_role_restarts_all),
	    T(test_forbidden_call),
	    T(test_stats),
	    T(test_second_parent_is_refused),
	    T(test_stop),
	    T(test_parent_is_killed),
	    T(test_reload),
	    T(test_reload_of_the_configuration),
	    T(test_service_manager),
	    T(test_missing_secret),
	};
	char exe[PATH_MAX] = "";

	if (readlink("/proc/self/exe", exe, sizeof(exe) - 1) < 0)
		return 1;
	*strrchr(exe, '/') = '\0';
	setenv("CONGVU_LIBEXEC", exe, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
