/* dir_admin_agency.c: an agency in the directory: its organizational unit, named by its code, the post of its clerks (văn thư) below
 * it, and its functional mailbox, held by that post. Runs in congvu. The three are written in this order, each only when it is missing,
 * so that a command that was cut off is mended by giving it again. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/escape.h"
#include "lib/addr.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const agency_attrs[] = {"vnAgencyCode", "ou", "vnAgencyAbbrev", "vnAgencyKind",
    "mail", "vnStatus", "vnDecisionRef", "vnValidFrom", NULL};

static int
check(const struct agency_add *p, char **why_out)
{
	static const char *const kinds[] = {"office", "dept", "board", "sector", "commune"};
	bool known = false;
	int err;

	/* QĐ 20/2020: at most 35 characters of digits, capitals and dots */
	if (p->code == NULL || *p->code == '\0' || strlen(p->code) > 35 ||
	    p->code[strspn(p->code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ.")] != '\0')
		return admin_fail(why_out, ERR_SYNTAX,
		    "the code must be at most 35 digits, capital letters and dots, such as H99.02");
	err = admin_check_text("the name", p->name, 400, why_out);
	if (err == 0)
		err = admin_check_text("the abbreviation", p->abbrev, 40, why_out);
	if (err == 0)
		err = admin_check_text("the decision", p->decision, 200, why_out);
	for (size_t i = 0; p->kind != NULL && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		known = known || strcmp(p->kind, kinds[i]) == 0;
	if (err == 0 && !known)
		err = admin_fail(
		    why_out, ERR_SYNTAX, "the kind must be office, dept, board, sector or commune");
	return err;
}

int
admin_abbrev_check(struct dir_admin *a, const char *code, const char *abbrev, char **why_out)
{
	struct dir_result *r = NULL;
	int err = admin_check_text("the abbreviation", abbrev, 40, why_out);

	if (err == 0 && abbrev[strcspn(abbrev, " \t")] != '\0')
		err = admin_fail(
		    why_out, ERR_SYNTAX, "the abbreviation must have no blanks, such as SKHCN");
	if (err == 0)
		err = admin_find(a, "(&(objectClass=vnAgency)(vnAgencyAbbrev=%s))", abbrev,
		    agency_attrs, 0, &r, why_out);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++)
		if (!admin_is_over(&r->entries[i]) &&
		    strcasecmp(admin_value(&r->entries[i], "vnAgencyCode"), code) != 0)
			err = admin_fail(why_out, ERR_EXISTS,
			    "the agency %s has the abbreviation %s already",
			    admin_value(&r->entries[i], "vnAgencyCode"), abbrev);
	dir_result_free(r);
	return err;
}

static int
unit_add(struct dir_admin *a, const struct agency_add *p, char **why_out)
{
	const struct agency_cache *parent = NULL;
	struct mods m;
	struct buf dn;
	int err = 0;

	if (p->parent != NULL)
		err = admin_agency_open(a, p->parent, &parent, why_out);
	if (err == 0)
		err = admin_abbrev_check(a, p->code, p->abbrev, why_out);
	if (err != 0)
		return err;
	buf_init(&dn, 4096);
	mods_init(&m);
	buf_append_str(&dn, "vnAgencyCode=");
	escape_rdn(slice_str(p->code), &dn);
	if (parent != NULL)
		buf_appendf(&dn, ",%s", parent->dn);
	else
		buf_appendf(&dn, ",ou=agencies,%s", dir_base(a->d));
	mods_str(&m, "objectClass", "organizationalUnit");
	mods_str(&m, "objectClass", "vnAgency");
	mods_str(&m, "vnAgencyCode", p->code);
	mods_text(&m, "ou", p->name);
	mods_text(&m, "displayName", p->name);
	mods_str(&m, "vnAgencyAbbrev", p->abbrev);
	mods_str(&m, "vnAgencyKind", p->kind);
	mods_str(&m, "vnStatus", "active");
	mods_now(&m, "vnValidFrom");
	mods_text(&m, "vnDecisionRef", p->decision);
	/* no mail: the address belongs to the mailbox, and one address has one owner */
	err = dn.err != 0 ? dn.err : m.err;
	if (err == 0)
		err = admin_add(a, buf_cstr(&dn), &m, why_out);
	if (err == 0)
		admin_agency_keep(a, p->code, buf_cstr(&dn), p->name, p->abbrev, false);
	mods_done(&m);
	buf_done(&dn);
	return err;
}

static int
post_ensure(
    struct dir_admin *a, const struct agency_add *p, const struct agency_cache *g, char **why_out)
{
	static const char *const none[] = {"1.1", NULL};
	char *dn = admin_clerk_post(g);
	struct dir_result *r = NULL;
	struct mods m;
	int err = dn == NULL ? ERR_LIMIT : dir_read(a->d, dn, none, &r);

	dir_result_free(r);
	if (err == ERR_NOTFOUND) {
		mods_init(&m);
		mods_str(&m, "objectClass", "organizationalRole");
		mods_str(&m, "objectClass", "vnPosition");
		mods_fmt(&m, "vnPositionCode", "%s-vanthu", g->code);
		mods_fmt(&m, "cn", "Văn thư %s", p->abbrev);
		mods_str(&m, "vnAgencyRef", g->code);
		mods_text(&m, "vnDecisionRef", p->decision);
		err = admin_add(a, dn, &m, why_out);
		mods_done(&m);
	} else if (err != 0) {
		err = admin_fail(why_out, err, "the directory does not answer");
	}
	free(dn);
	return err;
}

static int
mailbox_add(struct dir_admin *a, const struct agency_add *p, const struct agency_cache *g,
    const char *id, const char *mail, char **why_out)
{
	char *post = admin_clerk_post(g);
	struct mods m;
	struct buf dn;
	int err;

	buf_init(&dn, 4096);
	mods_init(&m);
	buf_append_str(&dn, "vnMailboxId=");
	escape_rdn(slice_str(id), &dn);
	buf_appendf(&dn, ",ou=mailboxes,%s", dir_base(a->d));
	mods_str(&m, "objectClass", "vnFunctionalMailbox");
	mods_str(&m, "vnMailboxId", id);
	mods_fmt(&m, "cn", "Văn thư %s", p->name);
	mods_text(&m, "displayName", p->name);
	mods_str(&m, "mail", mail);
	mods_str(&m, "vnAgencyRef", g->code);
	mods_str(&m, "vnHolder", post);
	mods_str(&m, "vnStatus", "active");
	mods_now(&m, "vnValidFrom");
	mods_text(&m, "vnDecisionRef", p->decision);
	mods_add(&m, "userCertificate;binary", p->cert);
	err = dn.err != 0 ? dn.err : admin_add(a, buf_cstr(&dn), &m, why_out);
	mods_done(&m);
	buf_done(&dn);
	free(post);
	return err;
}

/* The mailbox with this address: none, or that of the agency; everything else is refused. */
static int
mailbox_find(struct dir_admin *a, const char *code, const char *mail, struct dir_result **out,
    char **why_out)
{
	static const char *const attrs[] = {
	    "vnAgencyRef", "mail", "userCertificate;binary", "vnDecisionRef", NULL};
	int err = admin_find(a, "(|(mail=%s)(vnMailAlias=%s))", mail, attrs, 2, out, why_out);

	if (err == 0 && (*out)->n_entries == 0) {
		char *free_now = NULL;

		err = admin_address_free(a, mail, NULL, &free_now, why_out); /* nor was anybody's */
		free(free_now);
		return err;
	}
	if (err != 0)
		return err;
	if (dir_entry_has_value(&(*out)->entries[0], "vnAgencyRef", slice_str(code)) &&
	    strncasecmp((*out)->entries[0].dn, "vnMailboxId=", 12) == 0)
		return 0;
	return admin_fail(why_out, ERR_EXISTS, "the address %s belongs to %s already", mail,
	    (*out)->entries[0].dn);
}

static int
mailbox_ensure(struct dir_admin *a, const struct agency_add *p, const struct agency_cache *g,
    const char *mail, char **why_out)
{
	struct dir_result *r = NULL;
	char id[64];
	size_t n = 0;
	int err;

	for (const char *c = g->code; *c != '\0' && n < 36; c++)
		id[n++] = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
	id[n] = '\0';
	/* [a-z0-9.-]{1,38}: it becomes the account's name in the store */
	strncat(id, "-vt", sizeof(id) - n - 1);
	err = mailbox_find(a, g->code, mail, &r, why_out);
	if (err == 0 && r->n_entries == 0) {
		err = mailbox_add(a, p, g, id, mail, why_out);
	} else if (err == 0 && p->cert.len > 0) {
		err = admin_ensure_value(
		    a, &r->entries[0], "userCertificate;binary", p->cert, true, why_out);
	}
	dir_result_free(r);
	return err;
}

/* Whether what is there is what is wanted. */
static int
unit_same(
    struct dir_admin *a, const struct agency_add *p, const struct dir_entry *e, char **why_out)
{
	const struct agency_cache *parent = NULL;
	char *norm = NULL;
	int err = admin_is_over(e)
		      ? admin_fail(why_out, ERR_GONE, "the agency %s is closed", p->code)
		      : admin_same(e, "ou", p->name, p->code, why_out);

	if (err == 0)
		err = admin_same(e, "vnAgencyAbbrev", p->abbrev, p->code, why_out);
	if (err == 0)
		err = admin_same(e, "vnAgencyKind", p->kind, p->code, why_out);
	if (err == 0 && p->parent != NULL)
		err = admin_agency(a, p->parent, &parent, why_out);
	if (err == 0 && parent != NULL) {
		norm = dir_dn_norm(parent->dn);
		if (norm == NULL || strlen(e->dn_norm) <= strlen(norm) ||
		    strcmp(e->dn_norm + strlen(e->dn_norm) - strlen(norm), norm) != 0)
			err = admin_fail(why_out, ERR_EXISTS,
			    "%s is there already, and not below %s", p->code, p->parent);
		free(norm);
	}
	return err;
}

int
dir_admin_agency_add(
    struct dir_admin *a, const struct agency_add *p, enum change *change_out, char **why_out)
{
	const struct agency_cache *g = NULL;
	struct dir_result *r = NULL, *box = NULL;
	bool is_new = false;
	struct buf mail;
	int err = check(p, why_out);

	if (err == 0)
		err = admin_begin(a, "agency add", p->code, p->decision, why_out);
	if (err != 0)
		return err;
	buf_init(&mail, 512);
	if (p->mailbox != NULL && addr_normalize(slice_str(p->mailbox), &mail) != 0)
		err = admin_fail(why_out, ERR_SYNTAX, "%s is no mail address", p->mailbox);
	if (err == 0 && mail.len > 0)
		err = admin_check_domain(a, buf_cstr(&mail), why_out);
	if (err == 0 && mail.len > 0) /* before anything is written */
		err = mailbox_find(a, p->code, buf_cstr(&mail), &box, why_out);
	if (err == 0)
		err = admin_find(a, "(&(objectClass=vnAgency)(vnAgencyCode=%s))", p->code,
		    agency_attrs, 2, &r, why_out);
	if (err == 0 && r->n_entries == 0) {
		err = unit_add(a, p, why_out);
		is_new = err == 0;
	} else if (err == 0) {
		err = unit_same(a, p, &r->entries[0], why_out);
	}
	if (err == 0)
		err = admin_agency(a, p->code, &g, why_out);
	if (err == 0)
		err = post_ensure(a, p, g, why_out);
	if (err == 0 && mail.len > 0)
		err = mailbox_ensure(a, p, g, buf_cstr(&mail), why_out);
	dir_result_free(r);
	dir_result_free(box);
	buf_done(&mail);
	return admin_end(a, err, is_new, change_out, why_out);
}

int
dir_admin_agencies(struct dir_admin *a, struct dir_result **out, char **why_out)
{
	return admin_find(a, "(objectClass=vnAgency)", "", agency_attrs, 0, out, why_out);
}

int
dir_admin_mailboxes(struct dir_admin *a, struct dir_result **out, char **why_out)
{
	static const char *const attrs[] = {
	    "vnMailboxId", "mail", "vnAgencyRef", "displayName", NULL};

	return admin_find(a, "(objectClass=vnFunctionalMailbox)", "", attrs, 0, out, why_out);
}
