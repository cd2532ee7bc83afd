/* fetch_url.c: fetch_url.h; linked by fetch alone. RFC 3986, RFC 4516; the networks that are nobody's on the Internet: RFC 6890 and its
 * registries. An address inside an IPv6 address (mapped, NAT64, 6to4) is judged as what it is. */
#include "config.h"

#include "directory/fetch_url.h"

#include "directory/fetch_client.h"
#include "lib/err.h"
#include "lib/log.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct net {
	int family;
	unsigned char address[16];
	unsigned bits;
};
/* "*", "host", ".domain" (all below it), each with or without ":port" */
struct host_rule {
	char *name;
	unsigned port; /* 0: those of the schemes */
};
struct fetch_policy {
	unsigned schemes;
	struct host_rule *hosts, *direct;
	size_t n_hosts, n_direct;
	struct net *nets;
	size_t n_nets;
	char *proxy; /* NULL: none */
};

static const struct {
	const char *name;
	enum fetch_scheme scheme;
	unsigned port;
} schemes[] = {{"http", FETCH_HTTP, 80}, {"https", FETCH_HTTPS, 443}, {"ldap", FETCH_LDAP, 389},
    {"ldaps", FETCH_LDAPS, 636}};

bool
fetch_scheme_is_ldap(enum fetch_scheme s)
{
	return s == FETCH_LDAP || s == FETCH_LDAPS;
}

/* ---- URLs ---- */

static bool
is_rest_char(unsigned char c)
{
	return c > 0x20 && c < 0x7f && strchr("\\\"<>^`{}|#", c) == NULL;
}

/* A number in a form that some resolvers take for an address: the last label has digits only, or begins with 0x. */
static bool
is_number_like(struct slice host)
{
	struct slice last;
	bool digits = true;
	size_t at;

	if (host.len > 1 && host.ptr[host.len - 1] == '.')
		host.len--;
	at = host.len;
	while (at > 0 && host.ptr[at - 1] != '.')
		at--;
	last = slice_from(host, at);
	for (size_t i = 0; i < last.len; i++)
		digits = digits && isdigit(last.ptr[i]);
	return digits || slice_casestarts(last, "0x");
}

static bool
is_address(int family, struct slice text, unsigned char out[16])
{
	char copy[64];

	if (text.len == 0 || text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	return strlen(copy) == text.len && inet_pton(family, copy, out) == 1;
}

static bool
host_is_good(struct slice host)
{
	unsigned char quad[16];

	if (host.len == 0 || host.len > 253 || host.ptr[0] == '.' || host.ptr[0] == '-')
		return false;
	for (size_t i = 0; i < host.len; i++) {
		unsigned char c = host.ptr[i];

		if (!(isalnum(c) && c < 0x80) && c != '.' && c != '-' && c != '_')
			return false;
		if (c == '.' && i + 1 < host.len && host.ptr[i + 1] == '.')
			return false;
	}
	return !is_number_like(host) || is_address(AF_INET, host, quad);
}

static int
authority_parse(struct slice a, struct fetch_url *u)
{
	ptrdiff_t at;
	uint64_t port;
	unsigned char six[16];
	struct slice rest;

	if (a.len > 0 && a.ptr[0] == '[') {
		at = slice_index(a, ']');
		if (at < 0)
			return ERR_SYNTAX;
		u->host = slice_sub(a, 1, (size_t)at - 1);
		u->host_is_ipv6 = true;
		rest = slice_from(a, (size_t)at + 1);
		if (!is_address(AF_INET6, u->host, six))
			return ERR_SYNTAX;
	} else {
		at = slice_index(a, ':');
		u->host = at < 0 ? a : slice_sub(a, 0, (size_t)at);
		rest = at < 0 ? slice_of(NULL, 0) : slice_from(a, (size_t)at);
		if (!host_is_good(u->host))
			return ERR_SYNTAX;
	}
	if (rest.len == 0)
		return 0;
	if (rest.ptr[0] != ':' || slice_to_u64(slice_from(rest, 1), 65535, &port) != 0 || port == 0)
		return ERR_SYNTAX;
	u->port = (unsigned)port;
	return 0;
}

/* RFC 4516: /dn?attributes?scope?filter. One attribute, of letters, digits, "-", ";" and "."; scope base or none. */
static int
ldap_parse(struct fetch_url *u)
{
	struct slice r = u->rest, scope = {NULL, 0};
	ptrdiff_t q = slice_index(r, '?');

	if (q < 0)
		return ERR_SYNTAX;
	r = slice_from(r, (size_t)q + 1);
	q = slice_index(r, '?');
	u->attr = q < 0 ? r : slice_sub(r, 0, (size_t)q);
	if (q >= 0) {
		r = slice_from(r, (size_t)q + 1);
		q = slice_index(r, '?');
		scope = q < 0 ? r : slice_sub(r, 0, (size_t)q);
	}
	if (u->attr.len == 0 || u->attr.len > 128 ||
	    (scope.len > 0 && !slice_caseeq_str(scope, "base")))
		return ERR_SYNTAX;
	for (size_t i = 0; i < u->attr.len; i++)
		if (!isalnum(u->attr.ptr[i]) && strchr("-;.", u->attr.ptr[i]) == NULL)
			return ERR_SYNTAX;
	return 0;
}

int
fetch_url_parse(struct slice text, struct fetch_url *out)
{
	struct fetch_url u = {0};
	struct slice rest = {NULL, 0};
	size_t n = 0;

	if (text.len > FETCH_URL_MAX)
		return ERR_SYNTAX;
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t len = strlen(schemes[i].name);

		if (slice_casestarts(text, schemes[i].name) &&
		    slice_starts(slice_from(text, len), "://")) {
			u.scheme = schemes[i].scheme;
			u.port = schemes[i].port;
			rest = slice_from(text, len + 3);
		}
	}
	if (u.scheme == 0)
		return ERR_SYNTAX;
	for (size_t i = 0; i < rest.len; i++)
		if (!is_rest_char(rest.ptr[i]))
			return ERR_SYNTAX;
	while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?')
		n++;
	u.rest = slice_from(rest, n);
	if (authority_parse(slice_sub(rest, 0, n), &u) != 0)
		return ERR_SYNTAX;
	if (fetch_scheme_is_ldap(u.scheme) && ldap_parse(&u) != 0)
		return ERR_SYNTAX;
	*out = u;
	return 0;
}

