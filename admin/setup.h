/* setup.h: what the files of `congvu setup` share: ctl_setup.c asks and orders, setup_files.c writes what stands in /etc,
 * setup_directory.c makes or joins the directory. */
#ifndef CV_SETUP_H
#define CV_SETUP_H

#include "admin/ctl.h"
#include "admin/setup_answers.h"

struct setup {
	struct ctl *c;
	struct setup_answers a;
	bool dry_run;
	char *etc;         /* the folder of congvu.conf, absolute */
	struct conf *conf; /* what was written, loaded; NULL: not yet */
	struct json *steps, *left;
	bool failed;
};

enum setup_result { SETUP_DONE, SETUP_THERE, SETUP_WOULD, SETUP_NOTE, SETUP_FAILED };
/* One line of the report: what was done to what. SETUP_FAILED ends the setup. */
void setup_say(struct setup *s, enum setup_result r, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* What is left for the operator; told at the end. */
void setup_left(struct setup *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *setup_answer(const struct setup *s, unsigned q);
bool setup_is(const struct setup *s, unsigned q, const char *value);

/* "etc/name", malloc'd. */
char *setup_path(const struct setup *s, const char *name);
/* Writes a file whole or not at all, unless it holds that already. Says so. 0 or -1 (said). */
int setup_write(struct setup *s, const char *path, struct slice data, unsigned mode);
/* Makes a folder and those above. Says nothing when it is there. 0 or -1 (said). */
int setup_folder(struct setup *s, const char *path, unsigned mode);
/* Runs a program to its end; stdout and stderr into out (may be NULL). Its exit status, 127 when it cannot be run. */
int setup_run(const char *const *argv, struct buf *out);
/* Whether systemd runs this host. */
bool setup_has_systemd(void);

/* setup_files.c: users, keys, certificate, trust anchors, congvu.conf. Each 0 or -1 (said). */
int setup_users(struct setup *s);
int setup_keys(struct setup *s);
int setup_audit_key(struct setup *s); /* audit.key, and audit-public.pem for who verifies the log */
int setup_certificate(struct setup *s);
int setup_trust(struct setup *s);
int setup_conf(struct setup *s);
/* setup_directory.c: the slapd of its own, or what an existing server needs; then the first agency. */
int setup_directory(struct setup *s);
int setup_agency(struct setup *s);

#endif
