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

static uint64_t
limit_for(const struct judgement *j, const struct policy_who *who)
{
	uint64_t limit = j->modes != NULL ? modes_limit(j->modes, who->domain, who->agency) : 0;

	return j->policy == NULL ? limit : policy_limit_of(j->policy, who, j->now, limit, NULL);
}

void
judgement_modes(struct judgement *j, struct rule_facts *f)
{
	size_t i, n = f->n_authors > 0 ? f->n_authors : 1;
	unsigned char other[RULE_COUNT];
	struct policy_who who;
	uint64_t limit;

	memset(j->in_force, 0, sizeof j->in_force);
	f->attach_max = 0;
	for (i = 0; i < n; i++) {
		who = policy_who_of(&f->authors[i]);
		modes_for(j, &who, other);
		modes_stricter(j->in_force, other);
		limit = limit_for(j, &who);
		if (limit != 0 && (f->attach_max == 0 || limit < f->attach_max))
			f->attach_max = limit;
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

void
judgement_replay(struct judgement *j, struct policy_replay *r, struct arena *a, struct verdict *v)
{
	ptrdiff_t p25 = rule_index(slice_str("P25"));
	struct buf detail;

	judgement_modes(j, &r->rules);
	/* the limit is a number of the policy: asked again where it has one */
	if (r->rules.attach_max != 0 && !r->facts.flags_unknown && p25 >= 0) {
		buf_init(&detail, 300);
		r->hits[p25] = rule_table[p25].hit(&r->rules, &detail);
		buf_done(&detail);
	}
	r->facts.found = j->policy != NULL && slice_eq_str(r->policy_sha256, j->policy->sha256)
			     ? r->found
			     : NULL;
	r->facts.n_found = r->n_found;
	rule_judge_hits(&r->rules, r->hits, r->details, v);
	(void)ask_own(j, &r->facts, a, v); /* over its budget: as far as the built-in rules go */
}
