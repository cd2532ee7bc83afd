/* stored_mix_test.c: deliveries, flags, expunges, copies and readers all at once on the same mailboxes of a real congvu-stored-db, with kill -9
 * in between; afterwards everything must agree: headers with rows, the view with the changes, a follower's mirror with the mailbox. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/deliver_client.h"
#include "store/store_client.h"
#include "tests/unit/stored_run.h"

enum { BOXES = 2, UIDS = 20000, ACTORS = 6, SENDERS = 6, SECONDS = 2 };

/* What a follower knows of a mailbox from changes alone. */
struct mirror {
	uint64_t id, modseq;
	uint8_t present[UIDS];
	uint32_t flags[UIDS];
	bool asking;
	/* from the list, at the end */
	uint32_t messages, unseen, recent;
	uint64_t size, highest;
};
struct actor {
	unsigned acts, i;
	uint32_t uids[200];
};
static struct {
	struct loop *l;
	struct stored_run run;
	struct store_client *imap;
	struct deliver_client *ingest;
	struct store_session *s;
	struct mirror m[BOXES];
	struct actor actors[ACTORS];
	unsigned sent, acts, errors, busy;
	bool stop, done;
	uint32_t seed;
	/* the end */
	uint64_t sum_size;
	uint32_t n_rows, n_unseen;
	uint64_t max_modseq;
} T;

static uint32_t
rnd(uint32_t below)
{
	T.seed = T.seed * 1664525u + 1013904223u;
	return (T.seed >> 8) % below;
}

static struct mirror *
mirror_of(uint64_t id)
{
	for (unsigned i = 0; i < BOXES; i++)
		if (T.m[i].id == id)
			return &T.m[i];
	return NULL;
}

static void
wait_done(void)
{
	uint64_t t0 = (uint64_t)time(NULL);

	while (!T.done && (uint64_t)time(NULL) - t0 < 20)
		loop_run_once(T.l, 50);
	assert_true(T.done);
	T.done = false;
}

/* ---- following ---- */

static void follow(struct mirror *m);

static void
on_changes(void *arg, int err, uint64_t highest, bool more, uint64_t forgotten,
    const struct store_uid *u, size_t n, const uint32_t *x, size_t nx)
{
	struct mirror *m = arg;

	m->asking = false;
	if (err != 0) {
		T.errors++;
		return;
	}
	assert_true(highest >= m->modseq && forgotten <= m->modseq);
	for (size_t i = 0; i < n; i++) {
		assert_true(u[i].uid < UIDS && u[i].modseq > m->modseq && u[i].modseq <= highest);
		m->present[u[i].uid] = 1;
		m->flags[u[i].uid] = u[i].flags;
	}
	for (size_t i = 0; i < nx; i++)
		m->present[x[i]] = 0;
	m->modseq = highest;
	if (more)
		follow(m);
}

static void
follow(struct mirror *m)
{
	if (m->asking)
		return;
	m->asking = true;
	store_changes(T.s, m->id, m->modseq, on_changes, m);
}

static void
on_event(void *arg, uint64_t mailbox, uint64_t modseq, bool gone)
{
	struct mirror *m = mirror_of(mailbox);

	(void)arg;
	(void)modseq;
	assert_false(gone);
	if (m != NULL)
		follow(m);
}

/* ---- acting ---- */

static void act(struct actor *a);

static void
acted(struct actor *a, int err)
{
	if (err != 0)
		T.errors++;
	T.acts++;
	T.busy--;
	act(a);
}

static void
on_flags(void *arg, int err, uint64_t highest, const struct store_flagged *u, size_t n,
    const uint32_t *x, size_t nx)
{
	(void)highest;
	(void)u;
	(void)n;
	(void)x;
	(void)nx;
	acted(arg, err);
}

static void
on_expunged(void *arg, int err, uint64_t highest, const uint32_t *x, size_t nx)
{
	(void)highest;
	(void)x;
	(void)nx;
	acted(arg, err);
}

static void
on_copied(
    void *arg, int err, uint32_t uidvalidity, const uint32_t *src, const uint32_t *dst, size_t n)
{
	(void)uidvalidity;
	(void)src;
	for (size_t i = 1; i < n; i++)
		assert_int_equal(dst[i], dst[i - 1] + 1);
	acted(arg, err);
}

