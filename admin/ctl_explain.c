/* ctl_explain.c: `congvu explain QID [--policy FILE]`: why a mail was refused, held, deferred or let through: rule, part, evidence, what to do, in
 * Vietnamese and English; replayed from its audit record under the very policy that was in force (policy_archive, by SHA-256), or under another. Reads
 * the log and the archive; asks no running program. The ticket that a sender reads out is the QID; what was refused before it came to a judgement (P28 at
 * MAIL) has its outcome alone, and is explained by that. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ctl_policy.h"
#include "admin/ctl_trace.h"
#include "lib/err.h"
#include "lib/log.h"

enum { MEMORY = 32 << 20 };

struct finder {
	struct slice qid;
	struct json *last;    /* verdict */
	struct json *refusal; /* outcome, for what never came to a judgement */
	uint64_t n;
	char group[TRACE_GROUP_MAX + 1],
	    other[TRACE_GROUP_MAX + 1]; /* other: the id under which it was judged again; "" */
};

/* A mail that was judged again has a second id (ctl_trace.h). */
static void
note_other(struct finder *f, struct slice qid)
{
	char group[TRACE_GROUP_MAX + 1];

	if (f->group[0] != '\0' && trace_group(qid, group) == 0 && strcmp(group, f->group) == 0)
		snprintf(f->other, sizeof f->other, "%.*s", (int)qid.len, (const char *)qid.ptr);
}

static int
on_record(void *arg, struct slice line, struct json *rec)
{
	struct finder *f = arg;
	const char *event = json_cstr(json_get(rec, "event"));
	struct slice qid = json_str(json_get(rec, "qid"));
	bool ours = slice_eq(qid, f->qid);
	struct json **keep = NULL;

	(void)line;
	if (strcmp(event, "verdict") == 0 && ours) {
		keep = &f->last;
		f->n++;
	} else if (strcmp(event, "verdict") == 0) {
		note_other(f, qid);
	} else if (strcmp(event, "outcome") == 0 && ours &&
		   json_int(json_get(rec, "code"), 0) >= 400) {
		keep = &f->refusal;
	}
	if (keep == NULL) {
		json_free(rec);
		return 0;
	}
	json_free(*keep);
	*keep = rec;
	return 0;
}

struct explain {
	struct ctl *c;
	struct json *out, *rules;
	struct policy_replay r;
	struct arena *arena;
	const struct policy *p; /* NULL: the built-in one of that time */
};

/* One finding: its rule, in which mode, where it stands, evidence, and what is to be done, in both languages. */
static void
tell(struct explain *e, bool decided, const struct rule *rule, const char *mode,
    struct slice detail, struct policy_pos pos)
{
	struct json *o = json_obj_new();
	char where[300] = "";

	if (pos.line > 0 && e->p != NULL)
		snprintf(where, sizeof where, "%.*s:%u",
		    (int)(e->p->file.len < 280 ? e->p->file.len : 280),
		    (const char *)e->p->file.ptr, pos.line);
	json_set_str(o, "rule", rule->id);
	json_set_bool(o, "decided", decided);
	json_set_str(o, "mode", mode);
	json_set_slice(o, "evidence", detail);
	json_set_str(o, "source", where[0] != '\0' ? where : NULL);
	json_set_str(o, "vi", rule->vi);
	json_set_str(o, "en", rule->en);
	json_push_take(e->rules, o);
	if (e->c->json)
		return;
	printf("%s %s (%s)", decided ? "=>" : " -", rule->id, mode);
	if (where[0] != '\0')
		printf("  %s", where);
	printf("\n     %s\n     %s\n", rule->vi, rule->en);
	if (detail.len > 0) {
		printf("     %s: ", _("evidence"));
		policy_print_clean(detail);
		putchar('\n');
	}
}

static struct policy_pos
place_of(const struct explain *e, const struct rule *rule)
{
	const struct policy_rule *own = policy_rule_of(e->p, rule);

	return own != NULL ? own->pos : (struct policy_pos){0, 0};
}

static void
tell_verdict(struct explain *e, const struct policy_result *res, const struct verdict *v)
{
	if (v->decision != NULL)
		tell(e, true, v->decision, rule_mode_name(MODE_ENFORCE), buf_slice(&v->detail),
		    place_of(e, v->decision));
	for (size_t i = 0; i < v->n_notes; i++)
		tell(e, false, v->notes[i].rule, rule_mode_name(v->notes[i].mode),
		    buf_slice(&v->notes[i].detail), place_of(e, v->notes[i].rule));
	for (size_t i = 0; i < res->n_hits; i++)
		if (res->hits[i].certain == POLICY_UNKNOWN)
			tell(e, false, &res->hits[i].rule->as_rule,
			    _("uncertain: the record does not tell"), res->hits[i].detail,
			    res->hits[i].rule->pos);
}

