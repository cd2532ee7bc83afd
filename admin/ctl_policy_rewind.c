/* ctl_policy_rewind.c: `congvu policy rewind NEW --days 90`: what a policy would have done to the mail of that time, by agency and rule, before it is
 * in force. Reads the audit log: its records hold what rules ask (policy_record.h), and no mail. What a record does not tell is uncertain and
 * counted as such, never guessed. Changes nothing, asks no running program. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/ctl_audit.h"
#include "admin/ctl_policy.h"
#include "lib/err.h"
#include "lib/log.h"

enum { ROWS_MAX = 5000, SAMPLES = 3, MEMORY = 16 << 20, DAY = 86400, KEY_MAX = 256 };

/* One kind of change: key is "agency \t was \t its rule \t would be \t its rule". */
struct row {
	char key[KEY_MAX];
	uint64_t n;
	char samples[SAMPLES][80];
};
struct rows {
	struct row *v;
	size_t n;
	uint64_t dropped;
};
struct rewind {
	struct ctl *c;
	const struct policy *p;
	struct arena *arena;
	char since[32];
	uint64_t mails, unjudged, without_hits, changed, same, uncertain;
	struct rows changes, notes, unsure;
};

const char *
policy_verdict_action(const struct verdict *v)
{
	static const char *const names[] = {"", "reject", "tempfail", "accept", "quarantine"};

	return v->decision == NULL ? "accept" : names[v->decision->action];
}

void
policy_other_limits(const struct policy_replay *r, char *out, size_t n)
{
	unsigned long long was, is;
	size_t at = 0;
	int len;

	out[0] = '\0';
	for (enum policy_what w = POLICY_SCAN_DEPTH; w <= POLICY_SCAN_TIME; w++) {
		was = policy_scan_term(&r->terms, w);
		is = policy_scan_term(&r->rules.terms, w);
		was = was != 0 ? was : policy_limit_built_in(w);
		is = is != 0 ? is : policy_limit_built_in(w);
		len = was == is ? 0
				: snprintf(out + at, n - at, "%s%s:%llu->%llu", at > 0 ? "," : "",
				      policy_limit_name(w), was, is);
		at += len > 0 && (size_t)len < n - at ? (size_t)len : 0;
		out[at] = '\0';
	}
}

static void
count(struct rows *rows, const char *key, struct slice qid)
{
	struct row *r;
	size_t i;

	for (i = 0; i < rows->n && strcmp(rows->v[i].key, key) != 0; i++)
		;
	if (i == rows->n) {
		if (rows->n == ROWS_MAX) {
			rows->dropped++;
			return;
		}
		if (rows->n % 64 == 0)
			rows->v = xrealloc(rows->v, (rows->n + 64) * sizeof *rows->v);
		r = &rows->v[rows->n++];
		memset(r, 0, sizeof *r);
		snprintf(r->key, sizeof r->key, "%s", key);
	}
	r = &rows->v[i];
	if (r->n < SAMPLES)
		snprintf(r->samples[r->n], sizeof r->samples[0], "%.*s",
		    (int)(qid.len < 70 ? qid.len : 70), (const char *)qid.ptr);
	r->n++;
}

/* Records are hostile: a field of the key is printable and has no tab. */
static void
put(char *key, size_t *at, struct slice s)
{
	size_t i;

	for (i = 0; i < s.len && i < 60 && *at + 2 < KEY_MAX; i++)
		key[(*at)++] = s.ptr[i] > 0x20 && s.ptr[i] < 0x7f ? (char)s.ptr[i] : '?';
	key[(*at)++] = '\t';
	key[*at] = '\0';
}

/* Whether all of them are certain. */
static bool
note_rows(struct rewind *w, const struct policy_replay *r, const struct policy_result *res,
    struct slice agency)
{
	bool certain = true;
	char key[KEY_MAX];
	size_t i, at;

	for (i = 0; i < res->n_hits; i++) {
		const struct policy_hit *h = &res->hits[i];

		at = 0;
		put(key, &at, agency);
		put(key, &at, h->rule->id);
		put(key, &at,
		    slice_str(h->excepted != NULL                ? "except"
			      : h->rule->action == POLICY_ACCEPT ? "accept"
								 : rule_mode_name(h->mode)));
		certain = certain && h->certain == POLICY_YES;
		count(h->certain == POLICY_YES ? &w->notes : &w->unsure, key, r->qid);
	}
	return certain;
}

