/* ctl_directory_upgrade.c: `congvu directory upgrade`: brings a server that runs to the schema (congvu.ldif), the indexes (slapd.conf.in) and the tree
 * (base.ldif.in) of this version, by cn=config and without a stop; slapd fills a new index in by itself. What the server has beside ours stays; access
 * rules, limits and overlays are the operator's. Given again it changes nothing. Runs in congvu. */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "admin/ctl_directory_files.h"
#include "lib/err.h"
#include "lib/log.h"

/* ---- definitions ---- */

/* A definition for comparison: without "{3}", parentheses, dollars and spaces, which slapd writes its own way. */
static char *
plain(struct slice v)
{
	char *s = xcalloc(1, v.len + 1);
	size_t n = 0, i = 0;

	if (v.len > 0 && v.ptr[0] == '{')
		while (i < v.len && v.ptr[i++] != '}')
			;
	for (; i < v.len; i++)
		if (strchr("()$ \t", v.ptr[i]) == NULL)
			s[n++] = (char)v.ptr[i];
	return s;
}

/* "'vnAgencyCode'" of a definition (RFC 4512 4.1), "congvuRoot" of an identifier; malloc'd. */
static char *
name_of(struct slice v, bool is_identifier)
{
	char *text = slice_dup(v), *p = text, *made;

	if (text == NULL)
		fatal("out of memory");
	if (*p == '{')
		p += strcspn(p, "}") + 1;
	if (is_identifier) {
		made = strndup(p, strcspn(p, " "));
	} else {
		p = strstr(p, " NAME ");
		p = p == NULL ? NULL : strchr(p, '\'');
		made = p == NULL ? strdup("") : strndup(p + 1, strcspn(p + 1, "'"));
	}
	free(text);
	if (made == NULL)
		fatal("out of memory");
	return made;
}

/* The value of attr in e that defines the same name; NULL. */
static const struct slice *
defined(const struct dir_entry *e, const char *attr, const char *name)
{
	const struct dir_attr *a = dir_entry_attr(e, attr);

	for (size_t i = 0; a != NULL && i < a->n_values; i++) {
		char *other = name_of(a->values[i], strcmp(attr, "olcObjectIdentifier") == 0);
		bool same = strcasecmp(other, name) == 0;

		free(other);
		if (same)
			return &a->values[i];
	}
	return NULL;
}

/* One definition of congvu.ldif against the server's. Each is a modify of its own: what a class names was brought before it. */
static int
definition_bring(
    struct upgrade *u, struct dir *d, const struct dir_entry *have, const struct ldif_line *line)
{
	struct slice value = slice_str(line->value);
	char *name = name_of(value, strcmp(line->attr, "olcObjectIdentifier") == 0),
	     *ours = plain(value), *theirs = NULL, *why = NULL;
	const struct slice *old = defined(have, line->attr, name);
	struct dir_mod mods[2] = {
	    {DIR_MOD_DELETE, line->attr, old, 1}, {DIR_MOD_ADD, line->attr, &value, 1}};
	int err = 0;

	if (old != NULL)
		theirs = plain(*old);
	if (old != NULL && strcmp(ours, theirs) == 0)
		goto out;
	err = upgrade_write_down(u, "modify", have->dn, name, &why);
	if (err == 0 && !u->dry_run)
		err = old != NULL ? dir_modify(d, have->dn, mods, 2, &why)
				  : dir_modify(d, have->dn, mods + 1, 1, &why);
	if (err == 0)
		upgrade_tell(u, "schema", name, old == NULL ? CHANGE_ADDED : CHANGE_CHANGED);
	else
		err = ctl_dir_fail(u->c, name, err, why);
out:
	free(name);
	free(ours);
	free(theirs);
	return err;
}

/* The server's definitions of ours, numbered values and all, read anew. */
static int
schema_read(struct dir *d, struct dir_result **out)
{
	static const char *const attrs[] = {
	    "olcObjectIdentifier", "olcAttributeTypes", "olcObjectClasses", NULL};

	return dir_search(d, "cn=schema,cn=config", "(&(objectClass=olcSchemaConfig)(cn=*congvu))",
	    attrs, 2, out);
}

