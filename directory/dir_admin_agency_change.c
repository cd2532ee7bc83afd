/* dir_admin_agency_change.c: an agency moves below another, gets another name, or is closed. Runs in congvu. What depends on the agency is
 * written first and the agency itself last (a rename: the agency first, so that who may not write it changes nothing): cut off in the middle, the same
 * command given again finds what is left. Its code stays for ever,
 * and a closed agency stays in the directory with its successor. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/escape.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/utf7.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const agency_attrs[] = {"vnAgencyCode", "ou", "displayName", "vnAgencyAbbrev",
    "vnAgencyKind", "vnLegacyCode", "vnAdminCode", "vnStatus", "vnDecisionRef", "vnValidFrom",
    "vnValidTo", "vnPredecessor", "vnSuccessor", "vnFormerName", NULL};

static int
agency_read(struct dir_admin *a, const char *code, struct dir_result **out, char **why_out)
{
	int err = admin_find(
	    a, "(&(objectClass=vnAgency)(vnAgencyCode=%s))", code, agency_attrs, 2, out, why_out);

	if (err == 0 && (*out)->n_entries != 1) {
		dir_result_free(*out);
		*out = NULL;
		err =
		    admin_fail(why_out, ERR_NOTFOUND, "there is no agency with the code %s", code);
	}
	return err;
}

/* Whether dn stands below above, or is it. */
static bool
is_below(const char *dn, const char *above)
{
	char *x = dir_dn_norm(dn), *y = dir_dn_norm(above);
	size_t n = x == NULL ? 0 : strlen(x), m = y == NULL ? 0 : strlen(y);
	bool below = x != NULL && y != NULL && n >= m && strcmp(x + n - m, y) == 0 &&
		     (n == m || x[n - m - 1] == ',');

	free(x);
	free(y);
	return below;
}

static bool
is_at(const char *dn, const char *other)
{
	return is_below(dn, other) && is_below(other, dn);
}

/* The parent in a DN; an agency's code has no comma. */
static const char *
parent_dn(const char *dn)
{
	const char *comma = strchr(dn, ',');

	return comma == NULL ? "" : comma + 1;
}

/* ---- move ---- */

static int
move_check(struct dir_admin *a, const struct dir_entry *e, const char *parent, struct buf *to,
    char **why_out)
{
	const struct agency_cache *g = NULL;
	int err;

	if (admin_is_over(e))
		return admin_fail(
		    why_out, ERR_GONE, "the agency %s is closed", admin_value(e, "vnAgencyCode"));
	if (parent == NULL)
		return buf_appendf(to, "ou=agencies,%s", dir_base(a->d));
	err = admin_agency_open(a, parent, &g, why_out);
	if (err == 0 && is_below(g->dn, e->dn))
		err = admin_fail(why_out, ERR_CONFLICT, "%s is %s itself, or below it", g->code,
		    admin_value(e, "vnAgencyCode"));
	return err == 0 ? buf_append_str(to, g->dn) : err;
}

int
dir_admin_agency_move(struct dir_admin *a, const char *code, const char *parent,
    const char *decision, enum change *change_out, char **why_out)
{
	struct dir_result *r = NULL;
	struct mods m;
	struct buf to;
	int err = admin_begin(a, "agency move", code, decision, why_out);

	if (err != 0)
		return err;
	admin_one_by_one(a);
	buf_init(&to, 8192);
	mods_init(&m);
	err = agency_read(a, code, &r, why_out);
	if (err == 0)
		err = move_check(a, &r->entries[0], parent, &to, why_out);
	if (err == 0) {
		const struct dir_entry *e = &r->entries[0];
		const char *from = parent_dn(e->dn);

		if (!is_at(from, buf_cstr(&to))) {
			/* the decision first: the move is what a repeated command looks at */
			mods_add(&m, "vnDecisionRef", slice_str(a->decision));
			err = admin_modify(a, e->dn, &m, why_out);
			if (err == 0)
				err = admin_move(a, e->dn, buf_cstr(&to), why_out);
			admin_agency_forget(a);
		}
	}
	dir_result_free(r);
	mods_done(&m);
	buf_done(&to);
	return admin_end(a, err, false, change_out, why_out);
}

