/* io_addr.c: addresses of sockets as text. Runs in every role with peers; pure. */
#include "config.h"

#include "lib/io_priv.h"

#include "lib/err.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

void
io_priv_peer(const struct sockaddr_storage *sa, char *out, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "";
	const struct sockaddr_in *v4 = (const void *)sa;
	const struct sockaddr_in6 *v6 = (const void *)sa;

	if (sa->ss_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(out, size, "%s:%u", host, ntohs(v4->sin_port));
	} else if (sa->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, host, sizeof(host));
		snprintf(out, size, "%s:%u", host, ntohs(v6->sin6_port));
	} else if (sa->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(out, size, "[%s]:%u", host, ntohs(v6->sin6_port));
	} else {
		snprintf(out, size, "unix");
	}
}

/* "192.0.2.1:25" or "[2001:db8::1]:25": names are the business of lookup. */
int
io_priv_hostport(const char *hostport, struct sockaddr_storage *sa, socklen_t *len_out)
{
	struct sockaddr_in *v4 = (void *)sa;
	struct sockaddr_in6 *v6 = (void *)sa;
	char host[64];
	uint64_t port;
	const char *colon = strrchr(hostport, ':');

	if (colon == NULL || slice_to_u64(slice_str(colon + 1), 65535, &port) != 0 || port == 0)
		return ERR_SYNTAX;
	struct slice h = slice_of(hostport, (size_t)(colon - hostport));
	bool bracket = h.len > 2 && h.ptr[0] == '[' && h.ptr[h.len - 1] == ']';
	if (bracket)
		h = slice_sub(h, 1, h.len - 2);
	if (h.len == 0 || h.len >= sizeof(host))
		return ERR_SYNTAX;
	memcpy(host, h.ptr, h.len);
	host[h.len] = '\0';
	*sa = (struct sockaddr_storage){0};
	if (bracket && inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		*len_out = sizeof(*v6);
		return 0;
	}
	if (!bracket && inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		*len_out = sizeof(*v4);
		return 0;
	}
	return ERR_SYNTAX;
}
