/* stored_model_test.c: random operations on a real stored from several sessions, and the same on a simple model, compared after each step: what
 * each call answers, rows, flags, keywords, mod-sequences, counts, quota, octets; and what each session, which watches every mailbox,
 * makes of its changes alone. MODEL_SEED, MODEL_STEPS: a failure is the same again. Runs on the embedded backend, killed now and then, and on the
 * one in memory (stored_mem). */
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
#include "tests/unit/model.h"
#include "tests/unit/stored_run.h"

enum { SESSIONS = 3, WAIT_MS = 20000, BODY_MAX = 3000, KILL_EVERY = 60 };
#define TRACE "X-Model: yes\r\n"

/* What a session knows of a mailbox from its changes alone. */
struct mirror {
	uint64_t modseq, told;
	uint32_t flags[MODEL_UIDS];
	bool present[MODEL_UIDS];
	bool asking;
};
static struct {
	struct loop *l;
	struct stored_run run;
	struct deliver_client *ingest;
	struct store_client *c[SESSIONS];
	struct store_session *s[SESSIONS];
	struct mirror mirror[SESSIONS][MODEL_BOXES];
	struct model m;
	struct buf ticket;
	uint32_t seed, step;
	/* the answer at hand */
	bool done;
	int err;
	uint64_t highest;
	uint32_t uidvalidity, uids[MODEL_MSGS], dst[MODEL_MSGS], next;
	struct store_uid changed[MODEL_MSGS];
	size_t n, n_gone;
	uint32_t gone[MODEL_MSGS];
	bool repeated;
	struct buf bytes;
} T;

static uint32_t
rnd(uint32_t below)
{
	T.seed = T.seed * 1664525u + 1013904223u;
	return (T.seed >> 8) % below;
}

static struct store_session *
some_session(void)
{
	return T.s[rnd(SESSIONS)];
}

static int
answer(int submitted)
{
	uint64_t t0 = loop_now_ms(T.l);

	assert_int_equal(submitted, 0);
	while (!T.done && loop_now_ms(T.l) - t0 < WAIT_MS)
		loop_run_once(T.l, 100);
	assert_true(T.done);
	T.done = false;
	return T.err;
}

static void
finish(int err)
{
	T.err = err;
	T.done = true;
}

/* ---- followers ---- */

static void follow(struct mirror *w);

static unsigned
box_of_mirror(const struct mirror *w)
{
	return (unsigned)((size_t)(w - T.mirror[0]) % MODEL_BOXES);
}

static void
on_changes(void *arg, int err, uint64_t highest, bool more, uint64_t forgotten,
    const struct store_uid *u, size_t n, const uint32_t *x, size_t nx)
{
	struct mirror *w = arg;
	uint64_t last = w->modseq;

	w->asking = false;
	if (err != 0)
		return; /* on_lost, or the next event, asks again */
	assert_true(highest >= w->modseq && forgotten <= w->modseq);
	/* in their order, and nothing twice */
	for (size_t i = 0; i < n; i++) {
		assert_true(u[i].modseq > last && u[i].modseq <= highest);
		last = u[i].modseq;
		w->present[u[i].uid] = true;
		w->flags[u[i].uid] = u[i].flags;
	}
	for (size_t i = 0; i < nx; i++)
		w->present[x[i]] = false;
	w->modseq = highest;
	if (more || w->told > w->modseq)
		follow(w);
}

static void
follow(struct mirror *w)
{
	unsigned who = (unsigned)((size_t)(w - T.mirror[0]) / MODEL_BOXES);

	if (w->asking || T.m.box[box_of_mirror(w)].id == 0)
		return;
	w->asking = true;
	store_changes(T.s[who], T.m.box[box_of_mirror(w)].id, w->modseq, on_changes, w);
}

static void
on_event(void *arg, uint64_t mailbox, uint64_t modseq, bool gone)
{
	struct mirror *w = arg;

	for (unsigned b = 0; b < MODEL_BOXES; b++)
		if (T.m.box[b].id == mailbox && !gone) {
			if (modseq > w[b].told)
				w[b].told = modseq;
			follow(&w[b]);
		}
}

