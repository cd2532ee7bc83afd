/* dir_admin_app.c: app passwords: made, listed, revoked. Runs in congvu. What is kept are SCRAM keys of 79 random bits: who reads them learns
 * no password and signs in nowhere. RFC 5803. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/people.h"
#include "directory/scram.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { APPS_MAX = 30 };

static void
app_password_make(struct buf *out)
{
	size_t signs = sizeof(PEOPLE_APP_SIGNS) - 1;
	unsigned char r;

	for (int i = 0; i < PEOPLE_APP_GROUPS * PEOPLE_APP_ID_LEN; i++) {
		do {
			random_bytes(&r, 1);
		} while (r >= 256 / signs * signs);
		if (i > 0 && i % PEOPLE_APP_ID_LEN == 0)
			buf_append_byte(out, '-');
		buf_append_byte(out, (unsigned char)PEOPLE_APP_SIGNS[r % signs]);
	}
}

static char *
app_dn(const struct dir_admin *a, const char *id)
{
	char *dn = NULL;

	if (asprintf(&dn, "%s%s%sou=apppasswords,%s", id == NULL ? "" : "vnAppId=",
		id == NULL ? "" : id, id == NULL ? "" : ",", dir_base(a->d)) < 0)
		fatal("out of memory");
	return dn;
}

/* The branch, in trees that were made before there was one. */
static int
branch_ensure(struct dir_admin *a, char **why_out)
{
	struct dir_mod m[2];
	struct slice class = slice_str("organizationalUnit"), ou = slice_str("apppasswords");
	char *dn = app_dn(a, NULL), *why = NULL;
	int err;

	m[0] = (struct dir_mod){.name = "objectClass", .values = &class, .n_values = 1};
	m[1] = (struct dir_mod){.name = "ou", .values = &ou, .n_values = 1};
	err = dir_add(a->d, dn, m, 2, &why);
	if (err == ERR_EXISTS)
		err = 0;
	if (err != 0)
		err = admin_fail(why_out, err, "%s", why == NULL ? err_name(err) : why);
	free(why);
	free(dn);
	return err;
}

/* Sessions that are open are over: nobody can tell which of them is the device's. */
static int
epoch_raise(struct dir_admin *a, const struct staff_account *s, char **why_out)
{
	char *why = NULL;
	struct mods m;
	int err;

	mods_init(&m);
	mods_fmt(&m, "vnEpoch", "%llu", (unsigned long long)s->epoch + 1);
	m.m[0].op = DIR_MOD_REPLACE;
	err = m.err != 0 ? m.err : dir_modify(a->d, s->dn, m.m, m.n, &why);
	if (err != 0)
		err = admin_fail(why_out, err, "%s", why == NULL ? err_name(err) : why);
	free(why);
	mods_done(&m);
	return err;
}

static int
app_write(struct dir_admin *a, const struct staff_account *s, const char *name,
    const char *const *services, struct slice password, char **why_out)
{
	char *dn, *why = NULL, id[PEOPLE_APP_ID_LEN + 1] = "";
	struct mods m;
	struct buf keys;
	int err;

	memcpy(id, password.ptr, PEOPLE_APP_ID_LEN);
	mods_init(&m);
	buf_init(&keys, 1024);
	err = scram_make(password, &keys);
	mods_str(&m, "objectClass", "vnAppPassword");
	mods_str(&m, "vnAppId", id);
	mods_str(&m, "vnAppOwner", s->dn);
	mods_add(&m, "authPassword", buf_slice(&keys));
	mods_str(&m, "description", name);
	mods_now(&m, "vnValidFrom");
	for (size_t i = 0; services[i] != NULL; i++)
		mods_str(&m, "vnAppService", services[i]);
	dn = app_dn(a, id);
	err = err != 0 ? err : m.err;
	if (err == 0)
		err = dir_add(a->d, dn, m.m, m.n, &why);
	if (err == ERR_NOTFOUND) {
		free(why);
		why = NULL;
		err = branch_ensure(a, why_out);
		if (err != 0)
			goto out;
		err = dir_add(a->d, dn, m.m, m.n, &why);
	}
	if (err != 0 && err != ERR_EXISTS)
		err = admin_fail(why_out, err, "%s", why == NULL ? err_name(err) : why);
out:
	buf_wipe(&keys);
	free(why);
	free(dn);
	mods_done(&m);
	return err;
}

int
dir_admin_app_add(struct dir_admin *a, const struct staff_account *s, const char *name,
    const char *const *services, struct buf *password_out, char **why_out)
{
	struct dir_result *r = NULL;
	int err = admin_check_text("the name of the device", name, 100, why_out);

	if (err == 0)
		err = dir_admin_apps(a, s, &r, why_out);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++)
		if (slice_eq_str(dir_entry_value(&r->entries[i], "description"), name))
			err = admin_fail(
			    why_out, ERR_EXISTS, "%s has an app password of that name", s->mail);
	if (err == 0 && r->n_entries >= APPS_MAX)
		err = admin_fail(
		    why_out, ERR_LIMIT, "%s has %d app passwords: revoke some", s->mail, APPS_MAX);
	dir_result_free(r);
	/* an id of four signs may be somebody's already */
	for (int tries = 0; err == 0 && tries < 20; tries++) {
		buf_wipe(password_out);
		app_password_make(password_out);
		err = app_write(a, s, name, services, buf_slice(password_out), why_out);
		if (err != ERR_EXISTS)
			return err;
		err = 0;
	}
	return err != 0 ? err : admin_fail(why_out, ERR_EXISTS, "no free id was found");
}

int
dir_admin_apps(
    struct dir_admin *a, const struct staff_account *s, struct dir_result **out, char **why_out)
{
	static const char *const attrs[] = {
	    "vnAppId", "description", "vnAppService", "vnValidFrom", NULL};

	return admin_find(
	    a, "(&(objectClass=vnAppPassword)(vnAppOwner=%s))", s->dn, attrs, 0, out, why_out);
}

int
dir_admin_app_revoke(struct dir_admin *a, const struct staff_account *s, const char *which,
    int *sessions_err_out, char **why_out)
{
	struct dir_result *r = NULL;
	char *why = NULL;
	size_t n = 0, at = 0;
	int err = dir_admin_apps(a, s, &r, why_out);

	*sessions_err_out = 0;
	if (err != 0)
		return err;
	for (size_t i = 0; i < r->n_entries; i++) {
		if (slice_eq_str(dir_entry_value(&r->entries[i], "vnAppId"), which) ||
		    slice_eq_str(dir_entry_value(&r->entries[i], "description"), which)) {
			at = i;
			n++;
		}
	}
	if (n != 1) {
		err = admin_fail(why_out, ERR_NOTFOUND,
		    n == 0 ? "there is no app password %s" : "%s names more than one: give the id",
		    which);
	} else {
		err = dir_delete(a->d, r->entries[at].dn, &why);
		if (err != 0)
			err = admin_fail(why_out, err, "%s", why == NULL ? err_name(err) : why);
		else
			*sessions_err_out = epoch_raise(a, s, &why);
	}
	free(why);
	dir_result_free(r);
	return err;
}
