/* queue_relay.c: what relay asks the queue: the next message, its body, what became of it. Runs in smtpd-queue. Invariants: a
 * leased message is given to nobody else until its relay answers or is gone; a recipient leaves the envelope only by a
 * result that names it; what a crash could take back is given to no relay. */
#include "config.h"

#include "smtpd/queue_priv.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "smtpd/dsn.h"
#include "smtpd/queue_spool.h"

#include <string.h>
#include <unistd.h>

enum {
	CANARY_MS = 3000,
	PUT_OFF_MS = 600000,
	PARK_MS = 600000,
	MTA_MAX = 260,
	JUDGE_MS = 3000,
	JUDGE_MAX_MS = 300000,
	URGENT_MS = 60000,
	URGENT_TRIES = 30
};

/* ---- the store is back ---- */

/* While messages wait for a store that cannot be reached, one of them is tried every few seconds, whatever its time; when a delivery
 * succeeds, all of them are due. */
struct hasten {
	int64_t now;
	bool all, found;
};

static bool
hasten_one(void *arg, struct qent *e)
{
	struct hasten *h = arg;

	if (e->state != QUEUE_ST_QUEUED || !e->unreachable || e->lease != NULL)
		return true;
	qdb_hasten(queue.db, e, h->now);
	h->found = true;
	return h->all;
}

void
queue_on_canary(void *arg)
{
	struct hasten h = {.now = queue_now_ms()};

	(void)arg;
	qdb_each(queue.db, NULL, hasten_one, &h);
	queue.has_unreachable = h.found;
	if (h.found) {
		loop_timer_set(queue.canary, CANARY_MS);
		queue_on_due(NULL);
	}
}

static void
note_reachability(const struct delivery_id *id, bool delivered)
{
	struct qent *e = qdb_find(queue.db, id);
	struct hasten h = {.now = queue_now_ms(), .all = true};

	if (delivered && queue.has_unreachable) {
		queue.has_unreachable = false;
		qdb_each(queue.db, NULL, hasten_one, &h);
	} else if (!delivered && e != NULL && e->unreachable) {
		queue.has_unreachable = true;
		if (!loop_timer_is_set(queue.canary))
			loop_timer_set(queue.canary, CANARY_MS);
	}
}

/* ---- requests ---- */

/* Takes those settled already out of the envelope; gives how many there were. */
static uint32_t
drop_done(struct envelope *e)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < e->n_rcpts; i++)
		if (e->rcpts[i].state != RCPT_DONE)
			e->rcpts[n++] = e->rcpts[i];
	uint32_t dropped = e->n_rcpts - n;
	e->n_rcpts = n;
	return dropped;
}

/* The row as relay is to have it: an attempt that was broken off may have left recipients that are settled. */
static int
row_to_lease(struct qent *e, struct qrow *row)
{
	int r = qdb_get(queue.db, &e->id, queue.arena, row);

	if (r == 0 && drop_done(&row->env) > 0) {
		struct qdb_put put = {.id = e->id, .row = row};
		bool hurry = e->hurry;
		r = qdb_put(queue.db, &put, NULL);
		e->hurry = hurry;
	}
	return r;
}

static int
put_entry(struct buf *b, const struct qent *e, const struct qrow *row)
{
	struct envelope env = row->env;

	if (row->state == QUEUE_ST_WATCH)
		env.n_rcpts = queue_watch_to_ask(row);
	env.rcpts = arena_calloc(queue.arena, env.n_rcpts + 1, sizeof(*env.rcpts));
	if (env.rcpts == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < env.n_rcpts; i++) {
		env.rcpts[i] = row->env.rcpts[i];
		env.rcpts[i].why = env.rcpts[i].mta = "";
	}
	delivery_id_put(b, &e->id);
	ipc_put_u32(b, row->attempts);
	ipc_put_u8(b, e->hurry);
	envelope_put(b, &env);
	return queue_release_put(b, &e->id, row);
}