/* ---- what belongs to an agency ---- */

static const char *const belonging_attrs[] = {"vnStaffId", "cn", "displayName", "mail",
    "vnAgencyRef", "vnAssignment", "vnValidFrom", "vnPositionCode", "vnMailboxId", "roleOccupant",
    "vnAgencyCode", "vnHolder", "vnDelegate", "vnReader", "vnMailboxKind", "vnStatus", NULL};

/* Each kind of what belongs to it and is not at an end. */
static const struct belonging {
	const char *filter; /* %s: the code */
	const char *what;
} belongings[] = {
    {"(&(objectClass=vnCivilServant)(vnAgencyRef=%s)(!(vnStatus=closed))(!(vnStatus=retired)))",
	"people"},
    {"(&(objectClass=vnFunctionalMailbox)(vnAgencyRef=%s)(!(vnStatus=closed)))", "mailboxes"},
    {"(&(objectClass=vnMailGroup)(vnAgencyRef=%s)(!(vnStatus=closed)))", "groups"},
    {"(&(objectClass=vnPosition)(vnAgencyRef=%s))", "posts"},
};
enum { PEOPLE, MAILBOXES, GROUPS, POSTS, N_BELONGINGS };

static int
belonging(struct dir_admin *a, int which, const char *code, struct dir_result **out, char **why_out)
{
	return admin_find(a, belongings[which].filter, code, belonging_attrs, 0, out, why_out);
}

/* The agencies below e that are not closed, and e; is_child tells those just below. */
static int
branch(struct dir_admin *a, const struct dir_entry *e, struct dir_result **out, char **why_out)
{
	int err = dir_search(
	    a->d, e->dn, "(&(objectClass=vnAgency)(!(vnStatus=closed)))", belonging_attrs, 0, out);

	return err == 0 ? 0 : admin_fail(why_out, err, "the directory does not answer");
}

static bool
is_child(const struct dir_entry *e, const char *parent)
{
	return !is_at(e->dn, parent) && is_at(parent_dn(e->dn), parent);
}

/* ---- rename ---- */

static const char clerks_prefix[] = "Văn thư ";

static bool
is_after_prefix(const struct dir_entry *e)
{
	return strncmp(admin_value(e, "cn"), clerks_prefix, strlen(clerks_prefix)) == 0;
}

static void
clerks_named(struct mods *m, const struct dir_entry *e, const char *name)
{
	char cn[1024];

	snprintf(cn, sizeof(cn), "%s%s", clerks_prefix, name);
	if (is_after_prefix(e))
		mods_replace_text(m, "cn", cn);
}

/* A mailbox that the agency's clerks hold as theirs, not one of a post. */
static bool
is_clerks_box(const struct dir_entry *e, const char *post)
{
	const struct dir_attr *at = dir_entry_attr(e, "vnHolder");

	for (size_t i = 0; at != NULL && i < at->n_values; i++)
		if (dir_value_text(at->values[i]) != NULL &&
		    is_at(dir_value_text(at->values[i]), post))
			return strcasecmp(admin_value(e, "vnMailboxKind"), "post") != 0;
	return false;
}

/* The names that are made of the agency's, whatever they were made of before: a command that was cut off no longer knows the old ones. */
static void
person_named(struct mods *m, const struct dir_entry *e, const char *name, const char *abbrev)
{
	const char *cn = admin_value(e, "cn"), *was = admin_value(e, "displayName");
	char now[1024];
	size_t n = strlen(cn), len = strlen(was);

	mods_replace_text(m, "ou", name);
	if (len > n + 3 && strncmp(was, cn, n) == 0 && strncmp(was + n, " (", 2) == 0 &&
	    was[len - 1] == ')') {
		snprintf(now, sizeof(now), "%s (%s)", cn, abbrev);
		mods_replace_text(m, "displayName", now);
	}
}