/* ---- networks ---- */

static bool
net_has(const struct net *n, int family, const unsigned char *a)
{
	unsigned whole = n->bits / 8, part = n->bits % 8;

	if (n->family != family || memcmp(n->address, a, whole) != 0)
		return false;
	return part == 0 || ((n->address[whole] ^ a[whole]) >> (8 - part)) == 0;
}

/* "10.0.0.0/8", "fd00::/8", or one address. */
static int
net_parse(const char *text, struct net *out)
{
	struct slice t = slice_str(text), a;
	ptrdiff_t at = slice_index(t, '/');
	struct net n = {0};
	uint64_t bits;

	a = at < 0 ? t : slice_sub(t, 0, (size_t)at);
	n.family = slice_index(a, ':') >= 0 ? AF_INET6 : AF_INET;
	if (!is_address(n.family, a, n.address))
		return ERR_SYNTAX;
	bits = n.family == AF_INET ? 32 : 128;
	if (at >= 0 && slice_to_u64(slice_from(t, (size_t)at + 1), bits, &bits) != 0)
		return ERR_SYNTAX;
	n.bits = (unsigned)bits;
	*out = n;
	return 0;
}

/* What is not the public Internet: this host, private networks, links, documentation, multicast, reserved. */
static const char *const special[] = {"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8",
    "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
    "240.0.0.0/4", "::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20",
    "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"};

/* Where an IPv6 address only wraps an IPv4 one. */
static const unsigned char *
inner_ipv4(const unsigned char *a)
{
	static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	static const unsigned char nat64[12] = {0, 0x64, 0xff, 0x9b};

	if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
		return a + 12;
	return a[0] == 0x20 && a[1] == 0x02 ? a + 2 : NULL;
}

bool
fetch_policy_address(const struct fetch_policy *p, int family, const unsigned char *address)
{
	const unsigned char *inner = family == AF_INET6 ? inner_ipv4(address) : NULL;

	if (family != AF_INET && family != AF_INET6)
		return false;
	for (size_t i = 0; i < p->n_nets; i++)
		if (net_has(&p->nets[i], family, address))
			return true;
	if (inner != NULL)
		return fetch_policy_address(p, AF_INET, inner);
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
		struct net n;

		if (net_parse(special[i], &n) == 0 && net_has(&n, family, address))
			return false;
	}
	return true;
}

/* ---- hosts ---- */

static bool
rule_has(const struct host_rule *r, const struct fetch_url *u)
{
	struct slice name = slice_str(r->name), host = u->host;
	bool default_port = false;

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		default_port |= schemes[i].scheme == u->scheme && schemes[i].port == u->port;
	if (r->port != 0 ? r->port != u->port : !default_port)
		return false;
	if (host.len > 0 && host.ptr[host.len - 1] == '.')
		host.len--;
	if (slice_eq_str(name, "*"))
		return true;
	if (name.len > 0 && name.ptr[0] == '.')
		return host.len > name.len &&
		       slice_caseeq(slice_from(host, host.len - name.len), name);
	return slice_caseeq(host, name);
}

