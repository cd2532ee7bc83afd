/* dir_admin_group.c: mail groups: members by name (people, posts, mailboxes, groups) and by rule (agency, title, kind of agency, role). Runs in congvu.
 * groupOfNames needs a member: a group without one has "cn=nobody", which is nobody. A deleted group stays closed in the directory, so that
 * its address is not given to others. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/escape.h"
#include "lib/addr.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/utf7.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NOBODY "cn=nobody"

enum { MEMBERS_MAX = 10000, LEVELS_MAX = 8, LIST_MAX = 64 };

static const char *const group_attrs[] = {"cn", "displayName", "mail", "vnMailAlias", "vnAgencyRef",
    "vnStatus", "vnMaySend", "vnMemberAgency", "vnMemberTitle", "vnMemberKind", "vnMemberRole",
    "vnDecisionRef", "member", NULL};

static int
group_find(struct dir_admin *a, const char *id, struct dir_result **out, char **why_out)
{
	return admin_find(
	    a, "(&(objectClass=vnMailGroup)(cn=%s))", id, group_attrs, 2, out, why_out);
}

/* The lists of a group: who may send, and its rules. */
enum { N_LISTS = 5 };
static const struct {
	const char *attr, *what;
} lists[N_LISTS] = {{"vnMaySend", "who may send"}, {"vnMemberAgency", "the agency"},
    {"vnMemberTitle", "the title"}, {"vnMemberKind", "the kind"}, {"vnMemberRole", "the role"}};

static const struct str_list *
list_of(const struct group_create *p, size_t i)
{
	const struct str_list *const all[N_LISTS] = {
	    &p->may_send, &p->agencies, &p->titles, &p->kinds, &p->roles};

	return all[i];
}

static int
lists_put(struct mods *m, const struct group_create *p, char **why_out)
{
	int err = 0;

	for (size_t i = 0; i < N_LISTS; i++) {
		const struct str_list *l = list_of(p, i);

		for (size_t k = 0; err == 0 && k < l->n; k++) {
			err = admin_check_text(lists[i].what, l->v[k], 200, why_out);
			mods_str(m, lists[i].attr, l->v[k]);
		}
	}
	return err;
}

static bool
is_one_of(const char *word, const char *const *words)
{
	while (*words != NULL && strcasecmp(word, *words) != 0)
		words++;
	return *words != NULL;
}

/* What no rule would ever find, and who never sends: most likely mistyped. */
static int
lists_check(struct dir_admin *a, const struct group_create *p, char **why_out)
{
	static const char *const kinds[] = {"office", "dept", "board", "sector", "commune", NULL},
				 *const roles[] = {"clerk", "staff", "head", "security", NULL},
				 *const senders[] = {"anyone", "inside", "members", NULL};
	const struct agency_cache *g;
	int err = 0;

	for (size_t i = 0; err == 0 && i < p->agencies.n; i++)
		err = admin_agency_open(a, p->agencies.v[i], &g, why_out);
	for (size_t i = 0; err == 0 && i < p->kinds.n; i++)
		if (!is_one_of(p->kinds.v[i], kinds))
			err = admin_fail(why_out, ERR_SYNTAX,
			    "the kind must be office, dept, board, sector or commune");
	for (size_t i = 0; err == 0 && i < p->roles.n; i++)
		if (!is_one_of(p->roles.v[i], roles))
			err = admin_fail(
			    why_out, ERR_SYNTAX, "the role must be clerk, staff, head or security");
	for (size_t i = 0; err == 0 && i < p->may_send.n; i++) {
		struct buf mail;

		buf_init(&mail, 512);
		if (!is_one_of(p->may_send.v[i], senders) &&
		    addr_normalize(slice_str(p->may_send.v[i]), &mail) != 0)
			err = admin_fail(why_out, ERR_SYNTAX,
			    "who may send is anyone, inside, members or addresses, and %s is "
			    "none of these",
			    p->may_send.v[i]);
		buf_done(&mail);
	}
	return err;
}