static int
rename_kind(struct dir_admin *a, int which, const struct agency_cache *g, const char *name,
    const char *abbrev, char **why_out)
{
	char *post = admin_clerk_post(g);
	struct dir_result *r = NULL;
	size_t boxes = 0;
	int err = post == NULL ? ERR_LIMIT : belonging(a, which, g->code, &r, why_out);

	for (size_t i = 0; err == 0 && i < r->n_entries; i++)
		boxes += which == MAILBOXES && is_clerks_box(&r->entries[i], post);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];
		struct mods m;

		mods_init(&m);
		if (which == PEOPLE) {
			person_named(&m, e, name, abbrev);
		} else if (which == POSTS && is_at(e->dn, post)) {
			clerks_named(&m, e, abbrev);
		} else if (which == MAILBOXES && is_clerks_box(e, post) &&
			   (boxes == 1 || is_after_prefix(e))) {
			mods_replace_text(&m, "displayName", name);
			clerks_named(&m, e, name);
		}
		err = m.n == 0 ? m.err : admin_modify(a, e->dn, &m, why_out);
		mods_done(&m);
	}
	dir_result_free(r);
	free(post);
	return err;
}

static int
rename_all(struct dir_admin *a, const struct dir_entry *e, const char *name, const char *abbrev,
    char **why_out)
{
	const struct agency_cache *g = NULL;
	char now[20];
	struct mods m;
	int err = admin_agency(a, admin_value(e, "vnAgencyCode"), &g, why_out);

	if (err != 0)
		return err;
	mods_init(&m);
	mods_replace_text(&m, "ou", name);
	mods_replace_text(&m, "displayName", name);
	mods_replace(&m, "vnAgencyAbbrev", abbrev);
	if (strcmp(g->name, name) != 0) {
		admin_now(now);
		mods_fmt(&m, "vnFormerName", "%s;%.8s;%.8s;%s", g->name,
		    admin_value(e, "vnValidFrom"), now, a->decision);
	}
	err = admin_modify(a, e->dn, &m, why_out);
	mods_done(&m);
	for (int which = 0; err == 0 && which < N_BELONGINGS; which++)
		if (which != GROUPS)
			err = rename_kind(a, which, g, name, abbrev, why_out);
	admin_agency_forget(a);
	return err;
}

int
dir_admin_agency_rename(struct dir_admin *a, const char *code, const char *name, const char *abbrev,
    const char *decision, enum change *change_out, char **why_out)
{
	struct dir_result *r = NULL;
	struct buf nfc;
	int err = admin_begin(a, "agency rename", code, decision, why_out);

	if (err != 0)
		return err;
	buf_init(&nfc, 8192);
	err = agency_read(a, code, &r, why_out);
	if (err == 0 && admin_is_over(&r->entries[0]))
		err = admin_fail(why_out, ERR_GONE, "the agency %s is closed", code);
	if (err == 0 && name == NULL && abbrev == NULL)
		err = admin_fail(why_out, ERR_SYNTAX, "a name or an abbreviation is needed");
	if (err == 0 && name != NULL)
		err = admin_check_text("the name", name, 400, why_out);
	if (err == 0 && abbrev != NULL)
		err = admin_abbrev_check(a, code, abbrev, why_out);
	if (err == 0) {
		const struct dir_entry *e = &r->entries[0];

		utf8_nfc(slice_str(name == NULL ? admin_value(e, "ou") : name), &nfc);
		err = rename_all(a, e, buf_cstr(&nfc),
		    abbrev == NULL ? admin_value(e, "vnAgencyAbbrev") : abbrev, why_out);
	}
	dir_result_free(r);
	buf_done(&nfc);
	return admin_end(a, err, false, change_out, why_out);
}

/* ---- close ---- */

