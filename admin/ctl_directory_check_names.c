/* ctl_directory_check_names.c: what people are found by: addresses and login names with one owner each, none of another's of the last ten years;
 * names shown, and their folded twins, which mail clients search. Runs in congvu. With --repair the last two are filled in. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ctl_directory_tree.h"
#include "directory/assignment.h"
#include "directory/dir_admin.h"
#include "lib/err.h"
#include "lib/log.h"

enum { PROTECTED_DAYS = 3653 /* ten years */, MISSING_MAX = 8 };

/* ---- addresses ---- */

struct claim {
	char *key; /* small letters */
	const struct dir_entry *e;
	bool former;
};
struct claims {
	struct claim *v;
	size_t n, room;
};

static void
claim_add(struct claims *c, struct slice value, const struct dir_entry *e, bool former)
{
	struct claim *k;

	if (value.len == 0)
		return;
	if (c->n == c->room) {
		c->room = c->room == 0 ? 1024 : c->room * 2;
		c->v = xrealloc(c->v, c->room * sizeof(*c->v));
	}
	k = &c->v[c->n++];
	k->key = slice_dup(value);
	if (k->key == NULL)
		fatal("out of memory");
	for (char *p = k->key; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	k->e = e;
	k->former = former;
}

static void
claims_of(struct claims *c, const struct dir_entry *e, const char *attr, bool former, int64_t now)
{
	const struct dir_attr *a = dir_entry_attr(e, attr);

	for (size_t i = 0; a != NULL && i < a->n_values; i++) {
		struct slice v = a->values[i];
		int64_t to = former ? assignment_time(tree_field(v, 2)) : 0;

		if (!former)
			claim_add(c, v, e, false);
		else if (to == 0 || to + PROTECTED_DAYS * 86400LL > now)
			claim_add(c, tree_field(v, 0), e, true);
	}
}

static int
claim_cmp(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int c = strcmp(x->key, y->key);

	return c != 0 ? c : x->former - y->former;
}

/* Claims [from, to) are for one address, the present ones first. */
static void
claims_judge(struct tree_check *x, const struct claims *c, size_t from, size_t to, const char *what)
{
	const struct claim *first = &c->v[from];

	for (size_t i = from + 1; i < to && !first->former; i++) {
		const struct claim *k = &c->v[i];

		if (k->e == first->e)
			continue;
		if (k->former)
			tree_tell(x, BAD, "address-protected", first->e,
			    _("%s was the address of %s less than ten years ago: give another "
			      "one"),
			    k->key, k->e->dn);
		else if (strcmp(what, "abbrev-doubled") == 0)
			tree_tell(x, WARN, what, first->e,
			    _("%s is the abbreviation of %s too, and their people look alike: "
			      "congvu agency rename --abbrev"),
			    (const char *)dir_entry_value(first->e, "vnAgencyAbbrev").ptr,
			    k->e->dn);
		else
			tree_tell(x, BAD, what, first->e,
			    _("%s belongs to %s too: take it away from one of them"), k->key,
			    k->e->dn);
	}
}

static void
claims_check(struct tree_check *x, struct claims *c, const char *what)
{
	size_t to;

	if (c->n > 0)
		qsort(c->v, c->n, sizeof(*c->v), claim_cmp);
	for (size_t from = 0; from < c->n; from = to) {
		to = from + 1;
		while (to < c->n && strcmp(c->v[to].key, c->v[from].key) == 0)
			to++;
		claims_judge(x, c, from, to, what);
	}
	for (size_t i = 0; i < c->n; i++)
		free(c->v[i].key);
	free(c->v);
}

/* An alias is an address: a login name, or one with a kind as Active Directory's have it ("smtp:"), is none. */
static void
check_aliases(struct tree_check *x, const struct dir_entry *e)
{
	const struct dir_attr *a = dir_entry_attr(e, "vnMailAlias");

	for (size_t i = 0; a != NULL && i < a->n_values; i++)
		if (slice_index(a->values[i], '@') < 0 || slice_index(a->values[i], ':') >= 0)
			tree_tell(x, BAD, "alias-no-address", e,
			    _("the alias %s is no address: take it away"),
			    (const char *)a->values[i].ptr);
}

static void
check_addresses(struct tree_check *x)
{
	struct claims addresses = {0}, logins = {0}, abbrevs = {0};

	for (int p = 0; p < TREE_PARTS; p++)
		for (size_t i = 0; i < tree_count(x->t, (enum tree_part)p); i++) {
			const struct dir_entry *e = &x->t->part[p]->entries[i];

			claims_of(&addresses, e, "mail", false, x->t->now);
			claims_of(&addresses, e, "vnMailAlias", false, x->t->now);
			claims_of(&addresses, e, "vnAddressHistory", true, x->t->now);
			check_aliases(x, e);
			if (p == TREE_AGENCIES && tree_is_active(e))
				claims_of(&abbrevs, e, "vnAgencyAbbrev", false, x->t->now);
			/* a login name that looks like an address: nobody else's */
			if (p == TREE_PEOPLE && slice_index(dir_entry_value(e, "uid"), '@') >= 0)
				claims_of(&addresses, e, "uid", false, x->t->now);
			if (p == TREE_PEOPLE)
				claims_of(&logins, e, "uid", false, x->t->now);
			if (p == TREE_PEOPLE && tree_is_active(e) &&
			    dir_entry_attr(e, "mail") == NULL)
				tree_tell(x, WARN, "no-address", e,
				    _("a person without mail: neither receives nor sends"));
		}
	claims_check(x, &addresses, "address-doubled");
	claims_check(x, &logins, "login-doubled");
	claims_check(x, &abbrevs, "abbrev-doubled");
}

/* ---- folded texts and names shown ---- */

static const char *const folded_attrs[TREE_PARTS][6] = {
    [TREE_PEOPLE] = {"cn", "sn", "givenName", "displayName", "title"},
    [TREE_MAILBOXES] = {"cn", "displayName"},
    [TREE_GROUPS] = {"cn", "displayName"},
    [TREE_AGENCIES] = {"ou", "displayName"},
    [TREE_POSTS] = {"cn"},
};

struct missing {
	struct dir_mod mods[MISSING_MAX];
	char *names[MISSING_MAX], *texts[MISSING_MAX];
	struct slice values[MISSING_MAX];
	size_t n;
};

static void
missing_add(struct missing *m, const char *attr, const char *option, struct slice text)
{
	size_t i = m->n;

	if (i == MISSING_MAX)
		return;
	if (asprintf(&m->names[i], "%s%s", attr, option) < 0)
		fatal("out of memory");
	m->texts[i] = slice_dup(text);
	m->values[i] = slice_str(m->texts[i]);
	m->mods[i] = (struct dir_mod){DIR_MOD_ADD, m->names[i], &m->values[i], 1};
	m->n++;
}

static void
folded_missing(const struct dir_entry *e, const char *attr, struct missing *m)
{
	const struct dir_attr *a = dir_entry_attr(e, attr);
	char *twin = NULL;
	struct buf b;

	buf_init(&b, 65536);
	if (asprintf(&twin, "%s;x-fold", attr) < 0)
		fatal("out of memory");
	for (size_t i = 0; a != NULL && i < a->n_values; i++)
		if (tree_folded(a->values[i], &b) && !dir_entry_has_value(e, twin, buf_slice(&b)))
			missing_add(m, attr, ";x-fold", buf_slice(&b));
	free(twin);
	buf_done(&b);
}

/* "Trần Văn Bình (SKHCN)", or the name alone; malloc'd. */
static char *
display_of(const struct tree *t, const struct dir_entry *e, enum tree_part part)
{
	const struct dir_entry *agency = tree_agency(t, dir_entry_value(e, "vnAgencyRef"));
	struct slice name = dir_entry_value(e, part == TREE_AGENCIES ? "ou" : "cn"),
		     abbrev = agency == NULL ? slice_of(NULL, 0)
					     : dir_entry_value(agency, "vnAgencyAbbrev");
	char *text = NULL;

	if (part != TREE_PEOPLE || abbrev.len == 0)
		return slice_dup(name);
	if (asprintf(&text, "%.*s (%.*s)", (int)name.len, (const char *)name.ptr, (int)abbrev.len,
		(const char *)abbrev.ptr) < 0)
		fatal("out of memory");
	return text;
}

static void
check_display(
    struct tree_check *x, const struct dir_entry *e, enum tree_part part, struct missing *m)
{
	char *wanted = display_of(x->t, e, part);
	struct slice have = dir_entry_value(e, "displayName");
	struct buf b;

	buf_init(&b, 65536);
	if (have.len == 0) {
		tree_tell(x, WARN, "no-display", e,
		    _("without displayName, clients show names the wrong way round: it should be "
		      "\"%s\" (--repair)"),
		    wanted);
		missing_add(m, "displayName", "", slice_str(wanted));
		if (tree_folded(slice_str(wanted), &b))
			missing_add(m, "displayName", ";x-fold", buf_slice(&b));
	} else if (part == TREE_PEOPLE && !slice_eq_str(have, wanted) &&
		   tree_agency(x->t, dir_entry_value(e, "vnAgencyRef")) != NULL) {
		tree_tell(x, WARN, "display-differs", e,
		    _("is shown as \"%s\", and name and agency make \"%s\""),
		    (const char *)have.ptr, wanted);
	}
	buf_done(&b);
	free(wanted);
}

static void
check_texts(struct tree_check *x, const struct dir_entry *e, enum tree_part part)
{
	struct missing m = {.n = 0};
	size_t folded;
	char *why = NULL;

	for (size_t i = 0; folded_attrs[part][i] != NULL; i++)
		folded_missing(e, folded_attrs[part][i], &m);
	folded = m.n;
	if (folded == 1)
		tree_tell(x, WARN, "not-folded", e,
		    _("%s has no folded twin beside it: names are not found without marks "
		      "(--repair)"),
		    m.names[0]);
	else if (folded > 1)
		tree_tell(x, WARN, "not-folded", e,
		    _("%s and %zu more texts have no folded twin beside them: names are not found "
		      "without marks (--repair)"),
		    m.names[0], folded - 1);
	if (part != TREE_POSTS)
		check_display(x, e, part, &m);
	if (m.n > 0 && x->repair != NULL) {
		int err = dir_admin_complete(x->repair, e->dn, m.mods, m.n, &why);

		if (err == 0)
			x->repaired++;
		else
			tree_tell(x, BAD, "repair", e, "%s", why != NULL ? why : err_name(err));
		free(why);
	}
	for (size_t i = 0; i < m.n; i++) {
		free(m.names[i]);
		free(m.texts[i]);
	}
}

void
tree_check_names(struct tree_check *x)
{
	check_addresses(x);
	for (int p = 0; p < TREE_PARTS; p++)
		for (size_t i = 0;
		     folded_attrs[p][0] != NULL && i < tree_count(x->t, (enum tree_part)p); i++)
			check_texts(x, &x->t->part[p]->entries[i], (enum tree_part)p);
}
