/* ctl_report.h: the daily report, between its two files. */
#ifndef CV_CTL_REPORT_H
#define CV_CTL_REPORT_H

#include "admin/ctl.h"

/* Each gives a value of the report, the caller's, that says itself what could not be learnt ("why"). */
/* {"looked_at": n, "ends": [{"who", "until", "days"}], "why": null or text}: certificates of people and mailboxes in the directory that end within days. */
struct json *report_certificates(struct ctl *c, unsigned days);
/* {"ok", "records", "last_seq", "signed_seq", "findings", "first_finding", "why"}: the audit log verified from its beginning. */
struct json *report_integrity(struct ctl *c, const char *key);

#endif