/* Refuses while something is left. */
static int
must_be_empty(struct dir_admin *a, const struct dir_entry *e, char **why_out)
{
	const char *code = admin_value(e, "vnAgencyCode");
	size_t n[N_BELONGINGS] = {0}, below = 0;
	struct dir_result *r = NULL;
	int err = branch(a, e, &r, why_out);

	for (size_t i = 0; err == 0 && i < r->n_entries; i++)
		below += is_child(&r->entries[i], e->dn);
	dir_result_free(r);
	for (int which = 0; err == 0 && which < N_BELONGINGS; which++) {
		r = NULL;
		err = belonging(a, which, code, &r, why_out);
		/* a post that nobody holds is none, nor is a mailbox that nobody opens */
		for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
			bool counts = which != POSTS ||
				      dir_entry_attr(&r->entries[i], "roleOccupant") != NULL;

			if (which == MAILBOXES)
				err = admin_mailbox_is_opened(
				    a, &r->entries[i], NULL, &counts, why_out);
			n[which] += counts;
		}
		dir_result_free(r);
	}
	if (err == 0 && n[PEOPLE] + n[MAILBOXES] + n[GROUPS] + n[POSTS] + below > 0)
		err = admin_fail(why_out, ERR_CONFLICT,
		    "%s still has %zu people, %zu held posts, %zu mailboxes that somebody opens, "
		    "%zu "
		    "groups and %zu agencies below it: end these first (congvu staff transfer, "
		    "post "
		    "release, group delete, agency move), or close it with --successor and --move",
		    code, n[PEOPLE], n[POSTS], n[MAILBOXES], n[GROUPS], below);
	return err;
}

/* Closes what must_be_empty let pass. */
static int
empty_end(struct dir_admin *a, const char *code, char **why_out)
{
	struct dir_result *r = NULL;
	int err = admin_mailboxes_end(a, belongings[MAILBOXES].filter, code, NULL, why_out);

	if (err == 0)
		err = belonging(a, POSTS, code, &r, why_out);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++)
		err = admin_post_end(a, &r->entries[i], why_out);
	dir_result_free(r);
	return err;
}

static int
hand_over_one(struct dir_admin *a, int which, const struct dir_entry *e,
    const struct agency_cache *to, char **why_out)
{
	struct mods m;
	struct buf dn;
	int err = 0;

	buf_init(&dn, 8192);
	mods_init(&m);
	buf_append_str(&dn, e->dn);
	/* a post moves first: until it says otherwise it is found as the old agency's */
	if (which == POSTS && !is_at(parent_dn(e->dn), to->dn)) {
		buf_truncate(&dn, 0);
		buf_append(&dn, e->dn, strcspn(e->dn, ","));
		buf_appendf(&dn, ",%s", to->dn);
		err = admin_move(a, e->dn, to->dn, why_out);
	}
	if (err == 0 && which == PEOPLE)
		err = admin_place(a, &m, e, to, NULL, true, why_out);
	else if (err == 0)
		mods_replace(&m, "vnAgencyRef", to->code);
	if (err == 0)
		err = dn.err != 0 ? dn.err : admin_modify(a, buf_cstr(&dn), &m, why_out);
	mods_done(&m);
	buf_done(&dn);
	return err;
}

/* Who has a second place there keeps it at the successor. */
static int
carry_seconded(struct dir_admin *a, const char *code, const struct agency_cache *to, char **why_out)
{
	struct dir_result *r = NULL;
	int err =
	    admin_find(a, "(&(objectClass=vnCivilServant)(vnAssignment=*;%s;*)(!(vnAgencyRef=%s)))",
		code, belonging_attrs, 0, &r, why_out);

	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		struct mods m;

		mods_init(&m);
		admin_assignment_carry(a, &m, &r->entries[i], code, to->code);
		if (m.n > 0)
			err = admin_modify(a, r->entries[i].dn, &m, why_out);
		mods_done(&m);
	}
	dir_result_free(r);
	return err;
}

/* All that belongs to e goes to its successor: what stands below it, then posts, mailboxes, groups, people. */
static int
hand_over(
    struct dir_admin *a, const struct dir_entry *e, const struct agency_cache *to, char **why_out)
{
	static const int order[N_BELONGINGS] = {MAILBOXES, GROUPS, PEOPLE, POSTS};
	const char *code = admin_value(e, "vnAgencyCode");
	struct dir_result *r = NULL;
	int err = branch(a, e, &r, why_out);

	for (size_t i = 0; err == 0 && i < r->n_entries; i++)
		if (is_child(&r->entries[i], e->dn))
			err = admin_move(a, r->entries[i].dn, to->dn, why_out);
	dir_result_free(r);
	for (int k = 0; err == 0 && k < N_BELONGINGS; k++) {
		r = NULL;
		err = belonging(a, order[k], code, &r, why_out);
		for (size_t i = 0; err == 0 && i < r->n_entries; i++)
			err = hand_over_one(a, order[k], &r->entries[i], to, why_out);
		dir_result_free(r);
	}
	return err != 0 ? err : carry_seconded(a, code, to, why_out);
}

