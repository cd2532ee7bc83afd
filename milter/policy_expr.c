/* policy_expr.c: the compiler of the policy language, conditions: which predicate a name is, what arguments it takes, and in which normal
 * form they are kept. Pure; runs in congvu, in milter at its start, in congvu-milter-judge. */
#include "config.h"

#include "milter/policy_priv.h"

#include "lib/err.h"

#include <string.h>

static bool
name_ok(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.ptr[i] <= 0x20 || s.ptr[i] == 0x7f)
			return false;
	}
	return s.len > 0;
}

/* ---- normal forms of arguments ---- */

struct slice
policy_make_address(struct policy_build *b, struct policy_pos pos, struct slice s)
{
	struct buf n;
	struct slice out = slice_str("");

	buf_init(&n, 1024);
	if (slice_index(s, '@') <= 0 || !name_ok(s) || policy_normal_address(s, &n) != 0)
		policy_error_at(b, pos, "\"%.*s\" không phải là địa chỉ thư",
		    "\"%.*s\" is no mail address", (int)(s.len < 80 ? s.len : 80),
		    (const char *)s.ptr);
	else
		out = arena_slice(b->p->arena, buf_slice(&n));
	buf_done(&n);
	return out;
}

/* A-labels; a leading "*." stays. */
struct slice
policy_make_domain(struct policy_build *b, struct policy_pos pos, struct slice s)
{
	bool wild = slice_starts(s, "*.");
	struct slice name = wild ? slice_from(s, 2) : s, out = slice_str("");
	struct buf n;

	buf_init(&n, 1024);
	if (wild)
		buf_append_str(&n, "*.");
	if (!name_ok(name) || policy_normal_domain(name, &n) != 0)
		policy_error_at(b, pos, "\"%.*s\" không phải là tên miền",
		    "\"%.*s\" is no domain name", (int)(s.len < 80 ? s.len : 80),
		    (const char *)s.ptr);
	else
		out = arena_slice(b->p->arena, buf_slice(&n));
	buf_done(&n);
	return out;
}

bool
policy_agency_ok(struct policy_build *b, struct policy_pos pos, struct slice s)
{
	bool digit = false, ok = s.len > 0;
	size_t i;

	for (i = 0; i < s.len; i++) {
		unsigned char c = s.ptr[i];

		digit |= c >= '0' && c <= '9';
		ok &= (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		      c == '.' || c == '-' || c == '_';
	}
	if (!ok)
		policy_error_at(b, pos, "không phải mã cơ quan", "no agency code");
	else if (!digit)
		/* it would be checked, and never apply */
		policy_error_at(b, pos, "\"%.*s\" là chữ viết tắt; cần mã cơ quan, như H37.02",
		    "\"%.*s\" is an abbreviation; an agency is named by its code, like H37.02",
		    (int)(s.len < 80 ? s.len : 80), (const char *)s.ptr);
	return ok && digit;
}

/* Which side a group of the directory will be asked about. */
static void
mark_asked(struct policy *p, struct slice name, const char *predicate)
{
	struct policy_group *g;

	for (g = p->groups; g != NULL; g = g->next) {
		if (!slice_eq(g->name, name))
			continue;
		if (strcmp(predicate, "FromMemberOf") == 0)
			g->asked_from = true;
		else
			g->asked_to = true;
	}
}

static struct slice
folded(struct policy_build *b, struct policy_pos pos, struct slice s)
{
	struct slice out = slice_str("");
	struct buf f;

	buf_init(&f, 8 * POLICY_STRING_MAX);
	if (policy_fold(s, &f) != 0 || f.len == 0)
		policy_error_at(
		    b, pos, "từ trống hoặc không phải UTF-8", "an empty word, or no UTF-8");
	else
		out = arena_slice(b->p->arena, buf_slice(&f));
	buf_done(&f);
	return out;
}

static bool
one_of(struct slice s, const char *const *names, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (slice_eq_str(s, names[i]))
			return true;
	}
	return false;
}

