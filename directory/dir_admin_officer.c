/* dir_admin_officer.c: accounts of HR's officers (ou=officers): who writes what belongs to which agencies, from a day to a day. Runs in congvu. An officer is
 * a person, whom roleOccupant names, with an account of its own beside the mailbox's: what opens mail opens nothing of this. The days are the
 * password policy's too (pwdStartTime, pwdEndTime, draft-behera-ldap-password-policy): slapd itself takes no sign-in outside of them. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/escape.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NAME_MAX_LEN = 40, AGENCIES_MAX = 2000 };

static const char *const officer_attrs[] = {"objectClass", "cn", "vnHrOf", "roleOccupant",
    "vnValidFrom", "vnValidTo", "vnDecisionRef", "pwdAccountLockedTime", NULL};

static char *
officer_dn(const struct dir_admin *a, const char *name)
{
	char *dn = NULL;

	/* a name is [0-9a-z.-]: nothing to escape */
	if (asprintf(&dn, "cn=%s,ou=officers,%s", name, dir_base(a->d)) < 0)
		fatal("out of memory");
	return dn;
}

/* ---- which agencies ---- */

/* Adds an agency's code to m, and with below those of all below it that are not closed. */
static int
scope_add(struct dir_admin *a, const char *code, bool below, struct mods *m, char **why_out)
{
	static const char *const attrs[] = {"vnAgencyCode", "vnStatus", NULL};
	const struct agency_cache *g = NULL;
	struct dir_result *r = NULL;
	int err = admin_agency_open(a, code, &g, why_out);

	if (err != 0)
		return err;
	mods_replace(m, "vnHrOf", g->code);
	if (!below)
		return 0;
	err = dir_search(a->d, g->dn, "(objectClass=vnAgency)", attrs, 0, &r);
	if (err != 0)
		return admin_fail(why_out, err, "the directory does not answer");
	for (size_t i = 0; i < r->n_entries; i++) {
		const char *one = admin_value(&r->entries[i], "vnAgencyCode");

		if (!admin_is_over(&r->entries[i]) && strcasecmp(one, g->code) != 0)
			mods_replace(m, "vnHrOf", one);
	}
	dir_result_free(r);
	return 0;
}

static int
scope_of(struct dir_admin *a, const struct officer_add *p, struct mods *m, char **why_out)
{
	int err = p->agencies.n == 0 ? admin_fail(why_out, ERR_SYNTAX, "the agency is missing") : 0;

	for (size_t i = 0; err == 0 && i < p->agencies.n; i++)
		err = scope_add(a, p->agencies.v[i], p->below, m, why_out);
	if (err == 0 && m->n > 0 && m->m[0].n_values > AGENCIES_MAX)
		err = admin_fail(why_out, ERR_LIMIT,
		    "an officer of more than %d agencies: that is central HR", AGENCIES_MAX);
	return err;
}

/* ---- add, remove, list ---- */

/* *out NULL: there is none. */
static int
officer_read(struct dir_admin *a, const char *dn, struct dir_result **out, char **why_out)
{
	int err = dir_read(a->d, dn, officer_attrs, out);

	if (err == 0 &&
	    !dir_entry_has_value(&(*out)->entries[0], "objectClass", slice_str("vnHrOfficer"))) {
		dir_result_free(*out);
		*out = NULL;
		return admin_fail(why_out, ERR_EXISTS, "%s is there, and is no officer", dn);
	}
	return err == 0 || err == ERR_NOTFOUND
		   ? 0
		   : admin_fail(why_out, err, "the directory does not answer");
}

static int
officer_new(struct dir_admin *a, const struct officer_add *p, const char *dn, struct mods *m,
    struct buf *password_out, char **why_out)
{
	int err;

	/* of an entry that is made, each is a value that comes */
	for (size_t i = 0; i < m->n; i++)
		m->m[i].op = DIR_MOD_ADD;
	mods_str(m, "objectClass", "organizationalRole");
	mods_str(m, "objectClass", "simpleSecurityObject");
	mods_str(m, "objectClass", "vnHrOfficer");
	mods_str(m, "cn", p->name);
	mods_str(m, "vnDecisionRef", a->decision);
	if (p->from == NULL)
		mods_now(m, "vnValidFrom");
	dir_admin_password_make(password_out);
	err = admin_password_user(a, buf_slice(password_out), m, why_out);
	if (err == 0)
		err = admin_add(a, dn, m, why_out);
	if (err != 0 || a->dry_run)
		buf_wipe(password_out);
	return err;
}

/* A day that is not said any more goes. */
static void
days_put(struct mods *m, const struct dir_entry *e, const char *from, const char *until)
{
	if (*from != '\0') {
		mods_replace(m, "vnValidFrom", from);
		mods_replace(m, "pwdStartTime", from);
	}
	if (*until != '\0' || (e != NULL && dir_entry_attr(e, "vnValidTo") != NULL)) {
		mods_replace(m, "vnValidTo", *until == '\0' ? NULL : until);
		mods_replace(m, "pwdEndTime", *until == '\0' ? NULL : until);
	}
}

