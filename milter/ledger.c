/* ledger.c: the milter-ledger role: the one writer of the audit log. Verdicts come from milter, outcomes from smtpd-session; each
 * becomes one record of the hash chain (audit.h). Group commit: what arrives while a batch is written and synced forms the next
 * one. Invariants: a verdict is acknowledged only when it is on stable storage; a record that cannot be written is refused, and the
 * milter then defers the mail; an outcome is acknowledged when it is written and synced within a second; after a sync that failed the process
 * ends, and the next one finds out what is there. No network, no directory. */
#include "config.h"

#include "milter/audit_files.h"
#include "milter/ledger_certs.h"
#include "milter/ledger_checkpoint.h"
#include "milter/ledger_register.h"
#include "milter/ledger_client.h"
#include "milter/ledger_file.h"
#include "milter/ledger_syslog.h"

#include "lib/date.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sysexits.h>
#include <time.h>

#define RECORD_MAX 262144
#define ALERT_MAX 8192
#define PENDING_MAX 4096 /* records that wait; more are refused for now */
#define BATCH_BYTES (32u << 20)
#define LATE_SYNC_MS 500
#define CERTS_TICK_MS 60000
#define ROTATE_AGAIN_S 600 /* after a rotation that failed */
#define END_MS 50          /* refusals get so long to leave */

struct pending {
	TAILQ_ENTRY(pending) link;
	struct ipc_conn *conn; /* NULL: our own record, or already answered */
	uint32_t id;
	struct json *rec;
	struct json *
	    decision; /* on a certificate: in force when the record is on stable storage; NULL: none */
	bool durable; /* answered only after the sync */
	bool checkpoint;
	uint64_t seq;
	struct buf alert; /* a line for syslog, behind the sync; empty: none */
};
TAILQ_HEAD(pending_list, pending);

static struct {
	struct loop *loop;
	struct ledger_file *file;
	const char *host;
	char *base; /* the log's name without its folder */
	struct pending_list waiting, batch;
	size_t n_waiting;
	struct buf lines;
	bool busy, unsynced, batch_syncs, batch_early;
	uint64_t rotate_octets,
	    rotating; /* rotating: the first record of the file that is being closed */
	int64_t rotate_s, rotate_not_before; /* 0 s: never by age */
	struct loop_defer *kick;
	struct loop_timer *late_sync, *end, *certs;
	uint64_t records, syncs, signable; /* signable: records other than checkpoints */
} led;

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
pending_free(struct pending *p)
{
	if (p->conn != NULL)
		ipc_release(p->conn);
	json_free(p->rec);
	buf_done(&p->alert);
	json_free(p->decision);
	free(p);
}

static void
answer(struct pending *p, int err)
{
	struct buf b;

	if (p->decision != NULL && err == 0)
		err = certs_decide(p->decision, now_us() / 1000000, false);
	json_free(p->decision);
	p->decision = NULL;
	if (p->conn == NULL)
		return;
	if (err == 0) {
		buf_init(&b, 16);
		ipc_put_u64(&b, p->seq);
		ipc_reply(p->conn, p->id, LEDGER_RECORDED, &b, -1);
		buf_done(&b);
	} else {
		ipc_reply_err(p->conn, p->id, err, "the audit log cannot be written");
	}
	ipc_release(p->conn);
	p->conn = NULL;
}

static struct pending *
enqueue(struct ipc_conn *c, uint32_t id, struct json *rec, bool durable)
{
	struct pending *p = xcalloc(1, sizeof *p);

	if (c != NULL)
		ipc_hold(c);
	p->conn = c;
	p->id = id;
	p->rec = rec;
	p->durable = durable;
	buf_init(&p->alert, ALERT_MAX);
	TAILQ_INSERT_TAIL(&led.waiting, p, link);
	led.n_waiting++;
	if (!led.busy)
		loop_defer_set(led.kick);
	return p;
}

/* What milter-sign signed becomes a record; it says nothing about itself, the next one does. */
static void
enqueue_checkpoint(struct json *rec)
{
	enqueue(NULL, 0, rec, true)->checkpoint = true;
}