static void
check_word(struct policy_build *b, const struct policy_item *it, const char *const *names, size_t n,
    const char *all)
{
	const char *near;

	if (one_of(it->s, names, n))
		return;
	near = policy_nearest(it->s, names, n);
	policy_error_at(b, it->pos, "không có giá trị \"%.*s\"%s%s; có: %s",
	    "there is no value \"%.*s\"%s%s; there are: %s", (int)(it->s.len < 40 ? it->s.len : 40),
	    (const char *)it->s.ptr, near != NULL ? " -> " : "", near != NULL ? near : "", all);
}

static struct slice
argument(struct policy_build *b, struct policy_expr *e, enum policy_arg kind,
    const struct policy_item *it)
{
	static const char *const types[] = {"Signed", "Encrypted"}, *const status[] = {"valid",
									"bad", "weak", "untrusted",
									"expired", "purpose",
									"revoked", "none"};
	static const char *const scopes[] = {"InOrganization", "NotInOrganization"};

	switch (kind) {
	case POLICY_ARG_WORDS:
		/* ".docm" means docm */
		return folded(b, it->pos,
		    strcmp(policy_predicates[e->pred].name, "AttachmentExtensionMatchesWords") ==
				0 &&
			    slice_starts(it->s, ".")
			? slice_from(it->s, 1)
			: it->s);
	case POLICY_ARG_HEADER_WORDS:
		return e->args.n == 0 ? it->s : folded(b, it->pos, it->s);
	case POLICY_ARG_ADDRESSES:
		return policy_make_address(b, it->pos, it->s);
	case POLICY_ARG_DOMAINS:
		return policy_make_domain(b, it->pos, it->s);
	case POLICY_ARG_NETWORKS:
		if (!policy_network_ok(it->s))
			policy_error_at(b, it->pos, "không phải địa chỉ IP hoặc mạng (IP/BIT)",
			    "neither an IP address nor a network (ADDRESS/BITS)");
		return it->s;
	case POLICY_ARG_GROUP:
		mark_asked(b->p, it->s, policy_predicates[e->pred].name);
		if (policy_group_find(b->p, it->s) == NULL)
			policy_error_at(b, it->pos,
			    "không có nhóm \"%.*s\"; khai nhóm trước khi dùng",
			    "there is no group \"%.*s\"; a group stands before its use",
			    (int)(it->s.len < 80 ? it->s.len : 80), (const char *)it->s.ptr);
		return it->s;
	case POLICY_ARG_SCOPE:
		check_word(b, it, scopes, 2, "InOrganization, NotInOrganization");
		e->outside = slice_eq_str(it->s, scopes[1]);
		if (b->p->organization.n == 0)
			policy_error_at(b, it->pos, "cần khai organization trước đó",
			    "organization must be stated before");
		return it->s;
	case POLICY_ARG_TYPES:
		check_word(b, it, types, 2, "Signed, Encrypted");
		return it->s;
	case POLICY_ARG_RULES:
		if (rule_index(it->s) < 0)
			policy_error_at(b, it->pos, "không có quy tắc có sẵn \"%.*s\"",
			    "there is no built-in rule \"%.*s\"",
			    (int)(it->s.len < 40 ? it->s.len : 40), (const char *)it->s.ptr);
		return it->s;
	case POLICY_ARG_AGENCIES:
		policy_agency_ok(b, it->pos, it->s);
		return it->s;
	case POLICY_ARG_NAMES:
		if (strcmp(policy_predicates[e->pred].name, "SignatureStatusIs") == 0)
			check_word(b, it, status, 8,
			    "valid, bad, weak, untrusted, expired, purpose, revoked, none");
		return it->s;
	default:
		e->number = it->number;
		return it->s;
	}
}

/* ---- conditions ---- */

static void
unknown_predicate(struct policy_build *b, struct policy_pos pos, struct slice name)
{
	const char *names[64], *near;
	size_t i;

	for (i = 0; i < policy_predicates_len && i < 64; i++)
		names[i] = policy_predicates[i].name;
	near = policy_nearest(name, names, i);
	if (near != NULL)
		policy_error_at(b, pos, "không có điều kiện \"%.*s\"; ý là \"%s\"?",
		    "there is no predicate \"%.*s\"; did you mean \"%s\"?",
		    (int)(name.len < 60 ? name.len : 60), (const char *)name.ptr, near);
	else
		policy_error_at(b, pos, "không có điều kiện \"%.*s\"; xem congvu policy help",
		    "there is no predicate \"%.*s\"; see congvu policy help",
		    (int)(name.len < 60 ? name.len : 60), (const char *)name.ptr);
}

