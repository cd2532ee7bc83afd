/* queue_admin.c: what a person does to the queue with congvu: hold, release, retry, delete, show. Runs in smtpd-queue. Invariants: each
 * change is in the log with who made it, and durable before it is answered; a message under way is changed when its delivery ends, so
 * that nobody gets half of it. */
#include "config.h"

#include "smtpd/queue_priv.h"

#include "lib/err.h"
#include "lib/log.h"
#include "smtpd/dsn.h"

#include <string.h>

enum { ADDRESSES_MAX = 1000, HEADER_SHOWN_MAX = 65536 };

static const char *const words[] = {[QUEUE_DO_HOLD] = "hold",
    [QUEUE_DO_RELEASE] = "release",
    [QUEUE_DO_RETRY] = "retry",
    [QUEUE_DO_DELETE] = "delete",
    [QUEUE_DO_BOUNCE] = "bounce"};

struct change {
	uint8_t action;
	struct slice who;
	struct delivery_id id;
	struct slice addresses[ADDRESSES_MAX];
	uint32_t n;
};

static void
log_change(const struct ipc_conn *c, const struct change *ch, const char *result)
{
	struct log_line l;
	char qid[QID_LEN + 1];
	char who[128];
	size_t n = ch->who.len < sizeof(who) ? ch->who.len : sizeof(who) - 1;

	if (n > 0)
		memcpy(who, ch->who.ptr, n);
	who[n] = '\0';
	delivery_id_qid(&ch->id, qid);
	log_begin(&l, LOG_LVL_INFO, "queue_changed_by_hand");
	log_str(&l, "action", words[ch->action]);
	log_str(&l, "qid", qid);
	log_u64(&l, "uid", (uint64_t)ipc_peer_uid(c));
	log_str(&l, "who", who);
	log_u64(&l, "recipients", ch->n);
	log_str(&l, "result", result);
	log_end(&l);
}

static bool
is_named(const struct change *ch, const char *address)
{
	for (uint32_t i = 0; i < ch->n; i++)
		if (slice_eq_str(ch->addresses[i], address))
			return true;
	return ch->n == 0;
}

static int
set_state(const struct delivery_id *id, struct qrow *row, uint8_t state)
{
	struct qdb_put put = {.id = *id, .row = row};

	row->state = state;
	return qdb_put(queue.db, &put, NULL);
}

static int
hold(struct qent *e, struct qrow *row)
{
	/* what a milter holds stays the milter's */
	if (e->state == QUEUE_ST_ONHOLD || e->state == QUEUE_ST_QUARANTINE)
		return 0;
	return set_state(&e->id, row, QUEUE_ST_ONHOLD);
}

static int
release(struct qent *e, struct qrow *row)
{
	if (e->state != QUEUE_ST_ONHOLD)
		return ERR_CONFLICT;
	row->due = queue_now_ms();
	return set_state(&e->id, row, QUEUE_ST_QUEUED);
}

static int
retry(struct qent *e)
{
	if (e->state != QUEUE_ST_QUEUED)
		return ERR_CONFLICT;
	e->hurry = true;
	qdb_hasten(queue.db, e, queue_now_ms());
	return 0;
}

/* Recipients go, or with none named the message; report: its sender is told. */
static int delete (const struct change *ch, struct qrow *row, bool report)
{
	uint8_t *result = arena_calloc(queue.arena, row->env.n_rcpts + 1, 1);
	uint32_t n = 0;

	if (result == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < row->env.n_rcpts; i++) {
		struct envelope_rcpt *x = &row->env.rcpts[i];
		if (x->state == RCPT_DONE || !is_named(ch, x->address))
			continue;
		result[i] = report ? QUEUE_REFUSED : QUEUE_RELAYED; /* of which nobody is told */
		x->why = "5.7.0 Deleted from the queue by an operator";
		x->mta = "";
		n++;
	}
	return n == 0 ? ERR_NOTFOUND : queue_settle(&ch->id, row, result, QUEUE_SETTLE_BY_HAND);
}

/* Does it now. */
static int
apply(const struct change *ch, struct qent *e)
{
	struct qrow row;
	int r = qdb_get(queue.db, &ch->id, queue.arena, &row);

	if (r != 0)
		return r;
	/* what a milter put aside is two officers' business (queue_release.c) */
	if (e->state == QUEUE_ST_QUARANTINE && ch->action != QUEUE_DO_HOLD &&
	    ch->action != QUEUE_DO_RETRY)
		return ERR_DENIED;
	switch (ch->action) {
	case QUEUE_DO_HOLD:
		return hold(e, &row);
	case QUEUE_DO_RELEASE:
		return release(e, &row);
	case QUEUE_DO_RETRY:
		return retry(e);
	default:
		return delete (ch, &row, ch->action == QUEUE_DO_BOUNCE);
	}
}

