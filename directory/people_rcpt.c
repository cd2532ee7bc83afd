/* people_rcpt.c: who receives mail for an address, groups expanded (nested ones too; a cycle ends where it closes), and who
 * stands behind a sender's address. Runs in lookup's workers. Members are fetched many at a time by the first attribute of
 * their RDN and then matched by DN, so a group of ten thousand is some hundred searches of an indexed attribute. */
#include "config.h"

#include "directory/people_priv.h"

#include "directory/assignment.h"
#include "directory/escape.h"
#include "lib/addr.h"
#include "lib/err.h"
#include "lib/log.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MEMBERS_AT_ONCE = 100, FILTER_MAX = 256 * 1024, HOLDERS_MAX = 20 };

/* ---- sets of strings (tsearch) ---- */

struct set {
	void *root;
	size_t n;
};

static int
set_cmp(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Whether it was new. */
static bool
set_add(struct set *s, const char *key)
{
	char *copy;
	void *node;

	if (tfind(key, &s->root, set_cmp) != NULL)
		return false;
	copy = xstrdup(key);
	node = tsearch(copy, &s->root, set_cmp);
	if (node == NULL)
		fatal("out of memory");
	s->n++;
	return true;
}

static bool
set_has(const struct set *s, const char *key)
{
	return tfind(key, &s->root, set_cmp) != NULL;
}

static void
set_free(struct set *s)
{
	tdestroy(s->root, free);
}

/* ---- who holds a post today ---- */

/* The posts through which somebody (norm: the DN) was met. */
struct through {
	char *norm;
	struct strings posts;
};

static int
through_cmp(const void *a, const void *b)
{
	const struct through *x = a, *y = b;

	return strcmp(x->norm, y->norm);
}

static void
through_free(void *node)
{
	struct through *t = node;

	free(t->norm);
	strings_free(t->posts.v, t->posts.n);
	free(t);
}

static void
through_add(void **root, const char *norm, struct slice post)
{
	struct through key = {.norm = (char *)(uintptr_t)norm}, *t;
	void *node = tfind(&key, root, through_cmp);

	if (node == NULL) {
		t = xcalloc(1, sizeof(*t));
		t->norm = xstrdup(norm);
		if (tsearch(t, root, through_cmp) == NULL)
			fatal("out of memory");
	} else {
		t = *(struct through **)node;
	}
	strings_add_take(&t->posts, slice_dup(post), PEOPLE_ASSIGNMENTS_MAX);
}

/* As people_func.c has it: where the own assignments name the post, these say when; else who is named holds it. */
static bool
holds_post(const struct dir_entry *e, const char *post)
{
	const struct dir_attr *a = dir_entry_attr(e, "vnAssignment");
	bool named = false;

	for (size_t i = 0; a != NULL && i < a->n_values; i++) {
		struct assignment f;

		assignment_split(a->values[i], &f);
		if (f.post.len == 0 || !slice_caseeq_str(f.post, post))
			continue;
		if (assignment_when(f.from, f.to, time(NULL)) == ASSIGNMENT_NOW)
			return true;
		named = true;
	}
	return !named;
}

static bool
holds_any(void *const *root, const struct dir_entry *e)
{
	const struct through key = {.norm = e->dn_norm};
	void *node = tfind(&key, root, through_cmp);
	const struct through *t = node == NULL ? NULL : *(struct through **)node;
	bool holds = false;

	for (size_t i = 0; t != NULL && i < t->posts.n && !holds; i++)
		holds = holds_post(e, t->posts.v[i]);
	return holds;
}

/* ---- groups ---- */

struct expansion {
	struct people *p;
	struct people_rcpt *r;
	size_t room;
	struct set seen; /* DNs, normalized: members met on any level; "DN\nPOST" of occupants */
	void *through;   /* of occupants of posts, struct through */
	struct set accounts; /* targets */
	char **level;        /* DNs to fetch now */
	size_t n_level;
	char **next;
	size_t n_next, room_next;
	struct strings
	    groups; /* DNs of groups whose members name them (dir_attr_member_of), not asked for yet */
};

static int
target_add(struct expansion *x, const struct dir_entry *e, enum people_kind kind)
{
	const char *attr = kind == PEOPLE_FUNCTIONAL ? x->p->a_func_account : x->p->a_account;
	struct slice id = dir_entry_value(e, attr);
	struct people_target *t;
	char account[48];

	if (id.len == 0)
		return ERR_NOTFOUND;
	people_account(kind == PEOPLE_FUNCTIONAL ? 'f' : 'p', id, account);
	if (!set_add(&x->accounts, account))
		return 0;
	if (x->r->n == x->room) {
		x->room = x->room == 0 ? 8 : x->room * 2;
		x->r->v = xrealloc(x->r->v, x->room * sizeof(*x->r->v));
	}
	t = &x->r->v[x->r->n++];
	t->account = xstrdup(account);
	t->address = people_address(dir_entry_value(e, x->p->a_mail));
	if (t->address == NULL)
		t->address = xstrdup("");
	t->name = people_text(e, x->p->a_name, "");
	people_forwards_add(x->p, e, account, x->r);
	return 0;
}

/* Whether it is to be fetched: not so who was met in the same way before. post: empty for members by name. */
static bool
member_note(struct expansion *x, const char *norm, struct slice post)
{
	char *key = NULL;
	bool is_new;

	if (post.len == 0)
		return set_add(&x->seen, norm);
	through_add(&x->through, norm, post);
	if (asprintf(&key, "%s\n%.*s", norm, (int)post.len, (const char *)post.ptr) < 0)
		fatal("out of memory");
	is_new = set_add(&x->seen, key);
	free(key);
	return is_new;
}

static int
members_add(struct expansion *x, const struct dir_entry *e)
{
	struct slice post = dir_entry_value(e, "vnPositionCode");

	for (size_t i = 0; i < x->p->n_member; i++) {
		const struct dir_attr *a = dir_entry_attr(e, x->p->a_member[i]);

		for (size_t j = 0; a != NULL && j < a->n_values; j++) {
			const char *dn = dir_value_text(a->values[j]);
			char *norm = dir_dn_norm(dn);
			bool is_new = norm != NULL && member_note(x, norm, post);

			free(norm);
			if (!is_new)
				continue;
			if (x->seen.n > PEOPLE_GROUP_MAX)
				return ERR_LIMIT;
			if (x->n_next == x->room_next) {
				x->room_next = x->room_next == 0 ? 64 : x->room_next * 2;
				x->next = xrealloc(x->next, x->room_next * sizeof(*x->next));
			}
			x->next[x->n_next++] = xstrdup(dn);
		}
	}
	return 0;
}

static int member_take(struct expansion *x, const struct dir_entry *e);

/* Those who are in a group by its rules. */
static int
members_by_rules(struct expansion *x, const struct dir_entry *group)
{
	struct dir_result *r = NULL;
	int err = people_by_rules(x->p, group, &r);

	for (size_t i = 0; err == 0 && r != NULL && i < r->n_entries; i++)
		if (set_add(&x->seen, r->entries[i].dn_norm))
			err = x->seen.n > PEOPLE_GROUP_MAX ? ERR_LIMIT
							   : member_take(x, &r->entries[i]);
	dir_result_free(r);
	return err;
}

/* Takes a member: persons and mailboxes become targets, groups and posts give the next level. */
static int
member_take(struct expansion *x, const struct dir_entry *e)
{
	enum people_kind kind = people_kind_of(x->p, e);
	int err;

	/* what holds no mailbox today receives for nobody either */
	if (kind != PEOPLE_PERSON && kind != PEOPLE_FUNCTIONAL &&
	    assignment_when(dir_entry_value(e, "vnValidFrom"), dir_entry_value(e, "vnValidTo"),
		time(NULL)) != ASSIGNMENT_NOW)
		return 0;
	err = members_add(x, e);
	if (err == 0 && (kind == PEOPLE_PERSON || kind == PEOPLE_FUNCTIONAL))
		(void)target_add(x, e, kind);
	if (err == 0 && kind == PEOPLE_GROUP)
		err = members_by_rules(x, e);
	if (err == 0 && kind != PEOPLE_PERSON && kind != PEOPLE_FUNCTIONAL &&
	    *x->p->a_member_of != '\0')
		strings_add_take(&x->groups, xstrdup(e->dn), PEOPLE_GROUP_MAX);
	return err;
}

/* The members that name the groups themselves; all groups of this level in one search. */
static int
members_by_member_of(struct expansion *x)
{
	struct strings groups = x->groups;
	struct dir_result *r = NULL;
	struct buf f;
	int err;

	if (groups.n == 0)
		return 0;
	x->groups = (struct strings){0};
	buf_init(&f, FILTER_MAX);
	buf_appendf(&f, "(&%s(|", x->p->member_filter);
	for (size_t i = 0; i < groups.n; i++) {
		buf_appendf(&f, "(%s=", x->p->a_member_of);
		(void)escape_filter(slice_str(groups.v[i]), &f);
		buf_append_str(&f, ")");
	}
	buf_append_str(&f, "))");
	err = f.err != 0
		  ? ERR_LIMIT
		  : dir_search(x->p->d, NULL, buf_cstr(&f), x->p->attrs_rcpt, PEOPLE_GROUP_MAX, &r);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++)
		if (set_add(&x->seen, r->entries[i].dn_norm))
			err = x->seen.n > PEOPLE_GROUP_MAX ? ERR_LIMIT
							   : member_take(x, &r->entries[i]);
	dir_result_free(r);
	buf_done(&f);
	strings_free(groups.v, groups.n);
	return err;
}