static int
group_add(struct dir_admin *a, const struct group_create *p, const char *mail,
    const struct agency_cache *g, char **why_out)
{
	struct mods m;
	struct buf dn;
	int err;

	buf_init(&dn, 4096);
	mods_init(&m);
	buf_append_str(&dn, "cn=");
	escape_rdn(slice_str(p->id), &dn);
	buf_appendf(&dn, ",ou=groups,%s", dir_base(a->d));
	mods_str(&m, "objectClass", "groupOfNames");
	mods_str(&m, "objectClass", "vnMailGroup");
	mods_str(&m, "cn", p->id);
	mods_text(&m, "displayName", p->name);
	mods_str(&m, "mail", mail);
	mods_str(&m, "vnAgencyRef", g == NULL ? NULL : g->code);
	mods_str(&m, "vnStatus", "active");
	mods_now(&m, "vnValidFrom");
	mods_str(&m, "vnDecisionRef", a->decision);
	mods_str(&m, "member", NOBODY);
	err = lists_put(&m, p, why_out);
	if (err == 0)
		err = dn.err != 0 ? dn.err : admin_add(a, buf_cstr(&dn), &m, why_out);
	mods_done(&m);
	buf_done(&dn);
	return err;
}

/* Whether a list is there with these values and no others. */
static bool
list_same(const struct dir_entry *e, const char *attr, const struct str_list *l)
{
	const struct dir_attr *have = dir_entry_attr(e, attr);
	struct buf nfc;
	size_t found = 0, n = have == NULL ? 0 : have->n_values;

	buf_init(&nfc, 1024);
	for (size_t i = 0; i < n; i++) {
		bool is = false;

		for (size_t k = 0; k < l->n && !is; k++) {
			buf_truncate(&nfc, 0);
			is = utf8_nfc(slice_str(l->v[k]), &nfc) == 0 &&
			     (slice_caseeq(have->values[i], buf_slice(&nfc)) ||
				 slice_caseeq_str(have->values[i], l->v[k]));
		}
		found += is;
	}
	for (size_t k = 0; k < l->n; k++) /* each is there */
		if (!dir_entry_has_value(e, attr, slice_str(l->v[k])))
			found = n + 1;
	buf_done(&nfc);
	return found == n;
}

static int
group_same(const struct group_create *p, const char *mail, const struct agency_cache *g,
    const struct dir_entry *e, char **why_out)
{
	int err = admin_same(e, "mail", mail, p->id, why_out);

	if (err == 0)
		err = admin_same(e, "displayName", p->name, p->id, why_out);
	if (err == 0 && strcasecmp(admin_value(e, "vnAgencyRef"), g == NULL ? "" : g->code) != 0)
		err = admin_fail(why_out, ERR_EXISTS,
		    "%s is there already, and the agency is another one", p->id);
	for (size_t i = 0; err == 0 && i < N_LISTS; i++)
		if (!list_same(e, lists[i].attr, list_of(p, i)))
			err = admin_fail(why_out, ERR_EXISTS,
			    "%s is there already with other rules, or others who may send "
			    "(congvu group show): delete it first",
			    p->id);
	return err;
}

/* A deleted one is opened again with these data, and none of the old ones. */
static int
group_reopen(struct dir_admin *a, const struct group_create *p, const char *mail,
    const struct agency_cache *g, const struct dir_entry *e, char **why_out)
{
	const char *was = admin_value(e, "mail");
	struct mods m;
	char now[20];
	int err = 0;

	admin_now(now);
	mods_init(&m);
	mods_replace_text(&m, "displayName", p->name);
	if (strcasecmp(was, mail) != 0) {
		mods_replace(&m, "mail", mail);
		admin_history(&m, was, admin_value(e, "vnValidFrom"));
	}
	mods_replace(&m, "vnAgencyRef", g == NULL ? NULL : g->code);
	mods_replace(&m, "vnStatus", "active");
	mods_replace(&m, "vnValidFrom", now);
	mods_replace(&m, "vnValidTo", NULL);
	for (size_t i = 0; err == 0 && i < N_LISTS; i++) {
		const struct str_list *l = list_of(p, i);

		mods_replace(&m, lists[i].attr, NULL);
		for (size_t k = 0; err == 0 && k < l->n; k++) {
			err = admin_check_text(lists[i].what, l->v[k], 200, why_out);
			mods_replace(&m, lists[i].attr, l->v[k]);
		}
	}
	if (err == 0)
		err = admin_modify(a, e->dn, &m, why_out);
	mods_done(&m);
	return err;
}

static int
create_check(const struct group_create *p, char **why_out)
{
	int err = admin_check_id("the id of a group", p->id, 60, why_out);

	if (err == 0)
		err = admin_check_text("the name", p->name, 400, why_out);
	return err;
}

int
dir_admin_group_create(
    struct dir_admin *a, const struct group_create *p, enum change *change_out, char **why_out)
{
	const struct agency_cache *g = NULL;
	struct dir_result *r = NULL;
	char *made = NULL, *mail = NULL;
	const char *own = NULL;
	bool created = false;
	int err = create_check(p, why_out);

