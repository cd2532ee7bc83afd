/* lmtp_client.c: connections to the store for cut-through delivery: one message at a time on each, idle ones kept. Runs in
 * smtpd-session. Invariant: whatever ends early is RETRY, and the delivery id makes a repetition harmless. RFC 2033. */
#include "config.h"

#include "smtpd/lmtp_client.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

enum {
	IDLE_MAX = 32,
	IDLE_MS = 30000,
	NO_PROBE_MS = 5000,
	DOWN_MS = 5000,
	PROBED_SLOTS = 1024,
	PROBED_MS = 2000,
};

/* A recipient that was taken a moment ago. */
struct probed {
	uint64_t hash, size, until_ms;
};
struct conn {
	struct lmtp_pool *pool;
	struct lmtp_talk *talk;
	struct lmtp_job *job;
	struct loop_timer *idle_timer;
	struct conn *next;
};

struct lmtp_pool {
	struct loop *loop;
	char *route, *hostname;
	struct lmtp_talk_params params;
	uint64_t no_probe_until, down_until;
	struct probed probed[PROBED_SLOTS];
	struct conn *idle;
	size_t n_idle;
};

struct lmtp_job {
	struct lmtp_pool *pool;
	struct conn *c;
	struct lmtp_message m;
	struct loop_defer *defer;
	lmtp_done_fn done;
	void *arg;
	bool over;
	bool probe; /* one recipient, no message */
	uint64_t probe_size;
	unsigned timeout_ms; /* of a probe */
};

static void start(struct lmtp_job *j);

static void
conn_free(struct conn *c)
{
	loop_timer_free(c->idle_timer);
	free(c);
}

static void
idle_remove(struct conn *c)
{
	for (struct conn **p = &c->pool->idle; *p != NULL; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			c->pool->n_idle--;
			return;
		}
}

static void
job_over(struct lmtp_job *j)
{
	if (j->over)
		return;
	j->over = true;
	loop_defer_set(j->defer);
}

static void
job_failed(struct lmtp_job *j, const char *why)
{
	if (j->probe)
		j->pool->no_probe_until = loop_now_ms(j->pool->loop) + NO_PROBE_MS;
	lmtp_rest_result(&j->m, LMTP_RETRY, 0, why);
	job_over(j);
}

static void
on_idle_end(void *arg)
{
	struct conn *c = arg;

	idle_remove(c);
	lmtp_talk_quit(c->talk);
	conn_free(c);
}

/* Who gets many messages at a time is asked about now and then: what changes meanwhile is told at the end of a message, or by a report. */
static struct probed *
probed_slot(struct lmtp_pool *p, const char *address, uint64_t *hash_out)
{
	uint64_t h =
	    14695981039346656037u; /* FNV-1a: a collision leaves out a question that is a courtesy */

	for (const char *at = address; *at != '\0'; at++)
		h = (h ^ (unsigned char)*at) * 1099511628211u;
	*hash_out = h;
	return &p->probed[h % PROBED_SLOTS];
}

static void
probed_keep(struct lmtp_job *j)
{
	uint64_t hash;
	struct probed *s = probed_slot(j->pool, j->m.rcpts[0].address, &hash);
	bool taken = j->m.rcpts[0].result == LMTP_DELIVERED;

	if (taken || s->hash == hash)
		*s = (struct probed){.hash = hash,
		    .size = j->probe_size,
		    .until_ms = taken ? loop_now_ms(j->pool->loop) + PROBED_MS : 0};
}

static bool
probed_lately(struct lmtp_job *j)
{
	uint64_t hash;
	const struct probed *s = probed_slot(j->pool, j->m.rcpts[0].address, &hash);

	return s->hash == hash && j->probe_size <= s->size &&
	       loop_now_ms(j->pool->loop) < s->until_ms;
}

static void
on_done(void *arg)
{
	struct conn *c = arg;
	struct lmtp_job *j = c->job;
	struct lmtp_pool *p = c->pool;

	if (j->probe)
		probed_keep(j);
	else
		p->down_until = 0;
	j->c = NULL;
	c->job = NULL;
	job_over(j);
	if (p->n_idle >= IDLE_MAX) {
		lmtp_talk_quit(c->talk);
		conn_free(c);
		return;
	}
	c->next = p->idle;
	p->idle = c;
	p->n_idle++;
	loop_timer_set(c->idle_timer, IDLE_MS);
}

static void
on_end(void *arg, const struct lmtp_end *end)
{
	struct conn *c = arg;
	struct lmtp_job *j = c->job;
	struct lmtp_pool *p = c->pool;
	bool used = lmtp_talk_messages(c->talk) > 0;

	if (j == NULL)
		idle_remove(c);
	conn_free(c);
	if (j == NULL)
		return;
	j->c = NULL;
	if (end->late)
		p->down_until = loop_now_ms(p->loop) + DOWN_MS;
	if (end->stage == LMTP_AT_IDLE)
		job_over(j);
	else if (used && !end->answered)
		start(j); /* the server closed an idle connection: nothing was given to it */
	else
		job_failed(j, end->why);
}