int
dir_admin_officer_add(struct dir_admin *a, const struct officer_add *p, struct buf *password_out,
    enum change *change_out, char **why_out)
{
	char from[20] = "", until[20] = "", *dn = NULL;
	struct dir_result *r = NULL;
	struct subject s = {0};
	bool created = false;
	struct mods m;
	int err = admin_check_id("the officer", p->name, NAME_MAX_LEN, why_out);

	if (err == 0 && p->who == NULL)
		err = admin_fail(why_out, ERR_SYNTAX, "who is the officer? --who");
	if (err == 0)
		err = admin_days(p->from, p->until, from, until, why_out);
	if (err == 0)
		err = admin_begin(
		    a, "officer add", p->name, p->decision == NULL ? "" : p->decision, why_out);
	if (err != 0)
		return err;
	mods_init(&m);
	dn = officer_dn(a, p->name);
	err = scope_of(a, p, &m, why_out);
	if (err == 0)
		err = admin_subject(a, p->who, SUBJECT_PERSON, &s, why_out);
	if (err == 0 && admin_is_over(s.e))
		err = admin_fail(
		    why_out, ERR_GONE, "%s has left the service", admin_value(s.e, "vnStaffId"));
	if (err == 0)
		err = officer_read(a, dn, &r, why_out);
	if (err == 0) {
		const struct dir_entry *e = r == NULL ? NULL : &r->entries[0];

		mods_replace(&m, "roleOccupant", s.e->dn);
		days_put(&m, e, from, until);
		created = e == NULL;
		if (created)
			err = officer_new(a, p, dn, &m, password_out, why_out);
		else if (dir_entry_attr(e, "roleOccupant") != NULL &&
			 !admin_is_dn(admin_value(e, "roleOccupant"), s.e->dn))
			/* the password is the other one's */
			err = admin_fail(why_out, ERR_EXISTS,
			    "the officer %s is somebody else: congvu officer remove first",
			    p->name);
		else
			err = admin_modify(a, dn, &m, why_out);
	}
	mods_done(&m);
	subject_done(&s);
	dir_result_free(r);
	free(dn);
	return admin_end(a, err, created, change_out, why_out);
}

int
dir_admin_officer_remove(struct dir_admin *a, const char *name, const char *decision,
    enum change *change_out, char **why_out)
{
	int err = admin_check_id("the officer", name, NAME_MAX_LEN, why_out);
	struct dir_result *r = NULL;
	char *dn;

	if (err == 0)
		err = admin_begin(
		    a, "officer remove", name, decision == NULL ? "" : decision, why_out);
	if (err != 0)
		return err;
	dn = officer_dn(a, name);
	err = officer_read(a, dn, &r, why_out);
	if (err == 0 && r != NULL) /* or it is given again */
		err = admin_delete(a, &r->entries[0], why_out);
	dir_result_free(r);
	free(dn);
	return admin_end(a, err, false, change_out, why_out);
}

int
dir_admin_officers(struct dir_admin *a, struct dir_result **out, char **why_out)
{
	return admin_find(a, "(objectClass=vnHrOfficer)", "", officer_attrs, 0, out, why_out);
}

int
admin_officers_end(struct dir_admin *a, const char *dn, enum rights_scope scope, const char *agency,
    char **why_out)
{
	struct dir_result *r = NULL;
	int err = admin_find(
	    a, "(&(objectClass=vnHrOfficer)(roleOccupant=%d))", dn, officer_attrs, 0, &r, why_out);

	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];
		const struct dir_attr *of = dir_entry_attr(e, "vnHrOf");
		bool ends = scope == RIGHTS_ALL;

		for (size_t k = 0; scope == RIGHTS_AT_AGENCY && of != NULL && k < of->n_values; k++)
			ends = ends || slice_caseeq_str(of->values[k], agency);
		admin_effect_add(a, "officer", e->dn, ends ? "ends" : "stays");
		if (ends)
			err = admin_delete(a, e, why_out);
	}
	dir_result_free(r);
	return err;
}

int
admin_officers_lock(struct dir_admin *a, const char *dn, bool lock, char **why_out)
{
	/* draft-behera-ldap-password-policy 5.3.3: this value is for ever */
	static const char for_ever[] = "000001010000Z";
	struct dir_result *r = NULL;
	int err = admin_find(
	    a, "(&(objectClass=vnHrOfficer)(roleOccupant=%d))", dn, officer_attrs, 0, &r, why_out);

	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		struct mods m;

		mods_init(&m);
		mods_replace(&m, "pwdAccountLockedTime", lock ? for_ever : NULL);
		err = admin_modify(a, r->entries[i].dn, &m, why_out);
		mods_done(&m);
	}
	dir_result_free(r);
	return err;
}
