/* ctl_quarantine_release.c: `congvu quarantine release|delete`: first the queue is asked whether it would be done, then it is written into the audit log, then
 * it is done (smtpd/queue_release.c); what an officer may not do is in the log too. Killed in between, the same command does it: the audit log then has it
 * twice, and the queue does it once. Runs in congvu. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ctl_mailbox.h"
#include "admin/ctl_policy.h"
#include "admin/ctl_quarantine.h"
#include "admin/shown.h"
#include "lib/err.h"
#include "lib/log.h"

enum { RULES_MAX = 160 };

struct doing {
	struct ctl *c;
	struct ipc_sync *s;
	const struct held *h;
	enum queue_release what;
	const char *event, *reason, *decision;
	struct buf rules;
};

static int
tell(const struct doing *d, int err)
{
	switch (err) {
	case ERR_DENIED:
		return ctl_fail(d->c, EX_NOPERM,
		    _("%s is none of security_officers: nothing was done"), ctl_actor());
	case ERR_EXISTS:
		return ctl_fail(d->c, EX_NOPERM, "%s",
		    _("another officer confirms it: you requested it yourself"));
	case ERR_CONFLICT:
		return ctl_fail(d->c, EX_CANTCREAT,
		    _("%s: nobody requested its release in the last three days, or it left the "
		      "quarantine (congvu quarantine show)"),
		    d->h->qid);
	case ERR_NOTFOUND:
		return ctl_fail(d->c, EX_NOUSER, _("the quarantine has no %s"), d->h->qid);
	default:
		return queue_fail(d->c, err);
	}
}

static struct json *
note(const struct doing *d)
{
	struct json *rec = json_obj_new(), *env = json_obj_new();
	const struct json *a = d->h->asked;
	bool confirms = d->what == QUEUE_RELEASE_CONFIRM;

	json_set_str(rec, "qid", d->h->qid);
	json_set_str(env, "from", d->h->from);
	json_set_take(rec, "env", env);
	json_set_str(rec, "held_for", d->h->reason);
	json_set_str(rec, "reason",
	    confirms            ? json_cstr(json_get(a, "reason"))
	    : d->reason != NULL ? d->reason
				: "");
	json_set_str(rec, "decision",
	    confirms              ? json_cstr(json_get(a, "decision"))
	    : d->decision != NULL ? d->decision
				  : "");
	if (d->what == QUEUE_RELEASE_REQUEST)
		json_set_slice(rec, "rules", buf_slice(&d->rules));
	if (confirms) {
		json_set_str(rec, "rules", json_cstr(json_get(a, "rules")));
		json_set_str(rec, "requested_by", json_cstr(json_get(a, "by")));
	}
	return rec;
}

/* Looked at, audited, done. */
static int
carry_out(struct doing *d)
{
	const char *rules = d->rules.len > 0 ? buf_cstr(&d->rules) : "";
	struct json *rec;
	int err, code;

	err = held_ask(d->s, &d->h->id, d->what, true, d->reason, d->decision, rules, NULL);
	if (err == ERR_DENIED || err == ERR_EXISTS) {
		rec = note(d);
		json_set_str(rec, "refused", err == ERR_DENIED ? "no officer" : "the same officer");
		json_set_str(rec, "what", d->event);
		(void)ctl_audit_note(d->c, "quarantine_denied", rec);
	}
	if (err != 0)
		return tell(d, err);
	code = ctl_audit_note(d->c, d->event, note(d));
	if (code != EX_OK)
		return code;
	err = held_ask(d->s, &d->h->id, d->what, false, d->reason, d->decision, rules, NULL);
	return err == 0 ? EX_OK : tell(d, err);
}

/* ---- which rules ---- */

static bool
is_rule_name(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') ||
			(s.ptr[i] >= 'A' && s.ptr[i] <= 'Z') ||
			(s.ptr[i] >= 'a' && s.ptr[i] <= 'z') || s.ptr[i] == '-' ||
			s.ptr[i] == '_' || s.ptr[i] == '.'))
			return false;
	return s.len > 0 && s.len <= 32;
}

