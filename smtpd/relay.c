/* relay.c: the relay role: takes from the queue what is due and delivers it, local recipients by LMTP with the queue's
 * delivery id, others to the smarthost. Invariants: a recipient leaves the queue only by a 2xx or 5xx that belongs to it;
 * a message has at most one relay at a time (the queue's lease); it keeps nothing itself. RFC 2033, RFC 5321 4.5.4. */
#include "config.h"

#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"
#include "smtpd/lmtp_client.h"
#include "smtpd/queue_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ACTIVE_MAX = 20, ENTRY_ARENA = 64 << 20, SMARTHOST_MS = 300000 };

static struct relay {
	struct loop *loop;
	struct queue_client *queue;
	struct lmtp_pool *lmtp, *smarthost;
	struct tls_ctx *tls;
	unsigned active;
	bool asking; /* a NEXT is under way */
	bool again;  /* woken meanwhile */
	uint64_t deliveries, failures;
} relay;

/* One leased message. */
struct work {
	struct arena *arena;
	struct queue_entry entry;
	struct buf header, body;
	void *map;
	size_t map_len;
	struct slice content;       /* the body to send */
	struct lmtp_rcpt *rcpts[2]; /* local, remote */
	uint32_t *at[2];            /* index in the envelope */
	size_t n[2];
	unsigned jobs;
};

static void ask(void);

static void
work_free(struct work *w)
{
	if (w->map != NULL)
		munmap(w->map, w->map_len);
	buf_done(&w->header);
	buf_done(&w->body);
	arena_free(w->arena);
	free(w);
	role_stat_set(2, --relay.active);
	ask();
}

static void
on_result_kept(void *arg, int err)
{
	if (err != 0)
		/* it is due again, and the store will know the delivery id */
		log_msg(LOG_LVL_WARN, "result_not_kept", "%s", err_name(err));
	work_free(arg);
}

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

static void
report(struct work *w)
{
	size_t n = 0;
	struct queue_rcpt_result *res = arena_calloc(w->arena, w->n[0] + w->n[1] + 1, sizeof(*res));

	for (size_t k = 0; res != NULL && k < 2; k++)
		for (size_t i = 0; i < w->n[k]; i++) {
			const struct lmtp_rcpt *x = &w->rcpts[k][i];
			log_rcpt(w, x);
			relay.deliveries += x->result == LMTP_DELIVERED;
			relay.failures += x->result != LMTP_DELIVERED;
			res[n].index = w->at[k][i];
			res[n].result = x->result == LMTP_DELIVERED ? QUEUE_DELIVERED
					: x->result == LMTP_REFUSED ? QUEUE_REFUSED
								    : QUEUE_RETRY;
			res[n++].why = x->text;
		}
	role_stat_set(0, relay.deliveries);
	role_stat_set(1, relay.failures);
	if (res == NULL ||
	    queue_result(relay.queue, &w->entry.id, res, (uint32_t)n, on_result_kept, w) == NULL)
		work_free(w);
}

static void
on_job(void *arg)
{
	struct work *w = arg;

	if (--w->jobs == 0)
		report(w);
}

static void
set_all(struct work *w, size_t k, enum lmtp_result r, const char *text)
{
	for (size_t i = 0; i < w->n[k]; i++) {
		struct lmtp_rcpt *x = &w->rcpts[k][i];
		x->result = r;
		snprintf(x->text, sizeof(x->text), "%s", text);
	}
}

static void
send(struct work *w, size_t k, struct lmtp_pool *pool)
{
	char hex[2 * DELIVERY_ID_LEN + 1];

	if (w->n[k] == 0)
		return;
	if (pool == NULL) {
		set_all(w, k, LMTP_REFUSED, "5.4.4 No route to other domains");
		return;
	}
	delivery_id_hex(&w->entry.id, hex);
	struct lmtp_message m = {.from = w->entry.env.from,
	    .id_hex = arena_strdup(w->arena, hex),
	    .eight_bit = w->entry.env.flags & ENV_8BIT,
	    .smtputf8 = w->entry.env.flags & ENV_SMTPUTF8,
	    .header = buf_slice(&w->header),
	    .body = w->content,
	    .rcpts = w->rcpts[k],
	    .n_rcpts = w->n[k]};
	w->jobs++;
	(void)lmtp_deliver(pool, &m, on_job, w);
}

