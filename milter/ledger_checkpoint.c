/* ledger_checkpoint.c: checkpoints of the audit log. Runs in milter-ledger. After audit_checkpoint_records records or audit_checkpoint_s
 * seconds milter-sign signs the number and hash of the last record on stable storage; the signature becomes a record, and a line of
 * RFC 5424 for the syslog socket, from where rsyslog takes it to another host. While milter-sign is away, or refuses, mail goes on: the
 * checkpoint is owed, asked for again, and `congvu status` and `congvu doctor` say since when. */
#include "config.h"

#include "milter/ledger_checkpoint.h"
#include "milter/ledger_syslog.h"
#include "milter/sign_client.h"

#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"
#include "lib/role.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SIGN_MS = 10000, AGAIN_MS = 5000, SEVERITY_NOTICE = 5 };
/* Counters of role_stats.c. */
enum { STAT_SIGNED_SEQ = 2, STAT_SIGNED_AT, STAT_OWED_SINCE, STAT_REFUSED };

static struct {
	struct ipc_client *sign;
	void (*record)(struct json *rec);
	uint64_t every;
	uint64_t every_ms;
	struct loop_timer *due;
	struct audit_chain last;   /* on stable storage */
	uint64_t records, covered; /* counted from the start */
	uint64_t asked_records;
	bool busy, asked_once;
	int64_t owed_since; /* 0: nothing is owed */
	uint64_t refused;
} cp;

static void ask(void);

/* ---- syslog ---- */

/* The values hold nothing that RFC 5424 6.3.3 would have escaped. */
static void
syslog_line(const struct sign_checkpoint *what, const struct buf *sig, struct buf *out)
{
	char text[2048];
	size_t n = what->text.len < sizeof text ? what->text.len : sizeof text - 1;
	char *line, *rest = text, *eq;
	const char *time = "-";

	memcpy(text, what->text.ptr, n);
	text[n] = '\0';
	line = strstr(text, "\ntime=");
	if (line != NULL)
		time = line + 6;
	syslog_begin(out, SEVERITY_NOTICE, slice_of(time, strcspn(time, "\n")), "checkpoint",
	    "congvuCheckpoint@32473");
	strsep(&rest, "\n"); /* the headline */
	while ((line = strsep(&rest, "\n")) != NULL) {
		eq = strchr(line, '=');
		if (eq == NULL)
			continue;
		*eq = '\0';
		buf_appendf(out, " %s=\"%s\"", line, eq + 1);
	}
	buf_appendf(out, " signature=\"%.*s\"] audit log checkpoint", (int)sig->len,
	    (const char *)sig->data);
}

/* ---- signing ---- */

static void
owe(void)
{
	if (cp.owed_since == 0) {
		cp.owed_since = (int64_t)time(NULL);
		role_stat_set(STAT_OWED_SINCE, (uint64_t)cp.owed_since);
	}
	loop_timer_set(cp.due, AGAIN_MS);
}

static void
signed_well(const struct sign_checkpoint *what)
{
	struct json *rec = json_obj_new();
	struct buf sig, line;

	buf_init(&sig, 8192);
	buf_init(&line, 16384);
	b64_encode(what->signature, false, &sig);
	json_set_str(rec, "event", "checkpoint");
	json_set_slice(rec, "signed", what->text);
	json_set_slice(rec, "signature", buf_slice(&sig));
	json_set_slice(rec, "key_id", what->key_id);
	cp.record(rec);
	if (syslog_is_on()) {
		syslog_line(what, &sig, &line);
		if (line.err == 0)
			syslog_send(&line);
	}
	buf_done(&sig);
	buf_done(&line);
}

static void
on_signed(void *arg, int err, const struct sign_checkpoint *what)
{
	(void)arg;
	cp.busy = false;
	if (err == 0) {
		cp.covered = cp.asked_records;
		if (cp.owed_since != 0)
			log_msg(LOG_LVL_INFO, "checkpoint_again", "milter-sign signs again");
		cp.owed_since = 0;
		role_stat_set(STAT_OWED_SINCE, 0);
		role_stat_set(STAT_SIGNED_AT, (uint64_t)time(NULL));
		signed_well(what);
		if (cp.records > cp.covered)
			loop_timer_set(cp.due, cp.every_ms);
		return;
	}
	if (cp.owed_since == 0)
		log_msg(LOG_LVL_ERROR, "checkpoint_owed",
		    "milter-sign does not sign the audit log (%s): mail goes on, and it is asked "
		    "again",
		    err_name(err));
	if (err == ERR_CONFLICT)
		role_stat_set(STAT_REFUSED, ++cp.refused);
	owe();
}

static void
ask(void)
{
	if (cp.busy || cp.records == cp.covered)
		return;
	loop_timer_stop(cp.due);
	cp.asked_once = true;
	cp.asked_records = cp.records;
	cp.busy = true;
	role_stat_set(STAT_SIGNED_SEQ, cp.last.seq);
	if (sign_checkpoint(cp.sign, cp.last.seq, cp.last.h, SIGN_MS, on_signed, NULL) != 0) {
		cp.busy = false;
		owe();
	}
}

static void
on_due(void *arg)
{
	(void)arg;
	ask();
}

void
checkpoint_durable(const struct audit_chain *last, uint64_t records)
{
	cp.last = *last;
	cp.records = records;
	if (records == cp.covered || cp.busy || cp.owed_since != 0)
		return;
	/* the first record says that the ledger started: it is signed at once, so that nobody takes it back by a restart */
	if (!cp.asked_once || records - cp.covered >= cp.every)
		ask();
	else if (!loop_timer_is_set(cp.due))
		loop_timer_set(cp.due, cp.every_ms);
}

/* The sockets' folder is reached through a descriptor: our own folder is another one, and the way to both may be closed to us. */
void
checkpoint_init(struct loop *l, void (*record)(struct json *rec))
{
	const struct conf *c = role_conf();
	char path[64], *run = conf_path(c, "run_dir");
	int dir = open(run, O_PATH | O_DIRECTORY | O_CLOEXEC);

	cp.record = record;
	cp.every = (uint64_t)conf_int(c, "audit_checkpoint_records");
	cp.every_ms = (uint64_t)conf_int(c, "audit_checkpoint_s") * 1000;
	if (dir < 0)
		log_msg(LOG_LVL_ERROR, "checkpoint", "%s: %s", run, strerror(errno));
	snprintf(path, sizeof path, "/proc/self/fd/%d/sign.ledger.sock", dir);
	cp.due = loop_timer_new(l, on_due, NULL);
	cp.sign = ipc_client_new(l, path, &sign_proto, IPC_LEDGER, NULL, NULL);
	free(run);
}