/* How many and what kind of items a predicate takes. */
static bool
arguments_fit(enum policy_arg kind, const struct policy_items *l)
{
	const struct policy_item *it;

	if (kind == POLICY_ARG_NONE)
		return l->n == 0;
	if (kind == POLICY_ARG_NUMBER)
		return l->n == 1 && l->first->kind == 'n';
	if (kind == POLICY_ARG_SIZE)
		return l->n == 1 && (l->first->kind == 'z' || l->first->kind == 'n');
	if (kind == POLICY_ARG_SCOPE && l->n != 1)
		return false;
	if (l->n < (kind == POLICY_ARG_HEADER_WORDS ? 2u : 1u))
		return false;
	for (it = l->first; it != NULL; it = it->next) {
		if (it->kind != 's' && it->kind != 'w')
			return false;
	}
	return true;
}

struct policy_expr *
policy_expr_pred(
    struct policy_build *b, struct policy_pos pos, struct slice name, const struct policy_items *l)
{
	struct policy_expr *e = policy_count(b, pos) ? policy_alloc(b, sizeof *e) : NULL;
	const struct policy_item *it;
	size_t i;

	if (e == NULL)
		return NULL;
	e->op = POLICY_PRED;
	e->depth = 1;
	e->pos = pos;
	for (i = 0; i < policy_predicates_len; i++) {
		if (slice_caseeq_str(name, policy_predicates[i].name))
			break;
	}
	if (i == policy_predicates_len) {
		unknown_predicate(b, pos, name);
		return e;
	}
	e->pred = (unsigned)i;
	if (!arguments_fit(policy_predicates[i].arg, l)) {
		/* each language leaves out the other's text */
		policy_error_at(b, pos, "%s cần: %s%.0s", "%s takes: %.0s%s",
		    policy_predicates[i].name, policy_arg_text(policy_predicates[i].arg, true),
		    policy_arg_text(policy_predicates[i].arg, false));
		return e;
	}
	e->args.v = policy_alloc(b, (l->n + 1) * sizeof *e->args.v);
	for (it = l->first; it != NULL && e->args.v != NULL; it = it->next) {
		e->args.v[e->args.n] = argument(b, e, policy_predicates[i].arg, it);
		e->args.n++;
	}
	return e;
}

static struct policy_expr *
too_deep(struct policy_build *b, struct policy_expr *e)
{
	if (e->depth > POLICY_NESTING_MAX && !b->gave_up) {
		policy_error_at(
		    b, e->pos, "lồng quá %d bậc", "nested more than %d deep", POLICY_NESTING_MAX);
		b->gave_up = true;
	}
	return e;
}

struct policy_expr *
policy_expr_not(struct policy_build *b, struct policy_pos pos, struct policy_expr *of)
{
	struct policy_expr *e =
	    of != NULL && policy_count(b, pos) ? policy_alloc(b, sizeof *e) : NULL;

	if (e == NULL)
		return NULL;
	e->op = POLICY_NOT;
	e->pos = pos;
	e->first = e->last = of;
	e->depth = of->depth + 1;
	return too_deep(b, e);
}

/* "a and b and c" is one node of three. */
struct policy_expr *
policy_expr_join(
    struct policy_build *b, enum policy_op op, struct policy_expr *l, struct policy_expr *r)
{
	struct policy_expr *e = l;

	if (l == NULL || r == NULL)
		return NULL;
	if (l->op != op || l->next != NULL) {
		e = policy_count(b, l->pos) ? policy_alloc(b, sizeof *e) : NULL;
		if (e == NULL)
			return NULL;
		e->op = op;
		e->pos = l->pos;
		e->first = e->last = l;
		e->depth = l->depth + 1;
	}
	e->last->next = r;
	e->last = r;
	if (r->depth + 1 > e->depth)
		e->depth = r->depth + 1;
	return too_deep(b, e);
}
