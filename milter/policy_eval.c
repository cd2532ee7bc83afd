/* policy_eval.c: asks a compiled policy about a message, and which of its settings hold for an author. Pure; runs in milter's threads, in
 * congvu (rewind, explain) and in congvu-milter-judge. Logic of three values: what an audit record does not tell makes a rule
 * uncertain, and only there. The first rule that decides wins; findings accumulate. Cost is bounded by POLICY_BUDGET. */
#include "config.h"

#include "milter/policy_priv.h"

#include "lib/hdr.h"

#include <string.h>

#define DETAIL_MAX 300
#define DAY 86400

bool
policy_header_field(struct policy_ctx *c, struct slice name, size_t nth, struct slice *out)
{
	char *field = arena_slicedup(c->arena, name);
	struct hdr_field f;
	struct buf b;
	bool there;

	there = field != NULL && hdr_find(c->f->header, field, nth, &f);
	if (!there)
		return false;
	buf_init(&b, 16384);
	*out = slice_str("");
	if (hdr_decode(slice_sub(f.body, 0, 4000), &b) == 0 && b.len > 0)
		*out = arena_slice(c->arena, buf_slice(&b));
	buf_done(&b);
	return out->ptr != NULL;
}

static enum policy_tri ask(struct policy_ctx *c, const struct policy_expr *e);

/* Evidence of operands that hold is kept, of the others dropped. */
static enum policy_tri
ask_many(struct policy_ctx *c, const struct policy_expr *e)
{
	enum policy_tri stop = e->op == POLICY_AND ? POLICY_NO : POLICY_YES, t,
			all = e->op == POLICY_AND ? POLICY_YES : POLICY_NO;
	const struct policy_expr *o;
	size_t mark;

	for (o = e->first; o != NULL && c->cost <= POLICY_BUDGET; o = o->next) {
		mark = c->detail != NULL ? c->detail->len : 0;
		t = ask(c, o);
		if (t != POLICY_YES && c->detail != NULL && c->detail->len > mark)
			buf_truncate(c->detail, mark);
		if (t == stop)
			return stop;
		if (t == POLICY_UNKNOWN)
			all = POLICY_UNKNOWN;
	}
	return all;
}

static enum policy_tri
ask(struct policy_ctx *c, const struct policy_expr *e)
{
	struct buf *detail = c->detail;
	enum policy_tri t;

	c->cost += 16;
	switch (e->op) {
	case POLICY_PRED:
		return policy_pred_fns[e->pred](c, e);
	case POLICY_NOT:
		c->detail = NULL;
		t = ask(c, e->first);
		c->detail = detail;
		return t == POLICY_UNKNOWN ? t : t == POLICY_YES ? POLICY_NO : POLICY_YES;
	default:
		return ask_many(c, e);
	}
}

/* ---- scopes ---- */

static bool
below(struct slice name, struct slice top)
{
	return name.len > top.len && slice_caseeq(slice_from(name, name.len - top.len), top) &&
	       name.ptr[name.len - top.len - 1] == '.';
}

bool
policy_scope_holds(const struct policy_scope *s, const struct policy_who *w)
{
	switch (s->kind) {
	case POLICY_GLOBAL:
		return true;
	case POLICY_WILD:
		return below(w->domain, s->name);
	case POLICY_DOMAIN:
		return slice_caseeq(w->domain, s->name);
	case POLICY_AGENCY:
		return w->agency.len >= s->name.len &&
		       slice_caseeq(slice_sub(w->agency, 0, s->name.len), s->name) &&
		       (w->agency.len == s->name.len || w->agency.ptr[s->name.len] == '.');
	default:
		return slice_caseeq(w->address, s->name);
	}
}

/* Higher is nearer to the author. */
uint64_t
policy_nearness(const struct policy_scope *s)
{
	return (uint64_t)s->kind * 4096 + s->name.len;
}

struct policy_who
policy_who_of(const struct rule_author *a)
{
	return (struct policy_who){a->domain, a->agency, a->address};
}

