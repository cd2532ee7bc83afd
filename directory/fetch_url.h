/* fetch_url.h: which URLs and which addresses fetch may go to. Pure: no I/O, no resolver. The URLs come from certificates, that is from
 * anybody: they are read strictly (RFC 3986), so that no other reader of them can see another host. */
#ifndef CV_FETCH_URL_H
#define CV_FETCH_URL_H

#include "lib/conf.h"

enum fetch_scheme { FETCH_HTTP = 1, FETCH_HTTPS = 2, FETCH_LDAP = 4, FETCH_LDAPS = 8 };
struct fetch_url {
	enum fetch_scheme scheme;
	struct slice host; /* of the text; an IPv6 address without its brackets */
	bool host_is_ipv6;
	unsigned port;     /* that of the scheme when not given */
	struct slice rest; /* "/path?query", may be empty */
	struct slice attr; /* LDAP: the one attribute asked for (RFC 4516) */
};
/* Letters, digits, ".", "-", "_" in the host, no user name, no fragment, printable ASCII without space, backslash and quotes in the
 * rest, at most FETCH_URL_MAX bytes. A host that is a number but no dotted quad ("0x7f.1") is refused. 0 or ERR_SYNTAX. */
int fetch_url_parse(struct slice text, struct fetch_url *out);
bool fetch_scheme_is_ldap(enum fetch_scheme s);

struct fetch_policy;
/* Of fetch_schemes, fetch_hosts, fetch_networks, fetch_no_proxy and fetch_proxy. *why_out: malloc'd. 0 or ERR_SYNTAX. */
int fetch_policy_new(const struct conf *c, struct fetch_policy **out, char **why_out);
void fetch_policy_free(struct fetch_policy *p);
/* 0; ERR_DENIED: scheme, host or port are not permitted, or the host is an address that is not. */
int fetch_policy_url(const struct fetch_policy *p, const struct fetch_url *u);
/* Whether a connection to this address is permitted: public ones, and those of fetch_networks. family: AF_INET with 4 bytes, AF_INET6
 * with 16, in network order. */
bool fetch_policy_address(const struct fetch_policy *p, int family, const unsigned char *address);
/* The proxy for a URL; NULL: none. Borrowed. */
const char *fetch_policy_proxy(const struct fetch_policy *p, const struct fetch_url *u);

#endif
