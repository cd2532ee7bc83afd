/* relay_dest.c: the destinations mail goes to: how many connections each gets, and when one that could not be reached is tried again.
 * Runs in relay. Invariants: a destination that hangs holds its own mail and no other's; one that is down is left alone for a time that
 * doubles, with jitter, and what is for it waits in the queue. RFC 5321 4.5.4.1. */
#include "config.h"

#include "smtpd/relay_priv.h"

#include "lib/addr.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BUCKETS = 1024,
	DOUBLINGS = 5,      /* 32 times the first time of quiet */
	UNPROVEN = 2,       /* connections to who never answered */
	WAITING_EACH = 4,   /* jobs that wait, for each connection it may have */
	FORGET_MS = 600000, /* unused ones, and what is known of their failures */
	SWEEP_MS = 30000,
	LOCAL_MAX = 20, /* connections to the store */
};

static struct relay_dest *buckets[BUCKETS];
static struct loop_timer *sweep;

static unsigned
bucket_of(const char *name)
{
	return crc32c(0, name, strlen(name)) % BUCKETS;
}

static struct relay_dest *
dest_get(const char *name, const struct relay_route *route, struct slice domain, bool local)
{
	struct relay_dest **at = &buckets[bucket_of(name)];

	while (*at != NULL && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	if (*at != NULL)
		return *at;
	struct relay_dest *d = xcalloc(1, sizeof(*d));
	d->name = xstrdup(name);
	d->route = route;
	d->domain = slice_dup(domain);
	if (d->domain == NULL)
		fatal("no memory");
	d->is_local = local;
	relay_line_init(&d->waiting);
	d->used = loop_now_ms(relay.loop);
	struct slice who = route->host != NULL ? slice_str(route->host) : domain;
	d->tls = relay_tls_of(role_conf(), who);
	*at = d;
	return d;
}

struct relay_dest *
relay_dest_of(const char *address, bool local)
{
	struct slice part, domain;
	struct relay_dest *d;
	struct buf name;

	if (addr_split(slice_str(address), &part, &domain) != 0)
		domain = slice_str("");
	const struct relay_route *r = relay_routes_own(relay.routes, domain);
	if (r == NULL && local)
		return dest_get("local", &relay.local, slice_str(""), true);
	if (r == NULL)
		r = relay_routes_find(relay.routes, domain);
	if (r == NULL)
		return NULL;
	buf_init(&name, 2048);
	buf_append_str(&name, r->text);
	if (r->way == RELAY_MX)
		buf_append_byte(&name, ':');
	for (size_t i = 0; r->way == RELAY_MX && i < domain.len; i++) {
		unsigned char c = domain.ptr[i];
		buf_append_byte(&name, c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c);
	}
	d = dest_get(buf_cstr(&name), r, r->way == RELAY_MX ? domain : slice_str(""), false);
	buf_done(&name);
	return d;
}

struct relay_dest *
relay_dest_judge(void)
{
	static const struct relay_route route = {
	    .way = RELAY_SMTP, .text = (char *)"judge", .path = (char *)"judge.sock"};

	return dest_get("judge", &route, slice_str(""), false);
}

static unsigned
limit_of(const struct relay_dest *d)
{
	if (d->is_local)
		return LOCAL_MAX;
	return d->proven || relay.concurrency < UNPROVEN ? relay.concurrency : UNPROVEN;
}

bool
relay_dest_is_full(const struct relay_dest *d, bool first)
{
	return relay_line_is_full(&d->waiting, WAITING_EACH * limit_of(d), first);
}

void
relay_dest_hurry(struct relay_dest *d)
{
	d->down_until = 0;
}

static void
job_fail(struct relay_dest *d, struct relay_job *j)
{
	lmtp_rest_result(&j->m, LMTP_RETRY, 0, d->why);
	j->done(j->arg);
}

void
relay_dest_submit(struct relay_dest *d, struct relay_job *j)
{
	j->dest = d;
	j->next = NULL;
	d->used = loop_now_ms(relay.loop);
	if (d->down_until > d->used) {
		job_fail(d, j);
	} else if (d->active < limit_of(d)) {
		d->active++;
		relay_try_start(d, j);
	} else {
		relay_line_add(&d->waiting, j);
	}
}

/* Between 75 and 125 of a hundred: destinations of one outage do not come back in step. */
static uint64_t
jitter(uint64_t ms)
{
	uint32_t r;

	random_bytes(&r, sizeof(r));
	return ms * (75 + r % 51) / 100;
}

static void
note_failure(struct relay_dest *d, const char *why)
{
	unsigned doublings = d->failures < DOUBLINGS ? d->failures : DOUBLINGS;
	uint64_t quiet = jitter((uint64_t)relay.backoff_ms << doublings);
	struct log_line l;

	d->proven = false;
	d->failures++;
	if (d->is_local || quiet == 0)
		return;
	snprintf(d->why, sizeof(d->why), "%s", why);
	d->down_until = loop_now_ms(relay.loop) + quiet;
	log_begin(&l, LOG_LVL_WARN, "destination_down");
	log_str(&l, "destination", d->name);
	log_str(&l, "why", why);
	log_u64(&l, "quiet_ms", quiet);
	log_end(&l);
}

void
relay_dest_job_over(struct relay_dest *d, struct relay_job *j, bool reached, const char *why)
{
	struct relay_job *next;

	d->active--;
	d->used = loop_now_ms(relay.loop);
	if (reached) {
		d->proven = true;
		d->failures = 0;
		d->down_until = 0;
	} else if (d->down_until <= d->used) {
		note_failure(d, why);
	}
	j->done(j->arg);
	while (d->down_until > loop_now_ms(relay.loop) &&
	       (next = relay_line_take(&d->waiting)) != NULL)
		job_fail(d, next);
	while (d->active < limit_of(d) && (next = relay_line_take(&d->waiting)) != NULL) {
		d->active++;
		relay_try_start(d, next);
	}
}

static void
on_sweep(void *arg)
{
	uint64_t now = loop_now_ms(relay.loop);

	(void)arg;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct relay_dest **at = &buckets[i]; *at != NULL;) {
			struct relay_dest *d = *at;
			bool keep = d->active > 0 || d->waiting.n > 0 || d->idle != NULL ||
				    d->used + FORGET_MS > now || d->down_until > now;
			if (keep) {
				at = &d->next;
				continue;
			}
			*at = d->next;
			free(d->name);
			free(d->domain);
			free(d);
		}
	loop_timer_set(sweep, SWEEP_MS);
}

void
relay_dest_init(const struct conf *c)
{
	if (relay_tls_of(c, slice_str("")) == 0)
		fatal("relay_tls: none, may, encrypt or verify");
	for (size_t i = 0; i < conf_list_len(c, "relay_tls_policy"); i++) {
		struct slice s = slice_str(conf_list_item(c, "relay_tls_policy", i));
		ptrdiff_t eq = slice_index(s, '=');
		if (eq <= 0 || relay_tls_of(c, slice_sub(s, 0, (size_t)eq)) == 0)
			fatal("relay_tls_policy: DOMAIN=none, may, encrypt or verify");
	}
	sweep = loop_timer_new(relay.loop, on_sweep, NULL);
	loop_timer_set(sweep, SWEEP_MS);
}