/* The setting that holds for an author: the nearest; of two as near, the one that names the rule, then the later one. */
static const struct policy_setting *
find_setting(const struct policy *p, const struct policy_who *who, int64_t today, ptrdiff_t builtin,
    const struct policy_rule *own, enum policy_what what)
{
	const struct policy_setting *s, *best = NULL;
	uint64_t near, nearest = 0;
	bool fits;

	for (s = p->settings; s != NULL; s = s->next) {
		if (s->what != what)
			fits = false;
		else if (what != POLICY_MODE)
			fits = true;
		else if (own != NULL)
			fits = s->own == own;
		else
			fits = s->builtin == builtin ||
			       (s->builtin == -1 && rule_table[builtin].id[0] == 'P');
		if (!fits || s->until < today || !policy_scope_holds(s->scope, who))
			continue;
		near = 2 * policy_nearness(s->scope) + (s->builtin != -1) + 1;
		if (near >= nearest) {
			nearest = near;
			best = s;
		}
	}
	return best;
}

void
policy_modes_of(const struct policy *p, const struct policy_who *who, int64_t now,
    unsigned char *out, const struct policy_setting **from_out)
{
	const struct policy_setting *s;
	size_t i;

	for (i = 0; i < rule_table_len; i++) {
		s = find_setting(p, who, now / DAY, (ptrdiff_t)i, NULL, POLICY_MODE);
		out[i] = (unsigned char)(s != NULL ? s->mode : rule_table[i].mode);
		if (from_out != NULL)
			from_out[i] = s;
	}
}

uint64_t
policy_limit_of(const struct policy *p, enum policy_what what, const struct policy_who *who,
    int64_t now, uint64_t otherwise, const struct policy_setting **from_out)
{
	const struct policy_setting *s = find_setting(p, who, now / DAY, 0, NULL, what);

	if (from_out != NULL)
		*from_out = s;
	return s != NULL ? s->limit : otherwise;
}

enum rule_mode
policy_own_mode(const struct policy *p, const struct policy_rule *r, const struct policy_who *who,
    int64_t now, const struct policy_setting **from_out)
{
	const struct policy_setting *s = find_setting(p, who, now / DAY, -2, r, POLICY_MODE);

	if (from_out != NULL)
		*from_out = s;
	return s != NULL ? s->mode : r->as_rule.mode;
}

/* ---- rules ---- */

/* The mode for a message: the strictest over the authors it is in scope for; off when it is for none. */
static enum rule_mode
mode_for(
    const struct policy *p, const struct policy_rule *r, const struct rule_facts *f, int64_t now)
{
	enum rule_mode mode = MODE_OFF, m;
	size_t i, n = f->n_authors > 0 ? f->n_authors : 1;
	struct policy_who who;

	if (r->expires < now / DAY)
		return MODE_OFF;
	for (i = 0; i < n; i++) {
		who = policy_who_of(&f->authors[i]);
		if (!policy_scope_holds(r->scope, &who))
			continue;
		m = policy_own_mode(p, r, &who, now, NULL);
		mode = m > mode ? m : mode;
	}
	return mode;
}

static const struct policy_except *
excepted(struct policy_ctx *c, const struct policy_rule *r, int64_t today, bool *unsure)
{
	const struct policy_except *x;
	struct buf *detail = c->detail;
	enum policy_tri t = POLICY_NO;

	c->detail = NULL;
	for (x = r->excepts; x != NULL; x = x->next) {
		if (x->until < today)
			continue;
		t = ask(c, x->when);
		*unsure = *unsure || t == POLICY_UNKNOWN;
		if (t == POLICY_YES)
			break;
	}
	c->detail = detail;
	return x;
}