/* What the record itself says: for the built-in policy, whose settings are in no archive. */
static void
tell_record(struct explain *e, const struct json *rec)
{
	const struct json *list = json_get(rec, "findings"), *o;
	ptrdiff_t rule = rule_index(e->r.rule);
	struct policy_pos none = {0, 0};

	if (rule >= 0)
		tell(e, true, &rule_table[rule], rule_mode_name(MODE_ENFORCE), e->r.details[rule],
		    none);
	for (size_t i = 0; i < json_len(list); i++) {
		o = json_at(list, i);
		rule = rule_index(json_str(json_get(o, "id")));
		if (rule >= 0 && json_get(o, "mode") != NULL)
			tell(e, false, &rule_table[rule], json_cstr(json_get(o, "mode")),
			    json_str(json_get(o, "detail")), none);
	}
}

static void
print_head(struct explain *e, const struct json *rec)
{
	static const char *const keys[] = {"code", "rule"};
	const struct json *decision = json_get(rec, "decision");

	printf("%s ", json_cstr(json_get(rec, "ts")));
	policy_print_clean(e->r.qid);
	printf(": %s", json_cstr(json_get(decision, "action")));
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (json_str(json_get(decision, keys[i])).len > 0)
			printf(" %s", json_cstr(json_get(decision, keys[i])));
	if (e->r.rules.n_authors > 0) {
		printf(", From ");
		policy_print_clean(e->r.rules.authors[0].address);
	}
	printf("\n%s ", _("policy"));
	policy_print_clean(e->r.policy_id);
	printf(" %lld, SHA-256 ", (long long)e->r.policy_version);
	policy_print_clean(e->r.policy_sha256);
	putchar('\n');
}

/* What a record cannot tell: the mail is not opened again. */
static void
tell_uncertain(struct explain *e)
{
	struct json *list = json_arr_new();
	char text[120] = "";

	if (e->r.other_store) {
		json_push_take(list, json_str_new(slice_str("trust")));
		if (!e->c->json)
			printf("%s\n",
			    _("uncertain: its signatures were held against another store of "
			      "anchors"));
	}
	if (e->r.other_limits) {
		json_push_take(list, json_str_new(slice_str("limits")));
		if (e->r.limits_known)
			policy_other_limits(&e->r, text, sizeof text);
		if (!e->c->json)
			printf(_("uncertain: it was opened under other limits (%s)\n"),
			    e->r.limits_known ? text : _("the record does not tell which"));
	}
	json_set_take(e->out, "uncertain", list);
}

static void
replay(struct explain *e, const char *file)
{
	struct judgement j = {.now = 0};
	struct verdict v;
	const char *rule;
	bool same;

	/* as of then: what had not expired, and which exceptions held */
	j.policy = e->p;
	j.now = e->r.at;
	judgement_replay(&j, &e->r, e->arena, &v);
	rule = v.decision != NULL ? v.decision->id : "";
	same =
	    slice_eq_str(e->r.action, policy_verdict_action(&v)) && slice_eq_str(e->r.rule, rule);
	if (!e->c->json)
		printf(file != NULL ? _("replayed under %s: %s %s%s\n")
				    : _("replayed under that policy (%s): %s %s%s\n"),
		    file != NULL ? file : e->p->sha256, policy_verdict_action(&v), rule,
		    same ? _(", as it was") : "");
	tell_verdict(e, &j.own, &v);
	tell_uncertain(e);
	json_set_str(e->out, "replayed_action", policy_verdict_action(&v));
	json_set_str(e->out, "replayed_rule", rule);
	json_set_bool(e->out, "same", same);
	verdict_done(&v);
}

static int
explain(struct explain *e, const struct json *rec, const char *file)
{
	const struct json *decision = json_get(rec, "decision");
	struct policy *p = NULL;
	int code = EX_OK;
	struct buf why;

	buf_init(&why, 65536);
	if (policy_facts_from(rec, e->arena, &e->r) != 0)
		return ctl_fail(e->c, EX_SOFTWARE, "%s", _("the record cannot be read"));
	if (!e->c->json)
		print_head(e, rec);
	if (file != NULL) {
		p = policy_open(e->c, file, &code);
	} else if (!slice_eq_str(e->r.policy_id, "builtin") &&
		   policy_archived(e->c->conf, e->r.policy_sha256, &p, &why) != 0) {
		code = ctl_fail(e->c, EX_NOINPUT,
		    _("the policy of that time is not in policy_archive%s; --policy FILE names "
		      "one"),
		    buf_cstr(&why));
	}
	e->p = p;
	if (!policy_was_judged(rec, &e->r)) {
		if (!e->c->json) {
			printf("%s: ", _("it came to no judgement"));
			policy_print_clean(json_str(json_get(decision, "detail")));
			putchar('\n');
		}
	} else if (p != NULL) {
		replay(e, file);
	} else {
		tell_record(e, rec);
	}
	json_set_slice(e->out, "qid", e->r.qid);
	json_set_str(e->out, "ts", json_cstr(json_get(rec, "ts")));
	json_set_slice(e->out, "action", e->r.action);
	json_set_slice(e->out, "rule", e->r.rule);
	json_set_str(e->out, "detail", json_cstr(json_get(decision, "detail")));
	json_set_slice(e->out, "policy_sha256", e->r.policy_sha256);
	json_set_take(e->out, "rules", e->rules);
	e->rules = NULL;
	policy_free(p);
	buf_done(&why);
	return code;
}

