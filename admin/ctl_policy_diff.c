/* ctl_policy_diff.c: `congvu policy diff OLD NEW` and `congvu policy explain ADDRESS`: what a change means, not how its lines differ; and what holds
 * for one author, each value with the line it comes from. Exit 0: no difference, 1: there are some (as diff). Reads files alone. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/ctl_policy.h"
#include "admin/ctl_table.h"
#include "lib/addr.h"
#include "lib/log.h"

enum { TEXT_MAX = 1 << 20 };

struct diff {
	struct ctl *c;
	struct json *list;
	size_t n;
};

/* kind: "+", "-", "~". */
static void
tell(struct diff *d, const char *kind, const char *what, struct slice scope, struct slice before,
    struct slice after)
{
	struct json *o = json_obj_new();

	d->n++;
	json_set_str(o, "change",
	    kind[0] == '+'   ? "added"
	    : kind[0] == '-' ? "removed"
			     : "changed");
	json_set_str(o, "what", what);
	json_set_slice(o, "scope", scope);
	json_set_slice(o, "old", before);
	json_set_slice(o, "new", after);
	json_push_take(d->list, o);
	if (d->c->json)
		return;
	printf("%s ", kind);
	policy_print_clean(scope);
	printf("%s%s", scope.len > 0 ? ": " : "", what);
	if (before.len > 0) {
		printf("\n    - ");
		policy_print_clean(before);
	}
	if (after.len > 0) {
		printf("\n    + ");
		policy_print_clean(after);
	}
	putchar('\n');
}

static void
compare(struct diff *d, const char *what, struct slice scope, const struct buf *before,
    const struct buf *after)
{
	struct slice none = slice_str("");

	if (before == NULL)
		tell(d, "+", what, scope, none, buf_slice(after));
	else if (after == NULL)
		tell(d, "-", what, scope, buf_slice(before), none);
	else if (!slice_eq(buf_slice(before), buf_slice(after)))
		tell(d, "~", what, scope, buf_slice(before), buf_slice(after));
}

/* ---- rules ---- */

static const struct policy_rule *
rule_find(const struct policy *p, struct slice id)
{
	const struct policy_rule *r;

	for (r = p->rules; r != NULL && !slice_eq(r->id, id); r = r->next)
		;
	return r;
}

/* In its scope, so that a move to another scope shows. */
static void
rule_text(const struct policy *p, const struct policy_rule *r, struct buf *out)
{
	buf_init(out, TEXT_MAX);
	policy_print_scope(r->scope, out);
	buf_append_str(out, " { ");
	policy_print_rule(p, r, out);
	buf_append_str(out, " }");
}

static void
diff_rules(struct diff *d, const struct policy *old, const struct policy *new)
{
	const struct policy_rule *r, *other;
	struct buf a, b;
	char what[80];

	for (r = old->rules; r != NULL; r = r->next) {
		other = rule_find(new, r->id);
		snprintf(what, sizeof what, "rule %s", r->as_rule.id);
		rule_text(old, r, &a);
		if (other != NULL)
			rule_text(new, other, &b);
		compare(d, what, slice_str(""), &a, other != NULL ? &b : NULL);
		buf_done(&a);
		if (other != NULL)
			buf_done(&b);
	}
	for (r = new->rules; r != NULL; r = r->next) {
		if (rule_find(old, r->id) != NULL)
			continue;
		snprintf(what, sizeof what, "rule %s", r->as_rule.id);
		rule_text(new, r, &b);
		compare(d, what, slice_str(""), NULL, &b);
		buf_done(&b);
	}
	/* the first decision wins: the order of those that are in both means something */
	other = new->rules;
	for (r = old->rules; r != NULL; r = r->next) {
		if (rule_find(new, r->id) == NULL)
			continue;
		while (other != NULL && rule_find(old, other->id) == NULL)
			other = other->next;
		if (other == NULL || !slice_eq(r->id, other->id)) {
			tell(d, "~", _("the order of the rules (the first decision wins)"),
			    slice_str(""), r->id, other != NULL ? other->id : slice_str(""));
			break;
		}
		other = other->next;
	}
}

/* ---- settings: the last of one scope and name is the one that holds ---- */

static const struct policy_setting *
setting_find(const struct policy *p, const struct policy_setting *like)
{
	const struct policy_setting *s, *found = NULL;

	for (s = p->settings; s != NULL; s = s->next)
		if (s->scope->kind == like->scope->kind &&
		    slice_caseeq(s->scope->name, like->scope->name) && s->what == like->what &&
		    (s->what == POLICY_TRUST || slice_eq(s->name, like->name)))
			found = s;
	return found;
}

