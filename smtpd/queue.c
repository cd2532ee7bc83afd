/* queue.c: the smtpd-queue role: keeps what cannot be delivered at once. One thread; the only one with this Berkeley DB
 * environment and spool. Invariants: an answer to COMMIT, HOLD and RESULT goes out after the sync that covers it (requests that arrive
 * while a sync is under way share the next one); a leased message is given to nobody else until its relay answers or is
 * gone; what cannot be delivered for good is reported to its sender in the transaction that removes it. RFC 3461, 3464. */
#include "config.h"

#include "smtpd/queue_db.h"
#include "smtpd/queue_spool.h"

#include "lib/crypto.h"
#include "lib/date.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"
#include "smtpd/dsn.h"
#include "smtpd/smtp_parse.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	STATS_MS = 5000,
	CANARY_MS = 3000,
	HOLD_MS = 600000,
	DONE_MS = 600000,
	LIST_MAX = 200,
	WAITS_MAX = 32,
	MAX_CONNS = 256
};

/* A request whose answer waits for the sync. */
struct waiting {
	struct ipc_conn *conn;
	uint32_t id;
	struct waiting *next;
};

static struct queue {
	struct loop *loop;
	struct qdb *db;
	struct loop_defer *sync;
	struct loop_timer *due, *stats, *canary;
	bool has_unreachable;
	struct waiting *waiting;
	struct ipc_conn *relays[MAX_CONNS];
	size_t n_relays;
	struct ipc_server *servers[3];
	const char *hostname;
	uint64_t waits_ms[WAITS_MAX];
	size_t n_waits;
	int64_t lifetime_ms;
	uint64_t last_us;
	unsigned char instance;
	struct arena *arena; /* of the request under way */
} q;

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct delivery_id
new_id(void)
{
	struct timespec ts;
	struct delivery_id id;

	clock_gettime(CLOCK_REALTIME, &ts);
	uint64_t us = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	if (us <= q.last_us)
		us = q.last_us + 1; /* the clock may stand or go back: ids do not */
	q.last_us = us;
	for (int i = 0; i < 7; i++)
		id.b[i] = (unsigned char)(us >> (48 - 8 * i));
	id.b[7] = q.instance;
	random_bytes(id.b + 8, 8);
	return id;
}

/* ---- when ---- */

static void
set_due_timer(void)
{
	struct qent *e = qdb_first(q.db);
	int64_t now = now_ms();

	if (e == NULL)
		loop_timer_stop(q.due);
	else
		loop_timer_set(q.due, e->due > now ? (uint64_t)(e->due - now) : 0);
}

static void
drop(struct qent *e)
{
	struct delivery_id id = e->id;

	if (qdb_drop(q.db, &id) == 0)
		qspool_remove(&id);
}

/* Something is due: what is over goes, for the rest a relay is woken. */
static void
on_due(void *arg)
{
	struct qent *e;
	int64_t now = now_ms();

	(void)arg;
	while ((e = qdb_first(q.db)) != NULL && e->due <= now && e->state != QUEUE_ST_QUEUED) {
		size_t before = qdb_count(q.db);
		drop(e);
		if (qdb_count(q.db) == before)
			break; /* no room to write: later */
	}
	if (e != NULL && e->due <= now && e->state == QUEUE_ST_QUEUED) {
		for (size_t i = 0; i < q.n_relays; i++)
			(void)ipc_notify(q.relays[i], QUEUE_WAKE, NULL);
		/* asked again in a while should no relay be there */
		loop_timer_set(q.due, 1000);
		return;
	}
	set_due_timer();
}

static void
on_sync(void *arg)
{
	struct waiting *w = q.waiting;

	(void)arg;
	q.waiting = NULL;
	/* whether it was done cannot be known: recovery will tell */
	if (qdb_sync(q.db) != 0)
		fatal("the queue cannot be synced");
	while (w != NULL) {
		struct waiting *next = w->next;
		(void)ipc_reply_ok(w->conn, w->id);
		ipc_release(w->conn);
		free(w);
		w = next;
	}
	on_due(NULL);
}

static void
reply_after_sync(struct ipc_conn *c, uint32_t id)
{
	struct waiting *w = xcalloc(1, sizeof(*w));

	ipc_hold(c);
	w->conn = c;
	w->id = id;
	w->next = q.waiting;
	q.waiting = w;
	loop_defer_set(q.sync);
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

	if (e->state != QUEUE_ST_QUEUED && e->state != QUEUE_ST_QUARANTINE)
		return true;
	t->messages++;
	t->rcpts += e->n_rcpts;
	if (t->oldest == 0 || e->arrived < t->oldest)
		t->oldest = e->arrived;
	return true;
}

