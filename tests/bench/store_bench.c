/* store_bench.c: deliveries a second into a real congvu-stored-db of its own, then reading them back. Many connections, one delivery
 * under way on each, as ingest processes do it; messages differ, so that each body is written. Runs by hand:
 *   tests/bench/store_bench [-c clients] [-n deliveries] [-s octets] [-a accounts] [-t targets] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/deliver_client.h"
#include "store/store_client.h"
#include "tests/unit/stored_run.h"

enum { CLIENTS_MAX = 200 };

struct client {
	struct deliver_client *c;
	uint64_t started;
	unsigned account;
};
static struct {
	unsigned clients, n, size, accounts, targets;
	unsigned sent, done, failed;
	char *text;
	uint32_t *us; /* of each delivery */
	struct client c[CLIENTS_MAX];
	struct loop *l;
	struct stored_run run;
	/* reading */
	struct store_session *s;
	uint64_t mailbox;
	uint32_t messages, at;
	bool ready;
	unsigned rows, uids, bodies, in_flight;
} B = {.clients = 20, .n = 20000, .size = 4000, .accounts = 100, .targets = 1};

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void go(struct client *c);

static void
on_delivered(void *arg, int err, const struct deliver_result *r, size_t n)
{
	struct client *c = arg;

	if (err != 0)
		B.failed++;
	for (size_t i = 0; i < n; i++)
		B.failed += r[i].err != 0;
	B.us[B.done++] = (uint32_t)(now_us() - c->started);
	go(c);
}

static void
go(struct client *c)
{
	struct deliver_message m = {.size = B.size,
	    .fd = -1,
	    .summary = slice_of(B.text, 120),
	    .envelope = slice_of(B.text, 400),
	    .sent_date = 1};
	struct deliver_target t[DELIVER_TARGETS_MAX];
	char account[DELIVER_TARGETS_MAX][16], head[64];

	if (B.sent == B.n)
		return;
	snprintf(head, sizeof head, "Message-ID: <%010u@bench.example>\r\n", B.sent);
	memcpy(B.text, head, strlen(head));
	m.body = slice_of(B.text, B.size);
	sha256_of(m.body, m.sha256);
	random_bytes(m.id, sizeof m.id);
	for (unsigned i = 0; i < B.targets; i++) {
		snprintf(
		    account[i], sizeof account[i], "p-%u", (B.sent * B.targets + i) % B.accounts);
		t[i] = (struct deliver_target){.account = slice_str(account[i]),
		    .mailbox = slice_str("INBOX"),
		    .trace = slice_of(B.text, 300),
		    .internal_date = 1795000000};
	}
	B.sent++;
	c->started = now_us();
	if (deliver_send(c->c, &m, t, B.targets, 0, on_delivered, c, NULL) != 0)
		abort();
}