static int
upgrade_schema(struct upgrade *u, struct dir *d)
{
	static const char *const order[] = {
	    "olcObjectIdentifier", "olcAttributeTypes", "olcObjectClasses"};
	struct dir_result *r = NULL;
	struct ldif_file f = {0};
	int rc = ldif_file_read(u->c, "congvu.ldif", NULL, &f), err;

	for (size_t o = 0; rc == 0 && o < 3; o++)
		for (size_t i = 0; rc == 0 && i < f.v[0].n; i++) {
			if (strcmp(f.v[0].v[i].attr, order[o]) != 0)
				continue;
			err = r != NULL ? 0 : schema_read(d, &r);
			if (err == 0 && r->n_entries != 1)
				err = ERR_NOTFOUND;
			if (err != 0)
				rc = ctl_dir_fail(u->c,
				    err == ERR_NOTFOUND
					? _("no schema congvu in cn=config; load congvu.ldif")
					: "cn=config",
				    err, NULL);
			else {
				size_t before = u->n;

				rc = definition_bring(u, d, &r->entries[0], &f.v[0].v[i]);
				/* a change gives the values behind it other numbers */
				if (!u->dry_run && u->n != before) {
					dir_result_free(r);
					r = NULL;
				}
			}
		}
	dir_result_free(r);
	ldif_file_done(&f);
	return rc;
}

/* ---- indexes ---- */

/* The server's "cn eq,sub" or "cn,sn eq,sub" that is of this attribute; *kinds_out: the kinds in it. NULL: none. */
static const struct slice *
index_of(const struct dir_entry *e, const char *attr, const char **kinds_out)
{
	const struct dir_attr *a = dir_entry_attr(e, "olcDbIndex");

	for (size_t i = 0; a != NULL && i < a->n_values; i++) {
		const char *text = (const char *)a->values[i].ptr;
		size_t names = strcspn(text, " \t"), n;

		for (const char *p = text; p < text + names; p += n + 1) {
			n = strcspn(p, ", \t");
			if (n == strlen(attr) && strncasecmp(p, attr, n) == 0) {
				*kinds_out = text + names + strspn(text + names, " \t");
				return &a->values[i];
			}
		}
	}
	return NULL;
}

/* Whether kinds ("pres,eq,sub") have this one; "sub" has the three it is made of. */
static bool
has_kind(const char *kinds, const char *one, size_t len)
{
	for (size_t n; *kinds != '\0'; kinds += n + (kinds[n] == ',')) {
		n = strcspn(kinds, ",");
		if ((n == len && strncasecmp(kinds, one, n) == 0) ||
		    (n == 3 && len > 3 && strncasecmp(kinds, "sub", 3) == 0 &&
			strncasecmp(one, "sub", 3) == 0))
			return true;
	}
	return false;
}

/* What the server has, and of ours what is missing there; false: nothing is. */
static bool
kinds_union(const char *theirs, const char *ours, struct buf *out)
{
	bool more = false;

	buf_append_str(out, theirs);
	for (size_t n; *ours != '\0'; ours += n + (ours[n] == ',')) {
		n = strcspn(ours, ",");
		if (n == 0 || has_kind(theirs, ours, n))
			continue;
		if (out->len > 0)
			buf_append_byte(out, ',');
		buf_append(out, ours, n);
		more = true;
	}
	return more;
}

static int
index_bring(struct upgrade *u, struct dir *d, const struct dir_entry *have, const char *attr,
    const char *kinds)
{
	const char *theirs = "";
	const struct slice *old = index_of(have, attr, &theirs);
	char *text = NULL, *why = NULL;
	struct buf both;
	struct slice value;
	struct dir_mod mods[2] = {
	    {DIR_MOD_DELETE, "olcDbIndex", old, 1}, {DIR_MOD_ADD, "olcDbIndex", &value, 1}};
	int err = 0;

	buf_init(&both, 4096);
	if (!kinds_union(theirs, kinds, &both)) {
		buf_done(&both);
		return 0;
	}
	if (asprintf(&text, "%s %s", attr, buf_cstr(&both)) < 0)
		fatal("out of memory");
	buf_done(&both);
	value = slice_str(text);
	if (old != NULL && slice_index(*old, ',') >= 0 &&
	    slice_index(*old, ',') < slice_index(*old, ' ')) {
		free(text);
		return ctl_fail(u->c, EX_CONFIG,
		    _("the index \"%s\" names several attributes: give %s one of its own first"),
		    (const char *)old->ptr, attr);
	}
	err = upgrade_write_down(u, "modify", have->dn, text, &why);
	if (err == 0 && !u->dry_run)
		err = old != NULL ? dir_modify(d, have->dn, mods, 2, &why)
				  : dir_modify(d, have->dn, mods + 1, 1, &why);
	if (err == 0)
		upgrade_tell(u, "index", text, old == NULL ? CHANGE_ADDED : CHANGE_CHANGED);
	else
		err = ctl_dir_fail(u->c, text, err, why);
	free(text);
	return err;
}

