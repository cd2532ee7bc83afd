/* ctl_report.c: `congvu report daily`: what the filter did in a day, from the audit log; certificates that end soon, from the directory; whether the log is what
 * was written. Runs in congvu; one pass over the files of that day, a record at a time. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/ctl_report.h"
#include "admin/ctl_trace.h"
#include "admin/report_tally.h"
#include "admin/shown.h"
#include "lib/err.h"
#include "lib/log.h"

enum { CERT_DAYS = 30, SHOWN_ROWS = 20 };
/* Of a verdict, as the record's action; and how a rule hit. */
enum { ACCEPTED, REJECTED, HELD, DEFERRED, N_ACTIONS };
enum { WARNED = DEFERRED + 1, LOGGED };
enum { REV_AGE, REV_UNKNOWN, REV_SEEN, REV_REVOKED };

static const char *const action_keys[] = {"accepted", "rejected", "held", "deferred", NULL};
static const char *const rule_keys[] = {
    "accepted", "rejected", "held", "deferred", "warned", "logged", NULL};
static const char *const signer_keys[] = {"good", "bad", NULL};
static const char *const rev_keys[] = {"oldest_s", "unknown", "signatures", "revoked", NULL};

struct report {
	struct ctl *c;
	struct trace_span span;
	uint64_t verdicts, actions[N_ACTIONS], outcomes, delivered, released, purges, bad,
	    unjudged; /* refused before there was anything to judge */
	char due[32]; /* who sent an urgent document after that still waits for its time */
	uint64_t urgent, not_due, read,
	    unread; /* P32: documents; mailboxes that opened one in time, or not */
	struct tally rules, agencies, signers, issuers, deeds;
};

/* ---- one record ---- */

static int
action_of(const char *text)
{
	return strcmp(text, "accept") == 0       ? ACCEPTED
	       : strcmp(text, "reject") == 0     ? REJECTED
	       : strcmp(text, "quarantine") == 0 ? HELD
						 : DEFERRED;
}

static void
take_signatures(struct report *r, const struct json *sigs)
{
	for (size_t i = 0; i < json_len(sigs); i++) {
		const struct json *s = json_at(sigs, i), *rev = json_get(s, "rev");
		const struct json *who = json_at(json_get(s, "addresses"), 0);
		struct slice name = json_str(who).len > 0 ? json_str(who)
							  : json_str(json_get(s, "signer")),
			     issuer = json_str(json_get(s, "issuer")),
			     state = json_str(json_get(rev, "state"));
		int64_t age = json_int(json_get(rev, "age_s"), 0);
		bool good = slice_eq_str(json_str(json_get(s, "status")), "valid") &&
			    !slice_eq_str(state, "revoked");

		tally_add(&r->signers, name, good ? 0 : 1, 1);
		tally_add(&r->issuers, issuer, REV_SEEN, 1);
		tally_add(&r->issuers, issuer, REV_UNKNOWN, slice_eq_str(state, "unknown"));
		tally_add(&r->issuers, issuer, REV_REVOKED, slice_eq_str(state, "revoked"));
		if (age > 0)
			tally_max(&r->issuers, issuer, REV_AGE, (uint64_t)age);
	}
}

/* "2026-11-22T18:00:00": urgent_unread_s ago. Empty: nobody is told. */
static void
set_due(struct report *r)
{
	int64_t wait = conf_int(r->c->conf, "urgent_unread_s");
	time_t t = time(NULL) - (time_t)wait + 1; /* the parts of this second are cut off */
	struct tm tm;

	if (wait > 0 && gmtime_r(&t, &tm) != NULL)
		strftime(r->due, sizeof r->due, "%Y-%m-%dT%H:%M:%S", &tm);
}

static bool
is_not_due(const struct report *r, const struct json *rec)
{
	return r->due[0] != '\0' && strcmp(json_cstr(json_get(rec, "ts")), r->due) > 0 &&
	       json_str(json_get(json_get(rec, "session"), "auth")).len > 0;
}