/* Fetches members [from, to) of the level. */
static int
members_fetch(struct expansion *x, size_t from, size_t to)
{
	struct dir_result *r = NULL;
	struct buf f;
	int err = 0;

	buf_init(&f, FILTER_MAX);
	if (*x->p->member_filter != '\0') {
		buf_append_str(&f, "(&");
		buf_append_str(&f, x->p->member_filter);
	}
	buf_append_str(&f, "(|");
	for (size_t i = from; i < to; i++)
		(void)dir_dn_rdn_filter(x->level[i], &f); /* a member that is no DN is nobody */
	buf_append_str(&f, *x->p->member_filter != '\0' ? "))" : ")");
	if (f.err != 0)
		err = ERR_LIMIT;
	if (err == 0)
		err = dir_search(x->p->d, NULL, buf_cstr(&f), x->p->attrs_rcpt, 0, &r);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];

		/* else: the same RDN elsewhere, or a post that is not held now */
		if (set_has(&x->seen, e->dn_norm) || holds_any(&x->through, e))
			err = member_take(x, e);
	}
	dir_result_free(r);
	buf_done(&f);
	return err;
}

static int
group_expand(struct expansion *x, const struct dir_entry *group)
{
	int err;

	(void)set_add(&x->seen, group->dn_norm);
	err = member_take(x, group);
	for (int depth = 0; err == 0 && (x->n_next > 0 || x->groups.n > 0); depth++) {
		strings_free(x->level, x->n_level);
		x->level = x->next;
		x->n_level = x->n_next;
		x->next = NULL;
		x->n_next = x->room_next = 0;
		if (depth == PEOPLE_GROUP_DEPTH)
			return ERR_LIMIT;
		err = members_by_member_of(x);
		for (size_t i = 0; err == 0 && i < x->n_level; i += MEMBERS_AT_ONCE) {
			size_t to = i + MEMBERS_AT_ONCE;

			err = members_fetch(x, i, to < x->n_level ? to : x->n_level);
		}
	}
	return err;
}

