/* policy_build.c: the compiler of the policy language: checks what the grammar found and builds the program of policy.h. Pure; runs in
 * congvu, in milter at its start, in congvu-milter-judge. All memory is the program's arena; errors are collected, in Vietnamese
 * and English, each with its place. What is not understood is an error, never ignored. */
#include "config.h"

#include "milter/policy_priv.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/uni.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_CAP (48u << 20)
#define TEXT_VI_MAX 160 /* rule_reply's */
#define TEXT_EN_MAX 120

void
policy_error_at(struct policy_build *b, struct policy_pos pos, const char *vi, const char *en, ...)
{
	struct policy_error *e;
	va_list ap;

	if (b->errors->n == POLICY_ERRORS_MAX)
		return;
	e = &b->errors->v[b->errors->n++];
	e->pos = pos;
	/* both texts take the same arguments; the attribute of the declaration checks the English one */
	va_start(ap, en);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	vsnprintf(e->vi, sizeof e->vi, vi, ap);
	va_end(ap);
	va_start(ap, en);
	vsnprintf(e->en, sizeof e->en, en, ap);
#pragma GCC diagnostic pop
	va_end(ap);
}

void *
policy_alloc(struct policy_build *b, size_t n)
{
	void *p = arena_alloc(b->p->arena, n);

	if (p == NULL)
		b->nomem = true;
	return p;
}

bool
policy_count(struct policy_build *b, struct policy_pos pos)
{
	if (b->n_items++ == POLICY_ITEMS_MAX)
		policy_error_at(b, pos, "quá %d mục trong tệp", "more than %d items in the file",
		    POLICY_ITEMS_MAX);
	return b->n_items <= POLICY_ITEMS_MAX;
}

static size_t
distance(struct slice a, struct slice b)
{
	size_t row[41], i, k, left, up;

	if (a.len > 40 || b.len > 40)
		return 99;
	for (k = 0; k <= b.len; k++)
		row[k] = k;
	for (i = 1; i <= a.len; i++) {
		left = row[0];
		row[0] = i;
		for (k = 1; k <= b.len; k++) {
			size_t same = (a.ptr[i - 1] | 0x20) == (b.ptr[k - 1] | 0x20) ? 0 : 1;

			up = row[k];
			left += same;
			if (up + 1 < left)
				left = up + 1;
			if (row[k - 1] + 1 < left)
				left = row[k - 1] + 1;
			row[k] = left;
			left = up;
		}
	}
	return row[b.len];
}

const char *
policy_nearest(struct slice word, const char *const *candidates, size_t n)
{
	const char *best = NULL;
	size_t i, d, least = 1 + word.len / 3;

	for (i = 0; i < n; i++) {
		d = candidates[i] == NULL ? 99 : distance(word, slice_str(candidates[i]));
		if (d <= least && d < strlen(candidates[i])) {
			least = d - (d > 0);
			best = candidates[i];
			if (d == 0)
				break;
		}
	}
	return best;
}

/* ---- head, lists ---- */

void
policy_on_head(struct policy_build *b, struct policy_pos pos, struct slice id, uint64_t version,
    struct slice owner)
{
	if (id.len == 0 || id.len > 64 || owner.len == 0 || version == 0)
		policy_error_at(b, pos,
		    "chính sách cần tên (tối đa 64 byte), phiên bản từ 1 và người chịu trách nhiệm",
		    "a policy needs a name (of 64 octets at most), a version from 1 on and an "
		    "owner");
	b->p->id = id;
	b->p->version = version;
	b->p->owner = owner;
}

struct policy_items
policy_item_one(
    struct policy_build *b, struct policy_pos pos, char kind, struct slice s, uint64_t number)
{
	struct policy_item *it = policy_count(b, pos) ? policy_alloc(b, sizeof *it) : NULL;

	if (it == NULL)
		return (struct policy_items){NULL, NULL, 0};
	it->s = s;
	it->kind = kind;
	it->number = number;
	it->pos = pos;
	return (struct policy_items){it, it, 1};
}