static const struct lmtp_talk_ops ops = {.on_done = on_done, .on_end = on_end};

/* ---- jobs ---- */

static void
start(struct lmtp_job *j)
{
	struct lmtp_pool *p = j->pool;
	struct conn *c = p->idle;

	if (c != NULL) {
		idle_remove(c);
		loop_timer_stop(c->idle_timer);
	} else {
		c = xcalloc(1, sizeof(*c));
		c->pool = p;
		c->idle_timer = loop_timer_new(p->loop, on_idle_end, c);
		c->talk = lmtp_talk_new(p->loop, &p->params, &ops, c);
	}
	if (c->talk == NULL) {
		conn_free(c);
		job_failed(j, "4.4.1 The next server cannot be reached");
		return;
	}
	c->job = j;
	j->c = c;
	if (j->probe)
		lmtp_talk_probe(c->talk, &j->m, j->probe_size, j->timeout_ms);
	else
		lmtp_talk_send(c->talk, &j->m);
}

static void
on_defer(void *arg)
{
	struct lmtp_job *j = arg;
	lmtp_done_fn done = j->done;
	void *done_arg = j->arg;

	loop_defer_free(j->defer);
	free(j);
	done(done_arg);
}

static struct lmtp_job *
job_new(struct lmtp_pool *p, const struct lmtp_message *m, lmtp_done_fn done, void *arg)
{
	struct lmtp_job *j = xcalloc(1, sizeof(*j));

	j->pool = p;
	j->m = *m;
	j->done = done;
	j->arg = arg;
	j->defer = loop_defer_new(p->loop, on_defer, j);
	for (size_t i = 0; i < m->n_rcpts; i++)
		m->rcpts[i] = (struct lmtp_rcpt){.address = m->rcpts[i].address};
	return j;
}

struct lmtp_job *
lmtp_deliver(struct lmtp_pool *p, const struct lmtp_message *m, lmtp_done_fn done, void *arg)
{
	struct lmtp_job *j = job_new(p, m, done, arg);

	if (m->n_rcpts == 0)
		job_over(j);
	else
		start(j);
	return j;
}

struct lmtp_job *
lmtp_probe(struct lmtp_pool *p, const char *from, uint64_t size, struct lmtp_rcpt *x,
    unsigned timeout_ms, lmtp_done_fn done, void *arg)
{
	struct lmtp_message m = {.from = from, .rcpts = x, .n_rcpts = 1};
	struct lmtp_job *j = job_new(p, &m, done, arg);

	j->probe = true;
	j->probe_size = size;
	j->timeout_ms = timeout_ms;
	if (loop_now_ms(p->loop) < p->no_probe_until) {
		lmtp_rest_result(&j->m, LMTP_RETRY, 0, "");
		job_over(j);
	} else if (probed_lately(j)) {
		lmtp_rest_result(&j->m, LMTP_DELIVERED, 250, "2.1.5 Ok");
		job_over(j);
	} else {
		start(j);
	}
	return j;
}

bool
lmtp_seems_down(const struct lmtp_pool *p)
{
	return loop_now_ms(p->loop) < p->down_until;
}

void
lmtp_cancel(struct lmtp_job *j)
{
	if (j == NULL)
		return;
	if (j->c != NULL) {
		lmtp_talk_free(j->c->talk);
		conn_free(j->c);
	}
	loop_defer_free(j->defer);
	free(j);
}

struct lmtp_pool *
lmtp_pool_new(struct loop *l, const char *route, const char *hostname, unsigned timeout_ms)
{
	struct lmtp_pool *p = xcalloc(1, sizeof(*p));

	p->loop = l;
	p->route = xstrdup(route);
	p->hostname = xstrdup(hostname);
	p->params = (struct lmtp_talk_params){.hostname = p->hostname,
	    .ms = {timeout_ms, timeout_ms, timeout_ms, timeout_ms, timeout_ms, timeout_ms}};
	if (slice_starts(slice_str(route), "unix:"))
		p->params.path = p->route + 5;
	else if (slice_starts(slice_str(route), "inet:"))
		p->params.hostport = p->route + 5;
	if (p->params.path == NULL && p->params.hostport == NULL) {
		lmtp_pool_free(p);
		return NULL;
	}
	return p;
}

void
lmtp_pool_free(struct lmtp_pool *p)
{
	if (p == NULL)
		return;
	while (p->idle != NULL) {
		struct conn *c = p->idle;
		p->idle = c->next;
		lmtp_talk_free(c->talk);
		conn_free(c);
	}
	free(p->route);
	free(p->hostname);
	free(p);
}
