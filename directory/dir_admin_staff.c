/* dir_admin_staff.c: hiring: the person's entry with its names, address, password hash and SCRAM keys in one write, then its
 * place on the roster of its agency. Runs in congvu. A person is its id, for ever; names and addresses are only looked
 * for when no id is given. DOMAIN: B4 (names), C2 (address from the name, collisions). */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/escape.h"
#include "directory/saslprep.h"
#include "lib/err.h"
#include "lib/fold.h"
#include "lib/log.h"
#include "lib/utf7.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TRIES_MAX = 1000 };

static const char *const staff_attrs[] = {"vnStaffId", "uid", "mail", "cn", "displayName", "title",
    "vnAgencyRef", "vnRole", "vnStatus", "vnDecisionRef", "employeeNumber", "vnMailAlias",
    "vnEpoch", "vnReadUntil", "vnAssignment", "vnAddressHistory", "userCertificate;binary", NULL};

/* ---- checks ---- */

static int
check(const struct staff_hire *p, char **why_out)
{
	static const char *const roles[] = {"clerk", "staff", "head", "security"};
	bool known = false;
	int err = admin_check_text("the name", p->name, 200, why_out);

	if (err == 0)
		err = admin_check_text("the agency", p->agency, 35, why_out);
	if (err == 0)
		err = admin_check_text("the decision", p->decision, 200, why_out);
	if (err == 0 && p->title != NULL && *p->title != '\0')
		err = admin_check_text("the title", p->title, 200, why_out);
	for (size_t i = 0; p->role != NULL && i < sizeof(roles) / sizeof(roles[0]); i++)
		known = known || strcmp(p->role, roles[i]) == 0;
	if (err == 0 && !known)
		err = admin_fail(
		    why_out, ERR_SYNTAX, "the role must be clerk, staff, head or security");
	if (err == 0 && p->id != NULL &&
	    (strlen(p->id) > 20 || *p->id == '\0' ||
		p->id[strspn(p->id, "0123456789abcdefghijklmnopqrstuvwxyz-")] != '\0'))
		err = admin_fail(why_out, ERR_SYNTAX,
		    "the id must be at most 20 digits, small letters and hyphens");
	if (err == 0 && p->password.len > 0)
		err = admin_password_check(p->password, why_out);
	return err;
}

/* ---- the entry ---- */

static char *
person_dn(struct dir_admin *a, const char *id)
{
	char *dn = NULL;

	/* an id is [0-9a-z-]: nothing to escape */
	if (asprintf(&dn, "vnStaffId=%s,ou=people,%s", id, dir_base(a->d)) < 0)
		fatal("out of memory");
	return dn;
}

static int
person_add(struct dir_admin *a, const struct staff_hire *p, const struct agency_cache *g,
    const struct staff_hired *h, struct slice password, char **why_out)
{
	struct slice family, middle, given;
	char *sn, *given_name;
	struct buf name;
	struct mods m;
	int err;

	mods_init(&m);
	buf_init(&name, 1024);
	err = utf8_nfc(slice_str(p->name), &name);
	vn_name_split(buf_slice(&name), &family, &middle, &given);
	sn = arena_slicedup(m.arena, family.len == 0 ? given : family);
	given_name = arena_slicedup(m.arena, given);
	mods_str(&m, "objectClass", "inetOrgPerson");
	mods_str(&m, "objectClass", "vnCivilServant");
	mods_str(&m, "vnStaffId", h->id);
	mods_text(&m, "cn", buf_cstr(&name));
	mods_text(&m, "sn", sn);
	mods_text(&m, "givenName", given_name);
	mods_text(&m, "displayName", h->display);
	mods_str(&m, "uid", h->uid);
	mods_str(&m, "mail", h->mail);
	mods_text(&m, "title", p->title);
	mods_text(&m, "ou", g->name);
	mods_str(&m, "employeeNumber", p->employee_number);
	mods_str(&m, "vnAgencyRef", g->code);
	admin_assignment_first(a, &m, g->code);
	mods_str(&m, "vnRole", p->role);
	mods_str(&m, "vnStatus", "active");
	mods_str(&m, "vnEpoch", "1");
	mods_now(&m, "vnValidFrom");
	mods_text(&m, "vnDecisionRef", p->decision);
	mods_add(&m, "userCertificate;binary", p->cert);
	if (err == 0)
		err = admin_password_mods(a, password, &m, why_out);
	if (h->must_change)
		mods_str(&m, "pwdReset", "TRUE");
	if (err == 0)
		err = admin_add(a, h->dn, &m, why_out);
	buf_done(&name);
	mods_done(&m);
	return err;
}

