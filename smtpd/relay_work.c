/* relay_work.c: one message that the queue leased: its recipients are parted by destination, and the queue hears what became of each. Runs in relay. Invariants: a
 * recipient leaves the queue only by a 2xx or 5xx that belongs to it, or when the DNS says that there is no such place; a message has at most one relay at a time (the
 * queue's lease); what would wait for a destination keeps nothing here: the others are settled, and the message waits in the queue. RFC 2033, RFC 5321 4.5.4. */
#include "config.h"

#include "smtpd/relay_priv.h"

#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	PARTIAL_MS = 500,      /* how long a result waits for those of other destinations */
	HANDED_BACK_MS = 5000, /* after a result that could not be kept */
	UNKNOWN_MS = 2000,     /* until one of several destinations has answered, or not */
	UNKNOWN_MOST = 200,    /* messages a second that are looked at again for that */
	RESULT_TRIES = 5,
};

static struct {
	struct relay_work *works; /* what is leased */
	unsigned n;
} self;

static void
work_free(struct relay_work *w)
{
	struct relay_work **at = &self.works;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (w->map != NULL)
		munmap(w->map, w->map_len);
	loop_timer_free(w->partial);
	queue_call_cancel(w->telling);
	for (uint32_t i = 0; i < w->n_parts; i++)
		relay_dest_release(w->parts[i].dest);
	buf_done(&w->header);
	buf_done(&w->body);
	arena_free(w->arena);
	free(w);
	role_stat_set(2, --self.n);
	relay_ask();
}

bool
relay_work_is_watch(const struct relay_work *w)
{
	return (w->entry.env.flags & ENV_WATCH) != 0;
}

unsigned
relay_work_count(void)
{
	return self.n;
}

/* ---- results ---- */

static void report(struct relay_work *w);

static void
on_result_kept(void *arg, int err)
{
	struct relay_work *w = arg;
	bool lost = err == ERR_CLOSED || err == ERR_TEMP || err == ERR_TIMEOUT;

	w->telling = NULL;
	/* the queue was restarted: servers that have the message are not to get it again for that */
	if (lost && ++w->tries < RESULT_TRIES) {
		report(w);
		return;
	}
	if (err != 0) {
		/* it is due again, and the store will know the delivery id */
		log_msg(LOG_LVL_WARN, "result_not_kept", "%s", err_name(err));
		queue_back(relay.queue, &w->entry.id, HANDED_BACK_MS);
	}
	work_free(w);
}

static void
report(struct relay_work *w)
{
	struct queue_rcpt_result *res = arena_calloc(w->arena, w->n + 1, sizeof(*res));

	queue_call_cancel(w->telling);
	w->telling = NULL;
	if (res != NULL) {
		uint32_t n = relay_result_collect(w, res, true);
		w->telling = queue_result(relay.queue, &w->entry.id, res, n, on_result_kept, w);
	}
	if (w->telling == NULL)
		on_result_kept(w, ERR_NOMEM);
}

static void
on_partial_kept(void *arg, int err)
{
	struct relay_work *w = arg;

	w->telling = NULL;
	if (err != 0)
		log_msg(LOG_LVL_WARN, "result_not_kept", "%s", err_name(err));
}

static bool start_deferred(struct relay_work *w);
static void end_work(struct relay_work *w);

/* What some destinations said becomes durable while others still keep us waiting: should this process end meanwhile, nobody gets
 * the message twice for their sake. Those that took no more are asked again. */
static void
on_partial(void *arg)
{
	struct relay_work *w = arg;

	if (w->n_deferred > 0) {
		/* what begins may fail at once, and with it all that was under way */
		if (!start_deferred(w)) {
			end_work(w);
			return;
		}
		loop_timer_set(w->partial, PARTIAL_MS);
	}
	if (!relay_result_is_new(w))
		return;
	struct queue_rcpt_result *res = arena_calloc(w->arena, w->n + 1, sizeof(*res));
	if (w->telling != NULL || res == NULL) {
		loop_timer_set(w->partial, PARTIAL_MS);
		return;
	}
	uint32_t n = relay_result_collect(w, res, false);
	if (n > 0)
		w->telling = queue_partial(relay.queue, &w->entry.id, res, n, on_partial_kept, w);
}

/* ---- the end ---- */

static void
park(struct relay_work *w)
{
	uint32_t i = 0;

	while (!w->parts[i].deferred)
		i++;
	relay_dest_park(w->parts[i].dest, &w->entry.id);
	work_free(w);
}

