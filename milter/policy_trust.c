/* policy_trust.c: "trust" of the policy language: which store of anchors the signatures of an author are held against, and what they must be at least. Pure;
 * runs where policies are compiled and asked. Invariants: no trust asks for less than the built-in floor; a nearer scope asks for no less than a wider
 * one, unless it says "instead", with a reason and a last day. */
#include "config.h"

#include "milter/policy_priv.h"

#include "lib/err.h"

#include <stdio.h>
#include <string.h>

#define TRUSTS_MAX 100
#define STORE_MAX 64
#define DAY 86400

const struct policy_trust *
policy_trust_find(const struct policy *p, struct slice name)
{
	const struct policy_trust *t;

	for (t = p->trusts; t != NULL && !slice_eq(t->name, name); t = t->next)
		;
	return t;
}

/* A folder's name: no way out of trust_dir, and nothing that a scanner could take for something else. */
static bool
store_ok(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		unsigned char c = s.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			(i > 0 && (c == '.' || c == '-' || c == '_'))))
			return false;
	}
	return s.len > 0 && s.len <= STORE_MAX;
}

static void
check_store(struct policy_build *b, struct policy_pos pos, struct slice s)
{
	if (!store_ok(s))
		policy_error_at(b, pos,
		    "kho chứng thư là tên một thư mục trong trust_dir: chữ thường, số, . - _, tối "
		    "đa %d byte",
		    "a store is the name of a folder in trust_dir: small letters, digits, . - _, "
		    "at most %d octets",
		    STORE_MAX);
}

void
policy_on_trust_begin(struct policy_build *b, struct policy_pos pos, struct slice name)
{
	struct policy_trust *t;

	b->trust = NULL;
	if (!policy_once(b, pos, policy_trust_find(b->p, name) != NULL, name))
		return;
	if (b->p->n_trusts == TRUSTS_MAX) {
		policy_error_at(b, pos, "quá %d khối trust", "more than %d trusts", TRUSTS_MAX);
		return;
	}
	check_store(b, pos, name);
	t = policy_alloc(b, sizeof *t);
	if (t == NULL)
		return;
	t->name = t->store = name;
	t->pos = pos;
	*b->trusts_end = t;
	b->trusts_end = &t->next;
	b->p->n_trusts++;
	b->trust = t;
}

static const struct floor {
	const char *name, *range;
	unsigned least, most;
} floors[] = {{"digest", "256 .. 512", 256, 512}, {"rsa", "2048 .. 16384", 2048, 16384},
    {"ec", "256 .. 521", 256, 521}, {"revocation-hours", "1 .. 8760", 1, 8760}};
enum { N_FLOORS = sizeof floors / sizeof *floors };

void
policy_on_trust_number(struct policy_build *b, struct policy_pos pos, struct slice what, uint64_t n)
{
	struct policy_trust *t = b->trust;
	size_t i;

	for (i = 0; i < N_FLOORS && !slice_eq_str(what, floors[i].name); i++)
		;
	if (i == N_FLOORS) {
		policy_error_at(b, pos,
		    "trong trust có: store, digest, rsa, ec, revocation-hours, crl, ocsp",
		    "a trust has: store, digest, rsa, ec, revocation-hours, crl, ocsp");
		return;
	}
	if (n < floors[i].least || n > floors[i].most) {
		policy_error_at(b, pos, "%s: từ %u đến %u (không thấp hơn mức có sẵn)",
		    "%s: from %u to %u (never below the built-in floor)", floors[i].name,
		    floors[i].least, floors[i].most);
		return;
	}
	if (t == NULL || !policy_count(b, pos))
		return;
	if (i == 0)
		t->digest = (unsigned)n;
	else if (i == 1)
		t->rsa = (unsigned)n;
	else if (i == 2)
		t->ec = (unsigned)n;
	else
		t->rev_age_s = (int64_t)n * 3600;
}