static void
on_lost(void *arg)
{
	struct mirror *w = arg;

	for (unsigned b = 0; b < MODEL_BOXES; b++) {
		w[b].asking = false;
		follow(&w[b]);
	}
}

/* Each has heard of everything by events alone, and knows what the model does. */
static void
check_mirrors(unsigned b)
{
	const struct model_box *box = &T.m.box[b];

	for (unsigned s = 0; s < SESSIONS; s++) {
		struct mirror *w = &T.mirror[s][b];
		uint64_t t0 = loop_now_ms(T.l);
		size_t n = 0;

		while (w->modseq < box->modseq && loop_now_ms(T.l) - t0 < WAIT_MS)
			loop_run_once(T.l, 50);
		assert_true(w->modseq == box->modseq);
		for (size_t i = 0; i < box->n; i++) {
			assert_true(w->present[box->msg[i].uid]);
			assert_int_equal(w->flags[box->msg[i].uid], box->msg[i].flags);
		}
		for (uint32_t uid = 0; uid < MODEL_UIDS; uid++)
			n += w->present[uid];
		assert_int_equal(n, box->n);
	}
}

/* ---- calls ---- */

static void
on_done(void *arg, int err)
{
	(void)arg;
	finish(err);
}

static void
on_rows(void *arg, int err, const struct msg_row *rows, size_t n, uint32_t next)
{
	struct model_box *box = arg;

	assert_int_equal(err, 0);
	for (size_t i = 0; i < n; i++, T.n++) {
		struct model_msg *m = &box->msg[T.n];
		const struct msg_row *r = &rows[i];

		assert_true(T.n < box->n);
		assert_int_equal(r->uid, m->uid);
		assert_int_equal(r->flags, m->flags);
		assert_int_equal(model_keyword_bits(r->keywords), m->keywords);
		assert_int_equal(r->size, m->size + r->trace.len);
		assert_true(r->trace.len == (m->traced ? sizeof TRACE - 1 : 0));
		assert_true(r->modseq <= box->modseq);
		if (m->modseq == 0)
			m->modseq = r->modseq; /* it changed, and says now when */
		assert_true(r->modseq == m->modseq);
	}
	T.next = next;
	finish(0);
}

static void
on_list(void *arg, int err, const struct mbox_info *v, size_t n)
{
	size_t seen = 0;

	(void)arg;
	assert_int_equal(err, 0);
	for (size_t i = 0; i < n; i++)
		for (unsigned b = 0; b < MODEL_BOXES; b++) {
			struct model_box *box = &T.m.box[b];

			if (!box->there || !slice_eq_str(v[i].name, box->name))
				continue;
			seen++;
			if (box->id == 0) {
				box->id = v[i].id;
				assert_true(v[i].uidvalidity > box->uidvalidity);
				box->uidvalidity = v[i].uidvalidity;
				box->modseq = v[i].highest_modseq;
			}
			assert_true(v[i].id == box->id);
			assert_int_equal(v[i].uidvalidity, box->uidvalidity);
			assert_int_equal(v[i].uidnext, box->uidnext);
			assert_int_equal(v[i].messages, box->n);
			assert_int_equal(v[i].unseen, model_count(box, MSG_SEEN, 0));
			assert_int_equal(v[i].deleted, model_count(box, MSG_DELETED, MSG_DELETED));
			assert_true(v[i].size == model_octets(box, sizeof TRACE - 1));
			/* what was told, or more: an operation that changed nothing may count */
			assert_true(v[i].highest_modseq >= box->modseq);
			box->modseq = v[i].highest_modseq;
		}
	assert_int_equal(seen, model_boxes(&T.m));
	for (size_t i = 0; i < n; i++)
		assert_true(model_is_ours(&T.m, v[i].name) || v[i].messages == 0);
	finish(0);
}

static void
on_quota(void *arg, int err, const struct store_quota *q)
{
	uint64_t octets = 0, messages = 0;

	(void)arg;
	assert_int_equal(err, 0);
	for (unsigned b = 0; b < MODEL_BOXES; b++) {
		octets += model_octets(&T.m.box[b], sizeof TRACE - 1);
		messages += T.m.box[b].n;
	}
	assert_true(q->octets == octets && q->messages == messages);
	finish(0);
}