static void batch_start(bool force_sync);

static void
end(void *arg)
{
	(void)arg;
	loop_stop(led.loop);
}

/* What is on the disk is not known any more: a start finds out (ledger_file_open), and the parent sees to one. What waits was not
 * written at all. */
static void
give_up(void)
{
	struct pending *p;

	while ((p = TAILQ_FIRST(&led.waiting)) != NULL) {
		TAILQ_REMOVE(&led.waiting, p, link);
		led.n_waiting--;
		answer(p, ERR_TEMP);
		pending_free(p);
	}
	if (!loop_timer_is_set(led.end))
		loop_timer_set(led.end, END_MS);
}

/* Seals what waits into one batch. The chain moves only when the batch has succeeded. */
static void
batch_seal(struct audit_chain *end)
{
	struct pending *p;
	struct buf ts;
	int err;

	buf_init(&ts, 64);
	date_rfc3339_format(now_us(), &ts);
	while ((p = TAILQ_FIRST(&led.waiting)) != NULL && led.lines.len < BATCH_BYTES) {
		TAILQ_REMOVE(&led.waiting, p, link);
		led.n_waiting--;
		err = audit_seal(end, p->rec, buf_cstr(&ts), led.host, &led.lines);
		syslog_alert(p->rec, buf_cstr(&ts), end->seq, &p->alert);
		json_free(p->rec);
		p->rec = NULL;
		if (err != 0) {
			answer(p, err);
			pending_free(p);
			continue;
		}
		p->seq = end->seq;
		led.batch_syncs |= p->durable;
		led.batch_early |= !p->durable;
		TAILQ_INSERT_TAIL(&led.batch, p, link);
	}
	buf_done(&ts);
}

/* ---- rotation ---- */

static bool
is_full(void)
{
	int64_t now = now_us() / 1000000, begun = ledger_file_begun(led.file);

	if (begun == 0 || now < led.rotate_not_before)
		return false;
	return ledger_file_size(led.file) >= led.rotate_octets ||
	       (led.rotate_s > 0 && now - begun >= led.rotate_s);
}

/* The first record of the new file names the one before; its prev is the last hash there, as that of any record. */
static void
rotated(void *arg, int err)
{
	const struct audit_chain *last = ledger_file_last(led.file);
	struct json *rec;
	struct pending *p;
	struct buf name;

	(void)arg;
	led.busy = false;
	if (err != 0) {
		led.rotate_not_before = now_us() / 1000000 + ROTATE_AGAIN_S;
		log_msg(LOG_LVL_ERROR, "ledger_rotate", "the audit log goes on in the same file");
	} else {
		led.unsynced = false;
		rec = json_obj_new();
		buf_init(&name, 4096);
		audit_files_name(led.base, led.rotating, &name);
		json_set_str(rec, "event", "rotate");
		json_set_str(rec, "file", buf_cstr(&name));
		json_set_int(rec, "first_seq", (int64_t)led.rotating);
		json_set_int(rec, "last_seq", (int64_t)last->seq);
		json_set_str(rec, "last_h", last->h);
		buf_done(&name);
		p = enqueue(NULL, 0, rec, true);
		TAILQ_REMOVE(&led.waiting, p, link);
		TAILQ_INSERT_HEAD(&led.waiting, p, link);
	}
	batch_start(false);
}

static void
batch_start(bool force_sync)
{
	struct audit_chain end = *ledger_file_last(led.file);

	if (led.busy)
		return;
	if (ledger_file_broken(led.file)) {
		give_up();
		return;
	}
	if (is_full()) {
		led.busy = true;
		led.rotating = ledger_file_first(led.file);
		ledger_file_rotate(led.file, rotated);
		return;
	}
	led.batch_syncs = force_sync;
	led.batch_early = false;
	batch_seal(&end);
	if (led.lines.len == 0 && !force_sync)
		return;
	led.busy = true;
	ledger_file_write(led.file, &led.lines, &end, led.batch_syncs, led.batch_early);
}

static void
kick(void *arg)
{
	(void)arg;
	batch_start(false);
}