static bool
rules_have(const struct host_rule *rules, size_t n, const struct fetch_url *u)
{
	for (size_t i = 0; i < n; i++)
		if (rule_has(&rules[i], u))
			return true;
	return false;
}

int
fetch_policy_url(const struct fetch_policy *p, const struct fetch_url *u)
{
	unsigned char address[16];

	if ((p->schemes & u->scheme) == 0 || !rules_have(p->hosts, p->n_hosts, u))
		return ERR_DENIED;
	if (u->host_is_ipv6)
		return is_address(AF_INET6, u->host, address) &&
			       fetch_policy_address(p, AF_INET6, address)
			   ? 0
			   : ERR_DENIED;
	if (is_address(AF_INET, u->host, address))
		return fetch_policy_address(p, AF_INET, address) ? 0 : ERR_DENIED;
	return 0;
}

const char *
fetch_policy_proxy(const struct fetch_policy *p, const struct fetch_url *u)
{
	return p->proxy == NULL || rules_have(p->direct, p->n_direct, u) ? NULL : p->proxy;
}

/* ---- the options ---- */

static int
hosts_parse(const struct conf *c, const char *option, struct host_rule **out, size_t *n_out)
{
	size_t n = conf_list_len(c, option);

	*out = xcalloc(n + 1, sizeof(**out));
	*n_out = n;
	for (size_t i = 0; i < n; i++) {
		struct slice item = slice_str(conf_list_item(c, option, i));
		ptrdiff_t at = slice_index(item, ':');
		uint64_t port = 0;

		/* an IPv6 address has several colons and no port here: it is one of fetch_networks' */
		if (at >= 0 && slice_index(slice_from(item, (size_t)at + 1), ':') >= 0)
			at = -1;
		if (at >= 0 && (slice_to_u64(slice_from(item, (size_t)at + 1), 65535, &port) != 0 ||
				   port == 0))
			return ERR_SYNTAX;
		(*out)[i].name = slice_dup(at < 0 ? item : slice_sub(item, 0, (size_t)at));
		(*out)[i].port = (unsigned)port;
		if ((*out)[i].name == NULL || (*out)[i].name[0] == '\0')
			return ERR_SYNTAX;
	}
	return 0;
}

static int
schemes_parse(const struct conf *c, unsigned *out)
{
	for (size_t i = 0; i < conf_list_len(c, "fetch_schemes"); i++) {
		unsigned bit = 0;

		for (size_t k = 0; k < sizeof(schemes) / sizeof(schemes[0]); k++)
			if (strcmp(conf_list_item(c, "fetch_schemes", i), schemes[k].name) == 0)
				bit = schemes[k].scheme;
		if (bit == 0)
			return ERR_SYNTAX;
		*out |= bit;
	}
	return 0;
}

int
fetch_policy_new(const struct conf *c, struct fetch_policy **out, char **why_out)
{
	struct fetch_policy *p = xcalloc(1, sizeof(*p));
	size_t n = conf_list_len(c, "fetch_networks");
	const char *proxy = conf_str(c, "fetch_proxy"), *bad = NULL;

	p->nets = xcalloc(n + 1, sizeof(*p->nets));
	if (schemes_parse(c, &p->schemes) != 0)
		bad = "fetch_schemes: http, https, ldap and ldaps are known";
	if (hosts_parse(c, "fetch_hosts", &p->hosts, &p->n_hosts) != 0)
		bad = "fetch_hosts: *, HOST or .DOMAIN, with or without :PORT";
	if (hosts_parse(c, "fetch_no_proxy", &p->direct, &p->n_direct) != 0)
		bad = "fetch_no_proxy: *, HOST or .DOMAIN, with or without :PORT";
	for (; p->n_nets < n; p->n_nets++)
		if (net_parse(
			conf_list_item(c, "fetch_networks", p->n_nets), &p->nets[p->n_nets]) != 0) {
			bad = "fetch_networks: ADDRESS or ADDRESS/BITS";
			break;
		}
	if (*proxy != '\0' && strncmp(proxy, "http://", 7) != 0 &&
	    strncmp(proxy, "https://", 8) != 0)
		bad = "fetch_proxy: http://HOST:PORT or https://HOST:PORT";
	if (bad != NULL) {
		fetch_policy_free(p);
		*why_out = xstrdup(bad);
		return ERR_SYNTAX;
	}
	p->proxy = *proxy == '\0' ? NULL : xstrdup(proxy);
	*out = p;
	return 0;
}

void
fetch_policy_free(struct fetch_policy *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; p->hosts != NULL && i < p->n_hosts; i++)
		free(p->hosts[i].name);
	for (size_t i = 0; p->direct != NULL && i < p->n_direct; i++)
		free(p->direct[i].name);
	free(p->hosts);
	free(p->direct);
	free(p->nets);
	free(p->proxy);
	free(p);
}
