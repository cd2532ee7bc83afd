/* ctl_password.c: `congvu password set|slip|change`: the hash and the SCRAM keys of a person's password, in one change of the directory. Runs
 * in congvu. What is done is in the audit log before it is done; the secret is nowhere but in its hash. */
#include "config.h"

#include "admin/ctl_mailbox.h"
#include "admin/ctl_password.h"

#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct args {
	const char *password_file, *out, *bind_dn, *bind_password_file;
	const char *name, *services;
	bool from_stdin, must_change, unlock;
};

int
ctl_password_note(
    struct ctl *c, const char *event, const struct staff_account *s, struct json *more)
{
	struct json *rec = more == NULL ? json_obj_new() : more;
	char *dir = conf_path(c->conf, "run_dir");

	json_set_str(rec, "id", s->id);
	json_set_str(rec, "mail", s->mail);
	/* where the audit log's socket is; a host without one says so below */
	if (chdir(dir) != 0 && chdir("/") != 0)
		fprintf(stderr, "congvu password: %s\n", dir);
	free(dir);
	return ctl_audit_note(c, event, rec);
}

static int
told(struct ctl *c, const struct staff_account *s, bool must_change)
{
	struct json *j;

	if (!c->json) {
		printf("%s %s: %s\n", s->id, s->mail,
		    must_change ? _("a first password is set") : _("the password is set"));
		return 0;
	}
	j = json_obj_new();
	json_set_str(j, "result", "changed");
	json_set_str(j, "id", s->id);
	json_set_str(j, "mail", s->mail);
	json_set_bool(j, "must_change", must_change);
	return ctl_json_take(j, 0);
}

static int
set(struct ctl *c, struct ctl_dir *d, const char *who, const struct args *a)
{
	struct staff_account s = {0};
	struct json *more = json_obj_new();
	char *why = NULL;
	struct buf password;
	int err, rc;

	buf_init(&password, 1024);
	err = dir_admin_account(d->admin, who, &s, &why);
	if (err == 0 && s.is_frozen && !a->unlock) {
		/* setting a password ends a lock */
		rc = ctl_fail(c, EX_NOPERM,
		    _("%s is locked by an administrator, and a new password would open it: give "
		      "--unlock if that is meant"),
		    who);
		json_free(more);
		goto out;
	}
	rc = err != 0 ? ctl_dir_fail(c, who, err, why)
	     : a->password_file != NULL || a->from_stdin
		 ? ctl_read_password(c, a->from_stdin ? "-" : a->password_file, &password)
		 : ctl_password_ask(c, _("new password"), true, &password);
	json_set_bool(more, "must_change", a->must_change);
	json_set_bool(more, "unlock", s.is_frozen);
	if (rc == 0)
		rc = ctl_password_note(c, "password_set", &s, more);
	else
		json_free(more);
	if (rc == 0) {
		err = dir_admin_password_set(
		    d->admin, &s, buf_slice(&password), a->must_change, &why);
		rc = err != 0 ? ctl_dir_fail(c, who, err, why) : told(c, &s, a->must_change);
	}
out:
	buf_wipe(&password);
	staff_account_done(&s);
	return rc;
}

/* By the person: who knows the password now may set another one. */
static int
change(struct ctl *c, struct ctl_dir *d, const char *who, const struct args *a)
{
	struct staff_account s = {0};
	struct buf old, new;
	char *why = NULL;
	int err, rc;

	buf_init(&old, 1024);
	buf_init(&new, 1024);
	err = dir_admin_account(d->admin, who, &s, &why);
	rc = err != 0        ? ctl_dir_fail(c, who, err, why)
	     : a->from_stdin ? ctl_password_line(c, &old)
			     : ctl_password_ask(c, _("password now"), false, &old);
	if (rc == 0) {
		err = dir_admin_password_is(d->admin, &s, buf_slice(&old),
		    (unsigned)conf_int(c->conf, "first_password_days"), &why);
		rc = err != 0 ? ctl_dir_fail(c, who, err, why) : 0;
	}
	if (rc == 0)
		rc = a->from_stdin ? ctl_password_line(c, &new)
				   : ctl_password_ask(c, _("new password"), true, &new);
	if (rc == 0 && slice_eq(buf_slice(&old), buf_slice(&new)))
		rc = ctl_fail(c, EX_DATAERR, "%s", _("the new password is the old one"));
	if (rc == 0)
		rc = ctl_password_note(c, "password_change", &s, NULL);
	if (rc == 0) {
		err = dir_admin_password_set(d->admin, &s, buf_slice(&new), false, &why);
		rc = err != 0 ? ctl_dir_fail(c, who, err, why) : told(c, &s, false);
	}
	buf_wipe(&old);
	buf_wipe(&new);
	staff_account_done(&s);
	return rc;
}

int
ctl_password(struct ctl *c, int argc, char **argv)
{
	struct args a = {0};
	struct ctl_dir d = {0};
	const struct ctl_option options[] = {
	    {"password-file", &a.password_file, NULL},
	    {"password-stdin", NULL, &a.from_stdin},
	    {"must-change", NULL, &a.must_change},
	    {"unlock", NULL, &a.unlock},
	    {"out", &a.out, NULL},
	    {"name", &a.name, NULL},
	    {"for", &a.services, NULL},
	    {"bind-dn", &a.bind_dn, NULL},
	    {"bind-password-file", &a.bind_password_file, NULL},
	    {NULL, NULL, NULL},
	};
	int rc = ctl_options(c, options, &argc, argv);
	struct password_app app;
	bool is_set, is_slip, is_change, is_app;

	if (rc != 0)
		return rc;
	is_set = argc == 3 && strcmp(argv[1], "set") == 0;
	is_slip = argc >= 3 && strcmp(argv[1], "slip") == 0 && a.out != NULL;
	is_change = argc == 3 && strcmp(argv[1], "change") == 0;
	app = (struct password_app){.verb = argc > 2 ? argv[2] : "",
	    .who = argc > 3 ? argv[3] : NULL,
	    .which = argc > 4 ? argv[4] : NULL,
	    .name = a.name,
	    .services = a.services,
	    .out = a.out};
	is_app = argc >= 4 && strcmp(argv[1], "app") == 0 &&
		 ((argc == 4 && strcmp(app.verb, "add") == 0 && a.name != NULL) ||
		     (argc == 4 && strcmp(app.verb, "list") == 0) ||
		     (argc == 5 && strcmp(app.verb, "revoke") == 0));
	if (!is_set && !is_slip && !is_change && !is_app)
		return ctl_usage(c, "%s",
		    _("set, slip (with --out), change, app add (with --name), app list, app "
		      "revoke: whose?"));
	rc = ctl_dir_open(c, a.bind_dn, a.bind_password_file, &d);
	if (rc == 0)
		rc = is_app    ? ctl_password_app(c, &d, &app)
		     : is_set  ? set(c, &d, argv[2], &a)
		     : is_slip ? ctl_password_slip(c, &d, argv + 2, (size_t)argc - 2, a.out)
			       : change(c, &d, argv[2], &a);
	ctl_dir_close(&d);
	return rc;
}
