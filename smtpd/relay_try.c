/* relay_try.c: one message for one destination: its hosts by the DNS, one address after the other, until a server has said what
 * becomes of each recipient. Runs in relay. Invariants: "there is no such domain" comes from the DNS alone, never from silence; once
 * the text went out to a server no other one gets it in this attempt. RFC 5321 5.1, RFC 7505, RFC 3463. */
#include "config.h"

#include "smtpd/relay_priv.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "smtpd/mx.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOSTS_MAX = 20, ADDRESSES_MAX = 16, TRIES_MAX = 10 };

struct relay_try {
	struct relay_dest *dest;
	struct relay_job *job;
	struct relay_conn *conn;
	struct mx_host hosts[HOSTS_MAX]; /* names are ours */
	size_t n_hosts, host;
	char *addresses[ADDRESSES_MAX]; /* IP, without port */
	size_t n_addresses, address;
	unsigned tries;
	bool from_idle; /* began on a connection that was kept: no address was looked for yet */
	bool implicit;  /* the domain itself, for want of an MX */
	bool reached;   /* a server was ready to take mail */
	bool
	    plain; /* the address again, without TLS: the handshake failed and TLS was not asked for */
	bool dns_failed; /* of some host nobody knows the addresses now */
	bool all_closed; /* every server said that it takes no mail */
	char why[512];
	unsigned code;   /* with which a server said so; 0: it is our own finding */
	const char *mta; /* whose words they are, in the job's arena; NULL */
};

static void next_address(struct relay_try *t);
static void next_host(struct relay_try *t);

static void
note(struct relay_try *t, const char *why)
{
	size_t n = strnlen(why, sizeof(t->why) - 1);

	memmove(t->why, why, n); /* it may be its own */
	t->why[n] = '\0';
}

/* The server's name, for its answers: RFC 3464 2.3.5. Of our own store nobody needs to know. */
static const char *
mta_of(const struct relay_try *t, const struct relay_conn *c)
{
	const char *colon = c->hostport == NULL ? NULL : strrchr(c->hostport, ':');

	if (t->dest->is_ours || (c->server_name == NULL && colon == NULL))
		return NULL;
	if (c->server_name != NULL)
		return arena_strdup(t->job->arena, c->server_name);
	return arena_printf(t->job->arena, c->hostport[0] == '[' ? "%.*s" : "[%.*s]",
	    (int)(colon - c->hostport), c->hostport);
}

/* The answers that came since were this server's. */
static void
note_answers(struct relay_try *t, const struct relay_conn *c)
{
	const char *mta = mta_of(t, c);

	for (size_t i = 0; i < t->job->m.n_rcpts; i++)
		if (t->job->m.rcpts[i].code != 0 && t->job->m.rcpts[i].mta == NULL)
			t->job->m.rcpts[i].mta = mta;
}

/* Those without a result: what stands in why, which is a server's word or our own. */
static void
rest_as_noted(struct relay_try *t, enum lmtp_result r)
{
	const struct lmtp_message *m = &t->job->m;

	for (size_t i = 0; i < m->n_rcpts; i++)
		if (m->rcpts[i].result == 0)
			m->rcpts[i].mta = t->mta;
	lmtp_rest_result(m, r, t->code, t->why);
}

static void
free_addresses(struct relay_try *t)
{
	for (size_t i = 0; i < t->n_addresses; i++)
		free(t->addresses[i]);
	t->n_addresses = t->address = 0;
}

static void
finish(struct relay_try *t)
{
	struct relay_dest *d = t->dest;
	struct relay_job *j = t->job;
	bool reached = t->reached;
	char why[sizeof(t->why)];

	memcpy(why, t->why, sizeof(why));
	free_addresses(t);
	for (size_t i = 0; i < t->n_hosts; i++)
		free((void *)(uintptr_t)t->hosts[i].name);
	j->try = NULL;
	free(t);
	relay_dest_job_over(d, j, reached, why);
}