static void
setting_text(const struct policy_setting *s, struct buf *scope, struct buf *text)
{
	buf_reset(scope);
	buf_reset(text);
	policy_print_scope(s->scope, scope);
	policy_print_setting(s, text);
}

static void
setting_name(const struct policy_setting *s, char *out, size_t n)
{
	if (s->what == POLICY_TRUST)
		snprintf(out, n, "trust");
	else
		snprintf(out, n, "%s %.*s", s->what == POLICY_MODE ? "mode" : "limit",
		    (int)(s->name.len < 40 ? s->name.len : 40), (const char *)s->name.ptr);
}

/* What a trust asks for. */
static void
diff_trusts(struct diff *d, const struct policy *old, const struct policy *new)
{
	const struct policy_trust *t, *other;
	struct buf a, b;
	char what[100];

	buf_init(&a, 4096);
	buf_init(&b, 4096);
	for (t = old->trusts; t != NULL; t = t->next) {
		other = policy_trust_find(new, t->name);
		buf_reset(&a);
		buf_reset(&b);
		policy_print_trust(t, &a);
		if (other != NULL)
			policy_print_trust(other, &b);
		snprintf(
		    what, sizeof what, "trust %.*s", (int)t->name.len, (const char *)t->name.ptr);
		compare(d, what, slice_str(""), &a, other != NULL ? &b : NULL);
	}
	for (t = new->trusts; t != NULL; t = t->next) {
		if (policy_trust_find(old, t->name) != NULL)
			continue;
		buf_reset(&b);
		policy_print_trust(t, &b);
		snprintf(
		    what, sizeof what, "trust %.*s", (int)t->name.len, (const char *)t->name.ptr);
		compare(d, what, slice_str(""), NULL, &b);
	}
	buf_done(&a);
	buf_done(&b);
}

static void
diff_settings(struct diff *d, const struct policy *old, const struct policy *new)
{
	const struct policy_setting *s, *other;
	struct buf scope, a, b;
	char what[80];

	buf_init(&scope, 1024);
	buf_init(&a, 4096);
	buf_init(&b, 4096);
	for (s = old->settings; s != NULL; s = s->next) {
		if (setting_find(old, s) != s)
			continue;
		other = setting_find(new, s);
		if (other != NULL)
			setting_text(other, &scope, &b);
		setting_text(s, &scope, &a);
		setting_name(s, what, sizeof what);
		compare(d, what, buf_slice(&scope), &a, other != NULL ? &b : NULL);
	}
	for (s = new->settings; s != NULL; s = s->next) {
		if (setting_find(new, s) != s || setting_find(old, s) != NULL)
			continue;
		setting_text(s, &scope, &b);
		setting_name(s, what, sizeof what);
		compare(d, what, buf_slice(&scope), NULL, &b);
	}
	buf_done(&scope);
	buf_done(&a);
	buf_done(&b);
}

/* ---- groups, organization, head ---- */

static bool
in_list(const struct policy_list *l, struct slice s)
{
	for (size_t i = 0; i < l->n; i++)
		if (slice_caseeq(l->v[i], s))
			return true;
	return false;
}

static void
diff_list(
    struct diff *d, const char *what, const struct policy_list *old, const struct policy_list *new)
{
	struct slice none = slice_str("");

	for (size_t i = 0; i < old->n; i++)
		if (!in_list(new, old->v[i]))
			tell(d, "-", what, none, old->v[i], none);
	for (size_t i = 0; i < new->n; i++)
		if (!in_list(old, new->v[i]))
			tell(d, "+", what, none, none, new->v[i]);
}

/* A group of the directory is as if it had one member: that group. */
static struct policy_list
list_of(struct policy_group *g)
{
	return g->directory.len > 0 ? (struct policy_list){&g->directory, 1} : g->members;
}

static void
diff_groups(struct diff *d, const struct policy *old, const struct policy *new)
{
	static const struct policy_list none;
	struct policy_list was, is;
	struct policy_group *g, *other;
	char what[POLICY_STRING_MAX + 16];

	for (g = old->groups; g != NULL; g = g->next) {
		for (other = new->groups; other != NULL && !slice_eq(other->name, g->name);)
			other = other->next;
		was = list_of(g);
		is = other != NULL ? list_of(other) : none;
		snprintf(what, sizeof what, "group \"%.*s\"", (int)g->name.len,
		    (const char *)g->name.ptr);
		diff_list(d, what, &was, &is);
	}
	for (g = new->groups; g != NULL; g = g->next) {
		snprintf(what, sizeof what, "group \"%.*s\"", (int)g->name.len,
		    (const char *)g->name.ptr);
		is = list_of(g);
		if (policy_group_find(old, g->name) == NULL)
			diff_list(d, what, &none, &is);
	}
}