static void
late_sync(void *arg)
{
	(void)arg;
	if (led.busy)
		loop_timer_set(led.late_sync, 10);
	else if (led.unsynced)
		batch_start(true);
}

static void
batch_over(void *arg, bool done, int err)
{
	struct pending *p, *next;

	(void)arg;
	if (err != 0 && ledger_file_broken(led.file))
		err = ERR_UNKNOWN; /* the next start may find it */
	for (p = TAILQ_FIRST(&led.batch); p != NULL; p = next) {
		next = TAILQ_NEXT(p, link);
		if (err != 0 || done || !p->durable)
			answer(p, err);
		if (!done)
			continue;
		led.records += err == 0;
		led.signable += err == 0 && !p->checkpoint;
		if (err == 0 && p->alert.len > 0 && p->alert.err == 0)
			syslog_send(&p->alert);
		TAILQ_REMOVE(&led.batch, p, link);
		pending_free(p);
	}
	if (!done)
		return;
	led.busy = false;
	if (err == 0 && led.batch_syncs) {
		led.unsynced = false;
		led.syncs++;
		checkpoint_durable(ledger_file_last(led.file), led.signable);
	} else if (err == 0) {
		led.unsynced = true;
		if (!loop_timer_is_set(led.late_sync))
			loop_timer_set(led.late_sync, LATE_SYNC_MS);
	}
	role_stat_set(0, led.records);
	role_stat_set(1, led.syncs);
	if (!TAILQ_EMPTY(&led.waiting) || ledger_file_broken(led.file))
		batch_start(false);
}

/* ---- requests ---- */

/* Which events a sender may tell: nobody but milter tells verdicts. */
static bool
event_ok(uint16_t type, struct slice event)
{
	return type == LEDGER_NOTE
		   ? (slice_starts(event, "store_") || slice_starts(event, "quarantine_") ||
			 slice_starts(event, "cert_") || slice_starts(event, "password_")) &&
			 event.len <= 64
		   : slice_eq_str(event, "verdict") || slice_eq_str(event, "load");
}

static int
take_record(uint16_t type, struct ipc_reader *r, struct json **rec_out)
{
	struct slice text = ipc_get_slice(r);
	struct slice event;
	struct json *rec;

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	if (text.len > RECORD_MAX || json_parse(text, &rec) != 0)
		return ERR_SYNTAX;
	event = json_str(json_get(rec, "event"));
	if (json_kind(rec) != JSON_T_OBJ || json_has_real(rec) || !event_ok(type, event)) {
		json_free(rec);
		return ERR_SYNTAX;
	}
	*rec_out = rec;
	return 0;
}

/* ---- certificates ---- */

static void
enqueue_pending(struct json *rec)
{
	enqueue(NULL, 0, rec, true);
}

/* Before its verdict: both go in one batch. The verdict's record does not hold the certificate. */
static void
take_harvest(struct json *rec)
{
	const struct json *list = json_get(rec, "harvest");

	if (list == NULL)
		return;
	certs_harvest(list, json_str(json_get(rec, "qid")), now_us() / 1000000, enqueue_pending);
	json_del(rec, "harvest");
}

static int
on_cert_ask(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	enum cert_state states[CERT_ASK_MAX];
	uint32_t i, n = ipc_get_count(r, CERT_ASK_MAX, 36);
	struct buf reply;

	for (i = 0; i < n && r->err == 0; i++) {
		struct slice sha = ipc_get_slice(r);

		if (sha.len != 32)
			return ERR_PROTO;
		states[i] = certs_state(sha.ptr);
	}
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	buf_init(&reply, 64);
	ipc_put_u32(&reply, n);
	for (i = 0; i < n; i++)
		ipc_put_u8(&reply, (uint8_t)states[i]);
	ipc_reply(c, id, LEDGER_CERT_STATES, &reply, -1);
	buf_done(&reply);
	return 0;
}