/* All that have no result: 4xx or 5xx as r says. A refusal that the DNS gave says nothing of whether servers answer. */
static void
finish_with(struct relay_try *t, enum lmtp_result r, const char *why)
{
	if (r == LMTP_REFUSED)
		t->reached = true;
	/* not a server's word */
	if (why != t->why) {
		t->code = 0;
		t->mta = NULL;
	}
	note(t, why);
	rest_as_noted(t, r);
	finish(t);
}

static void
exhausted(struct relay_try *t)
{
	if (t->why[0] == '\0' && t->dns_failed)
		note(t, "4.4.3 The DNS does not answer for the next server");
	if (t->why[0] == '\0') {
		finish_with(
		    t, LMTP_REFUSED, "5.4.4 No address is known of the domain's mail servers");
		return;
	}
	if (t->all_closed && t->tries > 0 && !t->dns_failed) {
		finish_with(t, LMTP_REFUSED, t->why);
		return;
	}
	rest_as_noted(t, LMTP_RETRY);
	finish(t);
}

/* ---- connections ---- */

static bool
has_pending(const struct relay_job *j)
{
	for (size_t i = 0; i < j->m.n_rcpts; i++)
		if (j->m.rcpts[i].result == 0)
			return true;
	return false;
}

void
relay_try_on_done(struct relay_conn *c)
{
	struct relay_try *t = c->try;

	t->reached = true;
	t->conn = NULL;
	note_answers(t, c);
	relay_conn_idle(c);
	finish(t);
}

static void
log_end_of(const struct relay_try *t, const struct relay_conn *c, const struct lmtp_end *end)
{
	struct log_line l;

	log_begin(&l, LOG_LVL_INFO, "server_failed");
	log_str(&l, "destination", t->dest->name);
	log_str(&l, "address", c->hostport != NULL ? c->hostport : t->dest->route->path);
	log_str(&l, "host", c->server_name);
	log_u64(&l, "stage", end->stage);
	log_u64(&l, "code", end->code);
	log_str(&l, "why", end->why);
	log_end(&l);
}

/* Ourselves: hosts that are no better would bring it back too. */
static void
on_loop_found(struct relay_try *t)
{
	if (t->host <= 1 || t->hosts[t->host - 1].pref == t->hosts[0].pref)
		finish_with(
		    t, LMTP_REFUSED, "5.4.6 The best mail server of the domain is this one");
	else
		exhausted(t);
}

void
relay_try_on_end(struct relay_conn *c, const struct lmtp_end *end)
{
	struct relay_try *t = c->try;
	bool closed = end->code == 521 || end->code == 556; /* RFC 7504 */

	t->conn = NULL;
	t->all_closed &= end->stage == LMTP_AT_GREETING && closed;
	/* who was silent until the time ran out is not there for the next one either */
	if (end->stage >= LMTP_AT_MESSAGE && !end->late)
		t->reached = true;
	if (end->stage != LMTP_AT_IDLE && (!t->from_idle || end->answered))
		log_end_of(t, c, end);
	note_answers(t, c);
	if (!has_pending(t->job)) {
		relay_conn_free(c);
		finish(t);
		return;
	}
	note(t, end->why);
	/* of a refused STARTTLS the words are ours */
	t->code = end->stage == LMTP_AT_TLS ? 0 : end->code;
	t->mta = t->code != 0 ? mta_of(t, c) : NULL;
	relay_conn_free(c);
	if (t->from_idle && end->stage != LMTP_AT_FINAL) {
		/* its time was over there: from the start */
		struct relay_dest *d = t->dest;
		struct relay_job *j = t->job;
		free(t);
		relay_try_start(d, j);
	} else if (end->stage == LMTP_AT_FINAL) {
		rest_as_noted(t, LMTP_RETRY);
		finish(t);
	} else if (end->stage == LMTP_AT_LOOP) {
		on_loop_found(t);
	} else if (end->stage == LMTP_AT_TLS && t->dest->tls == RELAY_TLS_MAY && !t->plain &&
		   t->dest->route->way != RELAY_SMTPS) {
		t->plain = true;
		t->address--;
		next_address(t);
	} else {
		t->plain = false;
		next_address(t);
	}
}