static int
split_rcpts(struct work *w)
{
	const struct envelope *e = &w->entry.env;

	for (size_t k = 0; k < 2; k++) {
		w->rcpts[k] = arena_calloc(w->arena, e->n_rcpts + 1, sizeof(struct lmtp_rcpt));
		w->at[k] = arena_calloc(w->arena, e->n_rcpts + 1, sizeof(uint32_t));
		if (w->rcpts[k] == NULL || w->at[k] == NULL)
			return ERR_NOMEM;
	}
	for (uint32_t i = 0; i < e->n_rcpts; i++) {
		size_t k = e->rcpts[i].state == RCPT_LOCAL ? 0 : 1;
		w->rcpts[k][w->n[k]].address = e->rcpts[i].address;
		w->at[k][w->n[k]++] = i;
	}
	return 0;
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

	if (err == 0)
		err = take_body(w, b);
	if (err == 0 && b->fd >= 0)
		close(b->fd);
	if (err == 0)
		err = split_rcpts(w);
	if (err != 0) {
		/* without results all of it is tried again later */
		log_msg(LOG_LVL_ERROR, "relay_body", "%s", err_name(err));
		w->n[0] = w->n[1] = 0;
		report(w);
		return;
	}
	w->jobs = 1;
	send(w, 0, relay.lmtp);
	send(w, 1, relay.smarthost);
	on_job(w);
}

static void
on_next(void *arg, int err, const struct queue_entry *e)
{
	struct work *w = arg;

	relay.asking = false;
	if (err != 0) {
		bool again = relay.again && err == ERR_NOTFOUND;
		relay.again = false;
		arena_free(w->arena);
		free(w);
		if (again)
			ask();
		return;
	}
	w->entry = *e;
	role_stat_set(2, ++relay.active);
	if (queue_body(relay.queue, &e->id, on_body, w) == NULL)
		on_body(w, ERR_TEMP, NULL);
	relay.again = false;
	ask();
}

static void
ask(void)
{
	struct work *w;

	if (relay.asking || relay.active >= ACTIVE_MAX) {
		relay.again = true;
		return;
	}
	w = xcalloc(1, sizeof(*w));
	w->arena = arena_new(ENTRY_ARENA);
	buf_init(&w->header, IPC_FRAME_MAX);
	buf_init(&w->body, IPC_FRAME_MAX);
	relay.asking = w->arena != NULL && queue_next(relay.queue, w->arena, on_next, w) != NULL;
	if (!relay.asking) {
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

int
main(int argc, char **argv)
{
	const char *why = "";

	role_init(argc, argv, "relay");
	const struct conf *conf = role_conf();
	const char *hostname = conf_str(conf, "hostname");
	const char *smarthost = conf_str(conf, "smarthost");
	relay.loop = loop_new();
	/* opportunistic: an unverified TLS is better than none, and none better than no mail */
	if (tls_client_new(NULL, &relay.tls, &why) != 0)
		log_msg(LOG_LVL_WARN, "tls", "%s", why);
	relay.lmtp = lmtp_pool_new(relay.loop, conf_str(conf, "lmtp_route"), hostname, false, NULL,
	    (unsigned)conf_int(conf, "lmtp_timeout_ms"));
	if (relay.lmtp == NULL)
		fatal("lmtp_route: neither unix:PATH nor inet:IP:PORT");
	if (smarthost[0] != '\0') {
		relay.smarthost =
		    lmtp_pool_new(relay.loop, smarthost, hostname, true, relay.tls, SMARTHOST_MS);
		if (relay.smarthost == NULL)
			fatal("smarthost: not inet:IP:PORT");
	}
	relay.queue = queue_client_new(relay.loop, "queue.relay.sock", IPC_RELAY, on_wake, NULL);
	role_enter();
	ask();
	return loop_run(relay.loop) == 0 ? 0 : 70;
}