/* A message that cannot be given stays where it is and is looked at again later; the others go on. */
static void
put_off(struct qent *e, int err)
{
	char qid[QID_LEN + 1];

	delivery_id_qid(&e->id, qid);
	log_msg(LOG_LVL_ERROR, "queue_entry_unreadable", "%s: %s", qid, err_name(err));
	qdb_postpone(queue.db, e, queue_now_ms() + PUT_OFF_MS);
}

int
queue_msg_next(struct ipc_conn *c, uint32_t id)
{
	struct qent *e;
	struct qrow row;
	struct buf b;
	int r = ERR_NOTFOUND;

	/* what a crash could take back is not delivered yet: its client would send it again under another id */
	if (qdb_is_dirty(queue.db))
		queue_sync_now();
	buf_init(&b, IPC_FRAME_MAX);
	while ((e = qdb_next(queue.db, queue_now_ms())) != NULL) {
		arena_reset(queue.arena);
		buf_reset(&b);
		r = row_to_lease(e, &row);
		if (r == 0)
			r = put_entry(&b, e, &row);
		if (r == 0)
			break;
		put_off(e, r);
		r = ERR_NOTFOUND;
	}
	if (r != 0) {
		ipc_reply_err(c, id, r, "nothing is due");
	} else if (ipc_reply(c, id, QUEUE_ENTRY, &b, -1) == 0) {
		qdb_took(queue.db, e);
		qdb_lease(queue.db, e, c);
		e->hurry = false;
	}
	buf_done(&b);
	queue_set_due_timer();
	return 0;
}

int
queue_msg_body(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	struct delivery_id did;
	struct qrow row;
	struct buf header, body, b;
	int fd = -1;

	delivery_id_get(r, &did);
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	buf_init(&header, KV_VALUE_MAX);
	buf_init(&body, KV_VALUE_MAX);
	buf_init(&b, IPC_FRAME_MAX);
	int err = qdb_get(queue.db, &did, queue.arena, &row);
	if (err == 0)
		err = qdb_header(queue.db, &did, &header);
	if (err == 0 && row.has_inline)
		err = qdb_inline(queue.db, &did, &body);
	if (err == 0 && !row.has_inline) {
		fd = qspool_open(&did);
		err = fd < 0 ? fd : 0;
	}
	if (err == 0) {
		ipc_put_slice(&b, buf_slice(&header));
		ipc_put_u64(&b, row.skip);
		ipc_put_u64(&b, row.size);
		ipc_put_u8(&b, row.has_inline);
		err = ipc_put_slice(&b, buf_slice(&body));
	}
	if (err == 0)
		ipc_reply(c, id, QUEUE_BODY_IS, &b, fd);
	else
		ipc_reply_err(c, id, err, "body");
	if (err != 0 && fd >= 0)
		close(fd);
	buf_done(&header);
	buf_done(&body);
	buf_done(&b);
	return 0;
}

/* Reads the results: *result of each recipient, and what was said to them. */
static int
get_results(struct ipc_reader *r, struct envelope *e, uint8_t *result)
{
	uint32_t n = ipc_get_count(r, ENVELOPE_RCPTS_MAX, 13);

	for (uint32_t i = 0; i < n && r->err == 0; i++) {
		uint32_t at = ipc_get_u32(r);
		uint8_t res = ipc_get_u8(r);
		struct slice why = ipc_get_slice(r), mta = ipc_get_slice(r);
		if (at >= e->n_rcpts || res < QUEUE_DELIVERED || res > QUEUE_PASSED ||
		    why.len > 1024 || slice_index(why, '\0') >= 0 || mta.len > MTA_MAX ||
		    slice_index(mta, '\0') >= 0)
			return ERR_PROTO;
		if (e->rcpts[at].state == RCPT_DONE)
			continue;
		result[at] = res;
		e->rcpts[at].why = arena_slicedup(queue.arena, why);
		e->rcpts[at].mta = arena_slicedup(queue.arena, mta);
		if (e->rcpts[at].why == NULL || e->rcpts[at].mta == NULL)
			return ERR_NOMEM;
	}
	return ipc_reader_end(r);
}

