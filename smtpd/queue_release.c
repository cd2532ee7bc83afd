/* queue_release.c: what a milter quarantined is let go by two officers, or deleted by one. Runs in smtpd-queue. One of security_officers requests the release,
 * another one confirms it within three days; this process compares the names that congvu gives (the kernel's login uid) and keeps both in
 * the message's row. A released message is not delivered as it is: relay brings it to smtpd-session by judge.sock, where the milters judge it under
 * the policy in force now, exempt only from the rules that held it. What comes of that has an id made of the message's, so that a crash
 * anywhere between doubles nothing. Refused by the policy, it is in the quarantine again, with the reason. */
#include "config.h"

#include "smtpd/queue_priv.h"

#include "lib/conf.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { TTL_MS = 3 * 86400 * 1000, NAME_MAX_LEN = 64, TEXT_MAX = 1000, RULES_MAX = 160 };

static const char *const words[] = {[QUEUE_RELEASE_REQUEST] = "request",
    [QUEUE_RELEASE_CONFIRM] = "confirm",
    [QUEUE_RELEASE_WITHDRAW] = "withdraw",
    [QUEUE_RELEASE_DELETE] = "delete",
    [QUEUE_RELEASE_BOUNCE] = "bounce",
    [QUEUE_RELEASE_SHOW] = "show"};

struct ask {
	uint8_t what;
	bool only_look;
	struct delivery_id id;
	const char *by, *reason, *decision, *rules;
};

static int
read_ask(struct ipc_reader *r, struct ask *a)
{
	a->what = ipc_get_u8(r);
	a->only_look = ipc_get_u8(r) != 0;
	delivery_id_get(r, &a->id);
	a->by = queue_text(r, NAME_MAX_LEN);
	a->reason = queue_text(r, TEXT_MAX);
	a->decision = queue_text(r, TEXT_MAX);
	a->rules = queue_text(r, RULES_MAX);
	return ipc_reader_end(r) != 0 || a->what < QUEUE_RELEASE_REQUEST ||
		       a->what > QUEUE_RELEASE_SHOW
		   ? ERR_PROTO
		   : 0;
}

static bool
is_officer(const char *name)
{
	for (size_t i = 0; i < conf_list_len(queue.conf, "security_officers"); i++)
		if (strcmp(conf_list_item(queue.conf, "security_officers", i), name) == 0)
			return true;
	return false;
}

/* The first of the rules is the one that the reason begins with; none: the milter named none. */
static bool
rules_fit(const char *rules, const char *reason)
{
	size_t n = strcspn(rules, ",");

	for (const char *p = rules; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && strchr(",-_.", *p) == NULL)
			return false;
	return *rules == '\0' || (n > 0 && strncmp(rules, reason, n) == 0 && reason[n] == ' ');
}

/* Whether it would be done. */
static int
may(const struct ask *a, const struct qent *e, const struct qrow *row)
{
	const struct qrelease *rel = &row->release;
	bool waits = rel->by[0] != '\0' && rel->confirmed_by[0] == '\0' &&
		     queue_now_ms() - rel->at <= TTL_MS;

	if (a->what == QUEUE_RELEASE_SHOW)
		return 0;
	if (!is_officer(a->by))
		return ERR_DENIED;
	if (e->state != QUEUE_ST_QUARANTINE)
		return ERR_CONFLICT;
	switch (a->what) {
	case QUEUE_RELEASE_REQUEST:
		return a->reason[0] == '\0' || !rules_fit(a->rules, row->env.quarantine)
			   ? ERR_SYNTAX
			   : 0;
	case QUEUE_RELEASE_CONFIRM:
		return !waits ? ERR_CONFLICT : strcmp(rel->by, a->by) == 0 ? ERR_EXISTS : 0;
	case QUEUE_RELEASE_WITHDRAW:
		return waits ? 0 : ERR_CONFLICT;
	default:
		return 0;
	}
}

static int
change(const struct ask *a, struct qrow *row)
{
	struct qdb_put put = {.id = a->id, .row = row};
	const char *refused = row->release.refused;

	switch (a->what) {
	case QUEUE_RELEASE_REQUEST:
		row->release = (struct qrelease){
		    a->by, a->reason, a->decision, a->rules, queue_now_ms(), "", refused};
		break;
	case QUEUE_RELEASE_CONFIRM:
		row->release.confirmed_by = a->by;
		row->release.at = row->due = queue_now_ms();
		row->attempts = 0;
		row->state = QUEUE_ST_QUEUED;
		row->env.flags &= ~(uint32_t)ENV_QUARANTINE;
		row->env.flags |= ENV_JUDGE | ENV_RELEASED;
		break;
	case QUEUE_RELEASE_WITHDRAW:
		row->release = (struct qrelease){"", "", "", "", 0, "", ""};
		break;
	default:
		return queue_delete(&a->id, row, a->what == QUEUE_RELEASE_BOUNCE);
	}
	return qdb_put(queue.db, &put, NULL);
}

