/* dns.h: questions to the DNS (libunbound; dns.c is its only includer). Validates DNSSEC when it has a trust anchor. Answers come on
 * the loop, never from within the call. */
#ifndef CV_DNS_H
#define CV_DNS_H

#include "lib/buf.h"
#include "lib/loop.h"

struct dns;
struct dns_params {
	const char *const
	    *resolvers; /* "192.0.2.53" or "192.0.2.53@5353"; none: those of /etc/resolv.conf */
	size_t n_resolvers;
	const char *anchor_file; /* trust anchors (RFC 4034 5 text form); "" or NULL: no DNSSEC */
	unsigned timeout_ms;     /* longest wait for one answer */
};
/* Reads files: before the sandbox. *why_out: static text. 0 or ERR_IO, ERR_SYNTAX, ERR_NOMEM. */
int dns_new(struct loop *l, const struct dns_params *p, struct dns **dns_out, const char **why_out);

enum dns_type { DNS_A = 1, DNS_MX = 15, DNS_AAAA = 28, DNS_TLSA = 52 };
enum dns_kind {
	DNS_FOUND = 1,
	DNS_NXDOMAIN = 2, /* there is no such name */
	DNS_NODATA = 3,   /* the name has no such record */
};
struct dns_answer {
	enum dns_kind kind;
	bool secure;                /* proved by DNSSEC (also that it is not there) */
	const struct slice *rdatas; /* borrowed for the call */
	size_t n;
};
/* err: 0 with a; ERR_TEMP: nobody knows now (no answer, SERVFAIL, or DNSSEC shows it forged): ask later. */
typedef void (*dns_fn)(void *arg, int err, const struct dns_answer *a);
/* name: A-labels without a dot at the end. 0, ERR_SYNTAX (no name), ERR_LIMIT (too many
 * questions under way), ERR_NOMEM. */
int dns_ask(struct dns *d, const char *name, enum dns_type type, dns_fn fn, void *arg);

#endif