void
policy_on_trust_text(
    struct policy_build *b, struct policy_pos pos, struct slice what, struct slice text)
{
	if (slice_eq_str(what, "crl") || slice_eq_str(what, "ocsp")) {
		if (!slice_eq_str(text, "prefer"))
			policy_error_at(b, pos, "viết là: crl prefer; hoặc ocsp prefer;",
			    "write: crl prefer; or ocsp prefer;");
		else if (b->trust != NULL &&
			 policy_once(b, pos, b->trust->prefer != PREFER_NONE, what))
			b->trust->prefer = slice_eq_str(what, "ocsp") ? PREFER_OCSP : PREFER_CRL;
		return;
	}
	if (!slice_eq_str(what, "store")) {
		policy_on_trust_number(b, pos, what, 0);
		return;
	}
	if (text.len == 0) {
		policy_error_at(b, pos, "viết là: store NAME;", "write: store NAME;");
		return;
	}
	check_store(b, pos, text);
	if (b->trust != NULL)
		b->trust->store = text;
}

void
policy_on_trust(struct policy_build *b, struct policy_pos pos, struct slice name)
{
	const struct policy_trust *t = policy_trust_find(b->p, name);
	struct policy_setting *s = policy_setting_new(b, pos);

	if (t == NULL)
		policy_error_at(b, pos, "không có trust \"%.*s\" (khối trust phải đứng trước)",
		    "there is no trust \"%.*s\" (its block stands before)",
		    (int)(name.len < 80 ? name.len : 80), (const char *)name.ptr);
	if (s == NULL || t == NULL)
		return;
	s->what = POLICY_TRUST;
	s->builtin = -2;
	s->name = name;
	s->trust = t;
	s->instead = b->setting_instead;
	if (s->instead && (s->reason.len == 0 || s->until == INT64_MAX))
		policy_error_at(b, pos, "instead cần reason \"...\" và until NGÀY",
		    "instead needs a reason \"...\" and an until DAY");
}

/* ---- asking it ---- */

static void
raise(unsigned *to, unsigned n)
{
	if (n > *to)
		*to = n;
}

static void
raise_floors(struct rule_trust *out, const struct policy_trust *t)
{
	raise(&out->digest, t->digest);
	raise(&out->rsa, t->rsa);
	raise(&out->ec, t->ec);
	if (t->rev_age_s != 0 && (out->rev_age_s == 0 || t->rev_age_s < out->rev_age_s))
		out->rev_age_s = t->rev_age_s;
}

static bool
holds(const struct policy_setting *s, const struct policy_who *who, int64_t today)
{
	return s->what == POLICY_TRUST && s->until >= today && policy_scope_holds(s->scope, who);
}

bool
policy_trust_of(const struct policy *p, const struct policy_who *who, int64_t now,
    struct rule_trust *out, const struct policy_setting **from_out)
{
	const struct policy_setting *s, *best = NULL;
	uint64_t near, nearest = 0, from = 0;
	int64_t today = now / DAY;

	memset(out, 0, sizeof *out);
	for (s = p->settings; s != NULL; s = s->next) {
		if (!holds(s, who, today))
			continue;
		near = policy_nearness(s->scope) + 1;
		if (near >= nearest) {
			nearest = near;
			best = s;
		}
		if (s->instead && near > from)
			from = near;
	}
	for (s = p->settings; s != NULL; s = s->next) {
		if (holds(s, who, today) && policy_nearness(s->scope) + 1 >= from)
			raise_floors(out, s->trust);
	}
	if (best != NULL) {
		out->name = best->trust->name;
		out->store = best->trust->store;
		out->prefer = best->trust->prefer;
	}
	if (from_out != NULL)
		*from_out = best;
	return best != NULL;
}

static int64_t
floor_of(const struct policy_trust *t, unsigned floor)
{
	return floor == 0 ? t->digest : floor == 1 ? t->rsa : floor == 2 ? t->ec : t->rev_age_s;
}

const struct policy_setting *
policy_trust_floor_from(
    const struct policy *p, const struct policy_who *who, int64_t now, unsigned floor)
{
	const struct policy_setting *s, *best = NULL;
	uint64_t near, nearest = 0, from = 0;
	int64_t today = now / DAY, want, n;
	struct rule_trust t;

	policy_trust_of(p, who, now, &t, NULL);
	want = floor == 0 ? t.digest : floor == 1 ? t.rsa : floor == 2 ? t.ec : t.rev_age_s;
	for (s = p->settings; s != NULL; s = s->next)
		if (holds(s, who, today) && s->instead && policy_nearness(s->scope) + 1 > from)
			from = policy_nearness(s->scope) + 1;
	for (s = p->settings; s != NULL; s = s->next) {
		if (!holds(s, who, today))
			continue;
		near = policy_nearness(s->scope) + 1;
		n = floor_of(s->trust, floor);
		if (n != 0 && n == want && near >= from && near >= nearest) {
			nearest = near;
			best = s;
		}
	}
	return best;
}

