/* policy_record.c: what the policy language asks of a message: read from the live one, written into its audit record, read from there again.
 * Pure; runs in milter's threads and in congvu (rewind, explain). A record is believed no more than any file: bounded, and what is not
 * there is unknown. The subject of a mail with a mark of secrecy is not written. */
#include "config.h"

#include "milter/policy_record.h"

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/hdr.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SUBJECTS_MAX 8
#define SUBJECT_KEPT 300
#define REPLAY_RCPTS 10000

/* All subjects, decoded, with a line end between. */
static void
read_subjects(struct slice header, struct buf *out)
{
	struct hdr_field field;
	size_t n;

	for (n = 0; n < SUBJECTS_MAX && hdr_find(header, "Subject", n, &field); n++) {
		if (n > 0)
			buf_append_byte(out, '\n');
		hdr_decode(slice_sub(field.body, 0, 4000), out);
	}
	out->err = 0;
}

static struct slice
normalized(struct slice s, struct arena *a)
{
	struct slice out = s;
	struct buf b;

	buf_init(&b, 1024);
	if (s.len <= 400 && addr_normalize(s, &b) == 0)
		out = arena_slice(a, buf_slice(&b));
	buf_done(&b);
	return out.ptr != NULL ? out : slice_str("");
}

int
policy_facts_live(const struct rule_facts *rules, struct slice header, const char *ip,
    uint64_t size, const unsigned char *hits, struct arena *a, struct policy_facts *out)
{
	struct slice *rcpts = arena_calloc(a, rules->n_rcpts + 1, sizeof *rcpts);
	struct buf subject;
	size_t i;

	if (rcpts == NULL)
		return ERR_NOMEM;
	memset(out, 0, sizeof *out);
	for (i = 0; i < rules->n_rcpts; i++)
		rcpts[i] = normalized(rules->rcpts[i], a);
	out->rules = rules;
	out->header = header.ptr != NULL ? header : slice_str("");
	out->rcpts = rcpts;
	out->n_rcpts = out->n_rcpts_all = rules->n_rcpts;
	out->parts_cut = rules->scan->truncated;
	out->ip = slice_str(ip != NULL ? ip : "");
	out->size = size;
	out->hits = hits;
	buf_init(&subject, 65536);
	read_subjects(header, &subject);
	out->subject = subject.len > 0 ? arena_slice(a, buf_slice(&subject)) : slice_str("");
	buf_done(&subject);
	return out->subject.ptr == NULL ? ERR_NOMEM : 0;
}

/* ---- into a record ---- */

static struct json *
subject_json(const struct rule_facts *rules, struct slice header)
{
	struct json *j = NULL;
	struct slice s;
	struct buf b;

	if (header.ptr == NULL || rules->scan == NULL ||
	    findings_has_note(rules->scan, "secrecy_mark"))
		return NULL;
	buf_init(&b, 65536);
	read_subjects(header, &b);
	s = buf_slice(&b);
	if (s.len > SUBJECT_KEPT) { /* at a character's start */
		s.len = SUBJECT_KEPT;
		while (s.len > 0 && (s.ptr[s.len] & 0xc0) == 0x80)
			s.len--;
	}
	j = json_str_new(s);
	buf_done(&b);
	return j;
}

static struct json *
members_json(const struct rule_facts *rules)
{
	struct json *list = json_arr_new(), *o;
	size_t i;

	for (i = 0; i < rules->n_members; i++) {
		o = json_obj_new();
		json_set_slice(o, "group", rules->members[i].group);
		json_set_str(o, "of", rules->members[i].of_rcpts ? "rcpt" : "from");
		json_set_bool(o, "is", rules->members[i].is);
		json_push_take(list, o);
	}
	return list;
}

/* Those that a policy set; {} is: none, and the built-in ones held. */
static struct json *
limits_json(const struct scan_terms *t)
{
	struct json *o = json_obj_new();

	for (enum policy_what w = POLICY_SCAN_DEPTH; w <= POLICY_SCAN_TIME; w++)
		if (policy_scan_term(t, w) != 0)
			json_set_int(o, policy_limit_name(w), policy_scan_term(t, w));
	return o;
}

