/* ctl_directory_files.h: the files of ldap-schema/ as `congvu directory init` and `upgrade` use them: what a server shall have stands there alone.
 * Runs in congvu. */
#ifndef CV_CTL_DIRECTORY_FILES_H
#define CV_CTL_DIRECTORY_FILES_H

#include "admin/ctl_directory.h"

/* The values of one attribute, in the order of the file. */
struct ldif_line {
	char *attr, *value;
};
struct ldif_entry {
	char *dn;
	struct ldif_line *v;
	size_t n;
};
struct ldif_file {
	struct ldif_entry *v;
	size_t n;
};
/* LDIF as our files have it (without base64, URLs and changes); pairs: "@WORD@", what stands for it, …, NULL. From CONGVU_SCHEMA_DIR, else
 * where it is installed. 0, or a sysexit after a message. */
int ldif_file_read(
    const struct ctl *c, const char *name, const char *const *pairs, struct ldif_file *out);
void ldif_file_done(struct ldif_file *f);
/* A file of ldap-schema/ whole. The same. */
int schema_file_read(const struct ctl *c, const char *name, struct buf *out);

/* What is done, told as it is done, or would be. */
struct upgrade {
	struct ctl *c;
	bool dry_run;
	struct json *done; /* --json */
	size_t n;
};
void upgrade_tell(struct upgrade *u, const char *what, const char *name, enum change change);
/* ctl_directory_init.c: entries of base.ldif.in that are not there, and its version. accounts: service accounts and policy too. d may write them. 0 or a sysexit
 * after a message. */
int upgrade_tree(struct upgrade *u, struct dir *d, const struct ldif_file *base, bool accounts);
/* Prints what was done; the exit code. */
int upgrade_end(struct upgrade *u, int rc);

#endif
