/* dir_admin_names.c: ids and addresses for new people. Runs in congvu. An id comes from a counter in the directory, taken by
 * compare and swap; an address is made of the name (DOMAIN: C2) and is nobody's, and never was anybody's. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/escape.h"
#include "lib/addr.h"
#include "lib/err.h"
#include "lib/fold.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TRIES_MAX = 1000 };

/* ---- ids ---- */

uint64_t
admin_largest_id(struct dir_admin *a, char **why_out, int *err_out)
{
	static const char *const attrs[] = {"vnStaffId", NULL};
	struct dir_result *r = NULL;
	uint64_t max = 0, v;

	*err_out = admin_find(a, "(objectClass=vnCivilServant)", "", attrs, 0, &r, why_out);
	for (size_t i = 0; *err_out == 0 && i < r->n_entries; i++) {
		if (slice_to_u64(dir_entry_value(&r->entries[i], "vnStaffId"), 999999999, &v) ==
			0 &&
		    v > max)
			max = v;
	}
	dir_result_free(r);
	return max;
}

/* Takes n ids from the counter on ou=people: delete the value read, add a larger one; who comes second finds the first
 * gone and reads again. A tree without the counter is searched for the largest id. */
static int
ids_take(struct dir_admin *a, unsigned n, char **why_out)
{
	static const char *const attrs[] = {"vnNextId", NULL};
	char dn[1024], old_text[32], new_text[32];
	int err = ERR_CONFLICT;

	snprintf(dn, sizeof(dn), "ou=people,%s", dir_base(a->d));
	for (int tries = 0; err == ERR_CONFLICT && tries < 100; tries++) {
		struct slice old, next;
		struct dir_mod m[2] = {
		    {DIR_MOD_DELETE, "vnNextId", &old, 1}, {DIR_MOD_ADD, "vnNextId", &next, 1}};
		struct dir_result *r = NULL;
		uint64_t first = 0;

		if (a->dry_run) { /* takes none */
			err = 0;
			if (a->next_id == 0)
				a->next_id = admin_largest_id(a, why_out, &err) + 1;
			a->reserved = 1;
			return err;
		}
		err = dir_read(a->d, dn, attrs, &r);
		if (err == 0 && slice_to_u64(dir_entry_value(&r->entries[0], "vnNextId"), 999999999,
				    &first) != 0)
			err = ERR_NOTFOUND;
		dir_result_free(r);
		if (err == ERR_NOTFOUND) {
			first = admin_largest_id(a, why_out, &err) + 1;
			n = 1;
		} else if (err == 0) {
			snprintf(old_text, sizeof(old_text), "%llu", (unsigned long long)first);
			if (first < a->skip_to)
				first = a->skip_to;
			snprintf(new_text, sizeof(new_text), "%llu", (unsigned long long)first + n);
			old = slice_str(old_text);
			next = slice_str(new_text);
			err = dir_modify(a->d, dn, m, 2, why_out);
			if (err == ERR_NOTFOUND) {
				free(*why_out);
				*why_out = NULL;
				err = ERR_CONFLICT;
			}
		}
		if (err == 0) {
			a->next_id = first;
			a->reserved = n;
		}
	}
	if (err != 0 && *why_out == NULL)
		return admin_fail(why_out, err, "no id could be taken (%s)", err_name(err));
	return err;
}

void
dir_admin_reserve(struct dir_admin *a, unsigned n)
{
	a->reserve = n;
}

int
admin_id_next(struct dir_admin *a, char id[24], char **why_out)
{
	int err = 0;

	if (a->next_id < a->skip_to)
		a->reserved = 0;
	if (a->reserved == 0) {
		unsigned n = a->reserve == 0 ? 1 : a->reserve > 100 ? 100 : a->reserve;

		a->reserve -= a->reserve < n ? a->reserve : n;
		err = ids_take(a, n, why_out);
	}
	if (err == 0) {
		snprintf(id, 24, "%06llu", (unsigned long long)a->next_id++);
		a->reserved--;
	}
	return err;
}

/* ---- addresses ---- */

/* Names that belong to no person (RFC 2142, and ours), and syllables that read badly when joined. */
static bool
is_reserved(const char *uid)
{
	static const char *const names[] = {"abuse", "admin", "administrator", "ftp", "hostmaster",
	    "info", "lookup", "mailer-daemon", "nobody", "noreply", "operator", "postmaster",
	    "root", "security", "spam", "support", "system", "vanthu", "webmaster"};
	static const char *const rude[] = {"lon", "cac", "dit", "cuc", "ngu"};
	size_t n = strlen(uid);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(uid, names[i]) == 0)
			return true;
	}
	for (size_t i = 0; i < sizeof(rude) / sizeof(rude[0]); i++) {
		if (n == strlen(rude[i]) && strcmp(uid, rude[i]) == 0)
			return true;
	}
	return n == 0;
}

