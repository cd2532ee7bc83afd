/* dir_admin_cert.c: certificates of people and functional mailboxes, one by one: whose a certificate is, and publishing it or taking it away. Runs in congvu.
 * userCertificate;binary is what mail clients look up before they encrypt (RFC 4523 2.1); userSMIMECertificate is not written: RFC 2798 2.8 wants
 * capabilities in it that only the key's owner can sign, and clients prefer it to the other. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

#define CERT_ATTR "userCertificate;binary"

static bool
has_now(const struct dir_entry *e, struct slice address)
{
	static const char *const attrs[] = {"mail", "vnMailAlias"};

	for (size_t k = 0; k < 2; k++) {
		const struct dir_attr *at = dir_entry_attr(e, attrs[k]);

		for (size_t i = 0; at != NULL && i < at->n_values; i++)
			if (at->values[i].len > 0 && addr_same(at->values[i], address))
				return true;
	}
	return false;
}

/* Whether the entry had the address, and nobody has it now or had it as long or longer: else a certificate with it is the other's, as
 * people_former_counts has it for what signs mail. ERR_TEMP with words. */
static int
had_last(struct dir_admin *a, const struct dir_entry *e, struct slice address, bool *had_out,
    char **why_out)
{
	static const char *const attrs[] = {"mail", "vnMailAlias", "vnAddressHistory", NULL};
	int64_t own = address_given_up(dir_entry_attr(e, "vnAddressHistory"), address, 0);
	struct dir_result *r = NULL;
	struct buf norm;
	int err;

	*had_out = false;
	if (own < 0)
		return 0;
	buf_init(&norm, 1024);
	err = addr_normalize(address, &norm);
	if (err == 0)
		err = admin_find(a, "(|(mail=%s)(vnMailAlias=%s)(vnAddressHistory=%s;*))",
		    buf_cstr(&norm), attrs, 0, &r, why_out);
	*had_out = err == 0;
	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		const struct dir_entry *other = &r->entries[i];

		if (strcmp(other->dn_norm, e->dn_norm) != 0 &&
		    (has_now(other, address) ||
			address_given_up(
			    dir_entry_attr(other, "vnAddressHistory"), address, INT64_MAX) >= own))
			*had_out = false;
	}
	buf_done(&norm);
	dir_result_free(r);
	return err;
}

/* ERR_DENIED: the certificate names no address of the entry, of now or (*former_out) only of before. */
static int
check_bound(struct dir_admin *a, const struct dir_entry *e, const char *const *addresses, size_t n,
    bool *former_out, char **why_out)
{
	int err = 0;

	*former_out = false;
	for (size_t i = 0; i < n; i++)
		if (has_now(e, slice_str(addresses[i])))
			return 0;
	for (size_t i = 0; err == 0 && i < n && !*former_out; i++)
		err = had_last(a, e, slice_str(addresses[i]), former_out, why_out);
	return err != 0 || *former_out ? err : ERR_DENIED;
}

/* An account is "p-" or "f-" and the id of its entry. */
static bool
is_account_of(const char *account, const char *id, bool mailbox)
{
	return strncmp(account, mailbox ? "f-" : "p-", 2) == 0 && strcasecmp(account + 2, id) == 0;
}

static void
fill(struct cert_holder *out, const struct subject *s, struct slice der)
{
	const struct dir_attr *certs = dir_entry_attr(s->e, CERT_ATTR);

	out->is_mailbox = s->kind == SUBJECT_MAILBOX;
	out->dn = xstrdup(s->e->dn);
	out->id = xstrdup(admin_value(s->e, out->is_mailbox ? "vnMailboxId" : "vnStaffId"));
	out->mail = xstrdup(admin_value(s->e, "mail"));
	out->display = xstrdup(admin_value(s->e, "displayName"));
	out->n_certs = certs == NULL ? 0 : certs->n_values;
	out->has_it = dir_entry_has_value(s->e, CERT_ATTR, der);
}

int
dir_admin_cert_agency(struct dir_admin *a, const char *address, char **out, char **why_out)
{
	struct subject s = {.kind = 0};
	char *why = NULL;
	int err = admin_subject(a, address, SUBJECT_PERSON | SUBJECT_MAILBOX, &s, &why);

	if (err == 0 || err == ERR_NOTFOUND) {
		free(why);
		*out = xstrdup(err == 0 ? admin_value(s.e, "vnAgencyRef") : "");
		err = 0;
	} else {
		*why_out = why;
	}
	subject_done(&s);
	return err;
}

