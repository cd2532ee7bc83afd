/* queue.c: the smtpd-queue role: keeps what cannot be delivered at once. One thread; the only one with this Berkeley DB
 * environment and spool. Invariants: an answer to COMMIT, HOLD and RESULT goes out after the sync that covers it (requests that arrive
 * while a sync is under way share the next one); a leased message is given to nobody else until its relay answers or is
 * gone; what cannot be delivered for good is reported to its sender in the transaction that removes it. RFC 3461, 3464. */
#include "config.h"

#include "smtpd/queue_priv.h"
#include "smtpd/queue_spool.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"
#include "smtpd/dsn.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HOLD_MS = 600000 };

/* A request whose answer waits for the sync. */
struct queue_waiting {
	struct ipc_conn *conn;
	uint32_t id;
	struct queue_waiting *next;
};
struct queue_leftover {
	struct delivery_id id;
	struct queue_leftover *next;
};

struct queue queue;

int64_t
queue_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

char *
queue_text(struct ipc_reader *r, size_t max)
{
	static char empty[1];
	struct slice s = ipc_get_slice(r);
	char *p;

	if (r->err == 0 && (s.len > max || slice_index(s, '\0') >= 0))
		r->err = ERR_PROTO;
	p = r->err == 0 ? arena_slicedup(queue.arena, s) : NULL;
	return p == NULL ? empty : p;
}

/* Eight random octets; the kernel gives them for many ids at a time. */
static void
id_random(unsigned char *out)
{
	static unsigned char pool[512];
	static size_t left;

	if (left == 0) {
		random_bytes(pool, sizeof(pool));
		left = sizeof(pool);
	}
	left -= 8;
	memcpy(out, pool + left, 8);
	explicit_bzero(pool + left, 8);
}

struct delivery_id
queue_new_id(void)
{
	struct timespec ts;
	struct delivery_id id;

	clock_gettime(CLOCK_REALTIME, &ts);
	uint64_t us = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	if (us <= queue.last_us)
		us = queue.last_us + 1; /* the clock may stand or go back: ids do not */
	queue.last_us = us;
	for (int i = 0; i < 7; i++)
		id.b[i] = (unsigned char)(us >> (48 - 8 * i));
	id.b[7] = queue.instance;
	id_random(id.b + 8);
	return id;
}

/* ---- when ---- */

void
queue_set_due_timer(void)
{
	struct qent *e = qdb_first(queue.db);
	int64_t now = queue_now_ms();

	if (e == NULL)
		loop_timer_stop(queue.due);
	else
		loop_timer_set(queue.due, e->due > now ? (uint64_t)(e->due - now) : 0);
}

void
queue_remove_after_sync(const struct delivery_id *id)
{
	struct queue_leftover *l = xcalloc(1, sizeof(*l));

	l->id = *id;
	l->next = queue.leftovers;
	queue.leftovers = l;
	loop_defer_set(queue.sync);
}

static void
remove_leftovers(void)
{
	struct queue_leftover *l;

	while ((l = queue.leftovers) != NULL) {
		const struct qent *e = qdb_find(queue.db, &l->id);
		queue.leftovers = l->next;
		/* the same id may have been put again meanwhile */
		if (e == NULL || e->state == QUEUE_ST_DONE)
			qspool_remove(&l->id);
		free(l);
	}
}

static void
drop(struct qent *e)
{
	struct delivery_id id = e->id;

	if (qdb_drop(queue.db, &id) == 0)
		queue_remove_after_sync(&id);
}

/* Something is due: what is over goes, for the rest a relay is woken. */
void
queue_on_due(void *arg)
{
	struct qent *e;
	int64_t now = queue_now_ms();

	(void)arg;
	while ((e = qdb_over(queue.db, now)) != NULL) {
		size_t before = qdb_count(queue.db);
		drop(e);
		if (qdb_count(queue.db) == before) { /* no room to write */
			loop_timer_set(queue.due, 1000);
			return;
		}
	}
	if ((e = qdb_first(queue.db)) != NULL && e->due <= now) {
		for (size_t i = 0; i < queue.n_relays; i++)
			(void)ipc_notify(queue.relays[i], QUEUE_WAKE, NULL);
		/* asked again in a while should no relay be there */
		loop_timer_set(queue.due, 1000);
		return;
	}
	queue_set_due_timer();
}