uint64_t
queue_wait_after(uint32_t attempts, uint32_t env_flags)
{
	size_t i = attempts == 0 ? 0 : attempts - 1;
	uint64_t ms = queue.waits_ms[i < queue.n_waits ? i : queue.n_waits - 1];
	uint32_t r;

	/* somebody waits for it, and it costs nobody else anything */
	if (env_flags & ENV_JUDGE)
		ms = attempts < 5 ? (uint64_t)JUDGE_MS << attempts : JUDGE_MAX_MS;
	/* for half an hour each minute; what cannot be delivered then waits as all else */
	if ((env_flags & ENV_URGENT) && attempts < URGENT_TRIES && ms > URGENT_MS)
		ms = URGENT_MS;

	random_bytes(&r, sizeof(r));
	return ms * (80 + r % 41) / 100;
}

/* What an attempt, or a part of it, settles. */
struct settling {
	const struct delivery_id *id;
	struct qrow *row;
	const uint8_t *result;
	enum queue_settle kind;
	bool expired; /* the attempt is over, and with it the time */
	struct dsn_rcpt *told;
	size_t n_told;
	uint32_t n_gone, n_failed;
	bool delivered_local;
	uint32_t *have; /* those of our own that have it now */
	size_t n_have;
};

/* What the sender may want to know of recipient i; 0: nothing, it is tried again. */
static enum dsn_action
action_of(const struct settling *s, uint32_t i)
{
	switch (s->result[i]) {
	case QUEUE_DELIVERED:
		return DSN_DELIVERED;
	case QUEUE_RELAYED:
	case QUEUE_PASSED:
		return DSN_RELAYED;
	case QUEUE_REFUSED:
		return DSN_FAILED;
	default:
		return s->expired ? DSN_EXPIRED : 0;
	}
}

static void
mark(struct settling *s)
{
	struct envelope *e = &s->row->env;

	for (uint32_t i = 0; i < e->n_rcpts; i++) {
		enum dsn_action a = action_of(s, i);
		if (e->rcpts[i].state == RCPT_DONE || a == 0)
			continue;
		if (a == DSN_DELIVERED && e->rcpts[i].state == RCPT_LOCAL) {
			s->delivered_local = true;
			s->have[s->n_have++] = i;
		}
		s->n_failed += a == DSN_FAILED || a == DSN_EXPIRED;
		s->n_gone++;
		/* RFC 3461 5.2.2: a server that does DSN tells the rest of it */
		if (s->result[i] != QUEUE_RELAYED)
			s->told[s->n_told++] = (struct dsn_rcpt){i, a};
	}
}

/* Once in the life of a message, who asked is told that it waits. */
static void
mark_delayed(struct settling *s)
{
	struct envelope *e = &s->row->env;
	int64_t after = queue.warn_ms;

	if ((e->flags & ENV_URGENT) && queue.unread_ms > 0 &&
	    (after == 0 || queue.unread_ms < after))
		after = queue.unread_ms;
	bool late = after > 0 && queue_now_ms() - s->row->arrived > after;

	if (s->kind != QUEUE_SETTLE_ATTEMPT || !late || (e->flags & ENV_WARNED))
		return;
	e->flags |= ENV_WARNED;
	for (uint32_t i = 0; i < e->n_rcpts; i++)
		if (e->rcpts[i].state != RCPT_DONE && action_of(s, i) == 0)
			s->told[s->n_told++] = (struct dsn_rcpt){i, DSN_DELAYED};
}

static int
write_settled(struct settling *s, const struct qdb_put *report)
{
	struct envelope *e = &s->row->env;
	int64_t now = queue_now_ms();

	for (uint32_t i = 0; i < e->n_rcpts; i++)
		if (action_of(s, i) != 0)
			e->rcpts[i].state = RCPT_DONE;
	if (s->kind != QUEUE_SETTLE_PART)
		(void)drop_done(e);
	if (e->n_rcpts == 0) {
		int r = qdb_finish(queue.db, s->id, now + QUEUE_DONE_MS, report);
		if (r == 0)
			queue_remove_after_sync(s->id);
		return r;
	}
	if (s->kind == QUEUE_SETTLE_ATTEMPT) {
		s->row->attempts++;
		s->row->due = now + (int64_t)queue_wait_after(s->row->attempts, e->flags);
	}
	struct qdb_put put = {.id = *s->id, .row = s->row};
	return qdb_put(queue.db, &put, report);
}

