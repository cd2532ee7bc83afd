/* doctor_directory.c: the directory as `congvu doctor` sees it: each server, the schema that the options name, what the service accounts,
 * nobody and (with --probe) a person of the staff may read. Runs in congvu. Changes nothing but the probe, which it takes away again. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "admin/check.h"
#include "lib/err.h"
#include "lib/log.h"

enum { NAME_BYTES = 8 };

/* ---- connections ---- */

static struct dir *
connect_as(struct check *k, const char *dn_option, const char *password_option)
{
	const char *dn = dn_option != NULL ? conf_str(k->conf, dn_option) : "";
	struct dir *d = NULL;
	struct buf password;

	buf_init(&password, 2048);
	if (dn[0] == '\0' || check_read_password(k, password_option, &password) == 0)
		if (dir_open_conf(k->conf, dn, buf_slice(&password), &d) != 0)
			d = NULL;
	buf_wipe(&password);
	return d;
}

/* Each server by itself: the second may be down for months before it is missed. */
static void
check_servers(struct check *k)
{
	static const char *const attrs[] = {"objectClass", NULL};
	const char *base = conf_str(k->conf, "ldap_base");
	char *ca = conf_path(k->conf, "ldap_ca_file");
	size_t n = conf_list_len(k->conf, "ldap_uris"), up = 0;
	struct buf password;

	buf_init(&password, 2048);
	if (conf_str(k->conf, "ldap_bind_dn")[0] != '\0')
		(void)check_read_password(k, "ldap_password_file", &password);
	for (size_t i = 0; i < n; i++) {
		const char *uri = conf_list_item(k->conf, "ldap_uris", i);
		struct dir_params p = {.uris = &uri,
		    .n_uris = 1,
		    .starttls = conf_bool(k->conf, "ldap_starttls"),
		    .ca_file = ca,
		    .base = base,
		    .bind_dn = conf_str(k->conf, "ldap_bind_dn"),
		    .password = buf_slice(&password),
		    .timeout_ms = (unsigned)conf_int(k->conf, "ldap_timeout_ms"),
		    .pool = 1};
		struct dir_result *r = NULL;
		struct dir *d = NULL;
		int rc = dir_open(&p, &d);

		if (rc == 0)
			rc = dir_read(d, base, attrs, &r);
		if (rc == 0)
			up++;
		else
			finding(k, WARN, "ldap_uris",
			    _("%s does not serve us: start it, or take it out of ldap_uris"), uri);
		dir_result_free(r);
		dir_close(d);
	}
	if (up == n)
		finding(k, GOOD, "ldap_uris", _("%zu of %zu servers answer"), up, n);
	else if (up == 0)
		finding(k, DOWN, "ldap_uris",
		    _("no server answers: nobody can sign in, and mail waits. Start slapd "
		      "(systemctl start "
		      "congvu-slapd, or slapd)"));
	buf_wipe(&password);
	free(ca);
}

/* ---- the schema ---- */

/* RFC 4512 4.1: "( oid NAME 'a' ..." or "( oid NAME ( 'a' 'b' ) ...": whether one of the definitions has this name. */
static bool
has_name(const struct dir_attr *defs, const char *name)
{
	char *quoted = NULL;
	bool found = false;

	if (asprintf(&quoted, "'%.*s'", (int)strcspn(name, ";"), name) < 0)
		fatal("out of memory");
	for (size_t i = 0; defs != NULL && i < defs->n_values && !found; i++) {
		char *text = slice_dup(defs->values[i]), *desc = strstr(text, " DESC ");

		if (desc != NULL)
			*desc = '\0';
		found = strcasestr(text, quoted) != NULL;
		free(text);
	}
	free(quoted);
	return found;
}