struct policy_items
policy_items_add(struct policy_items l, struct policy_items one)
{
	if (one.first == NULL)
		return l;
	if (l.first == NULL)
		return one;
	l.last->next = one.first;
	l.last = one.last;
	l.n += one.n;
	return l;
}

/* ---- statements ---- */

bool
policy_once(struct policy_build *b, struct policy_pos pos, bool is_there, struct slice what)
{
	if (is_there)
		policy_error_at(b, pos, "\"%.*s\" đã được khai ở trên",
		    "\"%.*s\" is stated above already", (int)(what.len < 80 ? what.len : 80),
		    (const char *)what.ptr);
	return !is_there && policy_count(b, pos);
}

static void
fill(struct policy_build *b, struct policy_list *out, const struct policy_items *l,
    struct slice (*normal)(struct policy_build *, struct policy_pos, struct slice))
{
	const struct policy_item *it;

	out->v = policy_alloc(b, (l->n + 1) * sizeof *out->v);
	for (it = l->first; it != NULL && out->v != NULL; it = it->next)
		out->v[out->n++] = normal(b, it->pos, it->s);
}

void
policy_on_organization(struct policy_build *b, const struct policy_items *l)
{
	struct policy_pos pos = l->first != NULL ? l->first->pos : b->from;

	if (policy_once(b, pos, b->p->organization.n > 0, slice_str("organization")))
		fill(b, &b->p->organization, l, policy_make_domain);
}

const struct policy_group *
policy_group_find(const struct policy *p, struct slice name)
{
	const struct policy_group *g;

	for (g = p->groups; g != NULL; g = g->next) {
		if (slice_eq(g->name, name))
			return g;
	}
	return NULL;
}

static struct policy_group *
new_group(struct policy_build *b, struct policy_pos pos, struct slice name)
{
	struct policy_group *g;

	if (!policy_once(b, pos, policy_group_find(b->p, name) != NULL, name) ||
	    b->p->n_groups == 1000)
		return NULL;
	g = policy_alloc(b, sizeof *g);
	if (g == NULL)
		return NULL;
	g->name = name;
	g->pos = pos;
	*b->groups_end = g;
	b->groups_end = &g->next;
	b->p->n_groups++;
	return g;
}

void
policy_on_group(
    struct policy_build *b, struct policy_pos pos, struct slice name, const struct policy_items *l)
{
	struct policy_group *g = new_group(b, pos, name);

	if (g != NULL)
		fill(b, &g->members, l, policy_make_address);
}

void
policy_on_directory_group(
    struct policy_build *b, struct policy_pos pos, struct slice name, struct slice address)
{
	const struct policy_group *other;
	struct policy_group *g = new_group(b, pos, name);
	size_t n = 0;

	if (g == NULL)
		return;
	g->directory = policy_make_address(b, pos, address);
	for (other = b->p->groups; other != NULL; other = other->next)
		n += other->directory.len > 0;
	/* each of them may be asked for every mail, of authors and of recipients */
	if (n > RULE_MEMBERS_MAX / 2)
		policy_error_at(b, pos, "quá %d nhóm của danh bạ",
		    "more than %d groups of the directory", RULE_MEMBERS_MAX / 2);
}

void
policy_on_scope(
    struct policy_build *b, struct policy_pos pos, enum policy_scope_kind kind, struct slice name)
{
	struct policy_scope *s = policy_count(b, pos) ? policy_alloc(b, sizeof *s) : NULL;

	b->scope = &b->p->global;
	if (s == NULL || kind == POLICY_GLOBAL)
		return;
	s->kind = kind;
	s->pos = pos;
	if (kind == POLICY_DOMAIN) {
		s->name = policy_make_domain(b, pos, name);
		if (slice_starts(s->name, "*.")) {
			s->kind = POLICY_WILD;
			s->name = slice_from(s->name, 2);
		}
	} else if (kind == POLICY_PERSON) {
		s->name = policy_make_address(b, pos, name);
	} else {
		s->name = name;
		policy_agency_ok(b, pos, name);
	}
	b->scope = s;
}