static void
on_uids(void *arg, int err, const struct store_uid *u, size_t n, uint32_t next)
{
	(void)next;
	for (size_t i = 1; i < n; i++)
		assert_true(u[i].uid > u[i - 1].uid);
	acted(arg, err);
}

static void
on_rows(void *arg, int err, const struct msg_row *rows, size_t n, uint32_t next)
{
	(void)next;
	for (size_t i = 1; i < n; i++)
		assert_true(rows[i].uid > rows[i - 1].uid);
	acted(arg, err);
}

static void
on_opened(void *arg, int err, const struct store_opened *o)
{
	(void)o;
	acted(arg, err);
}

static void
act(struct actor *a)
{
	struct mirror *m = &T.m[rnd(BOXES)];
	uint32_t at = 1 + rnd(1500), n = 1 + rnd(60), step = 1 + rnd(4);

	if (T.stop)
		return;
	T.busy++;
	a->acts++;
	for (uint32_t i = 0; i < n; i++)
		a->uids[i] = at + i * step;
	switch (rnd(10)) {
	case 0:
	case 1:
	case 2:
		store_flags(T.s, m->id, a->uids, n, (enum store_op)rnd(3), rnd(32),
		    slice_str(rnd(3) == 0 ? "kw Two" : ""), UINT64_MAX, on_flags, a);
		break;
	case 3:
		store_expunge(T.s, m->id, a->uids, n, true, on_expunged, a);
		break;
	case 4:
		store_expunge(T.s, m->id, NULL, 0, true, on_expunged, a);
		break;
	case 5:
		store_copy(T.s, m->id, a->uids, n / 4 + 1, T.m[rnd(BOXES)].id, on_copied, a);
		break;
	case 6:
		store_uids(T.s, m->id, 1, on_uids, a);
		break;
	case 7:
		store_open(T.s, m->id, true, true, on_opened, a);
		break;
	default:
		store_rows(T.s, m->id, at, at + 100, on_rows, a);
	}
}

/* ---- delivering ---- */

static void send_one(void *arg);

static void
on_delivered(void *arg, int err, const struct deliver_result *r, size_t n)
{
	if (err != 0 || n != 2 || r[0].err != 0 || r[1].err != 0)
		T.errors++;
	T.busy--;
	send_one(arg);
}

static void
send_one(void *arg)
{
	char text[64];
	struct deliver_message m = {.fd = -1, .envelope = slice_str("(E)")};
	struct deliver_target t[2] = {
	    {.account = slice_str("p-1"),
		.mailbox = slice_str("INBOX"),
		.trace = slice_str("A: b\r\n")},
	    {.account = slice_str("p-1"), .mailbox = slice_str("Archive"), .flags = MSG_SEEN},
	};

	if (T.stop)
		return;
	T.busy++;
	snprintf(text, sizeof text, "message %u", rnd(500)); /* bodies come again */
	m.body = slice_str(text);
	m.size = m.body.len;
	sha256_of(m.body, m.sha256);
	memset(m.id, 0, sizeof m.id);
	snprintf((char *)m.id, sizeof m.id, "%u", T.sent++);
	assert_int_equal(deliver_send(T.ingest, &m, t, 2, 3000, on_delivered, arg, NULL), 0);
}

/* ---- judging ---- */

static void
on_session(void *arg, int err)
{
	(void)arg;
	assert_int_equal(err, 0);
	T.done = true;
}

static void
on_list(void *arg, int err, const struct mbox_info *b, size_t n)
{
	(void)arg;
	assert_int_equal(err, 0);
	for (size_t i = 0; i < n; i++) {
		unsigned k = slice_eq_str(b[i].name, "INBOX")     ? 0
			     : slice_eq_str(b[i].name, "Archive") ? 1
								  : BOXES;

		if (k == BOXES)
			continue;
		T.m[k].id = b[i].id;
		T.m[k].messages = b[i].messages;
		T.m[k].unseen = b[i].unseen;
		T.m[k].size = b[i].size;
		T.m[k].highest = b[i].highest_modseq;
	}
	T.done = true;
}

