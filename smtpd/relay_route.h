/* relay_route.h: which way the mail for a domain goes: relay_routes, smarthost, MX. Pure but for reading the configuration. */
#ifndef CV_RELAY_ROUTE_H
#define CV_RELAY_ROUTE_H

#include "lib/conf.h"

enum relay_way {
	RELAY_MX = 1, /* the MX of the recipients' domain */
	RELAY_SMTP,
	RELAY_SMTPS, /* TLS at once */
	RELAY_LMTP,
};
struct relay_route {
	enum relay_way way;
	char *text; /* as configured, the destination's name */
	char *host; /* a name or an IP address; NULL for MX and UNIX sockets */
	char *path; /* UNIX socket, or NULL */
	unsigned port;
	bool is_smarthost;
};
/* "mx", "smtp:HOST:PORT", "smtps:HOST:PORT", "lmtp:HOST:PORT", "lmtp:unix:PATH"; "unix:PATH" and "inet:IP:PORT" as lmtp_route and smarthost
 * have them (inet is what usual says). HOST may be "[IPv6]". 0 or ERR_SYNTAX; free with relay_route_done. */
int relay_route_parse(const char *text, enum relay_way usual, struct relay_route *out);
void relay_route_done(struct relay_route *r);

struct relay_routes;
/* Reads relay_routes, smarthost, relay_direct. 0, or ERR_SYNTAX with *why_out static and *what_out the value (borrowed from c). */
int relay_routes_new(
    const struct conf *c, struct relay_routes **out, const char **why_out, const char **what_out);
void relay_routes_free(struct relay_routes *r); /* NULL accepted */
/* The row of relay_routes for a domain: its own, else that of the longest ".suffix". NULL: none. Borrowed. */
const struct relay_route *relay_routes_own(const struct relay_routes *r, struct slice domain);
/* The same, else the smarthost, else MX; NULL: mail goes nowhere from here. */
const struct relay_route *relay_routes_find(const struct relay_routes *r, struct slice domain);

/* Whether there is a way for the address; own: a row of relay_routes. */
bool relay_routes_has(const struct relay_routes *r, const char *address, bool own);

/* Levels of TLS to others. */
enum relay_tls { RELAY_TLS_NONE = 1, RELAY_TLS_MAY, RELAY_TLS_ENCRYPT, RELAY_TLS_VERIFY };
/* Of a destination: relay_tls_policy, else relay_tls. 0 for a level that is none (in the configuration). */
enum relay_tls relay_tls_of(const struct conf *c, struct slice domain);

#endif
