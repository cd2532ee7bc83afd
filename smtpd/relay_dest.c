/* relay_dest.c: the destinations mail goes to: how many connections each gets, and when one that could not be reached is tried again.
 * Runs in relay. Invariants: destinations that hang hold their own mail and no other's, however many they are; here waits little, and only for who answers, the
 * rest in the queue, and when there is room each destination has its turn; one that is down is left alone for a time that doubles, with jitter. RFC 5321 4.5.4.1. */
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
	WAITING_EACH = 2,   /* jobs that wait, for each connection it may have */
	FORGET_MS = 600000, /* unused ones, and what is known of their failures */
	SWEEP_MS = 30000,
	LOCAL_MAX = 20, /* connections to the store */
	TICK_MS = 250,
	COMING_MS = 5000, /* until what was wanted and did not come is wanted anew */
	TURNS_MAX = 1000, /* destinations that are looked at before others have the loop */
};

static struct relay_dest *buckets[BUCKETS];
static struct loop_timer *sweep, *tick;
static struct relay_pool pool;
static unsigned waiting_most, waiting; /* in all lines but our own */
static unsigned coming[2]; /* likewise, wanted by who is not known to answer, and by who is */
static uint64_t last_id;
/* Those that somebody waits for, in the order of their turns. */
static struct {
	struct relay_dest *first, **tail;
	unsigned n;
	struct loop_defer *turn;
} ring = {.tail = &ring.first};

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
	d->is_local = d->is_ours = local;
	d->id = ++last_id;
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

	struct relay_dest *d = dest_get("judge", &route, slice_str(""), false);
	d->is_ours = true;
	return d;
}

static unsigned
limit_of(const struct relay_dest *d)
{
	unsigned half = pool.quick_most / 2 > 0 ? pool.quick_most / 2 : 1;
	unsigned most = relay.concurrency < half || d->is_ours ? relay.concurrency : half;

	if (d->is_local)
		return LOCAL_MAX;
	return d->proven || most < UNPROVEN ? most : UNPROVEN;
}

/* Places promised to others are not given to who comes by. */
static bool
has_room(const struct relay_dest *d)
{
	unsigned promised[2] = {coming[false], coming[true]};

	if (d->is_ours)
		return true;
	promised[d->coming_sure] -= d->coming;
	return relay_pool_has_room(&pool, d->proven, promised[false], promised[true]);
}

static bool
may_begin(const struct relay_dest *d)
{
	return d->active < limit_of(d) && has_room(d);
}

static bool
may_wait(const struct relay_dest *d, bool first)
{
	return (d->proven || d->is_ours) && (d->is_ours || waiting < waiting_most) &&
	       !relay_line_is_full(&d->waiting, WAITING_EACH * limit_of(d), first);
}

bool
relay_dest_takes(const struct relay_dest *d, bool first)
{
	return d->down_until > loop_now_ms(relay.loop) || may_begin(d) || may_wait(d, first);
}

bool
relay_dest_answers(const struct relay_dest *d)
{
	return d->proven || d->is_ours;
}

unsigned
relay_dest_messages_most(void)
{
	return relay.connections + waiting_most +
	       2 * (1 + 2 * WAITING_EACH) * (LOCAL_MAX + relay.concurrency);
}

void
relay_dest_hold(struct relay_dest *d)
{
	if (d != NULL)
		d->held++;
}

void
relay_dest_release(struct relay_dest *d)
{
	if (d != NULL)
		d->held--;
}

void
relay_dest_hurry(struct relay_dest *d)
{
	d->down_until = 0;
}

/* ---- those that somebody waits for ---- */

static void
ring_add(struct relay_dest *d)
{
	if (d->in_ring)
		return;
	d->in_ring = true;
	d->ring_next = NULL;
	*ring.tail = d;
	ring.tail = &d->ring_next;
	ring.n++;
}

static struct relay_dest *
ring_take(void)
{
	struct relay_dest *d = ring.first;

	ring.first = d->ring_next;
	if (ring.first == NULL)
		ring.tail = &ring.first;
	d->in_ring = false;
	ring.n--;
	return d;
}

static void
set_coming(struct relay_dest *d, unsigned n)
{
	if (!d->is_ours)
		coming[d->coming_sure] -= d->coming;
	if (d->coming == 0)
		d->coming_sure = d->proven;
	if (!d->is_ours)
		coming[d->coming_sure] += n;
	d->coming = n;
	d->coming_at = loop_now_ms(relay.loop);
}

void
relay_dest_came(struct relay_dest *d)
{
	if (d->coming == 0)
		return;
	set_coming(d, d->coming - 1);
	loop_defer_set(ring.turn);
}

void
relay_dest_park(struct relay_dest *d, const struct delivery_id *id)
{
	d->parked++;
	d->used = loop_now_ms(relay.loop);
	queue_park(relay.queue, id, d->id);
	ring_add(d);
}

static void
want(struct relay_dest *d, unsigned n)
{
	n = n < d->parked ? n : d->parked;
	if (n == 0)
		return;
	d->parked -= n;
	set_coming(d, d->coming + n);
	queue_want(relay.queue, d->id, n);
}

