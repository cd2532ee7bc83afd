/* judgement.c: the order in which a message is judged. Pure; runs in milter's threads, in congvu-milter-judge and in congvu. Whatever judges a
 * message goes through here, so that a test of a policy and a replay say what the filter would. */
#include "config.h"

#include "milter/judgement.h"

#include "milter/facts.h"

#include "lib/err.h"

#include <string.h>

int
judgement_read(struct slice header, const char *const *names, size_t n_names, struct arena *a,
    struct rule_facts *f)
{
	int err = facts_auto_forward(header, a, f);

	if (err == 0)
		err = sio_label_read(header, a, &f->sio);
	facts_official(header, names, n_names, f);
	return err == 0 ? facts_document(header, names, n_names, a, f) : err;
}

static void
modes_for(const struct judgement *j, const struct policy_who *who, unsigned char *out)
{
	size_t i;

	if (j->policy != NULL) {
		policy_modes_of(j->policy, who, j->now, out, NULL);
	} else if (j->modes != NULL) {
		modes_of(j->modes, who->domain, who->agency, out);
	} else {
		for (i = 0; i < rule_table_len; i++)
			out[i] = (unsigned char)rule_table[i].mode;
	}
}

/* What congvu.conf says, unless the policy does. */
static uint64_t
limit_for(const struct judgement *j, enum policy_what what, const struct policy_who *who,
    const struct rule_facts *f)
{
	uint64_t limit = 0;

	if (what == POLICY_LIMIT_ATTACHMENTS && j->modes != NULL)
		limit = modes_limit(j->modes, who->domain, who->agency);
	else if (what == POLICY_LIMIT_RECIPIENTS && f->settings != NULL)
		limit = f->settings->rcpts_max;
	return j->policy == NULL ? limit
				 : policy_limit_of(j->policy, what, who, j->now, limit, NULL);
}

/* Of several authors the smallest that there is. */
static void
lower(uint64_t *limit, uint64_t other)
{
	if (other != 0 && (*limit == 0 || other < *limit))
		*limit = other;
}

static uint32_t
scan_limit(
    const struct judgement *j, enum policy_what what, const struct policy_who *who, uint32_t so_far)
{
	uint64_t n = so_far;

	lower(&n, policy_limit_of(j->policy, what, who, j->now, 0, NULL));
	return (uint32_t)n;
}

static void
scan_limits(const struct judgement *j, const struct policy_who *who, struct scan_terms *t)
{
	t->depth = scan_limit(j, POLICY_SCAN_DEPTH, who, t->depth);
	t->entries = scan_limit(j, POLICY_SCAN_ENTRIES, who, t->entries);
	t->bytes = scan_limit(j, POLICY_SCAN_BYTES, who, t->bytes);
	t->ratio = scan_limit(j, POLICY_SCAN_RATIO, who, t->ratio);
	t->time_s = scan_limit(j, POLICY_SCAN_TIME, who, t->time_s);
}

/* The store of the first author, and which source of revocation is asked first; floors and limits of all. */
void
judgement_trust(const struct judgement *j, struct rule_facts *f)
{
	size_t i, n = f->n_authors > 0 ? f->n_authors : 1;
	struct rule_trust t, *all = &f->trust;
	struct policy_who who;

	memset(all, 0, sizeof *all);
	memset(&f->terms, 0, sizeof f->terms);
	for (i = 0; i < n && j->policy != NULL; i++) {
		who = policy_who_of(&f->authors[i]);
		scan_limits(j, &who, &f->terms);
		policy_trust_of(j->policy, &who, j->now, &t, NULL);
		if (i == 0) {
			*all = t;
			f->terms.prefer = t.prefer;
			continue;
		}
		all->digest = t.digest > all->digest ? t.digest : all->digest;
		all->rsa = t.rsa > all->rsa ? t.rsa : all->rsa;
		all->ec = t.ec > all->ec ? t.ec : all->ec;
		if (t.rev_age_s != 0 && (all->rev_age_s == 0 || t.rev_age_s < all->rev_age_s))
			all->rev_age_s = t.rev_age_s;
	}
}

struct slice
judgement_store(const struct rule_facts *f, struct arena *a)
{
	struct slice domain = f->n_authors > 0 ? f->authors[0].domain : slice_str("");
	const char *both;

	/* who writes chooses the address, and must not choose the store by it */
	if (slice_index(domain, '=') >= 0)
		domain = slice_str("");
	if (f->trust.store.len == 0)
		return domain;
	both = arena_printf(a, "%.*s=%.*s", (int)domain.len,
	    domain.len > 0 ? (const char *)domain.ptr : "", (int)f->trust.store.len,
	    (const char *)f->trust.store.ptr);
	/* without memory: a store that there is not, never another one */
	return slice_str(both != NULL ? both : "=");
}

