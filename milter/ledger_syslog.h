/* ledger_syslog.h: lines of RFC 5424 for the socket audit_syslog, from where a syslog daemon takes them to another host: checkpoints and alerts. */
#ifndef CV_LEDGER_SYSLOG_H
#define CV_LEDGER_SYSLOG_H

#include "lib/json.h"

/* Before the sandbox: reads audit_syslog and hostname. */
void syslog_init(void);
bool syslog_is_on(void);
/* RFC 5424 6.2, of facility 13 (log audit): "<109>1 TIME HOST congvu-milter-ledger PID MSGID [sd_id". The caller appends parameters, "] " and a text. */
void syslog_begin(
    struct buf *out, unsigned severity, struct slice time, const char *msgid, const char *sd_id);
/* ' name="value"', escaped by 6.3.3; controls, and what is no UTF-8, become '?'; at most 320 octets of it. */
void syslog_param(struct buf *out, const char *name, struct slice value);
/* A datagram; the receiver may be gone or not keep up: that is told and counted, what was said is in the audit log alone, and nothing waits. */
void syslog_send(const struct buf *line);

/* The line of a record that officers hear of at once: a verdict by P12, or an event "alert"; ts and seq are the record's. Nothing is appended for any
 * other record, and nothing of a mail but its queue id, who sent it and where from. */
void syslog_alert(const struct json *rec, const char *ts, uint64_t seq, struct buf *out);

#endif