static void
check_schema(struct check *k, struct dir *d)
{
	static const char *const where[] = {"subschemaSubentry", NULL};
	static const char *const attrs[] = {"attributeTypes", "objectClasses", NULL};
	/* of the overlay of the password policy, or written by us later */
	static const char *const optional[] = {"dir_attr_locked", "dir_attr_password_time",
	    "dir_attr_scram_time", "dir_attr_policy", "dir_attr_reset", "dir_attr_grace", NULL};
	struct dir_result *root = NULL, *r = NULL;
	char *dn = NULL;
	size_t n, missing = 0, names = 0;
	const struct conf_option *o = conf_options(&n);

	if (dir_read(d, "", where, &root) == 0)
		dn = slice_dup(dir_entry_value(&root->entries[0], "subschemaSubentry"));
	if (dir_read(d, dn != NULL && dn[0] != '\0' ? dn : "cn=Subschema", attrs, &r) != 0) {
		finding(k, WARN, "schema",
		    _("cannot be read: let the account in ldap_bind_dn read %s"),
		    dn != NULL && dn[0] != '\0' ? dn : "cn=Subschema");
		goto out;
	}
	for (size_t i = 0; i < n; i++) {
		bool is_attr = strncmp(o[i].name, "dir_attr_", 9) == 0 && o[i].type == CONF_STR;
		bool is_class = strncmp(o[i].name, "dir_class_", 10) == 0, may_lack = false;
		const char *value = is_attr || is_class ? conf_str(k->conf, o[i].name) : "";

		for (const char *const *p = optional; *p != NULL; p++)
			may_lack = may_lack || strcmp(*p, o[i].name) == 0;
		if (value[0] == '\0' || strcmp(value, "none") == 0)
			continue;
		names++;
		if (has_name(dir_entry_attr(
				 &r->entries[0], is_attr ? "attributeTypes" : "objectClasses"),
			value))
			continue;
		missing++;
		finding(k, may_lack ? WARN : BAD, "schema",
		    may_lack ? _("the server has no %s (%s): locks of its password policy are not "
				 "seen; load the overlay ppolicy")
			     : _("the server does not know %s (%s): load %s, or set the option to "
				 "what the tree has"),
		    value, o[i].name, PKGDATADIR "/congvu.ldif");
	}
	if (missing == 0)
		finding(
		    k, GOOD, "schema", _("all %zu names that the options use are known"), names);
out:
	free(dn);
	dir_result_free(root);
	dir_result_free(r);
}

/* ---- rights ---- */

/* Whether the connection can find anybody by an attribute, and so learn of it. */
static bool
can_see(struct check *k, struct dir *d, const char *attr)
{
	const char *const attrs[] = {attr, NULL};
	struct dir_result *r = NULL;
	char *filter = NULL;
	bool seen;
	int rc;

	if (asprintf(&filter, "(&(objectClass=%s)(%s=*))", conf_str(k->conf, "dir_class_person"),
		attr) < 0)
		fatal("out of memory");
	rc = dir_search(d, NULL, filter, attrs, 1, &r);
	seen = rc == ERR_LIMIT || (rc == 0 && r->n_entries > 0);
	dir_result_free(r);
	free(filter);
	return seen;
}

static void
check_lookup(struct check *k, struct dir *d)
{
	const char *scram = conf_str(k->conf, "dir_attr_scram");
	static const char *const needed[] = {"dir_attr_account", "dir_attr_login", "dir_attr_mail"};
	bool good = true;

	if (!can_see(k, d, "objectClass")) {
		finding(k, WARN, "people",
		    _("the account in ldap_bind_dn sees nobody: there are no people yet (congvu "
		      "staff hire), or an access rule "
		      "hides them"));
		return;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!can_see(k, d, conf_str(k->conf, needed[i]))) {
			good = false;
			finding(k, BAD, "access",
			    _("the account in ldap_bind_dn cannot read %s (%s): give it read in "
			      "the server's access rules, as "
			      "%s does"),
			    conf_str(k->conf, needed[i]), needed[i], PKGDATADIR "/slapd.conf.in");
		}
	if (can_see(k, d, "userPassword")) {
		good = false;
		finding(k, BAD, "access",
		    _("the account in ldap_bind_dn can read userPassword, which it never needs: "
		      "take that away in the server's "
		      "access rules, as %s does"),
		    PKGDATADIR "/slapd.conf.in");
	}
	if (scram[0] != '\0' && !can_see(k, d, scram))
		finding(k, WARN, "access",
		    _("no SCRAM key (%s) can be read: SCRAM-SHA-256 fails for all, until access "
		      "rules let ldap_bind_dn read "
		      "it, or passwords are set by congvu"),
		    scram);
	if (good)
		finding(k, GOOD, "access", _("ldap_bind_dn reads people and no password"));
}

/* Passwords and SCRAM keys are nobody's to read but lookup's (the keys). Returns whether it is so. */
static bool
check_hidden(struct check *k, struct dir *d, const char *who)
{
	const char *const attrs[] = {"userPassword", conf_str(k->conf, "dir_attr_scram")};
	bool good = true;

	for (size_t i = 0; i < 2; i++) {
		if (attrs[i][0] == '\0' || !can_see(k, d, attrs[i]))
			continue;
		good = false;
		finding(k, BAD, "access",
		    _("%s can read %s of people: whoever can, guesses passwords at leisure. Mend "
		      "the access rules as in "
		      "%s, and have all passwords changed"),
		    who, attrs[i], PKGDATADIR "/slapd.conf.in");
	}
	return good;
}

/* ---- a person of the staff ---- */

static void
random_hex(char *out, size_t bytes)
{
	unsigned char raw[32];

	if (bytes > sizeof(raw) || getrandom(raw, bytes, 0) != (ssize_t)bytes)
		fatal("no random bytes");
	for (size_t i = 0; i < bytes; i++)
		snprintf(out + 2 * i, 3, "%02x", raw[i]);
	explicit_bzero(raw, sizeof(raw));
}