/* The lines "index a,b kinds" of slapd.conf.in. */
static int
upgrade_indexes(struct upgrade *u, struct dir *d)
{
	static const char *const attrs[] = {"olcDbIndex", "olcSuffix", NULL};
	struct dir_result *r = NULL;
	struct buf text, f;
	char *line, *save = NULL;
	int rc, err;

	buf_init(&text, 1 << 20);
	buf_init(&f, 4096);
	rc = schema_file_read(u->c, "slapd.conf.in", &text);
	buf_appendf(
	    &f, "(&(objectClass=olcMdbConfig)(olcSuffix=%s))", conf_str(u->c->conf, "ldap_base"));
	err = rc != 0 ? 0 : dir_search(d, "cn=config", buf_cstr(&f), attrs, 2, &r);
	if (rc == 0 && (err != 0 || r->n_entries != 1))
		rc = ctl_dir_fail(u->c, _("cn=config shows no mdb database of ldap_base"),
		    err != 0 ? err : ERR_NOTFOUND, NULL);
	for (line = rc != 0 ? NULL : strtok_r((char *)(uintptr_t)buf_cstr(&text), "\n", &save);
	     rc == 0 && line != NULL; line = strtok_r(NULL, "\n", &save)) {
		char *list, *kinds, *save_attr = NULL;

		if (strncmp(line, "index\t", 6) != 0)
			continue;
		list = line + 6;
		kinds = list + strcspn(list, " \t");
		if (*kinds != '\0')
			*kinds++ = '\0';
		kinds += strspn(kinds, " \t");
		for (char *attr = strtok_r(list, ",", &save_attr); rc == 0 && attr != NULL;
		     attr = strtok_r(NULL, ",", &save_attr))
			rc = index_bring(u, d, &r->entries[0], attr, kinds);
	}
	dir_result_free(r);
	buf_done(&text);
	buf_done(&f);
	return rc;
}

int
directory_upgrade(struct ctl *c, int argc, char **argv)
{
	const char *config_dn = "cn=config", *config_password_file = NULL, *bind_dn = NULL,
		   *bind_password_file = NULL, *base = conf_str(c->conf, "ldap_base");
	bool dry_run = false;
	const struct ctl_option options[] = {{"config-dn", &config_dn, NULL},
	    {"config-password-file", &config_password_file, NULL}, {"dry-run", NULL, &dry_run},
	    {"bind-dn", &bind_dn, NULL}, {"bind-password-file", &bind_password_file, NULL},
	    {NULL, NULL, NULL}};
	const char *const pairs[] = {"@BASE@", base, NULL};
	struct upgrade u = {.c = c};
	struct ctl_dir config = {0}, tree = {0};
	struct ldif_file f = {0};
	int rc = ctl_options(c, options, &argc, argv);

	if (rc != 0)
		return rc;
	if (argc > 1)
		return ctl_usage(c, "%s", _("directory upgrade takes no argument"));
	if (config_password_file == NULL)
		return ctl_usage(
		    c, "%s", _("--config-password-file is needed: the password of cn=config"));
	u.dry_run = dry_run;
	rc = ctl_dir_open(c, config_dn, config_password_file, &config);
	u.as = config.as;
	if (rc == 0)
		rc = upgrade_journal(&u, "directory upgrade");
	if (rc == 0)
		rc = upgrade_schema(&u, config.dir);
	if (rc == 0)
		rc = upgrade_indexes(&u, config.dir);
	if (rc == 0)
		rc = ldif_file_read(c, "base.ldif.in", pairs, &f);
	if (rc == 0)
		rc = ctl_dir_open(c, bind_dn, bind_password_file, &tree);
	if (rc == 0) {
		u.as = tree.as;
		rc = upgrade_tree(&u, tree.dir, &f, false);
	}
	rc = upgrade_end(&u, rc);
	ctl_dir_close(&config);
	ctl_dir_close(&tree);
	ldif_file_done(&f);
	return rc;
}