static const char *
server_name_of(const struct relay_try *t)
{
	struct in6_addr a;
	const char *name = t->dest->route->host;

	if (t->dest->route->way == RELAY_MX)
		name = t->host > 0 ? t->hosts[t->host - 1].name : NULL;
	/* RFC 6066 3: no addresses */
	if (name != NULL &&
	    (inet_pton(AF_INET, name, &a) == 1 || inet_pton(AF_INET6, name, &a) == 1))
		return NULL;
	return name;
}

/* The message, or a question about one. */
static void
say(struct relay_try *t)
{
	if (t->job->m.seen_id != NULL)
		lmtp_talk_probe(t->conn->talk, &t->job->m, 0, relay.local_ms);
	else
		lmtp_talk_send(t->conn->talk, &t->job->m);
}

static void
connect_now(struct relay_try *t, const char *hostport)
{
	t->conn = relay_conn_new(t->dest, hostport, server_name_of(t), t->plain);
	if (t->conn == NULL) {
		note(t, "4.4.1 The next server cannot be reached");
		t->code = 0;
		t->mta = NULL;
		t->all_closed = false;
		next_address(t);
		return;
	}
	t->conn->try = t;
	say(t);
}

static void
next_address(struct relay_try *t)
{
	char hostport[80];
	unsigned port = t->dest->route->way == RELAY_MX ? relay.port : t->dest->route->port;

	if (t->dest->route->path != NULL && t->tries++ == 0) {
		connect_now(t, NULL);
		return;
	}
	if (t->dest->route->path != NULL || t->tries >= TRIES_MAX) {
		exhausted(t);
		return;
	}
	if (t->address >= t->n_addresses) {
		next_host(t);
		return;
	}
	const char *ip = t->addresses[t->address++];
	t->tries += !t->plain;
	if (t->dest->route->way == RELAY_MX && relay_self_is(ip, port)) {
		on_loop_found(t);
		return;
	}
	snprintf(
	    hostport, sizeof(hostport), strchr(ip, ':') != NULL ? "[%s]:%u" : "%s:%u", ip, port);
	connect_now(t, hostport);
}

/* ---- names ---- */

static void
add_addresses(struct relay_try *t, const struct lookup_dns *d, bool six)
{
	for (size_t i = 0; i < d->n && t->n_addresses < ADDRESSES_MAX; i++)
		if ((strchr(d->records[i].text, ':') != NULL) == six && relay.has_family[six])
			t->addresses[t->n_addresses++] = xstrdup(d->records[i].text);
}

static void
on_addresses(void *arg, int err, const struct lookup_dns *d)
{
	struct relay_try *t = arg;

	if (err != 0 && err != ERR_SYNTAX)
		t->dns_failed = true;
	if (err == 0) {
		add_addresses(t, d, relay.six_first);
		add_addresses(t, d, !relay.six_first);
	}
	/* the domain itself, and the DNS says that it has no address either */
	if (t->implicit && t->n_addresses == 0 && !t->dns_failed) {
		finish_with(
		    t, LMTP_REFUSED, "5.1.2 The domain takes no mail: it has no mail server");
		return;
	}
	next_address(t);
}

static void
ask_host(struct relay_try *t, const char *name)
{
	struct in6_addr a;

	free_addresses(t);
	if (inet_pton(AF_INET, name, &a) == 1 || inet_pton(AF_INET6, name, &a) == 1) {
		t->addresses[t->n_addresses++] = xstrdup(name);
		next_address(t);
	} else if (lookup_host(relay.lookup, name, relay.dns_ms, on_addresses, t) != 0) {
		on_addresses(t, ERR_TEMP, NULL);
	}
}

static void
next_host(struct relay_try *t)
{
	if (t->host >= t->n_hosts)
		exhausted(t);
	else
		ask_host(t, t->hosts[t->host++].name);
}

static uint32_t
random_u32(void)
{
	uint32_t r;

	random_bytes(&r, sizeof(r));
	return r;
}

