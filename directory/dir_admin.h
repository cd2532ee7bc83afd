/* dir_admin.h: agencies and staff as the congvu command writes them, over dir.h. Every call can be repeated: what is there with the same
 * data stays as it is. Blocking; one thread. Texts are UTF-8; they are stored NFC, with a folded value beside ("cn;x-fold"), since the
 * filters of address books are fixed by the mail client. Every change names the decision it rests on. */
#ifndef CV_DIR_ADMIN_H
#define CV_DIR_ADMIN_H

#include "directory/dir.h"

struct dir_admin;
/* d stays the caller's. */
struct dir_admin *dir_admin_new(const struct conf *c, struct dir *d);
void dir_admin_free(struct dir_admin *a);

/* What a call did. */
enum change { CHANGE_NONE, CHANGE_ADDED, CHANGE_CHANGED };
const char *change_name(enum change c); /* "unchanged", "added", "changed" */

/* On failure each call gives *why_out, a malloc'd text for people: what is wrong and what to do. Codes: ERR_SYNTAX (the data),
 * ERR_NOTFOUND (an agency), ERR_EXISTS (there with other data), ERR_DENIED, ERR_TEMP, ERR_UNKNOWN. */

struct agency_add {
	const char *code, *name, *abbrev, *kind;
	const char *parent;  /* code; NULL: top */
	const char *mailbox; /* address; NULL: none */
	const char *decision;
	struct slice cert; /* of the mailbox, DER; empty: none */
};
int dir_admin_agency_add(
    struct dir_admin *a, const struct agency_add *p, enum change *change_out, char **why_out);
/* All agencies: vnAgencyCode, ou, vnAgencyAbbrev, vnAgencyKind, mail, vnStatus, … */
int dir_admin_agencies(struct dir_admin *a, struct dir_result **out, char **why_out);
/* All functional mailboxes: vnMailboxId, mail, vnAgencyRef, displayName. */
int dir_admin_mailboxes(struct dir_admin *a, struct dir_result **out, char **why_out);

struct staff_hire {
	const char *name, *agency, *title, *role, *decision;
	/* Who is meant: the id; without it, the address; without both, the name with agency and decision. Whoever is found is compared and
	 * otherwise left as is. */
	const char *id;              /* NULL: the next */
	const char *mail;            /* NULL: made from the name */
	const char *employee_number; /* NULL: none */
	struct slice password;       /* empty: one is made */
	struct slice cert;           /* DER; empty: none */
};
struct staff_hired {
	enum change change;
	char *id, *uid, *mail, *dn, *display;
	char *password; /* only when one was made */
};
int dir_admin_hire(
    struct dir_admin *a, const struct staff_hire *p, struct staff_hired *out, char **why_out);
void staff_hired_done(struct staff_hired *h);
/* Takes n ids at once for many hires (a hint: it saves writes). */
void dir_admin_reserve(struct dir_admin *a, unsigned n);
/* Staff of an agency (NULL: all), or who has this id, uid or address. */
int dir_admin_staff(
    struct dir_admin *a, const char *agency, struct dir_result **out, char **why_out);
int dir_admin_staff_show(
    struct dir_admin *a, const char *who, struct dir_result **out, char **why_out);
/* Where a person's mail goes on to (n 0: nowhere), and whether a copy stays. */
int dir_admin_forward(struct dir_admin *a, const char *who, const char *const *to, size_t n,
    bool keep, enum change *change_out, char **why_out);
/* The attributes of both as they stand in the entry, by the names that dir_attr_forward and the others give. */
int dir_admin_mail_read(struct dir_admin *a, const char *dn, struct dir_result **out);
/* The automatic reply: text NULL ends it; the others may be NULL. from, until: GeneralizedTime; days: a number. */
struct staff_away {
	const char *text, *subject, *from, *until, *days;
};
int dir_admin_away(struct dir_admin *a, const char *who, const struct staff_away *p,
    enum change *change_out, char **why_out);
/* ---- passwords: the hash that a bind is verified by and the SCRAM keys, in one change ---- */
/* Somebody's account, by id, login name or address. */
struct staff_account {
	char *dn, *id, *uid, *mail, *display;
	bool is_frozen;   /* an administrator has locked it */
	bool must_change; /* the password is a first one */
	uint64_t epoch;   /* sessions and tickets of a smaller one are over */
	int64_t changed;  /* when it was set, seconds since 1970; 0: not known */
};
int dir_admin_account(
    struct dir_admin *a, const char *who, struct staff_account *out, char **why_out);
void staff_account_done(struct staff_account *s);
/* "kmtw-3xhn-p7rd": 12 of 31 signs that nobody confuses, 59 bits; appended. */
void dir_admin_password_make(struct buf *out);
/* Ends a lock by wrong tries as well, and the sessions that are open with the password before. must_change: a first password, with which nobody signs in until it is changed. */
int dir_admin_password_set(struct dir_admin *a, const struct staff_account *s,
    struct slice password, bool must_change, char **why_out);
/* Whether it is the password now (a first one and an expired one are), within first_days if it is a first one. ERR_AUTH, ERR_EXPIRED
 * (a first password past its time), ERR_TEMP, with words. */
int dir_admin_password_is(struct dir_admin *a, const struct staff_account *s, struct slice password,
    unsigned first_days, char **why_out);
/* App passwords of a person. services: "imap", "smtp", NULL-terminated. password_out gets it; it is kept nowhere. */
int dir_admin_app_add(struct dir_admin *a, const struct staff_account *s, const char *name,
    const char *const *services, struct buf *password_out, char **why_out);
/* vnAppId, description (the name), vnAppService, vnValidFrom of each. */
int dir_admin_apps(
    struct dir_admin *a, const struct staff_account *s, struct dir_result **out, char **why_out);
/* By id or name. Ends the sessions that are open. */
int dir_admin_app_revoke(
    struct dir_admin *a, const struct staff_account *s, const char *which, char **why_out);
/* Functional mailboxes whose roster names the person or one of its posts. */
int dir_admin_held(struct dir_admin *a, const char *dn, struct dir_result **out, char **why_out);

#endif