static void
on_bytes(void *arg, int err, struct slice bytes)
{
	(void)arg;
	buf_reset(&T.bytes);
	buf_append_slice(&T.bytes, bytes);
	finish(err);
}

static size_t
body_of(uint32_t n, unsigned char *out)
{
	size_t len = 10 + n * 7919u % (BODY_MAX - 10);

	for (size_t i = 0; i < len; i++)
		out[i] = (unsigned char)(n / 3 * 31 + i * (n / 3 % 7 + 1));
	return len;
}

static void
check_bytes(unsigned b)
{
	const struct model_box *box = &T.m.box[b];
	const struct model_msg *m;
	unsigned char want[BODY_MAX];
	size_t trace, len;

	if (box->n == 0)
		return;
	m = &box->msg[rnd((uint32_t)box->n)];
	trace = m->traced ? sizeof TRACE - 1 : 0;
	len = body_of(m->n, want);
	assert_int_equal(
	    answer(store_body(some_session(), box->id, m->uid, 0, 65536, on_bytes, NULL)), 0);
	assert_int_equal(T.bytes.len, trace + len);
	assert_memory_equal(T.bytes.data, TRACE, trace);
	assert_memory_equal(T.bytes.data + trace, want, len);
}

static void
check_box(unsigned b)
{
	struct model_box *box = &T.m.box[b];
	uint64_t last = 0;

	if (!box->there)
		return;
	T.n = 0;
	T.next = 1;
	while (T.next != 0)
		assert_int_equal(
		    answer(store_rows(some_session(), box->id, T.next, UINT32_MAX, on_rows, box)),
		    0);
	assert_int_equal(T.n, box->n);
	for (size_t i = 0; i < box->n; i++) { /* no two of a mailbox have the same */
		last = box->msg[i].modseq;
		for (size_t k = 0; k < i; k++)
			assert_true(box->msg[k].modseq != last);
	}
	check_bytes(b);
	check_mirrors(b);
}

static void
check_all(void)
{
	assert_int_equal(answer(store_list(some_session(), on_list, NULL)), 0);
	assert_int_equal(answer(store_quota(some_session(), slice_str(""), on_quota, NULL)), 0);
	for (unsigned b = 0; b < MODEL_BOXES; b++)
		check_box(b);
}

/* ---- steps ---- */

static void
on_opened(void *arg, int err, const struct store_opened *o)
{
	(void)arg;
	(void)o;
	finish(err);
}

/* Everybody watches a mailbox from its beginning. */
static void
watch_all(unsigned b)
{
	for (unsigned s = 0; s < SESSIONS; s++) {
		memset(&T.mirror[s][b], 0, sizeof T.mirror[s][b]);
		assert_int_equal(
		    answer(store_open(T.s[s], T.m.box[b].id, false, true, on_opened, NULL)), 0);
		follow(&T.mirror[s][b]);
	}
}

static void
fill(struct deliver_message *d, uint32_t n, unsigned char *body)
{
	*d = (struct deliver_message){.fd = -1, .envelope = slice_str("(E)")};
	d->body = slice_of(body, body_of(n, body));
	d->size = d->body.len;
	sha256_of(d->body, d->sha256);
	snprintf((char *)d->id, sizeof d->id, "model %u", (unsigned)n);
}

static void
on_delivered(void *arg, int err, const struct deliver_result *r, size_t n)
{
	(void)arg;
	if (err == 0) {
		assert_int_equal(n, 1);
		T.uids[0] = r->uid;
		T.repeated = r->repeated;
		T.uidvalidity = r->uidvalidity;
		err = r->err;
	}
	finish(err);
}

