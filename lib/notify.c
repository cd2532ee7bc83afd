/* notify.c: sd_notify(3)'s protocol without libsystemd: one datagram to $NOTIFY_SOCKET, a path or, with "@", an abstract name.
 * Runs in the parents. */
#include "config.h"

#include "lib/notify.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/err.h"

int
notify_send(const char *lines)
{
	const char *name = secure_getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t n = name != NULL ? strlen(name) : 0;
	ssize_t sent;
	int fd;

	if (n == 0)
		return 0;
	if ((name[0] != '/' && name[0] != '@') || n < 2 || n >= sizeof(sa.sun_path))
		return ERR_SYNTAX;
	memcpy(sa.sun_path, name, n);
	if (name[0] == '@')
		sa.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return ERR_IO;
	sent = sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (struct sockaddr *)&sa,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (name[0] != '@')));
	close(fd);
	return sent == (ssize_t)strlen(lines) ? 0 : ERR_IO;
}

int
notify_reloading(void)
{
	struct timespec ts;
	char text[80];

	clock_gettime(CLOCK_MONOTONIC, &ts);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
	    (unsigned long long)ts.tv_sec * 1000000 + (unsigned long long)ts.tv_nsec / 1000);
	return notify_send(text);
}