static const struct policy_rule *
own_rule(const struct policy *p, struct slice id)
{
	const struct policy_rule *r;

	for (r = p->rules; r != NULL; r = r->next) {
		if (slice_eq(r->id, id))
			return r;
	}
	return NULL;
}

struct policy_setting *
policy_setting_new(struct policy_build *b, struct policy_pos pos)
{
	struct policy_setting *s = policy_count(b, pos) ? policy_alloc(b, sizeof *s) : NULL;

	if (s == NULL)
		return NULL;
	s->scope = b->scope;
	s->pos = pos;
	s->reason = b->setting_reason;
	s->until = b->setting_until;
	if (s->until != INT64_MAX && s->reason.len == 0)
		policy_error_at(b, pos, "có until thì cần reason \"...\"",
		    "what has an until needs a reason \"...\"");
	*b->settings_end = s;
	b->settings_end = &s->next;
	b->p->n_settings++;
	return s;
}

void
policy_on_mode(struct policy_build *b, struct policy_pos pos, struct slice rule,
    struct policy_pos mode_pos, struct slice mode)
{
	static const enum rule_mode all[] = {MODE_OFF, MODE_LOG, MODE_WARN, MODE_ENFORCE};
	struct policy_setting *s = policy_setting_new(b, pos);
	size_t i;

	if (s == NULL)
		return;
	s->name = rule;
	s->builtin = slice_eq_str(rule, "P*") ? -1 : rule_index(rule);
	if (s->builtin < 0 && !slice_eq_str(rule, "P*")) {
		s->builtin = -2;
		s->own = own_rule(b->p, rule);
		if (s->own == NULL)
			policy_error_at(b, pos,
			    "không có quy tắc \"%.*s\" (quy tắc riêng phải đứng trước)",
			    "there is no rule \"%.*s\" (an own rule stands before its modes)",
			    (int)(rule.len < 80 ? rule.len : 80), (const char *)rule.ptr);
	}
	for (i = 0; i < 4 && !slice_eq_str(mode, rule_mode_name(all[i])); i++)
		;
	if (i == 4)
		policy_error_at(b, mode_pos, "chế độ là off, log, warn hoặc enforce",
		    "a mode is off, log, warn or enforce");
	else
		s->mode = all[i];
}

/* ---- rules ---- */

void
policy_on_rule_begin(struct policy_build *b, struct policy_pos pos, struct slice id)
{
	struct policy_rule *r;
	size_t i;
	bool ok = id.len > 0 && id.len <= 32;

	b->rule = NULL;
	for (i = 0; i < id.len; i++)
		ok = ok && id.ptr[i] > 0x20 && id.ptr[i] < 0x7f && id.ptr[i] != '*' &&
		     id.ptr[i] != ',';
	if (!ok)
		policy_error_at(b, pos, "mã quy tắc: tối đa 32 ký tự ASCII, không có * và dấu phẩy",
		    "a rule's id is 32 ASCII characters at most, without * and comma");
	if (rule_index(id) >= 0 || (id.len == 3 && id.ptr[0] == 'T' && id.ptr[1] == '0'))
		policy_error_at(b, pos, "\"%.*s\" là quy tắc có sẵn", "\"%.*s\" is a built-in rule",
		    (int)id.len, (const char *)id.ptr);
	if (!policy_once(b, pos, own_rule(b->p, id) != NULL, id))
		return;
	if (b->p->n_rules == POLICY_RULES_MAX) {
		policy_error_at(b, pos, "quá %d quy tắc", "more than %d rules", POLICY_RULES_MAX);
		return;
	}
	r = policy_alloc(b, sizeof *r);
	if (r == NULL)
		return;
	r->id = id;
	r->pos = pos;
	r->scope = b->scope;
	r->as_rule.mode = MODE_ENFORCE;
	b->excepts_end = &r->excepts;
	b->rule = r;
}