static void
take_verdict(struct report *r, const struct json *rec)
{
	const struct json *d = json_get(rec, "decision"), *list = json_get(rec, "findings");
	int action = action_of(json_cstr(json_get(d, "action")));
	struct slice rule = json_str(json_get(d, "rule")),
		     agency = json_str(json_at(json_get(json_get(rec, "facts"), "agencies"), 0));

	r->verdicts++;
	r->actions[action]++;
	r->released += json_kind(json_get(rec, "released")) == JSON_T_OBJ;
	if (rule.len > 0)
		tally_add(&r->rules, rule, (unsigned)action, 1);
	for (size_t i = 0; i < json_len(list); i++) {
		const char *mode = json_cstr(json_get(json_at(list, i), "mode"));
		struct slice id = json_str(json_get(json_at(list, i), "id"));

		if (action == ACCEPTED && strcmp(mode, "enforce") == 0 && slice_eq_str(id, "P32")) {
			r->urgent++;
			r->not_due += is_not_due(r, rec);
		}
		if (strcmp(mode, "log") == 0 || strcmp(mode, "warn") == 0)
			tally_add(&r->rules, id, strcmp(mode, "log") == 0 ? LOGGED : WARNED, 1);
	}
	tally_add(&r->agencies, agency.len > 0 ? agency : slice_str("-"), (unsigned)action, 1);
	take_signatures(r, json_get(rec, "sig"));
}

/* A sender whom smtpd refused before there was anything to judge (refused.c): no verdict tells of it. */
static void
take_refusal(struct report *r, const struct json *rec)
{
	struct slice text = json_str(json_get(rec, "text"));

	if (json_int(json_get(rec, "code"), 0) < 500 ||
	    !slice_eq_str(slice_sub(text, 0, 20), "5.7.1 P28: No right "))
		return;
	r->actions[REJECTED]++;
	r->unjudged++;
	tally_add(&r->rules, slice_str("P28"), REJECTED, 1);
	tally_add(&r->agencies, slice_str("-"), REJECTED, 1);
}

static void
take(struct report *r, const struct json *rec)
{
	struct slice event = json_str(json_get(rec, "event"));
	const struct json *rcpts = json_get(rec, "rcpts");

	if (slice_eq_str(event, "verdict")) {
		take_verdict(r, rec);
	} else if (slice_eq_str(event, "outcome")) {
		r->outcomes++;
		take_refusal(r, rec);
		for (size_t i = 0; i < json_len(rcpts); i++)
			r->delivered += slice_eq_str(
			    json_str(json_get(json_at(rcpts, i), "result")), "delivered");
	} else if (slice_eq_str(event, "delivery")) {
		for (size_t i = 0; i < json_len(rcpts); i++) {
			struct slice result = json_str(json_get(json_at(rcpts, i), "result"));

			r->read += slice_eq_str(result, "read");
			r->unread += slice_eq_str(result, "unread");
		}
	} else if (json_kind(json_get(rec, "by")) == JSON_T_STR) {
		tally_add(&r->deeds, event, 0, 1);
	}
}

/* A line of another day is not even parsed. */
static int
take_file(struct report *r, const char *path)
{
	int fd = audit_open_one(r->c, path), err;
	struct audit_reader *in;
	struct audit_chain chain;
	struct slice line;
	struct json *rec;
	const char *why;

	if (fd < 0)
		return EX_NOINPUT;
	in = audit_reader_new(fd);
	while ((err = audit_reader_next(in, &line)) == 0) {
		rec = NULL;
		if (!trace_span_has(&r->span, trace_line_ts(line)))
			continue;
		if (audit_line_parse(line, &chain, &rec, &why) != 0)
			r->bad++;
		else
			take(r, rec);
		json_free(rec);
	}
	audit_reader_free(in);
	close(fd);
	return err == ERR_EOF ? 0
			      : ctl_fail(r->c, ctl_exit_code(err), "%s: %s", path, err_name(err));
}

static int
read_log(struct report *r)
{
	struct audit_files files = {0};
	size_t from, to;
	int rc = audit_open_files(r->c, NULL, &files);

	if (rc == 0) {
		trace_span_files(r->c, &files, &r->span, &from, &to);
		for (size_t i = from; i < to && rc == 0; i++)
			rc = take_file(r, files.list[i].path);
	}
	audit_files_done(&files);
	tally_sort(&r->rules);
	tally_sort(&r->agencies);
	tally_sort(&r->signers);
	tally_sort(&r->issuers);
	tally_sort(&r->deeds);
	return rc;
}

/* ---- the report ---- */

