/* relay_work_test.c: leased messages and the destinations of their parts (relay_work.c, relay_dest.c), over a clock, a queue and servers of this test. */
#include "config.h"

#include "smtpd/relay_priv.h"

#include "lib/log.h"
#include "lib/err.h"
#include "lib/role.h"
#include "milter/ledger_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

enum {
	HOUR_MS = 3600000,
	FORGOTTEN_MS = 700000, /* longer than relay_dest.c remembers one that nobody uses */
	TRIES_MAX = 16,
	RESULTS_MAX = 16,
};

struct relay relay;

/* ---- the clock ---- */

struct loop_timer {
	void (*cb)(void *arg);
	void *arg;
	uint64_t at;
	bool set;
	struct loop_timer *next;
};
struct loop_defer {
	void (*cb)(void *arg);
	void *arg;
	bool set;
};
static uint64_t now = 1000000;
static struct loop_timer *timers;
static struct loop_defer turn; /* relay_dest.c has one */

uint64_t
loop_now_ms(struct loop *l)
{
	(void)l;
	return now;
}

struct loop_timer *
loop_timer_new(struct loop *l, void (*cb)(void *arg), void *arg)
{
	struct loop_timer *t = xcalloc(1, sizeof(*t));

	(void)l;
	t->cb = cb;
	t->arg = arg;
	t->next = timers;
	timers = t;
	return t;
}

void
loop_timer_set(struct loop_timer *t, uint64_t ms)
{
	t->at = now + ms;
	t->set = true;
}

void
loop_timer_stop(struct loop_timer *t)
{
	t->set = false;
}

bool
loop_timer_is_set(const struct loop_timer *t)
{
	return t->set;
}

void
loop_timer_free(struct loop_timer *t)
{
	struct loop_timer **at = &timers;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	free(t);
}

struct loop_defer *
loop_defer_new(struct loop *l, void (*cb)(void *arg), void *arg)
{
	(void)l;
	turn = (struct loop_defer){.cb = cb, .arg = arg};
	return &turn;
}

void
loop_defer_set(struct loop_defer *d)
{
	d->set = true;
}

static void
run_defers(void)
{
	while (turn.set) {
		turn.set = false;
		turn.cb(turn.arg);
	}
}

static struct loop_timer *
first_timer(void)
{
	struct loop_timer *first = NULL;

	for (struct loop_timer *t = timers; t != NULL; t = t->next)
		if (t->set && (first == NULL || t->at < first->at))
			first = t;
	return first;
}

/* What was put off until the end of a turn comes behind the timers of that turn. */
static void
pass(uint64_t ms)
{
	uint64_t end = now + ms;
	struct loop_timer *t;

	while ((t = first_timer()) != NULL && t->at <= end) {
		now = t->at > now ? t->at : now;
		t->set = false;
		t->cb(t->arg);
		if ((t = first_timer()) == NULL || t->at > now)
			run_defers();
	}
	now = end;
}

/* ---- the configuration ---- */

const struct conf *
role_conf(void)
{
	return NULL;
}

void
role_stat_set(unsigned slot, uint64_t value)
{
	(void)slot, (void)value;
}

int64_t
conf_int(const struct conf *c, const char *name)
{
	(void)c;
	assert_string_equal(name, "relay_recipients");
	return 1;
}

size_t
conf_list_len(const struct conf *c, const char *name)
{
	(void)c, (void)name;
	return 0;
}

const char *
conf_list_item(const struct conf *c, const char *name, size_t i)
{
	(void)c, (void)name, (void)i;
	return NULL;
}

static const struct relay_route mx = {.way = RELAY_MX, .text = (char *)"mx"};

const struct relay_route *
relay_routes_own(const struct relay_routes *r, struct slice domain)
{
	(void)r, (void)domain;
	return NULL;
}

const struct relay_route *
relay_routes_find(const struct relay_routes *r, struct slice domain)
{
	(void)r, (void)domain;
	return &mx;
}

enum relay_tls
relay_tls_of(const struct conf *c, struct slice domain)
{
	(void)c, (void)domain;
	return RELAY_TLS_MAY;
}

/* ---- the queue and the audit log ---- */

static struct {
	queue_body_fn body;
	queue_done_fn done;
	void *body_arg, *done_arg;
	unsigned n_results, n_parked, n_back;
	struct {
		unsigned char id;
		uint32_t n;
		enum queue_result first;
	} results[RESULTS_MAX];
} q;
static char a_call;

struct queue_call *
queue_body(struct queue_client *c, const struct delivery_id *id, queue_body_fn fn, void *arg)
{
	(void)c, (void)id;
	q.body = fn;
	q.body_arg = arg;
	return (struct queue_call *)(void *)&a_call;
}