static void
on_sync(void *arg)
{
	struct queue_waiting *w = queue.waiting;

	(void)arg;
	queue.waiting = NULL;
	/* whether it was done cannot be known: recovery will tell */
	if (qdb_sync(queue.db) != 0)
		fatal("the queue cannot be synced");
	remove_leftovers();
	while (w != NULL) {
		struct queue_waiting *next = w->next;
		(void)ipc_reply_ok(w->conn, w->id);
		ipc_release(w->conn);
		free(w);
		w = next;
	}
	queue_on_due(NULL);
}

void
queue_sync_now(void)
{
	on_sync(NULL);
}

void
queue_reply_after_sync(struct ipc_conn *c, uint32_t id)
{
	struct queue_waiting *w = xcalloc(1, sizeof(*w));

	ipc_hold(c);
	w->conn = c;
	w->id = id;
	w->next = queue.waiting;
	queue.waiting = w;
	loop_defer_set(queue.sync);
}

/* ---- smtpd-session ---- */

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
	did = queue_new_id();
	buf_init(&b, 64);
	delivery_id_put(&b, &did);
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
	*in = (struct incoming){.row = {.arrived = queue_now_ms()}};
	delivery_id_get(r, &in->id);
	int err = envelope_get(r, queue.arena, &in->row.env);
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

/* Recipients of whom the session knows the end already, in env order: refused for good, or delivered and to be told of. */
static size_t
settled_of(const struct envelope *e, uint32_t **list, struct dsn_rcpt **told)
{
	size_t n = 0;

	*list = arena_calloc(queue.arena, e->n_rcpts + 1, sizeof(uint32_t));
	*told = arena_calloc(queue.arena, e->n_rcpts + 1, sizeof(struct dsn_rcpt));
	for (uint32_t i = 0; *list != NULL && *told != NULL && i < e->n_rcpts; i++) {
		enum rcpt_state st = e->rcpts[i].state;
		if (st != RCPT_FAILED && st != RCPT_DELIVERED)
			continue;
		(*told)[n] = (struct dsn_rcpt){i, st == RCPT_FAILED ? DSN_FAILED : DSN_DELIVERED};
		(*list)[n++] = i;
	}
	return n;
}

/* Takes the failed recipients out of the envelope. */
void
queue_envelope_without(struct envelope *e, const uint32_t *failed, size_t n_failed)
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

void
queue_log_entry(const char *event, const struct delivery_id *id, const struct qrow *row, int err)
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

/* Of the indexes of settled recipients, those that have the message. */
static size_t
having_it(const struct envelope *e, const uint32_t *settled, size_t n, uint32_t *out)
{
	size_t k = 0;

	for (size_t i = 0; out != NULL && i < n; i++)
		if (e->rcpts[settled[i]].state == RCPT_DELIVERED)
			out[k++] = settled[i];
	return k;
}

/* What a COMMIT brings, with the reports about it and what watches an urgent document. */
static int
put_incoming(struct incoming *in, const uint32_t *settled, struct dsn_rcpt *told, size_t n_settled)
{
	struct qdb_put put = {
	    .id = in->id, .row = &in->row, .header = in->header, .body = in->body};
	uint32_t *have = arena_calloc(queue.arena, n_settled + 1, sizeof(uint32_t));
	size_t n_have = having_it(&in->row.env, settled, n_settled, have);
	const struct qdb_put *extra = NULL;
	struct queue_bounce b;
	struct queue_watch w;

	int r = queue_bounce_make(&b, &in->id, &in->row, in->header, told, n_settled);
	int err = queue_watch_make(&w, &in->id, &in->row, in->header, have, n_have);
	if (r == 0)
		r = have == NULL ? ERR_NOMEM : err;
	if (r == 0) {
		queue_envelope_without(&in->row.env, settled, n_settled);
		if (b.wanted)
			extra = &b.put;
		if (w.wanted) {
			w.put.also = extra;
			extra = &w.put;
		}
		/* with nobody left the id is kept for a while all the same: the COMMIT may come again */
		r = in->row.env.n_rcpts > 0
			? qdb_put(queue.db, &put, extra)
			: qdb_finish(queue.db, &in->id, in->row.arrived + QUEUE_DONE_MS, extra);
	}
	queue_bounce_done(&b);
	queue_watch_done(&w);
	return r;
}

