/* ctl_directory_init.c: `congvu directory init`: the base tree on a server that has schema, rules and an empty database (congvu.ldif, slapd.conf.in): what
 * base.ldif.in names and is not there yet. Given again it changes nothing. Runs in congvu. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ctl_directory_files.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"

enum { MODS_AT_MOST = 32, SALT_BYTES = 16 };

/* {SSHA512}, as ctl_password's: nothing that reads a file of passwords has them. */
static char *
hash_make(struct slice password)
{
	unsigned char digest[64 + SALT_BYTES];
	struct buf salted, text;
	char *made;

	buf_init(&salted, 8192);
	buf_init(&text, 1024);
	random_bytes(digest + 64, SALT_BYTES);
	buf_append_slice(&salted, password);
	buf_append(&salted, digest + 64, SALT_BYTES);
	sha512_of(buf_slice(&salted), digest);
	buf_append_str(&text, "{SSHA512}");
	b64_encode(slice_of(digest, sizeof(digest)), false, &text);
	made = xstrdup(buf_cstr(&text));
	buf_wipe(&salted);
	buf_done(&text);
	return made;
}

/* An entry's lines as one add: values of one attribute together. */
static int
entry_add(struct dir *d, const struct ldif_entry *e, char **why_out)
{
	struct dir_mod mods[MODS_AT_MOST];
	struct slice values[MODS_AT_MOST];
	size_t n = 0, n_values = 0;

	for (size_t i = 0; i < e->n; i++) {
		bool is_first = true;
		size_t from = n_values;

		for (size_t k = 0; k < i; k++)
			is_first = is_first && strcasecmp(e->v[k].attr, e->v[i].attr) != 0;
		if (!is_first)
			continue;
		for (size_t k = i; k < e->n && n_values < MODS_AT_MOST; k++)
			if (strcasecmp(e->v[k].attr, e->v[i].attr) == 0)
				values[n_values++] = slice_str(e->v[k].value);
		if (n == MODS_AT_MOST || n_values == MODS_AT_MOST)
			return ERR_LIMIT;
		mods[n++] =
		    (struct dir_mod){DIR_MOD_ADD, e->v[i].attr, values + from, n_values - from};
	}
	return dir_add(d, e->dn, mods, n, why_out);
}

static bool
is_account(const struct ldif_entry *e)
{
	return strstr(e->dn, "ou=services,") != NULL || strstr(e->dn, "ou=policies,") != NULL;
}

/* The version that the tree has, raised to the file's. */
static int
version_raise(struct upgrade *u, struct dir *d, const struct ldif_entry *e,
    const struct dir_entry *have, char **why_out)
{
	struct slice tree = slice_str("vnTree"), wanted = slice_of(NULL, 0);
	struct dir_mod mods[2] = {{DIR_MOD_REPLACE, "vnSchemaVersion", &wanted, 1},
	    {DIR_MOD_ADD, "objectClass", &tree, 1}};
	uint64_t now = 0, then = 0;
	int err = 0;

	for (size_t i = 0; i < e->n; i++)
		if (strcmp(e->v[i].attr, "vnSchemaVersion") == 0)
			wanted = slice_str(e->v[i].value);
	(void)slice_to_u64(dir_entry_value(have, "vnSchemaVersion"), 1000000, &now);
	(void)slice_to_u64(wanted, 1000000, &then);
	if (now >= then)
		return 0;
	err = upgrade_write_down(u, "modify", e->dn, "vnSchemaVersion", why_out);
	if (err == 0 && !u->dry_run)
		err = dir_modify(d, e->dn, mods,
		    dir_entry_has_value(have, "objectClass", tree) ? 1 : 2, why_out);
	if (err == 0)
		upgrade_tell(u, "tree", "vnSchemaVersion", CHANGE_CHANGED);
	return err;
}

