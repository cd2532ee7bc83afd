/* relay.c: the relay role: takes from the queue what is due, parts its recipients by destination, and tells the queue what became of
 * each. Invariants: a recipient leaves the queue only by a 2xx or 5xx that belongs to it, or when the DNS says that there is no such
 * place; a message has at most one relay at a time (the queue's lease); it keeps nothing itself. RFC 2033, RFC 5321 4.5.4. */
#include "config.h"

#include "smtpd/relay_priv.h"

#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"
#include "milter/ledger_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	ACTIVE_MAX =
	    500, /* messages taken from the queue at a time; their bodies are mapped or at most 128 KiB */
	ENTRY_ARENA = 64 << 20,
	PARTIAL_MS = 500,      /* how long a result waits for those of other destinations */
	HANDED_BACK_MS = 5000, /* what only would wait for a full destination */
	SECRET_MAX = 4096,
	RESULT_TRIES = 5,
	LEDGER_MS = 5000,
};
#define SETTLED UINT32_MAX /* in work.at: the queue has forgotten the recipient */

struct relay relay;
struct work;
static struct {
	struct work *works; /* what is leased */
	unsigned active;
	bool asking; /* a NEXT is under way */
	bool again;  /* woken meanwhile */
} self;

/* One leased message. Recipients stand sorted by destination. */
struct work {
	struct arena *arena;
	struct queue_entry entry;
	struct buf header, body;
	void *map;
	size_t map_len;
	struct slice content; /* the body to send */
	struct lmtp_rcpt *rcpts;
	uint32_t *at; /* index in the envelope */
	bool *told;   /* the queue has its result */
	uint32_t n;
	struct relay_job *jobs;
	unsigned open; /* jobs without an end */
	struct loop_timer *partial;
	struct queue_call *telling;
	unsigned tries; /* of the last result */
	struct work *next;
};

static void ask(void);

static void
work_free(struct work *w)
{
	struct work **at = &self.works;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (w->map != NULL)
		munmap(w->map, w->map_len);
	loop_timer_free(w->partial);
	queue_call_cancel(w->telling);
	buf_done(&w->header);
	buf_done(&w->body);
	arena_free(w->arena);
	free(w);
	role_stat_set(2, --self.active);
	ask();
}

/* ---- results ---- */

static void
log_rcpt(const struct work *w, const struct lmtp_rcpt *x)
{
	struct log_line l;
	char qid[QID_LEN + 1];

	delivery_id_qid(&w->entry.id, qid);
	log_begin(&l, x->result == LMTP_DELIVERED ? LOG_LVL_INFO : LOG_LVL_WARN, "relay");
	log_str(&l, "qid", qid);
	log_str(&l, "to", x->address);
	log_u64(&l, "code", x->code);
	log_str(&l, "text", x->text);
	log_u64(&l, "attempt", w->entry.attempt + 1);
	log_end(&l);
}

/* It asks whether a message was read. */
static bool
is_watch(const struct work *w)
{
	return (w->entry.env.flags & ENV_WATCH) != 0;
}

static enum queue_result
result_of(const struct work *w, const struct lmtp_rcpt *x, uint32_t i)
{
	bool smtp = w->jobs[i].dest == NULL || w->jobs[i].dest->route->way != RELAY_LMTP;

	switch (x->result) {
	case LMTP_DELIVERED:
		return !smtp || is_watch(w) ? QUEUE_DELIVERED
		       : x->dsn_passed      ? QUEUE_RELAYED
					    : QUEUE_PASSED;
	case LMTP_REFUSED:
		return QUEUE_REFUSED;
	default:
		return QUEUE_RETRY;
	}
}

/* "550 5.1.1 Text", as the server said it; what it did not say has no code. */
static const char *
why_of(const struct work *w, const struct lmtp_rcpt *x)
{
	const char *why =
	    x->code == 0 ? x->text : arena_printf(w->arena, "%u %s", x->code, x->text);

	return why == NULL ? x->text : why;
}

/* Puts results into res: those the queue was not told yet; or, last, all of them, also those to be tried again: what it knows already
 * it does not mind. */
static void
on_recorded(void *arg, int err, uint64_t seq)
{
	(void)arg, (void)seq;
	/* this log has each result with its queue id all the same; a site without our milter has no audit log */
	if (err != 0)
		log_msg(LOG_LVL_DEBUG, "delivery_not_recorded", "%s", err_name(err));
}