static void
on_all_rows(void *arg, int err, const struct msg_row *rows, size_t n, uint32_t next)
{
	struct mirror *m = arg;

	assert_int_equal(err, 0);
	for (size_t i = 0; i < n; i++) {
		T.n_rows++;
		T.n_unseen += (rows[i].flags & MSG_SEEN) == 0;
		T.sum_size += rows[i].size;
		assert_true(rows[i].modseq <= m->highest);
		assert_true(m->present[rows[i].uid]); /* the follower knows */
		assert_int_equal(m->flags[rows[i].uid], rows[i].flags);
	}
	if (next != 0)
		store_rows(T.s, m->id, next, UINT32_MAX, on_all_rows, m);
	else
		T.done = true;
}

static void
on_all_uids(void *arg, int err, const struct store_uid *u, size_t n, uint32_t next)
{
	struct mirror *m = arg;

	assert_int_equal(err, 0);
	assert_int_equal(next, 0);
	assert_int_equal(n, m->messages);
	for (size_t i = 0; i < n; i++)
		assert_true(m->present[u[i].uid] && m->flags[u[i].uid] == u[i].flags);
	T.done = true;
}

static void
judge(struct mirror *m)
{
	uint32_t known = 0;

	for (int i = 0; i < 200 && (m->asking || m->modseq < m->highest); i++) {
		follow(m);
		loop_run_once(T.l, 20);
	}
	assert_true(m->modseq == m->highest);
	for (uint32_t i = 0; i < UIDS; i++)
		known += m->present[i];
	assert_int_equal(known, m->messages);
	T.n_rows = T.n_unseen = 0;
	T.sum_size = 0;
	store_rows(T.s, m->id, 1, UINT32_MAX, on_all_rows, m);
	wait_done();
	assert_int_equal(T.n_rows, m->messages);
	assert_int_equal(T.n_unseen, m->unseen);
	assert_true(T.sum_size == m->size);
	store_uids(T.s, m->id, 1, on_all_uids, m);
	wait_done();
}

static void
begin(void)
{
	struct buf t;

	T.seed = (uint32_t)time(NULL);
	print_message("seed %u\n", (unsigned)T.seed);
	T.l = loop_new();
	assert_int_equal(stored_run_new(&T.run, NULL), 0);
	T.imap = store_client_new(T.l, T.run.imapd_sock);
	T.ingest = deliver_client_new(T.l, T.run.ingest_sock);
	buf_init(&t, 65536);
	stored_run_ticket(&T.run, "p-1", 0, (int64_t)time(NULL) + 1000, NULL, 0, &t);
	T.s = store_session_new(T.imap, buf_slice(&t), on_session, on_event, NULL, NULL);
	buf_done(&t);
	wait_done();
	store_list(T.s, on_list, NULL);
	wait_done();
}

static void
run(unsigned kills)
{
	uint64_t t0 = loop_now_ms(T.l);
	unsigned killed = 0;

	T.stop = false;
	for (unsigned i = 0; i < ACTORS; i++)
		act(&T.actors[i]);
	for (unsigned i = 0; i < SENDERS; i++)
		send_one(NULL);
	while (loop_now_ms(T.l) - t0 < SECONDS * 1000) {
		loop_run_once(T.l, 20);
		if (killed < kills &&
		    loop_now_ms(T.l) - t0 > (killed + 1) * SECONDS * 1000 / (kills + 1)) {
			killed++;
			stored_run_end(&T.run, SIGKILL);
			stored_run_start(&T.run);
		}
	}
	T.stop = true;
	for (int i = 0; i < 2000 && T.busy > 0; i++)
		loop_run_once(T.l, 10);
	assert_int_equal(T.busy, 0);
	store_list(T.s, on_list, NULL);
	wait_done();
	print_message("%u acts, %u deliveries, %u errors; %u + %u messages\n", T.acts, T.sent,
	    T.errors, T.m[0].messages, T.m[1].messages);
	for (unsigned i = 0; i < BOXES; i++)
		judge(&T.m[i]);
}

static void
mix(void **state)
{
	(void)state;
	begin();
	run(0);
	assert_int_equal(T.errors, 0);
	run(3); /* some fail where stored was killed; what is there must agree all the same */
	/* and once more from disk */
	stored_run_end(&T.run, SIGTERM);
	stored_run_start(&T.run);
	store_list(T.s, on_list, NULL);
	wait_done();
	for (unsigned i = 0; i < BOXES; i++)
		judge(&T.m[i]);
	store_client_free(T.imap);
	deliver_client_free(T.ingest);
	stored_run_done(&T.run);
	loop_free(T.l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(mix)};

	log_init("stored_mix_test", 2);
	log_set_level(LOG_LVL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