static int
store_incoming(struct incoming *in, bool commit, int fd)
{
	uint32_t *settled = NULL;
	struct dsn_rcpt *told = NULL;
	size_t n_settled = commit ? settled_of(&in->row.env, &settled, &told) : 0;
	bool quarantine = in->row.env.flags & ENV_QUARANTINE;
	int r = 0;

	in->row.state = !commit      ? QUEUE_ST_HELD
			: quarantine ? QUEUE_ST_QUARANTINE
				     : QUEUE_ST_QUEUED;
	in->row.due = commit ? in->row.arrived : in->row.arrived + HOLD_MS;
	if (commit && (in->row.env.flags & ENV_JUDGE))
		in->row.due += (int64_t)queue_wait_after(0, ENV_JUDGE);
	if (commit && (settled == NULL || told == NULL))
		r = ERR_NOMEM;
	if (r == 0 && !in->row.has_inline)
		r = qspool_keep(&in->id, fd, in->row.size);
	if (r != 0)
		return r;
	r = put_incoming(in, settled, told, n_settled);
	const struct qent *e = qdb_find(queue.db, &in->id);
	if (e == NULL || e->state == QUEUE_ST_DONE)
		queue_remove_after_sync(&in->id);
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
		struct qent *e = qdb_find(queue.db, &in.id);
		/* the same COMMIT again, its first answer was lost */
		if (e == NULL || e->state == QUEUE_ST_HELD) {
			err = store_incoming(&in, commit, fd);
			queue_log_entry(commit ? "queued" : "held", &in.id, &in.row, err);
		}
	}
	if (fd >= 0)
		close(fd);
	if (err == 0)
		queue_reply_after_sync(c, id);
	else if (err != ERR_PROTO)
		ipc_reply_err(c, id, err, "the queue cannot keep it");
	return err == ERR_PROTO ? err : 0;
}

static int
msg_abort(struct ipc_reader *r)
{
	struct delivery_id id;

	delivery_id_get(r, &id);
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	struct qent *e = qdb_find(queue.db, &id);
	if (e != NULL && e->state == QUEUE_ST_HELD)
		drop(e);
	return 0;
}

/* The mark that is left makes a COMMIT that is still on its way a repeated one. */
static int
msg_revoke(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	struct delivery_id did;
	struct qrow row;
	int err;

	delivery_id_get(r, &did);
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	const struct qent *e = qdb_find(queue.db, &did);
	if (e != NULL && e->state == QUEUE_ST_QUEUED) {
		err = e->lease != NULL ? ERR_EXISTS : qdb_get(queue.db, &did, queue.arena, &row);
		if (err == 0 && row.attempts > 0)
			err = ERR_EXISTS;
		if (err != 0)
			return ipc_reply_err(c, id, err, "its delivery has begun");
	}
	err = qdb_finish(queue.db, &did, queue_now_ms() + QUEUE_DONE_MS, NULL);
	if (err != 0)
		return ipc_reply_err(c, id, err, "the queue cannot write");
	queue_remove_after_sync(&did);
	queue_reply_after_sync(c, id);
	return 0;
}

/* ---- connections ---- */

static int
on_msg(struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r, int fd, void *arg)
{
	(void)arg;
	if ((id == 0) != (type == QUEUE_ABORT || type == QUEUE_BACK || type == QUEUE_PARK ||
			     type == QUEUE_WANT ||
			     type == QUEUE_URGENT_BACK)) { /* all others want an answer */
		if (fd >= 0)
			close(fd);
		return ERR_PROTO;
	}
	arena_reset(queue.arena);
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
	case QUEUE_REVOKE:
		return msg_revoke(c, id, r);
	case QUEUE_REPLY:
		return queue_msg_reply(c, id, r);
	case QUEUE_NEXT:
		return queue_msg_next(c, id);
	case QUEUE_BODY:
		return queue_msg_body(c, id, r);
	case QUEUE_RESULT:
		return queue_msg_result(c, id, r, true);
	case QUEUE_PARTIAL:
		return queue_msg_result(c, id, r, false);
	case QUEUE_BACK:
		return queue_msg_back(c, r);
	case QUEUE_PARK:
		return queue_msg_park(c, r);
	case QUEUE_WANT:
		return queue_msg_want(r);
	case QUEUE_LIST:
		return queue_msg_list(c, id, r);
	case QUEUE_CHANGE:
		return queue_msg_change(c, id, r);
	case QUEUE_ALERT:
		return queue_msg_alert(c, id, r);
	case QUEUE_URGENT:
		return queue_msg_urgent(c, id, r);
	case QUEUE_URGENT_BACK:
		return queue_msg_urgent_back(r);
	case QUEUE_RELEASE:
		return queue_msg_release(c, id, r);
	case QUEUE_SHOW:
		return queue_msg_show(c, id, r);
	default:
		return ERR_PROTO;
	}
}

