/* people_func.c: functional mailboxes by post. A person holds one directly, as the occupant of a post, or as a member of a
 * group, nested ones included: the roster attributes of the mailbox name any of these. A delegation gives rights for a time, in a
 * functional mailbox or in another person's. Runs in lookup's workers. */
#include "config.h"

#include "directory/people_priv.h"

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

/* The DNs that stand for a person: its own, its posts and groups, their groups. */
struct subjects {
	struct strings dn, norm;
};

static void
subjects_add(struct subjects *s, const char *dn, const char *norm)
{
	size_t before = s->norm.n;

	strings_add_take(&s->norm, xstrdup(norm), SUBJECTS_MAX);
	if (s->norm.n > before)
		strings_add_take(&s->dn, xstrdup(dn), SUBJECTS_MAX);
}

/* "(|" filter for each DN from first on ")" */
static int
filter_for(const char *tmpl, const struct subjects *s, size_t first, struct buf *f)
{
	int err = 0;

	buf_append_str(f, "(|");
	for (size_t i = first; err == 0 && i < s->dn.n; i++)
		err = escape_template(tmpl, slice_of(NULL, 0), slice_str(s->dn.v[i]), f);
	buf_append_str(f, ")");
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

		err = dir_read(p->d, s->dn.v[i], attrs, &r);
		a = err == 0 ? dir_entry_attr(&r->entries[0], p->a_member_of) : NULL;
		for (size_t k = 0; a != NULL && k < a->n_values; k++) {
			const char *dn = (const char *)a->values[k].ptr;
			char *norm = dir_dn_norm(dn);

			if (norm != NULL)
				subjects_add(s, dn, norm);
			free(norm);
		}
		dir_result_free(r);
		err = err == ERR_NOTFOUND ? 0 : err; /* a group that is named and gone */
	}
	return err;
}

static int
subjects_of(struct people *p, const struct person *u, bool with_groups, struct subjects *s)
{
	static const char *const none[] = {"1.1", NULL};
	char *norm = dir_dn_norm(u->dn);
	size_t first = 0;
	int err = 0;

	if (norm == NULL)
		return ERR_TEMP;
	subjects_add(s, u->dn, norm);
	free(norm);
	for (int level = 0; with_groups && level < LEVELS_MAX && err == 0; level++) {
		struct dir_result *r = NULL;
		struct buf f;
		size_t next = s->dn.n;

		if (first == next)
			break;
		if (*p->a_member_of != '\0')
			err = subjects_named(p, first, next, s);
		if (err != 0 || *p->group_filter == '\0') {
			first = next;
			continue;
		}
		buf_init(&f, FILTER_MAX);
		err = filter_for(p->group_filter, s, first, &f);
		if (err == 0)
			err = dir_search(p->d, NULL, buf_cstr(&f), none, 0, &r);
		for (size_t i = 0; err == 0 && i < r->n_entries; i++)
			subjects_add(s, r->entries[i].dn, r->entries[i].dn_norm);
		dir_result_free(r);
		buf_done(&f);
		first = next;
	}
	return err;
}

static void
rights_merge(char rights[24], const char *more)
{
	for (; *more != '\0'; more++) {
		size_t n = strlen(rights);

		if (strchr(rights, *more) == NULL && n + 1 < 24) {
			rights[n] = *more;
			rights[n + 1] = '\0';
		}
	}
}

