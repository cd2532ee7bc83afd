/* ctl_directory_export.c: `congvu directory export|import`: all of the directory as LDIF, JSON or CSV, and back. Runs in congvu. */
#include "config.h"

#include "admin/ctl.h"
#include "admin/ctl_change.h"
#include "directory/dir_dump.h"

#include "lib/err.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct args {
	const char *format, *out;
	enum dump_format kind;
	struct change_args change;
};

/* --format, else what the file's name ends in, else LDIF. */
static int
format_of(struct ctl *c, struct args *a, const char *file)
{
	const char *dot = file == NULL ? NULL : strrchr(file, '.');

	if (a->format != NULL && dump_format_parse(a->format, &a->kind) != 0)
		return ctl_usage(c, "%s", _("--format is ldif, json or csv"));
	if (a->format == NULL && (dot == NULL || dump_format_parse(dot + 1, &a->kind) != 0))
		a->kind = DUMP_LDIF;
	return 0;
}

/* Whole or not at all: a new file beside, renamed when it is on disk. */
static int
file_write(struct ctl *c, const char *path, struct slice text)
{
	char *temp = NULL;
	size_t done = 0;
	ssize_t n = 0;
	int fd, bad;

	if (asprintf(&temp, "%s.%ld.new", path, (long)getpid()) < 0)
		return EX_OSERR;
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	while (fd >= 0 && done < text.len && (n = write(fd, text.ptr + done, text.len - done)) > 0)
		done += (size_t)n;
	bad = fd < 0 || done < text.len || fsync(fd) != 0 || rename(temp, path) != 0;
	if (bad) {
		ctl_fail(c, EX_CANTCREAT, "%s: %s", path, strerror(errno));
		if (fd >= 0)
			unlink(temp);
	}
	if (fd >= 0)
		close(fd);
	free(temp);
	return bad ? EX_CANTCREAT : 0;
}

static void
tell_skipped(size_t n)
{
	if (n > 0)
		fprintf(stderr,
		    _("congvu directory: %zu app passwords and officers left out: they are "
		      "made by congvu and by the administrator\n"),
		    n);
}

static int
export_run(struct ctl *c, struct ctl_dir *d, const struct args *a)
{
	struct dir_result *r = NULL;
	size_t skipped = 0;
	char *why = NULL;
	struct buf text;
	bool all = false;
	int rc = 0, err = dir_admin_sees_all(d->admin, &all, &why);

	buf_init(&text, DUMP_BYTES_MAX);
	/* a file of a part, brought in again by who may write all, would take the rest away */
	if (err == 0 && !all) {
		err = ERR_DENIED;
		why = xstrdup(_("this account does not see all of the directory (ou=officers): "
				"central HR exports (admin_bind_dn); a tree without that branch "
				"needs congvu directory upgrade"));
	}
	if (err == 0)
		err = dir_admin_export(d->admin, &r, &skipped, &why);
	if (err == 0)
		err = dump_write(r, a->kind, &text);
	if (err != 0)
		rc = ctl_dir_fail(c, "export", err, why);
	else if (a->out != NULL && strcmp(a->out, "-") != 0)
		rc = file_write(c, a->out, buf_slice(&text));
	else if (fwrite(text.data, 1, text.len, stdout) != text.len)
		rc = EX_IOERR;
	if (rc == 0)
		fprintf(stderr, _("congvu directory: %zu entries\n"), r->n_entries);
	if (rc == 0)
		tell_skipped(skipped);
	buf_done(&text);
	dir_result_free(r);
	return rc;
}

int
directory_export(struct ctl *c, int argc, char **argv)
{
	struct args a = {.format = NULL};
	struct ctl_dir d = {0};
	const struct ctl_option options[] = {
	    {"format", &a.format, NULL},
	    {"out", &a.out, NULL},
	    {"bind-dn", &a.change.bind_dn, NULL},
	    {"bind-password-file", &a.change.bind_password_file, NULL},
	    {NULL, NULL, NULL},
	};
	int rc = ctl_options(c, options, &argc, argv);

	if (rc == 0 && argc != 1)
		rc = ctl_usage(c, "%s", _("directory export takes no argument"));
	if (rc == 0 && c->json && a.format == NULL)
		a.format = "json";
	if (rc == 0)
		rc = format_of(c, &a, a.out);
	if (rc == 0) {
		rc = ctl_dir_open(c, a.change.bind_dn, a.change.bind_password_file, &d);
		if (rc == 0)
			rc = export_run(c, &d, &a);
		ctl_dir_close(&d);
	}
	return rc;
}

static int
import_run(struct ctl *c, struct ctl_dir *d, const struct args *a, const char *file)
{
	enum change change = CHANGE_NONE;
	struct dir_result *r = NULL;
	size_t counts[N_IMPORT_COUNTS] = {0};
	char *why = NULL;
	struct json *j;
	struct buf text;
	int rc, err = 0;

	buf_init(&text, DUMP_BYTES_MAX);
	rc = ctl_read_file(c, file, DUMP_BYTES_MAX, &text);
	if (rc == 0)
		err = dump_parse(buf_slice(&text), a->kind, &r, &why);
	buf_done(&text);
	if (rc == 0 && err == 0)
		err = dir_admin_import(d->admin, r, a->change.decision, counts, &change, &why);
	if (rc == 0) {
		j = json_obj_new();
		json_set_int(j, "added", (int64_t)counts[CHANGE_ADDED]);
		json_set_int(j, "changed", (int64_t)counts[CHANGE_CHANGED]);
		json_set_int(j, "unchanged", (int64_t)counts[CHANGE_NONE]);
		json_set_int(j, "skipped", (int64_t)counts[IMPORT_SKIPPED]);
		rc = ctl_change_told(c, &a->change, d, file, err, change, why, j);
		fprintf(stderr, _("congvu directory: %zu added, %zu changed, %zu unchanged\n"),
		    counts[CHANGE_ADDED], counts[CHANGE_CHANGED], counts[CHANGE_NONE]);
		tell_skipped(counts[IMPORT_SKIPPED]);
	}
	dir_result_free(r);
	return rc;
}

int
directory_import(struct ctl *c, int argc, char **argv)
{
	struct args a = {.change = {.decision = ""}};
	struct ctl_dir d = {0};
	const struct ctl_option options[] = {
	    {"format", &a.format, NULL},
	    CTL_CHANGE_OPTIONS(a.change),
	    {NULL, NULL, NULL},
	};
	int rc = ctl_options(c, options, &argc, argv);

	if (rc == 0 && argc != 2)
		rc = ctl_usage(c, "%s", _("directory import: which file?"));
	if (rc == 0)
		rc = format_of(c, &a, argv[1]);
	if (rc == 0) {
		rc = ctl_change_open(c, &a.change, &d);
		if (rc == 0)
			rc = import_run(c, &d, &a, argv[1]);
		ctl_dir_close(&d);
	}
	return rc;
}