static void
on_stats(void *arg)
{
	struct totals t = {.messages = 0};

	(void)arg;
	qdb_each(q.db, NULL, count_one, &t);
	role_stat_set(0, t.messages);
	role_stat_set(1, t.rcpts);
	role_stat_set(2, t.oldest == 0 ? 0 : (uint64_t)(now_ms() - t.oldest) / 1000);
	loop_timer_set(q.stats, STATS_MS);
}

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
	qdb_hasten(q.db, e, h->now);
	h->found = true;
	return h->all;
}

static void
on_canary(void *arg)
{
	struct hasten h = {.now = now_ms()};

	(void)arg;
	qdb_each(q.db, NULL, hasten_one, &h);
	q.has_unreachable = h.found;
	if (h.found) {
		loop_timer_set(q.canary, CANARY_MS);
		on_due(NULL);
	}
}

static void
note_reachability(const struct delivery_id *id, bool delivered)
{
	struct qent *e = qdb_find(q.db, id);
	struct hasten h = {.now = now_ms(), .all = true};

	if (delivered && q.has_unreachable) {
		q.has_unreachable = false;
		qdb_each(q.db, NULL, hasten_one, &h);
	} else if (!delivered && e != NULL && e->unreachable) {
		q.has_unreachable = true;
		if (!loop_timer_is_set(q.canary))
			loop_timer_set(q.canary, CANARY_MS);
	}
}

/* ---- smtpd-session ---- */

static int
get_id(struct ipc_reader *r, struct delivery_id *id)
{
	struct slice s = ipc_get_slice(r);

	if (r->err == 0 && s.len != DELIVERY_ID_LEN)
		r->err = ERR_PROTO;
	if (r->err == 0)
		memcpy(id->b, s.ptr, DELIVERY_ID_LEN);
	return r->err;
}

static void
put_id(struct buf *b, const struct delivery_id *id)
{
	ipc_put_slice(b, slice_of(id->b, DELIVERY_ID_LEN));
}

static int
msg_open(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	uint64_t size = ipc_get_u64(r);
	struct delivery_id did;
	struct buf b;

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	/* the spool file, a bounce, and the log of both */
	if (!qspool_has_room(size * 2))
		return ipc_reply_err(c, id, ERR_FULL, "no room in the queue");
	did = new_id();
	buf_init(&b, 64);
	put_id(&b, &did);
	ipc_reply(c, id, QUEUE_OPENED, &b, -1);
	buf_done(&b);
	return 0;
}

static int
msg_tmpfile(struct ipc_conn *c, uint32_t id)
{
	int fd = qspool_tmpfile();

	if (fd < 0)
		return ipc_reply_err(c, id, fd, "no temporary file");
	ipc_reply(c, id, QUEUE_TMPFILE_IS, NULL, fd);
	return 0;
}

struct incoming {
	struct delivery_id id;
	struct qrow row;
	struct slice header, body;
};

static int
get_incoming(struct ipc_reader *r, struct incoming *in)
{
	*in = (struct incoming){.row = {.arrived = now_ms()}};
	get_id(r, &in->id);
	int err = envelope_get(r, q.arena, &in->row.env);
	in->header = ipc_get_slice(r);
	in->row.skip = ipc_get_u64(r);
	in->row.size = ipc_get_u64(r);
	in->row.has_inline = ipc_get_u8(r) != 0;
	in->body = ipc_get_slice(r);
	if (err == ERR_NOMEM)
		return err;
	if (ipc_reader_end(r) != 0 || in->row.skip > in->row.size || in->header.len == 0 ||
	    (in->row.has_inline && in->body.len != in->row.size - in->row.skip))
		return ERR_PROTO;
	return 0;
}

/* Recipients that the session says are refused for good, in env order. */
static size_t
failed_of(const struct envelope *e, uint32_t **list)
{
	size_t n = 0;

	*list = arena_calloc(q.arena, e->n_rcpts + 1, sizeof(uint32_t));
	for (uint32_t i = 0; *list != NULL && i < e->n_rcpts; i++)
		if (e->rcpts[i].state == RCPT_FAILED)
			(*list)[n++] = i;
	return n;
}