struct json *
policy_facts_json(const struct rule_facts *rules, const unsigned char *hits, struct slice header)
{
	struct json *o = json_obj_new(), *agencies = json_arr_new(), *ours = json_arr_new(),
		    *list = json_arr_new();
	bool functional = false;
	size_t i;

	for (i = 0; i < rules->n_authors; i++) {
		json_push_take(agencies, json_str_new(slice_sub(rules->authors[i].agency, 0, 64)));
		json_push_take(ours, json_bool_new(rules->authors[i].is_ours));
		functional |= rules->authors[i].owner == OWNER_FUNCTIONAL;
	}
	for (i = 0; hits != NULL && i < rule_table_len; i++) {
		if (hits[i])
			json_push_take(list, json_str_new(slice_str(rule_table[i].id)));
	}
	json_set_take(o, "agencies", agencies);
	json_set_take(o, "ours", ours);
	json_set_take(o, "hits", list);
	/* what limits and trust of another policy are asked with */
	json_set_bool(o, "mailbox", functional);
	json_set_slice(o, "store", rules->trust.store);
	json_set_take(o, "limits", limits_json(&rules->terms));
	json_set_bool(o, "issued", rules->issued);
	json_set_bool(o, "encrypted", rules->scan != NULL && rules->scan->encrypted);
	json_set_int(o, "attach_size", rules->scan != NULL ? (int64_t)rules->scan->attach_size : 0);
	if (rules->n_members > 0)
		json_set_take(o, "members", members_json(rules));
	json_set_take(o, "subject", subject_json(rules, header));
	return o;
}

/* ---- from a record ---- */

static struct slice
text_of(const struct json *o, const char *key, struct arena *a)
{
	struct slice s = arena_slice(a, slice_sub(json_str(json_get(o, key)), 0, 4096));

	return s.ptr != NULL ? s : slice_str("");
}

static uint64_t
size_of(const struct json *o, const char *key)
{
	int64_t v = json_int(json_get(o, key), 0);

	return v > 0 ? (uint64_t)v : 0;
}

static uint32_t
flags_of(const struct json *list)
{
	uint32_t flags = 0;
	size_t i;

	for (i = 0; i < json_len(list) && i < 64; i++)
		flags |= findings_flag_of(json_str(json_at(list, i)));
	return flags;
}

static void
read_findings(const struct json *rec, struct arena *a, struct policy_replay *out)
{
	const struct json *list = json_get(rec, "parts"), *o;
	struct find_part *p;
	struct find_sig *s;
	size_t i;

	for (i = 0; i < json_len(list); i++) {
		o = json_at(list, i);
		if ((p = findings_add_part(&out->scan)) == NULL)
			break;
		p->path = text_of(o, "path", a);
		p->name_norm = text_of(o, "name_norm", a);
		p->true_type = text_of(o, "true", a);
		p->size = size_of(o, "size");
		p->flags = flags_of(json_get(o, "flags"));
	}
	list = json_get(rec, "sig");
	for (i = 0; i < json_len(list); i++) {
		o = json_at(list, i);
		if ((s = findings_add_sig(&out->scan)) == NULL)
			break;
		for (s->status = SIG_VALID; s->status < SIG_PURPOSE; s->status++) {
			if (slice_eq_str(
				json_str(json_get(o, "status")), sig_status_name(s->status)))
				break;
		}
		for (s->coverage = SIG_WHOLE; s->coverage < SIG_INNER; s->coverage++) {
			if (slice_eq_str(
				json_str(json_get(o, "coverage")), sig_coverage_name(s->coverage)))
				break;
		}
		for (s->rev = REV_UNCHECKED; s->rev < REV_UNKNOWN; s->rev++) {
			if (slice_eq_str(json_str(json_get(json_get(o, "rev"), "state")),
				rev_state_name(s->rev)))
				break;
		}
		s->rev_age_s = json_int(json_get(json_get(o, "rev"), "age_s"), -1);
		s->why = text_of(o, "why", a);
		s->digest = text_of(o, "digest", a);
		s->key = text_of(o, "key", a);
	}
}