static void
deliver(void)
{
	struct deliver_target t = {
	    .account = slice_str("p-1"), .mailbox = slice_str("INBOX"), .trace = slice_str(TRACE)};
	bool again = T.m.next > 0 && rnd(6) == 0;
	uint32_t n = again ? rnd(T.m.next) : T.m.next;
	struct model_box *box = &T.m.box[0];
	struct deliver_message d;
	unsigned char body[BODY_MAX];

	if (box->n == MODEL_MSGS || box->uidnext >= MODEL_UIDS || n >= MODEL_TOTAL)
		return;
	if (again && !T.m.delivered[n])
		return;
	fill(&d, n, body);
	assert_int_equal(
	    answer(deliver_send(T.ingest, &d, &t, 1, 10000, on_delivered, NULL, NULL)), 0);
	assert_int_equal(T.repeated, again);
	if (again)
		return;
	T.m.delivered[n] = true;
	T.m.next += n == T.m.next;
	assert_int_equal(T.uids[0], model_add(box, n, d.size, true, 0, 0));
	assert_int_equal(T.uidvalidity, box->uidvalidity);
}

static void
on_appended(void *arg, int err, uint32_t uidvalidity, uint32_t uid)
{
	(void)arg;
	T.uidvalidity = uidvalidity;
	T.uids[0] = uid;
	finish(err);
}

static void
append(void)
{
	struct model_box *box = &T.m.box[rnd(MODEL_BOXES)];
	unsigned kw = rnd(4);
	struct deliver_append a = {.ticket = buf_slice(&T.ticket),
	    .mailbox = box->id,
	    .flags = rnd(32),
	    .keywords = slice_str(model_keywords(kw)),
	    .last = true};
	struct deliver_message d;
	unsigned char body[BODY_MAX];
	uint32_t n = T.m.next;

	if (!box->there || box->n == MODEL_MSGS || box->uidnext >= MODEL_UIDS || n >= MODEL_TOTAL)
		return;
	T.m.next++;
	fill(&d, n, body);
	assert_int_equal(
	    answer(deliver_append(T.ingest, &d, &a, 10000, on_appended, NULL, NULL)), 0);
	assert_int_equal(T.uids[0], model_add(box, n, d.size, false, a.flags, kw));
	assert_int_equal(T.uidvalidity, box->uidvalidity);
}

/* Some UIDs of a mailbox, ascending, some of them not there. */
static size_t
choose(const struct model_box *box, uint32_t *uids)
{
	size_t n = 0;
	uint32_t some = 1 + rnd(4);

	for (uint32_t uid = 1; uid < box->uidnext && n < 40; uid++)
		if (rnd(some + 1) == 0 && (model_find(box, uid) != NULL || rnd(4) == 0))
			uids[n++] = uid;
	return n;
}

static void
on_flags(void *arg, int err, uint64_t highest, const struct store_flagged *u, size_t n,
    const uint32_t *x, size_t nx)
{
	(void)arg;
	T.highest = highest;
	T.n = n;
	T.n_gone = nx;
	for (size_t i = 0; i < n; i++)
		T.changed[i] = (struct store_uid){u[i].uid, u[i].flags, u[i].modseq};
	if (nx > 0)
		memcpy(T.gone, x, nx * sizeof *x);
	finish(err);
}

static void
flags(void)
{
	struct model_box *box = &T.m.box[rnd(MODEL_BOXES)];
	enum store_op how = (enum store_op)rnd(3);
	uint32_t uids[64], v = rnd(32);
	unsigned kw = rnd(4);
	uint64_t since = rnd(3) == 0 ? box->modseq - rnd(6) % (box->modseq + 1) : UINT64_MAX;
	size_t n, conflicts = 0, k = 0;

	if (!box->there || (n = choose(box, uids)) == 0)
		return;
	assert_int_equal(answer(store_flags(some_session(), box->id, uids, n, how, v,
			     slice_str(model_keywords(kw)), since, on_flags, NULL)),
	    0);
	for (size_t i = 0; i < n; i++) {
		struct model_msg *m = model_find(box, uids[i]);

		if (m == NULL)
			continue;
		if (m->modseq > since) {
			assert_true(conflicts < T.n_gone);
			assert_int_equal(T.gone[conflicts++], m->uid);
			continue;
		}
		model_change(m, (int)how, v, kw);
		for (k = 0; k < T.n && T.changed[k].uid != m->uid; k++)
			continue;
		if (k == T.n)
			continue; /* as it was; its row is compared in any case */
		assert_int_equal(T.changed[k].flags, m->flags);
		assert_true(T.changed[k].modseq <= T.highest);
		m->modseq = T.changed[k].modseq;
	}
	assert_int_equal(conflicts, T.n_gone);
	assert_true(T.highest >= box->modseq);
	box->modseq = T.highest;
}