int
policy_diff(struct ctl *c, int argc, char **argv)
{
	int code = EX_DATAERR, ignored;
	struct diff d = {c, NULL, 0};
	struct policy *old, *new;
	char a[32], b[32];

	if (argc != 3)
		return ctl_usage(c, "%s", _("OLD and NEW are needed"));
	old = policy_open(c, argv[1], &code);
	new = policy_open(c, argv[2], old == NULL ? &ignored : &code);
	if (old == NULL || new == NULL) {
		policy_free(old);
		policy_free(new);
		return code;
	}
	d.list = json_arr_new();
	snprintf(a, sizeof a, "%llu", (unsigned long long)old->version);
	snprintf(b, sizeof b, "%llu", (unsigned long long)new->version);
	if (!slice_eq(old->id, new->id))
		tell(&d, "~", "policy", slice_str(""), old->id, new->id);
	if (!slice_eq(old->owner, new->owner))
		tell(&d, "~", "owner", slice_str(""), old->owner, new->owner);
	diff_list(&d, "organization", &old->organization, &new->organization);
	diff_groups(&d, old, new);
	diff_trusts(&d, old, new);
	diff_settings(&d, old, new);
	diff_rules(&d, old, new);
	if (old->version != new->version)
		tell(&d, "~", "version", slice_str(""), slice_str(a), slice_str(b));
	else if (d.n > 0 && !c->json)
		printf("%s\n", _("! the version is the same: give the new one a higher number"));
	policy_free(old);
	policy_free(new);
	if (c->json)
		return ctl_json_take(d.list, d.n > 0 ? 1 : EX_OK);
	json_free(d.list);
	if (d.n == 0)
		printf("%s\n", _("no difference in what they say"));
	return d.n > 0 ? 1 : EX_OK;
}

/* ---- explain ADDRESS ---- */

struct explain {
	struct ctl *c;
	const struct policy *p;
	struct json *list;
	struct ctl_table *t;
};

/* unit: "octets", ...; "" for what is no number. */
static void
tell_number(struct explain *e, const char *name, const char *value, const char *unit,
    const struct policy_setting *from, struct policy_pos pos)
{
	struct json *o = json_obj_new();
	char where[400] = "";
	struct buf scope, cell;

	buf_init(&scope, 1024);
	if (from != NULL) {
		policy_print_scope(from->scope, &scope);
		pos = from->pos;
	}
	if (pos.line > 0)
		snprintf(where, sizeof where, "%.*s:%u",
		    (int)(e->p->file.len < 380 ? e->p->file.len : 380),
		    (const char *)e->p->file.ptr, pos.line);
	json_set_str(o, "name", name);
	json_set_str(o, "value", value);
	json_set_str(o, "unit", *unit != '\0' ? unit : NULL);
	json_set_str(o, "scope", from != NULL ? buf_cstr(&scope) : NULL);
	json_set_str(o, "source", where[0] != '\0' ? where : NULL);
	json_set_slice(o, "reason", from != NULL ? from->reason : slice_str(""));
	json_push_take(e->list, o);
	buf_init(&cell, 8192);
	ctl_table_cell(e->t, name);
	buf_appendf(&cell, "%s%s%s", value, *unit != '\0' ? " " : "", *unit != '\0' ? _(unit) : "");
	ctl_table_cell(e->t, buf_cstr(&cell));
	buf_reset(&cell);
	buf_append_str(&cell, where[0] != '\0' ? where : _("built in"));
	if (from != NULL)
		buf_appendf(&cell, "  (%s%s%.*s)", buf_cstr(&scope),
		    from->reason.len > 0 ? ": " : "", (int)from->reason.len,
		    from->reason.len > 0 ? (const char *)from->reason.ptr : "");
	ctl_table_cell(e->t, buf_cstr(&cell));
	buf_done(&cell);
	buf_done(&scope);
}

static void
tell_value(struct explain *e, const char *name, const char *value,
    const struct policy_setting *from, struct policy_pos pos)
{
	tell_number(e, name, value, "", from, pos);
}