/* ---- recipients ---- */

static void
log_fault(const char *event, struct slice address)
{
	struct log_line l;

	log_begin(&l, LOG_LVL_ERROR, event);
	log_slice(&l, "address", address);
	log_end(&l);
}

int
people_rcpt(struct people *p, struct slice address, struct people_rcpt **out)
{
	struct people_rcpt *r = xcalloc(1, sizeof(*r));
	struct expansion x = {.p = p, .r = r};
	struct dir_result *found = NULL;
	const struct dir_entry *e = NULL;
	enum people_kind kind;
	int err;

	err = people_search(p, p->rcpt_filter, address, p->attrs_rcpt, HOLDERS_MAX, &found);
	if (err == 0)
		e = people_holder(p, found, address);
	if (err == ERR_LIMIT || (err == 0 && found->n_entries > 1 && e == NULL)) {
		/* a fault of the directory: neither of the two may get mail of the other */
		log_fault("address_ambiguous", address);
		err = ERR_TEMP;
	}
	if (err == 0 && e == NULL)
		err = ERR_NOTFOUND;
	if (err != 0)
		goto out;
	kind = people_kind_of(p, e);
	r->is_official = kind == PEOPLE_FUNCTIONAL;
	r->is_group = kind == PEOPLE_GROUP;
	if (r->is_group)
		people_may_send_read(p, e, r);
	else
		people_reply_read(p, e, (int64_t)time(NULL), r);
	if (!r->is_group)
		people_moved_read(p, e, address, r);
	if (kind == PEOPLE_GROUP) {
		err = group_expand(&x, e);
		if (err == ERR_LIMIT)
			log_fault("group_too_large", address);
	} else if (kind != PEOPLE_NONE) {
		err = target_add(&x, e, kind);
	}
	if (kind == PEOPLE_NONE || (err == ERR_NOTFOUND && kind != PEOPLE_GROUP)) {
		log_fault("recipient_without_account", address);
		err = ERR_TEMP;
	}
	if (err == 0 && r->n == 0)
		err = ERR_NOTFOUND; /* a group without members */
out:
	set_free(&x.seen);
	tdestroy(x.through, through_free);
	set_free(&x.accounts);
	strings_free(x.level, x.n_level);
	strings_free(x.next, x.n_next);
	strings_free(x.groups.v, x.groups.n);
	dir_result_free(found);
	if (err != 0) {
		people_rcpt_free(r);
		return err;
	}
	*out = r;
	return 0;
}

