/* ctl_password_app.c: `congvu password app add|list|revoke`: a password for each device, so that a lost telephone costs one of them. Runs in
 * congvu. */
#include "config.h"

#include "admin/ctl_password.h"

#include "lib/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "imap,smtp"; NULL: both. 0, or ERR_SYNTAX. */
static int
services_of(const char *list, const char *out[3])
{
	bool imap = list == NULL || strcmp(list, "imap") == 0 || strcmp(list, "imap,smtp") == 0 ||
		    strcmp(list, "smtp,imap") == 0;
	bool smtp = list == NULL || strcmp(list, "smtp") == 0 || strcmp(list, "imap,smtp") == 0 ||
		    strcmp(list, "smtp,imap") == 0;
	size_t n = 0;

	if (imap)
		out[n++] = "imap";
	if (smtp)
		out[n++] = "smtp";
	out[n] = NULL;
	return n == 0 ? ERR_SYNTAX : 0;
}

static int
write_out(const struct ctl *c, int fd, const char *path, struct slice password)
{
	if (dprintf(fd, "%.*s\n", (int)password.len, (const char *)password.ptr) < 0 ||
	    fsync(fd) != 0)
		return ctl_fail(c, EX_IOERR, "%s: %s", path, strerror(errno));
	return 0;
}

/* What was made; the password, once, on the terminal when no file has it. */
static int
tell_made(struct ctl *c, const struct staff_account *s, const char *name, struct slice password,
    bool in_file)
{
	struct json *j;

	if (c->json) {
		j = json_obj_new();
		json_set_str(j, "result", "added");
		json_set_slice(j, "id", slice_sub(password, 0, 4));
		json_set_str(j, "name", name);
		json_set_str(j, "login", s->uid);
		if (!in_file)
			json_set_slice(j, "password", password);
		return ctl_json_take(j, 0);
	}
	printf("%s %s: %s\n", s->mail, name, _("an app password is made; it is shown this once"));
	if (!in_file)
		printf("%.*s\n", (int)password.len, (const char *)password.ptr);
	printf(_("login name: %s (or %s/%.4s for SCRAM)\n"), s->uid, s->uid,
	    (const char *)password.ptr);
	return 0;
}

static int
add(struct ctl *c, struct ctl_dir *d, const struct staff_account *s, const struct password_app *a)
{
	struct json *more = json_obj_new();
	const char *services[3];
	struct buf password;
	char *why = NULL, *path;
	int fd = -1, rc, err;

	json_set_str(more, "name", a->name);
	if (services_of(a->services, services) != 0) {
		json_free(more);
		return ctl_usage(c, "%s", _("app add: --for is imap, smtp or imap,smtp"));
	}
	if (a->out != NULL &&
	    (fd = open(a->out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0) {
		json_free(more);
		return ctl_fail(c, EX_CANTCREAT, "%s: %s", a->out, strerror(errno));
	}
	/* the note goes to another folder */
	path = fd >= 0 ? realpath(a->out, NULL) : NULL;
	buf_init(&password, 64);
	rc = ctl_password_note(c, "password_app_add", s, more);
	if (rc == 0) {
		err = dir_admin_app_add(d->admin, s, a->name, services, &password, &why);
		rc = err != 0 ? ctl_dir_fail(c, s->mail, err, why) : 0;
	}
	if (rc == 0 && fd >= 0)
		rc = write_out(c, fd, a->out, buf_slice(&password));
	if (rc != 0 && path != NULL)
		(void)unlink(path); /* the next try makes it anew */
	if (rc == 0)
		rc = tell_made(c, s, a->name, buf_slice(&password), fd >= 0);
	if (fd >= 0)
		close(fd);
	free(path);
	buf_wipe(&password);
	return rc;
}

static int
list(struct ctl *c, struct ctl_dir *d, const struct staff_account *s)
{
	struct json *rows = json_arr_new();
	struct dir_result *r = NULL;
	char *why = NULL;
	int err = dir_admin_apps(d->admin, s, &r, &why);

	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];
		const struct dir_attr *of = dir_entry_attr(e, "vnAppService");
		struct json *row = json_obj_new(), *services = json_arr_new();

		for (size_t k = 0; of != NULL && k < of->n_values; k++)
			json_push_take(services, json_str_new(of->values[k]));
		json_set_str(row, "id", ctl_value(e, "vnAppId"));
		json_set_str(row, "name", ctl_value(e, "description"));
		json_set_str(row, "made", ctl_value(e, "vnValidFrom"));
		json_set_take(row, "services", services);
		if (!c->json)
			printf("%s  %s  %s\n", ctl_value(e, "vnAppId"), ctl_value(e, "vnValidFrom"),
			    ctl_value(e, "description"));
		json_push_take(rows, row);
	}
	if (err == 0 && !c->json && r->n_entries == 0)
		printf("%s\n", _("none"));
	dir_result_free(r);
	if (err == 0 && c->json)
		return ctl_json_take(rows, 0);
	json_free(rows);
	return err != 0 ? ctl_dir_fail(c, s->mail, err, why) : 0;
}

static int
app_revoke(struct ctl *c, struct ctl_dir *d, const struct staff_account *s, const char *which)
{
	struct json *more = json_obj_new(), *j;
	char *why = NULL;
	int rc, err, sessions_err;

	json_set_str(more, "which", which);
	rc = ctl_password_note(c, "password_app_revoke", s, more);
	if (rc != 0)
		return rc;
	err = dir_admin_app_revoke(d->admin, s, which, &sessions_err, &why);
	if (err != 0)
		return ctl_dir_fail(c, s->mail, err, why);
	if (sessions_err != 0)
		return ctl_fail(c, EX_PROTOCOL, "%s %s: %s (%s)", s->mail, which,
		    _("revoked, but open sessions go on: congvu password set ends them"),
		    err_name(sessions_err));
	if (!c->json) {
		printf("%s %s: %s\n", s->mail, which, _("revoked; sessions that are open end"));
		return 0;
	}
	j = json_obj_new();
	json_set_str(j, "result", "revoked");
	json_set_str(j, "which", which);
	return ctl_json_take(j, 0);
}

int
ctl_password_app(struct ctl *c, struct ctl_dir *d, const struct password_app *a)
{
	struct staff_account s = {0};
	char *why = NULL;
	int rc, err = dir_admin_account(d->admin, a->who, &s, &why);

	rc = err != 0                       ? ctl_dir_fail(c, a->who, err, why)
	     : strcmp(a->verb, "add") == 0  ? add(c, d, &s, a)
	     : strcmp(a->verb, "list") == 0 ? list(c, d, &s)
					    : app_revoke(c, d, &s, a->which);
	staff_account_done(&s);
	return rc;
}
