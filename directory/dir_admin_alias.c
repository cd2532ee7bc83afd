/* dir_admin_alias.c: further addresses of people, mailboxes and groups. Runs in congvu. One that is taken away is remembered (vnAddressHistory): mail
 * signed under it is verified by that, and nobody else gets it for years. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

enum { ALIASES_MAX = 100 };

static int
alias_add(struct dir_admin *a, const struct dir_entry *e, const char *address, struct mods *m,
    char **why_out)
{
	const struct dir_attr *have = dir_entry_attr(e, "vnMailAlias");
	char *mail = NULL;
	int err = admin_address_free(a, address, e->dn, &mail, why_out);

	if (err == 0 && !dir_entry_has_value(e, "mail", slice_str(mail)) &&
	    !dir_entry_has_value(e, "vnMailAlias", slice_str(mail))) {
		if (have != NULL && have->n_values >= ALIASES_MAX)
			err = admin_fail(why_out, ERR_LIMIT, "at most %d aliases", ALIASES_MAX);
		else
			mods_add(m, "vnMailAlias", slice_str(mail));
	}
	free(mail);
	return err;
}

static int
alias_remove(const struct dir_entry *e, const char *address, struct mods *m, char **why_out)
{
	const struct dir_attr *have = dir_entry_attr(e, "vnMailAlias");
	struct buf mail;
	int err = 0;

	buf_init(&mail, 512);
	if (addr_normalize(slice_str(address), &mail) != 0)
		err = admin_fail(why_out, ERR_SYNTAX, "%s is no mail address", address);
	else if (dir_entry_has_value(e, "mail", buf_slice(&mail)))
		err = admin_fail(why_out, ERR_CONFLICT,
		    "%s is the address itself and no alias: congvu staff transfer --mail gives "
		    "another",
		    address);
	for (size_t i = 0; err == 0 && have != NULL && i < have->n_values; i++) {
		if (!slice_caseeq(have->values[i], buf_slice(&mail)))
			continue;
		mods_delete(m, "vnMailAlias", have->values[i]);
		admin_history(m, buf_cstr(&mail), "");
	}
	buf_done(&mail);
	return err;
}

int
dir_admin_alias(struct dir_admin *a, const char *owner, const char *address, bool add,
    const char *decision, enum change *change_out, char **why_out)
{
	struct subject s = {0};
	struct mods m;
	int err = admin_begin(a, add ? "alias add" : "alias remove", owner,
	    decision == NULL ? "" : decision, why_out);

	if (err != 0)
		return err;
	mods_init(&m);
	err =
	    admin_subject(a, owner, SUBJECT_PERSON | SUBJECT_MAILBOX | SUBJECT_GROUP, &s, why_out);
	if (err == 0 && admin_is_over(s.e))
		err = admin_fail(why_out, ERR_GONE, "%s is at its end, or has left", owner);
	if (err == 0)
		err = add ? alias_add(a, s.e, address, &m, why_out)
			  : alias_remove(s.e, address, &m, why_out);
	if (err == 0)
		err = admin_modify(a, s.e->dn, &m, why_out);
	mods_done(&m);
	subject_done(&s);
	return admin_end(a, err, false, change_out, why_out);
}

int
dir_admin_aliases(struct dir_admin *a, const char *owner, struct dir_result **out, char **why_out)
{
	static const char *const attrs[] = {"objectClass", "vnStaffId", "vnMailboxId", "cn", "mail",
	    "displayName", "vnMailAlias", "vnAddressHistory", NULL};
	struct subject s = {0};
	int err;

	if (owner == NULL)
		return admin_find(
		    a, "(|(vnMailAlias=*)(vnAddressHistory=*))", "", attrs, 0, out, why_out);
	err =
	    admin_subject(a, owner, SUBJECT_PERSON | SUBJECT_MAILBOX | SUBJECT_GROUP, &s, why_out);
	if (err != 0)
		return err;
	err = dir_read(a->d, s.e->dn, attrs, out);
	subject_done(&s);
	return err == 0 ? 0 : admin_fail(why_out, err, "the directory does not answer");
}