static bool
names_subject(const struct dir_entry *e, const char *attr, const struct subjects *s)
{
	const struct dir_attr *a = dir_entry_attr(e, attr);
	bool found = false;

	for (size_t i = 0; a != NULL && i < a->n_values && !found; i++) {
		char *norm = dir_dn_norm((const char *)a->values[i].ptr);

		for (size_t j = 0; norm != NULL && j < s->norm.n && !found; j++)
			found = strcmp(norm, s->norm.v[j]) == 0;
		free(norm);
	}
	return found;
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

/* Enters an entry with these rights, or adds them to what is held of it already. */
static void
mailbox_add(const struct people *p, const struct person *u, const struct dir_entry *e, char prefix,
    const char *rights, bool may_send, struct person_mailboxes *m)
{
	struct slice id = dir_entry_value(e, prefix == 'f' ? p->a_func_account : p->a_account);
	struct person_mailbox *b = NULL;
	struct strings l = {0};
	char account[48];

	people_account(prefix, id, account);
	people_addresses(p, e, &l);
	if (rights[0] != '\0' && id.len > 0 && l.n > 0 && strcmp(account, u->account) != 0)
		b = mailbox_place(m, account);
	if (b != NULL) {
		rights_merge(b->rights, rights);
		b->may_send = b->may_send || may_send;
	}
	if (b == NULL || b->addresses != NULL) {
		strings_free(l.v, l.n);
		return;
	}
	b->addresses = l.v;
	b->n_addresses = l.n;
	b->address = xstrdup(l.v[0]);
	b->ns_name = ns_name(b->address, u->address);
	if (b->ns_name == NULL)
		b->ns_name = xstrdup(b->address);
}

/* What the roster attributes of a functional mailbox give to any of the subjects. */
static void
held_add(const struct people *p, const struct person *u, const struct dir_entry *e,
    const struct subjects *s, struct person_mailboxes *m)
{
	char rights[24] = "";
	bool may_send = false;

	for (size_t i = 0; i < p->n_roster; i++) {
		if (!names_subject(e, p->roster[i].attr, s))
			continue;
		rights_merge(rights, p->roster[i].rights);
		may_send = may_send || p->roster[i].may_send;
	}
	mailbox_add(p, u, e, 'f', rights, may_send, m);
}

/* vnRights: RFC 4314 letters and the word send, in any order. */
static void
rights_parse(struct slice v, char rights[24], bool *may_send)
{
	while (v.len > 0) {
		ptrdiff_t space = slice_index(v, ' ');
		struct slice word = slice_sub(v, 0, space < 0 ? v.len : (size_t)space);

		if (slice_eq_str(word, "send"))
			*may_send = true;
		for (size_t i = 0; !slice_eq_str(word, "send") && i < word.len; i++) {
			char one[2] = {(char)word.ptr[i], '\0'};

			if (one[0] != '\0' && strchr("lrswipkxtea", one[0]) != NULL)
				rights_merge(rights, one);
		}
		v = slice_from(v, word.len + 1);
	}
}

static int
delegation_add(
    struct people *p, const struct person *u, const struct dir_entry *e, struct person_mailboxes *m)
{
	struct slice delegator = dir_entry_value(e, "vnDelegator");
	int64_t from = people_time(dir_entry_value(e, "vnValidFrom"));
	int64_t to = people_time(dir_entry_value(e, "vnValidTo"));
	struct dir_result *r = NULL;
	char rights[24] = "";
	bool may_send = false;
	enum people_kind kind;
	int err;

	dep_add(m, e->dn_norm);
	if (delegator.len == 0 || time(NULL) < from || (to != 0 && time(NULL) >= to))
		return 0;
	rights_parse(dir_entry_value(e, "vnRights"), rights, &may_send);
	err = dir_read(p->d, (const char *)delegator.ptr, p->attrs_owner, &r);
	if (err != 0)
		return err == ERR_NOTFOUND ? 0 : err;
	dep_add(m, r->entries[0].dn_norm);
	kind = people_kind_of(p, &r->entries[0]);
	if (kind == PEOPLE_PERSON || kind == PEOPLE_FUNCTIONAL) {
		mailbox_add(
		    p, u, &r->entries[0], kind == PEOPLE_PERSON ? 'p' : 'f', rights, may_send, m);
		if (to != 0 && (m->until == 0 || to < m->until))
			m->until = to;
	}
	dir_result_free(r);
	return 0;
}

static int
delegations_add(
    struct people *p, const struct person *u, const struct subjects *s, struct person_mailboxes *m)
{
	static const char *const attrs[] = {
	    "vnDelegator", "vnRights", "vnValidFrom", "vnValidTo", NULL};
	struct dir_result *r = NULL;
	struct buf f;
	int err;

	if (*p->delegation_filter == '\0')
		return 0;
	buf_init(&f, FILTER_MAX);
	err = filter_for(p->delegation_filter, s, 0, &f);
	if (err == 0)
		err = dir_search(p->d, NULL, buf_cstr(&f), attrs, 0, &r);
	for (size_t i = 0; err == 0 && i < r->n_entries && i < PEOPLE_MAILBOXES_MAX; i++)
		err = delegation_add(p, u, &r->entries[i], m);
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
	err = filter_for(p->func_filter, s, 0, &f);
	if (err == 0)
		err = dir_search(p->d, NULL, buf_cstr(&f), p->attrs_func, 0, &r);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		dep_add(m, r->entries[i].dn_norm);
		held_add(p, u, &r->entries[i], s, m);
	}
	dir_result_free(r);
	buf_done(&f);
	return err;
}

int
people_mailboxes(struct people *p, const struct person *u, struct person_mailboxes **out)
{
	struct person_mailboxes *m = xcalloc(1, sizeof(*m));
	struct subjects s = {0};
	int err = 0;

	m->v = xcalloc(PEOPLE_MAILBOXES_MAX, sizeof(*m->v));
	dep_add(m, u->account);
	err = subjects_of(p, u, *p->func_filter != '\0' || *p->delegation_filter != '\0', &s);
	for (size_t i = 0; i < s.norm.n; i++)
		dep_add(m, s.norm.v[i]);
	m->n_subjects = m->n_deps;
	if (err == 0)
		err = rosters_add(p, u, &s, m);
	if (err == 0)
		err = delegations_add(p, u, &s, m);
	strings_free(s.dn.v, s.dn.n);
	strings_free(s.norm.v, s.norm.n);
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
