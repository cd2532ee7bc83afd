/* doctor_dns.c: the DNS as `congvu doctor` sees it: does a resolver answer, has this host an address, do the MX records of our domains name it,
 * is there an SPF record. Never an error: the site may be inside a network that the DNS does not show. */
#include "config.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "admin/check.h"
#include "lib/err.h"
#include "lib/log.h"

enum { ANSWER_MAX = 65536, TIMEOUT_S = 2, TXT_MAX = 4096 };

struct dns {
	struct check *k;
	struct __res_state res;
	unsigned char answer[ANSWER_MAX];
	bool is_dead; /* no resolver answers: told once */
};

/* Looks name up; the parsed answer in *msg. Number of records, 0 none, -1 no resolver. */
static int
query(struct dns *d, const char *name, int type, ns_msg *msg)
{
	int n = res_nquery(&d->res, name, ns_c_in, type, d->answer, (int)sizeof(d->answer));

	if (n < 0 && (d->res.res_h_errno == HOST_NOT_FOUND || d->res.res_h_errno == NO_DATA))
		return 0;
	if (n < 0 || ns_initparse(d->answer, n, msg) != 0)
		return -1;
	return (int)ns_msg_count(*msg, ns_s_an);
}

static bool
next_of_type(ns_msg *msg, int *i, int type, ns_rr *rr)
{
	for (; *i < (int)ns_msg_count(*msg, ns_s_an); (*i)++)
		if (ns_parserr(msg, ns_s_an, *i, rr) == 0 && (int)ns_rr_type(*rr) == type) {
			(*i)++;
			return true;
		}
	return false;
}

static void
dead(struct dns *d)
{
	if (!d->is_dead)
		finding(d->k, WARN, "dns",
		    _("no resolver answers (/etc/resolv.conf): mail to other domains cannot find "
		      "its way, and MX and SPF records are "
		      "not checked"));
	d->is_dead = true;
}

static void
check_host(struct dns *d)
{
	const char *host = conf_str(d->k->conf, "hostname");
	ns_msg msg;
	int a = query(d, host, ns_t_a, &msg), aaaa = a == 0 ? query(d, host, ns_t_aaaa, &msg) : 0;

	if (a < 0 || aaaa < 0)
		dead(d);
	else if (a + aaaa == 0)
		finding(d->k, WARN, "dns",
		    _("%s (hostname) has no address in the DNS: other servers and mail clients do "
		      "not find it"),
		    host);
	else
		finding(d->k, GOOD, "dns", _("%s has an address"), host);
}

static void
check_mx(struct dns *d, const char *domain)
{
	const char *host = conf_str(d->k->conf, "hostname");
	char name[NS_MAXDNAME];
	bool ours = false;
	int i = 0, n, seen = 0;
	ns_msg msg;
	ns_rr rr;

	n = query(d, domain, ns_t_mx, &msg);
	if (n < 0) {
		dead(d);
		return;
	}
	while (n > 0 && next_of_type(&msg, &i, ns_t_mx, &rr)) {
		seen++;
		if (ns_rr_rdlen(rr) > 2 && dn_expand(ns_msg_base(msg), ns_msg_end(msg),
					       ns_rr_rdata(rr) + 2, name, sizeof(name)) > 0)
			ours = ours || strcasecmp(name, host) == 0;
	}
	if (seen == 0)
		finding(d->k, WARN, "dns",
		    _("%s has no MX record: add \"%s. MX 10 %s.\" to its zone"), domain, domain,
		    host);
	else if (!ours)
		finding(d->k, WARN, "dns",
		    _("no MX record of %s names %s (hostname): right only when another server "
		      "takes its mail first"),
		    domain, host);
	else
		finding(d->k, GOOD, "dns", _("MX of %s names %s"), domain, host);
}

/* RFC 7208 3: exactly one TXT record that begins with "v=spf1". */
static void
check_spf(struct dns *d, const char *domain)
{
	int i = 0, n, seen = 0;
	ns_msg msg;
	ns_rr rr;

	if (d->is_dead)
		return;
	n = query(d, domain, ns_t_txt, &msg);
	while (n > 0 && next_of_type(&msg, &i, ns_t_txt, &rr)) {
		const unsigned char *p = ns_rr_rdata(rr);

		seen += ns_rr_rdlen(rr) > 7 && p[0] >= 6 && memcmp(p + 1, "v=spf1", 6) == 0;
	}
	if (n < 0)
		dead(d);
	else if (seen == 0)
		finding(d->k, WARN, "dns",
		    _("%s has no SPF record, so anybody can send as it: add the TXT record "
		      "\"v=spf1 mx -all\" to its zone"),
		    domain);
	else if (seen > 1)
		finding(d->k, WARN, "dns",
		    _("%s has %d SPF records, which makes all of them void: keep one"), domain,
		    seen);
	else
		finding(d->k, GOOD, "dns", _("%s has an SPF record"), domain);
}

/* "IP:PORT" instead of /etc/resolv.conf. */
static bool
use_resolver(struct dns *d, const char *text)
{
	const char *colon = strrchr(text, ':');
	struct sockaddr_in sa = {.sin_family = AF_INET};
	char ip[INET_ADDRSTRLEN];
	uint64_t port;

	if (colon == NULL || (size_t)(colon - text) >= sizeof(ip) ||
	    slice_to_u64(slice_str(colon + 1), 65535, &port) != 0)
		return false;
	snprintf(ip, sizeof(ip), "%.*s", (int)(colon - text), text);
	sa.sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, ip, &sa.sin_addr) != 1)
		return false;
	d->res.nsaddr_list[0] = sa;
	d->res.nscount = 1;
	return true;
}

void
doctor_dns(struct check *k, const char *resolver)
{
	struct dns *d = xcalloc(1, sizeof(*d));

	d->k = k;
	if (res_ninit(&d->res) != 0 || (resolver != NULL && !use_resolver(d, resolver))) {
		finding(k, WARN, "dns", "%s",
		    _("the resolver cannot be used: --resolver IP:PORT, or /etc/resolv.conf"));
		goto out;
	}
	d->res.retrans = TIMEOUT_S;
	d->res.retry = 1;
	check_host(d);
	for (size_t i = 0; i < conf_list_len(k->conf, "domains") && !d->is_dead; i++) {
		check_mx(d, conf_list_item(k->conf, "domains", i));
		check_spf(d, conf_list_item(k->conf, "domains", i));
	}
	res_nclose(&d->res);
out:
	free(d);
}