static void
compare(
    struct rewind *w, const struct policy_replay *r, const struct verdict *v, struct slice agency)
{
	struct slice action = slice_str(policy_verdict_action(v)),
		     rule = slice_str(v->decision != NULL ? v->decision->id : "");
	char key[KEY_MAX];
	size_t at = 0;

	if (slice_eq(r->action, action) && slice_eq(r->rule, rule)) {
		w->same++;
		return;
	}
	w->changed++;
	put(key, &at, agency);
	put(key, &at, r->action);
	put(key, &at, r->rule);
	put(key, &at, action);
	put(key, &at, rule);
	count(&w->changes, key, r->qid);
}

/* Signed, and held against other anchors then. */
static void
note_store(struct rewind *w, const struct policy_replay *r, struct slice agency)
{
	char key[KEY_MAX];
	size_t at = 0;

	put(key, &at, agency);
	put(key, &at, slice_str("trust"));
	put(key, &at, r->rules.trust.name);
	count(&w->unsure, key, r->qid);
}

/* Opened under other limits then: "depth:1->3", or "unknown" of a record that does not tell them. */
static void
note_limits(struct rewind *w, const struct policy_replay *r, struct slice agency)
{
	char key[KEY_MAX], text[61] = "unknown";
	size_t at = 0;

	if (r->limits_known)
		policy_other_limits(r, text, sizeof text);
	put(key, &at, agency);
	put(key, &at, slice_str("limits"));
	put(key, &at, slice_str(text));
	count(&w->unsure, key, r->qid);
}

/* What did not come to a judgement then (T01 ..., M07, M08) tells nothing of the mail. */
bool
policy_was_judged(const struct json *rec, const struct policy_replay *r)
{
	return json_get(rec, "facts") != NULL ||
	       !((r->rule.len == 3 && r->rule.ptr[0] == 'T') || slice_eq_str(r->rule, "M07") ||
		   slice_eq_str(r->rule, "M08"));
}

static int
on_record(void *arg, struct slice line, struct json *rec)
{
	struct rewind *w = arg;
	struct policy_replay *r;
	struct judgement j = {.now = 0};
	struct slice agency;
	struct verdict v;

	(void)line;
	if (strcmp(json_cstr(json_get(rec, "event")), "verdict") != 0 ||
	    strcmp(json_cstr(json_get(rec, "ts")), w->since) < 0) {
		json_free(rec);
		return 0;
	}
	arena_reset(w->arena);
	r = arena_alloc(w->arena, sizeof *r);
	if (r == NULL || policy_facts_from(rec, w->arena, r) != 0) {
		json_free(rec);
		return EX_SOFTWARE;
	}
	w->mails++;
	if (!policy_was_judged(rec, r)) {
		w->unjudged++;
	} else {
		w->without_hits += !r->has_hits;
		agency = r->rules.n_authors > 0 && r->rules.authors[0].agency.len > 0
			     ? r->rules.authors[0].agency
			     : slice_str("-");
		j.policy = w->p;
		j.now = r->at;
		judgement_replay(&j, r, w->arena, &v);
		compare(w, r, &v, agency);
		w->uncertain +=
		    !note_rows(w, r, &j.own, agency) || r->other_store || r->other_limits;
		if (r->other_store)
			note_store(w, r, agency);
		if (r->other_limits)
			note_limits(w, r, agency);
		verdict_done(&v);
	}
	json_free(rec);
	return 0;
}

/* ---- what came out ---- */

static int
by_number(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->n != y->n ? (x->n < y->n ? 1 : -1) : strcmp(x->key, y->key);
}

static struct json *
rows_json(struct rows *rows, const char *const *names, size_t n_names)
{
	struct json *list = json_arr_new(), *o, *samples;

	if (rows->n > 0)
		qsort(rows->v, rows->n, sizeof *rows->v, by_number);
	for (size_t i = 0; i < rows->n; i++) {
		const char *at = rows->v[i].key;

		o = json_obj_new();
		samples = json_arr_new();
		for (size_t k = 0; k < n_names; k++) {
			size_t len = strcspn(at, "\t");

			json_set_slice(o, names[k], slice_of(at, len));
			at += len + (at[len] != '\0');
		}
		json_set_int(o, "mails", (int64_t)rows->v[i].n);
		for (size_t k = 0; k < SAMPLES && rows->v[i].samples[k][0] != '\0'; k++)
			json_push_take(samples, json_str_new(slice_str(rows->v[i].samples[k])));
		json_set_take(o, "qids", samples);
		json_push_take(list, o);
	}
	return list;
}

