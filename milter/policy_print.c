/* policy_print.c: a compiled policy as text again, in one form: for diff, explain and test. Pure; runs in congvu. */
#include "config.h"

#include "milter/policy_priv.h"

#include <stdio.h>

#include <time.h>

const char *
policy_action_name(enum policy_action a)
{
	static const char *const names[] = {"reject", "tempfail", "quarantine", "note", "accept"};

	return names[a];
}

static void
quoted(struct slice s, struct buf *out)
{
	size_t i;

	buf_append_byte(out, '"');
	for (i = 0; i < s.len; i++) {
		if (s.ptr[i] == '"' || s.ptr[i] == '\\')
			buf_append_byte(out, '\\');
		buf_append_byte(out, s.ptr[i]);
	}
	buf_append_byte(out, '"');
}

void
policy_print_day(int64_t day, struct buf *out)
{
	time_t t = (time_t)day * 86400;
	struct tm tm;

	if (gmtime_r(&t, &tm) != NULL)
		buf_appendf(out, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

static void
print_pred(const struct policy_expr *e, struct buf *out)
{
	const struct policy_predicate *p = &policy_predicates[e->pred];
	size_t i;

	buf_append_str(out, p->name);
	if (p->arg == POLICY_ARG_NUMBER || p->arg == POLICY_ARG_SIZE) {
		buf_appendf(out, " %llu", (unsigned long long)e->number);
		return;
	}
	if (e->args.n == 0)
		return;
	buf_append_byte(out, ' ');
	if (p->arg == POLICY_ARG_SCOPE || p->arg == POLICY_ARG_TYPES) {
		buf_append_slice(out, e->args.v[0]);
		return;
	}
	if (e->args.n > 1)
		buf_append_byte(out, '(');
	for (i = 0; i < e->args.n; i++) {
		buf_append_str(out, i > 0 ? ", " : "");
		quoted(e->args.v[i], out);
	}
	if (e->args.n > 1)
		buf_append_byte(out, ')');
}

void
policy_print_expr(const struct policy *p, const struct policy_expr *e, struct buf *out)
{
	const struct policy_expr *o;

	switch (e->op) {
	case POLICY_PRED:
		print_pred(e, out);
		return;
	case POLICY_NOT:
		buf_append_str(out, "not ");
		policy_print_expr(p, e->first, out);
		return;
	default:
		break;
	}
	buf_append_byte(out, '(');
	for (o = e->first; o != NULL; o = o->next) {
		buf_append_str(out, o == e->first ? "" : e->op == POLICY_AND ? " and " : " or ");
		policy_print_expr(p, o, out);
	}
	buf_append_byte(out, ')');
}

void
policy_print_scope(const struct policy_scope *s, struct buf *out)
{
	static const char *const names[] = {"global", "domain *.", "domain ", "agency ", "person "};

	buf_append_str(out, names[s->kind]);
	buf_append_slice(out, s->name);
}

void
policy_print_rule(const struct policy *p, const struct policy_rule *r, struct buf *out)
{
	const struct policy_except *x;

	buf_append_str(out, "rule ");
	buf_append_slice(out, r->id);
	buf_append_str(out, " owner ");
	quoted(r->owner, out);
	buf_append_str(out, " expires ");
	policy_print_day(r->expires, out);
	buf_append_str(out, r->as_rule.mode == MODE_LOG    ? " monitor"
			    : r->as_rule.mode == MODE_WARN ? " warn"
							   : "");
	buf_append_str(out, " { when ");
	policy_print_expr(p, r->when, out);
	for (x = r->excepts; x != NULL; x = x->next) {
		buf_append_str(out, " except when ");
		policy_print_expr(p, x->when, out);
		buf_append_str(out, " reason ");
		quoted(x->reason, out);
		buf_append_str(out, " until ");
		policy_print_day(x->until, out);
	}
	buf_appendf(out, " then %s ", policy_action_name(r->action));
	buf_append_slice(out, r->enhanced);
	buf_append_str(out, " vi ");
	quoted(r->vi, out);
	buf_append_str(out, " en ");
	quoted(r->en, out);
	buf_append_str(out, " }");
}

void
policy_print_setting(const struct policy_setting *s, struct buf *out)
{
	if (s->what == POLICY_TRUST) {
		buf_append_str(out, "trust ");
		quoted(s->name, out);
		buf_append_str(out, s->instead ? " instead" : "");
	} else if (policy_limit_is_scan(s->what)) {
		buf_appendf(out, "limits { %s %llu; }", policy_limit_name(s->what),
		    (unsigned long long)s->limit);
	} else if (s->what != POLICY_MODE) {
		buf_appendf(
		    out, "limit %s %llu", policy_limit_name(s->what), (unsigned long long)s->limit);
	} else {
		buf_append_str(out, "mode ");
		buf_append_slice(out, s->name);
		buf_appendf(out, " %s", rule_mode_name(s->mode));
	}
	if (s->reason.len > 0) {
		buf_append_str(out, " reason ");
		quoted(s->reason, out);
	}
	if (s->until != INT64_MAX) {
		buf_append_str(out, " until ");
		policy_print_day(s->until, out);
	}
}

void
policy_print_trust(const struct policy_trust *t, struct buf *out)
{
	buf_append_str(out, "trust ");
	quoted(t->name, out);
	buf_append_str(out, " { store ");
	quoted(t->store, out);
	buf_append_byte(out, ';');
	if (t->digest != 0)
		buf_appendf(out, " digest %u;", t->digest);
	if (t->rsa != 0)
		buf_appendf(out, " rsa %u;", t->rsa);
	if (t->ec != 0)
		buf_appendf(out, " ec %u;", t->ec);
	if (t->prefer != PREFER_NONE)
		buf_append_str(out, t->prefer == PREFER_OCSP ? " ocsp prefer;" : " crl prefer;");
	if (t->rev_age_s != 0)
		buf_appendf(out, " revocation-hours %lld;", (long long)(t->rev_age_s / 3600));
	buf_append_str(out, " }");
}

/* Whether the same scope says something of P12 itself. */
static bool
names_p12(const struct policy *p, const struct policy_scope *scope)
{
	const struct policy_setting *s;
	ptrdiff_t p12 = rule_index(slice_str("P12"));

	for (s = p->settings; s != NULL; s = s->next) {
		if (s->what == POLICY_MODE && s->builtin == p12 && s->scope->kind == scope->kind &&
		    slice_eq(s->scope->name, scope->name) && s->own == NULL)
			return true;
	}
	return false;
}

void
policy_warnings(const struct policy *p, struct policy_errors *out)
{
	const struct policy_setting *s;
	struct policy_error *e;

	out->n = 0;
	for (s = p->settings; s != NULL && out->n < POLICY_ERRORS_MAX; s = s->next) {
		if (s->what != POLICY_MODE || s->builtin != -1 || s->mode == MODE_ENFORCE ||
		    names_p12(p, s->scope))
			continue;
		e = &out->v[out->n++];
		e->pos = s->pos;
		snprintf(e->vi, sizeof e->vi,
		    "\"mode P* %s\" gồm cả P12 (bí mật nhà nước): thư có dấu mật sẽ đi qua; nếu "
		    "không muốn, thêm "
		    "\"mode P12 enforce;\" ở cùng chỗ",
		    rule_mode_name(s->mode));
		snprintf(e->en, sizeof e->en,
		    "\"mode P* %s\" takes in P12 (state secrets): marked mail would pass; add "
		    "\"mode P12 "
		    "enforce;\" in the same place unless that is meant",
		    rule_mode_name(s->mode));
	}
	policy_trust_warnings(p, out);
}