/* The one that decided, and those that would have held it as well: what is enforced beside a hold is no refusal. */
static int
read_rules(struct doing *d)
{
	struct trace_mail mail = {.records = NULL};
	struct slice first = held_rule(d->h), id;
	const struct json *v, *f;
	ptrdiff_t at;
	int rc;

	if (first.len == 0 || !is_rule_name(first))
		return 0; /* another filter's */
	(void)trace_group(slice_str(d->h->qid), mail.group);
	rc = trace_gather(d->c, &mail, 1, "");
	v = rc == 0 ? trace_verdict(&mail, d->h->qid) : NULL;
	buf_append_slice(&d->rules, first);
	f = json_get(v, "findings");
	for (size_t i = 0; i < json_len(f); i++) {
		id = json_str(json_get(json_at(f, i), "id"));
		at = rule_index(id);
		if (strcmp(json_cstr(json_get(json_at(f, i), "mode")), "enforce") != 0 ||
		    (at >= 0 && rule_table[at].action != RULE_HOLD) || !is_rule_name(id) ||
		    d->rules.len + id.len + 1 > RULES_MAX)
			continue;
		buf_append_byte(&d->rules, ',');
		buf_append_slice(&d->rules, id);
	}
	json_free(mail.records);
	return rc;
}

/* ---- the verbs ---- */

static void
print_done(const struct doing *d)
{
	const char *rules;

	if (d->c->json)
		return;
	switch (d->what) {
	case QUEUE_RELEASE_REQUEST:
		printf(_("%s: release requested, exempt from: %s. Nothing was let go. Another "
			 "officer "
			 "confirms it within three days:\n"),
		    d->h->qid, d->rules.len > 0 ? (const char *)d->rules.data : "-");
		printf("  congvu quarantine release %s --confirm\n", d->h->qid);
		break;
	case QUEUE_RELEASE_CONFIRM:
		rules = json_cstr(json_get(d->h->asked, "rules"));
		printf(_("%s: it is judged anew, exempt from: %s. What comes of it: congvu trace "
			 "%s\n"),
		    d->h->qid, *rules != '\0' ? rules : "-", d->h->qid);
		break;
	case QUEUE_RELEASE_WITHDRAW:
		printf(_("%s: the request is withdrawn\n"), d->h->qid);
		break;
	default:
		printf(_("%s: deleted\n"), d->h->qid);
		break;
	}
}

static int
answer(const struct doing *d, int code)
{
	struct json *j;

	if (code != EX_OK || !d->c->json) {
		if (code == EX_OK)
			print_done(d);
		return code;
	}
	j = json_obj_new();
	json_set_str(j, "qid", d->h->qid);
	json_set_str(j, "done", d->event);
	json_set_str(j, "by", ctl_actor());
	if (d->rules.len > 0)
		json_set_slice(j, "rules", buf_slice(&d->rules));
	return ctl_json_take(j, EX_OK);
}

static int
run(struct doing *d, const char *qid)
{
	struct held_list l;
	int code = ctl_officer(d->c, "quarantine_denied", d->event);

	if (code != EX_OK)
		return code;
	code = held_read(d->c, d->s, qid, &l);
	buf_init(&d->rules, RULES_MAX + 1);
	if (code == 0) {
		d->h = l.v;
		if (d->what == QUEUE_RELEASE_REQUEST)
			code = read_rules(d);
		if (code == 0)
			code = carry_out(d);
		code = answer(d, code);
	}
	buf_done(&d->rules);
	held_done(&l);
	return code;
}

int
quarantine_release(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	struct doing d = {.c = c, .s = s};
	bool confirm = false, withdraw = false;
	const struct ctl_option options[] = {{"reason", &d.reason, NULL},
	    {"decision", &d.decision, NULL}, {"confirm", NULL, &confirm},
	    {"withdraw", NULL, &withdraw}, {NULL, NULL, NULL}};

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2 || (d.reason != NULL) + confirm + withdraw != 1 ||
	    (d.reason != NULL && *d.reason == '\0'))
		return ctl_usage(c, "%s",
		    _("a QID and one of --reason TEXT (a request), --confirm and --withdraw are "
		      "needed"));
	d.what = confirm    ? QUEUE_RELEASE_CONFIRM
		 : withdraw ? QUEUE_RELEASE_WITHDRAW
			    : QUEUE_RELEASE_REQUEST;
	d.event = confirm    ? "quarantine_release_confirm"
		  : withdraw ? "quarantine_release_withdraw"
			     : "quarantine_release_request";
	return run(&d, argv[1]);
}

int
quarantine_delete(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	struct doing d = {.c = c, .s = s, .event = "quarantine_delete"};
	bool bounce = false;
	const struct ctl_option options[] = {
	    {"reason", &d.reason, NULL}, {"bounce", NULL, &bounce}, {NULL, NULL, NULL}};

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2 || d.reason == NULL || *d.reason == '\0')
		return ctl_usage(c, "%s", _("a QID and --reason TEXT are needed"));
	d.what = bounce ? QUEUE_RELEASE_BOUNCE : QUEUE_RELEASE_DELETE;
	return run(&d, argv[1]);
}
