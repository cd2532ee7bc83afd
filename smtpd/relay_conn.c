/* relay_conn.c: connections to destinations, kept for the next message for a moment. Runs in relay. RFC 5321 4.5.4.1, 3.2. */
#include "config.h"

#include "smtpd/relay_priv.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

enum { LOCAL_IDLE_MS = 30000, IDLE_MAX = 8, MESSAGES_MAX = 100 };

void
relay_conn_free(struct relay_conn *c)
{
	loop_timer_free(c->timer);
	free(c->hostport);
	free(c->server_name);
	free(c);
}

static void
idle_remove(struct relay_conn *c)
{
	for (struct relay_conn **p = &c->dest->idle; *p != NULL; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			return;
		}
}

/* The talk borrows the connection's strings until its goodbye is over: they go with the timer. */
static void
farewell(struct relay_conn *c)
{
	/* QUIT needs none of the strings */
	lmtp_talk_quit(c->talk);
	relay_conn_free(c);
}

static void
on_idle_end(void *arg)
{
	struct relay_conn *c = arg;

	idle_remove(c);
	farewell(c);
}

static void
on_done(void *arg)
{
	relay_try_on_done(arg);
}

static void
on_end(void *arg, const struct lmtp_end *end)
{
	struct relay_conn *c = arg;

	if (c->try != NULL) {
		relay_try_on_end(c, end);
		return;
	}
	idle_remove(c);
	relay_conn_free(c);
}

static const struct lmtp_talk_ops ops = {.on_done = on_done, .on_end = on_end};

struct relay_conn *
relay_conn_take(struct relay_dest *d)
{
	struct relay_conn *c = d->idle;

	if (c != NULL) {
		idle_remove(c);
		loop_timer_stop(c->timer);
	}
	return c;
}

struct relay_conn *
relay_conn_new(struct relay_dest *d, const char *hostport, const char *server_name, bool plain)
{
	const struct relay_route *r = d->route;
	struct relay_conn *c = xcalloc(1, sizeof(*c));
	enum relay_tls level = plain || r->path != NULL ? RELAY_TLS_NONE : d->tls;
	struct lmtp_talk_params p = {.path = r->path,
	    .smtp = r->way != RELAY_LMTP,
	    .hostname = relay.hostname,
	    .ms = relay.ms};

	c->dest = d;
	c->hostport = hostport == NULL ? NULL : xstrdup(hostport);
	c->server_name = server_name == NULL ? NULL : xstrdup(server_name);
	c->timer = loop_timer_new(relay.loop, on_idle_end, c);
	p.hostport = c->hostport;
	p.server_name = c->server_name;
	if (d->is_local)
		p.ms = (struct lmtp_timeouts){relay.local_ms, relay.local_ms, relay.local_ms,
		    relay.local_ms, relay.local_ms, relay.local_ms};
	if (level != RELAY_TLS_NONE)
		p.tls = level == RELAY_TLS_VERIFY ? relay.tls_verify : relay.tls_any;
	p.policy = r->way == RELAY_SMTPS        ? LMTP_TLS_AT_ONCE
		   : level >= RELAY_TLS_ENCRYPT ? LMTP_TLS_MUST
						: LMTP_TLS_MAY;
	if (p.policy == LMTP_TLS_AT_ONCE && p.tls == NULL)
		p.tls = relay.tls_any;
	if (r->is_smarthost) {
		p.user = buf_slice(&relay.user);
		p.password = buf_slice(&relay.password);
	}
	if (r->way == RELAY_MX)
		p.not_greeting = relay.hostname;
	/* what must be verified and cannot be is not begun */
	if ((p.policy == LMTP_TLS_AT_ONCE && p.tls == NULL) ||
	    (level == RELAY_TLS_VERIFY && (p.tls == NULL || server_name == NULL)))
		c->talk = NULL;
	else
		c->talk = lmtp_talk_new(relay.loop, &p, &ops, c);
	if (c->talk != NULL)
		return c;
	relay_conn_free(c);
	return NULL;
}

void
relay_conn_idle(struct relay_conn *c)
{
	struct relay_dest *d = c->dest;
	unsigned n = 0;

	for (const struct relay_conn *x = d->idle; x != NULL; x = x->next)
		n++;
	c->try = NULL;
	if (n >= IDLE_MAX || (!d->is_local && lmtp_talk_messages(c->talk) >= MESSAGES_MAX)) {
		farewell(c);
		return;
	}
	c->next = d->idle;
	d->idle = c;
	loop_timer_set(c->timer, d->is_local ? LOCAL_IDLE_MS : relay.idle_ms);
}