	if (err == 0)
		err = admin_begin(a, "group create", p->id, p->decision, why_out);
	if (err != 0)
		return err;
	if (p->mail == NULL && asprintf(&made, "%s@%s", p->id, a->domain) < 0)
		fatal("out of memory");
	if (p->agency != NULL)
		err = admin_agency_open(a, p->agency, &g, why_out);
	if (err == 0)
		err = lists_check(a, p, why_out);
	if (err == 0)
		err = group_find(a, p->id, &r, why_out);
	if (err == 0 && r->n_entries > 0)
		own = r->entries[0].dn;
	if (err == 0)
		err = admin_address_free(a, p->mail == NULL ? made : p->mail, own, &mail, why_out);
	if (err == 0 && own != NULL) {
		err = admin_is_over(&r->entries[0])
			  ? group_reopen(a, p, mail, g, &r->entries[0], why_out)
			  : group_same(p, mail, g, &r->entries[0], why_out);
	} else if (err == 0) {
		err = group_add(a, p, mail, g, why_out);
		created = err == 0;
	}
	free(made);
	free(mail);
	dir_result_free(r);
	return admin_end(a, err, created, change_out, why_out);
}

/* Begins a change of an open group. */
static int
group_begin(struct dir_admin *a, const char *op, const char *id, const char *decision,
    bool closed_too, struct subject *s, char **why_out)
{
	int err = admin_begin(a, op, id, decision == NULL ? "" : decision, why_out);

	if (err != 0)
		return err;
	memset(s, 0, sizeof(*s));
	err = admin_subject(a, id, SUBJECT_GROUP, s, why_out);
	if (err == 0 && !closed_too && admin_is_over(s->e))
		err = admin_fail(why_out, ERR_GONE, "the group %s was deleted", id);
	if (err != 0) {
		subject_done(s);
		admin_end(a, err, false, NULL, why_out);
	}
	return err;
}

int
dir_admin_group_delete(struct dir_admin *a, const char *id, const char *decision,
    enum change *change_out, char **why_out)
{
	const struct dir_attr *aliases;
	struct subject s;
	struct mods m;
	char now[20];
	int err = group_begin(a, "group delete", id, decision, true, &s, why_out);

	if (err != 0)
		return err;
	if (!admin_is_over(s.e)) {
		mods_init(&m);
		admin_now(now);
		mods_replace(&m, "vnStatus", "closed");
		mods_replace(&m, "vnValidTo", now);
		mods_replace(&m, "member", NOBODY);
		aliases = dir_entry_attr(s.e, "vnMailAlias");
		for (size_t i = 0; aliases != NULL && i < aliases->n_values; i++)
			admin_history(&m, (const char *)aliases->values[i].ptr, "");
		mods_replace(&m, "vnMailAlias", NULL);
		err = admin_modify(a, s.e->dn, &m, why_out);
		mods_done(&m);
	}
	if (err == 0)
		err = admin_rights_end(a, s.e->dn, RIGHTS_ALL, NULL, NULL, why_out);
	subject_done(&s);
	return admin_end(a, err, false, change_out, why_out);
}

/* ---- members ---- */

static bool
is_dn(const char *dn, const char *norm)
{
	char *mine = dir_dn_norm(dn);
	bool is = mine != NULL && strcmp(mine, norm) == 0;

	free(mine);
	return is;
}

/* Whether the group inner is outer, or outer is a member of it, some levels up or down: then outer cannot take it. */
static int
cycle_check(struct dir_admin *a, const struct dir_entry *outer, const struct dir_entry *inner,
    char **why_out)
{
	static const char *const none[] = {"cn", NULL};
	const char *level[LIST_MAX] = {outer->dn};
	struct dir_result *held[LIST_MAX] = {NULL};
	size_t n = 1, n_held = 0, from = 0;
	int err = 0;

	for (int depth = 0; err == 0 && from < n && depth <= LEVELS_MAX; depth++) {
		size_t to = n;

		for (; err == 0 && from < to; from++) {
			if (is_dn(level[from], inner->dn_norm)) {
				err = admin_fail(why_out, ERR_CONFLICT,
				    "%s would be a member of itself", admin_value(inner, "cn"));
				break;
			}
			err = admin_find(a, "(&(objectClass=vnMailGroup)(member=%d))", level[from],
			    none, LIST_MAX, &held[n_held], why_out);
			for (size_t i = 0; err == 0 && i < held[n_held]->n_entries && n < LIST_MAX;
			     i++)
				level[n++] = held[n_held]->entries[i].dn;
			n_held += err == 0;
		}
	}
	if (err == 0 && (n == LIST_MAX || from < n))
		err = admin_fail(why_out, ERR_LIMIT, "the groups are nested too deep");
	for (size_t i = 0; i < n_held; i++)
		dir_result_free(held[i]);
	return err;
}

