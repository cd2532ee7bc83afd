/* people_func.c: functional mailboxes by post. A person holds one directly, as the occupant of a post, or as a member of a
 * group, by name or by rule, nested ones included: the roster attributes of the mailbox name any of these. A delegation gives rights for a time, in a
 * functional mailbox or in another person's. Runs in lookup's workers. */
#include "config.h"

#include "directory/people_priv.h"

#include "directory/assignment.h"
#include "directory/escape.h"
#include "lib/addr.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	SUBJECTS_MAX = 200, /* groups and posts of one person */
	LEVELS_MAX = 4,
	FILTER_MAX = 256 * 1024,
	DEPS_MAX = 1000, /* what one person's rights rest on */
};

/* When something holds, seconds since 1970; 0: no bound. */
struct window {
	int64_t from, until;
};

static struct window
window_both(struct window a, struct window b)
{
	if (b.from > a.from)
		a.from = b.from;
	if (b.until != 0 && (a.until == 0 || b.until < a.until))
		a.until = b.until;
	return a;
}

/* Over, or never. */
static bool
window_is_past(struct window w)
{
	return w.until != 0 && (w.until <= time(NULL) || w.until <= w.from);
}

static struct window
window_made(struct slice from, struct slice to)
{
	struct window w;

	(void)assignment_bounds(from, to, &w.from, &w.until);
	return w;
}

/* Of an entry: vnValidFrom, vnValidTo. */
static struct window
window_of(const struct dir_entry *e)
{
	return window_made(dir_entry_value(e, "vnValidFrom"), dir_entry_value(e, "vnValidTo"));
}

/* What stands for a person: its own DN, its posts and groups, their groups; one DN several times when it does so for several times. */
struct subject {
	char *dn, *norm;
	struct window w;
};
struct subjects {
	struct subject v[SUBJECTS_MAX];
	size_t n;
	struct strings
	    past; /* DNs that did, or may: a change of theirs may have them do it (again) */
};

static void
subjects_add(struct subjects *s, const char *dn, const char *norm, struct window w)
{
	if (window_is_past(w)) {
		strings_add_take(&s->past, xstrdup(norm), SUBJECTS_MAX);
		return;
	}
	if (s->n == SUBJECTS_MAX)
		return;
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i].norm, norm) == 0 && s->v[i].w.from == w.from &&
		    s->v[i].w.until == w.until)
			return;
	s->v[s->n++] = (struct subject){xstrdup(dn), xstrdup(norm), w};
}

static void
subjects_free(struct subjects *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i].dn);
		free(s->v[i].norm);
	}
	strings_free(s->past.v, s->past.n);
	free(s);
}

static bool
is_before(const struct subjects *s, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(s->v[k].norm, s->v[i].norm) == 0)
			return true;
	return false;
}

/* filter for each DN from first on */
static int
filter_for(const char *tmpl, const struct subjects *s, size_t first, struct buf *f)
{
	int err = 0;

	for (size_t i = first; err == 0 && i < s->n; i++)
		if (!is_before(s, i))
			err = escape_template(tmpl, slice_of(NULL, 0), slice_str(s->v[i].dn), f);
	return err != 0 ? err : f->err;
}

/* The groups that the subjects from first on name themselves (dir_attr_member_of). */
static int
subjects_named(struct people *p, size_t first, size_t to, struct subjects *s)
{
	const char *const attrs[] = {p->a_member_of, NULL};
	int err = 0;

	for (size_t i = first; err == 0 && i < to; i++) {
		struct dir_result *r = NULL;
		const struct dir_attr *a;

		err = dir_read(p->d, s->v[i].dn, attrs, &r);
		a = err == 0 ? dir_entry_attr(&r->entries[0], p->a_member_of) : NULL;
		for (size_t k = 0; a != NULL && k < a->n_values; k++) {
			const char *dn = dir_value_text(a->values[k]);
			char *norm = dir_dn_norm(dn);

			if (norm != NULL)
				subjects_add(s, dn, norm, s->v[i].w);
			free(norm);
		}
		dir_result_free(r);
		err = err == ERR_NOTFOUND ? 0 : err; /* a group that is named and gone */
	}
	return err;
}

