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
	struct dir_journal *journal; /* NULL: there is none */
	const char *op, *as;         /* as: whom the directory takes the writes for */
	char batch[17];
	bool is_written;
};
/* Where the site has a journal already (on a new server init finds none), and this is no dry run: what is written from now on stands in it first, by
 * upgrade_write_down; upgrade_end writes the end. op is kept. 0 or a sysexit after a message. */
int upgrade_journal(struct upgrade *u, const char *op);
/* Of one write, before it is made: "add" or "modify", and in a word what of. 0, or an error and *why_out. Nothing in a dry run. */
int upgrade_write_down(
    struct upgrade *u, const char *write, const char *dn, const char *what, char **why_out);
void upgrade_tell(struct upgrade *u, const char *what, const char *name, enum change change);
/* ctl_directory_init.c: entries of base.ldif.in that are not there, and its version. accounts: service accounts and policy too. d may write them. 0 or a sysexit
 * after a message. */
int upgrade_tree(struct upgrade *u, struct dir *d, const struct ldif_file *base, bool accounts);
/* Prints what was done; the exit code. */
int upgrade_end(struct upgrade *u, int rc);

#endif