/* An entry that can sign in and is nobody, for a moment: what it may read, any of the staff may. */
static void
probe_as_staff(struct check *k, struct dir *admin)
{
	char name[2 * NAME_BYTES + 1], password[2 * NAME_BYTES + 1], *dn = NULL, *cn = NULL,
								     *why = NULL;
	const struct slice classes[] = {
	    slice_str("organizationalRole"), slice_str("simpleSecurityObject")};
	struct dir *d = NULL;
	int rc;

	random_hex(name, NAME_BYTES);
	random_hex(password, NAME_BYTES);
	if (asprintf(&cn, "congvu-doctor-%s", name) < 0 ||
	    asprintf(&dn, "cn=%s,ou=people,%s", cn, conf_str(k->conf, "ldap_base")) < 0)
		fatal("out of memory");
	const struct slice cn_value = slice_str(cn), password_value = slice_str(password);
	const struct dir_mod mods[] = {{DIR_MOD_ADD, "objectClass", classes, 2},
	    {DIR_MOD_ADD, "cn", &cn_value, 1}, {DIR_MOD_ADD, "userPassword", &password_value, 1}};

	rc = dir_add(admin, dn, mods, 3, &why);
	if (rc != 0) {
		finding(k, BAD, "probe", _("admin_bind_dn cannot add %s: %s"), dn,
		    why != NULL ? why : err_name(rc));
	} else if (dir_open_conf(k->conf, dn, slice_str(password), &d) != 0 ||
		   dir_verify(d, dn, slice_str(password), NULL) != 0) {
		finding(k, WARN, "probe", _("%s was added, but cannot sign in: not checked"), dn);
	} else if (check_hidden(k, d, _("any person who signs in"))) {
		finding(k, GOOD, "probe", _("a person who signs in reads no password of others"));
	}
	dir_close(d);
	free(why);
	why = NULL;
	if (rc == 0 && dir_delete(admin, dn, &why) != 0)
		finding(k, WARN, "probe",
		    _("%s was added and cannot be removed (%s): remove it by hand"), dn,
		    why != NULL ? why : "");
	free(why);
	free(dn);
	free(cn);
	explicit_bzero(password, sizeof(password));
}

/* ---- postmaster ---- */

static void
check_postmaster_entry(struct check *k, struct dir *d)
{
	static const char *const attrs[] = {"objectClass", NULL};
	const char *address = conf_str(k->conf, "postmaster"),
		   *filter = conf_str(k->conf, "dir_rcpt_filter");
	struct dir_result *r = NULL;
	struct buf b;

	if (address[0] == '\0' || strpbrk(address, "()*\\") != NULL)
		return; /* told by check, or it must be told there */
	buf_init(&b, 65536);
	for (const char *p = filter; *p != '\0'; p++)
		if (p[0] == '%' && p[1] == 's') {
			buf_append_str(&b, address);
			p++;
		} else {
			buf_append(&b, p, 1);
		}
	if (dir_search(d, NULL, buf_cstr(&b), attrs, 10, &r) == 0 && r->n_entries == 0)
		finding(k, BAD, "postmaster",
		    _("nobody in the directory has the address %s: add it (congvu agency add "
		      "--mailbox, congvu staff hire "
		      "--mail), or set postmaster to one that is there"),
		    address);
	dir_result_free(r);
	buf_done(&b);
}

void
doctor_directory(struct check *k, bool probe)
{
	bool has_admin = conf_str(k->conf, "admin_bind_dn")[0] != '\0' &&
			 conf_str(k->conf, "admin_password_file")[0] != '\0';
	struct dir *lookup, *nobody, *admin = NULL;

	check_servers(k);
	lookup = connect_as(k, "ldap_bind_dn", "ldap_password_file");
	nobody = connect_as(k, NULL, NULL);
	if (has_admin)
		admin = connect_as(k, "admin_bind_dn", "admin_password_file");
	if (lookup != NULL) {
		check_schema(k, lookup);
		check_lookup(k, lookup);
		check_postmaster_entry(k, lookup);
	}
	if (nobody != NULL && check_hidden(k, nobody, _("anybody, without signing in,")))
		finding(k, GOOD, "access", "%s",
		    can_see(k, nobody, conf_str(k->conf, "dir_attr_mail"))
			? _("who does not sign in reads the address book (as --public has it), and "
			    "no password")
			: _("who does not sign in reads nothing of people"));
	if (admin != NULL && check_hidden(k, admin, "admin_bind_dn"))
		finding(k, GOOD, "access", _("admin_bind_dn reads no password"));
	if (probe && admin != NULL)
		probe_as_staff(k, admin);
	else if (probe)
		finding(k, WARN, "probe", _("--probe needs admin_bind_dn"));
	dir_close(lookup);
	dir_close(nobody);
	dir_close(admin);
}
