/* ctl_password.h: what ctl_password*.c share. */
#ifndef CV_CTL_PASSWORD_H
#define CV_CTL_PASSWORD_H

#include "admin/ctl.h"
#include "admin/ctl_directory.h"

/* A password that somebody types, twice if is_new, or a line of standard input. Never from the command line, which every process of the
 * machine may read. 0 or a sysexit after a message. */
int ctl_password_ask(struct ctl *c, const char *prompt, bool is_new, struct buf *out);
int ctl_password_line(struct ctl *c, struct buf *out);

/* The audit log's line about what is done to an account, before it is done; without the secret. more: NULL or an object, taken. 0 or a
 * sysexit after a message. */
int ctl_password_note(
    struct ctl *c, const char *event, const struct staff_account *s, struct json *more);

/* `congvu password slip`: first passwords for these people into a file that must not be there yet. */
int ctl_password_slip(struct ctl *c, struct ctl_dir *d, char **who, size_t n, const char *out);

/* `congvu password app add|list|revoke`. which: id or name, to be revoked. */
struct password_app {
	const char *verb, *who, *which;
	const char *name, *services, *out;
};
int ctl_password_app(struct ctl *c, struct ctl_dir *d, const struct password_app *a);

#endif
