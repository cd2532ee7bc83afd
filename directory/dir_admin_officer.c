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
#include <time.h>

enum { NAME_MAX_LEN = 40, AGENCIES_MAX = 2000 };

static const char *const officer_attrs[] = {"objectClass", "cn", "vnHrOf", "roleOccupant",
    "vnValidFrom", "vnValidTo", "vnDecisionRef", "pwdAccountLockedTime", NULL};

char *
dir_admin_officer_dn(const struct dir_admin *a, const char *name)
{
	char *dn = NULL;

	/* a name is [0-9a-z.-], or nothing is done with it: nothing to escape */
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

/* ---- who signs in with one ---- */

bool
admin_is_officer(const struct dir_admin *a)
{
	char *as = a->as == NULL ? NULL : dir_dn_norm(a->as), *below = NULL, *tail = NULL;
	bool is;

	if (asprintf(&below, "ou=officers,%s", dir_base(a->d)) < 0)
		fatal("out of memory");
	tail = dir_dn_norm(below);
	is = as != NULL && tail != NULL && strlen(as) > strlen(tail) &&
	     as[strlen(as) - strlen(tail) - 1] == ',' &&
	     strcmp(as + strlen(as) - strlen(tail), tail) == 0;
	free(as);
	free(below);
	free(tail);
	return is;
}

/* The own account, when it is an officer's; *out NULL: it is none, or not to be seen. */
static int
own_account(struct dir_admin *a, struct dir_result **out, char **why_out)
{
	static const char *const attrs[] = {"vnHrOf", "roleOccupant", NULL};
	int err = admin_is_officer(a) ? dir_read(a->d, a->as, attrs, out) : 0;

	return err == 0 || err == ERR_NOTFOUND
		   ? 0
		   : admin_fail(why_out, err, "the directory does not answer");
}

/* An officer sees no account but the own one: whether there is one of a name is not said. */
static int
central_only(const struct dir_admin *a, char **why_out)
{
	return admin_is_officer(a)
		   ? admin_fail(why_out, ERR_DENIED,
			 "officers' accounts are made and ended by central HR alone "
			 "(admin_bind_dn)")
		   : 0;
}

int
admin_not_oneself(struct dir_admin *a, const char *dn, char **why_out)
{
	struct dir_result *r = NULL;
	int err = own_account(a, &r, why_out);

	if (err == 0 && r != NULL && admin_is_dn(admin_value(&r->entries[0], "roleOccupant"), dn))
		err = admin_fail(why_out, ERR_DENIED,
		    "it is the person of your own account: ask central HR; nothing was changed");
	dir_result_free(r);
	return err;
}

int
admin_officer_over(struct dir_admin *a, struct slice agency, char **why_out)
{
	const struct dir_attr *of;
	struct dir_result *r = NULL;
	bool is = false;
	int err = own_account(a, &r, why_out);

	if (err != 0 || r == NULL)
		return err;
	of = dir_entry_attr(&r->entries[0], "vnHrOf");
	for (size_t i = 0; of != NULL && i < of->n_values; i++)
		is = is || slice_caseeq(of->values[i], agency);
	if (!is)
		err = admin_fail(why_out, ERR_DENIED,
		    "%.*s is none of the agencies of your account: ask its officer, or central HR",
		    (int)agency.len, (const char *)agency.ptr);
	dir_result_free(r);
	return err;
}

/* The agencies that a write gives the entry to, or (new) makes it of. */
static int
given_may(struct dir_admin *a, const struct mods *m, bool new, char **why_out)
{
	int err = 0;

	for (size_t i = 0; m != NULL && err == 0 && i < m->n; i++) {
		const struct dir_mod *one = &m->m[i];

		for (size_t k = 0; err == 0 && k < one->n_values; k++) {
			if (strcasecmp(one->name, "vnAgencyRef") == 0 && one->op != DIR_MOD_DELETE)
				err = admin_officer_over(a, one->values[k], why_out);
			else if (new &&strcasecmp(one->name, "objectClass") == 0 &&
				 slice_caseeq_str(one->values[k], "vnAgency"))
				err = admin_fail(why_out, ERR_DENIED,
				    "agencies are made and changed by central HR alone");
		}
	}
	return err;
}

int
admin_officer_may(
    struct dir_admin *a, const char *dn, const struct mods *m, bool new, char **why_out)
{
	static const char *const attrs[] = {"objectClass", "vnAgencyRef", NULL};
	struct dir_result *r = NULL;
	struct slice of;
	int err;

	if (!admin_is_officer(a))
		return 0;
	err = new ? ERR_NOTFOUND : dir_read(a->d, dn, attrs, &r);
	if (err == 0) {
		of = dir_entry_value(&r->entries[0], "vnAgencyRef");
		if (dir_entry_has_value(&r->entries[0], "objectClass", slice_str("vnAgency")))
			err = admin_fail(why_out, ERR_DENIED,
			    "agencies are made and changed by central HR alone");
		else if (of.len > 0) /* of nobody's are the counter of ids, and such */
			err = admin_officer_over(a, of, why_out);
	} else if (err == ERR_NOTFOUND) {
		err = 0; /* one that this run has only thought of */
	} else {
		err = admin_fail(why_out, err, "the directory does not answer");
	}
	dir_result_free(r);
	return err != 0 ? err : given_may(a, m, new, why_out);
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

/* Both are as they are given now: a last day that is not said goes, and without a first one the account begins now, unless it has. */
static void
days_put(struct mods *m, const struct dir_entry *e, const char *from, const char *until)
{
	char now[20];

	if (*from != '\0') {
		mods_replace(m, "vnValidFrom", from);
		mods_replace(m, "pwdStartTime", from);
	} else if (e != NULL && assignment_when(dir_entry_value(e, "vnValidFrom"),
				    slice_of(NULL, 0), time(NULL)) == ASSIGNMENT_LATER) {
		admin_now(now);
		mods_replace(m, "vnValidFrom", now);
		mods_replace(m, "pwdStartTime", NULL);
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
		err = central_only(a, why_out);
	if (err == 0)
		err = admin_begin(
		    a, "officer add", p->name, p->decision == NULL ? "" : p->decision, why_out);
	if (err != 0)
		return err;
	mods_init(&m);
	dn = dir_admin_officer_dn(a, p->name);
	err = scope_of(a, p, &m, why_out);
	if (err == 0)
		err = admin_subject(a, p->who, SUBJECT_PERSON, &s, why_out);
	if (err == 0 && admin_is_over(s.e))
		err = admin_fail(
		    why_out, ERR_GONE, "%s has left the service", admin_value(s.e, "vnStaffId"));
	/* the account would be open: a freeze locks those that are there */
	if (err == 0 && strcasecmp(admin_value(s.e, "vnStatus"), "suspended") == 0)
		err = admin_fail(why_out, ERR_CONFLICT, "%s is frozen: congvu staff unfreeze first",
		    admin_value(s.e, "vnStaffId"));
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
		err = central_only(a, why_out);
	if (err == 0)
		err = admin_begin(
		    a, "officer remove", name, decision == NULL ? "" : decision, why_out);
	if (err != 0)
		return err;
	dn = dir_admin_officer_dn(a, name);
	err = officer_read(a, dn, &r, why_out);
	/* a name that is mistyped leaves the account open that was meant */
	if (err == 0 && r == NULL)
		err = admin_fail(
		    why_out, ERR_NOTFOUND, "there is no account of this name here: %s", name);
	if (err == 0)
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
