/* ledger_syslog.c: lines of RFC 5424 for a syslog daemon: checkpoints of the audit log, and what officers hear of at once. Runs in milter-ledger.
 * Invariants: only what is on stable storage is told; who chose a value cannot end it (RFC 5424 6.3.3), begin a line, or make the line long. */
#include "config.h"

#include "milter/ledger_syslog.h"

#include "lib/log.h"
#include "lib/role.h"
#include "lib/utf7.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* 32473 is the number for examples; the names with it are ours. */
#define ALERT_ID "congvuAlert@32473"
enum { FACILITY_AUDIT = 13, SEVERITY_ALERT = 1, VALUE_MAX = 320 };
enum { STAT_SYSLOG_LOST = 6 }; /* of role_stats.c */

static const char *path = "", *host;
static uint64_t lost;

void
syslog_init(void)
{
	struct sockaddr_un sa;

	path = conf_str(role_conf(), "audit_syslog");
	host = conf_str(role_conf(), "hostname");
	if (strlen(path) >= sizeof sa.sun_path || (path[0] != '\0' && path[0] != '/')) {
		log_msg(LOG_LVL_ERROR, "checkpoint_syslog",
		    "audit_syslog \"%s\" is no absolute path of a socket: checkpoints and alerts "
		    "are in the audit log alone",
		    path);
		path = "";
	}
}

bool
syslog_is_on(void)
{
	return path[0] != '\0';
}

void
syslog_begin(
    struct buf *out, unsigned severity, struct slice time, const char *msgid, const char *sd_id)
{
	buf_appendf(out, "<%u>1 %.*s %s congvu-milter-ledger %ld %s [%s",
	    FACILITY_AUDIT * 8 + severity, (int)time.len, (const char *)time.ptr, host,
	    (long)getpid(), msgid, sd_id);
}

void
syslog_param(struct buf *out, const char *name, struct slice value)
{
	bool utf8 = utf8_valid(value);

	if (value.len > VALUE_MAX) {
		value.len = VALUE_MAX;
		while (utf8 && value.len > 0 && (value.ptr[value.len] & 0xc0) == 0x80)
			value.len--;
	}
	buf_appendf(out, " %s=\"", name);
	for (size_t i = 0; i < value.len; i++) {
		unsigned char ch = value.ptr[i];

		if (ch == '"' || ch == '\\' || ch == ']')
			buf_append_byte(out, '\\');
		buf_append_byte(out, ch < ' ' || ch == 0x7f || (ch >= 0x80 && !utf8) ? '?' : ch);
	}
	buf_append_byte(out, '"');
}

void
syslog_send(const struct buf *line)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd, rc = -1;

	memcpy(sa.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&sa, sizeof sa) == 0)
		rc = send(fd, line->data, line->len, MSG_NOSIGNAL) == (ssize_t)line->len ? 0 : -1;
	if (rc != 0) {
		role_stat_set(STAT_SYSLOG_LOST, ++lost);
		log_msg(LOG_LVL_ERROR, "checkpoint_syslog",
		    "%s: %s: the line is in the audit log alone", path, strerror(errno));
	}
	if (fd >= 0)
		close(fd);
}

void
syslog_alert(const struct json *rec, const char *ts, uint64_t seq, struct buf *out)
{
	const struct json *decision = json_get(rec, "decision"),
			  *session = json_get(rec, "session");
	bool verdict = slice_eq_str(json_str(json_get(rec, "event")), "verdict");
	struct slice rule = json_str(json_get(verdict ? decision : rec, "rule")),
		     action = json_str(json_get(decision, "action")),
		     address = json_str(json_get(rec, "address"));
	char number[24];

	if (!syslog_is_on() || (verdict ? !slice_eq_str(rule, "P12")
					: !slice_eq_str(json_str(json_get(rec, "event")), "alert")))
		return;
	snprintf(number, sizeof number, "%llu", (unsigned long long)seq);
	syslog_begin(out, SEVERITY_ALERT, slice_str(ts), "alert", ALERT_ID);
	syslog_param(out, "rule", rule);
	syslog_param(out, "qid", json_str(json_get(rec, "qid")));
	syslog_param(out, "login", json_str(json_get(session, "auth")));
	syslog_param(out, "ip", json_str(json_get(session, "ip")));
	if (action.len > 0)
		syslog_param(out, "action", action);
	if (address.len > 0)
		syslog_param(out, "address", address);
	syslog_param(out, "seq", slice_str(number));
	buf_append_str(out, "] ");
	buf_append_str(out, slice_eq_str(rule, "P12") ? "mail with a mark of state secrecy"
						      : "congvu trace has the mail's way");
}