int
queue_settle(
    const struct delivery_id *id, struct qrow *row, const uint8_t *result, enum queue_settle kind)
{
	struct settling s = {.id = id, .row = row, .result = result, .kind = kind};
	struct queue_bounce b;
	struct queue_watch w;
	struct buf header;

	/* what was held until now has its time from now on */
	int64_t since = (row->env.flags & ENV_RELEASED) ? row->release.at : row->arrived;
	s.expired = kind == QUEUE_SETTLE_ATTEMPT && queue_now_ms() - since > queue.lifetime_ms;
	/* what a person deletes was refused by nobody */
	if (kind == QUEUE_SETTLE_ATTEMPT && queue_release_refused(row, result))
		return queue_release_back(id, row, result);
	s.told = arena_calloc(queue.arena, 2 * (size_t)row->env.n_rcpts + 1, sizeof(*s.told));
	s.have = arena_calloc(queue.arena, (size_t)row->env.n_rcpts + 1, sizeof(*s.have));
	if (s.told == NULL || s.have == NULL)
		return ERR_NOMEM;
	mark(&s);
	mark_delayed(&s);
	buf_init(&header, KV_VALUE_MAX);
	if (s.n_told > 0)
		(void)qdb_header(queue.db, id, &header);
	int r = queue_bounce_make(&b, id, row, buf_slice(&header), s.told, s.n_told);
	int err = queue_watch_make(&w, id, row, buf_slice(&header), s.have, s.n_have);
	if (r == 0)
		r = err;
	if (r == 0 && w.wanted)
		w.put.also = b.wanted ? &b.put : NULL;
	if (r == 0)
		r = write_settled(&s, w.wanted ? &w.put : b.wanted ? &b.put : NULL);
	if (r == 0)
		note_reachability(id, s.delivered_local);
	if (r == 0)
		queue_log_entry(s.n_gone == 0    ? "deferred"
				: s.n_failed > 0 ? "bounced"
						 : "relayed",
		    id, row, 0);
	queue_bounce_done(&b);
	queue_watch_done(&w);
	buf_done(&header);
	return r;
}

/* What the results of a lease say: of a message, or of what watches one, whose parts are taken at its end. */
static int
take_results(const struct delivery_id *did, const struct qent *e, struct qrow *row, uint8_t *result,
    bool last)
{
	if (e->state == QUEUE_ST_QUEUED)
		return queue_settle(
		    did, row, result, last ? QUEUE_SETTLE_ATTEMPT : QUEUE_SETTLE_PART);
	return last ? queue_watch_result(did, row, result) : 0;
}

int
queue_msg_result(struct ipc_conn *c, uint32_t id, struct ipc_reader *r, bool last)
{
	struct delivery_id did;
	struct qrow row;
	int err;

	if (delivery_id_get(r, &did) != 0)
		return ERR_PROTO;
	struct qent *e = qdb_find(queue.db, &did);
	/* no lease: it ended with this process's forerunner, and the relay that had it still knows what became of it */
	if (e == NULL || (e->state != QUEUE_ST_QUEUED && e->state != QUEUE_ST_WATCH) ||
	    (e->lease != c && e->lease != NULL))
		return ipc_reply_err(c, id, ERR_NOTFOUND, "not leased to you");
	if ((err = qdb_get(queue.db, &did, queue.arena, &row)) == 0) {
		uint8_t *result = arena_calloc(queue.arena, row.env.n_rcpts + 1, 1);
		err = result == NULL ? ERR_NOMEM : get_results(r, &row.env, result);
		if (err == ERR_PROTO)
			return err;
		if (err == 0)
			err = take_results(&did, e, &row, result, last);
	}
	e = qdb_find(queue.db, &did);
	if (e != NULL && !last)
		qdb_lease(queue.db, e, c);
	if (err != 0) {
		/* tried again soon: the store knows the delivery id */
		if (e != NULL && last)
			qdb_postpone(queue.db, e, queue_now_ms() + 5000);
		queue_set_due_timer();
		return ipc_reply_err(c, id, err, "the result cannot be kept");
	}
	if (last)
		queue_lease_ended(&did);
	queue_reply_after_sync(c, id);
	return 0;
}