static int
successor_find(struct dir_admin *a, const struct dir_entry *e, const char *code,
    const struct agency_cache **out, char **why_out)
{
	struct mods m;
	int err = admin_agency_open(a, code, out, why_out);

	if (err == 0 && is_below((*out)->dn, e->dn))
		err = admin_fail(why_out, ERR_CONFLICT,
		    "the successor %s is %s itself, or below it: move it out first", (*out)->code,
		    admin_value(e, "vnAgencyCode"));
	if (err != 0)
		return err;
	mods_init(&m);
	mods_add(&m, "vnPredecessor", slice_str(admin_value(e, "vnAgencyCode")));
	err = admin_modify(a, (*out)->dn, &m, why_out);
	mods_done(&m);
	return err;
}

static int
close_it(
    struct dir_admin *a, const struct dir_entry *e, const struct agency_cache *to, char **why_out)
{
	struct mods m;
	char now[20];
	int err;

	admin_now(now);
	mods_init(&m);
	mods_replace(&m, "vnStatus", "closed");
	mods_replace(&m, "vnValidTo", now);
	if (to != NULL)
		mods_add(&m, "vnSuccessor", slice_str(to->code));
	err = admin_modify(a, e->dn, &m, why_out);
	mods_done(&m);
	admin_agency_forget(a);
	return err;
}

int
dir_admin_agency_close(struct dir_admin *a, const char *code, const char *successor, bool move,
    const char *decision, enum change *change_out, char **why_out)
{
	const struct agency_cache *to = NULL;
	const struct dir_entry *e = NULL;
	struct dir_result *r = NULL;
	int err = admin_begin(a, "agency close", code, decision, why_out);

	if (err != 0)
		return err;
	admin_one_by_one(a);
	err = agency_read(a, code, &r, why_out);
	if (err == 0)
		e = &r->entries[0];
	if (err == 0 && move && successor == NULL)
		err = admin_fail(why_out, ERR_SYNTAX, "--move needs --successor: where to?");
	if (err == 0 && admin_is_over(e)) { /* done already, unless it went to another */
		if (successor != NULL &&
		    !dir_entry_has_value(e, "vnSuccessor", slice_str(successor)))
			err = admin_fail(why_out, ERR_EXISTS, "%s is closed, with the successor %s",
			    code, admin_value(e, "vnSuccessor"));
		goto out;
	}
	if (err == 0 && !move)
		err = must_be_empty(a, e, why_out);
	if (err == 0 && successor != NULL)
		err = successor_find(a, e, successor, &to, why_out);
	if (err == 0)
		err = move ? hand_over(a, e, to, why_out) : empty_end(a, code, why_out);
	if (err == 0)
		err = close_it(a, e, to, why_out);
out:
	dir_result_free(r);
	return admin_end(a, err, false, change_out, why_out);
}

/* ---- showing one ---- */

int
dir_admin_agency_show(
    struct dir_admin *a, const char *code, struct agency_view *out, char **why_out)
{
	struct agency_view v = {0};
	int err = agency_read(a, code, &v.agency, why_out);

	if (err == 0)
		err = branch(a, &v.agency->entries[0], &v.below, why_out);
	if (err == 0)
		err = belonging(a, PEOPLE, code, &v.people, why_out);
	if (err == 0)
		err = belonging(a, MAILBOXES, code, &v.mailboxes, why_out);
	if (err == 0)
		err = belonging(a, GROUPS, code, &v.groups, why_out);
	if (err == 0)
		err = belonging(a, POSTS, code, &v.posts, why_out);
	if (err == 0)
		*out = v;
	else
		agency_view_done(&v);
	return err;
}

void
agency_view_done(struct agency_view *v)
{
	dir_result_free(v->agency);
	dir_result_free(v->below);
	dir_result_free(v->people);
	dir_result_free(v->mailboxes);
	dir_result_free(v->groups);
	dir_result_free(v->posts);
	memset(v, 0, sizeof(*v));
}