void
judgement_modes(struct judgement *j, struct rule_facts *f)
{
	size_t i, n = f->n_authors > 0 ? f->n_authors : 1;
	unsigned char other[RULE_COUNT];
	struct policy_who who;

	memset(j->in_force, 0, sizeof j->in_force);
	f->attach_max = f->files_max = f->message_max = f->rcpts_max = 0;
	for (i = 0; i < n; i++) {
		who = policy_who_of(&f->authors[i]);
		modes_for(j, &who, other);
		modes_stricter(j->in_force, other);
		lower(&f->attach_max, limit_for(j, POLICY_LIMIT_ATTACHMENTS, &who, f));
		lower(&f->files_max, limit_for(j, POLICY_LIMIT_FILES, &who, f));
		lower(&f->message_max, limit_for(j, POLICY_LIMIT_MESSAGE, &who, f));
		lower(&f->rcpts_max, limit_for(j, POLICY_LIMIT_RECIPIENTS, &who, f));
	}
	f->modes = j->in_force;
}

/* The site's own rules, after the built-in ones: the heavier decision holds. */
static int
ask_own(struct judgement *j, const struct policy_facts *facts, struct arena *a, struct verdict *v)
{
	memset(&j->own, 0, sizeof j->own);
	j->own.decision = -1;
	if (j->policy == NULL)
		return 0;
	policy_eval(j->policy, facts, j->now, a, &j->own);
	if (j->own.over_budget)
		return ERR_LIMIT;
	policy_into_verdict(&j->own, v);
	return 0;
}

int
judgement_live(struct judgement *j, struct rule_facts *f, struct slice header, const char *ip,
    uint64_t size, struct arena *a, struct verdict *v)
{
	struct policy_facts facts;
	int err;

	judgement_modes(j, f);
	rule_judge(f, v);
	err = policy_facts_live(f, header, ip, size, v->hits, a, &facts);
	if (err == 0)
		return ask_own(j, &facts, a, v);
	verdict_done(v);
	return err;
}

static void
ask_again(struct policy_replay *r, ptrdiff_t rule, struct arena *a)
{
	struct buf detail;

	buf_init(&detail, 300);
	r->hits[rule] = rule_table[rule].hit(&r->rules, &detail);
	if (r->hits[rule] && detail.len > 0)
		r->details[rule] = arena_slice(a, buf_slice(&detail));
	buf_done(&detail);
}

/* Numbers of the policy are asked again, where it has some and the record tells. */
static void
ask_numbers(struct policy_replay *r, struct arena *a)
{
	struct rule_facts *f = &r->rules;
	const struct find_sig *s;

	if (r->facts.flags_unknown)
		return;
	if (f->attach_max != 0 || f->message_max != 0 || (f->files_max != 0 && !r->facts.parts_cut))
		ask_again(r, RULE_ROW_rule_too_large, a);
	if (f->rcpts_max != 0 && r->store_known) {
		f->n_rcpts = (size_t)r->facts.n_rcpts_all;
		ask_again(r, RULE_ROW_rule_many_recipients, a);
		f->n_rcpts = 0;
	}
	if (r->store_known || f->trust.store.len > 0)
		ask_again(r, RULE_ROW_rule_weak, a);
	for (s = r->scan.sigs; s != NULL && f->trust.rev_age_s != 0; s = s->next) {
		if (s->coverage == SIG_WHOLE && s->rev == REV_GOOD &&
		    rule_rev_of(f, s) == REV_UNKNOWN && f->official)
			ask_again(r, RULE_ROW_rule_rev_unknown, a);
	}
}

static uint64_t
bound_of(const struct scan_terms *t, enum policy_what what)
{
	uint32_t n = policy_scan_term(t, what);

	return n != 0 ? n : policy_limit_built_in(what);
}

/* Nobody opens the mail again: under a nearer bound it may be M06, and what M06 held may be anything under another. What came through under
 * bounds that are now wider is as it was. */
static bool
is_under_other_limits(const struct judgement *j, const struct policy_replay *r)
{
	const struct scan_terms *t = &r->rules.terms;
	bool held = r->hits[RULE_ROW_rule_unscannable] != 0, other = false;

	if (j->policy == NULL || slice_eq_str(r->policy_sha256, j->policy->sha256))
		return false;
	for (enum policy_what w = POLICY_SCAN_DEPTH; w <= POLICY_SCAN_TIME; w++) {
		if (!r->limits_known)
			other |= held || policy_scan_term(t, w) != 0;
		else if (held || !r->has_hits)
			other |= bound_of(t, w) != bound_of(&r->terms, w);
		else
			other |= bound_of(t, w) < bound_of(&r->terms, w);
	}
	return other;
}

void
judgement_replay(struct judgement *j, struct policy_replay *r, struct arena *a, struct verdict *v)
{
	struct slice was = r->store;

	judgement_trust(j, &r->rules);
	judgement_modes(j, &r->rules);
	ask_numbers(r, a);
	/* whether another store would have believed the signer nobody knows */
	r->other_store =
	    j->policy != NULL && r->scan.n_sigs > 0 &&
	    (r->store_known ? !slice_eq(was, r->rules.trust.store) : r->rules.trust.store.len > 0);
	r->other_limits = is_under_other_limits(j, r);
	r->facts.found = j->policy != NULL && slice_eq_str(r->policy_sha256, j->policy->sha256)
			     ? r->found
			     : NULL;
	r->facts.n_found = r->n_found;
	rule_judge_hits(&r->rules, r->hits, r->details, v);
	(void)ask_own(j, &r->facts, a, v); /* over its budget: as far as the built-in rules go */
}
