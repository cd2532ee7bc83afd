/* policy_fuzz.c: any bytes as a policy: refused with a place, or a program that prints to what compiles to the same, and that can be asked. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "milter/policy.h"

static void
ask(const struct policy *p)
{
	static const struct slice rcpts[] = {{(const unsigned char *)"b@y.example", 11}};
	struct arena *a = arena_new(4 << 20);
	struct policy_result r;
	struct findings scan;
	struct rule_facts rules;
	struct policy_facts f;
	struct find_part *part;
	struct policy_who who;
	const struct policy_setting *from;
	struct rule_trust t;
	enum policy_what w;
	unsigned char modes[64];
	int i;

	memset(&rules, 0, sizeof rules);
	memset(&f, 0, sizeof f);
	findings_init(&scan, a);
	part = findings_add_part(&scan);
	part->name_norm = slice_str("báo cáo.docm");
	part->flags = PART_MACRO | PART_ATTACHED;
	findings_note(&scan, "pdf.javascript", NOTE_WARN, slice_str("1"), "x");
	rules.scan = &scan;
	rules.official_why = "";
	rules.n_authors = 1;
	rules.authors[0].address = slice_str("a@x.example");
	rules.authors[0].domain = slice_str("x.example");
	rules.authors[0].agency = slice_str("H37");
	f.rules = &rules;
	f.rcpts = rcpts;
	f.n_rcpts = f.n_rcpts_all = 1;
	for (i = 0; i < 2; i++) {
		policy_eval(p, &f, 1764547200, a, &r);
		MUST(r.n_hits <= POLICY_HITS_MAX && r.decision < (ptrdiff_t)r.n_hits);
		MUST(r.decision < 0 || r.hits[r.decision].certain == POLICY_YES);
		f.header = slice_str("Subject: x\r\n");
		f.subject = slice_str("về việc mật");
		f.ip = slice_str("10.0.0.1");
	}
	/* all is known now: nothing may be uncertain but what asks for hits */
	who = policy_who_of(&rules.authors[0]);
	policy_modes_of(p, &who, 0, modes, NULL);
	MUST(!policy_trust_of(p, &who, 1764547200, &t, NULL) || t.store.len > 0);
	/* never below the built-in floor, and no way out of the folder */
	MUST((t.digest == 0 || t.digest >= 256) && (t.rsa == 0 || t.rsa >= 2048) &&
	     (t.ec == 0 || t.ec >= 256));
	MUST(slice_index(t.store, '/') < 0 && slice_index(t.store, '=') < 0 &&
	     !slice_starts(t.store, "."));
	for (w = POLICY_LIMIT_ATTACHMENTS; w <= POLICY_SCAN_TIME; w++)
		MUST(policy_limit_of(p, w, &who, 0, 7, &from) == 7 || from != NULL);
	arena_free(a);
}

static void
print_again(const struct policy *p)
{
	const struct policy_rule *r;
	const struct policy_trust *t;
	struct policy_errors errors;
	struct policy *q;
	struct buf one, two;

	buf_init(&one, 8 << 20);
	buf_init(&two, 8 << 20);
	for (r = p->rules; r != NULL; r = r->next) {
		buf_reset(&one);
		buf_reset(&two);
		policy_print_rule(p, r, &one);
		if (one.len > 20000 || p->n_groups > 0)
			continue;
		buf_append_str(&two, "policy \"x\" version 1 owner \"x\"; organization a.b; ");
		buf_append_slice(&two, buf_slice(&one));
		if (r->action == POLICY_ACCEPT && r->vi.len == 0)
			MUST(two.len > 0);
		MUST(policy_compile(buf_slice(&two), "again", &q, &errors) == 0);
		buf_reset(&two);
		policy_print_rule(q, q->rules, &two);
		MUST(slice_eq(buf_slice(&one), buf_slice(&two)));
		policy_free(q);
	}
	for (t = p->trusts; t != NULL; t = t->next) {
		buf_reset(&one);
		buf_reset(&two);
		policy_print_trust(t, &one);
		buf_append_str(&two, "policy \"x\" version 1 owner \"x\"; ");
		buf_append_slice(&two, buf_slice(&one));
		MUST(policy_compile(buf_slice(&two), "again", &q, &errors) == 0);
		buf_reset(&two);
		policy_print_trust(q->trusts, &two);
		MUST(slice_eq(buf_slice(&one), buf_slice(&two)));
		policy_free(q);
	}
	buf_done(&one);
	buf_done(&two);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_errors errors;
	struct policy *p = NULL;
	size_t i;

	if (policy_compile(slice_of(data, size), "fuzz", &p, &errors) != 0) {
		MUST(errors.n > 0);
		for (i = 0; i < errors.n; i++)
			MUST(errors.v[i].pos.line > 0 && errors.v[i].pos.column > 0 &&
			     errors.v[i].en[0] != '\0');
		return 0;
	}
	MUST(strlen(p->sha256) == 64 && p->version > 0);
	ask(p);
	print_again(p);
	policy_free(p);
	return 0;
}
