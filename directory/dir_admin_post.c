/* dir_admin_post.c: posts: made below their agency, held by who is assigned to them, for the days of the assignment (vnAssignment). What a post
 * may do (its functional mailbox) its holder may. Runs in congvu. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/assignment.h"
#include "directory/escape.h"
#include "lib/addr.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const char *const post_attrs[] = {"vnPositionCode", "cn", "displayName", "vnAgencyRef",
    "roleOccupant", "vnStatus", "vnDecisionRef", "vnValidFrom", "vnValidTo", "vnSigningAuthority",
    NULL};

/* ---- making one ---- */

static int
post_add(struct dir_admin *a, const struct post_create *p, const struct agency_cache *g,
    const char *dn, char **why_out)
{
	struct mods m;
	int err;

	mods_init(&m);
	mods_str(&m, "objectClass", "organizationalRole");
	mods_str(&m, "objectClass", "vnPosition");
	mods_str(&m, "vnPositionCode", p->code);
	mods_text(&m, "cn", p->title);
	mods_text(&m, "displayName", p->title);
	mods_str(&m, "vnAgencyRef", g->code);
	mods_str(&m, "vnStatus", "active");
	mods_now(&m, "vnValidFrom");
	mods_str(&m, "vnDecisionRef", a->decision);
	err = admin_add(a, dn, &m, why_out);
	mods_done(&m);
	return err;
}

static int
mailbox_add(struct dir_admin *a, const struct post_create *p, const struct agency_cache *g,
    const char *post, char **why_out)
{
	char *mail = NULL, id[64];
	struct mods m;
	struct buf dn;
	int err = admin_address_free(a, p->mailbox, NULL, &mail, why_out);
	size_t n = 0;

	for (const char *c = p->code; *c != '\0' && n < 38; c++)
		id[n++] = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
	id[n] = '\0';
	buf_init(&dn, 4096);
	mods_init(&m);
	buf_append_str(&dn, "vnMailboxId=");
	escape_rdn(slice_str(id), &dn);
	buf_appendf(&dn, ",ou=mailboxes,%s", dir_base(a->d));
	mods_str(&m, "objectClass", "vnFunctionalMailbox");
	mods_str(&m, "vnMailboxId", id);
	mods_str(&m, "vnMailboxKind", "post");
	mods_text(&m, "cn", p->title);
	mods_fmt(&m, "displayName", "%s (%s)", p->title, g->abbrev);
	mods_str(&m, "mail", mail);
	mods_str(&m, "vnAgencyRef", g->code);
	mods_str(&m, "vnHolder", post);
	mods_str(&m, "vnStatus", "active");
	mods_now(&m, "vnValidFrom");
	mods_str(&m, "vnDecisionRef", a->decision);
	if (err == 0)
		err = dn.err != 0 ? dn.err : admin_add(a, buf_cstr(&dn), &m, why_out);
	mods_done(&m);
	buf_done(&dn);
	free(mail);
	return err;
}

/* The mailbox that the post holds, when it has this address; else there is to be none with it. */
static int
mailbox_ensure(struct dir_admin *a, const struct post_create *p, const struct agency_cache *g,
    const char *post, char **why_out)
{
	static const char *const attrs[] = {"mail", NULL};
	struct dir_result *r = NULL;
	bool there = false;
	struct buf mail;
	int err;

	buf_init(&mail, 512);
	err = addr_normalize(slice_str(p->mailbox), &mail) == 0
		  ? admin_find(a, "(&(objectClass=vnFunctionalMailbox)(vnHolder=%d))", post, attrs,
			0, &r, why_out)
		  : admin_fail(why_out, ERR_SYNTAX, "%s is no mail address", p->mailbox);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++)
		there = there || dir_entry_has_value(&r->entries[i], "mail", buf_slice(&mail));
	dir_result_free(r);
	buf_done(&mail);
	return err != 0 || there ? err : mailbox_add(a, p, g, post, why_out);
}

