/* dir_admin_delegate.c: a person's or mailbox's rights for another person, post or group, from a day to a day. Runs in congvu. One delegation between two
 * that is not closed; a closed one stays in the directory. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/escape.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const delegation_attrs[] = {"vnDelegationId", "vnDelegator", "vnDelegateTo",
    "vnRights", "vnValidFrom", "vnValidTo", "vnStatus", "vnDecisionRef", NULL};

struct ends {
	struct subject from, to;
};

/* Both ends, as a change that has begun. */
static int
ends_begin(struct dir_admin *a, const char *op, const char *from, const char *to,
    const char *decision, struct ends *x, char **why_out)
{
	int err = admin_begin(a, op, from, decision == NULL ? "" : decision, why_out);

	memset(x, 0, sizeof(*x));
	if (err != 0)
		return err;
	err = admin_subject(a, from, SUBJECT_PERSON | SUBJECT_MAILBOX, &x->from, why_out);
	if (err == 0)
		err = admin_subject(
		    a, to, SUBJECT_PERSON | SUBJECT_POST | SUBJECT_GROUP, &x->to, why_out);
	if (err != 0) {
		subject_done(&x->from);
		subject_done(&x->to);
		admin_end(a, err, false, NULL, why_out);
	}
	return err;
}

static int
ends_end(struct dir_admin *a, struct ends *x, int err, bool created, enum change *change_out,
    char **why_out)
{
	subject_done(&x->from);
	subject_done(&x->to);
	return admin_end(a, err, created, change_out, why_out);
}

/* Those between the two. */
static int
between(struct dir_admin *a, const struct ends *x, bool closed_too, struct dir_result **out,
    char **why_out)
{
	struct buf f;
	int err;

	buf_init(&f, 32768);
	err = escape_template("(&(objectClass=vnDelegation)(vnDelegator=%s)(vnDelegateTo=%d)",
	    slice_str(x->from.e->dn), slice_str(x->to.e->dn), &f);
	buf_append_str(&f, closed_too ? ")" : "(!(vnStatus=closed)))");
	if (err == 0)
		err = f.err != 0 ? f.err
				 : dir_search(a->d, NULL, buf_cstr(&f), delegation_attrs, 0, out);
	buf_done(&f);
	return err == 0 ? 0 : admin_fail(why_out, err, "the directory does not answer");
}

static int
grant_check(const struct delegate_grant *p, char from[20], char until[20], char **why_out)
{
	const char *rights = p->rights == NULL ? "lrs" : p->rights;
	int err = 0;

	if (*rights == '\0' || strlen(rights) > 11 || rights[strspn(rights, "lrswipkxtea")] != '\0')
		err = admin_fail(
		    why_out, ERR_SYNTAX, "the rights are letters of RFC 4314: some of lrswipkxtea");
	if (err == 0)
		err = admin_days(p->from, p->until, from, until, why_out);
	return err;
}

static int
grant_new(struct dir_admin *a, const struct ends *x, const struct delegate_grant *p,
    const char *rights, const char *from, const char *until, char **why_out)
{
	unsigned char r[8];
	char id[17];
	struct mods m;
	struct buf dn;
	int err;

	random_bytes(r, sizeof(r));
	hex_encode(r, sizeof(r), id);
	id[16] = '\0';
	buf_init(&dn, 4096);
	buf_appendf(&dn, "vnDelegationId=%s,ou=delegations,%s", id, dir_base(a->d));
	mods_init(&m);
	mods_str(&m, "objectClass", "vnDelegation");
	mods_str(&m, "vnDelegationId", id);
	mods_str(&m, "vnDelegator", x->from.e->dn);
	mods_str(&m, "vnDelegateTo", x->to.e->dn);
	mods_str(&m, "vnRights", rights);
	if (p->from != NULL)
		mods_str(&m, "vnValidFrom", from);
	else
		mods_now(&m, "vnValidFrom");
	if (p->until != NULL)
		mods_str(&m, "vnValidTo", until);
	mods_add(&m, "vnAgencyRef", dir_entry_value(x->from.e, "vnAgencyRef"));
	mods_str(&m, "vnStatus", "active");
	mods_str(&m, "vnDecisionRef", a->decision);
	err = dn.err != 0 ? dn.err : admin_add(a, buf_cstr(&dn), &m, why_out);
	mods_done(&m);
	buf_done(&dn);
	return err;
}