/* ---- posts by assignment ---- */

/* The post that one of them names; *out: all of it. */
static struct slice
assigned_post(const struct person *u, size_t i, struct assignment *out)
{
	assignment_split(slice_str(u->assignments[i]), out);
	return out->post;
}

static void
assigned_filter(const struct person *u, struct buf *f)
{
	for (size_t i = 0; i < u->n_assignments; i++) {
		struct assignment a;
		struct slice post = assigned_post(u, i, &a);

		if (post.len == 0 || post.len > 200)
			continue;
		buf_append_str(f, "(vnPositionCode=");
		escape_filter(post, f);
		buf_append_byte(f, ')');
	}
}

/* A post whose assignments the person's own entry names is held when these say, whatever roleOccupant says. False: they do not name it. */
static bool
assigned_add(const struct person *u, const struct dir_entry *e, struct subjects *s)
{
	bool found = false;

	for (size_t i = 0; i < u->n_assignments; i++) {
		struct assignment a;
		struct slice post = assigned_post(u, i, &a);
		struct window w = window_made(a.from, a.to);

		if (post.len == 0 || !dir_entry_has_value(e, "vnPositionCode", post))
			continue;
		found = true;
		subjects_add(s, e->dn, e->dn_norm, window_both(w, window_of(e)));
	}
	return found;
}

/* ---- all that stand for a person ---- */

/* A group or post is held through its members and occupants: for as long as these are it. */
static void
group_add(
    const struct people *p, const struct dir_entry *e, size_t first, size_t to, struct subjects *s)
{
	bool found = false;

	for (size_t i = first; i < to; i++) {
		bool names = false;

		for (size_t k = 0; k < p->n_member && !names; k++) {
			const struct dir_attr *a = dir_entry_attr(e, p->a_member[k]);

			for (size_t n = 0; a != NULL && n < a->n_values && !names; n++) {
				char *norm = dir_dn_norm(dir_value_text(a->values[n]));

				names = norm != NULL && strcmp(norm, s->v[i].norm) == 0;
				free(norm);
			}
		}
		if (names)
			subjects_add(s, e->dn, e->dn_norm, window_both(s->v[i].w, window_of(e)));
		found = found || names;
	}
	/* members were not asked for; or the filter found it by something else */
	for (size_t i = first; i < to && !found; i++)
		subjects_add(s, e->dn, e->dn_norm, window_both(s->v[i].w, window_of(e)));
}

static int
level_add(struct people *p, const struct person *u, size_t first, size_t to, struct subjects *s)
{
	const char **attrs = xcalloc(p->n_member + 4, sizeof(*attrs));
	struct dir_result *r = NULL;
	bool dated = false;
	struct buf f;
	size_t n = 0;
	int err;

	attrs[n++] = "vnPositionCode";
	attrs[n++] = "vnValidFrom";
	attrs[n++] = "vnValidTo";
	/* members, of whom there may be thousands, only to tell which of the subjects it is by: when it matters */
	for (size_t i = first; i < to; i++)
		dated = dated || s->v[i].w.from != 0 || s->v[i].w.until != 0;
	for (size_t i = 0; dated && i < p->n_member; i++)
		attrs[n++] = p->a_member[i];
	buf_init(&f, FILTER_MAX);
	buf_append_str(&f, "(|");
	err = filter_for(p->group_filter, s, first, &f);
	if (first == 0)
		assigned_filter(u, &f);
	buf_append_str(&f, ")");
	if (err == 0)
		err = f.err;
	if (err == 0)
		err = dir_search(p->d, NULL, buf_cstr(&f), attrs, 0, &r);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++)
		if (first != 0 || !assigned_add(u, &r->entries[i], s))
			group_add(p, &r->entries[i], first, to, s);
	dir_result_free(r);
	buf_done(&f);
	free(attrs);
	return err;
}

