/* lookup_dns_client.h: what relay asks the DNS, through the lookup role. Answers come on the loop, never from within the call. */
#ifndef CV_LOOKUP_DNS_CLIENT_H
#define CV_LOOKUP_DNS_CLIENT_H

#include "directory/lookup_client.h"

enum lookup_dns_kind { LOOKUP_DNS_FOUND = 1, LOOKUP_DNS_NXDOMAIN = 2, LOOKUP_DNS_NODATA = 3 };
struct lookup_dns_record {
	uint16_t pref; /* MX: its preference */
	char *text;    /* MX: the host, A-labels ("" in a null MX, RFC 7505); else an IP address */
};
struct lookup_dns {
	enum lookup_dns_kind kind;
	bool secure; /* proved by DNSSEC */
	struct lookup_dns_record *records;
	size_t n;
};
/* err: 0 with d, borrowed for the call; ERR_SYNTAX: that can be no domain; ERR_TEMP for everything else. */
typedef void (*lookup_dns_fn)(void *arg, int err, const struct lookup_dns *d);
/* The MX records of a domain (U-labels allowed); the A and AAAA records of a host. 0, ERR_LIMIT or ERR_NOMEM. */
int lookup_mx(
    struct lookup_client *c, const char *domain, unsigned timeout_ms, lookup_dns_fn fn, void *arg);
int lookup_host(
    struct lookup_client *c, const char *host, unsigned timeout_ms, lookup_dns_fn fn, void *arg);

#endif