/* The record's event must be what is done. */
static bool
is_decision(const struct json *rec)
{
	static const struct {
		const char *event;
		enum cert_state state;
	} known[] = {{"cert_published", CERT_PUBLISHED}, {"cert_withdrawn", CERT_WITHDRAWN},
	    {"cert_banned", CERT_BANNED}, {"cert_unbanned", CERT_PENDING}};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (slice_eq_str(json_str(json_get(rec, "event")), known[i].event))
			return cert_state_of(json_str(json_get(rec, "state"))) == known[i].state;
	return false;
}

static struct json *
decision_of(const struct json *rec)
{
	static const char *const keys[] = {"sha256", "state", "by", "decision", "reason"};
	struct json *j = json_obj_new();

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		json_set_slice(j, keys[i], json_str(json_get(rec, keys[i])));
	return j;
}

static int
on_cert_decide(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	bool only_look = ipc_get_u8(r) == 1;
	struct slice text = ipc_get_slice(r);
	struct json *rec = NULL;
	struct buf reply;
	int err;

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	err = json_parse(text, &rec);
	if (err == 0 && (json_kind(rec) != JSON_T_OBJ || json_has_real(rec) || !is_decision(rec)))
		err = ERR_SYNTAX;
	if (err == 0)
		err = certs_decide(rec, now_us() / 1000000, true);
	if (err == 0 && (ledger_file_broken(led.file) || led.n_waiting >= PENDING_MAX))
		err = ERR_TEMP;
	if (err == 0 && !only_look) {
		struct json *decision = decision_of(rec);

		json_set_int(rec, "uid", ipc_peer_uid(c));
		enqueue(c, id, rec, true)->decision = decision;
		return 0;
	}
	json_free(rec);
	if (err != 0) {
		ipc_reply_err(c, id, err, "not decided");
		return 0;
	}
	buf_init(&reply, 16);
	ipc_put_u64(&reply, 0);
	ipc_reply(c, id, LEDGER_RECORDED, &reply, -1);
	buf_done(&reply);
	return 0;
}

static void
certs_timer(void *arg)
{
	(void)arg;
	certs_tick(now_us() / 1000000);
	loop_timer_set(led.certs, CERTS_TICK_MS);
}

static int
take_outcome(uint16_t type, struct ipc_reader *r, struct json **rec_out)
{
	struct json *rec = json_obj_new(), *env = json_obj_new(), *session = json_obj_new(),
		    *arr = json_arr_new(), *o;
	uint32_t i, n;

	json_set_str(rec, "event", type == LEDGER_DELIVERY ? "delivery" : "outcome");
	json_set_slice(rec, "qid", ipc_get_slice(r));
	json_set_int(rec, "code", ipc_get_u32(r));
	json_set_slice(rec, "enhanced", ipc_get_slice(r));
	json_set_slice(rec, "text", ipc_get_slice(r));
	json_set_slice(env, "from", ipc_get_slice(r));
	json_set_slice(session, "auth", ipc_get_slice(r));
	json_set_slice(session, "ip", ipc_get_slice(r));
	n = ipc_get_count(r, LEDGER_RCPTS_MAX, 12);
	for (i = 0; i < n && r->err == 0; i++) {
		o = json_obj_new();
		json_set_slice(o, "address", ipc_get_slice(r));
		json_set_slice(o, "result", ipc_get_slice(r));
		json_set_slice(o, "detail", ipc_get_slice(r));
		json_push_take(arr, o);
	}
	json_set_take(rec, "env", env);
	json_set_take(rec, "session", session);
	json_set_take(rec, "rcpts", arr);
	if (ipc_reader_end(r) != 0) {
		json_free(rec);
		return ERR_PROTO;
	}
	*rec_out = rec;
	return 0;
}

/* What officers are told at once, of smtpd or relay: nothing that another event would be. */
static int
take_alert(struct ipc_reader *r, struct json **rec_out)
{
	struct json *rec = json_obj_new(), *session = json_obj_new();

	json_set_str(rec, "event", "alert");
	json_set_slice(rec, "rule", ipc_get_slice(r));
	json_set_slice(rec, "qid", ipc_get_slice(r));
	json_set_slice(session, "auth", ipc_get_slice(r));
	json_set_slice(session, "ip", ipc_get_slice(r));
	json_set_slice(rec, "address", ipc_get_slice(r));
	json_set_take(rec, "session", session);
	if (ipc_reader_end(r) != 0) {
		json_free(rec);
		return ERR_PROTO;
	}
	*rec_out = rec;
	return 0;
}