/* How many messages more the destination could have under way or in its line. */
static unsigned
room_of(const struct relay_dest *d)
{
	unsigned limit = limit_of(d), most = limit, n = d->active + d->waiting.n + d->coming;

	if (d->proven || d->is_ours)
		most += WAITING_EACH * limit;
	/* not one by one: the queue is asked when half of the line is gone */
	if (d->waiting.n + d->coming > WAITING_EACH * limit / 2)
		return 0;
	return most > n ? most - n : 0;
}

static void
begin(struct relay_dest *d, struct relay_job *j)
{
	d->active++;
	if (!d->is_ours)
		relay_pool_add(&pool, j, d->proven, loop_now_ms(relay.loop));
	relay_try_start(d, j);
}

static struct relay_job *
line_take(struct relay_dest *d)
{
	struct relay_job *j = relay_line_take(&d->waiting);

	if (j != NULL && !d->is_ours)
		waiting--;
	return j;
}

/* One turn: a job of its line begins, messages of the queue are wanted. Gives whether one began. */
static bool
take_turn(struct relay_dest *d)
{
	uint64_t now = loop_now_ms(relay.loop);
	bool began = false;

	if (d->coming > 0 && d->coming_at + COMING_MS <= now)
		set_coming(d, 0);
	if (d->down_until > now) {
		/* each of them ends as those do that are here: tried, in vain */
		want(d, d->parked);
		set_coming(d, 0);
		return false;
	}
	if (d->waiting.n > 0 && may_begin(d)) {
		begin(d, line_take(d));
		began = true;
	}
	if (may_begin(d) || may_wait(d, false)) {
		unsigned n = room_of(d);
		want(d, d->proven || d->is_ours || n == 0 ? n : 1);
	}
	return began;
}

static void
on_turn(void *arg)
{
	unsigned n = ring.n < TURNS_MAX ? ring.n : TURNS_MAX;
	bool began = false;

	(void)arg;
	while (n-- > 0 && ring.first != NULL) {
		struct relay_dest *d = ring_take();
		began |= take_turn(d);
		if (d->waiting.n > 0 || d->parked > 0 || d->coming > 0)
			ring_add(d);
	}
	if (began)
		loop_defer_set(ring.turn);
}

static void
job_fail(struct relay_dest *d, struct relay_job *j)
{
	lmtp_rest_result(&j->m, LMTP_RETRY, 0, d->why);
	j->done(j);
}

void
relay_dest_submit(struct relay_dest *d, struct relay_job *j)
{
	j->dest = d;
	j->next = NULL;
	d->used = loop_now_ms(relay.loop);
	if (d->down_until > d->used) {
		job_fail(d, j);
	} else if (may_begin(d)) {
		begin(d, j);
	} else {
		relay_line_add(&d->waiting, j);
		waiting += !d->is_ours;
		ring_add(d);
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
	if (!d->is_ours)
		relay_pool_remove(&pool, j);
	d->used = loop_now_ms(relay.loop);
	if (reached) {
		d->ended = d->used;
		d->proven = true;
		d->failures = 0;
		d->down_until = 0;
	} else if (d->down_until <= d->used) {
		note_failure(d, why);
	}
	j->done(j);
	while (d->down_until > loop_now_ms(relay.loop) && (next = line_take(d)) != NULL)
		job_fail(d, next);
	loop_defer_set(ring.turn);
}

/* A connection takes long, and none of the destination's others ended meanwhile: what waited for it is shed, so that it keeps no mail but what it has. */
static void
on_slow(struct relay_dest *d, uint64_t now)
{
	struct relay_job *j;

	if (d->ended + pool.slow_ms > now)
		return;
	d->proven = false;
	while ((j = line_take(d)) != NULL)
		j->shed(j);
}

static void
on_tick(void *arg)
{
	uint64_t now = loop_now_ms(relay.loop);
	struct relay_job *j;

	(void)arg;
	while ((j = relay_pool_age(&pool, now)) != NULL)
		on_slow(j->dest, now);
	if ((j = relay_pool_victim(&pool, relay_try_text_is_out)) != NULL)
		relay_try_give_up(j);
	on_turn(NULL);
	loop_timer_set(tick, TICK_MS);
}

static void
on_sweep(void *arg)
{
	uint64_t now = loop_now_ms(relay.loop);

	(void)arg;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct relay_dest **at = &buckets[i]; *at != NULL;) {
			struct relay_dest *d = *at;
			bool keep = d->held > 0 || d->active > 0 || d->waiting.n > 0 ||
				    d->idle != NULL || d->used + FORGET_MS > now ||
				    d->down_until > now || d->in_ring;
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
	relay_pool_init(&pool, relay.connections, relay.ms.connect);
	waiting_most = relay.connections / 4;
	ring.turn = loop_defer_new(relay.loop, on_turn, NULL);
	tick = loop_timer_new(relay.loop, on_tick, NULL);
	loop_timer_set(tick, TICK_MS);
}