/* A clerk holds the agency's functional mailbox through the clerks' post. */
static int
roster_ensure(struct dir_admin *a, const struct staff_hire *p, const struct agency_cache *g,
    const char *dn, char **why_out)
{
	static const char *const attrs[] = {"roleOccupant", "vnDecisionRef", NULL};
	struct dir_result *r = NULL;
	char *post;
	int err;

	if (strcmp(p->role, "clerk") != 0)
		return 0;
	post = admin_clerk_post(g);
	err = post == NULL ? ERR_LIMIT : dir_read(a->d, post, attrs, &r);
	if (err == ERR_NOTFOUND)
		err = admin_fail(
		    why_out, err, "%s has no clerks' post: give congvu agency add again", g->code);
	else if (err != 0)
		err = admin_fail(why_out, err, "the directory does not answer");
	else
		err = admin_ensure_value(
		    a, &r->entries[0], "roleOccupant", slice_str(dn), false, why_out);
	dir_result_free(r);
	free(post);
	return err;
}

/* Whether a decision brought the person to the agency, also where they have left it since. */
static bool
was_hired(const struct dir_entry *e, const char *agency, const char *decision)
{
	const struct dir_attr *at = dir_entry_attr(e, "vnAssignment");
	char *cited = xstrdup(decision); /* as an assignment has it */
	bool was = false;

	for (char *p = cited; *p != '\0'; p++)
		*p = *p == ';' ? ',' : *p;
	for (size_t i = 0; !was && at != NULL && i < at->n_values; i++) {
		struct assignment f;

		assignment_split(at->values[i], &f);
		was = slice_eq_str(f.kind, "primary") && f.post.len == 0 &&
		      slice_caseeq_str(f.agency, agency) && slice_eq_str(f.decision, cited);
	}
	free(cited);
	return was;
}

/* Keeps the one entry of exactly this name (the filter also found folded twins, and other case) that is at the agency, or came there by the decision.
 * Who has left is nobody to be hired again by the same decision; by another one it may be a namesake. */
static int
keep_hired(struct dir_result *r, const struct staff_hire *p, struct slice name, char **why_out)
{
	const struct dir_entry *left = NULL;
	size_t n = 0, at = 0;
	struct dir_entry first;

	for (size_t i = 0; i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];
		bool was = was_hired(e, p->agency, p->decision);

		if (!slice_eq(dir_entry_value(e, "cn"), name))
			continue;
		if (admin_is_over(e)) {
			left = was ? e : left;
		} else if (was || strcasecmp(admin_value(e, "vnAgencyRef"), p->agency) == 0) {
			at = i;
			n++;
		}
	}
	if (n == 0 && left != NULL)
		return admin_fail(why_out, ERR_EXISTS,
		    "%s was hired by that decision, and has left since: a namesake needs an --id",
		    admin_value(left, "vnStaffId"));
	if (n == 0)
		return ERR_NOTFOUND;
	if (n > 1)
		return admin_fail(why_out, ERR_EXISTS,
		    "%zu people of that name are there by that decision: give --id", n);
	first = r->entries[0];
	r->entries[0] = r->entries[at];
	r->entries[at] = first;
	return 0;
}

/* Who is there already: by id; else by address; else by name, agency and decision, of the hiring. ERR_NOTFOUND: nobody. */
static int
person_find(
    struct dir_admin *a, const struct staff_hire *p, struct dir_result **out, char **why_out)
{
	struct dir_result *r = NULL;
	struct buf f, name;
	int err;