/* The next server is another's store, which keeps no copies of what was sent: the mail itself went out, so nobody is told of that. */
static bool
keeps_no_copy(const struct work *w, const struct lmtp_rcpt *x)
{
	return (w->entry.env.flags & ENV_SENT) && x->code == 0 &&
	       strcmp(x->text, LMTP_NO_SENT) == 0;
}

/* What an end is called in the audit log. */
static const char *
end_name(const struct work *w, const struct lmtp_rcpt *x)
{
	if (is_watch(w))
		return x->result == LMTP_REFUSED ? "unread" : x->code == 0 ? "unknown" : "read";
	return keeps_no_copy(w, x)                ? "none"
	       : x->result != LMTP_DELIVERED      ? "refused"
	       : (w->entry.env.flags & ENV_JUDGE) ? "judged"
	       : (w->entry.env.flags & ENV_SENT)  ? "filed"
						  : "delivered";
}

/* The audit log hears what became of recipients for good: congvu trace. */
static void
record(const struct work *w, const struct ledger_rcpt *rcpts, size_t n)
{
	char qid[QID_LEN + 1];

	delivery_id_qid(&w->entry.id, qid);
	/* what watches a mail speaks of that one */
	if (is_watch(w))
		snprintf(qid, sizeof(qid), "%.*s", QID_LEN, w->entry.env.envid);
	struct ledger_outcome o = {.qid = qid,
	    .enhanced = "",
	    .text = "",
	    .from = w->entry.env.from,
	    .login = w->entry.env.login,
	    .client_ip = w->entry.env.client_ip,
	    .later = true,
	    .rcpts = rcpts,
	    .n_rcpts = n};
	int err = n == 0 ? 0 : ledger_outcome(relay.ledger, &o, LEDGER_MS, on_recorded, NULL, NULL);
	if (err != 0)
		on_recorded(NULL, err, 0);
}

/* P32: security and syslog hear of an urgent document that nobody opened in time, beside the mail to its sender (queue_watch.c). */
static void
alert_unread(const struct work *w, const struct ledger_rcpt *rcpts, size_t n)
{
	char qid[QID_LEN + 1];

	snprintf(qid, sizeof(qid), "%.*s", QID_LEN, w->entry.env.envid);
	for (size_t i = 0; is_watch(w) && i < n; i++) {
		struct ledger_alert a = {.rule = "P32",
		    .qid = qid,
		    .login = w->entry.env.login,
		    .client_ip = w->entry.env.client_ip,
		    .address = rcpts[i].address};

		if (strcmp(rcpts[i].result, "unread") == 0 &&
		    ledger_alert(relay.ledger, &a, LEDGER_MS, on_recorded, NULL, NULL) != 0)
			on_recorded(NULL, ERR_TEMP, 0);
	}
}

static uint32_t
collect(struct work *w, struct queue_rcpt_result *res, bool last)
{
	struct ledger_rcpt *ends = arena_calloc(w->arena, w->n + 1, sizeof(*ends));
	uint32_t n = 0, n_ends = 0;

	for (uint32_t i = 0; i < w->n; i++) {
		struct lmtp_rcpt *x = &w->rcpts[i];
		if (x->result == LMTP_REFUSED && keeps_no_copy(w, x))
			x->result = LMTP_DELIVERED;
		bool is_end = x->result == LMTP_DELIVERED || x->result == LMTP_REFUSED;
		if (x->result == 0 || (!last && (w->told[i] || !is_end)) || w->at[i] == SETTLED)
			continue;
		if (!w->told[i]) {
			log_rcpt(w, x);
			relay.deliveries += x->result == LMTP_DELIVERED;
			relay.failures += x->result != LMTP_DELIVERED;
			if (is_end && ends != NULL)
				ends[n_ends++] =
				    (struct ledger_rcpt){x->address, end_name(w, x), why_of(w, x)};
		}
		w->told[i] = true;
		res[n++] = (struct queue_rcpt_result){
		    .index = w->at[i], .result = result_of(w, x, i), .why = why_of(w, x)};
	}
	record(w, ends, n_ends);
	alert_unread(w, ends, n_ends);
	role_stat_set(0, relay.deliveries);
	role_stat_set(1, relay.failures);
	return n;
}

static void report(struct work *w);