static bool
domain_is_ours(const char *address)
{
	const char *at = strrchr(address, '@');
	const struct conf *conf = role_conf();

	for (size_t i = 0; at != NULL && i < conf_list_len(conf, "domains"); i++)
		if (slice_caseeq_str(slice_str(at + 1), conf_list_item(conf, "domains", i)))
			return true;
	return false;
}

struct bounce {
	struct qrow row;
	struct envelope_rcpt rcpt;
	struct qdb_put put;
	struct buf header, body;
	bool wanted;
};

static void
bounce_done(struct bounce *b)
{
	buf_done(&b->header);
	buf_done(&b->body);
}

/* The report about failed recipients, when there is somebody to tell. */
static int
bounce_make(struct bounce *b, const struct delivery_id *id, const struct qrow *row,
    struct slice header, const uint32_t *failed, size_t n_failed, bool expired)
{
	uint32_t *tell = arena_calloc(q.arena, n_failed + 1, sizeof(uint32_t));
	char qid[QID_LEN + 1];
	size_t n = 0;
	int64_t now = now_ms();

	*b = (struct bounce){.wanted = false};
	buf_init(&b->header, 65536);
	buf_init(&b->body, 900000);
	if (tell == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n_failed; i++) {
		unsigned notify = row->env.rcpts[failed[i]].notify;
		/* RFC 3461 4.1: nothing was said: failures are told */
		if (notify == 0 || (notify & SMTP_NOTIFY_FAILURE))
			tell[n++] = failed[i];
	}
	/* a report about a report goes to nobody: RFC 5321 6.1 */
	if (n == 0 || row->env.from[0] == '\0')
		return 0;
	delivery_id_qid(id, qid);
	struct dsn d = {.hostname = q.hostname,
	    .qid = qid,
	    .now = now / 1000,
	    .arrived = row->arrived / 1000,
	    .zone_min = date_local_zone(now / 1000),
	    .env = &row->env,
	    .failed = tell,
	    .n_failed = n,
	    .header = header,
	    .expired = expired};
	int r = dsn_build(&d, &b->header, &b->body);
	if (r != 0)
		return r;
	b->rcpt = (struct envelope_rcpt){.address = row->env.from,
	    .state = domain_is_ours(row->env.from) ? RCPT_LOCAL : RCPT_REMOTE,
	    .orcpt = "",
	    .why = ""};
	b->row = (struct qrow){.state = QUEUE_ST_QUEUED,
	    .arrived = now,
	    .due = now,
	    .size = b->body.len,
	    .has_inline = true,
	    .env = {.from = "",
		.ret = "",
		.envid = "",
		.login = "",
		.client_ip = "",
		.quarantine = "",
		.flags = ENV_8BIT | ENV_BOUNCE | (row->env.flags & ENV_SMTPUTF8),
		.rcpts = &b->rcpt,
		.n_rcpts = 1}};
	b->put = (struct qdb_put){.id = new_id(),
	    .row = &b->row,
	    .header = buf_slice(&b->header),
	    .body = buf_slice(&b->body)};
	b->wanted = true;
	return 0;
}

/* Takes the failed recipients out of the envelope. */
static void
envelope_without(struct envelope *e, const uint32_t *failed, size_t n_failed)
{
	uint32_t n = 0;
	size_t k = 0;

	for (uint32_t i = 0; i < e->n_rcpts; i++) {
		if (k < n_failed && failed[k] == i)
			k++;
		else
			e->rcpts[n++] = e->rcpts[i];
	}
	e->n_rcpts = n;
}

static void
log_entry(const char *event, const struct delivery_id *id, const struct qrow *row, int err)
{
	struct log_line l;
	char qid[QID_LEN + 1];

	delivery_id_qid(id, qid);
	log_begin(&l, err == 0 ? LOG_LVL_INFO : LOG_LVL_WARN, event);
	log_str(&l, "qid", qid);
	log_str(&l, "from", row->env.from);
	log_u64(&l, "nrcpt", row->env.n_rcpts);
	log_u64(&l, "size", row->size);
	log_u64(&l, "attempts", row->attempts);
	if (err != 0)
		log_err(&l, "err", err);
	log_end(&l);
}