static void
rule_add(void *arg, const struct dir_entry *group, int64_t from, int64_t until)
{
	struct subjects *s = arg;
	struct window w = {from, until};

	subjects_add(s, group->dn, group->dn_norm, window_both(w, window_of(group)));
}

static void
rule_dep(void *arg, const char *key)
{
	struct subjects *s = arg;

	strings_add_take(&s->past, xstrdup(key), SUBJECTS_MAX);
}

static int
subjects_of(struct people *p, const struct person *u, bool with_groups, struct subjects *s)
{
	char *norm = dir_dn_norm(u->dn);
	size_t first = 0;
	int err = 0;

	if (norm == NULL)
		return ERR_TEMP;
	subjects_add(s, u->dn, norm, (struct window){0, 0});
	free(norm);
	for (int level = 0; with_groups && level < LEVELS_MAX && err == 0; level++) {
		size_t next = s->n;

		if (first == next)
			break;
		if (*p->a_member_of != '\0')
			err = subjects_named(p, first, next, s);
		if (err == 0 && *p->group_filter != '\0')
			err = level_add(p, u, first, next, s);
		if (err == 0 && level == 0)
			err = people_rule_groups(p, u, rule_add, rule_dep, s);
		first = next;
	}
	return err;
}

/* ---- what posts let sign ---- */

/* Of each value that holds today what it names; one with a day that is none holds never (`directory check` tells of it). */
void
people_authorities_add(const struct dir_attr *a, struct strings *l)
{
	for (size_t i = 0; a != NULL && i < a->n_values; i++) {
		struct authority v;

		authority_split(a->values[i], &v);
		if (authority_has_dates(&v) &&
		    assignment_when(v.from, v.to, time(NULL)) == ASSIGNMENT_NOW)
			strings_add_take(l, slice_dup(v.named), PEOPLE_AUTHORITIES_MAX);
	}
}

static bool
holds_now(struct window w)
{
	int64_t now = time(NULL);

	return now >= w.from && (w.until == 0 || now < w.until);
}

/* A post that is named and gone lets nobody sign anything. */
static int
authority_of(struct people *p, const char *dn, struct strings *l)
{
	const char *const attrs[] = {p->a_authority, NULL};
	struct dir_result *r = NULL;
	int err = dir_read(p->d, dn, attrs, &r);

	if (err == 0)
		people_authorities_add(dir_entry_attr(&r->entries[0], p->a_authority), l);
	dir_result_free(r);
	return err == ERR_NOTFOUND ? 0 : err;
}

int
people_authorities(struct people *p, struct people_owner *o)
{
	struct person u = {
	    .dn = o->dn, .assignments = o->assignments, .n_assignments = o->n_assignments};
	struct strings l = {o->authorities, o->n_authorities, o->n_authorities};
	struct subjects *s;
	unsigned asked = 0;
	int err;

	if (o->dn == NULL)
		return 0;
	s = xcalloc(1, sizeof(*s));
	err = subjects_of(p, &u, true, s);
	for (size_t i = 1; err == 0 && i < s->n && asked < PEOPLE_POSTS_ASKED; i++) {
		bool before = false;

		for (size_t k = 0; k < i; k++)
			before |= strcmp(s->v[k].norm, s->v[i].norm) == 0 && holds_now(s->v[k].w);
		if (before || !holds_now(s->v[i].w))
			continue;
		asked++;
		err = authority_of(p, s->v[i].dn, &l);
	}
	subjects_free(s);
	o->authorities = l.v;
	o->n_authorities = l.n;
	return err == 0 ? 0 : ERR_TEMP;
}

/* ---- grants ---- */

void
people_rights_merge(char rights[24], const char *more)
{
	for (; *more != '\0'; more++) {
		size_t n = strlen(rights);

		if (strchr(rights, *more) == NULL && n + 1 < 24) {
			rights[n] = *more;
			rights[n + 1] = '\0';
		}
	}
}

/* RFC 2342 other users' namespace: the local part, or the whole address when its domain is not the person's. A slash
 * would be a hierarchy separator. */