static void
add_found(struct policy_replay *out, struct slice id, struct slice detail)
{
	if (out->n_found < sizeof out->found / sizeof *out->found)
		out->found[out->n_found++] = (struct policy_found){id, detail};
}

/* What the scanner noted has no "mode"; what a rule found has. */
static void
read_notes(const struct json *rec, struct arena *a, struct policy_replay *out)
{
	const struct json *list = json_get(rec, "findings"), *o;
	struct slice part, detail;
	char id[FINDINGS_TEXT_MAX + 1];
	ptrdiff_t rule;
	size_t i;

	for (i = 0; i < json_len(list); i++) {
		o = json_at(list, i);
		rule = rule_index(json_str(json_get(o, "id")));
		if (json_get(o, "mode") != NULL) {
			if (rule >= 0) {
				out->hits[rule] = 1;
				out->details[rule] = text_of(o, "detail", a);
			} else {
				add_found(out, text_of(o, "id", a), text_of(o, "detail", a));
			}
			continue;
		}
		part = text_of(o, "part", a);
		detail = text_of(o, "detail", a);
		snprintf(id, sizeof id, "%s", json_cstr(json_get(o, "id")));
		findings_note(&out->scan, id, NOTE_WARN, part, "%.*s",
		    (int)(detail.len < 500 ? detail.len : 500), (const char *)detail.ptr);
	}
	rule = rule_index(out->rule);
	if (rule >= 0) {
		out->hits[rule] = 1;
		out->details[rule] = text_of(json_get(rec, "decision"), "detail", a);
	} else if (out->rule.len > 0) {
		add_found(out, out->rule, text_of(json_get(rec, "decision"), "detail", a));
	}
}

static void
read_authors(const struct json *rec, struct arena *a, struct policy_replay *out)
{
	const struct json *from = json_get(rec, "hdr_from"), *facts = json_get(rec, "facts");
	struct rule_facts *f = &out->rules;
	struct rule_author *au;
	size_t i;

	for (i = 0; i < json_len(from) && i < RULE_FROM_MAX; i++) {
		au = &f->authors[f->n_authors++];
		au->address = arena_slice(a, slice_sub(json_str(json_at(from, i)), 0, 400));
		if (au->address.ptr == NULL)
			au->address = slice_str("");
		au->domain = rule_domain_of(au->address);
		au->agency = arena_slice(
		    a, slice_sub(json_str(json_at(json_get(facts, "agencies"), i)), 0, 64));
		if (au->agency.ptr == NULL)
			au->agency = slice_str("");
		au->is_ours = json_bool(json_at(json_get(facts, "ours"), i));
	}
}

static int
read_rcpts(const struct json *rec, struct arena *a, struct policy_replay *out)
{
	const struct json *env = json_get(rec, "env"), *list = json_get(env, "rcpts");
	size_t n = json_len(list) < REPLAY_RCPTS ? json_len(list) : REPLAY_RCPTS, i;
	struct slice *v = arena_calloc(a, n + 1, sizeof *v);

	if (v == NULL)
		return ERR_NOMEM;
	for (i = 0; i < n; i++)
		v[i] = normalized(json_str(json_at(list, i)), a);
	out->facts.rcpts = v;
	out->facts.n_rcpts = n;
	out->facts.n_rcpts_all = size_of(env, "n_rcpts");
	out->facts.rcpts_cut = out->facts.n_rcpts_all > n;
	return 0;
}

static void
read_members(const struct json *list, struct arena *a, struct policy_replay *out)
{
	struct rule_member *m;
	size_t i;

	for (i = 0; i < json_len(list) && i < RULE_MEMBERS_MAX; i++) {
		m = &out->members[out->rules.n_members++];
		m->group = text_of(json_at(list, i), "group", a);
		m->of_rcpts = strcmp(json_cstr(json_get(json_at(list, i), "of")), "rcpt") == 0;
		m->is = json_bool(json_get(json_at(list, i), "is"));
	}
	out->rules.members = out->members;
}