void
policy_on_except(struct policy_build *b, struct policy_pos pos, struct policy_expr *e,
    struct slice reason, int64_t until)
{
	struct policy_except *x =
	    b->rule != NULL && policy_count(b, pos) ? policy_alloc(b, sizeof *x) : NULL;

	if (reason.len == 0)
		policy_error_at(b, pos, "ngoại lệ cần lý do", "an exception needs a reason");
	if (x == NULL)
		return;
	x->when = e;
	x->reason = reason;
	x->until = until;
	x->pos = pos;
	*b->excepts_end = x;
	b->excepts_end = &x->next;
}

void
policy_on_rule_action(struct policy_build *b, struct policy_pos pos, enum policy_action a)
{
	static const enum rule_action as[] = {
	    RULE_REJECT, RULE_DEFER, RULE_HOLD, RULE_NOTE, RULE_NOTE};
	struct policy_texts *t = &b->texts;
	struct policy_rule *r = b->rule;
	char first = t->status.len > 0 ? (char)t->status.ptr[0] : 0;

	if (r == NULL)
		return;
	r->action = a;
	r->as_rule.action = as[a];
	if (a != POLICY_ACCEPT && (t->vi.len == 0 || t->en.len == 0))
		policy_error_at(b, pos, "cần lời giải thích: vi \"...\" en \"...\"",
		    "what the sender is told is missing: vi \"...\" en \"...\"");
	if (t->vi.len > TEXT_VI_MAX || t->en.len > TEXT_EN_MAX)
		policy_error_at(b, pos, "lời giải thích quá dài: vi %d, en %d byte",
		    "too long a text: vi has %d octets at most, en %d", TEXT_VI_MAX, TEXT_EN_MAX);
	if (first != 0 && first != (a == POLICY_REJECT ? '5' : a == POLICY_TEMPFAIL ? '4' : 0))
		policy_error_at(b, pos, "mã trạng thái không hợp: reject 5.x.x, tempfail 4.x.x",
		    "the status does not fit: reject has 5.x.x, tempfail 4.x.x");
	r->enhanced = t->status;
	r->vi = t->vi;
	r->en = t->en;
}

void
policy_on_rule_end(struct policy_build *b)
{
	struct policy_rule *r = b->rule;
	char *id, *vi, *en;

	b->rule = NULL;
	if (r == NULL)
		return;
	id = arena_slicedup(b->p->arena, r->id);
	vi = arena_slicedup(b->p->arena, r->vi);
	en = arena_slicedup(b->p->arena, r->en);
	if (id == NULL || vi == NULL || en == NULL || r->when == NULL) {
		b->nomem = b->nomem || b->errors->n == 0;
		return;
	}
	r->as_rule.id = id;
	r->as_rule.vi = vi;
	r->as_rule.en = en;
	*b->rules_end = r;
	b->rules_end = &r->next;
	b->p->n_rules++;
}

/* ---- tests ---- */

void
policy_on_test_to(struct policy_build *b, const struct policy_items *l)
{
	b->test.to.n = 0;
	fill(b, &b->test.to, l, policy_make_address);
}

void
policy_on_test(struct policy_build *b, struct policy_pos pos, struct slice file,
    enum policy_action expect, struct slice rule)
{
	struct policy_test *t = policy_count(b, pos) ? policy_alloc(b, sizeof *t) : NULL;

	if (rule.len > 0 && rule_index(rule) < 0 && own_rule(b->p, rule) == NULL)
		policy_error_at(b, pos, "test: không có quy tắc \"%.*s\"",
		    "test: there is no rule \"%.*s\"", (int)(rule.len < 80 ? rule.len : 80),
		    (const char *)rule.ptr);
	if (file.len == 0)
		policy_error_at(b, pos, "test cần tên tệp", "a test needs a file");
	if (t == NULL)
		return;
	*t = b->test;
	t->file = file;
	t->expect = expect;
	t->expect_rule = rule;
	t->pos = pos;
	if (t->as.len > 0)
		t->as = policy_make_address(b, pos, t->as);
	if (t->agency.len > 0)
		policy_agency_ok(b, pos, t->agency);
	memset(&b->test, 0, sizeof b->test);
	*b->tests_end = t;
	b->tests_end = &t->next;
	b->p->n_tests++;
}