static const char *
field(const struct json *o, const char *key)
{
	return json_cstr(json_get(o, key));
}

static void
print_changes(const struct json *list)
{
	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *o = json_at(list, i), *qids = json_get(o, "qids");

		printf("%8lld  %-14s %s %s -> %s %s ", (long long)json_int(json_get(o, "mails"), 0),
		    field(o, "agency"), field(o, "was"), field(o, "was_rule"), field(o, "would_be"),
		    field(o, "rule"));
		for (size_t k = 0; k < json_len(qids); k++) {
			printf("%s", k == 0 ? " (" : " ");
			policy_print_clean(json_str(json_at(qids, k)));
		}
		printf("%s\n", json_len(qids) > 0 ? ")" : "");
	}
}

static void
print_hits(const char *title, const struct json *list)
{
	if (json_len(list) > 0)
		printf("%s\n", title);
	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *o = json_at(list, i);

		printf("%8lld  %-14s %s %s\n", (long long)json_int(json_get(o, "mails"), 0),
		    field(o, "agency"), field(o, "rule"), field(o, "mode"));
	}
}

static int
report(struct rewind *w)
{
	static const char *const changes[] = {"agency", "was", "was_rule", "would_be", "rule"},
				 *const hits[] = {"agency", "rule", "mode"};
	struct json *j = json_obj_new(), *c = rows_json(&w->changes, changes, 5),
		    *n = rows_json(&w->notes, hits, 3), *u = rows_json(&w->unsure, hits, 3);

	if (!w->c->json) {
		printf(_("%llu mails since %s: %llu as they were, %llu otherwise, %llu had come to "
			 "no judgement\n"),
		    (unsigned long long)w->mails, w->since, (unsigned long long)w->same,
		    (unsigned long long)w->changed, (unsigned long long)w->unjudged);
		if (w->uncertain > 0)
			printf(_("%llu of them are uncertain, see below\n"),
			    (unsigned long long)w->uncertain);
		if (w->without_hits > 0)
			printf(_("%llu records do not tell what rules that were off would have "
				 "found\n"),
			    (unsigned long long)w->without_hits);
		print_changes(c);
		print_hits(_("the policy's own rules, whatever was decided:"), n);
		print_hits(_("uncertain, since the records do not tell:"), u);
	}
	json_set_str(j, "since", w->since);
	json_set_int(j, "mails", (int64_t)w->mails);
	json_set_int(j, "same", (int64_t)w->same);
	json_set_int(j, "changed", (int64_t)w->changed);
	json_set_int(j, "not_judged", (int64_t)w->unjudged);
	json_set_int(j, "mails_uncertain", (int64_t)w->uncertain);
	json_set_int(j, "without_hits", (int64_t)w->without_hits);
	json_set_int(j, "rows_left_out",
	    (int64_t)(w->changes.dropped + w->notes.dropped + w->unsure.dropped));
	json_set_take(j, "changes", c);
	json_set_take(j, "own_rules", n);
	json_set_take(j, "uncertain", u);
	if (w->c->json)
		return ctl_json_take(j, EX_OK);
	json_free(j);
	return EX_OK;
}

int
policy_rewind(struct ctl *c, int argc, char **argv)
{
	const char *days_text = "90", *file = NULL;
	const struct ctl_option options[] = {
	    {"days", &days_text, NULL}, {"file", &file, NULL}, {NULL, NULL, NULL}};
	struct rewind w = {.c = c};
	struct audit_files files;
	struct policy *p;
	uint64_t days;
	time_t since;
	struct tm tm;
	int code;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2 || slice_to_u64(slice_str(days_text), 36500, &days) != 0)
		return ctl_usage(c, "%s", _("a FILE is needed, and --days is a number"));
	p = policy_open(c, argv[1], &code);
	if (p == NULL)
		return code;
	code = audit_open_files(c, file, &files);
	if (code != 0) {
		policy_free(p);
		return code;
	}
	since = time(NULL) - (time_t)days * DAY;
	if (gmtime_r(&since, &tm) == NULL ||
	    strftime(w.since, sizeof w.since, "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		w.since[0] = '\0';
	w.p = p;
	w.arena = arena_new(MEMORY);
	if (w.arena == NULL)
		fatal("out of memory");
	code = audit_walk(c, &files, on_record, &w);
	if (code == 0)
		code = report(&w);
	arena_free(w.arena);
	free(w.changes.v);
	free(w.notes.v);
	free(w.unsure.v);
	audit_files_done(&files);
	policy_free(p);
	return code;
}