static void
read_limits(const struct json *o, struct policy_replay *out)
{
	struct scan_terms *t = &out->terms;
	uint32_t *const to[] = {&t->depth, &t->entries, &t->bytes, &t->ratio, &t->time_s};
	uint64_t n;

	out->limits_known = json_kind(o) == JSON_T_OBJ;
	for (enum policy_what w = POLICY_SCAN_DEPTH; w <= POLICY_SCAN_TIME; w++) {
		n = size_of(o, policy_limit_name(w));
		*to[w - POLICY_SCAN_DEPTH] = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
	}
}

static void
read_facts(const struct json *rec, struct arena *a, struct policy_replay *out)
{
	const struct json *facts = json_get(rec, "facts"), *list = json_get(facts, "hits");
	struct policy_facts *f = &out->facts;
	ptrdiff_t rule;
	size_t i;

	f->rules = &out->rules;
	f->ip = text_of(json_get(rec, "session"), "ip", a);
	f->size = size_of(rec, "size");
	f->flags_unknown = facts == NULL;
	f->parts_cut = json_bool(json_get(rec, "cut"));
	if (json_kind(json_get(facts, "subject")) == JSON_T_STR)
		f->subject = text_of(facts, "subject", a);
	out->rules.issued = json_bool(json_get(facts, "issued"));
	out->scan.encrypted = json_bool(json_get(facts, "encrypted"));
	out->scan.attach_size = size_of(facts, "attach_size");
	out->scan.size = f->size;
	out->store_known = json_kind(json_get(facts, "store")) == JSON_T_STR;
	out->store = text_of(facts, "store", a);
	if (json_bool(json_get(facts, "mailbox")) && out->rules.n_authors > 0)
		out->rules.authors[0].owner = OWNER_FUNCTIONAL;
	read_members(json_get(facts, "members"), a, out);
	read_limits(json_get(facts, "limits"), out);
	out->has_hits = list != NULL;
	for (i = 0; i < json_len(list) && i < 64; i++) {
		rule = rule_index(json_str(json_at(list, i)));
		if (rule >= 0)
			out->hits[rule] = 1;
	}
	f->hits = out->has_hits ? out->hits : NULL;
}

/* "2026-11-22T09:38:17.000000Z" */
static int64_t
time_of(const char *ts)
{
	struct tm tm;

	memset(&tm, 0, sizeof tm);
	return strptime(ts, "%Y-%m-%dT%H:%M:%S", &tm) != NULL ? (int64_t)timegm(&tm) : 0;
}

int
policy_facts_from(const struct json *rec, struct arena *a, struct policy_replay *out)
{
	const struct json *decision = json_get(rec, "decision"), *policy = json_get(rec, "policy");

	memset(out, 0, sizeof *out);
	if (strcmp(json_cstr(json_get(rec, "event")), "verdict") != 0 ||
	    json_kind(decision) != JSON_T_OBJ)
		return ERR_SYNTAX;
	findings_init(&out->scan, a);
	out->rules.scan = &out->scan;
	out->rules.authenticated = json_str(json_get(json_get(rec, "session"), "auth")).len > 0;
	out->rules.official = json_bool(json_get(json_get(rec, "official"), "is"));
	out->rules.official_why =
	    arena_slicedup(a, json_str(json_get(json_get(rec, "official"), "why")));
	if (out->rules.official_why == NULL)
		return ERR_NOMEM;
	out->qid = text_of(rec, "qid", a);
	out->action = text_of(decision, "action", a);
	out->rule = text_of(decision, "rule", a);
	out->policy_id = text_of(policy, "id", a);
	out->rules.released = text_of(json_get(rec, "released"), "rules", a);
	out->policy_sha256 = text_of(policy, "sha256", a);
	out->policy_version = json_int(json_get(policy, "version"), 0);
	out->at = time_of(json_cstr(json_get(rec, "ts")));
	read_authors(rec, a, out);
	read_findings(rec, a, out);
	read_notes(rec, a, out);
	read_facts(rec, a, out);
	return read_rcpts(rec, a, out);
}