int64_t
policy_day(struct policy_build *b, struct policy_pos pos, struct slice text)
{
	static const unsigned before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334},
			      in_month[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	uint64_t y, m, d;
	int64_t leaps, day;
	bool leap;

	if (slice_to_u64(slice_sub(text, 0, 4), 9999, &y) != 0 ||
	    slice_to_u64(slice_sub(text, 5, 2), 12, &m) != 0 ||
	    slice_to_u64(slice_sub(text, 8, 2), 31, &d) != 0 || y < 1970 || m == 0 || d == 0)
		goto bad;
	leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	if (d > in_month[m - 1] + (m == 2 && leap))
		goto bad;
	y--;
	leaps = (int64_t)(y / 4 - y / 100 + y / 400) - 477; /* up to 1969 */
	day = ((int64_t)y - 1969) * 365 + leaps + before[m - 1] + (m > 2 && leap) + (int64_t)d - 1;
	return day;
bad:
	policy_error_at(b, pos, "không có ngày này", "there is no such day");
	return 0;
}

/* ---- the whole ---- */

/* Bytes that are not UTF-8 would be shown to officers as something else. */
static bool
text_ok(struct policy_build *b, struct slice text)
{
	struct policy_pos start = {1, 1};
	size_t i, line_at = 0;

	if (text.len > POLICY_FILE_MAX) {
		policy_error_at(b, start, "tệp lớn hơn %u byte", "the file has more than %u octets",
		    POLICY_FILE_MAX);
		return false;
	}
	if (uni_valid(text) && memchr(text.len > 0 ? text.ptr : (const unsigned char *)"x", 0,
				   text.len > 0 ? text.len : 1) == NULL)
		return true;
	for (i = 0; i < text.len; i++) {
		struct slice line = slice_sub(text, line_at, i - line_at);

		if (text.ptr[i] != '\n' && i + 1 < text.len)
			continue;
		if (!uni_valid(line) || memchr(text.ptr + line_at, 0, i - line_at + 1) != NULL)
			break;
		line_at = i + 1;
		start.line++;
	}
	policy_error_at(b, start, "không phải UTF-8, hoặc có ký tự NUL", "not UTF-8, or a NUL");
	return false;
}

int
policy_compile(
    struct slice text, const char *file, struct policy **out, struct policy_errors *errors)
{
	struct policy_build b = {.at = {1, 1}, .errors = errors};
	struct arena *a = arena_new(ARENA_CAP);
	struct policy *p = a != NULL ? arena_alloc(a, sizeof *p) : NULL;
	unsigned char digest[32];
	int err = ERR_SYNTAX;

	errors->n = 0;
	if (p == NULL) {
		arena_free(a);
		return ERR_NOMEM;
	}
	p->arena = a;
	p->file = arena_slice(a, slice_str(file));
	p->global.kind = POLICY_GLOBAL;
	b.p = p;
	b.scope = &p->global;
	b.rules_end = &p->rules;
	b.settings_end = &p->settings;
	b.groups_end = &p->groups;
	b.trusts_end = &p->trusts;
	b.tests_end = &p->tests;
	if (text_ok(&b, text)) {
		err = policy_read(&b, text) == 0 && errors->n == 0 ? 0 : ERR_SYNTAX;
		if (err != 0 && errors->n == 0)
			b.nomem = true;
	}
	if (b.nomem || err != 0) {
		arena_free(a);
		return b.nomem ? ERR_NOMEM : err;
	}
	sha256_of(text, digest);
	hex_encode(digest, sizeof digest, p->sha256);
	*out = p;
	return 0;
}

void
policy_free(struct policy *p)
{
	if (p != NULL)
		arena_free(p->arena);
}
