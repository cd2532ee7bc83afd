/* ctl_change.h: what every command that changes the directory has: --decision, --dry-run, the journal, and how it tells what became of it. */
#ifndef CV_CTL_CHANGE_H
#define CV_CTL_CHANGE_H

#include "admin/ctl.h"
#include "admin/ctl_directory.h"

struct change_args {
	const char *decision, *bind_dn, *bind_password_file;
	bool dry_run;
};
/* Rows for ctl_options. */
#define CTL_CHANGE_OPTIONS(a)                                               \
	{"decision", &(a).decision, NULL}, {"dry-run", NULL, &(a).dry_run}, \
	    {"bind-dn", &(a).bind_dn, NULL},                                \
	{                                                                   \
		"bind-password-file", &(a).bind_password_file, NULL         \
	}

/* The connection, with the journal and --dry-run set. 0 or a sysexit after a message. Ended by ctl_dir_close. */
int ctl_change_open(struct ctl *c, const struct change_args *a, struct ctl_dir *out);
/* The journal alone, for a connection that was opened otherwise. */
void ctl_change_journal(struct ctl *c, struct ctl_dir *d);
/* Tells what became of a change of target: err with why (taken), or change. extra (taken, may be NULL): more keys for JSON. With --dry-run, what would
 * be written. Returns the exit code. */
int ctl_change_told(struct ctl *c, const struct change_args *a, struct ctl_dir *d,
    const char *target, int err, enum change change, char *why, struct json *extra);
/* Keys result, dry_run and changes. */
void ctl_change_json(
    const struct change_args *a, const struct ctl_dir *d, enum change change, struct json *j);
/* " (dry run: nothing was written)", or "". */
const char *ctl_change_dry(const struct change_args *a, enum change change);
/* What would be written, for people; nothing without --dry-run. */
void ctl_change_print(const struct change_args *a, const struct ctl_dir *d);
/* Ends a listing: list for JSON or the table for people (both taken), or the failure. Returns the exit code. */
struct ctl_table;
int ctl_listed(
    struct ctl *c, struct json *list, struct ctl_table *t, const char *what, int err, char *why);
/* "a,b,c" in pieces, at most max; *text_out holds them and is the caller's. */
size_t ctl_split(const char *list, const char **v, size_t max, char **text_out);
/* The values of an attribute as an array. */
struct json *ctl_values_json(const struct dir_entry *e, const char *attr);
/* vnStatus as a word of the reader's language. */
const char *ctl_status_word(const struct dir_entry *e);
/* ctl_post.c: a state of struct post_holder for people; "" for who holds it now. Static. */
const char *ctl_post_state(const char *state);
/* A GeneralizedTime, or the digits of a day, as "2026-11-30 08:00" here; "" stays "". Static. */
const char *ctl_when(const char *text);
/* The same of an end, which is the first moment of no more: "2026-12-31" where that is midnight here, the last day as it was given. Static. */
const char *ctl_until(const char *text);

#endif
