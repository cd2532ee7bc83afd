/* dir_admin_password.c: setting passwords: hash and SCRAM keys in one change, so that no login finds the one without the other. Runs in
 * congvu. RFC 4013, RFC 5803, draft-behera-ldap-password-policy (pwdReset). */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/ppolicy.h"
#include "directory/saslprep.h"
#include "directory/scram.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { PASSWORD_MIN = 8 };

void
dir_admin_password_make(struct buf *out)
{
	static const char signs[] = "abcdefghjkmnpqrstuvwxyz23456789";
	unsigned char r;

	for (int i = 0; i < 12; i++) {
		do {
			random_bytes(&r, 1);
		} while (r >= 248); /* 8 * 31 */
		if (i > 0 && i % 4 == 0)
			buf_append_byte(out, '-');
		buf_append_byte(out, (unsigned char)signs[r % 31]);
	}
}

int
admin_password_check(struct slice password, char **why_out)
{
	struct buf prepared;
	int err = 0;

	buf_init(&prepared, 4 * SASLPREP_MAX);
	if (password.len < PASSWORD_MIN)
		err = admin_fail(
		    why_out, ERR_SYNTAX, "the password is shorter than %d bytes", PASSWORD_MIN);
	else if (saslprep(password, false, &prepared) != 0)
		err = admin_fail(why_out, ERR_SYNTAX,
		    "the password holds characters that RFC 4013 does not allow");
	buf_wipe(&prepared);
	return err;
}

/* What stands in userPassword: the hash, or with admin_password_hash = "server" the password, which slapd hashes. */
static void
user_password(struct dir_admin *a, struct slice prepared, struct mods *m)
{
	unsigned char digest[64 + 16];
	struct buf salted, text;

	if (strcasecmp(a->hash, "server") == 0) {
		mods_add(m, "userPassword", prepared);
		return;
	}
	buf_init(&salted, 8192);
	buf_init(&text, 1024);
	random_bytes(digest + 64, 16);
	buf_append_slice(&salted, prepared);
	buf_append(&salted, digest + 64, 16);
	sha512_of(buf_slice(&salted), digest);
	buf_append_str(&text, "{SSHA512}");
	b64_encode(slice_of(digest, sizeof(digest)), false, &text);
	mods_add(m, "userPassword", buf_slice(&text));
	buf_wipe(&salted);
	buf_wipe(&text);
}

int
admin_password_user(struct dir_admin *a, struct slice password, struct mods *m, char **why_out)
{
	struct buf prepared;
	int err;

	buf_init(&prepared, 4 * SASLPREP_MAX);
	err = saslprep(password, false, &prepared);
	if (err != 0)
		err = admin_fail(why_out, ERR_SYNTAX,
		    "the password holds characters that RFC 4013 does not allow");
	else
		user_password(a, buf_slice(&prepared), m);
	buf_wipe(&prepared);
	return err != 0 ? err : m->err;
}

int
admin_password_mods(struct dir_admin *a, struct slice password, struct mods *m, char **why_out)
{
	struct buf text;
	int err = admin_password_user(a, password, m, why_out);

	if (err != 0)
		return err;
	buf_init(&text, 1024);
	err = scram_make(password, &text);
	if (err == 0)
		mods_add(m, "authPassword", buf_slice(&text));
	mods_now(m, "vnScramTime");
	buf_wipe(&text);
	return err != 0 ? err : m->err;
}

/* ---- whose ---- */

int
dir_admin_account(struct dir_admin *a, const char *who, struct staff_account *out, char **why_out)
{
	static const char *const attrs[] = {"vnStaffId", "uid", "mail", "displayName",
	    "pwdAccountLockedTime", "pwdReset", "pwdChangedTime", "vnEpoch", NULL};
	struct dir_result *r = NULL;
	const struct dir_entry *e;
	int err = admin_person(a, who, attrs, &r, why_out);

	if (err != 0)
		return err;
	e = &r->entries[0];
	*out = (struct staff_account){.dn = xstrdup(e->dn),
	    .id = slice_dup(dir_entry_value(e, "vnStaffId")),
	    .uid = slice_dup(dir_entry_value(e, "uid")),
	    .mail = slice_dup(dir_entry_value(e, "mail")),
	    .display = slice_dup(dir_entry_value(e, "displayName")),
	    .is_frozen = slice_starts(dir_entry_value(e, "pwdAccountLockedTime"), "000001010000"),
	    .must_change = slice_caseeq_str(dir_entry_value(e, "pwdReset"), "TRUE"),
	    .changed = ppolicy_time(dir_entry_value(e, "pwdChangedTime"))};
	(void)slice_to_u64(dir_entry_value(e, "vnEpoch"), INT32_MAX, &out->epoch);
	dir_result_free(r);
	return 0;
}

void
staff_account_done(struct staff_account *s)
{
	free(s->dn);
	free(s->id);
	free(s->uid);
	free(s->mail);
	free(s->display);
	memset(s, 0, sizeof(*s));
}

/* ---- setting and asking ---- */

int
dir_admin_password_set(struct dir_admin *a, const struct staff_account *s, struct slice password,
    bool must_change, char **why_out)
{
	struct mods m;
	char *why = NULL;
	int err;

	mods_init(&m);
	err = admin_password_check(password, why_out);
	if (err == 0)
		err = admin_password_mods(a, password, &m, why_out);
	mods_fmt(&m, "vnEpoch", "%llu", (unsigned long long)s->epoch + 1);
	if (err == 0 && must_change)
		mods_str(&m, "pwdReset", "TRUE");
	for (size_t i = 0; i < m.n; i++)
		m.m[i].op = DIR_MOD_REPLACE;
	/* a directory without a password policy does not know the attribute */
	if (err == 0 && !must_change && s->must_change)
		m.m[m.n++] = (struct dir_mod){.op = DIR_MOD_REPLACE, .name = "pwdReset"};
	if (err == 0) {
		err = dir_modify(a->d, s->dn, m.m, m.n, &why);
		if (err != 0)
			err = admin_fail(why_out, err, "%s", why == NULL ? err_name(err) : why);
	}
	free(why);
	mods_done(&m);
	return err;
}

int
dir_admin_password_is(struct dir_admin *a, const struct staff_account *s, struct slice password,
    unsigned first_days, char **why_out)
{
	struct buf prepared;
	int err;

	buf_init(&prepared, 4 * SASLPREP_MAX);
	err = saslprep(password, true, &prepared) != 0
		  ? ERR_AUTH
		  : dir_verify(a->d, s->dn, buf_slice(&prepared), NULL);
	buf_wipe(&prepared);
	if (err == ERR_MUST_CHANGE || err == ERR_EXPIRED)
		err = 0;
	if (err == 0 && s->must_change && s->changed != 0 &&
	    time(NULL) > s->changed + (int64_t)first_days * 86400)
		return admin_fail(why_out, ERR_EXPIRED,
		    "the first password is past its %u days: ask for a new one", first_days);
	if (err == 0)
		return 0;
	return admin_fail(why_out, err == ERR_AUTH ? err : ERR_TEMP,
	    err == ERR_AUTH ? "the password is wrong, or the account is locked"
			    : "the directory does not answer");
}