static char *
ns_name(const char *address, const char *own)
{
	const char *at = strrchr(address, '@'), *own_at = strrchr(own, '@');
	char *name;

	if (at != NULL && own_at != NULL && strcmp(at, own_at) == 0)
		name = strndup(address, (size_t)(at - address));
	else
		name = strdup(address);
	for (char *c = name; c != NULL && *c != '\0'; c++) {
		if (*c == '/' || *c == '*' || *c == '%')
			*c = '_';
	}
	return name;
}

static void
dep_add(struct person_mailboxes *m, const char *key)
{
	struct strings l = {m->deps, m->n_deps, m->n_deps};

	m->is_cut = m->is_cut || m->n_deps == DEPS_MAX;
	/* with room == n a new one makes room */
	strings_add_take(&l, xstrdup(key), DEPS_MAX);
	m->deps = l.v;
	m->n_deps = l.n;
}

/* The place of an account in the list, new or old; NULL when it is full. */
static struct person_mailbox *
mailbox_place(struct person_mailboxes *m, const char *account)
{
	for (size_t i = 0; i < m->n; i++) {
		if (strcmp(m->v[i].account, account) == 0)
			return &m->v[i];
	}
	if (m->n == PEOPLE_MAILBOXES_MAX)
		return NULL;
	m->v[m->n].account = xstrdup(account);
	return &m->v[m->n++];
}

static size_t
grants_in_all(const struct person_mailboxes *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->v[i].n_grants;
	return n;
}

static void
grant_add(struct person_mailboxes *m, struct person_mailbox *b, const char *rights, bool may_send,
    struct window w)
{
	int64_t now = time(NULL);
	struct person_grant *g;

	if (now >= w.from && (w.until == 0 || now < w.until)) {
		people_rights_merge(b->rights, rights);
		b->may_send = b->may_send || may_send;
	}
	/* of the same time: one */
	for (size_t i = 0; i < b->n_grants; i++) {
		g = &b->grants[i];
		if (g->from == w.from && g->until == w.until) {
			people_rights_merge(g->rights, rights);
			g->may_send = g->may_send || may_send;
			return;
		}
	}
	if (grants_in_all(m) == PEOPLE_GRANTS_MAX) {
		log_msg(LOG_LVL_WARN, "too_many_grants", "%s: not all are given", b->account);
		return;
	}
	b->grants = xrealloc(b->grants, (b->n_grants + 1) * sizeof(*b->grants));
	g = &b->grants[b->n_grants++];
	*g = (struct person_grant){.may_send = may_send, .from = w.from, .until = w.until};
	people_rights_merge(g->rights, rights);
}

/* Enters an entry with these rights, or adds them to what is held of it already. */
static int
mailbox_add(struct people *p, const struct person *u, const struct dir_entry *e, char prefix,
    const char *rights, bool may_send, struct window w, struct person_mailboxes *m)
{
	struct slice id = dir_entry_value(e, prefix == 'f' ? p->a_func_account : p->a_account);
	struct person_mailbox *b = NULL;
	struct strings l = {0};
	char account[48];
	int err = 0;

	people_account(prefix, id, account);
	if (rights[0] != '\0' && id.len > 0 && strcmp(account, u->account) != 0 &&
	    !window_is_past(w))
		err = people_identities(p, e, &l, &m->is_contested);
	if (err == 0 && l.n > 0)
		b = mailbox_place(m, account);
	if (b != NULL)
		grant_add(m, b, rights, may_send, w);
	if (b == NULL || b->addresses != NULL) {
		strings_free(l.v, l.n);
		return err;
	}
	b->addresses = l.v;
	b->n_addresses = l.n;
	b->address = xstrdup(l.v[0]);
	b->ns_name = ns_name(b->address, u->address);
	if (b->ns_name == NULL)
		b->ns_name = xstrdup(b->address);
	return 0;
}