static int
member_resolve(struct dir_admin *a, const struct dir_entry *group, const char *who, bool add,
    struct mods *m, char **why_out)
{
	struct subject s = {0};
	int err = admin_subject(a, who, SUBJECT_ANY, &s, why_out);

	if (err == 0 && add && admin_is_over(s.e))
		err = admin_fail(why_out, ERR_GONE, "%s is at its end, or has left", who);
	if (err == 0 && add && s.kind == SUBJECT_GROUP)
		err = cycle_check(a, group, s.e, why_out);
	if (err == 0 && add)
		mods_add(m, "member", slice_str(s.e->dn));
	else if (err == 0)
		mods_delete(m, "member", slice_str(s.e->dn));
	subject_done(&s);
	return err;
}

/* How many members are left when those of m have gone or come, and whether "cn=nobody" stands among them. */
static size_t
members_after(const struct dir_entry *e, const struct mods *m, bool add, bool *nobody_out)
{
	const struct dir_attr *have = dir_entry_attr(e, "member");
	const struct dir_mod *mod = m->n == 0 ? NULL : &m->m[0];
	size_t n = 0, come = mod == NULL ? 0 : mod->n_values;

	*nobody_out = false;
	for (size_t i = 0; have != NULL && i < have->n_values; i++) {
		bool named = false;

		if (slice_caseeq_str(have->values[i], NOBODY)) {
			*nobody_out = true;
			continue;
		}
		for (size_t k = 0; mod != NULL && k < mod->n_values; k++)
			named = named || slice_caseeq(mod->values[k], have->values[i]);
		n += add || !named;
		come -= add && named;
	}
	return add ? n + come : n;
}

static int
members_change(
    struct dir_admin *a, const struct dir_entry *e, struct mods *m, bool add, char **why_out)
{
	bool nobody;
	size_t left = members_after(e, m, add, &nobody);

	if (left > MEMBERS_MAX)
		return admin_fail(
		    why_out, ERR_LIMIT, "a group has at most %d members", MEMBERS_MAX);
	if (add && nobody && left > 0)
		mods_delete(m, "member", slice_str(NOBODY));
	if (!add && !nobody && left == 0)
		mods_add(m, "member", slice_str(NOBODY));
	return admin_modify(a, e->dn, m, why_out);
}

int
admin_member_remove(struct dir_admin *a, const struct dir_entry *e, const char *dn, char **why_out)
{
	struct mods m;
	int err;

	mods_init(&m);
	mods_delete(&m, "member", slice_str(dn));
	err = members_change(a, e, &m, false, why_out);
	mods_done(&m);
	return err;
}

int
dir_admin_group_members(struct dir_admin *a, const char *id, bool add, const char *const *who,
    size_t n, const char *decision, enum change *change_out, char **why_out)
{
	struct subject s;
	struct mods m;
	int err =
	    group_begin(a, add ? "group add" : "group remove", id, decision, false, &s, why_out);

	if (err != 0)
		return err;
	mods_init(&m);
	for (size_t i = 0; err == 0 && i < n; i++)
		err = member_resolve(a, s.e, who[i], add, &m, why_out);
	if (err == 0 && n > 0)
		err = members_change(a, s.e, &m, add, why_out);
	mods_done(&m);
	subject_done(&s);
	return admin_end(a, err, false, change_out, why_out);
}

/* ---- reading ---- */

int
dir_admin_groups(struct dir_admin *a, const char *agency, struct dir_result **out, char **why_out)
{
	const struct agency_cache *g;
	int err;

	if (agency == NULL)
		return admin_find(a, "(objectClass=vnMailGroup)", "", group_attrs, 0, out, why_out);
	err = admin_agency(a, agency, &g, why_out);
	if (err != 0)
		return err;
	return admin_find(a, "(&(objectClass=vnMailGroup)(vnAgencyRef=%s))", agency, group_attrs, 0,
	    out, why_out);
}

int
dir_admin_group_show(struct dir_admin *a, const char *id, struct dir_result **out, char **why_out)
{
	struct subject s = {0};
	int err = admin_subject(a, id, SUBJECT_GROUP, &s, why_out);

	if (err != 0)
		return err;
	err = dir_read(a->d, s.e->dn, group_attrs, out);
	subject_done(&s);
	return err == 0 ? 0 : admin_fail(why_out, err, "the directory does not answer");
}