static void
on_expunged(void *arg, int err, uint64_t highest, const uint32_t *x, size_t nx)
{
	(void)arg;
	T.highest = highest;
	T.n_gone = nx;
	if (nx > 0)
		memcpy(T.gone, x, nx * sizeof *x);
	finish(err);
}

static void
expunge(void)
{
	struct model_box *box = &T.m.box[rnd(MODEL_BOXES)];
	bool only = rnd(3) > 0;
	uint32_t uids[64];
	size_t n, gone = 0;

	if (!box->there)
		return;
	n = choose(box, uids);
	if (n == 0 && !only)
		return;
	assert_int_equal(
	    answer(store_expunge(some_session(), box->id, uids, n, only, on_expunged, NULL)), 0);
	for (size_t i = 0; i < box->n;) {
		struct model_msg *m = &box->msg[i];
		bool named = n == 0;

		for (size_t k = 0; k < n; k++)
			named = named || uids[k] == m->uid;
		if (!named || (only && (m->flags & MSG_DELETED) == 0)) {
			i++;
			continue;
		}
		assert_true(gone < T.n_gone);
		assert_int_equal(T.gone[gone++], m->uid);
		model_remove(box, i);
	}
	assert_int_equal(gone, T.n_gone);
	assert_true(gone == 0 ? T.highest >= box->modseq : T.highest > box->modseq);
	box->modseq = T.highest;
}

static void
on_copied(
    void *arg, int err, uint32_t uidvalidity, const uint32_t *src, const uint32_t *dst, size_t n)
{
	(void)arg;
	T.n = n;
	T.uidvalidity = uidvalidity;
	if (n > 0) {
		memcpy(T.uids, src, n * sizeof *src);
		memcpy(T.dst, dst, n * sizeof *dst);
	}
	finish(err);
}

static void
copy(bool move)
{
	struct model_box *box = &T.m.box[rnd(MODEL_BOXES)], *to = &T.m.box[rnd(MODEL_BOXES)];
	uint32_t uids[64];
	unsigned char id[16];
	size_t n, k = 0;
	int err;

	if (!box->there || !to->there || (move && box == to) || to->uidnext + 64 >= MODEL_UIDS ||
	    to->n + 64 >= MODEL_MSGS || (n = choose(box, uids)) == 0)
		return;
	for (size_t i = 0; i < sizeof id; i++)
		id[i] = (unsigned char)rnd(256);
	err =
	    move ? answer(store_move(some_session(), box->id, uids, n, to->id, id, on_copied, NULL))
		 : answer(store_copy(some_session(), box->id, uids, n, to->id, on_copied, NULL));
	assert_int_equal(err, 0);
	assert_int_equal(T.uidvalidity, to->uidvalidity);
	for (size_t i = 0; i < n; i++) {
		struct model_msg *m = model_find(box, uids[i]), was;

		if (m == NULL)
			continue;
		was = *m;
		assert_true(k < T.n);
		assert_int_equal(T.uids[k], was.uid);
		assert_int_equal(T.dst[k++],
		    model_add(to, was.n, was.size, was.traced, was.flags, was.keywords));
		if (move)
			model_remove(box, (size_t)(model_find(box, uids[i]) - box->msg));
	}
	assert_int_equal(k, T.n);
}