static struct json *
report_json(struct report *r, const char *key, bool verify)
{
	static const char *const times[] = {"times", NULL};
	struct json *o = json_obj_new(), *mails = json_obj_new(), *urgent = json_obj_new();

	json_set_str(o, "since", r->span.since);
	json_set_str(o, "until", r->span.until);
	json_set_int(mails, "verdicts", (int64_t)r->verdicts);
	for (int i = 0; i < N_ACTIONS; i++)
		json_set_int(mails, action_keys[i], (int64_t)r->actions[i]);
	json_set_int(mails, "outcomes", (int64_t)r->outcomes);
	json_set_int(mails, "delivered_at_once", (int64_t)r->delivered);
	json_set_int(mails, "released", (int64_t)r->released);
	json_set_int(mails, "refused_unjudged", (int64_t)r->unjudged);
	json_set_int(mails, "altered_records", (int64_t)r->bad);
	json_set_take(o, "mails", mails);
	json_set_int(urgent, "documents", (int64_t)r->urgent);
	json_set_int(urgent, "not_due", (int64_t)r->not_due);
	json_set_int(urgent, "read", (int64_t)r->read);
	json_set_int(urgent, "unread", (int64_t)r->unread);
	json_set_take(o, "urgent", urgent);
	json_set_take(o, "rules", tally_json(&r->rules, "rule", rule_keys));
	json_set_take(o, "agencies", tally_json(&r->agencies, "agency", action_keys));
	json_set_take(o, "signers", tally_json(&r->signers, "signer", signer_keys));
	json_set_take(o, "revocation", tally_json(&r->issuers, "issuer", rev_keys));
	json_set_take(o, "by_hand", tally_json(&r->deeds, "event", times));
	json_set_take(o, "certificates", report_certificates(r->c, CERT_DAYS));
	json_set_take(o, "audit_log", verify ? report_integrity(r->c, key) : NULL);
	return o;
}

static void
print_table(const char *title, const struct json *rows, const char *key, const char *const *keys,
    const char *const *labels, bool number_first)
{
	printf("\n%s\n", title);
	if (json_len(rows) == 0)
		printf("  -\n");
	for (size_t i = 0; i < json_len(rows) && i < SHOWN_ROWS; i++) {
		const struct json *row = json_at(rows, i);
		const char *comma = ":";

		/* shown already, when it was put there */
		printf("  %s", json_cstr(json_get(row, key)));
		for (int k = 0; keys[k] != NULL; k++) {
			long long n = (long long)json_int(json_get(row, keys[k]), 0);

			if (n == 0)
				continue;
			if (number_first)
				printf("%s %lld %s", comma, n, labels[k]);
			else
				printf("%s %s %lld", comma, labels[k], n);
			comma = ",";
		}
		printf("\n");
	}
	if (json_len(rows) > SHOWN_ROWS)
		printf(_(" and %zu more"), json_len(rows) - SHOWN_ROWS);
}

static void
print_certificates(const struct json *j)
{
	const struct json *ends = json_get(j, "ends");
	long long waiting = (long long)json_int(json_get(j, "waiting"), -1);

	printf(_("\nCertificates that end within %lld days (%lld in the directory looked at)\n"),
	    (long long)json_int(json_get(j, "within_days"), 0),
	    (long long)json_int(json_get(j, "looked_at"), 0));
	if (json_str(json_get(j, "why")).len > 0)
		printf(_("  NOT KNOWN: %s\n"), json_cstr(json_get(j, "why")));
	else if (json_len(ends) == 0)
		printf("  -\n");
	for (size_t i = 0; i < json_len(ends); i++) {
		const struct json *e = json_at(ends, i);
		long long days = (long long)json_int(json_get(e, "days"), 0);

		printf("  ");
		shown_print(json_str(json_get(e, "who")), SHOWN_LATIN);
		printf("  %s  ", json_cstr(json_get(e, "until")));
		printf(days < 0 ? _("over since %lld days\n") : _("in %lld days\n"),
		    days < 0 ? -days : days);
	}
	if (waiting > 0)
		printf(
		    _("  %lld of signers wait to be published or banned (congvu cert pending)\n"),
		    waiting);
	else if (waiting < 0)
		printf("%s\n", _("  NOT KNOWN: how many of signers wait (congvu cert pending)"));
}

static void
print_integrity(const struct json *j, bool with_key)
{
	printf("\n%s\n", _("The audit log"));
	if (json_kind(j) != JSON_T_OBJ) {
		printf("  %s\n", _("not verified (--no-verify)"));
	} else if (json_str(json_get(j, "why")).len > 0) {
		printf(_("  NOT KNOWN: %s\n"), json_cstr(json_get(j, "why")));
	} else if (!json_bool(json_get(j, "ok"))) {
		printf(_("  NOT WHOLE: %lld findings, the first: %s (congvu audit verify)\n"),
		    (long long)json_int(json_get(j, "findings"), 0),
		    json_cstr(json_get(j, "first_finding")));
	} else {
		long long last = (long long)json_int(json_get(j, "last_seq"), 0),
			  checkpoints = (long long)json_int(json_get(j, "checkpoints"), 0);

		if (with_key)
			printf(_("  whole up to record %lld; %lld checkpoints, %lld signatures "
				 "checked, "
				 "signed up to record %lld\n"),
			    last, checkpoints,
			    (long long)json_int(json_get(j, "signatures_checked"), 0),
			    (long long)json_int(json_get(j, "signed_seq"), 0));
		else
			printf(
			    _("  whole up to record %lld; %lld checkpoints, whose signatures were "
			      "not checked (--key)\n"),
			    last, checkpoints);
		if (json_int(json_get(j, "undecided"), 0) > 0)
			printf(_("  UNDECIDED: %lld checkpoints are not in it (congvu audit "
				 "verify)\n"),
			    (long long)json_int(json_get(j, "undecided"), 0));
	}
}

