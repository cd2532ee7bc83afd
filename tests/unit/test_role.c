/* test_role.c: the role that parent_test has its parent start. It tells each caller on its socket what it is, then
 * does as it is told in one byte: c crash, x exit 3, s a forbidden system call, n raise its number. */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/role.h"

static unsigned
count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int64_t peer_uid;
static char secret[16] = "-";

static void
serve(int fd, const char *name)
{
	static uint64_t number;
	char text[512], command = 0;
	struct stat st;
	int n;

	n = snprintf(text, sizeof(text),
	    "%s %u uid=%d gid=%d pid=%d fds=%u listen=%d absent=%d secret=%s "
	    "peer=%ld\n",
	    name, role_index(), (int)getuid(), (int)getegid(), (int)getpid(), count_fds(),
	    role_fd("listen") >= 0 && fstat(role_fd("listen"), &st) == 0 && S_ISSOCK(st.st_mode),
	    role_fd("absent"), secret, (long)peer_uid);
	if (write(fd, text, (size_t)n) != n || read(fd, &command, 1) != 1)
		command = 0;
	if (command == 'c')
		abort();
	if (command == 'x')
		_exit(3);
	if (command == 's')
		syscall(SYS_reboot, 0, 0, 0, NULL);
	if (command == 'n')
		role_stat_set(0, ++number);
	close(fd);
}

int
main(int argc, char **argv)
{
	const char *name = "test-role";
	int fd, other = -1;

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "test-core") == 0)
			name = "test-core";
	role_init(argc, argv, name);
	peer_uid = role_uid_of("user_smtpd");
	if (role_fd("token_key_file") >= 0) {
		ssize_t got = read(role_fd("token_key_file"), secret, sizeof(secret) - 1);

		secret[got > 0 ? got : 0] = '\0';
		if (role_index() ==
		    1) { /* some roles close it themselves; its number is another's then */
			close(role_fd("token_key_file"));
			other = dup(role_fd("t"));
		}
	}
	role_enter();
	if (role_fd("token_key_file") >= 0 || (other >= 0 && fcntl(other, F_GETFD) < 0))
		return 1; /* it must be closed by now, and nothing else */
	if (other >= 0)
		close(other); /* each of the processes has the same number of them to tell */
	fd = role_fd(strcmp(name, "test-core") == 0 ? "core" : "t");
	fcntl(fd, F_SETFL, 0); /* blocking */
	for (;;) {
		int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (c >= 0)
			serve(c, name);
	}
}