int
queue_delete(const struct delivery_id *id, struct qrow *row, bool report)
{
	static struct change ch;

	ch = (struct change){.id = *id};
	return delete (&ch, row, report);
}

void
queue_lease_ended(const struct delivery_id *id)
{
	struct qent *e = qdb_find(queue.db, id);
	static struct change ch;
	char qid[QID_LEN + 1];

	ch = (struct change){.id = *id};
	if (e == NULL || e->wish == 0)
		return;
	ch.action = e->wish;
	e->wish = 0;
	if (e->state != QUEUE_ST_QUEUED)
		return;
	delivery_id_qid(id, qid);
	int r = apply(&ch, e);
	log_msg(LOG_LVL_INFO, "queue_changed_late", "%s %s: %s", words[ch.action], qid,
	    r == 0 ? "done" : err_name(r));
}

/* While a relay has it: whole messages only, when it comes back. */
static int
wish(struct ipc_conn *c, uint32_t id, const struct change *ch, struct qent *e)
{
	if (ch->n > 0 || ch->action == QUEUE_DO_RELEASE)
		return ipc_reply_err(c, id, ERR_AGAIN, "it is being delivered now");
	if (ch->action != QUEUE_DO_RETRY)
		e->wish = ch->action;
	log_change(c, ch, "at_the_end_of_the_delivery");
	struct buf b;
	buf_init(&b, 8);
	ipc_put_u8(&b, 2);
	ipc_reply(c, id, QUEUE_CHANGED, &b, -1);
	buf_done(&b);
	return 0;
}

static int
read_change(struct ipc_reader *r, struct change *ch)
{
	ch->action = ipc_get_u8(r);
	ch->who = ipc_get_slice(r);
	delivery_id_get(r, &ch->id);
	ch->n = ipc_get_count(r, ADDRESSES_MAX, 4);
	for (uint32_t i = 0; i < ch->n; i++)
		ch->addresses[i] = ipc_get_slice(r);
	if (ipc_reader_end(r) != 0 || ch->action < QUEUE_DO_HOLD || ch->action > QUEUE_DO_BOUNCE ||
	    slice_index(ch->who, '\0') >= 0 || (ch->n > 0 && ch->action < QUEUE_DO_DELETE))
		return ERR_PROTO;
	return 0;
}

int
queue_msg_change(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	static struct change ch;
	struct buf b;

	ch = (struct change){.action = 0};
	if (read_change(r, &ch) != 0)
		return ERR_PROTO;
	struct qent *e = qdb_find(queue.db, &ch.id);
	if (e == NULL || e->state == QUEUE_ST_DONE || e->state == QUEUE_ST_HELD ||
	    e->state == QUEUE_ST_WATCH)
		return ipc_reply_err(c, id, ERR_NOTFOUND, "no such message");
	if (e->lease != NULL)
		return wish(c, id, &ch, e);
	int err = apply(&ch, e);
	log_change(c, &ch, err == 0 ? "done" : err_name(err));
	if (err != 0)
		return ipc_reply_err(c, id, err, "not changed");
	/* answered when it is durable */
	queue_sync_now();
	buf_init(&b, 8);
	ipc_put_u8(&b, 1);
	ipc_reply(c, id, QUEUE_CHANGED, &b, -1);
	buf_done(&b);
	queue_on_due(NULL);
	return 0;
}

int
queue_msg_show(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	struct delivery_id did;
	struct buf header, b;
	struct qrow row;

	delivery_id_get(r, &did);
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	struct qent *e = qdb_find(queue.db, &did);
	if (e == NULL || e->state == QUEUE_ST_DONE || e->state == QUEUE_ST_HELD ||
	    e->state == QUEUE_ST_WATCH)
		return ipc_reply_err(c, id, ERR_NOTFOUND, "no such message");
	buf_init(&header, KV_VALUE_MAX);
	buf_init(&b, IPC_FRAME_MAX);
	int err = qdb_get(queue.db, &did, queue.arena, &row);
	if (err == 0)
		err = qdb_header(queue.db, &did, &header);
	if (err == 0)
		err = queue_list_put(&b, e, &row);
	if (err == 0)
		err = ipc_put_slice(&b, slice_sub(buf_slice(&header), 0, HEADER_SHOWN_MAX));
	if (err == 0)
		ipc_reply(c, id, QUEUE_SHOWN, &b, -1);
	else
		ipc_reply_err(c, id, err, "the message cannot be read");
	buf_done(&header);
	buf_done(&b);
	return 0;
}