/* What the same policy said then, where the facts that are left do not tell. */
static void
as_found_then(struct policy_ctx *c, struct policy_hit *hit)
{
	static const char except[] = "except: ";
	const struct policy_except *x;
	size_t i;

	for (i = 0; i < c->f->n_found && !slice_eq(c->f->found[i].id, hit->rule->id); i++)
		;
	hit->certain = i < c->f->n_found ? POLICY_YES : POLICY_NO;
	if (i == c->f->n_found)
		return;
	hit->detail = c->f->found[i].detail;
	hit->excepted = NULL;
	if (!slice_starts(hit->detail, except))
		return;
	for (x = hit->rule->excepts; x != NULL && hit->excepted == NULL; x = x->next) {
		if (slice_eq(x->reason, slice_from(hit->detail, sizeof except - 1)))
			hit->excepted = x;
	}
}

static bool
ask_rule(struct policy_ctx *c, const struct policy_rule *r, int64_t now, struct policy_hit *hit)
{
	struct buf detail;
	bool unsure = false;

	buf_init(&detail, DETAIL_MAX);
	c->detail = &detail;
	memset(hit, 0, sizeof *hit);
	hit->rule = r;
	hit->certain = ask(c, r->when);
	if (hit->certain != POLICY_NO)
		hit->excepted = excepted(c, r, now / DAY, &unsure);
	if (hit->certain == POLICY_YES && unsure && hit->excepted == NULL)
		hit->certain = POLICY_UNKNOWN;
	hit->detail = detail.len > 0 ? arena_slice(c->arena, buf_slice(&detail)) : slice_str("");
	c->detail = NULL;
	buf_done(&detail);
	if (hit->certain == POLICY_UNKNOWN && c->f->found != NULL)
		as_found_then(c, hit);
	return hit->certain != POLICY_NO;
}

void
policy_eval(const struct policy *p, const struct policy_facts *f, int64_t now, struct arena *a,
    struct policy_result *out)
{
	struct policy_ctx c = {.p = p, .f = f, .arena = a};
	const struct policy_rule *r;
	struct policy_hit hit;

	memset(out, 0, sizeof *out);
	out->decision = -1;
	for (r = p->rules; r != NULL && c.cost <= POLICY_BUDGET; r = r->next) {
		enum rule_mode mode = mode_for(p, r, f->rules, now);

		c.cost += 16 + 4 * p->n_settings;
		if (mode == MODE_OFF || !ask_rule(&c, r, now, &hit))
			continue;
		hit.mode = mode;
		/* of a rule that decides there is always room: the last place is replaced */
		if (out->n_hits == POLICY_HITS_MAX) {
			if (out->decision >= 0 || mode != MODE_ENFORCE || r->action == POLICY_NOTE)
				continue;
			out->n_hits--;
		}
		out->hits[out->n_hits++] = hit;
		if (out->decision >= 0 || mode != MODE_ENFORCE || r->action == POLICY_NOTE ||
		    hit.excepted != NULL || hit.certain != POLICY_YES)
			continue;
		out->decision = (ptrdiff_t)out->n_hits - 1;
		if (r->action == POLICY_ACCEPT)
			break;
	}
	out->over_budget = c.cost > POLICY_BUDGET;
	out->cost = c.cost;
}

void
policy_into_verdict(const struct policy_result *res, struct verdict *v)
{
	const struct policy_hit *h;
	enum rule_mode mode;
	struct buf detail;
	size_t i;

	for (i = 0; i < res->n_hits; i++) {
		h = &res->hits[i];
		if (h->certain != POLICY_YES)
			continue;
		buf_init(&detail, DETAIL_MAX);
		mode = h->mode;
		if (h->excepted != NULL) {
			buf_append_str(&detail, "except: ");
			buf_append_slice(&detail, h->excepted->reason);
			mode = MODE_LOG;
		} else {
			buf_append_slice(&detail, h->detail);
		}
		detail.err = 0;
		rule_verdict_add(v, &h->rule->as_rule, mode,
		    res->decision == (ptrdiff_t)i && h->rule->action != POLICY_ACCEPT, &detail);
	}
}

const struct policy_rule *
policy_rule_of(const struct policy *p, const struct rule *rule)
{
	const struct policy_rule *r;

	for (r = p != NULL ? p->rules : NULL; r != NULL; r = r->next) {
		if (&r->as_rule == rule)
			return r;
	}
	return NULL;
}