/* The day, YYYYMMDD, before which an address must have ended to be given again. */
static void
reuse_day(const struct dir_admin *a, char out[24])
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	snprintf(out, 24, "%04d%02d%02d",
	    (int)(tm.tm_year + 1900 - conf_int(a->conf, "address_reuse_years")), tm.tm_mon + 1,
	    tm.tm_mday);
}

/* Whether the entry has the address, or had it until too short a time ago ("address;from;to", days or times; without an end: ever). */
static bool
entry_holds(const struct dir_admin *a, const struct dir_entry *e, const char *mail)
{
	const struct dir_attr *h = dir_entry_attr(e, "vnAddressHistory");
	char day[24];

	if (dir_entry_has_value(e, "mail", slice_str(mail)) ||
	    dir_entry_has_value(e, "vnMailAlias", slice_str(mail)))
		return true;
	reuse_day(a, day);
	for (size_t i = 0; h != NULL && i < h->n_values; i++) {
		struct slice v = h->values[i], to;
		ptrdiff_t first = slice_index(v, ';'), second;

		if (first < 0 || !slice_caseeq_str(slice_sub(v, 0, (size_t)first), mail))
			continue;
		to = slice_from(v, (size_t)first + 1);
		second = slice_index(to, ';');
		to = second < 0 ? slice_of(NULL, 0) : slice_from(to, (size_t)second + 1);
		if (to.len < 4 || strncmp((const char *)to.ptr, day, to.len < 8 ? to.len : 8) >= 0)
			return true;
	}
	return false;
}

static const char *const held_attrs[] = {"uid", "mail", "vnMailAlias", "vnAddressHistory", NULL};

static bool
entry_takes(const struct dir_admin *a, const struct dir_entry *e, const char *uid, const char *mail)
{
	return entry_holds(a, e, mail) ||
	       (uid != NULL && dir_entry_has_value(e, "uid", slice_str(uid)));
}

/* The same of an entry that writes of this change are kept of, as they will leave it. */
static int
queued_takes(struct dir_admin *a, const char *was, const char *uid, const char *mail, bool *taken)
{
	struct dir_result *r = NULL;
	int err = admin_queue_see(a, was, held_attrs, &r);

	if (err == 0)
		*taken = *taken || entry_takes(a, &r->entries[0], uid, mail);
	dir_result_free(r);
	return err == ERR_NOTFOUND ? 0 : err;
}

/* Whether a write that is kept gives it to somebody. */
static int
claims_look(struct dir_admin *a, const char *own, const char *uid, const char *mail, bool *taken)
{
	int err = 0;

	for (int i = 0; i < 2; i++) {
		const char *value = i == 0 ? mail : uid, *was;

		for (size_t at = 0; err == 0 && !*taken && value != NULL &&
				    (was = admin_queue_claim(a, slice_str(value), &at)) != NULL;)
			if (own == NULL || strcmp(was, own) != 0)
				err = queued_takes(a, was, uid, mail, taken);
	}
	return err;
}

/* Whether the login name (NULL: none) or the address is anybody's, or was, in the directory as it will be; own: a DN that it may be of. */
static int
is_taken(struct dir_admin *a, const char *uid, const char *mail, const char *own, bool *taken,
    char **why_out)
{
	char *own_was = own == NULL ? NULL : admin_queue_was(a, own);
	struct dir_result *r = NULL;
	struct buf f;
	int err;

	buf_init(&f, 8192);
	buf_append_str(&f, "(|");
	if (uid != NULL)
		escape_template("(uid=%s)", slice_str(uid), slice_of(NULL, 0), &f);
	escape_template("(mail=%s)(vnMailAlias=%s)(vnAddressHistory=%s;*))", slice_str(mail),
	    slice_of(NULL, 0), &f);
	err = f.err != 0 ? f.err : dir_search(a->d, NULL, buf_cstr(&f), held_attrs, 0, &r);
	buf_done(&f);
	*taken = false;
	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];

		if (own_was != NULL && strcmp(e->dn_norm, own_was) == 0)
			continue;
		if (admin_queue_touches(a, e->dn_norm))
			err = queued_takes(a, e->dn_norm, uid, mail, taken);
		else
			*taken = *taken || entry_takes(a, e, uid, mail);
	}
	if (err == 0)
		err = claims_look(a, own_was, uid, mail, taken);
	dir_result_free(r);
	free(own_was);
	return err == 0 ? 0 : admin_fail(why_out, err, "the directory does not answer");
}

int
admin_address_free(
    struct dir_admin *a, const char *given, const char *own, char **out, char **why_out)
{
	struct slice local, domain;
	bool taken = false;
	struct buf b;
	int err;