int
dir_admin_delegate_grant(
    struct dir_admin *a, const struct delegate_grant *p, enum change *change_out, char **why_out)
{
	char from[20] = "", until[20] = "", rights[32];
	struct dir_result *r = NULL;
	bool created = false;
	struct ends x;
	struct mods m;
	int err = grant_check(p, from, until, why_out);

	if (err == 0)
		err = ends_begin(a, "delegate grant", p->who, p->to, p->decision, &x, why_out);
	if (err != 0)
		return err;
	snprintf(rights, sizeof(rights), "%s%s", p->rights == NULL ? "lrs" : p->rights,
	    p->send ? " send" : "");
	if (admin_is_over(x.from.e) || admin_is_over(x.to.e))
		err = admin_fail(why_out, ERR_GONE, "%s is at its end, or has left",
		    admin_is_over(x.from.e) ? p->who : p->to);
	else if (strcmp(x.from.e->dn_norm, x.to.e->dn_norm) == 0)
		err = admin_fail(why_out, ERR_CONFLICT, "nobody delegates to themselves");
	if (err == 0)
		err = between(a, &x, false, &r, why_out);
	if (err == 0 && r->n_entries == 0) {
		err = grant_new(a, &x, p, rights, from, until, why_out);
		created = err == 0;
	} else if (err == 0) {
		mods_init(&m);
		mods_replace(&m, "vnRights", rights);
		/* both days are as given now: what was to come begins now, what has begun has */
		if (p->from == NULL &&
		    assignment_when(dir_entry_value(&r->entries[0], "vnValidFrom"),
			slice_of(NULL, 0), time(NULL)) == ASSIGNMENT_LATER)
			admin_now(from);
		if (*from != '\0')
			mods_replace(&m, "vnValidFrom", from);
		mods_replace(&m, "vnValidTo", p->until == NULL ? NULL : until);
		err = admin_modify(a, r->entries[0].dn, &m, why_out);
		mods_done(&m);
	}
	dir_result_free(r);
	return ends_end(a, &x, err, created, change_out, why_out);
}

int
dir_admin_delegate_revoke(struct dir_admin *a, const char *who, const char *to,
    const char *decision, enum change *change_out, char **why_out)
{
	struct dir_result *r = NULL;
	struct ends x;
	int err = ends_begin(a, "delegate revoke", who, to, decision, &x, why_out);

	if (err != 0)
		return err;
	err = between(a, &x, true, &r, why_out);
	if (err == 0 && r->n_entries == 0)
		err = admin_fail(
		    why_out, ERR_NOTFOUND, "nothing of %s was ever delegated to %s", who, to);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++)
		if (!admin_is_over(&r->entries[i]))
			err = admin_delegation_end(a, &r->entries[i], why_out);
	dir_result_free(r);
	return ends_end(a, &x, err, false, change_out, why_out);
}

int
dir_admin_delegations(
    struct dir_admin *a, const char *who, bool closed_too, struct dir_result **out, char **why_out)
{
	struct subject s = {0};
	struct buf f;
	int err = who == NULL ? 0 : admin_subject(a, who, SUBJECT_ANY, &s, why_out);

	if (err != 0)
		return err;
	buf_init(&f, 32768);
	buf_append_str(&f, "(&(objectClass=vnDelegation)");
	if (!closed_too)
		buf_append_str(&f, "(!(vnStatus=closed))");
	if (who != NULL)
		err = escape_template("(|(vnDelegator=%d)(vnDelegateTo=%d))", slice_of(NULL, 0),
		    slice_str(s.e->dn), &f);
	buf_append_str(&f, ")");
	if (err == 0)
		err = f.err != 0 ? f.err
				 : dir_search(a->d, NULL, buf_cstr(&f), delegation_attrs, 0, out);
	buf_done(&f);
	subject_done(&s);
	return err == 0 ? 0 : admin_fail(why_out, err, "the directory does not answer");
}
