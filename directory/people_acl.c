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

static bool
is_in_force(const struct dir_entry *e)
{
	return assignment_when(dir_entry_value(e, "vnValidFrom"), dir_entry_value(e, "vnValidTo"),
		   time(NULL)) == ASSIGNMENT_NOW;
}

/* "$" and the value of its RDN, as it is: what a client shows. */
static char *
group_identifier(const char *dn)
{
	char *made = NULL;
	struct buf b;

	buf_init(&b, 1024);
	buf_append_byte(&b, '$');
	if (dir_dn_rdn_value(dn, &b) == 0 && dir_value_text(buf_slice(&b)) != NULL)
		made = slice_dup(buf_slice(&b));
	buf_done(&b);
	return made;
}

/* Its login name; of a post or group see above. NULL when it gives nobody anything: it is not there, a post or group is not in force, or, unless it is the
 * owner, somebody has left, who has nothing of others (people_mailboxes). */
static int
identifier_of(struct people *p, const char *dn, bool is_owner, char **out)
{
	const char *const names[] = {p->a_login, p->a_read_until, "vnValidFrom", "vnValidTo"};
	const char **attrs = people_attr_list(names, sizeof(names) / sizeof(names[0]));
	struct dir_result *r = NULL;
	int err = dir_read(p->d, dn, attrs, &r);
	const struct dir_entry *e;

	free(attrs);
	*out = NULL;
	if (err != 0)
		return err == ERR_NOTFOUND ? 0 : err;
	e = &r->entries[0];
	if (dir_entry_value(e, p->a_login).len > 0) {
		if (is_owner || dir_entry_value(e, p->a_read_until).len == 0)
			*out = people_text(e, p->a_login, "");
	} else if (is_in_force(e)) {
		*out = group_identifier(dn);
	}
	dir_result_free(r);
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
		const char *dn = dir_value_text(a->values[i]);
		char *who = NULL;

		if (dn != NULL)
			err = identifier_of(p, dn, false, &who);
		if (who != NULL && *who != '\0')
			ace_add(l, who, rights);
		free(who);
	}
	return err;
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

		err = identifier_of(p, r->entries[0].dn, true, &login);
		if (err == 0 && login != NULL && *login != '\0')
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
