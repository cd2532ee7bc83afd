/* ctl_officer.c: `congvu officer add|remove|list`: accounts with which agencies' HR officers write what belongs to their agencies. Runs in congvu. */
#include "config.h"

#include "admin/ctl.h"
#include "admin/ctl_change.h"
#include "admin/ctl_table.h"

#include "directory/assignment.h"
#include "lib/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { AGENCIES_MAX = 200 };

struct args {
	const char *name, *who, *agency, *from, *until, *out;
	bool below, all;
	struct change_args change;
};

/* The password alone, in a file for --bind-password-file. */
static int
password_write(struct ctl *c, int fd, const char *path, struct slice password)
{
	ssize_t n = write(fd, password.ptr, password.len);

	return n == (ssize_t)password.len && fsync(fd) == 0
		   ? 0
		   : ctl_fail(c, EX_IOERR, "%s: %s", path,
			 _("the account is there, and its password was not written: congvu "
			   "officer remove, and add again"));
}

static int
officer_add(struct ctl *c, struct ctl_dir *d, const struct args *a, struct buf *password)
{
	const char *codes[AGENCIES_MAX];
	char *text = NULL, *why = NULL;
	struct officer_add p = {.name = a->name,
	    .who = a->who,
	    .agencies = {codes, ctl_split(a->agency, codes, AGENCIES_MAX, &text)},
	    .below = a->below,
	    .from = a->from,
	    .until = a->until,
	    .decision = a->change.decision};
	enum change change = CHANGE_NONE;
	struct json *j = json_obj_new();
	int fd = -1, rc, err;
	char *dn;

	if (a->out != NULL && !a->change.dry_run &&
	    (fd = open(a->out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0) {
		json_free(j);
		free(text);
		return ctl_fail(c, EX_CANTCREAT, "%s: %s", a->out, strerror(errno));
	}
	dn = dir_admin_officer_dn(d->admin, a->name);
	err = dir_admin_officer_add(d->admin, &p, password, &change, &why);
	json_set_str(j, "dn", dn);
	if (err == 0 && password->len > 0 && a->out == NULL)
		json_set_slice(j, "password", buf_slice(password));
	rc = ctl_change_told(c, &a->change, d, a->name, err, change, why, j);
	if (rc == 0 && password->len > 0 && fd >= 0)
		rc = password_write(c, fd, a->out, buf_slice(password));
	else if (fd >= 0)
		(void)unlink(a->out); /* there is nothing to put into it */
	if (rc == 0 && !c->json)
		printf("%s: %s\n", _("to sign in with"), dn);
	if (rc == 0 && password->len > 0 && a->out == NULL && !c->json)
		printf("%s: %s\n", _("password"), buf_cstr(password));
	if (fd >= 0)
		close(fd);
	free(dn);
	free(text);
	return rc;
}

static int
officer_remove(struct ctl *c, struct ctl_dir *d, const struct args *a)
{
	enum change change = CHANGE_NONE;
	char *why = NULL;
	int err = dir_admin_officer_remove(d->admin, a->name, a->change.decision, &change, &why);

	return ctl_change_told(c, &a->change, d, a->name, err, change, why, NULL);
}

/* As struct post_holder has it. */
static const char *
state_of(const struct dir_entry *e)
{
	if (dir_entry_attr(e, "pwdAccountLockedTime") != NULL)
		return "suspended";
	switch (assignment_when(
	    dir_entry_value(e, "vnValidFrom"), dir_entry_value(e, "vnValidTo"), time(NULL))) {
	case ASSIGNMENT_OVER:
		return "over";
	case ASSIGNMENT_LATER:
		return "later";
	case ASSIGNMENT_NOW:
		break;
	}
	return "now";
}

static struct json *
officer_take(struct ctl_dir *d, const struct dir_entry *e, struct ctl_table *t)
{
	const char *dn = ctl_value(e, "roleOccupant");
	char *who = *dn == '\0' ? NULL : dir_admin_name_of(d->admin, dn);
	const struct dir_attr *of = dir_entry_attr(e, "vnHrOf");
	struct json *j = json_obj_new();
	struct buf codes;

	buf_init(&codes, 1 << 20);
	for (size_t i = 0; of != NULL && i < of->n_values; i++) {
		if (i > 0)
			buf_append_str(&codes, ", ");
		buf_append_slice(&codes, of->values[i]);
	}
	ctl_table_cell(t, ctl_value(e, "cn"));
	ctl_table_cell(t, who == NULL ? "-" : who);
	ctl_table_cell(t, ctl_when(ctl_value(e, "vnValidFrom")));
	ctl_table_cell(t, ctl_until(ctl_value(e, "vnValidTo")));
	ctl_table_cell(t, ctl_post_state(state_of(e)));
	ctl_table_cell(t, buf_cstr(&codes));
	json_set_str(j, "name", ctl_value(e, "cn"));
	json_set_str(j, "dn", e->dn);
	json_set_str(j, "who", who == NULL ? "" : who);
	json_set_take(j, "agencies", ctl_values_json(e, "vnHrOf"));
	json_set_str(j, "from", ctl_value(e, "vnValidFrom"));
	json_set_str(j, "until", ctl_value(e, "vnValidTo"));
	json_set_str(j, "state", state_of(e));
	json_set_take(j, "decisions", ctl_values_json(e, "vnDecisionRef"));
	buf_done(&codes);
	free(who);
	return j;
}

static int
officer_list(struct ctl *c, struct ctl_dir *d, const struct args *a)
{
	struct ctl_table *t = ctl_table_new(6);
	struct json *list = json_arr_new();
	struct dir_result *r = NULL;
	char *why = NULL;
	int err = dir_admin_officers(d->admin, &r, &why);

	for (size_t i = 0; err == 0 && i < r->n_entries; i++)
		if (a->all || strcmp(state_of(&r->entries[i]), "now") == 0)
			json_push_take(list, officer_take(d, &r->entries[i], t));
	dir_result_free(r);
	return ctl_listed(c, list, t, "list", err, why);
}

int
ctl_hr_officer(struct ctl *c, int argc, char **argv)
{
	struct args a = {.change = {.decision = ""}};
	struct ctl_dir d = {0};
	struct buf password;
	const struct ctl_option options[] = {
	    {"who", &a.who, NULL},
	    {"agency", &a.agency, NULL},
	    {"below", NULL, &a.below},
	    {"from", &a.from, NULL},
	    {"until", &a.until, NULL},
	    {"out", &a.out, NULL},
	    {"all", NULL, &a.all},
	    CTL_CHANGE_OPTIONS(a.change),
	    {NULL, NULL, NULL},
	};
	bool list, add;
	int rc = ctl_options(c, options, &argc, argv);

	if (rc != 0)
		return rc;
	list = argc == 2 && strcmp(argv[1], "list") == 0;
	add = argc == 3 && strcmp(argv[1], "add") == 0;
	if (!list && !add && !(argc == 3 && strcmp(argv[1], "remove") == 0))
		return ctl_usage(c, "%s", _("add, remove or list: which officer?"));
	a.name = argc > 2 ? argv[2] : NULL;
	buf_init(&password, 64);
	rc = ctl_change_open(c, &a.change, &d);
	if (rc == 0)
		rc = list  ? officer_list(c, &d, &a)
		     : add ? officer_add(c, &d, &a, &password)
			   : officer_remove(c, &d, &a);
	buf_wipe(&password);
	ctl_dir_close(&d);
	return rc;
}