/* ---- what may not be meant ---- */

static bool
is_less(const struct policy_trust *t, const struct policy_trust *wider)
{
	return t->digest < wider->digest || t->rsa < wider->rsa || t->ec < wider->ec ||
	       (wider->rev_age_s != 0 && (t->rev_age_s == 0 || t->rev_age_s > wider->rev_age_s));
}

static bool
is_below(struct slice name, struct slice top)
{
	return name.len > top.len && slice_caseeq(slice_from(name, name.len - top.len), top) &&
	       name.ptr[name.len - top.len - 1] == '.';
}

/* Whether all whom s is for are in w as well, and s is nearer. Of a domain and an agency nobody can say here who is in both. */
static bool
is_within(const struct policy_scope *s, const struct policy_scope *w)
{
	struct slice domain = s->kind == POLICY_PERSON ? rule_domain_of(s->name) : s->name;

	switch (w->kind) {
	case POLICY_GLOBAL:
		return s->kind != POLICY_GLOBAL;
	case POLICY_WILD:
		return s->kind != POLICY_GLOBAL && s->kind != POLICY_AGENCY &&
		       is_below(domain, w->name);
	case POLICY_DOMAIN:
		return s->kind == POLICY_PERSON && slice_caseeq(domain, w->name);
	case POLICY_AGENCY:
		return s->kind == POLICY_AGENCY && s->name.len > w->name.len &&
		       s->name.ptr[w->name.len] == '.' &&
		       slice_caseeq(slice_sub(s->name, 0, w->name.len), w->name);
	default:
		return false;
	}
}

static bool
is_other_store(const struct policy_trust *t, const struct policy_trust *wider)
{
	return !slice_eq(t->store, wider->store);
}

/* A setting that is for all of s's and more, and of which differs() says so; NULL: none, or s says that it is meant. */
static const struct policy_setting *
wider_than(const struct policy *p, const struct policy_setting *s,
    bool (*differs)(const struct policy_trust *t, const struct policy_trust *wider))
{
	const struct policy_setting *w;

	for (w = p->settings; w != NULL; w = w->next) {
		if (s->what == POLICY_TRUST && w->what == POLICY_TRUST && !s->instead &&
		    is_within(s->scope, w->scope) && differs(s->trust, w->trust))
			return w;
	}
	return NULL;
}

static struct policy_error *
warning_at(struct policy_errors *out, const struct policy_setting *s)
{
	struct policy_error *e = &out->v[out->n++];

	e->pos = s->pos;
	return e;
}

void
policy_trust_warnings(const struct policy *p, struct policy_errors *out)
{
	const struct policy_setting *s, *w;
	struct policy_error *e;

	for (s = p->settings; s != NULL; s = s->next) {
		w = out->n < POLICY_ERRORS_MAX ? wider_than(p, s, is_less) : NULL;
		if (w != NULL) {
			e = warning_at(out, s);
			snprintf(e->vi, sizeof e->vi,
			    "trust này đòi ít hơn trust ở dòng %u, mà mức chặt hơn vẫn có hiệu "
			    "lực; nếu muốn khác, thêm instead reason \"...\" until NGÀY",
			    w->pos.line);
			snprintf(e->en, sizeof e->en,
			    "this trust asks for less than that of line %u, which holds as well; "
			    "unless that is meant, say instead reason \"...\" until DAY",
			    w->pos.line);
		}
		w = out->n < POLICY_ERRORS_MAX ? wider_than(p, s, is_other_store) : NULL;
		if (w != NULL) {
			e = warning_at(out, s);
			snprintf(e->vi, sizeof e->vi,
			    "trust này thay kho chứng thư của trust ở dòng %u; nếu muốn vậy, thêm "
			    "instead reason \"...\" until NGÀY, còn không thì ghi cùng store",
			    w->pos.line);
			snprintf(e->en, sizeof e->en,
			    "this trust puts another store in the place of that of line %u; if "
			    "that is meant, say instead reason \"...\" until DAY, else name the "
			    "same store",
			    w->pos.line);
		}
	}
}