struct queue_call *
queue_result(struct queue_client *c, const struct delivery_id *id,
    const struct queue_rcpt_result *r, uint32_t n, queue_done_fn fn, void *arg)
{
	(void)c;
	assert_true(q.n_results < RESULTS_MAX && n > 0);
	q.results[q.n_results].id = id->b[0];
	q.results[q.n_results].n = n;
	q.results[q.n_results++].first = r[0].result;
	q.done = fn;
	q.done_arg = arg;
	/* the queue answers in the next turn; nothing here depends on when */
	return (struct queue_call *)(void *)&a_call;
}

struct queue_call *
queue_partial(struct queue_client *c, const struct delivery_id *id,
    const struct queue_rcpt_result *r, uint32_t n, queue_done_fn fn, void *arg)
{
	(void)c, (void)id, (void)r, (void)n, (void)fn, (void)arg;
	return (struct queue_call *)(void *)&a_call;
}

void
queue_call_cancel(struct queue_call *k)
{
	(void)k;
}

void
queue_back(struct queue_client *c, const struct delivery_id *id, uint32_t wait_ms)
{
	(void)c, (void)id, (void)wait_ms;
	q.n_back++;
}

void
queue_park(struct queue_client *c, const struct delivery_id *id, uint64_t destination)
{
	(void)c, (void)id, (void)destination;
	q.n_parked++;
}

void
queue_want(struct queue_client *c, uint64_t destination, uint32_t most)
{
	(void)c, (void)destination, (void)most;
}

void
relay_ask(void)
{
}

int
ledger_outcome(struct ipc_client *c, const struct ledger_outcome *o, unsigned timeout_ms,
    ledger_outcome_fn fn, void *arg, uint32_t *call_out)
{
	(void)c, (void)o, (void)timeout_ms, (void)fn, (void)arg, (void)call_out;
	return 0;
}

int
ledger_alert(struct ipc_client *c, const struct ledger_alert *a, unsigned timeout_ms,
    ledger_outcome_fn fn, void *arg, uint32_t *call_out)
{
	(void)c, (void)a, (void)timeout_ms, (void)fn, (void)arg, (void)call_out;
	return 0;
}

void
delivery_id_hex(const struct delivery_id *id, char out[2 * DELIVERY_ID_LEN + 1])
{
	snprintf(out, 2 * DELIVERY_ID_LEN + 1, "%032x", id->b[0]);
}

void
delivery_id_qid(const struct delivery_id *id, char out[QID_LEN + 1])
{
	snprintf(out, QID_LEN + 1, "%016x", id->b[0]);
}

/* ---- the servers ---- */

static struct relay_job *tries[TRIES_MAX];
static unsigned n_tries;
static bool fail_at_once;

void
lmtp_rest_result(const struct lmtp_message *m, enum lmtp_result r, unsigned code, const char *text)
{
	for (size_t i = 0; i < m->n_rcpts; i++)
		if (m->rcpts[i].result == 0) {
			m->rcpts[i].result = r;
			m->rcpts[i].code = code;
			snprintf(m->rcpts[i].text, sizeof(m->rcpts[i].text), "%s", text);
		}
}

void
relay_try_start(struct relay_dest *d, struct relay_job *j)
{
	if (fail_at_once) {
		lmtp_rest_result(&j->m, LMTP_RETRY, 0, "4.4.1 Not reached");
		relay_dest_job_over(d, j, false, "4.4.1 Not reached");
		return;
	}
	assert_true(n_tries < TRIES_MAX);
	tries[n_tries++] = j;
}

bool
relay_try_text_is_out(const struct relay_job *j)
{
	(void)j;
	return false;
}

void
relay_try_give_up(struct relay_job *j)
{
	(void)j;
	fail_msg("nothing is to be given up here");
}

/* The server of that try takes the message. */
static void
take(unsigned n)
{
	struct relay_job *j = tries[n];

	lmtp_rest_result(&j->m, LMTP_DELIVERED, 250, "2.0.0 Ok");
	relay_dest_job_over(j->dest, j, true, "");
}

/* ---- messages ---- */

/* Leased, and its text not yet asked for. */
static void
lease(unsigned char id, const char *first, const char *second)
{
	struct arena *a = arena_new(1 << 20);
	struct envelope_rcpt *rcpts = arena_calloc(a, 2, sizeof(*rcpts));
	struct queue_entry e = {.id = {.b = {id}},
	    .env = {.from = "a@ours.example",
		.ret = "",
		.envid = "",
		.login = "",
		.client_ip = "",
		.quarantine = "",
		.rcpts = rcpts,
		.n_rcpts = second == NULL ? 1 : 2},
	    .release = ""};

	assert_non_null(rcpts);
	rcpts[0] = (struct envelope_rcpt){.address = first, .state = RCPT_REMOTE, .orcpt = ""};
	rcpts[1] = (struct envelope_rcpt){.address = second, .state = RCPT_REMOTE, .orcpt = ""};
	q.body = NULL;
	relay_work_begin(a, &e);
}

