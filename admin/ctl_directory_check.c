/* ctl_directory_check.c: `congvu directory check`: what slapd itself lets pass: references that lead nowhere, addresses with two owners, missing
 * folded texts, dates that have passed. Runs in congvu. Reads everything once; with --repair it fills in what follows from the rest (folded
 * texts, names shown) and changes nothing else. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ctl_change.h"
#include "admin/ctl_directory.h"
#include "admin/ctl_directory_tree.h"
#include "lib/err.h"
#include "lib/log.h"

enum { TOLD_MAX = 20, KINDS_MAX = 64, TIMEOUT_MS = 600000 };

static struct {
	const char *what;
	size_t n;
} told[KINDS_MAX];

void
tree_tell(struct tree_check *x, enum level level, const char *what, const struct dir_entry *e,
    const char *fmt, ...)
{
	struct buf b;
	va_list ap;
	size_t i = 0;

	while (i < KINDS_MAX - 1 && told[i].what != NULL && strcmp(told[i].what, what) != 0)
		i++;
	told[i].what = what;
	if (++told[i].n > TOLD_MAX) {
		x->k->failed = x->k->failed || level >= BAD;
		return;
	}
	buf_init(&b, 16384);
	va_start(ap, fmt);
	buf_vappendf(&b, fmt, ap);
	va_end(ap);
	finding(x->k, level, what, "%s: %s", e->dn, buf_cstr(&b));
	buf_done(&b);
}

void
tree_tell_rest(struct tree_check *x)
{
	for (size_t i = 0; i < KINDS_MAX && told[i].what != NULL; i++)
		if (told[i].n > TOLD_MAX)
			finding(x->k, WARN, told[i].what, _("and %zu more"), told[i].n - TOLD_MAX);
}

/* The connection of ctl_dir_open with more patience: everybody is read in one search. 0 or a sysexit after a message. */
static int
open_patient(struct ctl *c, const char *dn, const char *password_file, struct dir **out)
{
	size_t n = conf_list_len(c->conf, "ldap_uris");
	const char **uris = xcalloc(n + 1, sizeof(*uris));
	char *ca = conf_path(c->conf, "ldap_ca_file"), *path = NULL;
	struct buf password;
	int rc = 0;

	buf_init(&password, 1024);
	for (size_t i = 0; i < n; i++)
		uris[i] = conf_list_item(c->conf, "ldap_uris", i);
	if (dn == NULL)
		dn = conf_str(c->conf, "admin_bind_dn");
	if (password_file == NULL && *conf_str(c->conf, "admin_password_file") != '\0')
		password_file = path = conf_path(c->conf, "admin_password_file");
	if (*dn == '\0' || password_file == NULL)
		rc = ctl_fail(c, EX_CONFIG, "%s",
		    _("whom to bind as? Set admin_bind_dn and admin_password_file in "
		      "congvu.conf, or give --bind-dn and --bind-password-file"));
	if (rc == 0)
		rc = ctl_read_password(c, password_file, &password);
	if (rc == 0) {
		const struct dir_params p = {.uris = uris,
		    .n_uris = n,
		    .starttls = conf_bool(c->conf, "ldap_starttls"),
		    .ca_file = ca,
		    .base = conf_str(c->conf, "ldap_base"),
		    .bind_dn = dn,
		    .password = buf_slice(&password),
		    .timeout_ms = TIMEOUT_MS,
		    .pool = 1};
		int err = dir_open(&p, out);

		if (err != 0)
			rc = ctl_dir_fail(c, "ldap_uris, ldap_ca_file", err, NULL);
	}
	buf_wipe(&password);
	free(path);
	free(ca);
	free(uris);
	return rc;
}

static void
tell_counts(struct tree_check *x)
{
	const struct tree *t = x->t;

	finding(x->k, GOOD, "entries",
	    _("%zu people, %zu agencies, %zu posts, %zu mailboxes, %zu groups, %zu delegations"),
	    tree_count(t, TREE_PEOPLE), tree_count(t, TREE_AGENCIES), tree_count(t, TREE_POSTS),
	    tree_count(t, TREE_MAILBOXES), tree_count(t, TREE_GROUPS),
	    tree_count(t, TREE_DELEGATIONS));
	if (x->repaired > 0)
		finding(x->k, GOOD, "repair", _("%zu entries were completed"), x->repaired);
}

int
directory_check(struct ctl *c, int argc, char **argv)
{
	const char *bind_dn = NULL, *bind_password_file = NULL;
	bool repair = false;
	const struct ctl_option options[] = {{"repair", NULL, &repair}, {"bind-dn", &bind_dn, NULL},
	    {"bind-password-file", &bind_password_file, NULL}, {NULL, NULL, NULL}};
	struct check k = {.c = c};
	struct tree t = {0};
	struct tree_check x = {.k = &k, .t = &t};
	struct ctl_dir of = {NULL};
	bool all = false;
	char *why = NULL;
	int rc = ctl_options(c, options, &argc, argv);

	if (rc != 0)
		return rc;
	if (argc > 1)
		return ctl_usage(c, "%s", _("directory check takes no argument"));
	rc = open_patient(c, bind_dn, bind_password_file, &of.dir);
	if (rc != 0)
		return rc;
	rc = tree_load(of.dir, &t);
	if (rc != 0) {
		rc = ctl_dir_fail(c, conf_str(c->conf, "ldap_base"), rc, NULL);
		goto out;
	}
	memset(told, 0, sizeof(told));
	of.admin = dir_admin_new(c->conf, of.dir);
	rc = dir_admin_sees_all(of.admin, &all, &why);
	if (rc != 0) {
		rc = ctl_dir_fail(c, conf_str(c->conf, "ldap_base"), rc, why);
		tree_done(&t);
		ctl_dir_close(&of);
		return rc;
	}
	if (repair) {
		of.as = xstrdup(bind_dn == NULL ? conf_str(c->conf, "admin_bind_dn") : bind_dn);
		ctl_change_journal(c, &of);
		x.repair = of.admin;
	}
	k.findings = json_arr_new();
	if (!all)
		finding(&k, WARN, "account", "%s",
		    _("this account does not see all of the directory (ou=officers): what is told "
		      "as missing may be there; check as central HR (admin_bind_dn)"));
	tree_check_links(&x);
	tree_check_names(&x);
	tree_check_dates(&x);
	tree_check_today(&x);
	tree_tell_rest(&x);
	tell_counts(&x);
	rc = check_end(&k) == 0 && !k.failed ? 0 : EX_DATAERR;
out:
	tree_done(&t);
	ctl_dir_close(&of);
	return rc;
}
