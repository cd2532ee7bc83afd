/* sandbox_test.c: each row of the sandbox in a child of its own: what is allowed passes, what is not ends the
 * process with SIGSYS and its number is noted; files are refused, not found; threads where they are allowed. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/proc.h"
#include "lib/sandbox.h"
#include "tests/unit/unit.h"

static char dir[64];
static struct proc_page *page;

enum { PASSED = 40 };

/* Runs fn in a child inside the sandbox of role; the child's wait status. */
static int
inside(const char *role, void (*fn)(void))
{
	int status, null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	pid_t pid;

	page->bad_syscall = -1;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(null, STDERR_FILENO);
		log_init("child", STDERR_FILENO);
		if (chdir(dir) != 0)
			_exit(1);
		sandbox_report_at(&page->bad_syscall);
		page->sandbox = (uint32_t)sandbox_enter(role);
		fn();
		_exit(PASSED);
	}
	close(null);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

#define assert_passes(role, fn)                                                        \
	do {                                                                           \
		int st_ = inside(role, fn);                                            \
		char t_[48];                                                           \
		if (!WIFEXITED(st_) || WEXITSTATUS(st_) != PASSED)                     \
			fail_msg("%s in %s: %s, system call %d", #fn, role,            \
			    proc_status_text(st_, t_, sizeof(t_)), page->bad_syscall); \
	} while (0)

static void
assert_killed(const char *role, void (*fn)(void), int nr)
{
	int st = inside(role, fn);

	assert_true(WIFSIGNALED(st));
	assert_int_equal(WTERMSIG(st), SIGSYS);
	assert_int_equal(page->bad_syscall, nr);
}

static void
check(int ok)
{
	if (!ok)
		_exit(1);
}

/* What every role does: memory, epoll, sockets it holds, time, printing. */
static void
everyday(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int sv[2], ep = epoll_create1(EPOLL_CLOEXEC);
	struct stat st;
	char *p = malloc(1 << 22), text[64];

	check(p != NULL && ep >= 0);
	p = realloc(p, 1 << 24);
	check(p != NULL);
	free(p);
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) == 0);
	check(epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], &ev) == 0);
	check(send(sv[1], "x", 1, MSG_NOSIGNAL) == 1);
	check(epoll_wait(ep, &ev, 1, 100) == 1);
	check(recv(sv[0], text, 1, 0) == 1);
	check(fstat(sv[0], &st) == 0);
	check(shutdown(sv[0], SHUT_WR) == 0);
	check(getentropy(text, 16) == 0);
	check(time(NULL) > 0);
	snprintf(text, sizeof(text), "%f", 1.5);
	log_msg(LOG_LVL_INFO, "test", "%s", text);
	close(sv[0]);
	close(sv[1]);
}