/* What one roster attribute of a functional mailbox gives to any of the subjects. */
static int
roster_add(struct people *p, const struct person *u, const struct dir_entry *e,
    const struct roster *row, const struct subjects *s, struct person_mailboxes *m)
{
	const struct dir_attr *a = dir_entry_attr(e, row->attr);
	int err = 0;

	for (size_t i = 0; err == 0 && a != NULL && i < a->n_values; i++) {
		char *norm = dir_dn_norm(dir_value_text(a->values[i]));

		for (size_t j = 0; err == 0 && norm != NULL && j < s->n; j++)
			if (strcmp(norm, s->v[j].norm) == 0)
				err = mailbox_add(p, u, e, 'f', row->rights, row->may_send,
				    window_both(s->v[j].w, window_of(e)), m);
		free(norm);
	}
	return err;
}

/* vnRights: RFC 4314 letters and the word send, in any order. */
void
people_rights_parse(struct slice v, char rights[24], bool *may_send)
{
	while (v.len > 0) {
		ptrdiff_t space = slice_index(v, ' ');
		struct slice word = slice_sub(v, 0, space < 0 ? v.len : (size_t)space);

		if (slice_eq_str(word, "send"))
			*may_send = true;
		for (size_t i = 0; !slice_eq_str(word, "send") && i < word.len; i++) {
			char one[2] = {(char)word.ptr[i], '\0'};

			if (one[0] != '\0' && strchr("lrswipkxtea", one[0]) != NULL)
				people_rights_merge(rights, one);
		}
		v = slice_from(v, word.len + 1);
	}
}

static int
delegation_add(struct people *p, const struct person *u, const struct dir_entry *e,
    const struct subjects *s, struct person_mailboxes *m)
{
	const char *delegator = dir_value_text(dir_entry_value(e, "vnDelegator"));
	const struct dir_attr *to = dir_entry_attr(e, "vnDelegateTo");
	struct window w = window_of(e);
	struct dir_result *r = NULL;
	char rights[24] = "";
	bool may_send = false;
	enum people_kind kind;
	int err;

	dep_add(m, e->dn_norm);
	if (delegator == NULL || window_is_past(w))
		return 0;
	people_rights_parse(dir_entry_value(e, "vnRights"), rights, &may_send);
	err = dir_read(p->d, delegator, p->attrs_owner, &r);
	if (err != 0)
		return err == ERR_NOTFOUND ? 0 : err;
	dep_add(m, r->entries[0].dn_norm);
	m->is_cut = m->is_cut || !people_is_watched(p, r->entries[0].dn);
	kind = people_kind_of(p, &r->entries[0]);
	/* through a post or group: for as long as that stands for the person */
	for (size_t i = 0; err == 0 && to != NULL && i < to->n_values; i++) {
		char *norm = dir_dn_norm(dir_value_text(to->values[i]));

		for (size_t j = 0; err == 0 && norm != NULL && j < s->n; j++)
			if (strcmp(norm, s->v[j].norm) == 0 &&
			    (kind == PEOPLE_PERSON || kind == PEOPLE_FUNCTIONAL))
				err = mailbox_add(p, u, &r->entries[0],
				    kind == PEOPLE_PERSON ? 'p' : 'f', rights, may_send,
				    window_both(w, s->v[j].w), m);
		free(norm);
	}
	dir_result_free(r);
	return err;
}

static int
delegations_add(
    struct people *p, const struct person *u, const struct subjects *s, struct person_mailboxes *m)
{
	static const char *const attrs[] = {
	    "vnDelegator", "vnDelegateTo", "vnRights", "vnValidFrom", "vnValidTo", NULL};
	struct dir_result *r = NULL;
	struct buf f;
	int err;

	if (*p->delegation_filter == '\0')
		return 0;
	buf_init(&f, FILTER_MAX);
	buf_append_str(&f, "(|");
	err = filter_for(p->delegation_filter, s, 0, &f);
	buf_append_str(&f, ")");
	if (err == 0)
		err = f.err;
	if (err == 0)
		err = dir_search(p->d, NULL, buf_cstr(&f), attrs, 0, &r);
	for (size_t i = 0; err == 0 && i < r->n_entries && i < PEOPLE_MAILBOXES_MAX; i++)
		err = delegation_add(p, u, &r->entries[i], s, m);
	dir_result_free(r);
	buf_done(&f);
	return err;
}