static void settle_rest(struct relay_work *w);

static void
on_rest_kept(void *arg, int err)
{
	struct relay_work *w = arg;
	bool lost = err == ERR_CLOSED || err == ERR_TEMP || err == ERR_TIMEOUT;

	w->telling = NULL;
	if (err == 0) {
		park(w);
	} else if (lost && ++w->tries < RESULT_TRIES) {
		settle_rest(w);
	} else {
		log_msg(LOG_LVL_WARN, "result_not_kept", "%s", err_name(err));
		queue_back(relay.queue, &w->entry.id, HANDED_BACK_MS);
		work_free(w);
	}
}

/* All that could be begun has its end; the rest waits for its destinations in the queue, which knows the results before. */
static void
settle_rest(struct relay_work *w)
{
	struct queue_rcpt_result *res = arena_calloc(w->arena, w->n + 1, sizeof(*res));
	uint32_t n = res == NULL ? 0 : relay_result_collect(w, res, true);

	queue_call_cancel(w->telling);
	w->telling = NULL;
	if (res != NULL && n == 0) {
		park(w);
		return;
	}
	if (res != NULL)
		w->telling = queue_partial(relay.queue, &w->entry.id, res, n, on_rest_kept, w);
	if (w->telling == NULL)
		on_rest_kept(w, ERR_NOMEM);
}

static bool
has_failed(const struct relay_work *w)
{
	for (uint32_t i = 0; i < w->n; i++)
		if (w->rcpts[i].result == LMTP_RETRY)
			return true;
	return false;
}

static void
end_work(struct relay_work *w)
{
	loop_timer_stop(w->partial);
	if (w->n_deferred > 0 && !has_failed(w)) {
		settle_rest(w);
		return;
	}
	/* what failed for now has its time, which is that of the whole message */
	for (uint32_t i = 0; i < w->n_parts; i++)
		if (w->parts[i].deferred) {
			const struct lmtp_message rest = {
			    .rcpts = w->rcpts + w->parts[i].from, .n_rcpts = w->parts[i].n};
			lmtp_rest_result(
			    &rest, LMTP_RETRY, 0, "4.4.5 Mail for this destination waits in line");
		}
	report(w);
}

static void
job_closed(struct relay_work *w)
{
	if (--w->open > 0) {
		if (!loop_timer_is_set(w->partial))
			loop_timer_set(w->partial, PARTIAL_MS);
	} else if (w->n_deferred == 0 || !start_deferred(w)) {
		end_work(w);
	}
}

/* ---- deliveries ---- */

struct placed {
	struct relay_dest *dest;
	uint32_t at;
};