/* An agency's code and a word: H99.02-giamdoc. It stays for ever, so it may say nothing that changes. */
static int
code_check(const char *code, char **why_out)
{
	if (code == NULL || *code == '\0' || strlen(code) > 60 ||
	    code[strspn(
		code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.-")] != '\0')
		return admin_fail(why_out, ERR_SYNTAX,
		    "the code of a post must be 1 to 60 letters without marks, digits, dots and "
		    "hyphens, such as H99.02-giamdoc");
	return 0;
}

int
dir_admin_post_create(
    struct dir_admin *a, const struct post_create *p, enum change *change_out, char **why_out)
{
	const struct agency_cache *g = NULL;
	struct dir_result *r = NULL;
	struct buf dn;
	bool created = false;
	int err = code_check(p->code, why_out);

	if (err == 0)
		err = admin_check_text("the title", p->title, 200, why_out);
	if (err == 0)
		err = admin_check_text("the agency", p->agency, 35, why_out);
	if (err == 0)
		err = admin_begin(a, "post create", p->code, p->decision, why_out);
	if (err != 0)
		return err;
	buf_init(&dn, 4096);
	err = admin_agency_open(a, p->agency, &g, why_out);
	if (err == 0)
		err = admin_find(a, "(&(objectClass=vnPosition)(vnPositionCode=%s))", p->code,
		    post_attrs, 2, &r, why_out);
	if (err == 0 && r->n_entries > 0) {
		buf_append_str(&dn, r->entries[0].dn);
		err = admin_is_over(&r->entries[0])
			  ? admin_fail(why_out, ERR_GONE, "the post %s is closed", p->code)
			  : admin_same(&r->entries[0], "vnAgencyRef", g->code, p->code, why_out);
		if (err == 0)
			err = admin_same(&r->entries[0], "cn", p->title, p->code, why_out);
	} else if (err == 0) {
		buf_append_str(&dn, "vnPositionCode=");
		escape_rdn(slice_str(p->code), &dn);
		buf_appendf(&dn, ",%s", g->dn);
		err = post_add(a, p, g, buf_cstr(&dn), why_out);
		created = err == 0;
	}
	if (err == 0 && p->mailbox != NULL)
		err = mailbox_ensure(a, p, g, buf_cstr(&dn), why_out);
	dir_result_free(r);
	buf_done(&dn);
	return admin_end(a, err, created, change_out, why_out);
}

/* ---- who holds it ---- */

static int
pair_begin(struct dir_admin *a, const char *op, const char *post, const char *who,
    const char *decision, struct subject *p, struct subject *s, char **why_out)
{
	int err = admin_begin(a, op, post, decision == NULL ? "" : decision, why_out);

	memset(p, 0, sizeof(*p));
	memset(s, 0, sizeof(*s));
	if (err != 0)
		return err;
	err = admin_subject(a, post, SUBJECT_POST, p, why_out);
	if (err == 0)
		err = admin_subject(a, who, SUBJECT_PERSON, s, why_out);
	if (err != 0) {
		subject_done(p);
		subject_done(s);
		admin_end(a, err, false, NULL, why_out);
	}
	return err;
}

int
dir_admin_post_assign(
    struct dir_admin *a, const struct post_assign *p, enum change *change_out, char **why_out)
{
	char from[20] = "", until[20] = "";
	struct subject post, s;
	struct mods m, occupant;
	int err;

	err = admin_days(p->from, p->until, from, until, why_out);
	if (err == 0)
		err =
		    pair_begin(a, "post assign", p->post, p->who, p->decision, &post, &s, why_out);
	if (err != 0)
		return err;
	mods_init(&m);
	mods_init(&occupant);
	if (admin_is_over(post.e))
		err = admin_fail(why_out, ERR_GONE, "the post %s is closed", p->post);
	else if (admin_is_over(s.e))
		err = admin_fail(
		    why_out, ERR_GONE, "%s has left the service", admin_value(s.e, "vnStaffId"));
	if (err == 0) {
		const char *agency = admin_value(post.e, "vnAgencyRef");
		bool own = strcasecmp(agency, admin_value(s.e, "vnAgencyRef")) == 0;

		/* the days first: the post never is held without its bounds */
		admin_assignment_set(a, &m, s.e, own ? "primary" : "concurrent", agency,
		    admin_value(post.e, "vnPositionCode"), p->from == NULL ? NULL : from,
		    p->until == NULL ? NULL : until);
		mods_add(&occupant, "roleOccupant", slice_str(s.e->dn));
		err = admin_modify(a, s.e->dn, &m, why_out);
	}
	if (err == 0)
		err = admin_modify(a, post.e->dn, &occupant, why_out);
	mods_done(&m);
	mods_done(&occupant);
	subject_done(&post);
	subject_done(&s);
	return admin_end(a, err, false, change_out, why_out);
}

static int
release(struct dir_admin *a, const struct dir_entry *post, const struct dir_entry *person,
    char **why_out)
{
	struct mods m, occupant;
	int err;

	mods_init(&m);
	mods_init(&occupant);
	mods_delete(&occupant, "roleOccupant", slice_str(person->dn));
	err = admin_modify(a, post->dn, &occupant, why_out);
	admin_assignments_end(&m, person, NULL, NULL, admin_value(post, "vnPositionCode"));
	if (err == 0)
		err = admin_modify(a, person->dn, &m, why_out);
	mods_done(&m);
	mods_done(&occupant);
	return err;
}

int
dir_admin_post_release(struct dir_admin *a, const char *post, const char *who, const char *decision,
    enum change *change_out, char **why_out)
{
	struct subject p, s;
	int err = pair_begin(a, "post release", post, who, decision, &p, &s, why_out);

	if (err != 0)
		return err;
	err = release(a, p.e, s.e, why_out);
	subject_done(&p);
	subject_done(&s);
	return admin_end(a, err, false, change_out, why_out);
}

/* Whether somebody has rights in it by a delegation that is not over. */
static int
is_delegated(struct dir_admin *a, const struct dir_entry *box, bool *out, char **why_out)
{
	static const char *const attrs[] = {"vnValidFrom", "vnValidTo", NULL};
	struct dir_result *r = NULL;
	int err = admin_find(a, "(&(objectClass=vnDelegation)(!(vnStatus=closed))(vnDelegator=%d))",
	    box->dn, attrs, 0, &r, why_out);

	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];

		*out = *out || assignment_when(dir_entry_value(e, "vnValidFrom"),
				   dir_entry_value(e, "vnValidTo"), time(NULL)) != ASSIGNMENT_OVER;
	}
	dir_result_free(r);
	return err;
}

int
admin_mailbox_is_opened(
    struct dir_admin *a, const struct dir_entry *box, const char *post, bool *out, char **why_out)
{
	static const char *const rosters[] = {"vnHolder", "vnDelegate", "vnReader"},
				 *const attrs[] = {
				     "vnPositionCode", "roleOccupant", "vnStatus", NULL};
	bool opened = false;
	int err = 0;

	for (size_t k = 0; err == 0 && k < 3; k++) {
		const struct dir_attr *at = dir_entry_attr(box, rosters[k]);

		for (size_t i = 0; err == 0 && !opened && at != NULL && i < at->n_values; i++) {
			const char *dn = dir_value_text(at->values[i]);
			struct dir_result *r = NULL;

			if (dn == NULL || (post != NULL && admin_is_dn(dn, post)))
				continue;
			err = dir_read(a->d, dn, attrs, &r);
			if (err == 0) /* a post that nobody holds opens nothing */
				opened =
				    !admin_is_over(&r->entries[0]) &&
				    (dir_entry_attr(&r->entries[0], "vnPositionCode") == NULL ||
					dir_entry_attr(&r->entries[0], "roleOccupant") != NULL);
			dir_result_free(r);
			err = err == ERR_NOTFOUND ? 0 : err;
		}
	}
	if (err != 0)
		return admin_fail(why_out, err, "the directory does not answer");
	*out = opened;
	return opened ? 0 : is_delegated(a, box, out, why_out);
}

int
admin_post_end(struct dir_admin *a, const struct dir_entry *post, char **why_out)
{
	struct mods m;
	char now[20];
	int err;

	if (admin_is_over(post))
		return 0;
	mods_init(&m);
	admin_now(now);
	mods_replace(&m, "vnStatus", "closed");
	mods_replace(&m, "vnValidTo", now);
	err = admin_modify(a, post->dn, &m, why_out);
	mods_done(&m);
	return err;
}

static int
mailbox_end(struct dir_admin *a, const struct dir_entry *box, char **why_out)
{
	static const char *const gone[] = {"vnForward", "vnForwardKeep", "vnAutoReplyText",
	    "vnAutoReplySubject", "vnAutoReplyFrom", "vnAutoReplyUntil", "vnAutoReplyDays"};
	struct mods m;
	char now[20];
	int err;

	mods_init(&m);
	admin_now(now);
	mods_replace(&m, "vnStatus", "closed");
	mods_replace(&m, "vnValidTo", now);
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		mods_replace(&m, gone[i], NULL);
	err = admin_modify(a, box->dn, &m, why_out);
	mods_done(&m);
	return err != 0 ? err : admin_rights_end(a, box->dn, RIGHTS_ALL, NULL, NULL, why_out);
}

int
admin_mailboxes_end(
    struct dir_admin *a, const char *filter, const char *value, const char *post, char **why_out)
{
	static const char *const attrs[] = {
	    "mail", "vnStatus", "vnHolder", "vnDelegate", "vnReader", NULL};
	struct dir_result *r = NULL;
	int err = admin_find(a, filter, value, attrs, 0, &r, why_out);

	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		bool opened = false;

		if (admin_is_over(&r->entries[i]))
			continue;
		err = admin_mailbox_is_opened(a, &r->entries[i], post, &opened, why_out);
		if (err == 0 && !opened)
			err = mailbox_end(a, &r->entries[i], why_out);
	}
	dir_result_free(r);
	return err;
}