	buf_init(&f, 8192);
	buf_init(&name, 1024);
	err = utf8_nfc(slice_str(p->name), &name);
	buf_append_str(&f, "(&(objectClass=vnCivilServant)");
	if (p->id != NULL) {
		escape_template("(vnStaffId=%s)", slice_str(p->id), slice_of(NULL, 0), &f);
	} else if (p->mail != NULL) {
		escape_template("(mail=%s)", slice_str(p->mail), slice_of(NULL, 0), &f);
	} else {
		escape_template("(cn=%s)", buf_slice(&name), slice_of(NULL, 0), &f);
		escape_template(
		    "(vnDecisionRef=%s)", slice_str(p->decision), slice_of(NULL, 0), &f);
	}
	buf_append_str(&f, ")");
	if (err == 0)
		err = f.err != 0 ? f.err : dir_search(a->d, NULL, buf_cstr(&f), staff_attrs, 0, &r);
	buf_done(&f);
	if (err != 0) {
		err = admin_fail(why_out, err, "the directory does not answer");
	} else if (p->id != NULL || p->mail != NULL) {
		err = r->n_entries == 0 ? ERR_NOTFOUND
					: admin_same(&r->entries[0], "cn", p->name,
					      p->id != NULL ? p->id : p->mail, why_out);
	} else {
		err = keep_hired(r, p, buf_slice(&name), why_out);
	}
	buf_done(&name);
	if (err == 0)
		*out = r;
	else
		dir_result_free(r);
	return err;
}

static int
hire_again(struct dir_admin *a, const struct staff_hire *p, const struct agency_cache *g,
    const struct dir_entry *e, struct staff_hired *h, char **why_out)
{
	bool moved = strcasecmp(admin_value(e, "vnAgencyRef"), g->code) != 0 &&
		     was_hired(e, g->code, p->decision);
	int err;

	h->id = slice_dup(dir_entry_value(e, "vnStaffId"));
	h->uid = slice_dup(dir_entry_value(e, "uid"));
	h->mail = slice_dup(dir_entry_value(e, "mail"));
	h->display = slice_dup(dir_entry_value(e, "displayName"));
	h->dn = xstrdup(e->dn);
	err = admin_is_over(e) ? admin_fail(why_out, ERR_GONE,
				     "%s has left the service: hire with another id", h->id)
	      : moved          ? 0 /* to where a transfer says, with another title and role */
			       : admin_same(e, "vnAgencyRef", g->code, h->id, why_out);
	if (err == 0 && !moved)
		err = admin_same(e, "vnRole", p->role, h->id, why_out);
	if (err == 0 && !moved && p->title != NULL && *p->title != '\0')
		err = admin_same(e, "title", p->title, h->id, why_out);
	if (err == 0 && !moved)
		err = admin_same(e, "mail", p->mail, h->id, why_out);
	if (err == 0 && p->cert.len > 0)
		err = admin_ensure_value(a, e, "userCertificate;binary", p->cert, true, why_out);
	if (err == 0 && !moved)
		err = roster_ensure(a, p, g, h->dn, why_out);
	return err;
}

static int
hire_new(struct dir_admin *a, const struct staff_hire *p, const struct agency_cache *g,
    struct staff_hired *h, char **why_out)
{
	struct buf password;
	char id[24];
	int err;

	buf_init(&password, SASLPREP_MAX);
	buf_append_slice(&password, p->password);
	h->must_change = password.len == 0;
	if (h->must_change)
		dir_admin_password_make(&password);
	err = p->mail != NULL ? admin_address_given(a, p->mail, &h->uid, &h->mail, why_out)
			      : admin_address_make(a, p->name, g, &h->uid, &h->mail, why_out);
	if (err == 0 && asprintf(&h->display, "%s (%s)", p->name, g->abbrev) < 0)
		fatal("out of memory");
	for (int tries = 0; err == 0 && tries < TRIES_MAX; tries++) {
		if (p->id == NULL)
			err = admin_id_next(a, id, why_out);
		if (err != 0)
			break;
		h->id = xstrdup(p->id == NULL ? id : p->id);
		h->dn = person_dn(a, h->id);
		err = person_add(a, p, g, h, buf_slice(&password), why_out);
		if (err != ERR_EXISTS || p->id != NULL || strstr(*why_out, "unique") != NULL)
			break;
		/* somebody has been given this id by hand; where many were, the counter goes past them all */
		free(h->id);
		free(h->dn);
		free(*why_out);
		h->id = h->dn = *why_out = NULL;
		err = 0;
		if (tries == 3)
			a->skip_to = admin_largest_id(a, why_out, &err) + 1;
	}
	if (err == 0)
		err = roster_ensure(a, p, g, h->dn, why_out);
	if (err == 0 && p->password.len == 0 && !a->dry_run)
		h->password = slice_dup(buf_slice(&password));
	buf_wipe(&password);
	return err;
}