void
people_rcpt_free(struct people_rcpt *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++) {
		free(r->v[i].account);
		free(r->v[i].address);
		free(r->v[i].name);
	}
	free(r->v);
	people_extras_free(r);
	free(r);
}

/* ---- senders ---- */

static void
assignments_fill(const struct dir_entry *e, struct people_owner *o)
{
	const struct dir_attr *a = dir_entry_attr(e, "vnAssignment");
	struct strings l = {0};

	for (size_t i = 0; a != NULL && i < a->n_values; i++)
		strings_add_take(&l, slice_dup(a->values[i]), PEOPLE_ADDRESSES_MAX);
	o->dn = xstrdup(e->dn);
	o->assignments = l.v;
	o->n_assignments = l.n;
}

/* What the entry had before and nobody else has had since: a certificate, or a From, with what is another's by now is no word of this one's. */
static int
former_fill(
    struct people *p, const struct dir_entry *e, struct strings *all, struct strings *former)
{
	const struct dir_attr *history = dir_entry_attr(e, p->a_history);
	int err = 0;

	/* "address;from;to" */
	for (size_t i = 0; err == 0 && history != NULL && i < history->n_values; i++) {
		struct slice v = history->values[i];
		ptrdiff_t semicolon = slice_index(v, ';');
		char *address;
		bool counts = true;

		if (semicolon >= 0)
			v.len = (size_t)semicolon;
		address = people_address(slice_trim(v));
		if (address == NULL || all->n >= PEOPLE_ADDRESSES_MAX) {
			free(address);
			continue;
		}
		if (!strings_have(all, address))
			err = people_former_counts(p, e, slice_str(address), &counts);
		if (err == 0 && counts) {
			strings_add_take(all, xstrdup(address), PEOPLE_ADDRESSES_MAX);
			strings_add_take(former, address, PEOPLE_ADDRESSES_MAX);
		} else {
			free(address);
		}
	}
	return err;
}