/* The rule that the words of a reply of ours name: "5.7.1 P28: ..."; -1. */
static ptrdiff_t
rule_of_text(struct slice text)
{
	ptrdiff_t sp = slice_index(text, ' ');
	size_t n = 0;

	if (sp < 0)
		return -1;
	text = slice_from(text, (size_t)sp + 1);
	while (n < text.len && text.ptr[n] != ':' && text.ptr[n] != ' ')
		n++;
	return rule_index(slice_sub(text, 0, n));
}

/* Refused before there was anything to judge: smtpd's own word (P28 at MAIL has no message), which no policy decided. */
static int
explain_refusal(struct explain *e, const struct json *rec)
{
	const struct json *env = json_get(rec, "env"), *session = json_get(rec, "session");
	struct slice text = json_str(json_get(rec, "text"));
	long long code = (long long)json_int(json_get(rec, "code"), 0);
	ptrdiff_t rule = rule_of_text(text);
	const char *id = rule >= 0 ? rule_table[rule].id : "";
	struct policy_pos none = {0, 0};
	struct buf who;

	buf_init(&who, 4096);
	buf_appendf(&who, "MAIL FROM:<%s>, %s %s [%s]", json_cstr(json_get(env, "from")),
	    _("login"), json_cstr(json_get(session, "auth")), json_cstr(json_get(session, "ip")));
	if (!e->c->json) {
		printf("%s ", json_cstr(json_get(rec, "ts")));
		policy_print_clean(json_str(json_get(rec, "qid")));
		printf(": %s %lld %s\n", code >= 500 ? "reject" : "tempfail", code, id);
		printf("%s: ", _("refused by smtpd, before it was judged"));
		policy_print_clean(text);
		putchar('\n');
	}
	if (rule >= 0)
		tell(e, true, &rule_table[rule], rule_mode_name(MODE_ENFORCE), buf_slice(&who),
		    none);
	json_set_slice(e->out, "qid", json_str(json_get(rec, "qid")));
	json_set_str(e->out, "ts", json_cstr(json_get(rec, "ts")));
	json_set_str(e->out, "action", code >= 500 ? "reject" : "tempfail");
	json_set_str(e->out, "rule", id);
	json_set_slice(e->out, "detail", text);
	json_set_str(e->out, "policy_sha256", "");
	json_set_take(e->out, "rules", e->rules);
	e->rules = NULL;
	buf_done(&who);
	return EX_OK;
}

static void
tell_more(const struct finder *f)
{
	if (f->n > 1)
		printf(
		    _("%llu verdicts bear this QID; this is the last\n"), (unsigned long long)f->n);
	if (f->other[0] != '\0')
		printf(_("it was judged again as %s: congvu explain %s\n"), f->other, f->other);
}

int
ctl_explain(struct ctl *c, int argc, char **argv)
{
	const char *policy = NULL, *file = NULL;
	const struct ctl_option options[] = {
	    {"policy", &policy, NULL}, {"file", &file, NULL}, {NULL, NULL, NULL}};
	struct explain e = {.c = c};
	struct finder f = {.n = 0};
	struct audit_files files;
	int code;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2)
		return ctl_usage(c, "%s", _("a QID is needed: the ticket of the refusal"));
	code = audit_open_files(c, file, &files);
	if (code != 0)
		return code;
	f.qid = slice_str(argv[1]);
	if (trace_group(f.qid, f.group) != 0)
		f.group[0] = '\0';
	code = audit_walk(c, &files, on_record, &f);
	audit_files_done(&files);
	if (code != 0 || (f.last == NULL && f.refusal == NULL)) {
		json_free(f.last);
		json_free(f.refusal);
		return code != 0
			   ? code
			   : ctl_fail(c, EX_NOUSER, _("the log has no verdict of %s"), argv[1]);
	}
	e.out = json_obj_new();
	e.rules = json_arr_new();
	e.arena = arena_new(MEMORY);
	if (e.arena == NULL)
		fatal("out of memory");
	code = f.last != NULL ? explain(&e, f.last, policy) : explain_refusal(&e, f.refusal);
	if (!c->json)
		tell_more(&f);
	arena_free(e.arena);
	json_free(e.rules);
	json_free(f.last);
	json_free(f.refusal);
	if (c->json)
		return ctl_json_take(e.out, code);
	json_free(e.out);
	return code;
}