static int
take(uint16_t type, struct ipc_reader *r, struct json **rec_out)
{
	if (type == LEDGER_ALERT)
		return take_alert(r, rec_out);
	return type == LEDGER_OUTCOME || type == LEDGER_DELIVERY ? take_outcome(type, r, rec_out)
								 : take_record(type, r, rec_out);
}

/* The register: asked, or entered with a record of its own in the log. */
static int
on_register(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	bool add = ipc_get_u8(r) == 1;
	struct slice text = ipc_get_slice(r);
	struct ledger_entry is;
	struct json *entry = NULL;
	struct buf reply;
	char ts[40];
	time_t now = time(NULL);
	struct tm tm;
	int err;

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	err = json_parse(text, &entry);
	if (err == 0)
		err = json_kind(entry) == JSON_T_OBJ && !json_has_real(entry)
			  ? register_ask(entry, &is)
			  : ERR_SYNTAX;
	gmtime_r(&now, &tm);
	strftime(ts, sizeof ts, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (err == 0 && add && is.state == REGISTERED_NEW) {
		if (ledger_file_broken(led.file) || led.n_waiting >= PENDING_MAX)
			err = ERR_TEMP;
		if (err == 0)
			err = register_add(entry, ts);
		if (err == 0) {
			/* the ledger gives the record its own time */
			json_del(entry, "ts");
			json_set_str(entry, "event", "register");
			enqueue(c, id, entry, true);
			return 0;
		}
	}
	json_free(entry);
	if (err != 0) {
		ipc_reply_err(c, id, err, "not in the register");
		return 0;
	}
	buf_init(&reply, 512);
	ipc_put_u8(&reply, (uint8_t)is.state);
	ipc_put_slice(&reply, slice_str(is.qid));
	ipc_put_slice(&reply, slice_str(is.ts));
	ipc_reply(c, id, LEDGER_REGISTERED, &reply, -1);
	buf_done(&reply);
	return 0;
}

static int
on_msg(struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r, int fd, void *arg)
{
	struct json *rec = NULL;
	int err;

	(void)fd, (void)arg;
	if (id == 0)
		return ERR_PROTO;
	if (type == LEDGER_REGISTER)
		return on_register(c, id, r);
	if (type == LEDGER_CERT_ASK)
		return on_cert_ask(c, id, r);
	if (type == LEDGER_CERT_DECIDE)
		return on_cert_decide(c, id, r);
	err = take(type, r, &rec);
	if (err == 0 && type == LEDGER_NOTE)
		json_set_int(rec, "uid", ipc_peer_uid(c));
	if (err == ERR_PROTO)
		return ERR_PROTO;
	if (err == 0 && ledger_file_broken(led.file))
		err = ERR_TEMP;
	if (err == 0 && led.n_waiting >= PENDING_MAX)
		err = ERR_LIMIT;
	if (err != 0) {
		json_free(rec);
		ipc_reply_err(c, id, err, "not recorded");
		return 0;
	}
	if (type == LEDGER_RECORD)
		take_harvest(rec);
	enqueue(c, id, rec, type != LEDGER_OUTCOME && type != LEDGER_DELIVERY);
	return 0;
}

/* ---- start ---- */

static struct json *
load_record(const struct ledger_recovery *rec)
{
	struct json *j = json_obj_new(), *r = NULL;

	json_set_str(j, "event", "load");
	json_set_str(j, "program", "milter-ledger");
	json_set_str(j, "program_version", PACKAGE_VERSION);
	json_set_int(j, "log_size", (int64_t)ledger_file_size(led.file));
	if (rec->kind != NULL) {
		r = json_obj_new();
		json_set_str(r, "kind", rec->kind);
		json_set_int(r, "found_seq", (int64_t)rec->found_seq);
		json_set_int(r, "expected_seq", (int64_t)rec->expected_seq);
		if (rec->cut > 0) {
			json_set_int(r, "cut_octets", (int64_t)rec->cut);
			json_set_str(r, "cut_sha256", rec->cut_sha256);
		}
		log_msg(strncmp(rec->kind, "torn_", 5) == 0 ? LOG_LVL_WARN : LOG_LVL_ERROR,
		    "ledger_recovery", "%s: last record %llu, expected %llu", rec->kind,
		    (unsigned long long)rec->found_seq, (unsigned long long)rec->expected_seq);
	}
	json_set_take(j, "recovery", r);
	return j;
}

static void
serve(const char *fd_name, uint32_t peer, const char *user_option)
{
	static const struct ipc_server_ops ops = {.on_msg = on_msg};
	int fd = role_fd(fd_name);

	if (fd >= 0)
		ipc_server_new(led.loop, fd, &ledger_proto, peer,
		    user_option == NULL ? -1 : role_uid_of(user_option), 256, &ops, NULL);
}

int
main(int argc, char **argv)
{
	struct ledger_recovery recovery;
	char *path;
	int err;

	role_init(argc, argv, "milter-ledger");
	json_init();
	TAILQ_INIT(&led.waiting);
	TAILQ_INIT(&led.batch);
	led.host = conf_str(role_conf(), "hostname");
	led.rotate_octets = (uint64_t)conf_int(role_conf(), "audit_rotate_mb") << 20;
#ifdef LEDGER_ROTATE_OCTETS /* tests/crash makes a program with small files */
	led.rotate_octets = LEDGER_ROTATE_OCTETS;
#endif
	led.rotate_s = conf_int(role_conf(), "audit_rotate_days") * 86400;
	buf_init(&led.lines, BATCH_BYTES + 2 * AUDIT_LINE_MAX);
	path = conf_path(role_conf(), "audit_log");
	err = ledger_file_open(path, role_uid_of("user_ledger"), &led.file, &recovery);
	if (err != 0) {
		log_msg(LOG_LVL_ERROR, "ledger_open", "%s: %s (%m)", path, err_name(err));
		return EX_IOERR;
	}
	led.base = xstrdup(strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path);
	free(path);
	path = conf_path(role_conf(), "ledger_dir");
	if ((err = register_open(path, role_uid_of("user_ledger"))) != 0) {
		log_msg(LOG_LVL_ERROR, "register_open", "%s/%s: %s (%m)", path,
		    LEDGER_REGISTER_FILE, err_name(err));
		return EX_IOERR;
	}
	if ((err = certs_open(path, role_uid_of("user_ledger"),
		 (unsigned)conf_int(role_conf(), "cert_pending_days"))) != 0) {
		log_msg(
		    LOG_LVL_ERROR, "certs_open", "%s/%s: %s (%m)", path, CERT_FILE, err_name(err));
		return EX_IOERR;
	}
	free(path);
	led.loop = loop_new();
	led.kick = loop_defer_new(led.loop, kick, NULL);
	led.late_sync = loop_timer_new(led.loop, late_sync, NULL);
	led.end = loop_timer_new(led.loop, end, NULL);
	syslog_init();
	led.certs = loop_timer_new(led.loop, certs_timer, NULL);
	checkpoint_init(led.loop, enqueue_checkpoint);
	serve("ledger.milter", IPC_MILTER, "user_milter");
	serve("ledger.smtpd", IPC_SMTPD, "user_smtpd");
	serve("ledger.relay", IPC_RELAY, "user_relay");
	serve("ledger.admin", IPC_ADMIN, NULL);
	role_enter();
	if (ledger_file_start(led.file, led.loop, batch_over, NULL) != 0)
		fatal("milter-ledger: cannot start the writer thread");
	enqueue(NULL, 0, load_record(&recovery), true);
	certs_timer(NULL);
	if (loop_run(led.loop) != 0)
		return EX_OSERR;
	return ledger_file_broken(led.file) ? EX_IOERR : 0;
}