int
dir_admin_cert_holder(struct dir_admin *a, const char *address, const char *account,
    const char *const *addresses, size_t n, struct slice der, struct cert_holder *out,
    char **why_out)
{
	struct subject s = {.kind = 0};
	bool former = false;
	int err = admin_subject(a, address, SUBJECT_PERSON | SUBJECT_MAILBOX, &s, why_out);

	memset(out, 0, sizeof(*out));
	if (err != 0)
		return err;
	fill(out, &s, der);
	if (admin_is_over(s.e))
		err = admin_fail(why_out, ERR_GONE,
		    "%s left the service, or is closed: nothing is published", address);
	else if (*account != '\0' && !is_account_of(account, out->id, out->is_mailbox))
		err = admin_fail(why_out, ERR_CONFLICT,
		    "%s is %s's by now, and was another's when the certificate came", address,
		    out->id);
	else if ((err = check_bound(a, s.e, addresses, n, &former, why_out)) == ERR_DENIED)
		err = admin_fail(why_out, ERR_DENIED,
		    "the certificate names no address of %s that is nobody else's by now", out->id);
	out->by_former = former;
	subject_done(&s);
	if (err != 0)
		cert_holder_done(out);
	return err;
}

/* The entry of the account, if the certificate stands there. ERR_NOTFOUND without words. */
static int
find_by_account(
    struct dir_admin *a, const char *account, struct slice der, struct subject *out, char **why_out)
{
	static const char *const attrs[] = {
	    "vnStaffId", "vnMailboxId", "mail", "displayName", CERT_ATTR, NULL};
	bool mailbox = strncmp(account, "f-", 2) == 0;
	int err;

	if (strlen(account) <= 2)
		return ERR_NOTFOUND;
	err = admin_find(a,
	    mailbox ? "(&(objectClass=vnFunctionalMailbox)(vnMailboxId=%s))"
		    : "(&(objectClass=vnCivilServant)(vnStaffId=%s))",
	    account + 2, attrs, 2, &out->r, why_out);
	if (err != 0)
		return err;
	if (out->r->n_entries != 1 || !dir_entry_has_value(&out->r->entries[0], CERT_ATTR, der))
		return ERR_NOTFOUND;
	out->e = &out->r->entries[0];
	out->kind = mailbox ? SUBJECT_MAILBOX : SUBJECT_PERSON;
	return 0;
}

/* The address may be gone, or another's by now: the entry that it was published in may be there all the same. */
int
dir_admin_cert_where(struct dir_admin *a, const char *address, const char *account,
    struct slice der, struct cert_holder *out, char **why_out)
{
	struct subject s = {.kind = 0};
	char *why = NULL;
	int err = admin_subject(a, address, SUBJECT_PERSON | SUBJECT_MAILBOX, &s, &why);

	memset(out, 0, sizeof(*out));
	if (err == 0 && !dir_entry_has_value(s.e, CERT_ATTR, der))
		err = ERR_NOTFOUND;
	if (err == ERR_NOTFOUND || err == ERR_EXISTS) {
		subject_done(&s);
		free(why);
		why = NULL;
		err = find_by_account(a, account, der, &s, &why);
	}
	if (err == ERR_NOTFOUND)
		err = admin_fail(&why, err, "no entry of %s has the certificate", address);
	if (err == 0)
		fill(out, &s, der);
	else
		*why_out = why;
	subject_done(&s);
	return err;
}

void
cert_holder_done(struct cert_holder *h)
{
	free(h->dn);
	free(h->id);
	free(h->mail);
	free(h->display);
	memset(h, 0, sizeof(*h));
}

int
dir_admin_cert_set(struct dir_admin *a, const struct cert_holder *h, struct slice der, bool on,
    const char *decision, enum change *change_out, char **why_out)
{
	struct mods m;
	int err = admin_begin(a, on ? "cert approve" : "cert withdraw", h->dn != NULL ? h->dn : "",
	    decision, why_out);

	if (err != 0)
		return err;
	if (h->dn == NULL)
		return admin_end(a, 0, false, change_out, why_out);
	mods_init(&m);
	if (on)
		mods_add(&m, CERT_ATTR, der);
	else
		mods_delete(&m, CERT_ATTR, der);
	err = admin_modify(a, h->dn, &m, why_out);
	mods_done(&m);
	return admin_end(a, err, false, change_out, why_out);
}