/* CREATE, RENAME, DELETE. */
static void
mailbox(void)
{
	unsigned b = 2 + rnd(MODEL_BOXES - 2);
	struct model_box *box = &T.m.box[b];
	struct store_session *s = some_session();
	char name[16];

	if (!box->there) {
		model_make(&T.m, b);
		assert_int_equal(
		    answer(store_create(s, slice_str(""), slice_str(box->name), 0, on_done, NULL)),
		    0);
		assert_int_equal(
		    answer(store_create(s, slice_str(""), slice_str(box->name), 0, on_done, NULL)),
		    ERR_EXISTS);
		assert_int_equal(answer(store_list(s, on_list, NULL)), 0);
		watch_all(b);
	} else if (rnd(2) == 0) {
		snprintf(name, sizeof name, "%s", box->name);
		name[0] = name[0] == 'D' ? 'R' : 'D';
		assert_int_equal(
		    answer(store_rename(s, box->id, slice_str(name), on_done, NULL)), 0);
		memcpy(box->name, name, sizeof box->name);
	} else {
		assert_int_equal(answer(store_delete(s, box->id, on_done, NULL)), 0);
		box->there = false;
		box->id = 0;
		box->n = 0;
		for (unsigned k = 0; k < SESSIONS; k++)
			memset(&T.mirror[k][b], 0, sizeof T.mirror[k][b]);
	}
}

static void
on_session(void *arg, int err)
{
	(void)arg;
	finish(err);
}

/* kill -9: what was answered is there, and everybody goes on by himself. */
static void
kill_it(void)
{
	stored_run_end(&T.run, SIGKILL);
	assert_int_equal(stored_run_start(&T.run), 0);
	for (int i = 0; i < 200; i++) {
		struct deliver_message d;
		unsigned char body[BODY_MAX];

		if (answer(store_quota(T.s[0], slice_str(""), on_quota, NULL)) == 0 &&
		    answer(store_quota(T.s[1], slice_str(""), on_quota, NULL)) == 0)
			break;
		(void)d;
		(void)body;
	}
}

static void
step(bool kills)
{
	static void (*const steps[])(void) = {
	    deliver, deliver, deliver, append, flags, flags, flags, expunge, mailbox};
	uint32_t what = rnd(11);

	if (kills && rnd(KILL_EVERY) == 0)
		kill_it();
	else if (what < 9)
		steps[what]();
	else
		copy(what == 9);
	check_all();
}

static void
begin(void)
{
	T.l = loop_new();
	assert_int_equal(stored_run_new(&T.run, "quota_mb = 1000\n"), 0);
	T.ingest = deliver_client_new(T.l, T.run.ingest_sock);
	buf_init(&T.ticket, 65536);
	buf_init(&T.bytes, 1 << 20);
	stored_run_ticket(&T.run, "p-1", 0, (int64_t)time(NULL) + 100000, NULL, 0, &T.ticket);
	memset(&T.m, 0, sizeof T.m);
	memset(T.mirror, 0, sizeof T.mirror);
	model_make(&T.m, 0);
	model_make(&T.m, 1);
	for (unsigned s = 0; s < SESSIONS; s++) {
		T.c[s] = store_client_new(T.l, T.run.imapd_sock);
		T.s[s] = store_session_new(
		    T.c[s], buf_slice(&T.ticket), on_session, on_event, on_lost, T.mirror[s]);
		assert_int_equal(answer(0), 0);
	}
	assert_int_equal(answer(store_list(T.s[0], on_list, NULL)), 0);
	watch_all(0);
	watch_all(1);
}

static void
run(const char *bin, bool kills)
{
	const char *seed = getenv("MODEL_SEED"), *steps = getenv("MODEL_STEPS");
	uint32_t n = steps == NULL ? 300 : (uint32_t)strtoul(steps, NULL, 10);

	T.seed = seed == NULL ? (uint32_t)time(NULL) : (uint32_t)strtoul(seed, NULL, 10);
	print_message("%s: MODEL_SEED=%u MODEL_STEPS=%u\n", bin, (unsigned)T.seed, (unsigned)n);
	setenv("STORED_BIN", bin, 1);
	begin();
	for (T.step = 0; T.step < n; T.step++)
		step(kills);
	for (unsigned s = 0; s < SESSIONS; s++)
		store_client_free(T.c[s]);
	deliver_client_free(T.ingest);
	stored_run_done(&T.run);
	buf_done(&T.ticket);
	buf_done(&T.bytes);
	loop_free(T.l);
}

static void
embedded(void **state)
{
	(void)state;
	run("./congvu-stored-db", true);
}

static void
in_memory(void **state)
{
	(void)state;
	run("tests/unit/stored_mem", false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(embedded), cmocka_unit_test(in_memory)};

	log_init("stored_model_test", 2);
	log_set_level(LOG_LVL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