static const struct ipc_server_ops session_ops = {.on_msg = on_msg};
static const struct ipc_server_ops relay_ops = {
    .on_open = queue_relay_open, .on_msg = on_msg, .on_close = queue_relay_close};

static void
serve(size_t i, const char *fd_name, uint32_t peer, const char *user_option,
    const struct ipc_server_ops *ops)
{
	int fd = role_fd(fd_name);

	if (fd >= 0)
		queue.servers[i] = ipc_server_new(queue.loop, fd, &queue_proto, peer,
		    user_option == NULL ? -1 : role_uid_of(user_option), QUEUE_CONNS_MAX, ops,
		    NULL);
}

static void
read_conf(const struct conf *conf)
{
	queue.hostname = conf_str(conf, "hostname");
	queue.conf = conf;
	queue.lifetime_ms = conf_int(conf, "queue_lifetime_s") * 1000;
	queue.warn_ms = conf_int(conf, "queue_warn_s") * 1000;
	queue.unread_ms = conf_int(conf, "urgent_unread_s") * 1000;
	queue.urgent = urgent_rate_new((unsigned)conf_int(conf, "urgent_per_hour"));
	for (size_t i = 0;
	     i < conf_list_len(conf, "queue_retry_s") && queue.n_waits < QUEUE_WAITS_MAX; i++) {
		uint64_t s;
		if (slice_to_u64(slice_str(conf_list_item(conf, "queue_retry_s", i)), 86400, &s) ==
		    0)
			queue.waits_ms[queue.n_waits++] = s * 1000;
	}
	if (queue.n_waits == 0)
		queue.waits_ms[queue.n_waits++] = 60000;
}

static bool
is_known(void *arg, const struct delivery_id *id)
{
	(void)arg;
	return qdb_find(queue.db, id) != NULL;
}

static void
open_store(void)
{
	uint64_t reserve = (uint64_t)conf_int(role_conf(), "disk_reserve_mb") << 20;
	struct kv_options o = {.dir = "db", .reserve_bytes = reserve / 2};
	struct kv *kv;

	if (mkdir("db", 0700) != 0 && access("db", F_OK) != 0)
		fatal("the queue's folder cannot be made");
	int r = kv_bdb_open(&o, &kv);
	if (r == 0)
		r = qdb_open(kv, &queue.db);
	if (r == 0)
		r = qspool_init(reserve);
	if (r != 0)
		fatal("the queue cannot be opened: %s", err_name(r));
	qspool_sweep(is_known, NULL);
	log_msg(LOG_LVL_INFO, "queue_open", "%zu messages", qdb_count(queue.db));
}

int
main(int argc, char **argv)
{
	role_init(argc, argv, "smtpd-queue");
	read_conf(role_conf());
	queue.loop = loop_new();
	queue.arena = arena_new(64 << 20);
	random_bytes(&queue.instance, 1);
	if (queue.arena == NULL)
		fatal("no memory");
	queue.sync = loop_defer_new(queue.loop, on_sync, NULL);
	queue.due = loop_timer_new(queue.loop, queue_on_due, NULL);
	serve(0, "queue.smtpd", IPC_SMTPD, "user_smtpd", &session_ops);
	serve(1, "queue.relay", IPC_RELAY, "user_relay", &relay_ops);
	serve(2, "queue.admin", IPC_ADMIN, NULL, &session_ops);
	role_enter();
	open_store();
	queue_replies_init();
	queue_set_due_timer();
	queue.stats = loop_timer_new(queue.loop, queue_on_stats, NULL);
	queue_on_stats(NULL);
	queue.canary = loop_timer_new(queue.loop, queue_on_canary, NULL);
	queue_on_canary(NULL);
	return loop_run(queue.loop) == 0 ? 0 : 70;
}