static int
store_incoming(struct incoming *in, bool commit, int fd)
{
	struct qdb_put put = {
	    .id = in->id, .row = &in->row, .header = in->header, .body = in->body};
	struct bounce b;
	uint32_t *failed = NULL;
	size_t n_failed = commit ? failed_of(&in->row.env, &failed) : 0;
	bool quarantine = in->row.env.flags & ENV_QUARANTINE;
	int r = 0;

	in->row.state = !commit      ? QUEUE_ST_HELD
			: quarantine ? QUEUE_ST_QUARANTINE
				     : QUEUE_ST_QUEUED;
	in->row.due = commit ? in->row.arrived : in->row.arrived + HOLD_MS;
	if (!in->row.has_inline)
		r = qspool_keep(&in->id, fd, in->row.size);
	if (r != 0)
		return r;
	r = bounce_make(&b, &in->id, &in->row, in->header, failed, n_failed, false);
	if (r == 0) {
		envelope_without(&in->row.env, failed, n_failed);
		if (in->row.env.n_rcpts > 0)
			r = qdb_put(q.db, &put, b.wanted ? &b.put : NULL);
		else if (b.wanted)
			r = qdb_put(q.db, &b.put, NULL);
	}
	bounce_done(&b);
	if (qdb_find(q.db, &in->id) == NULL)
		qspool_remove(&in->id);
	return r;
}

/* HOLD and COMMIT. */
static int
msg_message(struct ipc_conn *c, uint32_t id, struct ipc_reader *r, int fd, bool commit)
{
	struct incoming in;
	int err = get_incoming(r, &in);

	if (err == 0 && !in.row.has_inline && fd < 0)
		err = ERR_PROTO;
	if (err == 0) {
		struct qent *e = qdb_find(q.db, &in.id);
		/* the same COMMIT again, its first answer was lost */
		if (e == NULL || e->state == QUEUE_ST_HELD) {
			err = store_incoming(&in, commit, fd);
			log_entry(commit ? "queued" : "held", &in.id, &in.row, err);
		}
	}
	if (fd >= 0)
		close(fd);
	if (err == 0)
		reply_after_sync(c, id);
	else if (err != ERR_PROTO)
		ipc_reply_err(c, id, err, "the queue cannot keep it");
	return err == ERR_PROTO ? err : 0;
}

static int
msg_abort(struct ipc_reader *r)
{
	struct delivery_id id;

	get_id(r, &id);
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	struct qent *e = qdb_find(q.db, &id);
	if (e != NULL && e->state == QUEUE_ST_HELD)
		drop(e);
	return 0;
}

/* ---- relay ---- */

static int
msg_next(struct ipc_conn *c, uint32_t id)
{
	struct qent *e = qdb_first(q.db);
	struct qrow row;
	struct buf b;
	int r;

	if (e == NULL || e->due > now_ms() || e->state != QUEUE_ST_QUEUED)
		return ipc_reply_err(c, id, ERR_NOTFOUND, "nothing is due");
	if ((r = qdb_get(q.db, &e->id, q.arena, &row)) != 0)
		return ipc_reply_err(c, id, r, "row");
	qdb_lease(q.db, e, c);
	buf_init(&b, IPC_FRAME_MAX);
	put_id(&b, &e->id);
	ipc_put_u32(&b, row.attempts);
	r = envelope_put(&b, &row.env);
	if (r == 0)
		ipc_reply(c, id, QUEUE_ENTRY, &b, -1);
	else
		ipc_reply_err(c, id, r, "envelope");
	buf_done(&b);
	set_due_timer();
	return 0;
}

static int
msg_body(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	struct delivery_id did;
	struct qrow row;
	struct buf header, body, b;
	int fd = -1;

	get_id(r, &did);
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	buf_init(&header, KV_VALUE_MAX);
	buf_init(&body, KV_VALUE_MAX);
	buf_init(&b, IPC_FRAME_MAX);
	int err = qdb_get(q.db, &did, q.arena, &row);
	if (err == 0)
		err = qdb_header(q.db, &did, &header);
	if (err == 0 && row.has_inline)
		err = qdb_inline(q.db, &did, &body);
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
		e->rcpts[at].why = arena_slicedup(q.arena, why);
		if (e->rcpts[at].why == NULL)
			return ERR_NOMEM;
	}
	return ipc_reader_end(r);
}

static uint64_t
wait_after(uint32_t attempts)
{
	size_t i = attempts == 0 ? 0 : attempts - 1;

	return q.waits_ms[i < q.n_waits ? i : q.n_waits - 1];
}