static void
open_etc_passwd(void)
{
	check(open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
	check(access("/etc/passwd", R_OK) < 0);
}

static void
read_etc(void)
{
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	check(fd >= 0);
	close(fd);
	check(open("/etc/passwd", O_WRONLY | O_CLOEXEC) < 0);
	check(open("/tmp/cv-sandbox-new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0);
}

static void
own_files(void)
{
	int fd = open("a", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	check(fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0 && fdatasync(fd) == 0);
	check(ftruncate(fd, 0) == 0);
	close(fd);
	check(mkdir("d", 0700) == 0 && rename("a", "d/a") == 0 && unlink("d/a") == 0 &&
	      rmdir("d") == 0);
	fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	check(fd >= 0);
	close(fd);
}

/* Landlock's part: nothing outside its folder. */
static void
others_files(void)
{
	check(open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
	check(open("../cv-sandbox-new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0);
}

static void
unix_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check(fd >= 0);
	close(fd);
}

static void
inet_socket(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(1)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check(fd >= 0);
	check(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 && errno == ECONNREFUSED);
	close(fd);
}

static void
run_program(void)
{
	execl("/bin/true", "true", NULL);
}

static void
trace(void)
{
	syscall(SYS_reboot, 0, 0, 0, NULL);
}

#ifndef CV_ASAN
static void
fork_one(void)
{
	if (fork() == 0)
		_exit(0);
}

static void
kill_parent(void)
{
	kill(getppid(), 0);
}

static void
executable_memory(void)
{
	void *p = mmap(
	    NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(p == MAP_FAILED && errno == EACCES);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(p != MAP_FAILED);
	check(mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0);
}
#endif

static void
abort_itself(void)
{
	abort();
}

static void *
thread_main(void *arg)
{
	return arg;
}

static void
threads(void)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		check(pthread_create(&t[i], NULL, thread_main, NULL) == 0);
	for (int i = 0; i < 4; i++)
		check(pthread_join(t[i], NULL) == 0);
}

static void
bind_and_listen(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr sa = {.sa_family = AF_UNIX, .sa_data = "sock"};

	check(fd >= 0 && bind(fd, &sa, sizeof(sa)) == 0 && listen(fd, 5) == 0);
	check(chmod("sock", 0660) == 0 && unlink("sock") == 0);
}

static const char *const every_role[] = {"smtpd-session", "smtpd-session-inet", "imapd-session",
    "ingest", "lookup", "smtpd-queue", "relay", "stored", "milter", "milter-inet", "milter-scan",
    "milter-ledger", "milter-sign"};

static void
test_every_role(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(every_role) / sizeof(every_role[0]); i++) {
		assert_passes(every_role[i], everyday);
		assert_true(page->sandbox == SANDBOX_WHOLE || page->sandbox == SANDBOX_PARTIAL);
		assert_killed(every_role[i], run_program, SYS_execve);
		assert_killed(every_role[i], trace, SYS_reboot);
		assert_int_equal(WTERMSIG(inside(every_role[i], abort_itself)), SIGABRT);
	}
}

static void
test_sessions(void **state)
{
	static const char *const sessions[] = {"smtpd-session", "imapd-session", "ingest"};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_passes(sessions[i], unix_socket);
		assert_killed(sessions[i], inet_socket, SYS_socket);
		assert_killed(sessions[i], bind_and_listen, SYS_bind);
#ifndef CV_ASAN
		assert_passes(sessions[i], open_etc_passwd);
		assert_killed(sessions[i], fork_one, SYS_clone);
		assert_killed(sessions[i], kill_parent, SYS_kill);
		assert_passes(sessions[i], executable_memory);
#endif
	}
	assert_passes("smtpd-session-inet", inet_socket);
}

static void
test_scan(void **state)
{
	(void)state;
	assert_killed("milter-scan", unix_socket, SYS_socket);
	assert_killed("milter-scan", inet_socket, SYS_socket);
#ifndef CV_ASAN
	assert_passes("milter-scan", open_etc_passwd);
	assert_killed("milter-scan", fork_one, SYS_clone);
#else
	(void)open_etc_passwd;
#endif
}

static void
test_files_and_threads(void **state)
{
	static const char *const owners[] = {"stored", "smtpd-queue", "milter-ledger", "milter"};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_passes(owners[i], own_files);
#ifndef CV_ASAN
		if (page->sandbox == SANDBOX_WHOLE)
			assert_passes(owners[i], others_files);
		assert_passes(owners[i], threads);
		assert_killed(owners[i], fork_one, SYS_clone);
#else
		(void)others_files;
		(void)threads;
#endif
	}
	assert_killed("stored", inet_socket, SYS_socket);
	assert_killed("stored", unix_socket, SYS_socket);
	assert_passes("milter", bind_and_listen);
}

static void
test_lookup_and_relay(void **state)
{
	static const char *const names[] = {"lookup", "relay"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_passes(names[i], inet_socket);
		assert_passes(names[i], unix_socket);
		assert_passes(names[i], read_etc);
#ifndef CV_ASAN
		assert_passes(names[i], threads);
#endif
	}
}

static int
group_setup(void **state)
{
	int fd;

	(void)state;
	fd = proc_page_new(&page);
	snprintf(dir, sizeof(dir), "/tmp/cv-sandbox-XXXXXX");
	return fd < 0 || mkdtemp(dir) == NULL;
}

static int
group_teardown(void **state)
{
	(void)state;
	proc_page_free(page);
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_role),
	    cmocka_unit_test(test_sessions),
	    cmocka_unit_test(test_scan),
	    cmocka_unit_test(test_files_and_threads),
	    cmocka_unit_test(test_lookup_and_relay),
	};

	if (getenv("LD_PRELOAD") != NULL && strstr(getenv("LD_PRELOAD"), "valgrind") != NULL)
		return 77; /* valgrind's own system calls would be filtered too */
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