static void
on_result_kept(void *arg, int err)
{
	struct work *w = arg;
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
report(struct work *w)
{
	struct queue_rcpt_result *res = arena_calloc(w->arena, w->n + 1, sizeof(*res));

	queue_call_cancel(w->telling);
	w->telling = NULL;
	if (res != NULL) {
		uint32_t n = collect(w, res, true);
		w->telling = queue_result(relay.queue, &w->entry.id, res, n, on_result_kept, w);
	}
	if (w->telling == NULL)
		on_result_kept(w, ERR_NOMEM);
}

static void
on_partial_kept(void *arg, int err)
{
	struct work *w = arg;

	w->telling = NULL;
	if (err != 0)
		log_msg(LOG_LVL_WARN, "result_not_kept", "%s", err_name(err));
}

/* What some destinations said becomes durable while others still keep us waiting: should this process end meanwhile, nobody gets
 * the message twice for their sake. */
static void
on_partial(void *arg)
{
	struct work *w = arg;
	struct queue_rcpt_result *res = arena_calloc(w->arena, w->n + 1, sizeof(*res));

	if (w->telling != NULL || res == NULL) {
		loop_timer_set(w->partial, PARTIAL_MS);
		return;
	}
	uint32_t n = collect(w, res, false);
	if (n > 0)
		w->telling = queue_partial(relay.queue, &w->entry.id, res, n, on_partial_kept, w);
}

static void
job_closed(struct work *w)
{
	if (--w->open == 0)
		report(w);
	else if (!loop_timer_is_set(w->partial))
		loop_timer_set(w->partial, PARTIAL_MS);
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
on_job(void *arg)
{
	job_closed(arg);
}

/* RFC 6531 3.6: SMTPUTF8 only where addresses or header fields need it, whatever the client declared. */
static bool
needs_utf8(const struct work *w, uint32_t from, uint32_t n)
{
	bool needs =
	    !slice_is_ascii(buf_slice(&w->header)) || !slice_is_ascii(slice_str(w->entry.env.from));

	for (uint32_t i = from; i < from + n; i++)
		needs |= !slice_is_ascii(slice_str(w->rcpts[i].address));
	return needs && (w->entry.env.flags & ENV_SMTPUTF8);
}

/* It goes through smtpd-session again, whole: what comes of it there is one transaction under one id. */
static bool
is_judged(const struct work *w)
{
	return (w->entry.env.flags & ENV_JUDGE) != 0;
}

/* n recipients from index from on, of one destination. */
static void
start_job(struct work *w, struct relay_dest *d, uint32_t from, uint32_t n)
{
	char hex[2 * DELIVERY_ID_LEN + 1];
	struct relay_job *j = &w->jobs[from];
	const struct envelope *e = &w->entry.env;

	for (uint32_t i = from; i < from + n; i++)
		w->jobs[i].dest = d;
	delivery_id_hex(&w->entry.id, hex);
	*j = (struct relay_job){.dest = d,
	    .urgent = e->flags & ENV_URGENT,
	    .done = on_job,
	    .arg = w,
	    .m = {.from = e->from,
		.id_hex = arena_strdup(w->arena, hex),
		.ret = e->ret,
		.envid = e->envid,
		.seen_id = is_watch(w) ? e->envid : NULL,
		.judge_login = is_judged(w) ? e->login : NULL,
		.judge_ip = e->client_ip,
		.judge_release = w->entry.release,
		.sent = e->flags & ENV_SENT,
		.eight_bit = e->flags & ENV_8BIT,
		.smtputf8 = needs_utf8(w, from, n),
		.header = buf_slice(&w->header),
		.body = w->content,
		.rcpts = w->rcpts + from,
		.n_rcpts = n}};
	if (d == NULL) {
		lmtp_rest_result(&j->m, LMTP_REFUSED, 0, "5.4.4 No route to other domains");
		return;
	}
	if (w->entry.hurry)
		relay_dest_hurry(d);
	w->open++;
	relay_dest_submit(d, j);
}

static int
place(struct work *w, struct placed **out, bool *full_out)
{
	const struct envelope *e = &w->entry.env;
	struct placed *p = arena_calloc(w->arena, e->n_rcpts + 1, sizeof(*p));
	bool full = e->n_rcpts > 0, first = w->entry.hurry || (e->flags & ENV_URGENT);

	w->n = e->n_rcpts;
	w->rcpts = arena_calloc(w->arena, w->n + 1, sizeof(*w->rcpts));
	w->at = arena_calloc(w->arena, w->n + 1, sizeof(*w->at));
	w->told = arena_calloc(w->arena, w->n + 1, sizeof(*w->told));
	w->jobs = arena_calloc(w->arena, w->n + 1, sizeof(*w->jobs));
	if (p == NULL || w->rcpts == NULL || w->at == NULL || w->told == NULL || w->jobs == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < w->n; i++) {
		p[i] = (struct placed){is_judged(w) ? relay_dest_judge()
						    : relay_dest_of(e->rcpts[i].address,
							  e->rcpts[i].state == RCPT_LOCAL),
		    i};
		full &= p[i].dest != NULL && relay_dest_is_full(p[i].dest, first);
	}
	qsort(p, w->n, sizeof(*p), by_dest);
	for (uint32_t i = 0; i < w->n; i++) {
		const struct envelope_rcpt *x = &e->rcpts[p[i].at];
		w->at[i] = p[i].at;
		w->rcpts[i] = (struct lmtp_rcpt){
		    .address = x->address, .orcpt = x->orcpt, .notify = x->notify};
	}
	*out = p;
	*full_out = full;
	return 0;
}

static void
start_jobs(struct work *w, const struct placed *p)
{
	uint32_t from = 0;

	w->open = 1;
	while (from < w->n) {
		struct relay_dest *d = p[from].dest;
		bool smtp = d != NULL && d->route->way != RELAY_LMTP;
		uint32_t most = is_watch(w) ? 1
				: smtp      ? (uint32_t)conf_int(role_conf(), "relay_recipients")
					    : w->n;
		uint32_t n = 1;
		while (from + n < w->n && (n < most || is_judged(w)) && p[from + n].dest == d)
			n++;
		start_job(w, d, from, n);
		from += n;
	}
	job_closed(w);
}

static int
take_body(struct work *w, const struct queue_body *b)
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

static void
on_body(void *arg, int err, const struct queue_body *b)
{
	struct work *w = arg;
	struct placed *p = NULL;
	bool full = false;

	if (err == 0)
		err = take_body(w, b);
	if (b != NULL && b->fd >= 0)
		close(b->fd);
	if (err == 0)
		err = place(w, &p, &full);
	if (err != 0) {
		/* without results all of it is tried again later */
		log_msg(LOG_LVL_ERROR, "relay_body", "%s", err_name(err));
		w->n = 0;
		report(w);
	} else if (full) {
		queue_back(relay.queue, &w->entry.id, HANDED_BACK_MS);
		work_free(w);
	} else {
		start_jobs(w, p);
	}
}

/* ---- the queue ---- */

static struct work *
find_work(const struct delivery_id *id)
{
	struct work *w = self.works;

	while (w != NULL && memcmp(w->entry.id.b, id->b, DELIVERY_ID_LEN) != 0)
		w = w->next;
	return w;
}

/* Leased to us again: what was settled stands no longer in the envelope, and the others may have another place. */
static void
readopt(struct work *w, const struct envelope *e)
{
	for (uint32_t i = 0; i < w->n; i++) {
		uint32_t at = 0;
		while (at < e->n_rcpts && strcmp(e->rcpts[at].address, w->rcpts[i].address) != 0)
			at++;
		w->at[i] = at < e->n_rcpts ? at : SETTLED;
	}
}

static void
on_next(void *arg, int err, const struct queue_entry *e)
{
	struct work *w = arg;

	self.asking = false;
	if (err != 0) {
		bool again = self.again && err == ERR_NOTFOUND;
		self.again = false;
		loop_timer_free(w->partial);
		arena_free(w->arena);
		free(w);
		if (again)
			ask();
		return;
	}
	struct work *known = find_work(&e->id);
	if (known != NULL) {
		/* the queue was restarted and does not know that it is under way here */
		readopt(known, &e->env);
		loop_timer_free(w->partial);
		arena_free(w->arena);
		free(w);
		self.again = false;
		ask();
		return;
	}
	w->entry = *e;
	w->next = self.works;
	self.works = w;
	role_stat_set(2, ++self.active);
	if (queue_body(relay.queue, &e->id, on_body, w) == NULL)
		on_body(w, ERR_TEMP, NULL);
	self.again = false;
	ask();
}

static void
ask(void)
{
	struct work *w;

	if (self.asking || self.active >= ACTIVE_MAX) {
		self.again = true;
		return;
	}
	w = xcalloc(1, sizeof(*w));
	w->arena = arena_new(ENTRY_ARENA);
	w->partial = loop_timer_new(relay.loop, on_partial, w);
	buf_init(&w->header, IPC_FRAME_MAX);
	buf_init(&w->body, IPC_FRAME_MAX);
	self.asking = w->arena != NULL && queue_next(relay.queue, w->arena, on_next, w) != NULL;
	if (!self.asking) {
		loop_timer_free(w->partial);
		arena_free(w->arena);
		free(w);
	}
}

static void
on_wake(void *arg)
{
	(void)arg;
	ask();
}

/* ---- start ---- */

/* "user:password", without the line end an editor leaves. */
static void
read_secret(void)
{
	int fd = role_fd("smarthost_auth_file");
	unsigned char bytes[SECRET_MAX];
	ssize_t n = fd < 0 ? 0 : pread(fd, bytes, sizeof(bytes), 0);

	buf_init(&relay.user, SECRET_MAX);
	buf_init(&relay.password, SECRET_MAX);
	while (n > 0 && (bytes[n - 1] == '\n' || bytes[n - 1] == '\r'))
		n--;
	struct slice s = slice_of(bytes, n > 0 ? (size_t)n : 0);
	ptrdiff_t colon = slice_index(s, ':');
	if (fd >= 0 && colon <= 0)
		fatal("smarthost_auth_file: no user:password there");
	if (colon > 0) {
		buf_append_slice(&relay.user, slice_sub(s, 0, (size_t)colon));
		buf_append_slice(&relay.password, slice_from(s, (size_t)colon + 1));
	}
	explicit_bzero(bytes, sizeof(bytes));
}

static void
open_tls(const struct conf *conf)
{
	char *ca = conf_path(conf, "relay_tls_ca_file");
	const char *why = "";

	/* opportunistic: an unverified TLS is better than none, and none better than no mail */
	if (tls_client_new(NULL, &relay.tls_any, &why) != 0)
		log_msg(LOG_LVL_WARN, "tls", "%s", why);
	if (tls_client_new(ca, &relay.tls_verify, &why) != 0)
		log_msg(LOG_LVL_WARN, "tls",
		    "relay_tls_ca_file: %s: no certificate can be verified", why);
	free(ca);
}

static unsigned
ms(const struct conf *conf, const char *option)
{
	return (unsigned)conf_int(conf, option) * 1000;
}

static void
read_conf(const struct conf *conf)
{
	const char *why = "", *what = "";

	relay.hostname = conf_str(conf, "hostname");
	relay.concurrency = (unsigned)conf_int(conf, "relay_concurrency");
	relay.port = (unsigned)conf_int(conf, "relay_port");
	relay.backoff_ms = ms(conf, "relay_backoff_s");
	relay.idle_ms = ms(conf, "relay_idle_s");
	relay.dns_ms = (unsigned)conf_int(conf, "dns_timeout_ms") + 2000;
	relay.local_ms = (unsigned)conf_int(conf, "lmtp_timeout_ms");
	relay.ms = (struct lmtp_timeouts){.connect = ms(conf, "relay_connect_s"),
	    .greeting = ms(conf, "relay_greeting_s"),
	    .command = ms(conf, "relay_command_s"),
	    .data = ms(conf, "relay_data_s"),
	    .body = ms(conf, "relay_body_s"),
	    .final = ms(conf, "relay_final_s")};
	for (size_t i = 0; i < conf_list_len(conf, "relay_families"); i++) {
		bool six = strcmp(conf_list_item(conf, "relay_families", i), "6") == 0;
		relay.has_family[six] = true;
		relay.six_first |= six && i == 0;
	}
	if (relay_route_parse(conf_str(conf, "lmtp_route"), RELAY_LMTP, &relay.local) != 0 ||
	    relay.local.way != RELAY_LMTP)
		fatal("lmtp_route: neither unix:PATH nor inet:IP:PORT");
	if (relay_routes_new(conf, &relay.routes, &why, &what) != 0)
		fatal("%s: %s", why, what);
}

int
main(int argc, char **argv)
{
	role_init(argc, argv, "relay");
	const struct conf *conf = role_conf();
	relay.loop = loop_new();
	read_conf(conf);
	read_secret();
	open_tls(conf);
	relay_self_init(conf);
	relay_dest_init(conf);
	relay.queue = queue_client_new(relay.loop, "queue.relay.sock", IPC_RELAY, on_wake, NULL);
	relay.ledger =
	    ipc_client_new(relay.loop, "ledger.relay.sock", &ledger_proto, IPC_RELAY, NULL, NULL);
	relay.lookup = lookup_client_new(relay.loop, "lookup.relay.sock", IPC_RELAY);
	role_enter();
	ask();
	return loop_run(relay.loop) == 0 ? 0 : 70;
}
