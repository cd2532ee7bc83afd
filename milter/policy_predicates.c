/* policy_predicates.c: what each predicate of policy_predicates.def asks of a message. Pure; runs in milter's threads, in congvu and in
 * congvu-milter-judge. What is not known (an old audit record) is POLICY_UNKNOWN, never a guess. Each one that holds says why: the
 * evidence of the refusal. */
#include "config.h"

#include "milter/policy_priv.h"

#include <string.h>

#define EVIDENCE_MAX 80

const struct policy_predicate policy_predicates[] = {
#define PREDICATE(name, arg, fn, vi, en) {#name, POLICY_ARG_##arg, vi, en},
#include "milter/policy_predicates.def"
#undef PREDICATE
};
const size_t policy_predicates_len = sizeof policy_predicates / sizeof *policy_predicates;

const policy_pred_fn policy_pred_fns[] = {
#define PREDICATE(name, arg, fn, vi, en) fn,
#include "milter/policy_predicates.def"
#undef PREDICATE
};

const char *
policy_arg_text(enum policy_arg a, bool vietnamese)
{
	static const struct {
		const char *vi, *en;
	} texts[] = {{"không gì", "nothing"},
	    {"\"từ\" hoặc (\"từ\", \"hai từ\", ...)", "\"word\" or (\"word\", \"two words\", ...)"},
	    {"\"a@b\" hoặc (\"a@b\", ...)", "\"a@b\" or (\"a@b\", ...)"},
	    {"tên miền: \"x.example\", \"*.x.example\"", "domains: \"x.example\", \"*.x.example\""},
	    {"\"nhóm\" hoặc (\"nhóm\", ...)", "\"group\" or (\"group\", ...)"},
	    {"InOrganization hoặc NotInOrganization", "InOrganization or NotInOrganization"},
	    {"mạng: \"10.0.0.0/8\", \"2001:db8::/32\"",
		"networks: \"10.0.0.0/8\", \"2001:db8::/32\""},
	    {"một số", "a number"}, {"một dung lượng: 20MB", "a size: 20MB"},
	    {"(\"Tên-Trường\", \"từ\", ...)", "(\"Field-Name\", \"word\", ...)"},
	    {"Signed hoặc Encrypted", "Signed or Encrypted"},
	    {"\"tên\" hoặc (\"tên\", ...)", "\"name\" or (\"name\", ...)"},
	    {"quy tắc có sẵn: \"P17\"", "built-in rules: \"P17\""},
	    {"mã cơ quan: \"H37.02\"", "agency codes: \"H37.02\""}};

	return vietnamese ? texts[a].vi : texts[a].en;
}

/* ---- evidence ---- */

static enum policy_tri
yes(struct policy_ctx *c, const char *what, struct slice value)
{
	if (c->detail != NULL) {
		if (c->detail->len > 0)
			buf_append_str(c->detail, "; ");
		buf_append_str(c->detail, what);
		if (value.len > 0) {
			buf_append_byte(c->detail, ' ');
			buf_append_slice(c->detail, slice_sub(value, 0, EVIDENCE_MAX));
		}
	}
	return POLICY_YES;
}

static enum policy_tri
yes_part(struct policy_ctx *c, const struct find_part *p)
{
	if (c->detail == NULL)
		return POLICY_YES;
	yes(c, "part", p->path.len > 0 ? p->path : slice_str("1"));
	if (p->name_norm.len > 0) {
		buf_append_str(c->detail, " \"");
		buf_append_slice(c->detail, slice_sub(p->name_norm, 0, EVIDENCE_MAX));
		buf_append_byte(c->detail, '"');
	}
	if (p->true_type.len > 0) {
		buf_append_str(c->detail, ": ");
		buf_append_slice(c->detail, p->true_type);
	}
	return POLICY_YES;
}

/* ---- words ---- */