/* What is left after an attempt: a later one, a report, or nothing. */
static int
settle(const struct delivery_id *id, struct qrow *row, const uint8_t *result)
{
	uint32_t *failed = arena_calloc(q.arena, row->env.n_rcpts + 1, sizeof(uint32_t));
	uint32_t *gone = arena_calloc(q.arena, row->env.n_rcpts + 1, sizeof(uint32_t));
	int64_t now = now_ms();
	bool expired = now - row->arrived > q.lifetime_ms;
	size_t n_failed = 0, n_gone = 0;
	bool delivered_local = false;
	struct bounce b;
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
		(void)qdb_header(q.db, id, &header);
	int r = bounce_make(&b, id, row, buf_slice(&header), failed, n_failed, expired);
	if (r == 0 && n_gone == row->env.n_rcpts) {
		r = qdb_finish(q.db, id, now + DONE_MS, b.wanted ? &b.put : NULL);
		if (r == 0)
			qspool_remove(id);
	} else if (r == 0) {
		struct qdb_put put = {.id = *id, .row = row};
		envelope_without(&row->env, gone, n_gone);
		row->attempts++;
		row->due = now + (int64_t)wait_after(row->attempts);
		r = qdb_put(q.db, &put, b.wanted ? &b.put : NULL);
	}
	if (r == 0)
		note_reachability(id, delivered_local);
	if (r == 0)
		log_entry(n_gone == 0    ? "deferred"
			  : n_failed > 0 ? "bounced"
					 : "relayed",
		    id, row, 0);
	bounce_done(&b);
	buf_done(&header);
	return r;
}

static int
msg_result(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	struct delivery_id did;
	struct qrow row;
	int err;

	if (get_id(r, &did) != 0)
		return ERR_PROTO;
	struct qent *e = qdb_find(q.db, &did);
	if (e == NULL || e->lease != c)
		return ipc_reply_err(c, id, ERR_NOTFOUND, "not leased to you");
	if ((err = qdb_get(q.db, &did, q.arena, &row)) == 0) {
		uint8_t *result = arena_calloc(q.arena, row.env.n_rcpts + 1, 1);
		err = result == NULL ? ERR_NOMEM : get_results(r, &row.env, result);
		if (err == ERR_PROTO)
			return err;
		if (err == 0)
			err = settle(&did, &row, result);
	}
	if (err != 0) {
		/* tried again soon: the store knows the delivery id */
		e->due = now_ms() + 5000;
		qdb_unlease(q.db, e);
		set_due_timer();
		return ipc_reply_err(c, id, err, "the result cannot be kept");
	}
	reply_after_sync(c, id);
	return 0;
}

/* ---- congvu ---- */

struct listing {
	struct buf out;
	uint32_t n, max;
	bool more;
};

static bool
list_one(void *arg, struct qent *e)
{
	struct listing *l = arg;
	struct qrow row;

	if (e->state == QUEUE_ST_DONE || e->state == QUEUE_ST_HELD)
		return true;
	if (l->n >= l->max || l->out.len > IPC_FRAME_MAX / 2) {
		l->more = true;
		return false;
	}
	if (qdb_get(q.db, &e->id, q.arena, &row) != 0)
		return true;
	size_t before = l->out.len;
	put_id(&l->out, &e->id);
	ipc_put_u8(&l->out, row.state);
	ipc_put_i64(&l->out, row.arrived);
	ipc_put_i64(&l->out, row.due);
	ipc_put_u32(&l->out, row.attempts);
	ipc_put_u64(&l->out, row.size);
	if (envelope_put(&l->out, &row.env) != 0) {
		/* too large for this frame: its start of the next one */
		l->out.err = 0;
		buf_truncate(&l->out, before);
		l->more = l->n > 0;
		return false;
	}
	l->n++;
	return true;
}

static int
msg_list(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
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
	qdb_each(q.db, after.len > 0 ? &from : NULL, list_one, &l);
	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_u32(&b, l.n);
	buf_append_slice(&b, buf_slice(&l.out));
	ipc_put_u8(&b, l.more);
	ipc_reply(c, id, QUEUE_LIST_IS, &b, -1);
	buf_done(&l.out);
	buf_done(&b);
	return 0;
}

/* ---- connections ---- */

