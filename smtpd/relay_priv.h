/* relay_priv.h: what the files of the relay role share. For relay*.c alone. */
#ifndef CV_RELAY_PRIV_H
#define CV_RELAY_PRIV_H

#include "directory/lookup_dns_client.h"
#include "smtpd/lmtp_talk.h"
#include "smtpd/queue_client.h"
#include "smtpd/relay_route.h"

struct relay {
	struct loop *loop;
	struct queue_client *queue;
	struct lookup_client *lookup;
	struct ipc_client *ledger; /* the audit log; nobody answers where our milter does not run */
	struct relay_routes *routes;
	struct relay_route local; /* lmtp_route */
	const char *hostname;
	struct tls_ctx *tls_any, *tls_verify; /* NULL: could not be made */
	struct buf user, password;            /* of the smarthost */
	struct lmtp_timeouts ms;
	unsigned local_ms; /* lmtp_timeout_ms */
	unsigned concurrency, port, backoff_ms, idle_ms, dns_ms;
	unsigned connections; /* to all destinations together */
	bool has_family[2];   /* 4, 6 */
	bool six_first;
	uint64_t deliveries, failures;
};
extern struct relay relay;

/* ---- relay_work.c: one leased message ---- */
/* Takes a, with what e refers to in it. */
void relay_work_begin(struct arena *a, const struct queue_entry *e);
/* It is under way here already, the queue was restarted and does not know: gives true. */
bool relay_work_readopt(const struct queue_entry *e);
unsigned relay_work_count(void);
/* relay.c: there is room for one more. */
void relay_ask(void);

/* ---- relay_line.c ---- */
struct relay_job;
enum { RELAY_URGENT_RUN = 4 }; /* urgent jobs that pass one that waits */
/* Those that wait, in the order they go. */
struct relay_line {
	struct relay_job *first, **tail;
	unsigned n;
	unsigned passed; /* urgent jobs that were put before others, in a row */
};
void relay_line_init(struct relay_line *l);
/* j is borrowed until relay_line_take. Behind the urgent ones that stand in front; at the end when others waited long enough. */
void relay_line_add(struct relay_line *l, struct relay_job *j);
struct relay_job *relay_line_take(struct relay_line *l); /* NULL: none */
/* Whether one more is too many, of most for all; as many again are kept for urgent ones alone. */
bool relay_line_is_full(const struct relay_line *l, unsigned most, bool urgent);

/* ---- relay_pool.c: connections to all destinations together ---- */
struct relay_pool_list {
	struct relay_job *first, **tail; /* the oldest first */
	unsigned n;
};
struct relay_pool {
	unsigned slow_ms; /* what takes longer is slow */
	unsigned quick_most, slow_most;
	unsigned unsure_most; /* of the quick ones: for those not known to answer */
	unsigned n_unsure;
	struct relay_pool_list quick, slow;
};
void relay_pool_init(struct relay_pool *p, unsigned connections, unsigned slow_ms);
/* Whether one more may begin, besides those that were promised a place. sure: to a destination that answered last time. */
bool relay_pool_has_room(
    const struct relay_pool *p, bool sure, unsigned promised_unsure, unsigned promised_sure);
/* j is borrowed until relay_pool_remove. */
void relay_pool_add(struct relay_pool *p, struct relay_job *j, bool sure, uint64_t now);
void relay_pool_remove(struct relay_pool *p, struct relay_job *j);
/* One that became slow and was not yet; NULL: none any more. */
struct relay_job *relay_pool_age(struct relay_pool *p, uint64_t now);
/* One of too many slow ones that is to be ended: the oldest that is not spared, else the oldest; NULL: they are not too many. */
struct relay_job *relay_pool_victim(
    const struct relay_pool *p, bool (*spare)(const struct relay_job *j));

/* ---- relay_dest.c: destinations: who may connect how often, and when again ---- */

struct relay_dest;
/* Recipients of one message for one destination. */
struct relay_job {
	struct lmtp_message m;
	void (*done)(struct relay_job *j); /* every recipient has its result */
	void (*shed)(struct relay_job *j); /* it waited, and is no more the destination's */
	void *arg;
	/* the destination's own */
	struct relay_dest *dest;
	struct relay_job *next;
	bool urgent;         /* before others that wait, as far as these do not starve */
	struct arena *arena; /* for what its results need, as long as they */
	struct relay_try *try;
	/* the pool's */
	struct relay_job *pool_next, **pool_at;
	uint64_t started;
	bool slow, unsure;
};
struct relay_dest {
	char *name; /* "mx:example.vn", or the route as configured */
	const struct relay_route *route;
	char *domain;  /* for MX: A- or U-labels, or an address literal */
	bool is_local; /* the store: no back-off, the queue looks after it */
	bool is_ours;  /* the store, or our own session: its connections count for themselves */
	enum relay_tls tls;
	unsigned held;   /* parts of messages that refer to it: it stays */
	unsigned active; /* jobs that connect or are delivered */
	struct relay_line waiting;
	struct relay_conn *idle;
	bool proven;       /* a conversation came about since the last failure */
	unsigned failures; /* in a row */
	uint64_t down_until, used;
	char why[256];
	struct relay_dest *next;
	/* messages that wait for it in the queue (QUEUE_PARK) */
	uint64_t id;      /* its name there */
	unsigned parked;  /* at least so many, as far as this process knows */
	unsigned coming;  /* wanted, and not here yet */
	bool coming_sure; /* it was proven when the first of them was wanted */
	uint64_t coming_at;
	uint64_t ended;               /* when a conversation last came to its end */
	struct relay_dest *ring_next; /* of those that somebody waits for */
	bool in_ring;
};
/* Where mail for an address goes. local: one of our own mailboxes. NULL: nowhere. Who keeps it beyond this turn of the loop holds it: what nobody uses is
 * forgotten. */