int
queue_msg_back(struct ipc_conn *c, struct ipc_reader *r)
{
	struct delivery_id did;
	uint32_t wait_ms;

	delivery_id_get(r, &did);
	wait_ms = ipc_get_u32(r);
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	struct qent *e = qdb_find(queue.db, &did);
	if (e == NULL || e->lease != c)
		return 0;
	qdb_postpone(queue.db, e, queue_now_ms() + (wait_ms < PUT_OFF_MS ? wait_ms : PUT_OFF_MS));
	queue_lease_ended(&did);
	queue_set_due_timer();
	return 0;
}

/* It waited so long for its destination that this is an attempt: who asked is told of the delay, and in the end that it failed. */
static int
park_is_attempt(const struct delivery_id *id)
{
	struct qrow row;
	int r = qdb_get(queue.db, id, queue.arena, &row);
	uint8_t *result = r != 0 ? NULL : arena_calloc(queue.arena, row.env.n_rcpts + 1, 1);

	if (r != 0 || result == NULL)
		return r != 0 ? r : ERR_NOMEM;
	for (uint32_t i = 0; i < row.env.n_rcpts; i++)
		if (row.env.rcpts[i].state != RCPT_DONE) {
			result[i] = QUEUE_RETRY;
			row.env.rcpts[i].why = "4.4.5 Mail for this destination waits in line";
			row.env.rcpts[i].mta = "";
		}
	return queue_settle(id, &row, result, QUEUE_SETTLE_ATTEMPT);
}

int
queue_msg_park(struct ipc_conn *c, struct ipc_reader *r)
{
	struct delivery_id did;
	int64_t now = queue_now_ms();

	delivery_id_get(r, &did);
	uint64_t name = ipc_get_u64(r);
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	struct qent *e = qdb_find(queue.db, &did);
	if (e == NULL || e->lease != c)
		return 0;
	if (e->state != QUEUE_ST_QUEUED || e->parked_since == 0 ||
	    e->parked_since + PARK_MS > now || park_is_attempt(&did) != 0)
		qdb_park(queue.db, e, name, now, now + PARK_MS);
	queue_lease_ended(&did);
	queue_set_due_timer();
	return 0;
}

int
queue_msg_want(struct ipc_reader *r)
{
	uint64_t name = ipc_get_u64(r);
	uint32_t most = ipc_get_u32(r);

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	qdb_want(queue.db, name, most, queue_now_ms());
	queue_on_due(NULL);
	return 0;
}

/* ---- connections ---- */

int
queue_relay_open(struct ipc_conn *c, void *arg, void **user_out)
{
	(void)arg;
	*user_out = NULL;
	if (queue.n_relays >= QUEUE_CONNS_MAX)
		return ERR_LIMIT;
	queue.relays[queue.n_relays++] = c;
	return 0;
}

struct release {
	struct ipc_conn *conn;
	struct qent *list[1024];
	size_t n;
};

static bool
find_leased(void *arg, struct qent *e)
{
	struct release *rel = arg;

	if (e->lease == rel->conn && rel->n < 1024)
		rel->list[rel->n++] = e;
	return true;
}

/* What a relay had when it ended is due again at once. */
void
queue_relay_close(struct ipc_conn *c, void *arg)
{
	static struct release rel;

	(void)arg;
	for (size_t i = 0; i < queue.n_relays; i++)
		if (queue.relays[i] == c)
			queue.relays[i] = queue.relays[--queue.n_relays];
	do {
		rel = (struct release){.conn = c};
		qdb_each(queue.db, NULL, find_leased, &rel);
		for (size_t i = 0; i < rel.n; i++) {
			struct delivery_id did = rel.list[i]->id;
			qdb_unlease(queue.db, rel.list[i]);
			queue_lease_ended(&did);
		}
	} while (rel.n == 1024);
	/* nobody is left who would want it */
	qdb_want_all(queue.db, queue_now_ms());
	queue_set_due_timer();
}