int
upgrade_tree(struct upgrade *u, struct dir *d, const struct ldif_file *base, bool accounts)
{
	static const char *const attrs[] = {"objectClass", "vnSchemaVersion", NULL};

	for (size_t i = 0; i < base->n; i++) {
		const struct ldif_entry *e = &base->v[i];
		struct dir_result *r = NULL;
		char *why = NULL;
		int err;

		if (is_account(e) && !accounts)
			continue;
		err = dir_read(d, e->dn, attrs, &r);
		if (err == ERR_NOTFOUND) {
			err = upgrade_write_down(u, "add", e->dn, "base.ldif.in", &why);
			if (err == 0 && !u->dry_run)
				err = entry_add(d, e, &why);
			if (err == 0)
				upgrade_tell(u, "tree", e->dn, CHANGE_ADDED);
		} else if (err == 0 && i == 0) {
			err = version_raise(u, d, e, &r->entries[0], &why);
		}
		dir_result_free(r);
		if (err != 0)
			return ctl_dir_fail(u->c, e->dn, err, why);
	}
	return 0;
}

static int
password_hash(const struct ctl *c, const char *path, char **out)
{
	struct buf b;
	int rc;

	buf_init(&b, 1024);
	rc = ctl_read_password(c, path, &b);
	if (rc == 0)
		*out = hash_make(buf_slice(&b));
	buf_wipe(&b);
	return rc;
}

int
directory_init(struct ctl *c, int argc, char **argv)
{
	const char *bind_dn = NULL, *bind_password_file = NULL, *org = NULL, *lookup = NULL,
		   *hr = NULL;
	bool dry_run = false;
	const struct ctl_option options[] = {{"org", &org, NULL},
	    {"lookup-password-file", &lookup, NULL}, {"hr-password-file", &hr, NULL},
	    {"dry-run", NULL, &dry_run}, {"bind-dn", &bind_dn, NULL},
	    {"bind-password-file", &bind_password_file, NULL}, {NULL, NULL, NULL}};
	struct upgrade u = {.c = c};
	const char *base = conf_str(c->conf, "ldap_base");
	char *rdn = NULL, *hashes[2] = {NULL, NULL};
	struct ldif_file f = {0};
	struct ctl_dir d = {0};
	int rc = ctl_options(c, options, &argc, argv);

	if (rc != 0)
		return rc;
	if (argc > 1)
		return ctl_usage(c, "%s", _("directory init takes no argument"));
	if (lookup == NULL || hr == NULL || bind_dn == NULL || bind_password_file == NULL)
		return ctl_usage(c, "%s",
		    _("--bind-dn and --bind-password-file of somebody who may write the whole tree "
		      "are needed, "
		      "and --lookup-password-file and --hr-password-file of the accounts to be "
		      "made"));
	if (strncasecmp(base, "o=", 2) != 0)
		return ctl_fail(c, EX_CONFIG, "%s", _("ldap_base must begin with o="));
	u.dry_run = dry_run;
	rdn = strndup(base + 2, strcspn(base + 2, ","));
	if (rdn == NULL)
		fatal("out of memory");
	rc = password_hash(c, lookup, &hashes[0]);
	if (rc == 0)
		rc = password_hash(c, hr, &hashes[1]);
	if (rc == 0) {
		const char *const pairs[] = {"@BASE@", base, "@RDNVALUE@", rdn, "@ORG@",
		    org != NULL ? org : rdn, "@LOOKUPHASH@", hashes[0], "@HRHASH@", hashes[1],
		    NULL};

		rc = ldif_file_read(c, "base.ldif.in", pairs, &f);
	}
	if (rc == 0)
		rc = ctl_dir_open(c, bind_dn, bind_password_file, &d);
	u.as = d.as;
	if (rc == 0)
		rc = upgrade_journal(&u, "directory init");
	if (rc == 0)
		rc = upgrade_tree(&u, d.dir, &f, true);
	rc = upgrade_end(&u, rc);
	ctl_dir_close(&d);
	ldif_file_done(&f);
	free(hashes[0]);
	free(hashes[1]);
	free(rdn);
	return rc;
}
