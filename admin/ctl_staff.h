/* ctl_staff.h: what ctl_staff.c hands to ctl_staff_mail.c and ctl_staff_change.c. */
#ifndef CV_CTL_STAFF_H
#define CV_CTL_STAFF_H

#include "admin/ctl.h"
#include "admin/ctl_change.h"

struct staff_mail_args {
	const char *who;
	bool off;
	const char *to; /* addresses with commas between */
	bool no_copy;
	const char *text_file, *subject, *from, *until, *days;
};
/* transfer, second, return, freeze, unfreeze, leave (ctl_staff_change.c). */
struct staff_change_args {
	const char *verb, *who, *agency, *title, *role, *mail, *from, *until, *read_until;
	bool concurrent;
	const struct change_args *change;
};
int ctl_staff_change(struct ctl *c, struct ctl_dir *d, const struct staff_change_args *a);
/* What is set for the entry: lines for people, or keys of j when it is not NULL. 0 or an enum err. */
int ctl_staff_mail_show(struct ctl *c, struct ctl_dir *d, const char *dn, struct json *j);
/* 0 or a sysexit after a message. */
int ctl_staff_forward(struct ctl *c, struct ctl_dir *d, const struct staff_mail_args *a);
int ctl_staff_away(struct ctl *c, struct ctl_dir *d, const struct staff_mail_args *a);

#endif