/* The store, and each floor: where it comes from the nearest trust says; stricter ones of wider scopes hold as well. */
static void
explain_trust(struct explain *e, const struct policy_who *who, int64_t now)
{
	static const char *const names[] = {"digest", "rsa", "ec", "revocation-hours"},
				 *const units[] = {N_("bits"), N_("bits"), N_("bits"), N_("hours")};
	const struct policy_setting *from;
	struct policy_pos none = {0, 0};
	struct rule_trust t;
	char text[80];
	bool any = policy_trust_of(e->p, who, now, &t, &from);
	long long n[4];

	snprintf(text, sizeof text, "%.*s", (int)t.store.len, any ? (const char *)t.store.ptr : "");
	tell_value(e, "trust", any ? text : _("of the domain"), from, none);
	if (any && t.prefer != PREFER_NONE)
		tell_value(e, "prefer", t.prefer == PREFER_OCSP ? "ocsp" : "crl", from, none);
	n[0] = t.digest;
	n[1] = t.rsa;
	n[2] = t.ec;
	n[3] = t.rev_age_s / 3600;
	for (size_t i = 0; i < 4 && any; i++) {
		snprintf(text, sizeof text, "%lld", n[i]);
		if (n[i] != 0)
			tell_number(e, names[i], text, units[i],
			    policy_trust_floor_from(e->p, who, now, (unsigned)i), none);
	}
}

static const char *
unit_of(enum policy_what w)
{
	return w == POLICY_LIMIT_ATTACHMENTS || w == POLICY_LIMIT_MESSAGE || w == POLICY_SCAN_BYTES
		   ? N_("octets")
	       : w == POLICY_SCAN_TIME ? N_("seconds")
				       : "";
}

static void
explain_all(struct explain *e, const struct policy_who *who)
{
	const struct policy_setting *from[64], *f;
	int64_t now = (int64_t)time(NULL);
	struct policy_pos none = {0, 0};
	const struct policy_rule *r;
	unsigned char modes[64];
	uint64_t limit;
	char text[32];

	policy_modes_of(e->p, who, now, modes, from);
	for (size_t i = 0; i < rule_table_len; i++)
		tell_value(
		    e, rule_table[i].id, rule_mode_name((enum rule_mode)modes[i]), from[i], none);
	for (enum policy_what w = POLICY_LIMIT_ATTACHMENTS; w <= POLICY_SCAN_TIME; w++) {
		limit = policy_limit_of(e->p, w, who, now, 0, &f);
		snprintf(text, sizeof text, "%llu", (unsigned long long)limit);
		tell_number(e, policy_limit_name(w),
		    f != NULL ? text
		    : w == POLICY_LIMIT_ATTACHMENTS || w == POLICY_LIMIT_RECIPIENTS
			? _("congvu.conf")
		    : policy_limit_is_scan(w) ? _("built in")
					      : _("no limit"),
		    f != NULL ? unit_of(w) : "", f, none);
	}
	explain_trust(e, who, now);
	for (r = e->p->rules; r != NULL; r = r->next) {
		enum rule_mode m = policy_own_mode(e->p, r, who, now, &f);
		const char *value = !policy_scope_holds(r->scope, who) ? _("not for them")
				    : r->expires < now / 86400         ? _("expired")
								       : rule_mode_name(m);

		tell_value(e, r->as_rule.id, value, f, r->pos);
	}
}

int
policy_explain(struct ctl *c, int argc, char **argv)
{
	const char *agency = "", *file = NULL;
	const struct ctl_option options[] = {
	    {"agency", &agency, NULL}, {"policy", &file, NULL}, {NULL, NULL, NULL}};
	struct explain e = {c, NULL, NULL, NULL};
	int code = EX_DATAERR;
	struct policy_who who;
	struct policy *p;
	struct buf address;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2)
		return ctl_usage(c, "%s", _("an ADDRESS is needed"));
	buf_init(&address, 1024);
	if (strchr(argv[1], '@') == NULL || addr_normalize(slice_str(argv[1]), &address) != 0) {
		buf_done(&address);
		return ctl_usage(c, _("%s is no address"), argv[1]);
	}
	p = policy_open_or_current(c, file, &code);
	if (p == NULL) {
		buf_done(&address);
		return code;
	}
	e.p = p;
	e.list = json_arr_new();
	who.address = buf_slice(&address);
	who.domain = rule_domain_of(who.address);
	who.agency = slice_str(agency);
	e.t = ctl_table_new(3);
	explain_all(&e, &who);
	if (c->json)
		ctl_table_free(e.t);
	else
		ctl_table_print_take(e.t);
	if (agency[0] == '\0' && !c->json)
		printf("%s\n", _("without --agency CODE: settings by agency are not in this list"));
	policy_free(p);
	buf_done(&address);
	if (c->json)
		return ctl_json_take(e.list, EX_OK);
	json_free(e.list);
	return EX_OK;
}