struct relay_dest *relay_dest_of(const char *address, bool local);
/* Our own smtpd-session: for mail that is to be judged anew. */
struct relay_dest *relay_dest_judge(void);
void relay_dest_hold(struct relay_dest *d);    /* NULL accepted */
void relay_dest_release(struct relay_dest *d); /* NULL accepted; once for each hold */
/* Whether a job for it may be submitted now: it begins or fails at once, or waits behind few others of a destination that answers. first: urgent mail may
 * wait in front, as many again; so may what a person hurries. */
bool relay_dest_takes(const struct relay_dest *d, bool first);
/* Whether the last that was heard of it is an answer (the store's is taken for given). */
bool relay_dest_answers(const struct relay_dest *d);
/* A message for it came from the queue. */
void relay_dest_came(struct relay_dest *d);
/* Gives a leased message back until the destination takes one more. */
void relay_dest_park(struct relay_dest *d, const struct delivery_id *id);
/* What a person asks to be tried now is tried. */
void relay_dest_hurry(struct relay_dest *d);
/* j is borrowed until done or shed, which may come from within the call. */
void relay_dest_submit(struct relay_dest *d, struct relay_job *j);
/* A job ended: reached tells whether a conversation came about, why what stood in the way. */
void relay_dest_job_over(struct relay_dest *d, struct relay_job *j, bool reached, const char *why);
/* Messages that may be under way at a time, so that none waits for another's place. */
unsigned relay_dest_messages_most(void);
/* Before the sandbox. */
void relay_dest_init(const struct conf *c);

/* ---- leased messages, for relay_work.c and relay_result.c alone ---- */
#define RELAY_SETTLED UINT32_MAX /* in relay_work.at: the queue has forgotten the recipient */
/* Recipients for one destination, in one transaction. */
struct relay_part {
	struct relay_dest *dest; /* held; NULL: there is no way */
	uint32_t from, n;
	bool deferred; /* the destination takes no more now */
};
/* One leased message. Recipients stand sorted by destination. */
struct relay_work {
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
	struct relay_part *parts;
	struct relay_job *jobs;    /* of the parts */
	struct relay_dest **dests; /* of the recipients, held by the parts */
	uint32_t n_parts, n_deferred;
	unsigned open; /* jobs without an end */
	struct loop_timer *partial;
	struct queue_call *telling;
	unsigned tries; /* of the last result */
	struct relay_work *next;
};
/* It asks whether a message was read. */
bool relay_work_is_watch(const struct relay_work *w);

/* ---- relay_result.c ---- */
/* Puts results into res, which has room for all: those the queue was not told yet; or, last, all of them, also those to be tried again: what it knows already it
 * does not mind. Gives how many. */
uint32_t relay_result_collect(struct relay_work *w, struct queue_rcpt_result *res, bool last);
/* Whether somebody has an end that the queue was not told. */
bool relay_result_is_new(const struct relay_work *w);

/* ---- relay_try.c: one job over the hosts and addresses of its destination ---- */
void relay_try_start(struct relay_dest *d, struct relay_job *j);
/* Whether the whole text went out, and only the answer is waited for. */
bool relay_try_text_is_out(const struct relay_job *j);
/* Ends it, when it is not the DNS that it waits for: others need the place. done follows from within the call. */
void relay_try_give_up(struct relay_job *j);

/* ---- relay_conn.c: connections, and those kept for the next message ---- */
struct relay_try;
struct relay_conn {
	struct relay_dest *dest;
	struct lmtp_talk *talk;
	struct relay_try *try; /* whose it is; NULL: idle */
	struct loop_timer *timer;
	char *hostport, *server_name;
	struct relay_conn *next;
};
/* An idle connection, taken; NULL: none. */
struct relay_conn *relay_conn_take(struct relay_dest *d);
/* A new one to hostport (NULL: the route's UNIX socket). plain: without TLS although it would be tried. NULL: not even begun. */
struct relay_conn *relay_conn_new(
    struct relay_dest *d, const char *hostport, const char *server_name, bool plain);
/* relay_try.c: what became of the message on it. */
void relay_try_on_done(struct relay_conn *c);
void relay_try_on_end(struct relay_conn *c, const struct lmtp_end *end);
/* Keeps it for a while, or says goodbye. */
void relay_conn_idle(struct relay_conn *c);
void relay_conn_free(struct relay_conn *c); /* the talk is gone or not to be used any more */

/* ---- relay_self.c ---- */
/* Reads this host's addresses: before the sandbox. */
void relay_self_init(const struct conf *c);
/* Whether ip and port are our own MX port. */
bool relay_self_is(const char *ip, unsigned port);

#endif
