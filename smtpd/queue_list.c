/* queue_list.c: what congvu shows of the queue: the list of messages, and the numbers of `congvu status`. Runs in smtpd-queue. */
#include "config.h"

#include "smtpd/queue_priv.h"

#include "lib/err.h"
#include "lib/role.h"

#include <string.h>

enum { STATS_MS = 5000, LIST_MAX = 200 };

/* ---- congvu ---- */

struct listing {
	struct buf out;
	uint32_t n, max;
	bool more;
};

/* With a thousand recipients their answers are cut, so that the row finds room in a frame. */
static void
cut_answers(struct envelope *e)
{
	for (uint32_t i = 0; i < e->n_rcpts; i++) {
		struct slice why = slice_str(e->rcpts[i].why);
		if (why.len <= 64)
			continue;
		const char *cut = arena_slicedup(queue.arena, slice_sub(why, 0, 64));
		e->rcpts[i].why = cut == NULL ? "" : cut;
	}
}

int
queue_list_put(struct buf *b, const struct qent *e, struct qrow *row)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < row->env.n_rcpts; i++)
		if (row->env.rcpts[i].state != RCPT_DONE)
			row->env.rcpts[n++] = row->env.rcpts[i];
	row->env.n_rcpts = n;
	if (n > 300)
		cut_answers(&row->env);
	delivery_id_put(b, &e->id);
	ipc_put_u8(b, row->state);
	ipc_put_i64(b, row->arrived);
	ipc_put_i64(b, e->lease != NULL || row->state != QUEUE_ST_QUEUED ? 0 : e->due);
	ipc_put_u32(b, row->attempts);
	ipc_put_u64(b, row->size);
	return envelope_put(b, &row->env);
}

static bool
list_one(void *arg, struct qent *e)
{
	struct listing *l = arg;
	struct qrow row;

	if (e->state == QUEUE_ST_DONE || e->state == QUEUE_ST_HELD || e->state == QUEUE_ST_WATCH)
		return true;
	if (l->n >= l->max || l->out.len > IPC_FRAME_MAX / 2) {
		l->more = true;
		return false;
	}
	size_t before = l->out.len;
	if (qdb_get(queue.db, &e->id, queue.arena, &row) != 0)
		return true;
	if (queue_list_put(&l->out, e, &row) != 0) {
		/* too large for this frame: the start of the next one */
		l->out.err = 0;
		buf_truncate(&l->out, before);
		l->more = l->n > 0;
		return false;
	}
	l->n++;
	return true;
}

int
queue_msg_list(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	struct listing l = {.n = 0};
	struct slice after = ipc_get_slice(r);
	struct delivery_id from;
	struct buf b;

	l.max = ipc_get_u32(r);
	if (ipc_reader_end(r) != 0 || (after.len != 0 && after.len != DELIVERY_ID_LEN))
		return ERR_PROTO;
	if (l.max > LIST_MAX || l.max == 0)
		l.max = LIST_MAX;
	if (after.len > 0)
		memcpy(from.b, after.ptr, DELIVERY_ID_LEN);
	buf_init(&l.out, IPC_FRAME_MAX - 64);
	qdb_each(queue.db, after.len > 0 ? &from : NULL, list_one, &l);
	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_u32(&b, l.n);
	buf_append_slice(&b, buf_slice(&l.out));
	ipc_put_u8(&b, l.more);
	ipc_reply(c, id, QUEUE_LIST_IS, &b, -1);
	buf_done(&l.out);
	buf_done(&b);
	return 0;
}

/* ---- congvu status ---- */

struct totals {
	uint64_t messages, rcpts;
	int64_t oldest;
};

static bool
count_one(void *arg, struct qent *e)
{
	struct totals *t = arg;

	if (e->state != QUEUE_ST_QUEUED && e->state != QUEUE_ST_QUARANTINE &&
	    e->state != QUEUE_ST_ONHOLD)
		return true;
	t->messages++;
	t->rcpts += e->n_rcpts;
	if (t->oldest == 0 || e->arrived < t->oldest)
		t->oldest = e->arrived;
	return true;
}

void
queue_on_stats(void *arg)
{
	struct totals t = {.messages = 0};

	(void)arg;
	qdb_each(queue.db, NULL, count_one, &t);
	role_stat_set(0, t.messages);
	role_stat_set(1, t.rcpts);
	role_stat_set(2, t.oldest == 0 ? 0 : (uint64_t)(queue_now_ms() - t.oldest) / 1000);
	loop_timer_set(queue.stats, STATS_MS);
}