static int
by_time(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double
cpu_of_children(void)
{
	struct rusage u;

	getrusage(RUSAGE_CHILDREN, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double
deliveries(void)
{
	uint64_t t0;
	double s;

	B.us = xcalloc(B.n, sizeof *B.us);
	for (unsigned i = 0; i < B.clients; i++)
		B.c[i].c = deliver_client_new(B.l, B.run.ingest_sock);
	t0 = now_us();
	for (unsigned i = 0; i < B.clients; i++)
		go(&B.c[i]);
	while (B.done < B.n)
		loop_run_once(B.l, 100);
	s = (double)(now_us() - t0) / 1e6;
	qsort(B.us, B.n, sizeof *B.us, by_time);
	printf("%u deliveries of %u octets to %u, %u clients: %.0f/s, median %.1f ms, 99%% %.1f "
	       "ms, failed %u\n",
	    B.n, B.size, B.targets, B.clients, B.n / s, B.us[B.n / 2] / 1e3,
	    B.us[(size_t)B.n * 99 / 100] / 1e3, B.failed);
	return s;
}

static void
on_session(void *arg, int err)
{
	(void)arg;
	B.ready = err == 0;
}

static void
on_list(void *arg, int err, const struct mbox_info *b, size_t n)
{
	(void)arg;
	for (size_t i = 0; i < n && err == 0; i++)
		if (slice_eq_str(b[i].name, "INBOX")) {
			B.mailbox = b[i].id;
			B.messages = b[i].messages;
		}
}

static void
on_rows(void *arg, int err, const struct msg_row *rows, size_t n, uint32_t next)
{
	(void)arg;
	(void)rows;
	if (err != 0)
		abort();
	B.rows += (unsigned)n;
	if (next != 0)
		store_rows(B.s, B.mailbox, next, UINT32_MAX, on_rows, NULL);
	else
		B.ready = true;
}

static void
wait_ready(void)
{
	while (!B.ready)
		loop_run_once(B.l, 100);
	B.ready = false;
}

static void
on_uids(void *arg, int err, const struct store_uid *u, size_t n, uint32_t next)
{
	(void)arg;
	(void)u;
	if (err != 0)
		abort();
	B.uids += (unsigned)n;
	if (next != 0)
		store_uids(B.s, B.mailbox, next, on_uids, NULL);
	else
		B.ready = true;
}

static void
on_flags(void *arg, int err, uint64_t highest, const struct store_flagged *u, size_t n,
    const uint32_t *x, size_t nx)
{
	(void)arg;
	(void)highest;
	(void)u;
	(void)x;
	(void)nx;
	if (err != 0)
		abort();
	printf("flags of %zu messages", n);
	B.ready = true;
}

static void
on_copied(
    void *arg, int err, uint32_t uidvalidity, const uint32_t *src, const uint32_t *dst, size_t n)
{
	(void)arg;
	(void)uidvalidity;
	(void)src;
	(void)dst;
	if (err != 0)
		abort();
	printf("copy of %zu messages", n);
	B.ready = true;
}

static void
on_expunged(void *arg, int err, uint64_t highest, const uint32_t *x, size_t nx)
{
	(void)arg;
	(void)highest;
	(void)x;
	if (err != 0)
		abort();
	printf("expunge of %zu messages", nx);
	B.ready = true;
}

/* Changes of many messages at once. */
static void
changing(void)
{
	static uint32_t uids[20000];
	uint64_t t0;

	for (uint32_t i = 0; i < 20000; i++)
		uids[i] = i + 1;
	t0 = now_us();
	store_flags(B.s, B.mailbox, uids, 1000, STORE_ADD, MSG_SEEN, slice_str(""), UINT64_MAX,
	    on_flags, NULL);
	wait_ready();
	printf(" in %.1f ms\n", (double)(now_us() - t0) / 1e3);
	t0 = now_us();
	store_copy(B.s, B.mailbox, uids, 20000, B.mailbox, on_copied, NULL);
	wait_ready();
	printf(" in %.1f ms\n", (double)(now_us() - t0) / 1e3);
	t0 = now_us();
	store_expunge(B.s, B.mailbox, NULL, 0, false, on_expunged, NULL);
	wait_ready();
	printf(" in %.1f ms\n", (double)(now_us() - t0) / 1e3);
}

static void
on_body(void *arg, int err, struct slice bytes)
{
	(void)arg;
	if (err != 0 || bytes.len < B.size)
		abort();
	B.bodies++;
	if (B.at <= B.messages)
		store_body(B.s, B.mailbox, B.at++, 0, 65536, on_body, NULL);
	else
		B.in_flight--;
}

static void
reading(void)
{
	struct store_client *c = store_client_new(B.l, B.run.imapd_sock);
	uint64_t t0;
	struct buf t;

	buf_init(&t, 65536);
	stored_run_ticket(&B.run, "p-0", 0, (int64_t)time(NULL) + 1000, NULL, 0, &t);
	B.s = store_session_new(c, buf_slice(&t), on_session, NULL, NULL, NULL);
	wait_ready();
	store_list(B.s, on_list, NULL);
	while (B.mailbox == 0)
		loop_run_once(B.l, 100);
	for (int i = 0; i < 2; i++) {
		t0 = now_us();
		B.uids = 0;
		store_uids(B.s, B.mailbox, 1, on_uids, NULL);
		wait_ready();
		printf("%u uids in %.1f ms%s\n", B.uids, (double)(now_us() - t0) / 1e3,
		    i == 0 ? "" : ", again");
	}
	t0 = now_us();
	store_rows(B.s, B.mailbox, 1, UINT32_MAX, on_rows, NULL);
	wait_ready();
	printf("%u rows in %.1f ms\n", B.rows, (double)(now_us() - t0) / 1e3);
	t0 = now_us();
	B.at = 1;
	for (B.in_flight = 0; B.in_flight < 8 && B.at <= B.messages; B.in_flight++)
		store_body(B.s, B.mailbox, B.at++, 0, 65536, on_body, NULL);
	while (B.in_flight > 0)
		loop_run_once(B.l, 100);
	printf("%u bodies: %.0f/s\n", B.bodies, B.bodies / ((double)(now_us() - t0) / 1e6));
	changing();
	buf_done(&t);
	store_client_free(c);
}

int
main(int argc, char **argv)
{
	double s;
	int o;

	while ((o = getopt(argc, argv, "c:n:s:a:t:")) != -1) {
		unsigned v = (unsigned)strtoul(optarg == NULL ? "" : optarg, NULL, 10);

		if (o == 'c' && v > 0 && v <= CLIENTS_MAX)
			B.clients = v;
		else if (o == 'n' && v > 0)
			B.n = v;
		else if (o == 's' && v >= 500 && v <= DELIVER_INLINE_MAX)
			B.size = v;
		else if (o == 'a' && v > 0)
			B.accounts = v;
		else if (o == 't' && v > 0 && v <= DELIVER_TARGETS_MAX)
			B.targets = v;
		else
			return 64;
	}
	log_init("store_bench", 2);
	log_set_level(LOG_LVL_ERROR);
	B.text = xmalloc(B.size + 1);
	for (unsigned i = 0; i < B.size; i++)
		B.text[i] = (char)('a' + i % 26);
	B.l = loop_new();
	if (stored_run_new(&B.run, "quota_mb = 100000\n") != 0)
		return 1;
	s = deliveries();
	reading();
	for (unsigned i = 0; i < B.clients; i++)
		deliver_client_free(B.c[i].c);
	stored_run_done(&B.run);
	printf("stored used %.1f s of CPU, %.0f us a delivery (%.0f%% while delivering)\n",
	    cpu_of_children(), cpu_of_children() / B.n * 1e6, cpu_of_children() / s * 100);
	loop_free(B.l);
	return B.failed > 0;
}
