/* report_state.c: what the daily report says beside the day's mail: certificates that end soon, and whether the audit log is what was written. Runs in congvu. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/ctl_audit.h"
#include "admin/ctl_cert.h"
#include "admin/ctl_directory.h"
#include "admin/ctl_report.h"
#include "lib/client_cert.h"
#include "lib/err.h"
#include "milter/audit_verify.h"

enum { ENTRIES_MAX = 20000, LISTED_MAX = 500, DAY_S = 86400 };

static void
look_at(const struct dir_entry *e, const char *attr, const char *mail, unsigned days,
    struct json *ends, int64_t *n)
{
	const struct dir_attr *a = dir_entry_attr(e, attr);
	int64_t now = (int64_t)time(NULL), latest = 0;
	char day[16];
	struct json *o;
	struct tm tm;
	time_t t;

	/* who has a newer one beside it needs none */
	for (size_t i = 0; a != NULL && i < a->n_values; i++) {
		int64_t until = client_cert_not_after(a->values[i]);

		++*n;
		if (until > latest)
			latest = until;
	}
	if (latest == 0 || latest > now + (int64_t)days * DAY_S || json_len(ends) >= LISTED_MAX)
		return;
	t = (time_t)latest;
	gmtime_r(&t, &tm);
	strftime(day, sizeof day, "%Y-%m-%d", &tm);
	o = json_obj_new();
	json_set_slice(o, "who", dir_entry_value(e, mail));
	json_set_str(o, "until", day);
	json_set_int(o, "days", (latest - now) / DAY_S);
	json_push_take(ends, o);
}

struct json *
report_certificates(struct ctl *c, unsigned days)
{
	const char *attr = conf_str(c->conf, "dir_attr_cert"),
		   *mail = conf_str(c->conf, "dir_attr_mail");
	const char *const attrs[] = {attr, mail, NULL};
	struct json *o = json_obj_new(), *ends = json_arr_new();
	struct dir_result *found = NULL;
	struct ctl_dir d = {0};
	const char *why = NULL;
	char filter[600];
	int64_t n = 0;
	int err = 0;

	snprintf(filter, sizeof filter, "(&(|(objectClass=%s)(objectClass=%s))(%s=*))",
	    conf_str(c->conf, "dir_class_person"), conf_str(c->conf, "dir_class_func"), attr);
	if (ctl_dir_open(c, NULL, NULL, &d) != 0) {
		why = _("the directory cannot be asked");
	} else {
		err = dir_search(d.dir, NULL, filter, attrs, ENTRIES_MAX, &found);
		why = err == ERR_LIMIT ? _("more entries than this report looks at")
		      : err != 0       ? _("the directory cannot be asked")
				       : NULL;
		for (size_t i = 0; err == 0 && i < found->n_entries; i++)
			look_at(&found->entries[i], attr, mail, days, ends, &n);
		dir_result_free(found);
		ctl_dir_close(&d);
	}
	json_set_int(o, "looked_at", n);
	json_set_int(o, "waiting", cert_file_waiting(c->conf));
	json_set_int(o, "within_days", days);
	json_set_take(o, "ends", ends);
	json_set_str(o, "why", why);
	return o;
}

static void
verified(void *arg, const struct audit_report *r)
{
	struct json *o = arg;

	json_set_bool(o, "ok", r->ok);
	json_set_int(o, "records", (int64_t)r->records);
	json_set_int(o, "last_seq", (int64_t)r->last.seq);
	json_set_int(o, "checkpoints", (int64_t)r->checkpoints);
	json_set_int(o, "signatures_checked", (int64_t)r->checked_signatures);
	json_set_int(o, "signed_seq", (int64_t)r->signed_seq);
	json_set_int(o, "undecided", (int64_t)r->undecided);
	json_set_int(o, "findings", (int64_t)(r->n_findings + r->more_findings));
	json_set_str(o, "first_finding", r->n_findings > 0 ? r->findings[0].text : NULL);
	json_set_str(o, "why", NULL);
}

struct json *
report_integrity(struct ctl *c, const char *key)
{
	const struct audit_options o = {.key = key};
	struct json *j = json_obj_new();

	json_set_bool(j, "ok", false);
	json_set_str(j, "why", _("the audit log cannot be read"));
	(void)audit_verify_run(c, &o, verified, j);
	return j;
}
