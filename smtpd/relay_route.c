/* relay_route.c: which way the mail for a domain goes. Runs in relay, and in smtpd-session, which refuses what would go nowhere. */
#include "config.h"

#include "smtpd/relay_route.h"

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

struct rule {
	struct slice domain; /* ".example" for all below */
	struct relay_route route;
};
struct relay_routes {
	struct rule *rules;
	size_t n;
	struct relay_route fallback;
	bool has_fallback;
};

void
relay_route_done(struct relay_route *r)
{
	free(r->text);
	free(r->host);
	free(r->path);
	*r = (struct relay_route){.way = 0};
}

/* "HOST:PORT" or "[IPv6]:PORT". */
static int
host_port(struct slice s, struct relay_route *r)
{
	ptrdiff_t colon = -1;
	uint64_t port;

	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == ':')
			colon = (ptrdiff_t)i;
	if (colon <= 0 || slice_to_u64(slice_from(s, (size_t)colon + 1), 65535, &port) != 0 ||
	    port == 0)
		return ERR_SYNTAX;
	struct slice host = slice_sub(s, 0, (size_t)colon);
	if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
		host = slice_sub(host, 1, host.len - 2);
	else if (slice_index(host, ':') >= 0)
		return ERR_SYNTAX;
	if (slice_index(host, ' ') >= 0)
		return ERR_SYNTAX;
	r->host = slice_dup(host);
	r->port = (unsigned)port;
	return r->host == NULL ? ERR_NOMEM : 0;
}

int
relay_route_parse(const char *text, enum relay_way usual, struct relay_route *out)
{
	static const struct {
		const char *prefix;
		enum relay_way way;
	} ways[] = {
	    {"smtp:", RELAY_SMTP}, {"smtps:", RELAY_SMTPS}, {"lmtp:", RELAY_LMTP}, {"inet:", 0}};
	struct slice s = slice_str(text);
	int r = ERR_SYNTAX;

	*out = (struct relay_route){.text = xstrdup(text)};
	if (slice_starts(s, "lmtp:unix:") || slice_starts(s, "unix:")) {
		out->way = RELAY_LMTP;
		out->path = xstrdup(text + (text[0] == 'u' ? 5 : 10));
		r = out->path[0] != '\0' ? 0 : ERR_SYNTAX;
	} else if (strcmp(text, "mx") == 0) {
		out->way = RELAY_MX;
		r = 0;
	} else {
		for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
			if (!slice_starts(s, ways[i].prefix))
				continue;
			out->way = ways[i].way != 0 ? ways[i].way : usual;
			r = host_port(slice_from(s, strlen(ways[i].prefix)), out);
		}
	}
	if (r != 0)
		relay_route_done(out);
	return r;
}

static int
rule_parse(const char *text, struct rule *out)
{
	struct slice s = slice_str(text);
	ptrdiff_t eq = slice_index(s, '=');

	if (eq <= 0)
		return ERR_SYNTAX;
	out->domain = slice_sub(s, 0, (size_t)eq);
	return relay_route_parse(text + eq + 1, RELAY_SMTP, &out->route);
}

int
relay_routes_new(
    const struct conf *c, struct relay_routes **out, const char **why_out, const char **what_out)
{
	struct relay_routes *r = xcalloc(1, sizeof(*r));
	size_t n = conf_list_len(c, "relay_routes");
	const char *smarthost = conf_str(c, "smarthost");
	int err = 0;

	r->rules = xcalloc(n + 1, sizeof(*r->rules));
	for (size_t i = 0; i < n && err == 0; i++) {
		*why_out = "relay_routes: neither DOMAIN=smtp:HOST:PORT, smtps:, lmtp:, "
			   "lmtp:unix:PATH nor mx";
		*what_out = conf_list_item(c, "relay_routes", i);
		err = rule_parse(*what_out, &r->rules[r->n]);
		r->n += err == 0;
	}
	if (err == 0 && smarthost[0] != '\0') {
		*why_out = "smarthost: neither smtp:HOST:PORT, smtps:HOST:PORT nor inet:IP:PORT";
		*what_out = smarthost;
		err = relay_route_parse(smarthost, RELAY_SMTP, &r->fallback);
		r->has_fallback = r->fallback.is_smarthost = err == 0;
	} else if (err == 0 && conf_bool(c, "relay_direct")) {
		err = relay_route_parse("mx", RELAY_MX, &r->fallback);
		r->has_fallback = err == 0;
	}
	if (err != 0)
		relay_routes_free(r);
	else
		*out = r;
	return err;
}

void
relay_routes_free(struct relay_routes *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++)
		relay_route_done(&r->rules[i].route);
	relay_route_done(&r->fallback);
	free(r->rules);
	free(r);
}

/* "example" names itself, ".example" all below it. */
static bool
names(struct slice rule, struct slice domain)
{
	if (rule.len == 0 || rule.ptr[0] != '.')
		return slice_caseeq(rule, domain);
	return domain.len > rule.len &&
	       slice_caseeq(slice_from(domain, domain.len - rule.len), rule);
}

const struct relay_route *
relay_routes_own(const struct relay_routes *r, struct slice domain)
{
	const struct rule *best = NULL;

	for (size_t i = 0; i < r->n; i++)
		if (names(r->rules[i].domain, domain) &&
		    (best == NULL || r->rules[i].domain.len > best->domain.len))
			best = &r->rules[i];
	return best == NULL ? NULL : &best->route;
}

const struct relay_route *
relay_routes_find(const struct relay_routes *r, struct slice domain)
{
	const struct relay_route *own = relay_routes_own(r, domain);

	return own != NULL ? own : r->has_fallback ? &r->fallback : NULL;
}

bool
relay_routes_has(const struct relay_routes *r, const char *address, bool own)
{
	struct slice local, domain;

	return addr_split(slice_str(address), &local, &domain) == 0 &&
	       (own ? relay_routes_own(r, domain) : relay_routes_find(r, domain)) != NULL;
}

static enum relay_tls
level(struct slice s)
{
	static const char *const words[] = {"none", "may", "encrypt", "verify"};

	for (size_t i = 0; i < 4; i++)
		if (slice_eq_str(s, words[i]))
			return (enum relay_tls)(i + 1);
	return 0;
}

enum relay_tls
relay_tls_of(const struct conf *c, struct slice domain)
{
	struct slice best = {NULL, 0}, word = slice_str(conf_str(c, "relay_tls"));

	for (size_t i = 0; i < conf_list_len(c, "relay_tls_policy"); i++) {
		struct slice s = slice_str(conf_list_item(c, "relay_tls_policy", i));
		ptrdiff_t eq = slice_index(s, '=');
		struct slice name = slice_sub(s, 0, eq < 0 ? s.len : (size_t)eq);
		if (!names(name, domain) || name.len <= best.len)
			continue;
		best = name;
		word = slice_from(s, name.len + 1);
	}
	return level(word);
}
