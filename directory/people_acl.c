/* people_acl.c: who has which rights in an account, as the directory has it: the owner, rosters, delegations in force. For IMAP's GETACL; runs in lookup's
 * workers. RFC 4314. */
#include "config.h"

#include "directory/people_priv.h"

#include "directory/assignment.h"
#include "directory/escape.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Its login name; of a post or group "$" and the value of its RDN. NULL when it is not there. */
static int
identifier_of(struct people *p, const char *dn, char **out)
{
	const char *const attrs[] = {p->a_login, NULL};
	struct dir_result *r = NULL;
	struct buf b;
	int err = dir_read(p->d, dn, attrs, &r);

	*out = NULL;
	if (err == ERR_NOTFOUND)
		return 0;
	if (err != 0)
		return err;
	*out = people_text(&r->entries[0], p->a_login, "");
	dir_result_free(r);
	if (**out != '\0')
		return 0;
	free(*out);
	*out = NULL;
	buf_init(&b, 1024);
	if (dir_dn_rdn_filter(dn, &b) == 0) {
		struct slice s = slice_sub(buf_slice(&b), 0, b.len - 1);
		ptrdiff_t eq = slice_index(s, '=');

		s = slice_from(s, (size_t)eq + 1);
		*out = xcalloc(s.len + 2, 1);
		(*out)[0] = '$';
		memcpy(*out + 1, s.ptr, s.len);
	}
	buf_done(&b);
	return 0;
}

static void
ace_add(struct people_acl *l, const char *identifier, const char *rights)
{
	size_t i = 0;

	while (i < l->n && strcmp(l->v[i].identifier, identifier) != 0)
		i++;
	if (i == PEOPLE_ACL_MAX)
		return;
	if (i == l->n)
		l->v[l->n++].identifier = xstrdup(identifier);
	people_rights_merge(l->v[i].rights, rights);
}

static int
named_add(struct people *p, const struct dir_entry *e, const char *attr, const char *rights,
    struct people_acl *l)
{
	const struct dir_attr *a = dir_entry_attr(e, attr);
	int err = 0;

	for (size_t i = 0; a != NULL && err == 0 && i < a->n_values && i < PEOPLE_ACL_MAX; i++) {
		char *who = NULL;

		err = identifier_of(p, (const char *)a->values[i].ptr, &who);
		if (who != NULL)
			ace_add(l, who, rights);
		free(who);
	}
	return err;
}

static bool
is_in_force(const struct dir_entry *e)
{
	return assignment_when(dir_entry_value(e, "vnValidFrom"), dir_entry_value(e, "vnValidTo"),
		   time(NULL)) == ASSIGNMENT_NOW;
}

/* Those that are in force now. */
static int
delegated_add(struct people *p, const char *dn, struct people_acl *l)
{
	static const char *const attrs[] = {
	    "vnDelegateTo", "vnRights", "vnValidFrom", "vnValidTo", NULL};
	struct dir_result *r = NULL;
	struct buf f;
	int err;

	if (*p->delegation_filter == '\0')
		return 0;
	buf_init(&f, 8192);
	err = escape_template("(&(objectClass=vnDelegation)(!(vnStatus=closed))(vnDelegator=%d))",
	    slice_of(NULL, 0), slice_str(dn), &f);
	if (err == 0)
		err = dir_search(p->d, NULL, buf_cstr(&f), attrs, 0, &r);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];
		char rights[24] = "";
		bool ignored = false;

		if (!is_in_force(e))
			continue;
		people_rights_parse(dir_entry_value(e, "vnRights"), rights, &ignored);
		err = named_add(p, e, "vnDelegateTo", rights, l);
	}
	dir_result_free(r);
	buf_done(&f);
	return err;
}

/* Who has left has what PEOPLE_READER gives, for as long as that lasts. */
static void
owner_add(
    const struct people *p, const struct dir_entry *e, const char *login, struct people_acl *l)
{
	struct slice until = dir_entry_value(e, p->a_read_until);

	if (until.len == 0)
		ace_add(l, login, "lrswipkxtea");
	else if (assignment_when(slice_of(NULL, 0), until, time(NULL)) == ASSIGNMENT_NOW)
		ace_add(l, login, PEOPLE_READER);
}

int
people_acl(struct people *p, struct slice account, struct people_acl **out)
{
	struct people_acl *l = xcalloc(1, sizeof(*l));
	struct dir_result *r = NULL;
	int err = people_by_account(p, account, &r);

	if (err == 0 && slice_starts(account, "p-")) {
		char *login = NULL;

		err = identifier_of(p, r->entries[0].dn, &login);
		if (err == 0 && login != NULL)
			owner_add(p, &r->entries[0], login, l);
		free(login);
	}
	for (size_t i = 0; err == 0 && slice_starts(account, "f-") && is_in_force(&r->entries[0]) &&
			   i < p->n_roster;
	     i++)
		err = named_add(p, &r->entries[0], p->roster[i].attr, p->roster[i].rights, l);
	if (err == 0)
		err = delegated_add(p, r->entries[0].dn, l);
	dir_result_free(r);
	if (err != 0) {
		people_acl_free(l);
		return err == ERR_NOTFOUND ? err : ERR_TEMP;
	}
	*out = l;
	return 0;
}

void
people_acl_free(struct people_acl *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].identifier);
	free(l);
}