static int
rosters_add(
    struct people *p, const struct person *u, const struct subjects *s, struct person_mailboxes *m)
{
	struct dir_result *r = NULL;
	struct buf f;
	int err;

	if (*p->func_filter == '\0')
		return 0;
	buf_init(&f, FILTER_MAX);
	buf_append_str(&f, "(|");
	err = filter_for(p->func_filter, s, 0, &f);
	buf_append_str(&f, ")");
	if (err == 0)
		err = f.err;
	if (err == 0)
		err = dir_search(p->d, NULL, buf_cstr(&f), p->attrs_func, 0, &r);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		dep_add(m, r->entries[i].dn_norm);
		for (size_t k = 0; err == 0 && k < p->n_roster; k++)
			err = roster_add(p, u, &r->entries[i], &p->roster[k], s, m);
	}
	dir_result_free(r);
	buf_done(&f);
	return err;
}

/* An address that another entry comes to have too is nobody's alias any more. */
static void
addresses_dep(struct person_mailboxes *m, char *const *v, size_t n)
{
	char key[PEOPLE_NAME_MAX + 2] = {PEOPLE_KEY_NAME};

	for (size_t i = 0; i < n; i++)
		if (people_name_fold(slice_str(v[i]), key + 1))
			dep_add(m, key);
		else
			m->is_cut = true;
}

static void
trait_dep(void *arg, const char *key)
{
	dep_add(arg, key);
}

int
people_mailboxes(struct people *p, const struct person *u, struct person_mailboxes **out)
{
	struct person_mailboxes *m = xcalloc(1, sizeof(*m));
	struct subjects *s = xcalloc(1, sizeof(*s));
	bool with_others;
	int err;

	m->v = xcalloc(PEOPLE_MAILBOXES_MAX, sizeof(*m->v));
	dep_add(m, u->account);
	/* who has left has nothing else, whatever still names them or their title */
	with_others =
	    u->read_until == 0 && (*p->func_filter != '\0' || *p->delegation_filter != '\0');
	err = subjects_of(p, u, with_others, s);
	for (size_t i = 0; i < s->n; i++)
		dep_add(m, s->v[i].norm);
	if (with_others)
		people_trait_keys(u, trait_dep, m);
	m->n_subjects = m->n_deps;
	for (size_t i = 0; i < s->past.n; i++)
		dep_add(m, s->past.v[i]);
	m->is_cut = m->is_cut || s->n == SUBJECTS_MAX || s->past.n == SUBJECTS_MAX;
	if (err == 0 && with_others)
		err = rosters_add(p, u, s, m);
	if (err == 0 && with_others)
		err = delegations_add(p, u, s, m);
	addresses_dep(m, u->addresses, u->n_addresses);
	for (size_t i = 0; i < m->n; i++)
		addresses_dep(m, m->v[i].addresses, m->v[i].n_addresses);
	subjects_free(s);
	if (err != 0) {
		person_mailboxes_free(m);
		return ERR_TEMP;
	}
	*out = m;
	return 0;
}

void
person_mailboxes_free(struct person_mailboxes *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->n; i++) {
		free(m->v[i].account);
		free(m->v[i].address);
		free(m->v[i].ns_name);
		free(m->v[i].grants);
		strings_free(m->v[i].addresses, m->v[i].n_addresses);
	}
	free(m->v);
	strings_free(m->deps, m->n_deps);
	free(m);
}

static bool
has_address(char *const *v, size_t n, struct slice address)
{
	for (size_t i = 0; i < n; i++) {
		if (slice_eq_str(address, v[i]))
			return true;
	}
	return false;
}

bool
people_may_send(const struct person *u, const struct person_mailboxes *m, struct slice address)
{
	if (has_address(u->addresses, u->n_addresses, address))
		return true;
	for (size_t i = 0; i < m->n; i++) {
		if (m->v[i].may_send &&
		    has_address(m->v[i].addresses, m->v[i].n_addresses, address))
			return true;
	}
	return false;
}
