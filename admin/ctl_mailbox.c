/* ctl_mailbox.c: `congvu mailbox`: what an operator does to the mail of an account: see and restore what was deleted, legal holds. The subcommands are
 * mailbox_commands.def; all of them speak with stored on store.admin.sock. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/ctl_directory.h"
#include "admin/ctl_mailbox.h"
#include "admin/ctl_store.h"
#include "directory/people.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/store_proto.h"

/* ---- who is meant ---- */

static bool
is_account(const char *user)
{
	size_t n = strspn(user, "abcdefghijklmnopqrstuvwxyz0123456789.-");

	return user[n] == '\0' && n > 2 && n <= 40 && (user[0] == 'p' || user[0] == 'f') &&
	       user[1] == '-';
}

static int
find(struct people *p, const char *user, char **account_out, bool *known_out)
{
	struct people_owner *o = NULL;
	struct person *u = NULL;
	int err;

	if (strchr(user, '@') != NULL) {
		err = people_owner(p, slice_str(user), &o);
		if (err == 0 && (o->kind == PEOPLE_NONE || o->kind == PEOPLE_GROUP))
			err = ERR_NOTFOUND;
		if (err == 0)
			*account_out = xstrdup(o->account);
		people_owner_free(o);
		return err;
	}
	err = people_login(p, slice_str(user), &u);
	if (err == 0)
		*account_out = xstrdup(u->account);
	person_free(u);
	if (err == ERR_NOTFOUND) { /* who may not sign in any more is meant by the id */
		char account[48];

		people_account('p', slice_str(user), account);
		*account_out = xstrdup(account);
		*known_out = false;
		err = 0;
	}
	return err;
}

int
mailbox_account(struct ctl *c, const char *user, char **account_out, bool *known_out)
{
	struct ctl_dir d = {0};
	struct people *p = NULL;
	char *why = NULL;
	int rc, err;

	*known_out = !is_account(user);
	if (!*known_out) {
		*account_out = xstrdup(user);
		return 0;
	}
	rc = ctl_dir_open(c, NULL, NULL, &d);
	if (rc == 0) {
		err = people_new(c->conf, d.dir, &p, &why);
		if (err == 0)
			err = find(p, user, account_out, known_out);
		if (err != 0)
			rc = ctl_dir_fail(c, user, err,
			    why != NULL           ? why
			    : err == ERR_NOTFOUND ? xstrdup(_("nobody has this address"))
						  : NULL);
		people_free(p);
	}
	ctl_dir_close(&d);
	return rc;
}

bool
mailbox_in_directory(struct ctl *c, const char *account)
{
	struct ctl_dir d = {0};
	struct people *p = NULL;
	char *why = NULL;
	bool found = ctl_dir_open(c, NULL, NULL, &d) == 0 &&
		     people_new(c->conf, d.dir, &p, &why) == 0 &&
		     people_has_account(p, slice_str(account)) == 0;

	people_free(p);
	free(why);
	ctl_dir_close(&d);
	return found;
}

/* ---- the store ---- */

struct ipc_sync *
mailbox_store(struct ctl *c, int *code_out)
{
	char *dir = conf_path(c->conf, "run_dir");
	struct ipc_sync *s = NULL;

	/* the name of a socket has 107 bytes at most, wherever the instance lies */
	if (chdir(dir) != 0)
		*code_out = ctl_fail(
		    c, EX_UNAVAILABLE, _("%s is not there: the suite was never started"), dir);
	else
		s = store_admin_new();
	free(dir);
	return s;
}

int
mailbox_fail(const struct ctl *c, int err)
{
	if (err == ERR_TEMP && faccessat(AT_FDCWD, "store.admin.sock", W_OK, AT_EACCESS) != 0 &&
	    errno == EACCES)
		return ctl_fail(c, EX_NOPERM, "%s", _("only root may do this: call it with sudo"));
	switch (err) {
	case ERR_TEMP:
	case ERR_CLOSED:
	case ERR_TIMEOUT:
	case ERR_IO:
		return store_fail(c, err, "");
	case ERR_NOTFOUND:
		return ctl_fail(c, EX_NOUSER, "%s", _("the store has no such account or mailbox"));
	case ERR_FULL:
		return ctl_fail(c, EX_CANTCREAT, "%s",
		    _("the account's quota has no room for it (quota_mb, quota_messages); what was "
		      "restored before stays"));
	default:
		return ctl_fail(c, ctl_exit_code(err), "%s", err_name(err));
	}
}

/* ---- texts ---- */

int
mailbox_day(const char *text, bool end, int64_t *t_out)
{
	struct tm tm = {.tm_isdst = -1};
	const char *rest = strptime(text, "%Y-%m-%d", &tm);
	time_t t;

	if (rest != NULL && (*rest == ' ' || *rest == 'T')) {
		rest = strptime(rest + 1, "%H:%M", &tm);
		end = false;
	}
	if (rest == NULL || *rest != '\0')
		return ERR_SYNTAX;
	if (end) {
		tm.tm_hour = 23;
		tm.tm_min = tm.tm_sec = 59;
	}
	t = mktime(&tm);
	if (t <= 0)
		return ERR_SYNTAX;
	*t_out = (int64_t)t;
	return 0;
}

const char *
mailbox_when(int64_t t)
{
	static char text[32];
	time_t at = (time_t)t;
	struct tm tm;

	text[0] = '\0';
	if (t != 0 && localtime_r(&at, &tm) != NULL)
		strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm);
	return text;
}

void
mailbox_column(struct slice s, int width)
{
	int n = 0;

	for (size_t i = 0; i < s.len; i++) {
		bool begins = (s.ptr[i] & 0xc0) != 0x80;

		if (begins && width > 0 && n == width)
			break;
		n += begins;
		putchar(s.ptr[i] < 0x20 || s.ptr[i] == 0x7f ? '?' : s.ptr[i]);
	}
	if (width > 0)
		printf("%*s ", width - n, "");
}

/* ---- the command ---- */

static const struct {
	const char *name;
	int (*fn)(struct ctl *c, int argc, char **argv);
} subs[] = {
#define MAILBOX_COMMAND(name, fn, usage) {name, fn},
#include "admin/mailbox_commands.def"
#undef MAILBOX_COMMAND
};

int
ctl_mailbox(struct ctl *c, int argc, char **argv)
{
	if (argc < 2 || strncmp(argv[1], "--", 2) == 0)
		return ctl_usage(c, _("a subcommand is needed"));
	for (size_t i = 0; i < sizeof subs / sizeof subs[0]; i++)
		if (strcmp(argv[1], subs[i].name) == 0)
			return subs[i].fn(c, argc - 1, argv + 1);
	return ctl_usage(c, _("there is no %s"), argv[1]);
}
