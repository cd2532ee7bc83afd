/* ctl_audit.h: what the verbs of `congvu audit` share: ctl_audit.c (show), ctl_audit_verify.c, ctl_audit_prove.c, ctl_audit_export.c. */
#ifndef CV_CTL_AUDIT_H
#define CV_CTL_AUDIT_H

#include "admin/ctl.h"
#include "milter/audit.h"
#include "milter/audit_files.h"

struct sign_key;

struct audit_options {
	const char *file, *key, *checkpoints, *since, *until, *format, *out, *check;
	bool partial;
};

/* The files of the log that --file names, or audit_log: in order; one closed file alone when that is what --file names. 0, or an exit code (told). */
int audit_open_files(struct ctl *c, const char *file, struct audit_files *out);
/* One of them; -1, told. */
int audit_open_one(struct ctl *c, const char *path);
/* A public key or certificate in a file; NULL, told. */
struct sign_key *audit_read_key(struct ctl *c, const char *path, size_t len);

/* Whether s is a time as the log has it (UTC), or its beginning: a year, a month, a day, an hour, … (trace_span.c). */
bool audit_is_time(const char *s);

/* The records of all files, in order, until fn returns something else than 0, which is returned; a wrong line is told: EX_DATAERR. rec is fn's. */
typedef int (*audit_record_fn)(void *arg, struct slice line, struct json *rec);
int audit_walk(struct ctl *c, const struct audit_files *files, audit_record_fn fn, void *arg);

/* The whole verification; what it found goes to fn (NULL: it is printed). 0 or an exit code, told. */
struct audit_report;
typedef void (*audit_verified_fn)(void *arg, const struct audit_report *r);
int audit_verify_run(struct ctl *c, const struct audit_options *o, audit_verified_fn fn, void *arg);
int audit_cmd_verify(struct ctl *c, const struct audit_options *o);
int audit_cmd_export(struct ctl *c, const struct audit_options *o);
int audit_cmd_prove(struct ctl *c, const struct audit_options *o, const char *qid);

#endif