int
dir_admin_post_close(struct dir_admin *a, const char *post, const char *decision,
    enum change *change_out, char **why_out)
{
	struct subject p = {0};
	int err = admin_begin(a, "post close", post, decision == NULL ? "" : decision, why_out);

	if (err != 0)
		return err;
	err = admin_subject(a, post, SUBJECT_POST, &p, why_out);
	if (err == 0 && dir_entry_attr(p.e, "roleOccupant") != NULL)
		err = admin_fail(
		    why_out, ERR_CONFLICT, "somebody holds %s: congvu post release first", post);
	if (err == 0) /* also of a post that an older congvu closed without it */
		err = admin_mailboxes_end(a, "(&(objectClass=vnFunctionalMailbox)(vnHolder=%d))",
		    p.e->dn, p.e->dn, why_out);
	if (err == 0)
		err = admin_post_end(a, p.e, why_out);
	subject_done(&p);
	return admin_end(a, err, false, change_out, why_out);
}

int
dir_admin_posts(struct dir_admin *a, const char *agency, struct dir_result **out, char **why_out)
{
	const struct agency_cache *g;
	int err;

	if (agency == NULL)
		return admin_find(a, "(objectClass=vnPosition)", "", post_attrs, 0, out, why_out);
	err = admin_agency(a, agency, &g, why_out);
	if (err != 0)
		return err;
	return admin_find(
	    a, "(&(objectClass=vnPosition)(vnAgencyRef=%s))", agency, post_attrs, 0, out, why_out);
}