static int
on_msg(struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r, int fd, void *arg)
{
	(void)arg;
	arena_reset(q.arena);
	switch (type) {
	case QUEUE_OPEN:
		return msg_open(c, id, r);
	case QUEUE_TMPFILE:
		return msg_tmpfile(c, id);
	case QUEUE_HOLD:
	case QUEUE_COMMIT:
		return msg_message(c, id, r, fd, type == QUEUE_COMMIT);
	case QUEUE_ABORT:
		return msg_abort(r);
	case QUEUE_NEXT:
		return msg_next(c, id);
	case QUEUE_BODY:
		return msg_body(c, id, r);
	case QUEUE_RESULT:
		return msg_result(c, id, r);
	case QUEUE_LIST:
		return msg_list(c, id, r);
	default:
		return ERR_PROTO;
	}
}

static int
on_relay_open(struct ipc_conn *c, void *arg, void **user_out)
{
	(void)arg;
	*user_out = NULL;
	if (q.n_relays >= MAX_CONNS)
		return ERR_LIMIT;
	q.relays[q.n_relays++] = c;
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
static void
on_relay_close(struct ipc_conn *c, void *arg)
{
	static struct release rel;

	(void)arg;
	for (size_t i = 0; i < q.n_relays; i++)
		if (q.relays[i] == c)
			q.relays[i] = q.relays[--q.n_relays];
	do {
		rel = (struct release){.conn = c};
		qdb_each(q.db, NULL, find_leased, &rel);
		for (size_t i = 0; i < rel.n; i++)
			qdb_unlease(q.db, rel.list[i]);
	} while (rel.n == 1024);
	set_due_timer();
}

static const struct ipc_server_ops session_ops = {.on_msg = on_msg};
static const struct ipc_server_ops relay_ops = {
    .on_open = on_relay_open, .on_msg = on_msg, .on_close = on_relay_close};

static void
serve(size_t i, const char *fd_name, uint32_t peer, const char *user_option,
    const struct ipc_server_ops *ops)
{
	int fd = role_fd(fd_name);

	if (fd >= 0)
		q.servers[i] = ipc_server_new(q.loop, fd, &queue_proto, peer,
		    user_option == NULL ? -1 : role_uid_of(user_option), MAX_CONNS, ops, NULL);
}

static void
read_conf(const struct conf *conf)
{
	q.hostname = conf_str(conf, "hostname");
	q.lifetime_ms = conf_int(conf, "queue_lifetime_s") * 1000;
	for (size_t i = 0; i < conf_list_len(conf, "queue_retry_s") && q.n_waits < WAITS_MAX; i++) {
		uint64_t s;
		if (slice_to_u64(slice_str(conf_list_item(conf, "queue_retry_s", i)), 86400, &s) ==
		    0)
			q.waits_ms[q.n_waits++] = s * 1000;
	}
	if (q.n_waits == 0)
		q.waits_ms[q.n_waits++] = 60000;
}

static bool
is_known(void *arg, const struct delivery_id *id)
{
	(void)arg;
	return qdb_find(q.db, id) != NULL;
}

static void
open_store(void)
{
	struct kv_options o = {.dir = "db"};
	struct kv *kv;

	if (mkdir("db", 0700) != 0 && access("db", F_OK) != 0)
		fatal("the queue's folder cannot be made");
	int r = kv_bdb_open(&o, &kv);
	if (r == 0)
		r = qdb_open(kv, &q.db);
	if (r == 0)
		r = qspool_init();
	if (r != 0)
		fatal("the queue cannot be opened: %s", err_name(r));
	qspool_sweep(is_known, NULL);
	log_msg(LOG_LVL_INFO, "queue_open", "%zu messages", qdb_count(q.db));
}

int
main(int argc, char **argv)
{
	role_init(argc, argv, "smtpd-queue");
	read_conf(role_conf());
	q.loop = loop_new();
	q.arena = arena_new(64 << 20);
	random_bytes(&q.instance, 1);
	if (q.arena == NULL)
		fatal("no memory");
	q.sync = loop_defer_new(q.loop, on_sync, NULL);
	q.due = loop_timer_new(q.loop, on_due, NULL);
	serve(0, "queue.smtpd", IPC_SMTPD, "user_smtpd", &session_ops);
	serve(1, "queue.relay", IPC_RELAY, "user_relay", &relay_ops);
	serve(2, "queue.admin", IPC_ADMIN, NULL, &session_ops);
	role_enter();
	open_store();
	set_due_timer();
	q.stats = loop_timer_new(q.loop, on_stats, NULL);
	on_stats(NULL);
	q.canary = loop_timer_new(q.loop, on_canary, NULL);
	on_canary(NULL);
	return loop_run(q.loop) == 0 ? 0 : 70;
}