static void
print(const struct json *o, bool with_key)
{
	const struct json *m = json_get(o, "mails"), *u = json_get(o, "urgent");
	const char *const rule_labels[] = {_("let through"), _("refused"), _("held for review"),
	    _("deferred"), _("warned"), _("noted in the log alone")};
	const char *const signer_labels[] = {_("good"), _("not good")};
	const char *const rev_labels[] = {
	    _("s the oldest data"), _("not known"), _("signatures"), _("revoked")};
	const char *const deed_labels[] = {_("times")};
	static const char *const times[] = {"times", NULL};

	printf(_("Mail from %s to %s: %lld judged\n"), json_cstr(json_get(o, "since")),
	    json_cstr(json_get(o, "until")), (long long)json_int(json_get(m, "verdicts"), 0));
	for (int i = 0; i < N_ACTIONS; i++)
		printf("  %s %lld\n", rule_labels[i],
		    (long long)json_int(json_get(m, action_keys[i]), 0));
	printf("  %s %lld\n", _("released from the quarantine"),
	    (long long)json_int(json_get(m, "released"), 0));
	if (json_int(json_get(m, "altered_records"), 0) > 0)
		printf(_("  %lld records are NOT as they were written and are not counted\n"),
		    (long long)json_int(json_get(m, "altered_records"), 0));
	printf(_("Urgent documents (P32): %lld, of which not yet due: %lld; recipients that opened "
		 "one in time: %lld, that did not: %lld\n"),
	    (long long)json_int(json_get(u, "documents"), 0),
	    (long long)json_int(json_get(u, "not_due"), 0),
	    (long long)json_int(json_get(u, "read"), 0),
	    (long long)json_int(json_get(u, "unread"), 0));
	print_table(_("Rules"), json_get(o, "rules"), "rule", rule_keys, rule_labels, false);
	print_table(
	    _("Agencies"), json_get(o, "agencies"), "agency", action_keys, rule_labels, false);
	print_table(
	    _("Signers"), json_get(o, "signers"), "signer", signer_keys, signer_labels, false);
	print_table(_("Revocation, by issuer"), json_get(o, "revocation"), "issuer", rev_keys,
	    rev_labels, true);
	print_table(_("By hand"), json_get(o, "by_hand"), "event", times, deed_labels, true);
	print_certificates(json_get(o, "certificates"));
	print_integrity(json_get(o, "audit_log"), with_key);
}

/* Yesterday: whoever reads it in the morning wants a day that is over. */
static const char *
yesterday(void)
{
	static char day[16];
	time_t t = time(NULL);
	struct tm tm;

	localtime_r(&t, &tm);
	tm.tm_mday--;
	tm.tm_isdst = -1;
	t = mktime(&tm);
	localtime_r(&t, &tm);
	strftime(day, sizeof day, "%Y-%m-%d", &tm);
	return day;
}

int
ctl_report(struct ctl *c, int argc, char **argv)
{
	const char *day = NULL, *key = NULL;
	bool no_verify = false;
	const struct ctl_option options[] = {{"day", &day, NULL}, {"key", &key, NULL},
	    {"no-verify", NULL, &no_verify}, {NULL, NULL, NULL}};
	struct report r = {.c = c};
	struct json *o = NULL;
	int rc;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2 || strcmp(argv[1], "daily") != 0)
		return ctl_usage(c, "%s", _("report daily is what there is"));
	if (trace_span_read(c, day != NULL ? day : yesterday(), NULL, NULL, &r.span) != 0)
		return EX_USAGE;
	set_due(&r);
	rc = read_log(&r);
	if (rc == 0)
		o = report_json(&r, key, !no_verify);
	if (rc == 0 && !c->json)
		print(o, key != NULL);
	tally_done(&r.rules);
	tally_done(&r.agencies);
	tally_done(&r.signers);
	tally_done(&r.issuers);
	tally_done(&r.deeds);
	if (rc == 0 && c->json)
		return ctl_json_take(o, EX_OK);
	json_free(o);
	return rc;
}