/* ---- for which days ---- */

/* Of several assignments to a post the one that counts most: in force, to come, over; of equals the last. */
static int
weight(enum assignment_when w)
{
	return w == ASSIGNMENT_NOW ? 2 : w == ASSIGNMENT_LATER ? 1 : 0;
}

bool
admin_post_days(const struct dir_entry *person, struct slice post, struct assignment *out)
{
	const struct dir_attr *have = dir_entry_attr(person, "vnAssignment");
	int64_t now = time(NULL);
	int best = -1;

	for (size_t i = 0; post.len > 0 && have != NULL && i < have->n_values; i++) {
		struct assignment f;

		assignment_split(have->values[i], &f);
		if (!slice_caseeq(f.post, post) ||
		    weight(assignment_when(f.from, f.to, now)) < best)
			continue;
		best = weight(assignment_when(f.from, f.to, now));
		*out = f;
	}
	return best >= 0;
}

static const char *
state_of(const struct dir_entry *person, const struct assignment *f)
{
	if (admin_is_over(person))
		return "closed";
	if (slice_caseeq_str(dir_entry_value(person, "vnStatus"), "suspended"))
		return "suspended";
	switch (f == NULL ? ASSIGNMENT_NOW : assignment_when(f->from, f->to, time(NULL))) {
	case ASSIGNMENT_OVER:
		return "over";
	case ASSIGNMENT_LATER:
		return "later";
	case ASSIGNMENT_NOW:
		break;
	}
	return "now";
}

static void
holder_fill(struct dir_admin *a, const char *dn, const struct dir_entry *person, struct slice post,
    struct post_holder *h)
{
	struct assignment f;
	bool dated = admin_post_days(person, post, &f);

	h->id = xstrdup(admin_value(person, "vnStaffId"));
	h->name = dir_admin_name_of(a, dn);
	h->state = state_of(person, dated ? &f : NULL);
	if (dated) {
		snprintf(
		    h->from, sizeof(h->from), "%.*s", (int)f.from.len, (const char *)f.from.ptr);
		snprintf(h->until, sizeof(h->until), "%.*s", (int)f.to.len, (const char *)f.to.ptr);
	}
}

static int
by_id(const void *x, const void *y)
{
	const struct post_holder *a = x, *b = y;

	return strcmp(a->id, b->id);
}

int
dir_admin_post_holders(struct dir_admin *a, const struct dir_entry *post, struct post_holder **out,
    size_t *n_out, char **why_out)
{
	static const char *const attrs[] = {"vnStaffId", "vnAssignment", "vnStatus", NULL};
	const struct dir_attr *at = dir_entry_attr(post, "roleOccupant");
	struct post_holder *v = xcalloc(at == NULL ? 1 : at->n_values + 1, sizeof(*v));
	size_t n = 0;
	int err = 0;

	for (size_t i = 0; err == 0 && at != NULL && i < at->n_values; i++) {
		const char *dn = dir_value_text(at->values[i]);
		struct dir_result *r = NULL;

		if (dn == NULL)
			continue;
		err = dir_read(a->d, dn, attrs, &r);
		if (err == 0)
			holder_fill(a, dn, &r->entries[0], dir_entry_value(post, "vnPositionCode"),
			    &v[n++]);
		dir_result_free(r);
		err = err == ERR_NOTFOUND ? 0 : err; /* a name that leads nowhere holds nothing */
	}
	if (err != 0) {
		post_holders_free(v, n);
		return admin_fail(why_out, err, "the directory does not answer");
	}
	qsort(v, n, sizeof(*v), by_id);
	*out = v;
	*n_out = n;
	return 0;
}

void
post_holders_free(struct post_holder *h, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(h[i].id);
		free(h[i].name);
	}
	free(h);
}