static bool
letter(unsigned char ch)
{
	return ch >= 0x80 || (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') ||
	       (ch >= 'A' && ch <= 'Z') || ch == '_';
}

static bool
has_word(struct policy_ctx *c, struct slice text, struct slice word)
{
	struct slice rest = text;
	ptrdiff_t at;

	c->cost += text.len + word.len + 16;
	while (word.len > 0 && (at = slice_find(rest, word)) >= 0) {
		const unsigned char *from = rest.ptr + at, *to = from + word.len;

		if ((from == text.ptr || !letter(from[-1]) || !letter(from[0])) &&
		    (to == text.ptr + text.len || !letter(*to) || !letter(to[-1])))
			return true;
		rest = slice_from(rest, (size_t)at + 1);
		c->cost += rest.len;
		if (c->cost > POLICY_BUDGET)
			return false;
	}
	return false;
}

static const struct slice *
first_word(struct policy_ctx *c, struct slice text, const struct policy_list *l, size_t from)
{
	size_t i;

	for (i = from; i < l->n; i++) {
		if (c->cost > POLICY_BUDGET)
			return NULL;
		if (has_word(c, text, l->v[i]))
			return &l->v[i];
	}
	return NULL;
}

static bool
in_list(struct policy_ctx *c, struct slice s, const struct policy_list *l)
{
	size_t i;

	c->cost += 16 * l->n + 16;
	for (i = 0; i < l->n; i++) {
		if (slice_caseeq(s, l->v[i]))
			return true;
	}
	return false;
}

static struct slice
fold_in(struct policy_ctx *c, struct slice s)
{
	struct slice out = slice_str("");
	struct buf b;

	buf_init(&b, 8 * s.len + 64);
	c->cost += 8 * s.len;
	if (policy_fold(s, &b) == 0 && b.len > 0)
		out = arena_slice(c->arena, buf_slice(&b));
	buf_done(&b);
	return out.ptr != NULL ? out : slice_str("");
}

static struct slice
domain_of(struct slice address)
{
	size_t i;

	for (i = address.len; i > 0; i--) {
		if (address.ptr[i - 1] == '@')
			return slice_from(address, i);
	}
	return slice_str("");
}

static bool
in_groups(struct policy_ctx *c, struct slice address, const struct policy_list *names)
{
	const struct policy_group *g;
	size_t i;

	for (i = 0; i < names->n; i++) {
		g = policy_group_find(c->p, names->v[i]);
		if (g != NULL && in_list(c, address, &g->members))
			return true;
	}
	return false;
}

/* ---- who sends ---- */

#define EACH_AUTHOR(c, i) for (i = 0; i < (c)->f->rules->n_authors; i++)

enum policy_tri
pred_from(struct policy_ctx *c, const struct policy_expr *e)
{
	const struct rule_author *a = c->f->rules->authors;
	size_t i;

	EACH_AUTHOR(c, i)
	{
		if (in_list(c, a[i].address, &e->args))
			return yes(c, "From", a[i].address);
	}
	return POLICY_NO;
}

/* What the directory said of those of the groups that are its; unknown where it was not asked. */
static enum policy_tri
in_directory(struct policy_ctx *c, const struct policy_list *groups, bool of_rcpts)
{
	enum policy_tri t = POLICY_NO;
	const struct rule_facts *f = c->f->rules;
	const struct policy_group *g;
	size_t i, k;

	for (i = 0; i < groups->n; i++) {
		g = policy_group_find(c->p, groups->v[i]);
		if (g == NULL || g->directory.len == 0)
			continue;
		for (k = 0; k < f->n_members && (f->members[k].of_rcpts != of_rcpts ||
						    !slice_eq(f->members[k].group, g->directory));
		     k++)
			;
		if (k < f->n_members && f->members[k].is)
			return yes(c, of_rcpts ? "recipient in" : "From in", g->directory);
		if (k == f->n_members)
			t = POLICY_UNKNOWN;
	}
	return t;
}

enum policy_tri
pred_from_member(struct policy_ctx *c, const struct policy_expr *e)
{
	const struct rule_author *a = c->f->rules->authors;
	size_t i;

	EACH_AUTHOR(c, i)
	{
		if (in_groups(c, a[i].address, &e->args))
			return yes(c, "From", a[i].address);
	}
	return in_directory(c, &e->args, false);
}

enum policy_tri
pred_from_scope(struct policy_ctx *c, const struct policy_expr *e)
{
	const struct rule_author *a = c->f->rules->authors;
	bool inside = c->f->rules->n_authors > 0;
	size_t i;

	EACH_AUTHOR(c, i)
	inside = inside && policy_domain_in(a[i].domain, &c->p->organization);
	if (inside == e->outside)
		return POLICY_NO;
	return yes(c, "From", c->f->rules->n_authors > 0 ? a[0].address : slice_str(""));
}

enum policy_tri
pred_from_words(struct policy_ctx *c, const struct policy_expr *e)
{
	const struct rule_author *a = c->f->rules->authors;
	size_t i;

	EACH_AUTHOR(c, i)
	{
		if (first_word(c, fold_in(c, a[i].address), &e->args, 0) != NULL)
			return yes(c, "From", a[i].address);
	}
	return POLICY_NO;
}

enum policy_tri
pred_from_domain(struct policy_ctx *c, const struct policy_expr *e)
{
	const struct rule_author *a = c->f->rules->authors;
	size_t i;

	c->cost += 16 * e->args.n;
	EACH_AUTHOR(c, i)
	{
		if (policy_domain_in(a[i].domain, &e->args))
			return yes(c, "From", a[i].address);
	}
	return POLICY_NO;
}

enum policy_tri
pred_agency(struct policy_ctx *c, const struct policy_expr *e)
{
	const struct rule_author *a = c->f->rules->authors;
	size_t i, k;

	c->cost += 16 * e->args.n;
	EACH_AUTHOR(c, i)
	{
		struct policy_who who = policy_who_of(&a[i]);

		for (k = 0; k < e->args.n; k++) {
			struct policy_scope s = {POLICY_AGENCY, e->args.v[k], {0, 0}};

			if (policy_scope_holds(&s, &who))
				return yes(c, "agency", a[i].agency);
		}
	}
	return POLICY_NO;
}

enum policy_tri
pred_ip(struct policy_ctx *c, const struct policy_expr *e)
{
	size_t i;

	c->cost += 64 * e->args.n;
	for (i = 0; i < e->args.n; i++) {
		if (policy_network_has(e->args.v[i], c->f->ip))
			return yes(c, "IP", c->f->ip);
	}
	return POLICY_NO;
}

enum policy_tri
pred_signed_in(struct policy_ctx *c, const struct policy_expr *e)
{
	(void)e;
	return c->f->rules->authenticated ? POLICY_YES : POLICY_NO;
}

/* ---- to whom ---- */

typedef bool (*rcpt_fn)(struct policy_ctx *c, const struct policy_expr *e, struct slice rcpt);

/* Whether any recipient is so; of a list that was cut, "none of these" is not "none". */
static enum policy_tri
any_rcpt(struct policy_ctx *c, const struct policy_expr *e, rcpt_fn fn)
{
	size_t i;

	for (i = 0; i < c->f->n_rcpts && c->cost <= POLICY_BUDGET; i++) {
		if (fn(c, e, c->f->rcpts[i]))
			return yes(c, "To", c->f->rcpts[i]);
	}
	return c->f->rcpts_cut ? POLICY_UNKNOWN : POLICY_NO;
}

static bool
rcpt_is(struct policy_ctx *c, const struct policy_expr *e, struct slice rcpt)
{
	return in_list(c, rcpt, &e->args);
}

static bool
rcpt_member(struct policy_ctx *c, const struct policy_expr *e, struct slice rcpt)
{
	return in_groups(c, rcpt, &e->args);
}

static bool
rcpt_scope(struct policy_ctx *c, const struct policy_expr *e, struct slice rcpt)
{
	c->cost += 16 * c->p->organization.n;
	return policy_domain_in(domain_of(rcpt), &c->p->organization) != e->outside;
}

static bool
rcpt_domain(struct policy_ctx *c, const struct policy_expr *e, struct slice rcpt)
{
	c->cost += 16 * e->args.n;
	return policy_domain_in(domain_of(rcpt), &e->args);
}

static bool
rcpt_words(struct policy_ctx *c, const struct policy_expr *e, struct slice rcpt)
{
	return first_word(c, fold_in(c, rcpt), &e->args, 0) != NULL;
}

enum policy_tri
pred_to(struct policy_ctx *c, const struct policy_expr *e)
{
	return any_rcpt(c, e, rcpt_is);
}

enum policy_tri
pred_to_member(struct policy_ctx *c, const struct policy_expr *e)
{
	enum policy_tri t = any_rcpt(c, e, rcpt_member), d;

	if (t == POLICY_YES)
		return t;
	d = in_directory(c, &e->args, true);
	return d == POLICY_NO ? t : d;
}

enum policy_tri
pred_to_scope(struct policy_ctx *c, const struct policy_expr *e)
{
	return any_rcpt(c, e, rcpt_scope);
}

enum policy_tri
pred_to_domain(struct policy_ctx *c, const struct policy_expr *e)
{
	return any_rcpt(c, e, rcpt_domain);
}

enum policy_tri
pred_to_words(struct policy_ctx *c, const struct policy_expr *e)
{
	return any_rcpt(c, e, rcpt_words);
}

static enum policy_tri
over(struct policy_ctx *c, const char *what, uint64_t is, uint64_t most)
{
	struct buf b;
	enum policy_tri t;

	if (is <= most)
		return POLICY_NO;
	buf_init(&b, 64);
	buf_appendf(&b, "%llu > %llu", (unsigned long long)is, (unsigned long long)most);
	t = yes(c, what, buf_slice(&b));
	buf_done(&b);
	return t;
}

enum policy_tri
pred_rcpts_over(struct policy_ctx *c, const struct policy_expr *e)
{
	return over(c, "recipients", c->f->n_rcpts_all, e->number);
}

/* ---- the message ---- */

enum policy_tri
pred_subject(struct policy_ctx *c, const struct policy_expr *e)
{
	const struct slice *w;

	if (c->f->subject.ptr == NULL)
		return POLICY_UNKNOWN;
	if (c->subject.ptr == NULL)
		c->subject = fold_in(c, c->f->subject);
	w = first_word(c, c->subject, &e->args, 0);
	return w != NULL ? yes(c, "Subject:", *w) : POLICY_NO;
}

enum policy_tri
pred_header(struct policy_ctx *c, const struct policy_expr *e)
{
	const struct slice *w;
	struct slice text;
	size_t nth;

	if (c->f->header.ptr == NULL)
		return POLICY_UNKNOWN;
	for (nth = 0; nth < 32 && c->cost <= POLICY_BUDGET; nth++) {
		c->cost += c->f->header.len;
		if (!policy_header_field(c, e->args.v[0], nth, &text))
			break;
		w = first_word(c, fold_in(c, text), &e->args, 1);
		if (w != NULL) {
			yes(c, "field", e->args.v[0]);
			return yes(c, "word", *w);
		}
	}
	return POLICY_NO;
}

enum policy_tri
pred_size(struct policy_ctx *c, const struct policy_expr *e)
{
	return over(c, "size", c->f->size, e->number);
}

enum policy_tri
pred_type(struct policy_ctx *c, const struct policy_expr *e)
{
	const struct find_sig *s;
	size_t i;
	bool valid = false, sure = true;

	for (s = c->f->rules->scan->sigs; s != NULL; s = s->next)
		valid = valid || (s->coverage == SIG_WHOLE && s->status == SIG_VALID);
	for (i = 0; i < e->args.n; i++) {
		if (slice_eq_str(e->args.v[i], "Signed") && valid)
			return yes(c, "signed", slice_str(""));
		if (slice_eq_str(e->args.v[i], "Encrypted") && c->f->flags_unknown)
			sure = false;
		else if (slice_eq_str(e->args.v[i], "Encrypted") && c->f->rules->scan->encrypted)
			return yes(c, "encrypted", slice_str(""));
	}
	return sure ? POLICY_NO : POLICY_UNKNOWN;
}

enum policy_tri
pred_signature(struct policy_ctx *c, const struct policy_expr *e)
{
	const struct find_sig *s;
	bool any = false;

	for (s = c->f->rules->scan->sigs; s != NULL; s = s->next) {
		struct slice status = slice_str(sig_status_name(s->status));

		if (s->coverage != SIG_WHOLE)
			continue;
		any = true;
		if (in_list(c, status, &e->args))
			return yes(c, "signature", status);
		if (s->rev == REV_REVOKED && in_list(c, slice_str("revoked"), &e->args))
			return yes(c, "signature", slice_str("revoked"));
	}
	return !any && in_list(c, slice_str("none"), &e->args)
		   ? yes(c, "signature", slice_str("none"))
		   : POLICY_NO;
}

enum policy_tri
pred_official(struct policy_ctx *c, const struct policy_expr *e)
{
	(void)e;
	return c->f->rules->official ? yes(c, "official", slice_str(c->f->rules->official_why))
				     : POLICY_NO;
}

enum policy_tri
pred_issued(struct policy_ctx *c, const struct policy_expr *e)
{
	(void)e;
	if (c->f->flags_unknown)
		return POLICY_UNKNOWN;
	return c->f->rules->issued ? yes(c, "issued document", slice_str("")) : POLICY_NO;
}

enum policy_tri
pred_finding(struct policy_ctx *c, const struct policy_expr *e)
{
	const struct find_note *n;
	size_t i;

	for (n = c->f->rules->scan->notes; n != NULL; n = n->next) {
		c->cost += 16 * e->args.n;
		for (i = 0; i < e->args.n; i++) {
			struct slice want = e->args.v[i];
			bool open = want.len > 0 && want.ptr[want.len - 1] == '*';

			if (open && n->id.len >= want.len - 1 &&
			    slice_eq(slice_sub(n->id, 0, want.len - 1),
				slice_sub(want, 0, want.len - 1)))
				open = true;
			else if (open || !slice_eq(n->id, want))
				continue;
			yes(c, "finding", n->id);
			if (n->part.len > 0)
				yes(c, "part", n->part);
			return n->detail.len > 0 ? yes(c, "", n->detail) : POLICY_YES;
		}
	}
	return c->f->parts_cut ? POLICY_UNKNOWN : POLICY_NO;
}

enum policy_tri
pred_rule_hit(struct policy_ctx *c, const struct policy_expr *e)
{
	size_t i;
	ptrdiff_t r;

	if (c->f->hits == NULL)
		return POLICY_UNKNOWN;
	for (i = 0; i < e->args.n; i++) {
		r = rule_index(e->args.v[i]);
		if (r >= 0 && c->f->hits[r])
			return yes(c, "rule", e->args.v[i]);
	}
	return POLICY_NO;
}

/* ---- attachments ---- */

typedef bool (*part_fn)(
    struct policy_ctx *c, const struct policy_expr *e, const struct find_part *p, size_t index);

static enum policy_tri
any_part(struct policy_ctx *c, const struct policy_expr *e, part_fn fn)
{
	const struct find_part *p;
	size_t i = 0;

	for (p = c->f->rules->scan->parts; p != NULL && c->cost <= POLICY_BUDGET;
	     p = p->next, i++) {
		c->cost += 16;
		if (fn(c, e, p, i))
			return yes_part(c, p);
	}
	return c->f->parts_cut ? POLICY_UNKNOWN : POLICY_NO;
}

static struct slice
folded_name(struct policy_ctx *c, const struct find_part *p, size_t index)
{
	if (c->names == NULL)
		c->names = arena_calloc(c->arena, c->f->rules->scan->n_parts + 1, sizeof *c->names);
	if (c->names == NULL || index > c->f->rules->scan->n_parts)
		return fold_in(c, p->name_norm);
	if (c->names[index].ptr == NULL)
		c->names[index] = fold_in(c, p->name_norm);
	return c->names[index];
}

static bool
part_extension(
    struct policy_ctx *c, const struct policy_expr *e, const struct find_part *p, size_t index)
{
	struct slice name = folded_name(c, p, index);
	size_t i;

	/* trailing dots and spaces are dropped by who opens it */
	while (name.len > 0 && (name.ptr[name.len - 1] == '.' || name.ptr[name.len - 1] == ' '))
		name.len--;
	for (i = name.len; i > 0 && name.ptr[i - 1] != '.' && name.ptr[i - 1] != '/'; i--)
		;
	return i > 0 && name.ptr[i - 1] == '.' && in_list(c, slice_from(name, i), &e->args);
}

static bool
part_name(
    struct policy_ctx *c, const struct policy_expr *e, const struct find_part *p, size_t index)
{
	return first_word(c, folded_name(c, p, index), &e->args, 0) != NULL;
}

static bool
part_type(
    struct policy_ctx *c, const struct policy_expr *e, const struct find_part *p, size_t index)
{
	(void)index;
	return (p->flags & (PART_ATTACHED | PART_IN_ARCHIVE)) != 0 &&
	       in_list(c, p->true_type, &e->args);
}

static bool
part_larger(
    struct policy_ctx *c, const struct policy_expr *e, const struct find_part *p, size_t index)
{
	(void)c, (void)index;
	return (p->flags & PART_ATTACHED) != 0 && p->size > e->number;
}

#define PART_FLAGS(fn, mask)                                                     \
	static bool fn##_part(struct policy_ctx *c, const struct policy_expr *e, \
	    const struct find_part *p, size_t index)                             \
	{                                                                        \
		(void)c, (void)e, (void)index;                                   \
		return (p->flags & (mask)) != 0;                                 \
	}                                                                        \
	enum policy_tri fn(struct policy_ctx *c, const struct policy_expr *e)    \
	{                                                                        \
		return any_part(c, e, fn##_part);                                \
	}

PART_FLAGS(pred_locked, PART_ENCRYPTED)
PART_FLAGS(pred_unsupported, PART_BROKEN)
PART_FLAGS(pred_limit, PART_LIMIT)
PART_FLAGS(pred_executable, PART_EXEC | PART_BANNED_NAME | PART_DOUBLE_EXT)
PART_FLAGS(pred_macro, PART_MACRO)

enum policy_tri
pred_extension(struct policy_ctx *c, const struct policy_expr *e)
{
	return any_part(c, e, part_extension);
}

enum policy_tri
pred_name(struct policy_ctx *c, const struct policy_expr *e)
{
	return any_part(c, e, part_name);
}

enum policy_tri
pred_true_type(struct policy_ctx *c, const struct policy_expr *e)
{
	return any_part(c, e, part_type);
}

enum policy_tri
pred_part_size(struct policy_ctx *c, const struct policy_expr *e)
{
	return any_part(c, e, part_larger);
}

enum policy_tri
pred_all_size(struct policy_ctx *c, const struct policy_expr *e)
{
	if (c->f->flags_unknown)
		return POLICY_UNKNOWN;
	return over(c, "attachments", c->f->rules->scan->attach_size, e->number);
}