static void
add_host(struct relay_try *t, uint16_t pref, const char *name)
{
	if (t->n_hosts < HOSTS_MAX)
		t->hosts[t->n_hosts++] = (struct mx_host){.pref = pref, .name = xstrdup(name)};
}

static void
take_mx(struct relay_try *t, const struct lookup_dns *d)
{
	struct mx_host list[200];
	size_t n = d->n < 200 ? d->n : 200;

	for (size_t i = 0; i < n; i++)
		list[i] = (struct mx_host){d->records[i].pref, d->records[i].text};
	switch (mx_order(list, &n, relay.hostname, random_u32)) {
	case MX_NULL:
		finish_with(t, LMTP_REFUSED, "5.1.10 The domain takes no mail (null MX)");
		return;
	case MX_SELF:
		finish_with(
		    t, LMTP_REFUSED, "5.4.6 The best mail server of the domain is this one");
		return;
	default:
		break;
	}
	for (size_t i = 0; i < n; i++)
		add_host(t, list[i].pref, list[i].name);
	next_host(t);
}

static void
on_mx(void *arg, int err, const struct lookup_dns *d)
{
	struct relay_try *t = arg;

	if (err == ERR_SYNTAX) {
		finish_with(t, LMTP_REFUSED, "5.1.2 That can be no domain");
	} else if (err != 0) {
		t->dns_failed = true;
		finish_with(t, LMTP_RETRY, "4.4.3 The DNS does not answer for the domain");
	} else if (d->kind == LOOKUP_DNS_NXDOMAIN) {
		finish_with(t, LMTP_REFUSED, "5.1.2 There is no such domain");
	} else if (d->kind == LOOKUP_DNS_NODATA) {
		/* RFC 5321 5.1: the domain itself is its mail server then */
		t->implicit = true;
		add_host(t, 0, t->dest->domain);
		next_host(t);
	} else {
		take_mx(t, d);
	}
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]": RFC 5321 4.1.3. */
static void
start_literal(struct relay_try *t)
{
	struct slice s = slice_str(t->dest->domain);
	struct in6_addr a;

	s = slice_sub(s, 1, s.len - 2);
	if (slice_casestarts(s, "IPv6:"))
		s = slice_from(s, 5);
	char *ip = slice_dup(s);
	if (ip != NULL && (inet_pton(AF_INET, ip, &a) == 1 || inet_pton(AF_INET6, ip, &a) == 1)) {
		t->addresses[t->n_addresses++] = ip;
		next_address(t);
		return;
	}
	free(ip);
	finish_with(t, LMTP_REFUSED, "5.1.2 That can be no domain");
}

void
relay_try_start(struct relay_dest *d, struct relay_job *j)
{
	struct relay_try *t = xcalloc(1, sizeof(*t));
	size_t n = strlen(d->domain);

	t->dest = d;
	t->job = j;
	j->try = t;
	t->all_closed = true;
	t->conn = relay_conn_take(d);
	if (t->conn != NULL) {
		t->from_idle = true;
		t->conn->try = t;
		say(t);
	} else if (d->route->path != NULL) {
		next_address(t);
	} else if (d->route->way != RELAY_MX) {
		add_host(t, 0, d->route->host);
		next_host(t);
	} else if (n > 2 && d->domain[0] == '[' && d->domain[n - 1] == ']') {
		start_literal(t);
	} else if (lookup_mx(relay.lookup, d->domain, relay.dns_ms, on_mx, t) != 0) {
		on_mx(t, ERR_TEMP, NULL);
	}
}

bool
relay_try_text_is_out(const struct relay_job *j)
{
	return j->try != NULL && j->try->conn != NULL && lmtp_talk_text_is_out(j->try->conn->talk);
}

void
relay_try_give_up(struct relay_job *j)
{
	struct relay_try *t = j->try;

	if (t == NULL || t->conn == NULL)
		return;
	lmtp_talk_free(t->conn->talk);
	relay_conn_free(t->conn);
	t->conn = NULL;
	t->reached = !has_pending(j);
	finish_with(t, LMTP_RETRY, "4.4.2 The next server is slow, and others wait");
}
