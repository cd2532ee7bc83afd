/* queue_relay.c: what relay asks the queue: the next message, its body, what became of it. Runs in smtpd-queue. Invariants: a
 * leased message is given to nobody else until its relay answers or is gone; a recipient leaves the envelope only by a
 * result that names it. */
#include "config.h"

#include "smtpd/queue_priv.h"

#include "lib/err.h"
#include "lib/log.h"
#include "smtpd/queue_spool.h"

#include <string.h>
#include <unistd.h>

enum { CANARY_MS = 3000 };

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

int
queue_msg_next(struct ipc_conn *c, uint32_t id)
{
	struct qent *e = qdb_first(queue.db);
	struct qrow row;
	struct buf b;
	int r;

	if (e == NULL || e->due > queue_now_ms() || e->state != QUEUE_ST_QUEUED)
		return ipc_reply_err(c, id, ERR_NOTFOUND, "nothing is due");
	if ((r = qdb_get(queue.db, &e->id, queue.arena, &row)) != 0)
		return ipc_reply_err(c, id, r, "row");
	qdb_lease(queue.db, e, c);
	buf_init(&b, IPC_FRAME_MAX);
	delivery_id_put(&b, &e->id);
	ipc_put_u32(&b, row.attempts);
	r = envelope_put(&b, &row.env);
	if (r == 0)
		ipc_reply(c, id, QUEUE_ENTRY, &b, -1);
	else
		ipc_reply_err(c, id, r, "envelope");
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

/* Reads the results into the envelope: *keep and the failed ones get their marks (state, why). */
static int
get_results(struct ipc_reader *r, struct envelope *e, uint8_t *result)
{
	uint32_t n = ipc_get_count(r, ENVELOPE_RCPTS_MAX, 9);

	for (uint32_t i = 0; i < n && r->err == 0; i++) {
		uint32_t at = ipc_get_u32(r);
		uint8_t res = ipc_get_u8(r);
		struct slice why = ipc_get_slice(r);
		if (at >= e->n_rcpts || res < QUEUE_DELIVERED || res > QUEUE_REFUSED ||
		    why.len > 1024 || slice_index(why, '\0') >= 0)
			return ERR_PROTO;
		result[at] = res;
		e->rcpts[at].why = arena_slicedup(queue.arena, why);
		if (e->rcpts[at].why == NULL)
			return ERR_NOMEM;
	}
	return ipc_reader_end(r);
}

static uint64_t
wait_after(uint32_t attempts)
{
	size_t i = attempts == 0 ? 0 : attempts - 1;

	return queue.waits_ms[i < queue.n_waits ? i : queue.n_waits - 1];
}

/* What is left after an attempt: a later one, a report, or nothing. */
static int
settle(const struct delivery_id *id, struct qrow *row, const uint8_t *result)
{
	uint32_t *failed = arena_calloc(queue.arena, row->env.n_rcpts + 1, sizeof(uint32_t));
	uint32_t *gone = arena_calloc(queue.arena, row->env.n_rcpts + 1, sizeof(uint32_t));
	int64_t now = queue_now_ms();
	bool expired = now - row->arrived > queue.lifetime_ms;
	size_t n_failed = 0, n_gone = 0;
	bool delivered_local = false;
	struct queue_bounce b;
	struct buf header;

	if (failed == NULL || gone == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < row->env.n_rcpts; i++) {
		bool fails =
		    result[i] == QUEUE_REFUSED || (expired && result[i] != QUEUE_DELIVERED);
		delivered_local |=
		    result[i] == QUEUE_DELIVERED && row->env.rcpts[i].state == RCPT_LOCAL;
		if (fails)
			failed[n_failed++] = i;
		if (fails || result[i] == QUEUE_DELIVERED)
			gone[n_gone++] = i;
	}
	buf_init(&header, KV_VALUE_MAX);
	if (n_failed > 0)
		(void)qdb_header(queue.db, id, &header);
	int r = queue_bounce_make(&b, id, row, buf_slice(&header), failed, n_failed, expired);
	if (r == 0 && n_gone == row->env.n_rcpts) {
		r = qdb_finish(queue.db, id, now + QUEUE_DONE_MS, b.wanted ? &b.put : NULL);
		if (r == 0)
			queue_remove_after_sync(id);
	} else if (r == 0) {
		struct qdb_put put = {.id = *id, .row = row};
		queue_envelope_without(&row->env, gone, n_gone);
		row->attempts++;
		row->due = now + (int64_t)wait_after(row->attempts);
		r = qdb_put(queue.db, &put, b.wanted ? &b.put : NULL);
	}
	if (r == 0)
		note_reachability(id, delivered_local);
	if (r == 0)
		queue_log_entry(n_gone == 0    ? "deferred"
				: n_failed > 0 ? "bounced"
					       : "relayed",
		    id, row, 0);
	queue_bounce_done(&b);
	buf_done(&header);
	return r;
}

int
queue_msg_result(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	struct delivery_id did;
	struct qrow row;
	int err;

	if (delivery_id_get(r, &did) != 0)
		return ERR_PROTO;
	struct qent *e = qdb_find(queue.db, &did);
	if (e == NULL || e->lease != c)
		return ipc_reply_err(c, id, ERR_NOTFOUND, "not leased to you");
	if ((err = qdb_get(queue.db, &did, queue.arena, &row)) == 0) {
		uint8_t *result = arena_calloc(queue.arena, row.env.n_rcpts + 1, 1);
		err = result == NULL ? ERR_NOMEM : get_results(r, &row.env, result);
		if (err == ERR_PROTO)
			return err;
		if (err == 0)
			err = settle(&did, &row, result);
	}
	if (err != 0) {
		/* tried again soon: the store knows the delivery id */
		e->due = queue_now_ms() + 5000;
		qdb_unlease(queue.db, e);
		queue_set_due_timer();
		return ipc_reply_err(c, id, err, "the result cannot be kept");
	}
	queue_reply_after_sync(c, id);
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
		for (size_t i = 0; i < rel.n; i++)
			qdb_unlease(queue.db, rel.list[i]);
	} while (rel.n == 1024);
	queue_set_due_timer();
}