static int
by_dest(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	if (x->dest != y->dest)
		return (uintptr_t)x->dest < (uintptr_t)y->dest ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static void
on_job(struct relay_job *j)
{
	job_closed(j->arg);
}

static void
on_shed(struct relay_job *j)
{
	struct relay_work *w = j->arg;

	w->parts[j - w->jobs].deferred = true;
	w->n_deferred++;
	job_closed(w);
}

/* RFC 6531 3.6: SMTPUTF8 only where addresses or header fields need it, whatever the client declared. */
static bool
needs_utf8(const struct relay_work *w, uint32_t from, uint32_t n)
{
	bool needs =
	    !slice_is_ascii(buf_slice(&w->header)) || !slice_is_ascii(slice_str(w->entry.env.from));

	for (uint32_t i = from; i < from + n; i++)
		needs |= !slice_is_ascii(slice_str(w->rcpts[i].address));
	return needs && (w->entry.env.flags & ENV_SMTPUTF8);
}

/* It goes through smtpd-session again, whole: what comes of it there is one transaction under one id. */
static bool
is_judged(const struct relay_work *w)
{
	return (w->entry.env.flags & ENV_JUDGE) != 0;
}

static bool
goes_first(const struct relay_work *w)
{
	return w->entry.hurry || (w->entry.env.flags & ENV_URGENT);
}

static void
start_part(struct relay_work *w, uint32_t i)
{
	char hex[2 * DELIVERY_ID_LEN + 1];
	struct relay_part *p = &w->parts[i];
	struct relay_job *j = &w->jobs[i];
	const struct envelope *e = &w->entry.env;

	delivery_id_hex(&w->entry.id, hex);
	*j = (struct relay_job){.dest = p->dest,
	    .urgent = e->flags & ENV_URGENT,
	    .done = on_job,
	    .shed = on_shed,
	    .arg = w,
	    .arena = w->arena,
	    .m = {.from = e->from,
		.id_hex = arena_strdup(w->arena, hex),
		.ret = e->ret,
		.envid = e->envid,
		.seen_id = relay_work_is_watch(w) ? e->envid : NULL,
		.judge_login = is_judged(w) ? e->login : NULL,
		.judge_ip = e->client_ip,
		.judge_release = w->entry.release,
		.sent = e->flags & ENV_SENT,
		.eight_bit = e->flags & ENV_8BIT,
		.smtputf8 = needs_utf8(w, p->from, p->n),
		.header = buf_slice(&w->header),
		.body = w->content,
		.rcpts = w->rcpts + p->from,
		.n_rcpts = p->n}};
	if (p->dest == NULL) {
		lmtp_rest_result(&j->m, LMTP_REFUSED, 0, "5.4.4 No route to other domains");
		return;
	}
	if (w->entry.hurry)
		relay_dest_hurry(p->dest);
	w->open++;
	relay_dest_submit(p->dest, j);
}

/* Begins what the destinations take. Gives whether anything is under way. */
static bool
start_deferred(struct relay_work *w)
{
	/* an end from within must not be the last one */
	w->open++;
	for (uint32_t i = 0; i < w->n_parts; i++)
		if (w->parts[i].deferred && relay_dest_takes(w->parts[i].dest, goes_first(w))) {
			w->parts[i].deferred = false;
			w->n_deferred--;
			start_part(w, i);
		}
	return --w->open > 0;
}

/* The place that was kept for it, once for each destination, is given or free. */
static void
came(const struct relay_work *w, uint32_t i)
{
	if (w->parts[i].dest != NULL && (i == 0 || w->parts[i - 1].dest != w->parts[i].dest))
		relay_dest_came(w->parts[i].dest);
}

static void
start_parts(struct relay_work *w)
{
	w->open = 1;
	for (uint32_t i = 0; i < w->n_parts; i++) {
		struct relay_part *p = &w->parts[i];
		came(w, i);
		p->deferred = p->dest != NULL && !relay_dest_takes(p->dest, goes_first(w));
		w->n_deferred += p->deferred;
		if (!p->deferred)
			start_part(w, i);
	}
	job_closed(w);
}

/* How many recipients of a destination go in one transaction. */
static uint32_t
most_in_one(const struct relay_work *w, const struct relay_dest *d)
{
	if (is_judged(w))
		return w->n;
	if (relay_work_is_watch(w))
		return 1;
	return d != NULL && d->route->way != RELAY_LMTP
		   ? (uint32_t)conf_int(role_conf(), "relay_recipients")
		   : w->n;
}

static void
make_parts(struct relay_work *w)
{
	for (uint32_t from = 0, n; from < w->n; from += n) {
		struct relay_dest *d = w->dests[from];
		uint32_t most = most_in_one(w, d);

		for (n = 1; from + n < w->n && n < most && w->dests[from + n] == d;)
			n++;
		relay_dest_hold(d);
		w->parts[w->n_parts++] = (struct relay_part){.dest = d, .from = from, .n = n};
	}
}

static int
place(struct relay_work *w)
{
	const struct envelope *e = &w->entry.env;
	struct placed *p = arena_calloc(w->arena, e->n_rcpts + 1, sizeof(*p));

	w->n = e->n_rcpts;
	w->rcpts = arena_calloc(w->arena, w->n + 1, sizeof(*w->rcpts));
	w->at = arena_calloc(w->arena, w->n + 1, sizeof(*w->at));
	w->told = arena_calloc(w->arena, w->n + 1, sizeof(*w->told));
	w->dests = arena_calloc(w->arena, w->n + 1, sizeof(struct relay_dest *));
	w->parts = arena_calloc(w->arena, w->n + 1, sizeof(*w->parts));
	w->jobs = arena_calloc(w->arena, w->n + 1, sizeof(*w->jobs));
	if (p == NULL || w->rcpts == NULL || w->at == NULL || w->told == NULL || w->dests == NULL ||
	    w->parts == NULL || w->jobs == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < w->n; i++)
		p[i] = (struct placed){is_judged(w) ? relay_dest_judge()
						    : relay_dest_of(e->rcpts[i].address,
							  e->rcpts[i].state == RCPT_LOCAL),
		    i};
	qsort(p, w->n, sizeof(*p), by_dest);
	for (uint32_t i = 0; i < w->n; i++) {
		const struct envelope_rcpt *x = &e->rcpts[p[i].at];
		w->at[i] = p[i].at;
		w->dests[i] = p[i].dest;
		w->rcpts[i] = (struct lmtp_rcpt){
		    .address = x->address, .orcpt = x->orcpt, .notify = x->notify};
	}
	make_parts(w);
	return 0;
}

static bool
may_look_again(void)
{
	static uint64_t second;
	static unsigned n;
	uint64_t now = loop_now_ms(relay.loop) / 1000;

	n = now == second ? n + 1 : 1;
	second = now;
	return n <= UNKNOWN_MOST;
}

/* Whether none of its destinations takes it now; it is parked then, before anybody reads its text. Of several it waits for one that is known to answer: it
 * comes from there soon, and the others' parts wait for themselves. Where nothing is known of any, that will be soon: it would stand behind who hangs. */
static bool
parked_at_once(struct relay_work *w)
{
	uint32_t one = 0;
	bool is_known = w->n_parts == 1;

	for (uint32_t i = 0; i < w->n_parts; i++)
		if (w->parts[i].dest == NULL || relay_dest_takes(w->parts[i].dest, goes_first(w)))
			return false;
	if (w->n_parts == 0)
		return false;
	for (uint32_t i = 0; i < w->n_parts; i++) {
		if (!is_known && relay_dest_answers(w->parts[i].dest)) {
			is_known = true;
			one = i;
		}
		came(w, i);
	}
	if (!is_known && may_look_again()) {
		queue_back(relay.queue, &w->entry.id, UNKNOWN_MS);
		work_free(w);
	} else {
		w->parts[one].deferred = true;
		park(w);
	}
	return true;
}

static int
take_body(struct relay_work *w, const struct queue_body *b)
{
	if (buf_append_slice(&w->header, b->header) != 0)
		return ERR_NOMEM;
	if (b->has_inline) {
		if (buf_append_slice(&w->body, b->inline_content) != 0)
			return ERR_NOMEM;
		w->content = buf_slice(&w->body);
		return 0;
	}
	w->map_len = (size_t)b->size;
	w->map = mmap(NULL, w->map_len, PROT_READ, MAP_SHARED, b->fd, 0);
	if (w->map == MAP_FAILED) {
		w->map = NULL;
		return ERR_IO;
	}
	w->content = slice_of((const unsigned char *)w->map + b->skip, (size_t)(b->size - b->skip));
	return 0;
}

/* Without results all of it is tried again later. */
static void
give_up(struct relay_work *w, int err)
{
	log_msg(LOG_LVL_ERROR, "relay_body", "%s", err_name(err));
	w->n = 0;
	report(w);
}

static void
on_body(void *arg, int err, const struct queue_body *b)
{
	struct relay_work *w = arg;

	if (err == 0)
		err = take_body(w, b);
	if (b != NULL && b->fd >= 0)
		close(b->fd);
	if (err == 0)
		start_parts(w);
	else
		give_up(w, err);
}

void
relay_work_begin(struct arena *a, const struct queue_entry *e)
{
	struct relay_work *w = xcalloc(1, sizeof(*w));
	int err;

	w->arena = a;
	w->partial = loop_timer_new(relay.loop, on_partial, w);
	buf_init(&w->header, IPC_FRAME_MAX);
	buf_init(&w->body, IPC_FRAME_MAX);
	w->entry = *e;
	w->next = self.works;
	self.works = w;
	role_stat_set(2, ++self.n);
	if ((err = place(w)) != 0)
		give_up(w, err);
	else if (!parked_at_once(w) && queue_body(relay.queue, &e->id, on_body, w) == NULL)
		on_body(w, ERR_TEMP, NULL);
}

static struct relay_work *
find_work(const struct delivery_id *id)
{
	struct relay_work *w = self.works;

	while (w != NULL && memcmp(w->entry.id.b, id->b, DELIVERY_ID_LEN) != 0)
		w = w->next;
	return w;
}

/* Leased to us again: what was settled stands no longer in the envelope, and the others may have another place. */
static void
readopt(struct relay_work *w, const struct envelope *e)
{
	for (uint32_t i = 0; i < w->n; i++) {
		uint32_t at = 0;
		while (at < e->n_rcpts && strcmp(e->rcpts[at].address, w->rcpts[i].address) != 0)
			at++;
		w->at[i] = at < e->n_rcpts ? at : RELAY_SETTLED;
	}
}

bool
relay_work_readopt(const struct queue_entry *e)
{
	struct relay_work *w = find_work(&e->id);

	if (w != NULL)
		readopt(w, &e->env);
	return w != NULL;
}
