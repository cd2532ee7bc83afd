/* people_watch.c: what a change of the directory means for who is signed in. What a person has rests on entries that were read for it (deps); a change of
 * one of these may take or change something, and an entry that names the person, or a group or post of the person, may give something. Runs in the
 * thread of lookup that watches the directory. */
#include "config.h"

#include "directory/people_priv.h"

#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

enum { NAMED_MAX = 10000 }; /* of one attribute of an entry */

const char *const *
people_watch_attrs(const struct people *p)
{
	return p->attrs_watch;
}

void
people_watch_attrs_make(struct people *p)
{
	const char **v = xcalloc(p->n_member + p->n_roster + PEOPLE_NAME_ATTRS + 15, sizeof(*v));
	size_t n = 0;

	v[n++] = p->a_account;
	v[n++] = p->a_func_account;
	v[n++] = p->a_epoch;
	v[n++] = p->a_version;
	v[n++] = p->a_modified;
	v[n++] = "vnDelegateTo";
	v[n++] = "vnMemberAgency";
	v[n++] = "vnMemberKind";
	v[n++] = "vnMemberTitle";
	v[n++] = "vnMemberRole";
	v[n++] = p->a_mail;
	v[n++] = p->a_alias;
	v[n++] = "pwdAttribute";
	for (size_t i = 0; i < p->n_name_attrs; i++)
		v[n++] = p->name_attrs[i];
	for (size_t i = 0; i < p->n_member; i++)
		v[n++] = p->a_member[i];
	for (size_t i = 0; i < p->n_roster; i++)
		v[n++] = p->roster[i].attr;
	p->attrs_watch = people_attr_list(v, n);
	free(v);
}

static void
named(const struct dir_entry *e, const char *attr,
    void (*fn)(void *arg, const char *key, bool is_subject), void *arg)
{
	const struct dir_attr *a = dir_entry_attr(e, attr);

	for (size_t i = 0; a != NULL && i < a->n_values && i < NAMED_MAX; i++) {
		char *norm = dir_dn_norm(dir_value_text(a->values[i]));

		if (norm != NULL)
			fn(arg, norm, true);
		free(norm);
	}
}

void
people_change_keys(const struct people *p, const struct dir_entry *e,
    void (*fn)(void *arg, const char *key, bool is_subject), void *arg)
{
	const struct slice person = dir_entry_value(e, p->a_account);
	const struct slice func = dir_entry_value(e, p->a_func_account);
	char account[48];

	fn(arg, e->dn_norm, false);
	/* by its account too: whose name (DN) has changed is still the same */
	if (person.len > 0) {
		people_account('p', person, account);
		fn(arg, account, false);
	}
	if (func.len > 0) {
		people_account('f', func, account);
		fn(arg, account, false);
	}
	people_name_keys(p, e, fn, arg);
	named(e, "vnDelegateTo", fn, arg);
	people_rule_keys(e, fn, arg);
	for (size_t i = 0; i < p->n_member; i++)
		named(e, p->a_member[i], fn, arg);
	for (size_t i = 0; i < p->n_roster; i++)
		named(e, p->roster[i].attr, fn, arg);
}

uint64_t
people_epoch_of(const struct people *p, const struct dir_entry *e, char account[48])
{
	struct slice id = dir_entry_value(e, p->a_account);
	uint64_t epoch;

	if (id.len == 0 || slice_to_u64(dir_entry_value(e, p->a_epoch), UINT64_MAX, &epoch) != 0)
		return 0;
	people_account('p', id, account);
	return epoch;
}

/* Each u64, then the account and NUL. */
int
people_epochs_put(struct buf *to, const char *account, uint64_t epoch)
{
	size_t len = strlen(account) + 1;
	unsigned char *room = buf_reserve(to, sizeof(epoch) + len);

	if (room == NULL)
		return to->err;
	memcpy(room, &epoch, sizeof(epoch));
	memcpy(room + sizeof(epoch), account, len);
	buf_commit(to, sizeof(epoch) + len);
	return 0;
}

void
people_epochs_each(
    struct slice list, void (*fn)(void *arg, const char *account, uint64_t epoch), void *arg)
{
	uint64_t epoch;

	while (list.len > sizeof(epoch)) {
		const char *account = (const char *)list.ptr + sizeof(epoch);

		memcpy(&epoch, list.ptr, sizeof(epoch));
		fn(arg, account, epoch);
		list = slice_from(list, sizeof(epoch) + strlen(account) + 1);
	}
}