	buf_init(&b, 512);
	if (addr_normalize(slice_str(given), &b) != 0 ||
	    addr_split(buf_slice(&b), &local, &domain) != 0 || domain.len == 0 || local.len == 0)
		err = admin_fail(why_out, ERR_SYNTAX, "%s is no mail address", given);
	else
		err = admin_check_domain(a, buf_cstr(&b), why_out);
	if (err == 0)
		err = is_taken(a, NULL, buf_cstr(&b), own, &taken, why_out);
	if (err == 0 && taken)
		err = admin_fail(why_out, ERR_EXISTS,
		    "%s is somebody else's, or was within %d years (address_reuse_years)",
		    buf_cstr(&b), (int)conf_int(a->conf, "address_reuse_years"));
	if (err == 0)
		*out = slice_dup(buf_slice(&b));
	buf_done(&b);
	return err;
}

void
admin_history(struct mods *m, const char *address, const char *from)
{
	char now[20], text[400];

	admin_now(now);
	/* since when is not known of every alias: then the day it ended stands for both */
	snprintf(text, sizeof(text), "%s;%.8s;%.8s", address, *from == '\0' ? now : from, now);
	mods_add(m, "vnAddressHistory", slice_str(text));
}

/* The number after the largest N of the logins "<base>N"; 2 when there is none. */
static int
next_number(struct dir_admin *a, const char *base, int *n_out, char **why_out)
{
	static const char *const attrs[] = {"uid", NULL};
	struct dir_result *r = NULL;
	uint64_t max = 1;
	int err = admin_find(a, "(uid=%s*)", base, attrs, 0, &r, why_out);

	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		struct slice uid = dir_entry_value(&r->entries[i], "uid");
		uint64_t v;

		if (slice_casestarts(uid, base) &&
		    slice_to_u64(slice_from(uid, strlen(base)), 1000000, &v) == 0 && v > max)
			max = v;
	}
	dir_result_free(r);
	if (err == 0)
		*n_out = (int)max + 1;
	return err;
}

/* fold(tên) + initials; on collision the agency's abbreviation after a dot; then 2, 3, … */
int
admin_address_make(struct dir_admin *a, const char *name, const struct agency_cache *g,
    char **uid_out, char **mail_out, char **why_out)
{
	struct buf base, abbrev;
	bool taken = true;
	int err;

	buf_init(&base, 256);
	buf_init(&abbrev, 256);
	err = vn_name_id(slice_str(name), &base);
	if (err == 0)
		err = vn_fold(slice_str(g->abbrev), &abbrev);
	for (size_t i = 0; i < abbrev.len; i++) {
		if (strchr("abcdefghijklmnopqrstuvwxyz0123456789-", abbrev.data[i]) == NULL)
			abbrev.data[i] = '-';
	}
	if (err != 0 || base.len == 0) {
		err = admin_fail(
		    why_out, ERR_SYNTAX, "no address can be made of the name: give --mail");
		goto out;
	}
	for (int tries = 0, n = 0; err == 0 && taken && tries < TRIES_MAX; tries++, n++) {
		char *uid = NULL, *mail = NULL;

		if (tries == 2) {
			buf_append_byte(&base, '.');
			buf_append_slice(&base, buf_slice(&abbrev));
			err = next_number(a, buf_cstr(&base), &n, why_out);
			if (err != 0)
				break;
		}
		if ((n == 0      ? asprintf(&uid, "%s", buf_cstr(&base))
			: n == 1 ? asprintf(&uid, "%s.%s", buf_cstr(&base), buf_cstr(&abbrev))
				 : asprintf(&uid, "%s%d", buf_cstr(&base), n)) < 0 ||
		    asprintf(&mail, "%s@%s", uid, a->domain) < 0)
			fatal("out of memory");
		if (!(n == 0 && is_reserved(uid)))
			err = is_taken(a, uid, mail, NULL, &taken, why_out);
		if (err == 0 && !taken) {
			*uid_out = uid;
			*mail_out = mail;
		} else {
			free(uid);
			free(mail);
		}
	}
	if (err == 0 && taken)
		err = admin_fail(
		    why_out, ERR_LIMIT, "every address of that name is taken: give --mail");
out:
	buf_done(&base);
	buf_done(&abbrev);
	return err;
}

int
admin_address_given(
    struct dir_admin *a, const char *given, char **uid_out, char **mail_out, char **why_out)
{
	struct slice local, domain;
	bool taken = false;
	struct buf b;
	int err = 0;

	buf_init(&b, 512);
	if (addr_normalize(slice_str(given), &b) != 0 ||
	    addr_split(buf_slice(&b), &local, &domain) != 0 || domain.len == 0) {
		buf_done(&b);
		return admin_fail(why_out, ERR_SYNTAX, "%s is no mail address", given);
	}
	*uid_out = slice_dup(local);
	*mail_out = slice_dup(buf_slice(&b));
	buf_done(&b);
	if (*uid_out == NULL || *mail_out == NULL)
		return ERR_NOMEM;
	err = admin_check_domain(a, *mail_out, why_out);
	if (err == 0)
		err = is_taken(a, *uid_out, *mail_out, NULL, &taken, why_out);
	if (err == 0 && taken)
		err = admin_fail(why_out, ERR_EXISTS, "%s is taken, or was", *mail_out);
	return err;
}
