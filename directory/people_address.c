/* people_address.c: whose an address is. A current mail comes before an alias, and an alias that is somebody else's address too is no
 * identity: the server keeps mail apart from mail and alias from alias, and whoever writes aliases would else take any address. Runs in
 * lookup's workers. */
#include "config.h"

#include "directory/people_priv.h"

#include "directory/assignment.h"
#include "lib/addr.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HOLDERS_MAX = 20 /* entries that have one address, or had it */ };

char *
people_address(struct slice value)
{
	struct buf b;
	char *s = NULL;

	buf_init(&b, 1024);
	if (value.len > 0 && addr_normalize(value, &b) == 0 && b.err == 0 &&
	    memchr(b.data, 0, b.len) == NULL)
		s = slice_dup(buf_slice(&b));
	buf_done(&b);
	return s;
}

static void
values_add(const struct dir_entry *e, const char *name, struct strings *l)
{
	const struct dir_attr *a = dir_entry_attr(e, name);
	/* Active Directory's alone have a kind before them: "smtp:alias", "SMTP:primary" */
	bool has_kind = strcasecmp(name, "proxyAddresses") == 0;

	for (size_t i = 0; a != NULL && i < a->n_values; i++) {
		struct slice v = a->values[i];

		if (has_kind && slice_casestarts(v, "smtp:"))
			v = slice_from(v, 5);
		strings_add_take(l, people_address(v), PEOPLE_ADDRESSES_MAX);
	}
}

void
people_addresses(const struct people *p, const struct dir_entry *e, struct strings *l)
{
	values_add(e, p->a_mail, l);
	values_add(e, p->a_alias, l);
}

enum people_claim
people_claim(const struct people *p, const struct dir_entry *e, struct slice address)
{
	enum people_claim claim = PEOPLE_CLAIM_NONE;
	struct strings mail = {0}, all = {0};

	values_add(e, p->a_mail, &mail);
	people_addresses(p, e, &all);
	for (size_t i = 0; i < all.n; i++)
		if (slice_eq_str(address, all.v[i]))
			claim =
			    strings_have(&mail, all.v[i]) ? PEOPLE_CLAIM_MAIL : PEOPLE_CLAIM_ALIAS;
	strings_free(mail.v, mail.n);
	strings_free(all.v, all.n);
	return claim;
}

const struct dir_entry *
people_holder(const struct people *p, const struct dir_result *r, struct slice address)
{
	const struct dir_entry *best = NULL;
	size_t n = 0;

	for (size_t i = 0; i < r->n_entries; i++)
		if (r->n_entries == 1 ||
		    people_claim(p, &r->entries[i], address) == PEOPLE_CLAIM_MAIL) {
			best = &r->entries[i];
			n++;
		}
	return n == 1 ? best : NULL;
}

/* Whether an address is another entry's too, one that is closed included. */
static int
is_anothers(struct people *p, const struct dir_entry *e, const char *address, bool *is_out)
{
	struct dir_result *r = NULL;
	int err = 0;

	*is_out = false;
	if (*p->sender_filter == '\0')
		return 0;
	err =
	    people_search(p, p->sender_filter, slice_str(address), p->attrs_owner, HOLDERS_MAX, &r);
	for (size_t i = 0; err == 0 && i < r->n_entries && !*is_out; i++)
		*is_out = strcmp(r->entries[i].dn_norm, e->dn_norm) != 0 &&
			  people_claim(p, &r->entries[i], slice_str(address)) != PEOPLE_CLAIM_NONE;
	dir_result_free(r);
	if (err == ERR_LIMIT)
		*is_out = true;
	return err == 0 || err == ERR_LIMIT || err == ERR_NOTFOUND ? 0 : ERR_TEMP;
}

int
people_former_counts(
    struct people *p, const struct dir_entry *e, struct slice address, bool *counts_out)
{
	/* a day that is none speaks against whoever's it is: 0 is long ago, INT64_MAX still so */
	int64_t own = address_given_up(dir_entry_attr(e, p->a_history), address, 0);
	struct dir_result *r = NULL;
	int err = 0;

	*counts_out = true;
	if (*p->sender_filter == '\0')
		return 0;
	err = people_search(p, p->sender_filter, address, p->attrs_owner, HOLDERS_MAX, &r);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		const struct dir_entry *other = &r->entries[i];

		if (strcmp(other->dn_norm, e->dn_norm) != 0 &&
		    (people_claim(p, other, address) != PEOPLE_CLAIM_NONE ||
			address_given_up(dir_entry_attr(other, p->a_history), address, INT64_MAX) >=
			    own))
			*counts_out = false;
	}
	dir_result_free(r);
	if (err != 0)
		*counts_out = false;
	return err == 0 || err == ERR_LIMIT || err == ERR_NOTFOUND ? 0 : ERR_TEMP;
}

int
people_identities(
    struct people *p, const struct dir_entry *e, struct strings *l, bool *contested_out)
{
	struct strings all = {0};
	int err = 0;

	people_addresses(p, e, &all);
	for (size_t i = 0; err == 0 && i < all.n; i++) {
		bool other = false;

		if (people_claim(p, e, slice_str(all.v[i])) == PEOPLE_CLAIM_ALIAS)
			err = is_anothers(p, e, all.v[i], &other);
		*contested_out = *contested_out || other;
		if (err == 0 && other)
			log_msg(LOG_LVL_WARN, "alias_of_another", "%s: %s is somebody else's too",
			    e->dn, all.v[i]);
		if (err == 0 && !other)
			strings_add_take(l, xstrdup(all.v[i]), PEOPLE_ADDRESSES_MAX);
	}
	strings_free(all.v, all.n);
	return err;
}