static int
owner_fill(struct people *p, const struct dir_entry *e, struct people_owner *o)
{
	const struct dir_attr *certs = dir_entry_attr(e, p->a_cert);
	const struct dir_attr *may = dir_entry_attr(e, p->a_authority);
	struct strings l = {0}, former = {0}, authorities = {0};
	char account[48];
	int err;

	o->kind = people_kind_of(p, e);
	if (o->kind == PEOPLE_PERSON)
		people_account('p', dir_entry_value(e, p->a_account), account);
	else if (o->kind == PEOPLE_FUNCTIONAL)
		people_account('f', dir_entry_value(e, p->a_func_account), account);
	else
		account[0] = '\0';
	o->account = xstrdup(account);
	o->agency = people_text(e, p->a_agency, "");
	people_addresses(p, e, &l);
	o->n_current = l.n;
	err = former_fill(p, e, &l, &former);
	o->addresses = l.v;
	o->n_addresses = l.n;
	o->former = former.v;
	o->n_former = former.n;
	people_authorities_add(may, &authorities);
	o->authorities = authorities.v;
	o->n_authorities = authorities.n;
	if (o->kind == PEOPLE_PERSON)
		assignments_fill(e, o);
	if (certs == NULL && strchr(p->a_cert, ';') != NULL) {
		/* a server that does not speak of the transfer option (AD) */
		char *plain = strndup(p->a_cert, (size_t)(strchr(p->a_cert, ';') - p->a_cert));

		certs = plain == NULL ? NULL : dir_entry_attr(e, plain);
		free(plain);
	}
	o->certs = xcalloc(certs == NULL ? 1 : certs->n_values + 1, sizeof(*o->certs));
	for (size_t i = 0; certs != NULL && i < certs->n_values; i++) {
		unsigned char *copy = malloc(certs->values[i].len + 1);

		if (copy == NULL)
			break;
		memcpy(copy, certs->values[i].ptr, certs->values[i].len);
		o->certs[o->n_certs++] = slice_of(copy, certs->values[i].len);
	}
	return err;
}

int
people_owner(struct people *p, struct slice address, struct people_owner **out)
{
	struct people_owner *o = xcalloc(1, sizeof(*o));
	enum people_claim most = PEOPLE_CLAIM_NONE;
	const struct dir_entry *best = NULL;
	struct dir_result *r = NULL;
	int err = people_search(p, p->sender_filter, address, p->attrs_owner, HOLDERS_MAX, &r);

	/* whose mail it is comes before whose alias, and that before who had it */
	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		enum people_claim claim = people_claim(p, &r->entries[i], address);

		if (best == NULL || claim > most) {
			best = &r->entries[i];
			most = claim;
		}
	}
	if (err == ERR_NOTFOUND)
		err = 0;
	if (err == 0 && best != NULL)
		err = owner_fill(p, best, o);
	dir_result_free(r);
	if (err != 0) {
		people_owner_free(o);
		return ERR_TEMP;
	}
	*out = o;
	return 0;
}

void
people_owner_free(struct people_owner *o)
{
	if (o == NULL)
		return;
	free(o->account);
	free(o->agency);
	strings_free(o->addresses, o->n_addresses);
	strings_free(o->former, o->n_former);
	strings_free(o->authorities, o->n_authorities);
	strings_free(o->assignments, o->n_assignments);
	free(o->dn);
	for (size_t i = 0; i < o->n_certs; i++)
		free((void *)(uintptr_t)o->certs[i].ptr);
	free(o->certs);
	free(o);
}