static void
log_ask(const struct ipc_conn *c, const struct ask *a, int err)
{
	struct log_line l;
	char qid[QID_LEN + 1];

	delivery_id_qid(&a->id, qid);
	log_begin(&l, LOG_LVL_INFO, "quarantine");
	log_str(&l, "what", words[a->what]);
	log_str(&l, "qid", qid);
	log_u64(&l, "uid", (uint64_t)ipc_peer_uid(c));
	log_str(&l, "by", a->by);
	log_str(&l, "result", err == 0 ? "done" : err_name(err));
	log_end(&l);
}

static void
answer(struct ipc_conn *c, uint32_t id, const struct qrelease *rel)
{
	struct buf b;

	buf_init(&b, 16384);
	ipc_put_str(&b, rel->by);
	ipc_put_str(&b, rel->reason);
	ipc_put_str(&b, rel->decision);
	ipc_put_str(&b, rel->rules);
	ipc_put_i64(&b, rel->at);
	ipc_put_str(&b, rel->confirmed_by);
	ipc_put_str(&b, rel->refused);
	ipc_reply(c, id, QUEUE_RELEASE_IS, &b, -1);
	buf_done(&b);
}

int
queue_msg_release(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	struct ask a;
	struct qrow row;
	struct qent *e;
	int err;

	if (read_ask(r, &a) != 0)
		return ERR_PROTO;
	e = qdb_find(queue.db, &a.id);
	if (e == NULL || e->state == QUEUE_ST_DONE || e->state == QUEUE_ST_HELD ||
	    e->state == QUEUE_ST_WATCH)
		return ipc_reply_err(c, id, ERR_NOTFOUND, "no such message");
	err = qdb_get(queue.db, &a.id, queue.arena, &row);
	if (err == 0)
		err = may(&a, e, &row);
	if (err == 0 && !a.only_look && a.what != QUEUE_RELEASE_SHOW)
		err = change(&a, &row);
	if (a.what != QUEUE_RELEASE_SHOW && (!a.only_look || err != 0))
		log_ask(c, &a, err);
	if (err != 0)
		return ipc_reply_err(c, id, err, "not done");
	if (!a.only_look && a.what != QUEUE_RELEASE_SHOW)
		queue_sync_now(); /* answered when it is durable */
	answer(c, id, &row.release);
	queue_on_due(NULL);
	return 0;
}

/* ---- on its way ---- */

int
queue_release_put(struct buf *b, const struct delivery_id *id, const struct qrow *row)
{
	unsigned char digest[32];
	char hex[65], qid[QID_LEN + 1], text[QID_LEN + RULES_MAX + 70];

	if (!(row->env.flags & ENV_RELEASED))
		return ipc_put_str(b, "");
	delivery_id_qid(id, qid);
	sha256_of(slice_str(row->env.quarantine), digest);
	hex_encode(digest, sizeof digest, hex);
	snprintf(text, sizeof text, "%s %s %s", qid,
	    row->release.rules[0] != '\0' ? row->release.rules : "-", hex);
	return ipc_put_str(b, text);
}

bool
queue_release_refused(const struct qrow *row, const uint8_t *result)
{
	uint32_t refused = 0;

	if (!(row->env.flags & ENV_RELEASED))
		return false;
	for (uint32_t i = 0; i < row->env.n_rcpts; i++) {
		if (row->env.rcpts[i].state == RCPT_DONE || result[i] != QUEUE_REFUSED)
			return false;
		refused++;
	}
	return refused > 0;
}

int
queue_release_back(const struct delivery_id *id, struct qrow *row, const uint8_t *result)
{
	struct qdb_put put = {.id = *id, .row = row};
	struct log_line l;
	char qid[QID_LEN + 1];

	(void)result;
	row->state = QUEUE_ST_QUARANTINE;
	row->env.flags &= ~(uint32_t)(ENV_JUDGE | ENV_RELEASED);
	row->env.flags |= ENV_QUARANTINE;
	row->release.refused = row->env.rcpts[0].why;
	delivery_id_qid(id, qid);
	log_begin(&l, LOG_LVL_WARN, "release_refused");
	log_str(&l, "qid", qid);
	log_str(&l, "why", row->release.refused);
	log_end(&l);
	return qdb_put(queue.db, &put, NULL);
}
