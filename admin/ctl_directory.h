/* ctl_directory.h: what `congvu agency` and `congvu staff` share: the connection, files, rows and tables. */
#ifndef CV_CTL_DIRECTORY_H
#define CV_CTL_DIRECTORY_H

#include "admin/ctl.h"
#include "directory/dir_admin.h"

/* The connection as HR's writer: --bind-dn and --bind-password-file, else admin_bind_dn and admin_password_file. Exit status 0, or a
 * sysexit after a message on standard error. */
struct ctl_dir {
	struct dir *dir;
	struct dir_admin *admin;
	struct dir_journal *journal; /* of changes (ctl_change.h); NULL: it only reads */
	char *as;                    /* the DN that it is bound as */
};
int ctl_dir_open(
    const struct ctl *c, const char *bind_dn, const char *password_file, struct ctl_dir *out);
void ctl_dir_close(struct ctl_dir *d);
/* A message on standard error, and the sysexit for err. why is freed. */
int ctl_dir_fail(const struct ctl *c, const char *what, int err, char *why);

/* A file ("-": standard input) of at most max bytes. 0 or a sysexit after a message. */
int ctl_read_file(const struct ctl *c, const char *path, size_t max, struct buf *out);
/* The first certificate of a PEM file, or a DER file, as DER. The same. */
int ctl_read_cert(const struct ctl *c, const char *path, struct buf *out);
/* A password: the file without its line end. The same. */
int ctl_read_password(const struct ctl *c, const char *path, struct buf *out);

/* One person to hire, of a file: each field may be NULL. Owned. */
struct ctl_row {
	char *name, *agency, *title, *role, *id, *mail, *password, *cert, *decision,
	    *employee_number;
	unsigned line;
};
struct ctl_rows {
	struct ctl_row *v;
	size_t n;
};
/* JSON Lines ({"name": …}) or CSV with a head line, comma, semicolon or tab; the heads in English as above or as in HR's lists
 * (Họ và tên; Chức vụ; Mã đơn vị; Số quyết định; Số hiệu CBCCVC). 0 or ERR_SYNTAX with *why_out (line and cause). */
int ctl_rows_parse(struct slice text, struct ctl_rows *out, char **why_out);
void ctl_rows_done(struct ctl_rows *r);

/* The subcommands of `congvu directory`. */
#define DIRECTORY_COMMAND(name, fn, usage) int fn(struct ctl *c, int argc, char **argv);
#include "admin/directory_commands.def"
#undef DIRECTORY_COMMAND

/* "" for none. */
const char *ctl_value(const struct dir_entry *e, const char *attr);

#endif
