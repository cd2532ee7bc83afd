/* relay_self.c: which addresses are our own, so that mail does not go in circles. Runs in relay. RFC 5321 5.1. */
#include "config.h"

#include "smtpd/relay_priv.h"

#include "lib/log.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { OWN_MAX = 256 };

static struct {
	char *ips[OWN_MAX];
	size_t n;
	uint64_t port;
} self;

static void
add(const char *ip)
{
	if (self.n < OWN_MAX)
		self.ips[self.n++] = xstrdup(ip);
}

static void
add_interfaces(void)
{
	struct ifaddrs *list = NULL;
	char ip[INET6_ADDRSTRLEN];

	if (getifaddrs(&list) != 0)
		return;
	for (struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
		const void *a = NULL;
		if (i->ifa_addr == NULL)
			continue;
		if (i->ifa_addr->sa_family == AF_INET)
			a = &((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr;
		else if (i->ifa_addr->sa_family == AF_INET6)
			a = &((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr;
		if (a != NULL && inet_ntop(i->ifa_addr->sa_family, a, ip, sizeof(ip)) != NULL)
			add(ip);
	}
	freeifaddrs(list);
}

void
relay_self_init(const struct conf *c)
{
	struct slice listen = slice_str(conf_str(c, "listen_mx"));
	ptrdiff_t colon = -1;

	for (size_t i = 0; i < listen.len; i++)
		if (listen.ptr[i] == ':')
			colon = (ptrdiff_t)i;
	if (colon <= 0 ||
	    slice_to_u64(slice_from(listen, (size_t)colon + 1), 65535, &self.port) != 0)
		return;
	struct slice host = slice_sub(listen, 0, (size_t)colon);
	if (slice_eq_str(host, "0.0.0.0") || slice_eq_str(host, "[::]")) {
		add_interfaces();
		return;
	}
	char *ip = slice_dup(host.ptr[0] == '[' ? slice_sub(host, 1, host.len - 2) : host);
	if (ip != NULL)
		add(ip);
	free(ip);
}

bool
relay_self_is(const char *ip, unsigned port)
{
	bool found = false;

	for (size_t i = 0; i < self.n && !found; i++)
		found = strcmp(self.ips[i], ip) == 0;
	return found && port == self.port;
}
