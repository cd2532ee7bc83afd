/* ctl_directory_tree.c: reads the whole tree and finds entries in it. Runs in congvu. */
#include "config.h"

#include "admin/ctl_directory_tree.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "lib/err.h"
#include "lib/fold.h"
#include "lib/log.h"

#define FOLDED(attr) attr, attr ";x-fold"

static const struct {
	const char *filter;
	const char *attrs[32];
} parts[TREE_PARTS] = {
    [TREE_PEOPLE] = {"(objectClass=vnCivilServant)",
	{"vnStaffId", "uid", "mail", "vnMailAlias", "vnAddressHistory", FOLDED("cn"), FOLDED("sn"),
	    FOLDED("givenName"), FOLDED("displayName"), FOLDED("title"), "vnAgencyRef",
	    "vnConcurrentAgency", "vnAssignment", "vnSigningAuthority", "vnRole", "vnStatus",
	    "vnValidTo", "vnReadUntil", "vnAutoReplyFrom", "vnAutoReplyUntil", "employeeNumber"}},
    [TREE_MAILBOXES] = {"(objectClass=vnFunctionalMailbox)",
	{"vnMailboxId", "mail", "vnMailAlias", "vnAddressHistory", FOLDED("cn"),
	    FOLDED("displayName"), "vnAgencyRef", "vnHolder", "vnDelegate", "vnReader", "vnStatus",
	    "vnValidFrom", "vnValidTo"}},
    [TREE_GROUPS] = {"(objectClass=groupOfNames)",
	{FOLDED("cn"), FOLDED("displayName"), "mail", "vnMailAlias", "vnAddressHistory",
	    "vnAgencyRef", "member", "vnMemberAgency", "vnMemberKind", "vnMemberTitle",
	    "vnMemberRole", "vnStatus", "vnValidFrom", "vnValidTo"}},
    [TREE_AGENCIES] = {"(objectClass=vnAgency)",
	{"vnAgencyCode", FOLDED("ou"), FOLDED("displayName"), "vnAgencyAbbrev", "vnAgencyKind",
	    "vnAddressHistory", "vnPredecessor", "vnSuccessor", "vnStatus", "vnValidTo"}},
    [TREE_POSTS] = {"(objectClass=vnPosition)",
	{"vnPositionCode", FOLDED("cn"), "vnAgencyRef", "roleOccupant", "vnSigningAuthority",
	    "vnStatus", "vnValidFrom", "vnValidTo"}},
    [TREE_DELEGATIONS] = {"(objectClass=vnDelegation)",
	{"vnDelegator", "vnDelegateTo", "vnAgencyRef", "vnRights", "vnValidFrom", "vnValidTo",
	    "vnStatus", "vnDecisionRef"}},
    [TREE_RECORDS] = {"(objectClass=vnAddressRecord)", {"vnAddressHistory", "owner"}},
    [TREE_OFFICERS] = {"(objectClass=vnHrOfficer)",
	{"vnHrOf", "roleOccupant", "vnValidFrom", "vnValidTo"}},
};

static int
row_cmp(const void *a, const void *b)
{
	const struct tree_row *x = a, *y = b;

	return strcmp(x->key, y->key);
}

static const struct tree_row *
row_find(const struct tree_index *i, const char *key)
{
	const struct tree_row wanted = {.key = key};

	return i->n == 0 ? NULL : bsearch(&wanted, i->v, i->n, sizeof(*i->v), row_cmp);
}