int
dir_admin_hire(
    struct dir_admin *a, const struct staff_hire *p, struct staff_hired *out, char **why_out)
{
	const struct agency_cache *g = NULL;
	struct staff_hired h = {0};
	struct dir_result *r = NULL;
	bool created = false;
	int err = check(p, why_out);

	if (err == 0)
		err = admin_begin(a, "staff hire", p->name, p->decision, why_out);
	if (err != 0)
		return err;
	err = admin_agency_open(a, p->agency, &g, why_out);
	if (err == 0) {
		err = person_find(a, p, &r, why_out);
		created = err == ERR_NOTFOUND;
		if (err == 0)
			err = hire_again(a, p, g, &r->entries[0], &h, why_out);
		else if (created)
			err = hire_new(a, p, g, &h, why_out);
	}
	dir_result_free(r);
	err = admin_end(a, err, created, &h.change, why_out);
	if (err != 0) {
		staff_hired_done(&h);
		return err;
	}
	*out = h;
	return 0;
}

void
staff_hired_done(struct staff_hired *h)
{
	free(h->id);
	free(h->uid);
	free(h->mail);
	free(h->dn);
	free(h->display);
	if (h->password != NULL)
		explicit_bzero(h->password, strlen(h->password));
	free(h->password);
	memset(h, 0, sizeof(*h));
}

/* ---- reading ---- */

int
dir_admin_staff(struct dir_admin *a, const char *agency, struct dir_result **out, char **why_out)
{
	const struct agency_cache *g;
	int err;

	if (agency == NULL)
		return admin_find(
		    a, "(objectClass=vnCivilServant)", "", staff_attrs, 0, out, why_out);
	err = admin_agency(a, agency, &g, why_out);
	if (err != 0)
		return err;
	return admin_find(a, "(&(objectClass=vnCivilServant)(vnAgencyRef=%s))", agency, staff_attrs,
	    0, out, why_out);
}

int
dir_admin_staff_show(struct dir_admin *a, const char *who, struct dir_result **out, char **why_out)
{
	return admin_person(a, who, staff_attrs, out, why_out);
}

/* Whether the person acts in a post that names it, today. */
static bool
holds_today(const struct dir_entry *person, const struct dir_entry *post)
{
	struct assignment f;

	return !admin_is_over(post) &&
	       (!admin_post_days(person, dir_entry_value(post, "vnPositionCode"), &f) ||
		   assignment_when(f.from, f.to, time(NULL)) == ASSIGNMENT_NOW);
}

int
dir_admin_held(struct dir_admin *a, const struct dir_entry *person, bool all,
    struct dir_result **out, char **why_out)
{
	static const char *const post_attrs[] = {"vnPositionCode", "vnStatus", NULL};
	static const char *const attrs[] = {"vnMailboxId", "mail", "displayName", NULL};
	static const char named[] = "(vnHolder=%d)(vnDelegate=%d)(vnReader=%d)";
	struct dir_result *posts = NULL;
	struct buf f;
	int err = admin_find(a, "(roleOccupant=%d)", person->dn, post_attrs, 0, &posts, why_out);

	if (err != 0)
		return err;
	buf_init(&f, 1 << 20);
	buf_append_str(&f, "(&(objectClass=vnFunctionalMailbox)(|");
	escape_template(named, slice_of(NULL, 0), slice_str(person->dn), &f);
	for (size_t i = 0; i < posts->n_entries; i++)
		if (all || holds_today(person, &posts->entries[i]))
			escape_template(
			    named, slice_of(NULL, 0), slice_str(posts->entries[i].dn), &f);
	buf_append_str(&f, "))");
	err = f.err != 0 ? f.err : dir_search(a->d, NULL, buf_cstr(&f), attrs, 0, out);
	buf_done(&f);
	dir_result_free(posts);
	return err == 0 ? 0 : admin_fail(why_out, err, "the directory does not answer");
}