static void
text_comes(void)
{
	struct queue_body b = {.header = slice_str("A: b\r\n\r\n"),
	    .has_inline = true,
	    .inline_content = slice_str("text\r\n"),
	    .fd = -1};

	assert_non_null(q.body);
	q.body(q.body_arg, 0, &b);
}

static void
begin(unsigned char id, const char *first, const char *second)
{
	lease(id, first, second);
	text_comes();
}

static void
result_is_kept(void)
{
	queue_done_fn fn = q.done;

	assert_non_null(fn);
	q.done = NULL;
	fn(q.done_arg, 0);
}

/* One that takes a message: it is known to answer now. */
static void
prove(const char *address)
{
	unsigned n = n_tries;

	begin(99, address, NULL);
	assert_int_equal(n_tries, n + 1);
	take(n);
	result_is_kept();
	run_defers();
}

static uint64_t
id_of(const char *address)
{
	return relay_dest_of(address, false)->id;
}

static int
setup(void **state)
{
	(void)state;
	memset(&q, 0, sizeof(q));
	n_tries = 0;
	fail_at_once = false;
	return 0;
}

/* ---- tests ---- */

/* The queue is slow with the text: what is known of the destination is not forgotten meanwhile, and is when nobody refers to it. */
static void
test_the_text_comes_late(void **state)
{
	(void)state;
	lease(1, "a@late.example", NULL);
	uint64_t id = id_of("a@late.example");
	pass(FORGOTTEN_MS);
	assert_int_equal(id_of("a@late.example"), id);
	text_comes();
	assert_int_equal(n_tries, 1);
	assert_int_equal(tries[0]->dest->id, id);
	assert_string_equal(tries[0]->dest->name, "mx:late.example");
	take(0);
	result_is_kept();
	assert_int_equal(relay_work_count(), 0);
	pass(FORGOTTEN_MS);
	assert_int_not_equal(id_of("a@late.example"), id);
}

/* A part whose destination takes no more now waits beside one that is under way for long. */
static void
test_a_part_waits_long(void **state)
{
	(void)state;
	prove("a@long.example");
	/* all places for who is not known to answer */
	begin(1, "a@x.example", NULL);
	begin(2, "a@y.example", NULL);
	assert_int_equal(n_tries, 3);
	begin(3, "a@long.example", "a@waits.example");
	assert_int_equal(n_tries, 4);
	assert_string_equal(tries[3]->dest->name, "mx:long.example");
	uint64_t id = id_of("a@waits.example");
	pass(FORGOTTEN_MS);
	assert_int_equal(id_of("a@waits.example"), id);
	assert_int_equal(n_tries, 4);
	take(1);
	result_is_kept();
	pass(1000);
	assert_int_equal(n_tries, 5);
	assert_int_equal(tries[4]->dest->id, id);
	take(2);
	result_is_kept();
	take(3);
	assert_int_equal(q.n_results, 3); /* the first is prove's */
	take(4);
	assert_int_equal(q.n_results, 4);
	assert_int_equal(q.results[3].id, 3);
	assert_int_equal(q.results[3].n, 2);
	result_is_kept();
	assert_int_equal(relay_work_count(), 0);
	pass(FORGOTTEN_MS);
}

/* The part that waited begins and fails at once, and with it what stands in the destination's line: that of the same message was its last one. */
static void
test_all_fails_at_once(void **state)
{
	(void)state;
	pass(
	    100); /* relay_dest.c looks at its lines each 250 ms, and not when the parts are looked at */
	prove("a@fails.example");
	begin(1, "a@fails.example", NULL); /* the one connection */
	begin(2, "b@fails.example", NULL); /* in line */
	begin(3, "c@fails.example", "d@fails.example");
	assert_int_equal(n_tries, 2);
	assert_int_equal(relay_work_count(), 3);
	struct relay_dest *d = relay_dest_of("a@fails.example", false);
	assert_int_equal(d->active, 1);
	assert_int_equal(d->waiting.n, 2);
	pass(450);
	now += 50;
	take(1);
	result_is_kept();
	q.n_results = 0;
	fail_at_once = true;
	pass(0);
	assert_int_equal(d->waiting.n, 0);
	/* both have their end: tried again later */
	assert_int_equal(q.n_results, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(q.results[i].first, QUEUE_RETRY);
		assert_int_equal(q.results[i].n, q.results[i].id - 1);
	}
	assert_int_not_equal(q.results[0].id, q.results[1].id);
	assert_int_equal(q.n_parked + q.n_back, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_the_text_comes_late, setup),
	    cmocka_unit_test_setup(test_a_part_waits_long, setup),
	    cmocka_unit_test_setup(test_all_fails_at_once, setup),
	};

	/* 4 places for what is quick, 2 of them for who is not known to answer; nothing becomes slow here */
	relay.connections = 8;
	relay.concurrency = 1;
	relay.backoff_ms = 60000;
	relay.ms.connect = HOUR_MS;
	relay_dest_init(role_conf());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