static char *
lowered(struct slice v)
{
	char *s = slice_dup(v);

	if (s == NULL)
		fatal("out of memory");
	for (char *c = s; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return s;
}

/* An index of a part by one of its attributes; the keys, NULL behind the last, are the caller's. */
static char **
index_attr(const struct tree *t, enum tree_part part, const char *attr, struct tree_index *out)
{
	size_t n = tree_count(t, part);
	char **keys = xcalloc(n + 1, sizeof(*keys));

	out->v = xcalloc(n + 1, sizeof(*out->v));
	for (size_t i = 0; i < n; i++) {
		const struct dir_entry *e = &t->part[part]->entries[i];

		keys[i] = lowered(dir_entry_value(e, attr));
		out->v[out->n++] = (struct tree_row){keys[i], e, part};
	}
	qsort(out->v, out->n, sizeof(*out->v), row_cmp);
	return keys;
}

static void
index_make(struct tree *t)
{
	size_t n = 0;

	for (int p = 0; p < TREE_PARTS; p++)
		n += tree_count(t, (enum tree_part)p);
	t->dn.v = xcalloc(n + 1, sizeof(*t->dn.v));
	for (int p = 0; p < TREE_PARTS; p++)
		for (size_t i = 0; i < tree_count(t, (enum tree_part)p); i++) {
			const struct dir_entry *e = &t->part[p]->entries[i];

			t->dn.v[t->dn.n++] = (struct tree_row){e->dn_norm, e, (enum tree_part)p};
		}
	qsort(t->dn.v, t->dn.n, sizeof(*t->dn.v), row_cmp);
	t->codes = index_attr(t, TREE_AGENCIES, "vnAgencyCode", &t->code);
	t->posts = index_attr(t, TREE_POSTS, "vnPositionCode", &t->post);
}

int
tree_load(struct dir *d, struct tree *t)
{
	int err = 0;

	memset(t, 0, sizeof(*t));
	t->now = time(NULL);
	for (int p = 0; err == 0 && p < TREE_PARTS; p++)
		err = dir_search(d, NULL, parts[p].filter, parts[p].attrs, 0, &t->part[p]);
	if (err == 0)
		index_make(t);
	return err;
}

static void
keys_free(char **keys)
{
	for (size_t i = 0; keys != NULL && keys[i] != NULL; i++)
		free(keys[i]);
	free(keys);
}

void
tree_done(struct tree *t)
{
	keys_free(t->codes);
	keys_free(t->posts);
	free(t->code.v);
	free(t->post.v);
	free(t->dn.v);
	for (int p = 0; p < TREE_PARTS; p++)
		dir_result_free(t->part[p]);
	memset(t, 0, sizeof(*t));
}

size_t
tree_count(const struct tree *t, enum tree_part part)
{
	return t->part[part] == NULL ? 0 : t->part[part]->n_entries;
}

const struct tree_row *
tree_by_dn(const struct tree *t, const char *dn)
{
	char *norm = dir_dn_norm(dn);
	const struct tree_row *row = norm == NULL ? NULL : row_find(&t->dn, norm);

	free(norm);
	return row;
}

static const struct dir_entry *
by_code(const struct tree_index *index, struct slice code)
{
	char *key = lowered(code);
	const struct tree_row *row = row_find(index, key);

	free(key);
	return row == NULL ? NULL : row->e;
}

const struct dir_entry *
tree_agency(const struct tree *t, struct slice code)
{
	return by_code(&t->code, code);
}

const struct dir_entry *
tree_post(const struct tree *t, struct slice code)
{
	return by_code(&t->post, code);
}

const struct tree_row *
tree_above(const struct tree *t, const struct dir_entry *e)
{
	const char *p = e->dn_norm;

	/* RFC 4514: a comma in a value is escaped */
	while (*p != '\0' && *p != ',')
		p += *p == '\\' && p[1] != '\0' ? 2 : 1;
	return *p == '\0' ? NULL : row_find(&t->dn, p + 1);
}

bool
tree_is_active(const struct dir_entry *e)
{
	struct slice status = dir_entry_value(e, "vnStatus");

	return !slice_caseeq_str(status, "closed") && !slice_caseeq_str(status, "retired") &&
	       !slice_caseeq_str(status, "suspended");
}

struct slice
tree_field(struct slice v, unsigned number)
{
	for (;; number--) {
		ptrdiff_t end = slice_index(v, ';');

		if (number == 0)
			return slice_sub(v, 0, end < 0 ? v.len : (size_t)end);
		if (end < 0)
			return slice_of(NULL, 0);
		v = slice_from(v, (size_t)end + 1);
	}
}

bool
tree_folded(struct slice text, struct buf *out)
{
	buf_reset(out);
	return vn_ascii(text, out) == 0 && !slice_eq(buf_slice(out), text);
}
